//! `to_date` and `to_timestamp`: reading texts by PostgreSQL's template patterns.
//!
//! 1. The template is cut into nodes: patterns, separators and other characters.
//! 2. Each node takes its part of the text. Without `FX` blanks around fields are skipped, and a separator may
//!    stand for any other, or for none.
//! 3. What was read becomes a date and a time; what was not read is the beginning of year 0.

use super::conversion::to_instant;
use super::registry::{Entry, Registry};
use super::string::text;
use super::template::{DAYS, MONTHS, ROMAN, leading_pattern};
use crate::error::{Result, SqlError, SqlState};
use crate::types::datetime::calendar::{
    Civil, DATE_END, DATE_MIN, EPOCH_JULIAN, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    civil_of_day, day_of_civil, days_in_month, is_timestamp, join_timestamp, round_micros,
    timestamp_out_of_range,
};
use crate::types::oids::{DATE, TEXT, TIMESTAMPTZ};
use crate::value::Datum;

/// A part of a template.
enum Node<'a> {
    Field(Field<'a>),
    /// `FX`: from here on characters count.
    Fixed,
    /// A blank or another separator.
    Separator,
    Character(char),
}

struct Field<'a> {
    /// The pattern as this crate names it, and as it was written.
    name: &'static str,
    written: &'a str,
    fill: bool,
    ordinal: bool,
}

/// How years and weeks count.
#[derive(Clone, Copy, PartialEq)]
enum Convention {
    Gregorian,
    IsoWeek,
}

/// What was read; 0 is what was not.
#[derive(Default)]
struct Fields {
    convention: Option<Convention>,
    year: i32,
    /// The year was written with at most two digits.
    short_year: bool,
    century: i32,
    month: i32,
    day: i32,
    day_of_year: i32,
    julian: i32,
    week: i32,
    week_of_month: i32,
    /// From 1, Sunday.
    day_of_week: i32,
    hour: i32,
    half_of_day: i32,
    twelve_hours: bool,
    before_christ: i32,
    minute: i32,
    second: i32,
    seconds_of_day: i32,
    millis: i32,
    micros: i32,
    /// The digits of `FF…`.
    precision: Option<i32>,
    zone_sign: Option<i32>,
    zone_hour: i32,
    zone_minute: i32,
}

struct Input<'a> {
    whole: &'a str,
    rest: &'a str,
    /// How many more characters were skipped than the template asked for.
    skipped: i32,
}

#[cold]
fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

fn is_separator(character: char) -> bool {
    character.is_ascii_graphic() && !character.is_ascii_alphanumeric()
}

fn is_blank(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\x0b'
}

/// Step 1.
fn nodes(template: &str) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        let start = |words: [&str; 2]| rest.get(..2).is_some_and(|start| words.contains(&start));
        if start(["FX", "fx"]) {
            nodes.push(Node::Fixed);
            rest = &rest[2..];
            continue;
        }
        let fill = start(["FM", "fm"]);
        let body = if fill || start(["TM", "tm"]) { &rest[2..] } else { rest };
        if let Some((length, name, _)) = leading_pattern(body) {
            rest = &body[length..];
            let ordinal = rest.starts_with("TH") || rest.starts_with("th");
            if ordinal {
                rest = &rest[2..];
            }
            nodes.push(Node::Field(Field { name, written: &body[..length], fill, ordinal }));
            continue;
        }
        if body.len() < rest.len() {
            rest = body;
            continue;
        }
        rest = &rest[first.len_utf8()..];
        if first == '"' {
            let mut characters = rest.chars();
            while let Some(character) = characters.next().filter(|character| *character != '"') {
                let escaped = if character == '\\' { characters.next() } else { None };
                nodes.push(Node::Character(escaped.unwrap_or(character)));
            }
            rest = characters.as_str();
            continue;
        }
        // A backslash is special before a quote only.
        if first == '\\' && rest.starts_with('"') {
            nodes.push(Node::Character('"'));
            rest = &rest[1..];
        } else if is_blank(first) || is_separator(first) {
            nodes.push(Node::Separator);
        } else {
            nodes.push(Node::Character(first));
        }
    }
    nodes
}

