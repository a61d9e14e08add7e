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

/// A row of the base, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaseVersion {
    pub row: Version,
    /// Cells that are undecided, by position; none are where it is empty.
    pub undecided: Vec<bool>,
    /// Whether there is such a row is undecided, too; `row` is it, if there is.
    pub is_gone: bool,
}

impl BaseVersion {
    /// Whether a cell is undecided.
    #[must_use]
    pub fn is_undecided(&self, at: usize) -> bool {
        self.undecided.get(at).copied().unwrap_or(false)
    }

    /// Takes a cell for decided.
    pub fn decide(&mut self, at: usize) {
        if let Some(undecided) = self.undecided.get_mut(at) {
            *undecided = false;
        }
    }
}

/// Merges; `counts` says which cells do, by position: others are computed from them.
#[must_use]
pub fn merge(base: &BaseVersion, ours: &Version, theirs: &Version, counts: &[bool]) -> Outcome {
    let is_same = |one: &Version, other: &Version| match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => (0..counts.len()).all(|at| !counts[at] || same(&one[at], &other[at])),
        _ => false,
    };
    let is_kept_on_both = ours.is_some() && theirs.is_some();
    let is_of_base = |side: &Version| {
        is_same(side, &base.row)
            && (!base.is_gone || is_kept_on_both)
            && !(side.is_some() && (0..counts.len()).any(|at| counts[at] && base.is_undecided(at)))
    };
    if is_same(theirs, ours) || is_of_base(theirs) {
        return Outcome::Keep;
    }
    if is_of_base(ours) {
        return Outcome::Write(theirs.clone());
    }
    let (Some(own), Some(new)) = (ours, theirs) else {
        return Outcome::Conflict { cells: Vec::new(), theirs: theirs.clone(), ours: ours.clone() };
    };
    let mut cells = Vec::new();
    let (mut source_wins, mut target_wins) = (own.clone(), own.clone());
    for at in (0..counts.len()).filter(|at| counts[*at]) {
        let old = base.row.as_ref().filter(|_| !base.is_undecided(at)).map(|base| &base[at]);
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
