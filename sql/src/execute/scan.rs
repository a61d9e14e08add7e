//! Table scans: whole tables, key ranges, single rows, and searches by index.
//!
//! Rows are decoded into columns where they lie, unless one of the tests fails that can be made on their bytes. A search by index first gathers the primary keys of a batch,
//! then looks the rows up. Where several searches are combined, all keys are gathered before the first row is read, in key order.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use helios_mvcc::{KeyRange, Scan, ScanStep, Transaction, TreeId, ValuePlace, Visit};

use super::filter::filter_in_order;
use super::gathered_keys::{GatheredKeys, gather_keys};
use super::key_filter::KeyFilter;
use super::key_reader::KeyReader;
use super::keys::{key_range, key_ranges};
use super::row_test::RowTest;
use super::withheld::Withheld;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::catalog::TableEntry;
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::plan::physical::{Access, TableScan};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum, PhysicalKind, PlainRows};

/// So many rows are looked up by gathered keys between two looks at whether others have something to do.
const KEYS_PER_TURN: usize = 64;

enum State {
    Start,
    /// The table's own tree.
    Rows(Scan),
    /// An index's tree.
    Index(Scan),
    Done,
}

/// Gives the rows of a table.
pub struct TableScanner {
    scan: TableScan,
    past: Past,
    /// Its number in the plan, for measuring.
    number: usize,
    state: State,
    /// The ranges of keys that are not read yet.
    ranges: VecDeque<KeyRange>,
    /// Those that several searches found, and whether there are single keys among them.
    gathered: Option<GatheredKeys>,
    /// How many of them were read since others had a turn.
    read_since_turn: usize,
    /// What is read of an index alone.
    key_reader: Option<KeyReader>,
    /// The filters that are tested on bytes, and those that see batches.
    tests: Vec<RowTest>,
    filters: Vec<Expr>,
    withheld: Withheld,
    /// How many rows the next batch may have: few where few are expected, then twice as many each time.
    room: usize,
    /// How many the last one had, before filters.
    found_last: usize,
    /// The scan before the last `reset`, which knows where it was.
    before: Option<Scan>,
}

/// What reads a table as of an earlier moment; nothing where the statement's transaction reads it.
#[derive(Default)]
pub(super) struct Past(Option<Transaction>);

impl Past {
    /// The reader of a table.
    pub(super) fn of(table: &TableEntry, execution: &Execution) -> Result<Past> {
        let Some(then) = table.as_of else { return Ok(Past(None)) };
        let mut reader = execution.environment.store.begin_as_of(then.branch, then.scn)?;
        reader.read_for(execution.transaction.lock_owner());
        Ok(Past(Some(reader)))
    }

    pub(super) fn reader<'t>(&'t self, execution: &'t Execution) -> &'t Transaction {
        self.0.as_ref().unwrap_or(&execution.transaction)
    }

    fn reader_mut<'t>(&'t mut self, execution: &'t mut Execution) -> &'t mut Transaction {
        self.0.as_mut().unwrap_or(&mut execution.transaction)
    }
}

/// Columns being filled from rows.
pub(super) struct Rows {
    builders: Vec<ColumnBuilder>,
    keys: Vec<Vec<u8>>,
    count: usize,
    /// How many there may be.
    room: usize,
    /// How many did not pass the tests.
    failed: usize,
    failure: Option<SqlError>,
    /// Room for the numbers of those rows of a page that pass.
    selected: Vec<u16>,
}

impl Rows {
    /// Room for so many rows, of which some are expected.
    pub(super) fn new(kinds: &[PhysicalKind], room: usize, expected: usize) -> Rows {
        let builders = kinds.iter().map(|kind| ColumnBuilder::new(*kind, expected.min(room))).collect();
        Rows { builders, keys: Vec::new(), count: 0, room, failed: 0, failure: None, selected: Vec::new() }
    }

