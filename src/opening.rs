//! From a configuration to an open engine, and back to a closed folder.
//!
//! 1. A folder that this process has open already is shared: every further opening gets the same engine.
//! 2. Background threads write a checkpoint when the log has grown enough for one, free memory ahead of demand, and finish
//!    commits whose callers were dropped.
//! 3. When the last user is gone, the folder is checkpointed and marked as cleanly closed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use futures_lite::future::{block_on, or};
use helios_mvcc::{Compression, MasterKey, Store, StoreOptions, Surroundings};
use helios_runtime::device::{MemoryDevice, open_disk};
use helios_runtime::executor::{BackgroundExecutor, StopToken, sleep};
use helios_runtime::{Device, SystemClock, SystemEntropy};
use helios_sql::error::SqlError;
use helios_sql::session::{Engine, Session};
use parking_lot::Mutex;

use crate::{CompressionType, Config, Error, Result};

/// One writes checkpoints, while the other keeps frames free.
const BACKGROUND_THREADS: usize = 2;
/// How often it is looked whether a checkpoint is due.
const CHECKPOINT_LOOK: Duration = Duration::from_millis(500);
/// How long closing waits for a checkpoint that is being written.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// The folders that this process has open.
static OPEN_FOLDERS: LazyLock<Mutex<HashMap<PathBuf, Weak<Opened>>>> = LazyLock::new(Mutex::default);

/// An open engine with all that belongs to it.
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    /// Sessions that nobody uses at the moment.
    pub(crate) idle: Mutex<Vec<Session>>,
    store: Store,
    background: Option<BackgroundExecutor>,
    folder: Option<PathBuf>,
}

impl Opened {
    /// Writes down what is only in memory, and closes the folder.
    async fn close(&self) -> Result<()> {
        self.engine.close().await?;
        Ok(self.store.close().await.map_err(SqlError::from)?)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.idle.lock().clear();
        if let Some(background) = self.background.take() {
            background.stop_token().stop();
            background.stop(STOP_PATIENCE);
        }
        // The registry is locked meanwhile, so that nobody opens the folder before it is closed.
        let mut open_folders = OPEN_FOLDERS.lock();
        if self.folder.is_some()
            && let Err(error) = block_on(self.close())
        {
            tracing::error!("closing failed, the next opening recovers from the log: {error}");
        }
        if let Some(folder) = &self.folder
            && open_folders.get(folder).is_some_and(|opened| opened.strong_count() == 0)
        {
            open_folders.remove(folder);
        }
    }
}

/// Opens the database in a folder, or one in memory.
pub(crate) fn open(path: Option<&Path>, config: &Config) -> Result<Arc<Opened>> {
    config.validate()?;
    let mut config = config.clone();
    config.load_encryption_key()?;
    let config = &config;
    let Some(path) = path else {
        let store = open_store(Arc::new(MemoryDevice::new()), config)?;
        let engine = block_on(Engine::open(store.clone(), config.entries()))?;
        let opened = Opened { engine, idle: Mutex::default(), store, background: None, folder: None };
        return Ok(Arc::new(opened));
    };
    let mut open_folders = OPEN_FOLDERS.lock();
    let device = open_disk(path)
        .map_err(|error| Error::config(format!("the folder {} cannot be opened: {error}", path.display())))?;
    let folder = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if let Some(opened) = open_folders.get(&folder).and_then(Weak::upgrade) {
        return Ok(opened);
    }
    let store = open_store(device, config).map_err(|error| error.in_folder(path))?;
    let engine = block_on(Engine::open(store.clone(), config.entries()))?;
    let background = start_background(&store)?;
    let opened = Arc::new(Opened {
        engine,
        idle: Mutex::default(),
        store,
        background: Some(background),
        folder: Some(folder.clone()),
    });
    open_folders.insert(folder, Arc::downgrade(&opened));
    Ok(opened)
}

fn open_store(device: Arc<dyn Device>, config: &Config) -> Result<Store> {
    let options = StoreOptions {
        cache_size_bytes: usize::try_from(config.storage.cache_size)
            .map_err(|_| Error::config("storage.cache_size is larger than this machine can address"))?,
        compression: match config.storage.compression {
            CompressionType::None => Compression::None,
            CompressionType::Lz4 => Compression::Lz4,
            CompressionType::Zstd => Compression::Zstd,
        },
        key: config.encryption_key.as_ref().map(|key| MasterKey::new(*key.as_bytes())),
        log_enabled: config.storage.wal_enabled,
        ..StoreOptions::default()
    };
    let surroundings =
        Surroundings { device, clock: Arc::new(SystemClock::new()), entropy: Arc::new(SystemEntropy) };
    Ok(block_on(Store::open(options, surroundings)).map_err(SqlError::from)?)
}

fn start_background(store: &Store) -> Result<BackgroundExecutor> {
    let background = BackgroundExecutor::start(BACKGROUND_THREADS)
        .map_err(|error| Error::config(format!("the background threads cannot be started: {error}")))?;
    // They run on without their handles, until the stop token tells them to end.
    let _checkpoints = background.spawn(write_checkpoints(store.clone(), background.stop_token()));
    let (cleaned, stop) = (store.clone(), background.stop_token());
    let _cleaning = background.spawn(or(async move { stop.stopped().await }, async move {
        // Whoever needs a frame next meets the same error, and tells it.
        if let Err(error) = cleaned.clean_ahead().await {
            tracing::warn!("memory is no longer freed ahead of demand: {error}");
        }
    }));
    let (store, stop) = (store.clone(), background.stop_token());
    let _tending =
        background.spawn(or(async move { stop.stopped().await }, async move { store.tend().await }));
    Ok(background)
}

/// Writes a checkpoint whenever one is due, until told to stop, or until no more commits are accepted.
async fn write_checkpoints(store: Store, stop: StopToken) {
    while !stop.is_stopping() {
        or(sleep(CHECKPOINT_LOOK), stop.stopped()).await;
        if stop.is_stopping() || !store.checkpoint_due() {
            continue;
        }
        match store.checkpoint().await {
            Ok(()) => {}
            Err(error @ helios_mvcc::Error::Poisoned(_)) => {
                tracing::error!("no more checkpoints are written: {error}");
                return;
            }
            Err(error) => tracing::error!("a checkpoint failed, and is tried again: {error}"),
        }
    }
}
