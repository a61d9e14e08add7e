//! Transactions over versioned pages: snapshots, write sets, locks, commit, log, recovery, branches.
//!
//! The API boundary for everything above: [`Store`] opens a folder (or memory), [`Transaction`] reads a
//! snapshot and collects a private write set, [`Scan`] walks a tree in key order, and nothing else is
//! needed to build SQL on it. Keys are memcomparable bytes, values are opaque bytes.
//!
//! Reads come in two forms. `try_*` calls run synchronously on resident pages and answer [`Fault`] when a
//! page must be read first; the `async` forms wait for the fault and try again.

#![deny(unsafe_code)]

mod access_method;
mod apply;
mod branches;
mod budget;
mod checkpoint;
mod commit;
mod commit_times;
mod cut;
mod divergence;
mod dropped_tree;
mod engine;
mod error;
mod eviction;
mod freed_pages;
mod history;
mod history_bytes;
mod history_image;
mod ids;
mod known_gap;
mod large_value;
mod locks;
mod log;
mod moments;
mod open_snapshots;
mod recovery;
mod removal;
mod reserve;
mod retention;
mod row_versions;
mod scan;
mod shared_work;
mod snapshot;
mod spill;
mod steps;
mod store;
mod temporary_file;
mod transaction;
mod view;
mod write_set;

pub use access_method::{AccessMethod, AccessMethods, RowChange};
pub use branches::{Branch, NewBranch};
pub use divergence::{Divergence, RowDifference, TreeDifference};
pub use dropped_tree::OWN_ROWS;
pub use error::{Error, Fault, Result};
pub use helios_btree::{RandomLeaf, ValuePlace};
pub use helios_bufferpool::{Compression, MasterKey};
pub use ids::{BranchId, Isolation, LockMode, PageId, Scn, TableLockMode, TreeId, WaitPolicy, Xid};
pub use locks::LockMark;
pub use open_snapshots::OpenSnapshot;
pub use retention::Kept;
pub use row_versions::{RowVersion, RowVersions};
pub use scan::{KeyRange, RowVisitor, Scan, ScanStep, Visit};
pub use snapshot::{CommitInfo, RowState, Snapshot};
pub use store::{CatalogScn, CompressedTierSize, Store, StoreOptions, StoreStats, Surroundings};
pub use temporary_file::{TemporaryBlock, TemporaryFile};
pub use transaction::{ReadPoint, SavepointId, Transaction};
