//! Ordered keys: bytes whose plain comparison is the order of the values.
//!
//! A key is its columns' encodings end to end. Each begins with a marker: for NULL 0x00 (NULLS FIRST) or 0xff
//! (NULLS LAST), for a value 0x80. A value's bytes follow, all inverted where the column is DESC:
//!
//! - Bool, Char: one byte. Oid, Uuid: big-endian.
//! - Signed integers, Date, Time, Timestamp(Tz): big-endian with the sign bit flipped.
//! - Floats: big-endian bits; the sign bit flipped where positive, all bits where negative. -0 is stored as 0,
//!   every NaN as one that is above all.
//! - Text: its UTF-8 (whose order is that of collation C), then 0x00; char(n) without its trailing blanks.
//! - Bytes: 0x00 becomes 0x00 0xff; then 0x00 0x01.
//! - TimeTz: the time in UTC, then the zone. Interval: its span (months of 30 days) as 16 bytes.
//! - Numeric: see `key_numeric.rs`.
//! - Jsonb: see `json/compare.rs`.
//! - Spans (ranges): each span as 0x01 and its ends; then 0x00. An end is 0x00 before all values, 0x02 behind them, else
//!   0x01, the value's bytes, and 0x00, 0x01 or 0x02: right before the value, at it, right behind it.
//! - Array: each element as a key column after 0x01, then 0x00; then the dimensions. Record: its fields.
//!
//! Equal values have equal keys, so a unique index is exact; where that loses something (a numeric's display
//! scale, an interval's parts, -0) [`KeyColumn::is_lossless`] says so.

use super::span::Place;
use super::{Column, ColumnData, Datum, Interval, PhysicalKind, Text, json, key_numeric};
use crate::error::{Result, SqlError};
use crate::types::{DataType, oids};
use std::sync::Arc;

/// What a NULL that comes first begins with.
pub const MARK_NULL_FIRST: u8 = 0x00;
/// What a value begins with.
pub const MARK_VALUE: u8 = 0x80;
/// What a NULL that comes last begins with.
pub const MARK_NULL_LAST: u8 = 0xff;

/// One column of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    pub data_type: DataType,
    pub kind: PhysicalKind,
    pub descending: bool,
    pub nulls_first: bool,
}

impl KeyColumn {
    /// An ascending column with NULLs last: SQL's default.
    #[must_use]
    pub fn ascending(data_type: DataType, kind: PhysicalKind) -> KeyColumn {
        KeyColumn { data_type, kind, descending: false, nulls_first: false }
    }

    /// Whether decoding gives back exactly what was encoded, so that an index alone can answer for the column.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        match self.kind {
            PhysicalKind::Numeric => self.data_type.numeric_precision_scale().is_some(),
            PhysicalKind::Text => {
                self.data_type.oid != oids::BPCHAR || self.data_type.character_length().is_some()
            }
            PhysicalKind::Float32
            | PhysicalKind::Float64
            | PhysicalKind::Interval
            | PhysicalKind::Array
            | PhysicalKind::Record
            | PhysicalKind::Jsonb
            | PhysicalKind::Spans => false,
            _ => true,
        }
    }
}

