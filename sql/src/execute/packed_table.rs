//! A table of packed keys: each gets a number, counted from 0 in the order they come.
//!
//! Integers that lie close together, as numbered keys and codes do, are places of an array that grows as they come; finding
//! one is one access to memory. Others are hashed, until it turns out that they fill their range after all.

use hashbrown::HashTable;

use crate::value::hash_integer;

/// No number.
const NONE: u32 = u32::MAX;
/// How many places the array may have for each key, and in any case.
const PLACES_PER_KEY: u64 = 8;
const PLACES_FREE: u64 = 4096;
/// From how many keys on it is looked whether they fill their range.
const COUNT_LOOKED_AT: usize = 512;

/// Numbers by key.
#[derive(Clone)]
pub struct PackedTable {
    count: usize,
    /// Whether keys are integers but for NULL.
    is_integer: bool,
    near: Option<Near>,
    /// The keys, in halves, that are not near.
    far: HashTable<(u64, u64, u32)>,
}

/// Numbers by their keys' distance from the first place.
#[derive(Clone, Default)]
struct Near {
    first: i64,
    places: Vec<u32>,
}

/// The hash of a key: one multiplication of the halves, folded.
#[must_use]
#[inline]
pub fn hash_of_packed(key: u128) -> u64 {
    let (low, high) = (key as u64 ^ 0x9e37_79b9_7f4a_7c15, (key >> 64) as u64 ^ 0xa076_1d64_78bd_642f);
    let product = u128::from(low) * u128::from(high);
    hash_integer((product >> 64) as i64 ^ product as i64)
}

fn halves(key: u128) -> (u64, u64) {
    (key as u64, (key >> 64) as u64)
}

fn whole(low: u64, high: u64) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

impl Near {
    #[inline]
    fn place(&self, key: i64) -> Option<usize> {
        usize::try_from((key as u64).wrapping_sub(self.first as u64)).ok()
    }

    #[inline]
    fn find(&self, key: i64) -> Option<u32> {
        self.places.get(self.place(key)?).copied().filter(|number| *number != NONE)
    }

    /// Grows as far as so many keys allow, if the key has no place yet; tells whether it has one.
    fn has_room(&mut self, key: i64, count: usize) -> bool {
        if self.places.is_empty() {
            self.first = key;
        }
        let old_first = self.first;
        // The array ends where its range of keys does, at the latest.
        let old_last = old_first.saturating_add_unsigned((self.places.len() as u64).saturating_sub(1));
        let (first, last) = (old_first.min(key), old_last.max(key));
        let (span, allowed) = (last.abs_diff(first), PLACES_FREE + PLACES_PER_KEY * count as u64);
        if span >= allowed {
            return false;
        }
        let ahead = (span / 2 + 64).min(allowed - span);
        if key > old_last || self.places.is_empty() {
            let last = last.saturating_add_unsigned(ahead);
            self.places.resize(last.abs_diff(old_first) as usize + 1, NONE);
        } else if key < old_first {
            self.first = first.saturating_sub_unsigned(ahead);
            let before = old_first.abs_diff(self.first) as usize;
            let mut places = vec![NONE; before];
            places.extend_from_slice(&self.places);
            self.places = places;
        }
        true
    }

    /// Its keys and their numbers.
    fn entries(&self) -> impl Iterator<Item = (i64, u32)> {
        let numbers = self.places.iter().enumerate().filter(|(_, number)| **number != NONE);
        numbers.map(|(place, number)| (self.first.wrapping_add(place as i64), *number))
    }
}

impl PackedTable {
    /// An empty one; `is_integer` says that each key is a 64-bit integer, or NULL beyond these.
    #[must_use]
    pub fn new(is_integer: bool) -> PackedTable {
        let near = is_integer.then(Near::default);
        PackedTable { count: 0, is_integer, near, far: HashTable::new() }
    }

    /// The number of a key that is there.
    #[must_use]
    #[inline]
    pub fn find(&self, key: u128) -> Option<u32> {
        let (low, high) = halves(key);
        if let Some(near) = &self.near
            && high == 0
        {
            return near.find(low as i64);
        }
        let found = self.far.find(hash_of_packed(key), |(a, b, _)| *a == low && *b == high);
        found.map(|(_, _, number)| *number)
    }

    /// Enters a key that is not there.
    #[inline]
    pub fn insert(&mut self, key: u128) -> u32 {
        let number = self.count as u32;
        self.count += 1;
        let (low, high) = halves(key);
        if let Some(near) = &mut self.near
            && high == 0
        {
            if near.has_room(low as i64, self.count)
                && let Some(place) = near.place(low as i64)
            {
                near.places[place] = number;
                return number;
            }
            self.leave_near();
        }
        self.insert_far(key, number);
        if self.is_integer
            && self.near.is_none()
            && self.count >= COUNT_LOOKED_AT
            && self.count.is_power_of_two()
        {
            self.try_near();
        }
        number
    }

