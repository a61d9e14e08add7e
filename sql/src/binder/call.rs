//! Function calls.

use std::borrow::Cow;
use std::sync::Arc;

use sqlparser::ast::{self, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::literal::{constant, unknown};
use super::{Binder, name, parse_stable_name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, Function, ResolvedFunction, registry};
use crate::parser::{VALUE, marked};
use crate::types::{Category, DataType, oids};
use crate::value::{Datum, RecordShape};

/// pgjdbc sends a function's OUT parameters along, declared as `void`.
pub(super) fn is_out_parameter(argument: &Expr) -> bool {
    matches!(argument, Expr::Parameter { data_type, .. } if data_type.oid == oids::VOID)
}

impl Binder<'_> {
    pub(super) fn bind_function(&mut self, function: &ast::Function) -> Result<Expr> {
        let location = name::location(&function.name);
        self.bind_function_here(function).map_err(|error| self.locate(error, location))
    }

    fn bind_function_here(&mut self, function: &ast::Function) -> Result<Expr> {
        let (schema, base) = name::split(&function.name)?;
        if let FunctionArguments::List(list) = &function.args
            && let Some(own) = self.constructors_named(function, schema.as_deref(), &base)
        {
            return self.call_constructor(&base, &own, &list.args);
        }
        if let Some(schema) = schema
            .as_deref()
            .filter(|schema| !matches!(*schema, "pg_catalog" | "public" | "information_schema"))
        {
            return Err(SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            ));
        }
        if base == super::ROW_KEY
            && let Some(index) = self.asked_key.take()
        {
            return Ok(Expr::Column { index, data_type: DataType::BYTEA });
        }
        if let Some(over) = &function.over {
            return self.bind_window_call(function, &base, over);
        }
        if super::window::needs_over(&base) && function.within_group.is_empty() {
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
        if let [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = list {
            self.call_named(&base, Vec::new())?;
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{base}(*) specified, but {base} is not an aggregate function"),
            ));
        }
        if let [argument] = list
            && let Ok(Ast::Value(value)) = argument_expr(argument)
            && let ast::Value::Number(digits, _) = &value.value
            && let Ok(digits) = digits.parse::<u32>()
            && let Some(current) = self.bind_current(&base, digits)?
        {
            return Ok(current);
        }
        if let Some(arguments) = spread_arguments(list) {
            let mut bound = Vec::new();
            for argument in arguments {
                bound.push(self.bind(argument)?);
            }
            return self.call_spread(&base, bound);
        }
        if list.iter().any(|argument| named_argument(argument).is_some()) {
            return self.call_by_names(&base, list);
        }
        if base == "row" {
            let fields = self.bind_row(list)?;
            return self.settled_row(fields);
        }
        if base == "grouping" && !list.is_empty() {
            return self.bind_grouping_call(list);
        }
        if let ("pg_collation_for", [argument]) = (base.as_str(), list) {
            return self.bind_collation_for(argument_expr(argument)?);
        }
        let mut arguments = Vec::new();
        for argument in list {
            if matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(_))) {
                arguments.push(self.bind_call_argument(argument)?);
                continue;
            }
            let argument = argument_expr(argument)?;
            arguments.push(match normalization_form(&base, arguments.len(), argument) {
                Some(form) => constant(Datum::text(form), DataType::TEXT),
                None => self.bind(argument)?,
            });
        }
        // pgjdbc sends a function's OUT parameters along, declared so.
        arguments.retain(
            |argument| !matches!(argument, Expr::Parameter { data_type, .. } if data_type.oid == oids::VOID),
        );
        self.call(&base, arguments)
    }

    /// The functions that make values of a user's type, where the type's number or their schema stands before their name.
    fn constructors_named(
        &self,
        function: &ast::Function,
        schema: Option<&str>,
        base: &str,
    ) -> Option<Vec<Arc<Function>>> {
        let own = match parse_stable_name(&function.name) {
            Some((oid, ..)) => self.catalog.constructors(oid),
            None => {
                let schema = self.catalog.schema_named(schema?)?.oid;
                self.catalog
                    .constructed(base, &[schema])
                    .flat_map(|oid| self.catalog.constructors(oid))
                    .collect()
            }
        };
        Some(own).filter(|own| !own.is_empty())
    }

    /// A call of such functions.
    fn call_constructor(
        &mut self,
        base: &str,
        functions: &[Arc<Function>],
        list: &[FunctionArg],
    ) -> Result<Expr> {
        let mut arguments = Vec::with_capacity(list.len());
        for argument in list {
            arguments.push(self.bind(argument_expr(argument)?)?);
        }
        let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        let resolved = registry().resolve_among(base, functions, &types, &self.types())?;
        self.call_resolved(resolved, arguments)
    }

    /// The functions of a name: built-in ones, and those that make values of users' types.
    fn functions_named(&self, base: &str) -> Cow<'static, [Arc<Function>]> {
        let builtin = registry().functions(base);
        let own = self.catalog.constructed(base, &self.environment.search_path);
        let own: Vec<Arc<Function>> = own.flat_map(|oid| self.catalog.constructors(oid)).collect();
        if own.is_empty() { Cow::Borrowed(builtin) } else { Cow::Owned([builtin, &own].concat()) }
    }

    /// `function(…, VARIADIC array)`.
    fn call_spread(&mut self, base: &str, mut arguments: Vec<Expr>) -> Result<Expr> {
        let last = arguments.pop().unwrap_or_else(|| unknown(Datum::Null));
        let is_variadic = |function: &&Arc<Function>| {
            function.argument_types.len() == arguments.len() + 1 && function.variadic.is_some()
        };
        let functions: Vec<Arc<Function>> =
            self.functions_named(base).iter().filter(is_variadic).cloned().collect();
        let variadic = functions.iter().find_map(|function| function.variadic);
        let mut types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        let element = match (variadic, self.element_of(last.data_type())) {
            (Some(oids::ANY), Some(element)) => element,
            (Some(oids::ANY), None) => {
                return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, "VARIADIC argument must be an array"));
            }
            (Some(element), _) => element,
            (None, _) => {
                types.push(last.data_type().oid);
                // No function of the name takes that.
                registry().resolve_among(base, &[], &types, &self.types())?;
                return Err(SqlError::internal("a function among none"));
            }
        };
        types.push(element);
        let resolved = registry().resolve_among(base, &functions, &types, &self.types())?;
        let array = super::data_type::array_of(DataType::of(element), &self.types())?;
        let last = self.coerce(last, array, CastContext::Implicit)?;
        arguments.push(constant(Datum::Null, DataType::of(element)));
        let mut call = self.make_call(resolved, arguments)?;
        if let Expr::Call(call) = &mut call {
            call.arguments.pop();
            call.argument_types.pop();
            call.argument_types.push(last.data_type());
            call.arguments.push(last);
            call.spread = true;
        }
        Ok(call)
    }

    /// `function(a, name => b)`.
    fn call_by_names(&mut self, base: &str, list: &[FunctionArg]) -> Result<Expr> {
        let mut positional = Vec::new();
        let mut named: Vec<(String, Expr)> = Vec::new();
        for argument in list {
            match named_argument(argument) {
                Some((name, expr)) => {
                    let name = name::fold(name);
                    if named.iter().any(|(known, _)| *known == name) {
                        return Err(SqlError::syntax(format!(
                            "argument name \"{name}\" used more than once"
                        )));
                    }
                    named.push((name, self.bind(expr)?));
                }
                None if named.is_empty() => positional.push(self.bind(argument_expr(argument)?)?),
                None => {
                    return Err(SqlError::syntax("positional argument cannot follow named argument"));
                }
            }
        }
        for function in registry().functions(base) {
            if let Some(arguments) = arrange(function.parameters, &positional, &named) {
                return self.call_named(base, arguments);
            }
        }
        let shown = |expr: &Expr| self.type_name(expr.data_type());
        let mut all: Vec<String> = positional.iter().map(shown).collect();
        all.extend(named.iter().map(|(name, expr)| format!("{name} => {}", shown(expr))));
        Err(SqlError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {base}({}) does not exist", all.join(", ")),
        )
        .with_hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        ))
    }

    /// An argument; `table.*` is the table's whole row.
    pub(super) fn bind_call_argument(&mut self, argument: &FunctionArg) -> Result<Expr> {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(object)) => self.row_of(object),
            argument => self.bind(argument_expr(argument)?),
        }
    }

    /// The row of the relation that `table.*` names.
    /// `t.*` as a value: the row.
    pub(super) fn row_of(&mut self, object: &ast::ObjectName) -> Result<Expr> {
        let (_, alias) = name::split(object)?;
        let location = name::location(object);
        self.whole_row(&alias, location).ok_or_else(|| {
            let message = format!("missing FROM-clause entry for table \"{alias}\"");
            self.locate(SqlError::new(SqlState::UNDEFINED_TABLE, message), location)
        })
    }

    /// The fields of a row as it is written, `None` for anything else; literals may stay of type `unknown`.
    pub(super) fn bind_fields(&mut self, expr: &Ast) -> Result<Option<Vec<Expr>>> {
        match expr {
            Ast::Nested(inner) => self.bind_fields(inner),
            Ast::Tuple(fields) => {
                fields.iter().map(|field| self.bind(field)).collect::<Result<_>>().map(Some)
            }
            Ast::Function(ast::Function { args: FunctionArguments::List(list), .. })
                if row_fields(expr).is_some() =>
            {
                self.bind_row(&list.args).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The fields of `ROW(…)` with `table.*` among them, `None` for anything else.
    pub(super) fn bind_starred_row(&mut self, expr: &Ast) -> Result<Option<Vec<Expr>>> {
        match expr {
            Ast::Function(ast::Function { name, args: FunctionArguments::List(list), .. })
                if row_fields(expr).is_none()
                    && name::last(name).is_some_and(|name| name.value.eq_ignore_ascii_case("row")) =>
            {
                self.bind_row(&list.args).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The fields of a row as it is written, with the columns that `table.*` stands for among them.
    pub(super) fn bind_written_row(&mut self, expr: &Ast) -> Result<Vec<Expr>> {
        if let Ast::Nested(inner) = expr {
            return self.bind_written_row(inner);
        }
        let starred = self.bind_starred_row(expr)?;
        Ok(match starred {
            Some(fields) => fields,
            None => self.bind_fields(expr)?.unwrap_or_default(),
        })
    }

    /// A row of fields of known types, but for literals, which may become anything when the row does.
    pub(super) fn settled_row(&mut self, fields: Vec<Expr>) -> Result<Expr> {
        let known = |field| match field {
            Expr::Const { .. } => Ok(field),
            field => self.settle(field),
        };
        let fields = fields.into_iter().map(known).collect::<Result<_>>()?;
        Ok(row(fields))
    }

    /// The fields of `ROW(…)`: here `table.*` stands for the table's columns.
    fn bind_row(&mut self, list: &[FunctionArg]) -> Result<Vec<Expr>> {
        let mut fields = Vec::new();
        for argument in list {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(object)) => {
                    let whole = self.row_of(object)?;
                    fields.extend(self.record_fields(whole)?.into_iter().map(|(_, field)| field));
                }
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::CompoundFieldAccess {
                    root,
                    access_chain,
                })) if super::access::ends_in_star(access_chain) => {
                    let record = self.bind_access(root, &access_chain[..access_chain.len() - 1])?;
                    fields.extend(self.record_fields(record)?.into_iter().map(|(_, field)| field));
                }
                argument => fields.push(self.bind(argument_expr(argument)?)?),
            }
        }
        Ok(fields)
    }

    /// Calls a function by name, the ones with a syntax of their own included.
    fn call(&mut self, base: &str, mut arguments: Vec<Expr>) -> Result<Expr> {
        match (base, arguments.len()) {
            ("coalesce", 1..) => {
                self.refuse_row_columns(&arguments, "COALESCE")?;
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
            _ => self.call_named(base, arguments),
        }
    }

    /// Calls a function of the registry.
    pub(super) fn call_named(&mut self, base: &str, mut arguments: Vec<Expr>) -> Result<Expr> {
        let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        // A type's name before a literal reads it as that type, whatever functions there are.
        if types == [oids::UNKNOWN]
            && let Some(target) = self.types().named(base).filter(|info| info.category != Category::Pseudo)
            && let Some(only) = arguments.pop()
        {
            return self.coerce(only, DataType::of(target.oid), CastContext::Explicit);
        }
        let functions = self.functions_named(base);
        let resolved = match registry().resolve_among(base, &functions, &types, &self.types()) {
            Ok(resolved) => resolved,
            // `typename(value)` is a cast, and `column(row)` a field, where no function of the name takes it.
            Err(error) => {
                if let [row] = arguments.as_slice()
                    && let Some(shape) = self.row_shape_of(row.data_type())
                    && shape.fields.iter().any(|(name, _)| name == base)
                {
                    return self.record_field(row.clone(), base);
                }
                let target = self.types().named(base).map(|info| DataType::of(info.oid));
                return match (target, arguments.pop()) {
                    (Some(target), Some(only)) if arguments.is_empty() => {
                        let cast = self.coerce(only, target, CastContext::Explicit);
                        cast.map_err(|failed| match failed.state() {
                            SqlState::CANNOT_COERCE => error,
                            _ => failed,
                        })
                    }
                    _ => Err(error),
                };
            }
        };
        self.call_resolved(resolved, arguments)
    }

    /// Converts the arguments and makes the call; the rows of a set become a column.
    pub(super) fn call_resolved(&mut self, resolved: ResolvedFunction, arguments: Vec<Expr>) -> Result<Expr> {
        let returns_rows = resolved.function.returns_rows();
        let call = self.make_call(resolved, arguments)?;
        if returns_rows { self.collect_row_call(call) } else { Ok(call) }
    }

    /// Converts the arguments and makes the call.
    pub(super) fn make_call(&mut self, resolved: ResolvedFunction, arguments: Vec<Expr>) -> Result<Expr> {
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
        self.note_function("function", &resolved.function.name, &resolved.function.argument_types);
        match self.bind_waiting_call(&resolved.function, converted)? {
            Ok(call) => Ok(call),
            Err(converted) => {
                Ok(Expr::call(resolved.function, converted, DataType::of(resolved.return_type)))
            }
        }
    }

    /// `CURRENT_TIME` and its siblings, rounded to so many digits.
    fn bind_current(&mut self, base: &str, digits: u32) -> Result<Option<Expr>> {
        if !matches!(base, "current_timestamp" | "current_time" | "localtimestamp" | "localtime") {
            return Ok(None);
        }
        let now = self.call_named(base, Vec::new())?;
        let data_type = DataType { typmod: digits.min(6) as i32, ..now.data_type() };
        self.coerce(now, data_type, CastContext::Explicit).map(Some)
    }

    /// `CURRENT_DATE` and the other functions without parentheses.
    fn bind_keyword(&mut self, base: &str) -> Result<Expr> {
        match base {
            "current_timestamp" | "current_date" | "current_time" | "localtimestamp" | "localtime"
            | "session_user" | "current_user" | "user" | "current_role" | "current_catalog"
            | "current_schema" => self.call_named(base, Vec::new()),
            other => {
                Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{other}\" does not exist")))
            }
        }
    }
}

