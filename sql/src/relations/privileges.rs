//! Questions about rights: `has_table_privilege` and its siblings, `aclexplode`, `acldefault`, `makeaclitem`.
//!
//! A question names a role (or means the current one), an object, perhaps a column, and rights with commas between
//! them, any of which will do. What is named must exist; what an OID means need not: then the answer is NULL.

use crate::catalog::{EVERYBODY, Grant, ObjectRights, Rights, SecuredKind, default_grants};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::rights::{
    Actor, Secured, database, function, grant_text, grants_datum, language, object_type, parse_grant,
    relation, schema,
};

use super::object_functions::function_oid;
use super::registry::LANGUAGES;
use crate::types::oids;
use crate::value::{ArrayValue, Datum};

/// Calls one of these functions; `None` for any other.
pub fn call(environment: &Environment, name: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let question = match name {
        "has_table_privilege" => table,
        "has_sequence_privilege" => sequence,
        "has_any_column_privilege" => any_column,
        "has_schema_privilege" => in_schema,
        "has_database_privilege" => on_database,
        "has_type_privilege" => on_type,
        "has_function_privilege" => on_function,
        "has_language_privilege" => on_language,
        "has_tablespace_privilege" => on_tablespace,
        "has_foreign_data_wrapper_privilege" => on_wrapper,
        "has_server_privilege" => on_server,
        "has_parameter_privilege" => on_parameter,
        "has_column_privilege" => return Some(column(environment, arguments)),
        "aclexplode" => return Some(explode(environment, arguments)),
        "acldefault" => return Some(default_list(environment, arguments)),
        "makeaclitem" => return Some(make(environment, arguments)),
        _ => return None,
    };
    let (role, rest) = match arguments {
        [role, object, wanted] => (Some(role), (object, wanted)),
        [object, wanted] => (None, (object, wanted)),
        _ => return Some(Err(SqlError::internal("a question about rights has two or three arguments"))),
    };
    let actor = match actor(environment, role) {
        Ok(actor) => actor,
        Err(error) => return Some(Err(error)),
    };
    Some(question(environment, &actor, rest.0, rest.1.as_text().unwrap_or_default()).map(Datum::from))
}

/// The role that is asked about.
fn actor<'e>(environment: &'e Environment, role: Option<&Datum>) -> Result<Actor<'e>> {
    let Some(role) = role else { return Ok(environment.actor()) };
    let oid = match role.as_text() {
        Some("public") => EVERYBODY,
        Some(name) => environment.catalog.role_named(name).map(|role| role.oid).ok_or_else(|| {
            SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
        })?,
        None => number(role),
    };
    Ok(environment.who.instead(oid).among(&environment.catalog))
}

fn number(value: &Datum) -> u32 {
    value.as_i64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// Rights as they are asked for; `true`: whether they may be granted on.
fn wanted(text: &str, kind: SecuredKind) -> Result<Vec<(Rights, bool)>> {
    let mut found = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let lower = part.to_ascii_lowercase();
        let (word, option) = match lower.strip_suffix(" with grant option") {
            Some(word) => (word, true),
            None => (lower.as_str(), false),
        };
        let right = Rights::named(word)
            .filter(|right| kind.all().has(*right))
            .ok_or_else(|| SqlError::invalid_parameter(format!("unrecognized privilege type: \"{part}\"")))?;
        found.push((right, option));
    }
    Ok(found)
}

fn has_any(actor: &Actor<'_>, secured: &Secured<'_>, wanted: &[(Rights, bool)]) -> bool {
    wanted.iter().any(|(right, option)| {
        let found = if *option { actor.grantable(secured, *right) } else { actor.rights(secured, *right) };
        !found.is_empty()
    })
}

/// 3F000 for a relation's name with a schema that does not exist.
fn missing_schema(environment: &Environment, text: &str) -> Option<SqlError> {
    let (schema, _) = text.split_once('.')?;
    let name = crate::session::split_list(schema).pop()?;
    let message = format!("schema \"{name}\" does not exist");
    let is_missing = environment.catalog.schema_named(&name).is_none();
    is_missing.then(|| SqlError::new(SqlState::INVALID_SCHEMA_NAME, message))
}

