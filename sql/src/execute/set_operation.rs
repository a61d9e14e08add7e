//! UNION, INTERSECT and EXCEPT.
//!
//! UNION ALL passes both sides on. The others count the right side's rows by their keys (UNION: none) and sift the left
//! ones, UNION then the right ones too.

use super::keys::{Carried, equality_column};
use super::sift::Sift;
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
    sift: Option<Sift>,
    left_done: bool,
    right_done: bool,
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
        SetOperator { kind, all, left, right, keys, sift: None, left_done: false, right_done: false }
    }

    /// The next rows of those that are sifted.
    async fn input(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if !self.left_done {
            if let Some(batch) = self.left.next(execution).await? {
                return Ok(Some(batch));
            }
            self.left_done = true;
        }
        if !self.right_done {
            if let Some(batch) = self.right.next(execution).await? {
                return Ok(Some(batch));
            }
            self.right_done = true;
        }
        Ok(None)
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        let mut sift = match self.sift.take() {
            Some(sift) => sift,
            None => {
                let carried = Carried::all_columns(self.keys.len());
                let mut sift = Sift::new(self.kind, self.all, self.keys.clone(), carried, execution);
                if self.kind != SetKind::Union {
                    while let Some(batch) = self.right.next(execution).await? {
                        sift.count(&batch.columns, batch.row_count, execution).await?;
                    }
                    self.right_done = true;
                }
                sift
            }
        };
        let mut result = None;
        while result.is_none() {
            let Some(batch) = self.input(execution).await? else {
                result = sift.late(execution).await?;
                break;
            };
            let columns = batch.columns.clone();
            result = sift.sift(batch, &columns, execution).await?;
        }
        self.sift = Some(sift);
        Ok(result)
    }
}

impl Operator for SetOperator {
    fn reset(&mut self) -> bool {
        self.sift = None;
        (self.left_done, self.right_done) = (false, false);
        self.left.reset() && self.right.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
