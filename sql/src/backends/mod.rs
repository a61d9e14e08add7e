//! The sessions of an engine, as they see, wake and wait for each other.
//!
//! 1. Each session has a [`Backend`] here under the number that `pg_backend_pid()` gives, from its begin to its end.
//! 2. Functions cannot wait: evaluation is synchronous. What a statement must wait for (`pg_sleep`, an advisory lock that
//!    somebody holds) its session *owes*, and settles before it gives rows to the client ([`Backend::settle`]), and before
//!    rows that were found are locked or changed.
//! 3. What a transaction says with NOTIFY is delivered when it has committed: to the mailboxes of those who listen.

mod activity;
mod advisory;
mod notifications;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use helios_mvcc::{BranchId, Isolation, Store, Transaction, Xid};
use helios_runtime::executor::sleep;
use parking_lot::{Mutex, RwLock};

pub use activity::{Activity, ClientAddress, Doing, Encryption, WaitEvent};
pub use advisory::{AdvisoryKey, AdvisoryLock, AdvisoryMode, Lifetime, ListedLock};
pub use notifications::Notification;
pub(crate) use notifications::NotificationMark;

use crate::error::{Result, SqlError, SqlState};
use crate::session::{Notice, SettingValues};
use advisory::{AdvisoryLocks, WaitLimits};
use notifications::Notifications;

/// What one session asks of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End the running statement.
    Cancel,
    /// End the session.
    Terminate,
    /// There is mail.
    Mail,
}

/// How a session that waits outside of the engine hears of signals.
pub type SignalHandler = Arc<dyn Fn(Signal) + Send + Sync>;

/// All sessions of an engine.
pub struct Backends {
    all: RwLock<BTreeMap<i32, Arc<Backend>>>,
    advisory: AdvisoryLocks,
    store: Store,
}

impl Backends {
    /// Those of an engine over a store: none yet.
    pub(crate) fn new(store: Store) -> Backends {
        Backends { all: RwLock::default(), advisory: AdvisoryLocks::default(), store }
    }

    /// A new session's entry; it is there until [`Backends::leave`].
    pub(crate) fn enter(self: &Arc<Backends>, backend: Backend) -> Arc<Backend> {
        let backend = Arc::new(backend);
        self.all.write().insert(backend.number, backend.clone());
        backend
    }

    /// A session ends.
    pub(crate) fn leave(&self, backend: &Backend) {
        self.all.write().remove(&backend.number);
        self.advisory.release_all(backend.number, None);
    }

    /// The session of a number.
    #[must_use]
    pub fn get(&self, number: i32) -> Option<Arc<Backend>> {
        self.all.read().get(&number).cloned()
    }

    /// All sessions, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Backend>> {
        self.all.read().values().cloned().collect()
    }

    /// The advisory locks that are held or waited for.
    #[must_use]
    pub fn advisory_locks(&self) -> Vec<ListedLock> {
        self.advisory.list()
    }

    /// The sessions that have what a session waits for, be it an advisory lock or one of rows or tables.
    #[must_use]
    pub fn blockers(&self, number: i32) -> Vec<i32> {
        let mut found = self.advisory.blockers_of(number);
        let owner = self.get(number).map_or(0, |waiting| waiting.lock_owner());
        if owner != 0 {
            let owners = self.store.lock_blockers(owner);
            let blocking = self.list().into_iter().filter(|other| owners.contains(&other.lock_owner()));
            found.extend(blocking.map(|other| other.number));
        }
        found
    }

    /// Whether following all waits from a session leads back to it.
    fn waits_for_itself(&self, number: i32) -> bool {
        let (mut open, mut seen) = (self.blockers(number), HashSet::new());
        while let Some(other) = open.pop() {
            if other == number {
                return true;
            }
            if seen.insert(other) {
                open.extend(self.blockers(other));
            }
        }
        false
    }

    /// How full the fullest mailbox is, of 1: the share of what PostgreSQL's queue for all sessions has room for.
    #[must_use]
    pub fn mail_usage(&self) -> f64 {
        const QUEUE_BYTES: f64 = (8_u64 << 30) as f64;
        let bytes = self.list().iter().map(|backend| backend.notifications.lock().mailbox_bytes()).max();
        bytes.unwrap_or(0) as f64 / QUEUE_BYTES
    }

    /// Delivers what a transaction said to all of its database who listen.
    fn deliver(&self, database: u32, notifications: &[Notification]) {
        for backend in self.list().into_iter().filter(|backend| backend.database_oid == database) {
            if backend.notifications.lock().receive(notifications) {
                backend.signal(Signal::Mail);
            }
        }
    }
}

