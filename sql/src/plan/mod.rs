//! Plans: the logical one that the binder makes, the rules that improve it, the physical one that runs.

mod access;
pub use access::{index_key_columns, primary_key_columns};
mod estimate;
pub mod explain;
mod join_order;
pub mod logical;
mod operators;
pub mod physical;
mod planner;
pub use planner::{row_layout, sort_columns};
pub mod point;
mod prune;
mod pushdown;
pub mod simplify;
pub mod walk;
pub mod window;

use crate::error::Result;
use crate::types::TypeCatalog;
use logical::{ColumnId, Logical};
use physical::PlanNode;

/// Improves a logical plan of which `needed` columns are used.
#[must_use]
pub fn optimize(plan: Logical, needed: &[ColumnId]) -> Logical {
    let plan = simplify::simplify(plan);
    let plan = pushdown::push_down(plan);
    let plan = join_order::order_joins(plan);
    prune::prune(plan, needed)
}

/// Optimizes a plan and makes it physical; its rows have the `needed` columns, in that order. `catalog` has the types
/// that EXPLAIN names.
///
/// # Errors
/// 0A000 for what cannot be executed yet.
pub fn plan(catalog: &dyn TypeCatalog, plan: Logical, needed: &[ColumnId]) -> Result<PlanNode> {
    stacker::maybe_grow(512 << 10, 8 << 20, || {
        let plan = optimize(plan, needed);
        planner::physical(catalog, &plan, needed)
    })
}

/// An expression with its constants folded.
#[must_use]
pub fn folded(expr: crate::expr::Expr) -> crate::expr::Expr {
    let settings = crate::functions::Settings::default();
    expr.fold(&crate::functions::EvalContext::detached(&settings))
}
