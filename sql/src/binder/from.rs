//! FROM: tables, derived tables and joins.

use sqlparser::ast::{
    self, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins,
};

use super::expression::logical;
use super::scope::{RowPlace, Scope, ScopeColumn, ScopeRelation};
use super::{AggregatesIn, Binder, Relation, name};
use crate::catalog::{Rights, SequenceEntry, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{marked, refuse_in_table};
use crate::plan::SpecialIndex;
use crate::plan::logical::{Computed, Correlation, JoinKind, Logical};
use crate::relations::VirtualRelation;
use crate::types::DataType;
use crate::value::Datum;
use crate::write::KeyPart;

/// A bound FROM item: its plan, its names, and what it reads of the items before it.
pub(super) struct Item {
    pub plan: Logical,
    pub scope: Scope,
    pub lateral: Vec<Correlation>,
}

impl Binder<'_> {
    /// Binds a FROM list into one plan, and puts its names into the current level.
    pub(super) fn bind_from(&mut self, from: &[TableWithJoins]) -> Result<Logical> {
        let mut whole: Option<(Logical, Scope)> = None;
        for tables in from {
            let before = whole.as_ref().map(|(_, scope)| scope.clone()).unwrap_or_default();
            let item = self.bind_joined(tables, &before)?;
            whole = Some(match whole {
                None => (item.plan, item.scope),
                Some((plan, mut scope)) => {
                    scope.extend(item.scope)?;
                    (join(JoinKind::Inner, plan, item.plan, Vec::new(), item.lateral), scope)
                }
            });
        }
        let (plan, scope) = whole.unwrap_or_else(|| (Logical::one_row(), Scope::default()));
        self.set_scope(scope);
        Ok(plan)
    }

    pub(super) fn set_scope(&mut self, scope: Scope) {
        if let Some(level) = self.levels.last_mut() {
            level.scope = scope;
        }
    }

    fn bind_joined(&mut self, tables: &TableWithJoins, before: &Scope) -> Result<Item> {
        let mut left = self.bind_factor(&tables.relation, before)?;
        for each in &tables.joins {
            let mut visible = before.clone();
            visible = visible.without(&left.scope);
            visible.extend(left.scope.clone())?;
            let right = self.bind_factor(&each.relation, &visible)?;
            left = self.bind_join(left, right, &each.join_operator, before)?;
        }
        Ok(left)
    }

    fn bind_join(
        &mut self,
        mut left: Item,
        mut right: Item,
        operator: &JoinOperator,
        before: &Scope,
    ) -> Result<Item> {
        let (kind, constraint) = match operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (JoinKind::Inner, constraint),
            JoinOperator::CrossJoin(_) => (JoinKind::Inner, &JoinConstraint::None),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                (JoinKind::Left, constraint)
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                (JoinKind::Right, constraint)
            }
            JoinOperator::FullOuter(constraint) => (JoinKind::Full, constraint),
            other => return Err(SqlError::syntax(format!("join type {other:?} is not supported"))),
        };
        if matches!(kind, JoinKind::Left | JoinKind::Full) {
            right.scope.make_optional();
        }
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            left.scope.make_optional();
        }
        let left_ids = left.plan.outputs();
        let (own, outward): (Vec<_>, Vec<_>) =
            right.lateral.into_iter().partition(|each| left_ids.contains(&each.column));
        if let Some(read) = own.first()
            && matches!(kind, JoinKind::Right | JoinKind::Full)
        {
            let has = |each: &&ScopeRelation| each.columns.iter().any(|column| column.id == read.column);
            let alias = left.scope.relations.iter().find(has).map_or("", |relation| &relation.alias);
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("invalid reference to FROM-clause entry for table \"{alias}\""),
            )
            .with_detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."));
        }
        let mut lateral = left.lateral;
        lateral.extend(outward);
        let mut alias = None;
        let names = match constraint {
            JoinConstraint::Using(columns) => {
                let mut names = Vec::new();
                for column in columns {
                    if let [ast::ObjectNamePart::Identifier(last)] = column.0.as_slice()
                        && let Some(name) = marked(last)
                    {
                        alias = Some(name.to_owned());
                        continue;
                    }
                    let column = name::split(column)?.1;
                    if names.contains(&column) {
                        return Err(SqlError::new(
                            SqlState::DUPLICATE_COLUMN,
                            format!("column name \"{column}\" appears more than once in USING clause"),
                        ));
                    }
                    names.push(column);
                }
                Some(names)
            }
            JoinConstraint::Natural => {
                let common = left
                    .scope
                    .visible
                    .iter()
                    .filter(|column| right.scope.visible.iter().any(|other| other.name == column.name));
                Some(common.map(|column| column.name.clone()).collect())
            }
            JoinConstraint::On(_) | JoinConstraint::None => None,
        };
        if let Some(names) = names {
            let (plan, mut scope) =
                self.join_using(kind, left.plan, left.scope, right.plan, right.scope, &names, own)?;
            if let Some(alias) = alias {
                // The columns that the tables share, under a name of their own.
                let columns = scope.visible[..names.len()].to_vec();
                let mut shared = Scope::of(ScopeRelation {
                    alias,
                    schema: None,
                    columns,
                    primary_key: Vec::new(),
                    table: None,
                    place: RowPlace::Nowhere,
                    row_type: None,
                    is_optional: false,
                });
                shared.visible.clear();
                scope.extend(shared)?;
            }
            return Ok(Item { plan, scope, lateral });
        }
        let mut scope = left.scope;
        scope.extend(right.scope)?;
        let mut on = Vec::new();
        let (mut left_plan, right_plan) = (left.plan, right.plan);
        if let JoinConstraint::On(condition) = constraint {
            let mut visible = before.without(&scope);
            visible.extend(scope.clone())?;
            let previous = self.levels.last().map(|level| level.scope.clone()).unwrap_or_default();
            self.set_scope(visible);
            self.set_aggregates_in(AggregatesIn::Forbidden("JOIN conditions"));
            let bound = self.bind_condition(condition, "JOIN/ON");
            self.set_aggregates_in(AggregatesIn::FROM);
            self.set_scope(previous);
            let bound = bound?;
            let has_subquery = self.collectors.last().is_some_and(|collector| !collector.pending.is_empty());
            if has_subquery {
                // A subquery sees both sides: run it above an inner join and filter there.
                if kind != JoinKind::Inner {
                    let plan = self.outer_join(kind, left_plan, right_plan, bound, own)?;
                    return Ok(Item { plan, scope, lateral });
                }
                left_plan = join(kind, left_plan, right_plan, Vec::new(), own);
                left_plan = self.attach_pending(left_plan);
                let plan = Logical::Filter { input: Box::new(left_plan), predicates: vec![bound] };
                return Ok(Item { plan, scope, lateral });
            }
            on.push(bound);
        }
        Ok(Item { plan: join(kind, left_plan, right_plan, on, own), scope, lateral })
    }

    /// JOIN … USING: the named columns appear once, first.
    #[allow(clippy::too_many_arguments)]
    fn join_using(
        &mut self,
        kind: JoinKind,
        left: Logical,
        left_scope: Scope,
        right: Logical,
        right_scope: Scope,
        names: &[String],
        lateral: Vec<Correlation>,
    ) -> Result<(Logical, Scope)> {
        let mut merged = Vec::new();
        let mut computed = Vec::new();
        let mut on: Option<Expr> = None;
        for column in names {
            let side = |scope: &Scope, which: &str| -> Result<ScopeColumn> {
                scope.unqualified(column)?.cloned().ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!(
                            "column \"{column}\" specified in USING clause does not exist in {which} table"
                        ),
                    )
                })
            };
            let (from_left, from_right) = (side(&left_scope, "left")?, side(&right_scope, "right")?);
            self.used_columns.extend(from_left.source.into_iter().chain(from_right.source));
            let left_value = Expr::Column { index: from_left.id, data_type: from_left.data_type };
            let right_value = Expr::Column { index: from_right.id, data_type: from_right.data_type };
            let equal = self.operate_unlocated("=", Some(left_value.clone()), right_value.clone())?;
            on = Some(match on {
                None => equal,
                Some(before) => logical(true, before, equal),
            });
            let (values, data_type) = self.unify(vec![left_value, right_value], "JOIN/USING")?;
            let column = match kind {
                JoinKind::Right => from_right,
                JoinKind::Full => {
                    let id = self.column_id();
                    computed.push(Computed { id, expr: Expr::Coalesce { arguments: values, data_type } });
                    ScopeColumn { id, name: column.clone(), data_type, source: None }
                }
                _ => from_left,
            };
            merged.push(column);
        }
        let mut plan = join(kind, left, right, on.into_iter().collect(), lateral);
        if !computed.is_empty() {
            let passed = plan_columns(&left_scope, &right_scope);
            let outputs = passed.into_iter().chain(computed).collect();
            plan = Logical::Project { input: Box::new(plan), outputs };
        }
        let rest = left_scope.visible.iter().chain(&right_scope.visible);
        let rest: Vec<ScopeColumn> = rest.filter(|column| !names.contains(&column.name)).cloned().collect();
        let mut scope = left_scope;
        scope.extend(right_scope)?;
        scope.visible = merged.into_iter().chain(rest).collect();
        Ok((plan, scope))
    }

    fn bind_factor(&mut self, factor: &TableFactor, before: &Scope) -> Result<Item> {
        refuse_in_table(factor)?;
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version: None,
                sample: None,
                with_ordinality: false,
                ..
            } => self.bind_table(name, alias.as_ref()),
            TableFactor::Table { name, alias, args: None, version: None, sample: Some(sample), .. } => {
                self.bind_sampled(name, alias.as_ref(), sample)
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, version: None, .. } => {
                self.bind_table_function(name, &args.args, *with_ordinality, alias.as_ref(), before)
            }
            TableFactor::Table { name, alias, args: None, version: Some(version), sample: None, .. } => {
                self.bind_past(name, version, alias.as_ref())
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                self.bind_table_function(name, args, *with_ordinality, alias.as_ref(), before)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                self.bind_unnest(array_exprs, *with_ordinality, alias.as_ref(), before)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                self.bind_derived(*lateral, subquery, alias.as_ref(), before)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let mut item = self.bind_joined(table_with_joins, before)?;
                if let Some(alias) = alias {
                    let columns = item.scope.visible.clone();
                    item.scope = Scope::of(aliased(Some(alias), "", None, columns, Vec::new())?);
                }
                Ok(item)
            }
            other => Err(SqlError::unsupported(format!("this FROM item is not supported: {other}"))),
        }
    }

    pub(super) fn bind_table(&mut self, object: &ObjectName, alias: Option<&TableAlias>) -> Result<Item> {
        let (schema, base) = name::split(object)?;
        if schema.is_none()
            && let Some(position) = self.common_tables.iter().rposition(|common| common.name == base)
        {
            return self.bind_common_table(position, alias).map_err(|error| {
                match error.fields().position.is_none() && error.message().ends_with("RETURNING clause") {
                    true => self.locate(error, name::location(object)),
                    false => error,
                }
            });
        }
        if let Some((relation, schema, base)) = self.view_source(object)? {
            let mut item = self.bind_relation(relation, object, alias)?;
            if alias.is_none() {
                // The relation goes by the name that it had when the view was made.
                for relation in &mut item.scope.relations {
                    relation.alias.clone_from(&base);
                    relation.schema = Some(schema.clone());
                }
            }
            return Ok(item);
        }
        let relation = self.relation(object).map_err(|error| {
            if error.state() != SqlState::UNDEFINED_TABLE || !self.unreachable.contains(&base) {
                return error;
            }
            error
                .with_detail(format!(
                    "There is a WITH item named \"{base}\", but it cannot be referenced from this part of the query."
                ))
                .with_hint(
                    "Use WITH RECURSIVE, or re-order the WITH items to remove forward references.",
                )
        })?;
        self.bind_relation(relation, object, alias)
    }

    fn bind_relation(
        &mut self,
        relation: Relation,
        object: &ObjectName,
        alias: Option<&TableAlias>,
    ) -> Result<Item> {
        if !matches!(relation, Relation::Index(_)) {
            self.note_use(&relation, Rights::SELECT);
        }
        match relation {
            Relation::Stored(entry) => {
                let (plan, relation) = self.scan(&entry, alias)?;
                Ok(Item { plan, scope: Scope::of(relation), lateral: Vec::new() })
            }
            Relation::View(view) => self.bind_view(&view, alias),
            Relation::Virtual(relation) => self.bind_virtual(relation, alias),
            Relation::Sequence(entry) => self.bind_sequence(&entry, alias),
            Relation::Index(index) => {
                Err(self.locate(super::cannot_open(&index.name), name::location(object)))
            }
        }
    }

    /// A scan of a stored table with all its columns.
    pub(super) fn scan(
        &mut self,
        entry: &std::sync::Arc<TableEntry>,
        alias: Option<&TableAlias>,
    ) -> Result<(Logical, ScopeRelation)> {
        let table = &entry.table;
        let mut columns = Vec::new();
        let mut scope_columns = Vec::new();
        let known = self.known_columns(table.oid).cloned();
        for column in table.live_columns() {
            let name = match &known {
                None => Some(&column.name),
                Some(known) => {
                    let of_column = |(number, _): &&(i16, String)| *number == column.number;
                    known.columns.iter().find(of_column).map(|(_, name)| name)
                }
            };
            let Some(name) = name else { continue };
            let id = self.column_id();
            columns.push((id, column.number));
            scope_columns.push(ScopeColumn {
                id,
                name: name.clone(),
                data_type: DataType { oid: column.type_oid, typmod: column.type_modifier },
                source: Some((table.oid, column.number)),
            });
        }
        let primary_key = entry
            .determining_key()
            .iter()
            .filter_map(|number| columns.iter().find(|(_, each)| each == number).map(|(id, _)| *id))
            .collect();
        let schema = self.catalog.schema(table.schema).map(|schema| schema.name.clone());
        let mut relation = aliased(alias, &table.name, schema, scope_columns, primary_key)?;
        relation.table = Some(table.oid);
        relation.row_type = relation.table.filter(|_| entry.as_of.is_none());
        let key = relation.row_type.map(|_| self.column_id());
        relation.place = key.map_or(RowPlace::Gone, RowPlace::Key);
        self.note_special_indexes(entry);
        let plan = Logical::Table {
            table: entry.clone(),
            alias: relation.alias.clone(),
            columns,
            hidden: 0,
            key,
            filters: Vec::new(),
        };
        Ok((plan, relation))
    }

    /// Binds a table's indexes on expressions and on part of the rows, so that queries may use them.
    pub(super) fn note_special_indexes(&self, entry: &TableEntry) {
        if entry.indexes.iter().all(|index| index.is_plain()) {
            return;
        }
        entry.special_indexes.get_or_init(|| {
            let special = entry.indexes.iter().filter(|index| !index.is_plain());
            // An index that cannot be bound is not used.
            let bound = special.filter_map(|index| {
                let mut binder = Binder::new(self.catalog, self.environment, "", Vec::new());
                let writer = crate::write::index_writer(&entry.table, index, &mut binder).ok()?;
                let expressions = writer.parts.into_iter().map(|part| match part {
                    KeyPart::Column(_) => None,
                    KeyPart::Expression(expr, text) => Some((expr, text)),
                });
                Some(SpecialIndex::new(index.clone(), expressions.collect(), writer.predicate))
            });
            bound.collect()
        });
    }

    fn bind_virtual(
        &mut self,
        relation: &'static VirtualRelation,
        alias: Option<&TableAlias>,
    ) -> Result<Item> {
        let mut columns = Vec::new();
        let mut scope_columns = Vec::new();
        for (position, (column, oid)) in relation.columns.iter().enumerate() {
            let id = self.column_id();
            columns.push((id, position));
            let number = i16::try_from(position + 1).unwrap_or(0);
            scope_columns.push(ScopeColumn {
                id,
                name: (*column).to_string(),
                data_type: DataType::of(*oid),
                source: Some((relation.oid, number)),
            });
        }
        let schema = Some(relation.schema_name().to_string());
        let mut scope_relation = aliased(alias, relation.name, schema, scope_columns, Vec::new())?;
        scope_relation.table = Some(relation.oid).filter(|_| relation.kind == b'r');
        scope_relation.row_type = Some(relation.oid);
        let alias = scope_relation.alias.clone();
        let plan = Logical::Virtual { relation, alias, columns, filters: Vec::new() };
        Ok(Item { plan, scope: Scope::of(scope_relation), lateral: Vec::new() })
    }

    /// A sequence as a relation: one row that says how far it has counted.
    fn bind_sequence(
        &mut self,
        entry: &std::sync::Arc<SequenceEntry>,
        alias: Option<&TableAlias>,
    ) -> Result<Item> {
        let sequence = &entry.sequence;
        let mut outputs = Vec::new();
        let mut scope_columns = Vec::new();
        let columns =
            [("last_value", DataType::INT8), ("log_cnt", DataType::INT8), ("is_called", DataType::BOOL)];
        for (number, (column, data_type)) in (0..).zip(columns) {
            let arguments = vec![
                super::literal::constant(Datum::Oid(sequence.oid), DataType::REGCLASS),
                super::literal::constant(Datum::Int32(number), DataType::INT4),
            ];
            let mut expr = self.call_named("pg_sequence_position", arguments)?;
            if data_type == DataType::BOOL {
                let one = super::literal::constant(Datum::Int64(1), DataType::INT8);
                expr = self.operate_unlocated("=", Some(expr), one)?;
            }
            let id = self.column_id();
            outputs.push(Computed { id, expr });
            let source = Some((sequence.oid, i16::try_from(number + 1).unwrap_or(0)));
            scope_columns.push(ScopeColumn { id, name: column.to_string(), data_type, source });
        }
        let schema = self.catalog.schema(sequence.schema).map(|schema| schema.name.clone());
        let relation = aliased(alias, &sequence.name, schema, scope_columns, Vec::new())?;
        let plan = Logical::Project { input: Box::new(Logical::one_row()), outputs };
        Ok(Item { plan, scope: Scope::of(relation), lateral: Vec::new() })
    }

    fn bind_derived(
        &mut self,
        lateral: bool,
        query: &ast::Query,
        alias: Option<&TableAlias>,
        before: &Scope,
    ) -> Result<Item> {
        let previous = self.levels.last().map(|level| level.scope.clone()).unwrap_or_default();
        self.set_scope(if lateral { before.clone() } else { Scope::default() });
        let bound = self.bind_inner(query);
        self.set_scope(previous);
        let (bound, correlations) = bound.map_err(|error| unless_lateral(error, lateral, before))?;
        let bound = self.settle_columns(bound)?;
        let Some(alias) = alias else {
            let error = match query.body.as_ref() {
                ast::SetExpr::Values(_) => SqlError::syntax("VALUES in FROM must have an alias")
                    .with_hint("For example, FROM (VALUES ...) [AS] foo."),
                _ => SqlError::syntax("subquery in FROM must have an alias")
                    .with_hint("For example, FROM (SELECT ...) [AS] foo."),
            };
            return Err(match self.position_of_query(query) {
                Some(position) => error.at(position),
                None => error,
            });
        };
        let columns = bound
            .columns
            .iter()
            .map(|(id, column)| ScopeColumn {
                id: *id,
                name: column.name.clone(),
                data_type: column.data_type,
                source: column.source,
            })
            .collect();
        let relation = aliased(Some(alias), "", None, columns, Vec::new())?;
        Ok(Item { plan: bound.plan, scope: Scope::of(relation), lateral: correlations })
    }
}

