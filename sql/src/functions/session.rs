//! Functions only the session or the catalog can answer: their signatures; the engine's
//! [`super::SessionFunctions`] has the answers.

use super::registry::{Entry, Registry};
use super::rows::{column, listed};
use super::vector::wrong_arguments;
use crate::error::Result;
use crate::types::Oid;
use crate::types::oids::{
    ACLITEM, ACLITEM_ARRAY, ANY, BOOL, BPCHAR, CHAR, CSTRING, FLOAT8, INET, INT2, INT4, INT4_ARRAY, INT8,
    INTERVAL, NAME, NAME_ARRAY, OID, OIDVECTOR, PG_NODE_TREE, RECORD, REGCLASS, REGNAMESPACE, REGROLE,
    REGTYPE, TEXT, TEXT_ARRAY, TIMESTAMPTZ, UUID, VOID, XID8,
};
use crate::value::Datum;

/// Stable ones: name, arguments, result.
const STABLE: &[(&str, &[Oid], Oid)] = &[
    ("current_database", &[], NAME),
    ("current_catalog", &[], NAME),
    ("current_schema", &[], NAME),
    ("current_schemas", &[BOOL], NAME_ARRAY),
    ("current_user", &[], NAME),
    ("current_role", &[], NAME),
    ("session_user", &[], NAME),
    ("user", &[], NAME),
    ("version", &[], TEXT),
    ("current_setting", &[TEXT], TEXT),
    ("current_setting", &[TEXT, BOOL], TEXT),
    ("pg_backend_pid", &[], INT4),
    ("heliosdb_current_scn", &[], INT8),
    ("txid_current", &[], INT8),
    ("txid_current_if_assigned", &[], INT8),
    ("pg_current_xact_id", &[], XID8),
    ("pg_current_xact_id_if_assigned", &[], XID8),
    ("pg_blocking_pids", &[INT4], INT4_ARRAY),
    ("pg_isolation_test_session_is_blocked", &[INT4, INT4_ARRAY], BOOL),
    ("pg_get_expr", &[PG_NODE_TREE, OID], TEXT),
    ("pg_get_expr", &[PG_NODE_TREE, OID, BOOL], TEXT),
    ("pg_get_indexdef", &[OID], TEXT),
    ("pg_get_indexdef", &[OID, INT4, BOOL], TEXT),
    ("pg_get_constraintdef", &[OID], TEXT),
    ("pg_get_constraintdef", &[OID, BOOL], TEXT),
    ("pg_get_viewdef", &[OID], TEXT),
    ("pg_get_viewdef", &[OID, BOOL], TEXT),
    ("pg_get_viewdef", &[OID, INT4], TEXT),
    ("pg_get_viewdef", &[TEXT], TEXT),
    ("pg_get_viewdef", &[TEXT, BOOL], TEXT),
    ("pg_get_triggerdef", &[OID], TEXT),
    ("pg_get_triggerdef", &[OID, BOOL], TEXT),
    ("pg_get_ruledef", &[OID], TEXT),
    ("pg_get_ruledef", &[OID, BOOL], TEXT),
    ("pg_get_functiondef", &[OID], TEXT),
    ("pg_get_function_arguments", &[OID], TEXT),
    ("pg_get_function_identity_arguments", &[OID], TEXT),
    ("pg_get_function_result", &[OID], TEXT),
    ("pg_get_serial_sequence", &[TEXT, TEXT], TEXT),
    ("pg_get_userbyid", &[OID], NAME),
    ("pg_get_partkeydef", &[OID], TEXT),
    // A set in PostgreSQL, empty for what is no partition; tools look for tables in it.
    ("pg_partition_ancestors", &[REGCLASS], REGCLASS),
    ("pg_get_statisticsobjdef_columns", &[OID], TEXT),
    ("acldefault", &[CHAR, OID], ACLITEM_ARRAY),
    ("has_parameter_privilege", &[TEXT, TEXT], BOOL),
    ("has_parameter_privilege", &[NAME, TEXT, TEXT], BOOL),
    ("has_parameter_privilege", &[OID, TEXT, TEXT], BOOL),
    ("makeaclitem", &[OID, OID, TEXT, BOOL], ACLITEM),
    ("oidvectortypes", &[OIDVECTOR], TEXT),
    ("pg_get_function_sqlbody", &[OID], TEXT),
    ("pg_get_partition_constraintdef", &[OID], TEXT),
    ("pg_get_statisticsobjdef", &[OID], TEXT),
    ("pg_get_statisticsobjdef_expressions", &[OID], TEXT_ARRAY),
    ("pg_describe_object", &[OID, OID, INT4], TEXT),
    ("pg_statistics_obj_is_visible", &[OID], BOOL),
    ("pg_ts_config_is_visible", &[OID], BOOL),
    ("pg_ts_dict_is_visible", &[OID], BOOL),
    ("pg_ts_parser_is_visible", &[OID], BOOL),
    ("pg_ts_template_is_visible", &[OID], BOOL),
    ("pg_tablespace_location", &[OID], TEXT),
    ("pg_tablespace_size", &[OID], INT8),
    ("pg_tablespace_size", &[NAME], INT8),
    ("pg_table_is_visible", &[OID], BOOL),
    ("pg_type_is_visible", &[OID], BOOL),
    ("pg_function_is_visible", &[OID], BOOL),
    ("pg_operator_is_visible", &[OID], BOOL),
    ("pg_opclass_is_visible", &[OID], BOOL),
    ("pg_opfamily_is_visible", &[OID], BOOL),
    ("pg_conversion_is_visible", &[OID], BOOL),
    ("getdatabaseencoding", &[], NAME),
    ("pg_collation_is_visible", &[OID], BOOL),
    ("pg_is_other_temp_schema", &[OID], BOOL),
    ("pg_my_temp_schema", &[], OID),
    ("pg_relation_size", &[REGCLASS], INT8),
    ("pg_relation_size", &[REGCLASS, TEXT], INT8),
    ("pg_table_size", &[REGCLASS], INT8),
    ("pg_indexes_size", &[REGCLASS], INT8),
    ("pg_total_relation_size", &[REGCLASS], INT8),
    ("pg_database_size", &[NAME], INT8),
    ("pg_database_size", &[OID], INT8),
    ("pg_is_in_recovery", &[], BOOL),
    ("pg_relation_is_publishable", &[REGCLASS], BOOL),
    ("obj_description", &[OID], TEXT),
    ("obj_description", &[OID, NAME], TEXT),
    ("col_description", &[OID, INT4], TEXT),
    ("shobj_description", &[OID, NAME], TEXT),
    ("pg_has_role", &[NAME, TEXT], BOOL),
    ("pg_has_role", &[OID, TEXT], BOOL),
    ("pg_has_role", &[NAME, NAME, TEXT], BOOL),
    ("pg_has_role", &[NAME, OID, TEXT], BOOL),
    ("pg_has_role", &[OID, NAME, TEXT], BOOL),
    ("pg_has_role", &[OID, OID, TEXT], BOOL),
    ("row_security_active", &[OID], BOOL),
    ("to_regclass", &[TEXT], REGCLASS),
    ("to_regtype", &[TEXT], REGTYPE),
    ("to_regnamespace", &[TEXT], REGNAMESPACE),
    ("to_regrole", &[TEXT], REGROLE),
    ("getpgusername", &[], NAME),
    ("row_security_active", &[TEXT], BOOL),
    ("pg_relation_filenode", &[REGCLASS], OID),
    ("pg_relation_is_updatable", &[REGCLASS, BOOL], INT4),
    ("pg_column_is_updatable", &[REGCLASS, INT2, BOOL], BOOL),
    ("inet_server_addr", &[], INET),
    ("inet_server_port", &[], INT4),
    ("inet_client_addr", &[], INET),
    ("inet_client_port", &[], INT4),
    ("pg_postmaster_start_time", &[], TIMESTAMPTZ),
    ("pg_conf_load_time", &[], TIMESTAMPTZ),
];

