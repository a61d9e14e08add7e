//! The watcher: a thread that looks after statements while their workers are busy with them.
//!
//! A worker hears of time limits, lost clients and the stop signal when it has its turn; but parsing, planning and a single
//! call of a function take as long as they take, and with as many of them as workers nobody has a turn. So every
//! [`TICK`] the watcher looks at the connections on which something runs:
//!
//! 1. One whose time is up is told so.
//! 2. One that parses, binds or plans, and did so at the last tick, is given up when its client is gone or the server stops:
//!    it has done nothing yet.
//! 3. One whose statement it has seen for longer than the server lets any run is told so.
//! 4. Once the server's patience has ended, all are to end.
//!
//! While nothing runs it sleeps.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use helios_runtime::{Clock, SystemClock};

use crate::server::Shared;

/// How often it looks.
const TICK: Duration = Duration::from_millis(20);

/// Wakes the watcher.
pub(crate) struct Bell {
    clock: SystemClock,
    /// The watcher sleeps until something runs.
    is_asleep: AtomicBool,
    is_over: Mutex<bool>,
    rung: Condvar,
}

impl Default for Bell {
    fn default() -> Bell {
        Bell {
            clock: SystemClock::new(),
            is_asleep: AtomicBool::new(false),
            is_over: Mutex::new(false),
            rung: Condvar::new(),
        }
    }
}

impl Bell {
    /// The time since the bell was made.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.monotonic_nanos())
    }

    /// Something runs.
    pub(crate) fn ring(&self) {
        // All sessions ask this at each request, so that only who finds it true writes it.
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            // Held for a moment, so that the watcher is not between looking and sleeping.
            drop(self.is_over.lock().unwrap_or_else(PoisonError::into_inner));
            self.rung.notify_all();
        }
    }

    fn end(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_all();
    }

    /// Waits for a tick, or where nothing runs until something does; false at the end.
    fn wait(&self) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_over {
            return false;
        }
        let is_over = if self.is_asleep.load(Ordering::SeqCst) {
            self.rung
                .wait_while(is_over, |over| !*over && self.is_asleep.load(Ordering::SeqCst))
                .unwrap_or_else(PoisonError::into_inner)
        } else {
            self.rung.wait_timeout(is_over, TICK).unwrap_or_else(PoisonError::into_inner).0
        };
        !*is_over
    }
}

/// The thread; dropping this ends it.
pub(crate) struct Watcher {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts it; `patience` is how long statements may run after the stop signal.
    #[allow(clippy::disallowed_methods)] // it has to run while all workers are busy, outside of any executor
    pub(crate) fn start(shared: &Arc<Shared>, patience: Duration) -> io::Result<Watcher> {
        let (watched, bell) = (shared.clone(), shared.registry.bell().clone());
        let run = move || look_after(&watched, patience);
        let thread = std::thread::Builder::new().name("helios-watcher".into()).spawn(run)?;
        Ok(Watcher { bell, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.bell.end();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watcher panicked");
        }
    }
}

fn look_after(shared: &Shared, patience: Duration) {
    let bell = shared.registry.bell();
    let mut stopping_since = None;
    // What was being prepared at the last tick, by connection.
    let mut prepared: HashMap<usize, u64> = HashMap::new();
    // Since when the statements of the last tick were seen, by connection.
    let mut seen: HashMap<usize, (u64, Duration)> = HashMap::new();
    let query_timeout = shared.options.query_timeout;
    while bell.wait() {
        // Set before looking: who begins after that wakes us.
        bell.is_asleep.store(true, Ordering::SeqCst);
        let running = shared.registry.running();
        if running.is_empty() {
            prepared.clear();
            seen.clear();
            continue;
        }
        bell.is_asleep.store(false, Ordering::SeqCst);
        let now = bell.now();
        if shared.stop.is_stopping() {
            stopping_since.get_or_insert(now);
        }
        let is_patience_over = stopping_since.is_some_and(|since: Duration| now >= since + patience);
        let (mut preparing, mut seen_now) = (HashMap::new(), HashMap::new());
        for target in &running {
            target.look_at_time(now);
            if is_patience_over {
                target.end_now();
            }
            let place = Arc::as_ptr(target).addr();
            if let (Some(limit), Some(turn)) = (query_timeout, target.turn()) {
                let known = seen.get(&place).filter(|known| known.0 == turn);
                let since = known.map_or(now, |known| known.1);
                if now.saturating_sub(since) >= limit {
                    target.end_late(turn);
                }
                seen_now.insert(place, (turn, since));
            }
            let Some(turn) = target.preparing() else { continue };
            let is_same = prepared.get(&place) == Some(&turn);
            if is_same && (stopping_since.is_some() || target.is_client_gone()) {
                target.give_up();
            }
            preparing.insert(place, turn);
        }
        (prepared, seen) = (preparing, seen_now);
    }
}
