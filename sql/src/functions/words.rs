//! Names and characters: `parse_ident`, `unistr`, `normalize`; and counting NULLs.

use super::registry::{Entry, Registry};
use super::string::text;
use crate::error::{Result, SqlError};
use crate::types::oids::{ANY, BOOL, INT4, TEXT, TEXT_ARRAY};
use crate::value::{ArrayValue, Datum};
use unicode_normalization::UnicodeNormalization;

fn no_identifier(whole: &str) -> SqlError {
    SqlError::invalid_parameter(format!("string is not a valid identifier: \"{whole}\""))
}

/// The parts of a qualified name.
fn parse_ident(whole: &str, strict: bool) -> Result<Vec<Datum>> {
    let is_start = |c: char| c == '_' || c.is_alphabetic() || !c.is_ascii();
    let is_part = |c: char| is_start(c) || c.is_ascii_digit() || c == '$';
    let mut rest = whole.trim_start();
    let mut parts = Vec::new();
    let mut after_dot = false;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut inner = quoted;
            loop {
                let Some(end) = inner.find('"') else {
                    return Err(no_identifier(whole).with_detail("String has unclosed double quotes."));
                };
                name.push_str(&inner[..end]);
                inner = &inner[end + 1..];
                match inner.strip_prefix('"') {
                    Some(after) => {
                        name.push('"');
                        inner = after;
                    }
                    None => break,
                }
            }
            if name.is_empty() {
                return Err(no_identifier(whole).with_detail("Quoted identifier must not be empty."));
            }
            parts.push(Datum::text(name));
            rest = inner;
        } else if rest.starts_with(is_start) {
            let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
            parts.push(Datum::text(rest[..end].to_lowercase()));
            rest = &rest[end..];
        } else {
            let error = no_identifier(whole);
            return Err(if rest.starts_with('.') {
                error.with_detail("No valid identifier before \".\".")
            } else if after_dot {
                error.with_detail("No valid identifier after \".\".")
            } else {
                error
            });
        }
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => {
                after_dot = true;
                rest = after.trim_start();
            }
            None if rest.is_empty() || !strict => return Ok(parts),
            None => return Err(no_identifier(whole)),
        }
    }
}

fn normalized(value: &str, form: &str) -> Result<String> {
    match form.to_ascii_uppercase().as_str() {
        "NFC" => Ok(value.nfc().collect()),
        "NFD" => Ok(value.nfd().collect()),
        "NFKC" => Ok(value.nfkc().collect()),
        "NFKD" => Ok(value.nfkd().collect()),
        _ => Err(SqlError::invalid_parameter(format!("invalid normalization form: {form}"))),
    }
}

/// The form that `normalize` and IS NORMALIZED were asked for.
fn form(arguments: &[Datum]) -> Result<&str> {
    if arguments.len() > 1 { text(arguments, 1) } else { Ok("NFC") }
}

pub(super) fn register(registry: &mut Registry) {
    for (name, counts_nulls) in [("num_nulls", true), ("num_nonnulls", false)] {
        let kernel: super::ScalarKernel = if counts_nulls {
            |arguments, _| Ok(Datum::Int32(arguments.iter().filter(|value| value.is_null()).count() as i32))
        } else {
            |arguments, _| Ok(Datum::Int32(arguments.iter().filter(|value| !value.is_null()).count() as i32))
        };
        registry.add(Entry::new(name, &[ANY], INT4, kernel).variadic(ANY).not_strict());
    }
    registry.add(
        Entry::new("parse_ident", &[TEXT, BOOL], TEXT_ARRAY, |arguments, _| {
            let strict = arguments.get(1).and_then(Datum::as_bool).unwrap_or(true);
            Ok(ArrayValue::from_elements(TEXT, parse_ident(text(arguments, 0)?, strict)?).into())
        })
        .optional(1)
        .parameters(&[("str", None), ("strict", Some("true"))]),
    );
    registry.add(Entry::new("unistr", &[TEXT], TEXT, |arguments, _| {
        crate::parser::unescape_argument(text(arguments, 0)?).map(Datum::from)
    }));
    registry.add(
        Entry::new("normalize", &[TEXT, TEXT], TEXT, |arguments, _| {
            normalized(text(arguments, 0)?, form(arguments)?).map(Datum::from)
        })
        .optional(1),
    );
    registry.add(
        Entry::new("is_normalized", &[TEXT, TEXT], BOOL, |arguments, _| {
            let value = text(arguments, 0)?;
            Ok(Datum::Bool(normalized(value, form(arguments)?)? == value))
        })
        .optional(1),
    );
}
