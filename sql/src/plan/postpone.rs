//! Subqueries of the select list wait for LIMIT: they run for the rows that are left, not for all that are sorted.

use super::decorrelate::is_volatile_plan;
use super::logical::{ColumnId, Logical, SortKey, SubqueryKind};
use super::simplify::map_inputs;
use super::walk;
use crate::expr::Expr;

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
        other => other,
    }
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
