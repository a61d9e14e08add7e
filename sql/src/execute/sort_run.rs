//! Sorted rows in memory and in a temporary file, and the merging of several into one.
//!
//! Rows are compared by encoded keys; of equal ones that of the earlier source goes first, so sorting is stable when
//! sources are merged in the order that their rows came.

use std::cmp::Ordering;
use std::collections::VecDeque;

use helios_mvcc::TemporaryBlock;

use super::memory::SpillFile;
use crate::error::Result;
use crate::value::key::{self, KeyColumn};
use crate::value::{Batch, Column, block, gather_picked};

/// Rows of one chunk: so many are sorted in much less than the time in which a cancel request should be seen.
const CHUNK_ROWS: usize = 1 << 16;
/// Keys of a chunk are found by 32 bits.
const CHUNK_KEY_BYTES: usize = 1 << 30;

/// Where a row and its key are.
#[derive(Clone, Copy)]
struct Entry {
    /// The key's first bytes: they decide most comparisons.
    prefix: u64,
    key_start: u32,
    key_length: u32,
    batch: u32,
    row: u32,
}

/// Rows in memory with their keys.
#[derive(Default)]
pub struct Chunk {
    keys: Vec<u8>,
    entries: Vec<Entry>,
    batches: Vec<Batch>,
    batches_bytes: usize,
}

fn prefix_of(key: &[u8]) -> u64 {
    let mut prefix = [0; 8];
    let length = key.len().min(8);
    prefix[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(prefix)
}

impl Chunk {
    /// Appends the rows of a batch whose keys do not lie behind `cutoff`.
    pub fn add(&mut self, key_columns: &[KeyColumn], values: &[Column], batch: Batch, cutoff: Option<&[u8]>) {
        let number = self.batches.len() as u32;
        let mut kept: Vec<u32> = Vec::new();
        for row in 0..batch.row_count {
            let start = self.keys.len();
            for (key_column, column) in key_columns.iter().zip(values) {
                key::encode_at(key_column, column, row, false, &mut self.keys);
            }
            let key = &self.keys[start..];
            if cutoff.is_some_and(|cutoff| key >= cutoff) {
                self.keys.truncate(start);
                continue;
            }
            let place = if cutoff.is_some() { kept.len() } else { row } as u32;
            if cutoff.is_some() {
                kept.push(row as u32);
            }
            self.entries.push(Entry {
                prefix: prefix_of(key),
                key_start: start as u32,
                key_length: key.len() as u32,
                batch: number,
                row: place,
            });
        }
        let batch = if cutoff.is_some() { batch.gather(&kept) } else { batch };
        if batch.row_count > 0 {
            self.batches_bytes += batch.memory_bytes();
            self.batches.push(batch);
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it should be sorted and another one begun.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= CHUNK_ROWS || self.keys.len() >= CHUNK_KEY_BYTES
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.keys.capacity() + self.entries.capacity() * size_of::<Entry>() + self.batches_bytes
    }

    pub fn sort(&mut self) {
        let keys = &self.keys;
        self.entries.sort_unstable_by(|left, right| {
            left.prefix
                .cmp(&right.prefix)
                .then_with(|| key_at(keys, left).cmp(key_at(keys, right)))
                .then_with(|| (left.batch, left.row).cmp(&(right.batch, right.row)))
        });
    }

    /// Sorts it and drops all but the first rows; gives the last row's key.
    ///
    /// # Errors
    /// XX000 if its batches' columns are not of the same kinds.
    pub fn keep_first(&mut self, wanted: usize) -> Result<Option<Vec<u8>>> {
        self.sort();
        self.entries.truncate(wanted);
        self.arrange()?;
        let is_complete = self.entries.len() == wanted;
        Ok(self.entries.last().filter(|_| is_complete).map(|last| key_at(&self.keys, last).to_vec()))
    }

    /// Puts rows and keys where their entries are in the order, so that a merge reads one after the other: a chunk fits in
    /// the processor's cache, all of them do not.
    ///
    /// # Errors
    /// As [`Chunk::keep_first`].
    pub fn arrange(&mut self) -> Result<()> {
        let picks: Vec<(u32, u32)> = self.entries.iter().map(|entry| (entry.batch, entry.row)).collect();
        let batch = gather_picked(&self.batches, &picks)?;
        let mut keys = Vec::with_capacity(self.keys.len());
        for (row, entry) in self.entries.iter_mut().enumerate() {
            let start = keys.len() as u32;
            keys.extend_from_slice(key_at(&self.keys, entry));
            *entry = Entry { key_start: start, batch: 0, row: row as u32, ..*entry };
        }
        self.keys = keys;
        self.batches_bytes = batch.memory_bytes();
        self.batches = vec![batch];
        Ok(())
    }
}

fn key_at<'k>(keys: &'k [u8], entry: &Entry) -> &'k [u8] {
    &keys[entry.key_start as usize..][..entry.key_length as usize]
}

