//! The storage engine's own costs: frames, page hits, point reads, scans, inserts, commits.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;
use helios_benches::memory_store;
use helios_bufferpool::{BranchId, FramePool, PageId, PageKey, Scn, page, pin};
use helios_mvcc::{Isolation, KeyRange, LockMode, ScanStep, Store, TreeId};

const ROWS: u64 = 100_000;

fn frames(criterion: &mut Criterion) {
    let pool = FramePool::new(64 << 20, 8192).unwrap();
    let key = |number| PageKey::new(BranchId::MAIN, PageId(number));
    for number in 0..64 {
        let mut frame = pool.try_allocate().unwrap();
        page::initialize(frame.bytes_mut(), page::PageKind::Leaf);
        page::set_lower(frame.bytes_mut(), 2600);
        page::set_upper(frame.bytes_mut(), 5200);
        pool.publish(frame, key(number), Scn(1), 1);
    }
    let mut number = 0;
    criterion.bench_function("frames/page hit", |bencher| {
        bencher.iter(|| {
            number = (number + 7) % 64;
            let guard = pin();
            let found = pool.find(&guard, key(number), Scn(5));
            black_box(found.map(|frame| frame.bytes()[100]))
        })
    });
    let mut scn = 10;
    criterion.bench_function("frames/copy and publish 5.5 KB", |bencher| {
        bencher.iter(|| {
            number = (number + 7) % 64;
            scn += 1;
            let mut frame = pool.try_allocate().unwrap();
            let guard = pin();
            let old = pool.find_newest(&guard, key(number)).unwrap();
            page::copy(old.bytes(), frame.bytes_mut());
            page::set_scn_raw(frame.bytes_mut(), scn);
            pool.publish(frame, key(number), Scn(scn), 1)
        })
    });
}

fn filled(rows: u64) -> (Store, TreeId) {
    let store = memory_store(256 << 20);
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    let tree = transaction.create_tree();
    for number in 0..rows {
        transaction.put(tree, &number.to_be_bytes(), &[7; 60]).unwrap();
    }
    block_on(transaction.commit()).unwrap();
    (store, tree)
}

fn reads(criterion: &mut Criterion) {
    let (store, tree) = filled(ROWS);
    let mut number = 0;
    criterion.bench_function("reads/point get, own transaction", |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % ROWS;
            let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
            transaction.begin_statement();
            let length = transaction.try_get(tree, &number.to_be_bytes(), |value| value.map(<[u8]>::len));
            black_box(length.unwrap())
        })
    });
    let mut group = criterion.benchmark_group("reads");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("full scan", |bencher| {
        bencher.iter(|| {
            let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
            transaction.begin_statement();
            let mut scan = transaction.scan(tree, KeyRange::all(), false);
            let mut bytes = 0;
            while scan
                .try_next(&transaction, &mut |key, value| {
                    bytes += key.len() + value.len();
                    ControlFlow::Continue(())
                })
                .unwrap()
                != ScanStep::Done
            {}
            black_box(bytes)
        })
    });
    group.finish();
}

fn writes(criterion: &mut Criterion) {
    let (store, tree) = filled(1);
    let mut number = 10;
    criterion.bench_function("writes/insert in key order, own transaction", |bencher| {
        bencher.iter(|| {
            number += 1;
            let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
            transaction.begin_statement();
            transaction.try_lock_row(tree, &u64::to_be_bytes(number), LockMode::Update);
            transaction.put(tree, &number.to_be_bytes(), &[7; 20]).unwrap();
            block_on(transaction.commit()).unwrap()
        })
    });
    let (store, tree) = filled(ROWS);
    criterion.bench_function("writes/update at random, own transaction", |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % ROWS;
            let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
            transaction.begin_statement();
            transaction.try_lock_row(tree, &u64::to_be_bytes(number), LockMode::Update);
            transaction.put(tree, &number.to_be_bytes(), &[9; 60]).unwrap();
            block_on(transaction.commit()).unwrap()
        })
    });
    let mut group = criterion.benchmark_group("writes");
    group.throughput(Throughput::Elements(ROWS));
    group.sample_size(10);
    group.bench_function("insert 100,000 rows in one transaction", |bencher| bencher.iter(|| filled(ROWS)));
    group.finish();
}

criterion_group!(benches, frames, reads, writes);
criterion_main!(benches);
