//! TRUNCATE and VACUUM.

use std::sync::Arc;

use sqlparser::ast;

use super::Ddl;
use super::storage::Owner;
use crate::binder::{Relation, RelationKind, lookup_relation, name};
use crate::catalog::{Rights, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::AnalyzeTarget;
use crate::rights::{denied, relation};
use crate::session::{Locking, Notice, Session};

/// TRUNCATE: new, empty trees.
///
/// # Errors
/// 0A000 where another table's foreign key points at one of them.
pub async fn truncate(ddl: &mut Ddl, truncate: &ast::Truncate) -> Result<()> {
    crate::parser::refuse_in_truncate(truncate)?;
    let mut entries: Vec<Arc<TableEntry>> = Vec::new();
    for target in &truncate.table_names {
        let entry = match ddl.relation(&target.name)? {
            other if matches!(other.kind(), RelationKind::View | RelationKind::MaterializedView) => {
                let message = format!("\"{}\" is not a table", other.name());
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            other => other.into_table()?,
        };
        if !entries.iter().any(|each| each.table.oid == entry.table.oid) {
            entries.push(entry);
        }
    }
    let cascade = matches!(truncate.cascade, Some(ast::CascadeOption::Cascade));
    let mut at = 0;
    while at < entries.len() {
        let entry = entries[at].clone();
        check_truncates(ddl, &entry)?;
        for constraint in &entry.referenced_by {
            if entries.iter().any(|each| each.table.oid == constraint.table) {
                continue;
            }
            let child = ddl.catalog.expect_table(constraint.table)?.clone();
            if !cascade {
                return Err(SqlError::unsupported(
                    "cannot truncate a table referenced in a foreign key constraint",
                )
                .with_detail(format!("Table \"{}\" references \"{}\".", child.table.name, entry.table.name))
                .with_hint(format!(
                    "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                    child.table.name
                )));
            }
            ddl.notice(format!("truncate cascades to table \"{}\"", child.table.name));
            entries.push(child);
        }
        at += 1;
    }
    let restart = matches!(truncate.identity, Some(ast::TruncateIdentityOption::Restart));
    for entry in entries {
        ddl.lock(&entry.table).await?;
        if restart {
            super::sequence::restart_of(ddl, entry.table.oid).await?;
        }
        empty(ddl, &entry).await?;
    }
    Ok(())
}

/// 42501 for a table that the role may not empty.
fn check_truncates(ddl: &Ddl, entry: &TableEntry) -> Result<()> {
    let secured = relation(&ddl.catalog, entry.table.oid);
    if secured.is_some_and(|secured| ddl.actor().rights(&secured, Rights::TRUNCATE).is_empty()) {
        return Err(denied(entry.table.word(), &entry.table.name));
    }
    Ok(())
}

/// Gives a table new, empty trees.
pub async fn empty(ddl: &mut Ddl, entry: &TableEntry) -> Result<()> {
    let mut table = (*entry.table).clone();
    ddl.execution.transaction.drop_tree(table.tree)?;
    table.tree = ddl.tree(&table.options, Owner::Table);
    for index in &entry.indexes {
        let mut emptied = (**index).clone();
        if index.primary {
            emptied.tree = table.tree;
        } else {
            ddl.execution.transaction.drop_tree(index.tree)?;
            emptied.tree = ddl.tree(&emptied.options, Owner::Index);
        }
        ddl.put(emptied).await?;
    }
    // What was known of its rows is known no more.
    table.row_estimate = -1;
    if let Some(statistics) = &entry.statistics {
        ddl.remove((**statistics).clone()).await?;
    }
    ddl.put(table).await
}

/// The stored tables of some names.
///
/// # Errors
/// 42P01.
async fn tables_named(session: &mut Session, tables: &[ast::ObjectName]) -> Result<Vec<Arc<TableEntry>>> {
    let (catalog, binding) = session.binding().await?;
    let actor = binding.who.among(&catalog);
    let mut entries = Vec::new();
    for object in tables {
        let (schema, base) = name::split(object)?;
        match lookup_relation(&catalog, &actor, &binding.search_path, schema.as_deref(), &base)? {
            Relation::Stored(entry) => entries.push(entry),
            Relation::Index(_) | Relation::Sequence(_) | Relation::View(_) => {
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{base}\" is not a table")));
            }
            Relation::Virtual(_) => {}
        }
    }
    Ok(entries)
}

/// VACUUM: space is reclaimed without it; its tables must exist, though, and are waited for as PostgreSQL waits for them.
///
/// # Errors
/// 42P01, 0A000 for columns, which only ANALYZE looks at, and those of locking.
pub async fn vacuum(
    session: &mut Session,
    targets: &[AnalyzeTarget],
    analyze: bool,
    locking: Locking,
) -> Result<()> {
    if analyze {
        return super::analyze(session, targets, locking).await;
    }
    if targets.iter().any(|target| !target.columns.is_empty()) {
        return Err(SqlError::unsupported("ANALYZE option must be specified when a column list is provided"));
    }
    let tables: Vec<ast::ObjectName> = targets.iter().map(|target| target.table.clone()).collect();
    let entries = tables_named(session, &tables).await?;
    for entry in entries {
        if may_maintain(session, &entry, "vacuum").await? {
            session.lock_maintained(&entry.table, locking, "vacuum").await?;
            // Each by itself, so that nobody waits for one while there is another to wait for.
            session.commit().await?;
        }
    }
    Ok(())
}

/// Whether the role may analyze or vacuum a table; a warning where not.
///
/// # Errors
/// Those of reading the catalog.
pub async fn may_maintain(session: &mut Session, entry: &TableEntry, verb: &str) -> Result<bool> {
    let (catalog, binding) = session.binding().await?;
    let actor = binding.who.among(&catalog);
    let may = actor.has_role(entry.table.owner) || actor.has_role(binding.who.database_owner);
    if !may {
        let message =
            format!("skipping \"{}\" --- only table or database owner can {verb} it", entry.table.name);
        session.notify(Notice::warning(SqlState::WARNING, message));
    }
    Ok(may)
}
