//! LIMIT and OFFSET.

use super::keys::{append_row_key, equality_columns, evaluate};
use super::{BoxFuture, Execution, Operator};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::value::{Batch, Datum};

/// Passes on some rows from the middle.
pub struct Limit {
    input: Box<dyn Operator>,
    limit: Option<Expr>,
    offset: Option<Expr>,
    /// Rows to skip and rows to give, once known.
    left: Option<(u64, u64)>,
    /// WITH TIES: what rows are compared by.
    ties: Vec<Expr>,
    /// The last row's values of those.
    last: Option<Vec<u8>>,
}

impl Limit {
    pub fn new(
        input: Box<dyn Operator>,
        limit: Option<Expr>,
        offset: Option<Expr>,
        ties: Vec<Expr>,
    ) -> Limit {
        Limit { input, limit, offset, left: None, ties, last: None }
    }

    /// How many rows of a batch from `start` on equal the last row given, or the one before where there is none.
    fn tied(&mut self, batch: &Batch, start: usize, execution: &Execution) -> Result<usize> {
        if self.ties.is_empty() {
            return Ok(0);
        }
        let keys = equality_columns(&self.ties);
        let columns = evaluate(&self.ties, batch, execution)?;
        let key_of = |row: usize| {
            let mut key = Vec::new();
            append_row_key(&keys, &columns, row, false, &mut key);
            key
        };
        if start > 0 {
            self.last = Some(key_of(start - 1));
        }
        let Some(last) = &self.last else { return Ok(0) };
        Ok((start..batch.row_count).take_while(|row| key_of(*row) == *last).count())
    }
}

/// A row count: NULL means none was given.
pub fn row_count(expr: Option<&Expr>, execution: &Execution, is_limit: bool) -> Result<Option<u64>> {
    let Some(expr) = expr else { return Ok(None) };
    let no_row: [Datum; 0] = [];
    match expr.eval_row(&no_row.as_slice(), &execution.context())?.as_i64() {
        None => Ok(None),
        Some(count) => u64::try_from(count).map(Some).map_err(|_| {
            if is_limit {
                SqlError::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative")
            } else {
                SqlError::new(
                    SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
                    "OFFSET must not be negative",
                )
            }
        }),
    }
}

impl Operator for Limit {
    fn expect(&mut self, rows: usize) {
        self.input.expect(rows);
    }

    fn reset(&mut self) -> bool {
        self.left = None;
        self.last = None;
        self.input.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let (mut skip, mut give) = match self.left {
                Some(left) => left,
                None => {
                    let skip = row_count(self.offset.as_ref(), execution, false)?.unwrap_or(0);
                    let give = row_count(self.limit.as_ref(), execution, true)?.unwrap_or(u64::MAX);
                    if let Ok(rows) = usize::try_from(skip.saturating_add(give)) {
                        self.input.expect(rows);
                    }
                    (skip, give)
                }
            };
            let mut result = None;
            while (give > 0 || self.last.is_some()) && result.is_none() {
                let Some(batch) = self.input.next(execution).await? else { break };
                let rows = batch.row_count as u64;
                if skip >= rows {
                    skip -= rows;
                    continue;
                }
                let mut count = (rows - skip).min(give);
                give -= count;
                if give == 0 && (count > 0 || self.last.is_some()) {
                    let start = (skip + count) as usize;
                    let tied = self.tied(&batch, start, execution)?;
                    // The next batch may go on with equal rows, if this one ended in them.
                    if start + tied < batch.row_count {
                        self.last = None;
                    }
                    count += tied as u64;
                    if count == 0 {
                        break;
                    }
                }
                result = Some(if skip == 0 && count == rows {
                    batch
                } else {
                    batch.slice(skip as usize..(skip + count) as usize)
                });
                skip = 0;
            }
            self.left = Some((skip, give));
            Ok(result)
        })
    }
}
