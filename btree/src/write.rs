//! Changing single rows: put and remove, splits and merges. `writer` does so row by row, or whole leaves at a time.
//!
//! 1. Descend to the leaf, remembering the path; only reading, so a fault leaves nothing changed.
//! 2. Change a private copy of the leaf, after telling the undo log how to go back.
//! 3. A leaf with no room splits: at the right edge of the tree the new row starts an empty leaf (so that
//!    loading in key order fills leaves completely), elsewhere half of the bytes move. The separator goes to
//!    the parent, which may split in turn; a root that splits keeps its page and becomes a level higher.
//! 4. A leaf under a quarter full joins a neighbour of the same parent, if both fit.

use helios_bufferpool::{PageId, Scn, page};

use crate::node::{LEAF_CELL_HEADER_BYTES, NODE_HEADER_BYTES, Node, SLOT_BYTES, Shape, cell_bytes_max};
use crate::node_mut::{CellValue, NodeMut, common_prefix};
use crate::pages::{ReadPages, WritePages};
use crate::tree::{LEVELS_MAX, node_at, top};
use crate::undo::UndoOp;

const OUTSIDE: &str = "its fences are not those that lead to it";

#[derive(Clone, Copy)]
struct Step {
    page: PageId,
    /// Which child was taken; for the node at the end, nothing.
    child: usize,
}

/// The way from the root to a node.
pub(crate) struct Path {
    steps: [Step; LEVELS_MAX],
    length: usize,
}

impl Path {
    /// Descends to the node of `level` that covers `key`.
    pub(crate) fn to<P: ReadPages>(pages: &P, root: PageId, key: &[u8], level: u8) -> Result<Path, P::Fault> {
        let mut path = Path { steps: [Step { page: root, child: 0 }; LEVELS_MAX], length: 0 };
        let mut page = root;
        let mut bytes = top(pages, root)?;
        loop {
            let node = Node::new(&bytes);
            let child = if node.level() == level { 0 } else { node.child_index(key) };
            path.steps[path.length] = Step { page, child };
            path.length += 1;
            if node.level() == level {
                // A row put where it does not belong would not be found again.
                return if node.covers(key) { Ok(path) } else { Err(pages.damaged(page, OUTSIDE)) };
            }
            page = node.child(child);
            bytes = node_at(pages, page, node.level() - 1)?;
        }
    }

    /// Descends to the leaf that covers `key`, which is about to be changed.
    fn to_change<P: WritePages>(pages: &mut P, root: PageId, key: &[u8]) -> Result<Path, P::Fault> {
        let path = Path::to(pages, root, key, 0)?;
        pages.prepare_levels(path.length)?;
        Ok(path)
    }

    fn last(&self) -> Step {
        self.steps[self.length - 1]
    }

    fn parent(&self) -> Option<Path> {
        (self.length > 1).then(|| Path { steps: self.steps, length: self.length - 1 })
    }

    fn root(&self) -> PageId {
        self.steps[0].page
    }
}

/// Makes `root` an empty tree: its root page is a leaf over all keys. Rows that come in key order fill its pages to
/// `fill_percent`.
pub fn create<P: WritePages>(pages: &mut P, root: PageId, fill_percent: u8) {
    let scn = pages.scn();
    let bytes = pages.page_mut(root);
    NodeMut::format(bytes, Shape { level: 0, fill_percent, lower: &[], upper: None });
    page::set_scn_raw(bytes, scn.0);
}

/// Reads the pages that [`put`] or [`remove`] of `key` starts from, and returns the leaf that covers the key. `last` is
/// what was returned for the key before: keys in order mostly find the same leaf, without descending.
///
/// # Errors
/// The fault of a missing page.
pub fn prepare<P: ReadPages>(
    pages: &P,
    root: PageId,
    key: &[u8],
    last: Option<PageId>,
) -> Result<PageId, P::Fault> {
    if let Some(leaf) = last
        && Node::new(&pages.page(leaf)?).covers(key)
    {
        return Ok(leaf);
    }
    Ok(Path::to(pages, root, key, 0)?.last().page)
}

