//! What an open folder consists of, and how pages come into memory and leave it.
//!
//! 1. A read that misses gives a [`Fault`]; [`Engine::resolve`] loads the page and publishes it. One loader per
//!    page at a time: the others wait for it. So what is published is the newest image there is.
//! 2. A page that is not in a frame may be in the compressed tier, and else is read from the data file.
//! 3. When frames run short, pages leave: see `eviction.rs`.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use helios_bufferpool::{
    CompressedTier, FramePool, OwnedFrame, PageFile, PageKey, Replacement, Scn, Timed, UndoRing, page, pin,
};
use helios_runtime::{Clock, Device};
use parking_lot::{Mutex, RwLock};

use crate::commit::Pipeline;
use crate::commit_times::CommitTimes;
use crate::error::{Error, Fault, FaultReason, Result};
use crate::freed_pages::FreedPages;
use crate::ids::{BranchId, TreeId};
use crate::locks::LockTable;
use crate::open_snapshots::OpenSnapshots;
use crate::retention::Retention;
use crate::shared_work::{SharedWork, Tender};
use crate::snapshot::Snapshot;
use crate::spill::{TemporaryPages, is_temporary};
use crate::store::CatalogScn;

/// Frames that loaders leave to the committer, which cannot wait for one.
pub(crate) const FRAMES_RESERVED: usize = 32;
/// The most frames freed at a time.
pub(crate) const EVICTION_BATCH: usize = 64;

/// Frames freed at a time in a pool of `frames`: few in a small one, so that what was just read stays.
pub(crate) fn eviction_batch(frames: usize) -> usize {
    (frames / 16).clamp(4, EVICTION_BATCH)
}

/// Counters of an open folder.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) faults: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) pages_written: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) rebuilds: AtomicU64,
    pub(crate) history_reads: AtomicU64,
    pub(crate) old_read_images_max: AtomicU64,
    pub(crate) old_read_bytes_max: AtomicU64,
    pub(crate) temporary_bytes: AtomicU64,
}

/// An open folder.
pub(crate) struct Engine {
    pub(crate) pool: FramePool,
    pub(crate) ring: UndoRing,
    pub(crate) replacement: Replacement,
    /// Compressed pages; none where the device is memory itself.
    pub(crate) tier: Option<CompressedTier>,
    /// Frames whose memory the tier is to have.
    pub(crate) tier_frames: AtomicUsize,
    /// Wakes the background cleaner.
    pub(crate) cleaner: Mutex<Option<Waker>>,
    pub(crate) file: PageFile,
    /// Where pages of transactions go that spill.
    pub(crate) temporary: TemporaryPages,
    pub(crate) locks: LockTable,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pipeline: Pipeline,
    pub(crate) tender: Tender,
    /// No further commit is accepted.
    pub(crate) closing: AtomicBool,
    pub(crate) commit_times: CommitTimes,
    /// All commits up to here are durable and published.
    pub(crate) visible: AtomicU64,
    pub(crate) next_xid: AtomicU64,
    pub(crate) next_tree: AtomicU64,
    pub(crate) next_branch: AtomicU64,
    /// Where branches left their parents, once that was asked for.
    pub(crate) origins: RwLock<HashMap<BranchId, Option<Snapshot>>>,
    pub(crate) open_snapshots: OpenSnapshots,
    /// What of the branches can be read.
    pub(crate) retention: Retention,
    /// Held by whoever cuts history.
    pub(crate) cutting: async_lock::Mutex<()>,
    /// Pages that nothing newer leads to, and that are not written down yet.
    pub(crate) freed: Mutex<FreedPages>,
    /// Held by whoever removes the pages of dropped branches.
    pub(crate) removing_branches: async_lock::Mutex<()>,
    pub(crate) next_owner: AtomicU64,
    /// The mark of pages changed since the last checkpoint began; never 0.
    pub(crate) dirty_mark: AtomicU8,
    /// The pages that got that mark.
    pub(crate) dirty: Mutex<Vec<PageKey>>,
    pub(crate) undo_heads: Mutex<HashMap<PageKey, u64>>,
    pub(crate) catalog_scns: RwLock<HashMap<BranchId, CatalogScn>>,
    pub(crate) row_counters: RwLock<HashMap<(BranchId, TreeId), Arc<AtomicU64>>>,
    pub(crate) loading: Mutex<HashMap<PageKey, Vec<Waker>>>,
    pub(crate) evicting: async_lock::Mutex<()>,
    /// The checkpoint being written.
    pub(crate) checkpoint_work: SharedWork,
    /// Held by a commit that writes a checkpoint because too many changed pages wait for one.
    pub(crate) checkpointing: async_lock::Mutex<()>,
    /// Where running checkpoints still need undo records from.
    pub(crate) undo_pins: Mutex<Vec<u64>>,
    /// Undo records before this position are in the data file.
    pub(crate) persisted: AtomicU64,
    pub(crate) flushing: Arc<async_lock::Mutex<()>>,
    /// Which life of the log this is.
    pub(crate) log_identity: AtomicU64,
    pub(crate) poisoned: OnceLock<String>,
    pub(crate) counters: Counters,
    /// Where the next group goes in the log, as of the last one that became durable; in bytes.
    pub(crate) log_end: AtomicU64,
    /// The log finds no room for a further segment.
    pub(crate) log_is_full: AtomicBool,
    pub(crate) device: Arc<dyn Device>,
    /// Whether the folder outlives the process.
    pub(crate) is_durable: bool,
    pub(crate) options: crate::store::StoreOptions,
    /// The folder's lock, held while it is open.
    pub(crate) _folder_lock: Option<Box<dyn Send + Sync>>,
}

