//! Changing pages for a commit: private copies, undo records, publication.
//!
//! Used by one committer at a time, inside synchronous closures. Between two operations it may stop, publish
//! what it has so far and go on later: nobody sees pages of an SCN that is not visible yet, and whoever
//! meets one goes back through its undo records.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use helios_btree::{ChainWriter, PageRef, ReadPages, RowValue, UndoOp, WritePages, Writer};
use helios_bufferpool::{PageId, PageKey, ParkedFrame, PinnedReader, Scn, SeenPages, page};

use crate::access_method::RowChange;
use crate::engine::{Engine, FRAMES_RESERVED};
use crate::error::{Fault, FaultReason};
use crate::freed_pages::{FreedPages, FreedRun};
use crate::ids::{BranchId, TreeId};
use crate::large_value::PartialValue;
use crate::spill::is_temporary;
use crate::write_set::{Change, Operation};

/// Levels that an operation is prepared for, until a deeper tree is met: one of 1 KB keys, for instance.
const LEVELS: usize = 6;
/// Changes of more pages than this are published part by part, or of a quarter of all frames.
const PAGES_MAX: usize = 256;
/// Pages of a large value made at a time.
const CHAIN_PAGES: usize = 16;
/// Frames kept from commit to commit, and in a pool of how many none are: readers need them there.
const RESERVE_MAX: usize = 32;
const RESERVE_FROM_FRAMES: usize = 512;
/// From this many pages on there is an index.
const INDEX_FROM: usize = 8;

/// Why applying stopped between two operations.
pub(crate) enum Stop {
    /// A page must be read first.
    Fault(Fault),
    /// Frames must be freed first.
    Frames(usize),
    /// Room in the undo ring must be made first.
    Undo,
    /// Enough pages are waiting to be published.
    Full,
}

struct Working {
    key: PageKey,
    frame: ParkedFrame,
    is_new: bool,
}

/// The committer's private copies and buffers, kept from commit to commit.
#[derive(Default)]
pub(crate) struct Workspace {
    pages: Vec<Working>,
    /// Where a page is in `pages`, once there are many.
    index: HashMap<PageKey, usize>,
    reserve: Vec<ParkedFrame>,
    /// Undo operations being encoded.
    scratch: Vec<u8>,
    seen: SeenPages,
    /// The leaf changed last, by its tree: rows often come in key order.
    last_leaf: Option<(PageKey, PageId)>,
    /// Gathers rows that come in key order.
    writer: Writer,
    /// The pages of the large value that the operation at hand is about.
    chain: Option<ChainWriter>,
    /// The large value that it replaces, for access methods.
    old_value: PartialValue,
    /// Private copies after which they are published.
    pages_max: usize,
    /// Levels that an operation is prepared for.
    levels: usize,
    /// Whether the pages are those of a temporary branch, which have no undo records.
    is_temporary: bool,
    /// The next even page id.
    pub(crate) next_page: u64,
    /// What the private copies no longer lead to.
    freed: FreedPages,
    /// What was freed stays here when they are published.
    pub(crate) keeps_freed: bool,
    /// A page was copied that a commit with a later SCN has changed.
    is_overtaken: bool,
}

impl Workspace {
    pub(crate) fn new(next_page: u64) -> Workspace {
        Workspace { next_page, pages_max: PAGES_MAX, levels: LEVELS, ..Workspace::default() }
    }

    /// One for a temporary branch, with at most `pages_max` private copies.
    pub(crate) fn temporary(pages_max: usize) -> Workspace {
        Workspace { next_page: 2, pages_max, levels: LEVELS, is_temporary: true, ..Workspace::default() }
    }

    /// Gives reserved frames back: of a workspace at rest.
    pub(crate) fn give_back(&mut self, engine: &Engine) {
        for frame in self.reserve.drain(..) {
            drop(engine.pool.unpark(frame));
        }
    }

    /// Throws the private copies away, and their undo records.
    pub(crate) fn discard(&mut self, engine: &Engine) {
        if !self.is_temporary {
            engine.ring.take_back();
        }
        self.index.clear();
        self.freed.clear();
        self.is_overtaken = false;
        self.last_leaf = None;
        self.writer.forget();
        self.chain = None;
        for working in self.pages.drain(..) {
            drop(engine.pool.unpark(working.frame));
        }
    }

