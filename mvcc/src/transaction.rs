//! One transaction: what it reads, writes and locks, and how it ends.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::FutureExt;
use helios_btree::{RandomLeaf, VALUE_BYTES_MAX, dividing_keys, key_bytes_max, random_leaf};
use helios_bufferpool::Scn;
use helios_runtime::executor::sleep;
use parking_lot::Mutex;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::commit::{self, Request};
use crate::dropped_tree;
use crate::engine::Engine;
use crate::error::{Error, Fault, Result};
use crate::ids::{BranchId, Isolation, LockMode, TableLockMode, TreeId, WaitPolicy, Xid};
use crate::known_gap::KnownGap;
use crate::large_value::PartialValue;
use crate::locks::{LockMark, LockName, LockOwner, LockSpace, Mode};
use crate::open_snapshots::SnapshotSlot;
use crate::scan::{KeyRange, Scan};
use crate::snapshot::{CommitInfo, RowState, Snapshot};
use crate::spill::OwnedChange;
use crate::store::Store;
use crate::view::View;
use crate::write_set::{Change, Mark, WriteSet};

/// Point reads remembered for moving the snapshot forward; a transaction with more cannot.
const READS_MAX: usize = 64;

/// A place in a transaction to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavepointId(Mark);

/// What a statement reads: the snapshot, and the own writes of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPoint {
    statement: u32,
    snapshot: Option<Scn>,
}

struct PointRead {
    tree: TreeId,
    key: Vec<u8>,
    /// Who had written the row; `None` when there was none.
    scn: Option<Scn>,
}

/// One transaction. Dropping it rolls it back.
///
/// Reads see the snapshot, overlaid with this transaction's own writes of *earlier statements*
/// ([`Transaction::begin_statement`]), so that a statement never sees its own effects.
pub struct Transaction {
    store: Store,
    /// What is handed over to be committed.
    request: Request,
    isolation: Isolation,
    snapshot: Option<Scn>,
    /// Where its first snapshot is noted: its scans may go on with it when it has moved on.
    slot: Option<SnapshotSlot>,
    xid: Option<Xid>,
    /// Where its number is noted too, and may have been before it asked for one; 0: not yet.
    shared_xid: Option<Arc<AtomicU64>>,
    /// How long it waits for a lock; without end, if nothing else is said.
    lock_timeout: Option<Duration>,
    statement: u32,
    reads: Vec<PointRead>,
    /// How many of `reads` were made by earlier statements.
    reads_before: usize,
    /// An earlier statement, or this one, read more than `reads` tells.
    scanned_before: bool,
    scanned: AtomicBool,
    /// Where no committed rows are.
    gap: Option<Box<KnownGap>>,
    /// The large value that a read was in the middle of.
    partial: Mutex<PartialValue>,
    /// The same for an own write that is not in memory.
    own_partial: Mutex<PartialValue>,
}

impl Transaction {
    pub(crate) fn new(store: Store, branch: BranchId, isolation: Isolation) -> Transaction {
        let owner = LockOwner(store.engine().next_owner.fetch_add(1, Ordering::Relaxed));
        Transaction {
            store,
            request: Request::new(branch, owner),
            isolation,
            snapshot: None,
            slot: None,
            xid: None,
            shared_xid: None,
            lock_timeout: None,
            statement: 1,
            reads: Vec::new(),
            reads_before: 0,
            scanned_before: false,
            scanned: AtomicBool::new(false),
            gap: None,
            partial: Mutex::default(),
            own_partial: Mutex::default(),
        }
    }

    /// A transaction whose snapshot is given, and stays.
    ///
    /// # Errors
    /// [`Error::TooOld`].
    pub(crate) fn as_of(store: Store, branch: BranchId, scn: Scn) -> Result<Transaction> {
        let mut transaction = Transaction::new(store, branch, Isolation::Snapshot);
        let (slot, scn) =
            transaction.engine().open_past(Snapshot { branch, scn }, transaction.request.owner.0)?;
        transaction.slot = Some(slot);
        transaction.snapshot = Some(scn);
        Ok(transaction)
    }

