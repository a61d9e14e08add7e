//! Shows what works on a full disk: reading everything, deleting rows durably, closing and opening; what does not is
//! refused with an error that says so, and nothing that was acknowledged is lost. Once there is room again, all works; what is
//! dropped and cut makes room.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, ScanStep, Store, StoreOptions, Surroundings,
    Transaction, TreeId,
};
use helios_runtime::IoBuf;
use helios_runtime::device::{Device, File, IoFuture, MemoryDevice, OpenMode};

/// A disk of so many bytes. A file takes as many as it is long.
#[derive(Clone)]
struct Disk {
    memory: MemoryDevice,
    bytes: Arc<AtomicU64>,
}

impl Disk {
    fn used_bytes(&self) -> u64 {
        let names = self.memory.list().expect("memory has names");
        let size = |name: &String| self.memory.open(name, OpenMode::Read).and_then(|file| file.size());
        names.iter().map(|name| size(name).unwrap_or(0)).sum()
    }
}

struct DiskFile {
    file: Arc<dyn File>,
    disk: Disk,
}

impl DiskFile {
    fn check_room(&self, end: u64) -> io::Result<()> {
        let grows_by = end.saturating_sub(self.file.size()?);
        if grows_by > 0 && self.disk.used_bytes() + grows_by > self.disk.bytes.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl File for DiskFile {
    fn read_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        self.file.read_at(buf, offset)
    }
    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        self.file.read_batch(reads)
    }
    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        match self.check_room(offset + buf.len() as u64) {
            Ok(()) => self.file.write_at(buf, offset),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        let end = writes.iter().map(|(offset, buf)| offset + buf.len() as u64).max().unwrap_or(0);
        match self.check_room(end) {
            Ok(()) => self.file.write_batch(writes),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
    fn sync(&self) -> IoFuture<()> {
        self.file.sync()
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.check_room(bytes)?;
        self.file.set_size(bytes)
    }
    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        self.file.punch_hole(offset, length_bytes)
    }
}

impl Device for Disk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile { file: self.memory.open(name, mode)?, disk: self.clone() }))
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
        "a small disk"
    }
}

type Model = BTreeMap<u32, Vec<u8>>;
const TREE: TreeId = TreeId::CATALOG;

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

async fn rows(store: &Store) -> Result<Model, Error> {
    let transaction = begin(store);
    let mut rows = Model::new();
    let mut scan = transaction.scan(TREE, KeyRange::all(), false);
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(u32::from_be_bytes(key.try_into().expect("four bytes")), value.to_vec());
        ControlFlow::Continue(())
    };
    while scan.next(&transaction, &mut visit).await? != ScanStep::Done {}
    Ok(rows)
}

async fn insert(store: &Store, model: &mut Model, first: u32) -> Result<(), Error> {
    let mut transaction = begin(store);
    for number in first..first + 20 {
        transaction.put(TREE, &number.to_be_bytes(), &[number as u8; 700])?;
    }
    transaction.commit().await?;
    model.extend((first..first + 20).map(|number| (number, vec![number as u8; 700])));
    Ok(())
}

async fn delete(store: &Store, model: &mut Model, count: usize) -> Result<(), Error> {
    let numbers: Vec<u32> = model.keys().step_by(7).take(count).copied().collect();
    let mut transaction = begin(store);
    for number in &numbers {
        transaction.delete(TREE, &number.to_be_bytes())?;
    }
    transaction.commit().await?;
    numbers.iter().for_each(|number| drop(model.remove(number)));
    Ok(())
}

/// What the background does; it may fail for want of space.
async fn checkpoint_if_due(store: &Store) {
    if store.checkpoint_due()
        && let Err(error) = store.checkpoint().await
    {
        assert!(error.is_want_of_space(), "a checkpoint says why it failed: {error}");
    }
}

fn small(disk_bytes: u64, cache_size_bytes: usize) -> (Disk, StoreOptions) {
    let disk = Disk { memory: MemoryDevice::new(), bytes: Arc::new(AtomicU64::new(disk_bytes)) };
    let options = StoreOptions {
        cache_size_bytes,
        compression: Compression::None,
        log_segment_bytes: 256 << 10,
        checkpoint_log_bytes: 512 << 10,
        ..StoreOptions::default()
    };
    (disk, options)
}

/// Inserts until there is no room; returns the first number that was not inserted.
async fn fill(store: &Store, model: &mut Model, disk: &Disk) -> u32 {
    let mut next = 0;
    let refused = loop {
        if let Err(error) = insert(store, model, next).await {
            break error;
        }
        next += 20;
        let disk_bytes = disk.bytes.load(Ordering::Relaxed);
        assert!(u64::from(next) * 700 < 2 * disk_bytes, "the disk does not get full");
        checkpoint_if_due(store).await;
    };
    assert!(refused.is_want_of_space(), "an insert says why it is refused: {refused}");
    next
}

