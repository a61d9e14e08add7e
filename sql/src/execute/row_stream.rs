//! Rows on their way through a temporary file: written in blocks, read back in the order they came.

use std::collections::VecDeque;

use helios_mvcc::TemporaryBlock;

use super::memory::SpillFile;
use crate::error::Result;
use crate::value::{Batch, Column, ColumnBuilder, block};

/// Rows of one order in a file that several streams may share.
#[derive(Default)]
pub struct RowStream {
    /// With how many rows each has.
    blocks: VecDeque<(TemporaryBlock, usize)>,
    /// Rows that do not fill a block yet.
    tail: Vec<ColumnBuilder>,
    tail_rows: usize,
    tail_bytes: usize,
    rows: u64,
}

/// How large blocks are where an operator may hold so much, bytes: small enough that many fit.
#[must_use]
pub fn block_bytes(limit_bytes: usize) -> usize {
    (limit_bytes / 64).clamp(4 << 10, 128 << 10)
}

impl RowStream {
    /// How many rows were written.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many rows a block has.
    #[must_use]
    pub fn rows_of(&self, number: usize) -> Option<usize> {
        self.blocks.get(number).map(|(_, rows)| *rows)
    }

    /// Whether there are blocks that were not taken.
    #[must_use]
    pub fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Appends some rows of a batch.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn push(
        &mut self,
        batch: &Batch,
        rows: &[u32],
        block_bytes: usize,
        file: &mut SpillFile,
    ) -> Result<()> {
        let row_bytes = (batch.memory_bytes() / batch.row_count.max(1)).max(1);
        let at_once = (block_bytes / row_bytes).max(1);
        for rows in rows.chunks(at_once) {
            if self.tail.is_empty() {
                let builder = |column: &Column| ColumnBuilder::new(column.kind(), rows.len());
                self.tail = batch.columns.iter().map(builder).collect();
            }
            for (builder, column) in self.tail.iter_mut().zip(&batch.columns) {
                builder.extend_from(column, rows)?;
            }
            self.rows += rows.len() as u64;
            self.tail_rows += rows.len();
            self.tail_bytes += rows.len() * row_bytes;
            if self.tail_bytes >= block_bytes {
                self.flush(file).await?;
            }
        }
        Ok(())
    }

    /// Appends a whole batch.
    ///
    /// # Errors
    /// As [`RowStream::push`].
    pub async fn push_all(&mut self, batch: &Batch, block_bytes: usize, file: &mut SpillFile) -> Result<()> {
        let rows: Vec<u32> = (0..batch.row_count as u32).collect();
        self.push(batch, &rows, block_bytes, file).await
    }

    /// Writes the last rows: there are no more.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn flush(&mut self, file: &mut SpillFile) -> Result<()> {
        if self.tail_rows > 0 {
            let columns = self.tail.drain(..).map(ColumnBuilder::finish).collect();
            block::encode(&Batch::new(columns, self.tail_rows), &mut file.scratch);
            self.blocks.push_back((file.append().await?, self.tail_rows));
            (self.tail_rows, self.tail_bytes) = (0, 0);
        }
        Ok(())
    }

    /// Takes the next rows; their room in the file may be used again.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn take(&mut self, file: &mut SpillFile) -> Result<Option<Batch>> {
        let Some((next, _)) = self.blocks.pop_front() else { return Ok(None) };
        let batch = block::decode(&file.read(next).await?)?;
        file.release(next);
        Ok(Some(batch))
    }

    /// Reads the rows of one block and leaves them there.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn read(&self, number: usize, file: &SpillFile) -> Result<Option<Batch>> {
        match self.blocks.get(number) {
            Some((wanted, _)) => Ok(Some(block::decode(&file.read(*wanted).await?)?)),
            None => Ok(None),
        }
    }

    /// Gives up all rows.
    pub fn release(self, file: &mut SpillFile) {
        self.blocks.into_iter().for_each(|(block, _)| file.release(block));
    }
}
