//! Aggregation: by hashing the grouped values; one group where nothing is grouped.
//!
//! 1. Each row is added to its group, of every way to group (GROUPING SETS); a new value begins a new group.
//! 2. When the groups take more memory than a hash table may hold, no further ones are begun: rows of values that are not
//!    among them go to a temporary file, divided by hash, apart for each way to group.
//! 3. The groups at hand are given. Then each part of the file is grouped as in 1 and 2; none of its groups was given yet.
//!
//! Where several share the rows, each does the first two steps with its own, and hands in its groups. One of them adds those
//! up, then the rows that waited, and goes on with the third step.

use std::sync::Arc;

use smallvec::SmallVec;

use super::aggregate_call::Call;
use super::context::SpaceUsed;
use super::group_table::{GroupTable, Grouped, Numbered};
use super::key_filter::KeyFilter;
use super::keys::{Carried, equality_columns, evaluate};
use super::memory::{Reservation, SpillFile};
use super::partitions::{LEVELS_MAX, Partitions};
use super::row_stream::RowStream;
use super::team::Team;
use super::values::builders;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::plan::logical::{AggregateCall, GroupingSets};
use crate::types::DataType;
use crate::value::key::KeyColumn;
use crate::value::{BATCH_ROWS, Batch, Column, ColumnBuilder, Datum, PhysicalKind};

/// Groups rows and aggregates them.
pub struct Aggregation {
    input: Box<dyn Operator>,
    number: usize,
    groups: Vec<Expr>,
    keys: Vec<KeyColumn>,
    aggregates: Vec<AggregateCall>,
    /// The ways to group; each at least once.
    sets: Vec<Vec<usize>>,
    groupings: Vec<Vec<usize>>,
    /// Of each group, whether the others determine its value: it is given, not compared.
    determined: Vec<bool>,
    carried: Carried,
    part: Part,
    run: Option<Run>,
}

/// Whose rows are grouped.
pub enum Part {
    /// All.
    All,
    /// Those of one member of a team: nothing is given, the groups are handed in.
    One,
    /// The same, once that is done.
    Done,
    /// None: what the members of a team hand in is put together. The input gives no rows; it is through when they are.
    Last(Arc<Team>),
}

/// Groups at hand, and rows that wait.
pub struct Run {
    table: GroupTable,
    /// Of each group, by which set it is one.
    set_of: Vec<u32>,
    /// The grouped values, by group.
    values: Vec<ColumnBuilder>,
    calls: Vec<Call>,
    /// Bytes of the values and of what the calls keep, when they were last counted; and rows added since.
    kept_bytes: usize,
    rows_since: usize,
    limit_bytes: usize,
    reservation: Reservation,
    has_room: bool,
    file: SpillFile,
    level: u32,
    /// By set.
    waiting: Vec<Option<Partitions>>,
    parts: Vec<Waiting>,
    batches: u64,
    /// The groups being given.
    given: Option<(Vec<Column>, usize)>,
}

/// Rows that wait.
struct Waiting {
    set: usize,
    rows: RowStream,
    level: u32,
}

impl Aggregation {
    pub fn new(
        input: Box<dyn Operator>,
        number: usize,
        groups: Vec<Expr>,
        aggregates: Vec<AggregateCall>,
    ) -> Aggregation {
        let keys = equality_columns(&groups);
        let carried = Carried::new(&groups);
        Aggregation {
            input,
            number,
            sets: vec![(0..groups.len()).collect()],
            determined: vec![false; groups.len()],
            groups,
            keys,
            aggregates,
            groupings: Vec::new(),
            carried,
            part: Part::All,
            run: None,
        }
    }

    /// The same over a part of the rows.
    #[must_use]
    pub fn of_part(self, part: Part) -> Aggregation {
        Aggregation { part, ..self }
    }

    /// The same by several ways to group.
    #[must_use]
    pub fn by_sets(mut self, GroupingSets { sets, groupings }: GroupingSets) -> Aggregation {
        self.sets = sets;
        self.groupings = groupings.into_iter().map(|(_, groups)| groups).collect();
        self
    }

    /// The same without comparing those groups that the others determine.
    #[must_use]
    pub fn without(mut self, determined: &[bool]) -> Aggregation {
        self.sets = vec![(0..self.groups.len()).filter(|group| !determined[*group]).collect()];
        self.determined = determined.to_vec();
        self
    }