    /// Whether the last operation is done as a whole: some of the pages of a large value are made before it.
    pub(crate) fn is_between_operations(&self) -> bool {
        self.chain.is_none()
    }

    /// Takes out what was freed and kept.
    pub(crate) fn take_freed(&mut self) -> FreedPages {
        std::mem::take(&mut self.freed)
    }

    /// Whether the private copies cannot become versions of their pages, because later ones are published.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.is_overtaken
    }

    /// Publishes the private copies, and before them what leads back from them.
    pub(crate) fn publish(&mut self, engine: &Engine) {
        if !self.is_temporary {
            engine.ring.publish();
            if !self.keeps_freed {
                engine.freed.lock().append(&mut self.freed);
            }
        }
        self.index.clear();
        let mark = engine.dirty_mark.load(Ordering::Relaxed);
        for working in self.pages.drain(..) {
            let frame = engine.pool.unpark(working.frame);
            let from = page::scn(frame.bytes());
            let replaced = engine.pool.publish(frame, working.key, from, mark);
            if replaced != Some(mark) && !is_temporary(working.key.branch) {
                engine.dirty.lock().push(working.key);
            }
            if working.is_new || replaced.is_none() {
                engine.admit(working.key);
            }
        }
        let kept = if engine.pool.frame_count() < RESERVE_FROM_FRAMES { 0 } else { RESERVE_MAX };
        for frame in self.reserve.drain(kept.min(self.reserve.len())..) {
            drop(engine.pool.unpark(frame));
        }
    }
}

/// Changes pages of one branch for one commit.
pub(crate) struct Apply<'e, 'w> {
    engine: &'e Engine,
    workspace: &'w mut Workspace,
    /// Keeps what an operation has read at hand until it is done, though others may evict it.
    reader: PinnedReader<'e>,
    branch: BranchId,
    scn: Scn,
    last: usize,
}

impl<'e, 'w> Apply<'e, 'w> {
    pub(crate) fn new(
        engine: &'e Engine,
        workspace: &'w mut Workspace,
        branch: BranchId,
        scn: Scn,
    ) -> Apply<'e, 'w> {
        let reader = PinnedReader::new(&engine.pool, std::mem::take(&mut workspace.seen));
        Apply { engine, workspace, reader, branch, scn, last: 0 }
    }

    /// Unpins what was read.
    pub(crate) fn finish(self) {
        self.workspace.seen = self.reader.into_seen();
    }

    /// Applies one operation, or says why not yet. Rows may be held back until [`Apply::complete`].
    #[inline]
    pub(crate) fn apply(&mut self, operation: Operation<'_>) -> Result<(), Stop> {
        match operation {
            Operation::Change(tree, key, Change::Put(value)) if self.append(tree, key, value) => Ok(()),
            _ => self.apply_by_itself(operation),
        }
    }

    /// Adds a row to those that come in key order, where that needs nothing else.
    #[inline]
    fn append(&mut self, tree: TreeId, key: &[u8], value: &[u8]) -> bool {
        !self.workspace.writer.is_finished()
            && !helios_btree::is_overflow(key.len(), value.len(), self.engine.pool.page_size())
            && !self.engine.options.access_methods.covers(self.branch, tree)
            && self.workspace.writer.append(tree.root(), key, RowValue::Inline(value))
    }

