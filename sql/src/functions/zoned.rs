//! `AT TIME ZONE`, which the binder writes as `timezone(zone, value)`, and the time zone of `make_timestamptz`.

use super::conversion::to_instant;
use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError};
use crate::types::datetime::calendar::{
    MICROS_PER_DAY, MICROS_PER_SECOND, date_beyond_timestamps, date_to_timestamp, is_infinite, is_timestamp,
    timestamp_out_of_range,
};
use crate::types::datetime::interval;
use crate::types::datetime::zone::{self, Moment, zone_by_name};
use crate::types::oids::{DATE, INTERVAL, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ};
use crate::value::{Datum, Interval};

/// A moment, if it is one that can be.
fn checked(moment: Option<i64>) -> Result<i64> {
    moment.filter(|moment| is_timestamp(*moment)).ok_or_else(timestamp_out_of_range)
}

/// Seconds east of an interval that stands for a zone.
fn offset_of(span: &Interval, context: &EvalContext<'_>) -> Result<i64> {
    if span.months != 0 || span.days != 0 {
        let mut shown = String::new();
        interval::print(span, context.settings.interval_style, &mut shown);
        return Err(SqlError::invalid_parameter(format!(
            "interval time zone \"{shown}\" must not include months or days"
        )));
    }
    Ok(span.micros / MICROS_PER_SECOND)
}

/// A time of day as the clocks of another zone show it, which is so many seconds west.
fn at_offset(time: i64, west: i32, target_west: i32) -> Datum {
    let moved = time + (i64::from(west) - i64::from(target_west)) * MICROS_PER_SECOND;
    Datum::TimeTz(moved.rem_euclid(MICROS_PER_DAY), target_west)
}

/// The instant at which a zone's clocks show a local time. The zone is an offset with a sign, which counts east, an
/// abbreviation or a name.
///
/// # Errors
/// 22023 for what is no zone, 22008 for an instant out of range.
pub(super) fn instant_in_zone(local: i64, name: &str) -> Result<i64> {
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(SqlError::invalid_parameter(format!(
            "invalid input syntax for type numeric time zone: \"{name}\""
        ))
        .with_hint("Numeric time zones must have \"-\" or \"+\" as first character."));
    }
    match zone::parse_offset(name) {
        Some(Ok(east)) => checked(local.checked_sub(i64::from(east) * MICROS_PER_SECOND)),
        Some(Err(())) => {
            Err(SqlError::invalid_parameter(format!("numeric time zone \"{name}\" out of range")))
        }
        None => checked(zone::local_to_instant(&zone_by_name(name, Moment::Local(local))?, local)),
    }
}

fn of_timestamps(registry: &mut Registry) {
    let mut kernel = |arguments, result, function: ScalarKernel| {
        registry.add(Entry::new("timezone", arguments, result, function));
    };
    kernel(&[TEXT, TIMESTAMP], TIMESTAMPTZ, |arguments, _| match arguments {
        [Datum::Text(_), Datum::Timestamp(value)] if is_infinite(*value) => Ok(Datum::TimestampTz(*value)),
        [Datum::Text(name), Datum::Timestamp(value)] => {
            let zone = zone_by_name(name, Moment::Local(*value))?;
            checked(zone::local_to_instant(&zone, *value)).map(Datum::TimestampTz)
        }
        _ => Err(wrong_arguments()),
    });
    kernel(&[TEXT, TIMESTAMPTZ], TIMESTAMP, |arguments, _| match arguments {
        [Datum::Text(_), Datum::TimestampTz(value)] if is_infinite(*value) => Ok(Datum::Timestamp(*value)),
        [Datum::Text(name), Datum::TimestampTz(value)] => {
            let zone = zone_by_name(name, Moment::Instant(*value))?;
            checked(Some(zone::instant_to_local(&zone, *value))).map(Datum::Timestamp)
        }
        _ => Err(wrong_arguments()),
    });
    kernel(&[INTERVAL, TIMESTAMP], TIMESTAMPTZ, |arguments, context| match arguments {
        [Datum::Interval(_), Datum::Timestamp(value)] if is_infinite(*value) => {
            Ok(Datum::TimestampTz(*value))
        }
        [Datum::Interval(span), Datum::Timestamp(value)] => {
            let east = offset_of(span, context)? * MICROS_PER_SECOND;
            checked(value.checked_sub(east)).map(Datum::TimestampTz)
        }
        _ => Err(wrong_arguments()),
    });
    kernel(&[INTERVAL, TIMESTAMPTZ], TIMESTAMP, |arguments, context| match arguments {
        [Datum::Interval(_), Datum::TimestampTz(value)] if is_infinite(*value) => {
            Ok(Datum::Timestamp(*value))
        }
        [Datum::Interval(span), Datum::TimestampTz(value)] => {
            let east = offset_of(span, context)? * MICROS_PER_SECOND;
            checked(value.checked_add(east)).map(Datum::Timestamp)
        }
        _ => Err(wrong_arguments()),
    });
}

