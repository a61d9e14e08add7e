//! Intervals added, scaled and justified, and added to dates and timestamps.

use crate::error::{Result, SqlError};
use crate::types::datetime::calendar::{
    MICROS_PER_DAY, civil_of_day, day_of_civil, days_in_month, is_infinite, join_timestamp, split_timestamp,
    timestamp_out_of_range,
};
use crate::types::datetime::interval::out_of_range;
use crate::types::datetime::zone;
use crate::value::Interval;
use jiff::tz::TimeZone;

/// `left + right`, part by part.
pub(super) fn add(left: &Interval, right: &Interval) -> Result<Interval> {
    let parts = (
        left.months.checked_add(right.months),
        left.days.checked_add(right.days),
        left.micros.checked_add(right.micros),
    );
    match parts {
        (Some(months), Some(days), Some(micros)) => Ok(Interval { months, days, micros }),
        _ => Err(out_of_range()),
    }
}

/// The opposite.
pub(super) fn negate(value: &Interval) -> Result<Interval> {
    match (value.months.checked_neg(), value.days.checked_neg(), value.micros.checked_neg()) {
        (Some(months), Some(days), Some(micros)) => Ok(Interval { months, days, micros }),
        _ => Err(out_of_range()),
    }
}

/// Rounds away what floating point leaves below a microsecond of a month (`TSROUND`).
fn settle(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

/// Scales each part; fractions of months become days, fractions of days time (`interval_mul`).
fn scale(value: &Interval, factor: impl Fn(f64) -> f64) -> Result<Interval> {
    let months = factor(f64::from(value.months));
    let days = factor(f64::from(value.days));
    let in_range = |part: f64| part >= f64::from(i32::MIN) && part <= f64::from(i32::MAX);
    if !in_range(months) || !in_range(days) {
        return Err(out_of_range());
    }
    let mut result = Interval { months: months as i32, days: days as i32, micros: 0 };
    let month_remainder_days = settle((months - f64::from(result.months)) * 30.0);
    let mut seconds = settle(
        (days - f64::from(result.days) + month_remainder_days - month_remainder_days.trunc()) * 86_400.0,
    );
    // Rounding may have made a whole day.
    if seconds.abs() >= 86_400.0 {
        result.days = result.days.checked_add((seconds / 86_400.0) as i32).ok_or_else(out_of_range)?;
        seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
    }
    result.days = result.days.checked_add(month_remainder_days as i32).ok_or_else(out_of_range)?;
    let micros = (factor(value.micros as f64) + seconds * 1e6).round_ties_even();
    if !(-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&micros) {
        return Err(out_of_range());
    }
    result.micros = micros as i64;
    Ok(result)
}

/// `value * factor`.
pub(super) fn multiply(value: &Interval, factor: f64) -> Result<Interval> {
    scale(value, |part| part * factor)
}

/// `value / divisor`.
pub(super) fn divide(value: &Interval, divisor: f64) -> Result<Interval> {
    if divisor == 0.0 {
        return Err(SqlError::division_by_zero());
    }
    scale(value, |part| part / divisor)
}

/// Whole days out of the time (`justify_hours`).
pub(super) fn justify_hours(value: &Interval) -> Result<Interval> {
    let mut days = value.days.checked_add((value.micros / MICROS_PER_DAY) as i32).ok_or_else(out_of_range)?;
    let mut micros = value.micros % MICROS_PER_DAY;
    if days > 0 && micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    } else if days < 0 && micros > 0 {
        micros -= MICROS_PER_DAY;
        days += 1;
    }
    Ok(Interval { months: value.months, days, micros })
}

/// Whole months out of the days (`justify_days`).
pub(super) fn justify_days(value: &Interval) -> Result<Interval> {
    let mut months = value.months.checked_add(value.days / 30).ok_or_else(out_of_range)?;
    let mut days = value.days % 30;
    if months > 0 && days < 0 {
        days += 30;
        months -= 1;
    } else if months < 0 && days > 0 {
        days -= 30;
        months += 1;
    }
    Ok(Interval { months, days, micros: value.micros })
}

/// Both, and the signs made alike (`justify_interval`).
pub(super) fn justify(value: &Interval) -> Result<Interval> {
    let hours = Interval {
        months: value.months,
        days: value.days.checked_add((value.micros / MICROS_PER_DAY) as i32).ok_or_else(out_of_range)?,
        micros: value.micros % MICROS_PER_DAY,
    };
    let mut months = hours.months.checked_add(hours.days / 30).ok_or_else(out_of_range)?;
    let mut days = hours.days % 30;
    let mut micros = hours.micros;
    if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
        days += 30;
        months -= 1;
    } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
        days -= 30;
        months += 1;
    }
    if days > 0 && micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    } else if days < 0 && micros > 0 {
        micros -= MICROS_PER_DAY;
        days += 1;
    }
    Ok(Interval { months, days, micros })
}

/// Adds months (the day cut to the month's length) and days to a local timestamp.
fn add_calendar(local: i64, span: &Interval) -> Result<i64> {
    let (mut days, time) = split_timestamp(local);
    if span.months != 0 {
        let civil = civil_of_day(days);
        let total = i64::from(civil.year) * 12 + i64::from(civil.month - 1) + i64::from(span.months);
        let year = i32::try_from(total.div_euclid(12)).map_err(|_| timestamp_out_of_range())?;
        if !(-4713..=294_277).contains(&year) {
            return Err(timestamp_out_of_range());
        }
        let month = total.rem_euclid(12) as i32 + 1;
        days = day_of_civil(year, month, civil.day.min(days_in_month(year, month)));
    }
    let days = days.checked_add(span.days).ok_or_else(timestamp_out_of_range)?;
    join_timestamp(days, time).ok_or_else(timestamp_out_of_range)
}

/// `timestamp + interval`.
pub(super) fn add_to_timestamp(timestamp: i64, span: &Interval) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    let moved = if span.months != 0 || span.days != 0 { add_calendar(timestamp, span)? } else { timestamp };
    checked_add(moved, span.micros)
}

/// `timestamptz + interval`: months and days in the session's local time.
pub(super) fn add_to_instant(instant: i64, span: &Interval, time_zone: &TimeZone) -> Result<i64> {
    if is_infinite(instant) {
        return Ok(instant);
    }
    let mut moved = instant;
    if span.months != 0 || span.days != 0 {
        let local = add_calendar(zone::instant_to_local(time_zone, instant), span)?;
        moved = zone::local_to_instant(time_zone, local).ok_or_else(timestamp_out_of_range)?;
    }
    checked_add(moved, span.micros)
}

fn checked_add(timestamp: i64, micros: i64) -> Result<i64> {
    timestamp
        .checked_add(micros)
        .filter(|timestamp| crate::types::datetime::calendar::is_timestamp(*timestamp))
        .ok_or_else(timestamp_out_of_range)
}
