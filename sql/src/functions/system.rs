//! Functions that tell of the system, and those behind operators and aggregates that have names of their own.

use std::sync::{Arc, LazyLock};

use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, Function};
use crate::error::{Result, SqlError, SqlState};
use crate::types::Oid;
use crate::types::oids::{
    ANY, BOOL, BYTEA, FLOAT8, INT4, INT4_ARRAY, INT8, NAME, NUMERIC, OID, RECORD, REGCLASS, REGCOLLATION,
    REGOPER, REGOPERATOR, REGPROC, REGPROCEDURE, TEXT, TIMESTAMPTZ, VOID,
};
use crate::value::encoding::encode;
use crate::value::{ArrayValue, Datum};

/// Those that the session answers: name, arguments, result.
const STABLE: &[(&str, &[Oid], Oid)] = &[
    ("current_query", &[], TEXT),
    ("pg_get_function_arg_default", &[OID, INT4], TEXT),
    ("to_regproc", &[TEXT], REGPROC),
    ("to_regprocedure", &[TEXT], REGPROCEDURE),
    ("to_regcollation", &[TEXT], REGCOLLATION),
    ("to_regoper", &[TEXT], REGOPER),
    ("to_regoperator", &[TEXT], REGOPERATOR),
    ("pg_index_has_property", &[REGCLASS, TEXT], BOOL),
    ("pg_index_column_has_property", &[REGCLASS, INT4, TEXT], BOOL),
    ("pg_indexam_has_property", &[OID, TEXT], BOOL),
    ("pg_get_replica_identity_index", &[REGCLASS], REGCLASS),
    ("pg_filenode_relation", &[OID, OID], REGCLASS),
];

/// Those about features that are not there, which have nothing to tell.
const NOTHING: &[(&str, &[Oid], Oid)] = &[
    ("pg_partition_root", &[REGCLASS], REGCLASS),
    ("pg_collation_actual_version", &[OID], TEXT),
    ("pg_database_collation_actual_version", &[OID], TEXT),
    ("pg_last_xact_replay_timestamp", &[], TIMESTAMPTZ),
    ("pg_current_logfile", &[], TEXT),
    ("pg_current_logfile", &[TEXT], TEXT),
];

/// Those that only a server that recovers answers.
const OF_RECOVERY: &[(&str, &[Oid], Oid)] = &[
    ("pg_is_wal_replay_paused", &[], BOOL),
    ("pg_get_wal_replay_pause_state", &[], TEXT),
    ("pg_wal_replay_pause", &[], VOID),
    ("pg_wal_replay_resume", &[], VOID),
];

/// Other names of functions: the name, the function, what it takes.
const ALIASES: &[(&str, &str, &[Oid])] = &[
    ("numeric_sqrt", "sqrt", &[NUMERIC]),
    ("numeric_exp", "exp", &[NUMERIC]),
    ("numeric_ln", "ln", &[NUMERIC]),
    ("numeric_log", "log", &[NUMERIC, NUMERIC]),
    ("numeric_div_trunc", "div", &[NUMERIC, NUMERIC]),
    ("dexp", "exp", &[FLOAT8]),
    ("dlog1", "ln", &[FLOAT8]),
    ("dlog10", "log", &[FLOAT8]),
    ("dround", "round", &[FLOAT8]),
    ("dtrunc", "trunc", &[FLOAT8]),
    ("textlen", "length", &[TEXT]),
];

/// `(cursor, table)`: the key of the row of a table that a cursor is on.
#[must_use]
pub fn current_of() -> Arc<Function> {
    static CURRENT: LazyLock<Arc<Function>> =
        LazyLock::new(|| Entry::session("current_of", &[TEXT, OID], BYTEA).into_function());
    CURRENT.clone()
}

/// What `pg_sequence_parameters` tells.
pub const SEQUENCE_PARAMETERS: [(&str, Oid); 7] = [
    ("start_value", INT8),
    ("minimum_value", INT8),
    ("maximum_value", INT8),
    ("increment", INT8),
    ("cycle_option", BOOL),
    ("cache_size", INT8),
    ("data_type", OID),
];

/// How many bytes a value takes where it is stored; of fixed length as PostgreSQL's, else as rows hold it here.
fn column_size(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let data_type = types.arguments.first().ok_or_else(wrong_arguments)?;
    let length = context.type_info(data_type.oid)?.length;
    if length > 0 {
        return Ok(Datum::Int32(i32::from(length)));
    }
    let mut stored = Vec::new();
    encode(&arguments[0], &mut stored);
    Ok(Datum::Int32(i32::try_from(stored.len()).unwrap_or(i32::MAX)))
}

fn no_recovery(_: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "recovery is not in progress")
        .with_hint("Recovery control functions can only be executed during recovery."))
}

fn next_integer(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let Datum::Int32(number) = arguments[0] else { return Err(wrong_arguments()) };
    let next = number.checked_add(1);
    next.map(Datum::Int32)
        .ok_or_else(|| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
}

/// A name with a number behind it, the name cut so that both fit.
fn name_with_number(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let [Datum::Text(name), Datum::Oid(number)] = arguments else { return Err(wrong_arguments()) };
    let suffix = format!("_{number}");
    let mut end = name.len().min(63 - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    Ok(Datum::text(format!("{}{suffix}", &name[..end])))
}

pub(super) fn register(registry: &mut Registry) {
    for (name, arguments, result) in STABLE {
        registry.add(Entry::session(name, arguments, *result));
    }
    for (name, arguments, result) in NOTHING {
        registry.add(Entry::new(*name, arguments, *result, |_, _| Ok(Datum::Null)).stable());
    }
    for (name, arguments, result) in OF_RECOVERY {
        registry.add(Entry::new(*name, arguments, *result, no_recovery).volatile());
    }
    registry.add(Entry::new("pg_promote", &[BOOL, INT4], BOOL, no_recovery).optional(2).volatile());
    for (name, original, arguments) in ALIASES {
        let found = registry.functions(original).iter().find(|each| each.argument_types == *arguments);
        if let Some(function) = found.map(Arc::clone) {
            registry.add(Entry::named_after(name, &function));
        }
    }
    for name in ["pg_stat_clear_snapshot", "pg_stat_force_next_flush"] {
        registry.add(Entry::new(name, &[], VOID, |_, _| Ok(Datum::text(""))).volatile());
    }
    registry.add(
        Entry::new("pg_safe_snapshot_blocking_pids", &[INT4], INT4_ARRAY, |_, _| {
            Ok(ArrayValue::from_elements(INT4, Vec::new()).into())
        })
        .volatile(),
    );
    registry.add(Entry::typed("pg_column_size", &[ANY], INT4, column_size).stable());
    registry.add(Entry::new("int4inc", &[INT4], INT4, next_integer));
    registry.add(Entry::new("nameconcatoid", &[NAME, OID], NAME, name_with_number));
    registry.add(Entry::session("pg_sequence_parameters", &[OID], RECORD).columns(&SEQUENCE_PARAMETERS));
}
