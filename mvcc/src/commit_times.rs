//! When each commit was, and which transaction made it: SCN ↔ commit time ↔ transaction id, exactly, for as long as its
//! history is kept.
//!
//! 1. A commit adds its SCN, time and transaction id to a list in memory, [`CommitTimes`], without a lock: commits are
//!    not to be slowed down by it. SCNs and times grow (a commit's time is the clock's, or one microsecond after the
//!    commit before); SCNs are consecutive but for those that large commits leave out.
//! 2. When the list is long, the next group begins with an *index commit*: a commit of the system branch, without a
//!    transaction id, that writes the list into the tree [`TreeId::COMMIT_TIMES`] ([`CommitTimes::request`]).
//! 3. A checkpoint begins with one as well, if there is anything but the last index commit in the list. So behind a
//!    checkpoint the list holds at most one commit, the checkpoint's own, whose time the superblock has; what comes
//!    after it is in the log ([`CommitTimes::replayed`]).
//!
//! Rows of the tree, up to 256 commits each:
//!
//! * key `t`, first SCN (8, big-endian): time of that commit (8), then for each SCN behind it the time since the one
//!   before (varint): a row ends where SCNs are left out;
//! * key `x`, transaction id / 256 (8, big-endian), first SCN of the index commit's list (8, big-endian): for each
//!   transaction the id's last byte (1) and its SCN's distance from that first one (varint), in id order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use helios_btree::put_varint;
use parking_lot::Mutex;

use crate::commit::Request;
use crate::error::{Error, Result};
use crate::ids::{BranchId, Scn, TreeId, Xid};
use crate::locks::LockOwner;
use crate::write_set::{Change, WriteSet};

/// Commits in the list after which it is written.
const LIST_MAX: usize = 4096;
/// Room for those of a group or two more, and a power of two.
const SLOTS: usize = 2 * LIST_MAX;
/// Commits in a row of the tree.
const ROW_MAX: usize = 256;
const TIME: u8 = b't';
const TRANSACTION: u8 = b'x';

/// What a commit of the system itself has for a transaction id.
pub(crate) const INTERNAL: Xid = Xid(0);

/// The commits that the tree does not have yet. Written by one committer at a time, read by anybody.
pub(crate) struct CommitTimes {
    /// A ring: the commit `number` since the store was opened is in slot `number % SLOTS`.
    slots: Box<[Slot]>,
    /// The number of the oldest one listed, and the one after the newest.
    first: AtomicU64,
    next: AtomicU64,
    tree_exists: AtomicBool,
    /// The newest transaction of those that left the list, and its time.
    last_written: Mutex<Option<(Xid, u64)>>,
}

#[derive(Default)]
struct Slot {
    scn: AtomicU64,
    time_micros: AtomicU64,
    xid: AtomicU64,
}

/// A copy of the list, in the order of SCNs.
pub(crate) struct Listed(Vec<Commit>);

/// A commit of the list.
#[derive(Clone, Copy)]
struct Commit {
    scn: Scn,
    time_micros: u64,
    xid: Xid,
}

impl CommitTimes {
    /// The state right behind a checkpoint.
    pub(crate) fn after_checkpoint(scn: Scn, time_micros: u64) -> CommitTimes {
        let times = CommitTimes {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            first: AtomicU64::new(0),
            next: AtomicU64::new(0),
            tree_exists: AtomicBool::new(false),
            last_written: Mutex::default(),
        };
        if scn > Scn(0) {
            times.add(scn, time_micros, INTERNAL);
        }
        times
    }

    /// Whether the tree is there.
    pub(crate) fn tree_exists(&self) -> bool {
        self.tree_exists.load(Ordering::Acquire)
    }

    pub(crate) fn set_tree_exists(&self, exists: bool) {
        self.tree_exists.store(exists, Ordering::Release);
    }