/// The OID of the relation that a question names.
fn relation_of(environment: &Environment, object: &Datum) -> Result<u32> {
    match object.as_text() {
        Some(text) => super::relation_oid(&environment.actor(), &environment.search_path, text)
            .map_err(|error| missing_schema(environment, text).unwrap_or(error)),
        None => Ok(number(object)),
    }
}

fn table(environment: &Environment, actor: &Actor<'_>, object: &Datum, text: &str) -> Result<Option<bool>> {
    let oid = relation_of(environment, object)?;
    let wanted = wanted(text, SecuredKind::Relation)?;
    Ok(relation(&environment.catalog, oid).map(|secured| has_any(actor, &secured, &wanted)))
}

fn sequence(
    environment: &Environment,
    actor: &Actor<'_>,
    object: &Datum,
    text: &str,
) -> Result<Option<bool>> {
    let wanted = wanted(text, SecuredKind::Sequence)?;
    let oid = relation_of(environment, object)?;
    let Some(secured) = relation(&environment.catalog, oid) else { return Ok(None) };
    if secured.kind != SecuredKind::Sequence {
        let name = super::relation_place(environment, oid).map(|(_, name)| name).unwrap_or_default();
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a sequence")));
    }
    Ok(Some(has_any(actor, &secured, &wanted)))
}

fn any_column(
    environment: &Environment,
    actor: &Actor<'_>,
    object: &Datum,
    text: &str,
) -> Result<Option<bool>> {
    let oid = relation_of(environment, object)?;
    let wanted = wanted(text, SecuredKind::Column)?;
    let Some(secured) = relation(&environment.catalog, oid) else { return Ok(None) };
    let listed = environment.catalog.rights_on(oid);
    let columns = listed.map_or(&[][..], |rights: &std::sync::Arc<ObjectRights>| &rights.columns);
    let on_column = |grants: &[Grant]| has_any(actor, &of_column(&secured, grants), &wanted);
    Ok(Some(has_any(actor, &secured, &wanted) || columns.iter().any(|(_, grants)| on_column(grants))))
}

fn of_column<'c>(whole: &Secured<'c>, grants: &[Grant]) -> Secured<'c> {
    Secured {
        kind: SecuredKind::Column,
        owner: whole.owner,
        grants: grants.to_vec().into(),
        is_system: whole.is_system,
    }
}

/// `has_column_privilege([role,] table, column, rights)`
fn column(environment: &Environment, arguments: &[Datum]) -> Result<Datum> {
    let (role, object, column, text) = match arguments {
        [role, object, column, text] => (Some(role), object, column, text),
        [object, column, text] => (None, object, column, text),
        _ => return Err(SqlError::internal("has_column_privilege takes three or four arguments")),
    };
    let actor = actor(environment, role)?;
    let oid = relation_of(environment, object)?;
    let Some(number) = column_number(environment, oid, column)? else { return Ok(Datum::Null) };
    let wanted = wanted(text.as_text().unwrap_or_default(), SecuredKind::Column)?;
    let Some(secured) = relation(&environment.catalog, oid) else { return Ok(Datum::Null) };
    let listed = environment.catalog.rights_on(oid).and_then(|rights| rights.column(number));
    let on_column = listed.is_some_and(|grants| has_any(&actor, &of_column(&secured, grants), &wanted));
    Ok(Datum::Bool(on_column || has_any(&actor, &secured, &wanted)))
}

