//! `row_number`, `rank` and their siblings: numbers that follow from where a row stands in its partition.

use std::ops::Range;

use super::section::{Partition, Section};
use crate::error::{Result, SqlError, SqlState};
use crate::plan::window::WindowFunction;
use crate::value::{ColumnBuilder, ColumnData, Datum};

/// Appends the numbers of rows of one partition; `buckets` is the column of `ntile`'s argument.
///
/// # Errors
/// 22014 for `ntile` with an argument that is not positive.
pub fn append(
    function: &WindowFunction,
    buckets: usize,
    section: &Section,
    partition: &Partition,
    rows: Range<usize>,
    out: &mut ColumnBuilder,
) -> Result<()> {
    let Partition { start, first_group, before, .. } = *partition;
    let position = |row: usize| before.rows + row - start;
    let group = |row: usize| section.group_of[row] as usize;
    // Rows before the row's group of peers.
    let ahead = |row: usize| match group(row) {
        group if group == first_group => before.group_start,
        group => position(section.group_starts[group]),
    };
    let count = position(partition.end);
    let integers = |number: &dyn Fn(usize) -> usize, out: &mut ColumnBuilder| {
        push_all(out, rows.clone().map(|row| Datum::Int64(number(row) as i64)))
    };
    let share = |part: usize, of: usize| Datum::Float64(part as f64 / of as f64);
    match function {
        WindowFunction::RowNumber => integers(&|row| position(row) + 1, out),
        WindowFunction::Rank => integers(&|row| ahead(row) + 1, out),
        WindowFunction::DenseRank => integers(&|row| before.groups + group(row) - first_group + 1, out),
        WindowFunction::PercentRank if count < 2 => push_all(out, rows.map(|_| Datum::Float64(0.0))),
        WindowFunction::PercentRank => push_all(out, rows.map(|row| share(ahead(row), count - 1))),
        WindowFunction::CumeDist => {
            push_all(out, rows.map(|row| share(position(section.group_starts[group(row) + 1]), count)))
        }
        WindowFunction::Ntile => {
            // The first row's argument holds for the partition.
            let Some(buckets) = section.batch.datum(start, buckets).as_i64() else {
                rows.for_each(|_| out.push_null());
                return Ok(());
            };
            let Some(buckets) = usize::try_from(buckets).ok().filter(|buckets| *buckets > 0) else {
                return Err(SqlError::new(
                    SqlState::INVALID_ARGUMENT_FOR_NTILE,
                    "argument of ntile must be greater than zero",
                ));
            };
            push_all(out, rows.map(|row| Datum::Int32(bucket(position(row), count, buckets))))
        }
        _ => Err(SqlError::internal("a window function that is no number of a row")),
    }
}

/// Which of so many buckets the row at a position is in.
fn bucket(position: usize, count: usize, buckets: usize) -> i32 {
    let (small, larger) = (count / buckets, count % buckets);
    let in_larger = larger * (small + 1);
    let bucket =
        if position < in_larger { position / (small + 1) } else { larger + (position - in_larger) / small };
    i32::try_from(bucket + 1).unwrap_or(i32::MAX)
}

fn push_all(out: &mut ColumnBuilder, values: impl Iterator<Item = Datum>) -> Result<()> {
    if let ColumnData::Int64(numbers) = out.data_mut() {
        numbers.extend(values.filter_map(|value| value.as_i64()));
        out.mark_all_valid();
        return Ok(());
    }
    for value in values {
        out.push(value)?;
    }
    Ok(())
}
