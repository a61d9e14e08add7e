//! The order of jsonb values, and the ordered keys that go by it.
//!
//! Kinds in ascending order: null, string, number, boolean, array, object. Of two arrays or objects the one with
//! fewer elements comes first, then they go element by element (key, value, key, value). A value that is nothing but
//! a scalar counts as an array of one element, just before the real array with that element.

use super::{Elements, JsonRef, StoredNumber, deeper};
use crate::value::key_numeric;
use std::cmp::Ordering;

/// Compares two whole values.
#[must_use]
pub fn compare(left: JsonRef<'_>, right: JsonRef<'_>) -> Ordering {
    let (left_count, left_real) = as_array(left);
    let (right_count, right_real) = as_array(right);
    match (left, right) {
        (JsonRef::Object(_), JsonRef::Object(_)) | (JsonRef::Array(_), JsonRef::Array(_)) => {
            compare_inner(left, right)
        }
        (JsonRef::Object(_), _) => Ordering::Greater,
        (_, JsonRef::Object(_)) => Ordering::Less,
        _ => left_count
            .cmp(&right_count)
            .then(left_real.cmp(&right_real))
            .then_with(|| compare_inner(left, right)),
    }
}

/// A whole value's number of elements, and whether it is an array at all.
fn as_array(value: JsonRef<'_>) -> (usize, bool) {
    match value {
        JsonRef::Array(elements) => (elements.len(), true),
        _ => (1, false),
    }
}

fn kind_number(value: JsonRef<'_>) -> u8 {
    match value {
        JsonRef::Null => 0,
        JsonRef::String(_) => 1,
        JsonRef::Number(_) => 2,
        JsonRef::Bool(_) => 3,
        JsonRef::Array(_) => 4,
        JsonRef::Object(_) => 5,
    }
}

fn compare_inner(left: JsonRef<'_>, right: JsonRef<'_>) -> Ordering {
    match (left, right) {
        (JsonRef::String(left), JsonRef::String(right)) => left.cmp(right),
        (JsonRef::Number(left), JsonRef::Number(right)) => left.parse_numeric().cmp(&right.parse_numeric()),
        (JsonRef::Bool(left), JsonRef::Bool(right)) => left.cmp(&right),
        (JsonRef::Array(left), JsonRef::Array(right)) => {
            left.len().cmp(&right.len()).then_with(|| compare_elements(left, right))
        }
        (JsonRef::Object(left), JsonRef::Object(right)) => {
            let pairs = || left.zip(right);
            let by_member = |((left_key, left), (right_key, right)): ((&str, _), (&str, _))| {
                left_key.cmp(right_key).then_with(|| deeper(|| compare_inner(left, right)))
            };
            let order = left.len().cmp(&right.len());
            order.then_with(|| pairs().map(by_member).find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
        }
        _ => kind_number(left).cmp(&kind_number(right)),
    }
}

fn compare_elements(left: Elements<'_>, right: Elements<'_>) -> Ordering {
    let mut orders = left.zip(right).map(|(left, right)| deeper(|| compare_inner(left, right)));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Appends bytes whose order is that of [`compare`], and which no other value's bytes begin with.
pub fn encode_key(value: JsonRef<'_>, out: &mut Vec<u8>) {
    if let JsonRef::Object(_) = value {
        return append_inner(value, out);
    }
    let (count, real) = as_array(value);
    out.push(kind_number(JsonRef::Array(Elements { count: 0, bytes: &[] })));
    out.extend_from_slice(&(count as u32).to_be_bytes());
    out.push(u8::from(real));
    match value {
        JsonRef::Array(elements) => elements.for_each(|element| deeper(|| append_inner(element, out))),
        scalar => append_inner(scalar, out),
    }
}

fn append_inner(value: JsonRef<'_>, out: &mut Vec<u8>) {
    out.push(kind_number(value));
    match value {
        JsonRef::Null => {}
        JsonRef::Bool(value) => out.push(u8::from(value)),
        JsonRef::Number(digits) => key_numeric::encode(&digits.parse_numeric(), out),
        JsonRef::String(text) => append_text(text, out),
        JsonRef::Array(elements) => {
            out.extend_from_slice(&(elements.len() as u32).to_be_bytes());
            elements.for_each(|element| deeper(|| append_inner(element, out)));
        }
        JsonRef::Object(members) => {
            out.extend_from_slice(&(members.len() as u32).to_be_bytes());
            for (key, value) in members {
                append_text(key, out);
                deeper(|| append_inner(value, out));
            }
        }
    }
}

/// No text has a zero byte in it.
fn append_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}
