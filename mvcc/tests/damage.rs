//! Shows that a page which cannot be read fails the commits that need it, and no others: of two that are committed
//! together, and after them: shown by damaging all pages of one of two trees in the data file. And that damage to the
//! log is not taken for its end.

use std::sync::Arc;

use futures_lite::future::{block_on, zip};
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, Store, StoreOptions, Surroundings, Transaction, TreeId,
};
use helios_runtime::IoBuf;
use helios_runtime::device::{Device, OpenMode, SimulatedDevice};

const BLOCK_BYTES: usize = 4096;
const GOOD: &[u8] = b"a good row";
const BAD: &[u8] = b"a row to be damaged";

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

async fn put(store: &Store, tree: TreeId, numbers: std::ops::Range<u32>, value: &[u8]) -> Result<(), Error> {
    let mut transaction = begin(store);
    for number in numbers {
        transaction.put(tree, &number.to_be_bytes(), value)?;
    }
    transaction.commit().await.map(drop)
}

fn options() -> StoreOptions {
    StoreOptions {
        cache_size_bytes: 4 << 20,
        compression: Compression::None,
        log_segment_bytes: 256 << 10,
        ..StoreOptions::default()
    }
}

async fn open(device: &SimulatedDevice) -> Store {
    Store::open(options(), Surroundings::repeatable(Arc::new(device.clone())))
        .await
        .expect("the folder opens")
}

/// Spoils every block of a file that has `pattern` in it; returns how many.
async fn damage(device: &SimulatedDevice, file: &str, pattern: &[u8]) -> usize {
    let mut damaged = 0;
    let file = device.open(file, OpenMode::ReadWrite).expect("the file opens");
    for block in 0..file.size().expect("a size") / BLOCK_BYTES as u64 {
        let offset = block * BLOCK_BYTES as u64;
        let mut bytes = file.read_at(IoBuf::zeroed(BLOCK_BYTES), offset).await.expect("a block");
        if bytes.windows(pattern.len()).any(|window| window == pattern) {
            bytes[BLOCK_BYTES / 2] ^= 1;
            file.write_at(bytes, offset).await.expect("the block is written");
            damaged += 1;
        }
    }
    damaged
}

#[test]
fn a_damaged_page_fails_only_who_needs_it() {
    block_on(async {
        let device = SimulatedDevice::new(1);
        let store = open(&device).await;
        let mut transaction = begin(&store);
        let (good, bad) = (transaction.create_tree(), transaction.create_tree());
        transaction.commit().await.expect("the trees are made");
        put(&store, good, 0..2000, GOOD).await.expect("good rows");
        put(&store, bad, 0..2000, BAD).await.expect("rows to be damaged");
        store.close().await.expect("a clean end");
        drop(store);
        assert!(damage(&device, "data", BAD).await > 5);

        let store = open(&device).await;
        // Both queue before the first group is made.
        let (first, second) = zip(
            put(&store, bad, 7..8, b"x"),
            zip(put(&store, good, 7..8, b"x"), put(&store, bad, 9..10, b"x")),
        )
        .await;
        for refused in [first, second.1] {
            assert!(matches!(refused, Err(Error::Corruption(_))), "{refused:?}");
        }
        second.0.expect("a commit beside those that fail");
        // One so large that it is not tried at once.
        let large = put(&store, bad, 0..2000, b"y").await;
        assert!(matches!(large, Err(Error::Corruption(_))), "{large:?}");
        put(&store, good, 0..2000, b"y").await.expect("commits go on");
        store.close().await.expect("a clean end");
        drop(store);

        let store = open(&device).await;
        let mut transaction = begin(&store);
        assert_eq!(transaction.get(good, &7u32.to_be_bytes()).await.expect("a row"), Some(b"y".to_vec()));
        let read = transaction.get(bad, &7u32.to_be_bytes()).await;
        assert!(matches!(read, Err(Error::Corruption(_))), "{read:?}");
    });
}

/// The last commit before a crash is vouched for once nothing comes after it: damage to it is told from a torn end.
#[test]
fn damage_to_the_end_of_the_log_is_noticed() {
    block_on(async {
        for is_vouched in [false, true] {
            let device = SimulatedDevice::new(1);
            let store = open(&device).await;
            let mut transaction = begin(&store);
            let tree = transaction.create_tree();
            transaction.commit().await.expect("the tree is made");
            put(&store, tree, 0..10, GOOD).await.expect("good rows");
            put(&store, tree, 10..70, BAD).await.expect("rows to be damaged");
            if is_vouched {
                store.vouch().await.expect("a block more");
                store.vouch().await.expect("nothing to do");
            }
            let crashed = device.survivor(1);
            drop(store);
            let log = crashed.list().expect("names").into_iter().filter(|name| name.starts_with("log-"));
            let mut damaged = 0;
            for name in log {
                damaged += damage(&crashed, &name, BAD).await;
            }
            assert_eq!(damaged, 1);
            match Store::open(options(), Surroundings::repeatable(Arc::new(crashed.clone()))).await {
                Err(Error::Corruption(text)) => {
                    assert!(is_vouched && text.contains("the log is damaged"), "{text}")
                }
                Err(error) => panic!("{error}"),
                Ok(store) => {
                    assert!(!is_vouched, "an acknowledged commit is lost");
                    assert_eq!(
                        begin(&store).get(tree, &5u32.to_be_bytes()).await.expect("a row"),
                        Some(GOOD.to_vec())
                    );
                }
            }
        }
    });
}

/// Commits go on behind a block that vouches, and recovery reads past it.
#[test]
fn commits_behind_what_vouches_are_recovered() {
    block_on(async {
        let device = SimulatedDevice::new(1);
        let store = open(&device).await;
        let mut transaction = begin(&store);
        let tree = transaction.create_tree();
        transaction.commit().await.expect("the tree is made");
        for number in 0..10 {
            put(&store, tree, number..number + 1, GOOD).await.expect("a row");
            store.vouch().await.expect("a block more");
        }
        let crashed = device.survivor(1);
        drop(store);
        let store = open(&crashed).await;
        let mut transaction = begin(&store);
        for number in 0..10u32 {
            let row = transaction.get(tree, &number.to_be_bytes()).await.expect("a row");
            assert_eq!(row, Some(GOOD.to_vec()), "{number}");
        }
    });
}
