//! Hash join: the right side becomes a table by key, the left side probes it.
//!
//! 1. Right rows are entered in a table until all have come or it takes more memory than it may.
//! 2. If all are there, left batches are probed as they come: candidate pairs are formed, some thousands at a time, and
//!    the remaining conditions tested on them. LEFT and FULL add left rows without a partner, RIGHT and FULL at last the
//!    right ones. A semi or anti join gives rows of either side: of the right one, those that were marked, or the others.
//!    Where several share the left side, one of them makes the table, and all probe it.
//! 3. If not, both sides are divided by hash among parts of a temporary file, and each part is joined in the same way. A
//!    part whose right rows do not fit is divided again; where that does not make it smaller, because most keys are equal,
//!    as many right rows are entered as fit and all left ones are probed, again and again until no right rows are left.

use std::sync::Arc;

use super::context::SpaceUsed;
use super::filter::filter;
use super::join_table::JoinTable;
use super::key_filter::KeyFilter;
use super::key_table::hash_of;
use super::keys::{Carried, append_row_key, evaluate, wide_equality_column};
use super::memory::{Reservation, SpillFile};
use super::partitions::{LEVELS_MAX, Partitions};
use super::row_stream::RowStream;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::plan::logical::JoinKind;
use crate::plan::physical::HashJoin;
use crate::types::DataType;
use crate::value::{BATCH_ROWS, Batch, Bitmap, Column, ColumnBuilder, ColumnData, Datum, KeyColumn};

/// Pairs that are formed at a time.
const PAIRS_MAX: usize = 4 * BATCH_ROWS;

/// Joins by equal keys.
pub struct HashJoinOperator {
    kind: JoinKind,
    /// Of a semi or anti join: its rows are the right side's.
    gives_right: bool,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    number: usize,
    left_keys: Vec<Expr>,
    right_keys: Vec<Expr>,
    residual: Vec<Expr>,
    key_columns: Vec<KeyColumn>,
    left_types: Vec<DataType>,
    right_types: Vec<DataType>,
    carried_left: Carried,
    carried_right: Carried,
    work: Option<Work>,
    /// It was begun anew before: it may be again.
    repeats: bool,
}

/// What is joined at present, and what waits.
struct Work {
    /// Nobody else has it while it is changed.
    table: Arc<JoinTable>,
    limit_bytes: usize,
    reservation: Reservation,
    file: SpillFile,
    source: Source,
    probe: Option<Probe>,
    /// The left rows of this source seen so far.
    left_rows: u64,
    /// Of left rows that are probed more than once, which have had a partner.
    found: Option<Bitmap>,
    /// Where the right rows without partners are, once they are given.
    unmatched: Option<usize>,
    parts: Vec<Part>,
    batches: u64,
    buckets: u64,
    /// What the table restricts left columns to, where it has all right rows.
    restrictions: Vec<(usize, Arc<KeyFilter>)>,
}

/// A table that all right rows are in, as those who probe it share it.
pub struct BuiltTable {
    table: Arc<JoinTable>,
    /// What it restricts left columns to.
    restrictions: Vec<(usize, Arc<KeyFilter>)>,
}

/// Where left rows come from.
enum Source {
    Input,
    /// A part's rows, block by block; and the right rows that had no room in the table.
    Part {
        left: RowStream,
        block: usize,
        right: RowStream,
    },
    Ended,
}

/// Both sides' rows of some hashes.
struct Part {
    left: RowStream,
    right: RowStream,
    level: u32,
    /// Whether dividing it may make it smaller.
    divides: bool,
}

/// A left batch being probed.
struct Probe {
    batch: Batch,
    /// By row: the first right row with its key.
    partners: Vec<Option<u32>>,
    row: usize,
    /// Which right row comes next for that row, once it has begun.
    partner: Option<u32>,
    found: Vec<bool>,
    /// The number of its first row in its source.
    first: u64,
}

