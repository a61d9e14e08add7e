//! What a sample says of one column: as PostgreSQL's `compute_scalar_stats` has it.
//!
//! 1. The values are sorted; equal ones are counted.
//! 2. From how many values there are, and how many occur once, follows how many the table has: the estimator Duj1 of
//!    Haas and Stokes, "Estimating the number of classes in a finite population" (1998).
//! 3. The values that are clearly more common than the others are listed with their frequencies.
//! 4. The others give a histogram of equally many values in each part.
//! 5. The correlation is Pearson's, between the places of the values in the sample and in their own order.

use super::sample::Sample;
use crate::catalog::{ColumnStatistics, Table, TableColumn};
use crate::error::Result;
use crate::types::{DataType, builtin_type, oids};
use crate::value::key::{self, KeyColumn};
use crate::value::row::RowLayout;
use crate::value::{Datum, PhysicalKind};

/// PostgreSQL's `default_statistics_target`.
const TARGET: usize = 100;
/// Wider values are not looked at: they are hardly ever equal, and cost memory.
const WIDE_BYTES: usize = 1_024;

/// A value of the sample.
struct Value {
    /// Its bytes in order.
    key: Vec<u8>,
    /// Its place among the values.
    place: usize,
    datum: Datum,
}

/// Equal values of the sample.
#[derive(Clone, Copy)]
struct Run {
    /// The first of them in the sorted list.
    first: usize,
    count: usize,
}

/// The statistics of a column; `None` where the sample has no rows.
///
/// # Errors
/// XX001 for a row that cannot be read.
pub fn statistics(
    column: &TableColumn,
    sample: &Sample,
    layout: &RowLayout,
) -> Result<Option<ColumnStatistics>> {
    if sample.rows.is_empty() {
        return Ok(None);
    }
    let info = builtin_type(column.type_oid);
    let key_column = KeyColumn::ascending(
        DataType { oid: column.type_oid, typmod: column.type_modifier },
        info.map_or(PhysicalKind::Text, |info| info.kind),
    );
    let fixed = info.map(|info| info.length).filter(|length| *length > 0);
    let at = Table::position(column.number);
    let (mut values, mut nulls, mut wide, mut width) = (Vec::new(), 0, 0, 0usize);
    for row in &sample.rows {
        let datum = layout.view(row)?.get(at)?;
        if datum.is_null() {
            nulls += 1;
            continue;
        }
        let mut encoded = Vec::new();
        key::encode(&key_column, &datum, &mut encoded);
        let bytes = stored_bytes(&datum, encoded.len());
        width += fixed.map_or(bytes, |length| usize::try_from(length).unwrap_or(bytes));
        if bytes > WIDE_BYTES {
            wide += 1;
        } else {
            values.push(Value { key: encoded, place: values.len(), datum });
        }
    }
    let present = sample.rows.len() - nulls;
    let mut found = ColumnStatistics {
        number: column.number,
        type_oid: column.type_oid,
        null_fraction: nulls as f32 / sample.rows.len() as f32,
        width: i32::try_from(width.checked_div(present).unwrap_or(0)).unwrap_or(i32::MAX),
        distinct: 0.0,
        most_common: Vec::new(),
        frequencies: Vec::new(),
        histogram: Vec::new(),
        correlation: None,
    };
    if present == 0 || !has_order(column.type_oid) {
        found.width = fixed.map_or(found.width, i32::from);
        return Ok(Some(found));
    }
    if values.is_empty() {
        // All are too wide: they are taken to be different.
        found.distinct = -(1.0 - found.null_fraction);
        return Ok(Some(found));
    }
    values.sort_by(|left, right| (&left.key, left.place).cmp(&(&right.key, right.place)));
    let runs = runs(&values);
    let counted = Counted { rows: sample.rows.len(), total: sample.total, nulls, wide };
    found.distinct = distinct(&runs, &counted);
    let common = most_common(&runs, &counted, found.distinct);
    found.most_common = common.iter().map(|run| values[run.first].datum.clone()).collect();
    found.frequencies =
        common.iter().map(|run| (run.count as f64 / sample.rows.len() as f64) as f32).collect();
    found.histogram = histogram(&values, &runs, &common);
    found.correlation = correlation(&values);
    Ok(Some(found))
}

/// How much of the sample there is of what.
struct Counted {
    /// The sample's rows.
    rows: usize,
    /// The table's rows.
    total: f64,
    nulls: usize,
    wide: usize,
}

fn has_order(type_oid: u32) -> bool {
    let element = builtin_type(type_oid).and_then(|info| info.element());
    element.unwrap_or(type_oid) != oids::JSON
}

