//! Predicate pushdown: every condition is tested as early as it can be; and subqueries become joins on the way (`subqueries`).

use std::cell::RefCell;
use std::collections::HashSet;

use super::access;
use super::cost::Costs;
use super::logical::{ColumnId, Correlation, JoinKind, Logical};
use super::simplify::map_inputs;
use super::subqueries::{self, Applied};
use super::{constants, disjunction, strictness, walk};
use crate::expr::Expr;

/// Pushes all filters of a plan down.
pub fn push_down(plan: Logical, costs: &Costs) -> Logical {
    push(plan, Vec::new(), &Pushing { costs, settled: RefCell::default() })
}

/// What is known while predicates are pushed down.
pub struct Pushing<'a> {
    pub costs: &'a Costs,
    /// The outputs of subqueries that will not become joins: parts of a plan are walked again with further predicates, and
    /// deciding once keeps that from doubling with each subquery.
    pub settled: RefCell<HashSet<ColumnId>>,
}

fn covered(expr: &Expr, columns: &[ColumnId]) -> bool {
    let mut all = true;
    walk::columns(expr, &mut |id| all &= columns.contains(&id));
    all
}

/// Puts predicates on top of a plan.
pub(super) fn filtered(plan: Logical, predicates: Vec<Expr>) -> Logical {
    if predicates.is_empty() { plan } else { Logical::Filter { input: Box::new(plan), predicates } }
}

/// Splits predicates into those that read only `columns`, and the rest.
pub(super) fn split(predicates: Vec<Expr>, columns: &[ColumnId]) -> (Vec<Expr>, Vec<Expr>) {
    predicates.into_iter().partition(|predicate| covered(predicate, columns) && !walk::is_volatile(predicate))
}

/// Pushes `predicates`, which hold for the plan's rows, as far down as they go.
pub(super) fn push(plan: Logical, mut predicates: Vec<Expr>, pushing: &Pushing<'_>) -> Logical {
    match plan {
        Logical::Filter { input, predicates: own } => {
            predicates.splice(0..0, own);
            push(*input, predicates, pushing)
        }
        Logical::Table { table, alias, columns, hidden, key, mut filters } => {
            // The scan tests columns: what looks at the key itself, as TABLESAMPLE does, is tested above.
            let reads_key = |predicate: &Expr| {
                let mut reads = false;
                walk::columns(predicate, &mut |id| reads |= Some(id) == key);
                reads
            };
            // A place is searched for.
            let is_place = |predicate: &Expr| access::names_place(predicate, &columns, key);
            let (above, own): (Vec<Expr>, Vec<Expr>) =
                predicates.into_iter().partition(|predicate| reads_key(predicate) && !is_place(predicate));
            filters.extend(own);
            let scan = Logical::Table { table, alias, columns, hidden, key, filters };
            match above.is_empty() {
                true => scan,
                false => Logical::Filter { input: Box::new(scan), predicates: above },
            }
        }
        Logical::Virtual { relation, alias, columns, mut filters } => {
            filters.extend(predicates);
            Logical::Virtual { relation, alias, columns, filters }
        }
        Logical::Project { input, outputs } => {
            let (movable, stay): (Vec<Expr>, Vec<Expr>) = predicates.into_iter().partition(|predicate| {
                !walk::is_volatile(predicate)
                    && !outputs.iter().any(|output| {
                        walk::is_volatile(&output.expr) && {
                            let mut reads = false;
                            walk::columns(predicate, &mut |id| reads |= id == output.id);
                            reads
                        }
                    })
            });
            let rewritten = movable
                .into_iter()
                .map(|predicate| {
                    walk::replace_columns(predicate, &|id| {
                        outputs.iter().find(|output| output.id == id).map(|output| output.expr.clone())
                    })
                })
                .collect();
            let input = Box::new(push(*input, rewritten, pushing));
            filtered(Logical::Project { input, outputs }, stay)
        }
        Logical::Join { kind, left, right, on, lateral } => {
            push_join(kind, (*left, *right), on, lateral, predicates, pushing)
        }
        Logical::Apply { input, subquery, kind, correlations, output, data_type } => {
            let applied =
                Applied { input: *input, subquery: *subquery, kind, correlations, output, data_type };
            subqueries::push(applied, predicates, pushing)
        }
        Logical::Aggregate { input, groups, aggregates, sets } => {
            let grouped: Vec<ColumnId> = groups.iter().map(|group| group.id).collect();
            // A condition on groups alone holds for all rows of a group, or for none.
            let (down, stay) = if groups.is_empty() || sets.is_some() {
                (Vec::new(), predicates)
            } else {
                split(predicates, &grouped)
            };
            let down = down
                .into_iter()
                .map(|predicate| {
                    walk::replace_columns(predicate, &|id| {
                        groups.iter().find(|group| group.id == id).map(|group| group.expr.clone())
                    })
                })
                .collect();
            let input = Box::new(push(*input, down, pushing));
            filtered(Logical::Aggregate { input, groups, aggregates, sets }, stay)
        }
        Logical::Sort { input, keys } => {
            Logical::Sort { input: Box::new(push(*input, predicates, pushing)), keys }
        }
        Logical::Distinct { input, on: None } => {
            Logical::Distinct { input: Box::new(push(*input, predicates, pushing)), on: None }
        }
        Logical::Window { input, order, calls } => {
            // A condition on what all partitions are made by keeps or drops whole partitions.
            let keys = order.partition.iter().filter_map(|key| match key {
                Expr::Column { index, .. } => Some(*index),
                _ => None,
            });
            let (down, stay) = split(predicates, &keys.collect::<Vec<_>>());
            let input = Box::new(push(*input, down, pushing));
            filtered(Logical::Window { input, order, calls }, stay)
        }
        Logical::SetOperation { kind, all, left, right, columns } => {
            let ids: Vec<ColumnId> = columns.iter().map(|column| column.0).collect();
            let (down, stay) = split(predicates, &ids);
            let side = |side: Logical| {
                let outputs = side.outputs();
                let below = down.iter().map(|predicate| over_side(predicate.clone(), &ids, &outputs));
                let below = below.collect();
                Box::new(push(side, below, pushing))
            };
            let (left, right) = (side(*left), side(*right));
            filtered(Logical::SetOperation { kind, all, left, right, columns }, stay)
        }
        mut other => {
            map_inputs(&mut other, &mut |input| push(input, Vec::new(), pushing));
            filtered(other, predicates)
        }
    }
}