    fn apply_by_itself(&mut self, operation: Operation<'_>) -> Result<(), Stop> {
        if let Operation::Change(_, key, Change::Put(value)) = operation
            && helios_btree::is_overflow(key.len(), value.len(), self.engine.pool.page_size())
        {
            self.write_chain(value)?;
        }
        let continues = match operation {
            Operation::Change(tree, key, Change::Put(_)) => {
                self.workspace.writer.is_continued_by(tree.root(), key)
            }
            _ => false,
        };
        if !continues {
            self.complete()?;
        }
        self.make_sure()?;
        let old = self.old_of_covered(operation)?;
        match operation {
            Operation::CreateTree(tree, fill_percent) => self.create(tree, fill_percent),
            Operation::Change(tree, key, change) => self.change(tree, key, change)?,
        }
        self.workspace.chain = None;
        if let (Some(old), Operation::Change(tree, key, change)) = (old, operation) {
            let new = match change {
                Change::Put(value) => Some(value),
                Change::Delete => None,
            };
            if old.is_some() || new.is_some() {
                let (branch, scn, old) = (self.branch, self.scn, old.as_deref());
                let change = RowChange { branch, tree, key, old, new, scn };
                self.engine.options.access_methods.changed(&change);
            }
        }
        Ok(())
    }

    fn change(&mut self, tree: TreeId, key: &[u8], change: Change<'_>) -> Result<(), Stop> {
        let pointer = self.workspace.chain.map(|chain| chain.pointer());
        self.with_writer(|writer, apply| {
            match (change, &pointer) {
                (Change::Put(_), Some(pointer)) => {
                    writer.put(apply, tree.root(), key, RowValue::Chain(pointer))?
                }
                (Change::Put(value), None) => writer.put(apply, tree.root(), key, RowValue::Inline(value))?,
                (Change::Delete, _) => writer.remove(apply, tree.root(), key)?,
            };
            Ok(())
        })
    }

    /// Writes the rows that were held back: after the last operation of a commit.
    pub(crate) fn complete(&mut self) -> Result<(), Stop> {
        if self.workspace.writer.is_finished() {
            return Ok(());
        }
        self.make_sure()?;
        self.with_writer(Writer::finish)
    }

    fn with_writer(
        &mut self,
        work: impl FnOnce(&mut Writer, &mut Self) -> Result<(), Fault>,
    ) -> Result<(), Stop> {
        let mut writer = std::mem::take(&mut self.workspace.writer);
        let worked = work(&mut writer, self);
        self.workspace.writer = writer;
        worked.map_err(Stop::Fault)
    }

    /// Makes sure that one step of the writer meets nothing in its middle that it would have to wait for.
    fn make_sure(&mut self) -> Result<(), Stop> {
        self.reserve(helios_btree::pages_touched_max(self.workspace.levels))?;
        // A page and its neighbour may each leave up to a page of undo, on each level.
        let undo_bytes = 2 * self.workspace.levels * self.engine.pool.page_size();
        if !self.workspace.is_temporary && !self.engine.ring.has_room(undo_bytes) {
            return Err(Stop::Undo);
        }
        self.reader.forget();
        Ok(())
    }

    /// Reads the pages that an operation starts from; `last` is the leaf that the operation before found in the same
    /// tree.
    pub(crate) fn prepare(
        &mut self,
        tree: TreeId,
        key: &[u8],
        last: Option<PageId>,
    ) -> Result<PageId, Fault> {
        self.reader.forget();
        helios_btree::prepare(self, tree.root(), key, last)
    }

    /// The version of a page that was read for the operation at hand.
    pub(crate) fn version(&self, page: PageId) -> Scn {
        self.page(page).map_or(Scn(0), |bytes| page::scn(&bytes))
    }

    /// For a row that an access method covers: what it is before the change. Read before anything is changed.
    fn old_of_covered(&mut self, operation: Operation<'_>) -> Result<Option<Option<Vec<u8>>>, Stop> {
        let Operation::Change(tree, key, _) = operation else { return Ok(None) };
        if !self.engine.options.access_methods.covers(self.branch, tree) {
            return Ok(None);
        }
        let mut pointer = None;
        let inline = helios_btree::get(self, tree.root(), key, |cell| {
            let cell = cell?;
            if !cell.overflow {
                return Some(cell.value.to_vec());
            }
            pointer = Some(cell.value.to_vec());
            None
        });
        let inline = inline.map_err(Stop::Fault)?;
        let Some(pointer) = pointer else { return Ok(Some(inline)) };
        let mut partial = std::mem::take(&mut self.workspace.old_value);
        let value = partial.read(self, &pointer);
        self.workspace.old_value = partial;
        value.map(|value| Some(Some(value))).map_err(Stop::Fault)
    }

