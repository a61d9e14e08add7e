//! The rows of one side of a hash join, by key, and which of them were matched.

use super::join_heads::{IntegerHeads, NONE, each_integer, is_integer};
use super::key_table::{KeyTable, hash_of};
use super::keys::append_row_key;
use super::packed_table::PackedTable;
use super::packing::Packing;
use crate::error::{Result, SqlError};
use crate::value::{Batch, Column, KeyColumn, gather_picked};

/// Rows by key.
#[derive(Clone, Default)]
pub struct JoinTable {
    batches: Vec<Batch>,
    batches_bytes: usize,
    /// Where the key is a single integer, instead of `keys` and `heads`.
    integers: Option<IntegerHeads>,
    /// Where it is two, instead of `keys`.
    pairs: Option<Pairs>,
    keys: KeyTable,
    /// By key: its last row.
    heads: Vec<u32>,
    /// By row: the one before it with the same key; where it is; whether it was matched.
    next: Vec<u32>,
    places: Vec<(u32, u32)>,
    matched: Vec<bool>,
}

/// Keys of two integers.
#[derive(Clone)]
struct Pairs {
    packing: Packing,
    table: PackedTable,
}

impl Pairs {
    fn of(key_columns: &[KeyColumn]) -> Option<Pairs> {
        Packing::of_two_integers(key_columns).map(|packing| Pairs { packing, table: PackedTable::new(false) })
    }

    /// The keys of rows, `None` for those with a NULL.
    fn keys(&self, values: &[Column], row_count: usize) -> Result<Vec<Option<u128>>> {
        let mut keys = Vec::new();
        self.packing.pack(values.iter(), row_count, &mut keys)?;
        let has_null = |row: usize| values.iter().any(|column| column.is_null(row));
        Ok(keys.into_iter().enumerate().map(|(row, key)| (!has_null(row)).then_some(key)).collect())
    }
}

impl JoinTable {
    /// Enters rows, or where only `keys_matter` the first one of each key; those with a NULL in their key match none.
    ///
    /// # Errors
    /// XX000 if values are not of the key's kind.
    pub fn add(
        &mut self,
        key_columns: &[KeyColumn],
        values: &[Column],
        batch: Batch,
        keys_matter: bool,
    ) -> Result<()> {
        if self.batches.is_empty() {
            self.pairs = Pairs::of(key_columns);
        }
        if is_integer(key_columns) {
            self.add_integers(values, &batch, keys_matter)?;
        } else if let Some(pairs) = &mut self.pairs {
            let keys = pairs.keys(values, batch.row_count)?;
            self.add_pairs(keys, keys_matter);
        } else {
            self.add_keys(key_columns, values, &batch, keys_matter);
        }
        self.batches_bytes += batch.memory_bytes();
        self.batches.push(batch);
        Ok(())
    }

    /// Of integers further rows of a key are entered too: whoever looks for keys alone finds the first.
    fn add_integers(&mut self, values: &[Column], batch: &Batch, keys_matter: bool) -> Result<()> {
        let number = self.batches.len() as u32;
        let integers = self.integers.get_or_insert_default();
        let (places, mut row) = (&mut self.places, 0);
        let are_integers = each_integer(&values[0], |key| {
            if key.is_some() || !keys_matter {
                integers.push(key);
                places.push((number, row));
            }
            row += 1;
        });
        if !are_integers || row as usize != batch.row_count {
            return Err(SqlError::internal("the values of a join's key are not of its type"));
        }
        self.matched.resize(self.places.len(), false);
        Ok(())
    }

    fn add_pairs(&mut self, keys: Vec<Option<u128>>, keys_matter: bool) {
        let Some(mut pairs) = self.pairs.take() else { return };
        for (row, key) in keys.into_iter().enumerate() {
            match key {
                None if keys_matter => {}
                None => self.add_row(row, None, keys_matter),
                Some(key) => self.add_row(row, Some(pairs.table.enter(key)), keys_matter),
            }
        }
        self.pairs = Some(pairs);
    }

    fn add_keys(&mut self, key_columns: &[KeyColumn], values: &[Column], batch: &Batch, keys_matter: bool) {
        let mut key = Vec::new();
        for row in 0..batch.row_count {
            key.clear();
            let has_null = append_row_key(key_columns, values, row, true, &mut key);
            if !has_null {
                let entered = self.keys.enter(hash_of(&key), &key);
                self.add_row(row, Some(entered), keys_matter);
            } else if !keys_matter {
                self.add_row(row, None, keys_matter);
            }
        }
    }

