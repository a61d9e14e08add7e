//! Pages as a reader sees them: those of one branch as of one SCN.

use std::sync::atomic::Ordering;

use helios_btree::{PageRebuild, PageRef, ReadPages};
use helios_bufferpool::{Guard, PageId, PageKey, Scn, UndoRing, page, pin, prefetch};

use crate::engine::Engine;
use crate::error::{Fault, FaultReason};
use crate::ids::BranchId;

/// A reader's view. Pins the epoch while it lives, so it lives only inside one synchronous closure.
pub(crate) struct View<'e> {
    engine: &'e Engine,
    guard: Guard,
    branch: BranchId,
    scn: Scn,
    /// Puts old versions together itself, from memory, instead of asking for them to be published.
    rebuilds: bool,
}

impl<'e> View<'e> {
    /// `scn` = [`Scn::MAX`] reads the newest versions.
    #[inline]
    pub(crate) fn new(engine: &'e Engine, branch: BranchId, scn: Scn) -> View<'e> {
        View { engine, guard: pin(), branch, scn, rebuilds: false }
    }

    /// A view for pages that are read once, by somebody who holds the undo records of all commits after `scn` in
    /// memory: a checkpoint.
    pub(crate) fn rebuilding(engine: &'e Engine, branch: BranchId, scn: Scn) -> View<'e> {
        View { rebuilds: true, ..View::new(engine, branch, scn) }
    }

    /// The newest version of a page, whatever the view's SCN.
    pub(crate) fn newest(&self, page: PageId) -> Result<PageRef<'_>, Fault> {
        let key = PageKey::new(self.branch, page);
        match self.engine.pool.find_newest(&self.guard, key) {
            Some(frame) => Ok(PageRef::Frame(frame.bytes())),
            None => Err(Fault(FaultReason::Page(key))),
        }
    }

    #[cold]
    fn old_version(&self, key: PageKey) -> Result<PageRef<'_>, Fault> {
        let Some(newest) = self.engine.pool.find_newest(&self.guard, key) else {
            return Err(Fault(FaultReason::Page(key)));
        };
        let newest = newest.bytes();
        if page::scn(newest) <= self.scn {
            // It was published between the two look-ups.
            return Ok(PageRef::Frame(newest));
        }
        if !self.rebuilds {
            return Err(Fault(FaultReason::History(key, self.scn)));
        }
        self.engine.counters.rebuilds.fetch_add(1, Ordering::Relaxed);
        // All records of commits after `scn` are in the ring: where the chain ends, what it led back over had none.
        let mut back = StepsBack::new(newest);
        let damaged = |what| Fault(FaultReason::Damaged(key, what));
        back.in_memory(&self.engine.ring, &self.guard, self.scn).map_err(damaged)?;
        let mut built = vec![0; newest.len()].into_boxed_slice();
        back.rebuild.finish(&mut built, self.scn).map_err(damaged)?;
        Ok(PageRef::Built(built))
    }
}

/// A page on its way back in time.
///
/// Records are applied newest first, as long as their commit is later than the wanted SCN. Rows inserted later need
/// no record: their own SCN says so. It is done when an older record is met, or the last one applied goes back far
/// enough, or there never were others.
pub(crate) struct StepsBack {
    pub(crate) rebuild: PageRebuild,
    position: u64,
    /// The commit that the oldest record applied so far takes back.
    pub(crate) undone: Option<Scn>,
    /// The version that this record goes back to.
    restores: Option<Scn>,
    /// The commit of the first record that was not applied.
    older: Option<Scn>,
    complete: bool,
    page_bytes: usize,
}

impl StepsBack {
    pub(crate) fn new(page: &[u8]) -> StepsBack {
        // The undo chain of a page that was made in memory reaches back to its making.
        StepsBack {
            rebuild: PageRebuild::new(page),
            position: page::undo_position(page),
            undone: None,
            restores: None,
            older: None,
            complete: !page::is_from_device(page),
            page_bytes: page.len(),
        }
    }

    /// Applies what the undo ring has.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub(crate) fn in_memory(&mut self, ring: &UndoRing, guard: &Guard, scn: Scn) -> Result<(), &'static str> {
        self.in_memory_to(ring, guard, scn, 0)
    }

    /// The same; but where that has taken more than a page's worth of records, those before `persisted`, which are in the data
    /// file too, are left to it: it leads anywhere at the cost of a page's worth.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub(crate) fn in_memory_to(
        &mut self,
        ring: &UndoRing,
        guard: &Guard,
        scn: Scn,
        persisted: u64,
    ) -> Result<(), &'static str> {
        let mut position = self.position;
        let mut bytes = 0;
        while position != 0 {
            let Some(record) = ring.get(guard, position) else {
                self.complete = false;
                return Ok(());
            };
            if record.scn <= scn {
                self.older = Some(record.scn);
                self.complete = true;
                return Ok(());
            }
            // The file goes on where a commit ends.
            let is_next_commit = self.undone.is_some_and(|undone| record.scn < undone);
            if bytes > self.page_bytes && position < persisted && is_next_commit {
                self.complete = false;
                return Ok(());
            }
            bytes += record.operations.len();
            self.apply(record.scn, record.restores, record.operations)?;
            position = record.previous;
        }
        Ok(())
    }

    /// Applies one record.
    ///
    /// # Errors
    /// What is wrong with it, or with the page.
    pub(crate) fn apply(&mut self, scn: Scn, restores: Scn, operations: &[u8]) -> Result<(), &'static str> {
        self.rebuild.apply_all(scn, operations)?;
        self.undone = Some(scn);
        self.restores = Some(restores);
        Ok(())
    }

    /// Says that a record of an earlier commit is not to be applied.
    pub(crate) fn stop_at(&mut self, older: Scn) {
        self.older = Some(older);
    }

    /// Whether all records were applied that were met.
    pub(crate) fn is_at_end(&self) -> bool {
        self.older.is_none()
    }

    /// The last commit up to `scn` that changed the page. Rows that came are told by their own SCN, all else by records.
    pub(crate) fn version(&self, scn: Scn) -> Option<Scn> {
        match self.restores {
            Some(restores) if restores <= scn => Some(restores),
            _ => self.older.into_iter().chain(self.rebuild.newest_change(scn)).max(),
        }
    }

    /// Whether nothing older is needed for `scn`.
    pub(crate) fn reaches(&self, scn: Scn) -> bool {
        self.complete || self.restores.is_some_and(|restores| restores <= scn)
    }
}

