//! Row locks of FOR UPDATE and its siblings: rows are locked as they are asked for, above sorting and below LIMIT, so
//! that only rows that are given are locked.

use helios_mvcc::{RowState, TableLockMode, WaitPolicy};

use super::{BoxFuture, Execution, Operator};
use crate::error::{Result, SqlError};
use crate::plan::physical::LockedTable;
use crate::value::{Batch, Datum};
use crate::write::lock_planned;

/// Locks rows and passes them on.
pub struct Lock {
    input: Box<dyn Operator>,
    tables: Vec<LockedTable>,
    /// Whether fewer rows may be asked for than the input has: then they go on one by one.
    one_by_one: bool,
    /// The input's batch, and how many of its rows are done.
    current: Option<(Batch, usize)>,
    /// Whether the tables are locked.
    has_begun: bool,
}

impl Lock {
    pub fn new(input: Box<dyn Operator>, tables: Vec<LockedTable>, one_by_one: bool) -> Lock {
        Lock { input, tables, one_by_one, current: None, has_begun: false }
    }

    async fn batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if !self.has_begun {
            let planned_as_of = execution.environment.catalog.as_of;
            for LockedTable { table, .. } in &self.tables {
                lock_planned(table, planned_as_of, TableLockMode::RowShare, execution).await?;
            }
            self.has_begun = true;
        }
        loop {
            let (batch, mut row) = match self.current.take() {
                Some(current) => current,
                None => match self.input.next(execution).await? {
                    Some(batch) => {
                        execution.settle().await?;
                        (batch, 0)
                    }
                    None => return Ok(None),
                },
            };
            let most = if self.one_by_one { 1 } else { batch.row_count };
            let mut locked: Vec<u32> = Vec::new();
            while row < batch.row_count && locked.len() < most {
                if lock_row(&self.tables, &batch, row, execution).await? {
                    locked.push(row as u32);
                }
                row += 1;
            }
            let given = (!locked.is_empty()).then(|| batch.gather(&locked));
            if row < batch.row_count {
                self.current = Some((batch, row));
            }
            if given.is_some() {
                return Ok(given);
            }
            execution.breathe().await?;
        }
    }
}

/// Locks the rows of tables that a row was made of; false where it is to be passed over.
async fn lock_row(
    tables: &[LockedTable],
    batch: &Batch,
    row: usize,
    execution: &mut Execution,
) -> Result<bool> {
    for LockedTable { table, key, locking } in tables {
        let key = match batch.datum(row, *key) {
            Datum::Bytes(key) => key,
            // An outer join found no row.
            Datum::Null => continue,
            _ => return Err(SqlError::internal("a locked row has no key")),
        };
        let no_wait = locking.nowait || locking.skip_locked;
        let wait = if no_wait { WaitPolicy::NoWait } else { WaitPolicy::Block };
        match execution.transaction.lock_row(table.table.tree, &key, locking.mode, wait).await {
            Ok(RowState::Unchanged) => {}
            Ok(RowState::Changed) => return Err(execution.conflict()),
            Err(helios_mvcc::Error::LockNotAvailable) if locking.skip_locked => return Ok(false),
            Err(helios_mvcc::Error::LockNotAvailable) => {
                return Err(crate::session::lock_not_available(&table.table.name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

impl Operator for Lock {
    fn reset(&mut self) -> bool {
        self.current = None;
        self.input.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.batch(execution))
    }
}
