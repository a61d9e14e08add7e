//! BYTEA: hex and escape forms.

use super::scalar::{entry, operations, wrong_kind};
use super::{Category, TypeInfo, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind};
use std::fmt::Write;

/// Parses `\x…` or the escape form.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', after @ ..] => {
                bytes.push(b'\\');
                after
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            [b'\\', ..] => {
                return Err(SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
        };
    }
}

/// Hexadecimal digits, white space between pairs allowed.
pub(crate) fn parse_hex(hex: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    let mut characters = hex.chars();
    while let Some(first) = characters.next() {
        if matches!(first, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let digit = |character: char| {
            character.to_digit(16).ok_or_else(|| {
                SqlError::invalid_parameter(format!("invalid hexadecimal digit: \"{character}\""))
            })
        };
        let high = digit(first)?;
        let second = characters
            .next()
            .ok_or_else(|| SqlError::invalid_parameter("invalid hexadecimal data: odd number of digits"))?;
        bytes.push((high << 4 | digit(second)?) as u8);
    }
    Ok(bytes)
}

/// Appends bytes as hexadecimal digits.
pub(crate) fn print_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Appends the escape form.
pub(crate) fn print_escape(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
}

pub(super) fn types() -> Vec<TypeInfo> {
    let operations = operations(
        |_, text, _, _| parse(text).map(Datum::from),
        |info, datum, out, context| {
            let Datum::Bytes(bytes) = datum else { return Err(wrong_kind(info)) };
            if context.settings.bytea_escape {
                print_escape(bytes, out);
            } else {
                out.push_str("\\x");
                print_hex(bytes, out);
            }
            Ok(())
        },
        |_, bytes, _, _| Ok(Datum::Bytes(bytes.into())),
        |info, datum, out, _| {
            let Datum::Bytes(bytes) = datum else { return Err(wrong_kind(info)) };
            out.extend_from_slice(bytes);
            Ok(())
        },
    );
    vec![entry(
        oids::BYTEA,
        oids::BYTEA_ARRAY,
        "bytea",
        "bytea",
        Category::UserDefined,
        false,
        -1,
        PhysicalKind::Bytes,
        operations,
    )]
}
