//! Table scans: whole tables, key ranges, single rows, and searches by index.
//!
//! Rows are decoded into columns where they lie. A search by index first gathers the primary keys of a batch,
//! then looks the rows up.

use std::ops::ControlFlow;
use std::sync::Arc;

use helios_mvcc::{KeyRange, Scan, ScanStep, Transaction, TreeId};

use super::filter::filter;
use super::keys::key_range;
use super::{BoxFuture, Execution, Operator};
use crate::error::{Result, SqlError};
use crate::plan::physical::{Access, TableScan};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum, PhysicalKind};

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
    /// What reads a table as it was.
    past: Option<Transaction>,
    /// Its number in the plan, for measuring.
    number: usize,
    state: State,
}

/// Columns being filled from rows.
struct Rows {
    builders: Vec<ColumnBuilder>,
    keys: Vec<Vec<u8>>,
    count: usize,
    failure: Option<SqlError>,
}

impl Rows {
    fn new(kinds: &[PhysicalKind]) -> Rows {
        let builders = kinds.iter().map(|kind| ColumnBuilder::new(*kind, 64)).collect();
        Rows { builders, keys: Vec::new(), count: 0, failure: None }
    }

    fn add(&mut self, scan: &TableScan, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        match scan.layout.decode_into(value, &scan.projection, &mut self.builders) {
            Ok(()) => {
                if scan.with_key {
                    self.keys.push(key.to_vec());
                }
                self.count += 1;
                if self.count < BATCH_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(self, scan: &TableScan) -> Result<Batch> {
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
        TableScanner { scan, past: None, number, state: State::Start }
    }

    /// The rows that pass the filters.
    fn filtered(&self, rows: Rows, execution: &mut Execution) -> Result<Batch> {
        let found = rows.count;
        let batch = filter(rows.finish(&self.scan)?, &self.scan.filters, &execution.context())?;
        let removed = found.saturating_sub(batch.row_count) as u64;
        execution.instrument(self.number, |instrument| instrument.removed += removed);
        Ok(batch)
    }

    fn start(&mut self, execution: &Execution) -> Result<()> {
        let transaction = self.past.as_ref().unwrap_or(&execution.transaction);
        let tree = self.scan.table.table.tree;
        self.state = match &self.scan.access {
            Access::Full { reverse } => State::Rows(transaction.scan(tree, KeyRange::all(), *reverse)),
            Access::Keys(access) => match key_range(access, execution)? {
                None => State::Done,
                Some(range) => match access.index_tree {
                    None => State::Rows(transaction.scan(tree, range, access.reverse)),
                    Some(index) => State::Index(transaction.scan(index, range, access.reverse)),
                },
            },
        };
        Ok(())
    }

    async fn batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if let State::Start = self.state {
            if let Some(as_of) = self.scan.table.as_of {
                self.past = Some(execution.environment.store.begin_as_of(as_of.branch, as_of.scn)?);
            }
            if let Some(batch) = self.single_row(execution).await? {
                return Ok(batch);
            }
            self.start(execution)?;
        }
        loop {
            let mut rows = Rows::new(&self.scan.kinds);
            let done = match &mut self.state {
                State::Rows(scan) => {
                    let reader = self.past.as_ref().unwrap_or(&execution.transaction);
                    read_rows(scan, &self.scan, &mut rows, reader).await?
                }
                State::Index(scan) => {
                    let reader = self.past.as_mut().unwrap_or(&mut execution.transaction);
                    read_index(scan, &self.scan, &mut rows, reader).await?
                }
                State::Start | State::Done => return Ok(None),
            };
            if done {
                self.state = State::Done;
            }
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
        let mut rows = Rows::new(&self.scan.kinds);
        let reader = self.past.as_mut().unwrap_or(&mut execution.transaction);
        fetch(None, &self.scan, &key, &mut rows, reader).await?;
        let batch = self.filtered(rows, execution)?;
        Ok(Some((batch.row_count > 0).then_some(batch)))
    }
}

/// Fills a batch from the table's tree; tells whether the range is exhausted.
async fn read_rows(
    cursor: &mut Scan,
    scan: &TableScan,
    rows: &mut Rows,
    reader: &Transaction,
) -> Result<bool> {
    while rows.count < BATCH_ROWS && rows.failure.is_none() {
        let step = cursor.next(reader, &mut |key, value| rows.add(scan, key, value)).await?;
        if step == ScanStep::Done {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fills a batch by way of an index; tells whether the range is exhausted.
async fn read_index(
    cursor: &mut Scan,
    scan: &TableScan,
    rows: &mut Rows,
    reader: &mut Transaction,
) -> Result<bool> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut done = false;
    while found.len() < BATCH_ROWS && !done {
        let step = cursor
            .next(reader, &mut |_, primary| {
                found.push(primary.to_vec());
                if found.len() < BATCH_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .await?;
        done = step == ScanStep::Done;
    }
    for key in &found {
        fetch(Some(cursor), scan, key, rows, reader).await?;
    }
    Ok(done)
}

/// Looks one row up: as of the snapshot of the cursor that its key was read by, or else of the statement.
async fn fetch(
    cursor: Option<&Scan>,
    scan: &TableScan,
    key: &[u8],
    rows: &mut Rows,
    reader: &mut Transaction,
) -> Result<()> {
    let tree: TreeId = scan.table.table.tree;
    loop {
        let add = |value: Option<&[u8]>| {
            if let Some(value) = value {
                let _ = rows.add(scan, key, value);
            }
        };
        let looked = match cursor {
            Some(cursor) => cursor.try_get(reader, tree, key, add),
            None => reader.try_get(tree, key, add),
        };
        match looked {
            Ok(()) => return Ok(()),
            Err(fault) => reader.store().resolve(fault).await?,
        }
    }
}

impl Operator for TableScanner {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.batch(execution))
    }
}
