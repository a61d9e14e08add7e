//! The stored form of single values, shared by rows (and by values inside arrays and records).
//!
//! Fixed-width kinds, little-endian:
//!
//! | kind | bytes |
//! |---|---|
//! | Bool, Char | 1 |
//! | Int16 | 2 |
//! | Int32, Float32, Date, Oid | 4 |
//! | Int64, Float64, Time, Timestamp, TimestampTz | 8 |
//! | TimeTz | 8 microseconds, 4 zone |
//! | Interval | 8 microseconds, 4 days, 4 months |
//! | Uuid | 16, in their written order |
//!
//! Variable-width kinds (their length is kept outside):
//!
//! - Text: UTF-8. Bytes: as they are.
//! - Numeric: `scale` as u16; where the scale's top two bits are set it is a special value and nothing follows
//!   (0xc000 NaN, 0xd000 infinity, 0xf000 -infinity); else the mantissa in two's complement, least byte first,
//!   in as few bytes as hold it (none for zero).
//! - Array: varint element type OID, varint number of dimensions, for each a varint length and the lower bound
//!   as i32; then the elements. Record: varint OID of its type, varint number of fields; for each a varint type OID, the i32 type modifier, a varint length and
//!   the name; then the fields. Jsonb: see `json/mod.rs`.
//! - Spans (ranges): varint number of spans, for each a byte (bits: 1 the lower value is included, 2 the upper one), and its
//!   lower and upper value as elements, NULL where there is none.
//! - An element or field: one tag byte, 0 for NULL, else 1 + its kind's number; then, for kinds of variable
//!   width, a varint length; then its bytes.

use super::array::Dimension;
use super::span::{Bound, Span};
use super::{
    ArrayValue, Datum, Interval, Jsonb, Numeric, PhysicalKind, RecordShape, RecordValue, Text, varint,
};
use crate::error::{Result, SqlError};
use crate::types::DataType;
use dashu_int::IBig;
use std::sync::Arc;

const NUMERIC_NAN: u16 = 0xc000;
const NUMERIC_INFINITY: u16 = 0xd000;
const NUMERIC_NEGATIVE_INFINITY: u16 = 0xf000;

const LOWER_INCLUDED: u8 = 1;
const UPPER_INCLUDED: u8 = 2;

/// The kinds by their stored numbers; only ever appended to.
const KINDS: [PhysicalKind; 22] = [
    PhysicalKind::Bool,
    PhysicalKind::Int16,
    PhysicalKind::Int32,
    PhysicalKind::Int64,
    PhysicalKind::Float32,
    PhysicalKind::Float64,
    PhysicalKind::Numeric,
    PhysicalKind::Text,
    PhysicalKind::Bytes,
    PhysicalKind::Date,
    PhysicalKind::Time,
    PhysicalKind::TimeTz,
    PhysicalKind::Timestamp,
    PhysicalKind::TimestampTz,
    PhysicalKind::Interval,
    PhysicalKind::Uuid,
    PhysicalKind::Oid,
    PhysicalKind::Char,
    PhysicalKind::Array,
    PhysicalKind::Record,
    PhysicalKind::Jsonb,
    PhysicalKind::Spans,
];

impl PhysicalKind {
    /// Its stored number.
    pub(crate) fn number(self) -> u8 {
        KINDS.iter().position(|known| *known == self).expect("every kind has a number") as u8
    }

    /// The kind of a stored number.
    pub(crate) fn numbered(number: u8) -> Option<PhysicalKind> {
        KINDS.get(usize::from(number)).copied()
    }
}

/// Bytes that are not a value of the kind they should be.
#[cold]
pub(crate) fn malformed(kind: PhysicalKind) -> SqlError {
    SqlError::corrupted(format!("stored {kind:?} value is malformed"))
}

