//! Making json and jsonb of other values: `to_json`, `row_to_json`, `json_build_object` and their siblings.

use super::convert::{Key, append, append_key, key_of, tree};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::registry::{Entry, Registry};
use crate::functions::vector::wrong_arguments;
use crate::functions::{CallTypes, EvalContext, TypedKernel};
use crate::types::oids::{ANY, ANYARRAY, ANYELEMENT, BOOL, JSON, JSONB, RECORD, TEXT_ARRAY};
use crate::value::json::{Json, push_string};
use crate::value::{ArrayValue, Datum, Text};

fn to_json(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let pretty = matches!(arguments.get(1), Some(Datum::Bool(true)));
    let mut out = String::new();
    append(&arguments[0], types.arguments[0].oid, pretty, &mut out, context)?;
    Ok(Datum::from(out))
}

fn to_jsonb(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    tree(&arguments[0], types.arguments[0].oid, context)?.encode().map(Datum::Jsonb)
}

fn build_array(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let mut out = String::from("[");
    for (index, (argument, data_type)) in arguments.iter().zip(types.arguments).enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        append(argument, data_type.oid, false, &mut out, context)?;
    }
    out.push(']');
    Ok(Datum::from(out))
}

fn build_array_b(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let pairs = arguments.iter().zip(types.arguments);
    let elements = pairs.map(|(argument, data_type)| tree(argument, data_type.oid, context));
    Json::Array(elements.collect::<Result<_>>()?).encode().map(Datum::Jsonb)
}

/// The arguments must be keys and values in turn.
fn check_pairs(arguments: &[Datum], function: &str) -> Result<()> {
    if arguments.len().is_multiple_of(2) {
        return Ok(());
    }
    Err(SqlError::invalid_parameter("argument list must have even number of elements")
        .with_hint(format!("The arguments of {function}() must consist of alternating keys and values.")))
}

fn build_object(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    check_pairs(arguments, "json_build_object")?;
    let mut out = String::from("{");
    for at in (0..arguments.len()).step_by(2) {
        if at > 0 {
            out.push_str(", ");
        }
        if arguments[at].is_null() {
            let error = SqlError::invalid_parameter(format!("argument {} cannot be null", at + 1));
            return Err(error.with_hint("Object keys should be text."));
        }
        append_key(&arguments[at], types.arguments[at].oid, &mut out, context)?;
        out.push_str(" : ");
        append(&arguments[at + 1], types.arguments[at + 1].oid, false, &mut out, context)?;
    }
    out.push('}');
    Ok(Datum::from(out))
}

fn build_object_b(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    check_pairs(arguments, "jsonb_build_object")?;
    let mut members: Vec<(Text, Json)> = Vec::new();
    for at in (0..arguments.len()).step_by(2) {
        if arguments[at].is_null() {
            return Err(SqlError::invalid_parameter(format!("argument {}: key must not be null", at + 1)));
        }
        let Key(key) = key_of(&arguments[at], types.arguments[at].oid, context)?;
        members.push((key, tree(&arguments[at + 1], types.arguments[at + 1].oid, context)?));
    }
    Json::object(members).encode().map(Datum::Jsonb)
}

// json_object: of arrays of text ----------------------------------------------------------------------------------

fn subscript_error(message: &str) -> SqlError {
    SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// The pairs of `json_object`: of a list of keys and values in turn, of a table of two columns, or of two lists.
fn pairs(arguments: &[Datum]) -> Result<Vec<(Text, Option<Text>)>> {
    let flat: Vec<(Datum, Datum)> = match arguments {
        [Datum::Array(array)] => {
            match array.dimensions.as_slice() {
                [] => {}
                [only] if only.length % 2 != 0 => {
                    return Err(subscript_error("array must have even number of elements"));
                }
                [_] => {}
                [_, columns] if columns.length != 2 => {
                    return Err(subscript_error("array must have two columns"));
                }
                [_, _] => {}
                _ => return Err(subscript_error("wrong number of array subscripts")),
            }
            array.elements.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
        }
        [Datum::Array(keys), Datum::Array(values)] => {
            let lists = |array: &ArrayValue| array.dimensions.len() > 1;
            if keys.dimensions.len() != values.dimensions.len() || lists(keys) {
                return Err(subscript_error("wrong number of array subscripts"));
            }
            if keys.elements.len() != values.elements.len() {
                return Err(subscript_error("mismatched array dimensions"));
            }
            keys.elements.iter().cloned().zip(values.elements.iter().cloned()).collect()
        }
        _ => return Err(wrong_arguments()),
    };
    let pair = |(key, value)| match (key, value) {
        (Datum::Text(key), Datum::Text(value)) => Ok((key, Some(value))),
        (Datum::Text(key), _) => Ok((key, None)),
        _ => Err(SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key")),
    };
    flat.into_iter().map(pair).collect()
}

fn object(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let mut out = String::from("{");
    for (index, (key, value)) in pairs(arguments)?.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push_string(&key, &mut out);
        out.push_str(" : ");
        match value {
            Some(value) => push_string(&value, &mut out),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(Datum::from(out))
}

fn object_b(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let members = pairs(arguments)?.into_iter();
    let members = members.map(|(key, value)| (key, value.map_or(Json::Null, Json::String)));
    Json::object(members.collect()).encode().map(Datum::Jsonb)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(Entry::typed("to_json", &[ANYELEMENT], JSON, to_json).stable());
    registry.add(Entry::typed("to_jsonb", &[ANYELEMENT], JSONB, to_jsonb).stable());
    registry.add(Entry::typed("row_to_json", &[RECORD, BOOL], JSON, to_json).optional(1).stable());
    registry.add(Entry::typed("array_to_json", &[ANYARRAY, BOOL], JSON, to_json).optional(1).stable());
    let builders: [(&'static str, u32, TypedKernel); 4] = [
        ("json_build_array", JSON, build_array),
        ("jsonb_build_array", JSONB, build_array_b),
        ("json_build_object", JSON, build_object),
        ("jsonb_build_object", JSONB, build_object_b),
    ];
    for (name, result, kernel) in builders {
        registry.add(Entry::typed(name, &[ANY], result, kernel).variadic(ANY).not_strict().stable());
        registry.add(Entry::typed(name, &[], result, kernel).not_strict().stable());
    }
    for count in [1, 2] {
        let lists = &[TEXT_ARRAY, TEXT_ARRAY][..count];
        registry.add(Entry::new("json_object", lists, JSON, object));
        registry.add(Entry::new("jsonb_object", lists, JSONB, object_b));
    }
}