/// Columns of NULLs.
pub fn null_columns(types: &[DataType], count: usize, execution: &Execution) -> Result<Vec<Column>> {
    types.iter().map(|each| Column::constant(execution.kind_of(*each)?, &Datum::Null, count)).collect()
}

/// One batch of several.
pub fn concatenate(batches: Vec<Batch>, types: &[DataType], execution: &Execution) -> Result<Batch> {
    if batches.len() == 1 {
        return Ok(batches.into_iter().next().unwrap_or_default());
    }
    let count = batches.iter().map(|batch| batch.row_count).sum();
    let mut columns = Vec::with_capacity(types.len());
    for (at, data_type) in types.iter().enumerate() {
        let kind = match batches.first() {
            Some(batch) => batch.columns[at].kind(),
            None => execution.kind_of(*data_type)?,
        };
        let mut builder = ColumnBuilder::new(kind, count);
        for batch in &batches {
            let rows: Vec<u32> = (0..batch.row_count as u32).collect();
            builder.extend_from(&batch.columns[at], &rows)?;
        }
        columns.push(builder.finish());
    }
    Ok(Batch::new(columns, count))
}

/// Appends a column's integers, NULLs left out; tells whether they are integers.
fn append_integers(column: &Column, keys: &mut Vec<i64>) -> bool {
    let rows = (0..column.len()).filter(|row| !column.is_null(*row)).map(|row| column.stored_index(row));
    match column.data() {
        ColumnData::Int16(values) => keys.extend(rows.map(|at| i64::from(values[at]))),
        ColumnData::Int32(values) => keys.extend(rows.map(|at| i64::from(values[at]))),
        ColumnData::Int64(values) => keys.extend(rows.map(|at| values[at])),
        _ => return false,
    }
    true
}

impl HashJoinOperator {
    pub fn new(
        join: &HashJoin,
        number: usize,
        left: Box<dyn Operator>,
        right: Box<dyn Operator>,
    ) -> HashJoinOperator {
        let key_columns = join.left_keys.iter().map(|expr| wide_equality_column(expr.data_type()));
        HashJoinOperator {
            kind: join.kind,
            gives_right: join.gives_right,
            left,
            right,
            number,
            key_columns: key_columns.collect(),
            left_keys: join.left_keys.clone(),
            right_keys: join.right_keys.clone(),
            residual: join.residual.clone(),
            left_types: join.left.types.clone(),
            right_types: join.right.types.clone(),
            carried_left: Carried::new(&join.left_keys),
            carried_right: Carried::new(&join.right_keys),
            work: None,
            repeats: false,
        }
    }

    /// Whether left rows without a partner matter.
    fn keeps_left(&self) -> bool {
        !self.gives_right && matches!(self.kind, JoinKind::Left | JoinKind::Full | JoinKind::Anti)
    }

    /// Whether the table serves again when the left side begins anew.
    fn keeps_table(&self) -> bool {
        self.repeats && !self.keeps_right() && self.right.is_fixed()
    }

    /// Whether all that matters of the right rows is which keys there are.
    fn keys_matter(&self) -> bool {
        !self.gives_right && matches!(self.kind, JoinKind::Semi | JoinKind::Anti) && self.residual.is_empty()
    }

    fn keeps_right(&self) -> bool {
        self.gives_right || matches!(self.kind, JoinKind::Right | JoinKind::Full)
    }

