//! Reading intervals: `1 year 2 mons 3 days 04:05:06`, the SQL standard's `1-2 3 4:05:06`, ISO 8601.
//!
//! 1. The text is cut into fields as a date's is. They are decoded from the last to the first, since a unit comes
//!    after its number; no part may be given twice.
//! 2. A text that cannot be decoded so is read as ISO 8601: `P1Y2M3DT4H5M6.7S`, or the alternative forms
//!    `P0001-02-03T04:05:06` and `P00010203T040506`.

use super::calendar::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use super::decode::Clock;
use super::fields::{Fields, Kind};
use super::interval::{
    FIELD_DAY, FIELD_HOUR, FIELD_MINUTE, FIELD_MONTH, FIELD_SECOND, FIELD_YEAR, out_of_range,
};
use super::parse::{Refusal, Step, fraction};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::IntervalStyle;
use crate::value::Interval;

/// The fields of an interval may have this many characters.
const LENGTH_MAX: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// How many, and the bit that says it was given.
    Years(i32, u32),
    Month,
    Days(i32, u32),
    Micros(i64, u32),
    /// Known, but no interval has it.
    Unusable,
}

const YEAR: Unit = Unit::Years(1, 1);
const DAY: Unit = Unit::Days(1, 32);
const HOUR: Unit = Unit::Micros(MICROS_PER_HOUR, 128);
const MINUTE: Unit = Unit::Micros(MICROS_PER_MINUTE, 256);
const SECOND: Unit = Unit::Micros(MICROS_PER_SECOND, SECOND_BIT);
const MONTH_BIT: u32 = 16;
const SECOND_BIT: u32 = 512;
/// A fraction of a second gives milliseconds and microseconds too.
const SECOND_PARTS: u32 = SECOND_BIT | 1024 | 2048;
const CLOCK_BITS: u32 = 128 | 256 | SECOND_PARTS;

fn unit(word: &str) -> Option<Unit> {
    // Only ten letters of a word count.
    Some(match word.get(..10).unwrap_or(word) {
        "millennium" | "millennia" | "mil" | "mils" => Unit::Years(1000, 2),
        "century" | "centuries" | "cent" | "c" => Unit::Years(100, 4),
        "decade" | "decades" | "dec" | "decs" => Unit::Years(10, 8),
        "year" | "years" | "yr" | "yrs" | "y" => YEAR,
        "month" | "months" | "mon" | "mons" => Unit::Month,
        "week" | "weeks" | "w" => Unit::Days(7, 64),
        "day" | "days" | "d" => DAY,
        "hour" | "hours" | "hr" | "hrs" | "h" => HOUR,
        "minute" | "minutes" | "min" | "mins" | "m" => MINUTE,
        "second" | "seconds" | "sec" | "secs" | "s" => SECOND,
        "millisecon" | "msecond" | "mseconds" | "msec" | "msecs" | "ms" => Unit::Micros(1000, 1024),
        "microsecon" | "usecond" | "useconds" | "usec" | "usecs" | "us" => Unit::Micros(1, 2048),
        "quarter" | "qtr" | "timezone" | "timezone_h" | "timezone_m" => Unit::Unusable,
        _ => return None,
    })
}

/// What a number without a unit counts: the least field of the modifier, seconds if there is none.
fn bare_unit(fields: i32) -> Unit {
    const YEAR_TO_MONTH: i32 = FIELD_YEAR | FIELD_MONTH;
    const DAY_TO_HOUR: i32 = FIELD_DAY | FIELD_HOUR;
    const HOUR_TO_MINUTE: i32 = FIELD_HOUR | FIELD_MINUTE;
    const DAY_TO_MINUTE: i32 = FIELD_DAY | HOUR_TO_MINUTE;
    match fields {
        FIELD_YEAR => YEAR,
        FIELD_MONTH | YEAR_TO_MONTH => Unit::Month,
        FIELD_DAY => DAY,
        FIELD_HOUR | DAY_TO_HOUR => HOUR,
        FIELD_MINUTE | HOUR_TO_MINUTE | DAY_TO_MINUTE => MINUTE,
        _ => SECOND,
    }
}

