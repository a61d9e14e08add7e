//! String functions: length, case, parts, padding, replacing, splitting.

use super::registry::{Entry, Registry};
use super::vector::{unary, wrong_arguments};
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{BPCHAR, BYTEA, INT4, INT8, TEXT, TEXT_ARRAY};
use crate::value::{ArrayValue, Column, ColumnBuilder, ColumnData, Datum, PhysicalKind, TextData};
use std::collections::HashMap;
use std::fmt::Write;

/// The most bytes a value may have, PostgreSQL's limit.
const BYTES_MAX: usize = 0x3fff_ffff;

/// How many elements are made between two looks at whether the statement was canceled.
const ELEMENTS_PER_LOOK: usize = 16_384;

/// Argument `index` as text.
pub(super) fn text(arguments: &[Datum], index: usize) -> Result<&str> {
    arguments.get(index).and_then(Datum::as_text).ok_or_else(wrong_arguments)
}

/// Argument `index` as an integer.
pub(super) fn int4(arguments: &[Datum], index: usize) -> Result<i32> {
    match arguments.get(index) {
        Some(Datum::Int32(value)) => Ok(*value),
        _ => Err(wrong_arguments()),
    }
}

fn count(value: usize) -> Datum {
    Datum::Int32(i32::try_from(value).unwrap_or(i32::MAX))
}

#[cold]
fn too_large() -> SqlError {
    SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// The byte position of character `index` (from 0), the end beyond the last.
fn byte_at(text: &str, index: usize) -> usize {
    if text.is_ascii() {
        return index.min(text.len());
    }
    text.char_indices().nth(index).map_or(text.len(), |(position, _)| position)
}

/// `substring(text from start for length)`: positions before the first count, but hold nothing.
fn substring(text: &str, start: i32, length: Option<i32>) -> Result<&str> {
    let from = i64::from(start) - 1;
    let to = match length {
        Some(length) if length < 0 => {
            return Err(SqlError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
        }
        Some(length) => (from + i64::from(length)).max(0),
        None => i64::MAX,
    };
    let begin = byte_at(text, from.max(0) as usize);
    let rest = &text[begin..];
    Ok(if to == i64::MAX { rest } else { &rest[..byte_at(rest, (to - from.max(0)).max(0) as usize)] })
}

/// The first `n` characters, or all but the last `-n`.
fn left(text: &str, n: i32) -> &str {
    let keep =
        if n >= 0 { n as usize } else { text.chars().count().saturating_sub(n.unsigned_abs() as usize) };
    &text[..byte_at(text, keep)]
}

/// The last `n` characters, or all but the first `-n`.
/// The last characters, or all but the first ones; the least integer has no opposite, and leaves all.
fn right(text: &str, n: i32) -> &str {
    let drop = if n >= 0 {
        text.chars().count().saturating_sub(n as usize)
    } else {
        n.wrapping_neg().max(0) as usize
    };
    &text[byte_at(text, drop)..]
}

/// Pads (or cuts) to a length.
fn pad(text: &str, length: i32, fill: &str, at_left: bool, context: &EvalContext<'_>) -> Result<String> {
    let length = length.max(0) as usize;
    if length > BYTES_MAX / 4 {
        return Err(too_large());
    }
    let own = text.chars().count();
    if own >= length || fill.is_empty() {
        return Ok(text[..byte_at(text, length)].to_owned());
    }
    let width = fill.chars().count();
    let mut filling = context.repeated(fill, (length - own) / width)?;
    filling.extend(fill.chars().take((length - own) % width));
    Ok(if at_left { filling + text } else { text.to_owned() + &filling })
}

/// One character's mapping where it stays one character: `ß` has no upper case of its own.
fn single(mut mapped: impl Iterator<Item = char>, original: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => original,
    }
}

/// Lower case, character by character.
pub(super) fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().map(|character| single(character.to_lowercase(), character)).collect()
}

/// Upper case, character by character.
pub(super) fn upper(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.chars().map(|character| single(character.to_uppercase(), character)).collect()
}