    /// Reads the right side; divides both sides if it does not fit.
    async fn build(&mut self, execution: &mut Execution) -> Result<Work> {
        let memory = execution.memory().clone();
        let mut work = Work {
            table: Arc::default(),
            limit_bytes: memory.hash_bytes,
            reservation: memory.reserve(),
            file: SpillFile::new(&execution.environment.store, &memory),
            source: Source::Input,
            probe: None,
            left_rows: 0,
            found: None,
            unmatched: None,
            parts: Vec::new(),
            batches: 1,
            buckets: 0,
            restrictions: Vec::new(),
        };
        if execution.is_helper {
            let shared = execution.team.as_ref().and_then(|team| team.table(self.number));
            let shared =
                shared.ok_or_else(|| SqlError::internal("a helper came before the table of its join"))?;
            work.table = shared.table.clone();
            self.restrict_left(&shared.restrictions);
            return Ok(work);
        }
        // The right side is the session's alone.
        let team = execution.team.take();
        let mut right = None;
        while let Some(batch) = self.right.next(execution).await? {
            let values = evaluate(&self.right_keys, &batch, execution)?;
            match &mut right {
                None => {
                    let packed = self.carried_right.pack(&batch, &values);
                    work.table_mut().add(&self.key_columns, &values, packed, self.keys_matter())?;
                    if work.is_full() {
                        right = Some(self.divide_table(&mut work, 0, execution).await?);
                    }
                }
                Some(partitions) => {
                    let packed = self.carried_right.pack(&batch, &values);
                    self.divide(&packed, &values, partitions, &mut work.file, execution).await?;
                }
            }
        }
        execution.team = team;
        let Some(right) = right else {
            work.finish_table();
            let restrictions = self.restrictions(&work.table);
            self.restrict_left(&restrictions);
            work.restrictions.clone_from(&restrictions);
            if let Some(team) = &execution.team {
                let shared = BuiltTable { table: work.table.clone(), restrictions };
                team.share_table(self.number, Arc::new(shared));
            }
            return Ok(work);
        };
        if let Some(team) = &execution.team {
            team.stay_alone();
        }
        let mut left = Partitions::new(0, work.limit_bytes / 2);
        while let Some(batch) = self.left.next(execution).await? {
            let values = evaluate(&self.left_keys, &batch, execution)?;
            let packed = self.carried_left.pack(&batch, &values);
            self.divide(&packed, &values, &mut left, &mut work.file, execution).await?;
        }
        work.batches = 0;
        work.source = Source::Ended;
        self.add_parts(&mut work, left, right, 1, u64::MAX).await?;
        Ok(work)
    }

    /// Which keys of the left side are in the table, where its other rows are of no use; by column.
    fn restrictions(&self, table: &JoinTable) -> Vec<(usize, Arc<KeyFilter>)> {
        let mut restrictions = Vec::new();
        if !self.gives_right && !matches!(self.kind, JoinKind::Inner | JoinKind::Semi | JoinKind::Right) {
            return restrictions;
        }
        for (at, key) in self.left_keys.iter().enumerate() {
            let Expr::Column { index, .. } = key else { continue };
            let mut keys = Vec::with_capacity(table.len());
            let of_batch = |batch: &Batch| self.carried_right.unpack(batch.clone()).1.swap_remove(at);
            if table.batches().iter().all(|batch| append_integers(&of_batch(batch), &mut keys)) {
                restrictions.push((*index, Arc::new(KeyFilter::new(&keys))));
            }
        }
        restrictions
    }

    fn restrict_left(&mut self, restrictions: &[(usize, Arc<KeyFilter>)]) {
        restrictions.iter().for_each(|(column, keys)| self.left.restrict(*column, keys));
    }

    /// Moves the table's rows to a file.
    async fn divide_table(
        &mut self,
        work: &mut Work,
        level: u32,
        execution: &mut Execution,
    ) -> Result<Partitions> {
        let mut partitions = Partitions::new(level, work.limit_bytes / 2);
        for packed in Arc::unwrap_or_clone(std::mem::take(&mut work.table)).into_batches() {
            let (_, values) = self.carried_right.unpack(packed.clone());
            self.divide(&packed, &values, &mut partitions, &mut work.file, execution).await?;
        }
        work.reservation.set(2 * partitions.memory_bytes());
        Ok(partitions)
    }