    /// Keeps the groups of one way apart from those of the others, where there are any.
    #[inline]
    fn set_key(&self, set: usize) -> SmallVec<[u8; 2]> {
        if self.sets.len() == 1 { SmallVec::new() } else { SmallVec::from((set as u16).to_be_bytes()) }
    }

    fn new_table(&self) -> GroupTable {
        let sole = match self.sets.as_slice() {
            [sole] => Some(sole.as_slice()),
            _ => None,
        };
        GroupTable::new(&self.keys, sole)
    }

    fn new_run(&self, execution: &mut Execution) -> Run {
        let memory = execution.memory().clone();
        let members = match (&self.part, &execution.team) {
            (Part::One | Part::Done, Some(team)) => team.members_max(),
            _ => 1,
        };
        Run {
            table: self.new_table(),
            set_of: Vec::new(),
            values: Vec::new(),
            calls: Vec::new(),
            kept_bytes: 0,
            rows_since: 0,
            limit_bytes: memory.hash_bytes / members,
            reservation: memory.reserve(),
            has_room: true,
            file: SpillFile::new(&execution.environment.store, &memory),
            level: 0,
            waiting: self.sets.iter().map(|_| None).collect(),
            parts: Vec::new(),
            batches: 0,
            given: None,
        }
    }

    /// Begins with no groups.
    fn begin(&self, run: &mut Run, level: u32, execution: &Execution) -> Result<()> {
        run.table = self.new_table();
        run.set_of = Vec::new();
        let types: Vec<DataType> = self.groups.iter().map(Expr::data_type).collect();
        run.values = builders(&types, 0, execution)?;
        run.calls = self.aggregates.iter().cloned().map(Call::new).collect();
        (run.kept_bytes, run.rows_since, run.has_room) = (0, 0, true);
        run.level = level;
        run.batches += 1;
        Ok(())
    }

    async fn group_input(&mut self, execution: &mut Execution) -> Result<Run> {
        let mut run = self.new_run(execution);
        self.begin(&mut run, 0, execution)?;
        // All rows together are a group even where there is none.
        for (set, members) in self.sets.iter().enumerate() {
            if members.is_empty() {
                let key = self.set_key(set);
                run.table.enter_all_rows(&key)?;
                run.set_of.push(set as u32);
                run.values.iter_mut().for_each(ColumnBuilder::push_null);
            }
        }
        run.resize();
        while let Some(batch) = self.input.next(execution).await? {
            let columns = evaluate(&self.groups, &batch, execution)?;
            for set in 0..self.sets.len() {
                self.add(&mut run, set, &batch, &columns, execution).await?;
            }
        }
        Ok(run)
    }

    /// Hands in the groups of one member of a team.
    async fn hand_in(&mut self, execution: &mut Execution) -> Result<()> {
        let run = self.group_input(execution).await?;
        execution.instrument(self.number, |instrument| instrument.rows += run.set_of.len() as u64);
        match &execution.team {
            Some(team) => team.hand_in(run),
            None => return Err(SqlError::internal("there is no team to hand groups in to")),
        }
        Ok(())
    }

    /// Puts together what the members of a team hand in.
    async fn put_together(&mut self, team: &Team, execution: &mut Execution) -> Result<Run> {
        while self.input.next(execution).await?.is_some() {}
        let mut members = team.take_groups().into_iter();
        let Some(mut run) = members.next() else {
            return Err(SqlError::internal("nobody handed in any groups"));
        };
        run.limit_bytes = execution.memory().hash_bytes;
        let mut waiting = vec![run.take_waiting(execution)];
        for mut member in members {
            waiting.push(member.take_waiting(execution));
            run.merge(member)?;
        }
        run.look_at_memory(0)?;
        for (partitions, mut file) in waiting {
            for (set, partitions) in partitions.into_iter().enumerate() {
                let Some(partitions) = partitions else { continue };
                for mut rows in partitions.finish(&mut file).await? {
                    while let Some(packed) = rows.take(&mut file).await? {
                        let (batch, columns) = self.carried.unpack(packed);
                        self.add(&mut run, set, &batch, &columns, execution).await?;
                    }
                }
            }
        }
        Ok(run)
    }

    /// All groups that there is room for.
    async fn begin_giving(&mut self, execution: &mut Execution) -> Result<Run> {
        let mut run = match &self.part {
            Part::Last(team) => {
                let team = team.clone();
                self.put_together(&team, execution).await?
            }
            _ => self.group_input(execution).await?,
        };
        self.end(&mut run, execution).await?;
        Ok(run)
    }

