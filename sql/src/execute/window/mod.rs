//! Window functions.
//!
//! 1. All rows are read, with the values that the calls take, and sorted by partition and order, on disk where they do not
//!    fit in memory; unless they come in that order already.
//! 2. They pass through a [`Section`]: rows in one piece, with where partitions and groups of peers begin. It holds what the
//!    calls want to have at hand around a row ([`Reach`]): for `row_number`, `lag` and running sums a few rows, for others
//!    whole partitions.
//! 3. Rows are given in sorted order, with the results behind their own columns.

mod aggregated;
mod frame;
mod picking;
mod ranking;
mod section;

use std::ops::Range;

use aggregated::Aggregated;
use frame::{Frames, Reach};
use picking::Picking;
use section::{Keys, Section};

use super::keys::{equality_columns, evaluate};
use super::memory::Reservation;
use super::sorter::Sorter;
use super::values::builders;
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::plan::walk;
use crate::plan::window::{FrameBound, WindowCall, WindowFunction, WindowOrder};
use crate::types::DataType;
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum};

/// How many rows are looked at together, unless they take more memory than an operator may hold.
const SECTION_ROWS: usize = 4 * BATCH_ROWS;
/// After so many rows it is asked what their results take.
const STEP_ROWS: usize = 64;
/// Calls that look further than so many rows have whole partitions at hand.
const REACH_ROWS_MAX: usize = 1 << 16;

/// Where a call's values are among the columns.
struct Places {
    arguments: Range<usize>,
    filter: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
}

/// One call on its way through the rows.
enum Computation {
    /// With the column of the first argument.
    Ranking(WindowFunction, usize),
    Picking(Box<Picking>),
    Aggregated(Box<Aggregated>),
}

/// What the calls want to have at hand around a row.
#[derive(Clone, Copy, Default)]
struct Around {
    behind: usize,
    on: usize,
    peers: bool,
    all: bool,
}

/// The rows in order, and how far they have been read.
struct Stage {
    /// The rows, if they had to be sorted.
    sorter: Option<Sorter>,
    section: Section,
    /// Made when the first rows are there.
    computations: Vec<Computation>,
    around: Around,
    /// The next row to be given, and up to where rows can be.
    next: usize,
    ready: usize,
    is_over: bool,
    reservation: Reservation,
}

/// Computes calls over windows of one partitioning and order.
pub struct Window {
    input: Box<dyn Operator>,
    order: WindowOrder,
    calls: Vec<WindowCall>,
    /// The rows come in order.
    sorted: bool,
    keys: Keys,
    places: Vec<Places>,
    taken: Vec<Expr>,
    types: Vec<DataType>,
    stage: Option<Stage>,
}

