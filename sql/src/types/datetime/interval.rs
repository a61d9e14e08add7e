//! INTERVAL: its text in the four styles, its many input forms, its binary form, and its field modifiers.

use super::calendar::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, round_micros};
use super::parse::fraction_micros;
use super::print::push_fraction;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{EvalContext, IntervalStyle};
use crate::types::scalar::{entry, is_space, operations, wrong_kind, wrong_length};
use crate::types::{Category, TypeInfo, oids};
use crate::value::{Datum, Interval, PhysicalKind};
use std::fmt::Write;

/// 22008.
#[cold]
pub(crate) fn out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

#[cold]
fn invalid(text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_DATETIME_FORMAT,
        format!("invalid input syntax for type interval: \"{text}\""),
    )
}

#[cold]
fn field_overflow(text: &str) -> SqlError {
    SqlError::new(SqlState::INTERVAL_FIELD_OVERFLOW, format!("interval field value out of range: \"{text}\""))
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Months(i32),
    Days(i32),
    Micros(i64),
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "millennium" | "millennia" | "millenniums" | "mil" | "mils" | "millenia" => Unit::Months(12_000),
        "century" | "centuries" | "cent" | "c" => Unit::Months(1200),
        "decade" | "decades" | "dec" | "decs" => Unit::Months(120),
        "year" | "years" | "yr" | "yrs" | "y" => Unit::Months(12),
        "month" | "months" | "mon" | "mons" => Unit::Months(1),
        "week" | "weeks" | "w" => Unit::Days(7),
        "day" | "days" | "d" => Unit::Days(1),
        "hour" | "hours" | "hr" | "hrs" | "h" => Unit::Micros(MICROS_PER_HOUR),
        "minute" | "minutes" | "min" | "mins" | "m" => Unit::Micros(MICROS_PER_MINUTE),
        "second" | "seconds" | "sec" | "secs" | "s" => Unit::Micros(MICROS_PER_SECOND),
        "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" | "msecond" | "mseconds" => {
            Unit::Micros(1000)
        }
        "microsecond" | "microseconds" | "usec" | "usecs" | "us" | "usecond" | "useconds" => Unit::Micros(1),
        _ => return None,
    })
}

/// A number as written: sign, whole part, and fraction.
#[derive(Clone, Copy)]
struct Amount<'a> {
    negative: bool,
    whole: i64,
    fraction: &'a str,
}

impl Amount<'_> {
    fn signed(&self, value: i64) -> i64 {
        if self.negative { -value } else { value }
    }

    fn fraction_value(&self) -> f64 {
        let magnitude = format!("0.{}", self.fraction).parse::<f64>().unwrap_or(0.0);
        if self.negative { -magnitude } else { magnitude }
    }
}

/// The sum so far.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
    /// The units that were given: none may come twice.
    given: Vec<Unit>,
}

impl Sum {
    /// Notes a unit; false if it was given before.
    fn note(&mut self, unit: Unit) -> bool {
        let is_new = !self.given.contains(&unit);
        self.given.push(unit);
        is_new
    }

    fn add(&mut self, amount: Amount<'_>, unit: Unit) -> Option<()> {
        let whole = amount.signed(amount.whole);
        let fraction = amount.fraction_value();
        match unit {
            Unit::Months(size) => {
                self.months = self.months.checked_add(whole.checked_mul(i64::from(size))?)?;
                if size > 1 {
                    // A part of a year counts in whole months.
                    self.months =
                        self.months.checked_add((fraction * f64::from(size)).round_ties_even() as i64)?;
                } else {
                    self.add_fraction_days(fraction * 30.0)?;
                }
            }
            Unit::Days(size) => {
                self.days = self.days.checked_add(whole.checked_mul(i64::from(size))?)?;
                if size > 1 {
                    self.add_fraction_days(fraction * f64::from(size))?;
                } else {
                    self.micros = self
                        .micros
                        .checked_add((fraction * MICROS_PER_DAY as f64).round_ties_even() as i64)?;
                }
            }
            Unit::Micros(size) => {
                self.micros = self.micros.checked_add(whole.checked_mul(size)?)?;
                let part = if size == MICROS_PER_SECOND {
                    amount.signed(fraction_micros(amount.fraction))
                } else {
                    (fraction * size as f64).round_ties_even() as i64
                };
                self.micros = self.micros.checked_add(part)?;
            }
        }
        Some(())
    }

