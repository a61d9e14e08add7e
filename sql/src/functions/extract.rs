//! `extract` (numeric), `date_part` (double precision), and the short forms `year(x)` and `date(x)`.
//!
//! Both come from one exact result: a mantissa in units of 10^-scale, which `extract` shows as it is.

use super::EvalContext;
use super::conversion::to_local;
use super::moment::unit_not_recognized;
use super::registry::{Entry, Registry};
use super::string::text;
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError};
use crate::types::Oid;
use crate::types::datetime::calendar::{
    EPOCH_JULIAN, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, UNIX_EPOCH_DAYS,
    civil_of_day, date_to_timestamp, day_of_civil, is_infinite, split_timestamp,
};
use crate::types::datetime::zone;
use crate::types::oids::{DATE, FLOAT8, INT4, INTERVAL, NUMERIC, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ};
use crate::value::{Datum, Interval, Numeric};

/// What kind of value a field is taken from: it decides which fields there are.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Timestamp,
    TimestampTz { east: i32 },
}

/// Synonyms to one name for each unit.
fn unit(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "microseconds" | "microsecond" | "usec" | "usecs" | "us" | "usecond" | "useconds" => "microseconds",
        "milliseconds" | "millisecond" | "msec" | "msecs" | "ms" | "msecond" | "mseconds" => "milliseconds",
        "second" | "seconds" | "sec" | "secs" | "s" => "second",
        "minute" | "minutes" | "min" | "mins" | "m" => "minute",
        "hour" | "hours" | "hr" | "hrs" | "h" => "hour",
        "day" | "days" | "d" => "day",
        "week" | "weeks" | "w" => "week",
        "month" | "months" | "mon" | "mons" => "month",
        "quarter" | "qtr" => "quarter",
        "year" | "years" | "yr" | "yrs" | "y" => "year",
        "decade" | "decades" | "dec" | "decs" => "decade",
        "century" | "centuries" | "cent" | "c" => "century",
        "millennium" | "millennia" | "mil" | "mils" => "millennium",
        "epoch" => "epoch",
        "dow" => "dow",
        "isodow" => "isodow",
        "doy" => "doy",
        "isoyear" => "isoyear",
        "julian" | "jd" | "j" => "julian",
        "timezone" => "timezone",
        "timezone_hour" | "timezone_h" => "timezone_hour",
        "timezone_minute" | "timezone_m" => "timezone_minute",
        _ => "",
    }
}

fn whole(value: i64) -> Numeric {
    Numeric::from(value)
}

/// Fields of the time of day, shared by all that have one.
fn time_field(unit: &str, micros: i64) -> Option<Numeric> {
    let in_minute = micros % MICROS_PER_MINUTE;
    Some(match unit {
        "microseconds" => whole(in_minute),
        "milliseconds" => Numeric::new(i128::from(in_minute), 3),
        "second" => Numeric::new(i128::from(in_minute), 6),
        "minute" => whole(micros / MICROS_PER_MINUTE % 60),
        "hour" => whole(micros / MICROS_PER_HOUR),
        _ => return None,
    })
}

/// The ISO 8601 week and the year it belongs to.
fn iso_week(days: i32) -> (i32, i32) {
    // The week belongs to the year of its Thursday.
    let thursday = days - (days + 5).rem_euclid(7) + 3;
    let year = civil_of_day(thursday).year;
    ((thursday - day_of_civil(year, 1, 1)) / 7 + 1, year)
}

/// Years counted from 1 AD and 1 BC without a zero.
fn shown_year(year: i32) -> i32 {
    if year > 0 { year } else { year - 1 }
}

fn block(year: i32, size: i32) -> i32 {
    if year > 0 { (year + size - 1) / size } else { -((size - 1 - (year - 1)) / size) }
}

fn date_field(unit: &str, days: i32) -> Option<Numeric> {
    let civil = civil_of_day(days);
    let value = match unit {
        "day" => civil.day,
        "month" => civil.month,
        "quarter" => (civil.month - 1) / 3 + 1,
        "year" => shown_year(civil.year),
        "decade" => civil.year.div_euclid(10),
        "century" => block(civil.year, 100),
        "millennium" => block(civil.year, 1000),
        "week" => iso_week(days).0,
        "isoyear" => shown_year(iso_week(days).1),
        "dow" => (days + 6).rem_euclid(7),
        "isodow" => (days + 5).rem_euclid(7) + 1,
        "doy" => days - day_of_civil(civil.year, 1, 1) + 1,
        _ => return None,
    };
    Some(whole(i64::from(value)))
}

