//! Multirange types: lists of ranges in order, which neither overlap nor touch.
//!
//! Text: the ranges between braces, behind commas. Binary: how many there are as i32, and for each its length as i32 and
//! its binary form.

use super::range::{print_span, read_span, take_sized, too_long, write_sized, write_span};
use super::scalar::{cut_off, entry, is_space, operations, wrong_kind};
use super::{Category, Oid, RangeShape, TypeCatalog, TypeInfo, TypeOperations, TypeShape, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::span::spans;
use crate::value::span_set::normalized;
use crate::value::{Datum, PhysicalKind};
use std::borrow::Cow;

impl TypeInfo {
    /// The type of its ranges, where this is a multirange type.
    #[must_use]
    pub fn range_of_multirange(&self) -> Option<Oid> {
        if let TypeShape::Multirange { range } = self.shape { Some(range) } else { None }
    }
}

/// What the ranges of a range or multirange type are made of.
#[must_use]
pub fn range_shape(oid: Oid, types: &dyn TypeCatalog) -> Option<RangeShape> {
    let info = types.type_by_oid(oid)?;
    let range = match info.range_of_multirange() {
        Some(range) => types.type_by_oid(range)?,
        None => info,
    };
    range.range_shape().copied()
}

fn shape_of(info: &TypeInfo, context: &EvalContext<'_>) -> Result<RangeShape> {
    range_shape(info.oid, context.types).ok_or_else(|| wrong_kind(info))
}

/// Why a text is no multirange.
type Complaint = &'static str;

/// Divides a literal into those of its ranges, without the empty ones.
fn divide(text: &str) -> std::result::Result<Vec<&str>, Complaint> {
    let mut rest = text.trim_start_matches(is_space);
    rest = rest.strip_prefix('{').ok_or("Missing left brace.")?;
    let (mut ranges, mut is_first) = (Vec::new(), true);
    loop {
        rest = rest.trim_start_matches(is_space);
        if rest.starts_with(['[', '(']) {
            let end = end_of_range(rest)?;
            ranges.push(&rest[..end]);
            rest = &rest[end..];
        } else if rest.starts_with('}') && is_first {
            break;
        } else if rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("empty")) {
            rest = &rest[5..];
        } else if rest.is_empty() {
            return Err("Unexpected end of input.");
        } else {
            return Err("Expected range start.");
        }
        is_first = false;
        rest = rest.trim_start_matches(is_space);
        match rest.chars().next() {
            Some(',') => rest = &rest[1..],
            Some('}') => break,
            Some(_) => return Err("Expected comma or end of multirange."),
            None => return Err("Unexpected end of input."),
        }
    }
    let is_all = rest[1..].chars().all(is_space);
    if is_all { Ok(ranges) } else { Err("Junk after closing right brace.") }
}

/// Where a range ends that the text begins with: behind the first closing bracket that is not quoted.
fn end_of_range(text: &str) -> std::result::Result<usize, Complaint> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // Two in a row inside quotes end and begin them.
            '"' => quoted = !quoted,
            ']' | ')' if !quoted => return Ok(at + 1),
            _ => {}
        }
    }
    Err("Unexpected end of input.")
}

fn parse_multirange(info: &TypeInfo, text: &str, _: i32, context: &EvalContext<'_>) -> Result<Datum> {
    let range = context.type_info(info.range_of_multirange().ok_or_else(|| wrong_kind(info))?)?;
    let ranges = divide(text).map_err(|complaint| {
        SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed multirange literal: \"{text}\""),
        )
        .with_detail(complaint)
    })?;
    let mut found = Vec::with_capacity(ranges.len());
    for text in ranges {
        found.extend_from_slice(range.parse_text(text, -1, context)?.as_spans().unwrap_or_default());
    }
    Ok(spans(normalized(found)))
}

fn print_multirange(
    info: &TypeInfo,
    value: &Datum,
    out: &mut String,
    context: &EvalContext<'_>,
) -> Result<()> {
    let subtype = context.type_info(shape_of(info, context)?.subtype)?;
    out.push('{');
    for (at, span) in value.as_spans().ok_or_else(|| wrong_kind(info))?.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        print_span(span, subtype, out, context)?;
    }
    out.push('}');
    Ok(())
}

