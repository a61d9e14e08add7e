//! LIKE and ILIKE, regular expressions (`~`, `~*`), SIMILAR TO.
//!
//! Patterns of LIKE are matched byte by byte with backtracking to the last `%` only. Regular expressions are those of
//! `regular_expression`; compiled ones are kept per thread. A pattern of SIMILAR becomes one of these.

use super::EvalContext;
use super::registry::{Entry, Registry};
use super::regular_expression::{Expression, Options};
use super::string::lower;
use super::vector::{binary_text, wrong_arguments};
use crate::error::{Result, SqlError, SqlState};
use crate::types::Oid;
use crate::types::oids::{BOOL, BPCHAR, BYTEA, NAME, TEXT};
use crate::value::{ColumnData, Datum};
use memchr::memmem;
use std::cell::RefCell;
use std::sync::Arc;

/// How many compiled expressions a thread keeps.
const CACHED_MAX: usize = 32;

/// Whether a text matches a LIKE pattern whose escape character is a backslash.
///
/// # Errors
/// 22025 where the pattern ends in an escape.
pub(super) fn like(text: &str, pattern: &str) -> Result<bool> {
    like_bytes(text.as_bytes(), pattern.as_bytes(), character_bytes)
}

/// The same of bytes, whose characters are as long as `length` says by their first byte.
fn like_bytes(text: &[u8], pattern: &[u8], length: fn(u8) -> usize) -> Result<bool> {
    let (mut at, mut from) = (0, 0);
    // Where to go back to: the pattern after the last `%`, and the text it was last tried at.
    let mut resume: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(from) {
            None => at == text.len(),
            Some(b'%') => {
                from += 1;
                resume = Some((from, at));
                continue;
            }
            Some(b'_') if at < text.len() => {
                at += length(text[at]);
                from += 1;
                continue;
            }
            Some(b'\\') if at < text.len() => {
                let Some(literal) = pattern.get(from + 1) else {
                    return Err(SqlError::new(
                        SqlState::INVALID_ESCAPE_SEQUENCE,
                        "LIKE pattern must not end with escape character",
                    ));
                };
                if text.get(at) == Some(literal) {
                    at += 1;
                    from += 2;
                    continue;
                }
                false
            }
            Some(literal) if text.get(at) == Some(literal) && !matches!(literal, b'_' | b'\\') => {
                at += 1;
                from += 1;
                continue;
            }
            Some(_) => false,
        };
        if matched {
            return Ok(true);
        }
        match &mut resume {
            Some((pattern_at, text_at)) if *text_at < text.len() => {
                *text_at += length(text[*text_at]);
                (from, at) = (*pattern_at, *text_at);
            }
            _ => return Ok(false),
        }
    }
}

/// The length of the UTF-8 character a byte begins.
fn character_bytes(first: u8) -> usize {
    match first {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

/// Changes a pattern's escape character to a backslash; the empty string means there is none.
pub(super) fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut characters = escape.chars();
    let escape = characters.next();
    if characters.next().is_some() {
        return Err(SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut result = String::with_capacity(pattern.len());
    let mut after_escape = false;
    for character in pattern.chars() {
        if Some(character) == escape && !after_escape {
            result.push('\\');
            after_escape = true;
            continue;
        }
        if character == '\\' && !after_escape {
            result.push('\\');
        }
        result.push(character);
        after_escape = false;
    }
    Ok(result)
}

thread_local! {
    /// Compiled expressions, the most recently used last.
    static COMPILED: RefCell<Vec<(String, Options, Arc<Expression>)>> = const { RefCell::new(Vec::new()) };
}

/// The compiled expression of a pattern.
///
/// # Errors
/// 2201B where the pattern is none.
pub(super) fn compiled(pattern: &str, options: Options) -> Result<Arc<Expression>> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(index) =
            compiled.iter().rposition(|(known, given, _)| known == pattern && *given == options)
        {
            let entry = compiled.remove(index);
            let expression = entry.2.clone();
            compiled.push(entry);
            return Ok(expression);
        }
        let expression = Arc::new(Expression::new(pattern, options)?);
        if compiled.len() == CACHED_MAX {
            compiled.remove(0);
        }
        compiled.push((pattern.to_owned(), options, expression.clone()));
        Ok(expression)
    })
}

/// Whether a text matches the regular expression beside it.
fn matches(arguments: &[Datum], ignore_case: bool, context: &EvalContext<'_>) -> Result<bool> {
    let (text, pattern) = texts(arguments)?;
    compiled(pattern, Options { ignore_case, ..Options::DEFAULT })?.is_match(text, context)
}

