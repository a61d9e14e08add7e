//! WITH RECURSIVE.
//!
//! 1. The seed's rows are the result's first, and the first *working table*.
//! 2. The step runs over the working table; what it gives — for UNION, what was not given before — is passed on as it
//!    comes, so that a LIMIT above ends what has no end, and becomes the next working table.
//! 3. An empty working table is the end.
//!
//! The operators of the step are built once and begin anew each time. Where it gives few rows at a time, those of several
//! times are passed on together: one at first, then twice as many each time, so that little is done that nobody asks for.
//! What fails after such rows fails once they are passed on.
//!
//! The keys of all rows that UNION gave are kept in memory.

use std::sync::Arc;

use super::key_table::{KeyTable, hash_of};
use super::keys::{append_row_key, equality_column};
use super::memory::Reservation;
use super::recursive_rows::{ROWS_MAX, RowStep};
use super::row_store::RowStore;
use super::values::builders;
use super::{BoxFuture, Execution, Operator, renewed};
use crate::error::{Result, SqlError};
use crate::functions::EvalContext;
use crate::plan::physical::PlanNode;
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum, KeyColumn, gather_picked, key};

/// After so many steps row by row, a request to cancel is heard.
const STEPS_AT_ONCE: usize = 256;

/// Runs a recursive query.
pub struct Recursive {
    /// The working table's number within the statement.
    table: usize,
    seed: Box<dyn Operator>,
    step: PlanNode,
    step_number: usize,
    /// The step's operators, once the seed is through.
    operator: Option<Box<dyn Operator>>,
    stage: Stage,
    keys: Vec<KeyColumn>,
    /// For UNION: the keys of all rows given.
    given: Option<KeyTable>,
    reservation: Option<Reservation>,
    /// What the step reads.
    working: Option<Arc<RowStore>>,
    /// What it reads the next time.
    next: Option<RowStore>,
    /// The step, where it may go row by row, and the working table's rows while it does.
    row_step: Option<RowStep>,
    rows: Vec<Vec<Datum>>,
    /// An empty one.
    spare: Option<RowStore>,
    /// Rows that wait to be passed on, and how many; with how many are passed on together.
    waiting: Vec<Batch>,
    waiting_rows: usize,
    together: usize,
    failure: Option<SqlError>,
}

/// What gives rows now.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Seed,
    Step,
    /// The step, row by row.
    Rows,
    Ended,
}

impl Recursive {
    pub fn new(
        table: usize,
        all: bool,
        seed: Box<dyn Operator>,
        step: &PlanNode,
        step_number: usize,
    ) -> Recursive {
        Recursive {
            table,
            seed,
            step: step.clone(),
            step_number,
            operator: None,
            stage: Stage::Seed,
            keys: step.types.iter().map(|data_type| equality_column(*data_type)).collect(),
            given: (!all).then(KeyTable::default),
            reservation: None,
            working: None,
            next: None,
            row_step: RowStep::of(step, table),
            rows: Vec::new(),
            spare: None,
            waiting: Vec::new(),
            waiting_rows: 0,
            together: 1,
            failure: None,
        }
    }

    /// The rows that are part of the result.
    fn admit(&mut self, batch: Batch, execution: &mut Execution) -> Batch {
        let Some(given) = &mut self.given else { return batch };
        let mut kept = Vec::new();
        let mut key = Vec::new();
        for row in 0..batch.row_count {
            key.clear();
            append_row_key(&self.keys, &batch.columns, row, false, &mut key);
            if given.enter(hash_of(&key), &key).1 {
                kept.push(row as u32);
            }
        }
        let held = given.memory_bytes();
        self.reservation.get_or_insert_with(|| execution.memory().reserve()).set(held);
        if kept.len() == batch.row_count { batch } else { batch.gather(&kept) }
    }

    /// The next rows of the seed or the step, which sees its working table only while it runs: a recursive query
    /// within another one's step may have the same number.
    async fn pull(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        let (Some(operator), Stage::Step) = (&mut self.operator, self.stage) else {
            return self.seed.next(execution).await;
        };
        let Some(working) = self.working.clone() else { return Ok(None) };
        let outer = execution.working_tables.insert(self.table, working);
        let pulled = operator.next(execution).await;
        match outer {
            Some(outer) => execution.working_tables.insert(self.table, outer),
            None => execution.working_tables.remove(&self.table),
        };
        pulled
    }

