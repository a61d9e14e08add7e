//! WITH RECURSIVE.
//!
//! 1. The seed's rows are the result's first, and the first *working table*.
//! 2. The step runs over the working table; what it gives — for UNION, what was not given before — is passed on and
//!    becomes the next working table.
//! 3. An empty working table is the end.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::keys::{append_row_key, equality_column};
use super::{BoxFuture, Execution, Operator, build_from, drain};
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
    given: Option<HashSet<Vec<u8>>>,
    ready: VecDeque<Batch>,
    working: Vec<Batch>,
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
            given: (!all).then(HashSet::new),
            ready: VecDeque::new(),
            working: Vec::new(),
        }
    }

    /// Takes rows into the result and into the next working table.
    fn admit(&mut self, batch: Batch) {
        let batch = match &mut self.given {
            None => batch,
            Some(given) => {
                let mut kept = Vec::new();
                for row in 0..batch.row_count {
                    let mut key = Vec::new();
                    append_row_key(&self.keys, &batch.columns, row, false, &mut key);
                    if given.insert(key) {
                        kept.push(row as u32);
                    }
                }
                batch.gather(&kept)
            }
        };
        if batch.row_count > 0 {
            self.working.push(batch.clone());
            self.ready.push_back(batch);
        }
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(seed) = &mut self.seed {
                match seed.next(execution).await? {
                    Some(batch) => self.admit(batch),
                    None => self.seed = None,
                }
                continue;
            }
            if self.working.is_empty() {
                return Ok(None);
            }
            execution.breathe().await?;
            let working: Arc<[Batch]> = std::mem::take(&mut self.working).into();
            let outer = execution.working_tables.insert(self.table, working);
            let mut step = build_from(&self.step, self.step_number);
            let stepped = drain(&mut *step, execution).await;
            match outer {
                Some(outer) => execution.working_tables.insert(self.table, outer),
                None => execution.working_tables.remove(&self.table),
            };
            stepped?.into_iter().for_each(|batch| self.admit(batch));
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
        let batches = execution.working_tables.get(&self.table);
        let batch = batches.and_then(|batches| batches.get(self.next)).cloned();
        self.next += 1;
        Box::pin(std::future::ready(Ok(batch)))
    }
}
