//! The space of the data file: which bytes of which blocks are in use.
//!
//! 1. Images are packed into blocks of 4 KiB: one of at most a block never straddles two; a larger one starts
//!    at a block and leaves the rest of its last block to small ones.
//! 2. A writer reserves a run of free blocks, marks the images that it puts there, and gives the rest of the run
//!    back ([`Extents::reserve_run`], [`Extents::end_run`]).
//! 3. A block is written once in its life. When nothing in it is in use it becomes free, and may be written
//!    anew — [`Extents::release`] is therefore called only when no durable superblock reaches the extent.
//! 4. A run is long where that is to be had, since long writes are fast; where more than an eighth of the file is
//!    free in pieces, the pieces are used before the file grows.
//! 5. Nothing of this is stored: at open the page map is walked and every extent it reaches is marked.
//!
//! Two bytes per block: its bytes in use, and two flags.

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
        self.offset / block..self.end().div_ceil(block)
    }

    fn end(self) -> u64 {
        self.offset.saturating_add(u64::from(self.length_bytes))
    }

    /// Whether it is larger than a block, and so has blocks of its own but for the last.
    fn is_large(self) -> bool {
        self.length_bytes as usize > BLOCK_SIZE
    }
}

/// An image that is larger than a block ends here: moving the small ones away would not free the block.
const HOLDS_END: u16 = 1 << 15;
/// A writer is about to fill the block.
const RESERVED: u16 = 1 << 14;
const USED: u16 = RESERVED - 1;
/// Blocks whose free ones are counted together, so that searches skip full parts of the file.
const GROUP: usize = 1024;
/// A run of this many blocks is long enough to be written as fast as any.
const RUN_GOOD: usize = 16;

/// In-use bytes per block of the data file.
pub struct Extents {
    blocks: Vec<u16>,
    /// Free blocks in each [`GROUP`].
    groups: Vec<u16>,
    first_block: u64,
    free_blocks: u64,
    sparse_blocks: u64,
    used_bytes: u64,
    hint: usize,
    /// There is no run of this length, since the last release.
    hopeless_from: usize,
}

/// A reserved run of blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Where it begins in the file, bytes.
    pub(crate) offset: u64,
    /// How many blocks.
    pub(crate) blocks: usize,
}

impl Extents {
    /// A file whose first `reserved_blocks` belong to the superblock.
    pub fn new(reserved_blocks: u64) -> Extents {
        Extents {
            blocks: Vec::new(),
            groups: Vec::new(),
            first_block: reserved_blocks,
            free_blocks: 0,
            sparse_blocks: 0,
            used_bytes: 0,
            hint: 0,
            hopeless_from: usize::MAX,
        }
    }

    /// Marks an extent found at open as in use; `false` when it cannot be one: it is empty, or lies in the
    /// superblocks, beyond `file_bytes`, or where another one is.
    pub fn mark_found(&mut self, extent: Extent, file_bytes: u64) -> bool {
        let possible = extent.length_bytes > 0
            && extent.end() <= file_bytes
            && extent.blocks().start >= self.first_block
            && (extent.is_large() || extent.blocks().end - extent.blocks().start == 1);
        if !possible {
            return false;
        }
        self.grow((extent.blocks().end - self.first_block) as usize);
        let has_room = parts(extent, self.first_block).all(|(index, part)| {
            let value = self.blocks[index];
            usize::from(value & USED) + usize::from(part) <= BLOCK_SIZE
        });
        if has_room {
            self.mark(extent);
        }
        has_room
    }

    /// Marks an extent in a reserved run as in use.
    pub(crate) fn mark(&mut self, extent: Extent) {
        let last = (extent.blocks().end - 1 - self.first_block) as usize;
        for (index, part) in parts(extent, self.first_block) {
            let value = self.blocks[index];
            assert!(usize::from((value & USED) + part) <= BLOCK_SIZE, "no byte is in use twice");
            let flag = if extent.is_large() && index == last { HOLDS_END } else { 0 };
            self.set(index, (value + part) | flag);
        }
    }

    /// Says that an extent is no longer in use.
    pub fn release(&mut self, extent: Extent) {
        let last = (extent.blocks().end - 1 - self.first_block) as usize;
        for (index, part) in parts(extent, self.first_block) {
            let value = self.blocks[index];
            assert!(value & USED >= part, "only what is in use is released");
            let flag = if extent.is_large() && index == last { HOLDS_END } else { 0 };
            self.set(index, (value - part) & !flag);
        }
        self.hopeless_from = usize::MAX;
    }

    fn set(&mut self, index: usize, value: u16) {
        let old = std::mem::replace(&mut self.blocks[index], value);
        self.used_bytes = self.used_bytes + u64::from(value & USED) - u64::from(old & USED);
        self.sparse_blocks = self.sparse_blocks + u64::from(is_sparse(value)) - u64::from(is_sparse(old));
        self.free_blocks = self.free_blocks + u64::from(value == 0) - u64::from(old == 0);
        let group = &mut self.groups[index / GROUP];
        *group = *group + u16::from(value == 0) - u16::from(old == 0);
    }

