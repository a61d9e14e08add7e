//! The superblock: from where everything else in a folder is found.
//!
//! Each generation is written to two blocks of the data file: generation *g* to blocks `2·(g mod 2)` and
//! `2·(g mod 2) + 1`, so the generation before stays whole until the new one is durable. The newest copy whose
//! checksum is right wins.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | `HeliosDB Nano 1` and a zero byte |
//! | 16 | 4 | format version |
//! | 20 | 4 | page size, bytes |
//! | 24 | 8 | compatible features: unknown ones may be ignored |
//! | 32 | 8 | read-only-compatible features: with unknown ones, open for reading only |
//! | 40 | 8 | incompatible features: with unknown ones, do not open |
//! | 48 | 16 | identity of the folder, random |
//! | 64 | 8 | generation |
//! | 72 | 8 | SCN of the checkpoint |
//! | 80 | 8 | time of that commit, µs since 1970 |
//! | 88 | 8 | next page id |
//! | 96 | 8 | next transaction id |
//! | 104 | 8 | first log block to replay (its LSN) |
//! | 112 | 8 | log identity: changes at each open, so that blocks of an earlier life are not taken for ours |
//! | 120 | 8 | page map root: offset |
//! | 128 | 4 | page map root: bytes |
//! | 132 | 4 | page map: levels, 0 for an empty map |
//! | 136 | 8 | page map root: checksum |
//! | 144 | 8 | 1 when closed cleanly |
//! | 152 | 16 | salt of the key fingerprint |
//! | 168 | 16 | key fingerprint, zero when not encrypted |
//! | 184 | 8 | next branch id |
//! | 192 | 8 | next tree id |
//! | 200 | 8 | bytes per log segment |
//! | 208 | 3880 | reserved, zero |
//! | 4088 | 8 | XXH3-64 of all before |

use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, File};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::extents::Extent;
use crate::ids::Scn;

const MAGIC: &[u8; 16] = b"HeliosDB Nano 1\0";
/// The format this program writes.
pub const FORMAT_VERSION: u32 = 1;
const COPIES: u64 = 2;
/// Blocks at the start of the data file that belong to superblocks.
pub const SUPERBLOCK_BLOCKS: u64 = 2 * COPIES;
const CHECKSUM_OFFSET: usize = BLOCK_SIZE - 8;

/// Where the page map begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapRoot {
    /// The root node.
    pub extent: Extent,
    /// Its checksum.
    pub checksum: u64,
    /// Levels of the map; 0 when it is empty.
    pub levels: u32,
}

/// The content of a superblock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superblock {
    /// Bytes per page.
    pub page_size: u32,
    /// Features by how much they matter: compatible, read-only-compatible, incompatible.
    pub features: [u64; 3],
    /// Who this folder is.
    pub identity: [u8; 16],
    /// Counts superblocks written.
    pub generation: u64,
    /// The checkpoint holds all commits up to here.
    pub scn: Scn,
    /// When that commit was, µs since 1970.
    pub time_micros: u64,
    /// Page ids from here on are unused.
    pub next_page: u64,
    /// Transaction ids from here on are unused.
    pub next_xid: u64,
    /// Where replay begins.
    pub log_lsn: u64,
    /// Which life of the log.
    pub log_identity: u64,
    /// The page map.
    pub map: MapRoot,
    /// Whether nothing needs replay.
    pub clean: bool,
    /// Salt of `key_fingerprint`.
    pub key_salt: [u8; 16],
    /// By which the master key is known; zero when not encrypted.
    pub key_fingerprint: [u8; 16],
    /// Branch ids from here on are unused.
    pub next_branch: u64,
    /// Tree ids (odd page ids) from here on are unused.
    pub next_tree: u64,
    /// Bytes per log segment.
    pub log_segment_bytes: u64,
}

/// An incompatible feature: history was cut. A program that does not know it would read what is gone as if it were there.
pub const HISTORY_CUT: u64 = 1;
/// An incompatible feature: records of history are packed, and tell of values by their difference from newer ones.
pub const HISTORY_PACKED: u64 = 2;
/// Incompatible: the log may have commits that came in pieces, with other commits between them.
pub const COMMITS_IN_PIECES: u64 = 4;
/// What this program knows of features.
const FEATURES_KNOWN: [u64; 3] = [0, 0, HISTORY_CUT | HISTORY_PACKED | COMMITS_IN_PIECES];

