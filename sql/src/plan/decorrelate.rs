//! Subqueries that are joins: `WHERE [NOT] EXISTS (…)` and `WHERE x IN (…)` become semi and anti joins; `(SELECT sum(y) FROM
//! … WHERE k = outer.k)` becomes an outer join with the sums by `k`.
//!
//! What a correlated subquery reads of the outer row must stand in conditions alone, which then become the join's. They
//! are pulled out of filters, through projections and inner joins; anything else that reads the outer row (below an
//! aggregate, a limit, the far side of an outer join) leaves the subquery as it is.

use super::logical::{ColumnId, Computed, Correlation, JoinKind, Logical, SubqueryKind, TableFunction};
use super::operators::{Comparison, as_comparison, operator_name};
use super::simplify::{any_input, each_expr};
use super::{strictness, walk};
use crate::expr::Expr;
use crate::functions::{CastMethod, Volatility};
use crate::types::{DataType, oids};
use crate::value::Datum;

/// A subquery without what it read of the outer row.
pub struct PulledUp {
    pub plan: Logical,
    /// Conditions between the outer row and the plan's.
    pub conditions: Vec<Expr>,
    /// Subqueries of its own that read the outer row alone: they are asked of that.
    pub hoisted: Vec<Hoisted>,
}

/// A subquery that a subquery had, which reads nothing of its rows.
pub struct Hoisted {
    pub subquery: Logical,
    pub kind: SubqueryKind,
    pub correlations: Vec<Correlation>,
    pub output: ColumnId,
    pub data_type: DataType,
}

/// What a subquery's rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Whether there is any.
    Existence,
    /// Which there are; how often each comes does not matter.
    Members,
    /// All of them.
    Rows,
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
pub fn pull_up(subquery: &Logical, correlations: &[Correlation], purpose: Purpose) -> Option<PulledUp> {
    let mut pulling = Pulling { correlations, conditions: Vec::new(), hoisted: Vec::new() };
    let plan = pulling.pulled(subquery.clone(), purpose)?;
    let conditions = pulling.conditions.into_iter().map(|condition| over_columns(condition, correlations));
    Some(PulledUp { plan, conditions: conditions.collect(), hoisted: pulling.hoisted })
}

/// The keys by which one finds whether a pulled-up subquery has rows for an outer row, each once, and the first of
/// them; `None` where its conditions say more than that.
#[must_use]
pub fn keys_of(pulled: &PulledUp) -> Option<(Logical, Expr)> {
    let groups = grouping(&pulled.conditions, &pulled.plan.outputs())?;
    let first = groups.first()?.expr.clone();
    let input = Box::new(pulled.plan.clone());
    Some((Logical::Aggregate { input, groups, aggregates: Vec::new(), sets: None }, first))
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
    let PulledUp { plan, conditions, hoisted } = pull_up(input, correlations, Purpose::Rows)?;
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
    Some(PulledUp { plan: Logical::Project { input: Box::new(aggregated), outputs }, conditions, hoisted })
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

/// The walk that takes the outer row out.
struct Pulling<'a> {
    correlations: &'a [Correlation],
    conditions: Vec<Expr>,
    hoisted: Vec<Hoisted>,
}

