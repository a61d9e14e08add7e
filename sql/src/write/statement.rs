//! INSERT, UPDATE and DELETE as statements: a source's rows through the writer.

use std::collections::HashSet;
use std::sync::Arc;

use helios_mvcc::{Isolation, LockMode, RowState};

use super::over_rows::RowsPlan;
use super::{OldRow, TableWriter};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{self, Execution};
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::plan::physical::PlanNode;
use crate::plan::point::PointSource;
use crate::value::{Batch, ColumnBuilder, Datum};

/// Where a column of a new row comes from.
pub enum NewValue {
    Source(usize),
    Default(Expr),
}

/// What ON CONFLICT does.
pub struct ConflictPlan {
    /// The unique indexes that count; empty: all of them.
    pub arbiters: Vec<u32>,
    /// `None`: DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// DO UPDATE, over the existing row with the proposed one behind it.
pub struct ConflictUpdate {
    /// The positions that get new values.
    pub positions: Vec<usize>,
    /// The new values, with the condition behind them; or the rows of the query's working table.
    pub exprs: Vec<Expr>,
    /// Gives the new values, or no row where the condition does not hold.
    pub above: Option<RowsPlan>,
    pub has_condition: bool,
}

/// What RETURNING gives.
pub struct ReturningPlan {
    /// The results; or the rows of the query's working table.
    pub exprs: Vec<Expr>,
    pub above: Option<RowsPlan>,
}

/// An INSERT ready to run.
pub struct InsertPlan {
    pub writer: Arc<TableWriter>,
    pub source: PlanNode,
    pub values: Vec<NewValue>,
    /// The row by position, where the source gives just one.
    pub single: Option<Vec<Expr>>,
    pub conflict: Option<Box<ConflictPlan>>,
    /// Over the new row.
    pub returning: Option<ReturningPlan>,
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
    pub returning: Option<ReturningPlan>,
}

/// A DELETE ready to run. The source's first column is the row's key.
pub struct DeletePlan {
    pub writer: Arc<TableWriter>,
    pub source: PlanNode,
    /// The source, where it finds one row by its key.
    pub point: Option<PointSource>,
    pub row: Vec<(usize, usize)>,
    pub joined: bool,
    pub returning: Option<ReturningPlan>,
}

/// What a statement did.
#[derive(Default)]
pub struct Changed {
    pub rows: u64,
    /// What RETURNING gives.
    pub returned: Vec<Batch>,
}

/// Rows that expressions give one after the other.
struct Rows<'p> {
    exprs: &'p [Expr],
    builders: Vec<ColumnBuilder>,
    rows: usize,
    batches: Vec<Batch>,
}

