//! Bit strings: BIT(n) and BIT VARYING(n).
//!
//! A value is held as its digits, a text of `0` and `1`: bit strings are ordered bit by bit, shorter ones first, as
//! such texts are.

use super::scalar::{entry, operations, wrong_kind};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind, Text};

/// The bits a value may have: those of 1 GiB.
pub(crate) const BITS_MAX: usize = 83_886_080;

fn digits<'a>(info: &TypeInfo, datum: &'a Datum) -> Result<&'a str> {
    datum.as_text().ok_or_else(|| wrong_kind(info))
}

/// Reads binary digits, or hexadecimal ones behind an `x`.
pub(crate) fn parse(text: &str) -> Result<String> {
    let not_a_digit = |found: char, kind: &str| {
        let message = format!("\"{found}\" is not a valid {kind} digit");
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    };
    if let Some(hexadecimal) = text.strip_prefix(['x', 'X']) {
        let mut bits = String::with_capacity(4 * hexadecimal.len());
        for found in hexadecimal.chars() {
            let digit = found.to_digit(16).ok_or_else(|| not_a_digit(found, "hexadecimal"))?;
            bits.push_str(&format!("{digit:04b}"));
        }
        return Ok(bits);
    }
    let bits = text.strip_prefix(['b', 'B']).unwrap_or(text);
    match bits.chars().find(|digit| !matches!(digit, '0' | '1')) {
        Some(found) => Err(not_a_digit(found, "binary")),
        None => Ok(bits.to_owned()),
    }
}

/// `bit(length)`: an explicit cast cuts or appends zeros, an assignment refuses.
fn fit_bit(bits: &str, length: usize, explicit: bool) -> Result<Text> {
    if bits.len() == length {
        return Ok(Text::new(bits));
    }
    if !explicit {
        return Err(SqlError::new(
            SqlState::STRING_DATA_LENGTH_MISMATCH,
            format!("bit string length {} does not match type bit({length})", bits.len()),
        ));
    }
    Ok(Text::from(format!("{:0<length$}", &bits[..bits.len().min(length)])))
}

/// `bit varying(length)`.
fn fit_varbit(bits: &str, length: usize, explicit: bool) -> Result<Text> {
    if bits.len() > length && !explicit {
        return Err(SqlError::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("bit string too long for type bit varying({length})"),
        ));
    }
    Ok(Text::new(&bits[..bits.len().min(length)]))
}

/// The wire's form: the number of bits, 4 bytes, and the bits, the first one highest.
fn read(bytes: &[u8]) -> Result<String> {
    let damaged = || SqlError::invalid_binary("invalid length in external bit string");
    let (count, bytes) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| damaged())?;
    if count > BITS_MAX || bytes.len() != count.div_ceil(8) {
        return Err(damaged());
    }
    let bit = |at: usize| if bytes[at / 8] >> (7 - at % 8) & 1 == 1 { '1' } else { '0' };
    Ok((0..count).map(bit).collect())
}

fn write(bits: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(bits.len() as u32).to_be_bytes());
    for byte in bits.as_bytes().chunks(8) {
        let place = |(at, digit): (usize, &u8)| (digit & 1) << (7 - at);
        out.push(byte.iter().enumerate().map(place).sum());
    }
}

const OPERATIONS: TypeOperations = operations(
    |_, text, _, _| parse(text).map(Datum::text),
    |info, datum, out, _| {
        out.push_str(digits(info, datum)?);
        Ok(())
    },
    |_, bytes, _, _| read(bytes).map(Datum::text),
    |info, datum, out, _| {
        write(digits(info, datum)?, out);
        Ok(())
    },
);

pub(super) fn types() -> Vec<TypeInfo> {
    const KIND: PhysicalKind = PhysicalKind::Text;
    let bit = TypeOperations {
        apply_modifier: Some(|info, value, typmod, explicit| {
            fit_bit(digits(info, &value)?, typmod as usize, explicit).map(Datum::Text)
        }),
        ..OPERATIONS
    };
    let varbit = TypeOperations {
        apply_modifier: Some(|info, value, typmod, explicit| {
            fit_varbit(digits(info, &value)?, typmod as usize, explicit).map(Datum::Text)
        }),
        ..OPERATIONS
    };
    let category = Category::BitString;
    vec![
        entry(oids::BIT, oids::BIT_ARRAY, "bit", "bit", category, false, -1, KIND, bit),
        entry(oids::VARBIT, oids::VARBIT_ARRAY, "varbit", "bit varying", category, true, -1, KIND, varbit),
    ]
}
