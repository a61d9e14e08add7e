//! Reading parts of a value: `->`, `->>`, `#>`, `#>>`, lengths and kinds.

use super::{Navigate, jsonb, navigate, texts};
use crate::error::{Result, SqlError};
use crate::functions::registry::{Entry, Registry};
use crate::functions::string::{int4, text};
use crate::functions::vector::wrong_arguments;
use crate::functions::{EvalContext, ScalarKernel};
use crate::types::oids::{INT4, JSON, JSONB, TEXT, TEXT_ARRAY};
use crate::value::json::JsonRef;
use crate::value::{Column, ColumnBuilder, ColumnData, Datum, PhysicalKind};

fn value<V: Navigate>(found: Option<V>) -> Result<Datum> {
    found.map_or(Ok(Datum::Null), Navigate::datum)
}

fn content<V: Navigate>(found: Option<V>) -> Datum {
    Datum::from(found.and_then(Navigate::text))
}

/// The index that a step of a path means in an array.
pub(super) fn array_index(step: &str) -> Option<i64> {
    step.trim_start().parse::<i32>().ok().map(i64::from)
}

/// The value at the end of a path: keys of objects, numbers of elements.
pub(super) fn at_path<V: Navigate>(root: V, path: &[Option<&str>]) -> Option<V> {
    let mut current = root;
    for step in path {
        let step = (*step)?;
        current = match current.type_name() {
            "object" => current.member(step)?,
            "array" => current.element(array_index(step)?)?,
            _ => return None,
        };
    }
    Some(current)
}

fn member(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => value(root.member(text(arguments, 1)?)))
}

fn member_text(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => Ok(content(root.member(text(arguments, 1)?))))
}

/// `jsonb ->> key` for a column.
fn member_text_each(arguments: &[Column], _: &EvalContext<'_>) -> Result<Column> {
    let [values, keys] = arguments else { return Err(wrong_arguments()) };
    let (ColumnData::Jsonb(roots), ColumnData::Text(names)) = (values.data(), keys.data()) else {
        return Err(wrong_arguments());
    };
    let mut found = ColumnBuilder::new(PhysicalKind::Text, values.len());
    let mut printed = String::new();
    for row in 0..values.len() {
        let member = match values.is_null(row) || keys.is_null(row) {
            true => None,
            false => roots[values.stored_index(row)].root().member(names.get(keys.stored_index(row))),
        };
        let text = match member {
            None | Some(JsonRef::Null) => {
                found.push_null();
                continue;
            }
            Some(JsonRef::String(text) | JsonRef::Number(text)) => text,
            Some(other) => {
                printed.clear();
                other.print(&mut printed);
                &printed
            }
        };
        let ColumnData::Text(texts) = found.data_mut() else { return Err(wrong_arguments()) };
        texts.push(text);
        found.mark_valid();
    }
    Ok(found.finish())
}

fn element(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let index = i64::from(int4(arguments, 1)?);
    navigate!(&arguments[0], root => value(root.element(index).or(root.sole_element(index))))
}

fn element_text(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let index = i64::from(int4(arguments, 1)?);
    navigate!(&arguments[0], root => Ok(content(root.element(index).or(root.sole_element(index)))))
}

fn path(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => value(at_path(root, &texts(arguments, 1)?)))
}

fn path_text(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => Ok(content(at_path(root, &texts(arguments, 1)?))))
}

/// The steps of the variadic forms.
fn steps(arguments: &[Datum]) -> Vec<Option<&str>> {
    arguments[1..].iter().map(Datum::as_text).collect()
}

fn extract_path(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => value(at_path(root, &steps(arguments))))
}

fn extract_path_text(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => Ok(content(at_path(root, &steps(arguments)))))
}

fn array_length(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => match (root.elements(), root.type_name()) {
        (Some(elements), _) => Ok(Datum::Int32(elements.len() as i32)),
        (None, "object") => Err(SqlError::invalid_parameter("cannot get array length of a non-array")),
        (None, _) => Err(SqlError::invalid_parameter("cannot get array length of a scalar")),
    })
}

fn type_of(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    navigate!(&arguments[0], root => Ok(Datum::text(root.type_name())))
}

/// `jsonb[step]`: by key or by number.
fn subscript(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let root = jsonb(arguments, 0)?;
    match arguments.get(1) {
        Some(Datum::Int32(index)) => value(at_path(root, &[Some(&index.to_string())])),
        _ => value(at_path(root, &[Some(text(arguments, 1)?)])),
    }
}

pub(super) fn register(registry: &mut Registry) {
    for (oid, prefix) in [(JSON, "json"), (JSONB, "jsonb")] {
        let name = |rest: &str| format!("{prefix}_{rest}");
        let operators: [(&'static str, &str, u32, u32, ScalarKernel); 6] = [
            ("->", "object_field", TEXT, oid, member),
            ("->>", "object_field_text", TEXT, TEXT, member_text),
            ("->", "array_element", INT4, oid, element),
            ("->>", "array_element_text", INT4, TEXT, element_text),
            ("#>", "extract_path", TEXT_ARRAY, oid, path),
            ("#>>", "extract_path_text", TEXT_ARRAY, TEXT, path_text),
        ];
        for (operator, rest, argument, result, kernel) in operators {
            let mut entry = Entry::new(name(rest), &[oid, argument], result, kernel);
            if oid == JSONB && operator == "->>" && argument == TEXT {
                entry = entry.vectorized(member_text_each);
            }
            if argument == TEXT_ARRAY {
                registry.add_operator_only(operator, entry);
            } else {
                registry.add_operator(operator, entry);
            }
        }
        let variadic = |rest: &str, result, kernel| {
            Entry::new(name(rest), &[oid, TEXT_ARRAY], result, kernel).variadic(TEXT)
        };
        registry.add(variadic("extract_path", oid, extract_path));
        registry.add(variadic("extract_path_text", TEXT, extract_path_text));
        registry.add(Entry::new(name("array_length"), &[oid], INT4, array_length));
        registry.add(Entry::new(name("typeof"), &[oid], TEXT, type_of));
    }
    for index in [INT4, TEXT] {
        registry.add(Entry::new("jsonb_subscript", &[JSONB, index], JSONB, subscript));
    }
}