/// Something that a statement must wait for before its rows leave the session, or tell the client by then.
enum Owed {
    Sleep(Duration),
    Lock(AdvisoryLock),
    Warning(Notice),
    /// The session asked itself to end the statement: it looks for that when it has waited.
    Nothing,
}

/// A session, as others see it.
pub struct Backend {
    pub number: i32,
    pub user: String,
    pub database: String,
    /// The database, which may have other names too.
    pub database_oid: u32,
    /// Microseconds since 2000-01-01 UTC.
    pub since: i64,
    others: Arc<Backends>,
    cancel: Arc<AtomicBool>,
    handler: RwLock<Option<SignalHandler>>,
    activity: Mutex<Activity>,
    settings: RwLock<Arc<SettingValues>>,
    lock_timeout: RwLock<Option<Duration>>,
    notifications: Mutex<Notifications>,
    owed: Mutex<Vec<Owed>>,
    /// What the client is to be told when the statement has its rows.
    told: Mutex<Vec<Notice>>,
    owes: AtomicBool,
    /// The number of the running transaction, 0 without one; the transaction shares it.
    transaction: Arc<AtomicU64>,
    /// Who the running transaction is to the lock table.
    lock_owner: AtomicU64,
    /// The running transaction used LISTEN, NOTIFY or UNLISTEN.
    is_telling: AtomicBool,
    /// The running transaction took advisory locks.
    locks_of_transaction: AtomicBool,
}

impl Backend {
    /// A session that does nothing yet.
    pub(crate) fn new(
        others: Arc<Backends>,
        (number, user, database, database_oid): (i32, &str, &str, u32),
        since: i64,
        cancel: Arc<AtomicBool>,
        settings: Arc<SettingValues>,
    ) -> Backend {
        Backend {
            number,
            user: user.to_string(),
            database: database.to_string(),
            database_oid,
            since,
            others,
            cancel,
            handler: RwLock::default(),
            activity: Mutex::new(Activity::new(since)),
            lock_timeout: RwLock::new(settings.duration("lock_timeout")),
            settings: RwLock::new(settings),
            notifications: Mutex::default(),
            owed: Mutex::default(),
            told: Mutex::default(),
            owes: AtomicBool::new(false),
            transaction: Arc::default(),
            lock_owner: AtomicU64::new(0),
            is_telling: AtomicBool::new(false),
            locks_of_transaction: AtomicBool::new(false),
        }
    }

    /// All sessions.
    #[must_use]
    pub fn others(&self) -> &Arc<Backends> {
        &self.others
    }

    /// Says how the session hears of signals.
    pub fn set_handler(&self, handler: SignalHandler) {
        *self.handler.write() = Some(handler);
    }

