//! What history costs, and what cutting it does: rows as pgbench's accounts have them, on disk without a log. Updates with
//! all history kept and with a cut now and then; bytes of history for each updated row; reads of the past beside reads of now;
//! and the longest waits while history is cut. `history [FOLDER [updates|past|waits]]`.
#![allow(clippy::disallowed_methods)] // it clears its folder

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, ScanStep, Scn, Store, StoreOptions, Surroundings,
    Transaction, TreeId,
};
use helios_runtime::device::{Device, MemoryDevice, open_disk};
use helios_runtime::{Clock, SystemClock, SystemEntropy};

const ROWS: u64 = 100_000;
const COMMITS: u64 = 4_000;
const ROWS_PER_COMMIT: u64 = 100;
/// A cut comes after so many commits.
const CUT_EVERY: u64 = 500;
/// Commits beside cuts.
const WAITS: u64 = 60_000;
const HOT_ROWS: u64 = 100;
const VERSIONS: u64 = 11_000;
const READS: u64 = 100;

fn open(folder: &Path, compression: Compression) -> Result<Store, Error> {
    let _ = std::fs::remove_dir_all(folder);
    open_on(open_disk(folder)?, compression)
}

fn open_on(device: Arc<dyn Device>, compression: Compression) -> Result<Store, Error> {
    let surroundings =
        Surroundings { device, clock: Arc::new(SystemClock::new()), entropy: Arc::new(SystemEntropy) };
    let options = StoreOptions {
        cache_size_bytes: 256 << 20,
        compression,
        log_enabled: false,
        ..StoreOptions::default()
    };
    block_on(Store::open(options, surroundings))
}

/// An account: branch and balance, and 84 blanks.
fn account(number: u64, balance: u64) -> Vec<u8> {
    let mut row = (number as u32 / 100_000).to_le_bytes().to_vec();
    row.extend_from_slice(&(balance as u32).to_le_bytes());
    row.resize(row.len() + 84, b' ');
    row
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

fn load(store: &Store, rows: u64) -> Result<TreeId, Error> {
    let mut transaction = begin(store);
    let tree = transaction.create_tree();
    for number in 0..rows {
        transaction.put(tree, &number.to_be_bytes(), &account(number, 0))?;
    }
    block_on(transaction.commit())?;
    block_on(store.checkpoint())?;
    Ok(tree)
}

fn update(store: &Store, tree: TreeId, rows: u64, round: u64, count: u64) -> Result<Scn, Error> {
    let mut transaction = begin(store);
    for index in 0..count {
        let number = (round * count + index).wrapping_mul(0x9E37_79B9_7F4A_7C15) % rows;
        transaction.put(tree, &number.to_be_bytes(), &account(number, round))?;
    }
    Ok(block_on(transaction.commit())?.scn.unwrap_or_default())
}

fn cut(store: &Store) -> Result<(), Error> {
    block_on(store.cut_history(&[(BranchId::MAIN, store.visible_scn())], &[]))
}

fn updates(folder: &Path, clock: &SystemClock) -> Result<(), Error> {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        for cuts in [false, true] {
            let store = open(folder, compression)?;
            let tree = load(&store, ROWS)?;
            let fresh = store.stats()?.data_used_bytes;
            let started = clock.now_micros();
            for round in 1..=COMMITS {
                update(&store, tree, ROWS, round, ROWS_PER_COMMIT)?;
                if round % CUT_EVERY == 0 {
                    block_on(store.checkpoint())?;
                    if cuts {
                        cut(&store)?;
                    }
                }
            }
            let micros = clock.now_micros() - started;
            let (rows, stats) = (COMMITS * ROWS_PER_COMMIT, store.stats()?);
            println!(
                "{compression:?}, {}: {:.2} µs an updated row; {:.1} bytes of history each, file {} MB",
                if cuts { "cut" } else { "all kept" },
                micros as f64 / rows as f64,
                stats.data_used_bytes.saturating_sub(fresh) as f64 / rows as f64,
                stats.data_file_bytes >> 20
            );
            block_on(store.close())?;
        }
    }
    Ok(())
}

fn scan(transaction: &Transaction, tree: TreeId) -> Result<u64, Error> {
    let (mut scan, mut rows) = (transaction.scan(tree, KeyRange::all(), false), 0);
    let mut visit = |_: &[u8], _: &[u8]| {
        rows += 1;
        ControlFlow::Continue(())
    };
    while block_on(scan.next(transaction, &mut visit))? != ScanStep::Done {}
    Ok(rows)
}

/// Median microseconds of a point read and of a scan of all rows, each at another moment of the same age.
fn reads(store: &Store, tree: TreeId, moments: &[Scn], clock: &SystemClock) -> Result<(f64, f64), Error> {
    let (mut points, mut scans) = (Vec::new(), Vec::new());
    for (index, scn) in moments.iter().enumerate() {
        let mut reader = store.begin_as_of(BranchId::MAIN, *scn)?;
        let started = clock.now_micros();
        if index % 2 == 0 {
            block_on(reader.get(tree, &(index as u64 % HOT_ROWS).to_be_bytes()))?;
            points.push(clock.now_micros() - started);
        } else {
            assert_eq!(scan(&reader, tree)?, HOT_ROWS);
            scans.push(clock.now_micros() - started);
        }
    }
    points.sort_unstable();
    scans.sort_unstable();
    Ok((points[points.len() / 2] as f64, scans[scans.len() / 2] as f64))
}

