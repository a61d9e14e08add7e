//! The version store: what pages were before.
//!
//! 1. The undo ring keeps the reverse operations of recent commits in memory. [`Engine::flush_history`] takes what is
//!    there to the data file, page by page, before it is released.
//! 2. A page has at most one *open* history: records that lead back from its newest image. Flushing adds to it by
//!    writing it anew. Once it outweighs a page it is *sealed*: written together with an image of the page at its
//!    newer end, under that image's SCN, and never touched again. Where one flush finds more than a page's worth, it
//!    seals several, each of about that much and of whole commits.
//! 3. So any version is rebuilt from at most two reads — a sealed history, or the newest image and the open one — and
//!    about one page's worth of records ([`Engine::rebuild_old`]). It is then published as an old version, found like
//!    any page by those who read between its commit and the next.
//!
//! A history image holds the length of the page image (4, 0 for an open one) and the image: bytes at the front (4),
//! then those and the ones at the back; then the records, newest first, each SCN (8), the version it goes back to (8),
//! length (4), operations.
//!
//! Rows inserted leave no record: rows carry their writer's SCN.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use helios_bufferpool::{Encoded, ImageKind, MapKey, PageKey, Scn, page, pin};

use crate::engine::Engine;
use crate::error::{Error, Fault, FaultReason, Result};
use crate::view::{StepsBack, View};
use helios_btree::{PageRebuild, ReadPages, UndoOps};

/// History images written at once.
const BATCH_IMAGES: usize = 256;
const RECORD_HEADER_BYTES: usize = 20;

/// What [`Engine::flush_history`] has to write for one page.
struct PageHistory {
    /// Newest first.
    records: Vec<u8>,
    newest: Scn,
}

