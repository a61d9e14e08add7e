//! The aggregate functions.
//!
//! A state holds one accumulator for each group in a vector; [`Accumulator`] says what one is, and [`States`]
//! makes of it the trait object the executor drives. Sums of integers run over the typed slices; the rest goes
//! value by value.

use super::bit_string::combine_bits;
use super::registry::Registry;
use super::vector::wrong_arguments;
use super::{AggregateState, CallTypes, EvalContext};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{
    ANY, ANYARRAY, ANYENUM, ANYNONARRAY, BIT, BOOL, BPCHAR, BYTEA, DATE, FLOAT4, FLOAT8, INET, INT2, INT4,
    INT8, INTERVAL, MONEY, NUMERIC, OID, PG_LSN, TEXT, TID, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ,
};
use crate::types::{DataType, Oid};
use crate::value::{ArrayValue, Column, ColumnData, Datum, Interval, Numeric};
use std::any::Any;
use std::cmp::Ordering;

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

/// Sum, count and (through the result type) average of integers, exact in 128 bits.
#[derive(Clone, Default)]
struct IntegerSum {
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

    fn add_columns(states: &mut [IntegerSum], groups: &[u32], arguments: &[Column]) -> Result<bool> {
        Ok(IntegerSum::add_column(states, groups, &arguments[0]))
    }
}

/// `avg` of integers.
#[derive(Clone, Default)]
struct IntegerAverage(IntegerSum);

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

    fn add_columns(states: &mut [IntegerAverage], groups: &[u32], arguments: &[Column]) -> Result<bool> {
        Ok(IntegerSum::add_column(states, groups, &arguments[0]))
    }
}

/// Sum and average of numerics; only what comes out of the sum has to keep within the format's digits.
#[derive(Clone)]
struct NumericSum {
    sum: Numeric,
    count: i64,
}

impl Default for NumericSum {
    fn default() -> NumericSum {
        NumericSum { sum: Numeric::ZERO, count: 0 }
    }
}

/// What numerics are added to.
trait AddNumeric {
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
struct NumericSpread {
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
        struct $name($sums);

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

/// Floats by Youngs and Cramer: count, sum, and the sum of squared differences from the mean.
#[derive(Clone, Copy, Default)]
struct FloatSum {
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

macro_rules! float_accumulator {
    ($name:ident, |$state:ident, $result:ident| $finish:expr) => {
        #[derive(Clone, Default)]
        struct $name(FloatSum);

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
struct FloatTotal(Option<f64>);

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

/// `min` and `max`: the first of the equal ones is kept.
#[derive(Clone, Default)]
struct Extreme<const GREATEST: bool>(Datum, Oid);

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
        let state = &mut states[group];
        macro_rules! of {
            ($variant:ident, $values:expr) => {{
                let of = |value: &Datum| match value {
                    Datum::$variant(value) => Some(*value),
                    _ => None,
                };
                state.add_slice($values, of, Datum::$variant);
            }};
        }
        match column.data() {
            ColumnData::Int16(values) => of!(Int16, values),
            ColumnData::Int32(values) => of!(Int32, values),
            ColumnData::Int64(values) => of!(Int64, values),
            ColumnData::Date(values) => of!(Date, values),
            ColumnData::Timestamp(values) => of!(Timestamp, values),
            ColumnData::TimestampTz(values) => of!(TimestampTz, values),
            _ => return Ok(false),
        }
        Ok(true)
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
trait Fold: Clone + Send + 'static {
    fn fold(left: &Datum, right: &Datum) -> Result<Datum>;
}

#[derive(Clone)]
struct Folded<F> {
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
        struct $name;

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

/// `string_agg` of text or bytea.
#[derive(Clone, Default)]
struct Joined {
    /// The first delimiter is not part of the result, but of a merge with what came before.
    first_delimiter: Vec<u8>,
    bytes: Option<Vec<u8>>,
}

fn bytes_of(value: &Datum) -> &[u8] {
    match value {
        Datum::Text(text) => text.as_bytes(),
        Datum::Bytes(bytes) => bytes,
        _ => &[],
    }
}

impl Accumulator for Joined {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        let [value, delimiter] = arguments else { return Err(wrong_arguments()) };
        if value.is_null() {
            return Ok(());
        }
        match &mut self.bytes {
            None => {
                self.first_delimiter = bytes_of(delimiter).to_vec();
                self.bytes = Some(bytes_of(value).to_vec());
            }
            Some(bytes) => {
                bytes.extend_from_slice(bytes_of(delimiter));
                bytes.extend_from_slice(bytes_of(value));
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &Joined) -> Result<()> {
        let Some(more) = &other.bytes else { return Ok(()) };
        match &mut self.bytes {
            None => *self = other.clone(),
            Some(bytes) => {
                bytes.extend_from_slice(&other.first_delimiter);
                bytes.extend_from_slice(more);
            }
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], result: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(match &self.bytes {
            None => Datum::Null,
            Some(bytes) if result.oid == BYTEA => Datum::from(bytes.clone()),
            Some(bytes) => Datum::text(String::from_utf8_lossy(bytes)),
        })
    }

    fn heap_bytes(&self) -> usize {
        self.first_delimiter.capacity() + self.bytes.as_ref().map_or(0, Vec::capacity)
    }
}

/// `array_agg`; of arrays, one more dimension.
#[derive(Clone, Default)]
struct Gathered {
    elements: Vec<Datum>,
    /// What the elements take beyond themselves, bytes.
    bytes: usize,
}

impl Accumulator for Gathered {
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()> {
        let value = &arguments[0];
        if value.is_null() && context.type_info(types[0].oid)?.element().is_some() {
            return Err(SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays"));
        }
        if let Datum::Array(array) = value {
            let refused = |what: &str| {
                Err(SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, format!("cannot accumulate {what}")))
            };
            match self.elements.first() {
                _ if array.dimensions.is_empty() => return refused("empty arrays"),
                Some(Datum::Array(first)) if first.dimensions != array.dimensions => {
                    return refused("arrays of different dimensionality");
                }
                _ => {}
            }
        }
        self.bytes += value.heap_bytes();
        self.elements.push(value.clone());
        Ok(())
    }

    fn merge(&mut self, other: &Gathered) -> Result<()> {
        self.elements.extend(other.elements.iter().cloned());
        self.bytes += other.bytes;
        Ok(())
    }

    fn finish(&self, types: &[DataType], result: DataType, context: &EvalContext<'_>) -> Result<Datum> {
        if self.elements.is_empty() {
            return Ok(Datum::Null);
        }
        let has_arrays = self.elements.iter().any(|element| matches!(element, Datum::Array(_)));
        if has_arrays {
            return crate::expr::make_array(self.elements.clone(), result, context);
        }
        Ok(ArrayValue::from_elements(types[0].oid, self.elements.clone()).into())
    }

    fn heap_bytes(&self) -> usize {
        self.elements.capacity() * size_of::<Datum>() + self.bytes
    }
}

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
