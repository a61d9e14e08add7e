//! Transactions over a map in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use crate::{
    BranchId, Error, Fault, Isolation, LockMode, Result, Scn, TableLockMode, TreeId, WaitPolicy, Xid,
};

type Versions = Vec<(Scn, Option<Arc<[u8]>>)>;

#[derive(Default)]
struct State {
    rows: BTreeMap<(u64, u64, Vec<u8>), Versions>,
    visible: u64,
    locks: HashMap<(u64, Vec<u8>), (u64, usize)>,
    waiters: Vec<Waker>,
    catalog_scn: HashMap<u64, u64>,
}

struct Shared {
    state: Mutex<State>,
    next_tree: AtomicU64,
    next_xid: AtomicU64,
    next_row: Mutex<HashMap<(u64, u64), u64>>,
}

/// An open database folder, or a database in memory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// A store with nothing in it, in memory.
    pub fn new_in_memory() -> Store {
        Store {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                next_tree: AtomicU64::new(1000),
                next_xid: AtomicU64::new(1000),
                next_row: Mutex::default(),
            }),
        }
    }

    /// Starts a transaction on `branch`. Its snapshot is taken at the first read or statement.
    pub fn begin(&self, branch: BranchId, isolation: Isolation) -> Transaction {
        Transaction {
            store: self.clone(),
            branch,
            isolation,
            snapshot: None,
            xid: None,
            statement: 1,
            writes: BTreeMap::new(),
            undo: Vec::new(),
            locks: Vec::new(),
            scanned: AtomicBool::new(false),
            catalog_changed: false,
        }
    }

    /// Reads the page that a `try_*` call missed; the caller then tries again.
    pub async fn resolve(&self, fault: Fault) -> Result<()> {
        match fault.0 {
            crate::error::FaultReason::Page(_) => Ok(()),
        }
    }

    /// The newest SCN that a new snapshot sees.
    pub fn visible_scn(&self) -> Scn {
        Scn(self.shared.state.lock().visible)
    }

    /// The SCN of the newest commit on `branch` that called [`Transaction::mark_catalog_change`].
    /// Two reads that give the same answer bracket a time without DDL.
    pub fn catalog_scn(&self, branch: BranchId) -> Scn {
        Scn(self.shared.state.lock().catalog_scn.get(&branch.0).copied().unwrap_or(0))
    }

    /// The next hidden row number of `tree` on `branch`; starts after the largest key stored
    /// (keys of such trees are 8 bytes, big-endian). Never given twice, also not after a rollback.
    ///
    /// # Errors
    /// As reading the tree's last key.
    pub async fn next_row_id(&self, branch: BranchId, tree: TreeId) -> Result<u64> {
        let mut next = self.shared.next_row.lock();
        let counter = next.entry((branch.0, tree.0)).or_insert(0);
        *counter += 1;
        Ok(*counter)
    }

    /// Writes everything to the data file and shortens the log.
    pub async fn checkpoint(&self) -> Result<()> {
        Ok(())
    }

    /// Checkpoints and marks the folder as cleanly closed.
    pub async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// What a transaction reads: one branch as of one SCN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The branch.
    pub branch: BranchId,
    /// Commits up to and including this one are seen.
    pub scn: Scn,
}

/// When and as what a transaction committed.
#[derive(Clone, Copy, Debug)]
pub struct CommitInfo {
    /// Its place in the commit order; `None` when it wrote nothing.
    pub scn: Option<Scn>,
}

/// What [`Transaction::lock_row`] found once it held the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The newest committed version is what this transaction's snapshot sees, or its own write.
    Unchanged,
    /// Somebody committed a change or a delete of it since the snapshot.
    Changed,
}

/// A place in a transaction to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavepointId(usize);

/// Bounds of a scan, over encoded keys.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// Where it begins in key order.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends in key order.
    pub upper: Bound<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> KeyRange {
        KeyRange { lower: Bound::Unbounded, upper: Bound::Unbounded }
    }

    /// All keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        let mut end = prefix.to_vec();
        while let Some(last) = end.last_mut() {
            if *last < 0xFF {
                *last += 1;
                return KeyRange { lower: Bound::Included(prefix.to_vec()), upper: Bound::Excluded(end) };
            }
            end.pop();
        }
        KeyRange { lower: Bound::Included(prefix.to_vec()), upper: Bound::Unbounded }
    }
}

/// Gets each visited row, as (key, value); stops the walk by breaking.
pub type RowVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send + 'a;

/// How far a call of [`Scan::try_next`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// There may be more: call again.
    More,
    /// The range is exhausted.
    Done,
}

