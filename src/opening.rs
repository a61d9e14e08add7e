//! From a configuration to an open engine, and back to a closed folder.
//!
//! 1. A folder that this process has open already is shared: every further opening with the same key gets the same
//!    engine, and the cache and whatever else the first one configured.
//! 2. Background threads write a checkpoint when the log has grown enough for one, free memory ahead of demand, and finish
//!    commits whose callers were dropped.
//! 3. When the last user is gone, the folder is checkpointed and marked as cleanly closed.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::{block_on, or};
use helios_mvcc::{BranchId, Compression, MasterKey, Store, StoreOptions, Surroundings};
use helios_runtime::device::{MemoryDevice, open_disk};
use helios_runtime::executor::{BackgroundExecutor, StopToken, sleep};
use helios_runtime::{Device, SystemClock, SystemEntropy};
use helios_sql::error::SqlError;
use helios_sql::session::{Engine, Session};
use parking_lot::Mutex;

use crate::crypto::EncryptionKey;
use crate::{CompressionType, Config, Error, Result};

/// One writes checkpoints, while the other keeps frames free.
const BACKGROUND_THREADS: usize = 2;
/// How often it is looked whether a checkpoint is due.
const CHECKPOINT_LOOK: Duration = Duration::from_millis(500);
/// How long closing waits for a checkpoint that is being written.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// The folders that this process has open, or is opening or closing.
static OPEN_FOLDERS: LazyLock<Mutex<HashMap<PathBuf, Folder>>> = LazyLock::new(Mutex::default);
/// Who waits for a folder to be open, or closed.
static WAITING: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

enum Folder {
    /// Being opened.
    Opening,
    /// Open, or being closed if nobody has it any more.
    Open(Weak<Opened>),
}

/// A folder that nobody else opens, until this is dropped.
struct Claim {
    folder: PathBuf,
}