fn timestamp_field(name: &str, local: i64, source: Source) -> Result<Option<Numeric>> {
    let (type_name, east) = match source {
        Source::Timestamp => ("timestamp without time zone", None),
        Source::TimestampTz { east } => ("timestamp with time zone", Some(east)),
    };
    let unit = unit(name);
    if is_infinite(local) {
        // Fields that grow for ever are infinite, those that go round are NULL.
        return match unit {
            "" => Err(unit_not_recognized(name, type_name)),
            "year" | "decade" | "century" | "millennium" | "isoyear" | "epoch" | "julian" => {
                Ok(Some(if local > 0 { Numeric::Infinity } else { Numeric::NegativeInfinity }))
            }
            _ => Ok(None),
        };
    }
    let (days, time) = split_timestamp(local);
    if let Some(value) = time_field(unit, time).or_else(|| date_field(unit, days)) {
        return Ok(Some(value));
    }
    Ok(Some(match (unit, east) {
        ("epoch", _) => {
            let utc = local - i64::from(east.unwrap_or(0)) * MICROS_PER_SECOND;
            Numeric::new(i128::from(utc) + i128::from(UNIX_EPOCH_DAYS * MICROS_PER_DAY), 6)
        }
        ("julian", _) => {
            let part = Numeric::from(time).div(&Numeric::from(MICROS_PER_DAY))?;
            let day = Numeric::from(i64::from(days) + i64::from(EPOCH_JULIAN));
            if time == 0 { day } else { day.add(&part)? }
        }
        ("timezone", Some(east)) => whole(i64::from(east)),
        ("timezone_hour", Some(east)) => whole(i64::from(east / 3600)),
        ("timezone_minute", Some(east)) => whole(i64::from(east / 60 % 60)),
        ("", _) => return Err(unit_not_recognized(name, type_name)),
        _ => return Err(unit_not_supported(name, type_name)),
    }))
}

fn unit_not_supported(name: &str, type_name: &str) -> SqlError {
    SqlError::unsupported(format!(
        "unit \"{}\" not supported for type {type_name}",
        name.to_ascii_lowercase()
    ))
}

fn interval_field(name: &str, value: &Interval) -> Result<Numeric> {
    let unit = unit(name);
    let years = value.months / 12;
    let micros = value.micros;
    Ok(match unit {
        "microseconds" | "milliseconds" | "second" | "minute" | "hour" => {
            time_field(unit, micros).unwrap_or(Numeric::ZERO)
        }
        "day" => whole(i64::from(value.days)),
        "month" => whole(i64::from(value.months % 12)),
        "quarter" => whole(i64::from(value.months % 12 / 3 + 1)),
        "year" => whole(i64::from(years)),
        "decade" => whole(i64::from(years / 10)),
        "century" => whole(i64::from(years / 100)),
        "millennium" => whole(i64::from(years / 1000)),
        "epoch" => {
            // A year is 365.25 days, a month 30.
            let days = i128::from(years) * 36_525
                + (i128::from(value.months % 12) * 30 + i128::from(value.days)) * 100;
            Numeric::new(days * i128::from(MICROS_PER_DAY) / 100 + i128::from(micros), 6)
        }
        "" => return Err(unit_not_recognized(name, "interval")),
        _ => return Err(unit_not_supported(name, "interval")),
    })
}

