//! Changing a jsonb: `||`, `-`, `#-`, `jsonb_set`, `jsonb_insert`, and leaving out nulls.

use super::access::array_index;
use super::{jsonb, texts};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::registry::{Entry, Registry};
use crate::functions::string::{int4, text};
use crate::functions::vector::wrong_arguments;
use crate::functions::{EvalContext, ScalarKernel};
use crate::types::json::{Kind, Node, parse};
use crate::types::oids::{BOOL, INT4, JSON, JSONB, TEXT, TEXT_ARRAY};
use crate::value::json::{Json, JsonRef, deeper, key_order, push_string};
use crate::value::{Datum, Text};

fn finished(tree: &Json) -> Result<Datum> {
    tree.encode().map(Datum::Jsonb)
}

/// Two objects become one, anything else a list end to end.
fn concatenate(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let (left, right) = (jsonb(arguments, 0)?.to_tree(), jsonb(arguments, 1)?.to_tree());
    let (left, right) = match (left, right) {
        (Json::Object(mut left), Json::Object(right)) => {
            left.extend(right);
            return finished(&Json::object(left));
        }
        other => other,
    };
    let list = |tree| if let Json::Array(elements) = tree { elements } else { vec![tree] };
    let mut elements = list(left);
    elements.extend(list(right));
    finished(&Json::Array(elements))
}

/// Removes keys of an object, or strings of an array.
fn without(value: JsonRef<'_>, removed: &dyn Fn(&str) -> bool) -> Result<Datum> {
    finished(&match value.to_tree() {
        Json::Object(mut members) => {
            members.retain(|(key, _)| !removed(key));
            Json::Object(members)
        }
        Json::Array(mut elements) => {
            elements.retain(|element| !matches!(element, Json::String(text) if removed(text)));
            Json::Array(elements)
        }
        _ => return Err(SqlError::invalid_parameter("cannot delete from scalar")),
    })
}

fn delete_key(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let key = text(arguments, 1)?;
    without(jsonb(arguments, 0)?, &|each| each == key)
}

fn delete_keys(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let keys = texts(arguments, 1)?;
    without(jsonb(arguments, 0)?, &|each| keys.contains(&Some(each)))
}

fn delete_index(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let index = i64::from(int4(arguments, 1)?);
    match jsonb(arguments, 0)?.to_tree() {
        Json::Array(mut elements) => {
            let index = if index < 0 { index + elements.len() as i64 } else { index };
            if let Some(index) = usize::try_from(index).ok().filter(|index| *index < elements.len()) {
                elements.remove(index);
            }
            finished(&Json::Array(elements))
        }
        Json::Object(_) => Err(SqlError::invalid_parameter("cannot delete from object using integer index")),
        _ => Err(SqlError::invalid_parameter("cannot delete from scalar")),
    }
}

/// What happens at the end of a path.
#[derive(Clone)]
enum Change {
    Delete,
    /// Puts a value there; where nothing is, only if `create` says so.
    Set {
        value: Json,
        create: bool,
    },
    /// Puts a value before or after an element, or under a new key.
    Insert {
        value: Json,
        after: bool,
    },
}

