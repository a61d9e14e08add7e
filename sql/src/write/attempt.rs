//! Writing without waiting: what a write needs, and why it could not be finished at once.
//!
//! The writer's operations are synchronous. One that meets a page that is not in memory, or a lock that somebody else
//! has, stops and says so; nothing waits inside. [`retried`] is the way of statements that may wait: it takes back what
//! the operation wrote, waits for what was in the way, and does it again. Statements for one row try once, and leave
//! everything else to the general way.

use std::sync::{Arc, Weak};

use helios_mvcc::{Fault, LockMode, RowState, Transaction, TreeId};

use super::{Pending, TableWriter, WAIT, unique};
use crate::error::{Result, SqlError};
use crate::execute::Execution;
use crate::functions::EvalContext;
use crate::value::Datum;

/// Memory that one row's writing uses and the next one's uses again.
#[derive(Debug, Default)]
pub struct Buffers {
    pub key: Vec<u8>,
    /// The key of a row that was found.
    pub(super) found: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) entry: Vec<u8>,
    pub(super) old: Vec<Datum>,
    pub(super) new: Vec<Datum>,
    /// A new row that could not be written at once: it is taken up again, not evaluated again, for its evaluation
    /// may have drawn numbers from sequences.
    evaluated: Option<Evaluated>,
    /// Keys of deferrable constraints that another row has as well.
    pub(super) doubles: Vec<Pending>,
}

/// A row of an INSERT whose expressions were evaluated.
#[derive(Debug)]
struct Evaluated {
    writer: Weak<TableWriter>,
    parameters: Vec<Datum>,
    row: Vec<Datum>,
}

impl Buffers {
    /// Keeps a row that was evaluated for a writer.
    pub(super) fn keep_evaluated(&mut self, writer: &Arc<TableWriter>, parameters: &[Datum], row: &[Datum]) {
        let (writer, parameters, row) = (Arc::downgrade(writer), parameters.to_vec(), row.to_vec());
        self.evaluated = Some(Evaluated { writer, parameters, row });
    }

    /// The row that was evaluated for a writer and these parameters.
    pub(super) fn take_evaluated(
        &mut self,
        writer: &Arc<TableWriter>,
        parameters: &[Datum],
    ) -> Option<Vec<Datum>> {
        let kept = self.evaluated.take()?;
        let fits = std::ptr::eq(kept.writer.as_ptr(), Arc::as_ptr(writer)) && kept.parameters == parameters;
        fits.then_some(kept.row)
    }

    /// The statement is over.
    pub fn forget_evaluated(&mut self) {
        self.evaluated = None;
    }
}

/// What a write goes through.
pub struct Writing<'a> {
    pub transaction: &'a mut Transaction,
    pub context: EvalContext<'a>,
    pub buffers: &'a mut Buffers,
}

/// Why a write stopped.
pub enum Stop {
    Page(Fault),
    /// Somebody else has this lock.
    Lock {
        tree: TreeId,
        key: Vec<u8>,
        mode: LockMode,
    },
    /// The table's rows were not counted yet.
    RowNumber(TreeId),
    /// The row was changed or deleted since the snapshot.
    Changed {
        tree: TreeId,
        key: Vec<u8>,
    },
    /// What the statement was planned by, or the row that it found, is not what it was.
    Conflict,
    Failed(SqlError),
}

/// The outcome of a write that does not wait.
pub type Attempt<T> = std::result::Result<T, Stop>;

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Stop {
        Stop::Failed(error)
    }
}

impl From<helios_mvcc::Error> for Stop {
    fn from(error: helios_mvcc::Error) -> Stop {
        Stop::Failed(error.into())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Page(fault)
    }
}

impl Writing<'_> {
    /// Locks a row or a key, and tells whether it changed since the snapshot.
    pub(super) fn lock_row(&mut self, tree: TreeId, key: &[u8], mode: LockMode) -> Attempt<RowState> {
        self.transaction.try_lock_row(tree, key, mode).ok_or_else(|| Stop::Lock {
            tree,
            key: key.to_vec(),
            mode,
        })
    }

    /// Locks a row that was found, to change it.
    pub(super) fn lock_found(&mut self, tree: TreeId, key: &[u8], mode: LockMode) -> Attempt<()> {
        match self.lock_row(tree, key, mode)? {
            RowState::Unchanged => Ok(()),
            RowState::Changed => Err(Stop::Changed { tree, key: key.to_vec() }),
        }
    }

    /// Locks a key, whether a row has it or not.
    pub(super) fn lock_key(&mut self, tree: TreeId, key: &[u8], mode: LockMode) -> Attempt<()> {
        match self.transaction.try_lock_key(tree, key, mode) {
            true => Ok(()),
            false => Err(Stop::Lock { tree, key: key.to_vec(), mode }),
        }
    }

    /// Locks a key and tells whether a row has it.
    pub(super) fn claim(&mut self, tree: TreeId, key: &[u8]) -> Attempt<bool> {
        self.lock_key(tree, key, LockMode::Update)?;
        Ok(self.transaction.try_is_taken(tree, key)?)
    }
}

/// Does what `attempt` does, waiting for what is in its way.
///
/// # Errors
/// Those of the attempt and of waiting; the conflict.
pub(super) async fn retried<T>(
    execution: &mut Execution,
    mut attempt: impl FnMut(&mut Writing<'_>) -> Attempt<T>,
) -> Result<T> {
    let start = execution.transaction.savepoint();
    loop {
        match attempt(&mut execution.writing()) {
            Ok(done) => return Ok(done),
            Err(stop) => remove(stop, execution).await?,
        }
        execution.transaction.rollback_to(start);
    }
}

/// Does what `attempt` does with each of so many rows, waiting between two of them for what is in the way of the next, and
/// making room for what was written. What is done once for each row costs no more than it has to.
///
/// # Errors
/// As [`retried`].
pub(super) async fn retried_each(
    rows: usize,
    execution: &mut Execution,
    mut attempt: impl FnMut(usize, &mut Writing<'_>) -> Attempt<()>,
) -> Result<()> {
    let mut at = 0;
    while at < rows {
        let (start, stop) = {
            let mut writing = execution.writing();
            loop {
                let start = writing.transaction.savepoint();
                if let Err(stop) = attempt(at, &mut writing) {
                    break (start, Some(stop));
                }
                at += 1;
                if at == rows || writing.transaction.needs_room() || !writing.buffers.doubles.is_empty() {
                    break (start, None);
                }
            }
        };
        match stop {
            Some(stop) => {
                remove(stop, execution).await?;
                execution.transaction.rollback_to(start);
            }
            None => {
                unique::note_doubles(execution);
                execution.transaction.make_room().await?;
            }
        }
    }
    Ok(())
}

/// Waits for what was in the way of a write.
async fn remove(stop: Stop, execution: &mut Execution) -> Result<()> {
    match stop {
        Stop::Failed(error) => return Err(error),
        Stop::Conflict => return Err(execution.conflict()),
        Stop::Changed { tree, key } => return Err(execution.conflict_on(tree, &key).await),
        Stop::Page(fault) => execution.environment.store.resolve(fault).await?,
        Stop::Lock { tree, key, mode } => {
            execution.transaction.lock_row(tree, &key, mode, WAIT).await?;
        }
        Stop::RowNumber(tree) => {
            let branch = execution.transaction.branch();
            // The number is lost; what matters is that the next one is at hand.
            execution.environment.store.next_row_id(branch, tree).await?;
        }
    }
    Ok(())
}
