//! Files in memory: the device of memory mode and of most tests.
//!
//! A file is a list of groups, each a list of blocks that are allocated when first written. Growing
//! therefore copies pointers at most, unwritten ranges cost nothing, and a punched hole frees its
//! blocks at once. Reads and writes take the list's lock shared and one group's lock at a time, so
//! that operations on different groups never wait for each other; truncation takes the list's lock
//! exclusively.
//!
//! Every future is ready at its first poll.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::checks::{assert_aligned, assert_batch_aligned, check_name, past_end, read_only};
use super::{BLOCK_SIZE, Device, File, IoBuf, IoFuture, OpenMode};

/// Blocks under one lock: 4 MiB of data.
const GROUP_BLOCKS: usize = 1024;

type Block = Box<[u8; BLOCK_SIZE]>;
type Group = RwLock<Vec<Option<Block>>>;

/// A folder of files that live in this process's memory. Clones share the folder.
#[derive(Clone, Default)]
pub struct MemoryDevice {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    files: RwLock<HashMap<String, Arc<Contents>>>,
    locked: AtomicBool,
    allocated_blocks: Arc<AtomicUsize>,
}

impl MemoryDevice {
    /// An empty folder.
    pub fn new() -> MemoryDevice {
        MemoryDevice::default()
    }

    /// Memory held by the contents of all files, removed but still open ones included, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.shared.allocated_blocks.load(Ordering::Relaxed) * BLOCK_SIZE
    }
}

impl Device for MemoryDevice {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let contents = if mode == OpenMode::CreateNew {
            let mut files = self.shared.files.write();
            if files.contains_key(name) {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} exists already")));
            }
            let contents = Arc::new(Contents::new(self.shared.allocated_blocks.clone()));
            files.insert(name.to_owned(), contents.clone());
            contents
        } else {
            self.shared.files.read().get(name).cloned().ok_or_else(|| not_found(name))?
        };
        let handle = Handle { name: name.to_owned(), writable: mode != OpenMode::Read, contents };
        Ok(Arc::new(MemoryFile { handle: Arc::new(handle) }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.files.read().keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.shared.files.write().remove(name).map(drop).ok_or_else(|| not_found(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut files = self.shared.files.write();
        let contents = files.remove(from).ok_or_else(|| not_found(from))?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        if self.shared.locked.swap(true, Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the memory folder is in use"));
        }
        Ok(Box::new(FolderLock { shared: self.shared.clone() }))
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn kind(&self) -> &'static str {
        "memory"
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

struct FolderLock {
    shared: Arc<Shared>,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        self.shared.locked.store(false, Ordering::Release);
    }
}

struct MemoryFile {
    handle: Arc<Handle>,
}

struct Handle {
    name: String,
    writable: bool,
    contents: Arc<Contents>,
}

impl Handle {
    fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.contents.read(buf, offset);
        read.map_err(|size_bytes| past_end(&self.name, offset, buf.len(), size_bytes))
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(read_only(&self.name)) }
    }
}

impl File for MemoryFile {
    fn read_at(&self, mut buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        let handle = self.handle.clone();
        Box::pin(async move {
            handle.read(&mut buf, offset)?;
            Ok(buf)
        })
    }

    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&reads);
        let handle = self.handle.clone();
        Box::pin(async move {
            let read_one = |(offset, mut buf): (u64, IoBuf)| {
                handle.read(&mut buf, offset)?;
                Ok(buf)
            };
            reads.into_iter().map(read_one).collect()
        })
    }

    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        let handle = self.handle.clone();
        Box::pin(async move {
            handle.check_writable()?;
            handle.contents.write(&buf, offset);
            Ok(buf)
        })
    }

    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&writes);
        let handle = self.handle.clone();
        Box::pin(async move {
            handle.check_writable()?;
            for (offset, buf) in &writes {
                handle.contents.write(buf, *offset);
            }
            Ok(writes.into_iter().map(|(_, buf)| buf).collect())
        })
    }

    fn sync(&self) -> IoFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.handle.contents.size_bytes.load(Ordering::Acquire))
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.handle.check_writable()?;
        self.handle.contents.set_size(bytes);
        Ok(())
    }

    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        self.handle.check_writable()?;
        assert_aligned(offset, usize::try_from(length_bytes).expect("a hole fits the address space"));
        self.handle.contents.free_blocks(offset / BLOCK_SIZE as u64, length_bytes / BLOCK_SIZE as u64);
        Ok(())
    }
}

