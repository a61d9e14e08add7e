//! Foreign keys: both sides of the check.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use helios_mvcc::{Isolation, KeyRange, LockMode, RowState, ScanStep, Scn, TableLockMode, TreeId};

use super::pending::{Broken, Pending};
use super::{TableWriter, WAIT, lock_planned};
use crate::catalog::{CatalogSnapshot, Constraint, ConstraintKind, ForeignKeyAction, Table, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::plan::{index_key_columns, primary_key_columns, row_layout};
use crate::types::Representation;
use crate::value::key::{self, KeyColumn};
use crate::value::row::RowLayout;
use crate::value::{Datum, Numeric, PhysicalKind};

/// A foreign key of the written table: what its rows refer to must exist.
pub struct Reference {
    constraint: Arc<Constraint>,
    name: String,
    /// Positions in the referencing row, in the order of the referenced key.
    positions: Vec<usize>,
    match_full: bool,
    parent_name: String,
    /// The table that is referred to, where it is another one, and the catalog that says so.
    parent: Option<Arc<TableEntry>>,
    planned_as_of: Scn,
    /// Where its rows are.
    rows: TreeId,
    /// The key that is referred to: that of the rows, or an index.
    tree: TreeId,
    key: Vec<KeyColumn>,
}

impl Reference {
    pub fn new(
        entry: &TableEntry,
        constraint: &Arc<Constraint>,
        catalog: &CatalogSnapshot,
    ) -> Result<Reference> {
        let ConstraintKind::ForeignKey { table, columns, index, match_full, .. } = &constraint.kind else {
            return Err(SqlError::internal("a foreign key was expected"));
        };
        let other = if *table == entry.table.oid { None } else { Some(catalog.expect_table(*table)?) };
        let parent = other.map_or(entry, |other| other.as_ref());
        let found = parent.indexes.iter().find(|each| each.oid == *index);
        let found =
            found.ok_or_else(|| SqlError::corrupted("a foreign key names an index that is not there"))?;
        let (tree, key) = if found.primary {
            (parent.table.tree, primary_key_columns(&parent.table))
        } else {
            (found.tree, index_key_columns(&parent.table, found))
        };
        let mut positions = Vec::new();
        for column in &found.columns {
            let at = columns.iter().position(|number| *number == column.number);
            let at = at.ok_or_else(|| SqlError::corrupted("a foreign key does not fit its index"))?;
            positions.push(Table::position(constraint.columns[at]));
        }
        Ok(Reference {
            constraint: constraint.clone(),
            name: constraint.name.clone(),
            positions,
            match_full: *match_full,
            parent_name: parent.table.name.clone(),
            parent: other.cloned(),
            planned_as_of: catalog.as_of,
            rows: parent.table.tree,
            tree,
            key,
        })
    }

    /// Whether two rows refer to different things.
    pub fn differs(&self, old: &[Datum], new: &[Datum]) -> bool {
        self.positions.iter().any(|at| old[*at] != new[*at])
    }

    /// Looks for the referenced row. Where it does not exist that is an error, unless it comes until the end of the
    /// statement, or of the transaction for a constraint that is deferred.
    pub async fn check(&self, writer: &TableWriter, row: &[Datum], execution: &mut Execution) -> Result<()> {
        let nulls = self.positions.iter().filter(|at| row[**at].is_null()).count();
        if self.match_full && nulls > 0 && nulls < self.positions.len() {
            let detail = "MATCH FULL does not allow mixing of null and nonnull key values.";
            return Err(self.violation(writer).with_detail(detail));
        }
        if self.is_there(row, execution).await? {
            return Ok(());
        }
        let error = self.violation(writer).with_detail(format!(
            "Key {} is not present in table \"{}\".",
            writer.key_text(&self.positions, row, &execution.context())?,
            self.parent_name
        ));
        let key =
            self.constraint.columns.iter().map(|number| row[Table::position(*number)].clone()).collect();
        let broken = Broken::Reference { key };
        execution.pending.push(Pending { constraint: self.constraint.clone(), broken, error });
        Ok(())
    }

    /// 23503.
    fn violation(&self, writer: &TableWriter) -> SqlError {
        let table = &writer.entry.table.name;
        let message = format!(
            "insert or update on table \"{table}\" violates foreign key constraint \"{}\"",
            self.name
        );
        SqlError::new(SqlState::FOREIGN_KEY_VIOLATION, message)
            .with_schema(&writer.schema_name)
            .with_table(table)
            .with_constraint(&self.name)
    }

    /// Whether the row refers to nothing, or to what is there; that is kept from going away then.
    async fn is_there(&self, row: &[Datum], execution: &mut Execution) -> Result<bool> {
        let mut wanted = Vec::new();
        for (column, position) in self.key.iter().zip(&self.positions) {
            // MATCH SIMPLE: a NULL refers to nothing.
            if row[*position].is_null() {
                return Ok(true);
            }
            let Some(value) = as_kind(&row[*position], column.kind) else { return Ok(false) };
            key::encode(column, &value, &mut wanted);
        }
        if let Some(parent) = &self.parent {
            lock_planned(parent, self.planned_as_of, TableLockMode::RowShare, execution).await?;
        }
        loop {
            let transaction = &mut execution.transaction;
            // A row is locked before its entries, as by those who delete it.
            if self.tree != self.rows
                && let Some(row) = transaction.get_latest(self.tree, &wanted).await?
            {
                transaction.lock_row(self.rows, &row, LockMode::KeyShare, WAIT).await?;
            }
            let is_locked = transaction.try_lock_key(self.tree, &wanted, LockMode::KeyShare);
            let is_there = transaction.get_latest(self.tree, &wanted).await?.is_some();
            if is_locked && is_there {
                return Ok(true);
            }
            if !is_there {
                // Whoever keeps a snapshot saw it go.
                let goes = transaction.isolation() == Isolation::Snapshot
                    && transaction.state_of(self.tree, &wanted).await? == RowState::Changed;
                return if goes { Err(execution.conflict()) } else { Ok(false) };
            }
            transaction.lock_row(self.tree, &wanted, LockMode::KeyShare, WAIT).await?;
        }
    }
}

/// A foreign key that points at the written table: rows that it refers to must stay.
pub struct Referenced {
    constraint: Arc<Constraint>,
    name: String,
    child: Arc<TableEntry>,
    layout: RowLayout,
    /// Positions in the child's row, and in ours.
    pairs: Vec<(usize, usize)>,
    on_delete: ForeignKeyAction,
    on_update: ForeignKeyAction,
    /// What ON DELETE sets, as positions in the child's row; nothing: all that refer.
    delete_positions: Vec<usize>,
    /// Of the referring table, once it is needed: its own foreign keys may lead back here.
    child_writer: OnceLock<Arc<TableWriter>>,
}

impl Referenced {
    pub fn new(constraint: &Arc<Constraint>, catalog: &CatalogSnapshot) -> Result<Referenced> {
        let ConstraintKind::ForeignKey { columns, on_delete, on_update, delete_columns, .. } =
            &constraint.kind
        else {
            return Err(SqlError::internal("a foreign key was expected"));
        };
        let child = catalog.expect_table(constraint.table)?.clone();
        let pairs = constraint.columns.iter().zip(columns);
        let pairs = pairs.map(|(own, other)| (Table::position(*own), Table::position(*other))).collect();
        let layout = row_layout(&child.table);
        Ok(Referenced {
            constraint: constraint.clone(),
            name: constraint.name.clone(),
            child,
            layout,
            pairs,
            on_delete: *on_delete,
            on_update: *on_update,
            delete_positions: delete_columns.iter().map(|number| Table::position(*number)).collect(),
            child_writer: OnceLock::new(),
        })
    }

    /// The positions of our row that the foreign key is about.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.pairs.iter().map(|(_, at)| *at)
    }

    /// When a row goes or its key changes: does to what refers to it what the foreign key says, or makes sure that
    /// nothing does.
    pub async fn changed(
        &self,
        writer: &TableWriter,
        old: &[Datum],
        new: Option<&[Datum]>,
        execution: &mut Execution,
    ) -> Result<()> {
        if !self.takes_key(old, new) {
            return Ok(());
        }
        let keys = self.referring(old, usize::MAX, execution).await?;
        if keys.is_empty() {
            return Ok(());
        }
        let action = if new.is_none() { self.on_delete } else { self.on_update };
        match (action, new) {
            (ForeignKeyAction::Cascade, None) => return self.cascade(keys, execution).await,
            (ForeignKeyAction::Cascade, Some(new)) => {
                let values = self.pairs.iter().map(|(own, at)| {
                    let kind = self.layout.columns()[*own].kind;
                    as_kind(&new[*at], kind).unwrap_or(Datum::Null)
                });
                let values = values.collect();
                return self.set(keys, values, &[], execution).await;
            }
            (ForeignKeyAction::SetNull, _) => {
                let only = if new.is_none() { self.delete_positions.as_slice() } else { &[] };
                return self.set(keys, vec![Datum::Null; self.pairs.len()], only, execution).await;
            }
            (ForeignKeyAction::SetDefault, _) => {
                // The default may be what they referred to: then they refer to nothing now.
                let only = if new.is_none() { self.delete_positions.as_slice() } else { &[] };
                let defaults = self.defaults(execution)?;
                self.set(keys, defaults, only, execution).await?;
            }
            (ForeignKeyAction::NoAction | ForeignKeyAction::Restrict, _) => {}
        }
        let pending = self.still_refers(writer, old, execution)?;
        if action == ForeignKeyAction::Restrict {
            return match self.refer(old, execution).await? {
                true => Err(pending.error),
                false => Ok(()),
            };
        }
        execution.pending.push(pending);
        Ok(())
    }

    /// Whether rows refer to a row, and will: who is about to remove one is waited for.
    async fn refer(&self, old: &[Datum], execution: &mut Execution) -> Result<bool> {
        loop {
            let referring = self.referring(old, 1, execution).await?;
            let Some((key, _)) = referring.first() else { return Ok(false) };
            let transaction = &mut execution.transaction;
            if transaction.try_lock_key(self.child.table.tree, key, LockMode::KeyShare) {
                return Ok(true);
            }
            let state = transaction.lock_row(self.child.table.tree, key, LockMode::KeyShare, WAIT).await?;
            if state == RowState::Changed && transaction.isolation() == Isolation::Snapshot {
                return Err(execution.conflict());
            }
        }
    }

    /// When a row goes or its key changes: nothing may refer to it at the end, whatever the foreign key would do to what
    /// does.
    pub fn note(
        &self,
        writer: &TableWriter,
        old: &[Datum],
        new: Option<&[Datum]>,
        execution: &mut Execution,
    ) -> Result<()> {
        if self.takes_key(old, new) {
            let pending = self.still_refers(writer, old, execution)?;
            execution.pending.push(pending);
        }
        Ok(())
    }

    /// Whether a change of a row takes a key away that rows may refer to.
    fn takes_key(&self, old: &[Datum], new: Option<&[Datum]>) -> bool {
        let kept = new.is_some_and(|new| self.pairs.iter().all(|(_, at)| old[*at] == new[*at]));
        !kept && !self.pairs.iter().any(|(_, at)| old[*at].is_null())
    }

    /// What to look at again, and to say if rows still refer to a row.
    fn still_refers(&self, writer: &TableWriter, old: &[Datum], execution: &Execution) -> Result<Pending> {
        let table = &writer.entry.table.name;
        let child = &self.child.table.name;
        let positions: Vec<usize> = self.pairs.iter().map(|(_, at)| *at).collect();
        let error = SqlError::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            format!(
                "update or delete on table \"{table}\" violates foreign key constraint \"{}\" on table \"{child}\"",
                self.name
            ),
        )
        .with_detail(format!(
            "Key {} is still referenced from table \"{child}\".",
            writer.key_text(&positions, old, &execution.context())?
        ))
        .with_schema(&writer.schema_name)
        .with_table(child)
        .with_constraint(&self.name);
        let child_kind = |own: usize| self.layout.columns()[own].kind;
        let key =
            self.pairs.iter().map(|(own, at)| as_kind(&old[*at], child_kind(*own)).unwrap_or(Datum::Null));
        let broken = Broken::Reference { key: key.collect() };
        Ok(Pending { constraint: self.constraint.clone(), broken, error })
    }

    /// The child's rows that refer to a row: by the child's key or an index where one begins with the referring
    /// columns, else by reading all of it. No more than so many.
    async fn referring(
        &self,
        old: &[Datum],
        rows_max: usize,
        execution: &mut Execution,
    ) -> Result<Vec<(Vec<u8>, Vec<Datum>)>> {
        let table = &self.child.table;
        let prefix = |numbers: &[i16], columns: &[KeyColumn]| -> Option<Vec<u8>> {
            let mut bytes = Vec::new();
            for (number, column) in numbers.iter().zip(columns).take(self.pairs.len()) {
                let (_, at) = self.pairs.iter().find(|(own, _)| *own == Table::position(*number))?;
                key::encode(column, &as_kind(&old[*at], column.kind)?, &mut bytes);
            }
            (numbers.len() >= self.pairs.len()).then_some(bytes)
        };
        let by_index =
            self.child.indexes.iter().filter(|index| !index.primary && index.is_plain()).find_map(|index| {
                let numbers: Vec<i16> = index.columns.iter().map(|column| column.number).collect();
                Some((index.tree, prefix(&numbers, &index_key_columns(table, index))?))
            });
        let mut rows = Vec::new();
        if let Some((tree, bytes)) = by_index {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            let mut scan = execution.transaction.scan_latest(tree, KeyRange::prefix(&bytes), false);
            loop {
                let mut visit = |_: &[u8], primary: &[u8]| {
                    keys.push(primary.to_vec());
                    if keys.len() < rows_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                let step = scan.next(&execution.transaction, &mut visit).await?;
                if step != ScanStep::More || keys.len() >= rows_max {
                    break;
                }
            }
            for found in keys {
                if let Some(value) = execution.transaction.get_latest(table.tree, &found).await? {
                    let values = self.decode(&value)?;
                    rows.push((found, values));
                }
            }
            return Ok(rows);
        }
        let range = match prefix(&table.primary_key, &primary_key_columns(table)) {
            Some(bytes) if !table.primary_key.is_empty() => KeyRange::prefix(&bytes),
            _ => KeyRange::all(),
        };
        let mut failure = None;
        let mut scan = execution.transaction.scan_latest(table.tree, range, false);
        loop {
            let mut visit = |found: &[u8], value: &[u8]| match self.decode(value) {
                Ok(values) => {
                    if self.pairs.iter().all(|(own, at)| same(&values[*own], &old[*at])) {
                        rows.push((found.to_vec(), values));
                    }
                    if rows.len() < rows_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            };
            let step = scan.next(&execution.transaction, &mut visit).await?;
            if step != ScanStep::More || failure.is_some() || rows.len() >= rows_max {
                break;
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(rows),
        }
    }

    fn decode(&self, value: &[u8]) -> Result<Vec<Datum>> {
        let view = self.layout.view(value)?;
        (0..self.layout.columns().len()).map(|at| view.get(at)).collect()
    }

    /// A writer of the referring table.
    fn child_writer(&self, execution: &Execution) -> Result<Arc<TableWriter>> {
        if let Some(writer) = self.child_writer.get() {
            return Ok(writer.clone());
        }
        let environment = execution.environment.clone();
        let binding = environment.bind_environment();
        let mut binder = crate::binder::Binder::new(&environment.catalog, &binding, "", Vec::new());
        let writer = Arc::new(TableWriter::new(&self.child, &mut binder)?);
        Ok(self.child_writer.get_or_init(|| writer).clone())
    }

    /// The defaults of the referring columns.
    fn defaults(&self, execution: &Execution) -> Result<Vec<Datum>> {
        let environment = execution.environment.clone();
        let binding = environment.bind_environment();
        let mut binder = crate::binder::Binder::new(&environment.catalog, &binding, "", Vec::new());
        let no_row: [Datum; 0] = [];
        self.pairs
            .iter()
            .map(|(own, _)| {
                let default = binder.default_of(&self.child.table, &self.child.table.columns[*own])?;
                default.eval_row(&no_row.as_slice(), &execution.context())
            })
            .collect()
    }

    /// Deletes the referring rows, and what refers to them.
    async fn cascade(&self, rows: Vec<(Vec<u8>, Vec<Datum>)>, execution: &mut Execution) -> Result<()> {
        let writer = self.child_writer(execution)?;
        for (found, values) in rows {
            let old = super::OldRow { key: &found, values: &values, is_newest: false };
            Box::pin(writer.delete(old, execution)).await?;
        }
        Ok(())
    }

    /// Gives the referring rows other values in the referring columns, or in some of them.
    async fn set(
        &self,
        rows: Vec<(Vec<u8>, Vec<Datum>)>,
        given: Vec<Datum>,
        only: &[usize],
        execution: &mut Execution,
    ) -> Result<()> {
        let writer = self.child_writer(execution)?;
        for (found, values) in rows {
            let mut new = values.clone();
            for ((own, _), value) in self.pairs.iter().zip(&given) {
                if only.is_empty() || only.contains(own) {
                    new[*own] = value.clone();
                }
            }
            writer.generate(&mut new, &execution.context())?;
            let old = super::OldRow { key: &found, values: &values, is_newest: false };
            Box::pin(writer.update(old, &new, execution)).await?;
        }
        Ok(())
    }
}

/// Whether a row still refers to what is not there, by the values of the constraint's columns in their order.
pub(super) async fn is_broken(
    constraint: &Constraint,
    key: &[Datum],
    child: &TableEntry,
    execution: &mut Execution,
) -> Result<bool> {
    let catalog = execution.environment.catalog.clone();
    let Some(own) = child.constraints.iter().find(|each| each.oid == constraint.oid) else {
        return Ok(false);
    };
    let reference = Reference::new(child, own, &catalog)?;
    let mut row = vec![Datum::Null; child.table.columns.len()];
    for (number, value) in constraint.columns.iter().zip(key) {
        row[Table::position(*number)] = value.clone();
    }
    if reference.is_there(&row, execution).await? {
        return Ok(false);
    }
    let Some((referenced, referred)) = referenced_by(own, key, &catalog)? else { return Ok(false) };
    referenced.refer(&referred, execution).await
}

/// The rows that refer to a key, by the values of the constraint's columns in their order; no more than so many.
pub(super) async fn referring_rows(
    constraint: &Arc<Constraint>,
    key: &[Datum],
    rows_max: usize,
    execution: &mut Execution,
) -> Result<Vec<Vec<Datum>>> {
    let catalog = execution.environment.catalog.clone();
    let Some((referenced, referred)) = referenced_by(constraint, key, &catalog)? else {
        return Ok(Vec::new());
    };
    let rows = referenced.referring(&referred, rows_max, execution).await?;
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// A foreign key from the other side, and a row of the table that it points at which has this key.
fn referenced_by(
    constraint: &Arc<Constraint>,
    key: &[Datum],
    catalog: &CatalogSnapshot,
) -> Result<Option<(Referenced, Vec<Datum>)>> {
    let ConstraintKind::ForeignKey { table, columns, .. } = &constraint.kind else { return Ok(None) };
    let parent = catalog.expect_table(*table)?;
    let mut referred = vec![Datum::Null; parent.table.columns.len()];
    for (number, value) in columns.iter().zip(key) {
        referred[Table::position(*number)] = value.clone();
    }
    Ok(Some((Referenced::new(constraint, catalog)?, referred)))
}

/// Whether a column of one type may refer to one of another: equal values are found by their keys.
#[must_use]
pub fn may_refer(from: Representation, to: Representation) -> bool {
    let is_integer = |kind| matches!(kind, PhysicalKind::Int16 | PhysicalKind::Int32 | PhysicalKind::Int64);
    let is_wider = matches!(to.kind, PhysicalKind::Numeric | PhysicalKind::Float32 | PhysicalKind::Float64);
    from.base == to.base
        || (is_integer(from.kind) && (is_integer(to.kind) || is_wider))
        || (from.kind == PhysicalKind::Numeric && is_wider)
        || (from.kind == PhysicalKind::Float32 && to.kind == PhysicalKind::Float64)
        || (from.kind == PhysicalKind::Float64 && to.kind == PhysicalKind::Float32)
        || (from.kind == PhysicalKind::Text && to.kind == from.kind)
}

/// A value as another column has it; `None` where that one has no such value.
fn as_kind(value: &Datum, kind: PhysicalKind) -> Option<Datum> {
    if value.is_null() {
        return Some(Datum::Null);
    }
    let is_integer = |kind| matches!(kind, PhysicalKind::Int16 | PhysicalKind::Int32 | PhysicalKind::Int64);
    let integer = |value: i64| match kind {
        PhysicalKind::Int16 => value.try_into().ok().map(Datum::Int16),
        PhysicalKind::Int32 => value.try_into().ok().map(Datum::Int32),
        _ => Some(Datum::Int64(value)),
    };
    match (value, kind) {
        (Datum::Int16(_) | Datum::Int32(_) | Datum::Int64(_), _) if is_integer(kind) => {
            integer(value.as_i64()?)
        }
        (Datum::Int16(_) | Datum::Int32(_) | Datum::Int64(_), PhysicalKind::Numeric) => {
            Some(Datum::from(Numeric::from(value.as_i64()?)))
        }
        (Datum::Numeric(number), _) if is_integer(kind) => {
            let whole = number.to_i128().filter(|whole| Numeric::from(*whole) == *number);
            integer(whole?.try_into().ok()?)
        }
        (Datum::Float32(_) | Datum::Float64(_), _) if is_integer(kind) => {
            let number = Numeric::from_f64(float_of(value)?).ok()?;
            as_kind(&Datum::from(number), kind)
        }
        (Datum::Float32(_) | Datum::Float64(_), PhysicalKind::Numeric) => {
            Numeric::from_f64(float_of(value)?).ok().map(Datum::from)
        }
        (_, PhysicalKind::Float64) => float_of(value).map(Datum::Float64),
        #[allow(clippy::cast_possible_truncation)] // as PostgreSQL converts it
        (_, PhysicalKind::Float32) => float_of(value).map(|value| Datum::Float32(value as f32)),
        _ => Some(value.clone()),
    }
}

/// A number as a float.
fn float_of(value: &Datum) -> Option<f64> {
    match value {
        Datum::Float32(value) => Some(f64::from(*value)),
        Datum::Float64(value) => Some(*value),
        Datum::Numeric(number) => Some(number.to_f64()),
        #[allow(clippy::cast_precision_loss)] // as PostgreSQL converts it
        _ => value.as_i64().map(|value| value as f64),
    }
}

/// Whether two values of columns that refer to each other are equal.
fn same(child: &Datum, parent: &Datum) -> bool {
    child == parent || as_kind(child, parent.kind().unwrap_or(PhysicalKind::Bool)).as_ref() == Some(parent)
}
