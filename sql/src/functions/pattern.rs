//! LIKE and ILIKE, regular expressions (`~`, `~*`), SIMILAR TO.
//!
//! Patterns of LIKE are matched byte by byte with backtracking to the last `%` only. Regular expressions are the
//! `regex` crate's after a translation of what POSIX and Tcl write otherwise; compiled ones are kept per thread.

use super::registry::{Entry, Registry};
use super::string::lower;
use super::vector::{binary_text, wrong_arguments};
use crate::error::{Result, SqlError, SqlState};
use crate::types::Oid;
use crate::types::oids::{BOOL, BPCHAR, NAME, TEXT};
use crate::value::{ColumnData, Datum};
use memchr::memmem;
use regex::{Regex, RegexBuilder};
use std::cell::RefCell;

/// How many compiled expressions a thread keeps.
const CACHED_MAX: usize = 32;

/// Whether a text matches a LIKE pattern whose escape character is a backslash.
///
/// # Errors
/// 22025 where the pattern ends in an escape.
pub(super) fn like(text: &str, pattern: &str) -> Result<bool> {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
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
                at += character_bytes(text[at]);
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
                *text_at += character_bytes(text[*text_at]);
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
    static COMPILED: RefCell<Vec<(String, bool, Regex)>> = const { RefCell::new(Vec::new()) };
}

/// Runs something with a compiled expression.
///
/// # Errors
/// 2201B where the pattern is none.
pub(super) fn with_regex<T>(pattern: &str, ignore_case: bool, body: impl FnOnce(&Regex) -> T) -> Result<T> {
    let regex = COMPILED.with_borrow_mut(|compiled| -> Result<Regex> {
        if let Some(index) =
            compiled.iter().rposition(|(known, flag, _)| known == pattern && *flag == ignore_case)
        {
            let entry = compiled.remove(index);
            let regex = entry.2.clone();
            compiled.push(entry);
            return Ok(regex);
        }
        let regex = RegexBuilder::new(&translate(pattern))
            .case_insensitive(ignore_case)
            .dot_matches_new_line(true)
            .build()
            .map_err(|error| invalid_regex(&error))?;
        if compiled.len() == CACHED_MAX {
            compiled.remove(0);
        }
        compiled.push((pattern.to_owned(), ignore_case, regex.clone()));
        Ok(regex)
    })?;
    Ok(body(&regex))
}

#[cold]
fn invalid_regex(error: &regex::Error) -> SqlError {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or(&text).trim_start_matches("error: ");
    let reason = match reason {
        "unclosed group" | "unopened group" => "parentheses () not balanced",
        "unclosed character class" => "brackets [] not balanced",
        "repetition operator missing expression" => "quantifier operand invalid",
        "unclosed counted repetition" => "braces {} not balanced",
        "invalid character class range, the start must be <= the end" => "invalid character range",
        other => other,
    };
    SqlError::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {reason}"))
}

/// From PostgreSQL's advanced regular expressions to the crate's syntax.
fn translate(pattern: &str) -> String {
    if let Some(literal) = pattern.strip_prefix("***=") {
        return regex::escape(literal);
    }
    let pattern = pattern.strip_prefix("***:").unwrap_or(pattern);
    let mut result = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('y') => result.push_str("\\b"),
                Some('Y') => result.push_str("\\B"),
                Some('m') => result.push_str("\\b{start}"),
                Some('M') => result.push_str("\\b{end}"),
                Some('Z') => result.push_str("\\z"),
                Some(
                    escaped @ ('"' | '\'' | ',' | ':' | ';' | '=' | '<' | '>' | '!' | '@' | '%' | '_' | '`'
                    | ' ' | '/'),
                ) => {
                    result.push_str(&regex::escape(&escaped.to_string()));
                }
                Some(escaped) => {
                    result.push('\\');
                    result.push(escaped);
                }
                None => result.push('\\'),
            },
            '[' => translate_bracket(&mut characters, &mut result),
            _ => result.push(character),
        }
    }
    result
}

