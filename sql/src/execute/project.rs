//! Projection: expressions over each row.

use std::sync::Arc;

use super::key_filter::KeyFilter;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::value::Batch;

/// Computes columns.
pub struct Project {
    input: Box<dyn Operator>,
    exprs: Vec<Expr>,
}

impl Project {
    pub fn new(input: Box<dyn Operator>, exprs: Vec<Expr>) -> Project {
        Project { input, exprs }
    }
}

/// Evaluates expressions over a batch.
pub fn project(exprs: &[Expr], batch: &Batch, execution: &Execution) -> Result<Batch> {
    let context = execution.context();
    let columns: Result<Vec<_>> = exprs.iter().map(|expr| expr.eval_batch(batch, &context)).collect();
    Ok(Batch::new(columns?, batch.row_count))
}

impl Operator for Project {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        if let Some(Expr::Column { index, .. }) = self.exprs.get(column) {
            self.input.restrict(*index, keys);
        }
    }

    fn expect(&mut self, rows: usize) {
        self.input.expect(rows);
    }

    fn reset(&mut self) -> bool {
        self.input.reset()
    }

    fn is_fixed(&self) -> bool {
        reads_no_outer(&self.exprs) && self.input.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            match self.input.next(execution).await? {
                Some(batch) => project(&self.exprs, &batch, execution).map(Some),
                None => Ok(None),
            }
        })
    }
}
