//! Shows that the simulated disk keeps its own fault model: what was synced is never touched, what
//! was not meets every fate, and all of it repeats with the seed.

use std::collections::BTreeSet;

use futures_lite::future::{block_on, zip};

use super::*;
use crate::device::BLOCK_SIZE;

const BLOCK: u64 = BLOCK_SIZE as u64;

fn filled(byte: u8, blocks: usize) -> IoBuf {
    IoBuf::from_slice(&vec![byte; blocks * BLOCK_SIZE])
}

fn write(file: &Arc<dyn File>, byte: u8, blocks: usize, offset: u64) -> io::Result<()> {
    block_on(file.write_at(filled(byte, blocks), offset)).map(drop)
}

/// The first byte of each sector of a file's first `blocks` blocks.
fn sectors(device: &SimulatedDevice, name: &str, blocks: usize) -> Vec<u8> {
    let file = device.open(name, OpenMode::Read).unwrap();
    let buf = block_on(file.read_at(IoBuf::zeroed(blocks * BLOCK_SIZE), 0)).unwrap();
    let sectors = buf.chunks_exact(image::SECTOR_SIZE);
    for sector in sectors.clone() {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector was torn");
    }
    sectors.map(|sector| sector[0]).collect()
}

/// A durable file `data` of two blocks of ones.
fn durable_ones(seed: u64) -> (SimulatedDevice, Arc<dyn File>) {
    let device = SimulatedDevice::new(seed);
    let file = device.open("data", OpenMode::CreateNew).unwrap();
    write(&file, 1, 2, 0).unwrap();
    block_on(file.sync()).unwrap();
    device.sync_folder().unwrap();
    (device, file)
}

/// Over many seeds an unsynced overwrite is seen kept, lost and torn; the synced block beside it
/// never changes; the same seed gives the same outcome.
#[test]
fn unsynced_writes_meet_every_fate() {
    let (device, file) = durable_ones(1);
    write(&file, 2, 1, 0).unwrap();
    let mut kept = 0;
    let mut lost = 0;
    let mut torn = BTreeSet::new();
    for seed in 0..200 {
        let after = sectors(&device.survivor(seed), "data", 2);
        assert_eq!(after, sectors(&device.survivor(seed), "data", 2));
        assert!(after[8..].iter().all(|byte| *byte == 1));
        match after[..8].iter().filter(|byte| **byte == 2).count() {
            8 => kept += 1,
            0 => lost += 1,
            _ => {
                torn.insert(after);
            }
        }
    }
    assert!(kept > 20 && lost > 20 && torn.len() > 20, "{kept} kept, {lost} lost, {} ways torn", torn.len());
    // The original goes on undisturbed, and its sync settles the matter.
    block_on(file.sync()).unwrap();
    for seed in 0..20 {
        assert_eq!(sectors(&device.survivor(seed), "data", 1), [2; 8]);
    }
}

/// Of two unsynced writes to different blocks each of the four combinations survives somewhere,
/// the later without the earlier included.
#[test]
fn unsynced_writes_are_independent() {
    let (device, file) = durable_ones(2);
    write(&file, 2, 1, 0).unwrap();
    write(&file, 3, 1, BLOCK).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let after = sectors(&device.survivor(seed), "data", 2);
        seen.insert((after[..8] == [2; 8], after[8..] == [3; 8]));
    }
    assert_eq!(seen.len(), 4);
}

/// A new file's name survives for certain only after a folder sync, synced contents or not; a
/// rename is atomic.
#[test]
fn names_need_a_folder_sync() {
    let (device, _) = durable_ones(3);
    let new = device.open("new", OpenMode::CreateNew).unwrap();
    write(&new, 5, 1, 0).unwrap();
    block_on(new.sync()).unwrap();
    device.rename("new", "data").unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let after = device.survivor(seed);
        let names = after.list().unwrap();
        assert!(names.contains(&"data".to_owned()), "the target of a rename was lost: {names:?}");
        seen.insert((names.len(), sectors(&after, "data", 1)[0]));
    }
    // Nothing kept; the creation kept; the rename kept.
    assert_eq!(seen, BTreeSet::from([(1, 1), (2, 1), (1, 5)]));
    device.sync_folder().unwrap();
    for seed in 0..20 {
        let after = device.survivor(seed);
        assert_eq!((after.list().unwrap().len(), sectors(&after, "data", 1)[0]), (1, 5));
    }
}

