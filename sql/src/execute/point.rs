//! Reading one row by its key, without operators and without waiting.

use helios_mvcc::{BranchId, Fault, Scn, Store, Transaction, TreeId};

use crate::error::Result;
use crate::functions::EvalContext;
use crate::plan::point::{PointLookup, PointQuery};
use crate::value::{Datum, RowView, key};
use crate::write::Attempt;

/// Where single rows are read.
pub trait ReadRows {
    /// Reads the row of `key` inside `read`.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; `read` was not called then.
    fn try_get<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault>;
}

impl ReadRows for Transaction {
    #[inline]
    fn try_get<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        Transaction::try_get(self, tree, key, read)
    }
}

/// What is committed, for a statement that is a transaction of its own and only reads.
pub struct Committed<'a> {
    pub store: &'a Store,
    pub branch: BranchId,
    pub scn: Scn,
}

impl ReadRows for Committed<'_> {
    #[inline]
    fn try_get<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        self.store.try_get(self.branch, self.scn, tree, key, read)
    }
}

impl PointLookup {
    /// Finds the row that satisfies everything and reads it inside `read`; `key` becomes the row's key.
    ///
    /// # Errors
    /// Those of evaluating; a missing page.
    pub fn try_find<R>(
        &self,
        rows: &mut impl ReadRows,
        context: &EvalContext<'_>,
        key: &mut Vec<u8>,
        read: impl FnOnce(&RowView<'_>) -> Result<R>,
    ) -> Attempt<Option<R>> {
        key.clear();
        if !self.encode_key(context, key)? {
            return Ok(None);
        }
        if let Some(index) = self.index {
            let Some(row_key) = rows.try_get(index, key, |entry| entry.map(<[u8]>::to_vec))? else {
                return Ok(None);
            };
            *key = row_key;
        }
        let found = rows.try_get(self.tree, key, |row| match row {
            Some(row) => self.read_row(row, context, read),
            None => Ok(None),
        })?;
        Ok(found?)
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
        read: impl FnOnce(&RowView<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        let view = self.layout.view(row)?;
        for filter in &self.filters {
            if filter.eval_row(&view, context)?.as_bool() != Some(true) {
                return Ok(None);
            }
        }
        read(&view).map(Some)
    }
}

impl PointQuery {
    /// Runs the query: `row` becomes the result's row; tells whether there is one.
    ///
    /// # Errors
    /// Those of evaluating; a missing page.
    pub fn try_run(
        &self,
        rows: &mut impl ReadRows,
        context: &EvalContext<'_>,
        key: &mut Vec<u8>,
        row: &mut Vec<Datum>,
    ) -> Attempt<bool> {
        let found = self.lookup.try_find(rows, context, key, |view| {
            for output in &self.outputs {
                row.push(output.eval_row(view, context)?);
            }
            Ok(())
        });
        Ok(found?.is_some())
    }
}
