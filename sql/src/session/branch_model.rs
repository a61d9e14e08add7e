//! What branches, their history and their merges should be: plain maps that keep every version.
//!
//! Tables, indexes and columns have numbers that are given once; a column has a name beside, since both sides of a merge may
//! add columns of one name, which are one afterwards. A version that is not told belongs to the parent, as of where the
//! branch left it. What a version contains of others is told commit by commit, so that the base of a merge is found by
//! looking at all of them; several best ones are joined in `branch_model_base.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::branch_model_base::{BaseState, join, plain};
use crate::branch_merge::LEVELS_MAX;

/// Cells by their columns' names; one that is missing holds what the column began with.
pub type Row = BTreeMap<u32, Option<i32>>;

/// The types that columns have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    BigInt,
    Text,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: u32,
    /// The numbers of those that were merged to it, its own among them.
    pub origin: BTreeSet<u32>,
    pub kind: Kind,
    pub default: Option<i32>,
    /// What cells hold that were not written since it was added.
    pub unwritten: Option<i32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Columns beside `id`, in order.
    pub columns: Vec<Column>,
    pub rows: BTreeMap<i32, Arc<Row>>,
    /// Which column each index is on, by the column's name.
    pub indexes: BTreeMap<u32, u32>,
}

/// Tables by number.
pub type State = BTreeMap<u32, Arc<Table>>;

/// What was made of commits, on each level.
type Known = BTreeMap<(usize, Vec<(usize, usize)>), Option<Arc<BaseState>>>;

/// Commits by number.
#[derive(Clone, Debug, Default)]
struct Commits(Vec<u64>);

#[derive(Clone, Debug)]
pub struct Version {
    pub scn: u64,
    pub state: Arc<State>,
    /// The commits that are in it.
    contained: Arc<Commits>,
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
    /// Where each commit is: its branch, and its place among the versions there.
    commits: Vec<(usize, usize)>,
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
}

impl Commits {
    fn insert(&mut self, number: usize) {
        self.0.resize(self.0.len().max(number / 64 + 1), 0);
        self.0[number / 64] |= 1 << (number % 64);
    }

    fn add(&mut self, other: &Commits) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The numbers that are in both, the greatest first.
    fn common<'c>(&'c self, other: &'c Commits) -> impl Iterator<Item = usize> + 'c {
        let words = self.0.iter().zip(&other.0).enumerate().rev();
        words.flat_map(|(at, (one, other))| {
            (0..64).rev().filter(move |bit| (one & other) >> bit & 1 == 1).map(move |bit| at * 64 + bit)
        })
    }
}

impl Table {
    pub fn column(&self, name: u32) -> Option<&Column> {
        self.columns.iter().find(|each| each.name == name)
    }

    pub fn cell(&self, row: &Row, name: u32) -> Option<i32> {
        let unwritten = || self.column(name).and_then(|each| each.unwritten);
        row.get(&name).copied().unwrap_or_else(unwritten)
    }

    /// Has each row hold a cell for each column.
    pub fn fill(&mut self) {
        let names: Vec<u32> = self.columns.iter().map(|column| column.name).collect();
        for id in self.rows.keys().copied().collect::<Vec<_>>() {
            let row = &self.rows[&id];
            let row = names.iter().map(|name| (*name, self.cell(row, *name))).collect();
            self.rows.insert(id, Arc::new(row));
        }
    }

    /// All cells, in the order of the columns.
    pub fn shown(&self) -> Vec<Vec<Option<i32>>> {
        let cells = |(id, row): (&i32, &Arc<Row>)| {
            let cells = self.columns.iter().map(|column| self.cell(row, column.name));
            [Some(*id)].into_iter().chain(cells).collect()
        };
        self.rows.iter().map(cells).collect()
    }
}

impl Model {
    pub fn new(scn: u64) -> Model {
        let mut contained = Commits::default();
        contained.insert(0);
        let first = Version { scn, state: Arc::default(), contained: Arc::new(contained) };
        let main = Branch { name: "main".into(), origin: None, versions: vec![first], is_dropped: false };
        Model { branches: vec![main], commits: vec![(0, 0)] }
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
        let later = own.versions.partition_point(|version| version.scn <= scn);
        match (later.checked_sub(1), own.origin) {
            (Some(at), _) => &own.versions[at],
            (None, Some((parent, left))) => self.at(parent, left),
            (None, None) => &own.versions[0],
        }
    }

    pub fn now(&self, branch: usize) -> &Version {
        self.at(branch, u64::MAX)
    }

    pub fn commit(&mut self, branch: usize, scn: u64, state: State) {
        let contained = (*self.now(branch).contained).clone();
        self.push(branch, scn, state, contained);
    }

    fn push(&mut self, branch: usize, scn: u64, state: State, mut contained: Commits) {
        contained.insert(self.commits.len());
        self.commits.push((branch, self.branches[branch].versions.len()));
        let version = Version { scn, state: Arc::new(state), contained: Arc::new(contained) };
        self.branches[branch].versions.push(version);
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

    /// What all best common commits make together.
    pub fn base(&self, one: usize, other: usize) -> BaseState {
        let (one, other) = (&self.now(one).contained, &self.now(other).contained);
        let best = self.best(one, other);
        let found = self.join_all(best, 0, &mut BTreeMap::new());
        (*found.expect("all descend from the first")).clone()
    }

    /// Whether there are several best common commits.
    pub fn is_crossed(&self, one: usize, other: usize) -> bool {
        self.best(&self.now(one).contained, &self.now(other).contained).len() > 1
    }

    fn version(&self, (branch, at): (usize, usize)) -> &Version {
        &self.branches[branch].versions[at]
    }

    /// The commits that both contain, and that no other such commit contains, by branch. None contains a later one.
    fn best(&self, one: &Commits, other: &Commits) -> Vec<(usize, usize)> {
        let (mut best, mut covered) = (Vec::new(), Commits::default());
        for commit in one.common(other) {
            let place = self.commits[commit];
            if self.exists(place.0) && !covered.has(commit) {
                covered.add(&self.version(place).contained);
                best.push(place);
            }
        }
        best.sort_unstable();
        best
    }

    /// One state of several commits; `None`: it is not known.
    fn join_all(
        &self,
        commits: Vec<(usize, usize)>,
        level: usize,
        known: &mut Known,
    ) -> Option<Arc<BaseState>> {
        if let Some(found) = known.get(&(level, commits.clone())) {
            return found.clone();
        }
        let joined = commits.split_first().and_then(|(first, others)| {
            if level == LEVELS_MAX && !others.is_empty() {
                return None;
            }
            let mut joined = plain(&self.version(*first).state);
            let mut contained = (*self.version(*first).contained).clone();
            for other in others {
                let theirs = self.version(*other);
                let best = self.best(&contained, &theirs.contained);
                let base = self.join_all(best, level + 1, known);
                joined = join(base.as_deref(), &joined, &plain(&theirs.state));
                contained.add(&theirs.contained);
            }
            Some(Arc::new(joined))
        });
        known.insert((level, commits), joined.clone());
        joined
    }

    /// Notes that a branch contains another as it is.
    pub fn record(&mut self, source: usize, target: usize, scn: u64, state: State) {
        let mut contained = (*self.now(target).contained).clone();
        contained.add(&self.now(source).contained);
        self.push(target, scn, state, contained);
    }
}
