//! Functions by which an administrator asks a server what it is made of, and has it forget what it counted.

use super::registry::{Entry, Registry};
use crate::error::{Result, SqlError, SqlState};
use crate::types::Oid;
use crate::types::oids::{BOOL, INT4, INT8, OID, PG_LSN, RECORD, REGNAMESPACE, TEXT, TIMESTAMPTZ, VOID};
use crate::value::Datum;

/// What `pg_control_init` tells.
pub const INIT: [(&str, Oid); 11] = [
    ("max_data_alignment", INT4),
    ("database_block_size", INT4),
    ("blocks_per_segment", INT4),
    ("wal_block_size", INT4),
    ("bytes_per_wal_segment", INT4),
    ("max_identifier_length", INT4),
    ("max_index_columns", INT4),
    ("max_toast_chunk_size", INT4),
    ("large_object_chunk_size", INT4),
    ("float8_pass_by_value", BOOL),
    ("data_page_checksum_version", INT4),
];

/// What `pg_control_system` tells.
pub const SYSTEM: [(&str, Oid); 4] = [
    ("pg_control_version", INT4),
    ("catalog_version_no", INT4),
    ("system_identifier", INT8),
    ("pg_control_last_modified", TIMESTAMPTZ),
];

/// What `pg_control_recovery` tells.
pub const RECOVERY: [(&str, Oid); 5] = [
    ("min_recovery_end_lsn", PG_LSN),
    ("min_recovery_end_timeline", INT4),
    ("backup_start_lsn", PG_LSN),
    ("backup_end_lsn", PG_LSN),
    ("end_of_backup_record_required", BOOL),
];

/// The phases of building a B-tree, from 1.
const BTREE_PHASES: [&str; 5] = [
    "initializing",
    "scanning table",
    "sorting live tuples",
    "sorting dead tuples",
    "loading tuples in tree",
];
const BTREE: i64 = 403;

/// Functions that event triggers alone may call, of which there are none.
fn outside_of_trigger(name: &str, of: &str) -> SqlError {
    let message = format!("{name}() can only be called in {of} event trigger function");
    SqlError::new(SqlState::EVENT_TRIGGER_PROTOCOL_VIOLATED, message)
}

fn phase(arguments: &[Datum]) -> Result<Datum> {
    let number = |at: usize| arguments.get(at).and_then(Datum::as_i64).unwrap_or(0);
    let at = usize::try_from(number(1) - 1).ok().filter(|_| number(0) == BTREE);
    Ok(at.and_then(|at| BTREE_PHASES.get(at)).map_or(Datum::Null, |phase| Datum::text(*phase)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(Entry::session("pg_control_init", &[], RECORD).columns(&INIT).volatile());
    registry.add(Entry::session("pg_control_system", &[], RECORD).columns(&SYSTEM).volatile());
    registry.add(Entry::session("pg_control_recovery", &[], RECORD).columns(&RECOVERY).volatile());
    registry.add(Entry::session("pg_stat_reset", &[], VOID).volatile());
    for name in ["pg_stat_reset_single_table_counters", "pg_stat_reset_single_function_counters"] {
        registry.add(Entry::session(name, &[OID], VOID).volatile());
    }
    registry.add(Entry::session("pg_stat_reset_shared", &[TEXT], VOID).volatile());
    for name in ["pg_stat_reset_slru", "pg_stat_reset_replication_slot"] {
        registry.add(Entry::session(name, &[TEXT], VOID).volatile().not_strict());
    }
    registry.add(Entry::session("pg_stat_reset_subscription_stats", &[OID], VOID).volatile().not_strict());
    registry.add(Entry::session("pg_stat_have_stats", &[TEXT, OID, OID], BOOL).volatile());
    registry.add(Entry::session("pg_rotate_logfile", &[], BOOL).volatile());
    registry.add(Entry::session("pg_import_system_collations", &[REGNAMESPACE], INT4).volatile());
    registry.add(Entry::new("pg_indexam_progress_phasename", &[OID, INT8], TEXT, |arguments, _| {
        phase(arguments)
    }));
    registry.add(Entry::new("pg_event_trigger_table_rewrite_oid", &[], OID, |_, _| {
        Err(outside_of_trigger("pg_event_trigger_table_rewrite_oid", "a table_rewrite"))
    }));
    registry.add(Entry::new("pg_event_trigger_table_rewrite_reason", &[], INT4, |_, _| {
        Err(outside_of_trigger("pg_event_trigger_table_rewrite_reason", "a table_rewrite"))
    }));
}
