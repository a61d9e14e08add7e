//! A signal that is given once: stop.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// Tells tasks to come to an end. Clones share the signal.
#[derive(Clone, Default)]
pub struct StopToken {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_stopping: bool,
    next_waiter: u64,
    waiters: BTreeMap<u64, Waker>,
}

impl StopToken {
    /// A signal not given yet.
    pub fn new() -> StopToken {
        StopToken::default()
    }

    /// Gives the signal; again does nothing.
    pub fn stop(&self) {
        let waiters = {
            let mut state = self.state.lock();
            state.is_stopping = true;
            std::mem::take(&mut state.waiters)
        };
        for waker in waiters.into_values() {
            waker.wake();
        }
    }

    /// Whether the signal was given.
    pub fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }

    /// Waits for the signal. A task that waits again and again, for this or something else, best
    /// keeps one such future: each one registers itself with all others.
    pub async fn stopped(&self) {
        let mut registration = Registration { token: self, waiter: None };
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.is_stopping {
                return Poll::Ready(());
            }
            let waiter = *registration.waiter.get_or_insert_with(|| {
                state.next_waiter += 1;
                state.next_waiter
            });
            state.waiters.insert(waiter, context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Takes a waiter off the list when its future is dropped.
struct Registration<'a> {
    token: &'a StopToken,
    waiter: Option<u64>,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.token.state.lock().waiters.remove(&waiter);
        }
    }
}
