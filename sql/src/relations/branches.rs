//! `pg_database_branches()`: the branches of the database, their sizes, and how far they are from their parents.
//!
//! Names and what a branch has of its own are at hand. What it shares costs the pages that it has itself; the rows by
//! which it and its parent differ from the base of their next merge cost those that changed since, and a checkpoint. Each is
//! found out only where its column is read.

use helios_mvcc::{Branch, Snapshot};

use super::diff::{Version, differing};
use super::relation::{RelationRows, text};
use crate::branch_merge::{Base, difference, rows_differing};
use crate::catalog::Directory;
use crate::error::Result;
use crate::execute::Execution;
use crate::plan::logical::NeededColumns;
use crate::session::EPOCH_MICROS;
use crate::types::{Oid, oids};
use crate::value::json::Json;
use crate::value::{Datum, Text};

const BYTES_PER_MB: f64 = 1_048_576.0;

/// Its columns.
pub const COLUMNS: &[(&str, Oid)] = &[
    ("branch_name", oids::TEXT),
    ("parent_branch", oids::TEXT),
    ("created_at", oids::TIMESTAMPTZ),
    ("size_bytes", oids::INT8),
    ("size_mb", oids::FLOAT8),
    ("status", oids::TEXT),
    ("own_bytes", oids::INT8),
    ("shared_bytes", oids::INT8),
    ("branch_scn", oids::INT8),
    ("is_current", oids::BOOL),
    ("options", oids::JSONB),
    ("merge_base_branch", oids::TEXT),
    ("merge_base_scn", oids::INT8),
    ("rows_ahead", oids::INT8),
    ("rows_behind", oids::INT8),
];

/// Its rows.
///
/// # Errors
/// Those of reading pages.
pub async fn rows(needed: NeededColumns, execution: &Execution) -> Result<RelationRows> {
    let environment = &execution.environment;
    let directory = environment.directory.lock().clone();
    let reads =
        |name: &str| COLUMNS.iter().position(|column| column.0 == name).is_some_and(|at| needed.has(at));
    let reads_shared = ["size_bytes", "size_mb", "shared_bytes"].into_iter().any(reads);
    let sizes = environment.store.branch_sizes();
    let Some(root) = named(&directory, environment.branch).map(|branch| branch.root) else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
    for branch in directory.branches_of(root) {
        let own = sizes.get(&branch.id).copied().unwrap_or(0);
        let shared = if reads_shared { environment.store.shared_bytes(branch.id).await? } else { 0 };
        // What a database began with is no branch of it.
        let parent =
            branch.origin.filter(|_| branch.id != root).and_then(|origin| named(&directory, origin.branch));
        // Under the name of one that was dropped another may go by now, perhaps this very branch.
        let is_known = |parent: &&Branch| {
            !parent.is_dropped
                || directory.branch(root, &parent.name).is_none_or(|known| known.id == parent.id)
        };
        let parent = parent.filter(is_known);
        let created = i64::try_from(branch.created_micros).unwrap_or(i64::MAX) - EPOCH_MICROS;
        let members = branch
            .options
            .iter()
            .map(|(name, value)| (Text::from(name.as_str()), Json::String(Text::from(value.as_str()))));
        let mut row = vec![
            text(&branch.name),
            parent.map_or(Datum::Null, |parent| text(&parent.name)),
            Datum::TimestampTz(created),
            number(own + shared),
            Datum::Float64((own + shared) as f64 / BYTES_PER_MB),
            text("active"),
            number(own),
            number(shared),
            branch.origin.map_or(Datum::Null, |origin| number(origin.scn.0)),
            Datum::Bool(branch.id == environment.branch),
            Datum::Jsonb(Json::object(members.collect()).encode()?),
        ];
        // One that was dropped is not kept as it was last.
        let distance = match parent.filter(|parent| !parent.is_dropped) {
            Some(parent) => {
                let wanted = [reads("rows_ahead"), reads("rows_behind")];
                let reads_base = reads("merge_base_branch") || reads("merge_base_scn");
                distance(branch, parent, wanted, reads_base, &directory, execution).await?
            }
            None => [const { Datum::Null }; 4],
        };
        row.extend(distance);
        rows.push(row);
    }
    Ok(rows)
}

fn named(directory: &Directory, id: helios_mvcc::BranchId) -> Option<&Branch> {
    directory.branches.iter().find(|branch| branch.id == id)
}

fn number(number: u64) -> Datum {
    Datum::Int64(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The merge base, its branch and SCN, and the rows that the branch, and its parent, have otherwise than there.
async fn distance(
    branch: &Branch,
    parent: &Branch,
    [ahead, behind]: [bool; 2],
    reads_base: bool,
    directory: &Directory,
    execution: &Execution,
) -> Result<[Datum; 4]> {
    if !(ahead || behind || reads_base) {
        return Ok([const { Datum::Null }; 4]);
    }
    let store = &execution.environment.store;
    let Some(base) = Base::of_branches(store, directory, branch.id, parent.id).await? else {
        return Ok([const { Datum::Null }; 4]);
    };
    let mut counts = [const { Datum::Null }; 2];
    for (count, (is_wanted, side)) in counts.iter_mut().zip([(ahead, branch), (behind, parent)]) {
        if is_wanted {
            let now = Snapshot { branch: side.id, scn: store.visible_scn() };
            let changed = match base.only() {
                Some(moment) => rows_changed(moment, now, execution).await?,
                None => rows_differing(&base, now, execution).await?,
            };
            *count = number(changed);
        }
    }
    let moment = base.newest();
    let name = named(directory, moment.branch).map_or(Datum::Null, |branch| text(&branch.name));
    let [ahead, behind] = counts;
    Ok([name, number(moment.scn.0), ahead, behind])
}

/// How many rows of tables differ between two moments, by what they mean: as `heliosdb_diff` tells it. Of tables whose rows
/// cannot be compared, because they came since or their key is another one, the rows that there are now are counted, and
/// none of tables that are gone.
async fn rows_changed(before: Snapshot, after: Snapshot, execution: &Execution) -> Result<u64> {
    let environment = &execution.environment;
    let divergence = environment.store.divergence(before, after).await?;
    if divergence.changed_leaves() == 0 {
        return Ok(0);
    }
    let now = environment.engine.past_catalog(after).await?;
    let mut count = 0;
    for entry in now.plain_tables() {
        let Some(new) = Version::at(entry.table.oid, after, execution).await? else { continue };
        let old = Version::at(entry.table.oid, before, execution).await?;
        let old = old.filter(|old| new.has_key_of(old));
        let mut rows = difference(&divergence, old.as_ref().map(|old| &*old.table), Some(&new.table)).await?;
        while let Some(row) = rows.next().await? {
            execution.check_cancel()?;
            let is_same = match (&old, &row.before, &row.after) {
                (Some(old), Some(was), Some(is)) => {
                    let (was, is) = (old.values(was)?, new.values(is)?);
                    differing((old, &was), (&new, &is)).is_empty()
                }
                _ => false,
            };
            count += u64::from(!is_same);
        }
    }
    Ok(count)
}
