//! CREATE, ALTER and DROP EXTENSION.

use sqlparser::ast;

use super::{Ddl, comment};
use crate::binder::name;
use crate::catalog::{Extension, PUBLIC, Rights, available_extension};
use crate::error::{Result, SqlError, SqlState};

pub async fn create(ddl: &mut Ddl, create: &ast::CreateExtension) -> Result<()> {
    let name = name::fold(&create.name);
    if ddl.catalog.extension_named(&name).is_some() || name == "plpgsql" {
        let message = format!("extension \"{name}\" already exists");
        if create.if_not_exists {
            ddl.notices.push(SqlError::new(SqlState::DUPLICATE_OBJECT, format!("{message}, skipping")));
            return Ok(());
        }
        return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
    }
    let Some(available) = available_extension(&name) else {
        return Err(SqlError::unsupported(format!("extension \"{name}\" is not available"))
            .with_hint("pg_available_extensions lists those that are."));
    };
    if !ddl.actor().may_on_database(Rights::CREATE) {
        let message = format!("permission denied to create extension \"{name}\"");
        return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
            .with_hint("Must have CREATE privilege on current database to create this extension."));
    }
    let version = create
        .version
        .as_ref()
        .map_or_else(|| available.version.to_string(), |version| version.value.clone());
    if version != available.version {
        return Err(SqlError::invalid_parameter(format!(
            "extension \"{name}\" has no installation script nor update path for version \"{version}\""
        )));
    }
    let schema = match &create.schema {
        None => PUBLIC,
        Some(schema) => {
            let schema = name::fold(schema);
            let found = ddl.catalog.schema_named(&schema);
            let missing = || {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
            };
            found.ok_or_else(missing)?.oid
        }
    };
    let oid = ddl.oid().await?;
    ddl.put(Extension { oid, name, schema, owner: ddl.own_role(), version }).await
}

/// ALTER … DEPENDS ON EXTENSION.
///
/// # Errors
/// 42704; 0A000, since extensions have no dependents.
pub fn depend(ddl: &Ddl, extension: &str) -> Result<()> {
    match ddl.catalog.extension_named(extension) {
        Some(_) => Err(SqlError::unsupported("DEPENDS ON EXTENSION is not supported yet")),
        None => {
            let message = format!("extension \"{extension}\" does not exist");
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
        }
    }
}

pub async fn drop(ddl: &mut Ddl, drop: &ast::DropExtension) -> Result<()> {
    for extension in &drop.names {
        let name = name::fold(extension);
        match ddl.catalog.extension_named(&name).cloned() {
            Some(found) => {
                comment::forget(ddl, found.oid).await?;
                ddl.remove((*found).clone()).await?;
            }
            None if drop.if_exists => ddl.notice(format!("extension \"{name}\" does not exist, skipping")),
            None => {
                let message = format!("extension \"{name}\" does not exist");
                return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
            }
        }
    }
    Ok(())
}
