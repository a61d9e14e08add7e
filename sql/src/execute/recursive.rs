//! WITH RECURSIVE.
//!
//! 1. The seed's rows are the result's first, and the first *working table*.
//! 2. The step runs over the working table; what it gives — for UNION, what was not given before — is passed on and
//!    becomes the next working table.
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
    seed: Option<Box<dyn Operator>>,
    step: PlanNode,
    step_number: usize,
    keys: Vec<KeyColumn>,
    /// For UNION: the keys of all rows given.
    given: Option<KeyTable>,
    reservation: Option<Reservation>,
    working: Option<Arc<RowStore>>,
    /// How much of the working table was passed on.
    passed: usize,
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
            seed: Some(seed),
            step: step.clone(),
            step_number,
            keys: step.types.iter().map(|data_type| equality_column(*data_type)).collect(),
            given: (!all).then(KeyTable::default),
            reservation: None,
            working: None,
            passed: 0,
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

    /// Reads an operator to its end: the next working table.
    async fn gather(&mut self, operator: &mut dyn Operator, execution: &mut Execution) -> Result<RowStore> {
        let mut store = RowStore::new(execution);
        while let Some(batch) = operator.next(execution).await? {
            execution.breathe().await?;
            let batch = self.admit(batch, execution);
            if batch.row_count > 0 {
                store.push(batch).await?;
            }
        }
        store.finish().await?;
        Ok(store)
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        loop {
            execution.breathe().await?;
            if let Some(mut seed) = self.seed.take() {
                self.working = Some(Arc::new(self.gather(&mut *seed, execution).await?));
            }
            let Some(working) = self.working.clone() else { return Ok(None) };
            if let Some(batch) = working.read(self.passed).await? {
                self.passed += 1;
                return Ok(Some(batch));
            }
            if self.passed == 0 {
                return Ok(None);
            }
            let outer = execution.working_tables.insert(self.table, working);
            let mut step = build_from(&self.step, self.step_number);
            let stepped = self.gather(&mut *step, execution).await;
            match outer {
                Some(outer) => execution.working_tables.insert(self.table, outer),
                None => execution.working_tables.remove(&self.table),
            };
            self.working = Some(Arc::new(stepped?));
            self.passed = 0;
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
