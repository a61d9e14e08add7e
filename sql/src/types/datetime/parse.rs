//! Reading dates and times: PostgreSQL's flexible input (ISO 8601, `Mon DD YYYY`, `DD.MM.YYYY`, compact digits,
//! words like `today`, zones by offset, abbreviation or name).
//!
//! 1. The text is split into tokens: numbers with their separators, words, signs.
//! 2. Tokens are recognized in order and fill the fields; the meaning of bare numbers in a date depends on
//!    which fields are still open and on DateStyle.
//! 3. The fields are checked against the calendar.

use super::calendar::{
    DATE_END, EPOCH_JULIAN, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    day_of_civil, days_in_month, split_timestamp,
};
use super::zone;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{DateStyle, EvalContext};
use crate::types::scalar::is_space;

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
    /// An exact instant (`now`, `epoch`), microseconds since 2000 UTC.
    Instant(i64),
    Fields {
        /// Days since 2000-01-01.
        date: Option<i32>,
        /// Microseconds since midnight; 24:00 and the leap second reach the next day.
        time: Option<i64>,
        zone: Option<WrittenZone>,
    },
}

/// Why a text was refused.
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

type Step<T> = std::result::Result<T, Refusal>;

#[derive(Default)]
struct Fields {
    year: Option<i32>,
    /// The year was written with more than two digits.
    full_year: bool,
    month: Option<i32>,
    day: Option<i32>,
    /// A month's name was seen, so a bare number is a day or a year.
    named_month: bool,
    /// Only a time is wanted, so bare digits are one.
    time_only: bool,
    /// Set by words and Julian days.
    date: Option<i32>,
    time: Option<i64>,
    afternoon: Option<bool>,
    before_christ: bool,
    zone: Option<WrittenZone>,
    special: Option<Parsed>,
}

/// Reads a date, a time, or both.
fn parse(text: &str, time_only: bool, context: &EvalContext<'_>) -> Step<Parsed> {
    let trimmed = text.trim_matches(is_space);
    if trimmed.is_empty() || trimmed.len() > 128 {
        return Err(Refusal::Syntax);
    }
    let mut fields = Fields { time_only, ..Fields::default() };
    let mut rest = trimmed;
    while let Some(first) = rest.chars().next() {
        if is_space(first) || first == ',' {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = if first.is_ascii_digit() {
            number(rest, &mut fields, context)?
        } else if first.is_ascii_alphabetic() {
            word(rest, &mut fields, context)?
        } else if matches!(first, '+' | '-') {
            signed(rest, &mut fields)?
        } else {
            return Err(Refusal::Syntax);
        };
    }
    finish(fields)
}

/// The length of the leading part whose characters satisfy `test`.
fn span(text: &str, test: impl Fn(char) -> bool) -> usize {
    text.find(|character| !test(character)).unwrap_or(text.len())
}

fn digits(text: &str) -> Step<i32> {
    text.parse().map_err(|_| if text.is_empty() { Refusal::Syntax } else { Refusal::OutOfRange })
}

/// A token that begins with a digit: a time, a date with separators, or a bare number.
fn number<'a>(text: &'a str, fields: &mut Fields, context: &EvalContext<'_>) -> Step<&'a str> {
    let count = span(text, |character| character.is_ascii_digit());
    let after = &text[count..];
    match after.as_bytes().first() {
        Some(b':') => time(text, fields),
        Some(separator @ (b'-' | b'/' | b'.')) if fields.time.is_none() || !fields.has_date() => {
            let separator = char::from(*separator);
            let second = &after[1..];
            // `20240102.5`-like fractions of compact times have no second separator.
            if separator == '.' && count >= 6 {
                return compact_time_fraction(text, count, fields);
            }
            if !second.starts_with(|character: char| character.is_ascii_alphanumeric()) {
                return Err(Refusal::Syntax);
            }
            separated_date(text, count, separator, fields, context)
        }
        _ => bare_number(&text[..count], after, fields, context),
    }
}

impl Fields {
    fn has_date(&self) -> bool {
        self.date.is_some()
            || self.special.is_some()
            || (self.year.is_some() && self.month.is_some() && self.day.is_some())
    }
}

/// `HH:MM[:SS[.ffffff]]`.
fn time<'a>(text: &'a str, fields: &mut Fields) -> Step<&'a str> {
    if fields.time.is_some() {
        return Err(Refusal::Syntax);
    }
    let hour_digits = span(text, |character| character.is_ascii_digit());
    let hour = digits(&text[..hour_digits])?;
    let mut rest = &text[hour_digits + 1..];
    let minute_digits = span(rest, |character| character.is_ascii_digit());
    let minute = digits(&rest[..minute_digits])?;
    rest = &rest[minute_digits..];
    let mut second = 0;
    let mut micros = 0;
    if let Some(after) = rest.strip_prefix(':') {
        let second_digits = span(after, |character| character.is_ascii_digit());
        second = digits(&after[..second_digits])?;
        rest = &after[second_digits..];
        if let Some(fraction) = rest.strip_prefix('.') {
            let count = span(fraction, |character| character.is_ascii_digit());
            micros = fraction_micros(&fraction[..count]);
            rest = &fraction[count..];
        }
    }
    set_time(fields, hour, minute, second, micros)?;
    Ok(rest)
}