/// Appends the bytes of a non-null value.
#[inline]
pub(crate) fn encode(datum: &Datum, out: &mut Vec<u8>) {
    match datum {
        Datum::Null => {}
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Int16(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Int32(value) | Datum::Date(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Int64(value) | Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => {
            out.extend_from_slice(&value.to_le_bytes());
        }
        Datum::Float32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Float64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Numeric(value) => encode_numeric(value, out),
        Datum::Text(value) => out.extend_from_slice(value.as_bytes()),
        Datum::Bytes(value) => out.extend_from_slice(value),
        Datum::TimeTz(time, zone) => {
            out.extend_from_slice(&time.to_le_bytes());
            out.extend_from_slice(&zone.to_le_bytes());
        }
        Datum::Interval(value) => {
            out.extend_from_slice(&value.micros.to_le_bytes());
            out.extend_from_slice(&value.days.to_le_bytes());
            out.extend_from_slice(&value.months.to_le_bytes());
        }
        Datum::Uuid(value) => out.extend_from_slice(value),
        Datum::Oid(value) => out.extend_from_slice(&value.to_le_bytes()),
        Datum::Char(value) => out.push(*value),
        Datum::Jsonb(value) => out.extend_from_slice(value.as_bytes()),
        Datum::Array(array) => {
            varint::write(array.element_type, out);
            varint::write(array.dimensions.len() as u32, out);
            for dimension in &array.dimensions {
                varint::write(dimension.length as u32, out);
                out.extend_from_slice(&dimension.lower_bound.to_le_bytes());
            }
            for element in &array.elements {
                encode_element(element, out);
            }
        }
        Datum::Spans(spans) => {
            varint::write(spans.len() as u32, out);
            for span in spans.iter() {
                let upper = if span.upper.inclusive { UPPER_INCLUDED } else { 0 };
                out.push(upper | if span.lower.inclusive { LOWER_INCLUDED } else { 0 });
                encode_element(&span.lower.value, out);
                encode_element(&span.upper.value, out);
            }
        }
        Datum::Record(fields) => {
            varint::write(fields.shape.type_oid, out);
            varint::write(fields.len() as u32, out);
            for (name, data_type) in &fields.shape.fields {
                varint::write(data_type.oid, out);
                out.extend_from_slice(&data_type.typmod.to_le_bytes());
                varint::write(name.len() as u32, out);
                out.extend_from_slice(name.as_bytes());
            }
            for field in fields.iter() {
                encode_element(field, out);
            }
        }
    }
}

fn encode_element(element: &Datum, out: &mut Vec<u8>) {
    let Some(kind) = element.kind() else {
        out.push(0);
        return;
    };
    out.push(kind.number() + 1);
    if kind.fixed_width().is_some() {
        encode(element, out);
    } else {
        let mut bytes = Vec::new();
        encode(element, &mut bytes);
        varint::write(bytes.len() as u32, out);
        out.extend_from_slice(&bytes);
    }
}

fn encode_numeric(value: &Numeric, out: &mut Vec<u8>) {
    match value {
        Numeric::Small { mantissa, scale } => {
            out.extend_from_slice(&scale.to_le_bytes());
            let bytes = mantissa.to_le_bytes();
            // Bits needed with a sign bit, rounded up to bytes.
            let spare = if *mantissa < 0 { mantissa.leading_ones() } else { mantissa.leading_zeros() };
            let length = if *mantissa == 0 { 0 } else { (128 - spare as usize) / 8 + 1 };
            out.extend_from_slice(&bytes[..length]);
        }
        Numeric::Big(big) => {
            out.extend_from_slice(&big.scale.to_le_bytes());
            out.extend_from_slice(&big.mantissa.to_le_bytes());
        }
        Numeric::NaN => out.extend_from_slice(&NUMERIC_NAN.to_le_bytes()),
        Numeric::Infinity => out.extend_from_slice(&NUMERIC_INFINITY.to_le_bytes()),
        Numeric::NegativeInfinity => out.extend_from_slice(&NUMERIC_NEGATIVE_INFINITY.to_le_bytes()),
    }
}

/// Reads the numeric that is the whole of `bytes`.
#[inline]
pub(crate) fn decode_numeric(bytes: &[u8]) -> Result<Numeric> {
    let (scale, mantissa) = bytes.split_first_chunk::<2>().ok_or_else(|| malformed(PhysicalKind::Numeric))?;
    let scale = u16::from_le_bytes(*scale);
    match scale {
        NUMERIC_NAN => Ok(Numeric::NaN),
        NUMERIC_INFINITY => Ok(Numeric::Infinity),
        NUMERIC_NEGATIVE_INFINITY => Ok(Numeric::NegativeInfinity),
        _ if scale >= NUMERIC_NAN => Err(malformed(PhysicalKind::Numeric)),
        _ if mantissa.len() <= 16 => {
            let negative = mantissa.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut padded = if negative { [0xff; 16] } else { [0; 16] };
            padded[..mantissa.len()].copy_from_slice(mantissa);
            Ok(Numeric::Small { mantissa: i128::from_le_bytes(padded), scale })
        }
        _ => Ok(Numeric::from_big(IBig::from_le_bytes(mantissa), scale)),
    }
}

/// Mantissa and scale of a numeric that is an ordinary number of up to 8 bytes, as nearly all are; `None` leaves it to
/// [`decode_numeric`].
#[inline]
pub(crate) fn decode_short_numeric(bytes: &[u8]) -> Option<(i64, u16)> {
    let (scale, mantissa) = bytes.split_first_chunk::<2>()?;
    let scale = u16::from_le_bytes(*scale);
    if scale >= NUMERIC_NAN {
        return None;
    }
    let length = mantissa.len();
    // Loads that overlap, instead of a copy into eight bytes, which the load would have to wait for.
    let unsigned = match *mantissa {
        [] => return Some((0, scale)),
        [first] => u64::from(first),
        [first, second] => u64::from(u16::from_le_bytes([first, second])),
        [first, second, third] => u64::from(u32::from_le_bytes([first, second, third, 0])),
        _ if length <= 8 => {
            let low = u32::from_le_bytes(*mantissa.first_chunk()?);
            let high = u32::from_le_bytes(*mantissa.last_chunk()?);
            u64::from(low) | u64::from(high) << (8 * (length - 4))
        }
        _ => return None,
    };
    let spare = 64 - 8 * length as u32;
    Some(((unsigned << spare) as i64 >> spare, scale))
}

/// The same of the numeric that lies in `bytes` from `start` to `end`. Where there are further bytes behind it, as there mostly
/// are, no branch depends on its length.
#[inline(always)]
pub(crate) fn decode_short_numeric_at(bytes: &[u8], start: usize, end: usize) -> Option<(i64, u16)> {
    const LONGEST: usize = 10;
    let length = end.checked_sub(start)?;
    let Some(window) = bytes.get(start..)?.first_chunk::<LONGEST>() else {
        return decode_short_numeric(bytes.get(start..end)?);
    };
    let [low, high, mantissa @ ..] = *window;
    let scale = u16::from_le_bytes([low, high]);
    if !(2..=LONGEST).contains(&length) || scale >= NUMERIC_NAN {
        return None;
    }
    // By up to 64 bits, which is more than one shift can.
    let spare = 8 * (LONGEST - length) as u32;
    let (some, rest) = (spare / 2, spare - spare / 2);
    Some(((u64::from_le_bytes(mantissa) << some << rest) as i64 >> some >> rest, scale))
}

/// Reads the text that is the whole of `bytes`.
#[inline]
pub(crate) fn decode_text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| malformed(PhysicalKind::Text))
}

