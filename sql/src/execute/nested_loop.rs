//! Nested loop join, for conditions that no key serves; and lateral joins, whose right side is run for each row.

use super::filter::filter;
use super::hash_join::{concatenate, null_columns};
use super::{BoxFuture, Execution, Operator, build_from, drain};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::JoinKind;
use crate::plan::physical::{NestedLoop, PlanNode};
use crate::types::DataType;
use crate::value::{Batch, Column, Datum};

/// Joins each left row with each right one.
pub struct NestedLoopOperator {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: PlanNode,
    right_number: usize,
    on: Vec<Expr>,
    lateral: Vec<(usize, usize)>,
    left_types: Vec<DataType>,
    /// The right side's rows, where they are the same for all left rows.
    rows: Option<Batch>,
    matched: Vec<bool>,
    current: Option<(Batch, usize)>,
    finished: bool,
}

impl NestedLoopOperator {
    pub fn new(join: &NestedLoop, left: Box<dyn Operator>, right_number: usize) -> NestedLoopOperator {
        NestedLoopOperator {
            kind: join.kind,
            left,
            right: (*join.right).clone(),
            right_number,
            on: join.on.clone(),
            lateral: join.lateral.clone(),
            left_types: join.left.types.clone(),
            rows: None,
            matched: Vec::new(),
            current: None,
            finished: false,
        }
    }

    async fn run_right(&mut self, execution: &mut Execution) -> Result<Batch> {
        let mut operator = build_from(&self.right, self.right_number);
        let batches = drain(&mut *operator, execution).await?;
        concatenate(batches, &self.right.types, execution)
    }

    /// The right rows for one left row.
    async fn partners(&mut self, batch: &Batch, row: usize, execution: &mut Execution) -> Result<Batch> {
        if !self.lateral.is_empty() {
            for (slot, column) in &self.lateral {
                set_slot(execution, *slot, batch.datum(row, *column));
            }
            return self.run_right(execution).await;
        }
        if self.rows.is_none() {
            let rows = self.run_right(execution).await?;
            self.matched = vec![false; rows.row_count];
            self.rows = Some(rows);
        }
        Ok(self.rows.clone().unwrap_or_default())
    }

    async fn join_row(
        &mut self,
        batch: &Batch,
        row: usize,
        execution: &mut Execution,
    ) -> Result<Option<Batch>> {
        let right = self.partners(batch, row, execution).await?;
        let count = right.row_count;
        let mut columns: Vec<Column> = Vec::with_capacity(batch.columns.len() + right.columns.len() + 1);
        for column in &batch.columns {
            columns.push(Column::constant(column.kind(), &column.get(row), count)?);
        }
        columns.extend(if count > 0 {
            right.columns
        } else {
            null_columns(&self.right.types, 0, execution)?
        });
        let width = columns.len();
        let numbers = (0..count as i64).collect();
        columns.push(Column::new(crate::value::ColumnData::Int64(numbers), None));
        let mut joined = filter(Batch::new(columns, count), &self.on, &execution.context())?;
        if matches!(self.kind, JoinKind::Right | JoinKind::Full) {
            for at in 0..joined.row_count {
                if let Some(number) = joined.datum(at, width).as_i64() {
                    self.matched[number as usize] = true;
                }
            }
        }
        joined.columns.truncate(width);
        let found = joined.row_count > 0;
        Ok(match self.kind {
            JoinKind::Semi => found.then(|| batch.gather(&[row as u32])),
            JoinKind::Anti => (!found).then(|| batch.gather(&[row as u32])),
            JoinKind::Left | JoinKind::Full if !found => {
                let mut padded = batch.gather(&[row as u32]);
                padded.columns.extend(null_columns(&self.right.types, 1, execution)?);
                Some(padded)
            }
            _ => found.then_some(joined),
        })
    }

    async fn unmatched(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if !matches!(self.kind, JoinKind::Right | JoinKind::Full) {
            return Ok(None);
        }
        if self.rows.is_none() {
            let rows = self.run_right(execution).await?;
            self.matched = vec![false; rows.row_count];
            self.rows = Some(rows);
        }
        let Some(rows) = &self.rows else { return Ok(None) };
        let alone: Vec<u32> =
            (0..rows.row_count).filter(|row| !self.matched[*row]).map(|row| row as u32).collect();
        if alone.is_empty() {
            return Ok(None);
        }
        let mut columns = null_columns(&self.left_types, alone.len(), execution)?;
        columns.extend(rows.gather(&alone).columns);
        Ok(Some(Batch::new(columns, alone.len())))
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
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            while !self.finished {
                execution.breathe().await?;
                let (batch, row) = match self.current.take() {
                    Some(current) => current,
                    None => match self.left.next(execution).await? {
                        Some(batch) => (batch, 0),
                        None => {
                            self.finished = true;
                            return self.unmatched(execution).await;
                        }
                    },
                };
                let joined = self.join_row(&batch, row, execution).await?;
                if row + 1 < batch.row_count {
                    self.current = Some((batch, row + 1));
                }
                if joined.is_some() {
                    return Ok(joined);
                }
            }
            Ok(None)
        })
    }
}
