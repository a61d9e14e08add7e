//! Encoded keys of rows: for hashing, grouping, sorting and searching.

use std::collections::VecDeque;
use std::ops::Bound;

use helios_mvcc::KeyRange;

use super::Execution;
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::physical::{Choices, KeyAccess};
use crate::types::{DataType, builtin_type, tid};
use crate::value::key::{self, KeyColumn};
use crate::value::{Batch, Column, Datum, PhysicalKind};

/// The key columns that tell values of these types apart.
pub fn equality_columns(exprs: &[Expr]) -> Vec<KeyColumn> {
    exprs.iter().map(|expr| equality_column(expr.data_type())).collect()
}

/// The key column that tells values of a type apart.
pub fn equality_column(data_type: DataType) -> KeyColumn {
    let kind = builtin_type(data_type.oid).map_or(PhysicalKind::Text, |info| info.kind);
    KeyColumn::ascending(data_type, kind)
}

/// The same for values that are compared with some of another width: they meet as the widest.
pub fn wide_equality_column(data_type: DataType) -> KeyColumn {
    let column = equality_column(data_type);
    let kind = match column.kind {
        PhysicalKind::Int16 | PhysicalKind::Int32 => PhysicalKind::Int64,
        PhysicalKind::Float32 => PhysicalKind::Float64,
        kind => kind,
    };
    KeyColumn { kind, ..column }
}

/// Appends the key of one row; tells whether one of its values is NULL.
pub fn append_row_key(
    keys: &[KeyColumn],
    columns: &[Column],
    row: usize,
    wide: bool,
    out: &mut Vec<u8>,
) -> bool {
    let mut has_null = false;
    for (key_column, column) in keys.iter().zip(columns) {
        has_null |= column.is_null(row);
        key::encode_at(key_column, column, row, wide, out);
    }
    has_null
}

/// How rows are carried through a temporary file together with the values of expressions, so that none is evaluated
/// twice: those that are no columns go along as further columns.
pub struct Carried {
    /// Of each expression, the column that it is.
    columns: Vec<Option<usize>>,
}

impl Carried {
    #[must_use]
    pub fn new(exprs: &[Expr]) -> Carried {
        let column = |expr: &Expr| match expr {
            Expr::Column { index, .. } => Some(*index),
            _ => None,
        };
        Carried { columns: exprs.iter().map(column).collect() }
    }

    /// All columns of so many are keys.
    #[must_use]
    pub fn all_columns(count: usize) -> Carried {
        Carried { columns: (0..count).map(Some).collect() }
    }

    /// The rows to be written.
    #[must_use]
    pub fn pack(&self, batch: &Batch, values: &[Column]) -> Batch {
        let mut packed = batch.clone();
        let further = self.columns.iter().zip(values).filter(|(column, _)| column.is_none());
        packed.columns.extend(further.map(|(_, values)| values.clone()));
        packed
    }

    /// The rows and values of what was read.
    #[must_use]
    pub fn unpack(&self, mut packed: Batch) -> (Batch, Vec<Column>) {
        let count = self.columns.iter().filter(|column| column.is_none()).count();
        let mut further = packed.columns.split_off(packed.columns.len() - count).into_iter();
        let of = |column: &Option<usize>| match column {
            Some(index) => Some(packed.columns[*index].clone()),
            None => further.next(),
        };
        let values = self.columns.iter().filter_map(of).collect();
        (packed, values)
    }
}

/// Evaluates expressions into columns.
pub fn evaluate(exprs: &[Expr], batch: &Batch, execution: &Execution) -> Result<Vec<Column>> {
    let context = execution.context();
    exprs.iter().map(|expr| expr.eval_batch(batch, &context)).collect()
}

