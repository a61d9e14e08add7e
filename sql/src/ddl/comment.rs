//! COMMENT ON.

use sqlparser::ast::{self, ObjectNamePart};

use super::user_type::{Named, altered, named};
use super::{Ddl, alter_table, large_object};
use crate::binder::{Relation, RelationKind, name, stored_relation};
use crate::catalog::{Comments, PG_CLASS, PG_CONSTRAINT, PG_NAMESPACE, PG_TYPE};
use crate::error::{Result, SqlError, SqlState};
use crate::large_object::PG_LARGEOBJECT;
use crate::parser::CommentTarget;
use crate::rights::must_own;

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
            let Some(oid) = relation.stored_oid() else { return Ok(()) };
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
            _ => Ok(()),
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
        CommentTarget::LargeObject(oid) => {
            large_object::check_owns(ddl, *oid).await?;
            set(ddl, PG_LARGEOBJECT, *oid, 0, text).await
        }
        CommentTarget::Other => Ok(()),
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