/// The most pages that a [`Writer`](crate::Writer) copies or allocates for one row in a tree of `levels`, overflow
/// pages apart.
pub fn pages_touched_max(levels: usize) -> usize {
    2 * levels + 3
}

/// What a row's cell holds.
#[derive(Clone, Copy, Debug)]
pub enum RowValue<'v> {
    /// The value itself; it is not too large for that ([`is_overflow`](crate::is_overflow)).
    Inline(&'v [u8]),
    /// [`ChainWriter::pointer`](crate::ChainWriter::pointer) of a value that is written already.
    Chain(&'v [u8; 16]),
}

impl<'v> RowValue<'v> {
    /// The cell of a row written at `scn`.
    pub(crate) fn cell(self, scn: Scn) -> CellValue<'v> {
        match self {
            RowValue::Inline(value) => CellValue::Leaf { scn, overflow: false, value },
            RowValue::Chain(pointer) => CellValue::Leaf { scn, overflow: true, value: pointer },
        }
    }
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was written; there was one with this key, or not.
    Done { existed: bool },
    /// It comes behind all others of the tree, and the last leaf has no room for it. Nothing was changed.
    AtEnd,
}

/// Writes a row: inserts it, or replaces the one with this key.
///
/// # Errors
/// The fault of a missing page; nothing is changed then.
pub(crate) fn put<P: WritePages>(
    pages: &mut P,
    root: PageId,
    key: &[u8],
    value: RowValue<'_>,
) -> Result<Put, P::Fault> {
    if let Some(leaf) = pages.last_leaf(root)
        && let RowValue::Inline(value) = value
        && let Some(existed) = put_in_leaf(pages, leaf, key, value)?
    {
        return Ok(Put::Done { existed });
    }
    let path = Path::to_change(pages, root, key)?;
    let leaf = path.last().page;
    let scn = pages.scn();
    let cell = value.cell(scn);
    let bytes = pages.page(leaf)?;
    let node = Node::new(&bytes);
    let found = node.search(key);
    let is_at_end = found == Err(node.len()) && !node.is_empty() && node.upper_fence().is_none();
    let cell_bytes = cell.bytes(&key[node.prefix_len()..]);
    let free_bytes = node.gap_bytes() + node.garbage_bytes();
    if is_at_end && (free_bytes < cell_bytes + SLOT_BYTES || node.is_full_at_end(found, cell_bytes)) {
        return Ok(Put::AtEnd);
    }
    // A row's difference from its next value is for those who find that on the same page: not where a split may move it.
    let newer = match (value, found) {
        (RowValue::Inline(value), Ok(index)) => Some(value).filter(|value| {
            let has_room = free_bytes + node.cell_bytes(index) >= cell_bytes;
            node.leaf_cell(index).value.len() == value.len() || (has_room && node.upper_fence().is_some())
        }),
        _ => None,
    };
    drop(bytes);
    pages.page_mut(leaf);
    pages.set_last_leaf(root, leaf);
    if let Ok(index) = found {
        pages.undo_row(leaf, index, newer);
        let mut node = NodeMut::new(pages.page_mut(leaf));
        let CellValue::Leaf { overflow, value, .. } = cell else { unreachable!("rows are in leaves") };
        if !node.overwrite(index, scn, overflow, value) {
            node.remove(index);
            place(pages, path, key, cell)?;
        }
    } else {
        // A new row's SCN tells older readers that it was not there: no undo is needed.
        place(pages, path, key, cell)?;
    }
    stamp(pages, leaf);
    Ok(Put::Done { existed: found.is_ok() })
}

/// Closes the last leaf of a tree, before `key`: it gets an upper fence, and a further leaf follows it, which is mostly
/// empty.
///
/// # Errors
/// The fault of a missing page; nothing is changed then.
pub(crate) fn add_last_leaf<P: WritePages>(
    pages: &mut P,
    root: PageId,
    key: &[u8],
) -> Result<PageId, P::Fault> {
    let mut path = Path::to(pages, root, key, 0)?;
    if path.length == 1 {
        push_down_root(pages, root);
        path = Path::to(pages, root, key, 0)?;
    }
    let parent = path.parent().expect("the root was just put above its leaf");
    split(pages, path.last().page, parent, key)
}