/// Upper case after anything that is no letter or digit, lower case elsewhere.
fn initcap(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut inside = false;
    for character in text.chars() {
        if inside {
            result.push(single(character.to_lowercase(), character));
        } else {
            result.push(single(character.to_uppercase(), character));
        }
        inside = character.is_alphanumeric();
    }
    result
}

/// Each character of `from` becomes the one at its place in `to`, or nothing.
fn translate(text: &str, from: &str, to: &str, context: &EvalContext<'_>) -> Result<String> {
    let mut replacements: HashMap<char, Option<char>> = HashMap::new();
    let mut to = to.chars();
    for character in from.chars() {
        let replacement = to.next();
        replacements.entry(character).or_insert(replacement);
    }
    let mut out = String::with_capacity(text.len());
    for (at, character) in text.chars().enumerate() {
        if at.is_multiple_of(ELEMENTS_PER_LOOK) {
            context.check_cancel()?;
        }
        out.extend(replacements.get(&character).copied().unwrap_or(Some(character)));
    }
    Ok(out)
}

/// Field `n` of a text split at a delimiter, counted from the end if negative.
fn split_part<'a>(text: &'a str, delimiter: &str, n: i32) -> Result<&'a str> {
    if n == 0 {
        return Err(SqlError::invalid_parameter("field position must not be zero"));
    }
    if delimiter.is_empty() {
        return Ok(if n == 1 || n == -1 { text } else { "" });
    }
    let index = n.unsigned_abs() as usize - 1;
    let part = if n > 0 { text.split(delimiter).nth(index) } else { text.rsplit(delimiter).nth(index) };
    Ok(part.unwrap_or(""))
}