    /// Says for whom it reads the past, by [`Transaction::lock_owner`]: whose snapshot its own is among
    /// [`Store::open_snapshots`].
    pub fn read_for(&mut self, owner: u64) {
        if let Some(slot) = &self.slot {
            self.store.engine().open_snapshots.set_owner(slot, owner);
        }
    }

    /// The store it runs in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.store.engine()
    }

    pub(crate) fn writes(&self) -> &WriteSet {
        &self.request.writes
    }

    /// Its branch.
    pub fn branch(&self) -> BranchId {
        self.request.branch
    }

    /// Its isolation level.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Begins the next statement: later reads see what earlier statements wrote. READ COMMITTED takes a new
    /// snapshot, snapshot isolation takes one only the first time.
    pub fn begin_statement(&mut self) {
        self.statement += 1;
        self.reads_before = self.reads.len();
        self.scanned_before |= *self.scanned.get_mut();
        if self.snapshot.is_none() || self.isolation == Isolation::ReadCommitted {
            self.take_snapshot();
        }
    }

    /// What the running statement reads.
    pub fn read_point(&self) -> ReadPoint {
        ReadPoint { statement: self.statement, snapshot: self.snapshot }
    }

    /// Goes back to what an earlier statement reads, whose rows are wanted by and by, and from there to what it read
    /// before. Nothing may be written meanwhile.
    pub fn swap_read_point(&mut self, point: ReadPoint) -> ReadPoint {
        let before = self.read_point();
        (self.statement, self.snapshot) = (point.statement, point.snapshot);
        before
    }

    fn take_snapshot(&mut self) {
        if self.slot.is_some() {
            self.snapshot = Some(self.engine().visible_scn());
            return;
        }
        let (slot, scn) = self.engine().open_newest(self.request.branch, self.request.owner.0);
        self.slot = Some(slot);
        self.snapshot = Some(scn);
    }

    /// What it reads. Before the first statement: what is visible right now.
    #[inline]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            branch: self.request.branch,
            scn: self.snapshot.unwrap_or_else(|| self.engine().visible_scn()),
        }
    }

    /// Its number, given out at the first call or write.
    pub fn xid(&mut self) -> Xid {
        let Transaction { xid, shared_xid, store, .. } = self;
        *xid.get_or_insert_with(|| match shared_xid {
            None => store.next_xid(),
            Some(cell) => match cell.load(Ordering::Relaxed) {
                0 => store.next_shared_xid(cell),
                known => Xid(known),
            },
        })
    }

    /// Shares its number with whoever has the cell and may give it one ([`Store::next_xid`]) before it needs one itself.
    pub fn share_xid(&mut self, cell: Arc<AtomicU64>) {
        cell.store(self.xid.map_or(0, |xid| xid.0), Ordering::Relaxed);
        self.shared_xid = Some(cell);
    }

    /// Who it is to the lock table.
    pub fn lock_owner(&self) -> u64 {
        self.request.owner.0
    }

    /// Bounds how long it waits for a lock.
    pub fn set_lock_timeout(&mut self, timeout: Option<Duration>) {
        self.lock_timeout = timeout;
    }

    /// Whether it has written anything.
    pub fn has_writes(&self) -> bool {
        !self.request.writes.is_empty()
    }

    /// Reads one row of the snapshot (own writes of earlier statements included) inside `read`, which gets
    /// `None` where there is none.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; `read` was not called then.
    #[inline]
    pub fn try_get<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        self.try_get_cow(tree, key, |value| read(value.as_deref()))
    }

    /// The commit that wrote a row as this transaction reads it; the inner `None` for one that it has written itself.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing.
    pub fn try_writer(
        &mut self,
        tree: TreeId,
        key: &[u8],
    ) -> std::result::Result<Option<Option<Scn>>, Fault> {
        let scn = self.snapshot().scn;
        let (exists, writer) = self.lookup(tree, key, scn, self.statement, |value| value.is_some())?;
        Ok(exists.then_some(writer))
    }

    #[inline]
    fn try_get_cow<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<Cow<'_, [u8]>>) -> R,
    ) -> std::result::Result<R, Fault> {
        let scn = self.snapshot().scn;
        let (result, row_scn) = self.lookup(tree, key, scn, self.statement, read)?;
        if self.isolation == Isolation::Snapshot && tree != TreeId::CATALOG {
            self.remember_read(tree, key, row_scn);
        }
        Ok(result)
    }

    fn remember_read(&mut self, tree: TreeId, key: &[u8], scn: Option<Scn>) {
        if self.reads.len() < READS_MAX {
            self.reads.push(PointRead { tree, key: key.to_vec(), scn });
        } else {
            *self.scanned.get_mut() = true;
        }
    }

    /// [`Transaction::try_get`], waiting for pages.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn get(&mut self, tree: TreeId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        loop {
            match self.try_get_cow(tree, key, |value| value.map(Cow::into_owned)) {
                Ok(value) => return Ok(value),
                Err(fault) => self.engine().resolve(fault).await?,
            }
        }
    }

    /// The commit that wrote a row of the snapshot; own writes have none yet.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn row_scn(&mut self, tree: TreeId, key: &[u8]) -> Result<Option<Scn>> {
        let scn = self.snapshot().scn;
        loop {
            match self.lookup(tree, key, scn, self.statement, |_| ()) {
                Ok(((), row_scn)) => return Ok(row_scn),
                Err(fault) => self.engine().resolve(fault).await?,
            }
        }
    }

    /// Reads the newest version of a row: this transaction's own write, also of the running statement, or else
    /// the newest committed one, whatever the snapshot. For unique and foreign-key checks, under a lock: what
    /// happened to the row before the lock was granted is visible, because commits are before they let go.
    ///
    /// # Errors
    /// As [`Transaction::try_get`].
    pub fn try_get_latest<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        let newest = self.engine().visible_scn();
        self.lookup(tree, key, newest, u32::MAX, |value| read(value.as_deref())).map(|(result, _)| result)
    }

    /// [`Transaction::try_get_latest`], waiting for pages.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn get_latest(&mut self, tree: TreeId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        loop {
            let newest = self.engine().visible_scn();
            match self.lookup(tree, key, newest, u32::MAX, |value| value.map(Cow::into_owned)) {
                Ok((value, _)) => return Ok(value),
                Err(fault) => self.engine().resolve(fault).await?,
            }
        }
    }

    /// Whether a row has this key in the state that [`Transaction::try_get_latest`] reads.
    ///
    /// # Errors
    /// As [`Transaction::try_get`].
    pub fn try_is_taken(&mut self, tree: TreeId, key: &[u8]) -> std::result::Result<bool, Fault> {
        if self.request.writes.spilled().is_some() {
            return self.try_get_latest(tree, key, |value| value.is_some());
        }
        match self.request.writes.get(tree, key, u32::MAX) {
            Some(change) => return Ok(change != Change::Delete),
            None if self.request.writes.created(tree) => return Ok(false),
            None => {}
        }
        let engine = self.store.engine();
        let newest = engine.visible_scn();
        if self.request.writes.is_empty() {
            // Perhaps it is to be the only one.
            let view = View::new(engine, self.request.branch, newest);
            return helios_btree::get(&view, tree.root(), key, |cell| cell.is_some());
        }
        KnownGap::is_taken(&mut self.gap, engine, self.request.branch, newest, tree, key)
    }

    /// Whether the running statement has written a row already.
    ///
    /// # Errors
    /// Those of reading what moved out of memory.
    pub async fn is_written_by_statement(&self, tree: TreeId, key: &[u8]) -> Result<bool> {
        if let Some(writer) = self.request.writes.writer(tree, key) {
            return Ok(writer == self.statement);
        }
        loop {
            let Some(spilled) = self.request.writes.spilled() else { return Ok(false) };
            let writer = spilled.writer(tree, key, &mut self.own_partial.lock());
            match writer {
                Ok(writer) => return Ok(writer == Some(self.statement)),
                Err(fault) => self.engine().resolve(fault).await?,
            }
        }
    }

    /// Reads own writes before `statement`, else the tree as of `scn`; also gives the stored row's SCN.
    #[inline]
    pub(crate) fn lookup<R>(
        &self,
        tree: TreeId,
        key: &[u8],
        scn: Scn,
        statement: u32,
        read: impl FnOnce(Option<Cow<'_, [u8]>>) -> R,
    ) -> std::result::Result<(R, Option<Scn>), Fault> {
        if !self.request.writes.is_empty() {
            match self.request.writes.get(tree, key, statement) {
                Some(Change::Put(value)) => return Ok((read(Some(Cow::Borrowed(value))), None)),
                Some(Change::Delete) => return Ok((read(None), None)),
                None => {}
            }
            if let Some(spilled) = self.request.writes.spilled() {
                match spilled.get(tree, key, statement, &mut self.own_partial.lock())? {
                    Some(OwnedChange::Put(value)) => return Ok((read(Some(Cow::Owned(value))), None)),
                    Some(OwnedChange::Delete) => return Ok((read(None), None)),
                    None => {}
                }
            }
            if self.request.writes.created(tree) {
                return Ok((read(None), None));
            }
        }
        lookup(self.engine(), self.request.branch, scn, tree, key, &self.partial, read)
    }

    /// A leaf of a tree that `choose` finds by picking one of so many branches at each step, as of the snapshot and
    /// without own writes.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing.
    pub fn try_random_leaf(
        &self,
        tree: TreeId,
        choose: &mut dyn FnMut(usize) -> usize,
    ) -> std::result::Result<RandomLeaf, Fault> {
        let view = View::new(self.engine(), self.request.branch, self.snapshot().scn);
        random_leaf(&view, tree.root(), choose)
    }

    /// Keys that divide a tree into at least so many parts of about the same size, where it is large enough: for scans
    /// that share the work. As of the snapshot, without own writes.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn dividing_keys(&self, tree: TreeId, parts: usize) -> Result<Vec<Vec<u8>>> {
        loop {
            let keys = {
                let view = View::new(self.engine(), self.request.branch, self.snapshot().scn);
                dividing_keys(&view, tree.root(), parts)
            };
            match keys {
                Ok(keys) => return Ok(keys),
                Err(fault) => self.store.resolve(fault).await?,
            }
        }
    }

    /// A scan of the snapshot, own writes of earlier statements included.
    pub fn scan(&self, tree: TreeId, range: KeyRange, reverse: bool) -> Scan {
        if tree != TreeId::CATALOG {
            self.scanned.store(true, Ordering::Relaxed);
        }
        Scan::new(tree, range, reverse, self.statement, self.snapshot().scn)
    }

    /// A scan of the newest committed versions and all own writes: for checks and index builds under a table
    /// lock.
    pub fn scan_latest(&self, tree: TreeId, range: KeyRange, reverse: bool) -> Scan {
        Scan::new(tree, range, reverse, u32::MAX, self.engine().visible_scn())
    }

    /// Writes a row; visible to this transaction's later statements, and to others at commit.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a key or value beyond the format's limits, [`Error::OutOfMemory`] when the
    /// transaction has written more than memory allows.
    pub fn put(&mut self, tree: TreeId, key: &[u8], value: &[u8]) -> Result<()> {
        let engine = self.store.engine();
        let key_max = key_bytes_max(engine.pool.page_size());
        if key.len() > key_max {
            return Err(Error::TooLarge(format!("index row size {} exceeds maximum {key_max}", key.len())));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::TooLarge(format!(
                "row size {} exceeds maximum {VALUE_BYTES_MAX}",
                value.len()
            )));
        }
        self.check_memory()?;
        self.xid();
        self.request.writes.write(tree, key, Change::Put(value), self.statement);
        Ok(())
    }

    /// Removes a row (no error where there is none).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] as [`Transaction::put`].
    pub fn delete(&mut self, tree: TreeId, key: &[u8]) -> Result<()> {
        self.check_memory()?;
        self.xid();
        self.request.writes.write(tree, key, Change::Delete, self.statement);
        Ok(())
    }

    /// Whether [`Transaction::make_room`] has something to do.
    #[inline]
    pub fn needs_room(&self) -> bool {
        let engine = self.store.engine();
        self.request.writes.len_bytes() > engine.options.write_set_bytes && engine.temporary.possible()
    }

    /// To be called between writes: when the transaction has written more than memory should hold, moves it to a
    /// temporary file. Without it the writes stay in memory, up to a limit.
    ///
    /// # Errors
    /// Those of the device; nothing has changed then.
    pub async fn make_room(&mut self) -> Result<()> {
        if self.needs_room() {
            self.request.writes.spill(self.store.engine()).await?;
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<()> {
        let max = self.engine().options.write_set_bytes_max;
        if self.request.writes.len_bytes() > max {
            return Err(Error::OutOfMemory(format!(
                "the transaction has written more than {max} bytes: commit in smaller parts"
            )));
        }
        Ok(())
    }

    /// Locks a row or a unique key until the transaction ends, and tells whether it changed since the snapshot.
    /// The key need not exist. In a tree that this transaction made there is nobody to lock out.
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
        if !self.request.writes.created(tree) {
            self.acquire(self.row_lock_name(tree, key), mode.into(), wait).await?;
        }
        self.state_of(tree, key).await
    }

    /// Whether a row changed since the snapshot, without locking it.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn state_of(&self, tree: TreeId, key: &[u8]) -> Result<RowState> {
        loop {
            match self.row_state(tree, key) {
                Ok(state) => return Ok(state),
                Err(fault) => self.engine().resolve(fault).await?,
            }
        }
    }

    /// [`Transaction::lock_row`] where nobody is in the way and all pages are at hand; `None` else, and then
    /// nothing is known.
    pub fn try_lock_row(&mut self, tree: TreeId, key: &[u8], mode: LockMode) -> Option<RowState> {
        if !self.try_lock_key(tree, key, mode) {
            return None;
        }
        self.row_state(tree, key).ok()
    }

    /// Locks a key where nobody is in the way, as [`Transaction::try_lock_row`] does, for those who read the newest
    /// version anyway and need not know whether it is the snapshot's; false else.
    pub fn try_lock_key(&mut self, tree: TreeId, key: &[u8], mode: LockMode) -> bool {
        self.request.writes.created(tree) || self.try_acquire(self.row_lock_name(tree, key), mode.into())
    }

    fn try_acquire(&mut self, name: LockName, mode: Mode) -> bool {
        self.request.locks.try_acquire(&self.store.engine().locks, self.request.owner, name, mode)
    }

    fn row_lock_name(&self, tree: TreeId, key: &[u8]) -> LockName {
        let space = tree.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.request.branch.0;
        LockName { space: LockSpace(space), key: xxh3_64_with_seed(key, space) }
    }

    async fn acquire(&mut self, name: LockName, mode: Mode, wait: WaitPolicy) -> Result<()> {
        let acquired =
            self.request.locks.acquire(&self.store.engine().locks, self.request.owner, name, mode, wait);
        let Some(timeout) = self.lock_timeout else { return acquired.await };
        let too_late = async {
            sleep(timeout).await;
            Err(Error::LockTimeout)
        };
        acquired.or(too_late).await
    }

    /// Whether the newest committed version of a row is the one that the snapshot sees.
    fn row_state(&self, tree: TreeId, key: &[u8]) -> std::result::Result<RowState, Fault> {
        let snapshot = self.snapshot().scn;
        if self.request.writes.contains(tree, key, &mut self.own_partial.lock())?
            || self.request.writes.created(tree)
        {
            return Ok(RowState::Unchanged);
        }
        let visible = self.engine().visible_scn();
        if visible == snapshot {
            // Nothing at all was committed since.
            return Ok(RowState::Unchanged);
        }
        let newest = View::new(self.engine(), self.request.branch, visible);
        let newest = helios_btree::get(&newest, tree.root(), key, |cell| cell.map(|cell| cell.scn))?;
        match newest {
            Some(scn) if scn > snapshot => Ok(RowState::Changed),
            Some(_) => Ok(RowState::Unchanged),
            None => {
                // Absent now; was it there for the snapshot?
                let seen = View::new(self.engine(), self.request.branch, snapshot);
                let seen = helios_btree::get(&seen, tree.root(), key, |cell| cell.is_some())?;
                Ok(if seen { RowState::Changed } else { RowState::Unchanged })
            }
        }
    }

    /// Locks a table (or any object, by its catalog id) until the transaction ends.
    ///
    /// # Errors
    /// [`Error::Deadlock`] or [`Error::LockNotAvailable`].
    pub async fn lock_table(&mut self, object: u64, mode: TableLockMode, wait: WaitPolicy) -> Result<()> {
        self.acquire(self.table_lock_name(object), mode.into(), wait).await
    }

    /// [`Transaction::lock_table`] where nobody is in the way; false else.
    pub fn try_lock_table(&mut self, object: u64, mode: TableLockMode) -> bool {
        self.try_acquire(self.table_lock_name(object), mode.into())
    }

    fn table_lock_name(&self, object: u64) -> LockName {
        // No tree's space.
        let space = xxh3_64(&self.request.branch.0.to_le_bytes());
        LockName { space: LockSpace(space), key: xxh3_64_with_seed(&object.to_le_bytes(), space) }
    }

    /// A new, empty tree, as part of this transaction. Rows in key order fill its pages completely.
    pub fn create_tree(&mut self) -> TreeId {
        self.create_tree_filled(100)
    }

    /// A new, empty tree, as part of this transaction. Rows in key order fill its pages to so many percent, from 10 to
    /// 100, so that rows between them find room later.
    pub fn create_tree_filled(&mut self, fill_percent: u8) -> TreeId {
        self.xid();
        let tree = TreeId(self.engine().next_tree.fetch_add(2, Ordering::Relaxed));
        self.request.writes.create_tree(tree, fill_percent.clamp(10, 100), self.statement);
        tree
    }

    /// Makes the tree `tree`, whose id is given: for the trees that every branch begins with.
    pub(crate) fn create_given_tree(&mut self, tree: TreeId) {
        self.xid();
        self.request.writes.create_tree(tree, 100, self.statement);
    }

    /// Removes a whole tree at commit; snapshots before that still read it. Its pages are history from then on, and a cut
    /// finds them by the row that this writes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] as [`Transaction::put`].
    pub fn drop_tree(&mut self, tree: TreeId) -> Result<()> {
        self.mark_giving_room();
        self.put(TreeId::CATALOG, &dropped_tree::row_key(tree), &[])
    }

    /// Whether it changes the catalog.
    pub fn changes_catalog(&self) -> bool {
        self.request.catalog_changed
    }

    /// Says that this transaction changes the catalog: at commit [`Store::catalog_scn`] moves.
    pub fn mark_catalog_change(&mut self) {
        self.request.catalog_changed = true;
    }

    /// Says that this transaction is there to make room: a full disk does not refuse it as long as it is small.
    pub fn mark_giving_room(&mut self) {
        self.request.gives_room = true;
    }

    /// Remembers this place.
    pub fn savepoint(&mut self) -> SavepointId {
        SavepointId(self.request.writes.mark())
    }

    /// How far its locks go now, for [`Transaction::release_locks_since`].
    pub fn lock_mark(&self) -> LockMark {
        self.request.locks.mark()
    }

    /// Lets go of the locks that were taken since `mark`; what they protected must have been undone.
    pub fn release_locks_since(&mut self, mark: &LockMark) {
        self.request.locks.release_since(&self.store.engine().locks, self.request.owner, mark);
    }

    /// Undoes all writes since `savepoint`; locks are kept.
    pub fn rollback_to(&mut self, savepoint: SavepointId) {
        self.request.writes.cut(savepoint.0);
    }

    /// Takes back what the running statement has done since `start`, a savepoint from its beginning, so that it can
    /// begin again as if it had not been tried. Locks are kept.
    pub fn begin_again(&mut self, start: SavepointId) {
        self.rollback_to(start);
        self.reads.truncate(self.reads_before);
        *self.scanned.get_mut() = false;
    }

    /// After [`RowState::Changed`]: the caller has rolled back to the start of the statement; takes a newer
    /// snapshot for running it again, keeping all locks.
    ///
    /// # Errors
    /// [`Error::WriteConflict`] under snapshot isolation, when a row read by an earlier statement has changed
    /// and is not locked by this transaction.
    pub async fn move_snapshot_forward(&mut self) -> Result<()> {
        // What the statement itself has read so far is read again.
        self.reads.truncate(self.reads_before);
        *self.scanned.get_mut() = false;
        // Taken before the reads are checked, and as of it: a commit in between is not let in unchecked.
        let next = self.engine().visible_scn();
        if self.isolation == Isolation::Snapshot {
            if self.scanned_before {
                return Err(Error::WriteConflict);
            }
            for index in 0..self.reads.len() {
                loop {
                    match self.read_still_holds(&self.reads[index], next) {
                        Ok(true) => break,
                        Ok(false) => return Err(Error::WriteConflict),
                        Err(fault) => self.engine().resolve(fault).await?,
                    }
                }
            }
        }
        self.snapshot = Some(next);
        Ok(())
    }

    /// Whether a row read before is the same at `scn`. One that this transaction wrote was found unchanged under its
    /// lock.
    fn read_still_holds(&self, read: &PointRead, scn: Scn) -> std::result::Result<bool, Fault> {
        if self.request.writes.contains(read.tree, &read.key, &mut self.own_partial.lock())? {
            return Ok(true);
        }
        let view = View::new(self.engine(), self.request.branch, scn);
        let now = helios_btree::get(&view, read.tree.root(), &read.key, |cell| cell.map(|cell| cell.scn))?;
        Ok(now == read.scn)
    }

    /// Makes the writes durable and visible, all or none, and releases all locks.
    ///
    /// # Errors
    /// Those of the device; [`Error::Poisoned`] when what is durable is unknown.
    pub async fn commit(mut self) -> Result<CommitInfo> {
        if self.request.writes.is_empty() {
            return Ok(CommitInfo { scn: None });
        }
        if self.request.writes.spilled().is_some() {
            self.request.writes.spill(self.store.engine()).await?;
            self.request.writes.shrink();
        }
        self.request.xid = self.xid();
        let nothing = Request::new(self.request.branch, self.request.owner);
        let request = std::mem::replace(&mut self.request, nothing);
        let scn = commit::commit(self.store.engine(), request).await?;
        Ok(CommitInfo { scn: Some(scn) })
    }

    /// [`Transaction::commit`] where nothing has to be waited for: in memory, while nobody else commits. Gives the
    /// transaction back where something has; nothing was done then.
    ///
    /// # Errors
    /// The transaction, as it was.
    pub fn commit_at_once(mut self: Box<Self>) -> std::result::Result<CommitInfo, Box<Transaction>> {
        if self.request.writes.is_empty() {
            return Ok(CommitInfo { scn: None });
        }
        self.request.xid = self.xid();
        match commit::commit_at_once(self.store.engine(), &mut self.request) {
            Some(scn) => Ok(CommitInfo { scn: Some(scn) }),
            None => Err(self),
        }
    }

    /// Undoes everything.
    pub fn rollback(self) {}
}

