//! Leaf and inner pages, write side. The layout is in `node`.

use helios_bufferpool::page::{self, PageKind};
use helios_bufferpool::{PageId, Scn};

use crate::node::{
    INNER_CELL_HEADER_BYTES, LEAF_CELL_HEADER_BYTES, NODE_HEADER_BYTES, Node, OVERFLOW_FLAG, SLOT_BYTES,
    Shape, head,
};

/// A node that may be changed: a private copy of a page.
pub struct NodeMut<'a> {
    bytes: &'a mut [u8],
}

fn set_u16(bytes: &mut [u8], offset: usize, value: usize) {
    let value = u16::try_from(value).expect("an offset within a page");
    bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

/// How many bytes two strings have in common at their beginning.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    // Eight at a time as far as they are the same.
    let pairs = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let same = 8 * pairs.take_while(|(a, b)| a == b).count();
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

/// How many they have in common at their end.
pub(crate) fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let pairs = a.as_rchunks::<8>().1.iter().rev().zip(b.as_rchunks::<8>().1.iter().rev());
    let same = 8 * pairs.take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// The value of a cell to write.
#[derive(Clone, Copy, Debug)]
pub enum CellValue<'v> {
    /// A row.
    Leaf { scn: Scn, overflow: bool, value: &'v [u8] },
    /// A child.
    Inner(PageId),
}

impl CellValue<'_> {
    pub(crate) fn bytes(self, suffix: &[u8]) -> usize {
        match self {
            CellValue::Leaf { value, .. } => LEAF_CELL_HEADER_BYTES + suffix.len() + value.len(),
            CellValue::Inner(_) => 8 + suffix.len(),
        }
    }
}

impl<'a> NodeMut<'a> {
    /// Views a private copy of a page as a node.
    pub fn new(bytes: &'a mut [u8]) -> NodeMut<'a> {
        NodeMut { bytes }
    }

    /// Makes an empty node; keeps the page header's flags, SCNs and undo position.
    pub(crate) fn format(bytes: &'a mut [u8], shape: Shape<'_>) -> NodeMut<'a> {
        let Shape { level, fill_percent, lower, upper } = shape;
        let kept: [u8; 26] = bytes[6..32].try_into().expect("26 bytes");
        page::initialize(bytes, if level == 0 { PageKind::Leaf } else { PageKind::Inner });
        bytes[6..32].copy_from_slice(&kept);
        bytes[32..NODE_HEADER_BYTES].fill(0);
        bytes[34] = level;
        bytes[35] = u8::from(upper.is_some());
        set_u16(bytes, 36, upper.map_or(0, |upper| common_prefix(lower, upper)));
        set_u16(bytes, 38, lower.len());
        set_u16(bytes, 40, upper.map_or(0, <[u8]>::len));
        bytes[44] = if fill_percent == 100 { 0 } else { fill_percent };
        let middle = NODE_HEADER_BYTES + lower.len();
        bytes[NODE_HEADER_BYTES..middle].copy_from_slice(lower);
        let end = middle + upper.map_or(0, <[u8]>::len);
        bytes[middle..end].copy_from_slice(upper.unwrap_or_default());
        page::set_lower(bytes, end as u16);
        NodeMut { bytes }
    }

