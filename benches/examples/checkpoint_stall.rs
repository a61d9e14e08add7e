//! How long commits and reads wait while checkpoints are written without a pause: the longest and the usual time of each,
//! first without, then with them. `checkpoint_stall [FOLDER]`.
#![allow(clippy::disallowed_methods)] // it clears its folder

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future::block_on;
use helios_mvcc::{BranchId, Error, Isolation, Store, StoreOptions, Surroundings, TreeId};
use helios_runtime::device::{Device, MemoryDevice, open_disk};
use helios_runtime::{Clock, SystemClock, SystemEntropy};

const ROWS: u64 = 100_000;
const ROUNDS: usize = 6_000;

fn report(what: &str, mut micros: Vec<u64>) {
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    println!("  {what}: median {} µs, 99.9 % {} µs, longest {} µs", at(0.5), at(0.999), at(1.0));
}

fn work(store: &Store, tree: TreeId, clock: &SystemClock) -> Result<(), Error> {
    let (mut commits, mut reads) = (Vec::new(), Vec::new());
    let mut number = 0u64;
    for _ in 0..ROUNDS {
        let started = clock.now_micros();
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        for _ in 0..4 {
            number = (number + 7919) % ROWS;
            transaction.put(tree, &number.to_be_bytes(), &[9; 300])?;
        }
        block_on(transaction.commit())?;
        commits.push(clock.now_micros() - started);
        let started = clock.now_micros();
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        block_on(transaction.get(tree, &(number / 2).to_be_bytes()))?;
        reads.push(clock.now_micros() - started);
    }
    report("commits", commits);
    report("reads", reads);
    Ok(())
}

fn run(name: &str, device: Arc<dyn Device>) -> Result<(), Error> {
    let clock = Arc::new(SystemClock::new());
    let surroundings = Surroundings { device, clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
    let options = StoreOptions { cache_size_bytes: 128 << 20, ..StoreOptions::default() };
    let store = block_on(Store::open(options, surroundings))?;
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    let tree = transaction.create_tree();
    for number in 0..ROWS {
        transaction.put(tree, &number.to_be_bytes(), &[7; 300])?;
    }
    block_on(transaction.commit())?;
    block_on(store.checkpoint())?;
    println!("{name}, no checkpoint");
    work(&store, tree, &clock)?;
    println!("{name}, one checkpoint after the other");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let checkpoints = scope.spawn(|| -> Result<u64, Error> {
            while !is_done.load(Ordering::Relaxed) {
                block_on(store.checkpoint())?;
            }
            Ok(store.stats()?.checkpoints)
        });
        let worked = work(&store, tree, &clock);
        is_done.store(true, Ordering::Relaxed);
        let checkpoints = checkpoints.join().expect("checkpoints do not panic")?;
        println!("  {checkpoints} checkpoints, {} pages", store.stats()?.pages_written);
        worked
    })
}

fn main() -> Result<(), Error> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "/tmp/helios-checkpoint-stall".into());
    run("in memory", Arc::new(MemoryDevice::new()))?;
    let _ = std::fs::remove_dir_all(&folder);
    run("on disk", open_disk(&folder)?)?;
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}
