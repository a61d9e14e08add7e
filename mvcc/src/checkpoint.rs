//! Checkpoints: everything up to one commit goes to the data file, so that the log before it is not needed.
//!
//! 1. The times of the commits so far become rows, as a last commit. At this group boundary C the list of changed pages is taken over; from then on changes are listed anew.
//! 2. Each page is read as of C — going back through its undo records if it has changed since — and its image is
//!    written to a new extent. Commits and reads go on meanwhile.
//! 3. The page file makes images, map and superblock durable, in that order; then the log before C is released.
//!
//! One that fails for want of space before the superblock, or is dropped, gives back what it took over
//! ([`Attempt`]): the next one begins where it began. Any other failure ends writing for good.

use std::future::{Future, poll_fn};
use std::pin::pin as pin_future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use helios_btree::ReadPages;
use helios_bufferpool::{
    COMMITS_IN_PIECES, Encoded, GivenUp, HISTORY_CUT, HISTORY_PACKED, Located, PageKey, Scn, page, pin,
};

use crate::commit::{CommitState, drive, index_commits};
use crate::engine::{Engine, UndoPin};
use crate::error::{Error, Fault, FaultReason, Result};
use crate::shared_work::{Progress, Told, Work};
use crate::view::View;

/// Images encoded before they are written.
const BATCH_PAGES: usize = 128;
/// What one changed page costs in memory until the next checkpoint is done: its entries in the list of changed
/// pages, in the overlay of the map, and in the lists of a checkpoint, for the page and for its history.
const WAITING_BYTES: usize = 512;

impl Engine {
    /// How many changed pages may wait for a checkpoint before one is due. A sixteenth of the cache is theirs.
    pub(crate) fn waiting_max(&self) -> usize {
        self.options.cache_size_bytes / 16 / WAITING_BYTES
    }

    /// Whether so many changed pages wait for a checkpoint that one is due.
    pub(crate) fn waiting_reaches(&self, count: usize) -> bool {
        self.dirty.lock().len() >= count || self.file.waiting_images() >= count
    }

    /// Lets a commit that comes when too many changed pages wait write the checkpoint itself.
    pub(crate) async fn bound_waiting(self: &Arc<Self>) -> Result<()> {
        if self.is_durable && self.waiting_reaches(2 * self.waiting_max()) {
            let _one_at_a_time = self.checkpointing.lock().await;
            // Whoever wrote one meanwhile did it for all.
            if self.waiting_reaches(2 * self.waiting_max()) {
                return self.checkpoint(false).await;
            }
        }
        Ok(())
    }

    /// Writes a checkpoint, after the one that is being written. `clean` says that nothing is committed after it.
    /// Once begun it comes to its end, also when this future is dropped.
    ///
    /// # Errors
    /// Those of the device; after one that is not just want of space no more commits are accepted.
    pub(crate) async fn checkpoint(self: &Arc<Self>, clean: bool) -> Result<()> {
        let outcome = Told::new();
        let (engine, told) = (self.clone(), outcome.clone());
        let mut waiting_work: Option<Work> =
            Some(Box::pin(async move { told.tell(engine.checkpoint_alone(clean).await) }));
        let _waiting = self.checkpoint_work.wait(&self.tender);
        poll_fn(|context| {
            loop {
                let progress = self.checkpoint_work.poll(context, || waiting_work.take());
                if let Some(result) = outcome.poll(context) {
                    self.checkpoint_work.wake();
                    return Poll::Ready(result);
                }
                match progress {
                    Progress::Busy => return Poll::Pending,
                    // It was another one's, and the next may begin.
                    Progress::Idle if waiting_work.is_some() => self.checkpoint_work.wake(),
                    Progress::Idle | Progress::Panicked => {
                        let error = Error::Poisoned("a checkpoint panicked".into());
                        self.poison(&error);
                        self.checkpoint_work.wake();
                        return Poll::Ready(Err(error));
                    }
                }
            }
        })
        .await
    }

    async fn checkpoint_alone(self: &Arc<Self>, clean: bool) -> Result<()> {
        self.check_poisoned()?;
        let mut attempt = Attempt { engine: self, dirty: Vec::new(), claimed: Claimed::None };
        let result = self.write_checkpoint(clean, &mut attempt).await;
        if let Err(error) = &result
            && !(attempt.can_be_repeated() && error.is_want_of_space())
        {
            self.poison(error);
        }
        result
    }

