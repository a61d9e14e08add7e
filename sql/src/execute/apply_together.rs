//! Subqueries in expressions that are computed for all rows of a batch together ([`Lateral`]).

use super::Execution;
use super::apply::too_many_rows;
use super::lateral::Lateral;
use crate::error::{Result, SqlError};
use crate::expr::make_array;
use crate::plan::physical::{Apply, ApplyKind};
use crate::types::DataType;
use crate::value::{Batch, Bitmap, Column, ColumnBuilder, ColumnData, Datum, gather_picked};

/// Such a subquery.
pub struct Together {
    lateral: Lateral,
    kind: Kind,
    data_type: DataType,
}

/// What its rows become.
#[derive(Clone, Copy)]
enum Kind {
    Scalar,
    Exists,
    Array,
}

impl Together {
    /// A subquery of this kind; `number` is its first node's.
    pub fn of(apply: &Apply, number: usize) -> Option<Together> {
        let kind = match apply.kind {
            ApplyKind::Scalar => Kind::Scalar,
            ApplyKind::Exists => Kind::Exists,
            ApplyKind::Array { .. } => Kind::Array,
            ApplyKind::Quantified { .. } => return None,
        };
        let width = apply.input.types.len();
        let lateral = Lateral::of(&apply.subquery, &apply.correlations, &[], width, number)?;
        Some(Together { lateral, kind, data_type: apply.data_type })
    }

    /// Forgets what it has begun; false where it has to be built again.
    pub fn reset(&mut self) -> bool {
        self.lateral.reset()
    }

    /// Whether it searches a table, so that an answer that is known already is worth more.
    pub fn is_search(&self) -> bool {
        self.lateral.is_search()
    }

    /// The answers for the rows of a batch.
    ///
    /// # Errors
    /// Those of evaluating; 21000 where one row would have several values.
    pub async fn answers(&mut self, batch: &Batch, execution: &mut Execution) -> Result<Column> {
        self.lateral.begin(batch, execution)?;
        match self.kind {
            Kind::Exists => self.exists(batch, execution).await,
            Kind::Scalar => self.values(batch, execution).await,
            Kind::Array => self.arrays(batch, execution).await,
        }
    }

    async fn exists(&mut self, batch: &Batch, execution: &mut Execution) -> Result<Column> {
        let mut found = vec![false; batch.row_count];
        while let Some(pairs) = self.lateral.next(batch, execution).await? {
            pairs.of_left.iter().for_each(|row| found[*row as usize] = true);
            if found.get(self.lateral.through()).is_some_and(|found| *found) {
                self.lateral.skip();
            }
        }
        Ok(Column::new(ColumnData::Bool(found), None))
    }

    async fn values(&mut self, batch: &Batch, execution: &mut Execution) -> Result<Column> {
        let kind = execution.kind_of(self.data_type)?;
        let mut parts = vec![Batch::new(vec![Column::constant(kind, &Datum::Null, 1)?], 1)];
        let mut picks = vec![(0, 0); batch.row_count];
        let mut found = Bitmap::filled(batch.row_count, false);
        while let Some(mut pairs) = self.lateral.next(batch, execution).await? {
            for (at, row) in pairs.of_left.iter().enumerate() {
                let row = *row as usize;
                if found.get(row) {
                    return Err(too_many_rows());
                }
                found.set(row, true);
                picks[row] = (parts.len() as u32, at as u32);
            }
            let count = pairs.of_left.len();
            let Some(value) = self.lateral.right(&mut pairs).into_iter().next() else {
                return Err(SqlError::internal("a subquery without a value"));
            };
            parts.push(Batch::new(vec![value], count));
        }
        let mut gathered = gather_picked(&parts, &picks)?;
        gathered.columns.pop().ok_or_else(|| SqlError::internal("a subquery without a value"))
    }

    async fn arrays(&mut self, batch: &Batch, execution: &mut Execution) -> Result<Column> {
        let mut arrays = ColumnBuilder::new(execution.kind_of(self.data_type)?, batch.row_count);
        let mut elements = Vec::new();
        while let Some(mut pairs) = self.lateral.next(batch, execution).await? {
            let Some(values) = self.lateral.right(&mut pairs).into_iter().next() else {
                return Err(SqlError::internal("a subquery without a value"));
            };
            for (at, row) in pairs.of_left.iter().enumerate() {
                self.end_arrays(*row as usize, &mut elements, &mut arrays, execution)?;
                elements.push(values.get(at));
            }
            self.end_arrays(self.lateral.through(), &mut elements, &mut arrays, execution)?;
        }
        Ok(arrays.finish())
    }

    /// Makes the arrays of rows before one; the elements are those of the first of them.
    fn end_arrays(
        &self,
        row: usize,
        elements: &mut Vec<Datum>,
        arrays: &mut ColumnBuilder,
        execution: &Execution,
    ) -> Result<()> {
        while arrays.len() < row {
            arrays.push(make_array(std::mem::take(elements), self.data_type, &execution.context())?)?;
        }
        Ok(())
    }
}
