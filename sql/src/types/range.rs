//! Range types: the values of another type, the subtype, between two ends.
//!
//! Text: `empty`, or the lower and the upper value between brackets, `[` and `]` where the value is included, `(` and `)`
//! where it is not; a value that is not there means without end. What has delimiters, quotes or spaces in it is quoted.
//! Binary: a byte of flags, and for each value its length as i32 and its binary form.
//!
//! Ranges of a discrete subtype have one form for equal sets of values, `[lower,upper)`; [`RangeShape::span`] makes it.

use super::datetime::calendar::{DATE_END, date_out_of_range, is_infinite_date};
use super::scalar::{cut_off, entry, is_space, operations, wrong_kind};
use super::{Category, Oid, TypeInfo, TypeOperations, TypeShape, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::span::spans;
use crate::value::{Bound, Datum, PhysicalKind, Span};
use std::borrow::Cow;
use std::cmp::Ordering;

/// What a range type is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeShape {
    pub subtype: Oid,
    /// The type of lists of such ranges.
    pub multirange: Oid,
    /// Whether each value of the subtype has a next one, so that `(1,3]` and `[2,4)` are the same.
    pub discrete: bool,
}

/// What the binary form says of a range.
mod flag {
    pub const EMPTY: u8 = 0x01;
    pub const LOWER_INCLUDED: u8 = 0x02;
    pub const UPPER_INCLUDED: u8 = 0x04;
    pub const NO_LOWER: u8 = 0x08;
    pub const NO_UPPER: u8 = 0x10;
}

impl RangeShape {
    /// The span between two ends, in the form that ranges of this type have; `None` for an empty one.
    ///
    /// # Errors
    /// 22000 if the lower end is above the upper one; 22003 and 22008 where a next value is out of range.
    pub fn span(&self, lower: Bound, upper: Bound) -> Result<Option<Span>> {
        if lower.as_lower().compare_values(&upper.as_upper()) == Ordering::Greater {
            return Err(SqlError::new(
                SqlState::DATA_EXCEPTION,
                "range lower bound must be less than or equal to range upper bound",
            ));
        }
        match Span::between(lower, upper) {
            Some(span) if self.discrete => {
                let lower = moved_up(span.lower, false)?;
                Ok(Span::between(lower, moved_up(span.upper, true)?))
            }
            span => Ok(span),
        }
    }

    /// The same as a value.
    ///
    /// # Errors
    /// As [`RangeShape::span`].
    pub fn range(&self, lower: Bound, upper: Bound) -> Result<Datum> {
        self.span(lower, upper).map(spans)
    }
}

/// An end at the next value, with the other inclusiveness, where its own is as `inclusive` says; else as it is.
fn moved_up(bound: Bound, inclusive: bool) -> Result<Bound> {
    if bound.is_infinite() || bound.inclusive != inclusive {
        return Ok(bound);
    }
    let value = match bound.value {
        // Nothing is next to these.
        Datum::Date(day) if is_infinite_date(day) => return Ok(bound),
        Datum::Date(day) if day + 1 < DATE_END => Datum::Date(day + 1),
        Datum::Date(_) => return Err(date_out_of_range()),
        Datum::Int32(value) => {
            Datum::Int32(value.checked_add(1).ok_or_else(|| SqlError::out_of_range("integer"))?)
        }
        Datum::Int64(value) => {
            Datum::Int64(value.checked_add(1).ok_or_else(|| SqlError::out_of_range("bigint"))?)
        }
        value => value,
    };
    Ok(Bound { value, inclusive: !inclusive })
}

impl TypeInfo {
    /// What it is made of, where this is a range type.
    #[must_use]
    pub fn range_shape(&self) -> Option<&RangeShape> {
        if let TypeShape::Range(shape) = &self.shape { Some(shape) } else { None }
    }
}

fn shape_of(info: &TypeInfo) -> Result<&RangeShape> {
    info.range_shape().ok_or_else(|| wrong_kind(info))
}

/// Why a text is no range.
type Complaint = &'static str;

/// The texts of two values, each `None` where the range has no end, and whether they are included.
struct Parts {
    lower: Option<String>,
    upper: Option<String>,
    lower_inclusive: bool,
    upper_inclusive: bool,
}

