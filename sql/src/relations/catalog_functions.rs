//! The functions that look at the catalog and the session.

use std::sync::Arc;

use super::depend::description as object_description;
use super::pretty_text::pretty;
use super::roles::has_role;
use super::{
    addresses, backend_functions, object_functions, privileges, procedures, sizes, surroundings,
    tool_functions,
};
use super::{deparse, view_text};
use crate::binder::{Relation, lookup_relation, name};
use crate::catalog::{PG_CATALOG, Rights, TableEntry, TypeScope};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::functions::EvalContext;
use crate::rights::Actor;
use crate::session::{may_examine, split_list};
use crate::types::{DataType, TypeCatalog, format_type, oids};
use crate::value::{ArrayValue, Datum};

/// Calls a function of the session.
///
/// # Errors
/// 42883 for one that is not known, and those of the functions.
pub fn call(
    environment: &Environment,
    name: &str,
    arguments: &[Datum],
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let number = |at: usize| arguments.get(at).and_then(Datum::as_i64);
    let oid_at = |at: usize| number(at).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let truth_at = |at: usize| arguments.get(at).and_then(Datum::as_bool).unwrap_or(false);
    let answer = backend_functions::call(environment, name, arguments, context);
    let answer = answer.or_else(|| privileges::call(environment, name, arguments));
    let answer = answer.or_else(|| sizes::call(environment, name, arguments));
    let answer = answer.or_else(|| object_functions::call(environment, name, arguments));
    let answer = answer.or_else(|| super::extended_statistics::call(environment, name, arguments).map(Ok));
    let answer = answer.or_else(|| addresses::call(environment, name, arguments));
    let answer = answer.or_else(|| super::server_control::call(environment, name, arguments));
    let answer = answer.or_else(|| surroundings::call(environment, name, arguments));
    if let Some(answer) = answer.or_else(|| tool_functions::call(environment, name, arguments)) {
        return answer;
    }
    Ok(match name {
        "version" => Datum::text(format!(
            "PostgreSQL 15.0 (HeliosDB Nano {}) on {}-linux",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH
        )),
        "current_user" | "user" | "current_role" | "getpgusername" => Datum::text(&environment.user),
        "session_user" => Datum::text(&environment.session_user),
        "current_database" | "current_catalog" => Datum::text(&environment.database),
        "current_schema" => current_schemas(environment, false).first().map_or(Datum::Null, Datum::text),
        "current_schemas" => {
            let names = current_schemas(environment, truth_at(0));
            ArrayValue::from_elements(oids::NAME, names.iter().map(Datum::text).collect()).into()
        }
        "heliosdb_current_scn" => {
            Datum::Int64(i64::try_from(environment.store.visible_scn().0).unwrap_or(i64::MAX))
        }
        "pg_backend_pid" => Datum::Int32(environment.backend.number),
        "pg_is_in_recovery" | "pg_is_other_temp_schema" => Datum::Bool(false),
        "row_security_active" => {
            if let Some(Datum::Text(name)) = arguments.first() {
                relation_oid(&environment.actor(), &environment.search_path, name)?;
            }
            Datum::Bool(false)
        }
        "pg_my_temp_schema" => {
            let own = crate::ddl::temporary_schema(environment.backend.number);
            Datum::Oid(environment.catalog.schema_named(&own).map_or(0, |schema| schema.oid))
        }
        "pg_postmaster_start_time" | "pg_conf_load_time" => Datum::TimestampTz(context.statement_timestamp),
        "current_setting" => current_setting(environment, arguments)?,
        "set_config" => set_config(environment, arguments, truth_at(2))?,
        "pg_get_expr" => match arguments.first().and_then(Datum::as_text) {
            Some(text) if truth_at(2) => Datum::text(pretty(text)),
            _ => arguments.first().cloned().unwrap_or_default(),
        },
        "pg_get_indexdef" => index_definition(environment, oid_at(0), number(1).unwrap_or(0), truth_at(2)),
        "pg_get_constraintdef" => constraint_definition(environment, oid_at(0), truth_at(1)),
        "pg_get_userbyid" => {
            let found = environment.catalog.role(oid_at(0));
            Datum::text(
                found.map_or_else(|| format!("unknown (OID={})", oid_at(0)), |role| role.name.clone()),
            )
        }
        "pg_table_is_visible" => is_visible(environment, oid_at(0)),
        "pg_type_is_visible" => Datum::Bool(environment.types().is_visible(oid_at(0))),
        "pg_function_is_visible"
        | "pg_operator_is_visible"
        | "pg_collation_is_visible"
        | "pg_opclass_is_visible"
        | "pg_opfamily_is_visible"
        | "pg_conversion_is_visible" => Datum::Bool(true),
        "getdatabaseencoding" => Datum::text("UTF8"),
        "shobj_description" | "obj_description" => {
            let class = arguments.get(1).and_then(Datum::as_text);
            object_description(environment, oid_at(0), class, name == "shobj_description")
        }
        "col_description" => {
            description(environment, oid_at(0), number(1).and_then(|at| i16::try_from(at).ok()).unwrap_or(-1))
        }
        "pg_has_role" => Datum::Bool(has_role(environment, arguments)?),
        "currval" => {
            let entry = environment.sequence(oid_at(0))?;
            environment.check_sequence(entry, Rights::SELECT.with(Rights::USAGE))?;
            Datum::Int64(environment.sequences.current(entry)?)
        }
        "lastval" => last_value(environment)?,
        "setval" => {
            let is_called = arguments.len() < 3 || truth_at(2);
            let entry = environment.sequence(oid_at(0))?;
            environment.check_sequence(entry, Rights::UPDATE)?;
            Datum::Int64(environment.sequences.set(entry, number(1).unwrap_or(0), is_called)?)
        }
        "pg_sequence_last_value" => {
            let entry = environment.sequence(oid_at(0))?;
            environment.check_sequence(entry, Rights::SELECT.with(Rights::USAGE))?;
            let position = environment.sequences.counter(entry).position();
            if position.is_called { Datum::Int64(position.last) } else { Datum::Null }
        }
        "pg_sequence_position" => {
            let counter = environment.sequences.counter(environment.sequence(oid_at(0))?);
            let position = counter.position();
            Datum::Int64(match number(1) {
                Some(0) => position.last,
                Some(1) => counter.reserved(),
                _ => i64::from(position.is_called),
            })
        }
        "pg_get_viewdef" => {
            let view = match arguments.first() {
                Some(Datum::Text(text)) => {
                    relation_oid(&environment.actor(), &environment.search_path, text)?
                }
                _ => oid_at(0),
            };
            // A width to wrap lines at, instead of the flag, means the pretty form too.
            let is_pretty = match arguments.get(1) {
                Some(Datum::Bool(is_pretty)) => *is_pretty,
                other => other.is_some(),
            };
            let view = environment.catalog.stored_query(view);
            view.map_or(Datum::Null, |view| Datum::text(view_text::definition(environment, &view, is_pretty)))
        }
        "pg_get_serial_sequence" => serial_sequence(environment, arguments)?,
        "to_regclass" => {
            let text = environment.text_argument(arguments, 0)?;
            match relation_oid(&environment.actor(), &environment.search_path, text) {
                Err(error) if error.state() == SqlState::INVALID_NAME => return Err(error),
                found => found.map_or(Datum::Null, Datum::Oid),
            }
        }
        // Tables have files, as far as anybody can tell; views cannot be changed.
        "pg_relation_filenode" => {
            environment.catalog.table(oid_at(0)).map_or(Datum::Null, |entry| Datum::Oid(entry.table.oid))
        }
        "pg_relation_is_updatable" => {
            // INSERT, UPDATE and DELETE, as bits of PostgreSQL's commands.
            const ALL: i32 = 1 << 2 | 1 << 3 | 1 << 4;
            Datum::Int32(if environment.catalog.table(oid_at(0)).is_some() { ALL } else { 0 })
        }
        "pg_column_is_updatable" => {
            let is_column = number(1).is_some_and(|number| number > 0);
            Datum::Bool(is_column && environment.catalog.table(oid_at(0)).is_some())
        }
        // There are the two that PostgreSQL begins with, within the data folder.
        "to_regtype" => type_oid(environment, arguments)?.map_or(Datum::Null, Datum::Oid),
        "regclassin" => {
            let text = environment.text_argument(arguments, 0)?;
            Datum::Oid(relation_oid(&environment.actor(), &environment.search_path, text)?)
        }
        "regclassout" => Datum::text(relation_name(environment, oid_at(0))),
        "regtypein" => {
            let text = environment.text_argument(arguments, 0)?;
            let found = match text.parse().ok() {
                None => type_oid(environment, arguments)?,
                number => number,
            };
            Datum::Oid(found.ok_or_else(|| {
                SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{text}\" does not exist"))
            })?)
        }
        "regtypeout" => Datum::text(match environment.type_by_oid(oid_at(0)) {
            Some(_) => format_type(DataType::of(oid_at(0)), environment),
            None if oid_at(0) == 0 => "-".into(),
            None => oid_at(0).to_string(),
        }),
        "regnamespacein" => {
            let text = environment.text_argument(arguments, 0)?;
            let found =
                text.parse().ok().or_else(|| environment.catalog.schema_named(text).map(|schema| schema.oid));
            Datum::Oid(found.ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{text}\" does not exist"))
            })?)
        }
        "regnamespaceout" => Datum::text(match environment.catalog.schema(oid_at(0)) {
            Some(schema) => name::quote(&schema.name),
            None => oid_at(0).to_string(),
        }),
        "regrolein" => {
            let text = environment.text_argument(arguments, 0)?;
            let name = split_list(text).into_iter().next().unwrap_or_default();
            let named = || environment.catalog.role_named(&name).map(|role| role.oid);
            Datum::Oid(text.parse().ok().or_else(named).ok_or_else(|| {
                SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
            })?)
        }
        "regroleout" => {
            let found = environment.catalog.role(oid_at(0));
            Datum::text(found.map_or_else(|| oid_at(0).to_string(), |role| name::quote(&role.name)))
        }
        "regprocin" => {
            let text = environment.text_argument(arguments, 0)?;
            let base = text.strip_prefix("pg_catalog.").unwrap_or(text);
            match procedures::named(base) {
                [procedure] => Datum::Oid(procedure.oid),
                [] => {
                    let message = format!("function \"{text}\" does not exist");
                    return Err(SqlError::new(SqlState::UNDEFINED_FUNCTION, message));
                }
                _ => {
                    let message = format!("more than one function named \"{text}\"");
                    return Err(SqlError::new(SqlState::AMBIGUOUS_FUNCTION, message));
                }
            }
        }
        "regprocout" if let Some(procedure) = procedures::procedure(oid_at(0)) => {
            let is_alone = procedures::named(&procedure.name).len() == 1;
            let schema = if is_alone { "" } else { "pg_catalog." };
            Datum::text(format!("{schema}{}", name::quote(&procedure.name)))
        }
        "regprocedureout" if let Some(procedure) = procedures::procedure(oid_at(0)) => {
            let types = procedure.arguments.iter().map(|oid| format_type(DataType::of(*oid), environment));
            let types: Vec<String> = types.collect();
            Datum::text(format!("{}({})", name::quote(&procedure.name), types.join(",")))
        }
        "regoperout" if let Some(operator) = super::registry::operator_name(oid_at(0)) => {
            Datum::text(operator)
        }
        "regoperatorout"
            if let Some((operator, operands)) = super::registry::operator_signature(oid_at(0)) =>
        {
            let types = operands.map(|operand| match operand {
                0 => String::from("NONE"),
                operand => format_type(DataType::of(operand), environment),
            });
            Datum::text(format!("{operator}({})", types.join(",")))
        }
        "regprocout" | "regprocedureout" | "regoperout" | "regoperatorout" | "regconfigout" => {
            Datum::text(if oid_at(0) == 0 { "-".to_string() } else { oid_at(0).to_string() })
        }
        "pg_relation_is_publishable" => Datum::Bool(environment.catalog.table(oid_at(0)).is_some()),
        "pg_get_partkeydef" | "pg_partition_ancestors" | "pg_get_triggerdef" | "pg_get_ruledef" => {
            Datum::Null
        }
        _ => {
            let _ = context;
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} is not supported yet"),
            ));
        }
    })
}

