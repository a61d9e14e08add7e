//! What a merge begins from: one moment, or several that are made one.
//!
//! Where merges crossed, two branches have several best common moments, none of which holds the others. As git's recursive
//! merge does, these are merged with each other first, each two with a base of their own, which may be made of several
//! again. Nothing of that is written: a [`Base`] is the list of the moments and of what is merged with what, catalogs are
//! merged in memory (`base_catalog.rs`, `base_table.rs`), and a row of the base is merged when it is asked for (`base_rows.rs`).
//!
//! Nobody decides conflicts within the base. What the moments hold differently there is *undecided*: equal to nothing. So where it
//! is not the same on both sides of the merge at hand, it is a conflict of that merge, and where it is, it is agreed upon.
//!
//! How far back that goes is bounded ([`LEVELS_MAX`], [`NODES_MAX`]). Behind that, and behind what is kept of the past, all
//! that two moments hold differently is undecided, too.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use helios_mvcc::{BranchId, Error, Scn, Snapshot, Store};

use super::ancestry::{Ancestry, add, ancestry, best};
use crate::catalog::Directory;
use crate::error::{Result, SqlError};

/// How often a base of a base is looked for.
pub const LEVELS_MAX: usize = 12;
/// How many moments, and merges of them, a base is made of.
const NODES_MAX: usize = 500;

/// A moment, or what two of those before it in the list make together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Moment(Snapshot),
    Joined {
        one: usize,
        other: usize,
        /// `None`: it is not known.
        base: Option<usize>,
    },
}

/// What a merge begins from; each node comes behind those that it is made of, and the last one is the base itself.
#[derive(Clone, Debug)]
pub struct Base {
    nodes: Vec<Node>,
    newest: Snapshot,
}

impl Base {
    /// The base of two sides; `exists` says which branches can still be read.
    ///
    /// # Errors
    /// 55000 where they have nothing in common; those of reading pages.
    pub async fn find(
        store: &Store,
        source: &Ancestry,
        target: &Ancestry,
        exists: impl Fn(BranchId) -> bool + Send + Sync,
    ) -> Result<Base> {
        let best = best(store, source, target, &exists).await?;
        let newest = best.iter().max_by_key(|moment| moment.scn).copied();
        let newest = newest.ok_or(Error::Unrelated)?;
        let mut builder = Builder { store, exists: &exists, nodes: Vec::new(), known: HashMap::new() };
        let root = builder.join(best, 0).await?;
        let mut nodes = builder.nodes;
        match root {
            Some(root) => nodes.truncate(root + 1),
            None => return Err(SqlError::internal("the base of a merge is too large")),
        }
        Ok(Base { nodes, newest })
    }

    /// What a merge of two branches, as they are now, begins from; `None` where they have nothing in common.
    ///
    /// # Errors
    /// Those of reading pages; XX001.
    pub async fn of_branches(
        store: &Store,
        directory: &Directory,
        one: BranchId,
        other: BranchId,
    ) -> Result<Option<Base>> {
        let scn = store.visible_scn();
        let one = ancestry(store, Snapshot { branch: one, scn }).await?;
        let other = ancestry(store, Snapshot { branch: other, scn }).await?;
        let found = Base::find(store, &one, &other, |branch| directory.has(branch)).await;
        match found {
            Ok(base) => Ok(Some(base)),
            Err(error) if error.state() == crate::error::SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The nodes, the base itself last.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The moment that it is, where it is made of no others.
    #[must_use]
    pub fn only(&self) -> Option<Snapshot> {
        if self.nodes.len() == 1 { Some(self.newest) } else { None }
    }

    /// The newest of the best common moments.
    #[must_use]
    pub fn newest(&self) -> Snapshot {
        self.newest
    }

    /// All moments that it is made of, the bases of bases among them.
    pub fn moments(&self) -> impl Iterator<Item = Snapshot> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Moment(moment) => Some(*moment),
            Node::Joined { .. } => None,
        })
    }
}

/// What was made of some moments, on some level.
type Known = HashMap<(usize, Vec<(BranchId, Scn)>), Option<usize>>;

/// A base being made.
struct Builder<'a> {
    store: &'a Store,
    exists: &'a (dyn Fn(BranchId) -> bool + Send + Sync),
    nodes: Vec<Node>,
    known: Known,
}

impl Builder<'_> {
    /// Makes one of several moments; `None` where that cannot be known.
    fn join(
        &mut self,
        moments: Vec<Snapshot>,
        level: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Option<usize>>> + Send + '_>> {
        Box::pin(async move {
            let name = (level, moments.iter().map(|moment| (moment.branch, moment.scn)).collect());
            if let Some(known) = self.known.get(&name) {
                return Ok(*known);
            }
            let made = self.join_anew(&moments, level).await?;
            self.known.insert(name, made);
            Ok(made)
        })
    }

    async fn join_anew(&mut self, moments: &[Snapshot], level: usize) -> Result<Option<usize>> {
        let Some((first, others)) = moments.split_first() else { return Ok(None) };
        if level == LEVELS_MAX && !others.is_empty() {
            return Ok(None);
        }
        let Some(mut joined) = self.moment(*first, level)? else { return Ok(None) };
        if others.is_empty() {
            return Ok(Some(joined));
        }
        let mut contained = ancestry(self.store, *first).await?;
        for moment in others {
            let Some(other) = self.moment(*moment, level)? else { return Ok(None) };
            let theirs = ancestry(self.store, *moment).await?;
            let best = best(self.store, &contained, &theirs, self.exists).await?;
            let base = self.join(best, level + 1).await?;
            if level > 0 && self.nodes.len() >= NODES_MAX {
                return Ok(None);
            }
            self.nodes.push(Node::Joined { one: joined, other, base });
            joined = self.nodes.len() - 1;
            add(&mut contained, &theirs);
        }
        Ok(Some(joined))
    }

    /// `None` for the base of a base that is not kept any more.
    fn moment(&mut self, moment: Snapshot, level: usize) -> Result<Option<usize>> {
        if level > 0 {
            match self.store.begin_as_of(moment.branch, moment.scn) {
                Err(Error::TooOld { .. }) => return Ok(None),
                read => drop(read?),
            }
        }
        let node = Node::Moment(moment);
        if let Some(at) = self.nodes.iter().position(|each| *each == node) {
            return Ok(Some(at));
        }
        if level > 0 && self.nodes.len() >= NODES_MAX {
            return Ok(None);
        }
        self.nodes.push(node);
        Ok(Some(self.nodes.len() - 1))
    }
}
