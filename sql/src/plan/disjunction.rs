//! Disjunctions taken apart: what all arms of an OR demand, and what they demand of one relation.
//!
//! - `(a AND b) OR (a AND c)` is `a AND (b OR c)`: an equality that all arms repeat may join two tables then.
//! - `(x.a = 1 AND y.b = 2) OR (x.a = 3 AND y.b = 4)` implies `x.a = 1 OR x.a = 3`, which can be tested on `x` alone. It is
//!   tested in addition, so it counts twice where rows are estimated, unless the estimate takes it out again.

use super::logical::ColumnId;
use super::walk;
use crate::expr::Expr;

/// The terms of a predicate with what all arms of a disjunction have in common taken out of it.
pub fn split(predicate: Expr, terms: &mut Vec<Expr>) {
    match predicate {
        Expr::And(parts) => parts.into_iter().for_each(|part| split(part, terms)),
        Expr::Or(arms) => take_common(arms, terms),
        other => terms.push(other),
    }
}

fn take_common(arms: Vec<Expr>, terms: &mut Vec<Expr>) {
    let mut arms: Vec<Vec<Expr>> = arms.into_iter().map(conjunction).collect();
    let is_common = |term: &Expr| {
        !walk::is_volatile(term) && arms.iter().all(|arm| arm.iter().any(|own| walk::same(own, term)))
    };
    let common: Vec<Expr> = arms[0].iter().filter(|term| is_common(term)).cloned().collect();
    for arm in &mut arms {
        arm.retain(|term| !common.iter().any(|taken| walk::same(taken, term)));
    }
    terms.extend(common);
    // An arm that demands nothing else holds wherever the common terms do.
    if !arms.iter().any(Vec::is_empty) {
        terms.push(Expr::Or(arms.into_iter().map(joined).collect()));
    }
}

fn conjunction(expr: Expr) -> Vec<Expr> {
    let mut terms = Vec::new();
    walk::split_conjunction(expr, &mut terms);
    terms
}

fn joined(mut terms: Vec<Expr>) -> Expr {
    if terms.len() == 1 { terms.remove(0) } else { Expr::And(terms) }
}

/// What a disjunction demands of rows of which only some columns are known, if every arm demands something of them.
#[must_use]
pub fn implied(predicate: &Expr, columns: &[ColumnId]) -> Option<Expr> {
    let Expr::Or(arms) = predicate else { return None };
    if walk::is_volatile(predicate) || walk::reads_only(predicate, columns) {
        return None;
    }
    let demanded = arms.iter().map(|arm| {
        let own = conjunction(arm.clone()).into_iter().filter(|term| walk::reads_only(term, columns));
        let own: Vec<Expr> = own.collect();
        (!own.is_empty()).then(|| joined(own))
    });
    demanded.collect::<Option<Vec<Expr>>>().map(Expr::Or)
}