fn current_schemas(environment: &Environment, implicit: bool) -> Vec<String> {
    let path = environment.settings.search_path();
    let names = |wanted: &str| path.iter().any(|name| name == wanted);
    environment
        .search_path
        .iter()
        .filter_map(|oid| environment.catalog.schema(*oid))
        .filter(|schema| match schema.name.starts_with(crate::ddl::TEMPORARY_PREFIX) {
            true => implicit || names("pg_temp") || names(&schema.name),
            false => implicit || schema.oid != PG_CATALOG || names("pg_catalog"),
        })
        .map(|schema| schema.name.clone())
        .collect()
}

fn current_setting(environment: &Environment, arguments: &[Datum]) -> Result<Datum> {
    let name = environment.text_argument(arguments, 0)?;
    let missing_is_fine = arguments.get(1).and_then(Datum::as_bool).unwrap_or(false);
    may_examine(&environment.actor(), name)?;
    if name.eq_ignore_ascii_case("heliosdb.branch")
        && let Some(branch) =
            environment.directory.lock().branches.iter().find(|each| each.id == environment.branch)
    {
        // Another session may have renamed it.
        return Ok(Datum::text(&branch.name));
    }
    // What set_config changed in this statement comes into force behind it.
    let changed = environment.changed_settings.lock().clone();
    let mut settings = environment.settings.clone();
    for (name, value, _) in &changed {
        Arc::make_mut(&mut settings).set(name, value)?;
    }
    match settings.get(name) {
        Ok(value) => Ok(Datum::text(value)),
        Err(_) if missing_is_fine => Ok(Datum::Null),
        Err(error) => Err(error),
    }
}

