//! What enums, domains, ranges and composite types have in common: their names, and dropping them.

use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName};

use super::dependency::{Thing, drop_things};
use super::{Ddl, composite, domain, enumeration, range};
use crate::binder::{Relation, check_collation, data_type, name};
use crate::catalog::{INFORMATION_SCHEMA, PG_CATALOG, TypeDefinition, UserType, store};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::TypeStatement;
use crate::types::{BuiltinTypes, DataType, TypeCatalog, format_type};

pub async fn define(ddl: &mut Ddl, statement: &TypeStatement, text: &str) -> Result<()> {
    match statement {
        TypeStatement::CreateEnum { name, labels } => enumeration::create(ddl, name, labels).await,
        TypeStatement::CreateRange { name, attributes } => range::create(ddl, name, attributes).await,
        // Boxed, since what changes types rewrites tables: the state of it all would make each session's larger.
        TypeStatement::CreateComposite { name, attributes } => {
            Box::pin(composite::create(ddl, name, attributes)).await
        }
        TypeStatement::AlterComposite { name, changes } => {
            Box::pin(composite::alter(ddl, name, changes, text)).await
        }
        TypeStatement::RenameAttribute { name, attribute, new_name, cascade } => {
            Box::pin(composite::rename_attribute(ddl, name, [attribute, new_name], *cascade)).await
        }
        TypeStatement::AddValue { name, label, if_not_exists, place } => {
            enumeration::add_value(ddl, name, label, *if_not_exists, place.as_ref()).await
        }
        TypeStatement::RenameValue { name, label, new_label } => {
            enumeration::rename_value(ddl, name, label, new_label).await
        }
        TypeStatement::CreateDomain { name, data_type, collation, clauses } => {
            if let Some(collation) = collation {
                let base = data_type::resolve(data_type, &ddl.types())?;
                check_collation(&ddl.types(), base, collation)?;
            }
            domain::create(ddl, name, data_type, clauses, text).await
        }
        TypeStatement::AlterDomain { name, change } => domain::alter(ddl, name, change, text).await,
        TypeStatement::Drop { domains, names, if_exists, cascade } => {
            drop(ddl, *domains, names, *if_exists, *cascade).await
        }
    }
}

/// What the name of a type means.
pub enum Named {
    User(Arc<UserType>),
    /// An array type, of elements of this one.
    Array(Arc<UserType>),
    Builtin(DataType),
    /// The row type of a relation.
    Row(Relation),
}

impl Named {
    /// The type, which the statement is about to change; ALTER says what else it may be.
    fn into_user(self, ddl: &Ddl) -> Result<Arc<UserType>> {
        match self {
            Named::User(found) => Ok(found),
            Named::Array(element) => {
                let (array, element) = (shown(ddl, element.array_oid), shown(ddl, element.oid));
                Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot alter array type {array}"))
                    .with_hint(format!(
                        "You can alter type {element}, which will alter the array type as well."
                    )))
            }
            Named::Builtin(data_type) => Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: type {} is the system's", format_type(data_type, &BuiltinTypes)),
            )),
            Named::Row(relation) => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is a table's row type", name::quote(relation.name())),
            )
            .with_hint("Use ALTER TABLE instead.")),
        }
    }
}

/// A type's name as SQL writes it.
pub fn shown(ddl: &Ddl, oid: u32) -> String {
    format_type(DataType::of(oid), &ddl.types())
}

/// The type of a name.
///
/// # Errors
/// 42704; 3F000 for an unknown schema.
pub fn named(ddl: &Ddl, object: &ObjectName) -> Result<Named> {
    let (schema, base) = name::split(object)?;
    let found = ddl.types().user_type_named(schema.as_deref(), &base)?;
    if let Some(entry) = found.and_then(|oid| ddl.catalog.user_type(oid)) {
        let own = entry.definition.clone();
        return Ok(if found == Some(own.oid) { Named::User(own) } else { Named::Array(own) });
    }
    if let Some(relation) = ddl.relation(object).ok().filter(has_row_type) {
        return Ok(Named::Row(relation));
    }
    if schema.as_deref().is_none_or(|schema| schema == "pg_catalog") {
        let data_type = crate::parser::parse_data_type(&base).ok();
        let builtin = data_type.and_then(|it| crate::binder::data_type::resolve(&it, &ddl.types()).ok());
        let builtin = builtin.or_else(|| BuiltinTypes.type_by_name(&base).map(|info| DataType::of(info.oid)));
        if let Some(builtin) = builtin {
            return Ok(Named::Builtin(builtin));
        }
    }
    let shown = name::display(schema.as_deref(), &base);
    Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{shown}\" does not exist")))
}

fn has_row_type(relation: &Relation) -> bool {
    matches!(relation, Relation::Stored(_) | Relation::View(_))
}

/// A type's schema and name, which nothing may have yet.
pub async fn new_name(ddl: &mut Ddl, object: &ObjectName) -> Result<(u32, String)> {
    let (schema, base) = ddl.target_schema(object, false).await?;
    refuse_taken(ddl, schema, &base)?;
    Ok((schema, base))
}

/// 42710 where a type, or a relation with a row type, has the name.
pub fn refuse_taken(ddl: &Ddl, schema: u32, base: &str) -> Result<()> {
    let relation = ddl.catalog.relation_named(schema, base);
    let has_row_type =
        relation.is_some_and(|oid| ddl.catalog.table(oid).is_some() || ddl.catalog.view(oid).is_some());
    if has_row_type || ddl.catalog.type_named(schema, base).is_some() {
        return Err(store::duplicate_type(base));
    }
    Ok(())
}

