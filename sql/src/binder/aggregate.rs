//! Aggregate calls and what grouping allows.

use sqlparser::ast::{self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause};

use super::scope::RowPlace;
use super::{AggregatesIn, Binder};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, registry};
use crate::plan::logical::{AggregateCall, ColumnId, Computed, SortKey};
use crate::plan::walk;
use crate::types::{DataType, oids};

impl Binder<'_> {
    /// Binds an aggregate call; `None` where no aggregate takes such arguments but a function may.
    pub(super) fn bind_aggregate(&mut self, function: &ast::Function, base: &str) -> Result<Option<Expr>> {
        let ast::FunctionArguments::List(list) = &function.args else { return Ok(None) };
        let allowed = self.collectors.last().map(|collector| collector.aggregates_in);
        let star = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        self.set_aggregates_in(AggregatesIn::Aggregate);
        let pending = self.collectors.last().map_or(0, |collector| collector.pending.len());
        let read_before = self.note_outer_reads();
        let bound = self.bind_aggregate_parts(function, list, base, star);
        let outer = match &bound {
            Ok(Some(call)) => self.outer_level_of(call, pending),
            _ => None,
        };
        self.end_outer_reads(read_before, outer.is_none());
        if let Some(allowed) = allowed {
            self.set_aggregates_in(allowed);
        }
        if let Some(level) = outer {
            if let Some(collector) = self.collectors.last_mut() {
                collector.pending.truncate(pending);
            }
            return self.bind_outer_aggregate(level, function, base);
        }
        let Some(call) = bound? else { return Ok(None) };
        match allowed {
            None => Err(SqlError::new(SqlState::GROUPING_ERROR, "aggregate functions are not allowed here")),
            Some(AggregatesIn::Forbidden(clause)) => Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                format!("aggregate functions are not allowed in {clause}"),
            )),
            Some(AggregatesIn::Aggregate) => {
                Err(SqlError::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested"))
            }
            Some(AggregatesIn::Query) => {
                if let Some(collector) = self.collectors.last_mut() {
                    let below = collector.pending.split_off(pending);
                    collector.pending_below.extend(below);
                }
                Ok(Some(self.collect_aggregate(call)))
            }
        }
    }

    /// The condition of an aggregate's FILTER, which may hold no aggregates.
    pub(super) fn bind_filter(&mut self, function: &ast::Function) -> Result<Option<Expr>> {
        let Some(filter) = &function.filter else { return Ok(None) };
        let allowed = self.collectors.last().map(|collector| collector.aggregates_in);
        self.set_aggregates_in(AggregatesIn::Forbidden("FILTER"));
        let bound = self.bind_condition(filter, "FILTER");
        if let Some(allowed) = allowed {
            self.set_aggregates_in(allowed);
        }
        bound.map(Some)
    }

    pub(super) fn set_aggregates_in(&mut self, aggregates_in: AggregatesIn) {
        if let Some(collector) = self.collectors.last_mut() {
            collector.aggregates_in = aggregates_in;
        }
    }

    /// The parts of an aggregate called over a window.
    pub(super) fn aggregate_parts(
        &mut self,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        base: &str,
    ) -> Result<AggregateCall> {
        let star = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        match self.bind_aggregate_parts(function, list, base, star)? {
            Some(call) => Ok(call),
            None => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("OVER specified, but {base} is not a window function nor an aggregate function"),
            )),
        }
    }

    fn bind_aggregate_parts(
        &mut self,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        base: &str,
        star: bool,
    ) -> Result<Option<AggregateCall>> {
        if !function.within_group.is_empty() {
            return self.bind_within_group(function, list, base).map(Some);
        }
        let mut arguments = Vec::new();
        if !star {
            for argument in &list.args {
                arguments.push(self.bind_call_argument(argument)?);
            }
        }
        let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        if arguments.is_empty() && !star && base == "count" {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "count(*) must be used to call a parameterless aggregate function",
            ));
        }
        let Some(resolved) = registry().resolve_aggregate(base, &types, &self.types())? else {
            if registry().functions(base).is_empty() {
                // The error of an unknown function names the types.
                registry().resolve_function(base, &types, &self.types())?;
            }
            return Ok(None);
        };
        self.note_function("aggregate", resolved.aggregate.name, &resolved.aggregate.argument_types);
        if resolved.aggregate.within_group {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("WITHIN GROUP is required for ordered-set aggregate {base}"),
            ));
        }
        let mut converted = Vec::new();
        let given = arguments.clone();
        for (argument, wanted) in arguments.into_iter().zip(&resolved.argument_types) {
            let wanted = if *wanted == oids::ANY { argument.data_type() } else { DataType::of(*wanted) };
            let argument = self.coerce(argument, wanted, CastContext::Implicit)?;
            converted.push(self.settle(argument)?);
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        if distinct && star {
            return Err(SqlError::syntax("syntax error at or near \"*\""));
        }
        let filter = self.bind_filter(function)?;
        let mut order_by = Vec::new();
        let mut locations = Vec::new();
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(keys) => {
                    for key in keys {
                        let expr = self.bind_settled(&key.expr)?;
                        order_by.push(super::order::sort_key(self, expr, &key.options)?);
                        locations.push(ast::Spanned::span(&key.expr).start);
                    }
                }
                other => return Err(SqlError::unsupported(format!("{other} is not supported here"))),
            }
        }
        if distinct {
            // One that is converted by itself is no argument, though the aggregate would convert it alike.
            let is_argument = |key: &SortKey| given.iter().any(|each| walk::same(each, &key.expr));
            let stranger = order_by.iter().position(|key| !is_argument(key));
            // An argument is sorted by as it was converted for the aggregate.
            for key in &mut order_by {
                let place = given.iter().position(|each| walk::same(each, &key.expr));
                if let Some(argument) = place.and_then(|at| converted.get(at)) {
                    key.expr = argument.clone();
                }
            }
            let collects = matches!(base, "array_agg" | "string_agg" | "json_agg" | "jsonb_agg");
            if let Some(at) = stranger {
                let error = SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                );
                return Err(self.locate(error, locations[at]));
            }
            if collects {
                sort_distinct(&converted, &mut order_by);
            }
        }
        Ok(Some(AggregateCall {
            data_type: DataType::of(resolved.return_type),
            aggregate: resolved.aggregate,
            arguments: converted,
            distinct,
            filter,
            order_by,
        }))
    }

    /// Notes an aggregate, once for equal calls, and gives the column that will hold it.
    fn collect_aggregate(&mut self, call: AggregateCall) -> Expr {
        let data_type = call.data_type;
        let fresh = self.column_id();
        let Some(collector) = self.collectors.last_mut() else {
            return Expr::Column { index: fresh, data_type };
        };
        let known = collector.aggregates.iter().find(|(_, each)| same_call(each, &call));
        let index = match known {
            Some((id, _)) => *id,
            None => {
                collector.aggregates.push((fresh, call));
                fresh
            }
        };
        Expr::Column { index, data_type }
    }

    /// Rewrites an expression above the aggregation: grouped expressions become their columns, and any other
    /// column of the input is an error.
    pub(super) fn above_grouping(&self, expr: Expr, groups: &[Computed], known: &[ColumnId]) -> Result<Expr> {
        let rewritten = replace_groups(expr, groups);
        let mut stray = None;
        walk::columns(&rewritten, &mut |id| {
            if !known.contains(&id) && !groups.iter().any(|group| group.id == id) {
                stray.get_or_insert(id);
            }
        });
        match stray {
            None => Ok(rewritten),
            Some(id) => Err(self.ungrouped(id, |name| {
                format!(
                    "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
                )
            })),
        }
    }

    /// What subqueries above the aggregation read of this query must be grouped; each then reads the group's column.
    pub(super) fn subqueries_above_grouping(
        &mut self,
        groups: &[Computed],
        known: &[ColumnId],
    ) -> Result<()> {
        let Some(collector) = self.collectors.last_mut() else { return Ok(()) };
        let mut stray = None;
        for correlation in collector.pending.iter_mut().flat_map(|pending| &mut pending.correlations) {
            let id = correlation.column;
            let is_of = |group: &&Computed| matches!(group.expr, Expr::Column { index, .. } if index == id);
            match groups.iter().find(is_of) {
                Some(group) => correlation.column = group.id,
                None if known.contains(&id) || groups.iter().any(|group| group.id == id) => {}
                None => stray = stray.or(Some(id)),
            }
        }
        match stray {
            None => Ok(()),
            Some(id) => Err(self
                .ungrouped(id, |name| format!("subquery uses ungrouped column \"{name}\" from outer query"))),
        }
    }

    /// 42803.
    pub(super) fn ungrouped(&self, id: ColumnId, message: impl Fn(&str) -> String) -> SqlError {
        let scope = self.levels.last().map(|level| &level.scope);
        let name = scope.and_then(|scope| {
            if let Some(own) = scope.relations.iter().find(|relation| relation.place == RowPlace::Key(id)) {
                return Some(format!("{}.ctid", own.alias));
            }
            let relation = scope.relations.iter().find(|r| r.columns.iter().any(|column| column.id == id))?;
            let column = relation.columns.iter().find(|column| column.id == id)?;
            Some(format!("{}.{}", relation.alias, column.name))
        });
        let name = name.unwrap_or_else(|| "?column?".into());
        let error = SqlError::new(SqlState::GROUPING_ERROR, message(&name));
        let mentions =
            self.collectors.last().map(|collector| collector.mentions.as_slice()).unwrap_or_default();
        match mentions.iter().find(|(mentioned, _)| *mentioned == id) {
            Some((_, location)) => self.locate(error, *location),
            None => error,
        }
    }
}

