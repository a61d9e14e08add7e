//! What a materialized view holds, and what it is to hold.

use std::sync::Arc;

use super::from::join;
use super::{Binder, name};
use crate::catalog::{Index, TableEntry, View, ViewColumn};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::{ColumnId, JoinKind, Logical};
use crate::types::oids;

/// The rows that a materialized view has beside those of its query.
pub struct BoundDifference {
    pub plan: Logical,
    /// The key and the values of an old row, the values of a new one, whether there is one, and how many new rows there
    /// are with the same values in the columns of the index.
    pub columns: Vec<ColumnId>,
}

impl Binder<'_> {
    /// Binds a stored query by itself.
    ///
    /// # Errors
    /// As binding any query.
    pub fn bind_stored_query(&mut self, view: &Arc<View>) -> Result<(Logical, Vec<ColumnId>)> {
        let item = self.bind_view(view, None)?;
        let columns = item.scope.visible.iter().map(|column| column.id).collect();
        Ok((item.plan, columns))
    }

    /// Binds old and new rows of a materialized view side by side, by the columns of an index.
    ///
    /// # Errors
    /// As binding any query.
    pub fn bind_difference(
        &mut self,
        entry: &Arc<TableEntry>,
        view: &Arc<View>,
        index: &Index,
    ) -> Result<BoundDifference> {
        let (mut old, relation) = self.scan(entry, None)?;
        let key = self.column_id();
        if let Logical::Table { key: wanted, .. } = &mut old {
            *wanted = Some(key);
        }
        let new = self.bind_view(&Arc::new(counted(entry, view, index)), None)?;
        let (old_columns, new_columns) = (relation.columns, new.scope.visible);
        let numbers = entry.table.live_columns().map(|column| column.number);
        let mut equal = Vec::new();
        for (number, (old, new)) in numbers.zip(old_columns.iter().zip(&new_columns)) {
            if index.columns.iter().any(|column| column.number == number) {
                let value = |id: ColumnId| Expr::Column { index: id, data_type: old.data_type };
                equal.push(self.operate_unlocated("=", Some(value(old.id)), value(new.id))?);
            }
        }
        let ids = old_columns.iter().chain(&new_columns).map(|column| column.id);
        Ok(BoundDifference {
            columns: std::iter::once(key).chain(ids).collect(),
            plan: join(JoinKind::Full, old, new.plan, equal, Vec::new()),
        })
    }
}

/// The view's query, with the number of its rows that have the same key beside each row.
fn counted(entry: &TableEntry, view: &View, index: &Index) -> View {
    let quoted = |column: &ViewColumn| name::quote(&column.name);
    let all: Vec<String> = view.columns.iter().map(quoted).collect();
    let keys = index.columns.iter().map(|column| entry.table.column_numbered(column.number));
    let keys: Vec<String> = keys.map(|column| name::quote(&column.name)).collect();
    let extra = |name: &str, type_oid| ViewColumn { name: name.into(), type_oid, type_modifier: -1 };
    let mut columns = view.columns.clone();
    columns.extend([extra("is new", oids::BOOL), extra("copies", oids::INT8)]);
    let query = format!(
        "SELECT new.*, true, pg_catalog.count(*) OVER (PARTITION BY {}) FROM ({}) AS new ({})",
        keys.join(", "),
        view.query,
        all.join(", ")
    );
    View { columns, query, ..view.clone() }
}