/// The sum so far.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    years: i32,
    months: i32,
    days: i32,
    micros: i64,
}

impl Sum {
    /// Adds a number and its fraction of a unit, or `None` if that overflows. A fraction of a year counts in
    /// whole months; smaller fractions go on in days of 24 hours and months of 30 days.
    fn add(&mut self, value: i64, fraction: f64, unit: Unit) -> Option<()> {
        match unit {
            Unit::Years(size, _) => {
                let years = i32::try_from(value).ok()?.checked_mul(size)?;
                self.years = self.years.checked_add(years)?;
                let months = (fraction * f64::from(size) * 12.0).round_ties_even() as i32;
                self.months = self.months.checked_add(months)?;
            }
            Unit::Month => {
                self.months = self.months.checked_add(i32::try_from(value).ok()?)?;
                self.add_fraction_of_days(fraction * 30.0)?;
            }
            Unit::Days(size, _) => {
                let days = i32::try_from(value).ok()?.checked_mul(size)?;
                self.days = self.days.checked_add(days)?;
                if size == 1 {
                    self.add_fraction_of_micros(fraction * MICROS_PER_DAY as f64)?;
                } else {
                    self.add_fraction_of_days(fraction * f64::from(size))?;
                }
            }
            Unit::Micros(size, _) => {
                self.micros = self.micros.checked_add(value.checked_mul(size)?)?;
                self.add_fraction_of_micros(fraction * size as f64)?;
            }
            Unit::Unusable => return None,
        }
        Some(())
    }

    fn add_fraction_of_days(&mut self, days: f64) -> Option<()> {
        let whole = days.trunc();
        self.days = self.days.checked_add(whole as i32)?;
        self.add_fraction_of_micros((days - whole) * MICROS_PER_DAY as f64)
    }

    fn add_fraction_of_micros(&mut self, micros: f64) -> Option<()> {
        let whole = micros.trunc();
        let rest = micros - whole;
        // Halves are dropped.
        let carry = if rest > 0.5 { 1 } else { -i64::from(rest < -0.5) };
        self.micros = self.micros.checked_add(whole as i64 + carry)?;
        Some(())
    }

    fn negated(self) -> Option<Sum> {
        Some(Sum {
            years: self.years.checked_neg()?,
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            micros: self.micros.checked_neg()?,
        })
    }

    /// The sum with every part negative, or 0.
    fn all_negative(self) -> Sum {
        Sum {
            years: self.years.min(self.years.saturating_neg()),
            months: self.months.min(self.months.saturating_neg()),
            days: self.days.min(self.days.saturating_neg()),
            micros: self.micros.min(self.micros.saturating_neg()),
        }
    }

    fn interval(self) -> Option<Interval> {
        let months = i64::from(self.years) * 12 + i64::from(self.months);
        Some(Interval { months: i32::try_from(months).ok()?, days: self.days, micros: self.micros })
    }
}

/// The microseconds of `HH:MM[:SS[.ffffff]]`.
fn clock(text: &str, fields: i32) -> Step<i64> {
    let Clock { hour, minute, second, micros } = Clock::read(text, fields == FIELD_MINUTE | FIELD_SECOND)?;
    let rest = i64::from(minute) * MICROS_PER_MINUTE + i64::from(second) * MICROS_PER_SECOND + micros;
    hour.checked_mul(MICROS_PER_HOUR).and_then(|hours| hours.checked_add(rest)).ok_or(Refusal::OutOfRange)
}

/// The digits at a signed text's front as a number, and what follows.
fn signed_integer(text: &str) -> Step<(i64, &str)> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let count = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return Ok((0, &text[sign..]));
    }
    let (number, rest) = text.split_at(sign + count);
    Ok((number.parse().map_err(|_| Refusal::OutOfRange)?, rest))
}

