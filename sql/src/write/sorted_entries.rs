//! The entries of a tree that is built: gathered in any order, sorted, and written in key order, as the storage engine
//! likes them best.
//!
//! What memory has no room for goes to a temporary file in *runs*, each sorted; at the end they are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::vec::IntoIter;

use helios_mvcc::{Store, TemporaryBlock, TemporaryFile, Transaction, TreeId};

use crate::error::{Result, SqlError};

/// Bytes of a block of a run; a longer entry has one for itself.
const BLOCK_BYTES: usize = 256 << 10;
/// What comes before an entry in a block: the lengths of key and value, and whether it is exact.
const HEADER_BYTES: usize = 9;

/// Keys with their values, one after the other in one piece of memory, and what went to the file.
pub(super) struct SortedEntries {
    store: Store,
    /// How many bytes are held before they become a run.
    held_bytes_max: usize,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    file: Option<TemporaryFile>,
    runs: Vec<Vec<TemporaryBlock>>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The first bytes of the key as a number that sorts as they do: mostly it decides.
    head: u64,
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
    /// No other may have this key.
    exact: bool,
}

impl Entry {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.start + self.key_bytes as usize]
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start + self.key_bytes as usize..][..self.value_bytes as usize]
    }
}

/// Keys of one index begin alike: a byte that says whether there is a value comes before the value.
fn head_of(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let length = key.len().min(8);
    head[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(head)
}

impl SortedEntries {
    /// None yet; up to about `held_bytes_max` are held in memory.
    pub(super) fn new(store: Store, held_bytes_max: usize) -> SortedEntries {
        let (bytes, entries, runs) = (Vec::new(), Vec::new(), Vec::new());
        SortedEntries { store, held_bytes_max, bytes, entries, file: None, runs }
    }

    /// Adds an entry; no other may have the key of one that is `exact`.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8], exact: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let (key_bytes, value_bytes) = (key.len() as u32, value.len() as u32);
        self.entries.push(Entry { head: head_of(key), start, key_bytes, value_bytes, exact });
    }

    /// Writes what is held to the file, if it has become too much: to be called now and then while entries are added.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) async fn make_room(&mut self) -> Result<()> {
        if self.bytes.len() + self.entries.len() * size_of::<Entry>() < self.held_bytes_max {
            return Ok(());
        }
        self.sort();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.store.temporary_file()?),
        };
        let (mut run, mut block) = (Vec::new(), Vec::new());
        for entry in self.entries.drain(..) {
            let (key, value) = (entry.key(&self.bytes), entry.value(&self.bytes));
            if !block.is_empty() && block.len() + HEADER_BYTES + key.len() + value.len() > BLOCK_BYTES {
                run.push(file.append(&block).await?);
                block.clear();
            }
            block.extend(entry.key_bytes.to_le_bytes());
            block.extend(entry.value_bytes.to_le_bytes());
            block.push(u8::from(entry.exact));
            block.extend(key);
            block.extend(value);
        }
        run.push(file.append(&block).await?);
        self.runs.push(run);
        self.bytes.clear();
        Ok(())
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|left, right| {
            // Only keys that come twice have to be told apart by more.
            let by_key = left.head.cmp(&right.head).then_with(|| left.key(bytes).cmp(right.key(bytes)));
            by_key.then_with(|| left.value(bytes).cmp(right.value(bytes)))
        });
    }

    /// Writes them into a new tree. Where others have a key that only one may have, `double` gets the value of that one, which
    /// is written, and of each of the others, which are not; where it breaks, the tree is of no use.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) async fn write(
        mut self,
        transaction: &mut Transaction,
        tree: TreeId,
        mut double: impl FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send,
    ) -> Result<()> {
        self.sort();
        let Some(file) = self.file.take() else {
            return self.write_held(transaction, tree, double).await;
        };
        let mut merge = Merge { file, runs: Vec::new(), heads: BinaryHeap::new() };
        for run in std::mem::take(&mut self.runs) {
            merge.add(run).await?;
        }
        // What is still held is the last run.
        let mut held = self.entries.iter().peekable();
        let (mut last, mut last_value): (Vec<u8>, Vec<u8>) = Default::default();
        let (mut is_first, mut last_is_exact) = (true, false);
        loop {
            let from_file = match (merge.heads.peek(), held.peek()) {
                (None, None) => return Ok(()),
                (Some(Reverse((key, _))), Some(entry)) => key.as_slice() <= entry.key(&self.bytes),
                (Some(_), None) => true,
                (None, Some(_)) => false,
            };
            let taken = if from_file { merge.next().await? } else { None };
            let held_entry = if from_file { None } else { held.next() };
            let (key, value, exact) = match (&taken, held_entry) {
                (Some(taken), _) => (taken.key.as_slice(), taken.value.as_slice(), taken.exact),
                (None, Some(entry)) => (entry.key(&self.bytes), entry.value(&self.bytes), entry.exact),
                (None, None) => return Err(SqlError::internal("a run ended before its end")),
            };
            if !is_first && (exact || last_is_exact) && key == last.as_slice() {
                if double(&last_value, value).is_break() {
                    return Ok(());
                }
                continue;
            }
            transaction.put(tree, key, value)?;
            last.clear();
            last.extend_from_slice(key);
            last_value.clear();
            if exact {
                last_value.extend_from_slice(value);
            }
            (is_first, last_is_exact) = (false, exact);
            transaction.make_room().await?;
        }
    }

    /// The same where nothing went to the file.
    async fn write_held(
        &self,
        transaction: &mut Transaction,
        tree: TreeId,
        mut double: impl FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send,
    ) -> Result<()> {
        let bytes = &self.bytes;
        let is_double = |one: &Entry, other: &Entry| {
            one.exact && one.head == other.head && one.key(bytes) == other.key(bytes)
        };
        // All of them before anything is written, which would be for nothing.
        for same in self.entries.chunk_by(is_double).filter(|same| same.len() > 1) {
            for other in &same[1..] {
                if double(same[0].value(bytes), other.value(bytes)).is_break() {
                    return Ok(());
                }
            }
        }
        let mut last: Option<&Entry> = None;
        for entry in &self.entries {
            if last.is_some_and(|last| is_double(last, entry)) {
                continue;
            }
            transaction.put(tree, entry.key(bytes), entry.value(bytes))?;
            transaction.make_room().await?;
            last = Some(entry);
        }
        Ok(())
    }
}

