//! What `pg_control_…` functions tell, and what those forget that reset statistics.
//!
//! There is no control file: what PostgreSQL has in it is told where it is a fact here too, and NULL elsewhere.

use std::sync::Arc;

use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::functions::{CONTROL_INIT, CONTROL_RECOVERY, CONTROL_SYSTEM};
use crate::types::{DataType, Oid, pg_lsn};
use crate::value::{Datum, RecordShape, RecordValue, Text};

/// PostgreSQL 15's versions of its control file and of its catalogs.
const CONTROL_VERSION: i32 = 1_300;
const CATALOG_VERSION: i32 = 202_209_061;

/// The kinds of statistics: those of one thing in the server are always there.
const FIXED_KINDS: [&str; 5] = ["archiver", "bgwriter", "checkpointer", "slru", "wal"];
const OTHER_KINDS: [&str; 5] = ["database", "relation", "function", "replslot", "subscription"];

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, function: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let word = |at: usize| arguments.get(at).and_then(Datum::as_text);
    let number = |at: usize| arguments.get(at).and_then(Datum::as_i64);
    let oid = |at: usize| number(at).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let done = || Ok(Datum::text(""));
    Some(match function {
        "pg_control_init" => Ok(record(&CONTROL_INIT, init())),
        "pg_control_system" => {
            let versions = vec![Datum::Int32(CONTROL_VERSION), Datum::Int32(CATALOG_VERSION)];
            Ok(record(&CONTROL_SYSTEM, [versions, vec![Datum::Null, Datum::Null]].concat()))
        }
        "pg_control_recovery" => {
            let (nowhere, none) = (pg_lsn::of_place(0), Datum::Int32(0));
            let fields = vec![nowhere.clone(), none, nowhere.clone(), nowhere, Datum::Bool(false)];
            Ok(record(&CONTROL_RECOVERY, fields))
        }
        "pg_stat_reset" => {
            forget_changes(environment, None);
            done()
        }
        "pg_stat_reset_single_table_counters" => {
            forget_changes(environment, Some(oid(0)));
            done()
        }
        "pg_stat_reset_single_function_counters" | "pg_stat_reset_slru" => done(),
        "pg_stat_reset_shared" => reset_shared(word(0).unwrap_or_default()),
        "pg_stat_reset_replication_slot" => match word(0) {
            None => done(),
            Some(slot) => {
                Err(SqlError::invalid_parameter(format!("replication slot \"{slot}\" does not exist")))
            }
        },
        "pg_stat_reset_subscription_stats" => match number(0) {
            Some(0) => Err(SqlError::invalid_parameter("invalid subscription OID 0")),
            _ => done(),
        },
        "pg_stat_have_stats" => have_stats(environment, word(0).unwrap_or_default(), oid(1), oid(2)),
        "pg_rotate_logfile" => {
            let message = "rotation not possible because log collection not active";
            environment.backend.warn(SqlState::WARNING, message);
            Ok(Datum::Bool(false))
        }
        "pg_import_system_collations" => match environment.catalog.schema(oid(0)) {
            _ if !environment.actor().is_superuser() => {
                let message = "must be superuser to import system collations";
                Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
            }
            Some(_) => Ok(Datum::Int32(0)),
            None => {
                let message = format!("schema with OID {} does not exist", oid(0));
                Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, message))
            }
        },
        _ => return None,
    })
}

/// Counts changes of tables, or of one, from nothing again; ANALYZE is due later for it, as in PostgreSQL.
fn forget_changes(environment: &Environment, table: Option<u32>) {
    let tables = environment.catalog.tables();
    let wanted = tables.filter(|entry| table.is_none_or(|oid| entry.table.oid == oid));
    wanted.for_each(|entry| entry.changes.restart());
}

fn record(columns: &[(&'static str, Oid)], fields: Vec<Datum>) -> Datum {
    let named = columns.iter().map(|(name, oid)| (Text::new_static(name), DataType::of(*oid)));
    RecordValue { fields, shape: Arc::new(RecordShape::anonymous(named)) }.into()
}

/// The sizes that settings tell too, and PostgreSQL's others.
fn init() -> Vec<Datum> {
    let sizes = [8, 8_192, 131_072, 8_192, 16_777_216, 64, 32, 1_996, 2_048].map(Datum::Int32);
    let mut fields = sizes.to_vec();
    fields.extend([Datum::Bool(true), Datum::Int32(1)]);
    fields
}

fn reset_shared(target: &str) -> Result<Datum> {
    match target {
        "archiver" | "bgwriter" | "recovery_prefetch" | "wal" => Ok(Datum::text("")),
        _ => Err(SqlError::invalid_parameter(format!("unrecognized reset target: \"{target}\""))
            .with_hint("Target must be \"archiver\", \"bgwriter\", \"recovery_prefetch\", or \"wal\".")),
    }
}

fn have_stats(environment: &Environment, kind: &str, database: u32, object: u32) -> Result<Datum> {
    if FIXED_KINDS.contains(&kind) {
        return Ok(Datum::Bool(true));
    }
    if !OTHER_KINDS.contains(&kind) {
        return Err(SqlError::invalid_parameter(format!("invalid statistics kind: \"{kind}\"")));
    }
    let directory = environment.directory.lock().clone();
    let is_there = directory.databases.iter().any(|each| each.oid == database);
    Ok(Datum::Bool(match kind {
        "database" => is_there && object == 0,
        "relation" => is_there && environment.catalog.table(object).is_some(),
        _ => false,
    }))
}
