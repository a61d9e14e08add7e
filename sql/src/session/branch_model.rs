//! What branches, their history and their merges should be: plain maps that keep every version.
//!
//! Tables, columns and indexes have numbers that are given once, as names too, so that nothing is ever made twice under a name.
//! A version that is not told belongs to the parent, as of where the branch left it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Cells by their columns; one that is missing holds the column's default.
pub type Row = BTreeMap<u32, Option<i32>>;

#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Columns beside `id`, in order, with their defaults.
    pub columns: Vec<(u32, Option<i32>)>,
    pub rows: BTreeMap<i32, Arc<Row>>,
    /// Which column each index is on.
    pub indexes: BTreeMap<u32, u32>,
}

/// Tables by number.
pub type State = BTreeMap<u32, Arc<Table>>;

/// Up to which commit other branches were merged into one.
type Merged = BTreeMap<usize, u64>;

#[derive(Clone, Debug)]
pub struct Version {
    pub scn: u64,
    pub state: Arc<State>,
    merged: Arc<Merged>,
}

#[derive(Debug)]
pub struct Branch {
    pub name: String,
    pub origin: Option<(usize, u64)>,
    pub versions: Vec<Version>,
    pub is_dropped: bool,
}

pub struct Model {
    pub branches: Vec<Branch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Fail,
    BranchWins,
    TargetWins,
}

/// What a merge should do.
#[derive(Debug)]
pub enum Outcome {
    Merged(State),
    Refused,
    /// A table was dropped on one side and perhaps changed on the other, or lost a column and got one: several may be.
    Open,
}

impl Table {
    pub fn cell(&self, row: &Row, column: u32) -> Option<i32> {
        let default = || self.columns.iter().find(|each| each.0 == column).and_then(|each| each.1);
        row.get(&column).copied().unwrap_or_else(default)
    }

    /// All cells, in the order of the columns.
    pub fn shown(&self) -> Vec<Vec<Option<i32>>> {
        let cells = |(id, row): (&i32, &Arc<Row>)| {
            let cells = self.columns.iter().map(|column| self.cell(row, column.0));
            [Some(*id)].into_iter().chain(cells).collect()
        };
        self.rows.iter().map(cells).collect()
    }
}

impl Model {
    pub fn new(scn: u64) -> Model {
        let first = Version { scn, state: Arc::default(), merged: Arc::default() };
        let main = Branch { name: "main".into(), origin: None, versions: vec![first], is_dropped: false };
        Model { branches: vec![main] }
    }

    pub fn living(&self) -> Vec<usize> {
        (0..self.branches.len()).filter(|at| !self.branches[*at].is_dropped).collect()
    }

    /// Where a moment belongs: before a branch began, to its parent.
    fn origin_of(&self, (branch, scn): (usize, u64)) -> (usize, u64) {
        match self.branches[branch].origin {
            Some((parent, left)) if scn <= left => self.origin_of((parent, scn)),
            _ => (branch, scn),
        }
    }

    pub fn at(&self, branch: usize, scn: u64) -> &Version {
        let (branch, scn) = self.origin_of((branch, scn));
        let own = &self.branches[branch];
        match (own.versions.iter().rfind(|version| version.scn <= scn), own.origin) {
            (Some(version), _) => version,
            (None, Some((parent, left))) => self.at(parent, left),
            (None, None) => &own.versions[0],
        }
    }

    pub fn now(&self, branch: usize) -> &Version {
        self.at(branch, u64::MAX)
    }

    pub fn commit(&mut self, branch: usize, scn: u64, state: State) {
        let merged = self.now(branch).merged.clone();
        self.branches[branch].versions.push(Version { scn, state: Arc::new(state), merged });
    }

    pub fn branch_off(&mut self, name: String, origin: (usize, u64)) {
        let origin = Some(self.origin_of(origin));
        self.branches.push(Branch { name, origin, versions: Vec::new(), is_dropped: false });
    }

    /// A branch that was dropped lives on for those that descend from it.
    fn exists(&self, branch: usize) -> bool {
        let descends = |at: &usize| self.branches[*at].origin.is_some_and(|origin| origin.0 == branch);
        let mut descendants = (0..self.branches.len()).filter(descends);
        !self.branches[branch].is_dropped || descendants.any(|at| self.exists(at))
    }

    /// What a branch contains of others as of a moment, itself among them.
    fn ancestry(&self, branch: usize, scn: u64) -> Merged {
        let mut contained = (*self.at(branch, scn).merged).clone();
        note(&mut contained, branch, scn);
        let mut step = self.origin_of((branch, scn));
        loop {
            note(&mut contained, step.0, step.1);
            match self.branches[step.0].origin {
                Some((parent, left)) => step = (parent, left.min(step.1)),
                None => return contained,
            }
        }
    }

    /// The newest moment that both contain.
    pub fn base(&self, one: usize, other: usize, scn: u64) -> Option<&Version> {
        let (one, other) = (self.ancestry(one, scn), self.ancestry(other, scn));
        let common = one.iter().filter_map(|(branch, scn)| Some((*branch, *other.get(branch)?.min(scn))));
        let newest = common.filter(|(branch, _)| self.exists(*branch)).max_by_key(|(_, scn)| *scn);
        newest.map(|(branch, scn)| self.at(branch, scn))
    }