/// Reads one row of a tree as of `scn`; also gives the SCN that it was stored under.
#[inline]
pub(crate) fn lookup<R>(
    engine: &Engine,
    branch: BranchId,
    scn: Scn,
    tree: TreeId,
    key: &[u8],
    partial: &Mutex<PartialValue>,
    read: impl FnOnce(Option<Cow<'_, [u8]>>) -> R,
) -> std::result::Result<(R, Option<Scn>), Fault> {
    let view = View::new(engine, branch, scn);
    let mut read = Some(read);
    let mut overflow = None;
    let found = helios_btree::get(&view, tree.root(), key, |cell| match cell {
        Some(cell) if cell.overflow => {
            overflow = <[u8; 16]>::try_from(cell.value).ok().map(|pointer| (pointer, cell.scn));
            None
        }
        cell => {
            let read = read.take()?;
            Some((read(cell.map(|cell| Cow::Borrowed(cell.value))), cell.map(|cell| cell.scn)))
        }
    })?;
    if let Some(found) = found {
        return Ok(found);
    }
    let (Some((pointer, row_scn)), Some(read)) = (overflow, read) else {
        unreachable!("a row is inline or names overflow pages")
    };
    let value = partial.lock().read(&view, &pointer)?;
    Ok((read(Some(Cow::Owned(value))), Some(row_scn)))
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.request.locks.release(&self.store.engine().locks, self.request.owner);
        if let Some(slot) = self.slot.take() {
            self.store.engine().open_snapshots.close(slot);
        }
    }
}
