//! Rows gathered to be read again, in the order they came: in memory as far as an operator may hold them, the others in a
//! temporary file.

use std::sync::Arc;

use helios_mvcc::Store;

use super::Execution;
use super::memory::{QueryMemory, Reservation, SpillFile};
use super::row_stream::{RowStream, block_bytes};
use crate::error::Result;
use crate::value::Batch;

/// Rows in blocks, numbered from 0.
pub struct RowStore {
    memory: Vec<Batch>,
    memory_bytes: usize,
    limit_bytes: usize,
    reservation: Reservation,
    file: SpillFile,
    stream: RowStream,
}

impl RowStore {
    #[must_use]
    pub fn new(execution: &mut Execution) -> RowStore {
        let memory = execution.memory().clone();
        RowStore::in_account(&execution.environment.store, &memory)
    }

    /// One that outlives the statement.
    #[must_use]
    pub fn in_account(store: &Store, memory: &Arc<QueryMemory>) -> RowStore {
        RowStore {
            memory: Vec::new(),
            memory_bytes: 0,
            limit_bytes: memory.work_bytes,
            reservation: memory.reserve(),
            file: SpillFile::new(store, memory),
            stream: RowStream::default(),
        }
    }

    /// Rows that are in memory already.
    #[must_use]
    pub fn of(batches: Vec<Batch>, execution: &mut Execution) -> RowStore {
        let mut store = RowStore::new(execution);
        store.memory_bytes = batches.iter().map(Batch::memory_bytes).sum();
        store.reservation.set(store.memory_bytes);
        store.memory = batches;
        store
    }

    /// Appends rows.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub async fn push(&mut self, batch: Batch) -> Result<()> {
        let bytes = batch.memory_bytes();
        if !self.file.is_used() && self.stream.rows() == 0 && self.memory_bytes + bytes <= self.limit_bytes {
            self.memory_bytes += bytes;
            self.reservation.set(self.memory_bytes);
            self.memory.push(batch);
            return Ok(());
        }
        self.stream.push_all(&batch, block_bytes(self.limit_bytes), &mut self.file).await
    }

    /// Forgets all rows; false where some are in a file, so that it cannot be used again.
    pub fn clear(&mut self) -> bool {
        self.memory.clear();
        self.memory_bytes = 0;
        self.reservation.set(0);
        !self.file.is_used() && self.stream.rows() == 0
    }

    /// To be called before rows are read.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub async fn finish(&mut self) -> Result<()> {
        self.stream.flush(&mut self.file).await
    }

    /// The rows, if all are in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<&[Batch]> {
        (!self.file.is_used()).then_some(&self.memory)
    }

    /// How many rows a block has; `None` behind the last.
    #[must_use]
    pub fn rows_of(&self, block: usize) -> Option<usize> {
        match self.memory.get(block) {
            Some(batch) => Some(batch.row_count),
            None => self.stream.rows_of(block - self.memory.len()),
        }
    }

    /// A block's rows; `None` behind the last.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub async fn read(&self, block: usize) -> Result<Option<Batch>> {
        match self.memory.get(block) {
            Some(batch) => Ok(Some(batch.clone())),
            None => self.stream.read(block - self.memory.len(), &self.file).await,
        }
    }
}
