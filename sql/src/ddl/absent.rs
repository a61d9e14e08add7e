//! DROP of what is not there, as kinds of objects that nobody can make are not: an error, or a notice.

use sqlparser::ast::{DataType as Written, ObjectName};

use super::Ddl;
use crate::binder::{data_type, name};
use crate::catalog::TypeScope;
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{Absent, DropAbsent};
use crate::relations::known_collation;
use crate::types::{DataType, TypeCatalog, format_type, is_user_type};

/// Runs it.
///
/// # Errors
/// 42704, 42883, 42P01 or 3F000 where IF EXISTS is not said; 2BP01 for what is built in.
pub fn drop_absent(ddl: &mut Ddl, drop: &DropAbsent) -> Result<()> {
    for thing in &drop.things {
        let (error, notice) = missing(ddl, drop, thing)?;
        if !drop.if_exists {
            return Err(error);
        }
        let notice = notice.unwrap_or_else(|| error.message().to_owned());
        ddl.notice(format!("{notice}, skipping"));
    }
    Ok(())
}

/// The error of a thing that is missing, and what the notice says where that is something else.
type Missing = (SqlError, Option<String>);

fn undefined(message: String) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, message)
}

/// 2BP01.
fn required(what: &str) -> SqlError {
    let message = format!("cannot drop {what} because it is required by the database system");
    SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
}

/// The error for a schema that a name has and that is not there.
fn missing_schema(ddl: &Ddl, object: &ObjectName) -> Result<Option<SqlError>> {
    let (schema, _) = name::split(object)?;
    let gone = schema.filter(|schema| ddl.catalog.schema_named(schema).is_none());
    Ok(gone.map(|schema| {
        SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
    }))
}

fn shown(object: &ObjectName) -> Result<String> {
    let (schema, base) = name::split(object)?;
    Ok(name::display(schema.as_deref(), &base))
}

fn missing(ddl: &Ddl, drop: &DropAbsent, thing: &Absent) -> Result<Missing> {
    let what = drop.kind.to_lowercase();
    match thing {
        Absent::Plain(own) => {
            let base = name::fold(own);
            let what = match what.as_str() {
                "foreign data wrapper" => "foreign-data wrapper",
                other => other,
            };
            let is_built_in = match what {
                "language" => matches!(base.as_str(), "internal" | "c" | "sql" | "plpgsql"),
                "tablespace" => matches!(base.as_str(), "pg_default" | "pg_global"),
                "access method" => matches!(base.as_str(), "heap" | "btree" | "hash"),
                _ => false,
            };
            if is_built_in {
                return Err(required(&format!("{what} {}", name::quote(&base))));
            }
            Ok((undefined(format!("{what} \"{base}\" does not exist")), None))
        }
        Absent::Qualified(object) => {
            if let Some(error) = missing_schema(ddl, object)? {
                return Ok((error, None));
            }
            let shown = shown(object)?;
            if what == "foreign table"
                && let Ok(found) = ddl.relation(object)
            {
                let word = found.kind().word();
                let message = format!("\"{}\" is not a foreign table", found.name());
                let hint = format!("Use DROP {} to remove a {word}.", word.to_uppercase());
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint));
            }
            let (_, base) = name::split(object)?;
            if what == "collation" {
                if known_collation(&base) != 0 {
                    return Err(required(&format!("collation {}", name::quote(&base))));
                }
                let error = undefined(format!("collation \"{shown}\" for encoding \"UTF8\" does not exist"));
                return Ok((error, Some(format!("collation \"{shown}\" does not exist"))));
            }
            let what = if what == "statistics" { "statistics object" } else { &what };
            Ok((undefined(format!("{what} \"{shown}\" does not exist")), None))
        }
        Absent::On { name: own, table } => {
            if let Some(error) = missing_schema(ddl, table)? {
                return Ok((error, None));
            }
            let own = name::fold(own);
            let Ok(found) = ddl.relation(table) else {
                let message = format!("relation \"{}\" does not exist", shown(table)?);
                return Ok((SqlError::new(SqlState::UNDEFINED_TABLE, message), None));
            };
            let of = |word: &str| format!("{what} \"{own}\" for {word} \"{}\" does not exist", found.name());
            let word = if what == "rule" { "relation" } else { "table" };
            Ok((undefined(of(word)), Some(of("relation"))))
        }
        Absent::Of { name: object, method } => {
            let method = name::fold(method);
            if !matches!(method.as_str(), "btree" | "hash" | "gist" | "gin" | "spgist" | "brin") {
                return Err(undefined(format!("access method \"{method}\" does not exist")));
            }
            if let Some(error) = missing_schema(ddl, object)? {
                return Ok((error, None));
            }
            let shown = shown(object)?;
            let message = format!("{what} \"{shown}\" does not exist for access method \"{method}\"");
            Ok((undefined(message), None))
        }
        Absent::Routine { name: object, arguments } => routine(ddl, &what, object, arguments.as_deref()),
        Absent::Operator { name: own, operands } => {
            let mut types = Vec::new();
            for operand in operands {
                types.push(match operand {
                    None => String::from("NONE"),
                    Some(written) => match resolved(ddl, written) {
                        Ok(found) => format_type(found, &ddl.types()),
                        Err(error) => return Ok((error, None)),
                    },
                });
            }
            let signature = match types.as_slice() {
                [left, right] if left == "NONE" => format!("{own} {right}"),
                [left, right] => format!("{left} {own} {right}"),
                _ => own.clone(),
            };
            let message = format!("operator does not exist: {signature}");
            let error = SqlError::new(SqlState::UNDEFINED_FUNCTION, message);
            Ok((error, Some(format!("operator {own} does not exist"))))
        }
        Absent::Cast { source, target } => {
            let both = [source, target].map(|written| resolved(ddl, written));
            let [source_type, target_type] = match both {
                [Ok(source), Ok(target)] => [source, target],
                [Err(error), _] | [_, Err(error)] => return Ok((error, None)),
            };
            let cast = crate::functions::registry().cast(source_type.oid, target_type.oid);
            let show = |data_type| format_type(data_type, &ddl.types());
            let of = |source: &str, target: &str| format!("cast from type {source} to type {target}");
            let formal = of(&show(source_type), &show(target_type));
            if cast.is_some() {
                return Err(required(&formal));
            }
            let written = of(&internal(ddl, source, source_type), &internal(ddl, target, target_type));
            let error = undefined(format!("{formal} does not exist"));
            Ok((error, Some(format!("{written} does not exist"))))
        }
        Absent::Mapping { role, server } => {
            let role = name::fold(role);
            let is_known = matches!(role.as_str(), "public" | "user" | "current_user" | "current_role")
                || ddl.catalog.role_named(&role).is_some();
            let message = match is_known {
                true => format!("server \"{}\" does not exist", name::fold(server)),
                false => format!("role \"{role}\" does not exist"),
            };
            Ok((undefined(message), None))
        }
        Absent::For { what: written, owner } => {
            let data_type = match resolved(ddl, written) {
                Ok(found) => found,
                Err(error) => return Ok((error, None)),
            };
            let owner = name::fold(owner);
            let of = |shown: &str| format!("transform for type {shown} language \"{owner}\" does not exist");
            let is_language = matches!(owner.as_str(), "internal" | "c" | "sql" | "plpgsql");
            let error = match is_language {
                true => undefined(of(&format_type(data_type, &ddl.types()))),
                false => undefined(format!("language \"{owner}\" does not exist")),
            };
            Ok((error, Some(of(&internal(ddl, written, data_type)))))
        }
    }
}