/// The bytes of a value as PostgreSQL stores them: a length of one byte, or four, before those of variable width.
fn stored_bytes(datum: &Datum, key_bytes: usize) -> usize {
    let bytes = match datum {
        Datum::Text(text) => text.len(),
        Datum::Bytes(bytes) => bytes.len(),
        _ => key_bytes,
    };
    if bytes < 127 { bytes + 1 } else { bytes + 4 }
}

fn runs(values: &[Value]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, value) in values.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if values[run.first].key == value.key => run.count += 1,
            _ => runs.push(Run { first: at, count: 1 }),
        }
    }
    runs
}

/// How many different values the table has, as `pg_statistic` says it.
fn distinct(runs: &[Run], counted: &Counted) -> f32 {
    let repeated = runs.iter().filter(|run| run.count > 1).count();
    let null_fraction = counted.nulls as f64 / counted.rows as f64;
    let estimate = if repeated == 0 {
        return -(1.0 - null_fraction) as f32;
    } else if counted.wide == 0 && repeated == runs.len() {
        // Every value came more than once: there are probably no others.
        runs.len() as f64
    } else {
        let once = (runs.len() - repeated + counted.wide) as f64;
        let seen = once + repeated as f64;
        let sampled = (counted.rows - counted.nulls) as f64;
        let whole = counted.total * (1.0 - null_fraction);
        let estimate =
            if whole > 0.0 { sampled * seen / ((sampled - once) + once * sampled / whole) } else { 0.0 };
        (estimate.clamp(seen, whole.max(seen)) + 0.5).floor()
    };
    // What is more than a tenth of the rows is taken to grow with them.
    if estimate > 0.1 * counted.total { -(estimate / counted.total) as f32 } else { estimate as f32 }
}

/// The values that are clearly more common than the others, the most common first.
fn most_common(runs: &[Run], counted: &Counted, distinct: f32) -> Vec<Run> {
    let mut common: Vec<Run> = runs.iter().copied().filter(|run| run.count > 1).collect();
    let complete =
        common.len() == runs.len() && counted.wide == 0 && distinct > 0.0 && common.len() <= TARGET;
    common.sort_by_key(|run| std::cmp::Reverse(run.count));
    if complete {
        return common;
    }
    common.truncate(TARGET);
    common.truncate(significant(&common, counted, f64::from(distinct)));
    common
}

/// How many of the most common values are so by more than chance: those whose count is more than two standard
/// deviations above what it would be if they were no more common than the rest.
fn significant(common: &[Run], counted: &Counted, distinct: f64) -> usize {
    let (total, rows) = (counted.total, counted.rows as f64);
    if rows >= total || total <= 1.0 {
        return common.len();
    }
    let distinct = if distinct < 0.0 { -distinct * total } else { distinct };
    let null_fraction = counted.nulls as f64 / rows;
    let mut before: usize = common.iter().rev().skip(1).map(|run| run.count).sum();
    let mut count = common.len();
    while count > 0 {
        let mut selectivity = (1.0 - before as f64 / rows - null_fraction).clamp(0.0, 1.0);
        let others = distinct - (count - 1) as f64;
        if others > 1.0 {
            selectivity /= others;
        }
        // The count is drawn from a hypergeometric distribution.
        let own = common[count - 1].count as f64;
        let expected = total * own / rows;
        let variance =
            rows * expected * (total - expected) * (total - rows) / (total * total * (total - 1.0));
        if own > selectivity * rows + 2.0 * variance.max(0.0).sqrt() + 0.5 {
            break;
        }
        count -= 1;
        if count > 0 {
            before -= common[count - 1].count;
        }
    }
    count
}

/// Bounds of parts of equally many values, without the common ones.
fn histogram(values: &[Value], runs: &[Run], common: &[Run]) -> Vec<Datum> {
    let bounds = (runs.len() - common.len()).min(TARGET + 1);
    if bounds < 2 {
        return Vec::new();
    }
    let mut listed: Vec<&Run> = common.iter().collect();
    listed.sort_by_key(|run| run.first);
    let mut rest = Vec::with_capacity(values.len());
    let mut from = 0;
    for run in listed {
        rest.extend(&values[from..run.first]);
        from = run.first + run.count;
    }
    rest.extend(&values[from..]);
    (0..bounds).map(|at| rest[at * (rest.len() - 1) / (bounds - 1)].datum.clone()).collect()
}

fn correlation(values: &[Value]) -> Option<f32> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let products: f64 = values.iter().enumerate().map(|(at, value)| at as f64 * value.place as f64).sum();
    let sum = count * (count - 1.0) / 2.0;
    let squares = count * (count - 1.0) * (2.0 * count - 1.0) / 6.0;
    Some(((count * products - sum * sum) / (count * squares - sum * sum)) as f32)
}
