//! Functions of regular expressions: `regexp_replace`, `regexp_match(es)`, `regexp_like`, `regexp_count`,
//! `regexp_instr`, `regexp_substr`, `regexp_split_to_array` and `_to_table`, and `substring(text from pattern)`.

use super::pattern::compiled;
use super::registry::{Entry, Registry};
use super::regular_expression::{Expression, Matched, Options};
use super::rows::{Rows, column, listed};
use super::string::{int4, text};
use super::{CallTypes, EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::Oid;
use crate::types::oids::{BOOL, INT4, TEXT, TEXT_ARRAY};
use crate::value::{ArrayValue, Datum};
use std::sync::Arc;

/// What the flags argument asks for.
struct Flags {
    global: bool,
    options: Options,
}

fn flags(arguments: &[Datum], index: usize) -> Result<Flags> {
    let mut flags = Flags { global: false, options: Options::DEFAULT };
    let Some(written) = arguments.get(index) else { return Ok(flags) };
    for letter in written.as_text().unwrap_or("").chars() {
        if letter == 'g' {
            flags.global = true;
        } else if !flags.options.set_flag(letter) {
            return Err(SqlError::invalid_parameter(format!(
                "invalid regular expression option: \"{letter}\""
            )));
        }
    }
    Ok(flags)
}

/// The flags of a function that has no use for `g`.
fn flags_without_global(arguments: &[Datum], index: usize, function: &str) -> Result<Flags> {
    let flags = flags(arguments, index)?;
    if flags.global {
        return Err(without_global(function));
    }
    Ok(flags)
}

fn without_global(function: &str) -> SqlError {
    SqlError::invalid_parameter(format!("{function}() does not support the \"global\" option"))
}

/// A text, and the expression that is looked for in it.
struct Search<'a> {
    whole: &'a str,
    expression: Arc<Expression>,
    context: &'a EvalContext<'a>,
}

impl<'a> Search<'a> {
    fn new(arguments: &'a [Datum], flags: &Flags, context: &'a EvalContext<'a>) -> Result<Search<'a>> {
        let (whole, pattern) = (text(arguments, 0)?, text(arguments, 1)?);
        Ok(Search { whole, expression: compiled(pattern, flags.options)?, context })
    }

    /// The matches from a character on, up to a number of them; with `groups`, also what the groups matched.
    fn matches(&self, start: i32, most: usize, groups: bool) -> Result<Vec<Matched>> {
        let Some(from) = byte_of(self.whole, start) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut at = from;
        while found.len() < most && at <= self.whole.len() {
            self.context.check_cancel()?;
            let Some(next) = self.expression.find_at(self.whole, at, groups, self.context)? else { break };
            let (begin, end) = next.whole();
            found.push(next);
            // An empty match is followed by the next character.
            at = if end > begin { end } else { next_character(self.whole, end) };
        }
        Ok(found)
    }

    fn first(&self) -> Result<Option<Matched>> {
        self.expression.find_at(self.whole, 0, true, self.context)
    }

    /// What a group matched (0: the whole).
    fn part(&self, matched: &Matched, group: usize) -> Option<&'a str> {
        matched.group(group).map(|(begin, end)| &self.whole[begin..end])
    }

