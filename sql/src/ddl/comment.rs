//! COMMENT ON.

use sqlparser::ast::{self, ObjectNamePart};

use super::user_type::{Named, altered, named};
use super::{Ddl, alter_table, composite, extended_statistics, grant, large_object, role};
use crate::binder::{Relation, RelationKind, name, stored_relation};
use crate::catalog::{
    Comments, PG_AUTHID, PG_CLASS, PG_CONSTRAINT, PG_DATABASE, PG_LANGUAGE, PG_NAMESPACE, PG_PROC, PG_TYPE,
    SUPERUSER,
};
use crate::error::{Result, SqlError, SqlState};
use crate::large_object::PG_LARGEOBJECT;
use crate::parser::CommentTarget;
use crate::relations::extended_statistics::PG_STATISTIC_EXT;
use crate::relations::{ACCESS_METHODS, COLLATIONS, LANGUAGES, ProcedureKind, TABLESPACES, procedure};
use crate::rights::must_own;
use crate::types::{DataType, format_type};

/// The OIDs of the catalogs of what is there from the start.
const PG_AM: u32 = 2601;
const PG_TABLESPACE: u32 = 1213;
const PG_EXTENSION: u32 = 3079;
const PG_COLLATION: u32 = 3456;
/// The OID of the extension that counts as there.
const PLPGSQL: u32 = 13_823;

pub async fn comment(ddl: &mut Ddl, target: &CommentTarget, text: Option<&str>) -> Result<()> {
    match target {
        CommentTarget::Relation { kind, name } => {
            let relation = ddl.relation(name)?;
            if relation.kind() != *kind {
                let article = if *kind == RelationKind::Index { "an" } else { "a" };
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not {article} {}", relation.name(), kind.word()),
                ));
            }
            ddl.check_owns(&relation)?;
            let oid = match &relation {
                Relation::Virtual(builtin) => builtin.oid,
                stored => stored.stored_oid().unwrap_or(0),
            };
            set(ddl, PG_CLASS, oid, 0, text).await
        }
        CommentTarget::Column(object) => {
            let (oid, number) = column(ddl, object)?;
            check_owns_column(ddl, oid)?;
            set(ddl, PG_CLASS, oid, number, text).await
        }
        CommentTarget::Schema(schema) => {
            let base = name::fold(schema);
            let found = ddl.catalog.schema_named(&base).map(|schema| schema.oid);
            let oid = found.ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{base}\" does not exist"))
            })?;
            ddl.check_owns_schema(oid)?;
            set(ddl, PG_NAMESPACE, oid, 0, text).await
        }
        CommentTarget::Type(object) => match named(ddl, object)? {
            Named::User(found) => {
                ddl.check_owns_type(&found)?;
                set(ddl, PG_TYPE, found.oid, 0, text).await
            }
            Named::Builtin(data_type) => {
                let shown = format_type(data_type, &ddl.types());
                must_be_superuser(ddl, "type", &shown)?;
                set(ddl, PG_TYPE, data_type.oid, 0, text).await
            }
            _ => Err(SqlError::unsupported("comments on array types and row types are not supported yet")),
        },
        CommentTarget::DomainConstraint { constraint, domain } => {
            let found = altered(ddl, domain, true)?;
            let base = name::fold(constraint);
            ddl.check_owns_type(&found)?;
            let checks = found.domain().map_or(&[][..], |domain| &domain.checks);
            let oid = checks.iter().find(|each| each.name == base).map(|each| each.oid).ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{base}\" for domain {} does not exist", name::quote(&found.name)),
                )
            })?;
            set(ddl, PG_CONSTRAINT, oid, 0, text).await
        }
        CommentTarget::Constraint { constraint, table } => {
            let entry = ddl.table(table)?;
            if !ddl.actor().has_role(entry.table.owner) {
                return Err(must_own("relation", &entry.table.name));
            }
            let base = name::fold(constraint);
            let found = entry.constraints.iter().find(|each| each.name == base);
            let oid = found.map(|found| found.oid).ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{base}\" for table \"{}\" does not exist", entry.table.name),
                )
            })?;
            set(ddl, PG_CONSTRAINT, oid, 0, text).await
        }
        CommentTarget::Statistics(object) => {
            let oid = extended_statistics::commented(ddl, object)?;
            set(ddl, PG_STATISTIC_EXT, oid, 0, text).await
        }
        CommentTarget::LargeObject(oid) => {
            large_object::check_owns(ddl, *oid).await?;
            set(ddl, PG_LARGEOBJECT, *oid, 0, text).await
        }
        CommentTarget::Role(name) => {
            let found = role::find(ddl, name)?;
            if found.attributes.superuser {
                role::refuse(!role::is_superuser(ddl), "must be superuser")?;
            } else {
                role::refuse(!role::may_create_roles(ddl), "must have CREATEROLE privilege")?;
            }
            set(ddl, PG_AUTHID, found.oid, 0, text).await
        }
        CommentTarget::Database(database) => {
            let database = match ddl.database_named(&name::fold(database)) {
                Ok(found) => found,
                // So that a dump can be restored under another name.
                Err(error) => {
                    ddl.warnings.push(error);
                    return Ok(());
                }
            };
            if !ddl.actor().has_role(database.owner) {
                return Err(must_own("database", &database.name));
            }
            set(ddl, PG_DATABASE, database.oid, 0, text).await
        }
        CommentTarget::Extension(extension) => {
            let base = name::fold(extension);
            let found = ddl.catalog.extension_named(&base).map(|found| (found.oid, found.owner));
            let (oid, owner) = match (found, base.as_str()) {
                (Some(found), _) => found,
                (None, "plpgsql") => (PLPGSQL, SUPERUSER),
                _ => return Err(missing("extension", &base)),
            };
            if !ddl.actor().has_role(owner) {
                return Err(must_own("extension", &base));
            }
            set(ddl, PG_EXTENSION, oid, 0, text).await
        }
        CommentTarget::Function { name, arguments, is_aggregate } => {
            let (oid, base) = function(ddl, name, arguments.as_deref(), *is_aggregate)?;
            must_be_superuser(ddl, if *is_aggregate { "aggregate" } else { "function" }, &base)?;
            set(ddl, PG_PROC, oid, 0, text).await
        }
        CommentTarget::Language(language) => {
            let known = LANGUAGES.iter().map(|(oid, name)| (*oid, *name));
            on_system(ddl, (PG_LANGUAGE, "language"), &name::fold(language), known, text).await
        }
        CommentTarget::Tablespace(tablespace) => {
            let base = name::fold(tablespace);
            on_system(ddl, (PG_TABLESPACE, "tablespace"), &base, TABLESPACES.into_iter(), text).await
        }
        CommentTarget::AccessMethod(method) => {
            let base = name::fold(method);
            let known = ACCESS_METHODS.iter().map(|(oid, name, _)| (*oid, *name));
            role::refuse(!role::is_superuser(ddl), "must be superuser")?;
            on_system(ddl, (PG_AM, "access method"), &base, known, text).await
        }
        CommentTarget::Collation(collation) => {
            let base = name::split(collation)?.1;
            if !COLLATIONS.iter().any(|(_, known, _)| *known == base) {
                let message = format!("collation \"{base}\" for encoding \"UTF8\" does not exist");
                return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
            }
            let known = COLLATIONS.iter().map(|(oid, name, _)| (*oid, *name));
            on_system(ddl, (PG_COLLATION, "collation"), &base, known, text).await
        }
        CommentTarget::Absent { kind, name, table } => Err(absent(ddl, kind, name, table.as_ref())),
    }
}

