//! A signal that is given once: stop.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// Tells tasks to come to an end. Clones share the signal.
#[derive(Clone, Default)]
pub struct StopToken {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Written under the lock of `state`; read without it, since all sessions ask before each request.
    is_stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
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
            let mut state = self.shared.state.lock();
            self.shared.is_stopping.store(true, Ordering::Release);
            std::mem::take(&mut state.waiters)
        };
        for waker in waiters.into_values() {
            waker.wake();
        }
    }

    /// Whether the signal was given.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping.load(Ordering::Acquire)
    }

    /// Waits for the signal. A task that waits again and again, for this or something else, best
    /// keeps one such future: each one registers itself with all others.
    pub async fn stopped(&self) {
        let mut registration = Registration { token: self, waiter: None };
        poll_fn(|context| {
            let mut state = self.shared.state.lock();
            if self.shared.is_stopping.load(Ordering::Acquire) {
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
            self.token.shared.state.lock().waiters.remove(&waiter);
        }
    }
}
