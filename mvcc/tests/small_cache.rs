//! Shows that a small cache is enough: the smallest that opening accepts does everything, for each page size; one that
//! is too small is refused with the size it takes; and a snapshot held open while one row changes again and again
//! exhausts neither frames nor undo records.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, ScanStep, Store, StoreOptions, Surroundings,
    Transaction, TreeId,
};
use helios_runtime::SimulatedDevice;
use helios_runtime::device::MemoryDevice;

const TREE: TreeId = TreeId::CATALOG;

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

async fn rows(transaction: &Transaction) -> Result<Vec<(u32, usize)>, Error> {
    let mut rows = Vec::new();
    let mut scan = transaction.scan(TREE, KeyRange::all(), false);
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((u32::from_be_bytes(key.try_into().expect("four bytes")), value.len()));
        ControlFlow::Continue(())
    };
    while scan.next(transaction, &mut visit).await? != ScanStep::Done {}
    Ok(rows)
}

fn options(page_size_bytes: usize, cache_size_bytes: usize) -> StoreOptions {
    StoreOptions {
        cache_size_bytes,
        page_size_bytes,
        compression: Compression::Lz4,
        log_segment_bytes: 256 << 10,
        ..StoreOptions::default()
    }
}

#[test]
fn the_smallest_cache_does_everything_and_a_smaller_one_is_refused() {
    for page_size_bytes in [4096, 8192, 16384, 32768] {
        let refused = block_on(Store::open(
            options(page_size_bytes, 100_000),
            Surroundings::repeatable(Arc::new(SimulatedDevice::new(1))),
        ));
        let Err(Error::Open(message)) = refused else { panic!("100,000 bytes are enough for nothing") };
        assert!(message.contains("cache_size is 100000 bytes"), "{message}");
        let smallest = message.rsplit("set it to ").next().and_then(|rest| rest.split(' ').next());
        let smallest: usize = smallest.and_then(|number| number.parse().ok()).expect("the smallest size");
        block_on(everything(options(page_size_bytes, smallest)))
            .unwrap_or_else(|error| panic!("pages of {page_size_bytes}, cache of {smallest}: {error}"));
    }
}

/// Inserts, large values, updates, deletes, old snapshots, checkpoints, reopening; with far more data than cache.
async fn everything(options: StoreOptions) -> Result<(), Error> {
    let surroundings = Surroundings::repeatable(Arc::new(SimulatedDevice::new(1)));
    let mut store = Store::open(options.clone(), surroundings.clone()).await?;
    let count = (6 * options.cache_size_bytes / 500) as u32;
    for start in (0..count).step_by(500) {
        let mut transaction = begin(&store);
        for number in start..(start + 500).min(count) {
            transaction.put(TREE, &number.to_be_bytes(), &[number as u8; 480])?;
        }
        transaction.commit().await?;
    }
    let old = begin(&store);
    assert_eq!(rows(&old).await?.len(), count as usize);
    let mut transaction = begin(&store);
    for number in (0..count).step_by(7) {
        transaction.put(TREE, &number.to_be_bytes(), &[1; 90])?;
    }
    let mut large = options.cache_size_bytes / 4;
    // The largest value that is accepted, or nearly so.
    while transaction.put(TREE, &count.to_be_bytes(), &vec![5; large]).is_err() {
        large -= 1024;
    }
    transaction.commit().await?;
    let mut transaction = begin(&store);
    for number in (0..count).step_by(3) {
        transaction.delete(TREE, &number.to_be_bytes())?;
    }
    transaction.commit().await?;
    store.checkpoint().await?;
    let length = |number: u32| if number.is_multiple_of(7) { 90 } else { 480 };
    let mut expected: Vec<_> = (0..count)
        .filter(|number| !number.is_multiple_of(3))
        .map(|number| (number, length(number)))
        .collect();
    expected.push((count, large));
    assert!(rows(&begin(&store)).await? == expected, "the newest rows");
    assert!(rows(&old).await?.iter().all(|row| row.1 == 480), "the old snapshot's rows");
    drop(old);
    store.close().await?;
    drop(store);
    store = Store::open(options, surroundings).await?;
    assert!(rows(&begin(&store)).await? == expected, "the rows after opening again");
    Ok(())
}

/// A million changes of one row under an open snapshot; the quick lane makes do with fewer.
#[test]
fn a_hot_row_does_not_exhaust_what_a_snapshot_needs() {
    let is_long = std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true");
    let changes = if is_long { 1_000_000u32 } else { 60_000 };
    block_on(async {
        let options = options(8192, 2 << 20);
        let store =
            Store::open(options, Surroundings::repeatable(Arc::new(MemoryDevice::new()))).await.unwrap();
        let mut transaction = begin(&store);
        for number in 0..3000u32 {
            transaction.put(TREE, &number.to_be_bytes(), &[2; 300]).unwrap();
        }
        transaction.commit().await.unwrap();
        let mut old = begin(&store);
        assert_eq!(old.get(TREE, &7u32.to_be_bytes()).await.unwrap().map(|value| value.len()), Some(300));
        for change in 0..changes {
            let mut transaction = begin(&store);
            transaction.put(TREE, &7u32.to_be_bytes(), &change.to_be_bytes()).unwrap();
            transaction.commit().await.unwrap();
            if change % (changes / 20) == 0 {
                assert_eq!(old.get(TREE, &7u32.to_be_bytes()).await.unwrap(), Some(vec![2; 300]));
            }
        }
        assert_eq!(old.get(TREE, &7u32.to_be_bytes()).await.unwrap(), Some(vec![2; 300]));
        assert!(rows(&old).await.unwrap().iter().all(|row| row.1 == 300));
        let newest = begin(&store).get(TREE, &7u32.to_be_bytes()).await.unwrap();
        assert_eq!(newest, Some((changes - 1).to_be_bytes().to_vec()));
    });
}
