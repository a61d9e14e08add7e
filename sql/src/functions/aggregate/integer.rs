//! Sums and averages of integers.

use std::ops::Range;

use super::super::EvalContext;
use super::super::vector::wrong_arguments;
use super::{Accumulator, is_plain, sole_group};
use crate::error::{Result, SqlError};
use crate::types::DataType;
use crate::types::oids::{INT8, MONEY};
use crate::value::{Column, ColumnData, Datum, Numeric};

/// Sum, count and (through the result type) average of integers, exact in 128 bits.
#[derive(Clone, Default)]
pub(super) struct IntegerSum {
    sum: i128,
    count: i64,
}

impl IntegerSum {
    fn add_slice<S: AsMut<IntegerSum>, T: Copy + Into<i64>>(
        states: &mut [S],
        groups: &[u32],
        column: &Column,
        values: &[T],
    ) {
        if let Some(group) = sole_group(groups)
            && is_plain(column)
        {
            // The halves of so many values fit in 64 bits; their additions go side by side.
            let (low, high) = values.iter().fold((0u64, 0i64), |(low, high), value| {
                let value: i64 = (*value).into();
                (low + u64::from(value as u32), high + (value >> 32))
            });
            let state = states[group].as_mut();
            state.sum += (i128::from(high) << 32) + i128::from(low);
            state.count += values.len() as i64;
            return;
        }
        for (row, &group) in groups.iter().enumerate() {
            if !column.is_null(row) {
                let state = states[group as usize].as_mut();
                state.sum += i128::from(values[column.stored_index(row)].into());
                state.count += 1;
            }
        }
    }

    /// The sum of some rows of a column of integers, and how many of them are not NULL.
    fn of_rows(column: &Column, rows: Range<usize>) -> Option<IntegerSum> {
        let mut found = IntegerSum::default();
        macro_rules! add {
            ($values:expr) => {
                for row in rows {
                    if !column.is_null(row) {
                        found.sum += i128::from($values[column.stored_index(row)]);
                        found.count += 1;
                    }
                }
            };
        }
        match column.data() {
            ColumnData::Int16(values) => add!(values),
            ColumnData::Int32(values) => add!(values),
            ColumnData::Int64(values) => add!(values),
            _ => return None,
        }
        Some(found)
    }

    fn take_out(&mut self, arguments: &[Column], rows: Range<usize>) -> bool {
        let Some(gone) = IntegerSum::of_rows(&arguments[0], rows) else { return false };
        self.sum -= gone.sum;
        self.count -= gone.count;
        true
    }

    fn put_in(&mut self, arguments: &[Column], rows: Range<usize>) -> Result<()> {
        match IntegerSum::of_rows(&arguments[0], rows) {
            Some(more) => self.merge(&more),
            None => Err(wrong_arguments()),
        }
    }

    fn add_column<S: AsMut<IntegerSum>>(states: &mut [S], groups: &[u32], column: &Column) -> bool {
        match column.data() {
            ColumnData::Int16(values) => IntegerSum::add_slice(states, groups, column, values),
            ColumnData::Int32(values) => IntegerSum::add_slice(states, groups, column, values),
            ColumnData::Int64(values) => IntegerSum::add_slice(states, groups, column, values),
            _ => return false,
        }
        true
    }
}

impl AsMut<IntegerSum> for IntegerSum {
    fn as_mut(&mut self) -> &mut IntegerSum {
        self
    }
}

impl Accumulator for IntegerSum {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        if let Some(value) = arguments[0].as_i64() {
            self.sum += i128::from(value);
            self.count += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: &IntegerSum) -> Result<()> {
        self.sum += other.sum;
        self.count += other.count;
        Ok(())
    }

    fn finish(&self, _: &[DataType], result: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        match result.oid {
            MONEY => i64::try_from(self.sum).map(Datum::Int64).map_err(|_| SqlError::out_of_range("money")),
            INT8 => i64::try_from(self.sum).map(Datum::Int64).map_err(|_| SqlError::out_of_range("bigint")),
            _ => Ok(Datum::Numeric(Numeric::from(self.sum))),
        }
    }

    fn add_rows(
        &mut self,
        arguments: &[Column],
        rows: Range<usize>,
        _: &[DataType],
        _: &EvalContext<'_>,
    ) -> Result<()> {
        self.put_in(arguments, rows)
    }

    fn remove_rows(&mut self, arguments: &[Column], rows: Range<usize>, _: &[DataType]) -> bool {
        self.take_out(arguments, rows)
    }

    fn add_columns(states: &mut [IntegerSum], groups: &[u32], arguments: &[Column]) -> Result<bool> {
        Ok(IntegerSum::add_column(states, groups, &arguments[0]))
    }
}

/// `avg` of integers.
#[derive(Clone, Default)]
pub(super) struct IntegerAverage(IntegerSum);

impl AsMut<IntegerSum> for IntegerAverage {
    fn as_mut(&mut self) -> &mut IntegerSum {
        &mut self.0
    }
}

impl Accumulator for IntegerAverage {
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()> {
        self.0.add(arguments, types, context)
    }

    fn merge(&mut self, other: &IntegerAverage) -> Result<()> {
        self.0.merge(&other.0)
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        if self.0.count == 0 {
            return Ok(Datum::Null);
        }
        Numeric::from(self.0.sum).div(&Numeric::from(self.0.count)).map(Datum::Numeric)
    }

    fn add_rows(
        &mut self,
        arguments: &[Column],
        rows: Range<usize>,
        _: &[DataType],
        _: &EvalContext<'_>,
    ) -> Result<()> {
        self.0.put_in(arguments, rows)
    }

    fn remove_rows(&mut self, arguments: &[Column], rows: Range<usize>, _: &[DataType]) -> bool {
        self.0.take_out(arguments, rows)
    }

    fn add_columns(states: &mut [IntegerAverage], groups: &[u32], arguments: &[Column]) -> Result<bool> {
        Ok(IntegerSum::add_column(states, groups, &arguments[0]))
    }
}
