//! A signal that is given once: stop.

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
    waiters: Vec<(u64, Waker)>,
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
        for (_, waker) in waiters {
            waker.wake();
        }
    }

    /// Whether the signal was given.
    pub fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }

    /// Waits for the signal.
    pub async fn stopped(&self) {
        let mut registration = Registration { token: self, waiter: None };
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.is_stopping {
                return Poll::Ready(());
            }
            match registration.waiter {
                Some(waiter) => {
                    for (_, waker) in state.waiters.iter_mut().filter(|(id, _)| *id == waiter) {
                        waker.clone_from(context.waker());
                    }
                }
                None => {
                    let waiter = state.next_waiter;
                    state.next_waiter += 1;
                    state.waiters.push((waiter, context.waker().clone()));
                    registration.waiter = Some(waiter);
                }
            }
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
            let mut state = self.token.state.lock();
            if let Some(index) = state.waiters.iter().position(|(id, _)| *id == waiter) {
                state.waiters.swap_remove(index);
            }
        }
    }
}
