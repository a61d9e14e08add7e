//! The rows at hand: a part of the sorted rows in one piece, column by column, with where partitions and peers begin.

use crate::error::Result;
use crate::value::key::{self, KeyColumn};
use crate::value::{Batch, Column, ColumnData, gather_picked};

/// Where a row stands beside the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    Partition,
    Peers,
    Nothing,
}

/// What a row takes beside its columns, bytes.
const ROW_BYTES: usize = size_of::<u32>() + size_of::<usize>() + size_of::<Beginning>();

/// What came before the first row at hand in its partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    pub rows: usize,
    /// Groups of peers before that of the first row.
    pub groups: usize,
    /// Rows before that group.
    pub group_start: usize,
}

/// Rows of a partition that are at hand.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    pub start: usize,
    pub end: usize,
    /// Of its groups at hand, the first and what comes behind the last.
    pub first_group: usize,
    pub end_group: usize,
    pub before: Before,
}

/// Sorted rows, from some place on.
#[derive(Default)]
pub struct Section {
    /// The rows' own columns, then the partition's keys, the order's keys, and what the calls take.
    pub batch: Batch,
    /// Rows that are not in one piece with the others yet.
    more: Vec<Batch>,
    beginnings: Vec<Beginning>,
    last_partition: usize,
    last_group: usize,
    bytes: usize,
    before: Before,
    /// Of each row, its group of peers.
    pub group_of: Vec<u32>,
    /// Where each group begins, and the end.
    pub group_starts: Vec<usize>,
    partitions: Vec<Partition>,
    /// Encoded values of the order's keys, if they were asked for.
    order: Option<Encoded>,
}

/// Keys end to end.
#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Which columns say where partitions and peers begin.
pub struct Keys {
    /// Of the first one.
    pub at: usize,
    pub partition: Vec<KeyColumn>,
    pub order: Vec<KeyColumn>,
}

