//! The rows around a row that a call reads.

use std::ops::Range;

use super::super::frame_boundary::{self, Boundary, Side};
use super::section::{Partition, Section};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::plan::window::{Exclusion, Frame, FrameBound, FrameUnit, ValueBound};
use crate::value::Datum;
use crate::value::key::{self, KeyColumn};

/// Where a RANGE frame begins or ends.
enum Place {
    /// At an encoded value.
    Key(Vec<u8>),
    /// Before the row at a position.
    Position(usize),
    /// At the ends of the row's peers.
    Peers,
}

/// A call's frame, with what its bounds are.
pub struct Frames {
    frame: Frame,
    /// How many rows or groups the bounds are away.
    start_offset: usize,
    end_offset: usize,
    /// The columns that bounds which are values begin at.
    start_place: Option<usize>,
    end_place: Option<usize>,
    order_key: Option<KeyColumn>,
}

/// What of a partition has to be at hand beside a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// So many rows.
    Rows(usize),
    /// The row's peers.
    Peers,
    All,
}

impl Frames {
    /// The frame of a call whose bounds that are values stand in columns from those places on; `row` is any row.
    ///
    /// # Errors
    /// 22004 and 22013 for offsets that are NULL or negative.
    pub fn new(
        frame: &Frame,
        places: (Option<usize>, Option<usize>),
        order_key: Option<KeyColumn>,
        row: &[Datum],
        context: &EvalContext<'_>,
    ) -> Result<Frames> {
        Ok(Frames {
            start_offset: offset(&frame.start, "starting", row, context)?,
            end_offset: offset(&frame.end, "ending", row, context)?,
            frame: frame.clone(),
            start_place: places.0,
            end_place: places.1,
            order_key,
        })
    }

    /// Whether rows around the row are left out.
    pub fn leaves_out(&self) -> bool {
        self.frame.exclusion != Exclusion::Nothing
    }

    /// Whether it begins with the partition and leaves nothing out.
    pub fn is_growing(&self) -> bool {
        matches!(self.frame.start, FrameBound::Unbounded) && !self.leaves_out()
    }

    /// How far it goes back, if a beginning that is the partition's own counts as nothing.
    pub fn reach_back(&self) -> Reach {
        let rows = self.frame.unit == FrameUnit::Rows;
        match &self.frame.start {
            _ if self.leaves_out() => Reach::All,
            FrameBound::Unbounded | FrameBound::Following(_) if rows => match &self.frame.end {
                // Its end may lie before the row.
                FrameBound::Preceding(_) => Reach::Rows(self.end_offset.saturating_add(1)),
                _ => Reach::Rows(1),
            },
            FrameBound::CurrentRow if rows => Reach::Rows(1),
            FrameBound::Preceding(_) if rows => Reach::Rows(self.start_offset.saturating_add(1)),
            FrameBound::Unbounded if matches!(self.frame.end, FrameBound::CurrentRow) => Reach::Rows(1),
            _ => Reach::All,
        }
    }

    /// How far it goes on.
    pub fn reach_on(&self) -> Reach {
        let rows = self.frame.unit == FrameUnit::Rows;
        match &self.frame.end {
            _ if self.leaves_out() => Reach::All,
            FrameBound::CurrentRow | FrameBound::Preceding(_) if rows => Reach::Rows(0),
            FrameBound::Following(_) if rows => Reach::Rows(self.end_offset),
            FrameBound::CurrentRow => Reach::Peers,
            _ => Reach::All,
        }
    }

    /// Whether its bounds are looked for among the encoded values of the order's keys.
    pub fn wants_order(&self) -> bool {
        self.start_place.is_some() || self.end_place.is_some()
    }

