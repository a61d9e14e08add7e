//! DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ and INTERVAL.

pub(crate) mod calendar;
mod decode;
mod fields;
pub(crate) mod interval;
mod interval_input;
pub(crate) mod parse;
pub(crate) mod posix_zone;
pub(crate) mod print;
mod words;
pub(crate) mod zone;

use self::calendar::{
    DATE_END, DATE_INFINITY, DATE_MIN, DATE_NEGATIVE_INFINITY, MICROS_PER_DAY, MICROS_PER_SECOND,
    TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, date_out_of_range, is_infinite, is_timestamp,
    round_micros, split_timestamp, timestamp_out_of_range,
};
use self::parse::{Parsed, Refusal, Wanted, WrittenZone};
use super::scalar::{entry, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::{Datum, PhysicalKind};

fn parse_date(text: &str, context: &EvalContext<'_>) -> Result<i32> {
    match parse::parse(text, Wanted::Date, context)? {
        Parsed::Infinity => Ok(DATE_INFINITY),
        Parsed::NegativeInfinity => Ok(DATE_NEGATIVE_INFINITY),
        Parsed::Epoch => Ok(-(calendar::UNIX_EPOCH_DAYS as i32)),
        Parsed::Fields { date: Some(date), .. } if (DATE_MIN..DATE_END).contains(&date) => Ok(date),
        Parsed::Fields { date: Some(_), .. } => {
            Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date out of range: \"{text}\"")))
        }
        Parsed::Fields { date: None, .. } => Err(Refusal::Syntax.into_error("date", text)),
    }
}

/// Midnight of 1970-01-01, in whatever zone.
const EPOCH: i64 = -calendar::UNIX_EPOCH_DAYS * MICROS_PER_DAY;

#[cold]
fn timestamp_beyond(text: &str) -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("timestamp out of range: \"{text}\""))
}

pub(crate) fn parse_timestamp(text: &str, context: &EvalContext<'_>) -> Result<i64> {
    match parse::parse(text, Wanted::Timestamp, context)? {
        Parsed::Infinity => Ok(TIMESTAMP_INFINITY),
        Parsed::NegativeInfinity => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        Parsed::Epoch => Ok(EPOCH),
        // A zone is read and ignored.
        Parsed::Fields { date: Some(date), time, .. } => {
            calendar::join_timestamp(date, time.unwrap_or(0)).ok_or_else(|| timestamp_beyond(text))
        }
        Parsed::Fields { date: None, .. } => Err(Refusal::Syntax.into_error("timestamp", text)),
    }
}

pub(crate) fn parse_timestamptz(text: &str, context: &EvalContext<'_>) -> Result<i64> {
    match parse::parse(text, Wanted::TimestampTz, context)? {
        Parsed::Infinity => Ok(TIMESTAMP_INFINITY),
        Parsed::NegativeInfinity => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        Parsed::Epoch => Ok(EPOCH),
        Parsed::Fields { date: Some(date), time, zone } => {
            let local = i64::from(date)
                .checked_mul(MICROS_PER_DAY)
                .and_then(|days| days.checked_add(time.unwrap_or(0)))
                .ok_or_else(|| timestamp_beyond(text))?;
            let instant = match zone {
                Some(WrittenZone::Offset(east)) => local.checked_sub(i64::from(east) * MICROS_PER_SECOND),
                Some(WrittenZone::Named(zone)) => zone::local_to_instant(&zone, local),
                None => zone::local_to_instant(&context.settings.time_zone, local),
            };
            instant.filter(|instant| is_timestamp(*instant)).ok_or_else(|| timestamp_beyond(text))
        }
        Parsed::Fields { date: None, .. } => {
            Err(Refusal::Syntax.into_error(Wanted::TimestampTz.type_name(), text))
        }
    }
}

fn parse_time(text: &str, context: &EvalContext<'_>) -> Result<i64> {
    match parse::parse(text, Wanted::Time, context)? {
        Parsed::Fields { time: Some(time), .. } => Ok(time),
        _ => Err(Refusal::Syntax.into_error("time", text)),
    }
}

