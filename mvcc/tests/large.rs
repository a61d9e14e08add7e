//! Shows that the size of a value or of a transaction is bounded by the disk and not by the cache: values many times
//! larger than all frames are written, read, scanned, replaced and removed; an open snapshot and AS OF go on reading the
//! old ones; a crash at any I/O loses or keeps them whole.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, MasterKey, ScanStep, Scn, Store, StoreOptions,
    Surroundings, Transaction, TreeId,
};
use helios_runtime::{InjectedFault, SimulatedDevice};

const TREE: TreeId = TreeId::CATALOG;

fn options(cache_size_bytes: usize) -> StoreOptions {
    StoreOptions { cache_size_bytes, compression: Compression::None, ..StoreOptions::default() }
}

fn all() -> bool {
    std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true")
}

/// Bytes that do not compress, different for each seed.
fn value(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

async fn write(store: &Store, key: &[u8], value: Option<&[u8]>) -> Result<Scn, Error> {
    let mut transaction = begin(store);
    match value {
        Some(value) => transaction.put(TREE, key, value)?,
        None => transaction.delete(TREE, key)?,
    }
    Ok(transaction.commit().await?.scn.unwrap())
}

/// What a scan finds, as keys, lengths and whether the value is `value(seed, length)` of the seed that its key names.
async fn scan(transaction: &Transaction, reverse: bool) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut scan = transaction.scan(TREE, KeyRange::all(), reverse);
    let mut check = |key: &[u8], found: &[u8]| {
        assert!(found == value(u64::from(key[0]), found.len()), "value of row {key:?}");
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    };
    while scan.next(transaction, &mut check).await.unwrap() != ScanStep::Done {}
    keys
}

async fn large_values(sizes: &[usize], options: &StoreOptions) {
    let device = SimulatedDevice::new(1);
    let store =
        Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await.unwrap();
    let mut first = Scn(0);
    for (number, size) in sizes.iter().enumerate() {
        let key = [number as u8];
        write(&store, &[number as u8, 0], Some(&value(number as u64, 20))).await.unwrap();
        first = write(&store, &key, Some(&value(number as u64, *size))).await.unwrap();
    }
    let frames = store.stats().unwrap().frames as usize * 8192;
    assert!(sizes.iter().any(|size| *size > frames), "a value is larger than all frames");
    let mut snapshot = begin(&store);
    for (number, size) in sizes.iter().enumerate() {
        let found = snapshot.get(TREE, &[number as u8]).await.unwrap();
        assert!(found == Some(value(number as u64, *size)), "value {number}");
    }
    let keys = scan(&snapshot, false).await;
    assert_eq!(keys.len(), 2 * sizes.len());
    assert_eq!(scan(&snapshot, true).await, keys.into_iter().rev().collect::<Vec<_>>());

    // Replaced and removed, they are there for those who look at the time before.
    let last = sizes.len() - 1;
    write(&store, &[last as u8], Some(&value(77, 300_000))).await.unwrap();
    write(&store, &[0], None).await.unwrap();
    assert!(snapshot.get(TREE, &[last as u8]).await.unwrap() == Some(value(last as u64, sizes[last])));
    drop(snapshot);

    check_all(&store, sizes, first).await;
    let device = device.restart();
    // The log has them, and so has the data file.
    let store =
        Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await.unwrap();
    check_all(&store, sizes, first).await;
    store.checkpoint().await.unwrap();
    check_all(&store, sizes, first).await;
}

/// The values as they are now, and as they were at `first`.
async fn check_all(store: &Store, sizes: &[usize], first: Scn) {
    let last = sizes.len() - 1;
    let mut now = begin(store);
    assert!(now.get(TREE, &[last as u8]).await.unwrap() == Some(value(77, 300_000)));
    assert!(now.get(TREE, &[0]).await.unwrap().is_none());
    let mut past = store.begin_as_of(BranchId::MAIN, first).unwrap();
    past.begin_statement();
    for (number, size) in sizes.iter().enumerate() {
        let found = past.get(TREE, &[number as u8]).await.unwrap();
        assert!(found == Some(value(number as u64, *size)), "value {number}, later");
    }
}

