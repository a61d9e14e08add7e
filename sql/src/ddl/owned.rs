//! What belongs to a role: REASSIGN OWNED, DROP OWNED, and what DROP ROLE finds.

use std::sync::Arc;

use super::dependency::{Thing, drop_things};
use super::{Ddl, default_rights, owner, role};
use crate::catalog::{
    CatalogSnapshot, ExtendedStatistics, Grant, ObjectRights, PG_CLASS, PG_DATABASE, PG_LANGUAGE,
    PG_NAMESPACE, PG_PROC, PG_TYPE, Role, SUPERUSER,
};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::RoleName;
use crate::rights::refused;
use crate::types::{DataType, format_type};

/// The roles that a statement names, whose objects the current user may deal with.
fn roles(ddl: &Ddl, names: &[RoleName], verb: &str, what: &str) -> Result<Vec<Arc<Role>>> {
    let mut found = Vec::new();
    for name in names {
        let role = role::find(ddl, name)?;
        if !ddl.actor().has_role(role.oid) {
            return Err(refused(format!("permission denied to {verb} objects")));
        }
        if role.oid == SUPERUSER {
            return Err(SqlError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot {what} objects owned by role {} because they are required by the database system",
                    role.name
                ),
            ));
        }
        found.push(role);
    }
    Ok(found)
}

/// REASSIGN OWNED.
pub async fn reassign(ddl: &mut Ddl, names: &[RoleName], to: &RoleName) -> Result<()> {
    let roles = roles(ddl, names, "reassign", "reassign ownership of")?;
    let new = role::find(ddl, to)?;
    if !ddl.actor().has_role(new.oid) {
        return Err(refused("permission denied to reassign objects"));
    }
    let catalog = ddl.catalog.clone();
    let of = |owner: u32| roles.iter().any(|role| role.oid == owner);
    for entry in catalog.tables().filter(|entry| of(entry.table.owner)) {
        owner::give_table(ddl, entry, new.oid).await?;
    }
    for view in catalog.views().filter(|view| of(view.owner)) {
        owner::give_view(ddl, view, new.oid).await?;
    }
    for sequence in catalog.sequences().filter(|each| of(each.owner) && each.owned_by.is_none()) {
        owner::give_sequence(ddl, sequence, new.oid).await?;
    }
    for schema in catalog.schemas().filter(|schema| of(schema.owner)) {
        owner::give_schema(ddl, schema, &new).await?;
    }
    for own in catalog.user_types().map(|entry| &entry.definition).filter(|own| of(own.owner)) {
        owner::put_type(ddl, own, new.oid).await?;
    }
    for own in catalog.extended_statistics().filter(|own| of(own.owner)) {
        ddl.put(ExtendedStatistics { owner: new.oid, ..(**own).clone() }).await?;
    }
    let databases = ddl.execution.environment.directory.lock().databases.clone();
    for database in databases.into_iter().filter(|database| of(database.owner)) {
        ddl.give_database(&database, new.oid).await?;
    }
    Ok(())
}

