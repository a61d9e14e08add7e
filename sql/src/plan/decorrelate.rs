//! Subqueries that are joins: `WHERE [NOT] EXISTS (…)` and `WHERE x IN (…)` become semi and anti joins; `(SELECT sum(y) FROM
//! … WHERE k = outer.k)` becomes an outer join with the sums by `k`.
//!
//! What a correlated subquery reads of the outer row must stand in conditions alone, which then become the join's. They
//! are pulled out of filters, through projections and inner joins; anything else that reads the outer row (below an
//! aggregate, a limit, the far side of an outer join) leaves the subquery as it is.

use super::logical::{ColumnId, Computed, Correlation, JoinKind, Logical, SubqueryKind};
use super::operators::{Comparison, as_comparison, operator_name};
use super::simplify::{any_input, each_expr};
use super::{strictness, walk};
use crate::expr::Expr;
use crate::functions::CastMethod;
use crate::types::oids;
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

/// A subquery of one aggregated row as the groups that all outer rows together ask for: the plan gives what the outer row is
/// compared with, and the subquery's value as `output`, which is NULL where there is no group.
#[must_use]
pub fn pull_up_groups(
    subquery: &Logical,
    correlations: &[Correlation],
    output: ColumnId,
) -> Option<PulledUp> {
    let (aggregated, projected) = match subquery {
        Logical::Project { input, outputs } => (input.as_ref(), Some(outputs.as_slice())),
        other => (other, None),
    };
    let Logical::Aggregate { input, groups, aggregates, sets: None } = aggregated else { return None };
    if !groups.is_empty() || correlations.is_empty() {
        return None;
    }
    let value = match (projected, aggregates.as_slice()) {
        (Some([only]), _) => only.expr.clone(),
        (None, [(id, call)]) => Expr::Column { index: *id, data_type: call.data_type },
        _ => return None,
    };
    let PulledUp { plan, conditions } = pull_up(input, correlations, false)?;
    let aggregated = Logical::Aggregate {
        input: Box::new(plan),
        groups: grouping(&conditions, &input.outputs())?,
        aggregates: aggregates.clone(),
        sets: None,
    };
    // Without rows there is no group; the join gives NULL then, as the subquery must.
    let is_null_when_empty = aggregates.iter().all(|(_, call)| !call.aggregate.zero_when_empty)
        && strictness::is_null(&value, &aggregates.iter().map(|each| each.0).collect::<Vec<_>>());
    let reads_outer = !is_independent(&aggregated, correlations) || reads_row(&value, correlations);
    if !is_null_when_empty || reads_outer || !is_harmless(&value) {
        return None;
    }
    let Logical::Aggregate { groups, .. } = &aggregated else { return None };
    let mut outputs: Vec<Computed> = groups.clone();
    outputs.push(Computed { id: output, expr: value });
    Some(PulledUp { plan: Logical::Project { input: Box::new(aggregated), outputs }, conditions })
}

/// The inner columns that equal something of the outer row; `None` if a condition says anything else.
fn grouping(conditions: &[Expr], inner: &[ColumnId]) -> Option<Vec<Computed>> {
    let mut groups: Vec<Computed> = Vec::new();
    for condition in conditions {
        let (Comparison::Equal, left, right) = as_comparison(condition)? else { return None };
        let (own, other) = if walk::reads_only(left, inner) { (left, right) } else { (right, left) };
        let Expr::Column { index, data_type } = own else { return None };
        let mut is_outer = true;
        walk::columns(other, &mut |id| is_outer &= !inner.contains(&id));
        // Values that are equal to one of another type might be several groups.
        if !inner.contains(index) || !is_outer || other.data_type().oid != data_type.oid {
            return None;
        }
        if !groups.iter().any(|group| group.id == *index) {
            groups.push(Computed { id: *index, expr: own.clone() });
        }
    }
    Some(groups)
}

/// Whether a value may be computed for groups that nobody asks for: it fails for none that is likely to be.
fn is_harmless(value: &Expr) -> bool {
    !walk::is_volatile(value)
        && !walk::any(value, &mut |node| match node {
            Expr::Call(call) => {
                let arithmetic = matches!(operator_name(&call.function), Some("+" | "-" | "*"));
                let wide = matches!(call.data_type.oid, oids::NUMERIC | oids::FLOAT8);
                !(call.function.infallible || arithmetic && wide)
            }
            Expr::Column { .. } | Expr::Const { .. } => false,
            Expr::Cast(cast) => !matches!(cast.method, CastMethod::Binary),
            _ => true,
        })
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
        Logical::Table { table, alias, columns, hidden, key, filters } => {
            let filters = take(filters, correlations, conditions)?;
            Logical::Table { table, alias, columns, hidden, key, filters }
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
