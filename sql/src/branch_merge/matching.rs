//! Which columns of two versions of a table are the same, and which of its rows differ.
//!
//! A column is known by its identity (`ColumnIdentity`). Of those that are left then, two of one name are the same: so a column
//! that was dropped and made anew goes on being what its name says. Columns from programs that gave no identities are known
//! by their names, and where they were renamed by their numbers.

use helios_mvcc::{Divergence, TreeDifference};

use super::cells::same;
use crate::catalog::{Table, TableColumn};
use crate::error::Result;

/// Where each column of a table is in another version of it, by position.
pub type Places = Vec<Option<usize>>;

/// A column, and where it is.
type Numbered<'t> = (usize, &'t TableColumn);
type IsSame<'f> = &'f dyn Fn(Numbered<'_>, Numbered<'_>) -> bool;

/// For each column of `from`, which column of `to` it is.
#[must_use]
pub fn matches(from: &Table, to: &Table) -> Places {
    let mut places: Places = vec![None; from.columns.len()];
    let mut is_free: Vec<bool> = to.columns.iter().map(|column| !column.dropped).collect();
    let names: Vec<&str> = from.live_columns().map(|column| &*column.name).collect();
    let lacks_identity =
        |one: &TableColumn, other: &TableColumn| !one.origin.is_known() || !other.origin.is_known();
    let by_identity = |one: Numbered<'_>, other: Numbered<'_>| one.1.origin.is_same(&other.1.origin);
    let by_name = |one: Numbered<'_>, other: Numbered<'_>| one.1.name == other.1.name;
    let by_number = |one: Numbered<'_>, other: Numbered<'_>| {
        lacks_identity(one.1, other.1) && one.0 == other.0 && !names.contains(&&*other.1.name)
    };
    let ways: [IsSame<'_>; 3] = [&by_identity, &by_name, &by_number];
    for is_same in ways {
        for (at, column) in from.columns.iter().enumerate() {
            if column.dropped || places[at].is_some() {
                continue;
            }
            let mut free = (0..to.columns.len()).filter(|place| is_free[*place]);
            if let Some(place) = free.find(|place| is_same((at, column), (*place, &to.columns[*place]))) {
                places[at] = Some(place);
                is_free[place] = false;
            }
        }
    }
    places
}

/// Whether a stored row holds the same in both versions of a table. It does not where a column has another number: one that was
/// dropped and made anew, or branches that gave theirs in another order. Columns that only one version has tell nothing,
/// unless rows of the first one may hold something else where a new column is.
#[must_use]
pub fn read_alike(before: &Table, after: &Table) -> bool {
    let in_after = matches(before, after);
    let is_same_place = |(at, column): (usize, &TableColumn)| {
        let kept = in_after[at].map(|place| (place, &after.columns[place]));
        kept.is_none_or(|(place, kept)| {
            place == at && kept.type_oid == column.type_oid && same(&kept.missing, &column.missing)
        })
    };
    let is_behind = |(at, column): (usize, &TableColumn)| {
        column.dropped || in_after.contains(&Some(at)) || at >= before.columns.len()
    };
    // Values are found by the widths of those before them, also of columns that were dropped.
    let has_same_kinds = before
        .columns
        .iter()
        .zip(&after.columns)
        .all(|(one, other)| one.representation.kind == other.representation.kind);
    has_same_kinds
        && before.columns.iter().enumerate().all(is_same_place)
        && after.columns.iter().enumerate().all(is_behind)
}

/// The rows that differ between two versions of a table at the two moments; where a stored row does not hold the same in
/// both, all rows.
///
/// # Errors
/// Those of reading pages.
pub async fn difference(
    divergence: &Divergence,
    before: Option<&Table>,
    after: Option<&Table>,
) -> Result<TreeDifference> {
    let trees = (before.map(|table| table.tree), after.map(|table| table.tree));
    match (before, after) {
        (Some(before), Some(after)) if !read_alike(before, after) => {
            Ok(divergence.all_rows(trees.0, trees.1)?)
        }
        _ => Ok(divergence.tree(trees.0, trees.1).await?),
    }
}