impl ReadPages for View<'_> {
    type Fault = Fault;

    #[inline]
    fn page(&self, page: PageId) -> Result<PageRef<'_>, Fault> {
        let key = PageKey::new(self.branch, page);
        if self.scn == Scn::MAX {
            return self.newest(page);
        }
        match self.engine.pool.find(&self.guard, key, self.scn) {
            Some(frame) => Ok(PageRef::Frame(frame.bytes())),
            None => self.old_version(key),
        }
    }

    #[cold]
    fn damaged(&self, page: PageId, what: &'static str) -> Fault {
        Fault(FaultReason::Damaged(PageKey::new(self.branch, page), what))
    }

    #[inline]
    fn expect(&self, page: PageId) {
        let key = PageKey::new(self.branch, page);
        if let Some(frame) = self.engine.pool.peek(&self.guard, key, Scn::MAX) {
            let bytes = frame.bytes();
            EXPECTED_OFFSETS.iter().for_each(|offset| prefetch(bytes, *offset));
        }
    }
}

/// What is read first of a leaf: its head and its first slots.
const EXPECTED_OFFSETS: [usize; 4] = [0, 128, 256, 384];

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use helios_runtime::device::MemoryDevice;
    use helios_runtime::{ManualClock, SeededEntropy};

    use super::*;
    use crate::{Isolation, Store, StoreOptions, Surroundings, TreeId};

    fn open(device: &std::sync::Arc<MemoryDevice>) -> Store {
        let surroundings = Surroundings {
            device: device.clone(),
            clock: std::sync::Arc::new(ManualClock::new(1_000_000)),
            entropy: std::sync::Arc::new(SeededEntropy::new(1)),
        };
        block_on(Store::open(StoreOptions::default(), surroundings)).expect("a store in memory")
    }

    fn insert(store: &Store, tree: TreeId, key: &[u8]) -> Scn {
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.put(tree, key, b"value").unwrap();
        block_on(transaction.commit()).unwrap().scn.expect("it wrote")
    }

    /// A page whose checksum is right, and which is none all the same.
    #[test]
    fn pages_that_are_none_are_told() {
        let device = std::sync::Arc::new(MemoryDevice::new());
        let store = open(&device);
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        let tree = transaction.create_tree();
        transaction.put(tree, b"a", b"value").unwrap();
        block_on(transaction.commit()).unwrap();
        block_on(store.close()).unwrap();
        drop(store);
        let store = open(&device);
        let (file, key) = (&store.engine().file, PageKey::new(BranchId::MAIN, tree.root()));
        let mut bytes = vec![0; store.engine().pool.page_size()];
        assert!(block_on(file.read(key, &mut bytes)).unwrap());
        bytes[32] = 200;
        let image = (key, page::scn(&bytes), file.codec().encode_page(key, &bytes));
        block_on(file.write(vec![image], |_| true)).unwrap();
        let mut reader = store.begin(BranchId::MAIN, Isolation::Snapshot);
        let error = block_on(reader.get(tree, b"a")).unwrap_err();
        let expected =
            "data corruption: page 5 of branch 2 is damaged: its slots are not where its fences end";
        assert_eq!(error.to_string(), expected);
        reader = store.begin(BranchId::MAIN, Isolation::Snapshot);
        assert!(block_on(reader.get(TreeId::CATALOG, b"a")).is_ok());
    }

    /// Rows inserted into a page that came from the device leave no undo records, and a checkpoint still finds the page
    /// as it was before the later ones.
    #[test]
    fn pages_with_later_rows_and_no_records_are_rebuilt() {
        let device = std::sync::Arc::new(MemoryDevice::new());
        let store = open(&device);
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        let tree = transaction.create_tree();
        transaction.put(tree, b"a", b"value").unwrap();
        block_on(transaction.commit()).unwrap();
        block_on(store.close()).unwrap();
        drop(store);
        let store = open(&device);
        let boundary = insert(&store, tree, b"b");
        insert(&store, tree, b"c");
        let view = View::rebuilding(store.engine(), BranchId::MAIN, boundary);
        let keys = |view: &View<'_>| {
            [b"a", b"b", b"c"]
                .map(|key| helios_btree::get(view, tree.root(), key, |cell| cell.is_some()).unwrap())
        };
        assert_eq!(keys(&view), [true, true, false]);
    }
}