/// The ranges of keys that a search covers, in the order that it reads them.
///
/// # Errors
/// Those of evaluating what bounds them.
pub fn key_ranges(access: &KeyAccess, execution: &Execution) -> Result<VecDeque<KeyRange>> {
    let (Some(choices), Some(column)) = (&access.choices, access.key.get(access.equal.len())) else {
        return Ok(key_range(access, execution)?.into_iter().collect());
    };
    let Some(prefix) = equal_prefix(access, execution)? else { return Ok(VecDeque::new()) };
    let context = execution.context();
    let no_row: [Datum; 0] = [];
    let values = match choices {
        Choices::Values(values) => values
            .iter()
            .map(|value| value.eval_row(&no_row.as_slice(), &context))
            .collect::<Result<Vec<_>>>()?,
        Choices::Elements(array) => match array.eval_row(&no_row.as_slice(), &context)? {
            Datum::Array(array) => array.elements.to_vec(),
            _ => Vec::new(),
        },
    };
    let mut starts: Vec<Vec<u8>> = Vec::with_capacity(values.len());
    for value in values.iter().filter(|value| !value.is_null()) {
        let mut start = prefix.clone();
        if encode(access, column, value, &mut start) {
            starts.push(start);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    if access.reverse {
        starts.reverse();
    }
    Ok(starts.iter().map(|start| KeyRange::prefix(start)).collect())
}

/// Appends a value of a search's key; tells whether there can be a row with it.
fn encode(access: &KeyAccess, column: &KeyColumn, value: &Datum, out: &mut Vec<u8>) -> bool {
    if !access.by_place {
        key::encode(column, value, out);
        return true;
    }
    let Datum::Bytes(place) = value else { return false };
    let found = tid::row_key(place);
    out.extend(found.iter().flatten());
    found.is_some()
}

/// The bytes that all keys of a search begin with; `None` where a NULL makes it empty.
fn equal_prefix(access: &KeyAccess, execution: &Execution) -> Result<Option<Vec<u8>>> {
    let context = execution.context();
    let no_row: [Datum; 0] = [];
    let mut prefix = Vec::with_capacity(16 * access.equal.len());
    for (at, (column, expr)) in access.key.iter().zip(&access.equal).enumerate() {
        let value = expr.eval_row(&no_row.as_slice(), &context)?;
        if value.is_null() && !access.nulls.contains(&at) {
            return Ok(None);
        }
        if !encode(access, column, &value, &mut prefix) {
            return Ok(None);
        }
    }
    Ok(Some(prefix))
}

/// The range of keys that a search covers, but for its choices; `None` where a NULL makes it empty.
///
/// # Errors
/// Those of evaluating its bounds.
pub fn key_range(access: &KeyAccess, execution: &Execution) -> Result<Option<KeyRange>> {
    let Some(prefix) = equal_prefix(access, execution)? else { return Ok(None) };
    let context = execution.context();
    let no_row: [Datum; 0] = [];
    let mut range = KeyRange::prefix(&prefix);
    let Some(column) = access.key.get(access.equal.len()) else { return Ok(Some(range)) };
    if access.lower.is_some() || access.upper.is_some() {
        // NULLs are beyond all bounds.
        let mut values = prefix.clone();
        values.push(key::MARK_VALUE);
        range = KeyRange::prefix(&values);
    }
    for (bound, is_lower) in [(&access.lower, true), (&access.upper, false)] {
        let Some((expr, included)) = bound else { continue };
        let value = expr.eval_row(&no_row.as_slice(), &context)?;
        if value.is_null() {
            return Ok(None);
        }
        let mut at = prefix.clone();
        key::encode(column, &value, &mut at);
        // Longer keys begin with the bound: beyond them lies the end of its prefix.
        let beyond = if is_lower == *included { Some(at) } else { key::prefix_end(&at) };
        match (is_lower, beyond) {
            (true, Some(start)) => range.lower = Bound::Included(start),
            (true, None) => return Ok(None),
            (false, Some(end)) => range.upper = Bound::Excluded(end),
            (false, None) => {}
        }
    }
    Ok(Some(range))
}
