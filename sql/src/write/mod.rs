//! The write path: every statement that changes rows goes through a [`TableWriter`].
//!
//! For a new row: NOT NULL, CHECK, then each unique key is locked and looked up in the latest committed state
//! (not the snapshot), foreign keys are locked and looked up, then the row and its index entries are written.
//! A changed or deleted row is locked first; one that somebody else changed since the snapshot is a conflict:
//! the statement is undone and may run again (`Execution::conflict`).

mod attempt;
mod foreign_key;
mod index_build;
mod merge;
mod merged_row;
mod over_rows;
mod pending;
mod point;
mod sorted_entries;
mod statement;
mod unique;

use std::collections::BTreeSet;
use std::sync::Arc;

use helios_mvcc::{LockMode, RowState, Scn, TableLockMode, TreeId, WaitPolicy};

pub use attempt::{Attempt, Buffers, Stop, Writing};
pub use index_build::{build_index, build_listing, check_references, check_rows, read_rows, rewrite_table};
pub use merge::{MergeClause, MergePlan, MergeStep, run_merge};
pub use over_rows::RowsPlan;
pub use statement::{
    Changed, ConflictPlan, ConflictUpdate, DeletePlan, InsertPlan, NewValue, ReturningPlan, UpdatePlan,
    run_delete, run_insert, run_update,
};

use crate::binder::Binder;
use crate::catalog::{CatalogSnapshot, Constraint, ConstraintKind, OnCommit, Table, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::plan::{row_layout, walk};
use crate::value::Datum;
use crate::value::key::{self, KeyColumn};
use crate::value::row::RowLayout;
pub use foreign_key::may_refer;
use foreign_key::{Reference, Referenced};
pub use pending::{BrokenRow, Due, Pending, broken, check_pending};

/// Waiting for a lock has no limit of its own; the statement's cancel ends it.
pub const WAIT: WaitPolicy = WaitPolicy::Block;

/// An index as the writer maintains it.
pub struct IndexWriter {
    pub oid: u32,
    pub name: String,
    pub tree: TreeId,
    pub key: Vec<KeyColumn>,
    /// What the key is made of.
    pub parts: Vec<KeyPart>,
    /// What rows in the index satisfy.
    pub predicate: Option<Expr>,
    pub unique: bool,
    pub nulls_not_distinct: bool,
    /// The constraint that it is for, if that may be broken for a while.
    pub deferrable: Option<Arc<Constraint>>,
}

/// One part of an index's key.
pub enum KeyPart {
    /// The value at a position of the row.
    Column(usize),
    /// What an expression over the row gives, and its text.
    Expression(Expr, String),
}

/// Takes a lock on a table that a statement was planned for, by the catalog of some commit.
///
/// # Errors
/// Those of locking; a conflict where the table was changed after that and before the lock.
pub async fn lock_planned(
    planned: &TableEntry,
    planned_as_of: Scn,
    mode: TableLockMode,
    execution: &mut Execution,
) -> Result<()> {
    let object = u64::from(planned.table.oid);
    execution.transaction.lock_table(object, mode, WAIT).await?;
    let newest = execution.transaction.store().catalog_scn(execution.transaction.branch());
    if newest > planned_as_of && !execution.transaction.changes_catalog() {
        return check_unchanged(planned, execution).await;
    }
    Ok(())
}

/// Some catalog change was committed since the statement was planned: was it one of this table?
#[cold]
async fn check_unchanged(planned: &TableEntry, execution: &mut Execution) -> Result<()> {
    let store = execution.transaction.store().clone();
    let mut now = store.begin(execution.transaction.branch(), helios_mvcc::Isolation::ReadCommitted);
    now.begin_statement();
    let catalog = CatalogSnapshot::load(&now).await?;
    if catalog.table(planned.table.oid).is_some_and(|entry| **entry == *planned) {
        return Ok(());
    }
    execution.stale = true;
    Err(execution.conflict())
}

/// All that is needed to write rows of one table; made once for a plan, and shared.
pub struct TableWriter {
    /// The catalog that it was planned by.
    planned_as_of: Scn,
    pub entry: Arc<TableEntry>,
    pub schema_name: String,
    pub layout: RowLayout,
    /// The clustering key; empty: the hidden row number.
    pub primary_key: Vec<KeyColumn>,
    pub primary_positions: Vec<usize>,
    pub primary_name: String,
    pub primary_oid: u32,
    pub indexes: Vec<IndexWriter>,
    /// Positions of generated columns, and what generates them.
    generated: Vec<(usize, Expr)>,
    checks: Vec<(String, Expr)>,
    not_null: Vec<usize>,
    references: Vec<Reference>,
    referenced: Vec<Referenced>,
}

/// A row's key and values as they were.
pub struct OldRow<'r> {
    pub key: &'r [u8],
    pub values: &'r [Datum],
    /// It was read as it is now, under its lock, whatever the snapshot has.
    pub is_newest: bool,
}

