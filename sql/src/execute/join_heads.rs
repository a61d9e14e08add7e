//! Which row of a join table is the first with a key, where the key is a single integer, as most are: nothing is encoded.
//!
//! While rows come, only their integers are kept. Once all are there, they are linked from the last to the first, so that
//! rows with one key come in their order. Integers that lie close together, as numbered keys do, are places of an array:
//! finding one is one access to memory. Others are hashed.

use hashbrown::HashTable;

use crate::types::oids;
use crate::value::{Column, ColumnData, KeyColumn, hash_integer};

/// No row.
pub const NONE: u32 = u32::MAX;

/// How many times as many places as keys the array may have.
const PLACES_PER_ROW_MAX: u64 = 4;
/// What an entered row takes at most while rows are linked: its integer, its place in the lists, its part of the index.
const BYTES_PER_ROW: usize = 56;

/// The first row of each integer.
#[derive(Clone, Default)]
pub struct IntegerHeads {
    /// By row, as long as rows come.
    entered: Vec<Option<i64>>,
    index: Index,
    keys: usize,
}

#[derive(Clone)]
enum Index {
    /// By the distance from `first`.
    Near {
        first: i64,
        heads: Vec<u32>,
    },
    Far(HashTable<(i64, u32)>),
}

impl Default for Index {
    fn default() -> Index {
        Index::Near { first: 0, heads: Vec::new() }
    }
}

/// Whether keys of these columns are single integers, or days and moments, which are held as such.
#[must_use]
pub fn is_integer(key_columns: &[KeyColumn]) -> bool {
    use oids::{DATE, INT2, INT4, INT8, TIMESTAMP, TIMESTAMPTZ};
    let [only] = key_columns else { return false };
    matches!(only.data_type.oid, INT2 | INT4 | INT8 | DATE | TIMESTAMP | TIMESTAMPTZ)
}

/// Gives a column's integers, `None` for NULLs; tells whether they are integers.
#[inline]
pub fn each_integer(column: &Column, mut give: impl FnMut(Option<i64>)) -> bool {
    macro_rules! each {
        ($values:expr) => {
            for row in 0..column.len() {
                give((!column.is_null(row)).then(|| i64::from($values[column.stored_index(row)])));
            }
        };
    }
    match column.data() {
        ColumnData::Int16(values) => each!(values),
        ColumnData::Int32(values) | ColumnData::Date(values) => each!(values),
        ColumnData::Int64(values) | ColumnData::Timestamp(values) | ColumnData::TimestampTz(values) => {
            each!(values);
        }
        _ => return false,
    }
    true
}

impl IntegerHeads {
    /// Enters the next row.
    #[inline]
    pub fn push(&mut self, key: Option<i64>) {
        self.entered.push(key);
    }

    /// Links all rows that were entered; `next` gets, by row, the one behind it with the same key.
    pub fn link(&mut self, next: &mut Vec<u32>) {
        let entered = std::mem::take(&mut self.entered);
        next.clear();
        next.resize(entered.len(), NONE);
        let rows = || entered.iter().enumerate().rev().filter_map(|(row, key)| Some((row, (*key)?)));
        let first = rows().map(|(_, key)| key).min().unwrap_or(0);
        let last = rows().map(|(_, key)| key).max().unwrap_or(0);
        if last.abs_diff(first) < PLACES_PER_ROW_MAX * entered.len() as u64 {
            let mut heads = vec![NONE; last.abs_diff(first) as usize + 1];
            for (row, key) in rows() {
                let head = &mut heads[key.abs_diff(first) as usize];
                self.keys += usize::from(*head == NONE);
                next[row] = std::mem::replace(head, row as u32);
            }
            self.index = Index::Near { first, heads };
            return;
        }
        let mut heads: HashTable<(i64, u32)> = HashTable::with_capacity(entered.len());
        for (row, key) in rows() {
            let hash = hash_integer(key);
            match heads.find_mut(hash, |(own, _)| *own == key) {
                Some((_, head)) => next[row] = std::mem::replace(head, row as u32),
                None => {
                    heads.insert_unique(hash, (key, row as u32), |(own, _)| hash_integer(*own));
                }
            }
        }
        self.keys = heads.len();
        self.index = Index::Far(heads);
    }

    /// The first row with a key.
    #[must_use]
    #[inline]
    pub fn first(&self, key: i64) -> Option<u32> {
        match &self.index {
            Index::Near { first, heads } => {
                let place = usize::try_from((key as u64).wrapping_sub(*first as u64)).ok()?;
                heads.get(place).copied().filter(|head| *head != NONE)
            }
            Index::Far(heads) => heads.find(hash_integer(key), |(own, _)| *own == key).map(|(_, head)| *head),
        }
    }

    /// How many keys there are, once linked.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys
    }

    /// Bytes of memory that it takes; before rows are linked, those that it will take meanwhile.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let index = match &self.index {
            Index::Near { heads, .. } => 4 * heads.capacity(),
            Index::Far(heads) => heads.allocation_size(),
        };
        index + self.entered.len() * BYTES_PER_ROW + 16 * (self.entered.capacity() - self.entered.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{IntegerHeads, NONE};

    /// Rows of near, far and extreme keys are found in their order; others are not.
    #[test]
    fn rows_of_a_key_come_in_order() {
        let near: Vec<Option<i64>> = (0..1000).map(|row| (row % 7 != 0).then_some(row % 100 - 50)).collect();
        let far: Vec<Option<i64>> = (0..1000).map(|row| Some(row % 100 * 1_000_000_007)).collect();
        let extreme = vec![Some(i64::MAX), None, Some(i64::MIN), Some(i64::MAX), Some(0)];
        for keys in [near, far, extreme, vec![None], Vec::new()] {
            let (mut heads, mut next) = (IntegerHeads::default(), Vec::new());
            keys.iter().for_each(|key| heads.push(*key));
            heads.link(&mut next);
            let mut distinct: Vec<i64> = keys.iter().flatten().copied().collect();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(heads.key_count(), distinct.len());
            for key in distinct {
                let expected: Vec<u32> =
                    (0..keys.len()).filter(|row| keys[*row] == Some(key)).map(|row| row as u32).collect();
                let mut found = Vec::new();
                let mut at = heads.first(key).unwrap_or(NONE);
                while at != NONE {
                    found.push(at);
                    at = next[at as usize];
                }
                assert_eq!(found, expected, "{key}");
            }
            for key in [-1_000, 12_345, i64::MAX - 1, i64::MIN + 1] {
                assert_eq!(heads.first(key), None, "{key}");
            }
        }
    }
}
