//! Queries: WITH, set operations, VALUES, and what stands behind them.

use sqlparser::ast::{self, Query, SetExpr, SetOperator, SetQuantifier};
use sqlparser::tokenizer::Location;

use super::order::{self, sort_key};
use super::scope::{Level, RowPlace, Scope, ScopeColumn, ScopeRelation};
use super::{AggregatesIn, Binder, BoundQuery, Collector, QUERY_DEPTH_MAX, ResultColumn, name, too_deep};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::CastContext;
use crate::parser;
use crate::plan::logical::{ColumnId, Computed, Logical, RowLocking, SetKind, SortKey};
use crate::types::{DataType, oids};

/// Runs of the same set operation with more members than this are put together pair by pair.
const BALANCED_FROM: usize = 16;

/// Queries that the same set operation puts together, whose columns are of the same types.
struct Run {
    /// Which one, and whether it says ALL; `None` as long as there is one query.
    operation: Option<(SetKind, bool)>,
    members: Vec<BoundQuery>,
}

impl Run {
    fn of(query: BoundQuery) -> Run {
        Run { operation: None, members: vec![query] }
    }

    /// Whether one more query may join those that are here.
    fn goes_on_with(&self, kind: SetKind, all: bool, wanted: &[DataType]) -> bool {
        let types = self.members[0].columns.iter().map(|(_, column)| column.data_type);
        self.operation == Some((kind, all)) && types.eq(wanted.iter().copied())
    }
}

