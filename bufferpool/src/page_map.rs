//! The page map: which extent holds the image of which page version.
//!
//! A copy-on-write B+tree of its own, with fixed-size entries, keyed by (branch, page, version); the newest
//! image of a page has version `u64::MAX`, its open history one less, sealed history the SCN of its image. A checkpoint merges all
//! its entries at once and writes the nodes on the way to new extents; the superblock then names the new root,
//! so the old map stays whole until that moment. An inner entry carries the largest SCN below it, so that what
//! changed since some SCN is found without reading the rest.
//!
//! A node's image (kind 2, see `codec`) is: level (1; 0 for a leaf), 3 reserved, number of entries (4), then
//!
//! * leaf entries of 52 bytes: branch 8, page 8, version 8, SCN 8, offset 8, length 4, checksum 8;
//! * inner entries of 52 bytes: the first key below (24), largest SCN below 8, offset 8, length 4, checksum 8.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, File};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::branch_bytes::BytesByBranch;
use crate::codec::{Codec, ImageKind};
use crate::error::{Error, Result};
use crate::extents::{Extent, Extents};
use crate::ids::{BranchId, PageId, PageKey, Scn};
use crate::image_writer::ImageWriter;
use crate::superblock::MapRoot;

const ENTRIES_MAX: usize = 128;
const ENTRY_BYTES: usize = 52;
/// With 64 entries per node on average, far more than any device holds.
const LEVELS_MAX: u32 = 16;
/// Nodes read at once by a walk over the whole map.
const WALK_NODES: usize = 32;

/// The name of an image: first by page, then sealed history by age, then the open history, then the newest image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapKey {
    /// The page.
    pub page: PageKey,
    /// `u64::MAX` for the newest image, one less for open history, else the SCN of sealed history.
    pub version: u64,
}

impl MapRoot {
    fn located(&self) -> Located {
        Located { scn: Scn(0), extent: self.extent, checksum: self.checksum }
    }
}

impl MapKey {
    /// The newest image of a page.
    pub fn newest(page: PageKey) -> MapKey {
        MapKey { page, version: u64::MAX }
    }

    /// Undo records that lead back from the newest image.
    pub fn open_history(page: PageKey) -> MapKey {
        MapKey { page, version: u64::MAX - 1 }
    }

    /// An image as of `scn` with the undo records that lead back from it.
    pub fn sealed_history(page: PageKey, scn: Scn) -> MapKey {
        MapKey { page, version: scn.0 }
    }

    /// Whether this names sealed history.
    pub fn is_sealed(self) -> bool {
        self.version < u64::MAX - 1
    }
}

/// Where an image is, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its version.
    pub scn: Scn,
    /// Its place.
    pub extent: Extent,
    /// Its checksum.
    pub checksum: u64,
}

/// An entry of a node. In an inner node `key` is the first below, `located` the child, with the largest SCN.
pub(crate) type Entry = (MapKey, Located);

struct MapNode {
    level: u8,
    entries: Vec<Entry>,
}

