//! The numbers of groups by the values that are grouped: packed where these are of fixed width and few, else encoded.

use super::key_table::{KeyTable, Last, Sought, hash_of};
use super::packed_table::{PackedTable, hash_of_packed};
use super::packing::Packing;
use crate::error::{Result, SqlError};
use crate::value::Column;
use crate::value::key::{self, KeyColumn};

/// Numbers of groups, counted from 0 in the order they come.
pub enum GroupTable {
    Packed { packing: Packing, table: PackedTable, keys: Vec<u128> },
    Encoded(KeyTable),
}

/// What is grouped by, in one way to group.
pub struct Grouped<'g> {
    pub keys: &'g [KeyColumn],
    /// Those of the columns that count.
    pub members: &'g [usize],
    /// What keeps this way's groups apart from those of others.
    pub prefix: &'g [u8],
}

/// Rows by whether they have a group.
#[derive(Default)]
pub struct Numbered {
    /// Groups of the rows that have one.
    pub numbers: Vec<u32>,
    /// Those rows, where it is not all of them.
    pub rows: Vec<u32>,
    /// The others, with their hashes.
    pub waiting: Vec<(u32, u64)>,
    /// The first row of each new group.
    pub new: Vec<u32>,
}

impl Numbered {
    /// Notes the group of a row; where there is no room for further groups, others may have none.
    #[inline]
    fn add(&mut self, row: usize, number: u32, has_room: bool) {
        self.numbers.push(number);
        if !has_room {
            self.rows.push(row as u32);
        }
    }
}

impl GroupTable {
    /// An empty table for keys of these columns; `sole` is the one way to group, if there is but one.
    #[must_use]
    pub fn new(keys: &[KeyColumn], sole: Option<&[usize]>) -> GroupTable {
        let keys: Option<Vec<KeyColumn>> = sole.map(|members| members.iter().map(|at| keys[*at]).collect());
        match keys.and_then(|keys| Packing::of(&keys)) {
            Some(packing) => {
                let table = PackedTable::new(packing.is_integer());
                GroupTable::Packed { packing, table, keys: Vec::new() }
            }
            None => GroupTable::Encoded(KeyTable::default()),
        }
    }

    /// Enters the group of all rows together, which is there before any row is.
    ///
    /// # Errors
    /// XX000 where values are grouped.
    pub fn enter_all_rows(&mut self, prefix: &[u8]) -> Result<()> {
        match self {
            GroupTable::Encoded(table) => {
                table.insert(hash_of(prefix), prefix);
                Ok(())
            }
            GroupTable::Packed { .. } => Err(SqlError::internal("all rows are a group among others")),
        }
    }

    /// The group of each row. New ones are begun where there is room, else their rows wait.
    ///
    /// # Errors
    /// XX000 if values are not of the keys' types.
    pub fn number(
        &mut self,
        grouped: &Grouped<'_>,
        columns: &[Column],
        row_count: usize,
        has_room: bool,
    ) -> Result<Numbered> {
        let mut found = Numbered::default();
        found.numbers.reserve(row_count);
        match self {
            GroupTable::Packed { packing, table, keys } => {
                packing.pack(grouped.members.iter().map(|member| &columns[*member]), row_count, keys)?;
                number_packed(table, keys, has_room, &mut found);
            }
            GroupTable::Encoded(table) => {
                number_encoded(table, grouped, columns, row_count, has_room, &mut found);
            }
        }
        Ok(found)
    }

    /// Enters the groups of another table: the number that each of them has here, and which of them are new.
    ///
    /// # Errors
    /// XX000 if they are groups by other values.
    pub fn merge(&mut self, other: &GroupTable) -> Result<(Vec<u32>, Vec<u32>)> {
        let (mut numbers, mut new) = (Vec::new(), Vec::new());
        let mut note = |(number, is_new): (u32, bool)| {
            if is_new {
                new.push(numbers.len() as u32);
            }
            numbers.push(number);
        };
        match (self, other) {
            (GroupTable::Packed { table, .. }, GroupTable::Packed { table: other, .. }) => {
                other.keys().into_iter().for_each(|key| note(table.enter(key)));
            }
            (GroupTable::Encoded(table), GroupTable::Encoded(other)) => {
                for number in 0..other.len() as u32 {
                    let key = other.key(number);
                    note(table.enter(hash_of(key), key));
                }
            }
            _ => return Err(SqlError::internal("merging groups by different values")),
        }
        Ok((numbers, new))
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match self {
            GroupTable::Packed { table, keys, .. } => table.memory_bytes() + 16 * keys.capacity(),
            GroupTable::Encoded(table) => table.memory_bytes(),
        }
    }
}

fn number_packed(table: &mut PackedTable, keys: &[u128], has_room: bool, found: &mut Numbered) {
    // Rows of one group often come one after the other.
    let mut last: Option<(u128, u32)> = None;
    for (row, key) in keys.iter().enumerate() {
        let again = last.filter(|(before, _)| before == key).map(|(_, number)| number);
        let number = match again.or_else(|| table.find(*key)) {
            Some(number) => number,
            None if has_room => {
                found.new.push(row as u32);
                table.insert(*key)
            }
            None => {
                found.waiting.push((row as u32, hash_of_packed(*key)));
                continue;
            }
        };
        last = Some((*key, number));
        found.add(row, number, has_room);
    }
}

fn number_encoded(
    table: &mut KeyTable,
    grouped: &Grouped<'_>,
    columns: &[Column],
    row_count: usize,
    has_room: bool,
    found: &mut Numbered,
) {
    let prefix = grouped.prefix;
    if grouped.members.is_empty()
        && let Some(number) = table.find(hash_of(prefix), prefix)
    {
        // All rows are one group, which is there from the beginning.
        found.numbers.resize(row_count, number);
        return;
    }
    let (mut key, mut last) = (Vec::new(), Last::default());
    for row in 0..row_count {
        key.clear();
        key.extend_from_slice(prefix);
        for member in grouped.members {
            key::encode_at(&grouped.keys[*member], &columns[*member], row, false, &mut key);
        }
        let sought = Sought::new(&key);
        if let Some(number) = table.again(&last, &sought) {
            found.add(row, number, has_room);
            continue;
        }
        let hash = sought.hash();
        let number = match table.find_sought(hash, &sought) {
            Some(number) => number,
            None if has_room => {
                found.new.push(row as u32);
                table.insert(hash, &key)
            }
            None => {
                found.waiting.push((row as u32, hash));
                continue;
            }
        };
        last = Last::new(&sought, number);
        found.add(row, number, has_room);
    }
}