impl Binder<'_> {
    /// Binds a whole statement that is a query.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_query(&mut self, query: &Query) -> Result<BoundQuery> {
        let (mut bound, _) = self.bind_inner(query)?;
        bound = self.settle_columns(bound)?;
        Ok(bound)
    }

    /// Result columns of unknown type are text.
    pub(super) fn settle_columns(&mut self, bound: BoundQuery) -> Result<BoundQuery> {
        if bound.columns.iter().all(|(_, column)| column.data_type.oid != oids::UNKNOWN) {
            return Ok(bound);
        }
        let wanted: Vec<DataType> = bound
            .columns
            .iter()
            .map(
                |(_, column)| {
                    if column.data_type.oid == oids::UNKNOWN { DataType::TEXT } else { column.data_type }
                },
            )
            .collect();
        self.convert_columns(bound, &wanted, CastContext::Implicit)
    }

    /// Converts a query's columns to the wanted types.
    pub(super) fn convert_columns(
        &mut self,
        bound: BoundQuery,
        wanted: &[DataType],
        context: CastContext,
    ) -> Result<BoundQuery> {
        let BoundQuery { plan, columns } = bound;
        if columns.iter().zip(wanted).all(|((_, column), wanted)| column.data_type == *wanted) {
            return Ok(BoundQuery { plan, columns });
        }
        // Constants convert where they stand.
        let (plan, mut current) = match plan {
            Logical::Values { columns: ids, rows } => self.convert_values(ids, rows, wanted, context)?,
            Logical::Project { input, outputs } => {
                self.convert_projection(*input, outputs, &columns, wanted, context)?
            }
            plan => (plan, columns.iter().map(|(id, column)| (*id, column.data_type)).collect()),
        };
        let mut outputs = Vec::new();
        let mut changed = false;
        for ((id, data_type), wanted) in current.iter_mut().zip(wanted) {
            let expr = Expr::Column { index: *id, data_type: *data_type };
            if data_type == wanted {
                outputs.push(Computed { id: *id, expr });
                continue;
            }
            changed = true;
            let expr = self.coerce(expr, *wanted, context)?;
            *id = self.column_id();
            *data_type = *wanted;
            outputs.push(Computed { id: *id, expr });
        }
        let plan = if changed { Logical::Project { input: Box::new(plan), outputs } } else { plan };
        let columns = columns
            .into_iter()
            .zip(current)
            .map(|((_, column), (id, data_type))| (id, ResultColumn { data_type, ..column }))
            .collect();
        Ok(BoundQuery { plan, columns })
    }

    #[allow(clippy::type_complexity)]
    fn convert_values(
        &mut self,
        ids: Vec<(ColumnId, DataType)>,
        rows: Vec<Vec<Expr>>,
        wanted: &[DataType],
        context: CastContext,
    ) -> Result<(Logical, Vec<(ColumnId, DataType)>)> {
        let mut converted = Vec::new();
        for row in rows {
            let mut fields = Vec::new();
            for (field, wanted) in row.into_iter().zip(wanted) {
                fields.push(self.coerce(field, *wanted, context)?);
            }
            converted.push(fields);
        }
        let columns: Vec<(ColumnId, DataType)> =
            ids.into_iter().zip(wanted).map(|((id, _), wanted)| (id, *wanted)).collect();
        Ok((Logical::Values { columns: columns.clone(), rows: converted }, columns))
    }

    #[allow(clippy::type_complexity)]
    fn convert_projection(
        &mut self,
        input: Logical,
        outputs: Vec<Computed>,
        columns: &[(ColumnId, ResultColumn)],
        wanted: &[DataType],
        context: CastContext,
    ) -> Result<(Logical, Vec<(ColumnId, DataType)>)> {
        let mut current: Vec<(ColumnId, DataType)> =
            columns.iter().map(|(id, column)| (*id, column.data_type)).collect();
        let mut converted = Vec::new();
        for output in outputs {
            let place = current.iter().position(|(id, _)| *id == output.id);
            // Only what has no type yet is converted in place: it is a literal or a parameter.
            if let Some(place) = place
                && output.expr.data_type().oid == oids::UNKNOWN
            {
                let expr = self.coerce(output.expr, wanted[place], context)?;
                current[place].1 = wanted[place];
                converted.push(Computed { id: output.id, expr });
            } else {
                converted.push(output);
            }
        }
        Ok((Logical::Project { input: Box::new(input), outputs: converted }, current))
    }

    /// Binds a query whose level the caller has pushed.
    pub(super) fn bind_query_at_level(&mut self, query: &Query) -> Result<BoundQuery> {
        parser::refuse_in_query(query)?;
        let common_before = self.common_tables.len();
        if let Some(with) = &query.with {
            self.bind_with(with, query)?;
        }
        self.collectors.push(Collector::new(AggregatesIn::Query, &self.levels));
        let bound = self.bind_body(query);
        self.collectors.pop();
        self.common_tables.truncate(common_before);
        bound
    }

    fn bind_body(&mut self, query: &Query) -> Result<BoundQuery> {
        let keys = order::expressions(query.order_by.as_ref())?;
        let locking = &locking(&query.locks)?;
        let bound = match query.body.as_ref() {
            SetExpr::Select(select) => self.bind_select(select, keys, locking)?,
            SetExpr::Query(inner) => {
                let inner = self.bind_query_at_level(inner)?;
                self.order_by_output(inner, keys)?
            }
            body => {
                if let [LockingClause { locking: first, .. }, ..] = locking.as_slice() {
                    let words = lock_words(first.mode);
                    let what = match body {
                        SetExpr::Values(_) => "cannot be applied to VALUES",
                        _ => "is not allowed with UNION/INTERSECT/EXCEPT",
                    };
                    return Err(SqlError::unsupported(format!("{words} {what}")));
                }
                let inner = self.bind_set_expr(body)?;
                self.order_by_output(inner, keys)?
            }
        };
        self.bind_limit(bound, query)
    }

    pub(super) fn bind_set_expr(&mut self, body: &SetExpr) -> Result<BoundQuery> {
        match body {
            SetExpr::Select(select) => self.branch(|binder| binder.bind_select(select, &[], &[])),
            SetExpr::Query(query) => self.branch(|binder| binder.bind_query_at_level(query)),
            SetExpr::Values(values) => self.bind_values(values),
            SetExpr::SetOperation { .. } => self.deeper(|binder| binder.bind_set_operations(body)),
            SetExpr::Table(table) => {
                let parts = [table.schema_name.clone(), table.table_name.clone()];
                let parts: Vec<ast::Ident> = parts.into_iter().flatten().map(ast::Ident::new).collect();
                let object = ast::ObjectName::from(parts);
                let text = format!("SELECT * FROM {object}");
                match crate::parser::parse(&text)?.pop().map(|statement| statement.kind) {
                    Some(crate::parser::StatementKind::Sql(statement)) => match *statement {
                        ast::Statement::Query(query) => {
                            self.branch(|binder| binder.bind_query_at_level(&query))
                        }
                        _ => Err(SqlError::internal("TABLE is a query")),
                    },
                    _ => Err(SqlError::internal("TABLE is a query")),
                }
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(SqlError::syntax("a data-modifying statement stands where a query is wanted"))
            }
        }
    }

    /// A branch of a set operation has names of its own.
    fn branch(&mut self, bind: impl FnOnce(&mut Self) -> Result<BoundQuery>) -> Result<BoundQuery> {
        self.levels.push(Level::default());
        self.collectors.push(Collector::new(AggregatesIn::Query, &self.levels));
        let bound = bind(self);
        self.collectors.pop();
        let level = self.levels.pop().unwrap_or_default();
        // What a branch reads of the query around the set operation, the set operation reads.
        if let Some(outer) = self.levels.last_mut() {
            outer.correlations.extend(level.correlations);
        }
        bound
    }

    /// Binds a chain of set operations, which is a list that goes down the left side of the tree.
    fn bind_set_operations(&mut self, chain: &SetExpr) -> Result<BoundQuery> {
        let mut steps = Vec::new();
        let mut first = chain;
        while let SetExpr::SetOperation { left, op, set_quantifier, right } = first {
            steps.push((*op, *set_quantifier, right.as_ref()));
            first = left;
        }
        let mut run = Run::of(self.bind_set_expr(first)?);
        let mut depth = self.depth;
        for (op, quantifier, right) in steps.into_iter().rev() {
            crate::watch::check()?;
            let (kind, word) = match op {
                SetOperator::Union => (SetKind::Union, "UNION"),
                SetOperator::Intersect => (SetKind::Intersect, "INTERSECT"),
                SetOperator::Except | SetOperator::Minus => (SetKind::Except, "EXCEPT"),
            };
            let all = quantifier == SetQuantifier::All;
            let place = first_output(right);
            let right = self.bind_set_expr(right)?;
            let wanted = self.common_columns(&run, &right, (all, word), place)?;
            if !run.goes_on_with(kind, all, &wanted) {
                depth += 1;
                if depth > QUERY_DEPTH_MAX {
                    return Err(too_deep());
                }
                let whole = self.united(run)?;
                run = Run::of(self.convert_columns(whole, &wanted, CastContext::Implicit)?);
                run.operation = Some((kind, all));
            }
            run.members.push(self.convert_columns(right, &wanted, CastContext::Implicit)?);
        }
        self.united(run)
    }

    /// The types of the columns of a set operation of what there is and one query more.
    fn common_columns(
        &mut self,
        run: &Run,
        right: &BoundQuery,
        (all, word): (bool, &str),
        place: Location,
    ) -> Result<Vec<DataType>> {
        let left = &run.members[0].columns;
        if left.len() != right.columns.len() {
            let error = SqlError::syntax(format!("each {word} query must have the same number of columns"));
            return Err(self.locate(error, place));
        }
        let mut wanted = Vec::new();
        for ((_, left), (_, right)) in left.iter().zip(&right.columns) {
            let exprs =
                [left.data_type, right.data_type].map(|data_type| Expr::Column { index: 0, data_type });
            wanted.push(self.common(&exprs, word)?);
        }
        if !all {
            wanted.iter().try_for_each(|data_type| self.require_equality(*data_type))?;
        }
        Ok(wanted)
    }

    /// The members of a run as one query: one after the other, or, where they are many, as a tree that is not deep.
    fn united(&mut self, run: Run) -> Result<BoundQuery> {
        let Run { operation, mut members } = run;
        let Some((kind, all)) = operation else {
            return members.pop().ok_or_else(|| SqlError::internal("a set operation of nothing"));
        };
        if kind == SetKind::Except && members.len() > BALANCED_FROM {
            // What is taken away piece by piece is taken away together.
            let taken = Run { operation: Some((SetKind::Union, all)), members: members.split_off(1) };
            members.push(self.united(taken)?);
        }
        while members.len() > BALANCED_FROM {
            let mut pairs = Vec::with_capacity(members.len().div_ceil(2));
            let mut rest = members.into_iter();
            while let Some(left) = rest.next() {
                pairs.push(match rest.next() {
                    Some(right) => self.unite(kind, all, left, right),
                    None => left,
                });
            }
            members = pairs;
        }
        let mut members = members.into_iter();
        let first = members.next().ok_or_else(|| SqlError::internal("a set operation of nothing"))?;
        Ok(members.fold(first, |left, right| self.unite(kind, all, left, right)))
    }

    fn unite(&mut self, kind: SetKind, all: bool, left: BoundQuery, right: BoundQuery) -> BoundQuery {
        let (left_plan, right_plan) = (narrow(&left), narrow(&right));
        let mut ids = Vec::new();
        let mut columns = Vec::new();
        for (_, column) in left.columns {
            let id = self.column_id();
            ids.push((id, column.data_type));
            columns.push((id, ResultColumn { source: None, ..column }));
        }
        let (left, right) = (Box::new(left_plan), Box::new(right_plan));
        BoundQuery { plan: Logical::SetOperation { kind, all, left, right, columns: ids }, columns }
    }

    pub(super) fn bind_values(&mut self, values: &ast::Values) -> Result<BoundQuery> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows: Vec<Vec<Expr>> = Vec::new();
        self.set_aggregates_in(AggregatesIn::Forbidden("VALUES"));
        for row in &values.rows {
            if row.content.len() != width {
                let error = SqlError::syntax("VALUES lists must all be the same length");
                return Err(match row.content.first() {
                    Some(first) => self.locate(error, ast::Spanned::span(first).start),
                    None => error,
                });
            }
            let fields: Result<Vec<Expr>> = row.content.iter().map(|field| self.bind(field)).collect();
            rows.push(fields?);
        }
        let input = self.attach_pending(Logical::one_row());
        let mut ids = Vec::new();
        let mut columns = Vec::new();
        for position in 0..width {
            let exprs: Vec<Expr> = rows.iter().map(|row| row[position].clone()).collect();
            let data_type = if exprs.iter().all(|expr| expr.data_type().oid == oids::UNKNOWN) {
                DataType::UNKNOWN
            } else {
                self.common(&exprs, "VALUES")?
            };
            if data_type.oid != oids::UNKNOWN {
                for row in &mut rows {
                    let field = std::mem::replace(
                        &mut row[position],
                        super::literal::unknown(crate::value::Datum::Null),
                    );
                    row[position] = self.coerce(field, data_type, CastContext::Implicit)?;
                }
            }
            let id = self.column_id();
            ids.push((id, data_type));
            columns.push((
                id,
                ResultColumn { name: format!("column{}", position + 1), data_type, source: None },
            ));
        }
        let plan = match (&input, rows.len()) {
            (Logical::Values { .. }, _) => Logical::Values { columns: ids, rows },
            _ => self.rows_above(&input, &ids, rows),
        };
        Ok(BoundQuery { plan, columns })
    }

    /// Rows whose fields read what subqueries gave: each is a projection above its own.
    pub(super) fn rows_above(
        &mut self,
        input: &Logical,
        columns: &[(ColumnId, DataType)],
        rows: Vec<Vec<Expr>>,
    ) -> Logical {
        let count = rows.len();
        let mut whole: Option<Logical> = None;
        for (index, row) in rows.into_iter().enumerate() {
            let is_only = count == 1;
            let ids: Vec<ColumnId> =
                columns.iter().map(|(id, _)| if is_only { *id } else { self.column_id() }).collect();
            let outputs = ids.into_iter().zip(row).map(|(id, expr)| Computed { id, expr }).collect();
            let plan = Logical::Project { input: Box::new(input.clone()), outputs };
            whole = Some(match whole {
                None => plan,
                Some(before) => {
                    let is_last = index + 1 == count;
                    let fresh = |(id, data_type): &(ColumnId, DataType)| {
                        (if is_last { *id } else { self.column_id() }, *data_type)
                    };
                    let columns = columns.iter().map(fresh).collect();
                    let (left, right) = (Box::new(before), Box::new(plan));
                    Logical::SetOperation { kind: SetKind::Union, all: true, left, right, columns }
                }
            });
        }
        whole.unwrap_or_else(Logical::one_row)
    }

    /// ORDER BY over a set operation or VALUES: only output columns may be named.
    fn order_by_output(&mut self, bound: BoundQuery, keys: &[ast::OrderByExpr]) -> Result<BoundQuery> {
        if keys.is_empty() {
            return Ok(bound);
        }
        let columns: Vec<ScopeColumn> = bound
            .columns
            .iter()
            .map(|(id, column)| ScopeColumn {
                id: *id,
                name: column.name.clone(),
                data_type: column.data_type,
                source: None,
            })
            .collect();
        let relation = ScopeRelation {
            alias: String::new(),
            schema: None,
            columns,
            primary_key: Vec::new(),
            table: None,
            place: RowPlace::Nowhere,
            row_type: None,
            is_optional: false,
        };
        self.set_scope(Scope::of(relation));
        let mut sort_keys = Vec::new();
        for key in keys {
            sort_keys.push(self.output_key(key, &bound.columns)?);
        }
        let plan = Logical::Sort { input: Box::new(bound.plan), keys: sort_keys };
        Ok(BoundQuery { plan, columns: bound.columns })
    }

    fn output_key(
        &mut self,
        key: &ast::OrderByExpr,
        columns: &[(ColumnId, ResultColumn)],
    ) -> Result<SortKey> {
        if let Some(position) = ordinal(&key.expr)? {
            let (id, column) = self.ordinal_column(position, columns, &key.expr, "ORDER BY")?;
            return sort_key(self, Expr::Column { index: id, data_type: column.data_type }, &key.options);
        }
        let expr = self.bind_settled(&key.expr)?;
        if !matches!(expr, Expr::Column { .. }) {
            return Err(SqlError::unsupported("invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
                .with_detail("Only result column names can be used, not expressions or functions.")
                .with_hint(
                    "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                ));
        }
        sort_key(self, expr, &key.options)
    }

    /// The column that a number in ORDER BY or GROUP BY means.
    pub(super) fn ordinal_column<'c>(
        &self,
        position: i64,
        columns: &'c [(ColumnId, ResultColumn)],
        at: &ast::Expr,
        clause: &str,
    ) -> Result<(ColumnId, &'c ResultColumn)> {
        let index = usize::try_from(position - 1).ok().and_then(|index| columns.get(index));
        index.map(|(id, column)| (*id, column)).ok_or_else(|| {
            let error = SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("{clause} position {position} is not in select list"),
            );
            self.locate(error, ast::Spanned::span(at).start)
        })
    }
}