impl Engine {
    /// Takes all undo records before `end` to the data file. `as_of` is the state that images are taken from: no
    /// record before `end` is of a later commit.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn flush_history(&self, end: u64, as_of: Scn) -> Result<()> {
        let _one_at_a_time = self.flushing.lock().await;
        self.flush_history_locked(end, as_of).await
    }

    /// Makes a sealed history that only single moments need, `newest` the last and `oldest` the first of them, as short as
    /// these allow: an image as of the last one, and what leads back from there to the first.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn shorten_sealed(&self, sealed: MapKey, newest: Scn, oldest: Scn) -> Result<()> {
        let _one_at_a_time = self.flushing.lock().await;
        let Some(raw) = self.file.read_history(sealed).await? else { return Ok(()) };
        let contents = Contents::parse(&raw)?;
        let after_newest = records_after(contents.records, newest)?;
        let after_oldest = records_after(contents.records, oldest)?;
        let (later, needed) = contents.records[..after_oldest].split_at(after_newest.min(after_oldest));
        let page = step_back(&contents.page(self.pool.page_size())?, later, newest)?;
        let image = self.seal(sealed.page, newest, &page, needed).await?;
        self.file.write_history(vec![image], &[sealed]).await?;
        Ok(())
    }

    /// The same as [`Engine::flush_history`], for who holds `flushing`.
    pub(crate) async fn flush_history_locked(&self, end: u64, as_of: Scn) -> Result<()> {
        let start = self.persisted.load(Ordering::Acquire);
        if start >= end {
            return Ok(());
        }
        let mut images: Vec<(MapKey, Scn, Encoded)> = Vec::new();
        let mut gone: Vec<MapKey> = Vec::new();
        for (key, history) in self.collect_history(start, end) {
            self.flush_page(key, history, as_of, &mut images, &mut gone).await?;
            if images.len() >= BATCH_IMAGES {
                self.file.write_history(std::mem::take(&mut images), &gone).await?;
                gone.clear();
            }
        }
        self.file.write_history(images, &gone).await?;
        self.persisted.store(end, Ordering::Release);
        Ok(())
    }

    /// The records in a part of the ring, by page.
    fn collect_history(&self, start: u64, end: u64) -> BTreeMap<PageKey, PageHistory> {
        let mut spans: BTreeMap<PageKey, Vec<u64>> = BTreeMap::new();
        let guard = pin();
        let mut position = start;
        while position < end
            && let Some((record, next)) = self.ring.next(&guard, position)
        {
            // `next` skips the gap at the ring's end, so the record is where its own length says.
            let record_bytes = self.ring.record_bytes(&record);
            spans.entry(record.key).or_default().push(next - record_bytes);
            position = next;
        }
        let histories = spans.into_iter().map(|(key, positions)| {
            let mut history = PageHistory { records: Vec::new(), newest: Scn(0) };
            for position in positions.into_iter().rev() {
                let record = self.ring.get(&guard, position).expect("unflushed records are kept");
                history.newest = history.newest.max(record.scn);
                history.records.extend_from_slice(&record.scn.0.to_le_bytes());
                history.records.extend_from_slice(&record.restores.0.to_le_bytes());
                history.records.extend_from_slice(&(record.operations.len() as u32).to_le_bytes());
                history.records.extend_from_slice(record.operations);
            }
            (key, history)
        });
        histories.collect()
    }

    async fn flush_page(
        &self,
        key: PageKey,
        mut history: PageHistory,
        as_of: Scn,
        images: &mut Vec<(MapKey, Scn, Encoded)>,
        gone: &mut Vec<MapKey>,
    ) -> Result<()> {
        let open = MapKey::open_history(key);
        let open_before = self.file.read_history(open).await?;
        if let Some(open_before) = &open_before {
            history.records.extend_from_slice(Contents::parse(open_before)?.records);
        }
        // Part of a commit that is still being made can only be told from the rest by an image between them.
        let unfinished = history.newest > self.visible_scn();
        if !unfinished && history.records.len() <= self.pool.page_size() {
            let mut raw = Vec::with_capacity(history.records.len() + 4);
            raw.extend_from_slice(&0u32.to_le_bytes());
            raw.extend_from_slice(&history.records);
            let encoded = self.file.codec().encode(ImageKind::History, key, history.newest, &raw, 0);
            images.push((open, history.newest, encoded));
            return Ok(());
        }
        // The image of a commit that is still being made serves only those who read before it.
        let mut version = if unfinished { Scn(history.newest.0 - 1) } else { history.newest };
        let mut page = self.page_as_of(key, as_of).await?;
        let mut rest = &history.records[..];
        loop {
            let (records, older) = cut_records(rest, version, self.pool.page_size())?;
            images.push(self.seal(key, version, &page, records).await?);
            let Some(newest_older) = Records(older).next() else { break };
            // A page's worth of records leads to the next image, and no reader has to go further.
            version = newest_older?.0;
            page = step_back(&page, records, version)?;
            rest = older;
        }
        if open_before.is_some() {
            gone.push(open);
        }
        Ok(())
    }

    /// Makes a sealed history: a page as it was at `version`, and the records that lead back from there.
    async fn seal(
        &self,
        key: PageKey,
        version: Scn,
        page: &[u8],
        records: &[u8],
    ) -> Result<(MapKey, Scn, Encoded)> {
        let sealed = MapKey::sealed_history(key, version);
        // The earlier part of the same commit may have been sealed already.
        let sealed_before = self.file.read_history(sealed).await?;
        let (lower, upper) = (usize::from(page::lower(page)), usize::from(page::upper(page)));
        let back = &page[upper..page::content_end(page.len())];
        let mut raw = Vec::with_capacity(8 + lower + back.len() + records.len());
        raw.extend_from_slice(&((4 + lower + back.len()) as u32).to_le_bytes());
        raw.extend_from_slice(&(lower as u32).to_le_bytes());
        raw.extend_from_slice(&page[..lower]);
        raw.extend_from_slice(back);
        raw.extend_from_slice(records);
        if let Some(before) = &sealed_before {
            raw.extend_from_slice(Contents::parse(before)?.records);
        }
        let encoded = self.file.codec().encode(ImageKind::History, key, version, &raw, 0);
        Ok((sealed, version, encoded))
    }

    /// A page as it was at `scn`, or its newest version.
    async fn page_as_of(&self, key: PageKey, scn: Scn) -> Result<Box<[u8]>> {
        loop {
            let attempt =
                View::rebuilding(self, key.branch, scn).page(key.page).map(|bytes| bytes.to_vec().into());
            match attempt {
                Ok(bytes) => return Ok(bytes),
                Err(Fault(FaultReason::History(..))) => {
                    return Err(Error::Corruption(format!(
                        "undo records of page {} were released before they were written",
                        key.page
                    )));
                }
                Err(fault) => self.resolve(fault).await?,
            }
        }
    }

    /// Rebuilds a page as it was at `scn` and publishes it as an old version.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn rebuild_old(&self, key: PageKey, scn: Scn) -> Result<()> {
        let (back, reads) = self.steps_back(key, scn).await?;
        // Only now: what was freed meanwhile, the horizon passed before.
        self.check_kept(key.branch, scn)?;
        self.counters.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.counters.old_read_images_max.fetch_max(reads.images, Ordering::Relaxed);
        self.counters.old_read_bytes_max.fetch_max(reads.record_bytes, Ordering::Relaxed);
        let mut frame = self.allocate().await?;
        let next_row = back.rebuild.finish(frame.bytes_mut(), scn);
        // The version holds until the first change that was taken back, or the first row that was left out.
        let until = back.undone.into_iter().chain(next_row).min().unwrap_or(Scn(scn.0 + 1));
        if let Some(stamp) = self.pool.publish_if_absent(frame, key, scn, until) {
            self.admit_old(key, until, stamp);
        }
        Ok(())
    }

    /// The last commit up to `scn` that changed a leaf. Where that is not known exactly, a later one that changed nothing.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn version_of(&self, key: PageKey, scn: Scn) -> Result<Scn> {
        loop {
            let newest =
                View::new(self, key.branch, Scn::MAX).newest(key.page).map(|bytes| page::scn(&bytes));
            match newest {
                Ok(newest) if newest <= scn => return Ok(newest),
                Ok(_) => break,
                Err(fault) => self.resolve(fault).await?,
            }
        }
        let (back, _) = self.steps_back(key, scn).await?;
        self.check_kept(key.branch, scn)?;
        // What the branch's ancestors did left no records of its own.
        let inherited = self.origin(key.branch).await?.map(|origin| origin.scn.min(scn));
        let sealed = if back.is_at_end() { self.sealed_before(key, scn).await? } else { None };
        Ok(back.version(scn).max(inherited).max(sealed).unwrap_or(scn))
    }

    /// Where no record up to `scn` was met: the newest commit of which older histories have records.
    async fn sealed_before(&self, key: PageKey, scn: Scn) -> Result<Option<Scn>> {
        let (mut from, mut last) = (Scn(0), None);
        while let Some(sealed) =
            self.file.find_sealed(key, from).await?.filter(|sealed| sealed.version < scn.0)
        {
            // Part of the commit behind it may have been written while that was still being made.
            from = Scn(sealed.version + 1);
            last = Some(from);
        }
        Ok(last)
    }

    /// A page on its way back to `scn`, as far as it has to go.
    async fn steps_back(&self, key: PageKey, scn: Scn) -> Result<(StepsBack, OldRead)> {
        loop {
            let mut reads = OldRead::default();
            let writes = self.file.history_writes();
            let mut back = self.steps_back_from_newest(key, scn, &mut reads).await?;
            if back.reaches(scn) {
                return Ok((back, reads));
            }
            self.counters.history_reads.fetch_add(1, Ordering::Relaxed);
            self.steps_back_from_file(&mut back, key, scn, &mut reads).await?;
            // Between looking for a sealed history and for the open one, the open one may have been sealed; and a sealed one
            // may have been written anew before it was read.
            if self.file.history_writes() == writes {
                return Ok((back, reads));
            }
        }
    }

    /// Goes on in the data file where the undo ring ended.
    async fn steps_back_from_file(
        &self,
        back: &mut StepsBack,
        key: PageKey,
        scn: Scn,
        reads: &mut OldRead,
    ) -> Result<()> {
        // What is still in the ring was applied already; commits are released from it as a whole.
        let mut applied = back.undone;
        let raw = match self.file.find_sealed(key, scn).await? {
            Some(sealed) => {
                let raw = self.file.read_history(sealed).await?;
                if let Some(raw) = &raw {
                    *back = StepsBack::new(&Contents::parse(raw)?.page(self.pool.page_size())?);
                    applied = None;
                }
                raw
            }
            None => self.file.read_history(MapKey::open_history(key)).await?,
        };
        let Some(raw) = raw else { return Ok(()) };
        reads.images += 1;
        for record in Records(Contents::parse(&raw)?.records) {
            let (record_scn, restores, operations) = record?;
            if applied.is_some_and(|applied| record_scn >= applied) {
                continue;
            }
            if record_scn <= scn {
                back.stop_at(record_scn);
                break;
            }
            reads.record_bytes += operations.len() as u64;
            back.apply(record_scn, restores, operations);
        }
        Ok(())
    }

    async fn steps_back_from_newest(&self, key: PageKey, scn: Scn, reads: &mut OldRead) -> Result<StepsBack> {
        loop {
            {
                let guard = pin();
                let persisted = self.persisted.load(Ordering::Acquire);
                if let Some(newest) = self.pool.find_newest(&guard, key) {
                    let mut back = StepsBack::new(newest.bytes());
                    back.in_memory_to(&self.ring, &guard, scn, persisted);
                    return Ok(back);
                }
            }
            reads.images = 1;
            self.load(key).await?;
        }
    }
}

