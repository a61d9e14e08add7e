//! CREATE TYPE … AS (…), and what ALTER TYPE does to attributes.

use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName};

use super::create_table::COLUMNS_MAX;
use super::dependency::{Thing, drop_things};
use super::reshape::{self, first_holding, readers, refuse_domains, refuse_itself, refuse_whole_readers};
use super::user_type::{Named, array_name, named, new_name, shown};
use super::{Ddl, comment, typed};
use crate::binder::{check_collation, data_type, name};
use crate::catalog::{
    Attribute, CatalogSnapshot, Composite, PG_TYPE, Table, TypeDefinition, UserType, store,
};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{AttributeChange, AttributeDefinition};
use crate::rights::must_own;
use crate::types::{Category, TypeCatalog, oids};

pub async fn create(ddl: &mut Ddl, object: &ObjectName, attributes: &[AttributeDefinition]) -> Result<()> {
    let (schema, own_name) = new_name(ddl, object).await?;
    if ddl.catalog.relation_named(schema, &own_name).is_some() {
        return Err(store::duplicate_relation(&own_name));
    }
    if attributes.len() > COLUMNS_MAX {
        return Err(too_many());
    }
    let mut made: Vec<Attribute> = Vec::with_capacity(attributes.len());
    for definition in attributes {
        let attribute = attribute_of(ddl, definition)?;
        if made.iter().any(|each| each.name == attribute.name) {
            let message = format!("column \"{}\" specified more than once", attribute.name);
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
        }
        made.push(attribute);
    }
    let (oid, array_oid, relation) = (ddl.oid().await?, ddl.oid().await?, ddl.oid().await?);
    let (array_name, owner) = (array_name(ddl, schema, &own_name), ddl.own_role());
    ddl.begin_rights(b'T', PG_TYPE, oid, schema, owner).await?;
    let definition = TypeDefinition::Composite(Composite { relation, attributes: made });
    ddl.put(UserType { oid, array_oid, schema, name: own_name, array_name, owner, definition }).await
}

/// 54011.
fn too_many() -> SqlError {
    let message = format!("tables can have at most {COLUMNS_MAX} columns");
    SqlError::new(SqlState::TOO_MANY_COLUMNS, message)
}

fn attribute_of(ddl: &Ddl, definition: &AttributeDefinition) -> Result<Attribute> {
    let types = ddl.types();
    let own_name = name::fold(&definition.name);
    let data_type = data_type::resolve(&definition.data_type, &types)?;
    let is_pseudo = types.type_by_oid(data_type.oid).is_none_or(|info| info.category == Category::Pseudo);
    if is_pseudo || data_type.oid == oids::UNKNOWN {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{own_name}\" has pseudo-type {}", shown(ddl, data_type.oid)),
        ));
    }
    ddl.check_may_use_type(data_type)?;
    let collation = definition.collation.as_ref();
    let collation = collation.map(|named| check_collation(&types, data_type, named)).transpose()?;
    Ok(Attribute { name: own_name, data_type, collation: collation.unwrap_or(0), dropped: false })
}

/// An attribute of a type.
#[must_use]
pub fn attribute(catalog: &CatalogSnapshot, oid: u32, number: i16) -> Option<&Attribute> {
    let composite = catalog.user_type(oid)?.definition.composite()?;
    composite.attributes.get(Table::position(number))
}

/// The composite type that ALTER TYPE names.
fn altered(ddl: &Ddl, object: &ObjectName) -> Result<(Arc<UserType>, Composite)> {
    let missing = || -> Result<SqlError> {
        let (schema, base) = name::split(object)?;
        Ok(name::undefined_table(schema.as_deref(), &base).unplaced())
    };
    match named(ddl, object) {
        Ok(Named::User(own)) => match own.composite().cloned() {
            Some(composite) => {
                if !ddl.actor().has_role(own.owner) {
                    return Err(must_own("table", &own.name));
                }
                Ok((own, composite))
            }
            None => Err(missing()?),
        },
        Ok(Named::Row(relation)) => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a composite type", relation.name()),
        )),
        _ => Err(missing()?),
    }
}

/// 42703.
fn no_attribute(own: &UserType, attribute: &str) -> SqlError {
    let message = format!("column \"{attribute}\" of relation \"{}\" does not exist", own.name);
    SqlError::new(SqlState::UNDEFINED_COLUMN, message)
}

/// An attribute, as errors tell it.
fn column_of(ddl: &Ddl, own: &UserType, attribute: &str) -> String {
    format!("column {} of composite type {}", name::quote(attribute), shown(ddl, own.oid))
}

/// 42701 where an attribute has the name.
fn refuse_taken(own: &UserType, composite: &Composite, attribute: &str) -> Result<()> {
    if composite.number_of(attribute).is_none() {
        return Ok(());
    }
    let message = format!("column \"{attribute}\" of relation \"{}\" already exists", own.name);
    Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message))
}