#[test]
fn values_larger_than_the_cache() {
    block_on(large_values(&[1 << 20, 64 << 20], &options(4 << 20)));
}

#[test]
fn large_values_encrypted() {
    let options = StoreOptions { key: Some(MasterKey::new([4; 32])), ..options(1_600_000) };
    block_on(large_values(&[3 << 20, 1 << 20], &options));
}

#[test]
fn the_largest_value() {
    if all() {
        block_on(large_values(&[5000, 1 << 30], &options(16 << 20)));
    }
}

/// One byte more than the format takes is an error at once, and the transaction goes on.
#[test]
fn beyond_the_limit() {
    block_on(async {
        let store =
            Store::open(options(4 << 20), Surroundings::repeatable(Arc::new(SimulatedDevice::new(1))))
                .await
                .unwrap();
        let mut transaction = begin(&store);
        let too_large = vec![0; (1 << 30) + 1];
        assert!(matches!(transaction.put(TREE, b"a", &too_large), Err(Error::TooLarge(_))));
        transaction.put(TREE, b"a", b"small").unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(begin(&store).get(TREE, b"a").await.unwrap().unwrap(), b"small");
    });
}

const CRASH_SIZES: [usize; 4] = [40_000, 2_500_000, 9_000, 1_100_000];

/// Commits the values of `CRASH_SIZES` one after the other under one key; tells how many were acknowledged.
async fn crash_workload(device: &SimulatedDevice, acknowledged: &mut usize) -> Result<(), Error> {
    let options = StoreOptions { log_segment_bytes: 512 << 10, ..options(1_600_000) };
    let store = Store::open(options, Surroundings::repeatable(Arc::new(device.clone()))).await?;
    for (number, size) in CRASH_SIZES.iter().enumerate() {
        write(&store, &[1], Some(&value(number as u64, *size))).await?;
        *acknowledged = number + 1;
        if number == 1 {
            store.checkpoint().await?;
        }
    }
    store.close().await
}

/// A crash, an I/O error or a full disk at any call (a sample of them, unless all tests are asked for) leaves the value
/// of the last acknowledged commit, or of the one in flight, whole.
#[test]
fn a_crash_in_a_large_value() {
    let device = SimulatedDevice::new(1);
    block_on(crash_workload(&device, &mut 0)).unwrap();
    let calls = device.calls();
    let step = if all() { 1 } else { (calls / 40).max(1) as usize };
    for fault in [InjectedFault::Crash, InjectedFault::Error, InjectedFault::NoSpace] {
        for call in (1..=calls).step_by(step) {
            let device = SimulatedDevice::new(call);
            device.fail_call(call, fault);
            let mut acknowledged = 0;
            let _ = block_on(crash_workload(&device, &mut acknowledged));
            let device = if fault == InjectedFault::Crash { device.restart() } else { device.survivor(call) };
            block_on(async {
                let context = format!("{fault:?} at call {call} of {calls}");
                let store =
                    Store::open(options(1_600_000), Surroundings::repeatable(Arc::new(device.clone()))).await;
                let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
                let found = begin(&store).get(TREE, &[1]).await;
                let found = found.unwrap_or_else(|error| panic!("{context}: {error}"));
                let after =
                    |count: usize| count.checked_sub(1).map(|last| value(last as u64, CRASH_SIZES[last]));
                let next = (acknowledged < CRASH_SIZES.len()).then(|| after(acknowledged + 1)).flatten();
                assert!(
                    found == after(acknowledged) || (next.is_some() && found == next),
                    "{context}: {:?} bytes after {acknowledged} commits",
                    found.map(|found| found.len())
                );
                write(&store, &[1], Some(&value(9, 700_000))).await.unwrap();
                store.close().await.unwrap();
            });
        }
    }
}