impl TableWriter {
    /// Whether it writes a temporary table whose rows live on after the transaction.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.entry.table.is_temporary && self.entry.table.on_commit == OnCommit::PreserveRows
    }

    /// Prepares for writing a table.
    ///
    /// # Errors
    /// Those of binding its CHECK expressions.
    pub fn new(entry: &Arc<TableEntry>, binder: &mut Binder<'_>) -> Result<TableWriter> {
        let table = &entry.table;
        let mut checks = Vec::new();
        let mut references = Vec::new();
        for constraint in &entry.constraints {
            match &constraint.kind {
                ConstraintKind::Check { expression, .. } => {
                    let ast = crate::parser::parse_expression(expression)?;
                    checks.push((constraint.name.clone(), binder.bind_over_row(table, &ast, "CHECK")?));
                }
                ConstraintKind::ForeignKey { .. } => {
                    references.push(Reference::new(entry, constraint, binder.catalog())?);
                }
                _ => {}
            }
        }
        checks.sort_by(|left, right| left.0.cmp(&right.0));
        let mut generated = Vec::new();
        for column in table.live_columns().filter(|column| column.generated) {
            let ast = crate::parser::parse_expression(column.default.as_deref().unwrap_or("NULL"))?;
            let bound = binder.bind_generation(table, column, &ast)?;
            generated.push((Table::position(column.number), bound));
        }
        let mut referenced = Vec::new();
        for constraint in &entry.referenced_by {
            referenced.push(Referenced::new(constraint, binder.catalog())?);
        }
        let primary = entry.indexes.iter().find(|index| index.primary);
        let schema_name = binder.catalog().schema(table.schema).map_or_else(String::new, |s| s.name.clone());
        Ok(TableWriter {
            planned_as_of: binder.catalog().as_of,
            schema_name,
            layout: row_layout(table),
            primary_key: crate::plan::primary_key_columns(table),
            primary_positions: table.primary_key.iter().map(|number| Table::position(*number)).collect(),
            primary_name: primary.map_or_else(String::new, |index| index.name.clone()),
            primary_oid: primary.map_or(0, |index| index.oid),
            indexes: entry
                .indexes
                .iter()
                .filter(|index| !index.primary)
                .map(|index| {
                    let deferrable = entry.deferrable_unique(index.oid).cloned();
                    Ok(IndexWriter { deferrable, ..index_writer(table, index, binder)? })
                })
                .collect::<Result<Vec<IndexWriter>>>()?,
            generated,
            checks,
            not_null: table
                .live_columns()
                .filter(|column| column.not_null)
                .map(|column| Table::position(column.number))
                .collect(),
            references,
            referenced,
            entry: entry.clone(),
        })
    }

    /// The tree that the rows are in.
    #[must_use]
    pub fn tree(&self) -> TreeId {
        self.entry.table.tree
    }

    /// Takes the lock that writers of a table share.
    ///
    /// # Errors
    /// As [`lock_planned`].
    pub async fn lock_table(&self, execution: &mut Execution) -> Result<()> {
        lock_planned(&self.entry, self.planned_as_of, TableLockMode::RowExclusive, execution).await
    }

    /// Computes the generated columns of a row.
    ///
    /// # Errors
    /// Those of their expressions.
    pub fn generate(&self, row: &mut [Datum], context: &EvalContext<'_>) -> Result<()> {
        for (position, expr) in &self.generated {
            let row_before: &[Datum] = row;
            row[*position] = expr.eval_row(&row_before, context)?;
        }
        Ok(())
    }

    /// Tests a row by itself: NOT NULL and CHECK.
    ///
    /// # Errors
    /// 23502, 23514.
    pub fn check(&self, row: &[Datum], context: &EvalContext<'_>) -> Result<()> {
        if let Some(position) = self.not_null.iter().find(|position| row[**position].is_null()) {
            return Err(self.null_violation(*position, row, context)?);
        }
        for (name, check) in &self.checks {
            if check.eval_row(&row, context)?.as_bool() == Some(false) {
                return Err(self.check_violation(name, row, context)?);
            }
        }
        Ok(())
    }

    /// All that [`TableWriter::check`] would say of a row, one after the other.
    ///
    /// # Errors
    /// Those of CHECK expressions.
    pub fn check_all(&self, row: &[Datum], context: &EvalContext<'_>) -> Result<Vec<SqlError>> {
        let mut broken = Vec::new();
        for position in self.not_null.iter().filter(|position| row[**position].is_null()) {
            broken.push(self.null_violation(*position, row, context)?);
        }
        for (name, check) in &self.checks {
            if check.eval_row(&row, context)?.as_bool() == Some(false) {
                broken.push(self.check_violation(name, row, context)?);
            }
        }
        Ok(broken)
    }

    /// 23502.
    #[cold]
    fn null_violation(&self, position: usize, row: &[Datum], context: &EvalContext<'_>) -> Result<SqlError> {
        let column = &self.entry.table.columns[position].name;
        let message = format!(
            "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
            self.entry.table.name
        );
        Ok(SqlError::new(SqlState::NOT_NULL_VIOLATION, message)
            .with_detail(self.failing_row(row, context)?)
            .with_schema(&self.schema_name)
            .with_table(&self.entry.table.name)
            .with_column(column))
    }

    /// 23514.
    #[cold]
    fn check_violation(&self, name: &str, row: &[Datum], context: &EvalContext<'_>) -> Result<SqlError> {
        let table = &self.entry.table.name;
        let message = format!("new row for relation \"{table}\" violates check constraint \"{name}\"");
        Ok(SqlError::new(SqlState::CHECK_VIOLATION, message)
            .with_detail(self.failing_row(row, context)?)
            .with_schema(&self.schema_name)
            .with_table(table)
            .with_constraint(name))
    }

    /// `Failing row contains (1, null).`
    fn failing_row(&self, row: &[Datum], context: &EvalContext<'_>) -> Result<String> {
        const SHOWN_MAX: usize = 64;
        let mut fields = Vec::new();
        for column in self.entry.table.live_columns() {
            let value = &row[Table::position(column.number)];
            fields.push(if value.is_null() {
                "null".to_string()
            } else {
                let text = context.to_text(value, column.type_oid)?.to_string();
                if text.chars().count() > SHOWN_MAX {
                    let cut: String = text.chars().take(SHOWN_MAX).collect();
                    format!("{cut}...")
                } else {
                    text
                }
            });
        }
        Ok(format!("Failing row contains ({}).", fields.join(", ")))
    }

    fn primary_key_of(&self, row: &[Datum], key: &mut Vec<u8>) {
        for (column, position) in self.primary_key.iter().zip(&self.primary_positions) {
            key::encode(column, &row[*position], key);
        }
    }

    /// The key of a new row, claimed; a new row number where there is no primary key.
    fn new_key(&self, row: &[Datum], key: &mut Vec<u8>, writing: &mut Writing<'_>) -> Attempt<()> {
        key.clear();
        if !self.primary_key.is_empty() {
            self.primary_key_of(row, key);
            return self.claim_primary(key, row, writing);
        }
        let transaction = &writing.transaction;
        let number = transaction.store().try_next_row_id(transaction.branch(), self.tree());
        key.extend(number.ok_or(Stop::RowNumber(self.tree()))?.to_be_bytes());
        Ok(())
    }

    /// Whether a row can be written without looking at other tables, or at anything later.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.references.is_empty()
            && self.referenced.is_empty()
            && self.indexes.iter().all(|index| index.deferrable.is_none())
    }

    /// The expressions of its CHECK constraints.
    pub fn checks(&self) -> impl Iterator<Item = &Expr> {
        self.checks.iter().map(|(_, check)| check)
    }

    /// Writes a new row.
    ///
    /// # Errors
    /// 23502, 23514, 23505, 23503, and those of locking and reading.
    pub async fn insert(&self, row: &[Datum], execution: &mut Execution) -> Result<()> {
        attempt::retried(execution, |writing| self.try_insert(row, writing)).await?;
        unique::note_doubles(execution);
        execution.transaction.make_room().await?;
        for reference in &self.references {
            reference.check(self, row, execution).await?;
        }
        Ok(())
    }

    /// Writes the new rows of a batch. `fill` puts together the row at a place, generated columns apart; it is asked once
    /// for each.
    ///
    /// # Errors
    /// As [`TableWriter::insert`], and those of `fill`.
    pub async fn insert_all(
        &self,
        rows: usize,
        execution: &mut Execution,
        mut fill: impl FnMut(usize, &EvalContext<'_>, &mut Vec<Datum>) -> Result<()> + Send,
    ) -> Result<()> {
        let mut row = Vec::new();
        if !self.references.is_empty() {
            for at in 0..rows {
                row.clear();
                fill(at, &execution.context(), &mut row)?;
                self.generate(&mut row, &execution.context())?;
                self.insert(&row, execution).await?;
            }
            return Ok(());
        }
        let mut filled = None;
        attempt::retried_each(rows, execution, |at, writing| {
            if filled.replace(at) != Some(at) {
                row.clear();
                fill(at, &writing.context, &mut row)?;
                self.generate(&mut row, &writing.context)?;
            }
            self.try_insert(&row, writing)
        })
        .await
    }

    /// [`TableWriter::insert`], but for foreign keys.
    pub(crate) fn try_insert(&self, row: &[Datum], writing: &mut Writing<'_>) -> Attempt<()> {
        self.check(row, &writing.context)?;
        self.entry.changes.note();
        writing.buffers.doubles.clear();
        let mut key = std::mem::take(&mut writing.buffers.key);
        let written = self.new_key(row, &mut key, writing).and_then(|()| {
            self.write_row(&key, row, writing)?;
            self.indexes.iter().try_for_each(|index| self.add_entry(index, &key, row, writing))
        });
        writing.buffers.key = key;
        written
    }

    fn write_row(&self, key: &[u8], row: &[Datum], writing: &mut Writing<'_>) -> Attempt<()> {
        let value = &mut writing.buffers.value;
        value.clear();
        self.layout.encode(self.entry.table.schema_version, row, value)?;
        Ok(writing.transaction.put(self.tree(), key, value)?)
    }

    /// Locks a row that was found, to change it.
    ///
    /// # Errors
    /// The conflict, where somebody changed it since the snapshot.
    pub async fn lock_found(&self, key: &[u8], mode: LockMode, execution: &mut Execution) -> Result<()> {
        match execution.transaction.lock_row(self.tree(), key, mode, WAIT).await? {
            RowState::Unchanged => Ok(()),
            RowState::Changed => Err(execution.conflict_on(self.tree(), key).await),
        }
    }

    /// Whether another part of the same statement has changed or deleted a row that was found.
    ///
    /// # Errors
    /// The conflict, and those of locking and reading.
    pub async fn is_changed_already(&self, key: &[u8], execution: &mut Execution) -> Result<bool> {
        self.lock_found(key, LockMode::NoKeyUpdate, execution).await?;
        Ok(execution.transaction.is_written_by_statement(self.tree(), key).await?)
    }

    /// Replaces a row that was found.
    ///
    /// # Errors
    /// As [`TableWriter::insert`]; the conflict.
    pub async fn update(&self, old: OldRow<'_>, row: &[Datum], execution: &mut Execution) -> Result<()> {
        attempt::retried(execution, |writing| self.try_update(&old, row, writing)).await?;
        unique::note_doubles(execution);
        execution.transaction.make_room().await?;
        for reference in &self.references {
            if reference.differs(old.values, row) {
                reference.check(self, row, execution).await?;
            }
        }
        for referenced in &self.referenced {
            referenced.changed(self, old.values, Some(row), execution).await?;
        }
        Ok(())
    }

    /// [`TableWriter::update`], but for foreign keys.
    pub(crate) fn try_update(
        &self,
        old: &OldRow<'_>,
        row: &[Datum],
        writing: &mut Writing<'_>,
    ) -> Attempt<()> {
        let mut key = std::mem::take(&mut writing.buffers.key);
        self.entry.changes.note();
        writing.buffers.doubles.clear();
        let written = self.update_at(&mut key, old, row, writing);
        writing.buffers.key = key;
        written
    }

    fn update_at(
        &self,
        key: &mut Vec<u8>,
        old: &OldRow<'_>,
        row: &[Datum],
        writing: &mut Writing<'_>,
    ) -> Attempt<()> {
        key.clear();
        if self.primary_key.is_empty() {
            key.extend(old.key);
        } else {
            self.primary_key_of(row, key);
        }
        let moved = key != old.key;
        let mode = if moved { LockMode::Update } else { LockMode::NoKeyUpdate };
        match old.is_newest {
            true => writing.lock_key(self.tree(), old.key, mode)?,
            false => writing.lock_found(self.tree(), old.key, mode)?,
        }
        self.check(row, &writing.context)?;
        if moved {
            self.claim_primary(key, row, writing)?;
            writing.transaction.delete(self.tree(), old.key)?;
        }
        self.write_row(key, row, writing)?;
        for index in &self.indexes {
            if moved || !index.is_same(old.values, row) {
                self.remove_entry(index, old, writing)?;
                self.add_entry(index, key, row, writing)?;
            }
        }
        Ok(())
    }

    /// Removes a row that was found.
    ///
    /// # Errors
    /// 23503; the conflict.
    pub async fn delete(&self, old: OldRow<'_>, execution: &mut Execution) -> Result<()> {
        attempt::retried(execution, |writing| self.try_delete(&old, writing)).await?;
        execution.transaction.make_room().await?;
        for referenced in &self.referenced {
            referenced.changed(self, old.values, None, execution).await?;
        }
        Ok(())
    }

    /// [`TableWriter::delete`], but for foreign keys.
    pub(crate) fn try_delete(&self, old: &OldRow<'_>, writing: &mut Writing<'_>) -> Attempt<()> {
        writing.lock_found(self.tree(), old.key, LockMode::Update)?;
        self.entry.changes.note();
        writing.transaction.delete(self.tree(), old.key)?;
        self.indexes.iter().try_for_each(|index| self.remove_entry(index, old, writing))
    }

    /// The positions of a row that [`TableWriter::delete`] reads: what leads to index entries, and what may be referred to.
    #[must_use]
    pub fn read_to_delete(&self) -> BTreeSet<usize> {
        let mut read = BTreeSet::new();
        let mut read_by = |expr: &Expr| walk::columns(expr, &mut |position| read.extend([position]));
        for index in &self.indexes {
            index.predicate.iter().for_each(&mut read_by);
            for part in &index.parts {
                if let KeyPart::Expression(expr, _) = part {
                    read_by(expr);
                }
            }
        }
        let parts = self.indexes.iter().flat_map(|index| &index.parts);
        read.extend(parts.filter_map(|part| match part {
            KeyPart::Column(position) => Some(*position),
            KeyPart::Expression(..) => None,
        }));
        read.extend(self.referenced.iter().flat_map(Referenced::positions));
        read
    }

    fn remove_entry(&self, index: &IndexWriter, old: &OldRow<'_>, writing: &mut Writing<'_>) -> Attempt<()> {
        let entry = &mut writing.buffers.entry;
        entry.clear();
        match index.entry_key(old.values, old.key, &writing.context, entry)? {
            Entry::None => Ok(()),
            Entry::Exact => {
                // Who claims the key, or refers to it, waits for what becomes of it.
                let mut entry = std::mem::take(entry);
                let locked = writing.lock_key(index.tree, &entry, LockMode::Update);
                let deleted = locked.and_then(|()| {
                    if index.deferrable.is_some() {
                        unique::name_own_entry(index, &mut entry, old.key, writing)?;
                    }
                    Ok(writing.transaction.delete(index.tree, &entry)?)
                });
                std::mem::swap(&mut writing.buffers.entry, &mut entry);
                deleted
            }
            Entry::WithRow => Ok(writing.transaction.delete(index.tree, entry)?),
        }
    }

    fn add_entry(
        &self,
        index: &IndexWriter,
        key: &[u8],
        row: &[Datum],
        writing: &mut Writing<'_>,
    ) -> Attempt<()> {
        let mut entry = std::mem::take(&mut writing.buffers.entry);
        entry.clear();
        let made = index.entry_key(row, key, &writing.context, &mut entry);
        let added = made.map_err(Stop::from).and_then(|made| {
            match made {
                Entry::None => return Ok(()),
                Entry::Exact if let Some(constraint) = &index.deferrable => {
                    self.claim_deferrable(index, constraint, &mut entry, key, row, writing)?;
                }
                Entry::Exact => self.claim_unique(index, &entry, row, writing)?,
                Entry::WithRow => {}
            }
            Ok(writing.transaction.put(index.tree, &entry, key)?)
        });
        writing.buffers.entry = entry;
        added
    }
}

