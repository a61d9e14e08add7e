//! Join order: a chain of inner joins is taken apart and put together again, smallest first, each next to
//! something it has a condition with. A cost-based search can replace [`choose`] without touching the rest.

use super::estimate;
use super::logical::{ColumnId, JoinKind, Logical};
use super::simplify::map_inputs;
use super::walk;
use crate::expr::Expr;

/// Reorders all chains of inner joins.
pub fn order_joins(plan: Logical) -> Logical {
    match plan {
        Logical::Join { kind: JoinKind::Inner, ref lateral, .. } if lateral.is_empty() => {
            let (mut relations, mut conditions) = (Vec::new(), Vec::new());
            flatten(plan, &mut relations, &mut conditions);
            choose(relations, conditions)
        }
        mut other => {
            map_inputs(&mut other, &mut order_joins);
            other
        }
    }
}

fn flatten(plan: Logical, relations: &mut Vec<Logical>, conditions: &mut Vec<Expr>) {
    match plan {
        Logical::Join { kind: JoinKind::Inner, left, right, on, lateral } if lateral.is_empty() => {
            flatten(*left, relations, conditions);
            flatten(*right, relations, conditions);
            conditions.extend(on);
        }
        other => relations.push(order_joins(other)),
    }
}

fn covered(expr: &Expr, columns: &[ColumnId]) -> bool {
    let mut all = true;
    walk::columns(expr, &mut |id| all &= columns.contains(&id));
    all
}

/// Puts relations together: first the one with the fewest rows, then always the smallest that a condition
/// connects to what is joined already, if there is one.
fn choose(mut relations: Vec<Logical>, mut conditions: Vec<Expr>) -> Logical {
    let smallest = |relations: &[Logical], allowed: &dyn Fn(usize) -> bool| {
        (0..relations.len()).filter(|at| allowed(*at)).min_by(|left, right| {
            estimate::rows(&relations[*left]).total_cmp(&estimate::rows(&relations[*right]))
        })
    };
    let first = smallest(&relations, &|_| true).unwrap_or(0);
    let mut joined = relations.remove(first);
    while !relations.is_empty() {
        let have = joined.outputs();
        let connected = |at: usize| {
            let mut both = have.clone();
            both.extend(relations[at].outputs());
            conditions.iter().any(|condition| covered(condition, &both) && !covered(condition, &have))
        };
        let next = smallest(&relations, &connected).or_else(|| smallest(&relations, &|_| true)).unwrap_or(0);
        let right = relations.remove(next);
        let mut both = have;
        both.extend(right.outputs());
        let (on, rest): (Vec<Expr>, Vec<Expr>) =
            conditions.into_iter().partition(|condition| covered(condition, &both));
        conditions = rest;
        joined = Logical::Join {
            kind: JoinKind::Inner,
            left: Box::new(joined),
            right: Box::new(right),
            on,
            lateral: Vec::new(),
        };
    }
    if conditions.is_empty() {
        joined
    } else {
        Logical::Filter { input: Box::new(joined), predicates: conditions }
    }
}
