//! What can go wrong below SQL.

use crate::Scn;

/// A page that must be read before a synchronous call can go on; see [`crate::Store::resolve`].
#[derive(Debug)]
pub struct Fault(pub(crate) FaultReason);

#[derive(Debug)]
pub(crate) enum FaultReason {
    #[allow(dead_code)]
    Page(u64),
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
    /// NOWAIT, SKIP LOCKED, or the lock timeout ran out (55P03).
    #[error("could not obtain lock")]
    LockNotAvailable,
    /// The statement was cancelled while it waited (57014).
    #[error("canceling statement due to user request")]
    Cancelled,
    /// Bytes on disk that are not what was written (XX001).
    #[error("data corruption: {0}")]
    Corruption(String),
    /// The device failed (58030), or has no space (53100).
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// After a failed fsync, or a failed write of the log, nothing more may be committed.
    #[error("the database stopped accepting writes after an I/O error: {0}; restart it to recover")]
    Poisoned(String),
    /// More memory or space than allowed (53200).
    #[error("{0}")]
    LimitExceeded(String),
    /// The folder cannot be opened as asked: wrong key, newer format, locked by another process.
    #[error("{0}")]
    Open(String),
    /// Asked for a state that is no longer kept.
    #[error("history before SCN {oldest} has been removed")]
    HistoryGone { oldest: Scn },
}

/// The result of a storage operation.
pub type Result<T> = std::result::Result<T, Error>;