fn missing(kind: &str, base: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("{kind} \"{base}\" does not exist"))
}

/// 42501 for who does not own what is there from the start.
fn must_be_superuser(ddl: &Ddl, kind: &str, base: &str) -> Result<()> {
    if ddl.actor().is_superuser() { Ok(()) } else { Err(must_own(kind, base)) }
}

/// A comment on one of those that are there from the start.
async fn on_system(
    ddl: &mut Ddl,
    (class, kind): (u32, &str),
    base: &str,
    mut known: impl Iterator<Item = (u32, &'static str)>,
    text: Option<&str>,
) -> Result<()> {
    let (oid, _) = known.find(|(_, known)| *known == base).ok_or_else(|| missing(kind, base))?;
    must_be_superuser(ddl, kind, base)?;
    set(ddl, class, oid, 0, text).await
}

/// The built-in function or aggregate of a name, and its name.
fn function(
    ddl: &Ddl,
    object: &ast::ObjectName,
    arguments: Option<&str>,
    is_aggregate: bool,
) -> Result<(u32, String)> {
    let base = name::split(object)?.1;
    let is_star = arguments == Some("*") && is_aggregate;
    let found = grant::function(ddl, &base, if is_star { Some("") } else { arguments });
    let oid = found.map_err(|error| {
        let shown = match is_star {
            true => format!("aggregate {base}(*) does not exist"),
            false if is_aggregate => error.message().replacen("function", "aggregate", 1),
            false => return error,
        };
        SqlError::new(error.state(), shown)
    })?;
    let is_one = procedure(oid).is_some_and(|each| matches!(each.kind, ProcedureKind::Aggregate));
    if is_aggregate && !is_one {
        let types = procedure(oid).map_or(&[][..], |each| &each.arguments);
        let types: Vec<_> = types.iter().map(|oid| format_type(DataType::of(*oid), &ddl.types())).collect();
        let message = format!("function {base}({}) is not an aggregate", types.join(", "));
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    Ok((oid, base))
}

/// What is said of something that cannot be there.
fn absent(ddl: &Ddl, kind: &str, object: &ast::ObjectName, table: Option<&ast::ObjectName>) -> SqlError {
    let base = match name::split(object) {
        Ok((_, base)) => base,
        Err(error) => return error,
    };
    let relation = |object: &ast::ObjectName| ddl.relation(object).map(|found| found.name().to_owned());
    match (kind, table.map(relation)) {
        (_, Some(Err(error))) => error,
        ("trigger" | "policy", Some(Ok(table))) => SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("{kind} \"{base}\" for table \"{table}\" does not exist"),
        ),
        (_, Some(Ok(table))) => SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("{kind} \"{base}\" for relation \"{table}\" does not exist"),
        ),
        ("foreign table", None) => match ddl.relation(object) {
            Ok(found) => SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a foreign table", found.name()),
            ),
            Err(error) => error,
        },
        (kind, None) => missing(kind, &base),
    }
}