impl Window {
    pub fn new(
        input: Box<dyn Operator>,
        order: WindowOrder,
        calls: Vec<WindowCall>,
        sorted: bool,
        types: &[DataType],
    ) -> Window {
        let keys = Keys {
            at: types.len() - calls.len(),
            partition: equality_columns(&order.partition),
            order: crate::plan::sort_columns(&order.order),
        };
        let taken_at = keys.at + keys.partition.len() + keys.order.len();
        let mut taken = Vec::new();
        let mut take = |expr: &Expr| {
            taken.push(expr.clone());
            taken_at + taken.len() - 1
        };
        // A column is there already.
        let column = |expr: &Expr| match expr {
            Expr::Column { index, .. } => Some(*index),
            _ => None,
        };
        let mut places = Vec::new();
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
            let filter = call.filter.as_ref().map(|filter| column(filter).unwrap_or_else(|| take(filter)));
            let first = match &call.arguments[..] {
                [] => 0,
                [only] => column(only).unwrap_or_else(|| take(only)),
                [first, others @ ..] => {
                    let place = take(first);
                    others.iter().for_each(|other| {
                        take(other);
                    });
                    place
                }
            };
            places.push(Places { arguments: first..first + call.arguments.len(), filter, start, end });
        }
        Window { input, order, calls, sorted, keys, places, taken, types: types.to_vec(), stage: None }
    }

    /// The next rows of the input, with what they are sorted by and what the calls take behind their own columns.
    async fn read(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        let Some(mut batch) = self.input.next(execution).await? else { return Ok(None) };
        let mut further = evaluate(&self.order.partition, &batch, execution)?;
        let order: Vec<Expr> = self.order.order.iter().map(|key| key.expr.clone()).collect();
        further.extend(evaluate(&order, &batch, execution)?);
        further.extend(evaluate(&self.taken, &batch, execution)?);
        batch.columns.extend(further);
        Ok(Some(batch))
    }

    /// Reads all rows and sorts them.
    async fn sort(&mut self, execution: &mut Execution) -> Result<Sorter> {
        let keys: Vec<_> = self.keys.partition.iter().chain(&self.keys.order).copied().collect();
        let mut sorter = Sorter::new(keys, execution);
        while let Some(batch) = self.read(execution).await? {
            let values =
                batch.columns[self.keys.at..][..self.keys.partition.len() + self.keys.order.len()].to_vec();
            sorter.add(&values, batch, execution).await?;
        }
        sorter.finish(execution).await?;
        Ok(sorter)
    }

    /// Prepares the calls; what their offsets read are subqueries that give the same for all rows.
    fn computations(&self, row: &[Datum], context: &EvalContext<'_>) -> Result<Vec<Computation>> {
        let mut computations = Vec::with_capacity(self.calls.len());
        for (call, places) in self.calls.iter().zip(&self.places) {
            let order_key = self.keys.order.first().copied();
            let frames = || Frames::new(&call.frame, (places.start, places.end), order_key, row, context);
            computations.push(match &call.function {
                WindowFunction::Aggregate(aggregate) => {
                    let types: Vec<DataType> = call.arguments.iter().map(Expr::data_type).collect();
                    let (arguments, filter) = (places.arguments.clone(), places.filter);
                    let frames = frames()?;
                    Computation::Aggregated(Box::new(Aggregated::new(
                        aggregate,
                        &types,
                        call.data_type,
                        arguments,
                        filter,
                        frames,
                    )))
                }
                WindowFunction::RowNumber
                | WindowFunction::Rank
                | WindowFunction::DenseRank
                | WindowFunction::PercentRank
                | WindowFunction::CumeDist
                | WindowFunction::Ntile => {
                    Computation::Ranking(call.function.clone(), places.arguments.start)
                }
                _ => {
                    let distance = match call.arguments.get(1).filter(|distance| walk::is_constant(distance))
                    {
                        Some(distance) => distance.eval_row(&row, context)?.as_i64(),
                        None => None,
                    };
                    let arguments = places.arguments.clone();
                    let picking = Picking::new(call.function.clone(), arguments, frames()?, distance);
                    Computation::Picking(Box::new(picking))
                }
            });
        }
        Ok(computations)
    }

    async fn begin(&mut self, execution: &mut Execution) -> Result<Stage> {
        let reservation = execution.memory().reserve();
        let sorter = if self.sorted { None } else { Some(self.sort(execution).await?) };
        Ok(Stage {
            sorter,
            section: Section::default(),
            computations: Vec::new(),
            around: Around::default(),
            next: 0,
            ready: 0,
            is_over: false,
            reservation,
        })
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        let mut stage = match self.stage.take() {
            Some(stage) => stage,
            None => self.begin(execution).await?,
        };
        if stage.next == stage.ready {
            self.fill(&mut stage, execution).await?;
        }
        execution.breathe().await?;
        let rows = stage.next..stage.ready.min(stage.next + BATCH_ROWS);
        let batch = if rows.is_empty() { None } else { Some(self.compute(&mut stage, rows, execution)?) };
        self.stage = Some(stage);
        Ok(batch)
    }

    /// Reads on until there are rows whose results can be computed, or no more rows.
    async fn fill(&mut self, stage: &mut Stage, execution: &mut Execution) -> Result<()> {
        stage.forget();
        let limit_bytes = execution.memory().work_bytes;
        while !stage.is_over {
            let (found, held) = (stage.complete() - stage.next, stage.section.memory_bytes());
            if found >= SECTION_ROWS || (found > 0 && held > limit_bytes) {
                break;
            }
            let batch = match &mut stage.sorter {
                Some(sorter) => {
                    let row_bytes = held.checked_div(stage.section.len()).unwrap_or(limit_bytes / STEP_ROWS);
                    let rows = (limit_bytes / row_bytes.max(1)).clamp(STEP_ROWS, BATCH_ROWS);
                    sorter.next(rows, execution).await?
                }
                None => {
                    execution.breathe().await?;
                    self.read(execution).await?
                }
            };
            let Some(batch) = batch else {
                stage.is_over = true;
                break;
            };
            if batch.row_count == 0 {
                continue;
            }
            if stage.computations.is_empty() {
                let row = batch.row(0);
                stage.computations = self.computations(&row[..self.keys.at], &execution.context())?;
                stage.around = Around::of(&stage.computations);
            }
            stage.section.add(batch, &self.keys);
            stage.reservation.set_state(stage.section.memory_bytes())?;
        }
        stage.ready = stage.complete();
        stage.section.join()?;
        if stage.computations.iter().any(Computation::wants_order) {
            stage.section.encode_order(&self.keys);
        }
        Ok(())
    }

    /// The next rows with their results; fewer than asked for where these take much memory.
    fn compute(&self, stage: &mut Stage, rows: Range<usize>, execution: &Execution) -> Result<Batch> {
        let mut results = builders(&self.types[self.keys.at..], rows.len(), execution)?;
        let limit_bytes = stage.reservation.memory().work_bytes;
        let (first, mut held) = (stage.next, 0);
        while stage.next < rows.end && held <= limit_bytes {
            let step = stage.next..rows.end.min(stage.next + STEP_ROWS);
            held += stage.step(step, &mut results, held, &execution.context())?;
        }
        let states: usize = stage.computations.iter().map(Computation::state_bytes).sum();
        stage.reservation.set_state(stage.section.memory_bytes() + held + states)?;
        let section = &stage.section.batch;
        let own = Batch::new(section.columns[..self.keys.at].to_vec(), section.row_count);
        let given = first..stage.next;
        let mut batch = if given.len() == own.row_count { own } else { own.slice(given) };
        batch.columns.extend(results.into_iter().map(ColumnBuilder::finish));
        Ok(batch)
    }
}

