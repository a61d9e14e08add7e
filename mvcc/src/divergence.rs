//! What differs between two moments of branches that descend from each other, or from a third, at the cost of the
//! pages that changed since they parted.
//!
//! 1. The moments' lines of descent give the newest moment that both have in them: their *parting*.
//! 2. A checkpoint brings all changed pages into the page map, which tells the pages of a branch whose newest version
//!    is later than the parting without reading about the others (`PageMap::changed_pages`).
//! 3. These pages say which keys they hold. A leaf belongs to a tree if the way down to its lower fence ends in it: of a
//!    tree, only inner nodes on such ways are read ([`Side::changed_ranges`]).
//! 4. Where a value differs, it changed on one of the sides, and the leaf that holds its key there is later than the
//!    parting: whatever was split or merged since was written anew. So both sides are read in these ranges only, in
//!    key order, and compared ([`TreeDifference::next`]).
//!
//! In memory are the fences of the changed leaves, and the rows of one leaf of each side.

use std::collections::{HashSet, VecDeque};
use std::ops::{Bound, ControlFlow, Range};

use helios_btree::{Node, ReadPages, node_at, top};
use helios_bufferpool::{PageId, PageKey, page};

use crate::error::{Error, Fault, Result};
use crate::ids::{Scn, TreeId};
use crate::scan::{KeyRange, Scan, ScanStep};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::transaction::Transaction;
use crate::view::View;

/// Two moments, and the pages that either changed since they parted.
pub struct Divergence {
    store: Store,
    before: Side,
    after: Side,
    /// What can be read stays so until the end.
    _holds: Vec<Transaction>,
}

/// A row that is not the same at both moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDifference {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value at the first moment, if it was there.
    pub before: Option<Vec<u8>>,
    /// Its value at the second moment, if it was there.
    pub after: Option<Vec<u8>>,
}

impl Store {
    /// Finds the pages that differ between two moments. It writes a checkpoint.
    ///
    /// # Errors
    /// [`Error::Unrelated`] where they have no common ancestor, [`Error::TooOld`]; those of the device.
    pub async fn divergence(&self, before: Snapshot, after: Snapshot) -> Result<Divergence> {
        let (before, after) = (self.line_of_descent(before).await?, self.line_of_descent(after).await?);
        let parting = parting(&before, &after).ok_or(Error::Unrelated)?;
        let mut holds = self.hold_line(&before)?;
        holds.extend(self.hold_line(&after)?);
        for moment in [before[0], after[0]] {
            self.engine().check_kept(moment.branch, moment.scn)?;
        }
        self.checkpoint().await?;
        let before = Side::new(self, &before, parting).await?;
        let after = Side::new(self, &after, parting).await?;
        Ok(Divergence { store: self.clone(), before, after, _holds: holds })
    }

    /// A moment, where its branch left its parent, where that one left its own, and so on.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn line_of_descent(&self, moment: Snapshot) -> Result<Vec<Snapshot>> {
        let mut line = vec![self.origin_of(moment).await?];
        while let Some(last) = line.last().copied()
            && let Some(origin) = self.engine().origin(last.branch).await?
        {
            line.push(Snapshot { branch: origin.branch, scn: origin.scn.min(last.scn) });
        }
        Ok(line)
    }
}

