//! Reading: point lookups and walks.
//!
//! A tree is named by its root page, which stays the root for ever: when it splits, its content moves to two
//! new children. Leaves are not linked; a walk goes on at the fence of the leaf it left, so it needs no page
//! between two calls, and survives splits, merges and evictions.

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow, Range};

use helios_bufferpool::PageId;

use crate::node::{CELLS_AHEAD, LeafCell, Node, ValuePlace};
use crate::pages::{PageRef, ReadPages};

/// The levels a tree can have. An inner page has room for four of the longest separators, so 24 levels
/// outlast any device.
pub(crate) const LEVELS_MAX: usize = 24;

const ASTRAY: &str = "a leaf of its tree is not where its fences say";

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From small keys to large.
    Forward,
    /// From large keys to small.
    Backward,
}

/// Where a walk stands when it has left a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Go on at this bound.
    At(Bound<Vec<u8>>),
    /// There is nothing further within its bounds.
    End,
}

/// Calls `read` with the row of `key`, or `None`.
///
/// # Errors
/// The fault of a missing page; `read` was not called then.
#[inline]
pub fn get<P: ReadPages, R>(
    pages: &P,
    root: PageId,
    key: &[u8],
    read: impl FnOnce(Option<LeafCell<'_>>) -> R,
) -> Result<R, P::Fault> {
    let leaf = descend(pages, root, |node| node.child_index(key))?;
    let node = Node::new(&leaf);
    Ok(match node.search(key) {
        Ok(index) => read(Some(node.leaf_cell(index))),
        Err(_) => read(None),
    })
}

/// Two neighbours in a tree, and nothing between them.
#[derive(Clone, Debug, Default)]
pub struct Gap {
    after: Vec<u8>,
    /// `None` at the right end of the tree.
    before: Option<Vec<u8>>,
}

impl Gap {
    /// Whether a key is between them.
    #[inline]
    pub fn holds(&self, key: &[u8]) -> bool {
        key > &self.after[..] && self.before.as_deref().is_none_or(|before| key < before)
    }
}

/// Looks a key up; tells whether there is a row, and where there is none, between which others it would be.
///
/// # Errors
/// The fault of a missing page.
pub fn find_gap<P: ReadPages>(pages: &P, root: PageId, key: &[u8], gap: &mut Gap) -> Result<bool, P::Fault> {
    let leaf = descend(pages, root, |node| node.child_index(key))?;
    let node = Node::new(&leaf);
    let Err(index) = node.search(key) else { return Ok(true) };
    gap.after.clear();
    match index.checked_sub(1) {
        Some(before) => node.key_into(before, &mut gap.after),
        // Whether the fence is a row's key too does not matter: the gap does not hold it.
        None => gap.after.extend_from_slice(node.lower_fence()),
    }
    if index == node.len() {
        gap.before = node.upper_fence().map(<[u8]>::to_vec);
    } else {
        let before = gap.before.get_or_insert_default();
        before.clear();
        node.key_into(index, before);
    }
    Ok(false)
}

/// A leaf met by chance, and what it says of the whole tree.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomLeaf {
    /// The leaf's keys lie from here on …
    pub lower: Vec<u8>,
    /// … to before here; `None` at the right end of the tree.
    pub upper: Option<Vec<u8>>,
    /// The leaf's rows.
    pub rows: usize,
    /// The product of the branches that there were on the way: one over the chance to come here. Times `rows`
    /// it is, on average, the number of rows in the tree (Knuth, "Estimating the efficiency of backtrack programs",
    /// 1975).
    pub ways: f64,
}

