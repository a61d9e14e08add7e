//! Constant folding, and predicates taken apart.

use std::sync::Arc;

use super::logical::{Logical, SortKey, SubqueryKind, TableFunction};
use super::walk;
use crate::expr::Expr;
use crate::functions::{EvalContext, Settings};
use crate::value::Datum;

/// Applies `change` to every expression of one node.
pub fn map_exprs(plan: &mut Logical, change: &mut dyn FnMut(Expr) -> Expr) {
    let mut apply = |expr: &mut Expr| {
        let taken = std::mem::replace(expr, Expr::And(Vec::new()));
        *expr = change(taken);
    };
    match plan {
        Logical::Values { rows, .. } => rows.iter_mut().flatten().for_each(apply),
        Logical::Table { filters, .. } | Logical::Virtual { filters, .. } => {
            filters.iter_mut().for_each(apply)
        }
        Logical::FunctionScan { calls, .. } => {
            calls.iter_mut().flat_map(TableFunction::expressions_mut).for_each(apply);
        }
        Logical::ProjectSet { calls, .. } => calls.iter_mut().for_each(|(_, call)| apply(call)),
        Logical::Filter { predicates, .. } => predicates.iter_mut().for_each(apply),
        Logical::Project { outputs, .. } => outputs.iter_mut().for_each(|output| apply(&mut output.expr)),
        Logical::Join { on, .. } => on.iter_mut().for_each(apply),
        Logical::Apply { kind, .. } => {
            if let SubqueryKind::Quantified { comparison, .. } = kind {
                apply(comparison);
            }
        }
        Logical::Aggregate { groups, aggregates, .. } => {
            groups.iter_mut().for_each(|group| apply(&mut group.expr));
            for (_, call) in aggregates {
                call.arguments.iter_mut().for_each(&mut apply);
                call.filter.iter_mut().for_each(&mut apply);
                call.order_by.iter_mut().for_each(|key| apply(&mut key.expr));
            }
        }
        Logical::Window { order, calls, .. } => {
            order.for_each_expr_mut(&mut apply);
            calls.iter_mut().for_each(|(_, call)| call.for_each_expr_mut(&mut apply));
        }
        Logical::Distinct { on, .. } => on.iter_mut().flatten().for_each(apply),
        Logical::Sort { keys, .. } => keys.iter_mut().for_each(|key: &mut SortKey| apply(&mut key.expr)),
        Logical::Limit { limit, offset, ties, .. } => {
            limit.iter_mut().chain(offset).chain(ties).for_each(apply)
        }
        Logical::Lock { .. }
        | Logical::SetOperation { .. }
        | Logical::Recursive { .. }
        | Logical::Shared { .. }
        | Logical::WorkingTable { .. } => {}
    }
}

/// Whether a node of a plan satisfies a test.
pub fn any_input(plan: &Logical, test: &dyn Fn(&Logical) -> bool) -> bool {
    let mut found = test(plan);
    each_input(plan, &mut |input| found = found || any_input(input, test));
    found
}

/// Whether a plan reads rows of the queries around it: slots that nothing inside it fills.
pub fn reads_outer(plan: &Logical) -> bool {
    let (mut read, mut filled) = (Vec::new(), Vec::new());
    note_slots(plan, &mut read, &mut filled);
    read.iter().any(|slot| !filled.contains(slot))
}

fn note_slots(plan: &Logical, read: &mut Vec<usize>, filled: &mut Vec<usize>) {
    if let Logical::Join { lateral: slots, .. } | Logical::Apply { correlations: slots, .. } = plan {
        filled.extend(slots.iter().map(|each| each.slot));
    }
    each_expr(plan, &mut |expr| {
        walk::any(expr, &mut |node| {
            if let Expr::Outer { index, .. } = node {
                read.push(*index);
            }
            false
        });
    });
    each_input(plan, &mut |input| note_slots(input, read, filled));
}

