//! Joins that search a table for each left row, by its key or an index.
//!
//! 1. The rows found for rows of a left batch are decoded, with the number of the left row beside them ([`TableSearch`]).
//! 2. When a batch is full or the left batch is through, the pairs are formed and all conditions tested on them at once.
//! 3. When the left batch is through, its rows that found none are given where the join keeps them.

use std::sync::Arc;

use super::filter::filter;
use super::hash_join::null_columns;
use super::key_filter::KeyFilter;
use super::scan::Rows;
use super::table_search::TableSearch;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::JoinKind;
use crate::plan::physical::NestedLoop;
use crate::plan::walk::{self, Rewritten};
use crate::types::DataType;
use crate::value::{BATCH_ROWS, Batch, Column, ColumnData};

/// Searches a table for each left row.
pub struct SearchJoin {
    kind: JoinKind,
    left: Box<dyn Operator>,
    number: usize,
    search: TableSearch,
    left_types: Vec<DataType>,
    right_types: Vec<DataType>,
    /// What is tested on pairs.
    conditions: Vec<Expr>,
    /// What is tested is the same whatever the values of queries further out are.
    is_fixed: bool,
    current: Option<Current>,
}

/// A left batch and where in it we are.
struct Current {
    batch: Batch,
    row: usize,
    found: Vec<bool>,
}

impl SearchJoin {
    /// The operator of a join that searches a table; gives the left side back for any other.
    pub fn new(
        join: &NestedLoop,
        left: Box<dyn Operator>,
        number: usize,
    ) -> std::result::Result<SearchJoin, Box<dyn Operator>> {
        let keeps_right = matches!(join.kind, JoinKind::Right | JoinKind::Full);
        let search = match TableSearch::of(&join.right, &join.lateral) {
            Some(search) if !keeps_right => search,
            _ => return Err(left),
        };
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
        let mut conditions: Vec<Expr> = search.scan().filters.iter().map(over_pairs).collect();
        let is_fixed = reads_no_outer(&conditions);
        conditions.extend(join.on.iter().cloned());
        Ok(SearchJoin {
            kind: join.kind,
            left,
            number,
            search,
            left_types: join.left.types.clone(),
            right_types: join.right.types.clone(),
            conditions,
            is_fixed,
            current: None,
        })
    }

    /// Leaves out the conditions that the search tests on bytes. They come first, one for each filter.
    fn sort_conditions(&mut self, execution: &Execution) -> Result<()> {
        let mut is_tested = self.search.prepare(execution)?.into_iter();
        self.conditions.retain(|_| !is_tested.next().unwrap_or(false));
        Ok(())
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
        if self.conditions.is_empty() {
            columns.truncate(width - self.search.scan().hidden);
            return Ok((Batch::new(columns, count), of_left));
        }
        columns.push(Column::new(ColumnData::Int64(of_left.into_iter().map(i64::from).collect()), None));
        let mut pairs = filter(Batch::new(columns, count), &self.conditions, &execution.context())?;
        let numbers = pairs.columns.pop();
        let rows = 0..pairs.row_count;
        let of_left = match numbers {
            Some(numbers) => rows.map(|row| numbers.get(row).as_i64().unwrap_or(0) as u32).collect(),
            None => Vec::new(),
        };
        debug_assert_eq!(pairs.columns.len(), width);
        pairs.columns.truncate(width - self.search.scan().hidden);
        Ok((pairs, of_left))
    }

    /// The next rows of a left batch, if any are found before it is through or a batch is full.
    async fn join(&mut self, current: &mut Current, execution: &mut Execution) -> Result<Option<Batch>> {
        let mut rows = Rows::new(&self.search.scan().kinds, BATCH_ROWS, current.batch.row_count);
        let Current { batch, row, .. } = current;
        let of_left = self.search.search(batch, row, batch.row_count, &mut rows, execution).await?;
        let right = rows.finish(self.search.scan())?;
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
        if !self.search.is_prepared() {
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
                        Current { batch, row: 0, found }
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
        self.current = None;
        self.search.skip();
        self.is_fixed && self.left.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
