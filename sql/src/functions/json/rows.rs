//! The parts of a value as rows: elements, members, keys.

use super::{Navigate, navigate};
use crate::error::{Result, SqlError};
use crate::functions::registry::{Entry, Registry};
use crate::functions::rows::{Rows, listed};
use crate::functions::{CallTypes, EvalContext};
use crate::types::Oid;
use crate::types::oids::{JSON, JSONB, RECORD, TEXT};
use crate::value::Datum;

/// How the parts are given.
fn part<V: Navigate>(value: V, as_text: bool) -> Result<Datum> {
    if as_text { Ok(Datum::from(value.text())) } else { value.datum() }
}

/// Whether a call asks for the text of the parts.
fn wants_text(types: &CallTypes<'_>) -> bool {
    types.result.oid == TEXT
}

fn elements(arguments: &[Datum], types: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    let is_json = matches!(arguments[0], Datum::Text(_));
    navigate!(&arguments[0], root => {
        let Some(elements) = root.elements() else {
            let name = if wants_text(types) { "json_array_elements_text" } else { "json_array_elements" };
            return Err(SqlError::invalid_parameter(match (is_json, root.type_name()) {
                (true, "object") => format!("cannot call {name} on a non-array"),
                (true, _) => format!("cannot call {name} on a scalar"),
                (false, "object") => "cannot extract elements from an object".to_owned(),
                (false, _) => "cannot extract elements from a scalar".to_owned(),
            }));
        };
        let rows = elements.into_iter().map(|element| Ok(vec![part(element, wants_text(types))?]));
        Ok(listed(rows.collect::<Result<_>>()?))
    })
}

fn members(argument: &Datum, as_text: bool) -> Result<Rows> {
    let is_json = matches!(argument, Datum::Text(_));
    navigate!(argument, root => {
        let Some(members) = root.members() else {
            return Err(SqlError::invalid_parameter(match (is_json, root.type_name()) {
                (true, "array") => "cannot deconstruct an array as an object".to_owned(),
                (true, _) => "cannot deconstruct a scalar".to_owned(),
                (false, _) => {
                    let name = if as_text { "jsonb_each_text" } else { "jsonb_each" };
                    format!("cannot call {name} on a non-object")
                }
            }));
        };
        let row = |(key, value)| Ok(vec![Datum::from(key), part(value, as_text)?]);
        Ok(listed(members.into_iter().map(row).collect::<Result<_>>()?))
    })
}

fn each(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    members(&arguments[0], false)
}

fn each_text(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    members(&arguments[0], true)
}

fn keys(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    let name = if matches!(arguments[0], Datum::Text(_)) { "json_object_keys" } else { "jsonb_object_keys" };
    navigate!(&arguments[0], root => {
        let Some(members) = root.members() else {
            let what = if root.type_name() == "array" { "an array" } else { "a scalar" };
            return Err(SqlError::invalid_parameter(format!("cannot call {name} on {what}")));
        };
        Ok(listed(members.into_iter().map(|(key, _)| vec![Datum::from(key)]).collect()))
    })
}

pub(super) fn register(registry: &mut Registry) {
    const MEMBER: [(&str, Oid); 2] = [("key", TEXT), ("value", JSON)];
    const MEMBER_B: [(&str, Oid); 2] = [("key", TEXT), ("value", JSONB)];
    const MEMBER_TEXT: [(&str, Oid); 2] = [("key", TEXT), ("value", TEXT)];
    const VALUE: [(&str, Oid); 1] = [("value", JSON)];
    const VALUE_B: [(&str, Oid); 1] = [("value", JSONB)];
    const VALUE_TEXT: [(&str, Oid); 1] = [("value", TEXT)];
    registry.add(Entry::rows("json_array_elements", &[JSON], JSON, elements).columns(&VALUE));
    registry.add(Entry::rows("jsonb_array_elements", &[JSONB], JSONB, elements).columns(&VALUE_B));
    for (oid, prefix, member) in [(JSON, "json", &MEMBER), (JSONB, "jsonb", &MEMBER_B)] {
        let name = |rest: &str| format!("{prefix}_{rest}");
        let text = Entry::rows(name("array_elements_text"), &[oid], TEXT, elements);
        registry.add(text.columns(&VALUE_TEXT));
        registry.add(Entry::rows(name("each"), &[oid], RECORD, each).columns(member));
        registry.add(Entry::rows(name("each_text"), &[oid], RECORD, each_text).columns(&MEMBER_TEXT));
        registry.add(Entry::rows(name("object_keys"), &[oid], TEXT, keys));
    }
}