async fn run(disk_bytes: u64, cache_size_bytes: usize) -> Result<(), Error> {
    let (disk, options) = small(disk_bytes, cache_size_bytes);
    let store = Store::open(options.clone(), Surroundings::repeatable(Arc::new(disk.clone()))).await?;
    let mut model = Model::new();
    let next = fill(&store, &mut model, &disk).await;
    // Reading goes on, and so does deleting, a little at a time, as long as the reserve lasts.
    assert!(rows(&store).await? == model, "all rows are read");
    for round in 0..100 {
        let deleted = delete(&store, &mut model, 3).await;
        deleted.unwrap_or_else(|error| panic!("deleting is refused in round {round}: {error}"));
        checkpoint_if_due(&store).await;
    }
    assert!(rows(&store).await? == model, "all rows but the deleted ones are read");
    let again = insert(&store, &mut model, 1_000_000).await.expect_err("there is still no room");
    assert!(again.is_want_of_space(), "{again}");
    // What there is no room for at all is done or refused, and that alone: the rest goes on.
    let all = model.len();
    if let Err(error) = delete(&store, &mut model, all).await {
        assert!(error.is_want_of_space(), "{error}");
    }
    assert!(rows(&store).await? == model, "all rows are read after many were to be deleted");
    assert!(store.accepts_commits());
    drop(store);
    // As if the process ended here: what there is can be read, on a disk that is still full.
    let store = Store::open(options.clone(), Surroundings::repeatable(Arc::new(disk.clone()))).await?;
    assert!(rows(&store).await? == model, "all rows are read after opening on a full disk");
    if !store.accepts_commits() {
        let refused = insert(&store, &mut model, 2_000_000).await.expect_err("there is no log");
        assert!(refused.to_string().contains("make room"), "{refused}");
    }
    drop(store);
    // More room makes everything work again.
    disk.bytes.store(4 * disk_bytes, Ordering::Relaxed);
    let store = Store::open(options.clone(), Surroundings::repeatable(Arc::new(disk.clone()))).await?;
    insert(&store, &mut model, next).await?;
    store.checkpoint().await?;
    assert!(rows(&store).await? == model);
    drop(store);
    let store = Store::open(options, Surroundings::repeatable(Arc::new(disk.clone()))).await?;
    assert!(rows(&store).await? == model, "all is there after opening again");
    insert(&store, &mut model, next + 20).await?;
    store.close().await?;
    Ok(())
}

#[test]
fn reading_and_deleting_go_on() {
    for disk_bytes in [5 << 20, 6 << 20, (7 << 20) + 100_000, 9 << 20] {
        for cache_size_bytes in [2 << 20, 8 << 20] {
            block_on(run(disk_bytes, cache_size_bytes)).unwrap_or_else(|error| {
                panic!("a disk of {disk_bytes} bytes, a cache of {cache_size_bytes}: {error}")
            });
        }
    }
}

/// A table is dropped, its history is cut, and there is room for other rows.
async fn make_room(disk_bytes: u64, cache_size_bytes: usize) -> Result<(), Error> {
    let (disk, options) = small(disk_bytes, cache_size_bytes);
    let store = Store::open(options.clone(), Surroundings::repeatable(Arc::new(disk.clone()))).await?;
    let mut transaction = begin(&store);
    let dropped = transaction.create_tree();
    for number in 0..10_000_u32 {
        transaction.put(dropped, &number.to_be_bytes(), &[number as u8; 300])?;
    }
    transaction.commit().await?;
    let mut model = Model::new();
    let next = fill(&store, &mut model, &disk).await;
    let mut transaction = begin(&store);
    transaction.drop_tree(dropped)?;
    let row = model.pop_first().expect("there are rows").0;
    transaction.delete(TREE, &row.to_be_bytes())?;
    transaction.commit().await?;
    store.cut_history(&[(BranchId::MAIN, store.visible_scn())], &[]).await?;
    for round in 0..20 {
        insert(&store, &mut model, next + 20 * round).await?;
        checkpoint_if_due(&store).await;
    }
    assert!(rows(&store).await? == model);
    drop(store);
    let store = Store::open(options, Surroundings::repeatable(Arc::new(disk))).await?;
    assert!(rows(&store).await? == model, "all is there after opening again");
    insert(&store, &mut model, next + 1_000).await?;
    store.close().await
}

#[test]
fn dropping_and_cutting_make_room() {
    for disk_bytes in [7 << 20, (8 << 20) + 100_000, 12 << 20] {
        for cache_size_bytes in [2 << 20, 8 << 20] {
            block_on(make_room(disk_bytes, cache_size_bytes)).unwrap_or_else(|error| {
                panic!("a disk of {disk_bytes} bytes, a cache of {cache_size_bytes}: {error}")
            });
        }
    }
}