/// The form in `normalize(text, NFD)`, which is a keyword there.
fn normalization_form(base: &str, position: usize, argument: &Ast) -> Option<String> {
    let Ast::Identifier(form) = argument else { return None };
    let form = form.value.to_ascii_uppercase();
    let known = ["NFC", "NFD", "NFKC", "NFKD"].contains(&form.as_str());
    (base == "normalize" && position == 1 && known).then_some(form)
}

/// The parts of `name => value`.
fn named_argument(argument: &FunctionArg) -> Option<(&ast::Ident, &Ast)> {
    match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => Some((name, value)),
        FunctionArg::ExprNamed { name: Ast::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => {
            Some((name, value))
        }
        _ => None,
    }
}

/// Whether an expression is `(a, b)` or `ROW(…)`, perhaps in parentheses.
pub(super) fn is_written_row(expr: &Ast) -> bool {
    match expr {
        Ast::Nested(inner) => is_written_row(inner),
        Ast::Tuple(_) => true,
        Ast::Function(ast::Function { name, args: FunctionArguments::List(_), .. }) => {
            let is_row =
                |name: &ast::Ident| name.quote_style.is_none() && name.value.eq_ignore_ascii_case("row");
            name::last(name).is_some_and(is_row)
        }
        _ => false,
    }
}

