//! REINDEX and CLUSTER: indexes are never in need of the one, and rows lie in the order of the primary key whatever the
//! other says. What they name must be there, though, and belong to who asks.

use sqlparser::ast;

use crate::binder::{Relation, lookup_relation, name};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::Upkeep;
use crate::rights::must_own;
use crate::session::{Notice, Session};

/// Tests what a statement names; gives its tag.
///
/// # Errors
/// 42P01, 42704, 42809 and 42501 for what is not there, or not fit, or not one's own; 25001 within a transaction block.
pub async fn check(session: &mut Session, upkeep: &Upkeep) -> Result<&'static str> {
    match upkeep {
        Upkeep::ReindexIndex { index, concurrently } => {
            refuse_concurrently(session, *concurrently)?;
            reindex(session, index, true).await?;
        }
        Upkeep::ReindexTable { table, concurrently } => {
            refuse_concurrently(session, *concurrently)?;
            reindex(session, table, false).await?;
        }
        Upkeep::ReindexSchema { schema } => {
            session.refuse_in_block("REINDEX SCHEMA")?;
            let (catalog, binding) = session.binding().await?;
            let wanted = name::fold(schema);
            let Some(found) = catalog.schema_named(&wanted) else {
                let message = format!("schema \"{wanted}\" does not exist");
                return Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, message));
            };
            if !binding.who.among(&catalog).has_role(found.owner) {
                return Err(must_own("schema", &wanted));
            }
        }
        Upkeep::ReindexDatabase { word, database, concurrently } => {
            if *concurrently && *word == "SYSTEM" {
                return Err(SqlError::unsupported("cannot reindex system catalogs concurrently"));
            }
            session.refuse_in_block(if *word == "SYSTEM" { "REINDEX SYSTEM" } else { "REINDEX DATABASE" })?;
            let wanted = name::fold(database);
            if session.database().split('@').next() != Some(wanted.as_str()) {
                return Err(SqlError::unsupported("can only reindex the currently open database"));
            }
            let (catalog, binding) = session.binding().await?;
            if !binding.who.among(&catalog).has_role(binding.who.database_owner) {
                return Err(must_own("database", &wanted));
            }
        }
        Upkeep::ClusterAll => session.refuse_in_block("CLUSTER")?,
        Upkeep::Cluster { table, index } => cluster(session, table, index.as_ref()).await?,
    }
    Ok(if matches!(upkeep, Upkeep::Cluster { .. } | Upkeep::ClusterAll) { "CLUSTER" } else { "REINDEX" })
}

fn refuse_concurrently(session: &Session, concurrently: bool) -> Result<()> {
    if concurrently { session.refuse_in_block("REINDEX CONCURRENTLY") } else { Ok(()) }
}

/// Tests the index or table of a REINDEX.
async fn reindex(session: &mut Session, object: &ast::ObjectName, is_index: bool) -> Result<()> {
    let (catalog, binding) = session.binding().await?;
    let actor = binding.who.among(&catalog);
    let (schema, base) = name::split(object)?;
    let found = lookup_relation(&catalog, &actor, &binding.search_path, schema.as_deref(), &base)?;
    let unfit =
        |wanted: &str| Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{base}\" is not {wanted}")));
    match &found {
        Relation::Index(index) if is_index => {
            let owner = catalog.expect_table(index.table)?.table.owner;
            if actor.has_role(owner) { Ok(()) } else { Err(must_own("index", &base)) }
        }
        _ if is_index => unfit("an index"),
        Relation::Stored(entry) => {
            if !actor.has_role(entry.table.owner) {
                return Err(must_own(entry.table.word(), &base));
            }
            if entry.indexes.is_empty() {
                let message = format!("table \"{base}\" has no indexes to reindex");
                let error = SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message);
                session.notify(Notice { severity: "NOTICE", error });
            }
            Ok(())
        }
        Relation::Virtual(_) => Ok(()),
        _ => unfit("a table or materialized view"),
    }
}

/// Tests the table and the index of a CLUSTER.
async fn cluster(session: &mut Session, object: &ast::ObjectName, index: Option<&ast::Ident>) -> Result<()> {
    let (catalog, binding) = session.binding().await?;
    let actor = binding.who.among(&catalog);
    let (schema, base) = name::split(object)?;
    let found = lookup_relation(&catalog, &actor, &binding.search_path, schema.as_deref(), &base)?;
    let (indexes, schema) = match &found {
        Relation::Stored(entry) if !actor.has_role(entry.table.owner) => {
            return Err(must_own(entry.table.word(), &base));
        }
        Relation::Stored(entry) => (entry.indexes.clone(), entry.table.schema),
        Relation::Virtual(_) => (Vec::new(), crate::catalog::PG_CATALOG),
        _ => {
            let message = format!("\"{base}\" is not a table or materialized view");
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
    };
    let missing = |message: String| Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
    let Some(index) = index.map(name::fold) else {
        return missing(format!("there is no previously clustered index for table \"{base}\""));
    };
    let Some(found) = indexes.iter().find(|each| each.name == index) else {
        if catalog.relation_named(schema, &index).is_some() {
            let message = format!("\"{index}\" is not an index for table \"{base}\"");
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        return missing(format!("index \"{index}\" for table \"{base}\" does not exist"));
    };
    if found.predicate.is_some() {
        return Err(SqlError::unsupported(format!("cannot cluster on partial index \"{index}\"")));
    }
    Ok(())
}