    async fn divide(
        &mut self,
        packed: &Batch,
        values: &[Column],
        partitions: &mut Partitions,
        file: &mut SpillFile,
        execution: &mut Execution,
    ) -> Result<()> {
        execution.breathe().await?;
        let mut rows = Vec::with_capacity(packed.row_count);
        let mut key = Vec::new();
        for row in 0..packed.row_count {
            key.clear();
            append_row_key(&self.key_columns, values, row, true, &mut key);
            rows.push((row as u32, hash_of(&key)));
        }
        partitions.push(packed, &rows, file).await
    }

    /// Makes parts of what was divided; `right_rows` is how many right rows there were.
    async fn add_parts(
        &mut self,
        work: &mut Work,
        left: Partitions,
        right: Partitions,
        level: u32,
        right_rows: u64,
    ) -> Result<()> {
        let left = left.finish(&mut work.file).await?;
        let right = right.finish(&mut work.file).await?;
        for (left, right) in left.into_iter().zip(right) {
            let matters = match self.kind {
                JoinKind::Anti if self.gives_right => right.rows() > 0,
                JoinKind::Inner | JoinKind::Semi => left.rows() > 0 && right.rows() > 0,
                JoinKind::Left | JoinKind::Anti => left.rows() > 0,
                JoinKind::Right => right.rows() > 0,
                JoinKind::Full => left.rows() > 0 || right.rows() > 0,
            };
            if matters {
                let divides = level < LEVELS_MAX && right.rows() < right_rows / 10 * 9;
                work.parts.push(Part { left, right, level, divides });
            } else {
                left.release(&mut work.file);
                right.release(&mut work.file);
            }
        }
        Ok(())
    }

    /// Enters a part's right rows; divides the part again if they do not fit. `false` if nothing is to be probed yet.
    async fn begin_part(
        &mut self,
        work: &mut Work,
        mut part: Part,
        execution: &mut Execution,
    ) -> Result<bool> {
        let right_rows = part.right.rows();
        if !self.enter(work, &mut part.right, execution).await? && part.divides {
            let mut right = self.divide_table(work, part.level, execution).await?;
            while let Some(packed) = part.right.take(&mut work.file).await? {
                let (_, values) = self.carried_right.unpack(packed.clone());
                self.divide(&packed, &values, &mut right, &mut work.file, execution).await?;
            }
            let mut left = Partitions::new(part.level, work.limit_bytes / 2);
            while let Some(packed) = part.left.take(&mut work.file).await? {
                let (_, values) = self.carried_left.unpack(packed.clone());
                self.divide(&packed, &values, &mut left, &mut work.file, execution).await?;
            }
            self.add_parts(work, left, right, part.level + 1, right_rows).await?;
            return Ok(false);
        }
        work.batches += 1;
        work.finish_table();
        let has_more = part.right.has_blocks();
        let counts_left = !self.gives_right && !matches!(self.kind, JoinKind::Inner | JoinKind::Right);
        work.found = (has_more && counts_left).then(|| Bitmap::filled(part.left.rows() as usize, false));
        work.left_rows = 0;
        work.source = Source::Part { left: part.left, block: 0, right: part.right };
        Ok(true)
    }

