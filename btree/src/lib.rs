//! B+trees over pages that somebody else keeps: slotted pages with prefix truncation, splits, merges,
//! overflow values, walks both ways, and the reverse operations that take a page back in time.
//!
//! Invariants
//! 1. Everything here is synchronous and holds pages only inside one call.
//! 2. Before the first change of an operation every page that it reads has been read, so that a fault
//!    leaves nothing half done.
//! 3. Every change of a page that existed before this commit is preceded by its reverse operation.
//! 4. Pages are as `check` wants them: whoever reads them from a device sees to that.
#![deny(unsafe_code)]

mod check;
mod node;
mod node_mut;
mod overflow;
mod pages;
mod rebuild;
mod tree;
mod undo;
mod varint;
mod write;
mod writer;

pub use check::check_page;
pub use node::{LeafCell, Node, ValuePlace, key_bytes_max};
pub use node_mut::{CellValue, NodeMut};
pub use overflow::{ChainReader, ChainWriter, VALUE_BYTES_MAX, is_overflow, value_pages};
pub use pages::{PageRef, ReadPages, WritePages};
pub use rebuild::PageRebuild;
pub use tree::{
    Direction, Gap, Near, RandomLeaf, Walk, dividing_keys, find_gap, get, node_at, page_count, random_leaf,
    top, walk_leaf, walk_leaf_values,
};
pub use undo::{DecodedUndo, Difference, PackedImage, UndoOp, UndoOps, encode_restore};
pub use varint::{put_varint, take_varint};
pub use write::{RowValue, create, pages_touched_max, prepare};
pub use writer::Writer;
