//! What a transaction has written, before anybody else may see it.
//!
//! Entries are kept in the order of writing, each pointing at the one before for the same key, so that a
//! statement can be shown what earlier ones wrote, and a rollback to a savepoint just cuts the end off.
//! Small sets are searched through, and so are, by halving, those whose rows came in key order, as loads and index builds
//! write them; other large ones get an ordered index; what memory does not hold moves to a private tree
//! (see `spill`), which is looked at after the entries here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{Fault, Result};
use crate::ids::TreeId;
use crate::large_value::PartialValue;
use crate::spill::Spilled;

/// Above this many entries there is an index, unless they are in order.
const SCAN_MAX: usize = 24;
const NONE: u32 = u32::MAX;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Put(&'a [u8]),
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Put,
    Delete,
    CreateTree,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tree: TreeId,
    kind: Kind,
    statement: u32,
    /// The entry before for the same key.
    previous: u32,
    /// Key and value in `bytes`, one after the other.
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
}

type Index = BTreeMap<(TreeId, Vec<u8>), u32>;

/// A transaction's writes.
#[derive(Default)]
pub(crate) struct WriteSet {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    index: Option<Index>,
    trees_created: usize,
    /// Trees made before the first row.
    first_row: usize,
    /// The rows did not come in (tree, key) order, each key once, behind all trees made.
    unordered: bool,
    /// The sequence number of the first entry.
    base: u64,
    /// What was written before that.
    spilled: Option<Box<Spilled>>,
}

/// Where a write set can be cut back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

thread_local! {
    /// Memory of sets done with, for the next ones of this thread.
    static SPARE: RefCell<Vec<(Vec<Entry>, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

/// Sets whose memory is kept per thread, and the most that one may keep, bytes.
const SPARE_MAX: usize = 8;
const SPARE_BYTES_MAX: usize = 64 << 10;

fn key_of<'a>(entry: &Entry, bytes: &'a [u8]) -> &'a [u8] {
    &bytes[entry.start..entry.start + entry.key_bytes as usize]
}

fn change_of<'a>(entry: &Entry, bytes: &'a [u8]) -> Change<'a> {
    let start = entry.start + entry.key_bytes as usize;
    match entry.kind {
        Kind::Put => Change::Put(&bytes[start..start + entry.value_bytes as usize]),
        Kind::Delete | Kind::CreateTree => Change::Delete,
    }
}

impl Drop for WriteSet {
    fn drop(&mut self) {
        if self.bytes.capacity() == 0 || self.bytes.capacity() > SPARE_BYTES_MAX {
            return;
        }
        let (mut entries, mut bytes) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.bytes));
        entries.clear();
        bytes.clear();
        // At the thread's end there is nobody to keep it for.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push((entries, bytes));
            }
        });
    }
}