/// A time of day has no date: a zone is taken as it is now.
fn of_times(registry: &mut Registry) {
    registry.add(
        Entry::new("timezone", &[TEXT, TIMETZ], TIMETZ, |arguments, context| match arguments {
            [Datum::Text(name), Datum::TimeTz(time, west)] => {
                let now = context.transaction_timestamp;
                let zone = zone_by_name(name, Moment::Instant(now))?;
                Ok(at_offset(*time, *west, -zone::offset_at(&zone, now)))
            }
            _ => Err(wrong_arguments()),
        })
        .stable(),
    );
    registry.add(Entry::new("timezone", &[INTERVAL, TIMETZ], TIMETZ, |arguments, context| match arguments {
        [Datum::Interval(span), Datum::TimeTz(time, west)] => {
            let east = i32::try_from(offset_of(span, context)?).ok().and_then(i32::checked_neg);
            let target_west = east
                .filter(|west| west.abs() < 16 * 3_600)
                .ok_or_else(|| SqlError::invalid_parameter("time zone displacement out of range"))?;
            Ok(at_offset(*time, *west, target_west))
        }
        _ => Err(wrong_arguments()),
    }));
}

/// A date and a time put together.
fn of_dates(registry: &mut Registry) {
    registry.add(
        Entry::new("timestamptz", &[DATE, TIME], TIMESTAMPTZ, |arguments, context| match arguments {
            [Datum::Date(date), Datum::Time(time)] => {
                let midnight = date_to_timestamp(*date)?;
                let local = if is_infinite(midnight) { midnight } else { midnight + time };
                to_instant(local, context).map(Datum::TimestampTz)
            }
            _ => Err(wrong_arguments()),
        })
        .stable(),
    );
    registry.add(Entry::new("timestamptz", &[DATE, TIMETZ], TIMESTAMPTZ, |arguments, _| match arguments {
        [Datum::Date(date), Datum::TimeTz(time, west)] => {
            date_with_zoned_time(*date, *time, *west).map(Datum::TimestampTz)
        }
        _ => Err(wrong_arguments()),
    }));
    registry.add(Entry::new("timestamp", &[DATE, TIME], TIMESTAMP, |arguments, _| match arguments {
        [Datum::Date(date), Datum::Time(time)] => date_with_time(*date, *time).map(Datum::Timestamp),
        _ => Err(wrong_arguments()),
    }));
}

/// The timestamp of a date and a time.
pub(super) fn date_with_time(date: i32, time: i64) -> Result<i64> {
    let midnight = date_to_timestamp(date)?;
    if is_infinite(midnight) { Ok(midnight) } else { checked(midnight.checked_add(time)) }
}

/// The instant of a date and a time whose zone is so many seconds west.
pub(super) fn date_with_zoned_time(date: i32, time: i64, west: i32) -> Result<i64> {
    let midnight = date_to_timestamp(date)?;
    if is_infinite(midnight) {
        return Ok(midnight);
    }
    checked(Some(midnight + time + i64::from(west) * MICROS_PER_SECOND)).map_err(|_| date_beyond_timestamps())
}

pub(super) fn register(registry: &mut Registry) {
    of_timestamps(registry);
    of_times(registry);
    of_dates(registry);
}