impl Claim {
    /// Waits until nobody is opening or closing the folder; if it is open then, gives that.
    async fn new(folder: PathBuf) -> std::result::Result<Claim, Arc<Opened>> {
        poll_fn(|context| {
            let mut folders = OPEN_FOLDERS.lock();
            match folders.get(&folder) {
                None => {
                    folders.insert(folder.clone(), Folder::Opening);
                    return Poll::Ready(Ok(Claim { folder: folder.clone() }));
                }
                Some(Folder::Opening) => {}
                Some(Folder::Open(opened)) => {
                    if let Some(opened) = opened.upgrade() {
                        return Poll::Ready(Err(opened));
                    }
                }
            }
            // While the folders are locked: nothing settles between the look and this.
            WAITING.lock().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// From now on others share what was opened.
    fn share(&self, opened: &Arc<Opened>) {
        OPEN_FOLDERS.lock().insert(self.folder.clone(), Folder::Open(Arc::downgrade(opened)));
        wake_waiting();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        OPEN_FOLDERS.lock().remove(&self.folder);
        wake_waiting();
    }
}

fn wake_waiting() {
    let waiting = std::mem::take(&mut *WAITING.lock());
    waiting.into_iter().for_each(Waker::wake);
}

/// An open engine with all that belongs to it.
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    /// Sessions that nobody uses at the moment, with the branches that they began on, if not on `main`.
    pub(crate) idle: Mutex<Vec<(Option<BranchId>, Session)>>,
    store: Store,
    background: Option<BackgroundExecutor>,
    key: Option<EncryptionKey>,
    /// Of a folder. Dropped last: who waits for it can lock the folder then.
    claim: Option<Claim>,
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
        self.engine.stop_helpers();
        if let Some(background) = self.background.take() {
            background.stop_token().stop();
            background.stop(STOP_PATIENCE);
        }
        // Who opens the folder meanwhile waits.
        if self.claim.is_some()
            && let Err(error) = block_on(self.close())
        {
            tracing::error!("closing failed, the next opening recovers from the log: {error}");
        }
    }
}

/// Opens the database in a folder, or one in memory.
pub(crate) async fn open(path: Option<&Path>, config: &Config) -> Result<Arc<Opened>> {
    config.validate()?;
    let mut config = config.clone();
    config.load_encryption_key()?;
    config.storage.memory_only = path.is_none();
    if let Some(path) = path {
        config.storage.path = Some(path.to_path_buf());
    }
    let config = &config;
    let key = config.encryption_key.clone();
    let Some(path) = path else {
        let store = open_store(Arc::new(MemoryDevice::new()), config).await?;
        let engine = Engine::open(store.clone(), config.entries()).await?;
        // Without a time to keep, nothing is to be done in the background.
        let background = match config.retention_days {
            Some(_) => {
                let background = executor()?;
                cut_in_background(&background, &engine, config);
                Some(background)
            }
            None => None,
        };
        let opened = Opened { engine, idle: Mutex::default(), store, background, key, claim: None };
        return Ok(Arc::new(opened));
    };
    let device = open_disk(path)
        .map_err(|error| Error::config(format!("the folder {} cannot be opened: {error}", path.display())))?;
    let folder = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let claim = match Claim::new(folder).await {
        Ok(claim) => claim,
        Err(opened) => {
            return check_key(opened.key.as_ref(), key.as_ref())
                .map(|()| opened)
                .map_err(|error| error.in_folder(path));
        }
    };
    let store = open_store(device, config).await.map_err(|error| error.in_folder(path))?;
    let engine = Engine::open(store.clone(), config.entries()).await?;
    let background = start_background(&store)?;
    cut_in_background(&background, &engine, config);
    let opened = Arc::new(Opened {
        engine,
        idle: Mutex::default(),
        store,
        background: Some(background),
        key,
        claim: Some(claim),
    });
    if let Some(claim) = &opened.claim {
        claim.share(&opened);
    }
    Ok(opened)
}

/// The key of a folder that is open already has to be given again: who does not have it gets nothing.
fn check_key(open: Option<&EncryptionKey>, given: Option<&EncryptionKey>) -> Result<()> {
    let text = match (open, given) {
        (open, given) if open == given => return Ok(()),
        (Some(_), None) => "the database is encrypted: give its key",
        (None, Some(_)) => "the database is not encrypted, but a key was given: open it without one",
        _ => "the key is not the one that the database was encrypted with: give that one",
    };
    Err(SqlError::from(helios_mvcc::Error::Open(text.into())).into())
}

/// What one transaction keeps of its writes in memory: a quarter of the cache, within these.
const WRITE_SET_BYTES_MIN: usize = 1 << 20;
const WRITE_SET_BYTES_MAX: usize = 32 << 20;

async fn open_store(device: Arc<dyn Device>, config: &Config) -> Result<Store> {
    let cache_size_bytes = usize::try_from(config.storage.cache_size)
        .map_err(|_| Error::config("storage.cache_size is larger than this machine can address"))?;
    let options = StoreOptions {
        cache_size_bytes,
        // Who wants a small cache wants no transaction that takes several times as much.
        write_set_bytes: (cache_size_bytes / 4).clamp(WRITE_SET_BYTES_MIN, WRITE_SET_BYTES_MAX),
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
    Ok(Store::open(options, surroundings).await.map_err(SqlError::from)?)
}

fn executor() -> Result<BackgroundExecutor> {
    BackgroundExecutor::start(BACKGROUND_THREADS)
        .map_err(|error| Error::config(format!("the background threads cannot be started: {error}")))
}

/// Cuts history that is older than it is to be kept, now and then.
fn cut_in_background(background: &BackgroundExecutor, engine: &Engine, config: &Config) {
    let interval = Duration::from_secs(u64::from(config.compact_interval_hours.max(1)) * 3600);
    let (engine, stop) = (engine.clone(), background.stop_token());
    let _cutting = background.spawn(or(async move { stop.stopped().await }, async move {
        loop {
            if let Err(error) = engine.cut_history().await {
                tracing::error!("old history was not cut, and is the next time: {error}");
            }
            sleep(interval).await;
        }
    }));
}

fn start_background(store: &Store) -> Result<BackgroundExecutor> {
    let background = executor()?;
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

/// Writes a checkpoint whenever one is due, and into the log that it is durable so far, until told to stop or until no more
/// commits are accepted.
async fn write_checkpoints(store: Store, stop: StopToken) {
    loop {
        or(sleep(CHECKPOINT_LOOK), stop.stopped()).await;
        if stop.is_stopping() {
            return;
        }
        if let Err(error) = store.vouch().await {
            tracing::error!("no more commits are accepted: {error}");
            return;
        }
        if !store.checkpoint_due() {
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
