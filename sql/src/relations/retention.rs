//! `heliosdb_retention`: what is kept of the past of each branch of the database, how much that is, and for whom.
//!
//! | kind | name | what the row says |
//! |---|---|---|
//! | `oldest` | | from which commit on all can be read, and bytes of all history of the branch's tables |
//! | `table` | the table | bytes of its history, its indexes' included |
//! | `snapshot` | | a session reads this moment, since when |
//! | `branch` | the branch | it began with this moment |
//! | `merge` | two branches | the next merge of these begins from this moment |

use helios_mvcc::{Branch, OpenSnapshot, Scn, Snapshot, Store};

use super::relation::{RelationRows, text};
use crate::catalog::{CatalogSnapshot, PG_CATALOG};
use crate::error::Result;
use crate::execute::{Environment, Execution};
use crate::session::EPOCH_MICROS;
use crate::types::{Oid, oids};
use crate::value::Datum;

/// Its columns.
pub const COLUMNS: &[(&str, Oid)] = &[
    ("database_name", oids::TEXT),
    ("branch_name", oids::TEXT),
    ("kind", oids::TEXT),
    ("name", oids::TEXT),
    ("scn", oids::INT8),
    ("committed_at", oids::TIMESTAMPTZ),
    ("history_bytes", oids::INT8),
    ("pid", oids::INT4),
    ("since", oids::TIMESTAMPTZ),
];

/// What a row says, but for the branch.
#[derive(Default)]
struct Entry {
    kind: &'static str,
    name: Option<String>,
    scn: Option<Scn>,
    bytes: Option<u64>,
    pid: Option<i32>,
    since: Option<i64>,
}

impl Entry {
    async fn row(self, database: &str, branch: &str, store: &Store) -> Vec<Datum> {
        let number = |number: u64| Datum::Int64(i64::try_from(number).unwrap_or(i64::MAX));
        let time = match self.scn {
            // A point may be older than the times that are kept.
            Some(scn) => store.time_of(scn).await.ok().and_then(|micros| i64::try_from(micros).ok()),
            None => None,
        };
        vec![
            text(database),
            text(branch),
            text(self.kind),
            self.name.map_or(Datum::Null, text),
            self.scn.map_or(Datum::Null, |scn| number(scn.0)),
            time.map_or(Datum::Null, |micros| Datum::TimestampTz(micros - EPOCH_MICROS)),
            self.bytes.map_or(Datum::Null, number),
            self.pid.map_or(Datum::Null, Datum::Int32),
            self.since.map_or(Datum::Null, Datum::TimestampTz),
        ]
    }
}

/// Its rows.
///
/// # Errors
/// Those of reading.
pub async fn rows(execution: &mut Execution) -> Result<RelationRows> {
    let environment = execution.environment.clone();
    let (store, engine) = (environment.store.clone(), environment.engine.clone());
    let directory = environment.directory.lock().clone();
    let Some(database) = directory.database_of(environment.branch).cloned() else { return Ok(Vec::new()) };
    let bases = engine.merge_bases(&directory, database.root).await?;
    let open = store.open_snapshots();
    let mut rows = Vec::new();
    for branch in directory.branches.iter().filter(|branch| branch.root == database.root) {
        let mut entries = Vec::new();
        if !branch.is_dropped {
            let newest = Snapshot { branch: branch.id, scn: store.visible_scn() };
            let catalog = engine.past_catalog(newest).await?;
            entries.push(Entry {
                kind: "oldest",
                scn: Some(oldest(&store, newest).await?),
                ..Entry::default()
            });
            entries.extend(tables(&catalog, branch, execution).await?);
            entries[0].bytes = Some(entries.iter().filter_map(|entry| entry.bytes).sum());
        }
        entries.extend(
            open.iter().filter(|open| open.branch == branch.id).map(|open| snapshot(open, &environment)),
        );
        let left = directory.branches.iter().filter_map(|other| Some((other, other.origin?)));
        let left = left.filter(|(_, origin)| origin.branch == branch.id);
        entries.extend(left.map(|(other, origin)| {
            // What a database began with goes by the database's name.
            let own = directory.databases.iter().find(|database| database.root == other.id);
            let name = Some(own.map_or_else(|| shown(other), |own| own.name.clone()));
            Entry { kind: "branch", name, scn: Some(origin.scn), ..Entry::default() }
        }));
        let of_branch = bases.iter().filter(|base| base.moment.branch == branch.id);
        entries.extend(of_branch.map(|base| {
            let name = Some(base.branches.join(", "));
            Entry { kind: "merge", name, scn: Some(base.moment.scn), ..Entry::default() }
        }));
        for entry in entries {
            rows.push(entry.row(&environment.database, &shown(branch), &store).await);
        }
    }
    Ok(rows)
}

/// A branch's name; one that was dropped may have been called as another is now.
fn shown(branch: &Branch) -> String {
    if branch.is_dropped { format!("{} (dropped)", branch.name) } else { branch.name.clone() }
}

/// From which commit on all can be read of a branch: before it began, its parent is read.
async fn oldest(store: &Store, newest: Snapshot) -> Result<Scn> {
    let line = store.line_of_descent(newest).await?;
    for (step, parent) in line.iter().zip(line.iter().skip(1)) {
        let since = store.kept(step.branch).since;
        if since > parent.scn {
            return Ok(since);
        }
    }
    Ok(line.last().map_or(Scn(1), |first| store.kept(first.branch).since.max(Scn(1))))
}

async fn tables(catalog: &CatalogSnapshot, branch: &Branch, execution: &mut Execution) -> Result<Vec<Entry>> {
    let store = execution.environment.store.clone();
    let mut entries = Vec::new();
    for entry in catalog.tables() {
        let mut bytes = store.history_bytes(branch.id, entry.table.tree).await?;
        for index in entry.indexes.iter().filter(|index| !index.primary) {
            bytes += store.history_bytes(branch.id, index.tree).await?;
        }
        if bytes == 0 && entry.table.schema == PG_CATALOG {
            // The tables of large objects, which every database has.
            continue;
        }
        let schema = catalog.schema(entry.table.schema).map_or("", |schema| &schema.name);
        let name = Some(format!("{schema}.{}", entry.table.name));
        entries.push(Entry { kind: entry.table.word(), name, bytes: Some(bytes), ..Entry::default() });
        execution.breathe().await?;
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn snapshot(open: &OpenSnapshot, environment: &Environment) -> Entry {
    let backends = environment.backend.others().list();
    let reader = backends.iter().find(|backend| backend.lock_owner() == open.owner);
    Entry {
        kind: "snapshot",
        scn: Some(open.scn),
        pid: reader.map(|reader| reader.number),
        since: reader.and_then(|reader| reader.activity().transaction_start),
        ..Entry::default()
    }
}
