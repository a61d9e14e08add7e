//! The contents of one simulated file, and what a power cut makes of unsynced changes to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::BLOCK_SIZE;
use crate::entropy::next_splitmix64;

/// What a disk writes as one piece: a write may be torn between sectors, never inside one.
pub(super) const SECTOR_SIZE: usize = 512;

const BLOCK: u64 = BLOCK_SIZE as u64;

/// A repeatable source of decisions.
#[derive(Clone)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        next_splitmix64(&mut self.state) % bound
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Sparse bytes and a length. Clones share blocks until written.
///
/// Invariant: bytes beyond `size_bytes` in a present block are zero.
#[derive(Clone, Default)]
pub(super) struct Image {
    size_bytes: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK_SIZE]>>,
}

/// A change that no sync has made durable yet.
#[derive(Clone)]
pub(super) enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetSize(u64),
    PunchHole { offset: u64, length_bytes: u64 },
}

impl Image {
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Fills `buf` from an aligned offset; false when the image ends first.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> bool {
        if offset + buf.len() as u64 > self.size_bytes {
            return false;
        }
        for (target, index) in buf.chunks_exact_mut(BLOCK_SIZE).zip(offset / BLOCK..) {
            match self.blocks.get(&index) {
                Some(block) => target.copy_from_slice(&block[..]),
                None => target.fill(0),
            }
        }
        true
    }

    pub(super) fn flip_bit(&mut self, byte_offset: u64, bit: u8) {
        let block = self.blocks.entry(byte_offset / BLOCK).or_insert_with(|| Arc::new([0; BLOCK_SIZE]));
        Arc::make_mut(block)[(byte_offset % BLOCK) as usize] ^= 1 << (bit % 8);
    }

    pub(super) fn apply(&mut self, change: &Change) {
        self.apply_sectors(change, |_| true);
    }

    /// Applies a change; of a write only the sectors that `keep` chooses, in ascending order.
    pub(super) fn apply_sectors(&mut self, change: &Change, mut keep: impl FnMut(usize) -> bool) {
        match change {
            Change::Write { offset, bytes } => {
                for (index, sector) in bytes.chunks_exact(SECTOR_SIZE).enumerate() {
                    if keep(index) {
                        self.write_sector(sector, offset + (index * SECTOR_SIZE) as u64);
                    }
                }
            }
            Change::SetSize(bytes) => self.set_size(*bytes),
            Change::PunchHole { offset, length_bytes } => {
                let blocks = offset / BLOCK..(offset + length_bytes) / BLOCK;
                self.remove_blocks(blocks);
            }
        }
    }

    fn write_sector(&mut self, sector: &[u8], offset: u64) {
        let block = self.blocks.entry(offset / BLOCK).or_insert_with(|| Arc::new([0; BLOCK_SIZE]));
        let start = (offset % BLOCK) as usize;
        Arc::make_mut(block)[start..start + SECTOR_SIZE].copy_from_slice(sector);
        self.size_bytes = self.size_bytes.max(offset + SECTOR_SIZE as u64);
    }

    fn set_size(&mut self, bytes: u64) {
        self.size_bytes = bytes;
        self.remove_blocks(bytes.div_ceil(BLOCK)..u64::MAX);
        if let Some(block) = self.blocks.get_mut(&(bytes / BLOCK)) {
            Arc::make_mut(block)[(bytes % BLOCK) as usize..].fill(0);
        }
    }

    fn remove_blocks(&mut self, range: std::ops::Range<u64>) {
        let doomed: Vec<u64> = self.blocks.range(range).map(|(index, _)| *index).collect();
        for index in doomed {
            self.blocks.remove(&index);
        }
    }

    /// Applies to durable contents what happens to survive of unsynced changes.
    pub(super) fn settle(&mut self, changes: &[Change], dice: &mut Dice) {
        let mut changes: Vec<&Change> = changes.iter().collect();
        match dice.below(8) {
            0 => return,
            1 => return changes.into_iter().for_each(|change| self.apply(change)),
            _ => {}
        }
        if dice.coin() {
            dice.shuffle(&mut changes);
        }
        for change in changes {
            match dice.below(3) {
                0 => self.apply(change),
                1 => self.lose(change, dice),
                _ => self.apply_sectors(change, |_| dice.coin()),
            }
        }
    }

    /// The data is lost, but the length that a write gave the file may have been kept.
    fn lose(&mut self, change: &Change, dice: &mut Dice) {
        if let Change::Write { offset, bytes } = change
            && dice.coin()
        {
            self.size_bytes = self.size_bytes.max(offset + bytes.len() as u64);
        }
    }
}
