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

use std::sync::Arc;

use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, File};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::codec::{Codec, ImageKind};
use crate::error::{Error, Result};
use crate::extents::{Extent, Extents, Packer};
use crate::ids::{BranchId, PageId, PageKey, Scn};
use crate::superblock::MapRoot;

const ENTRIES_MAX: usize = 128;
const ENTRY_BYTES: usize = 52;
/// With 64 entries per node on average, far more than any device holds.
const LEVELS_MAX: u32 = 16;

/// The name of an image: first by page, then sealed history by age, then the open history, then the newest image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapKey {
    /// The page.
    pub page: PageKey,
    /// `u64::MAX` for the newest image, one less for open history, else the SCN of sealed history.
    pub version: u64,
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
type Entry = (MapKey, Located);

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

impl Weighter<u64, Arc<MapNode>> for ByBytes {
    fn weight(&self, _offset: &u64, node: &Arc<MapNode>) -> u64 {
        (node.entries.len() * size_of::<Entry>() + 128) as u64
    }
}

/// Reads and rewrites the map; nodes are cached up to a bound.
pub(crate) struct PageMap {
    cache: Cache<u64, Arc<MapNode>, ByBytes>,
}

/// What [`PageMap::merge`] wrote, and what it no longer needs.
pub(crate) struct Merged {
    pub(crate) root: MapRoot,
    /// Extents of nodes and images that the new map does not reach.
    pub(crate) replaced: Vec<Extent>,
    /// Extents of the new nodes.
    pub(crate) written: Vec<Extent>,
}

/// The device and codec of the file that the map lies in.
pub(crate) struct MapIo<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) codec: &'a Codec,
}

impl PageMap {
    pub(crate) fn new(cache_bytes: u64) -> PageMap {
        PageMap { cache: Cache::with_weighter((cache_bytes / 4096).max(16) as usize, cache_bytes, ByBytes) }
    }

    async fn node(&self, io: &MapIo<'_>, located: Located) -> Result<Arc<MapNode>> {
        if let Some(node) = self.cache.get(&located.extent.offset) {
            return Ok(node);
        }
        let image = read_extent(io.file, located.extent).await?;
        let (header, raw) = io.codec.decode(&image, located.checksum)?;
        if header.kind != ImageKind::MapNode as u8 {
            return Err(Error::Corruption("found another image in the place of a page map node".into()));
        }
        let node = Arc::new(MapNode::decode(&raw)?);
        self.cache.insert(located.extent.offset, node.clone());
        Ok(node)
    }