    async fn write_checkpoint(self: &Arc<Self>, clean: bool, attempt: &mut Attempt<'_>) -> Result<()> {
        let Some(Taken { boundary, dirty, undo_pin, flushing }) = self.take_boundary().await? else {
            return Ok(());
        };
        attempt.dirty = dirty;
        self.flush_history_locked(boundary.undo_end, boundary.scn).await?;
        attempt.claimed = Claimed::Early(GivenUp { images: Vec::new(), history: self.file.claim_history() });
        drop(flushing);
        self.write_pages(boundary.scn, attempt).await?;
        let Claimed::Early(GivenUp { images, history }) =
            std::mem::replace(&mut attempt.claimed, Claimed::Late)
        else {
            unreachable!("the attempt holds what was claimed just now");
        };
        let prepared = match self.file.prepare(images, history).await {
            Ok(prepared) => prepared,
            Err((error, given_up)) => {
                attempt.claimed = Claimed::Early(given_up);
                return Err(error.into());
            }
        };
        self.file
            .checkpoint(prepared, |superblock| {
                superblock.scn = boundary.scn;
                superblock.time_micros = boundary.time_micros;
                superblock.next_page = boundary.next_page;
                superblock.next_xid = boundary.next_xid;
                superblock.next_tree = boundary.next_tree;
                superblock.next_branch = boundary.next_branch;
                superblock.clean = clean;
                if self.retention.has_cut() {
                    superblock.features[2] |= HISTORY_CUT;
                }
                if self.file.history_writes() > 0 {
                    superblock.features[2] |= HISTORY_PACKED;
                }
                // Nothing comes behind a clean end, so earlier programs may open the folder then.
                superblock.features[2] &= !COMMITS_IN_PIECES;
                if !clean {
                    superblock.features[2] |= COMMITS_IN_PIECES;
                }
                superblock.log_identity = self.log_identity.load(Ordering::Relaxed);
                // 0: nothing to replay, and no segment that has to be there.
                superblock.log_lsn = boundary.log_lsn.unwrap_or(0);
            })
            .await?;
        attempt.claimed = Claimed::None;
        attempt.dirty = Vec::new();
        // A commit may be waiting for room in the undo ring, and holds what is locked next.
        drop(undo_pin);
        if self.ring.used_bytes() > self.ring.size_bytes() / 2 {
            // Before a commit finds the ring full, and has to.
            self.release_undo();
        }
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        if let Some(lsn) = boundary.log_lsn {
            let mut guard = self.lock_pipeline().await;
            if let Some(log) = guard.as_mut().and_then(|state| state.log.as_mut()) {
                log.release_before(lsn)?;
            }
        }
        // Not before the folder is a database, or its log has begun.
        if boundary.log_lsn.is_some() { self.renew_reserve().await } else { Ok(()) }
    }

    /// Ends what is committed so far, between two groups. It is work of the pipeline, so commits that come while it
    /// waits do it themselves.
    async fn take_boundary(self: &Arc<Self>) -> Result<Option<Taken>> {
        let outcome = Told::new();
        let (engine, told) = (self.clone(), outcome.clone());
        *self.pipeline.before_next.lock() =
            Some(Box::pin(async move { told.tell(engine.boundary_now().await) }));
        poll_fn(|context| {
            drive(self, context);
            match outcome.poll(context) {
                Some(taken) => Poll::Ready(taken),
                None => {
                    self.check_poisoned().map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
                }
            }
        })
        .await
    }

    async fn boundary_now(self: Arc<Self>) -> Result<Option<Taken>> {
        let mut guard = self.pipeline.state.lock().await;
        let Some(state) = guard.as_mut() else { return Ok(None) };
        index_commits(&self, state).await?;
        let boundary = self.boundary(state);
        let dirty = std::mem::take(&mut *self.dirty.lock());
        // Before the next commit: what it changes must be undone for the images, and its history must not be among
        // what this checkpoint claims. Only commits flush history, and none is at work now.
        let flushing = self.flushing.lock_arc().await;
        Ok(Some(Taken { boundary, dirty, undo_pin: self.pin_undo(), flushing }))
    }

