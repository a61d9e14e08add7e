//! ALTER … OWNER TO.
//!
//! Who gives something away owns it and is a member of the new owner, who in turn must be allowed to have such a thing
//! in its place. What the old owner had and granted, the new one has and granted from then on.

use std::sync::Arc;

use sqlparser::ast;

use super::rename::check_exists;
use super::{Ddl, role, user_type};
use crate::binder::{Relation, name};
use crate::catalog::{Rights, Role, Schema, Sequence, TableEntry, UserType, View};
use crate::error::{Result, SqlError};
use crate::parser::{ObjectKind, RoleName};
use crate::rights::{change_owner, denied};

pub async fn set_owner(
    ddl: &mut Ddl,
    kind: ObjectKind,
    object: &ast::ObjectName,
    if_exists: bool,
    owner: &RoleName,
) -> Result<()> {
    if kind == ObjectKind::Schema {
        check_exists(ddl, kind, object, if_exists)?;
        let new = role::find(ddl, owner)?;
        let base = name::split(object)?.1;
        let Some(schema) = ddl.catalog.schema_named(&base).cloned() else { return Ok(()) };
        return give_schema(ddl, &schema, &new).await;
    }
    if matches!(kind, ObjectKind::Type | ObjectKind::Domain) {
        let found = user_type::altered(ddl, object, kind == ObjectKind::Domain)?;
        let new = role::find(ddl, owner)?;
        return give_type(ddl, &found, &new).await;
    }
    let Some(relation) = check_exists(ddl, kind, object, if_exists)? else { return Ok(()) };
    ddl.check_owns(&relation)?;
    let new = role::find(ddl, owner)?;
    match relation {
        Relation::Stored(entry) => set_owner_of_table(ddl, &entry, owner).await,
        Relation::View(view) => {
            check_receiver(ddl, view.owner, &new, view.schema)?;
            give_view(ddl, &view, new.oid).await
        }
        Relation::Sequence(entry) => {
            let sequence = &entry.sequence;
            if let Some(of) = sequence.owned_by.filter(|_| sequence.owner != new.oid) {
                let table = &ddl.catalog.expect_table(of.table)?.table.name;
                let message = format!("cannot change owner of sequence \"{}\"", sequence.name);
                return Err(SqlError::unsupported(message)
                    .with_detail(format!("Sequence \"{}\" is linked to table \"{table}\".", sequence.name)));
            }
            check_receiver(ddl, sequence.owner, &new, sequence.schema)?;
            give_sequence(ddl, sequence, new.oid).await
        }
        Relation::Index(index) => {
            let message = format!("cannot change owner of index \"{}\"", index.name);
            let warning = SqlError::new(crate::error::SqlState::WRONG_OBJECT_TYPE, message)
                .with_hint("Change the ownership of the index's table, instead.");
            ddl.warnings.push(warning);
            Ok(())
        }
        Relation::Virtual(_) => Ok(()),
    }
}

/// OWNER TO of a table, whose owner the role is.
pub async fn set_owner_of_table(ddl: &mut Ddl, entry: &Arc<TableEntry>, owner: &RoleName) -> Result<()> {
    let new = role::find(ddl, owner)?;
    check_receiver(ddl, entry.table.owner, &new, entry.table.schema)?;
    give_table(ddl, entry, new.oid).await
}

/// 42501 for a new owner that the current one is no member of, or that may not have the object where it is.
pub fn check_receiver(ddl: &Ddl, old: u32, new: &Role, schema: u32) -> Result<()> {
    if old == new.oid || ddl.actor().is_superuser() {
        return Ok(());
    }
    role::check_is_member(ddl, new)?;
    ddl.check_role_may_create_in(new.oid, schema)
}

/// Moves an object's list over.
pub async fn move_grants(ddl: &mut Ddl, oid: u32, old: u32, new: u32) -> Result<()> {
    let Some(rights) = ddl.catalog.rights_on(oid).cloned() else { return Ok(()) };
    let mut moved = (*rights).clone();
    moved.lists_mut().for_each(|grants| *grants = change_owner(grants, old, new));
    ddl.put(moved).await
}

/// Gives a table away, with the sequences that belong to its columns.
pub async fn give_table(ddl: &mut Ddl, entry: &Arc<TableEntry>, new: u32) -> Result<()> {
    let old = entry.table.owner;
    if old == new {
        return Ok(());
    }
    ddl.lock(&entry.table).await?;
    let mut table = (*entry.table).clone();
    table.owner = new;
    ddl.put(table).await?;
    move_grants(ddl, entry.table.oid, old, new).await?;
    let owned: Vec<Arc<Sequence>> = ddl.catalog.sequences_of(entry.table.oid).cloned().collect();
    for sequence in owned {
        give_sequence(ddl, &sequence, new).await?;
    }
    Ok(())
}

/// Gives a view away.
pub async fn give_view(ddl: &mut Ddl, view: &Arc<View>, new: u32) -> Result<()> {
    if view.owner == new {
        return Ok(());
    }
    ddl.put(View { owner: new, ..(**view).clone() }).await?;
    move_grants(ddl, view.oid, view.owner, new).await
}

/// Gives a sequence away.
pub async fn give_sequence(ddl: &mut Ddl, sequence: &Arc<Sequence>, new: u32) -> Result<()> {
    if sequence.owner == new {
        return Ok(());
    }
    ddl.put(Sequence { owner: new, ..(**sequence).clone() }).await?;
    move_grants(ddl, sequence.oid, sequence.owner, new).await
}

/// Gives a schema away.
pub async fn give_schema(ddl: &mut Ddl, schema: &Arc<Schema>, new: &Role) -> Result<()> {
    if schema.owner == new.oid {
        return Ok(());
    }
    ddl.check_owns_schema(schema.oid)?;
    role::check_is_member(ddl, new)?;
    if !ddl.actor().may_on_database(Rights::CREATE) {
        return Err(denied("database", &ddl.binding.database));
    }
    put_schema(ddl, schema, new.oid).await
}

async fn put_schema(ddl: &mut Ddl, schema: &Arc<Schema>, new: u32) -> Result<()> {
    ddl.put(Schema { owner: new, ..(**schema).clone() }).await?;
    let secured = crate::rights::schema(&ddl.catalog, schema.oid).map(|secured| secured.grants.into_owned());
    // What a schema begins with is no default of its owner's.
    if crate::catalog::initial_schema_grants(schema.oid).is_some()
        && let Some(grants) = secured
    {
        let mut stored = super::grant::stored(ddl, crate::catalog::PG_NAMESPACE, schema.oid);
        stored.grants = Some(change_owner(&grants, schema.owner, new));
        return ddl.put(stored).await;
    }
    move_grants(ddl, schema.oid, schema.owner, new).await
}

async fn give_type(ddl: &mut Ddl, own: &Arc<UserType>, new: &Role) -> Result<()> {
    if own.owner == new.oid {
        return Ok(());
    }
    ddl.check_owns_type(own)?;
    check_receiver(ddl, own.owner, new, own.schema)?;
    put_type(ddl, own, new.oid).await
}

/// Gives a type away, whoever asks.
pub async fn put_type(ddl: &mut Ddl, own: &Arc<UserType>, new: u32) -> Result<()> {
    ddl.put(UserType { owner: new, ..(**own).clone() }).await?;
    move_grants(ddl, own.oid, own.owner, new).await
}