    fn add_fraction_days(&mut self, days: f64) -> Option<()> {
        let whole = days.trunc();
        self.days = self.days.checked_add(whole as i64)?;
        self.micros =
            self.micros.checked_add(((days - whole) * MICROS_PER_DAY as f64).round_ties_even() as i64)?;
        Some(())
    }

    fn finish(self, negate: bool) -> Option<Interval> {
        let sign = if negate { -1 } else { 1 };
        Some(Interval {
            months: i32::try_from(self.months.checked_mul(sign)?).ok()?,
            days: i32::try_from(self.days.checked_mul(sign)?).ok()?,
            micros: self.micros.checked_mul(sign)?,
        })
    }
}

/// Reads `[+-]digits[.digits]` off the front.
fn take_amount<'a>(text: &'a str, rest: &mut &'a str) -> Result<Option<Amount<'a>>> {
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let negative = rest.starts_with('-');
    let count = unsigned.find(|character: char| !character.is_ascii_digit()).unwrap_or(unsigned.len());
    let after = &unsigned[count..];
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => {
            let count = after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len());
            after.split_at(count)
        }
        None => ("", after),
    };
    if count == 0 && fraction.is_empty() {
        return Ok(None);
    }
    let whole = if count == 0 { 0 } else { unsigned[..count].parse().map_err(|_| field_overflow(text))? };
    *rest = after;
    Ok(Some(Amount { negative, whole, fraction }))
}

/// Parses any of PostgreSQL's forms. `fields` are those of the modifier: they say what a bare number counts.
pub(crate) fn parse(text: &str, fields: i32) -> Result<Interval> {
    let trimmed = text.trim_matches(is_space);
    if let Some(body) = trimmed.strip_prefix('P') {
        return parse_iso(text, body);
    }
    let mut rest = trimmed;
    let mut sum = Sum::default();
    let mut seen = false;
    let mut ago = false;
    // The number before is still without a unit.
    let mut pending: Option<Amount<'_>> = None;
    loop {
        rest = rest.trim_start_matches(|character| is_space(character) || character == '@');
        if rest.is_empty() {
            break;
        }
        if let Some(amount) = take_amount(text, &mut rest)? {
            if rest.starts_with(':') {
                // A number just before a time is days.
                if let Some(days) = pending.take() {
                    sum.add(days, Unit::Days(1)).ok_or_else(|| field_overflow(text))?;
                }
                rest = clock(text, amount, rest, &mut sum, fields)?;
                seen = true;
                continue;
            }
            if rest.starts_with('-')
                && rest[1..].starts_with(|next: char| next.is_ascii_digit())
                && amount.fraction.is_empty()
            {
                // `years-months`
                rest = &rest[1..];
                let Some(months) = take_amount(text, &mut rest)? else { return Err(invalid(text)) };
                if months.whole > 11 {
                    return Err(field_overflow(text));
                }
                let total = amount.whole.checked_mul(12).and_then(|years| years.checked_add(months.whole));
                let months = total.and_then(|total| sum.months.checked_add(amount.signed(total)));
                sum.months = months.ok_or_else(|| field_overflow(text))?;
                seen = true;
                continue;
            }
            if let Some(before) = pending.replace(amount) {
                // Two numbers in a row: days, then a time's hours.
                sum.add(before, Unit::Days(1)).ok_or_else(|| field_overflow(text))?;
            }
            continue;
        }
        let count = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
        if count == 0 {
            return Err(invalid(text));
        }
        let word = rest[..count].to_ascii_lowercase();
        rest = &rest[count..];
        if word == "ago" && pending.is_none() && seen {
            ago = true;
            continue;
        }
        let (Some(amount), Some(unit)) = (pending.take(), unit(&word)) else { return Err(invalid(text)) };
        if !sum.note(unit) {
            return Err(invalid(text));
        }
        sum.add(amount, unit).ok_or_else(|| field_overflow(text))?;
        seen = true;
    }
    if let Some(amount) = pending {
        sum.add(amount, bare_unit(fields)).ok_or_else(|| field_overflow(text))?;
        seen = true;
    }
    if !seen {
        return Err(invalid(text));
    }
    sum.finish(ago).ok_or_else(|| field_overflow(text))
}

