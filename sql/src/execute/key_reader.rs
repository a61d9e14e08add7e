//! Rows read off an index alone: its entries hold all columns that are wanted.

use std::ops::ControlFlow;

use helios_mvcc::{Scan, ScanStep};

use super::Execution;
use super::scan::{Past, Rows};
use crate::error::{Result, SqlError};
use crate::plan::physical::{Access, TableScan};
use crate::plan::{index_key_columns, primary_key_columns};
use crate::value::key::{self, KeyColumn};
use crate::value::{BATCH_ROWS, Datum};

/// Where the columns of a scan are in the entries of its index.
pub struct KeyReader {
    /// The entry's key, up to the last column wanted.
    index: Vec<KeyColumn>,
    /// The clustering key that the entry names, as far.
    primary: Vec<KeyColumn>,
    /// By column: its place in both together.
    places: Vec<usize>,
}

impl KeyReader {
    /// The reader of a scan; `None` for one that is not by an index, or reads rows.
    pub fn of(scan: &TableScan) -> Option<KeyReader> {
        let Access::Keys(access) = &scan.access else { return None };
        let tree = access.index_tree.filter(|_| scan.key_only && !scan.with_key)?;
        let (entry, table) = (&scan.table, &scan.table.table);
        let index = entry.indexes.iter().find(|index| index.tree == tree)?;
        let (mut of_index, mut of_primary) = (index_key_columns(table, index), primary_key_columns(table));
        let numbers: Vec<i16> = index
            .columns
            .iter()
            .map(|column| column.number)
            .chain(table.primary_key.iter().copied())
            .collect();
        let is_exact =
            |at: usize| of_index.iter().chain(&of_primary).nth(at).is_some_and(KeyColumn::is_lossless);
        let place = |position: &usize| {
            let number = table.columns[*position].number;
            (0..numbers.len()).find(|at| numbers[*at] == number && is_exact(*at))
        };
        let places: Vec<usize> = scan.projection.iter().map(place).collect::<Option<_>>()?;
        let own = of_index.len();
        let last = |found: Option<&usize>, first: usize| found.map_or(0, |at| at + 1 - first);
        of_primary.truncate(last(places.iter().filter(|at| **at >= own).max(), own));
        if of_primary.is_empty() {
            of_index.truncate(last(places.iter().max(), 0));
        }
        Some(KeyReader { index: of_index, primary: of_primary, places })
    }

    /// Fills a batch; tells whether the range is exhausted.
    pub(super) async fn read(
        &self,
        cursor: &mut Scan,
        rows: &mut Rows,
        past: &Past,
        execution: &mut Execution,
    ) -> Result<bool> {
        let mut values: Vec<Datum> = Vec::new();
        let mut visited = 0;
        while rows.has_room() {
            let mut failure: Option<SqlError> = None;
            let visit = &mut |key: &[u8], primary: &[u8]| {
                visited += 1;
                let added = self
                    .decode(key, primary, &mut values)
                    .and_then(|()| rows.add_values(self.places.iter().map(|at| values[*at].clone())));
                match added {
                    Ok(()) if rows.has_room() => ControlFlow::Continue(()),
                    Ok(()) => ControlFlow::Break(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            };
            let step = cursor.next(past.reader(execution), visit).await?;
            if let Some(error) = failure {
                return Err(error);
            }
            if step == ScanStep::Done {
                return Ok(true);
            }
            if visited >= BATCH_ROWS {
                visited = 0;
                execution.breathe().await?;
            }
        }
        Ok(false)
    }

    fn decode(&self, mut key: &[u8], mut primary: &[u8], values: &mut Vec<Datum>) -> Result<()> {
        values.clear();
        for column in &self.index {
            values.push(key::decode(column, &mut key)?);
        }
        for column in &self.primary {
            values.push(key::decode(column, &mut primary)?);
        }
        Ok(())
    }
}