/// The bytes of one file.
///
/// Invariant: every byte at or beyond `size_bytes` inside an allocated block is zero, so that
/// growing shows zeros.
struct Contents {
    groups: RwLock<Vec<Group>>,
    size_bytes: AtomicU64,
    allocated_blocks: Arc<AtomicUsize>,
}

impl Contents {
    fn new(allocated_blocks: Arc<AtomicUsize>) -> Contents {
        Contents { groups: RwLock::default(), size_bytes: AtomicU64::new(0), allocated_blocks }
    }

    /// Fills `buf`, or gives the file's size when that is too short.
    fn read(&self, buf: &mut [u8], offset: u64) -> Result<(), u64> {
        let groups = self.groups.read();
        let size_bytes = self.size_bytes.load(Ordering::Acquire);
        if offset + buf.len() as u64 > size_bytes {
            return Err(size_bytes);
        }
        for span in spans(offset, buf.len()) {
            let target = &mut buf[span.buffer_range()];
            let Some(group) = groups.get(span.group) else {
                target.fill(0);
                continue;
            };
            let blocks = group.read();
            for (target, index) in target.chunks_exact_mut(BLOCK_SIZE).zip(span.first_block..) {
                match blocks.get(index).and_then(Option::as_ref) {
                    Some(block) => target.copy_from_slice(&block[..]),
                    None => target.fill(0),
                }
            }
        }
        Ok(())
    }

