//! What must hold of a page's bytes before anybody reads them as a node or as part of a value.
//!
//! Everything else here trusts the layout in `node` and `overflow`. Pages that were made in memory have it; those that come
//! from a device are checked once, as they are read, and so is what histories make of them. What only two pages together
//! can break is checked on the way down a tree: the level of a child, and the fences of a leaf that is about to be changed.

use helios_bufferpool::page::{self, PageKind};

use crate::node::{
    INNER_CELL_HEADER_BYTES, LEAF_CELL_HEADER_BYTES, NODE_HEADER_BYTES, Node, OVERFLOW_FLAG, SLOT_BYTES,
    cell_bytes_max, head, key_bytes_max, u16_at,
};
use crate::overflow::{POINTER_BYTES, chunk};
use crate::tree::LEVELS_MAX;

/// Checks that the bytes are those of a leaf, an inner page or an overflow page, so that reading and changing it meets nothing
/// that is not there. Costs one pass over the cells.
///
/// # Errors
/// What is wrong.
pub fn check_page(bytes: &[u8]) -> Result<(), &'static str> {
    let (lower, upper) = (usize::from(page::lower(bytes)), usize::from(page::upper(bytes)));
    if lower > upper || upper > page::content_end(bytes.len()) {
        return Err("its parts overlap");
    }
    match page::kind(bytes) {
        Some(PageKind::Leaf) if bytes[34] == 0 => check_node(Node::new(bytes), lower, upper),
        Some(PageKind::Inner) if (1..LEVELS_MAX).contains(&usize::from(bytes[34])) => {
            check_node(Node::new(bytes), lower, upper)
        }
        Some(PageKind::Overflow) => chunk(bytes).map(|_| ()).ok_or("it is no part of a value"),
        _ => Err("it is of no kind"),
    }
}

fn check_node(node: Node<'_>, lower: usize, upper: usize) -> Result<(), &'static str> {
    let bytes = node.bytes;
    let (lower_bytes, upper_bytes) = (usize::from(u16_at(bytes, 38)), usize::from(u16_at(bytes, 40)));
    let key_max = key_bytes_max(bytes.len());
    let slots_end = NODE_HEADER_BYTES + lower_bytes + upper_bytes + node.len() * SLOT_BYTES;
    if lower_bytes > key_max || upper_bytes > key_max || slots_end != lower {
        return Err("its slots are not where its fences end");
    }
    if node.fill_percent() > 100 {
        return Err("it is fuller than full");
    }
    let fence = node.upper_fence();
    let is_prefix_shared = match fence {
        Some(fence) => fence.starts_with(node.lower_fence().get(..node.prefix_len()).unwrap_or(fence)),
        None => node.prefix_len() == 0,
    };
    if node.prefix_len() > lower_bytes || !is_prefix_shared {
        return Err("its prefix is not that of its fences");
    }
    if fence.is_some_and(|fence| node.lower_fence() >= fence) {
        return Err("its fences are the wrong way round");
    }
    let cells_bytes = check_cells(node, upper)?;
    if cells_bytes + node.garbage_bytes() > page::content_end(bytes.len()) - upper {
        return Err("its cells take more than there is");
    }
    Ok(())
}

/// Checks the cells and their order; returns the bytes of all of them.
fn check_cells(node: Node<'_>, upper: usize) -> Result<usize, &'static str> {
    let (bytes, is_leaf) = (node.bytes, node.is_leaf());
    if !is_leaf && node.is_empty() {
        return Err("it has no children");
    }
    let end = page::content_end(bytes.len());
    let header_bytes = if is_leaf { LEAF_CELL_HEADER_BYTES } else { INNER_CELL_HEADER_BYTES };
    // An inner node's first key stands for its lower fence, whatever it is.
    let first = usize::from(!is_leaf);
    let mut before = &node.lower_fence()[node.prefix_len()..];
    let mut cells_bytes = 0;
    for index in 0..node.len() {
        let (key_head, offset, suffix_bytes) = node.slot(index);
        if offset < upper || offset + header_bytes + suffix_bytes > end {
            return Err("a cell is outside of it");
        }
        let mut cell_bytes = header_bytes + suffix_bytes;
        if is_leaf {
            let length = u16_at(bytes, offset + LEAF_CELL_HEADER_BYTES - 2);
            let value_bytes = usize::from(length & !OVERFLOW_FLAG);
            if length & OVERFLOW_FLAG != 0 && value_bytes != POINTER_BYTES {
                return Err("a cell names its value's pages wrongly");
            }
            cell_bytes += value_bytes;
        }
        if offset + cell_bytes > end || cell_bytes + SLOT_BYTES > cell_bytes_max(bytes.len()) {
            return Err("a cell is too long");
        }
        cells_bytes += cell_bytes;
        let suffix = &bytes[offset + header_bytes..][..suffix_bytes];
        if key_head != head(suffix) {
            return Err("a slot has another key than its cell");
        }
        if index >= first {
            let in_order = if index == 0 { before <= suffix } else { before < suffix };
            if !in_order {
                return Err("its keys are not in order");
            }
            before = suffix;
        }
    }
    let fence = node.upper_fence().map(|fence| &fence[node.prefix_len()..]);
    match fence {
        Some(fence) if before >= fence => Err("its keys are not in order"),
        _ => Ok(cells_bytes),
    }
}
