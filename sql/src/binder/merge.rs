//! MERGE.

use std::sync::Arc;

use sqlparser::ast::{self, MergeClauseKind};

use super::modify::{InsertTarget, check_width, is_default, type_of};
use super::scope::Scope;
use super::{AggregatesIn, Binder, Relation, RelationKind};
use crate::catalog::{ColumnNumber, Rights, Table, TableEntry};
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::parser::{are_defaults, merge_columns};
use crate::plan::logical::{ColumnId, JoinKind, Logical};

/// What a WHEN clause does; expressions read the joined row.
#[derive(Clone)]
pub enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<(ColumnNumber, Expr)>),
    /// A new row, by position.
    Insert(Vec<Expr>),
}

/// One WHEN clause.
#[derive(Clone)]
pub struct MergeWhen {
    pub matched: bool,
    pub condition: Option<Expr>,
    pub action: MergeAction,
}

/// A bound MERGE.
#[derive(Clone)]
pub struct BoundMerge {
    pub table: Arc<TableEntry>,
    /// The source's rows with the target rows they match, if any.
    pub source: Logical,
    /// The target row's key, NULL where there is none.
    pub key: ColumnId,
    pub row: Vec<(ColumnId, ColumnNumber)>,
    pub clauses: Vec<MergeWhen>,
}

