//! Advisory locks: numbers that sessions lock by agreement, until the session or the transaction ends.
//!
//! A session may take a lock many times, and gives it back as often; what its transaction took goes with the
//! transaction. Requests are granted in order of arrival, but a holder never waits behind others for what it may have.
//! Of sessions that wait for each other in a circle of advisory locks alone, the last one to wait is told at once. In a circle that goes
//! through locks of rows or tables too, one that waits for an advisory lock finds it, as often as `deadlock_timeout` says.
//!
//! Invariant: a waiting request is granted or withdrawn, never both; dropping its future withdraws it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::FutureExt;
use helios_runtime::executor::sleep;
use parking_lot::Mutex;

use super::{Backend, Owed};
use crate::error::{Result, SqlError, SqlState};

/// What is locked: a number, or a pair of numbers, of a database. The two kinds never meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvisoryKey {
    pub database: u32,
    /// The halves of the one number, or the two numbers.
    pub high: u32,
    pub low: u32,
    pub is_pair: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdvisoryMode {
    Shared,
    Exclusive,
}

/// When a lock is given back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifetime {
    Session,
    Transaction,
}

/// A lock to be taken.
#[derive(Clone, Debug)]
pub struct AdvisoryLock {
    pub key: AdvisoryKey,
    pub mode: AdvisoryMode,
    pub lifetime: Lifetime,
}

/// A lock that is held or waited for, for pg_locks.
#[derive(Clone, Debug)]
pub struct ListedLock {
    pub key: AdvisoryKey,
    pub backend: i32,
    pub mode: AdvisoryMode,
    pub granted: bool,
}

struct Waiter {
    backend: i32,
    mode: AdvisoryMode,
    lifetime: Lifetime,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Entry {
    /// How often each session holds it.
    holders: BTreeMap<(i32, AdvisoryMode, Lifetime), usize>,
    waiters: VecDeque<Waiter>,
}

impl Entry {
    /// The sessions that are in a request's way, among holders and the first `ahead` who wait.
    fn blockers(&self, backend: i32, mode: AdvisoryMode, ahead: usize) -> Vec<i32> {
        let holders = self.holders.keys().map(|(holder, mode, _)| (*holder, *mode));
        let holds = self.holders.keys().any(|(holder, ..)| *holder == backend);
        let ahead = if holds { 0 } else { ahead };
        let waiters = self.waiters.iter().take(ahead).map(|waiter| (waiter.backend, waiter.mode));
        let conflicts = |other| other == AdvisoryMode::Exclusive || mode == AdvisoryMode::Exclusive;
        holders
            .chain(waiters)
            .filter(|(other, other_mode)| *other != backend && conflicts(*other_mode))
            .map(|(other, _)| other)
            .collect()
    }

    fn grant(&mut self) {
        let mut at = 0;
        while let Some(waiter) = self.waiters.get(at) {
            if !self.blockers(waiter.backend, waiter.mode, at).is_empty() {
                at += 1;
            } else if let Some(waiter) = self.waiters.remove(at) {
                *self.holders.entry((waiter.backend, waiter.mode, waiter.lifetime)).or_default() += 1;
                waiter.waker.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Gives a lock back once; false where it is not held.
    fn let_go(&mut self, held: (i32, AdvisoryMode, Lifetime)) -> bool {
        let Some(count) = self.holders.get_mut(&held) else { return false };
        *count -= 1;
        if *count == 0 {
            self.holders.remove(&held);
        }
        true
    }

    fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.waiters.is_empty()
    }
}

/// The advisory locks of an engine.
#[derive(Default)]
pub(super) struct AdvisoryLocks {
    entries: Mutex<HashMap<AdvisoryKey, Entry>>,
}

/// How long a request waits.
#[derive(Clone, Copy)]
pub(super) struct WaitLimits {
    /// Until it fails; for ever if absent.
    pub(super) timeout: Option<Duration>,
    /// Until it looks for deadlocks, again and again.
    pub(super) deadlock_timeout: Option<Duration>,
}

fn deadlock() -> SqlError {
    SqlError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
}

/// Whom a session waits for among all locks: it waits for one at most.
fn blockers_among(entries: &HashMap<AdvisoryKey, Entry>, backend: i32) -> Vec<i32> {
    let blockers = entries.values().map(|entry| {
        let at = entry.waiters.iter().position(|waiter| waiter.backend == backend);
        at.map_or_else(Vec::new, |at| entry.blockers(backend, entry.waiters[at].mode, at))
    });
    blockers.flatten().collect()
}

/// A request that waits; dropping it before its lock is taken withdraws it.
struct Request<'l> {
    locks: &'l AdvisoryLocks,
    lock: AdvisoryLock,
    backend: i32,
    is_taken: AtomicBool,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if self.is_taken.load(Ordering::Relaxed) {
            return;
        }
        let AdvisoryLock { key, mode, lifetime } = &self.lock;
        self.locks.change(key, |entry| {
            let waited = entry.waiters.len();
            entry.waiters.retain(|waiter| waiter.backend != self.backend);
            if entry.waiters.len() == waited {
                // It had been granted, and nobody was there to hear of it.
                entry.let_go((self.backend, *mode, *lifetime));
            }
        });
    }
}

impl AdvisoryLocks {
    /// Changes an entry, grants what is free then, and forgets it if nobody needs it any more.
    fn change<T>(&self, key: &AdvisoryKey, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_default();
        let outcome = change(entry);
        entry.grant();
        if entry.is_idle() {
            entries.remove(key);
        }
        outcome
    }