fn parse_timetz(text: &str, context: &EvalContext<'_>) -> Result<(i64, i32)> {
    let own_zone = &context.settings.time_zone;
    match parse::parse(text, Wanted::TimeTz, context)? {
        Parsed::Fields { time: Some(time), zone, date } => {
            // Without a date the zone is as it is today.
            let day = date.unwrap_or_else(|| {
                split_timestamp(zone::instant_to_local(own_zone, context.transaction_timestamp)).0
            });
            let local = i64::from(day).saturating_mul(MICROS_PER_DAY).saturating_add(time);
            let east = match zone {
                Some(WrittenZone::Offset(east)) => east,
                Some(WrittenZone::Named(zone)) => zone::offset_of_local(&zone, local),
                None => zone::offset_of_local(own_zone, local),
            };
            Ok((time, -east))
        }
        _ => Err(Refusal::Syntax.into_error(Wanted::TimeTz.type_name(), text)),
    }
}

/// A 64-bit word from the wire.
fn word(bytes: &[u8]) -> Result<i64> {
    Ok(i64::from_be_bytes(bytes.try_into().map_err(|_| wrong_length())?))
}

fn checked_timestamp(timestamp: i64) -> Result<i64> {
    if is_timestamp(timestamp) || is_infinite(timestamp) {
        Ok(timestamp)
    } else {
        Err(timestamp_out_of_range())
    }
}

const DATE: TypeOperations = operations(
    |_, text, _, context| parse_date(text, context).map(Datum::Date),
    |info, datum, out, context| {
        let Datum::Date(date) = datum else { return Err(wrong_kind(info)) };
        print::push_date(*date, print::Style::of(context.settings), out);
        Ok(())
    },
    |_, bytes, _, _| {
        let date = i32::from_be_bytes(bytes.try_into().map_err(|_| wrong_length())?);
        if calendar::is_infinite_date(date) || (DATE_MIN..DATE_END).contains(&date) {
            Ok(Datum::Date(date))
        } else {
            Err(date_out_of_range())
        }
    },
    |info, datum, out, _| {
        let Datum::Date(date) = datum else { return Err(wrong_kind(info)) };
        out.extend_from_slice(&date.to_be_bytes());
        Ok(())
    },
);

const TIMESTAMP: TypeOperations = TypeOperations {
    apply_modifier: Some(|info, value, typmod, _| match value {
        Datum::Timestamp(value) if is_infinite(value) => Ok(Datum::Timestamp(value)),
        Datum::Timestamp(value) => Ok(Datum::Timestamp(round_micros(value, typmod))),
        _ => Err(wrong_kind(info)),
    }),
    ..operations(
        |_, text, _, context| parse_timestamp(text, context).map(Datum::Timestamp),
        |info, datum, out, context| {
            let Datum::Timestamp(value) = datum else { return Err(wrong_kind(info)) };
            print::push_timestamp(*value, None, print::Style::of(context.settings), out);
            Ok(())
        },
        |_, bytes, _, _| checked_timestamp(word(bytes)?).map(Datum::Timestamp),
        |info, datum, out, _| {
            let Datum::Timestamp(value) = datum else { return Err(wrong_kind(info)) };
            out.extend_from_slice(&value.to_be_bytes());
            Ok(())
        },
    )
};

const TIMESTAMPTZ: TypeOperations = TypeOperations {
    apply_modifier: Some(|info, value, typmod, _| match value {
        Datum::TimestampTz(value) if is_infinite(value) => Ok(Datum::TimestampTz(value)),
        Datum::TimestampTz(value) => Ok(Datum::TimestampTz(round_micros(value, typmod))),
        _ => Err(wrong_kind(info)),
    }),
    ..operations(
        |_, text, _, context| parse_timestamptz(text, context).map(Datum::TimestampTz),
        |info, datum, out, context| {
            let Datum::TimestampTz(value) = datum else { return Err(wrong_kind(info)) };
            let zone = &context.settings.time_zone;
            print::push_timestamp(*value, Some(zone), print::Style::of(context.settings), out);
            Ok(())
        },
        |_, bytes, _, _| checked_timestamp(word(bytes)?).map(Datum::TimestampTz),
        |info, datum, out, _| {
            let Datum::TimestampTz(value) = datum else { return Err(wrong_kind(info)) };
            out.extend_from_slice(&value.to_be_bytes());
            Ok(())
        },
    )
};

