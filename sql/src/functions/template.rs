//! `to_char` of dates, timestamps and intervals: PostgreSQL's template patterns.
//!
//! The template is read from the left; at each place the longest pattern that fits wins, quoted text and
//! everything else is copied. `FM` before a pattern drops its padding, `TH` after it adds the ordinal's ending.

use super::conversion::to_local;
use super::registry::{Entry, Registry};
use super::string::text;
use super::vector::wrong_arguments;
use crate::error::Result;
use crate::types::datetime::calendar::{
    EPOCH_JULIAN, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, civil_of_day, day_of_civil,
    is_infinite, split_timestamp,
};
use crate::types::datetime::zone;
use crate::types::oids::{INTERVAL, TEXT, TIMESTAMP, TIMESTAMPTZ};
use crate::value::Datum;
use std::sync::LazyLock;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// The patterns, longer ones before their beginnings.
const PATTERNS: [&str; 53] = [
    "SSSSS", "SSSS", "Y,YYY", "MONTH", "Month", "month", "HH24", "HH12", "YYYY", "IYYY", "IDDD", "A.D.",
    "B.C.", "A.M.", "P.M.", "TZH", "TZM", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "DAY", "Day", "day",
    "MON", "Mon", "mon", "DDD", "YYY", "IYY", "OF", "HH", "MI", "SS", "MS", "US", "YY", "IY", "MM", "DD",
    "DY", "Dy", "dy", "ID", "WW", "IW", "CC", "RM", "TZ", "AM", "PM",
];

/// The parts of what is printed.
struct Moment {
    year: i32,
    month: i32,
    day: i32,
    /// Days since 2000-01-01; `None` for an interval, which has no place in the calendar.
    days: Option<i32>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// Seconds east and the zone's name.
    zone: Option<(i32, String)>,
}

impl Moment {
    fn of_timestamp(local: i64, zone: Option<(i32, String)>) -> Moment {
        let (days, time) = split_timestamp(local);
        let civil = civil_of_day(days);
        Moment {
            year: civil.year,
            month: civil.month,
            day: civil.day,
            days: Some(days),
            hour: time / MICROS_PER_HOUR,
            minute: time / MICROS_PER_MINUTE % 60,
            second: time / MICROS_PER_SECOND % 60,
            micros: time % MICROS_PER_SECOND,
            zone,
        }
    }

    /// The place of the month's Roman number. Of an interval months before the beginning count from the year's end.
    fn roman_month(&self) -> Option<usize> {
        let place = match (self.month, self.year) {
            (0, 0) => return None,
            (0, ..0) => 0,
            (0, _) => 11,
            (..0, _) => 12 + self.month,
            _ => self.month - 1,
        };
        usize::try_from(place).ok().filter(|place| *place < ROMAN.len())
    }

