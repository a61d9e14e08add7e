//! Records out of objects: `json_populate_record` and its siblings. What a field becomes is decided by its type.
//!
//! `json_to_record` is called with one more argument than is written: a record of NULLs of the columns that the
//! alias declares.

use std::sync::Arc;

use super::{Navigate, navigate};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::registry::{Entry, Registry};
use crate::functions::rows::{Rows, listed};
use crate::functions::{CallTypes, EvalContext};
use crate::types::oids::{ANYELEMENT, BOOL, JSON, JSONB, RECORD};
use crate::types::{DataType, oids};
use crate::value::array::Dimension;
use crate::value::{ArrayValue, Datum, RecordValue};

fn invalid(message: &str) -> SqlError {
    SqlError::invalid_parameter(message)
}

/// A JSON value as a value of a type; `key` is named in errors.
fn convert<V: Navigate>(value: V, target: DataType, key: &str, context: &EvalContext<'_>) -> Result<Datum> {
    if matches!(target.oid, JSON | JSONB) {
        let datum = value.datum()?;
        let info = context.type_info(target.oid)?;
        return match (&datum, target.oid) {
            (Datum::Text(_), JSON) | (Datum::Jsonb(_), JSONB) => Ok(datum),
            (Datum::Text(text), _) => info.parse_text(text, -1, context),
            _ => Ok(Datum::Text(context.to_text(&datum, oids::JSONB)?)),
        };
    }
    if value.type_name() == "null" {
        return Ok(Datum::Null);
    }
    let info = context.type_info(target.oid)?;
    if let Some(shape) = info.row_shape()
        && value.type_name() != "string"
    {
        let nulls = RecordValue { fields: vec![Datum::Null; shape.fields.len()], shape: shape.clone() };
        return Ok(record(value, &nulls, "populate_composite", context)?.into());
    }
    if let Some(element) = info.element()
        && value.type_name() != "string"
    {
        let element = DataType { oid: element, typmod: target.typmod };
        return convert_array(value, element, key, context);
    }
    let text = value.text().unwrap_or_default();
    let parsed = info.parse_text(&text, target.typmod, context)?;
    info.apply_modifier(parsed, target.typmod, false)
}

fn convert_array<V: Navigate>(
    value: V,
    element: DataType,
    key: &str,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let expected = || {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array")
            .with_hint(format!("See the value of key \"{key}\"."))
    };
    let malformed = || {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "malformed JSON array")
            .with_detail("Multidimensional arrays must have sub-arrays with matching dimensions.")
    };
    let mut level = value.elements().ok_or_else(expected)?;
    let mut dimensions = vec![level.len()];
    // An array of arrays is one with more dimensions.
    while level.iter().any(|each| each.type_name() == "array") && !matches!(element.oid, JSON | JSONB) {
        let mut inner = Vec::new();
        let mut width = None;
        for each in &level {
            let elements = each.elements().ok_or_else(malformed)?;
            if *width.get_or_insert(elements.len()) != elements.len() {
                return Err(malformed());
            }
            inner.extend(elements);
        }
        dimensions.push(width.unwrap_or(0));
        level = inner;
    }
    let elements: Result<Vec<Datum>> =
        level.into_iter().map(|each| convert(each, element, key, context)).collect();
    let elements = elements?;
    if elements.is_empty() {
        return Ok(ArrayValue::from_elements(element.oid, elements).into());
    }
    let dimension = |length: usize| Dimension { length: length as i32, lower_bound: 1 };
    let dimensions = dimensions.into_iter().map(dimension).collect();
    Ok(ArrayValue { element_type: element.oid, dimensions, elements }.into())
}

/// The record of an object; fields that it lacks keep the base's values.
fn record<V: Navigate>(
    object: V,
    base: &RecordValue,
    function: &str,
    context: &EvalContext<'_>,
) -> Result<RecordValue> {
    match object.type_name() {
        "object" => {}
        "array" => return Err(invalid(&format!("cannot call {function} on an array"))),
        _ => return Err(invalid(&format!("cannot call {function} on a scalar"))),
    }
    let mut fields = Vec::new();
    for (name, data_type, kept) in base.named() {
        fields.push(match object.member(name) {
            Some(value) => convert(value, data_type, name, context)?,
            None => kept.clone(),
        });
    }
    Ok(RecordValue { fields, shape: base.shape.clone() })
}

