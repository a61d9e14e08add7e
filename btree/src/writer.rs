//! Writing the rows of one commit, with those that come in key order at the right end gathered into whole leaves.
//!
//! Loads and index builds hand their rows over in key order, each behind all that the tree has.
//!
//! 1. Such a row goes into the last leaf, like any other, until it finds that leaf full. Then a *run* begins: the leaf is
//!    closed with an upper fence, and an empty one follows it.
//! 2. The run's rows are kept in memory until they fill the empty leaf — under the prefix that its fences will share, and
//!    up to the tree's fill factor. They are written at once, with one search for all of them; the leaf is closed, and
//!    the next empty one follows it.
//! 3. Inner nodes get one separator for each leaf. At the right edge they split without moving anything, so they too
//!    fill from left to right, one open node on each level.
//! 4. [`Writer::finish`], or any row that does not continue the run, writes the rows left as the tree's last leaf.
//!
//! Pages that a run makes are new, so they need no undo records, and no copies. What is done depends on nothing but the
//! tree and the rows, so replaying a log makes the same pages with the same numbers.
//!
//! Invariants: between two calls the tree is whole but for the rows of one run, all of which belong into its last leaf;
//! a run never holds more than a page's worth of rows and one more.

use helios_bufferpool::PageId;

use crate::node::{LEAF_CELL_HEADER_BYTES, NODE_HEADER_BYTES, Node, SLOT_BYTES, Shape, fill_bytes};
use crate::node_mut::{NodeMut, common_prefix};
use crate::pages::WritePages;
use crate::write::{self, Path, Put, RowValue, separator, stamp};

/// Writes rows for one commit.
#[derive(Debug, Default)]
pub struct Writer {
    run: Option<Run>,
}

impl Writer {
    /// Takes a row that continues the present run, if it does and if the run has room for it; else nothing is done.
    #[inline]
    pub fn append(&mut self, root: PageId, key: &[u8], value: RowValue<'_>) -> bool {
        self.run.as_mut().is_some_and(|run| run.is_continued_by(root, key) && run.push(key, value))
    }

    /// Whether a row belongs to the present run.
    pub fn is_continued_by(&self, root: PageId, key: &[u8]) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_continued_by(root, key))
    }

    /// Writes a row: inserts it, or replaces the one with this key. Returns whether there was one.
    ///
    /// # Errors
    /// The fault of a missing page; to be called again then.
    pub fn put<P: WritePages>(
        &mut self,
        pages: &mut P,
        root: PageId,
        key: &[u8],
        value: RowValue<'_>,
    ) -> Result<bool, P::Fault> {
        if let Some(run) = self.run.as_mut().filter(|run| run.is_continued_by(root, key)) {
            if !run.push(key, value) {
                run.close_leaf(pages)?;
                assert!(run.push(key, value), "a leaf has room for two rows");
            }
            return Ok(false);
        }
        self.finish(pages)?;
        loop {
            if let Put::Done { existed } = write::put(pages, root, key, value)? {
                return Ok(existed);
            }
            // Where the new leaf is not empty, there is room for this row in it.
            if let Some(mut run) = Run::begin(pages, root, key)? {
                assert!(run.push(key, value), "an empty leaf has room for a row");
                self.run = Some(run);
                return Ok(false);
            }
        }
    }

    /// Removes a row. Returns whether there was one.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn remove<P: WritePages>(
        &mut self,
        pages: &mut P,
        root: PageId,
        key: &[u8],
    ) -> Result<bool, P::Fault> {
        self.finish(pages)?;
        write::remove(pages, root, key)
    }

    /// Writes what is left of a run: afterwards all rows are in their trees.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn finish<P: WritePages>(&mut self, pages: &mut P) -> Result<(), P::Fault> {
        if let Some(run) = &mut self.run {
            run.finish(pages)?;
            self.run = None;
        }
        Ok(())
    }

    /// Whether [`Writer::finish`] has something to do.
    pub fn is_finished(&self) -> bool {
        self.run.is_none()
    }

    /// Forgets a run whose pages nobody will see.
    pub fn forget(&mut self) {
        self.run = None;
    }
}

/// Rows for the last leaf of a tree.
#[derive(Debug)]
struct Run {
    root: PageId,
    /// That leaf: empty, without an upper fence.
    leaf: PageId,
    fill_percent: u8,
    lower: Vec<u8>,
    rows: Vec<Row>,
    /// The rows' keys and values.
    bytes: Vec<u8>,
    /// What the rows take in a leaf without a prefix.
    cell_bytes: usize,
    /// How much of a leaf is filled.
    fill_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    start: usize,
    key_bytes: usize,
    value_bytes: usize,
    overflow: bool,
}

