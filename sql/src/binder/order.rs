//! ORDER BY and LIMIT.

use sqlparser::ast::{self, OrderByOptions, OrderBySort};

use super::{AggregatesIn, Binder, BoundQuery};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::CastContext;
use crate::plan::logical::{Computed, Correlation, JoinKind, Logical, SortKey};
use crate::types::domain::base_type;
use crate::types::{DataType, format_type, oids};

/// A key with its direction: NULLs are the greatest values unless said otherwise.
pub(super) fn sort_key(binder: &Binder<'_>, expr: Expr, options: &OrderByOptions) -> Result<SortKey> {
    let descending = match &options.sort {
        None | Some(OrderBySort::Asc) => false,
        Some(OrderBySort::Desc) => true,
        Some(OrderBySort::Using(operator)) => match operator.to_string().as_str() {
            "<" => false,
            ">" => true,
            other => {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("operator {other} is not a valid ordering operator"),
                ));
            }
        },
    };
    binder.require_order(expr.data_type())?;
    Ok(SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) })
}

/// What a query's rows are ordered by.
fn ties_of(plan: &Logical) -> Result<Vec<Expr>> {
    match plan {
        Logical::Sort { keys, .. } => Ok(keys.iter().map(|key| key.expr.clone()).collect()),
        Logical::Distinct { input, .. } | Logical::Lock { input, .. } => ties_of(input),
        Logical::Project { input, outputs }
            if matches!(**input, Logical::Sort { .. })
                && outputs.iter().any(|output| crate::plan::walk::is_volatile(&output.expr)) =>
        {
            ties_of(input)
        }
        _ => Err(SqlError::syntax("WITH TIES cannot be specified without ORDER BY clause")),
    }
}

/// The first rows of a plan. What varies from call to call is computed for those that are left alone.
fn limited(plan: Logical, limit: Option<Expr>, offset: Option<Expr>, ties: Vec<Expr>) -> Logical {
    match plan {
        Logical::Project { input, outputs }
            if outputs.iter().any(|output| crate::plan::walk::is_volatile(&output.expr)) =>
        {
            Logical::Project { input: Box::new(Logical::Limit { input, limit, offset, ties }), outputs }
        }
        plan => Logical::Limit { input: Box::new(plan), limit, offset, ties },
    }
}

impl Binder<'_> {
    /// Whether values of a type can be compared at all.
    fn is_comparable(&self, data_type: DataType) -> bool {
        let base = base_type(data_type.oid, &self.types());
        self.element_of(data_type).unwrap_or(base) != oids::JSON
    }

    /// Values that are sorted need an order.
    ///
    /// # Errors
    /// 42883.
    fn require_order(&self, data_type: DataType) -> Result<()> {
        if self.is_comparable(data_type) {
            return Ok(());
        }
        let name = format_type(data_type, &self.types());
        Err(SqlError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("could not identify an ordering operator for type {name}"),
        )
        .with_hint("Use an explicit ordering operator or modify the query."))
    }

    /// Values that are grouped or told apart need an equality.
    ///
    /// # Errors
    /// 42883.
    pub(super) fn require_equality(&self, data_type: DataType) -> Result<()> {
        if self.is_comparable(data_type) {
            return Ok(());
        }
        let name = format_type(data_type, &self.types());
        Err(SqlError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("could not identify an equality operator for type {name}"),
        ))
    }
}

/// The expressions of ORDER BY.
pub(super) fn expressions(order_by: Option<&ast::OrderBy>) -> Result<&[ast::OrderByExpr]> {
    match order_by.map(|order_by| &order_by.kind) {
        None => Ok(&[]),
        Some(ast::OrderByKind::Expressions(keys)) => Ok(keys),
        Some(ast::OrderByKind::All(_)) => Err(SqlError::syntax("syntax error at or near \"ALL\"")),
    }
}

