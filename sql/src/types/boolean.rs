//! BOOLEAN.

use super::scalar::{entry, is_space, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, oids};
use crate::error::{Result, SqlError};
use crate::value::{Datum, PhysicalKind};

/// Parses `true`, `yes`, `on`, `1` and their opposites, any unique prefix of the words, in any case.
pub(crate) fn parse(text: &str) -> Result<bool> {
    let word = text.trim_matches(is_space).to_ascii_lowercase();
    let is_prefix = |full: &str| !word.is_empty() && full.starts_with(&word);
    match word.as_str() {
        "1" | "on" => Ok(true),
        "0" | "of" | "off" => Ok(false),
        _ if is_prefix("true") || is_prefix("yes") => Ok(true),
        _ if is_prefix("false") || is_prefix("no") => Ok(false),
        _ => Err(SqlError::invalid_input("boolean", text)),
    }
}

pub(super) fn types() -> Vec<TypeInfo> {
    let operations = operations(
        |_, text, _, _| parse(text).map(Datum::Bool),
        |info, datum, out, _| {
            let Datum::Bool(value) = datum else { return Err(wrong_kind(info)) };
            out.push(if *value { 't' } else { 'f' });
            Ok(())
        },
        |_, bytes, _, _| match bytes {
            [byte] => Ok(Datum::Bool(*byte != 0)),
            _ => Err(wrong_length()),
        },
        |info, datum, out, _| {
            let Datum::Bool(value) = datum else { return Err(wrong_kind(info)) };
            out.push(u8::from(*value));
            Ok(())
        },
    );
    vec![entry(
        oids::BOOL,
        oids::BOOL_ARRAY,
        "bool",
        "boolean",
        Category::Boolean,
        true,
        1,
        PhysicalKind::Bool,
        operations,
    )]
}
