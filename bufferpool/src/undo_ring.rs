//! The undo log in memory: for every change of a page, how to go back, newest first along each page's chain.
//!
//! 1. Records are appended in commit order by one writer at a time; a record is named by its position, a number
//!    that only grows. Position 0 means "no record".
//! 2. The records between tail and head lie in a fixed ring; a record never wraps around its end.
//! 3. Readers see records only once [`UndoRing::publish`] says so; until then [`UndoRing::take_back`] forgets them.
//! 4. [`UndoRing::release`] moves the tail; the bytes behind it are overwritten only when every reader that was
//!    pinned at that moment is gone.
//!
//! A record is 48 bytes — length of the operations (4), reserved (4), position of the page's record before (8),
//! SCN (8), the SCN it goes back to (8), branch (8), page (8) — and its operations, padded to 8 bytes.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::arena::Arena;
use crate::epoch::{self, Guard};
use crate::ids::{BranchId, PageId, PageKey, Scn};

const HEADER_BYTES: usize = 48;
const SKIP: u32 = u32::MAX;

/// The ring.
pub struct UndoRing {
    memory: Arena,
    size_bytes: u64,
    head: AtomicU64,
    /// Where the writer appends next; only it looks at this.
    appended: AtomicU64,
    tail: AtomicU64,
    /// Up to where the writer may overwrite.
    writable_to: AtomicU64,
    /// Moves of the tail whose readers may still be there, as (epoch, tail).
    pending: Mutex<VecDeque<(u64, u64)>>,
}

/// One record.
#[derive(Clone, Copy)]
pub struct UndoRecord<'g> {
    /// The page's record before this one.
    pub previous: u64,
    /// The commit whose change this takes back.
    pub scn: Scn,
    /// The version that it goes back to.
    pub restores: Scn,
    /// Whose page.
    pub key: PageKey,
    /// Encoded operations.
    pub operations: &'g [u8],
}

impl UndoRing {
    /// A ring of `size_bytes`, rounded to 4 KiB.
    ///
    /// # Errors
    /// When the operating system gives no address space.
    pub fn new(size_bytes: usize) -> io::Result<UndoRing> {
        let size_bytes = size_bytes.next_multiple_of(4096);
        Ok(UndoRing {
            memory: Arena::new(size_bytes)?,
            size_bytes: size_bytes as u64,
            // Position 0 is not a record.
            head: AtomicU64::new(8),
            appended: AtomicU64::new(8),
            tail: AtomicU64::new(8),
            writable_to: AtomicU64::new(size_bytes as u64),
            pending: Mutex::default(),
        })
    }

