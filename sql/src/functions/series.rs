//! `generate_series` over integers, numerics and moments.

use super::registry::{Entry, Registry};
use super::rows::{RowSource, Rows, column};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, interval_arithmetic};
use crate::error::{Result, SqlError};
use crate::types::oids::{INT4, INT8, INTERVAL, NUMERIC, TIMESTAMP, TIMESTAMPTZ};
use crate::value::{ColumnBuilder, ColumnData, Datum, Interval, Numeric, compare_values};

struct Integers {
    next: Option<i64>,
    stop: i64,
    step: i64,
    narrow: bool,
}

impl RowSource for Integers {
    fn next(&mut self, _: &EvalContext<'_>) -> Result<Option<Vec<Datum>>> {
        let Some(value) = self.next else { return Ok(None) };
        if if self.step > 0 { value > self.stop } else { value < self.stop } {
            self.next = None;
            return Ok(None);
        }
        // Beyond the type there is nothing more to give.
        self.next = value.checked_add(self.step);
        let datum = match i32::try_from(value) {
            Ok(value) if self.narrow => Datum::Int32(value),
            _ => Datum::Int64(value),
        };
        Ok(Some(vec![datum]))
    }

    fn fill(
        &mut self,
        columns: &mut [ColumnBuilder],
        room: usize,
        context: &EvalContext<'_>,
    ) -> Result<usize> {
        for count in 0..room {
            let Some(value) = self.next.filter(|value| match self.step > 0 {
                true => *value <= self.stop,
                false => *value >= self.stop,
            }) else {
                self.next = None;
                return Ok(count);
            };
            self.next = value.checked_add(self.step);
            let Some(column) = columns.first_mut() else { continue };
            match column.data_mut() {
                ColumnData::Int32(values) if self.narrow => values.push(value as i32),
                ColumnData::Int64(values) if !self.narrow => values.push(value),
                _ => return Err(wrong_arguments()),
            }
            column.mark_valid();
        }
        context.check_cancel()?;
        Ok(room)
    }
}

/// Values that are added to one by one.
struct Steps {
    next: Datum,
    stop: Datum,
    step: Datum,
    upwards: bool,
}

impl RowSource for Steps {
    fn next(&mut self, context: &EvalContext<'_>) -> Result<Option<Vec<Datum>>> {
        let order = compare_values(&self.next, &self.stop);
        if if self.upwards { order.is_gt() } else { order.is_lt() } {
            return Ok(None);
        }
        let following = add(&self.next, &self.step, context)?;
        Ok(Some(vec![std::mem::replace(&mut self.next, following)]))
    }
}

fn add(value: &Datum, step: &Datum, context: &EvalContext<'_>) -> Result<Datum> {
    match (value, step) {
        (Datum::Numeric(value), Datum::Numeric(step)) => value.add(step).map(Datum::Numeric),
        (Datum::Timestamp(value), Datum::Interval(step)) => {
            interval_arithmetic::add_to_timestamp(*value, step).map(Datum::Timestamp)
        }
        (Datum::TimestampTz(value), Datum::Interval(step)) => {
            let zone = &context.settings.time_zone;
            interval_arithmetic::add_to_instant(*value, step, zone).map(Datum::TimestampTz)
        }
        _ => Err(wrong_arguments()),
    }
}

fn zero_step() -> SqlError {
    SqlError::invalid_parameter("step size cannot equal zero")
}

fn series(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    if let (Some(next), Some(stop)) = (arguments[0].as_i64(), arguments[1].as_i64()) {
        let step = arguments.get(2).and_then(Datum::as_i64).unwrap_or(1);
        if step == 0 {
            return Err(zero_step());
        }
        let narrow = matches!(arguments[0], Datum::Int32(_));
        return Ok(Box::new(Integers { next: Some(next), stop, step, narrow }));
    }
    let step = arguments.get(2).cloned().unwrap_or(Datum::Numeric(Numeric::ONE));
    let direction = match &step {
        Datum::Interval(step) => step.span().cmp(&Interval::default().span()),
        Datum::Numeric(step) => step.cmp(&Numeric::ZERO),
        _ => return Err(wrong_arguments()),
    };
    if direction.is_eq() {
        return Err(zero_step());
    }
    for (argument, what) in arguments.iter().zip(["start value", "stop value", "step size"]) {
        if let Datum::Numeric(number) = argument
            && !number.is_finite()
        {
            let kind = if number.is_nan() { "NaN" } else { "infinity" };
            return Err(SqlError::invalid_parameter(format!("{what} cannot be {kind}")));
        }
    }
    if arguments[0].is_null() {
        return Ok(column([]));
    }
    let (next, stop) = (arguments[0].clone(), arguments[1].clone());
    Ok(Box::new(Steps { next, stop, step, upwards: direction.is_gt() }))
}

pub(super) fn register(registry: &mut Registry) {
    for oid in [INT4, INT8, NUMERIC] {
        for count in [2, 3] {
            registry.add(Entry::rows("generate_series", &[oid; 3][..count], oid, series));
        }
    }
    for oid in [TIMESTAMP, TIMESTAMPTZ] {
        registry.add(Entry::rows("generate_series", &[oid, oid, INTERVAL], oid, series).stable());
    }
}
