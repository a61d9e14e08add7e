//! DISTINCT: the first of the rows that are equal on the keys.

use std::collections::HashSet;

use super::keys::{append_row_key, equality_columns, evaluate};
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::expr::Expr;
use crate::value::{Batch, KeyColumn};

/// Drops duplicates.
pub struct Distinct {
    input: Box<dyn Operator>,
    exprs: Vec<Expr>,
    keys: Vec<KeyColumn>,
    seen: HashSet<Vec<u8>>,
}

impl Distinct {
    pub fn new(input: Box<dyn Operator>, exprs: Vec<Expr>) -> Distinct {
        let keys = equality_columns(&exprs);
        Distinct { input, exprs, keys, seen: HashSet::new() }
    }
}

impl Operator for Distinct {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            while let Some(batch) = self.input.next(execution).await? {
                let columns = evaluate(&self.exprs, &batch, execution)?;
                let mut fresh = Vec::new();
                for row in 0..batch.row_count {
                    let mut key = Vec::new();
                    append_row_key(&self.keys, &columns, row, false, &mut key);
                    if self.seen.insert(key) {
                        fresh.push(row as u32);
                    }
                }
                if !fresh.is_empty() {
                    return Ok(Some(batch.gather(&fresh)));
                }
            }
            Ok(None)
        })
    }
}
