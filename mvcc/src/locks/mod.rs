//! Locks on rows, keys and tables, with deadlock detection.
//!
//! 1. A lock is named by a space, which stands for all tables or for one tree of one branch, and a 64-bit hash of the
//!    key. Two names that collide share a lock, which can make somebody wait without need but never lets two through:
//!    nothing else depends on it.
//! 2. Requests for one lock are granted in order of arrival, except that a holder asking for a stronger mode
//!    goes first, and that a row is shared at once with whoever conflicts with no holder. A request conflicts with holders
//!    and with the earlier requests it would have to wait for.
//! 3. When a transaction begins to wait, it is looked up whether it waits for itself, following the waits of those
//!    it waits for. If so, one of the circle who waits behind others, but for no holder, goes before them (`circle`); where
//!    there is none, it gets [`Error::Deadlock`] and the others go on. Who waits for whom is read from the locks
//!    themselves at that moment: edges that were noted earlier would miss modes strengthened since, and keep those
//!    who have left.
//!
//! 4. The many locks of a transaction that is alone in a tree are kept aside (`alone`).
//!
//! Invariant: a waiting request is either granted or withdrawn, never both; dropping its future withdraws it.

mod alone;
mod circle;
mod held;
mod shard;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::ids::{LockMode, TableLockMode, WaitPolicy};
use alone::AloneTrees;
pub(crate) use held::HeldLocks;
pub use held::LockMark;
use shard::Shard;

const SHARDS: usize = 64;

/// Who holds or wants a lock: a transaction's own number, unrelated to its xid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LockOwner(pub(crate) u64);

/// What a lock's name belongs to: the tables, or the keys of one tree of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LockSpace(pub(crate) u64);

/// A lock's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockName {
    pub(crate) space: LockSpace,
    /// A hash of the key, which differs from space to space.
    pub(crate) key: u64,
}

impl Hash for LockName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key);
    }
}

/// Row and table modes in one numbering; they never meet, because their names differ in the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mode(u8);

impl From<LockMode> for Mode {
    fn from(mode: LockMode) -> Mode {
        Mode(mode as u8)
    }
}

impl From<TableLockMode> for Mode {
    fn from(mode: TableLockMode) -> Mode {
        Mode(8 + mode as u8)
    }
}

/// Bit n of entry m: mode m conflicts with mode n. PostgreSQL's tables 13.3 (rows) and 13.2 (tables).
const ROW_CONFLICTS: [u8; 4] = [0b1000, 0b1100, 0b1110, 0b1111];
const TABLE_CONFLICTS: [u8; 8] =
    [0b1000_0000, 0b1100_0000, 0b1111_0000, 0b1111_1000, 0b1110_1100, 0b1111_1100, 0b1111_1110, 0b1111_1111];

impl Mode {
    fn conflicts(self, other: Mode) -> bool {
        if self.is_of_row() {
            ROW_CONFLICTS[usize::from(self.0)] & (1 << other.0) != 0
        } else {
            TABLE_CONFLICTS[usize::from(self.0 - 8)] & (1 << (other.0 - 8)) != 0
        }
    }

    /// Whether it is one of rows and keys.
    fn is_of_row(self) -> bool {
        self.0 < 8
    }

    /// How many of those who wait a new request waits behind. Rows and keys are for whoever is not in a holder's way, as in
    /// PostgreSQL: one who wants a row for himself does not keep those out who share it.
    fn waits_behind(self, is_holder: bool, waiting: usize) -> usize {
        if is_holder || self.is_of_row() { 0 } else { waiting }
    }

    /// Whether holding `self` makes asking for `other` needless.
    fn covers(self, other: Mode) -> bool {
        let conflicts = |mode: Mode| match mode.0 {
            row @ 0..8 => ROW_CONFLICTS[usize::from(row)],
            table => TABLE_CONFLICTS[usize::from(table - 8)],
        };
        conflicts(self) & conflicts(other) == conflicts(other)
    }
}

struct Waiter {
    owner: LockOwner,
    mode: Mode,
    granted: Arc<AtomicBool>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Entry {
    /// Most locks have one holder: they need no memory of their own.
    holders: SmallVec<[(LockOwner, Mode); 2]>,
    waiters: VecDeque<Waiter>,
}

impl Entry {
    /// Whom a request conflicts with, among holders and the first `ahead` waiters.
    fn blockers(&self, owner: LockOwner, mode: Mode, ahead: usize) -> Vec<LockOwner> {
        let holders = self.holders.iter().copied();
        let waiters = self.waiters.iter().take(ahead).map(|waiter| (waiter.owner, waiter.mode));
        holders
            .chain(waiters)
            .filter(|(other, other_mode)| *other != owner && mode.conflicts(*other_mode))
            .map(|(other, _)| other)
            .collect()
    }

