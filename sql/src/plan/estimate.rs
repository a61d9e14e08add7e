//! How many rows a plan gives, roughly: from ANALYZE's counts and rules of thumb.

use super::logical::{JoinKind, Logical, SetKind, TableFunction};
use super::operators::{Comparison, as_comparison};
use crate::catalog::TableEntry;
use crate::expr::Expr;
use crate::value::Datum;

/// The size taken for a table that was never analyzed.
const UNKNOWN_TABLE_ROWS: f64 = 1_000.0;

/// The part of the rows that a predicate keeps.
fn selectivity(predicate: &Expr) -> f64 {
    match as_comparison(predicate) {
        Some((Comparison::Equal, ..)) => 0.005,
        Some(_) => 0.33,
        None => match predicate {
            Expr::IsNull { negated: false, .. } => 0.01,
            Expr::InList { list, .. } => (0.005 * list.len() as f64).min(0.5),
            Expr::Or(terms) => terms.iter().map(selectivity).sum::<f64>().min(1.0),
            _ => 0.5,
        },
    }
}

/// Rows after predicates; at least one.
#[must_use]
pub fn filtered(rows: f64, predicates: &[Expr]) -> f64 {
    predicates.iter().fold(rows, |rows, predicate| rows * selectivity(predicate)).max(1.0)
}

/// The rows of a stored table.
#[must_use]
pub fn table_rows(entry: &TableEntry) -> f64 {
    entry.rows_analyzed().map_or(UNKNOWN_TABLE_ROWS, |rows| rows.max(1.0))
}

/// The rows of a plan.
#[must_use]
pub fn rows(plan: &Logical) -> f64 {
    match plan {
        Logical::Values { rows, .. } => rows.len() as f64,
        Logical::Table { table, filters, .. } => {
            let unique = table.indexes.iter().filter(|index| index.unique).any(|index| {
                index
                    .columns
                    .iter()
                    .all(|key| filters.iter().any(|filter| equals_column(plan, filter, key.number)))
            });
            if unique { 1.0 } else { filtered(table_rows(table), filters) }
        }
        Logical::Virtual { filters, .. } => filtered(300.0, filters),
        Logical::FunctionScan { calls, .. } => calls.iter().map(function_rows).fold(1.0, f64::max),
        Logical::ProjectSet { input, calls } => {
            let longest = calls.iter().map(|(_, call)| call_rows(call)).fold(1.0, f64::max);
            rows(input) * longest
        }
        Logical::Filter { input, predicates } => filtered(rows(input), predicates),
        Logical::Project { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Window { input, .. }
        | Logical::Apply { input, .. } => rows(input),
        Logical::Join { kind, left, right, on, .. } => {
            let (left, right) = (rows(left), rows(right));
            let equal = on.iter().any(|term| matches!(as_comparison(term), Some((Comparison::Equal, ..))));
            let inner = if equal { left.max(right) } else { filtered(left * right, on) };
            match kind {
                JoinKind::Inner => inner,
                JoinKind::Left => inner.max(left),
                JoinKind::Right => inner.max(right),
                JoinKind::Full => inner.max(left + right),
                JoinKind::Semi | JoinKind::Anti => (left / 2.0).max(1.0),
            }
        }
        Logical::Aggregate { input, groups, .. } => {
            if groups.is_empty() {
                1.0
            } else {
                (rows(input) / 5.0).clamp(1.0, 200.0)
            }
        }
        Logical::Recursive { seed, step, .. } => rows(seed) + 10.0 * rows(step),
        Logical::Shared { definition, .. } => rows(definition),
        Logical::WorkingTable { .. } => 10.0,
        Logical::Distinct { input, .. } => (rows(input) / 5.0).max(1.0),
        Logical::Limit { input, limit, .. } => match limit {
            Some(Expr::Const { value: Datum::Int64(count), .. }) => rows(input).min(*count as f64),
            _ => rows(input),
        },
        Logical::SetOperation { kind, left, right, .. } => match kind {
            SetKind::Union => rows(left) + rows(right),
            SetKind::Intersect | SetKind::Except => rows(left),
        },
    }
}

fn function_rows(function: &TableFunction) -> f64 {
    match function {
        TableFunction::Call { call, .. } => call_rows(call),
        TableFunction::Relation { .. } => 100.0,
    }
}

fn call_rows(call: &Expr) -> f64 {
    match call {
        Expr::Call(call) if call.function.name == "generate_series" => series_rows(&call.arguments),
        Expr::Call(call) if call.function.returns_rows() => 10.0,
        _ => 1.0,
    }
}

fn series_rows(arguments: &[Expr]) -> f64 {
    let number = |at: usize| match arguments.get(at) {
        Some(Expr::Const { value, .. }) => value.as_i64(),
        _ => None,
    };
    match (number(0), number(1)) {
        (Some(start), Some(stop)) => (stop.saturating_sub(start) as f64 + 1.0).max(1.0),
        _ => 1_000.0,
    }
}

fn equals_column(plan: &Logical, filter: &Expr, number: i16) -> bool {
    let Logical::Table { columns, .. } = plan else { return false };
    let Some((Comparison::Equal, left, right)) = as_comparison(filter) else { return false };
    let is_column = |expr: &Expr| match expr {
        Expr::Column { index, .. } => columns.iter().any(|(id, each)| id == index && *each == number),
        _ => false,
    };
    is_column(left) || is_column(right)
}