/// What a number without a unit counts: the least field of the modifier, seconds if there is none.
fn bare_unit(fields: i32) -> Unit {
    match fields {
        FIELD_YEAR => Unit::Months(12),
        FIELD_MONTH | 6 => Unit::Months(1),
        FIELD_DAY => Unit::Days(1),
        FIELD_HOUR | 1032 => Unit::Micros(MICROS_PER_HOUR),
        FIELD_MINUTE | 3080 | 3072 => Unit::Micros(MICROS_PER_MINUTE),
        _ => Unit::Micros(MICROS_PER_SECOND),
    }
}

/// `HH:MM[:SS[.ffffff]]`, its hours already read; `MM:SS` where the modifier says so or a fraction follows.
fn clock<'a>(text: &'a str, first: Amount<'a>, rest: &'a str, sum: &mut Sum, fields: i32) -> Result<&'a str> {
    let mut rest = &rest[1..];
    let Some(second) = take_amount(text, &mut rest)? else { return Err(invalid(text)) };
    let third = match rest.strip_prefix(':') {
        Some(after) => {
            rest = after;
            take_amount(text, &mut rest)?
        }
        None => None,
    };
    let (hours, minutes, seconds, fraction) = match third {
        Some(third) => (first.whole, second.whole, third.whole, third.fraction),
        None if !second.fraction.is_empty() || fields == 6144 => {
            (0, first.whole, second.whole, second.fraction)
        }
        None => (first.whole, second.whole, 0, ""),
    };
    if minutes > 59 || seconds > 60 {
        return Err(field_overflow(text));
    }
    let micros = hours
        .checked_mul(MICROS_PER_HOUR)
        .and_then(|micros| micros.checked_add(minutes * MICROS_PER_MINUTE + seconds * MICROS_PER_SECOND))
        .and_then(|micros| micros.checked_add(fraction_micros(fraction)))
        .ok_or_else(|| field_overflow(text))?;
    sum.micros = sum.micros.checked_add(first.signed(micros)).ok_or_else(|| field_overflow(text))?;
    Ok(rest)
}

/// ISO 8601: `P1Y2M3DT4H5M6.7S`, `P1W`, and the alternative `P0001-02-03T04:05:06`.
fn parse_iso(text: &str, body: &str) -> Result<Interval> {
    let mut sum = Sum::default();
    let mut rest = body;
    let mut in_time = false;
    let mut seen = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            in_time = true;
            rest = after;
            continue;
        }
        let Some(amount) = take_amount(text, &mut rest)? else { return Err(invalid(text)) };
        let designator = rest.chars().next();
        let unit = match (designator, in_time) {
            (Some('Y'), false) => Unit::Months(12),
            (Some('M'), false) => Unit::Months(1),
            (Some('W'), false) => Unit::Days(7),
            (Some('D'), false) => Unit::Days(1),
            (Some('H'), true) => Unit::Micros(MICROS_PER_HOUR),
            (Some('M'), true) => Unit::Micros(MICROS_PER_MINUTE),
            (Some('S'), true) => Unit::Micros(MICROS_PER_SECOND),
            (Some('-'), false) if !seen => {
                rest = &rest[1..];
                let Some(months) = take_amount(text, &mut rest)? else { return Err(invalid(text)) };
                sum.add(amount, Unit::Months(12)).ok_or_else(|| field_overflow(text))?;
                sum.add(months, Unit::Months(1)).ok_or_else(|| field_overflow(text))?;
                if let Some(after) = rest.strip_prefix('-') {
                    rest = after;
                    let Some(days) = take_amount(text, &mut rest)? else { return Err(invalid(text)) };
                    sum.add(days, Unit::Days(1)).ok_or_else(|| field_overflow(text))?;
                }
                seen = true;
                continue;
            }
            (Some(':'), true) => {
                rest = clock(text, amount, rest, &mut sum, 0)?;
                seen = true;
                continue;
            }
            _ => return Err(invalid(text)),
        };
        rest = &rest[1..];
        sum.add(amount, unit).ok_or_else(|| field_overflow(text))?;
        seen = true;
    }
    if !seen {
        return Err(invalid(text));
    }
    sum.finish(false).ok_or_else(|| field_overflow(text))
}

const FIELD_YEAR: i32 = 4;
const FIELD_MONTH: i32 = 2;
const FIELD_DAY: i32 = 8;
const FIELD_HOUR: i32 = 1024;
const FIELD_MINUTE: i32 = 2048;
const FIELD_SECOND: i32 = 4096;
const FIELDS_ALL: i32 = 0x7fff;

