//! Merging the rows of a table whose primary key is not the one that it had at the base.
//!
//! Keys of the versions' trees are different things then, so rows are told apart by the values of the base's key, or, where
//! the base had none, of the new one. All rows of all three versions are read, and held until the table is done.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use helios_mvcc::{KeyRange, ScanStep, Snapshot, TreeDifference};

use super::base_rows::BaseRows;
use super::cells::Version;
use super::report::{Finding, Report};
use super::rows::{Target, decide, write};
use crate::error::Result;
use crate::execute::Execution;
use crate::value::Datum;

/// The rows of one version, with their keys in its tree, by what tells them apart.
type Rows = BTreeMap<Vec<u8>, (Vec<u8>, Vec<Datum>)>;

/// Merges all rows; `by` are the positions of what tells them apart.
///
/// # Errors
/// Those of reading and writing; conflicts and broken constraints go to the report.
pub async fn merge(
    target: &Target,
    by: &[usize],
    (base, mut source): (&BaseRows, TreeDifference),
    execution: &mut Execution,
    report: &mut Report,
) -> Result<()> {
    target.writer.lock_table(execution).await?;
    let mut before: Vec<(Snapshot, Gathering<'_>)> = Vec::new();
    for leaf in base.leaves() {
        let mut gathering = Gathering::new(target, by);
        for (key, row) in base.rows_at(leaf, execution).await? {
            gathering.add(key, row)?;
        }
        before.push((leaf.moment, gathering));
    }
    let mut theirs = Gathering::new(target, by);
    while let Some(row) = source.next().await? {
        if let Some(bytes) = &row.after {
            theirs.add(row.key, target.source.row(bytes, &execution.context())?)?;
        }
    }
    let mut ours = Gathering::new(target, by);
    for (key, bytes) in own_rows(target, execution).await? {
        ours.add(key, target.own.row(&bytes, &execution.context())?)?;
    }
    if before.iter().any(|(_, each)| each.is_ambiguous) || theirs.is_ambiguous || ours.is_ambiguous {
        let what = "its primary key was changed, and its rows cannot be told apart by the one that it had";
        report.refuse(Finding::of_object(target.shown.clone(), what.into()));
        return Ok(());
    }
    let mut again = Vec::new();
    let names = before.iter().flat_map(|(_, each)| each.rows.keys()).chain(theirs.rows.keys());
    let names: BTreeSet<Vec<u8>> = names.cloned().collect();
    for name in names {
        let known =
            before.iter_mut().filter_map(|(moment, each)| Some((*moment, take(&mut each.rows, &name)?)));
        let base = base.row_of(known.collect());
        let theirs: Version = take(&mut theirs.rows, &name);
        let (key, own) = ours.rows.remove(&name).map_or((Vec::new(), None), |(key, row)| (key, Some(row)));
        let change = decide(target, key, base, [own, theirs], &execution.context(), report)?;
        if let Some(change) = change {
            write(target, change, Some(&mut again), execution, report).await?;
        }
        execution.breathe().await?;
    }
    for change in again {
        write(target, change, None, execution, report).await?;
    }
    Ok(())
}

fn take(rows: &mut Rows, name: &[u8]) -> Version {
    rows.remove(name).map(|(_, row)| row)
}

async fn own_rows(target: &Target, execution: &Execution) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = Vec::new();
    let mut scan = execution.transaction.scan(target.writer.tree(), KeyRange::all(), false);
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    while scan.next(&execution.transaction, &mut visit).await? != ScanStep::Done {}
    Ok(rows)
}

/// The rows of one version, being gathered.
struct Gathering<'t> {
    target: &'t Target,
    by: &'t [usize],
    rows: Rows,
    /// Two rows are the same, or one is no row at all, by what tells them apart.
    is_ambiguous: bool,
}

impl<'t> Gathering<'t> {
    fn new(target: &'t Target, by: &'t [usize]) -> Gathering<'t> {
        Gathering { target, by, rows: Rows::new(), is_ambiguous: false }
    }

    fn add(&mut self, key: Vec<u8>, row: Vec<Datum>) -> Result<()> {
        let mut named: Vec<Datum> = vec![Datum::Null; self.target.counts.len()];
        for at in self.by {
            self.is_ambiguous |= row[*at].is_null();
            named[*at] = row[*at].clone();
        }
        let mut name = Vec::new();
        self.target.writer.layout.encode(0, &named, &mut name)?;
        self.is_ambiguous |= self.rows.insert(name, (key, row)).is_some();
        Ok(())
    }
}
