//! `SET j['a'][1] = …`: a jsonb with the value at a path changed; what is missing on the way is made.

use std::sync::{Arc, LazyLock};

use super::access::array_index;
use super::jsonb;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::registry::Entry;
use crate::functions::{EvalContext, Function};
use crate::types::oids::{ANY, JSONB};
use crate::value::json::{Json, deeper, key_order};
use crate::value::{Datum, Text};

/// The most elements that an array is filled up to.
const ELEMENTS_MAX: i64 = 1 << 24;

/// `(jsonb, value, subscript, …)`: subscripts are integers and texts.
#[must_use]
pub fn assign_member() -> Arc<Function> {
    static MEMBER: LazyLock<Arc<Function>> = LazyLock::new(|| {
        Entry::new("jsonb_set_element", &[JSONB, JSONB, ANY], JSONB, assign).not_strict().into_function()
    });
    MEMBER.clone()
}

fn assign(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let path = arguments[2..].iter().map(|subscript| match subscript {
        Datum::Int32(index) => Ok(index.to_string()),
        Datum::Text(key) => Ok(key.to_string()),
        _ => Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "jsonb subscript in assignment must not be null",
        )),
    });
    let path = path.collect::<Result<Vec<String>>>()?;
    let value = if arguments[1].is_null() { Json::Null } else { jsonb(arguments, 1)?.to_tree() };
    let mut tree = match (&arguments[0], &arguments[2]) {
        (Datum::Null, Datum::Int32(_)) => Json::Array(Vec::new()),
        (Datum::Null, _) => Json::Object(Vec::new()),
        _ => jsonb(arguments, 0)?.to_tree(),
    };
    put(&mut tree, &path, 1, value)?;
    tree.encode().map(Datum::Jsonb)
}

/// Puts a value at a path; `position` is the number of its first step, for errors.
fn put(tree: &mut Json, path: &[String], position: usize, value: Json) -> Result<()> {
    let Some((step, rest)) = path.split_first() else {
        *tree = value;
        return Ok(());
    };
    let place = match tree {
        Json::Object(members) => match members.binary_search_by(|(each, _)| key_order(each, step)) {
            Ok(at) => &mut members[at].1,
            Err(at) => {
                members.insert(at, (Text::new(step), made(rest, value)?));
                return Ok(());
            }
        },
        Json::Array(elements) => {
            let index = element_index(step, elements.len(), position)?;
            if index >= elements.len() {
                elements.resize(index, Json::Null);
                elements.push(made(rest, value)?);
                return Ok(());
            }
            &mut elements[index]
        }
        _ => {
            return Err(SqlError::invalid_parameter("cannot replace existing key")
                .with_detail("The path assumes key is a composite object, but it is a scalar value."));
        }
    };
    deeper(|| put(place, rest, position + 1, value))
}

/// A place in an array, perhaps behind its end.
fn element_index(step: &str, length: usize, position: usize) -> Result<usize> {
    let given = array_index(step).ok_or_else(|| {
        let message = format!("path element at position {position} is not an integer: \"{step}\"");
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    })?;
    let index = if given < 0 { given + length as i64 } else { given };
    if index < 0 {
        let message = format!("path element at position {position} is out of range: {given}");
        return Err(SqlError::invalid_parameter(message));
    }
    filled(index)
}

fn filled(index: i64) -> Result<usize> {
    usize::try_from(index).ok().filter(|_| index < ELEMENTS_MAX).ok_or_else(|| {
        SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("number of jsonb array elements exceeds the maximum allowed ({ELEMENTS_MAX})"),
        )
    })
}

/// What holds a value at a path where nothing is yet: arrays for steps that are integers.
fn made(path: &[String], value: Json) -> Result<Json> {
    path.iter().rev().try_fold(value, |value, step| match array_index(step) {
        Some(index) => {
            let mut elements = vec![Json::Null; filled(index.max(0))?];
            elements.push(value);
            Ok(Json::Array(elements))
        }
        None => Ok(Json::object(vec![(Text::new(step), value)])),
    })
}
