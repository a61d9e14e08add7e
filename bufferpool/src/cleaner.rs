//! The block cleaner: moves what lives in sparse blocks, so that whole blocks become free.
//!
//! 1. It works as part of a checkpoint, when more than an eighth of the blocks in use are *sparse* (less than half
//!    in use), or more than half of the file is free.
//! 2. It walks over the map's leaves, from where it stopped the last time. Images in sparse blocks are copied
//!    as they are — compressed, encrypted, checksum unchanged — to new places; of the map's nodes in such blocks,
//!    some entry is named as changed, so that the merge writes them anew. While more than half of the file is
//!    free, whatever lies far behind is moved forward too, so that the file can be cut.
//! 3. The new places enter the map of the checkpoint; the old ones are freed behind its superblock, like all
//!    others. So readers and crashes need no care of their own.
//!
//! Invariant: bounded work per checkpoint, in proportion to what the checkpoint writes anyway.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::Result;
use crate::extents::{Extent, Extents};
use crate::ids::{BranchId, PageId, PageKey};
use crate::image_writer::ImageWriter;
use crate::page_file::PageFile;
use crate::page_map::{Entry, Located, MapKey, read_extents};
use crate::superblock::MapRoot;

/// Bytes moved per checkpoint: this, and half a kilobyte for each entry that the checkpoint changes.
const MOVED_BYTES_MIN: usize = 256 << 10;
const MOVED_BYTES_MAX: usize = 16 << 20;
/// Leaves of the map looked at per checkpoint: these, and one for each 64 entries that it changes.
const LEAVES_MIN: usize = 256;
/// And where somebody waits for it.
const LEAVES_HURRIED: usize = 16_384;
/// A smaller number of sparse blocks is not worth a move.
const SPARSE_MIN: u64 = 16;
/// A smaller file is not worth shortening, in blocks.
const SHORTEN_FROM: u64 = 1024;

/// Where the cleaner goes on.
#[derive(Default)]
pub(crate) struct CleanerState {
    next: Option<MapKey>,
    /// Somebody waits for the file to be short: see [`PageFile::shortening`].
    is_hurried: bool,
    /// What the last checkpoint moved, bytes.
    moved_bytes: usize,
}

/// Has checkpoints move as much as they can as long as it lives.
pub struct Shortening<'a>(&'a PageFile);

impl Shortening<'_> {
    /// Whether a further checkpoint would make the file shorter, after one that did its part.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.0.cleaner.lock().moved_bytes > 0 && is_half_free(&self.0.extents.lock())
    }
}

impl Drop for Shortening<'_> {
    fn drop(&mut self) {
        self.0.cleaner.lock().is_hurried = false;
    }
}

fn is_half_free(extents: &Extents) -> bool {
    extents.blocks() >= SHORTEN_FROM && extents.free_blocks() * 2 > extents.blocks()
}

/// What the cleaner moved.
#[derive(Default)]
pub(crate) struct Moved {
    /// For the map: entries with new places, or, to have their node written anew, with the old ones.
    pub(crate) changes: Vec<(MapKey, Option<Located>)>,
    /// The new places.
    pub(crate) written: Vec<Extent>,
}

/// What is to be moved.
struct Plan {
    /// Whatever lies from this offset on.
    shorten_to: Option<u64>,
}

impl Plan {
    fn make(extents: &Extents) -> Option<Plan> {
        let used = extents.blocks() - extents.free_blocks();
        let is_half_free = is_half_free(extents);
        if !is_half_free && extents.sparse_blocks() <= SPARSE_MIN.max(used / 8) {
            return None;
        }
        let shorten_to = is_half_free.then(|| extents.offset_of(used + used / 4));
        Some(Plan { shorten_to })
    }

    fn wants(&self, extents: &Extents, extent: Extent) -> bool {
        extents.is_sparse(extent) || self.shorten_to.is_some_and(|end| extent.offset >= end)
    }
}

impl PageFile {
    /// Moves what is worth it to new places; `changes` are the entries that the checkpoint replaces anyway, in order.
    pub(crate) async fn clean(&self, root: MapRoot, changes: &[(MapKey, Option<Located>)]) -> Result<Moved> {
        let mut moved = Moved::default();
        self.cleaner.lock().moved_bytes = 0;
        let Some(plan) = Plan::make(&self.extents.lock()) else { return Ok(moved) };
        let (bytes_max, leaves_max) = match self.cleaner.lock().is_hurried {
            true => (MOVED_BYTES_MAX, LEAVES_HURRIED),
            false => (
                (MOVED_BYTES_MIN + changes.len() * 512).min(MOVED_BYTES_MAX),
                LEAVES_MIN + changes.len() / 64,
            ),
        };
        let first = MapKey { page: PageKey::new(BranchId(0), PageId(0)), version: 0 };
        let start = self.cleaner.lock().next.unwrap_or(first);
        let (mut key, mut wrapped, mut bytes) = (start, false, 0);
        let mut writer = ImageWriter::new(&*self.file, &self.extents, bytes_max);
        for _ in 0..leaves_max {
            if root.levels == 0 || bytes >= bytes_max || (wrapped && key >= start) {
                break;
            }
            let leaf = self.map.leaf(&self.io(), root, key).await?;
            let is_changed =
                |entry: &Entry| changes.binary_search_by_key(&entry.0, |change| change.0).is_ok();
            // The leaf where the walk began may be met again at its end.
            let is_new = |entry: &&Entry| (entry.0 >= start) != wrapped && !is_changed(entry);
            let victims: Vec<Entry> = {
                let extents = self.extents.lock();
                let wanted = leaf.entries.iter().filter(|entry| plan.wants(&extents, entry.1.extent));
                wanted.filter(is_new).copied().collect()
            };
            for (key, located) in self.move_images(&mut writer, &victims).await? {
                bytes += located.extent.length_bytes as usize;
                moved.written.push(located.extent);
                moved.changes.push((key, Some(located)));
            }
            let path_moves = {
                let extents = self.extents.lock();
                leaf.path.iter().any(|node| plan.wants(&extents, *node))
            };
            if victims.is_empty()
                && path_moves
                && let Some(entry) = leaf.entries.iter().find(is_new)
            {
                moved.changes.push((entry.0, Some(entry.1)));
            }
            wrapped |= leaf.next.is_none();
            key = leaf.next.unwrap_or(first);
        }
        writer.finish().await?;
        let mut cleaner = self.cleaner.lock();
        (cleaner.next, cleaner.moved_bytes) = (Some(key), bytes);
        Ok(moved)
    }

    /// Has checkpoints move as much as they can, for a file that is to become short.
    pub fn shortening(&self) -> Shortening<'_> {
        self.cleaner.lock().is_hurried = true;
        Shortening(self)
    }

    /// Copies images to new places, but for those that are damaged: these stay, to be found where they are.
    async fn move_images(
        &self,
        writer: &mut ImageWriter<'_>,
        victims: &[Entry],
    ) -> Result<Vec<(MapKey, Located)>> {
        if victims.is_empty() {
            return Ok(Vec::new());
        }
        let images = read_extents(&*self.file, victims.iter().map(|entry| entry.1.extent)).await?;
        let mut moved = Vec::with_capacity(images.len());
        for ((key, located), image) in victims.iter().zip(images) {
            if xxh3_64(&image) == located.checksum {
                let extent = writer.add(&image).await?;
                moved.push((*key, Located { extent, ..*located }));
            }
        }
        Ok(moved)
    }
}
