//! What the fields of a date or a time mean (PostgreSQL's documentation, appendix B.1).
//!
//! 1. The fields are taken in order, and each says which parts of a moment it gives; no part may come twice.
//!    What a bare number is follows from the parts that were given before it, from its length and from DateStyle.
//! 2. The parts are checked: years before Christ and of two digits, days of the year, the calendar.
//! 3. A zone's name or an abbreviation that changed its meaning is resolved at last, when the date is known.

use super::calendar::{
    Civil, DATE_END, EPOCH_JULIAN, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    civil_of_day, day_of_civil, days_in_month, split_timestamp,
};
use super::fields::{Fields, Kind};
use super::parse::{Parsed, Refusal, Step, WrittenZone, fraction, fraction_micros, leading_integer};
use super::words::{self, Label, Word};
use super::zone::{self, KnownAbbreviation};
use crate::functions::{DateStyle, EvalContext};
use std::ops::RangeInclusive;

/// Parts of a moment, as a set.
pub(super) mod part {
    pub(crate) const YEAR: u32 = 1;
    pub(crate) const MONTH: u32 = 2;
    pub(crate) const DAY: u32 = 4;
    pub(crate) const DATE: u32 = YEAR | MONTH | DAY;
    pub(crate) const HOUR: u32 = 8;
    pub(crate) const MINUTE: u32 = 16;
    pub(crate) const SECOND: u32 = 32;
    pub(crate) const FRACTION: u32 = 64;
    pub(crate) const TIME: u32 = HOUR | MINUTE | SECOND | FRACTION;
    pub(crate) const ZONE: u32 = 128;
    /// The zone is that of daylight saving time.
    pub(crate) const SUMMER: u32 = 256;
    pub(crate) const SUMMER_WORD: u32 = 512;
    pub(crate) const HALF_OF_DAY: u32 = 1024;
    pub(crate) const WEEKDAY: u32 = 2048;
    pub(crate) const DAY_OF_YEAR: u32 = 4096;
    pub(crate) const ERA: u32 = 8192;
    /// A word that is a moment of its own.
    pub(crate) const MOMENT: u32 = 16_384;
}

/// The years whose days can be counted.
const CALENDAR_YEARS: RangeInclusive<i32> = -4800..=5_874_898;

/// A zone that is resolved when the date is known.
enum LateZone {
    Named(jiff::tz::TimeZone),
    Abbreviation(jiff::tz::TimeZone, String),
}

#[derive(Default)]
struct Decoder {
    order: DateStyle,
    /// The parts given so far.
    seen: u32,
    year: i32,
    month: i32,
    day: i32,
    day_of_year: i32,
    hour: i32,
    minute: i32,
    second: i32,
    micros: i64,
    /// Seconds east.
    offset: i32,
    late_zone: Option<LateZone>,
    /// The number before was a label of the next.
    label: Option<Label>,
    is_julian: bool,
    has_month_name: bool,
    has_short_year: bool,
    afternoon: Option<bool>,
    before_christ: bool,
    special: Option<Parsed>,
}

/// `+HH`, `+HHMM` or `+HH:MM[:SS]`, in seconds east.
pub(super) fn offset(text: &str) -> Step<i32> {
    let beyond = |_| Refusal::ZoneDisplacement;
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => return Err(Refusal::Syntax),
    };
    let (mut hours, mut rest) = leading_integer(unsigned).map_err(beyond)?;
    let (mut minutes, mut seconds) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        (minutes, rest) = leading_integer(after).map_err(beyond)?;
        if let Some(after) = rest.strip_prefix(':') {
            (seconds, rest) = leading_integer(after).map_err(beyond)?;
        }
    } else if rest.is_empty() && unsigned.len() > 2 {
        (hours, minutes) = (hours / 100, hours % 100);
    }
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(Refusal::ZoneDisplacement);
    }
    if rest.is_empty() { Ok(sign * ((hours * 60 + minutes) * 60 + seconds)) } else { Err(Refusal::Syntax) }
}

impl Decoder {
    fn has(&self, parts: u32) -> bool {
        self.seen & parts == parts
    }

