//! MERGE as a statement.

use std::collections::HashSet;
use std::sync::Arc;

use super::statement::{Changed, old_row};
use super::{OldRow, TableWriter};
use crate::catalog::Table;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{self, Execution};
use crate::expr::Expr;
use crate::plan::physical::PlanNode;
use crate::value::Datum;

/// What is done with a row; expressions read the source's columns.
pub enum MergeStep {
    Nothing,
    Delete,
    /// Which position of the row gets which value.
    Update(Vec<(i16, Expr)>),
    Insert(Vec<Expr>),
}

/// One WHEN clause.
pub struct MergeClause {
    pub matched: bool,
    pub condition: Option<Expr>,
    pub step: MergeStep,
}

/// A MERGE ready to run. The source's first column is the key of the row that is matched, or NULL.
pub struct MergePlan {
    pub writer: Arc<TableWriter>,
    pub source: PlanNode,
    pub row: Vec<(usize, usize)>,
    pub clauses: Vec<MergeClause>,
}

/// Runs a MERGE: the first clause that a row meets is what happens to it.
///
/// # Errors
/// Those of the source and of the writer; 21000 for a row that is changed twice.
pub async fn run_merge(plan: &MergePlan, execution: &mut Execution) -> Result<Changed> {
    plan.writer.lock_table(execution).await?;
    let mut source = execute::build(&plan.source);
    let mut changed = HashSet::new();
    let mut rows = 0;
    while let Some(batch) = source.next(execution).await? {
        execution.settle().await?;
        for at in 0..batch.row_count {
            let key = match batch.datum(at, 0) {
                Datum::Bytes(key) => Some(key),
                _ => None,
            };
            let values = batch.row(at);
            let Some(step) = step_for(plan, key.is_some(), &values, execution)? else { continue };
            let key = match (step, key) {
                (MergeStep::Nothing, _) => continue,
                (MergeStep::Insert(exprs), _) => {
                    let mut row = evaluated(exprs.iter(), &values, execution)?;
                    plan.writer.generate(&mut row, &execution.context())?;
                    plan.writer.insert(&row, execution).await?;
                    rows += 1;
                    continue;
                }
                (_, Some(key)) => key,
                (_, None) => return Err(SqlError::internal("a row that is not matched is changed")),
            };
            if !changed.insert(key.clone()) {
                return Err(SqlError::new(
                    SqlState::CARDINALITY_VIOLATION,
                    "MERGE command cannot affect row a second time",
                )
                .with_hint("Ensure that not more than one source row matches any one target row."));
            }
            let old = old_row(plan.writer.layout.columns().len(), &plan.row, &batch, at);
            let place = OldRow { key: &key, values: &old, is_newest: false };
            if let MergeStep::Update(assignments) = step {
                let exprs = assignments.iter().map(|(_, expr)| expr);
                let mut new = old.clone();
                for ((number, _), value) in assignments.iter().zip(evaluated(exprs, &values, execution)?) {
                    new[Table::position(*number)] = value;
                }
                plan.writer.generate(&mut new, &execution.context())?;
                plan.writer.update(place, &new, execution).await?;
            } else {
                plan.writer.delete(place, execution).await?;
            }
            rows += 1;
        }
        execution.breathe().await?;
    }
    Ok(Changed { rows, returned: Vec::new() })
}

/// What the first clause that a row meets says.
fn step_for<'p>(
    plan: &'p MergePlan,
    matched: bool,
    values: &[Datum],
    execution: &Execution,
) -> Result<Option<&'p MergeStep>> {
    let context = execution.context();
    for clause in plan.clauses.iter().filter(|clause| clause.matched == matched) {
        let holds = match &clause.condition {
            None => true,
            Some(condition) => condition.is_true(&values, &context)?,
        };
        if holds {
            return Ok(Some(&clause.step));
        }
    }
    Ok(None)
}

fn evaluated<'e>(
    exprs: impl Iterator<Item = &'e Expr>,
    values: &[Datum],
    execution: &Execution,
) -> Result<Vec<Datum>> {
    let context = execution.context();
    exprs.map(|expr| expr.eval_row(&values, &context)).collect()
}
