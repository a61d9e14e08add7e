//! Which moments of each branch can still be read.
//!
//! 1. A branch has a *horizon*: every commit from it on can be read. Below it are *points*, single moments that can be read
//!    as well: where other branches left it, and what those asked for who cut. A branch that was never cut has neither.
//! 2. A cut (`cut.rs`) moves horizons first, by a commit, and frees afterwards. So whoever reads below a horizon is told so,
//!    also after a crash, and never finds a part of what was there.
//! 3. A snapshot that is opened is compared with the horizon under the lock under which horizons move (`open_snapshots`).
//!    What is read without such a note is compared after the read ([`Engine::check_kept`]): had it been freed before, the
//!    horizon would have moved before that.
//!
//! A row of the system branch's first tree: key class (1), branch (8, big-endian). Value, big-endian: horizon (8), time of that
//! commit in µs since 1970 (8), number of points (4), these (8 each, ascending).

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ids::{BranchId, Isolation, Scn, TreeId};
use crate::open_snapshots::{OpenSnapshot, SnapshotSlot};
use crate::scan::{KeyRange, ScanStep};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::transaction::Transaction;

/// The class of the rows, in the system branch's first tree.
const CLASS: u8 = 51;

/// What of a branch can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// All commits from here on.
    pub since: Scn,
    /// When that commit was, in µs since 1970; 0 where nothing was cut.
    pub since_micros: u64,
    /// Single moments before it, ascending.
    pub points: Vec<Scn>,
}

impl Kept {
    /// Whether a moment can be read.
    #[must_use]
    pub fn has(&self, scn: Scn) -> bool {
        scn >= self.since || self.points.binary_search(&scn).is_ok()
    }
}

/// What of the branches can be read; those that are not named were never cut.
#[derive(Default)]
pub(crate) struct Retention {
    kept: RwLock<HashMap<BranchId, Kept>>,
    /// Something was cut, ever.
    has_cut: AtomicBool,
}

impl Retention {
    pub(crate) fn of(&self, branch: BranchId) -> Kept {
        self.kept.read().get(&branch).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&self, branch: BranchId, kept: Kept) {
        self.kept.write().insert(branch, kept);
    }

    pub(crate) fn forget(&self, branch: BranchId) {
        self.kept.write().remove(&branch);
    }

    /// Those that were cut.
    pub(crate) fn branches(&self) -> Vec<BranchId> {
        self.kept.read().keys().copied().collect()
    }

    /// Whether the folder is one that older programs must not open.
    pub(crate) fn has_cut(&self) -> bool {
        self.has_cut.load(Ordering::Acquire)
    }

    pub(crate) fn set_cut(&self) {
        self.has_cut.store(true, Ordering::Release);
    }

    pub(crate) fn check(&self, branch: BranchId, scn: Scn) -> Result<()> {
        if !self.has_cut() {
            return Ok(());
        }
        match self.kept.read().get(&branch).filter(|kept| !kept.has(scn)) {
            None => Ok(()),
            Some(kept) => {
                Err(Error::TooOld { asked: Some(scn), oldest: kept.since, oldest_micros: kept.since_micros })
            }
        }
    }
}

impl Engine {
    /// Whether a moment was not cut.
    ///
    /// # Errors
    /// [`Error::TooOld`].
    pub(crate) fn check_kept(&self, branch: BranchId, scn: Scn) -> Result<()> {
        self.retention.check(branch, scn)
    }

    /// Notes that somebody reads what is visible now.
    pub(crate) fn open_newest(&self, branch: BranchId, owner: u64) -> (SnapshotSlot, Scn) {
        let open =
            self.open_snapshots.open(owner, || Ok(OpenSnapshot { branch, scn: self.visible_scn(), owner }));
        open.expect("what is visible was not cut")
    }

