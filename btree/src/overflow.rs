//! Values too large for a leaf: a chain of pages, named by the leaf's cell.
//!
//! The cell's value is 16 bytes: the value's length (8), the first page (8). An overflow page has the common
//! page header, the next page (8, 0 for none), the number of bytes here (4, then 4 reserved), and the bytes.
//! The chain is written once and never changed: a new value gets a new chain.

use helios_bufferpool::PageId;
use helios_bufferpool::page::{self, PAGE_HEADER_BYTES, PageKind};

use crate::node::u64_at;
use crate::pages::{ReadPages, WritePages};

const OVERFLOW_HEADER_BYTES: usize = PAGE_HEADER_BYTES + 16;

/// The largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

fn bytes_per_page(page_size: usize) -> usize {
    page::content_end(page_size) - OVERFLOW_HEADER_BYTES
}

/// How many pages a value takes beyond its leaf.
pub(crate) fn pages_needed(value_bytes: usize, page_size: usize) -> usize {
    if value_bytes <= page_size / 8 { 0 } else { value_bytes.div_ceil(bytes_per_page(page_size)) }
}

/// Writes `value` to new pages and returns the bytes that the leaf's cell holds instead.
pub(crate) fn write<P: WritePages>(pages: &mut P, value: &[u8]) -> [u8; 16] {
    let scn = pages.scn();
    let chunk_bytes = bytes_per_page(pages.page_size());
    let mut next = PageId(0);
    // From the end, so that every page knows its follower.
    for chunk in value.chunks(chunk_bytes).rev() {
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
        next = page;
    }
    let mut pointer = [0; 16];
    pointer[..8].copy_from_slice(&(value.len() as u64).to_le_bytes());
    pointer[8..].copy_from_slice(&next.0.to_le_bytes());
    pointer
}

/// Reads the value that a cell's 16 bytes name, appending it to `out`, starting at `out`'s present length:
/// after a fault, call again with the same `out` and `progress`.
///
/// # Errors
/// The fault of a missing page.
pub fn read<P: ReadPages>(
    pages: &P,
    pointer: &[u8],
    progress: &mut Option<PageId>,
    out: &mut Vec<u8>,
) -> Result<(), P::Fault> {
    let mut next = progress.unwrap_or(PageId(u64_at(pointer, 8)));
    while next != PageId(0) {
        *progress = Some(next);
        let bytes = pages.page(next)?;
        let length = u32::from_le_bytes(bytes[40..44].try_into().expect("four bytes")) as usize;
        out.extend_from_slice(&bytes[48..48 + length]);
        next = PageId(u64_at(&bytes, 32));
    }
    *progress = Some(PageId(0));
    Ok(())
}
