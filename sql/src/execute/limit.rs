//! LIMIT and OFFSET.

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
}

impl Limit {
    pub fn new(input: Box<dyn Operator>, limit: Option<Expr>, offset: Option<Expr>) -> Limit {
        Limit { input, limit, offset, left: None }
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
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let (mut skip, mut give) = match self.left {
                Some(left) => left,
                None => {
                    let skip = row_count(self.offset.as_ref(), execution, false)?.unwrap_or(0);
                    let give = row_count(self.limit.as_ref(), execution, true)?.unwrap_or(u64::MAX);
                    (skip, give)
                }
            };
            let mut result = None;
            while give > 0 && result.is_none() {
                let Some(batch) = self.input.next(execution).await? else { break };
                let rows = batch.row_count as u64;
                if skip >= rows {
                    skip -= rows;
                    continue;
                }
                let count = (rows - skip).min(give);
                result = Some(if skip == 0 && count == rows {
                    batch
                } else {
                    batch.slice(skip as usize..(skip + count) as usize)
                });
                skip = 0;
                give -= count;
            }
            self.left = Some((skip, give));
            Ok(result)
        })
    }
}
