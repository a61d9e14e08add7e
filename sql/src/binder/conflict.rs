//! ON CONFLICT.

use std::sync::Arc;

use sqlparser::ast;

use super::over_rows::OverRows;
use super::{AggregatesIn, Binder, name};
use crate::catalog::{ColumnNumber, Index, TableEntry};
use crate::error::{Result, SqlError, SqlState};

/// What ON CONFLICT does.
#[derive(Clone)]
pub struct BoundConflict {
    /// The unique indexes that count; empty: all of them.
    pub arbiters: Vec<u32>,
    /// `None`: DO NOTHING.
    pub update: Option<BoundConflictUpdate>,
}

/// DO UPDATE.
#[derive(Clone)]
pub struct BoundConflictUpdate {
    pub columns: Vec<ColumnNumber>,
    /// The columns' new values, and behind them the condition under which they are set, if there is one: over the
    /// existing row's columns by position, with the proposed row's behind them. Where a query computes them, it gives
    /// no row where the condition does not hold, and no condition.
    pub values: OverRows,
    pub has_condition: bool,
}

impl Binder<'_> {
    pub(super) fn bind_conflict(
        &mut self,
        entry: &TableEntry,
        conflict: &ast::OnConflict,
        alias: &str,
    ) -> Result<BoundConflict> {
        let table = &entry.table;
        let arbiters = match &conflict.conflict_target {
            None => Vec::new(),
            Some(target) => self.arbiters(entry, target)?,
        };
        let ast::OnConflictAction::DoUpdate(update) = &conflict.action else {
            return Ok(BoundConflict { arbiters, update: None });
        };
        if arbiters.is_empty() {
            return Err(SqlError::syntax(
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            )
            .with_hint("For example, ON CONFLICT (column_name)."));
        }
        let width = table.columns.len();
        let first = self.column_ids(width * 2);
        let mut scope = self.row_scope(table, alias, first);
        let mut proposed = self.row_scope(table, "excluded", first + width);
        // Bare names mean the existing row.
        proposed.visible.clear();
        scope.extend(proposed)?;
        self.set_scope(scope.clone());
        self.set_aggregates_in(AggregatesIn::Forbidden("UPDATE"));
        let assigned = self.bind_assignments(table, &update.assignments)?;
        let (columns, mut exprs): (Vec<_>, Vec<_>) = assigned.into_iter().unzip();
        let pending = self.take_pending();
        let condition = update.selection.as_ref().map(|selection| self.bind_condition(selection, "WHERE"));
        let condition = condition.transpose()?;
        let below = self.take_pending();
        let has_query = !pending.is_empty() || !below.is_empty();
        let has_condition = !has_query && condition.is_some();
        let values = if has_query {
            self.over_rows(exprs, pending, condition.map(|condition| (condition, below)))
        } else {
            exprs.extend(condition);
            OverRows { exprs, above: None }
        };
        let values = values.by_position(&scope, first);
        Ok(BoundConflict { arbiters, update: Some(BoundConflictUpdate { columns, values, has_condition }) })
    }

    /// The unique indexes that a conflict target means.
    fn arbiters(&mut self, entry: &TableEntry, target: &ast::ConflictTarget) -> Result<Vec<u32>> {
        let table = &entry.table;
        match target {
            ast::ConflictTarget::OnConstraint(object) => {
                let (_, wanted) = name::split(object)?;
                let index = entry.indexes.iter().find(|index| index.unique && index.name == wanted);
                let index = index.map(|index| index.oid).ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("constraint \"{wanted}\" for table \"{}\" does not exist", table.name),
                    )
                })?;
                Ok(vec![index])
            }
            ast::ConflictTarget::Columns(columns) => {
                let mut numbers = Vec::new();
                for column in columns {
                    numbers.push(self.target_column(table, &name::fold(column), column.span.start)?.number);
                }
                numbers.sort_unstable();
                let fits = |index: &&Arc<Index>| {
                    let mut own: Vec<ColumnNumber> =
                        index.columns.iter().map(|column| column.number).collect();
                    own.sort_unstable();
                    index.unique && index.is_plain() && own == numbers
                };
                let found: Vec<u32> = entry.indexes.iter().filter(fits).map(|index| index.oid).collect();
                if found.is_empty() {
                    return Err(SqlError::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
                    ));
                }
                Ok(found)
            }
        }
    }
}