/// Cuts an interval to a modifier's fields and rounds its seconds.
fn fit(value: Interval, typmod: i32) -> Interval {
    let (fields, precision) = ((typmod >> 16) & 0x7fff, typmod & 0xffff);
    let mut value = value;
    if fields != FIELDS_ALL && fields != 0 {
        // Everything below the least field named is cut off; what is above stays.
        if fields & (FIELD_DAY | FIELD_HOUR | FIELD_MINUTE | FIELD_SECOND) == 0 {
            value.days = 0;
            value.micros = 0;
            if fields & FIELD_MONTH == 0 {
                value.months = value.months / 12 * 12;
            }
        } else if fields & FIELD_SECOND != 0 {
        } else if fields & FIELD_MINUTE != 0 {
            value.micros = value.micros / MICROS_PER_MINUTE * MICROS_PER_MINUTE;
        } else if fields & FIELD_HOUR != 0 {
            value.micros = value.micros / MICROS_PER_HOUR * MICROS_PER_HOUR;
        } else {
            value.micros = 0;
        }
    }
    if precision != 0xffff {
        value.micros = round_micros(value.micros, precision);
    }
    value
}

/// Hours, minutes, seconds and microseconds of a time that may be negative.
fn split_clock(micros: i64) -> (i64, i64, i64, i64) {
    (
        micros / MICROS_PER_HOUR,
        micros / MICROS_PER_MINUTE % 60,
        micros / MICROS_PER_SECOND % 60,
        micros % MICROS_PER_SECOND,
    )
}

/// Appends the text in a style.
pub(crate) fn print(value: &Interval, style: IntervalStyle, out: &mut String) {
    match style {
        IntervalStyle::Postgres => print_postgres(value, out),
        IntervalStyle::PostgresVerbose => print_verbose(value, out),
        IntervalStyle::SqlStandard => print_sql_standard(value, out),
        IntervalStyle::Iso8601 => print_iso(value, out),
    }
}

fn print_postgres(value: &Interval, out: &mut String) {
    let (years, months) = (value.months / 12, value.months % 12);
    let mut first = true;
    let mut negative_before = false;
    for (amount, name) in [(years, "year"), (months, "mon"), (value.days, "day")] {
        if amount == 0 {
            continue;
        }
        let space = if first { "" } else { " " };
        let plus = if negative_before && amount > 0 { "+" } else { "" };
        let plural = if amount == 1 { "" } else { "s" };
        let _ = write!(out, "{space}{plus}{amount} {name}{plural}");
        negative_before = amount < 0;
        first = false;
    }
    if first || value.micros != 0 {
        let (hours, minutes, seconds, micros) = split_clock(value.micros);
        let sign = if value.micros < 0 {
            "-"
        } else if negative_before {
            "+"
        } else {
            ""
        };
        let space = if first { "" } else { " " };
        let _ = write!(out, "{space}{sign}{:02}:{:02}:{:02}", hours.abs(), minutes.abs(), seconds.abs());
        push_fraction(micros.abs(), out);
    }
}

fn print_verbose(value: &Interval, out: &mut String) {
    out.push('@');
    let (years, months) = (value.months / 12, value.months % 12);
    let (hours, minutes, seconds, micros) = split_clock(value.micros);
    let parts = [
        (i64::from(years), "year"),
        (i64::from(months), "mon"),
        (i64::from(value.days), "day"),
        (hours, "hour"),
        (minutes, "min"),
    ];
    let mut any = false;
    // The first part's sign is told by "ago", and the others are relative to it.
    let mut before = false;
    for (amount, name) in parts {
        if amount == 0 {
            continue;
        }
        let shown = if !any {
            before = amount < 0;
            amount.abs()
        } else if before {
            -amount
        } else {
            amount
        };
        any = true;
        let plural = if shown == 1 { "" } else { "s" };
        let _ = write!(out, " {shown} {name}{plural}");
    }
    if seconds != 0 || micros != 0 {
        let negative = seconds < 0 || micros < 0;
        if !any {
            before = negative;
        } else if negative != before {
            out.push_str(" -");
            let _ = write!(out, "{}", seconds.abs());
            push_fraction(micros.abs(), out);
            out.push_str(if seconds.abs() == 1 && micros == 0 { " sec" } else { " secs" });
            if before {
                out.push_str(" ago");
            }
            return;
        }
        any = true;
        let _ = write!(out, " {}", seconds.abs());
        push_fraction(micros.abs(), out);
        out.push_str(if seconds.abs() == 1 && micros == 0 { " sec" } else { " secs" });
    }
    if !any {
        out.push_str(" 0");
    }
    if before {
        out.push_str(" ago");
    }
}