    fn write(&self, buf: &[u8], offset: u64) {
        let end = offset + buf.len() as u64;
        let groups_needed = (end as usize).div_ceil(GROUP_BLOCKS * BLOCK_SIZE);
        let mut groups = self.groups.read();
        while groups.len() < groups_needed {
            drop(groups);
            let mut growing = self.groups.write();
            let missing = groups_needed.saturating_sub(growing.len());
            growing.extend((0..missing).map(|_| Group::default()));
            drop(growing);
            groups = self.groups.read();
        }
        for span in spans(offset, buf.len()) {
            let source = &buf[span.buffer_range()];
            let mut blocks = groups[span.group].write();
            if blocks.len() < span.first_block + span.block_count {
                blocks.resize_with(span.first_block + span.block_count, || None);
            }
            for (source, index) in source.chunks_exact(BLOCK_SIZE).zip(span.first_block..) {
                match &mut blocks[index] {
                    Some(block) => block.copy_from_slice(source),
                    empty => {
                        let block: Box<[u8]> = Box::from(source);
                        *empty = Some(block.try_into().expect("chunks of exactly one block"));
                        self.allocated_blocks.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        self.size_bytes.fetch_max(end, Ordering::AcqRel);
    }

    fn set_size(&self, bytes: u64) {
        let mut groups = self.groups.write();
        let old_bytes = self.size_bytes.swap(bytes, Ordering::AcqRel);
        if bytes >= old_bytes {
            return;
        }
        let whole_blocks = bytes.div_ceil(BLOCK_SIZE as u64) as usize;
        let mut freed = 0;
        let kept_groups = whole_blocks.div_ceil(GROUP_BLOCKS).min(groups.len());
        for group in groups.drain(kept_groups..) {
            freed += group.read().iter().flatten().count();
        }
        if let Some(group) = groups.get(whole_blocks / GROUP_BLOCKS) {
            let mut blocks = group.write();
            let kept = (whole_blocks % GROUP_BLOCKS).min(blocks.len());
            freed += blocks.drain(kept..).flatten().count();
        }
        self.allocated_blocks.fetch_sub(freed, Ordering::Relaxed);
        self.zero_tail(&groups, bytes);
    }

    /// Keeps the invariant of bytes beyond the end when the new end lies inside a block.
    fn zero_tail(&self, groups: &[Group], bytes: u64) {
        let tail_start = (bytes % BLOCK_SIZE as u64) as usize;
        let block_index = (bytes / BLOCK_SIZE as u64) as usize;
        if tail_start == 0 {
            return;
        }
        if let Some(group) = groups.get(block_index / GROUP_BLOCKS)
            && let Some(Some(block)) = group.write().get_mut(block_index % GROUP_BLOCKS)
        {
            block[tail_start..].fill(0);
        }
    }

    fn free_blocks(&self, first: u64, count: u64) {
        let groups = self.groups.read();
        let end = ((first + count) as usize).min(groups.len() * GROUP_BLOCKS);
        let mut index = first as usize;
        while index < end {
            let start = index % GROUP_BLOCKS;
            let length = (GROUP_BLOCKS - start).min(end - index);
            let mut blocks = groups[index / GROUP_BLOCKS].write();
            let stop = (start + length).min(blocks.len());
            let freed = blocks[start.min(stop)..stop].iter_mut().filter_map(Option::take).count();
            self.allocated_blocks.fetch_sub(freed, Ordering::Relaxed);
            index += length;
        }
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.set_size(0);
    }
}

/// The part of an aligned range that lies in one group.
struct Span {
    group: usize,
    first_block: usize,
    block_count: usize,
    buffer_start: usize,
}

impl Span {
    fn buffer_range(&self) -> std::ops::Range<usize> {
        self.buffer_start..self.buffer_start + self.block_count * BLOCK_SIZE
    }
}

fn spans(offset: u64, length_bytes: usize) -> impl Iterator<Item = Span> {
    let start = (offset / BLOCK_SIZE as u64) as usize;
    let end = start + length_bytes / BLOCK_SIZE;
    let mut block = start;
    std::iter::from_fn(move || {
        (block < end).then(|| {
            let first_block = block % GROUP_BLOCKS;
            let block_count = (GROUP_BLOCKS - first_block).min(end - block);
            let buffer_start = (block - start) * BLOCK_SIZE;
            let span = Span { group: block / GROUP_BLOCKS, first_block, block_count, buffer_start };
            block += block_count;
            span
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    /// Holes and truncation give their memory back, also across group borders; dropping the last
    /// handle of a removed file frees the rest.
    #[test]
    fn memory_is_given_back() {
        let device = MemoryDevice::new();
        let file = device.open("data", OpenMode::CreateNew).unwrap();
        let group_bytes = (GROUP_BLOCKS * BLOCK_SIZE) as u64;
        let around = group_bytes - BLOCK_SIZE as u64;
        block_on(file.write_at(IoBuf::from_slice(&[7; 2 * BLOCK_SIZE]), around)).unwrap();
        block_on(file.write_at(IoBuf::from_slice(&[8; BLOCK_SIZE]), 100 * group_bytes)).unwrap();
        assert_eq!(device.allocated_bytes(), 3 * BLOCK_SIZE);
        file.punch_hole(around, BLOCK_SIZE as u64).unwrap();
        assert_eq!(device.allocated_bytes(), 2 * BLOCK_SIZE);
        let read = block_on(file.read_at(IoBuf::zeroed(2 * BLOCK_SIZE), around)).unwrap();
        assert!(read[..BLOCK_SIZE].iter().all(|byte| *byte == 0));
        assert!(read[BLOCK_SIZE..].iter().all(|byte| *byte == 7));
        file.set_size(group_bytes + 10).unwrap();
        assert_eq!(device.allocated_bytes(), BLOCK_SIZE);
        file.set_size(group_bytes + BLOCK_SIZE as u64).unwrap();
        let read = block_on(file.read_at(IoBuf::zeroed(BLOCK_SIZE), group_bytes)).unwrap();
        assert_eq!((&read[..10], read[10]), (&[7; 10][..], 0));
        device.remove("data").unwrap();
        assert_eq!(device.allocated_bytes(), BLOCK_SIZE);
        drop(file);
        assert_eq!(device.allocated_bytes(), 0);
    }
}
