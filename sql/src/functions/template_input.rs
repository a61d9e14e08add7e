//! `to_date` and `to_timestamp(text, template)`: the templates of `to_char` the other way.
//!
//! A separator in the template stands for any blanks and separators in the text, another literal for one character. A
//! number reads as many digits as there are, unless the next pattern is a number too: then only as many as its own.

use super::conversion::to_instant;
use super::registry::{Entry, Registry};
use super::string::text;
use super::template::{DAYS, MONTHS, ROMAN, leading_pattern};
use crate::error::{Result, SqlError, SqlState};
use crate::types::datetime::calendar::{
    EPOCH_JULIAN, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of_civil, days_in_month,
    join_timestamp, timestamp_out_of_range,
};
use crate::types::oids::{DATE, TEXT, TIMESTAMPTZ};
use crate::value::Datum;

/// What was read.
#[derive(Default)]
struct Fields {
    year: Option<i32>,
    century: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    julian: Option<i32>,
    week: Option<i32>,
    week_of_month: Option<i32>,
    day_of_week: Option<i32>,
    iso_year: Option<i32>,
    iso_week: Option<i32>,
    iso_day: Option<i32>,
    hour: i32,
    twelve_hours: bool,
    afternoon: Option<bool>,
    before_christ: bool,
    minute: i32,
    second: i32,
    seconds_of_day: Option<i32>,
    micros: i64,
}

struct Input<'a> {
    whole: &'a str,
    rest: &'a str,
}

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

fn is_separator(character: char) -> bool {
    character.is_ascii() && !character.is_ascii_alphanumeric() && character > ' '
}

impl Input<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn skip_separators(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches(|character: char| character.is_whitespace() || is_separator(character));
    }

    /// A whole number, of `width` digits where more belong to the next pattern; gives how many there were too.
    fn integer(&mut self, name: &str, width: Option<usize>) -> Result<(i32, usize)> {
        self.skip_blanks();
        let unsigned = self.rest.strip_prefix(['-', '+']).unwrap_or(self.rest);
        let sign = self.rest.len() - unsigned.len();
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let length = sign + width.map_or(digits, |width| digits.min(width));
        let shown = || {
            let end = width.unwrap_or(usize::MAX).min(self.rest.len());
            let end = self.rest.floor_char_boundary(end);
            let word = self.rest[..end].split(char::is_whitespace).next().unwrap_or("");
            invalid(format!("invalid value \"{word}\" for \"{name}\""))
        };
        if digits == 0 {
            return Err(shown().with_detail("Value must be an integer."));
        }
        if let Some(width) = width
            && length - sign < width
        {
            if self.rest.len() < width {
                return Err(invalid(format!("source string too short for \"{name}\" formatting field"))
                    .with_detail(format!(
                        "Field requires {width} characters, but only {} remain.",
                        self.rest.len()
                    ))
                    .with_hint("If your source string is not fixed-width, try using the \"FM\" modifier."));
            }
            return Err(shown()
                .with_detail(format!(
                    "Field requires {width} characters, but only {} could be parsed.",
                    length - sign
                ))
                .with_hint("If your source string is not fixed-width, try using the \"FM\" modifier."));
        }
        let value = self.rest[..length].parse::<i32>().map_err(|_| {
            SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("value for \"{name}\" in source string is out of range"),
            )
        })?;
        self.rest = &self.rest[length..];
        Ok((value, length - sign))
    }

    /// The place of the word that the text goes on with.
    fn word(&mut self, words: &[&str], name: &str) -> Result<usize> {
        self.skip_blanks();
        let fits =
            |word: &&str| self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        // The longest that fits: `VIII` before `VII`.
        let found =
            words.iter().enumerate().filter(|(_, word)| fits(word)).max_by_key(|(_, word)| word.len());
        let Some((place, word)) = found else {
            let shown = self.rest.split(char::is_whitespace).next().unwrap_or("");
            return Err(invalid(format!("invalid value \"{shown}\" for \"{name}\""))
                .with_detail("The given value did not match any of the allowed values for this field."));
        };
        self.rest = &self.rest[word.len()..];
        Ok(place)
    }

    fn out_of_range(&self) -> SqlError {
        SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{}\"", self.whole),
        )
    }
}

/// A year of fewer than four digits lies near 2020.
fn near_2020(year: i32) -> i32 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

/// How many digits a numeric pattern has.
fn width_of(name: &str) -> Option<usize> {
    Some(match name {
        "YYYY" | "IYYY" => 4,
        "YYY" | "IYY" | "DDD" | "IDDD" | "MS" => 3,
        "YY" | "IY" | "MM" | "DD" | "HH" | "HH12" | "HH24" | "MI" | "SS" | "WW" | "IW" | "CC" => 2,
        "Y" | "I" | "D" | "ID" | "W" | "Q" => 1,
        "US" => 6,
        "SSSS" | "SSSSS" | "J" => 5,
        _ => return None,
    })
}