fn print_sql_standard(value: &Interval, out: &mut String) {
    let (years, months) = (value.months / 12, value.months % 12);
    let (hours, minutes, seconds, micros) = split_clock(value.micros);
    let negative = value.months < 0 || value.days < 0 || value.micros < 0;
    let positive = value.months > 0 || value.days > 0 || value.micros > 0;
    let has_months = value.months != 0;
    let has_rest = value.days != 0 || value.micros != 0;
    let clock = |out: &mut String| {
        let _ = write!(out, "{}:{:02}:{:02}", hours.abs(), minutes.abs(), seconds.abs());
        push_fraction(micros.abs(), out);
    };
    if !negative && !positive {
        out.push('0');
    } else if (negative && positive) || (has_months && has_rest) {
        let sign = |negative: bool| if negative { '-' } else { '+' };
        let _ = write!(out, "{}{}-{}", sign(value.months < 0), years.abs(), months.abs());
        let _ = write!(out, " {}{}", sign(value.days < 0), value.days.unsigned_abs());
        let _ = write!(out, " {}", sign(value.micros < 0));
        clock(out);
    } else {
        if negative {
            out.push('-');
        }
        if has_months {
            let _ = write!(out, "{}-{}", years.abs(), months.abs());
        } else {
            if value.days != 0 {
                let _ = write!(out, "{} ", value.days.unsigned_abs());
            }
            clock(out);
        }
    }
}

fn print_iso(value: &Interval, out: &mut String) {
    if value.months == 0 && value.days == 0 && value.micros == 0 {
        out.push_str("PT0S");
        return;
    }
    out.push('P');
    let part = |amount: i64, designator: char, out: &mut String| {
        if amount != 0 {
            let _ = write!(out, "{amount}{designator}");
        }
    };
    part(i64::from(value.months / 12), 'Y', out);
    part(i64::from(value.months % 12), 'M', out);
    part(i64::from(value.days), 'D', out);
    if value.micros == 0 {
        return;
    }
    let (hours, minutes, seconds, micros) = split_clock(value.micros);
    out.push('T');
    part(hours, 'H', out);
    part(minutes, 'M', out);
    if seconds != 0 || micros != 0 {
        let sign = if value.micros < 0 { "-" } else { "" };
        let _ = write!(out, "{sign}{}", seconds.abs());
        push_fraction(micros.abs(), out);
        out.push('S');
    }
}

fn fields_of(typmod: i32) -> i32 {
    if typmod < 0 { FIELDS_ALL } else { (typmod >> 16) & 0x7fff }
}

fn parse_operation(_: &TypeInfo, text: &str, typmod: i32, _: &EvalContext<'_>) -> Result<Datum> {
    parse(text, fields_of(typmod)).map(Datum::Interval)
}

pub(super) fn type_info() -> TypeInfo {
    let mut operations = operations(
        parse_operation,
        |info, datum, out, context| {
            let Datum::Interval(value) = datum else { return Err(wrong_kind(info)) };
            print(value, context.settings.interval_style, out);
            Ok(())
        },
        |_, bytes, _, _| {
            let bytes: [u8; 16] = bytes.try_into().map_err(|_| wrong_length())?;
            let [micros @ .., d0, d1, d2, d3, m0, m1, m2, m3] = bytes;
            Ok(Datum::Interval(Interval {
                micros: i64::from_be_bytes(micros),
                days: i32::from_be_bytes([d0, d1, d2, d3]),
                months: i32::from_be_bytes([m0, m1, m2, m3]),
            }))
        },
        |info, datum, out, _| {
            let Datum::Interval(value) = datum else { return Err(wrong_kind(info)) };
            out.extend_from_slice(&value.micros.to_be_bytes());
            out.extend_from_slice(&value.days.to_be_bytes());
            out.extend_from_slice(&value.months.to_be_bytes());
            Ok(())
        },
    );
    operations.apply_modifier = Some(|info, value, typmod, _| match value {
        Datum::Interval(value) => Ok(Datum::Interval(fit(value, typmod))),
        _ => Err(wrong_kind(info)),
    });
    entry(
        oids::INTERVAL,
        oids::INTERVAL_ARRAY,
        "interval",
        "interval",
        Category::Timespan,
        true,
        16,
        PhysicalKind::Interval,
        operations,
    )
}