/// What the names of functions of a value begin with.
fn prefix(value: &Datum) -> &'static str {
    if matches!(value, Datum::Text(_)) { "json" } else { "jsonb" }
}

/// The record that is filled in: the one that is given, or one of NULLs of its type.
fn base_of(
    arguments: &[Datum],
    types: &CallTypes<'_>,
    context: &EvalContext<'_>,
) -> Result<Arc<RecordValue>> {
    let prefix = prefix(&arguments[1]);
    if let Datum::Record(record) = &arguments[0] {
        return Ok(record.clone());
    }
    let given = types.arguments.first().map_or(RECORD, |given| given.oid);
    match context.type_info(given)?.row_shape() {
        Some(shape) => {
            let fields = vec![Datum::Null; shape.fields.len()];
            Ok(Arc::new(RecordValue { fields, shape: shape.clone() }))
        }
        None if given == RECORD => Err(SqlError::unsupported(format!("could not determine row type for result of {prefix}_populate_record"))
            .with_hint("Provide a non-null record argument, or call the function in the FROM clause using a column definition list.")),
        None => Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("first argument of {prefix}_populate_record must be a row type"),
        )),
    }
}

fn populate_record(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let base = base_of(arguments, types, context)?;
    if arguments[1].is_null() {
        return Ok(arguments[0].clone());
    }
    navigate!(&arguments[1], root => Ok(record(root, &base, "populate_composite", context)?.into()))
}

fn populate_recordset(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Rows> {
    let records = records(arguments, types, "populate_recordset", context)?;
    Ok(listed(records.into_iter().map(|record| vec![record.into()]).collect()))
}

fn to_recordset(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Rows> {
    let records = records(arguments, types, "to_recordset", context)?;
    Ok(listed(records.into_iter().map(|record| record.fields).collect()))
}

/// The records of an array of objects, for a function whose name ends so.
fn records(
    arguments: &[Datum],
    types: &CallTypes<'_>,
    name: &str,
    context: &EvalContext<'_>,
) -> Result<Vec<RecordValue>> {
    let base = base_of(arguments, types, context)?;
    if arguments[1].is_null() {
        return Ok(Vec::new());
    }
    let prefix = prefix(&arguments[1]);
    let function = &format!("{prefix}_{name}");
    navigate!(&arguments[1], root => {
        let Some(elements) = root.elements() else {
            return Err(invalid(&match root.type_name() {
                "object" => format!("cannot call {function} on an object"),
                _ => format!("cannot call {function} on a scalar"),
            }));
        };
        let mut rows = Vec::new();
        for element in elements {
            if element.type_name() != "object" {
                return Err(invalid(&format!("argument of {function} must be an array of objects")));
            }
            rows.push(record(element, &base, function, context)?);
        }
        Ok(rows)
    })
}

pub(super) fn register(registry: &mut Registry) {
    for (oid, prefix) in [(JSON, "json"), (JSONB, "jsonb")] {
        let name = |rest: &str| format!("{prefix}_{rest}");
        // Those of json take one more argument, of no effect.
        let filled = &[ANYELEMENT, oid, BOOL][..if oid == JSON { 3 } else { 2 }];
        let optional = filled.len() - 2;
        let one = Entry::typed(name("populate_record"), filled, ANYELEMENT, populate_record);
        let many = Entry::rows(name("populate_recordset"), filled, ANYELEMENT, populate_recordset);
        let declared = Entry::typed(name("to_record"), &[RECORD, oid], RECORD, populate_record);
        let all_declared = Entry::rows(name("to_recordset"), &[RECORD, oid], RECORD, to_recordset);
        for entry in [one.optional(optional), many.optional(optional), declared, all_declared] {
            registry.add(entry.not_strict().stable());
        }
    }
}