    /// A date with separators, a zone's name, or a time run together with its offset (`040506-08`).
    fn date(&mut self, fields: &Fields, place: usize, time_only: bool) -> Step<u32> {
        let text = fields.text(place);
        if !time_only && self.label == Some(Label::Julian) {
            self.label = None;
            let (day, rest) = leading_integer(text)?;
            self.set_julian(day);
            self.offset = offset(rest)?;
            return Ok(part::DATE | part::TIME | part::ZONE);
        }
        let is_date = if time_only {
            // A date may stand before a time only.
            let last = fields.kind(fields.len() - 1);
            place == 0
                && fields.len() >= 2
                && (last == Some(Kind::Date) || fields.kind(1) == Some(Kind::Time))
        } else {
            self.label.is_none() && !self.has(part::MONTH | part::DAY)
        };
        if is_date {
            return self.separated_date(text);
        }
        if !text.starts_with(|first: char| first.is_ascii_digit()) && (time_only || self.label.is_none()) {
            let found = zone::named(text).ok_or_else(|| Refusal::Error(zone::not_recognized(text)))?;
            self.late_zone = Some(LateZone::Named(found));
            return Ok(part::ZONE);
        }
        if !time_only && self.label.take().is_some_and(|label| label != Label::Time) {
            return Err(Refusal::Syntax);
        }
        let Some(split) = text.find('-').filter(|_| !self.has(part::TIME)) else {
            return Err(Refusal::Syntax);
        };
        self.offset = offset(&text[split..])?;
        let seen = if time_only { self.seen | part::DATE } else { self.seen };
        Ok(self.run_together(&text[..split], seen)? | part::ZONE)
    }

    fn set_julian(&mut self, julian: i32) {
        // Whatever lies before the calendar's first year is refused when the date is put together.
        self.set_date(civil_of_day(julian.saturating_sub(EPOCH_JULIAN)));
        self.is_julian = true;
    }

