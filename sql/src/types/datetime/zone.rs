//! Time zones: offsets of instants and of local times, by name, abbreviation or number.

use std::sync::LazyLock;

use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, UNIX_EPOCH_DAYS};
use super::parse::Refusal;
use super::{decode, posix_zone};
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

/// PostgreSQL's default abbreviations of zones, one a line: seconds east, whether it is
/// daylight saving time, and the zone to ask where its meaning has changed.
const ABBREVIATIONS: &str = include_str!("abbreviations.txt");

/// An abbreviation of a zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abbreviation {
    pub(crate) name: &'static str,
    /// East.
    pub(crate) seconds: i32,
    pub(crate) is_daylight: bool,
    /// The zone that tells what it means at a time, where that has changed.
    pub(crate) zone: Option<&'static str>,
}

/// All abbreviations, by name.
pub(crate) fn abbreviations() -> &'static [Abbreviation] {
    static ALL: LazyLock<Vec<Abbreviation>> = LazyLock::new(|| {
        let read = |line: &'static str| {
            let mut fields = line.split(' ');
            let (name, seconds) = (fields.next()?, fields.next()?.parse().ok()?);
            Some(Abbreviation { name, seconds, is_daylight: fields.next()? == "t", zone: fields.next() })
        };
        ABBREVIATIONS.lines().filter_map(read).collect()
    });
    &ALL
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

/// A zone by its name in any letter case, or by POSIX rules.
pub(crate) fn named(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().or_else(|| posix_zone::parse(name))
}

/// Whether a zone ever changes its offset.
pub(crate) fn changes(zone: &TimeZone) -> bool {
    zone.following(Timestamp::MIN).next().is_some()
}

/// What an abbreviation stands for.
pub(crate) enum KnownAbbreviation {
    /// Always the same offset, in seconds east.
    Fixed { seconds: i32, is_daylight: bool },
    /// Whatever the zone meant by it at the time.
    Changing(TimeZone),
}

/// What an abbreviation in any letter case stands for.
pub(crate) fn known_abbreviation(name: &str) -> Option<KnownAbbreviation> {
    // The longest has five letters.
    if name.len() > 6 {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let place = abbreviations().binary_search_by_key(&upper.as_str(), |known| known.name).ok()?;
    let Abbreviation { seconds, is_daylight, zone, .. } = abbreviations()[place];
    match zone.and_then(|zone| TimeZone::get(zone).ok()) {
        Some(zone) => Some(KnownAbbreviation::Changing(zone)),
        None => Some(KnownAbbreviation::Fixed { seconds, is_daylight }),
    }
}

/// The offset that a zone's abbreviation had last before an instant, or else had first after it.
pub(crate) fn abbreviation_offset_at(zone: &TimeZone, name: &str, timestamp: i64) -> i32 {
    let Ok(instant) = Timestamp::from_second(zone_seconds(timestamp)) else { return 0 };
    let now = zone.to_offset_info(instant);
    if now.abbreviation().eq_ignore_ascii_case(name) {
        return now.offset().seconds();
    }
    let before = zone.preceding(instant).find(|change| change.abbreviation().eq_ignore_ascii_case(name));
    // A zone may go on changing for ever: where it has not used the abbreviation by now, it soon does or never.
    const CHANGES_MAX: usize = 500;
    let found = before.or_else(|| {
        let mut after = zone.following(instant).take(CHANGES_MAX);
        after.find(|change| change.abbreviation().eq_ignore_ascii_case(name))
    });
    found.map_or_else(|| now.offset().seconds(), |change| change.offset().seconds())
}

/// [`abbreviation_offset_at`] a local time.
pub(crate) fn abbreviation_offset(zone: &TimeZone, name: &str, local: i64) -> i32 {
    let instant = local_to_instant(zone, local).unwrap_or(local);
    abbreviation_offset_at(zone, name, instant)
}

/// A moment at which a zone is asked for its offset.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// Microseconds since 2000 UTC.
    Instant(i64),
    /// Microseconds since 2000 by the zone's own clocks.
    Local(i64),
}

/// A zone by abbreviation, name or POSIX rules (`UTC+3` is three hours west, as POSIX has it), as `AT TIME ZONE`
/// takes it. The moment tells what an abbreviation meant whose meaning has changed.
///
/// # Errors
/// 22023 `time zone "…" not recognized`.
pub(crate) fn zone_by_name(name: &str, moment: Moment) -> Result<TimeZone> {
    match known_abbreviation(name) {
        Some(KnownAbbreviation::Fixed { seconds, .. }) => fixed(seconds),
        Some(KnownAbbreviation::Changing(zone)) => fixed(match moment {
            Moment::Instant(instant) => abbreviation_offset_at(&zone, name, instant),
            Moment::Local(local) => abbreviation_offset(&zone, name, local),
        }),
        None => named(name).ok_or_else(|| not_recognized(name)),
    }
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

/// An offset with a sign, in seconds east; `None` for what looks otherwise, an error for one that is too large.
pub(crate) fn parse_offset(text: &str) -> Option<std::result::Result<i32, ()>> {
    match decode::offset(text) {
        Ok(seconds) => Some(Ok(seconds)),
        Err(Refusal::ZoneDisplacement) => Some(Err(())),
        Err(_) => None,
    }
}
