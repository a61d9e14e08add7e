//! Lateral joins with functions, VALUES and what is computed from them, or from the rows that a search finds, for a left batch
//! at a time ([`Lateral`]).
//!
//! Rows come in the order of the left ones, those without partner in their places.

use std::sync::Arc;

use super::hash_join::null_columns;
use super::key_filter::KeyFilter;
use super::lateral::{Lateral, Pairs};
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::plan::logical::JoinKind;
use crate::plan::physical::NestedLoop;
use crate::types::DataType;
use crate::value::{Batch, gather_picked};

/// Joins each left row with the rows that its values give.
pub struct LateralJoin {
    kind: JoinKind,
    left: Box<dyn Operator>,
    lateral: Lateral,
    left_width: usize,
    right_types: Vec<DataType>,
    current: Option<Current>,
}

/// A left batch.
struct Current {
    batch: Batch,
    /// Which of its rows had a partner.
    found: Vec<bool>,
    /// How many were told to be alone or not.
    told: usize,
}

impl LateralJoin {
    /// The operator of such a join; gives the left side back for any other. `number` is the right side's.
    pub fn new(
        join: &NestedLoop,
        left: Box<dyn Operator>,
        number: usize,
    ) -> std::result::Result<LateralJoin, Box<dyn Operator>> {
        let left_width = join.left.types.len();
        let keeps_right = matches!(join.kind, JoinKind::Right | JoinKind::Full);
        match Lateral::of(&join.right, &join.lateral, &join.on, left_width, number) {
            Some(lateral) if !keeps_right => {
                let right_types = join.right.types.clone();
                Ok(LateralJoin { kind: join.kind, left, lateral, left_width, right_types, current: None })
            }
            _ => Err(left),
        }
    }

    /// Left rows that are through and had no partner.
    fn alone(&self, current: &mut Current) -> Vec<u32> {
        let told = std::mem::replace(&mut current.told, self.lateral.through());
        (told..current.told).filter(|row| !current.found[*row]).map(|row| row as u32).collect()
    }

    /// What is given for pairs.
    fn joined(
        &mut self,
        current: &mut Current,
        mut pairs: Pairs,
        execution: &Execution,
    ) -> Result<Option<Batch>> {
        let mut new = Vec::new();
        for row in &pairs.of_left {
            if !std::mem::replace(&mut current.found[*row as usize], true) {
                new.push(*row);
            }
        }
        if matches!(self.kind, JoinKind::Semi | JoinKind::Anti) {
            let at_hand = self.lateral.through();
            if current.found.get(at_hand).is_some_and(|found| *found) {
                self.lateral.skip();
            }
            let given = if self.kind == JoinKind::Semi { new } else { self.alone(current) };
            return Ok((!given.is_empty()).then(|| current.batch.gather(&given)));
        }
        let alone = if self.kind == JoinKind::Left { self.alone(current) } else { Vec::new() };
        let mut right = self.lateral.right(&mut pairs);
        if alone.is_empty() {
            let count = pairs.of_left.len();
            let mut columns = self.lateral.left(&current.batch, &pairs);
            columns.append(&mut right);
            return Ok((count > 0).then(|| Batch::new(columns, count)));
        }
        let (of_left, picks) = merged(&pairs.of_left, &alone);
        let nulls = Batch::new(null_columns(&self.right_types, 1, execution)?, 1);
        let right = Batch::new(right, pairs.of_left.len());
        let mut given = current.batch.gather(&of_left);
        given.columns.extend(gather_picked(&[right, nulls], &picks)?.columns);
        Ok(Some(given))
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.left.next(execution).await? {
                    Some(batch) => {
                        self.lateral.begin(&batch, execution)?;
                        let found = vec![false; batch.row_count];
                        Current { batch, found, told: 0 }
                    }
                    None => return Ok(None),
                },
            };
            let Some(pairs) = self.lateral.next(&current.batch, execution).await? else { continue };
            let given = self.joined(&mut current, pairs, execution)?;
            self.current = Some(current);
            if given.is_some() {
                return Ok(given);
            }
        }
    }
}

/// Pairs' left rows and those that are alone, in order; for each, whether it is a pair (0) or alone (1), and which pair.
fn merged(of_left: &[u32], alone: &[u32]) -> (Vec<u32>, Vec<(u32, u32)>) {
    let count = of_left.len() + alone.len();
    let (mut rows, mut picks) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut alone = alone.iter().copied().peekable();
    for (pair, row) in of_left.iter().enumerate() {
        while let Some(before) = alone.next_if(|each| each < row) {
            rows.push(before);
            picks.push((1, 0));
        }
        rows.push(*row);
        picks.push((0, pair as u32));
    }
    for row in alone {
        rows.push(row);
        picks.push((1, 0));
    }
    (rows, picks)
}

impl Operator for LateralJoin {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        if column < self.left_width {
            self.left.restrict(column, keys);
        }
    }

    fn expect(&mut self, rows: usize) {
        self.lateral.expect(rows);
        self.left.expect(rows);
    }

    fn reset(&mut self) -> bool {
        self.current = None;
        self.lateral.reset() && self.left.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