    /// The frame of a row, with what it leaves out: from the first position to before the second. Where the partition began
    /// before the rows at hand, so does a frame from its first row on.
    ///
    /// # Errors
    /// Those of bounds that are values.
    #[inline]
    pub fn bounds(&self, section: &Section, partition: &Partition, row: usize) -> Result<Range<usize>> {
        let Partition { start: from, end: to, first_group, end_group, .. } = *partition;
        let rows_unit = self.frame.unit == FrameUnit::Rows;
        let group = section.group_of[row] as usize;
        let group_start = |group: usize| section.group_starts[group.clamp(first_group, end_group)];
        let first = match &self.frame.start {
            FrameBound::Unbounded => from,
            FrameBound::CurrentRow if rows_unit => row,
            FrameBound::CurrentRow => group_start(group),
            FrameBound::Preceding(_) if rows_unit => row.saturating_sub(self.start_offset).max(from),
            FrameBound::Preceding(_) => group_start(group.saturating_sub(self.start_offset)),
            FrameBound::Following(_) if rows_unit => row.saturating_add(self.start_offset).min(to),
            FrameBound::Following(_) => group_start(group.saturating_add(self.start_offset)),
            FrameBound::Value(bound) => {
                match self.boundary(section, partition, row, self.start_place, bound, true)? {
                    Place::Key(key) => find(section, partition, |order| order < &key[..]),
                    Place::Position(position) => position,
                    Place::Peers => group_start(group),
                }
            }
        };
        let last = match &self.frame.end {
            FrameBound::Unbounded => to,
            FrameBound::CurrentRow if rows_unit => row + 1,
            FrameBound::CurrentRow => group_start(group + 1),
            FrameBound::Preceding(_) if rows_unit => (row + 1).saturating_sub(self.end_offset).max(from),
            FrameBound::Preceding(_) => match (group - first_group).checked_sub(self.end_offset) {
                Some(within) => group_start(first_group + within + 1),
                None => from,
            },
            FrameBound::Following(_) if rows_unit => (row + 1).saturating_add(self.end_offset).min(to),
            FrameBound::Following(_) => group_start(group.saturating_add(self.end_offset).saturating_add(1)),
            FrameBound::Value(bound) => {
                match self.boundary(section, partition, row, self.end_place, bound, false)? {
                    Place::Key(key) => find(section, partition, |order| order <= &key[..]),
                    Place::Position(position) => position,
                    Place::Peers => group_start(group + 1),
                }
            }
        };
        Ok(first..last.max(first))
    }

    /// The rows of a row's frame: at most three pieces, some of which may be empty.
    ///
    /// # Errors
    /// As [`Frames::bounds`].
    pub fn pieces(&self, section: &Section, partition: &Partition, row: usize) -> Result<[Range<usize>; 3]> {
        let whole = self.bounds(section, partition, row)?;
        let group = section.group_of[row] as usize;
        let peers = section.group_starts[group]..section.group_starts[group + 1];
        let without = |left_out: Range<usize>, kept: Range<usize>| {
            let clip = |range: Range<usize>| {
                let start = range.start.max(whole.start);
                start..range.end.min(whole.end).max(start)
            };
            [clip(whole.start..left_out.start), clip(kept), clip(left_out.end..whole.end)]
        };
        Ok(match self.frame.exclusion {
            Exclusion::Nothing => [whole, 0..0, 0..0],
            Exclusion::CurrentRow => without(row..row + 1, 0..0),
            Exclusion::Group => without(peers, 0..0),
            Exclusion::Ties => without(peers, row..row + 1),
        })
    }

    /// Where a RANGE frame begins or ends.
    fn boundary(
        &self,
        section: &Section,
        partition: &Partition,
        row: usize,
        place: Option<usize>,
        bound: &ValueBound,
        is_start: bool,
    ) -> Result<Place> {
        let (Some(place), Some(column)) = (place, &self.order_key) else { return Ok(Place::Peers) };
        let value = |at: usize| section.batch.columns[at].get(row);
        let moved = bound.moved.as_ref().map(|_| value(place + 2));
        let side = Side { is_start, descending: column.descending };
        let found =
            frame_boundary::boundary(side, &value(place), &value(place + 1), moved.as_ref(), bound.subtract)?;
        let is_first = |found: &Boundary| (*found == Boundary::Before) != column.descending;
        Ok(match found {
            Boundary::Peers => Place::Peers,
            Boundary::At(value) => {
                let mut encoded = Vec::new();
                key::encode(column, &value, &mut encoded);
                Place::Key(encoded)
            }
            // NULLs lie outside of all values.
            beyond if is_first(&beyond) => Place::Position(find(section, partition, |order| {
                order.first() == Some(&key::MARK_NULL_FIRST)
            })),
            _ => {
                Place::Position(find(section, partition, |order| order.first() != Some(&key::MARK_NULL_LAST)))
            }
        })
    }
}

/// The first row of a partition whose encoded keys are not `before` some place.
fn find(section: &Section, partition: &Partition, before: impl Fn(&[u8]) -> bool) -> usize {
    let (mut low, mut high) = (partition.start, partition.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(section.order_of(middle)) { low = middle + 1 } else { high = middle }
    }
    low
}

/// How many rows or groups a bound is away.
fn offset(bound: &FrameBound, which: &str, row: &[Datum], context: &EvalContext<'_>) -> Result<usize> {
    let (FrameBound::Preceding(expr) | FrameBound::Following(expr)) = bound else { return Ok(0) };
    // What it reads are subqueries that give the same for all rows.
    let Some(rows) = Expr::eval_row(expr, &row, context)?.as_i64() else {
        return Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("frame {which} offset must not be null"),
        ));
    };
    usize::try_from(rows).map_err(|_| {
        SqlError::new(
            SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
            format!("frame {which} offset must not be negative"),
        )
    })
}