/// Visits every expression of one node.
pub fn each_expr<'p>(plan: &'p Logical, visit: &mut dyn FnMut(&'p Expr)) {
    match plan {
        Logical::Values { rows, .. } => rows.iter().flatten().for_each(visit),
        Logical::Table { filters, .. } | Logical::Virtual { filters, .. } => filters.iter().for_each(visit),
        Logical::FunctionScan { calls, .. } => {
            calls.iter().flat_map(TableFunction::expressions).for_each(visit);
        }
        Logical::ProjectSet { calls, .. } => calls.iter().for_each(|(_, call)| visit(call)),
        Logical::Filter { predicates, .. } => predicates.iter().for_each(visit),
        Logical::Project { outputs, .. } => outputs.iter().for_each(|output| visit(&output.expr)),
        Logical::Join { on, .. } => on.iter().for_each(visit),
        Logical::Apply { kind, .. } => {
            if let SubqueryKind::Quantified { comparison, .. } = kind {
                visit(comparison);
            }
        }
        Logical::Aggregate { groups, aggregates, .. } => {
            groups.iter().for_each(|group| visit(&group.expr));
            for (_, call) in aggregates {
                call.arguments.iter().chain(&call.filter).for_each(&mut *visit);
                call.order_by.iter().for_each(|key| visit(&key.expr));
            }
        }
        Logical::Window { order, calls, .. } => {
            order.for_each_expr(&mut *visit);
            calls.iter().for_each(|(_, call)| call.for_each_expr(&mut *visit));
        }
        Logical::Distinct { on, .. } => on.iter().flatten().for_each(visit),
        Logical::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
        Logical::Limit { limit, offset, ties, .. } => limit.iter().chain(offset).chain(ties).for_each(visit),
        Logical::Lock { .. }
        | Logical::SetOperation { .. }
        | Logical::Recursive { .. }
        | Logical::Shared { .. }
        | Logical::WorkingTable { .. } => {}
    }
}

/// Visits every input of a node.
pub fn each_input<'p>(plan: &'p Logical, visit: &mut dyn FnMut(&'p Logical)) {
    if crate::watch::is_over() {
        return;
    }
    match plan {
        Logical::WorkingTable { .. }
        | Logical::Values { .. }
        | Logical::Table { .. }
        | Logical::Virtual { .. }
        | Logical::FunctionScan { .. } => {}
        Logical::Filter { input, .. }
        | Logical::Lock { input, .. }
        | Logical::Project { input, .. }
        | Logical::Aggregate { input, .. }
        | Logical::Window { input, .. }
        | Logical::ProjectSet { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. } => visit(input),
        Logical::Shared { definition, .. } => visit(definition),
        Logical::Join { left, right, .. }
        | Logical::SetOperation { left, right, .. }
        | Logical::Recursive { seed: left, step: right, .. } => {
            visit(left);
            visit(right);
        }
        Logical::Apply { input, subquery, .. } => {
            visit(input);
            visit(subquery);
        }
    }
}

/// Applies `change` to every input of a node.
pub fn map_inputs(plan: &mut Logical, change: &mut dyn FnMut(Logical) -> Logical) {
    // Nobody wants the plan any more: `plan` says so.
    if crate::watch::is_over() {
        return;
    }
    let mut apply = |input: &mut Box<Logical>| {
        let taken = std::mem::replace(input.as_mut(), Logical::one_row());
        **input = change(taken);
    };
    match plan {
        Logical::WorkingTable { .. }
        | Logical::Values { .. }
        | Logical::Table { .. }
        | Logical::Virtual { .. }
        | Logical::FunctionScan { .. } => {}
        Logical::Filter { input, .. }
        | Logical::Project { input, .. }
        | Logical::Aggregate { input, .. }
        | Logical::Window { input, .. }
        | Logical::ProjectSet { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Lock { input, .. }
        | Logical::Limit { input, .. } => apply(input),
        Logical::Shared { definition, .. } => {
            let taken = std::mem::replace(definition, Arc::new(Logical::one_row()));
            *definition = Arc::new(change(Arc::unwrap_or_clone(taken)));
        }
        Logical::Join { left, right, .. }
        | Logical::SetOperation { left, right, .. }
        | Logical::Recursive { seed: left, step: right, .. } => {
            apply(left);
            apply(right);
        }
        Logical::Apply { input, subquery, .. } => {
            apply(input);
            apply(subquery);
        }
    }
}

/// Folds constants everywhere, splits conjunctions, and drops what is always true.
pub fn simplify(mut plan: Logical) -> Logical {
    let settings = Settings::default();
    let context = EvalContext::detached(&settings);
    map_inputs(&mut plan, &mut simplify);
    map_exprs(&mut plan, &mut |expr| expr.fold(&context));
    match plan {
        Logical::Filter { input, predicates } => {
            let predicates = conjuncts(predicates);
            if predicates.is_empty() { *input } else { Logical::Filter { input, predicates } }
        }
        Logical::Join { kind, left, right, on, lateral } => {
            Logical::Join { kind, left, right, on: conjuncts(on), lateral }
        }
        other => other,
    }
}

/// The terms of several predicates, without those that are always true.
pub fn conjuncts(predicates: Vec<Expr>) -> Vec<Expr> {
    let mut terms = Vec::new();
    for predicate in predicates {
        super::disjunction::split(predicate, &mut terms);
    }
    terms.retain(|term| !matches!(term, Expr::Const { value: Datum::Bool(true), .. }));
    terms
}
