//! Shows that the past stays cheap to read: however long the history of a page, and wherever in it a read goes, it takes
//! at most two images from the data file and a page's worth of reverse operations, that of whole commits — over rows changed thousands
//! of times between two checkpoints, small and large commits, and restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{BranchId, Compression, Isolation, Scn, Store, StoreOptions, Surroundings, TreeId};
use helios_runtime::SimulatedDevice;

const PAGE_BYTES: u64 = 8192;

async fn open(device: &SimulatedDevice) -> Store {
    let options =
        StoreOptions { cache_size_bytes: 4 << 20, compression: Compression::Lz4, ..StoreOptions::default() };
    let surroundings = Surroundings::repeatable(Arc::new(device.clone()));
    Store::open(options, surroundings).await.unwrap()
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn value(key: u64, version: u64) -> Vec<u8> {
    let mut value = version.to_le_bytes().to_vec();
    value.resize(20 + (key * 37 + version * 11) as usize % 200, key as u8);
    value
}

/// All reads at some moments of the past, by key, against the model; then the counters.
async fn check(store: &Store, history: &[(Scn, BTreeMap<u64, u64>)], random: &mut Random) {
    for _ in 0..20 {
        let (scn, model) = &history[random.below(history.len() as u64) as usize];
        let mut past = store.begin_as_of(BranchId::MAIN, *scn).unwrap();
        past.begin_statement();
        for key in 0..60u64 {
            let found = past.get(TreeId::CATALOG, &key.to_be_bytes()).await.unwrap();
            let expected = model.get(&key).map(|version| value(key, *version));
            assert!(found == expected, "row {key} at {scn}");
        }
    }
    let stats = store.stats().unwrap();
    assert!(stats.old_read_images_max <= 2, "{} images for one old version", stats.old_read_images_max);
    // A page's worth, with the whole of the commit that completes it; none here changes more than half a page.
    assert!(stats.old_read_bytes_max <= PAGE_BYTES * 3 / 2, "{} bytes", stats.old_read_bytes_max);
}

#[test]
fn two_reads_and_a_page_of_operations() {
    block_on(async {
        let device = SimulatedDevice::new(1);
        let mut store = open(&device).await;
        let mut random = Random(0x9E37_79B9);
        let mut model = BTreeMap::new();
        let mut history = Vec::new();
        for round in 0..12u64 {
            // Many commits of one page between two flushes of its history, or few.
            let commits = if round % 3 == 0 { 1500 } else { 40 };
            for number in 0..commits {
                let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
                transaction.begin_statement();
                let rows = if number % 50 == 0 { 40 } else { 1 + random.below(3) };
                for _ in 0..rows {
                    let key = random.below(60);
                    if random.below(8) == 0 {
                        transaction.delete(TreeId::CATALOG, &key.to_be_bytes()).unwrap();
                        model.remove(&key);
                    } else {
                        let version = round * 10_000 + number;
                        transaction.put(TreeId::CATALOG, &key.to_be_bytes(), &value(key, version)).unwrap();
                        model.insert(key, version);
                    }
                }
                let scn = transaction.commit().await.unwrap().scn.unwrap();
                if number % 7 == 0 {
                    history.push((scn, model.clone()));
                }
            }
            match round % 4 {
                1 => {
                    store.close().await.unwrap();
                    drop(store);
                    store = open(&device).await;
                }
                _ => store.checkpoint().await.unwrap(),
            }
            check(&store, &history, &mut random).await;
        }
        let stats = store.stats().unwrap();
        assert!(stats.history_reads > 100, "only {} reads of history", stats.history_reads);
    });
}
