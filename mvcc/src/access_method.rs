//! The seam for indexes that live above this crate.
//!
//! B+tree indexes are trees like any others, and whoever writes rows writes their entries. An index of another kind keeps
//! what it keeps by itself; all it needs is to hear of every change of the rows that it covers, in the order of commits,
//! and to tell by SCN what a snapshot may see. That is an [`AccessMethod`]:
//!
//! 1. While a commit is applied, each row that it changes is told to the methods that cover its tree
//!    ([`AccessMethod::changed`]), with the SCN that the commit will have. Nobody may see it yet: a reader takes what is
//!    at or before its snapshot's SCN, and no snapshot reaches that far.
//! 2. [`AccessMethod::committed`] follows when the commit is durable and visible, [`AccessMethod::abandoned`] when it is
//!    given up: its SCN may then be given to another commit.
//! 3. Writes rolled back, by a savepoint or with their transaction, are never told.
//! 4. Recovery tells what it replays in the same way. So a method knows the commits behind the last checkpoint again;
//!    of the time before it knows what it kept on pages of its own, or reads the trees.

use std::fmt;
use std::sync::Arc;

use crate::ids::{BranchId, Scn, TreeId};

/// A change of one row by a commit.
#[derive(Clone, Copy, Debug)]
pub struct RowChange<'a> {
    /// The branch that it was committed on.
    pub branch: BranchId,
    /// The row's tree.
    pub tree: TreeId,
    /// The row's key.
    pub key: &'a [u8],
    /// What the row was before; `None` for a new one.
    pub old: Option<&'a [u8]>,
    /// What it is now; `None` when it was removed.
    pub new: Option<&'a [u8]>,
    /// The commit. Changes come in its order; within one commit, in the order of trees and keys.
    pub scn: Scn,
}

/// An index, or many of one kind, maintained by commits. All calls come from one committer at a time, inside the section
/// of a commit that never waits: they must be short, must not wait, and must not call the store.
pub trait AccessMethod: Send + Sync + 'static {
    /// Whether it is to hear of changes of this tree. The answer for a tree may only change while nobody writes it.
    fn covers(&self, branch: BranchId, tree: TreeId) -> bool;

    /// A row was changed, by a commit that is not visible yet.
    fn changed(&self, change: &RowChange<'_>);

    /// All changes up to `scn` are visible now.
    fn committed(&self, scn: Scn);

    /// The changes of `scn` and of later commits are void. The same SCNs may come again.
    fn abandoned(&self, scn: Scn);
}

/// The access methods of a store.
#[derive(Clone, Default)]
pub struct AccessMethods(Vec<Arc<dyn AccessMethod>>);

impl AccessMethods {
    /// These methods.
    pub fn new(methods: Vec<Arc<dyn AccessMethod>>) -> AccessMethods {
        AccessMethods(methods)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(crate) fn covers(&self, branch: BranchId, tree: TreeId) -> bool {
        !self.0.is_empty() && self.0.iter().any(|method| method.covers(branch, tree))
    }

    pub(crate) fn changed(&self, change: &RowChange<'_>) {
        let methods = self.0.iter().filter(|method| method.covers(change.branch, change.tree));
        methods.for_each(|method| method.changed(change));
    }

    #[inline]
    pub(crate) fn committed(&self, scn: Scn) {
        self.0.iter().for_each(|method| method.committed(scn));
    }

    pub(crate) fn abandoned(&self, scn: Scn) {
        self.0.iter().for_each(|method| method.abandoned(scn));
    }
}

impl fmt::Debug for AccessMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} access methods", self.0.len())
    }
}
