//! External merge sort.
//!
//! 1. Rows gather in chunks, each sorted by itself when it is full.
//! 2. When they take more memory than an operator may hold, all chunks are merged into a *run* in a temporary file.
//! 3. At the end the runs are merged, in several passes where there are more than memory has blocks for; without runs,
//!    the chunks are merged while rows are given.

use super::Execution;
use super::memory::{Reservation, SpillFile};
use super::sort_run::{Chunk, Merge, Run, write_block};
use crate::error::Result;
use crate::value::key::KeyColumn;
use crate::value::{BATCH_ROWS, Batch, Column};

/// Sorts rows.
pub struct Sorter {
    keys: Vec<KeyColumn>,
    limit_bytes: usize,
    reservation: Reservation,
    file: SpillFile,
    chunk: Chunk,
    full: Vec<Chunk>,
    full_bytes: usize,
    rows: u64,
    /// Bytes that all rows together took in memory.
    row_bytes: u64,
    runs: Vec<Run>,
    merge: Option<Merge>,
}

/// What sorting took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortSpace {
    Memory(usize),
    Disk(u64),
}

impl Sorter {
    #[must_use]
    pub fn new(keys: Vec<KeyColumn>, execution: &mut Execution) -> Sorter {
        let memory = execution.memory().clone();
        Sorter {
            keys,
            limit_bytes: memory.work_bytes,
            reservation: memory.reserve(),
            file: SpillFile::new(&execution.environment.store, &memory),
            chunk: Chunk::default(),
            full: Vec::new(),
            full_bytes: 0,
            rows: 0,
            row_bytes: 0,
            runs: Vec::new(),
            merge: None,
        }
    }

    /// Appends rows; `values` are what they are sorted by.
    ///
    /// # Errors
    /// Those of the temporary file; 57014.
    pub async fn add(&mut self, values: &[Column], batch: Batch, execution: &mut Execution) -> Result<()> {
        let before = self.chunk.memory_bytes();
        self.rows += batch.row_count as u64;
        self.chunk.add(&self.keys, values, batch, None);
        self.row_bytes += self.chunk.memory_bytes().saturating_sub(before) as u64;
        self.look_at_memory(execution).await
    }

    /// Takes over rows that were gathered already, before any others.
    ///
    /// # Errors
    /// As [`Sorter::add`].
    pub async fn adopt(&mut self, chunk: Chunk, execution: &mut Execution) -> Result<()> {
        self.rows += chunk.len() as u64;
        self.row_bytes += chunk.memory_bytes() as u64;
        self.chunk = chunk;
        self.look_at_memory(execution).await
    }

    async fn look_at_memory(&mut self, execution: &mut Execution) -> Result<()> {
        execution.breathe().await?;
        if self.chunk.is_full() {
            self.end_chunk()?;
        }
        let held = self.full_bytes + self.chunk.memory_bytes();
        self.reservation.set(held);
        if held > self.limit_bytes {
            self.spill(execution).await?;
        }
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.sort();
        // One alone is read but once.
        if chunk.is_full() || !self.full.is_empty() {
            chunk.arrange()?;
        }
        self.full_bytes += chunk.memory_bytes();
        self.full.push(chunk);
        Ok(())
    }

    fn block_bytes(&self) -> usize {
        (self.limit_bytes / 16).clamp(4 << 10, 256 << 10)
    }

    /// Rows that make a block.
    fn block_rows(&self) -> usize {
        let row_bytes = (self.row_bytes / self.rows.max(1)).max(1);
        (self.block_bytes() as u64 / row_bytes).clamp(1, 8 * BATCH_ROWS as u64) as usize
    }

    /// Writes all that is in memory as a run.
    async fn spill(&mut self, execution: &mut Execution) -> Result<()> {
        self.end_chunk()?;
        let chunks = std::mem::take(&mut self.full);
        let merge = Merge::new(Vec::new(), chunks, &mut self.file).await?;
        let run = self.write_run(merge, execution).await?;
        self.runs.push(run);
        self.full_bytes = 0;
        self.reservation.set(0);
        Ok(())
    }

    async fn write_run(&mut self, mut merge: Merge, execution: &mut Execution) -> Result<Run> {
        let mut run = Run::default();
        let rows = self.block_rows();
        while write_block(&mut merge, rows, &mut run, &mut self.file).await? {
            execution.breathe().await?;
        }
        Ok(run)
    }

    /// All rows are there.
    ///
    /// # Errors
    /// As [`Sorter::add`].
    pub async fn finish(&mut self, execution: &mut Execution) -> Result<()> {
        if self.runs.is_empty() {
            self.end_chunk()?;
            let chunks = std::mem::take(&mut self.full);
            self.merge = Some(Merge::new(Vec::new(), chunks, &mut self.file).await?);
            return Ok(());
        }
        if self.chunk.len() > 0 || !self.full.is_empty() {
            self.spill(execution).await?;
        }
        // Merging holds a block of each run, as bytes and as columns for a moment.
        let at_once = (self.limit_bytes / (2 * self.block_bytes())).max(2);
        while self.runs.len() > at_once {
            let mut merged = Vec::new();
            let mut left = std::mem::take(&mut self.runs).into_iter().peekable();
            while left.peek().is_some() {
                let runs: Vec<Run> = left.by_ref().take(at_once).collect();
                self.reservation.set(runs.len() * self.block_bytes());
                let merge = Merge::new(runs, Vec::new(), &mut self.file).await?;
                merged.push(self.write_run(merge, execution).await?);
            }
            self.runs = merged;
        }
        self.reservation.set(self.runs.len() * self.block_bytes());
        let runs = std::mem::take(&mut self.runs);
        self.merge = Some(Merge::new(runs, Vec::new(), &mut self.file).await?);
        Ok(())
    }

    /// The next rows in order.
    ///
    /// # Errors
    /// Those of the temporary file; 57014.
    pub async fn next(&mut self, rows_max: usize, execution: &mut Execution) -> Result<Option<Batch>> {
        execution.breathe().await?;
        match &mut self.merge {
            Some(merge) => merge.next(rows_max, None, &mut self.file).await,
            None => Ok(None),
        }
    }

    /// What was needed.
    #[must_use]
    pub fn space(&self) -> SortSpace {
        if self.file.is_used() {
            SortSpace::Disk(self.file.size_bytes())
        } else {
            SortSpace::Memory(self.reservation.peak_bytes())
        }
    }
}
