//! The blocks that the log is made of.
//!
//! A group of commits is one or more *parts*, each an image of its own cut into consecutive 4 KiB blocks, numbered by
//! LSN over all segments. A block is written once and never again in the same life of the log.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | `HLOG` |
//! | 4 | 2 | bit 0: first block of a part; bit 1: last; bit 2: another part of the group follows |
//! | 6 | 2 | bytes of payload |
//! | 8 | 8 | log identity: which life of the log |
//! | 16 | 8 | LSN of this block |
//! | 24 | 8 | durable LSN: all blocks before it were durable when this one was written |
//! | 32 | 8 | LSN of the group's first block |
//! | 40 | 8 | in the first block: checksum of the part's image (see `bufferpool::codec`), else 0 |
//! | 48 | 8 | reserved, zero |
//! | 56 | 8 | XXH3-64 of the header before this field and the payload |

use helios_runtime::IoBuf;
use helios_runtime::device::BLOCK_SIZE;
use xxhash_rust::xxh3::Xxh3;

pub(crate) const BLOCK_HEADER_BYTES: usize = 64;
pub(crate) const PAYLOAD_BYTES: usize = BLOCK_SIZE - BLOCK_HEADER_BYTES;
const MAGIC: [u8; 4] = *b"HLOG";
const FIRST: u16 = 1;
const LAST: u16 = 2;
const CONTINUES: u16 = 4;

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) first: bool,
    pub(crate) last: bool,
    pub(crate) continues: bool,
    pub(crate) payload_bytes: usize,
    pub(crate) identity: u64,
    pub(crate) lsn: u64,
    pub(crate) durable_lsn: u64,
    pub(crate) group_lsn: u64,
    pub(crate) image_checksum: u64,
}

fn checksum(block: &[u8], payload_bytes: usize) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&block[..56]);
    hasher.update(&block[BLOCK_HEADER_BYTES..BLOCK_HEADER_BYTES + payload_bytes]);
    hasher.digest()
}

impl BlockHeader {
    fn write(&self, block: &mut [u8]) {
        let flags = (u16::from(self.first) * FIRST)
            | (u16::from(self.last) * LAST)
            | (u16::from(self.continues) * CONTINUES);
        block[..4].copy_from_slice(&MAGIC);
        block[4..6].copy_from_slice(&flags.to_le_bytes());
        block[6..8].copy_from_slice(&(self.payload_bytes as u16).to_le_bytes());
        block[8..16].copy_from_slice(&self.identity.to_le_bytes());
        block[16..24].copy_from_slice(&self.lsn.to_le_bytes());
        block[24..32].copy_from_slice(&self.durable_lsn.to_le_bytes());
        block[32..40].copy_from_slice(&self.group_lsn.to_le_bytes());
        block[40..48].copy_from_slice(&self.image_checksum.to_le_bytes());
        block[48..56].fill(0);
        let sum = checksum(block, self.payload_bytes);
        block[56..64].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads a block's header; `None` when the bytes are no intact block.
    pub(crate) fn read(block: &[u8]) -> Option<BlockHeader> {
        let u16_at = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
        let u64_at = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
        let payload_bytes = usize::from(u16_at(6));
        if block[..4] != MAGIC
            || payload_bytes > PAYLOAD_BYTES
            || checksum(block, payload_bytes) != u64_at(56)
        {
            return None;
        }
        Some(BlockHeader {
            first: u16_at(4) & FIRST != 0,
            last: u16_at(4) & LAST != 0,
            continues: u16_at(4) & CONTINUES != 0,
            payload_bytes,
            identity: u64_at(8),
            lsn: u64_at(16),
            durable_lsn: u64_at(24),
            group_lsn: u64_at(32),
            image_checksum: u64_at(40),
        })
    }
}

/// How many blocks an image of `bytes` takes.
pub(crate) fn blocks_needed(bytes: usize) -> u64 {
    bytes.div_ceil(PAYLOAD_BYTES).max(1) as u64
}

/// Where a part of a group goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) identity: u64,
    /// Its first block.
    pub(crate) lsn: u64,
    /// The group's first block.
    pub(crate) group_lsn: u64,
    pub(crate) durable_lsn: u64,
    /// Whether another part of the group follows.
    pub(crate) continues: bool,
}

/// Cuts a part's image into blocks.
pub(crate) fn build(image: &[u8], image_checksum: u64, part: Part) -> IoBuf {
    let count = blocks_needed(image.len());
    let mut buffer = IoBuf::zeroed(count as usize * BLOCK_SIZE);
    for (index, block) in buffer.chunks_mut(BLOCK_SIZE).enumerate() {
        let start = index * PAYLOAD_BYTES;
        let payload = &image[start..image.len().min(start + PAYLOAD_BYTES)];
        block[BLOCK_HEADER_BYTES..BLOCK_HEADER_BYTES + payload.len()].copy_from_slice(payload);
        BlockHeader {
            first: index == 0,
            last: index as u64 + 1 == count,
            continues: part.continues,
            payload_bytes: payload.len(),
            identity: part.identity,
            lsn: part.lsn + index as u64,
            durable_lsn: part.durable_lsn,
            group_lsn: part.group_lsn,
            image_checksum: if index == 0 { image_checksum } else { 0 },
        }
        .write(block);
    }
    buffer
}
