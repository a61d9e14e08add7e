//! Functions of regular expressions: `regexp_replace`, `regexp_match`, `regexp_like`, `regexp_count`,
//! `regexp_split_to_array`, and `substring(text from pattern)`.

use super::pattern::with_regex;
use super::registry::{Entry, Registry};
use super::string::text;
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError};
use crate::types::oids::{BOOL, INT4, TEXT, TEXT_ARRAY};
use crate::value::{ArrayValue, Datum};
use regex::{Captures, Regex};

/// What the flags argument asks for.
#[derive(Default)]
struct Flags {
    global: bool,
    ignore_case: bool,
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
            's' | 't' | 'b' | 'e' | 'q' => {}
            other => {
                return Err(SqlError::invalid_parameter(format!(
                    "invalid regular expression option: \"{other}\""
                )));
            }
        }
    }
    Ok(flags)
}

fn matched<T>(arguments: &[Datum], flags: &Flags, body: impl FnOnce(&Regex, &str) -> T) -> Result<T> {
    let (whole, pattern) = (text(arguments, 0)?, text(arguments, 1)?);
    with_regex(&format!("{}{pattern}", flags.prefix), flags.ignore_case, |regex| body(regex, whole))
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

fn replace(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let replacement = text(arguments, 2)?;
    let flags = flags(arguments, 3)?;
    matched(arguments, &flags, |regex, whole| {
        let mut out = String::with_capacity(whole.len());
        let mut last = 0;
        for captures in regex.captures_iter(whole) {
            let found = captures.get_match();
            out.push_str(&whole[last..found.start()]);
            expand(replacement, &captures, &mut out);
            last = found.end();
            if !flags.global {
                break;
            }
        }
        out.push_str(&whole[last..]);
        Datum::from(out)
    })
}

/// The groups of a match, or the whole where the pattern has none.
fn groups(captures: &Captures<'_>) -> Datum {
    let found = |index: usize| captures.get(index).map_or(Datum::Null, |found| Datum::text(found.as_str()));
    let elements =
        if captures.len() == 1 { vec![found(0)] } else { (1..captures.len()).map(found).collect() };
    ArrayValue::from_elements(TEXT, elements).into()
}

fn find(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let flags = flags(arguments, 2)?;
    if flags.global {
        return Err(SqlError::invalid_parameter("regexp_match() does not support the \"global\" option")
            .with_hint("Use the regexp_matches function instead."));
    }
    matched(arguments, &flags, |regex, whole| {
        regex.captures(whole).map_or(Datum::Null, |captures| groups(&captures))
    })
}

fn split(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let flags = flags(arguments, 2)?;
    matched(arguments, &flags, |regex, whole| {
        let mut parts = Vec::new();
        let mut last = 0;
        for found in regex.find_iter(whole) {
            // An empty match splits between characters, but not at either end.
            if found.is_empty() && (found.start() == 0 || found.start() == whole.len()) {
                continue;
            }
            parts.push(Datum::text(&whole[last..found.start()]));
            last = found.end();
        }
        parts.push(Datum::text(&whole[last..]));
        ArrayValue::from_elements(TEXT, parts).into()
    })
}

fn like(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let flags = flags(arguments, 2)?;
    matched(arguments, &flags, |regex, whole| Datum::Bool(regex.is_match(whole)))
}

fn count(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    matched(arguments, &Flags::default(), |regex, whole| Datum::Int32(regex.find_iter(whole).count() as i32))
}

/// The first group, or the whole match where there is none.
fn substring(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    matched(arguments, &Flags::default(), |regex, whole| {
        let group = |captures: Captures<'_>| {
            let index = usize::from(captures.len() > 1);
            captures.get(index).map_or(Datum::Null, |found| Datum::text(found.as_str()))
        };
        regex.captures(whole).map_or(Datum::Null, group)
    })
}

pub(super) fn register(registry: &mut Registry) {
    let mut add =
        |name: &'static str, counts: std::ops::RangeInclusive<usize>, result, kernel: ScalarKernel| {
            for count in counts {
                registry.add(Entry::new(name, &vec![TEXT; count], result, kernel));
            }
        };
    add("regexp_replace", 3..=4, TEXT, replace);
    add("regexp_match", 2..=3, TEXT_ARRAY, find);
    add("regexp_split_to_array", 2..=3, TEXT_ARRAY, split);
    add("regexp_like", 2..=3, BOOL, like);
    add("regexp_count", 2..=2, INT4, count);
    add("substring", 2..=2, TEXT, substring);
}
