//! What a transaction has written, before anybody else may see it.
//!
//! Entries are kept in the order of writing, each pointing at the one before for the same key, so that a
//! statement can be shown what earlier ones wrote, and a rollback to a savepoint just cuts the end off.
//! The order of keys is kept for each tree (`order`). What memory does not hold moves to a private tree (see `spill`),
//! which is looked at after the entries here.

mod order;

use std::cell::RefCell;
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::engine::Engine;
use crate::error::{Fault, Result};
use crate::ids::TreeId;
use crate::large_value::PartialValue;
use crate::spill::Spilled;
use order::TreeOrder;

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
    value_bytes: u32,
    /// Key and value in `bytes`, one after the other.
    start: usize,
    key_bytes: u16,
}

const _: () = assert!(size_of::<Entry>() == 32, "loads keep one for each row");

/// A transaction's writes.
#[derive(Default)]
pub(crate) struct WriteSet {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    /// The newest entries, by tree.
    orders: SmallVec<[TreeOrder; 2]>,
    /// Trees made, with the numbers of their entries.
    created: Vec<(u32, TreeId)>,
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
    &bytes[entry.start..entry.start + usize::from(entry.key_bytes)]
}

fn change_of<'a>(entry: &Entry, bytes: &'a [u8]) -> Change<'a> {
    let start = entry.start + usize::from(entry.key_bytes);
    match entry.kind {
        Kind::Put => Change::Put(&bytes[start..start + entry.value_bytes as usize]),
        Kind::Delete | Kind::CreateTree => Change::Delete,
    }
}

