//! Aggregates WITHIN GROUP.

use sqlparser::ast;

use super::Binder;
use super::call::argument_expr;
use super::expression::start_of;
use super::literal::constant;
use super::order::sort_key;
use super::window::needs_over;
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, ResolvedAggregate, registry, sort_key_function};
use crate::plan::logical::{AggregateCall, ColumnId, Computed, SortKey};
use crate::plan::walk;
use crate::types::DataType;
use crate::value::Datum;

impl Binder<'_> {
    /// Binds a call with WITHIN GROUP: its own arguments come before those that are sorted.
    pub(super) fn bind_within_group(
        &mut self,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        base: &str,
    ) -> Result<AggregateCall> {
        let is_known = registry().aggregates(base).iter().any(|aggregate| aggregate.within_group);
        if is_known && function.over.is_some() {
            return Err(SqlError::unsupported(format!(
                "OVER is not supported for ordered-set aggregate {base}"
            )));
        }
        if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct) {
            return Err(SqlError::syntax("cannot use DISTINCT with WITHIN GROUP"));
        }
        if !list.clauses.is_empty() {
            return Err(SqlError::syntax("cannot use multiple ORDER BY clauses with WITHIN GROUP"));
        }
        let mut arguments = Vec::new();
        for argument in &list.args {
            let written = argument_expr(argument)?;
            let bound = self.bind(written)?;
            if let Some(collector) = self.collectors.last_mut() {
                walk::columns(&bound, &mut |id| collector.direct.push((id, start_of(written))));
            }
            arguments.push(bound);
        }
        let mut keys = Vec::new();
        for key in &function.within_group {
            let expr = self.bind_settled(&key.expr)?;
            keys.push(sort_key(self, expr, &key.options)?);
        }
        if !is_known {
            let all: Vec<Expr> =
                arguments.iter().cloned().chain(keys.iter().map(|key| key.expr.clone())).collect();
            self.resolve_within_group(base, &all)?;
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{base} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"),
            ));
        }
        let filter = self.bind_filter(function)?;
        let mut call = if needs_over(base) {
            self.hypothetical(base, arguments, keys)?
        } else {
            self.ordered_set(base, arguments, keys)?
        };
        call.filter = filter;
        Ok(call)
    }

    fn ordered_set(
        &mut self,
        base: &str,
        mut arguments: Vec<Expr>,
        keys: Vec<SortKey>,
    ) -> Result<AggregateCall> {
        arguments.extend(keys.iter().map(|key| key.expr.clone()));
        let ResolvedAggregate { aggregate, argument_types, return_type } =
            self.resolve_within_group(base, &arguments)?;
        let mut converted = Vec::new();
        for (argument, wanted) in arguments.into_iter().zip(argument_types) {
            converted.push(self.coerce(argument, DataType::of(wanted), CastContext::Implicit)?);
        }
        let sorted = converted.last().cloned();
        let order_by = keys.into_iter().zip(sorted).map(|(key, expr)| SortKey { expr, ..key }).collect();
        Ok(AggregateCall {
            aggregate,
            arguments: converted,
            data_type: DataType::of(return_type),
            distinct: false,
            filter: None,
            order_by,
        })
    }

    /// `rank(value, …) WITHIN GROUP (ORDER BY key, …)`: the place of a row of the values among the keys.
    fn hypothetical(
        &mut self,
        base: &str,
        arguments: Vec<Expr>,
        keys: Vec<SortKey>,
    ) -> Result<AggregateCall> {
        if arguments.len() != keys.len() {
            let (given, ordering) = (arguments.len(), keys.len());
            let all: Vec<Expr> = arguments.into_iter().chain(keys.into_iter().map(|key| key.expr)).collect();
            return Err(self.no_such_aggregate(base, &all).with_hint(format!(
                "To use the hypothetical-set aggregate {base}, the number of hypothetical direct arguments (here {given}) \
                 must match the number of ordering columns (here {ordering})."
            )));
        }
        let (mut asked, mut rows) = (Vec::new(), Vec::new());
        for (argument, key) in arguments.into_iter().zip(keys) {
            let (mut both, _) = self.unify(vec![argument, key.expr], "WITHIN GROUP")?;
            let row = both.pop();
            for (list, value) in [(&mut asked, both.pop()), (&mut rows, row)] {
                list.extend(value);
                list.push(constant(Datum::Bool(key.descending), DataType::BOOL));
                list.push(constant(Datum::Bool(key.nulls_first), DataType::BOOL));
            }
        }
        let key_of = |values| Expr::call(sort_key_function(), values, DataType::BYTEA);
        let arguments = vec![key_of(asked), key_of(rows)];
        let ResolvedAggregate { aggregate, return_type, .. } = self.resolve_within_group(base, &arguments)?;
        Ok(AggregateCall {
            aggregate,
            arguments,
            data_type: DataType::of(return_type),
            distinct: false,
            filter: None,
            order_by: Vec::new(),
        })
    }

    /// What is asked of an ordered set is one value for each group.
    pub(super) fn refuse_ungrouped_direct(
        &self,
        aggregates: &[(ColumnId, AggregateCall)],
        groups: &[Computed],
    ) -> Result<()> {
        // Expressions that are grouped by may be part of what is asked.
        let is_column = |group: &Computed| matches!(group.expr, Expr::Column { .. });
        if !groups.iter().all(is_column) {
            return Ok(());
        }
        let mut stray = None;
        for (_, call) in aggregates.iter().filter(|(_, call)| call.aggregate.within_group) {
            let direct = call.arguments.len().saturating_sub(1);
            for argument in &call.arguments[..direct] {
                walk::columns(argument, &mut |id| {
                    let is_grouped = groups.iter().any(|group| {
                        group.id == id || matches!(group.expr, Expr::Column { index, .. } if index == id)
                    });
                    stray = stray.or((!is_grouped && self.is_input(id)).then_some(id));
                });
            }
        }
        let Some(id) = stray else { return Ok(()) };
        let message = |name: &str| {
            format!(
                "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
            )
        };
        let detail = "Direct arguments of an ordered-set aggregate must use only grouped columns.";
        let error = self.ungrouped(id, message).unplaced().with_detail(detail);
        let direct = self.collectors.last().map(|collector| collector.direct.as_slice()).unwrap_or_default();
        match direct.iter().find(|(read, _)| *read == id) {
            Some((_, place)) => Err(self.locate(error, *place)),
            None => Err(error),
        }
    }

    /// Whether a column is one of what FROM gives.
    fn is_input(&self, id: ColumnId) -> bool {
        let relations = self.levels.last().map(|level| level.scope.relations.as_slice()).unwrap_or_default();
        relations.iter().any(|relation| relation.columns.iter().any(|column| column.id == id))
    }

    fn resolve_within_group(&self, base: &str, arguments: &[Expr]) -> Result<ResolvedAggregate> {
        let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        let resolved = registry().resolve_aggregate(base, &types, &self.types())?;
        resolved.ok_or_else(|| self.no_such_aggregate(base, arguments))
    }

    fn no_such_aggregate(&self, base: &str, arguments: &[Expr]) -> SqlError {
        let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        match registry().resolve_among(base, &[], &types, &self.types()) {
            Err(error) => error,
            Ok(_) => SqlError::internal("a function among none"),
        }
    }
}
