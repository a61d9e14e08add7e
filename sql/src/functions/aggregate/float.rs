//! Sums, averages and spreads of floats.

use std::ops::Range;

use super::super::EvalContext;
use super::super::vector::wrong_arguments;
use super::Accumulator;
use crate::error::{Result, SqlError, SqlState};
use crate::types::DataType;
use crate::types::oids::FLOAT4;
use crate::value::{Column, ColumnData, Datum};

/// Floats by Youngs and Cramer: count, sum, and the sum of squared differences from the mean.
#[derive(Clone, Copy, Default)]
pub(super) struct FloatSum {
    count: f64,
    sum: f64,
    squares: f64,
}

impl FloatSum {
    fn add_value(&mut self, value: f64) -> Result<()> {
        let before = self.sum;
        self.count += 1.0;
        self.sum += value;
        if self.count > 1.0 {
            let difference = value * self.count - self.sum;
            self.squares += difference * difference / (self.count * (self.count - 1.0));
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if !before.is_infinite() && !value.is_infinite() {
                    return Err(float_overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }

    /// Adds a column's values, if they are floats.
    fn add_column(states: &mut [impl AsMut<FloatSum>], groups: &[u32], column: &Column) -> Result<bool> {
        each_float(groups, column, |group, value| states[group].as_mut().add_value(value))
    }

    fn merge_sums(&mut self, other: &FloatSum) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = *other;
            return;
        }
        let difference = self.sum / self.count - other.sum / other.count;
        let count = self.count + other.count;
        self.squares += other.squares + self.count * other.count * difference * difference / count;
        self.sum += other.sum;
        self.count = count;
    }
}

#[cold]
fn float_overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

fn as_float(value: &Datum) -> Option<f64> {
    match value {
        Datum::Float64(value) => Some(*value),
        Datum::Float32(value) => Some(f64::from(*value)),
        _ => None,
    }
}

/// Gives a column's values with their groups, if they are floats.
#[inline]
fn each_float(
    groups: &[u32],
    column: &Column,
    mut add: impl FnMut(usize, f64) -> Result<()>,
) -> Result<bool> {
    macro_rules! each {
        ($values:expr) => {
            for (row, &group) in groups.iter().enumerate() {
                if !column.is_null(row) {
                    add(group as usize, f64::from($values[column.stored_index(row)]))?;
                }
            }
        };
    }
    match column.data() {
        ColumnData::Float64(values) => each!(values),
        ColumnData::Float32(values) => each!(values),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Gives some rows' values, if the column is one of floats.
#[inline]
fn each_float_of(column: &Column, rows: Range<usize>, mut add: impl FnMut(f64) -> Result<()>) -> Result<()> {
    macro_rules! each {
        ($values:expr) => {
            for row in rows {
                if !column.is_null(row) {
                    add(f64::from($values[column.stored_index(row)]))?;
                }
            }
        };
    }
    match column.data() {
        ColumnData::Float64(values) => each!(values),
        ColumnData::Float32(values) => each!(values),
        _ => return Err(wrong_arguments()),
    }
    Ok(())
}

macro_rules! float_accumulator {
    ($name:ident, |$state:ident, $result:ident| $finish:expr) => {
        #[derive(Clone, Default)]
        pub(super) struct $name(FloatSum);

        impl AsMut<FloatSum> for $name {
            fn as_mut(&mut self) -> &mut FloatSum {
                &mut self.0
            }
        }

        impl Accumulator for $name {
            fn add_columns(states: &mut [$name], groups: &[u32], arguments: &[Column]) -> Result<bool> {
                FloatSum::add_column(states, groups, &arguments[0])
            }

            fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
                as_float(&arguments[0]).map_or(Ok(()), |value| self.0.add_value(value))
            }

            fn add_rows(
                &mut self,
                arguments: &[Column],
                rows: Range<usize>,
                _: &[DataType],
                _: &EvalContext<'_>,
            ) -> Result<()> {
                each_float_of(&arguments[0], rows, |value| self.0.add_value(value))
            }

            fn merge(&mut self, other: &$name) -> Result<()> {
                self.0.merge_sums(&other.0);
                Ok(())
            }

            fn finish(&self, _: &[DataType], $result: DataType, _: &EvalContext<'_>) -> Result<Datum> {
                let $state = &self.0;
                Ok($finish)
            }
        }
    };
}

float_accumulator!(FloatAverage, |state, _result| {
    if state.count == 0.0 { Datum::Null } else { Datum::Float64(state.sum / state.count) }
});
float_accumulator!(FloatVarianceSample, |state, _result| {
    if state.count < 2.0 { Datum::Null } else { Datum::Float64(state.squares / (state.count - 1.0)) }
});
float_accumulator!(FloatVariancePopulation, |state, _result| {
    if state.count == 0.0 { Datum::Null } else { Datum::Float64(state.squares / state.count) }
});
float_accumulator!(FloatDeviationSample, |state, _result| {
    if state.count < 2.0 { Datum::Null } else { Datum::Float64((state.squares / (state.count - 1.0)).sqrt()) }
});
float_accumulator!(FloatDeviationPopulation, |state, _result| {
    if state.count == 0.0 { Datum::Null } else { Datum::Float64((state.squares / state.count).sqrt()) }
});

/// `sum` of floats: plain additions in the argument's own width.
#[derive(Clone, Default)]
pub(super) struct FloatTotal(Option<f64>);

impl FloatTotal {
    #[inline]
    fn add_value(&mut self, value: f64, narrow: bool) -> Result<()> {
        let before = self.0.unwrap_or(0.0);
        let sum = before + value;
        let sum = if narrow { f64::from(sum as f32) } else { sum };
        if sum.is_infinite() && before.is_finite() && value.is_finite() {
            return Err(float_overflow());
        }
        self.0 = Some(sum);
        Ok(())
    }
}

impl Accumulator for FloatTotal {
    fn add_columns(states: &mut [FloatTotal], groups: &[u32], arguments: &[Column]) -> Result<bool> {
        let narrow = matches!(arguments[0].data(), ColumnData::Float32(_));
        each_float(groups, &arguments[0], |group, value| states[group].add_value(value, narrow))
    }

    fn add(&mut self, arguments: &[Datum], types: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        let Some(value) = as_float(&arguments[0]) else { return Ok(()) };
        let narrow = types.first().is_some_and(|data_type| data_type.oid == FLOAT4);
        self.add_value(value, narrow)
    }

    fn add_rows(
        &mut self,
        arguments: &[Column],
        rows: Range<usize>,
        _: &[DataType],
        _: &EvalContext<'_>,
    ) -> Result<()> {
        let narrow = matches!(arguments[0].data(), ColumnData::Float32(_));
        each_float_of(&arguments[0], rows, |value| self.add_value(value, narrow))
    }

    fn merge(&mut self, other: &FloatTotal) -> Result<()> {
        if let Some(value) = other.0 {
            self.0 = Some(self.0.unwrap_or(0.0) + value);
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], result: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(match (self.0, result.oid) {
            (None, _) => Datum::Null,
            (Some(sum), FLOAT4) => Datum::Float32(sum as f32),
            (Some(sum), _) => Datum::Float64(sum),
        })
    }
}
