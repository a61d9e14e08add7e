//! The aggregate functions.
//!
//! A state holds one accumulator for each group in a vector; [`Accumulator`] says what one is, and [`States`]
//! makes of it the trait object the executor drives. Sums of integers run over the typed slices; the rest goes
//! value by value.

mod float;
mod fold;
mod gathered;
mod integer;
mod numeric;

use float::{
    FloatAverage, FloatDeviationPopulation, FloatDeviationSample, FloatTotal, FloatVariancePopulation,
    FloatVarianceSample,
};
use fold::{Extreme, FoldAnd, FoldOr, FoldXor, Folded};
use gathered::{Gathered, Joined};
use integer::{IntegerAverage, IntegerSum};
use numeric::{
    NumericAverage, NumericDeviationPopulation, NumericDeviationSample, NumericTotal,
    NumericVariancePopulation, NumericVarianceSample,
};

use super::registry::Registry;
use super::{AggregateState, CallTypes, EvalContext};
use crate::error::{Result, SqlError};

use crate::types::DataType;
use crate::types::oids::{
    ANY, ANYARRAY, ANYENUM, ANYNONARRAY, BIT, BOOL, BPCHAR, BYTEA, DATE, FLOAT4, FLOAT8, INET, INT2, INT4,
    INT8, INTERVAL, MONEY, NUMERIC, OID, PG_LSN, TEXT, TID, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ,
};
use crate::value::{Column, Datum, Interval};
use std::any::Any;
use std::ops::Range;

/// What one group gathers.
pub(super) trait Accumulator: Default + Clone + Send + 'static {
    /// Adds one row; arguments may be NULL.
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()>;
    /// Adds another partial accumulator.
    fn merge(&mut self, other: &Self) -> Result<()>;
    fn finish(&self, types: &[DataType], result: DataType, context: &EvalContext<'_>) -> Result<Datum>;
    /// Bytes beyond the accumulator itself.
    fn heap_bytes(&self) -> usize {
        0
    }
    /// Adds rows of columns.
    fn add_rows(
        &mut self,
        arguments: &[Column],
        rows: Range<usize>,
        types: &[DataType],
        context: &EvalContext<'_>,
    ) -> Result<()> {
        let mut values = Vec::with_capacity(arguments.len());
        for row in rows {
            values.clear();
            values.extend(arguments.iter().map(|argument| argument.get(row)));
            self.add(&values, types, context)?;
        }
        Ok(())
    }
    /// Takes rows out again that were added first; false where it cannot.
    fn remove_rows(&mut self, _: &[Column], _: Range<usize>, _: &[DataType]) -> bool {
        false
    }
    /// Adds whole columns at once where it can; false leaves it to [`Accumulator::add`].
    fn add_columns(_: &mut [Self], _: &[u32], _: &[Column]) -> Result<bool> {
        Ok(false)
    }
}

struct States<A> {
    groups: Vec<A>,
    types: Vec<DataType>,
    result: DataType,
}

pub(super) fn states<A: Accumulator>(types: &CallTypes<'_>) -> Box<dyn AggregateState> {
    Box::new(States::<A> { groups: Vec::new(), types: types.arguments.to_vec(), result: types.result })
}

impl<A: Accumulator> AggregateState for States<A> {
    fn resize(&mut self, count: usize) {
        if count > self.groups.len() {
            self.groups.resize(count, A::default());
        }
    }

    fn accumulate(&mut self, groups: &[u32], arguments: &[Column], context: &EvalContext<'_>) -> Result<()> {
        if A::add_columns(&mut self.groups, groups, arguments)? {
            return Ok(());
        }
        let mut values = Vec::with_capacity(arguments.len());
        for (row, &group) in groups.iter().enumerate() {
            values.clear();
            values.extend(arguments.iter().map(|argument| argument.get(row)));
            self.groups[group as usize].add(&values, &self.types, context)?;
        }
        Ok(())
    }

    fn add_rows(
        &mut self,
        group: usize,
        arguments: &[Column],
        rows: Range<usize>,
        context: &EvalContext<'_>,
    ) -> Result<()> {
        self.groups[group].add_rows(arguments, rows, &self.types, context)
    }

    fn remove_rows(&mut self, group: usize, arguments: &[Column], rows: Range<usize>) -> bool {
        self.groups[group].remove_rows(arguments, rows, &self.types)
    }

