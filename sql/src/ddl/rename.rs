//! ALTER … RENAME TO and SET SCHEMA.

use sqlparser::ast::{self, Ident};

use super::rights::relation_schema;
use super::{Ddl, user_type};
use crate::binder::{Relation, RelationKind, name};
use crate::catalog::{INFORMATION_SCHEMA, PG_CATALOG, PUBLIC, store};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::ObjectKind;

/// The relation that ALTER names; ALTER TABLE takes all kinds. `None` with IF EXISTS.
pub fn check_exists(
    ddl: &mut Ddl,
    kind: ObjectKind,
    object: &ast::ObjectName,
    if_exists: bool,
) -> Result<Option<Relation>> {
    if kind == ObjectKind::Schema {
        schema(ddl, &name::split(object)?.1)?;
        return Ok(None);
    }
    if matches!(kind, ObjectKind::Type | ObjectKind::Domain) {
        user_type::altered(ddl, object, kind == ObjectKind::Domain)?;
        return Ok(None);
    }
    let Some(relation) = ddl.existing(object, if_exists)? else { return Ok(None) };
    let fits = match kind {
        ObjectKind::Table => true,
        ObjectKind::Sequence => relation.kind() == RelationKind::Sequence,
        ObjectKind::View => relation.kind() == RelationKind::View,
        ObjectKind::MaterializedView => relation.kind() == RelationKind::MaterializedView,
        ObjectKind::Schema | ObjectKind::Type | ObjectKind::Domain => false,
    };
    if let Relation::Virtual(relation) = &relation {
        return Err(SqlError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{}\" is a system catalog", relation.name),
        ));
    }
    if !fits {
        let wanted = match kind {
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
            _ => "sequence",
        };
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a {wanted}", relation.name()),
        ));
    }
    Ok(Some(relation))
}

fn schema(ddl: &Ddl, base: &str) -> Result<std::sync::Arc<crate::catalog::Schema>> {
    ddl.catalog.schema_named(base).cloned().ok_or_else(|| {
        SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{base}\" does not exist"))
    })
}

pub async fn rename(
    ddl: &mut Ddl,
    kind: ObjectKind,
    object: &ast::ObjectName,
    if_exists: bool,
    new_name: &Ident,
) -> Result<()> {
    if matches!(kind, ObjectKind::Type | ObjectKind::Domain) {
        return user_type::rename(ddl, object, kind == ObjectKind::Domain, new_name).await;
    }
    let new_name = name::fold(new_name);
    if kind == ObjectKind::Schema {
        return rename_schema(ddl, &name::split(object)?.1, new_name).await;
    }
    let Some(relation) = check_exists(ddl, kind, object, if_exists)? else { return Ok(()) };
    ddl.check_owns(&relation)?;
    if let Some(schema) = relation_schema(&relation) {
        ddl.check_may_create_in(schema)?;
    }
    match relation {
        Relation::Stored(entry) => {
            refuse_taken(ddl, entry.table.schema, &new_name)?;
            user_type::refuse_row_type(ddl, entry.table.schema, &new_name)?;
            ddl.lock(&entry.table).await?;
            let mut table = (*entry.table).clone();
            table.name = new_name;
            ddl.replace((*entry.table).clone(), table).await
        }
        Relation::Sequence(entry) => {
            refuse_taken(ddl, entry.sequence.schema, &new_name)?;
            let mut sequence = (*entry.sequence).clone();
            sequence.name = new_name;
            ddl.replace((*entry.sequence).clone(), sequence).await
        }
        Relation::View(view) => {
            refuse_taken(ddl, view.schema, &new_name)?;
            user_type::refuse_row_type(ddl, view.schema, &new_name)?;
            let mut renamed = (*view).clone();
            renamed.name = new_name;
            ddl.replace((*view).clone(), renamed).await
        }
        Relation::Index(index) => super::index::rename(ddl, &index, new_name).await,
        Relation::Virtual(_) => Ok(()),
    }
}

