//! Basic regular expressions, written as advanced ones.

use super::invalid;
use crate::error::Result;

/// What stands for itself in a basic expression, but not in an advanced one.
const PLAIN: &str = "+?(){}|";

/// The advanced expression that means what a basic one does.
///
/// # Errors
/// 2201B for a backslash at the end.
pub(super) fn to_advanced(pattern: &str) -> Result<String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    // Where an expression or a group begins, `*` stands for itself, and `^` does not.
    let mut begins = true;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        let began = std::mem::take(&mut begins);
        match character {
            '\\' => {
                let Some(next) = rest.chars().next() else {
                    return Err(invalid("invalid escape \\ sequence"));
                };
                rest = &rest[next.len_utf8()..];
                match next {
                    '(' => {
                        out.push('(');
                        begins = true;
                    }
                    ')' | '{' | '}' => out.push(next),
                    '<' => out.push_str("\\m"),
                    '>' => out.push_str("\\M"),
                    // A digit behind it is a character of its own.
                    '1'..='9' => out.extend(["(?:\\", &next.to_string(), ")"]),
                    other => literal(other, &mut out),
                }
            }
            '*' if began => literal('*', &mut out),
            '^' if !began => literal('^', &mut out),
            '^' => {
                out.push('^');
                begins = true;
            }
            '$' if !rest.is_empty() && !rest.starts_with("\\)") => literal('$', &mut out),
            '[' => {
                let length = bracket_length(rest);
                // A backslash is a character like others there.
                out.push('[');
                out.push_str(&rest[..length].replace('\\', "\\\\"));
                rest = &rest[length..];
            }
            other if PLAIN.contains(other) => literal(other, &mut out),
            other => out.push(other),
        }
    }
    Ok(out)
}

fn literal(character: char, out: &mut String) {
    if !character.is_alphanumeric() {
        out.push('\\');
    }
    out.push(character);
}

/// How long a bracket expression is, from behind its `[` to behind its `]`.
fn bracket_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::from(bytes.first() == Some(&b'^'));
    let first = at;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b']', _) if at > first => return at + 1,
            (b'[', Some(kind @ (b':' | b'.' | b'='))) => {
                let end = [*kind, b']'];
                let found = memchr::memmem::find(&bytes[at + 2..], &end);
                at = found.map_or(bytes.len(), |found| at + 2 + found + end.len());
            }
            _ => at += 1,
        }
    }
    bytes.len()
}
