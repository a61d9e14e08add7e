//! Projection pruning: columns that nobody reads are not computed.

use std::sync::Arc;

use super::determined::determined;
use super::logical::{ColumnId, Logical, NeededColumns, SubqueryKind, TableFunction};
use super::walk;
use crate::expr::Expr;

fn note(expr: &Expr, needed: &mut Vec<ColumnId>) {
    walk::columns(expr, &mut |id| {
        if !needed.contains(&id) {
            needed.push(id);
        }
    });
}

fn note_all<'e>(exprs: impl IntoIterator<Item = &'e Expr>, needed: &mut Vec<ColumnId>) {
    for expr in exprs {
        note(expr, needed);
    }
}

/// Reduces a plan to what `needed` takes.
pub fn prune(plan: Logical, needed: &[ColumnId]) -> Logical {
    let mut needed = needed.to_vec();
    match plan {
        Logical::Table { table, alias, mut columns, key, filters, .. } => {
            let mut read = needed.clone();
            note_all(&filters, &mut read);
            columns.retain(|(id, _)| read.contains(id));
            let key = key.filter(|id| read.contains(id));
            let mut hidden = 0;
            // Rows that are changed or locked are looked at as a whole.
            if key.is_none() {
                columns.sort_by_key(|(id, _)| !needed.contains(id));
                hidden = columns.iter().filter(|(id, _)| !needed.contains(id)).count();
            }
            Logical::Table { table, alias, columns, hidden, key, filters }
        }
        Logical::Virtual { relation, alias, mut columns, filters } => {
            note_all(&filters, &mut needed);
            columns.retain(|(id, _)| needed.contains(id));
            Logical::Virtual { relation, alias, columns, filters }
        }
        Logical::Filter { input, predicates } => {
            note_all(&predicates, &mut needed);
            Logical::Filter { input: Box::new(prune(*input, &needed)), predicates }
        }
        Logical::Project { input, mut outputs } => {
            outputs.retain(|output| needed.contains(&output.id) || walk::is_volatile(&output.expr));
            let mut below = Vec::new();
            note_all(outputs.iter().map(|output| &output.expr), &mut below);
            Logical::Project { input: Box::new(prune(*input, &below)), outputs }
        }
        Logical::Join { kind, left, right, on, lateral } => {
            note_all(&on, &mut needed);
            needed.extend(lateral.iter().map(|each| each.column));
            let left = Box::new(prune(*left, &needed));
            let right = Box::new(prune(*right, &needed));
            Logical::Join { kind, left, right, on, lateral }
        }
        Logical::Apply { input, subquery, kind, correlations, output, data_type } => {
            // A subquery that nobody reads need not run.
            if !needed.contains(&output) {
                return prune(*input, &needed);
            }
            let inner: Vec<ColumnId> = match &kind {
                SubqueryKind::Exists => Vec::new(),
                SubqueryKind::Scalar | SubqueryKind::Array { .. } => subquery_columns(&subquery),
                SubqueryKind::Quantified { comparison, .. } => {
                    note(comparison, &mut needed);
                    subquery_columns(&subquery)
                }
            };
            needed.extend(correlations.iter().map(|each| each.column));
            let subquery = Box::new(prune(*subquery, &inner));
            let input = Box::new(prune(*input, &needed));
            Logical::Apply { input, subquery, kind, correlations, output, data_type }
        }
        Logical::Aggregate { input, mut groups, mut aggregates, sets } => {
            aggregates.retain(|(id, _)| needed.contains(id));
            if sets.is_none() {
                let mut determined = determined(&input, &groups).into_iter();
                groups.retain(|group| determined.next() != Some(true) || needed.contains(&group.id));
            }
            let mut below = Vec::new();
            note_all(groups.iter().map(|group| &group.expr), &mut below);
            for (_, call) in &aggregates {
                note_all(call.arguments.iter().chain(&call.filter), &mut below);
                note_all(call.order_by.iter().map(|key| &key.expr), &mut below);
            }
            Logical::Aggregate { input: Box::new(prune(*input, &below)), groups, aggregates, sets }
        }
        Logical::Window { input, order, mut calls } => {
            calls.retain(|(id, _)| needed.contains(id));
            let mut below: Vec<ColumnId> = input.outputs();
            below.retain(|id| needed.contains(id));
            if calls.is_empty() {
                return prune(*input, &below);
            }
            order.for_each_expr(&mut |expr| note(expr, &mut below));
            calls.iter().for_each(|(_, call)| call.for_each_expr(&mut |expr| note(expr, &mut below)));
            Logical::Window { input: Box::new(prune(*input, &below)), order, calls }
        }
        Logical::ProjectSet { input, calls } => {
            // Every call decides how many rows there are.
            let mut below: Vec<ColumnId> = input.outputs();
            below.retain(|id| needed.contains(id));
            note_all(calls.iter().map(|each| &each.1), &mut below);
            Logical::ProjectSet { input: Box::new(prune(*input, &below)), calls }
        }
        Logical::Distinct { input, on } => {
            match &on {
                Some(exprs) => note_all(exprs, &mut needed),
                // All columns tell rows apart.
                None => needed = input.outputs(),
            }
            Logical::Distinct { input: Box::new(prune(*input, &needed)), on }
        }
        Logical::Lock { input, tables } => {
            needed.extend(tables.iter().map(|each| each.key));
            Logical::Lock { input: Box::new(prune(*input, &needed)), tables }
        }
        Logical::Sort { input, keys } => {
            note_all(keys.iter().map(|key| &key.expr), &mut needed);
            Logical::Sort { input: Box::new(prune(*input, &needed)), keys }
        }
        Logical::Limit { input, limit, offset, ties } => {
            note_all(&ties, &mut needed);
            Logical::Limit { input: Box::new(prune(*input, &needed)), limit, offset, ties }
        }
        Logical::SetOperation { kind, all, left, right, columns } => {
            let (left_columns, right_columns) = (left.outputs(), right.outputs());
            let left = Box::new(prune(*left, &left_columns));
            let right = Box::new(prune(*right, &right_columns));
            Logical::SetOperation { kind, all, left, right, columns }
        }
        Logical::Recursive { table, all, seed, step, columns } => {
            let (seed_columns, step_columns) = (seed.outputs(), step.outputs());
            let seed = Box::new(prune(*seed, &seed_columns));
            let step = Box::new(prune(*step, &step_columns));
            Logical::Recursive { table, all, seed, step, columns }
        }
        Logical::Shared { table, alias, definition, columns } => {
            // Whoever reads it next may need the other columns.
            let all = definition.outputs();
            let definition = Arc::new(prune(Arc::unwrap_or_clone(definition), &all));
            Logical::Shared { table, alias, definition, columns }
        }
        Logical::FunctionScan { mut calls, alias, columns, ordinality } => {
            // Of several side by side, each has all its columns read.
            if let [TableFunction::Report { needed: read, .. }] = &mut calls[..] {
                *read = NeededColumns::of(columns.iter().map(|(id, _)| needed.contains(id)));
            }
            Logical::FunctionScan { calls, alias, columns, ordinality }
        }
        other @ (Logical::WorkingTable { .. } | Logical::Values { .. }) => other,
    }
}

/// The columns that a subquery's result has: those of its first visible node.
fn subquery_columns(plan: &Logical) -> Vec<ColumnId> {
    plan.outputs()
}
