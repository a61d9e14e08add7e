//! Sums, averages and spreads of numerics.

use std::ops::Range;

use super::super::EvalContext;
use super::{Accumulator, is_plain};
use crate::error::Result;
use crate::types::DataType;
use crate::value::{Column, ColumnData, Datum, Numeric};

/// Sum and average of numerics; only what comes out of the sum has to keep within the format's digits.
#[derive(Clone)]
pub(super) struct NumericSum {
    sum: Numeric,
    count: i64,
}

impl Default for NumericSum {
    fn default() -> NumericSum {
        NumericSum { sum: Numeric::ZERO, count: 0 }
    }
}

/// What numerics are added to.
pub(super) trait AddNumeric {
    fn add_value(&mut self, value: &Numeric) -> Result<()>;
}

impl AddNumeric for NumericSum {
    #[inline]
    fn add_value(&mut self, value: &Numeric) -> Result<()> {
        self.sum.increase_beyond(value);
        self.count += 1;
        Ok(())
    }
}

impl NumericSum {
    /// Takes values out again. What is left must show no more digits than its values have, so one with as many digits
    /// as the sum may only go where all have as many.
    fn take_out(&mut self, arguments: &[Column], rows: Range<usize>, types: &[DataType]) -> bool {
        let ColumnData::Numeric(values) = arguments[0].data() else { return false };
        let same_scale = types.first().is_some_and(|of| of.numeric_precision_scale().is_some());
        for row in rows.filter(|row| !arguments[0].is_null(*row)) {
            let value = &values[arguments[0].stored_index(row)];
            let keeps_scale = same_scale || self.sum.scale() == 0 || value.scale() < self.sum.scale();
            if !value.is_finite() || !self.sum.is_finite() || !keeps_scale {
                return false;
            }
            self.count -= 1;
            if self.count == 0 {
                self.sum = Numeric::ZERO;
            } else {
                self.sum.increase_beyond(&value.neg());
            }
        }
        true
    }

    fn merge_sums(&mut self, other: &NumericSum) -> Result<()> {
        self.sum.increase_beyond(&other.sum);
        self.count += other.count;
        Ok(())
    }
}

/// Adds a column's values to their groups, if they are numerics.
fn add_numerics<A: AddNumeric>(
    states: &mut [impl AsMut<A>],
    groups: &[u32],
    column: &Column,
) -> Result<bool> {
    let ColumnData::Numeric(values) = column.data() else { return Ok(false) };
    if is_plain(column) {
        for (value, &group) in values.iter().zip(groups) {
            states[group as usize].as_mut().add_value(value)?;
        }
        return Ok(true);
    }
    for (row, &group) in groups.iter().enumerate() {
        if !column.is_null(row) {
            states[group as usize].as_mut().add_value(&values[column.stored_index(row)])?;
        }
    }
    Ok(true)
}

/// The spread of numerics: the sums of the values and of their squares.
#[derive(Clone, Default)]
pub(super) struct NumericSpread {
    values: NumericSum,
    squares: Numeric,
}

impl AddNumeric for NumericSpread {
    fn add_value(&mut self, value: &Numeric) -> Result<()> {
        self.squares.increase_beyond(&value.mul_exact(value));
        self.values.add_value(value)
    }
}

impl NumericSpread {
    fn take_out(&mut self, _: &[Column], _: Range<usize>, _: &[DataType]) -> bool {
        false
    }

    fn merge_sums(&mut self, other: &NumericSpread) -> Result<()> {
        self.squares.increase_beyond(&other.squares);
        self.values.merge_sums(&other.values)
    }

    /// `sum((x - mean)²)` times the count, and the divisor for a sample or the population: `numeric_stddev_internal`.
    fn spread(&self, sample: bool, root: bool) -> Result<Datum> {
        let NumericSum { sum, count } = &self.values;
        if *count == 0 || (sample && *count <= 1) {
            return Ok(Datum::Null);
        }
        if !sum.is_finite() {
            return Ok(Datum::Numeric(Numeric::NaN));
        }
        let (number, before) = (Numeric::from(*count), Numeric::from(*count - 1));
        let numerator = number.mul_exact(&self.squares).add_beyond(&sum.mul_exact(sum).neg());
        if numerator.signum() <= 0 {
            return Ok(Datum::Numeric(Numeric::ZERO));
        }
        let divisor = number.mul(if sample { &before } else { &number })?;
        let variance = numerator.div(&divisor)?;
        Ok(Datum::Numeric(if root { variance.sqrt_to(variance.scale())? } else { variance }))
    }
}

/// Makes an accumulator type over numerics (or integers taken as such).
macro_rules! numeric_accumulator {
    ($name:ident, $sums:ident, |$state:ident| $finish:expr) => {
        #[derive(Clone, Default)]
        pub(super) struct $name($sums);

        impl AsMut<$sums> for $name {
            fn as_mut(&mut self) -> &mut $sums {
                &mut self.0
            }
        }

        impl Accumulator for $name {
            fn add_columns(states: &mut [$name], groups: &[u32], arguments: &[Column]) -> Result<bool> {
                add_numerics::<$sums>(states, groups, &arguments[0])
            }

            fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
                match &arguments[0] {
                    Datum::Numeric(value) => self.0.add_value(value),
                    other => match other.as_i64() {
                        Some(value) => self.0.add_value(&Numeric::from(value)),
                        None => Ok(()),
                    },
                }
            }

            fn add_rows(
                &mut self,
                arguments: &[Column],
                rows: Range<usize>,
                types: &[DataType],
                context: &EvalContext<'_>,
            ) -> Result<()> {
                let column = &arguments[0];
                let ColumnData::Numeric(values) = column.data() else {
                    return rows.into_iter().try_for_each(|row| self.add(&[column.get(row)], types, context));
                };
                for row in rows.filter(|row| !column.is_null(*row)) {
                    self.0.add_value(&values[column.stored_index(row)])?;
                }
                Ok(())
            }

            fn remove_rows(&mut self, arguments: &[Column], rows: Range<usize>, types: &[DataType]) -> bool {
                self.0.take_out(arguments, rows, types)
            }

            fn merge(&mut self, other: &$name) -> Result<()> {
                self.0.merge_sums(&other.0)
            }

            fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
                let $state = &self.0;
                $finish
            }
        }
    };
}

numeric_accumulator!(NumericTotal, NumericSum, |state| {
    Ok(if state.count == 0 { Datum::Null } else { Datum::Numeric(state.sum.clone().checked()?) })
});
numeric_accumulator!(NumericAverage, NumericSum, |state| {
    if state.count == 0 {
        Ok(Datum::Null)
    } else {
        state.sum.clone().checked()?.div(&Numeric::from(state.count)).map(Datum::Numeric)
    }
});
numeric_accumulator!(NumericVarianceSample, NumericSpread, |state| state.spread(true, false));
numeric_accumulator!(NumericVariancePopulation, NumericSpread, |state| state.spread(false, false));
numeric_accumulator!(NumericDeviationSample, NumericSpread, |state| state.spread(true, true));
numeric_accumulator!(NumericDeviationPopulation, NumericSpread, |state| state.spread(false, true));