    /// Makes sure that `pages` can be copied or made without waiting.
    fn reserve(&mut self, pages: usize) -> Result<(), Stop> {
        if self.workspace.pages.len() > self.workspace.pages_max.min(self.engine.pool.frame_count() / 4) {
            return Err(Stop::Full);
        }
        while self.workspace.reserve.len() < pages {
            match self.engine.pool.try_allocate() {
                Some(frame) => self.workspace.reserve.push(frame.park()),
                None => return Err(Stop::Frames(pages + FRAMES_RESERVED)),
            }
        }
        Ok(())
    }

    /// Writes the pages of a large value, some at a time: nothing leads to them before their row is written, so those
    /// that are done may be published, and leave memory, before the others are made.
    fn write_chain(&mut self, value: &[u8]) -> Result<(), Stop> {
        let mut chain = self.workspace.chain.unwrap_or_else(|| ChainWriter::new(value.len()));
        loop {
            self.reserve(CHAIN_PAGES)?;
            let complete = chain.write(self, value, CHAIN_PAGES);
            self.workspace.chain = Some(chain);
            if complete {
                return Ok(());
            }
        }
    }

    fn create(&mut self, tree: TreeId, fill_percent: u8) {
        self.new_page(tree.root());
        helios_btree::create(self, tree.root(), fill_percent);
    }

    #[inline]
    fn find(&self, key: PageKey) -> Option<usize> {
        let pages = &self.workspace.pages;
        match pages.get(self.last) {
            Some(page) if page.key == key => Some(self.last),
            _ if pages.len() <= INDEX_FROM => pages.iter().position(|page| page.key == key),
            _ => self.workspace.index.get(&key).copied(),
        }
    }

    fn add(&mut self, key: PageKey, frame: ParkedFrame, is_new: bool) -> usize {
        let number = self.workspace.pages.len();
        self.workspace.pages.push(Working { key, frame, is_new });
        if number == INDEX_FROM {
            let pages = self.workspace.pages.iter().enumerate();
            self.workspace.index = pages.map(|(number, page)| (page.key, number)).collect();
        } else if number > INDEX_FROM {
            self.workspace.index.insert(key, number);
        }
        self.last = number;
        number
    }

    fn take_reserved(&mut self) -> ParkedFrame {
        self.workspace.reserve.pop().expect("frames were reserved for this operation")
    }

    fn bytes(&self, number: usize) -> &[u8] {
        self.engine.pool.parked(&self.workspace.pages[number].frame)
    }

    fn new_page(&mut self, page: PageId) {
        let key = PageKey::new(self.branch, page);
        let mut frame = self.take_reserved();
        let bytes = self.engine.pool.parked_mut(&mut frame);
        bytes[..page::PAGE_HEADER_BYTES].fill(0);
        page::set_scn_raw(bytes, self.scn.0);
        page::set_created_raw(bytes, self.scn.0);
        self.add(key, frame, true);
    }

    /// Notes pages that nothing newer leads to.
    fn note_freed(&mut self, first: PageId, count: u64, created: Scn) {
        if !self.workspace.is_temporary {
            let (branch, freed) = (self.branch, self.scn);
            self.workspace.freed.add(FreedRun { branch, freed, created, first, count });
        }
    }

    /// Notes the pages of the value of a row that is about to go, if it has some.
    fn note_freed_value(&mut self, leaf: PageId, index: usize) {
        let Some(number) = self.find(PageKey::new(self.branch, leaf)) else { return };
        let chain = helios_btree::value_pages(self.bytes(number), index);
        if let Some((pages, created)) = chain {
            self.note_freed(pages.start, (pages.end.0 - pages.start.0) / 2, created);
        }
    }