impl Superblock {
    fn encode(&self) -> IoBuf {
        let mut block = IoBuf::zeroed(BLOCK_SIZE);
        let mut at = 0;
        let mut push = |bytes: &[u8]| {
            block[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        push(MAGIC);
        push(&FORMAT_VERSION.to_le_bytes());
        push(&self.page_size.to_le_bytes());
        self.features.iter().for_each(|bits| push(&bits.to_le_bytes()));
        push(&self.identity);
        for number in [
            self.generation,
            self.scn.0,
            self.time_micros,
            self.next_page,
            self.next_xid,
            self.log_lsn,
            self.log_identity,
            self.map.extent.offset,
        ] {
            push(&number.to_le_bytes());
        }
        push(&self.map.extent.length_bytes.to_le_bytes());
        push(&self.map.levels.to_le_bytes());
        push(&self.map.checksum.to_le_bytes());
        push(&u64::from(self.clean).to_le_bytes());
        push(&self.key_salt);
        push(&self.key_fingerprint);
        push(&self.next_branch.to_le_bytes());
        push(&self.next_tree.to_le_bytes());
        push(&self.log_segment_bytes.to_le_bytes());
        let checksum = xxh3_64(&block[..CHECKSUM_OFFSET]);
        block[CHECKSUM_OFFSET..].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    fn decode(block: &[u8]) -> Result<Superblock> {
        if block[..16] != *MAGIC {
            return Err(Error::Open(
                "its file `data` is not a data file of HeliosDB Nano: name another folder, or move the file away"
                    .into(),
            ));
        }
        let u32_at = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
        let sixteen = |at: usize| -> [u8; 16] { block[at..at + 16].try_into().expect("sixteen bytes") };
        if xxh3_64(&block[..CHECKSUM_OFFSET]) != u64_at(CHECKSUM_OFFSET) {
            return Err(Error::Corruption(
                "all superblocks of the data file are damaged: restore the folder from a backup".into(),
            ));
        }
        if u32_at(16) != FORMAT_VERSION {
            return Err(Error::Open(format!(
                "the folder has format version {}, this program reads version {FORMAT_VERSION}: use a newer program",
                u32_at(16)
            )));
        }
        let features: [u64; 3] = [u64_at(24), u64_at(32), u64_at(40)];
        for (class, what) in [(2, "cannot be read"), (1, "can only be read, which this program does not do,")]
        {
            let unknown = features[class] & !FEATURES_KNOWN[class];
            if unknown != 0 {
                return Err(Error::Open(format!(
                    "the folder uses features that this program does not know (bits {unknown:#x}) and {what} \
                     without them: use a newer program"
                )));
            }
        }
        Ok(Superblock {
            page_size: u32_at(20),
            features,
            identity: sixteen(48),
            generation: u64_at(64),
            scn: Scn(u64_at(72)),
            time_micros: u64_at(80),
            next_page: u64_at(88),
            next_xid: u64_at(96),
            log_lsn: u64_at(104),
            log_identity: u64_at(112),
            map: MapRoot {
                extent: Extent { offset: u64_at(120), length_bytes: u32_at(128) },
                levels: u32_at(132),
                checksum: u64_at(136),
            },
            clean: u64_at(144) != 0,
            key_salt: sixteen(152),
            key_fingerprint: sixteen(168),
            next_branch: u64_at(184),
            next_tree: u64_at(192),
            log_segment_bytes: u64_at(200),
        })
    }

    /// Writes both copies of this generation and makes them durable.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn write(&self, file: &dyn File) -> Result<()> {
        let first = (self.generation % 2) * COPIES;
        let writes =
            (first..first + COPIES).map(|block| (block * BLOCK_SIZE as u64, self.encode())).collect();
        file.write_batch(writes).await?;
        file.sync().await?;
        Ok(())
    }

    /// Reads the newest valid copy.
    ///
    /// # Errors
    /// [`Error::Open`] for a file that is none of ours, or of a newer program; [`Error::Corruption`] when every
    /// copy is damaged.
    pub async fn read(file: &dyn File) -> Result<Superblock> {
        let bytes = SUPERBLOCK_BLOCKS as usize * BLOCK_SIZE;
        if file.size()? < bytes as u64 {
            return Err(Error::Corruption(format!(
                "the data file has {} bytes, too few to hold a superblock: restore the folder from a backup, or \
                 name another folder if this file is something else's",
                file.size()?
            )));
        }
        let blocks = file.read_at(IoBuf::zeroed(bytes), 0).await?;
        let mut newest: Option<Superblock> = None;
        let mut problem = None;
        for block in blocks.chunks(BLOCK_SIZE) {
            match Superblock::decode(block) {
                Ok(found) if newest.as_ref().is_none_or(|newest| newest.generation < found.generation) => {
                    newest = Some(found);
                }
                Ok(_) => {}
                // A newer program's folder is not a damaged one: prefer the error that says so.
                Err(error @ Error::Open(_)) if block[..16] == *MAGIC => return Err(error),
                // One damaged copy tells that the file is ours, whatever became of the others.
                Err(error) if problem.is_none() || matches!(error, Error::Corruption(_)) => {
                    problem = Some(error);
                }
                Err(_) => {}
            }
        }
        newest.ok_or_else(|| problem.unwrap_or_else(|| Error::Corruption("there is no superblock".into())))
    }
}
