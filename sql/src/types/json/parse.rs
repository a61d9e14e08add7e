//! The text of JSON: one parser for json, which keeps its text, and jsonb, which keeps the values.
//!
//! The parser gives a tree whose nodes know the piece of text they were read from. Errors have PostgreSQL's words,
//! detail and context; what a token is in an error follows PostgreSQL's lexer, which takes letters and digits behind
//! a bad beginning as part of it.

use crate::error::{Result, SqlError, SqlState};
use crate::value::json::{DEPTH_MAX, Json, deeper, too_deep};
use crate::value::{Numeric, Text};

/// A value and the text it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub text: &'a str,
    pub kind: Kind<'a>,
}

/// What a value is; strings and keys are empty where escapes were left alone.
#[derive(Clone, Debug)]
pub(crate) enum Kind<'a> {
    Null,
    Bool(bool),
    Number,
    String(Text),
    Array(Vec<Node<'a>>),
    Object(Vec<(Text, Node<'a>)>),
}

impl Node<'_> {
    /// The value that jsonb keeps.
    ///
    /// # Errors
    /// 22003 for a number beyond NUMERIC.
    pub(crate) fn to_tree(&self) -> Result<Json> {
        Ok(match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => Json::Bool(*value),
            Kind::Number => Json::Number(Numeric::parse(self.text)?),
            Kind::String(text) => Json::String(text.clone()),
            Kind::Array(elements) => {
                Json::Array(elements.iter().map(|each| deeper(|| each.to_tree())).collect::<Result<_>>()?)
            }
            Kind::Object(members) => {
                let member = |(key, value): &(Text, Node<'_>)| Ok((key.clone(), deeper(|| value.to_tree())?));
                Json::object(members.iter().map(member).collect::<Result<_>>()?)
            }
        })
    }
}

/// Parses a whole text. Without `unescape` the escapes in strings are only checked.
///
/// # Errors
/// 22P02 `invalid input syntax for type json`; 22P05 for `\u0000`; 54001 when nested too deeply.
pub(crate) fn parse(text: &str, unescape: bool) -> Result<Node<'_>> {
    let mut parser =
        Parser { text, unescape, token: Token::End, start: 0, end: 0, before: 0, line: 1, line_start: 0 };
    parser.advance()?;
    let node = parser.value(0)?;
    match parser.token {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("Expected end of input, but found")),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Punctuation(u8),
    String(Text),
    Number,
    True,
    False,
    Null,
    End,
}

struct Parser<'a> {
    text: &'a str,
    unescape: bool,
    token: Token,
    /// Where the token begins and ends.
    start: usize,
    end: usize,
    /// Where the token before it ended.
    before: usize,
    line: usize,
    line_start: usize,
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

