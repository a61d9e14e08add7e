//! Lets rows through or not by how often their keys have come: DISTINCT, UNION, INTERSECT and EXCEPT.
//!
//! 1. The keys of *counted* rows (the right side of INTERSECT and EXCEPT) are entered in a table with how often they come.
//!    When the table is full, it and all further keys are divided by hash among parts of a temporary file.
//! 2. *Sifted* rows are let through or not by the table. What was divided above divides them in the same way. Where a new
//!    key would have to be entered in a full table, its rows wait, divided by hash: nothing counted has such a key.
//! 3. At the end the parts are sifted one by one, as in 1 and 2; a part whose table fills up is divided again.

use super::Execution;
use super::key_table::{KeyTable, hash_of};
use super::keys::{Carried, append_row_key};
use super::memory::{Reservation, SpillFile};
use super::partitions::{LEVELS_MAX, Partitions};
use super::row_stream::RowStream;
use crate::error::Result;
use crate::plan::logical::SetKind;
use crate::value::{BATCH_ROWS, Batch, Column, ColumnBuilder, ColumnData, Datum, KeyColumn, PhysicalKind};

/// Rows that wait for their turn, with the counted keys that belong to them.
struct Part {
    counted: RowStream,
    sifted: RowStream,
    level: u32,
}

/// Where rows go that have no room in the table.
struct Divided {
    counted: Partitions,
    sifted: Partitions,
}

/// What a sift has seen, and what waits.
pub struct Sift {
    kind: SetKind,
    all: bool,
    keys: Vec<KeyColumn>,
    carried: Carried,
    table: KeyTable,
    /// Of each key in the table, how often it is still to be matched.
    counts: Vec<u64>,
    limit_bytes: usize,
    reservation: Reservation,
    file: SpillFile,
    level: u32,
    divided: Option<Divided>,
    late: Option<Partitions>,
    parts: Vec<Part>,
    /// The part being sifted.
    current: Option<RowStream>,
    batches: u64,
}

impl Sift {
    #[must_use]
    pub fn new(
        kind: SetKind,
        all: bool,
        keys: Vec<KeyColumn>,
        carried: Carried,
        execution: &mut Execution,
    ) -> Sift {
        let memory = execution.memory().clone();
        Sift {
            kind,
            all,
            keys,
            carried,
            table: KeyTable::default(),
            counts: Vec::new(),
            limit_bytes: memory.hash_bytes,
            reservation: memory.reserve(),
            file: SpillFile::new(&execution.environment.store, &memory),
            level: 0,
            divided: None,
            late: None,
            parts: Vec::new(),
            current: None,
            batches: 1,
        }
    }

    /// How many parts were sifted, the most memory and the room in the file that was needed, bytes.
    #[must_use]
    pub fn space(&self) -> (u64, usize, u64) {
        (self.batches, self.reservation.peak_bytes(), self.file.size_bytes())
    }

    /// Whether the table may not grow.
    fn is_full(&mut self) -> bool {
        let held = self.table.memory_bytes() + 8 * self.counts.capacity();
        self.reservation.set(held);
        held > self.limit_bytes && self.level < LEVELS_MAX
    }

    /// Counts the keys of rows.
    ///
    /// # Errors
    /// Those of the temporary file; 57014.
    pub async fn count(&mut self, columns: &[Column], rows: usize, execution: &mut Execution) -> Result<()> {
        let mut key = Vec::new();
        let mut further = CountedKeys::default();
        for row in 0..rows {
            key.clear();
            append_row_key(&self.keys, columns, row, false, &mut key);
            self.count_key(&key, 1, &mut further);
        }
        self.divide_counted(further, execution).await
    }

    fn count_key(&mut self, key: &[u8], count: u64, further: &mut CountedKeys) {
        let hash = hash_of(key);
        if self.divided.is_some() {
            further.push(hash, key, count);
            return;
        }
        let (number, is_new) = self.table.enter(hash, key);
        if is_new {
            self.counts.push(0);
        }
        self.counts[number as usize] += count;
    }

    /// Writes counted keys; divides the table when it has become full.
    async fn divide_counted(&mut self, further: CountedKeys, execution: &mut Execution) -> Result<()> {
        execution.breathe().await?;
        if self.divided.is_none() && self.is_full() {
            // Half of the memory for each side's blocks.
            let partitions = || Partitions::new(self.level, self.limit_bytes / 2);
            let mut divided = Divided { counted: partitions(), sifted: partitions() };
            let table = std::mem::take(&mut self.table);
            let counts = std::mem::take(&mut self.counts);
            let mut keys = CountedKeys::default();
            for (number, count) in counts.iter().enumerate() {
                let key = table.key(number as u32);
                keys.push(hash_of(key), key, *count);
                if keys.counts.len() == BATCH_ROWS {
                    std::mem::take(&mut keys).write(&mut divided.counted, &mut self.file).await?;
                    execution.breathe().await?;
                }
            }
            keys.write(&mut divided.counted, &mut self.file).await?;
            self.divided = Some(divided);
            self.reservation.set(self.limit_bytes / 4);
        }
        match &mut self.divided {
            Some(divided) => further.write(&mut divided.counted, &mut self.file).await,
            None => Ok(()),
        }
    }

