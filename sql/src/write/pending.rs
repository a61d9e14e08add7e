//! Constraints that are broken for the moment, and must not be at the end of the statement or of the transaction.

use std::sync::Arc;

use helios_mvcc::TreeId;

use super::{foreign_key, unique};
use crate::catalog::Constraint;
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
#[derive(Clone, Debug)]
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

/// All that is still broken, each with the table that it is about.
///
/// # Errors
/// Those of reading.
pub async fn broken(execution: &mut Execution) -> Result<Vec<SqlError>> {
    let mut broken = Vec::new();
    for pending in std::mem::take(&mut execution.pending) {
        if pending.is_broken(execution).await? {
            broken.push(pending.error);
        }
    }
    Ok(broken)
}

impl Pending {
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
