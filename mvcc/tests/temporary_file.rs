//! Temporary files: blocks come back, room is used again, nothing outlives its owner, nothing is readable on an
//! encrypted device, and a full device is an error that harms nobody.

use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{Error, MasterKey, Store, StoreOptions, Surroundings};
use helios_runtime::{Device, IoBuf, MemoryDevice, OpenMode, SystemClock, SystemEntropy};

fn open(device: Arc<dyn Device>, options: StoreOptions) -> Store {
    let surroundings =
        Surroundings { device, clock: Arc::new(SystemClock::new()), entropy: Arc::new(SystemEntropy) };
    block_on(Store::open(StoreOptions { cache_size_bytes: 4 << 20, ..options }, surroundings)).unwrap()
}

fn temporary_names(device: &dyn Device) -> Vec<String> {
    device.list().unwrap().into_iter().filter(|name| name.starts_with("temporary-")).collect()
}

#[test]
fn blocks_come_back_and_the_file_goes() {
    let device = MemoryDevice::new();
    let store = open(Arc::new(device.clone()), StoreOptions::default());
    let mut file = store.temporary_file().unwrap();
    let contents: Vec<Vec<u8>> = (0..50u8).map(|at| vec![at; 1 + 700 * usize::from(at)]).collect();
    let blocks: Vec<_> = contents.iter().map(|raw| block_on(file.append(raw)).unwrap()).collect();
    for (block, raw) in blocks.iter().zip(&contents) {
        assert_eq!(block_on(file.read(*block)).unwrap(), *raw);
    }
    let size = file.size_bytes();
    assert_eq!(store.stats().unwrap().temporary_bytes, size);
    blocks.into_iter().for_each(|block| file.release(block));
    for raw in contents.iter().rev() {
        let block = block_on(file.append(raw)).unwrap();
        assert_eq!(block_on(file.read(block)).unwrap(), *raw);
    }
    assert_eq!(file.size_bytes(), size, "room that was released is used again");
    assert_eq!(temporary_names(&device).len(), 1);
    drop(file);
    assert_eq!(store.stats().unwrap().temporary_bytes, 0);
    assert!(temporary_names(&device).is_empty());
}

#[test]
fn in_memory_all_files_together_are_bounded() {
    let options = StoreOptions { temporary_bytes_max: 64 << 10, ..StoreOptions::default() };
    let store = open(Arc::new(MemoryDevice::new()), options);
    let mut files = [store.temporary_file().unwrap(), store.temporary_file().unwrap()];
    let mut kept = Vec::new();
    let error = (0..100)
        .find_map(|at| match block_on(files[at % 2].append(&[7; 4000])) {
            Ok(block) => {
                kept.push((at % 2, block));
                None
            }
            Err(error) => Some(error),
        })
        .expect("the bound is met");
    assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
    assert_eq!(kept.len(), 16);
    let (at, block) = kept.remove(0);
    assert_eq!(block_on(files[at].read(block)).unwrap(), [7; 4000]);
}

/// The bytes of all files of a folder hold nothing of what an encrypted temporary file was given.
#[test]
fn an_encrypted_folder_has_no_plain_blocks() {
    let secret = b"the quick brown secret";
    for (key, found) in [(None, true), (Some(MasterKey::new([9; 32])), false)] {
        let folder = tempfile::tempdir().unwrap();
        let device = helios_runtime::device::open_disk(folder.path()).unwrap();
        let store = open(device.clone(), StoreOptions { key, ..StoreOptions::default() });
        let mut file = store.temporary_file().unwrap();
        let block = block_on(file.append(secret)).unwrap();
        assert_eq!(block_on(file.read(block)).unwrap(), secret);
        let names = temporary_names(&*device);
        let written = device.open(&names[0], OpenMode::Read).unwrap();
        let buffer = IoBuf::zeroed(written.size().unwrap() as usize);
        let bytes = block_on(written.read_at(buffer, 0)).unwrap();
        assert_eq!(bytes.windows(secret.len()).any(|window| window == secret), found);
    }
}

/// A file that a crash left behind is gone after the next open.
#[test]
fn leftovers_go_at_open() {
    let device = MemoryDevice::new();
    let store = open(Arc::new(device.clone()), StoreOptions::default());
    let mut file = store.temporary_file().unwrap();
    block_on(file.append(&[1; 100])).unwrap();
    std::mem::forget(file);
    block_on(store.close()).unwrap();
    drop(store);
    assert_eq!(temporary_names(&device).len(), 1);
    // What was forgotten holds the folder's lock: a copy of the folder is opened.
    let copy = MemoryDevice::new();
    for name in device.list().unwrap() {
        let from = device.open(&name, OpenMode::Read).unwrap();
        let to = copy.open(&name, OpenMode::CreateNew).unwrap();
        let size = from.size().unwrap() as usize;
        if size > 0 {
            let buffer = block_on(from.read_at(IoBuf::zeroed(size), 0)).unwrap();
            block_on(to.write_at(buffer, 0)).unwrap();
        }
    }
    let store = open(Arc::new(copy.clone()), StoreOptions::default());
    assert!(temporary_names(&copy).is_empty());
    drop(store);
}