/// Where the order shows, distinct arguments come sorted.
fn sort_distinct(arguments: &[Expr], order_by: &mut Vec<SortKey>) {
    for argument in arguments {
        let constant = matches!(argument, Expr::Const { .. });
        if !constant && !order_by.iter().any(|key| walk::same(argument, &key.expr)) {
            order_by.push(SortKey { expr: argument.clone(), descending: false, nulls_first: false });
        }
    }
}

fn same_call(left: &AggregateCall, right: &AggregateCall) -> bool {
    std::sync::Arc::ptr_eq(&left.aggregate, &right.aggregate)
        && left.distinct == right.distinct
        && left.arguments.len() == right.arguments.len()
        && left.arguments.iter().zip(&right.arguments).all(|(left, right)| walk::same(left, right))
        && left.order_by.is_empty()
        && right.order_by.is_empty()
        && match (&left.filter, &right.filter) {
            (None, None) => true,
            (Some(left), Some(right)) => walk::same(left, right),
            _ => false,
        }
}

fn replace_groups(expr: Expr, groups: &[Computed]) -> Expr {
    walk::rewrite(expr, &mut |expr| {
        let group = groups.iter().find(|group| walk::same(&group.expr, &expr));
        match group {
            Some(group) => {
                let data_type = expr.data_type();
                walk::Rewritten::Done(Expr::Column { index: group.id, data_type })
            }
            None => walk::Rewritten::Descend(expr),
        }
    })
}
