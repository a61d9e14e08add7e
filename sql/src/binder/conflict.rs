//! ON CONFLICT.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast;
use sqlparser::tokenizer::Location;

use super::collation::{existing_collation, split_collation};
use super::over_rows::OverRows;
use super::scope::{Scope, ScopeRelation};
use super::{AggregatesIn, Binder, Relation, name};
use crate::catalog::{ColumnNumber, Index, Table, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{StatementKind, marked};
use crate::plan::{SpecialIndex, simplify, walk};
use crate::types::{Oid, TypeCatalog};

/// What the proposed row is called.
const EXCLUDED: &str = "excluded";

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
    if arbiters.iter().any(|index| entry.is_deferrable_key(*index)) {
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
        let target = match (&conflict.conflict_target, &conflict.action) {
            (None, ast::OnConflictAction::DoNothing) => {
                at_once(entry, entry.indexes.iter().map(|index| index.oid).collect())?;
                return Ok(BoundConflict { arbiters: Vec::new(), update: None });
            }
            (None, ast::OnConflictAction::DoUpdate(update)) => return Err(self.without_target(update)),
            (Some(target), _) => target,
        };
        let updates = matches!(conflict.action, ast::OnConflictAction::DoUpdate(_));
        let arbiters = self.wanted_arbiters(entry, target, alias, updates)?;
        // Which indexes fit is asked when all names are known.
        let update = match &conflict.action {
            ast::OnConflictAction::DoNothing => None,
            ast::OnConflictAction::DoUpdate(update) => Some(self.bind_conflict_update(entry, update, alias)?),
        };
        let arbiters = match arbiters {
            Wanted::Index(index) => at_once(entry, vec![index])?,
            Wanted::Inferred(inference) => self.inferred(entry, &inference)?,
        };
        let read = arbiters.iter().filter_map(|oid| entry.indexes.iter().find(|index| index.oid == *oid));
        let read = read.flat_map(|index| index.columns.iter().map(|column| column.number));
        self.used_columns.extend(read.filter(|number| *number != 0).map(|number| (table.oid, number)));
        Ok(BoundConflict { arbiters, update })
    }

    /// 42601 for DO UPDATE that does not say which conflict it is for.
    fn without_target(&self, update: &ast::DoUpdate) -> SqlError {
        let error =
            SqlError::syntax("ON CONFLICT DO UPDATE requires inference specification or constraint name")
                .with_hint("For example, ON CONFLICT (column_name).");
        let first = update.assignments.first().map(|assignment| match &assignment.target {
            ast::AssignmentTarget::ColumnName(name) => name::location(name),
            ast::AssignmentTarget::Tuple(names) => {
                names.first().map_or(Location { line: 0, column: 0 }, name::location)
            }
        });
        let Some(first) = first.filter(|first| first.line > 0) else { return error };
        let before = self.source.text()[..self.source.offset(first)].to_ascii_lowercase();
        let on = before.rfind("conflict").and_then(|conflict| before[..conflict].rfind("on"));
        match on {
            Some(on) => error.at(self.source.position(on)),
            None => error,
        }
    }

    fn bind_conflict_update(
        &mut self,
        entry: &Arc<TableEntry>,
        update: &ast::DoUpdate,
        alias: &str,
    ) -> Result<BoundConflictUpdate> {
        let table = &entry.table;
        let width = table.columns.len();
        let first = self.column_ids(width * 2);
        let mut scope = self.row_scope(table, alias, first);
        // Bare names mean the existing row. A table may be called as the proposed row is, if nobody says so.
        scope.relations.extend(self.row_scope(table, EXCLUDED, first + width).relations);
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
        Ok(BoundConflictUpdate { columns, values, has_condition })
    }

    /// What a conflict target says.
    fn wanted_arbiters(
        &mut self,
        entry: &TableEntry,
        target: &ast::ConflictTarget,
        alias: &str,
        updates: bool,
    ) -> Result<Wanted> {
        let table = &entry.table;
        match target {
            ast::ConflictTarget::OnConstraint(object) => {
                let (_, wanted) = name::split(object)?;
                let named = entry.constraints.iter().find(|each| each.name == wanted);
                let index = named.and_then(|constraint| constraint.index());
                index.map(Wanted::Index).ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("constraint \"{wanted}\" for table \"{}\" does not exist", table.name),
                    )
                })
            }
            ast::ConflictTarget::Columns(columns) => {
                if let [only] = columns.as_slice()
                    && let Some(text) = marked(only)
                {
                    let inference = self.inference(entry, text, only.span.start, alias);
                    return inference.map(Wanted::Inferred).map_err(|error| hidden_excluded(error, updates));
                }
                let mut inference = Inference::default();
                for column in columns {
                    let found = self.conflict_column(table, column, alias, updates)?;
                    inference.columns.insert(found);
                }
                Ok(Wanted::Inferred(inference))
            }
        }
    }

    /// The number of a column that a conflict target names.
    fn conflict_column(
        &self,
        table: &Table,
        column: &ast::Ident,
        alias: &str,
        updates: bool,
    ) -> Result<ColumnNumber> {
        let wanted = name::fold(column);
        if let Some(found) = table.column(&wanted) {
            return Ok(found.number);
        }
        let mut error =
            SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{wanted}\" does not exist"));
        let mut scope = Scope::default();
        for alias in [Some(alias), updates.then_some(EXCLUDED)].into_iter().flatten() {
            scope.relations.push(ScopeRelation::of_names(table, alias));
        }
        if let Some(hint) = scope.similar_columns(None, &wanted) {
            error = error.with_hint(hint);
        }
        // The place of the whole list.
        let before = &self.source.text()[..self.source.offset(column.span.start)];
        Err(match before.rfind('(') {
            Some(at) if column.span.start.line > 0 => error.at(self.source.position(at)),
            _ => error,
        })
    }

    /// The unique indexes that are meant.
    fn inferred(&mut self, entry: &TableEntry, inference: &Inference) -> Result<Vec<u32>> {
        self.note_special_indexes(entry);
        let special = entry.special_indexes.get().map_or(&[][..], Vec::as_slice);
        let types = self.types();
        let unique = entry.indexes.iter().filter(|index| index.unique);
        let fitting = unique.filter(|index| inference.means(&types, &entry.table, index, special));
        let found: Vec<u32> = fitting.map(|index| index.oid).collect();
        if found.is_empty() {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            ));
        }
        at_once(entry, found)
    }

    /// A target of expressions or with a condition, from its text, which stands at a place of the statement.
    fn inference(
        &mut self,
        entry: &TableEntry,
        text: &str,
        place: Location,
        alias: &str,
    ) -> Result<Inference> {
        let table = &entry.table;
        // It is written as an index's columns and predicate are.
        let create = "CREATE INDEX ON t";
        let lines = "\n".repeat(usize::try_from(place.line.saturating_sub(1)).unwrap_or(0));
        let before = if lines.is_empty() { create.len() } else { 0 };
        let column = usize::try_from(place.column.saturating_sub(1)).unwrap_or(0);
        let blanks = " ".repeat(column.saturating_sub(before));
        let parsed = crate::parser::parse(&format!("{create}{lines}{blanks}{text}"))?.pop();
        let Some(StatementKind::Sql(statement)) = parsed.map(|statement| statement.kind) else {
            return Err(SqlError::syntax("a conflict target was expected"));
        };
        let ast::Statement::CreateIndex(written) = *statement else {
            return Err(SqlError::syntax("a conflict target was expected"));
        };
        let invalid = |message: &str| SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message);
        // Names mean what they mean in the statement.
        let called = Table { name: alias.to_owned(), ..(**table).clone() };
        let mut inference = Inference::default();
        for column in &written.columns {
            if column.column.options.sort.is_some() {
                return Err(invalid("ASC/DESC is not allowed in ON CONFLICT clause"));
            }
            if column.column.options.nulls_first.is_some() {
                return Err(invalid("NULLS FIRST/LAST is not allowed in ON CONFLICT clause"));
            }
            let (expr, collation) = split_collation(&column.column.expr);
            let bound = crate::plan::folded(self.bind_index_expression(&called, expr)?);
            let collation = match collation {
                Some(named) => Some(existing_collation(named)?).filter(|known| *known != 0),
                None => None,
            };
            let class = column.operator_class.as_ref().map(name::split).transpose()?;
            let class = class.map(|(_, class)| {
                crate::relations::family_of(&class).ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("operator class \"{class}\" does not exist for access method \"btree\""),
                    )
                })
            });
            let class = class.transpose()?;
            let what = match bound {
                Expr::Column { index, .. } => {
                    let number = table.columns[index].number;
                    inference.columns.insert(number);
                    Key::Column(number)
                }
                expression => {
                    inference.expressions.push(expression.clone());
                    Key::Expression(expression)
                }
            };
            if collation.is_some() || class.is_some() {
                inference.limits.push(Limit { what, collation, class });
            }
        }
        if let Some(predicate) = &written.predicate {
            let predicate = crate::plan::folded(self.bind_over_row(&called, predicate, "WHERE")?);
            inference.condition = simplify::conjuncts(vec![predicate]);
        }
        Ok(inference)
    }
}

