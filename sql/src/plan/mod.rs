//! Plans: the logical one that the binder makes, the rules that improve it, the physical one that runs.

mod access;
mod combination;
mod constants;
mod cost;
pub use cost::{Costs, ParallelCosts};
mod index_join;
pub use access::{index_key_columns, primary_key_columns};
mod decorrelate;
mod determined;
mod disjunction;
mod equal_columns;
mod estimate;
pub mod explain;
mod extremes;
mod greedy_order;
mod join_order;
pub mod logical;
pub mod operators;
mod parallel;
pub mod physical;
mod planner;
mod relation_set;
pub use planner::{row_layout, sort_columns};
pub mod point;
mod postpone;
mod prefix;
mod prune;
mod pushdown;
mod renames;
mod selectivity;
mod special_index;
pub use special_index::SpecialIndex;
pub mod simplify;
mod strictness;
mod subqueries;
#[cfg(test)]
mod tests;
pub mod walk;
pub mod window;

use crate::catalog::TypeScope;
use crate::error::Result;
use logical::{ColumnId, Logical};
use physical::PlanNode;

/// Improves a logical plan of which `needed` columns are used; gives what they are called in the result.
#[must_use]
pub fn optimize(plan: Logical, needed: &[ColumnId], costs: &Costs) -> (Logical, Vec<ColumnId>) {
    let plan = postpone::postpone(simplify::simplify(plan));
    let (plan, renames) = renames::take_out(plan);
    let needed: Vec<ColumnId> = needed.iter().map(|id| renames.of(*id)).collect();
    let plan = pushdown::push_down(plan, costs);
    let plan = if costs.reorder_joins { join_order::order_joins(plan, costs) } else { plan };
    let plan = index_join::choose_searches(plan, costs);
    (prune::prune(plan, &needed), needed)
}

/// Optimizes a plan and makes it physical; its rows have the `needed` columns, in that order.
///
/// # Errors
/// 0A000 for what cannot be executed yet.
pub fn plan(plan: Logical, needed: &[ColumnId], means: &Means<'_>) -> Result<PlanNode> {
    stacker::maybe_grow(512 << 10, 8 << 20, || {
        crate::watch::check()?;
        let (plan, needed) = optimize(plan, needed, means.costs);
        // What was given up is no plan.
        crate::watch::check()?;
        planner::physical(means, &plan, &needed)
    })
}

/// The same for a query whose rows are read and not written: several may work on it.
///
/// # Errors
/// As [`plan`].
pub fn plan_query(plan: Logical, needed: &[ColumnId], means: &Means<'_>) -> Result<PlanNode> {
    let planned = parallel::shared_out(self::plan(plan, needed, means)?, means.costs);
    crate::watch::check()?;
    Ok(planned)
}

/// What the planner goes by.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub costs: &'a Costs,
    /// The types that EXPLAIN names.
    pub types: TypeScope<'a>,
}

/// An expression with its constants folded.
#[must_use]
pub fn folded(expr: crate::expr::Expr) -> crate::expr::Expr {
    let settings = crate::functions::Settings::default();
    expr.fold(&crate::functions::EvalContext::detached(&settings))
}