    /// The text of one pattern, padded; `None` where it has no meaning here.
    fn pattern(&self, name: &str, fill: bool) -> Option<String> {
        let number = |value: i64, width: usize| {
            if !fill {
                value.to_string()
            } else if value < 0 {
                format!("-{:0width$}", -value)
            } else {
                format!("{value:0width$}")
            }
        };
        let word = |word: &str| if fill { format!("{word:<9}") } else { word.to_owned() };
        let shown_year = if self.days.is_some() && self.year <= 0 { 1 - self.year } else { self.year };
        let day_of_week = self.days.map(|days| (days + 6).rem_euclid(7));
        let day_of_year = self.days.map(|days| days - day_of_civil(self.year, 1, 1) + 1);
        let month = usize::try_from(self.month - 1).ok().filter(|month| *month < 12);
        let iso = self.days.map(|days| {
            let thursday = days - (days + 5).rem_euclid(7) + 3;
            let year = civil_of_day(thursday).year;
            (year, (thursday - day_of_civil(year, 1, 1)) / 7 + 1)
        });
        // The years before Christ are shown by their own numbers, their centuries as negative ones.
        let shown_iso = iso.map(|(year, _)| if year <= 0 { 1 - year } else { year });
        let century = match self.year {
            year if self.days.is_none() => year / 100,
            ..=0 => self.year / 100 - 1,
            year => (year - 1) / 100 + 1,
        };
        let year = |digits: usize, year: i32| number(i64::from(year) % 10i64.pow(digits as u32), digits);
        Some(match name {
            "YYYY" => number(i64::from(shown_year), 4),
            "Y,YYY" => format!("{},{:03}", shown_year / 1000, shown_year % 1000),
            "YYY" => year(3, shown_year),
            "YY" => year(2, shown_year),
            "Y" => year(1, shown_year),
            "IYYY" => number(i64::from(shown_iso?), 4),
            "IYY" => year(3, shown_iso?),
            "IY" => year(2, shown_iso?),
            "I" => year(1, shown_iso?),
            "MM" => number(i64::from(self.month), 2),
            "MONTH" => word(&MONTHS[month?].to_uppercase()),
            "Month" => word(MONTHS[month?]),
            "month" => word(&MONTHS[month?].to_lowercase()),
            "MON" => MONTHS[month?][..3].to_uppercase(),
            "Mon" => MONTHS[month?][..3].to_owned(),
            "mon" => MONTHS[month?][..3].to_lowercase(),
            "RM" => {
                let roman = ROMAN[self.roman_month()?];
                if fill { format!("{roman:<4}") } else { roman.to_owned() }
            }
            "DD" => number(i64::from(self.day), 2),
            "DDD" => number(i64::from(day_of_year?), 3),
            "D" => (day_of_week? + 1).to_string(),
            "ID" => ((day_of_week? + 6) % 7 + 1).to_string(),
            "IDDD" => number(i64::from((iso?.1 - 1) * 7 + (day_of_week? + 6) % 7 + 1), 3),
            "DAY" => word(&DAYS[day_of_week? as usize].to_uppercase()),
            "Day" => word(DAYS[day_of_week? as usize]),
            "day" => word(&DAYS[day_of_week? as usize].to_lowercase()),
            "DY" => DAYS[day_of_week? as usize][..3].to_uppercase(),
            "Dy" => DAYS[day_of_week? as usize][..3].to_owned(),
            "dy" => DAYS[day_of_week? as usize][..3].to_lowercase(),
            "WW" => number(i64::from((day_of_year? - 1) / 7 + 1), 2),
            "IW" => number(i64::from(iso?.1), 2),
            "W" => ((self.day - 1) / 7 + 1).to_string(),
            "Q" => ((self.month - 1) / 3 + 1).to_string(),
            "CC" => number(i64::from(century), 2),
            "J" => (i64::from(self.days?) + i64::from(EPOCH_JULIAN)).to_string(),
            "HH24" => number(self.hour, 2),
            "HH12" | "HH" => number(if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2),
            "MI" => number(self.minute, 2),
            "SS" => number(self.second, 2),
            "MS" => number(self.micros / 1000, 3),
            "US" => number(self.micros, 6),
            "SSSS" | "SSSSS" => (self.hour * 3600 + self.minute * 60 + self.second).to_string(),
            "AM" | "PM" => if self.hour % 24 >= 12 { "PM" } else { "AM" }.to_owned(),
            "A.M." | "P.M." => if self.hour % 24 >= 12 { "P.M." } else { "A.M." }.to_owned(),
            "AD" | "BC" => if self.year <= 0 { "BC" } else { "AD" }.to_owned(),
            "A.D." | "B.C." => if self.year <= 0 { "B.C." } else { "A.D." }.to_owned(),
            "TZ" => self.zone.as_ref()?.1.clone(),
            "TZH" => {
                let east = self.zone.as_ref().map_or(0, |zone| zone.0);
                format!("{}{:02}", if east < 0 { '-' } else { '+' }, east.abs() / 3600)
            }
            "TZM" => format!("{:02}", self.zone.as_ref().map_or(0, |zone| zone.0).abs() / 60 % 60),
            "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let digits = usize::from(name.as_bytes()[2] - b'0');
                format!("{:06}", self.micros)[..digits].to_owned()
            }
            "OF" => {
                let mut out = String::new();
                crate::types::datetime::print::push_offset(
                    self.zone.as_ref().map_or(0, |zone| zone.0),
                    &mut out,
                );
                out
            }
            _ => return None,
        })
    }
}

/// `st`, `nd`, `rd` or `th` for a number's last digits.
pub(super) fn ordinal(number: &str) -> &'static str {
    let digits = number.as_bytes();
    let teens = digits.len() > 1 && digits[digits.len() - 2] == b'1';
    match digits.last() {
        Some(b'1') if !teens => "st",
        Some(b'2') if !teens => "nd",
        Some(b'3') if !teens => "rd",
        _ => "th",
    }
}

/// Patterns that are searched after all others: one letter, and those without points.
const SHORT_PATTERNS: [&str; 8] = ["Y", "I", "D", "W", "Q", "J", "AD", "BC"];

/// The patterns by their first letter, in the order that they are searched.
static BY_LETTER: LazyLock<[Vec<&'static str>; 26]> = LazyLock::new(|| {
    let mut found: [Vec<&str>; 26] = Default::default();
    for pattern in PATTERNS.iter().chain(&SHORT_PATTERNS) {
        let letter = pattern.bytes().next().unwrap_or(b'A').to_ascii_uppercase() - b'A';
        found[usize::from(letter)].push(pattern);
    }
    found
});

