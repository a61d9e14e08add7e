//! Predicate pushdown: every condition is tested as early as it can be.

use super::logical::{ColumnId, JoinKind, Logical, SubqueryKind};
use super::simplify::map_inputs;
use super::walk;
use crate::expr::Expr;

/// Pushes all filters of a plan down.
pub fn push_down(plan: Logical) -> Logical {
    push(plan, Vec::new())
}

fn covered(expr: &Expr, columns: &[ColumnId]) -> bool {
    let mut all = true;
    walk::columns(expr, &mut |id| all &= columns.contains(&id));
    all
}

/// Puts predicates on top of a plan.
fn filtered(plan: Logical, predicates: Vec<Expr>) -> Logical {
    if predicates.is_empty() { plan } else { Logical::Filter { input: Box::new(plan), predicates } }
}

/// Splits predicates into those that read only `columns`, and the rest.
fn split(predicates: Vec<Expr>, columns: &[ColumnId]) -> (Vec<Expr>, Vec<Expr>) {
    predicates.into_iter().partition(|predicate| covered(predicate, columns) && !walk::is_volatile(predicate))
}

/// Pushes `predicates`, which hold for the plan's rows, as far down as they go.
fn push(plan: Logical, mut predicates: Vec<Expr>) -> Logical {
    match plan {
        Logical::Filter { input, predicates: own } => {
            predicates.splice(0..0, own);
            push(*input, predicates)
        }
        Logical::Table { table, alias, columns, key, mut filters } => {
            filters.extend(predicates);
            Logical::Table { table, alias, columns, key, filters }
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
            let input = Box::new(push(*input, rewritten));
            filtered(Logical::Project { input, outputs }, stay)
        }
        Logical::Join { kind, left, right, on, lateral } => {
            push_join(kind, *left, *right, on, lateral, predicates)
        }
        Logical::Apply { input, subquery, kind, correlations, output, data_type } => {
            let below = input.outputs();
            let (down, mut stay) = split(predicates, &below);
            let subquery = Box::new(push(*subquery, Vec::new()));
            let input = Box::new(push(*input, down));
            if let Some(position) = semi_join_at(&stay, output, &kind, correlations.is_empty())
                && !stay.iter().enumerate().any(|(at, term)| at != position && reads(term, output))
            {
                stay.remove(position);
                return filtered(semi_join(*input, *subquery, kind), stay);
            }
            filtered(Logical::Apply { input, subquery, kind, correlations, output, data_type }, stay)
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
            let input = Box::new(push(*input, down));
            filtered(Logical::Aggregate { input, groups, aggregates, sets }, stay)
        }
        Logical::Sort { input, keys } => Logical::Sort { input: Box::new(push(*input, predicates)), keys },
        Logical::Distinct { input, on: None } => {
            Logical::Distinct { input: Box::new(push(*input, predicates)), on: None }
        }
        mut other => {
            map_inputs(&mut other, &mut push_down);
            filtered(other, predicates)
        }
    }
}

fn push_join(
    kind: JoinKind,
    left: Logical,
    right: Logical,
    on: Vec<Expr>,
    lateral: Vec<super::logical::Correlation>,
    predicates: Vec<Expr>,
) -> Logical {
    let (left_columns, right_columns) = (left.outputs(), right.outputs());
    let (mut to_left, mut to_right, mut above) = (Vec::new(), Vec::new(), Vec::new());
    let join_on;
    match kind {
        JoinKind::Inner => {
            let (for_left, rest) = split(predicates.into_iter().chain(on).collect(), &left_columns);
            let (for_right, rest) = split(rest, &right_columns);
            to_left = for_left;
            to_right = for_right;
            join_on = rest;
        }
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti => {
            let (for_left, rest) = split(predicates, &left_columns);
            to_left = for_left;
            above = rest;
            let (for_right, rest) = split(on, &right_columns);
            to_right = for_right;
            join_on = rest;
        }
        JoinKind::Right => {
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
    let left = Box::new(push(left, to_left));
    let right = Box::new(push(right, to_right));
    filtered(Logical::Join { kind, left, right, on: join_on, lateral }, above)
}

fn reads(expr: &Expr, column: ColumnId) -> bool {
    let mut found = false;
    walk::columns(expr, &mut |id| found |= id == column);
    found
}

/// Where among the terms an uncorrelated `IN` stands alone, so that it is a semi join. (`NOT IN` is no anti join,
/// for NULLs.)
fn semi_join_at(terms: &[Expr], output: ColumnId, kind: &SubqueryKind, uncorrelated: bool) -> Option<usize> {
    if !uncorrelated {
        return None;
    }
    let is_output = |expr: &Expr| matches!(expr, Expr::Column { index, .. } if *index == output);
    match kind {
        SubqueryKind::Quantified { all: false, .. } => terms.iter().position(is_output),
        _ => None,
    }
}

fn semi_join(left: Logical, right: Logical, kind: SubqueryKind) -> Logical {
    let mut on = Vec::new();
    if let SubqueryKind::Quantified { comparison, .. } = kind {
        walk::split_conjunction(comparison, &mut on);
    }
    Logical::Join {
        kind: JoinKind::Semi,
        left: Box::new(left),
        right: Box::new(right),
        on,
        lateral: Vec::new(),
    }
}