    /// Makes what was gathered the working table, for the step to begin anew; the end, where nothing was.
    async fn turn(&mut self, execution: &Execution) -> Result<()> {
        let Some(mut next) = self.next.take() else {
            self.stage = Stage::Ended;
            return Ok(());
        };
        next.finish().await?;
        if self.row_step.is_some()
            && execution.instruments.is_none()
            && let Some(batches) = next.in_memory()
            && batches.iter().map(|batch| batch.row_count).sum::<usize>() <= ROWS_MAX
        {
            let rows = batches.iter().flat_map(|batch| (0..batch.row_count).map(|row| batch.row(row)));
            self.rows = rows.collect();
            self.stage = Stage::Rows;
            return Ok(());
        }
        let before = self.working.replace(Arc::new(next));
        // The room of the one before serves again.
        if let Some(mut before) = before.and_then(Arc::into_inner)
            && before.clear()
        {
            self.spare = Some(before);
        }
        self.operator = Some(renewed(self.operator.take(), &self.step, self.step_number));
        self.stage = Stage::Step;
        Ok(())
    }

    /// Takes the next rows of the seed or the step; they are counted among those that wait.
    async fn advance(&mut self, execution: &mut Execution) -> Result<()> {
        execution.breathe().await?;
        if self.stage == Stage::Rows {
            return self.advance_rows(execution);
        }
        let Some(batch) = self.pull(execution).await? else { return self.turn(execution).await };
        let batch = self.admit(batch, execution);
        if batch.row_count > 0 {
            let mut next = match self.next.take().or_else(|| self.spare.take()) {
                Some(next) => next,
                None => RowStore::new(execution),
            };
            next.push(batch.clone()).await?;
            self.next = Some(next);
            self.waiting_rows += batch.row_count;
            self.waiting.push(batch);
        }
        Ok(())
    }

    /// Goes on row by row, until rows are enough to be passed on or have taken a while.
    fn advance_rows(&mut self, execution: &mut Execution) -> Result<()> {
        let most = self.together - self.waiting_rows;
        let mut columns = builders(&self.step.types, most.min(STEPS_AT_ONCE), execution)?;
        let mut count = 0;
        let mut outcome = Ok(());
        for _ in 0..STEPS_AT_ONCE {
            outcome = self.step_rows(&mut columns, &mut count, &execution.context());
            if outcome.is_err() || self.rows.is_empty() || count >= most {
                break;
            }
        }
        if let Some(given) = &self.given {
            let held = given.memory_bytes();
            self.reservation.get_or_insert_with(|| execution.memory().reserve()).set(held);
        }
        if self.rows.is_empty() {
            self.stage = Stage::Ended;
        }
        if count > 0 {
            let columns = columns.into_iter().map(ColumnBuilder::finish).collect();
            self.waiting.push(Batch::new(columns, count));
            self.waiting_rows += count;
        }
        outcome
    }

    /// One step.
    fn step_rows(
        &mut self,
        columns: &mut [ColumnBuilder],
        count: &mut usize,
        context: &EvalContext<'_>,
    ) -> Result<()> {
        let Some(step) = &self.row_step else { return Ok(()) };
        let mut key = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            let Some(row) = step.apply(row, context)? else { continue };
            if let Some(given) = &mut self.given {
                key.clear();
                key::encode_all(&self.keys, &row, &mut key);
                if !given.enter(hash_of(&key), &key).1 {
                    continue;
                }
            }
            for (column, value) in columns.iter_mut().zip(&row) {
                column.push(value.clone())?;
            }
            *count += 1;
            self.rows.push(row);
        }
        Ok(())
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        while self.stage != Stage::Ended && self.waiting_rows < self.together {
            if let Err(error) = self.advance(execution).await {
                if self.waiting.is_empty() {
                    return Err(error);
                }
                self.failure = Some(error);
                break;
            }
        }
        self.together = (self.together * 2).min(BATCH_ROWS);
        self.waiting_rows = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(None);
        }
        if let [_] = waiting.as_slice() {
            return Ok(waiting.into_iter().next());
        }
        let rows = |(part, batch): (usize, &Batch)| {
            let part = part as u32;
            (0..batch.row_count as u32).map(move |row| (part, row))
        };
        let picks: Vec<(u32, u32)> = waiting.iter().enumerate().flat_map(rows).collect();
        gather_picked(&waiting, &picks).map(Some)
    }
}

impl Operator for Recursive {
    fn expect(&mut self, rows: usize) {
        self.together = rows.clamp(1, BATCH_ROWS);
    }

    fn reset(&mut self) -> bool {
        if let Some(given) = &mut self.given {
            *given = KeyTable::default();
        }
        self.stage = Stage::Seed;
        (self.working, self.next, self.failure) = (None, None, None);
        self.waiting.clear();
        self.rows.clear();
        (self.waiting_rows, self.together) = (0, 1);
        self.seed.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}

/// Gives the rows of a working table.
pub struct WorkingTable {
    table: usize,
    next: usize,
}

impl WorkingTable {
    pub fn new(table: usize) -> WorkingTable {
        WorkingTable { table, next: 0 }
    }
}

impl Operator for WorkingTable {
    fn reset(&mut self) -> bool {
        self.next = 0;
        true
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let Some(rows) = execution.working_tables.get(&self.table).cloned() else { return Ok(None) };
            let batch = rows.read(self.next).await?;
            self.next += 1;
            Ok(batch)
        })
    }
}
