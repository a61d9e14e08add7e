//! SET LOGGED and SET UNLOGGED. All tables are logged here; what they are called is kept, for the catalogs and for dumps.

use sqlparser::ast;

use super::{Ddl, reshape};
use crate::binder::Relation;
use crate::catalog::{ConstraintKind, Sequence, TableEntry};
use crate::error::{Result, SqlError, SqlState};

/// ALTER TABLE … SET LOGGED or UNLOGGED, of the table and of the sequences of its columns.
///
/// # Errors
/// 42P16 for a temporary table, and where a logged table would refer to one that is not.
pub async fn set_table(ddl: &mut Ddl, entry: &TableEntry, logged: bool) -> Result<()> {
    let name = &entry.table.name;
    let invalid = |message: String| SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message);
    if entry.table.is_temporary {
        let message = format!("cannot change logged status of table \"{name}\" because it is temporary");
        return Err(invalid(message).with_table(name));
    }
    if entry.table.unlogged != logged {
        return Ok(());
    }
    let unfit = ddl.catalog.constraints().find_map(|constraint| {
        let ConstraintKind::ForeignKey { table, .. } = constraint.kind else { return None };
        let other = match logged {
            true if constraint.table == entry.table.oid => table,
            false if table == entry.table.oid => constraint.table,
            _ => return None,
        };
        let other = ddl.catalog.table(other).filter(|other| other.table.oid != entry.table.oid)?;
        (other.table.unlogged == logged).then(|| other.table.name.clone())
    });
    if let Some(other) = unfit {
        let (to, of) = if logged { ("logged", "unlogged") } else { ("unlogged", "logged") };
        return Err(invalid(format!(
            "could not change table \"{name}\" to {to} because it references {of} table \"{other}\""
        )));
    }
    reshape::refuse_held(ddl, &entry.table)?;
    let owned: Vec<Sequence> =
        ddl.catalog.sequences_of(entry.table.oid).map(|sequence| (**sequence).clone()).collect();
    for mut sequence in owned {
        sequence.unlogged = !logged;
        ddl.put(sequence).await?;
    }
    let mut table = (*entry.table).clone();
    table.unlogged = !logged;
    ddl.put(table).await
}

/// ALTER SEQUENCE … SET LOGGED or UNLOGGED.
///
/// # Errors
/// 42P01 and 42809 for what is no sequence, 42501 for another role's.
pub async fn set_sequence(
    ddl: &mut Ddl,
    object: &ast::ObjectName,
    if_exists: bool,
    logged: bool,
) -> Result<()> {
    let Some(relation) = ddl.existing(object, if_exists)? else { return Ok(()) };
    let Relation::Sequence(entry) = &relation else {
        let message = format!("\"{}\" is not a sequence", relation.name());
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    };
    ddl.check_owns(&relation)?;
    let mut sequence = (*entry.sequence).clone();
    sequence.unlogged = !logged && !sequence.is_temporary;
    ddl.put(sequence).await
}
