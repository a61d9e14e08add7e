//! The data file: images of pages at their extents, found by the page map and the superblock.
//!
//! 1. Images go to new extents only ([`PageFile::write`]): before a checkpoint when a changed page must leave
//!    memory, else as part of one. They are found through an overlay of the map, which dies with the process.
//! 2. [`PageFile::checkpoint`] merges the entries of one moment into the map, makes everything durable, then
//!    writes the superblock and makes that durable, and only then gives the replaced extents free.
//!
//! Invariants: an extent that a durable superblock reaches is never written; an image in the overlay that is
//! newer than the checkpoint never enters its map.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use helios_runtime::device::{BLOCK_SIZE, File};
use parking_lot::Mutex;

use crate::branch_bytes::{BranchBytes, BytesByBranch};
use crate::cleaner::CleanerState;
use crate::codec::{Codec, Encoded, ImageKind};
use crate::error::{Error, Result};
use crate::extents::{Extent, Extents};
use crate::ids::{BranchId, PageId, PageKey, Scn};
use crate::image_writer::ImageWriter;
use crate::page_map::{Entry, Located, MapIo, MapKey, Merged, PageMap, read_extent, read_extents};
use crate::superblock::{SUPERBLOCK_BLOCKS, Superblock};

/// A free end of the file of at least this many bytes, and an eighth of it, is given back at a checkpoint.
const TRIM_BYTES_MIN: u64 = 1 << 20;
/// Entries handled while a lock is held that readers want too.
const LOCKED_MAX: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlaid {
    located: Located,
    /// The running checkpoint puts it into the map, so it is not this overlay's to release.
    claimed: bool,
}

/// The data file of a folder.
pub struct PageFile {
    pub(crate) file: Arc<dyn File>,
    codec: Codec,
    pub(crate) map: PageMap,
    pub(crate) extents: Mutex<Extents>,
    pub(crate) overlay: Mutex<HashMap<PageKey, Overlaid>>,
    /// History written since the last checkpoint; `None` for what is to leave the map.
    pub(crate) history: Mutex<BTreeMap<MapKey, Option<Overlaid>>>,
    /// Grows with each change of history, while that is locked.
    history_writes: AtomicU64,
    /// Of the images that the map reaches.
    pub(crate) branch_bytes: Mutex<BytesByBranch>,
    pub(crate) superblock: Mutex<Superblock>,
    pub(crate) cleaner: Mutex<CleanerState>,
    reserve: Mutex<Option<Reserve>>,
}

/// Makes room on a full disk, once; says whether it did.
pub type Reserve = Box<dyn FnOnce() -> bool + Send>;

/// A map that a checkpoint has written, and that no superblock names yet.
pub struct PreparedMap {
    merged: Merged,
    images: Vec<(PageKey, Located)>,
    history: Vec<(MapKey, Option<Located>)>,
}

/// Sizes of a data file.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileUsage {
    /// Bytes of live images and map nodes.
    pub used_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of free blocks in it.
    pub free_bytes: u64,
}

