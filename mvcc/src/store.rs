//! Opening, closing and looking after a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use helios_btree::check_page;
use helios_bufferpool::{
    Codec, CompressedTier, Compression, DATA_FILE, FramePool, MasterKey, PageFile, Replacement, Superblock,
    UndoRing,
};
use helios_runtime::device::Device;
use helios_runtime::{Clock, Entropy, ManualClock, OpenMode, SeededEntropy};
use parking_lot::Mutex;

use crate::access_method::AccessMethods;
use crate::budget::Budget;
use crate::commit::{CommitState, Pipeline, drain, drive, is_abandoned};
use crate::commit_times::CommitTimes;
use crate::engine::{Counters, Engine};
use crate::error::{Error, Fault, Result};
use crate::ids::{BranchId, Isolation, Scn, TreeId, Xid};
use crate::locks::{LockOwner, LockTable};
use crate::log::{Log, is_segment, open_segments};
use crate::reserve::remove_reserve;
use crate::spill::{TemporaryPages, remove_leftovers};
use crate::transaction::{Transaction, lookup};

/// The inner nodes of a level that tell how large a tree is.
const NODES_MAX: usize = 16;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Memory for pages, undo records and the page map, bytes.
    pub cache_size_bytes: usize,
    /// Bytes per page of a new folder; an existing one keeps its own.
    pub page_size_bytes: usize,
    /// How new images are compressed.
    pub compression: Compression,
    /// Encrypts a new folder, opens an encrypted one.
    pub key: Option<MasterKey>,
    /// Without a log a crash returns to the last checkpoint.
    pub log_enabled: bool,
    /// Bytes per log segment of a new folder.
    pub log_segment_bytes: u64,
    /// A checkpoint is due when the log has grown by this much.
    pub checkpoint_log_bytes: u64,
    /// How much of the cache holds compressed pages.
    pub compressed_tier: CompressedTierSize,
    /// Memory for what one transaction has written, bytes: beyond it [`Transaction::make_room`] moves the writes to a
    /// temporary file.
    pub write_set_bytes: usize,
    /// The most that a transaction keeps in memory where there is no file to move it to, bytes.
    pub write_set_bytes_max: usize,
    /// The most that all temporary files of queries take where they are in memory, bytes.
    pub temporary_bytes_max: u64,
    /// What else is to be maintained by commits, and by recovery.
    pub access_methods: AccessMethods,
}

/// How much of the cache holds pages that have left their frames, compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressedTierSize {
    /// As much as saves reads, up to half of the frames' memory.
    #[default]
    Adaptive,
    /// This share of the frames' memory, up to 50.
    Percent(u8),
    /// Nothing.
    Off,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            cache_size_bytes: 128 << 20,
            page_size_bytes: 8192,
            compression: Compression::Zstd,
            key: None,
            log_enabled: true,
            log_segment_bytes: 16 << 20,
            checkpoint_log_bytes: 64 << 20,
            write_set_bytes: 32 << 20,
            compressed_tier: CompressedTierSize::Adaptive,
            write_set_bytes_max: 1 << 30,
            temporary_bytes_max: 1 << 30,
            access_methods: AccessMethods::default(),
        }
    }
}

/// What a store needs of its surroundings.
#[derive(Clone)]
pub struct Surroundings {
    /// Where the files are.
    pub device: Arc<dyn Device>,
    /// Commit times.
    pub clock: Arc<dyn Clock>,
    /// Salts and identities.
    pub entropy: Arc<dyn Entropy>,
}

impl Surroundings {
    /// A device with a clock that only commits move and the same random numbers each time: what is done there can be
    /// repeated to the byte.
    pub fn repeatable(device: Arc<dyn Device>) -> Surroundings {
        Surroundings {
            device,
            clock: Arc::new(ManualClock::new(1_000_000)),
            entropy: Arc::new(SeededEntropy::new(1)),
        }
    }
}