/// Mean microseconds of a point read and of a scan of all rows as of one moment, over and over: its pages are in the cache. A
/// single read is shorter than the clock tells.
fn repeated(
    begin: impl Fn() -> Result<Transaction, Error>,
    tree: TreeId,
    clock: &SystemClock,
) -> Result<(f64, f64), Error> {
    let started = clock.now_micros();
    for index in 0..READS * 100 {
        block_on(begin()?.get(tree, &(index % HOT_ROWS).to_be_bytes()))?;
    }
    let point = (clock.now_micros() - started) as f64 / (READS * 100) as f64;
    let started = clock.now_micros();
    for _ in 0..READS {
        assert_eq!(scan(&begin()?, tree)?, HOT_ROWS);
    }
    Ok((point, (clock.now_micros() - started) as f64 / READS as f64))
}

fn past(store: &Store, clock: &SystemClock) -> Result<(), Error> {
    let tree = load(store, HOT_ROWS)?;
    let mut moments = Vec::new();
    for round in 0..VERSIONS {
        moments.push(update(store, tree, HOT_ROWS, round, HOT_ROWS)?);
        if round % 1_000 == 0 {
            block_on(store.checkpoint())?;
        }
    }
    block_on(store.checkpoint())?;
    let (point, whole) = repeated(|| Ok(begin(store)), tree, clock)?;
    println!("now: point {point:.2} µs, scan {whole:.1} µs");
    for back in [1, 100, 10_000] {
        let end = moments.len() - back;
        let from = end.saturating_sub(if back == 1 { 2 } else { READS.min(back as u64) as usize });
        let (points, scans) = reads(store, tree, &moments[from..end], clock)?;
        println!(
            "{back} versions back: point {points:.1} µs ({:.0} times), scan {scans:.1} µs ({:.0} times)",
            points / point,
            scans / whole
        );
        let then = || store.begin_as_of(BranchId::MAIN, moments[end - 1]);
        let (points, scans) = repeated(then, tree, clock)?;
        println!(
            "again: point {points:.2} µs ({:.1} times), scan {scans:.1} µs ({:.1} times)",
            points / point,
            scans / whole
        );
    }
    block_on(store.close())
}

/// The longest commit and the longest read while history is cut without a pause.
fn waits(folder: &Path, clock: &SystemClock) -> Result<(), Error> {
    for cuts in [false, true] {
        let store = open(folder, Compression::Zstd)?;
        let tree = load(&store, ROWS)?;
        let done = AtomicBool::new(false);
        let (mut commits, mut reads, mut count) = (Vec::new(), Vec::new(), 0);
        std::thread::scope(|scope| {
            let cutter = scope.spawn(|| {
                let mut count = 0;
                while !done.load(Ordering::Acquire) {
                    if cuts { cut(&store) } else { block_on(store.checkpoint()) }?;
                    count += 1;
                }
                Ok::<_, Error>(count)
            });
            for round in 1..=WAITS {
                let started = clock.now_micros();
                update(&store, tree, ROWS, round, 4)?;
                commits.push(clock.now_micros() - started);
                let started = clock.now_micros();
                block_on(begin(&store).get(tree, &(round * 7 % ROWS).to_be_bytes()))?;
                reads.push(clock.now_micros() - started);
            }
            done.store(true, Ordering::Release);
            count = cutter.join().expect("the cutter does not panic")?;
            Ok::<_, Error>(())
        })?;
        commits.sort_unstable();
        reads.sort_unstable();
        let at = |micros: &[u64], share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
        println!(
            "{count} {}: commits median {} µs, 99.9 % {} µs, longest {} µs; reads median {} µs, 99.9 % {} µs, longest {} µs",
            if cuts { "cuts" } else { "checkpoints" },
            at(&commits, 0.5),
            at(&commits, 0.999),
            at(&commits, 1.0),
            at(&reads, 0.5),
            at(&reads, 0.999),
            at(&reads, 1.0)
        );
        block_on(store.close())?;
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let folder =
        std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("helios-history"), PathBuf::from);
    let clock = SystemClock::new();
    let part = std::env::args().nth(2);
    let is_wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if is_wanted("updates") {
        updates(&folder, &clock)?;
    }
    if is_wanted("past") {
        println!("on disk:");
        past(&open(&folder, Compression::Zstd)?, &clock)?;
        println!("on a device in memory, so without the time that reading takes:");
        past(&open_on(Arc::new(MemoryDevice::new()), Compression::Zstd)?, &clock)?;
    }
    if is_wanted("waits") {
        waits(&folder, &clock)?;
    }
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}
