//! Prepared statements.

use std::sync::Arc;

use futures_lite::future::block_on;
use helios_sql::session::Prepared;

use crate::database::{Lease, run};
use crate::{Result, Row, ToValue};

/// A statement that was parsed and planned once.
pub struct PreparedStatement {
    lease: Lease,
    prepared: Arc<Prepared>,
}

impl PreparedStatement {
    pub(crate) fn new(lease: Lease, prepared: Arc<Prepared>) -> PreparedStatement {
        PreparedStatement { lease, prepared }
    }

    /// Runs it and gives its rows.
    ///
    /// # Errors
    /// All the errors of executing.
    pub fn query(&mut self, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        block_on(self.query_async(params))
    }

    /// [`PreparedStatement::query`], without blocking the thread.
    ///
    /// # Errors
    /// As [`PreparedStatement::query`].
    pub async fn query_async(&mut self, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        run(self.lease.session(), &self.prepared, params).await.map(|(rows, _)| rows)
    }

    /// Runs it and gives the number of rows that it changed or found.
    ///
    /// # Errors
    /// All the errors of executing.
    pub fn execute(&mut self, params: &[&dyn ToValue]) -> Result<u64> {
        block_on(run(self.lease.session(), &self.prepared, params)).map(|(_, count)| count)
    }
}
