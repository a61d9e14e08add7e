//! Subqueries of the select list wait for LIMIT: they run for the rows that are left, not for all that are sorted. Those of
//! a query in FROM wait for the inner joins around it that do not ask for them: they run for the rows that found others. They run
//! once for each list of outer values anyway, so a join that multiplies rows makes them no dearer.

use super::decorrelate::is_volatile_plan;
use super::logical::{ColumnId, Computed, JoinKind, Logical, SortKey, SubqueryKind};
use super::simplify::map_inputs;
use super::subqueries::column_types;
use super::walk;
use crate::expr::Expr;
use crate::types::DataType;

/// Puts what is computed for the output alone above the limits of a plan.
pub fn postpone(mut plan: Logical) -> Logical {
    map_inputs(&mut plan, &mut postpone);
    match plan {
        Logical::Limit { input, limit: Some(limit), offset, ties } => {
            let (keys, below) = match *input {
                Logical::Sort { input, keys } => (Some(keys), *input),
                other => (None, other),
            };
            let wait = match &below {
                Logical::Project { input, outputs } if matches!(**input, Logical::Apply { .. }) => {
                    !outputs.iter().any(|output| walk::is_volatile(&output.expr))
                }
                _ => false,
            };
            let limited = Limited { keys, limit, offset, ties };
            if wait { limited.under_subqueries(below) } else { limited.over(below) }
        }
        Logical::Filter { input, predicates } => match *input {
            Logical::Join { kind: JoinKind::Inner, left, right, on, lateral } if lateral.is_empty() => {
                Joined { left: *left, right: *right, on, predicates }.below_subqueries()
            }
            other => Logical::Filter { input: Box::new(other), predicates },
        },
        Logical::Join { kind: JoinKind::Inner, left, right, on, lateral } if lateral.is_empty() => {
            Joined { left: *left, right: *right, on, predicates: Vec::new() }.below_subqueries()
        }
        other => other,
    }
}

/// An inner join, and the filter above it.
struct Joined {
    left: Logical,
    right: Logical,
    on: Vec<Expr>,
    predicates: Vec<Expr>,
}

impl Joined {
    fn build(self) -> Logical {
        let Joined { left, right, on, predicates } = self;
        let (kind, lateral) = (JoinKind::Inner, Vec::new());
        let join = Logical::Join { kind, left: Box::new(left), right: Box::new(right), on, lateral };
        if predicates.is_empty() { join } else { Logical::Filter { input: Box::new(join), predicates } }
    }

    /// The join below the subqueries of a side that it does not ask for, where it leaves out rows.
    fn below_subqueries(self) -> Logical {
        if self.on.is_empty() && self.predicates.is_empty() {
            return self.build();
        }
        for is_right in [true, false] {
            let (side, other) = if is_right { (&self.right, &self.left) } else { (&self.left, &self.right) };
            let terms = self.on.iter().chain(&self.predicates);
            let (Some(outputs), Some(others)) = (waiting(side, terms), column_types(other)) else { continue };
            return self.below(outputs, &others, is_right);
        }
        self.build()
    }

    /// The join with a side's input, and above it what that side computes, `outputs`, beside the columns of the other one.
    fn below(
        mut self,
        mut outputs: Vec<Computed>,
        others: &[(ColumnId, DataType)],
        is_right: bool,
    ) -> Logical {
        let side = if is_right { &mut self.right } else { &mut self.left };
        let Logical::Project { input, .. } = std::mem::replace(side, Logical::one_row()) else {
            return self.build();
        };
        let mut below = *input;
        let mut subqueries = Vec::new();
        while let Logical::Apply { input, subquery, kind, correlations, output, data_type } = below {
            subqueries.push((subquery, kind, correlations, output, data_type));
            below = *input;
        }
        *side = below;
        let computed = |expr: Expr| {
            walk::replace_columns(expr, &|id| {
                outputs.iter().find(|output| output.id == id).map(|output| output.expr.clone())
            })
        };
        self.on = self.on.into_iter().map(computed).collect();
        self.predicates = self.predicates.into_iter().map(computed).collect();
        let mut input = self.below_subqueries();
        for (subquery, kind, correlations, output, data_type) in subqueries.into_iter().rev() {
            input =
                Logical::Apply { input: Box::new(input), subquery, kind, correlations, output, data_type };
        }
        let same = |(id, data_type): &(ColumnId, DataType)| Computed {
            id: *id,
            expr: Expr::Column { index: *id, data_type: *data_type },
        };
        outputs.extend(others.iter().map(same));
        Logical::Project { input: Box::new(input), outputs }
    }
}

