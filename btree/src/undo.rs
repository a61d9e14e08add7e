//! Reverse operations: how to get from a version of a page back to the one before.
//!
//! They are logical and carry full keys, so they apply whatever the page's physical layout is by then; a
//! rebuilt page ([`PageRebuild`](crate::PageRebuild)) is logically equal to what it was, not byte for byte. Rows that were
//! inserted need no operation: their SCN says that they were not there before.
//!
//! | operation | bytes |
//! |---|---|
//! | remove | 1, key length (2), key |
//! | restore child | 4, key length (2), child page (8), key |
//! | upper fence | 5 (none) or 6, key length (2), key |
//! | image | 7, `lower` (2), bytes used at the back (2), the used bytes of the page |
//! | restore | 8 (9 for an overflow value), key length (varint), SCN (varint), value length (varint), key, value |
//! | difference | 10, key length (varint), SCN (varint), bytes kept at the front (varint) and at the back (varint), bytes between (varint), key, these |
//! | restore, of earlier programs | 2 (3 for an overflow value), key length (2), SCN (8), value length (2), key, value |
//!
//! A *difference* says what a row was by what it became: where an update changed a part of a value, the bytes before and
//! behind that part are taken from the newer value. It is of values, not of pages: the newer value is the one that this very
//! commit wrote, whatever page it is on and wherever there, which the row's SCN confirms when it is applied.

use helios_bufferpool::{PageId, Scn, page};

use crate::node::{LeafCell, Node, u16_at, u64_at};
use crate::node_mut::{common_prefix, common_suffix};
use crate::varint::{put_varint, take_varint};

/// A difference is made where it leaves out so many bytes of the value.
const SAVED_BYTES_MIN: usize = 8;

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
                encode_cell([key, &[]], cell, None, out);
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
/// together first. `newer` is the value that it is about to get, if that will be in the leaf too.
pub fn encode_restore(leaf: &[u8], index: usize, newer: Option<&[u8]>, out: &mut Vec<u8>) {
    let node = Node::new(leaf);
    encode_cell([node.prefix(), node.suffix(index)], node.leaf_cell(index), newer, out);
}

/// The same of a cell with the two parts of its key.
fn encode_cell(key: [&[u8]; 2], cell: LeafCell<'_>, newer: Option<&[u8]>, out: &mut Vec<u8>) {
    let value = cell.value;
    let kept = newer.filter(|_| !cell.overflow).map(|newer| {
        let front = common_prefix(value, newer);
        (front, common_suffix(&value[front..], &newer[front..]))
    });
    let kept = kept.filter(|(front, back)| front + back >= SAVED_BYTES_MIN);
    out.push(match kept {
        Some(_) => 10,
        None if cell.overflow => 9,
        None => 8,
    });
    put_varint((key[0].len() + key[1].len()) as u64, out);
    put_varint(cell.scn.0, out);
    let (front, back) = kept.unwrap_or_default();
    if kept.is_some() {
        put_varint(front as u64, out);
        put_varint(back as u64, out);
    }
    let own = &value[front..value.len() - back];
    put_varint(own.len() as u64, out);
    key.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(own);
}

/// An image as the undo log keeps it.
#[derive(Clone, Copy, Debug)]
pub struct PackedImage<'a> {
    front: &'a [u8],
    back: &'a [u8],
}

impl PackedImage<'_> {
    /// The page, its unused middle zeroed; `None` where it is longer than a page.
    pub(crate) fn unpack(&self, page_size: usize) -> Option<Box<[u8]>> {
        let end = page::content_end(page_size);
        let back_start = end.checked_sub(self.back.len()).filter(|start| self.front.len() <= *start)?;
        let mut bytes = vec![0; page_size].into_boxed_slice();
        bytes[..self.front.len()].copy_from_slice(self.front);
        bytes[back_start..end].copy_from_slice(self.back);
        Some(bytes)
    }
}

/// What a row's value was, by the value after it.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// Who had written it.
    pub(crate) scn: Scn,
    /// So many bytes are those at the newer value's front.
    pub(crate) front: usize,
    /// So many are those at its back.
    pub(crate) back: usize,
    /// What was between them.
    pub(crate) middle: &'a [u8],
}

