//! What the engine counts as a whole: pg_stat_database, pg_stat_bgwriter, pg_stat_wal, and the views of what is not here
//! but has rows in PostgreSQL: pg_stat_archiver, pg_stat_slru, pg_stat_gssapi, pg_stat_database_conflicts,
//! pg_stat_recovery_prefetch.

use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use crate::catalog::Database;
use crate::error::Result;
use crate::execute::Environment;
use crate::types::oids;
use crate::value::{Datum, Numeric};

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_stat_database", databases),
    ("pg_stat_database_conflicts", conflicts),
    ("pg_stat_bgwriter", checkpoints),
    ("pg_stat_wal", log),
    ("pg_stat_archiver", nothing),
    ("pg_stat_recovery_prefetch", nothing),
    ("pg_stat_slru", small_caches),
    ("pg_stat_gssapi", kerberos),
];

/// PostgreSQL's small caches, by name.
const SMALL_CACHES: [&str; 8] =
    ["CommitTs", "MultiXactMember", "MultiXactOffset", "Notify", "Serial", "Subtrans", "Xact", "other"];

/// A row of what is known; other counters are 0, other values NULL.
fn counted(relation: &VirtualRelation, known: &[(&str, Datum)]) -> Vec<Datum> {
    let zero = |column: &str, type_oid: u32| match type_oid {
        // These are of pages that fail: PostgreSQL has NULL too where it does not count.
        _ if column.starts_with("checksum_") => None,
        oids::INT4 | oids::INT8 | oids::FLOAT8 => Some(Datum::Int64(0)),
        oids::NUMERIC => Some(Datum::Numeric(Numeric::ZERO)),
        _ => None,
    };
    let is_known = |column: &str| known.iter().any(|(name, _)| *name == column);
    let mut values = known.to_vec();
    for (column, type_oid) in &relation.columns {
        values.extend(zero(column, *type_oid).filter(|_| !is_known(column)).map(|zero| (*column, zero)));
    }
    relation.row(&values)
}

fn number(count: u64) -> Datum {
    Datum::Int64(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The name that the session knows a database by: the first one has several.
fn shown_name<'n>(environment: &'n Environment, own: Option<u32>, database: &'n Database) -> &'n str {
    if own == Some(database.oid) { &environment.database } else { &database.name }
}

/// What is counted is counted for all databases together: the first one shows it, so sums over them are right.
fn databases(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let directory = environment.directory.lock().clone();
    let own = directory.database_of(environment.branch).map(|database| database.oid);
    let first = directory.first().map(|database| database.oid);
    let stats = environment.store.stats()?;
    let sessions = environment.backend.others().list();
    let shared = counted(relation, &[("datid", oid(0)), ("datname", Datum::Null)]);
    let of_database = |database: &Database| {
        let backends = sessions.iter().filter(|session| session.database_oid == database.oid).count();
        let mut known = vec![
            ("datid", oid(database.oid)),
            ("datname", text(shown_name(environment, own, database))),
            ("numbackends", number(backends as u64)),
        ];
        if first == Some(database.oid) {
            known.extend([
                ("xact_commit", number(stats.commits)),
                ("blks_read", number(stats.faults)),
                ("blks_hit", number(stats.hits + stats.compressed_hits)),
            ]);
        }
        counted(relation, &known)
    };
    Ok(std::iter::once(shared).chain(directory.databases.iter().map(of_database)).collect())
}

fn conflicts(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let directory = environment.directory.lock().clone();
    let own = directory.database_of(environment.branch).map(|database| database.oid);
    let row = |database: &Database| {
        let name = text(shown_name(environment, own, database));
        counted(relation, &[("datid", oid(database.oid)), ("datname", name)])
    };
    Ok(directory.databases.iter().map(row).collect())
}

fn checkpoints(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let stats = environment.store.stats()?;
    Ok(vec![counted(
        relation,
        &[
            ("checkpoints_timed", number(stats.checkpoints)),
            ("buffers_checkpoint", number(stats.pages_written)),
            ("buffers_alloc", number(stats.faults)),
        ],
    )])
}

/// A group of commits is one write and one flush of the log.
fn log(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let stats = environment.store.stats()?;
    Ok(vec![counted(
        relation,
        &[
            ("wal_records", number(stats.commits)),
            ("wal_write", number(stats.groups)),
            ("wal_sync", number(stats.groups)),
        ],
    )])
}

fn nothing(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(vec![counted(relation, &[])])
}

fn small_caches(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(SMALL_CACHES.iter().map(|name| counted(relation, &[("name", text(name))])).collect())
}

/// Nobody comes in by Kerberos.
fn kerberos(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |pid| {
        relation.row(&[
            ("pid", Datum::Int32(pid)),
            ("gss_authenticated", Datum::Bool(false)),
            ("encrypted", Datum::Bool(false)),
        ])
    };
    Ok(environment.backend.others().list().iter().map(|session| row(session.number)).collect())
}
