//! Joins that search a table for each left row, by its key or an index.
//!
//! 1. For each row of a left batch the slots that the search reads are filled, and the rows found are decoded behind those of
//!    the row before, with the number of the left row beside them.
//! 2. When a batch is full or the left batch is through, the pairs are formed and all conditions tested on them at once.
//! 3. When the left batch is through, its rows that found none are given where the join keeps them.

use std::sync::Arc;

use helios_mvcc::Scan;

use super::filter::filter;
use super::hash_join::null_columns;
use super::key_filter::KeyFilter;
use super::key_reader::KeyReader;
use super::keys::key_range;
use super::nested_loop::set_slot;
use super::row_test::RowTest;
use super::scan::{Past, Rows, read_index, read_rows};
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::JoinKind;
use crate::plan::physical::{Access, KeyAccess, NestedLoop, Physical, TableScan};
use crate::plan::walk::{self, Rewritten};
use crate::types::DataType;
use crate::value::{BATCH_ROWS, Batch, Column, ColumnData};

/// Searches a table for each left row.
pub struct SearchJoin {
    kind: JoinKind,
    left: Box<dyn Operator>,
    number: usize,
    scan: TableScan,
    access: KeyAccess,
    lateral: Vec<(usize, usize)>,
    left_types: Vec<DataType>,
    right_types: Vec<DataType>,
    /// What is tested on bytes, once the first row has come.
    tests: Option<Vec<RowTest>>,
    /// That and the conditions are the same whatever the values of queries further out are.
    tests_last: bool,
    /// What is tested on pairs.
    conditions: Vec<Expr>,
    past: Past,
    /// What is read of an index alone.
    key_reader: Option<KeyReader>,
    current: Option<Current>,
    /// The search before, which knows where it was.
    before: Option<Scan>,
}

/// A left batch and where in it we are.
struct Current {
    batch: Batch,
    row: usize,
    /// The search of that row, if it has begun.
    search: Option<Scan>,
    found: Vec<bool>,
}

/// The table that a join searches, and how.
fn searched(join: &NestedLoop) -> Option<(&TableScan, &KeyAccess)> {
    let Physical::Table(scan) = &join.right.node else { return None };
    let Access::Keys(access) = &scan.access else { return None };
    let keeps_right = matches!(join.kind, JoinKind::Right | JoinKind::Full);
    (!join.lateral.is_empty() && !keeps_right).then_some((scan, access))
}

impl SearchJoin {
    /// The operator of a join that searches a table; gives the left side back for any other.
    pub fn new(
        join: &NestedLoop,
        left: Box<dyn Operator>,
        number: usize,
    ) -> std::result::Result<SearchJoin, Box<dyn Operator>> {
        let Some((scan, access)) = searched(join) else { return Err(left) };
        let width = join.left.types.len();
        // The table's filters on pairs: its columns come behind the left ones, which they read through slots.
        let over_pairs = |expr: &Expr| {
            walk::rewrite(expr.clone(), &mut |expr| match expr {
                Expr::Column { index, data_type } => {
                    Rewritten::Done(Expr::Column { index: width + index, data_type })
                }
                Expr::Outer { index: slot, data_type } => {
                    let own = join.lateral.iter().find(|(own, _)| *own == slot);
                    Rewritten::Done(match own {
                        Some((_, column)) => Expr::Column { index: *column, data_type },
                        None => Expr::Outer { index: slot, data_type },
                    })
                }
                other => Rewritten::Descend(other),
            })
        };
        let mut conditions: Vec<Expr> = scan.filters.iter().map(over_pairs).collect();
        conditions.extend(join.on.iter().cloned());
        Ok(SearchJoin {
            kind: join.kind,
            left,
            number,
            scan: scan.clone(),
            access: access.clone(),
            lateral: join.lateral.clone(),
            left_types: join.left.types.clone(),
            right_types: join.right.types.clone(),
            tests: None,
            tests_last: reads_no_outer(conditions.iter().take(scan.filters.len())),
            conditions,
            past: Past::default(),
            key_reader: KeyReader::of(scan),
            current: None,
            before: None,
        })
    }

    /// Sorts out the conditions on the table alone that are tested on bytes. They come first, one for each filter.
    fn sort_conditions(&mut self, execution: &Execution) -> Result<()> {
        let mut tests = Vec::new();
        let mut on_pairs = self.conditions.split_off(self.scan.filters.len());
        for (filter, condition) in self.scan.filters.iter().zip(std::mem::take(&mut self.conditions)) {
            let reads_left = walk::any(filter, &mut |node| match node {
                Expr::Outer { index, .. } => self.lateral.iter().any(|(slot, _)| slot == index),
                _ => false,
            });
            let (projection, layout) = (&self.scan.projection, &self.scan.layout);
            let test = if reads_left || self.key_reader.is_some() {
                None
            } else {
                RowTest::of(filter, projection, layout, &execution.context())?
            };
            match test {
                Some(test) => tests.push(test),
                None => self.conditions.push(condition),
            }
        }
        RowTest::arrange(&mut tests);
        self.conditions.append(&mut on_pairs);
        self.tests = Some(tests);
        self.past = Past::of(&self.scan.table, execution)?;
        Ok(())
    }

