//! What several tests need.

use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{Store, StoreOptions, Surroundings};
use helios_runtime::{MemoryDevice, SystemClock, SystemEntropy};

/// An empty store in memory.
pub fn memory_store() -> Store {
    let surroundings = Surroundings {
        device: Arc::new(MemoryDevice::new()),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    };
    let options = StoreOptions { cache_size_bytes: 16 << 20, ..StoreOptions::default() };
    block_on(Store::open(options, surroundings)).unwrap()
}