/// A fraction of a second in microseconds, rounded.
pub(crate) fn fraction_micros(digits: &str) -> i64 {
    format!("0.{digits}").parse::<f64>().map_or(0, |fraction| (fraction * 1e6).round_ties_even() as i64)
}

fn set_time(fields: &mut Fields, hour: i32, minute: i32, second: i32, micros: i64) -> Step<()> {
    if fields.time.is_some() {
        return Err(Refusal::Syntax);
    }
    if hour > 24 || minute > 59 || second > 60 || (hour == 24 && (minute > 0 || second > 0 || micros > 0)) {
        return Err(Refusal::OutOfRange);
    }
    fields.time = Some(
        i64::from(hour) * MICROS_PER_HOUR
            + i64::from(minute) * MICROS_PER_MINUTE
            + i64::from(second) * MICROS_PER_SECOND
            + micros,
    );
    Ok(())
}

/// `HHMMSS.ffffff`, perhaps after `YYYYMMDD`.
fn compact_time_fraction<'a>(text: &'a str, count: usize, fields: &mut Fields) -> Step<&'a str> {
    let fraction = &text[count + 1..];
    let fraction_digits = span(fraction, |character| character.is_ascii_digit());
    let micros = fraction_micros(&fraction[..fraction_digits]);
    let whole = &text[..count];
    let time_part = match whole.len() {
        6 => whole,
        14 => {
            compact_date(&whole[..8], fields)?;
            &whole[8..]
        }
        _ => return Err(Refusal::Syntax),
    };
    set_time(fields, digits(&time_part[..2])?, digits(&time_part[2..4])?, digits(&time_part[4..])?, micros)?;
    Ok(&fraction[fraction_digits..])
}

