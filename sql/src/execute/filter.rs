//! Filter: the rows for which all predicates are true.

use std::sync::Arc;

use super::key_filter::KeyFilter;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::value::Batch;

/// Passes on what its predicates accept.
pub struct Filter {
    input: Box<dyn Operator>,
    predicates: Vec<Expr>,
}

impl Filter {
    pub fn new(input: Box<dyn Operator>, predicates: Vec<Expr>) -> Filter {
        Filter { input, predicates }
    }
}

/// The rows of a batch that satisfy all predicates; later ones see only what earlier ones left.
pub fn filter(mut batch: Batch, predicates: &[Expr], context: &EvalContext<'_>) -> Result<Batch> {
    for predicate in predicates {
        if batch.row_count == 0 {
            break;
        }
        let kept = predicate.filter_batch(&batch, context)?;
        if kept.len() < batch.row_count {
            batch = batch.gather(&kept);
        }
    }
    Ok(batch)
}

impl Operator for Filter {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        self.input.restrict(column, keys);
    }

    fn expect(&mut self, rows: usize) {
        self.input.expect(rows);
    }

    fn reset(&mut self) -> bool {
        self.input.reset()
    }

    fn is_fixed(&self) -> bool {
        reads_no_outer(&self.predicates) && self.input.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            while let Some(batch) = self.input.next(execution).await? {
                let batch = filter(batch, &self.predicates, &execution.context())?;
                if batch.row_count > 0 {
                    return Ok(Some(batch));
                }
            }
            Ok(None)
        })
    }
}
