//! INSERT, UPDATE and DELETE as statements: a source's rows through the writer.

use std::collections::HashSet;
use std::sync::Arc;

use super::{OldRow, TableWriter};
use crate::binder::{ConflictClause, ConflictUpdate};
use crate::catalog::Table;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{self, Execution};
use crate::expr::Expr;
use crate::plan::physical::PlanNode;
use crate::plan::point::PointSource;
use crate::value::{Batch, ColumnBuilder, Datum};

/// Where a column of a new row comes from.
pub enum NewValue {
    Source(usize),
    Default(Expr),
}

/// An INSERT ready to run.
pub struct InsertPlan {
    pub writer: Arc<TableWriter>,
    pub source: PlanNode,
    pub values: Vec<NewValue>,
    /// The row by position, where the source gives just one.
    pub single: Option<Vec<Expr>>,
    pub conflict: Option<ConflictClause>,
    /// Over the new row.
    pub returning: Option<Vec<Expr>>,
}

/// An UPDATE ready to run. The source's first column is the row's key.
pub struct UpdatePlan {
    pub writer: Arc<TableWriter>,
    pub source: PlanNode,
    /// The source, where it finds one row by its key.
    pub point: Option<PointSource>,
    /// Which source column holds which position of the old row.
    pub row: Vec<(usize, usize)>,
    /// Which position of the row gets which source column.
    pub assignments: Vec<(usize, usize)>,
    pub joined: bool,
    /// Over the source's columns, the row's own being new.
    pub returning: Option<Vec<Expr>>,
}

/// A DELETE ready to run. The source's first column is the row's key.
pub struct DeletePlan {
    pub writer: Arc<TableWriter>,
    pub source: PlanNode,
    /// The source, where it finds one row by its key.
    pub point: Option<PointSource>,
    pub row: Vec<(usize, usize)>,
    pub joined: bool,
    pub returning: Option<Vec<Expr>>,
}

/// What a statement did.
#[derive(Default)]
pub struct Changed {
    pub rows: u64,
    /// What RETURNING gives.
    pub returned: Vec<Batch>,
}

/// Collects RETURNING's rows.
struct Returning<'p> {
    exprs: Option<&'p [Expr]>,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    batches: Vec<Batch>,
}

