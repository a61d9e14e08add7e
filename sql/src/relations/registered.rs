//! The names that values of `regoper`, `regoperator`, `regcollation`, `regrole` and `regnamespace` are read from.

use super::catalog_functions::type_named;
use super::collations::{collation_name, known};
use super::registry::{operator_with, operators_named};
use crate::binder::name;
use crate::catalog::PG_CATALOG;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::types::Oid;
use crate::value::Datum;

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, function: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let text = arguments.first().and_then(Datum::as_text).unwrap_or_default();
    let or_null = |found: Result<Oid>| match found {
        Ok(oid) => Ok(Datum::Oid(oid)),
        Err(error) if is_missing(&error) => Ok(Datum::Null),
        Err(error) => Err(error),
    };
    Some(match function {
        "regoperin" => operator(environment, text).map(Datum::Oid),
        "to_regoper" => or_null(operator(environment, text)),
        "regoperatorin" => operator_of(environment, text).map(Datum::Oid),
        "to_regoperator" => or_null(operator_of(environment, text)),
        "regcollationin" => collation(environment, text).map(Datum::Oid),
        "to_regcollation" => or_null(collation(environment, text)),
        "to_regrole" => or_null(role(environment, text)),
        "to_regnamespace" => or_null(namespace(environment, text)),
        "regcollationout" => {
            let oid = arguments.first().and_then(Datum::as_i64).and_then(|oid| Oid::try_from(oid).ok());
            let found = oid.and_then(collation_name).map(name::quote);
            Ok(Datum::text(found.unwrap_or_else(|| oid.unwrap_or(0).to_string())))
        }
        _ => return None,
    })
}

/// Whether an error says that nothing, or more than one thing, is called so.
fn is_missing(error: &SqlError) -> bool {
    matches!(
        error.state(),
        SqlState::UNDEFINED_OBJECT
            | SqlState::UNDEFINED_FUNCTION
            | SqlState::AMBIGUOUS_FUNCTION
            | SqlState::INVALID_SCHEMA_NAME
    ) && !error.message().starts_with("type ")
}

/// The parts of a name, between dots; those without quotes in lower case.
fn parts(text: &str) -> Result<Vec<String>> {
    let invalid = || SqlError::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut found = Vec::new();
    let mut rest = text.trim();
    loop {
        let part = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut characters = quoted.char_indices().peekable();
            let end = loop {
                match characters.next().ok_or_else(invalid)? {
                    (_, '"') if characters.next_if(|(_, next)| *next == '"').is_some() => part.push('"'),
                    (at, '"') => break at + 1,
                    (_, character) => part.push(character),
                }
            };
            rest = quoted[end..].trim_start();
            part
        } else {
            let end = rest.find(['.', '"']).unwrap_or(rest.len());
            let part = rest[..end].trim_end().to_lowercase();
            rest = &rest[end..];
            part
        };
        if part.is_empty() || part.contains(char::is_whitespace) && !text.contains('"') {
            return Err(invalid());
        }
        found.push(part);
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => return Ok(found),
            None => return Err(invalid()),
        }
    }
}

/// The last part of a name whose schema, where it has one, is `pg_catalog`; `None` where it is another one.
fn in_catalog(environment: &Environment, parts: Vec<String>) -> Result<Option<String>> {
    match <[String; 2]>::try_from(parts) {
        Ok([schema, base]) => match environment.catalog.schema_named(&schema) {
            None => Err(SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            )),
            Some(found) => Ok((found.oid == PG_CATALOG).then_some(base)),
        },
        Err(mut parts) => Ok(parts.pop().filter(|_| parts.is_empty())),
    }
}

fn collation(environment: &Environment, text: &str) -> Result<Oid> {
    let base = in_catalog(environment, parts(text)?)?;
    let found = base.as_deref().map_or(0, known);
    if found != 0 {
        return Ok(found);
    }
    let shown: Vec<String> = parts(text)?;
    let message = format!("collation \"{}\" for encoding \"UTF8\" does not exist", shown.join("."));
    Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
}

fn only(text: &str) -> Result<String> {
    let mut parts = parts(text)?;
    match (parts.pop(), parts.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(SqlError::new(SqlState::INVALID_NAME, "invalid name syntax")),
    }
}

fn role(environment: &Environment, text: &str) -> Result<Oid> {
    let wanted = only(text)?;
    let message = || format!("role \"{wanted}\" does not exist");
    let found = environment.catalog.role_named(&wanted).map(|role| role.oid);
    found.ok_or_else(|| SqlError::new(SqlState::UNDEFINED_OBJECT, message()))
}

fn namespace(environment: &Environment, text: &str) -> Result<Oid> {
    let wanted = only(text)?;
    let message = || format!("schema \"{wanted}\" does not exist");
    let found = environment.catalog.schema_named(&wanted).map(|schema| schema.oid);
    found.ok_or_else(|| SqlError::new(SqlState::INVALID_SCHEMA_NAME, message()))
}

/// The name of an operator without its schema; nothing where that is not `pg_catalog`.
fn operator_name(environment: &Environment, text: &str) -> Result<Option<String>> {
    let text = text.trim();
    // What stands before the last dot is a name: no operator has one in it.
    match text.rsplit_once('.') {
        None => Ok(Some(text.to_owned())),
        Some((schema, operator)) => {
            let schema = only(schema)?;
            let found = environment.catalog.schema_named(&schema);
            Ok(found.filter(|found| found.oid == PG_CATALOG).map(|_| operator.to_owned()))
        }
    }
}

fn no_operator(text: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {text}"))
}

/// The only operator of a name.
fn operator(environment: &Environment, text: &str) -> Result<Oid> {
    let name = operator_name(environment, text)?.ok_or_else(|| no_operator(text))?;
    match operators_named(&name).as_slice() {
        [only] => Ok(*only),
        [] => Err(no_operator(text)),
        _ => Err(SqlError::new(SqlState::AMBIGUOUS_FUNCTION, format!("more than one operator named {text}"))),
    }
}

/// The operator of `name(left, right)`.
fn operator_of(environment: &Environment, text: &str) -> Result<Oid> {
    let malformed = |message: &str| SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message);
    let (base, rest) = text.split_once('(').ok_or_else(|| malformed("expected a left parenthesis"))?;
    let inside =
        rest.trim_end().strip_suffix(')').ok_or_else(|| malformed("expected a right parenthesis"))?;
    let mut types = Vec::new();
    for each in inside.split(',').map(str::trim) {
        types.push(match each {
            "" if inside.trim().is_empty() => continue,
            "" => return Err(malformed("expected a type name")),
            each if each.eq_ignore_ascii_case("none") => 0,
            each => type_named(environment, each).ok_or_else(|| {
                SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{each}\" does not exist"))
            })?,
        });
    }
    let [left, right] = match types.as_slice() {
        [] | [_] => {
            return Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, "missing argument")
                .with_hint("Use NONE to denote the missing argument of a unary operator."));
        }
        [left, right] => [*left, *right],
        _ => {
            return Err(SqlError::new(SqlState::TOO_MANY_ARGUMENTS, "too many arguments")
                .with_hint("Provide two argument types for operator."));
        }
    };
    let name = operator_name(environment, base)?.ok_or_else(|| no_operator(text))?;
    operator_with(&name, left, right).ok_or_else(|| no_operator(text))
}
