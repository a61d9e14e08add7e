//! UNION, INTERSECT and EXCEPT.
//!
//! UNION ALL passes both sides on. The others count the right side's rows by their keys (for UNION: the rows
//! already given), and let each left row through or not.

use std::collections::HashMap;

use super::keys::{append_row_key, equality_column};
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::plan::logical::SetKind;
use crate::types::DataType;
use crate::value::{Batch, KeyColumn};

/// Combines two inputs.
pub struct SetOperator {
    kind: SetKind,
    all: bool,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    keys: Vec<KeyColumn>,
    /// How often a row is still to be matched; for distinct forms 1 or 0.
    counts: Option<HashMap<Vec<u8>, u64>>,
    left_done: bool,
}

impl SetOperator {
    pub fn new(
        kind: SetKind,
        all: bool,
        left: Box<dyn Operator>,
        right: Box<dyn Operator>,
        types: Vec<DataType>,
    ) -> SetOperator {
        let keys = types.into_iter().map(equality_column).collect();
        SetOperator { kind, all, left, right, keys, counts: None, left_done: false }
    }

    async fn count_right(&mut self, execution: &mut Execution) -> Result<HashMap<Vec<u8>, u64>> {
        let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
        if self.kind != SetKind::Union {
            while let Some(batch) = self.right.next(execution).await? {
                for row in 0..batch.row_count {
                    let mut key = Vec::new();
                    append_row_key(&self.keys, &batch.columns, row, false, &mut key);
                    *counts.entry(key).or_insert(0) += 1;
                }
            }
        }
        Ok(counts)
    }

    /// Whether a left row with this key is part of the result.
    fn admits(&self, counts: &mut HashMap<Vec<u8>, u64>, key: Vec<u8>) -> bool {
        match (self.kind, self.all) {
            (SetKind::Union, true) => true,
            // The key is marked as given.
            (SetKind::Union, false) => counts.insert(key, 1).is_none(),
            (SetKind::Intersect, true) => match counts.get_mut(&key) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    true
                }
                _ => false,
            },
            (SetKind::Intersect, false) => counts.remove(&key).is_some(),
            (SetKind::Except, true) => match counts.get_mut(&key) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            },
            (SetKind::Except, false) => counts.insert(key, 1).is_none(),
        }
    }
}

impl Operator for SetOperator {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let mut counts = match self.counts.take() {
                Some(counts) => counts,
                None => self.count_right(execution).await?,
            };
            let mut result: Option<Batch> = None;
            while result.is_none() {
                let batch = if !self.left_done {
                    match self.left.next(execution).await? {
                        Some(batch) => Some(batch),
                        None => {
                            self.left_done = true;
                            continue;
                        }
                    }
                } else if self.kind == SetKind::Union {
                    self.right.next(execution).await?
                } else {
                    None
                };
                let Some(batch) = batch else { break };
                let mut kept = Vec::new();
                for row in 0..batch.row_count {
                    let mut key = Vec::new();
                    append_row_key(&self.keys, &batch.columns, row, false, &mut key);
                    if self.admits(&mut counts, key) {
                        kept.push(row as u32);
                    }
                }
                if kept.len() == batch.row_count {
                    result = Some(batch);
                } else if !kept.is_empty() {
                    result = Some(batch.gather(&kept));
                }
            }
            self.counts = Some(counts);
            Ok(result)
        })
    }
}