fn read_multirange(info: &TypeInfo, bytes: &[u8], _: i32, context: &EvalContext<'_>) -> Result<Datum> {
    let shape = shape_of(info, context)?;
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(cut_off)?;
    let mut found = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        found.extend(read_span(&shape, take_sized(&mut rest)?, context)?);
    }
    if rest.is_empty() { Ok(spans(normalized(found))) } else { Err(too_long()) }
}

fn write_multirange(
    info: &TypeInfo,
    value: &Datum,
    out: &mut Vec<u8>,
    context: &EvalContext<'_>,
) -> Result<()> {
    let shape = shape_of(info, context)?;
    let held = value.as_spans().ok_or_else(|| wrong_kind(info))?;
    out.extend_from_slice(&(held.len() as u32).to_be_bytes());
    for span in held {
        write_sized(out, |out| write_span(&shape, Some(span), out, context))?;
    }
    Ok(())
}

const MULTIRANGE: TypeOperations =
    operations(parse_multirange, print_multirange, read_multirange, write_multirange);

/// The multirange type of a user's range type.
#[must_use]
pub fn multirange_type(oid: Oid, array_oid: Oid, name: &str, sql_name: String, range: Oid) -> TypeInfo {
    TypeInfo {
        oid,
        name: Cow::Owned(name.to_owned()),
        sql_name: Cow::Owned(sql_name),
        array_oid,
        category: Category::Range,
        preferred: false,
        length: -1,
        kind: PhysicalKind::Spans,
        shape: TypeShape::Multirange { range },
        operations: MULTIRANGE,
    }
}

pub(super) fn types() -> Vec<TypeInfo> {
    use oids::*;
    let multirange = |oid, array_oid, name, range| TypeInfo {
        shape: TypeShape::Multirange { range },
        ..entry(oid, array_oid, name, name, Category::Range, false, -1, PhysicalKind::Spans, MULTIRANGE)
    };
    vec![
        multirange(INT4MULTIRANGE, INT4MULTIRANGE_ARRAY, "int4multirange", INT4RANGE),
        multirange(INT8MULTIRANGE, INT8MULTIRANGE_ARRAY, "int8multirange", INT8RANGE),
        multirange(NUMMULTIRANGE, NUMMULTIRANGE_ARRAY, "nummultirange", NUMRANGE),
        multirange(DATEMULTIRANGE, DATEMULTIRANGE_ARRAY, "datemultirange", DATERANGE),
        multirange(TSMULTIRANGE, TSMULTIRANGE_ARRAY, "tsmultirange", TSRANGE),
        multirange(TSTZMULTIRANGE, TSTZMULTIRANGE_ARRAY, "tstzmultirange", TSTZRANGE),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Settings;
    use crate::types::builtin_type;

    fn bytes(digits: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(digit).collect()
    }

    /// The binary forms are those that PostgreSQL sends; they come back, and cut short they are errors.
    #[test]
    fn binary_forms_are_those_of_postgresql() {
        let settings = Settings::default();
        let context = EvalContext::detached(&settings);
        for (oid, text, sent) in [
            (oids::INT4RANGE, "[1,5)", "02000000040000000100000004 00000005"),
            (oids::INT4RANGE, "empty", "01"),
            (oids::NUMRANGE, "(,2.5]", "0c0000000c00020000000000010002 1388"),
            (oids::DATERANGE, "(,)", "18"),
            (
                oids::INT4MULTIRANGE,
                "{[1,3),[5,6)}",
                "00000002 00000011 02000000040000000100000004 00000003 00000011 0200000004000000050000000400000006",
            ),
            (oids::INT4MULTIRANGE, "{}", "00000000"),
        ] {
            let info = builtin_type(oid).unwrap();
            let sent = bytes(&sent.replace(' ', ""));
            let value = info.parse_text(text, -1, &context).unwrap();
            let mut written = Vec::new();
            info.write_binary(&value, &mut written, &context).unwrap();
            assert_eq!(written, sent, "{text}");
            assert_eq!(info.read_binary(&sent, -1, &context).unwrap(), value);
            for length in 0..sent.len() {
                assert!(info.read_binary(&sent[..length], -1, &context).is_err(), "{text} cut to {length}");
            }
            assert!(info.read_binary(&[&sent[..], &[0]].concat(), -1, &context).is_err());
        }
    }
}