fn check_owns_column(ddl: &Ddl, relation: u32) -> Result<()> {
    match stored_relation(&ddl.catalog, relation) {
        Some(found) if !ddl.actor().has_role(found.owner()) => Err(must_own("relation", found.name())),
        _ => Ok(()),
    }
}

fn column(ddl: &Ddl, object: &ast::ObjectName) -> Result<(u32, i16)> {
    let mut object = object.clone();
    let last = object.0.pop();
    let (Some(ObjectNamePart::Identifier(column)), false) = (last, object.0.is_empty()) else {
        return Err(SqlError::syntax("column name must be qualified"));
    };
    let base = name::fold(&column);
    if let Some(found) = composite::commented(ddl, &object, &base)? {
        return Ok(found);
    }
    match ddl.relation(&object)? {
        Relation::Stored(entry) => {
            Ok((entry.table.oid, alter_table::find_column(&entry.table, &base)?.number))
        }
        Relation::View(view) => {
            let at = (1..).zip(&view.columns).find(|(_, column)| column.name == base);
            let number = at.map(|(number, _)| number).ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{base}\" of relation \"{}\" does not exist", view.name),
                )
            })?;
            Ok((view.oid, number))
        }
        other => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot set comment on relation \"{}\"", other.name()),
        )
        .with_detail(format!("This operation is not supported for {}.", other.kind().plural()))),
    }
}

/// Sets the comment on an attribute of a composite type, by the relation that the type is.
pub async fn set_on_attribute(ddl: &mut Ddl, relation: u32, number: i16, text: Option<&str>) -> Result<()> {
    set(ddl, PG_CLASS, relation, number, text).await
}

/// Forgets the comment on an object that is no more.
pub async fn forget(ddl: &mut Ddl, oid: u32) -> Result<()> {
    match ddl.catalog.comments_on(oid).cloned() {
        Some(comments) => ddl.remove((*comments).clone()).await,
        None => Ok(()),
    }
}

async fn set(ddl: &mut Ddl, class: u32, oid: u32, column: i16, text: Option<&str>) -> Result<()> {
    let old = ddl.catalog.comments_on(oid).cloned();
    if old.as_ref().is_some_and(|old| old.class != class) {
        // Large objects may have the numbers of other objects, which catalogs tell apart by class, and comments are kept by number.
        return Err(SqlError::unsupported(format!("two objects of OID {oid} cannot both have comments yet")));
    }
    let mut comments =
        old.as_ref().map_or_else(|| Comments { oid, class, texts: Vec::new() }, |old| (**old).clone());
    comments.texts.retain(|(number, _)| *number != column);
    // An empty comment is none.
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        comments.texts.push((column, text.to_string()));
        comments.texts.sort();
    }
    match old {
        Some(old) if comments.texts.is_empty() => ddl.remove((*old).clone()).await,
        None if comments.texts.is_empty() => Ok(()),
        _ => ddl.put(comments).await,
    }
}