/// Adds an empty leaf behind the last one, which was closed at `separator`.
///
/// # Errors
/// The fault of a missing page; nothing is changed then.
pub(crate) fn follow_last_leaf<P: WritePages>(
    pages: &mut P,
    path: &Path,
    fill_percent: u8,
    separator: &[u8],
) -> Result<PageId, P::Fault> {
    let parent = path.parent().expect("a leaf that another follows is not the root");
    let next = pages.allocate();
    NodeMut::format(pages.page_mut(next), Shape { level: 0, fill_percent, lower: separator, upper: None });
    stamp(pages, next);
    add_child(pages, parent, separator, next)?;
    Ok(next)
}

/// The short way: the row belongs into `leaf`, and fits there. `None` when not, and then nothing is changed.
fn put_in_leaf<P: WritePages>(
    pages: &mut P,
    leaf: PageId,
    key: &[u8],
    value: &[u8],
) -> Result<Option<bool>, P::Fault> {
    let bytes = pages.page(leaf)?;
    let node = Node::new(&bytes);
    let cell_bytes = key.len() + value.len() + SLOT_BYTES + LEAF_CELL_HEADER_BYTES;
    if !node.is_leaf()
        || cell_bytes > cell_bytes_max(bytes.len())
        || node.gap_bytes() < cell_bytes
        || !node.covers(key)
    {
        return Ok(None);
    }
    let place = node.search(key);
    if node.is_full_at_end(place, cell_bytes - SLOT_BYTES) {
        return Ok(None);
    }
    drop(bytes);
    let scn = pages.scn();
    let cell = CellValue::Leaf { scn, overflow: false, value };
    if let Ok(index) = place {
        // Made before, so that the way back is told against the copy.
        pages.page_mut(leaf);
        pages.undo_row(leaf, index, Some(value));
    }
    let mut node = NodeMut::new(pages.page_mut(leaf));
    let suffix = &key[node.as_node().prefix_len()..];
    match place {
        Ok(index) if node.overwrite(index, scn, false, value) => {}
        Ok(index) => {
            node.remove(index);
            node.insert(index, suffix, cell);
        }
        Err(index) => node.insert(index, suffix, cell),
    }
    node.stamp(scn);
    Ok(Some(place.is_ok()))
}

pub(crate) fn stamp<P: WritePages>(pages: &mut P, page: PageId) {
    let scn = pages.scn();
    page::set_scn_raw(pages.page_mut(page), scn.0);
}

/// Puts a cell into the node at the end of `path`, splitting as often as needed. The undo of an insertion into an
/// inner node was recorded by the caller, against the node before any split.
fn place<P: WritePages>(
    pages: &mut P,
    mut path: Path,
    key: &[u8],
    cell: CellValue<'_>,
) -> Result<(), P::Fault> {
    for _ in 0..LEVELS_MAX {
        let target = path.last().page;
        let mut node = NodeMut::new(pages.page_mut(target));
        let suffix = &key[node.as_node().prefix_len()..];
        let found = node.as_node().search(key);
        if node.fits(suffix, cell) && !node.as_node().is_full_at_end(found, cell.bytes(suffix)) {
            node.insert(found.unwrap_or_else(|index| index), suffix, cell);
            stamp(pages, target);
            return Ok(());
        }
        let level = node.as_node().level();
        match path.parent() {
            Some(parent) => {
                split(pages, target, parent, key)?;
            }
            None => push_down_root(pages, target),
        }
        // Every page on the new way was read or made by this operation, so this meets no fault.
        path = Path::to(pages, path.root(), key, level)?;
    }
    panic!("page splits do not end");
}

