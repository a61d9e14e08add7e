//! The write-ahead log: groups of commits in blocks that are written once.
//!
//! 1. [`Log::reserve`] makes sure that the segments for a group exist, before anything is changed for it.
//! 2. [`Log::append`] writes the group's blocks and makes them durable. The next group begins a new block, so a
//!    torn write can only hurt the group it belongs to.
//! 3. Recovery ([`Log::replay`]) reads groups from the superblock's LSN on. A block that is not intact ends the
//!    log, unless an intact later block of the same life says that everything up to it was durable: then it is
//!    damage, and opening is refused with its place.
//!
//! Each open starts a new life of the log (a new identity, named by the superblock), so blocks that an earlier
//! life left behind are never taken for its own.

mod block;
mod record;
mod segments;

use std::sync::Arc;

use helios_bufferpool::{BranchId, Codec, ImageKind, PageId, PageKey, Scn};
use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, Device};

pub(crate) use record::{LoggedCommit, LoggedOperation, encode};
pub(crate) use segments::{Segments, file_name as segment_name};

use crate::error::{Error, Result};
use block::{BlockHeader, PAYLOAD_BYTES};

/// Blocks read at once while scanning.
const SCAN_BLOCKS: u64 = 256;
/// What a group's image is larger than its commits: its header, and the tag of the encryption.
const IMAGE_OVERHEAD_BYTES: usize = 128;

/// The log, open for appending. Used by one committer at a time.
pub(crate) struct Log {
    segments: Segments,
    codec: Arc<Codec>,
    identity: u64,
    next_lsn: u64,
    durable_lsn: u64,
    /// Bytes appended since the last checkpoint.
    appended_bytes: u64,
    /// The disk has no room for a further segment.
    is_full: bool,
}

impl Log {
    /// A new life of the log, from the first block of an unused segment.
    pub(crate) async fn start(
        mut segments: Segments,
        codec: Arc<Codec>,
        identity: u64,
        after_lsn: u64,
    ) -> Result<Log> {
        let next_lsn = segments.next_segment_lsn(after_lsn);
        let (number, _) = segments.place(next_lsn);
        segments.ensure(number).await?;
        Ok(Log {
            segments,
            codec,
            identity,
            next_lsn,
            durable_lsn: next_lsn,
            appended_bytes: 0,
            is_full: false,
        })
    }

    /// Where the next group goes.
    pub(crate) fn next_lsn(&self) -> u64 {
        self.next_lsn
    }

    /// Bytes appended since [`Log::release_before`] was last called.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Makes sure that a group of about `group_bytes` finds its segments.
    pub(crate) async fn reserve(&mut self, group_bytes: usize) -> Result<()> {
        let blocks = block::blocks_needed(group_bytes + IMAGE_OVERHEAD_BYTES);
        let (first, _) = self.segments.place(self.next_lsn);
        let (last, _) = self.segments.place(self.next_lsn + blocks);
        for number in first..=last {
            self.segments.ensure(number).await?;
        }
        // The last quarter of the last segment that the disk has room for belongs to commits that only delete.
        let after = self.next_lsn + blocks;
        if self.segments.blocks_left(after) <= self.segments.blocks_per_segment() / 4 || self.is_full {
            self.is_full = match self.segments.ensure(last + 1).await {
                Ok(()) => false,
                Err(error) if error.is_want_of_space() => true,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Whether the disk has no room for a further segment, as of the last [`Log::reserve`].
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Writes a group and makes it durable. `group` is what [`encode`] made, behind the number of commits.
    ///
    /// # Errors
    /// Those of the device; whether the group is durable is unknown then.
    pub(crate) async fn append(&mut self, group: &[u8], scn: Scn) -> Result<()> {
        let owner = PageKey::new(BranchId(0), PageId(self.next_lsn));
        let encoded = self.codec.encode(ImageKind::Log, owner, scn, group, 0);
        let buffer =
            block::build(&encoded.bytes, encoded.checksum, self.identity, self.next_lsn, self.durable_lsn);
        let mut lsn = self.next_lsn;
        let end = lsn + (buffer.len() / BLOCK_SIZE) as u64;
        self.appended_bytes += buffer.len() as u64;
        if self.segments.blocks_left(lsn) >= end - lsn {
            let (number, offset) = self.segments.place(lsn);
            let file = self.segment(number)?;
            file.write_at(buffer, offset).await?;
            file.sync().await?;
        } else {
            let mut rest = &buffer[..];
            while lsn < end {
                let count = self.segments.blocks_left(lsn).min(end - lsn);
                let (part, later) = rest.split_at(count as usize * BLOCK_SIZE);
                let (number, offset) = self.segments.place(lsn);
                let file = self.segment(number)?;
                file.write_at(IoBuf::from_slice(part), offset).await?;
                file.sync().await?;
                rest = later;
                lsn += count;
            }
        }
        self.next_lsn = end;
        self.durable_lsn = end;
        Ok(())
    }

    fn segment(&self, number: u64) -> Result<Arc<dyn helios_runtime::File>> {
        let file = self.segments.file(number).cloned();
        file.ok_or_else(|| Error::Io(std::io::Error::other(format!("log segment {number} is missing"))))
    }

    /// Says that a durable superblock no longer needs anything before `lsn`.
    pub(crate) fn release_before(&mut self, lsn: u64) -> Result<()> {
        self.appended_bytes = (self.next_lsn - lsn) * BLOCK_SIZE as u64;
        self.segments.release_before(lsn)
    }
}

/// Reads a log of an earlier life.
pub(crate) struct LogReader<'a> {
    pub(crate) segments: &'a Segments,
    pub(crate) codec: &'a Codec,
    pub(crate) identity: u64,
    pub(crate) next_lsn: u64,
    window: Option<(u64, IoBuf)>,
}

impl<'a> LogReader<'a> {
    pub(crate) fn new(segments: &'a Segments, codec: &'a Codec, identity: u64, lsn: u64) -> LogReader<'a> {
        LogReader { segments, codec, identity, next_lsn: lsn, window: None }
    }

    /// The next group's commits; `None` at the log's end.
    ///
    /// # Errors
    /// [`Error::Corruption`] when something that was durable is damaged.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<LoggedCommit>>> {
        let start = self.next_lsn;
        let mut image = Vec::new();
        let mut checksum = 0;
        let mut lsn = start;
        loop {
            let Some(header) = self.block(lsn, &mut image).await? else {
                self.check_end(lsn).await?;
                return Ok(None);
            };
            if header.group_lsn != start || header.first != (lsn == start) {
                self.check_end(lsn).await?;
                return Ok(None);
            }
            if header.first {
                checksum = header.image_checksum;
            }
            lsn += 1;
            if header.last {
                break;
            }
        }
        self.next_lsn = lsn;
        let (_, group) = self.codec.decode(&image, checksum)?;
        Ok(Some(record::decode(&group)?))
    }

