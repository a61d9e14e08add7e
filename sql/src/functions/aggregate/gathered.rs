//! Aggregates that keep all values: `string_agg` and `array_agg`.

use super::super::EvalContext;
use super::super::vector::wrong_arguments;
use super::Accumulator;
use crate::error::{Result, SqlError, SqlState};
use crate::types::DataType;
use crate::types::oids::BYTEA;
use crate::value::{ArrayValue, Datum};

/// `string_agg` of text or bytea.
#[derive(Clone, Default)]
pub(super) struct Joined {
    /// The first delimiter is not part of the result, but of a merge with what came before.
    first_delimiter: Vec<u8>,
    bytes: Option<Vec<u8>>,
}

fn bytes_of(value: &Datum) -> &[u8] {
    match value {
        Datum::Text(text) => text.as_bytes(),
        Datum::Bytes(bytes) => bytes,
        _ => &[],
    }
}

impl Accumulator for Joined {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        let [value, delimiter] = arguments else { return Err(wrong_arguments()) };
        if value.is_null() {
            return Ok(());
        }
        match &mut self.bytes {
            None => {
                self.first_delimiter = bytes_of(delimiter).to_vec();
                self.bytes = Some(bytes_of(value).to_vec());
            }
            Some(bytes) => {
                bytes.extend_from_slice(bytes_of(delimiter));
                bytes.extend_from_slice(bytes_of(value));
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &Joined) -> Result<()> {
        let Some(more) = &other.bytes else { return Ok(()) };
        match &mut self.bytes {
            None => *self = other.clone(),
            Some(bytes) => {
                bytes.extend_from_slice(&other.first_delimiter);
                bytes.extend_from_slice(more);
            }
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], result: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(match &self.bytes {
            None => Datum::Null,
            Some(bytes) if result.oid == BYTEA => Datum::from(bytes.clone()),
            Some(bytes) => Datum::text(String::from_utf8_lossy(bytes)),
        })
    }

    fn heap_bytes(&self) -> usize {
        self.first_delimiter.capacity() + self.bytes.as_ref().map_or(0, Vec::capacity)
    }
}

/// `array_agg`; of arrays, one more dimension.
#[derive(Clone, Default)]
pub(super) struct Gathered {
    elements: Vec<Datum>,
    /// What the elements take beyond themselves, bytes.
    bytes: usize,
}

impl Accumulator for Gathered {
    fn add(&mut self, arguments: &[Datum], types: &[DataType], context: &EvalContext<'_>) -> Result<()> {
        let value = &arguments[0];
        if value.is_null() && context.type_info(types[0].oid)?.element().is_some() {
            return Err(SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays"));
        }
        if let Datum::Array(array) = value {
            let refused = |what: &str| {
                Err(SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, format!("cannot accumulate {what}")))
            };
            match self.elements.first() {
                _ if array.dimensions.is_empty() => return refused("empty arrays"),
                Some(Datum::Array(first)) if first.dimensions != array.dimensions => {
                    return refused("arrays of different dimensionality");
                }
                _ => {}
            }
        }
        self.bytes += value.heap_bytes();
        self.elements.push(value.clone());
        Ok(())
    }

    fn merge(&mut self, other: &Gathered) -> Result<()> {
        self.elements.extend(other.elements.iter().cloned());
        self.bytes += other.bytes;
        Ok(())
    }

    fn finish(&self, types: &[DataType], result: DataType, context: &EvalContext<'_>) -> Result<Datum> {
        if self.elements.is_empty() {
            return Ok(Datum::Null);
        }
        let has_arrays = self.elements.iter().any(|element| matches!(element, Datum::Array(_)));
        if has_arrays {
            return crate::expr::make_array(self.elements.clone(), result, context);
        }
        Ok(ArrayValue::from_elements(types[0].oid, self.elements.clone()).into())
    }

    fn heap_bytes(&self) -> usize {
        self.elements.capacity() * size_of::<Datum>() + self.bytes
    }
}
