//! DROP TABLE, DROP INDEX, DROP SCHEMA.

use std::sync::Arc;

use sqlparser::ast;

use super::Ddl;
use crate::binder::{Relation, lookup_relation, name};
use crate::catalog::TableEntry;
use crate::error::{Result, SqlError, SqlState};

pub async fn drop_objects(
    ddl: &mut Ddl,
    object_type: &ast::ObjectType,
    if_exists: bool,
    names: &[ast::ObjectName],
    cascade: bool,
) -> Result<()> {
    match object_type {
        ast::ObjectType::Table => {
            let mut entries = Vec::new();
            for object in names {
                entries.extend(find_table(ddl, object, if_exists)?);
            }
            for entry in &entries {
                drop_table(ddl, entry, &entries, cascade).await?;
            }
            Ok(())
        }
        ast::ObjectType::Index => {
            for object in names {
                drop_index(ddl, object, if_exists).await?;
            }
            Ok(())
        }
        ast::ObjectType::Schema => {
            for object in names {
                drop_schema(ddl, object, if_exists, cascade).await?;
            }
            Ok(())
        }
        other => {
            // Nothing of the kind exists.
            let kind = other.to_string().to_lowercase();
            for object in names {
                let message = format!("{kind} \"{}\" does not exist", name::split(object)?.1);
                if !if_exists {
                    return Err(SqlError::new(SqlState::UNDEFINED_TABLE, message));
                }
                ddl.notices.push((SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping")));
            }
            Ok(())
        }
    }
}

fn find_table(ddl: &mut Ddl, object: &ast::ObjectName, if_exists: bool) -> Result<Option<Arc<TableEntry>>> {
    let (schema, base) = name::split(object)?;
    match lookup_relation(&ddl.catalog, &ddl.binding.search_path, schema.as_deref(), &base) {
        Ok(Relation::Stored(entry)) => Ok(Some(entry)),
        Ok(Relation::Virtual(_)) => Err(SqlError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{base}\" is a system catalog"),
        )),
        Err(error) if error.state() == SqlState::UNDEFINED_TABLE => {
            let message = format!("table \"{base}\" does not exist");
            if !if_exists {
                return Err(SqlError::new(SqlState::UNDEFINED_TABLE, message));
            }
            ddl.notices.push((SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping")));
            Ok(None)
        }
        Err(error) if error.state() == SqlState::WRONG_OBJECT_TYPE => {
            Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{base}\" is not a table"))
                .with_hint("Use DROP INDEX to remove an index."))
        }
        Err(error) => Err(error),
    }
}

/// Removes a table; `together` are dropped by the same statement.
async fn drop_table(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    together: &[Arc<TableEntry>],
    cascade: bool,
) -> Result<()> {
    let table = &entry.table;
    ddl.lock(table).await?;
    for constraint in &entry.referenced_by {
        if together.iter().any(|each| each.table.oid == constraint.table) {
            continue;
        }
        let child = ddl.catalog.expect_table(constraint.table)?.table.name.clone();
        if !cascade {
            return Err(SqlError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop table {} because other objects depend on it", table.name),
            )
            .with_detail(format!(
                "constraint {} on table {child} depends on table {}",
                constraint.name, table.name
            ))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        ddl.notices.push((
            SqlState::SUCCESSFUL_COMPLETION,
            format!("drop cascades to constraint {} on table {child}", constraint.name),
        ));
        ddl.remove((**constraint).clone()).await?;
    }
    for constraint in &entry.constraints {
        ddl.remove((**constraint).clone()).await?;
    }
    for index in &entry.indexes {
        ddl.remove((**index).clone()).await?;
        if !index.primary {
            ddl.execution.transaction.drop_tree(index.tree);
        }
    }
    ddl.remove((**table).clone()).await?;
    ddl.execution.transaction.drop_tree(table.tree);
    Ok(())
}

async fn drop_index(ddl: &mut Ddl, object: &ast::ObjectName, if_exists: bool) -> Result<()> {
    let base = name::split(object)?.1;
    let Some(index) = super::index::find(ddl, object)? else {
        let message = format!("index \"{base}\" does not exist");
        if !if_exists {
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
        }
        ddl.notices.push((SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping")));
        return Ok(());
    };
    let entry = ddl.catalog.expect_table(index.table)?.clone();
    if entry.constraints.iter().any(|each| each.name == index.name) {
        return Err(SqlError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "cannot drop index {base} because constraint {base} on table {} requires it",
                entry.table.name
            ),
        )
        .with_hint(format!("You can drop constraint {base} on table {} instead.", entry.table.name)));
    }
    ddl.lock(&entry.table).await?;
    ddl.execution.transaction.drop_tree(index.tree);
    ddl.remove((*index).clone()).await
}

async fn drop_schema(ddl: &mut Ddl, object: &ast::ObjectName, if_exists: bool, cascade: bool) -> Result<()> {
    let base = name::split(object)?.1;
    let Some(schema) = ddl.catalog.schema_named(&base).cloned() else {
        let message = format!("schema \"{base}\" does not exist");
        if !if_exists {
            return Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, message));
        }
        ddl.notices.push((SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping")));
        return Ok(());
    };
    if schema.oid < crate::catalog::PUBLIC || schema.oid == crate::catalog::INFORMATION_SCHEMA {
        return Err(SqlError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop schema {base} because it is required by the database system"),
        ));
    }
    let inside: Vec<Arc<TableEntry>> =
        ddl.catalog.tables().filter(|entry| entry.table.schema == schema.oid).cloned().collect();
    if !inside.is_empty() && !cascade {
        let listed: Vec<String> = inside
            .iter()
            .map(|entry| format!("table {base}.{} depends on schema {base}", entry.table.name))
            .collect();
        return Err(SqlError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop schema {base} because other objects depend on it"),
        )
        .with_detail(listed.join("\n"))
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for entry in &inside {
        drop_table(ddl, entry, &inside, true).await?;
    }
    ddl.remove((*schema).clone()).await
}
