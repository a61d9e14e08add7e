//! Taking images out of the map: for history that nobody reads any more, and for pages that nothing leads to.
//!
//! 1. Whoever removes reads a leaf of the map ([`PageFile::map_part`]) and decides by what it has.
//! 2. [`PageFile::remove`] then marks some of these entries as gone, unless the map has changed since the leaf was read, or an
//!    image was written that is to take the entry's place: an entry is removed as what it was judged by, or not at all.
//! 3. The next checkpoint leaves them out of its map, and gives their extents free behind its superblock.

use crate::error::Result;
use crate::ids::{BranchId, PageId, PageKey};
use crate::page_file::PageFile;
use crate::page_map::{Located, MapKey};

/// Some neighbouring entries of the map, as the last checkpoint wrote them.
pub struct MapPart {
    /// Whose superblock reached them.
    generation: u64,
    /// The entries from the key asked for on, to the end of a leaf.
    pub entries: Vec<(MapKey, Located)>,
    /// Where the next part begins; `None` at the end of the map.
    pub next: Option<MapKey>,
}

impl MapPart {
    /// Whether it has all entries from `key` on, up to its end.
    #[must_use]
    pub fn covers(&self, key: MapKey) -> bool {
        self.entries.first().is_some_and(|first| first.0 <= key) && self.next.is_none_or(|next| key < next)
    }
}

impl MapKey {
    /// Before all others of a page.
    pub fn first_of(page: PageKey) -> MapKey {
        MapKey { page, version: 0 }
    }

    /// Before all others.
    pub fn first() -> MapKey {
        MapKey::first_of(PageKey::new(BranchId(0), PageId(0)))
    }

    /// Whether this names open history.
    pub fn is_open(self) -> bool {
        self == MapKey::open_history(self.page)
    }
}

impl PageFile {
    /// The entries of the map from `from` on, as many as one leaf has.
    ///
    /// # Errors
    /// Those of the device; [`crate::Error::Corruption`].
    pub async fn map_part(&self, from: MapKey) -> Result<MapPart> {
        loop {
            let superblock = self.superblock();
            match self.map.leaf(&self.io(), superblock.map, from).await {
                Ok(leaf) => {
                    let mut entries = leaf.entries;
                    entries.retain(|entry| entry.0 >= from);
                    return Ok(MapPart { generation: superblock.generation, entries, next: leaf.next });
                }
                // A checkpoint replaced the map while it was read.
                Err(_) if self.superblock.lock().generation != superblock.generation => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the next checkpoint leave some entries of `part` out of the map; says whether the map is still that one. What
    /// an image was written for since stays. The caller keeps history from being written or claimed meanwhile.
    #[must_use]
    pub fn remove(&self, part: &MapPart, gone: &[MapKey]) -> bool {
        let (overlay, mut history) = (self.overlay.lock(), self.history.lock());
        // Images written since are in the overlays for as long as the superblock is the same.
        if self.superblock.lock().generation != part.generation {
            return false;
        }
        for key in gone {
            if !overlay.contains_key(&key.page) || *key != MapKey::newest(key.page) {
                history.entry(*key).or_insert(None);
            }
        }
        true
    }
}