/// A walk over a range of one tree, in key order or backwards. It holds no page between calls, so it may
/// be kept across awaits and commits; it keeps seeing the snapshot and the statement it began with.
pub struct Scan {
    tree: TreeId,
    range: KeyRange,
    reverse: bool,
    done: bool,
    statement: u32,
    snapshot: Snapshot,
}

impl Scan {
    /// Visits the next rows — those of about one page — as `visit(key, value)`, until `visit` breaks (the
    /// row it broke on counts as visited). Rows are seen exactly once each.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; nothing was visited in that call then.
    pub fn try_next(
        &mut self,
        transaction: &Transaction,
        visit: &mut RowVisitor<'_>,
    ) -> std::result::Result<ScanStep, Fault> {
        if self.done {
            return Ok(ScanStep::Done);
        }
        let rows = transaction.collect(self, 64);
        if rows.len() < 64 {
            self.done = true;
        }
        for (key, value) in rows {
            let flow = visit(&key, &value);
            if self.reverse {
                self.range.upper = Bound::Excluded(key);
            } else {
                self.range.lower = Bound::Excluded(key);
            }
            if flow.is_break() {
                self.done = false;
                return Ok(ScanStep::More);
            }
        }
        Ok(if self.done { ScanStep::Done } else { ScanStep::More })
    }

    /// [`Scan::try_next`], waiting for pages.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn next(&mut self, transaction: &Transaction, visit: &mut RowVisitor<'_>) -> Result<ScanStep> {
        loop {
            match self.try_next(transaction, visit) {
                Ok(step) => return Ok(step),
                Err(fault) => transaction.store.resolve(fault).await?,
            }
        }
    }
}

/// One transaction. Dropping it rolls it back.
///
/// Reads see the snapshot, overlaid with this transaction's own writes of *earlier statements*
/// ([`Transaction::begin_statement`]), so that a statement never sees its own effects.
pub struct Transaction {
    store: Store,
    branch: BranchId,
    isolation: Isolation,
    snapshot: Option<Scn>,
    xid: Option<Xid>,
    statement: u32,
    #[allow(clippy::type_complexity)]
    writes: BTreeMap<(u64, Vec<u8>), Vec<(u32, Option<Arc<[u8]>>)>>,
    undo: Vec<(u64, Vec<u8>)>,
    locks: Vec<(u64, Vec<u8>)>,
    scanned: AtomicBool,
    catalog_changed: bool,
}

impl Transaction {
    /// The store it runs in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its branch.
    pub fn branch(&self) -> BranchId {
        self.branch
    }

    /// Its isolation level.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Begins the next statement: later reads see what earlier statements wrote. READ COMMITTED takes a new
    /// snapshot, snapshot isolation takes one only the first time.
    pub fn begin_statement(&mut self) {
        self.statement += 1;
        if self.snapshot.is_none() || self.isolation == Isolation::ReadCommitted {
            self.snapshot = Some(self.store.visible_scn());
        }
    }

