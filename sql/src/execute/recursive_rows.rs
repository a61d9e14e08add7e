//! Steps of recursive queries that compute each row from one row of the working table: where that has few rows, they are
//! computed one by one, without operators.

use crate::error::Result;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::plan::physical::{Physical, PlanNode};
use crate::value::Datum;

/// A working table of more rows is worth columns.
pub const ROWS_MAX: usize = 8;

/// Filters and projections over a working table, from the lowest on.
pub struct RowStep(Vec<Part>);

enum Part {
    Filter(Vec<Expr>),
    Project(Vec<Expr>),
}

impl RowStep {
    /// The step that a plan is, where it is nothing but that over the working table of a number.
    pub fn of(plan: &PlanNode, table: usize) -> Option<RowStep> {
        let (mut parts, mut plan) = (Vec::new(), plan);
        loop {
            plan = match &plan.node {
                Physical::Filter { input, predicates } => {
                    parts.push(Part::Filter(predicates.clone()));
                    input
                }
                Physical::Project { input, exprs } => {
                    parts.push(Part::Project(exprs.clone()));
                    input
                }
                Physical::WorkingTable { table: own, .. } if *own == table => break,
                _ => return None,
            };
        }
        parts.reverse();
        Some(RowStep(parts))
    }

    /// What becomes of a row, if it passes.
    ///
    /// # Errors
    /// Those of evaluating.
    pub fn apply(&self, mut row: Vec<Datum>, context: &EvalContext<'_>) -> Result<Option<Vec<Datum>>> {
        for part in &self.0 {
            match part {
                Part::Filter(predicates) => {
                    for predicate in predicates {
                        if !predicate.is_true(&row, context)? {
                            return Ok(None);
                        }
                    }
                }
                Part::Project(exprs) => {
                    row = exprs.iter().map(|expr| expr.eval_row(&row, context)).collect::<Result<_>>()?;
                }
            }
        }
        Ok(Some(row))
    }
}