    fn clear(&mut self) {
        self.groups.fill(A::default());
    }

    fn merge(&mut self, other: &dyn AggregateState, groups: &[u32]) -> Result<()> {
        let Some(other) = other.as_any().downcast_ref::<States<A>>() else {
            return Err(SqlError::internal("merging states of different aggregates"));
        };
        for (accumulator, &group) in other.groups.iter().zip(groups) {
            self.groups[group as usize].merge(accumulator)?;
        }
        Ok(())
    }

    fn finish(&self, group: usize, context: &EvalContext<'_>) -> Result<Datum> {
        match self.groups.get(group) {
            Some(accumulator) => accumulator.finish(&self.types, self.result, context),
            None => A::default().finish(&self.types, self.result, context),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<A>()
            + self.groups.iter().map(Accumulator::heap_bytes).sum::<usize>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The group that all rows are of, if they are.
fn sole_group(groups: &[u32]) -> Option<usize> {
    let first = *groups.first()?;
    groups.iter().fold(true, |same, group| same & (*group == first)).then_some(first as usize)
}

/// Whether each row has its own value, and none is NULL.
fn is_plain(column: &Column) -> bool {
    column.validity().is_none() && !column.is_constant()
}

/// How many rows have no NULL.
fn counted(arguments: &[Column], rows: Range<usize>) -> i64 {
    if arguments.iter().all(|column| column.validity().is_none()) {
        return rows.len() as i64;
    }
    rows.filter(|row| !arguments.iter().any(|column| column.is_null(*row))).count() as i64
}

/// `count(*)`, `count(x)`, and `regr_count(y, x)`, which counts the rows without NULL.
#[derive(Clone, Default)]
pub(super) struct Count(i64);

impl Accumulator for Count {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        self.0 += i64::from(!arguments.iter().any(Datum::is_null));
        Ok(())
    }

    fn merge(&mut self, other: &Count) -> Result<()> {
        self.0 += other.0;
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(Datum::Int64(self.0))
    }

    fn add_rows(
        &mut self,
        arguments: &[Column],
        rows: Range<usize>,
        _: &[DataType],
        _: &EvalContext<'_>,
    ) -> Result<()> {
        self.0 += counted(arguments, rows);
        Ok(())
    }

    fn remove_rows(&mut self, arguments: &[Column], rows: Range<usize>, _: &[DataType]) -> bool {
        self.0 -= counted(arguments, rows);
        true
    }

    fn add_columns(states: &mut [Count], groups: &[u32], arguments: &[Column]) -> Result<bool> {
        if arguments.len() > 1 {
            return Ok(false);
        }
        match arguments.first().filter(|column| column.validity().is_some()) {
            None => match sole_group(groups) {
                Some(group) => states[group].0 += groups.len() as i64,
                None => groups.iter().for_each(|&group| states[group as usize].0 += 1),
            },
            Some(column) => {
                for (row, &group) in groups.iter().enumerate() {
                    states[group as usize].0 += i64::from(!column.is_null(row));
                }
            }
        }
        Ok(true)
    }
}

/// `sum` and `avg` of intervals.
#[derive(Clone, Default)]
struct IntervalSum {
    sum: Interval,
    count: i64,
}

impl IntervalSum {
    fn add_value(&mut self, value: &Interval, count: i64) -> Result<()> {
        self.sum = super::interval_arithmetic::add(&self.sum, value)?;
        self.count += count;
        Ok(())
    }
}

macro_rules! interval_accumulator {
    ($name:ident, |$state:ident| $finish:expr) => {
        #[derive(Clone, Default)]
        struct $name(IntervalSum);

        impl Accumulator for $name {
            fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
                match &arguments[0] {
                    Datum::Interval(value) => self.0.add_value(value, 1),
                    _ => Ok(()),
                }
            }

            fn merge(&mut self, other: &$name) -> Result<()> {
                self.0.add_value(&other.0.sum, other.0.count)
            }

            fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
                let $state = &self.0;
                if $state.count == 0 { Ok(Datum::Null) } else { $finish }
            }
        }
    };
}

interval_accumulator!(IntervalTotal, |state| Ok(Datum::Interval(state.sum)));
interval_accumulator!(IntervalAverage, |state| {
    super::interval_arithmetic::divide(&state.sum, state.count as f64).map(Datum::Interval)
});

