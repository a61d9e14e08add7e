//! `lag`, `lead`, `first_value` and their siblings: the value of another row.

use std::ops::Range;

use super::frame::{Frames, Reach};
use super::section::{Partition, Section};
use crate::error::{Result, SqlError, SqlState};
use crate::plan::window::WindowFunction;
use crate::value::{Column, ColumnBuilder, Datum};

/// A call that gives another row's value.
pub struct Picking {
    function: WindowFunction,
    /// The columns of its arguments.
    arguments: Range<usize>,
    frames: Frames,
    /// How far away `lag` and `lead` look, where that is the same for all rows.
    distance: Option<i64>,
    /// The first value of the partition at hand, for a frame that begins with it.
    first: Option<Column>,
}

/// Of which column, and which of its rows.
type Pick = (u32, u32);

const VALUE: u32 = 0;
const OTHERWISE: u32 = 1;
const NULL: Pick = (2, 0);
const FIRST: Pick = (3, 0);

impl Picking {
    pub fn new(
        function: WindowFunction,
        arguments: Range<usize>,
        frames: Frames,
        distance: Option<i64>,
    ) -> Picking {
        Picking { function, arguments, frames, distance, first: None }
    }

    pub fn wants_order(&self) -> bool {
        self.frames.wants_order()
    }

    /// Rows that have to be at hand behind a row and before it.
    pub fn reach(&self) -> (Reach, Reach) {
        let shift = |away: i64| match usize::try_from(away) {
            Ok(rows) => (Reach::Rows(0), Reach::Rows(rows)),
            Err(_) => {
                (Reach::Rows(usize::try_from(away.unsigned_abs()).unwrap_or(usize::MAX)), Reach::Rows(0))
            }
        };
        match (&self.function, self.distance) {
            (WindowFunction::Lag, Some(distance)) => shift(distance.saturating_neg()),
            (WindowFunction::Lead, Some(distance)) => shift(distance),
            (WindowFunction::FirstValue, _) if self.frames.is_growing() => {
                let on = self.frames.reach_on();
                // Whether there is a frame at all is all that its end says.
                (self.frames.reach_back(), if on == Reach::Peers { Reach::Rows(0) } else { on })
            }
            (WindowFunction::FirstValue | WindowFunction::LastValue, _) => {
                (self.frames.reach_back(), self.frames.reach_on())
            }
            (WindowFunction::NthValue, _) if !self.frames.is_growing() => {
                (self.frames.reach_back(), self.frames.reach_on())
            }
            _ => (Reach::All, Reach::All),
        }
    }

    /// Appends the values for rows of one partition.
    ///
    /// # Errors
    /// 22016 for `nth_value` with an argument that is not positive; those of bounds.
    pub fn append(
        &mut self,
        section: &Section,
        partition: &Partition,
        rows: Range<usize>,
        out: &mut ColumnBuilder,
    ) -> Result<()> {
        let columns = &section.batch.columns[self.arguments.clone()];
        let Some(value) = columns.first() else {
            return Err(SqlError::internal("a call without its argument"));
        };
        if rows.start == partition.start && partition.before.rows == 0 {
            self.first = Some(value.gather(&[partition.start as u32]));
        }
        let null = Column::constant(value.kind(), &Datum::Null, 1)?;
        let sources = [value, columns.get(2).unwrap_or(&null), &null, self.first.as_ref().unwrap_or(&null)];
        let mut picks: Vec<Pick> = Vec::with_capacity(rows.len());
        for row in rows {
            picks.push(self.pick(section, partition, row, columns)?);
        }
        out.extend_picked(&sources, &picks)
    }

    fn pick(&self, section: &Section, partition: &Partition, row: usize, columns: &[Column]) -> Result<Pick> {
        let value = |at: Option<usize>| at.map_or(NULL, |at| (VALUE, at as u32));
        Ok(match &self.function {
            WindowFunction::Lag | WindowFunction::Lead => {
                let distance = match self.distance {
                    Some(distance) => distance,
                    None => match columns[1].get(row).as_i64() {
                        Some(distance) => distance,
                        None => return Ok(NULL),
                    },
                };
                let lags = matches!(self.function, WindowFunction::Lag);
                let away = if lags { distance.saturating_neg() } else { distance };
                let within = (row as i64).saturating_add(away);
                match usize::try_from(within).ok().filter(|at| (partition.start..partition.end).contains(at))
                {
                    Some(at) => (VALUE, at as u32),
                    None if columns.len() > 2 => (OTHERWISE, row as u32),
                    None => NULL,
                }
            }
            WindowFunction::FirstValue if self.frames.is_growing() => {
                if self.frames.bounds(section, partition, row)?.is_empty() { NULL } else { FIRST }
            }
            WindowFunction::FirstValue => value(self.framed(section, partition, row)?.next()),
            WindowFunction::LastValue => value(self.framed(section, partition, row)?.next_back()),
            WindowFunction::NthValue => {
                let Some(n) = columns[1].get(row).as_i64() else { return Ok(NULL) };
                let Some(n) = usize::try_from(n - 1).ok() else {
                    return Err(SqlError::new(
                        SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE,
                        "argument of nth_value must be greater than zero",
                    ));
                };
                let mut left = n;
                for piece in self.frames.pieces(section, partition, row)? {
                    if left < piece.len() {
                        return Ok((VALUE, (piece.start + left) as u32));
                    }
                    left -= piece.len();
                }
                NULL
            }
            _ => return Err(SqlError::internal("a window function that gives no other row's value")),
        })
    }

    /// The positions of a row's frame.
    fn framed(
        &self,
        section: &Section,
        partition: &Partition,
        row: usize,
    ) -> Result<impl DoubleEndedIterator<Item = usize> + use<>> {
        Ok(self.frames.pieces(section, partition, row)?.into_iter().flatten())
    }
}
