//! Explicit transactions.

use async_lock::Mutex;
use futures_lite::future::block_on;

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
        block_on(self.execute_async(sql))
    }

    /// [`Transaction::execute`], without blocking the thread.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub async fn execute_async(&self, sql: &str) -> Result<u64> {
        execute_in(self.inside.lock().await.lease.session(), sql).await
    }

    /// Runs one statement with parameters; gives the number of rows that it changed or found. Its plan is kept, so
    /// that the same text runs again without being parsed.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub fn execute_with(&self, sql: &str, params: &[&dyn ToValue]) -> Result<u64> {
        let Inside { lease, scratch } = &mut *self.inside.lock_blocking();
        let session = lease.session();
        if let Some(mut prepared) = session.known_plan(sql, &[]) {
            return execute(session, &mut prepared, params, scratch);
        }
        block_on(execute_with_in(session, sql, params, scratch))
    }

    /// [`Transaction::execute_with`], without blocking the thread.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub async fn execute_with_async(&self, sql: &str, params: &[&dyn ToValue]) -> Result<u64> {
        let Inside { lease, scratch } = &mut *self.inside.lock().await;
        execute_with_in(lease.session(), sql, params, scratch).await
    }

    /// Runs a query and gives its rows.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub fn query(&self, sql: &str, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        block_on(self.query_async(sql, params))
    }

    /// [`Transaction::query`], without blocking the thread.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub async fn query_async(&self, sql: &str, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        query_in(self.inside.lock().await.lease.session(), sql, params).await
    }

    /// Makes all changes durable and visible.
    ///
    /// # Errors
    /// 40001 and those of writing; nothing is changed then.
    pub fn commit(self) -> Result<()> {
        block_on(self.commit_async())
    }

    /// [`Transaction::commit`], without blocking the thread. Once it waits for the disk the transaction is committed even
    /// if the future is dropped.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit_async(self) -> Result<()> {
        Ok(self.inside.into_inner().lease.session().finish(true).await?)
    }

    /// Undoes all changes.
    ///
    /// # Errors
    /// None; it is a result for symmetry with [`Transaction::commit`].
    pub fn rollback(self) -> Result<()> {
        block_on(self.rollback_async())
    }

    /// [`Transaction::rollback`], without blocking the thread.
    ///
    /// # Errors
    /// As [`Transaction::rollback`].
    pub async fn rollback_async(self) -> Result<()> {
        Ok(self.inside.into_inner().lease.session().finish(false).await?)
    }
}