/// Sorted rows in a file, in blocks: the number of bytes of all keys (4), where each key ends (4), the keys, a batch.
#[derive(Default)]
pub struct Run {
    blocks: VecDeque<TemporaryBlock>,
}

/// One block of a run.
struct RunBlock {
    keys: Vec<u8>,
    ends: Vec<u32>,
}

impl RunBlock {
    fn key(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.keys[start as usize..self.ends[row] as usize]
    }
}

fn decode_block(bytes: &[u8]) -> Result<(RunBlock, Batch)> {
    let mut rest = bytes;
    let count = block::take_u32(&mut rest)? as usize;
    let ends = block::take(&mut rest, count.saturating_mul(4))?;
    let ends: Vec<u32> = ends.as_chunks().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
    let keys = block::take(&mut rest, ends.last().map_or(0, |end| *end as usize))?.to_vec();
    let batch = block::decode(rest)?;
    if !ends.is_sorted() || batch.row_count != count {
        return Err(crate::error::SqlError::corrupted("a block of a temporary file is malformed"));
    }
    Ok((RunBlock { keys, ends }, batch))
}

enum Rows {
    Memory(Chunk),
    File { run: Run, block: RunBlock },
}

/// One of the sorted inputs.
struct Source {
    rows: Rows,
    /// The next row, within the chunk or the block.
    at: usize,
    /// Which of the batches at hand is the chunk's first, or the block's.
    batch: u32,
}

impl Source {
    fn key(&self) -> &[u8] {
        match &self.rows {
            Rows::Memory(chunk) => key_at(&chunk.keys, &chunk.entries[self.at]),
            Rows::File { block, .. } => block.key(self.at),
        }
    }

    /// The first bytes of [`Source::key`].
    fn prefix(&self) -> u64 {
        match &self.rows {
            Rows::Memory(chunk) => chunk.entries[self.at].prefix,
            Rows::File { block, .. } => prefix_of(block.key(self.at)),
        }
    }

    fn count(&self) -> usize {
        match &self.rows {
            Rows::Memory(chunk) => chunk.entries.len(),
            Rows::File { block, .. } => block.ends.len(),
        }
    }

    fn pick(&self) -> (u32, u32) {
        match &self.rows {
            Rows::Memory(chunk) => {
                let entry = &chunk.entries[self.at];
                (self.batch + entry.batch, entry.row)
            }
            Rows::File { .. } => (self.batch, self.at as u32),
        }
    }
}

/// Merges sorted rows.
#[derive(Default)]
pub struct Merge {
    sources: Vec<Source>,
    /// Sources that have rows, each with the prefix of its next key; the one with the first row is in front.
    heap: Vec<(u64, u32)>,
    /// The batches that rows are picked from: those of chunks, then those of blocks.
    batches: Vec<Batch>,
    memory_batches: usize,
}