/// A pattern of SIMILAR TO and its escape character, as a regular expression.
fn similar_with_escape(arguments: &[Datum]) -> Result<Datum> {
    let (pattern, escape) = texts(arguments)?;
    if escape.chars().count() > 1 {
        return Err(SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    similar_to_regex(pattern, escape.chars().next()).map(Datum::from)
}

/// A pattern of SIMILAR TO as a regular expression. What stands between two escaped double quotes becomes the group that
/// `substring` looks for; what stands before it matches as little as it can.
///
/// # Errors
/// 2200C for more than two of those.
pub(super) fn similar_to_regex(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut result = String::from("^(?:");
    let mut in_bracket = false;
    let mut quotes = 0;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            match characters.next() {
                Some('"') if !in_bracket => {
                    quotes += 1;
                    result.push_str(match quotes {
                        1 => "){1,1}?(",
                        2 => "){1,1}(?:",
                        _ => {
                            return Err(SqlError::new(
                                SqlState::INVALID_USE_OF_ESCAPE_CHARACTER,
                                "SQL regular expression may not contain more than two escape-double-quote separators",
                            ));
                        }
                    });
                }
                Some(literal) => result.extend(['\\', literal]),
                None => {}
            }
            continue;
        }
        if in_bracket {
            match character {
                ']' => in_bracket = false,
                '\\' => result.push('\\'),
                _ => {}
            }
            result.push(character);
            continue;
        }
        match character {
            '[' => {
                in_bracket = true;
                result.push('[');
            }
            '%' => result.push_str(".*"),
            '_' => result.push('.'),
            '(' => result.push_str("(?:"),
            '\\' | '.' | '^' | '$' => result.extend(['\\', character]),
            _ => result.push(character),
        }
    }
    result.push_str(")$");
    Ok(result)
}

fn texts(arguments: &[Datum]) -> Result<(&str, &str)> {
    match arguments {
        [Datum::Text(left), Datum::Text(right)] => Ok((left, right)),
        _ => Err(wrong_arguments()),
    }
}

/// A LIKE pattern whose only wildcard is `%`: texts are matched with it by searching for its pieces.
pub struct Pieces {
    prefix: Vec<u8>,
    /// What comes between, in this order, wherever it is found first.
    middle: Vec<memmem::Finder<'static>>,
    /// `None`: there is no wildcard, and the prefix is all.
    suffix: Option<Vec<u8>>,
}

impl Pieces {
    /// The pieces of a pattern, if it is one of these.
    #[must_use]
    pub fn of(pattern: &str) -> Option<Pieces> {
        if pattern.contains(['_', '\\']) {
            return None;
        }
        let mut pieces: Vec<&str> = pattern.split('%').collect();
        let suffix =
            if pieces.len() > 1 { pieces.pop().map(|piece| piece.as_bytes().to_vec()) } else { None };
        let prefix = pieces.remove(0).as_bytes().to_vec();
        let middle = pieces.into_iter().filter(|piece| !piece.is_empty());
        let middle = middle.map(|piece| memmem::Finder::new(piece).into_owned()).collect();
        Some(Pieces { prefix, middle, suffix })
    }

    /// Whether a text in UTF-8 matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        let Some(suffix) = &self.suffix else { return text == self.prefix };
        let mut rest = text;
        // Comparing no bytes with those of an empty vector, whose address is none, costs some processors a trap.
        if !self.prefix.is_empty() {
            let Some(behind) = rest.strip_prefix(self.prefix.as_slice()) else { return false };
            rest = behind;
        }
        if !suffix.is_empty() {
            let Some(before) = rest.strip_suffix(suffix.as_slice()) else { return false };
            rest = before;
        }
        self.middle.iter().all(|piece| match piece.find(rest) {
            Some(at) => {
                rest = &rest[at + piece.needle().len()..];
                true
            }
            None => false,
        })
    }
}

fn like_columns(arguments: &[crate::value::Column], negated: bool) -> Result<crate::value::Column> {
    if let [_, pattern] = arguments
        && pattern.is_constant()
        && let Datum::Text(pattern) = pattern.get(0)
        && let Some(pieces) = Pieces::of(&pattern)
    {
        let computed = binary_text(arguments, |text, _| pieces.matches(text.as_bytes()) != negated)?;
        return Ok(computed.into_column(ColumnData::Bool));
    }
    let failure = std::cell::Cell::new(None);
    let computed = binary_text(arguments, |text, pattern| match like(text, pattern) {
        Ok(matched) => matched != negated,
        Err(error) => {
            failure.set(Some(error));
            false
        }
    })?;
    match failure.take() {
        Some(error) => Err(error),
        None => Ok(computed.into_column(ColumnData::Bool)),
    }
}

