//! Functions of regular expressions: `regexp_replace`, `regexp_match(es)`, `regexp_like`, `regexp_count`,
//! `regexp_instr`, `regexp_substr`, `regexp_split_to_array` and `_to_table`, and `substring(text from pattern)`.

use super::pattern::with_regex;
use super::registry::{Entry, Registry};
use super::rows::{Rows, column, listed};
use super::string::{int4, text};
use super::{CallTypes, EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::Oid;
use crate::types::oids::{BOOL, INT4, TEXT, TEXT_ARRAY};
use crate::value::{ArrayValue, Datum};
use regex::{Captures, Match, Regex};

/// What the flags argument asks for.
#[derive(Default)]
struct Flags {
    global: bool,
    ignore_case: bool,
    /// The pattern is plain text.
    literal: bool,
    /// Written before the pattern for the crate.
    prefix: &'static str,
}

fn flags(arguments: &[Datum], index: usize) -> Result<Flags> {
    let mut flags = Flags::default();
    let Some(written) = arguments.get(index) else { return Ok(flags) };
    for letter in written.as_text().unwrap_or("").chars() {
        match letter {
            'g' => flags.global = true,
            'i' => flags.ignore_case = true,
            'c' => flags.ignore_case = false,
            // Newline-sensitive: the point stops at line ends, anchors match there.
            'n' | 'm' => flags.prefix = "(?m-s)",
            'p' => flags.prefix = "(?-s)",
            'w' => flags.prefix = "(?m)",
            'x' => flags.prefix = "(?x)",
            'q' => flags.literal = true,
            's' | 't' | 'b' | 'e' => {}
            other => {
                return Err(SqlError::invalid_parameter(format!(
                    "invalid regular expression option: \"{other}\""
                )));
            }
        }
    }
    Ok(flags)
}

/// The flags of a function that has no use for `g`.
fn flags_without_global(arguments: &[Datum], index: usize, function: &str) -> Result<Flags> {
    let flags = flags(arguments, index)?;
    if flags.global {
        return Err(SqlError::invalid_parameter(format!(
            "{function}() does not support the \"global\" option"
        )));
    }
    Ok(flags)
}

fn matched<T>(arguments: &[Datum], flags: &Flags, body: impl FnOnce(&Regex, &str) -> Result<T>) -> Result<T> {
    let (whole, pattern) = (text(arguments, 0)?, text(arguments, 1)?);
    let pattern = if flags.literal { regex::escape(pattern) } else { pattern.to_owned() };
    with_regex(&format!("{}{pattern}", flags.prefix), flags.ignore_case, |regex| body(regex, whole))?
}

/// The byte of a character's number, counted from 1; `None` beyond the end.
fn byte_of(whole: &str, character: i32) -> Option<usize> {
    let nth = character as usize - 1;
    match whole.char_indices().nth(nth) {
        Some((byte, _)) => Some(byte),
        None => (whole.chars().count() == nth).then_some(whole.len()),
    }
}

/// An argument that must be positive (or zero, where `least` says so), with a default.
fn number(arguments: &[Datum], index: usize, default: i32, least: i32, name: &str) -> Result<i32> {
    let value = if index < arguments.len() { int4(arguments, index)? } else { default };
    if value < least {
        return Err(SqlError::invalid_parameter(format!("invalid value for parameter \"{name}\": {value}")));
    }
    Ok(value)
}

/// The matches from a character on, as captures.
fn captures_from<'t>(regex: &Regex, whole: &'t str, start: i32) -> Vec<Captures<'t>> {
    let Some(from) = byte_of(whole, start) else { return Vec::new() };
    let mut found = Vec::new();
    let mut at = from;
    while let Some(captures) = regex.captures_at(whole, at) {
        let whole_match = captures.get_match();
        let (begin, end) = (whole_match.start(), whole_match.end());
        found.push(captures);
        // An empty match is followed by the next character.
        at = if end > begin { end } else { next_character(whole, end) };
        if at > whole.len() {
            break;
        }
    }
    found
}

fn next_character(whole: &str, at: usize) -> usize {
    at + whole[at..].chars().next().map_or(1, char::len_utf8)
}

