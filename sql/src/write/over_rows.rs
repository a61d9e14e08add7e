//! Expressions over the rows that a statement makes, where some of them need a query: the rows become a working table,
//! and the query reads it.

use std::sync::Arc;

use crate::error::Result;
use crate::execute::{self, Execution, RowStore};
use crate::plan::physical::PlanNode;
use crate::value::Batch;

/// A query over rows that were made.
pub struct RowsPlan {
    /// The number of the working table that it reads.
    pub table: usize,
    pub plan: PlanNode,
}

impl RowsPlan {
    /// Runs the query over rows.
    ///
    /// # Errors
    /// Those of the query.
    pub async fn run(&self, rows: Vec<Batch>, execution: &mut Execution) -> Result<Vec<Batch>> {
        let rows = Arc::new(RowStore::of(rows, execution));
        execution.working_tables.insert(self.table, rows);
        // What EXPLAIN ANALYZE measures are the nodes of the statement's own plan.
        let instruments = execution.instruments.take();
        let mut operator = execute::build(&self.plan);
        let computed = execute::drain(&mut *operator, execution).await;
        execution.instruments = instruments;
        computed
    }
}
