//! Projection: expressions over each row.

use std::sync::Arc;

use super::key_filter::KeyFilter;
use super::withheld::Withheld;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::walk::is_volatile;
use crate::value::Batch;

/// Computes columns.
pub struct Project {
    input: Box<dyn Operator>,
    exprs: Vec<Expr>,
    withheld: Withheld,
    /// Rows that nobody has asked for yet.
    later: Option<Batch>,
}

impl Project {
    pub fn new(input: Box<dyn Operator>, exprs: Vec<Expr>) -> Project {
        Project { input, exprs, withheld: Withheld::default(), later: None }
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
        self.withheld.clear();
        self.later = None;
        self.input.reset()
    }

    fn is_fixed(&self) -> bool {
        reads_no_outer(&self.exprs) && self.input.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            // It is for the outermost one.
            let wanted = execution.wanted.take();
            self.withheld.tell()?;
            let next = match self.later.take() {
                Some(batch) => Some(batch),
                None => self.input.next(execution).await?,
            };
            let Some(mut batch) = next else { return Ok(None) };
            // What a function does, or tells of the moment, it does when the row is asked for.
            if let Some(wanted) = wanted
                && batch.row_count > wanted
                && wanted > 0
                && self.exprs.iter().any(is_volatile)
            {
                self.later = Some(batch.slice(wanted..batch.row_count));
                batch = batch.slice(0..wanted);
            }
            let projected =
                self.withheld.evaluate(&self.exprs, &batch, |rows| project(&self.exprs, rows, execution))?;
            Ok(Some(projected))
        })
    }
}
