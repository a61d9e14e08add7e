//! How pages leave memory.
//!
//! 1. Clean pages leave at once, changed ones after their image has been written to a new extent. One evictor at a
//!    time, so images are written in the order of their versions.
//! 2. A page that leaves while its undo records are still in the ring leaves their position behind (`undo_heads`), for
//!    when it comes back; its bytes go to the compressed tier.
//! 3. Whoever takes one of the last frames wakes the background cleaner ([`Engine::clean_ahead`]), which frees a batch
//!    before the next one has to wait for it.
//! 4. Frames and compressed tier share their memory: `withheld` frames are out of use, and their bytes are the tier's.
//!    After each decision the tier's ghosts ask for, one step moves.
//! 5. On a full disk changed pages stay: clean ones leave, so reading goes on. A part of the frames is kept from changed pages, so that there
//!    always are some for that ([`Engine::bound_changed`]).
//!
//! Invariants: a page that is being loaded does not leave, so what a loader publishes is never older than what left; and
//! an image of a page that changed while it was written is forgotten, so it never hides the one that a checkpoint wrote
//! meanwhile.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use helios_bufferpool::{
    CacheKey, Decision, Encoded, PageFile, PageKey, Scn, Stamp, Timed, Totals, Verdict, page, pin,
};

use crate::engine::{EVICTION_BATCH, Engine, FRAMES_RESERVED, eviction_batch};
use crate::error::{Error, Result};
use crate::spill::is_temporary;
use crate::store::CompressedTierSize;

/// How often a small cache is looked through again when nothing can leave.
const WAITS_MAX: usize = 256;
/// In a smaller pool a step is not worth its trouble.
const SPLIT_FROM_FRAMES: usize = 128;
/// Of all frames, one in so many moves at a time, and one in [`SPLIT_MAX`] can in all.
const STEPS: usize = 16;
const SPLIT_MAX: usize = 2;

/// A changed page on its way out.
struct Leaving {
    key: PageKey,
    scn: Scn,
    stamp: Stamp,
    image: Encoded,
    /// The temporary file that it goes to, if not to the data file.
    file: Option<Arc<PageFile>>,
}

impl Engine {
    /// Lets pages leave memory until about `wanted` frames are free.
    ///
    /// # Errors
    /// Those of writing images; [`Error::OutOfMemory`] when nothing can leave.
    pub(crate) async fn free_frames(&self, wanted: usize) -> Result<()> {
        let _evicting = self.evicting.lock().await;
        let asked_for = self.tier_frames.load(Ordering::Relaxed).saturating_sub(self.pool.withheld_count());
        let missing = wanted.saturating_sub(self.pool.free_count());
        let more = asked_for.min(eviction_batch(self.pool.frame_count()));
        match self.evict(missing + more, true).await {
            Err(error) if error.is_want_of_space() => self.evict(missing, false).await?,
            result => result?,
        }
        self.move_split(wanted);
        if missing == 0 {
            // Free frames may still be waiting for readers on other threads.
            futures_lite::future::yield_now().await;
        }
        Ok(())
    }

    /// Frames that changed pages are kept out of.
    pub(crate) fn frames_for_reading(&self) -> usize {
        self.pool.frame_count() / 16
    }

    /// Writes changed pages where there are so many that a commit which changes `pages` would leave too few frames for reading; as many
    /// as there are, if that is not enough.
    ///
    /// # Errors
    /// Those of writing; a full disk above all.
    pub(crate) async fn bound_changed(&self, pages: usize) -> Result<()> {
        // At most half of the frames are the compressed tier's.
        if !self.is_durable || self.pool.dirty_count() + pages < self.pool.frame_count() / SPLIT_MAX / 2 {
            return Ok(());
        }
        let writing: Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> =
            Box::pin(self.write_changed(pages));
        writing.await
    }

    async fn write_changed(&self, pages: usize) -> Result<()> {
        loop {
            let excess = self.changed_beyond(self.frames_for_reading(), pages);
            if excess == 0 {
                return Ok(());
            }
            let evicting = self.evicting.lock().await;
            let mut changed: Vec<Leaving> = Vec::new();
            let tries_max = 4 * self.pool.frame_count() + 64;
            let left =
                self.replacement.evict(excess.min(EVICTION_BATCH), tries_max, |candidate, from_small| {
                    let is_dirty = {
                        let guard = pin();
                        let frame = self.pool.peek(&guard, candidate.page, candidate.until);
                        frame.is_some_and(|frame| frame.is_dirty())
                    };
                    match is_dirty {
                        true => self.judge(candidate, from_small, true, &mut changed),
                        false => Verdict::Busy,
                    }
                });
            self.write_and_leave(changed).await?;
            drop(evicting);
            if left == 0 {
                return Ok(());
            }
            // Others of this thread, and those who commit meanwhile.
            futures_lite::future::yield_now().await;
        }
    }