/// Whether a role has a privilege on an object.
const PRIVILEGE_QUESTIONS: [&str; 11] = [
    "has_any_column_privilege",
    "has_database_privilege",
    "has_foreign_data_wrapper_privilege",
    "has_function_privilege",
    "has_language_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_server_privilege",
    "has_table_privilege",
    "has_tablespace_privilege",
    "has_type_privilege",
];

/// Volatile ones.
const VOLATILE: &[(&str, &[Oid], Oid)] = &[
    ("currval", &[REGCLASS], INT8),
    ("pg_sequence_last_value", &[REGCLASS], INT8),
    ("pg_sequence_position", &[REGCLASS, INT4], INT8),
    ("lastval", &[], INT8),
    ("setval", &[REGCLASS, INT8], INT8),
    ("setval", &[REGCLASS, INT8, BOOL], INT8),
    ("set_config", &[TEXT, TEXT, BOOL], TEXT),
    ("pg_advisory_lock", &[INT8], VOID),
    ("pg_advisory_lock", &[INT4, INT4], VOID),
    ("pg_advisory_lock_shared", &[INT8], VOID),
    ("pg_advisory_lock_shared", &[INT4, INT4], VOID),
    ("pg_advisory_xact_lock", &[INT8], VOID),
    ("pg_advisory_xact_lock", &[INT4, INT4], VOID),
    ("pg_advisory_xact_lock_shared", &[INT8], VOID),
    ("pg_advisory_xact_lock_shared", &[INT4, INT4], VOID),
    ("pg_try_advisory_lock", &[INT8], BOOL),
    ("pg_try_advisory_lock", &[INT4, INT4], BOOL),
    ("pg_try_advisory_lock_shared", &[INT8], BOOL),
    ("pg_try_advisory_lock_shared", &[INT4, INT4], BOOL),
    ("pg_try_advisory_xact_lock", &[INT8], BOOL),
    ("pg_try_advisory_xact_lock", &[INT4, INT4], BOOL),
    ("pg_try_advisory_xact_lock_shared", &[INT8], BOOL),
    ("pg_try_advisory_xact_lock_shared", &[INT4, INT4], BOOL),
    ("pg_advisory_unlock", &[INT8], BOOL),
    ("pg_advisory_unlock", &[INT4, INT4], BOOL),
    ("pg_advisory_unlock_shared", &[INT8], BOOL),
    ("pg_advisory_unlock_shared", &[INT4, INT4], BOOL),
    ("pg_advisory_unlock_all", &[], VOID),
    ("pg_cancel_backend", &[INT4], BOOL),
    ("pg_terminate_backend", &[INT4], BOOL),
    ("pg_terminate_backend", &[INT4, INT8], BOOL),
    ("pg_reload_conf", &[], BOOL),
    ("pg_sleep", &[FLOAT8], VOID),
    ("pg_sleep_for", &[INTERVAL], VOID),
    ("pg_sleep_until", &[TIMESTAMPTZ], VOID),
    ("pg_notification_queue_usage", &[], FLOAT8),
];

