//! DROP TABLE, DROP INDEX, DROP SEQUENCE, DROP VIEW, DROP SCHEMA.

use sqlparser::ast;

use super::Ddl;
use super::dependency::{Thing, drop_things};
use crate::binder::{Relation, RelationKind, name};
use crate::error::{Result, SqlError, SqlState};

pub async fn drop_objects(
    ddl: &mut Ddl,
    object_type: &ast::ObjectType,
    if_exists: bool,
    names: &[ast::ObjectName],
    cascade: bool,
) -> Result<()> {
    let mut things = Vec::new();
    for object in names {
        let found = match object_type {
            ast::ObjectType::Table => relation(ddl, object, RelationKind::Table, if_exists)?,
            ast::ObjectType::Index => relation(ddl, object, RelationKind::Index, if_exists)?,
            ast::ObjectType::Sequence => relation(ddl, object, RelationKind::Sequence, if_exists)?,
            ast::ObjectType::View => relation(ddl, object, RelationKind::View, if_exists)?,
            ast::ObjectType::MaterializedView => {
                relation(ddl, object, RelationKind::MaterializedView, if_exists)?
            }
            ast::ObjectType::Schema => schema(ddl, object, if_exists)?,
            other => {
                // Nothing of the kind exists.
                let message = format!(
                    "{} \"{}\" does not exist",
                    other.to_string().to_lowercase(),
                    name::split(object)?.1
                );
                skip_or_fail(ddl, if_exists, SqlError::new(SqlState::UNDEFINED_TABLE, message))?
            }
        };
        if let Some(thing) = found
            && !things.contains(&thing)
        {
            refuse_part(ddl, thing)?;
            things.push(thing);
        }
    }
    drop_things(ddl, &things, cascade).await
}

/// DROP INDEX CONCURRENTLY, which waits for nobody here without saying so.
pub async fn drop_concurrently(
    ddl: &mut Ddl,
    names: &[ast::ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let refused =
        |what: &str| Err(SqlError::unsupported(format!("DROP INDEX CONCURRENTLY does not support {what}")));
    if names.len() > 1 {
        return refused("dropping multiple objects");
    }
    if cascade {
        return refused("CASCADE");
    }
    drop_objects(ddl, &ast::ObjectType::Index, if_exists, names, false).await
}

/// IF EXISTS makes a notice of the error.
fn skip_or_fail(ddl: &mut Ddl, if_exists: bool, error: SqlError) -> Result<Option<Thing>> {
    if !if_exists {
        return Err(error);
    }
    ddl.notice(format!("{}, skipping", error.message()));
    Ok(None)
}

fn relation(
    ddl: &mut Ddl,
    object: &ast::ObjectName,
    kind: RelationKind,
    if_exists: bool,
) -> Result<Option<Thing>> {
    let (schema, base) = name::split(object)?;
    let found = match ddl.relation(object) {
        Ok(found) => found,
        Err(error) if error.state() == SqlState::WRONG_OBJECT_TYPE => {
            let article = if kind == RelationKind::Index { "an" } else { "a" };
            let message = format!("\"{base}\" is not {article} {}", kind.word());
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_hint("Use DROP TYPE to remove a type."));
        }
        Err(_) => {
            if let Some(schema) = &schema
                && ddl.catalog.schema_named(schema).is_none()
            {
                let message = format!("schema \"{schema}\" does not exist");
                return skip_or_fail(ddl, if_exists, SqlError::new(SqlState::INVALID_SCHEMA_NAME, message));
            }
            let state = match kind {
                RelationKind::Index => SqlState::UNDEFINED_OBJECT,
                _ => SqlState::UNDEFINED_TABLE,
            };
            let shown = name::display(schema.as_deref(), &base);
            let message = format!("{} \"{shown}\" does not exist", kind.word());
            return skip_or_fail(ddl, if_exists, SqlError::new(state, message));
        }
    };
    if let Relation::Virtual(_) = found {
        ddl.check_owns(&found)?;
        return Err(SqlError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{base}\" is a system catalog"),
        ));
    }
    if found.kind() != kind {
        return Err(other_kind(&base, kind, found.kind()));
    }
    ddl.check_may_drop(&found)?;
    Ok(match found {
        Relation::Index(index) => Some(Thing::Index(index.oid)),
        Relation::Sequence(entry) => Some(Thing::Sequence(entry.sequence.oid)),
        Relation::View(view) => Some(Thing::View(view.oid)),
        Relation::Stored(entry) => Some(Thing::Table(entry.table.oid)),
        Relation::Virtual(_) => None,
    })
}

/// 42809 for something of another kind than the statement names.
fn other_kind(base: &str, wanted: RelationKind, found: RelationKind) -> SqlError {
    let article = |kind| if kind == RelationKind::Index { "an" } else { "a" };
    let message = format!("\"{base}\" is not {} {}", article(wanted), wanted.word());
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(format!(
        "Use DROP {} to remove {} {}.",
        found.word().to_uppercase(),
        article(found),
        found.word()
    ))
}

fn schema(ddl: &mut Ddl, object: &ast::ObjectName, if_exists: bool) -> Result<Option<Thing>> {
    let base = name::split(object)?.1;
    let Some(schema) = ddl.catalog.schema_named(&base).cloned() else {
        let message = format!("schema \"{base}\" does not exist");
        return skip_or_fail(ddl, if_exists, SqlError::new(SqlState::INVALID_SCHEMA_NAME, message));
    };
    ddl.check_owns_schema(schema.oid)?;
    if schema.oid < crate::catalog::PUBLIC || schema.oid == crate::catalog::INFORMATION_SCHEMA {
        return Err(SqlError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop schema {base} because it is required by the database system"),
        ));
    }
    Ok(Some(Thing::Schema(schema.oid)))
}

/// What is a part of something else goes with that alone.
fn refuse_part(ddl: &Ddl, thing: Thing) -> Result<()> {
    let whole = match thing {
        Thing::Index(oid) => ddl.catalog.index(oid).and_then(|index| {
            let entry = ddl.catalog.table(index.table)?;
            let owner = entry.constraints.iter().find(|each| each.index() == Some(oid))?;
            Some(Thing::Constraint(owner.oid))
        }),
        Thing::Sequence(oid) => ddl.catalog.sequence(oid).and_then(|entry| {
            let owner = entry.sequence.owned_by.filter(|owner| owner.is_identity)?;
            Some(Thing::Column(owner.table, owner.column))
        }),
        _ => None,
    };
    let Some(whole) = whole else { return Ok(()) };
    let whole = whole.describe(ddl);
    Err(SqlError::new(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {} because {whole} requires it", thing.describe(ddl)),
    )
    .with_hint(format!("You can drop {whole} instead.")))
}
