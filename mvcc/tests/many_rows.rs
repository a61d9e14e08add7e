//! Shows that a transaction may write many times more than the cache holds: its writes leave memory and are still
//! there, in order, for its own scans and look-ups, statement by statement; a savepoint from before or in between takes
//! back exactly what came after it; the commit is all or nothing whatever I/O fails in it; and no temporary file stays.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, MasterKey, ScanStep, Store, StoreOptions,
    Surroundings, Transaction, TreeId,
};
use helios_runtime::device::{Device, MemoryDevice};
use helios_runtime::{InjectedFault, OpenMode, SimulatedDevice};

const CACHE_BYTES: usize = 1_600_000;
const ROW_BYTES: usize = 400;

fn options() -> StoreOptions {
    StoreOptions {
        cache_size_bytes: CACHE_BYTES,
        compression: Compression::None,
        write_set_bytes: 200_000,
        log_segment_bytes: 1 << 20,
        ..StoreOptions::default()
    }
}

fn all() -> bool {
    std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true")
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

/// Row `number` is written as the `number * 7919 mod count`-th, so that keys come in no order.
fn key(number: u64, count: u64) -> [u8; 8] {
    (number * 7919 % count).to_be_bytes()
}

fn value(key: &[u8], version: u8) -> Vec<u8> {
    let mut value = key.repeat(ROW_BYTES / 8);
    value.push(version);
    value
}

async fn put(transaction: &mut Transaction, tree: TreeId, key: &[u8], version: u8) -> Result<(), Error> {
    transaction.put(tree, key, &value(key, version))?;
    transaction.make_room().await
}

/// Counts the rows of a range whose keys `version` accepts, checking order and values.
async fn count(
    transaction: &Transaction,
    tree: TreeId,
    range: KeyRange,
    reverse: bool,
    version: impl Fn(u64) -> u8 + Sync,
) -> Result<u64, Error> {
    let mut scan = transaction.scan(tree, range, reverse);
    let mut last: Option<Vec<u8>> = None;
    let mut rows = 0;
    let mut visit = |key: &[u8], found: &[u8]| {
        let number = u64::from_be_bytes(key.try_into().unwrap());
        assert!(found == value(key, version(number)), "row {number}: version {:?}", found.last());
        if let Some(last) = &last {
            assert!(if reverse { key < &last[..] } else { key > &last[..] }, "row {number} comes in order");
        }
        last = Some(key.to_vec());
        rows += 1;
        if rows % 1001 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    while scan.next(transaction, &mut visit).await? != ScanStep::Done {}
    Ok(rows)
}

fn temporary_files(device: &dyn Device) -> usize {
    device.list().unwrap().iter().filter(|name| name.starts_with("temporary")).count()
}

/// Inserts ten times the cache into a new tree, then updates all of it, each in one transaction, with a savepoint in the
/// middle; reads on the way what it wrote.
async fn insert_and_update(options: StoreOptions) {
    let device = SimulatedDevice::new(1);
    let store =
        Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await.unwrap();
    let rows = (10 * CACHE_BYTES / ROW_BYTES) as u64;
    let mut transaction = begin(&store);
    let tree = transaction.create_tree();
    for number in 0..rows / 2 {
        put(&mut transaction, tree, &key(number, rows), 1).await.unwrap();
    }
    assert_eq!(temporary_files(&device), 1);
    assert_eq!(
        count(&transaction, tree, KeyRange::all(), false, |_| 1).await.unwrap(),
        0,
        "a statement's own"
    );
    transaction.begin_statement();
    assert_eq!(count(&transaction, tree, KeyRange::all(), false, |_| 1).await.unwrap(), rows / 2);
    let savepoint = transaction.savepoint();
    for number in 0..rows {
        put(&mut transaction, tree, &key(number, rows), 2).await.unwrap();
    }
    transaction.begin_statement();
    assert_eq!(count(&transaction, tree, KeyRange::all(), true, |_| 2).await.unwrap(), rows);
    transaction.rollback_to(savepoint);
    assert_eq!(count(&transaction, tree, KeyRange::all(), true, |_| 1).await.unwrap(), rows / 2);
    for number in rows / 2..rows {
        put(&mut transaction, tree, &key(number, rows), 1).await.unwrap();
    }
    transaction.begin_statement();
    let part = KeyRange {
        lower: Bound::Excluded(100u64.to_be_bytes().to_vec()),
        upper: Bound::Included((rows - 200).to_be_bytes().to_vec()),
    };
    assert_eq!(count(&transaction, tree, part.clone(), false, |_| 1).await.unwrap(), rows - 300);
    assert_eq!(count(&transaction, tree, part, true, |_| 1).await.unwrap(), rows - 300);
    let some = key(77, rows);
    assert!(transaction.get(tree, &some).await.unwrap() == Some(value(&some, 1)));
    let inserted = transaction.commit().await.unwrap().scn.unwrap();
    assert_eq!(temporary_files(&device), 0);

    // Over what is stored: every row but each tenth, which goes.
    let mut transaction = begin(&store);
    for number in 0..rows {
        if number.is_multiple_of(10) {
            transaction.delete(tree, &number.to_be_bytes()).unwrap();
        } else {
            put(&mut transaction, tree, &number.to_be_bytes(), 3).await.unwrap();
        }
    }
    let snapshot = begin(&store);
    assert_eq!(count(&transaction, tree, KeyRange::all(), false, |_| 1).await.unwrap(), rows);
    transaction.begin_statement();
    assert_eq!(count(&transaction, tree, KeyRange::all(), false, |_| 3).await.unwrap(), rows * 9 / 10);
    transaction.commit().await.unwrap();
    assert_eq!(count(&begin(&store), tree, KeyRange::all(), true, |_| 3).await.unwrap(), rows * 9 / 10);
    assert_eq!(count(&snapshot, tree, KeyRange::all(), false, |_| 1).await.unwrap(), rows);
    drop(snapshot);

    // Rolled back as a whole, and then found as it was: by the log, in a new process.
    let mut transaction = begin(&store);
    for number in 0..rows / 3 {
        put(&mut transaction, tree, &number.to_be_bytes(), 4).await.unwrap();
    }
    assert_eq!(temporary_files(&device), 1);
    let device = device.restart();
    let store = Store::open(options, Surroundings::repeatable(Arc::new(device.clone()))).await.unwrap();
    assert_eq!(temporary_files(&device), 0, "left by the crash");
    assert_eq!(count(&begin(&store), tree, KeyRange::all(), true, |_| 3).await.unwrap(), rows * 9 / 10);
    let past = store.begin_as_of(BranchId::MAIN, inserted).unwrap();
    assert_eq!(count(&past, tree, KeyRange::all(), false, |_| 1).await.unwrap(), rows);
}

#[test]
fn ten_times_the_cache() {
    block_on(insert_and_update(options()));
}

#[test]
fn ten_times_the_cache_encrypted() {
    if all() {
        block_on(insert_and_update(StoreOptions { key: Some(MasterKey::new([5; 32])), ..options() }));
    }
}

/// While a commit of several times the cache builds its pages, readers see all of it or nothing, and old snapshots what
/// was before; checkpoints go on.
#[test]
fn readers_during_a_large_commit() {
    let device = SimulatedDevice::new(1);
    let store = block_on(Store::open(options(), Surroundings::repeatable(Arc::new(device)))).unwrap();
    let rows = (3 * CACHE_BYTES / ROW_BYTES) as u64;
    let write = |version: u8| {
        block_on(async {
            let mut transaction = begin(&store);
            for number in 0..rows {
                put(&mut transaction, TreeId::CATALOG, &key(number, rows), version).await.unwrap();
            }
            transaction.commit().await.unwrap();
        });
    };
    write(1);
    let finished = AtomicBool::new(false);
    let old = begin(&store);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 1;
            while !finished.load(Ordering::Acquire) {
                block_on(async {
                    let mut now = begin(&store);
                    let first = now.get(TreeId::CATALOG, &0u64.to_be_bytes()).await.unwrap().unwrap();
                    let version = *first.last().unwrap();
                    assert!(version >= last, "time does not go back");
                    last = version;
                    let found =
                        count(&now, TreeId::CATALOG, KeyRange::all(), false, |_| version).await.unwrap();
                    assert_eq!(found, rows);
                    let part = KeyRange::prefix(&0u64.to_be_bytes()[..7]);
                    assert_eq!(count(&old, TreeId::CATALOG, part, true, |_| 1).await.unwrap(), 256);
                });
            }
        });
        let checkpoints = scope.spawn(|| {
            while !finished.load(Ordering::Acquire) {
                block_on(store.checkpoint()).unwrap();
                std::thread::yield_now();
            }
        });
        (2..=3).for_each(write);
        finished.store(true, Ordering::Release);
        reader.join().unwrap();
        checkpoints.join().unwrap();
    });
    assert_eq!(block_on(count(&old, TreeId::CATALOG, KeyRange::all(), false, |_| 1)).unwrap(), rows);
}

