//! The order of a transaction's writes to one tree: the newest entry of each key.
//!
//! Loads write in key order, and others mostly write few rows: both are kept as a sorted list, in which halving finds a
//! key and which the next one in order only makes longer. Many keys out of order get an index.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

use smallvec::SmallVec;

use crate::ids::TreeId;

/// Above this many entries there is an index, once a key comes out of order.
const SORTED_MAX: usize = 512;

/// The newest entry of each key of one tree, by number. Keys themselves are with the entries: `key_of` tells them.
#[derive(Debug)]
pub(super) struct TreeOrder {
    pub(super) tree: TreeId,
    newest: Newest,
}

#[derive(Debug)]
enum Newest {
    Sorted(SmallVec<[u32; 4]>),
    Indexed(BTreeMap<Vec<u8>, u32>),
}

/// Part of an order.
pub(super) enum Part<'o> {
    Sorted(std::slice::Iter<'o, u32>),
    Indexed(btree_map::Range<'o, Vec<u8>, u32>),
}

impl Iterator for Part<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Part::Sorted(numbers) => numbers.next().copied(),
            Part::Indexed(numbers) => numbers.next().map(|(_, number)| *number),
        }
    }
}

impl DoubleEndedIterator for Part<'_> {
    fn next_back(&mut self) -> Option<u32> {
        match self {
            Part::Sorted(numbers) => numbers.next_back().copied(),
            Part::Indexed(numbers) => numbers.next_back().map(|(_, number)| *number),
        }
    }
}

/// Where `key` is, or would go. Most keys go behind all others.
#[inline]
fn search<'e>(numbers: &[u32], key: &[u8], key_of: impl Fn(u32) -> &'e [u8]) -> Result<usize, usize> {
    match numbers.last() {
        Some(last) if key_of(*last) >= key => numbers.binary_search_by(|number| key_of(*number).cmp(key)),
        _ => Err(numbers.len()),
    }
}

impl TreeOrder {
    pub(super) fn new(tree: TreeId) -> TreeOrder {
        TreeOrder { tree, newest: Newest::Sorted(SmallVec::new()) }
    }

    pub(super) fn len(&self) -> usize {
        match &self.newest {
            Newest::Sorted(numbers) => numbers.len(),
            Newest::Indexed(index) => index.len(),
        }
    }

    /// Memory in use for keys of `key_bytes` on average.
    pub(super) fn len_bytes(&self) -> usize {
        match &self.newest {
            Newest::Sorted(numbers) => numbers.len() * 4,
            Newest::Indexed(index) => index.len() * 96,
        }
    }

    /// The newest entry of a key.
    #[inline]
    pub(super) fn find<'e>(&self, key: &[u8], key_of: impl Fn(u32) -> &'e [u8]) -> Option<u32> {
        match &self.newest {
            Newest::Sorted(numbers) => search(numbers, key, key_of).ok().map(|at| numbers[at]),
            Newest::Indexed(index) => index.get(key).copied(),
        }
    }

    /// Notes that `number` is the newest entry of `key`; returns the one before.
    #[inline]
    pub(super) fn set<'e>(
        &mut self,
        key: &[u8],
        number: u32,
        key_of: impl Fn(u32) -> &'e [u8],
    ) -> Option<u32> {
        match &mut self.newest {
            Newest::Indexed(index) => index.insert(key.to_vec(), number),
            Newest::Sorted(numbers) => match search(numbers, key, &key_of) {
                Ok(at) => Some(std::mem::replace(&mut numbers[at], number)),
                Err(at) if at < numbers.len() && numbers.len() >= SORTED_MAX => {
                    let mut index: BTreeMap<Vec<u8>, u32> =
                        numbers.iter().map(|number| (key_of(*number).to_vec(), *number)).collect();
                    index.insert(key.to_vec(), number);
                    self.newest = Newest::Indexed(index);
                    None
                }
                Err(at) => {
                    numbers.insert(at, number);
                    None
                }
            },
        }
    }

    /// Takes back the newest entry of `key`; `previous` is the one before.
    pub(super) fn take_back<'e>(
        &mut self,
        key: &[u8],
        previous: Option<u32>,
        key_of: impl Fn(u32) -> &'e [u8],
    ) {
        match (&mut self.newest, previous) {
            (Newest::Indexed(index), Some(previous)) => {
                index.insert(key.to_vec(), previous);
            }
            (Newest::Indexed(index), None) => {
                index.remove(key);
            }
            (Newest::Sorted(numbers), previous) => {
                let Ok(at) = search(numbers, key, key_of) else { return };
                match previous {
                    Some(previous) => numbers[at] = previous,
                    None => {
                        numbers.remove(at);
                    }
                }
            }
        }
    }

    /// The newest entries within bounds, in key order. The lower bound is before the upper one.
    pub(super) fn part<'e>(
        &self,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        key_of: impl Fn(u32) -> &'e [u8],
    ) -> Part<'_> {
        match &self.newest {
            Newest::Indexed(index) => Part::Indexed(index.range::<[u8], _>((lower, upper))),
            Newest::Sorted(numbers) => {
                let first = match lower {
                    Bound::Included(bound) => numbers.partition_point(|number| key_of(*number) < bound),
                    Bound::Excluded(bound) => numbers.partition_point(|number| key_of(*number) <= bound),
                    Bound::Unbounded => 0,
                };
                let end = match upper {
                    Bound::Included(bound) => numbers.partition_point(|number| key_of(*number) <= bound),
                    Bound::Excluded(bound) => numbers.partition_point(|number| key_of(*number) < bound),
                    Bound::Unbounded => numbers.len(),
                };
                Part::Sorted(numbers[first..end].iter())
            }
        }
    }

    /// All newest entries, in key order.
    pub(super) fn all(&self) -> Part<'_> {
        match &self.newest {
            Newest::Sorted(numbers) => Part::Sorted(numbers.iter()),
            Newest::Indexed(index) => Part::Indexed(index.range::<[u8], _>(..)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Keys in order, then any, so many that there is an index in the end; what is taken back was never there.
        #[test]
        fn an_order_is_a_map(sorted in 0usize..700, others in proptest::collection::vec(any::<u16>(), 0..400)) {
            let keys: Vec<[u8; 2]> =
                (0..sorted as u16).map(|key| key * 9).chain(others).map(u16::to_be_bytes).collect();
            let key_of = |number: u32| &keys[number as usize][..];
            let mut order = TreeOrder::new(TreeId(7));
            let mut model: BTreeMap<[u8; 2], u32> = BTreeMap::new();
            let mut before = Vec::new();
            for (number, key) in keys.iter().enumerate() {
                let previous = order.set(key, number as u32, key_of);
                prop_assert_eq!(previous, model.insert(*key, number as u32));
                before.push(previous);
            }
            while order.len() > sorted / 2 {
                let number = before.len() - 1;
                let previous = before.pop().flatten();
                order.take_back(&keys[number], previous, key_of);
                match previous {
                    Some(previous) => model.insert(keys[number], previous),
                    None => model.remove(&keys[number]),
                };
            }
            prop_assert!(order.all().eq(model.values().copied()));
            let (low, high) = ([1, 5], [7, 0]);
            let part = order.part(Bound::Excluded(&low), Bound::Included(&high), key_of);
            let expected = model.range((Bound::Excluded(low), Bound::Included(high))).rev();
            prop_assert!(part.rev().eq(expected.map(|(_, number)| *number)));
            for key in [[0, 9], [3, 3], [255, 255]] {
                prop_assert_eq!(order.find(&key, key_of), model.get(&key).copied());
            }
        }
    }
}
