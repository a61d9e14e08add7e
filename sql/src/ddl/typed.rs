//! Typed tables: CREATE TABLE … OF, ALTER TABLE … OF and NOT OF, and what ALTER TYPE … CASCADE does to them.
//!
//! A typed table's columns are those of a composite type. They are stored as any table's, beside the type's OID; what
//! changes the type says CASCADE, and changes them too.

use std::sync::Arc;

use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation, Ident, ObjectName};

use super::Ddl;
use super::alter_table;
use super::create_table::{Wanted, column_of};
use crate::binder::{data_type, name};
use crate::catalog::{Composite, Table, TableColumn, TableEntry, UserType};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{AttributeChange, AttributeDefinition, TableAction};
use crate::types::{DataType, format_type};

/// The composite type that a typed table is to be of.
///
/// # Errors
/// 42704, 42809 and 42501.
pub fn composite_named(ddl: &Ddl, object: &ObjectName) -> Result<Arc<UserType>> {
    let types = ddl.types();
    let named = data_type::resolve(&ast::DataType::Custom(object.clone(), Vec::new()), &types)
        .map_err(SqlError::unplaced)?;
    let own = ddl.catalog.user_type(named.oid).map(|entry| entry.definition.clone());
    let Some(own) = own.filter(|own| own.oid == named.oid && own.composite().is_some()) else {
        let message = format!("type {} is not a composite type", format_type(named, &types));
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    };
    ddl.check_may_use_type(DataType::of(own.oid))?;
    Ok(own)
}

/// The columns of a new typed table: the type's, with what the list says of them.
///
/// # Errors
/// 42703, 42701 and 0A000 for what the list may not say; those of columns.
pub fn columns(
    ddl: &Ddl,
    create: &ast::CreateTable,
    of: &Composite,
    table: &str,
    wanted: &mut Wanted,
    text: &str,
) -> Result<Vec<TableColumn>> {
    let named = |definition: &ast::ColumnDef| name::fold(&definition.name);
    for (at, definition) in create.columns.iter().enumerate() {
        let given = named(definition);
        if of.number_of(&given).is_none() {
            let message = format!("column \"{given}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        }
        if create.columns[..at].iter().any(|other| named(other) == given) {
            let message = format!("column \"{given}\" specified more than once");
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
        }
    }
    let mut columns = Vec::new();
    for (number, (_, attribute)) in (1..).zip(of.live()) {
        let bare = || ast::ColumnDef {
            name: Ident::with_quote('"', &attribute.name),
            data_type: ast::DataType::Int(None),
            options: Vec::new(),
        };
        let given = create.columns.iter().find(|definition| named(definition) == attribute.name);
        let definition = given.cloned().unwrap_or_else(bare);
        let mut column = column_of(ddl, &definition, number, table, wanted, text, Some(attribute.data_type))?;
        if column.generated || column.identity.is_some() || !wanted.sequences.is_empty() {
            let what = if column.generated { "generated" } else { "identity" };
            return Err(SqlError::unsupported(format!("{what} columns are not supported on typed tables")));
        }
        if column.collation == 0 {
            column.collation = attribute.collation;
        }
        columns.push(column);
    }
    Ok(columns)
}

/// 42809 for an action that would part a typed table from its type.
///
/// # Errors
/// 42809.
pub fn refuse(table: &Table, action: &TableAction) -> Result<()> {
    if table.of_type == 0 {
        return Ok(());
    }
    let refused = |what: &str| {
        let message = format!("cannot {what} typed table");
        Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message))
    };
    let operation = match action {
        TableAction::Standard(operation) => operation,
        TableAction::TypeWithCollation { .. } => return refused("alter column type of"),
        _ => return Ok(()),
    };
    match **operation {
        AlterTableOperation::AddColumn { .. } => refused("add column to"),
        AlterTableOperation::DropColumn { .. } => refused("drop column from"),
        AlterTableOperation::RenameColumn { .. } => refused("rename column of"),
        AlterTableOperation::AlterColumn { op: AlterColumnOperation::SetDataType { .. }, .. } => {
            refused("alter column type of")
        }
        _ => Ok(()),
    }
}

