//! Shows that the keys which divide a tree make parts of about the same size, in order, that together are the tree.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Isolation, KeyRange, ScanStep, Store, StoreOptions, Surroundings, Transaction, TreeId,
};
use helios_runtime::device::MemoryDevice;

const PARTS: usize = 16;

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

/// A tree of so many rows, committed.
fn tree(store: &Store, rows: u32) -> TreeId {
    let mut transaction = begin(store);
    let tree = transaction.create_tree();
    for row in 0..rows {
        transaction.put(tree, &row.to_be_bytes(), &[7; 100]).unwrap();
    }
    block_on(transaction.commit()).unwrap();
    tree
}

fn count(transaction: &Transaction, tree: TreeId, lower: Bound<Vec<u8>>, upper: Bound<Vec<u8>>) -> usize {
    let mut scan = transaction.scan(tree, KeyRange { lower, upper }, false);
    let mut rows = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        rows += 1;
        ControlFlow::Continue(())
    };
    while block_on(scan.next(transaction, &mut visit)).unwrap() == ScanStep::More {}
    rows
}

#[test]
fn parts_are_alike_and_make_the_whole() {
    let store = Store::open(StoreOptions::default(), Surroundings::repeatable(Arc::new(MemoryDevice::new())));
    let store = block_on(store).unwrap();
    for rows in [0, 5, 3_000, 60_000] {
        let tree = tree(&store, rows);
        let reader = begin(&store);
        let keys = block_on(reader.dividing_keys(tree, PARTS)).unwrap();
        assert!(keys.is_sorted());
        assert!(keys.len() < 2 * PARTS, "{} keys", keys.len());
        let (mut lower, mut parts) = (Bound::Unbounded, Vec::new());
        for key in &keys {
            parts.push(count(&reader, tree, lower, Bound::Excluded(key.clone())));
            lower = Bound::Included(key.clone());
        }
        parts.push(count(&reader, tree, lower, Bound::Unbounded));
        assert_eq!(parts.iter().sum::<usize>(), rows as usize);
        if rows > 10_000 {
            assert!(parts.len() >= PARTS);
            assert!(parts.iter().all(|part| *part < 2 * rows as usize / parts.len()), "{parts:?}");
        }
    }
}