    /// Asks something of the session.
    pub fn signal(&self, signal: Signal) {
        let handler = self.handler.read().clone();
        match handler {
            Some(handler) => handler(signal),
            // Without a connection the statement that runs hears of it between batches.
            None if signal != Signal::Mail => self.cancel.store(true, Ordering::Relaxed),
            None => {}
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<SettingValues> {
        self.settings.read().clone()
    }

    pub(crate) fn set_settings(&self, settings: Arc<SettingValues>) {
        *self.lock_timeout.write() = settings.duration("lock_timeout");
        *self.settings.write() = settings;
    }

    /// The number of the running transaction, if it has one.
    #[must_use]
    pub fn transaction(&self) -> Option<u64> {
        let number = self.transaction.load(Ordering::Relaxed);
        (number != 0 && number != Xid::PENDING.0).then_some(number)
    }

    /// The same, for who has read [`Store::end_of_xids`] before: a number below that is not overlooked.
    #[must_use]
    pub fn transaction_by_now(&self) -> Option<u64> {
        loop {
            match Xid(self.transaction.load(Ordering::SeqCst)) {
                // It is given out at this moment, by a thread that does nothing else meanwhile.
                Xid::PENDING => std::thread::yield_now(),
                number => return Some(number.0).filter(|number| *number != 0),
            }
        }
    }

    /// The number of the running transaction, given out now if need be.
    #[must_use]
    pub fn assigned_transaction(&self, store: &Store) -> u64 {
        self.transaction().unwrap_or_else(|| store.next_shared_xid(&self.transaction).0)
    }

    /// Who the running transaction is to the lock table; 0 without one.
    #[must_use]
    pub fn lock_owner(&self) -> u64 {
        self.lock_owner.load(Ordering::Relaxed)
    }

    /// Begins a transaction of the session in the store.
    pub(crate) fn begin_transaction(
        &self,
        store: &Store,
        branch: BranchId,
        isolation: Isolation,
    ) -> Box<Transaction> {
        let mut transaction = Box::new(store.begin(branch, isolation));
        transaction.share_xid(self.transaction.clone());
        transaction.set_lock_timeout(*self.lock_timeout.read());
        self.lock_owner.store(transaction.lock_owner(), Ordering::Relaxed);
        transaction
    }

    /// The transaction is over: what it said is delivered or forgotten, and its advisory locks end with it.
    pub(crate) fn end_transaction(&self, committed: bool) {
        self.transaction.store(0, Ordering::Relaxed);
        self.lock_owner.store(0, Ordering::Relaxed);
        if self.is_telling.swap(false, Ordering::Relaxed) {
            if committed { self.commit_notifications() } else { self.forget_notifications() }
        }
        if self.locks_of_transaction.swap(false, Ordering::Relaxed) {
            self.others.advisory.release_all(self.number, Some(Lifetime::Transaction));
        }
    }

    fn owe(&self, owed: Owed) {
        self.owed.lock().push(owed);
        self.owes.store(true, Ordering::Relaxed);
    }

    /// `pg_sleep`: the statement's rows come so much later.
    pub fn sleep(&self, duration: Duration) {
        self.owe(Owed::Sleep(duration));
    }

    /// Something that the client is told when the statement has its rows.
    pub fn warn(&self, state: SqlState, message: impl Into<String>) {
        self.owe(Owed::Warning(Notice::warning(state, message)));
    }

    /// Looks for signals before the statement's rows leave.
    pub fn look_for_signals(&self) {
        self.owe(Owed::Nothing);
    }

    /// Whether there is something to [`Backend::settle`].
    #[inline]
    #[must_use]
    pub(crate) fn owes(&self) -> bool {
        self.owes.load(Ordering::Relaxed)
    }

    /// Waits for what the statement has to wait for, in the middle of it: what the client is to be told is told at its end.
    ///
    /// # Errors
    /// 40P01, 55P03, and 57014 where the session was asked to end the statement.
    pub(crate) async fn settle_waits(&self) -> Result<()> {
        let owed = std::mem::take(&mut *self.owed.lock());
        for each in owed {
            match each {
                Owed::Sleep(duration) => {
                    let _waiting = self.wait_for(WaitEvent::Sleep);
                    sleep(duration).await;
                }
                Owed::Lock(lock) => {
                    let _waiting = self.wait_for(WaitEvent::Advisory);
                    let limits = WaitLimits {
                        timeout: *self.lock_timeout.read(),
                        deadlock_timeout: self.settings.read().duration("deadlock_timeout"),
                    };
                    // Waits are looked at one by one: only what is found twice was a circle all the time.
                    let is_deadlock = || (0..2).all(|_| self.others.waits_for_itself(self.number));
                    self.others.advisory.acquire(self.number, lock, limits, is_deadlock).await?;
                }
                Owed::Warning(notice) => self.told.lock().push(notice),
                Owed::Nothing => {}
            }
        }
        if self.cancel.load(Ordering::Relaxed) { Err(SqlError::canceled()) } else { Ok(()) }
    }

    /// Waits for what the statement has to wait for; gives what the client is to be told. What is left when this is
    /// dropped is forgotten with the statement.
    ///
    /// # Errors
    /// As [`Backend::settle_waits`].
    pub(crate) async fn settle(&self) -> Result<Vec<Notice>> {
        self.owes.store(false, Ordering::Relaxed);
        self.settle_waits().await?;
        Ok(std::mem::take(&mut *self.told.lock()))
    }

    /// A statement is over, whatever it owed.
    pub(crate) fn forgive(&self) {
        if self.owes.swap(false, Ordering::Relaxed) {
            self.owed.lock().clear();
            self.told.lock().clear();
        }
    }
}