    #[inline(always)]
    fn add(&mut self, scan: &TableScan, tests: &[RowTest], key: &[u8], value: &[u8]) -> ControlFlow<()> {
        match self.decode(scan, tests, value) {
            Ok(false) => {
                self.failed += 1;
                ControlFlow::Continue(())
            }
            Ok(true) => {
                if scan.with_key {
                    self.keys.push(key.to_vec());
                }
                self.count += 1;
                if self.count < self.room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Tells whether the row passed.
    #[inline(always)]
    fn decode(&mut self, scan: &TableScan, tests: &[RowTest], value: &[u8]) -> Result<bool> {
        let row = scan.layout.view(value)?;
        for test in tests {
            if !test.passes(&row)? {
                return Ok(false);
            }
        }
        scan.layout.decode_into(&row, &scan.projection, &mut self.builders)?;
        Ok(true)
    }

    /// Adds those of some rows of a page that pass the tests, as long as there is room; tells how many were looked at.
    fn add_all(&mut self, (scan, tests): Tested<'_>, page: &[u8], places: &[ValuePlace]) -> Result<usize> {
        let Some(plain) = PlainRows::of(&scan.layout, page, places) else {
            let value = |place: &ValuePlace| &page[place.start as usize..place.end as usize];
            let stop = places.iter().position(|place| self.add(scan, tests, &[], value(place)).is_break());
            return Ok(stop.map_or(places.len(), |last| last + 1));
        };
        self.selected.clear();
        self.selected.extend(0..places.len() as u16);
        for test in tests {
            test.retain(&plain, &mut self.selected)?;
        }
        let room = self.room - self.count;
        let looked_at = match self.selected.get(room - 1) {
            Some(last) => usize::from(*last) + 1,
            None => places.len(),
        };
        self.selected.truncate(room);
        plain.decode_into(&scan.projection, &self.selected, &mut self.builders)?;
        self.count += self.selected.len();
        self.failed += looked_at - self.selected.len();
        Ok(looked_at)
    }

    /// Adds a row of which the columns were decoded.
    pub(super) fn add_values(&mut self, values: impl Iterator<Item = Datum>) -> Result<()> {
        for (builder, value) in self.builders.iter_mut().zip(values) {
            builder.push(value)?;
        }
        self.count += 1;
        Ok(())
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether further rows are wanted.
    pub(super) fn has_room(&self) -> bool {
        self.count < self.room && self.failure.is_none()
    }

    pub(super) fn finish(self, scan: &TableScan) -> Result<Batch> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let mut columns: Vec<_> = self.builders.into_iter().map(ColumnBuilder::finish).collect();
        if scan.with_key {
            let mut keys = ColumnBuilder::new(PhysicalKind::Bytes, self.keys.len());
            for key in &self.keys {
                keys.push(Datum::Bytes(Arc::from(key.as_slice())))?;
            }
            columns.push(keys.finish());
        }
        Ok(Batch::new(columns, self.count))
    }
}

impl TableScanner {
    pub fn new(scan: TableScan, number: usize) -> TableScanner {
        let past = Past::default();
        TableScanner {
            scan,
            past,
            number,
            state: State::Start,
            ranges: VecDeque::new(),
            gathered: None,
            read_since_turn: 0,
            key_reader: None,
            tests: Vec::new(),
            filters: Vec::new(),
            withheld: Withheld::default(),
            room: BATCH_ROWS,
            found_last: 64,
            before: None,
        }
    }

    /// The rows that pass the filters.
    fn filtered(&mut self, rows: Rows, execution: &mut Execution) -> Result<Batch> {
        let found = rows.count + rows.failed;
        let rows = rows.finish(&self.scan)?;
        let mut batch = filter_in_order(rows, &self.filters, &execution.context(), &mut self.withheld)?;
        if self.scan.hidden > 0 {
            batch.columns.truncate(self.given());
        }
        let removed = found.saturating_sub(batch.row_count) as u64;
        execution.instrument(self.number, |instrument| instrument.removed += removed);
        Ok(batch)
    }

    /// How many columns it gives, where some are hidden.
    fn given(&self) -> usize {
        self.scan.kinds.len() - self.scan.hidden
    }

    /// The columns that are decoded: where all filters are tested on bytes, those that are given.
    fn decoded(&self) -> &[PhysicalKind] {
        if self.filters.is_empty() { &self.scan.kinds[..self.given()] } else { &self.scan.kinds }
    }

    /// Sorts out the filters that are tested on the bytes of rows; for a single row that is not worth it, and an index has
    /// none.
    fn sort_filters(&mut self, execution: &Execution) -> Result<()> {
        let is_single = matches!(&self.scan.access, Access::Keys(access) if access.single)
            || KeyReader::of(&self.scan).is_some();
        for filter in &self.scan.filters {
            let (projection, layout) = (&self.scan.projection, &self.scan.layout);
            let test =
                if is_single { None } else { RowTest::of(filter, projection, layout, &execution.context())? };
            match test {
                Some(test) => self.tests.push(test),
                None => self.filters.push(filter.clone()),
            }
        }
        RowTest::arrange(&mut self.tests);
        Ok(())
    }

    async fn start(&mut self, execution: &mut Execution) -> Result<()> {
        match &self.scan.access {
            Access::Full { .. } if self.scan.workers == 0 => self.ranges.push_back(KeyRange::all()),
            Access::Full { .. } => {}
            Access::Keys(access) => {
                self.ranges = key_ranges(access, execution)?;
                self.key_reader = KeyReader::of(&self.scan);
            }
            Access::Combined(combination) => {
                let number = self.number + 1;
                let keys = gather_keys(&combination.set, &self.past, number, execution).await?;
                self.gathered = Some(GatheredKeys::new(keys));
            }
        }
        Ok(())
    }

    /// What is read when a range is through, or none was begun.
    async fn next_range(&mut self, execution: &mut Execution) -> Result<State> {
        let tree = self.scan.table.table.tree;
        let range = match execution.team.clone() {
            Some(team) if self.scan.workers > 0 => team.next_range(tree, &self.past, execution).await?,
            _ => match &mut self.gathered {
                Some(gathered) => gathered.next_range(),
                None => self.ranges.pop_front(),
            },
        };
        let Some(range) = range else {
            self.gathered = None;
            self.leave_scan(State::Done);
            return Ok(State::Done);
        };
        let reader = self.past.reader(execution);
        // Single rows are decoded one by one.
        let one_by_one = self.scan.with_key || self.gathered.as_ref().is_some_and(GatheredKeys::has_single);
        let of_rows = |scan: Scan| State::Rows(if one_by_one { scan } else { scan.values_only() });
        Ok(match (&self.state, &self.scan.access) {
            // Between two ranges other statements may have run.
            (State::Rows(before), _) => of_rows(before.over(range)),
            (State::Index(before), _) => State::Index(before.over(range)),
            (_, access) if let Some(before) = &self.before => match access {
                Access::Keys(access) if access.index_tree.is_some() => State::Index(before.over(range)),
                _ => State::Rows(before.over(range)),
            },
            (_, Access::Full { reverse }) => of_rows(reader.scan(tree, range, *reverse)),
            (_, Access::Combined(_)) => of_rows(reader.scan(tree, range, false)),
            (_, Access::Keys(access)) => match access.index_tree {
                None => of_rows(reader.scan(tree, range, access.reverse)),
                Some(index) => State::Index(reader.scan(index, range, access.reverse)),
            },
        })
    }

    /// Leaves the scan at hand, which knows where it was.
    fn leave_scan(&mut self, next: State) {
        if let State::Rows(scan) | State::Index(scan) = std::mem::replace(&mut self.state, next) {
            self.before = Some(scan);
        }
    }

    /// Fills a batch, from one range after the other.
    async fn fill(&mut self, rows: &mut Rows, execution: &mut Execution) -> Result<()> {
        while rows.has_room() {
            let tested = (&self.scan, self.tests.as_slice());
            let is_through = match &mut self.state {
                State::Rows(scan) => read_rows(scan, tested, rows, &self.past, execution).await?,
                State::Index(scan) => match &self.key_reader {
                    Some(reader) => reader.read(scan, rows, &self.past, execution).await?,
                    None => read_index(scan, tested, rows, &mut self.past, execution).await?,
                },
                State::Start | State::Done => return Ok(()),
            };
            if is_through {
                self.read_since_turn += 1;
                if self.gathered.is_none() || self.read_since_turn >= KEYS_PER_TURN {
                    self.read_since_turn = 0;
                    execution.breathe().await?;
                }
                self.state = self.next_range(execution).await?;
            }
        }
        Ok(())
    }

    async fn batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if let State::Start = self.state {
            self.sort_filters(execution)?;
            self.past = Past::of(&self.scan.table, execution)?;
            if let Some(batch) = self.single_row(execution).await? {
                return Ok(batch);
            }
            self.start(execution).await?;
            self.state = self.next_range(execution).await?;
        }
        loop {
            self.withheld.tell()?;
            if let State::Done = self.state {
                return Ok(None);
            }
            let mut rows = Rows::new(self.decoded(), self.room, self.found_last);
            self.room = (self.room * 2).min(BATCH_ROWS);
            self.fill(&mut rows, execution).await?;
            self.found_last = rows.count;
            let batch = self.filtered(rows, execution)?;
            if batch.row_count > 0 {
                return Ok(Some(batch));
            }
            execution.breathe().await?;
        }
    }

    /// A search for one row by the whole clustering key needs no scan. The outer `None`: this is none.
    async fn single_row(&mut self, execution: &mut Execution) -> Result<Option<Option<Batch>>> {
        let Access::Keys(access) = &self.scan.access else { return Ok(None) };
        if !access.single || access.index_tree.is_some() {
            return Ok(None);
        }
        let Some(range) = key_range(access, execution)? else {
            self.state = State::Done;
            return Ok(Some(None));
        };
        let std::ops::Bound::Included(key) = range.lower else { return Ok(None) };
        self.state = State::Done;
        let mut rows = Rows::new(&self.scan.kinds, 1, 1);
        fetch(None, (&self.scan, &self.tests), &key, &mut rows, &mut self.past, execution).await?;
        let batch = self.filtered(rows, execution)?;
        Ok(Some((batch.row_count > 0).then_some(batch)))
    }
}

/// A scan and the tests of its rows.
pub(super) type Tested<'s> = (&'s TableScan, &'s [RowTest]);

/// Fills a batch from the table's tree; tells whether the range is exhausted.
pub(super) async fn read_rows(
    cursor: &mut Scan,
    tested: Tested<'_>,
    rows: &mut Rows,
    past: &Past,
    execution: &mut Execution,
) -> Result<bool> {
    let mut visitor = Testing { tested, rows, visited: 0 };
    while visitor.rows.has_room() {
        if cursor.visit(past.reader(execution), &mut visitor).await? == ScanStep::Done {
            return Ok(true);
        }
        if visitor.visited >= BATCH_ROWS {
            visitor.visited = 0;
            execution.breathe().await?;
        }
    }
    Ok(false)
}

/// Adds the rows of a scan that pass the tests.
struct Testing<'t> {
    tested: Tested<'t>,
    rows: &'t mut Rows,
    visited: usize,
}

impl Visit for Testing<'_> {
    fn row(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        self.visited += 1;
        self.rows.add(self.tested.0, self.tested.1, key, value)
    }

