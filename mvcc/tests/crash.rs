//! Shows that a crash at any moment loses nothing that was acknowledged and leaves nothing half done: a workload
//! of commits (small, splitting, with large values, in a cache that evicts), checkpoints and reopening is crashed
//! at every single I/O call in turn, on a disk that then keeps, loses, tears and reorders what was not synced.
//! What is found afterwards is the state after the last acknowledged commit, or after the one in flight. The same
//! with I/O errors and a full disk instead of the crash: the error is reported, and reopening finds the same.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, MasterKey, ScanStep, Store, StoreOptions,
    Surroundings, TreeId,
};
use helios_runtime::{InjectedFault, SimulatedDevice};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(key: Option<MasterKey>) -> StoreOptions {
    StoreOptions {
        cache_size_bytes: 1_600_000,
        compression: Compression::Lz4,
        log_segment_bytes: 64 << 10,
        key,
        ..StoreOptions::default()
    }
}

/// What the commits do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Mixed,
    Loads,
}

/// The rows of one commit: a pure function of its number.
fn changes(work: Work, number: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    if work == Work::Loads && !number.is_multiple_of(4) {
        return load(number);
    }
    let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let count = if number.is_multiple_of(5) { 60 } else { 1 + next(4) };
    (0..count)
        .map(|_| {
            let key = next(600).to_be_bytes().to_vec();
            let length = if next(40) == 0 { 9_000 } else { next(700) };
            let value = (next(5) != 0).then(|| {
                let mut value = vec![b'v'; length as usize];
                value
                    .get_mut(length as usize / 2..)
                    .into_iter()
                    .flatten()
                    .take(9)
                    .for_each(|at| *at = number as u8);
                value
            });
            (key, value)
        })
        .collect()
}

/// Rows in key order, behind those of the loads before.
fn load(number: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let rows = if number == 1 { 400 } else { number * 13 % 150 };
    let row = |row: u64| {
        let length = if row.is_multiple_of(90) { 9_000 } else { row * 7 % 200 };
        (((number + 1) * 1_000 + row).to_be_bytes().to_vec(), Some(vec![number as u8; length as usize]))
    };
    (0..rows).map(row).collect()
}

fn apply(model: &mut Model, work: Work, number: u64) {
    for (key, value) in changes(work, number) {
        match value {
            Some(value) => model.insert(key, value),
            None => model.remove(&key),
        };
    }
}

const TREE: TreeId = TreeId::CATALOG;

async fn commit(store: &Store, work: Work, number: u64) -> Result<(), Error> {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    for (key, value) in changes(work, number) {
        match value {
            Some(value) => transaction.put(TREE, &key, &value)?,
            None => transaction.delete(TREE, &key)?,
        }
        transaction.make_room().await?;
    }
    transaction.commit().await.map(|_| ())
}

/// Runs commits, checkpoints and a reopening until the end or the first error; returns the last commit that was
/// acknowledged.
async fn workload(
    device: &SimulatedDevice,
    options: &StoreOptions,
    work: Work,
    acknowledged: &mut u64,
) -> Result<(), Error> {
    let store = Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await?;
    for number in 1..=14 {
        commit(&store, work, number).await?;
        *acknowledged = number;
        if number.is_multiple_of(6) {
            store.checkpoint().await?;
        }
    }
    store.close().await?;
    drop(store);
    let store = Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await?;
    for number in 15..=18 {
        commit(&store, work, number).await?;
        *acknowledged = number;
    }
    Ok(())
}

async fn contents(store: &Store) -> Result<Model, Error> {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    let mut scan = transaction.scan(TREE, KeyRange::all(), false);
    let mut model = Model::new();
    while scan
        .next(&transaction, &mut |key, value| {
            model.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })
        .await?
        != ScanStep::Done
    {}
    Ok(model)
}

fn model_after(work: Work, commits: u64) -> Model {
    let mut model = Model::new();
    (1..=commits).for_each(|number| apply(&mut model, work, number));
    model
}

