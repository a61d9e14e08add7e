//! Changing pages for a commit: private copies, undo records, publication.
//!
//! Used by one committer at a time, inside synchronous closures. Between two operations it may stop, publish
//! what it has so far and go on later: nobody sees pages of an SCN that is not visible yet, and whoever
//! meets one goes back through its undo records.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use helios_btree::{PageRef, ReadPages, UndoOp, WritePages};
use helios_bufferpool::{CacheKey, OwnedFrame, PageId, PageKey, ParkedFrame, PinnedReader, Scn, page};

use crate::engine::{Engine, FRAMES_RESERVED};
use crate::error::{Fault, FaultReason};
use crate::ids::{BranchId, TreeId};
use crate::write_set::{Change, Operation, Operations};

/// Levels that an operation is prepared for; deeper trees than this do not fit a device.
const LEVELS: usize = 8;
/// Changes of more pages than this are published part by part, or of a quarter of all frames.
const PAGES_MAX: usize = 256;

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

/// The committer's state between its synchronous parts.
#[derive(Default)]
pub(crate) struct Workspace {
    pages: Vec<Working>,
    index: HashMap<PageKey, usize>,
    reserve: Vec<ParkedFrame>,
    /// Undo operations being encoded.
    scratch: Vec<u8>,
    /// The next even page id.
    pub(crate) next_page: u64,
}

impl Workspace {
    pub(crate) fn new(next_page: u64) -> Workspace {
        Workspace { next_page, ..Workspace::default() }
    }

    /// Throws the private copies away.
    pub(crate) fn discard(&mut self, engine: &Engine) {
        self.index.clear();
        for working in self.pages.drain(..) {
            drop(engine.pool.unpark(working.frame));
        }
    }

    /// Publishes the private copies.
    pub(crate) fn publish(&mut self, engine: &Engine) {
        self.index.clear();
        let mark = engine.dirty_mark.load(Ordering::Relaxed);
        for working in self.pages.drain(..) {
            let frame = engine.pool.unpark(working.frame);
            let from = page::scn(frame.bytes());
            let replaced = engine.pool.publish(frame, working.key, from, mark);
            if replaced != Some(mark) {
                engine.dirty.lock().push(working.key);
            }
            if working.is_new || replaced.is_none() {
                engine.replacement.admit(CacheKey { page: working.key, until: Scn::MAX });
            }
        }
    }
}

/// Changes pages of one branch for one commit.
pub(crate) struct Apply<'e> {
    engine: &'e Engine,
    /// Keeps what an operation has read at hand until it is done, though others may evict it.
    reader: PinnedReader<'e>,
    branch: BranchId,
    scn: Scn,
    pages: Vec<(PageKey, OwnedFrame<'e>, bool)>,
    index: HashMap<PageKey, usize>,
    reserve: Vec<OwnedFrame<'e>>,
    scratch: Vec<u8>,
    next_page: u64,
    last: usize,
}

