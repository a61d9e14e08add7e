//! Transactions over versioned pages: snapshots, write sets, locks, commit, log, recovery, branches.
//!
//! The API boundary for everything above: [`Store`] opens a folder (or memory), [`Transaction`] reads a
//! snapshot and collects a private write set, [`Scan`] walks a tree in key order, and nothing else is
//! needed to build SQL on it. Keys are memcomparable bytes, values are opaque bytes.
//!
//! Reads come in two forms. `try_*` calls run synchronously on resident pages and answer
//! [`Fault`] when a page must be read first; the `async` forms wait for the fault and try again.

mod error;
mod ids;
mod quick;

pub use error::{Error, Fault, Result};
pub use ids::{BranchId, Isolation, LockMode, Scn, TableLockMode, TreeId, WaitPolicy, Xid};
pub use quick::{
    CommitInfo, KeyRange, RowState, RowVisitor, SavepointId, Scan, ScanStep, Snapshot, Store, Transaction,
};
