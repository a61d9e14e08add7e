//! A hash table of encoded keys: each gets a number, counted from 0 in the order they come.
//!
//! All keys lie end to end in one buffer, so that entering one allocates nothing by itself.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Keys by number and numbers by key.
#[derive(Default)]
pub struct KeyTable {
    numbers: HashTable<u32>,
    hashes: Vec<u64>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// The hash of a key, the same at every place that divides rows by it.
#[must_use]
#[inline]
pub fn hash_of(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl KeyTable {
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The key of a number.
    #[must_use]
    #[inline]
    pub fn key(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }

    /// The number of a key that is there.
    #[must_use]
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.numbers
            .find(hash, |number| self.hashes[*number as usize] == hash && self.key(*number) == key)
            .copied()
    }

    /// Enters a key that is not there.
    #[inline]
    pub fn insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        let number = self.ends.len() as u32;
        self.hashes.push(hash);
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        self.numbers.insert_unique(hash, number, |number| self.hashes[*number as usize]);
        number
    }

    /// The number of a key, and whether it is new.
    #[inline]
    pub fn enter(&mut self, hash: u64, key: &[u8]) -> (u32, bool) {
        match self.find(hash, key) {
            Some(number) => (number, false),
            None => (self.insert(hash, key), true),
        }
    }

    /// Forgets all keys; numbers begin at 0 again.
    pub fn clear(&mut self) {
        *self = KeyTable::default();
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.numbers.allocation_size()
            + self.bytes.capacity()
            + 8 * (self.hashes.capacity() + self.ends.capacity())
    }
}
