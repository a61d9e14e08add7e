//! `min` and `max` of columns that an index, or a table's own key, has in order: the first row of that order is the answer.
//!
//! An aggregation without groups, all of whose calls are such, becomes a row with a subquery for each call: `SELECT min(a), max(b)
//! FROM t` is `SELECT (SELECT a FROM t WHERE a IS NOT NULL ORDER BY a LIMIT 1), (SELECT b … ORDER BY b DESC LIMIT 1)`.

use super::logical::{AggregateCall, ColumnId, Computed, Logical, SortKey, SubqueryKind};
use super::selectivity::StoredColumn;
use super::walk;
use crate::expr::Expr;
use crate::types::DataType;
use crate::value::Datum;

/// The plan that looks the values up; `None` where that is not all that is asked for. Whether they come in order, and
/// whether that is cheaper, is for the caller to see.
#[must_use]
pub fn looked_up(input: &Logical, aggregates: &[(ColumnId, AggregateCall)]) -> Option<Logical> {
    let mut plan = Logical::one_row();
    for (id, call) in aggregates {
        plan = Logical::Apply {
            input: Box::new(plan),
            subquery: Box::new(first_value(input, call)?),
            kind: SubqueryKind::Scalar,
            correlations: Vec::new(),
            output: *id,
            data_type: call.data_type,
        };
    }
    (!aggregates.is_empty()).then_some(plan)
}

/// The first value of a column that is not NULL, in the order that a call asks for.
fn first_value(input: &Logical, call: &AggregateCall) -> Option<Logical> {
    let descending = match call.aggregate.name {
        "min" => false,
        "max" => true,
        _ => return None,
    };
    let [Expr::Column { index, data_type }] = call.arguments.as_slice() else { return None };
    if call.filter.is_some() || data_type.oid != call.data_type.oid {
        return None;
    }
    let (mut table, column) = table_below(input, *index)?;
    let value = Expr::Column { index: column, data_type: *data_type };
    if let Logical::Table { columns, filters, hidden, .. } = &mut table {
        filters.push(Expr::IsNull { argument: Box::new(value.clone()), negated: true });
        let mut read = Vec::new();
        filters.iter().for_each(|filter| walk::columns(filter, &mut |id| read.push(id)));
        columns.retain(|(id, _)| read.contains(id));
        *hidden = 0;
    }
    // As an index has NULLs, unless it was told otherwise.
    let key = SortKey { expr: value.clone(), descending, nulls_first: descending };
    let sorted = Logical::Sort { input: Box::new(table), keys: vec![key] };
    let limit = Expr::Const { value: Datum::Int64(1), data_type: DataType::INT8 };
    let first =
        Logical::Limit { input: Box::new(sorted), limit: Some(limit), offset: None, ties: Vec::new() };
    Some(Logical::Project { input: Box::new(first), outputs: vec![Computed { id: column, expr: value }] })
}

/// The table whose rows are aggregated, with its name for a column.
fn table_below(plan: &Logical, column: ColumnId) -> Option<(Logical, ColumnId)> {
    match plan {
        Logical::Table { table, columns, filters, .. } => {
            let (_, number) = columns.iter().find(|(id, _)| *id == column)?;
            // NULLs may stand at the end that is looked at first.
            let stored = StoredColumn { entry: table, number: *number };
            let has_nulls = !table.table.column_numbered(*number).not_null
                && (table.statistics.is_none() || stored.null_fraction() > 0.0);
            (!has_nulls && !filters.iter().any(walk::is_volatile)).then(|| (plan.clone(), column))
        }
        Logical::Project { input, outputs } => {
            match &outputs.iter().find(|output| output.id == column)?.expr {
                Expr::Column { index, .. } => table_below(input, *index),
                _ => None,
            }
        }
        _ => None,
    }
}