impl Pulling<'_> {
    /// Whether an expression reads the outer row, or what became of a subquery that does.
    fn reads(&self, expr: &Expr) -> bool {
        reads_row(expr, self.correlations)
            || walk::any(expr, &mut |node| match node {
                Expr::Column { index, .. } => self.hoisted.iter().any(|each| each.output == *index),
                _ => false,
            })
    }

    /// Sorts out the terms that read the outer row.
    fn take(&mut self, terms: Vec<Expr>) -> Option<Vec<Expr>> {
        let (pulled, stay): (Vec<Expr>, Vec<Expr>) = terms.into_iter().partition(|term| self.reads(term));
        if pulled.iter().any(walk::is_volatile) {
            return None;
        }
        self.conditions.extend(pulled);
        Some(stay)
    }

    fn pulled(&mut self, plan: Logical, purpose: Purpose) -> Option<Logical> {
        if is_independent(&plan, self.correlations) {
            return Some(plan);
        }
        // Below the top, conditions may read any column.
        let below = if purpose == Purpose::Rows { Purpose::Rows } else { Purpose::Members };
        Some(match plan {
            Logical::Filter { input, predicates } => {
                let input = self.pulled(*input, below)?;
                let predicates = self.take(predicates)?;
                if predicates.is_empty() {
                    input
                } else {
                    Logical::Filter { input: Box::new(input), predicates }
                }
            }
            Logical::Table { table, alias, columns, hidden, key, filters } => {
                let filters = self.take(filters)?;
                Logical::Table { table, alias, columns, hidden, key, filters }
            }
            Logical::Project { input, outputs } => self.projected(*input, outputs, purpose)?,
            Logical::Join { kind, left, right, on, lateral } if lateral.is_empty() => {
                let sides = (*left, *right);
                self.joined(kind, sides, on, below)?
            }
            Logical::Apply { input, subquery, kind, correlations, output, data_type } => {
                let input = self.pulled(*input, below)?;
                if is_independent(&subquery, self.correlations) && !self.reads_kind(&kind) {
                    let (input, subquery) = (Box::new(input), subquery);
                    Logical::Apply { input, subquery, kind, correlations, output, data_type }
                } else if correlations.is_empty()
                    && matches!(kind, SubqueryKind::Exists)
                    && !is_volatile_plan(&subquery)
                {
                    let correlations = self.correlations.to_vec();
                    let subquery = *subquery;
                    self.hoisted.push(Hoisted { subquery, kind, correlations, output, data_type });
                    input
                } else {
                    return None;
                }
            }
            Logical::Sort { input, .. } if purpose == Purpose::Existence => self.pulled(*input, purpose)?,
            Logical::Distinct { input, on: None } if purpose == Purpose::Existence => {
                self.pulled(*input, purpose)?
            }
            Logical::Limit { input, limit: Some(limit), offset: None, ties }
                if purpose == Purpose::Existence && ties.is_empty() && is_positive(&limit) =>
            {
                self.pulled(*input, purpose)?
            }
            _ => return None,
        })
    }

    fn reads_kind(&self, kind: &SubqueryKind) -> bool {
        matches!(kind, SubqueryKind::Quantified { comparison, .. } if self.reads(comparison))
    }

    fn projected(&mut self, input: Logical, mut outputs: Vec<Computed>, purpose: Purpose) -> Option<Logical> {
        let below = if purpose == Purpose::Rows { Purpose::Rows } else { Purpose::Members };
        let before = self.conditions.len();
        let input = self.pulled(input, below)?;
        if purpose == Purpose::Existence && !outputs.iter().any(|output| walk::is_volatile(&output.expr)) {
            // Nobody looks at what the rows are.
            return Some(input);
        }
        if outputs.iter().any(|output| self.reads(&output.expr) || walk::is_volatile(&output.expr)) {
            return None;
        }
        // What the conditions read goes along.
        let inner = input.outputs();
        for condition in &self.conditions[before..] {
            note_columns(condition, &mut |id, data_type| {
                if inner.contains(&id) && !outputs.iter().any(|output| output.id == id) {
                    outputs.push(Computed { id, expr: Expr::Column { index: id, data_type } });
                }
            });
        }
        Some(Logical::Project { input: Box::new(input), outputs })
    }

    fn joined(
        &mut self,
        kind: JoinKind,
        (left, right): (Logical, Logical),
        on: Vec<Expr>,
        purpose: Purpose,
    ) -> Option<Logical> {
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            return None;
        }
        let left = self.pulled(left, purpose)?;
        let is_own = is_independent(&right, self.correlations) && !on.iter().any(|term| self.reads(term));
        let (kind, right, on) = match kind {
            JoinKind::Left | JoinKind::Semi | JoinKind::Anti if is_own => (kind, right, on),
            // A row that comes once for each match is as good where nobody counts.
            JoinKind::Inner | JoinKind::Semi if kind == JoinKind::Inner || purpose != Purpose::Rows => {
                let right = self.pulled(right, purpose)?;
                (JoinKind::Inner, right, self.take(on)?)
            }
            _ => return None,
        };
        Some(Logical::Join { kind, left: Box::new(left), right: Box::new(right), on, lateral: Vec::new() })
    }
}

/// Whether a plan has to run as often as it is asked for.
#[must_use]
pub fn is_volatile_plan(plan: &Logical) -> bool {
    // The rows before are the same for each run, where the whole recursive query is within.
    let is_own = |table: usize| {
        any_input(plan, &|node| matches!(node, Logical::Recursive { table: own, .. } if *own == table))
    };
    any_input(plan, &|node| {
        let mut volatile = match node {
            Logical::Lock { .. } => true,
            Logical::WorkingTable { table, .. } => !is_own(*table),
            Logical::FunctionScan { calls, .. } => calls.iter().any(TableFunction::is_volatile),
            _ => false,
        };
        each_expr(node, &mut |expr| volatile = volatile || expr.volatility() == Volatility::Volatile);
        volatile
    })
}

fn is_positive(limit: &Expr) -> bool {
    matches!(limit, Expr::Const { value: Datum::Int64(count), .. } if *count > 0)
}

fn note_columns(expr: &Expr, visit: &mut dyn FnMut(ColumnId, DataType)) {
    if let Expr::Column { index, data_type } = expr {
        visit(*index, *data_type);
    }
    expr.for_each_child(&mut |child| note_columns(child, visit));
}
