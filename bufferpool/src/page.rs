//! The header that every page begins with.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind ([`PageKind`]) |
//! | 1 | 1 | format tag of that kind |
//! | 2 | 2 | `lower`: bytes used at the front, this header included |
//! | 4 | 2 | `upper`: where the part used at the back begins (page size ≤ 32 KiB, so 16 bits hold it) |
//! | 6 | 2 | zero; in memory, bit 0: read from the device, so what is older than its undo records is there |
//! | 8 | 8 | SCN of this version |
//! | 16 | 8 | SCN at which the page was created |
//! | 24 | 8 | position of the newest undo record; means something only in memory, stored as zero |
//!
//! Bytes between `lower` and `upper` are unused: they are neither copied nor stored.

use crate::ids::Scn;

/// Bytes of the common header.
pub const PAGE_HEADER_BYTES: usize = 32;

/// Bytes at the end of every page that stay unused, so that a full page and what the device keeps with it
/// (header and authentication tag, see `codec`) take no more blocks than the page itself.
pub const PAGE_TRAILER_BYTES: usize = 80;

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageKind {
    /// Rows of a B+tree.
    Leaf = 1,
    /// Separators and children of a B+tree.
    Inner = 2,
    /// Part of a value too large for a leaf.
    Overflow = 3,
}

impl PageKind {
    fn from_byte(byte: u8) -> Option<PageKind> {
        match byte {
            1 => Some(PageKind::Leaf),
            2 => Some(PageKind::Inner),
            3 => Some(PageKind::Overflow),
            _ => None,
        }
    }
}

macro_rules! field {
    ($get:ident, $set:ident, $type:ty, $offset:expr, $doc:literal) => {
        #[doc = $doc]
        #[inline]
        pub fn $get(page: &[u8]) -> $type {
            const N: usize = size_of::<$type>();
            <$type>::from_le_bytes(page[$offset..$offset + N].try_into().expect("a field's width"))
        }
        #[doc = concat!("Sets: ", $doc)]
        #[inline]
        pub fn $set(page: &mut [u8], value: $type) {
            const N: usize = size_of::<$type>();
            page[$offset..$offset + N].copy_from_slice(&value.to_le_bytes());
        }
    };
}

field!(lower, set_lower, u16, 2, "Bytes used at the front of the page.");
field!(upper, set_upper, u16, 4, "Where the part used at the back begins.");
field!(undo_position, set_undo_position, u64, 24, "Position of the newest undo record, 0 for none.");
field!(scn_raw, set_scn_raw, u64, 8, "SCN of this version, as a number.");
field!(created_raw, set_created_raw, u64, 16, "SCN at which the page was created, as a number.");

/// What the page holds; `None` for a byte that means nothing.
#[inline]
pub fn kind(page: &[u8]) -> Option<PageKind> {
    PageKind::from_byte(page[0])
}

/// Zeroes the header and sets the kind; `lower` is the header's length and `upper` the page's.
pub fn initialize(page: &mut [u8], kind: PageKind) {
    page[..PAGE_HEADER_BYTES].fill(0);
    page[0] = kind as u8;
    page[1] = 1;
    set_lower(page, PAGE_HEADER_BYTES as u16);
    let end = content_end(page.len()) as u16;
    set_upper(page, end);
}

/// Where the content of a page of `page_size` bytes ends.
#[inline]
pub fn content_end(page_size: usize) -> usize {
    page_size - PAGE_TRAILER_BYTES
}

const FROM_DEVICE: u8 = 1;

/// Whether the page was read from the device.
#[inline]
pub fn is_from_device(page: &[u8]) -> bool {
    page[6] & FROM_DEVICE != 0
}

/// Says that the page was read from the device.
pub fn set_from_device(page: &mut [u8]) {
    page[6] |= FROM_DEVICE;
}

/// SCN of this version.
#[inline]
pub fn scn(page: &[u8]) -> Scn {
    Scn(scn_raw(page))
}

/// SCN at which the page was created.
#[inline]
pub fn created(page: &[u8]) -> Scn {
    Scn(created_raw(page))
}

/// Copies the used bytes of `from` to `to`, pages of one size.
#[inline]
pub fn copy(from: &[u8], to: &mut [u8]) {
    let (lower, upper) = (usize::from(lower(from)), usize::from(upper(from)));
    to[..lower].copy_from_slice(&from[..lower]);
    let end = content_end(from.len());
    to[upper..end].copy_from_slice(&from[upper..end]);
}