    fn values(&mut self, page: &[u8], places: &[ValuePlace]) -> usize {
        self.visited += places.len();
        self.rows.add_all(self.tested, page, places).unwrap_or_else(|error| {
            self.rows.failure = Some(error);
            places.len()
        })
    }
}

/// Fills a batch by way of an index; tells whether the range is exhausted.
pub(super) async fn read_index(
    cursor: &mut Scan,
    tested: Tested<'_>,
    rows: &mut Rows,
    past: &mut Past,
    execution: &mut Execution,
) -> Result<bool> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut done = false;
    let room = rows.room - rows.count;
    while found.len() < room && !done {
        let step = cursor
            .next(past.reader(execution), &mut |_, primary| {
                found.push(primary.to_vec());
                if found.len() < room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .await?;
        done = step == ScanStep::Done;
    }
    for key in &found {
        fetch(Some(cursor), tested, key, rows, past, execution).await?;
    }
    Ok(done)
}

/// Looks one row up: as of the snapshot of the cursor that its key was read by, or else of the statement.
async fn fetch(
    cursor: Option<&Scan>,
    (scan, tests): Tested<'_>,
    key: &[u8],
    rows: &mut Rows,
    past: &mut Past,
    execution: &mut Execution,
) -> Result<()> {
    let tree: TreeId = scan.table.table.tree;
    loop {
        let add = |value: Option<&[u8]>| {
            if let Some(value) = value {
                let _ = rows.add(scan, tests, key, value);
            }
        };
        let looked = match cursor {
            Some(cursor) => cursor.try_get(past.reader(execution), tree, key, add),
            None => past.reader_mut(execution).try_get(tree, key, add),
        };
        match looked {
            Ok(()) => return Ok(()),
            Err(fault) => execution.environment.store.resolve(fault).await?,
        }
    }
}

impl Operator for TableScanner {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        if let Some(stored) = self.scan.projection.get(column) {
            self.tests.extend(RowTest::key(*stored, keys.clone(), &self.scan.layout));
            RowTest::arrange(&mut self.tests);
        }
    }

    fn expect(&mut self, rows: usize) {
        self.room = rows.clamp(1, BATCH_ROWS);
    }

    fn reset(&mut self) -> bool {
        // Those who share a table's rows take turns.
        if self.scan.workers > 0 {
            return false;
        }
        self.leave_scan(State::Start);
        self.ranges.clear();
        self.gathered = None;
        self.tests.clear();
        self.filters.clear();
        self.withheld.clear();
        self.room = BATCH_ROWS;
        true
    }

    fn is_fixed(&self) -> bool {
        let is_fixed_access = self.scan.access.all_values(&|value| reads_no_outer([value]));
        is_fixed_access && reads_no_outer(&self.scan.filters)
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.batch(execution))
    }
}
