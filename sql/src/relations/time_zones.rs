//! Time zones: pg_timezone_names, pg_timezone_abbrevs.

use super::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::error::Result;
use crate::execute::Environment;
use crate::functions::SessionFunctions;
use crate::types::datetime::zone::{Abbreviation, ZoneState, abbreviations, zones_at};
use crate::value::{Datum, Interval};

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_timezone_names", zones), ("pg_timezone_abbrevs", abbreviated)];

fn interval(seconds: i32) -> Datum {
    Datum::Interval(Interval { months: 0, days: 0, micros: i64::from(seconds) * 1_000_000 })
}

/// Each zone as it is now.
fn zones(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |zone: &ZoneState| {
        relation.row(&[
            ("name", text(&zone.name)),
            ("abbrev", text(&zone.abbreviation)),
            ("utc_offset", interval(zone.seconds)),
            ("is_dst", Datum::Bool(zone.is_daylight)),
        ])
    };
    Ok(zones_at(environment.clock_timestamp()).iter().map(row).collect())
}

fn abbreviated(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |known: &Abbreviation| {
        relation.row(&[
            ("abbrev", text(known.name)),
            ("utc_offset", interval(known.seconds)),
            ("is_dst", Datum::Bool(known.is_daylight)),
        ])
    };
    Ok(abbreviations().iter().map(row).collect())
}