fn set_config(environment: &Environment, arguments: &[Datum], local: bool) -> Result<Datum> {
    let name = environment.text_argument(arguments, 0)?;
    let value = arguments.get(1).and_then(Datum::as_text).unwrap_or_default();
    let mut checked = (*environment.settings).clone();
    checked.set(name, value)?;
    environment.changed_settings.lock().push((name.to_string(), value.to_string(), local));
    Ok(Datum::text(checked.get(name)?))
}

fn entry_of_index(environment: &Environment, oid: u32) -> Option<(&TableEntry, &crate::catalog::Index)> {
    let index = environment.catalog.index(oid)?;
    Some((environment.catalog.table(index.table)?, index))
}

fn index_definition(environment: &Environment, oid: u32, column: i64, is_pretty: bool) -> Datum {
    let Some((entry, index)) = entry_of_index(environment, oid) else { return Datum::Null };
    match usize::try_from(column - 1) {
        Ok(at) => Datum::text(deparse::index_column(environment, &entry.table, index, at, false, is_pretty)),
        Err(_) => Datum::text(deparse::index_definition(environment, &entry.table, index, is_pretty)),
    }
}

fn constraint_definition(environment: &Environment, oid: u32, is_pretty: bool) -> Datum {
    let Some(constraint) = environment.catalog.constraint(oid) else {
        let found = super::types::check_of_domain(environment, oid);
        return found.map_or(Datum::Null, |text| Datum::text(deparse::pretty_check(text, is_pretty)));
    };
    let Some(entry) = environment.catalog.table(constraint.table) else { return Datum::Null };
    let text = deparse::constraint_definition(environment, &entry.table, constraint);
    Datum::text(deparse::pretty_check(text, is_pretty))
}

