//! The proleptic Gregorian calendar and the ranges of dates and timestamps.
//!
//! Years are astronomical inside (year 0 is 1 BC). Julian day arithmetic is PostgreSQL's `date2j` and `j2date`.

use crate::error::{Result, SqlError, SqlState};

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub(crate) const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub(crate) const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
/// The Julian day of 2000-01-01.
pub(crate) const EPOCH_JULIAN: i32 = 2_451_545;
/// Days from 1970-01-01 to 2000-01-01.
pub(crate) const UNIX_EPOCH_DAYS: i64 = 10_957;
/// Dates from here (Julian day 0, 4714-11-24 BC) …
pub(crate) const DATE_MIN: i32 = -EPOCH_JULIAN;
/// … to before here (5874898-01-01).
pub(crate) const DATE_END: i32 = 2_145_031_949;
/// Timestamps from here …
pub(crate) const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
/// … to before here (294277-01-01).
pub(crate) const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;
pub(crate) const DATE_INFINITY: i32 = i32::MAX;
pub(crate) const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;
pub(crate) const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub(crate) const TIMESTAMP_NEGATIVE_INFINITY: i64 = i64::MIN;

/// A date's parts; `year` is astronomical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub year: i32,
    pub month: i32,
    pub day: i32,
}

/// The Julian day of a date; month and day may be out of their ranges and carry over.
pub(crate) fn julian_day(year: i32, month: i32, day: i32) -> i64 {
    let (year, month) = (i64::from(year), i64::from(month));
    let (month, year) = if month > 2 { (month + 1, year + 4800) } else { (month + 13, year + 4799) };
    let century = year / 100;
    year * 365 - 32_167 + year / 4 - century + century / 4 + 7834 * month / 256 + i64::from(day)
}

/// The date of a day counted from 2000-01-01.
pub(crate) fn civil_of_day(days: i32) -> Civil {
    let mut julian = (i64::from(days) + i64::from(EPOCH_JULIAN)) as u32;
    julian = julian.wrapping_add(32_044);
    let mut quad = julian / 146_097;
    let extra = (julian - quad * 146_097) * 4 + 3;
    julian = julian.wrapping_add(60 + quad * 3 + extra / 146_097);
    quad = julian / 1461;
    julian -= quad * 1461;
    let mut year = julian * 4 / 1461;
    julian = if year != 0 { (julian + 305) % 365 } else { (julian + 306) % 366 } + 123;
    year += quad * 4;
    let quad = julian * 2141 / 65_536;
    Civil {
        year: year as i32 - 4800,
        month: ((quad + 10) % 12 + 1) as i32,
        day: (julian - 7834 * quad / 256) as i32,
    }
}

/// Days since 2000-01-01 of a date whose parts are in range.
pub(crate) fn day_of_civil(year: i32, month: i32, day: i32) -> i32 {
    (julian_day(year, month, day) - i64::from(EPOCH_JULIAN)) as i32
}

pub(crate) fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(crate) fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A timestamp as days since 2000-01-01 and microseconds of the day.
pub(crate) fn split_timestamp(timestamp: i64) -> (i32, i64) {
    (timestamp.div_euclid(MICROS_PER_DAY) as i32, timestamp.rem_euclid(MICROS_PER_DAY))
}

/// A timestamp of its parts, `None` out of range.
pub(crate) fn join_timestamp(days: i32, micros: i64) -> Option<i64> {
    let timestamp = i64::from(days).checked_mul(MICROS_PER_DAY)?.checked_add(micros)?;
    is_timestamp(timestamp).then_some(timestamp)
}

/// Whether a finite timestamp is within the range.
pub(crate) fn is_timestamp(timestamp: i64) -> bool {
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&timestamp)
}

/// Whether a timestamp is -infinity or infinity.
pub(crate) fn is_infinite(timestamp: i64) -> bool {
    timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_NEGATIVE_INFINITY
}

/// Whether a date is -infinity or infinity.
pub(crate) fn is_infinite_date(date: i32) -> bool {
    date == DATE_INFINITY || date == DATE_NEGATIVE_INFINITY
}

/// 22008.
#[cold]
pub(crate) fn timestamp_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// 22008.
#[cold]
pub(crate) fn date_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

/// 22008.
#[cold]
pub(crate) fn date_beyond_timestamps() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")
}

/// A date as a timestamp at its midnight.
pub(crate) fn date_to_timestamp(date: i32) -> Result<i64> {
    match date {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEGATIVE_INFINITY => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        _ => join_timestamp(date, 0).ok_or_else(date_beyond_timestamps),
    }
}

/// A timestamp's date.
pub(crate) fn timestamp_to_date(timestamp: i64) -> i32 {
    match timestamp {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEGATIVE_INFINITY => DATE_NEGATIVE_INFINITY,
        _ => split_timestamp(timestamp).0,
    }
}

/// Rounds microseconds to a precision of 0 to 6 digits, half away from zero.
pub(crate) fn round_micros(micros: i64, precision: i32) -> i64 {
    if !(0..6).contains(&precision) {
        return micros;
    }
    let unit = 10i64.pow(6 - precision as u32);
    let rest = micros % unit;
    let down = micros - rest;
    if rest.abs() * 2 >= unit { down.saturating_add(unit * micros.signum()) } else { down }
}