impl<'p> Rows<'p> {
    fn new(exprs: &'p [Expr]) -> Rows<'p> {
        Rows { exprs, builders: Vec::new(), rows: 0, batches: Vec::new() }
    }

    fn add(&mut self, row: &[Datum], execution: &Execution) -> Result<()> {
        if self.rows == 0 {
            let builder = |expr: &Expr| Ok(ColumnBuilder::new(execution.kind_of(expr.data_type())?, 16));
            self.builders = self.exprs.iter().map(builder).collect::<Result<_>>()?;
        }
        let context = execution.context();
        for (expr, builder) in self.exprs.iter().zip(&mut self.builders) {
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

/// Collects RETURNING's rows.
struct Returning<'p> {
    plan: Option<(&'p ReturningPlan, Rows<'p>)>,
}

impl<'p> Returning<'p> {
    fn new(plan: Option<&'p ReturningPlan>) -> Returning<'p> {
        Returning { plan: plan.map(|plan| (plan, Rows::new(&plan.exprs))) }
    }

    fn add(&mut self, row: &[Datum], execution: &Execution) -> Result<()> {
        match &mut self.plan {
            Some((_, rows)) => rows.add(row, execution),
            None => Ok(()),
        }
    }

    async fn finish(self, execution: &mut Execution) -> Result<Vec<Batch>> {
        let Some((plan, rows)) = self.plan else { return Ok(Vec::new()) };
        match &plan.above {
            None => Ok(rows.finish()),
            Some(above) => above.run(rows.finish(), execution).await,
        }
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
        return Ok(Changed { rows, returned: returning.finish(execution).await? });
    }
    let mut source = execute::build(&plan.source);
    let mut row = Vec::new();
    while let Some(batch) = source.next(execution).await? {
        execution.settle().await?;
        if plan.conflict.is_none() && plan.returning.is_none() {
            let fill =
                |at, context: &EvalContext<'_>, row: &mut Vec<Datum>| new_row(plan, &batch, at, context, row);
            plan.writer.insert_all(batch.row_count, execution, fill).await?;
            rows += batch.row_count as u64;
        } else {
            for at in 0..batch.row_count {
                row.clear();
                new_row(plan, &batch, at, &execution.context(), &mut row)?;
                rows += write_new(plan, &mut row, &mut proposed, &mut returning, execution).await?;
            }
        }
        execution.breathe().await?;
    }
    Ok(Changed { rows, returned: returning.finish(execution).await? })
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
    let written = upsert(plan, conflict, row.to_vec(), proposed, execution).await?;
    let Some((mut row, was_there)) = written else { return Ok(0) };
    // RETURNING may ask who changed a row that was there: `xmax`, which is 0 for a new one.
    #[allow(clippy::cast_possible_truncation)] // as `xid` holds it
    row.push(Datum::Oid(if was_there { execution.transaction.xid().0 as u32 } else { 0 }));
    returning.add(&row, execution)?;
    Ok(1)
}

/// Puts together the row that an INSERT makes of a source row.
fn new_row(
    plan: &InsertPlan,
    batch: &Batch,
    at: usize,
    context: &EvalContext<'_>,
    row: &mut Vec<Datum>,
) -> Result<()> {
    let no_row: [Datum; 0] = [];
    for value in &plan.values {
        row.push(match value {
            NewValue::Source(column) => batch.datum(at, *column),
            NewValue::Default(Expr::Const { value, .. }) => value.clone(),
            NewValue::Default(expr) => expr.eval_row(&no_row.as_slice(), context)?,
        });
    }
    Ok(())
}

/// Inserts a row, or does what ON CONFLICT says; gives the row that was written, and whether there was one before.
async fn upsert(
    plan: &InsertPlan,
    conflict: &ConflictPlan,
    row: Vec<Datum>,
    proposed: &mut HashSet<Vec<u8>>,
    execution: &mut Execution,
) -> Result<Option<(Vec<Datum>, bool)>> {
    let writer = &plan.writer;
    writer.check(&row, &execution.context())?;
    let Some(key) = writer.colliding(&row, &conflict.arbiters, execution).await? else {
        writer.insert(&row, execution).await?;
        if conflict.update.is_some()
            && let Some(key) = writer.colliding(&row, &conflict.arbiters, execution).await?
        {
            proposed.insert(key);
        }
        return Ok(Some((row, false)));
    };
    let Some(update) = &conflict.update else {
        // Whoever keeps a snapshot that lacks the row cannot say that it was there.
        let transaction = &execution.transaction;
        let keeps = transaction.isolation() == Isolation::Snapshot;
        return match keeps && transaction.state_of(writer.tree(), &key).await? == RowState::Changed {
            true => Err(execution.conflict()),
            false => Ok(None),
        };
    };
    if !proposed.insert(key.clone()) {
        return Err(SqlError::new(
            SqlState::CARDINALITY_VIOLATION,
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
        )
        .with_hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values."));
    }
    // READ COMMITTED goes on with the row as it is now; its condition is asked of that.
    let takes_newest = execution.transaction.isolation() == Isolation::ReadCommitted;
    match takes_newest {
        true => {
            let mode = LockMode::NoKeyUpdate;
            execution.transaction.lock_row(writer.tree(), &key, mode, super::WAIT).await?;
        }
        false => writer.lock_found(&key, LockMode::NoKeyUpdate, execution).await?,
    }
    let Some(value) = execution.transaction.get_latest(writer.tree(), &key).await? else {
        return Err(execution.conflict());
    };
    let view = writer.layout.view(&value)?;
    let width = writer.layout.columns().len();
    let old: Vec<Datum> = (0..width).map(|at| view.get(at)).collect::<Result<_>>()?;
    let both: Vec<Datum> = old.iter().cloned().chain(row).collect();
    let Some(values) = update.values(&both, execution).await? else { return Ok(None) };
    let mut new = old.clone();
    for (position, value) in update.positions.iter().zip(values) {
        new[*position] = value;
    }
    writer.generate(&mut new, &execution.context())?;
    let old = OldRow { key: &key, values: &old, is_newest: takes_newest };
    writer.update(old, &new, execution).await?;
    Ok(Some((new, true)))
}

impl ConflictUpdate {
    /// The new values for an existing row with the proposed one behind it; `None` where the condition does not hold.
    async fn values(&self, both: &[Datum], execution: &mut Execution) -> Result<Option<Vec<Datum>>> {
        if let Some(above) = &self.above {
            let mut rows = Rows::new(&self.exprs);
            rows.add(both, execution)?;
            let computed = above.run(rows.finish(), execution).await?;
            return Ok(computed.iter().find(|batch| batch.row_count > 0).map(|batch| batch.row(0)));
        }
        let context = execution.context();
        let (values, condition) = self.exprs.split_at(self.exprs.len() - usize::from(self.has_condition));
        for each in condition {
            if !each.is_true(&both, &context)? {
                return Ok(None);
            }
        }
        let values = values.iter().map(|value| value.eval_row(&both, &context));
        values.collect::<Result<Vec<Datum>>>().map(Some)
    }
}

/// The old row that a source row holds.
pub(super) fn old_row(width: usize, places: &[(usize, usize)], batch: &Batch, at: usize) -> Vec<Datum> {
    let mut row = vec![Datum::Null; width];
    read_old(places, batch, at, &mut row);
    row
}

/// The same into memory that has been used for another row of the source.
fn read_old(places: &[(usize, usize)], batch: &Batch, at: usize, row: &mut [Datum]) {
    for (column, position) in places {
        row[*position] = batch.datum(at, *column);
    }
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
    let mut old = vec![Datum::Null; plan.writer.layout.columns().len()];
    let mut new = Vec::new();
    while let Some(batch) = source.next(execution).await? {
        execution.settle().await?;
        for at in 0..batch.row_count {
            let key = key_of(&batch, at)?;
            if plan.joined && !seen.insert(key.clone()) {
                continue;
            }
            if execution.has_several_changes && plan.writer.is_changed_already(&key, execution).await? {
                continue;
            }
            read_old(&plan.row, &batch, at, &mut old);
            new.clone_from(&old);
            for (position, column) in &plan.assignments {
                new[*position] = batch.datum(at, *column);
            }
            plan.writer.generate(&mut new, &execution.context())?;
            plan.writer.update(OldRow { key: &key, values: &old, is_newest: false }, &new, execution).await?;
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
    Ok(Changed { rows, returned: returning.finish(execution).await? })
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
    let mut old = vec![Datum::Null; plan.writer.layout.columns().len()];
    while let Some(batch) = source.next(execution).await? {
        execution.settle().await?;
        for at in 0..batch.row_count {
            let key = key_of(&batch, at)?;
            if plan.joined && !seen.insert(key.clone()) {
                continue;
            }
            if execution.has_several_changes && plan.writer.is_changed_already(&key, execution).await? {
                continue;
            }
            read_old(&plan.row, &batch, at, &mut old);
            plan.writer.delete(OldRow { key: &key, values: &old, is_newest: false }, execution).await?;
            rows += 1;
            if plan.returning.is_some() {
                returning.add(&batch.row(at), execution)?;
            }
        }
        execution.breathe().await?;
    }
    Ok(Changed { rows, returned: returning.finish(execution).await? })
}