/// Goes down to some leaf: `choose(n)` picks one of `n` branches.
///
/// # Errors
/// The fault of a missing page.
pub fn random_leaf<P: ReadPages>(
    pages: &P,
    root: PageId,
    choose: &mut dyn FnMut(usize) -> usize,
) -> Result<RandomLeaf, P::Fault> {
    let mut ways = 1.0;
    let mut page = top(pages, root)?;
    loop {
        let node = Node::new(&page);
        if node.is_leaf() {
            let upper = node.upper_fence().map(<[u8]>::to_vec);
            return Ok(RandomLeaf { lower: node.lower_fence().to_vec(), upper, rows: node.len(), ways });
        }
        ways *= node.len() as f64;
        page = child_of(pages, node, choose(node.len()).min(node.len() - 1))?;
    }
}

/// Keys that divide a tree into parts of about the same number of leaves: at least `wanted` parts where there are so many
/// leaves, and hardly more than twice as many. Reads inner pages, and one leaf at most.
///
/// # Errors
/// The fault of a missing page.
pub fn dividing_keys<P: ReadPages>(pages: &P, root: PageId, wanted: usize) -> Result<Vec<Vec<u8>>, P::Fault> {
    // The nodes of a level from left to right, each with the key that it begins at.
    let mut level = vec![(Vec::new(), root)];
    for height in (1..=Node::new(&top(pages, root)?).level()).rev() {
        if level.len() >= wanted {
            break;
        }
        let mut below = Vec::new();
        for (start, page) in level {
            let page = node_at(pages, page, height)?;
            let node = Node::new(&page);
            below.push((start, node.child(0)));
            below.extend((1..node.len()).map(|index| (node.key(index), node.child(index))));
        }
        level = below;
    }
    let step = (level.len() / wanted.max(1)).max(1);
    Ok(level.into_iter().step_by(step).skip(1).map(|(start, _)| start).collect())
}

/// About how many pages a tree has, those of large values apart; none where it has no rows. Reads at most `nodes_max` nodes
/// of a level and no leaf below the root; exact where no level of inner nodes has more.
///
/// # Errors
/// The fault of a missing page.
pub fn page_count<P: ReadPages>(pages: &P, root: PageId, nodes_max: usize) -> Result<f64, P::Fault> {
    let top = top(pages, root)?;
    let top = Node::new(&top);
    if top.is_leaf() && top.is_empty() {
        return Ok(0.0);
    }
    // Some nodes of a level, evenly from left to right, and how many it has in all.
    let (mut level, mut width) = (vec![root], 1.0);
    let mut total = width;
    for height in (1..=top.level()).rev() {
        let step = level.len().div_ceil(nodes_max.max(1));
        let (mut below, mut read) = (Vec::new(), 0.0);
        for page in level.iter().step_by(step) {
            let page = node_at(pages, *page, height)?;
            let node = Node::new(&page);
            below.extend((0..node.len()).map(|index| node.child(index)));
            read += 1.0;
        }
        width *= below.len() as f64 / read;
        total += width;
        level = below;
    }
    Ok(total)
}

/// The root of a tree.
///
/// # Errors
/// The fault of a missing page, or of one that is no node.
#[inline]
pub fn top<P: ReadPages>(pages: &P, root: PageId) -> Result<PageRef<'_>, P::Fault> {
    let page = pages.page(root)?;
    let level = page[34];
    if usize::from(level) < LEVELS_MAX && Node::new(&page).is_at(level) {
        return Ok(page);
    }
    Err(pages.damaged(root, "it is no root of a tree"))
}

/// The node `level` above the leaves that a page has to be, being a child of one that is a level higher.
///
/// # Errors
/// The fault of a missing page, or of one that is no such node.
#[inline]
pub fn node_at<P: ReadPages>(pages: &P, page: PageId, level: u8) -> Result<PageRef<'_>, P::Fault> {
    let bytes = pages.page(page)?;
    if Node::new(&bytes).is_at(level) {
        return Ok(bytes);
    }
    Err(pages.damaged(page, "it is no child of the node above it"))
}

/// A child of an inner node.
#[inline]
fn child_of<'p, P: ReadPages>(pages: &'p P, node: Node<'_>, index: usize) -> Result<PageRef<'p>, P::Fault> {
    node_at(pages, node.child(index), node.level() - 1)
}

