//! Reading a log of an earlier life.
//!
//! 1. [`LogReader::next`] looks for the end of the next group: only a group whose last block is there counts.
//! 2. [`LoggedGroup`] then reads it again as a stream, a part at a time, so that a commit of any size is replayed within
//!    the memory of one part and one value.

use helios_bufferpool::Codec;
use helios_runtime::IoBuf;
use helios_runtime::device::BLOCK_SIZE;

use super::block::{BLOCK_HEADER_BYTES, BlockHeader, PAYLOAD_BYTES};
use super::record::{self, COMMIT_BYTES, CommitHeader, LoggedOperation, OPERATION_BYTES};
use super::segments::Segments;
use crate::error::{Error, Result};
use crate::ids::TreeId;

/// Blocks read at once while scanning.
const SCAN_BLOCKS: u64 = 256;
/// Operations handed over at once: up to so many, or the first to exceed so many bytes.
const BATCH_OPERATIONS: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// Reads the groups of a log, in order.
pub(crate) struct LogReader<'a> {
    segments: &'a Segments,
    codec: &'a Codec,
    identity: u64,
    /// Where the next group begins.
    pub(crate) next_lsn: u64,
    window: Option<(u64, IoBuf)>,
}

impl<'a> LogReader<'a> {
    pub(crate) fn new(segments: &'a Segments, codec: &'a Codec, identity: u64, lsn: u64) -> LogReader<'a> {
        LogReader { segments, codec, identity, next_lsn: lsn, window: None }
    }

    /// The next group; `None` at the log's end.
    ///
    /// # Errors
    /// [`Error::Corruption`] when something that was durable is damaged.
    pub(crate) async fn next(&mut self) -> Result<Option<LoggedGroup<'_, 'a>>> {
        let start = self.next_lsn;
        let mut lsn = start;
        let mut part_begins = true;
        loop {
            let header = self.block(lsn, |_| ()).await?;
            let header = header.filter(|header| header.group_lsn == start && header.first == part_begins);
            let Some(header) = header else {
                self.check_end(lsn).await?;
                return Ok(None);
            };
            lsn += 1;
            part_begins = header.last;
            if header.last && !header.continues {
                break;
            }
        }
        self.next_lsn = lsn;
        Ok(Some(LoggedGroup { next_page: 0, log: self, lsn: start, end: lsn, bytes: Vec::new(), at: 0 }))
    }

    /// Hands the payload of block `lsn` to `read`, if it is an intact block of this life.
    async fn block(&mut self, lsn: u64, read: impl FnOnce(&[u8])) -> Result<Option<BlockHeader>> {
        if !self.load(lsn).await? {
            return Ok(None);
        }
        let Some((first, window)) = &self.window else { return Ok(None) };
        let start = (lsn - first) as usize * BLOCK_SIZE;
        let block = &window[start..start + BLOCK_SIZE];
        let header =
            BlockHeader::read(block).filter(|header| header.identity == self.identity && header.lsn == lsn);
        if let Some(header) = header {
            read(&block[BLOCK_HEADER_BYTES..][..header.payload_bytes]);
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
            let header = self.block(next, |_| ()).await?;
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

/// A complete group, read as a stream.
pub(crate) struct LoggedGroup<'r, 'a> {
    /// After the operations of a commit that were not counted: what their end says.
    pub(crate) next_page: u64,
    log: &'r mut LogReader<'a>,
    /// The next part's first block.
    lsn: u64,
    end: u64,
    /// What the parts read so far said, from `at` on not yet used.
    bytes: Vec<u8>,
    at: usize,
}

impl<'a> LoggedGroup<'_, 'a> {
    /// A reader of what comes behind this group.
    pub(crate) fn ahead(&self) -> LogReader<'a> {
        LogReader::new(self.log.segments, self.log.codec, self.log.identity, self.end)
    }

    /// The number of commits. To be called first.
    ///
    /// # Errors
    /// [`Error::Corruption`], those of the device.
    pub(crate) async fn commit_count(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array().await?))
    }

    /// The next commit, whose operations come next.
    ///
    /// # Errors
    /// As [`LoggedGroup::commit_count`].
    pub(crate) async fn commit(&mut self) -> Result<CommitHeader> {
        Ok(CommitHeader::decode(&self.array::<COMMIT_BYTES>().await?))
    }

    /// The next operations of a commit, some at once. `left` is [`CommitHeader::operation_count`] at first, and
    /// `Some(0)` after the last one.
    ///
    /// # Errors
    /// As [`LoggedGroup::commit_count`].
    pub(crate) async fn operations(&mut self, left: &mut Option<u32>) -> Result<Vec<LoggedOperation>> {
        let mut operations = Vec::new();
        let mut bytes = 0;
        while *left != Some(0) && operations.len() < BATCH_OPERATIONS && bytes < BATCH_BYTES {
            let header: [u8; OPERATION_BYTES] = self.array().await?;
            let u32_at =
                |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes")) as usize;
            let tree = TreeId(u64::from_le_bytes(header[1..9].try_into().expect("eight bytes")));
            let (key_bytes, value_bytes) = (u32_at(9), u32_at(13));
            let (key, value) = (self.take(key_bytes).await?, self.take(value_bytes).await?);
            bytes += key_bytes + value_bytes;
            operations.push(match header[0] {
                record::PUT => LoggedOperation::Put(tree, key, value),
                record::DELETE => LoggedOperation::Delete(tree, key),
                record::CREATE_TREE => LoggedOperation::CreateTree(
                    tree,
                    key.first().map_or(100, |percent| (*percent).clamp(10, 100)),
                ),
                record::END if left.is_none() => {
                    self.next_page = tree.0;
                    *left = Some(0);
                    break;
                }
                other => return Err(Error::Corruption(format!("log operation {other} does not exist"))),
            });
            *left = left.map(|left| left - 1);
        }
        Ok(operations)
    }

    async fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N).await?;
        Ok(bytes.try_into().expect("as many bytes as were asked for"))
    }

    /// The next `count` bytes.
    async fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        let left = self.bytes.len() - self.at + (self.end - self.lsn) as usize * PAYLOAD_BYTES;
        if count > left {
            return Err(Error::Corruption("a log group ends in the middle of a commit".into()));
        }
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            if self.at == self.bytes.len() {
                self.next_part().await?;
            }
            let part = &self.bytes[self.at..self.bytes.len().min(self.at + count - taken.len())];
            taken.extend_from_slice(part);
            self.at += part.len();
        }
        Ok(taken)
    }

    async fn next_part(&mut self) -> Result<()> {
        if self.lsn >= self.end {
            return Err(Error::Corruption("a log group ends in the middle of a commit".into()));
        }
        let mut image = Vec::new();
        let mut checksum = 0;
        loop {
            let header = self.log.block(self.lsn, |payload| image.extend_from_slice(payload)).await?;
            let Some(header) = header else {
                return Err(Error::Corruption(format!(
                    "block {} of the log changed while it was read",
                    self.lsn
                )));
            };
            if header.first {
                checksum = header.image_checksum;
            }
            self.lsn += 1;
            if header.last {
                break;
            }
        }
        (_, self.bytes) = self.log.codec.decode(&image, checksum)?;
        self.at = 0;
        Ok(())
    }
}
