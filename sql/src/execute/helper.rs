//! A helper: works on a plan with others of a team, on another thread than the session's.

use std::sync::Arc;

use async_channel::Sender;

use super::team::Team;
use super::{Execution, build_from};
use crate::error::{Result, SqlError, SqlState};
use crate::value::Batch;

/// The place of a helper that was called. Dropped by somebody who did not leave it in order — a panic ended its task — it
/// ends the work of all.
pub struct Place {
    team: Arc<Team>,
    state: State,
}

enum State {
    Called,
    Working,
    Left,
}

impl Place {
    pub fn new(team: Arc<Team>) -> Place {
        Place { team, state: State::Called }
    }

    fn take(&mut self) -> Option<Sender<Batch>> {
        let sender = self.team.enter();
        self.state = if sender.is_some() { State::Working } else { State::Left };
        sender
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.state {
            State::Called => self.team.miss(),
            State::Working => self.team.fail(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "lost connection to parallel worker",
            )),
            State::Left => {}
        }
    }
}

/// Does a helper's part of the work.
pub async fn help(place: Place, mut execution: Execution) {
    // Dropped last: the session takes the end of the channel for the end of the work.
    let (sender, mut place) = {
        let mut place = place;
        let Some(sender) = place.take() else { return };
        (sender, place)
    };
    let team = place.team.clone();
    match work(&team, &sender, &mut execution).await {
        Ok(()) => team.note_measured(execution.instruments.take().unwrap_or_default()),
        Err(error) => team.fail(error),
    }
    place.state = State::Left;
}

async fn work(team: &Team, rows: &Sender<Batch>, execution: &mut Execution) -> Result<()> {
    let (plan, number) = team.plan();
    let mut operator = build_from(plan, number);
    for (column, keys) in team.restrictions() {
        operator.restrict(column, &keys);
    }
    while let Some(batch) = operator.next(execution).await? {
        if rows.send(batch).await.is_err() {
            // Nobody wants them any more.
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;
    use crate::plan::physical::{Physical, PlanNode};

    /// A helper that panics ends the session's wait with an error.
    #[test]
    fn a_panic_is_noticed() {
        let plan = Physical::Values { rows: Vec::new() };
        let plan = PlanNode { node: plan, rows: 0.0, names: Vec::new(), types: Vec::new() };
        let (team, rows) = Team::new(Arc::new(plan), 0, 1);
        let mut place = Place::new(team.clone());
        let panics = move || {
            let _sender = place.take().expect("somebody waits for it");
            panic!("on purpose");
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert!(block_on(rows.recv()).is_err());
        let error = team.take_failure().expect("it did not end well");
        assert_eq!(error.message(), "lost connection to parallel worker");
        assert!(team.is_over());
    }

    /// One that begins when the session is through has nothing to do, and nobody waits for it.
    #[test]
    fn latecomers_are_not_waited_for() {
        let plan = Physical::Values { rows: Vec::new() };
        let plan = PlanNode { node: plan, rows: 0.0, names: Vec::new(), types: Vec::new() };
        let (team, rows) = Team::new(Arc::new(plan), 0, 1);
        let mut place = Place::new(team.clone());
        team.close_entry();
        assert!(block_on(rows.recv()).is_err());
        assert!(place.take().is_none());
        drop(place);
        assert!(team.take_failure().is_none());
    }
}