/// Reads the value that is the whole of `bytes`.
#[inline]
pub(crate) fn decode(kind: PhysicalKind, bytes: &[u8]) -> Result<Datum> {
    macro_rules! fixed {
        ($variant:ident, $native:ty) => {
            match bytes.try_into() {
                Ok(bytes) => Ok(Datum::$variant(<$native>::from_le_bytes(bytes))),
                Err(_) => Err(malformed(kind)),
            }
        };
    }
    match kind {
        PhysicalKind::Bool => match bytes {
            [byte @ (0 | 1)] => Ok(Datum::Bool(*byte == 1)),
            _ => Err(malformed(kind)),
        },
        PhysicalKind::Int16 => fixed!(Int16, i16),
        PhysicalKind::Int32 => fixed!(Int32, i32),
        PhysicalKind::Int64 => fixed!(Int64, i64),
        PhysicalKind::Float32 => fixed!(Float32, f32),
        PhysicalKind::Float64 => fixed!(Float64, f64),
        PhysicalKind::Date => fixed!(Date, i32),
        PhysicalKind::Time => fixed!(Time, i64),
        PhysicalKind::Timestamp => fixed!(Timestamp, i64),
        PhysicalKind::TimestampTz => fixed!(TimestampTz, i64),
        PhysicalKind::Oid => fixed!(Oid, u32),
        PhysicalKind::Char => fixed!(Char, u8),
        PhysicalKind::Numeric => decode_numeric(bytes).map(Datum::Numeric),
        PhysicalKind::Text => Ok(Datum::Text(Text::new(decode_text(bytes)?))),
        PhysicalKind::Bytes => Ok(Datum::Bytes(Arc::from(bytes))),
        PhysicalKind::TimeTz => {
            let (time, zone) = decode_time_tz(bytes)?;
            Ok(Datum::TimeTz(time, zone))
        }
        PhysicalKind::Interval => decode_interval(bytes).map(Datum::Interval),
        PhysicalKind::Uuid => bytes.try_into().map(Datum::Uuid).map_err(|_| malformed(kind)),
        PhysicalKind::Array => decode_array(bytes).map(|array| Datum::Array(Arc::new(array))),
        PhysicalKind::Record => decode_record(bytes).map(Datum::from),
        PhysicalKind::Jsonb => Ok(Datum::Jsonb(Jsonb::from_bytes(bytes))),
        PhysicalKind::Spans => decode_spans(bytes).map(|spans| Datum::Spans(Arc::from(spans))),
    }
}