impl<'a> Parser<'a> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    // The grammar ---------------------------------------------------------------------------------------------

    fn value(&mut self, depth: usize) -> Result<Node<'a>> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let start = self.start;
        let kind = match std::mem::replace(&mut self.token, Token::Null) {
            Token::Punctuation(b'{') => return self.object(start, depth),
            Token::Punctuation(b'[') => return self.array(start, depth),
            Token::String(text) => Kind::String(text),
            Token::Number => Kind::Number,
            Token::True => Kind::Bool(true),
            Token::False => Kind::Bool(false),
            Token::Null => Kind::Null,
            other => {
                self.token = other;
                return Err(self.unexpected("Expected JSON value, but found"));
            }
        };
        let node = Node { text: &self.text[start..self.end], kind };
        self.advance()?;
        Ok(node)
    }

    fn array(&mut self, start: usize, depth: usize) -> Result<Node<'a>> {
        self.advance()?;
        let mut elements = Vec::new();
        if self.token != Token::Punctuation(b']') {
            elements.push(deeper(|| self.value(depth + 1))?);
            while self.token == Token::Punctuation(b',') {
                self.advance()?;
                elements.push(deeper(|| self.value(depth + 1))?);
            }
            if self.token != Token::Punctuation(b']') {
                return Err(self.unexpected("Expected \",\" or \"]\", but found"));
            }
        }
        self.close(start, Kind::Array(elements))
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<Node<'a>> {
        self.advance()?;
        let mut members = Vec::new();
        match self.token {
            Token::Punctuation(b'}') => {}
            Token::String(_) => {
                members.push(self.member(depth)?);
                while self.token == Token::Punctuation(b',') {
                    self.advance()?;
                    members.push(self.member(depth)?);
                }
                if self.token != Token::Punctuation(b'}') {
                    return Err(self.unexpected("Expected \",\" or \"}\", but found"));
                }
            }
            _ => return Err(self.unexpected("Expected string or \"}\", but found")),
        }
        self.close(start, Kind::Object(members))
    }

    fn member(&mut self, depth: usize) -> Result<(Text, Node<'a>)> {
        let Token::String(key) = self.token.clone() else {
            return Err(self.unexpected("Expected string, but found"));
        };
        self.advance()?;
        if self.token != Token::Punctuation(b':') {
            return Err(self.unexpected("Expected \":\", but found"));
        }
        self.advance()?;
        Ok((key, deeper(|| self.value(depth + 1))?))
    }

    /// Past the closing bracket.
    fn close(&mut self, start: usize, kind: Kind<'a>) -> Result<Node<'a>> {
        let node = Node { text: &self.text[start..self.end], kind };
        self.advance()?;
        Ok(node)
    }

    // Tokens --------------------------------------------------------------------------------------------------

    fn advance(&mut self) -> Result<()> {
        let mut at = self.end;
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.byte(at) {
            at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = at;
            }
        }
        self.start = at;
        self.before = self.end;
        let Some(byte) = self.byte(at) else {
            self.end = at;
            self.token = Token::End;
            return Ok(());
        };
        self.token = match byte {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                self.end = at + 1;
                Token::Punctuation(byte)
            }
            b'"' => self.string(at)?,
            b'-' => self.number(at + 1)?,
            b'0'..=b'9' => self.number(at)?,
            _ => self.word(at)?,
        };
        Ok(())
    }

    fn word(&mut self, at: usize) -> Result<Token> {
        let rest = &self.text.as_bytes()[at..];
        let length = rest.iter().take_while(|byte| is_alphanumeric(**byte)).count();
        // Of unexpected punctuation only the one character is shown.
        self.end = at + length.max(1);
        match &rest[..length] {
            b"true" => Ok(Token::True),
            b"false" => Ok(Token::False),
            b"null" => Ok(Token::Null),
            _ => Err(self.invalid_token()),
        }
    }

    /// A number whose first digit should be at `at`.
    fn number(&mut self, mut at: usize) -> Result<Token> {
        let digits = |mut at: usize| {
            let start = at;
            while self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
                at += 1;
            }
            (at, at > start)
        };
        let mut valid = true;
        match self.byte(at) {
            Some(b'0') => at += 1,
            Some(b'1'..=b'9') => at = digits(at).0,
            _ => valid = false,
        }
        if self.byte(at) == Some(b'.') {
            let (end, some) = digits(at + 1);
            at = end;
            valid &= some;
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            at += 1;
            if let Some(b'+' | b'-') = self.byte(at) {
                at += 1;
            }
            let (end, some) = digits(at);
            at = end;
            valid &= some;
        }
        while self.byte(at).is_some_and(is_alphanumeric) {
            at += 1;
            valid = false;
        }
        self.end = at;
        if valid { Ok(Token::Number) } else { Err(self.invalid_token()) }
    }

    fn string(&mut self, start: usize) -> Result<Token> {
        let mut content = String::new();
        let mut high_surrogate = None;
        let mut at = start + 1;
        loop {
            let Some(byte) = self.byte(at) else {
                self.end = at;
                return Err(self.invalid_token());
            };
            if high_surrogate.is_some() && !(byte == b'\\' && self.byte(at + 1) == Some(b'u')) {
                return Err(self.low_surrogate_missing());
            }
            match byte {
                b'"' => break,
                ..0x20 => {
                    self.end = at;
                    return Err(self.invalid(&format!("Character with value 0x{byte:02x} must be escaped.")));
                }
                b'\\' => at = self.escape(at, &mut content, &mut high_surrogate)?,
                _ => {
                    let width = self.text[at..].chars().next().map_or(1, char::len_utf8);
                    if self.unescape {
                        content.push_str(&self.text[at..at + width]);
                    }
                    at += width;
                }
            }
        }
        self.end = at + 1;
        Ok(Token::String(Text::from(content)))
    }

    /// Reads the escape whose backslash is at `at`, and gives where it ends.
    fn escape(&mut self, at: usize, content: &mut String, high: &mut Option<u32>) -> Result<usize> {
        let Some(byte) = self.byte(at + 1) else {
            self.end = at + 1;
            return Err(self.invalid_token());
        };
        if byte == b'u' {
            let code = self.code_unit(at + 2)?;
            if self.unescape {
                self.take_code_unit(code, content, high)?;
            }
            return Ok(at + 6);
        }
        let meaning = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => {
                let width = self.text[at + 1..].chars().next().map_or(1, char::len_utf8);
                self.end = at + 1 + width;
                let shown = &self.text[at + 1..self.end];
                return Err(self.invalid(&format!("Escape sequence \"\\{shown}\" is invalid.")));
            }
        };
        if self.unescape {
            content.push(meaning);
        }
        Ok(at + 2)
    }

    /// The four hexadecimal digits at `at`.
    fn code_unit(&mut self, at: usize) -> Result<u32> {
        let mut code = 0;
        for at in at..at + 4 {
            let Some(byte) = self.byte(at) else {
                self.end = at;
                return Err(self.invalid_token());
            };
            match char::from(byte).to_digit(16) {
                Some(digit) => code = code * 16 + digit,
                None => {
                    self.end = at + self.text[at..].chars().next().map_or(1, char::len_utf8);
                    return Err(self.invalid("\"\\u\" must be followed by four hexadecimal digits."));
                }
            }
        }
        Ok(code)
    }

    /// Adds a character of one UTF-16 unit, or of the two of a surrogate pair.
    fn take_code_unit(&mut self, code: u32, content: &mut String, high: &mut Option<u32>) -> Result<()> {
        let character = match (code, high.take()) {
            (0xd800..=0xdbff, None) => {
                *high = Some(code);
                return Ok(());
            }
            (0xd800..=0xdbff, Some(_)) => {
                self.end = self.before;
                return Err(self.invalid("Unicode high surrogate must not follow a high surrogate."));
            }
            (0xdc00..=0xdfff, Some(high)) => 0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff),
            (0xdc00..=0xdfff, None) | (_, Some(_)) => return Err(self.low_surrogate_missing()),
            (0, None) => {
                self.end = self.before;
                let error =
                    SqlError::new(SqlState::UNTRANSLATABLE_CHARACTER, "unsupported Unicode escape sequence");
                return Err(self.explain(error, "\\u0000 cannot be converted to text."));
            }
            (code, None) => code,
        };
        content.extend(char::from_u32(character));
        Ok(())
    }

    // Errors --------------------------------------------------------------------------------------------------

    fn low_surrogate_missing(&mut self) -> SqlError {
        self.end = self.before;
        self.invalid("Unicode low surrogate must follow a high surrogate.")
    }

    fn invalid_token(&self) -> SqlError {
        self.invalid(&format!("Token \"{}\" is invalid.", &self.text[self.start..self.end]))
    }

    fn unexpected(&self, what: &str) -> SqlError {
        if self.token == Token::End {
            return self.invalid("The input string ended unexpectedly.");
        }
        self.invalid(&format!("{what} \"{}\".", &self.text[self.start..self.end]))
    }

    fn invalid(&self, detail: &str) -> SqlError {
        let error =
            SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json");
        self.explain(error, detail)
    }

    /// Adds the detail, and the end of the line up to the token.
    fn explain(&self, error: SqlError, detail: &str) -> SqlError {
        const SHOWN_BYTES: usize = 50;
        let bytes = self.text.as_bytes();
        let mut from = self.line_start.min(self.end);
        while self.end - from >= SHOWN_BYTES {
            from += self.text[from..].chars().next().map_or(1, char::len_utf8);
        }
        if from <= self.line_start + 3 {
            from = self.line_start.min(self.end);
        }
        let prefix = if from > self.line_start { "..." } else { "" };
        let ended = self.token == Token::End && self.end == bytes.len();
        let suffix = match bytes.get(self.end) {
            None | Some(b'\n' | b'\r') => "",
            Some(_) if ended => "",
            Some(_) => "...",
        };
        let shown = &self.text[from..self.end];
        error
            .with_detail(detail)
            .with_context(format!("JSON data, line {}: {prefix}{shown}{suffix}", self.line))
    }
}
