//! How far a branch is from a base that is made of several moments.

use std::ops::ControlFlow;

use helios_mvcc::{KeyRange, ScanStep, Snapshot, TreeId};

use super::base::Base;
use super::base_rows::{BaseRows, Differences};
use super::cells::same;
use super::lineage::{Divergences, Lineage};
use super::matching::matches;
use super::rows::Reading;
use crate::catalog::Table;
use crate::error::Result;
use crate::execute::Execution;

/// How many rows a branch has otherwise than such a base. Those of a table without a primary key are compared with one
/// moment of it; all are counted where the base has no such table, or another key.
///
/// # Errors
/// Those of reading pages; XX001.
pub async fn rows_differing(base: &Base, side: Snapshot, execution: &Execution) -> Result<u64> {
    let engine = execution.environment.engine.clone();
    let mut lineage = Lineage::new(base, &engine, execution).await?;
    let now = engine.past_catalog(side).await?;
    lineage.read_for(&now);
    let mut divergences = Divergences::new(lineage.store(), side);
    let mut count = 0;
    for entry in now.plain_tables() {
        let is = &entry.table;
        let Some(was) = lineage.catalog(lineage.base()).table(is.oid) else {
            count += count_rows(&lineage, side, is.tree, execution).await?;
            continue;
        };
        let places = matches(&was.table, is);
        let mut rows = {
            let missing = is.columns.iter().map(|column| column.missing.clone()).collect();
            let context = execution.context();
            BaseRows::new(&lineage, lineage.base(), is.oid, &places, (is, missing), &context)?
        };
        count += if rows.have_key_of(is) {
            let differences = divergences.rows(&[&rows], is, false).await?;
            count_differing(differences, &mut rows, is, execution).await?
        } else if is.primary_key.is_empty() {
            let mut differing = 0;
            if let Some(leaf) = rows.best_leaves().first() {
                let mut differences = divergences.rows_since(leaf, is, false).await?;
                while differences.next().await?.is_some() {
                    execution.check_cancel()?;
                    differing += 1;
                }
            }
            differing
        } else {
            count_rows(&lineage, side, is.tree, execution).await?
        };
    }
    Ok(count)
}

async fn count_differing(
    mut differences: Differences,
    rows: &mut BaseRows,
    is: &Table,
    execution: &Execution,
) -> Result<u64> {
    let reading = Reading::new(is, &(0..is.columns.len()).map(Some).collect(), is);
    // A column that the base has not holds there what it began with.
    let is_compared = |at: &usize| !is.columns[*at].dropped && !is.columns[*at].generated;
    let compared: Vec<usize> = (0..is.columns.len()).filter(is_compared).collect();
    let mut count = 0;
    while let Some(row) = differences.next().await? {
        execution.check_cancel()?;
        let was = rows.row(&row.key, &row.known, execution).await?;
        let now = match &row.after {
            Some(bytes) => Some(reading.row(bytes, &execution.context())?),
            None => None,
        };
        let is_same = match (&was.row, &now) {
            (Some(before), Some(after)) => {
                !was.is_gone
                    && compared.iter().all(|at| !was.is_undecided(*at) && same(&before[*at], &after[*at]))
            }
            (None, None) => true,
            _ => false,
        };
        count += u64::from(!is_same);
    }
    Ok(count)
}

async fn count_rows(lineage: &Lineage, side: Snapshot, tree: TreeId, execution: &Execution) -> Result<u64> {
    let reader = lineage.store().begin_as_of(side.branch, side.scn)?;
    let mut scan = reader.scan(tree, KeyRange::all(), false);
    let mut count = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        count += 1;
        ControlFlow::Continue(())
    };
    while scan.next(&reader, &mut visit).await? != ScanStep::Done {
        execution.check_cancel()?;
    }
    Ok(count)
}