    /// What it reads; [`Transaction::begin_statement`] must have been called.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { branch: self.branch, scn: self.snapshot.unwrap_or(self.store.visible_scn()) }
    }

    /// Its number, given out at the first call or write.
    pub fn xid(&mut self) -> Xid {
        *self.xid.get_or_insert_with(|| Xid(self.store.shared.next_xid.fetch_add(1, Ordering::Relaxed)))
    }

    /// Whether it has written anything.
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Reads one row of the snapshot (own writes of earlier statements included) inside `read`, which gets
    /// `None` where there is none.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; `read` was not called then.
    pub fn try_get<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        let snapshot = self.snapshot();
        let value = self.lookup(tree, key, snapshot, self.statement);
        Ok(read(value.as_deref()))
    }

    /// [`Transaction::try_get`], waiting for pages.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn get(&mut self, tree: TreeId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        loop {
            match self.try_get(tree, key, |value| value.map(<[u8]>::to_vec)) {
                Ok(value) => return Ok(value),
                Err(fault) => self.store.resolve(fault).await?,
            }
        }
    }

    /// Reads the newest version of a row: this transaction's own write, also of the running statement, or
    /// else the newest committed one, whatever the snapshot. For unique and foreign-key checks, under a lock.
    ///
    /// # Errors
    /// As [`Transaction::try_get`].
    pub fn try_get_latest<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        let latest = Snapshot { branch: self.branch, scn: Scn(u64::MAX) };
        let value = self.lookup(tree, key, latest, u32::MAX);
        Ok(read(value.as_deref()))
    }

    /// [`Transaction::try_get_latest`], waiting for pages.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn get_latest(&mut self, tree: TreeId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        loop {
            match self.try_get_latest(tree, key, |value| value.map(<[u8]>::to_vec)) {
                Ok(value) => return Ok(value),
                Err(fault) => self.store.resolve(fault).await?,
            }
        }
    }

    /// A scan of the snapshot, own writes of earlier statements included.
    pub fn scan(&self, tree: TreeId, range: KeyRange, reverse: bool) -> Scan {
        self.scanned.store(true, Ordering::Relaxed);
        Scan { tree, range, reverse, done: false, statement: self.statement, snapshot: self.snapshot() }
    }

    /// A scan of the newest committed versions and all own writes: for checks and index builds under a
    /// table lock.
    pub fn scan_latest(&self, tree: TreeId, range: KeyRange, reverse: bool) -> Scan {
        let snapshot = Snapshot { branch: self.branch, scn: Scn(u64::MAX) };
        Scan { tree, range, reverse, done: false, statement: u32::MAX, snapshot }
    }

    /// Writes a row; visible to this transaction's later statements, and to others at commit.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] when the write set cannot grow.
    pub fn put(&mut self, tree: TreeId, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(tree, key, Some(value.into()));
        Ok(())
    }

    /// Removes a row (no error where there is none).
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, tree: TreeId, key: &[u8]) -> Result<()> {
        self.write(tree, key, None);
        Ok(())
    }

    /// Locks a row or a unique key until the transaction ends, and tells whether it changed since the
    /// snapshot. The key need not exist.
    ///
    /// # Errors
    /// [`Error::Deadlock`], [`Error::LockNotAvailable`], or those of reading pages.
    pub async fn lock_row(
        &mut self,
        tree: TreeId,
        key: &[u8],
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<RowState> {
        let _ = mode;
        self.acquire(tree.0, key, wait).await?;
        let snapshot = self.snapshot();
        if self.writes.contains_key(&(tree.0, key.to_vec())) {
            return Ok(RowState::Unchanged);
        }
        let state = self.store.shared.state.lock();
        let newest = state
            .rows
            .get(&(self.branch.0, tree.0, key.to_vec()))
            .and_then(|versions| versions.last())
            .map_or(Scn(0), |version| version.0);
        Ok(if newest > snapshot.scn { RowState::Changed } else { RowState::Unchanged })
    }

    /// Locks a table (or any object, by its catalog id) until the transaction ends.
    ///
    /// # Errors
    /// [`Error::Deadlock`] or [`Error::LockNotAvailable`].
    pub async fn lock_table(&mut self, object: u64, mode: TableLockMode, wait: WaitPolicy) -> Result<()> {
        if mode < TableLockMode::ShareUpdateExclusive {
            return Ok(());
        }
        self.acquire(u64::MAX, &object.to_be_bytes(), wait).await
    }

    /// A new, empty tree, as part of this transaction.
    pub fn create_tree(&mut self) -> TreeId {
        TreeId(self.store.shared.next_tree.fetch_add(1, Ordering::Relaxed))
    }

    /// Removes a whole tree at commit; snapshots before that still read it.
    pub fn drop_tree(&mut self, tree: TreeId) {
        let _ = tree;
    }

    /// Says that this transaction changes the catalog: at commit [`Store::catalog_scn`] moves.
    pub fn mark_catalog_change(&mut self) {
        self.catalog_changed = true;
    }

    /// Remembers this place.
    pub fn savepoint(&mut self) -> SavepointId {
        SavepointId(self.undo.len())
    }

    /// Undoes all writes since `savepoint`; locks are kept.
    pub fn rollback_to(&mut self, savepoint: SavepointId) {
        while self.undo.len() > savepoint.0 {
            if let Some(key) = self.undo.pop()
                && let Some(versions) = self.writes.get_mut(&key)
            {
                versions.pop();
                if versions.is_empty() {
                    self.writes.remove(&key);
                }
            }
        }
    }

    /// After [`RowState::Changed`]: the caller has rolled back to the start of the statement; takes a newer
    /// snapshot for running it again, keeping all locks.
    ///
    /// # Errors
    /// [`Error::WriteConflict`] under snapshot isolation, when a row read by an earlier statement has changed
    /// and is not locked by this transaction.
    pub async fn move_snapshot_forward(&mut self) -> Result<()> {
        self.snapshot = Some(self.store.visible_scn());
        Ok(())
    }

    /// Makes the writes durable and visible, all or none, and releases all locks.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Poisoned`]: the transaction is rolled back, or its fate is decided by recovery.
    pub async fn commit(mut self) -> Result<CommitInfo> {
        if self.writes.is_empty() {
            return Ok(CommitInfo { scn: None });
        }
        let writes = std::mem::take(&mut self.writes);
        let mut state = self.store.shared.state.lock();
        state.visible += 1;
        let scn = Scn(state.visible);
        for ((tree, key), mut versions) in writes {
            let last = versions.pop().and_then(|version| version.1);
            state.rows.entry((self.branch.0, tree, key)).or_default().push((scn, last));
        }
        if self.catalog_changed {
            state.catalog_scn.insert(self.branch.0, scn.0);
        }
        Ok(CommitInfo { scn: Some(scn) })
    }

    /// Undoes everything.
    pub fn rollback(self) {}

    fn write(&mut self, tree: TreeId, key: &[u8], value: Option<Arc<[u8]>>) {
        let key = (tree.0, key.to_vec());
        self.writes.entry(key.clone()).or_default().push((self.statement, value));
        self.undo.push(key);
    }

    fn lookup(&self, tree: TreeId, key: &[u8], snapshot: Snapshot, before: u32) -> Option<Arc<[u8]>> {
        if let Some(versions) = self.writes.get(&(tree.0, key.to_vec()))
            && let Some(own) = versions.iter().rev().find(|version| version.0 < before)
        {
            return own.1.clone();
        }
        let state = self.store.shared.state.lock();
        let versions = state.rows.get(&(snapshot.branch.0, tree.0, key.to_vec()))?;
        versions.iter().rev().find(|version| version.0 <= snapshot.scn)?.1.clone()
    }

    fn collect(&self, scan: &Scan, limit: usize) -> Vec<(Vec<u8>, Arc<[u8]>)> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let tree = scan.tree.0;
        let lower = match &scan.range.lower {
            Bound::Included(key) => Bound::Included((scan.snapshot.branch.0, tree, key.clone())),
            Bound::Excluded(key) => Bound::Excluded((scan.snapshot.branch.0, tree, key.clone())),
            Bound::Unbounded => Bound::Included((scan.snapshot.branch.0, tree, Vec::new())),
        };
        let upper = match &scan.range.upper {
            Bound::Included(key) => Bound::Included((scan.snapshot.branch.0, tree, key.clone())),
            Bound::Excluded(key) => Bound::Excluded((scan.snapshot.branch.0, tree, key.clone())),
            Bound::Unbounded => Bound::Excluded((scan.snapshot.branch.0, tree + 1, Vec::new())),
        };
        if matches!((&lower, &upper), (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) if a >= b && !(matches!((&lower, &upper), (Bound::Included(_), Bound::Included(_))) && a == b))
        {
            return Vec::new();
        }
        keys.extend(
            self.store
                .shared
                .state
                .lock()
                .rows
                .range((lower.clone(), upper.clone()))
                .map(|row| row.0.2.clone()),
        );
        let own = |bound: &Bound<(u64, u64, Vec<u8>)>| match bound {
            Bound::Included(key) => Bound::Included((key.1, key.2.clone())),
            Bound::Excluded(key) => Bound::Excluded((key.1, key.2.clone())),
            Bound::Unbounded => Bound::Unbounded,
        };
        keys.extend(self.writes.range((own(&lower), own(&upper))).map(|row| row.0.1.clone()));
        keys.sort();
        keys.dedup();
        if scan.reverse {
            keys.reverse();
        }
        keys.into_iter()
            .filter_map(|key| {
                let value = self.lookup(scan.tree, &key, scan.snapshot, scan.statement)?;
                Some((key, value))
            })
            .take(limit)
            .collect()
    }

    async fn acquire(&mut self, space: u64, key: &[u8], wait: WaitPolicy) -> Result<()> {
        let me = self.xid().0 as usize;
        let name = (space, key.to_vec());
        let store = self.store.clone();
        std::future::poll_fn(|context| {
            let mut state = store.shared.state.lock();
            let entry = state.locks.entry(name.clone()).or_insert((0, me));
            if entry.0 == 0 || entry.1 == me || self.locks.contains(&name) {
                if !self.locks.contains(&name) {
                    *entry = (1, me);
                    self.locks.push(name.clone());
                }
                return Poll::Ready(Ok(()));
            }
            if wait == WaitPolicy::NoWait {
                return Poll::Ready(Err(Error::LockNotAvailable));
            }
            state.waiters.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let mut state = self.store.shared.state.lock();
        for name in self.locks.drain(..) {
            state.locks.remove(&name);
        }
        for waiter in state.waiters.drain(..) {
            waiter.wake();
        }
    }
}