    /// The ring's size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The end of what is published: the position of the next record, or a little before it.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// The oldest position kept.
    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }

    /// Bytes between tail and head.
    pub fn used_bytes(&self) -> u64 {
        self.head() - self.tail()
    }

    /// Whether a record with `operations_bytes` can be appended now. One writer at a time.
    pub fn has_room(&self, operations_bytes: usize) -> bool {
        // Twice, because the end of the ring may have to be skipped.
        let needed = 2 * record_bytes(operations_bytes);
        let end = self.appended.load(Ordering::Relaxed) + needed;
        if end <= self.writable_to.load(Ordering::Relaxed) {
            return true;
        }
        let oldest = epoch::oldest_pinned();
        let mut pending = self.pending.lock();
        while let Some((epoch, tail)) = pending.front().copied() {
            if epoch >= oldest {
                break;
            }
            self.writable_to.store(tail + self.size_bytes, Ordering::Relaxed);
            pending.pop_front();
        }
        end <= self.writable_to.load(Ordering::Relaxed)
    }

    /// Appends a record, which nobody sees yet, and returns its position. The caller made sure of [`UndoRing::has_room`], and is the
    /// only writer.
    ///
    /// # Panics
    /// When there is no room.
    pub fn append(&self, previous: u64, scn: Scn, restores: Scn, key: PageKey, operations: &[u8]) -> u64 {
        let length = record_bytes(operations.len());
        let mut position = self.appended.load(Ordering::Relaxed);
        let in_ring = position % self.size_bytes;
        if in_ring + length > self.size_bytes {
            // SAFETY: the position is this writer's: not yet readable, no longer read (checked below).
            unsafe { self.write(position, &SKIP.to_le_bytes()) };
            position += self.size_bytes - in_ring;
        }
        assert!(
            position + length <= self.writable_to.load(Ordering::Relaxed),
            "the caller made sure that an undo record has room"
        );
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(operations.len() as u32).to_le_bytes());
        header[8..16].copy_from_slice(&previous.to_le_bytes());
        header[16..24].copy_from_slice(&scn.0.to_le_bytes());
        header[24..32].copy_from_slice(&restores.0.to_le_bytes());
        header[32..40].copy_from_slice(&key.branch.0.to_le_bytes());
        header[40..48].copy_from_slice(&key.page.0.to_le_bytes());
        // SAFETY: the bytes lie between the head, past which nobody reads, and `writable_to`, before which
        // nobody reads any more; the record does not wrap.
        unsafe {
            self.write(position, &header);
            self.write(position + HEADER_BYTES as u64, operations);
        }
        self.appended.store(position + length, Ordering::Relaxed);
        position
    }

    /// Shows readers what the writer has appended.
    pub fn publish(&self) {
        self.head.store(self.appended.load(Ordering::Relaxed), Ordering::Release);
    }

    /// Forgets what the writer has appended since [`UndoRing::publish`].
    pub fn take_back(&self) {
        self.appended.store(self.head.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The record at `position`; `None` when it has been released.
    #[inline]
    pub fn get<'g>(&'g self, _guard: &'g Guard, position: u64) -> Option<UndoRecord<'g>> {
        if position < self.tail.load(Ordering::SeqCst) || position >= self.head() {
            return None;
        }
        let address = self.memory.address((position % self.size_bytes) as usize);
        // SAFETY: the record was complete when the head passed it, and the guard, pinned before the tail was
        // read, keeps it from being overwritten.
        unsafe {
            let header = std::slice::from_raw_parts(address, HEADER_BYTES);
            let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
            let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
            Some(UndoRecord {
                previous: number(8),
                scn: Scn(number(16)),
                restores: Scn(number(24)),
                key: PageKey::new(BranchId(number(32)), PageId(number(40))),
                operations: std::slice::from_raw_parts(address.add(HEADER_BYTES), length),
            })
        }
    }

    /// Bytes that a record takes in the ring.
    pub fn record_bytes(&self, record: &UndoRecord<'_>) -> u64 {
        record_bytes(record.operations.len())
    }

    /// Forgets all records before `position`, which is a record's or the head.
    pub fn release(&self, position: u64) {
        let mut pending = self.pending.lock();
        if position <= self.tail.load(Ordering::Relaxed) {
            return;
        }
        self.tail.store(position, Ordering::SeqCst);
        let epoch = epoch::retire_epoch();
        pending.push_back((epoch, position));
    }

    /// The first record at or after `position`, and the position after it; `None` at the head.
    pub fn next<'g>(&'g self, guard: &'g Guard, mut position: u64) -> Option<(UndoRecord<'g>, u64)> {
        if position >= self.head() {
            return None;
        }
        let in_ring = position % self.size_bytes;
        let address = self.memory.address(in_ring as usize);
        // SAFETY: as in `get`; positions and ring size are multiples of 8, so four bytes are there.
        let length = u32::from_le_bytes(unsafe { address.cast::<[u8; 4]>().read() });
        if length == SKIP {
            position += self.size_bytes - in_ring;
        }
        let record = self.get(guard, position)?;
        Some((record, position + record_bytes(record.operations.len())))
    }

    /// # Safety
    /// `bytes` at `position` belong to the writer and do not wrap around the ring's end.
    unsafe fn write(&self, position: u64, bytes: &[u8]) {
        let address = self.memory.address((position % self.size_bytes) as usize);
        // SAFETY: promised by the caller.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address, bytes.len()) }
    }
}

fn record_bytes(operations_bytes: usize) -> u64 {
    (HEADER_BYTES + operations_bytes).next_multiple_of(8) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records are found by position and in order until they are released; the ring goes round many times.
    #[test]
    fn records_are_kept_until_released() {
        let ring = UndoRing::new(4096).unwrap();
        let key = PageKey::new(BranchId(2), PageId(3));
        let mut positions = std::collections::VecDeque::new();
        for number in 0u64..1000 {
            let operations = vec![number as u8; (number % 300) as usize];
            while !ring.has_room(operations.len()) {
                positions.pop_front();
                ring.release(positions.front().map_or(ring.head(), |entry: &(u64, u64)| entry.0));
            }
            // What is taken back was never there.
            ring.append(number, Scn(u64::MAX), Scn(0), key, &operations);
            ring.take_back();
            positions.push_back((ring.append(number, Scn(number), Scn(0), key, &operations), number));
            let guard = epoch::pin();
            assert!(ring.get(&guard, positions.back().unwrap().0).is_none(), "not published yet");
            ring.publish();
            let mut next = ring.tail();
            for (position, number) in &positions {
                let record = ring.get(&guard, *position).unwrap();
                assert_eq!((record.previous, record.scn), (*number, Scn(*number)));
                assert_eq!(record.operations, vec![*number as u8; (*number % 300) as usize]);
                let (same, after) = ring.next(&guard, next).unwrap();
                assert_eq!(same.scn, record.scn);
                next = after;
            }
            assert!(ring.next(&guard, next).is_none());
        }
    }

    /// Released records stay intact for a reader that was pinned before.
    #[test]
    fn a_pinned_reader_holds_the_ring() {
        let ring = UndoRing::new(4096).unwrap();
        let key = PageKey::new(BranchId(2), PageId(3));
        let position = ring.append(0, Scn(1), Scn(0), key, &[7; 1000]);
        ring.publish();
        let guard = epoch::pin();
        let record = ring.get(&guard, position).unwrap();
        ring.release(ring.head());
        while ring.has_room(1000) {
            ring.append(0, Scn(2), Scn(1), key, &[8; 1000]);
            ring.publish();
            ring.release(ring.head());
        }
        assert_eq!(record.operations, [7; 1000]);
        drop(guard);
        assert!(ring.has_room(1000));
    }
}
