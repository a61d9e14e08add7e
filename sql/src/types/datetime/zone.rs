//! Time zones: offsets of instants and of local times, by name, abbreviation or number.

use std::sync::LazyLock;

use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, UNIX_EPOCH_DAYS};
use crate::error::{Result, SqlError};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// Seconds in 400 years, after which the calendar repeats.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
/// What the zone rules are asked for lies within these years' seconds (since 1970).
const SECONDS_MAX: i64 = 200_000_000_000;

/// Seconds since 1970, moved by whole calendar cycles to where the rules are defined.
fn zone_seconds(timestamp: i64) -> i64 {
    let seconds = timestamp.div_euclid(MICROS_PER_SECOND) + UNIX_EPOCH_DAYS * 86_400;
    if (-SECONDS_MAX..=SECONDS_MAX).contains(&seconds) {
        return seconds;
    }
    let beyond = if seconds > 0 { seconds - SECONDS_MAX } else { seconds + SECONDS_MAX };
    let cycles = if seconds > 0 {
        (beyond + CYCLE_SECONDS - 1) / CYCLE_SECONDS
    } else {
        (beyond - CYCLE_SECONDS + 1) / CYCLE_SECONDS
    };
    seconds - cycles * CYCLE_SECONDS
}

/// The offset east of UTC, in seconds, at an instant.
pub(crate) fn offset_at(zone: &TimeZone, timestamp: i64) -> i32 {
    match Timestamp::from_second(zone_seconds(timestamp)) {
        Ok(instant) => zone.to_offset(instant).seconds(),
        Err(_) => 0,
    }
}

/// The zone's abbreviation at an instant.
pub(crate) fn abbreviation_at(zone: &TimeZone, timestamp: i64) -> String {
    match Timestamp::from_second(zone_seconds(timestamp)) {
        Ok(instant) => zone.to_offset_info(instant).abbreviation().to_owned(),
        Err(_) => String::new(),
    }
}

/// The offset of a local time. A time that a change skips or repeats takes the offset PostgreSQL takes: that
/// before the change when skipped, standard time's (the later) when repeated.
pub(crate) fn offset_of_local(zone: &TimeZone, local: i64) -> i32 {
    // Candidates are the offsets a day before and after; most of the time they agree.
    let before = offset_at(zone, local.saturating_sub(MICROS_PER_DAY));
    let after = offset_at(zone, local.saturating_add(MICROS_PER_DAY));
    let holds =
        |offset: i32| offset_at(zone, local.saturating_sub(i64::from(offset) * MICROS_PER_SECOND)) == offset;
    match (holds(before), holds(after)) {
        (true, true) => after,
        (false, true) => after,
        (true, false) => before,
        // Skipped: the clock had not yet been changed.
        (false, false) => before,
    }
}

/// A local timestamp as an instant.
pub(crate) fn local_to_instant(zone: &TimeZone, local: i64) -> Option<i64> {
    let offset = offset_of_local(zone, local);
    local.checked_sub(i64::from(offset) * MICROS_PER_SECOND)
}

/// An instant's local timestamp.
pub(crate) fn instant_to_local(zone: &TimeZone, instant: i64) -> i64 {
    instant.saturating_add(i64::from(offset_at(zone, instant)) * MICROS_PER_SECOND)
}

/// PostgreSQL's default abbreviations of zones, one a line: seconds east, and whether it is daylight saving time.
const ABBREVIATIONS: &str = include_str!("abbreviations.txt");

/// An abbreviation of a zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abbreviation {
    pub(crate) name: &'static str,
    /// East.
    pub(crate) seconds: i32,
    pub(crate) is_daylight: bool,
}

/// All abbreviations, by name.
pub(crate) fn abbreviations() -> &'static [Abbreviation] {
    static ALL: LazyLock<Vec<Abbreviation>> = LazyLock::new(|| {
        let read = |line: &'static str| {
            let mut fields = line.split(' ');
            let (name, seconds) = (fields.next()?, fields.next()?.parse().ok()?);
            Some(Abbreviation { name, seconds, is_daylight: fields.next()? == "t" })
        };
        ABBREVIATIONS.lines().filter_map(read).collect()
    });
    &ALL
}

/// The fixed offset of an abbreviation, in seconds east.
pub(crate) fn abbreviation(name: &str) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    let found = abbreviations().binary_search_by_key(&name.as_str(), |known| known.name).ok()?;
    Some(abbreviations()[found].seconds)
}

/// What a zone is at an instant.
pub(crate) struct ZoneState {
    pub(crate) name: String,
    pub(crate) abbreviation: String,
    pub(crate) seconds: i32,
    pub(crate) is_daylight: bool,
}

/// All zones that the library knows, as they are at an instant.
pub(crate) fn zones_at(timestamp: i64) -> Vec<ZoneState> {
    let Ok(instant) = Timestamp::from_second(zone_seconds(timestamp)) else { return Vec::new() };
    let state = |name: &str| {
        let zone = TimeZone::get(name).ok()?;
        let info = zone.to_offset_info(instant);
        Some(ZoneState {
            name: name.to_owned(),
            abbreviation: info.abbreviation().to_owned(),
            seconds: info.offset().seconds(),
            is_daylight: info.dst().is_dst(),
        })
    };
    jiff::tz::db().available().filter_map(|name| state(name.as_str())).collect()
}

/// A zone by name, abbreviation or POSIX offset (`UTC+3` is three hours west, as POSIX has it), as
/// `AT TIME ZONE` and `SET TIME ZONE` take it.
///
/// # Errors
/// 22023 `time zone "…" not recognized`.
pub fn zone_by_name(name: &str) -> Result<TimeZone> {
    if let Some(seconds) = abbreviation(name) {
        return fixed(seconds);
    }
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let letters = name.trim_start_matches(|character: char| character.is_ascii_alphabetic());
    let is_named = letters.len() < name.len();
    let offset = letters.strip_prefix(['+', '-']);
    if let Some(seconds) = parse_offset(if offset.is_some() { letters } else { "" })
        && (is_named || offset.is_some())
    {
        return fixed(-seconds);
    }
    Err(not_recognized(name))
}

/// A zone of fixed offset, in seconds east.
pub(crate) fn fixed(seconds: i32) -> Result<TimeZone> {
    Offset::from_seconds(seconds)
        .map(TimeZone::fixed)
        .map_err(|_| SqlError::invalid_parameter("time zone displacement out of range"))
}

/// 22023.
#[cold]
pub(crate) fn not_recognized(name: &str) -> SqlError {
    SqlError::invalid_parameter(format!("time zone \"{name}\" not recognized"))
}

/// `+HH`, `+HHMM`, `+HH:MM[:SS]`, in seconds.
pub(crate) fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let number = |part: &str| {
        let valid = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if valid { part.parse::<i32>().ok() } else { None }
    };
    let (hours, minutes, seconds) = if rest.contains(':') {
        let mut parts = rest.split(':');
        let hours = number(parts.next()?)?;
        let minutes = number(parts.next()?)?;
        let seconds = parts.next().map_or(Some(0), number)?;
        if parts.next().is_some() {
            return None;
        }
        (hours, minutes, seconds)
    } else if rest.len() > 2 && rest.is_ascii() {
        let (hours, minutes) = rest.split_at(rest.len() - 2);
        (number(hours)?, number(minutes)?, 0)
    } else {
        (number(rest)?, 0, 0)
    };
    (hours <= 15 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}