/// Opens what is left and compares; then commits, closes and opens once more.
async fn check(
    device: &SimulatedDevice,
    options: &StoreOptions,
    work: Work,
    acknowledged: u64,
    context: &str,
) {
    let store = match Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await {
        Ok(store) => store,
        // Nothing was acknowledged, not even the making of the folder.
        Err(error) => panic!("{context}: does not open after {acknowledged} commits: {error}"),
    };
    let found = contents(&store).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    let exact = found == model_after(work, acknowledged);
    assert!(
        exact || found == model_after(work, acknowledged + 1),
        "{context}: {} rows are neither those after commit {acknowledged} nor the next",
        found.len()
    );
    let done = if exact { acknowledged } else { acknowledged + 1 };
    commit(&store, work, done + 1).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    store.close().await.unwrap_or_else(|error| panic!("{context}: {error}"));
    drop(store);
    let store = Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await;
    let store = store.unwrap_or_else(|error| panic!("{context}: second open: {error}"));
    assert!(contents(&store).await.unwrap() == model_after(work, done + 1), "{context}: after a clean close");
}

fn every_call(fault: InjectedFault, key: Option<MasterKey>, step: usize) {
    every_call_of(Work::Mixed, fault, options(key), step);
}

fn every_call_of(work: Work, fault: InjectedFault, options: StoreOptions, step: usize) {
    let calls = {
        let device = SimulatedDevice::new(1);
        block_on(async {
            let mut acknowledged = 0;
            workload(&device, &options, work, &mut acknowledged).await.unwrap();
            assert_eq!(acknowledged, 18);
        });
        device.calls()
    };
    assert!(calls > 100, "only {calls} calls");
    for call in (1..=calls).step_by(step) {
        let device = SimulatedDevice::new(call);
        device.fail_call(call, fault);
        let mut acknowledged = 0;
        let result = block_on(workload(&device, &options, work, &mut acknowledged));
        let context = format!("{fault:?} at call {call} of {calls}");
        if result.is_ok() && fault == InjectedFault::Crash {
            // The last calls may be those of dropping the store.
            assert!(call + 5 > calls, "{context}: the crash went unnoticed");
        }
        let device = if fault == InjectedFault::Crash { device.restart() } else { device.survivor(call) };
        block_on(check(&device, &options, work, acknowledged, &context));
    }
}

#[test]
fn a_crash_at_any_call_loses_nothing() {
    every_call(InjectedFault::Crash, None, 1);
}

#[test]
fn a_crash_at_any_call_loses_nothing_encrypted() {
    every_call(InjectedFault::Crash, Some(MasterKey::new([3; 32])), 3);
}

#[test]
fn an_error_at_any_call_loses_nothing() {
    every_call(InjectedFault::Error, None, 1);
}

#[test]
fn a_full_disk_at_any_call_loses_nothing() {
    every_call(InjectedFault::NoSpace, None, 1);
}

/// Loads; those beyond some kilobytes go through a temporary file.
fn every_call_of_loads(fault: InjectedFault, key: Option<MasterKey>, step: usize) {
    every_call_of(Work::Loads, fault, StoreOptions { write_set_bytes: 16_000, ..options(key) }, step);
}

#[test]
fn a_crash_at_any_call_of_a_load_loses_nothing() {
    every_call_of_loads(InjectedFault::Crash, None, 1);
}

#[test]
fn a_crash_at_any_call_of_a_load_loses_nothing_encrypted() {
    every_call_of_loads(InjectedFault::Crash, Some(MasterKey::new([3; 32])), 5);
}

#[test]
fn an_error_at_any_call_of_a_load_loses_nothing() {
    every_call_of_loads(InjectedFault::Error, None, 1);
}

#[test]
fn a_full_disk_at_any_call_of_a_load_loses_nothing() {
    every_call_of_loads(InjectedFault::NoSpace, None, 1);
}