impl Binder<'_> {
    /// Puts LIMIT, OFFSET and FETCH on top of a plan.
    pub(super) fn bind_limit(&mut self, bound: BoundQuery, query: &ast::Query) -> Result<BoundQuery> {
        let BoundQuery { plan, columns } = bound;
        let (mut limit, mut offset, mut with_ties) = (None, None, false);
        match &query.limit_clause {
            None => {}
            Some(ast::LimitClause::LimitOffset { limit: count, offset: start, .. }) => {
                limit = count.as_ref();
                offset = start.as_ref().map(|start| &start.value);
            }
            Some(ast::LimitClause::OffsetCommaLimit { .. }) => {
                return Err(SqlError::syntax("LIMIT #,# syntax is not supported")
                    .with_hint("Use separate LIMIT and OFFSET clauses."));
            }
        }
        let one = ast::Expr::Value(ast::Value::Number("1".into(), false).with_empty_span());
        if let Some(fetch) = &query.fetch {
            if fetch.percent {
                return Err(SqlError::syntax("syntax error at or near \"PERCENT\""));
            }
            with_ties = fetch.with_ties;
            limit = fetch.quantity.as_ref().or(limit).or(Some(&one));
        }
        if limit.is_none() && offset.is_none() {
            return Ok(BoundQuery { plan, columns });
        }
        if with_ties && query.locks.iter().any(|lock| lock.nonblock == Some(ast::NonBlock::SkipLocked)) {
            return Err(SqlError::unsupported("SKIP LOCKED and WITH TIES options cannot be used together"));
        }
        if with_ties
            && let Some(ast::Expr::Value(value)) = limit
            && value.value == ast::Value::Null
        {
            return Err(SqlError::new(
                SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                "row count cannot be null in FETCH FIRST ... WITH TIES clause",
            ));
        }
        let others = self.take_pending();
        self.set_aggregates_in(AggregatesIn::Forbidden("LIMIT"));
        let limit = limit.map(|expr| self.bind_row_count(expr, "LIMIT")).transpose()?;
        self.set_aggregates_in(AggregatesIn::Forbidden("OFFSET"));
        let offset = offset.map(|expr| self.bind_row_count(expr, "OFFSET")).transpose()?;
        let ties = if with_ties { ties_of(&plan)? } else { Vec::new() };
        let counting = self.take_pending();
        if let Some(collector) = self.collectors.last_mut() {
            collector.pending = others;
        }
        if counting.is_empty() {
            let plan = limited(plan, limit, offset, ties);
            return Ok(BoundQuery { plan, columns });
        }
        let mut counts = Vec::new();
        let mut lateral = Vec::new();
        let mut from_outside = |expr: Expr| {
            let (column, slot) = (self.column_id(), self.next_slot);
            self.next_slot += 1;
            let data_type = expr.data_type();
            counts.push(Computed { id: column, expr });
            lateral.push(Correlation { slot, column });
            Expr::Outer { index: slot, data_type }
        };
        let limit = limit.map(&mut from_outside);
        let offset = offset.map(&mut from_outside);
        // The counts are a row, beside which the rows are read that they count.
        let one_row = Logical::Values { columns: Vec::new(), rows: vec![Vec::new()] };
        let input = Box::new(super::subquery::attach(one_row, counting));
        let join = Logical::Join {
            kind: JoinKind::Inner,
            left: Box::new(Logical::Project { input, outputs: counts }),
            right: Box::new(limited(plan, limit, offset, ties)),
            on: Vec::new(),
            lateral,
        };
        let own = columns.iter().map(|(id, column)| {
            let expr = Expr::Column { index: *id, data_type: column.data_type };
            Computed { id: *id, expr }
        });
        let plan = Logical::Project { input: Box::new(join), outputs: own.collect() };
        Ok(BoundQuery { plan, columns })
    }

    fn bind_row_count(&mut self, expr: &ast::Expr, clause: &str) -> Result<Expr> {
        // LIMIT ALL is parsed as no limit, LIMIT NULL means the same.
        // Columns of queries outside may be read, this one's may not.
        let own = self.levels.last_mut().map(std::mem::take);
        let bound = self.bind(expr);
        if let (Some(mut own), Some(level)) = (own, self.levels.last_mut()) {
            own.correlations.append(&mut level.correlations);
            *level = own;
        }
        let bound = match bound {
            Err(error) if error.state() == SqlState::UNDEFINED_COLUMN => {
                let message = format!("argument of {clause} must not contain variables");
                let variable = SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message);
                return Err(match error.fields().position {
                    Some(position) => variable.at(position),
                    None => variable,
                });
            }
            other => other?,
        };
        if bound.data_type().oid == oids::UNKNOWN {
            return self.coerce(bound, DataType::INT8, CastContext::Implicit);
        }
        self.coerce(bound, DataType::INT8, CastContext::Assignment)
    }
}
