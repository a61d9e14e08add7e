//! CREATE SCHEMA.

use sqlparser::ast;

use super::{Ddl, role};
use crate::binder::name;
use crate::catalog::{PG_NAMESPACE, Rights, Schema};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::RoleName;
use crate::rights::denied;

pub async fn create_schema(ddl: &mut Ddl, schema: &ast::SchemaName, if_not_exists: bool) -> Result<()> {
    let owner = match schema {
        ast::SchemaName::Simple(_) => None,
        ast::SchemaName::NamedAuthorization(_, owner) | ast::SchemaName::UnnamedAuthorization(owner) => {
            Some(role::find(ddl, &RoleName::of(owner))?)
        }
    };
    let base = match (schema, &owner) {
        (ast::SchemaName::UnnamedAuthorization(_), Some(owner)) => owner.name.clone(),
        (ast::SchemaName::Simple(object) | ast::SchemaName::NamedAuthorization(object, _), _) => {
            name::split(object)?.1
        }
        (ast::SchemaName::UnnamedAuthorization(identifier), None) => name::fold(identifier),
    };
    check_may_create(ddl)?;
    let owner = match owner {
        Some(owner) => {
            role::check_is_member(ddl, &owner)?;
            owner.oid
        }
        None => ddl.own_role(),
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
    ddl.begin_rights(b'n', PG_NAMESPACE, oid, 0, owner).await?;
    ddl.put(Schema { oid, name: base, owner }).await
}

/// 42501 for a database that the role may not make schemas in.
///
/// # Errors
/// That.
pub fn check_may_create(ddl: &Ddl) -> Result<()> {
    if ddl.actor().may_on_database(Rights::CREATE) {
        return Ok(());
    }
    Err(denied("database", &ddl.binding.database))
}

/// 42939 for a name that only the system may give.
pub fn refuse_reserved(base: &str) -> Result<()> {
    if base.starts_with("pg_") {
        return Err(SqlError::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{base}\""))
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    Ok(())
}
