//! CREATE INDEX and ALTER INDEX.

use std::sync::Arc;

use sqlparser::ast;

use super::storage::{self, Owner};
use super::{Ddl, constraint};
use crate::binder::{Relation, name};
use crate::catalog::{Index, IndexColumn, TableEntry, store};
use crate::error::{Result, SqlError, SqlState};
use crate::write;

pub async fn create_index(ddl: &mut Ddl, create: &ast::CreateIndex) -> Result<()> {
    let entry = ddl.table(&create.table_name)?;
    let table = entry.table.clone();
    match &create.using {
        None | Some(ast::IndexType::BTree | ast::IndexType::Hash) => {}
        Some(other) => {
            return Err(SqlError::unsupported(format!(
                "access method \"{}\" is not supported yet",
                other.to_string().to_lowercase()
            )));
        }
    }
    if create.predicate.is_some() || !create.include.is_empty() {
        return Err(SqlError::unsupported("partial and covering indexes are not supported yet"));
    }
    let mut columns = Vec::new();
    let mut names = Vec::new();
    for column in &create.columns {
        let ast::Expr::Identifier(identifier) = &column.column.expr else {
            return Err(SqlError::unsupported("indexes on expressions are not supported yet"));
        };
        let wanted = name::fold(identifier);
        let number = table.column(&wanted).map(|column| column.number).ok_or_else(|| {
            SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{wanted}\" does not exist"))
        })?;
        let options = &column.column.options;
        let descending = matches!(options.sort, Some(ast::OrderBySort::Desc));
        columns.push(IndexColumn {
            number,
            descending,
            nulls_first: options.nulls_first.unwrap_or(descending),
        });
        names.push(wanted);
    }
    let index_name = match &create.name {
        Some(object) => name::split(object)?.1,
        None => ddl.free_name(table.schema, &constraint::generated_name(&table.name, &names, "idx"), &[]),
    };
    if ddl.catalog.relation_named(table.schema, &index_name).is_some() {
        if create.if_not_exists {
            ddl.notices.push(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{index_name}\" already exists, skipping"),
            ));
            return Ok(());
        }
        return Err(store::duplicate_relation(&index_name));
    }
    ddl.lock(&table).await?;
    let options = storage::of_index(&create.with)?;
    let index = Index {
        oid: ddl.oid().await?,
        table: table.oid,
        schema: table.schema,
        name: index_name,
        tree: ddl.tree(&options, Owner::Index),
        columns,
        unique: create.unique,
        primary: false,
        nulls_not_distinct: create.nulls_distinct == Some(false),
        options,
    };
    fill(ddl, &entry, &index).await?;
    ddl.put(index).await
}

/// Fills a new index from its table's rows.
pub async fn fill(ddl: &mut Ddl, entry: &Arc<TableEntry>, index: &Index) -> Result<()> {
    let writer = ddl.writer(entry)?;
    let index_writer = write::index_writer(&entry.table, index);
    write::build_index(&writer, &index_writer, &mut ddl.execution).await
}

pub async fn alter_index(
    ddl: &mut Ddl,
    object: &ast::ObjectName,
    operation: &ast::AlterIndexOperation,
) -> Result<()> {
    let found = ddl.relation(object)?;
    let Relation::Index(index) = found else {
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not an index", found.name()),
        ));
    };
    let ast::AlterIndexOperation::RenameIndex { index_name } = operation;
    rename(ddl, &index, name::split(index_name)?.1).await
}

/// Renames an index, and the constraint that it is a part of.
pub async fn rename(ddl: &mut Ddl, index: &Arc<Index>, new_name: String) -> Result<()> {
    if ddl.catalog.relation_named(index.schema, &new_name).is_some() {
        return Err(store::duplicate_relation(&new_name));
    }
    let constraint = ddl.catalog.constraints().find(|each| each.index() == Some(index.oid));
    if let Some(constraint) = constraint.cloned() {
        let mut changed = (*constraint).clone();
        changed.name.clone_from(&new_name);
        ddl.replace((*constraint).clone(), changed).await?;
    }
    let mut renamed = (**index).clone();
    renamed.name = new_name;
    ddl.replace((**index).clone(), renamed).await
}