/// A bracket expression: what is literal there but special to the crate is escaped.
fn translate_bracket(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, result: &mut String) {
    result.push('[');
    if characters.next_if_eq(&'^').is_some() {
        result.push('^');
    }
    let mut first = true;
    while let Some(character) = characters.next() {
        match character {
            ']' if !first => {
                result.push(']');
                return;
            }
            '[' if characters.peek() == Some(&':') => {
                // A class such as `[:alpha:]` is written alike.
                result.push('[');
                for inner in characters.by_ref() {
                    result.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '\\' => {
                result.push('\\');
                if let Some(escaped) = characters.next() {
                    result.push(escaped);
                }
            }
            '[' | ']' | '&' | '~' => {
                result.push('\\');
                result.push(character);
            }
            _ => result.push(character),
        }
        first = false;
    }
}

/// The pattern of `substring(… SIMILAR pattern ESCAPE escape)` as a regular expression: what stands between two escaped
/// double quotes is the group that is looked for, what stands before matches as little as it can.
///
/// # Errors
/// 2200C for more than two of those.
pub(super) fn similar_substring_regex(pattern: &str, escape: Option<char>) -> Result<String> {
    let Some(escape) = escape else { return Ok(similar_to_regex(pattern, None)) };
    let mut parts = vec![String::new()];
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let last = parts.last_mut().expect("there is always a part");
        match (character == escape).then(|| characters.next()).flatten() {
            Some('"') => parts.push(String::new()),
            Some(literal) => last.extend([character, literal]),
            None => last.push(character),
        }
    }
    let inner = |part: &str| {
        similar_to_regex(part, Some(escape)).trim_start_matches('^').trim_end_matches('$').to_owned()
    };
    match parts.as_slice() {
        [whole] => Ok(similar_to_regex(whole, Some(escape))),
        [before, wanted] => Ok(format!("^(?U:{})({})$", inner(before), inner(wanted))),
        [before, wanted, after] => Ok(format!("^(?U:{})({}){}$", inner(before), inner(wanted), inner(after))),
        _ => Err(SqlError::new(
            SqlState::INVALID_USE_OF_ESCAPE_CHARACTER,
            "SQL regular expression may not contain more than two escape-double-quote separators",
        )),
    }
}

/// SIMILAR TO's pattern as a regular expression (`similar_to_escape`).
pub(super) fn similar_to_regex(pattern: &str, escape: Option<char>) -> String {
    let mut result = String::from("^(?:");
    let mut in_bracket = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            if let Some(literal) = characters.next() {
                result.push('\\');
                result.push(literal);
            }
            continue;
        }
        match character {
            '[' if !in_bracket => {
                in_bracket = true;
                result.push('[');
            }
            ']' if in_bracket => {
                in_bracket = false;
                result.push(']');
            }
            _ if in_bracket => result.push(character),
            '%' => result.push_str(".*"),
            '_' => result.push('.'),
            '(' => result.push_str("(?:"),
            '\\' | '.' | '^' | '$' => {
                result.push('\\');
                result.push(character);
            }
            _ => result.push(character),
        }
    }
    result.push_str(")$");
    result
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
        let rest = text.strip_prefix(self.prefix.as_slice());
        let Some(mut rest) = rest.and_then(|rest| rest.strip_suffix(suffix.as_slice())) else { return false };
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

fn add_like(registry: &mut Registry, left: Oid) {
    let entry = |name: &'static str, kernel| Entry::new(name, &[left, TEXT], BOOL, kernel);
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
        entry("notlike", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            like(text, pattern).map(|matched| Datum::Bool(!matched))
        })
        .vectorized(|arguments, _| like_columns(arguments, true)),
    );
    registry.add_operator(
        "~~*",
        entry("texticlike", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            like(&lower(text), &lower(pattern)).map(Datum::Bool)
        }),
    );
    registry.add_operator(
        "!~~*",
        entry("texticnlike", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            like(&lower(text), &lower(pattern)).map(|matched| Datum::Bool(!matched))
        }),
    );
    registry.add_operator(
        "~",
        entry("textregexeq", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            with_regex(pattern, false, |regex| Datum::Bool(regex.is_match(text)))
        }),
    );
    registry.add_operator(
        "!~",
        entry("textregexne", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            with_regex(pattern, false, |regex| Datum::Bool(!regex.is_match(text)))
        }),
    );
    registry.add_operator(
        "~*",
        entry("texticregexeq", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            with_regex(pattern, true, |regex| Datum::Bool(regex.is_match(text)))
        }),
    );
    registry.add_operator(
        "!~*",
        entry("texticregexne", |arguments, _| {
            let (text, pattern) = texts(arguments)?;
            with_regex(pattern, true, |regex| Datum::Bool(!regex.is_match(text)))
        }),
    );
}

pub(super) fn register(registry: &mut Registry) {
    for left in [TEXT, NAME, BPCHAR] {
        add_like(registry, left);
    }
    registry.add(Entry::new("like_escape", &[TEXT, TEXT], TEXT, |arguments, _| {
        let (pattern, escape) = texts(arguments)?;
        like_escape(pattern, escape).map(Datum::from)
    }));
    registry.add(Entry::new("similar_to_escape", &[TEXT], TEXT, |arguments, _| {
        let [Datum::Text(pattern)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::from(similar_to_regex(pattern, Some('\\'))))
    }));
    registry.add(Entry::new("similar_to_escape", &[TEXT, TEXT], TEXT, |arguments, _| {
        let (pattern, escape) = texts(arguments)?;
        if escape.chars().count() > 1 {
            return Err(SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .with_hint("Escape string must be empty or one character."));
        }
        Ok(Datum::from(similar_to_regex(pattern, escape.chars().next())))
    }));
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
