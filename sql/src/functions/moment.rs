//! Arithmetic of dates, times, timestamps and intervals; the clock's functions; making and cutting moments.

use super::conversion::{to_instant, to_local};
use super::interval_arithmetic as spans;
use super::registry::{Entry, Registry};
use super::string::int4;
use super::vector::{binary_entry, unary_entry, wrong_arguments};
use super::zoned::{date_with_time, date_with_zoned_time, instant_in_zone};
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::Oid;
use crate::types::datetime::calendar::{
    Civil, DATE_END, DATE_MIN, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    UNIX_EPOCH_DAYS, civil_of_day, date_out_of_range, date_to_timestamp, day_of_civil, days_in_month,
    is_infinite, is_infinite_date, is_timestamp, join_timestamp, split_timestamp, timestamp_out_of_range,
    timestamp_to_date,
};
use crate::types::datetime::{interval, zone};
use crate::types::oids::{BOOL, DATE, FLOAT8, INT4, INTERVAL, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ};
use crate::value::{Datum, Interval};

fn kernel(
    registry: &mut Registry,
    name: &'static str,
    arguments: &[Oid],
    result: Oid,
    function: ScalarKernel,
) {
    registry.add(Entry::new(name, arguments, result, function));
}

fn operator(
    registry: &mut Registry,
    symbol: &'static str,
    name: &'static str,
    operands: [Oid; 2],
    result: Oid,
    function: ScalarKernel,
) {
    let entry = Entry::new(name, &operands, result, function);
    // Days added to an instant are days of the session's zone.
    let zoned = operands.contains(&TIMESTAMPTZ) && operands.contains(&INTERVAL);
    registry.add_operator(symbol, if zoned { entry.stable() } else { entry });
}