/// `a-b-c`, `a/b/c`, `a.b.c`, where `b` (or `a`) may be a month's name; also `YYYY-DDD`… as a day of the year.
fn separated_date<'a>(
    text: &'a str,
    first_digits: usize,
    separator: char,
    fields: &mut Fields,
    context: &EvalContext<'_>,
) -> Step<&'a str> {
    if fields.has_date() {
        return Err(Refusal::Syntax);
    }
    let first = &text[..first_digits];
    let rest = &text[first_digits + 1..];
    let second_length = span(rest, |character| character.is_ascii_alphanumeric());
    let second = &rest[..second_length];
    let rest = &rest[second_length..];
    let (third, rest) = match rest.strip_prefix(separator) {
        Some(after) => {
            let length = span(after, |character| character.is_ascii_digit());
            (&after[..length], &after[length..])
        }
        None => ("", rest),
    };
    if let Some(month) = month_name(second) {
        fields.month = Some(month);
        fields.named_month = true;
        if third.is_empty() {
            return Err(Refusal::Syntax);
        }
        let year_first = first.len() > 2 || context.settings.date_style == DateStyle::YearMonthDay;
        let (year, day) = if year_first { (first, third) } else { (third, first) };
        set_year(fields, year)?;
        fields.day = Some(digits(day)?);
        return Ok(rest);
    }
    if third.is_empty() {
        // A year and the day in it.
        if first.len() >= 4 && second.len() == 3 && separator != '/' {
            set_year(fields, first)?;
            let year = fields.year.unwrap_or(2000);
            fields.date = Some(day_of_civil(year, 1, 1) + digits(second)? - 1);
            return Ok(rest);
        }
        return Err(Refusal::Syntax);
    }
    let [year, month, day] = if first.len() > 2 {
        [first, second, third]
    } else {
        match context.settings.date_style {
            DateStyle::MonthDayYear => [third, first, second],
            DateStyle::DayMonthYear => [third, second, first],
            DateStyle::YearMonthDay => [first, second, third],
        }
    };
    set_year(fields, year)?;
    fields.month = Some(digits(month)?);
    fields.day = Some(digits(day)?);
    Ok(rest)
}

fn set_year(fields: &mut Fields, text: &str) -> Step<()> {
    if fields.year.is_some() {
        return Err(Refusal::Syntax);
    }
    fields.year = Some(digits(text)?);
    fields.full_year = text.len() > 2;
    Ok(())
}

fn compact_date(text: &str, fields: &mut Fields) -> Step<()> {
    if fields.has_date() {
        return Err(Refusal::Syntax);
    }
    let split = text.len() - 4;
    set_year(fields, &text[..split])?;
    fields.month = Some(digits(&text[split..split + 2])?);
    fields.day = Some(digits(&text[split + 2..])?);
    Ok(())
}

/// A number without separators: a compact date or time, or a day or year beside a month's name.
fn bare_number<'a>(number: &str, after: &'a str, fields: &mut Fields, _: &EvalContext<'_>) -> Step<&'a str> {
    if fields.named_month && (fields.day.is_none() || fields.year.is_none()) {
        if number.len() > 2 || fields.day.is_some() {
            set_year(fields, number)?;
        } else {
            fields.day = Some(digits(number)?);
        }
        return Ok(after);
    }
    if !fields.time_only && !fields.has_date() && fields.month.is_none() {
        // `1 Jan 2000`: the day (or the year) comes before the month's name.
        let next = after.trim_start_matches(|character| is_space(character) || character == ',');
        let next_word = &next[..span(next, |character| character.is_ascii_alphabetic())];
        if month_name(next_word).is_some() && number.len() <= 4 {
            if number.len() > 2 {
                set_year(fields, number)?;
            } else {
                fields.day = Some(digits(number)?);
            }
            return Ok(after);
        }
        match number.len() {
            8 => compact_date(number, fields)?,
            14 => {
                compact_date(&number[..8], fields)?;
                let time = &number[8..];
                set_time(fields, digits(&time[..2])?, digits(&time[2..4])?, digits(&time[4..])?, 0)?;
            }
            6 => compact_date(number, fields)?,
            _ => return Err(Refusal::Syntax),
        }
        return Ok(after);
    }
    if fields.time.is_none() {
        match number.len() {
            4 => set_time(fields, digits(&number[..2])?, digits(&number[2..])?, 0, 0)?,
            6 => set_time(fields, digits(&number[..2])?, digits(&number[2..4])?, digits(&number[4..])?, 0)?,
            // `3 PM`
            1 | 2 => set_time(fields, digits(number)?, 0, 0, 0)?,
            _ => return Err(Refusal::Syntax),
        }
        return Ok(after);
    }
    Err(Refusal::Syntax)
}