/// A failed sync loses changes that stay visible, and the sync after it says nothing.
#[test]
fn failed_sync_loses_data_silently() {
    let mut lost = 0;
    for seed in 0..50 {
        let (device, file) = durable_ones(seed);
        write(&file, 2, 2, 0).unwrap();
        device.fail_call(device.calls() + 1, InjectedFault::Error);
        let error = block_on(file.sync()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        block_on(file.sync()).unwrap();
        assert_eq!(sectors(&device, "data", 2), [2; 16]);
        lost += usize::from(sectors(&device.survivor(0), "data", 2).contains(&1));
    }
    assert!(lost > 20, "only {lost} of 50 failed syncs lost anything");
}

/// A crash at every numbered call: it and all later ones fail recognizably, and the restarted
/// device holds what had been synced.
#[test]
fn crash_at_every_call() {
    fn work(device: &SimulatedDevice, synced: &mut u8) -> io::Result<()> {
        let file = device.open("data", OpenMode::CreateNew)?;
        device.sync_folder()?;
        for byte in 1..=4 {
            block_on(file.write_batch(vec![(0, filled(byte, 1)), (BLOCK, filled(byte, 1))]))?;
            block_on(file.sync())?;
            *synced = byte;
        }
        file.size().map(drop)
    }
    let device = SimulatedDevice::new(0);
    work(&device, &mut 0).unwrap();
    let calls = device.calls();
    assert_eq!(calls, 2 + 4 * 3 + 1);
    for call in 1..=calls {
        let device = SimulatedDevice::new(call);
        device.fail_call(call, InjectedFault::Crash);
        let mut synced = 0;
        let error = work(&device, &mut synced).unwrap_err();
        assert!(is_simulated_crash(&error), "{error}");
        assert!(is_simulated_crash(&io::Error::other(error)), "wrapped errors are recognized");
        assert!(device.is_crashed() && is_simulated_crash(&device.list().unwrap_err()));
        let after = device.restart();
        if synced > 0 {
            let allowed = [synced, synced + 1];
            assert!(sectors(&after, "data", 2).iter().all(|byte| allowed.contains(byte)), "call {call}");
        }
    }
}

/// A crash inside a batch may leave any of it, the members behind the crashed call included.
#[test]
fn crash_in_a_batch_leaves_any_of_it() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let (device, file) = durable_ones(seed);
        device.fail_call(device.calls() + 1, InjectedFault::Crash);
        block_on(file.write_batch(vec![(0, filled(2, 1)), (BLOCK, filled(3, 1))])).unwrap_err();
        let after = sectors(&device.restart(), "data", 2);
        seen.insert((after[..8] == [2; 8], after[8..] == [3; 8]));
    }
    assert_eq!(seen.len(), 4);
}

/// A full disk leaves a prefix of whole blocks and says so.
#[test]
fn full_disk_leaves_a_prefix() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let (device, file) = durable_ones(seed);
        device.fail_call(device.calls() + 1, InjectedFault::NoSpace);
        let error = write(&file, 9, 4, 2 * BLOCK).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        lengths.insert(file.size().unwrap() / BLOCK);
    }
    assert_eq!(lengths, BTreeSet::from([2, 3, 4, 5]));
}

/// A killed process loses nothing; a power cut after it settles what is still unsynced.
#[test]
fn process_kill_keeps_unsynced_changes() {
    let (device, file) = durable_ones(4);
    let _lock = device.lock().unwrap();
    write(&file, 2, 2, 0).unwrap();
    let next = device.restart();
    assert!(is_simulated_crash(&file.size().unwrap_err()));
    next.lock().unwrap();
    assert_eq!(sectors(&next, "data", 2), [2; 16]);
    assert!((0..20).any(|seed| sectors(&next.survivor(seed), "data", 2).contains(&1)));
}

/// Corrupted reads differ from the disk in single bits; a flipped bit on the disk stays.
#[test]
fn corruption_of_reads_and_disk() {
    let (device, file) = durable_ones(5);
    device.flip_bits_in_reads(500_000);
    let mut flipped = 0;
    for _ in 0..100 {
        let buf = block_on(file.read_at(IoBuf::zeroed(BLOCK_SIZE), 0)).unwrap();
        let bits: u32 = buf.iter().map(|byte| (byte ^ 1).count_ones()).sum();
        assert!(bits <= 1);
        flipped += bits;
    }
    assert!((20..80).contains(&flipped), "{flipped} of 100 reads were corrupted");
    device.flip_bits_in_reads(0);
    device.flip_bit("data", 512, 1).unwrap();
    device.crash(7);
    let file = device.restart().open("data", OpenMode::Read).unwrap();
    assert_eq!(block_on(file.read_at(IoBuf::zeroed(BLOCK_SIZE), 0)).unwrap()[511..513], [1, 3]);
}

/// Delayed futures overtake each other, so that concurrent writes are seen in both orders.
#[test]
fn delays_reorder_concurrent_calls() {
    let mut winners = BTreeSet::new();
    for seed in 0..50 {
        let (device, file) = durable_ones(seed);
        device.delay_up_to(3);
        let (first, second) = block_on(zip(file.write_at(filled(2, 1), 0), file.write_at(filled(3, 1), 0)));
        first.and(second).unwrap();
        winners.insert(sectors(&device, "data", 1)[0]);
    }
    assert_eq!(winners, BTreeSet::from([2, 3]));
}