impl Change {
    /// The value to add where nothing is yet.
    fn addition(&self) -> Option<&Json> {
        match self {
            Change::Set { value, create: true } | Change::Insert { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// Changes what a path leads to; `position` is the number of its first step, for errors.
fn change(tree: &mut Json, path: &[Option<&str>], position: usize, how: &Change) -> Result<()> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    let step = step.ok_or_else(|| {
        let message = format!("path element at position {position} is null");
        SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
    });
    match tree {
        Json::Object(members) => change_member(members, step?, rest, position, how),
        Json::Array(elements) => change_element(elements, step?, rest, position, how),
        _ => Ok(()),
    }
}

fn change_member(
    members: &mut Vec<(Text, Json)>,
    key: &str,
    rest: &[Option<&str>],
    position: usize,
    how: &Change,
) -> Result<()> {
    let found = members.binary_search_by(|(each, _)| key_order(each, key));
    match (found, how) {
        (Ok(at), _) if !rest.is_empty() => deeper(|| change(&mut members[at].1, rest, position + 1, how))?,
        (Err(_), _) if !rest.is_empty() => {}
        (Ok(at), Change::Delete) => {
            members.remove(at);
        }
        (Ok(at), Change::Set { value, .. }) => members[at].1 = value.clone(),
        (Ok(_), Change::Insert { .. }) => {
            return Err(SqlError::invalid_parameter("cannot replace existing key")
                .with_hint("Try using the function jsonb_set to replace key value."));
        }
        (Err(at), how) => {
            if let Some(value) = how.addition() {
                members.insert(at, (Text::new(key), value.clone()));
            }
        }
    }
    Ok(())
}

fn change_element(
    elements: &mut Vec<Json>,
    step: &str,
    rest: &[Option<&str>],
    position: usize,
    how: &Change,
) -> Result<()> {
    let index = array_index(step).ok_or_else(|| {
        let message = format!("path element at position {position} is not an integer: \"{step}\"");
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    })?;
    let index = if index < 0 { index + elements.len() as i64 } else { index };
    let found = usize::try_from(index).ok().filter(|at| *at < elements.len());
    match (found, how) {
        (Some(at), _) if !rest.is_empty() => deeper(|| change(&mut elements[at], rest, position + 1, how))?,
        (None, _) if !rest.is_empty() => {}
        (Some(at), Change::Delete) => {
            elements.remove(at);
        }
        (Some(at), Change::Set { value, .. }) => elements[at] = value.clone(),
        (Some(at), Change::Insert { value, after }) => {
            elements.insert(at + usize::from(*after), value.clone());
        }
        (None, how) => {
            if let Some(value) = how.addition() {
                // Beyond either end: there.
                let at = if index < 0 { 0 } else { elements.len() };
                elements.insert(at, value.clone());
            }
        }
    }
    Ok(())
}

/// Changes the value of the first argument at the path of the second.
fn at_path(arguments: &[Datum], on_scalar: &str, how: &Change) -> Result<Datum> {
    let (value, path) = (jsonb(arguments, 0)?, texts(arguments, 1)?);
    if !value.is_container() {
        return Err(SqlError::invalid_parameter(on_scalar));
    }
    if path.is_empty() {
        return Ok(arguments[0].clone());
    }
    let mut tree = value.to_tree();
    let is_empty = match &tree {
        Json::Array(elements) => elements.is_empty(),
        Json::Object(members) => members.is_empty(),
        _ => false,
    };
    // Of what holds nothing, nothing can be taken, whatever the path is.
    if is_empty && matches!(how, Change::Delete) {
        return Ok(arguments[0].clone());
    }
    change(&mut tree, &path, 1, how)?;
    finished(&tree)
}

fn delete_path(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    at_path(arguments, "cannot delete path in scalar", &Change::Delete)
}

fn flag(arguments: &[Datum], index: usize, default: bool) -> bool {
    arguments.get(index).and_then(Datum::as_bool).unwrap_or(default)
}

fn set(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let how = Change::Set { value: jsonb(arguments, 2)?.to_tree(), create: flag(arguments, 3, true) };
    at_path(arguments, "cannot set path in scalar", &how)
}

fn insert(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let how = Change::Insert { value: jsonb(arguments, 2)?.to_tree(), after: flag(arguments, 3, false) };
    at_path(arguments, "cannot set path in scalar", &how)
}

/// `jsonb_set_lax`: says what a NULL value means.
fn set_lax(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    if arguments[..2].iter().chain(arguments.get(3)).any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let treatments = "null_value_treatment must be \"delete_key\", \"return_target\", \
                      \"use_json_null\", or \"raise_exception\"";
    let treatment = match arguments.get(4) {
        None => "use_json_null",
        Some(Datum::Text(treatment)) => treatment,
        Some(_) => return Err(SqlError::invalid_parameter(treatments)),
    };
    if !arguments[2].is_null() {
        return set(&arguments[..arguments.len().min(4)], context);
    }
    match treatment {
        "raise_exception" => Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "JSON value must not be null",
        )
        .with_detail("Exception was raised because null_value_treatment is \"raise_exception\".")
        .with_hint(
            "To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.",
        )),
        "use_json_null" => {
            let how = Change::Set { value: Json::Null, create: flag(arguments, 3, true) };
            at_path(arguments, "cannot set path in scalar", &how)
        }
        "delete_key" => delete_path(&arguments[..2], context),
        "return_target" => Ok(arguments[0].clone()),
        _ => Err(SqlError::invalid_parameter(treatments)),
    }
}

/// Members that are null are left out, at every depth.
fn strip_nulls(tree: Json) -> Json {
    match tree {
        Json::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| *value != Json::Null);
            Json::Object(kept.map(|(key, value)| (key, deeper(|| strip_nulls(value)))).collect())
        }
        Json::Array(elements) => {
            Json::Array(elements.into_iter().map(|each| deeper(|| strip_nulls(each))).collect())
        }
        scalar => scalar,
    }
}