    /// Finds an image.
    pub(crate) async fn lookup(&self, io: &MapIo<'_>, root: MapRoot, key: MapKey) -> Result<Option<Located>> {
        if root.levels == 0 {
            return Ok(None);
        }
        let mut located = Located { scn: Scn(0), extent: root.extent, checksum: root.checksum };
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
            let mut located = Located { scn: Scn(0), extent: root.extent, checksum: root.checksum };
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

    /// Calls `visit` with every extent that the map reaches: nodes and images.
    pub(crate) async fn walk(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        mut visit: impl FnMut(Extent),
    ) -> Result<()> {
        if root.levels == 0 {
            return Ok(());
        }
        let mut open = vec![Located { scn: Scn(0), extent: root.extent, checksum: root.checksum }];
        while let Some(located) = open.pop() {
            visit(located.extent);
            let node = self.node(io, located).await?;
            if node.level == 0 {
                node.entries.iter().for_each(|entry| visit(entry.1.extent));
            } else {
                open.extend(node.entries.iter().map(|entry| entry.1));
            }
        }
        Ok(())
    }

    /// Merges `changes` (in key order; `None` removes) and writes the nodes that change. Nothing of the old map
    /// is touched.
    pub(crate) async fn merge(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        changes: &[(MapKey, Option<Located>)],
        extents: &parking_lot::Mutex<Extents>,
    ) -> Result<Merged> {
        let mut merged = Merged { root, replaced: Vec::new(), written: Vec::new() };
        if changes.is_empty() {
            return Ok(merged);
        }
        let levels = self.affected(io, root, changes, &mut merged.replaced).await?;

        // Leaves first: their places are needed by the nodes above.
        let leaves = levels.last();
        let groups: Vec<Vec<Entry>> = match leaves {
            None => vec![merge_entries(&[], changes, &mut merged.replaced)],
            Some(leaves) => leaves
                .iter()
                .map(|leaf| {
                    merge_entries(&leaf.node.entries, &changes[leaf.changes.clone()], &mut merged.replaced)
                })
                .collect(),
        };
        let mut children = self.write_level(io, 0, groups, extents, &mut merged.written).await?;
        let mut level = 0;
        for affected in levels.iter().rev().skip(1) {
            level += 1;
            let mut lists = children.into_iter();
            let groups = affected
                .iter()
                .map(|parent| {
                    let mut entries = Vec::with_capacity(parent.node.entries.len() + 8);
                    let mut touched = parent.children.iter().peekable();
                    for (index, entry) in parent.node.entries.iter().enumerate() {
                        if touched.next_if(|child| **child == index).is_some() {
                            entries.extend(lists.next().expect("a list per child"));
                        } else {
                            entries.push(*entry);
                        }
                    }
                    entries
                })
                .collect();
            children = self.write_level(io, level, groups, extents, &mut merged.written).await?;
        }
        let mut top: Vec<Entry> = children.into_iter().flatten().collect();
        while top.len() > 1 {
            level += 1;
            let lists = self.write_level(io, level, vec![top], extents, &mut merged.written).await?;
            top = lists.into_iter().flatten().collect();
        }
        merged.root = match top.first() {
            None => MapRoot::default(),
            Some((_, located)) => {
                MapRoot { extent: located.extent, checksum: located.checksum, levels: u32::from(level) + 1 }
            }
        };
        Ok(merged)
    }

    /// The nodes that `changes` fall into, level by level from the root; their extents are noted as replaced.
    async fn affected(
        &self,
        io: &MapIo<'_>,
        root: MapRoot,
        changes: &[(MapKey, Option<Located>)],
        replaced: &mut Vec<Extent>,
    ) -> Result<Vec<Vec<Affected>>> {
        let mut levels: Vec<Vec<Affected>> = Vec::new();
        if root.levels == 0 {
            return Ok(levels);
        }
        let top = Located { scn: Scn(0), extent: root.extent, checksum: root.checksum };
        let mut open = vec![(top, 0..changes.len())];
        for _ in 0..LEVELS_MAX {
            let mut affected = Vec::with_capacity(open.len());
            let mut below = Vec::new();
            for (located, range) in open {
                replaced.push(located.extent);
                let node = self.node(io, located).await?;
                let mut children = Vec::new();
                if node.level > 0 {
                    let mut start = range.start;
                    while start < range.end {
                        let child = node.child_index(changes[start].0);
                        let next_key = node.entries.get(child + 1).map(|entry| entry.0);
                        let length = changes[start..range.end]
                            .partition_point(|change| next_key.is_none_or(|next| change.0 < next));
                        children.push(child);
                        below.push((node.entries[child].1, start..start + length));
                        start += length;
                    }
                }
                affected.push(Affected { node, changes: range, children });
            }
            levels.push(affected);
            if below.is_empty() {
                return Ok(levels);
            }
            open = below;
        }
        Err(Error::Corruption("the page map is deeper than it can be".into()))
    }

    /// Writes nodes of one level; each group of entries becomes as many nodes as it needs, listed in order.
    async fn write_level(
        &self,
        io: &MapIo<'_>,
        level: u8,
        groups: Vec<Vec<Entry>>,
        extents: &parking_lot::Mutex<Extents>,
        written: &mut Vec<Extent>,
    ) -> Result<Vec<Vec<Entry>>> {
        let mut packer = Packer::default();
        let mut chunks_of_group = Vec::with_capacity(groups.len());
        let mut nodes = Vec::new();
        for group in groups {
            // Even chunks, so that no node is left with a single entry.
            let chunk_count = group.len().div_ceil(ENTRIES_MAX);
            chunks_of_group.push(chunk_count);
            for index in 0..chunk_count {
                let range = group.len() * index / chunk_count..group.len() * (index + 1) / chunk_count;
                let entries = group[range].to_vec();
                let scn = entries.iter().map(|entry| entry.1.scn).max().unwrap_or_default();
                let owner = PageKey::new(BranchId(0), PageId(0));
                let encoded =
                    io.codec.encode(ImageKind::MapNode, owner, scn, &MapNode::encode(level, &entries), 0);
                packer.add(&encoded.bytes);
                nodes.push((entries, scn, encoded.checksum));
            }
        }
        let (offset, bytes, places) = packer.place(&mut extents.lock());
        written.extend(&places);
        if !bytes.is_empty() {
            write_run(io.file, offset, &bytes).await?;
        }
        let mut pointers = nodes.into_iter().zip(places).map(|((entries, scn, checksum), extent)| {
            let first = entries[0].0;
            self.cache.insert(extent.offset, Arc::new(MapNode { level, entries }));
            (first, Located { scn, extent, checksum })
        });
        Ok(chunks_of_group.into_iter().map(|count| pointers.by_ref().take(count).collect()).collect())
    }

    /// Forgets a node whose extent is about to be reused.
    pub(crate) fn forget(&self, extent: Extent) {
        self.cache.remove(&extent.offset);
    }
}

struct Affected {
    node: Arc<MapNode>,
    changes: std::ops::Range<usize>,
    /// In an inner node: the children that changes fall into, in order.
    children: Vec<usize>,
}

fn merge_entries(
    old: &[Entry],
    changes: &[(MapKey, Option<Located>)],
    replaced: &mut Vec<Extent>,
) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(old.len() + changes.len());
    let mut old = old.iter().peekable();
    for (key, change) in changes {
        while let Some(entry) = old.next_if(|entry| entry.0 < *key) {
            entries.push(*entry);
        }
        if let Some(entry) = old.next_if(|entry| entry.0 == *key) {
            replaced.push(entry.1.extent);
        }
        if let Some(located) = change {
            entries.push((*key, *located));
        }
    }
    entries.extend(old.copied());
    entries
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

/// The largest single write, in bytes.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// Writes a run of blocks.
pub(crate) async fn write_run(file: &dyn File, offset: u64, bytes: &[u8]) -> Result<()> {
    let writes = bytes
        .chunks(WRITE_BYTES_MAX)
        .enumerate()
        .map(|(index, chunk)| (offset + (index * WRITE_BYTES_MAX) as u64, IoBuf::from_slice(chunk)))
        .collect();
    file.write_batch(writes).await?;
    Ok(())
}
