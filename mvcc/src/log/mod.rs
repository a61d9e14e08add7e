//! The write-ahead log: groups of commits in blocks that are written once.
//!
//! 1. [`Log::begin`] makes sure that the segments for a group exist, before anything is changed for it.
//! 2. A group is written in parts of about [`PART_BYTES`], so a commit of any size needs no more memory than that.
//!    [`Log::finish`] writes the last one and makes all of them durable: a group without its last part never was. The
//!    next group begins a new block, so a torn write can only hurt the group it belongs to.
//! 3. Recovery ([`LogReader`]) reads groups from the superblock's LSN on. A block that is not intact ends the
//!    log, unless an intact later block of the same life says that everything up to it was durable: then it is
//!    damage, and opening is refused with its place.
//!
//! Each open starts a new life of the log (a new identity, named by the superblock), so blocks that an earlier
//! life left behind are never taken for its own.

mod block;
mod reader;
mod record;
mod segments;

use std::sync::Arc;

use helios_bufferpool::{BranchId, Codec, ImageKind, PageId, PageKey, Scn};
use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, Device};

pub(crate) use reader::{LogReader, LoggedGroup};
pub(crate) use record::{COMMIT_BYTES, CommitHeader, LoggedOperation, OPERATION_BYTES, Stage};
pub(crate) use segments::{Segments, file_name as segment_name, is_segment};

use crate::error::{Error, Result};
use crate::write_set::Operation;
use block::Part;

/// Bytes of a part of a group, before encryption; a key may go beyond.
const PART_BYTES: usize = 1 << 20;
/// What a part's image is larger than what it says: its header, and the tag of the encryption.
const IMAGE_OVERHEAD_BYTES: usize = 128;

