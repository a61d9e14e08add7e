//! Ending what waits: cancel requests and time limits for statements, the stop signal for idle connections.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use helios_runtime::executor::{Sleep, StopToken, sleep};
use heliosdb_nano::session::{Session, SettingValues, SqlError, SqlState};

use crate::registry::CancelTarget;

/// Why a statement was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    Cancel,
    Timeout,
}

impl Interruption {
    pub(crate) fn error(self) -> SqlError {
        match self {
            Interruption::Cancel => SqlError::canceled(),
            Interruption::Timeout => {
                SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
            }
        }
    }
}

/// The time limit of a connection's statements.
#[derive(Default)]
pub(crate) struct TimeLimit {
    /// The settings that `limit` was read from.
    settings: Option<Arc<SettingValues>>,
    limit: Option<Duration>,
    /// That of the running statement.
    running: Option<Sleep>,
    has_passed: bool,
}

impl TimeLimit {
    /// A statement begins.
    pub(crate) fn begin(&mut self, session: &Session) {
        if self.settings.as_ref().is_none_or(|known| !Arc::ptr_eq(known, session.settings())) {
            self.settings = Some(session.settings().clone());
            let value = session.setting("statement_timeout").unwrap_or_default();
            self.limit = milliseconds(&value).filter(|limit| !limit.is_zero());
        }
        self.running = self.limit.map(sleep);
        self.has_passed = false;
    }

    /// The statement has ended.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    /// Whether an error comes from the time limit of the running statement.
    pub(crate) fn explains(&self, error: &SqlError) -> bool {
        self.has_passed && error.state() == SqlState::QUERY_CANCELED
    }

    fn poll_passed(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(running) = &mut self.running {
            self.has_passed |= Pin::new(running).poll(context).is_ready();
        }
        self.has_passed
    }
}

/// A duration as settings show it: a number and a unit, milliseconds without one.
fn milliseconds(value: &str) -> Option<Duration> {
    let digits = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(factor)?))
}

/// Drives a part of a statement, until a cancel request or the time limit ends it.
pub(crate) async fn interruptible<T>(
    target: &CancelTarget,
    limit: &mut TimeLimit,
    part: impl Future<Output = T>,
) -> Result<T, Interruption> {
    let mut part = pin!(part);
    poll_fn(|context| {
        if let Poll::Ready(output) = part.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        if target.is_requested(context.waker()) {
            return Poll::Ready(Err(Interruption::Cancel));
        }
        if limit.poll_passed(context) {
            return Poll::Ready(Err(Interruption::Timeout));
        }
        Poll::Pending
    })
    .await
}

/// Drives a future until it is done or the stop signal is given, which gives `None`.
///
/// `stopped` is the connection's one future of the signal; `known` is the waker it was last polled with, so that
/// it is polled again only where that changes.
pub(crate) async fn until_stopped<T>(
    stop: &StopToken,
    mut stopped: Pin<&mut impl Future<Output = ()>>,
    known: &mut Option<Waker>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if stop.is_stopping() {
            return Poll::Ready(None);
        }
        if known.as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
            *known = Some(context.waker().clone());
            if stopped.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_settings_show_them() {
        assert_eq!(milliseconds("0"), Some(Duration::ZERO));
        assert_eq!(milliseconds("1500ms"), Some(Duration::from_millis(1_500)));
        assert_eq!(milliseconds("2min"), Some(Duration::from_secs(120)));
        assert_eq!(milliseconds("2 fortnights"), None);
    }
}
