//! The functions that psql and pg_dump describe objects with, beside those that print definitions.

use super::procedure_rows;
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
            Some(procedure) => {
                let with_defaults = name == "pg_get_function_arguments";
                Datum::text(procedure_rows::arguments(environment, procedure, with_defaults))
            }
            None => Datum::Null,
        },
        "pg_get_function_result" => match procedure(oid()) {
            Some(procedure) => Datum::text(procedure_rows::result(environment, procedure)),
            None => Datum::Null,
        },
        "pg_get_function_arg_default" => {
            let number = arguments.get(1).and_then(Datum::as_i64).and_then(|at| usize::try_from(at).ok());
            let wanted = number.and_then(|number| number.checked_sub(1));
            let found = procedure(oid()).zip(wanted).and_then(|(procedure, wanted)| {
                let mut inputs = procedure_rows::all_arguments(procedure)
                    .filter(|argument| matches!(argument.mode, b'i' | b'b' | b'v'));
                inputs.nth(wanted)?.default
            });
            found.map_or(Datum::Null, Datum::text)
        }
        "pg_get_functiondef" => match procedure(oid()) {
            Some(procedure) => return Some(procedure_rows::definition(environment, procedure)),
            None => Datum::Null,
        },
        "pg_get_function_sqlbody" | "pg_get_partition_constraintdef" => Datum::Null,
        "pg_ts_config_is_visible"
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