/// The number of a column; `None` where the relation or a column of that number does not exist.
fn column_number(environment: &Environment, oid: u32, column: &Datum) -> Result<Option<i16>> {
    let catalog = &environment.catalog;
    let names: Vec<(i16, String)> = if let Some(entry) = catalog.table(oid) {
        entry.table.live_columns().map(|column| (column.number, column.name.clone())).collect()
    } else if let Some(view) = catalog.view(oid) {
        (1..).zip(view.columns.iter().map(|column| column.name.clone())).collect()
    } else if let Some(computed) = super::with_oid(oid) {
        (1..).zip(computed.columns.iter().map(|(name, _)| (*name).to_string())).collect()
    } else {
        return Ok(None);
    };
    let Some(wanted) = column.as_text() else {
        let number = column.as_i64().and_then(|number| i16::try_from(number).ok());
        return Ok(number.filter(|number| names.iter().any(|(each, _)| each == number)));
    };
    match names.iter().find(|(_, name)| name == wanted) {
        Some((number, _)) => Ok(Some(*number)),
        None => {
            let relation = super::relation_place(environment, oid).map(|(_, name)| name).unwrap_or_default();
            let message = format!("column \"{wanted}\" of relation \"{relation}\" does not exist");
            Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message))
        }
    }
}

fn in_schema(
    environment: &Environment,
    actor: &Actor<'_>,
    object: &Datum,
    text: &str,
) -> Result<Option<bool>> {
    let oid = match object.as_text() {
        Some(name) => environment.catalog.schema_named(name).map(|schema| schema.oid).ok_or_else(|| {
            SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
        })?,
        None => number(object),
    };
    let wanted = wanted(text, SecuredKind::Schema)?;
    Ok(schema(&environment.catalog, oid).map(|secured| has_any(actor, &secured, &wanted)))
}

fn on_database(
    environment: &Environment,
    actor: &Actor<'_>,
    object: &Datum,
    text: &str,
) -> Result<Option<bool>> {
    let directory = environment.directory.lock().clone();
    let found = match object.as_text() {
        Some(name) => {
            let own = (name == environment.database).then(|| directory.database_of(environment.branch));
            let found = directory.database(name).or(own.flatten());
            let missing = || {
                let message = format!("database \"{name}\" does not exist");
                SqlError::new(SqlState::INVALID_CATALOG_NAME, message)
            };
            Some(found.ok_or_else(missing)?)
        }
        None => directory.databases.iter().find(|database| database.oid == number(object)),
    };
    let wanted = wanted(text, SecuredKind::Database)?;
    Ok(found.map(|found| has_any(actor, &database(&environment.catalog, found.oid, found.owner), &wanted)))
}

fn on_type(environment: &Environment, actor: &Actor<'_>, object: &Datum, text: &str) -> Result<Option<bool>> {
    let oid = match object.as_text() {
        Some(name) => super::catalog_functions::type_named(environment, name).ok_or_else(|| {
            SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
        })?,
        None => number(object),
    };
    let wanted = wanted(text, SecuredKind::Type)?;
    Ok(object_type(&environment.catalog, oid).map(|secured| has_any(actor, &secured, &wanted)))
}

/// A built-in object, with the rights that its kind begins with.
fn everybodys(actor: &Actor<'_>, kind: SecuredKind, text: &str) -> Result<Option<bool>> {
    let wanted = wanted(text, kind)?;
    let owner = crate::catalog::SUPERUSER;
    let secured = Secured { kind, owner, grants: default_grants(kind, owner).into(), is_system: false };
    Ok(Some(has_any(actor, &secured, &wanted)))
}

fn on_function(
    environment: &Environment,
    actor: &Actor<'_>,
    object: &Datum,
    text: &str,
) -> Result<Option<bool>> {
    let oid = match object.as_text() {
        Some(signature) => function_oid(environment, signature)?.ok_or_else(|| {
            let message = format!("function \"{signature}\" does not exist");
            SqlError::new(SqlState::UNDEFINED_FUNCTION, message)
        })?,
        None => number(object),
    };
    let wanted = wanted(text, SecuredKind::Function)?;
    let exists = super::procedures::procedure(oid).is_some();
    Ok(exists.then(|| has_any(actor, &function(&environment.catalog, oid), &wanted)))
}

