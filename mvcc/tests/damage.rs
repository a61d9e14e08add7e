//! Shows that a page which cannot be read fails the commits that need it, and no others: of two that are committed
//! together, and after them. Shown by damaging all pages of one of two trees in the data file.

use std::sync::Arc;

use futures_lite::future::{block_on, zip};
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, Store, StoreOptions, Surroundings, Transaction, TreeId,
};
use helios_runtime::device::{Device, OpenMode, SimulatedDevice};
use helios_runtime::{IoBuf, ManualClock, SeededEntropy};

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

async fn open(device: &SimulatedDevice) -> Store {
    let surroundings = Surroundings {
        device: Arc::new(device.clone()),
        clock: Arc::new(ManualClock::new(1_000_000)),
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let options = StoreOptions {
        cache_size_bytes: 4 << 20,
        compression: Compression::None,
        log_segment_bytes: 256 << 10,
        ..StoreOptions::default()
    };
    Store::open(options, surroundings).await.expect("the folder opens")
}

/// Spoils every block of the data file that has `pattern` in it; returns how many.
async fn damage(device: &SimulatedDevice, pattern: &[u8]) -> usize {
    let mut damaged = 0;
    let file = device.open("data", OpenMode::ReadWrite).expect("the file opens");
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
        assert!(damage(&device, BAD).await > 5);

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