const TIME: TypeOperations = TypeOperations {
    apply_modifier: Some(|info, value, typmod, _| match value {
        Datum::Time(value) => Ok(Datum::Time(round_micros(value, typmod))),
        _ => Err(wrong_kind(info)),
    }),
    ..operations(
        |_, text, _, context| parse_time(text, context).map(Datum::Time),
        |info, datum, out, _| {
            let Datum::Time(value) = datum else { return Err(wrong_kind(info)) };
            print::push_time(*value, out);
            Ok(())
        },
        |_, bytes, _, _| {
            let time = word(bytes)?;
            if (0..=MICROS_PER_DAY).contains(&time) {
                Ok(Datum::Time(time))
            } else {
                Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"))
            }
        },
        |info, datum, out, _| {
            let Datum::Time(value) = datum else { return Err(wrong_kind(info)) };
            out.extend_from_slice(&value.to_be_bytes());
            Ok(())
        },
    )
};

const TIMETZ: TypeOperations = TypeOperations {
    apply_modifier: Some(|info, value, typmod, _| match value {
        Datum::TimeTz(value, zone) => Ok(Datum::TimeTz(round_micros(value, typmod), zone)),
        _ => Err(wrong_kind(info)),
    }),
    ..operations(
        |_, text, _, context| parse_timetz(text, context).map(|(time, zone)| Datum::TimeTz(time, zone)),
        |info, datum, out, _| {
            let Datum::TimeTz(time, west) = datum else { return Err(wrong_kind(info)) };
            print::push_time(*time, out);
            print::push_offset(-west, out);
            Ok(())
        },
        |_, bytes, _, _| {
            let (time, zone) = bytes.split_first_chunk::<8>().ok_or_else(wrong_length)?;
            let zone: [u8; 4] = zone.try_into().map_err(|_| wrong_length())?;
            let (time, zone) = (i64::from_be_bytes(*time), i32::from_be_bytes(zone));
            if !(0..=MICROS_PER_DAY).contains(&time) {
                return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
            }
            if zone.unsigned_abs() >= 16 * 3600 {
                return Err(SqlError::new(
                    SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                    "time zone displacement out of range",
                ));
            }
            Ok(Datum::TimeTz(time, zone))
        },
        |info, datum, out, _| {
            let Datum::TimeTz(time, west) = datum else { return Err(wrong_kind(info)) };
            out.extend_from_slice(&time.to_be_bytes());
            out.extend_from_slice(&west.to_be_bytes());
            Ok(())
        },
    )
};

pub(super) fn types() -> Vec<TypeInfo> {
    use Category::DateTime;
    use PhysicalKind as Kind;
    vec![
        entry(oids::DATE, oids::DATE_ARRAY, "date", "date", DateTime, false, 4, Kind::Date, DATE),
        entry(
            oids::TIME,
            oids::TIME_ARRAY,
            "time",
            "time without time zone",
            DateTime,
            false,
            8,
            Kind::Time,
            TIME,
        ),
        entry(
            oids::TIMETZ,
            oids::TIMETZ_ARRAY,
            "timetz",
            "time with time zone",
            DateTime,
            false,
            12,
            Kind::TimeTz,
            TIMETZ,
        ),
        entry(
            oids::TIMESTAMP,
            oids::TIMESTAMP_ARRAY,
            "timestamp",
            "timestamp without time zone",
            DateTime,
            false,
            8,
            Kind::Timestamp,
            TIMESTAMP,
        ),
        entry(
            oids::TIMESTAMPTZ,
            oids::TIMESTAMPTZ_ARRAY,
            "timestamptz",
            "timestamp with time zone",
            DateTime,
            true,
            8,
            Kind::TimestampTz,
            TIMESTAMPTZ,
        ),
        interval::type_info(),
    ]
}
