//! Shows that background work stays in the background: a full scan leaves the hot rows in memory; whoever waits in a
//! checkpoint, for whatever, holds nothing that a reader or a commit needs; and a checkpoint that is dropped half way,
//! at any of its waits, loses nothing.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, ScanStep, Store, StoreOptions, Surroundings,
    Transaction, TreeId,
};
use helios_runtime::SimulatedDevice;
use helios_runtime::device::MemoryDevice;

const TREE: TreeId = TreeId::CATALOG;

fn options(cache_size_bytes: usize) -> StoreOptions {
    StoreOptions {
        cache_size_bytes,
        compression: Compression::Lz4,
        log_segment_bytes: 1 << 20,
        ..StoreOptions::default()
    }
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

async fn put(store: &Store, numbers: impl Iterator<Item = u32>, value: &[u8]) -> Result<(), Error> {
    let mut transaction = begin(store);
    for number in numbers {
        transaction.put(TREE, &number.to_be_bytes(), value)?;
    }
    transaction.commit().await.map(|_| ())
}

async fn get(store: &Store, number: u32) -> Result<Option<Vec<u8>>, Error> {
    begin(store).get(TREE, &number.to_be_bytes()).await
}

/// Polls a future to its end; it must not need anybody else to go on.
fn finish_alone<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
    panic!("it waits for somebody who waits as well");
}

#[test]
fn a_scan_leaves_the_hot_rows_in_memory() {
    block_on(async {
        let store = Store::open(options(2 << 20), Surroundings::repeatable(Arc::new(MemoryDevice::new())))
            .await
            .unwrap();
        let rows = 32_000u32;
        for start in (0..rows).step_by(500) {
            put(&store, start..start + 500, &[1; 500]).await.unwrap();
        }
        // On 50 pages of about 2,400; the cache has about 190.
        let hot: Vec<u32> = (0..50).map(|index| index * 640 + 3).collect();
        for _ in 0..10 {
            for number in &hot {
                get(&store, *number).await.unwrap();
            }
        }
        let scanning = begin(&store);
        let mut scan = scanning.scan(TREE, KeyRange::all(), false);
        let (mut seen, mut hot_reads, mut hot_faults) = (0u32, 0u32, 0);
        loop {
            let mut visit = |_: &[u8], _: &[u8]| {
                seen += 1;
                if seen.is_multiple_of(20) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            if scan.next(&scanning, &mut visit).await.unwrap() == ScanStep::Done {
                break;
            }
            let before = store.stats().unwrap().faults;
            get(&store, hot[hot_reads as usize % hot.len()]).await.unwrap();
            hot_faults += store.stats().unwrap().faults - before;
            hot_reads += 1;
        }
        assert_eq!(seen, rows);
        let scan_faults = store.stats().unwrap().faults;
        assert!(scan_faults > 1500, "the scan read most pages: {scan_faults}");
        println!("{hot_faults} of {hot_reads} reads of hot rows missed");
        assert!(hot_faults * 20 < u64::from(hot_reads), "{hot_faults} of {hot_reads} hot reads missed");
    });
}

#[test]
fn nobody_waits_for_a_checkpoint_that_waits() {
    let device = SimulatedDevice::new(3);
    let store =
        block_on(Store::open(options(16 << 20), Surroundings::repeatable(Arc::new(device.clone())))).unwrap();
    for start in (0..10_000u32).step_by(500) {
        block_on(put(&store, start..start + 500, &[1; 400])).unwrap();
    }
    device.delay_up_to(20);
    let mut number = 0;
    {
        let mut checkpoint = pin!(store.checkpoint());
        while checkpoint.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            // Rows on pages that it is writing.
            number += 1;
            finish_alone(put(&store, [number * 37 % 10_000].into_iter(), &number.to_be_bytes())).unwrap();
            let found = finish_alone(get(&store, number * 37 % 10_000)).unwrap();
            assert_eq!(found, Some(number.to_be_bytes().to_vec()));
        }
    }
    assert!(number > 20, "the checkpoint waited only {number} times");
    drop(store);
    // What came meanwhile is in the log.
    let store =
        block_on(Store::open(options(16 << 20), Surroundings::repeatable(Arc::new(device.restart()))))
            .unwrap();
    for index in 1..=number {
        let found = block_on(get(&store, index * 37 % 10_000)).unwrap();
        assert_eq!(found, Some(index.to_be_bytes().to_vec()), "commit {index}");
    }
}

/// A checkpoint given up at its n-th wait, for each n: all rows stay, the next checkpoint writes them, and a crash
/// right after either finds them.
#[test]
fn a_dropped_checkpoint_loses_nothing() {
    for waits in (0..200).step_by(3) {
        let device = SimulatedDevice::new(waits);
        let store =
            block_on(Store::open(options(2 << 20), Surroundings::repeatable(Arc::new(device.clone()))))
                .unwrap();
        for start in (0..3000u32).step_by(500) {
            block_on(put(&store, start..start + 500, &[1; 400])).unwrap();
        }
        block_on(store.checkpoint()).unwrap();
        block_on(put(&store, (0..3000).step_by(40), &[2; 300])).unwrap();
        device.delay_up_to(2);
        let is_done = {
            let mut checkpoint = pin!(store.checkpoint());
            (0..=waits).any(|_| checkpoint.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready())
        };
        device.delay_up_to(0);
        let crashed = device.survivor(waits);
        let check = |store: &Store, third: bool| {
            for number in 0..3000u32 {
                let expected = match number {
                    _ if third && number % 60 == 7 => vec![3; 200],
                    _ if number.is_multiple_of(40) => vec![2; 300],
                    _ => vec![1; 400],
                };
                assert!(
                    block_on(get(store, number)).unwrap() == Some(expected),
                    "{waits} waits: row {number}"
                );
            }
        };
        block_on(put(&store, (7..3000).step_by(60), &[3; 200])).unwrap();
        block_on(store.checkpoint()).unwrap();
        block_on(put(&store, [5000].into_iter(), &[4])).unwrap();
        check(&store, true);
        drop(store);
        for (device, third) in [(crashed, false), (device.survivor(waits + 1), true)] {
            let store =
                block_on(Store::open(options(2 << 20), Surroundings::repeatable(Arc::new(device)))).unwrap();
            check(&store, third);
        }
        if is_done {
            assert!(waits > 3, "a checkpoint waits more often than that");
            return;
        }
    }
}