/// ALTER TABLE … OF and NOT OF.
///
/// # Errors
/// 42804 where the table's columns are not the type's; 42809 for a table that has no type to lose.
pub async fn set_type(ddl: &mut Ddl, entry: &TableEntry, of: Option<&ObjectName>) -> Result<()> {
    let mut table = (*entry.table).clone();
    table.of_type = match of {
        Some(object) => {
            let own = composite_named(ddl, object)?;
            if let Some(composite) = own.composite() {
                compare(&table, composite)?;
            }
            own.oid
        }
        None if table.of_type == 0 => {
            let message = format!("\"{}\" is not a typed table", table.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        None => 0,
    };
    ddl.put(table).await
}

fn compare(table: &Table, composite: &Composite) -> Result<()> {
    let mismatch = |message: String| Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
    let mut columns = table.live_columns();
    for (_, attribute) in composite.live() {
        let Some(column) = columns.next() else {
            return mismatch(format!("table is missing column \"{}\"", attribute.name));
        };
        if column.name != attribute.name {
            return mismatch(format!(
                "table has column \"{}\" where type requires \"{}\"",
                column.name, attribute.name
            ));
        }
        if column.data_type() != attribute.data_type || column.collation != attribute.collation {
            return mismatch(format!(
                "table \"{}\" has different type for column \"{}\"",
                table.name, column.name
            ));
        }
    }
    match columns.next() {
        Some(extra) => mismatch(format!("table has extra column \"{}\"", extra.name)),
        None => Ok(()),
    }
}

/// The tables of a type.
fn tables_of(ddl: &Ddl, type_oid: u32) -> Vec<u32> {
    let typed = ddl.catalog.tables().filter(|entry| entry.table.of_type == type_oid);
    typed.map(|entry| entry.table.oid).collect()
}

/// 2BP01 where a type has tables, and the statement does not say CASCADE.
///
/// # Errors
/// 2BP01.
pub fn refuse_without_cascade(ddl: &Ddl, own: &UserType, cascade: bool) -> Result<()> {
    if cascade || tables_of(ddl, own.oid).is_empty() {
        return Ok(());
    }
    let message = format!("cannot alter type \"{}\" because it is the type of a typed table", own.name);
    Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .with_hint("Use ALTER ... CASCADE to alter the typed tables too."))
}

/// Does to the tables of a type what was done to the type.
///
/// # Errors
/// Those of ALTER TABLE.
pub async fn follow(ddl: &mut Ddl, type_oid: u32, change: &AttributeChange, text: &str) -> Result<()> {
    let action = match change {
        AttributeChange::Add { definition, .. } => {
            let column_def = column_definition(definition);
            TableAction::Standard(Box::new(AlterTableOperation::AddColumn {
                column_keyword: false,
                if_not_exists: false,
                column_def,
                column_position: None,
            }))
        }
        AttributeChange::Drop { name, .. } => {
            TableAction::Standard(Box::new(AlterTableOperation::DropColumn {
                has_column_keyword: false,
                column_names: vec![name.clone()],
                if_exists: true,
                drop_behavior: Some(ast::DropBehavior::Cascade),
            }))
        }
        AttributeChange::Retype { definition, .. } => {
            let action = Box::new(AlterTableOperation::AlterColumn {
                column_name: definition.name.clone(),
                op: AlterColumnOperation::SetDataType {
                    data_type: definition.data_type.clone(),
                    using: None,
                    had_set: false,
                },
            });
            match definition.collation.clone() {
                None => TableAction::Standard(action),
                Some(collation) => {
                    TableAction::TypeWithCollation { action, column: definition.name.clone(), collation }
                }
            }
        }
    };
    perform(ddl, type_oid, &action, text).await
}

/// Renames the columns of a type's tables as an attribute was.
///
/// # Errors
/// Those of ALTER TABLE.
pub async fn follow_renaming(ddl: &mut Ddl, type_oid: u32, old: &Ident, new: &Ident) -> Result<()> {
    let action = TableAction::Standard(Box::new(AlterTableOperation::RenameColumn {
        old_column_name: old.clone(),
        new_column_name: new.clone(),
    }));
    perform(ddl, type_oid, &action, "").await
}

async fn perform(ddl: &mut Ddl, type_oid: u32, action: &TableAction, text: &str) -> Result<()> {
    for oid in tables_of(ddl, type_oid) {
        ddl.refresh().await?;
        let Some(entry) = ddl.catalog.table(oid).cloned() else { continue };
        ddl.lock(&entry.table).await?;
        alter_table::perform(ddl, &entry, action, text).await?;
    }
    Ok(())
}

fn column_definition(definition: &AttributeDefinition) -> ast::ColumnDef {
    let collation = definition.collation.clone().map(ast::ColumnOption::Collation);
    let options = collation.map(|option| ast::ColumnOptionDef { name: None, option });
    ast::ColumnDef {
        name: definition.name.clone(),
        data_type: definition.data_type.clone(),
        options: options.into_iter().collect(),
    }
}