fn fill_percent_of(entry: &Entry, bytes: &[u8]) -> u8 {
    bytes[entry.start]
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
        let orders: usize = self.orders.iter().map(TreeOrder::len_bytes).sum();
        self.bytes.len() + self.entries.len() * size_of::<Entry>() + orders
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
        let WriteSet { entries, bytes, created, base, spilled, .. } = &mut *self;
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
        let created = created.iter().map(|(number, tree)| {
            let entry = &entries[*number as usize];
            (base + u64::from(*number), *tree, fill_percent_of(entry, bytes))
        });
        spilled.add(rows, created, end).await?;
        self.forget_entries(end);
        Ok(())
    }

    /// Gives memory back that it does not use.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// Empties what is in memory, whose place the next entries take; the first of them gets the number `base`.
    fn forget_entries(&mut self, base: u64) {
        self.base = base;
        self.entries.clear();
        self.bytes.clear();
        self.orders.clear();
        self.created.clear();
    }

    /// The newest entry of each key, in (tree, key) order.
    fn numbers_in_order(&self) -> Vec<u32> {
        let mut orders: SmallVec<[&TreeOrder; 4]> = self.orders.iter().collect();
        orders.sort_by_key(|order| order.tree);
        let mut numbers = Vec::with_capacity(orders.iter().map(|order| order.len()).sum());
        orders.iter().for_each(|order| numbers.extend(order.all()));
        numbers
    }

    pub(crate) fn write(&mut self, tree: TreeId, key: &[u8], change: Change<'_>, statement: u32) {
        let (kind, value) = match change {
            Change::Put(value) => (Kind::Put, value),
            Change::Delete => (Kind::Delete, &[][..]),
        };
        let number = self.entries.len() as u32;
        let at = self.order_of(tree).unwrap_or_else(|| {
            self.orders.push(TreeOrder::new(tree));
            self.orders.len() - 1
        });
        let WriteSet { entries, bytes, orders, .. } = self;
        let previous = orders[at].set(key, number, |number| key_of(&entries[number as usize], bytes));
        self.push(tree, kind, key, value, statement, previous.unwrap_or(NONE));
    }

    /// Makes a tree whose pages rows in key order fill to `fill_percent`.
    pub(crate) fn create_tree(&mut self, tree: TreeId, fill_percent: u8, statement: u32) {
        self.created.push((self.entries.len() as u32, tree));
        self.push(tree, Kind::CreateTree, &[], &[fill_percent], statement, NONE);
    }

    /// Whether this transaction made the tree, so that nothing of it is stored yet.
    pub(crate) fn created(&self, tree: TreeId) -> bool {
        self.created.iter().any(|(_, created)| *created == tree)
            || self.spilled().is_some_and(|spilled| spilled.created(tree))
    }

    /// Where the order of a tree's keys is. Few trees are written in one transaction, and one row after the other goes
    /// to the same.
    #[inline]
    fn order_of(&self, tree: TreeId) -> Option<usize> {
        self.orders.iter().position(|order| order.tree == tree)
    }

    fn push(&mut self, tree: TreeId, kind: Kind, key: &[u8], value: &[u8], statement: u32, previous: u32) {
        if self.entries.capacity() == 0 {
            let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
            (self.entries, self.bytes) =
                spare.unwrap_or_else(|| (Vec::with_capacity(4), Vec::with_capacity(256)));
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
            key_bytes: key.len() as u16,
            value_bytes: value.len() as u32,
        });
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        key_of(entry, &self.bytes)
    }

    fn change(&self, entry: &Entry) -> Change<'_> {
        change_of(entry, &self.bytes)
    }

    /// The last entry for a key.
    fn find(&self, tree: TreeId, key: &[u8]) -> Option<u32> {
        self.orders[self.order_of(tree)?].find(key, self.key_of_number())
    }

    fn key_of_number<'s>(&'s self) -> impl Fn(u32) -> &'s [u8] {
        |number| key_of(&self.entries[number as usize], &self.bytes)
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

    /// The statement that wrote a key last, if it is in memory.
    pub(crate) fn writer(&self, tree: TreeId, key: &[u8]) -> Option<u32> {
        self.find(tree, key).map(|number| self.entries[number as usize].statement)
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
        self.order_of(tree).is_some_and(|at| self.orders[at].len() > 0)
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
        let Some(at) = self.order_of(tree) else { return Box::new(std::iter::empty()) };
        let part = self.orders[at].part(lower, upper, self.key_of_number());
        if reverse { Box::new(part.rev()) } else { Box::new(part) }
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
                self.created.pop();
            } else if let Some(at) = self.order_of(entry.tree) {
                let WriteSet { entries, bytes, orders, .. } = &mut *self;
                let previous = (entry.previous != NONE).then_some(entry.previous);
                let newest = entries.len() as u32;
                orders[at].take_back(key_of(&entry, bytes), previous, |number| match number == newest {
                    true => key_of(&entry, bytes),
                    false => key_of(&entries[number as usize], bytes),
                });
            }
            self.bytes.truncate(entry.start);
        }
    }

    /// What a commit of a set in memory has to do: trees to create, then the last change of each key, in (tree, key)
    /// order.
    pub(crate) fn operations(&self) -> Operations<'_> {
        if self.entries.len() == 1 {
            return Operations { set: self, numbers: None };
        }
        let mut numbers: Vec<u32> = self.created.iter().map(|(number, _)| *number).collect();
        numbers.extend(self.numbers_in_order());
        Operations { set: self, numbers: Some(numbers) }
    }

    /// Those of [`WriteSet::operations`] that change trees which were there before.
    pub(crate) fn operations_in_old_trees(&self) -> Operations<'_> {
        if self.created.is_empty() {
            return self.operations();
        }
        let mut numbers = self.numbers_in_order();
        numbers.retain(|number| !self.created(self.entries[*number as usize].tree));
        Operations { set: self, numbers: Some(numbers) }
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
    /// With its fill factor.
    CreateTree(TreeId, u8),
    Change(TreeId, &'a [u8], Change<'a>),
}

/// The steps of a commit, by number.
pub(crate) struct Operations<'a> {
    set: &'a WriteSet,
    /// `None` for the one step of a set with one entry.
    numbers: Option<Vec<u32>>,
}

impl<'a> Operations<'a> {
    pub(crate) fn len(&self) -> usize {
        self.numbers.as_ref().map_or(1, Vec::len)
    }

    pub(crate) fn get(&self, index: usize) -> Operation<'a> {
        let number = self.numbers.as_ref().map_or(index, |numbers| numbers[index] as usize);
        let entry = &self.set.entries[number];
        match entry.kind {
            Kind::CreateTree => Operation::CreateTree(entry.tree, fill_percent_of(entry, &self.set.bytes)),
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
                    Operation::CreateTree(..) => unreachable!(),
                })
                .collect();
            prop_assert_eq!(last, model.into_iter().collect::<Vec<_>>());
        }
    }
}
