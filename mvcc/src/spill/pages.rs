//! Where private pages go that must leave memory: a temporary file.
//!
//! 1. A transaction that spills keeps its writes on pages of a *temporary branch* of its own. They are frames like all
//!    others; evicted, they go to the temporary file instead of the data file.
//! 2. The file is made when the first transaction spills and removed when the last one of them ends; what a crash
//!    left is removed at open.
//! 3. In an encrypted folder it is encrypted under a key that is drawn for this file, is written nowhere and dies with
//!    it; nonces are counted, so none comes twice under that key.
//!
//! Invariant: nothing is kept for a branch that has ended, whoever was just writing its pages.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use helios_bufferpool::{
    BranchId, Codec, Compression, Encoded, MasterKey, PageFile, PageId, PageKey, Scn, Superblock, pin,
};
use helios_runtime::device::{Device, File};
use helios_runtime::{Entropy, OpenMode};
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::error::{Fault, FaultReason, Result};
use crate::store::{StoreOptions, Surroundings};

const NAME: &str = "temporary-";
/// How many pages are read ahead.
const PAGES_AHEAD: usize = 32;
/// Branches from this id on are temporary.
const FIRST_BRANCH: u64 = 1 << 63;

/// Whether a page belongs to a transaction, and to no database.
#[inline]
pub(crate) fn is_temporary(branch: BranchId) -> bool {
    branch.0 >= FIRST_BRANCH
}

/// The temporary branches of an open folder, and their file.
pub(crate) struct TemporaryPages {
    device: Arc<dyn Device>,
    entropy: Arc<dyn Entropy>,
    encrypted: bool,
    page_size: u32,
    next_branch: AtomicU64,
    next_file: AtomicU64,
    state: Mutex<State>,
    /// Held by whoever makes such pages: private copies cannot be evicted, so there may not be many of them.
    pub(crate) turn: async_lock::Mutex<()>,
}

#[derive(Default)]
struct State {
    live: HashSet<BranchId>,
    file: Option<(String, Arc<PageFile>)>,
}

impl TemporaryPages {
    pub(crate) fn new(options: &StoreOptions, page_size: u32, surroundings: &Surroundings) -> TemporaryPages {
        TemporaryPages {
            device: surroundings.device.clone(),
            entropy: surroundings.entropy.clone(),
            encrypted: options.key.is_some(),
            page_size,
            next_branch: AtomicU64::new(FIRST_BRANCH),
            next_file: AtomicU64::new(0),
            state: Mutex::default(),
            turn: async_lock::Mutex::new(()),
        }
    }

    /// Whether there is anything to spill to: memory is no better than memory.
    pub(crate) fn possible(&self) -> bool {
        self.device.is_durable()
    }

    /// A new temporary branch.
    ///
    /// # Errors
    /// Those of making the file.
    pub(crate) async fn begin(&self) -> Result<BranchId> {
        let branch = BranchId(self.next_branch.fetch_add(1, Ordering::Relaxed));
        {
            let mut state = self.state.lock();
            state.live.insert(branch);
            if state.file.is_some() {
                return Ok(branch);
            }
        }
        match self.make_page_file().await {
            Ok((name, file)) => {
                let mut state = self.state.lock();
                if state.file.is_some() {
                    // Somebody else was quicker.
                    let _ = self.device.remove(&name);
                } else {
                    state.file = Some((name, file));
                }
                Ok(branch)
            }
            Err(error) => {
                self.end(branch);
                Err(error)
            }
        }
    }

    /// Makes a file of its own name, with the codec for what goes there.
    ///
    /// # Errors
    /// Those of the device, or of drawing a key.
    pub(crate) fn open_file(&self) -> Result<(String, Arc<dyn File>, Codec)> {
        let name = format!("{NAME}{:016x}", self.next_file.fetch_add(1, Ordering::Relaxed));
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt)?;
        let key = if self.encrypted {
            let mut bytes = [0; 32];
            self.entropy.fill(&mut bytes)?;
            Some(MasterKey::new(bytes))
        } else {
            None
        };
        let codec = Codec::new(Compression::Lz4, key, salt);
        let file = self.device.open(&name, OpenMode::CreateNew)?;
        Ok((name, file, codec))
    }

    async fn make_page_file(&self) -> Result<(String, Arc<PageFile>)> {
        let (name, file, codec) = self.open_file()?;
        let superblock = Superblock { page_size: self.page_size, ..Superblock::default() };
        match PageFile::create(file, codec, superblock, 0).await {
            Ok(file) => Ok((name, Arc::new(file))),
            Err(error) => {
                let _ = self.device.remove(&name);
                Err(error.into())
            }
        }
    }

    /// Ends a branch: its pages may be forgotten.
    pub(crate) fn end(&self, branch: BranchId) {
        let mut state = self.state.lock();
        state.live.remove(&branch);
        if !state.live.is_empty() {
            if let Some((_, file)) = &state.file {
                file.forget(|key| key.branch == branch);
            }
            return;
        }
        if let Some((name, _)) = state.file.take() {
            // What is left behind is removed at the next open.
            let _ = self.device.remove(&name);
        }
    }

    /// The file, for encoding what [`TemporaryPages::write`] then gets.
    pub(crate) fn file(&self) -> Option<Arc<PageFile>> {
        self.state.lock().file.as_ref().map(|(_, file)| file.clone())
    }

    /// Writes pages to `file`, which encoded them; see [`PageFile::write`].
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn write(
        &self,
        file: &PageFile,
        images: Vec<(PageKey, Scn, Encoded)>,
        is_newest: impl Fn(PageKey) -> bool + Send,
    ) -> Result<()> {
        file.write(images, is_newest).await?;
        let live = self.state.lock().live.clone();
        file.forget(|key| !live.contains(&key.branch));
        Ok(())
    }

    /// Reads a page; `false` when there is none.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn read(&self, key: PageKey, page: &mut [u8]) -> Result<bool> {
        match self.file() {
            Some(file) => Ok(file.read(key, page).await?),
            None => Ok(false),
        }
    }
}

impl Engine {
    /// Resolves the fault of a page whose tree was written in key order and is read so: the pages that follow in the file
    /// are read with it. To be called by the transaction that the pages belong to, which changes none of them meanwhile.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn resolve_ahead(&self, fault: Fault) -> Result<()> {
        if let FaultReason::Page(first) = fault.0
            && is_temporary(first.branch)
            && let Some(file) = self.temporary.file()
        {
            // Far fewer than would push each other out.
            let pages = PAGES_AHEAD.min(self.pool.frame_count() / 32);
            let ahead = (1..=pages as u64).map(|number| PageId(first.page.0 + 2 * number));
            let keys: Vec<PageKey> = std::iter::once(first.page)
                .chain(ahead)
                .map(|page| PageKey::new(first.branch, page))
                .filter(|key| self.pool.peek(&pin(), *key, Scn::MAX).is_none())
                .collect();
            for (key, page) in keys.iter().zip(file.read_several(&keys, self.pool.page_size()).await) {
                if let Some(page) = page {
                    let mut frame = self.allocate().await?;
                    frame.bytes_mut().copy_from_slice(&page);
                    self.counters.faults.fetch_add(1, Ordering::Relaxed);
                    self.finish_loading(*key, frame);
                }
            }
        }
        self.resolve(fault).await
    }
}

/// Removes what a crash left.
pub(crate) fn remove_leftovers(device: &dyn Device) -> Result<()> {
    for name in device.list()? {
        if name.starts_with(NAME) {
            device.remove(&name)?;
        }
    }
    Ok(())
}