/// Whether a pattern is a number.
fn is_number(name: &str) -> bool {
    !matches!(
        name,
        "MONTH" | "Month" | "month" | "MON" | "Mon" | "mon" | "DAY" | "Day" | "day" | "DY" | "Dy" | "dy"
    ) && !matches!(
        name,
        "AM" | "PM" | "A.M." | "P.M." | "AD" | "BC" | "A.D." | "B.C." | "RM" | "TZ" | "TZH" | "OF"
    )
}

/// The convention that a pattern belongs to.
fn convention_of(name: &str) -> Option<Convention> {
    match name {
        "ID" | "IDDD" | "IW" | "IYYY" | "IYY" | "IY" | "I" => Some(Convention::IsoWeek),
        "D" | "DD" | "DDD" | "MM" | "MON" | "Mon" | "mon" | "MONTH" | "Month" | "month" | "RM" | "WW"
        | "W" | "Y" | "YY" | "YYY" | "YYYY" | "Y,YYY" => Some(Convention::Gregorian),
        _ => None,
    }
}

/// How many characters a number's pattern stands for.
fn width_of(name: &str) -> usize {
    match name {
        "TZH" | "TZM" | "HH24" | "HH12" | "HH" => 2,
        "IDDD" | "MS" => 3,
        "ID" => 1,
        "US" => 6,
        "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => usize::from(name.as_bytes()[2] - b'0'),
        _ => name.len(),
    }
}

/// Sets what may have been set before to the same only.
fn set(field: &mut i32, value: i32, written: &str) -> Result<()> {
    if *field != 0 && *field != value {
        return Err(invalid(format!("conflicting values for \"{written}\" field in formatting string"))
            .with_detail("This value contradicts a previous setting for the same field type."));
    }
    *field = value;
    Ok(())
}

impl Input<'_> {
    fn skip_blanks(&mut self) {
        let count = self.rest.chars().take_while(|next| is_blank(*next)).count();
        self.rest = &self.rest[count..];
        self.skipped = self.skipped.saturating_add(count as i32);
    }

    fn skip_character(&mut self) {
        let mut characters = self.rest.chars();
        characters.next();
        self.rest = characters.as_str();
    }

    /// A whole number and how many characters it took. Before another number it has exactly `width` characters.
    fn integer(&mut self, written: &str, width: usize, is_free: bool) -> Result<(i32, usize)> {
        let blanks = self.rest.chars().take_while(|next| is_blank(*next)).count();
        let source = &self.rest[blanks..];
        let shown = &source[..source.floor_char_boundary(width)];
        let from = if is_free { source } else { shown };
        let sign = usize::from(from.starts_with(['-', '+']));
        let digits = from[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let length = if digits == 0 { 0 } else { sign + digits };
        let refused = || invalid(format!("invalid value \"{shown}\" for \"{written}\""));
        const HINT: &str = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        if !is_free && source.len() < width {
            return Err(invalid(format!("source string too short for \"{written}\" formatting field"))
                .with_detail(format!("Field requires {width} characters, but only {} remain.", source.len()))
                .with_hint(HINT));
        }
        if !is_free && (1..width).contains(&length) {
            return Err(refused()
                .with_detail(format!("Field requires {width} characters, but only {length} could be parsed."))
                .with_hint(HINT));
        }
        if length == 0 {
            return Err(refused().with_detail("Value must be an integer."));
        }
        let value = source[..length].parse::<i32>().map_err(|_| {
            SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("value for \"{written}\" in source string is out of range"),
            )
            .with_detail(format!("Value must be in the range {} to {}.", i32::MIN, i32::MAX))
        })?;
        self.rest = &source[length..];
        Ok((value, blanks + length))
    }

    /// The place of the word that the text goes on with.
    fn word(&mut self, words: &[&str], written: &str) -> Result<i32> {
        let fits =
            |word: &&str| self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        // The longest that fits: `VIII` before `VII`.
        let found =
            words.iter().enumerate().filter(|(_, word)| fits(word)).max_by_key(|(_, word)| word.len());
        let Some((place, word)) = found else {
            let shown = self.rest.split(is_blank).next().unwrap_or("");
            return Err(invalid(format!("invalid value \"{shown}\" for \"{written}\""))
                .with_detail("The given value did not match any of the allowed values for this field."));
        };
        self.rest = &self.rest[word.len()..];
        Ok(place as i32)
    }

    #[cold]
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
        ..70 => year.saturating_add(2000),
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

