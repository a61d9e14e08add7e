//! What is wrong with the escapes of a string that the tokenizer refused.

use crate::error::{Result, SqlError, SqlState};
use crate::functions::unescape_unicode;
use crate::types::text::read_utf8;

/// The error of a literal `E'…'` or `U&'…'` that a text begins with, where its escapes are to blame.
pub(super) fn error_in(text: &str) -> Option<SqlError> {
    let starts =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if starts("E'") {
        return check_escapes(&text[2..]).err();
    }
    if starts("U&'") {
        let end = text[3..].find('\'').unwrap_or(text.len() - 3);
        return unescape_unicode(&text[3..3 + end], '\\', false).err();
    }
    None
}

/// Goes through the escapes of a string up to its end.
fn check_escapes(text: &str) -> Result<()> {
    let invalid = || {
        SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape")
            .with_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
    };
    let bytes = text.as_bytes();
    let mut decoded: Vec<u8> = Vec::new();
    let mut high = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'\'' {
            if bytes.get(at) != Some(&b'\'') {
                break;
            }
            at += 1;
        }
        if byte != b'\\' {
            if high.is_some() {
                return Err(pair(&text[at - 1..at]));
            }
            decoded.push(byte);
            continue;
        }
        let Some(&kind) = bytes.get(at) else { break };
        at += 1;
        match kind {
            b'u' | b'U' => {
                let width = if kind == b'u' { 4 } else { 8 };
                let hex = text.get(at..at + width).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
                let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).ok_or_else(invalid)?;
                at += width;
                match (high.take(), code) {
                    (None, 0xd800..=0xdbff) => high = Some(code),
                    (Some(_), 0xdc00..=0xdfff) => {}
                    (None, 0xdc00..=0xdfff) | (Some(_), _) => return Err(pair(&text[at - width - 2..at])),
                    (None, _) => {
                        if char::from_u32(code).is_none_or(|character| character == '\0') {
                            return Err(SqlError::syntax("invalid Unicode escape value"));
                        }
                    }
                }
            }
            b'x' => {
                let digits = bytes[at..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
                if let Ok(byte) = u8::from_str_radix(&text[at..at + digits], 16) {
                    decoded.push(byte);
                }
                at += digits;
            }
            b'0'..=b'7' => {
                let digits = bytes[at - 1..].iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let value = u32::from_str_radix(&text[at - 1..at - 1 + digits], 8).unwrap_or(0);
                decoded.push(value as u8);
                at += digits - 1;
            }
            _ => decoded.push(kind),
        }
    }
    if high.is_some() {
        return Err(pair("\'"));
    }
    read_utf8(&decoded).map(|_| ())
}

fn pair(near: &str) -> SqlError {
    SqlError::syntax(format!("invalid Unicode surrogate pair at or near \"{near}\""))
}
