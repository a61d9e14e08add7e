//! Cutting a date's, a time's or an interval's text into fields, before anything is known of their meaning.
//!
//! 1. A digit begins a time (`4:05:06`), a date with separators (`1999-01-08`, `08-Jan-1999`) or a number.
//! 2. A letter begins a word; with `-`, `/` or `.` behind it a date (`Jan-08-1999`) or the name of a zone.
//! 3. A sign before a digit begins a zone's offset, or an interval's signed number or time; before a letter, a
//!    special word (`-infinity`).
//! 4. Blanks and other punctuation only separate.
//!
//! Letters are made small, and the number and length of the fields is bounded, as in PostgreSQL.

use super::words;
use crate::types::scalar::is_space;
use std::ops::Range;

/// More fields than this are no date.
const FIELDS_MAX: usize = 25;

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits, perhaps with a decimal point.
    Number,
    /// Several parts with separators between; also the name of a zone.
    Date,
    /// Has a colon.
    Time,
    /// A sign and digits.
    Signed,
    /// Letters.
    Word,
    /// A sign and letters.
    Special,
}

/// The fields of a text, in order.
#[derive(Debug, Default)]
pub(super) struct Fields {
    text: String,
    fields: Vec<(Kind, Range<usize>)>,
}

impl Fields {
    /// Cuts a text whose fields together have at most `length_max` characters; `None` if it cannot be a date.
    pub(super) fn cut(text: &str, length_max: usize) -> Option<Fields> {
        let mut fields = Fields { text: String::with_capacity(text.len()), fields: Vec::with_capacity(8) };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if is_space(first) {
                rest = &rest[1..];
                continue;
            }
            let start = fields.text.len();
            let kind = match first {
                '0'..='9' => fields.number(&mut rest),
                '.' => {
                    fields.take(&mut rest, 1);
                    fields.take_while(&mut rest, |byte| byte.is_ascii_digit());
                    Kind::Number
                }
                'a'..='z' | 'A'..='Z' => fields.word(&mut rest, start),
                '+' | '-' => fields.signed(&mut rest)?,
                _ if first.is_ascii_punctuation() => {
                    rest = &rest[1..];
                    continue;
                }
                _ => return None,
            };
            fields.fields.push((kind, start..fields.text.len()));
            // One more character closes each field.
            if fields.fields.len() > FIELDS_MAX || fields.text.len() + fields.fields.len() > length_max {
                return None;
            }
        }
        Some(fields)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// What the field at a place looks like.
    pub(super) fn kind(&self, place: usize) -> Option<Kind> {
        self.fields.get(place).map(|field| field.0)
    }

    /// The text of the field at a place, in small letters.
    pub(super) fn text(&self, place: usize) -> &str {
        self.fields.get(place).map_or("", |field| &self.text[field.1.clone()])
    }

    /// Moves ASCII bytes from the text's front.
    fn take(&mut self, rest: &mut &str, count: usize) {
        let (taken, after) = rest.split_at(count);
        self.text.extend(taken.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
        *rest = after;
    }

    fn take_while(&mut self, rest: &mut &str, test: impl Fn(u8) -> bool) {
        let count = rest.bytes().take_while(|byte| byte.is_ascii() && test(*byte)).count();
        self.take(rest, count);
    }

    fn number(&mut self, rest: &mut &str) -> Kind {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        self.take_while(rest, is_digit);
        let delimiter = match rest.bytes().next() {
            Some(b':') => {
                self.take_while(rest, |byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
                return Kind::Time;
            }
            Some(delimiter @ (b'-' | b'/' | b'.')) => delimiter,
            _ => return Kind::Number,
        };
        self.take(rest, 1);
        if !rest.starts_with(|next: char| next.is_ascii_digit()) {
            self.take_while(rest, |byte| byte.is_ascii_alphanumeric() || byte == delimiter);
            return Kind::Date;
        }
        self.take_while(rest, is_digit);
        // Only the same separator again makes a date of three parts.
        if rest.bytes().next() == Some(delimiter) {
            self.take_while(rest, |byte| byte.is_ascii_digit() || byte == delimiter);
            return Kind::Date;
        }
        if delimiter == b'.' { Kind::Number } else { Kind::Date }
    }

    fn word(&mut self, rest: &mut &str, start: usize) -> Kind {
        self.take_while(rest, |byte| byte.is_ascii_alphabetic());
        let is_compound = match rest.bytes().next() {
            Some(b'-' | b'/' | b'.') => true,
            // `feb10` is two fields, `gmt+3` one.
            Some(b'+' | b'0'..=b'9') => words::find(&self.text[start..]).is_none(),
            _ => false,
        };
        if !is_compound {
            return Kind::Word;
        }
        self.take_while(rest, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        Kind::Date
    }

    fn signed(&mut self, rest: &mut &str) -> Option<Kind> {
        self.take(rest, 1);
        *rest = rest.trim_start_matches(is_space);
        match rest.bytes().next()? {
            b'0'..=b'9' => {
                self.take_while(rest, |byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-'));
                Some(Kind::Signed)
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                self.take_while(rest, |byte| byte.is_ascii_alphabetic());
                Some(Kind::Special)
            }
            _ => None,
        }
    }
}