/// Figures of an open store.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreStats {
    /// Pages found in memory.
    pub hits: u64,
    /// Pages that came back from the compressed tier.
    pub compressed_hits: u64,
    /// Pages read from the device.
    pub faults: u64,
    /// Pages that left memory.
    pub evictions: u64,
    /// Page images written.
    pub pages_written: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Groups they were committed in.
    pub groups: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Old page versions put together for readers.
    pub rebuilds: u64,
    /// Old page versions put together from the data file.
    pub history_reads: u64,
    /// The most images, of pages and of history, that one old version was put together from. Nodes of the page map are
    /// apart.
    pub old_read_images_max: u64,
    /// The most bytes of reverse operations from the data file that one old version took.
    pub old_read_bytes_max: u64,
    /// Frames in all.
    pub frames: u64,
    /// Frames free.
    pub frames_free: u64,
    /// Bytes of compressed pages in memory.
    pub compressed_bytes: u64,
    /// Bytes that the compressed tier may use at present; frames gave them up.
    pub compressed_bytes_max: u64,
    /// Transactions that wait for a lock at this moment.
    pub waiting_transactions: u64,
    /// Bytes in use in the data file.
    pub data_used_bytes: u64,
    /// Bytes of the data file.
    pub data_file_bytes: u64,
    /// Bytes of the temporary files of queries.
    pub temporary_bytes: u64,
}

/// An open database folder, or a database in memory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Engine>,
}