impl MapNode {
    fn encode(level: u8, entries: &[Entry]) -> Vec<u8> {
        let mut bytes = vec![level, 0, 0, 0];
        bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        for (key, located) in entries {
            bytes.extend_from_slice(&key.page.branch.0.to_le_bytes());
            bytes.extend_from_slice(&key.page.page.0.to_le_bytes());
            bytes.extend_from_slice(&key.version.to_le_bytes());
            bytes.extend_from_slice(&located.scn.0.to_le_bytes());
            bytes.extend_from_slice(&located.extent.offset.to_le_bytes());
            bytes.extend_from_slice(&located.extent.length_bytes.to_le_bytes());
            bytes.extend_from_slice(&located.checksum.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<MapNode> {
        let damaged = || Error::Corruption("a page map node has the wrong length".into());
        let count = bytes.get(4..8).ok_or_else(damaged)?;
        let count = u32::from_le_bytes(count.try_into().expect("four bytes")) as usize;
        if count == 0 || bytes.len() != 8 + count * ENTRY_BYTES {
            return Err(damaged());
        }
        let entries = bytes[8..].chunks_exact(ENTRY_BYTES).map(|entry| {
            let u64_at = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
            let page = PageKey::new(BranchId(u64_at(0)), PageId(u64_at(8)));
            let length_bytes = u32::from_le_bytes(entry[40..44].try_into().expect("four bytes"));
            let extent = Extent { offset: u64_at(32), length_bytes };
            (
                MapKey { page, version: u64_at(16) },
                Located { scn: Scn(u64_at(24)), extent, checksum: u64_at(44) },
            )
        });
        Ok(MapNode { level: bytes[0], entries: entries.collect() })
    }

    /// The entry of the child that covers `key`.
    fn child_index(&self, key: MapKey) -> usize {
        self.entries.partition_point(|entry| entry.0 <= key).saturating_sub(1)
    }
}

#[derive(Clone)]
struct ByBytes;

/// A node with its checksum: its place may have been written anew since a reader learned of it.
type Cached = (u64, Arc<MapNode>);

impl Weighter<u64, Cached> for ByBytes {
    fn weight(&self, _offset: &u64, (_, node): &Cached) -> u64 {
        (node.entries.len() * size_of::<Entry>() + 128) as u64
    }
}

/// Reads and rewrites the map; nodes are cached up to a bound.
pub(crate) struct PageMap {
    cache: Cache<u64, Cached, ByBytes>,
}

/// What [`PageMap::merge`] wrote, and what it no longer needs.
pub(crate) struct Merged {
    pub(crate) root: MapRoot,
    /// What each branch's images have more, or less, than before.
    pub(crate) bytes: BytesByBranch,
    /// Extents of nodes and images that the new map does not reach.
    pub(crate) replaced: Vec<Extent>,
}

/// The device and codec of the file that the map lies in.
#[derive(Clone, Copy)]
pub(crate) struct MapIo<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) codec: &'a Codec,
}

impl PageMap {
    pub(crate) fn new(cache_bytes: u64) -> PageMap {
        PageMap { cache: Cache::with_weighter((cache_bytes / 4096).max(16) as usize, cache_bytes, ByBytes) }
    }

    async fn node(&self, io: &MapIo<'_>, located: Located) -> Result<Arc<MapNode>> {
        if let Some((checksum, node)) = self.cache.get(&located.extent.offset)
            && checksum == located.checksum
        {
            return Ok(node);
        }
        let image = read_extent(io.file, located.extent).await?;
        let node = Arc::new(decode_node(io.codec, &image, located)?);
        self.cache.insert(located.extent.offset, (located.checksum, node.clone()));
        Ok(node)
    }

    /// Several nodes at once; they are not kept in memory.
    async fn nodes(&self, io: &MapIo<'_>, located: &[Located]) -> Result<Vec<Arc<MapNode>>> {
        let peek = |node: &Located| {
            let cached = self.cache.peek(&node.extent.offset);
            cached.filter(|cached| cached.0 == node.checksum).map(|cached| cached.1)
        };
        let cached: Vec<_> = located.iter().map(peek).collect();
        let missing = located.iter().zip(&cached).filter(|(_, cached)| cached.is_none());
        let images = read_extents(io.file, missing.map(|(node, _)| node.extent)).await?;
        let mut images = images.into_iter();
        let nodes = located.iter().zip(cached).map(|(located, cached)| match cached {
            Some(node) => Ok(node),
            None => {
                let image = images.next().expect("an image for each node that was not cached");
                Ok(Arc::new(decode_node(io.codec, &image, *located)?))
            }
        });
        nodes.collect()
    }

    /// Finds an image.
    pub(crate) async fn lookup(&self, io: &MapIo<'_>, root: MapRoot, key: MapKey) -> Result<Option<Located>> {
        if root.levels == 0 {
            return Ok(None);
        }
        let mut located = root.located();
        for _ in 0..LEVELS_MAX {
            let node = self.node(io, located).await?;
            if node.level == 0 {
                let found = node.entries.binary_search_by(|entry| entry.0.cmp(&key)).ok();
                return Ok(found.map(|index| node.entries[index].1));
            }
            located = node.entries[node.child_index(key)].1;
        }
        Err(Error::Corruption("the page map is deeper than it can be".into()))
    }

