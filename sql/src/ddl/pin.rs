//! Literals of stored expressions under the types that their uses gave them when they were made: PostgreSQL stores constants, so that a
//! DEFAULT of `'today'` is the day on which it was written, and a view goes on meaning what it meant.
//!
//! 1. The binder notes each literal of unknown type with what it was converted to (`Binder::literal_uses`).
//! 2. Here those literals become `'…'::type` in the text that is stored; dates and times as the session read them then.

use std::collections::HashMap;

use sqlparser::ast::{self, Expr, Ident, Value, ValueWithSpan, VisitMut};
use sqlparser::tokenizer::{Location, Span};

use super::Ddl;
use crate::binder::{LiteralUse, stable_name};
use crate::error::Result;
use crate::execute::Timestamps;
use crate::functions::{EvalContext, Settings};
use crate::parser::visit::walk_expressions;
use crate::types::{Category, DataType, TypeCatalog, format_type, is_user_type, oids};

/// A literal's type as it is stored, and its text, where that is not the one that was written.
struct Pinned {
    data_type: ast::DataType,
    text: Option<String>,
}

/// Literals by their places in the statement and their texts.
type Found = HashMap<(Location, String), Option<Pinned>>;

/// Gives the literals of an expression or a query, which was bound, their types.
///
/// # Errors
/// What walking gives: none of its own.
pub fn pin(ddl: &Ddl, uses: &[LiteralUse], root: &mut impl VisitMut) -> Result<()> {
    let mut first: HashMap<(Location, &str), DataType> = HashMap::new();
    let mut found = Found::new();
    for each in uses {
        let place = (each.location, each.text.as_str());
        // One that was converted to several types keeps none.
        let is_one = *first.entry(place).or_insert(each.data_type) == each.data_type;
        let key = (each.location, each.text.clone());
        match is_one {
            true if found.contains_key(&key) => {}
            true => drop(found.insert(key, pinned(ddl, each))),
            false => drop(found.insert(key, None)),
        }
    }
    walk_expressions(root, &mut |node| {
        match node {
            // Its literal is a part of it.
            Expr::Interval(interval) => {
                if let Expr::Value(value) = interval.value.as_mut() {
                    value.span = Span::empty();
                }
            }
            Expr::Cast { expr, .. } => {
                if let Expr::Value(value) = expr.as_mut()
                    && let Some(pinned) = of_value(&found, value)
                {
                    if let Some(text) = &pinned.text {
                        value.value = Value::SingleQuotedString(text.clone());
                    }
                    value.span = Span::empty();
                }
            }
            Expr::TypedString(typed) => {
                if let Some(Pinned { text: Some(text), .. }) = of_value(&found, &typed.value) {
                    typed.value.value = Value::SingleQuotedString(text.clone());
                }
            }
            Expr::Value(value) => {
                let Some(pinned) = of_value(&found, value) else { return Ok(()) };
                let text = pinned.text.clone().map_or_else(|| value.value.clone(), Value::SingleQuotedString);
                // Without a place, so that it is not met again.
                *node = Expr::Cast {
                    kind: ast::CastKind::DoubleColon,
                    expr: Box::new(Expr::Value(text.with_empty_span())),
                    data_type: pinned.data_type.clone(),
                    format: None,
                };
            }
            _ => {}
        }
        Ok(())
    })
}

fn of_value<'f>(found: &'f Found, value: &ValueWithSpan) -> Option<&'f Pinned> {
    let text = match &value.value {
        Value::SingleQuotedString(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text)
        | Value::NationalStringLiteral(text) => text,
        Value::DollarQuotedString(quoted) => &quoted.value,
        _ => return None,
    };
    let start = value.span.start;
    if start.line == 0 {
        return None;
    }
    found.get(&(start, text.clone()))?.as_ref()
}

/// `None` for what is looked up when it runs, or has no type that can be written.
fn pinned(ddl: &Ddl, literal: &LiteralUse) -> Option<Pinned> {
    let given = literal.data_type;
    let types = ddl.types();
    let info = types.type_by_oid(given.oid)?;
    if info.category == Category::Pseudo || (given.oid == oids::INTERVAL && given.typmod >= 0) {
        return None;
    }
    let element = info.element().filter(|_| info.category == Category::Array);
    let data_type = match element {
        Some(element) => ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(
            Box::new(written_type(ddl, element)?),
            None,
        )),
        None => written_type(ddl, given.oid)?,
    };
    let text = match element.unwrap_or(given.oid) {
        oids::TIMESTAMPTZ | oids::TIMESTAMP | oids::DATE | oids::TIME | oids::TIMETZ => {
            Some(as_read_now(ddl, given.oid, &literal.text)?)
        }
        _ => None,
    };
    Some(Pinned { data_type, text })
}

/// The value that a text has now, in the form that all settings read alike.
fn as_read_now(ddl: &Ddl, oid: u32, text: &str) -> Option<String> {
    let execution = &ddl.execution;
    let context = execution.context();
    let info = context.type_info(oid).ok()?;
    let value = info.parse_text(text, -1, &context).ok()?;
    let plain = Settings::default();
    let times =
        Timestamps { transaction: context.transaction_timestamp, statement: context.statement_timestamp };
    let shown = EvalContext { settings: &plain, ..execution.environment.context(times, &execution.cancel) };
    let mut printed = String::new();
    info.print_text(&value, &mut printed, &shown).ok()?;
    Some(printed)
}

fn written_type(ddl: &Ddl, oid: u32) -> Option<ast::DataType> {
    let types = ddl.types();
    if is_user_type(oid) {
        let (schema, base) = types.place(oid)?;
        let schema = ddl.catalog.schema(schema)?;
        return Some(ast::DataType::Custom(stable_name(oid, &schema.name, base), Vec::new()));
    }
    let name = match oid {
        // `bit` and `character` are of length 1.
        oids::BIT | oids::VARBIT => return None,
        oids::BPCHAR => return Some(ast::DataType::Custom(Ident::new("bpchar").into(), Vec::new())),
        _ => format_type(DataType::of(oid), &types),
    };
    match crate::parser::parse_expression(&format!("NULL::{name}")).ok()? {
        Expr::Cast { data_type, .. } => Some(data_type),
        _ => None,
    }
}
