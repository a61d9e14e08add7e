//! What PostgreSQL's lexer does and sqlparser's does not: strings with escapes (`E'…'`, `U&'…'`, `U&"…"` with UESCAPE),
//! their errors where they are, strings that go on on the next line, and numbers that run into words.
//!
//! 1. The text is gone through once. Each literal of these kinds is decoded here.
//! 2. In the text that sqlparser is given, a plain string of the same length on the same lines takes its place, so that
//!    all places stay what they are. It begins with [`MARK`].
//! 3. In the tokens, the marked strings become what was decoded, in order.
//!
//! A number that runs into a word is an error, but in the name of a branch: there it becomes a word of the same length, and the
//! name is read from the text (`branch.rs`).
//!
//! A text that ends inside of a literal or comment is left as it is from there on: sqlparser finds that error.

use std::borrow::Cow;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::escape;
use super::source::Source;
use crate::error::{Result, SqlError, SqlState};

/// The first character of a string that stands for something decoded.
const MARK: char = '\u{1}';

/// A text as sqlparser is to read it.
pub(super) struct Prepared<'a> {
    pub(super) text: Cow<'a, str>,
    /// What the marked strings are, in order.
    decoded: Vec<Token>,
}

impl Prepared<'_> {
    /// Puts what was decoded in the place of the marked strings.
    pub(super) fn restore(self, tokens: &mut [TokenWithSpan]) {
        let mut decoded = self.decoded.into_iter();
        for token in tokens {
            if let Token::SingleQuotedString(text) = &token.token
                && text.starts_with(MARK)
                && let Some(meant) = decoded.next()
            {
                token.token = meant;
            }
        }
    }
}

/// Goes through a text.
///
/// # Errors
/// 42601, 22025 and 22021 for what is wrong in such literals and in numbers, with its place.
pub(super) fn prepare<'a>(source: &Source<'a>) -> Result<Prepared<'a>> {
    let mut lexer = Lexer {
        source,
        text: source.text(),
        at: 0,
        statement: 0,
        copied: 0,
        out: String::new(),
        decoded: Vec::new(),
    };
    lexer.run()?;
    if lexer.copied == 0 {
        return Ok(Prepared { text: Cow::Borrowed(source.text()), decoded: Vec::new() });
    }
    lexer.out.push_str(&lexer.text[lexer.copied..]);
    Ok(Prepared { text: Cow::Owned(lexer.out), decoded: lexer.decoded })
}

struct Lexer<'s, 'a> {
    source: &'s Source<'a>,
    text: &'a str,
    at: usize,
    /// Where the statement begins that it is in.
    statement: usize,
    /// Up to where the text is in `out`, once anything is.
    copied: usize,
    out: String,
    decoded: Vec<Token>,
}

/// What is said of the first backslash in a literal that does not announce it.
fn nonstandard(escaped: u8) -> SqlError {
    let (what, hint) = match escaped {
        b'\'' => ("\\'", "Use '' to write quotes in strings, or use the escape string syntax (E'...')."),
        b'\\' => ("\\\\", "Use the escape string syntax for backslashes, e.g., E'\\\\'."),
        _ => ("escape", "Use the escape string syntax for escapes, e.g., E'\\r\\n'."),
    };
    let message = format!("nonstandard use of {what} in a string literal");
    SqlError::new(SqlState::NONSTANDARD_USE_OF_ESCAPE_CHARACTER, message).with_hint(hint)
}

/// A text in which the literals that have escapes say so, so that it means the same by the standard's rules.
pub(super) fn standard(text: &str) -> String {
    let bytes = text.as_bytes();
    let rules = super::StringRules { escapes: true, ..super::StringRules::STANDARD };
    let source = Source::under(text, rules);
    let mut lexer = Lexer {
        source: &source,
        text,
        at: 0,
        statement: 0,
        copied: 0,
        out: String::new(),
        decoded: Vec::new(),
    };
    let mut out = String::new();
    let mut copied = 0;
    while let Some(&byte) = bytes.get(lexer.at) {
        let (begin, seen) = (lexer.at, lexer.decoded.len());
        let Ok(Some(behind)) = lexer.lexeme(byte) else { break };
        if byte == b'\'' && lexer.decoded.len() > seen && text[begin..behind].contains('\\') {
            out.push_str(&text[copied..begin]);
            out.push_str(" E");
            copied = begin;
        }
        lexer.at = behind;
    }
    out.push_str(&text[copied..]);
    out
}