    /// The rows that are let through now; `columns` are their keys.
    ///
    /// # Errors
    /// Those of the temporary file; 57014.
    pub async fn sift(
        &mut self,
        batch: Batch,
        columns: &[Column],
        execution: &mut Execution,
    ) -> Result<Option<Batch>> {
        if self.kind == SetKind::Union && self.all {
            return Ok(Some(batch));
        }
        execution.breathe().await?;
        let may_enter = !self.is_full();
        let (mut kept, mut waiting) = (Vec::new(), Vec::new());
        let mut key = Vec::new();
        for row in 0..batch.row_count {
            key.clear();
            append_row_key(&self.keys, columns, row, false, &mut key);
            let hash = hash_of(&key);
            if self.divided.is_some() {
                waiting.push((row as u32, hash));
                continue;
            }
            match self.admits(hash, &key, may_enter) {
                Some(true) => kept.push(row as u32),
                Some(false) => {}
                None => waiting.push((row as u32, hash)),
            }
        }
        if !waiting.is_empty() {
            let packed = self.carried.pack(&batch, columns);
            let partitions = match &mut self.divided {
                Some(divided) => &mut divided.sifted,
                None => self.late.get_or_insert_with(|| Partitions::new(self.level, self.limit_bytes)),
            };
            partitions.push(&packed, &waiting, &mut self.file).await?;
        }
        Ok(match kept.len() {
            0 => None,
            all if all == batch.row_count => Some(batch),
            _ => Some(batch.gather(&kept)),
        })
    }

    /// Whether a row with this key is let through; `None` if it has to wait.
    fn admits(&mut self, hash: u64, key: &[u8], may_enter: bool) -> Option<bool> {
        let known = self.table.find(hash, key);
        let is_entered = matches!((self.kind, self.all), (SetKind::Union | SetKind::Except, false));
        if is_entered {
            if known.is_none() && may_enter {
                self.table.insert(hash, key);
                self.counts.push(1);
                return Some(true);
            }
            return if known.is_none() { None } else { Some(false) };
        }
        let count = known.map(|number| &mut self.counts[number as usize]).filter(|count| **count > 0);
        let is_matched = count.is_some();
        if let Some(count) = count {
            *count = if self.all { *count - 1 } else { 0 };
        }
        Some(is_matched == (self.kind == SetKind::Intersect))
    }

    /// When all rows have come: the next of those that had to wait and are let through.
    ///
    /// # Errors
    /// Those of the temporary file; 57014.
    pub async fn late(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        loop {
            if let Some(mut stream) = self.current.take()
                && let Some(packed) = stream.take(&mut self.file).await?
            {
                self.current = Some(stream);
                let (batch, columns) = self.carried.unpack(packed);
                if let Some(batch) = self.sift(batch, &columns, execution).await? {
                    return Ok(Some(batch));
                }
                continue;
            }
            self.end_part().await?;
            let Some(part) = self.parts.pop() else { return Ok(None) };
            self.begin_part(part, execution).await?;
        }
    }

    /// What waits after a part becomes parts of its own.
    async fn end_part(&mut self) -> Result<()> {
        let level = self.level + 1;
        self.table.clear();
        self.counts = Vec::new();
        let (mut counted, mut sifted) = (Vec::new(), Vec::new());
        if let Some(divided) = self.divided.take() {
            counted = divided.counted.finish(&mut self.file).await?;
            sifted = divided.sifted.finish(&mut self.file).await?;
        } else if let Some(late) = self.late.take() {
            sifted = late.finish(&mut self.file).await?;
        }
        self.reservation.set(0);
        let mut counted = counted.into_iter();
        for sifted in sifted {
            let counted = counted.next().unwrap_or_default();
            // Without rows to sift it does not matter what was counted.
            if sifted.rows() > 0 {
                self.parts.push(Part { counted, sifted, level });
            } else {
                counted.release(&mut self.file);
            }
        }
        Ok(())
    }

    async fn begin_part(&mut self, mut part: Part, execution: &mut Execution) -> Result<()> {
        self.batches += 1;
        self.level = part.level;
        while let Some(batch) = part.counted.take(&mut self.file).await? {
            let mut further = CountedKeys::default();
            for row in 0..batch.row_count {
                let Datum::Bytes(key) = batch.datum(row, 0) else { continue };
                let count = batch.datum(row, 1).as_i64().unwrap_or(0);
                self.count_key(&key, count as u64, &mut further);
            }
            self.divide_counted(further, execution).await?;
        }
        self.current = Some(part.sifted);
        Ok(())
    }
}

/// Keys with counts, on their way to a file.
#[derive(Default)]
struct CountedKeys {
    keys: Vec<std::sync::Arc<[u8]>>,
    counts: Vec<i64>,
    rows: Vec<(u32, u64)>,
}

impl CountedKeys {
    fn push(&mut self, hash: u64, key: &[u8], count: u64) {
        self.rows.push((self.counts.len() as u32, hash));
        self.keys.push(key.into());
        self.counts.push(count as i64);
    }

    async fn write(self, partitions: &mut Partitions, file: &mut SpillFile) -> Result<()> {
        let count = self.counts.len();
        if count == 0 {
            return Ok(());
        }
        let mut keys = ColumnBuilder::new(PhysicalKind::Bytes, 0);
        *keys.data_mut() = ColumnData::Bytes(self.keys);
        let counts = Column::new(ColumnData::Int64(self.counts), None);
        partitions.push(&Batch::new(vec![keys.finish(), counts], count), &self.rows, file).await
    }
}