fn resolved(ddl: &Ddl, written: &Written) -> Result<DataType> {
    data_type::resolve(written, &ddl.types()).map_err(SqlError::unplaced)
}

/// A type as PostgreSQL's grammar hands it on: words of SQL's have become names in `pg_catalog`.
fn internal(ddl: &Ddl, written: &Written, data_type: DataType) -> String {
    let types: TypeScope<'_> = ddl.types();
    let is_word = !matches!(written, Written::Custom(..) | Written::Text | Written::Date | Written::Uuid);
    match types.type_by_oid(data_type.oid) {
        Some(info) if is_word && !is_user_type(info.oid) => format!("pg_catalog.{}", info.name),
        Some(info) => info.name.to_string(),
        None => format_type(data_type, &types),
    }
}

fn routine(ddl: &Ddl, what: &str, object: &ObjectName, arguments: Option<&[Written]>) -> Result<Missing> {
    if let Some(error) = missing_schema(ddl, object)? {
        return Ok((error, None));
    }
    let base = shown(object)?;
    let (_, bare) = name::split(object)?;
    let mut types = Vec::new();
    for written in arguments.unwrap_or_default() {
        match resolved(ddl, written) {
            Ok(found) => types.push(found),
            Err(error) => return Ok((error, None)),
        }
    }
    let oids: Vec<u32> = types.iter().map(|found| found.oid).collect();
    let known = crate::relations::has_procedure(&bare, arguments.is_some().then_some(oids.as_slice()));
    let list: Vec<String> = types.iter().map(|found| format_type(*found, &ddl.types())).collect();
    if known {
        return Err(required(&format!("function {bare}({})", list.join(","))));
    }
    // The notice calls it what the statement does, the error what it would be.
    let kind = if what == "routine" { "function" } else { what };
    let error = match arguments {
        None => {
            format!("could not find {} {kind} named \"{base}\"", if kind == "aggregate" { "an" } else { "a" })
        }
        Some([]) if kind == "aggregate" => format!("aggregate {base}(*) does not exist"),
        Some(_) => format!("{kind} {base}({}) does not exist", list.join(", ")),
    };
    let internal: Vec<String> = arguments
        .unwrap_or_default()
        .iter()
        .zip(&types)
        .map(|(written, found)| internal(ddl, written, *found))
        .collect();
    let notice = format!("{what} {base}({}) does not exist", internal.join(","));
    Ok((SqlError::new(SqlState::UNDEFINED_FUNCTION, error), Some(notice)))
}