#[inline]
fn descend<P: ReadPages>(
    pages: &P,
    root: PageId,
    choose: impl Fn(Node<'_>) -> usize,
) -> Result<PageRef<'_>, P::Fault> {
    let mut page = top(pages, root)?;
    loop {
        let node = Node::new(&page);
        if node.is_leaf() {
            return Ok(page);
        }
        page = child_of(pages, node, choose(node))?;
    }
}

/// Where a walk of a tree was last, which spares the next one of the same tree at the same moment the way down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    leaf: Option<PageId>,
    /// The node above it, and which of its children it is.
    parent: Option<(PageId, usize)>,
    /// The walk came to the leaf's end, so it probably goes on in the next one.
    ended: bool,
}

impl Near {
    /// The leaf itself, if a key belongs to it.
    #[inline]
    fn same<'p, P: ReadPages>(&self, pages: &'p P, key: &[u8]) -> Result<Option<PageRef<'p>>, P::Fault> {
        let Some(leaf) = self.leaf else { return Ok(None) };
        let page = pages.page(leaf)?;
        let node = Node::new(&page);
        let covers = node.is_leaf() && node.covers(key);
        Ok(covers.then_some(page))
    }

    /// The leaf behind it below the same node, if it begins with a key; it becomes the one where the walk is.
    #[inline]
    fn next<'p, P: ReadPages>(&mut self, pages: &'p P, key: &[u8]) -> Result<Option<PageRef<'p>>, P::Fault> {
        let Some((parent, index)) = self.parent else { return Ok(None) };
        let page = pages.page(parent)?;
        let node = Node::new(&page);
        let index = index + 1;
        if node.level() != 1
            || index >= node.len()
            || key.strip_prefix(node.prefix()) != Some(node.suffix(index))
        {
            return Ok(None);
        }
        let leaf = node.child(index);
        let page = node_at(pages, leaf, 0)?;
        *self = Near { leaf: Some(leaf), parent: Some((parent, index)), ended: false };
        // A walk that comes from one leaf to the next goes on to the one behind it.
        if index + 1 < node.len() {
            pages.expect(node.child(index + 1));
        }
        Ok(Some(page))
    }
}

/// The leaf that a key belongs to, which becomes the one that the walk is near: keys that are looked for one after the other
/// often belong to the same.
#[inline]
fn leaf_of<'p, P: ReadPages>(
    pages: &'p P,
    root: PageId,
    near: &mut Near,
    key: &[u8],
) -> Result<PageRef<'p>, P::Fault> {
    if near.ended
        && let Some(page) = near.next(pages, key)?
    {
        return Ok(page);
    }
    if let Some(page) = near.same(pages, key)? {
        near.ended = false;
        return Ok(page);
    }
    let (mut id, mut parent) = (root, None);
    let mut page = top(pages, root)?;
    loop {
        let node = Node::new(&page);
        if node.is_leaf() {
            *near = Near { leaf: Some(id), parent, ended: false };
            return Ok(page);
        }
        let index = node.child_index(key);
        parent = Some((id, index));
        id = node.child(index);
        page = node_at(pages, id, node.level() - 1)?;
    }
}

