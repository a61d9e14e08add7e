//! A hash table of encoded keys: each gets a number, counted from 0 in the order they come.
//!
//! All keys lie end to end in one buffer, so that entering one allocates nothing by itself. Short keys, the usual ones, lie in
//! the table as well: finding one looks at nothing else.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::value::hash_integer;

/// Keys by number and numbers by key.
#[derive(Clone, Default)]
pub struct KeyTable {
    short: HashTable<(ShortKey, u32)>,
    long: HashTable<u32>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// The hash of a key, the same at every place that divides rows by it.
#[must_use]
#[inline]
pub fn hash_of(key: &[u8]) -> u64 {
    Sought::new(key).hash()
}

/// A key of up to 15 bytes, its length in the last one; in words, whose alignment wastes no memory.
type ShortKey = [u32; 4];

/// A key brought into the form that it is compared in: for who looks at it more than once.
#[derive(Clone, Copy)]
pub struct Sought<'k> {
    key: &'k [u8],
    short: Option<ShortKey>,
}

impl<'k> Sought<'k> {
    #[must_use]
    #[inline]
    pub fn new(key: &'k [u8]) -> Sought<'k> {
        Sought { key, short: short_key(key) }
    }

    /// [`hash_of`] the key.
    #[must_use]
    #[inline]
    pub fn hash(&self) -> u64 {
        match self.short {
            Some(short) => hash_of_short(short),
            None => xxh3_64(self.key),
        }
    }
}

/// The number that a key was found under last, for keys that come several times in a row.
#[derive(Clone, Copy, Default)]
pub struct Last {
    /// `None` for a long key, which is that of the number.
    short: Option<ShortKey>,
    number: Option<u32>,
}

impl Last {
    #[must_use]
    #[inline]
    pub fn new(sought: &Sought<'_>, number: u32) -> Last {
        Last { short: sought.short, number: Some(number) }
    }
}

/// A key in that form, if it is short. Made of loads that overlap: a copy into 16 bytes would have to be waited for.
#[inline]
fn short_key(key: &[u8]) -> Option<ShortKey> {
    let length = key.len();
    let (low, high) = match length {
        0 => (0, 0),
        1..=3 => {
            let middle = u64::from(key[length / 2]) << (8 * (length / 2));
            let last = u64::from(key[length - 1]) << (8 * (length - 1));
            (u64::from(key[0]) | middle | last, 0)
        }
        4..=7 => {
            let last = u64::from(u32::from_le_bytes(*key.last_chunk()?)) << (8 * (length - 4));
            (u64::from(u32::from_le_bytes(*key.first_chunk()?)) | last, 0)
        }
        8 => (u64::from_le_bytes(*key.first_chunk()?), 0),
        9..=15 => {
            let last = u64::from_le_bytes(*key.last_chunk()?) >> (8 * (16 - length));
            (u64::from_le_bytes(*key.first_chunk()?), last)
        }
        _ => return None,
    };
    let high = high | (length as u64) << 56;
    Some([low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32])
}

/// One multiplication of the halves, folded.
#[inline]
fn hash_of_short([a, b, c, d]: ShortKey) -> u64 {
    let half = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let (low, high) = (half(a, b) ^ 0x9e37_79b9_7f4a_7c15, half(c, d) ^ 0xa076_1d64_78bd_642f);
    let product = u128::from(low) * u128::from(high);
    hash_integer((product >> 64) as i64 ^ product as i64)
}

/// The key of a number, in a buffer of keys that end at these places.
#[inline]
fn key_in<'k>(bytes: &'k [u8], ends: &[usize], number: u32) -> &'k [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
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
        key_in(&self.bytes, &self.ends, number)
    }

    /// The number of a key that is there.
    #[must_use]
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.find_sought(hash, &Sought::new(key))
    }

    /// The same for a key in its form.
    #[must_use]
    #[inline]
    pub fn find_sought(&self, hash: u64, sought: &Sought<'_>) -> Option<u32> {
        match sought.short {
            Some(short) => self.short.find(hash, |(own, _)| *own == short).map(|(_, number)| *number),
            None => self.long.find(hash, |number| self.key(*number) == sought.key).copied(),
        }
    }

    /// The number of a key, if it is the one found last.
    #[must_use]
    #[inline]
    pub fn again(&self, last: &Last, sought: &Sought<'_>) -> Option<u32> {
        let is_same = match (sought.short, last.number) {
            (_, None) => false,
            (Some(_), _) => sought.short == last.short,
            (None, Some(number)) => last.short.is_none() && self.key(number) == sought.key,
        };
        last.number.filter(|_| is_same)
    }

    /// Enters a key that is not there.
    #[inline]
    pub fn insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        self.insert_sought(hash, &Sought::new(key))
    }

    /// The same for a key in its form.
    #[inline]
    pub fn insert_sought(&mut self, hash: u64, sought: &Sought<'_>) -> u32 {
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(sought.key);
        self.ends.push(self.bytes.len());
        match sought.short {
            Some(short) => {
                self.short.insert_unique(hash, (short, number), |(own, _)| hash_of_short(*own));
            }
            None => {
                let (bytes, ends) = (&self.bytes, &self.ends);
                self.long.insert_unique(hash, number, |number| xxh3_64(key_in(bytes, ends, *number)));
            }
        }
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
        self.short.allocation_size()
            + self.long.allocation_size()
            + self.bytes.capacity()
            + 8 * self.ends.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::short_key;

    /// Short keys of all lengths are their bytes, zeros, and the length.
    #[test]
    fn short_keys_are_their_bytes() {
        let bytes: Vec<u8> = (1..=16).map(|byte| byte * 15).collect();
        for length in 0..=15 {
            let mut expected = [0; 16];
            expected[..length].copy_from_slice(&bytes[..length]);
            expected[15] = length as u8;
            let words = short_key(&bytes[..length]).unwrap_or_default();
            let found: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(found, expected, "{length}");
        }
        assert_eq!(short_key(&bytes), None);
    }
}
