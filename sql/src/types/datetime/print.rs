//! The text of dates and times, in the form that DateStyle asks for.

use super::calendar::{
    Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, civil_of_day, split_timestamp,
};
use super::zone;
use crate::functions::{DateFormat, DateStyle, Settings};
use jiff::tz::TimeZone;

/// Two digits.
fn push_two(value: i64, out: &mut String) {
    out.push(char::from(b'0' + (value / 10 % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

/// How a date is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub format: DateFormat,
    pub day_first: bool,
}

impl Style {
    pub(crate) const ISO: Style = Style { format: DateFormat::Iso, day_first: false };

    /// The session's.
    pub(crate) fn of(settings: &Settings) -> Style {
        Style { format: settings.date_format, day_first: settings.date_style == DateStyle::DayMonthYear }
    }
}

/// The year, positive; true if it is before Christ, for the caller to say so at the end.
fn shown_year(civil: Civil) -> (i64, bool) {
    let before_christ = civil.year <= 0;
    (i64::from(if before_christ { 1 - civil.year } else { civil.year }), before_christ)
}

fn push_year(year: i64, out: &mut String) {
    if year >= 10_000 {
        out.push_str(&year.to_string());
    } else {
        push_two(year / 100, out);
        push_two(year % 100, out);
    }
}

/// A date by its numbers; true if the year is before Christ.
fn push_civil(civil: Civil, style: Style, out: &mut String) -> bool {
    let (year, before_christ) = shown_year(civil);
    let (month, day) = (i64::from(civil.month), i64::from(civil.day));
    let (separator, first, second) = match style.format {
        DateFormat::Iso => {
            push_year(year, out);
            out.push('-');
            push_two(month, out);
            out.push('-');
            push_two(day, out);
            return before_christ;
        }
        DateFormat::German => ('.', day, month),
        DateFormat::Sql if style.day_first => ('/', day, month),
        DateFormat::Sql => ('/', month, day),
        DateFormat::Postgres if style.day_first => ('-', day, month),
        DateFormat::Postgres => ('-', month, day),
    };
    push_two(first, out);
    out.push(separator);
    push_two(second, out);
    out.push(separator);
    push_year(year, out);
    before_christ
}

/// `Wed Dec 17 07:37:16 1997`; true if the year is before Christ.
fn push_in_words(days: i32, time: i64, style: Style, out: &mut String) -> bool {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let civil = civil_of_day(days);
    out.push_str(DAYS[(days + 6).rem_euclid(7) as usize]);
    out.push(' ');
    let month = MONTHS[(civil.month - 1).clamp(0, 11) as usize];
    if style.day_first {
        push_two(i64::from(civil.day), out);
        out.push(' ');
        out.push_str(month);
    } else {
        out.push_str(month);
        out.push(' ');
        push_two(i64::from(civil.day), out);
    }
    out.push(' ');
    push_time(time, out);
    out.push(' ');
    let (year, before_christ) = shown_year(civil);
    push_year(year, out);
    before_christ
}

/// `.ffffff` without trailing zeros, nothing for zero.
pub(crate) fn push_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// `HH:MM:SS[.ffffff]`.
pub(crate) fn push_time(time: i64, out: &mut String) {
    push_two(time / MICROS_PER_HOUR, out);
    out.push(':');
    push_two(time / MICROS_PER_MINUTE % 60, out);
    out.push(':');
    push_two(time / MICROS_PER_SECOND % 60, out);
    push_fraction(time % MICROS_PER_SECOND, out);
}

/// `+HH[:MM[:SS]]` for seconds east.
pub(crate) fn push_offset(east: i32, out: &mut String) {
    out.push(if east < 0 { '-' } else { '+' });
    let seconds = i64::from(east.abs());
    push_two(seconds / 3600, out);
    if seconds % 3600 != 0 {
        out.push(':');
        push_two(seconds / 60 % 60, out);
        if seconds % 60 != 0 {
            out.push(':');
            push_two(seconds % 60, out);
        }
    }
}

pub(crate) fn push_date(date: i32, style: Style, out: &mut String) {
    match date {
        DATE_INFINITY => out.push_str("infinity"),
        DATE_NEGATIVE_INFINITY => out.push_str("-infinity"),
        _ => {
            if push_civil(civil_of_day(date), style, out) {
                out.push_str(" BC");
            }
        }
    }
}

/// As XML Schema and JSON want it: a `T` between date and time, an offset with minutes.
pub(crate) fn push_timestamp_xsd(timestamp: i64, zone: Option<&TimeZone>, out: &mut String) {
    push_moment(timestamp, zone, Style::ISO, Separator::Letter, out);
}

/// A timestamp, with its zone where one is given.
pub(crate) fn push_timestamp(timestamp: i64, zone: Option<&TimeZone>, style: Style, out: &mut String) {
    push_moment(timestamp, zone, style, Separator::Blank, out);
}

/// What stands between date and time.
#[derive(Clone, Copy, PartialEq)]
enum Separator {
    Blank,
    Letter,
}

fn push_moment(
    timestamp: i64,
    time_zone: Option<&TimeZone>,
    style: Style,
    separator: Separator,
    out: &mut String,
) {
    match timestamp {
        TIMESTAMP_INFINITY => return out.push_str("infinity"),
        TIMESTAMP_NEGATIVE_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let offset = time_zone.map(|time_zone| zone::offset_at(time_zone, timestamp));
    let local = timestamp.saturating_add(i64::from(offset.unwrap_or(0)) * MICROS_PER_SECOND);
    let (days, time) = split_timestamp(local);
    let before_christ = if style.format == DateFormat::Postgres {
        push_in_words(days, time, style, out)
    } else {
        let before_christ = push_civil(civil_of_day(days), style, out);
        out.push(if separator == Separator::Letter { 'T' } else { ' ' });
        push_time(time, out);
        before_christ
    };
    if let (Some(offset), Some(time_zone)) = (offset, time_zone) {
        if style.format == DateFormat::Iso {
            push_offset(offset, out);
            if separator == Separator::Letter && offset % 3600 == 0 {
                out.push_str(":00");
            }
        } else {
            push_zone_name(time_zone, timestamp, offset, out);
        }
    }
    if before_christ {
        out.push_str(" BC");
    }
}

/// The zone's abbreviation; where it has none, its offset.
fn push_zone_name(time_zone: &TimeZone, timestamp: i64, offset: i32, out: &mut String) {
    out.push(' ');
    let name = zone::abbreviation_at(time_zone, timestamp);
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        out.push_str(&name);
    } else {
        push_offset(offset, out);
    }
}