    /// Adds a holder, unless it holds as much already.
    fn hold(&mut self, owner: LockOwner, mode: Mode) {
        if !self.holders.iter().any(|(holder, held)| *holder == owner && held.covers(mode)) {
            self.holders.push((owner, mode));
        }
    }

    fn grant(&mut self) {
        let mut index = 0;
        while index < self.waiters.len() {
            let waiter = &self.waiters[index];
            if !self.blockers(waiter.owner, waiter.mode, index).is_empty() {
                index += 1;
                continue;
            }
            if let Some(waiter) = self.waiters.remove(index) {
                self.holders.push((waiter.owner, waiter.mode));
                waiter.granted.store(true, Ordering::Release);
                waiter.waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}

#[derive(Default, Clone)]
struct NoHash(u64);

impl Hasher for NoHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("lock names are 64-bit numbers");
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// All locks of an open folder.
pub(crate) struct LockTable {
    shards: Box<[Mutex<Shard>]>,
    /// The lock that each waiting transaction waits for. Held while a wait is noted and the cycle looked for, so that
    /// of two transactions about to wait for each other the second one sees the first. Taken before a shard, never
    /// after.
    waits: Mutex<HashMap<LockOwner, LockName>>,
    alone: AloneTrees,
}

/// What a request that was granted has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The lock is new to its owner.
    New,
    /// The owner had it in a weaker mode.
    Stronger,
    /// The owner had as much.
    Nothing,
}

impl Taken {
    fn by(was_held: bool) -> Taken {
        if was_held { Taken::Stronger } else { Taken::New }
    }
}

/// The outcome of a request that does not wait.
enum Request {
    Granted,
    Waiting(Arc<AtomicBool>),
}

impl LockTable {
    pub(crate) fn new() -> LockTable {
        LockTable {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            waits: Mutex::default(),
            alone: AloneTrees::default(),
        }
    }

    fn shard(&self, name: LockName) -> &Mutex<Shard> {
        &self.shards[(name.key >> 58) as usize % SHARDS]
    }

    /// Takes a lock if nobody is in the way.
    #[inline]
    pub(crate) fn try_acquire(&self, owner: LockOwner, name: LockName, mode: Mode) -> Option<Taken> {
        let mut shard = self.shard(name).lock();
        let _shared;
        if self.alone.may_have(name.space) {
            drop(shard);
            _shared = self.share(owner, name.space);
            shard = self.shard(name).lock();
        }
        if shard.take_only(name, owner, mode) {
            return Some(Taken::New);
        }
        let entry = shard.entries().entry(name).or_default();
        if entry.holders.is_empty() && entry.waiters.is_empty() {
            entry.holders.push((owner, mode));
            return Some(Taken::New);
        }
        let held = entry.holders.iter().any(|(holder, _)| *holder == owner);
        if held && entry.holders.iter().any(|(holder, held)| *holder == owner && held.covers(mode)) {
            return Some(Taken::Nothing);
        }
        let ahead = mode.waits_behind(held, entry.waiters.len());
        if entry.blockers(owner, mode, ahead).is_empty() {
            entry.holders.push((owner, mode));
            return Some(Taken::by(held));
        }
        None
    }

    /// Takes a lock, waiting if need be.
    ///
    /// # Errors
    /// [`Error::Deadlock`], [`Error::LockNotAvailable`].
    pub(crate) async fn acquire(
        &self,
        owner: LockOwner,
        name: LockName,
        mode: Mode,
        wait: WaitPolicy,
    ) -> Result<Taken> {
        if let Some(taken) = self.try_acquire(owner, name, mode) {
            return Ok(taken);
        }
        if wait == WaitPolicy::NoWait {
            return Err(Error::LockNotAvailable);
        }
        let (held, request) = self.enqueue(owner, name, mode)?;
        let Request::Waiting(granted) = request else { return Ok(Taken::by(held)) };
        let withdrawal = Withdrawal { table: self, owner, name, granted: &granted };
        poll_fn(|context| {
            if granted.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let mut shard = self.shard(name).lock();
            if granted.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let waiters = shard.entries().get_mut(&name).map(|entry| &mut entry.waiters);
            for waiter in waiters.into_iter().flatten() {
                if waiter.owner == owner {
                    waiter.waker = Some(context.waker().clone());
                }
            }
            Poll::Pending
        })
        .await;
        drop(withdrawal);
        Ok(Taken::by(held))
    }

    fn enqueue(&self, owner: LockOwner, name: LockName, mode: Mode) -> Result<(bool, Request)> {
        let mut waits = self.waits.lock();
        let _shared = self.share(owner, name.space);
        let granted = Arc::new(AtomicBool::new(false));
        let held = {
            let mut shard = self.shard(name).lock();
            let entry = shard.entries().entry(name).or_default();
            let held = entry.holders.iter().any(|(holder, _)| *holder == owner);
            let ahead = mode.waits_behind(held, entry.waiters.len());
            if entry.blockers(owner, mode, ahead).is_empty() {
                entry.holders.push((owner, mode));
                return Ok((held, Request::Granted));
            }
            let waiter = Waiter { owner, mode, granted: granted.clone(), waker: None };
            match held {
                true => entry.waiters.push_front(waiter),
                false => entry.waiters.push_back(waiter),
            }
            held
        };
        waits.insert(owner, name);
        if self.cut_circles(&waits, owner) {
            return Ok((held, Request::Waiting(granted)));
        }
        waits.remove(&owner);
        let mut shard = self.shard(name).lock();
        if granted.load(Ordering::Acquire) {
            // Its blockers have just let go.
            return Ok((held, Request::Granted));
        }
        if let Some(entry) = shard.entries().get_mut(&name) {
            entry.waiters.retain(|waiter| waiter.owner != owner);
            entry.grant();
        }
        Err(Error::Deadlock)
    }

    /// How many transactions wait for a lock at this moment.
    pub(crate) fn waiting(&self) -> usize {
        self.waits.lock().len()
    }

    /// Whom a transaction waits for at this moment.
    pub(crate) fn blockers_of(&self, owner: LockOwner) -> Vec<LockOwner> {
        self.waited_for(&self.waits.lock(), owner)
    }

    /// Whom a transaction waits for right now.
    fn waited_for(&self, waits: &HashMap<LockOwner, LockName>, owner: LockOwner) -> Vec<LockOwner> {
        let Some(name) = waits.get(&owner) else { return Vec::new() };
        let mut shard = self.shard(*name).lock();
        let Some(entry) = shard.entries().get(name) else { return Vec::new() };
        let position = entry.waiters.iter().position(|waiter| waiter.owner == owner);
        position.map_or_else(Vec::new, |at| entry.blockers(owner, entry.waiters[at].mode, at))
    }

    /// Gives a lock back, in whatever modes it is held.
    pub(crate) fn release(&self, owner: LockOwner, name: LockName) {
        self.release_where(name, |(holder, _)| holder == owner);
    }

    /// Gives a lock back in one of the modes in which it is held.
    pub(crate) fn release_mode(&self, owner: LockOwner, name: LockName, mode: Mode) {
        self.release_where(name, |held| held == (owner, mode));
    }

    fn release_where(&self, name: LockName, is_released: impl Fn((LockOwner, Mode)) -> bool) {
        let mut shard = self.shard(name).lock();
        if shard.release_only(name, &is_released) {
            return;
        }
        let entries = shard.entries();
        let Some(entry) = entries.get_mut(&name) else { return };
        entry.holders.retain(|held| !is_released(*held));
        if entry.waiters.is_empty() {
            if entry.holders.is_empty() {
                entries.remove(&name);
            }
            return;
        }
        entry.grant();
    }
}

/// Ends a wait: takes the request back, or, if it was granted to a future that was dropped, the lock.
struct Withdrawal<'a> {
    table: &'a LockTable,
    owner: LockOwner,
    name: LockName,
    granted: &'a AtomicBool,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.table.waits.lock().remove(&self.owner);
        let mut shard = self.table.shard(self.name).lock();
        if self.granted.load(Ordering::Acquire) {
            // Granted: the caller has it. A dropped caller's transaction rolls back and releases by name.
            return;
        }
        if let Some(entry) = shard.entries().get_mut(&self.name) {
            entry.waiters.retain(|waiter| waiter.owner != self.owner);
            entry.grant();
        }
    }
}

#[cfg(test)]
mod tests;
