//! Positions in a statement's text: from the tokenizer's lines and columns to PostgreSQL's character counts.

use std::cell::RefCell;

use sqlparser::tokenizer::Location;

use crate::error::SqlError;

/// What settings say of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringRules {
    /// Backslashes escape in plain literals: `standard_conforming_strings = off`.
    pub escapes: bool,
    /// `escape_string_warning`: those that do are told of.
    pub warns: bool,
    /// `backslash_quote`: `\'` is a quotation mark.
    pub quotes: bool,
}

impl StringRules {
    /// Those of texts that the database itself has written.
    pub const STANDARD: StringRules = StringRules { escapes: false, warns: false, quotes: true };
}

/// A text and where its lines begin.
pub struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    pub(super) rules: StringRules,
    /// What there is to say of it besides errors.
    pub(super) warnings: RefCell<Vec<SqlError>>,
}

impl<'a> Source<'a> {
    /// Finds the lines of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Source<'a> {
        Source::under(text, StringRules::STANDARD)
    }

    /// The same for a text that is read by other rules.
    #[must_use]
    pub fn under(text: &'a str, rules: StringRules) -> Source<'a> {
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        Source { text, line_starts, rules, warnings: RefCell::default() }
    }

    /// The byte offset of a location; the end of the text for one beyond it.
    #[must_use]
    pub fn offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.line_starts.get(line) else { return self.text.len() };
        let rest = &self.text[*start..];
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        rest.char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The position PostgreSQL reports for a byte offset: characters, from 1.
    #[must_use]
    pub fn position(&self, offset: usize) -> u32 {
        let characters = self.text[..offset.min(self.text.len())].chars().count();
        u32::try_from(characters + 1).unwrap_or(u32::MAX)
    }

    /// [`Source::position`] of a location; `None` for the empty location of a node that has none.
    #[must_use]
    pub fn position_of(&self, location: Location) -> Option<u32> {
        (location.line > 0).then(|| self.position(self.offset(location)))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }
}