/// What RETURNING and the conflict target say of the proposed row, which is no relation there.
pub(super) fn hidden_excluded(error: SqlError, updates: bool) -> SqlError {
    if !updates || error.message() != "missing FROM-clause entry for table \"excluded\"" {
        return error;
    }
    error.with_message("invalid reference to FROM-clause entry for table \"excluded\"").with_hint(
        "There is an entry for table \"excluded\", but it cannot be referenced from this part of the query.",
    )
}

/// What a conflict target asks for.
enum Wanted {
    Index(u32),
    Inferred(Inference),
}

/// What a key of an index may be.
enum Key {
    Column(ColumnNumber),
    /// Over the row.
    Expression(Expr),
}

/// How a key must be ordered.
struct Limit {
    what: Key,
    collation: Option<Oid>,
    /// The operator class's family, and the type that it takes.
    class: Option<(Oid, Oid)>,
}

/// What a conflict target says of the index that it means.
#[derive(Default)]
struct Inference {
    columns: BTreeSet<ColumnNumber>,
    /// Over the row.
    expressions: Vec<Expr>,
    condition: Vec<Expr>,
    limits: Vec<Limit>,
}

impl Inference {
    /// Whether it means an index.
    fn means(&self, types: &dyn TypeCatalog, table: &Table, index: &Index, special: &[SpecialIndex]) -> bool {
        let columns: BTreeSet<ColumnNumber> =
            index.columns.iter().map(|column| column.number).filter(|number| *number != 0).collect();
        if columns != self.columns {
            return false;
        }
        let special = special.iter().find(|each| each.index.oid == index.oid);
        if !self.limits.iter().all(|limit| limit.is_met(types, table, index, special)) {
            return false;
        }
        if index.is_plain() {
            return self.expressions.is_empty();
        }
        let Some(special) = special else { return false };
        let own: Vec<&Expr> = special.expressions.iter().flatten().map(|(expr, _)| expr).collect();
        let has = |list: &[&Expr], wanted: &Expr| list.iter().any(|each| walk::same(each, wanted));
        let given: Vec<&Expr> = self.expressions.iter().collect();
        own.iter().all(|expr| has(&given, expr))
            && given.iter().all(|expr| has(&own, expr))
            && special.implied_by(&self.condition).is_some()
    }
}

impl Limit {
    /// Whether an index has the key in that order.
    fn is_met(
        &self,
        types: &dyn TypeCatalog,
        table: &Table,
        index: &Index,
        special: Option<&SpecialIndex>,
    ) -> bool {
        index.columns.iter().enumerate().any(|(at, column)| {
            let own = special.and_then(|special| special.expressions.get(at)?.as_ref());
            let is_key = match (&self.what, own) {
                (Key::Column(number), _) => column.number == *number,
                (Key::Expression(wanted), Some((own, _))) => walk::same(wanted, own),
                (Key::Expression(_), None) => false,
            };
            let collation = || crate::relations::key_collation(types, table, column);
            is_key
                && self.collation.is_none_or(|wanted| wanted == collation())
                && self
                    .class
                    .is_none_or(|wanted| crate::relations::key_family(types, table, column) == Some(wanted))
        })
    }
}
