//! The ISO text of dates and times, as PostgreSQL prints it with `DateStyle = ISO`.

use super::calendar::{
    Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, civil_of_day, split_timestamp,
};
use super::zone;
use jiff::tz::TimeZone;

/// Two digits.
fn push_two(value: i64, out: &mut String) {
    out.push(char::from(b'0' + (value / 10 % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

/// `YYYY-MM-DD`; true if the year is before Christ, for the caller to say so at the end.
fn push_civil(civil: Civil, out: &mut String) -> bool {
    let before_christ = civil.year <= 0;
    let year = i64::from(if before_christ { 1 - civil.year } else { civil.year });
    if year >= 10_000 {
        out.push_str(&year.to_string());
    } else {
        push_two(year / 100, out);
        push_two(year % 100, out);
    }
    out.push('-');
    push_two(i64::from(civil.month), out);
    out.push('-');
    push_two(i64::from(civil.day), out);
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

pub(crate) fn push_date(date: i32, out: &mut String) {
    match date {
        DATE_INFINITY => out.push_str("infinity"),
        DATE_NEGATIVE_INFINITY => out.push_str("-infinity"),
        _ => {
            if push_civil(civil_of_day(date), out) {
                out.push_str(" BC");
            }
        }
    }
}

pub(crate) fn push_timestamp(timestamp: i64, out: &mut String) {
    push_zoned(timestamp, None, Separator::Blank, out);
}

pub(crate) fn push_timestamptz(timestamp: i64, zone: &TimeZone, out: &mut String) {
    push_zoned(timestamp, Some(zone), Separator::Blank, out);
}

/// As XML Schema and JSON want it: a `T` between date and time, an offset with minutes.
pub(crate) fn push_timestamp_xsd(timestamp: i64, zone: Option<&TimeZone>, out: &mut String) {
    push_zoned(timestamp, zone, Separator::Letter, out);
}

/// What stands between date and time.
#[derive(Clone, Copy, PartialEq)]
enum Separator {
    Blank,
    Letter,
}

fn push_zoned(timestamp: i64, time_zone: Option<&TimeZone>, separator: Separator, out: &mut String) {
    match timestamp {
        TIMESTAMP_INFINITY => return out.push_str("infinity"),
        TIMESTAMP_NEGATIVE_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let offset = time_zone.map(|time_zone| zone::offset_at(time_zone, timestamp));
    let local = timestamp.saturating_add(i64::from(offset.unwrap_or(0)) * MICROS_PER_SECOND);
    let (days, time) = split_timestamp(local);
    let before_christ = push_civil(civil_of_day(days), out);
    out.push(if separator == Separator::Letter { 'T' } else { ' ' });
    push_time(time, out);
    if let Some(offset) = offset {
        push_offset(offset, out);
        if separator == Separator::Letter && offset % 3600 == 0 {
            out.push_str(":00");
        }
    }
    if before_christ {
        out.push_str(" BC");
    }
}