/// LIKE of bytes: each of them is a character.
fn bytes_like(arguments: &[Datum]) -> Result<bool> {
    match arguments {
        [Datum::Bytes(bytes), Datum::Bytes(pattern)] => like_bytes(bytes, pattern, |_| 1),
        _ => Err(wrong_arguments()),
    }
}

/// The pattern operators, under the names that PostgreSQL gives their functions by what stands on the left.
fn add_patterns(registry: &mut Registry, prefix: &str, left: Oid) {
    let entry = |word: &str, kernel| Entry::new(format!("{prefix}{word}"), &[left, TEXT], BOOL, kernel);
    registry.add_operator(
        "~~",
        entry("like", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            like(text, pattern).map(Datum::Bool)
        })
        .vectorized(|arguments, _| like_columns(arguments, false)),
    );
    registry.add_operator(
        "!~~",
        entry("nlike", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            like(text, pattern).map(|matched| Datum::Bool(!matched))
        })
        .vectorized(|arguments, _| like_columns(arguments, true)),
    );
    registry.add_operator(
        "~~*",
        entry("iclike", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            like(&lower(text), &lower(pattern)).map(Datum::Bool)
        }),
    );
    registry.add_operator(
        "!~~*",
        entry("icnlike", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            like(&lower(text), &lower(pattern)).map(|matched| Datum::Bool(!matched))
        }),
    );
    registry.add_operator(
        "~",
        entry("regexeq", |arguments, context| matches(arguments, false, context).map(Datum::Bool)),
    );
    registry.add_operator(
        "!~",
        entry("regexne", |arguments, context| {
            matches(arguments, false, context).map(|found| Datum::Bool(!found))
        }),
    );
    registry.add_operator(
        "~*",
        entry("icregexeq", |arguments, context| matches(arguments, true, context).map(Datum::Bool)),
    );
    registry.add_operator(
        "!~*",
        entry("icregexne", |arguments, context| {
            matches(arguments, true, context).map(|found| Datum::Bool(!found))
        }),
    );
}

/// Other names of pattern operators' functions.
fn add_names(registry: &mut Registry, prefix: &str) {
    for (name, word) in [("like", "like"), ("notlike", "nlike")] {
        if let Some(function) = registry.functions(&format!("{prefix}{word}")).first().cloned() {
            registry.add(Entry::named_after(name, &function));
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    for (prefix, left) in [("text", TEXT), ("name", NAME), ("bpchar", BPCHAR)] {
        add_patterns(registry, prefix, left);
    }
    add_names(registry, "text");
    add_names(registry, "name");
    registry.add_operator(
        "~~",
        Entry::new("bytealike", &[BYTEA, BYTEA], BOOL, |arguments, _| bytes_like(arguments).map(Datum::Bool)),
    );
    registry.add_operator(
        "!~~",
        Entry::new("byteanlike", &[BYTEA, BYTEA], BOOL, |arguments, _| {
            bytes_like(arguments).map(|matched| Datum::Bool(!matched))
        }),
    );
    registry.add(Entry::new("like_escape", &[TEXT, TEXT], TEXT, |arguments, _| {
        let (pattern, escape) = texts(arguments)?;
        like_escape(pattern, escape).map(Datum::from)
    }));
    registry.add(Entry::new("similar_to_escape", &[TEXT], TEXT, |arguments, _| {
        let [Datum::Text(pattern)] = arguments else { return Err(wrong_arguments()) };
        similar_to_regex(pattern, Some('\\')).map(Datum::from)
    }));
    registry.add(Entry::new("similar_to_escape", &[TEXT, TEXT], TEXT, |arguments, _| {
        similar_with_escape(arguments)
    }));
    registry.add(
        // An older name of it, whose escape character is a backslash where none is given.
        Entry::new("similar_escape", &[TEXT, TEXT], TEXT, |arguments, _| match arguments {
            [Datum::Null, _] => Ok(Datum::Null),
            [Datum::Text(pattern), Datum::Null] => similar_to_regex(pattern, Some('\\')).map(Datum::from),
            _ => similar_with_escape(arguments),
        })
        .not_strict(),
    );
    registry.add(Entry::new("starts_with", &[TEXT, TEXT], BOOL, |arguments, _| {
        let (text, prefix) = texts(arguments)?;
        Ok(Datum::Bool(text.starts_with(prefix)))
    }));
    registry.add_operator(
        "^@",
        Entry::new("starts_with_op", &[TEXT, TEXT], BOOL, |arguments, _| {
            let (text, prefix) = texts(arguments)?;
            Ok(Datum::Bool(text.starts_with(prefix)))
        }),
    );
}
