//! `heliosdb_history`: every version of every row of a table, with the commit that made it.
//!
//! The rows of a tree are followed back to the commit that made it; that may have rewritten the table, or emptied it, so
//! what the tree took the place of is compared with it, and followed back in turn. It ends where history does.

use std::collections::BTreeSet;
use std::sync::Arc;

use helios_mvcc::{RowDifference, Scn, Snapshot};

use super::diff::{Version, no_table};
use super::relation::RelationRows;
use crate::error::Result;
use crate::execute::Execution;
use crate::types::{Oid, oids};
use crate::value::Datum;

/// Its columns.
pub const COLUMNS: &[(&str, Oid)] = &[
    ("scn", oids::INT8),
    ("xid", oids::INT8),
    ("committed_at", oids::TIMESTAMPTZ),
    ("operation", oids::TEXT),
    ("key", oids::JSONB),
    ("row", oids::JSONB),
];

/// A change of a row, and the table as it was when its tree was last used.
struct Event {
    scn: Scn,
    row: RowDifference,
    version: Arc<Version>,
}

/// Its rows, oldest first.
///
/// # Errors
/// 42P01; those of reading.
pub async fn rows(oid: u32, until: Snapshot, execution: &mut Execution) -> Result<RelationRows> {
    let mut events = events(oid, until, execution).await?;
    events.sort_by(|one, other| (one.scn, &one.row.key).cmp(&(other.scn, &other.row.key)));
    let store = execution.environment.store.clone();
    let scns: BTreeSet<Scn> = events.iter().map(|event| event.scn).collect();
    let xids = store.xids_of(&scns).await?;
    let mut rows = Vec::new();
    let mut time = (Scn(0), 0);
    for event in events {
        if time.0 != event.scn {
            let micros = i64::try_from(store.time_of(event.scn).await?).unwrap_or(i64::MAX);
            time = (event.scn, micros - crate::session::EPOCH_MICROS);
        }
        let context = execution.context();
        let (operation, bytes) = match (&event.row.before, &event.row.after) {
            (None, Some(after)) => ("insert", after),
            (Some(_), Some(after)) => ("update", after),
            (Some(before), None) => ("delete", before),
            (None, None) => continue,
        };
        let values = event.version.values(bytes)?;
        let number = |number: u64| Datum::Int64(i64::try_from(number).unwrap_or(i64::MAX));
        rows.push(vec![
            number(event.scn.0),
            xids.get(&event.scn).map_or(Datum::Null, |xid| number(xid.0)),
            Datum::TimestampTz(time.1),
            Datum::text(operation),
            event.version.key(&values, &context)?,
            event.version.json(&values, |_| true, &context)?,
        ]);
    }
    Ok(rows)
}

async fn events(oid: u32, until: Snapshot, execution: &mut Execution) -> Result<Vec<Event>> {
    let store = execution.environment.store.clone();
    let mut events = Vec::new();
    let mut next = Version::at(oid, until, execution).await?.map(|version| (Arc::new(version), until));
    if next.is_none() {
        return Err(no_table(oid));
    }
    while let Some((version, moment)) = next.take() {
        let tree = version.table.tree;
        let mut versions = store.row_versions(tree, moment).await?;
        while let Some(change) = versions.next().await? {
            events.push(Event { scn: change.scn, row: change.row, version: version.clone() });
            execution.breathe().await?;
        }
        let born = versions.born();
        let is_kept = |moment: Snapshot| store.kept(moment.branch).has(moment.scn);
        let before = store.origin_of(Snapshot { scn: Scn(born.0.saturating_sub(1)), ..moment }).await?;
        let at = store.origin_of(Snapshot { scn: born, ..moment }).await?;
        if !is_kept(before) || !is_kept(at) {
            break;
        }
        let old = Version::at(oid, before, execution).await?;
        let old_tree = old.as_ref().map(|old| old.table.tree);
        let mut difference = store.compare_trees((before, old_tree), (at, Some(tree))).await?;
        while let Some(row) = difference.next().await? {
            // A row that is gone is told as the old table had it.
            let version = match &old {
                Some(old) if row.after.is_none() => Arc::new(old.clone()),
                _ => version.clone(),
            };
            events.push(Event { scn: born, row, version });
            execution.breathe().await?;
        }
        next = old.map(|old| (Arc::new(old), before));
    }
    Ok(events)
}