/// 42710 where a relation about to be made would have a row type of the name of another type.
pub fn refuse_row_type(ddl: &Ddl, schema: u32, base: &str) -> Result<()> {
    if ddl.catalog.type_named(schema, base).is_none() {
        return Ok(());
    }
    Err(store::duplicate_type(base).with_hint(
        "A relation has an associated type of the same name, so you must use a name that doesn't conflict with any existing type.",
    ))
}

/// The name of the type of arrays: with underscores before it until it is free.
pub fn array_name(ddl: &Ddl, schema: u32, base: &str) -> String {
    let mut candidate = base.to_string();
    loop {
        candidate.insert(0, '_');
        let mut end = candidate.len().min(name::IDENTIFIER_BYTES_MAX);
        while !candidate.is_char_boundary(end) {
            end -= 1;
        }
        candidate.truncate(end);
        if refuse_taken(ddl, schema, &candidate).is_ok() || candidate.bytes().all(|byte| byte == b'_') {
            return candidate;
        }
    }
}

/// The type that ALTER TYPE or ALTER DOMAIN names.
pub fn altered(ddl: &Ddl, object: &ObjectName, is_domain: bool) -> Result<Arc<UserType>> {
    let found = named(ddl, object)?;
    if let Named::User(found) = &found
        && is_domain
        && found.domain().is_none()
    {
        let message = format!("{} is not a domain", shown(ddl, found.oid));
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    if is_domain && let Named::Builtin(data_type) = found {
        let message = format!("{} is not a domain", shown(ddl, data_type.oid));
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    found.into_user(ddl)
}

/// RENAME TO.
pub async fn rename(ddl: &mut Ddl, object: &ObjectName, is_domain: bool, new_name: &Ident) -> Result<()> {
    let old = altered(ddl, object, is_domain)?;
    ddl.check_owns_type(&old)?;
    let mut renamed = (*old).clone();
    renamed.name = name::fold(new_name);
    refuse_taken(ddl, old.schema, &renamed.name)?;
    renamed.array_name = array_name(ddl, old.schema, &renamed.name);
    ddl.replace((*old).clone(), renamed).await
}

/// SET SCHEMA.
pub async fn set_schema(ddl: &mut Ddl, object: &ObjectName, is_domain: bool, target: &Ident) -> Result<()> {
    let old = altered(ddl, object, is_domain)?;
    ddl.check_owns_type(&old)?;
    let target = name::fold(target);
    let schema = ddl.catalog.schema_named(&target).map(|schema| schema.oid).ok_or_else(|| {
        SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{target}\" does not exist"))
    })?;
    if matches!(schema, PG_CATALOG | INFORMATION_SCHEMA) {
        return Err(SqlError::unsupported("cannot move objects into or out of system schemas"));
    }
    ddl.check_may_create_in(schema)?;
    if schema == old.schema {
        return Ok(());
    }
    if ddl.catalog.type_named(schema, &old.name).is_some() {
        return Err(SqlError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("type \"{}\" already exists in schema \"{target}\"", old.name),
        ));
    }
    let mut moved = (*old).clone();
    moved.schema = schema;
    moved.array_name = array_name(ddl, schema, &old.name);
    ddl.replace((*old).clone(), moved).await
}

async fn drop(
    ddl: &mut Ddl,
    domains: bool,
    names: &[ast::ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let mut things = Vec::new();
    for object in names {
        let found = match named(ddl, object) {
            Ok(found) => found,
            Err(error) if if_exists => {
                ddl.notice(format!("{}, skipping", error.message()));
                continue;
            }
            Err(error) => return Err(error),
        };
        let thing = Thing::Type(dropped(ddl, object, found, domains)?);
        if !things.contains(&thing) {
            things.push(thing);
        }
    }
    drop_things(ddl, &things, cascade).await
}

/// The type that a name means, if it may be dropped by itself.
fn dropped(ddl: &Ddl, object: &ObjectName, found: Named, domains: bool) -> Result<u32> {
    if domains && !matches!(&found, Named::User(found) if found.domain().is_some()) {
        let (schema, base) = name::split(object)?;
        let message = format!("\"{}\" is not a domain", name::display(schema.as_deref(), &base));
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    let needed = |thing: String, whole: String| {
        SqlError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop type {thing} because {whole} requires it"),
        )
        .with_hint(format!("You can drop {whole} instead."))
    };
    match found {
        Named::User(found) => {
            if let TypeDefinition::Multirange { range, .. } = found.definition {
                return Err(needed(shown(ddl, found.oid), format!("type {}", shown(ddl, range))));
            }
            let of_schema = ddl.catalog.schema(found.schema);
            if !of_schema.is_some_and(|schema| ddl.actor().has_role(schema.owner)) {
                ddl.check_owns_type(&found)?;
            }
            Ok(found.oid)
        }
        Named::Array(element) => {
            Err(needed(shown(ddl, element.array_oid), format!("type {}", shown(ddl, element.oid))))
        }
        Named::Builtin(data_type) => Err(SqlError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "cannot drop type {} because it is required by the database system",
                format_type(data_type, &BuiltinTypes)
            ),
        )),
        Named::Row(relation) => {
            let base = name::quote(relation.name());
            Err(needed(base.clone(), format!("{} {base}", relation.kind().word())))
        }
    }
}