/// In memory there is nothing to spill to: beyond the limit it is an error, and the transaction may go back.
#[test]
fn memory_does_not_spill() {
    block_on(async {
        let options = StoreOptions { write_set_bytes_max: 400_000, ..options() };
        let device = Arc::new(MemoryDevice::new());
        let store = Store::open(options, Surroundings::repeatable(device.clone())).await.unwrap();
        let mut transaction = begin(&store);
        let tree = transaction.create_tree();
        let savepoint = transaction.savepoint();
        let mut failure = None;
        for number in 0..2000 {
            if let Err(error) = put(&mut transaction, tree, &key(number, 2000), 1).await {
                failure = Some(error);
                break;
            }
        }
        assert!(matches!(failure, Some(Error::OutOfMemory(_))));
        assert_eq!(temporary_files(&*device), 0);
        transaction.rollback_to(savepoint);
        put(&mut transaction, tree, &key(1, 2000), 1).await.unwrap();
        transaction.commit().await.unwrap();
    });
}

/// Nothing readable of an encrypted folder is in its temporary file.
#[test]
fn temporary_files_are_encrypted() {
    block_on(async {
        for encrypted in [false, true] {
            let device = SimulatedDevice::new(1);
            let key = encrypted.then(|| MasterKey::new([5; 32]));
            let options = StoreOptions { key, ..options() };
            let store =
                Store::open(options, Surroundings::repeatable(Arc::new(device.clone()))).await.unwrap();
            let mut transaction = begin(&store);
            let text = b"a text that nobody else may read";
            for number in 0u64..8000 {
                let value = [&number.to_be_bytes()[..], text, &[number as u8; 300]].concat();
                transaction.put(TreeId::CATALOG, &number.to_be_bytes(), &value).unwrap();
                transaction.make_room().await.unwrap();
            }
            let name = device.list().unwrap().into_iter().find(|name| name.starts_with("temporary")).unwrap();
            let file = device.open(&name, OpenMode::Read).unwrap();
            let bytes = file.size().unwrap() as usize / 4096 * 4096;
            let content = file.read_at(helios_runtime::IoBuf::zeroed(bytes), 0).await.unwrap();
            let readable = content.windows(12).any(|window| window == &text[..12]);
            assert_eq!(readable, !encrypted, "{bytes} bytes");
        }
    });
}

