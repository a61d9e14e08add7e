//! Reverse operations: how to get from a version of a page back to the one before.
//!
//! They are logical and carry full keys, so they apply whatever the page's physical layout is by then; a
//! rebuilt page is logically equal to what it was, not byte for byte. Rows that were inserted need no operation: their
//! SCN says that they were not there before ([`PageRebuild::finish`] leaves them out).
//!
//! | operation | bytes |
//! |---|---|
//! | remove | 1, key length (2), key |
//! | restore | 2 (3 for an overflow value), key length (2), SCN (8), value length (2), key, value |
//! | restore child | 4, key length (2), child page (8), key |
//! | upper fence | 5 (none) or 6, key length (2), key |
//! | image | 7, `lower` (2), bytes used at the back (2), the used bytes of the page |

use std::collections::BTreeMap;

use helios_bufferpool::{PageId, Scn, page};

use crate::node::{LeafCell, Node, Shape, u16_at, u64_at};
use crate::node_mut::{CellValue, NodeMut};

/// One reverse operation.
#[derive(Clone, Copy, Debug)]
pub enum UndoOp<'a> {
    /// The row or child was not there.
    Remove { key: &'a [u8] },
    /// The row was this.
    Restore { key: &'a [u8], cell: LeafCell<'a> },
    /// The child was there.
    RestoreChild { key: &'a [u8], child: PageId },
    /// The page reached up to here.
    UpperFence { fence: Option<&'a [u8]> },
    /// The whole page was this.
    Image { page: &'a [u8] },
}

impl UndoOp<'_> {
    /// Appends the encoded operation.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let key_length =
            |out: &mut Vec<u8>, key: &[u8]| out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        match *self {
            UndoOp::Remove { key } => {
                out.push(1);
                key_length(out, key);
                out.extend_from_slice(key);
            }
            UndoOp::Restore { key, cell } => {
                out.push(if cell.overflow { 3 } else { 2 });
                key_length(out, key);
                out.extend_from_slice(&cell.scn.0.to_le_bytes());
                out.extend_from_slice(&(cell.value.len() as u16).to_le_bytes());
                out.extend_from_slice(key);
                out.extend_from_slice(cell.value);
            }
            UndoOp::RestoreChild { key, child } => {
                out.push(4);
                key_length(out, key);
                out.extend_from_slice(&child.0.to_le_bytes());
                out.extend_from_slice(key);
            }
            UndoOp::UpperFence { fence } => {
                out.push(if fence.is_some() { 6 } else { 5 });
                key_length(out, fence.unwrap_or_default());
                out.extend_from_slice(fence.unwrap_or_default());
            }
            UndoOp::Image { page: image } => {
                out.push(7);
                let (lower, upper) = (page::lower(image), page::upper(image));
                out.extend_from_slice(&lower.to_le_bytes());
                let back_bytes = page::content_end(image.len()) as u16 - upper;
                out.extend_from_slice(&back_bytes.to_le_bytes());
                out.extend_from_slice(&image[..usize::from(lower)]);
                out.extend_from_slice(&image[usize::from(upper)..page::content_end(image.len())]);
            }
        }
    }
}

/// Appends the operation that restores the row at `index` of a leaf as it is now, without copying its key
/// together first.
pub fn encode_restore(leaf: &[u8], index: usize, out: &mut Vec<u8>) {
    let node = Node::new(leaf);
    let (prefix, suffix, cell) = (node.prefix(), node.suffix(index), node.leaf_cell(index));
    out.push(if cell.overflow { 3 } else { 2 });
    out.extend_from_slice(&((prefix.len() + suffix.len()) as u16).to_le_bytes());
    out.extend_from_slice(&cell.scn.0.to_le_bytes());
    out.extend_from_slice(&(cell.value.len() as u16).to_le_bytes());
    out.extend_from_slice(prefix);
    out.extend_from_slice(suffix);
    out.extend_from_slice(cell.value);
}

/// An image as the undo log keeps it.
#[derive(Clone, Copy, Debug)]
pub struct PackedImage<'a> {
    front: &'a [u8],
    back: &'a [u8],
}

impl PackedImage<'_> {
    /// The page, its unused middle zeroed.
    fn unpack(&self, page_size: usize) -> Vec<u8> {
        let mut bytes = vec![0; page_size];
        bytes[..self.front.len()].copy_from_slice(self.front);
        let end = page::content_end(page_size);
        bytes[end - self.back.len()..end].copy_from_slice(self.back);
        bytes
    }
}