/// 42704, unless one of the built-in names is asked for.
fn check_named(object: &Datum, known: &[&str], word: &str) -> Result<()> {
    match object.as_text() {
        Some(name) if !known.contains(&name) => {
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("{word} \"{name}\" does not exist")))
        }
        _ => Ok(()),
    }
}

fn on_language(
    environment: &Environment,
    actor: &Actor<'_>,
    object: &Datum,
    text: &str,
) -> Result<Option<bool>> {
    let known = |oid: u32, name: &str| object.as_text().map_or(number(object) == oid, |text| text == name);
    let found = LANGUAGES.iter().find(|(oid, name)| known(*oid, name));
    if found.is_none() {
        check_named(object, &[], "language")?;
    }
    let wanted = wanted(text, SecuredKind::Language)?;
    Ok(found.map(|(oid, _)| has_any(actor, &language(&environment.catalog, *oid), &wanted)))
}

fn on_tablespace(_: &Environment, actor: &Actor<'_>, object: &Datum, text: &str) -> Result<Option<bool>> {
    check_named(object, &["pg_default", "pg_global"], "tablespace")?;
    everybodys(actor, SecuredKind::Tablespace, text)
}

fn on_wrapper(_: &Environment, _: &Actor<'_>, object: &Datum, text: &str) -> Result<Option<bool>> {
    check_named(object, &[], "foreign-data wrapper")?;
    wanted(text, SecuredKind::ForeignDataWrapper)?;
    Ok(None)
}

fn on_server(_: &Environment, _: &Actor<'_>, object: &Datum, text: &str) -> Result<Option<bool>> {
    check_named(object, &[], "server")?;
    wanted(text, SecuredKind::ForeignServer)?;
    Ok(None)
}

fn on_parameter(_: &Environment, actor: &Actor<'_>, _: &Datum, text: &str) -> Result<Option<bool>> {
    everybodys(actor, SecuredKind::Parameter, text)
}

/// The rows of `aclexplode`, each as `grantor grantee grantable right`.
fn explode(environment: &Environment, arguments: &[Datum]) -> Result<Datum> {
    let Some(Datum::Array(list)) = arguments.first() else { return Ok(Datum::Null) };
    let mut rows = Vec::new();
    for item in list.elements.iter().filter_map(Datum::as_text) {
        let grant = parse_grant(&environment.catalog, item)?;
        for right in grant.rights.each() {
            let Grant { grantor, grantee, options, .. } = grant;
            rows.push(Datum::text(format!("{grantor} {grantee} {} {}", options.has(right), right.name())));
        }
    }
    Ok(ArrayValue::from_elements(oids::TEXT, rows).into())
}

/// `acldefault(kind, owner)`
fn default_list(environment: &Environment, arguments: &[Datum]) -> Result<Datum> {
    let (Some(Datum::Char(letter)), Some(owner)) = (arguments.first(), arguments.get(1)) else {
        return Ok(Datum::Null);
    };
    let kind = SecuredKind::of_letter(*letter).ok_or_else(|| {
        SqlError::internal(format!("unrecognized objtype abbreviation: {}", char::from(*letter)))
    })?;
    Ok(grants_datum(&environment.catalog, &default_grants(kind, number(owner))))
}

/// `makeaclitem(grantee, grantor, rights, grantable)`
fn make(environment: &Environment, arguments: &[Datum]) -> Result<Datum> {
    let [grantee, grantor, text, grantable] = arguments else {
        return Err(SqlError::internal("makeaclitem takes four arguments"));
    };
    let text = text.as_text().unwrap_or_default();
    let rights = Rights::named(&text.to_ascii_lowercase())
        .ok_or_else(|| SqlError::invalid_parameter(format!("unrecognized privilege type: \"{text}\"")))?;
    let options = if grantable.as_bool() == Some(true) { rights } else { Rights::NONE };
    let grant = Grant { grantee: number(grantee), grantor: number(grantor), rights, options };
    Ok(Datum::text(grant_text(&environment.catalog, &grant)))
}