    /// Finds the first entry at or after `key`.
    pub(crate) async fn seek(&self, io: &MapIo<'_>, root: MapRoot, key: MapKey) -> Result<Option<Entry>> {
        if root.levels == 0 {
            return Ok(None);
        }
        let mut wanted = key;
        loop {
            let mut located = root.located();
            // Where the node to the right of the path begins.
            let mut right = None;
            loop {
                let node = self.node(io, located).await?;
                if node.level == 0 {
                    let index = node.entries.partition_point(|entry| entry.0 < wanted);
                    match (node.entries.get(index), right) {
                        (Some(entry), _) => return Ok(Some(*entry)),
                        (None, None) => return Ok(None),
                        (None, Some(next)) => wanted = next,
                    }
                    break;
                }
                let child = node.child_index(wanted);
                right = node.entries.get(child + 1).map(|entry| entry.0).or(right);
                located = node.entries[child].1;
            }
        }
    }

    /// Calls `visit` with every extent that the map reaches, nodes and, with their entries, images, until it says no.
    pub(crate) async fn walk(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        mut visit: impl FnMut(Extent, Option<Entry>) -> bool,
    ) -> Result<bool> {
        let mut open = Vec::new();
        if root.levels > 0 {
            open.push(root.located());
        }
        while !open.is_empty() {
            let batch = open.split_off(open.len().saturating_sub(WALK_NODES));
            for (located, node) in batch.iter().zip(self.nodes(io, &batch).await?) {
                if !visit(located.extent, None) {
                    return Ok(false);
                }
                if node.level > 0 {
                    open.extend(node.entries.iter().map(|entry| entry.1));
                } else if !node.entries.iter().all(|entry| visit(entry.1.extent, Some(*entry))) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The first `count` names of a branch's images.
    pub(crate) async fn entries_of(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        branch: BranchId,
        count: usize,
    ) -> Result<Vec<MapKey>> {
        let mut from = Some(MapKey { page: PageKey::new(branch, PageId(0)), version: 0 });
        let mut found = Vec::new();
        while let Some(key) = from.take().filter(|key| key.page.branch == branch && found.len() < count) {
            let leaf = self.leaf(io, root, key).await?;
            let entries = leaf.entries.iter().map(|entry| entry.0);
            found.extend(entries.filter(|entry| *entry >= key && entry.page.branch == branch));
            from = leaf.next;
        }
        found.truncate(count);
        Ok(found)
    }

    /// See [`crate::PageFile::hidden_bytes`].
    pub(crate) async fn hidden_bytes(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        branch: BranchId,
        ancestors: &[BranchId],
    ) -> Result<u64> {
        let mut hidden = 0;
        for key in self.entries_of(io, root, branch, usize::MAX).await? {
            if key.version != u64::MAX {
                continue;
            }
            for ancestor in ancestors {
                let above = MapKey::newest(PageKey::new(*ancestor, key.page.page));
                if let Some(located) = self.lookup(io, root, above).await? {
                    hidden += u64::from(located.extent.length_bytes);
                    break;
                }
            }
        }
        Ok(hidden)
    }

    /// The pages of a branch whose newest image is later than `since`, in order of their numbers. Nodes below which
    /// nothing is later are not read.
    pub(crate) async fn changed_pages(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        branch: BranchId,
        since: Scn,
    ) -> Result<Vec<PageId>> {
        let mut open = Vec::new();
        if root.levels > 0 {
            open.push(root.located());
        }
        let mut found = Vec::new();
        while !open.is_empty() {
            let batch = open.split_off(open.len().saturating_sub(WALK_NODES));
            for node in self.nodes(io, &batch).await? {
                let begins_before_end = |entry: &Entry| entry.0.page.branch <= branch;
                let ends_behind_start = |index: usize| {
                    node.entries.get(index + 1).is_none_or(|next| next.0.page.branch >= branch)
                };
                let later = node.entries.iter().enumerate().filter(|(_, entry)| entry.1.scn > since);
                if node.level > 0 {
                    let below =
                        later.filter(|(index, entry)| begins_before_end(entry) && ends_behind_start(*index));
                    open.extend(below.map(|(_, entry)| entry.1));
                } else {
                    let of_branch = later
                        .filter(|(_, (key, _))| *key == MapKey::newest(PageKey::new(branch, key.page.page)));
                    found.extend(of_branch.map(|(_, entry)| entry.0.page.page));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The leaf that covers `key`, for the cleaner and for whole branches.
    pub(crate) async fn leaf(&self, io: &MapIo<'_>, root: MapRoot, key: MapKey) -> Result<LeafFound> {
        let mut found = LeafFound { path: Vec::new(), entries: Vec::new(), next: None };
        let mut located = root.located();
        for _ in 0..root.levels.min(LEVELS_MAX) {
            found.path.push(located.extent);
            let node = self.nodes(io, &[located]).await?.remove(0);
            if node.level == 0 {
                found.entries = node.entries.clone();
                return Ok(found);
            }
            let child = node.child_index(key);
            found.next = node.entries.get(child + 1).map(|entry| entry.0).or(found.next);
            located = node.entries[child].1;
        }
        Ok(found)
    }

    /// Merges `changes` (in key order; `None` removes) and writes the nodes that change. Nothing of the old map
    /// is touched. Memory is needed for the changed path and the places replaced, not for the changed nodes.
    pub(crate) async fn merge(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        changes: &[(MapKey, Option<Located>)],
        extents: &parking_lot::Mutex<Extents>,
    ) -> Result<Merged> {
        if changes.is_empty() {
            return Ok(Merged { root, bytes: BytesByBranch::default(), replaced: Vec::new() });
        }
        // About one node for each change at worst, and at least a run's worth of room.
        let writer = ImageWriter::new(io.file, extents, changes.len() * 64 + 4096);
        let (bytes, replaced) = (BytesByBranch::default(), Vec::new());
        let mut merging = Merging { io: *io, changes, writer, bytes, replaced };
        let mut top = if root.levels == 0 {
            let entries = merging.entries(&[], 0..changes.len());
            self.write_nodes(&mut merging, 0, entries).await?
        } else {
            self.merge_node(&mut merging, root.located(), root.levels - 1, 0..changes.len()).await?
        };
        let mut level = root.levels.saturating_sub(1);
        while top.len() > 1 {
            level += 1;
            top = self.write_nodes(&mut merging, level, top).await?;
        }
        merging.writer.finish().await?;
        let root = match top.first() {
            None => MapRoot::default(),
            Some((_, located)) => {
                MapRoot { extent: located.extent, checksum: located.checksum, levels: level + 1 }
            }
        };
        Ok(Merged { root, bytes: merging.bytes, replaced: merging.replaced })
    }

    /// Merges some changes into one node and what is below; gives the entries that replace the node's own.
    fn merge_node<'f>(
        &'f self,
        merging: &'f mut Merging<'_>,
        located: Located,
        level: u32,
        range: Range<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Entry>>> + Send + 'f>> {
        Box::pin(async move {
            let node = self.node(&merging.io, located).await?;
            if u32::from(node.level) != level {
                return Err(Error::Corruption("a page map node is on the wrong level".into()));
            }
            merging.replaced.push(located.extent);
            let changes = merging.changes;
            if level == 0 {
                let entries = merging.entries(&node.entries, range);
                return self.write_nodes(merging, 0, entries).await;
            }
            let mut entries = Vec::with_capacity(node.entries.len() + 8);
            let mut start = range.start;
            for (index, entry) in node.entries.iter().enumerate() {
                let next_key = node.entries.get(index + 1).map(|next| next.0);
                let length = changes[start..range.end]
                    .partition_point(|change| next_key.is_none_or(|next| change.0 < next));
                if length == 0 {
                    entries.push(*entry);
                } else {
                    let below = start..start + length;
                    entries.extend(self.merge_node(merging, entry.1, level - 1, below).await?);
                }
                start += length;
            }
            self.write_nodes(merging, level, entries).await
        })
    }

    /// Writes entries of one level as as many nodes as they need.
    async fn write_nodes(
        &self,
        merging: &mut Merging<'_>,
        level: u32,
        entries: Vec<Entry>,
    ) -> Result<Vec<Entry>> {
        // It comes from the superblock.
        let level =
            u8::try_from(level).map_err(|_| Error::Corruption(format!("the page map has {level} levels")))?;
        // Even chunks, so that no node is left with a single entry.
        let count = entries.len().div_ceil(ENTRIES_MAX);
        let mut above = Vec::with_capacity(count);
        for index in 0..count {
            let range = entries.len() * index / count..entries.len() * (index + 1) / count;
            let entries = entries[range].to_vec();
            let scn = entries.iter().map(|entry| entry.1.scn).max().unwrap_or_default();
            let owner = PageKey::new(BranchId(0), PageId(0));
            let raw = MapNode::encode(level, &entries);
            let encoded = merging.io.codec.encode(ImageKind::MapNode, owner, scn, &raw, 0);
            let extent = merging.writer.add(&encoded.bytes).await?;
            above.push((entries[0].0, Located { scn, extent, checksum: encoded.checksum }));
            self.cache.insert(extent.offset, (encoded.checksum, Arc::new(MapNode { level, entries })));
        }
        Ok(above)
    }

    /// Forgets a node whose extent is about to be reused.
    pub(crate) fn forget(&self, extent: Extent) {
        self.cache.remove(&extent.offset);
    }
}

/// See [`PageMap::leaf`].
pub(crate) struct LeafFound {
    /// The nodes on the way, the leaf included.
    pub(crate) path: Vec<Extent>,
    pub(crate) entries: Vec<Entry>,
    /// Where the next leaf begins.
    pub(crate) next: Option<MapKey>,
}

/// A merge at work.
struct Merging<'a> {
    io: MapIo<'a>,
    changes: &'a [(MapKey, Option<Located>)],
    writer: ImageWriter<'a>,
    bytes: BytesByBranch,
    replaced: Vec<Extent>,
}

impl Merging<'_> {
    /// The entries of a leaf after some of the changes.
    fn entries(&mut self, old: &[Entry], changes: Range<usize>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(old.len() + changes.len());
        let mut old = old.iter().peekable();
        for (key, change) in &self.changes[changes] {
            while let Some(entry) = old.next_if(|entry| entry.0 < *key) {
                entries.push(*entry);
            }
            if let Some(entry) = old.next_if(|entry| entry.0 == *key) {
                self.bytes.remove(*key, entry.1);
                // The cleaner names entries that stay where they are, so that their node moves.
                if *change != Some(entry.1) {
                    self.replaced.push(entry.1.extent);
                }
            }
            if let Some(located) = change {
                self.bytes.add(*key, *located);
                entries.push((*key, *located));
            }
        }
        entries.extend(old.copied());
        entries
    }
}

fn decode_node(codec: &Codec, image: &[u8], located: Located) -> Result<MapNode> {
    let (header, raw) = codec.decode(image, located.checksum)?;
    if header.kind != ImageKind::MapNode as u8 {
        return Err(Error::Corruption("found another image in the place of a page map node".into()));
    }
    MapNode::decode(&raw)
}

/// Reads the bytes of an extent.
pub(crate) async fn read_extent(file: &dyn File, extent: Extent) -> Result<Vec<u8>> {
    let blocks = extent.blocks();
    let start = blocks.start * BLOCK_SIZE as u64;
    let length = (blocks.end - blocks.start) as usize * BLOCK_SIZE;
    let buffer = file.read_at(IoBuf::zeroed(length), start).await?;
    let from = (extent.offset - start) as usize;
    Ok(buffer[from..from + extent.length_bytes as usize].to_vec())
}

/// Reads the bytes of several extents as one batch, in their order.
pub(crate) async fn read_extents(
    file: &dyn File,
    extents: impl Iterator<Item = Extent>,
) -> Result<Vec<Vec<u8>>> {
    let extents: Vec<Extent> = extents.collect();
    if let [extent] = extents[..] {
        return Ok(vec![read_extent(file, extent).await?]);
    }
    let reads = extents.iter().map(|extent| {
        let blocks = extent.blocks();
        let length = (blocks.end - blocks.start) as usize * BLOCK_SIZE;
        (blocks.start * BLOCK_SIZE as u64, IoBuf::zeroed(length))
    });
    let buffers = file.read_batch(reads.collect()).await?;
    let images = extents.iter().zip(buffers).map(|(extent, buffer)| {
        let from = (extent.offset % BLOCK_SIZE as u64) as usize;
        buffer[from..from + extent.length_bytes as usize].to_vec()
    });
    Ok(images.collect())
}
