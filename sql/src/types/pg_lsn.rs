//! `pg_lsn`: a place in the log, as two hexadecimal numbers of 32 bits each.
//!
//! A value is its eight bytes, most significant first, so that places have the order of the numbers.

use std::fmt::Write;

use super::scalar::{entry, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError};
use crate::value::{Datum, PhysicalKind};

/// The value of a place.
#[must_use]
pub fn of_place(place: u64) -> Datum {
    Datum::from(place.to_be_bytes().to_vec())
}

/// The place that a value is.
#[must_use]
pub fn place(datum: &Datum) -> Option<u64> {
    match datum {
        Datum::Bytes(bytes) => <[u8; 8]>::try_from(&bytes[..]).ok().map(u64::from_be_bytes),
        _ => None,
    }
}

fn parse(text: &str) -> Option<u64> {
    let half = |digits: &str| {
        let is_number =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_number { u64::from_str_radix(digits, 16).ok() } else { None }
    };
    let (high, low) = text.split_once('/')?;
    Some(half(high)? << 32 | half(low)?)
}

const PG_LSN: TypeOperations = operations(
    |info, text, _, _| parse(text).map(of_place).ok_or_else(|| SqlError::invalid_input(&info.name, text)),
    |info, datum, out, _| {
        let place = place(datum).ok_or_else(|| wrong_kind(info))?;
        let _ = write!(out, "{:X}/{:X}", place >> 32, place & u64::from(u32::MAX));
        Ok(())
    },
    |_, bytes, _, _| {
        let bytes: [u8; 8] = bytes.try_into().map_err(|_| wrong_length())?;
        Ok(Datum::from(bytes.to_vec()))
    },
    |info, datum, out, _| {
        let place: Result<u64> = place(datum).ok_or_else(|| wrong_kind(info));
        out.extend(place?.to_be_bytes());
        Ok(())
    },
);

pub(super) fn types() -> Vec<TypeInfo> {
    const KIND: PhysicalKind = PhysicalKind::Bytes;
    let category = Category::UserDefined;
    vec![entry(oids::PG_LSN, oids::PG_LSN_ARRAY, "pg_lsn", "pg_lsn", category, false, 8, KIND, PG_LSN)]
}
