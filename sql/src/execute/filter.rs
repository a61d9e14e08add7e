//! Filter: the rows for which all predicates are true.

use std::sync::Arc;

use super::key_filter::KeyFilter;
use super::withheld::Withheld;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::value::Batch;

/// Passes on what its predicates accept.
pub struct Filter {
    input: Box<dyn Operator>,
    predicates: Vec<Expr>,
    withheld: Withheld,
}

impl Filter {
    pub fn new(input: Box<dyn Operator>, predicates: Vec<Expr>) -> Filter {
        Filter { input, predicates, withheld: Withheld::default() }
    }
}

/// The rows of a batch that satisfy all predicates; later ones see only what earlier ones left. `None` where all do.
fn passing(batch: &Batch, predicates: &[Expr], context: &EvalContext<'_>) -> Result<Option<Batch>> {
    let mut left: Option<Batch> = None;
    for predicate in predicates {
        let rows = left.as_ref().unwrap_or(batch);
        if rows.row_count == 0 {
            break;
        }
        let kept = predicate.filter_batch(rows, context)?;
        if kept.len() < rows.row_count {
            left = Some(rows.gather(&kept));
        }
    }
    Ok(left)
}

/// The rows of a batch that satisfy all predicates.
pub fn filter(batch: Batch, predicates: &[Expr], context: &EvalContext<'_>) -> Result<Batch> {
    Ok(passing(&batch, predicates, context)?.unwrap_or(batch))
}

/// The same, as far as rows come before one that fails.
pub fn filter_in_order(
    batch: Batch,
    predicates: &[Expr],
    context: &EvalContext<'_>,
    withheld: &mut Withheld,
) -> Result<Batch> {
    let kept = withheld.evaluate(predicates, &batch, |rows| {
        let kept = passing(rows, predicates, context)?;
        let is_cut = rows.row_count < batch.row_count;
        Ok(kept.or_else(|| is_cut.then(|| rows.clone())))
    })?;
    Ok(kept.unwrap_or(batch))
}

impl Operator for Filter {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        self.input.restrict(column, keys);
    }

    fn expect(&mut self, rows: usize) {
        self.input.expect(rows);
    }

    fn reset(&mut self) -> bool {
        self.withheld.clear();
        self.input.reset()
    }

    fn is_fixed(&self) -> bool {
        reads_no_outer(&self.predicates) && self.input.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            loop {
                self.withheld.tell()?;
                let Some(batch) = self.input.next(execution).await? else { return Ok(None) };
                let batch =
                    filter_in_order(batch, &self.predicates, &execution.context(), &mut self.withheld)?;
                if batch.row_count > 0 {
                    return Ok(Some(batch));
                }
            }
        })
    }
}
