//! Scans of relations computed from the catalog and the session.

use super::filter::filter;
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::expr::Expr;
use crate::relations::VirtualRelation;
use crate::types::DataType;
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum};

/// Gives the rows of a computed relation.
pub struct VirtualScan {
    relation: &'static VirtualRelation,
    projection: Vec<usize>,
    filters: Vec<Expr>,
    rows: Option<std::vec::IntoIter<Vec<Datum>>>,
}

impl VirtualScan {
    pub fn new(
        relation: &'static VirtualRelation,
        projection: Vec<usize>,
        filters: Vec<Expr>,
    ) -> VirtualScan {
        VirtualScan { relation, projection, filters, rows: None }
    }

    fn batch(&mut self, execution: &Execution) -> Result<Option<Batch>> {
        if self.rows.is_none() {
            self.rows = Some(self.relation.rows(&execution.environment)?.into_iter());
        }
        loop {
            let rows: Vec<Vec<Datum>> = self.rows.iter_mut().flatten().take(BATCH_ROWS).collect();
            if rows.is_empty() {
                return Ok(None);
            }
            let mut columns = Vec::with_capacity(self.projection.len());
            for at in &self.projection {
                let data_type = DataType::of(self.relation.columns[*at].1);
                let mut builder = ColumnBuilder::new(execution.kind_of(data_type)?, rows.len());
                for row in &rows {
                    builder.push(row[*at].clone())?;
                }
                columns.push(builder.finish());
            }
            let batch = filter(Batch::new(columns, rows.len()), &self.filters, &execution.context())?;
            if batch.row_count > 0 {
                return Ok(Some(batch));
            }
        }
    }
}

impl Operator for VirtualScan {
    fn reset(&mut self) -> bool {
        self.rows = None;
        true
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(std::future::ready(self.batch(execution)))
    }
}