/// Splits the node `left` below the node at the end of `parent`, to make room for `key`; returns the new node.
fn split<P: WritePages>(pages: &mut P, left: PageId, parent: Path, key: &[u8]) -> Result<PageId, P::Fault> {
    let old: Vec<u8> = pages.page_mut(left).to_vec();
    let node = Node::new(&old);
    let (from, separator) = split_point(node, key);

    // The way back: the left page held all of it.
    let moved: Vec<Vec<u8>> = (from..node.len()).map(|index| node.key(index)).collect();
    let mut operations = vec![UndoOp::UpperFence { fence: node.upper_fence() }];
    operations.extend(moved.iter().zip(from..).map(|(key, index)| match node.is_leaf() {
        true => UndoOp::Restore { key, cell: node.leaf_cell(index) },
        false => UndoOp::RestoreChild { key, child: node.child(index) },
    }));
    pages.undo(left, &operations);

    let right = pages.allocate();
    fill(pages.page_mut(right), node, from..node.len(), Shape { lower: &separator, ..node.shape() });
    stamp(pages, right);
    fill(pages.page_mut(left), node, 0..from, Shape { upper: Some(&separator), ..node.shape() });
    stamp(pages, left);
    add_child(pages, parent, &separator, right)?;
    Ok(right)
}

/// Names a new child in the node at the end of `parent`.
fn add_child<P: WritePages>(
    pages: &mut P,
    parent: Path,
    separator: &[u8],
    child: PageId,
) -> Result<(), P::Fault> {
    pages.page_mut(parent.last().page);
    pages.undo(parent.last().page, &[UndoOp::Remove { key: separator }]);
    place(pages, parent, separator, CellValue::Inner(child))
}

/// Moves the root's content to a new child, so that the root has one child and is a level higher.
fn push_down_root<P: WritePages>(pages: &mut P, root: PageId) {
    pages.page_mut(root);
    pages.undo_image(root);
    let child = pages.allocate();
    let old: Vec<u8> = pages.page_mut(root).to_vec();
    let node = Node::new(&old);
    fill(pages.page_mut(child), node, 0..node.len(), node.shape());
    stamp(pages, child);
    let shape = Shape { level: node.level() + 1, ..node.shape() };
    let mut top = NodeMut::format(pages.page_mut(root), shape);
    let placed = top.append(&[], CellValue::Inner(child));
    assert!(placed, "an empty node takes a child");
    stamp(pages, root);
}

/// Where to split `node` to make room for `key`: the first cell that moves, and the separator.
fn split_point(node: Node<'_>, key: &[u8]) -> (usize, Vec<u8>) {
    let count = node.len();
    if node.upper_fence().is_none() && node.search(key) == Err(count) {
        // Loading in order: the full page stays as it is, the new key begins the next one.
        let fence = separator(&node.bound(count - 1), key, node.is_leaf());
        if node.used_bytes() + fence.len() <= page::content_end(node.bytes.len()) {
            return (count, fence);
        }
        // No room for the fence; the last cell is larger than the separator before it.
        return (count - 1, separator(&node.bound(count - 2), &node.bound(count - 1), node.is_leaf()));
    }
    let total: usize = (0..count).map(|index| node.cell_bytes(index) + SLOT_BYTES).sum();
    let mut before = 0;
    let mut middle = count / 2;
    for index in 0..count {
        before += node.cell_bytes(index) + SLOT_BYTES;
        if before >= total / 2 {
            middle = index + 1;
            break;
        }
    }
    let middle = middle.clamp(1, count.max(2) - 1);
    (middle, separator(&node.bound(middle - 1), &node.bound(middle), node.is_leaf()))
}

/// The shortest string greater than `left` and not greater than `right`. Inner nodes split at whole keys:
/// their keys are separators already.
pub(crate) fn separator(left: &[u8], right: &[u8], is_leaf: bool) -> Vec<u8> {
    let end = if is_leaf { common_prefix(left, right) + 1 } else { right.len() };
    right[..end].to_vec()
}

/// Formats `bytes` with some cells of `source`.
fn fill(bytes: &mut [u8], source: Node<'_>, range: std::ops::Range<usize>, shape: Shape<'_>) {
    let first_inner = (!source.is_leaf()).then_some(range.start);
    let mut node = NodeMut::format(bytes, shape);
    let more_prefix = node.as_node().prefix_len().checked_sub(source.prefix_len());
    if let Some(more) = more_prefix.filter(|_| source.is_leaf()) {
        return node.append_rows(source, range, more);
    }
    let mut key = Vec::new();
    for index in range {
        key.clear();
        if first_inner != Some(index) {
            source.key_into(index, &mut key);
        }
        let placed = node.append(&key, source.cell_value(index));
        assert!(placed, "part of a page fits a page");
    }
}

