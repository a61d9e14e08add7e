//! What a tree needs of whoever keeps its pages.

use std::ops::Deref;

use helios_bufferpool::{PageId, Scn};

use crate::undo::UndoOp;

/// A page as one reader sees it.
pub enum PageRef<'a> {
    /// The published frame.
    Frame(&'a [u8]),
    /// An old version put together for this reader.
    Built(Box<[u8]>),
}

impl Deref for PageRef<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            PageRef::Frame(bytes) => bytes,
            PageRef::Built(bytes) => bytes,
        }
    }
}

/// Pages as of one moment.
pub trait ReadPages {
    /// Why a page cannot be had right now.
    type Fault;

    /// The page.
    ///
    /// # Errors
    /// The fault to resolve before trying again.
    fn page(&self, page: PageId) -> Result<PageRef<'_>, Self::Fault>;

    /// The fault of a page that was had and is not what it should be.
    fn damaged(&self, page: PageId, what: &'static str) -> Self::Fault;

    /// Says that the page is read soon.
    fn expect(&self, _page: PageId) {}
}

/// Pages that one commit changes.
///
/// A tree first reads (through [`ReadPages::page`], which sees the changes made so far) every page that it is
/// going to change, so a fault can only come before the first change of an operation.
pub trait WritePages: ReadPages {
    /// Says, before the first change of an operation, how many levels its tree has.
    ///
    /// # Errors
    /// The fault to resolve before trying again, when it was not prepared for so many.
    fn prepare_levels(&mut self, levels: usize) -> Result<(), Self::Fault>;

    /// The private copy of a page that was read or allocated by this operation.
    fn page_mut(&mut self, page: PageId) -> &mut [u8];

    /// A new page, created at this commit's SCN; its bytes are undefined but for the header's SCN fields.
    fn allocate(&mut self) -> PageId;

    /// Says that a page is no longer part of any tree from this commit on.
    fn free(&mut self, page: PageId);

    /// The leaf that [`WritePages::set_last_leaf`] named last for this tree, if no page was freed since.
    fn last_leaf(&self, _root: PageId) -> Option<PageId> {
        None
    }

    /// Names the leaf of a tree that was just changed: the next row may belong there too.
    fn set_last_leaf(&mut self, _root: PageId, _leaf: PageId) {}

    /// Keeps what takes `page` back to what it was before the change that is about to be made.
    /// [`WritePages::page_mut`] was called for the page before.
    fn undo(&mut self, page: PageId, operations: &[UndoOp<'_>]);

    /// [`WritePages::undo`] with the row at `index` of a leaf, as it is now; `newer` is the value that it is about to get, if it
    /// will lie in a leaf too.
    fn undo_row(&mut self, page: PageId, index: usize, newer: Option<&[u8]>);

    /// [`WritePages::undo`] with the page's present image.
    fn undo_image(&mut self, page: PageId);

    /// The SCN of the commit.
    fn scn(&self) -> Scn;

    /// Bytes per page.
    fn page_size(&self) -> usize;
}
