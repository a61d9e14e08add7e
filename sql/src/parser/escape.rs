//! Escapes within literals: those of `E'…'`, and those of `U&'…'` and `unistr`.

use crate::error::{Result, SqlError, SqlState};
use crate::types::text::read_utf8;

/// An error, and the byte where it is, if it is at one.
type Placed = (SqlError, Option<usize>);

/// A string `E'…'` while it is decoded, part after part.
#[derive(Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    /// The first half of a surrogate pair.
    high: Option<u32>,
}

impl Decoder {
    /// Decodes a part, which begins at a byte of a text and ends where the text does.
    pub(super) fn part(&mut self, text: &str, from: usize) -> std::result::Result<(), Placed> {
        let source = text.as_bytes();
        let mut at = from;
        while let Some(&byte) = source.get(at) {
            let begin = at;
            let kind = source.get(at + 1).copied();
            if self.high.is_some() && !(byte == b'\\' && matches!(kind, Some(b'u' | b'U'))) {
                let near = text[begin..].chars().next().unwrap_or('\'');
                return Err((pair(&near.to_string()), Some(begin)));
            }
            let Some(kind) = kind.filter(|_| byte == b'\\') else {
                // A quotation mark is doubled.
                at += if byte == b'\'' { 2 } else { 1 };
                self.bytes.push(byte);
                continue;
            };
            at += 2;
            match kind {
                b'u' | b'U' => {
                    let width = if kind == b'u' { 4 } else { 8 };
                    let code = hexadecimal(text, at, width).ok_or_else(|| {
                        let error =
                            SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape")
                                .with_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.");
                        (error, Some(begin))
                    })?;
                    at += width;
                    self.code_point(code, &text[begin..at], begin)?;
                }
                b'x' if source.get(at).is_some_and(u8::is_ascii_hexdigit) => {
                    let digits =
                        source[at..].iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
                    self.bytes.push(u8::from_str_radix(&text[at..at + digits], 16).unwrap_or(0));
                    at += digits;
                }
                b'0'..=b'7' => {
                    let is_octal = |byte: &&u8| (b'0'..=b'7').contains(*byte);
                    let digits = source[at - 1..].iter().take(3).take_while(is_octal).count();
                    let value = u32::from_str_radix(&text[at - 1..at - 1 + digits], 8).unwrap_or(0);
                    self.bytes.push(value.to_le_bytes()[0]);
                    at += digits - 1;
                }
                b'b' => self.bytes.push(8),
                b'f' => self.bytes.push(12),
                b'n' => self.bytes.push(b'\n'),
                b'r' => self.bytes.push(b'\r'),
                b't' => self.bytes.push(b'\t'),
                b'v' => self.bytes.push(11),
                other => self.bytes.push(other),
            }
        }
        Ok(())
    }

    fn code_point(&mut self, code: u32, written: &str, at: usize) -> std::result::Result<(), Placed> {
        let code = match (self.high.take(), code) {
            (None, 0xd800..=0xdbff) => {
                self.high = Some(code);
                return Ok(());
            }
            (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff),
            (None, 0xdc00..=0xdfff) | (Some(_), _) => return Err((pair(written), Some(at))),
            (None, code) => code,
        };
        let character = char::from_u32(code).filter(|character| *character != '\0').ok_or_else(|| {
            (SqlError::syntax(format!("invalid Unicode escape value at or near \"{written}\"")), Some(at))
        })?;
        self.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// What was decoded. An error that has a place is at the string's last quotation mark.
    pub(super) fn finish(self) -> std::result::Result<String, Placed> {
        if self.high.is_some() {
            return Err((pair("'"), Some(0)));
        }
        let zero = self.bytes.contains(&0);
        if zero {
            let error = "invalid byte sequence for encoding \"UTF8\": 0x00";
            return Err((SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, error), None));
        }
        read_utf8(&self.bytes).map(str::to_owned).map_err(|error| (error, None))
    }
}

/// A number of so many hexadecimal digits.
fn hexadecimal(text: &str, at: usize, digits: usize) -> Option<u32> {
    let hex = text.get(at..at + digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(hex, 16).ok()
}

fn pair(near: &str) -> SqlError {
    SqlError::syntax(format!("invalid Unicode surrogate pair at or near \"{near}\""))
}

/// Where Unicode escapes stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In a literal `U&'…'`.
    Literal,
    /// In an argument of `unistr`, which knows `\uXXXX` and `\UXXXXXXXX` too.
    Argument,
}

/// Decodes `\XXXX` and `\+XXXXXX`, with another escape character perhaps. Errors come with the byte where they are.
pub(crate) fn decode_unicode(
    whole: &str,
    escape: char,
    form: Form,
) -> std::result::Result<String, (SqlError, usize)> {
    let with_letters = form == Form::Argument;
    let (malformed, value) = match form {
        Form::Literal => ("Unicode escapes must be \\XXXX or \\+XXXXXX.", SqlState::SYNTAX_ERROR),
        Form::Argument => (
            "Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
    };
    let malformed = || SqlError::syntax("invalid Unicode escape").with_hint(malformed);
    let pair = || SqlError::syntax("invalid Unicode surrogate pair");
    let mut out = String::new();
    let mut high: Option<u32> = None;
    let mut at = 0;
    while let Some(first) = whole[at..].chars().next() {
        let begin = at;
        at += first.len_utf8();
        let doubled = first == escape && whole[at..].starts_with(escape);
        if first != escape || doubled {
            if high.is_some() {
                return Err((pair(), begin));
            }
            out.push(first);
            at += if doubled { escape.len_utf8() } else { 0 };
            continue;
        }
        let (skipped, digits) = match whole.as_bytes().get(at) {
            Some(b'+') => (1, 6),
            Some(b'u') if with_letters => (1, 4),
            Some(b'U') if with_letters => (1, 8),
            _ => (0, 4),
        };
        let code = hexadecimal(whole, at + skipped, digits).ok_or_else(|| (malformed(), begin))?;
        at += skipped + digits;
        let code = match (high.take(), code) {
            (None, 0xd800..=0xdbff) => {
                high = Some(code);
                continue;
            }
            (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff),
            (None, 0xdc00..=0xdfff) | (Some(_), _) => return Err((pair(), begin)),
            (None, code) => code,
        };
        let character = char::from_u32(code).filter(|character| *character != '\0').ok_or_else(|| {
            let text = match form {
                Form::Literal => "invalid Unicode escape value".to_owned(),
                Form::Argument => format!("invalid Unicode code point: {code:04X}"),
            };
            (SqlError::new(value, text), begin)
        })?;
        out.push(character);
    }
    if high.is_some() { Err((pair(), at)) } else { Ok(out) }
}

/// The argument of `unistr`.
///
/// # Errors
/// 42601 and 22023 for what is no escape.
pub(crate) fn unescape_argument(whole: &str) -> Result<String> {
    decode_unicode(whole, '\\', Form::Argument).map_err(|(error, _)| error)
}