/// A number in a unit; gives the parts that it gave.
fn number(text: &str, unit: Unit, sum: &mut Sum) -> Step<u32> {
    let is_negative = text.starts_with('-');
    let (mut value, rest) = signed_integer(text)?;
    let (mut part, mut unit) = (0.0, unit);
    if let Some(months) = rest.strip_prefix('-') {
        // The SQL standard's years and months.
        let (months, rest) = signed_integer(months)?;
        if !(0..12).contains(&months) {
            return Err(Refusal::OutOfRange);
        }
        if !rest.is_empty() {
            return Err(Refusal::Syntax);
        }
        let months = if is_negative { -months } else { months };
        let total = value.checked_mul(12).and_then(|total| total.checked_add(months));
        value = total.ok_or(Refusal::OutOfRange)?;
        unit = Unit::Month;
    } else if !rest.is_empty() {
        part = fraction(rest)?;
        if is_negative {
            part = -part;
        }
    }
    let given = match unit {
        Unit::Unusable => return Err(Refusal::Syntax),
        Unit::Micros(_, SECOND_BIT) if part != 0.0 => SECOND_PARTS,
        Unit::Years(_, bit) | Unit::Days(_, bit) | Unit::Micros(_, bit) => bit,
        Unit::Month => MONTH_BIT,
    };
    sum.add(value, part, unit).ok_or(Refusal::OutOfRange)?;
    Ok(given)
}

/// Step 1.
fn decode(fields: &Fields, modifier: i32, style: IntervalStyle) -> Step<Sum> {
    let mut sum = Sum::default();
    let mut seen = 0;
    let mut is_before = false;
    // The unit of the next number to the left.
    let mut pending: Option<Unit> = None;
    for place in (0..fields.len()).rev() {
        let text = fields.text(place);
        let given = match fields.kind(place) {
            Some(Kind::Word | Kind::Special) => {
                if text == "ago" {
                    is_before = true;
                    pending = Some(SECOND);
                } else {
                    pending = Some(unit(text).ok_or(Refusal::Syntax)?);
                }
                continue;
            }
            Some(Kind::Time) => {
                let micros = clock(text, modifier)?;
                sum.micros = sum.micros.checked_add(micros).ok_or(Refusal::OutOfRange)?;
                pending = Some(DAY);
                CLOCK_BITS
            }
            Some(Kind::Signed) if text.contains(':') => {
                // What is no time is no number either.
                let micros = clock(&text[1..], modifier).map_err(|_| Refusal::Syntax)?;
                let micros = if text.starts_with('-') { -micros } else { micros };
                sum.micros = sum.micros.checked_add(micros).ok_or(Refusal::OutOfRange)?;
                pending = Some(DAY);
                CLOCK_BITS
            }
            _ => {
                let unit = *pending.get_or_insert(bare_unit(modifier));
                // A number before hours is days.
                if unit == HOUR {
                    pending = Some(DAY);
                }
                number(text, unit, &mut sum)?
            }
        };
        if given & seen != 0 {
            return Err(Refusal::Syntax);
        }
        seen |= given;
    }
    if seen == 0 {
        return Err(Refusal::Syntax);
    }
    // In the standard's style a sign at the front, if it is the only one, is that of all parts.
    let is_signed = |place: usize| fields.text(place).starts_with(['+', '-']);
    if style == IntervalStyle::SqlStandard
        && fields.text(0).starts_with('-')
        && !(1..fields.len()).any(is_signed)
    {
        sum = sum.all_negative();
    }
    if is_before { sum.negated().ok_or(Refusal::OutOfRange) } else { Ok(sum) }
}

/// `[-]digits[.digits][e…]` off the front.
fn take_iso_number(rest: &mut &str) -> Step<(i64, f64)> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(rest.starts_with('-'));
    let whole = digits(end);
    end += whole;
    if bytes.get(end) == Some(&b'.') {
        let decimals = digits(end + 1);
        if whole + decimals == 0 {
            return Err(Refusal::Syntax);
        }
        end += 1 + decimals;
    } else if whole == 0 {
        return Err(Refusal::Syntax);
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let count = digits(end + 1 + sign);
        if count > 0 {
            end += 1 + sign + count;
        }
    }
    let value: f64 = rest[..end].parse().map_err(|_| Refusal::Syntax)?;
    if value.abs() > 1e15 {
        return Err(Refusal::OutOfRange);
    }
    *rest = &rest[end..];
    Ok((value.trunc() as i64, value.fract()))
}

