//! How much memory a query's operators hold, and their temporary files.
//!
//! Each operator that gathers rows says how much it holds ([`Reservation`]) and keeps itself below `work_mem` — hash tables
//! below `work_mem × hash_mem_multiplier` — by moving rows to a temporary file of its own ([`SpillFile`]). The length of all
//! files of a query is bounded by `temp_file_limit`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use helios_mvcc::{Store, TemporaryBlock, TemporaryFile};

use crate::error::{Result, SqlError, SqlState};
use crate::session::SettingValues;

/// What may be held of what cannot be moved to a file, as so many times `work_mem`: 1 GiB with the usual 4 MB.
const STATE_TIMES_WORK_MEM: usize = 256;

/// The account of one query.
#[derive(Debug)]
pub struct QueryMemory {
    /// What an operator may hold, bytes.
    pub work_bytes: usize,
    /// What a hash table may hold, bytes.
    pub hash_bytes: usize,
    /// What may be held of what cannot be moved to a file: states of aggregates, and a partition of a window.
    pub state_bytes_max: usize,
    temp_file_limit_kilobytes: Option<u64>,
    held_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    file_bytes: AtomicU64,
}

impl QueryMemory {
    /// An empty account under the settings in force.
    #[must_use]
    pub fn new(settings: &SettingValues) -> QueryMemory {
        let work_bytes = settings.kilobytes("work_mem").and_then(|size| usize::try_from(size).ok());
        let work_bytes = work_bytes.unwrap_or(4096).saturating_mul(1024);
        let multiplier = settings.get("hash_mem_multiplier").ok().and_then(|value| value.parse::<f64>().ok());
        QueryMemory {
            work_bytes,
            hash_bytes: (work_bytes as f64 * multiplier.unwrap_or(2.0)) as usize,
            state_bytes_max: work_bytes.saturating_mul(STATE_TIMES_WORK_MEM),
            temp_file_limit_kilobytes: settings
                .kilobytes("temp_file_limit")
                .and_then(|size| u64::try_from(size).ok()),
            held_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            file_bytes: AtomicU64::new(0),
        }
    }

    /// The most that was held at a time, bytes.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// 53200 if so many bytes of what cannot be moved to a file are too many.
    ///
    /// # Errors
    /// That.
    pub fn check_state(&self, bytes: usize) -> Result<()> {
        if bytes <= self.state_bytes_max {
            return Ok(());
        }
        Err(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .with_detail(format!(
                "The states of aggregates, or the rows of a window's partition, take more than {} kB.",
                self.state_bytes_max >> 10
            ))
            .with_hint("They may take 256 times \"work_mem\"."))
    }

    /// What an operator begins with: nothing.
    #[must_use]
    pub fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation { memory: self.clone(), bytes: 0, peak_bytes: 0 }
    }

    fn note_file_growth(&self, bytes: u64) -> Result<()> {
        let used = self.file_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match self.temp_file_limit_kilobytes {
            Some(limit) if used > limit * 1024 => Err(SqlError::new(
                SqlState::CONFIGURATION_LIMIT_EXCEEDED,
                format!("temporary file size exceeds temp_file_limit ({limit}kB)"),
            )),
            _ => Ok(()),
        }
    }
}

/// What one operator holds; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<QueryMemory>,
    bytes: usize,
    peak_bytes: usize,
}

impl Reservation {
    /// The account.
    #[must_use]
    pub fn memory(&self) -> &Arc<QueryMemory> {
        &self.memory
    }

    /// Says how much is held now.
    pub fn set(&mut self, bytes: usize) {
        let held = &self.memory.held_bytes;
        let total = if bytes >= self.bytes {
            held.fetch_add(bytes - self.bytes, Ordering::Relaxed) + bytes - self.bytes
        } else {
            held.fetch_sub(self.bytes - bytes, Ordering::Relaxed) + bytes - self.bytes
        };
        self.memory.peak_bytes.fetch_max(total, Ordering::Relaxed);
        self.bytes = bytes;
        self.peak_bytes = self.peak_bytes.max(bytes);
    }

    /// Says how much is held now of what cannot be moved to a file.
    ///
    /// # Errors
    /// 53200 beyond what may be.
    pub fn set_state(&mut self, bytes: usize) -> Result<()> {
        self.set(bytes);
        self.memory.check_state(bytes)
    }

    /// The most that was held at a time, bytes.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An operator's temporary file, made when first written to.
pub struct SpillFile {
    memory: Arc<QueryMemory>,
    store: Store,
    file: Option<TemporaryFile>,
    counted_bytes: u64,
    /// What the next block is put together in.
    pub scratch: Vec<u8>,
}

impl SpillFile {
    pub fn new(store: &Store, memory: &Arc<QueryMemory>) -> SpillFile {
        SpillFile {
            memory: memory.clone(),
            store: store.clone(),
            file: None,
            counted_bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// Writes what is in `scratch` as a block.
    ///
    /// # Errors
    /// 53400 beyond `temp_file_limit`; 53100, 53200 and others of the device.
    pub async fn append(&mut self) -> Result<TemporaryBlock> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.store.temporary_file()?),
        };
        let block = file.append(&self.scratch).await?;
        self.scratch.clear();
        let growth = file.size_bytes() - self.counted_bytes;
        self.counted_bytes += growth;
        self.memory.note_file_growth(growth)?;
        Ok(block)
    }

    /// Reads a block.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn read(&self, block: TemporaryBlock) -> Result<Vec<u8>> {
        match &self.file {
            Some(file) => Ok(file.read(block).await?),
            None => Err(SqlError::internal("a block of a temporary file that was never made")),
        }
    }

    /// Gives up a block.
    pub fn release(&mut self, block: TemporaryBlock) {
        if let Some(file) = &mut self.file {
            file.release(block);
        }
    }

    /// Whether anything was written.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.file.is_some()
    }

    /// The file's length, bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.counted_bytes
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.memory.file_bytes.fetch_sub(self.counted_bytes, Ordering::Relaxed);
    }
}
