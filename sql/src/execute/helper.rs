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
