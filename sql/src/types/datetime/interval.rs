//! INTERVAL: its text in the four styles, its binary form, and its field modifiers. What it reads is in
//! [`super::interval_input`].

use super::calendar::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, round_micros};
use super::interval_input;
use super::print::push_fraction;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{EvalContext, IntervalStyle};
use crate::types::scalar::{entry, operations, wrong_kind, wrong_length};
use crate::types::{Category, TypeInfo, oids};
use crate::value::{Datum, Interval, PhysicalKind};
use std::fmt::Write;

/// 22008.
#[cold]
pub(crate) fn out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

pub(super) const FIELD_YEAR: i32 = 4;
pub(super) const FIELD_MONTH: i32 = 2;
pub(super) const FIELD_DAY: i32 = 8;
pub(super) const FIELD_HOUR: i32 = 1024;
pub(super) const FIELD_MINUTE: i32 = 2048;
pub(super) const FIELD_SECOND: i32 = 4096;
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

fn parse_operation(_: &TypeInfo, text: &str, typmod: i32, context: &EvalContext<'_>) -> Result<Datum> {
    interval_input::parse(text, fields_of(typmod), context.settings.interval_style).map(Datum::Interval)
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
