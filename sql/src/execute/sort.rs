//! Sort: all rows in order; or the first of them, kept as they come.
//!
//! Rows are compared by their encoded keys, which carry direction and the place of NULLs. Equal rows keep the
//! order they came in. A top-N drops, whenever it holds twice what is wanted, all that cannot be among the first, and from
//! then on takes in only what comes before the last of them; when what is wanted takes too much memory, it becomes a sort.

use super::context::SpaceUsed;
use super::keys::evaluate;
use super::limit::row_count;
use super::memory::Reservation;
use super::sort_run::Chunk;
use super::sorter::{SortSpace, Sorter};
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::SortKey;
use crate::value::key::KeyColumn;
use crate::value::{BATCH_ROWS, Batch};

/// Sorts its input.
pub struct Sort {
    input: Box<dyn Operator>,
    number: usize,
    exprs: Vec<Expr>,
    keys: Vec<KeyColumn>,
    /// LIMIT and OFFSET above: no more rows than both together are wanted.
    bound: Option<(Expr, Option<Expr>)>,
    sorted: Option<Sorter>,
}

/// The first rows of those seen.
struct FirstRows {
    chunk: Chunk,
    wanted: usize,
    /// The key of the last of the rows wanted, once there are so many.
    cutoff: Option<Vec<u8>>,
    reservation: Reservation,
}

impl Sort {
    pub fn new(
        input: Box<dyn Operator>,
        number: usize,
        keys: Vec<SortKey>,
        bound: Option<(Expr, Option<Expr>)>,
    ) -> Sort {
        let columns = crate::plan::sort_columns(&keys);
        let exprs = keys.into_iter().map(|key| key.expr).collect();
        Sort { input, number, exprs, keys: columns, bound, sorted: None }
    }

    async fn sort(&mut self, execution: &mut Execution) -> Result<Sorter> {
        let mut sorter = Sorter::new(self.keys.clone(), execution);
        let mut first = self.first_rows(execution)?;
        while let Some(batch) = self.input.next(execution).await? {
            let values = evaluate(&self.exprs, &batch, execution)?;
            let Some(mut rows) = first.take() else {
                sorter.add(&values, batch, execution).await?;
                continue;
            };
            rows.chunk.add(&self.keys, &values, batch, rows.cutoff.as_deref());
            if rows.chunk.len() / 2 > rows.wanted.max(BATCH_ROWS) {
                rows.cutoff = rows.chunk.keep_first(rows.wanted)?;
            }
            let held = rows.chunk.memory_bytes();
            rows.reservation.set(held);
            if held <= execution.memory().work_bytes {
                first = Some(rows);
            } else {
                let fewer = rows.chunk.keep_first(rows.wanted)?;
                if rows.chunk.memory_bytes() <= execution.memory().work_bytes / 2 {
                    rows.cutoff = fewer;
                    first = Some(rows);
                } else {
                    rows.reservation.set(0);
                    sorter.adopt(rows.chunk, execution).await?;
                }
            }
            execution.breathe().await?;
        }
        let mut held = None;
        if let Some(mut rows) = first {
            rows.chunk.keep_first(rows.wanted)?;
            held = Some(SpaceUsed::FirstRows { bytes: rows.reservation.peak_bytes() as u64 });
            rows.reservation.set(0);
            sorter.adopt(rows.chunk, execution).await?;
        }
        sorter.finish(execution).await?;
        let used = match (held, sorter.space()) {
            (Some(used), SortSpace::Memory(_)) => used,
            (_, SortSpace::Memory(bytes)) => SpaceUsed::Sort { bytes: bytes as u64, on_disk: false },
            (_, SortSpace::Disk(bytes)) => SpaceUsed::Sort { bytes, on_disk: true },
        };
        execution.instrument(self.number, |instrument| instrument.space = Some(used));
        Ok(sorter)
    }

    fn first_rows(&self, execution: &mut Execution) -> Result<Option<FirstRows>> {
        let Some((limit, offset)) = &self.bound else { return Ok(None) };
        let Some(limit) = row_count(Some(limit), execution, true)? else { return Ok(None) };
        let offset = row_count(offset.as_ref(), execution, false)?.unwrap_or(0);
        let Ok(wanted) = u32::try_from(limit.saturating_add(offset)) else { return Ok(None) };
        let reservation = execution.memory().reserve();
        Ok(Some(FirstRows { chunk: Chunk::default(), wanted: wanted as usize, cutoff: None, reservation }))
    }
}

impl Operator for Sort {
    fn reset(&mut self) -> bool {
        self.sorted = None;
        self.input.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            if self.sorted.is_none() {
                self.sorted = Some(self.sort(execution).await?);
            }
            match &mut self.sorted {
                Some(sorter) => sorter.next(BATCH_ROWS, execution).await,
                None => Ok(None),
            }
        })
    }
}
