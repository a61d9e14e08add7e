//! A part of the lock table: the locks whose names fall into it.
//!
//! Mostly a shard has one lock at a time, of one holder, as where a single row is written. Such a lock has a place
//! of its own, which costs no hash table anything; it moves to the table as soon as anybody asks for more.

use std::collections::HashMap;

use super::{Entry, LockName, LockOwner, Mode, NoHash};

type Entries = HashMap<LockName, Entry, std::hash::BuildHasherDefault<NoHash>>;

/// Locks by name. Invariant: where there is an only one, the table is empty.
#[derive(Default)]
pub(super) struct Shard {
    only: Option<(LockName, LockOwner, Mode)>,
    entries: Entries,
}

impl Shard {
    /// Takes a lock, if the shard has no other; false else, and then nothing was done.
    #[inline]
    pub(super) fn take_only(&mut self, name: LockName, owner: LockOwner, mode: Mode) -> bool {
        if self.only.is_some() || !self.entries.is_empty() {
            return false;
        }
        self.only = Some((name, owner, mode));
        true
    }

    /// Gives a lock back as the table would, if the shard has but one; false where it has several.
    #[inline]
    pub(super) fn release_only(
        &mut self,
        name: LockName,
        is_released: impl Fn((LockOwner, Mode)) -> bool,
    ) -> bool {
        let Some((only, owner, mode)) = self.only else { return false };
        if only == name && is_released((owner, mode)) {
            self.only = None;
        }
        true
    }

    /// All locks.
    pub(super) fn entries(&mut self) -> &mut Entries {
        if let Some((name, owner, mode)) = self.only.take() {
            self.entries.entry(name).or_default().hold(owner, mode);
        }
        &mut self.entries
    }
}
