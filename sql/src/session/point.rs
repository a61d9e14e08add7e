//! Statements for one row, run without a portal: for callers that want the whole outcome at once.
//!
//! They go through the same transaction, the same writer and the same retries as everything else; what they save
//! is operators, batches and portals.

use std::collections::VecDeque;
use std::sync::Arc;

use super::portal::State;
use super::prepare::Action;
use super::{Prepared, Session};
use crate::error::Result;
use crate::plan::point::PointQuery;
use crate::value::Datum;

impl Prepared {
    /// Whether [`Session::run_point`] may run it.
    fn is_point(&self) -> bool {
        match &self.action {
            Action::Query(_) => self.point.is_some(),
            Action::Insert(plan) => plan.single.is_some() && plan.returning.is_none(),
            Action::Update(plan) => plan.point.is_some() && plan.returning.is_none(),
            Action::Delete(plan) => plan.point.is_some() && plan.returning.is_none(),
            _ => false,
        }
    }
}

impl Session {
    /// Runs a statement that finds or writes one row at most; gives the number of rows, and in `row` the row that a
    /// query found. `None` for any other statement, or where the parameters do not fit: nothing was done then.
    ///
    /// # Errors
    /// All the errors of execution; the transaction has failed then.
    pub async fn run_point(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: &Arc<[Datum]>,
        row: &mut Vec<Datum>,
    ) -> Result<Option<u64>> {
        let failed = self.active.as_ref().is_some_and(|active| active.failed);
        let fits = prepared.parameter_types.len() == parameters.len();
        if failed || !fits || !prepared.is_point() || !self.is_current(prepared) {
            return Ok(None);
        }
        let rows = match &prepared.point {
            Some(point) => self.point_row(point, parameters.clone(), row).await.map(u64::from),
            None => {
                let changed = self.change_prepared(prepared, parameters.clone()).await;
                changed.map(|changed| changed.rows)
            }
        };
        if rows.is_err() {
            self.fail();
        }
        rows.map(Some)
    }

    async fn point_row(
        &mut self,
        point: &PointQuery,
        parameters: Arc<[Datum]>,
        row: &mut Vec<Datum>,
    ) -> Result<bool> {
        let environment = self.begin_statement().await?;
        let mut execution = self.lend(environment, parameters)?;
        let found = point.run(&mut execution, row).await;
        self.take_back(execution)?;
        found
    }

    /// The rows of a query for one row, for a portal to give.
    pub(super) async fn point_rows(&mut self, point: &PointQuery, parameters: Arc<[Datum]>) -> Result<State> {
        let mut row = Vec::with_capacity(point.outputs.len());
        if !self.point_row(point, parameters, &mut row).await? {
            return Ok(State::Given { batches: VecDeque::new(), tag: "SELECT 0".into() });
        }
        Ok(State::Given { batches: VecDeque::from([point.batch(row)?]), tag: "SELECT 1".into() })
    }
}
