//! DISTINCT: the first of the rows that are equal on the keys.

use super::context::SpaceUsed;
use super::keys::{Carried, append_row_key, equality_columns, evaluate};
use super::sift::Sift;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::SetKind;
use crate::value::{Batch, Column, KeyColumn};

/// Drops duplicates.
pub struct Distinct {
    input: Box<dyn Operator>,
    number: usize,
    exprs: Vec<Expr>,
    keys: Vec<KeyColumn>,
    is_sorted: bool,
    state: State,
}

enum State {
    /// Equal rows come one after the other: the last key.
    Sorted(Option<Vec<u8>>),
    Begin,
    Sifting(Box<Sift>),
    Late(Box<Sift>),
}

impl State {
    fn begin(is_sorted: bool) -> State {
        if is_sorted { State::Sorted(None) } else { State::Begin }
    }
}

impl Distinct {
    pub fn new(input: Box<dyn Operator>, number: usize, exprs: Vec<Expr>, is_sorted: bool) -> Distinct {
        let keys = equality_columns(&exprs);
        Distinct { input, number, exprs, keys, is_sorted, state: State::begin(is_sorted) }
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        if let State::Begin = self.state {
            let carried = Carried::new(&self.exprs);
            let sift = Sift::new(SetKind::Union, false, self.keys.clone(), carried, execution);
            self.state = State::Sifting(Box::new(sift));
        }
        loop {
            if let State::Late(sift) = &mut self.state {
                let batch = sift.late(execution).await?;
                let (batches, bytes, disk_bytes) = sift.space();
                let used = SpaceUsed::Groups { batches, bytes: bytes as u64, disk_bytes };
                execution.instrument(self.number, |instrument| instrument.space = Some(used));
                return Ok(batch);
            }
            let Some(batch) = self.input.next(execution).await? else {
                match std::mem::replace(&mut self.state, State::Begin) {
                    State::Sifting(sift) => self.state = State::Late(sift),
                    other => {
                        self.state = other;
                        return Ok(None);
                    }
                }
                continue;
            };
            let columns = evaluate(&self.exprs, &batch, execution)?;
            let kept = match &mut self.state {
                State::Sifting(sift) => sift.sift(batch, &columns, execution).await?,
                State::Sorted(last) => first_of_each(&self.keys, &batch, &columns, last),
                _ => None,
            };
            if kept.is_some() {
                return Ok(kept);
            }
        }
    }
}

/// Of sorted rows, those that differ from the one before.
fn first_of_each(
    keys: &[KeyColumn],
    batch: &Batch,
    columns: &[Column],
    last: &mut Option<Vec<u8>>,
) -> Option<Batch> {
    let mut kept = Vec::new();
    let mut key = Vec::new();
    for row in 0..batch.row_count {
        key.clear();
        append_row_key(keys, columns, row, false, &mut key);
        if last.as_ref() != Some(&key) {
            kept.push(row as u32);
            std::mem::swap(last.get_or_insert_default(), &mut key);
        }
    }
    (!kept.is_empty()).then(|| batch.gather(&kept))
}

impl Operator for Distinct {
    fn reset(&mut self) -> bool {
        self.state = State::begin(self.is_sorted);
        self.input.reset()
    }

    fn is_fixed(&self) -> bool {
        reads_no_outer(&self.exprs) && self.input.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}
