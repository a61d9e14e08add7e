//! Shows what history and branches cost, by counting and not by timing: bytes of history for each updated row, without
//! compression and with the images in it; pages that are looked at and written when a branch is made, whatever the size of
//! what it branches off.

use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Isolation, NewBranch, Snapshot, Store, StoreOptions, Surroundings, Transaction,
    TreeId,
};
use helios_runtime::device::MemoryDevice;

const VALUE_BYTES: usize = 92;

fn open(cache_size_bytes: usize) -> Store {
    let surroundings = Surroundings::repeatable(Arc::new(MemoryDevice::new()));
    let options =
        StoreOptions { cache_size_bytes, compression: Compression::None, ..StoreOptions::default() };
    block_on(Store::open(options, surroundings)).expect("a store in memory")
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

fn number(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 32)
}

/// A row as pgbench's accounts have them: two numbers and blanks.
fn account(_: u64, balance: u64) -> Vec<u8> {
    let mut value = [1u32.to_le_bytes(), (balance as u32).to_le_bytes()].concat();
    value.resize(VALUE_BYTES, b' ');
    value
}

/// A row of which no byte stays what it was.
fn noise(row: u64, version: u64) -> Vec<u8> {
    let seed = row << 32 | version << 8;
    let bytes = (0..VALUE_BYTES as u64 / 8 + 1).flat_map(|at| number(seed + at).to_le_bytes());
    bytes.take(VALUE_BYTES).collect()
}

/// Bytes of history for each updated row, when all of it is kept and a checkpoint comes every 50 commits.
fn history_bytes(value: fn(u64, u64) -> Vec<u8>) -> f64 {
    const ROWS: u64 = 10_000;
    const COMMITS: u64 = 500;
    const ROWS_PER_COMMIT: u64 = 100;
    let store = open(64 << 20);
    let mut transaction = begin(&store);
    let tree = transaction.create_tree();
    for row in 0..ROWS {
        transaction.put(tree, &row.to_be_bytes(), &value(row, 0)).unwrap();
    }
    block_on(transaction.commit()).unwrap();
    block_on(store.checkpoint()).unwrap();
    let before = store.stats().unwrap().data_used_bytes;
    for commit in 1..=COMMITS {
        let mut transaction = begin(&store);
        for index in 0..ROWS_PER_COMMIT {
            let row = number(commit * ROWS_PER_COMMIT + index) % ROWS;
            transaction.put(tree, &row.to_be_bytes(), &value(row, commit)).unwrap();
        }
        block_on(transaction.commit()).unwrap();
        if commit % 50 == 0 {
            block_on(store.checkpoint()).unwrap();
        }
    }
    let after = store.stats().unwrap().data_used_bytes;
    (after - before) as f64 / (COMMITS * ROWS_PER_COMMIT) as f64
}

#[test]
fn history_of_an_updated_row_takes_few_bytes() {
    let bytes = history_bytes(account);
    assert!(bytes <= VALUE_BYTES as f64 * 0.8, "{bytes} bytes where four change");
    let bytes = history_bytes(noise);
    assert!(bytes <= VALUE_BYTES as f64 * 3.0, "{bytes} bytes where all change");
}

/// Pages looked at, pages read from the device, and pages that the next checkpoint writes, for the second branch of a store
/// with so many rows.
fn branch_costs(rows: u64) -> [u64; 3] {
    let store = open(128 << 20);
    let mut transaction = begin(&store);
    let tree: TreeId = transaction.create_tree();
    for row in 0..rows {
        transaction.put(tree, &row.to_be_bytes(), &account(row, 0)).unwrap();
    }
    block_on(transaction.commit()).unwrap();
    block_on(store.checkpoint()).unwrap();
    let branch_off = |name: &str| {
        let origin = Snapshot { branch: BranchId::MAIN, scn: store.visible_scn() };
        let new = NewBranch { name: name.into(), origin, root: Some(BranchId::MAIN), options: Vec::new() };
        block_on(store.create_branch(new, |_| Vec::new())).unwrap();
    };
    branch_off("first");
    block_on(store.checkpoint()).unwrap();
    let (looked_at, read) = store.page_accesses();
    let written = store.stats().unwrap().pages_written;
    branch_off("second");
    let (looked_at_then, read_then) = store.page_accesses();
    block_on(store.checkpoint()).unwrap();
    let written_then = store.stats().unwrap().pages_written;
    [looked_at_then - looked_at, read_then - read, written_then - written]
}

#[test]
fn a_branch_costs_the_same_whatever_it_branches_off() {
    let (small, large) = (branch_costs(10), branch_costs(300_000));
    assert_eq!(small, large);
    assert_eq!(small[1], 0, "nothing is read from the device");
    assert!(small[0] <= 50 && small[2] <= 4, "{small:?}");
}
