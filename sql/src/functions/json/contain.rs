//! What a jsonb contains: `@>`, `<@`, `?`, `?|`, `?&`; and its order.

use super::{jsonb, texts};
use crate::functions::registry::{Entry, Registry};
use crate::functions::string::text;
use crate::types::oids::{BOOL, JSONB, TEXT, TEXT_ARRAY};
use crate::value::Datum;
use crate::value::json::{JsonRef, compare, deeper};

/// Whether `outer @> inner` for whole values: an array contains a scalar that is one of its elements.
#[must_use]
pub fn contains(outer: JsonRef<'_>, inner: JsonRef<'_>) -> bool {
    match (outer, inner) {
        (JsonRef::Array(_), inner) if !inner.is_container() => has_element(outer, inner),
        _ => contains_inner(outer, inner),
    }
}

fn contains_inner(outer: JsonRef<'_>, inner: JsonRef<'_>) -> bool {
    match (outer, inner) {
        (JsonRef::Object(members), JsonRef::Object(wanted)) => {
            members.len() >= wanted.len() && { wanted }.all(|(key, value)| {
                outer.member(key).is_some_and(|found| deeper(|| contains_inner(found, value)))
            })
        }
        (JsonRef::Array(_), JsonRef::Array(mut wanted)) => wanted.all(|value| has_element(outer, value)),
        // Integers are written in one way.
        (JsonRef::Number(outer), JsonRef::Number(inner))
            if outer == inner || !(outer.contains('.') || inner.contains('.')) =>
        {
            outer == inner
        }
        (outer, inner) => !outer.is_container() && !inner.is_container() && compare(outer, inner).is_eq(),
    }
}

/// Whether an element of an array contains a value (equals it, if it is a scalar).
fn has_element(array: JsonRef<'_>, wanted: JsonRef<'_>) -> bool {
    let JsonRef::Array(mut elements) = array else { return false };
    elements.any(|element| deeper(|| contains_inner(element, wanted)))
}

/// Whether a text is a key of an object, an element of an array, or the value itself.
#[must_use]
pub fn exists(value: JsonRef<'_>, wanted: &str) -> bool {
    match value {
        JsonRef::Object(_) => value.member(wanted).is_some(),
        JsonRef::Array(mut elements) => {
            elements.any(|element| matches!(element, JsonRef::String(text) if text == wanted))
        }
        JsonRef::String(text) => text == wanted,
        _ => false,
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_operator(
        "@>",
        Entry::new("jsonb_contains", &[JSONB, JSONB], BOOL, |arguments, _| {
            Ok(Datum::Bool(contains(jsonb(arguments, 0)?, jsonb(arguments, 1)?)))
        }),
    );
    registry.add_operator(
        "<@",
        Entry::new("jsonb_contained", &[JSONB, JSONB], BOOL, |arguments, _| {
            Ok(Datum::Bool(contains(jsonb(arguments, 1)?, jsonb(arguments, 0)?)))
        }),
    );
    registry.add_operator(
        "?",
        Entry::new("jsonb_exists", &[JSONB, TEXT], BOOL, |arguments, _| {
            Ok(Datum::Bool(exists(jsonb(arguments, 0)?, text(arguments, 1)?)))
        }),
    );
    registry.add_operator(
        "?|",
        Entry::new("jsonb_exists_any", &[JSONB, TEXT_ARRAY], BOOL, |arguments, _| {
            let value = jsonb(arguments, 0)?;
            Ok(Datum::Bool(texts(arguments, 1)?.into_iter().flatten().any(|key| exists(value, key))))
        }),
    );
    registry.add_operator(
        "?&",
        Entry::new("jsonb_exists_all", &[JSONB, TEXT_ARRAY], BOOL, |arguments, _| {
            let value = jsonb(arguments, 0)?;
            Ok(Datum::Bool(texts(arguments, 1)?.into_iter().flatten().all(|key| exists(value, key))))
        }),
    );
}
