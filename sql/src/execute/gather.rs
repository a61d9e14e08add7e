//! Gather: the rows of a plan that several work on, in any order.

use std::sync::Arc;

use async_channel::Receiver;

use super::context::Instrument;
use super::key_filter::KeyFilter;
use super::team::Team;
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::value::Batch;

/// Gives what a team finds, and does the session's part of the work.
pub struct Gather {
    team: Arc<Team>,
    number: usize,
    own: Box<dyn Operator>,
    own_is_through: bool,
    rows: Receiver<Batch>,
}

impl Gather {
    pub fn new(team: Arc<Team>, rows: Receiver<Batch>, number: usize, own: Box<dyn Operator>) -> Gather {
        Gather { team, number, own, own_is_through: false, rows }
    }

    async fn next_batch(&mut self, execution: &mut Execution) -> Result<Option<Batch>> {
        while !self.own_is_through {
            if let Ok(batch) = self.rows.try_recv() {
                return Ok(Some(batch));
            }
            let outer = execution.team.replace(self.team.clone());
            let own = self.own.next(execution).await;
            execution.team = outer;
            match own {
                Ok(Some(batch)) => return Ok(Some(batch)),
                Ok(None) => {
                    self.own_is_through = true;
                    self.team.close_entry();
                }
                Err(error) => {
                    // Where a helper failed, that is what ended the session's part too.
                    self.team.dismiss();
                    return Err(self.team.take_failure().unwrap_or(error));
                }
            }
        }
        if let Ok(batch) = self.rows.recv().await {
            return Ok(Some(batch));
        }
        match self.team.take_failure() {
            Some(error) => Err(error),
            None => {
                self.note_measured(execution);
                Ok(None)
            }
        }
    }

    /// Adds what helpers measured to what the session did.
    fn note_measured(&self, execution: &mut Execution) {
        let launched = self.team.called() as u64;
        execution.instrument(self.number, |instrument| instrument.launched = launched);
        for (number, measured) in
            self.team.take_instruments().into_iter().flat_map(|all| all.into_iter().enumerate())
        {
            execution.instrument(number, |instrument: &mut Instrument| instrument.add(&measured));
        }
    }
}

impl Operator for Gather {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        self.team.restrict(column, keys);
        self.own.restrict(column, keys);
    }

    fn expect(&mut self, rows: usize) {
        self.own.expect(rows);
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(self.next_batch(execution))
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        self.team.dismiss();
    }
}
