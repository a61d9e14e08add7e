//! Nested loop join, for conditions that no key serves; and lateral joins, whose right side is run for each row.
//!
//! The right side's rows are gathered once. Each left batch meets them block by block — one block where they fit in memory —
//! so that what is in a temporary file is read once for a batch, not for a row.

use std::sync::Arc;

use super::filter::filter;
use super::hash_join::{concatenate, null_columns};
use super::key_filter::KeyFilter;
use super::row_store::RowStore;
use super::{BoxFuture, Execution, Operator, renewed, store};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::JoinKind;
use crate::plan::physical::{NestedLoop, PlanNode};
use crate::types::DataType;
use crate::value::{Batch, Column, ColumnData, Datum};

/// Joins each left row with each right one.
pub struct NestedLoopOperator {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: PlanNode,
    right_number: usize,
    /// What gave the right rows last.
    operator: Option<Box<dyn Operator>>,
    on: Vec<Expr>,
    lateral: Vec<(usize, usize)>,
    left_types: Vec<DataType>,
    /// The right side's rows, where they are the same for all left rows.
    rows: Option<RowStore>,
    /// Of right rows, by number, whether they had a partner.
    matched: Vec<bool>,
    current: Option<Current>,
    /// It was begun anew before: it may be again.
    repeats: bool,
    /// At the end: which block's rows without partner come next, and the number of its first row.
    unmatched: Option<(usize, usize)>,
}

/// A left batch and where in it we are.
struct Current {
    batch: Batch,
    row: usize,
    found: Vec<bool>,
    /// The right rows at hand: which block, and the number of its first row.
    right: Batch,
    block: usize,
    first: usize,
    is_last: bool,
    /// What gives the right rows of one left row.
    lateral: Option<Box<dyn Operator>>,
}

impl NestedLoopOperator {
    pub fn new(join: &NestedLoop, left: Box<dyn Operator>, right_number: usize) -> NestedLoopOperator {
        NestedLoopOperator {
            kind: join.kind,
            left,
            right: (*join.right).clone(),
            right_number,
            operator: None,
            on: join.on.clone(),
            lateral: join.lateral.clone(),
            left_types: join.left.types.clone(),
            rows: None,
            matched: Vec::new(),
            current: None,
            unmatched: None,
            repeats: false,
        }
    }

    fn keeps_right(&self) -> bool {
        matches!(self.kind, JoinKind::Right | JoinKind::Full)
    }

    /// Gathers the right side's rows.
    async fn run_right(&mut self, execution: &mut Execution) -> Result<()> {
        let mut operator = renewed(self.operator.take(), &self.right, self.right_number);
        let mut rows = store(&mut *operator, execution).await?;
        self.operator = self.repeats.then_some(operator);
        if let Some(batches) = rows.in_memory()
            && batches.len() > 1
        {
            let all = concatenate(batches.to_vec(), &self.right.types, execution)?;
            rows = RowStore::of(vec![all], execution);
        }
        if self.keeps_right() {
            let count = (0..).map_while(|block| rows.rows_of(block)).sum();
            self.matched = vec![false; count];
        }
        self.rows = Some(rows);
        Ok(())
    }

    /// A left batch with the first right rows.
    async fn begin(&mut self, batch: Batch, execution: &mut Execution) -> Result<Current> {
        let found = vec![false; batch.row_count];
        let mut current = Current {
            batch,
            row: 0,
            found,
            right: Batch::default(),
            block: 0,
            first: 0,
            is_last: true,
            lateral: None,
        };
        if self.lateral.is_empty() {
            if self.rows.is_none() {
                self.run_right(execution).await?;
            }
            self.read_block(&mut current).await?;
        }
        Ok(current)
    }

    async fn read_block(&mut self, current: &mut Current) -> Result<()> {
        let Some(rows) = &self.rows else { return Ok(()) };
        current.right = rows.read(current.block).await?.unwrap_or_default();
        current.is_last = rows.rows_of(current.block + 1).is_none();
        Ok(())
    }

    /// The next rows of a left batch; `None` with the row behind the last when it is through.
    async fn join_next(&mut self, current: &mut Current, execution: &mut Execution) -> Result<Option<Batch>> {
        if current.row == current.batch.row_count && !current.is_last {
            current.first += current.right.row_count;
            current.block += 1;
            current.row = 0;
            self.read_block(current).await?;
        }
        let row = current.row;
        if !self.lateral.is_empty() {
            return self.join_lateral(current, execution).await;
        }
        current.row += 1;
        self.join_row(current, row, execution)
    }

