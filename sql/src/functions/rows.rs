//! Functions that give rows: what their kernels return, and those that belong nowhere else.

use super::registry::{Entry, Registry};
use super::{CallTypes, EvalContext};
use crate::error::Result;
use crate::types::Oid;
use crate::types::oids::{
    ANYARRAY, ANYELEMENT, BOOL, INT2, INT2_ARRAY, INT2VECTOR, INT4, INT4_ARRAY, NAME, NAME_ARRAY, OID,
    OIDVECTOR, RECORD, TEXT, TEXT_ARRAY,
};
use crate::value::{ArrayValue, ColumnBuilder, Datum};
use std::sync::Arc;

/// Gives rows one after another, when they are asked for.
pub trait RowSource: Send {
    /// The next row's columns.
    ///
    /// # Errors
    /// Whatever computing it raises.
    fn next(&mut self, context: &EvalContext<'_>) -> Result<Option<Vec<Datum>>>;

    /// Appends the next rows, no more than `room`, and tells how many; fewer are the last ones.
    ///
    /// # Errors
    /// As `next`. Columns may be of different lengths then.
    fn fill(
        &mut self,
        columns: &mut [ColumnBuilder],
        room: usize,
        context: &EvalContext<'_>,
    ) -> Result<usize> {
        for count in 0..room {
            let Some(row) = self.next(context)? else { return Ok(count) };
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value)?;
            }
        }
        Ok(room)
    }
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
    Ok(elements(&arguments[0]))
}

/// The elements of an array, in storage order.
struct Elements {
    array: Arc<ArrayValue>,
    next: usize,
}

impl RowSource for Elements {
    fn next(&mut self, _: &EvalContext<'_>) -> Result<Option<Vec<Datum>>> {
        let element = self.array.elements.get(self.next);
        self.next += 1;
        Ok(element.map(|element| vec![element.clone()]))
    }

    fn fill(&mut self, columns: &mut [ColumnBuilder], room: usize, _: &EvalContext<'_>) -> Result<usize> {
        let left = self.array.elements.get(self.next..).unwrap_or_default();
        let given = &left[..left.len().min(room)];
        if let [column] = columns {
            given.iter().try_for_each(|element| column.push(element.clone()))?;
        }
        self.next += given.len();
        Ok(given.len())
    }
}

/// An array's elements as rows; NULL has none.
fn elements(array: &Datum) -> Rows {
    match array {
        Datum::Array(array) => Box::new(Elements { array: array.clone(), next: 0 }),
        _ => column([]),
    }
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
    Ok(elements(&super::string::string_to_array(arguments, context)?))
}

/// The types of arrays that [`expanded`] takes, with its columns for each.
type Expanded = (Oid, [(&'static str, Oid); 2]);
static EXPANDED: [Expanded; 6] = [
    (INT2VECTOR, [("x", INT2), ("n", INT4)]),
    (OIDVECTOR, [("x", OID), ("n", INT4)]),
    (INT2_ARRAY, [("x", INT2), ("n", INT4)]),
    (INT4_ARRAY, [("x", INT4), ("n", INT4)]),
    (TEXT_ARRAY, [("x", TEXT), ("n", INT4)]),
    (NAME_ARRAY, [("x", NAME), ("n", INT4)]),
];

/// `information_schema._pg_expandarray`: the elements with their numbers, from 1.
fn expanded(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    let Datum::Array(array) = &arguments[0] else { return Ok(column([])) };
    let numbered = (1..).map(Datum::Int32);
    Ok(listed(array.elements.iter().zip(numbered).map(|(each, number)| vec![each.clone(), number]).collect()))
}

pub(super) fn register(registry: &mut Registry) {
    for (array, columns) in &EXPANDED {
        registry.add(Entry::rows("_pg_expandarray", &[*array], RECORD, expanded).columns(columns));
    }
    registry.add(Entry::rows("unnest", &[ANYARRAY], ANYELEMENT, unnest));
    registry.add(Entry::rows("generate_subscripts", &[ANYARRAY, INT4], INT4, subscripts));
    registry.add(Entry::rows("generate_subscripts", &[ANYARRAY, INT4, BOOL], INT4, subscripts));
    for count in [2, 3] {
        let entry = Entry::rows("string_to_table", &[TEXT, TEXT, TEXT][..count], TEXT, string_to_table);
        registry.add(entry.not_strict());
    }
}