    /// The read side.
    pub fn as_node(&self) -> Node<'_> {
        Node::new(self.bytes)
    }

    /// Whether a cell of `suffix` and `value` fits, after compaction if need be.
    pub(crate) fn fits(&self, suffix: &[u8], value: CellValue<'_>) -> bool {
        let node = self.as_node();
        node.gap_bytes() + node.garbage_bytes() >= value.bytes(suffix) + SLOT_BYTES
    }

    /// Inserts a cell at `index`; the caller made sure that it [`fits`](Self::fits).
    pub(crate) fn insert(&mut self, index: usize, suffix: &[u8], value: CellValue<'_>) {
        let cell_bytes = value.bytes(suffix);
        if self.as_node().gap_bytes() < cell_bytes + SLOT_BYTES {
            self.compact();
        }
        let lower = usize::from(page::lower(self.bytes));
        let offset = usize::from(page::upper(self.bytes)) - cell_bytes;
        assert!(offset >= lower + SLOT_BYTES, "the caller checked that the cell fits");
        self.write_cell(offset, suffix, value);
        page::set_upper(self.bytes, offset as u16);
        let slot_start = self.as_node().slots_start() + index * SLOT_BYTES;
        self.bytes.copy_within(slot_start..lower, slot_start + SLOT_BYTES);
        self.write_slot(slot_start, suffix, offset);
        page::set_lower(self.bytes, (lower + SLOT_BYTES) as u16);
        let count = self.as_node().len() + 1;
        set_u16(self.bytes, 32, count);
    }

    /// Removes the cell at `index`.
    pub(crate) fn remove(&mut self, index: usize) {
        let node = self.as_node();
        let garbage = node.garbage_bytes() + node.cell_bytes(index);
        let slot_start = node.slots_start() + index * SLOT_BYTES;
        let count = node.len() - 1;
        let lower = usize::from(page::lower(self.bytes));
        self.bytes.copy_within(slot_start + SLOT_BYTES..lower, slot_start);
        page::set_lower(self.bytes, (lower - SLOT_BYTES) as u16);
        set_u16(self.bytes, 32, count);
        set_u16(self.bytes, 42, garbage);
    }

    /// Overwrites the row at `index` where it lies, if the new value has the same length.
    pub(crate) fn overwrite(&mut self, index: usize, scn: Scn, overflow: bool, value: &[u8]) -> bool {
        let same_length = self.as_node().leaf_cell(index).value.len() == value.len();
        if same_length {
            self.rewrite(index, scn, overflow).copy_from_slice(value);
        }
        same_length
    }

    /// Gives the row at `index` another writer, and its value's bytes to be changed.
    pub(crate) fn rewrite(&mut self, index: usize, scn: Scn, overflow: bool) -> &mut [u8] {
        let node = self.as_node();
        let length = node.leaf_cell(index).value.len();
        let (_, offset, suffix_length) = node.slot(index);
        let start = offset + LEAF_CELL_HEADER_BYTES + suffix_length;
        self.bytes[offset..offset + 8].copy_from_slice(&scn.0.to_le_bytes());
        let flagged = length as u16 | if overflow { OVERFLOW_FLAG } else { 0 };
        self.bytes[offset + 8..offset + 10].copy_from_slice(&flagged.to_le_bytes());
        &mut self.bytes[start..start + length]
    }

    /// Appends a cell with the whole `key`; cells must come in key order. Returns false when it does not fit.
    pub(crate) fn append(&mut self, key: &[u8], value: CellValue<'_>) -> bool {
        let suffix = &key[self.as_node().prefix_len().min(key.len())..];
        if !self.fits(suffix, value) {
            return false;
        }
        let index = self.as_node().len();
        self.insert(index, suffix, value);
        true
    }

    /// Appends cells with what their keys have behind the node's prefix, in key order; the caller made sure that all fit.
    pub(crate) fn append_all<'c>(&mut self, cells: impl Iterator<Item = (&'c [u8], CellValue<'c>)>) {
        let mut count = self.as_node().len();
        let mut slot_start = usize::from(page::lower(self.bytes));
        let mut offset = usize::from(page::upper(self.bytes));
        for (suffix, value) in cells {
            offset -= value.bytes(suffix);
            assert!(offset >= slot_start + SLOT_BYTES, "the caller checked that the cells fit");
            self.write_cell(offset, suffix, value);
            self.write_slot(slot_start, suffix, offset);
            slot_start += SLOT_BYTES;
            count += 1;
        }
        page::set_lower(self.bytes, slot_start as u16);
        page::set_upper(self.bytes, offset as u16);
        set_u16(self.bytes, 32, count);
    }

    /// Appends rows of another leaf, whose prefix is shorter by `more` bytes or the same; the caller made sure that all fit.
    pub(crate) fn append_rows(&mut self, source: Node<'_>, rows: std::ops::Range<usize>, more: usize) {
        let mut count = self.as_node().len();
        let mut slot_start = usize::from(page::lower(self.bytes));
        let mut offset = usize::from(page::upper(self.bytes));
        let bytes = &mut *self.bytes;
        for slot in source.slots(rows) {
            let cell = source.raw_leaf_cell(u64::from_le_bytes(*slot));
            let suffix_bytes = usize::from(u16::from_le_bytes([slot[6], slot[7]])) - more;
            let (header, rest) = cell.split_at(LEAF_CELL_HEADER_BYTES);
            let rest = &rest[more..];
            offset -= LEAF_CELL_HEADER_BYTES + rest.len();
            assert!(offset >= slot_start + SLOT_BYTES, "the caller checked that the cells fit");
            let (to, to_rest) =
                bytes[offset..][..LEAF_CELL_HEADER_BYTES + rest.len()].split_at_mut(LEAF_CELL_HEADER_BYTES);
            to.copy_from_slice(header);
            to_rest.copy_from_slice(rest);
            write_slot(bytes, slot_start, &rest[..suffix_bytes], offset);
            slot_start += SLOT_BYTES;
            count += 1;
        }
        page::set_lower(self.bytes, slot_start as u16);
        page::set_upper(self.bytes, offset as u16);
        set_u16(self.bytes, 32, count);
    }

    /// Moves all live cells together at the page's end.
    fn compact(&mut self) {
        let copy = self.bytes.to_vec();
        let old = Node::new(&copy);
        let mut offset = page::content_end(self.bytes.len());
        let slots_start = old.slots_start();
        for index in 0..old.len() {
            let cell = old.raw_cell(index);
            offset -= cell.len();
            self.bytes[offset..offset + cell.len()].copy_from_slice(cell);
            set_u16(self.bytes, slots_start + index * SLOT_BYTES + 4, offset);
        }
        page::set_upper(self.bytes, offset as u16);
        set_u16(self.bytes, 42, 0);
    }

    #[inline]
    fn write_slot(&mut self, start: usize, suffix: &[u8], offset: usize) {
        write_slot(self.bytes, start, suffix, offset);
    }

    #[inline]
    fn write_cell(&mut self, offset: usize, suffix: &[u8], value: CellValue<'_>) {
        match value {
            CellValue::Leaf { scn, overflow, value } => {
                let cell = &mut self.bytes[offset..][..LEAF_CELL_HEADER_BYTES + suffix.len() + value.len()];
                let (header, rest) = cell.split_at_mut(LEAF_CELL_HEADER_BYTES);
                header[..8].copy_from_slice(&scn.0.to_le_bytes());
                let length = value.len() as u16 | if overflow { OVERFLOW_FLAG } else { 0 };
                header[8..].copy_from_slice(&length.to_le_bytes());
                let (key, rest) = rest.split_at_mut(suffix.len());
                key.copy_from_slice(suffix);
                rest.copy_from_slice(value);
            }
            CellValue::Inner(child) => {
                let cell = &mut self.bytes[offset..][..INNER_CELL_HEADER_BYTES + suffix.len()];
                let (header, key) = cell.split_at_mut(INNER_CELL_HEADER_BYTES);
                header.copy_from_slice(&child.0.to_le_bytes());
                key.copy_from_slice(suffix);
            }
        }
    }

    /// Says which commit the page is of.
    pub(crate) fn stamp(&mut self, scn: Scn) {
        page::set_scn_raw(self.bytes, scn.0);
    }
}

