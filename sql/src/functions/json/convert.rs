//! SQL values as JSON, and the casts of jsonb.

use crate::error::{Result, SqlError};
use crate::functions::EvalContext;
use crate::functions::cast::{CastContext, CastMethod};
use crate::functions::registry::{Entry, Registry};
use crate::functions::vector::wrong_arguments;
use crate::types::datetime::print::{Style, push_date, push_timestamp_xsd};
use crate::types::domain::base_type;
use crate::types::json::parse;
use crate::types::oids::{
    BOOL, DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, JSON, JSONB, NUMERIC, TIMESTAMP, TIMESTAMPTZ,
};
use crate::types::{BuiltinTypes, Oid, is_user_type};
use crate::value::json::{Json, JsonRef, push_string};
use crate::value::{ArrayValue, Datum, Numeric, Text};

/// What of an SQL value JSON tells apart.
enum Category<'a> {
    Null,
    Bool(bool),
    /// A number's text; not one of JSON's if it is not finite.
    Number(Text, bool),
    Json(&'a str),
    Jsonb(JsonRef<'a>),
    Array(&'a ArrayValue),
    Record(&'a crate::value::RecordValue),
    Other(Text),
}

fn categorize<'a>(value: &'a Datum, oid: Oid, context: &EvalContext<'_>) -> Result<Category<'a>> {
    // A domain's values are those of the type under it.
    let oid = if is_user_type(oid) { base_type(oid, context.types) } else { oid };
    let text = || context.to_text(value, oid);
    Ok(match (value, oid) {
        (Datum::Null, _) => Category::Null,
        (Datum::Bool(value), _) => Category::Bool(*value),
        (_, INT2 | INT4 | INT8 | FLOAT4 | FLOAT8 | NUMERIC) => {
            let text = text()?;
            let finite = text.ends_with(|last: char| last.is_ascii_digit());
            Category::Number(text, finite)
        }
        (Datum::Text(text), JSON) => Category::Json(text),
        (Datum::Jsonb(value), _) => Category::Jsonb(value.root()),
        (Datum::Array(array), _) => Category::Array(array),
        (Datum::Record(record), _) => Category::Record(record),
        (Datum::Date(date), DATE) => {
            let mut out = String::new();
            push_date(*date, Style::ISO, &mut out);
            Category::Other(Text::from(out))
        }
        (Datum::Timestamp(moment), TIMESTAMP) => {
            let mut out = String::new();
            push_timestamp_xsd(*moment, None, &mut out);
            Category::Other(Text::from(out))
        }
        (Datum::TimestampTz(moment), TIMESTAMPTZ) => {
            let mut out = String::new();
            push_timestamp_xsd(*moment, Some(&context.settings.time_zone), &mut out);
            Category::Other(Text::from(out))
        }
        _ => Category::Other(text()?),
    })
}

/// Appends a value as JSON text; `pretty` breaks the line between the elements of the outermost level.
pub(super) fn append(
    value: &Datum,
    oid: Oid,
    pretty: bool,
    out: &mut String,
    context: &EvalContext<'_>,
) -> Result<()> {
    let separator = if pretty { ",\n " } else { "," };
    match categorize(value, oid, context)? {
        Category::Null => out.push_str("null"),
        Category::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Category::Number(text, true) => out.push_str(&text),
        Category::Number(text, false) | Category::Other(text) => push_string(&text, out),
        Category::Json(text) => out.push_str(text),
        Category::Jsonb(value) => value.print(out),
        Category::Array(array) => {
            let mut elements = array.elements.iter();
            append_level(array, 0, separator, &mut elements, out, context)?;
        }
        Category::Record(record) => {
            out.push('{');
            for (index, (name, data_type, field)) in record.named().enumerate() {
                if index > 0 {
                    out.push_str(separator);
                }
                push_string(name, out);
                out.push(':');
                append(field, data_type.oid, false, out, context)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn append_level(
    array: &ArrayValue,
    depth: usize,
    separator: &str,
    elements: &mut std::slice::Iter<'_, Datum>,
    out: &mut String,
    context: &EvalContext<'_>,
) -> Result<()> {
    out.push('[');
    let count = array.dimensions.get(depth).map_or(0, |dimension| dimension.length);
    for index in 0..count {
        if index > 0 {
            out.push_str(separator);
        }
        if depth + 1 < array.dimensions.len() {
            append_level(array, depth + 1, ",", elements, out, context)?;
        } else if let Some(element) = elements.next() {
            append(element, array.element_type, false, out, context)?;
        }
    }
    out.push(']');
    Ok(())
}

/// The tree of a value.
pub(crate) fn tree(value: &Datum, oid: Oid, context: &EvalContext<'_>) -> Result<Json> {
    Ok(match categorize(value, oid, context)? {
        Category::Null => Json::Null,
        Category::Bool(value) => Json::Bool(value),
        Category::Number(text, true) => Json::Number(Numeric::parse(&text)?),
        Category::Number(text, false) | Category::Other(text) => Json::String(text),
        Category::Json(text) => parse(text, true)?.to_tree()?,
        Category::Jsonb(value) => value.to_tree(),
        Category::Array(array) => {
            let mut elements = array.elements.iter();
            tree_level(array, 0, &mut elements, context)?
        }
        Category::Record(record) => {
            let member = |(name, data_type, field): (&Text, crate::types::DataType, &Datum)| {
                Ok((name.clone(), tree(field, data_type.oid, context)?))
            };
            Json::object(record.named().map(member).collect::<Result<_>>()?)
        }
    })
}

fn tree_level(
    array: &ArrayValue,
    depth: usize,
    elements: &mut std::slice::Iter<'_, Datum>,
    context: &EvalContext<'_>,
) -> Result<Json> {
    let count = array.dimensions.get(depth).map_or(0, |dimension| dimension.length);
    let mut level = Vec::new();
    for _ in 0..count {
        if depth + 1 < array.dimensions.len() {
            level.push(tree_level(array, depth + 1, elements, context)?);
        } else if let Some(element) = elements.next() {
            level.push(tree(element, array.element_type, context)?);
        }
    }
    Ok(Json::Array(level))
}

/// An object's key.
pub(super) struct Key(pub Text);

/// A value as a key: its text, whatever its type.
pub(super) fn key_of(value: &Datum, oid: Oid, context: &EvalContext<'_>) -> Result<Key> {
    match categorize(value, oid, context)? {
        Category::Bool(value) => Ok(Key(Text::new_static(if value { "true" } else { "false" }))),
        Category::Number(text, _) | Category::Other(text) => Ok(Key(text)),
        _ => Err(SqlError::invalid_parameter("key value must be scalar, not array, composite, or json")),
    }
}

/// Appends a value as a key.
pub(super) fn append_key(value: &Datum, oid: Oid, out: &mut String, context: &EvalContext<'_>) -> Result<()> {
    let Key(key) = key_of(value, oid, context)?;
    push_string(&key, out);
    Ok(())
}

/// Casts of jsonb to the scalar that it holds: numbers go through NUMERIC and its casts.
fn cast_out(registry: &mut Registry) {
    let targets = [
        (BOOL, "bool", "boolean"),
        (NUMERIC, "numeric", "numeric"),
        (INT2, "int2", "smallint"),
        (INT4, "int4", "integer"),
        (INT8, "int8", "bigint"),
        (FLOAT4, "float4", "real"),
        (FLOAT8, "float8", "double precision"),
    ];
    for (target, name, _) in targets {
        let entry = Entry::typed(name, &[JSONB], target, move |arguments, types, context| {
            let [Datum::Jsonb(value)] = arguments else { return Err(wrong_arguments()) };
            let target = types.result.oid;
            match value.root() {
                JsonRef::Bool(value) if target == BOOL => Ok(Datum::Bool(value)),
                JsonRef::Number(digits) if target != BOOL => {
                    let number = Datum::Numeric(Numeric::parse(digits)?);
                    let context_free = crate::functions::registry().cast_method(
                        NUMERIC,
                        target,
                        CastContext::Explicit,
                        &BuiltinTypes,
                    );
                    match context_free {
                        Some(CastMethod::Function(function)) => function.invoke(&[number], types, context),
                        _ => Ok(number),
                    }
                }
                other => {
                    let kind = match other.type_name() {
                        kind @ ("array" | "object") => kind,
                        "number" => "numeric",
                        kind => kind,
                    };
                    let name = crate::types::format_type(crate::types::DataType::of(target), &BuiltinTypes);
                    Err(SqlError::invalid_parameter(format!("cannot cast jsonb {kind} to type {name}")))
                }
            }
        });
        let function = registry.add(entry);
        registry.add_cast(JSONB, target, CastContext::Explicit, CastMethod::Function(function));
    }
}

pub(super) fn register(registry: &mut Registry) {
    cast_out(registry);
    registry.add_cast(JSONB, JSON, CastContext::Assignment, CastMethod::InOut);
    registry.add_cast(JSON, JSONB, CastContext::Assignment, CastMethod::InOut);
}