impl WriteSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.spilled.is_none()
    }

    /// What is no longer in memory.
    #[inline]
    pub(crate) fn spilled(&self) -> Option<&Spilled> {
        self.spilled.as_deref()
    }

    /// Memory in use, bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        let index = if self.index.is_some() { self.entries.len() * 64 + self.bytes.len() / 2 } else { 0 };
        self.bytes.len() + self.entries.len() * size_of::<Entry>() + index
    }

    /// Bytes of all keys and values, and how many writes there are: what the log has to take at most.
    pub(crate) fn log_bytes_max(&self, bytes_per_write: usize) -> usize {
        let (bytes, rows) = self.spilled().map_or((0, 0), Spilled::size);
        self.bytes.len() + bytes as usize + (self.entries.len() + rows as usize) * bytes_per_write
    }

    /// Moves everything out of memory. Given up in its middle, it leaves everything as it was.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn spill(&mut self, engine: &Arc<Engine>) -> Result<()> {
        if self.spilled.is_none() {
            self.spilled = Some(Box::new(Spilled::new(engine).await?));
        }
        let numbers = self.numbers_in_order();
        let end = self.base + self.entries.len() as u64;
        let WriteSet { entries, bytes, base, spilled, .. } = &mut *self;
        let Some(spilled) = spilled else { return Ok(()) };
        let (entries, bytes, base) = (&entries[..], &bytes[..], *base);
        let rows = numbers.into_iter().map(|number| {
            let mut next = number;
            let newest = &entries[number as usize];
            let versions = std::iter::from_fn(move || {
                let entry = entries.get(next as usize)?;
                let sequence = base + u64::from(next);
                next = entry.previous;
                Some((sequence, entry.statement, change_of(entry, bytes)))
            });
            (newest.tree, key_of(newest, bytes), versions)
        });
        let created = entries.iter().enumerate().filter(|(_, entry)| entry.kind == Kind::CreateTree);
        let created = created.map(|(number, entry)| (base + number as u64, entry.tree));
        spilled.add(rows, created, end).await?;
        self.forget_entries(end);
        Ok(())
    }

    /// Empties what is in memory; the next entry gets the number `base`.
    fn forget_entries(&mut self, base: u64) {
        self.base = base;
        self.entries = Vec::new();
        self.bytes = Vec::new();
        self.index = None;
        self.trees_created = 0;
        self.first_row = 0;
        self.unordered = false;
    }

    /// Whether halving finds a row.
    fn is_ordered(&self) -> bool {
        !self.unordered && self.entries.len() > SCAN_MAX
    }

    /// In an ordered set, how many rows, and trees made, come before a place.
    fn count_before(&self, is_before: impl Fn((TreeId, &[u8])) -> bool) -> usize {
        let rows = &self.entries[self.first_row..];
        self.first_row + rows.partition_point(|entry| is_before((entry.tree, self.key(entry))))
    }

    /// The last entry of each key, in (tree, key) order.
    fn numbers_in_order(&self) -> Vec<u32> {
        if let Some(index) = &self.index {
            return index.values().copied().collect();
        }
        if self.is_ordered() {
            return (self.first_row as u32..self.entries.len() as u32).collect();
        }
        let is_last = |number: &u32| {
            let entry = &self.entries[*number as usize];
            entry.kind != Kind::CreateTree && self.find(entry.tree, self.key(entry)) == Some(*number)
        };
        let mut numbers: Vec<u32> = (0..self.entries.len() as u32).filter(is_last).collect();
        numbers.sort_by(|a, b| {
            let (a, b) = (&self.entries[*a as usize], &self.entries[*b as usize]);
            (a.tree, self.key(a)).cmp(&(b.tree, self.key(b)))
        });
        numbers
    }

    pub(crate) fn write(&mut self, tree: TreeId, key: &[u8], change: Change<'_>, statement: u32) {
        let (kind, value) = match change {
            Change::Put(value) => (Kind::Put, value),
            Change::Delete => (Kind::Delete, &[][..]),
        };
        let previous = self.find(tree, key).unwrap_or(NONE);
        self.push(tree, kind, key, value, statement, previous);
    }

    pub(crate) fn create_tree(&mut self, tree: TreeId, statement: u32) {
        self.trees_created += 1;
        self.push(tree, Kind::CreateTree, &[], &[], statement, NONE);
    }

    /// Whether this transaction made the tree, so that nothing of it is stored yet.
    pub(crate) fn created(&self, tree: TreeId) -> bool {
        let here = || self.entries.iter().any(|entry| entry.kind == Kind::CreateTree && entry.tree == tree);
        (self.trees_created > 0 && here()) || self.spilled().is_some_and(|spilled| spilled.created(tree))
    }

    fn push(&mut self, tree: TreeId, kind: Kind, key: &[u8], value: &[u8], statement: u32, previous: u32) {
        if self.entries.capacity() == 0 {
            let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
            (self.entries, self.bytes) =
                spare.unwrap_or_else(|| (Vec::with_capacity(4), Vec::with_capacity(256)));
        }
        let number = self.entries.len() as u32;
        match kind {
            // All before it are trees as well.
            Kind::CreateTree if self.first_row == self.entries.len() => self.first_row += 1,
            Kind::CreateTree => self.unordered = true,
            _ if self.unordered => {}
            _ => {
                let last = self.entries[self.first_row..].last();
                self.unordered = last.is_some_and(|last| (last.tree, self.key(last)) >= (tree, key));
            }
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry {
            tree,
            kind,
            statement,
            previous,
            start,
            key_bytes: key.len() as u32,
            value_bytes: value.len() as u32,
        });
        if let Some(index) = &mut self.index {
            if kind != Kind::CreateTree {
                index.insert((tree, key.to_vec()), number);
            }
        } else if self.entries.len() > SCAN_MAX && self.unordered {
            self.index = Some(self.make_index());
        }
    }

    fn make_index(&self) -> Index {
        let mut index = BTreeMap::new();
        for (number, entry) in self.entries.iter().enumerate() {
            if entry.kind != Kind::CreateTree {
                index.insert((entry.tree, self.key(entry).to_vec()), number as u32);
            }
        }
        index
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        key_of(entry, &self.bytes)
    }

    fn change(&self, entry: &Entry) -> Change<'_> {
        change_of(entry, &self.bytes)
    }

    /// The last entry for a key.
    fn find(&self, tree: TreeId, key: &[u8]) -> Option<u32> {
        if let Some(index) = &self.index {
            return index.get(&(tree, key.to_vec())).copied();
        }
        if self.is_ordered() {
            let number = self.count_before(|place| place < (tree, key));
            let found = self.entries.get(number).is_some_and(|at| (at.tree, self.key(at)) == (tree, key));
            return found.then_some(number as u32);
        }
        let matches =
            |entry: &Entry| entry.tree == tree && entry.kind != Kind::CreateTree && self.key(entry) == key;
        self.entries.iter().rposition(matches).map(|number| number as u32)
    }

    /// The last entry at or before `number` in its chain that a statement may see: those of earlier ones.
    fn visible(&self, mut number: u32, before_statement: u32) -> Option<&Entry> {
        while number != NONE {
            let entry = &self.entries[number as usize];
            if entry.statement < before_statement {
                return Some(entry);
            }
            number = entry.previous;
        }
        None
    }

    /// What statements before `before_statement` wrote for a key, if it is in memory.
    pub(crate) fn get(&self, tree: TreeId, key: &[u8], before_statement: u32) -> Option<Change<'_>> {
        let number = self.find(tree, key)?;
        self.visible(number, before_statement).map(|entry| self.change(entry))
    }

    /// Whether anything was ever written for this key.
    ///
    /// # Errors
    /// The fault of a missing page. `partial` is kept from fault to fault.
    pub(crate) fn contains(
        &self,
        tree: TreeId,
        key: &[u8],
        partial: &mut PartialValue,
    ) -> std::result::Result<bool, Fault> {
        if !self.entries.is_empty() && self.find(tree, key).is_some() {
            return Ok(true);
        }
        match self.spilled() {
            Some(spilled) => Ok(spilled.get(tree, key, u32::MAX, partial)?.is_some()),
            None => Ok(false),
        }
    }

    /// Whether there are any rows of this tree in memory.
    pub(crate) fn touches(&self, tree: TreeId) -> bool {
        match &self.index {
            Some(index) => index.range((tree, Vec::new())..).next().is_some_and(|(name, _)| name.0 == tree),
            None if self.is_ordered() => {
                let number = self.count_before(|place| place.0 < tree);
                self.entries.get(number).is_some_and(|entry| entry.tree == tree)
            }
            None => self.entries.iter().any(|entry| entry.tree == tree && entry.kind != Kind::CreateTree),
        }
    }

    /// The rows of a tree within bounds that are in memory, in key order, as statements before `before_statement` left them.
    pub(crate) fn range<'a>(
        &'a self,
        tree: TreeId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        before_statement: u32,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = (&'a [u8], Change<'a>)> + 'a> {
        let numbers = self.range_numbers(tree, lower, upper, reverse);
        Box::new(numbers.filter_map(move |number| {
            let entry = self.visible(number, before_statement)?;
            Some((self.key(entry), self.change(entry)))
        }))
    }

    fn range_numbers<'a>(
        &'a self,
        tree: TreeId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = u32> + 'a> {
        if is_empty_range(lower, upper) {
            return Box::new(std::iter::empty());
        }
        if let Some(index) = &self.index {
            let name = |key: &[u8]| (tree, key.to_vec());
            let lower = match lower {
                Bound::Unbounded => Bound::Included(name(&[])),
                bound => bound.map(name),
            };
            let upper = match upper {
                Bound::Unbounded => Bound::Excluded((TreeId(tree.0 + 1), Vec::new())),
                bound => bound.map(name),
            };
            let range = index.range((lower, upper)).map(|(_, number)| *number);
            return if reverse { Box::new(range.rev()) } else { Box::new(range) };
        }
        if self.is_ordered() {
            let first = match lower {
                Bound::Included(key) => self.count_before(|place| place < (tree, key)),
                Bound::Excluded(key) => self.count_before(|place| place <= (tree, key)),
                Bound::Unbounded => self.count_before(|place| place.0 < tree),
            };
            let end = match upper {
                Bound::Included(key) => self.count_before(|place| place <= (tree, key)),
                Bound::Excluded(key) => self.count_before(|place| place < (tree, key)),
                Bound::Unbounded => self.count_before(|place| place.0 <= tree),
            };
            let range = first as u32..end as u32;
            return if reverse { Box::new(range.rev()) } else { Box::new(range) };
        }
        let mut numbers: Vec<u32> = (0..self.entries.len() as u32)
            .filter(|number| {
                let entry = &self.entries[*number as usize];
                let key = self.key(entry);
                entry.tree == tree
                    && entry.kind != Kind::CreateTree
                    && within(key, lower, upper)
                    && self.find(tree, key) == Some(*number)
            })
            .collect();
        numbers
            .sort_by(|a, b| self.key(&self.entries[*a as usize]).cmp(self.key(&self.entries[*b as usize])));
        if reverse {
            numbers.reverse();
        }
        Box::new(numbers.into_iter())
    }

    /// The present place, for [`WriteSet::cut`].
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.base + self.entries.len() as u64)
    }

    /// Undoes everything written since `mark`.
    pub(crate) fn cut(&mut self, mark: Mark) {
        let next = self.base + self.entries.len() as u64;
        if mark.0 < self.base
            && let Some(spilled) = &mut self.spilled
        {
            // Numbers are not given out again: those rolled back are remembered as ranges.
            spilled.cut(mark.0, next);
            self.forget_entries(next);
            return;
        }
        while self.base + self.entries.len() as u64 > mark.0 {
            let Some(entry) = self.entries.pop() else { return };
            if entry.kind == Kind::CreateTree {
                self.trees_created -= 1;
                self.first_row = self.first_row.min(self.entries.len());
            } else if let Some(index) = &mut self.index {
                let key = self.bytes[entry.start..entry.start + entry.key_bytes as usize].to_vec();
                if entry.previous == NONE {
                    index.remove(&(entry.tree, key));
                } else {
                    index.insert((entry.tree, key), entry.previous);
                }
            }
            self.bytes.truncate(entry.start);
        }
    }

    /// What a commit of a set in memory has to do: trees to create, then the last change of each key, in (tree, key)
    /// order.
    pub(crate) fn operations(&self) -> Operations<'_> {
        if self.entries.len() <= 1 {
            return Operations { set: self, numbers: Vec::new() };
        }
        let mut numbers: Vec<u32> = Vec::new();
        if self.trees_created > 0 {
            let created = |entry: &&Entry| entry.kind == Kind::CreateTree;
            let positions = self.entries.iter().enumerate().filter(|(_, entry)| created(entry));
            numbers.extend(positions.map(|(number, _)| number as u32));
        }
        numbers.extend(self.numbers_in_order());
        Operations { set: self, numbers }
    }
}