/// A condition on a set operation's columns, as one on those of a side.
fn over_side(predicate: Expr, ids: &[ColumnId], side: &[ColumnId]) -> Expr {
    walk::rewrite(predicate, &mut |expr| match expr {
        Expr::Column { index, data_type } => {
            let at = ids.iter().position(|id| *id == index);
            let index = at.and_then(|at| side.get(at)).copied().unwrap_or(index);
            walk::Rewritten::Done(Expr::Column { index, data_type })
        }
        other => walk::Rewritten::Descend(other),
    })
}

/// The columns of the relations that inner joins put together.
fn leaves(plan: &Logical, found: &mut Vec<Vec<ColumnId>>) {
    match plan {
        Logical::Join { kind: JoinKind::Inner, left, right, .. } => {
            leaves(left, found);
            leaves(right, found);
        }
        Logical::Filter { input, .. } => leaves(input, found),
        other => found.push(other.outputs()),
    }
}

/// What conditions on both sides of a join demand of single relations of one side.
fn implied(conditions: &[Expr], side: &Logical) -> Vec<Expr> {
    if !conditions.iter().any(|condition| matches!(condition, Expr::Or(_))) {
        return Vec::new();
    }
    let mut relations = Vec::new();
    leaves(side, &mut relations);
    let of = |relation: &Vec<ColumnId>| {
        conditions
            .iter()
            .filter_map(|condition| disjunction::implied(condition, relation))
            .collect::<Vec<_>>()
    };
    relations.iter().flat_map(of).collect()
}

pub(super) fn push_join(
    kind: JoinKind,
    (left, right): (Logical, Logical),
    on: Vec<Expr>,
    lateral: Vec<Correlation>,
    predicates: Vec<Expr>,
    pushing: &Pushing<'_>,
) -> Logical {
    let (left_columns, right_columns) = (left.outputs(), right.outputs());
    let kind = strictness::strengthened(kind, &predicates, &left_columns, &right_columns);
    let (mut to_left, mut to_right, mut above) = (Vec::new(), Vec::new(), Vec::new());
    let join_on;
    match kind {
        JoinKind::Inner => {
            let all = constants::settle(predicates.into_iter().chain(on).collect());
            let (for_left, rest) = split(all, &left_columns);
            let (for_right, rest) = split(rest, &right_columns);
            to_left = for_left;
            to_right = for_right;
            to_left.extend(implied(&rest, &left));
            to_right.extend(implied(&rest, &right));
            join_on = rest;
        }
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti => {
            let on = completed(on, &predicates);
            let (for_left, rest) = split(predicates, &left_columns);
            to_left = for_left;
            above = rest;
            let (for_right, rest) = split(on, &right_columns);
            to_right = for_right;
            join_on = rest;
        }
        JoinKind::Right => {
            let on = completed(on, &predicates);
            let (for_right, rest) = split(predicates, &right_columns);
            to_right = for_right;
            above = rest;
            let (for_left, rest) = split(on, &left_columns);
            to_left = for_left;
            join_on = rest;
        }
        JoinKind::Full => {
            join_on = on;
            above = predicates;
        }
    }
    let left = Box::new(push(left, to_left, pushing));
    let right = Box::new(push(right, to_right, pushing));
    filtered(Logical::Join { kind, left, right, on: join_on, lateral }, above)
}

/// The conditions of an outer join with the constants that follow: partners of rows that `predicates` leave out do not matter.
fn completed(mut on: Vec<Expr>, predicates: &[Expr]) -> Vec<Expr> {
    let given: Vec<Expr> = predicates.iter().chain(&on).cloned().collect();
    on.extend(constants::implied(&given, &on));
    on
}

pub(super) fn reads(expr: &Expr, column: ColumnId) -> bool {
    let mut found = false;
    walk::columns(expr, &mut |id| found |= id == column);
    found
}
