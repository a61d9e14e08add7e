//! ON CONFLICT.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast;

use super::over_rows::OverRows;
use super::{AggregatesIn, Binder, Relation, name};
use crate::catalog::{ColumnNumber, ConstraintKind, Index, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{StatementKind, marked};
use crate::plan::{SpecialIndex, simplify, walk};

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

/// 55000 for indexes whose keys may be there twice for a while.
fn at_once(entry: &TableEntry, arbiters: Vec<u32>) -> Result<Vec<u32>> {
    if arbiters.iter().any(|index| entry.deferrable_unique(*index).is_some()) {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
        ));
    }
    Ok(arbiters)
}

impl Binder<'_> {
    pub(super) fn bind_conflict(
        &mut self,
        entry: &Arc<TableEntry>,
        conflict: &ast::OnConflict,
        alias: &str,
    ) -> Result<BoundConflict> {
        let table = &entry.table;
        let arbiters = match &conflict.conflict_target {
            None => Vec::new(),
            Some(target) => self.arbiters(entry, target)?,
        };
        let read = arbiters.iter().filter_map(|oid| entry.indexes.iter().find(|index| index.oid == *oid));
        let read = read.flat_map(|index| index.columns.iter().map(|column| column.number));
        self.used_columns.extend(read.filter(|number| *number != 0).map(|number| (table.oid, number)));
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
        self.note_update(&Relation::Stored(entry.clone()), columns.iter().copied());
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
                let index =
                    entry.constraints.iter().find(|each| each.name == wanted).and_then(|constraint| {
                        match constraint.kind {
                            ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => {
                                Some(index)
                            }
                            _ => None,
                        }
                    });
                let index = index.ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("constraint \"{wanted}\" for table \"{}\" does not exist", table.name),
                    )
                })?;
                at_once(entry, vec![index])
            }
            ast::ConflictTarget::Columns(columns) => {
                let inference = match columns.as_slice() {
                    [only] if let Some(text) = marked(only) => self.inference(entry, text)?,
                    _ => {
                        let mut inference = Inference::default();
                        for column in columns {
                            let wanted = name::fold(column);
                            let found = table.column(&wanted).ok_or_else(|| {
                                let error = SqlError::new(
                                    SqlState::UNDEFINED_COLUMN,
                                    format!("column \"{wanted}\" does not exist"),
                                );
                                self.locate(error, column.span.start)
                            })?;
                            inference.columns.insert(found.number);
                        }
                        inference
                    }
                };
                self.note_special_indexes(entry);
                let special = entry.special_indexes.get().map_or(&[][..], Vec::as_slice);
                let unique = entry.indexes.iter().filter(|index| index.unique);
                let fitting = unique.filter(|index| inference.means(index, special));
                let found: Vec<u32> = fitting.map(|index| index.oid).collect();
                if found.is_empty() {
                    return Err(SqlError::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
                    ));
                }
                at_once(entry, found)
            }
        }
    }

    /// A target of expressions or with a condition, from its text.
    fn inference(&mut self, entry: &TableEntry, text: &str) -> Result<Inference> {
        let table = &entry.table;
        // It is written as an index's columns and predicate are.
        let parsed = crate::parser::parse(&format!("CREATE INDEX ON t {text}"))?.pop();
        let Some(StatementKind::Sql(statement)) = parsed.map(|statement| statement.kind) else {
            return Err(SqlError::syntax("a conflict target was expected"));
        };
        let ast::Statement::CreateIndex(written) = *statement else {
            return Err(SqlError::syntax("a conflict target was expected"));
        };
        let invalid = |message: &str| SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message);
        let mut inference = Inference::default();
        for column in &written.columns {
            if column.column.options.sort.is_some() {
                return Err(invalid("ASC/DESC is not allowed in ON CONFLICT clause"));
            }
            if column.column.options.nulls_first.is_some() {
                return Err(invalid("NULLS FIRST/LAST is not allowed in ON CONFLICT clause"));
            }
            let bound = crate::plan::folded(self.bind_index_expression(table, &column.column.expr)?);
            match bound {
                Expr::Column { index, .. } => {
                    inference.columns.insert(table.columns[index].number);
                }
                expression => inference.expressions.push(expression),
            }
        }
        if let Some(predicate) = &written.predicate {
            let predicate = crate::plan::folded(self.bind_over_row(table, predicate, "WHERE")?);
            inference.condition = simplify::conjuncts(vec![predicate]);
        }
        Ok(inference)
    }
}

/// What a conflict target says of the index that it means.
#[derive(Default)]
struct Inference {
    columns: BTreeSet<ColumnNumber>,
    /// Over the row.
    expressions: Vec<Expr>,
    condition: Vec<Expr>,
}

impl Inference {
    /// Whether it means an index.
    fn means(&self, index: &Index, special: &[SpecialIndex]) -> bool {
        let columns: BTreeSet<ColumnNumber> =
            index.columns.iter().map(|column| column.number).filter(|number| *number != 0).collect();
        if columns != self.columns {
            return false;
        }
        if index.is_plain() {
            return self.expressions.is_empty();
        }
        let Some(special) = special.iter().find(|each| each.index.oid == index.oid) else { return false };
        let own: Vec<&Expr> = special.expressions.iter().flatten().map(|(expr, _)| expr).collect();
        let has = |list: &[&Expr], wanted: &Expr| list.iter().any(|each| walk::same(each, wanted));
        let given: Vec<&Expr> = self.expressions.iter().collect();
        own.iter().all(|expr| has(&given, expr))
            && given.iter().all(|expr| has(&own, expr))
            && special.implied_by(&self.condition).is_some()
    }
}
