//! DDL: statements that change the catalog, each within the running transaction.

mod alter_table;
mod constraint;
mod create_table;
mod drop;
mod index;
mod maintenance;
mod schema;
mod storage;

use std::sync::Arc;

use helios_mvcc::{TableLockMode, TreeId};
use sqlparser::ast;

pub use maintenance::{analyze, check_tables, tables_named, truncate};

use crate::binder::{BindEnvironment, Binder, Relation, lookup_relation, name};
use crate::catalog::{CatalogSnapshot, INFORMATION_SCHEMA, Object, PG_CATALOG, Table, TableEntry, store};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::session::{Engine, Session};
use crate::write::{TableWriter, WAIT};

/// What a DDL statement works with.
pub struct Ddl {
    pub engine: Engine,
    pub execution: Execution,
    pub catalog: Arc<CatalogSnapshot>,
    pub binding: BindEnvironment,
    pub notices: Vec<(SqlState, String)>,
}

impl Ddl {
    /// A new OID.
    pub async fn oid(&self) -> Result<u32> {
        self.engine.allocate_oid().await
    }

    /// A new tree for rows or entries, filled as its parameters say.
    pub fn tree(&mut self, options: &[(String, String)], owner: storage::Owner) -> TreeId {
        self.execution.transaction.create_tree_filled(storage::fill_percent(options, owner))
    }

    /// A binder over the catalog before the statement.
    pub fn binder<'a>(&'a self, text: &'a str) -> Binder<'a> {
        Binder::new(&self.catalog, &self.binding, text, Vec::new())
    }

    /// Writes an object.
    pub async fn put(&mut self, object: impl Into<Object>) -> Result<()> {
        store::put(&mut self.execution.transaction, &object.into()).await
    }

    /// Replaces an object.
    pub async fn replace(&mut self, old: impl Into<Object>, new: impl Into<Object>) -> Result<()> {
        store::replace(&mut self.execution.transaction, &old.into(), &new.into()).await
    }

    /// Removes an object.
    pub async fn remove(&mut self, object: impl Into<Object>) -> Result<()> {
        store::remove(&mut self.execution.transaction, &object.into()).await
    }

    /// Keeps everybody else away from a table.
    pub async fn lock(&mut self, table: &Table) -> Result<()> {
        let object = u64::from(table.oid);
        Ok(self.execution.transaction.lock_table(object, TableLockMode::AccessExclusive, WAIT).await?)
    }

    /// The schema that a new object goes into, and its name.
    pub fn target_schema(&self, object: &ast::ObjectName) -> Result<(u32, String)> {
        let (schema, base) = name::split(object)?;
        let Some(schema) = schema else {
            let own = self
                .binding
                .search_path
                .iter()
                .find(|oid| **oid != PG_CATALOG && **oid != INFORMATION_SCHEMA);
            let own = own.ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
            })?;
            return Ok((*own, base));
        };
        match self.catalog.schema_named(&schema) {
            Some(found) if found.oid == PG_CATALOG || found.oid == INFORMATION_SCHEMA => Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to create \"{schema}.{base}\""),
            )
            .with_detail("System catalog modifications are currently disallowed.")),
            Some(found) => Ok((found.oid, base)),
            None => Err(SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            )),
        }
    }

    /// The stored table of a name.
    pub fn table(&self, object: &ast::ObjectName) -> Result<Arc<TableEntry>> {
        let (schema, base) = name::split(object)?;
        match lookup_relation(&self.catalog, &self.binding.search_path, schema.as_deref(), &base)? {
            Relation::Stored(entry) => Ok(entry),
            Relation::Virtual(relation) => Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", relation.name),
            )),
        }
    }

    /// A writer for a table as it is now.
    pub fn writer(&self, entry: &Arc<TableEntry>) -> Result<TableWriter> {
        TableWriter::new(entry, &mut self.binder(""))
    }

    /// A name for an index or constraint that nothing has yet: `base`, `base1`, …
    pub fn free_name(&self, schema: u32, base: &str, taken: &[String]) -> String {
        let is_taken = |name: &str| {
            taken.iter().any(|each| each == name)
                || self.catalog.relation_named(schema, name).is_some()
                || self.catalog.constraints().any(|each| each.schema == schema && each.name == name)
        };
        if !is_taken(base) {
            return base.to_string();
        }
        (1u32..).map(|number| format!("{base}{number}")).find(|name| !is_taken(name)).unwrap_or_default()
    }
}

/// Runs a DDL statement; `None` if it is none that is known.
///
/// # Errors
/// All the errors of DDL.
pub async fn run(session: &mut Session, statement: &ast::Statement, text: &str) -> Result<Option<String>> {
    use ast::Statement as S;
    let command = match statement {
        S::CreateTable(_) => "CREATE TABLE",
        S::CreateIndex(_) => "CREATE INDEX",
        S::AlterTable(_) => "ALTER TABLE",
        S::CreateSchema { .. } => "CREATE SCHEMA",
        S::Drop { object_type, .. } => match object_type {
            ast::ObjectType::Table => "DROP TABLE",
            ast::ObjectType::Index => "DROP INDEX",
            ast::ObjectType::Schema => "DROP SCHEMA",
            ast::ObjectType::View => "DROP VIEW",
            ast::ObjectType::Sequence => "DROP SEQUENCE",
            _ => return Ok(None),
        },
        S::AlterIndex { .. } => "ALTER INDEX",
        _ => return Ok(None),
    };
    let mut ddl = session.begin_ddl(command).await?;
    let changed = dispatch(&mut ddl, statement, text).await;
    session.end_ddl(ddl, changed.is_ok())?;
    changed?;
    Ok(Some(command.to_string()))
}

async fn dispatch(ddl: &mut Ddl, statement: &ast::Statement, text: &str) -> Result<()> {
    use ast::Statement as S;
    match statement {
        S::CreateTable(create) => create_table::create_table(ddl, create, text).await,
        S::CreateIndex(create) => index::create_index(ddl, create).await,
        S::AlterTable(alter) => alter_table::alter_table(ddl, alter, text).await,
        S::AlterIndex { name, operation } => index::alter_index(ddl, name, operation).await,
        S::CreateSchema { schema_name, if_not_exists, .. } => {
            schema::create_schema(ddl, schema_name, *if_not_exists).await
        }
        S::Drop { object_type, if_exists, names, cascade, .. } => {
            drop::drop_objects(ddl, object_type, *if_exists, names, *cascade).await
        }
        _ => Err(SqlError::internal("a statement without a DDL function")),
    }
}
