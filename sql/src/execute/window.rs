//! Window functions.
//!
//! 1. All rows are read, with the values that the calls take, and sorted by partition and order, on disk where they do not
//!    fit in memory.
//! 2. Partition by partition, each held in memory, each call finds the frame of every row — positions in the partition — and its result.
//!    An aggregate goes on from the row before while its frame only grows at the end; otherwise it starts over.
//! 3. Rows are given in sorted order, with the results behind their own columns.

use std::collections::VecDeque;

use super::frame_boundary::{self, Boundary, Side};
use super::keys::{equality_columns, evaluate};
use super::memory::{QueryMemory, Reservation};
use super::sorter::Sorter;
use super::values::builders;
use super::{BoxFuture, Execution, Operator};

use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{Aggregate, AggregateState, CallTypes, EvalContext};
use crate::plan::window::{
    Exclusion, Frame, FrameBound, FrameUnit, ValueBound, WindowCall, WindowFunction, WindowOrder,
};
use crate::types::DataType;
use crate::value::key::{self, KeyColumn};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum};

/// A row of the input.
struct Row {
    partition: Vec<u8>,
    order: Vec<u8>,
    values: Vec<Datum>,
    /// What the calls take, one call after the other: arguments, FILTER, and bounds that are values.
    taken: Vec<Datum>,
}

/// Where a call's values are in [`Row::taken`].
struct Places {
    arguments: usize,
    filter: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
}

/// The rows in order, and how far they have been read.
struct Sorted {
    sorter: Sorter,
    batch: Batch,
    at: usize,
    /// What the partition at hand takes.
    reservation: Reservation,
}

/// Computes calls over windows of one partitioning and order.
pub struct Window {
    input: Box<dyn Operator>,
    order: WindowOrder,
    calls: Vec<WindowCall>,
    partition_keys: Vec<KeyColumn>,
    order_keys: Vec<KeyColumn>,
    places: Vec<Places>,
    taken: Vec<Expr>,
    types: Vec<DataType>,
    sorted: Option<Sorted>,
    /// Rows with their results.
    ready: VecDeque<Vec<Datum>>,
}

impl Window {
    pub fn new(
        input: Box<dyn Operator>,
        order: WindowOrder,
        calls: Vec<WindowCall>,
        types: &[DataType],
    ) -> Window {
        let mut taken = Vec::new();
        let mut places = Vec::new();
        let mut take = |expr: &Expr| {
            taken.push(expr.clone());
            taken.len() - 1
        };
        for call in &calls {
            let mut value_of = |bound: &FrameBound| match bound {
                FrameBound::Value(bound) => {
                    let first = take(&bound.key);
                    take(&bound.offset);
                    bound.moved.iter().for_each(|moved| {
                        take(moved);
                    });
                    Some(first)
                }
                _ => None,
            };
            let (start, end) = (value_of(&call.frame.start), value_of(&call.frame.end));
            let filter = call.filter.as_ref().map(&mut take);
            let arguments: Vec<usize> = call.arguments.iter().map(&mut take).collect();
            places.push(Places { arguments: arguments.first().copied().unwrap_or(0), filter, start, end });
        }
        Window {
            input,
            partition_keys: equality_columns(&order.partition),
            order_keys: crate::plan::sort_columns(&order.order),
            order,
            calls,
            places,
            taken,
            types: types.to_vec(),
            sorted: None,
            ready: VecDeque::new(),
        }
    }

    /// Reads all rows, each with what it is sorted by and what the calls take, and sorts them.
    async fn sort(&mut self, execution: &mut Execution) -> Result<Sorter> {
        let order: Vec<Expr> = self.order.order.iter().map(|key| key.expr.clone()).collect();
        let keys = self.partition_keys.iter().chain(&self.order_keys).copied().collect();
        let mut sorter = Sorter::new(keys, execution);
        while let Some(mut batch) = self.input.next(execution).await? {
            let mut values = evaluate(&self.order.partition, &batch, execution)?;
            values.extend(evaluate(&order, &batch, execution)?);
            let taken = evaluate(&self.taken, &batch, execution)?;
            batch.columns.extend(values.iter().cloned().chain(taken));
            sorter.add(&values, batch, execution).await?;
        }
        sorter.finish(execution).await?;
        Ok(sorter)
    }

