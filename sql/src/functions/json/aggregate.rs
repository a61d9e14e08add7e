//! `json_agg`, `json_object_agg` and their jsonb siblings.

use super::convert::{Key, append, append_key, key_of, tree};
use crate::error::{Result, SqlError};
use crate::functions::EvalContext;
use crate::functions::aggregate::{Accumulator, states};
use crate::functions::registry::Registry;
use crate::types::DataType;
use crate::types::oids::{ANY, ANYELEMENT, JSON, JSONB};
use crate::value::json::Json;
use crate::value::{Datum, Text};

/// The text of a json list or object without its brackets; `None` before the first row.
#[derive(Clone, Default)]
struct JsonText<const OBJECT: bool>(Option<String>);

impl<const OBJECT: bool> Accumulator for JsonText<OBJECT> {
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()> {
        let is_first = self.0.is_none();
        let out = self.0.get_or_insert_default();
        if !is_first {
            out.push_str(", ");
        }
        let value = arguments.len() - 1;
        if OBJECT {
            if arguments[0].is_null() {
                return Err(SqlError::invalid_parameter("field name must not be null"));
            }
            append_key(&arguments[0], types[0].oid, out, context)?;
            out.push_str(" : ");
        } else if !is_first && matches!(arguments[value], Datum::Array(_) | Datum::Record(_)) {
            out.push_str("\n ");
        }
        append(&arguments[value], types[value].oid, false, out, context)
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (None, Some(more)) => self.0 = Some(more.clone()),
            (Some(text), Some(more)) => {
                text.push_str(", ");
                text.push_str(more);
            }
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(match &self.0 {
            None => Datum::Null,
            Some(text) if OBJECT => Datum::from(format!("{{ {text} }}")),
            Some(text) => Datum::from(format!("[{text}]")),
        })
    }

    fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, String::capacity)
    }
}

/// The elements of a jsonb list, and what they take beyond themselves, bytes.
#[derive(Clone, Default)]
struct JsonbList(Option<Vec<Json>>, usize);

impl Accumulator for JsonbList {
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()> {
        let element = tree(&arguments[0], types[0].oid, context)?;
        self.1 += element.heap_bytes();
        self.0.get_or_insert_default().push(element);
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        if let Some(more) = &other.0 {
            self.0.get_or_insert_default().extend(more.iter().cloned());
            self.1 += other.1;
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        match &self.0 {
            None => Ok(Datum::Null),
            Some(elements) => Json::Array(elements.clone()).encode().map(Datum::Jsonb),
        }
    }

    fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |elements| elements.capacity() * size_of::<Json>()) + self.1
    }
}

/// The members of a jsonb object, and what they take beyond themselves, bytes.
#[derive(Clone, Default)]
struct JsonbMembers(Option<Vec<(Text, Json)>>, usize);

impl Accumulator for JsonbMembers {
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()> {
        if arguments[0].is_null() {
            return Err(SqlError::invalid_parameter("field name must not be null"));
        }
        let Key(key) = key_of(&arguments[0], types[0].oid, context)?;
        let value = tree(&arguments[1], types[1].oid, context)?;
        self.1 += key.len() + value.heap_bytes();
        self.0.get_or_insert_default().push((key, value));
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        if let Some(more) = &other.0 {
            self.0.get_or_insert_default().extend(more.iter().cloned());
            self.1 += other.1;
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        match &self.0 {
            None => Ok(Datum::Null),
            Some(members) => Json::object(members.clone()).encode().map(Datum::Jsonb),
        }
    }

    fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |members| members.capacity() * size_of::<(Text, Json)>()) + self.1
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_aggregate("json_agg", &[ANYELEMENT], JSON, states::<JsonText<false>>).order_sensitive = true;
    registry.add_aggregate("jsonb_agg", &[ANYELEMENT], JSONB, states::<JsonbList>).order_sensitive = true;
    registry.add_aggregate("json_object_agg", &[ANY, ANY], JSON, states::<JsonText<true>>).order_sensitive =
        true;
    registry.add_aggregate("jsonb_object_agg", &[ANY, ANY], JSONB, states::<JsonbMembers>).order_sensitive =
        true;
}