/// Whether the template goes on with a number right away.
fn goes_on_with_digits(rest: &str) -> bool {
    let body = rest.strip_prefix("FM").unwrap_or(rest);
    match leading_pattern(body) {
        Some((_, name, _)) => width_of(name).is_some(),
        None => rest.starts_with(|next: char| next.is_ascii_digit()),
    }
}

impl Fields {
    fn take(&mut self, name: &str, width: Option<usize>, input: &mut Input<'_>) -> Result<()> {
        match name {
            "MONTH" | "Month" | "month" => self.month = Some(input.word(&MONTHS, name)? as i32 + 1),
            "MON" | "Mon" | "mon" => {
                let short: Vec<&str> = MONTHS.iter().map(|month| &month[..3]).collect();
                self.month = Some(input.word(&short, name)? as i32 + 1);
            }
            "DAY" | "Day" | "day" => self.day_of_week = Some(input.word(&DAYS, name)? as i32 + 1),
            "DY" | "Dy" | "dy" => {
                let short: Vec<&str> = DAYS.iter().map(|day| &day[..3]).collect();
                self.day_of_week = Some(input.word(&short, name)? as i32 + 1);
            }
            "RM" => self.month = Some(input.word(&ROMAN, name)? as i32 + 1),
            "AM" | "PM" | "A.M." | "P.M." => {
                let place = input.word(&["AM", "PM", "A.M.", "P.M."], name)?;
                self.afternoon = Some(place % 2 == 1);
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                self.before_christ = input.word(&["AD", "BC", "A.D.", "B.C."], name)? % 2 == 1;
            }
            "TZ" | "OF" => {
                return Err(SqlError::unsupported(format!(
                    "formatting field \"{name}\" is only supported in to_char"
                )));
            }
            "Y,YYY" => {
                let (thousands, _) = input.integer(name, None)?;
                input.rest = input.rest.strip_prefix(',').unwrap_or(input.rest);
                self.year = Some(thousands * 1000 + input.integer(name, Some(3))?.0);
            }
            _ => {
                let (value, digits) = input.integer(name, width)?;
                self.take_number(name, value, digits, input)?;
            }
        }
        Ok(())
    }

    fn take_number(&mut self, name: &str, value: i32, digits: usize, input: &Input<'_>) -> Result<()> {
        let partial = |value| if digits < 4 { near_2020(value) } else { value };
        let fraction = |digits_of_unit: usize| {
            let missing = digits_of_unit.saturating_sub(digits) as u32;
            i64::from(value) * 10i64.pow(missing)
        };
        match name {
            "YYYY" => self.year = Some(value),
            "YYY" | "YY" | "Y" => self.year = Some(partial(value)),
            "IYYY" => self.iso_year = Some(value),
            "IYY" | "IY" | "I" => self.iso_year = Some(partial(value)),
            "CC" => self.century = Some(value),
            "MM" => self.month = Some(value),
            "DD" => self.day = Some(value),
            "DDD" => self.day_of_year = Some(value),
            "D" => self.day_of_week = Some(value),
            "ID" => self.iso_day = Some(value),
            "WW" => self.week = Some(value),
            "IW" => self.iso_week = Some(value),
            "W" => self.week_of_month = Some(value),
            "J" => self.julian = Some(value),
            "HH24" => self.hour = value,
            "HH" | "HH12" => {
                self.hour = value;
                self.twelve_hours = true;
            }
            "MI" => self.minute = value,
            "SS" => self.second = value,
            "SSSS" | "SSSSS" => self.seconds_of_day = Some(value),
            "MS" => self.micros += fraction(3) * 1_000,
            "US" => self.micros += fraction(6),
            _ => {}
        }
        if digits > 9 { Err(input.out_of_range()) } else { Ok(()) }
    }

