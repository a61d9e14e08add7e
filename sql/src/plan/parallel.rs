//! Which parts of a plan several work on.
//!
//! A part that can be shared is one full scan of a table, with filters, projections and joins above it, whose other sides
//! are read once for all, or searched by each for its own rows, and perhaps an aggregation. Everybody runs the same nodes over other rows of the scanned table; a
//! `Gather` above brings the rows together, in no order. From the top down, the first such part is shared that costs less then.
//! An aggregation is shared in two halves: each member groups its own rows, and the groups are put together above.

use std::sync::Arc;

use super::cost::{Cost, Costs, ParallelCosts, of_physical, pages};
use super::logical::{AggregateCall, JoinKind, SetKind, TableFunction};
use super::physical::{Access, HashJoin, NestedLoop, Phase, Physical, PlanNode, TableScan};
use super::walk;
use crate::expr::Expr;
use crate::functions::Volatility;

/// What it costs to hand a row on within a batch, as a part of `parallel_tuple_cost`, which is meant for rows that are copied one
/// by one.
const ROW_OF_A_BATCH: f64 = 0.02;

/// The same plan with those parts shared for which that is cheaper.
#[must_use]
pub fn shared_out(plan: PlanNode, costs: &Costs) -> PlanNode {
    if costs.parallel.workers_max == 0 { plan } else { best(plan, costs, 1.0) }
}

/// `wanted`: the part of the rows that will be asked for.
fn best(plan: PlanNode, costs: &Costs, wanted: f64) -> PlanNode {
    let needed = |Cost { startup, total }: Cost| startup + (total - startup) * wanted;
    let is_better = |shared: &PlanNode, alone: &PlanNode| {
        costs.parallel.forced || needed(of_physical(shared, costs)) < needed(of_physical(alone, costs))
    };
    let shared = in_halves(&plan, costs).or_else(|| gathered(&plan, costs));
    match shared {
        Some(shared) if is_better(&shared, &plan) => shared,
        _ => below(plan, costs, wanted),
    }
}

/// Shares out what is below a node that is not shared itself.
fn below(mut plan: PlanNode, costs: &Costs, wanted: f64) -> PlanNode {
    let (all, rows) = (1.0, plan.rows);
    let share = |input: &mut Box<PlanNode>, wanted: f64| {
        take(input, |input| best(input, costs, wanted));
    };
    match &mut plan.node {
        Physical::Filter { input, .. }
        | Physical::Project { input, .. }
        | Physical::ProjectSet { input, .. }
        | Physical::Distinct { input, sorted: true, .. } => share(input, wanted),
        Physical::Aggregate { input, .. }
        | Physical::Window { input, .. }
        | Physical::Distinct { input, sorted: false, .. }
        | Physical::Sort { input, .. }
        | Physical::TopN { input, .. } => share(input, all),
        Physical::Limit { input, .. } => {
            let wanted = wanted * (rows / input.rows.max(1.0)).min(1.0);
            share(input, wanted);
        }
        Physical::HashJoin(join) => {
            if gives_right(join) {
                // Its pairs are made here in any case.
                let tuple = costs.parallel.tuple * ROW_OF_A_BATCH;
                let costs = Costs { parallel: ParallelCosts { tuple, ..costs.parallel }, ..*costs };
                take(&mut join.left, |left| best(left, &costs, wanted));
            } else {
                share(&mut join.left, wanted);
            }
            share(&mut join.right, all);
        }
        Physical::NestedLoop(join) => share(&mut join.left, wanted),
        Physical::Apply(apply) => {
            share(&mut apply.input, wanted);
            // What runs for each row is not worth calling anybody.
            if apply.correlations.is_empty() {
                share(&mut apply.subquery, all);
            }
        }
        Physical::Shared { definition, .. } => share(definition, all),
        Physical::SetOperation { kind, all: keeps_all, left, right } => {
            let wanted = if *kind == SetKind::Union && *keeps_all { wanted } else { all };
            share(left, wanted);
            share(right, wanted);
        }
        Physical::Values { .. }
        | Physical::Table(_)
        | Physical::Virtual { .. }
        | Physical::Function { .. }
        | Physical::Gather { .. }
        | Physical::Lock { .. }
        | Physical::Recursive { .. }
        | Physical::WorkingTable { .. } => {}
    }
    plan
}

fn take(plan: &mut Box<PlanNode>, change: impl FnOnce(PlanNode) -> PlanNode) {
    let nothing = Physical::Values { rows: Vec::new() };
    let nothing = PlanNode { node: nothing, rows: 0.0, names: Vec::new(), types: Vec::new() };
    **plan = change(std::mem::replace(&mut **plan, nothing));
}

/// A part that is shared as a whole.
fn gathered(plan: &PlanNode, costs: &Costs) -> Option<PlanNode> {
    let (part, workers) = shared(plan, costs)?;
    Some(gather(part, workers, plan.rows))
}

fn gather(part: PlanNode, workers: usize, rows: f64) -> PlanNode {
    let (names, types) = (part.names.clone(), part.types.clone());
    PlanNode { node: Physical::Gather { input: Arc::new(part), workers }, rows, names, types }
}

/// An aggregation of which each member does its part.
fn in_halves(plan: &PlanNode, costs: &Costs) -> Option<PlanNode> {
    let Physical::Aggregate { input, groups, determined, aggregates, sets: None, phase: Phase::Whole } =
        &plan.node
    else {
        return None;
    };
    let (part, workers) = shared(input, costs)?;
    let is_safe = groups.iter().all(is_safe) && aggregates.iter().all(adds_up);
    if !is_safe {
        return None;
    }
    let half = |input: PlanNode, phase, rows| {
        let node = Physical::Aggregate {
            input: Box::new(input),
            groups: groups.clone(),
            determined: determined.clone(),
            aggregates: aggregates.clone(),
            sets: None,
            phase,
        };
        PlanNode { node, rows, names: plan.names.clone(), types: plan.types.clone() }
    };
    let groups_each = plan.rows.min(part.rows);
    let partial = half(part, Phase::Partial, groups_each);
    let gathered = gather(partial, workers, groups_each * workers as f64);
    Some(half(gathered, Phase::Final, plan.rows))
}