/// The fields of `(a, b)` or `ROW(a, b)`.
pub(super) fn row_fields(expr: &Ast) -> Option<Vec<&Ast>> {
    match expr {
        Ast::Tuple(fields) => Some(fields.iter().collect()),
        Ast::Function(function) => {
            let name = name::last(&function.name)?;
            let FunctionArguments::List(list) = &function.args else { return None };
            let is_row = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("row");
            is_row.then(|| list.args.iter().map(|argument| argument_expr(argument).ok()).collect())?
        }
        _ => None,
    }
}

/// What a marked call stands for: a query that is a value.
pub(super) fn marked_value(call: &ast::Function) -> Option<&Ast> {
    let FunctionArguments::List(list) = &call.args else { return None };
    marked(name::last(&call.name)?).filter(|mark| *mark == VALUE)?;
    argument_expr(list.args.first()?).ok()
}

/// The arguments of a call whose last one is VARIADIC.
fn spread_arguments(list: &[FunctionArg]) -> Option<Vec<&Ast>> {
    let (last, first) = list.split_last()?;
    let (name, array) = named_argument(last)?;
    marked(name).filter(|mark| *mark == "variadic")?;
    let mut arguments = Vec::new();
    for argument in first {
        arguments.push(argument_expr(argument).ok()?);
    }
    arguments.push(array);
    Some(arguments)
}

/// The arguments in the order of the parameters, defaults put in; `None` where they do not fit.
fn arrange(
    parameters: &[(&str, Option<&str>)],
    positional: &[Expr],
    named: &[(String, Expr)],
) -> Option<Vec<Expr>> {
    let rest = parameters.get(positional.len()..)?;
    if !named.iter().all(|(name, _)| rest.iter().any(|(known, _)| known == name)) {
        return None;
    }
    let mut arguments = positional.to_vec();
    for (name, default) in rest {
        arguments.push(match named.iter().find(|(given, _)| given == name) {
            Some((_, expr)) => expr.clone(),
            None => unknown(Datum::text((*default)?)),
        });
    }
    Some(arguments)
}

/// A row of fields without names.
pub(super) fn row(fields: Vec<Expr>) -> Expr {
    let shape = RecordShape::unnamed(fields.iter().map(Expr::data_type));
    Expr::Row { fields, shape }
}

/// A plain argument.
pub(super) fn argument_expr(argument: &FunctionArg) -> Result<&Ast> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        FunctionArg::Unnamed(_) => Err(SqlError::syntax("syntax error at or near \"*\"")),
        FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
            Err(SqlError::unsupported("named arguments are not supported here"))
        }
    }
}