/// A plan with a query's columns alone, in their order.
pub(super) fn narrow(bound: &BoundQuery) -> Logical {
    let wanted: Vec<ColumnId> = bound.columns.iter().map(|(id, _)| *id).collect();
    if bound.plan.outputs() == wanted {
        return bound.plan.clone();
    }
    let outputs = bound
        .columns
        .iter()
        .map(|(id, column)| Computed {
            id: *id,
            expr: Expr::Column { index: *id, data_type: column.data_type },
        })
        .collect();
    Logical::Project { input: Box::new(bound.plan.clone()), outputs }
}

/// The number, where an ORDER BY or GROUP BY item is one.
pub(super) fn ordinal(expr: &ast::Expr) -> Result<Option<i64>> {
    let ast::Expr::Value(value) = expr else { return Ok(None) };
    match &value.value {
        ast::Value::Number(digits, _) => match digits.parse() {
            Ok(position) => Ok(Some(position)),
            Err(_) => Err(SqlError::syntax("non-integer constant in ORDER BY")),
        },
        _ => Ok(None),
    }
}

/// Where the first column of a query's result stands.
fn first_output(query: &SetExpr) -> Location {
    output_place(query, 0)
}

/// Where a column of a query's result stands.
pub(super) fn output_place(query: &SetExpr, at: usize) -> Location {
    let place = |expr: Option<&ast::Expr>| expr.map_or(Location::empty(), super::expression::start_of);
    match query {
        SetExpr::Select(select) => match select.projection.get(at) {
            None => Location::empty(),
            Some(ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }) => {
                place(Some(expr))
            }
            Some(output) => ast::Spanned::span(output).start,
        },
        SetExpr::Query(query) => output_place(&query.body, at),
        SetExpr::SetOperation { left, .. } => output_place(left, at),
        SetExpr::Values(values) => place(values.rows.first().and_then(|row| row.content.get(at))),
        other => ast::Spanned::span(other).start,
    }
}