/// Whether what an aggregate made of parts of the rows can be put together.
fn adds_up(call: &AggregateCall) -> bool {
    let aggregate = &call.aggregate;
    !call.distinct
        && call.order_by.is_empty()
        && !aggregate.order_sensitive
        && !aggregate.within_group
        && call.arguments.iter().chain(&call.filter).all(is_safe)
}

/// A part as each member runs it, with how many helpers there may be.
fn shared(plan: &PlanNode, costs: &Costs) -> Option<(PlanNode, usize)> {
    let (node, workers) = match &plan.node {
        Physical::Table(scan) => {
            let workers = helpers_for(scan, costs)?;
            (Physical::Table(Box::new(TableScan { workers, ..(**scan).clone() })), workers)
        }
        Physical::Filter { input, predicates } if predicates.iter().all(is_safe) => {
            let (input, workers) = shared(input, costs)?;
            (Physical::Filter { input: Box::new(input), predicates: predicates.clone() }, workers)
        }
        Physical::Project { input, exprs } if exprs.iter().all(is_safe) => {
            let (input, workers) = shared(input, costs)?;
            (Physical::Project { input: Box::new(input), exprs: exprs.clone() }, workers)
        }
        Physical::HashJoin(join) if is_shareable(join) => {
            let (left, workers) = shared(&join.left, costs)?;
            let right = Box::new(best((*join.right).clone(), costs, 1.0));
            let join = HashJoin { left: Box::new(left), right, ..(**join).clone() };
            (Physical::HashJoin(Box::new(join)), workers)
        }
        Physical::NestedLoop(join) if is_searching(join) => {
            let (left, workers) = shared(&join.left, costs)?;
            (Physical::NestedLoop(Box::new(NestedLoop { left: Box::new(left), ..(**join).clone() })), workers)
        }
        _ => return None,
    };
    let rows = (plan.rows / costs.parallel.divisor(workers)).max(1.0);
    Some((PlanNode { node, rows, names: plan.names.clone(), types: plan.types.clone() }, workers))
}

/// Whether a join gives right rows by whether they had a partner, so that one alone has to see all left ones.
fn gives_right(join: &HashJoin) -> bool {
    join.gives_right || matches!(join.kind, JoinKind::Right | JoinKind::Full)
}

/// Whether the left rows of a join may be divided: which right rows found nobody is not asked for.
fn is_shareable(join: &HashJoin) -> bool {
    let keys = join.left_keys.iter().chain(&join.right_keys);
    !gives_right(join) && keys.chain(&join.residual).all(is_safe)
}

/// Whether a join makes rows for each left row, by searching a table or calling functions, and reads nothing else of what is
/// outside of it: its members may have rows of their own then.
fn is_searching(join: &NestedLoop) -> bool {
    let is_own = |expr: &Expr| {
        let reads_others = walk::any(expr, &mut |node| match node {
            Expr::Outer { index, .. } => !join.lateral.iter().any(|(slot, _)| slot == index),
            _ => false,
        });
        !reads_others && expr.volatility() < Volatility::Volatile
    };
    let keeps_right = matches!(join.kind, JoinKind::Right | JoinKind::Full);
    !keeps_right
        && !join.lateral.is_empty()
        && join.on.iter().all(is_safe)
        && makes_rows(&join.right, &is_own)
}

/// Whether a plan searches a table or calls functions, all expressions of which pass a test.
fn makes_rows(plan: &PlanNode, is_own: &dyn Fn(&Expr) -> bool) -> bool {
    match &plan.node {
        Physical::Table(scan) => {
            let Access::Keys(access) = &scan.access else { return false };
            scan.filters.iter().chain(access.values()).all(is_own)
        }
        Physical::Function { calls, .. } => calls.iter().all(|call| match call {
            TableFunction::Call { call, .. } => is_own(call),
            TableFunction::Relation { .. } | TableFunction::Report { .. } => false,
        }),
        Physical::Values { rows } => rows.iter().flatten().all(is_own),
        Physical::Filter { input, predicates } => predicates.iter().all(is_own) && makes_rows(input, is_own),
        Physical::Project { input, exprs } => exprs.iter().all(is_own) && makes_rows(input, is_own),
        _ => false,
    }
}

/// How many helpers a scan is large enough for: one more each time that it is three times as large (PostgreSQL's rule).
fn helpers_for(scan: &TableScan, costs: &Costs) -> Option<usize> {
    let is_whole = matches!(scan.access, Access::Full { .. });
    if !is_whole || scan.ordered || !scan.filters.iter().all(is_safe) {
        return None;
    }
    let (pages, parallel) = (pages(&scan.table), &costs.parallel);
    if parallel.forced {
        return Some(parallel.workers_max as usize);
    }
    if pages < parallel.table_pages_min {
        return None;
    }
    let mut workers = 1;
    let mut threshold = parallel.table_pages_min.max(1.0) * 3.0;
    while pages >= threshold {
        workers += 1;
        threshold *= 3.0;
    }
    Some(workers.min(parallel.workers_max as usize))
}

/// Whether an expression means the same to whoever evaluates it, in whichever order.
fn is_safe(expr: &Expr) -> bool {
    let reads_outer = walk::any(expr, &mut |node| matches!(node, Expr::Outer { .. }));
    !reads_outer && expr.volatility() < Volatility::Volatile
}