/// The schema and name of any relation.
pub fn relation_place(environment: &Environment, oid: u32) -> Option<(u32, String)> {
    let catalog = &environment.catalog;
    if let Some(entry) = catalog.table(oid) {
        return Some((entry.table.schema, entry.table.name.clone()));
    }
    if let Some(index) = catalog.index(oid) {
        return Some((index.schema, index.name.clone()));
    }
    if let Some(view) = catalog.view(oid) {
        return Some((view.schema, view.name.clone()));
    }
    if let Some(entry) = catalog.sequence(oid) {
        return Some((entry.sequence.schema, entry.sequence.name.clone()));
    }
    if catalog.is_composite(oid) {
        let own = &catalog.user_type(catalog.type_of_rows(oid)?.oid)?.definition;
        return Some((own.schema, own.name.clone()));
    }
    let computed = super::all().iter().find(|relation| relation.oid == oid)?;
    Some((computed.schema, computed.name.to_string()))
}

fn is_visible(environment: &Environment, oid: u32) -> Datum {
    let Some((schema, name)) = relation_place(environment, oid) else { return Datum::Null };
    for candidate in &environment.search_path {
        if *candidate == schema {
            return Datum::Bool(true);
        }
        // A relation of the same name earlier in the path hides it.
        let hidden = environment.catalog.relation_named(*candidate, &name).is_some()
            || super::find(*candidate, &name).is_some();
        if hidden {
            return Datum::Bool(false);
        }
    }
    Datum::Bool(false)
}

fn description(environment: &Environment, oid: u32, column: i16) -> Datum {
    environment.catalog.comment(oid, column).map_or(Datum::Null, Datum::text)
}

