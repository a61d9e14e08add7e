//! Which snapshots are read at this moment, so that no history is cut that one of them needs.
//!
//! A snapshot is noted while its shard is locked and the horizon looked at ([`OpenSnapshots::open`]); a cut moves horizons
//! while all shards are locked ([`OpenSnapshots::freeze`]). So a snapshot is either seen by the cut, or sees it.

use helios_bufferpool::Scn;
use parking_lot::{Mutex, MutexGuard};

use crate::error::Result;
use crate::ids::BranchId;

/// Transactions of several threads mostly find different shards.
const SHARDS: usize = 16;

/// A moment that somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSnapshot {
    /// The branch.
    pub branch: BranchId,
    /// The commit up to which it sees.
    pub scn: Scn,
    /// Who reads: [`crate::Transaction::lock_owner`].
    pub owner: u64,
}

/// The snapshots that are open.
#[derive(Default)]
pub(crate) struct OpenSnapshots {
    shards: [Shard; SHARDS],
}

#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<Slots>);

#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Option<OpenSnapshot>>,
    free: Vec<u32>,
}

/// Where a snapshot is noted; to be given back with [`OpenSnapshots::close`].
#[derive(Debug)]
#[must_use]
pub(crate) struct SnapshotSlot {
    shard: u32,
    index: u32,
}

impl OpenSnapshots {
    /// Notes the snapshot that `take` chooses; nothing is cut between its look at the horizon and the note.
    ///
    /// # Errors
    /// Those of `take`.
    pub(crate) fn open(
        &self,
        owner: u64,
        take: impl FnOnce() -> Result<OpenSnapshot>,
    ) -> Result<(SnapshotSlot, Scn)> {
        let shard = owner as usize % SHARDS;
        let mut slots = self.shards[shard].0.lock();
        let open = take()?;
        let index = match slots.free.pop() {
            Some(index) => index,
            None => {
                slots.slots.push(None);
                slots.slots.len() as u32 - 1
            }
        };
        slots.slots[index as usize] = Some(open);
        Ok((SnapshotSlot { shard: shard as u32, index }, open.scn))
    }

    /// Says for whom a snapshot is read.
    pub(crate) fn set_owner(&self, slot: &SnapshotSlot, owner: u64) {
        let mut slots = self.shards[slot.shard as usize].0.lock();
        if let Some(open) = &mut slots.slots[slot.index as usize] {
            open.owner = owner;
        }
    }

    /// Forgets a snapshot.
    pub(crate) fn close(&self, slot: SnapshotSlot) {
        let mut slots = self.shards[slot.shard as usize].0.lock();
        slots.slots[slot.index as usize] = None;
        slots.free.push(slot.index);
    }

    /// Keeps snapshots from being opened, moved and closed for as long as the returned value lives.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        Frozen(self.shards.iter().map(|shard| shard.0.lock()).collect())
    }
}

/// All snapshots, at one moment.
pub(crate) struct Frozen<'a>(Vec<MutexGuard<'a, Slots>>);

impl Frozen<'_> {
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = OpenSnapshot> {
        self.0.iter().flat_map(|slots| slots.slots.iter().copied().flatten())
    }
}
