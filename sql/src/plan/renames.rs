//! Projections that only rename columns are taken out from under joins, so that the joins of subqueries, views and common
//! tables are ordered together with those around them.

use super::logical::{ColumnId, Computed, Correlation, Logical};
use super::simplify::{map_exprs, map_inputs};
use super::walk;
use crate::expr::Expr;
use std::collections::HashMap;

/// What columns are called below.
#[derive(Default)]
pub struct Renames(HashMap<ColumnId, ColumnId>);

impl Renames {
    /// A column's name below.
    #[must_use]
    pub fn of(&self, id: ColumnId) -> ColumnId {
        self.0.get(&id).copied().unwrap_or(id)
    }
}

/// Takes renaming projections out; the result's columns are called by the names below.
pub fn take_out(plan: Logical) -> (Logical, Renames) {
    let mut renames = Renames::default();
    let plan = without(plan, &mut renames);
    if renames.0.is_empty() {
        return (plan, renames);
    }
    (renamed(plan, &renames), renames)
}

/// From the bottom up: what is noted is already a name below.
fn without(mut plan: Logical, renames: &mut Renames) -> Logical {
    map_inputs(&mut plan, &mut |input| without(input, renames));
    let Logical::Join { kind, left, right, on, lateral } = plan else { return plan };
    let left = Box::new(bare(*left, renames));
    let right = Box::new(bare(*right, renames));
    Logical::Join { kind, left, right, on, lateral }
}

/// A side of a join without the projections on top of it, as far as they only rename columns.
fn bare(plan: Logical, renames: &mut Renames) -> Logical {
    match plan {
        Logical::Filter { input, predicates } => {
            Logical::Filter { input: Box::new(bare(*input, renames)), predicates }
        }
        Logical::Project { input, outputs } => {
            let below = input.outputs();
            let renamed: Option<Vec<(ColumnId, ColumnId)>> =
                outputs.iter().map(|output| source(output, &below, renames)).collect();
            match renamed {
                Some(pairs) => {
                    renames.0.extend(pairs.into_iter().filter(|(id, below)| id != below));
                    bare(*input, renames)
                }
                None => Logical::Project { input, outputs },
            }
        }
        other => other,
    }
}

fn source(output: &Computed, below: &[ColumnId], renames: &Renames) -> Option<(ColumnId, ColumnId)> {
    match &output.expr {
        Expr::Column { index, .. } => {
            let id = renames.of(*index);
            below.contains(&id).then_some((output.id, id))
        }
        _ => None,
    }
}

fn renamed(mut plan: Logical, renames: &Renames) -> Logical {
    map_inputs(&mut plan, &mut |input| renamed(input, renames));
    map_exprs(&mut plan, &mut |expr| {
        walk::rewrite(expr, &mut |expr| match expr {
            Expr::Column { index, data_type } => {
                walk::Rewritten::Done(Expr::Column { index: renames.of(index), data_type })
            }
            other => walk::Rewritten::Descend(other),
        })
    });
    // A column that is passed on keeps its name, which is another one now.
    if let Logical::Project { outputs, .. } | Logical::Aggregate { groups: outputs, .. } = &mut plan {
        outputs.iter_mut().for_each(|output| output.id = renames.of(output.id));
    }
    if let Logical::Join { lateral: slots, .. } | Logical::Apply { correlations: slots, .. } = &mut plan {
        let correct = |each: &mut Correlation| each.column = renames.of(each.column);
        slots.iter_mut().for_each(correct);
    }
    if let Logical::Lock { tables, .. } = &mut plan {
        tables.iter_mut().for_each(|locked| locked.key = renames.of(locked.key));
    }
    plan
}
