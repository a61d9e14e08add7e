//! `tid`: which row of a table, as `ctid` says it.
//!
//! A row of a table without a primary key has a number; it is shown as PostgreSQL shows a place, a block and an offset, with
//! [`BLOCK_ROWS`] rows to a block. A row of a table with one is its key, which such a place cannot hold: it is shown as
//! `(x…,0)`, the key's bytes in hexadecimal digits, an offset that no row of PostgreSQL has. Values are in the order of the
//! table's own tree.

use std::fmt::Write;

use super::scalar::{entry, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError};
use crate::value::{Datum, PhysicalKind};

/// How many row numbers make a block.
const BLOCK_ROWS: u64 = 256;
/// What a value that is a place begins with, before four bytes of block and two of offset.
const PLACE: u8 = 0;
/// What one that is a key begins with.
const KEY: u8 = 1;

/// The value for a row's key, which is a number where the table has no primary key.
#[must_use]
pub fn of_row_key(key: &[u8], numbered: bool) -> Vec<u8> {
    if numbered
        && let Ok(number) = <[u8; 8]>::try_from(key).map(u64::from_be_bytes)
        && let Ok(block) = u32::try_from(number / BLOCK_ROWS)
    {
        let offset = (number % BLOCK_ROWS) as u16 + 1;
        return place(block, offset);
    }
    let mut value = vec![KEY];
    value.extend_from_slice(key);
    value
}

/// The key of the row that a value names, where it names one.
#[must_use]
pub fn row_key(value: &[u8]) -> Option<Vec<u8>> {
    match (place_in(value), value) {
        (Some((_, 0)), _) => None,
        (Some((block, offset)), _) => {
            let number = u64::from(block) * BLOCK_ROWS + u64::from(offset) - 1;
            (u64::from(offset) <= BLOCK_ROWS).then(|| number.to_be_bytes().to_vec())
        }
        (None, [KEY, key @ ..]) => Some(key.to_vec()),
        _ => None,
    }
}

fn place(block: u32, offset: u16) -> Vec<u8> {
    let mut value = vec![PLACE];
    value.extend(block.to_be_bytes());
    value.extend(offset.to_be_bytes());
    value
}

/// The block and the offset of a value that is a place.
fn place_in(value: &[u8]) -> Option<(u32, u16)> {
    match value {
        [PLACE, a, b, c, d, e, f] => {
            Some((u32::from_be_bytes([*a, *b, *c, *d]), u16::from_be_bytes([*e, *f])))
        }
        _ => None,
    }
}

fn parse(text: &str) -> Option<Vec<u8>> {
    let (block, offset) = text.split_once('(')?.1.split_once(',')?;
    let (offset, _) = offset.split_once(')')?;
    let (block, offset) = (block.trim_start(), offset.trim_start());
    let Some(digits) = block.strip_prefix('x') else {
        // PostgreSQL takes blocks above the half of their range as negative numbers too.
        let block = block.parse::<u32>().or_else(|_| block.parse::<i32>().map(i32::cast_unsigned)).ok()?;
        return Some(place(block, offset.parse().ok()?));
    };
    if offset != "0" || !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    let mut value = vec![KEY];
    for at in (0..digits.len()).step_by(2) {
        value.push(u8::from_str_radix(&digits[at..at + 2], 16).ok()?);
    }
    Some(value)
}

fn bytes<'d>(info: &TypeInfo, datum: &'d Datum) -> Result<&'d [u8]> {
    match datum {
        Datum::Bytes(value) => Ok(value),
        _ => Err(wrong_kind(info)),
    }
}

const TID: TypeOperations = operations(
    |info, text, _, _| {
        let value = parse(text).ok_or_else(|| SqlError::invalid_input(&info.name, text))?;
        Ok(Datum::from(value))
    },
    |info, datum, out, _| {
        let value = bytes(info, datum)?;
        if let Some((block, offset)) = place_in(value) {
            let _ = write!(out, "({block},{offset})");
            return Ok(());
        }
        out.push_str("(x");
        for byte in &value[1.min(value.len())..] {
            let _ = write!(out, "{byte:02x}");
        }
        out.push_str(",0)");
        Ok(())
    },
    |_, bytes, _, _| {
        let bytes: [u8; 6] = bytes.try_into().map_err(|_| wrong_length())?;
        let [a, b, c, d, e, f] = bytes;
        Ok(Datum::from(place(u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]))))
    },
    |info, datum, out, _| {
        let Some((block, offset)) = place_in(bytes(info, datum)?) else {
            return Err(SqlError::unsupported("the ctid of a row with a primary key has no binary form")
                .with_hint("Cast it to text, or name the row by its primary key."));
        };
        out.extend(block.to_be_bytes());
        out.extend(offset.to_be_bytes());
        Ok(())
    },
);

pub(super) fn types() -> Vec<TypeInfo> {
    const KIND: PhysicalKind = PhysicalKind::Bytes;
    vec![entry(oids::TID, oids::TID_ARRAY, "tid", "tid", Category::UserDefined, false, 6, KIND, TID)]
}
