//! ALTER TABLE … ALTER COLUMN … { ADD, SET, DROP } of identity columns.

use std::sync::Arc;

use sqlparser::ast;

use super::dependency::{Thing, remove_all};
use super::{Ddl, alter_table, sequence};
use crate::catalog::{Identity, Table, TableColumn, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::SequenceOption;
use crate::types::DataType;

fn kind(always: bool) -> Identity {
    if always { Identity::Always } else { Identity::ByDefault }
}

fn not_identity(entry: &TableEntry, column: &str) -> SqlError {
    SqlError::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("column \"{column}\" of relation \"{}\" is not an identity column", entry.table.name),
    )
}

/// 42601 where a default is to be set or dropped, but the column makes its values in another way.
pub fn refuse(entry: &TableEntry, column: &TableColumn) -> Result<()> {
    if column.generated {
        return Err(SqlError::syntax(format!(
            "column \"{}\" of relation \"{}\" is a generated column",
            column.name, entry.table.name
        )));
    }
    if column.identity.is_none() {
        return Ok(());
    }
    Err(SqlError::syntax(format!(
        "column \"{}\" of relation \"{}\" is an identity column",
        column.name, entry.table.name
    ))
    .with_hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."))
}

pub async fn add(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    column: &str,
    always: bool,
    options: &[SequenceOption],
) -> Result<()> {
    let found = alter_table::find_column(&entry.table, column)?;
    let state = |what: &str| {
        SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("column \"{column}\" of relation \"{}\" {what}", entry.table.name),
        )
    };
    sequence::check_type(found.type_oid, true)?;
    if !found.not_null {
        return Err(state("must be declared NOT NULL before identity can be added"));
    }
    if found.identity.is_some() {
        return Err(state("is already an identity column"));
    }
    if found.default.is_some() {
        return Err(state("already has a default value"));
    }
    let wanted = sequence::Wanted {
        column: found.number,
        type_oid: found.type_oid,
        options: options.to_vec(),
        identity: Some(kind(always)),
    };
    let mut table = (*entry.table).clone();
    for made in sequence::for_columns(ddl, &mut table, vec![wanted]).await? {
        ddl.put(made).await?;
    }
    ddl.put(table).await
}

pub async fn set(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    column: &str,
    always: Option<bool>,
    options: &[SequenceOption],
) -> Result<()> {
    let found = alter_table::find_column(&entry.table, column)?;
    if found.identity.is_none() {
        return Err(not_identity(entry, column));
    }
    let owned = ddl.catalog.identity_sequence(entry.table.oid, found.number).cloned();
    if let Some(owned) = owned
        && !options.is_empty()
    {
        sequence::change(ddl, (*owned).clone(), options).await?;
    }
    if let Some(always) = always {
        let mut table = (*entry.table).clone();
        table.columns[Table::position(found.number)].identity = Some(kind(always));
        ddl.put(table).await?;
    }
    Ok(())
}

/// Lets the sequence of an identity column count in the type that the column gets.
///
/// # Errors
/// 22023 for a type without numbers to count with, and for a sequence that does not fit it.
pub async fn retype(
    ddl: &mut Ddl,
    entry: &TableEntry,
    column: &TableColumn,
    written: &ast::DataType,
    target: DataType,
) -> Result<()> {
    sequence::check_type(target.oid, true)?;
    let owned = ddl.catalog.identity_sequence(entry.table.oid, column.number).cloned();
    match owned {
        Some(owned) => sequence::change(ddl, (*owned).clone(), &[SequenceOption::As(written.clone())]).await,
        None => Ok(()),
    }
}

pub async fn drop(ddl: &mut Ddl, entry: &Arc<TableEntry>, column: &str, if_exists: bool) -> Result<()> {
    let found = alter_table::find_column(&entry.table, column)?;
    if found.identity.is_none() {
        let error = not_identity(entry, column);
        if if_exists {
            ddl.notice(format!("{}, skipping", error.message()));
            return Ok(());
        }
        return Err(error);
    }
    let owned = ddl.catalog.identity_sequence(entry.table.oid, found.number).map(|owned| owned.oid);
    if let Some(owned) = owned {
        remove_all(ddl, &[Thing::Sequence(owned)]).await?;
    }
    let mut table = (*entry.table).clone();
    table.columns[Table::position(found.number)].identity = None;
    ddl.put(table).await
}
