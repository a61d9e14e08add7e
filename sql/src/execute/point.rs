//! Reading one row by its key, without operators.

use super::Execution;
use crate::error::Result;
use crate::functions::EvalContext;
use crate::plan::point::{PointLookup, PointQuery};
use crate::value::{Batch, ColumnBuilder, Datum, RowView, key};

impl PointLookup {
    /// Finds the row that satisfies everything and reads it inside `read`; `key` becomes the row's key.
    ///
    /// # Errors
    /// Those of evaluating and of reading pages.
    pub async fn find<R>(
        &self,
        execution: &mut Execution,
        key: &mut Vec<u8>,
        mut read: impl FnMut(&RowView<'_>, &EvalContext<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        execution.check_cancel()?;
        key.clear();
        if !self.encode_key(&execution.context(), key)? {
            return Ok(None);
        }
        if let Some(index) = self.index {
            loop {
                let found = execution.transaction.try_get(index, key, |entry| entry.map(<[u8]>::to_vec));
                match found {
                    Ok(Some(row_key)) => {
                        *key = row_key;
                        break;
                    }
                    Ok(None) => return Ok(None),
                    Err(fault) => execution.environment.store.resolve(fault).await?,
                }
            }
        }
        loop {
            let fault = {
                let (transaction, context) = execution.split();
                let found = transaction.try_get(self.tree, key, |row| match row {
                    Some(row) => self.read_row(row, &context, &mut read),
                    None => Ok(None),
                });
                match found {
                    Ok(found) => return found,
                    Err(fault) => fault,
                }
            };
            execution.environment.store.resolve(fault).await?;
        }
    }

    /// Appends the key searched for; false where a NULL finds nothing.
    fn encode_key(&self, context: &EvalContext<'_>, key: &mut Vec<u8>) -> Result<bool> {
        let no_row: [Datum; 0] = [];
        for (column, expr) in &self.key {
            let value = expr.eval_row(&no_row.as_slice(), context)?;
            if value.is_null() {
                return Ok(false);
            }
            key::encode(column, &value, key);
        }
        Ok(true)
    }

    fn read_row<R>(
        &self,
        row: &[u8],
        context: &EvalContext<'_>,
        read: &mut impl FnMut(&RowView<'_>, &EvalContext<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        let view = self.layout.view(row)?;
        for filter in &self.filters {
            if filter.eval_row(&view, context)?.as_bool() != Some(true) {
                return Ok(None);
            }
        }
        read(&view, context).map(Some)
    }
}

impl PointQuery {
    /// Runs the query: `row` becomes the result's row; tells whether there is one.
    ///
    /// # Errors
    /// Those of evaluating and of reading pages.
    pub async fn run(&self, execution: &mut Execution, row: &mut Vec<Datum>) -> Result<bool> {
        let mut key = Vec::with_capacity(32);
        let found = self.lookup.find(execution, &mut key, |view, context| {
            row.clear();
            for output in &self.outputs {
                row.push(output.eval_row(view, context)?);
            }
            Ok(())
        });
        Ok(found.await?.is_some())
    }

    /// A row of the result as a batch.
    ///
    /// # Errors
    /// XX000 for a value of another kind than its column's.
    pub fn batch(&self, row: Vec<Datum>) -> Result<Batch> {
        let mut columns = Vec::with_capacity(row.len());
        for (value, kind) in row.into_iter().zip(&self.kinds) {
            let mut builder = ColumnBuilder::new(*kind, 1);
            builder.push(value)?;
            columns.push(builder.finish());
        }
        Ok(Batch::new(columns, 1))
    }
}
