//! Ending what waits: cancel requests and time limits for statements, the stop signal for idle connections.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use helios_runtime::executor::{Sleep, StopToken, sleep};
use heliosdb_nano::session::{Session, SettingValues, SqlError, SqlState, TransactionStatus};

use crate::registry::CancelTarget;

/// Why a statement was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    Cancel,
    Timeout,
    /// The server's own limit.
    ServerTimeout,
}

impl Interruption {
    pub(crate) fn error(self) -> SqlError {
        match self {
            Interruption::Cancel => SqlError::canceled(),
            Interruption::Timeout => {
                SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
            }
            Interruption::ServerTimeout => Interruption::Timeout.error().with_hint(
                "The server's configuration has a limit, performance.query_timeout_secs. SET statement_timeout sets another one.",
            ),
        }
    }
}

/// The time limit of a connection's statements.
pub(crate) struct TimeLimit {
    target: Arc<CancelTarget>,
    /// The target knows when the running statement's time is up.
    is_told: bool,
    /// The settings that `limit` was read from.
    settings: Option<Arc<SettingValues>>,
    limit: Option<Duration>,
    /// Somebody set `statement_timeout`, so that the server's own limit does not count: dumps and restores do, to have none.
    is_own: bool,
    /// That of the running statement.
    running: Option<Sleep>,
    has_passed: bool,
}

impl TimeLimit {
    pub(crate) fn of(target: &Arc<CancelTarget>) -> TimeLimit {
        TimeLimit {
            target: target.clone(),
            is_told: false,
            settings: None,
            limit: None,
            is_own: false,
            running: None,
            has_passed: false,
        }
    }

    /// A statement begins.
    pub(crate) fn begin(&mut self, session: &Session) {
        if self.settings.as_ref().is_none_or(|known| !Arc::ptr_eq(known, session.settings())) {
            self.settings = Some(session.settings().clone());
            self.limit = session.settings().duration("statement_timeout");
            self.is_own = session.settings().source("statement_timeout") != "default";
        }
        self.end();
        self.running = self.limit.map(sleep);
        if let Some(limit) = self.limit {
            self.target.limit_time(limit);
            self.is_told = true;
        }
        self.has_passed = false;
        if !self.is_own {
            self.target.begin_turn();
        }
    }

    /// The statement has ended.
    pub(crate) fn end(&mut self) {
        self.running = None;
        if std::mem::take(&mut self.is_told) {
            self.target.unlimit_time();
        }
        self.target.end_turn();
    }

    /// What a client hears of an error: that of the time limit of the running statement, where it comes from that.
    pub(crate) fn explained(&self, error: SqlError) -> SqlError {
        if error.state() != SqlState::QUERY_CANCELED {
            error
        } else if self.has_passed || self.target.is_late() {
            Interruption::Timeout.error()
        } else if self.target.is_turn_late() {
            Interruption::ServerTimeout.error()
        } else {
            error
        }
    }

    fn poll_passed(&mut self, context: &mut Context<'_>) -> Option<Interruption> {
        if let Some(running) = &mut self.running {
            self.has_passed |= Pin::new(running).poll(context).is_ready();
        }
        if self.has_passed {
            return Some(Interruption::Timeout);
        }
        self.target.is_turn_late().then_some(Interruption::ServerTimeout)
    }
}

/// Drives a part of a statement, until a cancel request or the time limit ends it, where they may.
pub(crate) async fn interruptible<T>(
    target: &CancelTarget,
    limit: &mut TimeLimit,
    is_interruptible: bool,
    mut part: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Interruption> {
    poll_fn(|context| {
        if let Poll::Ready(output) = part.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        if !is_interruptible {
            return Poll::Pending;
        }
        if target.is_requested(context.waker()) {
            return Poll::Ready(Err(Interruption::Cancel));
        }
        if let Some(passed) = limit.poll_passed(context) {
            return Poll::Ready(Err(passed));
        }
        Poll::Pending
    })
    .await
}

/// What ended the wait for a client's next message.
pub(crate) enum Waited<T> {
    Done(T),
    /// The server stops.
    Stopped,
    /// Another session ended this one.
    Terminated,
    /// The client took too long.
    IdleTooLong,
    /// Other sessions have said something that the client is to hear now.
    Mail,
}

/// The wait of an idle connection, with what is kept from one to the next.
///
/// `stopped` is the connection's one future of the stop signal; `known` is the waker it was last polled with, so that
/// it is polled again only where that changes.
pub(crate) struct IdleWait<'c, S> {
    pub(crate) stop: &'c StopToken,
    pub(crate) stopped: Pin<&'c mut S>,
    pub(crate) known: Option<Waker>,
    pub(crate) limits: IdleLimits,
}

/// How long a connection may be idle, by the settings that this was read from.
#[derive(Default)]
pub(crate) struct IdleLimits {
    settings: Option<Arc<SettingValues>>,
    between_transactions: Option<Duration>,
    within_one: Option<Duration>,
}

impl IdleLimits {
    fn of(&mut self, session: &Session, is_idle: bool) -> Option<Duration> {
        let settings = session.settings();
        if self.settings.as_ref().is_none_or(|known| !Arc::ptr_eq(known, settings)) {
            self.between_transactions = settings.duration("idle_session_timeout");
            self.within_one = settings.duration("idle_in_transaction_session_timeout");
            self.settings = Some(settings.clone());
        }
        if is_idle { self.between_transactions } else { self.within_one }
    }
}

impl<S: Future<Output = ()>> IdleWait<'_, S> {
    /// Drives a future until it is done, or something else happens that the connection must see to.
    pub(crate) async fn until<T>(
        &mut self,
        target: &CancelTarget,
        session: &Session,
        future: impl Future<Output = T>,
    ) -> Waited<T> {
        let mut future = pin!(future);
        let is_idle = session.transaction_status() == TransactionStatus::Idle;
        let mut limit = self.limits.of(session, is_idle).map(sleep);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Waited::Done(output));
            }
            if self.stop.is_stopping() {
                return Poll::Ready(Waited::Stopped);
            }
            target.wake_at_signal(context.waker());
            if target.is_ending() {
                return Poll::Ready(Waited::Terminated);
            }
            // Within a transaction the client hears nothing of others.
            if is_idle && session.seen_by_others().has_mail() {
                return Poll::Ready(Waited::Mail);
            }
            if limit.as_mut().is_some_and(|limit| Pin::new(limit).poll(context).is_ready()) {
                return Poll::Ready(Waited::IdleTooLong);
            }
            if self.known.as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
                self.known = Some(context.waker().clone());
                if self.stopped.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Waited::Stopped);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Why an idle session ends.
pub(crate) fn idle_too_long(session: &Session) -> SqlError {
    match session.transaction_status() {
        TransactionStatus::Idle => SqlError::new(
            SqlState::IDLE_SESSION_TIMEOUT,
            "terminating connection due to idle-session timeout",
        ),
        _ => SqlError::new(
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            "terminating connection due to idle-in-transaction timeout",
        ),
    }
}

/// 57P01: the server stops, or somebody ended the session.
pub(crate) fn terminated() -> SqlError {
    SqlError::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}
