//! Subqueries that are joins: `WHERE [NOT] EXISTS (…)` and `WHERE x IN (…)` become semi and anti joins.
//!
//! What a correlated subquery reads of the outer row must stand in conditions alone, which then become the join's. They
//! are pulled out of filters, through projections and inner joins; anything else that reads the outer row (below an
//! aggregate, a limit, the far side of an outer join) leaves the subquery as it is.

use super::logical::{ColumnId, Computed, Correlation, JoinKind, Logical, SubqueryKind};
use super::simplify::{any_input, each_expr};
use super::walk;
use crate::expr::Expr;
use crate::value::Datum;

/// A subquery without what it read of the outer row.
pub struct PulledUp {
    pub plan: Logical,
    /// Conditions between the outer row and the plan's.
    pub conditions: Vec<Expr>,
}

/// How the conditions above a subquery use its outcome: as the join that keeps rows with a match, or without one.
#[must_use]
pub fn join_kind(term: &Expr, output: ColumnId, kind: &SubqueryKind) -> Option<JoinKind> {
    let is_output = |expr: &Expr| matches!(expr, Expr::Column { index, .. } if *index == output);
    match (kind, term) {
        (SubqueryKind::Exists | SubqueryKind::Quantified { all: false, .. }, term) if is_output(term) => {
            Some(JoinKind::Semi)
        }
        // `NOT IN` is no anti join, for NULLs.
        (SubqueryKind::Exists, Expr::Not(inner)) if is_output(inner) => Some(JoinKind::Anti),
        _ => None,
    }
}

/// Takes what a subquery reads of the outer row out of it; `None` where that cannot be done.
#[must_use]
pub fn pull_up(subquery: &Logical, correlations: &[Correlation], exists: bool) -> Option<PulledUp> {
    let mut conditions = Vec::new();
    let plan = pulled(subquery.clone(), correlations, exists, &mut conditions)?;
    let conditions = conditions.into_iter().map(|condition| over_columns(condition, correlations)).collect();
    Some(PulledUp { plan, conditions })
}

fn reads_row(expr: &Expr, correlations: &[Correlation]) -> bool {
    walk::any(expr, &mut |node| match node {
        Expr::Outer { index, .. } => correlations.iter().any(|each| each.slot == *index),
        _ => false,
    })
}

/// The outer row's columns in place of the slots.
fn over_columns(condition: Expr, correlations: &[Correlation]) -> Expr {
    walk::rewrite(condition, &mut |expr| match expr {
        Expr::Outer { index, data_type } => {
            let known = correlations.iter().find(|each| each.slot == index);
            walk::Rewritten::Done(match known {
                Some(correlation) => Expr::Column { index: correlation.column, data_type },
                None => Expr::Outer { index, data_type },
            })
        }
        other => walk::Rewritten::Descend(other),
    })
}

/// Whether nothing in a plan reads the outer row.
fn is_independent(plan: &Logical, correlations: &[Correlation]) -> bool {
    !any_input(plan, &|node| {
        let mut reads = false;
        each_expr(node, &mut |expr| reads |= reads_row(expr, correlations));
        reads
    })
}

/// Sorts out the terms that read the outer row.
fn take(terms: Vec<Expr>, correlations: &[Correlation], conditions: &mut Vec<Expr>) -> Option<Vec<Expr>> {
    let (pulled, stay): (Vec<Expr>, Vec<Expr>) =
        terms.into_iter().partition(|term| reads_row(term, correlations));
    if pulled.iter().any(walk::is_volatile) {
        return None;
    }
    conditions.extend(pulled);
    Some(stay)
}

fn pulled(
    plan: Logical,
    correlations: &[Correlation],
    exists: bool,
    conditions: &mut Vec<Expr>,
) -> Option<Logical> {
    if is_independent(&plan, correlations) {
        return Some(plan);
    }
    Some(match plan {
        Logical::Filter { input, predicates } => {
            let input = pulled(*input, correlations, false, conditions)?;
            let predicates = take(predicates, correlations, conditions)?;
            if predicates.is_empty() { input } else { Logical::Filter { input: Box::new(input), predicates } }
        }
        Logical::Table { table, alias, columns, key, filters } => {
            let filters = take(filters, correlations, conditions)?;
            Logical::Table { table, alias, columns, key, filters }
        }
        Logical::Project { input, mut outputs } => {
            let computes =
                |output: &Computed| reads_row(&output.expr, correlations) || walk::is_volatile(&output.expr);
            let mut own = Vec::new();
            let input = pulled(*input, correlations, false, &mut own)?;
            if exists && !outputs.iter().any(|output| walk::is_volatile(&output.expr)) {
                // Nobody looks at what the rows are.
                conditions.extend(own);
                return Some(input);
            }
            if outputs.iter().any(computes) {
                return None;
            }
            // What the conditions read goes along.
            let below = input.outputs();
            for condition in &own {
                note_columns(condition, &mut |id, data_type| {
                    if below.contains(&id) && !outputs.iter().any(|output| output.id == id) {
                        outputs.push(Computed { id, expr: Expr::Column { index: id, data_type } });
                    }
                });
            }
            conditions.extend(own);
            Logical::Project { input: Box::new(input), outputs }
        }
        Logical::Join { kind: JoinKind::Inner, left, right, on, lateral } if lateral.is_empty() => {
            let left = Box::new(pulled(*left, correlations, false, conditions)?);
            let right = Box::new(pulled(*right, correlations, false, conditions)?);
            let on = take(on, correlations, conditions)?;
            Logical::Join { kind: JoinKind::Inner, left, right, on, lateral }
        }
        Logical::Join {
            kind: kind @ (JoinKind::Left | JoinKind::Semi | JoinKind::Anti),
            left,
            right,
            on,
            lateral,
        } if lateral.is_empty()
            && is_independent(&right, correlations)
            && !on.iter().any(|term| reads_row(term, correlations)) =>
        {
            let left = Box::new(pulled(*left, correlations, false, conditions)?);
            Logical::Join { kind, left, right, on, lateral }
        }
        Logical::Sort { input, .. } if exists => pulled(*input, correlations, true, conditions)?,
        Logical::Distinct { input, on: None } if exists => pulled(*input, correlations, true, conditions)?,
        Logical::Limit { input, limit: Some(limit), offset: None, ties }
            if exists && ties.is_empty() && is_positive(&limit) =>
        {
            pulled(*input, correlations, true, conditions)?
        }
        _ => return None,
    })
}

fn is_positive(limit: &Expr) -> bool {
    matches!(limit, Expr::Const { value: Datum::Int64(count), .. } if *count > 0)
}

fn note_columns(expr: &Expr, visit: &mut dyn FnMut(ColumnId, crate::types::DataType)) {
    if let Expr::Column { index, data_type } = expr {
        visit(*index, *data_type);
    }
    expr.for_each_child(&mut |child| note_columns(child, visit));
}