    /// Enters right rows in the table until it is full; tells whether all are there.
    async fn enter(
        &mut self,
        work: &mut Work,
        right: &mut RowStream,
        execution: &mut Execution,
    ) -> Result<bool> {
        work.table = Arc::default();
        while let Some(packed) = right.take(&mut work.file).await? {
            execution.breathe().await?;
            let (_, values) = self.carried_right.unpack(packed.clone());
            work.table_mut().add(&self.key_columns, &values, packed, self.keys_matter())?;
            if work.is_full() && right.has_blocks() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next left batch to be probed; `None` when this source has no more for the table at hand.
    async fn next_left(&mut self, work: &mut Work, execution: &mut Execution) -> Result<Option<Probe>> {
        let (batch, values) = match &mut work.source {
            Source::Ended => return Ok(None),
            Source::Input => {
                // Without right rows there is nothing to find, whatever the left side gives.
                let is_barren = work.table.len() == 0 && !self.keeps_left();
                let batch = if is_barren { None } else { self.left.next(execution).await? };
                let Some(batch) = batch else { return Ok(None) };
                let values = evaluate(&self.left_keys, &batch, execution)?;
                (batch, values)
            }
            Source::Part { left, block, .. } => {
                execution.breathe().await?;
                *block += 1;
                match left.read(*block - 1, &work.file).await? {
                    Some(packed) => self.carried_left.unpack(packed),
                    None => return Ok(None),
                }
            }
        };
        let partners = work.table.first_of_each(&self.key_columns, &values, batch.row_count)?;
        let first = work.left_rows;
        work.left_rows += batch.row_count as u64;
        let found = vec![false; batch.row_count];
        Ok(Some(Probe { batch, partners, row: 0, partner: None, found, first }))
    }

    /// Whether left rows have a partner: each that has not found one yet meets its next one.
    fn look_for_partners(&self, table: &JoinTable, probe: &mut Probe, execution: &Execution) -> Result<()> {
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        for (row, partner) in probe.partners.iter_mut().enumerate() {
            if let Some(met) = partner.filter(|_| !probe.found[row]) {
                left_rows.push(row as u32);
                right_rows.push(met);
                *partner = table.after(met);
            }
        }
        if left_rows.is_empty() {
            probe.row = probe.batch.row_count;
            return Ok(());
        }
        if !self.residual.is_empty() {
            left_rows = self.test(table, &probe.batch, left_rows, right_rows, execution)?.1;
        }
        left_rows.iter().for_each(|row| probe.found[*row as usize] = true);
        Ok(())
    }

    /// Forms pairs of a left batch and gives those that satisfy the other conditions.
    fn probe(
        &self,
        table: &mut Arc<JoinTable>,
        probe: &mut Probe,
        execution: &Execution,
    ) -> Result<Option<Batch>> {
        if self.gives_right && self.residual.is_empty() {
            Arc::make_mut(table).mark_partners(&probe.partners);
            probe.row = probe.batch.row_count;
            return Ok(None);
        }
        if !self.gives_right && matches!(self.kind, JoinKind::Semi | JoinKind::Anti) {
            self.look_for_partners(table, probe, execution)?;
            return Ok(None);
        }
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        while probe.row < probe.batch.row_count && left_rows.len() < PAIRS_MAX {
            let Some(partner) = probe.partner.take().or(probe.partners[probe.row]) else {
                probe.row += 1;
                continue;
            };
            left_rows.push(probe.row as u32);
            right_rows.push(partner);
            probe.partner = table.after(partner);
            probe.row += usize::from(probe.partner.is_none());
        }
        if left_rows.is_empty() {
            return Ok(None);
        }
        let (joined, left_rows, right_rows) =
            self.test(table, &probe.batch, left_rows, right_rows, execution)?;
        left_rows.iter().for_each(|row| probe.found[*row as usize] = true);
        if self.keeps_right() {
            let table = Arc::make_mut(table);
            right_rows.iter().for_each(|row| table.mark_matched(*row));
        }
        if self.gives_right {
            return Ok(None);
        }
        Ok((joined.row_count > 0).then_some(joined))
    }

    /// Keeps the pairs that satisfy the other conditions.
    fn test(
        &self,
        table: &JoinTable,
        batch: &Batch,
        left_rows: Vec<u32>,
        right_rows: Vec<u32>,
        execution: &Execution,
    ) -> Result<(Batch, Vec<u32>, Vec<u32>)> {
        let mut joined = batch.gather(&left_rows);
        joined.columns.extend(self.right_batch(table, right_rows.iter().copied())?.columns);
        if self.residual.is_empty() {
            return Ok((joined, left_rows, right_rows));
        }
        // The pairs' numbers go along as columns, so that what is left says which pairs they are.
        let numbers = |rows: &[u32]| {
            let values = rows.iter().map(|row| i64::from(*row)).collect();
            Column::new(ColumnData::Int64(values), None)
        };
        let width = joined.columns.len();
        joined.columns.push(numbers(&left_rows));
        joined.columns.push(numbers(&right_rows));
        let mut kept = filter(joined, &self.residual, &execution.context())?;
        let read = |column: &Column| {
            (0..column.len()).map(|row| column.get(row).as_i64().unwrap_or(0) as u32).collect()
        };
        let left_rows = read(&kept.columns[width]);
        let right_rows = read(&kept.columns[width + 1]);
        kept.columns.truncate(width);
        Ok((kept, left_rows, right_rows))
    }

    /// Right rows of the table, without the key values that they carry.
    fn right_batch(&self, table: &JoinTable, rows: impl Iterator<Item = u32>) -> Result<Batch> {
        let mut batch = table.gather(rows)?;
        batch.columns.truncate(self.right_types.len());
        Ok(batch)
    }

    /// A left batch is through: its rows that are given by whether they had a partner.
    fn after_probe(&self, work: &mut Work, probe: Probe, execution: &Execution) -> Result<Option<Batch>> {
        if self.gives_right {
            return Ok(None);
        }
        let mut found = probe.found;
        let is_last = !matches!(&work.source, Source::Part { right, .. } if right.has_blocks());
        if let Some(before) = &mut work.found {
            for (row, found) in found.iter_mut().enumerate() {
                let number = probe.first as usize + row;
                *found |= before.get(number);
                before.set(number, *found);
            }
        }
        let wanted = match self.kind {
            JoinKind::Inner | JoinKind::Right => return Ok(None),
            JoinKind::Semi => true,
            JoinKind::Anti | JoinKind::Left | JoinKind::Full => false,
        };
        if !is_last {
            return Ok(None);
        }
        let rows: Vec<u32> = (0..found.len() as u32).filter(|row| found[*row as usize] == wanted).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut given = probe.batch.gather(&rows);
        if matches!(self.kind, JoinKind::Left | JoinKind::Full) {
            given.columns.extend(null_columns(&self.right_types, rows.len(), execution)?);
        }
        Ok(Some(given))
    }

    /// The next right rows that no left row matched, with NULLs on the left; or those that a semi or anti join gives.
    fn next_unmatched(&self, work: &mut Work, execution: &Execution) -> Result<Option<Batch>> {
        let Some(start) = work.unmatched.filter(|_| self.keeps_right()) else { return Ok(None) };
        let wanted = self.gives_right && self.kind == JoinKind::Semi;
        let (rows, end) = work.table.by_match(wanted, start, BATCH_ROWS);
        work.unmatched = Some(end);
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns = Vec::new();
        if !self.gives_right {
            columns = null_columns(&self.left_types, rows.len(), execution)?;
        }
        columns.extend(self.right_batch(&work.table, rows.iter().copied())?.columns);
        Ok(Some(Batch::new(columns, rows.len())))
    }

    /// All left rows of this source were probed: what comes next to be probed; `false` at the end.
    async fn advance(&mut self, work: &mut Work, execution: &mut Execution) -> Result<bool> {
        work.unmatched = None;
        match std::mem::replace(&mut work.source, Source::Ended) {
            Source::Part { left, mut right, .. } if right.has_blocks() => {
                self.enter(work, &mut right, execution).await?;
                work.finish_table();
                work.left_rows = 0;
                work.source = Source::Part { left, block: 0, right };
                return Ok(true);
            }
            Source::Part { left, right, .. } => {
                left.release(&mut work.file);
                right.release(&mut work.file);
            }
            Source::Input | Source::Ended if work.parts.is_empty() && self.keeps_table() => return Ok(false),
            Source::Input | Source::Ended => {}
        }
        work.table = Arc::default();
        work.found = None;
        while let Some(part) = work.parts.pop() {
            if self.begin_part(work, part, execution).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        let mut work = match self.work.take() {
            Some(work) => work,
            None => self.build(execution).await?,
        };
        let result = self.work_on(&mut work, execution).await?;
        if result.is_none() {
            let used = SpaceUsed::HashTable {
                buckets: work.buckets.next_power_of_two().max(1024),
                batches: work.batches.max(1),
                bytes: work.reservation.peak_bytes() as u64,
            };
            execution.instrument(self.number, |instrument| instrument.space = Some(used));
        }
        self.work = Some(work);
        Ok(result)
    }

    async fn work_on(&mut self, work: &mut Work, execution: &mut Execution) -> Result<Option<Batch>> {
        loop {
            if let Some(mut probe) = work.probe.take() {
                execution.breathe().await?;
                let joined = self.probe(&mut work.table, &mut probe, execution)?;
                let given = if probe.row < probe.batch.row_count {
                    work.probe = Some(probe);
                    joined
                } else {
                    match (joined, self.after_probe(work, probe, execution)?) {
                        (Some(joined), Some(alone)) => {
                            let types: Vec<DataType> =
                                self.left_types.iter().chain(&self.right_types).copied().collect();
                            Some(concatenate(vec![joined, alone], &types, execution)?)
                        }
                        (joined, alone) => joined.or(alone),
                    }
                };
                if given.is_some() {
                    return Ok(given);
                }
                continue;
            }
            if work.unmatched.is_none() {
                work.probe = self.next_left(work, execution).await?;
                if work.probe.is_some() {
                    continue;
                }
                work.unmatched = Some(0);
            }
            if let Some(batch) = self.next_unmatched(work, execution)? {
                return Ok(Some(batch));
            }
            if !self.advance(work, execution).await? {
                // Nothing is left: the same again if it is asked once more.
                work.unmatched = Some(0);
                return Ok(None);
            }
        }
    }
}

impl Work {
    fn table_mut(&mut self) -> &mut JoinTable {
        Arc::make_mut(&mut self.table)
    }

    /// Whether the table takes more memory than it may.
    fn is_full(&mut self) -> bool {
        let held = self.table.memory_bytes();
        self.reservation.set(held);
        held > self.limit_bytes
    }

    /// Makes ready for other left rows; false where not all right rows are in the table.
    fn begin_anew(&mut self) -> bool {
        if self.file.is_used() || !self.parts.is_empty() || matches!(self.source, Source::Part { .. }) {
            return false;
        }
        self.source = Source::Input;
        (self.probe, self.unmatched, self.found, self.left_rows) = (None, None, None, 0);
        true
    }

    fn finish_table(&mut self) {
        self.table_mut().finish();
        self.buckets = self.buckets.max(self.table.key_count() as u64);
        self.reservation.set(self.table.memory_bytes());
    }
}

impl Operator for HashJoinOperator {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        if self.gives_right {
            self.right.restrict(column, keys);
            return;
        }
        let width = self.left_types.len();
        let narrows_left =
            matches!(self.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti);
        let narrows_right = matches!(self.kind, JoinKind::Inner | JoinKind::Right);
        if column < width && narrows_left {
            self.left.restrict(column, keys);
        } else if column >= width && narrows_right {
            self.right.restrict(column - width, keys);
        }
    }

    fn reset(&mut self) -> bool {
        let keeps_table = self.keeps_table();
        self.repeats = true;
        if !self.left.reset() {
            return false;
        }
        if let Some(mut work) = self.work.take()
            && keeps_table
            && work.begin_anew()
        {
            self.restrict_left(&work.restrictions);
            self.work = Some(work);
            return true;
        }
        self.right.reset()
    }

    fn is_fixed(&self) -> bool {
        let keys = self.left_keys.iter().chain(&self.right_keys);
        reads_no_outer(keys.chain(&self.residual)) && self.left.is_fixed() && self.right.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
