//! Inserts rows in key order, each in a transaction of its own, for a profiler: `insert_loop [ROWS]`.

use futures_lite::future::block_on;
use helios_benches::memory_store;
use helios_mvcc::{BranchId, Isolation, LockMode};

fn main() {
    let rows: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let store = memory_store(1 << 30);
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    let tree = transaction.create_tree();
    block_on(transaction.commit()).expect("the tree is made");
    for number in 0..rows {
        let key = number.to_be_bytes();
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        transaction.try_lock_row(tree, &key, LockMode::Update).expect("nobody else is here");
        transaction.put(tree, &key, &[7; 20]).expect("memory for one row");
        block_on(transaction.commit()).expect("the row is committed");
    }
}
