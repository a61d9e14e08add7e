//! A text with parameters in place of its constants: statements that differ in nothing else can share a plan.
//!
//! It works on characters, since cutting a text into the parser's tokens costs more than running a statement for one
//! row. What it does not know for certain it leaves alone: a constant whose place may mean more than its value (behind
//! LIMIT, a type's name, ORDER BY) stays in the text, and texts with comments, escapes or parameters have no form.

use std::fmt::Write as _;
use std::ops::Range;

use crate::types::{DataType, oids};

/// The longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// The most constants of a text.
const CONSTANTS_MAX: usize = 64;
/// Digits of an integer that is less than 2^63 for certain.
const INT8_DIGITS: usize = 18;

/// Words behind which a constant is a value, whatever stands before them.
const BEFORE_VALUES: [&str; 11] =
    ["AND", "OR", "NOT", "WHERE", "BETWEEN", "WHEN", "THEN", "ELSE", "SELECT", "RETURNING", "HAVING"];

/// A text whose constants were taken out; its memory is used again for the next one.
#[derive(Default)]
pub struct Form {
    /// The text with `$1`, `$2`… for its constants.
    pub text: String,
    /// The constants' types; 0 for quoted ones, which have the type that their place asks for.
    pub types: Vec<DataType>,
    /// Where the constants lie in the first text: quoted ones without their quotes.
    pub places: Vec<Range<usize>>,
}

impl Form {
    /// Takes the constants out of a text; false where it has none, or no form.
    pub fn take(&mut self, text: &str) -> bool {
        self.text.clear();
        self.types.clear();
        self.places.clear();
        text.len() <= TEXT_BYTES_MAX
            && Cutter { text, at: 0, copied: 0, form: self, takes: false, ended: false }.cut().is_some()
            && !self.places.is_empty()
    }
}

struct Cutter<'a> {
    text: &'a str,
    at: usize,
    /// What stands before here is in the form.
    copied: usize,
    form: &'a mut Form,
    /// A constant that comes next is a value and nothing else.
    takes: bool,
    /// Behind BY, numbers are places in a list.
    ended: bool,
}

impl Cutter<'_> {
    /// `None`: the text has no form.
    fn cut(mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'0'..=b'9' => self.number()?,
                b'\'' => self.string()?,
                b'"' => {
                    self.at += 2 + self.text[self.at + 1..].find('"')?;
                    self.takes = false;
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word()?,
                b'-' if bytes.get(self.at + 1) == Some(&b'-') => return None,
                b'/' if bytes.get(self.at + 1) == Some(&b'*') => return None,
                b'(' | b',' | b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'~' | b'!' | b'@' | b'#'
                | b'%' | b'^' | b'&' | b'|' | b'`' | b'?' => {
                    self.at += 1;
                    self.takes = true;
                }
                b'.' if bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) => return None,
                b')' | b'[' | b']' | b':' | b'.' => {
                    self.at += 1;
                    self.takes = false;
                }
                b';' if self.text[self.at + 1..].trim_ascii().is_empty() => break,
                _ => return None,
            }
        }
        self.form.text.push_str(&self.text[self.copied..self.at]);
        Some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn word(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|byte| !is_part_of_word(byte)).unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        // A constant with a prefix, or a quoted name with one.
        if matches!(self.peek(), Some(b'\'' | b'"')) {
            return None;
        }
        self.takes = BEFORE_VALUES.iter().any(|known| word.eq_ignore_ascii_case(known));
        self.ended |= word.eq_ignore_ascii_case("BY");
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let begin = self.at;
        let mut is_integer = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'0'..=b'9' => {}
                b'.' if is_integer => is_integer = false,
                _ => break,
            }
            self.at += 1;
        }
        if self.peek().is_some_and(|byte| is_part_of_word(byte) || matches!(byte, b'.' | b'\'' | b'"')) {
            return None;
        }
        let digits = &self.text[begin..self.at];
        let data_type = match is_integer {
            true if digits.parse::<i32>().is_ok() => oids::INT4,
            true if digits.len() <= INT8_DIGITS => oids::INT8,
            true => return None,
            false => oids::NUMERIC,
        };
        self.constant(DataType::of(data_type), begin..self.at, begin)
    }

    fn string(&mut self) -> Option<()> {
        let begin = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            self.at += self.text[self.at..].find('\'')? + 1;
            if self.peek() != Some(b'\'') {
                break;
            }
            self.at += 1;
        }
        let inside = begin + 1..self.at - 1;
        // Backslashes may escape, by the session's settings; another string behind this one continues it.
        let continues = self.text[self.at..].trim_ascii_start().starts_with('\'');
        if continues || bytes[inside.clone()].contains(&b'\\') || bytes[inside.clone()].contains(&0) {
            return None;
        }
        self.constant(DataType::of(0), inside, begin)
    }

    /// Takes the constant that begins at `begin` and ends here, or leaves it where it is.
    fn constant(&mut self, data_type: DataType, place: Range<usize>, begin: usize) -> Option<()> {
        if !self.takes || self.ended {
            self.takes = false;
            return Some(());
        }
        self.takes = false;
        if self.form.places.len() == CONSTANTS_MAX {
            return None;
        }
        self.form.places.push(place);
        self.form.types.push(data_type);
        self.form.text.push_str(&self.text[self.copied..begin]);
        let _ = write!(self.form.text, "${}", self.form.places.len());
        self.copied = self.at;
        Some(())
    }
}