    /// Searches for the rows of the left batch from where we are, until a batch is full; gives the left row of each.
    async fn search(
        &mut self,
        current: &mut Current,
        rows: &mut Rows,
        execution: &mut Execution,
    ) -> Result<Vec<u32>> {
        let tree = self.access.index_tree.unwrap_or(self.scan.table.table.tree);
        let tested = (&self.scan, self.tests.as_deref().unwrap_or_default());
        let mut of_left = Vec::new();
        while current.row < current.batch.row_count && rows.has_room() {
            let mut search = match current.search.take() {
                Some(search) => search,
                None => {
                    for (slot, column) in &self.lateral {
                        set_slot(execution, *slot, current.batch.datum(current.row, *column));
                    }
                    let Some(range) = key_range(&self.access, execution)? else {
                        current.row += 1;
                        continue;
                    };
                    let reads_keys = self.access.index_tree.is_some() || self.key_reader.is_some();
                    let reader = self.past.reader(execution);
                    match self.before.take() {
                        Some(before) => before.over(range),
                        None if reads_keys || self.scan.with_key => {
                            reader.scan(tree, range, self.access.reverse)
                        }
                        None => reader.scan(tree, range, self.access.reverse).values_only(),
                    }
                }
            };
            let is_done = if let Some(reader) = &self.key_reader {
                reader.read(&mut search, rows, &self.past, execution).await?
            } else if self.access.index_tree.is_some() {
                read_index(&mut search, tested, rows, &mut self.past, execution).await?
            } else {
                read_rows(&mut search, tested, rows, &self.past, execution).await?
            };
            of_left.resize(rows.count(), current.row as u32);
            if is_done {
                current.row += 1;
                self.before = Some(search);
            } else {
                current.search = Some(search);
            }
        }
        Ok(of_left)
    }

    /// The pairs that satisfy all conditions, and the left row of each.
    fn pairs(
        &self,
        current: &Current,
        right: Batch,
        of_left: Vec<u32>,
        execution: &Execution,
    ) -> Result<(Batch, Vec<u32>)> {
        let count = of_left.len();
        let mut columns = current.batch.gather(&of_left).columns;
        columns.extend(right.columns);
        let width = columns.len();
        columns.push(Column::new(ColumnData::Int64(of_left.into_iter().map(i64::from).collect()), None));
        let mut pairs = filter(Batch::new(columns, count), &self.conditions, &execution.context())?;
        let numbers = pairs.columns.pop();
        let rows = 0..pairs.row_count;
        let of_left = match numbers {
            Some(numbers) => rows.map(|row| numbers.get(row).as_i64().unwrap_or(0) as u32).collect(),
            None => Vec::new(),
        };
        debug_assert_eq!(pairs.columns.len(), width);
        pairs.columns.truncate(width - self.scan.hidden);
        Ok((pairs, of_left))
    }

    /// The next rows of a left batch, if any are found before it is through or a batch is full.
    async fn join(&mut self, current: &mut Current, execution: &mut Execution) -> Result<Option<Batch>> {
        let mut rows = Rows::new(&self.scan.kinds, BATCH_ROWS, current.batch.row_count);
        let of_left = self.search(current, &mut rows, execution).await?;
        let right = rows.finish(&self.scan)?;
        execution.instrument(self.number, |instrument| instrument.rows += right.row_count as u64);
        let (pairs, of_left) = self.pairs(current, right, of_left, execution)?;
        let new = |row: &u32| !std::mem::replace(&mut current.found[*row as usize], true);
        let first_found: Vec<u32> = of_left.into_iter().filter(new).collect();
        Ok(match self.kind {
            JoinKind::Anti => None,
            JoinKind::Semi if first_found.is_empty() => None,
            JoinKind::Semi => Some(current.batch.gather(&first_found)),
            _ => (pairs.row_count > 0).then_some(pairs),
        })
    }

    /// Rows of a left batch that is through which found nothing.
    fn alone(&self, current: &Current, execution: &Execution) -> Result<Option<Batch>> {
        if !matches!(self.kind, JoinKind::Left | JoinKind::Anti) {
            return Ok(None);
        }
        let rows: Vec<u32> =
            (0..current.found.len() as u32).filter(|row| !current.found[*row as usize]).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut given = current.batch.gather(&rows);
        if self.kind == JoinKind::Left {
            given.columns.extend(null_columns(&self.right_types, rows.len(), execution)?);
        }
        Ok(Some(given))
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if self.tests.is_none() {
            self.sort_conditions(execution)?;
        }
        loop {
            execution.breathe().await?;
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.left.next(execution).await? {
                    Some(batch) => {
                        let found = vec![false; batch.row_count];
                        execution.instrument(self.number, |each| each.loops += batch.row_count as u64);
                        Current { batch, row: 0, search: None, found }
                    }
                    None => return Ok(None),
                },
            };
            let given = if current.row < current.batch.row_count {
                let given = self.join(&mut current, execution).await?;
                self.current = Some(current);
                given
            } else {
                self.alone(&current, execution)?
            };
            if given.is_some() {
                return Ok(given);
            }
        }
    }
}

impl Operator for SearchJoin {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        if column < self.left_types.len() {
            self.left.restrict(column, keys);
        }
    }

    fn expect(&mut self, rows: usize) {
        self.left.expect(rows);
    }

    fn reset(&mut self) -> bool {
        // Where the search was is known still.
        if let Some(search) = self.current.take().and_then(|current| current.search) {
            self.before = Some(search);
        }
        self.tests_last && self.left.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
