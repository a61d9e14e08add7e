//! Aggregates that keep one value: `min`, `max`, `bool_and`, `bit_or` and their siblings.

use std::cmp::Ordering;
use std::ops::Range;

use super::super::EvalContext;
use super::super::bit_string::combine_bits;
use super::{Accumulator, is_plain, sole_group};
use crate::error::Result;
use crate::types::{DataType, Oid};
use crate::value::{Column, ColumnData, Datum, Numeric};

/// `min` and `max`: the first of the equal ones is kept.
#[derive(Clone, Default)]
pub(super) struct Extreme<const GREATEST: bool>(Datum, Oid);

impl<const GREATEST: bool> Extreme<GREATEST> {
    /// Adds the values of one group, where their kind's own order is the type's.
    fn add_slice<T: Copy + Ord>(
        &mut self,
        values: &[T],
        of: impl Fn(&Datum) -> Option<T>,
        make: fn(T) -> Datum,
    ) {
        let values = values.iter().copied();
        let best = if GREATEST { values.max() } else { values.min() };
        let Some(best) = best else { return };
        let is_better = match of(&self.0) {
            None => true,
            Some(before) if GREATEST => best > before,
            Some(before) => best < before,
        };
        if is_better {
            self.0 = make(best);
        }
    }
}

impl<const GREATEST: bool> Extreme<GREATEST> {
    /// Adds some rows of a column without NULLs, where their kind's own order is the type's; false elsewhere.
    fn add_plain(&mut self, column: &Column, rows: Range<usize>) -> bool {
        macro_rules! of {
            ($variant:ident, $values:expr) => {{
                let of = |value: &Datum| match value {
                    Datum::$variant(value) => Some(*value),
                    _ => None,
                };
                self.add_slice(&$values[rows], of, Datum::$variant);
            }};
        }
        match column.data() {
            ColumnData::Int16(values) => of!(Int16, values),
            ColumnData::Int32(values) => of!(Int32, values),
            ColumnData::Int64(values) => of!(Int64, values),
            ColumnData::Date(values) => of!(Date, values),
            ColumnData::Timestamp(values) => of!(Timestamp, values),
            ColumnData::TimestampTz(values) => of!(TimestampTz, values),
            _ => return false,
        }
        true
    }

    fn is_better(order: Ordering) -> bool {
        if GREATEST { order.is_gt() } else { order.is_lt() }
    }

    /// Adds numerics to their groups.
    fn add_numerics(states: &mut [Self], groups: &[u32], column: &Column, values: &[Numeric]) {
        for (row, &group) in groups.iter().enumerate() {
            if column.is_null(row) {
                continue;
            }
            let value = &values[column.stored_index(row)];
            let best = &mut states[group as usize].0;
            match best {
                Datum::Numeric(known) if !Self::is_better(value.cmp(known)) => {}
                _ => *best = Datum::Numeric(value.clone()),
            }
        }
    }
}

impl<const GREATEST: bool> Accumulator for Extreme<GREATEST> {
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()> {
        let value = &arguments[0];
        if value.is_null() {
            return Ok(());
        }
        let order = context.compare(types[0].oid, value, &self.0);
        if self.0.is_null() || Self::is_better(order) {
            self.0 = value.clone();
            self.1 = types[0].oid;
        }
        Ok(())
    }

    fn add_columns(states: &mut [Self], groups: &[u32], arguments: &[Column]) -> Result<bool> {
        let column = &arguments[0];
        if let ColumnData::Numeric(values) = column.data() {
            Self::add_numerics(states, groups, column, values);
            return Ok(true);
        }
        let Some(group) = sole_group(groups).filter(|_| is_plain(column)) else { return Ok(false) };
        Ok(states[group].add_plain(column, 0..column.len()))
    }

    fn add_rows(
        &mut self,
        arguments: &[Column],
        rows: Range<usize>,
        types: &[DataType],
        context: &EvalContext<'_>,
    ) -> Result<()> {
        let column = &arguments[0];
        if is_plain(column) && self.add_plain(column, rows.clone()) {
            return Ok(());
        }
        rows.into_iter().try_for_each(|row| self.add(&[column.get(row)], types, context))
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        if other.0.is_null() {
            return Ok(());
        }
        let order = match crate::types::builtin_type(other.1) {
            Some(info) if !self.0.is_null() => info.compare(&other.0, &self.0),
            _ => crate::value::compare_values(&other.0, &self.0),
        };
        if self.0.is_null() || Self::is_better(order) {
            self.0 = other.0.clone();
            self.1 = other.1;
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.0.clone())
    }
}

/// Aggregates that fold pairs of like values: `bool_and`, `bit_or` and so on.
pub(super) trait Fold: Clone + Send + 'static {
    fn fold(left: &Datum, right: &Datum) -> Result<Datum>;
}

#[derive(Clone)]
pub(super) struct Folded<F> {
    value: Datum,
    fold: std::marker::PhantomData<F>,
}

impl<F> Default for Folded<F> {
    fn default() -> Folded<F> {
        Folded { value: Datum::Null, fold: std::marker::PhantomData }
    }
}

impl<F: Fold> Folded<F> {
    fn take(&mut self, value: &Datum) -> Result<()> {
        if !value.is_null() {
            self.value = if self.value.is_null() { value.clone() } else { F::fold(&self.value, value)? };
        }
        Ok(())
    }
}

impl<F: Fold> Accumulator for Folded<F> {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        self.take(&arguments[0])
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.take(&other.value)
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.value.clone())
    }
}

macro_rules! fold {
    ($name:ident, $operator:tt, $word:literal) => {
        #[derive(Clone)]
        pub(super) struct $name;

        impl Fold for $name {
            fn fold(left: &Datum, right: &Datum) -> Result<Datum> {
                Ok(match (left, right) {
                    (Datum::Text(_), Datum::Text(_)) => {
                        return combine_bits(&[left.clone(), right.clone()], $word, |left, right| left $operator right);
                    }
                    (Datum::Bool(left), Datum::Bool(right)) => Datum::Bool(left $operator right),
                    (Datum::Int16(left), Datum::Int16(right)) => Datum::Int16(left $operator right),
                    (Datum::Int32(left), Datum::Int32(right)) => Datum::Int32(left $operator right),
                    (Datum::Int64(left), Datum::Int64(right)) => Datum::Int64(left $operator right),
                    _ => Datum::Null,
                })
            }
        }
    };
}

fold!(FoldAnd, &, "AND");
fold!(FoldOr, |, "OR");
fold!(FoldXor, ^, "XOR");
