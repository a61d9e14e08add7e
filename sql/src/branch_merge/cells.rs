//! Three versions of a row as one, cell by cell.

use crate::value::{Datum, compare_values};

/// A row of the merged table, or none.
pub type Version = Option<Vec<Datum>>;

/// What becomes of the target's row.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It stays as it is.
    Keep,
    /// It becomes this; `None`: it goes.
    Write(Version),
    /// The sides changed the same cells differently, or one changed what the other deleted.
    Conflict {
        /// The cells, by position; none where a whole row was deleted on a side.
        cells: Vec<usize>,
        /// The row if the source wins, and if the target does.
        theirs: Version,
        ours: Version,
    },
}

/// Merges; `counts` says which cells do, by position: others are computed from them.
#[must_use]
pub fn merge(base: &Version, ours: &Version, theirs: &Version, counts: &[bool]) -> Outcome {
    let is_same = |one: &Version, other: &Version| match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => (0..counts.len()).all(|at| !counts[at] || same(&one[at], &other[at])),
        _ => false,
    };
    if is_same(theirs, base) || is_same(theirs, ours) {
        return Outcome::Keep;
    }
    if is_same(ours, base) {
        return Outcome::Write(theirs.clone());
    }
    let (Some(own), Some(new)) = (ours, theirs) else {
        return Outcome::Conflict { cells: Vec::new(), theirs: theirs.clone(), ours: ours.clone() };
    };
    let mut cells = Vec::new();
    let (mut source_wins, mut target_wins) = (own.clone(), own.clone());
    for at in (0..counts.len()).filter(|at| counts[*at]) {
        let old = base.as_ref().map(|base| &base[at]);
        let changed = |value: &Datum| old.is_none_or(|old| !same(old, value));
        if !changed(&new[at]) || same(&new[at], &own[at]) {
            continue;
        }
        source_wins[at] = new[at].clone();
        if changed(&own[at]) {
            cells.push(at);
        } else {
            target_wins[at] = new[at].clone();
        }
    }
    match cells.is_empty() {
        true => Outcome::Write(Some(source_wins)),
        false => Outcome::Conflict { cells, theirs: Some(source_wins), ours: Some(target_wins) },
    }
}

/// Whether two cells hold the same.
#[must_use]
pub fn same(one: &Datum, other: &Datum) -> bool {
    match (one.is_null(), other.is_null()) {
        (true, true) => true,
        (false, false) => one == other || (one.kind() == other.kind() && compare_values(one, other).is_eq()),
        _ => false,
    }
}