/// Divides a literal; `None` is the empty range.
fn divide(text: &str) -> std::result::Result<Option<Parts>, Complaint> {
    let mut rest = text.trim_start_matches(is_space);
    if let Some((word, behind)) = rest.split_at_checked(5)
        && word.eq_ignore_ascii_case("empty")
    {
        let is_all = behind.chars().all(is_space);
        return if is_all { Ok(None) } else { Err("Junk after \"empty\" key word.") };
    }
    let Some(opening @ ('[' | '(')) = rest.chars().next() else {
        return Err("Missing left parenthesis or bracket.");
    };
    rest = &rest[1..];
    let lower = take_value(&mut rest)?;
    rest = rest.strip_prefix(',').ok_or("Missing comma after lower bound.")?;
    let upper = take_value(&mut rest)?;
    let Some(closing @ (']' | ')')) = rest.chars().next() else { return Err("Too many commas.") };
    if !rest[1..].chars().all(is_space) {
        return Err("Junk after right parenthesis or bracket.");
    }
    Ok(Some(Parts { lower, upper, lower_inclusive: opening == '[', upper_inclusive: closing == ']' }))
}

/// Takes a value's text from the front, up to the delimiter.
fn take_value(rest: &mut &str) -> std::result::Result<Option<String>, Complaint> {
    const UNEXPECTED_END: Complaint = "Unexpected end of input.";
    if rest.starts_with([',', ')', ']']) {
        return Ok(None);
    }
    let (mut value, mut quoted) = (String::new(), false);
    let mut characters = rest.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | ')' | ']' if !quoted => {
                *rest = &rest[at..];
                return Ok(Some(value));
            }
            '\\' => value.push(characters.next().ok_or(UNEXPECTED_END)?.1),
            '"' if quoted && characters.next_if(|(_, next)| *next == '"').is_some() => value.push('"'),
            '"' => quoted = !quoted,
            other => value.push(other),
        }
    }
    Err(UNEXPECTED_END)
}

fn parse_range(info: &TypeInfo, text: &str, _: i32, context: &EvalContext<'_>) -> Result<Datum> {
    let shape = shape_of(info)?;
    let parts = divide(text).map_err(|complaint| {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed range literal: \"{text}\""))
            .with_detail(complaint)
    })?;
    let Some(parts) = parts else { return Ok(spans([])) };
    let subtype = context.type_info(shape.subtype)?;
    let parse = |value: Option<String>| match value {
        Some(value) => subtype.parse_text(&value, -1, context),
        None => Ok(Datum::Null),
    };
    let lower = Bound::new(parse(parts.lower)?, parts.lower_inclusive);
    let upper = Bound::new(parse(parts.upper)?, parts.upper_inclusive);
    shape.range(lower, upper)
}

/// Appends the text of a span.
pub(super) fn print_span(
    span: &Span,
    subtype: &TypeInfo,
    out: &mut String,
    context: &EvalContext<'_>,
) -> Result<()> {
    let print = |bound: &Bound, out: &mut String| -> Result<()> {
        if bound.is_infinite() {
            return Ok(());
        }
        let mut text = String::new();
        subtype.print_text(&bound.value, &mut text, context)?;
        push_value(&text, out);
        Ok(())
    };
    out.push(if span.lower.inclusive { '[' } else { '(' });
    print(&span.lower, out)?;
    out.push(',');
    print(&span.upper, out)?;
    out.push(if span.upper.inclusive { ']' } else { ')' });
    Ok(())
}

/// A value's text: quotes and backslashes are doubled inside quotes.
fn push_value(text: &str, out: &mut String) {
    let special = |character: char| {
        matches!(character, '"' | '\\' | '(' | ')' | '[' | ']' | ',') || is_space(character)
    };
    if !text.is_empty() && !text.contains(special) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push(character);
        }
        out.push(character);
    }
    out.push('"');
}

fn print_range(info: &TypeInfo, value: &Datum, out: &mut String, context: &EvalContext<'_>) -> Result<()> {
    match value.as_spans().ok_or_else(|| wrong_kind(info))? {
        [] => {
            out.push_str("empty");
            Ok(())
        }
        [span, ..] => print_span(span, context.type_info(shape_of(info)?.subtype)?, out, context),
    }
}

/// Takes a value and its length off the front.
pub(super) fn take_sized<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| cut_off())?;
    let (value, behind) = behind.split_at_checked(length).ok_or_else(cut_off)?;
    *rest = behind;
    Ok(value)
}

