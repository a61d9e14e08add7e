//! Reading dates and times. What loading writes by the million, `2024-01-02 03:04:05.678+01`, is read byte by
//! byte; every other form is cut into fields ([`super::fields`]) that are then decoded ([`super::decode`]).

use super::calendar::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of_civil, days_in_month};
use super::decode;
use super::fields::Fields;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;

/// A zone as written.
#[derive(Clone, Debug)]
pub(crate) enum WrittenZone {
    /// Seconds east.
    Offset(i32),
    Named(jiff::tz::TimeZone),
}

/// What the text said.
#[derive(Clone, Debug)]
pub(crate) enum Parsed {
    Infinity,
    NegativeInfinity,
    /// The beginning of 1970, in whatever zone.
    Epoch,
    Fields {
        /// Days since 2000-01-01.
        date: Option<i32>,
        /// Microseconds since midnight; 24:00 and the leap second reach the next day.
        time: Option<i64>,
        zone: Option<WrittenZone>,
    },
}

/// What the text is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Date,
    Timestamp,
    TimestampTz,
    Time,
    TimeTz,
}

impl Wanted {
    /// The type's name in errors.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Wanted::Date => "date",
            Wanted::Timestamp => "timestamp",
            Wanted::TimestampTz => "timestamp with time zone",
            Wanted::Time => "time",
            Wanted::TimeTz => "time with time zone",
        }
    }

    fn is_time(self) -> bool {
        matches!(self, Wanted::Time | Wanted::TimeTz)
    }

    /// How many characters PostgreSQL's fields of it may have.
    fn length_max(self) -> usize {
        match self {
            Wanted::Date | Wanted::Time | Wanted::TimeTz => 128,
            Wanted::Timestamp | Wanted::TimestampTz => 152,
        }
    }
}

/// Why a text was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Syntax,
    OutOfRange,
    /// Out of range where another order of the fields would do.
    MonthOrDay,
    ZoneDisplacement,
    Error(SqlError),
}

impl Refusal {
    /// PostgreSQL's error.
    pub(crate) fn into_error(self, type_name: &str, text: &str) -> SqlError {
        let out_of_range = || {
            SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            )
        };
        match self {
            Refusal::Syntax => SqlError::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            Refusal::OutOfRange => out_of_range(),
            Refusal::MonthOrDay => {
                out_of_range().with_hint("Perhaps you need a different \"datestyle\" setting.")
            }
            Refusal::ZoneDisplacement => SqlError::new(
                SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            Refusal::Error(error) => error,
        }
    }
}

/// The outcome of a step.
pub(super) type Step<T> = std::result::Result<T, Refusal>;

/// The digits at a text's front as a number, and what follows; 0 if there are none.
pub(super) fn leading_integer(text: &str) -> Step<(i32, &str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(count);
    let value = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| Refusal::OutOfRange)? };
    Ok((value, rest))
}

/// `.`, perhaps with digits, as a part of one.
pub(super) fn fraction(text: &str) -> Step<f64> {
    match text.strip_prefix('.') {
        Some("") => Ok(0.0),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_| Refusal::Syntax)
        }
        _ => Err(Refusal::Syntax),
    }
}

/// `.ffffff` in microseconds, rounded.
pub(super) fn fraction_micros(text: &str) -> Step<i64> {
    Ok((fraction(text)? * 1e6).round_ties_even() as i64)
}

/// Two digits at a place.
fn pair(bytes: &[u8], place: usize) -> Option<i32> {
    let [tens, ones] = *bytes.get(place..place + 2)? else { return None };
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

/// `HH:MM:SS[.ffffff]` at the front: microseconds since midnight, and how many bytes.
fn plain_time(bytes: &[u8]) -> Option<(i64, usize)> {
    let (hour, minute, second) = (pair(bytes, 0)?, pair(bytes, 3)?, pair(bytes, 6)?);
    if bytes[2] != b':' || bytes[5] != b':' || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = i64::from(hour) * MICROS_PER_HOUR
        + i64::from(minute) * MICROS_PER_MINUTE
        + i64::from(second) * MICROS_PER_SECOND;
    if bytes.get(8) != Some(&b'.') {
        return Some((micros, 8));
    }
    let digits = bytes[9..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=6).contains(&digits) {
        return None;
    }
    let fraction = bytes[9..9 + digits].iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    micros += fraction * [100_000, 10_000, 1_000, 100, 10, 1][digits - 1];
    Some((micros, 9 + digits))
}

/// `+HH` or `+HH:MM`, in seconds.
fn plain_offset(bytes: &[u8]) -> Option<i32> {
    let hour = pair(bytes, 1)?;
    let minute = match bytes.len() {
        3 => 0,
        6 if bytes[3] == b':' => pair(bytes, 4)?,
        _ => return None,
    };
    let seconds = (hour * 60 + minute) * 60;
    match bytes[0] {
        _ if hour > 15 || minute > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// The plain ISO form; `None` for everything else, good or bad.
fn plain(text: &str, wanted: Wanted) -> Option<Parsed> {
    let bytes = text.as_bytes();
    let (date, rest) = if wanted.is_time() {
        (None, bytes)
    } else {
        let year = pair(bytes, 0)? * 100 + pair(bytes, 2)?;
        let (month, day) = (pair(bytes, 5)?, pair(bytes, 8)?);
        let is_date = bytes[4] == b'-'
            && bytes[7] == b'-'
            && year > 0
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        if !is_date {
            return None;
        }
        let date = Some(day_of_civil(year, month, day));
        match bytes.get(10) {
            None => return Some(Parsed::Fields { date, time: None, zone: None }),
            Some(b' ' | b'T') => (date, &bytes[11..]),
            _ => return None,
        }
    };
    let (time, length) = plain_time(rest)?;
    let zone = match &rest[length..] {
        [] => None,
        offset => Some(WrittenZone::Offset(plain_offset(offset)?)),
    };
    Some(Parsed::Fields { date, time: Some(time), zone })
}

/// Reads a text.
///
/// # Errors
/// 22007, 22008, 22009 or 22023 as PostgreSQL words them.
pub(crate) fn parse(text: &str, wanted: Wanted, context: &EvalContext<'_>) -> Result<Parsed> {
    if let Some(parsed) = plain(text, wanted) {
        return Ok(parsed);
    }
    let parsed = match Fields::cut(text, wanted.length_max()) {
        Some(fields) => decode::decode(&fields, wanted.is_time(), context),
        None => Err(Refusal::Syntax),
    };
    parsed.map_err(|refusal| refusal.into_error(wanted.type_name(), text))
}
