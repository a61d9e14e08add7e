//! Objects by class, number and column, and by the words that name them: `pg_identify_object`,
//! `pg_identify_object_as_address` and `pg_get_object_address`.

use std::sync::Arc;

use super::catalog_functions::{relation_oid, relation_place, type_named};
use super::collations::{collation_name, known as known_collation};
use super::columns::default_oid;
use super::extended_statistics::PG_STATISTIC_EXT;
use super::object_functions::{PG_REWRITE, RULE_OF_VIEW, relation_word};
use super::procedures::{self, Procedure, ProcedureKind};
use super::registry::{ACCESS_METHODS, LANGUAGES, operator_signature, operator_with};
use super::roles::TABLESPACES;
use super::schema_objects::schema_name;
use crate::binder::name::quote;
use crate::catalog::{PG_CATALOG, PG_CLASS, PG_CONSTRAINT, PG_NAMESPACE, PG_PROC, PG_TYPE};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::types::{DataType, Oid, TypeCatalog, format_type, oids};
use crate::value::{ArrayValue, Datum, RecordShape, RecordValue, Text};

const PG_AUTHID: Oid = 1260;
const PG_DATABASE: Oid = 1262;
const PG_TABLESPACE: Oid = 1213;
const PG_EXTENSION: Oid = 3079;
const PG_LANGUAGE: Oid = 2612;
const PG_OPERATOR: Oid = 2617;
const PG_AM: Oid = 2601;
const PG_COLLATION: Oid = 3456;
const PG_ATTRDEF: Oid = 2604;

/// What the functions give.
pub const ADDRESS: [(&str, Oid); 3] =
    [("classid", oids::OID), ("objid", oids::OID), ("objsubid", oids::INT4)];
pub const IDENTITY: [(&str, Oid); 4] =
    [("type", oids::TEXT), ("schema", oids::TEXT), ("name", oids::TEXT), ("identity", oids::TEXT)];
pub const NAMES: [(&str, Oid); 3] =
    [("type", oids::TEXT), ("object_names", oids::TEXT_ARRAY), ("object_args", oids::TEXT_ARRAY)];

/// How an object is told from all others.
#[derive(Default)]
struct Identified {
    kind: &'static str,
    schema: Option<String>,
    /// Its name, if that and the schema tell which one it is.
    name: Option<String>,
    identity: Option<String>,
    names: Vec<String>,
    arguments: Vec<String>,
}

impl Identified {
    /// An object that has a name of its own in the whole database.
    fn plain(kind: &'static str, name: &str) -> Identified {
        let shown = Some(quote(name));
        Identified {
            kind,
            name: shown.clone(),
            identity: shown,
            names: vec![name.to_owned()],
            ..Identified::default()
        }
    }

    /// An object of a schema.
    fn within(kind: &'static str, schema: &str, name: &str) -> Identified {
        Identified {
            kind,
            schema: Some(quote(schema)),
            name: Some(quote(name)),
            identity: Some(qualified(schema, name)),
            names: vec![schema.to_owned(), name.to_owned()],
            arguments: Vec::new(),
        }
    }

    /// An object that is not there: of its class nothing but the kind is known.
    fn missing(kind: &'static str) -> Identified {
        Identified { kind, ..Identified::default() }
    }
}

fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote(schema), quote(name))
}

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, function: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let number = |at: usize| arguments.get(at).and_then(Datum::as_i64).unwrap_or(0);
    let oid = |at: usize| u32::try_from(number(at)).unwrap_or(0);
    Some(match function {
        "pg_identify_object" => identify(environment, oid(0), oid(1), number(2)).map(|found| {
            let text = |value: Option<String>| value.map_or(Datum::Null, Datum::text);
            let fields =
                vec![Datum::text(found.kind), text(found.schema), text(found.name), text(found.identity)];
            record(&IDENTITY, fields)
        }),
        "pg_identify_object_as_address" => identify(environment, oid(0), oid(1), number(2)).map(|found| {
            let is_there = found.identity.is_some();
            let list = |words: Vec<String>| match is_there {
                true => {
                    ArrayValue::from_elements(oids::TEXT, words.into_iter().map(Datum::text).collect()).into()
                }
                false => Datum::Null,
            };
            record(&NAMES, vec![Datum::text(found.kind), list(found.names), list(found.arguments)])
        }),
        "pg_get_object_address" => address(environment, arguments).map(|(class, object, column)| {
            record(&ADDRESS, vec![Datum::Oid(class), Datum::Oid(object), Datum::Int32(column)])
        }),
        _ => return None,
    })
}