fn field(name: &str, value: &Datum, context: &EvalContext<'_>) -> Result<Option<Numeric>> {
    match value {
        Datum::Date(date) => {
            let unit = unit(name);
            let has_none = matches!(
                unit,
                "microseconds"
                    | "milliseconds"
                    | "second"
                    | "minute"
                    | "hour"
                    | "timezone"
                    | "timezone_hour"
                    | "timezone_minute"
            );
            match unit {
                "" => return Err(unit_not_recognized(name, "date")),
                _ if has_none => return Err(unit_not_supported(name, "date")),
                _ => {}
            }
            if !crate::types::datetime::calendar::is_infinite_date(*date) {
                let value = match unit {
                    // A date's epoch has no fraction.
                    "epoch" => Some(whole((i64::from(*date) + UNIX_EPOCH_DAYS) * 86_400)),
                    "julian" => Some(whole(i64::from(*date) + i64::from(EPOCH_JULIAN))),
                    _ => date_field(unit, *date),
                };
                if value.is_some() {
                    return Ok(value);
                }
            }
            timestamp_field(name, date_to_timestamp(*date)?, Source::Timestamp)
        }
        Datum::Timestamp(local) => timestamp_field(name, *local, Source::Timestamp),
        Datum::TimestampTz(instant) => {
            let east = zone::offset_at(&context.settings.time_zone, *instant);
            timestamp_field(name, to_local(*instant, context), Source::TimestampTz { east })
        }
        Datum::Time(time) => match unit(name) {
            "epoch" => Ok(Some(Numeric::new(i128::from(*time), 6))),
            "" => Err(unit_not_recognized(name, "time without time zone")),
            unit => time_field(unit, *time)
                .map(Some)
                .ok_or_else(|| unit_not_supported(name, "time without time zone")),
        },
        Datum::TimeTz(time, west) => {
            let value = match unit(name) {
                "epoch" => Some(Numeric::new(i128::from(time + i64::from(*west) * MICROS_PER_SECOND), 6)),
                "timezone" => Some(whole(i64::from(-west))),
                "timezone_hour" => Some(whole(i64::from(-west / 3600))),
                "timezone_minute" => Some(whole(i64::from(-west / 60 % 60))),
                "" => return Err(unit_not_recognized(name, "time with time zone")),
                unit => time_field(unit, *time),
            };
            value.map(Some).ok_or_else(|| unit_not_supported(name, "time with time zone"))
        }
        Datum::Interval(value) => interval_field(name, value).map(Some),
        _ => Err(wrong_arguments()),
    }
}

/// `date_part`: the field as a double, added up as PostgreSQL adds it. A date is its midnight.
fn part(name: &str, value: &Datum, context: &EvalContext<'_>) -> Result<Datum> {
    let value = match value {
        Datum::Date(date) => field(name, &Datum::Timestamp(date_to_timestamp(*date)?), context)?,
        value => field(name, value, context)?,
    };
    let double = match (&value, unit(name)) {
        (None, _) => return Ok(Datum::Null),
        (Some(Numeric::Small { mantissa, .. }), "second") => {
            (mantissa / 1_000_000) as f64 + (mantissa % 1_000_000) as f64 / 1e6
        }
        (Some(Numeric::Small { mantissa, .. }), "milliseconds") => {
            (mantissa / 1_000_000) as f64 * 1000.0 + (mantissa % 1_000_000) as f64 / 1000.0
        }
        (Some(value), _) => value.to_f64(),
    };
    Ok(Datum::Float64(double))
}

pub(super) fn register(registry: &mut Registry) {
    let sources: [Oid; 6] = [DATE, TIMESTAMP, TIMESTAMPTZ, TIME, TIMETZ, INTERVAL];
    for source in sources {
        let extract = Entry::new("extract", &[TEXT, source], NUMERIC, |arguments, context| {
            let value = field(text(arguments, 0)?, &arguments[1], context)?;
            Ok(value.map_or(Datum::Null, Datum::Numeric))
        });
        let date_part = Entry::new("date_part", &[TEXT, source], FLOAT8, |arguments, context| {
            part(text(arguments, 0)?, &arguments[1], context)
        });
        let zoned = source == TIMESTAMPTZ;
        registry.add(if zoned { extract.stable() } else { extract });
        registry.add(if zoned { date_part.stable() } else { date_part });
    }
    // The short forms other systems' users write.
    let short_forms: [(&'static str, super::ScalarKernel); 6] = [
        ("year", |arguments, context| short("year", arguments, context)),
        ("month", |arguments, context| short("month", arguments, context)),
        ("day", |arguments, context| short("day", arguments, context)),
        ("hour", |arguments, context| short("hour", arguments, context)),
        ("minute", |arguments, context| short("minute", arguments, context)),
        ("second", |arguments, context| short("second", arguments, context)),
    ];
    for (name, kernel) in short_forms {
        for source in [DATE, TIMESTAMP, TIMESTAMPTZ] {
            registry.add(Entry::new(name, &[source], INT4, kernel).stable());
        }
    }
}

fn short(unit: &str, arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    // A date has no time: its hour is 0.
    let value = match &arguments[0] {
        Datum::Date(date) => Datum::Timestamp(date_to_timestamp(*date)?),
        other => other.clone(),
    };
    let number = field(unit, &value, context)?.and_then(|number| number.trunc(0).to_i128());
    Ok(number.map_or(Datum::Null, |number| Datum::Int32(number as i32)))
}
