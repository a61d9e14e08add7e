//! UPDATE and DELETE of one row found by its key, and the row of an INSERT of one: the writer without operators.

use super::{Changed, DeletePlan, OldRow, UpdatePlan};
use crate::error::Result;
use crate::execute::Execution;
use crate::expr::Expr;
use crate::plan::point::PointSource;
use crate::value::Datum;

/// Evaluates expressions over a row.
pub(super) fn evaluate(exprs: &[Expr], row: &[Datum], execution: &Execution) -> Result<Vec<Datum>> {
    let context = execution.context();
    exprs.iter().map(|expr| expr.eval_row(&row, &context)).collect()
}

/// Finds the row as it is; `key` becomes its key.
async fn find(
    point: &PointSource,
    places: &[(usize, usize)],
    execution: &mut Execution,
    key: &mut Vec<u8>,
) -> Result<Option<Vec<Datum>>> {
    let width = point.lookup.layout.columns().len();
    let read = point.lookup.find(execution, key, |view, context| {
        let mut row = vec![Datum::Null; width];
        for (column, position) in places {
            row[*position] = match point.position(*column) {
                Some(index) => view.get(index)?,
                None => point.columns[*column].eval_row(view, context)?,
            };
        }
        Ok(row)
    });
    read.await
}

/// Updates the row, if there is one; the table is locked.
pub(super) async fn update(
    plan: &UpdatePlan,
    point: &PointSource,
    execution: &mut Execution,
) -> Result<Changed> {
    let mut key = Vec::with_capacity(32);
    let Some(old) = find(point, &plan.row, execution, &mut key).await? else { return Ok(Changed::default()) };
    let mut new = old.clone();
    {
        let context = execution.context();
        for (position, column) in &plan.assignments {
            new[*position] = point.columns[*column].eval_row(&old.as_slice(), &context)?;
        }
    }
    plan.writer.update(OldRow { key: &key, values: &old }, &new, execution).await?;
    Ok(Changed { rows: 1, returned: Vec::new() })
}

/// Deletes the row, if there is one; the table is locked.
pub(super) async fn delete(
    plan: &DeletePlan,
    point: &PointSource,
    execution: &mut Execution,
) -> Result<Changed> {
    let mut key = Vec::with_capacity(32);
    let Some(old) = find(point, &plan.row, execution, &mut key).await? else { return Ok(Changed::default()) };
    plan.writer.delete(OldRow { key: &key, values: &old }, execution).await?;
    Ok(Changed { rows: 1, returned: Vec::new() })
}
