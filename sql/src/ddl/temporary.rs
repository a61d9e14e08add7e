//! Temporary objects: they are in a schema of their session's, and end with it.
//!
//! They are stored as other tables are. What a crash leaves is dropped when the folder is opened next.

use sqlparser::ast;

use super::Ddl;
use super::dependency::{Thing, drop_things};
use crate::binder::name;
use crate::catalog::{OnCommit, SUPERUSER, Schema, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::session::Session;

/// What the names of sessions' schemas begin with.
pub const TEMPORARY_PREFIX: &str = "pg_temp_";

/// The name of a session's schema.
#[must_use]
pub fn temporary_schema(backend: i32) -> String {
    format!("{TEMPORARY_PREFIX}{backend}")
}

/// The schema that a new temporary object goes into; it is made for the first.
pub async fn target(ddl: &mut Ddl, object: &ast::ObjectName) -> Result<(u32, String)> {
    let (schema, base) = name::split(object)?;
    let own = temporary_schema(ddl.execution.environment.backend.number);
    if schema.is_some_and(|schema| schema != "pg_temp" && schema != own) {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            "cannot create temporary relation in non-temporary schema",
        ));
    }
    if let Some(found) = ddl.catalog.schema_named(&own) {
        return Ok((found.oid, base));
    }
    let oid = ddl.oid().await?;
    ddl.put(Schema { oid, name: own, owner: SUPERUSER }).await?;
    Ok((oid, base))
}

/// Drops a schema of temporary objects with all that is in it.
///
/// # Errors
/// Those of dropping and of committing.
pub async fn drop_schema(session: &mut Session, schema: u32) -> Result<()> {
    let mut ddl = session.begin_ddl("DROP SCHEMA").await?;
    let dropped = drop_things(&mut ddl, &[Thing::Schema(schema)], true).await;
    ddl.notices.clear();
    session.end_ddl(ddl, dropped.is_ok())?;
    dropped?;
    session.sync().await
}

/// What ON COMMIT says of a session's temporary tables.
///
/// # Errors
/// Those of truncating and dropping.
pub async fn at_commit(session: &mut Session) -> Result<()> {
    let mut ddl = session.begin_ddl("COMMIT").await?;
    let done = end_tables(&mut ddl).await;
    ddl.notices.clear();
    session.end_ddl(ddl, done.is_ok())?;
    done
}

async fn end_tables(ddl: &mut Ddl) -> Result<()> {
    let own = temporary_schema(ddl.execution.environment.backend.number);
    let Some(schema) = ddl.catalog.schema_named(&own).map(|schema| schema.oid) else { return Ok(()) };
    let with = |ddl: &Ddl, action: OnCommit| -> Vec<std::sync::Arc<TableEntry>> {
        let tables = ddl.catalog.tables();
        tables.filter(|each| each.table.schema == schema && each.table.on_commit == action).cloned().collect()
    };
    for entry in with(ddl, OnCommit::DeleteRows) {
        super::maintenance::empty(ddl, &entry).await?;
    }
    let gone: Vec<Thing> =
        with(ddl, OnCommit::Drop).iter().map(|entry| Thing::Table(entry.table.oid)).collect();
    drop_things(ddl, &gone, true).await
}
