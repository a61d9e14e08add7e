//! Functions of bytea: bits, bytes, trimming, placing.

use super::ScalarKernel;
use super::registry::{Entry, Registry};
use super::string::int4;
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{BYTEA, INT4, INT8};
use crate::value::Datum;

fn bytes(arguments: &[Datum], index: usize) -> Result<&[u8]> {
    match arguments.get(index) {
        Some(Datum::Bytes(bytes)) => Ok(bytes),
        _ => Err(wrong_arguments()),
    }
}

/// A byte's or bit's number, which must be among `count`.
fn place(arguments: &[Datum], count: usize) -> Result<usize> {
    let wanted = arguments[1].as_i64().ok_or_else(wrong_arguments)?;
    let place = usize::try_from(wanted).ok().filter(|place| *place < count);
    place.ok_or_else(|| {
        let message = format!("index {wanted} out of valid range, 0..{}", count as i64 - 1);
        SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
    })
}

/// The bytes without those of a set at their ends.
fn trimmed(arguments: &[Datum], front: bool, back: bool) -> Result<Datum> {
    let (mut value, set) = (bytes(arguments, 0)?, bytes(arguments, 1)?);
    while let ([first, rest @ ..], true) = (value, front)
        && set.contains(first)
    {
        value = rest;
    }
    while let ([rest @ .., last], true) = (value, back)
        && set.contains(last)
    {
        value = rest;
    }
    Ok(Datum::from(value.to_vec()))
}

fn overlay(arguments: &[Datum]) -> Result<Datum> {
    let (value, new) = (bytes(arguments, 0)?, bytes(arguments, 1)?);
    let start = int4(arguments, 2)?;
    if start <= 0 {
        return Err(SqlError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let length = if arguments.len() > 3 { int4(arguments, 3)? } else { new.len() as i32 };
    let after = start.checked_add(length).ok_or_else(|| SqlError::out_of_range("integer"))?;
    let before = &value[..value.len().min(start as usize - 1)];
    let rest = value.get((after.max(1) - 1) as usize..).unwrap_or(&[]);
    Ok(Datum::from([before, new, rest].concat()))
}

fn position(arguments: &[Datum]) -> Result<Datum> {
    let (value, wanted) = (bytes(arguments, 0)?, bytes(arguments, 1)?);
    if wanted.is_empty() {
        return Ok(Datum::Int32(1));
    }
    let found = value.windows(wanted.len()).position(|window| window == wanted);
    Ok(Datum::Int32(found.map_or(0, |at| at as i32 + 1)))
}

pub(super) fn register(registry: &mut Registry) {
    let mut add = |name: &'static str, arguments: &[u32], result, kernel: ScalarKernel| {
        registry.add(Entry::new(name, arguments, result, kernel));
    };
    add("btrim", &[BYTEA, BYTEA], BYTEA, |arguments, _| trimmed(arguments, true, true));
    add("ltrim", &[BYTEA, BYTEA], BYTEA, |arguments, _| trimmed(arguments, true, false));
    add("rtrim", &[BYTEA, BYTEA], BYTEA, |arguments, _| trimmed(arguments, false, true));
    add("overlay", &[BYTEA, BYTEA, INT4], BYTEA, |arguments, _| overlay(arguments));
    add("overlay", &[BYTEA, BYTEA, INT4, INT4], BYTEA, |arguments, _| overlay(arguments));
    add("position", &[BYTEA, BYTEA], INT4, |arguments, _| position(arguments));
    add("get_byte", &[BYTEA, INT4], INT4, |arguments, _| {
        let value = bytes(arguments, 0)?;
        Ok(Datum::Int32(i32::from(value[place(arguments, value.len())?])))
    });
    add("set_byte", &[BYTEA, INT4, INT4], BYTEA, |arguments, _| {
        let mut value = bytes(arguments, 0)?.to_vec();
        let at = place(arguments, value.len())?;
        value[at] = int4(arguments, 2)? as u8;
        Ok(Datum::from(value))
    });
    add("get_bit", &[BYTEA, INT8], INT4, |arguments, _| {
        let value = bytes(arguments, 0)?;
        let at = place(arguments, value.len() * 8)?;
        Ok(Datum::Int32(i32::from(value[at / 8] >> (at % 8) & 1)))
    });
    add("set_bit", &[BYTEA, INT8, INT4], BYTEA, |arguments, _| {
        let mut value = bytes(arguments, 0)?.to_vec();
        let at = place(arguments, value.len() * 8)?;
        match int4(arguments, 2)? {
            0 => value[at / 8] &= !(1 << (at % 8)),
            1 => value[at / 8] |= 1 << (at % 8),
            _ => return Err(SqlError::invalid_parameter("new bit must be 0 or 1")),
        }
        Ok(Datum::from(value))
    });
    add("bit_count", &[BYTEA], INT8, |arguments, _| {
        Ok(Datum::Int64(bytes(arguments, 0)?.iter().map(|byte| i64::from(byte.count_ones())).sum()))
    });
}