/// Whether a function of this name makes its session wait, for time to pass or for an advisory lock, or takes such a lock,
/// so that it may not be evaluated again by whoever begins anew.
#[must_use]
pub fn waits(name: &str) -> bool {
    name.starts_with("pg_sleep") || name.starts_with("pg_advisory") || name.starts_with("pg_try_advisory")
}

/// A row of `aclexplode`, from `grantor grantee grantable right`.
fn exploded_row(row: &Datum) -> Option<Vec<Datum>> {
    let mut parts = row.as_text()?.splitn(4, ' ');
    let mut role = || parts.next()?.parse().ok().map(Datum::Oid);
    let (grantor, grantee) = (role()?, role()?);
    let grantable = parts.next()? == "true";
    Some(vec![grantor, grantee, Datum::text(parts.next()?), Datum::Bool(grantable)])
}

/// A random (version 4) UUID.
fn random_uuid(fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Datum> {
    let mut uuid = [0; 16];
    fill(&mut uuid)?;
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(Datum::Uuid(uuid))
}

pub(super) fn register(registry: &mut Registry) {
    for (name, arguments, result) in STABLE {
        registry.add(Entry::session(name, arguments, *result));
    }
    // Of a role, given by name or OID or left out, on an object, given likewise.
    for name in PRIVILEGE_QUESTIONS {
        for object in [TEXT, OID] {
            for role in [None, Some(NAME), Some(OID)] {
                let arguments: Vec<Oid> = role.into_iter().chain([object, TEXT]).collect();
                registry.add(Entry::session(name, &arguments, BOOL));
                if name != PRIVILEGE_QUESTIONS[0] {
                    continue;
                }
                for column in [TEXT, INT2] {
                    let arguments: Vec<Oid> = role.into_iter().chain([object, column, TEXT]).collect();
                    registry.add(Entry::session("has_column_privilege", &arguments, BOOL));
                }
            }
        }
    }
    registry.add(
        Entry::rows("aclexplode", &[ACLITEM_ARRAY], RECORD, |arguments, _, context| {
            let exploded = context.session.call("aclexplode", arguments, context)?;
            let Datum::Array(rows) = exploded else { return Ok(column([])) };
            Ok(listed(rows.elements.iter().filter_map(exploded_row).collect()))
        })
        .columns(&[("grantor", OID), ("grantee", OID), ("privilege_type", TEXT), ("is_grantable", BOOL)])
        .stable(),
    );
    for (name, arguments, result) in VOLATILE {
        registry.add(Entry::session(name, arguments, *result).volatile());
    }
    // NULL is no payload.
    registry.add(Entry::session("pg_notify", &[TEXT, TEXT], VOID).volatile().not_strict());
    registry.add(
        Entry::new("nextval", &[REGCLASS], INT8, |arguments, context| {
            let Datum::Oid(sequence) = arguments[0] else { return Err(wrong_arguments()) };
            context.session.next_value(sequence).map(Datum::Int64)
        })
        .volatile(),
    );
    registry.add(
        Entry::rows("pg_options_to_table", &[TEXT_ARRAY], RECORD, |arguments, _, _| {
            let Datum::Array(options) = &arguments[0] else { return Ok(column([])) };
            let split = |option: &Datum| {
                let (name, value) = option.as_text()?.split_once('=')?;
                Some(vec![Datum::text(name), Datum::text(value)])
            };
            Ok(listed(options.elements.iter().filter_map(split).collect()))
        })
        .columns(&[("option_name", TEXT), ("option_value", TEXT)])
        .stable(),
    );
    registry.add(
        // No table has partitions.
        Entry::rows("pg_partition_tree", &[REGCLASS], RECORD, |_, _, _| Ok(column([])))
            .columns(&[("relid", REGCLASS), ("parentrelid", REGCLASS), ("isleaf", BOOL), ("level", INT4)])
            .stable(),
    );
    registry.add(
        Entry::rows("pg_listening_channels", &[], TEXT, |_, _, context| {
            let channels = context.session.call("pg_listening_channels", &[], context)?;
            let Datum::Array(channels) = channels else { return Err(wrong_arguments()) };
            Ok(column(channels.elements.iter().cloned()))
        })
        .stable(),
    );
    // The second name is that of the extension uuid-ossp.
    for name in ["gen_random_uuid", "uuid_generate_v4"] {
        registry.add(
            Entry::new(name, &[], UUID, |_, context| {
                random_uuid(|bytes| context.session.random_bytes(bytes))
            })
            .volatile(),
        );
    }
    registry.add(Entry::new("uuid_nil", &[], UUID, |_, _| Ok(Datum::Uuid([0; 16]))));
    registry.add(
        Entry::new("format_type", &[OID, INT4], TEXT, |arguments, context| {
            let Datum::Oid(oid) = arguments[0] else { return Ok(Datum::Null) };
            let typmod = arguments[1].as_i64().map_or(-1, |typmod| typmod as i32);
            // As a column's type it is not `character`, which is `character(1)`.
            if oid == BPCHAR && typmod < 0 && !arguments[1].is_null() {
                return Ok(Datum::from("bpchar"));
            }
            let data_type = crate::types::DataType { oid, typmod };
            Ok(Datum::from(crate::types::format_type(data_type, context.types)))
        })
        .not_strict()
        .stable(),
    );
    registry.add(
        Entry::typed("pg_typeof", &[ANY], REGTYPE, |_, types, _| {
            types.arguments.first().map(|data_type| Datum::Oid(data_type.oid)).ok_or_else(wrong_arguments)
        })
        .not_strict()
        .stable(),
    );
    registry.add(Entry::new("pg_trigger_depth", &[], INT4, |_, _| Ok(Datum::Int32(0))).stable());
    registry.add(Entry::new("pg_jit_available", &[], BOOL, |_, _| Ok(Datum::Bool(false))).stable());
    registry.add(Entry::new("textin", &[CSTRING], TEXT, |arguments, _| Ok(arguments[0].clone())));
}
