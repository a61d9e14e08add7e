//! Constants that follow from equalities: `a = b AND b = 5` says `a = 5` too.

use std::sync::Arc;

use super::operators::{Comparison, as_comparison};
use super::walk;
use crate::expr::Expr;
use crate::functions::Function;

/// An equality between two sides of one type.
fn equality(condition: &Expr) -> Option<(&Arc<Function>, &Expr, &Expr)> {
    let (Comparison::Equal, left, right) = as_comparison(condition)? else { return None };
    let Expr::Call(call) = condition else { return None };
    (left.data_type().oid == right.data_type().oid).then_some((&call.function, left, right))
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column { .. })
}

/// What a condition says that a column equals, if that reads no row.
fn fixed(condition: &Expr) -> Option<(&Arc<Function>, &Expr, &Expr)> {
    let (function, left, right) = equality(condition)?;
    match (is_column(left), is_column(right)) {
        (true, false) if walk::is_constant(right) => Some((function, left, right)),
        (false, true) if walk::is_constant(left) => Some((function, right, left)),
        _ => None,
    }
}

/// What follows for the columns that are equal to others whose value is given in `given`, where `equalities` say so.
#[must_use]
pub fn implied(given: &[Expr], equalities: &[Expr]) -> Vec<Expr> {
    let pairs = equalities.iter().filter_map(|condition| {
        let (function, left, right) = equality(condition)?;
        (is_column(left) && is_column(right)).then_some((function, left, right))
    });
    let pairs: Vec<_> = pairs
        .flat_map(|(function, left, right)| [(function, left, right), (function, right, left)])
        .collect();
    let mut found: Vec<Expr> = Vec::new();
    if pairs.is_empty() {
        return found;
    }
    let mut known: Vec<Expr> = given.iter().filter(|condition| fixed(condition).is_some()).cloned().collect();
    let mut next = 0;
    while let Some(condition) = known.get(next).cloned() {
        next += 1;
        let Some((own, column, value)) = fixed(&condition) else { continue };
        for (function, from, to) in &pairs {
            let is_new = |known: &Expr| !fixed(known).is_some_and(|(_, column, _)| walk::same(column, to));
            if Arc::ptr_eq(own, function) && walk::same(from, column) && known.iter().all(is_new) {
                let implied = Expr::call(
                    (*function).clone(),
                    vec![(*to).clone(), value.clone()],
                    condition.data_type(),
                );
                found.push(implied.clone());
                known.push(implied);
            }
        }
    }
    found
}

/// Conditions that all hold, with the constants that follow from them, and without the equalities that say nothing more then.
#[must_use]
pub fn settle(mut conditions: Vec<Expr>) -> Vec<Expr> {
    let implied = implied(&conditions, &conditions);
    if implied.is_empty() {
        return conditions;
    }
    conditions.extend(implied);
    let needed = |condition: &&Expr| !is_settled(condition, &conditions);
    conditions.iter().filter(needed).cloned().collect()
}

/// Whether `conditions` say what both columns of an equality are: where that follows from it, it says nothing more.
fn is_settled(condition: &Expr, conditions: &[Expr]) -> bool {
    let Some((_, left, right)) =
        equality(condition).filter(|(_, left, right)| is_column(left) && is_column(right))
    else {
        return false;
    };
    let value_of = |side: &Expr| {
        conditions
            .iter()
            .filter_map(fixed)
            .find(|(_, column, _)| walk::same(column, side))
            .map(|(.., value)| value)
    };
    match (value_of(left), value_of(right)) {
        (Some(first), Some(second)) => walk::same(first, second),
        _ => false,
    }
}