/// An entry as a run has it.
struct Stored {
    key: Vec<u8>,
    value: Vec<u8>,
    exact: bool,
}

/// The rest of a run.
struct Run {
    blocks: IntoIter<TemporaryBlock>,
    block: Vec<u8>,
    at: usize,
    /// Value and exactness of the entry whose key is among the heads.
    head: (Vec<u8>, bool),
}

/// Gives the entries of all runs in key order.
struct Merge {
    file: TemporaryFile,
    runs: Vec<Run>,
    /// The first key of each run that has one.
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
}

impl Merge {
    async fn add(&mut self, blocks: Vec<TemporaryBlock>) -> Result<()> {
        self.runs.push(Run {
            blocks: blocks.into_iter(),
            block: Vec::new(),
            at: 0,
            head: Default::default(),
        });
        self.advance(self.runs.len() - 1).await
    }

    /// Takes a run's next entry to the heads.
    async fn advance(&mut self, number: usize) -> Result<()> {
        let run = &mut self.runs[number];
        if run.at == run.block.len() {
            let Some(block) = run.blocks.next() else { return Ok(()) };
            run.block = self.file.read(block).await?;
            run.at = 0;
            self.file.release(block);
        }
        let mut take = |count: usize| {
            let taken = run.block.get(run.at..run.at + count);
            run.at += count;
            taken.map(<[u8]>::to_vec).ok_or_else(|| SqlError::corrupted("a sorted run is malformed"))
        };
        let header = take(HEADER_BYTES)?;
        let length =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (key, value) = (take(length(0) as usize)?, take(length(4) as usize)?);
        run.head = (value, header[8] != 0);
        self.heads.push(Reverse((key, number)));
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Stored>> {
        let Some(Reverse((key, number))) = self.heads.pop() else { return Ok(None) };
        let (value, exact) = std::mem::take(&mut self.runs[number].head);
        self.advance(number).await?;
        Ok(Some(Stored { key, value, exact }))
    }
}
