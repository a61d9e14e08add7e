//! Shows that commits from many threads are one order: each thread changes rows under locks, some of them in large
//! transactions that spill; afterwards the writes of all commits, applied to a model in SCN order, give what the store
//! has at every SCN, and each value that was read under a lock is the one that the order says. Readers meanwhile see
//! only whole commits. With a log and without, in a cache that evicts, with checkpoints in between.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, LockMode, RowState, ScanStep, Scn, Store,
    StoreOptions, Surroundings, TreeId, WaitPolicy,
};
use helios_runtime::SimulatedDevice;

const TREE: TreeId = TreeId::CATALOG;
const ROWS: u64 = 60;
const START: i64 = 1000;

fn value(amount: i64, bytes: usize) -> Vec<u8> {
    let mut value = amount.to_le_bytes().to_vec();
    value.resize(8 + bytes, 7);
    value
}

fn amount(value: &[u8]) -> i64 {
    i64::from_le_bytes(value[..8].try_into().unwrap())
}

/// What one commit read, and what it wrote.
struct Done {
    scn: Scn,
    read: Vec<(u64, i64)>,
    written: Vec<(u64, i64)>,
}

/// Moves amounts around a few rows; `None` when another transaction was in the way.
async fn transfer(store: &Store, random: &mut u64) -> Result<Option<Done>, Error> {
    let mut below = |limit: u64| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random % limit
    };
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    let count = if below(20) == 0 { 30 } else { 2 };
    let first = below(ROWS);
    let mut read = Vec::new();
    for step in 0..count {
        let row = (first + step * 7) % ROWS;
        match transaction.lock_row(TREE, &row.to_be_bytes(), LockMode::NoKeyUpdate, WaitPolicy::Block).await {
            Ok(RowState::Unchanged) => {}
            Ok(RowState::Changed) | Err(Error::Deadlock) => return Ok(None),
            Err(error) => return Err(error),
        }
        let found = transaction.get(TREE, &row.to_be_bytes()).await?.expect("the row is there");
        read.push((row, amount(&found)));
    }
    let moved = below(50) as i64;
    let mut written = Vec::new();
    let savepoint = transaction.savepoint();
    for (row, amount) in &read {
        transaction.put(TREE, &row.to_be_bytes(), &value(amount - 1, 3000))?;
        transaction.make_room().await?;
    }
    transaction.rollback_to(savepoint);
    for (index, (row, amount)) in read.iter().enumerate() {
        let change = if index == 0 { -moved * (read.len() as i64 - 1) } else { moved };
        transaction.put(TREE, &row.to_be_bytes(), &value(amount + change, below(900) as usize))?;
        written.push((*row, amount + change));
    }
    Ok(transaction.commit().await?.scn.map(|scn| Done { scn, read, written }))
}

async fn amounts(store: &Store, scn: Scn) -> BTreeMap<u64, i64> {
    let past = store.begin_as_of(BranchId::MAIN, scn).unwrap();
    let mut scan = past.scan(TREE, KeyRange::all(), false);
    let mut rows = BTreeMap::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(u64::from_be_bytes(key.try_into().unwrap()), amount(value));
        ControlFlow::Continue(())
    };
    while scan.next(&past, &mut visit).await.unwrap() != ScanStep::Done {}
    rows
}

fn run(log_enabled: bool, transfers: u64) {
    let options = StoreOptions {
        cache_size_bytes: 2_000_000,
        compression: Compression::None,
        log_enabled,
        write_set_bytes: 20_000,
        ..StoreOptions::default()
    };
    let device = SimulatedDevice::new(1);
    let store = block_on(Store::open(options, Surroundings::repeatable(Arc::new(device.clone())))).unwrap();
    let mut setup = store.begin(BranchId::MAIN, Isolation::Snapshot);
    (0..ROWS).for_each(|row| setup.put(TREE, &row.to_be_bytes(), &value(START, 100)).unwrap());
    let base = block_on(setup.commit()).unwrap().scn.unwrap();

    let finished = AtomicBool::new(false);
    let mut done: Vec<Done> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4u64)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    let mut random = 0x9E37_79B9 + thread;
                    let mut done = Vec::new();
                    while (done.len() as u64) < transfers {
                        done.extend(block_on(transfer(&store, &mut random)).unwrap());
                    }
                    done
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !finished.load(Ordering::Acquire) {
                let sum: i64 = block_on(amounts(&store, store.visible_scn())).values().sum();
                assert_eq!(sum, START * ROWS as i64, "a reader sees whole commits");
                reads += 1;
                if reads % 8 == 0 {
                    block_on(store.checkpoint()).unwrap();
                }
            }
        });
        let done = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        finished.store(true, Ordering::Release);
        reader.join().unwrap();
        done
    });

    done.sort_by_key(|done| done.scn);
    assert!(done.windows(2).all(|pair| pair[0].scn < pair[1].scn), "each commit has its own SCN");
    let mut model: BTreeMap<u64, i64> = (0..ROWS).map(|row| (row, START)).collect();
    assert_eq!(block_on(amounts(&store, base)), model);
    for (number, commit) in done.iter().enumerate() {
        for (row, read) in &commit.read {
            assert_eq!(model[row], *read, "what {} read of row {row}", commit.scn);
        }
        model.extend(commit.written.iter().copied());
        if number % 11 == 0 {
            assert_eq!(block_on(amounts(&store, commit.scn)), model, "at {}", commit.scn);
        }
    }
    assert_eq!(block_on(amounts(&store, store.visible_scn())), model);
}

fn transfers() -> u64 {
    if std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true") { 10_000 } else { 400 }
}

#[test]
fn commits_of_many_threads_are_one_order() {
    run(true, transfers());
}

#[test]
fn commits_of_many_threads_are_one_order_without_a_log() {
    run(false, transfers());
}