/// Whether a byte begins a word (those of several bytes do).
fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn in_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// The place behind a quoted piece whose opening mark is just before `at`; the mark within is doubled, or has a backslash
/// before it where that escapes.
fn behind_quoted(bytes: &[u8], mut at: usize, mark: u8, backslash: bool) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            b'\\' if backslash => at += 2,
            byte if byte == mark && bytes.get(at + 1) == Some(&mark) => at += 2,
            byte if byte == mark => return Some(at + 1),
            _ => at += 1,
        }
    }
}

impl Lexer<'_, '_> {
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn fail<T>(&self, error: SqlError, at: usize) -> Result<T> {
        Err(error.at(self.source.position(at)))
    }

    fn run(&mut self) -> Result<()> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            let Some(behind) = self.lexeme(byte)? else { return Ok(()) };
            self.at = behind;
        }
        Ok(())
    }

    /// Where the lexeme ends that begins here with a byte; `None` where it does not end.
    fn lexeme(&mut self, byte: u8) -> Result<Option<usize>> {
        let bytes = self.text.as_bytes();
        let next = self.byte(self.at + 1);
        Ok(match byte {
            b'\'' => self.plain_string()?,
            b'E' | b'e' if next == b'\'' => self.string(self.at, self.at + 2, true)?,
            b'U' | b'u' if next == b'&' && matches!(self.byte(self.at + 2), b'\'' | b'"') => {
                self.unicode()?
            }
            b'"' => behind_quoted(bytes, self.at + 1, b'"', false),
            b'-' if next == b'-' => Some(self.line_end(self.at)),
            b'/' if next == b'*' => self.behind_comment(),
            b'$' if next.is_ascii_digit() => Some(self.parameter()?),
            b'$' => self.behind_dollars(),
            b'0'..=b'9' => Some(self.number_or_name()?),
            b'.' if next.is_ascii_digit() => Some(self.number_or_name()?),
            b';' => {
                self.statement = self.at + 1;
                Some(self.at + 1)
            }
            _ if begins_word(byte) => Some(self.behind_word(self.at)),
            _ => Some(self.at + 1),
        })
    }

    fn line_end(&self, from: usize) -> usize {
        memchr::memchr2(b'\n', b'\r', &self.text.as_bytes()[from..]).map_or(self.text.len(), |at| from + at)
    }

    fn behind_word(&self, mut at: usize) -> usize {
        while in_word(self.byte(at)) {
            at += 1;
        }
        at
    }

    fn behind_comment(&self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let (mut at, mut depth) = (self.at + 2, 1);
        while depth > 0 {
            match (*bytes.get(at)?, self.byte(at + 1)) {
                (b'*', b'/') => {
                    depth -= 1;
                    at += 2;
                }
                (b'/', b'*') => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        Some(at)
    }

    /// A string between dollar signs, or one such sign.
    fn behind_dollars(&self) -> Option<usize> {
        let mut at = self.at + 1;
        while in_word(self.byte(at)) && self.byte(at) != b'$' {
            at += 1;
        }
        if self.byte(at) != b'$' {
            return Some(self.at + 1);
        }
        let tag = &self.text[self.at..=at];
        memchr::memmem::find(&self.text.as_bytes()[at + 1..], tag.as_bytes())
            .map(|found| at + 1 + found + tag.len())
    }

    fn parameter(&self) -> Result<usize> {
        let mut end = self.at + 1;
        while self.byte(end).is_ascii_digit() {
            end += 1;
        }
        self.no_word_at(end, "parameter")
    }

    fn no_word_at(&self, end: usize, what: &str) -> Result<usize> {
        if !begins_word(self.byte(end)) {
            return Ok(end);
        }
        let shown = &self.text[self.at..self.behind_word(end)];
        self.fail(SqlError::syntax(format!("trailing junk after {what} at or near \"{shown}\"")), self.at)
    }

    /// A number, or what runs on from one within a branch's name.
    fn number_or_name(&mut self) -> Result<usize> {
        let error = match self.number() {
            Ok(behind) => return Ok(behind),
            Err(error) => error,
        };
        if !super::branch::is_in_name(&self.text[self.statement..], self.at - self.statement) {
            return Err(error);
        }
        let mut behind = self.at + 1;
        while in_word(self.byte(behind)) || self.byte(behind) == b'.' {
            behind += 1;
        }
        self.out.push_str(&self.text[self.copied..self.at]);
        self.out.extend(self.text[self.at..behind].chars().map(|_| 'x'));
        self.copied = behind;
        Ok(behind)
    }

    fn number(&self) -> Result<usize> {
        let digits = |mut at: usize| {
            while self.byte(at).is_ascii_digit() {
                at += 1;
            }
            at
        };
        let mut end = digits(self.at);
        if self.byte(end) == b'.' && self.byte(end + 1) != b'.' {
            end = digits(end + 1);
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            if self.byte(end + 1 + sign).is_ascii_digit() {
                end = digits(end + 1 + sign);
            } else if sign > 0 {
                let shown = &self.text[self.at..end + 2];
                return self.fail(
                    SqlError::syntax(format!("trailing junk after numeric literal at or near \"{shown}\"")),
                    self.at,
                );
            }
        }
        self.no_word_at(end, "numeric literal")
    }

    /// Where the next part of a string begins, behind its quotation mark: blanks and comments to line ends may be between
    /// the parts, and a line's end has to be.
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut lines = 0;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (b'\n' | b'\r', _) => {
                    lines += 1;
                    at += 1;
                }
                (b' ' | b'\t' | 0x0b | 0x0c, _) => at += 1,
                (b'-', b'-') => at = self.line_end(at),
                (b'\'', _) if lines > 0 => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// The parts of a string whose first begins at `inside`, without their quotation marks, and where it ends.
    fn string_parts(&self, inside: usize, backslash: bool) -> Option<(Vec<(usize, usize)>, usize)> {
        let mut parts = Vec::new();
        let mut inside = inside;
        loop {
            let behind = behind_quoted(self.text.as_bytes(), inside, b'\'', backslash)?;
            parts.push((inside, behind - 1));
            match self.continuation(behind) {
                Some(next) => inside = next,
                None => return Some((parts, behind)),
            }
        }
    }

    /// A literal without a letter before it: whether backslashes escape in it is for the rules to say.
    fn plain_string(&mut self) -> Result<Option<usize>> {
        let (begin, inside) = (self.at, self.at + 1);
        let rules = self.source.rules;
        let parts = if rules.escapes { self.string_parts(inside, true) } else { None };
        if rules.escapes && parts.is_none() {
            let rest = &self.text[begin..];
            let error = format!("unterminated quoted string at or near \"{rest}\"");
            return self.fail(SqlError::syntax(error), begin);
        }
        let first = parts.iter().flat_map(|(parts, _)| parts).find_map(|(from, to)| {
            memchr::memchr(b'\\', &self.text.as_bytes()[*from..*to]).map(|at| self.byte(from + at + 1))
        });
        let (Some((parts, behind)), Some(first)) = (parts, first) else {
            return self.string(begin, inside, false);
        };
        if rules.warns {
            self.source.warnings.borrow_mut().push(nonstandard(first).at(self.source.position(begin)));
        }
        let text = self.unescaped(begin, &parts, behind)?;
        self.replace(begin, behind, Token::SingleQuotedString(text));
        Ok(Some(behind))
    }

    /// What the parts of a string with escapes mean.
    fn unescaped(&self, begin: usize, parts: &[(usize, usize)], behind: usize) -> Result<String> {
        let mut decoder = escape::Decoder::default();
        for (from, to) in parts {
            if !self.source.rules.quotes {
                self.refuse_quotes(begin, *from, *to)?;
            }
            decoder.part(&self.text[..*to], *from).map_err(|(error, at)| self.placed(error, at))?;
        }
        decoder.finish().map_err(|(error, at)| self.placed(error, at.map(|_| behind - 1)))
    }

    /// A backslash makes no quotation mark.
    fn refuse_quotes(&self, begin: usize, mut at: usize, end: usize) -> Result<()> {
        while at < end {
            if self.byte(at) != b'\\' {
                at += 1;
                continue;
            }
            if self.byte(at + 1) == b'\'' {
                let error = "unsafe use of \\' in a string literal";
                let error = SqlError::new(SqlState::NONSTANDARD_USE_OF_ESCAPE_CHARACTER, error).with_hint(
                    "Use '' to write quotes in strings. \\' is insecure in client-only encodings.",
                );
                return self.fail(error, begin);
            }
            at += 2;
        }
        Ok(())
    }

    fn string(&mut self, begin: usize, inside: usize, escaped: bool) -> Result<Option<usize>> {
        let Some((parts, behind)) = self.string_parts(inside, escaped) else { return Ok(None) };
        if escaped {
            let text = self.unescaped(begin, &parts, behind)?;
            self.replace(begin, behind, Token::EscapedStringLiteral(text));
        } else if parts.len() > 1 || self.text[inside..].starts_with(MARK) {
            let pieces: Vec<String> =
                parts.iter().map(|part| self.text[part.0..part.1].replace("''", "'")).collect();
            self.replace(begin, behind, Token::SingleQuotedString(pieces.concat()));
        }
        Ok(Some(behind))
    }

    fn placed(&self, error: SqlError, at: Option<usize>) -> SqlError {
        match at {
            Some(at) => error.at(self.source.position(at)),
            None => error,
        }
    }

    /// `U&'…'` or `U&"…"`, with what UESCAPE says behind it.
    fn unicode(&mut self) -> Result<Option<usize>> {
        let (begin, inside) = (self.at, self.at + 3);
        let is_name = self.byte(begin + 2) == b'"';
        if self.source.rules.escapes && !is_name {
            let error = SqlError::unsupported("unsafe use of string constant with Unicode escapes").with_detail(
                "String constants with Unicode escapes cannot be used when standard_conforming_strings is off.",
            );
            return self.fail(error, begin);
        }
        let found = match is_name {
            true => behind_quoted(self.text.as_bytes(), inside, b'"', false)
                .map(|behind| (vec![(inside, behind - 1)], behind)),
            false => self.string_parts(inside, false),
        };
        let Some((parts, mut behind)) = found else { return Ok(None) };
        if is_name && behind == inside + 1 {
            let error = SqlError::syntax("zero-length delimited identifier at or near \"U&\"\"\"");
            return self.fail(error, begin);
        }
        let mut escape = '\\';
        if let Some((character, end)) = self.escape_character(behind)? {
            (escape, behind) = (character, end);
        }
        let (mark, doubled) = if is_name { ("\"", "\"\"") } else { ("'", "''") };
        let pieces: Vec<String> =
            parts.iter().map(|part| self.text[part.0..part.1].replace(doubled, mark)).collect();
        let text = escape::decode_unicode(&pieces.concat(), escape, escape::Form::Literal)
            .or_else(|(error, at)| self.fail(error, inside + at))?;
        let token = match is_name {
            true => Token::make_word(&text, Some('"')),
            false => Token::SingleQuotedString(text),
        };
        self.replace(begin, behind, token);
        Ok(Some(behind))
    }

    /// What `UESCAPE '!'` names, and where it ends; `None` where there is no such thing.
    fn escape_character(&self, from: usize) -> Result<Option<(char, usize)>> {
        let word = self.behind_blanks(from);
        let behind_word = self.behind_word(word);
        if !self.text[word..behind_word].eq_ignore_ascii_case("uescape") {
            return Ok(None);
        }
        let at = self.behind_blanks(behind_word);
        if self.byte(at) != b'\'' {
            let near = self.text[at..].chars().next().map_or(String::new(), String::from);
            let end = self.behind_word(at);
            let near = if end > at { &self.text[at..end] } else { &near };
            let place =
                if near.is_empty() { "at end of input".to_owned() } else { format!("at or near \"{near}\"") };
            let error = format!("UESCAPE must be followed by a simple string literal {place}");
            return self.fail(SqlError::syntax(error), at);
        }
        let Some(end) = behind_quoted(self.text.as_bytes(), at + 1, b'\'', false) else { return Ok(None) };
        let mut characters = self.text[at + 1..end - 1].chars();
        let invalid = |character: char| {
            character.is_ascii_hexdigit() || character.is_ascii_whitespace() || "+'\"".contains(character)
        };
        match (characters.next(), characters.next()) {
            (Some(only), None) if !invalid(only) => Ok(Some((only, end))),
            _ => {
                let shown = &self.text[at..end];
                let error = format!("invalid Unicode escape character at or near \"{shown}\"");
                self.fail(SqlError::syntax(error), at)
            }
        }
    }

    fn behind_blanks(&self, mut at: usize) -> usize {
        loop {
            match self.byte(at) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c => at += 1,
                b'-' if self.byte(at + 1) == b'-' => at = self.line_end(at),
                _ => return at,
            }
        }
    }

    /// Puts a marked string of the same shape where something was decoded.
    fn replace(&mut self, begin: usize, behind: usize, token: Token) {
        self.out.push_str(&self.text[self.copied..begin]);
        self.copied = behind;
        self.decoded.push(token);
        self.out.push('\'');
        let count = self.text[begin..behind].chars().count();
        for (index, character) in self.text[begin..behind].chars().enumerate().skip(1) {
            let filler = match index {
                1 => MARK,
                _ if index == count - 1 => '\'',
                _ if matches!(character, '\n' | '\r') => character,
                _ => '_',
            };
            self.out.push(filler);
        }
    }
}