/// Writes a replacement: `\1` a group, `\&` the whole match, `\\` a backslash.
fn expand(replacement: &str, captures: &Captures<'_>, out: &mut String) {
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some(digit @ '1'..='9') => {
                let group = digit as usize - '0' as usize;
                out.push_str(captures.get(group).map_or("", |found| found.as_str()));
            }
            Some('&') => out.push_str(&captures[0]),
            Some('\\') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
}

/// Replaces match number `nth` from a character on, or all if it is 0.
fn replace_from(arguments: &[Datum], flags: &Flags, start: i32, nth: i32) -> Result<Datum> {
    let replacement = text(arguments, 2)?;
    matched(arguments, flags, |regex, whole| {
        let mut out = String::with_capacity(whole.len());
        let mut last = 0;
        for (index, captures) in captures_from(regex, whole, start).iter().enumerate() {
            if nth > 0 && index + 1 != nth as usize {
                continue;
            }
            let found = captures.get_match();
            out.push_str(&whole[last..found.start()]);
            expand(replacement, captures, &mut out);
            last = found.end();
        }
        out.push_str(&whole[last..]);
        Ok(Datum::from(out))
    })
}

fn replace(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let written = arguments.get(3).and_then(Datum::as_text).unwrap_or("");
    if written.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(SqlError::invalid_parameter(format!(
            "invalid regular expression option: \"{}\"",
            &written[..1]
        ))
        .with_hint(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.",
        ));
    }
    let flags = flags(arguments, 3)?;
    replace_from(arguments, &flags, 1, i32::from(!flags.global))
}

/// `regexp_replace(text, pattern, replacement, start [, n [, flags]])`.
fn replace_extended(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 3, 1, 1, "start")?;
    let flags = flags(arguments, 5)?;
    let default = i32::from(!flags.global);
    let nth = number(arguments, 4, default, 0, "n")?;
    replace_from(arguments, &flags, start, nth)
}

/// The groups of a match, or the whole where the pattern has none.
fn groups(captures: &Captures<'_>) -> Datum {
    let found = |index: usize| captures.get(index).map_or(Datum::Null, |found| Datum::text(found.as_str()));
    let elements =
        if captures.len() == 1 { vec![found(0)] } else { (1..captures.len()).map(found).collect() };
    ArrayValue::from_elements(TEXT, elements).into()
}

fn find(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let flags = flags_without_global(arguments, 2, "regexp_match")
        .map_err(|error| error.with_hint("Use the regexp_matches function instead."))?;
    matched(arguments, &flags, |regex, whole| {
        Ok(regex.captures(whole).map_or(Datum::Null, |captures| groups(&captures)))
    })
}

fn find_all(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    let flags = flags(arguments, 2)?;
    matched(arguments, &flags, |regex, whole| {
        let count = if flags.global { usize::MAX } else { 1 };
        let found = captures_from(regex, whole, 1);
        Ok(listed(found.iter().take(count).map(|captures| vec![groups(captures)]).collect()))
    })
}

fn parts(arguments: &[Datum], function: &str) -> Result<Vec<Datum>> {
    let flags = flags_without_global(arguments, 2, function)?;
    matched(arguments, &flags, |regex, whole| {
        let mut parts = Vec::new();
        let mut last = 0;
        for found in regex.find_iter(whole) {
            // An empty match splits between characters, but not at either end.
            let at_edge = found.start() == 0 || found.start() == whole.len() || found.start() == last;
            if found.is_empty() && at_edge {
                continue;
            }
            parts.push(Datum::text(&whole[last..found.start()]));
            last = found.end();
        }
        parts.push(Datum::text(&whole[last..]));
        Ok(parts)
    })
}

fn split(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    Ok(ArrayValue::from_elements(TEXT, parts(arguments, "regexp_split_to_array")?).into())
}

fn split_to_rows(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    Ok(column(parts(arguments, "regexp_split_to_table")?))
}

fn like(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let flags = flags_without_global(arguments, 2, "regexp_like")?;
    matched(arguments, &flags, |regex, whole| Ok(Datum::Bool(regex.is_match(whole))))
}

fn count(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 2, 1, 1, "start")?;
    let flags = flags_without_global(arguments, 3, "regexp_count")?;
    matched(arguments, &flags, |regex, whole| {
        Ok(Datum::Int32(captures_from(regex, whole, start).len() as i32))
    })
}