fn within(key: &[u8], lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    let above = match lower {
        Bound::Included(bound) => key >= bound,
        Bound::Excluded(bound) => key > bound,
        Bound::Unbounded => true,
    };
    above
        && match upper {
            Bound::Included(bound) => key <= bound,
            Bound::Excluded(bound) => key < bound,
            Bound::Unbounded => true,
        }
}

fn is_empty_range(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    match (lower, upper) {
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower >= upper,
        _ => false,
    }
}

/// One step of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    CreateTree(TreeId),
    Change(TreeId, &'a [u8], Change<'a>),
}

/// The steps of a commit, by number.
pub(crate) struct Operations<'a> {
    set: &'a WriteSet,
    /// Empty for the one step of a set with one entry.
    numbers: Vec<u32>,
}

impl<'a> Operations<'a> {
    pub(crate) fn len(&self) -> usize {
        self.numbers.len().max(self.set.entries.len().min(1))
    }

    pub(crate) fn get(&self, index: usize) -> Operation<'a> {
        let entry = &self.set.entries[self.numbers.get(index).map_or(index, |number| *number as usize)];
        match entry.kind {
            Kind::CreateTree => Operation::CreateTree(entry.tree),
            _ => Operation::Change(entry.tree, self.set.key(entry), self.set.change(entry)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<u8, Option<u8>>;

    proptest! {
        /// Small and large sets alike show each statement what the earlier ones left, forget what is cut off,
        /// and hand the last change of each key to the commit in order.
        #[test]
        fn a_write_set_is_a_map_with_savepoints(
            steps in proptest::collection::vec((0u8..6, 0u8..40, any::<u8>()), 1..120),
            // Rows in key order up to here, as loads write them.
            loaded in prop_oneof![Just(0u8), 0u8..100],
        ) {
            let tree = TreeId(7);
            let mut set = WriteSet::default();
            let mut model = Model::new();
            let mut earlier = Model::new();
            let mut statement = 1;
            let mut marks: Vec<(Mark, Model)> = Vec::new();
            let load = (0..loaded).map(|key| (u8::from(key % 7 == 3) * 3, 100 + key, key));
            for (kind, key, value) in load.chain(steps) {
                match kind {
                    0 | 1 => {
                        set.write(tree, &[key], Change::Put(&[value]), statement);
                        model.insert(key, Some(value));
                    }
                    2 => {
                        set.write(tree, &[key], Change::Delete, statement);
                        model.insert(key, None);
                    }
                    3 => {
                        statement += 1;
                        earlier = model.clone();
                    }
                    4 => marks.push((set.mark(), model.clone())),
                    _ => if let Some((mark, old)) = marks.pop() {
                        set.cut(mark);
                        model = old;
                        statement += 1;
                        earlier = model.clone();
                    }
                }
                let seen: Model = set
                    .range(tree, Bound::Unbounded, Bound::Unbounded, statement, false)
                    .map(|(key, change)| (key[0], match change {
                        Change::Put(value) => Some(value[0]),
                        Change::Delete => None,
                    }))
                    .collect();
                prop_assert_eq!(&seen, &earlier);
                for (key, bound) in [(key, 107u8), (105, key), (103, 150)] {
                    let value = |change| match change {
                        Change::Put(value) => Some(<[u8]>::first(value).copied().unwrap_or_default()),
                        Change::Delete => None,
                    };
                    let found = set.get(tree, &[key], statement).map(value);
                    prop_assert_eq!(found, earlier.get(&key).copied());
                    prop_assert_eq!(set.find(tree, &[key]).is_some(), model.contains_key(&key));
                    let (low, high) = (key.min(bound), key.max(bound));
                    let part: Vec<u8> = set
                        .range(tree, Bound::Excluded(&[low]), Bound::Included(&[high]), statement, true)
                        .map(|(key, _)| key[0])
                        .collect();
                    let expected: Vec<u8> =
                        earlier.range((Bound::Excluded(low), Bound::Included(high))).rev().map(|row| *row.0).collect();
                    prop_assert!(low == high || part == expected);
                }
            }
            let operations = set.operations();
            let last: Vec<(u8, Option<u8>)> = (0..operations.len())
                .map(|index| match operations.get(index) {
                    Operation::Change(_, key, Change::Put(value)) => (key[0], Some(value[0])),
                    Operation::Change(_, key, Change::Delete) => (key[0], None),
                    Operation::CreateTree(_) => unreachable!(),
                })
                .collect();
            prop_assert_eq!(last, model.into_iter().collect::<Vec<_>>());
        }
    }
}
