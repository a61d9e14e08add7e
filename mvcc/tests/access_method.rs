//! Shows that an access method hears of every committed change of the rows that it covers, once, in order, with the
//! right value from before — and of nothing else: a copy of the rows, kept by what it hears, is what the store says at
//! every moment, over savepoints and roll-backs, large values, commits that must start over for lack of pages, crashes
//! and recovery.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use helios_mvcc::{
    AccessMethod, AccessMethods, BranchId, Compression, Isolation, KeyRange, RowChange, ScanStep, Scn, Store,
    StoreOptions, Surroundings, TreeId,
};
use helios_runtime::SimulatedDevice;

type Row = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// Keeps all that it is told.
#[derive(Default)]
struct Listener(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    /// Key, value before, value after.
    changes: BTreeMap<Scn, Vec<Row>>,
    visible: Scn,
    abandoned: usize,
}

impl AccessMethod for Listener {
    fn covers(&self, branch: BranchId, tree: TreeId) -> bool {
        branch == BranchId::MAIN && tree == TreeId::CATALOG
    }

    fn changed(&self, change: &RowChange<'_>) {
        let mut heard = self.0.lock().unwrap();
        assert!(change.scn > heard.visible, "changes of {} are told before it is visible", change.scn);
        let rows = heard.changes.entry(change.scn).or_default();
        assert!(rows.iter().all(|(key, ..)| key != change.key), "a commit changes a row once");
        rows.push((change.key.to_vec(), change.old.map(<[u8]>::to_vec), change.new.map(<[u8]>::to_vec)));
    }

    fn committed(&self, scn: Scn) {
        let mut heard = self.0.lock().unwrap();
        assert!(scn > heard.visible);
        heard.visible = scn;
    }

    fn abandoned(&self, scn: Scn) {
        let mut heard = self.0.lock().unwrap();
        heard.changes.split_off(&scn);
        heard.abandoned += 1;
    }
}

async fn open(device: &SimulatedDevice, log_enabled: bool) -> (Store, Arc<Listener>) {
    let listener = Arc::new(Listener::default());
    let options = StoreOptions {
        cache_size_bytes: 1_600_000,
        compression: Compression::None,
        log_enabled,
        access_methods: AccessMethods::new(vec![listener.clone()]),
        ..StoreOptions::default()
    };
    let surroundings = Surroundings::repeatable(Arc::new(device.clone()));
    (Store::open(options, surroundings).await.unwrap(), listener)
}

async fn rows(store: &Store, tree: TreeId, scn: Scn) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let past = store.begin_as_of(BranchId::MAIN, scn).unwrap();
    let mut scan = past.scan(tree, KeyRange::all(), false);
    let mut rows = BTreeMap::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    while scan.next(&past, &mut visit).await.unwrap() != ScanStep::Done {}
    rows
}

/// Goes through what the listener heard, from `base` on, and compares with the store at every commit in turn.
async fn check(store: &Store, listener: &Listener, base: Scn) {
    let changes = listener.0.lock().unwrap().changes.clone();
    let mut copy = rows(store, TreeId::CATALOG, base).await;
    for (scn, rows_changed) in changes {
        for (key, old, new) in rows_changed {
            assert!(copy.get(&key) == old.as_ref(), "the value of {key:?} before {scn}");
            match new {
                Some(new) => copy.insert(key, new),
                None => copy.remove(&key),
            };
        }
        assert!(rows(store, TreeId::CATALOG, scn).await == copy, "rows at {scn}");
    }
    assert!(rows(store, TreeId::CATALOG, store.visible_scn()).await == copy, "rows now");
}

/// Some commits: each writes a few rows, rolls some back, and touches a tree that nobody listens to.
async fn work(store: &Store, seed: u64, commits: u64) {
    let mut random = seed | 1;
    let mut below = |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % limit
    };
    for number in 0..commits {
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        let other = transaction.create_tree();
        for part in 0..3 {
            let savepoint = transaction.savepoint();
            for _ in 0..1 + below(6) {
                let key = below(400).to_be_bytes();
                let length = if below(30) == 0 { 50_000 } else { below(900) };
                match below(4) {
                    0 => transaction.delete(TreeId::CATALOG, &key).unwrap(),
                    _ => {
                        transaction.put(TreeId::CATALOG, &key, &vec![number as u8; length as usize]).unwrap()
                    }
                }
                transaction.put(other, &key, b"nobody listens").unwrap();
            }
            if part == 1 {
                transaction.rollback_to(savepoint);
            }
        }
        match below(5) {
            0 => transaction.rollback(),
            _ => drop(transaction.commit().await.unwrap()),
        }
    }
}

#[test]
fn changes_are_told_with_commits_and_recovery() {
    block_on(async {
        let mut device = SimulatedDevice::new(1);
        let (mut store, mut listener) = open(&device, true).await;
        let mut base = store.visible_scn();
        for round in 0..4 {
            work(&store, 77 + round, 40).await;
            check(&store, &listener, base).await;
            if round == 2 {
                store.checkpoint().await.unwrap();
                base = store.visible_scn();
                work(&store, 99, 10).await;
            } else if round == 0 {
                store.checkpoint().await.unwrap();
                base = store.visible_scn();
            }
            // A new process hears from recovery what came after the checkpoint.
            drop(store);
            device = device.restart();
            (store, listener) = open(&device, true).await;
            check(&store, &listener, base).await;
            base = store.visible_scn();
            listener.0.lock().unwrap().changes.clear();
        }
    });
}

/// Without a log commits try a short way first, and start over when a page is missing: what was told is taken back.
#[test]
fn what_starts_over_is_told_once() {
    block_on(async {
        let device = SimulatedDevice::new(1);
        let (store, listener) = open(&device, false).await;
        let base = store.visible_scn();
        work(&store, 5, 300).await;
        assert!(listener.0.lock().unwrap().abandoned > 0, "some commit started over");
        check(&store, &listener, base).await;
    });
}