/// DROP OWNED.
pub async fn drop_owned(ddl: &mut Ddl, names: &[RoleName], cascade: bool) -> Result<()> {
    let roles = roles(ddl, names, "drop", "drop")?;
    let catalog = ddl.catalog.clone();
    let of = |owner: u32| roles.iter().any(|role| role.oid == owner);
    for rights in catalog.rights() {
        if !is_here(ddl, rights) {
            continue;
        }
        let mut left = (**rights).clone();
        let mut changed = false;
        for grants in left.lists_mut() {
            let before = grants.len();
            grants.retain(|grant| !of(grant.grantee) && !of(grant.grantor));
            changed |= grants.len() != before;
        }
        left.columns.retain(|(_, grants)| !grants.is_empty());
        if changed {
            ddl.put(left).await?;
        }
    }
    for rights in catalog.default_rights() {
        let is_mentioned = |grant: &Grant| of(grant.grantee) || of(grant.grantor);
        if of(rights.role) {
            ddl.remove((**rights).clone()).await?;
        } else if rights.grants.iter().any(is_mentioned) {
            let mut left = (**rights).clone();
            left.grants.retain(|grant| !is_mentioned(grant));
            ddl.put(left).await?;
        }
    }
    ddl.refresh().await?;
    let catalog = ddl.catalog.clone();
    let mut things: Vec<Thing> = Vec::new();
    let tables = catalog.tables().filter(|entry| of(entry.table.owner));
    things.extend(tables.map(|entry| Thing::Table(entry.table.oid)));
    things.extend(catalog.views().filter(|view| of(view.owner)).map(|view| Thing::View(view.oid)));
    let sequences = catalog.sequences().filter(|each| of(each.owner) && each.owned_by.is_none());
    things.extend(sequences.map(|each| Thing::Sequence(each.oid)));
    let types = catalog.user_types().map(|entry| &entry.definition).filter(|own| of(own.owner));
    things.extend(types.map(|own| Thing::Type(own.oid)));
    let statistics = catalog.extended_statistics().filter(|own| of(own.owner));
    things.extend(statistics.map(|own| Thing::Statistics(own.oid)));
    things.extend(catalog.schemas().filter(|each| of(each.owner)).map(|each| Thing::Schema(each.oid)));
    drop_things(ddl, &things, cascade).await
}

/// Whether rights are on an object of this database: those on databases are with the roles, on the first branch.
fn is_here(ddl: &Ddl, rights: &ObjectRights) -> bool {
    rights.class != PG_DATABASE || ddl.execution.environment.branch == helios_mvcc::BranchId::MAIN
}

/// How an object depends on a role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    Rights,
    Owner,
}

/// The objects of a catalog that depend on a role: their OIDs, classes and columns.
fn dependents(catalog: &CatalogSnapshot, role: u32) -> Vec<(u32, u32, i16, Tie)> {
    let mut found = Vec::new();
    let mut owned = |oid: u32, class: u32, owner: u32| {
        if owner == role {
            found.push((oid, class, 0, Tie::Owner));
        }
    };
    catalog.tables().for_each(|entry| owned(entry.table.oid, PG_CLASS, entry.table.owner));
    catalog.views().for_each(|view| owned(view.oid, PG_CLASS, view.owner));
    catalog.sequences().for_each(|sequence| owned(sequence.oid, PG_CLASS, sequence.owner));
    catalog.extended_statistics().for_each(|own| owned(own.oid, PG_STATISTIC_EXT, own.owner));
    catalog.schemas().for_each(|schema| owned(schema.oid, PG_NAMESPACE, schema.owner));
    catalog.user_types().for_each(|entry| owned(entry.definition.oid, PG_TYPE, entry.definition.owner));
    catalog.default_rights().for_each(|rights| owned(rights.oid, PG_DEFAULT_ACL, rights.role));
    let mentions = |grants: &[Grant]| grants.iter().any(|each| each.grantee == role || each.grantor == role);
    let is_owned = |oid: u32, found: &[(u32, u32, i16, Tie)]| {
        found.iter().any(|(each, _, _, tie)| *each == oid && *tie == Tie::Owner)
    };
    for rights in catalog.rights() {
        if is_owned(rights.oid, &found) {
            continue;
        }
        if rights.grants.as_deref().is_some_and(mentions) {
            found.push((rights.oid, rights.class, 0, Tie::Rights));
        }
        let columns = rights.columns.iter().filter(|(_, grants)| mentions(grants));
        found.extend(columns.map(|(number, _)| (rights.oid, rights.class, *number, Tie::Rights)));
    }
    for rights in catalog.default_rights().filter(|rights| rights.role != role && mentions(&rights.grants)) {
        found.push((rights.oid, PG_DEFAULT_ACL, 0, Tie::Rights));
    }
    found
}

use crate::relations::extended_statistics::PG_STATISTIC_EXT;
const PG_DEFAULT_ACL: u32 = 826;
/// The most lines of a DETAIL.
const LINES_MAX: usize = 100;

