//! Operators and functions of `pg_lsn`, and where the log is.

use std::cmp::Ordering;

use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError};
use crate::types::oids::{INT4, NUMERIC, PG_LSN};
use crate::types::pg_lsn::{of_place, place};
use crate::value::{Datum, Numeric};

/// Those that tell how far the log has come: a place is told only once what lies before it is durable, so all are one.
const ENDS: [&str; 3] = ["pg_current_wal_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_flush_lsn"];

/// Those that a server which recovers or follows another one answers.
const OF_RECOVERY: [&str; 2] = ["pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn"];

fn place_at(arguments: &[Datum], at: usize) -> Result<u64> {
    arguments.get(at).and_then(place).ok_or_else(wrong_arguments)
}

fn number_at(arguments: &[Datum], at: usize) -> Result<&Numeric> {
    match arguments.get(at) {
        Some(Datum::Numeric(number)) => Ok(number),
        _ => Err(wrong_arguments()),
    }
}

fn number_of(place: u64) -> Numeric {
    Numeric::from(i128::from(place))
}

/// The place of a number, to the nearest whole one.
fn place_of(number: &Numeric) -> Result<Datum> {
    if number.is_nan() {
        return Err(SqlError::unsupported("cannot convert NaN to pg_lsn"));
    }
    if !number.is_finite() {
        return Err(SqlError::unsupported("cannot convert infinity to pg_lsn"));
    }
    let whole = number.round(0).to_i128().and_then(|number| u64::try_from(number).ok());
    whole.map(of_place).ok_or_else(|| SqlError::invalid_parameter("pg_lsn out of range"))
}

fn moved_on(place: u64, by: &Numeric) -> Result<Datum> {
    if by.is_nan() {
        return Err(SqlError::unsupported("cannot add NaN to pg_lsn"));
    }
    place_of(&number_of(place).add(by)?)
}

fn moved_back(place: u64, by: &Numeric) -> Result<Datum> {
    if by.is_nan() {
        return Err(SqlError::unsupported("cannot subtract NaN from pg_lsn"));
    }
    place_of(&number_of(place).sub(by)?)
}

/// The bytes between two places.
fn distance(arguments: &[Datum]) -> Result<Datum> {
    let (to, from) = (place_at(arguments, 0)?, place_at(arguments, 1)?);
    Ok(Datum::Numeric(Numeric::from(i128::from(to) - i128::from(from))))
}

/// One of two places, by how the first compares to the second.
fn chosen(arguments: &[Datum], wanted: Ordering) -> Result<Datum> {
    let order = place_at(arguments, 0)?.cmp(&place_at(arguments, 1)?);
    Ok(arguments[usize::from(order != wanted)].clone())
}

pub(super) fn register(registry: &mut Registry) {
    let minus = Entry::new("pg_lsn_mi", &[PG_LSN, PG_LSN], NUMERIC, |arguments, _| distance(arguments));
    registry.add_operator("-", minus);
    registry
        .add(Entry::new("pg_wal_lsn_diff", &[PG_LSN, PG_LSN], NUMERIC, |arguments, _| distance(arguments)));
    registry.add_operator(
        "+",
        Entry::new("pg_lsn_pli", &[PG_LSN, NUMERIC], PG_LSN, |arguments, _| {
            moved_on(place_at(arguments, 0)?, number_at(arguments, 1)?)
        }),
    );
    registry.add_operator(
        "+",
        Entry::new("numeric_pl_pg_lsn", &[NUMERIC, PG_LSN], PG_LSN, |arguments, _| {
            moved_on(place_at(arguments, 1)?, number_at(arguments, 0)?)
        }),
    );
    registry.add_operator(
        "-",
        Entry::new("pg_lsn_mii", &[PG_LSN, NUMERIC], PG_LSN, |arguments, _| {
            moved_back(place_at(arguments, 0)?, number_at(arguments, 1)?)
        }),
    );
    registry.add(Entry::new("pg_lsn", &[NUMERIC], PG_LSN, |arguments, _| place_of(number_at(arguments, 0)?)));
    registry.add(Entry::new("pg_lsn_larger", &[PG_LSN, PG_LSN], PG_LSN, |arguments, _| {
        chosen(arguments, Ordering::Greater)
    }));
    registry.add(Entry::new("pg_lsn_smaller", &[PG_LSN, PG_LSN], PG_LSN, |arguments, _| {
        chosen(arguments, Ordering::Less)
    }));
    registry.add(Entry::new("pg_lsn_cmp", &[PG_LSN, PG_LSN], INT4, |arguments, _| {
        Ok(Datum::Int32(place_at(arguments, 0)?.cmp(&place_at(arguments, 1)?) as i32))
    }));
    for name in ENDS {
        registry.add(Entry::session(name, &[], PG_LSN).volatile());
    }
    for name in OF_RECOVERY {
        registry.add(Entry::new(name, &[], PG_LSN, |_, _| Ok(Datum::Null)).volatile());
    }
}