/// Appends a key column's bytes.
#[inline]
pub fn encode(column: &KeyColumn, value: &Datum, out: &mut Vec<u8>) {
    if value.is_null() {
        out.push(if column.nulls_first { MARK_NULL_FIRST } else { MARK_NULL_LAST });
        return;
    }
    out.push(MARK_VALUE);
    let start = out.len();
    if column.data_type.oid == oids::BPCHAR
        && let Datum::Text(text) = value
    {
        out.extend_from_slice(text.trim_end_matches(' ').as_bytes());
        out.push(0);
    } else {
        encode_value(value, out);
    }
    if column.descending {
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
}

/// Appends a key column's bytes of one row; the usual kinds without making a datum. With `wide` equal numbers of all
/// integer kinds get equal keys, and those of both float kinds.
#[inline]
pub fn encode_at(column: &KeyColumn, values: &Column, row: usize, wide: bool, out: &mut Vec<u8>) {
    let at = values.stored_index(row);
    let start = out.len() + 1;
    let is_valid = !values.is_null(row);
    let signed64 = |value: i64, out: &mut Vec<u8>| {
        out.push(MARK_VALUE);
        out.extend_from_slice(&(value as u64 ^ 1 << 63).to_be_bytes());
    };
    match values.data() {
        ColumnData::Int16(numbers) if is_valid && wide => signed64(i64::from(numbers[at]), out),
        ColumnData::Int32(numbers) if is_valid && wide => signed64(i64::from(numbers[at]), out),
        ColumnData::Int32(numbers) | ColumnData::Date(numbers) if is_valid => {
            out.push(MARK_VALUE);
            out.extend_from_slice(&(numbers[at] as u32 ^ 1 << 31).to_be_bytes());
        }
        ColumnData::Int64(numbers)
        | ColumnData::Time(numbers)
        | ColumnData::Timestamp(numbers)
        | ColumnData::TimestampTz(numbers)
            if is_valid =>
        {
            signed64(numbers[at], out);
        }
        ColumnData::Text(texts) if is_valid && column.data_type.oid != oids::BPCHAR => {
            out.push(MARK_VALUE);
            out.extend_from_slice(texts.get(at).as_bytes());
            out.push(0);
        }
        ColumnData::Text(texts) if is_valid => {
            out.push(MARK_VALUE);
            out.extend_from_slice(texts.get(at).trim_end_matches(' ').as_bytes());
            out.push(0);
        }
        ColumnData::Float32(numbers) if is_valid && wide => {
            return encode(column, &Datum::Float64(f64::from(numbers[at])), out);
        }
        _ => return encode(column, &values.get(row), out),
    }
    if column.descending {
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
}

/// Appends a whole key.
pub fn encode_all<'a>(columns: &[KeyColumn], values: impl IntoIterator<Item = &'a Datum>, out: &mut Vec<u8>) {
    for (column, value) in columns.iter().zip(values) {
        encode(column, value, out);
    }
}

#[inline]
fn encode_value(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => {}
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Char(value) => out.push(*value),
        Datum::Int16(value) => out.extend_from_slice(&(*value as u16 ^ 1 << 15).to_be_bytes()),
        Datum::Int32(value) | Datum::Date(value) => {
            out.extend_from_slice(&(*value as u32 ^ 1 << 31).to_be_bytes());
        }
        Datum::Int64(value) | Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => {
            out.extend_from_slice(&(*value as u64 ^ 1 << 63).to_be_bytes());
        }
        Datum::Oid(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Uuid(value) => out.extend_from_slice(value),
        Datum::Float32(value) => {
            let value = if value.is_nan() { f32::NAN.abs() } else { *value + 0.0 };
            let bits = value.to_bits();
            out.extend_from_slice(&(if bits >> 31 == 0 { bits ^ 1 << 31 } else { !bits }).to_be_bytes());
        }
        Datum::Float64(value) => {
            let value = if value.is_nan() { f64::NAN.abs() } else { *value + 0.0 };
            let bits = value.to_bits();
            out.extend_from_slice(&(if bits >> 63 == 0 { bits ^ 1 << 63 } else { !bits }).to_be_bytes());
        }
        Datum::Text(value) => {
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
        Datum::Bytes(value) => {
            for &byte in value.iter() {
                out.push(byte);
                if byte == 0 {
                    out.push(0xff);
                }
            }
            out.extend_from_slice(&[0, 1]);
        }
        Datum::TimeTz(time, zone) => {
            let utc = time + i64::from(*zone) * 1_000_000;
            out.extend_from_slice(&(utc as u64 ^ 1 << 63).to_be_bytes());
            out.extend_from_slice(&(*zone as u32 ^ 1 << 31).to_be_bytes());
        }
        Datum::Interval(value) => out.extend_from_slice(&(value.span() as u128 ^ 1 << 127).to_be_bytes()),
        Datum::Numeric(value) => key_numeric::encode(value, out),
        Datum::Array(array) => {
            for element in &array.elements {
                out.push(1);
                encode_nested(element, out);
            }
            out.push(0);
            out.extend_from_slice(&(array.dimensions.len() as u32).to_be_bytes());
            for dimension in &array.dimensions {
                out.extend_from_slice(&dimension.length.to_be_bytes());
                out.extend_from_slice(&(dimension.lower_bound as u32 ^ 1 << 31).to_be_bytes());
            }
        }
        Datum::Jsonb(value) => json::encode_key(value.root(), out),
        Datum::Spans(spans) => {
            for span in spans.iter() {
                out.push(1);
                encode_place(span.lower.as_lower(), out);
                encode_place(span.upper.as_upper(), out);
            }
            out.push(0);
        }
        Datum::Record(fields) => {
            for field in fields.iter() {
                out.push(1);
                encode_nested(field, out);
            }
            out.push(0);
        }
    }
}

/// An element of an array or record: as a key column, NULLs last.
fn encode_nested(element: &Datum, out: &mut Vec<u8>) {
    if element.is_null() {
        out.push(MARK_NULL_LAST);
    } else {
        out.push(MARK_VALUE);
        encode_value(element, out);
    }
}

/// An end of a range: bytes in the order of ends.
fn encode_place(place: Place<'_>, out: &mut Vec<u8>) {
    out.push((place.beyond + 1).cast_unsigned());
    if place.beyond == 0 {
        encode_value(place.value, out);
        out.push((place.beside + 1).cast_unsigned());
    }
}

/// The least key above every key that begins with `prefix`, `None` if there is none: the end of a prefix scan.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Reads one key column at the front of `bytes`, which moves past it.
///
/// # Errors
/// XX001 if the bytes are no such key; 0A000 for kinds that cannot be decoded (see
/// [`KeyColumn::is_lossless`]): arrays, records, ranges and jsonb.
pub fn decode(column: &KeyColumn, bytes: &mut &[u8]) -> Result<Datum> {
    let (&mark, rest) = bytes.split_first().ok_or_else(malformed)?;
    *bytes = rest;
    match mark {
        MARK_NULL_FIRST | MARK_NULL_LAST => return Ok(Datum::Null),
        MARK_VALUE => {}
        _ => return Err(malformed()),
    }
    let value = decode_value(column.kind, bytes, if column.descending { 0xff } else { 0 })?;
    Ok(match (value, column.data_type.character_length(), column.data_type.numeric_precision_scale()) {
        (Datum::Text(text), Some(length), _) if column.data_type.oid == oids::BPCHAR => {
            let missing = (length as usize).saturating_sub(text.chars().count());
            Datum::text(format!("{text}{}", " ".repeat(missing)))
        }
        (Datum::Numeric(value), _, Some((_, scale))) => {
            Datum::Numeric(value.with_scale(u16::try_from(scale).unwrap_or(0)))
        }
        (value, ..) => value,
    })
}

/// Takes `N` bytes off the front, undoing a descending column's inversion.
fn take<const N: usize>(bytes: &mut &[u8], invert: u8) -> Result<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk::<N>().ok_or_else(malformed)?;
    *bytes = rest;
    Ok(chunk.map(|byte| byte ^ invert))
}

/// Takes bytes up to a terminator.
fn take_until_zero(bytes: &mut &[u8], invert: u8) -> Result<Vec<u8>> {
    let end = bytes.iter().position(|&byte| byte == invert).ok_or_else(malformed)?;
    let text = bytes[..end].iter().map(|byte| byte ^ invert).collect();
    *bytes = &bytes[end + 1..];
    Ok(text)
}

fn decode_value(kind: PhysicalKind, bytes: &mut &[u8], invert: u8) -> Result<Datum> {
    let signed32 = |bytes: [u8; 4]| (u32::from_be_bytes(bytes) ^ 1 << 31) as i32;
    let signed64 = |bytes: [u8; 8]| (u64::from_be_bytes(bytes) ^ 1 << 63) as i64;
    Ok(match kind {
        PhysicalKind::Bool => Datum::Bool(take::<1>(bytes, invert)?[0] != 0),
        PhysicalKind::Char => Datum::Char(take::<1>(bytes, invert)?[0]),
        PhysicalKind::Int16 => Datum::Int16((u16::from_be_bytes(take(bytes, invert)?) ^ 1 << 15) as i16),
        PhysicalKind::Int32 => Datum::Int32(signed32(take(bytes, invert)?)),
        PhysicalKind::Date => Datum::Date(signed32(take(bytes, invert)?)),
        PhysicalKind::Int64 => Datum::Int64(signed64(take(bytes, invert)?)),
        PhysicalKind::Time => Datum::Time(signed64(take(bytes, invert)?)),
        PhysicalKind::Timestamp => Datum::Timestamp(signed64(take(bytes, invert)?)),
        PhysicalKind::TimestampTz => Datum::TimestampTz(signed64(take(bytes, invert)?)),
        PhysicalKind::Oid => Datum::Oid(u32::from_be_bytes(take(bytes, invert)?)),
        PhysicalKind::Uuid => Datum::Uuid(take(bytes, invert)?),
        PhysicalKind::Float32 => {
            let bits = u32::from_be_bytes(take(bytes, invert)?);
            Datum::Float32(f32::from_bits(if bits >> 31 == 1 { bits ^ 1 << 31 } else { !bits }))
        }
        PhysicalKind::Float64 => {
            let bits = u64::from_be_bytes(take(bytes, invert)?);
            Datum::Float64(f64::from_bits(if bits >> 63 == 1 { bits ^ 1 << 63 } else { !bits }))
        }
        PhysicalKind::Text => {
            let text = take_until_zero(bytes, invert)?;
            Datum::Text(Text::from(String::from_utf8(text).map_err(|_| malformed())?))
        }
        PhysicalKind::Bytes => {
            let mut value = Vec::new();
            loop {
                let [byte] = take::<1>(bytes, invert)?;
                if byte != 0 {
                    value.push(byte);
                    continue;
                }
                match take::<1>(bytes, invert)? {
                    [0xff] => value.push(0),
                    [1] => break,
                    _ => return Err(malformed()),
                }
            }
            Datum::Bytes(Arc::from(value))
        }
        PhysicalKind::TimeTz => {
            let utc = signed64(take(bytes, invert)?);
            let zone = signed32(take(bytes, invert)?);
            Datum::TimeTz(utc - i64::from(zone) * 1_000_000, zone)
        }
        PhysicalKind::Interval => {
            let span = (u128::from_be_bytes(take(bytes, invert)?) ^ 1 << 127) as i128;
            let days = span / 86_400_000_000;
            let micros = span % 86_400_000_000;
            let parts = (i32::try_from(days / 30), i32::try_from(days % 30), i64::try_from(micros));
            let (Ok(months), Ok(days), Ok(micros)) = parts else { return Err(malformed()) };
            Datum::Interval(Interval { months, days, micros })
        }
        PhysicalKind::Numeric => Datum::Numeric(key_numeric::decode(bytes, invert)?),
        PhysicalKind::Array | PhysicalKind::Record | PhysicalKind::Jsonb | PhysicalKind::Spans => {
            let message = "arrays, records, ranges and jsonb cannot be read back from an index";
            return Err(SqlError::unsupported(message));
        }
    })
}

#[cold]
pub(super) fn malformed() -> SqlError {
    SqlError::new(crate::error::SqlState::INDEX_CORRUPTED, "stored key is malformed")
}
