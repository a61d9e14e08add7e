//! Shows what concurrent transactions may and may not do to each other: no update is lost, snapshots move forward only
//! where nothing that was read has changed, and walks see a transaction's own rows wherever they fall.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Error, Isolation, KeyRange, LockMode, RowState, ScanStep, Store, StoreOptions, Surroundings,
    Transaction, TreeId, WaitPolicy,
};
use helios_runtime::device::MemoryDevice;

fn open(device: &Arc<MemoryDevice>) -> Store {
    let surroundings = Surroundings::repeatable(device.clone());
    block_on(Store::open(StoreOptions::default(), surroundings)).expect("a store in memory")
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

/// A tree with rows 0..count, each with its number as the value.
fn filled(store: &Store, count: u64) -> TreeId {
    let mut transaction = begin(store);
    let tree = transaction.create_tree();
    for number in 0..count {
        transaction.put(tree, &number.to_be_bytes(), &number.to_be_bytes()).unwrap();
    }
    block_on(transaction.commit()).unwrap();
    tree
}

fn overwrite(store: &Store, tree: TreeId, number: u64, value: u64) {
    let mut transaction = begin(store);
    let key = number.to_be_bytes();
    block_on(transaction.lock_row(tree, &key, LockMode::Update, WaitPolicy::Block)).unwrap();
    transaction.put(tree, &key, &value.to_be_bytes()).unwrap();
    block_on(transaction.commit()).unwrap();
}

/// A transaction that read a row in an earlier statement does not overwrite what somebody else made of it since: not
/// even when the read was its first statement, and not because it has just locked the row.
#[test]
fn no_update_is_lost() {
    let store = open(&Arc::new(MemoryDevice::new()));
    let tree = filled(&store, 10);
    let key = 1u64.to_be_bytes();
    for statements_before in [0, 1] {
        let mut transaction = begin(&store);
        (0..statements_before).for_each(|_| transaction.begin_statement());
        assert!(block_on(transaction.get(tree, &key)).unwrap().is_some());
        overwrite(&store, tree, 1, 77 + statements_before);
        transaction.begin_statement();
        let state = block_on(transaction.lock_row(tree, &key, LockMode::Update, WaitPolicy::Block)).unwrap();
        assert_eq!(state, RowState::Changed);
        assert!(matches!(block_on(transaction.move_snapshot_forward()), Err(Error::WriteConflict)));
    }
}

/// A statement that has read nothing before goes on with a newer snapshot; so does one whose reads still hold.
#[test]
fn snapshots_move_forward_where_reads_still_hold() {
    let store = open(&Arc::new(MemoryDevice::new()));
    let tree = filled(&store, 10);
    let mut transaction = begin(&store);
    assert!(block_on(transaction.get(tree, &5u64.to_be_bytes())).unwrap().is_some());
    overwrite(&store, tree, 1, 88);
    transaction.begin_statement();
    let key = 1u64.to_be_bytes();
    let state = block_on(transaction.lock_row(tree, &key, LockMode::Update, WaitPolicy::Block)).unwrap();
    assert_eq!(state, RowState::Changed);
    block_on(transaction.move_snapshot_forward()).unwrap();
    assert_eq!(block_on(transaction.get(tree, &key)).unwrap().unwrap(), 88u64.to_be_bytes());
}

/// A row that a transaction puts back where a leaf begins is met going backwards too.
#[test]
fn own_rows_at_the_edge_of_a_leaf_are_met_both_ways() {
    let store = open(&Arc::new(MemoryDevice::new()));
    let count = 3000;
    let tree = filled(&store, count);
    let mut transaction = begin(&store);
    for number in 0..count {
        transaction.delete(tree, &number.to_be_bytes()).unwrap();
    }
    block_on(transaction.commit()).unwrap();
    let mut transaction = begin(&store);
    for number in 0..count {
        transaction.put(tree, &number.to_be_bytes(), b"again").unwrap();
    }
    transaction.begin_statement();
    for reverse in [false, true] {
        let mut scan = transaction.scan(tree, KeyRange::all(), reverse);
        let mut met = Vec::new();
        loop {
            let step = block_on(scan.next(&transaction, &mut |key, _| {
                met.push(u64::from_be_bytes(key.try_into().expect("eight bytes")));
                ControlFlow::Continue(())
            }));
            if step.unwrap() == ScanStep::Done {
                break;
            }
        }
        let expected: Vec<u64> = if reverse { (0..count).rev().collect() } else { (0..count).collect() };
        assert_eq!(met, expected, "reverse: {reverse}");
    }
}

/// Keys that were free are found taken as soon as somebody else has committed them, wherever the last free key was.
#[test]
fn what_was_free_is_taken_by_a_later_commit() {
    let store = open(&Arc::new(MemoryDevice::new()));
    let tree = filled(&store, 1_000);
    let mut transaction = begin(&store);
    let key = |number: u64| [&number.to_be_bytes()[..], &[1]].concat();
    for number in [10, 20, 2_000] {
        transaction.put(tree, &key(number), b"mine").unwrap();
        assert!(transaction.try_is_taken(tree, &key(number)).is_ok_and(|taken| taken));
        assert!(
            transaction
                .try_is_taken(tree, &number.to_be_bytes())
                .is_ok_and(|taken| taken == (number < 1_000))
        );
        assert!(transaction.try_is_taken(tree, &key(number + 1)).is_ok_and(|taken| !taken));
        assert!(transaction.try_is_taken(tree, &key(number + 1)).is_ok_and(|taken| !taken));
        overwrite_key(&store, tree, &key(number + 1));
        assert!(transaction.try_is_taken(tree, &key(number + 1)).is_ok_and(|taken| taken));
        transaction.delete(tree, &key(number)).unwrap();
        assert!(transaction.try_is_taken(tree, &key(number)).is_ok_and(|taken| !taken));
    }
}

fn overwrite_key(store: &Store, tree: TreeId, key: &[u8]) {
    let mut transaction = begin(store);
    transaction.put(tree, key, b"theirs").unwrap();
    block_on(transaction.commit()).unwrap();
}

/// A load's keys are locked one by one, however many they are: who wants one of them waits until the load has ended, and
/// finds it taken; all others are free.
#[test]
fn keys_of_a_load_are_locked_one_by_one() {
    let store = open(&Arc::new(MemoryDevice::new()));
    let tree = filled(&store, 10);
    let mut load = begin(&store);
    for number in (100u64..3_000).step_by(2) {
        let key = number.to_be_bytes();
        assert!(load.try_lock_key(tree, &key, LockMode::Update));
        assert!(load.try_is_taken(tree, &key).is_ok_and(|taken| !taken));
        load.put(tree, &key, b"loaded").unwrap();
    }
    let mut other = begin(&store);
    let (loaded, free) = (2_000u64.to_be_bytes(), 2_001u64.to_be_bytes());
    assert!(other.try_lock_key(tree, &free, LockMode::Update));
    assert!(!other.try_lock_key(tree, &loaded, LockMode::Update));
    assert!(!load.try_lock_key(tree, &free, LockMode::Update));
    assert!(load.try_lock_key(tree, &2_003u64.to_be_bytes(), LockMode::Update));
    {
        let mut waits = Box::pin(other.lock_row(tree, &loaded, LockMode::Update, WaitPolicy::Block));
        assert!(block_on(futures_lite::future::poll_once(&mut waits)).is_none());
        block_on(load.commit()).unwrap();
        assert!(block_on(waits).is_ok_and(|state| state == RowState::Changed));
    }
    assert!(other.try_is_taken(tree, &loaded).is_ok_and(|taken| taken));
    assert!(other.try_is_taken(tree, &free).is_ok_and(|taken| !taken));
}
