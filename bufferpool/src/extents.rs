//! The space of the data file: which bytes of which blocks are in use.
//!
//! 1. Images are packed into blocks of 4 KiB: one of at most a block never straddles two; a larger one starts
//!    at a block and leaves the rest of its last block to small ones.
//! 2. A block is written once in its life. When nothing in it is in use it becomes free, and may be written
//!    anew — [`Extents::release`] is therefore called only when no durable superblock reaches the extent.
//! 3. Nothing of this is stored: at open the page map is walked and every extent it reaches is marked.

use helios_runtime::device::BLOCK_SIZE;

/// Some bytes of the data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub length_bytes: u32,
}

impl Extent {
    /// The blocks it lies in.
    pub fn blocks(self) -> std::ops::Range<u64> {
        let block = BLOCK_SIZE as u64;
        self.offset / block..(self.offset + u64::from(self.length_bytes)).div_ceil(block)
    }
}

/// In-use bytes per block of the data file.
pub struct Extents {
    used: Vec<u16>,
    first_block: u64,
    free_blocks: u64,
    hint: usize,
}

impl Extents {
    /// A file whose first `reserved_blocks` belong to the superblock.
    pub fn new(reserved_blocks: u64) -> Extents {
        Extents { used: Vec::new(), first_block: reserved_blocks, free_blocks: 0, hint: 0 }
    }

    /// Marks an extent as in use. At open.
    pub fn mark(&mut self, extent: Extent) {
        let end = (extent.blocks().end - self.first_block) as usize;
        if self.used.len() < end {
            self.free_blocks += (end - self.used.len()) as u64;
            self.used.resize(end, 0);
        }
        self.change(extent, true);
    }

    /// Says that an extent is no longer in use.
    pub fn release(&mut self, extent: Extent) {
        self.change(extent, false);
    }

    fn change(&mut self, extent: Extent, in_use: bool) {
        let block_bytes = BLOCK_SIZE as u64;
        let end = extent.offset + u64::from(extent.length_bytes);
        for block in extent.blocks() {
            let part = end.min((block + 1) * block_bytes) - extent.offset.max(block * block_bytes);
            let used = &mut self.used[(block - self.first_block) as usize];
            if in_use {
                self.free_blocks -= u64::from(*used == 0);
                *used = used.checked_add(part as u16).expect("no byte is in use twice");
            } else {
                *used = used.checked_sub(part as u16).expect("only what is in use is released");
                self.free_blocks += u64::from(*used == 0);
            }
        }
    }

    /// Finds room for `blocks` adjoining blocks, at the file's end if need be; the caller marks what it uses.
    /// Returns the first block's offset in bytes.
    pub fn allocate_run(&mut self, blocks: usize) -> u64 {
        let start = self.find_run(blocks).unwrap_or_else(|| {
            let free_tail = self.used.iter().rev().take_while(|used| **used == 0).count();
            let start = self.used.len() - free_tail;
            let end = start + blocks;
            if end > self.used.len() {
                self.free_blocks += (end - self.used.len()) as u64;
                self.used.resize(end, 0);
            }
            start
        });
        self.hint = start + blocks;
        (start as u64 + self.first_block) * BLOCK_SIZE as u64
    }

    fn find_run(&self, blocks: usize) -> Option<usize> {
        if self.free_blocks < blocks as u64 {
            return None;
        }
        let search = |range: std::ops::Range<usize>| {
            let mut length = 0;
            for index in range {
                length = if self.used[index] == 0 { length + 1 } else { 0 };
                if length == blocks {
                    return Some(index + 1 - blocks);
                }
            }
            None
        };
        let hint = self.hint.min(self.used.len());
        search(hint..self.used.len()).or_else(|| search(0..self.used.len()))
    }

    /// Blocks with nothing in use.
    pub fn free_blocks(&self) -> u64 {
        self.free_blocks
    }

    /// Where the last block in use ends, in bytes: the file need not be longer.
    pub fn end(&self) -> u64 {
        let free_tail = self.used.iter().rev().take_while(|used| **used == 0).count();
        (self.first_block + (self.used.len() - free_tail) as u64) * BLOCK_SIZE as u64
    }

    /// Bytes in use in all.
    pub fn used_bytes(&self) -> u64 {
        self.used.iter().map(|used| u64::from(*used)).sum()
    }
}

/// Places images one after the other in a run of blocks.
#[derive(Default)]
pub struct Packer {
    bytes: Vec<u8>,
    /// The offset in `bytes` of each image added.
    places: Vec<(usize, u32)>,
}

impl Packer {
    /// Adds an image; its place is known after [`Packer::place`].
    pub fn add(&mut self, image: &[u8]) {
        let in_block = self.bytes.len() % BLOCK_SIZE;
        let straddles = in_block != 0 && in_block + image.len() > BLOCK_SIZE;
        if straddles {
            self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_SIZE), 0);
        }
        self.places.push((self.bytes.len(), image.len() as u32));
        self.bytes.extend_from_slice(image);
    }

    /// Bytes so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Finds room for all of it and marks the extents; returns the run's offset, its bytes, and each image's
    /// extent in the order of adding.
    pub fn place(mut self, extents: &mut Extents) -> (u64, Vec<u8>, Vec<Extent>) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_SIZE), 0);
        let offset = extents.allocate_run(self.bytes.len() / BLOCK_SIZE);
        let placed: Vec<Extent> = self
            .places
            .iter()
            .map(|&(start, length_bytes)| Extent { offset: offset + start as u64, length_bytes })
            .collect();
        placed.iter().for_each(|extent| extents.mark(*extent));
        (offset, self.bytes, placed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Extents in use never overlap, none up to a block straddles, and what is released is used again: the
        /// file stays within a small factor of what lives in it at most.
        #[test]
        fn extents_never_overlap(sizes in proptest::collection::vec((1usize..9000, any::<bool>()), 1..200)) {
            let mut extents = Extents::new(4);
            let mut live: Vec<Extent> = Vec::new();
            for chunk in sizes.chunks(5) {
                let mut packer = Packer::default();
                chunk.iter().for_each(|(size, _)| packer.add(&vec![1; *size]));
                let (_, _, placed) = packer.place(&mut extents);
                for extent in &placed {
                    prop_assert!(extent.offset >= 4 * BLOCK_SIZE as u64);
                    let blocks = extent.blocks();
                    prop_assert!(extent.length_bytes as usize > BLOCK_SIZE || blocks.end - blocks.start == 1);
                    for other in &live {
                        let apart = extent.offset + u64::from(extent.length_bytes) <= other.offset
                            || other.offset + u64::from(other.length_bytes) <= extent.offset;
                        prop_assert!(apart);
                    }
                }
                live.extend(placed);
                for (_, release) in chunk {
                    if *release && !live.is_empty() {
                        extents.release(live.swap_remove(live.len() / 2));
                    }
                }
                let expected: u64 = live.iter().map(|extent| u64::from(extent.length_bytes)).sum();
                prop_assert_eq!(extents.used_bytes(), expected);
            }
            live.drain(..).for_each(|extent| extents.release(extent));
            prop_assert_eq!(extents.end(), 4 * BLOCK_SIZE as u64);
        }
    }
}
