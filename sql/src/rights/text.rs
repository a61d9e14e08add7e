//! `aclitem`: `grantee=rights/grantor`, with a star behind each right that may be granted on.

use crate::catalog::{CatalogSnapshot, EVERYBODY, Grant, Rights};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::ACLITEM;
use crate::value::{ArrayValue, Datum};

/// A role's name as it stands in an `aclitem`: in quotes where it has other characters than letters, digits and `_`.
fn role_text(catalog: &CatalogSnapshot, role: u32) -> String {
    let Some(found) = catalog.role(role) else { return role.to_string() };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || !letter.is_ascii();
    if found.name.chars().all(is_plain) {
        return found.name.clone();
    }
    format!("\"{}\"", found.name.replace('"', "\"\""))
}

/// A grant as `aclitem`.
#[must_use]
pub fn grant_text(catalog: &CatalogSnapshot, grant: &Grant) -> String {
    let mut text = if grant.grantee == EVERYBODY { String::new() } else { role_text(catalog, grant.grantee) };
    text.push('=');
    for right in grant.rights.with(grant.options).each() {
        text.push(right.letter());
        if grant.options.has(right) {
            text.push('*');
        }
    }
    text.push('/');
    text.push_str(&role_text(catalog, grant.grantor));
    text
}

/// A list as `aclitem[]`.
#[must_use]
pub fn grants_datum(catalog: &CatalogSnapshot, grants: &[Grant]) -> Datum {
    let items = grants.iter().map(|grant| Datum::text(grant_text(catalog, grant)));
    ArrayValue::from_elements(ACLITEM, items.collect()).into()
}

/// The name at the start of a text, and what follows it.
fn split_name(text: &str) -> Result<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices().peekable();
    let mut quoted = false;
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' if quoted && letters.peek().is_some_and(|(_, next)| *next == '"') => {
                letters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            _ if quoted || letter.is_alphanumeric() || letter == '_' => name.push(letter),
            _ => return Ok((name, &text[at..])),
        }
    }
    if quoted {
        return Err(malformed("unterminated quoted string in ACL"));
    }
    Ok((name, ""))
}

fn malformed(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

fn find(catalog: &CatalogSnapshot, name: &str) -> Result<u32> {
    catalog
        .role_named(name)
        .map(|role| role.oid)
        .ok_or_else(|| SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist")))
}

/// Reads an `aclitem`.
///
/// # Errors
/// 22P02, 42704 for a role that does not exist.
pub fn parse_grant(catalog: &CatalogSnapshot, text: &str) -> Result<Grant> {
    let (mut name, mut rest) = split_name(text.trim_start())?;
    if let Some(after) = rest.strip_prefix(' ') {
        if name != "group" && name != "user" {
            let message = format!("unrecognized key word: \"{name}\"");
            return Err(malformed(message).with_hint("ACL key word must be \"group\" or \"user\"."));
        }
        (name, rest) = split_name(after.trim_start())?;
        if name.is_empty() {
            return Err(
                malformed("missing name").with_hint("A name must follow the \"group\" or \"user\" key word.")
            );
        }
    }
    let Some(mut rest) = rest.strip_prefix('=') else { return Err(malformed("missing \"=\" sign")) };
    let (mut rights, mut options, mut last) = (Rights::NONE, Rights::NONE, Rights::NONE);
    while let Some(letter) = rest.chars().next().filter(|letter| letter.is_alphabetic() || *letter == '*') {
        rest = &rest[letter.len_utf8()..];
        if letter == '*' {
            options = options.with(last);
            continue;
        }
        last = Rights::of_letter(letter)
            .ok_or_else(|| malformed("invalid mode character: must be one of \"arwdDxtXUCTcsA\""))?;
        rights = rights.with(last);
    }
    let grantee = if name.is_empty() { EVERYBODY } else { find(catalog, &name)? };
    let grantor = match rest.strip_prefix('/') {
        Some(after) => {
            let (grantor, after) = split_name(after)?;
            rest = after;
            if grantor.is_empty() {
                return Err(malformed("a name must follow the \"/\" sign"));
            }
            find(catalog, &grantor)?
        }
        None => crate::catalog::SUPERUSER,
    };
    if !rest.trim_start().is_empty() {
        return Err(malformed("extra garbage at the end of the ACL specification"));
    }
    Ok(Grant { grantee, grantor, rights, options })
}