    /// The groups of a match, or the whole where the pattern has none.
    fn groups(&self, matched: &Matched) -> Datum {
        let found = |index: usize| self.part(matched, index).map_or(Datum::Null, Datum::text);
        let elements = match matched.groups() {
            0 => vec![found(0)],
            groups => (1..=groups).map(found).collect(),
        };
        ArrayValue::from_elements(TEXT, elements).into()
    }
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

fn next_character(whole: &str, at: usize) -> usize {
    at + whole[at..].chars().next().map_or(1, char::len_utf8)
}

/// Writes a replacement: `\1` a group, `\&` the whole match, `\\` a backslash.
fn expand(replacement: &str, search: &Search<'_>, matched: &Matched, out: &mut String) {
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some(digit @ '1'..='9') => {
                let group = digit as usize - '0' as usize;
                out.push_str(search.part(matched, group).unwrap_or(""));
            }
            Some('&') => out.push_str(search.part(matched, 0).unwrap_or("")),
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
fn replace_from(
    arguments: &[Datum],
    flags: &Flags,
    (start, nth): (i32, i32),
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let replacement = text(arguments, 2)?;
    let search = Search::new(arguments, flags, context)?;
    let most = if nth > 0 { nth as usize } else { usize::MAX };
    let groups = replacement.contains('\\');
    let whole = search.whole;
    let mut out = String::with_capacity(whole.len());
    let mut last = 0;
    for (index, matched) in search.matches(start, most, groups)?.iter().enumerate() {
        if nth > 0 && index + 1 != nth as usize {
            continue;
        }
        let (begin, end) = matched.whole();
        out.push_str(&whole[last..begin]);
        expand(replacement, &search, matched, &mut out);
        last = end;
    }
    out.push_str(&whole[last..]);
    Ok(Datum::from(out))
}

fn replace(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
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
    replace_from(arguments, &flags, (1, i32::from(!flags.global)), context)
}

/// `regexp_replace(text, pattern, replacement, start [, n [, flags]])`.
fn replace_extended(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 3, 1, 1, "start")?;
    let flags = flags(arguments, 5)?;
    let default = i32::from(!flags.global);
    let nth = number(arguments, 4, default, 0, "n")?;
    replace_from(arguments, &flags, (start, nth), context)
}

fn find(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let flags = flags(arguments, 2)?;
    if flags.global {
        return Err(without_global("regexp_match").with_hint("Use the regexp_matches function instead."));
    }
    let search = Search::new(arguments, &flags, context)?;
    Ok(search.first()?.map_or(Datum::Null, |matched| search.groups(&matched)))
}

fn find_all(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Rows> {
    let flags = flags(arguments, 2)?;
    let search = Search::new(arguments, &flags, context)?;
    let found = search.matches(1, if flags.global { usize::MAX } else { 1 }, true)?;
    Ok(listed(found.iter().map(|matched| vec![search.groups(matched)]).collect()))
}

fn parts(arguments: &[Datum], function: &str, context: &EvalContext<'_>) -> Result<Vec<Datum>> {
    let flags = flags_without_global(arguments, 2, function)?;
    let search = Search::new(arguments, &flags, context)?;
    let whole = search.whole;
    let mut parts = Vec::new();
    let mut last = 0;
    for matched in search.matches(1, usize::MAX, false)? {
        let (begin, end) = matched.whole();
        // An empty match splits between characters, but not at either end.
        let at_edge = begin == 0 || begin == whole.len() || begin == last;
        if begin == end && at_edge {
            continue;
        }
        parts.push(Datum::text(&whole[last..begin]));
        last = end;
    }
    parts.push(Datum::text(&whole[last..]));
    Ok(parts)
}

fn split(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    Ok(ArrayValue::from_elements(TEXT, parts(arguments, "regexp_split_to_array", context)?).into())
}

fn split_to_rows(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Rows> {
    Ok(column(parts(arguments, "regexp_split_to_table", context)?))
}

fn like(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let flags = flags_without_global(arguments, 2, "regexp_like")?;
    let search = Search::new(arguments, &flags, context)?;
    search.expression.is_match(search.whole, context).map(Datum::Bool)
}

fn count(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 2, 1, 1, "start")?;
    let flags = flags_without_global(arguments, 3, "regexp_count")?;
    let found = Search::new(arguments, &flags, context)?.matches(start, usize::MAX, false)?;
    Ok(Datum::Int32(found.len() as i32))
}

/// Which bytes the group of match number `nth` takes that `regexp_instr` and `regexp_substr` are asked for.
fn nth_group(search: &Search<'_>, (start, nth, group): (i32, i32, i32)) -> Result<Option<(usize, usize)>> {
    let found = search.matches(start, nth as usize, group > 0)?;
    Ok(found.get(nth as usize - 1).and_then(|matched| matched.group(group as usize)))
}

fn instr(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 2, 1, 1, "start")?;
    let nth = number(arguments, 3, 1, 1, "n")?;
    let end = number(arguments, 4, 0, 0, "endoption")?;
    if end > 1 {
        return Err(SqlError::invalid_parameter(format!("invalid value for parameter \"endoption\": {end}")));
    }
    let flags = flags_without_global(arguments, 5, "regexp_instr")?;
    let group = number(arguments, 6, 0, 0, "subexpr")?;
    let search = Search::new(arguments, &flags, context)?;
    let Some((begin, behind)) = nth_group(&search, (start, nth, group))? else { return Ok(Datum::Int32(0)) };
    let byte = if end == 1 { behind } else { begin };
    Ok(Datum::Int32(search.whole[..byte].chars().count() as i32 + 1))
}

fn substr(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let start = number(arguments, 2, 1, 1, "start")?;
    let nth = number(arguments, 3, 1, 1, "n")?;
    let flags = flags_without_global(arguments, 4, "regexp_substr")?;
    let group = number(arguments, 5, 0, 0, "subexpr")?;
    let search = Search::new(arguments, &flags, context)?;
    let found = nth_group(&search, (start, nth, group))?;
    Ok(found.map_or(Datum::Null, |(begin, end)| Datum::text(&search.whole[begin..end])))
}

/// The first group, or the whole match where there is none.
fn substring(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let search = Search::new(arguments, &Flags { global: false, options: Options::DEFAULT }, context)?;
    let Some(matched) = search.first()? else { return Ok(Datum::Null) };
    Ok(search.part(&matched, usize::from(matched.groups() > 0)).map_or(Datum::Null, Datum::text))
}

/// `substring(text, pattern, escape)`, as SIMILAR has it.
fn similar_substring(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let escape = text(arguments, 2)?;
    if escape.chars().count() > 1 {
        return Err(SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let regex = super::pattern::similar_to_regex(text(arguments, 1)?, escape.chars().next())?;
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