    fn insert_far(&mut self, key: u128, number: u32) {
        let (low, high) = halves(key);
        let hash = |(low, high, _): &(u64, u64, u32)| hash_of_packed(whole(*low, *high));
        self.far.insert_unique(hash_of_packed(key), (low, high, number), hash);
    }

    /// A key is too far from the others: all are hashed.
    #[cold]
    fn leave_near(&mut self) {
        if let Some(near) = self.near.take() {
            near.entries().for_each(|(key, number)| self.insert_far(u128::from(key as u64), number));
        }
    }

    /// Makes an array of the keys, if they fill their range.
    #[cold]
    fn try_near(&mut self) {
        let keys = || self.far.iter().filter(|(_, high, _)| *high == 0).map(|(low, ..)| *low as i64);
        let (Some(first), Some(last)) = (keys().min(), keys().max()) else { return };
        if last.abs_diff(first) >= PLACES_PER_KEY * self.count as u64 {
            return;
        }
        let mut near = Near { first, places: vec![NONE; last.abs_diff(first) as usize + 1] };
        let mut null = None;
        for (low, high, number) in &self.far {
            match near.place(*low as i64).filter(|_| *high == 0) {
                Some(place) => near.places[place] = *number,
                None => null = Some((whole(*low, *high), *number)),
            }
        }
        self.near = Some(near);
        self.far = HashTable::new();
        null.into_iter().for_each(|(key, number)| self.insert_far(key, number));
    }

    /// The number of a key, and whether it is new.
    #[inline]
    pub fn enter(&mut self, key: u128) -> (u32, bool) {
        match self.find(key) {
            Some(number) => (number, false),
            None => (self.insert(key), true),
        }
    }

    /// All keys, by number.
    #[must_use]
    pub fn keys(&self) -> Vec<u128> {
        let mut keys = vec![0; self.count];
        for (low, high, number) in &self.far {
            keys[*number as usize] = whole(*low, *high);
        }
        for (key, number) in self.near.iter().flat_map(Near::entries) {
            keys[number as usize] = u128::from(key as u64);
        }
        keys
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let places = self.near.as_ref().map_or(0, |near| near.places.capacity());
        self.far.allocation_size() + 4 * places
    }
}

#[cfg(test)]
mod tests {
    use super::PackedTable;

    const NULL: u128 = 1 << 64;

    fn packed(value: i64) -> u128 {
        u128::from(value as u64)
    }

    /// Near, far and mixed integers, in any order, keep their numbers; NULL has its own.
    #[test]
    fn keys_keep_their_numbers() {
        let near: Vec<i64> = (0..5000).map(|at| at * 7919 % 5000 - 2500).collect();
        let falling: Vec<i64> = (0..5000).rev().collect();
        let far: Vec<i64> = (0..5000).map(|at| at * 1_000_000_007).collect();
        let first_far: Vec<i64> = [i64::MIN, i64::MAX].into_iter().chain(0..3000).collect();
        let late_far: Vec<i64> = (0..3000).chain([i64::MAX, i64::MIN, -1]).collect();
        let dense_later: Vec<i64> = (0..60_000).map(|at| at * 17_389 % 60_000).collect();
        for values in [near, falling, far, first_far, late_far, dense_later, vec![i64::MAX, i64::MAX - 1]] {
            let mut keys: Vec<u128> = values.iter().map(|value| packed(*value)).collect();
            keys.insert(keys.len() / 2, NULL);
            for is_integer in [true, false] {
                let mut table = PackedTable::new(is_integer);
                for (at, key) in keys.iter().enumerate() {
                    assert_eq!(table.find(*key), None, "{key}");
                    assert_eq!(table.enter(*key), (at as u32, true));
                    assert_eq!(table.enter(*key), (at as u32, false));
                }
                for (at, key) in keys.iter().enumerate() {
                    assert_eq!(table.find(*key), Some(at as u32), "{key}");
                }
                assert_eq!(table.find(packed(i64::MIN + 5)), None);
                assert_eq!(table.keys(), keys);
            }
        }
    }

    /// What memory the array takes is bounded by the number of keys.
    #[test]
    fn memory_follows_the_keys() {
        let mut table = PackedTable::new(true);
        for at in 0..100_000i64 {
            table.enter(packed(at * at));
        }
        assert!(table.memory_bytes() < 100 * 100_000, "{}", table.memory_bytes());
    }
}
