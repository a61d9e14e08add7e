//! Own rows for a scan, when not all of them are in memory: those of about a page of the private tree at a time, merged
//! with what is in memory. The scan is held to the part of its range that they cover.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use helios_btree::{Direction, Walk};

use super::{OwnedChange, Spilled};
use crate::error::Fault;
use crate::ids::TreeId;
use crate::large_value::PartialValue;
use crate::scan::KeyRange;
use crate::write_set::Change;

/// Bytes of rows held at a time; one row may go beyond.
const BYTES_MAX: usize = 64 << 10;

/// The spilled rows in the first part of a range.
#[derive(Default)]
pub(crate) struct OwnRows {
    rows: Vec<(Vec<u8>, OwnedChange)>,
    /// Where the next part begins; `None` when there are no more.
    pub(crate) next: Option<Bound<Vec<u8>>>,
}

impl OwnRows {
    /// Reads the next rows of a range.
    ///
    /// # Errors
    /// The fault of a missing page.
    pub(crate) fn read(
        spilled: &Spilled,
        tree: TreeId,
        range: &KeyRange,
        direction: Direction,
        before_statement: u32,
        partial: &mut PartialValue,
    ) -> Result<OwnRows, Fault> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        let start = match direction {
            Direction::Forward => &range.lower,
            Direction::Backward => &range.upper,
        };
        let walk = spilled.walk(tree, start, direction, before_statement, partial, &mut |key, change| {
            bytes += key.len();
            if let Change::Put(value) = change {
                bytes += value.len();
            }
            rows.push((key.to_vec(), change.into()));
            if bytes > BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let next = match walk {
            Walk::At(next) => Some(next).filter(|next| !ends(range, next, direction)),
            Walk::End => None,
        };
        Ok(OwnRows { rows, next })
    }

    /// The part of `range` that the rows cover.
    pub(crate) fn covered(&self, range: &KeyRange, direction: Direction) -> KeyRange {
        let mut covered = range.clone();
        let Some(next) = &self.next else { return covered };
        let end = match next {
            Bound::Included(key) => Bound::Excluded(key.clone()),
            Bound::Excluded(key) => Bound::Included(key.clone()),
            Bound::Unbounded => Bound::Unbounded,
        };
        match direction {
            Direction::Forward => covered.upper = end,
            Direction::Backward => covered.lower = end,
        }
        covered
    }

    /// The rows within `range`, merged with those in memory, which are newer.
    pub(crate) fn merge<'a>(
        &'a self,
        memory: Box<dyn Iterator<Item = (&'a [u8], Change<'a>)> + 'a>,
        range: &'a KeyRange,
        direction: Direction,
    ) -> impl Iterator<Item = (&'a [u8], Change<'a>)> {
        let rows = self.rows.iter().filter(|(key, _)| contains(range, key)).map(|(key, change)| {
            let change = match change {
                OwnedChange::Put(value) => Change::Put(value),
                OwnedChange::Delete => Change::Delete,
            };
            (&key[..], change)
        });
        Merge { newer: memory.peekable(), older: rows.peekable(), direction }
    }
}

fn contains(range: &KeyRange, key: &[u8]) -> bool {
    let above = match &range.lower {
        Bound::Included(bound) => key >= &bound[..],
        Bound::Excluded(bound) => key > &bound[..],
        Bound::Unbounded => true,
    };
    above
        && match &range.upper {
            Bound::Included(bound) => key <= &bound[..],
            Bound::Excluded(bound) => key < &bound[..],
            Bound::Unbounded => true,
        }
}

/// Whether going on at `next` finds nothing of the range.
fn ends(range: &KeyRange, next: &Bound<Vec<u8>>, direction: Direction) -> bool {
    let end = match direction {
        Direction::Forward => &range.upper,
        Direction::Backward => &range.lower,
    };
    let (Bound::Included(next_key) | Bound::Excluded(next_key)) = next else { return false };
    let (Bound::Included(end_key) | Bound::Excluded(end_key)) = end else { return false };
    let both_included = matches!((next, end), (Bound::Included(_), Bound::Included(_)));
    match next_key.cmp(end_key) {
        Ordering::Equal => !both_included,
        Ordering::Greater => direction == Direction::Forward,
        Ordering::Less => direction == Direction::Backward,
    }
}

struct Merge<A: Iterator, B: Iterator> {
    newer: Peekable<A>,
    older: Peekable<B>,
    direction: Direction,
}

impl<'a, A, B> Iterator for Merge<A, B>
where
    A: Iterator<Item = (&'a [u8], Change<'a>)>,
    B: Iterator<Item = (&'a [u8], Change<'a>)>,
{
    type Item = (&'a [u8], Change<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.newer.peek(), self.older.peek()) {
            (Some(newer), Some(older)) => newer.0.cmp(older.0),
            (Some(_), None) => return self.newer.next(),
            (None, _) => return self.older.next(),
        };
        let order = if self.direction == Direction::Backward { order.reverse() } else { order };
        if order == Ordering::Equal {
            // Written again since.
            self.older.next();
        }
        if order == Ordering::Greater { self.older.next() } else { self.newer.next() }
    }
}
