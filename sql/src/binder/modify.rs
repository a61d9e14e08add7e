//! INSERT, UPDATE and DELETE.

use std::sync::Arc;

use sqlparser::ast::{self, Ident, SetExpr, TableObject};

use super::assignment::Target;
use super::conflict::{BoundConflict, hidden_excluded};
use super::over_rows::BoundReturning;
use super::scope::{Level, RowPlace, Scope, ScopeColumn, ScopeRelation};
use super::{AggregatesIn, Binder, BoundQuery, Collector, Relation, name};
use crate::catalog::{ColumnNumber, Identity, Rights, Table, TableColumn, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::CastContext;
use crate::parser::{Overriding, refuse_in_delete, refuse_in_insert, refuse_in_update};
use crate::plan::logical::{ColumnId, Computed, JoinKind, Logical};
use crate::types::{DataType, oids};
use crate::value::Datum;

/// Where a column of a new row comes from.
#[derive(Clone)]
pub enum InsertValue {
    /// A column of the source.
    Source(ColumnId),
    /// The column's default (NULL where it has none).
    Default(Expr),
}

/// A bound INSERT.
#[derive(Clone)]
pub struct BoundInsert {
    pub table: Arc<TableEntry>,
    pub source: Logical,
    /// By position in the table's row.
    pub values: Vec<InsertValue>,
    pub conflict: Option<Box<BoundConflict>>,
    /// Over the new row: columns are positions.
    pub returning: Option<BoundReturning>,
}

/// A bound UPDATE.
#[derive(Clone)]
pub struct BoundUpdate {
    pub table: Arc<TableEntry>,
    /// Gives `key`, the old row's columns, and the columns that `assignments` and `returning` read.
    pub source: Logical,
    pub key: ColumnId,
    /// The ids of the old row's columns.
    pub row: Vec<(ColumnId, ColumnNumber)>,
    pub assignments: Vec<(ColumnNumber, ColumnId)>,
    /// A row may be found more than once: only the first time counts.
    pub joined: bool,
    /// Over the source's columns; the table's own mean the new row.
    pub returning: Option<BoundReturning>,
}

/// A bound DELETE.
#[derive(Clone)]
pub struct BoundDelete {
    pub table: Arc<TableEntry>,
    pub source: Logical,
    pub key: ColumnId,
    pub row: Vec<(ColumnId, ColumnNumber)>,
    pub joined: bool,
    pub returning: Option<BoundReturning>,
}

impl<'a> Binder<'a> {
    pub(super) fn modify<T>(&mut self, bind: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.levels.push(Level::default());
        self.collectors.push(Collector::new(AggregatesIn::Query, &self.levels));
        let bound = self.deeper(bind);
        self.collectors.pop();
        self.levels.pop();
        bound
    }

    /// The scope of a table's row: its columns' ids are those from `first` on, by their positions.
    pub(super) fn row_scope(&mut self, table: &Table, alias: &str, first: ColumnId) -> Scope {
        let columns: Vec<ScopeColumn> = table
            .live_columns()
            .map(|column| ScopeColumn {
                id: first + Table::position(column.number),
                name: column.name.clone(),
                data_type: type_of(column),
                source: Some((table.oid, column.number)),
            })
            .collect();
        let relation = ScopeRelation {
            alias: alias.to_string(),
            schema: (alias == table.name).then(|| self.schema_of(table)).flatten(),
            columns,
            primary_key: Vec::new(),
            table: None,
            place: RowPlace::Nowhere,
            row_type: Some(table.oid),
            is_optional: false,
        };
        Scope::of(relation)
    }

    fn schema_of(&self, table: &Table) -> Option<String> {
        self.catalog.schema(table.schema).map(|schema| schema.name.clone())
    }

    /// Binds an expression over a row of a table, as a CHECK is: columns are positions in the row.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_over_row(&mut self, table: &Table, expr: &ast::Expr, clause: &'static str) -> Result<Expr> {
        self.modify(|binder| {
            let scope = binder.row_scope(table, &table.name, 0);
            binder.set_scope(scope);
            let place = if clause == "CHECK" { "check constraints" } else { clause };
            binder.set_aggregates_in(AggregatesIn::Forbidden(place));
            let bound = binder.bind_condition(expr, clause)?;
            if binder.collectors.last().is_some_and(|collector| !collector.pending.is_empty()) {
                let place = match clause {
                    "CHECK" => "check constraint",
                    other => other.trim_end_matches('s'),
                };
                let error = SqlError::unsupported(format!("cannot use subquery in {place}"));
                return Err(binder.at_subquery(error, expr));
            }
            Ok(bound)
        })
    }

    /// Binds the expression that generates a column, over a row of its table.
    ///
    /// # Errors
    /// All the errors of binding; 42P17 for what is not immutable or is generated itself.
    pub fn bind_generation(&mut self, table: &Table, column: &TableColumn, expr: &ast::Expr) -> Result<Expr> {
        let bound = self.modify(|binder| {
            let scope = binder.row_scope(table, &table.name, 0);
            binder.set_scope(scope);
            binder.set_aggregates_in(AggregatesIn::Forbidden("column generation expressions"));
            let bound = binder.bind(expr)?;
            if binder.collectors.last().is_some_and(|collector| !collector.pending.is_empty()) {
                let error = SqlError::unsupported("cannot use subquery in column generation expression");
                return Err(binder.at_subquery(error, expr));
            }
            binder.assign(bound, type_of(column), &column.name)
        })?;
        let mut other = None;
        crate::plan::walk::columns(&bound, &mut |position| {
            other = other.or(table.columns.get(position).filter(|each| each.generated));
        });
        if let Some(other) = other {
            let error = SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("cannot use generated column \"{}\" in column generation expression", other.name),
            )
            .with_detail("A generated column cannot reference another generated column.");
            return Err(self.at_column(error, expr, &other.name));
        }
        if !crate::plan::walk::is_immutable(&bound) {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                "generation expression is not immutable",
            ));
        }
        Ok(bound)
    }

    /// Binds an expression of an index, over a row of its table.
    ///
    /// # Errors
    /// All the errors of binding; 42P17 for what is not immutable.
    pub fn bind_index_expression(&mut self, table: &Table, expr: &ast::Expr) -> Result<Expr> {
        let bound = self.bind_of_row(table, expr, "index expressions", "index expression")?;
        if crate::plan::walk::is_immutable(&bound) {
            return Ok(bound);
        }
        Err(SqlError::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            "functions in index expression must be marked IMMUTABLE",
        ))
    }

    /// Binds an expression that statistics are of.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_statistics_expression(&mut self, table: &Table, expr: &ast::Expr) -> Result<Expr> {
        self.bind_of_row(table, expr, "statistics expressions", "statistics expression")
    }

    /// Binds an expression over a row of a table, of a kind that is called so; it keeps the type that it has.
    fn bind_of_row(
        &mut self,
        table: &Table,
        expr: &ast::Expr,
        several: &'static str,
        one: &'static str,
    ) -> Result<Expr> {
        self.modify(|binder| {
            let scope = binder.row_scope(table, &table.name, 0);
            binder.set_scope(scope);
            binder.set_aggregates_in(AggregatesIn::Forbidden(several));
            let bound = binder.bind(expr)?;
            let bound = binder.settle(bound)?;
            if binder.collectors.last().is_some_and(|collector| !collector.pending.is_empty()) {
                let error = SqlError::unsupported(format!("cannot use subquery in {one}"));
                return Err(binder.at_subquery(error, expr));
            }
            Ok(bound)
        })
    }

    /// Binds what a column becomes when its type is changed: over a row of the table as it was.
    ///
    /// # Errors
    /// 42804 where a conversion must be given.
    pub fn bind_conversion(
        &mut self,
        table: &Table,
        column: &TableColumn,
        using: Option<&ast::Expr>,
        target: DataType,
    ) -> Result<Expr> {
        self.modify(|binder| {
            let scope = binder.row_scope(table, &table.name, 0);
            binder.set_scope(scope);
            binder.set_aggregates_in(AggregatesIn::Forbidden("transform expressions"));
            let own = Expr::Column { index: Table::position(column.number), data_type: type_of(column) };
            let bound = using.map_or(Ok(own), |using| binder.bind(using))?;
            binder.refuse_pending("transform expression")?;
            let shown = binder.type_name(target);
            binder.assign(bound, target, &column.name).map_err(|error| match (error.state(), using) {
                (SqlState::DATATYPE_MISMATCH, None) => SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("column \"{}\" cannot be cast automatically to type {shown}", column.name),
                )
                .with_hint(format!(
                    "You might need to specify \"USING {}::{}\".",
                    name::quote(&column.name),
                    crate::types::format_type(target, &binder.types())
                )),
                (SqlState::DATATYPE_MISMATCH, Some(_)) => SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "result of USING clause for column \"{}\" cannot be cast automatically to type {shown}",
                        column.name
                    ),
                )
                .with_hint("You might need to add an explicit cast."),
                _ => error,
            })
        })
    }

    /// Binds an expression without columns for a column, as a DEFAULT is.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_default(&mut self, column: &TableColumn, expr: &ast::Expr) -> Result<Expr> {
        self.modify(|binder| {
            binder.set_aggregates_in(AggregatesIn::Forbidden("DEFAULT expressions"));
            let bound = binder.bind(expr).map_err(|error| match error.state() {
                SqlState::UNDEFINED_COLUMN => {
                    let wrong = SqlError::unsupported("cannot use column reference in DEFAULT expression");
                    error.fields().position.map_or(wrong.clone(), |position| wrong.at(position))
                }
                _ => error,
            })?;
            if binder.collectors.last().is_some_and(|collector| !collector.pending.is_empty()) {
                let error = SqlError::unsupported("cannot use subquery in DEFAULT expression");
                return Err(binder.at_subquery(error, expr));
            }
            let source = bound.data_type();
            binder.assign(bound, type_of(column), &column.name).map_err(|error| {
                if error.state() != SqlState::DATATYPE_MISMATCH {
                    return error;
                }
                SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {} but default expression is of type {}",
                        column.name,
                        binder.type_name(type_of(column)),
                        binder.type_name(source)
                    ),
                )
                .with_hint("You will need to rewrite or cast the expression.")
            })
        })
    }

    /// Binds an expression without columns for a value of a type, as the DEFAULT of a column or a domain is.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_default_of(&mut self, data_type: DataType, expr: &ast::Expr) -> Result<Expr> {
        self.modify(|binder| {
            binder.set_aggregates_in(AggregatesIn::Forbidden("DEFAULT expressions"));
            let bound = binder.bind(expr)?;
            binder.assign(bound, data_type, "")
        })
    }

    /// Binds an argument of EXECUTE.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_argument(&mut self, number: usize, expr: &ast::Expr, data_type: DataType) -> Result<Expr> {
        self.modify(|binder| {
            binder.set_aggregates_in(AggregatesIn::Forbidden("EXECUTE parameters"));
            let bound = binder.bind(expr)?;
            binder.refuse_pending("EXECUTE parameters")?;
            let given = bound.data_type();
            binder.coerce(bound, data_type, CastContext::Assignment).map_err(|error| match error.state() {
                SqlState::CANNOT_COERCE => {
                    let message = format!(
                        "parameter ${number} of type {} cannot be coerced to the expected type {}",
                        binder.type_name(given),
                        binder.type_name(data_type)
                    );
                    let error = SqlError::new(SqlState::DATATYPE_MISMATCH, message)
                        .with_hint("You will need to rewrite or cast the expression.");
                    binder.locate(error, super::expression::start_of(expr))
                }
                _ => error,
            })
        })
    }

    /// The expression that fills a column nobody gave a value for.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn default_of(&mut self, table: &Table, column: &TableColumn) -> Result<Expr> {
        match &column.default {
            // The writer computes it when the row is whole.
            Some(_) if column.generated => Ok(super::literal::constant(Datum::Null, type_of(column))),
            None if column.identity.is_some() => {
                let sequence =
                    self.catalog().identity_sequence(table.oid, column.number).ok_or_else(|| {
                        SqlError::corrupted(format!("identity column \"{}\" has no sequence", column.name))
                    })?;
                let argument = super::literal::constant(Datum::Oid(sequence.oid), DataType::REGCLASS);
                let next = self.call_named("nextval", vec![argument])?;
                self.assign(next, type_of(column), &column.name)
            }
            None => match self.domain_default(column.type_oid) {
                Some(text) => {
                    let ast = crate::parser::parse_expression(text)?;
                    self.bind_default(column, &ast)
                }
                // A domain may refuse NULL.
                None => self.coerce(
                    super::literal::unknown(Datum::Null),
                    type_of(column),
                    CastContext::Assignment,
                ),
            },
            Some(text) => {
                let ast = crate::parser::parse_expression(text)?;
                self.bind_default(column, &ast)
            }
        }
    }

    /// The text of the default of a domain, or of the domain under it.
    fn domain_default(&self, type_oid: u32) -> Option<&'a str> {
        let domain = self.catalog.user_type(type_oid)?.definition.domain()?;
        domain.default.as_deref().or_else(|| self.domain_default(domain.base.oid))
    }

    // INSERT --------------------------------------------------------------------------------------------------

    /// Binds an INSERT.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_insert(
        &mut self,
        insert: &ast::Insert,
        overriding: Option<Overriding>,
    ) -> Result<BoundInsert> {
        self.modify(|binder| binder.bind_insert_here(insert, overriding))
    }

    fn bind_insert_here(
        &mut self,
        insert: &ast::Insert,
        overriding: Option<Overriding>,
    ) -> Result<BoundInsert> {
        let TableObject::TableName(object) = &insert.table else {
            return Err(SqlError::syntax("INSERT needs a table"));
        };
        refuse_in_insert(insert)?;
        let entry = self.stored_table(object)?;
        let relation = Relation::Stored(entry.clone());
        self.note_insert(&relation, None);
        let table = entry.table.clone();
        let alias = match &insert.table_alias {
            Some(alias) => name::fold(&alias.alias),
            None => table.name.clone(),
        };
        let (targets, explicit) = self.insert_targets(&table, &insert.columns)?;
        let mut values = Vec::new();
        for column in &table.columns {
            values.push(InsertValue::Default(if column.dropped {
                super::literal::constant(crate::value::Datum::Null, DataType::TEXT)
            } else {
                self.default_of(&table, column)?
            }));
        }
        let source = match &insert.source {
            None => Logical::one_row(),
            Some(query) => {
                let target = InsertTarget { table: &table, columns: &targets, explicit, overriding };
                self.bind_insert_source(query, &target, &mut values)?
            }
        };
        let is_given = |target: &&Target| {
            explicit || matches!(values[Table::position(target.column.number)], InsertValue::Source(_))
        };
        self.note_insert(&relation, targets.iter().filter(is_given).map(|target| target.column.number));
        let conflict = match &insert.on {
            None => None,
            Some(ast::OnInsert::OnConflict(conflict)) => {
                Some(Box::new(self.bind_conflict(&entry, conflict, &alias)?))
            }
            Some(_) => return Err(SqlError::syntax("syntax error at or near \"DUPLICATE\"")),
        };
        let updates = conflict.as_ref().is_some_and(|conflict| conflict.update.is_some());
        let returning = self
            .bind_returning_over_row(&table, &alias, insert.returning.as_deref(), updates)
            .map_err(|error| hidden_excluded(error, updates))?;
        Ok(BoundInsert { table: entry, source, values, conflict, returning })
    }

    fn bind_insert_source(
        &mut self,
        query: &ast::Query,
        target: &InsertTarget<'_>,
        values: &mut [InsertValue],
    ) -> Result<Logical> {
        let (targets, explicit) = (target.columns, target.explicit);
        let plain_values = match query.body.as_ref() {
            SetExpr::Values(rows) if query.order_by.is_none() && query.limit_clause.is_none() => Some(rows),
            _ => None,
        };
        if let Some(rows) = plain_values {
            let common_before = self.common_tables.len();
            if query.with.is_none() {
                let plan = self.bind_insert_values(rows, target, values)?;
                self.common_tables.truncate(common_before);
                return Ok(plan);
            }
        }
        let (bound, _) = self.bind_inner(query)?;
        check_width(bound.columns.len(), targets.len(), explicit)
            .map_err(|error| self.locate_target(error, targets, bound.columns.len()))?;
        let mut wanted = Vec::new();
        for each in targets.iter().take(bound.columns.len()) {
            target.refuse_given(&each.column)?;
        }
        for (at, ((_, column), target)) in bound.columns.iter().zip(targets).enumerate() {
            let probe = Expr::Column { index: 0, data_type: column.data_type };
            if column.data_type.oid != oids::UNKNOWN {
                self.fit_target(target, probe).map_err(|error| self.locate_item(error, query, at))?;
            }
            wanted.push(self.target_type(target)?);
        }
        let bound = self.convert_columns(bound, &wanted, CastContext::Assignment)?;
        let ids = bound.columns.iter().map(|(id, _)| *id);
        let given = ids.zip(targets).filter(|(_, each)| !target.replaces(&each.column));
        self.give_targets(bound.plan, &given.collect::<Vec<_>>(), values)
    }

    /// Notes which columns of the source the targets get; what gets several parts is put together above the source.
    fn give_targets(
        &mut self,
        source: Logical,
        given: &[(ColumnId, &Target)],
        values: &mut [InsertValue],
    ) -> Result<Logical> {
        let mut parts: Vec<(ColumnNumber, Expr)> = Vec::new();
        for (id, target) in given {
            let column = &target.column;
            if target.path.is_empty() {
                values[Table::position(column.number)] = InsertValue::Source(*id);
                continue;
            }
            let value = Expr::Column { index: *id, data_type: self.target_type(target)? };
            let before = parts.iter().position(|(number, _)| *number == column.number);
            let current = match before {
                Some(at) => parts.swap_remove(at).1,
                None => super::literal::constant(Datum::Null, type_of(column)),
            };
            parts.push((column.number, self.assign_part(target, current, value)?));
        }
        if parts.is_empty() {
            return Ok(source);
        }
        let mut outputs = Vec::new();
        for (id, target) in given {
            let expr = Expr::Column { index: *id, data_type: self.target_type(target)? };
            outputs.push(Computed { id: *id, expr });
        }
        for (number, expr) in parts {
            let id = self.column_id();
            values[Table::position(number)] = InsertValue::Source(id);
            outputs.push(Computed { id, expr });
        }
        Ok(Logical::Project { input: Box::new(source), outputs })
    }

    /// Adds the place of an item of a query's select list, where its items are its columns.
    fn locate_item(&self, error: SqlError, query: &ast::Query, at: usize) -> SqlError {
        let SetExpr::Select(select) = query.body.as_ref() else { return error };
        match select.projection.get(..=at) {
            Some(
                [
                    plain @ ..,
                    ast::SelectItem::UnnamedExpr(item) | ast::SelectItem::ExprWithAlias { expr: item, .. },
                ],
            ) if !plain.iter().any(|each| {
                matches!(each, ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..))
            }) =>
            {
                self.locate(error, ast::Spanned::span(item).start)
            }
            _ => error,
        }
    }

    /// Adds the place of the first target that gets no value.
    fn locate_target(&self, error: SqlError, targets: &[Target], given: usize) -> SqlError {
        match targets.get(given) {
            Some(target) => self.locate(error, target.location()),
            None => error,
        }
    }

    fn bind_insert_values(
        &mut self,
        rows: &ast::Values,
        target: &InsertTarget<'_>,
        values: &mut [InsertValue],
    ) -> Result<Logical> {
        let (targets, explicit) = (target.columns, target.explicit);
        self.set_aggregates_in(AggregatesIn::Forbidden("VALUES"));
        let width = rows.rows.first().map_or(0, |row| row.content.len());
        check_width(width, targets.len(), explicit).map_err(|error| {
            match rows.rows.first().and_then(|row| row.content.get(targets.len())) {
                Some(extra) => self.locate(error, ast::Spanned::span(extra).start),
                None => self.locate_target(error, targets, width),
            }
        })?;
        // One row is a select list, where functions may give rows.
        self.allow_row_calls(rows.rows.len() == 1);
        let mut bound = Vec::new();
        for row in &rows.rows {
            if row.content.len() != width {
                let error = SqlError::syntax("VALUES lists must all be the same length");
                return Err(match row.content.first() {
                    Some(first) => self.locate(error, ast::Spanned::span(first).start),
                    None => error,
                });
            }
            let mut fields = Vec::new();
            for (field, part) in row.content.iter().zip(targets) {
                let column = &part.column;
                if is_default(field) && !part.path.is_empty() {
                    return Err(SqlError::unsupported("cannot set an array element to DEFAULT"));
                }
                if is_default(field) || target.replaces(column) {
                    fields.push(self.default_of(target.table, column)?);
                    continue;
                }
                target.refuse_given(column)?;
                let expr = self.bind(field)?;
                let location = ast::Spanned::span(field).start;
                let expr = self.fit_target(part, expr);
                fields.push(expr.map_err(|error| self.locate(error, location))?);
            }
            bound.push(fields);
        }
        let mut columns = Vec::new();
        let mut ids = Vec::new();
        for target in targets.iter().take(width) {
            let id = self.column_id();
            ids.push(id);
            columns.push((id, self.target_type(target)?));
        }
        self.allow_row_calls(false);
        let calls = self.take_row_calls();
        let source = match super::rows::attach(self.attach_pending(Logical::one_row()), calls) {
            Logical::Values { .. } => Logical::Values { columns, rows: bound },
            input => self.rows_above(&input, &columns, bound),
        };
        let given: Vec<(ColumnId, &Target)> = ids.into_iter().zip(targets).collect();
        self.give_targets(source, &given, values)
    }

    fn bind_returning_over_row(
        &mut self,
        table: &Table,
        alias: &str,
        returning: Option<&[ast::SelectItem]>,
        updates: bool,
    ) -> Result<Option<BoundReturning>> {
        let Some(items) = returning else { return Ok(None) };
        // Behind the columns the row has its xmax, where it may have been there before.
        let first = self.column_ids(table.columns.len() + 1);
        let xmax = updates.then_some(first + table.columns.len());
        let mut scope = self.row_scope(table, alias, first);
        for relation in &mut scope.relations {
            relation.table = Some(table.oid);
            relation.place = RowPlace::Written { xmax };
        }
        self.set_scope(scope.clone());
        let bound = self.bind_returning_list(items)?;
        Ok(Some(BoundReturning { rows: bound.rows.by_position(&scope, first), columns: bound.columns }))
    }

    fn refuse_pending(&mut self, clause: &str) -> Result<()> {
        if self.collectors.last().is_some_and(|collector| !collector.pending.is_empty()) {
            let one = clause.trim_end_matches('s');
            return Err(SqlError::unsupported(format!("cannot use subquery in {one}")));
        }
        Ok(())
    }

    // UPDATE and DELETE ---------------------------------------------------------------------------------------

    /// Binds an UPDATE.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_update(&mut self, update: &ast::Update) -> Result<BoundUpdate> {
        self.modify(|binder| binder.bind_update_here(update))
    }

    fn bind_update_here(&mut self, update: &ast::Update) -> Result<BoundUpdate> {
        refuse_in_update(update)?;
        let from = match &update.from {
            None => &[],
            Some(ast::UpdateTableFromKind::AfterSet(tables)) => tables.as_slice(),
            Some(ast::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(SqlError::syntax("syntax error at or near \"FROM\""));
            }
        };
        let target =
            self.bind_target(&update.table.relation, from, update.selection.as_ref(), Rights::UPDATE)?;
        self.set_aggregates_in(AggregatesIn::Forbidden("UPDATE"));
        let table = target.entry.table.clone();
        let mut outputs = target.outputs.clone();
        let mut assignments = Vec::new();
        for (number, expr) in self.bind_assignments(&table, &update.assignments)? {
            let id = self.column_id();
            outputs.push(Computed { id, expr });
            assignments.push((number, id));
        }
        let changed = assignments.iter().map(|(number, _)| *number);
        self.note_update(&Relation::Stored(target.entry.clone()), changed);
        let plan = self.attach_pending(target.plan);
        let source = Logical::Project { input: Box::new(plan), outputs };
        let returning =
            self.bind_returning_here(update.returning.as_deref(), RowPlace::Written { xmax: None })?;
        Ok(BoundUpdate {
            table: target.entry,
            source,
            key: target.key,
            row: target.row,
            assignments,
            joined: !from.is_empty(),
            returning,
        })
    }

    /// Binds a DELETE.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_delete(&mut self, delete: &ast::Delete) -> Result<BoundDelete> {
        self.modify(|binder| binder.bind_delete_here(delete))
    }

    fn bind_delete_here(&mut self, delete: &ast::Delete) -> Result<BoundDelete> {
        refuse_in_delete(delete)?;
        let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
        let [table] = tables.as_slice() else {
            return Err(SqlError::syntax("DELETE takes one table"));
        };
        let using = delete.using.as_deref().unwrap_or_default();
        let target = self.bind_target(&table.relation, using, delete.selection.as_ref(), Rights::DELETE)?;
        let source = Logical::Project { input: Box::new(target.plan), outputs: target.outputs };
        let returning = self.bind_returning_here(delete.returning.as_deref(), RowPlace::Gone)?;
        Ok(BoundDelete {
            table: target.entry,
            source,
            key: target.key,
            row: target.row,
            joined: !using.is_empty(),
            returning,
        })
    }

    /// RETURNING of a statement whose first relation is the changed one; the rows of the others are as they were read.
    fn bind_returning_here(
        &mut self,
        items: Option<&[ast::SelectItem]>,
        place: RowPlace,
    ) -> Result<Option<BoundReturning>> {
        let relations = self.levels.last_mut().map(|level| &mut level.scope.relations);
        for (at, relation) in relations.into_iter().flatten().enumerate() {
            if relation.place != RowPlace::Nowhere {
                relation.place = if at == 0 { place } else { RowPlace::Gone };
            }
        }
        items.map(|items| self.bind_returning_list(items)).transpose()
    }

    /// The table that UPDATE or DELETE changes, joined with what else is named, filtered.
    fn bind_target(
        &mut self,
        factor: &ast::TableFactor,
        others: &[ast::TableWithJoins],
        selection: Option<&ast::Expr>,
        right: Rights,
    ) -> Result<Changed> {
        let ast::TableFactor::Table { name: object, alias, args: None, version, .. } = factor else {
            return Err(SqlError::syntax("a table is expected here"));
        };
        Binder::refuse_past(version.as_ref())?;
        let entry = self.stored_table(object)?;
        self.note_use(&Relation::Stored(entry.clone()), right);
        let (mut plan, relation) = self.scan(&entry, alias.as_ref())?;
        let mut key = self.column_id();
        let mut row = Vec::new();
        if let Logical::Table { key: wanted, columns, .. } = &mut plan {
            key = *wanted.get_or_insert(key);
            row.clone_from(columns);
        }
        let mut scope = Scope::of(relation);
        let mut joined = None;
        if !others.is_empty() {
            joined = Some(self.bind_from(others)?);
            let other_scope = self.levels.last().map(|level| level.scope.clone()).unwrap_or_default();
            scope.extend(other_scope)?;
        }
        if let Some(other) = joined {
            plan = Logical::Join {
                kind: JoinKind::Inner,
                left: Box::new(plan),
                right: Box::new(other),
                on: Vec::new(),
                lateral: Vec::new(),
            };
        }
        self.set_scope(scope.clone());
        if let Some(selection) = selection {
            self.set_aggregates_in(AggregatesIn::Forbidden("WHERE"));
            let predicate = match self.bind_current_of(selection, &entry.table, key)? {
                Some(current) => current,
                None => self.bind_condition(selection, "WHERE")?,
            };
            plan = self.attach_pending(plan);
            plan = Logical::Filter { input: Box::new(plan), predicates: vec![predicate] };
        }
        let mut outputs =
            vec![Computed { id: key, expr: Expr::Column { index: key, data_type: DataType::BYTEA } }];
        for relation in &scope.relations {
            for column in &relation.columns {
                let expr = Expr::Column { index: column.id, data_type: column.data_type };
                outputs.push(Computed { id: column.id, expr });
            }
        }
        Ok(Changed { entry, plan, key, row, outputs })
    }

    pub(super) fn target_column<'t>(
        &self,
        table: &'t Table,
        wanted: &str,
        location: sqlparser::tokenizer::Location,
    ) -> Result<&'t TableColumn> {
        table.column(wanted).ok_or_else(|| {
            let error = SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{wanted}\" of relation \"{}\" does not exist", table.name),
            );
            self.locate(error, location)
        })
    }

    /// Binds the query of `COPY (query) TO` or a cursor: as a statement of its own.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_source_query(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        self.bind_query(query)
    }
}