impl Section {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.beginnings.len()
    }

    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Appends rows.
    pub fn add(&mut self, batch: Batch, keys: &Keys) {
        if batch.row_count == 0 {
            return;
        }
        let order_at = keys.at + keys.partition.len();
        let mut beginnings = vec![Beginning::Nothing; batch.row_count];
        let mut mark = |columns: &[KeyColumn], at: usize, beginning: Beginning| {
            for (number, key) in columns.iter().enumerate() {
                mark_changes(key, &batch.columns[at + number], |row| beginnings[row] = beginning);
            }
        };
        mark(&keys.order, order_at, Beginning::Peers);
        mark(&keys.partition, keys.at, Beginning::Partition);
        beginnings[0] = match self.more.last().or((self.batch.row_count > 0).then_some(&self.batch)) {
            None => Beginning::Partition,
            Some(last) => {
                let differs = |columns: &[KeyColumn], at: usize| {
                    columns.iter().enumerate().any(|(number, key)| {
                        let (before, column) = (&last.columns[at + number], &batch.columns[at + number]);
                        encoded(key, before, last.row_count - 1) != encoded(key, column, 0)
                    })
                };
                if differs(&keys.partition, keys.at) {
                    Beginning::Partition
                } else if differs(&keys.order, order_at) {
                    Beginning::Peers
                } else {
                    Beginning::Nothing
                }
            }
        };
        let last = |is: fn(&Beginning) -> bool| beginnings.iter().rposition(is).map(|row| self.len() + row);
        let (partition, group) =
            (last(|it| *it == Beginning::Partition), last(|it| *it != Beginning::Nothing));
        self.last_partition = partition.unwrap_or(self.last_partition);
        self.last_group = group.unwrap_or(self.last_group);
        self.beginnings.append(&mut beginnings);
        self.bytes += batch.memory_bytes() + batch.row_count * ROW_BYTES;
        self.more.push(batch);
    }

    /// Where the last partition begins.
    pub fn last_partition(&self) -> usize {
        self.last_partition
    }

    /// Where the last group of peers begins.
    pub fn last_group(&self) -> usize {
        self.last_group
    }

    /// Puts all rows into one piece and finds partitions and groups.
    ///
    /// # Errors
    /// XX000 if the pieces' columns are not of the same kinds.
    pub fn join(&mut self) -> Result<()> {
        if self.more.is_empty() {
            return Ok(());
        }
        let mut pieces = std::mem::take(&mut self.more);
        if self.batch.row_count > 0 {
            pieces.insert(0, std::mem::take(&mut self.batch));
        }
        self.batch = if pieces.len() == 1 {
            pieces.remove(0)
        } else {
            let rows = pieces
                .iter()
                .enumerate()
                .flat_map(|(number, piece)| (0..piece.row_count as u32).map(move |row| (number as u32, row)));
            let picks: Vec<(u32, u32)> = rows.collect();
            gather_picked(&pieces, &picks)?
        };
        self.find_groups();
        Ok(())
    }

    fn find_groups(&mut self) {
        self.order = None;
        self.group_of.clear();
        self.group_starts.clear();
        self.partitions.clear();
        let mut before = self.before;
        for (row, beginning) in self.beginnings.iter().enumerate() {
            if row == 0 || *beginning != Beginning::Nothing {
                self.group_starts.push(row);
            }
            let group = self.group_starts.len() - 1;
            if row == 0 || *beginning == Beginning::Partition {
                if let Some(last) = self.partitions.last_mut() {
                    (last.end, last.end_group) = (row, group);
                }
                let (end, end_group) = (row, group);
                self.partitions.push(Partition { start: row, end, first_group: group, end_group, before });
                before = Before::default();
            }
            self.group_of.push(group as u32);
        }
        if let Some(last) = self.partitions.last_mut() {
            (last.end, last.end_group) = (self.beginnings.len(), self.group_starts.len());
        }
        self.group_starts.push(self.beginnings.len());
    }

    /// The partitions at hand, from the one on that has the row.
    pub fn partitions_from(&self, row: usize) -> &[Partition] {
        let first = self.partitions.partition_point(|partition| partition.end <= row);
        &self.partitions[first..]
    }

    /// Lets rows go; `row` is the first one to be kept, and there is one.
    pub fn forget_before(&mut self, row: usize) {
        let Some(partition) = self.partitions_from(row).first().copied().filter(|_| row > 0) else { return };
        let group = self.group_of[row] as usize;
        let within = group - partition.first_group;
        let Before { rows, groups, group_start } = partition.before;
        self.before = Before {
            rows: rows + row - partition.start,
            groups: groups + within,
            group_start: if within == 0 {
                group_start
            } else {
                rows + self.group_starts[group] - partition.start
            },
        };
        self.batch = self.batch.slice(row..self.batch.row_count);
        self.beginnings.drain(..row);
        self.last_partition = self.last_partition.saturating_sub(row);
        self.last_group = self.last_group.saturating_sub(row);
        self.bytes = self.batch.memory_bytes() + self.beginnings.len() * ROW_BYTES;
        self.find_groups();
    }

    /// Has the encoded values of the order's keys at hand.
    pub fn encode_order(&mut self, keys: &Keys) {
        let mut found = Encoded::default();
        let columns = &self.batch.columns[keys.at + keys.partition.len()..];
        for row in 0..self.batch.row_count {
            for (key_column, column) in keys.order.iter().zip(columns) {
                key::encode_at(key_column, column, row, false, &mut found.bytes);
            }
            found.ends.push(found.bytes.len());
        }
        self.bytes += found.bytes.len() + found.ends.len() * size_of::<usize>();
        self.order = Some(found);
    }

    /// The encoded values of the order's keys.
    pub fn order_of(&self, row: usize) -> &[u8] {
        let Some(order) = &self.order else { return &[] };
        let start = if row == 0 { 0 } else { order.ends[row - 1] };
        &order.bytes[start..order.ends[row]]
    }
}

fn encoded(key: &KeyColumn, column: &Column, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    key::encode_at(key, column, row, false, &mut out);
    out
}

/// Calls `mark` with each row, from the second on, whose value differs from the one before.
fn mark_changes(key: &KeyColumn, column: &Column, mut mark: impl FnMut(usize)) {
    if column.is_constant() {
        return;
    }
    macro_rules! compare {
        ($values:expr) => {
            for row in 1..column.len() {
                let differs = match (column.is_null(row - 1), column.is_null(row)) {
                    (false, false) => $values[row - 1] != $values[row],
                    (before, now) => before != now,
                };
                if differs {
                    mark(row);
                }
            }
        };
    }
    // Kinds whose equality is that of their bytes.
    match column.data() {
        ColumnData::Int16(values) => compare!(values),
        ColumnData::Int32(values) | ColumnData::Date(values) => compare!(values),
        ColumnData::Int64(values)
        | ColumnData::Time(values)
        | ColumnData::Timestamp(values)
        | ColumnData::TimestampTz(values) => compare!(values),
        ColumnData::Bool(values) => compare!(values),
        ColumnData::Oid(values) => compare!(values),
        ColumnData::Uuid(values) => compare!(values),
        _ => {
            let (mut before, mut now) = (encoded(key, column, 0), Vec::new());
            for row in 1..column.len() {
                now.clear();
                key::encode_at(key, column, row, false, &mut now);
                if now != before {
                    mark(row);
                }
                std::mem::swap(&mut before, &mut now);
            }
        }
    }
}
