//! Explicit transactions.

use futures_lite::future::block_on;
use parking_lot::Mutex;

use crate::database::{Lease, Scratch, execute, execute_in, execute_with_in, query_in};
use crate::{Result, Row, ToValue};

/// A transaction. Dropping it rolls it back.
pub struct Transaction {
    inside: Mutex<Inside>,
}

struct Inside {
    lease: Lease,
    scratch: Scratch,
}

impl Transaction {
    pub(crate) fn new(lease: Lease) -> Transaction {
        Transaction { inside: Mutex::new(Inside { lease, scratch: Scratch::default() }) }
    }

    /// Runs one statement or several; gives the number of rows that the last one changed or found.
    ///
    /// # Errors
    /// All the errors of SQL; the transaction can only be rolled back then.
    pub fn execute(&self, sql: &str) -> Result<u64> {
        block_on(execute_in(self.inside.lock().lease.session(), sql))
    }

    /// Runs one statement with parameters; gives the number of rows that it changed or found. Its plan is kept, so
    /// that the same text runs again without being parsed.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub fn execute_with(&self, sql: &str, params: &[&dyn ToValue]) -> Result<u64> {
        let Inside { lease, scratch } = &mut *self.inside.lock();
        let session = lease.session();
        if let Some(prepared) = session.known_plan(sql) {
            return execute(session, &prepared, params, scratch);
        }
        block_on(execute_with_in(session, sql, params, scratch))
    }

    /// Runs a query and gives its rows.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub fn query(&self, sql: &str, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        block_on(query_in(self.inside.lock().lease.session(), sql, params))
    }

    /// Makes all changes durable and visible.
    ///
    /// # Errors
    /// 40001 and those of writing; nothing is changed then.
    pub fn commit(self) -> Result<()> {
        let mut lease = self.inside.into_inner().lease;
        block_on(lease.session().finish(true))?;
        Ok(())
    }

    /// Undoes all changes.
    ///
    /// # Errors
    /// None; it is a result for symmetry with [`Transaction::commit`].
    pub fn rollback(self) -> Result<()> {
        let mut lease = self.inside.into_inner().lease;
        block_on(lease.session().finish(false))?;
        Ok(())
    }
}
