//! Subqueries in expressions: each becomes a column that an operator below computes.

use std::sync::Arc;

use sqlparser::ast::{self, BinaryOperator, Expr as Ast, Query};

use super::call::row_fields;
use super::expression::negate;
use super::scope::Level;
use super::{Binder, BoundQuery, PendingApply, data_type};
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::plan::logical::{Computed, Correlation, Logical, SubqueryKind};
use crate::types::DataType;
use crate::value::RecordShape;

impl Binder<'_> {
    /// Binds a query one level deeper; tells what it reads of this one.
    pub(super) fn bind_inner(&mut self, query: &Query) -> Result<(BoundQuery, Vec<Correlation>)> {
        self.levels.push(Level::default());
        let bound = self.deeper(|binder| binder.bind_query_at_level(query));
        let level = self.levels.pop().unwrap_or_default();
        Ok((bound?, level.correlations))
    }

    fn apply(
        &mut self,
        subquery: Logical,
        kind: SubqueryKind,
        correlations: Vec<Correlation>,
        data_type: DataType,
    ) -> Result<Expr> {
        let output = self.column_id();
        let Some(collector) = self.collectors.last_mut() else {
            return Err(SqlError::unsupported("cannot use subquery here"));
        };
        collector.pending.push(PendingApply { subquery, kind, correlations, output, data_type });
        Ok(Expr::Column { index: output, data_type })
    }

    /// A subquery that gives one value.
    pub(super) fn apply_scalar(
        &mut self,
        subquery: Logical,
        correlations: Vec<Correlation>,
        data_type: DataType,
    ) -> Result<Expr> {
        self.apply(subquery, SubqueryKind::Scalar, correlations, data_type)
    }

    fn single_column(&self, bound: &BoundQuery, query: &Query) -> Result<DataType> {
        if let [(_, column)] = bound.columns.as_slice() {
            return Ok(column.data_type);
        }
        let error = SqlError::syntax("subquery must return only one column");
        Err(match self.position_of_parenthesis(ast::Spanned::span(query).start) {
            Some(position) => error.at(position),
            None => error,
        })
    }

    /// Binds a subquery, or takes what it became where a query that groups has it before.
    pub(super) fn bind_once(
        &mut self,
        ast: &Ast,
        bind: impl FnOnce(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        if let Some(known) = self.collectors.last().and_then(|collector| collector.known_subquery(ast)) {
            return Ok(known);
        }
        let bound = bind(self)?;
        if let Some(collector) = self.collectors.last_mut()
            && let Some(written) = &mut collector.written
        {
            written.push((ast.clone(), bound.clone()));
        }
        Ok(bound)
    }

    pub(super) fn bind_scalar_subquery(&mut self, query: &Query) -> Result<Expr> {
        let (bound, correlations) = self.bind_inner(query)?;
        let data_type = self.single_column(&bound, query)?;
        self.apply(bound.plan, SubqueryKind::Scalar, correlations, data_type)
    }

    pub(super) fn bind_array_subquery(&mut self, query: &Query) -> Result<Expr> {
        let (bound, correlations) = self.bind_inner(query)?;
        let element = self.single_column(&bound, query)?;
        // Of arrays, one more dimension.
        let array = match self.element_of(element) {
            Some(_) => DataType::of(element.oid),
            None => data_type::array_of(element, &self.types())?,
        };
        self.apply(bound.plan, SubqueryKind::Array { element }, correlations, array)
    }

    pub(super) fn bind_exists(&mut self, query: &Query, negated: bool) -> Result<Expr> {
        let (bound, correlations) = self.bind_inner(query)?;
        let exists = self.apply(bound.plan, SubqueryKind::Exists, correlations, DataType::BOOL)?;
        Ok(if negated { negate(exists) } else { exists })
    }

    pub(super) fn bind_in_subquery(&mut self, value: &Ast, query: &Query, negated: bool) -> Result<Expr> {
        let found = match row_fields(value) {
            Some(fields) => self.bind_quantified_row(&fields, &BinaryOperator::Eq, query, false),
            None => {
                let bound = self.bind(value)?;
                self.bind_quantified(bound, "=", query, false)
            }
        };
        let found = found.map_err(|error| match self.position_behind(value) {
            Some(position) => error.at(position),
            None => error,
        })?;
        Ok(if negated { negate(found) } else { found })
    }

    /// `value op ANY | ALL (query)`.
    pub(super) fn bind_quantified(
        &mut self,
        value: Expr,
        operator: &str,
        query: &Query,
        all: bool,
    ) -> Result<Expr> {
        let (bound, correlations) = self.bind_inner(query)?;
        let [(element, column)] = bound.columns.as_slice() else {
            return Err(SqlError::syntax("subquery has too many columns"));
        };
        let (element, data_type) = (*element, column.data_type);
        let reference = Expr::Column { index: element, data_type };
        let comparison = self.operate_unlocated(operator, Some(value), reference)?;
        let kind = SubqueryKind::Quantified { comparison, element, all };
        self.apply(bound.plan, kind, correlations, DataType::BOOL)
    }

    /// `(a, b) op ANY | ALL (query)`: how the fields compare with the query's rows.
    pub(super) fn bind_quantified_row(
        &mut self,
        fields: &[&Ast],
        op: &BinaryOperator,
        query: &Query,
        all: bool,
    ) -> Result<Expr> {
        let mut left = Vec::new();
        for field in fields {
            left.push(self.bind(field)?);
        }
        let (bound, correlations) = self.bind_inner(query)?;
        if bound.columns.len() != left.len() {
            let few = if bound.columns.len() < left.len() { "few" } else { "many" };
            return Err(SqlError::syntax(format!("subquery has too {few} columns")));
        }
        let columns = bound.columns.iter();
        let right = columns.map(|(id, column)| Expr::Column { index: *id, data_type: column.data_type });
        let comparison = self.compare_fields(left, right.collect(), op)?;
        let element = bound.columns.first().map_or(0, |column| column.0);
        let kind = SubqueryKind::Quantified { comparison, element, all };
        self.apply(bound.plan, kind, correlations, DataType::BOOL)
    }

    /// `(a, b) op (query)`: the query gives one row at most, whose fields are compared with the row's.
    pub(super) fn bind_row_with_subquery(
        &mut self,
        fields: &[&Ast],
        op: &BinaryOperator,
        query: &Query,
    ) -> Result<Expr> {
        let mut left = Vec::new();
        for field in fields {
            left.push(self.bind_settled(field)?);
        }
        let (bound, correlations) = self.bind_inner(query)?;
        if bound.columns.len() != left.len() {
            let few = if bound.columns.len() < left.len() { "few" } else { "many" };
            return Err(SqlError::syntax(format!("subquery has too {few} columns")));
        }
        let (plan, types) = self.rows_of(bound);
        let record = self.apply(plan, SubqueryKind::Scalar, correlations, DataType::RECORD)?;
        let right = types.into_iter().enumerate().map(|(index, data_type)| Expr::Field {
            record: Box::new(record.clone()),
            index,
            data_type,
        });
        self.compare_fields(left, right.collect(), op)
    }

    /// A query whose one value is the whole row of this one, and the types of its fields.
    pub(super) fn rows_of(&mut self, bound: BoundQuery) -> (Logical, Vec<DataType>) {
        let fields = bound.columns.iter().map(|(_, column)| (column.name.as_str().into(), column.data_type));
        let shape = Arc::new(RecordShape::anonymous(fields));
        let types = bound.columns.iter().map(|(_, column)| column.data_type).collect();
        let fields = bound.columns.iter();
        let fields = fields.map(|(id, column)| Expr::Column { index: *id, data_type: column.data_type });
        let expr = Expr::Row { fields: fields.collect(), shape };
        let outputs = vec![Computed { id: self.column_id(), expr }];
        (Logical::Project { input: Box::new(bound.plan), outputs }, types)
    }

    /// Puts the subqueries met since the last call below what is bound next.
    pub(super) fn attach_pending(&mut self, plan: Logical) -> Logical {
        let pending = self.take_pending();
        attach(plan, pending)
    }

    /// The same for those that must run below an aggregation.
    pub(super) fn attach_pending_below(&mut self, plan: Logical) -> Logical {
        let pending = match self.collectors.last_mut() {
            Some(collector) => std::mem::take(&mut collector.pending_below),
            None => Vec::new(),
        };
        attach(plan, pending)
    }
}

pub(super) fn attach(plan: Logical, pending: Vec<PendingApply>) -> Logical {
    pending.into_iter().fold(plan, |input, apply| Logical::Apply {
        input: Box::new(input),
        subquery: Box::new(apply.subquery),
        kind: apply.kind,
        correlations: apply.correlations,
        output: apply.output,
        data_type: apply.data_type,
    })
}
