//! Merging the rows of a table without a primary key: as whole rows, each with the number of times that it is there.
//!
//! That number is what is merged, as if it were a cell: where only the source changed it, the target gets so many more or
//! fewer of such rows; where both changed it to the same, nothing happens; else it is a conflict. What changed is kept in
//! memory until the table is done, on both sides: row numbers mean nothing across branches.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use helios_mvcc::{KeyRange, ScanStep, TreeDifference};

use super::report::{Report, Settled};
use super::rows::{Change, Reading, Target, write};
use crate::error::Result;
use crate::execute::Execution;
use crate::value::Datum;

/// How many of a row came and went on a side.
#[derive(Default)]
struct Delta {
    row: Vec<Datum>,
    by: i64,
    /// Where such rows were that went, and are that came.
    gone: Vec<Vec<u8>>,
    here: Vec<Vec<u8>>,
}

/// By the row's stored form.
type Deltas = BTreeMap<Vec<u8>, Delta>;

/// Merges what the source changed since the base, with what the target changed since then.
///
/// # Errors
/// Those of reading and writing; conflicts and broken constraints go to the report.
pub async fn merge(
    target: &Target,
    theirs: TreeDifference,
    (ours, own): (TreeDifference, Option<&Reading>),
    execution: &mut Execution,
    report: &mut Report,
) -> Result<()> {
    let theirs = deltas(target, theirs, &target.source, execution).await?;
    if theirs.values().all(|delta| delta.by == 0) {
        return Ok(());
    }
    let ours = deltas(target, ours, own.unwrap_or(&target.own), execution).await?;
    target.writer.lock_table(execution).await?;
    let mut left_over = BTreeMap::new();
    for (stored, delta) in theirs.into_iter().filter(|(_, delta)| delta.by != 0) {
        let own = ours.get(&stored);
        let own_by = own.map_or(0, |own| own.by);
        if own_by == delta.by {
            continue;
        }
        let row = Some(delta.row.clone());
        let versions = [&None, if delta.by > 0 { &None } else { &row }, &row];
        let operation = if delta.by > 0 { "insert" } else { "delete" };
        if own_by != 0 {
            let text =
                format!("it came {:+} times on the branch and {own_by:+} times on the target", delta.by);
            let finding = target.finding(operation, Some(text), versions, &execution.context())?;
            if report.settle(|| finding) == Settled::Ours {
                continue;
            }
        }
        let by = delta.by - own_by;
        for _ in 0..by.max(0) {
            let finding = target.finding("insert", None, versions, &execution.context())?;
            report.change(|| finding);
            let mut row = delta.row.clone();
            target.writer.generate(&mut row, &execution.context())?;
            let change = Change { key: Vec::new(), before: None, after: Some(row) };
            write(target, change, None, execution, report).await?;
        }
        let mut left = (-by).max(0);
        // Where the source's rows were, such rows most likely still are; else they are among what the target added.
        let candidates = delta.gone.iter().chain(own.into_iter().flat_map(|own| &own.here));
        for key in candidates {
            if left == 0 {
                break;
            }
            let Some(bytes) = execution.transaction.get(target.writer.tree(), key).await? else { continue };
            let values = target.own.row(&bytes, &execution.context())?;
            if stored_form(target, &values)? == stored {
                let finding = target.finding("delete", None, versions, &execution.context())?;
                report.change(|| finding);
                let change = Change { key: key.clone(), before: Some(values), after: None };
                write(target, change, None, execution, report).await?;
                left -= 1;
            }
        }
        if left > 0 {
            left_over.insert(stored, left);
        }
        execution.breathe().await?;
    }
    delete_anywhere(target, left_over, execution, report).await
}

/// Deletes so many of such rows, wherever they are: rows of a table that was merged, or written anew, have other numbers
/// than they had at the base.
async fn delete_anywhere(
    target: &Target,
    mut wanted: BTreeMap<Vec<u8>, i64>,
    execution: &mut Execution,
    report: &mut Report,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::new();
    let mut scan = execution.transaction.scan(target.writer.tree(), KeyRange::all(), false);
    loop {
        let mut visit = |key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        let step = scan.next(&execution.transaction, &mut visit).await?;
        for (key, bytes) in std::mem::take(&mut rows) {
            let values = target.own.row(&bytes, &execution.context())?;
            let stored = stored_form(target, &values)?;
            let Some(left) = wanted.get_mut(&stored) else { continue };
            *left -= 1;
            if *left == 0 {
                wanted.remove(&stored);
            }
            let row = Some(values.clone());
            let finding = target.finding("delete", None, [&None, &row, &None], &execution.context())?;
            report.change(|| finding);
            write(target, Change { key, before: Some(values), after: None }, None, execution, report).await?;
        }
        if step == ScanStep::Done || wanted.is_empty() {
            return Ok(());
        }
        execution.breathe().await?;
    }
}

async fn deltas(
    target: &Target,
    mut difference: TreeDifference,
    after: &Reading,
    execution: &Execution,
) -> Result<Deltas> {
    let mut deltas = Deltas::new();
    while let Some(change) = difference.next().await? {
        let context = execution.context();
        let before = match (&target.base, &change.before) {
            (Some(reading), Some(bytes)) => reading.row(bytes, &context).ok(),
            _ => None,
        };
        if let Some(row) = before {
            let delta = deltas.entry(stored_form(target, &row)?).or_default();
            delta.by -= 1;
            delta.row = row;
            delta.gone.push(change.key.clone());
        }
        if let Some(bytes) = change.after {
            let row = after.row(&bytes, &context)?;
            let delta = deltas.entry(stored_form(target, &row)?).or_default();
            delta.by += 1;
            delta.row = row;
            delta.here.push(change.key);
        }
    }
    Ok(deltas)
}

/// What tells rows apart: their cells, but for generated ones.
fn stored_form(target: &Target, row: &[Datum]) -> Result<Vec<u8>> {
    let mut row = row.to_vec();
    for (value, _) in row.iter_mut().zip(&target.counts).filter(|(_, counts)| !**counts) {
        *value = Datum::Null;
    }
    let mut stored = Vec::new();
    target.writer.layout.encode(0, &row, &mut stored)?;
    Ok(stored)
}
