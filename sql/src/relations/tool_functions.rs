//! The functions that psql and pg_dump describe objects with, beside those that print definitions.

use super::procedures::procedure;
use crate::error::Result;
use crate::execute::Environment;
use crate::types::{DataType, Oid, format_type};
use crate::value::Datum;

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, name: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let oid = || {
        let number = arguments.first().and_then(Datum::as_i64);
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
    };
    Some(Ok(match name {
        "oidvectortypes" => match arguments.first() {
            Some(Datum::Array(types)) => {
                let oids = types.elements.iter().filter_map(Datum::as_i64);
                let oids: Vec<Oid> = oids.filter_map(|oid| u32::try_from(oid).ok()).collect();
                Datum::text(type_list(environment, &oids))
            }
            _ => Datum::Null,
        },
        "pg_get_function_arguments" | "pg_get_function_identity_arguments" => match procedure(oid()) {
            Some(procedure) => Datum::text(type_list(environment, &procedure.arguments)),
            None => Datum::Null,
        },
        "pg_get_function_result" => match procedure(oid()) {
            Some(procedure) => {
                let set = if procedure.returns_rows { "SETOF " } else { "" };
                Datum::text(format!("{set}{}", format_type(DataType::of(procedure.result), environment)))
            }
            None => Datum::Null,
        },
        "pg_get_function_sqlbody" | "pg_get_partition_constraintdef" | "pg_get_statisticsobjdef" => {
            Datum::Null
        }
        "pg_statistics_obj_is_visible"
        | "pg_ts_config_is_visible"
        | "pg_ts_dict_is_visible"
        | "pg_ts_parser_is_visible"
        | "pg_ts_template_is_visible" => Datum::Bool(true),
        "pg_tablespace_location" => Datum::text(""),
        _ => return None,
    }))
}

fn type_list(environment: &Environment, types: &[Oid]) -> String {
    let names: Vec<String> = types.iter().map(|oid| format_type(DataType::of(*oid), environment)).collect();
    names.join(", ")
}
