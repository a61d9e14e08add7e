//! Function calls.

use sqlparser::ast::{self, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::literal::{constant, unknown};
use super::{Binder, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, ResolvedFunction, registry};
use crate::types::{DataType, oids};
use crate::value::Datum;

impl Binder<'_> {
    pub(super) fn bind_function(&mut self, function: &ast::Function) -> Result<Expr> {
        let location = name::location(&function.name);
        self.bind_function_here(function).map_err(|error| self.locate(error, location))
    }

    fn bind_function_here(&mut self, function: &ast::Function) -> Result<Expr> {
        let (schema, base) = name::split(&function.name)?;
        if schema
            .as_deref()
            .is_some_and(|schema| !matches!(schema, "pg_catalog" | "public" | "information_schema"))
        {
            return Err(SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{}\" does not exist", schema.unwrap_or_default()),
            ));
        }
        if let Some(over) = &function.over {
            return self.bind_window_call(function, &base, over);
        }
        if super::window::needs_over(&base) {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("window function {base} requires an OVER clause"),
            ));
        }
        if let FunctionArguments::Subquery(query) = &function.args {
            if base == "array" {
                return self.bind_array_subquery(query);
            }
            let argument = self.bind_scalar_subquery(query)?;
            return self.call_named(&base, vec![argument]);
        }
        if !registry().aggregates(&base).is_empty()
            && let Some(call) = self.bind_aggregate(function, &base)?
        {
            return Ok(call);
        }
        let list = match &function.args {
            FunctionArguments::List(list) => list.args.as_slice(),
            FunctionArguments::None => return self.bind_keyword(&base),
            FunctionArguments::Subquery(_) => return Err(SqlError::internal("a subquery was handled above")),
        };
        let mut arguments = Vec::new();
        for argument in list {
            arguments.push(self.bind(argument_expr(argument)?)?);
        }
        self.call(&base, arguments)
    }

    /// Calls a function by name, the ones with a syntax of their own included.
    fn call(&mut self, base: &str, mut arguments: Vec<Expr>) -> Result<Expr> {
        match (base, arguments.len()) {
            ("coalesce", 1..) => {
                let (arguments, data_type) = self.unify(arguments, "COALESCE")?;
                Ok(Expr::Coalesce { arguments, data_type })
            }
            ("greatest", 1..) => {
                let (arguments, data_type) = self.unify(arguments, "GREATEST")?;
                Ok(Expr::Extreme { arguments, greatest: true, data_type })
            }
            ("least", 1..) => {
                let (arguments, data_type) = self.unify(arguments, "LEAST")?;
                Ok(Expr::Extreme { arguments, greatest: false, data_type })
            }
            ("nullif", 2) => {
                let second = arguments.remove(1);
                let first = arguments.remove(0);
                self.bind_nullif(first, second)
            }
            ("row", _) => Ok(Expr::Row { fields: arguments, data_type: DataType::RECORD }),
            _ => self.call_named(base, arguments),
        }
    }

    /// Calls a function of the registry.
    pub(super) fn call_named(&mut self, base: &str, arguments: Vec<Expr>) -> Result<Expr> {
        let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        // `typename(value)` is a cast where no function of the name takes it.
        if registry().functions(base).is_empty()
            && arguments.len() == 1
            && let Some(info) = self.types().type_by_name(base)
        {
            let target = DataType::of(info.oid);
            let argument = arguments.into_iter().next().unwrap_or_else(|| unknown(Datum::Null));
            return self.coerce(argument, target, CastContext::Explicit);
        }
        let resolved = registry().resolve_function(base, &types, self.types())?;
        self.call_resolved(resolved, arguments)
    }

    /// Converts the arguments and makes the call.
    pub(super) fn call_resolved(&mut self, resolved: ResolvedFunction, arguments: Vec<Expr>) -> Result<Expr> {
        let mut converted = Vec::with_capacity(arguments.len());
        for (argument, wanted) in arguments.into_iter().zip(&resolved.argument_types) {
            let wanted = if *wanted == oids::ANY { argument.data_type() } else { DataType::of(*wanted) };
            // A modifier is no reason to convert.
            if argument.data_type().oid == wanted.oid {
                converted.push(self.settle(argument)?);
            } else {
                converted.push(self.coerce(argument, wanted, CastContext::Implicit)?);
            }
        }
        Ok(Expr::call(resolved.function, converted, DataType::of(resolved.return_type)))
    }

    /// `CURRENT_DATE` and the other functions without parentheses.
    fn bind_keyword(&mut self, base: &str) -> Result<Expr> {
        match base {
            "current_timestamp" => self.call_named("now", Vec::new()),
            "current_date" => {
                let now = self.call_named("now", Vec::new())?;
                self.coerce(now, DataType::DATE, CastContext::Explicit)
            }
            "current_time" => {
                let now = self.call_named("now", Vec::new())?;
                self.coerce(now, DataType::TIMETZ, CastContext::Explicit)
            }
            "localtimestamp" => {
                let now = self.call_named("now", Vec::new())?;
                self.coerce(now, DataType::TIMESTAMP, CastContext::Explicit)
            }
            "localtime" => {
                let now = self.call_named("now", Vec::new())?;
                self.coerce(now, DataType::TIME, CastContext::Explicit)
            }
            "current_user" | "user" | "session_user" | "current_role" => {
                Ok(constant(Datum::text(&self.environment.user), DataType::NAME))
            }
            "current_catalog" => Ok(constant(Datum::text(&self.environment.database), DataType::NAME)),
            "current_schema" => self.call_named("current_schema", Vec::new()),
            other => {
                Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{other}\" does not exist")))
            }
        }
    }
}

/// A plain argument.
pub(super) fn argument_expr(argument: &FunctionArg) -> Result<&Ast> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        FunctionArg::Unnamed(_) => Err(SqlError::syntax("syntax error at or near \"*\"")),
        FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
            Err(SqlError::unsupported("named arguments are not supported yet"))
        }
    }
}