impl Binder<'_> {
    /// Binds a MERGE.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_merge(&mut self, merge: &ast::Merge) -> Result<BoundMerge> {
        self.modify(|binder| binder.bind_merge_here(merge))
    }

    fn bind_merge_here(&mut self, merge: &ast::Merge) -> Result<BoundMerge> {
        let ast::TableFactor::Table { name: object, alias, args: None, version, .. } = &merge.table else {
            return Err(SqlError::syntax("a table is expected here"));
        };
        Binder::refuse_past(version.as_ref())?;
        if merge.output.is_some() {
            return Err(SqlError::syntax("MERGE has no OUTPUT clause"));
        }
        if let Ok(found) = self.relation(object)
            && matches!(found.kind(), RelationKind::View | RelationKind::MaterializedView)
        {
            let message = format!("cannot execute MERGE on relation \"{}\"", found.name());
            return Err(SqlError::unsupported(message)
                .with_detail(format!("This operation is not supported for {}.", found.kind().plural())));
        }
        let entry = self.stored_table(object)?;
        let relation = Relation::Stored(entry.clone());
        self.note_use(&relation, Rights::NONE);
        let (mut target, target_scope) = self.scan(&entry, alias.as_ref())?;
        let mut key = self.column_id();
        let mut row = Vec::new();
        if let Logical::Table { key: wanted, columns, .. } = &mut target {
            key = *wanted.get_or_insert(key);
            row.clone_from(columns);
        }
        let from = ast::TableWithJoins { relation: merge.source.clone(), joins: Vec::new() };
        let source = self.bind_from(&[from])?;
        let source_scope = self.levels.last().map(|level| level.scope.clone()).unwrap_or_default();
        let mut both = Scope::of(target_scope);
        both.extend(source_scope.clone())?;
        self.set_scope(both.clone());
        self.set_aggregates_in(AggregatesIn::Forbidden("JOIN conditions"));
        let on = self.bind_condition(&merge.on, "JOIN/ON")?;
        let is_matched = |clause: &ast::MergeClause| clause.clause_kind == MergeClauseKind::Matched;
        let kind = if merge.clauses.iter().all(is_matched) { JoinKind::Inner } else { JoinKind::Left };
        let has_subquery = self.collectors.last().is_some_and(|collector| !collector.pending.is_empty());
        let mut plan = if has_subquery {
            self.outer_join(JoinKind::Left, source, target, on, Vec::new())?
        } else {
            super::from::join(kind, source, target, vec![on], Vec::new())
        };
        self.set_aggregates_in(AggregatesIn::Forbidden("MERGE WHEN conditions"));
        let mut clauses: Vec<MergeWhen> = Vec::new();
        for clause in &merge.clauses {
            let matched = is_matched(clause);
            if clauses.iter().any(|before| before.matched == matched && before.condition.is_none()) {
                return Err(SqlError::syntax(
                    "unreachable WHEN clause specified after unconditional WHEN clause",
                ));
            }
            // A row that is not matched has only the source's columns.
            self.set_scope(if matched { both.clone() } else { source_scope.clone() });
            let clause = self.bind_when(&entry.table, clause, matched)?;
            self.note_merge(&relation, &clause);
            clauses.push(clause);
        }
        plan = self.attach_pending(plan);
        Ok(BoundMerge { table: entry, source: plan, key, row, clauses })
    }

    /// Notes what a clause needs of the table.
    fn note_merge(&mut self, relation: &Relation, clause: &MergeWhen) {
        match &clause.action {
            MergeAction::Nothing => {}
            MergeAction::Delete => {
                self.note_use(relation, Rights::DELETE);
            }
            MergeAction::Update(values) => {
                self.note_update(relation, values.iter().map(|(number, _)| *number));
            }
            MergeAction::Insert(_) => self.note_insert(relation, None),
        }
    }

    fn bind_when(&mut self, table: &Table, clause: &ast::MergeClause, matched: bool) -> Result<MergeWhen> {
        if matches!(
            clause.clause_kind,
            MergeClauseKind::NotMatchedByTarget | MergeClauseKind::NotMatchedBySource
        ) {
            return Err(SqlError::syntax("syntax error at or near \"BY\""));
        }
        let condition = clause
            .predicate
            .as_ref()
            .map(|predicate| self.bind_condition(predicate, "MERGE WHEN AND"))
            .transpose()?;
        let action = match &clause.action {
            ast::MergeAction::DoNothing { .. } => MergeAction::Nothing,
            ast::MergeAction::Delete { .. } if matched => MergeAction::Delete,
            ast::MergeAction::Update(update) if matched => {
                let ast::MergeUpdateKind::Set(assignments) = &update.kind else {
                    return Err(SqlError::syntax("UPDATE needs assignments"));
                };
                // SET changes the target's row, which is the first relation in scope.
                MergeAction::Update(self.bind_assignments(table, assignments)?)
            }
            ast::MergeAction::Insert(insert) if !matched => self.bind_merge_insert(table, insert)?,
            ast::MergeAction::Insert(_) => {
                return Err(SqlError::syntax("syntax error at or near \"INSERT\""));
            }
            ast::MergeAction::Delete { .. } => {
                return Err(SqlError::syntax("syntax error at or near \"DELETE\""));
            }
            ast::MergeAction::Update(_) => {
                return Err(SqlError::syntax("syntax error at or near \"UPDATE\""));
            }
        };
        Ok(MergeWhen { matched, condition, action })
    }

    fn bind_merge_insert(&mut self, table: &Table, insert: &ast::MergeInsertExpr) -> Result<MergeAction> {
        let ast::MergeInsertKind::Values(values) = &insert.kind else {
            return Err(SqlError::syntax("syntax error at or near \"ROW\""));
        };
        let [values] = values.rows.as_slice() else {
            return Err(SqlError::syntax("INSERT in MERGE takes one row"));
        };
        let (columns, overriding) = merge_columns(&insert.columns);
        let (targets, explicit) = self.insert_targets(table, columns)?;
        let content: &[ast::Expr] = if are_defaults(&values.content) { &[] } else { &values.content };
        let wanted = InsertTarget { table, columns: &targets, explicit, overriding };
        if !are_defaults(&values.content) {
            check_width(content.len(), targets.len(), explicit)?;
        }
        if let Some(entry) = self.catalog.table(table.oid) {
            let given = targets.iter().take(content.len()).map(|target| target.column.number);
            self.note_insert(&Relation::Stored(entry.clone()), given);
        }
        let mut row = Vec::new();
        for column in &table.columns {
            row.push(if column.dropped {
                super::literal::constant(crate::value::Datum::Null, crate::types::DataType::TEXT)
            } else {
                self.default_of(table, column)?
            });
        }
        let mut begun = Vec::new();
        for (target, value) in targets.iter().zip(content) {
            let column = &target.column;
            if is_default(value) && target.path.is_empty() {
                continue;
            }
            wanted.refuse_given(column)?;
            let bound = self.bind(value)?;
            let location = ast::Spanned::span(value).start;
            let bound = self.fit_target(target, bound).map_err(|error| self.locate(error, location))?;
            if wanted.replaces(column) {
                continue;
            }
            let place = &mut row[Table::position(column.number)];
            if target.path.is_empty() {
                *place = bound;
                continue;
            }
            let empty = super::literal::constant(crate::value::Datum::Null, type_of(column));
            let current = if begun.contains(&column.number) { place.clone() } else { empty };
            begun.push(column.number);
            *place = self.assign_part(target, current, bound)?;
        }
        Ok(MergeAction::Insert(row))
    }
}