/// The same for json's text, which loses its blanks.
fn print_stripped(node: &Node<'_>, out: &mut String) {
    match &node.kind {
        Kind::Object(members) => {
            out.push('{');
            let kept = members.iter().filter(|(_, value)| !matches!(value.kind, Kind::Null));
            for (index, (key, value)) in kept.enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_string(key, out);
                out.push(':');
                deeper(|| print_stripped(value, out));
            }
            out.push('}');
        }
        Kind::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                deeper(|| print_stripped(element, out));
            }
            out.push(']');
        }
        Kind::String(text) => push_string(text, out),
        _ => out.push_str(node.text),
    }
}

/// Names and defaults of arguments.
const SET_PARAMETERS: [(&str, Option<&str>); 5] = [
    ("jsonb_in", None),
    ("path", None),
    ("replacement", None),
    ("create_if_missing", Some("true")),
    ("null_value_treatment", Some("use_json_null")),
];
const INSERT_PARAMETERS: [(&str, Option<&str>); 4] =
    [("jsonb_in", None), ("path", None), ("replacement", None), ("insert_after", Some("false"))];

pub(super) fn register(registry: &mut Registry) {
    let operators: [(&'static str, &'static str, u32, ScalarKernel); 5] = [
        ("||", "jsonb_concat", JSONB, concatenate),
        ("-", "jsonb_delete", TEXT, delete_key),
        ("-", "jsonb_delete", TEXT_ARRAY, delete_keys),
        ("-", "jsonb_delete", INT4, delete_index),
        ("#-", "jsonb_delete_path", TEXT_ARRAY, delete_path),
    ];
    for (operator, name, argument, kernel) in operators {
        registry.add_operator(operator, Entry::new(name, &[JSONB, argument], JSONB, kernel));
    }
    let changing = [JSONB, TEXT_ARRAY, JSONB, BOOL, TEXT];
    let entry = Entry::new("jsonb_set", &changing[..4], JSONB, set).optional(1);
    registry.add(entry.parameters(&SET_PARAMETERS[..4]));
    let entry = Entry::new("jsonb_insert", &changing[..4], JSONB, insert).optional(1);
    registry.add(entry.parameters(&INSERT_PARAMETERS));
    let entry = Entry::new("jsonb_set_lax", &changing, JSONB, set_lax).optional(2).not_strict();
    registry.add(entry.parameters(&SET_PARAMETERS));
    registry.add(Entry::new("jsonb_strip_nulls", &[JSONB], JSONB, |arguments, _| {
        finished(&strip_nulls(jsonb(arguments, 0)?.to_tree()))
    }));
    registry.add(Entry::new("json_strip_nulls", &[JSON], JSON, |arguments, _| {
        let [Datum::Text(text)] = arguments else { return Err(wrong_arguments()) };
        let mut out = String::new();
        print_stripped(&parse(text, true)?, &mut out);
        Ok(Datum::from(out))
    }));
    registry.add(Entry::new("jsonb_pretty", &[JSONB], TEXT, |arguments, _| {
        let mut out = String::new();
        jsonb(arguments, 0)?.print_pretty(0, &mut out);
        Ok(Datum::from(out))
    }));
}