/// A decoded operation.
#[derive(Clone, Copy, Debug)]
pub enum DecodedUndo<'a> {
    /// See [`UndoOp::Remove`].
    Remove { key: &'a [u8] },
    /// See [`UndoOp::Restore`].
    Restore { key: &'a [u8], cell: LeafCell<'a> },
    /// The row was its next value, but for a part.
    Difference { key: &'a [u8], difference: Difference<'a> },
    /// See [`UndoOp::RestoreChild`].
    RestoreChild { key: &'a [u8], child: PageId },
    /// See [`UndoOp::UpperFence`].
    UpperFence { fence: Option<&'a [u8]> },
    /// See [`UndoOp::Image`].
    Image(PackedImage<'a>),
}

/// Walks over encoded operations. One that cannot be read is the last one.
pub struct UndoOps<'a> {
    bytes: &'a [u8],
}

impl<'a> UndoOps<'a> {
    /// The operations in `bytes`.
    pub fn new(bytes: &'a [u8]) -> UndoOps<'a> {
        UndoOps { bytes }
    }

    /// The next operation; `None` where it is none.
    #[inline]
    fn take(&mut self) -> Option<DecodedUndo<'a>> {
        let (kind, rest) = self.bytes.split_first()?;
        let (op, rest) = match kind {
            8..=10 => take_value(*kind, rest)?,
            2 | 3 => take_early_value(*kind, rest)?,
            _ => take_structure(*kind, rest)?,
        };
        self.bytes = rest;
        Some(op)
    }
}

impl<'a> Iterator for UndoOps<'a> {
    type Item = Result<DecodedUndo<'a>, &'static str>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_none() {
            self.bytes = &[];
        }
        Some(taken.ok_or("a reverse operation cannot be read"))
    }
}

/// An operation, and what is behind it.
type Taken<'a> = Option<(DecodedUndo<'a>, &'a [u8])>;

/// An operation that gives a row's value.
#[inline]
fn take_value(kind: u8, mut rest: &[u8]) -> Taken<'_> {
    let mut number = || usize::try_from(take_varint(&mut rest)?).ok();
    let (key_length, scn) = (number()?, Scn(number()? as u64));
    let (front, back) = if kind == 10 { (number()?, number()?) } else { (0, 0) };
    let length = number()?;
    let (key, rest) = rest.split_at_checked(key_length)?;
    let (value, rest) = rest.split_at_checked(length)?;
    let op = match kind {
        10 => DecodedUndo::Difference { key, difference: Difference { scn, front, back, middle: value } },
        _ => DecodedUndo::Restore { key, cell: LeafCell { scn, overflow: kind == 9, value } },
    };
    Some((op, rest))
}

/// The same as earlier programs wrote it.
fn take_early_value(kind: u8, rest: &[u8]) -> Taken<'_> {
    let (head, rest) = rest.split_first_chunk::<12>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16_at(head, 0)))?;
    let (value, rest) = rest.split_at_checked(usize::from(u16_at(head, 10)))?;
    let cell = LeafCell { scn: Scn(u64_at(head, 2)), overflow: kind == 3, value };
    Some((DecodedUndo::Restore { key, cell }, rest))
}

/// An operation on what is not a row; or a row's end.
fn take_structure(kind: u8, rest: &[u8]) -> Taken<'_> {
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    match kind {
        1 => {
            let (key, rest) = rest.split_at_checked(length)?;
            Some((DecodedUndo::Remove { key }, rest))
        }
        4 => {
            let (child, rest) = rest.split_first_chunk::<8>()?;
            let (key, rest) = rest.split_at_checked(length)?;
            Some((DecodedUndo::RestoreChild { key, child: PageId(u64::from_le_bytes(*child)) }, rest))
        }
        5 => Some((DecodedUndo::UpperFence { fence: None }, rest)),
        6 => {
            let (fence, rest) = rest.split_at_checked(length)?;
            Some((DecodedUndo::UpperFence { fence: Some(fence) }, rest))
        }
        7 => {
            let (back_bytes, rest) = rest.split_first_chunk::<2>()?;
            let (front, rest) = rest.split_at_checked(length)?;
            let (back, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*back_bytes)))?;
            Some((DecodedUndo::Image(PackedImage { front, back }), rest))
        }
        _ => None,
    }
}
