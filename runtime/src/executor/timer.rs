//! Timers: futures that become ready at a moment.
//!
//! Each worker has a queue of timers, which it looks at before it waits. Everywhere else (an
//! embedding program's own threads, background tasks) one thread serves them all; it starts with
//! the first such timer and lives as long as the process.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::worker::current_timers;

/// When a timer fires, and a number that tells apart those of one moment.
type Key = (Instant, u64);

/// The timers of one thread.
#[derive(Default)]
pub(super) struct TimerQueue {
    state: Mutex<State>,
    /// Signalled when an earlier timer than all others was added; only the timer thread waits on it.
    earlier: Condvar,
}

#[derive(Default)]
struct State {
    timers: BTreeMap<Key, Waker>,
    next_number: u64,
}

impl TimerQueue {
    /// Wakes what is due and gives the moment of the next timer.
    pub(super) fn fire(&self) -> Option<Instant> {
        let due = {
            let mut state = self.state.lock();
            let (first, _) = state.timers.first_key_value()?;
            let now = now();
            if first.0 > now {
                return Some(first.0);
            }
            let later = state.timers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut state.timers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
        self.state.lock().timers.first_key_value().map(|(key, _)| key.0)
    }

    fn add(&self, deadline: Instant, waker: &Waker) -> Key {
        let mut state = self.state.lock();
        let key = (deadline, state.next_number);
        state.next_number += 1;
        state.timers.insert(key, waker.clone());
        if state.timers.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.earlier.notify_one();
        }
        key
    }

    /// False when the timer has fired already.
    fn renew(&self, key: Key, waker: &Waker) -> bool {
        match self.state.lock().timers.get_mut(&key) {
            Some(old) => {
                old.clone_from(waker);
                true
            }
            None => false,
        }
    }

    fn remove(&self, key: Key) {
        let removed = self.state.lock().timers.remove(&key);
        // The waker may drop a task: not under the lock.
        drop(removed);
    }

    /// The timer thread's life.
    fn serve(&self) {
        loop {
            let next = self.fire();
            let mut state = self.state.lock();
            let first = state.timers.first_key_value().map(|(key, _)| key.0);
            match first {
                // Something came in between.
                _ if first != next => {}
                Some(moment) => {
                    self.earlier.wait_until(&mut state, moment);
                }
                None => self.earlier.wait(&mut state),
            }
        }
    }
}

/// The queue for threads that are no workers.
fn shared_queue() -> Arc<TimerQueue> {
    static QUEUE: OnceLock<Arc<TimerQueue>> = OnceLock::new();
    let start = || {
        let queue = Arc::new(TimerQueue::default());
        let served = queue.clone();
        crate::cpu::spawn_unpinned("helios-timer", move || served.serve())
            .expect("one thread can be started");
        queue
    };
    QUEUE.get_or_init(start).clone()
}

#[allow(clippy::disallowed_methods)] // timers are made of the system's clock
pub(super) fn now() -> Instant {
    Instant::now()
}

/// A future that is ready once its moment has come; see [`sleep`].
#[must_use = "a timer does nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    registration: Option<(Arc<TimerQueue>, Key)>,
}

/// Waits for a duration, on a worker or any other thread. Durations beyond a century never end.
pub fn sleep(duration: Duration) -> Sleep {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    Sleep { deadline: now() + duration.min(CENTURY), registration: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now() >= self.deadline {
            self.unregister();
            return Poll::Ready(());
        }
        let is_registered = match &self.registration {
            Some((queue, key)) => queue.renew(*key, context.waker()),
            None => false,
        };
        if !is_registered {
            let queue = current_timers().unwrap_or_else(shared_queue);
            let key = queue.add(self.deadline, context.waker());
            self.registration = Some((queue, key));
        }
        Poll::Pending
    }
}

impl Sleep {
    fn unregister(&mut self) {
        if let Some((queue, key)) = self.registration.take() {
            queue.remove(key);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.unregister();
    }
}

/// The error of [`timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl std::fmt::Display for TimedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the time allowed has passed")
    }
}

impl std::error::Error for TimedOut {}

/// Waits for a future, but no longer than a duration; then the future is dropped.
///
/// # Errors
/// [`TimedOut`] when the duration has passed first; a future that is ready at once always wins.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, TimedOut> {
    let mut future = pin!(future);
    let mut limit = sleep(duration);
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut limit).poll(context).map(|()| Err(TimedOut))
    })
    .await
}
