//! Values too large for a leaf: a chain of pages, named by the leaf's cell.
//!
//! The cell's value is 16 bytes: the value's length (8), the first page (8). An overflow page has the common
//! page header, the next page (8, 0 for none), the number of bytes here (4, then 4 reserved), and the bytes.
//! The chain is written once and never changed: a new value gets a new chain.

use helios_bufferpool::page::{self, PAGE_HEADER_BYTES, PageKind};
use helios_bufferpool::{PageId, Scn};

use crate::node::{LEAF_CELL_HEADER_BYTES, Node, SLOT_BYTES, cell_bytes_max, u64_at};
use crate::pages::{ReadPages, WritePages};

/// What a leaf's cell holds instead of a value.
pub(crate) const POINTER_BYTES: usize = 16;
const OVERFLOW_HEADER_BYTES: usize = PAGE_HEADER_BYTES + 16;

/// The largest value of a row, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

fn bytes_per_page(page_size: usize) -> usize {
    page::content_end(page_size) - OVERFLOW_HEADER_BYTES
}

/// Whether a row of this size keeps its value on overflow pages.
pub fn is_overflow(key_bytes: usize, value_bytes: usize, page_size: usize) -> bool {
    value_bytes > cell_bytes_max(page_size).saturating_sub(key_bytes + SLOT_BYTES + LEAF_CELL_HEADER_BYTES)
}

/// A chain on its way to pages, from its end to its beginning, so that every page knows its follower. It may stop
/// between two pages and go on later, so a value needs no more frames at once than the caller likes.
#[derive(Clone, Copy, Debug)]
pub struct ChainWriter {
    value_bytes: usize,
    /// The bytes at the value's front that have no page yet.
    rest_bytes: usize,
    next: PageId,
}

impl ChainWriter {
    /// Begins the chain of a value of `value_bytes`.
    pub fn new(value_bytes: usize) -> ChainWriter {
        ChainWriter { value_bytes, rest_bytes: value_bytes, next: PageId(0) }
    }

    /// Writes up to `pages_max` new pages of `value`; returns whether it is all written.
    pub fn write<P: WritePages>(&mut self, pages: &mut P, value: &[u8], pages_max: usize) -> bool {
        assert_eq!(value.len(), self.value_bytes, "a chain goes on with the value it began with");
        let chunk_bytes = bytes_per_page(pages.page_size());
        for _ in 0..pages_max {
            let Some(last) = self.rest_bytes.checked_sub(1) else { return true };
            let start = last / chunk_bytes * chunk_bytes;
            self.next = write_page(pages, &value[start..self.rest_bytes], self.next);
            self.rest_bytes = start;
        }
        self.rest_bytes == 0
    }

    /// What the leaf's cell holds instead of the value, once it is all written.
    pub fn pointer(&self) -> [u8; 16] {
        assert_eq!(self.rest_bytes, 0, "a chain is named when it is complete");
        let mut pointer = [0; 16];
        pointer[..8].copy_from_slice(&(self.value_bytes as u64).to_le_bytes());
        pointer[8..].copy_from_slice(&self.next.0.to_le_bytes());
        pointer
    }
}

/// The pages of the value of a row, if it has pages of its own, and the commit that wrote them. Their ids are two apart.
#[must_use]
pub fn value_pages(leaf: &[u8], index: usize) -> Option<(std::ops::Range<PageId>, Scn)> {
    let cell = Node::new(leaf).leaf_cell(index);
    let pointer: &[u8; 16] = cell.value.try_into().ok().filter(|_| cell.overflow)?;
    // They got their ids from the end to the beginning, one right after the other.
    let (first, pages) =
        (u64_at(pointer, 8), value_bytes(pointer).div_ceil(bytes_per_page(leaf.len())) as u64);
    let last = first.checked_sub(2 * pages.checked_sub(1)?)?;
    Some((PageId(last)..PageId(first + 2), cell.scn))
}

/// The part of a value that is on an overflow page; `None` for any other page.
pub(crate) fn chunk(page: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(*page.get(40..)?.first_chunk()?) as usize;
    let is_whole = length > 0 && OVERFLOW_HEADER_BYTES + length == usize::from(page::lower(page));
    (page::kind(page) == Some(PageKind::Overflow) && is_whole)
        .then(|| &page[OVERFLOW_HEADER_BYTES..OVERFLOW_HEADER_BYTES + length])
}

fn write_page<P: WritePages>(pages: &mut P, chunk: &[u8], next: PageId) -> PageId {
    let scn = pages.scn();
    let page = pages.allocate();
    let bytes = pages.page_mut(page);
    let kept: [u8; 24] = bytes[8..32].try_into().expect("24 bytes");
    page::initialize(bytes, PageKind::Overflow);
    bytes[8..32].copy_from_slice(&kept);
    bytes[32..40].copy_from_slice(&next.0.to_le_bytes());
    bytes[40..44].copy_from_slice(&(chunk.len() as u32).to_le_bytes());
    bytes[44..48].fill(0);
    bytes[48..48 + chunk.len()].copy_from_slice(chunk);
    page::set_lower(bytes, (OVERFLOW_HEADER_BYTES + chunk.len()) as u16);
    page::set_scn_raw(bytes, scn.0);
    page
}

/// A value being read from its chain. It may stop at any page and go on later, at whatever version of the tree: a chain
/// never changes.
#[derive(Debug)]
pub struct ChainReader {
    pointer: [u8; 16],
    next: PageId,
    value: Vec<u8>,
}

impl ChainReader {
    /// Begins reading the value that a cell's 16 bytes name.
    pub fn new(pointer: [u8; 16]) -> ChainReader {
        ChainReader { pointer, next: PageId(u64_at(&pointer, 8)), value: Vec::new() }
    }

    /// Which value this is.
    pub fn pointer(&self) -> &[u8; 16] {
        &self.pointer
    }

    /// Reads up to `pages_max` further pages; returns whether the value is complete.
    ///
    /// # Errors
    /// The fault of a missing page; what was read before is kept. That of a damaged one where the chain does not make the
    /// value.
    pub fn read<P: ReadPages>(&mut self, pages: &P, pages_max: usize) -> Result<bool, P::Fault> {
        let expected = value_bytes(&self.pointer);
        if expected > VALUE_BYTES_MAX {
            return Err(pages.damaged(self.next, "a value is longer than any can be"));
        }
        for _ in 0..pages_max {
            if self.next == PageId(0) {
                break;
            }
            let bytes = pages.page(self.next)?;
            let found = chunk(&bytes).filter(|chunk| self.value.len() + chunk.len() <= expected);
            let Some(found) = found else {
                return Err(pages.damaged(self.next, "it is no part of the value that leads to it"));
            };
            if self.value.is_empty() {
                self.value.reserve_exact(expected);
            }
            self.value.extend_from_slice(found);
            self.next = PageId(u64_at(&bytes, 32));
        }
        if self.next == PageId(0) && self.value.len() != expected {
            return Err(pages.damaged(PageId(u64_at(&self.pointer, 8)), "a value ends too early"));
        }
        Ok(self.next == PageId(0))
    }

    /// What was read.
    pub fn into_value(self) -> Vec<u8> {
        self.value
    }
}

/// Lengths beyond 32 bits are not written by anybody.
fn value_bytes(pointer: &[u8; 16]) -> usize {
    u32::try_from(u64_at(pointer, 0)).unwrap_or(u32::MAX) as usize
}