impl Row {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.start + self.key_bytes]
    }

    fn value(self, bytes: &[u8]) -> RowValue<'_> {
        let value = &bytes[self.start + self.key_bytes..][..self.value_bytes];
        match value.try_into() {
            Ok(pointer) if self.overflow => RowValue::Chain(pointer),
            _ => RowValue::Inline(value),
        }
    }

    fn cell_bytes(self) -> usize {
        SLOT_BYTES + LEAF_CELL_HEADER_BYTES + self.key_bytes + self.value_bytes
    }
}

impl Run {
    /// Closes the last leaf of a tree before `key`, which comes behind all others; `None` where the leaf that follows is
    /// not empty.
    fn begin<P: WritePages>(pages: &mut P, root: PageId, key: &[u8]) -> Result<Option<Run>, P::Fault> {
        let leaf = write::add_last_leaf(pages, root, key)?;
        let bytes = pages.page(leaf)?;
        let node = Node::new(&bytes);
        let fill_percent = node.fill_percent();
        Ok(node.is_empty().then(|| Run {
            root,
            leaf,
            fill_percent,
            lower: node.lower_fence().to_vec(),
            rows: Vec::new(),
            bytes: Vec::with_capacity(bytes.len()),
            cell_bytes: 0,
            fill_bytes: fill_bytes(bytes.len(), fill_percent),
        }))
    }

    fn last_key(&self) -> &[u8] {
        self.rows.last().map_or(&self.lower, |row| row.key(&self.bytes))
    }

    #[inline]
    fn is_continued_by(&self, root: PageId, key: &[u8]) -> bool {
        self.root == root && key > self.last_key()
    }

    /// Takes a row, if all those before it fit the leaf when it is closed before this one. A first one always does, and
    /// so the second is always taken.
    #[inline]
    fn push(&mut self, key: &[u8], value: RowValue<'_>) -> bool {
        let roughly = NODE_HEADER_BYTES + self.lower.len() + self.cell_bytes + key.len();
        if roughly > self.fill_bytes && self.rows.len() > 1 && self.closed_bytes(key) > self.fill_bytes {
            return false;
        }
        let (value, overflow) = match value {
            RowValue::Inline(value) => (value, false),
            RowValue::Chain(pointer) => (&pointer[..], true),
        };
        let row = Row { start: self.bytes.len(), key_bytes: key.len(), value_bytes: value.len(), overflow };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.cell_bytes += row.cell_bytes();
        self.rows.push(row);
        true
    }

    /// The leaf's size with all rows, closed before `key`.
    fn closed_bytes(&self, key: &[u8]) -> usize {
        let prefix_bytes = common_prefix(&self.lower, key);
        let upper_bytes = common_prefix(self.last_key(), key) + 1;
        NODE_HEADER_BYTES + self.lower.len() + upper_bytes + self.cell_bytes - self.rows.len() * prefix_bytes
    }

    /// Writes all rows but the last one and closes the leaf; the last one is the first of the leaf that follows.
    fn close_leaf<P: WritePages>(&mut self, pages: &mut P) -> Result<(), P::Fault> {
        let path = Path::to(pages, self.root, &self.lower, 0)?;
        let (last, closed) = self.rows.split_last().expect("a leaf is closed behind a row");
        let before = closed.last().expect("and before another");
        let upper = separator(before.key(&self.bytes), last.key(&self.bytes), true);
        self.write(pages, closed, Some(&upper));
        self.leaf = write::follow_last_leaf(pages, &path, self.fill_percent, &upper)?;
        self.lower = upper;
        let last = Row { start: 0, ..*last };
        self.rows.clear();
        self.rows.push(last);
        self.bytes.drain(..self.bytes.len() - last.key_bytes - last.value_bytes);
        self.cell_bytes = last.cell_bytes();
        Ok(())
    }

    /// Writes all rows; the leaf stays the last one.
    fn finish<P: WritePages>(&mut self, pages: &mut P) -> Result<(), P::Fault> {
        // Without an upper fence there is no prefix.
        let open_bytes = NODE_HEADER_BYTES + self.lower.len() + self.cell_bytes;
        if open_bytes > self.fill_bytes && self.rows.len() > 1 {
            self.close_leaf(pages)?;
        }
        pages.page(self.leaf)?;
        self.write(pages, &self.rows, None);
        pages.set_last_leaf(self.root, self.leaf);
        Ok(())
    }

    /// Writes rows into the leaf.
    fn write<P: WritePages>(&self, pages: &mut P, rows: &[Row], upper: Option<&[u8]>) {
        let scn = pages.scn();
        let shape = Shape { level: 0, fill_percent: self.fill_percent, lower: &self.lower, upper };
        let mut node = NodeMut::format(pages.page_mut(self.leaf), shape);
        let prefix_bytes = node.as_node().prefix_len();
        let suffix = |row: &Row| &row.key(&self.bytes)[prefix_bytes..];
        node.append_all(rows.iter().map(|row| (suffix(row), row.value(&self.bytes).cell(scn))));
        stamp(pages, self.leaf);
    }
}