impl PageFile {
    /// Makes a new data file in `file`, which is empty, with `superblock` as its first generation.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn create(
        file: Arc<dyn File>,
        codec: Codec,
        superblock: Superblock,
        map_cache_bytes: u64,
    ) -> Result<PageFile> {
        let page_file = PageFile::new(file, codec, superblock, map_cache_bytes);
        let first = page_file.superblock();
        // Both generations, so that reading never meets unwritten blocks.
        Superblock { generation: 0, ..first.clone() }.write(&*page_file.file).await?;
        let first = Superblock { generation: 1, ..first };
        first.write(&*page_file.file).await?;
        *page_file.superblock.lock() = first;
        Ok(page_file)
    }

    /// Opens a data file whose superblock was read, and finds out which of its space is free.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`] of the page map.
    pub async fn open(
        file: Arc<dyn File>,
        codec: Codec,
        superblock: Superblock,
        map_cache_bytes: u64,
    ) -> Result<PageFile> {
        let page_file = PageFile::new(file, codec, superblock, map_cache_bytes);
        let root = page_file.superblock().map;
        let file_bytes = page_file.file.size()?;
        let mut bytes = BytesByBranch::default();
        let mark = |extent, entry: Option<Entry>| {
            if let Some((key, located)) = entry {
                bytes.add(key, located);
            }
            page_file.extents.lock().mark_found(extent, file_bytes)
        };
        if !page_file.map.walk(&page_file.io(), root, mark).await? {
            return Err(Error::Corruption(format!(
                "the page map names a place that is outside the data file ({file_bytes} bytes) or taken: \
                 restore the folder from a backup"
            )));
        }
        *page_file.branch_bytes.lock() = bytes;
        Ok(page_file)
    }

    fn new(file: Arc<dyn File>, codec: Codec, superblock: Superblock, map_cache_bytes: u64) -> PageFile {
        PageFile {
            file,
            codec,
            map: PageMap::new(map_cache_bytes),
            extents: Mutex::new(Extents::new(SUPERBLOCK_BLOCKS)),
            overlay: Mutex::default(),
            history: Mutex::default(),
            history_writes: AtomicU64::new(0),
            branch_bytes: Mutex::default(),
            superblock: Mutex::new(superblock),
            cleaner: Mutex::default(),
            reserve: Mutex::default(),
        }
    }

    pub(crate) fn io(&self) -> MapIo<'_> {
        MapIo { file: &*self.file, codec: &self.codec }
    }

    /// The superblock of the last checkpoint.
    pub fn superblock(&self) -> Superblock {
        self.superblock.lock().clone()
    }

    /// Encodes pages for [`PageFile::write`].
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Reads the newest written image of a page into `page`; `false` when there is none.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn read(&self, key: PageKey, page: &mut [u8]) -> Result<bool> {
        let decode =
            |image: &[u8], located: Located| self.codec.decode_page(key, image, located.checksum, page);
        Ok(self.read_moving(MapKey::newest(key), decode).await?.is_some())
    }

    /// Reads the newest written images of several pages as one batch, each of `page_bytes`; `None` for those that there are
    /// none of, and for what has to be read by itself.
    pub async fn read_several(&self, keys: &[PageKey], page_bytes: usize) -> Vec<Option<Box<[u8]>>> {
        let mut located: Vec<(usize, Located)> = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            if let Ok(Some(place)) = self.locate(MapKey::newest(*key)).await {
                located.push((index, place));
            }
        }
        let mut pages = vec![None; keys.len()];
        if let Ok(images) = read_extents(&*self.file, located.iter().map(|place| place.1.extent)).await {
            for ((index, place), image) in located.into_iter().zip(images) {
                let mut page = vec![0; page_bytes].into_boxed_slice();
                let decoded = self.codec.decode_page(keys[index], &image, place.checksum, &mut page);
                pages[index] = decoded.is_ok().then_some(page);
            }
        }
        pages
    }

    /// Reads an image, wherever it is by then: it may move while it is read, and its place be written anew. What is not
    /// right is an error only when it is found in the same place once more.
    async fn read_moving<T>(
        &self,
        key: MapKey,
        mut decode: impl FnMut(&[u8], Located) -> Result<T> + Send,
    ) -> Result<Option<T>> {
        let mut seen: Option<(u64, Located, Error)> = None;
        loop {
            let generation = self.superblock.lock().generation;
            let located = match self.locate(key).await {
                Ok(Some(located)) => located,
                Ok(None) => return Ok(None),
                // A checkpoint replaced the map while it was read, and its nodes' places were written anew.
                Err(_) if self.superblock.lock().generation != generation => continue,
                Err(error) => return Err(error),
            };
            if let Some((at, before, error)) = seen.take()
                && (at, before) == (generation, located)
            {
                return Err(error);
            }
            let attempt = match read_extent(&*self.file, located.extent).await {
                Ok(image) => decode(&image, located),
                Err(error) => Err(error),
            };
            match attempt {
                Ok(found) => return Ok(Some(found)),
                Err(error) => seen = Some((generation, located, error)),
            }
        }
    }

    /// Whether an image of a page was written.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn has(&self, key: PageKey) -> Result<bool> {
        loop {
            let generation = self.superblock.lock().generation;
            match self.locate(MapKey::newest(key)).await {
                Err(_) if self.superblock.lock().generation != generation => {}
                result => return Ok(result?.is_some()),
            }
        }
    }

    /// Bytes of the images of each branch, as of the last checkpoint.
    pub fn branch_bytes(&self) -> HashMap<BranchId, BranchBytes> {
        self.branch_bytes.lock().0.clone()
    }

    /// Bytes of the newest images of a branch's pages that some of its ancestors, the nearest first, have too: how much
    /// of these nobody reads from the branch. It costs the pages that the branch has itself.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn hidden_bytes(&self, branch: BranchId, ancestors: &[BranchId]) -> Result<u64> {
        loop {
            let superblock = self.superblock();
            match self.map.hidden_bytes(&self.io(), superblock.map, branch, ancestors).await {
                Err(_) if self.superblock.lock().generation != superblock.generation => {}
                result => return result,
            }
        }
    }

    /// The pages of a branch that the last checkpoint wrote, or an earlier one, with a version later than `since`. It
    /// costs the parts of the map where there are such.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn changed_pages(&self, branch: BranchId, since: Scn) -> Result<Vec<PageId>> {
        loop {
            let superblock = self.superblock();
            match self.map.changed_pages(&self.io(), superblock.map, branch, since).await {
                Err(_) if self.superblock.lock().generation != superblock.generation => {}
                result => return result,
            }
        }
    }

    /// Marks up to `count` images of a branch, pages and history, to be dropped by the next checkpoint; returns how many
    /// there were. Nobody reads or changes the branch any more, and all of it is in the map.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn remove_branch(&self, branch: BranchId, count: usize) -> Result<usize> {
        let found = loop {
            let superblock = self.superblock();
            match self.map.entries_of(&self.io(), superblock.map, branch, count).await {
                Err(_) if self.superblock.lock().generation != superblock.generation => {}
                result => break result?,
            }
        };
        let mut history = self.history.lock();
        history.extend(found.iter().map(|key| (*key, None)));
        Ok(found.len())
    }

    async fn locate(&self, key: MapKey) -> Result<Option<Located>> {
        let overlaid = match key.version {
            u64::MAX => self.overlay.lock().get(&key.page).map(|overlaid| Some(overlaid.located)),
            _ => self.history.lock().get(&key).map(|overlaid| overlaid.map(|overlaid| overlaid.located)),
        };
        if let Some(overlaid) = overlaid {
            return Ok(overlaid);
        }
        let root = self.superblock.lock().map;
        self.map.lookup(&self.io(), root, key).await
    }

    /// Writes images of pages that are about to leave memory to new extents, not yet durable. From then on
    /// [`PageFile::read`] finds them. `is_newest` says whether a page in memory still is what its image shows: one that has
    /// changed meanwhile may be in the file already, as a checkpoint wrote it, and its image is forgotten.
    ///
    /// # Errors
    /// Those of the device; nothing has changed then.
    pub async fn write(
        &self,
        images: Vec<(PageKey, Scn, Encoded)>,
        is_newest: impl Fn(PageKey) -> bool + Send,
    ) -> Result<()> {
        let located = self.place(&images).await?;
        // Asked under the lock: whatever a checkpoint writes of a later change comes after it.
        let mut overlay = self.overlay.lock();
        for ((key, ..), located) in images.iter().zip(located) {
            if is_newest(*key) {
                self.replace(&mut overlay, *key, Overlaid { located, claimed: false });
            } else {
                self.extents.lock().release(located.extent);
            }
        }
        Ok(())
    }

    /// Writes images for a checkpoint, whose own they are, to new extents, not yet durable. From then on [`PageFile::read`]
    /// finds them, unless a newer image of the page was written before.
    ///
    /// # Errors
    /// Those of the device; nothing has changed then.
    pub async fn write_for_checkpoint(
        &self,
        images: Vec<(PageKey, Scn, Encoded)>,
    ) -> Result<Vec<(PageKey, Located)>> {
        let located = self.place(&images).await?;
        let mut overlay = self.overlay.lock();
        let placed = images.iter().zip(located).map(|((key, ..), located)| {
            // It keeps its own list.
            if overlay.get(key).is_none_or(|overlaid| overlaid.located.scn <= located.scn) {
                self.replace(&mut overlay, *key, Overlaid { located, claimed: true });
            }
            (*key, located)
        });
        Ok(placed.collect())
    }

    fn replace(&self, overlay: &mut HashMap<PageKey, Overlaid>, key: PageKey, overlaid: Overlaid) {
        if let Some(before) = overlay.insert(key, overlaid)
            && !before.claimed
        {
            self.extents.lock().release(before.located.extent);
        }
    }

    /// What to give up when the device has no room for an image.
    pub fn set_reserve(&self, reserve: Reserve) {
        *self.reserve.lock() = Some(reserve);
    }

    /// Whether there is something to give up.
    pub fn has_reserve(&self) -> bool {
        self.reserve.lock().is_some()
    }

    /// Bytes of the file in which nothing is, so that they can be written whatever the device's room.
    pub fn free_bytes(&self) -> u64 {
        self.extents.lock().free_blocks() * BLOCK_SIZE as u64
    }

    fn makes_room(&self, error: &Error) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let is_full =
            matches!(error, Error::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded));
        let reserve = if is_full { self.reserve.lock().take() } else { None };
        reserve.is_some_and(|reserve| reserve())
    }

    /// Writes images to new extents.
    async fn place(&self, images: &[(PageKey, Scn, Encoded)]) -> Result<Vec<Located>> {
        match self.try_place(images).await {
            Err(error) if self.makes_room(&error) => self.try_place(images).await,
            result => result,
        }
    }

    async fn try_place(&self, images: &[(PageKey, Scn, Encoded)]) -> Result<Vec<Located>> {
        let expected_bytes = images.iter().map(|image| image.2.bytes.len()).sum();
        let mut writer = ImageWriter::new(&*self.file, &self.extents, expected_bytes);
        let mut located: Vec<Located> = Vec::with_capacity(images.len());
        for (_, scn, encoded) in images {
            let extent = writer.add(&encoded.bytes).await?;
            located.push(Located { scn: *scn, extent, checksum: encoded.checksum });
        }
        writer.finish().await?;
        Ok(located)
    }

    /// Forgets pages written since the last checkpoint, as if they had never been.
    pub fn forget(&self, mut gone: impl FnMut(PageKey) -> bool) {
        self.overlay.lock().retain(|key, overlaid| {
            let stays = !gone(*key);
            if !stays && !overlaid.claimed {
                self.extents.lock().release(overlaid.located.extent);
            }
            stays
        });
    }

    /// Writes history images to new extents, not yet durable, and drops those named in `gone`.
    ///
    /// # Errors
    /// Those of the device; nothing has changed then.
    pub async fn write_history(&self, images: Vec<(MapKey, Scn, Encoded)>, gone: &[MapKey]) -> Result<()> {
        let keys: Vec<MapKey> = images.iter().map(|image| image.0).collect();
        let images: Vec<_> = images.into_iter().map(|(key, scn, encoded)| (key.page, scn, encoded)).collect();
        let located = self.place(&images).await?;
        let mut history = self.history.lock();
        self.history_writes.fetch_add(1, Ordering::Release);
        let added = keys
            .into_iter()
            .zip(located)
            .map(|(key, located)| (key, Some(Overlaid { located, claimed: false })));
        for (key, entry) in added.chain(gone.iter().map(|key| (*key, None))) {
            if let Some(Some(before)) = history.insert(key, entry)
                && !before.claimed
            {
                self.extents.lock().release(before.located.extent);
            }
        }
        Ok(())
    }

    /// How often history was written. Two looks that give the same number bracket a time in which what was found, and what was
    /// not, belongs together.
    pub fn history_writes(&self) -> u64 {
        self.history_writes.load(Ordering::Acquire)
    }

    /// Reads a history image: its bytes before compression.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn read_history(&self, key: MapKey) -> Result<Option<Vec<u8>>> {
        self.read_moving(key, |image, located| self.decode_history(key, image, located)).await
    }

    /// Reads several history images as one batch: their bytes before compression.
    ///
    /// # Errors
    /// As [`PageFile::read_history`].
    pub async fn read_histories(&self, keys: &[MapKey]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut located: Vec<Option<Located>> = Vec::with_capacity(keys.len());
        let mut alone: Vec<usize> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            located.push(self.locate(*key).await.unwrap_or_else(|_| {
                alone.push(index);
                None
            }));
        }
        let mut found: Vec<Option<Vec<u8>>> = vec![None; keys.len()];
        let places: Vec<(usize, Located)> =
            located.into_iter().enumerate().filter_map(|(index, place)| Some((index, place?))).collect();
        match read_extents(&*self.file, places.iter().map(|place| place.1.extent)).await {
            Ok(images) => {
                for ((index, place), image) in places.into_iter().zip(images) {
                    match self.decode_history(keys[index], &image, place) {
                        Ok(raw) => found[index] = Some(raw),
                        Err(_) => alone.push(index),
                    }
                }
            }
            Err(_) => alone.extend(places.iter().map(|place| place.0)),
        }
        // What moved meanwhile, or is damaged.
        for index in alone {
            found[index] = self.read_history(keys[index]).await?;
        }
        Ok(found)
    }

    fn decode_history(&self, key: MapKey, image: &[u8], located: Located) -> Result<Vec<u8>> {
        let (header, raw) = self.codec.decode(image, located.checksum)?;
        if header.key != key.page || header.kind != ImageKind::History as u8 {
            return Err(Error::Corruption(format!(
                "found another image in the place of history of page {}",
                key.page.page
            )));
        }
        Ok(raw)
    }

    /// The oldest sealed history of a page whose image is not older than `scn`.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn find_sealed(&self, page: PageKey, scn: Scn) -> Result<Option<MapKey>> {
        let from = MapKey::sealed_history(page, scn);
        let end = MapKey::open_history(page);
        let overlaid = {
            let history = self.history.lock();
            history.range(from..end).find(|entry| entry.1.is_some()).map(|entry| *entry.0)
        };
        let mut start = from;
        let mapped = loop {
            let superblock = self.superblock();
            let found = match self.map.seek(&self.io(), superblock.map, start).await {
                Err(_) if self.superblock.lock().generation != superblock.generation => continue,
                result => result?.map(|entry| entry.0),
            };
            let found = found.filter(|key| key.page == page && key.is_sealed());
            match found {
                // It is about to leave the map.
                Some(gone) if self.history.lock().get(&gone).is_some_and(Option::is_none) => {
                    start = MapKey { version: gone.version + 1, ..gone };
                }
                _ => break found,
            }
        };
        Ok([overlaid, mapped].into_iter().flatten().min())
    }

    /// For a checkpoint: takes over the history written so far. It is given to [`PageFile::checkpoint`].
    pub fn claim_history(&self) -> Vec<(MapKey, Option<Located>)> {
        let mut history = self.history.lock();
        let claimed = history.iter_mut().map(|(key, entry)| {
            let located = entry.as_mut().map(|overlaid| {
                overlaid.claimed = true;
                overlaid.located
            });
            (*key, located)
        });
        claimed.collect()
    }

    /// For a checkpoint at `scn`: the image of a page that left memory since the last one, if it is not newer.
    /// It then belongs to the checkpoint.
    pub fn claim(&self, key: PageKey, scn: Scn) -> Option<Located> {
        let mut overlay = self.overlay.lock();
        let overlaid = overlay.get_mut(&key).filter(|overlaid| overlaid.located.scn <= scn)?;
        overlaid.claimed = true;
        Some(overlaid.located)
    }

    /// Whether the newest image written since the last checkpoint is newer than `scn`.
    pub fn written_after(&self, key: PageKey, scn: Scn) -> bool {
        self.overlay.lock().get(&key).is_some_and(|overlaid| overlaid.located.scn > scn)
    }

    /// For a checkpoint: puts the images of one moment into a new map, and moves what lives in sparse blocks. Nothing
    /// is durable yet: end it with [`PageFile::checkpoint`].
    ///
    /// # Errors
    /// Those of the device. Nothing has changed then, but what was claimed is to be given back with
    /// [`PageFile::give_up`].
    pub async fn prepare(
        &self,
        images: Vec<(PageKey, Located)>,
        history: Vec<(MapKey, Option<Located>)>,
    ) -> std::result::Result<PreparedMap, (Error, GivenUp)> {
        let mut merged = self.merge(&images, &history).await;
        if merged.as_ref().is_err_and(|error| self.makes_room(error)) {
            merged = self.merge(&images, &history).await;
        }
        match merged {
            Ok(merged) => Ok(PreparedMap { merged, images, history }),
            Err(error) => Err((error, GivenUp { images, history })),
        }
    }

    async fn merge(
        &self,
        images: &[(PageKey, Located)],
        history: &[(MapKey, Option<Located>)],
    ) -> Result<Merged> {
        let newest = images.iter().map(|(key, located)| (MapKey::newest(*key), Some(*located)));
        let mut changes: Vec<_> = newest.chain(history.iter().copied()).collect();
        changes.sort_by_key(|change| change.0);
        let root = self.superblock.lock().map;
        let moved = self.clean(root, &changes).await?;
        if !moved.changes.is_empty() {
            changes.extend(moved.changes);
            changes.sort_by_key(|change| change.0);
        }
        let merged = self.map.merge(&self.io(), root, &changes, &self.extents).await;
        if merged.is_err() {
            self.release(moved.written);
        }
        merged
    }

    /// Takes back what a checkpoint that failed before its superblock had claimed: it stays in the overlay, for the
    /// next one.
    pub fn give_up(&self, given_up: GivenUp) {
        let mut unused = Vec::new();
        let mut overlay = self.overlay.lock();
        for (key, located) in given_up.images {
            match overlay.get_mut(&key).filter(|overlaid| overlaid.located == located) {
                Some(overlaid) => overlaid.claimed = false,
                // A newer one has taken its place meanwhile.
                None => unused.push(located.extent),
            }
        }
        drop(overlay);
        let mut history = self.history.lock();
        for (key, located) in given_up.history {
            let Some(located) = located else { continue };
            match history.get_mut(&key).and_then(Option::as_mut).filter(|entry| entry.located == located) {
                Some(overlaid) => overlaid.claimed = false,
                None => unused.push(located.extent),
            }
        }
        drop(history);
        self.release(unused);
    }

    /// Makes a prepared map and a new superblock durable, then frees what the map before had alone.
    /// `next` gets the present superblock and fills in what changes (map and generation are set here).
    ///
    /// # Errors
    /// Those of the device. The caller must stop using the folder: what is durable is unknown.
    pub async fn checkpoint(
        &self,
        prepared: PreparedMap,
        next: impl FnOnce(&mut Superblock) + Send,
    ) -> Result<()> {
        let PreparedMap { merged, images, history } = prepared;
        self.file.sync().await?;
        let mut superblock = self.superblock();
        next(&mut superblock);
        superblock.map = merged.root;
        superblock.generation += 1;
        superblock.write(&*self.file).await?;
        *self.superblock.lock() = superblock;
        self.branch_bytes.lock().apply(&merged.bytes);
        for images in images.chunks(LOCKED_MAX) {
            let mut overlay = self.overlay.lock();
            for (key, located) in images {
                if overlay.get(key).is_some_and(|overlaid| overlaid.located == *located) {
                    overlay.remove(key);
                }
            }
        }
        for history in history.chunks(LOCKED_MAX) {
            let mut overlaid = self.history.lock();
            for (key, located) in history {
                if overlaid.get(key).is_some_and(|entry| entry.map(|overlaid| overlaid.located) == *located) {
                    overlaid.remove(key);
                }
            }
        }
        self.release(merged.replaced);
        self.extents.lock().search_from_the_front();
        self.trim_if_worthwhile()
    }

    fn release(&self, unused: Vec<Extent>) {
        for unused in unused.chunks(LOCKED_MAX) {
            let mut extents = self.extents.lock();
            for extent in unused {
                self.map.forget(*extent);
                extents.release(*extent);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn waiting_extents(&self) -> Vec<Extent> {
        let (overlay, history) = (self.overlay.lock(), self.history.lock());
        let waiting = overlay.values().chain(history.values().flatten());
        waiting.map(|overlaid| overlaid.located.extent).collect()
    }

    /// How many images wait for a checkpoint: what they cost in memory is bounded by writing one.
    pub fn waiting_images(&self) -> usize {
        self.overlay.lock().len() + self.history.lock().len()
    }

    /// Sizes.
    ///
    /// # Errors
    /// Those of the device.
    pub fn usage(&self) -> Result<FileUsage> {
        let used_bytes = self.extents.lock().used_bytes();
        Ok(FileUsage { used_bytes, file_bytes: self.file.size()?, free_bytes: self.free_bytes() })
    }

    /// Gives the file's free end back to the file system.
    ///
    /// # Errors
    /// Those of the device.
    pub fn trim(&self) -> Result<()> {
        // Locked all the while: nobody may be given a place behind the new end.
        let mut extents = self.extents.lock();
        let end = extents.end();
        if self.file.size()? > end {
            self.file.set_size(end)?;
        }
        extents.forget_tail();
        Ok(())
    }

    fn trim_if_worthwhile(&self) -> Result<()> {
        let (end, blocks) = {
            let extents = self.extents.lock();
            (extents.end(), extents.blocks())
        };
        let file_bytes = (blocks + SUPERBLOCK_BLOCKS) * BLOCK_SIZE as u64;
        if file_bytes - end >= TRIM_BYTES_MIN.max(file_bytes / 8) { self.trim() } else { Ok(()) }
    }
}

/// What a checkpoint that failed had claimed; see [`PageFile::give_up`].
pub struct GivenUp {
    /// Images of pages.
    pub images: Vec<(PageKey, Located)>,
    /// History.
    pub history: Vec<(MapKey, Option<Located>)>,
}

/// The name of the data file in its folder.
pub const DATA_FILE: &str = "data";
