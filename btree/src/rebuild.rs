//! Pages on their way back in time, by the reverse operations in `undo`.
//!
//! 1. The page is copied. A row whose value had the same length before is written over where it lies, which is all there is to
//!    do for most updates.
//! 2. What else became of a cell is noted beside it, values in one buffer; cells that the page does not have (any more) are in a
//!    map of their own.
//! 3. In the end a page that nothing was noted of is what it should be. Otherwise a page is put together in one pass over
//!    the cells and the map, both in key order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use helios_bufferpool::{PageId, Scn, page};

use crate::check::check_page;
use crate::node::{LeafCell, NODE_HEADER_BYTES, Node, SLOT_BYTES, Shape};
use crate::node_mut::{CellValue, NodeMut};
use crate::undo::{DecodedUndo, Difference, UndoOps};

/// A page that goes back in time.
pub struct PageRebuild {
    /// The page, and on it rows that were written over.
    base: Box<[u8]>,
    /// What became of its cells, by slot; empty as long as all are where they were.
    noted: Vec<Noted>,
    /// Cells that it does not have.
    added: BTreeMap<Vec<u8>, Noted>,
    /// Values of cells that lie elsewhere.
    values: Vec<u8>,
    /// The upper fence, where that is another one.
    upper: Option<Option<Vec<u8>>>,
    /// The commit that made the page.
    created: Scn,
    /// The slot found last. A commit's operations come in key order, so that the next one is often beside it.
    last: usize,
}

/// What a cell is.
#[derive(Clone)]
enum Noted {
    /// What the page has there.
    OnPage,
    /// Nothing.
    Gone,
    /// A row, its value among the others.
    Row { scn: Scn, overflow: bool, value: Range<usize> },
    /// A child.
    Child(PageId),
}

/// Where a key's cell is.
enum Place {
    /// In this slot of the page.
    Slot(usize),
    /// Not on the page.
    Elsewhere,
}

impl PageRebuild {
    /// A copy of `page`.
    pub fn new(page: &[u8]) -> PageRebuild {
        PageRebuild::of_copy(page.into(), page::created(page))
    }

    fn of_copy(base: Box<[u8]>, created: Scn) -> PageRebuild {
        let (noted, added, values) = (Vec::new(), BTreeMap::new(), Vec::new());
        PageRebuild { base, noted, added, values, upper: None, created, last: 0 }
    }