/// The group of match number `nth` that `regexp_instr` and `regexp_substr` are asked for.
fn nth_group<T>(
    arguments: &[Datum],
    flags: &Flags,
    (start, nth, group): (i32, i32, i32),
    body: impl FnOnce(&str, Option<Match<'_>>) -> T,
) -> Result<T> {
    matched(arguments, flags, |regex, whole| {
        let found = captures_from(regex, whole, start);
        let captures = found.get(nth as usize - 1);
        Ok(body(whole, captures.and_then(|captures| captures.get(group as usize))))
    })
}

fn instr(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 2, 1, 1, "start")?;
    let nth = number(arguments, 3, 1, 1, "n")?;
    let end = number(arguments, 4, 0, 0, "endoption")?;
    if end > 1 {
        return Err(SqlError::invalid_parameter(format!("invalid value for parameter \"endoption\": {end}")));
    }
    let flags = flags_without_global(arguments, 5, "regexp_instr")?;
    let group = number(arguments, 6, 0, 0, "subexpr")?;
    nth_group(arguments, &flags, (start, nth, group), |whole, found| {
        let Some(found) = found else { return Datum::Int32(0) };
        let byte = if end == 1 { found.end() } else { found.start() };
        Datum::Int32(whole[..byte].chars().count() as i32 + 1)
    })
}

fn substr(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 2, 1, 1, "start")?;
    let nth = number(arguments, 3, 1, 1, "n")?;
    let flags = flags_without_global(arguments, 4, "regexp_substr")?;
    let group = number(arguments, 5, 0, 0, "subexpr")?;
    nth_group(arguments, &flags, (start, nth, group), |_, found| {
        found.map_or(Datum::Null, |found| Datum::text(found.as_str()))
    })
}

/// The first group, or the whole match where there is none.
fn substring(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    matched(arguments, &Flags::default(), |regex, whole| {
        let group = |captures: Captures<'_>| {
            let index = usize::from(captures.len() > 1);
            captures.get(index).map_or(Datum::Null, |found| Datum::text(found.as_str()))
        };
        Ok(regex.captures(whole).map_or(Datum::Null, group))
    })
}

/// `substring(text, pattern, escape)`, as SIMILAR has it.
fn similar_substring(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let escape = text(arguments, 2)?;
    if escape.chars().count() > 1 {
        return Err(SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let regex = super::pattern::similar_substring_regex(text(arguments, 1)?, escape.chars().next())?;
    substring(&[arguments[0].clone(), Datum::from(regex)], context)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(Entry::new("substring", &[TEXT, TEXT, TEXT], TEXT, similar_substring));
    // Name, all the arguments, how many of them are needed, result.
    let entries: [(&'static str, &[Oid], usize, Oid, ScalarKernel); 10] = [
        ("regexp_replace", &[TEXT, TEXT, TEXT, TEXT], 3, TEXT, replace),
        ("regexp_replace", &[TEXT, TEXT, TEXT, INT4, INT4, TEXT], 4, TEXT, replace_extended),
        ("regexp_match", &[TEXT, TEXT, TEXT], 2, TEXT_ARRAY, find),
        ("regexp_split_to_array", &[TEXT, TEXT, TEXT], 2, TEXT_ARRAY, split),
        ("regexp_like", &[TEXT, TEXT, TEXT], 2, BOOL, like),
        ("regexp_count", &[TEXT, TEXT, INT4, TEXT], 2, INT4, count),
        ("regexp_instr", &[TEXT, TEXT, INT4, INT4, INT4, TEXT, INT4], 2, INT4, instr),
        ("regexp_substr", &[TEXT, TEXT, INT4, INT4, TEXT, INT4], 2, TEXT, substr),
        ("substring", &[TEXT, TEXT], 2, TEXT, substring),
        ("textregexsubstr", &[TEXT, TEXT], 2, TEXT, substring),
    ];
    for (name, arguments, needed, result, kernel) in entries {
        for count in needed..=arguments.len() {
            registry.add(Entry::new(name, &arguments[..count], result, kernel));
        }
    }
    for count in 2..=3 {
        let arguments = &[TEXT; 3][..count];
        registry.add(Entry::rows("regexp_matches", arguments, TEXT_ARRAY, find_all));
        registry.add(Entry::rows("regexp_split_to_table", arguments, TEXT, split_to_rows));
    }
}