    /// Days since 2000-01-01.
    fn date(&self, input: &Input<'_>) -> Result<i32> {
        if let Some(julian) = self.julian {
            return Ok(julian - EPOCH_JULIAN);
        }
        if let (Some(year), Some(week)) = (self.iso_year, self.iso_week) {
            if !(1..=53).contains(&week) {
                return Err(input.out_of_range());
            }
            let fourth = day_of_civil(year, 1, 4);
            let monday = fourth - (fourth + 5).rem_euclid(7);
            return Ok(monday + (week - 1) * 7 + self.iso_day.unwrap_or(1) - 1);
        }
        let year = match (self.year, self.century) {
            (Some(year), Some(century)) if year < 100 => (century - 1) * 100 + year,
            (Some(year), _) => year,
            (None, Some(century)) => (century - 1) * 100 + 1,
            (None, None) => self.iso_year.unwrap_or(0),
        };
        let year = if self.before_christ && year > 0 {
            1 - year
        } else if year < 0 {
            year + 1
        } else {
            year
        };
        if !(-4713..=5_874_897).contains(&year) {
            return Err(input.out_of_range());
        }
        let day_of_year =
            self.day_of_year.or(self.week.map(|week| (week - 1) * 7 + self.day_of_week.unwrap_or(1)));
        if let (Some(day), None) = (day_of_year, self.month) {
            if !(1..=366).contains(&day) {
                return Err(input.out_of_range());
            }
            return Ok(day_of_civil(year, 1, 1) + day - 1);
        }
        let month = self.month.unwrap_or(1);
        let day = self.day.or(self.week_of_month.map(|week| (week - 1) * 7 + 1)).unwrap_or(1);
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return Err(input.out_of_range());
        }
        Ok(day_of_civil(year, month, day))
    }

    /// Microseconds since midnight.
    fn time(&self, input: &Input<'_>) -> Result<i64> {
        if let Some(seconds) = self.seconds_of_day {
            if !(0..86_400).contains(&seconds) {
                return Err(input.out_of_range());
            }
            return Ok(i64::from(seconds) * MICROS_PER_SECOND + self.micros);
        }
        let mut hour = self.hour;
        if self.twelve_hours || self.afternoon.is_some() {
            if !(1..=12).contains(&hour) {
                return Err(invalid(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                    .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = match self.afternoon {
                Some(true) => hour % 12 + 12,
                _ => hour % 12,
            };
        }
        let valid = (0..24).contains(&hour)
            && (0..60).contains(&self.minute)
            && (0..60).contains(&self.second)
            && (0..MICROS_PER_SECOND).contains(&self.micros);
        if !valid {
            return Err(input.out_of_range());
        }
        Ok(i64::from(hour) * MICROS_PER_HOUR
            + i64::from(self.minute) * MICROS_PER_MINUTE
            + i64::from(self.second) * MICROS_PER_SECOND
            + self.micros)
    }
}

/// Reads a text by a template.
fn read<'a>(whole: &'a str, template: &str) -> Result<(Fields, Input<'a>)> {
    let mut fields = Fields::default();
    let mut input = Input { whole, rest: whole };
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if input.rest.is_empty() {
            break;
        }
        if first == '"' {
            let inner = &rest[1..];
            let end = inner.find('"').unwrap_or(inner.len());
            for _ in inner[..end].chars() {
                let mut characters = input.rest.chars();
                characters.next();
                input.rest = characters.as_str();
            }
            rest = inner.get(end + 1..).unwrap_or("");
            continue;
        }
        let modifier =
            rest.get(..2).filter(|start| matches!(*start, "FM" | "fm" | "FX" | "fx" | "TM" | "tm"));
        let body = if modifier.is_some() { &rest[2..] } else { rest };
        let fill = modifier.is_some_and(|modifier| modifier.eq_ignore_ascii_case("fm"));
        let Some((length, name, _)) = leading_pattern(body) else {
            if modifier.is_some() {
                rest = body;
            } else if first.is_whitespace() || is_separator(first) {
                input.skip_separators();
                rest = &rest[first.len_utf8()..];
            } else {
                let mut characters = input.rest.chars();
                characters.next();
                input.rest = characters.as_str();
                rest = &rest[first.len_utf8()..];
            }
            continue;
        };
        rest = &body[length..];
        let ending = rest.get(..2).filter(|ending| ending.eq_ignore_ascii_case("TH"));
        if ending.is_some() {
            rest = &rest[2..];
        }
        let width = width_of(name).filter(|_| !fill && goes_on_with_digits(rest));
        fields.take(name, width, &mut input)?;
        if ending.is_some() {
            input.rest = input.rest.get(2..).unwrap_or("");
        }
    }
    Ok((fields, input))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(
        Entry::new("to_date", &[TEXT, TEXT], DATE, |arguments, _| {
            let (fields, input) = read(text(arguments, 0)?, text(arguments, 1)?)?;
            fields.time(&input)?;
            fields.date(&input).map(Datum::Date)
        })
        .stable(),
    );
    registry.add(
        Entry::new("to_timestamp", &[TEXT, TEXT], TIMESTAMPTZ, |arguments, context| {
            let (fields, input) = read(text(arguments, 0)?, text(arguments, 1)?)?;
            let (date, time) = (fields.date(&input)?, fields.time(&input)?);
            let local = join_timestamp(date, time).ok_or_else(timestamp_out_of_range)?;
            to_instant(local, context).map(Datum::TimestampTz)
        })
        .stable(),
    );
}
