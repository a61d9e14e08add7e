//! What the benchmarks share.
#![deny(unsafe_code)]

use std::sync::Arc;

use helios_mvcc::{Store, StoreOptions, Surroundings};
use helios_runtime::{MemoryDevice, SystemClock, SystemEntropy};

/// A store in memory with a cache of `cache_size_bytes`.
pub fn memory_store(cache_size_bytes: usize) -> Store {
    let surroundings = Surroundings {
        device: Arc::new(MemoryDevice::new()),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    };
    let options = StoreOptions { cache_size_bytes, ..StoreOptions::default() };
    futures_lite::future::block_on(Store::open(options, surroundings)).expect("a store in memory opens")
}
