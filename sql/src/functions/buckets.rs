//! Sorting values into buckets: `date_bin`, and `width_bucket` by a list of bounds.

use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext};
use crate::error::{Result, SqlError, SqlState};
use crate::types::datetime::calendar::{MICROS_PER_DAY, is_infinite, is_timestamp, timestamp_out_of_range};
use crate::types::datetime::interval::out_of_range;
use crate::types::oids::{ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, INT4, INTERVAL, TIMESTAMP, TIMESTAMPTZ};
use crate::value::Datum;

/// The beginning of the stretch, counted from `origin` in steps of `stride`, that a moment lies in.
fn bin(stride: &crate::value::Interval, moment: i64, origin: i64) -> Result<i64> {
    if is_infinite(moment) {
        return Ok(moment);
    }
    if is_infinite(origin) {
        return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        return Err(SqlError::unsupported(
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let stride = i64::from(stride.days)
        .checked_mul(MICROS_PER_DAY)
        .and_then(|days| days.checked_add(stride.micros))
        .ok_or_else(out_of_range)?;
    if stride <= 0 {
        return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let since = moment.checked_sub(origin).ok_or_else(out_of_range)?;
    let after = since % stride;
    let bin = moment - after;
    // Before the origin the beginning lies one stretch earlier.
    if after >= 0 {
        return Ok(bin);
    }
    bin.checked_sub(stride).filter(|bin| is_timestamp(*bin)).ok_or_else(timestamp_out_of_range)
}

fn date_bin(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    match arguments {
        [Datum::Interval(stride), Datum::Timestamp(moment), Datum::Timestamp(origin)] => {
            bin(stride, *moment, *origin).map(Datum::Timestamp)
        }
        [Datum::Interval(stride), Datum::TimestampTz(moment), Datum::TimestampTz(origin)] => {
            bin(stride, *moment, *origin).map(Datum::TimestampTz)
        }
        _ => Err(wrong_arguments()),
    }
}

/// How many of the bounds, which ascend, a value has reached.
fn width_bucket(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let [value, Datum::Array(bounds)] = arguments else { return Err(wrong_arguments()) };
    if bounds.dimensions.len() > 1 {
        return Err(SqlError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "thresholds must be one-dimensional array",
        ));
    }
    if bounds.elements.iter().any(Datum::is_null) {
        return Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "thresholds array must not contain NULLs",
        ));
    }
    let reached = |bound: &Datum| context.compare(bounds.element_type, value, bound).is_ge();
    Ok(Datum::Int32(bounds.elements.partition_point(reached) as i32))
}

pub(super) fn register(registry: &mut Registry) {
    for oid in [TIMESTAMP, TIMESTAMPTZ] {
        registry.add(Entry::new("date_bin", &[INTERVAL, oid, oid], oid, date_bin));
    }
    registry.add(Entry::typed("width_bucket", &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY], INT4, width_bucket));
}