    /// Notes that a branch contains another as it was at `seen`.
    pub fn record(&mut self, source: usize, target: usize, seen: u64, scn: u64, state: State) {
        let mut merged = (*self.now(target).merged).clone();
        for (branch, scn) in self.ancestry(source, seen) {
            if branch != target {
                note(&mut merged, branch, scn);
            }
        }
        let version = Version { scn, state: Arc::new(state), merged: Arc::new(merged) };
        self.branches[target].versions.push(version);
    }
}

fn note(contained: &mut Merged, branch: usize, scn: u64) {
    let known = contained.entry(branch).or_default();
    *known = scn.max(*known);
}

/// Merges three states.
pub fn merge(base: &State, ours: &State, theirs: &State, resolution: Resolution) -> Outcome {
    let mut merged = ours.clone();
    let numbers: BTreeSet<u32> = base.keys().chain(theirs.keys()).copied().collect();
    let mut conflicts = 0;
    for number in numbers {
        match (base.get(&number), ours.get(&number), theirs.get(&number)) {
            (None, None, Some(theirs)) => {
                merged.insert(number, theirs.clone());
            }
            (base, Some(ours), Some(theirs)) => {
                let Some((table, found)) = merge_tables(base, ours, theirs, resolution) else {
                    return Outcome::Open;
                };
                conflicts += found;
                merged.insert(number, Arc::new(table));
            }
            (Some(base), Some(kept), None) if Arc::ptr_eq(base, kept) => {
                merged.remove(&number);
            }
            (Some(base), None, Some(kept)) if Arc::ptr_eq(base, kept) => {}
            (Some(_), Some(_), None) | (Some(_), None, Some(_)) => return Outcome::Open,
            (_, _, None) => {}
        }
    }
    match conflicts > 0 && resolution == Resolution::Fail {
        true => Outcome::Refused,
        false => Outcome::Merged(merged),
    }
}

/// A table that both sides have, and how many rows are in conflict.
fn merge_tables(
    base: Option<&Arc<Table>>,
    ours: &Table,
    theirs: &Table,
    resolution: Resolution,
) -> Option<(Table, usize)> {
    let has = |table: &Table, column: u32| table.columns.iter().any(|each| each.0 == column);
    let was = |column: u32| base.is_some_and(|base| has(base, column));
    // One that is gone and one that came may look like one that was renamed: numbers of columns differ among branches.
    let may_look_renamed = |side: &Table| {
        let came = side.columns.iter().any(|column| !was(column.0));
        came && base.is_some_and(|base| base.columns.iter().any(|column| !has(side, column.0)))
    };
    if may_look_renamed(ours) || may_look_renamed(theirs) {
        return None;
    }
    let mut columns = ours.columns.clone();
    columns.retain(|column| has(theirs, column.0) || !was(column.0));
    columns.extend(theirs.columns.iter().filter(|column| !has(ours, column.0) && !was(column.0)));
    let known = |index: &u32| base.is_some_and(|base| base.indexes.contains_key(index));
    let mut indexes = ours.indexes.clone();
    indexes.retain(|index, _| theirs.indexes.contains_key(index) || !known(index));
    for (index, column) in &theirs.indexes {
        if !known(index) {
            indexes.insert(*index, *column);
        }
    }
    let is_there = |column: &u32| columns.iter().any(|each| each.0 == *column);
    if theirs.indexes.iter().any(|(index, column)| !known(index) && !is_there(column)) {
        return None;
    }
    indexes.retain(|_, column| is_there(column));
    let mut merged = Table { columns, rows: BTreeMap::new(), indexes };
    let mut conflicts = 0;
    let no_rows = BTreeMap::new();
    let base_rows = base.map_or(&no_rows, |base| &base.rows);
    let ids: BTreeSet<i32> =
        base_rows.keys().chain(ours.rows.keys()).chain(theirs.rows.keys()).copied().collect();
    for id in ids {
        // A column that a version has not holds its default there.
        let in_merged = |row: Option<&Arc<Row>>| -> Option<Row> {
            let row = row?;
            Some(merged.columns.iter().map(|column| (column.0, merged.cell(row, column.0))).collect())
        };
        let (old, own, new) =
            (in_merged(base_rows.get(&id)), in_merged(ours.rows.get(&id)), in_merged(theirs.rows.get(&id)));
        let (row, is_conflict) = merge_rows(old.as_ref(), own, new, resolution == Resolution::BranchWins);
        conflicts += usize::from(is_conflict);
        if let Some(row) = row {
            merged.rows.insert(id, Arc::new(row));
        }
    }
    Some((merged, conflicts))
}

fn merge_rows(
    old: Option<&Row>,
    own: Option<Row>,
    new: Option<Row>,
    branch_wins: bool,
) -> (Option<Row>, bool) {
    if new.as_ref() == old || new == own {
        return (own, false);
    }
    if own.as_ref() == old {
        return (new, false);
    }
    let (Some(own), Some(new)) = (&own, &new) else {
        return (if branch_wins { new } else { own }, true);
    };
    let (mut merged, mut is_conflict) = (own.clone(), false);
    for (column, cell) in new {
        let before = old.and_then(|old| old.get(column));
        if Some(cell) == before || own.get(column) == Some(cell) {
            continue;
        }
        let changed_here = own.get(column) != before;
        is_conflict |= changed_here;
        if !changed_here || branch_wins {
            merged.insert(*column, *cell);
        }
    }
    (Some(merged), is_conflict)
}