    /// `a-b-c` and the like: a month's name first, then the numbers in their order.
    fn separated_date(&mut self, text: &str) -> Step<u32> {
        let mut pieces = Vec::with_capacity(3);
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|next: char| !next.is_ascii_alphanumeric());
            let is_number = match rest.chars().next() {
                None => return Err(Refusal::Syntax),
                Some(first) => first.is_ascii_digit(),
            };
            let length = rest
                .find(|next: char| !next.is_ascii_alphanumeric() || next.is_ascii_digit() != is_number)
                .unwrap_or(rest.len());
            pieces.push((&rest[..length], is_number));
            // One character separates, whatever it is.
            rest = rest.get(length + 1..).unwrap_or("");
        }
        let before = self.seen;
        let mut given = 0;
        let mut has_month_name = false;
        for (piece, _) in pieces.iter().filter(|piece| !piece.1) {
            match words::find(piece) {
                Some(Word::Ignored) => continue,
                Some(Word::Month(month)) => self.month = month,
                _ => return Err(Refusal::Syntax),
            }
            has_month_name = true;
            if (before | given) & part::MONTH != 0 {
                return Err(Refusal::Syntax);
            }
            given |= part::MONTH;
        }
        for (piece, _) in pieces.iter().filter(|piece| piece.1) {
            let more = self.single_number(piece, has_month_name, before | given)?;
            if (before | given) & more != 0 {
                return Err(Refusal::Syntax);
            }
            given |= more;
        }
        if (before | given) & !(part::DAY_OF_YEAR | part::ZONE) == part::DATE {
            Ok(given)
        } else {
            Err(Refusal::Syntax)
        }
    }

    /// A number whose meaning follows from the parts seen before it.
    fn single_number(&mut self, text: &str, has_month_name: bool, seen: u32) -> Step<u32> {
        use part::{DAY, MONTH, YEAR};
        let (value, rest) = leading_integer(text)?;
        let digits = text.len() - rest.len();
        if digits == 0 {
            return Err(Refusal::Syntax);
        }
        if rest.starts_with('.') {
            // `2001.360` and `040506.789`
            if digits > 2 {
                return self.run_together(text, seen | part::DATE);
            }
            self.micros = fraction_micros(rest)?;
        } else if !rest.is_empty() {
            return Err(Refusal::Syntax);
        }
        if text.len() == 3 && seen & part::DATE == YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(part::DAY_OF_YEAR | MONTH | DAY);
        }
        let order = self.order;
        const YEAR_MONTH: u32 = YEAR | MONTH;
        const MONTH_DAY: u32 = MONTH | DAY;
        let is_long = text.len() >= 3;
        let given = match seen & part::DATE {
            0 if is_long || order == DateStyle::YearMonthDay => YEAR,
            0 if order == DateStyle::DayMonthYear => DAY,
            0 | YEAR | DAY => MONTH,
            MONTH if has_month_name && (is_long || order == DateStyle::YearMonthDay) => YEAR,
            MONTH => DAY,
            YEAR_MONTH if has_month_name && is_long && self.has_short_year => {
                // `08-Jan-1999` where years come first: the first number was the day after all.
                (self.day, self.year, self.has_short_year) = (self.year, value, false);
                return Ok(DAY);
            }
            YEAR_MONTH => DAY,
            MONTH_DAY => YEAR,
            part::DATE => return self.run_together(text, seen),
            _ => return Err(Refusal::Syntax),
        };
        match given {
            YEAR => (self.year, self.has_short_year) = (value, text.len() <= 2),
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(given)
    }

    /// `YYMMDD`, `YYYYMMDD`, `HHMM`, `HHMMSS` and `HHMMSS.ffffff`.
    fn run_together(&mut self, text: &str, seen: u32) -> Step<u32> {
        let whole = match text.find('.') {
            Some(point) => {
                self.micros = fraction_micros(&text[point..])?;
                &text[..point]
            }
            None if seen & part::DATE != part::DATE && text.len() >= 6 => {
                let split = text.len() - 4;
                self.year = leading_integer(&text[..split])?.0;
                self.month = leading_integer(&text[split..split + 2])?.0;
                self.day = leading_integer(&text[split + 2..])?.0;
                self.has_short_year |= split == 2;
                return Ok(part::DATE);
            }
            None => text,
        };
        if seen & part::TIME == part::TIME || !matches!(whole.len(), 4 | 6) {
            return Err(Refusal::Syntax);
        }
        self.hour = leading_integer(&whole[..2])?.0;
        self.minute = leading_integer(&whole[2..4])?.0;
        self.second = leading_integer(&whole[4..])?.0;
        Ok(part::TIME)
    }

    /// `HH:MM[:SS[.ffffff]]`, or `MM:SS.ffffff`.
    fn clock(&mut self, text: &str) -> Step<u32> {
        let clock = Clock::read(text, false)?;
        self.hour = i32::try_from(clock.hour).map_err(|_| Refusal::OutOfRange)?;
        (self.minute, self.second, self.micros) = (clock.minute, clock.second, clock.micros);
        self.check_time()?;
        Ok(part::TIME)
    }

    fn micros_of_day(&self) -> i64 {
        i64::from(self.hour) * MICROS_PER_HOUR
            + i64::from(self.minute) * MICROS_PER_MINUTE
            + i64::from(self.second) * MICROS_PER_SECOND
            + self.micros
    }

    fn check_time(&self) -> Step<()> {
        let is_time = self.minute <= 59 && self.second <= 60 && self.micros_of_day() <= MICROS_PER_DAY;
        if is_time { Ok(()) } else { Err(Refusal::OutOfRange) }
    }

    /// A number after a label.
    fn labelled(&mut self, text: &str, label: Label) -> Step<u32> {
        self.special = None;
        let (value, rest) = leading_integer(text)?;
        let may_be_broken = matches!(label, Label::Julian | Label::Time | Label::Second);
        let is_broken = rest.starts_with('.') && may_be_broken;
        if !rest.is_empty() && !is_broken {
            return Err(Refusal::Syntax);
        }
        let (field, given) = match label {
            Label::Year => (&mut self.year, part::YEAR),
            // An M after the hour is the minute.
            Label::Month if self.seen & part::MONTH != 0 && self.seen & part::HOUR != 0 => {
                (&mut self.minute, part::MINUTE)
            }
            Label::Month => (&mut self.month, part::MONTH),
            Label::Day => (&mut self.day, part::DAY),
            Label::Hour => (&mut self.hour, part::HOUR),
            Label::Minute => (&mut self.minute, part::MINUTE),
            Label::Second => {
                self.second = value;
                if rest.is_empty() {
                    return Ok(part::SECOND);
                }
                self.micros = fraction_micros(rest)?;
                return Ok(part::SECOND | part::FRACTION);
            }
            Label::Julian => {
                self.set_julian(value);
                if rest.is_empty() {
                    return Ok(part::DATE);
                }
                let micros = (fraction(rest)? * MICROS_PER_DAY as f64) as i64;
                (self.hour, self.minute, self.second, self.micros) = (0, 0, 0, micros);
                return Ok(part::DATE | part::TIME);
            }
            Label::Time => {
                let given = self.run_together(text, self.seen | part::DATE)?;
                return if given == part::TIME { Ok(given) } else { Err(Refusal::Syntax) };
            }
            Label::Unusable => return Err(Refusal::Syntax),
        };
        *field = value;
        Ok(given)
    }

    fn number(&mut self, fields: &Fields, place: usize, time_only: bool) -> Step<u32> {
        let text = fields.text(place);
        if let Some(label) = self.label.take() {
            return self.labelled(text, label);
        }
        let whole_digits = text.find('.');
        if time_only {
            let seen = self.seen | part::DATE;
            return match whole_digits {
                Some(_)
                    if place == 0
                        && fields.len() >= 2
                        && fields.kind(fields.len() - 1) == Some(Kind::Date) =>
                {
                    self.separated_date(text)
                }
                Some(digits) if digits > 2 => self.run_together(text, seen),
                Some(_) => Err(Refusal::Syntax),
                None if text.len() > 4 => self.run_together(text, seen),
                None => self.single_number(text, false, seen),
            };
        }
        match whole_digits {
            Some(_) if self.seen & part::DATE == 0 => self.separated_date(text),
            Some(digits) if digits > 2 => self.run_together(text, self.seen),
            // A long year comes last: after a date's and a time's first parts.
            _ if text.len() >= 6 && (self.seen & part::DATE == 0 || self.seen & part::TIME == 0) => {
                self.run_together(text, self.seen)
            }
            _ => self.single_number(text, self.has_month_name, self.seen),
        }
    }

    /// A word; `None` if it says nothing.
    fn word(
        &mut self,
        fields: &Fields,
        place: usize,
        time_only: bool,
        context: &EvalContext<'_>,
    ) -> Step<Option<u32>> {
        let text = fields.text(place);
        if let Some(known) = zone::known_abbreviation(text) {
            return Ok(Some(match known {
                KnownAbbreviation::Fixed { seconds, is_daylight } => {
                    self.offset = seconds;
                    if is_daylight { part::ZONE | part::SUMMER } else { part::ZONE }
                }
                KnownAbbreviation::Changing(zone) => {
                    self.late_zone = Some(LateZone::Abbreviation(zone, text.to_owned()));
                    part::ZONE
                }
            }));
        }
        let Some(word) = words::find(text) else {
            let found = zone::named(text).ok_or(Refusal::Syntax)?;
            self.late_zone = Some(LateZone::Named(found));
            return Ok(Some(part::ZONE));
        };
        Ok(Some(match word {
            Word::Ignored => return Ok(None),
            Word::Month(_) | Word::Day(_) | Word::Epoch | Word::Infinity | Word::NegativeInfinity
                if time_only =>
            {
                return Err(Refusal::Syntax);
            }
            Word::Month(month) => {
                let mut given = part::MONTH;
                let number_is_day = self.has(part::MONTH)
                    && !self.has_month_name
                    && !self.has(part::DAY)
                    && (1..=31).contains(&self.month);
                if number_is_day {
                    self.day = self.month;
                    given = part::DAY;
                }
                self.has_month_name = true;
                self.month = month;
                given
            }
            Word::DayOfWeek if time_only => return Err(Refusal::Syntax),
            Word::DayOfWeek => part::WEEKDAY,
            Word::Afternoon(afternoon) => {
                self.afternoon = Some(afternoon);
                part::HALF_OF_DAY
            }
            Word::BeforeChrist(before_christ) => {
                self.before_christ = before_christ;
                part::ERA
            }
            Word::Label(Label::Time) => {
                let next = fields.kind(place + 1);
                let has_time = matches!(next, Some(Kind::Number | Kind::Time | Kind::Date));
                if !has_time || !(time_only || self.has(part::DATE)) {
                    return Err(Refusal::Syntax);
                }
                self.label = Some(Label::Time);
                0
            }
            Word::Label(label) => {
                self.label = Some(label);
                0
            }
            Word::Daylight => {
                self.offset += 3_600;
                part::SUMMER | part::SUMMER_WORD
            }
            Word::Now if time_only => {
                let zone = &context.settings.time_zone;
                let local = zone::instant_to_local(zone, context.transaction_timestamp);
                (self.hour, self.minute, self.second, self.micros) = (0, 0, 0, split_timestamp(local).1);
                part::TIME
            }
            Word::Now => {
                let (zone, now) = (&context.settings.time_zone, context.transaction_timestamp);
                let (day, micros) = split_timestamp(zone::instant_to_local(zone, now));
                self.set_date(civil_of_day(day));
                (self.hour, self.minute, self.second, self.micros) = (0, 0, 0, micros);
                self.offset = zone::offset_at(zone, now);
                part::DATE | part::TIME | part::ZONE
            }
            Word::Day(after) => {
                let zone = &context.settings.time_zone;
                let local = zone::instant_to_local(zone, context.transaction_timestamp);
                self.set_date(civil_of_day(split_timestamp(local).0 + after));
                part::DATE
            }
            Word::AllBalls => {
                (self.hour, self.minute, self.second, self.offset) = (0, 0, 0, 0);
                self.special = None;
                part::TIME | part::ZONE
            }
            Word::Epoch => self.whole(Parsed::Epoch),
            Word::Infinity => self.whole(Parsed::Infinity),
            Word::NegativeInfinity => self.whole(Parsed::NegativeInfinity),
        }))
    }

    /// A moment of its own. What other fields say does not matter, unless they begin a date.
    fn whole(&mut self, special: Parsed) -> u32 {
        self.special = Some(special);
        part::MOMENT
    }

    fn set_date(&mut self, date: Civil) {
        (self.year, self.month, self.day) = (date.year, date.month, date.day);
        self.special = None;
    }

    /// Sets the year that is meant and checks the date's parts.
    fn check_date(&mut self) -> Step<()> {
        if self.has(part::YEAR) && !self.is_julian {
            if self.before_christ {
                if self.year <= 0 {
                    return Err(Refusal::OutOfRange);
                }
                self.year = 1 - self.year;
            } else if self.has_short_year {
                // 1970 to 2069.
                self.year = self.year.saturating_add(if self.year < 70 { 2000 } else { 1900 });
            } else if self.year <= 0 {
                return Err(Refusal::OutOfRange);
            }
        }
        if self.has(part::DAY_OF_YEAR) {
            (self.month, self.day) = (1, 1);
            if CALENDAR_YEARS.contains(&self.year) {
                let first = day_of_civil(self.year, 1, 1);
                let Civil { year, month, day } = civil_of_day(first + self.day_of_year - 1);
                (self.year, self.month, self.day) = (year, month, day);
            }
        }
        let is_month = !self.has(part::MONTH) || (1..=12).contains(&self.month);
        let is_day = !self.has(part::DAY) || (1..=31).contains(&self.day);
        if !is_month || !is_day {
            return Err(Refusal::MonthOrDay);
        }
        if self.has(part::DATE) && self.day > days_in_month(self.year, self.month) {
            return Err(Refusal::OutOfRange);
        }
        Ok(())
    }

    fn apply_half_of_day(&mut self) -> Step<()> {
        let Some(afternoon) = self.afternoon else { return Ok(()) };
        if self.hour > 12 {
            return Err(Refusal::OutOfRange);
        }
        self.hour = self.hour % 12 + if afternoon { 12 } else { 0 };
        Ok(())
    }

    /// The zone, if any was written; `day` is that of the date, or today.
    fn zone(&mut self, day: i32, has_date: bool, time_only: bool) -> Step<Option<WrittenZone>> {
        // Only a fixed zone can be moved by an hour.
        if self.has(part::SUMMER_WORD) && (self.late_zone.is_some() || !self.has(part::ZONE)) {
            return Err(Refusal::Syntax);
        }
        Ok(match self.late_zone.take() {
            // Which offset holds would depend on the day.
            Some(LateZone::Named(zone)) if time_only && !has_date && zone::changes(&zone) => {
                return Err(Refusal::Syntax);
            }
            Some(LateZone::Named(zone)) => Some(WrittenZone::Named(zone)),
            Some(LateZone::Abbreviation(zone, name)) => {
                let local =
                    i64::from(day).saturating_mul(MICROS_PER_DAY).saturating_add(self.micros_of_day());
                Some(WrittenZone::Offset(zone::abbreviation_offset(&zone, &name, local)))
            }
            None => self.has(part::ZONE).then_some(WrittenZone::Offset(self.offset)),
        })
    }

    fn finish(mut self, time_only: bool, context: &EvalContext<'_>) -> Step<Parsed> {
        if let Some(special) = self.special {
            return Ok(special);
        }
        self.check_date()?;
        self.apply_half_of_day()?;
        let has_date = self.has(part::DATE);
        if time_only {
            self.check_time()?;
            let is_zone_late = matches!(self.late_zone, Some(LateZone::Abbreviation(..)));
            let needs_date =
                self.seen & part::DATE != 0 && !has_date && (is_zone_late || !self.has(part::ZONE));
            if !self.has(part::TIME) || needs_date {
                return Err(Refusal::Syntax);
            }
        } else if !has_date {
            return Err(Refusal::Syntax);
        }
        let date = has_date.then(|| {
            // Beyond the calendar any day past the end does: the caller's type names the error.
            if CALENDAR_YEARS.contains(&self.year) {
                day_of_civil(self.year, self.month, self.day)
            } else {
                DATE_END
            }
        });
        let day = date.unwrap_or_else(|| {
            let zone = &context.settings.time_zone;
            split_timestamp(zone::instant_to_local(zone, context.transaction_timestamp)).0
        });
        let zone = self.zone(day, has_date, time_only)?;
        Ok(Parsed::Fields { date, time: Some(self.micros_of_day()), zone })
    }
}

