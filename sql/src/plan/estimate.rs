//! How many rows a plan gives, roughly: from ANALYZE's counts and rules of thumb.

use super::logical::{JoinKind, Logical, SetKind, TableFunction};
use super::operators::{Comparison, as_comparison};
use super::selectivity::Scope;
use super::walk;
use crate::catalog::TableEntry;
use crate::expr::Expr;
use crate::value::Datum;

/// The size taken for a table that was never analyzed.
const UNKNOWN_TABLE_ROWS: f64 = 1_000.0;

/// Rows after predicates; at least one.
#[must_use]
pub fn filtered(plan: &Logical, rows: f64, predicates: &[Expr]) -> f64 {
    (rows * Scope(&[plan]).conjunction(predicates)).max(1.0)
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
            let unique = table.indexes.iter().filter(|index| index.unique && index.is_plain()).any(|index| {
                index
                    .columns
                    .iter()
                    .all(|key| filters.iter().any(|filter| equals_column(plan, filter, key.number)))
            });
            if unique { 1.0 } else { filtered(plan, table_rows(table), filters) }
        }
        Logical::Virtual { filters, .. } => filtered(plan, 300.0, filters),
        Logical::FunctionScan { calls, .. } => calls.iter().map(function_rows).fold(1.0, f64::max),
        Logical::ProjectSet { input, calls } => {
            let longest = calls.iter().map(|(_, call)| call_rows(call)).fold(1.0, f64::max);
            rows(input) * longest
        }
        Logical::Filter { input, predicates } => filtered(input, rows(input), predicates),
        Logical::Project { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Lock { input, .. }
        | Logical::Window { input, .. }
        | Logical::Apply { input, .. } => rows(input),
        Logical::Join { kind, left, right, on, .. } => {
            let part = Scope(&[left, right]).conjunction(on);
            joined(*kind, rows(left), partners(*kind, right, on), part)
        }
        Logical::Aggregate { input, groups, .. } => {
            let keys: Vec<&Expr> = groups.iter().map(|group| &group.expr).collect();
            grouped(input, &keys)
        }
        Logical::Recursive { seed, step, .. } => rows(seed) + 10.0 * rows(step),
        Logical::Shared { definition, .. } => rows(definition),
        Logical::WorkingTable { .. } => 10.0,
        Logical::Distinct { input, on: Some(on) } => grouped(input, &on.iter().collect::<Vec<_>>()),
        Logical::Distinct { input, on: None } => (rows(input) / 5.0).max(1.0),
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

/// The rows of a join, where the conditions keep `part` of the pairs.
#[must_use]
pub fn joined(kind: JoinKind, left: f64, right: f64, part: f64) -> f64 {
    let inner = (left * right * part).max(1.0);
    match kind {
        JoinKind::Inner => inner,
        JoinKind::Left => inner.max(left),
        JoinKind::Right => inner.max(right),
        JoinKind::Full => inner.max(left).max(right),
        // So many rows have a partner, if each has one at most.
        JoinKind::Semi => (left * (right * part).min(1.0)).max(1.0),
        JoinKind::Anti => (left * (1.0 - (right * part).min(1.0))).max(1.0),
    }
}

/// The right side's rows, as far as they count: a semi join does not care how often a value comes.
#[must_use]
pub fn partners(kind: JoinKind, right: &Logical, on: &[Expr]) -> f64 {
    if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        return rows(right);
    }
    let own = right.outputs();
    let sides =
        on.iter().filter_map(as_comparison).filter(|(comparison, ..)| *comparison == Comparison::Equal);
    let keys: Vec<&Expr> = sides
        .flat_map(|(_, left, right)| [left, right])
        .filter(|side| walk::reads_only(side, &own))
        .collect();
    if keys.is_empty() { rows(right) } else { grouped(right, &keys) }
}

/// How many groups the rows of a plan make.
fn grouped(input: &Logical, keys: &[&Expr]) -> f64 {
    if keys.is_empty() {
        return 1.0;
    }
    let rows = rows(input);
    let scope = Scope(&[input]);
    let distinct: Vec<f64> = keys.iter().map(|key| scope.distinct(key).min(rows)).collect();
    let most = distinct.iter().copied().fold(1.0, f64::max);
    // Several columns are hardly ever independent of each other.
    let ceiling = if keys.len() > 1 { most.max(rows / 10.0) } else { rows };
    distinct.iter().product::<f64>().min(ceiling).max(1.0)
}

fn function_rows(function: &TableFunction) -> f64 {
    match function {
        TableFunction::Call { call, .. } => call_rows(call),
        TableFunction::Relation { .. } | TableFunction::Report { .. } => 100.0,
    }
}

fn call_rows(call: &Expr) -> f64 {
    match call {
        Expr::Call(call) if call.function.name == "generate_series" => series_rows(&call.arguments),
        Expr::Call(call) if call.function.name == "unnest" => {
            call.arguments.first().and_then(element_count).map_or(10.0, |count| count.max(1) as f64)
        }
        Expr::Call(call) if call.function.returns_rows() => 10.0,
        _ => 1.0,
    }
}

/// How many elements an array has, where it is written out.
fn element_count(array: &Expr) -> Option<usize> {
    match array {
        Expr::Array { elements, .. } => Some(elements.len()),
        Expr::Const { value: Datum::Array(array), .. } => Some(array.elements.len()),
        Expr::Cast(cast) => element_count(&cast.argument),
        _ => None,
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
