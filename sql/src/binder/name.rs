//! Identifiers and relation names.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use sqlparser::tokenizer::Location;

use crate::error::{Result, SqlError, SqlState};

/// The longest identifier, in bytes; longer ones are cut.
pub const IDENTIFIER_BYTES_MAX: usize = 63;

/// An identifier as the catalog has it: folded to lower case unless quoted, and cut to 63 bytes.
#[must_use]
pub fn fold(identifier: &Ident) -> String {
    let mut folded = if identifier.quote_style.is_some() {
        identifier.value.clone()
    } else {
        identifier.value.to_ascii_lowercase()
    };
    let length = cut(&folded).len();
    folded.truncate(length);
    folded
}

/// What is kept of a name.
pub fn cut(name: &str) -> &str {
    let mut end = name.len().min(IDENTIFIER_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The parts of a name, folded.
///
/// # Errors
/// 42601 for a part that is no identifier.
pub fn parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(identifier) => Ok(fold(identifier)),
            ObjectNamePart::Function(_) => Err(SqlError::syntax("syntax error in a name")),
        })
        .collect()
}

/// A name's schema, if it is given, and its last part.
///
/// # Errors
/// 42601 for more than three parts; 0A000 for another database.
pub fn split(name: &ObjectName) -> Result<(Option<String>, String)> {
    let mut parts = parts(name)?;
    let last = parts.pop().unwrap_or_default();
    match parts.len() {
        0 => Ok((None, last)),
        1 => Ok((parts.pop(), last)),
        2 => Ok((parts.pop(), last)),
        _ => Err(SqlError::syntax(format!("improper qualified name (too many dotted names): {name}"))),
    }
}

/// The last part of a name.
#[must_use]
pub fn last(name: &ObjectName) -> Option<&Ident> {
    match name.0.last()? {
        ObjectNamePart::Identifier(identifier) => Some(identifier),
        ObjectNamePart::Function(_) => None,
    }
}

/// Where a name begins in the text.
#[must_use]
pub fn location(name: &ObjectName) -> Location {
    match name.0.first() {
        Some(ObjectNamePart::Identifier(identifier)) => identifier.span.start,
        Some(ObjectNamePart::Function(function)) => function.name.span.start,
        None => Location { line: 0, column: 0 },
    }
}

/// A name as PostgreSQL prints it in errors: with its schema, if it was given.
#[must_use]
pub fn display(schema: Option<&str>, name: &str) -> String {
    schema.map_or_else(|| name.to_string(), |schema| format!("{schema}.{name}"))
}

/// 42P01.
#[must_use]
pub fn undefined_table(schema: Option<&str>, name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", display(schema, name)))
}

/// An identifier as it must be written to mean `name`: in quotes where it has to be.
#[must_use]
pub fn quote(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
        && !is_reserved(name);
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// PostgreSQL's reserved words, and those reserved but for functions and types.
#[must_use]
pub fn is_reserved(word: &str) -> bool {
    const RESERVED: [&str; 100] = [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "placing",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "session_user",
        "similar",
        "some",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ];
    RESERVED.binary_search(&word).is_ok()
}