/// What putting an old version together took.
#[derive(Default)]
struct OldRead {
    /// Images read from the data file: the newest page, if it was not in memory, and one history.
    images: u64,
    /// Bytes of operations from there.
    record_bytes: u64,
}

/// A decoded history image.
struct Contents<'a> {
    image: &'a [u8],
    records: &'a [u8],
}

impl<'a> Contents<'a> {
    fn parse(raw: &'a [u8]) -> Result<Contents<'a>> {
        let damaged = || Error::Corruption("a history image has the wrong length".into());
        let (length, rest) = raw.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (image, records) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        Ok(Contents { image, records })
    }

    fn page(&self, page_size: usize) -> Result<Vec<u8>> {
        let damaged = || Error::Corruption("a history image has the wrong length".into());
        let (front_bytes, rest) = self.image.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (front, back) =
            rest.split_at_checked(u32::from_le_bytes(*front_bytes) as usize).ok_or_else(damaged)?;
        let end = page::content_end(page_size);
        if front.len() + back.len() > end {
            return Err(damaged());
        }
        let mut bytes = vec![0; page_size];
        bytes[..front.len()].copy_from_slice(front);
        bytes[end - back.len()..end].copy_from_slice(back);
        // Its undo chain is what follows the image, not what is in the ring.
        page::set_undo_position(&mut bytes, 0);
        page::set_from_device(&mut bytes);
        Ok(bytes)
    }
}

/// Cuts off the newest records: those of `version` and later, and about a page's worth, whole commits only.
fn cut_records(records: &[u8], version: Scn, page_size: usize) -> Result<(&[u8], &[u8])> {
    let mut rest = Records(records);
    let mut last = None;
    loop {
        let taken = records.len() - rest.0.len();
        let Some(next) = rest.next() else { return Ok((records, &[])) };
        let (scn, _, operations) = next?;
        let is_large = taken + operations.len() + RECORD_HEADER_BYTES > page_size;
        if is_large && scn < version && last.is_some_and(|last| scn < last) {
            return Ok(records.split_at(taken));
        }
        last = Some(scn);
    }
}

/// The length of those records, the first ones, that are of commits after `scn`.
fn records_after(records: &[u8], scn: Scn) -> Result<usize> {
    let mut rest = Records(records);
    loop {
        let length = records.len() - rest.0.len();
        match rest.next() {
            Some(record) if record.as_ref().is_ok_and(|record| record.0 <= scn) => return Ok(length),
            Some(record) => drop(record?),
            None => return Ok(length),
        }
    }
}

/// A page as it was at `version`, which `records` lead back to.
fn step_back(page: &[u8], records: &[u8], version: Scn) -> Result<Box<[u8]>> {
    let mut rebuild = PageRebuild::new(page);
    for record in Records(records) {
        UndoOps::new(record?.2).for_each(|operation| rebuild.apply(operation));
    }
    let mut bytes = vec![0; page.len()].into_boxed_slice();
    rebuild.finish(&mut bytes, version);
    Ok(bytes)
}

/// Walks over the records of a history image.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Scn, Scn, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let damaged = || Error::Corruption("a history image ends in the middle of a record".into());
        let Some((header, rest)) = self.0.split_at_checked(RECORD_HEADER_BYTES) else {
            self.0 = &[];
            return Some(Err(damaged()));
        };
        let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let length = u32::from_le_bytes(header[16..20].try_into().expect("four bytes")) as usize;
        let Some((operations, rest)) = rest.split_at_checked(length) else {
            self.0 = &[];
            return Some(Err(damaged()));
        };
        self.0 = rest;
        Some(Ok((Scn(u64_at(0)), Scn(u64_at(8)), operations)))
    }
}