impl Engine {
    /// Where the SCN of a branch's newest catalog change is.
    pub(crate) fn catalog_scn(&self, branch: BranchId) -> CatalogScn {
        self.catalog_scns.write().entry(branch).or_default().clone()
    }

    /// The newest SCN that a snapshot may see.
    #[inline]
    pub(crate) fn visible_scn(&self) -> Scn {
        Scn(self.visible.load(Ordering::Acquire))
    }

    /// # Errors
    /// [`Error::Poisoned`] after a failure that leaves unknown what is durable.
    pub(crate) fn check_poisoned(&self) -> Result<()> {
        match self.poisoned.get() {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// # Errors
    /// [`Error::Poisoned`], also while the folder is being closed.
    pub(crate) fn check_accepting(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Error::Poisoned("the database is closed".into()));
        }
        self.check_poisoned()
    }

    pub(crate) fn poison(&self, error: &Error) {
        tracing::error!("no more commits are accepted: {error}");
        let _ = self.poisoned.set(error.to_string());
    }

    /// Makes what a fault missed available.
    ///
    /// The future is behind a pointer: all that reads pages waits for it, and with its parts the types of the futures of a program
    /// that embeds this one would be nested deeper than compilers follow by default.
    pub(crate) fn resolve(&self, fault: Fault) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async move {
            match fault.0 {
                FaultReason::Page(key) => self.load(key).await,
                FaultReason::Pause => Ok(()),
                FaultReason::History(key, scn) => self.rebuild_old(key, scn).await,
                FaultReason::Damaged(key, what) => Err(Error::damaged(key, what)),
            }
        })
    }

    /// Keeps the undo records from now on until the returned value is dropped.
    pub(crate) fn pin_undo(self: &Arc<Self>) -> UndoPin {
        let position = self.ring.head();
        self.undo_pins.lock().push(position);
        UndoPin { engine: self.clone(), position }
    }

    /// Makes room in the undo ring: releases what is in the data file, or takes what is there to it.
    pub(crate) async fn make_undo_room(&self) -> Result<()> {
        // With less than a quarter in use, it is readers that hold the room back: more history would not help.
        let is_used = self.ring.used_bytes() > self.ring.size_bytes() / 4;
        if is_used && self.persisted.load(Ordering::Acquire) <= self.ring.tail() {
            self.flush_history(self.ring.head(), Scn::MAX).await?;
        }
        self.release_undo();
        // Readers of what was released, or a checkpoint that pins it, may have to end first.
        futures_lite::future::yield_now().await;
        Ok(())
    }

    /// Gives up the undo records that are in the data file and that no checkpoint needs.
    pub(crate) fn release_undo(&self) {
        let pinned = self.undo_pins.lock().iter().min().copied().unwrap_or(u64::MAX);
        self.ring.release(self.persisted.load(Ordering::Acquire).min(pinned));
        let tail = self.ring.tail();
        self.undo_heads.lock().retain(|_, position| *position >= tail);
    }

    /// Whether a tree has pages at all.
    pub(crate) async fn has_page(&self, branch: BranchId, tree: TreeId) -> Result<bool> {
        self.exists(PageKey::new(branch, tree.root())).await
    }

    /// Whether a branch has a page, of its own or of its ancestors.
    pub(crate) async fn exists(&self, key: PageKey) -> Result<bool> {
        if self.pool.peek(&pin(), key, Scn::MAX).is_some() {
            return Ok(true);
        }
        let mut scratch = vec![0; self.pool.page_size()];
        Ok(self.file.has(key).await? || self.inherit(key, &mut scratch).await?)
    }

    pub(crate) async fn load(&self, key: PageKey) -> Result<()> {
        if !self.begin_loading(key).await {
            return Ok(());
        }
        let _loading = Loading { engine: self, key };
        let resident = self.pool.peek(&pin(), key, Scn::MAX).is_some();
        if resident {
            return Ok(());
        }
        let mut frame = self.allocate().await?;
        if is_temporary(key.branch) {
            self.counters.faults.fetch_add(1, Ordering::Relaxed);
            if !self.temporary.read(key, frame.bytes_mut()).await? {
                return Err(Error::Corruption(format!("temporary page {} is missing", key.page)));
            }
            self.finish_loading(key, frame);
            return Ok(());
        }
        let started = self.clock.now_micros();
        if let Some(tier) = &self.tier
            && tier.take(key, frame.bytes_mut())
        {
            tier.note_time(Timed::Take, self.clock.now_micros().saturating_sub(started));
            self.finish_loading(key, frame);
            return Ok(());
        }
        self.counters.faults.fetch_add(1, Ordering::Relaxed);
        if !self.file.read(key, frame.bytes_mut()).await? && !self.inherit(key, frame.bytes_mut()).await? {
            return Err(Error::Corruption(format!("page {} of branch {} is missing", key.page, key.branch)));
        }
        if let Some(tier) = &self.tier {
            tier.note_time(Timed::DeviceRead, self.clock.now_micros().saturating_sub(started));
        }
        self.finish_loading(key, frame);
        Ok(())
    }

    pub(crate) fn finish_loading(&self, key: PageKey, mut frame: OwnedFrame<'_>) {
        let undo_head = self.undo_heads.lock().remove(&key).unwrap_or(0);
        page::set_undo_position(frame.bytes_mut(), undo_head);
        page::set_from_device(frame.bytes_mut());
        let from = page::scn(frame.bytes());
        if self.pool.publish_if_absent(frame, key, from, Scn::MAX).is_some() {
            self.admit(key);
        }
    }

    /// Becomes the loader of a page, or waits for the present one and returns false.
    async fn begin_loading(&self, key: PageKey) -> bool {
        let mut waited = false;
        poll_fn(|context| {
            let mut loading = self.loading.lock();
            match loading.get_mut(&key) {
                Some(wakers) => {
                    waited = true;
                    wakers.push(context.waker().clone());
                    Poll::Pending
                }
                None if waited => Poll::Ready(false),
                None => {
                    loading.insert(key, Vec::new());
                    Poll::Ready(true)
                }
            }
        })
        .await
    }

    /// A frame, freeing some if need be.
    pub(crate) async fn allocate(&self) -> Result<OwnedFrame<'_>> {
        loop {
            if self.pool.free_count() > FRAMES_RESERVED
                && let Some(frame) = self.pool.try_allocate()
            {
                self.note_taken();
                return Ok(frame);
            }
            self.free_frames(FRAMES_RESERVED + eviction_batch(self.pool.frame_count())).await?;
        }
    }
}

struct Loading<'a> {
    engine: &'a Engine,
    key: PageKey,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let wakers = self.engine.loading.lock().remove(&self.key);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// Holds undo records; see [`Engine::pin_undo`].
pub(crate) struct UndoPin {
    engine: Arc<Engine>,
    position: u64,
}

impl Drop for UndoPin {
    fn drop(&mut self) {
        let mut pins = self.engine.undo_pins.lock();
        if let Some(index) = pins.iter().position(|position| *position == self.position) {
            pins.swap_remove(index);
        }
    }
}