/// A time of day, or of an interval, as written.
pub(super) struct Clock {
    pub(super) hour: i64,
    pub(super) minute: i32,
    pub(super) second: i32,
    pub(super) micros: i64,
}

impl Clock {
    /// `HH:MM[:SS[.ffffff]]`; two parts are minutes and seconds where a fraction follows or `ends_in_seconds`.
    pub(super) fn read(text: &str, ends_in_seconds: bool) -> Step<Clock> {
        let count = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at(count);
        let hour = if count == 0 { 0 } else { digits.parse::<i64>().map_err(|_| Refusal::OutOfRange)? };
        let (minute, rest) = leading_integer(rest.strip_prefix(':').ok_or(Refusal::Syntax)?)?;
        let shifted = |micros| -> Step<Clock> {
            let moved = i32::try_from(hour).map_err(|_| Refusal::OutOfRange)?;
            Ok(Clock { hour: 0, minute: moved, second: minute, micros })
        };
        let clock = if rest.is_empty() {
            if ends_in_seconds { shifted(0)? } else { Clock { hour, minute, second: 0, micros: 0 } }
        } else if rest.starts_with('.') {
            shifted(fraction_micros(rest)?)?
        } else {
            let (second, rest) = leading_integer(rest.strip_prefix(':').ok_or(Refusal::Syntax)?)?;
            let micros = if rest.is_empty() { 0 } else { fraction_micros(rest)? };
            Clock { hour, minute, second, micros }
        };
        if clock.minute > 59 || clock.second > 60 { Err(Refusal::OutOfRange) } else { Ok(clock) }
    }
}

/// Decodes the fields of a date, a timestamp or, if only that is wanted, a time.
pub(super) fn decode(fields: &Fields, time_only: bool, context: &EvalContext<'_>) -> Step<Parsed> {
    let mut decoder = Decoder { order: context.settings.date_style, ..Decoder::default() };
    for place in 0..fields.len() {
        let Some(kind) = fields.kind(place) else { break };
        let given = match kind {
            Kind::Date => decoder.date(fields, place, time_only)?,
            Kind::Time => {
                if !time_only && decoder.label.take().is_some_and(|label| label != Label::Time) {
                    return Err(Refusal::Syntax);
                }
                decoder.clock(fields.text(place))?
            }
            Kind::Signed => {
                decoder.offset = offset(fields.text(place))?;
                part::ZONE
            }
            Kind::Number => decoder.number(fields, place, time_only)?,
            Kind::Word | Kind::Special => match decoder.word(fields, place, time_only, context)? {
                Some(given) => given,
                None => continue,
            },
        };
        if given & decoder.seen != 0 {
            return Err(Refusal::Syntax);
        }
        decoder.seen |= given;
    }
    decoder.finish(time_only, context)
}
