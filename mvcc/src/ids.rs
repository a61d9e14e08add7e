//! Identifiers and modes.

use std::fmt;

pub use helios_bufferpool::{BranchId, PageId, Scn};

/// A transaction's number, given at its first write or when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid(pub u64);

impl Xid {
    /// What a cell says that a transaction shares while its number is being given out. No transaction has it.
    pub const PENDING: Xid = Xid(u64::MAX);
}

/// A B+tree, named by its root page, which never moves; unique in the folder, never reused. Tree ids are odd,
/// all other page ids even, so that replaying the log gives out the same page ids as the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(pub u64);

impl TreeId {
    /// Every branch has this tree from its creation: the catalog.
    pub const CATALOG: TreeId = TreeId(1);
    /// The system branch's second tree: the times of all commits. See `commit_times`.
    pub(crate) const COMMIT_TIMES: TreeId = TreeId(3);

    /// Its root page.
    pub fn root(self) -> PageId {
        PageId(self.0)
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Transaction isolation levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// Snapshot isolation, shown to users as `repeatable read`.
    #[default]
    Snapshot,
}

/// Row lock modes, weakest first, with PostgreSQL's conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// FOR KEY SHARE: conflicts with `Update` only.
    KeyShare,
    /// FOR SHARE: conflicts with `NoKeyUpdate` and `Update`.
    Share,
    /// FOR NO KEY UPDATE: an update that changes no key column.
    NoKeyUpdate,
    /// FOR UPDATE, DELETE, key updates, and claims on unique keys.
    Update,
}

/// Table lock modes, weakest first, with PostgreSQL's conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableLockMode {
    /// SELECT.
    AccessShare,
    /// SELECT … FOR UPDATE and its kin.
    RowShare,
    /// INSERT, UPDATE, DELETE, MERGE.
    RowExclusive,
    /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY.
    ShareUpdateExclusive,
    /// CREATE INDEX.
    Share,
    /// CREATE TRIGGER and some ALTER TABLE.
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY.
    Exclusive,
    /// DROP TABLE, TRUNCATE, most ALTER TABLE.
    AccessExclusive,
}

/// What a lock request does when it must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Wait as long as it takes. A time limit is the caller's: dropping the future withdraws the request.
    Block,
    /// Fail at once with [`crate::Error::LockNotAvailable`] (NOWAIT, SKIP LOCKED).
    NoWait,
}
