//! Sort: all rows in order; or the first of them, kept as they come.
//!
//! Rows are compared by their encoded keys, which carry direction and the place of NULLs. Equal rows keep the
//! order they came in. A top-N drops, whenever it holds twice what is wanted, all that cannot be among the first.

use super::keys::evaluate;
use super::limit::row_count;
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::SortKey;
use crate::value::key::{self, KeyColumn};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum, PhysicalKind};

struct Entry {
    key: Vec<u8>,
    row: Vec<Datum>,
}

/// Sorts its input.
pub struct Sort {
    input: Box<dyn Operator>,
    exprs: Vec<Expr>,
    keys: Vec<KeyColumn>,
    /// LIMIT and OFFSET above: no more rows than both together are wanted.
    bound: Option<(Expr, Option<Expr>)>,
    sorted: Option<std::vec::IntoIter<Entry>>,
    kinds: Vec<PhysicalKind>,
}

impl Sort {
    pub fn new(input: Box<dyn Operator>, keys: Vec<SortKey>, bound: Option<(Expr, Option<Expr>)>) -> Sort {
        let columns = crate::plan::sort_columns(&keys);
        let exprs = keys.into_iter().map(|key| key.expr).collect();
        Sort { input, exprs, keys: columns, bound, sorted: None, kinds: Vec::new() }
    }

    async fn sort(&mut self, execution: &mut Execution) -> Result<Vec<Entry>> {
        let mut wanted = usize::MAX;
        if let Some((limit, offset)) = &self.bound
            && let Some(limit) = row_count(Some(limit), execution, true)?
        {
            let offset = row_count(offset.as_ref(), execution, false)?.unwrap_or(0);
            wanted = usize::try_from(limit.saturating_add(offset)).unwrap_or(usize::MAX);
        }
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(batch) = self.input.next(execution).await? {
            if self.kinds.is_empty() {
                self.kinds = batch.columns.iter().map(crate::value::Column::kind).collect();
            }
            let columns = evaluate(&self.exprs, &batch, execution)?;
            for row in 0..batch.row_count {
                let mut encoded = Vec::new();
                for (key_column, column) in self.keys.iter().zip(&columns) {
                    key::encode(key_column, &column.get(row), &mut encoded);
                }
                entries.push(Entry { key: encoded, row: batch.row(row) });
            }
            if entries.len() / 2 > wanted.max(BATCH_ROWS) {
                entries.sort_by(|left, right| left.key.cmp(&right.key));
                entries.truncate(wanted);
            }
        }
        entries.sort_by(|left, right| left.key.cmp(&right.key));
        entries.truncate(wanted);
        Ok(entries)
    }

    fn batch(&mut self) -> Result<Option<Batch>> {
        let entries: Vec<Entry> = self.sorted.iter_mut().flatten().take(BATCH_ROWS).collect();
        if entries.is_empty() {
            return Ok(None);
        }
        let count = entries.len();
        let mut builders: Vec<ColumnBuilder> =
            self.kinds.iter().map(|kind| ColumnBuilder::new(*kind, count)).collect();
        for entry in entries {
            for (builder, value) in builders.iter_mut().zip(entry.row) {
                builder.push(value)?;
            }
        }
        Ok(Some(Batch::new(builders.into_iter().map(ColumnBuilder::finish).collect(), count)))
    }
}

impl Operator for Sort {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            if self.sorted.is_none() {
                let entries = self.sort(execution).await?;
                self.sorted = Some(entries.into_iter());
            }
            self.batch()
        })
    }
}