/// How many digits a number begins with.
fn digit_count(text: &str) -> usize {
    text.strip_prefix('-').unwrap_or(text).bytes().take_while(u8::is_ascii_digit).count()
}

/// Step 2.
fn decode_iso(text: &str) -> Step<Sum> {
    let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(Refusal::Syntax)?;
    let mut sum = Sum::default();
    let mut in_time = false;
    let mut has_part = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            (in_time, has_part, rest) = (true, false, after);
            continue;
        }
        let width = digit_count(rest);
        let (value, part) = take_iso_number(&mut rest)?;
        let designator = rest.chars().next();
        let unit = match (designator, in_time) {
            (Some('Y'), false) => YEAR,
            (Some('M'), false) => Unit::Month,
            (Some('W'), false) => Unit::Days(7, 0),
            (Some('D'), false) => DAY,
            (Some('H'), true) => HOUR,
            (Some('M'), true) => MINUTE,
            (Some('S'), true) => SECOND,
            (None | Some('T' | '-'), false) | (None | Some(':'), true) if !has_part => {
                let units = if in_time { [HOUR, MINUTE, SECOND] } else { [YEAR, Unit::Month, DAY] };
                if width == if in_time { 6 } else { 8 } && !matches!(designator, Some('-' | ':')) {
                    add_basic(value, part, units, in_time, &mut sum)?;
                } else {
                    add_extended(value, part, units, in_time, &mut rest, &mut sum)?;
                }
                continue;
            }
            _ => return Err(Refusal::Syntax),
        };
        sum.add(value, part, unit).ok_or(Refusal::OutOfRange)?;
        rest = rest.get(1..).unwrap_or("");
        has_part = true;
    }
    Ok(sum)
}

/// `YYYYMMDD` or `HHMMSS`.
fn add_basic(value: i64, part: f64, units: [Unit; 3], in_time: bool, sum: &mut Sum) -> Step<()> {
    // PostgreSQL takes the fraction of a basic time in microseconds.
    let least = if in_time { Unit::Micros(1, 0) } else { units[2] };
    let parts =
        [(value / 10_000, 0.0, units[0]), (value / 100 % 100, 0.0, units[1]), (value % 100, 0.0, units[2])];
    for (value, part, unit) in parts.into_iter().chain([(0, part, least)]) {
        sum.add(value, part, unit).ok_or(Refusal::OutOfRange)?;
    }
    Ok(())
}

/// `YYYY[-MM[-DD]]` or `HH[:MM[:SS]]`, its first number already read.
fn add_extended(
    value: i64,
    part: f64,
    units: [Unit; 3],
    in_time: bool,
    rest: &mut &str,
    sum: &mut Sum,
) -> Step<()> {
    let separator = if in_time { ':' } else { '-' };
    sum.add(value, part, units[0]).ok_or(Refusal::OutOfRange)?;
    for unit in [units[1], units[2]] {
        match rest.strip_prefix(separator) {
            Some(after) => *rest = after,
            None => break,
        }
        let (value, part) = take_iso_number(rest)?;
        sum.add(value, part, unit).ok_or(Refusal::OutOfRange)?;
    }
    let is_end = rest.is_empty() || (!in_time && rest.starts_with('T'));
    if is_end { Ok(()) } else { Err(Refusal::Syntax) }
}

/// Reads an interval. `modifier` names the fields of its type: they say what a bare number counts.
///
/// # Errors
/// 22007, 22008 or 22015 as PostgreSQL words them.
pub(super) fn parse(text: &str, modifier: i32, style: IntervalStyle) -> Result<Interval> {
    let decoded = match Fields::cut(text, LENGTH_MAX) {
        Some(fields) => decode(&fields, modifier, style),
        None => Err(Refusal::Syntax),
    };
    let decoded = if matches!(decoded, Err(Refusal::Syntax)) { decode_iso(text) } else { decoded };
    match decoded {
        Ok(sum) => sum.interval().ok_or_else(out_of_range),
        Err(Refusal::OutOfRange) => Err(SqlError::new(
            SqlState::INTERVAL_FIELD_OVERFLOW,
            format!("interval field value out of range: \"{text}\""),
        )),
        Err(refusal) => Err(refusal.into_error("interval", text)),
    }
}