    /// Adds rows to their groups of one set, or lets them wait.
    async fn add(
        &mut self,
        run: &mut Run,
        set: usize,
        batch: &Batch,
        columns: &[Column],
        execution: &mut Execution,
    ) -> Result<()> {
        execution.breathe().await?;
        let found = self.number(run, set, columns, batch.row_count)?;
        run.resize();
        if found.waiting.is_empty() {
            run.add(batch, &found.numbers, execution).await?;
        } else {
            run.add(&batch.gather(&found.rows), &found.numbers, execution).await?;
            let packed = self.carried.pack(batch, columns);
            let (level, limit) = (run.level, run.limit_bytes / self.sets.len());
            let partitions = run.waiting[set].get_or_insert_with(|| Partitions::new(level, limit));
            partitions.push(&packed, &found.waiting, &mut run.file).await?;
        }
        run.look_at_memory(batch.row_count)?;
        Ok(())
    }

    /// The group of each row, in one way to group; keeps the values of new ones.
    fn number(&self, run: &mut Run, set: usize, columns: &[Column], row_count: usize) -> Result<Numbered> {
        let members = &self.sets[set];
        let prefix = self.set_key(set);
        let grouped = Grouped { keys: &self.keys, members, prefix: &prefix };
        let found = run.table.number(&grouped, columns, row_count, run.has_room)?;
        run.set_of.extend(std::iter::repeat_n(set as u32, found.new.len()));
        for (at, (builder, column)) in run.values.iter_mut().zip(columns).enumerate() {
            if members.contains(&at) || self.determined[at] {
                // The kinds are those of the expressions' types.
                let _ = builder.extend_from(column, &found.new);
            } else {
                found.new.iter().for_each(|_| builder.push_null());
            }
        }
        Ok(found)
    }

    /// No more rows come for the groups at hand: they are given next.
    async fn end(&mut self, run: &mut Run, execution: &mut Execution) -> Result<()> {
        for call in &mut run.calls {
            call.flush(execution).await?;
        }
        for (set, waiting) in run.waiting.iter_mut().enumerate() {
            let Some(partitions) = waiting.take() else { continue };
            for rows in partitions.finish(&mut run.file).await? {
                if rows.rows() > 0 {
                    run.parts.push(Waiting { set, rows, level: run.level + 1 });
                }
            }
        }
        let values = std::mem::take(&mut run.values);
        run.given = Some((values.into_iter().map(ColumnBuilder::finish).collect(), 0));
        Ok(())
    }

    /// Groups the rows of a part.
    async fn group_part(
        &mut self,
        run: &mut Run,
        mut part: Waiting,
        execution: &mut Execution,
    ) -> Result<()> {
        self.begin(run, part.level, execution)?;
        while let Some(packed) = part.rows.take(&mut run.file).await? {
            let (batch, columns) = self.carried.unpack(packed);
            self.add(run, part.set, &batch, &columns, execution).await?;
        }
        self.end(run, execution).await
    }

    /// What a GROUPING call gives for a group.
    fn grouping(&self, run: &Run, named: &[usize], group: usize) -> Datum {
        let set = &self.sets[run.set_of[group] as usize];
        Datum::Int32(named.iter().fold(0, |bits, group| bits << 1 | i32::from(!set.contains(group))))
    }