/// ADD, DROP and ALTER ATTRIBUTE, in PostgreSQL's order: what is dropped first, then new types, then what is added.
pub async fn alter(
    ddl: &mut Ddl,
    object: &ObjectName,
    changes: &[AttributeChange],
    text: &str,
) -> Result<()> {
    let pass = |change: &AttributeChange| match change {
        AttributeChange::Drop { .. } => 0,
        AttributeChange::Retype { .. } => 1,
        AttributeChange::Add { .. } => 2,
    };
    let (own, _) = altered(ddl, object)?;
    for change in changes {
        let (AttributeChange::Add { cascade, .. }
        | AttributeChange::Drop { cascade, .. }
        | AttributeChange::Retype { cascade, .. }) = change;
        typed::refuse_without_cascade(ddl, &own, *cascade)?;
    }
    let mut ordered: Vec<&AttributeChange> = changes.iter().collect();
    ordered.sort_by_key(|change| pass(change));
    for change in ordered {
        ddl.refresh().await?;
        let (own, composite) = altered(ddl, object)?;
        match change {
            AttributeChange::Add { definition, .. } => add(ddl, &own, composite, definition).await?,
            AttributeChange::Drop { name: dropped, if_exists, cascade } => {
                let dropped = name::fold(dropped);
                match composite.number_of(&dropped) {
                    Some(number) => {
                        let column = column_of(ddl, &own, &dropped);
                        refuse_domains(ddl, own.oid, &dropped, "drop", &column)?;
                        drop_things(ddl, &[Thing::Attribute(own.oid, number)], *cascade).await?;
                    }
                    None if *if_exists => {
                        ddl.notice(format!("{}, skipping", no_attribute(&own, &dropped).message()));
                    }
                    None => return Err(no_attribute(&own, &dropped)),
                }
            }
            AttributeChange::Retype { definition, .. } => retype(ddl, &own, composite, definition).await?,
        }
        typed::follow(ddl, own.oid, change, text).await?;
    }
    Ok(())
}

async fn add(
    ddl: &mut Ddl,
    own: &UserType,
    mut composite: Composite,
    definition: &AttributeDefinition,
) -> Result<()> {
    let added = attribute_of(ddl, definition)?;
    refuse_taken(own, &composite, &added.name)?;
    refuse_itself(ddl, own.oid, added.data_type)?;
    if composite.attributes.len() >= COLUMNS_MAX {
        return Err(too_many());
    }
    refuse_whole_readers(ddl, own.oid, "add an attribute to")?;
    composite.attributes.push(added);
    change(ddl, own, composite).await
}

async fn retype(
    ddl: &mut Ddl,
    own: &UserType,
    mut composite: Composite,
    definition: &AttributeDefinition,
) -> Result<()> {
    let retyped = attribute_of(ddl, definition)?;
    let number = composite.number_of(&retyped.name).ok_or_else(|| no_attribute(own, &retyped.name))?;
    if let Some((table, column)) = first_holding(&ddl.catalog, own.oid) {
        return Err(SqlError::unsupported(format!(
            "cannot alter type \"{}\" because column \"{}.{}\" uses it",
            own.name, table.table.name, column.name
        )));
    }
    refuse_itself(ddl, own.oid, retyped.data_type)?;
    let position = Table::position(number);
    composite.attributes[position] = retyped;
    change(ddl, own, composite).await
}

/// RENAME ATTRIBUTE.
pub async fn rename_attribute(
    ddl: &mut Ddl,
    object: &ObjectName,
    names: [&Ident; 2],
    cascade: bool,
) -> Result<()> {
    let (own, mut composite) = altered(ddl, object)?;
    typed::refuse_without_cascade(ddl, &own, cascade)?;
    let [old, new] = names;
    let (old, new) = (name::fold(old), name::fold(new));
    let number = composite.number_of(&old).ok_or_else(|| {
        SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{old}\" does not exist"))
    })?;
    refuse_taken(&own, &composite, &new)?;
    // Stored texts name attributes, and cannot follow.
    if let Some(reader) = readers(&ddl.catalog, own.oid, number).first() {
        let message = format!("cannot rename attribute \"{old}\" of type {} yet", shown(ddl, own.oid));
        return Err(SqlError::unsupported(message).with_detail(format!("{} reads it.", reader.describe(ddl))));
    }
    let column = column_of(ddl, &own, &old);
    refuse_domains(ddl, own.oid, &old, "rename", &column)?;
    composite.attributes[Table::position(number)].name = new;
    change(ddl, &own, composite).await?;
    typed::follow_renaming(ddl, own.oid, names[0], names[1]).await
}

/// Takes attributes off a type; nothing reads them any more.
pub async fn drop_attributes(ddl: &mut Ddl, oid: u32, numbers: &[i16]) -> Result<()> {
    let Some(own) = ddl.catalog.user_type(oid).map(|entry| entry.definition.clone()) else { return Ok(()) };
    let Some(mut composite) = own.composite().cloned() else { return Ok(()) };
    for number in numbers {
        comment::set_on_attribute(ddl, composite.relation, *number, None).await?;
        let Some(dropped) = composite.attributes.get_mut(Table::position(*number)) else { continue };
        dropped.name = format!("........pg.dropped.{number}........");
        dropped.dropped = true;
    }
    change(ddl, &own, composite).await
}

/// Stores a type as it is to be, and what tables hold of it.
async fn change(ddl: &mut Ddl, own: &UserType, composite: Composite) -> Result<()> {
    let Some(before) = own.composite() else { return Ok(()) };
    let (before, after) = (reshape::of_composite(before), reshape::of_composite(&composite));
    let following = reshape::prepare(ddl, own.oid, &before, &after)?;
    ddl.put(UserType { definition: TypeDefinition::Composite(composite), ..own.clone() }).await?;
    match following {
        Some(following) => following.run(ddl).await,
        None => Ok(()),
    }
}

/// The attribute that COMMENT ON COLUMN names of a type; `None` where the name before it is of no composite type.
pub fn commented(ddl: &Ddl, object: &ast::ObjectName, attribute: &str) -> Result<Option<(u32, i16)>> {
    let Ok(Named::User(own)) = named(ddl, object) else { return Ok(None) };
    let Some(composite) = own.composite() else { return Ok(None) };
    ddl.check_owns_type(&own)?;
    let number = composite.number_of(attribute).ok_or_else(|| no_attribute(&own, attribute))?;
    Ok(Some((composite.relation, number)))
}
