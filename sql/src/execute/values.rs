//! VALUES: rows of expressions.

use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::types::DataType;
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum};

/// Gives constant rows.
pub struct Values {
    rows: Vec<Vec<Expr>>,
    types: Vec<DataType>,
    next: usize,
}

/// Builders for columns of these types.
///
/// # Errors
/// XX000 for a type that does not exist.
pub fn builders(types: &[DataType], capacity: usize, execution: &Execution) -> Result<Vec<ColumnBuilder>> {
    types.iter().map(|each| Ok(ColumnBuilder::new(execution.kind_of(*each)?, capacity))).collect()
}

impl Values {
    pub fn new(rows: Vec<Vec<Expr>>, types: &[DataType]) -> Values {
        Values { rows, types: types.to_vec(), next: 0 }
    }

    fn batch(&mut self, execution: &Execution) -> Result<Option<Batch>> {
        let rows = &self.rows[self.next..self.rows.len().min(self.next + BATCH_ROWS)];
        if rows.is_empty() {
            return Ok(None);
        }
        let context = execution.context();
        let no_row: [Datum; 0] = [];
        let mut builders = builders(&self.types, rows.len(), execution)?;
        for row in rows {
            for (expr, builder) in row.iter().zip(&mut builders) {
                builder.push(expr.eval_row(&no_row.as_slice(), &context)?)?;
            }
        }
        let count = rows.len();
        self.next += count;
        Ok(Some(Batch::new(builders.into_iter().map(ColumnBuilder::finish).collect(), count)))
    }
}

impl Operator for Values {
    fn reset(&mut self) -> bool {
        self.next = 0;
        true
    }

    fn is_fixed(&self) -> bool {
        reads_no_outer(self.rows.iter().flatten())
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(std::future::ready(self.batch(execution)))
    }
}