    /// Adds the next commit; tells whether the list is long now.
    ///
    /// # Panics
    /// When the list is full: it was to be written long before.
    #[inline]
    pub(crate) fn add(&self, scn: Scn, time_micros: u64, xid: Xid) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let length = next - self.first.load(Ordering::Relaxed);
        assert!(length < SLOTS as u64, "commit times are written before there are too many");
        let slot = &self.slots[next as usize % SLOTS];
        slot.scn.store(scn.0, Ordering::Relaxed);
        slot.time_micros.store(time_micros, Ordering::Relaxed);
        slot.xid.store(xid.0, Ordering::Relaxed);
        self.next.store(next + 1, Ordering::Release);
        length + 1 >= LIST_MAX as u64
    }

    /// Whether the list is to be written before it grows further.
    pub(crate) fn is_long(&self) -> bool {
        self.next.load(Ordering::Relaxed) - self.first.load(Ordering::Relaxed) >= LIST_MAX as u64
    }

    /// The list as it is now.
    pub(crate) fn listed(&self) -> Listed {
        loop {
            let first = self.first.load(Ordering::Acquire);
            let next = self.next.load(Ordering::Acquire);
            let slot = |number: u64| {
                let slot = &self.slots[number as usize % SLOTS];
                Commit {
                    scn: Scn(slot.scn.load(Ordering::Relaxed)),
                    time_micros: slot.time_micros.load(Ordering::Relaxed),
                    xid: Xid(slot.xid.load(Ordering::Relaxed)),
                }
            };
            let list = (first..next).map(slot).collect();
            fence(Ordering::Acquire);
            // Slots are used again only for those that come after `first` has moved.
            if self.first.load(Ordering::Relaxed) == first {
                return Listed(list);
            }
        }
    }

    /// The first `count` commits are in the tree now, and can be read there.
    pub(crate) fn written(&self, count: usize) {
        self.set_tree_exists(true);
        let Listed(mut leaving) = self.listed();
        leaving.truncate(count);
        if let Some(commit) = leaving.into_iter().rfind(|commit| commit.xid != INTERNAL) {
            *self.last_written.lock() = Some((commit.xid, commit.time_micros));
        }
        self.first.fetch_add(count as u64, Ordering::AcqRel);
    }

    /// A commit came from the log. An index commit has all that were before it.
    pub(crate) fn replayed(&self, scn: Scn, time_micros: u64, xid: Xid) {
        if xid == INTERNAL {
            let next = self.next.load(Ordering::Relaxed);
            self.written((next - self.first.load(Ordering::Relaxed)) as usize);
        }
        self.add(scn, time_micros, xid);
    }

    /// The newest transaction up to a commit, and its time, of those since the store was opened.
    pub(crate) fn last_transaction(&self, until: Scn) -> Option<(Xid, u64)> {
        let before = *self.last_written.lock();
        let Listed(list) = self.listed();
        let listed = list.into_iter().rfind(|commit| commit.scn <= until && commit.xid != INTERNAL);
        listed.map(|commit| (commit.xid, commit.time_micros)).or(before)
    }

    /// An index commit for what is in the list, and how much that is.
    pub(crate) fn request(&self) -> (Request, usize) {
        let listed = self.listed();
        (listed.request(self.tree_exists()), listed.0.len())
    }
}

impl Listed {
    /// Whether a checkpoint would lose something.
    pub(crate) fn needs_checkpoint(&self) -> bool {
        self.0.iter().any(|commit| commit.xid != INTERNAL) || self.0.len() > 1
    }

    fn request(&self, tree_exists: bool) -> Request {
        let mut writes = WriteSet::default();
        if !tree_exists {
            writes.create_tree(TreeId::COMMIT_TIMES, 100, 1);
        }
        let mut write = |key: &[u8], value: &[u8]| {
            writes.write(TreeId::COMMIT_TIMES, key, Change::Put(value), 1);
        };
        let mut value = Vec::new();
        let consecutive = self.0.chunk_by(|one, next| one.scn.0 + 1 == next.scn.0);
        for row in consecutive.flat_map(|commits| commits.chunks(ROW_MAX)) {
            let mut last = row[0].time_micros;
            value.clear();
            value.extend_from_slice(&last.to_le_bytes());
            for commit in &row[1..] {
                put_varint(commit.time_micros - last, &mut value);
                last = commit.time_micros;
            }
            write(&time_key(row[0].scn), &value);
        }
        let first = self.first();
        let transactions = self.0.iter().filter(|commit| commit.xid != INTERNAL);
        let mut transactions: Vec<(Xid, u64)> =
            transactions.map(|commit| (commit.xid, commit.scn.0 - first.0)).collect();
        transactions.sort_unstable();
        for row in transactions.chunk_by(|a, b| a.0.0 / ROW_MAX as u64 == b.0.0 / ROW_MAX as u64) {
            value.clear();
            for (xid, distance) in row {
                value.push(xid.0 as u8);
                put_varint(*distance, &mut value);
            }
            let mut key = transaction_prefix(row[0].0).to_vec();
            key.extend_from_slice(&first.0.to_be_bytes());
            write(&key, &value);
        }
        Request { writes, ..Request::new(BranchId::SYSTEM, LockOwner(0)) }
    }

    /// The oldest commit of the list; all SCNs are before it where there is none.
    pub(crate) fn first(&self) -> Scn {
        self.0.first().map_or(Scn::MAX, |commit| commit.scn)
    }

    /// The newest commit up to an SCN.
    fn newest(&self, until: Scn) -> Option<&Commit> {
        self.0[..self.0.partition_point(|commit| commit.scn <= until)].last()
    }

    /// The time of the newest commit up to an SCN, if it is in the list.
    pub(crate) fn time_of(&self, scn: Scn) -> Option<u64> {
        self.newest(scn).map(|commit| commit.time_micros)
    }

