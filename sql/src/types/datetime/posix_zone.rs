//! Zones by POSIX rules: `UTC+3`, `CST7CDT`, `CST7CDT,M4.1.0,M10.5.0`. Offsets count west.
//!
//! The rules themselves are read by `jiff`; PostgreSQL is more lenient, so here the text is made strict: names may
//! be short or missing, and daylight saving time without rules is that of the United States.

use jiff::tz::{Offset, TimeZone};

/// What rules there are if none are given.
const DEFAULT_RULES: &str = ",M3.2.0,M11.1.0";
/// Longer texts are no zone.
const LENGTH_MAX: usize = 255;

/// A zone's name off the front: `<…>`, or everything before the offset.
fn take_name<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if let Some(inner) = rest.strip_prefix('<') {
        let (name, after) = inner.split_once('>')?;
        *rest = after;
        return Some(name);
    }
    let ends = |next: char| next.is_ascii_digit() || matches!(next, ',' | '-' | '+');
    let (name, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *rest = after;
    Some(name)
}

/// `[+-]HH[:MM[:SS]]` off the front, in seconds.
fn take_offset(rest: &mut &str) -> Option<i32> {
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    *rest = unsigned;
    let mut seconds = 0;
    for (unit, end) in [(3_600, 168), (60, 60), (1, 61)] {
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value: i32 = rest[..count].parse().ok().filter(|value| *value < end)?;
        seconds += value * unit;
        *rest = &rest[count..];
        match rest.strip_prefix(':') {
            Some(after) if unit > 1 => *rest = after,
            _ => break,
        }
    }
    Some(sign * seconds)
}

/// A name as POSIX wants it, three characters at least.
fn strict_name(name: &str) -> String {
    format!("<{name:-<3}>")
}

/// An offset as POSIX wants it.
fn strict_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let size = seconds.abs();
    format!("{sign}{}:{:02}:{:02}", size / 3_600, size / 60 % 60, size % 60)
}

/// The zone of a text in any letter case.
pub(super) fn parse(text: &str) -> Option<TimeZone> {
    if text.len() > LENGTH_MAX || !text.is_ascii() {
        return None;
    }
    let upper = text.to_ascii_uppercase();
    let mut rest = upper.as_str();
    let standard = take_name(&mut rest)?;
    let offset = take_offset(&mut rest)?;
    if rest.is_empty() {
        // Where the name is no POSIX name, the offset is shown.
        let named = TimeZone::posix(&format!("{}{}", strict_name(standard), strict_offset(offset))).ok();
        let named = named.filter(|_| standard.len() >= 3);
        return named.or_else(|| Offset::from_seconds(-offset).ok().map(TimeZone::fixed));
    }
    let daylight = take_name(&mut rest).filter(|name| !name.is_empty())?;
    let daylight_offset =
        if rest.is_empty() || rest.starts_with(',') { offset - 3_600 } else { take_offset(&mut rest)? };
    let rules = if rest.is_empty() { DEFAULT_RULES } else { rest };
    let strict = format!(
        "{}{}{}{}{rules}",
        strict_name(standard),
        strict_offset(offset),
        strict_name(daylight),
        strict_offset(daylight_offset)
    );
    TimeZone::posix(&strict).ok()
}
