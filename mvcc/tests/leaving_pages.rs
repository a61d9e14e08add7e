//! Shows that a page which changes while its image is on the way to the data file is read as changed ever after, though a
//! checkpoint has written the change in the meantime.

use std::io;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_lite::future::{block_on, poll_once, yield_now};
use helios_mvcc::{
    BranchId, Error, Isolation, KeyRange, ScanStep, Store, StoreOptions, Surroundings, Transaction, TreeId,
};
use helios_runtime::IoBuf;
use helios_runtime::device::{Device, File, IoFuture, MemoryDevice, OpenMode};

const TREE: TreeId = TreeId::CATALOG;
const ROWS: u32 = 4_000;

const OPEN: u8 = 0;
const ARMED: u8 = 1;
const HOLDING: u8 = 2;

/// Holds one write to the data file back: the next one after it is armed, until it is opened.
type Gate = Arc<AtomicU8>;

async fn pass(gate: Gate) {
    if gate.compare_exchange(ARMED, HOLDING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        while gate.load(Ordering::SeqCst) == HOLDING {
            yield_now().await;
        }
    }
}

#[derive(Clone, Default)]
struct GatedDevice {
    memory: MemoryDevice,
    gate: Gate,
}

struct GatedFile {
    file: Arc<dyn File>,
    gate: Gate,
}

impl File for GatedFile {
    fn read_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        self.file.read_at(buf, offset)
    }
    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        self.file.read_batch(reads)
    }
    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        let (write, gate) = (self.file.write_at(buf, offset), self.gate.clone());
        Box::pin(async move {
            pass(gate).await;
            write.await
        })
    }
    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        let (write, gate) = (self.file.write_batch(writes), self.gate.clone());
        Box::pin(async move {
            pass(gate).await;
            write.await
        })
    }
    fn sync(&self) -> IoFuture<()> {
        self.file.sync()
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_size(bytes)
    }
    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        self.file.punch_hole(offset, length_bytes)
    }
}

impl Device for GatedDevice {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.memory.open(name, mode)?;
        // It gets its name when it is complete.
        match name.starts_with("data") {
            true => Ok(Arc::new(GatedFile { file, gate: self.gate.clone() })),
            false => Ok(file),
        }
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.memory.list()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.memory.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }
    fn sync_folder(&self) -> io::Result<()> {
        self.memory.sync_folder()
    }
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        self.memory.lock()
    }
    fn is_durable(&self) -> bool {
        true
    }
    fn kind(&self) -> &'static str {
        "gated"
    }
}

async fn open(device: &GatedDevice) -> Store {
    let options = StoreOptions { cache_size_bytes: 1_600_000, ..StoreOptions::default() };
    Store::open(options, Surroundings::repeatable(Arc::new(device.clone()))).await.unwrap()
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

async fn write(store: &Store, keys: std::ops::Range<u32>, round: u8) {
    let mut transaction = begin(store);
    for key in keys {
        transaction.put(TREE, &key.to_be_bytes(), &[round; 300]).unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn read(store: &Store, key: u32) -> u8 {
    begin(store).get(TREE, &key.to_be_bytes()).await.unwrap().expect("a row")[0]
}

/// Reads all but the first rows, more than the cache holds; a part of them after the other, and each often enough to push out
/// what is not read any more.
async fn read_others(store: &Store) -> Result<(), Error> {
    for first in (100..ROWS).step_by(1_000) {
        for _ in 0..4 {
            let transaction = begin(store);
            let part = KeyRange {
                lower: Bound::Included(first.to_be_bytes().to_vec()),
                upper: Bound::Excluded((first + 1_000).to_be_bytes().to_vec()),
            };
            let mut scan = transaction.scan(TREE, part, false);
            while scan.next(&transaction, &mut |_, _| ControlFlow::Continue(())).await? != ScanStep::Done {}
        }
    }
    Ok(())
}

/// Reads until the changed page, the only one, is about to leave memory; returns with its image held back after
/// `meanwhile`.
async fn evict_around(device: &GatedDevice, store: &Store, meanwhile: impl AsyncFnOnce()) {
    device.gate.store(ARMED, Ordering::SeqCst);
    let mut meanwhile = Some(meanwhile);
    for _ in 0..100 {
        let mut reading = std::pin::pin!(read_others(store));
        while poll_once(&mut reading).await.is_none() {
            if device.gate.load(Ordering::SeqCst) == HOLDING {
                let meanwhile = meanwhile.take().expect("one write is held back");
                meanwhile().await;
                device.gate.store(OPEN, Ordering::SeqCst);
            }
        }
        if meanwhile.is_none() {
            return;
        }
    }
    panic!("the changed page did not leave memory");
}

#[test]
fn a_late_image_does_not_hide_what_a_checkpoint_wrote() {
    block_on(async {
        let device = GatedDevice::default();
        let store = open(&device).await;
        write(&store, 0..ROWS, 0).await;
        for round in (1..20).step_by(2) {
            store.checkpoint().await.unwrap();
            write(&store, 0..1, round).await;
            evict_around(&device, &store, async || {
                write(&store, 0..1, round + 1).await;
                store.checkpoint().await.unwrap();
            })
            .await;
            // It leaves memory once more, clean, and comes back.
            for _ in 0..10 {
                read_others(&store).await.unwrap();
            }
            assert_eq!(read(&store, 0).await, round + 1);
        }
        store.close().await.unwrap();
        drop(store);
        assert_eq!(read(&open(&device).await, 0).await, 20);
    });
}
