//! CREATE SCHEMA.

use sqlparser::ast;

use super::Ddl;
use crate::binder::name;
use crate::catalog::{SUPERUSER, Schema};
use crate::error::{Result, SqlError, SqlState};

pub async fn create_schema(ddl: &mut Ddl, schema: &ast::SchemaName, if_not_exists: bool) -> Result<()> {
    let base = match schema {
        ast::SchemaName::Simple(object) | ast::SchemaName::NamedAuthorization(object, _) => {
            name::split(object)?.1
        }
        ast::SchemaName::UnnamedAuthorization(identifier) => name::fold(identifier),
    };
    refuse_reserved(&base)?;
    if ddl.catalog.schema_named(&base).is_some() {
        let message = format!("schema \"{base}\" already exists");
        if if_not_exists {
            ddl.notices.push(SqlError::new(SqlState::DUPLICATE_SCHEMA, format!("{message}, skipping")));
            return Ok(());
        }
        return Err(SqlError::new(SqlState::DUPLICATE_SCHEMA, message));
    }
    let oid = ddl.oid().await?;
    ddl.put(Schema { oid, name: base, owner: SUPERUSER }).await
}

/// 42939 for a name that only the system may give.
pub fn refuse_reserved(base: &str) -> Result<()> {
    if base.starts_with("pg_") {
        return Err(SqlError::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{base}\""))
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    Ok(())
}
