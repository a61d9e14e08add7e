//! Expressions as EXPLAIN shows them.

use std::sync::Arc;

use super::SLOT;
use crate::binder::name::quote;
use crate::expr::Expr;
use crate::functions::{EvalContext, Settings, current_of, is_row_place};
use crate::plan::logical::{AggregateCall, SortKey};
use crate::plan::operators::{as_comparison, operator_name};
use crate::plan::physical::{Choices, KeyAccess};
use crate::plan::walk;
use crate::types::{DataType, TypeCatalog, format_type, oids};
use crate::value::Datum;

pub(super) fn conjunction(catalog: &dyn TypeCatalog, terms: &[Expr], names: &[String]) -> String {
    let texts: Vec<String> = terms.iter().map(|term| expression(catalog, term, names)).collect();
    match texts.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", texts.join(" AND ")),
    }
}

pub(super) fn sort_keys(catalog: &dyn TypeCatalog, keys: &[SortKey], names: &[String]) -> Vec<String> {
    keys.iter()
        .map(|key| {
            let mut text = expression(catalog, &key.expr, names);
            if key.descending {
                text.push_str(" DESC");
            }
            if key.nulls_first != key.descending {
                text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            text
        })
        .collect()
}

/// What an index is searched for, as one condition.
pub(super) fn index_condition(catalog: &dyn TypeCatalog, access: &KeyAccess) -> Option<String> {
    if let Some(cursor) = access.equal.first().and_then(cursor_of_place) {
        return Some(format!("CURRENT OF {}", quote(cursor)));
    }
    let mut terms = Vec::new();
    for (at, (name, value)) in access.key_names.iter().zip(&access.equal).enumerate() {
        terms.push(match access.nulls.contains(&at) {
            true => format!("({name} IS NULL)"),
            false => format!("({name} = {})", expression(catalog, value, &[])),
        });
    }
    if let (Some(name), Some(choices)) = (access.key_names.get(access.equal.len()), &access.choices) {
        let array = match choices {
            Choices::Values(values) => {
                let element = format_type(access.key[access.equal.len()].data_type, catalog);
                let values: Vec<String> = values.iter().map(|value| element_text(catalog, value)).collect();
                format!("'{{{}}}'::{element}[]", values.join(","))
            }
            Choices::Elements(array) => expression(catalog, array, &[]),
        };
        terms.push(format!("({name} = ANY ({array}))"));
    } else if let Some(name) = access.key_names.get(access.equal.len()) {
        let descending = access.key[access.equal.len()].descending;
        let (lower, upper) =
            if descending { (&access.upper, &access.lower) } else { (&access.lower, &access.upper) };
        if let Some((value, included)) = lower {
            terms.push(format!(
                "({name} {} {})",
                if *included { ">=" } else { ">" },
                expression(catalog, value, &[])
            ));
        }
        if let Some((value, included)) = upper {
            terms.push(format!(
                "({name} {} {})",
                if *included { "<=" } else { "<" },
                expression(catalog, value, &[])
            ));
        }
    }
    joined(terms)
}

/// The cursor whose row's place an expression is.
fn cursor_of_place(place: &Expr) -> Option<&str> {
    let Expr::Call(place) = place else { return None };
    match place.arguments.as_slice() {
        [Expr::Call(current)] if Arc::ptr_eq(&current.function, &current_of()) => {
            match current.arguments.first() {
                Some(Expr::Const { value, .. }) => value.as_text(),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A conjunction of texts.
pub(super) fn joined(mut terms: Vec<String>) -> Option<String> {
    match terms.len() {
        0 => None,
        1 => terms.pop(),
        _ => Some(format!("({})", terms.join(" AND "))),
    }
}

/// Whether a filter is what the index search already says.
pub(super) fn served(catalog: &dyn TypeCatalog, filter: &Expr, access: &KeyAccess, names: &[String]) -> bool {
    let listed = access.choices.as_ref().and_then(|_| access.key_names.get(access.equal.len()));
    if let Expr::InList { argument, negated: false, .. }
    | Expr::Quantified { left: argument, all: false, .. } = filter
    {
        return listed.is_some_and(|name| *name == expression(catalog, argument, names));
    }
    let equals = |column: &Expr| {
        let column = expression(catalog, column, names);
        access.key_names.iter().take(access.equal.len()).position(|name| *name == column)
    };
    match filter {
        Expr::IsNull { argument, negated: false } => {
            return equals(argument).is_some_and(|at| access.nulls.contains(&at));
        }
        Expr::Column { .. } => return equals(filter).is_some(),
        Expr::Not(column) if matches!(column.as_ref(), Expr::Column { .. }) => {
            return equals(column).is_some();
        }
        _ => {}
    }
    let Some((_, left, right)) = as_comparison(filter) else { return false };
    let column = match (left, right) {
        (side, value) | (value, side) if walk::is_constant(value) => expression(catalog, side, names),
        _ => return false,
    };
    let used = access.equal.len() + usize::from(access.lower.is_some() || access.upper.is_some());
    access.key_names.iter().take(used).any(|name| *name == column)
}

/// An aggregate call as text.
#[must_use]
pub fn aggregate(catalog: &dyn TypeCatalog, call: &AggregateCall, names: &[String]) -> String {
    let arguments: Vec<String> = call.arguments.iter().map(|each| expression(catalog, each, names)).collect();
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let arguments = if arguments.is_empty() { "*".to_string() } else { arguments.join(", ") };
    format!("{}({distinct}{arguments})", call.aggregate.name)
}

/// An expression as text, as PostgreSQL deparses it: operators in parentheses, literals with their types.
#[must_use]
pub fn expression(catalog: &dyn TypeCatalog, expr: &Expr, names: &[String]) -> String {
    let text = |expr: &Expr| expression(catalog, expr, names);
    let list = |exprs: &[Expr]| exprs.iter().map(text).collect::<Vec<_>>().join(", ");
    match expr {
        Expr::Const { value, data_type } => constant(catalog, value, *data_type),
        Expr::Column { index, .. } => names.get(*index).cloned().unwrap_or_else(|| format!("column{index}")),
        Expr::Parameter { index, .. } => format!("${}", index + 1),
        Expr::Outer { index, .. } => format!("{SLOT}{index}"),
        Expr::Call(call) if is_row_place(&call.function) => {
            let key = call.arguments.first().map_or_else(String::new, text);
            // The key is behind a table's columns, and joins call it by the table too.
            match key.rsplit_once('.') {
                Some((table, _)) => format!("{table}.ctid"),
                None => "ctid".to_owned(),
            }
        }
        Expr::Call(call) => match (operator_name(&call.function), call.arguments.as_slice()) {
            (Some(operator), [left, right]) => format!("({} {operator} {})", text(left), text(right)),
            (Some(operator), [operand]) => format!("({operator} {})", text(operand)),
            // The place of a row is shown as the column that it is asked for by.
            (None, [key]) if matches!(call.function.name.as_ref(), "ctid_of_number" | "ctid_of_key") => {
                text(key)
            }
            (None, [array, bounds @ ..]) if call.function.name == "array_slice" => {
                let subject = match array {
                    column @ Expr::Column { .. } => text(column),
                    other => format!("({})", text(other)),
                };
                // Before each bound stands whether it is given.
                let bound = |pair: &[Expr]| match pair {
                    [Expr::Const { value: Datum::Bool(true), .. }, value] => text(value),
                    _ => String::new(),
                };
                let slices = bounds.chunks(4).map(|pairs| match pairs.split_at_checked(2) {
                    Some((lower, upper)) => format!("[{}:{}]", bound(lower), bound(upper)),
                    None => String::new(),
                });
                format!("{subject}{}", slices.collect::<String>())
            }
            _ => format!("{}({})", call.function.name, list(&call.arguments)),
        },
        Expr::Cast(cast) => {
            let inner = text(&cast.argument);
            let inner =
                if matches!(cast.argument, Expr::Column { .. }) { format!("({inner})") } else { inner };
            format!("{inner}::{}", format_type(cast.data_type, catalog))
        }
        Expr::And(terms) => format!("({})", terms.iter().map(text).collect::<Vec<_>>().join(" AND ")),
        Expr::Or(terms) => format!("({})", terms.iter().map(text).collect::<Vec<_>>().join(" OR ")),
        Expr::Not(inner) => format!("(NOT {})", text(inner)),
        Expr::IsNull { argument, negated } => {
            format!("({} IS {}NULL)", text(argument), if *negated { "NOT " } else { "" })
        }
        Expr::IsTruth { argument, truth, negated } => format!(
            "({} IS {}{})",
            text(argument),
            if *negated { "NOT " } else { "" },
            if *truth { "TRUE" } else { "FALSE" }
        ),
        Expr::IsDistinct { left, right, negated } => {
            format!("({} IS {}DISTINCT FROM {})", text(left), if *negated { "NOT " } else { "" }, text(right))
        }
        Expr::Case { branches, otherwise, .. } => {
            let mut out = String::from("CASE");
            for (condition, result) in branches {
                out.push_str(&format!(" WHEN {} THEN {}", text(condition), text(result)));
            }
            if let Some(otherwise) = otherwise {
                out.push_str(&format!(" ELSE {}", text(otherwise)));
            }
            out + " END"
        }
        Expr::Coalesce { arguments, .. } => format!("COALESCE({})", list(arguments)),
        Expr::NullIf { equal, .. } => match equal.as_ref() {
            Expr::Call(call) => format!("NULLIF({})", list(&call.arguments)),
            other => format!("NULLIF({})", text(other)),
        },
        Expr::Extreme { arguments, greatest, .. } => {
            format!("{}({})", if *greatest { "GREATEST" } else { "LEAST" }, list(arguments))
        }
        Expr::InList { argument, list: members, negated, .. } => {
            let array: Vec<String> = members.iter().map(|member| plain(catalog, member, names)).collect();
            let element = format_type(DataType::of(argument.data_type().oid), catalog);
            let (operator, quantifier) = if *negated { ("<>", "ALL") } else { ("=", "ANY") };
            format!("({} {operator} {quantifier} ('{{{}}}'::{element}[]))", text(argument), array.join(","))
        }
        Expr::Quantified { left, array, function, all } => format!(
            "({} {} {} ({}))",
            text(left),
            operator_name(function).unwrap_or("="),
            if *all { "ALL" } else { "ANY" },
            text(array)
        ),
        Expr::Array { elements, .. } => format!("ARRAY[{}]", list(elements)),
        Expr::Row { fields, .. } => format!("ROW({})", list(fields)),
        Expr::Subscript { array, indices, .. } => {
            let subject = match array.as_ref() {
                column @ Expr::Column { .. } => text(column),
                other => format!("({})", text(other)),
            };
            let indices: String = indices.iter().map(|index| format!("[{}]", text(index))).collect();
            format!("{subject}{indices}")
        }
        Expr::Field { record, index, .. } => format!("({}).f{}", text(record), index + 1),
    }
}

/// A constant without its type.
fn plain(catalog: &dyn TypeCatalog, expr: &Expr, names: &[String]) -> String {
    match expr {
        Expr::Const { value, data_type } => printed(catalog, value, *data_type),
        other => expression(catalog, other, names),
    }
}

/// A value of an array's text.
fn element_text(catalog: &dyn TypeCatalog, value: &Expr) -> String {
    let text = plain(catalog, value, &[]);
    if matches!(value, Expr::Const { value: Datum::Null, .. }) {
        return text;
    }
    let mut quoted = String::new();
    crate::types::push_quoted(&text, &mut quoted);
    quoted
}

fn printed(catalog: &dyn TypeCatalog, value: &Datum, data_type: DataType) -> String {
    let settings = Settings::default();
    let context = EvalContext { types: catalog, ..EvalContext::detached(&settings) };
    if value.is_null() {
        return "NULL".into();
    }
    context.to_text(value, data_type.oid).map_or_else(|_| "?".into(), |text| text.to_string())
}

fn constant(catalog: &dyn TypeCatalog, value: &Datum, data_type: DataType) -> String {
    let type_name = format_type(data_type, catalog);
    if value.is_null() {
        return format!("NULL::{type_name}");
    }
    let text = printed(catalog, value, data_type);
    match data_type.oid {
        oids::BOOL => if text == "t" { "true" } else { "false" }.to_string(),
        oids::INT4 if !text.starts_with('-') => text,
        // One that looks like an integer would be read as one.
        oids::NUMERIC if text.starts_with(|first: char| first.is_ascii_digit()) && text.contains('.') => text,
        _ => format!("'{}'::{type_name}", text.replace('\'', "''")),
    }
}
