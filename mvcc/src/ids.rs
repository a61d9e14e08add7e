//! Identifiers and modes.

use std::fmt;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identifier!(
    /// System change number: the position of a commit in the one global order.
    Scn
);
identifier!(
    /// A transaction's number, given at its first write or when asked for.
    Xid
);
identifier!(
    /// A B+tree, named by its root page, which never moves; unique in the folder, never reused.
    TreeId
);
identifier!(
    /// A branch: a database is a root branch. Unique in the folder, never reused.
    BranchId
);

impl BranchId {
    /// Holds what belongs to the folder rather than to a database: branches, databases, roles,
    /// the commit-time index.
    pub const SYSTEM: BranchId = BranchId(1);
    /// The first database's branch `main`.
    pub const MAIN: BranchId = BranchId(2);
}

impl TreeId {
    /// Every branch has this tree from its creation: the catalog.
    pub const CATALOG: TreeId = TreeId(1);
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
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// What a lock request does when it must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Wait, without limit or at most this many milliseconds.
    Block { timeout_ms: Option<u64> },
    /// Fail at once with [`crate::Error::LockNotAvailable`] (NOWAIT, SKIP LOCKED).
    NoWait,
}
