//! The connections of a server: how many there are, and how to reach one to cancel what it runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use helios_runtime::executor::HangUp;
use heliosdb_nano::session::{CancelHandle, Role, Signal};

use crate::turn::Turn;
use crate::watcher::Bell;

/// All connections of a server.
#[derive(Default)]
pub(crate) struct Registry {
    connections: AtomicUsize,
    /// Those that have not introduced themselves yet.
    knocking: AtomicUsize,
    /// By the number that the client was told.
    targets: Mutex<HashMap<i32, Arc<CancelTarget>>>,
    /// How many connections the roles have that may have only so many, by OID.
    limited: Mutex<HashMap<u32, i32>>,
    bell: Arc<Bell>,
}

/// A place among the connections, held as long as this lives.
pub(crate) struct Place {
    registry: Arc<Registry>,
    backend: Option<i32>,
    /// The role that it counts for.
    role: Option<u32>,
}

/// One connection, as a cancel request reaches it.
pub(crate) struct CancelTarget {
    /// What the client must show to cancel.
    secret: u32,
    handle: CancelHandle,
    /// Requests that come while nothing runs are void.
    is_running: AtomicBool,
    is_requested: AtomicBool,
    /// The session is to end.
    is_ending: AtomicBool,
    /// The connection's task while it waits, within a statement or for the client.
    waiting: Mutex<Option<Waker>>,
    /// Tells whether the client is gone.
    hang_up: Option<HangUp>,
    /// When the running statement's time is up.
    limit: Mutex<Limit>,
    /// What runs, for the limit that the server sets for all.
    turn: Turn,
    bell: Arc<Bell>,
}

/// The time of the running statement, as those see it who look while its worker is busy.
#[derive(Default)]
struct Limit {
    /// Since the bell was made.
    until: Option<Duration>,
    /// It has passed, and what runs was told so.
    is_late: bool,
}

impl Registry {
    /// What the watcher is woken by.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// The connections on which something runs.
    pub(crate) fn running(&self) -> Vec<Arc<CancelTarget>> {
        let is_running = |target: &&Arc<CancelTarget>| target.is_running.load(Ordering::SeqCst);
        lock(&self.targets).values().filter(is_running).cloned().collect()
    }

    /// Takes a place, if fewer than `most` are taken.
    pub(crate) fn enter(self: &Arc<Registry>, most: usize) -> Option<Place> {
        let taken = self
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < most).then_some(count + 1));
        taken.ok().map(|_| Place { registry: self.clone(), backend: None, role: None })
    }

    /// Lets a connection introduce itself, if fewer than `most` are doing so.
    pub(crate) fn knock(self: &Arc<Registry>, most: usize) -> Option<Knock> {
        let waiting = self
            .knocking
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < most).then_some(count + 1));
        waiting.ok().map(|_| Knock(self.clone()))
    }

    /// Cancels what a connection runs; a wrong number or secret does nothing.
    pub(crate) fn cancel(&self, backend: i32, secret: u32) {
        let target = lock(&self.targets).get(&backend).cloned();
        if let Some(target) = target.filter(|target| target.secret == secret) {
            target.request();
        }
    }
}

/// A connection that has not introduced itself yet.
pub(crate) struct Knock(Arc<Registry>);