    /// Takes a sorted row apart.
    fn row(&self, batch: &Batch, at: usize) -> Row {
        let width =
            batch.columns.len() - self.taken.len() - self.partition_keys.len() - self.order_keys.len();
        let (partition, order) = (width, width + self.partition_keys.len());
        let encoded = |keys: &[KeyColumn], first: usize| {
            let mut out = Vec::new();
            for (key_column, column) in keys.iter().zip(&batch.columns[first..]) {
                key::encode_at(key_column, column, at, false, &mut out);
            }
            out
        };
        Row {
            partition: encoded(&self.partition_keys, partition),
            order: encoded(&self.order_keys, order),
            values: batch.columns[..width].iter().map(|column| column.get(at)).collect(),
            taken: batch.columns[order + self.order_keys.len()..]
                .iter()
                .map(|column| column.get(at))
                .collect(),
        }
    }

    /// Reads the rows of the next partition.
    async fn next_partition(&mut self, sorted: &mut Sorted, execution: &mut Execution) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        let mut held = 0;
        loop {
            if sorted.at == sorted.batch.row_count {
                let Some(batch) = sorted.sorter.next(BATCH_ROWS, execution).await? else { return Ok(rows) };
                sorted.batch = batch;
                sorted.at = 0;
            }
            let row = self.row(&sorted.batch, sorted.at);
            if rows.first().is_some_and(|first| first.partition != row.partition) {
                return Ok(rows);
            }
            sorted.at += 1;
            held += row.memory_bytes();
            sorted.reservation.set_state(held)?;
            rows.push(row);
        }
    }

    /// Computes the calls over one partition.
    fn compute(&self, rows: &mut [Row], memory: &QueryMemory, execution: &Execution) -> Result<()> {
        let context = execution.context();
        for (call, places) in self.calls.iter().zip(&self.places) {
            let results =
                PartitionCall::new(rows, call, places, &self.order_keys, &context)?.results(memory)?;
            for (row, result) in rows.iter_mut().zip(results) {
                row.values.push(result);
            }
        }
        Ok(())
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        let mut sorted = match self.sorted.take() {
            Some(sorted) => sorted,
            None => {
                let reservation = execution.memory().reserve();
                let sorter = self.sort(execution).await?;
                Sorted { sorter, batch: Batch::default(), at: 0, reservation }
            }
        };
        while self.ready.len() < BATCH_ROWS {
            let mut rows = self.next_partition(&mut sorted, execution).await?;
            if rows.is_empty() {
                break;
            }
            self.compute(&mut rows, sorted.reservation.memory(), execution)?;
            self.ready.extend(rows.into_iter().map(|row| row.values));
            execution.breathe().await?;
        }
        self.sorted = Some(sorted);
        self.batch(execution)
    }

    fn batch(&mut self, execution: &Execution) -> Result<Option<Batch>> {
        let count = self.ready.len().min(BATCH_ROWS);
        if count == 0 {
            return Ok(None);
        }
        let mut builders = builders(&self.types, count, execution)?;
        for row in self.ready.drain(..count) {
            for (builder, value) in builders.iter_mut().zip(row) {
                builder.push(value)?;
            }
        }
        Ok(Some(Batch::new(builders.into_iter().map(ColumnBuilder::finish).collect(), count)))
    }
}

impl Row {
    fn memory_bytes(&self) -> usize {
        let values = self.values.iter().chain(&self.taken);
        let values: usize = values.map(|value| size_of::<Datum>() + value.heap_bytes()).sum();
        size_of::<Row>() + self.partition.len() + self.order.len() + values
    }
}

impl Operator for Window {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}

/// Where a RANGE frame begins or ends.
enum Place {
    /// At an encoded value.
    Key(Vec<u8>),
    /// Before the row at a position.
    Position(usize),
    /// At the ends of the row's peers.
    Peers,
}