fn spreads(registry: &mut Registry) {
    type Init = fn(&CallTypes<'_>) -> Box<dyn AggregateState>;
    let entries: [(&'static str, Init, Init); 6] = [
        ("variance", states::<NumericVarianceSample>, states::<FloatVarianceSample>),
        ("var_samp", states::<NumericVarianceSample>, states::<FloatVarianceSample>),
        ("var_pop", states::<NumericVariancePopulation>, states::<FloatVariancePopulation>),
        ("stddev", states::<NumericDeviationSample>, states::<FloatDeviationSample>),
        ("stddev_samp", states::<NumericDeviationSample>, states::<FloatDeviationSample>),
        ("stddev_pop", states::<NumericDeviationPopulation>, states::<FloatDeviationPopulation>),
    ];
    for (name, exact, float) in entries {
        for oid in [INT2, INT4, INT8, NUMERIC] {
            registry.add_aggregate(name, &[oid], NUMERIC, exact);
        }
        for oid in [FLOAT4, FLOAT8] {
            registry.add_aggregate(name, &[oid], FLOAT8, float);
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_aggregate("count", &[], INT8, states::<Count>).zero_when_empty = true;
    registry.add_aggregate("count", &[ANY], INT8, states::<Count>).zero_when_empty = true;
    for (argument, result) in [(INT2, INT8), (INT4, INT8), (INT8, NUMERIC)] {
        registry.add_aggregate("sum", &[argument], result, states::<IntegerSum>);
        registry.add_aggregate("avg", &[argument], NUMERIC, states::<IntegerAverage>);
    }
    registry.add_aggregate("sum", &[MONEY], MONEY, states::<IntegerSum>);
    for oid in [FLOAT4, FLOAT8] {
        registry.add_aggregate("sum", &[oid], oid, states::<FloatTotal>);
        registry.add_aggregate("avg", &[oid], FLOAT8, states::<FloatAverage>);
    }
    registry.add_aggregate("sum", &[NUMERIC], NUMERIC, states::<NumericTotal>);
    registry.add_aggregate("avg", &[NUMERIC], NUMERIC, states::<NumericAverage>);
    registry.add_aggregate("sum", &[INTERVAL], INTERVAL, states::<IntervalTotal>);
    registry.add_aggregate("avg", &[INTERVAL], INTERVAL, states::<IntervalAverage>);
    for oid in [
        INT2,
        INT4,
        INT8,
        FLOAT4,
        FLOAT8,
        NUMERIC,
        MONEY,
        TEXT,
        BPCHAR,
        DATE,
        TIME,
        TIMETZ,
        TIMESTAMP,
        TIMESTAMPTZ,
        INTERVAL,
        OID,
        INET,
        PG_LSN,
        TID,
        ANYARRAY,
        ANYENUM,
    ] {
        registry.add_aggregate("min", &[oid], oid, states::<Extreme<false>>);
        registry.add_aggregate("max", &[oid], oid, states::<Extreme<true>>);
    }
    registry.add_aggregate("bool_and", &[BOOL], BOOL, states::<Folded<FoldAnd>>);
    registry.add_aggregate("every", &[BOOL], BOOL, states::<Folded<FoldAnd>>);
    registry.add_aggregate("bool_or", &[BOOL], BOOL, states::<Folded<FoldOr>>);
    for oid in [INT2, INT4, INT8, BIT] {
        registry.add_aggregate("bit_and", &[oid], oid, states::<Folded<FoldAnd>>);
        registry.add_aggregate("bit_or", &[oid], oid, states::<Folded<FoldOr>>);
        registry.add_aggregate("bit_xor", &[oid], oid, states::<Folded<FoldXor>>);
    }
    registry.add_aggregate("string_agg", &[TEXT, TEXT], TEXT, states::<Joined>).order_sensitive = true;
    registry.add_aggregate("string_agg", &[BYTEA, BYTEA], BYTEA, states::<Joined>).order_sensitive = true;
    registry.add_aggregate("array_agg", &[ANYNONARRAY], ANYARRAY, states::<Gathered>).order_sensitive = true;
    registry.add_aggregate("array_agg", &[ANYARRAY], ANYARRAY, states::<Gathered>).order_sensitive = true;
    spreads(registry);
}
