//! WITH RECURSIVE.
//!
//! 1. The seed's rows are the result's first, and the first *working table*.
//! 2. The step runs over the working table; what it gives — for UNION, what was not given before — is passed on as it
//!    comes, so that a LIMIT above ends what has no end, and becomes the next working table.
//! 3. An empty working table is the end.
//!
//! The keys of all rows that UNION gave are kept in memory.

use std::sync::Arc;

use super::key_table::{KeyTable, hash_of};
use super::keys::{append_row_key, equality_column};
use super::memory::Reservation;
use super::row_store::RowStore;
use super::{BoxFuture, Execution, Operator, build_from};
use crate::error::Result;
use crate::plan::physical::PlanNode;
use crate::value::{Batch, KeyColumn};

/// Runs a recursive query.
pub struct Recursive {
    /// The working table's number within the statement.
    table: usize,
    /// What gives rows now: the seed, then the step again and again; `None` at the end.
    current: Option<Box<dyn Operator>>,
    step: PlanNode,
    step_number: usize,
    keys: Vec<KeyColumn>,
    /// For UNION: the keys of all rows given.
    given: Option<KeyTable>,
    reservation: Option<Reservation>,
    /// What the step reads.
    working: Option<Arc<RowStore>>,
    /// What it reads the next time.
    next: Option<RowStore>,
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
            current: Some(seed),
            step: step.clone(),
            step_number,
            keys: step.types.iter().map(|data_type| equality_column(*data_type)).collect(),
            given: (!all).then(KeyTable::default),
            reservation: None,
            working: None,
            next: None,
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
        batch.gather(&kept)
    }

    /// The next rows of the seed or the step, which sees its working table only while it runs: a recursive query
    /// within another one's step may have the same number.
    async fn pull(
        &mut self,
        operator: &mut dyn Operator,
        execution: &mut Execution,
    ) -> Result<Option<Batch>> {
        let Some(working) = self.working.clone() else { return operator.next(execution).await };
        let outer = execution.working_tables.insert(self.table, working);
        let pulled = operator.next(execution).await;
        match outer {
            Some(outer) => execution.working_tables.insert(self.table, outer),
            None => execution.working_tables.remove(&self.table),
        };
        pulled
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        loop {
            execution.breathe().await?;
            let Some(mut current) = self.current.take() else { return Ok(None) };
            if let Some(batch) = self.pull(&mut *current, execution).await? {
                self.current = Some(current);
                let batch = self.admit(batch, execution);
                if batch.row_count == 0 {
                    continue;
                }
                let mut next = self.next.take().unwrap_or_else(|| RowStore::new(execution));
                next.push(batch.clone()).await?;
                self.next = Some(next);
                return Ok(Some(batch));
            }
            // Nothing was given: the end.
            let Some(mut next) = self.next.take() else { return Ok(None) };
            next.finish().await?;
            self.working = Some(Arc::new(next));
            self.current = Some(build_from(&self.step, self.step_number));
        }
    }
}

impl Operator for Recursive {
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
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let Some(rows) = execution.working_tables.get(&self.table).cloned() else { return Ok(None) };
            let batch = rows.read(self.next).await?;
            self.next += 1;
            Ok(batch)
        })
    }
}
