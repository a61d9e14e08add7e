//! The entries of a tree that is built: gathered in any order, sorted, and written in key order, as the storage engine
//! likes them best.

use helios_mvcc::{Transaction, TreeId};

use crate::error::Result;

/// Keys with their values, one after the other in one piece of memory.
#[derive(Default)]
pub(super) struct SortedEntries {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The first bytes of the key as a number that sorts as they do: mostly it decides.
    head: u64,
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
    /// No other may have this key.
    exact: bool,
}

impl Entry {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.start + self.key_bytes as usize]
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start + self.key_bytes as usize..][..self.value_bytes as usize]
    }
}

/// Keys of one index begin alike: a byte that says whether there is a value comes before the value.
fn head_of(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let length = key.len().min(8);
    head[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(head)
}

impl SortedEntries {
    /// Adds an entry; no other may have the key of one that is `exact`.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8], exact: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let (key_bytes, value_bytes) = (key.len() as u32, value.len() as u32);
        self.entries.push(Entry { head: head_of(key), start, key_bytes, value_bytes, exact });
    }

    /// Brings them into key order.
    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|left, right| {
            left.head.cmp(&right.head).then_with(|| left.key(bytes).cmp(right.key(bytes)))
        });
    }

    /// The value of an entry whose key another one has, once they are sorted.
    pub(super) fn duplicate(&self) -> Option<&[u8]> {
        let bytes = &self.bytes;
        let is_double = |pair: &&[Entry]| {
            pair[0].exact && pair[0].head == pair[1].head && pair[0].key(bytes) == pair[1].key(bytes)
        };
        self.entries.windows(2).find(is_double).map(|pair| pair[1].value(bytes))
    }

    /// Writes them into a new tree.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) async fn write(&self, transaction: &mut Transaction, tree: TreeId) -> Result<()> {
        for entry in &self.entries {
            transaction.put(tree, entry.key(&self.bytes), entry.value(&self.bytes))?;
            transaction.make_room().await?;
        }
        Ok(())
    }
}
