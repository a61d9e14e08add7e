//! Functions in FROM.

use sqlparser::ast::{self, ObjectName, TableAlias};

use super::call::{argument_expr, is_out_parameter};
use super::from::{Item, aliased, join};
use super::scope::{Level, Scope, ScopeColumn};
use super::{AggregatesIn, Binder, Collector, PendingApply, name};
use crate::catalog::TypeScope;
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::functions::{CastContext, registry};
use crate::parser::marked;
use crate::plan::logical::{Correlation, JoinKind, Logical, NeededColumns, TableFunction};
use crate::plan::walk;
use crate::relations;
use crate::types::{DataType, oids};
use crate::value::{Datum, RecordShape, RecordValue, Text};

/// Functions in FROM, bound: the calls, their columns, what they read of the items before, and the subqueries among
/// their arguments.
struct Functions {
    calls: Vec<TableFunction>,
    columns: Vec<(String, DataType)>,
    lateral: Vec<Correlation>,
    pending: Vec<PendingApply>,
}

/// One function's calls and columns.
type Bound = (Vec<TableFunction>, Vec<(String, DataType)>);

impl Binder<'_> {
    /// Binds what may refer to the FROM items before it.
    fn with_laterals(
        &mut self,
        before: &Scope,
        bind: impl FnOnce(&mut Self) -> Result<Bound>,
    ) -> Result<Functions> {
        let previous = self.levels.last().map(|level| level.scope.clone()).unwrap_or_default();
        self.set_scope(before.clone());
        self.levels.push(Level::default());
        self.collectors.push(Collector::new(AggregatesIn::Forbidden("functions in FROM"), &self.levels));
        let bound = bind(self);
        let pending = self.collectors.pop().map(|collector| collector.pending).unwrap_or_default();
        let level = self.levels.pop().unwrap_or_default();
        self.set_scope(previous);
        let (calls, columns) = bound?;
        Ok(Functions { calls, columns, lateral: level.correlations, pending })
    }

    /// `function(…) [WITH ORDINALITY] [alias]`.
    pub(super) fn bind_table_function(
        &mut self,
        object: &ObjectName,
        args: &[ast::FunctionArg],
        ordinality: bool,
        alias: Option<&TableAlias>,
        before: &Scope,
    ) -> Result<Item> {
        let (_, base) = name::split(object)?;
        let location = name::location(object);
        let is_rows_from = name::last(object).and_then(marked) == Some("rows from");
        let functions = self.with_laterals(before, |binder| {
            if is_rows_from {
                return binder.bind_rows_from(args);
            }
            let mut arguments = Vec::new();
            for argument in args {
                arguments.push(binder.bind_call_argument(argument)?);
            }
            arguments.retain(|argument| !is_out_parameter(argument));
            binder.table_function(&base, arguments, alias).map_err(|error| binder.locate(error, location))
        })?;
        // Several are called by the first one's name.
        let shown = match args.first() {
            Some(first) if is_rows_from => super::select::column_name(argument_expr(first)?),
            _ => base,
        };
        self.function_item(&shown, functions, ordinality, alias)
    }

    /// `UNNEST(array, …)`, which the parser knows by itself.
    pub(super) fn bind_unnest(
        &mut self,
        arrays: &[ast::Expr],
        ordinality: bool,
        alias: Option<&TableAlias>,
        before: &Scope,
    ) -> Result<Item> {
        let functions = self.with_laterals(before, |binder| {
            let arguments = arrays.iter().map(|array| binder.bind(array)).collect::<Result<_>>()?;
            binder.table_function("unnest", arguments, alias)
        })?;
        self.function_item("unnest", functions, ordinality, alias)
    }

    /// `ROWS FROM (function(…), …)`.
    fn bind_rows_from(&mut self, args: &[ast::FunctionArg]) -> Result<Bound> {
        let (mut calls, mut columns) = (Vec::new(), Vec::new());
        for argument in args {
            let expr = argument_expr(argument)?;
            let function = match expr {
                ast::Expr::Function(function) if !is_expression(function)? => function,
                // What looks like a function.
                expr => {
                    let bound = self.bind(expr)?;
                    let (more, outputs) = self.call_rows(&super::select::column_name(expr), bound, None)?;
                    calls.extend(more);
                    columns.extend(outputs);
                    continue;
                }
            };
            let base = name::split(&function.name)?.1;
            let mut arguments = Vec::new();
            if let ast::FunctionArguments::List(list) = &function.args {
                for argument in &list.args {
                    arguments.push(self.bind_call_argument(argument)?);
                }
            }
            let (more, outputs) = self.table_function(&base, arguments, None)?;
            calls.extend(more);
            columns.extend(outputs);
        }
        Ok((calls, columns))
    }

    fn function_item(
        &mut self,
        base: &str,
        functions: Functions,
        ordinality: bool,
        alias: Option<&TableAlias>,
    ) -> Result<Item> {
        let Functions { mut calls, columns: outputs, mut lateral, pending } = functions;
        let single =
            outputs.len() == 1 && matches!(calls.as_slice(), [TableFunction::Call { is_record: false, .. }]);
        let own_name = single && outputs[0].0 != base;
        let mut columns = Vec::new();
        let mut scope_columns = Vec::new();
        for (column, data_type) in outputs {
            let id = self.column_id();
            columns.push((id, data_type));
            // A function's only column takes the alias's name, unless it has a name of its own.
            let renamed = alias.filter(|_| single && !own_name).map(|alias| name::fold(&alias.name));
            scope_columns.push(ScopeColumn { id, name: renamed.unwrap_or(column), data_type, source: None });
        }
        let ordinality = ordinality.then(|| self.column_id());
        if let Some(id) = ordinality {
            let name = "ordinality".into();
            scope_columns.push(ScopeColumn { id, name, data_type: DataType::INT8, source: None });
        }
        let mut relation = aliased(alias, base, None, scope_columns, Vec::new())?;
        if let [TableFunction::Call { call, is_record: true, .. }] = calls.as_slice() {
            relation.row_type = self.catalog.relation_of_rows(call.data_type().oid);
        }
        let below = (!pending.is_empty()).then(|| {
            let outputs: Vec<(usize, DataType)> =
                pending.iter().map(|each| (each.output, each.data_type)).collect();
            let slots = self.fill_slots(&mut calls, &outputs);
            (super::subquery::attach(Logical::one_row(), pending), slots)
        });
        let alias = relation.alias.clone();
        let mut plan = Logical::FunctionScan { calls, alias, columns, ordinality };
        if let Some((below, slots)) = below {
            // The subqueries run first; the functions read what they gave.
            plan = join(JoinKind::Inner, below, plan, Vec::new(), slots);
        }
        lateral.dedup();
        Ok(Item { plan, scope: Scope::of(relation), lateral })
    }

    /// Has calls read columns through slots.
    fn fill_slots(&mut self, calls: &mut [TableFunction], outputs: &[(usize, DataType)]) -> Vec<Correlation> {
        let mut slots = Vec::new();
        for (column, _) in outputs {
            slots.push(Correlation { slot: self.next_slot, column: *column });
            self.next_slot += 1;
        }
        for function in calls {
            for expr in function.expressions_mut() {
                let taken = std::mem::replace(expr, super::literal::unknown(Datum::Null));
                *expr = walk::replace_columns(taken, &|id| {
                    let at = outputs.iter().position(|(column, _)| *column == id)?;
                    Some(Expr::Outer { index: slots[at].slot, data_type: outputs[at].1 })
                });
            }
        }
        slots
    }

    /// What a function in FROM gives: its rows' columns.
    fn table_function(
        &mut self,
        base: &str,
        mut arguments: Vec<Expr>,
        alias: Option<&TableAlias>,
    ) -> Result<Bound> {
        if let Some(relation) = relations::function(base)
            && arguments.is_empty()
        {
            self.note_function("function", base, &[]);
            let columns = relation.columns.iter();
            let columns = columns.map(|(name, oid)| ((*name).to_string(), DataType::of(*oid))).collect();
            return Ok((vec![TableFunction::Relation { relation }], columns));
        }
        if let Some(function) = relations::report(base)
            && (function.required..=function.arguments.len()).contains(&arguments.len())
        {
            let columns = function.columns.iter();
            let columns = columns.map(|(name, oid)| ((*name).to_string(), DataType::of(*oid))).collect();
            let arguments = arguments
                .into_iter()
                .zip(function.arguments)
                .map(|(argument, oid)| self.coerce(argument, DataType::of(*oid), CastContext::Explicit));
            let arguments = arguments.collect::<Result<_>>()?;
            return Ok((
                vec![TableFunction::Report { function, arguments, needed: NeededColumns::ALL }],
                columns,
            ));
        }
        if base == "unnest" && arguments.len() > 1 {
            let (mut calls, mut columns) = (Vec::new(), Vec::new());
            for argument in arguments {
                let (more, outputs) = self.table_function(base, vec![argument], None)?;
                calls.extend(more);
                columns.extend(outputs);
            }
            return Ok((calls, columns));
        }
        if let "json_to_record" | "jsonb_to_record" | "json_to_recordset" | "jsonb_to_recordset" = base {
            // The alias declares the columns of the record.
            arguments.insert(0, declared_record(alias, &self.types())?);
        }
        if base.contains("_populate_record")
            && let Some(Expr::Const { value: Datum::Null, data_type: DataType::RECORD }) = arguments.first()
        {
            arguments[0] = declared_record(alias, &self.types())?;
        }
        let call = match registry().functions(base).iter().any(|each| each.returns_rows()) {
            true => {
                let arguments = self.series_arguments(base, arguments)?;
                let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
                let resolved = registry().resolve_function(base, &types, &self.types())?;
                self.make_call(resolved, arguments)?
            }
            false => self.call_named(base, arguments)?,
        };
        self.call_rows(base, call, alias)
    }

    /// The columns that a bound call gives.
    fn call_rows(&mut self, base: &str, call: Expr, alias: Option<&TableAlias>) -> Result<Bound> {
        let data_type = call.data_type();
        let row_shape = self.row_shape_of(data_type).cloned();
        if let Some(shape) = row_shape {
            let columns = shape.fields.iter().map(|(name, data_type)| (name.to_string(), *data_type));
            let width = shape.fields.len();
            return Ok((vec![TableFunction::Call { call, width, is_record: true }], columns.collect()));
        }
        if data_type == DataType::RECORD {
            let is_declared = match &call {
                Expr::Call(call) => !call.function.columns.is_empty() || base.contains("_to_record"),
                _ => true,
            };
            let columns = match self.record_shape(&call) {
                Some(columns) if is_declared => columns,
                _ => declared_columns(alias, &self.types())?,
            };
            let width = columns.len();
            return Ok((vec![TableFunction::Call { call, width, is_record: true }], columns));
        }
        let own_name = match &call {
            Expr::Call(call) => call.function.columns.first().map(|(name, _)| (*name).to_owned()),
            _ => None,
        };
        let columns = vec![(own_name.unwrap_or_else(|| base.to_owned()), data_type)];
        Ok((vec![TableFunction::Call { call, width: 1, is_record: false }], columns))
    }

    /// `generate_series` between dates goes over timestamps with time zone.
    fn series_arguments(&mut self, base: &str, mut arguments: Vec<Expr>) -> Result<Vec<Expr>> {
        let is_date = |argument: &Expr| argument.data_type().oid == oids::DATE;
        if base == "generate_series" && arguments.len() == 3 && arguments[..2].iter().all(is_date) {
            for argument in &mut arguments[..2] {
                let taken = std::mem::replace(argument, super::literal::unknown(Datum::Null));
                *argument = self.coerce(taken, DataType::TIMESTAMPTZ, CastContext::Implicit)?;
            }
        }
        Ok(arguments)
    }
}

