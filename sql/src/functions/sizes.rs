//! `pg_size_pretty` and `pg_size_bytes`.

use super::registry::{Entry, Registry};
use super::string::text;
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{INT8, NUMERIC, TEXT};
use crate::value::{Datum, Numeric};

const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];

/// From where on sizes are not shown in bytes.
const BYTES_LIMIT: i128 = 10 * 1024;

/// A size in the largest unit of which there are at least ten; halves are rounded away from zero.
fn pretty(bytes: i128) -> String {
    let limit = |unit: usize| if unit == 0 { BYTES_LIMIT } else { 20 * 1024 - 1 };
    let mut size = bytes;
    let mut unit = 0;
    // Beyond bytes a size is kept doubled, to round at the end.
    while unit + 1 < UNITS.len() && size.abs() >= limit(unit) {
        size /= if unit == 0 { 1 << 9 } else { 1 << 10 };
        unit += 1;
    }
    if unit > 0 {
        size = if size < 0 { (size - 1) / 2 } else { (size + 1) / 2 };
    }
    format!("{size} {}", UNITS[unit])
}

fn bytes_of(whole: &str) -> Result<i64> {
    let invalid = || SqlError::invalid_parameter(format!("invalid size: \"{whole}\""));
    let trimmed = whole.trim();
    let is_number =
        |at: usize, c: char| c.is_ascii_digit() || c == '.' || (at == 0 && matches!(c, '-' | '+'));
    let mut end =
        trimmed.char_indices().find(|(at, c)| !is_number(*at, *c)).map_or(trimmed.len(), |(at, _)| at);
    // An exponent, where digits follow.
    if let Some(exponent) = trimmed[end..].strip_prefix(['e', 'E']) {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        if length > 0 {
            end = trimmed.len() - digits.len() + length;
        }
    }
    let number = Numeric::parse(&trimmed[..end]).map_err(|error| match error.state() {
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE => error,
        _ => invalid(),
    })?;
    let unit = trimmed[end..].trim();
    let place = if unit.is_empty() {
        0
    } else {
        UNITS.iter().position(|known| known.eq_ignore_ascii_case(unit)).ok_or_else(|| {
            invalid()
                .with_detail(format!("Invalid size unit: \"{unit}\"."))
                .with_hint("Valid units are \"bytes\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
        })?
    };
    let size = number.mul(&Numeric::from(1i64 << (10 * place)))?.round(0).to_i128();
    size.and_then(|size| i64::try_from(size).ok()).ok_or_else(|| SqlError::out_of_range("bigint"))
}

pub(super) fn register(registry: &mut Registry) {
    for oid in [INT8, NUMERIC] {
        registry.add(Entry::new("pg_size_pretty", &[oid], TEXT, |arguments, _| {
            let bytes = match &arguments[0] {
                Datum::Numeric(number) => {
                    let bytes = number.trunc(0).to_i128();
                    // Parts of a byte are shown where bytes are.
                    if bytes.is_some_and(|bytes| bytes.abs() < BYTES_LIMIT) {
                        return Ok(Datum::from(format!("{number} {}", UNITS[0])));
                    }
                    bytes
                }
                other => other.as_i64().map(i128::from),
            };
            Ok(Datum::from(pretty(bytes.ok_or_else(wrong_arguments)?)))
        }));
    }
    registry.add(Entry::new("pg_size_bytes", &[TEXT], INT8, |arguments, _| {
        bytes_of(text(arguments, 0)?).map(Datum::Int64)
    }));
}