/// A locking clause.
pub(super) struct LockingClause {
    /// The relation that it is for, where it names one, and where that stands.
    pub relation: Option<(String, Location)>,
    pub locking: RowLocking,
}

fn locking(locks: &[ast::LockClause]) -> Result<Vec<LockingClause>> {
    use helios_mvcc::LockMode;
    let mut clauses = Vec::new();
    for lock in locks {
        let mut parts: &[ast::ObjectNamePart] = lock.of.as_ref().map_or(&[], |object| &object.0);
        let weaker = parts.first().and_then(|part| part.as_ident()).and_then(parser::marked);
        if weaker.is_some() {
            parts = &parts[1..];
        }
        let mode = match (&lock.lock_type, weaker) {
            (ast::LockType::Share, Some(_)) => LockMode::KeyShare,
            (ast::LockType::Share, None) => LockMode::Share,
            (ast::LockType::Update, Some(_)) => LockMode::NoKeyUpdate,
            (ast::LockType::Update, None) => LockMode::Update,
        };
        let relation = match parts {
            [] => None,
            _ => match name::split(&ast::ObjectName(parts.to_vec()))? {
                (None, relation) => Some((relation, name::location(&ast::ObjectName(parts.to_vec())))),
                (Some(_), _) => {
                    return Err(SqlError::syntax(format!(
                        "{} must specify unqualified relation names",
                        lock_words(mode)
                    )));
                }
            },
        };
        let nowait = lock.nonblock == Some(ast::NonBlock::Nowait);
        let skip_locked = lock.nonblock == Some(ast::NonBlock::SkipLocked);
        clauses.push(LockingClause { relation, locking: RowLocking { mode, nowait, skip_locked } });
    }
    Ok(clauses)
}

/// What a locking clause begins with.
pub fn lock_words(mode: helios_mvcc::LockMode) -> &'static str {
    use helios_mvcc::LockMode;
    match mode {
        LockMode::KeyShare => "FOR KEY SHARE",
        LockMode::Share => "FOR SHARE",
        LockMode::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockMode::Update => "FOR UPDATE",
    }
}
