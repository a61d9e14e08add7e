//! CREATE SCHEMA.

use sqlparser::ast;

use super::{Ddl, Work, role};
use crate::binder::name;
use crate::catalog::{PG_NAMESPACE, Rights, Schema};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{Definition, RoleName, SchemaElement};
use crate::rights::denied;

/// Makes a schema with what is in it: names without a schema are looked up there first.
pub async fn create_whole(
    ddl: &mut Ddl,
    create: &ast::Statement,
    elements: &[SchemaElement],
    text: &str,
) -> Result<()> {
    let ast::Statement::CreateSchema { schema_name, .. } = create else {
        return Err(SqlError::internal("CREATE SCHEMA is no statement"));
    };
    let made = create_schema(ddl, schema_name, false).await?;
    let path = ddl.binding.search_path.clone();
    for element in elements {
        ddl.refresh().await?;
        ddl.binding.search_path = made.iter().copied().chain(path.iter().copied()).collect();
        let work = match element {
            SchemaElement::Statement(statement) => Work::Statement(statement),
            SchemaElement::Definition(definition) => Work::Definition(definition),
        };
        refuse_other_schema(ddl, element, made)?;
        Box::pin(work.run(ddl, text)).await?;
    }
    Ok(())
}

/// 42P15 for an element that names another schema.
fn refuse_other_schema(ddl: &Ddl, element: &SchemaElement, made: Option<u32>) -> Result<()> {
    let object = match element {
        SchemaElement::Statement(statement) => match &**statement {
            ast::Statement::CreateTable(create) => &create.name,
            ast::Statement::CreateView(create) => &create.name,
            ast::Statement::CreateIndex(create) => &create.table_name,
            _ => return Ok(()),
        },
        SchemaElement::Definition(definition) => match &**definition {
            Definition::CreateSequence { name, .. } => name,
            Definition::CreateLike { create, .. } | Definition::CreateTyped { create, .. } => &create.name,
            _ => return Ok(()),
        },
    };
    let own = made.and_then(|oid| ddl.catalog.schema(oid)).map(|schema| schema.name.as_str());
    match (name::split(object)?.0, own) {
        (Some(given), Some(own)) if given != own => Err(SqlError::new(
            SqlState::INVALID_SCHEMA_DEFINITION,
            format!("CREATE specifies a schema ({given}) different from the one being created ({own})"),
        )),
        _ => Ok(()),
    }
}

/// Makes a schema; gives its OID, if it was not there.
pub async fn create_schema(
    ddl: &mut Ddl,
    schema: &ast::SchemaName,
    if_not_exists: bool,
) -> Result<Option<u32>> {
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
            return Ok(None);
        }
        return Err(SqlError::new(SqlState::DUPLICATE_SCHEMA, message));
    }
    let oid = ddl.oid().await?;
    ddl.begin_rights(b'n', PG_NAMESPACE, oid, 0, owner).await?;
    ddl.put(Schema { oid, name: base, owner }).await?;
    Ok(Some(oid))
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