const CRASH_ROWS: u64 = 6000;

/// Commits `CRASH_ROWS` rows as version 1, then replaces them all by version 2, each in one transaction that spills.
async fn crash_workload(device: &SimulatedDevice, acknowledged: &mut u8) -> Result<(), Error> {
    let store = Store::open(options(), Surroundings::repeatable(Arc::new(device.clone()))).await?;
    for version in 1..=2 {
        let mut transaction = begin(&store);
        for number in 0..CRASH_ROWS {
            put(&mut transaction, TreeId::CATALOG, &key(number, CRASH_ROWS), version).await?;
        }
        transaction.commit().await?;
        *acknowledged = version;
    }
    store.close().await
}

/// Whatever call fails, what is found is the state after the last acknowledged commit or after the one in flight: all
/// rows in one version, or none.
#[test]
fn a_crash_in_a_large_commit() {
    let device = SimulatedDevice::new(1);
    block_on(crash_workload(&device, &mut 0)).unwrap();
    let calls = device.calls();
    // Every call of smaller commits is in `crash.rs`; here there are thousands, and each takes a while.
    let step = (calls / if all() { 200 } else { 25 }).max(1) as usize;
    for fault in [InjectedFault::Crash, InjectedFault::Error, InjectedFault::NoSpace] {
        for call in (1..=calls).rev().step_by(step) {
            let device = SimulatedDevice::new(call);
            device.fail_call(call, fault);
            let mut acknowledged = 0;
            let _ = block_on(crash_workload(&device, &mut acknowledged));
            let device = if fault == InjectedFault::Crash { device.restart() } else { device.survivor(call) };
            block_on(async {
                let context = format!("{fault:?} at call {call} of {calls}");
                let store = Store::open(options(), Surroundings::repeatable(Arc::new(device.clone()))).await;
                let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(temporary_files(&device), 0, "{context}");
                let mut now = begin(&store);
                let first = now.get(TreeId::CATALOG, &0u64.to_be_bytes()).await.unwrap();
                let version = first.and_then(|value| value.last().copied()).unwrap_or(0);
                assert!(
                    version == acknowledged || version == acknowledged + 1,
                    "{context}: version {version} after {acknowledged}"
                );
                let expected = if version == 0 { 0 } else { CRASH_ROWS };
                let found = count(&now, TreeId::CATALOG, KeyRange::all(), false, |_| version).await.unwrap();
                assert_eq!(found, expected, "{context}");
                store.close().await.unwrap();
            });
        }
    }
}
