//! Foreign keys: both sides of the check.

use std::ops::ControlFlow;
use std::sync::Arc;

use helios_mvcc::{KeyRange, LockMode, ScanStep, TreeId};

use super::{TableWriter, WAIT};
use crate::catalog::{CatalogSnapshot, Constraint, ConstraintKind, ForeignKeyAction, Table, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::plan::{index_key_columns, primary_key_columns, row_layout};
use crate::value::Datum;
use crate::value::key::{self, KeyColumn};
use crate::value::row::RowLayout;

/// A foreign key of the written table: what its rows refer to must exist.
pub struct Reference {
    name: String,
    /// Positions in the referencing row, in the order of the referenced key.
    positions: Vec<usize>,
    parent_name: String,
    tree: TreeId,
    key: Vec<KeyColumn>,
}

impl Reference {
    pub fn new(entry: &TableEntry, constraint: &Constraint, catalog: &CatalogSnapshot) -> Result<Reference> {
        let ConstraintKind::ForeignKey { table, columns, index, .. } = &constraint.kind else {
            return Err(SqlError::internal("a foreign key was expected"));
        };
        let parent = if *table == entry.table.oid { entry } else { catalog.expect_table(*table)?.as_ref() };
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
            name: constraint.name.clone(),
            positions,
            parent_name: parent.table.name.clone(),
            tree,
            key,
        })
    }

    /// Whether two rows refer to different things.
    pub fn differs(&self, old: &[Datum], new: &[Datum]) -> bool {
        self.positions.iter().any(|at| old[*at] != new[*at])
    }

    /// 23503 where the referenced row does not exist.
    pub async fn check(&self, writer: &TableWriter, row: &[Datum], execution: &mut Execution) -> Result<()> {
        let mut wanted = Vec::new();
        for (column, position) in self.key.iter().zip(&self.positions) {
            // MATCH SIMPLE: a NULL refers to nothing.
            if row[*position].is_null() {
                return Ok(());
            }
            key::encode(column, &row[*position], &mut wanted);
        }
        execution.transaction.lock_row(self.tree, &wanted, LockMode::KeyShare, WAIT).await?;
        if execution.transaction.get_latest(self.tree, &wanted).await?.is_some() {
            return Ok(());
        }
        let table = &writer.entry.table.name;
        Err(SqlError::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            format!(
                "insert or update on table \"{table}\" violates foreign key constraint \"{}\"",
                self.name
            ),
        )
        .with_detail(format!(
            "Key {} is not present in table \"{}\".",
            writer.key_text(&self.positions, row, &execution.context())?,
            self.parent_name
        ))
        .with_schema(&writer.schema_name)
        .with_table(table)
        .with_constraint(&self.name))
    }
}

/// A foreign key that points at the written table: rows that it refers to must stay.
pub struct Referenced {
    name: String,
    child: Arc<TableEntry>,
    layout: RowLayout,
    /// Positions in the child's row, and in ours.
    pairs: Vec<(usize, usize)>,
    on_delete: ForeignKeyAction,
}

impl Referenced {
    pub fn new(constraint: &Constraint, catalog: &CatalogSnapshot) -> Result<Referenced> {
        let ConstraintKind::ForeignKey { columns, on_delete, .. } = &constraint.kind else {
            return Err(SqlError::internal("a foreign key was expected"));
        };
        let child = catalog.expect_table(constraint.table)?.clone();
        let pairs = constraint.columns.iter().zip(columns);
        let pairs = pairs.map(|(own, other)| (Table::position(*own), Table::position(*other))).collect();
        let layout = row_layout(&child.table);
        Ok(Referenced { name: constraint.name.clone(), child, layout, pairs, on_delete: *on_delete })
    }

    /// Tests that nothing refers to a row any more, when it goes or its key changes; or lets the references go
    /// with it.
    pub async fn changed(
        &self,
        writer: &TableWriter,
        old: &[Datum],
        new: Option<&[Datum]>,
        execution: &mut Execution,
    ) -> Result<()> {
        let kept = new.is_some_and(|new| self.pairs.iter().all(|(_, at)| old[*at] == new[*at]));
        if kept || self.pairs.iter().any(|(_, at)| old[*at].is_null()) {
            return Ok(());
        }
        let keys = self.referring(old, execution).await?;
        if keys.is_empty() {
            return Ok(());
        }
        if new.is_none() && self.on_delete == ForeignKeyAction::Cascade {
            return self.cascade(keys, execution).await;
        }
        let table = &writer.entry.table.name;
        let child = &self.child.table.name;
        let positions: Vec<usize> = self.pairs.iter().map(|(_, at)| *at).collect();
        Err(SqlError::new(
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
        .with_constraint(&self.name))
    }

    /// The child's rows that refer to a row: by the child's key or an index where one begins with the referring
    /// columns, else by reading all of it.
    async fn referring(
        &self,
        old: &[Datum],
        execution: &mut Execution,
    ) -> Result<Vec<(Vec<u8>, Vec<Datum>)>> {
        let table = &self.child.table;
        let prefix = |numbers: &[i16], columns: &[KeyColumn]| -> Option<Vec<u8>> {
            let mut bytes = Vec::new();
            for (number, column) in numbers.iter().zip(columns).take(self.pairs.len()) {
                let (_, at) = self.pairs.iter().find(|(own, _)| *own == Table::position(*number))?;
                key::encode(column, &old[*at], &mut bytes);
            }
            (numbers.len() >= self.pairs.len()).then_some(bytes)
        };
        let by_index = self.child.indexes.iter().filter(|index| !index.primary).find_map(|index| {
            let numbers: Vec<i16> = index.columns.iter().map(|column| column.number).collect();
            Some((index.tree, prefix(&numbers, &index_key_columns(table, index))?))
        });
        let mut rows = Vec::new();
        if let Some((tree, bytes)) = by_index {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            let mut scan = execution.transaction.scan_latest(tree, KeyRange::prefix(&bytes), false);
            let mut visit = |_: &[u8], primary: &[u8]| {
                keys.push(primary.to_vec());
                ControlFlow::Continue(())
            };
            while scan.next(&execution.transaction, &mut visit).await? == ScanStep::More {}
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
        let mut visit = |found: &[u8], value: &[u8]| match self.decode(value) {
            Ok(values) => {
                if self.pairs.iter().all(|(own, at)| values[*own] == old[*at]) {
                    rows.push((found.to_vec(), values));
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        };
        while scan.next(&execution.transaction, &mut visit).await? == ScanStep::More {}
        match failure {
            Some(error) => Err(error),
            None => Ok(rows),
        }
    }

    fn decode(&self, value: &[u8]) -> Result<Vec<Datum>> {
        let view = self.layout.view(value)?;
        (0..self.layout.columns().len()).map(|at| view.get(at)).collect()
    }

    /// Deletes the referring rows, and what refers to them.
    async fn cascade(&self, rows: Vec<(Vec<u8>, Vec<Datum>)>, execution: &mut Execution) -> Result<()> {
        let environment = execution.environment.clone();
        let binding = environment.bind_environment();
        let mut binder = crate::binder::Binder::new(&environment.catalog, &binding, "", Vec::new());
        let writer = TableWriter::new(&self.child, &mut binder)?;
        drop(binder);
        for (found, values) in rows {
            let old = super::OldRow { key: &found, values: &values };
            Box::pin(writer.delete(old, execution)).await?;
        }
        Ok(())
    }
}