    /// The newest commit at or before a time, if it is in the list.
    pub(crate) fn scn_at(&self, time_micros: u64) -> Option<Scn> {
        let count = self.0.partition_point(|commit| commit.time_micros <= time_micros);
        self.0[..count].last().map(|commit| commit.scn)
    }

    /// The transactions of all listed commits behind one.
    pub(crate) fn xids_since(&self, scn: Scn) -> impl Iterator<Item = Xid> {
        let since = self.0.iter().filter(move |commit| commit.scn > scn && commit.xid != INTERNAL);
        since.map(|commit| commit.xid)
    }

    /// The transaction of a commit, if it is in the list.
    pub(crate) fn xid_of(&self, scn: Scn) -> Option<Xid> {
        self.newest(scn).filter(|commit| commit.scn == scn).map(|commit| commit.xid)
    }

    /// The commit of a transaction, if it is in the list.
    pub(crate) fn scn_of(&self, xid: Xid) -> Option<Scn> {
        self.0.iter().find(|commit| commit.xid == xid).map(|commit| commit.scn)
    }
}

/// The key of the row that begins with `scn`.
pub(crate) fn time_key(scn: Scn) -> [u8; 9] {
    let mut key = [TIME; 9];
    key[1..].copy_from_slice(&scn.0.to_be_bytes());
    key
}

/// What the keys of the rows begin with that may have `xid`.
pub(crate) fn transaction_prefix(xid: Xid) -> [u8; 9] {
    let mut key = [TRANSACTION; 9];
    key[1..].copy_from_slice(&(xid.0 / ROW_MAX as u64).to_be_bytes());
    key
}

/// A row of times: the commits from `first` on.
#[derive(Debug)]
pub(crate) struct TimeRow {
    pub(crate) first: Scn,
    pub(crate) times: Vec<u64>,
}

impl TimeRow {
    /// # Errors
    /// [`Error::Corruption`].
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<TimeRow> {
        let (tag, scn) = key.split_first().ok_or_else(damaged)?;
        let first = Scn(u64::from_be_bytes(scn.try_into().map_err(|_| damaged())?));
        let (time, mut rest) = value.split_first_chunk::<8>().filter(|_| *tag == TIME).ok_or_else(damaged)?;
        let mut times = vec![u64::from_le_bytes(*time)];
        while !rest.is_empty() {
            let last = times[times.len() - 1];
            times.push(last.checked_add(take_varint(&mut rest)?).ok_or_else(damaged)?);
        }
        Ok(TimeRow { first, times })
    }

    /// The last commit of the row.
    pub(crate) fn last(&self) -> Scn {
        Scn(self.first.0 + self.times.len() as u64 - 1)
    }
}

/// The commit of `xid`, if a row of transactions has it.
///
/// # Errors
/// [`Error::Corruption`].
pub(crate) fn find_transaction(key: &[u8], mut value: &[u8], xid: Xid) -> Result<Option<Scn>> {
    let first: [u8; 8] = key.get(9..).and_then(|scn| scn.try_into().ok()).ok_or_else(damaged)?;
    while let Some((low, rest)) = value.split_first() {
        value = rest;
        let distance = take_varint(&mut value)?;
        if *low == xid.0 as u8 {
            return Ok(Some(Scn(u64::from_be_bytes(first) + distance)));
        }
    }
    Ok(None)
}

/// The transactions that a row has, with their commits.
///
/// # Errors
/// [`Error::Corruption`].
pub(crate) fn transactions(key: &[u8], mut value: &[u8]) -> Result<Vec<(Xid, Scn)>> {
    let (high, first) = key.get(1..).and_then(|key| key.split_first_chunk::<8>()).ok_or_else(damaged)?;
    let first: [u8; 8] = first.try_into().map_err(|_| damaged())?;
    let mut found = Vec::new();
    while let Some((low, rest)) = value.split_first() {
        value = rest;
        let distance = take_varint(&mut value)?;
        let xid = u64::from_be_bytes(*high) * ROW_MAX as u64 + u64::from(*low);
        found.push((Xid(xid), Scn(u64::from_be_bytes(first) + distance)));
    }
    Ok(found)
}

/// From which commit on a row of transactions has some.
pub(crate) fn first_commit(key: &[u8]) -> Option<Scn> {
    Some(Scn(u64::from_be_bytes(key.get(9..17)?.try_into().ok()?)))
}

/// What the keys of all rows of transactions begin with.
pub(crate) const TRANSACTIONS: [u8; 1] = [TRANSACTION];

fn damaged() -> Error {
    Error::Corruption("a row of the commit-time index is damaged".into())
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    helios_btree::take_varint(bytes).ok_or_else(damaged)
}