#[inline]
fn write_slot(bytes: &mut [u8], start: usize, suffix: &[u8], offset: usize) {
    let slot = u64::from(head(suffix)) | (offset as u64) << 32 | (suffix.len() as u64) << 48;
    bytes[start..start + SLOT_BYTES].copy_from_slice(&slot.to_le_bytes());
}

impl<'a> Node<'a> {
    /// The cell at `index`, as something to write elsewhere.
    pub(crate) fn cell_value(self, index: usize) -> CellValue<'a> {
        if self.is_leaf() {
            let cell = self.leaf_cell(index);
            CellValue::Leaf { scn: cell.scn, overflow: cell.overflow, value: cell.value }
        } else {
            CellValue::Inner(self.child(index))
        }
    }

    /// The key at `index`, as the fences see it: an inner node's first key is its lower fence.
    pub(crate) fn bound(self, index: usize) -> Vec<u8> {
        if !self.is_leaf() && index == 0 { self.lower_fence().to_vec() } else { self.key(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_ends_of_all_lengths() {
        for length in 0..40 {
            for unlike in 0..length {
                let (one, mut other) = (vec![1u8; length], vec![1u8; length]);
                other[unlike] = 2;
                assert_eq!(common_prefix(&one, &other), unlike);
                assert_eq!(common_suffix(&one, &other), length - 1 - unlike);
                assert_eq!(common_prefix(&one, &other[..unlike]), unlike);
                assert_eq!(common_suffix(&one, &other[unlike + 1..]), length - 1 - unlike);
            }
            assert_eq!(common_prefix(&vec![1; length], &[1; 17]), length.min(17));
            assert_eq!(common_suffix(&vec![1; length], &[1; 17]), length.min(17));
        }
    }
}
