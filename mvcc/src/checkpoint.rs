//! Checkpoints: everything up to one commit goes to the data file, so that the log before it is not needed.
//!
//! 1. The times of the commits so far become rows, as a last commit. At this group boundary C the list of changed pages is taken over; from then on changes are listed anew.
//! 2. Each page is read as of C — going back through its undo records if it has changed since — and its image is
//!    written to a new extent. Commits and reads go on meanwhile.
//! 3. The page file makes images, map and superblock durable, in that order; then the log before C is released.

use std::sync::atomic::Ordering;

use helios_btree::ReadPages;
use helios_bufferpool::{Encoded, PageKey, Scn, page, pin};

use crate::commit::index_commits;
use crate::engine::Engine;
use crate::error::{Error, Fault, FaultReason, Result};
use crate::view::View;

/// Images encoded before they are written.
const BATCH_PAGES: usize = 128;

impl Engine {
    /// Writes a checkpoint. `clean` says that nothing is committed after it.
    ///
    /// # Errors
    /// Those of the device, after which no more commits are accepted.
    pub(crate) async fn checkpoint(&self, clean: bool) -> Result<()> {
        let _one_at_a_time = self.checkpointing.lock().await;
        self.check_poisoned()?;
        let result = self.write_checkpoint(clean).await;
        if let Err(error) = &result {
            self.poison(error);
        }
        result
    }

    async fn write_checkpoint(&self, clean: bool) -> Result<()> {
        let (boundary, undo_pin) = {
            let mut guard = self.pipeline.state.lock().await;
            let Some(state) = guard.as_mut() else { return Ok(()) };
            index_commits(self, state).await?;
            let mark = self.dirty_mark.load(Ordering::Relaxed);
            self.dirty_mark.store(if mark == 255 { 1 } else { mark + 1 }, Ordering::Relaxed);
            let boundary = Boundary {
                scn: state.last_scn,
                time_micros: state.last_time,
                next_page: state.workspace.next_page,
                next_xid: self.next_xid.load(Ordering::Relaxed),
                next_tree: self.next_tree.load(Ordering::Relaxed),
                log_lsn: state.log.as_ref().map(|log| log.next_lsn()),
                undo_end: self.ring.head(),
                dirty: std::mem::take(&mut *self.dirty.lock()),
            };
            // Before the next commit: what it changes must be undone for the images.
            (boundary, self.pin_undo())
        };
        self.flush_history(boundary.undo_end, boundary.scn).await?;
        let history = self.file.claim_history();
        let mut dirty = boundary.dirty;
        dirty.sort_unstable();
        dirty.dedup();
        let mut images = Vec::with_capacity(dirty.len());
        let mut batch: Vec<(PageKey, Scn, Encoded)> = Vec::new();
        for key in dirty {
            if !self.must_write(key, boundary.scn) {
                // Its image left memory, or was written ahead, since the last checkpoint.
                images.extend(self.file.claim(key, boundary.scn).map(|located| (key, located)));
                continue;
            }
            let (scn, encoded) = self.image_as_of(key, boundary.scn).await?;
            batch.push((key, scn, encoded));
            if batch.len() == BATCH_PAGES {
                images.extend(self.write_images(std::mem::take(&mut batch)).await?);
            }
        }
        images.extend(self.write_images(batch).await?);
        self.file
            .checkpoint(images, history, |superblock| {
                superblock.scn = boundary.scn;
                superblock.time_micros = boundary.time_micros;
                superblock.next_page = boundary.next_page;
                superblock.next_xid = boundary.next_xid;
                superblock.next_tree = boundary.next_tree;
                superblock.clean = clean;
                superblock.log_identity = self.log_identity.load(Ordering::Relaxed);
                if let Some(lsn) = boundary.log_lsn {
                    superblock.log_lsn = lsn;
                }
            })
            .await?;
        // A commit may be waiting for room in the undo ring, and holds what is locked next.
        drop(undo_pin);
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        if let Some(lsn) = boundary.log_lsn {
            let mut guard = self.pipeline.state.lock().await;
            if let Some(log) = guard.as_mut().and_then(|state| state.log.as_mut()) {
                log.release_before(lsn)?;
            }
        }
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

    async fn write_images(
        &self,
        batch: Vec<(PageKey, Scn, Encoded)>,
    ) -> Result<Vec<(PageKey, helios_bufferpool::Located)>> {
        let written: Vec<(PageKey, Scn)> = batch.iter().map(|(key, scn, _)| (*key, *scn)).collect();
        let images = self.file.write(batch, true).await?;
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

struct Boundary {
    scn: Scn,
    time_micros: u64,
    next_page: u64,
    next_xid: u64,
    next_tree: u64,
    log_lsn: Option<u64>,
    undo_end: u64,
    dirty: Vec<PageKey>,
}