fn last_value(environment: &Environment) -> Result<Datum> {
    let entry = environment.sequences.last().and_then(|oid| environment.catalog.sequence(oid));
    let entry = entry.ok_or_else(|| {
        SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "lastval is not yet defined in this session",
        )
    })?;
    environment.check_sequence(entry, Rights::SELECT.with(Rights::USAGE))?;
    Ok(Datum::Int64(environment.sequences.current(entry)?))
}

/// The sequence that a column's numbers come from, as `schema.name`.
fn serial_sequence(environment: &Environment, arguments: &[Datum]) -> Result<Datum> {
    let (table, column) =
        (environment.text_argument(arguments, 0)?, environment.text_argument(arguments, 1)?);
    let oid = relation_oid(&environment.actor(), &environment.search_path, table)?;
    let missing = |relation: &str| {
        let message = format!("column \"{column}\" of relation \"{relation}\" does not exist");
        SqlError::new(SqlState::UNDEFINED_COLUMN, message)
    };
    let Some(entry) = environment.catalog.table(oid) else {
        // Nothing but tables owns sequences.
        return match environment.catalog.view(oid) {
            Some(view) if view.columns.iter().all(|each| each.name != column) => Err(missing(&view.name)),
            _ => Ok(Datum::Null),
        };
    };
    let number = entry.table.column(column).map(|column| column.number);
    let number = number.ok_or_else(|| missing(&entry.table.name))?;
    let mut owned = environment.catalog.sequences_of(entry.table.oid);
    let found = owned.find(|each| each.owned_by.is_some_and(|owner| owner.column == number));
    Ok(found.map_or(Datum::Null, |sequence| {
        let schema = super::schema_objects::schema_name(environment, sequence.schema);
        Datum::text(format!("{}.{}", name::quote(&schema), name::quote(&sequence.name)))
    }))
}

/// The OID of the relation that a text names, or is.
///
/// # Errors
/// 42P01, 42602.
pub fn relation_oid(actor: &Actor<'_>, search_path: &[u32], text: &str) -> Result<u32> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    if text.trim_ascii().is_empty() {
        return Err(SqlError::new(SqlState::INVALID_NAME, "invalid name syntax"));
    }
    let parts: Vec<String> = text.split('.').flat_map(split_list).collect();
    let (schema, base) = match parts.as_slice() {
        [base] => (None, base),
        [schema, base] | [_, schema, base] => (Some(schema.as_str()), base),
        _ => return Err(SqlError::new(SqlState::INVALID_NAME, "invalid name syntax")),
    };
    let found = lookup_relation(actor.catalog, actor, search_path, schema, base);
    if let Err(error) = &found
        && error.state() == SqlState::WRONG_OBJECT_TYPE
    {
        // A composite type is a relation in name.
        let types = TypeScope { catalog: actor.catalog, search_path };
        let own = types.user_type_named(schema, base)?;
        return own.and_then(|own| actor.catalog.relation_of_rows(own)).ok_or_else(|| error.clone());
    }
    Ok(match found? {
        Relation::Stored(entry) => entry.table.oid,
        Relation::Virtual(relation) => relation.oid,
        Relation::Sequence(entry) => entry.sequence.oid,
        Relation::View(view) => view.oid,
        Relation::Index(index) => index.oid,
    })
}

/// A relation's name, with its schema where that must be said.
pub fn relation_name(environment: &Environment, oid: u32) -> String {
    let Some((schema, base)) = relation_place(environment, oid) else { return oid.to_string() };
    if is_visible(environment, oid) == Datum::Bool(true) {
        return name::quote(&base);
    }
    let schema = super::schema_objects::schema_name(environment, schema);
    format!("{}.{}", name::quote(&schema), name::quote(&base))
}

/// The type of a name, as SQL writes it, if there is one.
///
/// # Errors
/// 42601 for what is no name of a type.
fn type_oid(environment: &Environment, arguments: &[Datum]) -> Result<Option<u32>> {
    let Some(text) = arguments.first().and_then(Datum::as_text) else { return Ok(None) };
    if text.trim_ascii().is_empty() {
        return Err(SqlError::syntax(format!("invalid type name \"{text}\"")));
    }
    let ast = crate::parser::parse_data_type(text)?;
    Ok(crate::binder::data_type::resolve(&ast, &environment.types()).ok().map(|found| found.oid))
}

/// The type of a name that was stored.
pub fn type_named(environment: &Environment, text: &str) -> Option<u32> {
    let ast = crate::parser::parse_data_type(text).ok()?;
    Some(crate::binder::data_type::resolve(&ast, &environment.types()).ok()?.oid)
}