    /// Enters a row of the next batch with the number of its key, and whether that is new; without one it matches none.
    #[inline]
    fn add_row(&mut self, row: usize, key: Option<(u32, bool)>, keys_matter: bool) {
        if keys_matter && matches!(key, Some((_, false))) {
            return;
        }
        let own = self.places.len() as u32;
        self.places.push((self.batches.len() as u32, row as u32));
        self.matched.push(false);
        let next = match key {
            None => NONE,
            Some((_, true)) => {
                self.heads.push(own);
                NONE
            }
            Some((number, false)) => std::mem::replace(&mut self.heads[number as usize], own),
        };
        self.next.push(next);
    }

    /// No more rows come. Links those with equal keys, or turns their lists around: they come in the order they were
    /// entered then.
    pub fn finish(&mut self) {
        if let Some(integers) = &mut self.integers {
            integers.link(&mut self.next);
            return;
        }
        if self.heads.len() == self.places.len() {
            return;
        }
        for head in &mut self.heads {
            let (mut at, mut before) = (*head, NONE);
            while at != NONE {
                let next = std::mem::replace(&mut self.next[at as usize], before);
                before = at;
                at = next;
            }
            *head = before;
        }
    }

    /// The batches of its rows.
    #[must_use]
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn key_count(&self) -> usize {
        self.integers.as_ref().map_or(self.heads.len(), IntegerHeads::key_count)
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let by_row = 4 * self.next.capacity() + 8 * self.places.capacity() + self.matched.capacity();
        let integers = self.integers.as_ref().map_or(0, IntegerHeads::memory_bytes);
        let pairs = self.pairs.as_ref().map_or(0, |pairs| pairs.table.memory_bytes());
        self.batches_bytes + self.keys.memory_bytes() + 4 * self.heads.capacity() + integers + pairs + by_row
    }

    /// Of each row of other values, the first row with the same key; a NULL has none.
    ///
    /// # Errors
    /// XX000 if the values are not of the key's kind.
    pub fn first_of_each(
        &self,
        key_columns: &[KeyColumn],
        values: &[Column],
        row_count: usize,
    ) -> Result<Vec<Option<u32>>> {
        if self.places.is_empty() {
            return Ok(vec![None; row_count]);
        }
        let mut first = Vec::with_capacity(row_count);
        if let Some(integers) = &self.integers {
            let found = each_integer(&values[0], |key| first.push(key.and_then(|key| integers.first(key))));
            if !found || first.len() != row_count {
                return Err(SqlError::internal("the values of a join's key are not of its type"));
            }
            return Ok(first);
        }
        if let Some(pairs) = &self.pairs {
            let head = |key| pairs.table.find(key).map(|number| self.heads[number as usize]);
            return Ok(pairs.keys(values, row_count)?.into_iter().map(|key| key.and_then(head)).collect());
        }
        let mut key = Vec::new();
        for row in 0..row_count {
            key.clear();
            let has_null = append_row_key(key_columns, values, row, true, &mut key);
            first.push(if has_null { None } else { self.first(&key) });
        }
        Ok(first)
    }

    /// The first row with a key.
    #[inline]
    fn first(&self, key: &[u8]) -> Option<u32> {
        self.keys.find(hash_of(key), key).map(|number| self.heads[number as usize])
    }

    /// The row behind one with the same key.
    #[must_use]
    #[inline]
    pub fn after(&self, row: u32) -> Option<u32> {
        Some(self.next[row as usize]).filter(|next| *next != NONE)
    }

    pub fn mark_matched(&mut self, row: u32) {
        self.matched[row as usize] = true;
    }

    /// Marks all rows of some keys, each given by its first row.
    pub fn mark_partners(&mut self, first: &[Option<u32>]) {
        for first in first.iter().flatten() {
            let mut at = *first;
            // Rows of one key are marked together.
            while at != NONE && !self.matched[at as usize] {
                self.matched[at as usize] = true;
                at = self.next[at as usize];
            }
        }
    }

    /// Rows by number, in that order.
    ///
    /// # Errors
    /// XX000 if the batches' columns are not of the same kinds.
    pub fn gather(&self, rows: impl Iterator<Item = u32>) -> Result<Batch> {
        let picks: Vec<(u32, u32)> = rows.map(|row| self.places[row as usize]).collect();
        gather_picked(&self.batches, &picks)
    }

    /// Up to `count` rows from `start` on that were matched, or were not, and where to go on.
    #[must_use]
    pub fn by_match(&self, matched: bool, start: usize, count: usize) -> (Vec<u32>, usize) {
        let mut rows = Vec::new();
        let mut at = start;
        while at < self.matched.len() && rows.len() < count {
            if self.matched[at] == matched {
                rows.push(at as u32);
            }
            at += 1;
        }
        (rows, at)
    }

    /// The batches of its rows, in order.
    #[must_use]
    pub fn into_batches(self) -> Vec<Batch> {
        self.batches
    }
}