    fn node(&self) -> Node<'_> {
        Node::new(&self.base)
    }

    /// Takes one step back, which the commit at `undone` went forward.
    ///
    /// # Errors
    /// What is wrong, when the operation does not belong to the page as it is by now; it is of no use any more then.
    pub fn apply(&mut self, undone: Scn, op: DecodedUndo<'_>) -> Result<(), &'static str> {
        let of_rows = matches!(op, DecodedUndo::Restore { .. } | DecodedUndo::Difference { .. });
        if (of_rows && !self.node().is_leaf())
            || (matches!(op, DecodedUndo::RestoreChild { .. }) && self.node().is_leaf())
        {
            return Err("a reverse operation is of another kind of node");
        }
        match op {
            DecodedUndo::Remove { key } => match self.place(key) {
                Place::Slot(index) => self.note(index, Noted::Gone),
                Place::Elsewhere => drop(self.added.remove(key)),
            },
            DecodedUndo::Restore { key, cell } => self.restore(key, cell),
            DecodedUndo::Difference { key, difference } => {
                return self
                    .differ(key, difference, undone)
                    .ok_or("a difference is not from what its commit wrote");
            }
            DecodedUndo::RestoreChild { key, child } => match self.place(key) {
                Place::Slot(index) => self.note(index, Noted::Child(child)),
                Place::Elsewhere => drop(self.added.insert(key.to_vec(), Noted::Child(child))),
            },
            DecodedUndo::UpperFence { fence } => self.upper = Some(fence.map(<[u8]>::to_vec)),
            DecodedUndo::Image(image) => {
                let base = image.unpack(self.base.len()).ok_or("an image is longer than a page")?;
                check_page(&base)?;
                *self = PageRebuild::of_copy(base, self.created);
            }
        }
        Ok(())
    }

    /// Takes all steps back that are encoded in `operations`.
    ///
    /// # Errors
    /// As [`PageRebuild::apply`], and when an operation cannot be read.
    pub fn apply_all(&mut self, undone: Scn, operations: &[u8]) -> Result<(), &'static str> {
        UndoOps::new(operations).try_for_each(|operation| self.apply(undone, operation?))
    }

    /// The slot that a key has on the page, whatever became of it.
    fn place(&mut self, key: &[u8]) -> Place {
        let node = Node::new(&self.base);
        if !node.is_leaf() && key.is_empty() {
            // The first key of an inner node stands for its lower fence.
            return if node.is_empty() { Place::Elsewhere } else { Place::Slot(0) };
        }
        if !key.starts_with(node.prefix()) {
            return Place::Elsewhere;
        }
        let before = self.last.wrapping_sub(1);
        let is_beside = before < node.len() && node.suffix(before) == &key[node.prefix_len()..];
        let found = if is_beside { Ok(before) } else { node.search(key) };
        if let Ok(index) = found {
            self.last = index;
        }
        found.map_or(Place::Elsewhere, Place::Slot)
    }

    fn note(&mut self, index: usize, noted: Noted) {
        if self.noted.is_empty() {
            self.noted.resize(self.node().len(), Noted::OnPage);
        }
        self.noted[index] = noted;
    }

    fn noted(&self, index: usize) -> &Noted {
        self.noted.get(index).unwrap_or(&Noted::OnPage)
    }

    fn keep(&mut self, value: &[u8]) -> Range<usize> {
        let start = self.values.len();
        self.values.extend_from_slice(value);
        start..self.values.len()
    }

    fn restore(&mut self, key: &[u8], cell: LeafCell<'_>) {
        let place = self.place(key);
        if let Place::Slot(index) = place
            && matches!(self.noted(index), Noted::OnPage)
            && NodeMut::new(&mut self.base).overwrite(index, cell.scn, cell.overflow, cell.value)
        {
            return;
        }
        let value = self.keep(cell.value);
        self.put(place, key, Noted::Row { scn: cell.scn, overflow: cell.overflow, value });
    }

    fn put(&mut self, place: Place, key: &[u8], row: Noted) {
        match place {
            Place::Slot(index) => self.note(index, row),
            Place::Elsewhere => drop(self.added.insert(key.to_vec(), row)),
        }
    }

    /// Makes a row what it was by what it is; `None` where that is not what the difference is from.
    fn differ(&mut self, key: &[u8], difference: Difference<'_>, undone: Scn) -> Option<()> {
        let Difference { scn, front, back, middle } = difference;
        let place = self.place(key);
        let on_page = matches!(&place, Place::Slot(index) if matches!(self.noted(*index), Noted::OnPage));
        if let Place::Slot(index) = place
            && on_page
        {
            let cell = self.node().leaf_cell(index);
            let kept = front.checked_add(back)?;
            if cell.scn != undone || cell.overflow || kept > cell.value.len() {
                return None;
            }
            if cell.value.len() == front + middle.len() + back {
                let mut node = NodeMut::new(&mut self.base);
                node.rewrite(index, scn, false)[front..front + middle.len()].copy_from_slice(middle);
                return Some(());
            }
            let start = self.values.len();
            let newer = Node::new(&self.base).leaf_cell(index).value;
            self.values.extend_from_slice(&newer[..front]);
            self.values.extend_from_slice(middle);
            self.values.extend_from_slice(&newer[newer.len() - back..]);
            let value = start..self.values.len();
            self.note(index, Noted::Row { scn, overflow: false, value });
            return Some(());
        }
        let noted = match &place {
            Place::Slot(index) => self.noted.get(*index),
            Place::Elsewhere => self.added.get(key),
        };
        let newer = match noted {
            Some(Noted::Row { scn: written, overflow: false, value }) if *written == undone => value.clone(),
            _ => return None,
        };
        if front.checked_add(back)? > newer.len() {
            return None;
        }
        let value = if newer.len() == front + middle.len() + back {
            self.values[newer.start + front..newer.end - back].copy_from_slice(middle);
            newer
        } else {
            let start = self.values.len();
            self.values.extend_from_within(newer.start..newer.start + front);
            self.values.extend_from_slice(middle);
            self.values.extend_from_within(newer.end - back..newer.end);
            start..self.values.len()
        };
        self.put(place, key, Noted::Row { scn, overflow: false, value });
        Some(())
    }

    /// The cell of a slot, if there is one.
    fn cell(&self, index: usize) -> Option<CellValue<'_>> {
        match self.noted(index) {
            Noted::OnPage => Some(self.node().cell_value(index)),
            noted => self.noted_cell(noted),
        }
    }

    fn noted_cell(&self, noted: &Noted) -> Option<CellValue<'_>> {
        match noted {
            Noted::Row { scn, overflow, value } => {
                Some(CellValue::Leaf { scn: *scn, overflow: *overflow, value: &self.values[value.clone()] })
            }
            Noted::Child(child) => Some(CellValue::Inner(*child)),
            Noted::OnPage | Noted::Gone => None,
        }
    }

    /// The commits that wrote its rows.
    fn writers(&self) -> impl Iterator<Item = Scn> {
        let on_page = (0..self.node().len()).filter_map(|index| self.cell(index));
        let cells = on_page.chain(self.added.values().filter_map(|noted| self.noted_cell(noted)));
        cells.filter_map(|cell| match cell {
            CellValue::Leaf { scn, .. } => Some(scn),
            CellValue::Inner(_) => None,
        })
    }

    /// The last commit up to `scn` that the page itself tells of: that of its newest row, or the one that made the page,
    /// perhaps of rows from elsewhere.
    #[must_use]
    pub fn newest_change(&self, scn: Scn) -> Option<Scn> {
        self.writers().chain([self.created]).filter(|written| *written <= scn).max()
    }

    /// Puts the page together again in `bytes` as it was at `scn`, without the rows that came later; returns when
    /// the first of these came.
    ///
    /// # Errors
    /// What is wrong, when what came out is no page.
    pub fn finish(self, bytes: &mut [u8], scn: Scn) -> Result<Option<Scn>, &'static str> {
        let next_row = self.writers().filter(|written| *written > scn).min();
        bytes.fill(0);
        if next_row.is_none() && self.noted.is_empty() && self.added.is_empty() && self.upper.is_none() {
            page::copy(&self.base, bytes);
            bytes[6..8].fill(0);
            page::set_undo_position(bytes, 0);
        } else {
            self.put_together(bytes, scn)?;
        }
        page::set_scn_raw(bytes, scn.0);
        page::set_created_raw(bytes, self.created.0);
        Ok(next_row)
    }

    /// Writes all cells in key order to a new page.
    fn put_together(&self, bytes: &mut [u8], scn: Scn) -> Result<(), &'static str> {
        let old = self.node();
        let upper = match &self.upper {
            Some(upper) => upper.as_deref(),
            None => old.upper_fence(),
        };
        let fences_bytes = old.lower_fence().len() + upper.map_or(0, <[u8]>::len);
        if NODE_HEADER_BYTES + fences_bytes > page::content_end(bytes.len()) {
            return Err("its content is larger than a page");
        }
        let mut node = NodeMut::format(bytes, Shape { upper, ..old.shape() });
        let prefix_length = node.as_node().prefix_len();
        let mut added = self.added.iter().peekable();
        let mut cells = Vec::with_capacity(old.len() + self.added.len());
        for index in 0..=old.len() {
            while let Some((key, noted)) = added.next_if(|(key, _)| self.slots_before(key) == index) {
                let suffix = Cow::Borrowed(&key[prefix_length.min(key.len())..]);
                cells.extend(self.noted_cell(noted).map(|cell| (suffix, cell)));
            }
            if index < old.len() {
                cells.extend(self.cell(index).map(|cell| (self.key_behind(index, prefix_length), cell)));
            }
        }
        let is_old_enough =
            |cell: &CellValue<'_>| !matches!(cell, CellValue::Leaf { scn: written, .. } if *written > scn);
        cells.retain(|(_, cell)| is_old_enough(cell));
        let bytes_of = |(suffix, cell): &(Cow<'_, [u8]>, CellValue<'_>)| cell.bytes(suffix) + SLOT_BYTES;
        if cells.iter().map(bytes_of).sum::<usize>() > node.as_node().gap_bytes() {
            return Err("its content is larger than a page");
        }
        node.append_all(cells.iter().map(|(suffix, cell)| (&**suffix, *cell)));
        Ok(())
    }

    /// How many of the page's keys are smaller than one that it does not have.
    fn slots_before(&self, key: &[u8]) -> usize {
        let node = self.node();
        if key.starts_with(node.prefix()) {
            return node.search(key).unwrap_or_else(|index| index);
        }
        if key < node.prefix() { 0 } else { node.len() }
    }

    /// The key of a slot behind its first `prefix_length` bytes; that of an inner node's first one is empty.
    fn key_behind(&self, index: usize, prefix_length: usize) -> Cow<'_, [u8]> {
        let node = self.node();
        if prefix_length == node.prefix_len() || (!node.is_leaf() && index == 0) {
            return Cow::Borrowed(node.suffix(index));
        }
        let key = node.key(index);
        Cow::Owned(key[prefix_length.min(key.len())..].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::undo::{UndoOps, encode_restore};

    const PAGE_BYTES: usize = 4096;

    fn leaf(rows: &[(&[u8], &[u8])], scn: Scn) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_BYTES];
        let shape = Shape { level: 0, fill_percent: 100, lower: b"k", upper: Some(b"kz") };
        let mut node = NodeMut::format(&mut bytes, shape);
        for (key, value) in rows {
            assert!(node.append(key, CellValue::Leaf { scn, overflow: false, value }));
        }
        bytes
    }

    fn rows(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Scn)> {
        let node = Node::new(bytes);
        let row = |index| {
            let cell = node.leaf_cell(index);
            (node.key(index), cell.value.to_vec(), cell.scn)
        };
        (0..node.len()).map(row).collect()
    }

    /// Values that keep both ends, one end or nothing, get longer or shorter, in several steps: each step back gives what was
    /// there, and a long value that changed in a few bytes takes few.
    #[test]
    fn values_come_back_by_their_differences() {
        let long = [b'x'; 200];
        let mut changed = long;
        changed[100] = b'y';
        let versions: [&[u8]; 9] = [
            &long,
            &changed,
            b"",
            b"short",
            &[&long[..], b"tail"].concat(),
            &[b"head", &long[..]].concat(),
            &long[..50],
            &[b"12345678", &long[..], b"12345678"].concat(),
            &[b"12345678", &long[..40], b"12345678"].concat(),
        ];
        let mut operations = Vec::new();
        for (number, pair) in versions.windows(2).enumerate() {
            let older = leaf(&[(b"ka", b"one"), (b"kb", pair[0])], Scn(number as u64));
            let mut encoded = Vec::new();
            encode_restore(&older, 1, Some(pair[1]), &mut encoded);
            operations.push(encoded);
        }
        assert!(operations[0].len() < 16, "{} bytes", operations[0].len());
        for steps in 0..versions.len() {
            let newest = versions.len() - 1;
            let page = leaf(&[(b"ka", b"one"), (b"kb", versions[newest])], Scn(newest as u64));
            let mut rebuild = PageRebuild::new(&page);
            for undone in (newest - steps + 1..=newest).rev() {
                for operation in UndoOps::new(&operations[undone - 1]) {
                    rebuild.apply(Scn(undone as u64), operation.unwrap()).unwrap();
                }
            }
            let mut built = vec![1; PAGE_BYTES];
            assert_eq!(rebuild.finish(&mut built, Scn(100)), Ok(None));
            let expected = (b"kb".to_vec(), versions[newest - steps].to_vec(), Scn((newest - steps) as u64));
            assert_eq!(rows(&built)[1], expected);
        }
    }

    /// Rows before, between and behind those of the page, under a fence that shares less with the lower one.
    #[test]
    fn rows_that_moved_away_come_back_in_order() {
        let page = leaf(&[(b"kb", b"1"), (b"kd", b"2"), (b"kf", b"3")], Scn(5));
        let mut rebuild = PageRebuild::new(&page);
        rebuild.apply(Scn(6), DecodedUndo::UpperFence { fence: Some(b"z") }).unwrap();
        let cell = |value| LeafCell { scn: Scn(4), overflow: false, value };
        for key in [&b"ka"[..], b"kc", b"kx", b"m", b"p", b"kd"] {
            rebuild.apply(Scn(6), DecodedUndo::Restore { key, cell: cell(key) }).unwrap();
        }
        rebuild.apply(Scn(6), DecodedUndo::Remove { key: b"kf" }).unwrap();
        rebuild.apply(Scn(6), DecodedUndo::Remove { key: b"p" }).unwrap();
        rebuild.apply(Scn(6), DecodedUndo::Remove { key: b"never" }).unwrap();
        assert_eq!(rebuild.newest_change(Scn(9)), Some(Scn(5)));
        let mut built = vec![1; PAGE_BYTES];
        // The row that is still of commit 5 came later.
        assert_eq!(rebuild.finish(&mut built, Scn(4)), Ok(Some(Scn(5))));
        let keys: Vec<Vec<u8>> = rows(&built).into_iter().map(|row| row.0).collect();
        assert_eq!(keys, [&b"ka"[..], b"kc", b"kd", b"kx", b"m"]);
        assert_eq!(Node::new(&built).upper_fence(), Some(&b"z"[..]));
    }
}