fn refuse_taken(ddl: &Ddl, schema: u32, base: &str) -> Result<()> {
    match ddl.catalog.relation_named(schema, base) {
        Some(_) => Err(store::duplicate_relation(base)),
        None => Ok(()),
    }
}

async fn rename_schema(ddl: &mut Ddl, old: &str, new: String) -> Result<()> {
    let found = schema(ddl, old)?;
    ddl.check_owns_schema(found.oid)?;
    super::schema::check_may_create(ddl)?;
    if ddl.catalog.schema_named(&new).is_some() {
        return Err(SqlError::new(SqlState::DUPLICATE_SCHEMA, format!("schema \"{new}\" already exists")));
    }
    super::schema::refuse_reserved(&new)?;
    let mut renamed = (*found).clone();
    renamed.name = new;
    ddl.replace((*found).clone(), renamed).await
}

/// Moves a relation, with the indexes, constraints and sequences that belong to it.
pub async fn set_schema(
    ddl: &mut Ddl,
    kind: ObjectKind,
    object: &ast::ObjectName,
    if_exists: bool,
    target: &Ident,
) -> Result<()> {
    if matches!(kind, ObjectKind::Type | ObjectKind::Domain) {
        return user_type::set_schema(ddl, object, kind == ObjectKind::Domain, target).await;
    }
    let Some(relation) = check_exists(ddl, kind, object, if_exists)? else { return Ok(()) };
    ddl.check_owns(&relation)?;
    let target = schema(ddl, &name::fold(target))?.oid;
    ddl.check_may_create_in(target)?;
    if target < PUBLIC && target == PG_CATALOG || target == INFORMATION_SCHEMA {
        return Err(SqlError::unsupported("cannot move objects into or out of system schemas"));
    }
    match relation {
        Relation::Stored(entry) => {
            ddl.lock(&entry.table).await?;
            let mut table = (*entry.table).clone();
            move_into(ddl, table.schema, target, &table.name)?;
            table.schema = target;
            ddl.replace((*entry.table).clone(), table).await?;
            for index in &entry.indexes {
                let mut moved = (**index).clone();
                moved.schema = target;
                ddl.replace((**index).clone(), moved).await?;
            }
            for constraint in &entry.constraints {
                let mut moved = (**constraint).clone();
                moved.schema = target;
                ddl.replace((**constraint).clone(), moved).await?;
            }
            let owned: Vec<_> = ddl.catalog.sequences_of(entry.table.oid).cloned().collect();
            for sequence in owned {
                let mut moved = (*sequence).clone();
                moved.schema = target;
                ddl.replace((*sequence).clone(), moved).await?;
            }
            Ok(())
        }
        Relation::Sequence(entry) => {
            let mut sequence = (*entry.sequence).clone();
            if let Some(owner) = sequence.owned_by {
                let table = &ddl.catalog.expect_table(owner.table)?.table.name;
                return Err(SqlError::unsupported("cannot move an owned sequence into another schema")
                    .with_detail(format!("Sequence \"{}\" is linked to table \"{table}\".", sequence.name)));
            }
            move_into(ddl, sequence.schema, target, &sequence.name)?;
            sequence.schema = target;
            ddl.replace((*entry.sequence).clone(), sequence).await
        }
        Relation::View(view) => {
            move_into(ddl, view.schema, target, &view.name)?;
            let mut moved = (*view).clone();
            moved.schema = target;
            ddl.replace((*view).clone(), moved).await
        }
        Relation::Index(_) | Relation::Virtual(_) => Ok(()),
    }
}

fn move_into(ddl: &Ddl, from: u32, target: u32, base: &str) -> Result<()> {
    if from != target && ddl.catalog.relation_named(target, base).is_some() {
        let schema = ddl.catalog.schema(target).map_or("", |schema| schema.name.as_str());
        return Err(SqlError::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{base}\" already exists in schema \"{schema}\""),
        ));
    }
    Ok(())
}
