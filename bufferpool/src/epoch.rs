//! Epoch-based reclamation: when may a frame that readers can no longer find be used again?
//!
//! 1. A reader pins the current epoch for the length of one synchronous closure ([`pin`]).
//! 2. A writer unlinks a frame, then retires it under the epoch of that moment ([`retire_epoch`]).
//! 3. The frame is free once every pinned epoch is later than that ([`oldest_pinned`]).
//!
//! Invariant: a [`Guard`] never lives across an await; it is `!Send`, so the compiler helps.
//! The scheme is that of K. Fraser, "Practical lock-freedom" (2004), §5.2.3, with one process-wide domain.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// Threads that may use pages at the same time; a further one waits for one to end.
const THREADS_MAX: usize = 4096;
const NOT_PINNED: u64 = u64::MAX;

#[repr(align(128))]
struct Slot {
    pinned: AtomicU64,
    taken: AtomicBool,
}

static GLOBAL: AtomicU64 = AtomicU64::new(1);
static SLOTS: [Slot; THREADS_MAX] =
    [const { Slot { pinned: AtomicU64::new(NOT_PINNED), taken: AtomicBool::new(false) } }; THREADS_MAX];
static SLOTS_USED: AtomicUsize = AtomicUsize::new(0);

struct Registration {
    slot: &'static Slot,
    number: u32,
    depth: Cell<u32>,
}

impl Registration {
    fn new() -> Registration {
        loop {
            for (index, slot) in SLOTS.iter().enumerate() {
                if !slot.taken.load(Ordering::Relaxed) && !slot.taken.swap(true, Ordering::AcqRel) {
                    SLOTS_USED.fetch_max(index + 1, Ordering::SeqCst);
                    return Registration { slot, number: index as u32, depth: Cell::new(0) };
                }
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.slot.pinned.store(NOT_PINNED, Ordering::Release);
        self.slot.taken.store(false, Ordering::Release);
    }
}

thread_local! {
    static REGISTRATION: Registration = Registration::new();
}

/// Keeps every frame that was reachable at its creation readable until it is dropped.
pub struct Guard {
    /// The number of the thread's slot.
    thread: u32,
    // The slot belongs to this thread.
    _not_send: PhantomData<*const ()>,
}

/// Pins the current epoch. Nested pins are cheap.
#[inline]
pub fn pin() -> Guard {
    REGISTRATION.with(|registration| {
        let depth = registration.depth.get();
        registration.depth.set(depth + 1);
        if depth == 0 {
            let epoch = GLOBAL.load(Ordering::Relaxed);
            // A swap is a full barrier: no page is read before the pin is seen by those who reclaim.
            registration.slot.pinned.swap(epoch, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        Guard { thread: registration.number, _not_send: PhantomData }
    })
}

impl Guard {
    /// A small number that no other thread has at the same time.
    #[inline]
    pub(crate) fn thread(&self) -> usize {
        self.thread as usize
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        REGISTRATION.with(|registration| {
            let depth = registration.depth.get() - 1;
            registration.depth.set(depth);
            if depth == 0 {
                registration.slot.pinned.store(NOT_PINNED, Ordering::Release);
            }
        });
    }
}

/// The epoch under which something just unlinked must be retired; also starts the next epoch.
pub(crate) fn retire_epoch() -> u64 {
    fence(Ordering::SeqCst);
    GLOBAL.fetch_add(1, Ordering::SeqCst)
}

/// Whatever was retired under an epoch smaller than this can no longer be seen by anybody.
pub(crate) fn oldest_pinned() -> u64 {
    fence(Ordering::SeqCst);
    let mut oldest = GLOBAL.load(Ordering::SeqCst);
    for slot in &SLOTS[..SLOTS_USED.load(Ordering::SeqCst)] {
        oldest = oldest.min(slot.pinned.load(Ordering::SeqCst));
    }
    oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pin holds back everything retired after it, and nothing retired before.
    #[test]
    fn a_pin_holds_back_later_retirements() {
        let before = retire_epoch();
        let guard = pin();
        let after = retire_epoch();
        let oldest = oldest_pinned();
        assert!(before < oldest && oldest <= after);
        let nested = pin();
        drop(guard);
        assert!(oldest_pinned() <= after, "the nested pin still holds");
        drop(nested);
    }
}
