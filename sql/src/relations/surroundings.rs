//! What tools ask of the surroundings: flags of settings, the build, databases of a tablespace, the file of a relation, the
//! references between catalogs, the last transaction.

use std::sync::Arc;

use super::find;
use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use super::roles::TABLESPACES;
use super::transactions::since_2000;
use crate::catalog::{PG_CATALOG, available_extension};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::functions::LAST_COMMITTED;
use crate::session::find_setting;
use crate::types::{DataType, oids};
use crate::value::{ArrayValue, Datum, RecordShape, RecordValue, Text};

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_config", build), ("pg_get_catalog_foreign_keys", references)];

/// The references between PostgreSQL's catalogs, one a line: catalog, columns, catalog, columns, whether each element of an
/// array is one, whether 0 is none.
const REFERENCES: &str = include_str!("catalog_keys.txt");

/// The one tablespace that databases are in, and the one that none is in.
const DEFAULT_TABLESPACE: i64 = 1663;
const GLOBAL_TABLESPACE: i64 = 1664;

/// What `pg_config` tells of a build, but for its version.
const BUILD: [&str; 22] = [
    "BINDIR",
    "DOCDIR",
    "HTMLDIR",
    "INCLUDEDIR",
    "PKGINCLUDEDIR",
    "INCLUDEDIR-SERVER",
    "LIBDIR",
    "PKGLIBDIR",
    "LOCALEDIR",
    "MANDIR",
    "SHAREDIR",
    "SYSCONFDIR",
    "PGXS",
    "CONFIGURE",
    "CC",
    "CPPFLAGS",
    "CFLAGS",
    "CFLAGS_SL",
    "LDFLAGS",
    "LDFLAGS_EX",
    "LDFLAGS_SL",
    "LIBS",
];

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, name: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let number = arguments.first().and_then(Datum::as_i64).unwrap_or(0);
    let word = arguments.first().and_then(Datum::as_text).unwrap_or_default();
    Some(match name {
        "pg_settings_get_flags" => Ok(find_setting(word).map_or(Datum::Null, |setting| {
            ArrayValue::from_elements(oids::TEXT, setting.flags.iter().map(Datum::text).collect()).into()
        })),
        "pg_tablespace_databases" => Ok(databases(environment, number)),
        "pg_extension_update_paths" => {
            // There is one version of each.
            let is_there = word == "plpgsql" || available_extension(word).is_some();
            let message = || format!("extension \"{word}\" is not available");
            if is_there { Ok(Datum::Null) } else { Err(SqlError::unsupported(message())) }
        }
        "pg_relation_filepath" => Ok(file_of(environment, u32::try_from(number).unwrap_or(0))),
        "pg_last_committed_xact" => Ok(last_committed(environment)),
        _ => return None,
    })
}

/// All rows are in one file, as tables and their indexes are concerned; in memory in none.
fn file_of(environment: &Environment, relation: u32) -> Datum {
    let catalog = &environment.catalog;
    let has_rows = catalog.table(relation).is_some()
        || catalog.index(relation).is_some()
        || catalog.sequence(relation).is_some();
    let has_file = environment.store.log_end().is_some();
    if has_rows && has_file { Datum::text("data") } else { Datum::Null }
}

fn databases(environment: &Environment, tablespace: i64) -> Datum {
    let backend = &environment.backend;
    let found = match tablespace {
        DEFAULT_TABLESPACE => {
            let directory = environment.directory.lock().clone();
            directory.databases.iter().map(|database| oid(database.oid)).collect()
        }
        GLOBAL_TABLESPACE => {
            backend.warn(SqlState::WARNING, "global tablespace never has databases");
            Vec::new()
        }
        other => {
            if TABLESPACES.iter().all(|(known, _)| i64::from(*known) != other) {
                backend.warn(SqlState::WARNING, format!("{other} is not a tablespace OID"));
            }
            Vec::new()
        }
    };
    ArrayValue::from_elements(oids::OID, found).into()
}

/// The newest transaction since the folder was opened, when it committed, and that it came from nowhere else.
#[allow(clippy::cast_possible_truncation)] // `xid` holds the lower half
fn last_committed(environment: &Environment) -> Datum {
    let fields = match environment.store.last_transaction() {
        Some((xid, micros)) => {
            vec![Datum::Oid(xid.0 as u32), Datum::TimestampTz(since_2000(micros)), Datum::Oid(0)]
        }
        None => vec![Datum::Null, Datum::Null, Datum::Null],
    };
    let named = LAST_COMMITTED.iter().map(|(name, oid)| (Text::new_static(name), DataType::of(*oid)));
    RecordValue { fields, shape: Arc::new(RecordShape::anonymous(named)) }.into()
}

fn build(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |name: &str, setting: String| relation.row(&[("name", text(name)), ("setting", text(setting))]);
    let mut rows: Vec<_> = BUILD.iter().map(|name| row(name, "not recorded".to_owned())).collect();
    rows.push(row("VERSION", format!("PostgreSQL 15.0 (HeliosDB Nano {})", env!("CARGO_PKG_VERSION"))));
    Ok(rows)
}

fn references(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let list = |words: &str| {
        Datum::from(ArrayValue::from_elements(oids::TEXT, words.split(',').map(Datum::text).collect()))
    };
    let catalog = |name: &str| find(PG_CATALOG, name).map_or(Datum::Null, |found| oid(found.oid));
    let row = |line: &str| {
        let mut fields = line.split(' ');
        let mut next = || fields.next();
        Some(relation.row(&[
            ("fktable", catalog(next()?)),
            ("fkcols", list(next()?)),
            ("pktable", catalog(next()?)),
            ("pkcols", list(next()?)),
            ("is_array", Datum::Bool(next()? == "t")),
            ("is_opt", Datum::Bool(next()? == "t")),
        ]))
    };
    Ok(REFERENCES.lines().filter_map(row).collect())
}
