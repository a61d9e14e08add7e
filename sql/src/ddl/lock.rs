//! What LOCK TABLE locks: tables, and of a view the tables that it reads.

use std::sync::Arc;

use sqlparser::ast;

use crate::binder::{Relation, lookup_relation, name};
use crate::catalog::{CatalogSnapshot, Rights, TableEntry, View};
use crate::error::{Result, SqlError, SqlState};
use crate::rights::{Actor, Who, denied, relation};
use crate::session::Session;

/// The stored tables of some names, those that views of these names read among them, on which the role has one of some
/// rights at least. What a view reads, its owner must have rights on.
///
/// # Errors
/// 42P01, 42501, 42809.
pub async fn tables_to_lock(
    session: &mut Session,
    tables: &[ast::ObjectName],
    rights: Rights,
) -> Result<Vec<Arc<TableEntry>>> {
    let (catalog, binding) = session.binding().await?;
    let actor = binding.who.among(&catalog);
    let mut found = Found { catalog: &catalog, rights, tables: Vec::new(), views: Vec::new() };
    for object in tables {
        let (schema, base) = name::split(object)?;
        match lookup_relation(&catalog, &actor, &binding.search_path, schema.as_deref(), &base)? {
            Relation::Stored(entry) if entry.table.materialized.is_some() => {
                let message = format!("cannot lock relation \"{}\"", entry.table.name);
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
                    .with_detail("This operation is not supported for materialized views."));
            }
            Relation::Stored(entry) => found.take_table(&entry, &actor)?,
            Relation::View(view) => found.take_view(&view, &actor)?,
            Relation::Index(_) | Relation::Sequence(_) => {
                let message = format!("\"{base}\" is not a table");
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            Relation::Virtual(_) => {}
        }
    }
    Ok(found.tables)
}

struct Found<'c> {
    catalog: &'c CatalogSnapshot,
    rights: Rights,
    tables: Vec<Arc<TableEntry>>,
    /// Those whose tables were looked at.
    views: Vec<u32>,
}

impl Found<'_> {
    fn check(&self, oid: u32, actor: &Actor<'_>, kind: &str, name: &str) -> Result<()> {
        let secured = relation(self.catalog, oid);
        match secured.is_some_and(|secured| actor.rights(&secured, self.rights).is_empty()) {
            true => Err(denied(kind, name)),
            false => Ok(()),
        }
    }

    fn take_table(&mut self, entry: &Arc<TableEntry>, actor: &Actor<'_>) -> Result<()> {
        self.check(entry.table.oid, actor, entry.table.word(), &entry.table.name)?;
        if self.tables.iter().all(|known| known.table.oid != entry.table.oid) {
            self.tables.push(entry.clone());
        }
        Ok(())
    }

    /// What a view reads; views that it reads are views of their owners.
    fn take_view(&mut self, view: &Arc<View>, actor: &Actor<'_>) -> Result<()> {
        self.check(view.oid, actor, "view", &view.name)?;
        let mut waiting = vec![(view.clone(), actor.who)];
        while let Some((view, who)) = waiting.pop() {
            if self.views.contains(&view.oid) {
                continue;
            }
            self.views.push(view.oid);
            let role = if view.is_security_invoker() { who.role } else { view.owner };
            let who = Who { role, ..who };
            let actor = who.among(self.catalog);
            for source in &view.sources {
                if let Some(inner) = self.catalog.view(source.relation) {
                    self.check(inner.oid, &actor, "view", &inner.name)?;
                    waiting.push((inner.clone(), who));
                } else if let Some(entry) = self.catalog.table(source.relation)
                    && entry.table.materialized.is_none()
                {
                    let entry = entry.clone();
                    self.take_table(&entry, &actor)?;
                }
            }
        }
        Ok(())
    }
}