/// Monday of a week of an ISO year, in days since 2000-01-01; weeks may lie beyond the year.
fn monday(year: i32, week: i32) -> i64 {
    let fourth = i64::from(day_of_civil(year, 1, 4));
    fourth - (fourth + 5).rem_euclid(7) + (i64::from(week) - 1) * 7
}

/// The date of a day, if the calendar has it.
fn civil(day: i64, input: &Input<'_>) -> Result<Civil> {
    let day = i32::try_from(day).ok().filter(|day| (DATE_MIN..DATE_END).contains(day));
    day.map(civil_of_day).ok_or_else(|| input.out_of_range())
}

/// The years whose days can be counted.
fn is_calendar_year(year: i32) -> bool {
    (-4713..=5_874_898).contains(&year)
}

impl Fields {
    fn take(&mut self, field: &Field<'_>, is_free: bool, input: &mut Input<'_>) -> Result<()> {
        let Field { name, written, .. } = *field;
        let convention = convention_of(name);
        if let (Some(new), Some(old)) = (convention, self.convention)
            && new != old
        {
            return Err(invalid("invalid combination of date conventions".into())
                .with_hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        self.convention = self.convention.or(convention);
        match name {
            "MONTH" | "Month" | "month" => {
                let month = input.word(&MONTHS, written)? + 1;
                set(&mut self.month, month, written)?;
            }
            "MON" | "Mon" | "mon" => {
                let month = input.word(&MONTHS.map(|month| &month[..3]), written)? + 1;
                set(&mut self.month, month, written)?;
            }
            "RM" => {
                let month = input.word(&ROMAN, written)? + 1;
                set(&mut self.month, month, written)?;
            }
            "DAY" | "Day" | "day" => self.day_of_week = input.word(&DAYS, written)? + 1,
            "DY" | "Dy" | "dy" => self.day_of_week = input.word(&DAYS.map(|day| &day[..3]), written)? + 1,
            "AM" | "PM" | "A.M." | "P.M." => {
                let words = if name.len() == 2 { ["AM", "PM"] } else { ["A.M.", "P.M."] };
                let half = input.word(&words, written)?;
                set(&mut self.half_of_day, half, written)?;
                self.twelve_hours = true;
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                let words = if name.len() == 2 { ["AD", "BC"] } else { ["A.D.", "B.C."] };
                let era = input.word(&words, written)?;
                set(&mut self.before_christ, era, written)?;
            }
            "TZ" | "OF" => {
                return Err(SqlError::unsupported(format!(
                    "formatting field \"{written}\" is only supported in to_char"
                )));
            }
            "TZH" => {
                self.zone_sign = Some(match input.rest.chars().next() {
                    Some(sign @ ('+' | '-' | ' ')) => {
                        input.rest = &input.rest[1..];
                        if sign == '-' { -1 } else { 1 }
                    }
                    // The sign may have been skipped as a separator.
                    _ => {
                        let before = input.whole.len() - input.rest.len();
                        if input.skipped > 0 && input.whole[..before].ends_with('-') { -1 } else { 1 }
                    }
                });
                let (value, _) = input.integer(written, 2, is_free)?;
                set(&mut self.zone_hour, value, written)?;
            }
            "Y,YYY" => {
                let refused = || invalid("invalid input string for \"Y,YYY\"".into());
                let (thousands, _) = input.integer(written, 1, true).map_err(|_| refused())?;
                input.rest = input.rest.strip_prefix(',').ok_or_else(refused)?;
                let count = input.rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
                let years: i32 = input.rest[..count].parse().map_err(|_| refused())?;
                input.rest = &input.rest[count..];
                let year = thousands.checked_mul(1000).and_then(|year| year.checked_add(years));
                set(&mut self.year, year.ok_or_else(refused)?, written)?;
            }
            _ => {
                let (value, length) = input.integer(written, width_of(name), is_free)?;
                self.take_number(name, written, value, length, input)?;
            }
        }
        if field.ordinal && is_number(name) {
            input.skip_character();
            input.skip_character();
        }
        Ok(())
    }

    fn take_number(
        &mut self,
        name: &str,
        written: &str,
        value: i32,
        length: usize,
        input: &Input<'_>,
    ) -> Result<()> {
        let year = if length < 4 { near_2020(value) } else { value };
        let scaled = |digits: usize| {
            let missing = digits.saturating_sub(length) as u32;
            value.checked_mul(10i32.pow(missing)).ok_or_else(|| input.out_of_range())
        };
        match name {
            "YYYY" | "IYYY" => set(&mut self.year, value, written)?,
            "YYY" | "YY" | "Y" | "IYY" | "IY" | "I" => {
                set(&mut self.year, value, written)?;
                self.year = year;
                self.short_year = name.len() <= 2;
            }
            "CC" => set(&mut self.century, value, written)?,
            "MM" => set(&mut self.month, value, written)?,
            "DD" => set(&mut self.day, value, written)?,
            "DDD" | "IDDD" => set(&mut self.day_of_year, value, written)?,
            "D" => set(&mut self.day_of_week, value, written)?,
            // From 1, Monday.
            "ID" => self.day_of_week = if value >= 7 { 1 } else { value.saturating_add(1) },
            "WW" | "IW" => set(&mut self.week, value, written)?,
            "W" => set(&mut self.week_of_month, value, written)?,
            "J" => set(&mut self.julian, value, written)?,
            "HH24" => set(&mut self.hour, value, written)?,
            "HH" | "HH12" => {
                set(&mut self.hour, value, written)?;
                self.twelve_hours = true;
            }
            "MI" => set(&mut self.minute, value, written)?,
            "SS" => set(&mut self.second, value, written)?,
            "SSSS" | "SSSSS" => set(&mut self.seconds_of_day, value, written)?,
            "MS" => {
                set(&mut self.millis, value, written)?;
                self.millis = scaled(3)?;
            }
            "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                set(&mut self.micros, value, written)?;
                self.micros = scaled(6)?;
                if name != "US" {
                    self.precision = i32::try_from(width_of(name)).ok();
                }
            }
            "TZM" => {
                set(&mut self.zone_minute, value, written)?;
                self.zone_sign = self.zone_sign.or(Some(1));
            }
            // Which day of a quarter would be meant is unclear, so it is read and ignored.
            _ => {}
        }
        Ok(())
    }

    /// The year, if one was read: 0 is 1 BC.
    fn year(&self) -> Option<i32> {
        let is_before = self.before_christ != 0;
        let century = if is_before { self.century.checked_neg()? } else { self.century };
        if self.year == 0 {
            // The first year of the century.
            let first = century.checked_mul(100)?;
            return if self.century == 0 {
                Some(0)
            } else if century >= 0 {
                first.checked_sub(99)
            } else {
                first.checked_add(1)
            };
        }
        if self.century != 0 && self.short_year {
            let year = self.year % 100;
            return match (year, century >= 0) {
                (0, true) => century.checked_mul(100),
                (0, false) => century.checked_mul(100)?.checked_add(1),
                (_, true) => century.checked_sub(1)?.checked_mul(100)?.checked_add(year),
                (_, false) => century.checked_add(1)?.checked_mul(100)?.checked_sub(year - 1),
            };
        }
        let year = if is_before { self.year.checked_neg()? } else { self.year };
        Some(if year < 0 { year + 1 } else { year })
    }

    /// The date; its year may be beyond the calendar.
    fn date(&self, input: &Input<'_>) -> Result<Civil> {
        let year = self.year().ok_or_else(|| input.out_of_range())?;
        let mut date = Civil { year, month: 1, day: 1 };
        let is_iso = self.convention == Some(Convention::IsoWeek);
        let mut day_of_year = i64::from(self.day_of_year);
        if self.julian != 0 {
            date = civil(i64::from(self.julian) - i64::from(EPOCH_JULIAN), input)?;
        }
        if self.week != 0 {
            if is_iso {
                if !is_calendar_year(date.year) {
                    return Err(input.out_of_range());
                }
                // Without a day it is Monday; Sunday is the week's last.
                let after = match self.day_of_week {
                    0 => 0,
                    1 => 6,
                    day => i64::from(day) - 2,
                };
                date = civil(monday(date.year, self.week) + after, input)?;
            } else {
                day_of_year = (i64::from(self.week) - 1) * 7 + 1;
            }
        }
        let day_of_month = if self.week_of_month != 0 {
            (i64::from(self.week_of_month) - 1) * 7 + 1
        } else {
            i64::from(self.day)
        };
        if day_of_month != 0 {
            date.day = i32::try_from(day_of_month).map_err(|_| input.out_of_range())?;
        }
        if self.month != 0 {
            date.month = self.month;
        }
        if day_of_year != 0 && (date.month <= 1 || date.day <= 1) {
            self.apply_day_of_year(&mut date, day_of_year, is_iso, input)?;
        }
        let is_date =
            (1..=12).contains(&date.month) && (1..=days_in_month(date.year, date.month)).contains(&date.day);
        if is_date { Ok(date) } else { Err(input.out_of_range()) }
    }

    fn apply_day_of_year(
        &self,
        date: &mut Civil,
        day_of_year: i64,
        is_iso: bool,
        input: &Input<'_>,
    ) -> Result<()> {
        if date.year == 0 && self.before_christ == 0 {
            return Err(invalid("cannot calculate day of year without year information".into()));
        }
        if is_iso {
            if !is_calendar_year(date.year) {
                return Err(input.out_of_range());
            }
            *date = civil(monday(date.year, 1) + day_of_year - 1, input)?;
            return Ok(());
        }
        let mut month = 1;
        let mut day = day_of_year;
        while month <= 12 && day > i64::from(days_in_month(date.year, month)) {
            day -= i64::from(days_in_month(date.year, month));
            month += 1;
        }
        if date.month <= 1 {
            date.month = month;
        }
        if date.day <= 1 {
            date.day = i32::try_from(day).map_err(|_| input.out_of_range())?;
        }
        Ok(())
    }

    /// Microseconds since midnight.
    fn time(&self, input: &Input<'_>) -> Result<i64> {
        let of_day = |unit: i32, size: i32| {
            if self.seconds_of_day == 0 { 0 } else { self.seconds_of_day / unit % size }
        };
        let or = |field: i32, other: i32| if field != 0 { field } else { other };
        let mut hour = or(self.hour, of_day(3_600, i32::MAX));
        let minute = or(self.minute, of_day(60, 60));
        let second = or(self.second, of_day(1, 60));
        if self.twelve_hours {
            if !(1..=12).contains(&hour) {
                return Err(invalid(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                    .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = hour % 12 + self.half_of_day * 12;
        }
        let micros = i64::from(self.millis) * 1_000 + i64::from(self.micros);
        let valid = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..MICROS_PER_SECOND).contains(&micros);
        if !valid {
            return Err(input.out_of_range());
        }
        Ok(i64::from(hour) * MICROS_PER_HOUR
            + i64::from(minute) * MICROS_PER_MINUTE
            + i64::from(second) * MICROS_PER_SECOND
            + micros)
    }

    /// Seconds east, if a zone was read.
    fn offset(&self, input: &Input<'_>) -> Result<Option<i64>> {
        let Some(sign) = self.zone_sign else { return Ok(None) };
        if !(0..=15).contains(&self.zone_hour) || !(0..60).contains(&self.zone_minute) {
            return Err(input.out_of_range());
        }
        Ok(Some(i64::from(sign * (self.zone_hour * 60 + self.zone_minute) * 60)))
    }
}

/// Whether the number before a node may have any length.
fn ends_number(next: Option<&Node<'_>>) -> bool {
    match next {
        Some(Node::Field(field)) => !is_number(field.name),
        Some(Node::Character(character)) => !character.is_ascii_digit(),
        _ => true,
    }
}

/// Step 2.
fn read<'a>(whole: &'a str, template: &str) -> Result<(Fields, Input<'a>)> {
    let mut fields = Fields::default();
    let mut input = Input { whole, rest: whole, skipped: 0 };
    let nodes = nodes(template);
    let mut is_fixed = false;
    for (place, node) in nodes.iter().enumerate() {
        if input.rest.is_empty() {
            break;
        }
        if !is_fixed && !matches!(node, Node::Fixed) && (place == 0 || matches!(node, Node::Field(_))) {
            input.skip_blanks();
        }
        match node {
            Node::Fixed => is_fixed = true,
            Node::Separator | Node::Character(_) if is_fixed => input.skip_character(),
            Node::Separator => {
                input.skipped -= 1;
                if input.rest.starts_with(|next: char| is_blank(next) || is_separator(next)) {
                    input.rest = &input.rest[1..];
                    input.skipped += 1;
                }
            }
            // What was skipped too much stands for it.
            Node::Character(_) if input.skipped > 0 => input.skipped -= 1,
            Node::Character(_) => input.skip_character(),
            Node::Field(field) => {
                let is_free = field.fill || field.ordinal || ends_number(nodes.get(place + 1));
                fields.take(field, is_free, &mut input)?;
                if !is_fixed {
                    input.skipped = 0;
                    input.skip_blanks();
                }
            }
        }
    }
    Ok((fields, input))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(
        Entry::new("to_date", &[TEXT, TEXT], DATE, |arguments, _| {
            let (fields, input) = read(text(arguments, 0)?, text(arguments, 1)?)?;
            let time = fields.time(&input);
            let date = fields.date(&input)?;
            time?;
            fields.offset(&input)?;
            let day = is_calendar_year(date.year).then(|| day_of_civil(date.year, date.month, date.day));
            day.filter(|day| (DATE_MIN..DATE_END).contains(day)).map(Datum::Date).ok_or_else(|| {
                SqlError::new(
                    SqlState::DATETIME_FIELD_OVERFLOW,
                    format!("date out of range: \"{}\"", input.whole),
                )
            })
        })
        .stable(),
    );
    registry.add(
        Entry::new("to_timestamp", &[TEXT, TEXT], TIMESTAMPTZ, |arguments, context| {
            let (fields, input) = read(text(arguments, 0)?, text(arguments, 1)?)?;
            let time = fields.time(&input);
            let date = fields.date(&input)?;
            let time = time?;
            let offset = fields.offset(&input)?;
            if !is_calendar_year(date.year) {
                return Err(timestamp_out_of_range());
            }
            let day = day_of_civil(date.year, date.month, date.day);
            let local = join_timestamp(day, time).ok_or_else(timestamp_out_of_range)?;
            let instant = match offset {
                Some(east) => local - east * MICROS_PER_SECOND,
                None => to_instant(local, context)?,
            };
            if !is_timestamp(instant) {
                return Err(timestamp_out_of_range());
            }
            let rounded = fields.precision.map_or(instant, |precision| round_micros(instant, precision));
            Ok(Datum::TimestampTz(rounded))
        })
        .stable(),
    );
}