    /// Appends what `encode` writes to the undo log of a page, unless this commit made the page: nobody can go
    /// back behind its first version.
    fn record(&mut self, page: PageId, encode: impl FnOnce(&[u8], &mut Vec<u8>)) {
        let key = PageKey::new(self.branch, page);
        let number = self.find(key).expect("a page is copied before its undo");
        let bytes = self.engine.pool.parked_mut(&mut self.workspace.pages[number].frame);
        if page::created_raw(bytes) == self.scn.0 {
            return;
        }
        let scratch = &mut self.workspace.scratch;
        scratch.clear();
        encode(bytes, scratch);
        if scratch.len() > bytes.len() {
            // Operations name full keys; where a long prefix is left out of the page's, the page itself is shorter.
            scratch.clear();
            UndoOp::Image { page: bytes }.encode(scratch);
        }
        let previous = page::undo_position(bytes);
        let position = self.engine.ring.append(previous, self.scn, page::scn(bytes), key, scratch);
        page::set_undo_position(bytes, position);
        // The change is about to be made. A further record of this commit then goes back to the middle of it, so
        // that whoever goes back applies all of them.
        page::set_scn_raw(bytes, self.scn.0);
    }
}

impl ReadPages for Apply<'_, '_> {
    type Fault = Fault;

    #[inline]
    fn page(&self, page: PageId) -> Result<PageRef<'_>, Fault> {
        let key = PageKey::new(self.branch, page);
        if let Some(number) = self.find(key) {
            return Ok(PageRef::Frame(self.bytes(number)));
        }
        match self.reader.newest(key) {
            Some(bytes) => Ok(PageRef::Frame(bytes)),
            None => Err(Fault(FaultReason::Page(key))),
        }
    }

    #[cold]
    fn damaged(&self, page: PageId, what: &'static str) -> Fault {
        Fault(FaultReason::Damaged(PageKey::new(self.branch, page), what))
    }
}

impl WritePages for Apply<'_, '_> {
    #[inline]
    fn prepare_levels(&mut self, levels: usize) -> Result<(), Fault> {
        // One more, since the root may be split.
        if levels < self.workspace.levels {
            return Ok(());
        }
        self.workspace.levels = levels + 1;
        Err(Fault(FaultReason::Pause))
    }

    #[inline]
    fn page_mut(&mut self, page: PageId) -> &mut [u8] {
        let key = PageKey::new(self.branch, page);
        let number = match self.find(key) {
            Some(number) => {
                self.last = number;
                number
            }
            None => {
                let mut frame = self.take_reserved();
                let published = self.reader.newest(key).expect("a page is read before it is changed");
                let is_newer = page::scn(published) > self.scn;
                page::copy(published, self.engine.pool.parked_mut(&mut frame));
                self.workspace.is_overtaken |= is_newer;
                self.add(key, frame, false)
            }
        };
        self.engine.pool.parked_mut(&mut self.workspace.pages[number].frame)
    }

    fn allocate(&mut self) -> PageId {
        let page = PageId(self.workspace.next_page);
        self.workspace.next_page += 2;
        self.new_page(page);
        page
    }

    fn free(&mut self, page: PageId) {
        // The page stays as it is for snapshots from before; nothing newer leads to it, not even the shortcut.
        self.workspace.last_leaf = None;
        let created = self.page(page).map_or(Scn(0), |bytes| page::created(&bytes));
        self.note_freed(page, 1, created);
    }

    fn last_leaf(&self, root: PageId) -> Option<PageId> {
        let tree = PageKey::new(self.branch, root);
        self.workspace.last_leaf.filter(|last| last.0 == tree).map(|last| last.1)
    }

    fn set_last_leaf(&mut self, root: PageId, leaf: PageId) {
        self.workspace.last_leaf = Some((PageKey::new(self.branch, root), leaf));
    }

    fn undo(&mut self, page: PageId, operations: &[UndoOp<'_>]) {
        self.record(page, |_, out| operations.iter().for_each(|operation| operation.encode(out)));
    }

    fn undo_row(&mut self, page: PageId, index: usize, newer: Option<&[u8]>) {
        self.note_freed_value(page, index);
        self.record(page, |bytes, out| helios_btree::encode_restore(bytes, index, newer, out));
    }

    fn undo_image(&mut self, page: PageId) {
        self.record(page, |bytes, out| UndoOp::Image { page: bytes }.encode(out));
    }

    fn scn(&self) -> Scn {
        self.scn
    }

    fn page_size(&self) -> usize {
        self.engine.pool.page_size()
    }
}