impl<'p> Returning<'p> {
    fn new(exprs: Option<&'p Vec<Expr>>) -> Returning<'p> {
        Returning { exprs: exprs.map(Vec::as_slice), builders: Vec::new(), rows: 0, batches: Vec::new() }
    }

    fn add(&mut self, row: &[Datum], execution: &Execution) -> Result<()> {
        let Some(exprs) = self.exprs else { return Ok(()) };
        if self.rows == 0 {
            let builder = |expr: &Expr| Ok(ColumnBuilder::new(execution.kind_of(expr.data_type())?, 16));
            self.builders = exprs.iter().map(builder).collect::<Result<_>>()?;
        }
        let context = execution.context();
        for (expr, builder) in exprs.iter().zip(&mut self.builders) {
            builder.push(expr.eval_row(&row, &context)?)?;
        }
        self.rows += 1;
        if self.rows == crate::value::BATCH_ROWS {
            self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) {
        if self.rows > 0 {
            let columns = std::mem::take(&mut self.builders).into_iter().map(ColumnBuilder::finish).collect();
            self.batches.push(Batch::new(columns, self.rows));
            self.rows = 0;
        }
    }

    fn finish(mut self) -> Vec<Batch> {
        self.flush();
        self.batches
    }
}

/// Runs an INSERT.
///
/// # Errors
/// Those of the source and of the writer.
pub async fn run_insert(plan: &InsertPlan, execution: &mut Execution) -> Result<Changed> {
    plan.writer.lock_table(execution).await?;
    let mut returning = Returning::new(plan.returning.as_ref());
    let mut rows = 0;
    let mut proposed = HashSet::new();
    if let Some(mut row) = execution.buffers.take_evaluated(&plan.writer, &execution.parameters) {
        rows = write_new(plan, &mut row, &mut proposed, &mut returning, execution).await?;
        return Ok(Changed { rows, returned: returning.finish() });
    }
    let mut source = execute::build(&plan.source);
    let mut row = Vec::new();
    while let Some(batch) = source.next(execution).await? {
        for at in 0..batch.row_count {
            new_row(plan, &batch, at, execution, &mut row)?;
            rows += write_new(plan, &mut row, &mut proposed, &mut returning, execution).await?;
        }
        execution.breathe().await?;
    }
    Ok(Changed { rows, returned: returning.finish() })
}

/// Writes one row of an INSERT; gives the number of rows written.
async fn write_new(
    plan: &InsertPlan,
    row: &mut [Datum],
    proposed: &mut HashSet<Vec<u8>>,
    returning: &mut Returning<'_>,
    execution: &mut Execution,
) -> Result<u64> {
    plan.writer.generate(row, &execution.context())?;
    let Some(conflict) = &plan.conflict else {
        plan.writer.insert(row, execution).await?;
        returning.add(row, execution)?;
        return Ok(1);
    };
    let Some(row) = upsert(plan, conflict, row.to_vec(), proposed, execution).await? else { return Ok(0) };
    returning.add(&row, execution)?;
    Ok(1)
}

/// Puts together the row that an INSERT makes of a source row.
fn new_row(
    plan: &InsertPlan,
    batch: &Batch,
    at: usize,
    execution: &Execution,
    row: &mut Vec<Datum>,
) -> Result<()> {
    let no_row: [Datum; 0] = [];
    row.clear();
    for value in &plan.values {
        row.push(match value {
            NewValue::Source(column) => batch.datum(at, *column),
            NewValue::Default(Expr::Const { value, .. }) => value.clone(),
            NewValue::Default(expr) => expr.eval_row(&no_row.as_slice(), &execution.context())?,
        });
    }
    Ok(())
}

/// Inserts a row, or does what ON CONFLICT says; gives the row that was written.
async fn upsert(
    plan: &InsertPlan,
    conflict: &ConflictClause,
    row: Vec<Datum>,
    proposed: &mut HashSet<Vec<u8>>,
    execution: &mut Execution,
) -> Result<Option<Vec<Datum>>> {
    let writer = &plan.writer;
    writer.check(&row, &execution.context())?;
    let Some(key) = writer.colliding(&row, &conflict.arbiters, execution).await? else {
        writer.insert(&row, execution).await?;
        if conflict.update.is_some()
            && let Some(key) = writer.colliding(&row, &conflict.arbiters, execution).await?
        {
            proposed.insert(key);
        }
        return Ok(Some(row));
    };
    let Some(ConflictUpdate { assignments, condition }) = &conflict.update else { return Ok(None) };
    if !proposed.insert(key.clone()) {
        return Err(SqlError::new(
            SqlState::CARDINALITY_VIOLATION,
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
        )
        .with_hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values."));
    }
    writer.lock_found(&key, helios_mvcc::LockMode::NoKeyUpdate, execution).await?;
    let Some(value) = execution.transaction.get_latest(writer.tree(), &key).await? else {
        return Err(execution.conflict());
    };
    let view = writer.layout.view(&value)?;
    let width = writer.layout.columns().len();
    let old: Vec<Datum> = (0..width).map(|at| view.get(at)).collect::<Result<_>>()?;
    let both: Vec<Datum> = old.iter().cloned().chain(row).collect();
    let mut new = old.clone();
    {
        let context = execution.context();
        if let Some(condition) = condition
            && condition.eval_row(&both.as_slice(), &context)?.as_bool() != Some(true)
        {
            return Ok(None);
        }
        for (number, expr) in assignments {
            new[Table::position(*number)] = expr.eval_row(&both.as_slice(), &context)?;
        }
        writer.generate(&mut new, &context)?;
    }
    writer.update(OldRow { key: &key, values: &old }, &new, execution).await?;
    Ok(Some(new))
}

/// The old row that a source row holds.
pub(super) fn old_row(width: usize, places: &[(usize, usize)], batch: &Batch, at: usize) -> Vec<Datum> {
    let mut row = vec![Datum::Null; width];
    for (column, position) in places {
        row[*position] = batch.datum(at, *column);
    }
    row
}

fn key_of(batch: &Batch, at: usize) -> Result<Arc<[u8]>> {
    match batch.datum(at, 0) {
        Datum::Bytes(key) => Ok(key),
        _ => Err(SqlError::internal("a changed row has no key")),
    }
}

/// Runs an UPDATE.
///
/// # Errors
/// Those of the source and of the writer.
pub async fn run_update(plan: &UpdatePlan, execution: &mut Execution) -> Result<Changed> {
    plan.writer.lock_table(execution).await?;
    let mut source = execute::build(&plan.source);
    let mut returning = Returning::new(plan.returning.as_ref());
    let mut seen = HashSet::new();
    let mut rows = 0;
    let width = plan.writer.layout.columns().len();
    while let Some(batch) = source.next(execution).await? {
        for at in 0..batch.row_count {
            let key = key_of(&batch, at)?;
            if plan.joined && !seen.insert(key.clone()) {
                continue;
            }
            let old = old_row(width, &plan.row, &batch, at);
            let mut new = old.clone();
            for (position, column) in &plan.assignments {
                new[*position] = batch.datum(at, *column);
            }
            plan.writer.generate(&mut new, &execution.context())?;
            plan.writer.update(OldRow { key: &key, values: &old }, &new, execution).await?;
            rows += 1;
            if plan.returning.is_some() {
                let mut row = batch.row(at);
                for (column, position) in &plan.row {
                    row[*column] = new[*position].clone();
                }
                returning.add(&row, execution)?;
            }
        }
        execution.breathe().await?;
    }
    Ok(Changed { rows, returned: returning.finish() })
}

/// Runs a DELETE.
///
/// # Errors
/// Those of the source and of the writer.
pub async fn run_delete(plan: &DeletePlan, execution: &mut Execution) -> Result<Changed> {
    plan.writer.lock_table(execution).await?;
    let mut source = execute::build(&plan.source);
    let mut returning = Returning::new(plan.returning.as_ref());
    let mut seen = HashSet::new();
    let mut rows = 0;
    let width = plan.writer.layout.columns().len();
    while let Some(batch) = source.next(execution).await? {
        for at in 0..batch.row_count {
            let key = key_of(&batch, at)?;
            if plan.joined && !seen.insert(key.clone()) {
                continue;
            }
            let old = old_row(width, &plan.row, &batch, at);
            plan.writer.delete(OldRow { key: &key, values: &old }, execution).await?;
            rows += 1;
            if plan.returning.is_some() {
                returning.add(&batch.row(at), execution)?;
            }
        }
        execution.breathe().await?;
    }
    Ok(Changed { rows, returned: returning.finish() })
}
