//! What can go wrong below SQL.

use helios_bufferpool::{PageKey, Scn};

/// A page that must be read before a synchronous call can go on; see [`crate::Store::resolve`].
#[derive(Debug)]
pub struct Fault(pub(crate) FaultReason);

#[derive(Debug)]
pub(crate) enum FaultReason {
    /// The newest image of the page is not in memory.
    Page(PageKey),
    /// Nothing is missing: the pages read so far must be let go before the next ones are.
    Pause,
    /// The undo records that lead back to this SCN are not in memory.
    History(PageKey, Scn),
    /// The page is not what it has to be: reading it again will not help.
    Damaged(PageKey, &'static str),
}

/// Errors of the storage engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row that this transaction wants to write was changed by another since its snapshot (40001).
    #[error("could not serialize access due to concurrent update")]
    WriteConflict,
    /// Granting the lock would close a cycle of waits (40P01).
    #[error("deadlock detected")]
    Deadlock,
    /// NOWAIT or SKIP LOCKED (55P03).
    #[error("could not obtain lock")]
    LockNotAvailable,
    /// The lock timeout ran out (55P03).
    #[error("canceling statement due to lock timeout")]
    LockTimeout,
    /// Bytes on disk that are not what was written (XX001).
    #[error("data corruption: {0}")]
    Corruption(String),
    /// The device failed (58030), or has no space (53100).
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// After a failed fsync, or a failed write of the log, nothing more may be committed.
    #[error(
        "the database stopped accepting writes after an I/O error ({0}); close and open it again to recover"
    )]
    Poisoned(String),
    /// A key or value larger than the format allows (54000).
    #[error("{0}")]
    TooLarge(String),
    /// More memory than allowed (53200).
    #[error("{0}")]
    OutOfMemory(String),
    /// The folder cannot be opened as asked: wrong key, newer format, locked by another process.
    #[error("{0}")]
    Open(String),
    /// Asked for the commit of a transaction that has none (22023).
    #[error("transaction {0} did not commit")]
    NoSuchTransaction(crate::ids::Xid),
    /// Asked for a branch that is not there, or not any more (3D000).
    #[error("branch {0} does not exist")]
    NoSuchBranch(crate::ids::BranchId),
    /// Two branches of which neither descends from the other, nor both from a third (55000).
    #[error("the branches have no common ancestor")]
    Unrelated,
    /// A branch of this name is there already (42P04).
    #[error("branch \"{0}\" already exists")]
    DuplicateBranch(String),
    /// Asked for history that is not kept any more (72000).
    #[error("history before SCN {oldest} is not kept any more")]
    TooOld {
        /// What was asked for, where it has a number.
        asked: Option<Scn>,
        /// The oldest that can be read.
        oldest: Scn,
        /// When that commit was, in µs since 1970.
        oldest_micros: u64,
    },
    /// Asked for a state that never was (22023).
    #[error("SCN {scn} does not exist yet; the newest is {newest}")]
    NoSuchScn {
        /// What was asked for.
        scn: Scn,
        /// The newest that can be read.
        newest: Scn,
    },
}

impl Error {
    pub(crate) fn damaged(key: PageKey, what: &str) -> Error {
        Error::Corruption(format!("page {} of branch {} is damaged: {what}", key.page, key.branch))
    }

    pub(crate) fn disk_full(what: &str) -> Error {
        Error::Io(std::io::Error::new(std::io::ErrorKind::StorageFull, format!("the disk is full: {what}")))
    }

    /// Whether it only says that the disk, or a quota, is full.
    pub fn is_want_of_space(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Error::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded))
    }
}

impl From<helios_bufferpool::Error> for Error {
    fn from(error: helios_bufferpool::Error) -> Error {
        match error {
            helios_bufferpool::Error::Io(error) => Error::Io(error),
            helios_bufferpool::Error::Corruption(text) => Error::Corruption(text),
            helios_bufferpool::Error::Open(text) => Error::Open(text),
        }
    }
}

/// The result of a storage operation.
pub type Result<T> = std::result::Result<T, Error>;