/// The pattern a template begins with, and its canonical name. Only names of months and days care about case
/// beyond the whole being in one.
pub(super) fn leading_pattern(template: &str) -> Option<(usize, &'static str, bool)> {
    let first = template.bytes().next().filter(u8::is_ascii_alphabetic)?;
    let patterns = &BY_LETTER[usize::from(first.to_ascii_uppercase() - b'A')];
    let is_long = |pattern: &&&str| !SHORT_PATTERNS.contains(pattern);
    if let Some(found) = patterns.iter().filter(is_long).find(|pattern| template.starts_with(**pattern)) {
        return Some((found.len(), found, false));
    }
    let fits = |pattern: &&&str| {
        // All letters are great or all small: `Yyyy` is `Y` and `yyy`.
        template.get(..pattern.len()).is_some_and(|start| {
            start.eq_ignore_ascii_case(pattern)
                && (start == **pattern || !start.bytes().any(|byte| byte.is_ascii_uppercase()))
        })
    };
    patterns.iter().find(fits).map(|found| (found.len(), *found, first.is_ascii_lowercase()))
}

fn format(moment: &Moment, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let mut characters = rest[1..].chars();
            while let Some(character) = characters.next().filter(|character| *character != '"') {
                let escaped = if character == '\\' { characters.next() } else { None };
                out.push(escaped.unwrap_or(character));
            }
            rest = characters.as_str();
            continue;
        }
        // A backslash is special before a quote only.
        if rest.starts_with("\\\"") {
            out.push('"');
            rest = &rest[2..];
            continue;
        }
        // The names of the only locale there is are not padded by TM.
        let unfilled = rest
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("FM") || start.eq_ignore_ascii_case("TM"));
        let body = if unfilled { &rest[2..] } else { rest };
        let Some((length, name, lower)) = leading_pattern(body) else {
            if unfilled {
                rest = body;
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
            continue;
        };
        let piece = moment.pattern(name, !unfilled).unwrap_or_default();
        let is_word = piece.starts_with(|character: char| character.is_ascii_alphabetic());
        if lower && is_word {
            out.push_str(&piece.to_lowercase());
        } else {
            out.push_str(&piece);
        }
        rest = &body[length..];
        if let Some(ending) = rest.get(..2).filter(|ending| ending.eq_ignore_ascii_case("TH")) {
            let suffix = ordinal(&piece);
            out.push_str(&if ending == "TH" { suffix.to_uppercase() } else { suffix.to_owned() });
            rest = &rest[2..];
        }
    }
    out
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(Entry::new("to_char", &[TIMESTAMP, TEXT], TEXT, |arguments, _| {
        let Datum::Timestamp(local) = arguments[0] else { return Err(wrong_arguments()) };
        render(local, None, text(arguments, 1)?)
    }));
    registry.add(
        Entry::new("to_char", &[TIMESTAMPTZ, TEXT], TEXT, |arguments, context| {
            let Datum::TimestampTz(instant) = arguments[0] else { return Err(wrong_arguments()) };
            let own_zone = &context.settings.time_zone;
            let name = zone::abbreviation_at(own_zone, instant);
            let zone = Some((zone::offset_at(own_zone, instant), name));
            render(to_local(instant, context), zone, text(arguments, 1)?)
        })
        .stable(),
    );
    registry.add(
        Entry::new("timeofday", &[], TEXT, |_, context| {
            let instant = context.session.clock_timestamp();
            let own_zone = &context.settings.time_zone;
            let zone = Some((zone::offset_at(own_zone, instant), zone::abbreviation_at(own_zone, instant)));
            render(to_local(instant, context), zone, "Dy Mon DD HH24:MI:SS.US YYYY TZ")
        })
        .volatile(),
    );
    registry.add(Entry::new("to_char", &[INTERVAL, TEXT], TEXT, |arguments, _| {
        let Datum::Interval(span) = &arguments[0] else { return Err(wrong_arguments()) };
        let moment = Moment {
            year: span.months / 12,
            month: span.months % 12,
            day: span.days,
            days: None,
            hour: span.micros / MICROS_PER_HOUR,
            minute: span.micros / MICROS_PER_MINUTE % 60,
            second: span.micros / MICROS_PER_SECOND % 60,
            micros: span.micros % MICROS_PER_SECOND,
            zone: None,
        };
        let template = text(arguments, 1)?;
        Ok(if template.is_empty() { Datum::Null } else { Datum::from(format(&moment, template)) })
    }));
}

fn render(local: i64, zone: Option<(i32, String)>, template: &str) -> Result<Datum> {
    if template.is_empty() || is_infinite(local) {
        return Ok(Datum::Null);
    }
    Ok(Datum::from(format(&Moment::of_timestamp(local, zone), template)))
}