/// Appends what `write` does behind its length.
pub(super) fn write_sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A message that goes on behind its end.
pub(super) fn too_long() -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, "invalid message format")
}

/// Reads a range of a shape.
pub(super) fn read_span(shape: &RangeShape, bytes: &[u8], context: &EvalContext<'_>) -> Result<Option<Span>> {
    let (&flags, mut rest) = bytes
        .split_first()
        .ok_or_else(|| SqlError::new(SqlState::PROTOCOL_VIOLATION, "no data left in message"))?;
    let subtype = context.type_info(shape.subtype)?;
    let mut read = |absent: u8| {
        if flags & (flag::EMPTY | absent) != 0 {
            return Ok(Datum::Null);
        }
        subtype.read_binary(take_sized(&mut rest)?, -1, context)
    };
    let lower = Bound::new(read(flag::NO_LOWER)?, flags & flag::LOWER_INCLUDED != 0);
    let upper = Bound::new(read(flag::NO_UPPER)?, flags & flag::UPPER_INCLUDED != 0);
    if !rest.is_empty() {
        return Err(too_long());
    }
    if flags & flag::EMPTY != 0 { Ok(None) } else { shape.span(lower, upper) }
}

/// Appends the binary form of a range.
pub(super) fn write_span(
    shape: &RangeShape,
    span: Option<&Span>,
    out: &mut Vec<u8>,
    context: &EvalContext<'_>,
) -> Result<()> {
    let Some(span) = span else {
        out.push(flag::EMPTY);
        return Ok(());
    };
    let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
    out.push(
        flag(span.lower.inclusive, flag::LOWER_INCLUDED)
            | flag(span.upper.inclusive, flag::UPPER_INCLUDED)
            | flag(span.lower.is_infinite(), flag::NO_LOWER)
            | flag(span.upper.is_infinite(), flag::NO_UPPER),
    );
    let subtype = context.type_info(shape.subtype)?;
    for bound in [&span.lower, &span.upper] {
        if !bound.is_infinite() {
            write_sized(out, |out| subtype.write_binary(&bound.value, out, context))?;
        }
    }
    Ok(())
}

const RANGE: TypeOperations = operations(
    parse_range,
    print_range,
    |info, bytes, _, context| read_span(shape_of(info)?, bytes, context).map(spans),
    |info, value, out, context| {
        let held = value.as_spans().ok_or_else(|| wrong_kind(info))?;
        write_span(shape_of(info)?, held.first(), out, context)
    },
);

/// A user's range type.
#[must_use]
pub fn range_type(oid: Oid, array_oid: Oid, name: &str, sql_name: String, shape: RangeShape) -> TypeInfo {
    TypeInfo {
        oid,
        name: Cow::Owned(name.to_owned()),
        sql_name: Cow::Owned(sql_name),
        array_oid,
        category: Category::Range,
        preferred: false,
        length: -1,
        kind: PhysicalKind::Spans,
        shape: TypeShape::Range(shape),
        operations: RANGE,
    }
}

pub(super) fn types() -> Vec<TypeInfo> {
    use oids::*;
    let range = |oid, array_oid, name, subtype, multirange, discrete| TypeInfo {
        shape: TypeShape::Range(RangeShape { subtype, multirange, discrete }),
        ..entry(oid, array_oid, name, name, Category::Range, false, -1, PhysicalKind::Spans, RANGE)
    };
    vec![
        range(INT4RANGE, INT4RANGE_ARRAY, "int4range", INT4, INT4MULTIRANGE, true),
        range(INT8RANGE, INT8RANGE_ARRAY, "int8range", INT8, INT8MULTIRANGE, true),
        range(NUMRANGE, NUMRANGE_ARRAY, "numrange", NUMERIC, NUMMULTIRANGE, false),
        range(DATERANGE, DATERANGE_ARRAY, "daterange", DATE, DATEMULTIRANGE, true),
        range(TSRANGE, TSRANGE_ARRAY, "tsrange", TIMESTAMP, TSMULTIRANGE, false),
        range(TSTZRANGE, TSTZRANGE_ARRAY, "tstzrange", TIMESTAMPTZ, TSTZMULTIRANGE, false),
    ]
}