/// Removes a row. Returns whether there was one.
///
/// # Errors
/// The fault of a missing page; nothing is changed then.
pub fn remove<P: WritePages>(pages: &mut P, root: PageId, key: &[u8]) -> Result<bool, P::Fault> {
    if let Some(leaf) = pages.last_leaf(root)
        && let Some(existed) = remove_in_leaf(pages, leaf, key)?
    {
        return Ok(existed);
    }
    let path = Path::to_change(pages, root, key)?;
    let leaf = path.last().page;
    let Ok(index) = Node::new(&pages.page(leaf)?).search(key) else { return Ok(false) };
    read_neighbours(pages, &path, index)?;
    // The frame is copied only now: removing nothing changes nothing.
    pages.page_mut(leaf);
    pages.set_last_leaf(root, leaf);
    if remove_row(pages, leaf, index) < pages.page_size() / 4 {
        merge_up(pages, path);
    }
    Ok(true)
}

/// The short way: the key belongs into `leaf`, which stays full enough. `None` when not, and then nothing is changed.
fn remove_in_leaf<P: WritePages>(pages: &mut P, leaf: PageId, key: &[u8]) -> Result<Option<bool>, P::Fault> {
    let bytes = pages.page(leaf)?;
    let node = Node::new(&bytes);
    if !node.is_leaf() || !node.covers(key) {
        return Ok(None);
    }
    let Ok(index) = node.search(key) else { return Ok(Some(false)) };
    if node.used_bytes() < bytes.len() / 4 + node.cell_bytes(index) + SLOT_BYTES {
        return Ok(None);
    }
    drop(bytes);
    pages.page_mut(leaf);
    remove_row(pages, leaf, index);
    Ok(Some(true))
}

/// Removes a row of a leaf that is copied; returns how full the leaf is then.
fn remove_row<P: WritePages>(pages: &mut P, leaf: PageId, index: usize) -> usize {
    pages.undo_row(leaf, index, None);
    let scn = pages.scn();
    let mut node = NodeMut::new(pages.page_mut(leaf));
    node.remove(index);
    node.stamp(scn);
    node.as_node().used_bytes()
}

/// Reads the neighbours that may be joined when cell `index` of the leaf goes, so that what is joined does not depend on
/// which pages happen to be in memory: replaying a log has to join the same pages.
fn read_neighbours<P: ReadPages>(pages: &P, path: &Path, index: usize) -> Result<(), P::Fault> {
    let mut gone = index;
    for depth in (1..path.length).rev() {
        let bytes = pages.page(path.steps[depth].page)?;
        let node = Node::new(&bytes);
        // A node loses the cell found or, above a leaf, the one of a child that was joined: this one's or the next.
        let cell_bytes =
            |index: usize| if index < node.len() { node.cell_bytes(index) + SLOT_BYTES } else { 0 };
        let lost = cell_bytes(gone).max(if node.is_leaf() { 0 } else { cell_bytes(gone + 1) });
        if node.used_bytes() >= bytes.len() / 4 + lost {
            return Ok(());
        }
        gone = path.steps[depth - 1].child;
        let parent_bytes = pages.page(path.steps[depth - 1].page)?;
        let parent = Node::new(&parent_bytes);
        if gone + 1 < parent.len() {
            pages.page(parent.child(gone + 1))?;
        }
        if let Some(before) = gone.checked_sub(1) {
            pages.page(parent.child(before))?;
        }
    }
    Ok(())
}

/// Joins the node at the end of `path` with a neighbour, and so on upwards.
fn merge_up<P: WritePages>(pages: &mut P, mut path: Path) {
    while let Some(parent) = path.parent() {
        let Step { page, child } = parent.last();
        if !join_with_neighbour(pages, page, child) {
            return;
        }
        let bytes = pages.page_mut(page);
        let node = Node::new(bytes);
        if parent.length == 1 && node.len() == 1 {
            pull_up_root(pages, page);
            return;
        }
        if node.used_bytes() >= bytes.len() / 4 {
            return;
        }
        path = parent;
    }
}