/// 2BP01 for a role that something depends on.
pub async fn refuse_needed(ddl: &Ddl, role: &Role) -> Result<()> {
    let directory = ddl.execution.environment.directory.lock().clone();
    let mut here = dependents(&ddl.catalog, role.oid);
    let owned = directory.databases.iter().filter(|database| database.owner == role.oid);
    here.extend(owned.map(|database| (database.oid, PG_DATABASE, 0, Tie::Owner)));
    here.sort_unstable();
    here.dedup();
    let mut lines: Vec<String> = here
        .iter()
        .map(|(oid, class, column, tie)| {
            let word = if *tie == Tie::Owner { "owner of" } else { "privileges for" };
            format!("{word} {}", describe(ddl, *class, *oid, *column))
        })
        .collect();
    let own = directory.database_of(ddl.execution.environment.branch).map(|database| database.oid);
    for database in directory.databases.iter().filter(|database| Some(database.oid) != own) {
        let mut count = 0;
        for branch in directory.branches_of(database.root) {
            count += ddl.engine.objects_of_role(branch.id, role.oid).await?;
        }
        if count > 0 {
            let noun = if count == 1 { "object" } else { "objects" };
            lines.push(format!("{count} {noun} in database {}", database.name));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if more > 0 {
        lines.push(format!("and {more} other objects (see server log for list)"));
    }
    let message = format!("role \"{}\" cannot be dropped because some objects depend on it", role.name);
    Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).with_detail(lines.join("\n")))
}

/// How many objects of a catalog depend on a role, but for databases.
pub fn count_dependents(catalog: &CatalogSnapshot, role: u32) -> usize {
    dependents(catalog, role).iter().filter(|(_, class, ..)| *class != PG_DATABASE).count()
}

/// As PostgreSQL says it.
fn describe(ddl: &Ddl, class: u32, oid: u32, column: i16) -> String {
    let catalog = &ddl.catalog;
    match class {
        PG_CLASS => {
            let whole = if catalog.table(oid).is_some() {
                Thing::Table(oid).describe(ddl)
            } else if catalog.view(oid).is_some() {
                Thing::View(oid).describe(ddl)
            } else if catalog.sequence(oid).is_some() {
                Thing::Sequence(oid).describe(ddl)
            } else {
                let computed = crate::relations::with_oid(oid);
                computed.map_or_else(String::new, |computed| {
                    let word = if computed.kind == b'v' { "view" } else { "table" };
                    format!("{word} {}", computed.name)
                })
            };
            match catalog.table(oid).filter(|_| column != 0) {
                Some(entry) => format!("column {} of {whole}", entry.table.column_numbered(column).name),
                None => whole,
            }
        }
        PG_NAMESPACE => Thing::Schema(oid).describe(ddl),
        PG_TYPE => Thing::Type(oid).describe(ddl),
        PG_PROC => crate::relations::procedures::procedure(oid).map_or_else(String::new, |found| {
            let types = found.arguments.iter().map(|each| format_type(DataType::of(*each), &ddl.types()));
            format!("function {}({})", found.name, types.collect::<Vec<_>>().join(","))
        }),
        PG_LANGUAGE => "language sql".to_owned(),
        PG_DATABASE => {
            let directory = ddl.execution.environment.directory.lock().clone();
            let found = directory.databases.iter().find(|database| database.oid == oid);
            format!("database {}", found.map_or("", |database| database.name.as_str()))
        }
        _ => {
            let Some(rights) = catalog.default_rights().find(|rights| rights.oid == oid) else {
                return String::new();
            };
            let role = catalog.role(rights.role).map_or("", |role| role.name.as_str());
            let on = default_rights::plural(rights.kind);
            let base = format!("default privileges on new {on} belonging to role {role}");
            match catalog.schema(rights.schema) {
                Some(schema) => format!("{base} in schema {}", schema.name),
                None => base,
            }
        }
    }
}
