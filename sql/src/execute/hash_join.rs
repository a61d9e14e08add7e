//! Hash join: the right side becomes a table by key, the left side probes it.
//!
//! 1. All right rows are read; those whose key has no NULL are entered under it.
//! 2. For each left batch, candidate pairs are formed and the remaining conditions tested on them.
//! 3. LEFT and FULL add left rows without a partner, RIGHT and FULL at last the right ones.

use std::collections::HashMap;

use super::filter::filter;
use super::keys::{append_row_key, equality_column, evaluate};
use super::{BoxFuture, Execution, Operator, drain};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::JoinKind;
use crate::plan::physical::HashJoin;
use crate::types::DataType;
use crate::value::{Batch, Column, ColumnBuilder, Datum, KeyColumn, PhysicalKind};

/// Joins by equal keys.
pub struct HashJoinOperator {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    left_keys: Vec<Expr>,
    right_keys: Vec<Expr>,
    residual: Vec<Expr>,
    key_columns: Vec<KeyColumn>,
    left_types: Vec<DataType>,
    right_types: Vec<DataType>,
    built: Option<Table>,
    finished: bool,
}

struct Table {
    rows: Batch,
    by_key: HashMap<Vec<u8>, Vec<u32>>,
    matched: Vec<bool>,
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
            for row in 0..batch.row_count {
                builder.push(batch.datum(row, at))?;
            }
        }
        columns.push(builder.finish());
    }
    Ok(Batch::new(columns, count))
}

/// Columns of NULLs.
pub fn null_columns(types: &[DataType], rows: usize, execution: &Execution) -> Result<Vec<Column>> {
    types.iter().map(|each| Column::constant(execution.kind_of(*each)?, &Datum::Null, rows)).collect()
}

impl HashJoinOperator {
    pub fn new(join: &HashJoin, left: Box<dyn Operator>, right: Box<dyn Operator>) -> HashJoinOperator {
        // Integers of different widths, and floats, are compared as the widest.
        let key_columns = join.left_keys.iter().map(|expr| {
            let mut column = equality_column(expr.data_type());
            column.kind = match column.kind {
                PhysicalKind::Int16 | PhysicalKind::Int32 => PhysicalKind::Int64,
                PhysicalKind::Float32 => PhysicalKind::Float64,
                kind => kind,
            };
            column
        });
        HashJoinOperator {
            kind: join.kind,
            left,
            right,
            key_columns: key_columns.collect(),
            left_keys: join.left_keys.clone(),
            right_keys: join.right_keys.clone(),
            residual: join.residual.clone(),
            left_types: join.left.types.clone(),
            right_types: join.right.types.clone(),
            built: None,
            finished: false,
        }
    }

    async fn build(&mut self, execution: &mut Execution) -> Result<Table> {
        let batches = drain(&mut *self.right, execution).await?;
        let rows = concatenate(batches, &self.right_types, execution)?;
        let mut by_key: HashMap<Vec<u8>, Vec<u32>> = HashMap::new();
        if rows.row_count > 0 {
            let columns = evaluate(&self.right_keys, &rows, execution)?;
            for row in 0..rows.row_count {
                let mut key = Vec::new();
                if !append_row_key(&self.key_columns, &columns, row, true, &mut key) {
                    by_key.entry(key).or_default().push(row as u32);
                }
            }
        }
        let matched = vec![false; rows.row_count];
        Ok(Table { rows, by_key, matched })
    }

