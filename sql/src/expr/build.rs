//! Making bound expressions: resolving functions and operators and inserting the conversions they need.

use super::{Cast, Expr};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{CastContext, CastMethod, EvalContext, ResolvedFunction, common_type, registry};
use crate::types::{DataType, Oid, format_type, oids};
use crate::value::Datum;

/// `left name right`, or `name right` where there is no left side.
///
/// # Errors
/// 42883 or 42725, and 22P02 where an untyped literal is no value of the type it is taken for.
pub fn operator(name: &str, left: Option<Expr>, right: Expr, context: &EvalContext<'_>) -> Result<Expr> {
    let left_type = left.as_ref().map(Expr::type_oid);
    let resolved = registry().resolve_operator(name, left_type, right.type_oid(), context.types)?;
    call_resolved(&resolved, left.into_iter().chain([right]).collect(), context)
}

/// A call of a built-in function.
///
/// # Errors
/// As [`operator`].
pub fn function(name: &str, arguments: Vec<Expr>, context: &EvalContext<'_>) -> Result<Expr> {
    let types: Vec<Oid> = arguments.iter().map(Expr::type_oid).collect();
    let resolved = registry().resolve_function(name, &types, context.types)?;
    call_resolved(&resolved, arguments, context)
}

/// A call of a function already chosen: converts the arguments.
pub fn call_resolved(
    resolved: &ResolvedFunction,
    arguments: Vec<Expr>,
    context: &EvalContext<'_>,
) -> Result<Expr> {
    let mut converted = Vec::with_capacity(arguments.len());
    for (argument, &target) in arguments.into_iter().zip(&resolved.argument_types) {
        converted.push(if matches!(target, oids::ANY | oids::UNKNOWN) {
            argument
        } else {
            coerce(argument, DataType::of(target), CastContext::Implicit, context)?
        });
    }
    Ok(Expr::call(resolved.function.clone(), converted, DataType::of(resolved.return_type)))
}

/// `expr` as `target`: parses an untyped literal, converts anything else where `cast` allows it.
///
/// A value already of the type with the same modifier, or asked for without one, is left as it is.
///
/// # Errors
/// 42846 `cannot cast type …` for an explicit cast, else 42804; 22P02 and the like for a literal.
pub fn coerce(expr: Expr, target: DataType, cast: CastContext, context: &EvalContext<'_>) -> Result<Expr> {
    let source = expr.data_type();
    if source == target || (source.oid == target.oid && target.typmod < 0) {
        return Ok(expr);
    }
    if let Expr::Const { value, data_type } = &expr
        && (data_type.oid == oids::UNKNOWN || value.is_null())
    {
        return literal(value, target, cast, context);
    }
    if let Expr::Parameter { index, data_type } = expr
        && data_type.oid == oids::UNKNOWN
    {
        return Ok(Expr::Parameter { index, data_type: target });
    }
    let method = if source.oid == oids::UNKNOWN {
        Some(CastMethod::InOut)
    } else {
        registry().cast_method(source.oid, target.oid, cast, context.types)
    };
    let Some(method) = method else { return Err(cannot_cast(source, target, cast, context)) };
    let explicit = cast == CastContext::Explicit;
    Ok(Expr::Cast(Box::new(Cast { argument: expr, method, source, data_type: target, explicit })))
}

fn literal(value: &Datum, target: DataType, cast: CastContext, context: &EvalContext<'_>) -> Result<Expr> {
    let Datum::Text(text) = value else {
        return Ok(Expr::Const { value: Datum::Null, data_type: target });
    };
    let info = context.type_info(target.oid)?;
    let modifier = if target.oid == crate::types::oids::INTERVAL { target.typmod } else { -1 };
    let value = info.parse_text(text, modifier, context)?;
    let value = info.apply_modifier(value, target.typmod, cast == CastContext::Explicit)?;
    Ok(Expr::Const { value, data_type: target })
}

fn cannot_cast(source: DataType, target: DataType, cast: CastContext, context: &EvalContext<'_>) -> SqlError {
    let (from, to) = (
        format_type(DataType::of(source.oid), context.types),
        format_type(DataType::of(target.oid), context.types),
    );
    if cast == CastContext::Explicit {
        SqlError::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {to}"))
    } else {
        SqlError::new(SqlState::DATATYPE_MISMATCH, format!("cannot convert type {from} to {to}"))
    }
}

/// Brings expressions to one type, as the branches of CASE or the arguments of COALESCE; `what` names the
/// construct in the error.
///
/// # Errors
/// 42804 where they have no common type.
pub fn unify(exprs: Vec<Expr>, what: &str, context: &EvalContext<'_>) -> Result<(Vec<Expr>, DataType)> {
    let types: Vec<Oid> = exprs.iter().map(Expr::type_oid).collect();
    let oid = common_type(&types, what, registry(), context.types)?;
    // A modifier that all share is kept.
    let typmod = match exprs.first().map(Expr::data_type) {
        Some(first) if first.oid == oid && exprs.iter().all(|expr| expr.data_type() == first) => first.typmod,
        _ => -1,
    };
    let target = DataType { oid, typmod };
    let unified = exprs.into_iter().map(|expr| coerce(expr, target, CastContext::Implicit, context));
    Ok((unified.collect::<Result<_>>()?, target))
}

/// `argument [NOT] IN (list)`: the members and the argument are brought to one type where they have one, else
/// each is compared by its own `=`.
///
/// # Errors
/// 42883 where a member cannot be compared.
pub fn in_list(argument: Expr, list: Vec<Expr>, negated: bool, context: &EvalContext<'_>) -> Result<Expr> {
    let types: Vec<Oid> = list.iter().map(Expr::type_oid).chain([argument.type_oid()]).collect();
    let common = common_type(&types, "IN", registry(), context.types);
    let comparable = |oid: Oid| registry().resolve_operator("=", Some(oid), oid, context.types).is_ok();
    if let Ok(oid) = common
        && comparable(oid)
    {
        let target = DataType::of(oid);
        let argument = coerce(argument, target, CastContext::Implicit, context)?;
        let list = list.into_iter().map(|member| coerce(member, target, CastContext::Implicit, context));
        let list = list.collect::<Result<Vec<_>>>()?;
        return Ok(Expr::InList { argument: Box::new(argument), list, set: None, negated });
    }
    let name = if negated { "<>" } else { "=" };
    let tests = list.into_iter().map(|member| operator(name, Some(argument.clone()), member, context));
    let tests = tests.collect::<Result<Vec<_>>>()?;
    Ok(if negated { Expr::And(tests) } else { Expr::Or(tests) })
}