/// Visits the rows of one leaf, from `from` on in `direction` and not beyond `to`, as `visit(prefix, suffix, cell)`, where
/// prefix and suffix make the key, until `visit` breaks. Returns where to go on: after a break, right behind the row that it
/// broke on; else at the leaf's fence, which may be beyond `to`.
///
/// Where `to` is in the leaf is looked for once, so that no row is compared with it; and the visitor is no trait object,
/// so that it becomes part of the loop.
///
/// `near` is where such a walk of the same tree at the same moment was before, and becomes where this one was.
///
/// # Errors
/// The fault of a missing page; nothing was visited then.
pub fn walk_leaf<P: ReadPages>(
    pages: &P,
    root: PageId,
    near: &mut Near,
    from: &Bound<Vec<u8>>,
    to: &Bound<Vec<u8>>,
    direction: Direction,
    visit: impl FnMut(&[u8], &[u8], LeafCell<'_>) -> ControlFlow<()>,
) -> Result<Walk, P::Fault> {
    match direction {
        Direction::Forward => walk_forward(pages, root, near, (from, to), visit),
        Direction::Backward => walk_backward(pages, root, from, to, visit),
    }
}

/// How many rows of a leaf come before its first one beyond `to`; those before `first` do.
fn rows_up_to(node: Node<'_>, to: &Bound<Vec<u8>>, first: usize) -> usize {
    /// Searches for few rows end close to where they begin.
    const CLOSE: usize = 6;
    let (Bound::Included(key) | Bound::Excluded(key)) = to else { return node.len() };
    if node.upper_fence().is_some_and(|fence| &key[..] >= fence) {
        return node.len();
    }
    if &key[..] < node.lower_fence() {
        return 0;
    }
    let suffix = &key[node.prefix_len()..];
    for index in first..node.len().min(first + CLOSE) {
        match (node.order(index, suffix), to) {
            (Ordering::Less, _) => {}
            (Ordering::Equal, Bound::Included(_)) => return index + 1,
            _ => return index,
        }
    }
    match (node.search(key), to) {
        (Ok(index), Bound::Included(_)) => index + 1,
        (Ok(index) | Err(index), _) => index,
    }
}

/// How many rows of a leaf come before its first one that is not, seen backwards, beyond `to`.
fn rows_below(node: Node<'_>, to: &Bound<Vec<u8>>) -> usize {
    let (Bound::Included(key) | Bound::Excluded(key)) = to else { return 0 };
    if &key[..] < node.lower_fence() {
        return 0;
    }
    if node.upper_fence().is_some_and(|fence| &key[..] >= fence) {
        return node.len();
    }
    match (node.search(key), to) {
        (Ok(index), Bound::Excluded(_)) => index + 1,
        (Ok(index) | Err(index), _) => index,
    }
}

/// The leaf that a walk forwards begins in, and which of its rows are within the walk's bounds.
#[inline]
fn leaf_forward<'p, P: ReadPages>(
    pages: &'p P,
    root: PageId,
    near: &mut Near,
    (from, to): (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
) -> Result<(PageRef<'p>, Range<usize>), P::Fault> {
    let start: &[u8] = match from {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    };
    let leaf = leaf_of(pages, root, near, start)?;
    let node = Node::new(&leaf);
    let first = match from {
        Bound::Unbounded => 0,
        // Where a walk goes on it begins at the leaf's begin.
        Bound::Included(_) if start == node.lower_fence() => 0,
        Bound::Included(_) => node.search(start).unwrap_or_else(|index| index),
        Bound::Excluded(_) => node.search(start).map_or_else(|index| index, |index| index + 1),
    };
    let end = rows_up_to(node, to, first);
    Ok((leaf, first..end.max(first)))
}

/// Where a walk from `from` on goes on that visited all rows of a leaf before `end`.
#[inline]
fn behind<P: ReadPages>(
    pages: &P,
    root: PageId,
    node: Node<'_>,
    end: usize,
    (near, from): (&mut Near, &Bound<Vec<u8>>),
) -> Result<Walk, P::Fault> {
    if end < node.len() {
        return Ok(Walk::End);
    }
    near.ended = true;
    let Some(fence) = node.upper_fence() else { return Ok(Walk::End) };
    match from {
        // It would come back here for ever.
        Bound::Included(key) | Bound::Excluded(key) if fence <= &key[..] => Err(pages.damaged(root, ASTRAY)),
        _ => Ok(Walk::At(Bound::Included(fence.to_vec()))),
    }
}

fn walk_forward<P: ReadPages>(
    pages: &P,
    root: PageId,
    near: &mut Near,
    bounds: (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
    mut visit: impl FnMut(&[u8], &[u8], LeafCell<'_>) -> ControlFlow<()>,
) -> Result<Walk, P::Fault> {
    let (leaf, rows) = leaf_forward(pages, root, near, bounds)?;
    let node = Node::new(&leaf);
    let prefix = node.prefix();
    let slots = node.slots(rows.clone());
    slots.iter().take(CELLS_AHEAD).for_each(|slot| node.prefetch_slot(u64::from_le_bytes(*slot)));
    for (at, slot) in slots.iter().enumerate() {
        if let Some(slot) = slots.get(at + CELLS_AHEAD) {
            node.prefetch_slot(u64::from_le_bytes(*slot));
        }
        let (suffix, cell) = node.leaf_row_at(u64::from_le_bytes(*slot));
        if visit(prefix, suffix, cell).is_break() {
            return Ok(Walk::At(Bound::Excluded(node.key(rows.start + at))));
        }
    }
    behind(pages, root, node, rows.end, (near, bounds.0))
}

/// The same forwards for the values alone, which are visited together, as `visit(page, places)`; it tells how many of them it
/// took, one at least: the walk goes on behind those. `None`, and nothing was visited, where one of them is on pages of its
/// own. `places` is room to work in.
///
/// # Errors
/// The fault of a missing page; nothing was visited then.
pub fn walk_leaf_values<P: ReadPages>(
    pages: &P,
    root: PageId,
    near: &mut Near,
    bounds: (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
    places: &mut Vec<ValuePlace>,
    visit: impl FnOnce(&[u8], &[ValuePlace]) -> usize,
) -> Result<Option<Walk>, P::Fault> {
    let (leaf, rows) = leaf_forward(pages, root, near, bounds)?;
    let node = Node::new(&leaf);
    if !node.value_places(rows.clone(), places) {
        return Ok(None);
    }
    if !places.is_empty() {
        let taken = visit(&leaf, places).max(1);
        if taken < places.len() {
            return Ok(Some(Walk::At(Bound::Excluded(node.key(rows.start + taken - 1)))));
        }
    }
    behind(pages, root, node, rows.end, (near, bounds.0)).map(Some)
}

fn walk_backward<P: ReadPages>(
    pages: &P,
    root: PageId,
    from: &Bound<Vec<u8>>,
    to: &Bound<Vec<u8>>,
    mut visit: impl FnMut(&[u8], &[u8], LeafCell<'_>) -> ControlFlow<()>,
) -> Result<Walk, P::Fault> {
    let leaf = descend(pages, root, |node| match from {
        Bound::Unbounded => node.len() - 1,
        Bound::Included(key) => node.child_index(key),
        // The rows before `key` end in the last child whose lower fence is smaller.
        Bound::Excluded(key) => match node.search(key) {
            Ok(index) => index.saturating_sub(1),
            Err(index) => index.saturating_sub(1),
        },
    })?;
    let node = Node::new(&leaf);
    let end = match from {
        Bound::Unbounded => node.len(),
        Bound::Included(key) => node.search(key).map_or_else(|index| index, |index| index + 1),
        // The leaf may end right at `key`, which its fences then do not cover.
        Bound::Excluded(key) if !node.covers(key) => node.len(),
        Bound::Excluded(key) => node.search(key).unwrap_or_else(|index| index),
    };
    let begin = rows_below(node, to);
    let prefix = node.prefix();
    for index in (begin..end).rev() {
        let (suffix, cell) = node.leaf_row(index);
        if visit(prefix, suffix, cell).is_break() {
            return Ok(Walk::At(Bound::Excluded(node.key(index))));
        }
    }
    if begin > 0 {
        return Ok(Walk::End);
    }
    let fence = node.lower_fence();
    let is_astray = match from {
        Bound::Included(key) => fence > &key[..],
        Bound::Excluded(key) => fence >= &key[..],
        Bound::Unbounded => false,
    };
    if is_astray && !fence.is_empty() {
        return Err(pages.damaged(root, ASTRAY));
    }
    Ok(if fence.is_empty() { Walk::End } else { Walk::At(Bound::Excluded(fence.to_vec())) })
}