/// Joins child `index` of `parent` with the next or the previous child; false when neither can be.
fn join_with_neighbour<P: WritePages>(pages: &mut P, parent: PageId, index: usize) -> bool {
    let Some(left_index) = joinable(pages, parent, index) else { return false };
    let parent_bytes = read(pages, parent);
    let parent_node = Node::new(&parent_bytes);
    let (left, right) = (parent_node.child(left_index), parent_node.child(left_index + 1));
    let (left_bytes, right_bytes) = (read(pages, left), read(pages, right));
    pages.page_mut(left);
    pages.undo_image(left);
    join(pages.page_mut(left), Node::new(&left_bytes), Node::new(&right_bytes));
    stamp(pages, left);
    pages.free(right);
    let separator = parent_node.key(left_index + 1);
    pages.page_mut(parent);
    pages.undo(parent, &[UndoOp::RestoreChild { key: &separator, child: right }]);
    NodeMut::new(pages.page_mut(parent)).remove(left_index + 1);
    stamp(pages, parent);
    true
}

/// The left one of two neighbours that can be joined, of which child `index` of `parent` is one.
fn joinable<P: WritePages>(pages: &P, parent: PageId, index: usize) -> Option<usize> {
    let was_read = "a page is read before the change";
    let parent_bytes = pages.page(parent).ok().expect(was_read);
    let parent_node = Node::new(&parent_bytes);
    [Some(index), index.checked_sub(1)].into_iter().flatten().find(|left_index| {
        left_index + 1 < parent_node.len() && {
            let left = pages.page(parent_node.child(*left_index)).ok().expect(was_read);
            let right = pages.page(parent_node.child(left_index + 1)).ok().expect(was_read);
            can_join(Node::new(&left), Node::new(&right))
        }
    })
}

/// A copy of a page that was read before anything was changed.
fn read<P: ReadPages>(pages: &P, page: PageId) -> Vec<u8> {
    match pages.page(page) {
        Ok(bytes) => bytes.to_vec(),
        Err(_) => panic!("page {page} was read before the change"),
    }
}

/// Whether both fit one page with some room left, whatever prefix the joined page has. What does not begin where the other one
/// ends is no neighbour.
fn can_join(left: Node<'_>, right: Node<'_>) -> bool {
    if !right.is_at(left.level()) || left.upper_fence() != Some(right.lower_fence()) {
        return false;
    }
    let room = page::content_end(left.bytes.len()) * 3 / 4;
    // Mostly that can be told without looking at cells.
    let least = |node: Node<'_>| {
        node.used_bytes().saturating_sub(
            NODE_HEADER_BYTES + node.lower_fence().len() + node.upper_fence().map_or(0, <[u8]>::len),
        )
    };
    if least(left) + least(right) > room {
        return false;
    }
    let cells = |node: Node<'_>| -> usize {
        (0..node.len()).map(|index| node.cell_bytes(index) + SLOT_BYTES + node.prefix_len()).sum()
    };
    let fences = left.lower_fence().len() + right.upper_fence().map_or(0, <[u8]>::len);
    let separator = right.lower_fence().len();
    cells(left) + cells(right) + fences + separator + 64 <= room
}

fn join(bytes: &mut [u8], left: Node<'_>, right: Node<'_>) {
    fill(bytes, left, 0..left.len(), Shape { upper: right.upper_fence(), ..left.shape() });
    let mut node = NodeMut::new(bytes);
    for index in 0..right.len() {
        let placed = node.append(&right.bound(index), right.cell_value(index));
        assert!(placed, "joined pages were measured before");
    }
}

/// Takes a lone child's content into the root, which so becomes a level lower.
fn pull_up_root<P: WritePages>(pages: &mut P, root: PageId) {
    let child = Node::new(pages.page_mut(root)).child(0);
    let old = read(pages, child);
    pages.undo_image(root);
    let node = Node::new(&old);
    fill(pages.page_mut(root), node, 0..node.len(), node.shape());
    stamp(pages, root);
    pages.free(child);
}