/// `timestamp - timestamp`: days and time, as `timestamp_mi` justifies hours.
fn difference(left: i64, right: i64) -> Result<Interval> {
    if is_infinite(left) || is_infinite(right) {
        return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let micros = left.checked_sub(right).ok_or_else(interval::out_of_range)?;
    spans::justify_hours(&Interval { months: 0, days: 0, micros })
}

fn dates(registry: &mut Registry) {
    registry.add_operator(
        "+",
        binary_entry!("date_pli", [DATE, INT4] -> DATE, Date, Int32 => Date,
        |date: &i32, days: &i32| shift_date(*date, i64::from(*days)), |_: &_, _: &_| date_out_of_range()),
    );
    registry.add_operator(
        "+",
        binary_entry!("integer_pl_date", [INT4, DATE] -> DATE, Int32, Date => Date,
        |days: &i32, date: &i32| shift_date(*date, i64::from(*days)), |_: &_, _: &_| date_out_of_range()),
    );
    registry.add_operator(
        "-",
        binary_entry!("date_mii", [DATE, INT4] -> DATE, Date, Int32 => Date,
        |date: &i32, days: &i32| shift_date(*date, -i64::from(*days)), |_: &_, _: &_| date_out_of_range()),
    );
    registry.add_operator("-", binary_entry!("date_mi", [DATE, DATE] -> INT4, Date, Date => Int32,
        |left: &i32, right: &i32| (left.wrapping_sub(*right), is_infinite_date(*left) || is_infinite_date(*right)),
        |_: &_, _: &_| SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates")));
    operator(
        registry,
        "+",
        "date_pl_interval",
        [DATE, INTERVAL],
        TIMESTAMP,
        |arguments, _| match arguments {
            [Datum::Date(date), Datum::Interval(span)] => {
                spans::add_to_timestamp(date_to_timestamp(*date)?, span).map(Datum::Timestamp)
            }
            _ => Err(wrong_arguments()),
        },
    );
    operator(
        registry,
        "+",
        "interval_pl_date",
        [INTERVAL, DATE],
        TIMESTAMP,
        |arguments, _| match arguments {
            [Datum::Interval(span), Datum::Date(date)] => {
                spans::add_to_timestamp(date_to_timestamp(*date)?, span).map(Datum::Timestamp)
            }
            _ => Err(wrong_arguments()),
        },
    );
    operator(
        registry,
        "-",
        "date_mi_interval",
        [DATE, INTERVAL],
        TIMESTAMP,
        |arguments, _| match arguments {
            [Datum::Date(date), Datum::Interval(span)] => {
                spans::add_to_timestamp(date_to_timestamp(*date)?, &spans::negate(span)?)
                    .map(Datum::Timestamp)
            }
            _ => Err(wrong_arguments()),
        },
    );
    let with_time: ScalarKernel = |arguments, _| match arguments {
        [Datum::Date(date), Datum::Time(time)] | [Datum::Time(time), Datum::Date(date)] => {
            date_with_time(*date, *time).map(Datum::Timestamp)
        }
        _ => Err(wrong_arguments()),
    };
    operator(registry, "+", "datetime_pl", [DATE, TIME], TIMESTAMP, with_time);
    operator(registry, "+", "timedate_pl", [TIME, DATE], TIMESTAMP, with_time);
    let with_zone: ScalarKernel = |arguments, _| match arguments {
        [Datum::Date(date), Datum::TimeTz(time, west)] | [Datum::TimeTz(time, west), Datum::Date(date)] => {
            date_with_zoned_time(*date, *time, *west).map(Datum::TimestampTz)
        }
        _ => Err(wrong_arguments()),
    };
    operator(registry, "+", "datetimetz_pl", [DATE, TIMETZ], TIMESTAMPTZ, with_zone);
    operator(registry, "+", "timetzdate_pl", [TIMETZ, DATE], TIMESTAMPTZ, with_zone);
}

fn shift_date(date: i32, days: i64) -> (i32, bool) {
    if is_infinite_date(date) {
        return (date, false);
    }
    let moved = i64::from(date) + days;
    let valid = (i64::from(DATE_MIN)..i64::from(DATE_END)).contains(&moved);
    if valid { (moved as i32, false) } else { (0, true) }
}

fn timestamps(registry: &mut Registry) {
    operator(registry, "+", "timestamp_pl_interval", [TIMESTAMP, INTERVAL], TIMESTAMP, |arguments, _| {
        match arguments {
            [Datum::Timestamp(value), Datum::Interval(span)] => {
                spans::add_to_timestamp(*value, span).map(Datum::Timestamp)
            }
            _ => Err(wrong_arguments()),
        }
    });
    operator(registry, "+", "interval_pl_timestamp", [INTERVAL, TIMESTAMP], TIMESTAMP, |arguments, _| {
        match arguments {
            [Datum::Interval(span), Datum::Timestamp(value)] => {
                spans::add_to_timestamp(*value, span).map(Datum::Timestamp)
            }
            _ => Err(wrong_arguments()),
        }
    });
    operator(registry, "-", "timestamp_mi_interval", [TIMESTAMP, INTERVAL], TIMESTAMP, |arguments, _| {
        match arguments {
            [Datum::Timestamp(value), Datum::Interval(span)] => {
                spans::add_to_timestamp(*value, &spans::negate(span)?).map(Datum::Timestamp)
            }
            _ => Err(wrong_arguments()),
        }
    });
    operator(
        registry,
        "-",
        "timestamp_mi",
        [TIMESTAMP, TIMESTAMP],
        INTERVAL,
        |arguments, _| match arguments {
            [Datum::Timestamp(left), Datum::Timestamp(right)] => {
                difference(*left, *right).map(Datum::Interval)
            }
            _ => Err(wrong_arguments()),
        },
    );
    let zoned: [(&str, &str, [Oid; 2], ScalarKernel); 3] = [
        ("+", "timestamptz_pl_interval", [TIMESTAMPTZ, INTERVAL], |arguments, context| match arguments {
            [Datum::TimestampTz(value), Datum::Interval(span)] => {
                spans::add_to_instant(*value, span, &context.settings.time_zone).map(Datum::TimestampTz)
            }
            _ => Err(wrong_arguments()),
        }),
        ("+", "interval_pl_timestamptz", [INTERVAL, TIMESTAMPTZ], |arguments, context| match arguments {
            [Datum::Interval(span), Datum::TimestampTz(value)] => {
                spans::add_to_instant(*value, span, &context.settings.time_zone).map(Datum::TimestampTz)
            }
            _ => Err(wrong_arguments()),
        }),
        ("-", "timestamptz_mi_interval", [TIMESTAMPTZ, INTERVAL], |arguments, context| match arguments {
            [Datum::TimestampTz(value), Datum::Interval(span)] => {
                spans::add_to_instant(*value, &spans::negate(span)?, &context.settings.time_zone)
                    .map(Datum::TimestampTz)
            }
            _ => Err(wrong_arguments()),
        }),
    ];
    for (symbol, name, operands, function) in zoned {
        operator(registry, symbol, name, operands, TIMESTAMPTZ, function);
    }
    operator(registry, "-", "timestamptz_mi", [TIMESTAMPTZ, TIMESTAMPTZ], INTERVAL, |arguments, _| {
        match arguments {
            [Datum::TimestampTz(left), Datum::TimestampTz(right)] => {
                difference(*left, *right).map(Datum::Interval)
            }
            _ => Err(wrong_arguments()),
        }
    });
}

fn times(registry: &mut Registry) {
    /// Time goes round at midnight.
    fn around(time: i64, micros: i64) -> i64 {
        time.wrapping_add(micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY)
    }
    fn moved(time: i64, micros: i64) -> Datum {
        Datum::Time(around(time, micros))
    }
    let zoned_later: ScalarKernel = |arguments, _| match arguments {
        [Datum::TimeTz(time, west), Datum::Interval(span)]
        | [Datum::Interval(span), Datum::TimeTz(time, west)] => {
            Ok(Datum::TimeTz(around(*time, span.micros), *west))
        }
        _ => Err(wrong_arguments()),
    };
    operator(registry, "+", "timetz_pl_interval", [TIMETZ, INTERVAL], TIMETZ, zoned_later);
    operator(registry, "+", "interval_pl_timetz", [INTERVAL, TIMETZ], TIMETZ, zoned_later);
    operator(
        registry,
        "-",
        "timetz_mi_interval",
        [TIMETZ, INTERVAL],
        TIMETZ,
        |arguments, _| match arguments {
            [Datum::TimeTz(time, west), Datum::Interval(span)] => {
                Ok(Datum::TimeTz(around(*time, -(span.micros % MICROS_PER_DAY)), *west))
            }
            _ => Err(wrong_arguments()),
        },
    );
    operator(registry, "+", "time_pl_interval", [TIME, INTERVAL], TIME, |arguments, _| match arguments {
        [Datum::Time(time), Datum::Interval(span)] => Ok(moved(*time, span.micros)),
        _ => Err(wrong_arguments()),
    });
    operator(registry, "+", "interval_pl_time", [INTERVAL, TIME], TIME, |arguments, _| match arguments {
        [Datum::Interval(span), Datum::Time(time)] => Ok(moved(*time, span.micros)),
        _ => Err(wrong_arguments()),
    });
    operator(registry, "-", "time_mi_interval", [TIME, INTERVAL], TIME, |arguments, _| match arguments {
        [Datum::Time(time), Datum::Interval(span)] => Ok(moved(*time, -(span.micros % MICROS_PER_DAY))),
        _ => Err(wrong_arguments()),
    });
    operator(registry, "-", "time_mi_time", [TIME, TIME], INTERVAL, |arguments, _| match arguments {
        [Datum::Time(left), Datum::Time(right)] => {
            Ok(Datum::Interval(Interval { months: 0, days: 0, micros: left - right }))
        }
        _ => Err(wrong_arguments()),
    });
}

fn intervals(registry: &mut Registry) {
    fn two(arguments: &[Datum]) -> Result<(&Interval, &Interval)> {
        match arguments {
            [Datum::Interval(left), Datum::Interval(right)] => Ok((left, right)),
            _ => Err(wrong_arguments()),
        }
    }
    fn scaled(arguments: &[Datum]) -> Result<(&Interval, f64)> {
        match arguments {
            [Datum::Interval(span), Datum::Float64(factor)]
            | [Datum::Float64(factor), Datum::Interval(span)] => Ok((span, *factor)),
            _ => Err(wrong_arguments()),
        }
    }
    operator(registry, "+", "interval_pl", [INTERVAL, INTERVAL], INTERVAL, |arguments, _| {
        let (left, right) = two(arguments)?;
        spans::add(left, right).map(Datum::Interval)
    });
    operator(registry, "-", "interval_mi", [INTERVAL, INTERVAL], INTERVAL, |arguments, _| {
        let (left, right) = two(arguments)?;
        spans::add(left, &spans::negate(right)?).map(Datum::Interval)
    });
    operator(registry, "*", "interval_mul", [INTERVAL, FLOAT8], INTERVAL, |arguments, _| {
        let (span, factor) = scaled(arguments)?;
        spans::multiply(span, factor).map(Datum::Interval)
    });
    operator(registry, "*", "mul_d_interval", [FLOAT8, INTERVAL], INTERVAL, |arguments, _| {
        let (span, factor) = scaled(arguments)?;
        spans::multiply(span, factor).map(Datum::Interval)
    });
    operator(registry, "/", "interval_div", [INTERVAL, FLOAT8], INTERVAL, |arguments, _| {
        let (span, divisor) = scaled(arguments)?;
        spans::divide(span, divisor).map(Datum::Interval)
    });
    let one = |name: &'static str, function: ScalarKernel| Entry::new(name, &[INTERVAL], INTERVAL, function);
    registry.add_operator(
        "-",
        one("interval_um", |arguments, _| match arguments {
            [Datum::Interval(span)] => spans::negate(span).map(Datum::Interval),
            _ => Err(wrong_arguments()),
        }),
    );
    let functions: [(&'static str, ScalarKernel); 3] = [
        ("justify_hours", |arguments, _| match arguments {
            [Datum::Interval(span)] => spans::justify_hours(span).map(Datum::Interval),
            _ => Err(wrong_arguments()),
        }),
        ("justify_days", |arguments, _| match arguments {
            [Datum::Interval(span)] => spans::justify_days(span).map(Datum::Interval),
            _ => Err(wrong_arguments()),
        }),
        ("justify_interval", |arguments, _| match arguments {
            [Datum::Interval(span)] => spans::justify(span).map(Datum::Interval),
            _ => Err(wrong_arguments()),
        }),
    ];
    for (name, function) in functions {
        registry.add(one(name, function));
    }
}

/// The clock: all of a transaction's moments are one but `clock_timestamp()`.
fn clock(registry: &mut Registry) {
    let transaction: ScalarKernel = |_, context| Ok(Datum::TimestampTz(context.transaction_timestamp));
    for name in ["now", "transaction_timestamp", "current_timestamp"] {
        registry.add(Entry::new(name, &[], TIMESTAMPTZ, transaction).stable());
    }
    registry.add(
        Entry::new("statement_timestamp", &[], TIMESTAMPTZ, |_, context| {
            Ok(Datum::TimestampTz(context.statement_timestamp))
        })
        .stable(),
    );
    registry.add(
        Entry::new("clock_timestamp", &[], TIMESTAMPTZ, |_, context| {
            Ok(Datum::TimestampTz(context.session.clock_timestamp()))
        })
        .volatile(),
    );
    registry.add(
        Entry::new("current_date", &[], DATE, |_, context| {
            Ok(Datum::Date(timestamp_to_date(to_local(context.transaction_timestamp, context))))
        })
        .stable(),
    );
    registry.add(
        Entry::new("localtimestamp", &[], TIMESTAMP, |_, context| {
            Ok(Datum::Timestamp(to_local(context.transaction_timestamp, context)))
        })
        .stable(),
    );
    registry.add(
        Entry::new("localtime", &[], TIME, |_, context| {
            Ok(Datum::Time(split_timestamp(to_local(context.transaction_timestamp, context)).1))
        })
        .stable(),
    );
    registry.add(
        Entry::new("current_time", &[], TIMETZ, |_, context| {
            let zone = &context.settings.time_zone;
            let time = split_timestamp(to_local(context.transaction_timestamp, context)).1;
            Ok(Datum::TimeTz(time, -zone::offset_at(zone, context.transaction_timestamp)))
        })
        .stable(),
    );
}

/// Microseconds of a time's parts, seconds with their fraction.
fn time_of_parts(hour: i32, minute: i32, second: f64) -> Option<i64> {
    let micros = (second * 1e6).round_ties_even() as i64;
    let valid = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    let time = i64::from(hour) * MICROS_PER_HOUR + i64::from(minute) * MICROS_PER_MINUTE + micros;
    (valid && time <= MICROS_PER_DAY).then_some(time)
}

fn date_of_parts(year: i32, month: i32, day: i32) -> Result<i32> {
    let refused = |what: &str| {
        SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what}: {year}-{month:02}-{day:02}"))
    };
    // A negative year is before Christ; there is no year 0.
    let astronomical = if year < 0 { year + 1 } else { year };
    let valid = year != 0
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && day <= days_in_month(astronomical, month);
    if !valid {
        return Err(refused("date field value out of range"));
    }
    let days = (-4713..=5_874_898).contains(&astronomical).then(|| day_of_civil(astronomical, month, day));
    days.filter(|days| (DATE_MIN..DATE_END).contains(days)).ok_or_else(|| refused("date out of range"))
}

fn float8(arguments: &[Datum], index: usize) -> Result<f64> {
    match arguments.get(index) {
        Some(Datum::Float64(value)) => Ok(*value),
        _ => Err(wrong_arguments()),
    }
}

fn make_timestamp(arguments: &[Datum]) -> Result<i64> {
    let (year, month, day) = (int4(arguments, 0)?, int4(arguments, 1)?, int4(arguments, 2)?);
    let (hour, minute, second) = (int4(arguments, 3)?, int4(arguments, 4)?, float8(arguments, 5)?);
    let date = date_of_parts(year, month, day)?;
    let time =
        time_of_parts(hour, minute, second).ok_or_else(|| time_field_out_of_range(hour, minute, second))?;
    join_timestamp(date, time).ok_or_else(timestamp_out_of_range)
}

fn time_field_out_of_range(hour: i32, minute: i32, second: f64) -> SqlError {
    SqlError::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("time field value out of range: {hour}:{minute:02}:{second:02}"),
    )
}

fn makers(registry: &mut Registry) {
    kernel(registry, "make_date", &[INT4, INT4, INT4], DATE, |arguments, _| {
        let (year, month, day) = (int4(arguments, 0)?, int4(arguments, 1)?, int4(arguments, 2)?);
        date_of_parts(year, month, day).map(Datum::Date)
    });
    kernel(registry, "make_time", &[INT4, INT4, FLOAT8], TIME, |arguments, _| {
        let (hour, minute, second) = (int4(arguments, 0)?, int4(arguments, 1)?, float8(arguments, 2)?);
        time_of_parts(hour, minute, second)
            .map(Datum::Time)
            .ok_or_else(|| time_field_out_of_range(hour, minute, second))
    });
    let parts = [INT4, INT4, INT4, INT4, INT4, FLOAT8];
    kernel(registry, "make_timestamp", &parts, TIMESTAMP, |arguments, _| {
        make_timestamp(arguments).map(Datum::Timestamp)
    });
    registry.add(
        Entry::new("make_timestamptz", &parts, TIMESTAMPTZ, |arguments, context| {
            to_instant(make_timestamp(arguments)?, context).map(Datum::TimestampTz)
        })
        .stable(),
    );
    let zoned = [INT4, INT4, INT4, INT4, INT4, FLOAT8, TEXT];
    kernel(registry, "make_timestamptz", &zoned, TIMESTAMPTZ, |arguments, _| {
        let Datum::Text(name) = &arguments[6] else { return Err(wrong_arguments()) };
        instant_in_zone(make_timestamp(arguments)?, name).map(Datum::TimestampTz)
    });
    let make_interval: ScalarKernel = |arguments, _| {
        let part = |index: usize| arguments.get(index).and_then(Datum::as_i64).unwrap_or(0);
        let seconds = match arguments.get(6) {
            Some(Datum::Float64(seconds)) => (seconds * 1e6).round_ties_even(),
            _ => 0.0,
        };
        if !(-9.223_372_036_854_775e18..=9.223_372_036_854_775e18).contains(&seconds) {
            return Err(interval::out_of_range());
        }
        let months = i32::try_from(part(0) * 12 + part(1)).map_err(|_| interval::out_of_range())?;
        let days = i32::try_from(part(2) * 7 + part(3)).map_err(|_| interval::out_of_range())?;
        let micros = (part(4) * MICROS_PER_HOUR)
            .checked_add(part(5) * MICROS_PER_MINUTE)
            .and_then(|micros| micros.checked_add(seconds as i64))
            .ok_or_else(interval::out_of_range)?;
        Ok(Datum::Interval(Interval { months, days, micros }))
    };
    registry.add(
        Entry::new("make_interval", &[INT4, INT4, INT4, INT4, INT4, INT4, FLOAT8], INTERVAL, make_interval)
            .optional(7)
            .parameters(&[
                ("years", Some("0")),
                ("months", Some("0")),
                ("weeks", Some("0")),
                ("days", Some("0")),
                ("hours", Some("0")),
                ("mins", Some("0")),
                ("secs", Some("0")),
            ]),
    );
    kernel(registry, "to_timestamp", &[FLOAT8], TIMESTAMPTZ, |arguments, _| {
        let seconds = float8(arguments, 0)?;
        if seconds.is_nan() {
            return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
        }
        if seconds.is_infinite() {
            return Ok(Datum::TimestampTz(if seconds > 0.0 { i64::MAX } else { i64::MIN }));
        }
        let micros = (seconds - (UNIX_EPOCH_DAYS * 86_400) as f64) * 1e6;
        let moment = micros.round_ties_even() as i64;
        if !is_timestamp(moment) {
            return Err(SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("timestamp out of range: \"{}\"", six_digits(seconds)),
            ));
        }
        Ok(Datum::TimestampTz(moment))
    });
}

/// A large number with six digits and its exponent.
fn six_digits(value: f64) -> String {
    let text = format!("{value:.5e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e+{exponent:0>2}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// `date_trunc` on a local timestamp.
fn truncate(local: i64, unit: &str, type_name: &str) -> Result<i64> {
    let lower = unit.to_ascii_lowercase();
    let (days, time) = split_timestamp(local);
    let Civil { year, month, .. } = civil_of_day(days);
    let start_of = |year: i32, month: i32| (day_of_civil(year, month, 1), 0);
    // Years of centuries and millennia begin with 1; before Christ they mirror that.
    let block = |size: i32| (year - 1).div_euclid(size) * size + 1;
    let (days, time) = match lower.trim_end_matches('s') {
        "microsecond" | "usec" => (days, time),
        "millisecond" | "msec" => (days, time / 1000 * 1000),
        "second" | "sec" => (days, time / MICROS_PER_SECOND * MICROS_PER_SECOND),
        "minute" | "min" => (days, time / MICROS_PER_MINUTE * MICROS_PER_MINUTE),
        "hour" | "h" => (days, time / MICROS_PER_HOUR * MICROS_PER_HOUR),
        "day" | "d" => (days, 0),
        "week" | "w" => (days - (days + 5).rem_euclid(7), 0),
        "month" | "mon" => start_of(year, month),
        "quarter" | "qtr" => start_of(year, (month - 1) / 3 * 3 + 1),
        "year" | "y" | "yr" => start_of(year, 1),
        "decade" | "dec" => start_of(year.div_euclid(10) * 10, 1),
        "century" | "centurie" | "c" => start_of(block(100), 1),
        "millennium" | "millennia" | "mil" => start_of(block(1000), 1),
        _ => return Err(unit_not_recognized(unit, type_name)),
    };
    join_timestamp(days, time).ok_or_else(timestamp_out_of_range)
}

/// 22023, as PostgreSQL 15 words it.
pub(super) fn unit_not_recognized(unit: &str, type_name: &str) -> SqlError {
    SqlError::invalid_parameter(format!(
        "unit \"{}\" not recognized for type {type_name}",
        unit.to_ascii_lowercase()
    ))
}

fn truncate_interval(value: &Interval, unit: &str) -> Result<Interval> {
    let months = |size: i32| Interval { months: value.months / size * size, days: 0, micros: 0 };
    let micros = |size: i64| Interval { micros: value.micros / size * size, ..*value };
    let lower = unit.to_ascii_lowercase();
    Ok(match lower.as_str() {
        "millennium" | "millennia" => months(12_000),
        "century" | "centuries" => months(1200),
        "decade" | "decades" => months(120),
        "year" | "years" => months(12),
        "quarter" => months(3),
        "month" | "months" => months(1),
        "day" | "days" => Interval { micros: 0, ..*value },
        "hour" | "hours" => micros(MICROS_PER_HOUR),
        "minute" | "minutes" => micros(MICROS_PER_MINUTE),
        "second" | "seconds" => micros(MICROS_PER_SECOND),
        "millisecond" | "milliseconds" => micros(1000),
        "microsecond" | "microseconds" => *value,
        "week" | "weeks" => {
            return Err(SqlError::unsupported(format!("unit \"{lower}\" not supported for type interval"))
                .with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(unit_not_recognized(unit, "interval")),
    })
}

/// `age(a, b)`: years, months, days and time by the calendar, as counted with fingers.
fn age(left: i64, right: i64) -> Result<Interval> {
    if is_infinite(left) || is_infinite(right) {
        return Err(timestamp_out_of_range());
    }
    let negative = left < right;
    let (later, earlier) = if negative { (right, left) } else { (left, right) };
    let ((later_days, later_time), (earlier_days, earlier_time)) =
        (split_timestamp(later), split_timestamp(earlier));
    let (to, from) = (civil_of_day(later_days), civil_of_day(earlier_days));
    let mut micros = later_time - earlier_time;
    let mut days = to.day - from.day;
    let mut months = (to.year - from.year) * 12 + to.month - from.month;
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    while days < 0 {
        // The days borrowed are those of the earlier moment's month.
        days += days_in_month(from.year, from.month);
        months -= 1;
    }
    let result = Interval { months, days, micros };
    if negative { spans::negate(&result) } else { Ok(result) }
}

fn cutters(registry: &mut Registry) {
    kernel(registry, "date_trunc", &[TEXT, TIMESTAMP], TIMESTAMP, |arguments, _| match arguments {
        [Datum::Text(_), Datum::Timestamp(value)] if is_infinite(*value) => Ok(Datum::Timestamp(*value)),
        [Datum::Text(unit), Datum::Timestamp(value)] => {
            truncate(*value, unit, "timestamp without time zone").map(Datum::Timestamp)
        }
        _ => Err(wrong_arguments()),
    });
    const ZONED: &str = "timestamp with time zone";
    registry.add(
        Entry::new("date_trunc", &[TEXT, TIMESTAMPTZ], TIMESTAMPTZ, |arguments, context| match arguments {
            [Datum::Text(_), Datum::TimestampTz(value)] if is_infinite(*value) => {
                Ok(Datum::TimestampTz(*value))
            }
            [Datum::Text(unit), Datum::TimestampTz(value)] => {
                to_instant(truncate(to_local(*value, context), unit, ZONED)?, context).map(Datum::TimestampTz)
            }
            _ => Err(wrong_arguments()),
        })
        .stable(),
    );
    kernel(registry, "date_trunc", &[TEXT, TIMESTAMPTZ, TEXT], TIMESTAMPTZ, |arguments, _| match arguments {
        [Datum::Text(_), Datum::TimestampTz(value), Datum::Text(_)] if is_infinite(*value) => {
            Ok(Datum::TimestampTz(*value))
        }
        [Datum::Text(unit), Datum::TimestampTz(value), Datum::Text(name)] => {
            let zone = zone::zone_by_name(name, zone::Moment::Instant(*value))?;
            let local = truncate(zone::instant_to_local(&zone, *value), unit, ZONED)?;
            zone::local_to_instant(&zone, local).map(Datum::TimestampTz).ok_or_else(timestamp_out_of_range)
        }
        _ => Err(wrong_arguments()),
    });
    kernel(registry, "date_trunc", &[TEXT, INTERVAL], INTERVAL, |arguments, _| match arguments {
        [Datum::Text(unit), Datum::Interval(value)] => truncate_interval(value, unit).map(Datum::Interval),
        _ => Err(wrong_arguments()),
    });
    kernel(registry, "age", &[TIMESTAMP, TIMESTAMP], INTERVAL, |arguments, _| match arguments {
        [Datum::Timestamp(left), Datum::Timestamp(right)] => age(*left, *right).map(Datum::Interval),
        _ => Err(wrong_arguments()),
    });
    let mut stable = |arguments: &[Oid], function: ScalarKernel| {
        registry.add(Entry::new("age", arguments, INTERVAL, function).stable());
    };
    stable(&[TIMESTAMPTZ, TIMESTAMPTZ], |arguments, context| match arguments {
        [Datum::TimestampTz(left), Datum::TimestampTz(right)] => {
            age(to_local(*left, context), to_local(*right, context)).map(Datum::Interval)
        }
        _ => Err(wrong_arguments()),
    });
    stable(&[TIMESTAMP], |arguments, context| match arguments {
        [Datum::Timestamp(value)] => age(today(context), *value).map(Datum::Interval),
        _ => Err(wrong_arguments()),
    });
    stable(&[TIMESTAMPTZ], |arguments, context| match arguments {
        [Datum::TimestampTz(value)] => age(today(context), to_local(*value, context)).map(Datum::Interval),
        _ => Err(wrong_arguments()),
    });
    registry.add(unary_entry!("isfinite", [DATE] -> BOOL, Date => Bool,
        |date: &i32| (!is_infinite_date(*date), false), |_: &_| wrong_arguments()));
    registry.add(unary_entry!("isfinite", [TIMESTAMP] -> BOOL, Timestamp => Bool,
        |value: &i64| (!is_infinite(*value), false), |_: &_| wrong_arguments()));
    registry.add(unary_entry!("isfinite", [TIMESTAMPTZ] -> BOOL, TimestampTz => Bool,
        |value: &i64| (!is_infinite(*value), false), |_: &_| wrong_arguments()));
    kernel(registry, "isfinite", &[INTERVAL], BOOL, |_, _| Ok(Datum::Bool(true)));
}

/// The midnight that begins the session's today.
fn today(context: &EvalContext<'_>) -> i64 {
    let local = to_local(context.transaction_timestamp, context);
    local - local.rem_euclid(MICROS_PER_DAY)
}

pub(super) fn register(registry: &mut Registry) {
    dates(registry);
    timestamps(registry);
    times(registry);
    intervals(registry);
    clock(registry);
    makers(registry);
    cutters(registry);
}