/// What a side of a join computes, where subqueries are all that it does above its rows and no term asks for them.
fn waiting<'t>(side: &Logical, terms: impl Iterator<Item = &'t Expr>) -> Option<Vec<Computed>> {
    let Logical::Project { input, outputs } = side else { return None };
    let mut subqueries = Vec::new();
    let mut below = &**input;
    while let Logical::Apply { input, subquery, kind, output, .. } = below {
        if !matches!(kind, SubqueryKind::Scalar | SubqueryKind::Array { .. }) || is_volatile_plan(subquery) {
            return None;
        }
        subqueries.push(*output);
        below = input;
    }
    let reads = |expr: &Expr| {
        let mut found = false;
        walk::columns(expr, &mut |id| found |= subqueries.contains(&id));
        found
    };
    let depends = |id: ColumnId| outputs.iter().any(|output| output.id == id && reads(&output.expr));
    let mut asked = false;
    for term in terms {
        walk::columns(term, &mut |id| asked |= depends(id));
    }
    let stays =
        subqueries.is_empty() || asked || outputs.iter().any(|output| walk::is_volatile(&output.expr));
    (!stays).then(|| outputs.clone())
}

/// A limit, and the order that it stands on.
struct Limited {
    keys: Option<Vec<SortKey>>,
    limit: Expr,
    offset: Option<Expr>,
    ties: Vec<Expr>,
}

impl Limited {
    fn over(self, input: Logical) -> Logical {
        let input = match self.keys {
            Some(keys) => Logical::Sort { input: Box::new(input), keys },
            None => input,
        };
        let Limited { limit, offset, ties, .. } = self;
        Logical::Limit { input: Box::new(input), limit: Some(limit), offset, ties }
    }

    /// The limit below the subqueries that neither the order nor other subqueries below it ask for.
    fn under_subqueries(mut self, projection: Logical) -> Logical {
        let Logical::Project { input, outputs } = projection else { return self.over(projection) };
        let mut below = *input;
        let computed = |expr: Expr| {
            walk::replace_columns(expr, &|id| {
                outputs.iter().find(|output| output.id == id).map(|output| output.expr.clone())
            })
        };
        self.ties = self.ties.into_iter().map(computed).collect();
        for key in self.keys.iter_mut().flatten() {
            key.expr = computed(key.expr.clone());
        }
        let mut asked: Vec<ColumnId> = Vec::new();
        let keys = self.keys.iter().flatten().map(|key| &key.expr);
        keys.chain(&self.ties).for_each(|expr| walk::columns(expr, &mut |id| asked.push(id)));
        // From the top: each subquery, and whether it waits.
        let mut subqueries = Vec::new();
        while let Logical::Apply { input, subquery, kind, correlations, output, data_type } = below {
            let waits = !asked.contains(&output) && !is_volatile_plan(&subquery);
            if !waits {
                asked.extend(correlations.iter().map(|each| each.column));
                if let SubqueryKind::Quantified { comparison, .. } = &kind {
                    walk::columns(comparison, &mut |id| asked.push(id));
                }
            }
            subqueries.push((waits, (subquery, kind, correlations, output, data_type)));
            below = *input;
        }
        let (waiting, first): (Vec<_>, Vec<_>) = subqueries.into_iter().rev().partition(|each| each.0);
        let attach = |input: Logical, (_, subquery): (bool, _)| {
            let (subquery, kind, correlations, output, data_type) = subquery;
            Logical::Apply { input: Box::new(input), subquery, kind, correlations, output, data_type }
        };
        let keys = if waiting.is_empty() { None } else { self.keys.clone() };
        let limited = self.over(first.into_iter().fold(below, attach));
        let mut input = waiting.into_iter().fold(limited, attach);
        // What becomes of the subqueries may be joins, which keep no order.
        if let Some(keys) = keys {
            input = Logical::Sort { input: Box::new(input), keys };
        }
        Logical::Project { input: Box::new(input), outputs }
    }
}
