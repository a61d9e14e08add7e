//! Shows that memory stays bounded whatever the size of the data: a database ten times its cache is filled, read,
//! updated, scanned and checkpointed against a model, and the process never holds more than the cache and the constant
//! that `docs/limits.md` states. Uncompressed, compressed both ways, encrypted, and without io_uring.
//!
//! The whole program is one test, so that the resident size is that of one store at a time.
#![allow(clippy::disallowed_methods)] // the kernel's figures are not the database's files

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, MasterKey, ScanStep, Store, StoreOptions,
    Surroundings, TreeId,
};
use helios_runtime::device::{BlockingDevice, Device, open_disk};
use helios_runtime::{Clock, SystemClock, SystemEntropy};

/// What `docs/limits.md` allows beyond the cache.
const CONSTANT_BYTES: u64 = 16 << 20;
const ROW_BYTES: usize = 1000;
const ROWS_PER_COMMIT: u64 = 100;

/// A size of the process in bytes, as the kernel knows it.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells the size of a process");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a known field");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
}

/// Starts measuring the largest size anew.
fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("the kernel resets the peak of its own process");
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A row that compresses to about a third: a pure function of its key and how often it was written.
fn row(number: u64, writes: u8) -> Vec<u8> {
    let mut random = Random(number << 8 | u64::from(writes));
    let mut bytes: Vec<u8> = (0..ROW_BYTES / 3).map(|_| random.below(256) as u8).collect();
    bytes.resize(ROW_BYTES, writes);
    bytes
}

struct Case {
    name: &'static str,
    compression: Compression,
    key: Option<MasterKey>,
    with_ring: bool,
}

struct Database {
    store: Store,
    tree: TreeId,
    /// How often each row was written.
    writes: Vec<u8>,
}

impl Database {
    async fn put(&mut self, numbers: impl Iterator<Item = u64>) -> Result<(), Error> {
        let mut transaction = self.store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        for number in numbers {
            let count = &mut self.writes[number as usize];
            *count = count.wrapping_add(1);
            transaction.put(self.tree, &number.to_be_bytes(), &row(number, *count))?;
        }
        transaction.commit().await?;
        if self.store.checkpoint_due() {
            self.store.checkpoint().await?;
        }
        Ok(())
    }

    async fn check(&self, number: u64) -> Result<(), Error> {
        let mut transaction = self.store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        let found = transaction.get(self.tree, &number.to_be_bytes()).await?;
        assert!(found == Some(row(number, self.writes[number as usize])), "row {number}");
        Ok(())
    }

    async fn scan(&self) -> Result<(), Error> {
        let mut transaction = self.store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        let mut scan = transaction.scan(self.tree, KeyRange::all(), false);
        let mut next = 0u64;
        let mut visit = |key: &[u8], value: &[u8]| {
            assert!(
                key == next.to_be_bytes() && value == row(next, self.writes[next as usize]),
                "row {next}"
            );
            next += 1;
            ControlFlow::Continue(())
        };
        while scan.next(&transaction, &mut visit).await? != ScanStep::Done {}
        assert_eq!(next, self.writes.len() as u64);
        Ok(())
    }
}

async fn run(case: &Case, cache_bytes: usize, rows: u64, before: u64) -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let device: Arc<dyn Device> = match case.with_ring {
        true => open_disk(folder.path())?,
        false => Arc::new(BlockingDevice::open(folder.path())?),
    };
    let options = StoreOptions {
        cache_size_bytes: cache_bytes,
        compression: case.compression,
        key: case.key.clone(),
        log_segment_bytes: 1 << 20,
        checkpoint_log_bytes: 16 << 20,
        ..StoreOptions::default()
    };
    let surroundings =
        Surroundings { device, clock: Arc::new(SystemClock::new()), entropy: Arc::new(SystemEntropy) };
    reset_peak();
    let store = Store::open(options.clone(), surroundings.clone()).await?;
    let mut first = store.begin(BranchId::MAIN, Isolation::Snapshot);
    let tree = first.create_tree();
    first.commit().await?;
    let mut database = Database { store, tree, writes: vec![0; rows as usize] };
    let mut random = Random(rows);
    let started = SystemClock::new().now_micros();
    for start in (0..rows).step_by(ROWS_PER_COMMIT as usize) {
        database.put(start..(start + ROWS_PER_COMMIT).min(rows)).await?;
    }
    for _ in 0..rows / ROWS_PER_COMMIT / 4 {
        let mut numbers: Vec<u64> = (0..ROWS_PER_COMMIT).map(|_| random.below(rows)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        database.put(numbers.into_iter()).await?;
        for _ in 0..ROWS_PER_COMMIT {
            database.check(random.below(rows)).await?;
        }
    }
    database.scan().await?;
    let stats = database.store.stats()?;
    let hit_rate = stats.hits as f64 / (stats.hits + stats.faults) as f64;
    let data_bytes = stats.data_used_bytes;
    assert!(stats.evictions > stats.frames, "pages left memory");
    // The same holds for a store just opened.
    database.store.close().await?;
    drop(database.store);
    database.store = Store::open(options, surroundings).await?;
    for _ in 0..1000 {
        database.check(random.below(rows)).await?;
    }
    let peak = status("VmHWM").saturating_sub(before);
    println!(
        "{}: {} MiB of rows, {} MiB in the file, cache {} MiB: peak {:.1} MiB, hit rate {hit_rate:.3}, {:.1} s",
        case.name,
        (rows as usize * ROW_BYTES) >> 20,
        data_bytes >> 20,
        cache_bytes >> 20,
        peak as f64 / f64::from(1 << 20),
        (SystemClock::new().now_micros() - started) as f64 / 1e6,
    );
    assert!(
        peak <= cache_bytes as u64 + CONSTANT_BYTES,
        "{}: {peak} bytes resident with a cache of {cache_bytes}",
        case.name
    );
    assert!(hit_rate > 0.3 && hit_rate < 1.0, "a hit rate of {hit_rate}");
    Ok(())
}

#[test]
fn memory_stays_within_the_cache_and_a_constant() {
    let is_long = std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true");
    let cache_bytes = if is_long { 32 << 20 } else { 2 << 20 };
    let rows = 11 * (cache_bytes / ROW_BYTES) as u64;
    // What the allocator keeps of earlier cases counts too.
    let before = status("VmRSS");
    let key = Some(MasterKey::new([3; 32]));
    let cases = [
        Case { name: "plain", compression: Compression::None, key: None, with_ring: true },
        Case { name: "lz4", compression: Compression::Lz4, key: None, with_ring: true },
        Case { name: "zstd", compression: Compression::Zstd, key: None, with_ring: true },
        Case { name: "encrypted", compression: Compression::Lz4, key, with_ring: true },
        Case { name: "without io_uring", compression: Compression::Lz4, key: None, with_ring: false },
    ];
    for case in &cases {
        block_on(run(case, cache_bytes, rows, before)).expect(case.name);
    }
}
