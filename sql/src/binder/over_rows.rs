//! Expressions over the rows that a statement makes while it runs: those of RETURNING and of DO UPDATE.
//!
//! Without subqueries they are evaluated on each row as it is made. With subqueries the rows become a working table,
//! and a query above it computes them.

use std::collections::HashMap;

use super::scope::{RowPlace, Scope};
use super::{Binder, PendingApply, ResultColumn, subquery};
use crate::expr::Expr;
use crate::plan::logical::{ColumnId, Computed, Logical};
use crate::plan::walk;
use crate::types::{DataType, oids};

/// A query over rows that were made.
#[derive(Clone)]
pub struct RowsQuery {
    /// The number of the working table that the rows go to.
    pub table: usize,
    pub plan: Logical,
    /// What it computes.
    pub outputs: Vec<ColumnId>,
}

/// Expressions over rows: ids of columns are those of the row.
#[derive(Clone)]
pub struct OverRows {
    /// The results; with a query above, the rows of its working table.
    pub exprs: Vec<Expr>,
    pub above: Option<RowsQuery>,
}

/// A bound RETURNING.
#[derive(Clone)]
pub struct BoundReturning {
    pub rows: OverRows,
    pub columns: Vec<ResultColumn>,
}

/// The types of a scope's columns, by their ids.
fn types_in(scope: &Scope) -> Vec<(ColumnId, DataType)> {
    let columns = scope.relations.iter().flat_map(|relation| &relation.columns);
    let columns = columns.map(|column| (column.id, column.data_type));
    let changed = scope.relations.iter().filter_map(|relation| match relation.place {
        RowPlace::Written { xmax: Some(id) } => Some((id, DataType::of(oids::XID))),
        _ => None,
    });
    columns.chain(changed).collect()
}

impl Binder<'_> {
    /// Ids for so many columns, one after the other.
    pub(super) fn column_ids(&mut self, count: usize) -> ColumnId {
        let first = self.next_column;
        self.next_column += count;
        first
    }

    /// The subqueries met since they were last taken.
    pub(super) fn take_pending(&mut self) -> Vec<PendingApply> {
        self.collectors.last_mut().map(|collector| std::mem::take(&mut collector.pending)).unwrap_or_default()
    }

    /// Expressions over the rows of the scope: `filter`, with its subqueries, says which rows they are for.
    pub(super) fn over_rows(
        &mut self,
        exprs: Vec<Expr>,
        pending: Vec<PendingApply>,
        filter: Option<(Expr, Vec<PendingApply>)>,
    ) -> OverRows {
        let columns = self.levels.last().map(|level| types_in(&level.scope)).unwrap_or_default();
        let table = self.next_working_table;
        self.next_working_table += 1;
        let mut plan =
            Logical::WorkingTable { table, alias: String::from("*NEW*"), columns: columns.clone() };
        if let Some((predicate, below)) = filter {
            let input = Box::new(subquery::attach(plan, below));
            plan = Logical::Filter { input, predicates: vec![predicate] };
        }
        let computed = exprs.into_iter().map(|expr| Computed { id: self.column_id(), expr });
        let computed: Vec<Computed> = computed.collect();
        let outputs = computed.iter().map(|each| each.id).collect();
        let plan = Logical::Project { input: Box::new(subquery::attach(plan, pending)), outputs: computed };
        let exprs = columns.into_iter().map(|(index, data_type)| Expr::Column { index, data_type });
        OverRows { exprs: exprs.collect(), above: Some(RowsQuery { table, plan, outputs }) }
    }

    /// Binds RETURNING over the rows of the scope.
    ///
    /// # Errors
    /// All the errors of binding.
    pub(super) fn bind_returning_list(
        &mut self,
        items: &[sqlparser::ast::SelectItem],
    ) -> crate::error::Result<BoundReturning> {
        let (computed, columns) = self.bind_returning(items)?;
        let exprs: Vec<Expr> = computed.into_iter().map(|each| each.expr).collect();
        let pending = self.take_pending();
        let rows = match pending.is_empty() {
            true => OverRows { exprs, above: None },
            false => self.over_rows(exprs, pending, None),
        };
        Ok(BoundReturning { rows, columns })
    }
}

impl OverRows {
    /// The same with ids changed into positions of the row: those from `first` on are the first columns.
    #[must_use]
    pub fn by_position(self, scope: &Scope, first: ColumnId) -> OverRows {
        let types: HashMap<ColumnId, DataType> = types_in(scope).into_iter().collect();
        let place = |id: ColumnId| Some(Expr::Column { index: id - first, data_type: *types.get(&id)? });
        let exprs = self.exprs.into_iter().map(|expr| walk::replace_columns(expr, &place));
        OverRows { exprs: exprs.collect(), above: self.above }
    }
}