    /// How many changed pages too many there are with `pages` more, if `kept` frames are to be kept from them. A commit that needs more than
    /// half of the frames lets pages leave on its way.
    pub(crate) fn changed_beyond(&self, kept: usize, pages: usize) -> usize {
        let frames = self.pool.frame_count() - self.pool.withheld_count();
        (self.pool.dirty_count() + pages.min(frames / 2)).saturating_sub(frames.saturating_sub(kept))
    }

    async fn evict(&self, count: usize, may_write: bool) -> Result<()> {
        let mut changed: Vec<Leaving> = Vec::new();
        let tries_max = 4 * self.pool.frame_count() + 64;
        let mut waits = 0;
        loop {
            let evicted = self.replacement.evict(count, tries_max, |candidate, from_small| {
                self.judge(candidate, from_small, may_write, &mut changed)
            });
            if evicted > 0 || count == 0 || self.pool.free_count() > FRAMES_RESERVED {
                break;
            }
            if may_write && waits < WAITS_MAX {
                // In a small cache a commit and a transaction that spills may hold all there is as private copies. They
                // publish them, or give them back, before they wait for anything.
                waits += 1;
                futures_lite::future::yield_now().await;
                continue;
            }
            return Err(match may_write {
                true => Error::OutOfMemory("all pages in memory are in use: enlarge cache_size".into()),
                false => Error::disk_full("changed pages cannot leave memory"),
            });
        }
        self.write_and_leave(changed).await
    }

    /// Writes changed pages and lets them leave. Behind a pointer, as [`Engine::resolve`].
    fn write_and_leave(
        &self,
        changed: Vec<Leaving>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(self.write_then_leave(changed))
    }