pub(crate) fn decode_time_tz(bytes: &[u8]) -> Result<(i64, i32)> {
    let bytes: &[u8; 12] = bytes.try_into().map_err(|_| malformed(PhysicalKind::TimeTz))?;
    let (time, zone) = bytes.split_first_chunk::<8>().ok_or_else(|| malformed(PhysicalKind::TimeTz))?;
    let zone = zone.try_into().map_err(|_| malformed(PhysicalKind::TimeTz))?;
    Ok((i64::from_le_bytes(*time), i32::from_le_bytes(zone)))
}

pub(crate) fn decode_interval(bytes: &[u8]) -> Result<Interval> {
    let bytes: &[u8; 16] = bytes.try_into().map_err(|_| malformed(PhysicalKind::Interval))?;
    let [micros @ .., d0, d1, d2, d3, m0, m1, m2, m3] = *bytes;
    Ok(Interval {
        micros: i64::from_le_bytes(micros),
        days: i32::from_le_bytes([d0, d1, d2, d3]),
        months: i32::from_le_bytes([m0, m1, m2, m3]),
    })
}

/// A value as it is stored within arrays.
pub(crate) fn element_bytes(element: &Datum) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_element(element, &mut bytes);
    bytes
}

/// Whether a stored array has elements whose bytes are these, all of them.
pub(crate) fn array_has(bytes: &[u8], wanted: &[Vec<u8>]) -> Result<bool> {
    let fail = || malformed(PhysicalKind::Array);
    let mut position = 0;
    varint::read(bytes, &mut position)?;
    for _ in 0..varint::read(bytes, &mut position)? {
        varint::read(bytes, &mut position)?;
        position += 4;
    }
    let elements = bytes.get(position..).ok_or_else(fail)?;
    for element in wanted {
        let (mut at, mut found) = (0, false);
        while at < elements.len() && !found {
            let start = at;
            skip_element(elements, &mut at)?;
            found = elements[start..at] == **element;
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Steps over an element.
#[inline]
fn skip_element(bytes: &[u8], position: &mut usize) -> Result<()> {
    let fail = || malformed(PhysicalKind::Array);
    let tag = *bytes.get(*position).ok_or_else(fail)?;
    *position += 1;
    if tag > 0 {
        let kind = *KINDS.get(usize::from(tag) - 1).ok_or_else(fail)?;
        let length = match kind.fixed_width() {
            Some(width) => width,
            None => varint::read(bytes, position)? as usize,
        };
        *position = position.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(fail)?;
    }
    Ok(())
}

fn decode_array(bytes: &[u8]) -> Result<ArrayValue> {
    let fail = || malformed(PhysicalKind::Array);
    let mut position = 0;
    let element_type = varint::read(bytes, &mut position)?;
    let dimension_count = varint::read(bytes, &mut position)?;
    let mut dimensions = Vec::new();
    let mut element_count = usize::from(dimension_count > 0);
    for _ in 0..dimension_count {
        let length = varint::read(bytes, &mut position)?;
        let bound = bytes.get(position..).and_then(|rest| rest.first_chunk::<4>()).ok_or_else(fail)?;
        position += 4;
        let length = i32::try_from(length).map_err(|_| fail())?;
        element_count = element_count.checked_mul(length as usize).ok_or_else(fail)?;
        dimensions.push(Dimension { length, lower_bound: i32::from_le_bytes(*bound) });
    }
    let elements = decode_elements(bytes, &mut position, element_count, PhysicalKind::Array)?;
    Ok(ArrayValue { element_type, dimensions, elements })
}

fn decode_record(bytes: &[u8]) -> Result<RecordValue> {
    let fail = || malformed(PhysicalKind::Record);
    let mut position = 0;
    let type_oid = varint::read(bytes, &mut position)?;
    let count = varint::read(bytes, &mut position)?;
    let mut shape = RecordShape { type_oid, fields: Vec::new() };
    for _ in 0..count {
        let oid = varint::read(bytes, &mut position)?;
        let typmod = bytes.get(position..).and_then(|rest| rest.first_chunk::<4>()).ok_or_else(fail)?;
        let data_type = DataType { oid, typmod: i32::from_le_bytes(*typmod) };
        position += 4;
        let length = varint::read(bytes, &mut position)? as usize;
        let end = position.checked_add(length).ok_or_else(fail)?;
        let name = decode_text(bytes.get(position..end).ok_or_else(fail)?)?;
        shape.fields.push((Text::new(name), data_type));
        position = end;
    }
    let fields = decode_elements(bytes, &mut position, count as usize, PhysicalKind::Record)?;
    Ok(RecordValue { fields, shape: Arc::new(shape) })
}

fn decode_spans(bytes: &[u8]) -> Result<Vec<Span>> {
    const KIND: PhysicalKind = PhysicalKind::Spans;
    let mut position = 0;
    let count = varint::read(bytes, &mut position)? as usize;
    // Each span takes three bytes at least.
    if count > bytes.len() / 3 {
        return Err(malformed(KIND));
    }
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let included = *bytes.get(position).ok_or_else(|| malformed(KIND))?;
        position += 1;
        let lower = Bound::new(decode_element(bytes, &mut position, KIND)?, included & LOWER_INCLUDED != 0);
        let upper = Bound::new(decode_element(bytes, &mut position, KIND)?, included & UPPER_INCLUDED != 0);
        spans.push(Span { lower, upper });
    }
    if position == bytes.len() { Ok(spans) } else { Err(malformed(KIND)) }
}

fn decode_elements(
    bytes: &[u8],
    position: &mut usize,
    count: usize,
    outer: PhysicalKind,
) -> Result<Vec<Datum>> {
    // Each element takes a byte at least, which bounds the allocation by what is really there.
    if count > bytes.len() {
        return Err(malformed(outer));
    }
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(decode_element(bytes, position, outer)?);
    }
    if *position == bytes.len() { Ok(elements) } else { Err(malformed(outer)) }
}

fn decode_element(bytes: &[u8], position: &mut usize, outer: PhysicalKind) -> Result<Datum> {
    let tag = *bytes.get(*position).ok_or_else(|| malformed(outer))?;
    *position += 1;
    if tag == 0 {
        return Ok(Datum::Null);
    }
    let kind = *KINDS.get(usize::from(tag) - 1).ok_or_else(|| malformed(outer))?;
    let length = match kind.fixed_width() {
        Some(width) => width,
        None => varint::read(bytes, position)? as usize,
    };
    let end = position.checked_add(length).ok_or_else(|| malformed(outer))?;
    let value = decode(kind, bytes.get(*position..end).ok_or_else(|| malformed(outer))?)?;
    *position = end;
    Ok(value)
}