/// A sign begins a zone's offset (after a time), or `-infinity`.
fn signed<'a>(text: &'a str, fields: &mut Fields) -> Step<&'a str> {
    let length = 1 + span(&text[1..], |character| character.is_ascii_alphanumeric() || character == ':');
    let token = &text[..length];
    if token.eq_ignore_ascii_case("-infinity") {
        fields.special = Some(Parsed::NegativeInfinity);
        return Ok(&text[length..]);
    }
    if fields.time.is_none() || matches!(fields.zone, Some(WrittenZone::Named(_))) {
        return Err(Refusal::Syntax);
    }
    match zone::parse_offset(token) {
        Some(seconds) => {
            // After an abbreviation, `UTC+3` counts west as POSIX does.
            fields.zone = match fields.zone.take() {
                Some(WrittenZone::Offset(base)) => Some(WrittenZone::Offset(base - seconds)),
                _ => Some(WrittenZone::Offset(seconds)),
            };
            Ok(&text[length..])
        }
        None if token[1..].starts_with(|first: char| first.is_ascii_digit()) => {
            Err(Refusal::ZoneDisplacement)
        }
        None => Err(Refusal::Syntax),
    }
}

/// The number of a month's name (three letters at least, or `sept`).
pub(crate) fn month_name(word: &str) -> Option<i32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_ascii_lowercase();
    let index = MONTHS.iter().position(|month| word == *month || word == month[..3])?;
    Some(index as i32 + 1).or((word == "sept").then_some(9))
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    const SHORT: [&str; 5] = ["tues", "weds", "wednes", "thur", "thurs"];
    DAYS.iter().any(|day| word == *day || word == &day[..3]) || SHORT.contains(&word)
}

/// A token that begins with a letter.
fn word<'a>(text: &'a str, fields: &mut Fields, context: &EvalContext<'_>) -> Step<&'a str> {
    let letters = span(text, |character| character.is_ascii_alphabetic());
    let lower = text[..letters].to_ascii_lowercase();
    let rest = &text[letters..];
    let local_today = || {
        let local = zone::instant_to_local(&context.settings.time_zone, context.transaction_timestamp);
        split_timestamp(local).0
    };
    // `T` between date and time, and before a bare time.
    if lower == "t" && rest.starts_with(|character: char| character.is_ascii_digit()) && fields.time.is_none()
    {
        return Ok(rest);
    }
    // `J2451545`
    if (lower == "j" || lower == "julian")
        && rest.trim_start().starts_with(|character: char| character.is_ascii_digit())
    {
        let rest = rest.trim_start();
        let count = span(rest, |character| character.is_ascii_digit());
        fields.date = Some(digits(&rest[..count])?.checked_sub(EPOCH_JULIAN).ok_or(Refusal::OutOfRange)?);
        return Ok(&rest[count..]);
    }
    if let Some(month) = month_name(&lower).or((lower == "sept").then_some(9)) {
        if fields.month.is_some() && fields.day.is_none() {
            fields.day = fields.month.take();
        }
        fields.month = Some(month);
        fields.named_month = true;
        // `Jan-02-2000` and `Jan 2`.
        return Ok(rest.strip_prefix(['-', '/', '.']).unwrap_or(rest));
    }
    match lower.as_str() {
        "am" | "a" if fields.time.is_some() => fields.afternoon = Some(false),
        "pm" | "p" if fields.time.is_some() => fields.afternoon = Some(true),
        "bc" => fields.before_christ = true,
        "ad" | "at" | "on" => {}
        "infinity" | "inf" => fields.special = Some(Parsed::Infinity),
        "epoch" => fields.special = Some(Parsed::Instant(-super::calendar::UNIX_EPOCH_DAYS * MICROS_PER_DAY)),
        "now" => fields.special = Some(Parsed::Instant(context.transaction_timestamp)),
        "today" => set_day(fields, local_today())?,
        "tomorrow" => set_day(fields, local_today() + 1)?,
        "yesterday" => set_day(fields, local_today() - 1)?,
        "allballs" => {
            set_time(fields, 0, 0, 0, 0)?;
            fields.zone = Some(WrittenZone::Offset(0));
        }
        "dst" => {}
        _ if is_weekday(&lower) => return Ok(rest.trim_start_matches(['.', ','])),
        _ => return zone_word(text, fields),
    }
    Ok(rest)
}