pub(super) fn join(
    kind: JoinKind,
    left: Logical,
    right: Logical,
    on: Vec<Expr>,
    lateral: Vec<Correlation>,
) -> Logical {
    Logical::Join { kind, left: Box::new(left), right: Box::new(right), on, lateral }
}

/// All columns of two scopes, passed on as they are.
fn plan_columns(left: &Scope, right: &Scope) -> Vec<Computed> {
    let relations = left.relations.iter().chain(&right.relations);
    let mut columns: Vec<&ScopeColumn> = relations.flat_map(|relation| &relation.columns).collect();
    columns.extend(left.visible.iter().chain(&right.visible));
    let keys = left.relations.iter().chain(&right.relations).filter_map(|relation| match relation.place {
        RowPlace::Key(id) => Some((id, DataType::BYTEA)),
        _ => None,
    });
    let mut outputs: Vec<Computed> = Vec::new();
    for (id, data_type) in columns.into_iter().map(|column| (column.id, column.data_type)).chain(keys) {
        if outputs.iter().all(|output| output.id != id) {
            outputs.push(Computed { id, expr: Expr::Column { index: id, data_type } });
        }
    }
    outputs
}

/// A table beside a subquery is not to be seen from it, unless the subquery is LATERAL: says so.
fn unless_lateral(error: SqlError, lateral: bool, before: &Scope) -> SqlError {
    if lateral {
        return error;
    }
    for relation in &before.relations {
        let alias = &relation.alias;
        if error.message() == format!("missing FROM-clause entry for table \"{alias}\"") {
            return error
                .with_message(format!("invalid reference to FROM-clause entry for table \"{alias}\""))
                .with_hint(format!(
                    "There is an entry for table \"{alias}\", but it cannot be referenced from this part of the query."
                ));
        }
        let is_named = |name: &str| error.message() == format!("column \"{name}\" does not exist");
        if let Some(column) = relation.columns.iter().find(|column| is_named(&column.name)) {
            let name = &column.name;
            return error.with_hint(format!(
                "There is a column named \"{name}\" in table \"{alias}\", but it cannot be referenced from this part of the query."
            ));
        }
    }
    error
}

/// A relation under its alias, with its columns renamed as the alias says.
pub(super) fn aliased(
    alias: Option<&TableAlias>,
    base: &str,
    schema: Option<String>,
    mut columns: Vec<ScopeColumn>,
    primary_key: Vec<usize>,
) -> Result<ScopeRelation> {
    let Some(alias) = alias else {
        return Ok(ScopeRelation {
            alias: base.to_string(),
            schema,
            columns,
            primary_key,
            table: None,
            place: RowPlace::Nowhere,
            row_type: None,
            is_optional: false,
        });
    };
    let alias_name = name::fold(&alias.name);
    if alias.columns.len() > columns.len() {
        return Err(SqlError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "table \"{alias_name}\" has {} columns available but {} columns specified",
                columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, renamed) in columns.iter_mut().zip(&alias.columns) {
        column.name = name::fold(&renamed.name);
    }
    Ok(ScopeRelation {
        alias: alias_name,
        schema: None,
        columns,
        primary_key,
        table: None,
        place: RowPlace::Nowhere,
        row_type: None,
        is_optional: false,
    })
}
