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

use helios_runtime::device::File;
use parking_lot::Mutex;

use crate::codec::{Codec, Encoded, ImageKind};
use crate::error::{Error, Result};
use crate::extents::{Extents, Packer};
use crate::ids::{PageKey, Scn};
use crate::page_map::{Located, MapIo, MapKey, PageMap, read_extent, write_run};
use crate::superblock::{SUPERBLOCK_BLOCKS, Superblock};

/// Images packed together into one run of blocks, in bytes.
const RUN_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Overlaid {
    located: Located,
    /// The running checkpoint puts it into the map, so it is not this overlay's to release.
    claimed: bool,
}

/// The data file of a folder.
pub struct PageFile {
    file: Arc<dyn File>,
    codec: Codec,
    map: PageMap,
    extents: Mutex<Extents>,
    overlay: Mutex<HashMap<PageKey, Overlaid>>,
    /// History written since the last checkpoint; `None` for what is to leave the map.
    history: Mutex<BTreeMap<MapKey, Option<Overlaid>>>,
    superblock: Mutex<Superblock>,
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
        let mut reached = Vec::new();
        page_file.map.walk(&page_file.io(), root, |extent| reached.push(extent)).await?;
        let file_bytes = page_file.file.size()?;
        let mut extents = page_file.extents.lock();
        for extent in reached {
            let beyond = extent.offset + u64::from(extent.length_bytes) > file_bytes;
            if beyond || extent.blocks().start < SUPERBLOCK_BLOCKS {
                return Err(Error::Corruption("the page map reaches outside the data file".into()));
            }
            extents.mark(extent);
        }
        drop(extents);
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
            superblock: Mutex::new(superblock),
        }
    }

    fn io(&self) -> MapIo<'_> {
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
        let mut seen: Option<(Located, Error)> = None;
        loop {
            let generation = self.superblock.lock().generation;
            let located = match self.locate(key).await {
                Ok(Some(located)) => located,
                Ok(None) => return Ok(false),
                // A checkpoint replaced the map while it was read, and its nodes' places were written anew.
                Err(_) if self.superblock.lock().generation != generation => continue,
                Err(error) => return Err(error),
            };
            if let Some((before, error)) = seen.take()
                && before == located
            {
                return Err(error);
            }
            let attempt = match read_extent(&*self.file, located.extent).await {
                Ok(image) => self.codec.decode_page(key, &image, located.checksum, page),
                Err(error) => Err(error),
            };
            match attempt {
                Ok(()) => return Ok(true),
                // The image may have moved while it was read, and its place been written anew: look again.
                Err(error) => seen = Some((located, error)),
            }
        }
    }

    async fn locate(&self, key: PageKey) -> Result<Option<Located>> {
        if let Some(overlaid) = self.overlay.lock().get(&key) {
            return Ok(Some(overlaid.located));
        }
        let root = self.superblock.lock().map;
        self.map.lookup(&self.io(), root, MapKey::newest(key)).await
    }

    /// Writes images to new extents, not yet durable. From then on [`PageFile::read`] finds them, unless a newer
    /// image of the page was written before.
    ///
    /// # Errors
    /// Those of the device; nothing has changed then.
    pub async fn write(
        &self,
        images: Vec<(PageKey, Scn, Encoded)>,
        for_checkpoint: bool,
    ) -> Result<Vec<(PageKey, Located)>> {
        let located = self.place(&images).await?;
        let located: Vec<(PageKey, Located)> =
            images.iter().zip(located).map(|((key, ..), located)| (*key, located)).collect();
        self.overlay(&located, for_checkpoint);
        Ok(located)
    }

    /// Writes images to new extents.
    async fn place(&self, images: &[(PageKey, Scn, Encoded)]) -> Result<Vec<Located>> {
        let mut located: Vec<Located> = Vec::with_capacity(images.len());
        let mut rest = images;
        while !rest.is_empty() {
            let mut packer = Packer::default();
            let mut count = 0;
            while count < rest.len() && packer.len_bytes() < RUN_BYTES {
                packer.add(&rest[count].2.bytes);
                count += 1;
            }
            let (offset, bytes, places) = packer.place(&mut self.extents.lock());
            if let Err(error) = write_run(&*self.file, offset, &bytes).await {
                let mut extents = self.extents.lock();
                let written = located.iter().map(|located| located.extent);
                places.into_iter().chain(written).for_each(|extent| extents.release(extent));
                return Err(error);
            }
            let (now, later) = rest.split_at(count);
            located.extend(now.iter().zip(places).map(|((_, scn, encoded), extent)| Located {
                scn: *scn,
                extent,
                checksum: encoded.checksum,
            }));
            rest = later;
        }
        Ok(located)
    }

    fn overlay(&self, located: &[(PageKey, Located)], for_checkpoint: bool) {
        let mut overlay = self.overlay.lock();
        for (key, located) in located {
            let newer = overlay.get(key).is_some_and(|overlaid| overlaid.located.scn > located.scn);
            if newer {
                // A checkpoint keeps its own list. An evicted page that has changed since was overtaken by a
                // checkpoint's image of it, and stays in memory.
                if !for_checkpoint {
                    self.extents.lock().release(located.extent);
                }
                continue;
            }
            let overlaid = Overlaid { located: *located, claimed: for_checkpoint };
            if let Some(before) = overlay.insert(*key, overlaid)
                && !before.claimed
            {
                self.extents.lock().release(before.located.extent);
            }
        }
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

    /// Reads a history image: its bytes before compression.
    ///
    /// # Errors
    /// Those of the device; [`Error::Corruption`].
    pub async fn read_history(&self, key: MapKey) -> Result<Option<Vec<u8>>> {
        loop {
            let generation = self.superblock.lock().generation;
            match self.try_read_history(key).await {
                // A checkpoint replaced the map, and places were written anew, meanwhile.
                Err(_) if self.superblock.lock().generation != generation => {}
                result => return result,
            }
        }
    }

    async fn try_read_history(&self, key: MapKey) -> Result<Option<Vec<u8>>> {
        let overlaid = self.history.lock().get(&key).copied();
        let located = match overlaid {
            Some(overlaid) => overlaid.map(|overlaid| overlaid.located),
            None => {
                let root = self.superblock.lock().map;
                self.map.lookup(&self.io(), root, key).await?
            }
        };
        let Some(located) = located else { return Ok(None) };
        let image = read_extent(&*self.file, located.extent).await?;
        let (header, raw) = self.codec.decode(&image, located.checksum)?;
        if header.key != key.page || header.kind != ImageKind::History as u8 {
            return Err(Error::Corruption(format!(
                "found another image in the place of history of page {}",
                key.page.page
            )));
        }
        Ok(Some(raw))
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
        let mapped = loop {
            let superblock = self.superblock();
            match self.map.seek(&self.io(), superblock.map, from).await {
                Err(_) if self.superblock.lock().generation != superblock.generation => {}
                result => break result?.map(|entry| entry.0),
            }
        };
        let mapped = mapped.filter(|key| key.page == page && key.is_sealed());
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

    /// Puts the images of one moment into the map, and makes them and the new superblock durable.
    /// `next` gets the present superblock and fills in what changes (map and generation are set here).
    ///
    /// # Errors
    /// Those of the device. The caller must stop using the folder: what is durable is unknown.
    pub async fn checkpoint(
        &self,
        images: Vec<(PageKey, Located)>,
        history: Vec<(MapKey, Option<Located>)>,
        next: impl FnOnce(&mut Superblock) + Send,
    ) -> Result<()> {
        let newest = images.iter().map(|(key, located)| (MapKey::newest(*key), Some(*located)));
        let mut changes: Vec<_> = newest.chain(history.iter().copied()).collect();
        changes.sort_by_key(|change| change.0);
        let mut superblock = self.superblock();
        let merged = self.map.merge(&self.io(), superblock.map, &changes, &self.extents).await?;
        self.file.sync().await?;
        next(&mut superblock);
        superblock.map = merged.root;
        superblock.generation += 1;
        superblock.write(&*self.file).await?;
        *self.superblock.lock() = superblock;
        let mut overlay = self.overlay.lock();
        for (key, located) in &images {
            if overlay.get(key).is_some_and(|overlaid| overlaid.located == *located) {
                overlay.remove(key);
            }
        }
        drop(overlay);
        let mut overlaid = self.history.lock();
        for (key, located) in &history {
            if overlaid.get(key).is_some_and(|entry| entry.map(|overlaid| overlaid.located) == *located) {
                overlaid.remove(key);
            }
        }
        drop(overlaid);
        let mut extents = self.extents.lock();
        for extent in merged.replaced {
            self.map.forget(extent);
            extents.release(extent);
        }
        Ok(())
    }

    /// Sizes.
    ///
    /// # Errors
    /// Those of the device.
    pub fn usage(&self) -> Result<FileUsage> {
        let extents = self.extents.lock();
        Ok(FileUsage {
            used_bytes: extents.used_bytes(),
            file_bytes: self.file.size()?,
            free_bytes: extents.free_blocks() * helios_runtime::device::BLOCK_SIZE as u64,
        })
    }

    /// Gives the file's free end back to the file system.
    ///
    /// # Errors
    /// Those of the device.
    pub fn trim(&self) -> Result<()> {
        let end = self.extents.lock().end();
        if self.file.size()? > end {
            self.file.set_size(end)?;
        }
        Ok(())
    }
}

/// The name of the data file in its folder.
pub const DATA_FILE: &str = "data";
