//! Indexes on expressions, and on part of the rows: whether a query's conditions are what they are made for.

use super::logical::ColumnId;
use super::operators::{Comparison, as_comparison};
use super::{simplify, strictness, walk};
use crate::catalog::{ColumnNumber, Index, Table};
use crate::expr::Expr;
use crate::functions::{EvalContext, Settings};
use crate::value::Datum;
use std::sync::Arc;

/// Such an index, its expressions over the positions of a row of the table.
pub struct SpecialIndex {
    pub index: Arc<Index>,
    /// For each column of the key: its expression, with its text, where it is no column of the table.
    pub expressions: Vec<Option<(Expr, String)>>,
    /// What all rows in it satisfy.
    pub predicate: Vec<Expr>,
}

impl std::fmt::Debug for SpecialIndex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.index.fmt(formatter)
    }
}

impl SpecialIndex {
    /// An index with its expressions and its predicate.
    #[must_use]
    pub fn new(
        index: Arc<Index>,
        expressions: Vec<Option<(Expr, String)>>,
        predicate: Option<Expr>,
    ) -> SpecialIndex {
        let folded = |expr: Expr| super::folded(expr);
        let expressions = expressions.into_iter().map(|each| each.map(|(expr, text)| (folded(expr), text)));
        let predicate = simplify::conjuncts(predicate.into_iter().map(folded).collect());
        SpecialIndex { index, expressions: expressions.collect(), predicate }
    }

    /// The filters, over rows of the table, that say that a row is in the index; `None` where they do not say so.
    #[must_use]
    pub fn implied_by(&self, filters: &[Expr]) -> Option<Vec<usize>> {
        self.predicate.iter().map(|term| filters.iter().position(|filter| implies(filter, term))).collect()
    }
}

/// Filters over rows of a table instead of the columns of a plan.
#[must_use]
pub fn over_row(filters: &[Expr], columns: &[(ColumnId, ColumnNumber)]) -> Vec<Expr> {
    let in_row = |filter: &Expr| {
        walk::rewrite(filter.clone(), &mut |expr| match expr {
            Expr::Column { index, data_type } => {
                let number = columns.iter().find(|(id, _)| *id == index).map(|(_, number)| *number);
                let index = number.map_or(usize::MAX, Table::position);
                walk::Rewritten::Done(Expr::Column { index, data_type })
            }
            other => walk::Rewritten::Descend(other),
        })
    };
    filters.iter().map(in_row).collect()
}

/// Whether a row that satisfies a filter satisfies a term of a predicate too. Only the common forms are seen through.
fn implies(filter: &Expr, term: &Expr) -> bool {
    if walk::same(filter, term) {
        return true;
    }
    if let Expr::Or(terms) = term {
        return terms.iter().any(|term| implies(filter, term));
    }
    let mut columns = Vec::new();
    walk::columns(term, &mut |id| columns.push(id));
    columns.dedup();
    let [column] = columns.as_slice() else { return false };
    if let Expr::IsNull { argument, negated: true } = term
        && matches!(argument.as_ref(), Expr::Column { .. })
    {
        return strictness::rejects_nulls(filter, &[*column]);
    }
    match filter {
        Expr::InList { argument, list, negated: false, .. } => {
            is_column(argument, *column)
                && list.iter().all(|member| constant(member).is_some_and(|value| holds(term, &value)))
        }
        _ => bound_implies(filter, term, *column),
    }
}

/// `column < 5` for `column < 10`, and the like: the term holds at the filter's bound, and beyond it.
fn bound_implies(filter: &Expr, term: &Expr, column: ColumnId) -> bool {
    let Some((comparison, value)) = bound(filter, column) else { return false };
    if comparison == Comparison::Equal {
        return holds(term, &value);
    }
    let Some((wanted, limit)) = bound(term, column) else { return false };
    let is_lower = |comparison| matches!(comparison, Comparison::Greater | Comparison::GreaterOrEqual);
    let is_strict = |comparison| matches!(comparison, Comparison::Greater | Comparison::Less);
    wanted != Comparison::Equal
        && is_lower(comparison) == is_lower(wanted)
        && (holds(term, &value) || (is_strict(comparison) && value == limit))
}

fn bound(term: &Expr, column: ColumnId) -> Option<(Comparison, Datum)> {
    let (comparison, left, right) = as_comparison(term)?;
    if is_column(left, column) {
        return Some((comparison, constant(right)?));
    }
    is_column(right, column).then_some(())?;
    Some((comparison.flipped(), constant(left)?))
}

fn is_column(expr: &Expr, column: ColumnId) -> bool {
    matches!(expr, Expr::Column { index, .. } if *index == column)
}

fn constant(expr: &Expr) -> Option<Datum> {
    match expr {
        Expr::Const { value, .. } if !value.is_null() => Some(value.clone()),
        _ => None,
    }
}

/// Whether a term that reads one column holds for a value of it.
fn holds(term: &Expr, value: &Datum) -> bool {
    if !walk::is_immutable(term) {
        return false;
    }
    // What the value's type is, the column's is not always: other types are not compared.
    let mut same_kind = true;
    walk::any(term, &mut |node| {
        if let Expr::Column { data_type, .. } = node {
            let kind = crate::types::builtin_type(data_type.oid).map(|info| info.kind);
            same_kind &= kind == value.kind();
        }
        false
    });
    let at_value = walk::rewrite(term.clone(), &mut |expr| match expr {
        Expr::Column { data_type, .. } => {
            walk::Rewritten::Done(Expr::Const { value: value.clone(), data_type })
        }
        other => walk::Rewritten::Descend(other),
    });
    let settings = Settings::default();
    let no_row: [Datum; 0] = [];
    let outcome = at_value.eval_row(&no_row.as_slice(), &EvalContext::detached(&settings));
    same_kind && outcome.is_ok_and(|outcome| outcome.as_bool() == Some(true))
}