    async fn write_then_leave(&self, changed: Vec<Leaving>) -> Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let written: Vec<(PageKey, Stamp)> = changed.iter().map(|page| (page.key, page.stamp)).collect();
        let readmit = Readmit { engine: self, pages: written };
        self.write_leaving(changed).await?;
        let written = readmit.take();
        self.counters.pages_written.fetch_add(written.len() as u64, Ordering::Relaxed);
        for (key, stamp) in written {
            let guard = pin();
            let frame = self.pool.peek(&guard, key, Scn::MAX).filter(|frame| frame.stamp() == stamp);
            let left = frame.is_some_and(|frame| {
                frame.mark_clean();
                self.evict_clean(key, stamp, frame.bytes())
            });
            if !left {
                // It changed while it was written.
                self.admit(key);
            }
        }
        Ok(())
    }

    async fn write_leaving(&self, changed: Vec<Leaving>) -> Result<()> {
        let stamps: HashMap<PageKey, Stamp> = changed.iter().map(|page| (page.key, page.stamp)).collect();
        let is_newest = |key: PageKey| {
            let guard = pin();
            let frame = self.pool.peek(&guard, key, Scn::MAX);
            frame.is_some_and(|frame| stamps.get(&key) == Some(&frame.stamp()))
        };
        let mut images = Vec::with_capacity(changed.len());
        let mut temporary_images = Vec::new();
        let mut temporary_file = None;
        for page in changed {
            let image = (page.key, page.scn, page.image);
            match page.file {
                // Pages that live have the same file.
                Some(file) => {
                    temporary_images.push(image);
                    temporary_file = Some(file);
                }
                None => images.push(image),
            }
        }
        self.file.write(images, is_newest).await?;
        if let Some(file) = temporary_file {
            self.temporary.write(&file, temporary_images, is_newest).await?;
        }
        Ok(())
    }

    /// Says that a page has come into memory.
    pub(crate) fn admit(&self, key: PageKey) {
        self.admit_version(CacheKey { page: key, until: Scn::MAX }, None);
    }

    /// Says that an old version has come into memory, by this publication.
    pub(crate) fn admit_old(&self, key: PageKey, until: Scn, stamp: Stamp) {
        self.admit_version(CacheKey { page: key, until }, Some(stamp));
    }

    fn admit_version(&self, version: CacheKey, stamp: Option<Stamp>) {
        self.replacement.admit(version, stamp, |version, stamp| {
            let guard = pin();
            let there = self.pool.peek(&guard, version.page, version.until);
            there.is_some_and(|frame| stamp.is_none_or(|stamp| frame.stamp() == stamp))
        });
    }

    /// Decides about one candidate. A changed page's image joins `changed`: it leaves the queues now, and memory
    /// once it is written.
    fn judge(
        &self,
        candidate: CacheKey,
        from_small: bool,
        may_write: bool,
        changed: &mut Vec<Leaving>,
    ) -> Verdict {
        let guard = pin();
        let Some(frame) = self.pool.peek(&guard, candidate.page, candidate.until) else {
            return Verdict::Gone;
        };
        if frame.age(from_small) > u8::from(from_small) {
            return Verdict::Used;
        }
        if self.loading.lock().contains_key(&candidate.page) {
            return Verdict::Busy;
        }
        if !frame.is_dirty() {
            let left = match candidate.until {
                Scn::MAX => self.evict_clean(candidate.page, frame.stamp(), frame.bytes()),
                _ => self.remove(candidate.page, frame.stamp()),
            };
            return if left { Verdict::Evicted } else { Verdict::Busy };
        }
        if !may_write {
            return Verdict::Busy;
        }
        if changed.iter().any(|page| page.key == candidate.page) {
            return Verdict::Gone;
        }
        let file = match is_temporary(candidate.page.branch) {
            true => match self.temporary.file() {
                Some(file) => Some(file),
                None => return Verdict::Gone,
            },
            false => None,
        };
        let codec = file.as_ref().map_or(self.file.codec(), |file| file.codec());
        let image = codec.encode_page(candidate.page, frame.bytes());
        changed.push(Leaving { key: candidate.page, scn: frame.from(), stamp: frame.stamp(), image, file });
        Verdict::Evicted
    }

    fn evict_clean(&self, key: PageKey, stamp: Stamp, bytes: &[u8]) -> bool {
        let undo_position = page::undo_position(bytes);
        // Before the page is gone: whoever loads it again must find this.
        let keeps_head = undo_position != 0 && undo_position >= self.ring.tail();
        if keeps_head {
            self.undo_heads.lock().insert(key, undo_position);
        }
        let tier = self.tier.as_ref().filter(|_| !is_temporary(key.branch));
        if let Some(tier) = tier {
            let started = self.clock.now_micros();
            tier.keep(key, bytes);
            if tier.capacity_bytes() > 0 {
                tier.note_time(Timed::Keep, self.clock.now_micros().saturating_sub(started));
            }
        }
        let removed = self.remove(key, stamp);
        if !removed {
            if keeps_head {
                self.undo_heads.lock().remove(&key);
            }
            if let Some(tier) = tier {
                tier.forget(key);
            }
        }
        removed
    }

    fn remove(&self, key: PageKey, stamp: Stamp) -> bool {
        let removed = self.pool.remove_clean(key, stamp);
        if removed {
            self.counters.evictions.fetch_add(1, Ordering::Relaxed);
        }
        removed
    }

    /// Moves memory between frames and compressed tier, as decided.
    fn move_split(&self, keep_free: usize) {
        let Some(tier) = &self.tier else { return };
        let frames = self.pool.frame_count();
        if frames < SPLIT_FROM_FRAMES {
            return;
        }
        let (step, asked_for) = (frames / STEPS, self.tier_frames.load(Ordering::Relaxed));
        let decision = match self.options.compressed_tier {
            CompressedTierSize::Adaptive => tier.decide(|| Totals {
                hits: self.pool.hits(),
                device_reads: self.counters.faults.load(Ordering::Relaxed),
                tier_hits: tier.hits(),
            }),
            _ => Decision::Stay,
        };
        match decision {
            Decision::Grow if asked_for + step <= frames / SPLIT_MAX => {
                self.tier_frames.store(asked_for + step, Ordering::Relaxed);
            }
            Decision::Shrink => self.tier_frames.store(asked_for.saturating_sub(step), Ordering::Relaxed),
            _ => {}
        }
        let asked_for = self.tier_frames.load(Ordering::Relaxed);
        let withheld = self.pool.withheld_count();
        let page_bytes = self.pool.page_size() as u64;
        if withheld < asked_for {
            let taken = self.pool.withhold(asked_for - withheld, keep_free);
            tier.set_capacity((withheld + taken) as u64 * page_bytes);
        } else if withheld > asked_for {
            // The tier gives its bytes up before the frames take them.
            tier.set_capacity(asked_for as u64 * page_bytes);
            self.pool.restore(withheld - asked_for);
        }
    }

    /// Says that a frame was taken, so that the background cleaner does its work in time.
    pub(crate) fn note_taken(&self) {
        if self.pool.free_count() <= FRAMES_RESERVED + eviction_batch(self.pool.frame_count())
            && let Some(waker) = self.cleaner.lock().take()
        {
            waker.wake();
        }
    }

    /// Frees frames ahead of demand, for ever.
    ///
    /// # Errors
    /// Those of writing images.
    pub(crate) async fn clean_ahead(&self) -> Result<()> {
        let batch = eviction_batch(self.pool.frame_count());
        let mut is_stuck = false;
        loop {
            poll_fn(|context| {
                *self.cleaner.lock() = Some(context.waker().clone());
                // On a full disk only until the next frame is taken: there may be room by then.
                let waits = std::mem::take(&mut is_stuck);
                match !waits && self.pool.free_count() <= FRAMES_RESERVED + batch {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            match self.free_frames(FRAMES_RESERVED + 3 * batch).await {
                Err(error) if error.is_want_of_space() => is_stuck = true,
                freed => freed?,
            }
        }
    }
}

/// Pages that have left the queues and not yet memory: should their writing fail or be given up, they go back.
struct Readmit<'e> {
    engine: &'e Engine,
    pages: Vec<(PageKey, Stamp)>,
}

impl Readmit<'_> {
    fn take(mut self) -> Vec<(PageKey, Stamp)> {
        std::mem::take(&mut self.pages)
    }
}

impl Drop for Readmit<'_> {
    fn drop(&mut self) {
        self.pages.drain(..).for_each(|(key, _)| self.engine.admit(key));
    }
}
