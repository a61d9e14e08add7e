//! Grouped columns that others determine: where a table's whole primary key is grouped, its other columns are the same in
//! all rows of a group. Those that nobody reads need not be grouped, and the others need not be compared.

use super::logical::{ColumnId, Computed, Logical};
use crate::catalog::{ColumnNumber, TableEntry};
use crate::expr::Expr;

/// A table, its columns, and the one that has its rows' keys.
type Columns<'p> = (&'p TableEntry, &'p [(ColumnId, ColumnNumber)], Option<ColumnId>);

/// Of each group, whether the others determine it.
#[must_use]
pub fn determined(input: &Logical, groups: &[Computed]) -> Vec<bool> {
    let grouped: Vec<Option<ColumnId>> = groups.iter().map(|group| column_of(&group.expr)).collect();
    let mut found = vec![false; groups.len()];
    let mut tables = Vec::new();
    tables_of(input, &mut tables);
    for (entry, columns, place) in tables {
        let key = &entry.table.primary_key;
        let number_of = |id: ColumnId| columns.iter().find(|(own, _)| *own == id).map(|(_, number)| *number);
        let numbers: Vec<Option<ColumnNumber>> = grouped.iter().map(|id| id.and_then(number_of)).collect();
        if key.is_empty() || key.iter().any(|number| !numbers.contains(&Some(*number))) {
            continue;
        }
        for ((found, number), id) in found.iter_mut().zip(numbers).zip(&grouped) {
            let is_place = id.is_some() && *id == place;
            *found |= is_place || number.is_some_and(|number| !key.contains(&number));
        }
    }
    found
}

fn column_of(expr: &Expr) -> Option<ColumnId> {
    match expr {
        Expr::Column { index, .. } => Some(*index),
        _ => None,
    }
}

/// The tables whose columns a plan passes on row by row. Where an outer join fills them with NULLs, the key is NULL too.
fn tables_of<'p>(plan: &'p Logical, found: &mut Vec<Columns<'p>>) {
    match plan {
        Logical::Table { table, columns, key, .. } => found.push((table, columns, *key)),
        Logical::Join { left, right, .. } => {
            tables_of(left, found);
            tables_of(right, found);
        }
        Logical::Filter { input, .. }
        | Logical::Apply { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. } => tables_of(input, found),
        _ => {}
    }
}
