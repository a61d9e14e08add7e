//! Objects of one branch in the column numbers of another, and without what is each branch's own.

use std::collections::HashMap;
use std::sync::Arc;

use helios_mvcc::TreeId;

use super::matching::Places;
use crate::catalog::{ColumnNumber, ConstraintKind, Object, ViewSource};
use crate::sequence::Position;

/// By table: the number that each of its columns has in the merged table.
pub type Numbers = HashMap<u32, Vec<Option<ColumnNumber>>>;

/// Places as numbers.
#[must_use]
pub fn numbers(places: &Places) -> Vec<Option<ColumnNumber>> {
    let number = |place: &Option<usize>| place.and_then(|place| ColumnNumber::try_from(place + 1).ok());
    places.iter().map(number).collect()
}

/// A number that no column has, for those that are gone.
const GONE: ColumnNumber = ColumnNumber::MAX;

fn number_in(numbers: &Numbers, table: u32, number: ColumnNumber) -> ColumnNumber {
    // 0 is no column: an expression, or the table itself.
    let Some(known) = numbers.get(&table).filter(|_| number > 0) else { return number };
    let place = usize::try_from(number - 1).unwrap_or(usize::MAX);
    known.get(place).copied().flatten().unwrap_or(GONE)
}

/// An object with the merged tables' numbers.
#[must_use]
pub fn renumbered(object: &Object, numbers: &Numbers) -> Object {
    let change = |table: u32, list: &mut Vec<ColumnNumber>| {
        list.iter_mut().for_each(|number| *number = number_in(numbers, table, *number));
    };
    let change_sources = |sources: &mut Vec<ViewSource>| {
        for source in sources {
            let relation = source.relation;
            source.columns.iter_mut().for_each(|(number, _)| *number = number_in(numbers, relation, *number));
            source.columns.retain(|(number, _)| *number != GONE);
            change(relation, &mut source.used);
        }
    };
    let mut object = object.clone();
    match &mut object {
        Object::Index(index) => {
            let index = Arc::make_mut(index);
            for column in &mut index.columns {
                column.number = number_in(numbers, index.table, column.number);
            }
            change(index.table, &mut index.included);
            change(index.table, &mut index.read);
        }
        Object::ExtendedStatistics(own) => {
            let own = Arc::make_mut(own);
            change(own.table, &mut own.columns);
            change(own.table, &mut own.read);
            own.columns.sort_unstable();
        }
        Object::Constraint(constraint) => {
            let constraint = Arc::make_mut(constraint);
            change(constraint.table, &mut constraint.columns);
            if let ConstraintKind::ForeignKey { table, columns, .. } = &mut constraint.kind {
                change(*table, columns);
            }
        }
        Object::Sequence(sequence) => {
            if let Some(owner) = &mut Arc::make_mut(sequence).owned_by {
                owner.column = number_in(numbers, owner.table, owner.column);
            }
        }
        Object::View(view) => change_sources(&mut Arc::make_mut(view).sources),
        Object::Table(table) if table.materialized.is_some() => {
            if let Some(materialized) = &mut Arc::make_mut(table).materialized {
                change_sources(&mut materialized.sources);
            }
        }
        Object::Comments(comments) => {
            let comments = Arc::make_mut(comments);
            let oid = comments.oid;
            comments.texts.iter_mut().for_each(|(number, _)| *number = number_in(numbers, oid, *number));
            comments.texts.retain(|(number, _)| *number != GONE);
            comments.texts.sort();
        }
        Object::Rights(rights) => {
            let rights = Arc::make_mut(rights);
            let oid = rights.oid;
            rights.columns.iter_mut().for_each(|(number, _)| *number = number_in(numbers, oid, *number));
            rights.columns.retain(|(number, _)| *number != GONE);
            rights.columns.sort_by_key(|(number, _)| *number);
        }
        Object::Schema(_)
        | Object::Table(_)
        | Object::Type(_)
        | Object::Role(_)
        | Object::Configuration(_)
        | Object::Extension(_)
        | Object::DefaultRights(_)
        | Object::Statistics(_) => {}
    }
    object
}

/// Whether an object names a column that is gone.
#[must_use]
pub fn names_gone(object: &Object) -> bool {
    match object {
        Object::Index(index) => index.depends_on(GONE),
        Object::ExtendedStatistics(own) => own.depends_on(GONE),
        Object::Constraint(constraint) => {
            let refers = match &constraint.kind {
                ConstraintKind::ForeignKey { columns, .. } => columns.contains(&GONE),
                _ => false,
            };
            refers || constraint.columns.contains(&GONE)
        }
        Object::Sequence(sequence) => sequence.owned_by.is_some_and(|owner| owner.column == GONE),
        Object::View(view) => reads_gone(&view.sources),
        Object::Table(table) => {
            table.materialized.as_ref().is_some_and(|materialized| reads_gone(&materialized.sources))
        }
        _ => false,
    }
}

fn reads_gone(sources: &[ViewSource]) -> bool {
    sources.iter().any(|source| source.used.contains(&GONE))
}

/// An object without the trees and counters that it has on one branch.
#[must_use]
pub fn bare(object: &Object) -> Object {
    let mut object = object.clone();
    match &mut object {
        Object::Index(index) => Arc::make_mut(index).tree = TreeId(0),
        Object::Sequence(sequence) => {
            let sequence = Arc::make_mut(sequence);
            sequence.counter = 0;
            sequence.initial = Position { last: 0, is_called: false };
        }
        _ => {}
    }
    object
}