/// Whether a call is of an expression that the parser reads as a function.
fn is_expression(function: &ast::Function) -> Result<bool> {
    let (schema, base) = name::split(&function.name)?;
    const NAMES: [&str; 15] = [
        "coalesce",
        "greatest",
        "least",
        "nullif",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "current_role",
        "current_user",
        "session_user",
        "user",
        "current_catalog",
        "current_schema",
    ];
    Ok(schema.is_none() && NAMES.contains(&base.as_str()))
}

/// The columns that an alias declares: `AS name (column type, …)`.
fn declared_columns(alias: Option<&TableAlias>, types: &TypeScope<'_>) -> Result<Vec<(String, DataType)>> {
    let required =
        || SqlError::syntax("a column definition list is required for functions returning \"record\"");
    let mut declared = Vec::new();
    for column in &alias.ok_or_else(required)?.columns {
        let data_type = super::data_type::resolve(column.data_type.as_ref().ok_or_else(required)?, types)?;
        declared.push((name::fold(&column.name), data_type));
    }
    if declared.is_empty() { Err(required()) } else { Ok(declared) }
}

/// A record of NULLs with the columns that an alias declares.
fn declared_record(alias: Option<&TableAlias>, types: &TypeScope<'_>) -> Result<Expr> {
    let columns = declared_columns(alias, types)?.into_iter();
    let fields: Vec<(Text, DataType)> =
        columns.map(|(name, data_type)| (Text::from(name), data_type)).collect();
    let record = RecordValue {
        fields: vec![Datum::Null; fields.len()],
        shape: std::sync::Arc::new(RecordShape::anonymous(fields)),
    };
    Ok(Expr::Const { value: record.into(), data_type: DataType::RECORD })
}