/// An index of a table, for its writer.
///
/// # Errors
/// Those of binding its expressions.
pub fn index_writer(
    table: &Table,
    index: &crate::catalog::Index,
    binder: &mut Binder<'_>,
) -> Result<IndexWriter> {
    let mut parts = Vec::new();
    for column in &index.columns {
        parts.push(match &column.expression {
            None => KeyPart::Column(Table::position(column.number)),
            Some(expression) => {
                let ast = crate::parser::parse_expression(&expression.text)?;
                let bound = binder.bind_index_expression(table, &ast)?;
                KeyPart::Expression(bound, crate::relations::expression_text(&ast))
            }
        });
    }
    let predicate = match &index.predicate {
        None => None,
        Some(text) => {
            Some(binder.bind_over_row(table, &crate::parser::parse_expression(text)?, "index predicates")?)
        }
    };
    Ok(IndexWriter {
        oid: index.oid,
        name: index.name.clone(),
        tree: index.tree,
        key: crate::plan::index_key_columns(table, index),
        parts,
        predicate,
        unique: index.unique,
        nulls_not_distinct: index.nulls_not_distinct,
        deferrable: None,
    })
}

/// What an index has of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: the row is not in the index.
    None,
    /// An entry that stands for uniqueness by itself.
    Exact,
    /// One that ends with the row's own key. A NULL in a unique key makes it distinct from all others, as in an
    /// index that is not unique.
    WithRow,
}