/// `overlay(text placing new from start for length)`.
fn overlay(text: &str, new: &str, start: i32, length: i32) -> Result<String> {
    if start <= 0 {
        return Err(SqlError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let after = start.checked_add(length).ok_or_else(|| SqlError::out_of_range("integer"))?;
    Ok(format!("{}{new}{}", substring(text, 1, Some(start - 1))?, substring(text, after, None)?))
}

fn chr(code: i32) -> Result<String> {
    let error = |message: String| Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    match code {
        0 => error("null character not permitted".to_owned()),
        ..0 => Err(SqlError::invalid_parameter("character number must be positive")),
        _ => match char::from_u32(code as u32) {
            Some(character) => Ok(character.to_string()),
            None if code > 0x10_ffff => error(format!("requested character too large for encoding: {code}")),
            None => error(format!("requested character not valid for encoding: {code}")),
        },
    }
}

/// Text to text by a function that allocates, over whole columns.
fn map_text(arguments: &[Column], function: impl Fn(&str) -> String) -> Result<Column> {
    let [column] = arguments else { return Err(wrong_arguments()) };
    let ColumnData::Text(texts) = column.data() else { return Err(wrong_arguments()) };
    let mut result = TextData::default();
    for index in 0..texts.len() {
        result.push(&function(texts.get(index)));
    }
    let mapped = Column::new(ColumnData::Text(result), column.validity().cloned());
    Ok(if column.is_constant() { mapped.into_constant(column.len()) } else { mapped })
}

/// `substring` over whole columns.
fn substring_columns(arguments: &[Column]) -> Result<Column> {
    let (Some(column), Some(starts)) = (arguments.first(), arguments.get(1)) else {
        return Err(wrong_arguments());
    };
    let (ColumnData::Text(texts), ColumnData::Int32(from)) = (column.data(), starts.data()) else {
        return Err(wrong_arguments());
    };
    let lengths = match arguments.get(2).map(|lengths| (lengths, lengths.data())) {
        None => None,
        Some((lengths, ColumnData::Int32(values))) => Some((lengths, values)),
        Some(_) => return Err(wrong_arguments()),
    };
    let is_constant = !column.is_empty() && arguments.iter().all(Column::is_constant);
    let row_count = if is_constant { 1 } else { column.len() };
    let mut result = ColumnBuilder::new(PhysicalKind::Text, row_count);
    for row in 0..row_count {
        if arguments.iter().any(|argument| argument.is_null(row)) {
            result.push_null();
            continue;
        }
        let length = lengths.map(|(lengths, values)| values[lengths.stored_index(row)]);
        let part = substring(texts.get(column.stored_index(row)), from[starts.stored_index(row)], length)?;
        if let ColumnData::Text(parts) = result.data_mut() {
            parts.push(part);
        }
        result.mark_valid();
    }
    let result = result.finish();
    Ok(if is_constant { result.into_constant(column.len()) } else { result })
}

/// Text to integer over whole columns.
fn measure_text(arguments: &[Column], function: impl Fn(&str) -> usize) -> Result<Column> {
    let [column] = arguments else { return Err(wrong_arguments()) };
    let ColumnData::Text(texts) = column.data() else { return Err(wrong_arguments()) };
    let lengths: Vec<usize> = (0..texts.len()).map(|index| function(texts.get(index))).collect();
    let computed = unary((column, &lengths), |length| (*length as i32, false), |_| wrong_arguments())?;
    Ok(computed.into_column(ColumnData::Int32))
}

fn characters(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

fn lengths(registry: &mut Registry) {
    for name in ["length", "char_length", "character_length"] {
        registry.add(
            Entry::new(name, &[TEXT], INT4, |arguments, _| Ok(count(characters(text(arguments, 0)?))))
                .vectorized(|arguments, _| measure_text(arguments, characters))
                .infallible(),
        );
        registry.add(Entry::new(name, &[BPCHAR], INT4, |arguments, _| {
            Ok(count(characters(text(arguments, 0)?.trim_end_matches(' '))))
        }));
    }
    let bytes: ScalarKernel = |arguments, _| match arguments {
        [Datum::Text(value)] => Ok(count(value.len())),
        [Datum::Bytes(value)] => Ok(count(value.len())),
        _ => Err(wrong_arguments()),
    };
    for oid in [TEXT, BPCHAR, BYTEA] {
        registry.add(Entry::new("octet_length", &[oid], INT4, bytes));
    }
    registry.add(Entry::new("length", &[BYTEA], INT4, bytes));
    for oid in [TEXT, BYTEA] {
        registry.add(Entry::new("bit_length", &[oid], INT4, |arguments, _| match arguments {
            [Datum::Text(value)] => Ok(count(value.len() * 8)),
            [Datum::Bytes(value)] => Ok(count(value.len() * 8)),
            _ => Err(wrong_arguments()),
        }));
    }
}

fn cases(registry: &mut Registry) {
    registry.add(
        Entry::new("lower", &[TEXT], TEXT, |arguments, _| Ok(Datum::from(lower(text(arguments, 0)?))))
            .vectorized(|arguments, _| map_text(arguments, lower))
            .infallible(),
    );
    registry.add(
        Entry::new("upper", &[TEXT], TEXT, |arguments, _| Ok(Datum::from(upper(text(arguments, 0)?))))
            .vectorized(|arguments, _| map_text(arguments, upper))
            .infallible(),
    );
    registry.add(Entry::new("initcap", &[TEXT], TEXT, |arguments, _| {
        Ok(Datum::from(initcap(text(arguments, 0)?)))
    }));
    registry.add(Entry::new("reverse", &[TEXT], TEXT, |arguments, _| {
        Ok(Datum::from(text(arguments, 0)?.chars().rev().collect::<String>()))
    }));
    registry.add(Entry::new("ascii", &[TEXT], INT4, |arguments, _| {
        Ok(Datum::Int32(text(arguments, 0)?.chars().next().map_or(0, |character| character as i32)))
    }));
    registry.add(Entry::new("chr", &[INT4], TEXT, |arguments, _| chr(int4(arguments, 0)?).map(Datum::from)));
}

fn parts(registry: &mut Registry) {
    for name in ["substr", "substring"] {
        let from = Entry::new(name, &[TEXT, INT4], TEXT, |arguments, _| {
            substring(text(arguments, 0)?, int4(arguments, 1)?, None).map(Datum::text)
        });
        registry.add(from.vectorized(|arguments, _| substring_columns(arguments)));
        let from_for = Entry::new(name, &[TEXT, INT4, INT4], TEXT, |arguments, _| {
            substring(text(arguments, 0)?, int4(arguments, 1)?, Some(int4(arguments, 2)?)).map(Datum::text)
        });
        registry.add(from_for.vectorized(|arguments, _| substring_columns(arguments)));
        for (types, kernel) in [
            (&[BYTEA, INT4][..], substring_bytes as ScalarKernel),
            (&[BYTEA, INT4, INT4][..], substring_bytes as ScalarKernel),
        ] {
            registry.add(Entry::new(name, types, BYTEA, kernel));
        }
    }
    registry.add(Entry::new("left", &[TEXT, INT4], TEXT, |arguments, _| {
        Ok(Datum::text(left(text(arguments, 0)?, int4(arguments, 1)?)))
    }));
    registry.add(Entry::new("right", &[TEXT, INT4], TEXT, |arguments, _| {
        Ok(Datum::text(right(text(arguments, 0)?, int4(arguments, 1)?)))
    }));
    registry.add(Entry::new("split_part", &[TEXT, TEXT, INT4], TEXT, |arguments, _| {
        split_part(text(arguments, 0)?, text(arguments, 1)?, int4(arguments, 2)?).map(Datum::text)
    }));
    let position: ScalarKernel = |arguments, _| {
        let (whole, part) = (text(arguments, 0)?, text(arguments, 1)?);
        Ok(whole.find(part).map_or(Datum::Int32(0), |at| count(characters(&whole[..at]) + 1)))
    };
    registry.add(Entry::new("strpos", &[TEXT, TEXT], INT4, position));
    registry.add(Entry::new("position", &[TEXT, TEXT], INT4, position));
    registry.add(Entry::new("overlay", &[TEXT, TEXT, INT4], TEXT, |arguments, _| {
        let new = text(arguments, 1)?;
        overlay(text(arguments, 0)?, new, int4(arguments, 2)?, characters(new) as i32).map(Datum::from)
    }));
    registry.add(Entry::new("overlay", &[TEXT, TEXT, INT4, INT4], TEXT, |arguments, _| {
        overlay(text(arguments, 0)?, text(arguments, 1)?, int4(arguments, 2)?, int4(arguments, 3)?)
            .map(Datum::from)
    }));
}

fn substring_bytes(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let Some(Datum::Bytes(bytes)) = arguments.first() else { return Err(wrong_arguments()) };
    let from = i64::from(int4(arguments, 1)?) - 1;
    let to = match arguments.get(2) {
        None => bytes.len() as i64,
        Some(_) => {
            let length = int4(arguments, 2)?;
            if length < 0 {
                return Err(SqlError::new(
                    SqlState::SUBSTRING_ERROR,
                    "negative substring length not allowed",
                ));
            }
            (from + i64::from(length)).min(bytes.len() as i64)
        }
    };
    let (from, to) = (from.max(0) as usize, to.max(0) as usize);
    Ok(Datum::from(bytes.get(from..to).unwrap_or(&[]).to_vec()))
}

/// The `trim` family: one entry with given characters, one with blanks.
fn trims(registry: &mut Registry) {
    macro_rules! trim {
        ($name:literal, $method:ident) => {
            registry.add(Entry::new($name, &[TEXT], TEXT, |arguments, _| {
                Ok(Datum::text(text(arguments, 0)?.$method(' ')))
            }));
            registry.add(Entry::new($name, &[TEXT, TEXT], TEXT, |arguments, _| {
                let set = text(arguments, 1)?;
                Ok(Datum::text(text(arguments, 0)?.$method(|character| set.contains(character))))
            }));
        };
    }
    trim!("btrim", trim_matches);
    trim!("ltrim", trim_start_matches);
    trim!("rtrim", trim_end_matches);
}

fn changes(registry: &mut Registry) {
    registry.add(Entry::new("replace", &[TEXT, TEXT, TEXT], TEXT, |arguments, context| {
        let (whole, from, to) = (text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?);
        if from.is_empty() {
            return Ok(Datum::text(whole));
        }
        let (mut out, mut rest) = (String::new(), 0);
        for (count, (at, found)) in whole.match_indices(from).enumerate() {
            if count.is_multiple_of(ELEMENTS_PER_LOOK) {
                context.check_cancel()?;
            }
            out.push_str(&whole[rest..at]);
            out.push_str(to);
            rest = at + found.len();
        }
        out.push_str(&whole[rest..]);
        Ok(Datum::from(out))
    }));
    registry.add(Entry::new("translate", &[TEXT, TEXT, TEXT], TEXT, |arguments, context| {
        let (whole, from, to) = (text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?);
        translate(whole, from, to, context).map(Datum::from)
    }));
    registry.add(Entry::new("repeat", &[TEXT, INT4], TEXT, |arguments, context| {
        let (part, times) = (text(arguments, 0)?, int4(arguments, 1)?.max(0) as usize);
        if part.len().checked_mul(times).is_none_or(|bytes| bytes > BYTES_MAX) {
            return Err(too_large());
        }
        context.repeated(part, times).map(Datum::from)
    }));
    for (name, at_left) in [("lpad", true), ("rpad", false)] {
        let (two, three): (ScalarKernel, ScalarKernel) = if at_left {
            (
                |arguments, context| {
                    let (whole, length) = (text(arguments, 0)?, int4(arguments, 1)?);
                    pad(whole, length, " ", true, context).map(Datum::from)
                },
                |arguments, context| {
                    let (whole, length) = (text(arguments, 0)?, int4(arguments, 1)?);
                    pad(whole, length, text(arguments, 2)?, true, context).map(Datum::from)
                },
            )
        } else {
            (
                |arguments, context| {
                    let (whole, length) = (text(arguments, 0)?, int4(arguments, 1)?);
                    pad(whole, length, " ", false, context).map(Datum::from)
                },
                |arguments, context| {
                    let (whole, length) = (text(arguments, 0)?, int4(arguments, 1)?);
                    pad(whole, length, text(arguments, 2)?, false, context).map(Datum::from)
                },
            )
        };
        registry.add(Entry::new(name, &[TEXT, INT4], TEXT, two));
        registry.add(Entry::new(name, &[TEXT, INT4, TEXT], TEXT, three));
    }
    for oid in [INT4, INT8] {
        registry.add(Entry::new("to_hex", &[oid], TEXT, |arguments, _| {
            let mut out = String::new();
            match arguments {
                [Datum::Int32(value)] => write!(out, "{value:x}"),
                [Datum::Int64(value)] => write!(out, "{value:x}"),
                _ => return Err(wrong_arguments()),
            }
            .map_err(|_| wrong_arguments())?;
            Ok(Datum::from(out))
        }));
    }
    registry.add(Entry::new("string_to_array", &[TEXT, TEXT], TEXT_ARRAY, string_to_array).not_strict());
    registry
        .add(Entry::new("string_to_array", &[TEXT, TEXT, TEXT], TEXT_ARRAY, string_to_array).not_strict());
}

pub(super) fn string_to_array(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let Some(whole) = arguments[0].as_text() else { return Ok(Datum::Null) };
    let null_text = arguments.get(2).and_then(Datum::as_text);
    let mut elements = Vec::new();
    let mut add = |part: &str| {
        if elements.len().is_multiple_of(ELEMENTS_PER_LOOK) {
            context.check_cancel()?;
        }
        elements.push(if Some(part) == null_text { Datum::Null } else { Datum::text(part) });
        Ok::<(), SqlError>(())
    };
    match arguments[1].as_text() {
        _ if whole.is_empty() => Ok(()),
        None => whole.chars().try_for_each(|character| add(character.encode_utf8(&mut [0; 4]))),
        Some("") => add(whole),
        Some(delimiter) => whole.split(delimiter).try_for_each(add),
    }?;
    Ok(ArrayValue::from_elements(TEXT, elements).into())
}

pub(super) fn register(registry: &mut Registry) {
    lengths(registry);
    cases(registry);
    parts(registry);
    trims(registry);
    changes(registry);
    registry.add_operator(
        "||",
        Entry::new("textcat", &[TEXT, TEXT], TEXT, |arguments, _| {
            Ok(Datum::from(format!("{}{}", text(arguments, 0)?, text(arguments, 1)?)))
        }),
    );
}
