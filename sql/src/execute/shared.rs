//! A common table that is computed once, however often it is read.

use std::sync::Arc;

use super::row_store::RowStore;
use super::{BoxFuture, Execution, Operator, build_from, store};
use crate::error::Result;
use crate::plan::physical::PlanNode;
use crate::value::Batch;

/// Gives the table's rows; the first to ask computes them.
pub struct Shared {
    table: usize,
    definition: PlanNode,
    number: usize,
    rows: Option<Arc<RowStore>>,
    next: usize,
}

impl Shared {
    pub fn new(table: usize, definition: &PlanNode, number: usize) -> Shared {
        Shared { table, definition: definition.clone(), number, rows: None, next: 0 }
    }

    async fn rows(&self, execution: &mut Execution) -> Result<Arc<RowStore>> {
        if let Some(known) = execution.working_tables.get(&self.table) {
            return Ok(known.clone());
        }
        let mut operator = build_from(&self.definition, self.number);
        let rows = Arc::new(store(&mut *operator, execution).await?);
        execution.working_tables.insert(self.table, rows.clone());
        Ok(rows)
    }
}

impl Operator for Shared {
    fn reset(&mut self) -> bool {
        self.next = 0;
        true
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let rows = match &self.rows {
                Some(rows) => rows.clone(),
                None => self.rows(execution).await?,
            };
            let batch = rows.read(self.next).await?;
            self.rows = Some(rows);
            self.next += 1;
            Ok(batch)
        })
    }
}