impl IndexWriter {
    /// The key of a row's entry.
    ///
    /// # Errors
    /// Those of the index's expressions.
    pub fn entry_key(
        &self,
        row: &[Datum],
        row_key: &[u8],
        context: &EvalContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Entry> {
        if let Some(predicate) = &self.predicate
            && predicate.eval_row(&row, context)?.as_bool() != Some(true)
        {
            return Ok(Entry::None);
        }
        let mut has_null = false;
        for (column, part) in self.key.iter().zip(&self.parts) {
            let computed;
            let value = match part {
                KeyPart::Column(position) => &row[*position],
                KeyPart::Expression(expr, _) => {
                    computed = expr.eval_row(&row, context)?;
                    &computed
                }
            };
            has_null |= value.is_null();
            key::encode(column, value, out);
        }
        if self.unique && (!has_null || self.nulls_not_distinct) {
            return Ok(Entry::Exact);
        }
        out.extend(row_key);
        Ok(Entry::WithRow)
    }

    /// Whether two versions of a row surely have the same entry.
    fn is_same(&self, old: &[Datum], new: &[Datum]) -> bool {
        self.predicate.is_none()
            && self.parts.iter().all(|part| match part {
                KeyPart::Column(at) => old[*at] == new[*at],
                KeyPart::Expression(..) => false,
            })
    }
}
