//! Constraints that are broken for the moment, and must not be at the end of the statement or of the transaction.

use std::sync::Arc;

use helios_mvcc::TreeId;

use super::{foreign_key, unique};
use crate::catalog::{Constraint, TableEntry};
use crate::error::{Result, SqlError};
use crate::execute::Execution;
use crate::value::Datum;

/// A constraint that a row broke.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(super) constraint: Arc<Constraint>,
    pub(super) broken: Broken,
    pub(super) error: SqlError,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Broken {
    /// Something refers to this, and it is not there: values in the order of the constraint's columns.
    Reference { key: Vec<Datum> },
    /// Several rows have this key of a unique index.
    Unique { tree: TreeId, entry: Vec<u8> },
}

/// Which pending checks are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At the end of a statement: those of constraints that are not deferred.
    Statement,
    /// At the end of the transaction: all.
    Transaction,
}

/// Looks again at what was broken in between: it must be whole now.
///
/// # Errors
/// 23503, 23505.
pub async fn check_pending(execution: &mut Execution, due: Due) -> Result<()> {
    let all = std::mem::take(&mut execution.pending);
    let mut outcome = Ok(());
    let mut is_later = Vec::with_capacity(all.len());
    for pending in &all {
        let deferred = due == Due::Statement && execution.deferral.is_deferred(&pending.constraint);
        is_later.push(deferred);
        if deferred {
            continue;
        }
        match pending.is_broken(execution).await {
            Ok(false) => {}
            Ok(true) => outcome = Err(pending.error.clone()),
            Err(error) => outcome = Err(error),
        }
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_err() {
        // Back at a savepoint, all of it is to be looked at again.
        execution.pending = all;
        return outcome;
    }
    let mut is_later = is_later.into_iter();
    execution.pending = all;
    execution.pending.retain(|_| is_later.next().unwrap_or(true));
    Ok(())
}

/// A row that breaks a constraint.
pub struct BrokenRow {
    pub table: Arc<TableEntry>,
    /// Its values, where they are known.
    pub row: Option<Vec<Datum>>,
    pub error: SqlError,
}

/// All rows that still break a constraint, each with what it breaks; behind `rows_max` of them, one for each missing key.
///
/// # Errors
/// Those of reading.
pub async fn broken(execution: &mut Execution, rows_max: usize) -> Result<Vec<BrokenRow>> {
    let mut broken = Vec::new();
    let mut seen: Vec<Pending> = Vec::new();
    for pending in std::mem::take(&mut execution.pending) {
        execution.breathe().await?;
        // Several rows may wait for one key.
        if !pending.is_broken(execution).await? || seen.iter().any(|other| other.is_of_same_key(&pending)) {
            continue;
        }
        let catalog = execution.environment.catalog.clone();
        let table = catalog.expect_table(pending.constraint.table)?.clone();
        let left = rows_max.saturating_sub(broken.len());
        let rows = match &pending.broken {
            Broken::Reference { key } if left > 0 => {
                foreign_key::referring_rows(&pending.constraint, key, left, execution).await?
            }
            Broken::Unique { tree, entry } if left > 0 => {
                unique::later_rows((*tree, entry), &table, left, execution).await?
            }
            _ => Vec::new(),
        };
        let error = pending.error.clone();
        if left > 0 {
            seen.push(pending);
        }
        if rows.is_empty() {
            broken.push(BrokenRow { table, row: None, error });
            continue;
        }
        let rows = rows.into_iter().map(Some);
        broken.extend(rows.map(|row| BrokenRow { table: table.clone(), row, error: error.clone() }));
    }
    Ok(broken)
}

impl Pending {
    fn is_of_same_key(&self, other: &Pending) -> bool {
        self.constraint.oid == other.constraint.oid && self.broken == other.broken
    }

    async fn is_broken(&self, execution: &mut Execution) -> Result<bool> {
        let catalog = execution.environment.catalog.clone();
        // What was dropped or changed meanwhile was tested then.
        let Some(entry) = catalog.table(self.constraint.table) else { return Ok(false) };
        if !entry.constraints.contains(&self.constraint) {
            return Ok(false);
        }
        match &self.broken {
            Broken::Reference { key } => {
                foreign_key::is_broken(&self.constraint, key, entry, execution).await
            }
            Broken::Unique { tree, entry } => unique::is_doubled(*tree, entry, execution).await,
        }
    }
}