impl Store {
    /// Whether a branch was changed by a commit up to a moment and later than `since`. It writes a checkpoint, and costs the
    /// pages that changed later than `since` until one tells.
    ///
    /// # Errors
    /// [`Error::TooOld`]; those of the device.
    pub async fn has_changed(&self, moment: Snapshot, since: Scn) -> Result<bool> {
        let _hold = self.begin_as_of(moment.branch, moment.scn)?;
        self.checkpoint().await?;
        let engine = self.engine();
        for page in engine.file.changed_pages(moment.branch, since).await? {
            if leaf_as_of(self, moment, page).await?.is_some()
                && engine.version_of(PageKey::new(moment.branch, page), moment.scn).await? > since
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The newest moment that both have in their lines of descent.
fn parting(one: &[Snapshot], other: &[Snapshot]) -> Option<Snapshot> {
    one.iter().find_map(|mine| {
        let theirs = other.iter().find(|theirs| theirs.branch == mine.branch)?;
        Some(Snapshot { branch: mine.branch, scn: mine.scn.min(theirs.scn) })
    })
}

impl Divergence {
    /// How many leaves were changed on either side, of whatever trees.
    #[must_use]
    pub fn changed_leaves(&self) -> usize {
        self.before.leaves.len() + self.after.leaves.len()
    }

    /// The rows that differ between a tree at the first moment and one at the second; `None` where there was none. Of
    /// two different trees, all rows are compared.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn tree(&self, before: Option<TreeId>, after: Option<TreeId>) -> Result<TreeDifference> {
        let ranges = match (before, after) {
            (Some(before), Some(after)) if before == after => {
                let mut ranges = self.before.changed_ranges(&self.store, before).await?;
                ranges.extend(self.after.changed_ranges(&self.store, after).await?);
                disjoint(ranges)
            }
            _ => vec![KeyRange::all()],
        };
        TreeDifference::new(&self.store, (self.before.moment, before), (self.after.moment, after), ranges)
    }

    /// All rows of both trees, also those that have the same value at both moments: for those to whom a value means
    /// something else at the second moment than at the first.
    ///
    /// # Errors
    /// Those of reading pages.
    pub fn all_rows(&self, before: Option<TreeId>, after: Option<TreeId>) -> Result<TreeDifference> {
        let (before, after) = ((self.before.moment, before), (self.after.moment, after));
        let difference = TreeDifference::new(&self.store, before, after, vec![KeyRange::all()])?;
        Ok(TreeDifference { gives_same: true, ..difference })
    }
}

/// Ranges of keys in order, none of which overlaps another.
fn disjoint(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    let start = |range: &KeyRange| match &range.lower {
        Bound::Included(key) | Bound::Excluded(key) => key.clone(),
        Bound::Unbounded => Vec::new(),
    };
    ranges.sort_by_cached_key(start);
    let mut joined: Vec<KeyRange> = Vec::new();
    for range in ranges {
        let last_end = joined.last_mut().map(|last| &mut last.upper);
        match (last_end, range.upper) {
            (Some(Bound::Unbounded), _) => {}
            (Some(Bound::Excluded(end)), Bound::Excluded(upper)) if start_is_before(&range.lower, end) => {
                if upper > *end {
                    *end = upper;
                }
            }
            (Some(end @ Bound::Excluded(_)), Bound::Unbounded) if matches!(&*end, Bound::Excluded(key) if start_is_before(&range.lower, key)) =>
            {
                *end = Bound::Unbounded;
            }
            (_, upper) => joined.push(KeyRange { lower: range.lower, upper }),
        }
    }
    joined
}

/// Cuts a range at a fence; `None` is the end of the tree.
pub(crate) fn cut(range: KeyRange, fence: Option<Vec<u8>>) -> (KeyRange, Option<KeyRange>) {
    let is_within = |fence: &[u8]| match &range.upper {
        Bound::Excluded(end) => fence < &end[..],
        Bound::Included(end) => fence <= &end[..],
        Bound::Unbounded => true,
    };
    match fence.filter(|fence| is_within(fence)) {
        Some(fence) => {
            let rest = KeyRange { lower: Bound::Included(fence.clone()), upper: range.upper };
            (KeyRange { lower: range.lower, upper: Bound::Excluded(fence) }, Some(rest))
        }
        None => (range, None),
    }
}

fn start_is_before(start: &Bound<Vec<u8>>, end: &[u8]) -> bool {
    match start {
        Bound::Included(key) | Bound::Excluded(key) => &key[..] < end,
        Bound::Unbounded => true,
    }
}

/// One of the moments.
struct Side {
    moment: Snapshot,
    /// In order of their lower fences.
    leaves: Vec<ChangedLeaf>,
}

/// A leaf of some tree that changed since the parting.
struct ChangedLeaf {
    page: PageId,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
}

impl ChangedLeaf {
    fn range(&self) -> KeyRange {
        let upper = self.upper.clone().map_or(Bound::Unbounded, Bound::Excluded);
        KeyRange { lower: Bound::Included(self.lower.clone()), upper }
    }
}

impl Side {
    async fn new(store: &Store, line: &[Snapshot], parting: Snapshot) -> Result<Side> {
        let (mut leaves, mut seen) = (Vec::new(), HashSet::new());
        let since = parting.scn;
        for step in line {
            // What an ancestor changed after the line left it is no part of the line.
            if step.scn > since {
                for page in store.engine().file.changed_pages(step.branch, since).await? {
                    if seen.insert(page) {
                        leaves.extend(leaf_as_of(store, *step, page).await?);
                    }
                }
            }
            if step.branch == parting.branch {
                break;
            }
        }
        leaves.sort_by(|one, other| one.lower.cmp(&other.lower));
        Ok(Side { moment: line[0], leaves })
    }

    /// The key ranges of those leaves of a tree that changed.
    async fn changed_ranges(&self, store: &Store, tree: TreeId) -> Result<Vec<KeyRange>> {
        let mut ranges = Vec::new();
        let mut open = vec![(tree.root(), None, 0..self.leaves.len())];
        while let Some((page, level, among)) = open.pop() {
            if among.is_empty() {
                continue;
            }
            let mut below = Vec::new();
            let mut height = 0;
            read(store, self.moment, |view| {
                below.clear();
                let bytes = match level {
                    Some(level) => node_at(view, page, level)?,
                    None => top(view, page)?,
                };
                let node = Node::new(&bytes);
                height = node.level();
                if node.is_leaf() {
                    let found = self.leaves[among.clone()].iter().filter(|leaf| leaf.page == page);
                    ranges.extend(found.map(ChangedLeaf::range));
                } else {
                    below = self.by_child(node, among.clone());
                }
                if node.level() == 1 {
                    // What is no changed leaf there need not be read.
                    for (child, among) in below.drain(..) {
                        let found = self.leaves[among].iter().filter(|leaf| leaf.page == child);
                        ranges.extend(found.map(ChangedLeaf::range));
                    }
                }
                Ok(())
            })
            .await?;
            open.extend(below.into_iter().map(|(child, among)| (child, height.checked_sub(1), among)));
        }
        Ok(ranges)
    }

    /// The children of an inner node to which some of the changed leaves lead, with these.
    fn by_child(&self, node: Node<'_>, among: Range<usize>) -> Vec<(PageId, Range<usize>)> {
        let mut below = Vec::new();
        let mut start = among.start;
        while start < among.end {
            let index = node.child_index(&self.leaves[start].lower);
            let end = if index + 1 < node.len() {
                let next = node.key(index + 1);
                start + self.leaves[start..among.end].partition_point(|leaf| leaf.lower < next)
            } else {
                among.end
            };
            let end = end.max(start + 1);
            below.push((node.child(index), start..end));
            start = end;
        }
        below
    }
}

/// A page, if it was a leaf then.
async fn leaf_as_of(store: &Store, moment: Snapshot, page: PageId) -> Result<Option<ChangedLeaf>> {
    let looked = read(store, moment, |view| {
        let newest = view.newest(page)?;
        let is_overflow = page::kind(&newest) == Some(page::PageKind::Overflow);
        if is_overflow || page::created(&newest) > moment.scn {
            return Ok(None);
        }
        let bytes = view.page(page)?;
        let node = Node::new(&bytes);
        Ok(node.is_leaf().then(|| ChangedLeaf {
            page,
            lower: node.lower_fence().to_vec(),
            upper: node.upper_fence().map(<[u8]>::to_vec),
        }))
    });
    match looked.await {
        // A cut removed it: nothing led to it at either moment.
        Err(Error::Corruption(_)) if !store.engine().exists(PageKey::new(moment.branch, page)).await? => {
            Ok(None)
        }
        result => result,
    }
}

/// Runs `attempt`, which changes nothing before it has all its pages, until nothing is missing.
pub(crate) async fn read<T: Send>(
    store: &Store,
    moment: Snapshot,
    mut attempt: impl FnMut(&View<'_>) -> std::result::Result<T, Fault> + Send,
) -> Result<T> {
    loop {
        let result = attempt(&View::new(store.engine(), moment.branch, moment.scn));
        match result {
            Ok(found) => return Ok(found),
            Err(fault) => store.resolve(fault).await?,
        }
    }
}

/// The rows of two trees that differ, in key order.
pub struct TreeDifference {
    before: Rows,
    after: Rows,
    ranges: std::vec::IntoIter<KeyRange>,
    /// Rows that have the same value are given, too.
    gives_same: bool,
}

impl TreeDifference {
    /// The difference in some ranges, in their order.
    pub(crate) fn new(
        store: &Store,
        before: (Snapshot, Option<TreeId>),
        after: (Snapshot, Option<TreeId>),
        ranges: Vec<KeyRange>,
    ) -> Result<TreeDifference> {
        Ok(TreeDifference {
            before: Rows::new(store, before.0, before.1)?,
            after: Rows::new(store, after.0, after.1)?,
            ranges: ranges.into_iter(),
            gives_same: false,
        })
    }

    /// The next one.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn next(&mut self) -> Result<Option<RowDifference>> {
        loop {
            self.before.fill().await?;
            self.after.fill().await?;
            let order = match (self.before.rows.front(), self.after.rows.front()) {
                (None, None) => match self.ranges.next() {
                    Some(range) => {
                        self.before.begin(&range);
                        self.after.begin(&range);
                        continue;
                    }
                    None => return Ok(None),
                },
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(before), Some(after)) => before.0.cmp(&after.0),
            };
            let before = if order.is_le() { self.before.rows.pop_front() } else { None };
            let after = if order.is_ge() { self.after.rows.pop_front() } else { None };
            let (before, after) = match (before, after) {
                (Some(before), Some(after)) if before.1 == after.1 && !self.gives_same => continue,
                other => other,
            };
            let key = match (&before, &after) {
                (Some(row), _) | (None, Some(row)) => row.0.clone(),
                (None, None) => continue,
            };
            let value = |row: Option<(Vec<u8>, Vec<u8>)>| row.map(|row| row.1);
            return Ok(Some(RowDifference { key, before: value(before), after: value(after) }));
        }
    }
}

/// The rows of a tree, range by range.
struct Rows {
    reader: Transaction,
    tree: Option<TreeId>,
    scan: Option<Scan>,
    rows: VecDeque<(Vec<u8>, Vec<u8>)>,
}

impl Rows {
    fn new(store: &Store, moment: Snapshot, tree: Option<TreeId>) -> Result<Rows> {
        let reader = store.begin_as_of(moment.branch, moment.scn)?;
        Ok(Rows { reader, tree, scan: None, rows: VecDeque::new() })
    }

    fn begin(&mut self, range: &KeyRange) {
        self.scan = self.tree.map(|tree| self.reader.scan(tree, range.clone(), false));
    }

    /// Reads on if there are no rows at hand.
    async fn fill(&mut self) -> Result<()> {
        while self.rows.is_empty()
            && let Some(scan) = &mut self.scan
        {
            let mut visit = |key: &[u8], value: &[u8]| {
                self.rows.push_back((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            };
            if scan.next(&self.reader, &mut visit).await? == ScanStep::Done {
                self.scan = None;
            }
        }
        Ok(())
    }
}
