//! What the compressed tier is worth: random point reads of data twice the cache, most of them in a fifth of the rows,
//! with the tier and without; the same for data that fits, where it must cost nothing; and how the split was decided.
//!
//! Run with `cargo run --release -p helios_benches --example compressed_tier [FOLDER]`.
#![allow(clippy::disallowed_methods)] // it clears its folder

use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, CompressedTierSize, Compression, Error, Isolation, Store, StoreOptions, Surroundings, TreeId,
};
use helios_runtime::device::open_disk;
use helios_runtime::{Clock, SystemClock, SystemEntropy};

const CACHE_BYTES: usize = 32 << 20;
const ROW_BYTES: usize = 400;
const READS: u64 = 200_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Four of five times in the first fifth.
    fn skewed(&mut self, bound: u64) -> u64 {
        if self.below(5) > 0 { self.below(bound / 5) } else { self.below(bound) }
    }
}

/// A row that compresses to about a third.
fn row(number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let mut bytes: Vec<u8> = (0..ROW_BYTES / 3).map(|_| random.below(256) as u8).collect();
    bytes.resize(ROW_BYTES, b'x');
    bytes
}

async fn run(
    folder: &str,
    data_bytes: usize,
    size: CompressedTierSize,
    is_skewed: bool,
) -> Result<(), Error> {
    let _ = std::fs::remove_dir_all(folder);
    let clock = Arc::new(SystemClock::new());
    let surroundings =
        Surroundings { device: open_disk(folder)?, clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
    let options = StoreOptions {
        cache_size_bytes: CACHE_BYTES,
        compression: Compression::Lz4,
        compressed_tier: size,
        ..StoreOptions::default()
    };
    let store = Store::open(options, surroundings).await?;
    let rows = (data_bytes / ROW_BYTES) as u64;
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    let tree: TreeId = transaction.create_tree();
    transaction.commit().await?;
    for start in (0..rows).step_by(2000) {
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        for number in start..(start + 2000).min(rows) {
            transaction.put(tree, &number.to_be_bytes(), &row(number))?;
        }
        transaction.commit().await?;
    }
    store.checkpoint().await?;
    let mut random = Random(7);
    for phase in ["warming up", "measured"] {
        let before = store.stats()?;
        let started = clock.now_micros();
        for _ in 0..READS {
            let number = if is_skewed { random.skewed(rows) } else { random.below(rows) };
            let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
            transaction.begin_statement();
            let found = transaction.get(tree, &number.to_be_bytes()).await?;
            assert_eq!(found.map(|value| value.len()), Some(ROW_BYTES));
        }
        let seconds = (clock.now_micros() - started) as f64 / 1e6;
        let stats = store.stats()?;
        println!(
            "{} MiB, {}, {size:?}, {phase}: {:.0} reads/s, of the device {:.3}, of the tier {:.3}; tier {} MiB",
            data_bytes >> 20,
            if is_skewed { "skewed" } else { "uniform" },
            READS as f64 / seconds,
            (stats.faults - before.faults) as f64 / READS as f64,
            (stats.compressed_hits - before.compressed_hits) as f64 / READS as f64,
            stats.compressed_bytes_max >> 20,
        );
    }
    drop(store);
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}

fn main() -> Result<(), Error> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "/tmp/helios-compressed-tier".into());
    if let Some(share) = std::env::args().nth(2).and_then(|text| text.parse().ok()) {
        return block_on(run(&folder, 2 * CACHE_BYTES, CompressedTierSize::Percent(share), false));
    }
    for (data_bytes, is_skewed) in
        [(2 * CACHE_BYTES, true), (2 * CACHE_BYTES, false), (CACHE_BYTES / 2, false)]
    {
        for size in [CompressedTierSize::Off, CompressedTierSize::Percent(40), CompressedTierSize::Adaptive] {
            block_on(run(&folder, data_bytes, size, is_skewed))?;
        }
    }
    Ok(())
}