fn is_part_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Option<(String, Vec<u32>, Vec<&str>)> {
        let mut form = Form::default();
        form.take(text).then(|| {
            let types = form.types.iter().map(|data_type| data_type.oid).collect();
            (form.text, types, form.places.into_iter().map(|place| &text[place]).collect())
        })
    }

    #[test]
    fn values_become_parameters() {
        let text =
            "UPDATE accounts SET balance = balance + -123, n = 'it''s' WHERE aid=3000000000 AND x > 1.50;";
        let (text, types, values) = form(text).expect("it has a form");
        assert_eq!(text, "UPDATE accounts SET balance = balance + -$1, n = $2 WHERE aid=$3 AND x > $4");
        assert_eq!(types, [oids::INT4, 0, oids::INT8, oids::NUMERIC]);
        assert_eq!(values, ["123", "it''s", "3000000000", "1.50"]);
        let (text, ..) = form("insert into t2 values (1,'a' , NULL, now())").expect("it has a form");
        assert_eq!(text, "insert into t2 values ($1,$2 , NULL, now())");
    }

    #[test]
    fn what_may_mean_more_than_a_value_stays() {
        for (text, expected) in [
            ("SELECT a FROM t WHERE b = 5 LIMIT 1", "SELECT a FROM t WHERE b = $1 LIMIT 1"),
            (
                "SELECT a, 7 FROM t WHERE b = 5 ORDER BY a, 2",
                "SELECT a, $1 FROM t WHERE b = $2 ORDER BY a, 2",
            ),
            ("SELECT date '2020-01-01' + 1", "SELECT date '2020-01-01' + $1"),
            (
                "SELECT a[1] FROM \"t 5\" x WHERE b LIKE 'x%' AND 6 = c",
                "SELECT a[1] FROM \"t 5\" x WHERE b LIKE 'x%' AND $1 = c",
            ),
        ] {
            assert_eq!(form(text).expect("it has a form").0, expected);
        }
    }

    #[test]
    fn texts_without_a_form() {
        for text in [
            "SELECT a FROM t",
            "SELECT a FROM t WHERE b = $1",
            "SELECT a FROM t WHERE b = 5; SELECT 6",
            "SELECT a FROM t WHERE b = 5 -- which",
            "SELECT a FROM t WHERE b = 5 /* which */",
            "SELECT a FROM t WHERE b = E'x'",
            "SELECT a FROM t WHERE b = 'a\\b'",
            "SELECT a FROM t WHERE b = 'a' 'b'",
            "SELECT a FROM t WHERE b = 1e5",
            "SELECT a FROM t WHERE b = 1.2.3",
            "SELECT a FROM t WHERE b = .5",
            "SELECT a FROM t WHERE b = 9999999999999999999",
            "SELECT a FROM t WHERE b = 5x",
            "SELECT a FROM t WHERE b = 'open",
            "SELECT a FROM t WHERE \"b = 5",
            "SELECT a FROM t WHERE b = $$x$$",
        ] {
            assert_eq!(form(text), None, "{text}");
        }
    }
}
