//! The functions, operators, casts and aggregates of json and jsonb.
//!
//! Functions that only read take both types: [`Navigate`] is what a parsed json and a stored jsonb have in common.

mod access;
mod aggregate;
mod assign;
mod build;
mod change;
mod contain;
mod convert;
mod populate;
mod rows;

pub use assign::assign_member;
pub use contain::{contains as jsonb_contains, exists as jsonb_exists};
pub(crate) use convert::tree as value_tree;

use super::registry::Registry;
use crate::error::Result;
use crate::types::json::{Kind, Node};
use crate::value::Datum;
use crate::value::json::JsonRef;

pub(super) fn register(registry: &mut Registry) {
    access::register(registry);
    contain::register(registry);
    change::register(registry);
    build::register(registry);
    convert::register(registry);
    aggregate::register(registry);
    rows::register(registry);
    populate::register(registry);
}

/// A value to look into.
trait Navigate: Copy {
    /// The value of a key, where this is an object.
    fn member(self, key: &str) -> Option<Self>;
    /// The element of a number, from the end if negative, where this is an array.
    fn element(self, index: i64) -> Option<Self>;
    /// The value itself, which jsonb takes for an array of one element where it is nothing but a scalar.
    fn sole_element(self, _: i64) -> Option<Self> {
        None
    }
    /// The elements of an array.
    fn elements(self) -> Option<Vec<Self>>;
    /// The members of an object.
    fn members(self) -> Option<Vec<(String, Self)>>;
    /// `null`, `boolean`, `number`, `string`, `array` or `object`.
    fn type_name(self) -> &'static str;
    /// The value as text: a string's content, `None` for null.
    fn text(self) -> Option<String>;
    /// The value as a json or jsonb of its own.
    fn datum(self) -> Result<Datum>;
}

impl Navigate for &Node<'_> {
    fn member(self, key: &str) -> Option<Self> {
        let Kind::Object(members) = &self.kind else { return None };
        members.iter().rev().find(|(each, _)| each == key).map(|(_, value)| value)
    }

    fn element(self, index: i64) -> Option<Self> {
        let Kind::Array(elements) = &self.kind else { return None };
        let index = if index < 0 { index + elements.len() as i64 } else { index };
        elements.get(usize::try_from(index).ok()?)
    }

    fn elements(self) -> Option<Vec<Self>> {
        if let Kind::Array(elements) = &self.kind { Some(elements.iter().collect()) } else { None }
    }

    fn members(self) -> Option<Vec<(String, Self)>> {
        let Kind::Object(members) = &self.kind else { return None };
        Some(members.iter().map(|(key, value)| (key.to_string(), value)).collect())
    }

    fn type_name(self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "boolean",
            Kind::Number => "number",
            Kind::String(_) => "string",
            Kind::Array(_) => "array",
            Kind::Object(_) => "object",
        }
    }

    fn text(self) -> Option<String> {
        match &self.kind {
            Kind::Null => None,
            Kind::String(text) => Some(text.to_string()),
            _ => Some(self.text.to_owned()),
        }
    }

    fn datum(self) -> Result<Datum> {
        Ok(Datum::text(self.text))
    }
}

impl Navigate for JsonRef<'_> {
    fn member(self, key: &str) -> Option<Self> {
        JsonRef::member(self, key)
    }

    fn element(self, index: i64) -> Option<Self> {
        JsonRef::element(self, index)
    }

    fn sole_element(self, index: i64) -> Option<Self> {
        (!self.is_container() && matches!(index, 0 | -1)).then_some(self)
    }

    fn elements(self) -> Option<Vec<Self>> {
        if let JsonRef::Array(elements) = self { Some(elements.collect()) } else { None }
    }

    fn members(self) -> Option<Vec<(String, Self)>> {
        let JsonRef::Object(members) = self else { return None };
        Some(members.map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn type_name(self) -> &'static str {
        JsonRef::type_name(self)
    }

    fn text(self) -> Option<String> {
        match self {
            JsonRef::Null => None,
            JsonRef::String(text) => Some(text.to_owned()),
            other => {
                let mut out = String::new();
                other.print(&mut out);
                Some(out)
            }
        }
    }

    fn datum(self) -> Result<Datum> {
        Ok(Datum::Jsonb(self.to_jsonb()))
    }
}

/// Evaluates `$body` with `$value` being the json or jsonb of `$datum` as a [`Navigate`].
macro_rules! navigate {
    ($datum:expr, $value:ident => $body:expr) => {
        match $datum {
            $crate::value::Datum::Text(text) => {
                let node = $crate::types::json::parse(text, true)?;
                let $value = &node;
                $body
            }
            $crate::value::Datum::Jsonb(stored) => {
                let $value = stored.root();
                $body
            }
            _ => return Err($crate::functions::vector::wrong_arguments()),
        }
    };
}

use navigate;

/// The jsonb of an argument.
fn jsonb(arguments: &[Datum], index: usize) -> Result<JsonRef<'_>> {
    match arguments.get(index) {
        Some(Datum::Jsonb(value)) => Ok(value.root()),
        _ => Err(super::vector::wrong_arguments()),
    }
}

/// The elements of a text[] argument; `None` for NULL ones.
fn texts(arguments: &[Datum], index: usize) -> Result<Vec<Option<&str>>> {
    match arguments.get(index) {
        Some(Datum::Array(array)) => Ok(array.elements.iter().map(Datum::as_text).collect()),
        _ => Err(super::vector::wrong_arguments()),
    }
}
