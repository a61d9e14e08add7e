//! Rows divided by the hash of their keys among streams of a temporary file, so that equal keys come together and each
//! part is small enough to be worked on in memory; a part that is not is divided again, by other bits of the hash.

use super::memory::SpillFile;
use super::row_stream::{RowStream, block_bytes};
use crate::error::Result;
use crate::value::Batch;

/// Parts are divided no further than this: what is left has equal keys, or next to.
pub const LEVELS_MAX: u32 = 8;
/// Bits of the hash that a level uses; the lowest ones are those of the hash table.
const LEVEL_BITS: u32 = 5;
const FIRST_BIT: u32 = 16;

/// Rows by hash.
pub struct Partitions {
    streams: Vec<RowStream>,
    level: u32,
    block_bytes: usize,
    /// Which rows of a batch go to which stream.
    rows: Vec<Vec<u32>>,
}

impl Partitions {
    /// As many parts as an operator may hold blocks for, who may hold `limit_bytes`.
    #[must_use]
    pub fn new(level: u32, limit_bytes: usize) -> Partitions {
        let block_bytes = block_bytes(limit_bytes);
        let count = (limit_bytes / 4 / block_bytes).clamp(4, 1 << LEVEL_BITS);
        let count = 1 << count.ilog2();
        Partitions {
            streams: (0..count).map(|_| RowStream::default()).collect(),
            level,
            block_bytes,
            rows: vec![Vec::new(); count],
        }
    }

    /// Bytes of memory that the blocks take at most.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.streams.len() * self.block_bytes
    }

    /// Appends rows of a batch, given each with its hash.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn push(&mut self, batch: &Batch, rows: &[(u32, u64)], file: &mut SpillFile) -> Result<()> {
        let shift = FIRST_BIT + self.level * LEVEL_BITS;
        let mask = self.streams.len() as u64 - 1;
        for (row, hash) in rows {
            self.rows[(hash >> shift & mask) as usize].push(*row);
        }
        for (stream, rows) in self.streams.iter_mut().zip(&mut self.rows) {
            if !rows.is_empty() {
                stream.push(batch, rows, self.block_bytes, file).await?;
                rows.clear();
            }
        }
        Ok(())
    }

    /// The parts, empty ones included.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn finish(mut self, file: &mut SpillFile) -> Result<Vec<RowStream>> {
        for stream in &mut self.streams {
            stream.flush(file).await?;
        }
        Ok(self.streams)
    }
}