/// Whether an encoded value is a NULL that comes before all others, and after them.
fn is_null_before(order: &[u8]) -> bool {
    order.first() == Some(&key::MARK_NULL_FIRST)
}

fn is_null_after(order: &[u8]) -> bool {
    order.first() == Some(&key::MARK_NULL_LAST)
}

/// One call over one partition.
struct PartitionCall<'a> {
    rows: &'a [Row],
    call: &'a WindowCall,
    places: &'a Places,
    order_keys: &'a [KeyColumn],
    context: &'a EvalContext<'a>,
    /// The number of each row's group of peers.
    group_of: Vec<usize>,
    /// Where each group begins, and the partition's length behind the last.
    group_starts: Vec<usize>,
    start_offset: usize,
    end_offset: usize,
}

impl<'a> PartitionCall<'a> {
    fn new(
        rows: &'a [Row],
        call: &'a WindowCall,
        places: &'a Places,
        order_keys: &'a [KeyColumn],
        context: &'a EvalContext<'a>,
    ) -> Result<PartitionCall<'a>> {
        let mut group_of = Vec::with_capacity(rows.len());
        let mut group_starts = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            if at == 0 || row.order != rows[at - 1].order {
                group_starts.push(at);
            }
            group_of.push(group_starts.len() - 1);
        }
        group_starts.push(rows.len());
        let start_offset = offset(&call.frame.start, "starting", rows, context)?;
        let end_offset = offset(&call.frame.end, "ending", rows, context)?;
        Ok(PartitionCall {
            rows,
            call,
            places,
            order_keys,
            context,
            group_of,
            group_starts,
            start_offset,
            end_offset,
        })
    }

    fn argument(&self, row: usize, number: usize) -> &Datum {
        &self.rows[row].taken[self.places.arguments + number]
    }

    fn results(&self, memory: &QueryMemory) -> Result<Vec<Datum>> {
        if let WindowFunction::Aggregate(aggregate) = &self.call.function {
            return self.aggregated(aggregate, memory);
        }
        (0..self.rows.len()).map(|row| self.result(row)).collect()
    }

    fn result(&self, row: usize) -> Result<Datum> {
        let count = self.rows.len();
        let group = self.group_of[row];
        let first_peer = self.group_starts[group];
        let integer = |number: usize| Datum::Int64(number as i64);
        let value_at = |at: Option<usize>| at.map_or(Datum::Null, |at| self.argument(at, 0).clone());
        Ok(match &self.call.function {
            WindowFunction::RowNumber => integer(row + 1),
            WindowFunction::Rank => integer(first_peer + 1),
            WindowFunction::DenseRank => integer(group + 1),
            WindowFunction::PercentRank if count < 2 => Datum::Float64(0.0),
            WindowFunction::PercentRank => Datum::Float64(first_peer as f64 / (count - 1) as f64),
            WindowFunction::CumeDist => Datum::Float64(self.group_starts[group + 1] as f64 / count as f64),
            WindowFunction::Ntile => self.ntile(row)?,
            WindowFunction::Lag => self.shifted(row, -1),
            WindowFunction::Lead => self.shifted(row, 1),
            WindowFunction::FirstValue => value_at(self.framed(row)?.next()),
            WindowFunction::LastValue => value_at(self.framed(row)?.next_back()),
            WindowFunction::NthValue => {
                let Some(n) = self.argument(row, 1).as_i64() else { return Ok(Datum::Null) };
                let Some(n) = usize::try_from(n - 1).ok() else {
                    return Err(SqlError::new(
                        SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE,
                        "argument of nth_value must be greater than zero",
                    ));
                };
                value_at(self.framed(row)?.nth(n))
            }
            WindowFunction::Aggregate(_) => {
                return Err(SqlError::internal("aggregates have no single result"));
            }
        })
    }

    fn ntile(&self, row: usize) -> Result<Datum> {
        // The first row's argument holds for the partition.
        let Some(buckets) = self.argument(0, 0).as_i64() else { return Ok(Datum::Null) };
        let Some(buckets) = usize::try_from(buckets).ok().filter(|buckets| *buckets > 0) else {
            return Err(SqlError::new(
                SqlState::INVALID_ARGUMENT_FOR_NTILE,
                "argument of ntile must be greater than zero",
            ));
        };
        let (small, larger) = (self.rows.len() / buckets, self.rows.len() % buckets);
        let in_larger = larger * (small + 1);
        let bucket = if row < in_larger { row / (small + 1) } else { larger + (row - in_larger) / small };
        Ok(Datum::Int32(i32::try_from(bucket + 1).unwrap_or(i32::MAX)))
    }

    /// `lag` and `lead`.
    fn shifted(&self, row: usize, direction: i64) -> Datum {
        let Some(offset) = self.argument(row, 1).as_i64() else { return Datum::Null };
        let wanted = row as i64 + direction * offset;
        match usize::try_from(wanted).ok().filter(|wanted| *wanted < self.rows.len()) {
            Some(wanted) => self.argument(wanted, 0).clone(),
            None if self.call.arguments.len() > 2 => self.argument(row, 2).clone(),
            None => Datum::Null,
        }
    }

    /// The positions of a row's frame, without what it leaves out.
    fn framed(&self, row: usize) -> Result<impl DoubleEndedIterator<Item = usize>> {
        let (start, end) = self.frame(row)?;
        let is_peer = move |at: usize| self.group_of[at] == self.group_of[row];
        Ok((start..end).filter(move |at| match self.call.frame.exclusion {
            Exclusion::Nothing => true,
            Exclusion::CurrentRow => *at != row,
            Exclusion::Group => !is_peer(*at),
            Exclusion::Ties => *at == row || !is_peer(*at),
        }))
    }

    /// The frame of a row: from the first position to before the second.
    fn frame(&self, row: usize) -> Result<(usize, usize)> {
        let Frame { unit, start, end, .. } = &self.call.frame;
        let count = self.rows.len();
        let (group, groups) = (self.group_of[row], self.group_starts.len() - 1);
        let rows_unit = *unit == FrameUnit::Rows;
        let group_start = |group: usize| self.group_starts[group.min(groups)];
        let first = match start {
            FrameBound::Unbounded => 0,
            FrameBound::CurrentRow if rows_unit => row,
            FrameBound::CurrentRow => group_start(group),
            FrameBound::Preceding(_) if rows_unit => row.saturating_sub(self.start_offset),
            FrameBound::Preceding(_) => group_start(group.saturating_sub(self.start_offset)),
            FrameBound::Following(_) if rows_unit => row.saturating_add(self.start_offset).min(count),
            FrameBound::Following(_) => group_start(group.saturating_add(self.start_offset)),
            FrameBound::Value(bound) => match self.boundary(row, self.places.start, bound, true)? {
                Place::Key(key) => self.rows.partition_point(|other| other.order < key),
                Place::Position(position) => position,
                Place::Peers => group_start(group),
            },
        };
        let last = match end {
            FrameBound::Unbounded => count,
            FrameBound::CurrentRow if rows_unit => row + 1,
            FrameBound::CurrentRow => group_start(group + 1),
            FrameBound::Preceding(_) if rows_unit => (row + 1).saturating_sub(self.end_offset),
            FrameBound::Preceding(_) => match group.checked_sub(self.end_offset) {
                Some(group) => group_start(group + 1),
                None => 0,
            },
            FrameBound::Following(_) if rows_unit => (row + 1).saturating_add(self.end_offset).min(count),
            FrameBound::Following(_) => group_start(group.saturating_add(self.end_offset).saturating_add(1)),
            FrameBound::Value(bound) => match self.boundary(row, self.places.end, bound, false)? {
                Place::Key(key) => self.rows.partition_point(|other| other.order <= key),
                Place::Position(position) => position,
                Place::Peers => group_start(group + 1),
            },
        };
        Ok((first, last.max(first)))
    }

    /// Where a RANGE frame begins or ends.
    fn boundary(
        &self,
        row: usize,
        place: Option<usize>,
        bound: &ValueBound,
        is_start: bool,
    ) -> Result<Place> {
        let (Some(place), Some(column)) = (place, self.order_keys.first()) else { return Ok(Place::Peers) };
        let taken = &self.rows[row].taken;
        let moved = bound.moved.as_ref().map(|_| &taken[place + 2]);
        let side = Side { is_start, descending: column.descending };
        let found = frame_boundary::boundary(side, &taken[place], &taken[place + 1], moved, bound.subtract)?;
        let is_first = |found: &Boundary| (*found == Boundary::Before) != column.descending;
        Ok(match found {
            Boundary::Peers => Place::Peers,
            Boundary::At(value) => {
                let mut encoded = Vec::new();
                key::encode(column, &value, &mut encoded);
                Place::Key(encoded)
            }
            // NULLs lie outside of all values.
            beyond if is_first(&beyond) => {
                Place::Position(self.rows.partition_point(|other| is_null_before(&other.order)))
            }
            _ => Place::Position(self.rows.partition_point(|other| !is_null_after(&other.order))),
        })
    }

    fn aggregated(&self, aggregate: &Aggregate, memory: &QueryMemory) -> Result<Vec<Datum>> {
        let argument_types: Vec<DataType> = self.call.arguments.iter().map(Expr::data_type).collect();
        let types = CallTypes { arguments: &argument_types, result: self.call.data_type };
        let fresh = || {
            let mut state = (aggregate.init)(&types);
            state.resize(1);
            state
        };
        let mut state = fresh();
        let (mut done_from, mut done_to) = (0, 0);
        let mut results: Vec<Datum> = Vec::with_capacity(self.rows.len());
        let mut held = 0;
        for row in 0..self.rows.len() {
            // Each result may be as large as the whole partition.
            held += results.last().map_or(0, |result| size_of::<Datum>() + result.heap_bytes());
            memory.check_state(held)?;
            if self.call.frame.exclusion != Exclusion::Nothing {
                let mut state = fresh();
                self.accumulate(&mut *state, &argument_types, self.framed(row)?)?;
                results.push(state.finish(0, self.context)?);
                continue;
            }
            let (start, end) = self.frame(row)?;
            if row > 0 && (start, end) == (done_from, done_to) {
                results.push(results[row - 1].clone());
                continue;
            }
            if start != done_from || end < done_to {
                state = fresh();
                done_to = start;
            }
            self.accumulate(&mut *state, &argument_types, done_to.max(start)..end)?;
            (done_from, done_to) = (start, end);
            results.push(state.finish(0, self.context)?);
        }
        Ok(results)
    }

    fn accumulate(
        &self,
        state: &mut dyn AggregateState,
        argument_types: &[DataType],
        positions: impl Iterator<Item = usize>,
    ) -> Result<()> {
        let kept: Vec<usize> = positions
            .filter(|row| {
                self.places.filter.is_none_or(|place| self.rows[*row].taken[place].as_bool() == Some(true))
            })
            .collect();
        for rows in kept.chunks(BATCH_ROWS) {
            let mut columns = Vec::new();
            for (number, data_type) in argument_types.iter().enumerate() {
                let mut builder = ColumnBuilder::new(self.context.type_info(data_type.oid)?.kind, rows.len());
                for row in rows {
                    builder.push(self.argument(*row, number).clone())?;
                }
                columns.push(builder.finish());
            }
            state.accumulate(&vec![0; rows.len()], &columns, self.context)?;
        }
        Ok(())
    }
}

/// How many rows or groups a bound is away.
fn offset(bound: &FrameBound, which: &str, rows: &[Row], context: &EvalContext<'_>) -> Result<usize> {
    let (FrameBound::Preceding(expr) | FrameBound::Following(expr)) = bound else { return Ok(0) };
    // What it reads are subqueries that give the same for all rows.
    let row = rows.first().map_or(&[][..], |row| &row.values);
    let Some(rows) = expr.eval_row(&row, context)?.as_i64() else {
        return Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("frame {which} offset must not be null"),
        ));
    };
    usize::try_from(rows).map_err(|_| {
        SqlError::new(
            SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
            format!("frame {which} offset must not be negative"),
        )
    })
}