fn record(columns: &[(&'static str, Oid)], fields: Vec<Datum>) -> Datum {
    let named = columns.iter().map(|(name, oid)| (Text::new_static(name), DataType::of(*oid)));
    RecordValue { fields, shape: Arc::new(RecordShape::anonymous(named)) }.into()
}

/// A type's name, with its schema unless SQL has words of its own for it.
fn type_identity(environment: &Environment, oid: Oid) -> String {
    let shown = format_type(DataType::of(oid), environment);
    let Some(info) = environment.type_by_oid(oid) else { return shown };
    if let Some(element) = info.element().filter(|_| info.name.starts_with('_')) {
        return format!("{}[]", type_identity(environment, element));
    }
    match info.sql_name == info.name || environment.catalog.user_type(oid).is_some() {
        true => qualified(&schema_name(environment, type_schema(environment, oid)), &info.name),
        false => shown,
    }
}

fn type_schema(environment: &Environment, oid: Oid) -> Oid {
    let catalog = &environment.catalog;
    if let Some(entry) = catalog.user_type(oid) {
        return entry.definition.schema;
    }
    let row = catalog.row_types().find(|row| row.info.oid == oid || row.array.oid == oid);
    row.map_or(PG_CATALOG, |row| row.schema)
}

fn types_identity(environment: &Environment, types: &[Oid]) -> Vec<String> {
    types.iter().map(|oid| type_identity(environment, *oid)).collect()
}

/// The name of a live column of a relation.
fn column_name(environment: &Environment, relation: Oid, number: i64) -> Option<String> {
    let number = i16::try_from(number).ok()?;
    if let Some(entry) = environment.catalog.table(relation) {
        return entry.table.live_columns().find(|each| each.number == number).map(|each| each.name.clone());
    }
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    if let Some(view) = environment.catalog.view(relation) {
        return view.columns.get(at).map(|column| column.name.clone());
    }
    super::with_oid(relation)?.columns.get(at).map(|(name, _)| (*name).to_owned())
}

fn identify(environment: &Environment, class: Oid, object: Oid, column: i64) -> Result<Identified> {
    if column != 0 && class != PG_CLASS {
        return Err(SqlError::internal(format!("invalid non-zero objectSubId for object class {class}")));
    }
    let catalog = &environment.catalog;
    let plain = |kind: &'static str, name: Option<&str>| match name {
        Some(name) => Identified::plain(kind, name),
        None => Identified::missing(kind),
    };
    let listed = |list: &[(u32, &'static str)]| list.iter().find(|each| each.0 == object).map(|each| each.1);
    Ok(match class {
        PG_CLASS => relation(environment, object, column),
        PG_TYPE => match environment.type_by_oid(object) {
            Some(info) => {
                let schema = schema_name(environment, type_schema(environment, object));
                let identity = type_identity(environment, object);
                Identified {
                    identity: Some(identity.clone()),
                    names: vec![identity],
                    ..Identified::within("type", &schema, &info.name)
                }
            }
            None => Identified::missing("type"),
        },
        PG_NAMESPACE => plain("schema", catalog.schema(object).map(|schema| schema.name.as_str())),
        PG_PROC => procedures::procedure(object)
            .map_or_else(|| Identified::missing("routine"), |procedure| routine(environment, procedure)),
        PG_OPERATOR => match operator_signature(object) {
            Some((name, operands)) => {
                let types = operands.map(|operand| match operand {
                    0 => "NONE".to_owned(),
                    operand => type_identity(environment, operand),
                });
                Identified {
                    identity: Some(format!("pg_catalog.{name}({})", types.join(","))),
                    name: None,
                    arguments: types.to_vec(),
                    ..Identified::within("operator", "pg_catalog", name)
                }
            }
            None => Identified::missing("operator"),
        },
        PG_CONSTRAINT => match catalog.constraint(object) {
            Some(constraint) => {
                let (schema, table) = relation_place(environment, constraint.table).unwrap_or_default();
                let schema = schema_name(environment, schema);
                Identified {
                    kind: "table constraint",
                    schema: Some(quote(&schema)),
                    name: None,
                    identity: Some(format!("{} on {}", quote(&constraint.name), qualified(&schema, &table))),
                    names: vec![schema, table, constraint.name.clone()],
                    arguments: Vec::new(),
                }
            }
            None => Identified::missing("table constraint"),
        },
        PG_STATISTIC_EXT => match catalog.extended_statistics_numbered(object) {
            Some(own) => {
                Identified::within("statistics object", &schema_name(environment, own.schema), &own.name)
            }
            None => Identified::missing("statistics object"),
        },
        PG_ATTRDEF => default_of(environment, object),
        PG_REWRITE => match relation_place(environment, object & !RULE_OF_VIEW) {
            Some((schema, view)) => {
                let schema = schema_name(environment, schema);
                Identified {
                    identity: Some(format!("\"_RETURN\" on {}", qualified(&schema, &view))),
                    names: vec![schema, view, "_RETURN".to_owned()],
                    ..Identified::missing("rule")
                }
            }
            None => Identified::missing("rule"),
        },
        PG_AUTHID => plain("role", catalog.role(object).map(|role| role.name.as_str())),
        PG_DATABASE => {
            let directory = environment.directory.lock().clone();
            let found = directory.databases.iter().find(|database| database.oid == object);
            plain("database", found.map(|database| database.name.as_str()))
        }
        PG_TABLESPACE => plain("tablespace", listed(&TABLESPACES)),
        PG_EXTENSION => {
            let found = catalog.extensions().find(|extension| extension.oid == object);
            plain("extension", found.map(|extension| extension.name.as_str()))
        }
        PG_LANGUAGE => plain("language", listed(&LANGUAGES)),
        PG_AM => {
            let found = ACCESS_METHODS.iter().find(|method| method.0 == object);
            plain("access method", found.map(|method| method.1))
        }
        PG_COLLATION => match collation_name(object) {
            Some(name) => Identified::within("collation", "pg_catalog", name),
            None => Identified::missing("collation"),
        },
        _ => return Err(SqlError::internal(format!("unrecognized object class: {class}"))),
    })
}

fn relation(environment: &Environment, object: Oid, column: i64) -> Identified {
    let place = relation_place(environment, object).zip(relation_word(environment, object));
    let Some(((schema, name), word)) = place else {
        return Identified::missing(if column == 0 { "relation" } else { "table column" });
    };
    let schema = schema_name(environment, schema);
    let mut found = Identified::within(word, &schema, &name);
    if column == 0 {
        return found;
    }
    let kind = match word {
        "view" => "view column",
        "materialized view" => "materialized view column",
        "index" => "index column",
        "sequence" => "sequence column",
        _ => "table column",
    };
    let Some(column) = column_name(environment, object, column) else { return Identified::missing(kind) };
    found.kind = kind;
    found.identity = Some(format!("{}.{}", qualified(&schema, &name), quote(&column)));
    found.names.push(column);
    found
}

fn routine(environment: &Environment, procedure: &Procedure) -> Identified {
    let types = types_identity(environment, &procedure.arguments);
    let kind = if procedure.kind == ProcedureKind::Aggregate { "aggregate" } else { "function" };
    let identity = format!("{}({})", qualified("pg_catalog", &procedure.name), types.join(","));
    Identified {
        identity: Some(identity),
        name: None,
        arguments: types,
        ..Identified::within(kind, "pg_catalog", &procedure.name)
    }
}

fn default_of(environment: &Environment, object: Oid) -> Identified {
    for entry in environment.catalog.tables() {
        let table = &entry.table;
        let column = table
            .live_columns()
            .find(|column| column.default.is_some() && default_oid(table.oid, column.number) == object);
        if let Some(column) = column {
            let schema = schema_name(environment, table.schema);
            return Identified {
                identity: Some(format!("for {}.{}", qualified(&schema, &table.name), quote(&column.name))),
                names: vec![schema, table.name.clone(), column.name.clone()],
                ..Identified::missing("default value")
            };
        }
    }
    Identified::missing("default value")
}

/// The words of a list; 22023 for a NULL among them.
fn words(argument: Option<&Datum>) -> Result<Vec<&str>> {
    let Some(Datum::Array(array)) = argument else { return Ok(Vec::new()) };
    let words: Option<Vec<&str>> = array.elements.iter().map(Datum::as_text).collect();
    words.ok_or_else(|| SqlError::invalid_parameter("name or argument lists may not contain nulls"))
}

/// The address of the object that words name.
fn address(environment: &Environment, arguments: &[Datum]) -> Result<(Oid, Oid, i32)> {
    let kind = arguments.first().and_then(Datum::as_text).unwrap_or_default();
    let (names, types) = (words(arguments.get(1))?, words(arguments.get(2))?);
    let undefined = |what: &str, name: &str| {
        SqlError::new(SqlState::UNDEFINED_OBJECT, format!("{what} \"{name}\" does not exist"))
    };
    let single = || match names[..] {
        [name] => Ok(name),
        _ => Err(SqlError::invalid_parameter("name list length must be exactly 1")),
    };
    let whole = |class: Oid, object: Oid| Ok((class, object, 0));
    let listed = |list: &[(u32, &str)], class: Oid| {
        let name = single()?;
        let found = list.iter().find(|each| each.1 == name);
        found.map(|each| (class, each.0, 0)).ok_or_else(|| undefined(kind, name))
    };
    match kind {
        "table" | "view" | "index" | "sequence" | "materialized view" => {
            whole(PG_CLASS, relation_of(environment, kind, &names)?)
        }
        "view column" | "materialized view column" | "index column" | "sequence column" => {
            Err(SqlError::invalid_parameter(format!("unsupported object type \"{kind}\"")))
        }
        "table column" => {
            let (column, relation) = column_of(&names)?;
            let relation = relation_of(environment, "table", relation)?;
            Ok((PG_CLASS, relation, i32::from(number_of(environment, relation, column)?)))
        }
        "default value" => {
            let (column, relation) = column_of(&names)?;
            let relation = relation_of(environment, "table", relation)?;
            let number = number_of(environment, relation, column)?;
            let has_one = environment.catalog.table(relation).is_some_and(|entry| {
                entry.table.live_columns().any(|each| each.number == number && each.default.is_some())
            });
            if has_one {
                return whole(PG_ATTRDEF, default_oid(relation, number));
            }
            let table = super::relation_name(environment, relation);
            let message =
                format!("default value for column \"{column}\" of relation \"{table}\" does not exist");
            Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message))
        }
        "table constraint" => {
            let Some((constraint, relation)) =
                names.split_last().filter(|(_, relation)| !relation.is_empty())
            else {
                return Err(SqlError::syntax("must specify relation and object name"));
            };
            let table = relation_of(environment, "table", relation)?;
            let mut found = environment.catalog.constraints().filter(|each| each.table == table);
            match found.find(|each| each.name == *constraint) {
                Some(constraint) => whole(PG_CONSTRAINT, constraint.oid),
                None => {
                    let table = super::relation_name(environment, table);
                    let message = format!("constraint \"{constraint}\" for table \"{table}\" does not exist");
                    Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
                }
            }
        }
        "type" => {
            let name = single()?;
            type_named(environment, name).map(|oid| (PG_TYPE, oid, 0)).ok_or_else(|| undefined(kind, name))
        }
        "function" | "aggregate" | "procedure" | "routine" => routine_of(environment, &names, &types),
        "operator" => {
            let [left, right] = types[..] else {
                return Err(SqlError::invalid_parameter("argument list length must be exactly 2"));
            };
            let operand = |name: &str| match name {
                "NONE" => Ok(0),
                name => type_named(environment, name).ok_or_else(|| undefined("type", name)),
            };
            let name = names.last().copied().unwrap_or_default();
            let found = operator_with(name, operand(left)?, operand(right)?);
            let message = || format!("operator does not exist: {left} {name} {right}");
            let found = found.ok_or_else(|| SqlError::new(SqlState::UNDEFINED_FUNCTION, message()))?;
            whole(PG_OPERATOR, found)
        }
        "schema" => {
            let name = single()?;
            let missing =
                || SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"));
            whole(PG_NAMESPACE, environment.catalog.schema_named(name).ok_or_else(missing)?.oid)
        }
        "role" => {
            let name = single()?;
            whole(PG_AUTHID, environment.catalog.role_named(name).ok_or_else(|| undefined(kind, name))?.oid)
        }
        "database" => {
            let name = single()?;
            let directory = environment.directory.lock().clone();
            let missing = || {
                SqlError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
            };
            let found = directory.databases.iter().find(|database| database.name == name);
            whole(PG_DATABASE, found.ok_or_else(missing)?.oid)
        }
        "extension" => {
            let name = single()?;
            let found = environment.catalog.extension_named(name);
            whole(PG_EXTENSION, found.ok_or_else(|| undefined(kind, name))?.oid)
        }
        "statistics object" => {
            let catalog = &environment.catalog;
            let found = match names[..] {
                [name] => {
                    let path = environment.search_path.iter();
                    path.filter_map(|schema| catalog.extended_statistics_named(*schema, name)).next()
                }
                [schema, name] => catalog
                    .schema_named(schema)
                    .and_then(|schema| catalog.extended_statistics_named(schema.oid, name)),
                _ => None,
            };
            whole(PG_STATISTIC_EXT, found.ok_or_else(|| undefined(kind, &names.join(".")))?.oid)
        }
        "language" => listed(&LANGUAGES, PG_LANGUAGE),
        "tablespace" => listed(&TABLESPACES, PG_TABLESPACE),
        "access method" => listed(&ACCESS_METHODS.map(|method| (method.0, method.1)), PG_AM),
        "collation" => match known_collation(names.last().copied().unwrap_or_default()) {
            0 => {
                let message =
                    format!("collation \"{}\" for encoding \"UTF8\" does not exist", names.join("."));
                Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
            }
            found => whole(PG_COLLATION, found),
        },
        _ => Err(SqlError::invalid_parameter(format!("unrecognized object type \"{kind}\""))),
    }
}

/// A column's name, and the words that name its relation.
fn column_of<'n>(names: &'n [&'n str]) -> Result<(&'n str, &'n [&'n str])> {
    match names.split_last() {
        Some((column, relation)) if !relation.is_empty() => Ok((column, relation)),
        Some(_) => Err(SqlError::syntax("column name must be qualified")),
        None => Err(SqlError::invalid_parameter("name list length must be at least 1")),
    }
}

