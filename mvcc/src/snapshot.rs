//! What transactions read, and as what they end.

use crate::ids::{BranchId, Scn};

/// What a transaction reads: one branch as of one SCN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The branch.
    pub branch: BranchId,
    /// Commits up to and including this one are seen.
    pub scn: Scn,
}

/// As what a transaction committed.
#[derive(Clone, Copy, Debug)]
pub struct CommitInfo {
    /// Its place in the commit order; `None` when it wrote nothing.
    pub scn: Option<Scn>,
}

/// What [`crate::Transaction::lock_row`] found once it held the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The newest committed version is what this transaction's snapshot sees, or its own write.
    Unchanged,
    /// Somebody committed a change or a delete of it since the snapshot.
    Changed,
}
