//! Aggregates over frames.
//!
//! A frame that begins where the one of the row before did goes on from it. One that begins later goes on as well, where the
//! aggregate can let rows go ([`AggregateState::remove_rows`]); all others are computed from their first row.

use std::ops::Range;
use std::sync::Arc;

use super::frame::{Frames, Reach};
use super::section::{Partition, Section};
use crate::error::Result;
use crate::functions::{Aggregate, AggregateState, CallTypes, EvalContext};
use crate::types::DataType;
use crate::value::{Column, ColumnBuilder, ColumnData, Datum};

/// After so many rows it is asked whether the statement was canceled.
const WORK_ROWS: usize = 1 << 14;

/// A call of an aggregate.
pub struct Aggregated {
    /// The columns of its arguments.
    arguments: Range<usize>,
    /// The column that says which rows count.
    filter: Option<usize>,
    frames: Frames,
    state: Box<dyn AggregateState>,
    /// The rows that are in the state; of a frame that begins before the rows at hand, from the first of these on.
    done: Range<usize>,
    result: Datum,
    removes: bool,
    /// Rows that were looked at since it was asked whether the statement was canceled.
    work: usize,
}

impl Aggregated {
    pub fn new(
        aggregate: &Arc<Aggregate>,
        argument_types: &[DataType],
        result: DataType,
        arguments: Range<usize>,
        filter: Option<usize>,
        frames: Frames,
    ) -> Aggregated {
        let mut state = (aggregate.init)(&CallTypes { arguments: argument_types, result });
        state.resize(1);
        Aggregated {
            arguments,
            filter,
            frames,
            state,
            done: 0..0,
            result: Datum::Null,
            removes: true,
            work: 0,
        }
    }

    pub fn reach(&self) -> (Reach, Reach) {
        (self.frames.reach_back(), self.frames.reach_on())
    }

    pub fn wants_order(&self) -> bool {
        self.frames.wants_order()
    }

    /// What the state and a result take, bytes.
    pub fn memory_bytes(&self) -> usize {
        self.state.memory_bytes() + self.result.heap_bytes()
    }

    /// The rows at hand begin so much later.
    pub fn forget_before(&mut self, row: usize) {
        self.done = self.done.start.saturating_sub(row)..self.done.end.saturating_sub(row);
    }

    /// Appends the result for a row, and tells how much it takes beyond itself; rows come one after the other.
    ///
    /// # Errors
    /// Those of the aggregate and of bounds.
    pub fn append(
        &mut self,
        section: &Section,
        partition: &Partition,
        row: usize,
        out: &mut ColumnBuilder,
        context: &EvalContext<'_>,
    ) -> Result<usize> {
        let begins = row == partition.start && partition.before.rows == 0;
        if self.frames.leaves_out() {
            self.state.clear();
            for piece in self.frames.pieces(section, partition, row)? {
                self.add(section, piece, context)?;
            }
            self.result = self.state.finish(0, context)?;
            return self.give(out);
        }
        let wanted = self.frames.bounds(section, partition, row)?;
        if begins {
            self.start_over(wanted.start);
        } else if wanted == self.done {
            return self.give(out);
        }
        let moves_on = wanted.start >= self.done.start && wanted.start <= self.done.end;
        if !(moves_on && wanted.end >= self.done.end && self.let_go(section, wanted.start)) {
            self.start_over(wanted.start);
        }
        self.add(section, self.done.end..wanted.end, context)?;
        self.done = wanted;
        self.result = self.state.finish(0, context)?;
        self.give(out)
    }

    fn give(&self, out: &mut ColumnBuilder) -> Result<usize> {
        out.push(self.result.clone())?;
        Ok(self.result.heap_bytes())
    }

    fn start_over(&mut self, start: usize) {
        self.state.clear();
        self.done = start..start;
    }

    /// Takes the rows before a position out of the state; false where it cannot.
    fn let_go(&mut self, section: &Section, start: usize) -> bool {
        let gone = self.done.start..start;
        if gone.is_empty() {
            return true;
        }
        if !self.removes || start == self.done.end {
            return false;
        }
        let arguments = &section.batch.columns[self.arguments.clone()];
        for rows in counted(self.filter.map(|at| &section.batch.columns[at]), gone) {
            if !self.state.remove_rows(0, arguments, rows) {
                self.removes = false;
                return false;
            }
        }
        true
    }

    fn add(&mut self, section: &Section, rows: Range<usize>, context: &EvalContext<'_>) -> Result<()> {
        let arguments = &section.batch.columns[self.arguments.clone()];
        let filter = self.filter.map(|at| &section.batch.columns[at]);
        let mut at = rows.start;
        while at < rows.end {
            let piece = at..rows.end.min(at + WORK_ROWS);
            at = piece.end;
            self.work += piece.len();
            if self.work >= WORK_ROWS {
                self.work = 0;
                context.check_cancel()?;
            }
            for rows in counted(filter, piece) {
                self.state.add_rows(0, arguments, rows, context)?;
            }
        }
        Ok(())
    }
}

/// The rows of a range for which a condition holds, as ranges.
fn counted(filter: Option<&Column>, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let counts = move |row: usize| match filter.map(|column| (column, column.data())) {
        Some((column, ColumnData::Bool(values))) => !column.is_null(row) && values[column.stored_index(row)],
        _ => true,
    };
    let mut at = rows.start;
    std::iter::from_fn(move || {
        if filter.is_none() {
            let all = at..rows.end;
            at = rows.end;
            return (!all.is_empty()).then_some(all);
        }
        while at < rows.end && !counts(at) {
            at += 1;
        }
        let start = at;
        while at < rows.end && counts(at) {
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}
