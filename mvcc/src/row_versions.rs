//! All that ever happened to the rows of a tree, newest first within each part of it.
//!
//! 1. A leaf is what it is since one commit ([`Engine::version_of`] tells it from its undo records). What that commit
//!    did are the rows in which the leaf differs from the same keys right before it.
//! 2. Right before it, these keys may have been in other leaves: each is followed back the same way, until the commit that
//!    made the tree ([`RowVersions::born`]). What that one wrote is not told: whoever knows what the tree took the place of
//!    compares with that.
//!
//! It costs each version of each leaf, and holds a place for each leaf.

use helios_btree::{Node, node_at, top};
use helios_bufferpool::{PageKey, page};

use crate::divergence::{RowDifference, TreeDifference, cut, read};
use crate::error::Result;
use crate::ids::{Scn, TreeId};
use crate::scan::KeyRange;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::transaction::Transaction;

/// Follows the rows of a tree back in time.
pub struct RowVersions {
    store: Store,
    tree: TreeId,
    born: Scn,
    /// What can be read stays so until the end.
    _holds: Vec<Transaction>,
    /// Parts of the tree, and from when on each is to be followed back.
    open: Vec<(KeyRange, Snapshot)>,
    /// What a commit did, where that is being read.
    at_work: Option<(Scn, TreeDifference)>,
}

/// What a commit did to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowVersion {
    /// The commit.
    pub scn: Scn,
    /// The row before it and after it.
    pub row: RowDifference,
}

impl Store {
    /// What happened to the rows of a tree up to a moment, for as long as that is kept.
    ///
    /// # Errors
    /// [`crate::Error::TooOld`]; those of reading pages.
    pub async fn row_versions(&self, tree: TreeId, until: Snapshot) -> Result<RowVersions> {
        let line = self.line_of_descent(until).await?;
        let (holds, until) = (self.hold_line(&line)?, line[0]);
        self.engine().check_kept(until.branch, until.scn)?;
        let born = read(self, until, |view| Ok(page::created(&view.newest(tree.root())?))).await?;
        let open = vec![(KeyRange::all(), until)];
        Ok(RowVersions { store: self.clone(), tree, born, _holds: holds, open, at_work: None })
    }

    /// The rows that differ between two trees, each at a moment; all of them are read.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn compare_trees(
        &self,
        before: (Snapshot, Option<TreeId>),
        after: (Snapshot, Option<TreeId>),
    ) -> Result<TreeDifference> {
        let (before, after) =
            ((self.origin_of(before.0).await?, before.1), (self.origin_of(after.0).await?, after.1));
        TreeDifference::new(self, before, after, vec![KeyRange::all()])
    }
}

impl RowVersions {
    /// The commit that made the tree.
    #[must_use]
    pub fn born(&self) -> Scn {
        self.born
    }

    /// The next change.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn next(&mut self) -> Result<Option<RowVersion>> {
        loop {
            if let Some((scn, difference)) = &mut self.at_work {
                if let Some(row) = difference.next().await? {
                    return Ok(Some(RowVersion { scn: *scn, row }));
                }
                self.at_work = None;
            }
            let Some((range, moment)) = self.open.pop() else { return Ok(None) };
            self.step(range, moment).await?;
        }
    }

    /// Takes the first leaf of a part back behind its last change.
    async fn step(&mut self, range: KeyRange, moment: Snapshot) -> Result<()> {
        let tree = self.tree;
        let start = range.lower.clone();
        let (leaf, here) = read(&self.store, moment, |view| {
            let mut page = tree.root();
            let mut bytes = top(view, page)?;
            loop {
                let node = Node::new(&bytes);
                if node.is_leaf() {
                    let upper = node.upper_fence().map(<[u8]>::to_vec);
                    return Ok((page, upper));
                }
                let child = match &start {
                    std::ops::Bound::Included(key) | std::ops::Bound::Excluded(key) => node.child_index(key),
                    std::ops::Bound::Unbounded => 0,
                };
                page = node.child(child);
                bytes = node_at(view, page, node.level() - 1)?;
            }
        })
        .await?;
        let (own, rest) = cut(range, here);
        self.open.extend(rest.map(|rest| (rest, moment)));
        let version = self.store.engine().version_of(PageKey::new(moment.branch, leaf), moment.scn).await?;
        if version <= self.born || version == Scn(0) {
            return Ok(());
        }
        let at = self.store.origin_of(Snapshot { scn: version, ..moment }).await?;
        let before = self.store.origin_of(Snapshot { scn: Scn(version.0 - 1), ..moment }).await?;
        if [at, before].iter().any(|moment| !self.store.kept(moment.branch).has(moment.scn)) {
            // What was there before it is not kept any more.
            return Ok(());
        }
        let (old, new) = ((before, Some(tree)), (at, Some(tree)));
        self.at_work = Some((version, TreeDifference::new(&self.store, old, new, vec![own.clone()])?));
        self.open.push((own, before));
        Ok(())
    }
}
