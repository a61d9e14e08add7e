//! Locks of a transaction that is alone in a tree.
//!
//! A load locks many keys of a tree in which, mostly, nobody else locks anything. Then its locks need no places in the
//! table: they are a list, which the first who comes moves to the table.
//!
//! 1. A transaction with many locks asks to be alone in a tree where it locks ([`LockTable::begin_alone`]). The tree is marked
//!    first; then all shards are looked through for locks and waiters of others. So whoever takes a lock of a shard
//!    after that sees the mark, and whoever took it before is seen.
//! 2. Its further locks go to the list ([`Alone::note`]), without looking at anything: nobody holds or waits for any.
//! 3. Who else wants a lock of a marked tree moves the list to the table ([`LockTable::share`]), and goes on as always.
//! 4. At the end the list is dropped, or what it became in the table is released.
//!
//! Invariant: while a transaction is alone in a tree, nobody else holds or waits for a lock there. Order of mutexes:
//! waits, trees, list, shard.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::{LockName, LockOwner, LockSpace, LockTable, Mode};

const ROW_MODES: usize = 4;

type Trees = HashMap<LockSpace, Arc<Alone>>;

/// The trees in which somebody is alone.
#[derive(Default)]
pub(super) struct AloneTrees {
    trees: Mutex<Trees>,
    /// A bit for each tree, which others may share: where it is not set nobody is alone.
    marks: AtomicU64,
}

impl AloneTrees {
    fn mark_of(space: LockSpace) -> u64 {
        1 << (space.0 % 64)
    }

    /// To be asked under the lock of a shard.
    #[inline]
    pub(super) fn may_have(&self, space: LockSpace) -> bool {
        self.marks.load(Ordering::Relaxed) & AloneTrees::mark_of(space) != 0
    }

    fn set_marks(&self, trees: &Trees) {
        let marks = trees.keys().fold(0, |marks, space| marks | AloneTrees::mark_of(*space));
        self.marks.store(marks, Ordering::Relaxed);
    }
}

/// The locks of a transaction that is, or was, alone in a tree.
pub(super) struct Alone {
    owner: LockOwner,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// The keys locked, by mode.
    keys: [Vec<u64>; ROW_MODES],
    /// The table has them.
    is_shared: bool,
}

impl List {
    fn names(&self, space: LockSpace) -> impl Iterator<Item = (LockName, Mode)> {
        let modes = self.keys.iter().zip(0..).map(|(keys, mode)| (keys, Mode(mode)));
        modes.flat_map(move |(keys, mode)| keys.iter().map(move |key| (LockName { space, key: *key }, mode)))
    }
}

/// How many keys were locked in each mode at some moment.
pub(super) type AloneMark = [usize; ROW_MODES];

impl Alone {
    /// How far the list goes now.
    pub(super) fn mark(&self) -> AloneMark {
        self.list.lock().keys.each_ref().map(Vec::len)
    }

    /// Takes back what was locked since `mark`; what of it the table has is returned.
    pub(super) fn cut(&self, space: LockSpace, mark: &AloneMark) -> Vec<(LockName, Mode)> {
        let mut list = self.list.lock();
        let is_shared = list.is_shared;
        let mut taken = Vec::new();
        for ((keys, mode), length) in list.keys.iter_mut().zip(0..).zip(mark) {
            let cut = keys.drain((*length).min(keys.len())..);
            if is_shared {
                taken.extend(cut.map(|key| (LockName { space, key }, Mode(mode))));
            }
        }
        taken
    }

    /// What of it the table has.
    pub(super) fn shared(&self, space: LockSpace) -> Vec<(LockName, Mode)> {
        let list = self.list.lock();
        if list.is_shared { list.names(space).collect() } else { Vec::new() }
    }

    /// Locks a key; false when the transaction is alone no more, and the table is to be asked.
    #[inline]
    pub(super) fn note(&self, key: u64, mode: Mode) -> bool {
        let mut list = self.list.lock();
        if list.is_shared {
            return false;
        }
        list.keys[usize::from(mode.0)].push(key);
        true
    }
}

impl LockTable {
    /// Makes a transaction alone in a tree, if nobody else has or wants a lock there.
    pub(super) fn begin_alone(&self, owner: LockOwner, space: LockSpace) -> Option<Arc<Alone>> {
        let mut trees = self.alone.trees.lock();
        if trees.contains_key(&space) {
            return None;
        }
        let alone = Arc::new(Alone { owner, list: Mutex::default() });
        trees.insert(space, alone.clone());
        self.alone.set_marks(&trees);
        let is_free = self.shards.iter().all(|shard| {
            let mut shard = shard.lock();
            let mut entries = shard.entries().iter().filter(|(name, _)| name.space == space);
            entries.all(|(_, entry)| {
                entry.waiters.is_empty() && entry.holders.iter().all(|(holder, _)| *holder == owner)
            })
        });
        if !is_free {
            trees.remove(&space);
            self.alone.set_marks(&trees);
        }
        is_free.then_some(alone)
    }

    /// Sees to it that no other than `owner` is alone in a tree, as long as the returned value lives.
    #[cold]
    pub(super) fn share(&self, owner: LockOwner, space: LockSpace) -> MutexGuard<'_, Trees> {
        let mut trees = self.alone.trees.lock();
        let others = trees.get(&space).filter(|alone| alone.owner != owner).cloned();
        if let Some(alone) = others {
            let mut list = alone.list.lock();
            for (name, mode) in list.names(space) {
                self.shard(name).lock().entries().entry(name).or_default().hold(alone.owner, mode);
            }
            list.is_shared = true;
            // Only now may others pass by: the table has all of it.
            trees.remove(&space);
            self.alone.set_marks(&trees);
        }
        trees
    }

    /// Gives back all locks of a transaction that was alone.
    pub(super) fn end_alone(&self, space: LockSpace, alone: &Alone) {
        let mut trees = self.alone.trees.lock();
        let list = alone.list.lock();
        if !list.is_shared {
            trees.remove(&space);
            self.alone.set_marks(&trees);
            return;
        }
        drop(trees);
        list.names(space).for_each(|(name, _)| self.release(alone.owner, name));
    }
}