/// The columns that an INSERT gives values for.
pub(super) struct InsertTarget<'t> {
    pub table: &'t Table,
    pub columns: &'t [Target],
    /// They are named.
    pub explicit: bool,
    pub overriding: Option<Overriding>,
}

impl InsertTarget<'_> {
    /// Whether the sequence's number comes in place of what is given for a column.
    pub fn replaces(&self, column: &TableColumn) -> bool {
        column.identity.is_some() && self.overriding == Some(Overriding::User)
    }

    /// 428C9 for a value given for a column that is always generated.
    pub fn refuse_given(&self, column: &TableColumn) -> Result<()> {
        if column.generated {
            return Err(SqlError::new(
                SqlState::GENERATED_ALWAYS,
                format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
            )
            .with_detail(always_identity(column)));
        }
        if column.identity != Some(Identity::Always) || self.overriding.is_some() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::GENERATED_ALWAYS,
            format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
        )
        .with_detail(always_identity(column))
        .with_hint("Use OVERRIDING SYSTEM VALUE to override."))
    }
}

pub(super) fn always_identity(column: &TableColumn) -> String {
    if column.generated {
        return format!("Column \"{}\" is a generated column.", column.name);
    }
    format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name)
}

/// What UPDATE and DELETE work on.
struct Changed {
    entry: Arc<TableEntry>,
    plan: Logical,
    key: ColumnId,
    row: Vec<(ColumnId, ColumnNumber)>,
    outputs: Vec<Computed>,
}

/// A column's type.
pub(super) fn type_of(column: &TableColumn) -> DataType {
    DataType { oid: column.type_oid, typmod: column.type_modifier }
}

pub(super) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(Ident { value, quote_style: None, .. }) if value.eq_ignore_ascii_case("default"))
}

pub(super) fn check_width(given: usize, targets: usize, explicit: bool) -> Result<()> {
    if given > targets {
        return Err(SqlError::syntax("INSERT has more expressions than target columns"));
    }
    if given < targets && explicit {
        return Err(SqlError::syntax("INSERT has more target columns than expressions"));
    }
    Ok(())
}