/// The log, open for appending. Used by one committer at a time.
pub(crate) struct Log {
    segments: Segments,
    codec: Arc<Codec>,
    identity: u64,
    next_lsn: u64,
    durable_lsn: u64,
    /// Something says that what lies before this is durable.
    vouched_lsn: u64,
    /// Bytes appended since the last checkpoint.
    appended_bytes: u64,
    /// What the group being made says and no part has taken yet.
    group: Vec<u8>,
    group_lsn: u64,
    /// The newest commit of the group being made.
    group_scn: Scn,
    /// Segments written to since they were last made durable.
    unsynced: Vec<u64>,
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
        segments.ensure_named(number).await?;
        Ok(Log {
            segments,
            codec,
            identity,
            next_lsn,
            durable_lsn: next_lsn,
            vouched_lsn: next_lsn,
            appended_bytes: 0,
            group: Vec::new(),
            group_lsn: next_lsn,
            group_scn: Scn(0),
            unsynced: Vec::new(),
            is_full: false,
        })
    }

    /// Where the next group goes.
    pub(crate) fn next_lsn(&self) -> u64 {
        self.next_lsn
    }

    /// The same in bytes.
    pub(crate) fn end_bytes(&self) -> u64 {
        self.next_lsn * BLOCK_SIZE as u64
    }

    /// Bytes appended since [`Log::release_before`] was last called.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Makes sure that about `bytes`, in so many groups, find their segments.
    ///
    /// # Errors
    /// Those of the device, a full one above all.
    pub(crate) async fn make_room(&mut self, bytes: usize, groups: usize) -> Result<()> {
        let parts = bytes / PART_BYTES + groups;
        self.ensure(block::blocks_needed(bytes + parts * (IMAGE_OVERHEAD_BYTES + BLOCK_SIZE))).await
    }

    /// Begins a group of `commits`, the newest of which is `scn`, and makes sure that about `group_bytes` find their
    /// segments.
    ///
    /// # Errors
    /// Those of the device, a full one above all; nothing was written then.
    pub(crate) async fn begin(&mut self, commits: u32, scn: Scn, group_bytes: usize) -> Result<()> {
        self.make_room(group_bytes, 1).await?;
        self.group.clear();
        self.group.shrink_to(2 * PART_BYTES);
        self.group.extend_from_slice(&commits.to_le_bytes());
        self.group_lsn = self.next_lsn;
        self.group_scn = scn;
        Ok(())
    }

    /// Adds a commit to the group; its operations come next.
    pub(crate) fn commit(&mut self, commit: &CommitHeader) {
        commit.encode(&mut self.group);
    }

    /// Adds an operation to the group. Parts that become full are written, but not made durable.
    ///
    /// # Errors
    /// Those of the device; the group must be given up, and the log with it.
    pub(crate) async fn operation(&mut self, operation: Operation<'_>) -> Result<()> {
        let mut value = record::encode_operation(operation, &mut self.group);
        while self.group.len() + value.len() > PART_BYTES {
            let room = PART_BYTES.saturating_sub(self.group.len());
            let (now, later) = value.split_at(room.min(value.len()));
            self.group.extend_from_slice(now);
            self.write_part(true, false).await?;
            value = later;
        }
        self.group.extend_from_slice(value);
        Ok(())
    }

    /// Says that the commit, whose operations were not counted, has no more of them.
    pub(crate) fn end_of_operations(&mut self) {
        self.end_of_piece(0);
    }

    /// Says the same of a piece of a commit, and which page id comes next.
    fn end_of_piece(&mut self, next_page: u64) {
        self.group.push(record::END);
        self.group.extend_from_slice(&next_page.to_le_bytes());
        self.group.extend_from_slice(&[0; OPERATION_BYTES - 9]);
    }

    /// Ends a group that is a piece of a commit, without making it durable; `next_page` is the page id that comes next.
    ///
    /// # Errors
    /// Those of the device; the log must be given up.
    pub(crate) async fn finish_piece(&mut self, next_page: u64) -> Result<()> {
        self.end_of_piece(next_page);
        self.write_part(false, false).await
    }

    /// Writes the group's last part and makes all of it durable.
    ///
    /// # Errors
    /// Those of the device; whether the group is durable is unknown then.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.write_part(false, true).await?;
        for number in std::mem::take(&mut self.unsynced) {
            self.segment(number)?.sync().await?;
        }
        self.durable_lsn = self.next_lsn;
        Ok(())
    }

    /// Writes a group without commits, which says that the last one with commits is durable: if that one is found
    /// damaged later, it is known not to be the torn end of the log. Does nothing where that is said already.
    ///
    /// # Errors
    /// As [`Log::begin`] and [`Log::finish`].
    pub(crate) async fn vouch(&mut self, scn: Scn) -> Result<()> {
        if self.vouched_lsn < self.next_lsn {
            self.begin(0, scn, 0).await?;
            self.finish().await?;
            self.vouched_lsn = self.next_lsn;
        }
        Ok(())
    }

    async fn write_part(&mut self, continues: bool, durably: bool) -> Result<()> {
        let owner = PageKey::new(BranchId(0), PageId(self.next_lsn));
        let encoded = self.codec.encode(ImageKind::Log, owner, self.group_scn, &self.group, 0);
        self.group.clear();
        let part = Part {
            identity: self.identity,
            lsn: self.next_lsn,
            group_lsn: self.group_lsn,
            durable_lsn: self.durable_lsn,
            continues,
        };
        let buffer = block::build(&encoded.bytes, encoded.checksum, part);
        let blocks = (buffer.len() / BLOCK_SIZE) as u64;
        self.ensure(blocks).await?;
        self.appended_bytes += buffer.len() as u64;
        if self.segments.blocks_left(self.next_lsn) >= blocks {
            return self.write_blocks(buffer, durably).await;
        }
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let room = self.segments.blocks_left(self.next_lsn) as usize * BLOCK_SIZE;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.write_blocks(IoBuf::from_slice(now), false).await?;
            rest = later;
        }
        Ok(())
    }

    /// Writes blocks that lie in one segment, and makes all of it durable at once if that is asked for.
    async fn write_blocks(&mut self, buffer: IoBuf, durably: bool) -> Result<()> {
        let (number, offset) = self.segments.place(self.next_lsn);
        let blocks = (buffer.len() / BLOCK_SIZE) as u64;
        let segment = self.segment(number)?;
        if durably {
            segment.write_durably(buffer, offset).await?;
            self.unsynced.retain(|unsynced| *unsynced != number);
        } else {
            if self.unsynced.last() != Some(&number) {
                self.unsynced.push(number);
            }
            segment.write_at(buffer, offset).await?;
        }
        self.next_lsn += blocks;
        Ok(())
    }

    /// Makes sure that the next `blocks` have their segments.
    pub(crate) async fn ensure(&mut self, blocks: u64) -> Result<()> {
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

    /// Whether the disk has no room for a further segment, as of the last [`Log::begin`].
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
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

/// The device's part of opening a log.
pub(crate) fn open_segments(device: &Arc<dyn Device>, segment_bytes: u64) -> Result<Segments> {
    Segments::remove_leftovers(&**device)?;
    Segments::open(device.clone(), segment_bytes)
}
