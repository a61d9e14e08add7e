//! Functions that give rows: what their kernels return, and those that belong nowhere else.

use super::registry::{Entry, Registry};
use super::{CallTypes, EvalContext};
use crate::error::Result;
use crate::types::oids::{ANYARRAY, ANYELEMENT, BOOL, INT4, TEXT};
use crate::value::Datum;

/// Gives rows one after another, when they are asked for.
pub trait RowSource: Send {
    /// The next row's columns.
    ///
    /// # Errors
    /// Whatever computing it raises.
    fn next(&mut self, context: &EvalContext<'_>) -> Result<Option<Vec<Datum>>>;
}

/// The rows of one call.
pub type Rows = Box<dyn RowSource>;

struct Listed(std::vec::IntoIter<Vec<Datum>>);

impl RowSource for Listed {
    fn next(&mut self, _: &EvalContext<'_>) -> Result<Option<Vec<Datum>>> {
        Ok(self.0.next())
    }
}

/// Rows that are all known.
#[must_use]
pub fn listed(rows: Vec<Vec<Datum>>) -> Rows {
    Box::new(Listed(rows.into_iter()))
}

/// The values of a column as rows.
pub(super) fn column(values: impl IntoIterator<Item = Datum>) -> Rows {
    listed(values.into_iter().map(|value| vec![value]).collect())
}

fn unnest(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    Ok(match &arguments[0] {
        Datum::Array(array) => column(array.elements.iter().cloned()),
        _ => column([]),
    })
}

/// The subscripts of one dimension, backwards if asked for.
fn subscripts(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    let dimension = arguments[1].as_i64().and_then(|at| usize::try_from(at - 1).ok());
    let bounds = match (&arguments[0], dimension) {
        (Datum::Array(array), Some(at)) => array.dimensions.get(at).copied(),
        _ => None,
    };
    let mut all: Vec<Datum> = bounds
        .into_iter()
        .flat_map(|each| each.lower_bound..each.lower_bound + each.length)
        .map(Datum::Int32)
        .collect();
    if let Some(Datum::Bool(true)) = arguments.get(2) {
        all.reverse();
    }
    Ok(column(all))
}

fn string_to_table(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Rows> {
    match super::string::string_to_array(arguments, context)? {
        Datum::Array(array) => Ok(column(array.elements.iter().cloned())),
        _ => Ok(column([])),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(Entry::rows("unnest", &[ANYARRAY], ANYELEMENT, unnest));
    registry.add(Entry::rows("generate_subscripts", &[ANYARRAY, INT4], INT4, subscripts));
    registry.add(Entry::rows("generate_subscripts", &[ANYARRAY, INT4, BOOL], INT4, subscripts));
    for count in [2, 3] {
        let entry = Entry::rows("string_to_table", &[TEXT, TEXT, TEXT][..count], TEXT, string_to_table);
        registry.add(entry.not_strict());
    }
}
