//! Pages as a reader sees them: those of one branch as of one SCN.

use helios_btree::{PageRebuild, PageRef, ReadPages, UndoOps};
use helios_bufferpool::{Guard, PageId, PageKey, Scn, page, pin};

use crate::engine::Engine;
use crate::error::{Fault, FaultReason};
use crate::ids::BranchId;

/// A reader's view. Pins the epoch while it lives, so it lives only inside one synchronous closure.
pub(crate) struct View<'e> {
    engine: &'e Engine,
    guard: Guard,
    branch: BranchId,
    scn: Scn,
}

impl<'e> View<'e> {
    /// `scn` = [`Scn::MAX`] reads the newest versions.
    #[inline]
    pub(crate) fn new(engine: &'e Engine, branch: BranchId, scn: Scn) -> View<'e> {
        View { engine, guard: pin(), branch, scn }
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
        if page::kind(newest) == Some(page::PageKind::Overflow) {
            // Written once, so its only version is younger than the reader.
            return Err(Fault(FaultReason::History(key, self.scn)));
        }
        self.engine.counters.rebuilds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut rebuild = PageRebuild::new(newest);
        let mut position = page::undo_position(newest);
        let mut version = page::scn(newest);
        while version > self.scn {
            let record = self.engine.ring.get(&self.guard, position).filter(|_| position != 0);
            let Some(record) = record else { return Err(Fault(FaultReason::History(key, self.scn))) };
            UndoOps::new(record.operations).for_each(|operation| rebuild.apply(operation));
            version = record.restores;
            position = record.previous;
        }
        let mut built = vec![0; newest.len()].into_boxed_slice();
        rebuild.finish(&mut built, version);
        Ok(PageRef::Built(built))
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
}
