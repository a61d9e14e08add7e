//! Bracket expressions: `[a-z]`, `[^[:alpha:]_]`, and the classes that escapes name.

use super::invalid;
use super::parse::Parser;
use crate::error::Result;

/// The members of a named class, as the inside of a bracket expression of the `regex` crate.
fn class(name: &str) -> Option<&'static str> {
    Some(match name {
        "alpha" => r"\p{Alphabetic}[\p{Nd}--[0-9]]",
        "alnum" => r"\p{Alphabetic}\p{Nd}",
        "word" => r"\p{Alphabetic}\p{Nd}_",
        "digit" => "0-9",
        "space" => r"\s",
        "upper" => r"\p{Uppercase}",
        "lower" => r"\p{Lowercase}",
        "xdigit" => "0-9A-Fa-f",
        "blank" => r"[\p{Zs}\t--\xA0]",
        "cntrl" => r"\p{Cc}\x{2028}\x{2029}",
        "punct" => r"\p{P}\p{S}",
        "graph" => r"[^\p{Z}\p{C}]\p{Cf}",
        "print" => r"[^\p{C}\x{2028}\x{2029}]\p{Cf}",
        "ascii" => r"\x00-\x7F",
        _ => return None,
    })
}

/// The class of `\d`, `\S` and so on, as an expression; `in_bracket`: as a member of one.
pub(super) fn escaped_class(letter: char, newline_stops: bool) -> Option<String> {
    let members = class(match letter.to_ascii_lowercase() {
        'd' => "digit",
        's' => "space",
        'w' => "word",
        _ => return None,
    })?;
    Some(match letter.is_ascii_uppercase() {
        false => format!("[{members}]"),
        true if newline_stops => format!(r"[^{members}\n]"),
        true => format!("[^{members}]"),
    })
}

/// A character as a member of a bracket expression, or alone.
pub(super) fn member(code: u32) -> String {
    // What is no character is never found.
    if char::from_u32(code).is_none() { r"[^\s\S]".to_owned() } else { format!(r"\x{{{code:X}}}") }
}

/// What stands in a bracket expression, one after the other.
enum Item {
    Character(u32),
    Class(String),
}

impl Parser<'_> {
    /// A bracket expression behind its `[`, as an expression of the `regex` crate.
    ///
    /// # Errors
    /// 2201B.
    pub(super) fn bracket(&mut self) -> Result<String> {
        let negated = self.take('^');
        let mut members = String::new();
        let mut first = true;
        loop {
            match self.peek() {
                None => return Err(invalid("brackets [] not balanced")),
                Some(']') if !first => {
                    self.next();
                    break;
                }
                Some('-') if !first && self.peek_second() != Some(']') => {
                    return Err(invalid("invalid character range"));
                }
                Some(_) => {}
            }
            first = false;
            let begin = self.item()?;
            let is_range = self.peek() == Some('-') && self.peek_second() != Some(']');
            match begin {
                Item::Class(_) if is_range => return Err(invalid("invalid character range")),
                Item::Class(class) => members.push_str(&class),
                Item::Character(code) if is_range => {
                    self.next();
                    let end = match self.item()? {
                        Item::Character(end) if end >= code => end,
                        _ => return Err(invalid("invalid character range")),
                    };
                    members.push_str(&range(code, end));
                }
                Item::Character(code) => members.push_str(&member(code)),
            }
        }
        Ok(match negated {
            true if self.options.newline_stops => format!(r"[^{members}\n]"),
            true => format!("[^{members}]"),
            false => format!("[{members}]"),
        })
    }

    fn item(&mut self) -> Result<Item> {
        let Some(character) = self.next() else { return Err(invalid("brackets [] not balanced")) };
        match (character, self.peek()) {
            ('[', Some(kind @ ('.' | '=' | ':'))) => {
                self.next();
                let mut name = String::new();
                loop {
                    match self.next() {
                        None => return Err(invalid("brackets [] not balanced")),
                        Some(end) if end == kind && self.take(']') => break,
                        Some(character) => name.push(character),
                    }
                }
                if kind == ':' {
                    let members = class(&name).ok_or_else(|| invalid("invalid character class"))?;
                    // Without regard to case, both are all letters that have case.
                    let members = match (self.options.ignore_case, name.as_str()) {
                        (true, "upper" | "lower") => r"\p{Uppercase}\p{Lowercase}",
                        _ => members,
                    };
                    return Ok(Item::Class(members.to_owned()));
                }
                let mut characters = name.chars();
                match (characters.next(), characters.next()) {
                    (Some(only), None) => Ok(Item::Character(only as u32)),
                    _ => Err(invalid("invalid collating element")),
                }
            }
            ('\\', _) if self.options.advanced => {
                let letter = self.peek().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                if let Some(class) = escaped_class(letter, self.options.newline_stops) {
                    self.next();
                    return Ok(Item::Class(class));
                }
                let code = self.escaped_character()?;
                Ok(Item::Character(code.ok_or_else(|| invalid("invalid escape \\ sequence"))?))
            }
            _ => Ok(Item::Character(character as u32)),
        }
    }
}

/// A range of code points, without those that are no characters.
fn range(begin: u32, end: u32) -> String {
    const SURROGATES: std::ops::RangeInclusive<u32> = 0xd800..=0xdfff;
    let begin = if SURROGATES.contains(&begin) { SURROGATES.end() + 1 } else { begin };
    let end = if SURROGATES.contains(&end) { SURROGATES.start() - 1 } else { end.min(char::MAX as u32) };
    if begin > end { member(u32::MAX) } else { format!("{}-{}", member(begin), member(end)) }
}
