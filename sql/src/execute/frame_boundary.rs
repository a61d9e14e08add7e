//! Where a RANGE frame with an offset begins or ends: the value so far away from a row's, or beyond all there are.

use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, Interval, Numeric};

/// Such a place, in the order of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Boundary {
    /// The row's value is NULL: its peers are the frame.
    Peers,
    /// At a value.
    At(Datum),
    /// Before all values.
    Before,
    /// After all values.
    After,
}

/// Which end of a frame it is.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    pub is_start: bool,
    pub descending: bool,
}

impl Side {
    /// Whether it is the lowest value of the frame.
    fn is_lowest(self) -> bool {
        self.is_start != self.descending
    }
}

/// The place that a row's frame reaches. An infinite distance from the other infinity reaches everything but NaN. `moved` is the value there where the type's operators computed it.
///
/// # Errors
/// 22004 for an offset that is NULL, 22013 for one that is negative.
pub fn boundary(
    side: Side,
    key: &Datum,
    offset: &Datum,
    moved: Option<&Datum>,
    subtract: bool,
) -> Result<Boundary> {
    if offset.is_null() {
        return Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("frame {} offset must not be null", if side.is_start { "starting" } else { "ending" }),
        ));
    }
    if key.is_null() {
        return Ok(Boundary::Peers);
    }
    let beyond = if subtract { Boundary::Before } else { Boundary::After };
    Ok(match (key, offset) {
        (Datum::Int16(_) | Datum::Int32(_) | Datum::Int64(_), Datum::Int64(offset)) => {
            refuse(*offset < 0)?;
            let base = key.as_i64().unwrap_or_default();
            let value = if subtract { base.checked_sub(*offset) } else { base.checked_add(*offset) };
            let value = value.and_then(|value| match key {
                Datum::Int16(_) => i16::try_from(value).ok().map(Datum::Int16),
                Datum::Int32(_) => i32::try_from(value).ok().map(Datum::Int32),
                _ => Some(Datum::Int64(value)),
            });
            value.map_or(beyond, Boundary::At)
        }
        (Datum::Float32(base), Datum::Float64(offset)) => {
            match float_boundary(side, f64::from(*base), *offset, subtract)? {
                Boundary::At(Datum::Float64(value)) => {
                    Boundary::At(Datum::Float32(nearest_within(value, side.is_lowest())))
                }
                other => other,
            }
        }
        (Datum::Float64(base), Datum::Float64(offset)) => float_boundary(side, *base, *offset, subtract)?,
        (Datum::Time(base), Datum::Interval(Interval { micros, .. })) => {
            // Days and months do not count, and the clock does not go round.
            refuse(*micros < 0)?;
            let value = if subtract { base.checked_sub(*micros) } else { base.checked_add(*micros) };
            let in_day = |value: &i64| (0..=86_400_000_000).contains(value);
            value.filter(in_day).map_or(beyond, |value| Boundary::At(Datum::Time(value)))
        }
        (Datum::TimeTz(base, zone), Datum::Interval(Interval { micros, .. })) => {
            refuse(*micros < 0)?;
            let value = if subtract { base.checked_sub(*micros) } else { base.checked_add(*micros) };
            value.map_or(beyond, |value| Boundary::At(Datum::TimeTz(value, *zone)))
        }
        (_, Datum::Interval(distance)) => {
            let months = i128::from(distance.months) * 30 + i128::from(distance.days);
            refuse(months * 86_400_000_000 + i128::from(distance.micros) < 0)?;
            moved.map_or(beyond, |value| Boundary::At(value.clone()))
        }
        (_, Datum::Numeric(distance)) => {
            refuse(distance.is_nan() || distance.signum() < 0)?;
            let reaches_all = *key != Datum::Numeric(Numeric::NaN)
                && matches!(moved, Some(Datum::Numeric(value)) if value.is_nan());
            match (reaches_all, side.is_lowest()) {
                (true, true) => Boundary::At(Datum::Numeric(Numeric::NegativeInfinity)),
                (true, false) => Boundary::At(Datum::Numeric(Numeric::Infinity)),
                _ => moved.map_or(beyond, |value| Boundary::At(value.clone())),
            }
        }
        _ => return Err(SqlError::internal("a RANGE frame over a type without distances")),
    })
}

fn refuse(is_negative: bool) -> Result<()> {
    if !is_negative {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
        "invalid preceding or following size in window function",
    ))
}

fn float_boundary(side: Side, base: f64, offset: f64, subtract: bool) -> Result<Boundary> {
    refuse(offset.is_nan() || offset < 0.0)?;
    let value = if subtract { base - offset } else { base + offset };
    let reaches_all = base.is_infinite() && offset.is_infinite() && value.is_nan();
    let limit = if side.is_lowest() { f64::NEG_INFINITY } else { f64::INFINITY };
    Ok(Boundary::At(Datum::Float64(if reaches_all { limit } else { value })))
}

/// The value of `real` next to a limit that is not beyond it: from below, or from above.
fn nearest_within(limit: f64, is_lowest: bool) -> f32 {
    #[allow(clippy::cast_possible_truncation)] // rounding is looked at
    let near = limit as f32;
    match (f64::from(near).partial_cmp(&limit), is_lowest) {
        (Some(std::cmp::Ordering::Less), true) => near.next_up(),
        (Some(std::cmp::Ordering::Greater), false) => near.next_down(),
        _ => near,
    }
}
