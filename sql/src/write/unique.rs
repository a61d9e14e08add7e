//! Unique keys: claimed by a lock, then looked up in the latest state.
//!
//! A key of a deferrable constraint that is taken already goes into the index with its row's key behind it, as keys with
//! NULLs do. When the constraint is tested, that entry stands alone and becomes an ordinary one, or it is an error; so
//! nothing of it is left when the transaction ends.

use std::ops::ControlFlow;
use std::sync::Arc;

use helios_mvcc::{KeyRange, LockMode, ScanStep, TreeId};

use super::attempt::{self, Attempt, Writing};
use super::pending::{Broken, Pending};
use super::{Entry, IndexWriter, KeyPart, TableWriter, WAIT};
use crate::catalog::{Constraint, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::functions::EvalContext;
use crate::plan::row_layout;
use crate::value::Datum;

impl TableWriter {
    /// Claims the clustering key of a new row.
    pub(super) fn claim_primary(&self, key: &[u8], row: &[Datum], writing: &mut Writing<'_>) -> Attempt<()> {
        if writing.claim(self.tree(), key)? {
            let positions = &self.primary_positions;
            let shown = self.key_text(positions, row, &writing.context)?;
            return Err(self.duplicate(&self.primary_name, &shown).into());
        }
        Ok(())
    }

    /// Claims a unique index's key.
    pub(super) fn claim_unique(
        &self,
        index: &IndexWriter,
        entry: &[u8],
        row: &[Datum],
        writing: &mut Writing<'_>,
    ) -> Attempt<()> {
        if writing.claim(index.tree, entry)? {
            let shown = self.index_key_text(index, row, &writing.context)?;
            return Err(self.duplicate(&index.name, &shown).into());
        }
        Ok(())
    }

    /// Claims a key of a deferrable constraint. Where it is taken, `entry` gets the row's key behind it, and the key is to
    /// be looked at again.
    pub(super) fn claim_deferrable(
        &self,
        index: &IndexWriter,
        constraint: &Arc<Constraint>,
        entry: &mut Vec<u8>,
        row_key: &[u8],
        row: &[Datum],
        writing: &mut Writing<'_>,
    ) -> Attempt<()> {
        if writing.claim(index.tree, entry)? {
            let shown = self.index_key_text(index, row, &writing.context)?;
            let error = self.duplicate(&index.name, &shown);
            let broken = Broken::Unique { tree: index.tree, entry: entry.clone() };
            writing.buffers.doubles.push(Pending { constraint: constraint.clone(), broken, error });
            entry.extend(row_key);
        }
        Ok(())
    }

    /// 23505.
    fn duplicate(&self, name: &str, shown: &str) -> SqlError {
        SqlError::new(
            SqlState::UNIQUE_VIOLATION,
            format!("duplicate key value violates unique constraint \"{name}\""),
        )
        .with_detail(format!("Key {shown} already exists."))
        .with_schema(&self.schema_name)
        .with_table(&self.entry.table.name)
        .with_constraint(name)
    }

    /// An index's key of a row, for errors.
    pub(super) fn index_key_text(
        &self,
        index: &IndexWriter,
        row: &[Datum],
        context: &EvalContext<'_>,
    ) -> Result<String> {
        let columns = &self.entry.table.columns;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for part in &index.parts {
            let (name, value, type_oid) = match part {
                KeyPart::Column(at) => {
                    let column = &columns[*at];
                    (crate::binder::name::quote(&column.name), row[*at].clone(), column.type_oid)
                }
                KeyPart::Expression(expr, text) => {
                    (text.clone(), expr.eval_row(&row, context)?, expr.data_type().oid)
                }
            };
            names.push(name);
            values.push(if value.is_null() {
                "null".to_string()
            } else {
                context.to_text(&value, type_oid)?.to_string()
            });
        }
        Ok(format!("({})=({})", names.join(", "), values.join(", ")))
    }

    /// `(a, b)=(1, x)`
    pub(crate) fn key_text(
        &self,
        positions: &[usize],
        row: &[Datum],
        context: &EvalContext<'_>,
    ) -> Result<String> {
        let table = &self.entry.table;
        let mut names = Vec::new();
        let mut values = Vec::new();
        for position in positions {
            names.push(crate::binder::name::quote(&table.columns[*position].name));
            let value = &row[*position];
            values.push(if value.is_null() {
                "null".to_string()
            } else {
                context.to_text(value, table.columns[*position].type_oid)?.to_string()
            });
        }
        Ok(format!("({})=({})", names.join(", "), values.join(", ")))
    }

    /// The key of an existing row that a new one collides with, in one of the given unique indexes (all of them,
    /// where none are given).
    ///
    /// # Errors
    /// Those of locking and reading.
    pub async fn colliding(
        &self,
        row: &[Datum],
        arbiters: &[u32],
        execution: &mut Execution,
    ) -> Result<Option<Vec<u8>>> {
        let counts = |oid: u32| arbiters.is_empty() || arbiters.contains(&oid);
        if !self.primary_key.is_empty() && counts(self.primary_oid) {
            let mut key = Vec::new();
            self.primary_key_of(row, &mut key);
            let taken = attempt::retried(execution, |writing| writing.claim(self.tree(), &key)).await?;
            if taken {
                return Ok(Some(key));
            }
        }
        let arbiter = |index: &&IndexWriter| index.unique && index.deferrable.is_none() && counts(index.oid);
        for index in self.indexes.iter().filter(arbiter) {
            let mut entry = Vec::new();
            if index.entry_key(row, &[], &execution.context(), &mut entry)? != Entry::Exact {
                continue;
            }
            execution.transaction.lock_row(index.tree, &entry, LockMode::Update, WAIT).await?;
            if let Some(key) = execution.transaction.get_latest(index.tree, &entry).await? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

/// Notes the keys that a row's writing found taken.
pub(super) fn note_doubles(execution: &mut Execution) {
    let doubles = std::mem::take(&mut execution.buffers.doubles);
    execution.pending.extend(doubles);
}

/// Makes the key of a row's entry in an index of a deferrable constraint the one that it is under.
pub(super) fn name_own_entry(
    index: &IndexWriter,
    entry: &mut Vec<u8>,
    row_key: &[u8],
    writing: &mut Writing<'_>,
) -> Attempt<()> {
    let is_own = writing.transaction.try_get_latest(index.tree, entry, |holder| holder == Some(row_key))?;
    if !is_own {
        entry.extend(row_key);
    }
    Ok(())
}

/// Whether several rows have a key. Where one has it, its entry becomes what others expect.
pub(super) async fn is_doubled(tree: TreeId, entry: &[u8], execution: &mut Execution) -> Result<bool> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut scan = execution.transaction.scan_latest(tree, KeyRange::prefix(entry), false);
    let mut visit = |key: &[u8], row: &[u8]| {
        found.push((key.to_vec(), row.to_vec()));
        if found.len() > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    while scan.next(&execution.transaction, &mut visit).await? == ScanStep::More {}
    match found.as_slice() {
        [(key, row)] if key != entry => {
            execution.transaction.put(tree, entry, row)?;
            execution.transaction.delete(tree, key)?;
            Ok(false)
        }
        [] | [_] => Ok(false),
        _ => Ok(true),
    }
}

/// The rows that have a key which another one had before; no more than so many.
pub(super) async fn later_rows(
    (tree, entry): (TreeId, &[u8]),
    table: &TableEntry,
    rows_max: usize,
    execution: &mut Execution,
) -> Result<Vec<Vec<Datum>>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let mut scan = execution.transaction.scan_latest(tree, KeyRange::prefix(entry), false);
    loop {
        let mut visit = |key: &[u8], row: &[u8]| {
            if key != entry {
                keys.push(row.to_vec());
            }
            if keys.len() < rows_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        if scan.next(&execution.transaction, &mut visit).await? != ScanStep::More || keys.len() >= rows_max {
            break;
        }
    }
    let layout = row_layout(&table.table);
    let mut rows = Vec::new();
    for key in keys {
        if let Some(bytes) = execution.transaction.get_latest(table.table.tree, &key).await? {
            let view = layout.view(&bytes)?;
            rows.push((0..layout.columns().len()).map(|at| view.get(at)).collect::<Result<Vec<Datum>>>()?);
        }
    }
    Ok(rows)
}