impl Stage {
    /// Computes the results of a few rows, where others take `held` bytes; gives what these take beyond themselves.
    fn step(
        &mut self,
        rows: Range<usize>,
        results: &mut [ColumnBuilder],
        held: usize,
        context: &EvalContext<'_>,
    ) -> Result<usize> {
        let memory = self.reservation.memory();
        let mut more = 0;
        for (computation, out) in self.computations.iter_mut().zip(results) {
            for partition in self.section.partitions_from(rows.start) {
                let part = rows.start.max(partition.start)..rows.end.min(partition.end);
                if part.is_empty() {
                    break;
                }
                match computation {
                    Computation::Ranking(function, argument) => {
                        ranking::append(function, *argument, &self.section, partition, part, out)?;
                    }
                    Computation::Picking(picking) => picking.append(&self.section, partition, part, out)?,
                    Computation::Aggregated(aggregated) => {
                        for row in part {
                            // Each result may be as large as the whole partition.
                            more += aggregated.append(&self.section, partition, row, out, context)?;
                            memory.check_state(held + more)?;
                        }
                    }
                }
            }
        }
        self.next = rows.end;
        Ok(more)
    }

    /// Up to where all that results need is at hand.
    fn complete(&self) -> usize {
        if self.is_over {
            return self.section.len();
        }
        let partitions = self.section.last_partition();
        if self.around.all {
            return partitions.max(self.next);
        }
        let mut rows = self.section.len().saturating_sub(self.around.on);
        if self.around.peers {
            rows = rows.min(self.section.last_group());
        }
        rows.max(partitions).max(self.next)
    }

    /// Lets go of the rows that no result needs any more.
    fn forget(&mut self) {
        let Some(last) = self.section.len().checked_sub(1) else { return };
        // What comes next is compared with the last row.
        let row = self.next.min(last);
        let Some(partition) = self.section.partitions_from(row).first() else { return };
        let first = self.next.saturating_sub(self.around.behind.max(1)).max(partition.start).min(row);
        self.section.forget_before(first);
        for computation in &mut self.computations {
            if let Computation::Aggregated(aggregated) = computation {
                aggregated.forget_before(first);
            }
        }
        self.next -= first;
        self.ready = self.next;
    }
}

impl Computation {
    fn reach(&self) -> (Reach, Reach) {
        match self {
            Computation::Ranking(
                WindowFunction::RowNumber | WindowFunction::Rank | WindowFunction::DenseRank,
                _,
            ) => (Reach::Rows(0), Reach::Rows(0)),
            Computation::Ranking(..) => (Reach::All, Reach::All),
            Computation::Picking(picking) => picking.reach(),
            Computation::Aggregated(aggregated) => aggregated.reach(),
        }
    }

    /// What it keeps from row to row, bytes.
    fn state_bytes(&self) -> usize {
        match self {
            Computation::Aggregated(aggregated) => aggregated.memory_bytes(),
            _ => 0,
        }
    }

    fn wants_order(&self) -> bool {
        match self {
            Computation::Ranking(..) => false,
            Computation::Picking(picking) => picking.wants_order(),
            Computation::Aggregated(aggregated) => aggregated.wants_order(),
        }
    }
}

impl Around {
    fn of(computations: &[Computation]) -> Around {
        let mut around = Around::default();
        for computation in computations {
            let (behind, on) = computation.reach();
            match behind {
                Reach::Rows(rows) if rows <= REACH_ROWS_MAX => around.behind = around.behind.max(rows),
                _ => around.all = true,
            }
            match on {
                Reach::Rows(rows) if rows <= REACH_ROWS_MAX => around.on = around.on.max(rows),
                Reach::Peers => around.peers = true,
                _ => around.all = true,
            }
        }
        around
    }
}

impl Operator for Window {
    fn reset(&mut self) -> bool {
        self.stage = None;
        self.input.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
