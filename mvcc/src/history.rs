//! The version store: what pages were before.
//!
//! 1. The undo ring keeps the reverse operations of recent commits in memory. [`Engine::flush_history`] takes what is
//!    there to the data file, page by page, before it is released.
//! 2. A page has at most one *open* history: records that lead back from its newest image. Flushing adds to it by
//!    writing it anew. Where it outweighs a page, so much of it as fills pages, from its older end, is *sealed*: each
//!    page's worth of whole commits is written together with an image of the page at its newer end, under that image's
//!    SCN, and never touched again. So there is no image for less than a page's worth of records, but where part of a
//!    commit that is still being made had to be written.
//! 3. So any version is rebuilt from at most two reads — a sealed history, or the newest image and the open one — and
//!    one page's worth of records, with the whole of the commit that completes it ([`Engine::rebuild_old`]). It is then published as an old version, found like
//!    any page by those who read between its commit and the next.
//!
//! What its bytes are is in `history_image`. Rows inserted leave no record: rows carry their writer's SCN.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use helios_bufferpool::{Encoded, ImageKind, MapKey, PageKey, Scn, page, pin};

use crate::engine::Engine;
use crate::error::{Error, Fault, FaultReason, Result};
use crate::history_image::{
    Contents, Records, cut, newest_of, open_image, push_record, records_after, sealed_image,
};
use crate::view::{StepsBack, View};
use helios_btree::{PageRebuild, ReadPages, check_page};

/// History images read, and written, at once.
const BATCH_IMAGES: usize = 256;

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
        let after_newest = records_after(&contents.records, newest)?;
        let after_oldest = records_after(&contents.records, oldest)?;
        let (later, needed) = contents.records[..after_oldest].split_at(after_newest.min(after_oldest));
        let page = step_back(sealed.page, &contents.page(self.pool.page_size())?, later, newest)?;
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
        let mut histories = self.collect_history(start, end).into_iter();
        loop {
            let batch: Vec<(PageKey, PageHistory)> = histories.by_ref().take(BATCH_IMAGES).collect();
            if batch.is_empty() {
                break;
            }
            let open: Vec<MapKey> = batch.iter().map(|(key, _)| MapKey::open_history(*key)).collect();
            let open_before = self.file.read_histories(&open).await?;
            for ((key, history), open_before) in batch.into_iter().zip(open_before) {
                self.flush_page(key, history, open_before, as_of, (&mut images, &mut gone)).await?;
                // Pages that are sealed have several.
                if images.len() >= BATCH_IMAGES {
                    self.file.write_history(std::mem::take(&mut images), &std::mem::take(&mut gone)).await?;
                }
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
                push_record(record.scn, record.restores, record.operations, &mut history.records);
            }
            (key, history)
        });
        histories.collect()
    }

    async fn flush_page(
        &self,
        key: PageKey,
        mut history: PageHistory,
        open_before: Option<Vec<u8>>,
        as_of: Scn,
        (images, gone): (&mut Vec<(MapKey, Scn, Encoded)>, &mut Vec<MapKey>),
    ) -> Result<()> {
        let open = MapKey::open_history(key);
        if let Some(open_before) = &open_before {
            history.records.extend_from_slice(&Contents::parse(open_before)?.records);
        }
        // Part of a commit that is still being made can only be told from the rest by an image between them.
        let unfinished = history.newest > self.visible_scn();
        let page_size = self.pool.page_size();
        // The image of a commit that is still being made serves only those who read before it.
        let mut version = if unfinished { Scn(history.newest.0 - 1) } else { history.newest };
        // What fills no page stays open.
        let starts = cut(&history.records, page_size, unfinished.then_some(version))?;
        let first = starts.first().copied().unwrap_or(history.records.len());
        let records = &history.records[..first];
        if !records.is_empty() {
            let raw = open_image(records);
            let encoded = self.file.codec().encode(ImageKind::History, key, history.newest, &raw, 0);
            images.push((open, history.newest, encoded));
        } else if open_before.is_some() {
            gone.push(open);
        }
        if starts.is_empty() {
            return Ok(());
        }
        let mut page = self.page_as_of(key, as_of).await?;
        let mut newer = records;
        let ends = starts.iter().skip(1).copied().chain([history.records.len()]);
        for (start, end) in starts.iter().copied().zip(ends) {
            let records = &history.records[start..end];
            if !newer.is_empty() {
                // What is newer leads to this image, and no reader has to go further.
                version = newest_of(records)?;
                page = step_back(key, &page, newer, version)?;
            }
            images.push(self.seal(key, version, &page, records).await?);
            newer = records;
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
        let mut raw = sealed_image(page, records);
        if let Some(before) = &sealed_before {
            raw.extend_from_slice(&Contents::parse(before)?.records);
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
        let finished = back.rebuild.finish(frame.bytes_mut(), scn);
        let next_row = finished.and_then(|next_row| {
            // Records in the ring are this program's own, and so is what they lead to.
            if reads.images > 0 { check_page(frame.bytes()).map(|()| next_row) } else { Ok(next_row) }
        });
        let next_row = next_row.map_err(|what| Error::damaged(key, what))?;
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
        for record in Records(&Contents::parse(&raw)?.records) {
            let (record_scn, restores, operations) = record?;
            if applied.is_some_and(|applied| record_scn >= applied) {
                continue;
            }
            if record_scn <= scn {
                back.stop_at(record_scn);
                break;
            }
            reads.record_bytes += operations.len() as u64;
            back.apply(record_scn, restores, operations).map_err(|what| Error::damaged(key, what))?;
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
                    back.in_memory_to(&self.ring, &guard, scn, persisted)
                        .map_err(|what| Error::damaged(key, what))?;
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

/// A page as it was at `version`, which `records` lead back to.
fn step_back(key: PageKey, page: &[u8], records: &[u8], version: Scn) -> Result<Box<[u8]>> {
    let damaged = |what| Error::damaged(key, what);
    let mut rebuild = PageRebuild::new(page);
    for record in Records(records) {
        let (undone, _, operations) = record?;
        rebuild.apply_all(undone, operations).map_err(damaged)?;
    }
    let mut bytes = vec![0; page.len()].into_boxed_slice();
    rebuild.finish(&mut bytes, version).map_err(damaged)?;
    Ok(bytes)
}