/// A decoded operation.
#[derive(Clone, Copy, Debug)]
pub enum DecodedUndo<'a> {
    /// See [`UndoOp::Remove`].
    Remove { key: &'a [u8] },
    /// See [`UndoOp::Restore`].
    Restore { key: &'a [u8], cell: LeafCell<'a> },
    /// See [`UndoOp::RestoreChild`].
    RestoreChild { key: &'a [u8], child: PageId },
    /// See [`UndoOp::UpperFence`].
    UpperFence { fence: Option<&'a [u8]> },
    /// See [`UndoOp::Image`].
    Image(PackedImage<'a>),
}

/// Walks over encoded operations, which come from memory or from verified storage.
pub struct UndoOps<'a> {
    bytes: &'a [u8],
}

impl<'a> UndoOps<'a> {
    /// The operations in `bytes`.
    pub fn new(bytes: &'a [u8]) -> UndoOps<'a> {
        UndoOps { bytes }
    }
}

impl<'a> Iterator for UndoOps<'a> {
    type Item = DecodedUndo<'a>;

    fn next(&mut self) -> Option<DecodedUndo<'a>> {
        let bytes = self.bytes;
        let kind = *bytes.first()?;
        let length = usize::from(u16_at(bytes, 1));
        let (op, end) = match kind {
            1 => (DecodedUndo::Remove { key: &bytes[3..3 + length] }, 3 + length),
            2 | 3 => {
                let value_start = 13 + length;
                let end = value_start + usize::from(u16_at(bytes, 11));
                let cell = LeafCell {
                    scn: Scn(u64_at(bytes, 3)),
                    overflow: kind == 3,
                    value: &bytes[value_start..end],
                };
                (DecodedUndo::Restore { key: &bytes[13..value_start], cell }, end)
            }
            4 => {
                let child = PageId(u64_at(bytes, 3));
                (DecodedUndo::RestoreChild { key: &bytes[11..11 + length], child }, 11 + length)
            }
            5 => (DecodedUndo::UpperFence { fence: None }, 3),
            6 => (DecodedUndo::UpperFence { fence: Some(&bytes[3..3 + length]) }, 3 + length),
            7 => {
                let back_bytes = usize::from(u16_at(bytes, 3));
                let middle = 5 + length;
                let image =
                    PackedImage { front: &bytes[5..middle], back: &bytes[middle..middle + back_bytes] };
                (DecodedUndo::Image(image), middle + back_bytes)
            }
            other => panic!("undo operation {other} does not exist"),
        };
        self.bytes = &bytes[end..];
        Some(op)
    }
}

/// A page taken apart, for going back in time.
pub struct PageRebuild {
    level: u8,
    fill_percent: u8,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    cells: BTreeMap<Vec<u8>, OwnedCell>,
    page_size: usize,
    /// The commit that made the page.
    created: Scn,
}

enum OwnedCell {
    Leaf { scn: Scn, overflow: bool, value: Vec<u8> },
    Inner(PageId),
}

impl PageRebuild {
    /// Takes `page` apart.
    pub fn new(page: &[u8]) -> PageRebuild {
        let node = Node::new(page);
        let cells = (0..node.len())
            .map(|index| {
                let cell = match node.cell_value(index) {
                    CellValue::Leaf { scn, overflow, value } => {
                        OwnedCell::Leaf { scn, overflow, value: value.to_vec() }
                    }
                    CellValue::Inner(child) => OwnedCell::Inner(child),
                };
                (if index == 0 && !node.is_leaf() { Vec::new() } else { node.key(index) }, cell)
            })
            .collect();
        PageRebuild {
            level: node.level(),
            fill_percent: node.fill_percent(),
            lower: node.lower_fence().to_vec(),
            upper: node.upper_fence().map(<[u8]>::to_vec),
            cells,
            page_size: page.len(),
            created: page::created(page),
        }
    }

    /// Takes one step back.
    pub fn apply(&mut self, op: DecodedUndo<'_>) {
        match op {
            DecodedUndo::Remove { key } => {
                self.cells.remove(key);
            }
            DecodedUndo::Restore { key, cell } => {
                let cell =
                    OwnedCell::Leaf { scn: cell.scn, overflow: cell.overflow, value: cell.value.to_vec() };
                self.cells.insert(key.to_vec(), cell);
            }
            DecodedUndo::RestoreChild { key, child } => {
                self.cells.insert(key.to_vec(), OwnedCell::Inner(child));
            }
            DecodedUndo::UpperFence { fence } => self.upper = fence.map(<[u8]>::to_vec),
            DecodedUndo::Image(image) => {
                *self =
                    PageRebuild { created: self.created, ..PageRebuild::new(&image.unpack(self.page_size)) };
            }
        }
    }

    /// The last commit up to `scn` that the page itself tells of: that of its newest row, or the one that made the page,
    /// perhaps of rows from elsewhere.
    #[must_use]
    pub fn newest_change(&self, scn: Scn) -> Option<Scn> {
        let written = self.cells.values().filter_map(|cell| match cell {
            OwnedCell::Leaf { scn, .. } => Some(*scn),
            OwnedCell::Inner(_) => None,
        });
        written.chain([self.created]).filter(|written| *written <= scn).max()
    }

    /// Puts the page together again in `bytes` as it was at `scn`, without the rows that came later; returns when
    /// the first of these came.
    ///
    /// # Panics
    /// When the content is larger than the page: it was a page once, so that is a defect.
    pub fn finish(self, bytes: &mut [u8], scn: Scn) -> Option<Scn> {
        let mut next_row = None;
        bytes.fill(0);
        let shape = Shape {
            level: self.level,
            fill_percent: self.fill_percent,
            lower: &self.lower,
            upper: self.upper.as_deref(),
        };
        let mut node = NodeMut::format(bytes, shape);
        for (key, cell) in &self.cells {
            if let OwnedCell::Leaf { scn: written, .. } = cell
                && *written > scn
            {
                next_row = Some(next_row.map_or(*written, |next: Scn| next.min(*written)));
                continue;
            }
            let value = match cell {
                OwnedCell::Leaf { scn, overflow, value } => {
                    CellValue::Leaf { scn: *scn, overflow: *overflow, value }
                }
                OwnedCell::Inner(child) => CellValue::Inner(*child),
            };
            assert!(node.append(key, value), "a rebuilt page fits its page");
        }
        page::set_scn_raw(bytes, scn.0);
        page::set_created_raw(bytes, self.created.0);
        next_row
    }
}