    /// Notes that somebody reads a moment.
    ///
    /// # Errors
    /// [`Error::TooOld`].
    pub(crate) fn open_past(&self, snapshot: Snapshot, owner: u64) -> Result<(SnapshotSlot, Scn)> {
        let Snapshot { branch, scn } = snapshot;
        self.open_snapshots.open(owner, || {
            self.check_kept(branch, scn)?;
            Ok(OpenSnapshot { branch, scn, owner })
        })
    }
}

impl Store {
    /// What of a branch can be read. What it has of its ancestors is theirs: ask [`Store::line_of_descent`].
    #[must_use]
    pub fn kept(&self, branch: BranchId) -> Kept {
        self.engine().retention.of(branch)
    }

    /// The snapshots that are read at this moment.
    #[must_use]
    pub fn open_snapshots(&self) -> Vec<OpenSnapshot> {
        self.engine().open_snapshots.freeze().snapshots().collect()
    }

    /// Keeps what can be read now, of the branches in a line of descent, from being cut, until the returned value is
    /// dropped.
    pub(crate) fn hold_line(&self, line: &[Snapshot]) -> Result<Vec<Transaction>> {
        line.iter().map(|step| self.hold(step.branch)).collect()
    }

    fn hold(&self, branch: BranchId) -> Result<Transaction> {
        loop {
            let oldest = self.kept(branch).since.min(self.visible_scn());
            match self.begin_as_of(branch, oldest) {
                // It was cut just now.
                Err(Error::TooOld { .. }) => {}
                result => return result,
            }
        }
    }
}

/// Reads what of the branches can be read.
///
/// # Errors
/// Those of reading pages; [`Error::Corruption`].
pub(crate) async fn load(store: &Store) -> Result<()> {
    let mut reader = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
    reader.begin_statement();
    let mut found: Vec<Option<(BranchId, Kept)>> = Vec::new();
    let mut scan = reader.scan(TreeId::CATALOG, KeyRange::prefix(&[CLASS]), false);
    let mut visit = |key: &[u8], value: &[u8]| {
        found.push(decode(key, value));
        ControlFlow::Continue(())
    };
    while scan.next(&reader, &mut visit).await? != ScanStep::Done {}
    let retention = &store.engine().retention;
    for row in found {
        let damaged = || Error::Corruption("the row of a branch's horizon cannot be read".into());
        let (branch, kept) = row.ok_or_else(damaged)?;
        retention.set(branch, kept);
        retention.set_cut();
    }
    Ok(())
}

pub(crate) fn row_key(branch: BranchId) -> [u8; 9] {
    let mut key = [CLASS; 9];
    key[1..].copy_from_slice(&branch.0.to_be_bytes());
    key
}

pub(crate) fn encode(kept: &Kept) -> Vec<u8> {
    let mut row = Vec::with_capacity(20 + 8 * kept.points.len());
    row.extend_from_slice(&kept.since.0.to_be_bytes());
    row.extend_from_slice(&kept.since_micros.to_be_bytes());
    row.extend_from_slice(&(kept.points.len() as u32).to_be_bytes());
    kept.points.iter().for_each(|point| row.extend_from_slice(&point.0.to_be_bytes()));
    row
}

fn decode(key: &[u8], value: &[u8]) -> Option<(BranchId, Kept)> {
    let branch = BranchId(u64::from_be_bytes(key.get(1..)?.try_into().ok()?));
    let (since, rest) = value.split_first_chunk()?;
    let (since_micros, rest) = rest.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let points = rest.chunks(8).map(|point| Some(Scn(u64::from_be_bytes(point.try_into().ok()?))));
    let points = points.collect::<Option<Vec<Scn>>>()?;
    let is_complete = points.len() == u32::from_be_bytes(*count) as usize && points.is_sorted();
    is_complete.then_some((
        branch,
        Kept {
            since: Scn(u64::from_be_bytes(*since)),
            since_micros: u64::from_be_bytes(*since_micros),
            points,
        },
    ))
}
