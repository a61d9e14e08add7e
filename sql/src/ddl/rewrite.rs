//! Changes of a table that touch each of its rows.
//!
//! 1. The rows are read as they were, changed, and written into a new tree under the table's new layout and key.
//! 2. Each index is built anew: its entries hold the rows' keys.
//! 3. The old trees are dropped. All of it is undone if the transaction is.

use std::sync::Arc;

use super::Ddl;
use super::storage::Owner;
use crate::catalog::{Index, Table, TableEntry};
use crate::error::Result;
use crate::expr::Expr;
use crate::write;

/// A table about to be rewritten.
pub struct Rewrite<'e> {
    before: &'e Arc<TableEntry>,
    table: Table,
    /// The index of a primary key that it is to have.
    pub primary: Option<Index>,
    /// Positions of the row, and what they get from the row that was.
    pub fills: Vec<(usize, Expr)>,
}

impl<'e> Rewrite<'e> {
    /// A rewriting of a table that is to become `table`.
    pub fn new(before: &'e Arc<TableEntry>, table: Table) -> Rewrite<'e> {
        Rewrite { before, table, primary: None, fills: Vec::new() }
    }

    /// Does it, and stores the table and its indexes.
    pub async fn run(self, ddl: &mut Ddl) -> Result<()> {
        let Rewrite { before, mut table, primary, fills } = self;
        let old_tree = before.table.tree;
        let mut indexes: Vec<Index> = before.indexes.iter().map(|index| (**index).clone()).collect();
        if table.primary_key.is_empty() {
            indexes.retain(|index| !index.primary);
        }
        indexes.extend(primary);
        table.tree = ddl.tree(&table.options, Owner::Table);
        for index in &mut indexes {
            if index.primary {
                index.tree = table.tree;
            }
        }
        let reader = ddl.writer(&TableEntry::bare((*before.table).clone(), Vec::new()))?;
        let primary = indexes.iter().filter(|index| index.primary).cloned().collect();
        let after = TableEntry::bare(table.clone(), primary);
        let writer = ddl.writer(&after)?;
        write::rewrite_table(&reader, &writer, &fills, &mut ddl.execution).await?;
        for mut index in indexes {
            if !index.primary {
                ddl.execution.transaction.drop_tree(index.tree)?;
                index.tree = ddl.tree(&index.options, Owner::Index);
                super::index::fill(ddl, &after, &index).await?;
            }
            ddl.put(index).await?;
        }
        ddl.execution.transaction.drop_tree(old_tree)?;
        ddl.put(table).await
    }
}
