//! Temporary files: where queries put rows that memory has no room for.
//!
//! 1. A file belongs to whoever made it and vanishes with it; what a crash left is removed at open, as the temporary
//!    pages of transactions are (`spill/pages.rs`).
//! 2. It takes *blocks* of any length, compressed with LZ4, and gives each back whole. A block that is released leaves
//!    room for later ones.
//! 3. In an encrypted folder blocks are encrypted under a key that is drawn for this file and is written nowhere.
//! 4. In memory mode the file is in memory; all of them together are then bounded
//!    ([`crate::StoreOptions::temporary_bytes_max`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_bufferpool::{BranchId, Codec, ImageKind, PageId, PageKey, Scn};
use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, File};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::store::Store;

/// The longest block that images take, with a margin.
const BLOCK_BYTES_MAX: usize = 60 << 20;

/// Where a block is in its file.
#[derive(Clone, Copy, Debug)]
pub struct TemporaryBlock {
    offset: u64,
    length_bytes: u32,
    checksum: u64,
}

impl TemporaryBlock {
    /// Device blocks that it takes.
    fn device_blocks(self) -> u64 {
        u64::from(self.length_bytes).div_ceil(BLOCK_SIZE as u64)
    }

    /// Bytes of the file that it takes.
    #[must_use]
    pub fn file_bytes(self) -> u64 {
        self.device_blocks() * BLOCK_SIZE as u64
    }
}

/// A file of blocks, removed when dropped.
pub struct TemporaryFile {
    engine: Arc<Engine>,
    name: String,
    file: Arc<dyn File>,
    codec: Codec,
    /// Device blocks so far.
    end: u64,
    /// Where there is room within, by length in device blocks.
    free: BTreeMap<u64, Vec<u64>>,
}

impl Store {
    /// Makes a temporary file.
    ///
    /// # Errors
    /// Those of the device.
    pub fn temporary_file(&self) -> Result<TemporaryFile> {
        let engine = self.engine().clone();
        let (name, file, codec) = engine.temporary.open_file()?;
        Ok(TemporaryFile { engine, name, file, codec, end: 0, free: BTreeMap::new() })
    }
}

impl TemporaryFile {
    /// Writes a block.
    ///
    /// # Errors
    /// Those of the device; [`Error::OutOfMemory`] where the file is in memory and that is full.
    pub async fn append(&mut self, raw: &[u8]) -> Result<TemporaryBlock> {
        if raw.len() > BLOCK_BYTES_MAX {
            return Err(Error::TooLarge("a row is too large for a temporary file".into()));
        }
        let key = PageKey::new(BranchId(0), PageId(0));
        let encoded = self.codec.encode(ImageKind::Temporary, key, Scn(0), raw, 0);
        let length_bytes = encoded.bytes.len() as u32;
        let mut block = TemporaryBlock { offset: 0, length_bytes, checksum: encoded.checksum };
        block.offset = self.reserve(block.device_blocks())?;
        let mut buffer = IoBuf::zeroed(block.file_bytes() as usize);
        buffer[..encoded.bytes.len()].copy_from_slice(&encoded.bytes);
        match self.file.write_at(buffer, block.offset * BLOCK_SIZE as u64).await {
            Ok(_) => Ok(block),
            Err(error) => {
                self.release(block);
                Err(error.into())
            }
        }
    }

    /// Reads a block.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn read(&self, block: TemporaryBlock) -> Result<Vec<u8>> {
        let buffer = IoBuf::zeroed(block.file_bytes() as usize);
        let buffer = self.file.read_at(buffer, block.offset * BLOCK_SIZE as u64).await?;
        let image = &buffer[..block.length_bytes as usize];
        Ok(self.codec.decode(image, block.checksum)?.1)
    }

    /// Gives up a block: its room may be used again.
    pub fn release(&mut self, block: TemporaryBlock) {
        self.free.entry(block.device_blocks()).or_default().push(block.offset);
    }

    /// The file's length, bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.end * BLOCK_SIZE as u64
    }

    /// Finds room for a block: the shortest that is free, else at the end.
    fn reserve(&mut self, blocks: u64) -> Result<u64> {
        if let Some((&length, offsets)) = self.free.range_mut(blocks..).next()
            && let Some(offset) = offsets.pop()
        {
            if offsets.is_empty() {
                self.free.remove(&length);
            }
            if length > blocks {
                self.free.entry(length - blocks).or_default().push(offset + blocks);
            }
            return Ok(offset);
        }
        let bytes = blocks * BLOCK_SIZE as u64;
        let used = self.engine.counters.temporary_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if !self.engine.is_durable && used > self.engine.options.temporary_bytes_max {
            self.engine.counters.temporary_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::OutOfMemory("out of memory".into()));
        }
        let offset = self.end;
        self.end += blocks;
        Ok(offset)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        self.engine.counters.temporary_bytes.fetch_sub(self.size_bytes(), Ordering::Relaxed);
        // What is left behind is removed at the next open.
        let _ = self.engine.device.remove(&self.name);
    }
}