    fn grow(&mut self, blocks: usize) {
        let before = self.blocks.len();
        if blocks <= before {
            return;
        }
        self.blocks.resize(blocks, 0);
        self.free_blocks += (blocks - before) as u64;
        self.groups.resize(blocks.div_ceil(GROUP), 0);
        for index in before..blocks {
            self.groups[index / GROUP] += 1;
        }
    }

    /// Reserves free blocks that adjoin: `wanted` if that is to be had, at least `least`.
    pub(crate) fn reserve_run(&mut self, wanted: usize, least: usize) -> Run {
        let wanted = wanted.max(least);
        let in_pieces = self.free_blocks * 8 > self.blocks.len() as u64;
        let found = self
            .find_run(least.max(wanted.min(RUN_GOOD)), wanted)
            .or_else(|| if in_pieces { self.find_run(least, wanted) } else { None });
        let (start, count) = found.unwrap_or_else(|| {
            let start = self.blocks.len() - self.free_tail();
            self.grow(start + wanted);
            (start, wanted)
        });
        for index in start..start + count {
            self.set(index, RESERVED);
        }
        self.hint = start + count;
        Run { offset: (start as u64 + self.first_block) * BLOCK_SIZE as u64, blocks: count }
    }

    /// Ends a reservation: what was not marked is free again.
    pub(crate) fn end_run(&mut self, run: Run) {
        let start = (run.offset / BLOCK_SIZE as u64 - self.first_block) as usize;
        for index in start..start + run.blocks {
            self.set(index, self.blocks[index] & !RESERVED);
        }
        self.hopeless_from = usize::MAX;
    }

    /// The first run of at least `least` free blocks, cut to `wanted`.
    fn find_run(&mut self, least: usize, wanted: usize) -> Option<(usize, usize)> {
        if least >= self.hopeless_from || self.free_blocks < least as u64 {
            return None;
        }
        let hint = self.hint.min(self.blocks.len());
        let found = self.search(hint, self.blocks.len(), least, wanted);
        let found = found.or_else(|| self.search(0, self.blocks.len(), least, wanted));
        if found.is_none() {
            self.hopeless_from = least;
        }
        found
    }

    fn search(&self, from: usize, to: usize, least: usize, wanted: usize) -> Option<(usize, usize)> {
        let mut length = 0;
        let mut index = from;
        while index < to {
            if self.groups[index / GROUP] == 0 {
                if length >= least {
                    return Some((index - length, length));
                }
                length = 0;
                index = (index / GROUP + 1) * GROUP;
                continue;
            }
            if self.blocks[index] == 0 {
                length += 1;
                if length == wanted {
                    return Some((index + 1 - length, length));
                }
            } else {
                if length >= least {
                    return Some((index - length, length));
                }
                length = 0;
            }
            index += 1;
        }
        (length >= least).then(|| (to - length, length))
    }

    fn free_tail(&self) -> usize {
        self.blocks.iter().rev().take_while(|value| **value == 0).count()
    }

    /// Searches for free space begin at the front again, so that the file's end becomes free.
    pub(crate) fn search_from_the_front(&mut self) {
        self.hint = 0;
    }

    /// Blocks with nothing in use.
    pub fn free_blocks(&self) -> u64 {
        self.free_blocks
    }

    /// Blocks in which less than half is in use, and which moving that elsewhere would free.
    pub(crate) fn sparse_blocks(&self) -> u64 {
        self.sparse_blocks
    }

    /// Blocks in all, free ones included, but for the superblocks.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Where the block behind the first `blocks` begins.
    pub(crate) fn offset_of(&self, blocks: u64) -> u64 {
        (self.first_block + blocks) * BLOCK_SIZE as u64
    }

    /// Whether moving this extent elsewhere helps to free its block.
    pub(crate) fn is_sparse(&self, extent: Extent) -> bool {
        !extent.is_large()
            && extent.offset >= self.first_block * BLOCK_SIZE as u64
            && self
                .blocks
                .get((extent.blocks().start - self.first_block) as usize)
                .is_some_and(|v| is_sparse(*v))
    }

    /// Where the last block in use ends, in bytes: the file need not be longer.
    pub fn end(&self) -> u64 {
        (self.first_block + (self.blocks.len() - self.free_tail()) as u64) * BLOCK_SIZE as u64
    }

    /// Forgets the free blocks at the file's end, which the caller cuts off.
    pub(crate) fn forget_tail(&mut self) {
        let tail = self.free_tail();
        let blocks = self.blocks.len() - tail;
        for index in blocks..self.blocks.len() {
            self.groups[index / GROUP] -= 1;
        }
        self.blocks.truncate(blocks);
        self.groups.truncate(blocks.div_ceil(GROUP));
        self.free_blocks -= tail as u64;
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }
}

fn is_sparse(value: u16) -> bool {
    value > 0 && usize::from(value) < BLOCK_SIZE / 2
}

/// The blocks of an extent, by index, with the bytes in each.
fn parts(extent: Extent, first_block: u64) -> impl Iterator<Item = (usize, u16)> {
    let block_bytes = BLOCK_SIZE as u64;
    extent.blocks().map(move |block| {
        let part = extent.end().min((block + 1) * block_bytes) - extent.offset.max(block * block_bytes);
        ((block - first_block) as usize, part as u16)
    })
}