fn set_day(fields: &mut Fields, day: i32) -> Step<()> {
    if fields.has_date() {
        return Err(Refusal::Syntax);
    }
    fields.date = Some(day);
    // A word names the day's midnight; a time may follow.
    Ok(())
}

/// A zone's abbreviation or full name (`America/New_York`, `Etc/GMT+3`).
fn zone_word<'a>(text: &'a str, fields: &mut Fields) -> Step<&'a str> {
    if fields.zone.is_some() {
        return Err(Refusal::Syntax);
    }
    let letters = span(text, |character| character.is_ascii_alphabetic());
    let full = span(text, |character| {
        character.is_ascii_alphanumeric() || matches!(character, '/' | '_' | '-' | '+')
    });
    if full > letters && text[letters..].starts_with(['/', '_']) {
        let name = &text[..full];
        let named = jiff::tz::TimeZone::get(name).map_err(|_| Refusal::Error(zone::not_recognized(name)))?;
        fields.zone = Some(WrittenZone::Named(named));
        return Ok(&text[full..]);
    }
    let name = &text[..letters];
    if let Some(seconds) = zone::abbreviation(name) {
        fields.zone = Some(WrittenZone::Offset(seconds));
        return Ok(&text[letters..]);
    }
    match jiff::tz::TimeZone::get(name) {
        Ok(named) => {
            fields.zone = Some(WrittenZone::Named(named));
            Ok(&text[letters..])
        }
        Err(_) => Err(Refusal::Syntax),
    }
}

fn finish(fields: Fields) -> Step<Parsed> {
    if let Some(special) = fields.special {
        let alone =
            fields.year.is_none() && fields.month.is_none() && fields.day.is_none() && fields.date.is_none();
        return if alone { Ok(special) } else { Err(Refusal::Syntax) };
    }
    let mut time = fields.time;
    if let (Some(afternoon), Some(micros)) = (fields.afternoon, time) {
        let hour = micros / MICROS_PER_HOUR;
        if hour > 12 {
            return Err(Refusal::OutOfRange);
        }
        time = Some(match (afternoon, hour) {
            (false, 12) => micros - 12 * MICROS_PER_HOUR,
            (true, 0..=11) => micros + 12 * MICROS_PER_HOUR,
            _ => micros,
        });
    }
    let date = match (fields.date, fields.year, fields.month, fields.day) {
        (Some(date), ..) => Some(date),
        (None, Some(year), Some(month), Some(day)) => Some(check_date(year, month, day, &fields)?),
        (None, None, None, None) => None,
        _ => return Err(Refusal::Syntax),
    };
    Ok(Parsed::Fields { date, time, zone: fields.zone })
}

fn check_date(year: i32, month: i32, day: i32, fields: &Fields) -> Step<i32> {
    let year = if fields.before_christ {
        if year <= 0 {
            return Err(Refusal::OutOfRange);
        }
        1 - year
    } else if !fields.full_year {
        // Two digits: 1970 to 2069.
        if year < 70 { year + 2000 } else { year + 1900 }
    } else {
        year
    };
    if !fields.before_christ && year == 0 {
        return Err(Refusal::OutOfRange);
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Refusal::MonthOrDay);
    }
    if day > days_in_month(year, month) {
        return Err(Refusal::OutOfRange);
    }
    // Beyond the calendar any day past the end does: the caller's type names the error.
    Ok(if (-4800..=5_874_898).contains(&year) { day_of_civil(year, month, day) } else { DATE_END })
}

/// Reads a text for a type, whose name the error tells.
///
/// # Errors
/// 22007, 22008 or 22009 as PostgreSQL words them.
pub(crate) fn parse_for(type_name: &str, text: &str, context: &EvalContext<'_>) -> Result<Parsed> {
    let time_only = type_name.starts_with("time ") || type_name == "time";
    parse(text, time_only, context).map_err(|refusal| refusal.into_error(type_name, text))
}
