//! `(start, end) OVERLAPS (start, end)`.

use super::EvalContext;
use super::interval_arithmetic::{add_to_instant, add_to_timestamp};
use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use crate::error::Result;
use crate::types::datetime::calendar::MICROS_PER_DAY;
use crate::types::oids::{BOOL, INTERVAL, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ};
use crate::value::{Datum, compare_values};

/// The end of a period, which may be given as its length.
fn end_of(start: &Datum, end: &Datum, context: &EvalContext<'_>) -> Result<Datum> {
    let Datum::Interval(length) = end else { return Ok(end.clone()) };
    match start {
        Datum::Null => Ok(Datum::Null),
        Datum::Timestamp(start) => add_to_timestamp(*start, length).map(Datum::Timestamp),
        Datum::TimestampTz(start) => {
            add_to_instant(*start, length, &context.settings.time_zone).map(Datum::TimestampTz)
        }
        Datum::Time(start) => Ok(Datum::Time((start + length.micros).rem_euclid(MICROS_PER_DAY))),
        _ => Err(wrong_arguments()),
    }
}

/// A period with its earlier bound first; of one known bound that is it, and of none there is no period.
fn period(start: Datum, end: Datum) -> Option<(Datum, Datum)> {
    match (start.is_null(), end.is_null()) {
        (true, true) => None,
        (true, false) => Some((end, Datum::Null)),
        (false, false) if compare_values(&start, &end).is_gt() => Some((end, start)),
        (false, _) => Some((start, end)),
    }
}

/// Whether a later period begins before an earlier one ends; unknown where that depends on a NULL.
fn begins_within(later: &(Datum, Datum), earlier: &(Datum, Datum)) -> Datum {
    if earlier.1.is_null() {
        Datum::Null
    } else if compare_values(&later.0, &earlier.1).is_lt() {
        Datum::Bool(true)
    } else if later.1.is_null() {
        Datum::Null
    } else {
        Datum::Bool(false)
    }
}

fn overlaps(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let [first, first_end, second, second_end] = arguments else { return Err(wrong_arguments()) };
    let periods = (
        period(first.clone(), end_of(first, first_end, context)?),
        period(second.clone(), end_of(second, second_end, context)?),
    );
    let (Some(first), Some(second)) = periods else { return Ok(Datum::Null) };
    Ok(match compare_values(&first.0, &second.0) {
        std::cmp::Ordering::Greater => begins_within(&first, &second),
        std::cmp::Ordering::Less => begins_within(&second, &first),
        std::cmp::Ordering::Equal if first.1.is_null() || second.1.is_null() => Datum::Null,
        std::cmp::Ordering::Equal => Datum::Bool(true),
    })
}

pub(super) fn register(registry: &mut Registry) {
    for oid in [TIMESTAMP, TIMESTAMPTZ, TIME, TIMETZ] {
        let ends: &[u32] = if oid == TIMETZ { &[oid] } else { &[oid, INTERVAL] };
        for first in ends {
            for second in ends {
                let types = [oid, *first, oid, *second];
                registry.add(Entry::new("overlaps", &types, BOOL, overlaps).not_strict().stable());
            }
        }
    }
}