impl<'e> Apply<'e> {
    /// Takes the workspace over; [`Apply::finish`] gives it back.
    pub(crate) fn begin(
        engine: &'e Engine,
        workspace: &mut Workspace,
        branch: BranchId,
        scn: Scn,
    ) -> Apply<'e> {
        let pages = workspace.pages.drain(..);
        Apply {
            engine,
            reader: PinnedReader::new(&engine.pool),
            branch,
            scn,
            pages: pages
                .map(|working| (working.key, engine.pool.unpark(working.frame), working.is_new))
                .collect(),
            index: std::mem::take(&mut workspace.index),
            reserve: workspace.reserve.drain(..).map(|frame| engine.pool.unpark(frame)).collect(),
            scratch: std::mem::take(&mut workspace.scratch),
            next_page: workspace.next_page,
            last: 0,
        }
    }

    pub(crate) fn finish(self, workspace: &mut Workspace) {
        workspace.pages.extend(self.pages.into_iter().map(|(key, frame, is_new)| Working {
            key,
            frame: frame.park(),
            is_new,
        }));
        workspace.index = self.index;
        workspace.reserve.extend(self.reserve.into_iter().map(OwnedFrame::park));
        workspace.scratch = self.scratch;
        workspace.next_page = self.next_page;
    }

    /// Applies one operation, or says why not yet.
    pub(crate) fn apply(&mut self, operation: Operation<'_>) -> Result<(), Stop> {
        let page_size = self.engine.pool.page_size();
        let value_bytes = match operation {
            Operation::Change(_, _, Change::Put(value)) => value.len(),
            _ => 0,
        };
        if self.pages.len() > PAGES_MAX.min(self.engine.pool.frame_count() / 4) {
            return Err(Stop::Full);
        }
        let needed = helios_btree::pages_touched_max(LEVELS, value_bytes, page_size);
        while self.reserve.len() < needed {
            match self.engine.pool.try_allocate() {
                Some(frame) => self.reserve.push(frame),
                None => return Err(Stop::Frames(needed + FRAMES_RESERVED)),
            }
        }
        // A split's undo is at most a page of cells, on each level.
        if !self.engine.ring.has_room(LEVELS * page_size) {
            return Err(Stop::Undo);
        }
        self.reader.forget();
        let result = match operation {
            Operation::CreateTree(tree) => {
                self.create(tree);
                Ok(())
            }
            Operation::Change(tree, key, Change::Put(value)) => {
                helios_btree::put(self, tree.root(), key, value).map(|_| ())
            }
            Operation::Change(tree, key, Change::Delete) => {
                helios_btree::remove(self, tree.root(), key).map(|_| ())
            }
        };
        result.map_err(Stop::Fault)
    }

    /// Whether every page that the operations will read first is at hand.
    pub(crate) fn is_ready(&self, operations: &Operations<'_>) -> bool {
        (0..operations.len()).all(|index| match operations.get(index) {
            Operation::CreateTree(_) => false,
            Operation::Change(tree, key, _) => helios_btree::prepare(self, tree.root(), key).is_ok(),
        })
    }

    fn create(&mut self, tree: TreeId) {
        self.new_page(tree.root());
        helios_btree::create(self, tree.root());
    }

    fn find(&self, key: PageKey) -> Option<usize> {
        match self.pages.get(self.last) {
            Some(page) if page.0 == key => Some(self.last),
            _ if self.pages.len() <= 8 => self.pages.iter().position(|page| page.0 == key),
            _ => self.index.get(&key).copied(),
        }
    }

    fn add(&mut self, key: PageKey, frame: OwnedFrame<'e>, is_new: bool) -> usize {
        let number = self.pages.len();
        self.pages.push((key, frame, is_new));
        if number == 8 {
            self.index = self.pages.iter().enumerate().map(|(number, page)| (page.0, number)).collect();
        } else if number > 8 {
            self.index.insert(key, number);
        }
        self.last = number;
        number
    }

    fn new_page(&mut self, page: PageId) {
        let key = PageKey::new(self.branch, page);
        let mut frame = self.reserve.pop().expect("frames were reserved for this operation");
        let bytes = frame.bytes_mut();
        bytes[..page::PAGE_HEADER_BYTES].fill(0);
        page::set_scn_raw(bytes, self.scn.0);
        page::set_created_raw(bytes, self.scn.0);
        self.add(key, frame, true);
    }

    fn record(&mut self, number: usize, operations: &[u8]) {
        let key = self.pages[number].0;
        let bytes = self.pages[number].1.bytes_mut();
        if page::created_raw(bytes) == self.scn.0 {
            // Nobody can go back behind the page's first version.
            return;
        }
        let previous = page::undo_position(bytes);
        let position = self.engine.ring.append(previous, self.scn, page::scn(bytes), key, operations);
        page::set_undo_position(bytes, position);
        // The change is about to be made. A further record of this commit then goes back to the middle of it, so
        // that whoever goes back applies all of them.
        page::set_scn_raw(bytes, self.scn.0);
    }
}

impl ReadPages for Apply<'_> {
    type Fault = Fault;

    fn page(&self, page: PageId) -> Result<PageRef<'_>, Fault> {
        let key = PageKey::new(self.branch, page);
        if let Some(number) = self.find(key) {
            return Ok(PageRef::Frame(self.pages[number].1.bytes()));
        }
        match self.reader.newest(key) {
            Some(bytes) => Ok(PageRef::Frame(bytes)),
            None => Err(Fault(FaultReason::Page(key))),
        }
    }
}

impl WritePages for Apply<'_> {
    fn page_mut(&mut self, page: PageId) -> &mut [u8] {
        let key = PageKey::new(self.branch, page);
        let number = match self.find(key) {
            Some(number) => {
                self.last = number;
                number
            }
            None => {
                let mut frame = self.reserve.pop().expect("frames were reserved for this operation");
                let published = self.reader.newest(key);
                page::copy(published.expect("a page is read before it is changed"), frame.bytes_mut());
                self.add(key, frame, false)
            }
        };
        self.pages[number].1.bytes_mut()
    }

    fn allocate(&mut self) -> PageId {
        let page = PageId(self.next_page);
        self.next_page += 2;
        self.new_page(page);
        page
    }

    fn free(&mut self, _page: PageId) {
        // The page stays as it is for snapshots from before; nothing newer leads to it.
    }

    fn undo(&mut self, page: PageId, operations: &[UndoOp<'_>]) {
        let number = self.find(PageKey::new(self.branch, page)).expect("a page is copied before its undo");
        if page::created_raw(self.pages[number].1.bytes()) == self.scn.0 {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        operations.iter().for_each(|operation| operation.encode(&mut scratch));
        self.record(number, &scratch);
        self.scratch = scratch;
    }

    fn undo_row(&mut self, page: PageId, index: usize) {
        let number = self.find(PageKey::new(self.branch, page)).expect("a page is copied before its undo");
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        helios_btree::encode_restore(self.pages[number].1.bytes(), index, &mut scratch);
        self.record(number, &scratch);
        self.scratch = scratch;
    }

    fn undo_image(&mut self, page: PageId) {
        let number = self.find(PageKey::new(self.branch, page)).expect("a page is copied before its undo");
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        UndoOp::Image { page: self.pages[number].1.bytes() }.encode(&mut scratch);
        self.record(number, &scratch);
        self.scratch = scratch;
    }

    fn scn(&self) -> Scn {
        self.scn
    }

    fn page_size(&self) -> usize {
        self.engine.pool.page_size()
    }
}
