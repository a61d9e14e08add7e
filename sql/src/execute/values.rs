//! VALUES: rows of expressions.

use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::expr::Expr;
use crate::types::{DataType, builtin_type};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum, PhysicalKind};

/// Gives constant rows.
pub struct Values {
    rows: Vec<Vec<Expr>>,
    kinds: Vec<PhysicalKind>,
    next: usize,
}

/// How values of a type are held.
#[must_use]
pub fn kind_of(data_type: DataType) -> PhysicalKind {
    builtin_type(data_type.oid).map_or(PhysicalKind::Text, |info| info.kind)
}

impl Values {
    pub fn new(rows: Vec<Vec<Expr>>, types: &[DataType]) -> Values {
        Values { rows, kinds: types.iter().map(|data_type| kind_of(*data_type)).collect(), next: 0 }
    }

    fn batch(&mut self, execution: &Execution) -> Result<Option<Batch>> {
        let rows = &self.rows[self.next..self.rows.len().min(self.next + BATCH_ROWS)];
        if rows.is_empty() {
            return Ok(None);
        }
        let context = execution.context();
        let no_row: [Datum; 0] = [];
        let mut builders: Vec<ColumnBuilder> =
            self.kinds.iter().map(|kind| ColumnBuilder::new(*kind, rows.len())).collect();
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
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(std::future::ready(self.batch(execution)))
    }
}
