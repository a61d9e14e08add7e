//! NUMERIC: text, PostgreSQL's base-10,000 binary form, and the precision modifier. The value itself is
//! [`crate::value::Numeric`].

use super::scalar::{cut_off, entry, operations, wrong_kind, wrong_length};
use super::{Category, DataType, TypeInfo, oids};
use crate::error::{Result, SqlError};
use crate::value::{Datum, Numeric, PhysicalKind};
use dashu_int::IBig;
use std::fmt::Write;

const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;
const SIGN_INFINITY: u16 = 0xd000;
const SIGN_NEGATIVE_INFINITY: u16 = 0xf000;

/// The binary form: digit count, weight of the first, sign, display scale, base-10,000 digits; all 16 bits.
fn write_binary(value: &Numeric, out: &mut Vec<u8>) {
    let mut header = |count: u16, weight: i16, sign: u16, scale: u16| {
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&scale.to_be_bytes());
    };
    let Some((mantissa, scale)) = value.to_big() else {
        // PostgreSQL's infinities have a scale, by the way that it stores them.
        let (sign, scale) = match value {
            Numeric::Infinity => (SIGN_INFINITY, 32),
            Numeric::NegativeInfinity => (SIGN_NEGATIVE_INFINITY, 32),
            _ => (SIGN_NAN, 0),
        };
        header(0, 0, sign, scale);
        return;
    };
    let negative = mantissa < IBig::ZERO;
    // Decimal digits with the point on a boundary of four.
    let text = mantissa.to_string();
    let mut digits = text.trim_start_matches('-').to_owned();
    let padding = (4 - usize::from(scale) % 4) % 4;
    digits.push_str(&"0".repeat(padding));
    let fraction_groups = (usize::from(scale) + padding) / 4;
    let lead = (4 - digits.len() % 4) % 4;
    let digits = format!("{}{digits}", "0".repeat(lead));
    let groups: Vec<u16> = digits.as_bytes().chunks(4).map(decimal).collect();
    let weight = groups.len() as i64 - fraction_groups as i64 - 1;
    let first = groups.iter().position(|&group| group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|&group| group != 0).map_or(first, |last| last + 1);
    let weight = if first == last { 0 } else { weight - first as i64 };
    let sign = if negative { SIGN_NEGATIVE } else { SIGN_POSITIVE };
    header((last - first) as u16, weight as i16, sign, scale);
    for group in &groups[first..last] {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

fn decimal(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}

fn read_binary(bytes: &[u8]) -> Result<Numeric> {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: Vec<u16> = words.iter().map(|word| u16::from_be_bytes(*word)).collect();
    let [count, weight, sign, scale] = *words.first_chunk::<4>().ok_or_else(cut_off)?;
    let groups = &words[4..];
    match sign {
        SIGN_POSITIVE | SIGN_NEGATIVE => {}
        SIGN_NAN => return Ok(Numeric::NaN),
        SIGN_INFINITY => return Ok(Numeric::Infinity),
        SIGN_NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
        _ => return Err(SqlError::invalid_binary("invalid sign in external \"numeric\" value")),
    }
    if scale > crate::value::numeric::SCALE_MAX {
        return Err(SqlError::invalid_binary("invalid scale in external \"numeric\" value"));
    }
    if groups.len() < usize::from(count) {
        return Err(cut_off());
    }
    if groups.len() > usize::from(count) || !rest.is_empty() {
        return Err(wrong_length());
    }
    if groups.iter().any(|&group| group >= 10_000) {
        return Err(SqlError::invalid_binary("invalid digit in external \"numeric\" value"));
    }
    let mut text = String::with_capacity(groups.len() * 4 + 16);
    if sign == SIGN_NEGATIVE {
        text.push('-');
    }
    text.push('0');
    for group in groups {
        let _ = write!(text, "{group:04}");
    }
    // The digits are an integer times 10,000 to the power of the last group's weight.
    let exponent = (i32::from(weight as i16) - i32::from(count) + 1) * 4;
    let value = Numeric::parse(&format!("{text}e{exponent}"))?;
    // Digits beyond the scale are not shown, so PostgreSQL cuts them off.
    Ok(value.trunc(i32::from(scale)))
}

pub(super) fn types() -> Vec<TypeInfo> {
    let mut operations = operations(
        |_, text, _, _| Numeric::parse(text).map(Datum::Numeric),
        |info, datum, out, _| {
            let Datum::Numeric(value) = datum else { return Err(wrong_kind(info)) };
            let _ = write!(out, "{value}");
            Ok(())
        },
        |_, bytes, _, _| read_binary(bytes).map(Datum::Numeric),
        |info, datum, out, _| {
            let Datum::Numeric(value) = datum else { return Err(wrong_kind(info)) };
            write_binary(value, out);
            Ok(())
        },
    );
    operations.apply_modifier = Some(|info, value, typmod, _| {
        let Datum::Numeric(number) = &value else { return Err(wrong_kind(info)) };
        match (DataType { oid: oids::NUMERIC, typmod }).numeric_precision_scale() {
            Some((precision, scale)) => number.fit(precision, scale).map(Datum::Numeric),
            None => Ok(value),
        }
    });
    vec![entry(
        oids::NUMERIC,
        oids::NUMERIC_ARRAY,
        "numeric",
        "numeric",
        Category::Numeric,
        false,
        -1,
        PhysicalKind::Numeric,
        operations,
    )]
}