    fn probe(&self, table: &mut Table, batch: &Batch, execution: &Execution) -> Result<Option<Batch>> {
        let columns = evaluate(&self.left_keys, batch, execution)?;
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        let mut key = Vec::new();
        for row in 0..batch.row_count {
            key.clear();
            if append_row_key(&self.key_columns, &columns, row, true, &mut key) {
                continue;
            }
            if let Some(partners) = table.by_key.get(&key) {
                left_rows.extend(std::iter::repeat_n(row as u32, partners.len()));
                right_rows.extend(partners);
            }
        }
        let (joined, left_rows, right_rows) = self.test(table, batch, left_rows, right_rows, execution)?;
        for row in &right_rows {
            table.matched[*row as usize] = true;
        }
        match self.kind {
            JoinKind::Inner | JoinKind::Right => Ok((joined.row_count > 0).then_some(joined)),
            JoinKind::Semi | JoinKind::Anti => {
                let mut found = vec![false; batch.row_count];
                left_rows.iter().for_each(|row| found[*row as usize] = true);
                let wanted = self.kind == JoinKind::Semi;
                let kept: Vec<u32> =
                    (0..batch.row_count).filter(|row| found[*row] == wanted).map(|row| row as u32).collect();
                Ok((!kept.is_empty()).then(|| batch.gather(&kept)))
            }
            JoinKind::Left | JoinKind::Full => {
                let mut found = vec![false; batch.row_count];
                left_rows.iter().for_each(|row| found[*row as usize] = true);
                let alone: Vec<u32> =
                    (0..batch.row_count).filter(|row| !found[*row]).map(|row| row as u32).collect();
                if alone.is_empty() {
                    return Ok((joined.row_count > 0).then_some(joined));
                }
                let mut padded = batch.gather(&alone);
                padded.columns.extend(null_columns(&self.right_types, alone.len(), execution)?);
                if joined.row_count == 0 {
                    return Ok(Some(padded));
                }
                let types: Vec<DataType> = self.left_types.iter().chain(&self.right_types).copied().collect();
                concatenate(vec![joined, padded], &types, execution).map(Some)
            }
        }
    }

    /// Forms candidate pairs and keeps those that satisfy the other conditions.
    fn test(
        &self,
        table: &Table,
        batch: &Batch,
        left_rows: Vec<u32>,
        right_rows: Vec<u32>,
        execution: &Execution,
    ) -> Result<(Batch, Vec<u32>, Vec<u32>)> {
        let mut joined = batch.gather(&left_rows);
        if table.rows.row_count > 0 {
            joined.columns.extend(table.rows.gather(&right_rows).columns);
        } else {
            joined.columns.extend(null_columns(&self.right_types, 0, execution)?);
        }
        if self.residual.is_empty() {
            return Ok((joined, left_rows, right_rows));
        }
        // The pairs' numbers go along as columns, so that what is left says which pairs they are.
        let numbers = |rows: &[u32]| {
            let values = rows.iter().map(|row| i64::from(*row)).collect();
            Column::new(crate::value::ColumnData::Int64(values), None)
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

    /// The right rows that no left row matched, with NULLs on the left.
    fn unmatched(&self, table: &Table, execution: &Execution) -> Result<Option<Batch>> {
        let rows: Vec<u32> =
            (0..table.rows.row_count).filter(|row| !table.matched[*row]).map(|row| row as u32).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns = null_columns(&self.left_types, rows.len(), execution)?;
        columns.extend(table.rows.gather(&rows).columns);
        Ok(Some(Batch::new(columns, rows.len())))
    }
}

impl Operator for HashJoinOperator {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let mut table = match self.built.take() {
                Some(table) => table,
                None => self.build(execution).await?,
            };
            let mut result = None;
            while result.is_none() && !self.finished {
                // Without right rows an inner or semi join has no rows, whatever the left side gives.
                let barren = table.rows.row_count == 0
                    && matches!(self.kind, JoinKind::Inner | JoinKind::Semi | JoinKind::Right);
                let batch = if barren { None } else { self.left.next(execution).await? };
                match batch {
                    Some(batch) => result = self.probe(&mut table, &batch, execution)?,
                    None => {
                        self.finished = true;
                        if matches!(self.kind, JoinKind::Right | JoinKind::Full) {
                            result = self.unmatched(&table, execution)?;
                        }
                    }
                }
            }
            self.built = Some(table);
            Ok(result)
        })
    }
}