impl Store {
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Opens the database in `surroundings.device`, making a new one where there is none, and recovers what a
    /// crash left.
    ///
    /// # Errors
    /// [`Error::Open`] with what to do about it; [`Error::Corruption`]; those of the device.
    pub async fn open(options: StoreOptions, surroundings: Surroundings) -> Result<Store> {
        let device = &surroundings.device;
        let folder_lock = device.lock().map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Error::Open(
                "the folder is in use by another process: close that one, or connect to it as a server"
                    .into(),
            ),
            _ => Error::Io(error),
        })?;
        remove_leftovers(&**device)?;
        let names = device.list()?;
        let exists = names.iter().any(|name| name == DATA_FILE);
        if let Some(log) = names.iter().find(|name| !exists && is_segment(name)) {
            return Err(Error::Open(format!(
                "the folder holds the log file {log} but no data file: put the file {DATA_FILE} back, or take the \
                 log files away if the database is to begin anew"
            )));
        }
        let engine = if exists {
            open_existing(options, &surroundings, folder_lock).await?
        } else {
            create_new(options, &surroundings, folder_lock).await?
        };
        Ok(Store { engine })
    }

    /// Whether anything can be committed: not after a failure of the device, nor where the disk was full when the folder was opened.
    pub fn accepts_commits(&self) -> bool {
        self.engine.poisoned.get().is_none()
    }

    /// Starts a transaction on `branch`. Its snapshot is taken at the first statement.
    pub fn begin(&self, branch: BranchId, isolation: Isolation) -> Transaction {
        Transaction::new(self.clone(), branch, isolation)
    }

    /// A number for a transaction that nobody asks for its number.
    pub(crate) fn next_xid(&self) -> Xid {
        Xid(self.engine.next_xid.fetch_add(1, Ordering::SeqCst))
    }

    /// A number for a transaction that shares it ([`Transaction::share_xid`]), put into its cell. Until it is there the
    /// cell says [`Xid::PENDING`]: so whoever reads [`Store::end_of_xids`] and then the cells knows all that are running.
    pub fn next_shared_xid(&self, cell: &AtomicU64) -> Xid {
        cell.store(Xid::PENDING.0, Ordering::SeqCst);
        let xid = self.next_xid();
        cell.store(xid.0, Ordering::SeqCst);
        xid
    }

    /// The number that the next transaction gets.
    pub fn end_of_xids(&self) -> Xid {
        Xid(self.engine.next_xid.load(Ordering::SeqCst))
    }

    /// Who has the locks that a transaction waits for, each by [`Transaction::lock_owner`]; nobody if it does not wait.
    pub fn lock_blockers(&self, owner: u64) -> Vec<u64> {
        self.engine.locks.blockers_of(LockOwner(owner)).into_iter().map(|owner| owner.0).collect()
    }

    /// Starts a transaction that reads `branch` as it was right after the commit `scn`. What was before the branch
    /// began is read from where it came from: ask [`Store::origin_of`] first.
    ///
    /// # Errors
    /// [`Error::NoSuchScn`] for one that was not given out yet, [`Error::TooOld`] for one that was cut.
    pub fn begin_as_of(&self, branch: BranchId, scn: Scn) -> Result<Transaction> {
        if scn > self.visible_scn() {
            return Err(Error::NoSuchScn { scn, newest: self.visible_scn() });
        }
        Transaction::as_of(self.clone(), branch, scn)
    }

    /// Reads the page that a `try_*` call missed; the caller then tries again.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn resolve(&self, fault: Fault) -> Result<()> {
        self.engine.resolve(fault).await
    }

    /// The newest SCN that a new snapshot sees.
    pub fn visible_scn(&self) -> Scn {
        self.engine.visible_scn()
    }

    /// How far the log has come: its bytes so far, over all its lives. `None` where there is none.
    pub fn log_end(&self) -> Option<u64> {
        Some(self.engine.log_end.load(Ordering::Acquire)).filter(|bytes| *bytes > 0)
    }

    /// The SCN of the newest commit on `branch` that called [`Transaction::mark_catalog_change`]. Two reads that
    /// give the same answer bracket a time without DDL.
    #[inline]
    pub fn catalog_scn(&self, branch: BranchId) -> Scn {
        self.engine.catalog_scns.read().get(&branch).map(CatalogScn::get).unwrap_or_default()
    }

    /// [`Store::catalog_scn`] for asking often: whoever takes a snapshot first and asks then misses no catalog change
    /// that the snapshot sees.
    pub fn watch_catalog(&self, branch: BranchId) -> CatalogScn {
        self.engine.catalog_scn(branch)
    }

    /// Reads one row as it was committed at `scn` inside `read`, without a transaction.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; `read` was not called then.
    #[inline]
    pub fn try_get<R>(
        &self,
        branch: BranchId,
        scn: Scn,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        let found =
            lookup(&self.engine, branch, scn, tree, key, &Mutex::default(), |row| read(row.as_deref()));
        found.map(|(result, _)| result)
    }

    /// About how many bytes the pages of a tree take in memory, those of large values apart, as of now: by its inner
    /// nodes, of which at most [`NODES_MAX`] of a level are looked at.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing, as it is of a tree that no commit made yet.
    pub fn try_tree_bytes(&self, branch: BranchId, tree: TreeId) -> std::result::Result<u64, Fault> {
        let view = crate::view::View::new(&self.engine, branch, self.visible_scn());
        let pages = helios_btree::page_count(&view, tree.root(), NODES_MAX)?.round() as u64;
        Ok(pages * self.engine.pool.page_size() as u64)
    }

    /// The next hidden row number of `tree` on `branch`; starts after the largest key stored (keys of such trees
    /// are 8 bytes, big-endian). Never given twice, also not after a rollback, while the store is open.
    ///
    /// # Errors
    /// Those of reading the tree's last key.
    pub async fn next_row_id(&self, branch: BranchId, tree: TreeId) -> Result<u64> {
        if let Some(next) = self.try_next_row_id(branch, tree) {
            return Ok(next);
        }
        let last = self.last_row_id(branch, tree).await?;
        let mut counters = self.engine.row_counters.write();
        let counter = counters.entry((branch, tree)).or_insert_with(|| Arc::new(AtomicU64::new(last + 1)));
        Ok(counter.fetch_add(1, Ordering::Relaxed))
    }

    /// [`Store::next_row_id`], if the tree was counted before.
    #[inline]
    pub fn try_next_row_id(&self, branch: BranchId, tree: TreeId) -> Option<u64> {
        let counters = self.engine.row_counters.read();
        counters.get(&(branch, tree)).map(|counter| counter.fetch_add(1, Ordering::Relaxed))
    }

    async fn last_row_id(&self, branch: BranchId, tree: TreeId) -> Result<u64> {
        loop {
            let attempt = {
                let view = crate::view::View::new(&self.engine, branch, self.engine.visible_scn());
                last_number(&view, tree)
            };
            match attempt {
                Ok(last) => return Ok(last),
                // A tree made by a transaction still running has no pages, and no rows.
                Err(fault) => match self.engine.resolve(fault).await {
                    Err(Error::Corruption(_)) if !self.engine.has_page(branch, tree).await? => return Ok(0),
                    other => other?,
                },
            }
        }
    }

    /// Writes everything to the data file and shortens the log.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn checkpoint(&self) -> Result<()> {
        drain(&self.engine).await;
        self.engine.checkpoint(false).await
    }

    /// Finishes commits and checkpoints whose callers were dropped before the end, for as long as it is polled: for a background task.
    /// Without it they are finished when somebody else commits.
    pub async fn tend(&self) {
        std::future::poll_fn(|context| {
            self.engine.tender.register(context.waker());
            // Otherwise others are at it, and every commit would wake this one for nothing.
            if is_abandoned(&self.engine) {
                drive(&self.engine, context);
            }
            let checkpoint = &self.engine.checkpoint_work;
            if checkpoint.has_no_waiters() && !checkpoint.is_idle() {
                checkpoint.poll(context, || None);
            }
            std::task::Poll::<()>::Pending
        })
        .await;
    }

    /// Frees memory ahead of demand for as long as it is polled: background work.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn clean_ahead(&self) -> Result<()> {
        self.engine.clean_ahead().await
    }

    /// Says in the log that the last commits are durable, where nothing later does yet and no commit is on its way: to
    /// be called now and then.
    ///
    /// # Errors
    /// Those of the device; the database accepts no more commits then.
    pub async fn vouch(&self) -> Result<()> {
        let Some(mut guard) = self.engine.pipeline.state.try_lock() else { return Ok(()) };
        let Some(state) = guard.as_mut() else { return Ok(()) };
        let Some(log) = state.log.as_mut().filter(|log| !log.is_full()) else { return Ok(()) };
        self.engine.check_poisoned()?;
        let vouched = log.vouch(state.last_scn).await;
        self.engine.log_end.store(log.end_bytes(), Ordering::Release);
        match vouched {
            Err(error) if !error.is_want_of_space() => {
                self.engine.poison(&error);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Whether enough has changed for a checkpoint to be worthwhile.
    pub fn checkpoint_due(&self) -> bool {
        // One that a full disk lets through makes room in the log.
        let is_full = self.engine.log_is_full.load(Ordering::Relaxed);
        // Undo records go to the data file before commits have to take them there.
        let ring = &self.engine.ring;
        let unflushed = ring.head() - self.engine.persisted.load(Ordering::Acquire);
        let is_full = is_full || unflushed > ring.size_bytes() / 2;
        if self.engine.is_durable && (is_full || self.engine.waiting_reaches(self.engine.waiting_max())) {
            return true;
        }
        let Some(guard) = self.engine.pipeline.state.try_lock() else { return false };
        let log_bytes =
            guard.as_ref().and_then(|state| state.log.as_ref()).map_or(0, |log| log.appended_bytes());
        log_bytes > self.engine.options.checkpoint_log_bytes
    }

    /// Checkpoints and marks the folder as cleanly closed. Nothing may be committed afterwards.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn close(&self) -> Result<()> {
        drain(&self.engine).await;
        if self.engine.poisoned.get().is_some() {
            return Ok(());
        }
        {
            // No group is at work now, and none that comes later is accepted.
            let _state = self.engine.pipeline.state.lock().await;
            self.engine.closing.store(true, Ordering::Release);
        }
        self.engine.checkpoint(true).await?;
        self.engine.file.trim()?;
        *self.engine.pipeline.state.lock().await = None;
        let _ = self.engine.poisoned.set("the database is closed".into());
        Ok(())
    }

    /// Pages found in memory so far, and pages read from the device, by whomever.
    #[must_use]
    pub fn page_accesses(&self) -> (u64, u64) {
        (self.engine.pool.hits(), self.engine.counters.faults.load(Ordering::Relaxed))
    }

    /// Figures.
    ///
    /// # Errors
    /// Those of the device.
    pub fn stats(&self) -> Result<StoreStats> {
        let counters = &self.engine.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let usage = self.engine.file.usage()?;
        Ok(StoreStats {
            hits: self.engine.pool.hits(),
            compressed_hits: self.engine.tier.as_ref().map_or(0, CompressedTier::hits),
            faults: read(&counters.faults),
            evictions: read(&counters.evictions),
            pages_written: read(&counters.pages_written),
            commits: read(&counters.commits),
            groups: read(&counters.groups),
            checkpoints: read(&counters.checkpoints),
            rebuilds: read(&counters.rebuilds),
            history_reads: read(&counters.history_reads),
            old_read_images_max: read(&counters.old_read_images_max),
            old_read_bytes_max: read(&counters.old_read_bytes_max),
            frames: self.engine.pool.frame_count() as u64,
            frames_free: self.engine.pool.free_count() as u64,
            compressed_bytes: self.engine.tier.as_ref().map_or(0, CompressedTier::used_bytes),
            compressed_bytes_max: self.engine.tier.as_ref().map_or(0, CompressedTier::capacity_bytes),
            waiting_transactions: self.engine.locks.waiting() as u64,
            data_used_bytes: usage.used_bytes,
            data_file_bytes: usage.file_bytes,
            temporary_bytes: read(&counters.temporary_bytes),
        })
    }
}

/// The SCN of a branch's newest catalog change, for asking often.
#[derive(Clone, Debug, Default)]
pub struct CatalogScn(Arc<AtomicU64>);

impl CatalogScn {
    /// That SCN.
    #[inline]
    pub fn get(&self) -> Scn {
        Scn(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn set(&self, scn: Scn) {
        self.0.store(scn.0, Ordering::Release);
    }
}

fn last_number(view: &crate::view::View<'_>, tree: TreeId) -> std::result::Result<u64, Fault> {
    use helios_btree::{Direction, Near, Walk, walk_leaf};
    let mut bound = std::ops::Bound::Unbounded;
    let all = std::ops::Bound::Unbounded;
    let mut last = 0;
    loop {
        let walk = walk_leaf(
            view,
            tree.root(),
            &mut Near::default(),
            &bound,
            &all,
            Direction::Backward,
            |prefix, suffix, _| {
                let key = [prefix, suffix].concat();
                last = key.try_into().map_or(0, u64::from_be_bytes);
                std::ops::ControlFlow::Break(())
            },
        )?;
        match walk {
            Walk::At(next) if last == 0 => bound = next,
            _ => return Ok(last),
        }
    }
}

fn build(
    options: StoreOptions,
    surroundings: &Surroundings,
    superblock: &Superblock,
    file: PageFile,
    folder_lock: Box<dyn Send + Sync>,
) -> Result<Arc<Engine>> {
    let page_bytes = superblock.page_size as usize;
    let budget = Budget::new(options.cache_size_bytes, page_bytes)?;
    let pool = FramePool::new(budget.frames, page_bytes)?;
    let ring = UndoRing::new(budget.ring)?;
    let has_tier = options.compressed_tier != CompressedTierSize::Off && surroundings.device.is_durable();
    let tier_frames = match options.compressed_tier {
        CompressedTierSize::Percent(share) => pool.frame_count() * usize::from(share.min(50)) / 100,
        _ => 0,
    };
    Ok(Arc::new(Engine {
        temporary: TemporaryPages::new(&options, superblock.page_size, surroundings),
        replacement: Replacement::new(pool.frame_count()),
        tier: has_tier.then(|| CompressedTier::new(budget.frames / 16, page_bytes)),
        tier_frames: AtomicUsize::new(tier_frames),
        cleaner: Mutex::default(),
        pool,
        file,
        locks: LockTable::new(),
        clock: surroundings.clock.clone(),
        pipeline: Pipeline::default(),
        tender: Default::default(),
        closing: Default::default(),
        commit_times: CommitTimes::after_checkpoint(superblock.scn, superblock.time_micros),
        visible: AtomicU64::new(superblock.scn.0),
        next_xid: AtomicU64::new(superblock.next_xid),
        next_tree: AtomicU64::new(superblock.next_tree),
        next_branch: AtomicU64::new(superblock.next_branch),
        origins: Default::default(),
        open_snapshots: Default::default(),
        retention: Default::default(),
        cutting: async_lock::Mutex::new(()),
        freed: Default::default(),
        removing_branches: async_lock::Mutex::new(()),
        next_owner: AtomicU64::new(1),
        dirty_mark: AtomicU8::new(1),
        dirty: Mutex::default(),
        undo_heads: Mutex::default(),
        catalog_scns: Default::default(),
        row_counters: Default::default(),
        loading: Mutex::default(),
        evicting: async_lock::Mutex::new(()),
        checkpoint_work: Default::default(),
        checkpointing: async_lock::Mutex::new(()),
        undo_pins: Mutex::default(),
        persisted: AtomicU64::new(ring.head()),
        ring,
        flushing: Arc::new(async_lock::Mutex::new(())),
        log_identity: AtomicU64::new(superblock.log_identity),
        poisoned: Default::default(),
        counters: Counters::default(),
        log_end: AtomicU64::new(0),
        log_is_full: AtomicBool::new(false),
        device: surroundings.device.clone(),
        is_durable: surroundings.device.is_durable(),
        options,
        _folder_lock: Some(folder_lock),
    }))
}

fn salt(surroundings: &Surroundings) -> Result<[u8; 16]> {
    let mut salt = [0; 16];
    surroundings.entropy.fill(&mut salt)?;
    Ok(salt)
}

async fn create_new(
    options: StoreOptions,
    surroundings: &Surroundings,
    folder_lock: Box<dyn Send + Sync>,
) -> Result<Arc<Engine>> {
    if !options.page_size_bytes.is_power_of_two() || !(4096..=32768).contains(&options.page_size_bytes) {
        return Err(Error::Open(format!(
            "a page size of {} bytes is not possible: 4096, 8192, 16384 and 32768 are",
            options.page_size_bytes
        )));
    }
    let budget = Budget::new(options.cache_size_bytes, options.page_size_bytes)?;
    let device = &surroundings.device;
    let key_salt = salt(surroundings)?;
    let fingerprint = options.key.as_ref().map_or([0; 16], |key| key.fingerprint(&key_salt));
    let superblock = Superblock {
        page_size: options.page_size_bytes as u32,
        identity: salt(surroundings)?,
        scn: Scn(0),
        next_page: 2,
        next_xid: 1,
        // 1 and 3 are given.
        next_tree: 5,
        next_branch: 3,
        log_identity: surroundings.entropy.next_u64()?,
        log_segment_bytes: options.log_segment_bytes,
        key_salt,
        key_fingerprint: fingerprint,
        ..Superblock::default()
    };
    let partial = format!("{DATA_FILE}.new");
    let _ = device.remove(&partial);
    let file = device.open(&partial, OpenMode::CreateNew)?;
    let codec =
        Codec::new(options.compression, options.key.clone(), salt(surroundings)?).checking(check_page);
    let page_file = PageFile::create(file, codec, superblock.clone(), budget.map as u64).await?;
    let engine = build(options, surroundings, &superblock, page_file, folder_lock)?;
    *engine.pipeline.state.lock().await =
        Some(CommitState::new(superblock.next_page, None, superblock.scn, superblock.time_micros));
    // The trees that every folder begins with.
    for branch in [BranchId::SYSTEM, BranchId::MAIN] {
        let mut first = Store { engine: engine.clone() }.begin(branch, Isolation::Snapshot);
        first.create_given_tree(TreeId::CATALOG);
        if branch == BranchId::SYSTEM {
            first.create_given_tree(TreeId::COMMIT_TIMES);
        }
        first.commit().await?;
    }
    engine.commit_times.set_tree_exists(true);
    engine.checkpoint(false).await?;
    // Only now is it a database: before this, opening starts all over.
    device.rename(&partial, DATA_FILE)?;
    device.sync_folder()?;
    begin_life(&engine, surroundings, 0).await?;
    Ok(engine)
}

async fn open_existing(
    mut options: StoreOptions,
    surroundings: &Surroundings,
    folder_lock: Box<dyn Send + Sync>,
) -> Result<Arc<Engine>> {
    let device = &surroundings.device;
    let file = device.open(DATA_FILE, OpenMode::ReadWrite)?;
    let superblock = Superblock::read(&*file).await?;
    check_key(&options, &superblock)?;
    options.page_size_bytes = superblock.page_size as usize;
    options.log_segment_bytes = superblock.log_segment_bytes;
    let codec =
        Codec::new(options.compression, options.key.clone(), salt(surroundings)?).checking(check_page);
    let budget = Budget::new(options.cache_size_bytes, options.page_size_bytes)?;
    let page_file = PageFile::open(file, codec, superblock.clone(), budget.map as u64).await?;
    let engine = build(options, surroundings, &superblock, page_file, folder_lock)?;
    *engine.pipeline.state.lock().await =
        Some(CommitState::new(superblock.next_page, None, superblock.scn, superblock.time_micros));
    let mut end_lsn = superblock.log_lsn;
    if !superblock.clean {
        end_lsn = crate::recovery::replay(&engine, surroundings, &superblock).await?;
    }
    let has_index = engine.has_page(BranchId::SYSTEM, TreeId::COMMIT_TIMES).await?;
    engine.commit_times.set_tree_exists(has_index);
    begin_life_or_read(&engine, surroundings, end_lsn).await?;
    let store = Store { engine: engine.clone() };
    crate::retention::load(&store).await?;
    let last_branch = store.branches().await?.into_iter().map(|branch| branch.id.0).max().unwrap_or(0);
    engine.next_branch.fetch_max(last_branch + 1, Ordering::Relaxed);
    Ok(engine)
}

fn check_key(options: &StoreOptions, superblock: &Superblock) -> Result<()> {
    let encrypted = superblock.key_fingerprint != [0; 16];
    match &options.key {
        None if encrypted => Err(Error::Open("the database is encrypted: give its key".into())),
        Some(_) if !encrypted => {
            Err(Error::Open("the database is not encrypted, but a key was given: open it without one".into()))
        }
        Some(key) if key.fingerprint(&superblock.key_salt) != superblock.key_fingerprint => Err(Error::Open(
            "the key is not the one that the database was encrypted with: give that one".into(),
        )),
        _ => Ok(()),
    }
}

/// Starts a new life of the log. On a full disk the reserve gives its room for that; where this is not enough, the folder stays as it is, and
/// what is in it can only be read.
async fn begin_life_or_read(engine: &Arc<Engine>, surroundings: &Surroundings, end_lsn: u64) -> Result<()> {
    let mut begun = begin_life(engine, surroundings, end_lsn).await;
    if begun.as_ref().is_err_and(Error::is_want_of_space) && remove_reserve(&*surroundings.device) {
        begun = begin_life(engine, surroundings, end_lsn).await;
    }
    match begun {
        Err(error) if error.is_want_of_space() => {
            if let Some(state) = engine.pipeline.state.lock().await.as_mut() {
                state.log = None;
            }
            let reason = format!("{error}: the database can only be read; make room, and open it again");
            tracing::warn!("{reason}");
            let _ = engine.poisoned.set(reason);
            Ok(())
        }
        begun => begun,
    }
}

/// Starts a new life of the log behind `end_lsn`, named by a checkpoint of what there is now.
async fn begin_life(engine: &Arc<Engine>, surroundings: &Surroundings, end_lsn: u64) -> Result<()> {
    let options = &engine.options;
    let identity = surroundings.entropy.next_u64()?;
    if options.log_enabled && surroundings.device.is_durable() {
        let segments = open_segments(&surroundings.device, options.log_segment_bytes)?;
        let codec = Arc::new(Codec::new(Compression::None, options.key.clone(), salt(surroundings)?));
        let log = Log::start(segments, codec, identity, end_lsn).await?;
        let mut guard = engine.pipeline.state.lock().await;
        if let Some(state) = guard.as_mut() {
            engine.log_end.store(log.end_bytes(), Ordering::Relaxed);
            state.log = Some(log);
        }
    }
    engine.log_identity.store(identity, Ordering::Relaxed);
    engine.checkpoint(false).await?;
    engine.renew_reserve().await
}