impl Drop for Knock {
    fn drop(&mut self) {
        self.0.knocking.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    /// Counts the connection for its role; false where the role has as many as it may.
    pub(crate) fn count_for(&mut self, role: &Role) -> bool {
        if role.connection_limit < 0 || role.attributes.superuser {
            return true;
        }
        let mut limited = lock(&self.registry.limited);
        let count = limited.entry(role.oid).or_default();
        if *count >= role.connection_limit {
            return false;
        }
        *count += 1;
        self.role = Some(role.oid);
        true
    }

    /// Makes the connection known to cancel requests.
    pub(crate) fn announce(
        &mut self,
        backend: i32,
        secret: u32,
        handle: CancelHandle,
        hang_up: Option<HangUp>,
    ) -> Arc<CancelTarget> {
        let target = Arc::new(CancelTarget {
            secret,
            handle,
            is_running: AtomicBool::new(false),
            is_requested: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            waiting: Mutex::new(None),
            hang_up,
            limit: Mutex::default(),
            turn: Turn::default(),
            bell: self.registry.bell.clone(),
        });
        lock(&self.registry.targets).insert(backend, target.clone());
        self.backend = Some(backend);
        target
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(backend) = self.backend {
            lock(&self.registry.targets).remove(&backend);
        }
        let mut limited = lock(&self.registry.limited);
        if let Some(count) = self.role.and_then(|role| limited.get_mut(&role)) {
            *count -= 1;
        }
        drop(limited);
        self.registry.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CancelTarget {
    fn request(&self) {
        if !self.is_running.load(Ordering::SeqCst) {
            return;
        }
        self.is_requested.store(true, Ordering::SeqCst);
        self.handle.cancel();
        self.wake();
    }

    /// Ends what runs, whoever wanted it.
    pub(crate) fn end_now(&self) {
        self.handle.cancel();
        self.wake();
    }

    /// Ends what runs as a cancel request does.
    pub(crate) fn give_up(&self) {
        self.request();
    }

    /// The number of what is parsed, bound or planned at the moment.
    pub(crate) fn preparing(&self) -> Option<u64> {
        self.handle.preparing()
    }

    /// Whether the client is gone.
    pub(crate) fn is_client_gone(&self) -> bool {
        self.hang_up.is_some_and(HangUp::has_happened)
    }

    /// The running statement has so much time.
    pub(crate) fn limit_time(&self, limit: Duration) {
        lock(&self.limit).until = Some(self.bell.now().saturating_add(limit));
    }

    /// The running statement has ended: nothing later may suffer from its limit.
    pub(crate) fn unlimit_time(&self) {
        let mut limit = lock(&self.limit);
        limit.until = None;
        if std::mem::take(&mut limit.is_late) && !self.is_requested.load(Ordering::SeqCst) {
            self.handle.forget();
        }
    }

    /// Whether the running statement was told that its time is up.
    pub(crate) fn is_late(&self) -> bool {
        lock(&self.limit).is_late
    }

    /// Tells the running statement that its time is up, if it is.
    pub(crate) fn look_at_time(&self, now: Duration) {
        let mut limit = lock(&self.limit);
        if limit.until.is_some_and(|until| until <= now) {
            *limit = Limit { until: None, is_late: true };
            self.handle.cancel();
        }
    }

    /// What runs, for [`CancelTarget::end_late`].
    pub(crate) fn turn(&self) -> Option<u64> {
        self.turn.running()
    }

    /// A statement begins.
    pub(crate) fn begin_turn(&self) {
        self.turn.begin();
    }

    /// The statement ends: nothing later may suffer from the server's time limit.
    pub(crate) fn end_turn(&self) {
        if self.turn.end() {
            // Whoever marked it has cancelled it by the time that this is free.
            let limit = lock(&self.limit);
            if !limit.is_late && !self.is_requested.load(Ordering::SeqCst) {
                self.handle.forget();
            }
        }
    }

    /// Ends a statement whose time is up, if it still runs.
    pub(crate) fn end_late(&self, turn: u64) {
        let limit = lock(&self.limit);
        if self.turn.mark_late(turn) {
            self.handle.cancel();
        }
        drop(limit);
        self.wake();
    }

    /// Whether the running statement has met the server's time limit.
    pub(crate) fn is_turn_late(&self) -> bool {
        self.turn.is_late()
    }

    fn wake(&self) {
        if let Some(waker) = lock(&self.waiting).take() {
            waker.wake();
        }
    }

    /// What another session asks of this one.
    pub(crate) fn hear(&self, signal: Signal) {
        match signal {
            Signal::Cancel => self.request(),
            Signal::Terminate => {
                self.is_ending.store(true, Ordering::SeqCst);
                self.request();
                self.wake();
            }
            Signal::Mail => self.wake(),
        }
    }

    /// Whether the session is to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// Has `waker` woken at the next signal.
    pub(crate) fn wake_at_signal(&self, waker: &Waker) {
        match &mut *lock(&self.waiting) {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Something runs from now on. Tells whether a request came too late for what ran before, in which case the
    /// session still has its mark.
    pub(crate) fn begin(&self) -> bool {
        let is_stale = self.is_requested.swap(false, Ordering::SeqCst);
        self.is_running.store(true, Ordering::SeqCst);
        self.bell.ring();
        is_stale
    }

    /// Nothing runs any more.
    pub(crate) fn end(&self) {
        self.is_running.store(false, Ordering::SeqCst);
    }

    /// Whether what runs should end; if not, `waker` is woken when it should.
    pub(crate) fn is_requested(&self, waker: &Waker) -> bool {
        let mut waiting = lock(&self.waiting);
        if self.is_requested.load(Ordering::SeqCst) {
            return true;
        }
        match &mut *waiting {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        false
    }
}

/// What is guarded here is whole between any two lines, so that a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