impl Merge {
    /// Begins to merge; chunks are sorted, and come behind runs.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn new(runs: Vec<Run>, chunks: Vec<Chunk>, file: &mut SpillFile) -> Result<Merge> {
        let mut merge = Merge::default();
        for run in runs {
            let rows = Rows::File { run, block: RunBlock { keys: Vec::new(), ends: Vec::new() } };
            merge.sources.push(Source { rows, at: 0, batch: 0 });
        }
        for mut chunk in chunks.into_iter().filter(|chunk| chunk.len() > 0) {
            let batch = merge.batches.len() as u32;
            merge.batches.append(&mut chunk.batches);
            merge.sources.push(Source { rows: Rows::Memory(chunk), at: 0, batch });
        }
        merge.memory_batches = merge.batches.len();
        for number in 0..merge.sources.len() {
            if merge.make_ready(number, file).await? {
                merge.heap.push((merge.sources[number].prefix(), number as u32));
            }
        }
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(at);
        }
        Ok(merge)
    }

    /// Gives the next rows in order, at most `rows_max`; `keys`, if wanted, gets their keys, and where each ends.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn next(
        &mut self,
        rows_max: usize,
        mut keys: Option<(&mut Vec<u8>, &mut Vec<u32>)>,
        file: &mut SpillFile,
    ) -> Result<Option<Batch>> {
        let mut picks = Vec::with_capacity(rows_max);
        while picks.len() < rows_max
            && let Some((_, first)) = self.heap.first()
        {
            let number = *first as usize;
            let source = &mut self.sources[number];
            picks.push(source.pick());
            if let Some((bytes, ends)) = &mut keys {
                bytes.extend_from_slice(source.key());
                ends.push(bytes.len() as u32);
            }
            source.at += 1;
            if source.at < source.count() || self.make_ready(number, file).await? {
                self.heap[0].0 = self.sources[number].prefix();
            } else {
                self.heap.swap_remove(0);
            }
            self.sift_down(0);
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let batch = gather_picked(&self.batches, &picks)?;
        self.forget_read_blocks();
        Ok(Some(batch))
    }

    /// Has a source's next row at hand; `false` at its end.
    async fn make_ready(&mut self, number: usize, file: &mut SpillFile) -> Result<bool> {
        let source = &mut self.sources[number];
        if source.at >= source.count() {
            match &mut source.rows {
                Rows::Memory(_) => return Ok(false),
                Rows::File { run, block } => {
                    let Some(next) = run.blocks.pop_front() else {
                        *block = RunBlock { keys: Vec::new(), ends: Vec::new() };
                        source.at = 0;
                        return Ok(false);
                    };
                    let (read, batch) = decode_block(&file.read(next).await?)?;
                    file.release(next);
                    *block = read;
                    source.at = 0;
                    source.batch = self.batches.len() as u32;
                    self.batches.push(batch);
                }
            }
        }
        Ok(true)
    }

    /// Keeps only the blocks that sources still read.
    fn forget_read_blocks(&mut self) {
        if self.batches.len() == self.memory_batches {
            return;
        }
        let mut kept = self.batches[..self.memory_batches].to_vec();
        for source in &mut self.sources {
            if matches!(&source.rows, Rows::File { block, .. } if !block.ends.is_empty()) {
                kept.push(self.batches[source.batch as usize].clone());
                source.batch = kept.len() as u32 - 1;
            }
        }
        self.batches = kept;
    }

    #[inline]
    fn compare(&self, left: (u64, u32), right: (u64, u32)) -> Ordering {
        left.0.cmp(&right.0).then_with(|| {
            let key = |number: u32| self.sources[number as usize].key();
            key(left.1).cmp(key(right.1)).then(left.1.cmp(&right.1))
        })
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut first = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.compare(self.heap[child], self.heap[first]).is_lt() {
                    first = child;
                }
            }
            if first == at {
                return;
            }
            self.heap.swap(at, first);
            at = first;
        }
    }
}

/// Writes a merge's next rows as a block of a run; `false` at the end.
///
/// # Errors
/// Those of the file.
pub async fn write_block(
    merge: &mut Merge,
    rows: usize,
    run: &mut Run,
    file: &mut SpillFile,
) -> Result<bool> {
    let (mut keys, mut ends) = (Vec::new(), Vec::new());
    let Some(batch) = merge.next(rows, Some((&mut keys, &mut ends)), file).await? else { return Ok(false) };
    file.scratch.extend_from_slice(&(ends.len() as u32).to_le_bytes());
    ends.iter().for_each(|end| file.scratch.extend_from_slice(&end.to_le_bytes()));
    file.scratch.extend_from_slice(&keys);
    block::encode(&batch, &mut file.scratch);
    run.blocks.push_back(file.append().await?);
    Ok(true)
}