    /// Appends the payload of block `lsn` to `image`, if it is an intact block of this life.
    async fn block(&mut self, lsn: u64, image: &mut Vec<u8>) -> Result<Option<BlockHeader>> {
        if !self.load(lsn).await? {
            return Ok(None);
        }
        let Some((first, window)) = &self.window else { return Ok(None) };
        let start = (lsn - first) as usize * BLOCK_SIZE;
        let block = &window[start..start + BLOCK_SIZE];
        let header =
            BlockHeader::read(block).filter(|header| header.identity == self.identity && header.lsn == lsn);
        if let Some(header) = header {
            image.extend_from_slice(&block[BLOCK_SIZE - PAYLOAD_BYTES..][..header.payload_bytes]);
        }
        Ok(header)
    }

    /// Reads blocks around `lsn`; `false` when its segment does not exist.
    async fn load(&mut self, lsn: u64) -> Result<bool> {
        let held = self
            .window
            .as_ref()
            .is_some_and(|(first, window)| lsn >= *first && lsn < first + (window.len() / BLOCK_SIZE) as u64);
        if held {
            return Ok(true);
        }
        let (number, offset) = self.segments.place(lsn);
        let Some(file) = self.segments.file(number) else { return Ok(false) };
        let count = self.segments.blocks_left(lsn).min(SCAN_BLOCKS);
        let buffer = file.read_at(IoBuf::zeroed(count as usize * BLOCK_SIZE), offset).await?;
        self.window = Some((lsn, buffer));
        Ok(true)
    }

    /// The log ends at `lsn` — unless a later block knows better.
    async fn check_end(&mut self, lsn: u64) -> Result<()> {
        let Some(last_segment) = self.segments.last_number() else { return Ok(()) };
        let mut next = lsn + 1;
        while self.segments.place(next).0 <= last_segment {
            if !self.load(next).await? {
                next = self.segments.next_segment_lsn(next);
                continue;
            }
            let mut ignored = Vec::new();
            let header = self.block(next, &mut ignored).await?;
            if header.is_some_and(|header| header.durable_lsn > lsn) {
                let (number, offset) = self.segments.place(lsn);
                return Err(Error::Corruption(format!(
                    "the log is damaged at block {lsn} (file log-{number:016x}, byte {offset}), which was durable: \
                     restore the folder from a backup"
                )));
            }
            next += 1;
        }
        Ok(())
    }
}

/// The device's part of opening a log.
pub(crate) fn open_segments(device: &Arc<dyn Device>, segment_bytes: u64) -> Result<Segments> {
    Segments::remove_leftovers(&**device)?;
    Segments::open(device.clone(), segment_bytes)
}