fn relation_of(environment: &Environment, kind: &str, names: &[&str]) -> Result<Oid> {
    if names.is_empty() {
        return Err(SqlError::invalid_parameter("name list length must be at least 1"));
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    if names.len() > 3 {
        let message = format!("improper relation name (too many dotted names): {}", names.join("."));
        return Err(SqlError::syntax(message));
    }
    let found = relation_oid(&environment.actor(), &environment.search_path, &quoted.join("."))?;
    let word = relation_word(environment, found).unwrap_or("table");
    if word == kind {
        return Ok(found);
    }
    let name = relation_place(environment, found).map(|(_, name)| name).unwrap_or_default();
    let article = if kind == "index" { "an" } else { "a" };
    Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not {article} {kind}")))
}

fn number_of(environment: &Environment, relation: Oid, column: &str) -> Result<i16> {
    // As many columns as a relation may have.
    let found = (1..=1600i16).find(|number| {
        column_name(environment, relation, i64::from(*number)).is_some_and(|name| name == column)
    });
    found.ok_or_else(|| {
        let relation = super::relation_name(environment, relation);
        let message = format!("column \"{column}\" of relation \"{relation}\" does not exist");
        SqlError::new(SqlState::UNDEFINED_COLUMN, message)
    })
}

fn routine_of(environment: &Environment, names: &[&str], types: &[&str]) -> Result<(Oid, Oid, i32)> {
    let name = names.last().copied().unwrap_or_default();
    let mut wanted = Vec::new();
    for each in types {
        let missing = || SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{each}\" does not exist"));
        wanted.push(type_named(environment, each).ok_or_else(missing)?);
    }
    let found = procedures::named(name).iter().find(|procedure| procedure.arguments == wanted);
    found.map(|procedure| (PG_PROC, procedure.oid, 0)).ok_or_else(|| {
        let shown: Vec<String> =
            wanted.iter().map(|oid| format_type(DataType::of(*oid), environment)).collect();
        let message = format!("function {}({}) does not exist", names.join("."), shown.join(", "));
        SqlError::new(SqlState::UNDEFINED_FUNCTION, message)
    })
}