    fn batch(&self, run: &mut Run, execution: &Execution) -> Result<Option<Batch>> {
        let Some((values, start)) = run.given.take() else { return Ok(None) };
        let end = (start + BATCH_ROWS).min(run.set_of.len());
        if start >= end {
            return Ok(None);
        }
        let context = execution.context();
        let rows: Vec<u32> = (start as u32..end as u32).collect();
        let mut columns: Vec<Column> = values.iter().map(|column| column.gather(&rows)).collect();
        for call in &run.calls {
            let mut builder = ColumnBuilder::new(execution.kind_of(call.call.data_type)?, end - start);
            for group in start..end {
                builder.push(call.result(group, &context)?)?;
            }
            columns.push(builder.finish());
        }
        for named in &self.groupings {
            let mut builder = ColumnBuilder::new(PhysicalKind::Int32, end - start);
            for group in start..end {
                builder.push(self.grouping(run, named, group))?;
            }
            columns.push(builder.finish());
        }
        run.given = Some((values, end));
        Ok(Some(Batch::new(columns, end - start)))
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        let mut run = match self.run.take() {
            Some(run) => run,
            None if let Part::One | Part::Done = self.part => {
                if let Part::One = std::mem::replace(&mut self.part, Part::Done) {
                    self.hand_in(execution).await?;
                }
                return Ok(None);
            }
            None => self.begin_giving(execution).await?,
        };
        let mut result = self.batch(&mut run, execution)?;
        while result.is_none()
            && let Some(part) = run.parts.pop()
        {
            self.group_part(&mut run, part, execution).await?;
            result = self.batch(&mut run, execution)?;
        }
        if result.is_none() && !self.groups.is_empty() {
            let used = SpaceUsed::Groups {
                batches: run.batches,
                bytes: run.reservation.peak_bytes() as u64,
                disk_bytes: run.file.size_bytes(),
            };
            execution.instrument(self.number, |instrument| instrument.space = Some(used));
        }
        self.run = Some(run);
        Ok(result)
    }
}

impl Run {
    fn resize(&mut self) {
        let count = self.set_of.len();
        self.calls.iter_mut().for_each(|call| call.resize(count));
    }

    /// Rows that wait, with the file that they are in.
    fn take_waiting(&mut self, execution: &Execution) -> (Vec<Option<Partitions>>, SpillFile) {
        let none = self.waiting.iter().map(|_| None).collect();
        let file = SpillFile::new(&execution.environment.store, self.reservation.memory());
        (std::mem::replace(&mut self.waiting, none), std::mem::replace(&mut self.file, file))
    }

    /// Adds the groups of another, none of whose rows wait.
    fn merge(&mut self, other: Run) -> Result<()> {
        let columns: Vec<Column> = other.values.into_iter().map(ColumnBuilder::finish).collect();
        let (numbers, new) = self.table.merge(&other.table)?;
        self.set_of.extend(new.iter().map(|at| other.set_of[*at as usize]));
        for (builder, column) in self.values.iter_mut().zip(&columns) {
            builder.extend_from(column, &new)?;
        }
        self.resize();
        for (call, other) in self.calls.iter_mut().zip(&other.calls) {
            call.merge(other, &numbers)?;
        }
        Ok(())
    }

    async fn add(&mut self, batch: &Batch, numbers: &[u32], execution: &mut Execution) -> Result<()> {
        for call in &mut self.calls {
            call.add(batch, numbers, self.has_room, execution).await?;
        }
        Ok(())
    }

    /// Counts what the groups take. Most of it is looked at anew only when so many rows have come that counting,
    /// which may take a step for each group, costs little beside them.
    ///
    /// # Errors
    /// 53200 where the states, which stay in memory, take too much.
    fn look_at_memory(&mut self, rows: usize) -> Result<()> {
        self.rows_since += rows;
        if self.rows_since >= self.set_of.len() / 8 {
            self.rows_since = 0;
            let values: usize = self.values.iter().map(ColumnBuilder::memory_bytes).sum();
            let states = self.calls.iter().map(Call::memory_bytes).sum::<usize>();
            self.kept_bytes = values + states;
            self.reservation.memory().check_state(states)?;
        }
        let held = self.table.memory_bytes() + self.set_of.capacity() * 4 + self.kept_bytes;
        let blocks: usize = self.waiting.iter().flatten().map(Partitions::memory_bytes).sum();
        self.reservation.set(held + blocks);
        self.has_room = held <= self.limit_bytes || self.level >= LEVELS_MAX;
        Ok(())
    }
}

impl Operator for Aggregation {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        // Rows that are left out here are of groups that are of no use.
        if let ([only], Some(Expr::Column { index, .. })) = (self.sets.as_slice(), self.groups.get(column))
            && only.contains(&column)
        {
            self.input.restrict(*index, keys);
        }
    }

    fn reset(&mut self) -> bool {
        self.run = None;
        matches!(self.part, Part::All) && self.input.reset()
    }

    fn is_fixed(&self) -> bool {
        let of_call = |call: &AggregateCall| {
            let order = call.order_by.iter().map(|key| &key.expr);
            reads_no_outer(call.arguments.iter().chain(&call.filter).chain(order))
        };
        matches!(self.part, Part::All)
            && reads_no_outer(&self.groups)
            && self.aggregates.iter().all(of_call)
            && self.input.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