    /// Takes a lock if nobody is in the way.
    fn try_acquire(&self, backend: i32, lock: &AdvisoryLock) -> bool {
        self.change(&lock.key, |entry| {
            let is_free = entry.blockers(backend, lock.mode, entry.waiters.len()).is_empty();
            if is_free {
                *entry.holders.entry((backend, lock.mode, lock.lifetime)).or_default() += 1;
            }
            is_free
        })
    }

    /// Takes a lock, waiting if need be; `is_deadlock` says whether the session waits for itself by locks of any kind.
    ///
    /// # Errors
    /// 40P01, 55P03.
    pub(super) async fn acquire(
        &self,
        backend: i32,
        lock: AdvisoryLock,
        limits: WaitLimits,
        is_deadlock: impl Fn() -> bool,
    ) -> Result<()> {
        if self.try_acquire(backend, &lock) {
            return Ok(());
        }
        self.change(&lock.key, |entry| {
            let (mode, lifetime) = (lock.mode, lock.lifetime);
            entry.waiters.push_back(Waiter { backend, mode, lifetime, waker: None });
        });
        let request = Request { locks: self, lock, backend, is_taken: AtomicBool::new(false) };
        if self.waits_for_itself(backend) {
            return Err(deadlock());
        }
        let granted = poll_fn(|context| {
            let mut entries = self.entries.lock();
            let waiters = entries.get_mut(&request.lock.key).map(|entry| &mut entry.waiters);
            let waiter = waiters.into_iter().flatten().find(|waiter| waiter.backend == backend);
            match waiter {
                Some(waiter) => {
                    waiter.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                None => {
                    request.is_taken.store(true, Ordering::Relaxed);
                    Poll::Ready(Ok(()))
                }
            }
        });
        let too_late = async {
            match limits.timeout {
                Some(timeout) => sleep(timeout).await,
                None => pending().await,
            }
            Err(SqlError::lock_timeout())
        };
        let in_circle = async {
            loop {
                match limits.deadlock_timeout {
                    Some(timeout) => sleep(timeout).await,
                    None => pending().await,
                }
                if is_deadlock() {
                    return Err(deadlock());
                }
            }
        };
        pin!(granted).or(too_late).or(in_circle).await
    }

    /// Whom a session waits for at this moment.
    pub(super) fn blockers_of(&self, backend: i32) -> Vec<i32> {
        blockers_among(&self.entries.lock(), backend)
    }

    /// Whether following the waits from a session leads back to it.
    fn waits_for_itself(&self, backend: i32) -> bool {
        let entries = self.entries.lock();
        let (mut open, mut seen) = (blockers_among(&entries, backend), HashSet::new());
        while let Some(other) = open.pop() {
            if other == backend {
                return true;
            }
            if seen.insert(other) {
                open.extend(blockers_among(&entries, other));
            }
        }
        false
    }

    /// Gives a session's lock back once; false where it does not hold it.
    fn release(&self, backend: i32, key: &AdvisoryKey, mode: AdvisoryMode) -> bool {
        self.change(key, |entry| entry.let_go((backend, mode, Lifetime::Session)))
    }

    /// Gives back what a session holds, of one lifetime or of both.
    pub(super) fn release_all(&self, backend: i32, lifetime: Option<Lifetime>) {
        self.entries.lock().retain(|_, entry| {
            entry.holders.retain(|(holder, _, held), _| {
                *holder != backend || lifetime.is_some_and(|lifetime| lifetime != *held)
            });
            entry.grant();
            !entry.is_idle()
        });
    }

    pub(super) fn list(&self) -> Vec<ListedLock> {
        let mut listed = Vec::new();
        for (key, entry) in self.entries.lock().iter() {
            let one = |backend, mode, granted| ListedLock { key: key.clone(), backend, mode, granted };
            let mut held: Vec<_> = entry.holders.keys().map(|(backend, mode, _)| (*backend, *mode)).collect();
            held.dedup();
            listed.extend(held.into_iter().map(|(backend, mode)| one(backend, mode, true)));
            listed.extend(entry.waiters.iter().map(|waiter| one(waiter.backend, waiter.mode, false)));
        }
        listed.sort_by(|left, right| (&left.key, left.backend).cmp(&(&right.key, right.backend)));
        listed
    }
}

impl Backend {
    /// Takes an advisory lock; where somebody holds it, the statement has to wait for it.
    pub fn lock(&self, lock: AdvisoryLock) {
        if !self.try_lock(&lock) {
            self.owe(Owed::Lock(lock));
        }
    }

    /// Takes an advisory lock if nobody is in the way.
    #[must_use]
    pub fn try_lock(&self, lock: &AdvisoryLock) -> bool {
        if lock.lifetime == Lifetime::Transaction {
            self.locks_of_transaction.store(true, Ordering::Relaxed);
        }
        self.others.advisory.try_acquire(self.number, lock)
    }

    /// Gives one back; false, with a warning, where the session does not hold it.
    #[must_use]
    pub fn unlock(&self, key: &AdvisoryKey, mode: AdvisoryMode) -> bool {
        let was_held = self.others.advisory.release(self.number, key, mode);
        if !was_held {
            let name = if mode == AdvisoryMode::Shared { "ShareLock" } else { "ExclusiveLock" };
            self.warn(SqlState::WARNING, format!("you don't own a lock of type {name}"));
        }
        was_held
    }

    /// Gives all back that the session took.
    pub fn unlock_all(&self) {
        self.others.advisory.release_all(self.number, Some(Lifetime::Session));
    }
}
