//! Trees that were dropped, and what becomes of their pages.
//!
//! 1. A transaction that drops a tree writes a row into its branch's first tree, so that is part of the commit: key class (1),
//!    tree (8, big-endian), no value. The row's own SCN tells when. Branches that are made later inherit the row; the tree's
//!    pages are those of the branch that dropped it, and the row of others is passed over there.
//! 2. Nobody changes a dropped tree. Once no reader is left to whom it is still there, a cut walks it, and removes those of its
//!    pages that the branch has of its own: leaves and the pages of large values first, then inner nodes by level, the root
//!    last. So what is still there after a crash is found from the root.
//! 3. Then the row goes.

use std::ops::ControlFlow;

use helios_btree::{Node, node_at, top, value_pages};
use helios_bufferpool::{PageId, PageKey, page};

use crate::cut::Needs;
use crate::divergence::read;
use crate::error::{Error, Result};
use crate::freed_pages::FreedRun;
use crate::ids::{BranchId, Isolation, Scn, TreeId};
use crate::scan::{KeyRange, ScanStep};
use crate::snapshot::Snapshot;
use crate::store::Store;

/// The class of the rows.
const CLASS: u8 = 52;
/// Before the keys that transactions write into a branch's first tree by themselves, and behind all others.
pub const OWN_ROWS: [u8; 1] = [CLASS];
/// Pages removed together.
const BATCH: usize = 4096;

pub(crate) fn row_key(tree: TreeId) -> [u8; 9] {
    let mut key = [CLASS; 9];
    key[1..].copy_from_slice(&tree.0.to_be_bytes());
    key
}

/// What a page of a dropped tree leads to.
struct Seen {
    created: Scn,
    level: u8,
    children: Vec<PageId>,
    values: Vec<FreedRun>,
}

impl Store {
    /// Removes the trees that were dropped on a branch and that nobody reads any more.
    pub(crate) async fn remove_dropped_trees(&self, branch: BranchId, needs: &Needs) -> Result<()> {
        let mut removed = Vec::new();
        for (tree, dropped) in self.dropped_trees(branch).await? {
            let created = match self.look(branch, tree.root(), None, dropped).await? {
                Some(seen) if needs.any_in(seen.created, dropped) => continue,
                Some(seen) => seen.created,
                None => Scn(0),
            };
            self.remove_tree(branch, tree, dropped, created).await?;
            removed.push(tree);
        }
        if removed.is_empty() {
            return Ok(());
        }
        // The rows are what an interrupted removal is taken up by.
        self.checkpoint().await?;
        let mut transaction = self.begin(branch, Isolation::ReadCommitted);
        transaction.begin_statement();
        for tree in removed {
            transaction.delete(TreeId::CATALOG, &row_key(tree))?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn dropped_trees(&self, branch: BranchId) -> Result<Vec<(TreeId, Scn)>> {
        let mut reader = self.begin(branch, Isolation::ReadCommitted);
        reader.begin_statement();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut scan = reader.scan(TreeId::CATALOG, KeyRange::prefix(&[CLASS]), false);
        let mut visit = |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        };
        while scan.next(&reader, &mut visit).await? != ScanStep::Done {}
        let began = self.engine().origin(branch).await?.map_or(Scn(0), |origin| origin.scn);
        let mut trees = Vec::new();
        for key in keys {
            let Some(Ok(tree)) = key.get(1..).map(<[u8; 8]>::try_from) else {
                return Err(Error::Corruption("the row of a dropped tree cannot be read".into()));
            };
            if let Some(dropped) = reader.row_scn(TreeId::CATALOG, &key).await?.filter(|scn| *scn > began) {
                trees.push((TreeId(u64::from_be_bytes(tree)), dropped));
            }
        }
        Ok(trees)
    }

    async fn remove_tree(&self, branch: BranchId, tree: TreeId, freed: Scn, created: Scn) -> Result<()> {
        let run = |page: PageId, created: Scn| FreedRun { branch, freed, created, first: page, count: 1 };
        let mut inner: Vec<Vec<FreedRun>> = Vec::new();
        let mut batch = vec![];
        let mut open = vec![(tree.root(), None)];
        while let Some((page, level)) = open.pop() {
            // A leaf that the branch never wrote has nothing of the branch's.
            if level == Some(0) && !self.engine().file.has(PageKey::new(branch, page)).await? {
                continue;
            }
            let Some(seen) = self.look(branch, page, level, freed).await? else { continue };
            open.extend(seen.children.into_iter().map(|child| (child, seen.level.checked_sub(1))));
            let level = usize::from(seen.level);
            batch.extend(seen.values);
            if level == 0 && page != tree.root() {
                batch.push(run(page, seen.created));
            } else {
                inner.resize_with(inner.len().max(level + 1), Vec::new);
                inner[level].push(run(page, seen.created));
            }
            if batch.len() >= BATCH {
                self.remove_pages(std::mem::take(&mut batch)).await?;
            }
        }
        self.remove_pages(batch).await?;
        for nodes in inner {
            self.remove_pages(nodes).await?;
        }
        self.remove_pages(vec![run(tree.root(), created)]).await
    }

    /// Looks at a page of a dropped tree, its root or a node of `level`; `None` where it is removed already.
    async fn look(
        &self,
        branch: BranchId,
        page: PageId,
        level: Option<u8>,
        freed: Scn,
    ) -> Result<Option<Seen>> {
        let newest = Snapshot { branch, scn: Scn::MAX };
        let looked = read(self, newest, |view| {
            let bytes = match level {
                Some(level) => node_at(view, page, level)?,
                None => top(view, page)?,
            };
            let node = Node::new(&bytes);
            let (is_leaf, created) = (node.is_leaf(), page::created(&bytes));
            let children =
                if is_leaf { Vec::new() } else { (0..node.len()).map(|index| node.child(index)).collect() };
            let rows = if is_leaf { 0..node.len() } else { 0..0 };
            let values =
                rows.filter_map(|index| value_pages(&bytes, index)).map(|(pages, created)| FreedRun {
                    branch,
                    freed,
                    created,
                    first: pages.start,
                    count: (pages.end.0 - pages.start.0) / 2,
                });
            Ok(Seen { created, level: node.level(), children, values: values.collect() })
        });
        match looked.await {
            Ok(seen) => Ok(Some(seen)),
            Err(Error::Corruption(_)) if !self.engine().exists(PageKey::new(branch, page)).await? => Ok(None),
            Err(error) => Err(error),
        }
    }
}