    /// The state of the commits, driving the group at work meanwhile: those who wait for it may have gone away.
    pub(crate) async fn lock_pipeline<'e>(
        self: &'e Arc<Self>,
    ) -> async_lock::MutexGuard<'e, Option<CommitState>> {
        let mut lock = pin_future!(self.pipeline.state.lock());
        poll_fn(|context| {
            drive(self, context);
            lock.as_mut().poll(context)
        })
        .await
    }

    fn boundary(&self, state: &CommitState) -> Boundary {
        let mark = self.dirty_mark.load(Ordering::Relaxed);
        self.dirty_mark.store(if mark == 255 { 1 } else { mark + 1 }, Ordering::Relaxed);
        Boundary {
            scn: state.last_scn,
            time_micros: state.last_time,
            next_page: state.workspace.next_page,
            next_xid: self.next_xid.load(Ordering::Relaxed),
            next_tree: self.next_tree.load(Ordering::Relaxed),
            next_branch: self.next_branch.load(Ordering::Relaxed),
            log_lsn: state.log.as_ref().map(|log| log.next_lsn()),
            undo_end: self.ring.head(),
        }
    }

    /// Writes the images of the attempt's pages as of `scn`, or claims those that are written already.
    async fn write_pages(&self, scn: Scn, attempt: &mut Attempt<'_>) -> Result<()> {
        attempt.dirty.sort_unstable();
        attempt.dirty.dedup();
        let mut batch: Vec<(PageKey, Scn, Encoded)> = Vec::new();
        for index in 0..attempt.dirty.len() {
            let key = attempt.dirty[index];
            // Its image may have left memory, or been written ahead, since the last checkpoint. Right after the look a
            // newer one may have taken its place; then the page is put together as any other.
            if !self.must_write(key, scn)
                && let Some(located) = self.file.claim(key, scn)
            {
                attempt.claim([(key, located)]);
                continue;
            }
            let (version, encoded) = self.image_as_of(key, scn).await?;
            batch.push((key, version, encoded));
            if batch.len() == BATCH_PAGES {
                let written = self.write_images(std::mem::take(&mut batch)).await?;
                attempt.claim(written);
            }
        }
        let written = self.write_images(batch).await?;
        attempt.claim(written);
        Ok(())
    }

    /// Whether the image of a page as of `scn` is not in the data file yet.
    fn must_write(&self, key: PageKey, scn: Scn) -> bool {
        let guard = pin();
        match self.pool.peek(&guard, key, Scn::MAX) {
            Some(frame) => frame.is_dirty() || frame.from() > scn,
            None => self.file.written_after(key, scn),
        }
    }

    async fn write_images(&self, batch: Vec<(PageKey, Scn, Encoded)>) -> Result<Vec<(PageKey, Located)>> {
        let written: Vec<(PageKey, Scn)> = batch.iter().map(|(key, scn, _)| (*key, *scn)).collect();
        let images = self.file.write_for_checkpoint(batch).await?;
        self.counters.pages_written.fetch_add(images.len() as u64, Ordering::Relaxed);
        for (key, scn) in written {
            let guard = pin();
            let frame = self.pool.peek(&guard, key, Scn::MAX);
            // No commit behind the boundary has this SCN, so this is the version that was written.
            if let Some(frame) = frame.filter(|frame| frame.from() == scn) {
                frame.mark_clean();
            }
        }
        Ok(images)
    }

    async fn image_as_of(&self, key: PageKey, scn: Scn) -> Result<(Scn, Encoded)> {
        loop {
            let attempt = {
                let view = View::rebuilding(self, key.branch, scn);
                view.page(key.page)
                    .map(|bytes| (page::scn(&bytes), self.file.codec().encode_page(key, &bytes)))
            };
            match attempt {
                Ok(image) => return Ok(image),
                Err(Fault(FaultReason::History(..))) => {
                    return Err(Error::Corruption(format!(
                        "undo records of page {} were released during a checkpoint",
                        key.page
                    )));
                }
                Err(fault) => self.resolve(fault).await?,
            }
        }
    }
}

/// What a checkpoint takes over at its boundary.
struct Taken {
    boundary: Boundary,
    dirty: Vec<PageKey>,
    undo_pin: UndoPin,
    flushing: async_lock::MutexGuardArc<()>,
}

struct Boundary {
    scn: Scn,
    time_micros: u64,
    next_page: u64,
    next_xid: u64,
    next_tree: u64,
    next_branch: u64,
    log_lsn: Option<u64>,
    undo_end: u64,
}

/// What a checkpoint has taken over, to be given back should it not come to its end.
struct Attempt<'e> {
    engine: &'e Engine,
    /// The pages changed up to its boundary.
    dirty: Vec<PageKey>,
    claimed: Claimed,
}

enum Claimed {
    None,
    /// No superblock can name it: it goes back to the overlay.
    Early(GivenUp),
    /// A superblock may have been written. What is claimed stays so: it is not reused before the next open, unless
    /// a later checkpoint replaces it.
    Late,
}

impl Attempt<'_> {
    fn claim(&mut self, images: impl IntoIterator<Item = (PageKey, Located)>) {
        if let Claimed::Early(claimed) = &mut self.claimed {
            claimed.images.extend(images);
        }
    }

    fn can_be_repeated(&self) -> bool {
        !matches!(self.claimed, Claimed::Late)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.engine.dirty.lock().append(&mut self.dirty);
        if let Claimed::Early(claimed) = std::mem::replace(&mut self.claimed, Claimed::None) {
            self.engine.file.give_up(claimed);
        }
    }
}
