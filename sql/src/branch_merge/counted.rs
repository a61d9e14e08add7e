//! Merging the rows of a table without a primary key: as whole rows, each with the number of times that it is there.
//!
//! That number is what is merged, as if it were a cell: where only the source changed it, the target gets so many more or
//! fewer of such rows; where both changed it to the same, nothing happens; else it is a conflict. What changed is kept in
//! memory until the table is done, on both sides: row numbers mean nothing across branches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use helios_mvcc::{KeyRange, ScanStep, Snapshot};

use super::base_rows::{BaseRows, Leaf};
use super::lineage::Divergences;
use super::matching::difference;
use super::report::{Report, Settled};
use super::rows::{Change, Reading, Target, write};
use crate::catalog::Table;
use crate::error::Result;
use crate::execute::Execution;
use crate::value::Datum;

/// How many of a row came and went on a side.
#[derive(Clone, Default)]
struct Delta {
    row: Vec<Datum>,
    by: i64,
    /// Where such rows were that went, and are that came.
    gone: Vec<Vec<u8>>,
    here: Vec<Vec<u8>>,
}

/// By the row's stored form.
type Deltas = BTreeMap<Vec<u8>, Delta>;

/// A side of the merge.
pub struct Side<'a> {
    pub table: Option<&'a Table>,
    pub divergences: &'a mut Divergences,
    pub reading: &'a Reading,
}

/// How the numbers of rows differ.
struct Numbers {
    /// What the source has more than one moment of the base, and the target.
    theirs: Deltas,
    ours: Deltas,
    /// What the source has more than each moment of the base.
    moments: Vec<(Snapshot, Deltas)>,
}

impl Numbers {
    /// What both have more than the base of a row, and what the base has more than that moment; that is undecided where several
    /// moments do not agree.
    fn of(&self, stored: &[u8], base: Option<&BaseRows>) -> (i64, i64, Option<i64>) {
        let by = |deltas: &Deltas| deltas.get(stored).map_or(0, |delta| delta.by);
        let (theirs, ours) = (by(&self.theirs), by(&self.ours));
        let was = match base {
            Some(base) if self.moments.len() > 1 => {
                let number = |(moment, deltas): &(Snapshot, Deltas)| (*moment, theirs - by(deltas));
                base.number_of(&self.moments.iter().map(number).collect())
            }
            _ => Some(0),
        };
        (theirs - was.unwrap_or(0), ours - was.unwrap_or(0), was)
    }
}

/// Merges what the source changed since the base, with what the target changed since then; `moment` is one of the base.
///
/// # Errors
/// Those of reading and writing; conflicts and broken constraints go to the report.
pub async fn merge(
    target: &Target,
    (base, moment): (Option<&BaseRows>, Snapshot),
    [mut theirs, mut ours]: [Side<'_>; 2],
    execution: &mut Execution,
    report: &mut Report,
) -> Result<()> {
    let mut numbers = Numbers { theirs: Deltas::new(), ours: Deltas::new(), moments: Vec::new() };
    let mut leaves: Vec<Option<&Leaf>> = base.map_or_else(Vec::new, |base| base.leaves().map(Some).collect());
    if leaves.is_empty() {
        leaves.push(None);
    }
    for leaf in &leaves {
        let moment = leaf.map_or(moment, |leaf| leaf.moment);
        numbers.moments.push((moment, deltas(target, (*leaf, moment), &mut theirs, execution).await?));
    }
    if numbers.moments.iter().all(|(_, deltas)| deltas.values().all(|delta| delta.by == 0)) {
        return Ok(());
    }
    // What is common to the source and one of the moments is common to all that is compared with that.
    let first = leaves[0];
    numbers.ours =
        deltas(target, (first, first.map_or(moment, |leaf| leaf.moment)), &mut ours, execution).await?;
    numbers.theirs = numbers.moments[0].1.clone();
    target.writer.lock_table(execution).await?;
    let mut left_over = BTreeMap::new();
    let changed: BTreeSet<Vec<u8>> =
        numbers.moments.iter().flat_map(|(_, deltas)| deltas.keys().cloned()).collect();
    for stored in changed {
        let (theirs_by, own_by, was) = numbers.of(&stored, base);
        if theirs_by == own_by || (theirs_by == 0 && was.is_some()) {
            continue;
        }
        let of_moments = numbers.moments.iter().filter_map(|(_, deltas)| deltas.get(&stored));
        let Some(row) = of_moments.clone().next().map(|delta| delta.row.clone()) else { continue };
        let row = Some(row);
        let own = numbers.ours.get(&stored);
        let grows = theirs_by > if was.is_some() { 0 } else { own_by };
        let versions = [&None, if grows { &None } else { &row }, &row];
        let operation = if grows { "insert" } else { "delete" };
        if own_by != 0 || was.is_none() {
            let text =
                format!("it came {theirs_by:+} times on the branch and {own_by:+} times on the target");
            let finding = target.finding(operation, Some(text), versions, &execution.context())?;
            if report.settle(|| finding) == Settled::Ours {
                continue;
            }
        }
        let by = theirs_by - own_by;
        for _ in 0..by.max(0) {
            let finding = target.finding("insert", None, versions, &execution.context())?;
            report.change(|| finding);
            let mut row = row.clone();
            if let Some(row) = &mut row {
                target.writer.generate(row, &execution.context())?;
            }
            let change = Change { key: Vec::new(), before: None, after: row };
            write(target, change, None, execution, report).await?;
        }
        let mut left = (-by).max(0);
        // Where the source's rows were, such rows most likely still are; else they are among what the target added.
        let gone = of_moments.flat_map(|delta| &delta.gone);
        let candidates = gone.chain(own.into_iter().flat_map(|own| &own.here));
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

/// What a side has more, and less, than a moment of the base; all rows, where that has not the table.
async fn deltas(
    target: &Target,
    (leaf, moment): (Option<&Leaf>, Snapshot),
    side: &mut Side<'_>,
    execution: &Execution,
) -> Result<Deltas> {
    let divergence = side.divergences.since(moment).await?;
    let mut rows = difference(divergence, leaf.map(|leaf| &*leaf.table), side.table).await?;
    let mut deltas = Deltas::new();
    while let Some(change) = rows.next().await? {
        execution.check_cancel()?;
        let context = execution.context();
        let before = match (leaf, &change.before) {
            (Some(leaf), Some(bytes)) => leaf.row(bytes, &context).ok(),
            _ => None,
        };
        if let Some(row) = before {
            let delta = deltas.entry(stored_form(target, &row)?).or_default();
            delta.by -= 1;
            delta.row = row;
            delta.gone.push(change.key.clone());
        }
        if let Some(bytes) = change.after {
            let row = side.reading.row(&bytes, &context)?;
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