    /// One left row with the right rows that its values give, a batch at a time.
    async fn join_lateral(
        &mut self,
        current: &mut Current,
        execution: &mut Execution,
    ) -> Result<Option<Batch>> {
        let row = current.row;
        let mut operator = match current.lateral.take() {
            Some(operator) => operator,
            None => renewed(self.operator.take(), &self.right, self.right_number),
        };
        // Whatever runs between two batches may have used the same slots.
        for (slot, column) in &self.lateral {
            set_slot(execution, *slot, current.batch.datum(row, *column));
        }
        let right = operator.next(execution).await?;
        // Whoever wants no more than one partner is through when it is there.
        let is_enough = current.found[row] && matches!(self.kind, JoinKind::Semi | JoinKind::Anti);
        current.is_last = right.is_none() || is_enough;
        current.right = right.unwrap_or_default();
        if current.is_last {
            current.row += 1;
            self.operator = Some(operator);
        } else {
            current.lateral = Some(operator);
        }
        self.join_row(current, row, execution)
    }

    /// One left row with the right rows at hand.
    fn join_row(
        &mut self,
        current: &mut Current,
        row: usize,
        execution: &Execution,
    ) -> Result<Option<Batch>> {
        let only_found = matches!(self.kind, JoinKind::Semi | JoinKind::Anti);
        let had_partner = current.found[row];
        let joined = if only_found && had_partner { None } else { self.pairs(current, row, execution)? };
        let found = joined.is_some();
        current.found[row] |= found;
        let is_alone = current.is_last && !current.found[row];
        Ok(match self.kind {
            JoinKind::Semi => (found && !had_partner).then(|| current.batch.gather(&[row as u32])),
            JoinKind::Anti => is_alone.then(|| current.batch.gather(&[row as u32])),
            JoinKind::Left | JoinKind::Full if is_alone => {
                let mut padded = current.batch.gather(&[row as u32]);
                padded.columns.extend(null_columns(&self.right.types, 1, execution)?);
                Some(padded)
            }
            _ => joined,
        })
    }

    /// The pairs of a left row that satisfy the condition, if there are any.
    fn pairs(&mut self, current: &Current, row: usize, execution: &Execution) -> Result<Option<Batch>> {
        let (batch, right) = (&current.batch, &current.right);
        let count = right.row_count;
        if count == 0 {
            return Ok(None);
        }
        let mut columns: Vec<Column> = Vec::with_capacity(batch.columns.len() + right.columns.len() + 1);
        for column in &batch.columns {
            columns.push(Column::constant(column.kind(), &column.get(row), count)?);
        }
        columns.extend(right.columns.iter().cloned());
        let width = columns.len();
        let numbers = (current.first as i64..(current.first + count) as i64).collect();
        columns.push(Column::new(ColumnData::Int64(numbers), None));
        let mut joined = filter(Batch::new(columns, count), &self.on, &execution.context())?;
        if self.keeps_right() {
            for at in 0..joined.row_count {
                if let Some(number) = joined.datum(at, width).as_i64() {
                    self.matched[number as usize] = true;
                }
            }
        }
        joined.columns.truncate(width);
        Ok((joined.row_count > 0).then_some(joined))
    }

    /// The next right rows without partner.
    async fn next_unmatched(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if !self.keeps_right() {
            return Ok(None);
        }
        if self.rows.is_none() {
            self.run_right(execution).await?;
        }
        let Some(rows) = &self.rows else { return Ok(None) };
        let (mut block, mut first) = self.unmatched.unwrap_or_default();
        while let Some(batch) = rows.read(block).await? {
            let alone: Vec<u32> =
                (0..batch.row_count).filter(|row| !self.matched[first + row]).map(|row| row as u32).collect();
            block += 1;
            first += batch.row_count;
            self.unmatched = Some((block, first));
            if !alone.is_empty() {
                let mut columns = null_columns(&self.left_types, alone.len(), execution)?;
                columns.extend(batch.gather(&alone).columns);
                return Ok(Some(Batch::new(columns, alone.len())));
            }
        }
        Ok(None)
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        while self.unmatched.is_none() {
            execution.breathe().await?;
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.left.next(execution).await? {
                    Some(batch) => self.begin(batch, execution).await?,
                    None => {
                        self.unmatched = Some((0, 0));
                        break;
                    }
                },
            };
            let joined = self.join_next(&mut current, execution).await?;
            let is_through = current.row == current.batch.row_count && current.is_last;
            if !is_through {
                self.current = Some(current);
            }
            if joined.is_some() {
                return Ok(joined);
            }
        }
        self.next_unmatched(execution).await
    }
}

/// Puts an outer value into its slot.
pub fn set_slot(execution: &mut Execution, slot: usize, value: Datum) {
    if execution.outer.len() <= slot {
        execution.outer.resize(slot + 1, Datum::Null);
    }
    execution.outer[slot] = value;
}

impl Operator for NestedLoopOperator {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        let narrows = matches!(self.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti);
        if narrows && column < self.left_types.len() {
            self.left.restrict(column, keys);
        }
    }

    fn reset(&mut self) -> bool {
        if let Some(operator) = self.current.take().and_then(|current| current.lateral) {
            self.operator = Some(operator);
        }
        if self.operator.as_ref().is_none_or(|operator| !operator.is_fixed()) {
            self.rows = None;
        }
        self.matched.fill(false);
        self.unmatched = None;
        self.repeats = true;
        self.left.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
