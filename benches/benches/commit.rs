//! A durable commit: a row into the log, and the log onto a real file. One writer waits for the disk each time; eight
//! writers share a group's flush.

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;
use helios_mvcc::{BranchId, Isolation, LockMode, Store, StoreOptions, Surroundings, TreeId};
use helios_runtime::device::open_disk;
use helios_runtime::{Clock, SystemClock, SystemEntropy};

const WRITERS: u64 = 8;

fn insert(store: &Store, tree: TreeId, number: u64) {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction.try_lock_row(tree, &number.to_be_bytes(), LockMode::Update);
    transaction.put(tree, &number.to_be_bytes(), &[7; 100]).expect("a small row");
    block_on(transaction.commit()).expect("a commit");
}

/// `count` commits by all writers together, each in a range of keys of its own, from the number `first` on.
fn insert_together(store: &Store, tree: TreeId, writers: u64, first: u64, count: u64) {
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let own = (first..first + count).filter(move |number| number % writers == writer);
            scope.spawn(move || own.for_each(|number| insert(store, tree, (writer << 48) + number)));
        }
    });
}

fn commits(criterion: &mut Criterion) {
    // Beside what is built, which is on a disk; a temporary folder may be in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let clock = Arc::new(SystemClock::new());
    let device = open_disk(folder.path()).expect("a folder on disk");
    let surroundings = Surroundings { device, clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
    let store = block_on(Store::open(StoreOptions::default(), surroundings)).expect("a new store");
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    let tree = transaction.create_tree();
    block_on(transaction.commit()).expect("a commit");

    let mut next = 0;
    let mut group = criterion.benchmark_group("durable commit");
    group.throughput(Throughput::Elements(1));
    for writers in [1, WRITERS] {
        group.bench_function(
            if writers == 1 { "1 writer".into() } else { format!("{writers} writers") },
            |bencher| {
                bencher.iter_custom(|count| {
                    let start = clock.now_micros();
                    insert_together(&store, tree, writers, next, count);
                    next += count;
                    Duration::from_micros(clock.now_micros() - start)
                })
            },
        );
    }
    group.finish();
    block_on(store.close()).expect("closed");
}

criterion_group!(benches, commits);
criterion_main!(benches);
