//! The transaction of a session: explicit blocks, implicit transactions, savepoints, the failed state.

use std::sync::Arc;

use helios_mvcc::{Isolation, LockMark, SavepointId, Scn, Transaction};

use super::{Notice, Session, SettingValues};
use crate::backends::NotificationMark;
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{Deferral, Timestamps};
use crate::value::Text;
use crate::write::{Due, Pending, check_pending};

/// What the client is told after each statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InTransaction,
    Failed,
}

/// A savepoint: its name, its place, and the settings to go back to.
struct Savepoint {
    name: String,
    place: SavepointId,
    locks: LockMark,
    settings: Arc<SettingValues>,
    local: Vec<LocalSetting>,
    notifications: NotificationMark,
    deferral: Deferral,
    read_only: bool,
}

/// A setting that ends with the transaction, and the settings that say what it goes back to: those before the first
/// SET LOCAL, among which a SET of the same transaction may be.
#[derive(Clone)]
pub(super) struct LocalSetting {
    pub name: String,
    pub before: Arc<SettingValues>,
}

/// The running transaction.
pub(super) struct Active {
    /// Absent while a statement has it.
    pub transaction: Option<Box<Transaction>>,
    /// Begun by BEGIN: it lasts until COMMIT or ROLLBACK.
    pub explicit: bool,
    pub failed: bool,
    pub read_only: bool,
    pub deferrable: bool,
    pub isolation: Isolation,
    pub isolation_name: Text,
    /// Whether a statement has run in it.
    pub used: bool,
    /// The catalog as this transaction sees it, while its own changes matter.
    pub own_catalog: Option<Arc<CatalogSnapshot>>,
    /// The one of its snapshot, where others changed it since.
    pub past_catalog: Option<(Scn, Arc<CatalogSnapshot>)>,
    pub changed_catalog: bool,
    /// Of the transaction, and of its latest statement.
    pub timestamps: Timestamps,
    savepoints: Vec<Savepoint>,
    /// The settings at its start.
    settings: Arc<SettingValues>,
    /// Foreign keys to be looked at before it commits.
    pub pending: Vec<Pending>,
    /// Those that SET CONSTRAINTS has tested: they wait again where it is undone, back at a savepoint.
    tested: Vec<Pending>,
    pub deferral: Deferral,
    /// Those that SET LOCAL changed: they end with the transaction.
    pub local: Vec<LocalSetting>,
    /// The moment that it was begun as of, and who reads it so that it is kept.
    pub pinned: Option<(Scn, Transaction)>,
    /// Whatever moment the session reads otherwise.
    pub looks_at_now: bool,
}

/// 25P02.
pub(super) fn in_failed_transaction() -> SqlError {
    SqlError::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

impl Session {
    /// What the client is told.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        match &self.active {
            Some(active) if active.failed => TransactionStatus::Failed,
            Some(active) if active.explicit => TransactionStatus::InTransaction,
            _ => TransactionStatus::Idle,
        }
    }

    /// The running transaction, or a new one; a statement begins in it now.
    pub(super) fn begin_in_transaction(&mut self) -> &mut Active {
        let now = self.now();
        let Session { active, engine, branch, frequent, settings, sequences, backend, .. } = self;
        let active = active.get_or_insert_with(|| Active {
            transaction: Some(backend.begin_transaction(engine.store(), *branch, frequent.isolation)),
            explicit: false,
            failed: false,
            read_only: frequent.read_only,
            deferrable: frequent.deferrable,
            isolation: frequent.isolation,
            isolation_name: frequent.isolation_name.clone(),
            used: false,
            own_catalog: None,
            past_catalog: None,
            changed_catalog: false,
            timestamps: Timestamps { transaction: now, statement: now },
            savepoints: Vec::new(),
            settings: settings.clone(),
            pending: Vec::new(),
            tested: Vec::new(),
            deferral: Deferral::default(),
            local: Vec::new(),
            pinned: None,
            looks_at_now: false,
        });
        active.timestamps.statement = now;
        sequences.set_read_only(active.read_only, frequent.as_of.filter(|_| !active.looks_at_now));
        active
    }

    /// Begins again what an autocommitted statement could not finish: a new transaction.
    pub(super) fn restart_transaction(&mut self) {
        if let Some(active) = &mut self.active {
            let begun = self.backend.begin_transaction(self.engine.store(), self.branch, active.isolation);
            active.transaction = Some(begun);
            active.own_catalog = None;
            active.changed_catalog = false;
        }
    }

    pub(super) fn begin(&mut self, modes: &TransactionModes) -> Result<()> {
        if self.active.as_ref().is_some_and(|active| active.explicit) {
            self.notify(Notice::warning(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            ));
            return Ok(());
        }
        self.begin_in_transaction().explicit = true;
        self.set_transaction(modes)
    }

    /// SET TRANSACTION, and the modes of BEGIN.
    pub(super) fn set_transaction(&mut self, modes: &TransactionModes) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if let Some(read_only) = modes.read_only {
            if !read_only && active.read_only && (active.used || !active.savepoints.is_empty()) {
                let message = match active.savepoints.is_empty() {
                    true => "transaction read-write mode must be set before any query",
                    false => "cannot set transaction read-write mode inside a read-only transaction",
                };
                return Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
            }
            active.read_only = read_only;
        }
        if let Some(name) = &modes.isolation {
            if active.used && active.isolation_name != *name {
                return Err(SqlError::new(
                    SqlState::ACTIVE_SQL_TRANSACTION,
                    "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                ));
            }
            if active.isolation_name != *name {
                active.isolation_name = Text::new(name);
                active.isolation = isolation_of(name);
                let begun =
                    self.backend.begin_transaction(self.engine.store(), self.branch, active.isolation);
                active.transaction = Some(begun);
            }
        }
        if let Some(deferrable) = modes.deferrable {
            if active.used && active.deferrable != deferrable {
                return Err(SqlError::new(
                    SqlState::ACTIVE_SQL_TRANSACTION,
                    "SET TRANSACTION [NOT] DEFERRABLE must be called before any query",
                ));
            }
            active.deferrable = deferrable;
        }
        if *modes != TransactionModes::default() {
            self.show_modes();
        }
        Ok(())
    }

    /// Settings tell the transaction's modes until it ends.
    fn show_modes(&mut self) {
        let Some(active) = &mut self.active else { return };
        let switch = |on: bool| if on { "on" } else { "off" };
        let modes = [
            ("transaction_isolation", active.isolation_name.as_str()),
            ("transaction_read_only", switch(active.read_only)),
            ("transaction_deferrable", switch(active.deferrable)),
        ];
        let mut settings = (*self.settings).clone();
        for (name, value) in modes {
            settings.set_fixed(name, value);
            if !active.local.iter().any(|local| local.name == name) {
                let before = active.settings.clone();
                active.local.push(LocalSetting { name: name.to_string(), before });
            }
        }
        self.replace_settings(Arc::new(settings));
    }

    /// COMMIT; tells whether it committed, rather than ending a failed transaction.
    pub(crate) async fn commit(&mut self) -> Result<bool> {
        let writes = |active: &Active| !active.failed && !active.read_only && active.used;
        if self.has_temporary && self.active.as_ref().is_some_and(writes) {
            self.look_at_now(true);
            if let Err(error) = crate::ddl::at_commit(self).await {
                self.rollback();
                return Err(error);
            }
        }
        if !self.cursors.is_empty()
            && self.active.as_ref().is_some_and(|active| !active.failed)
            && let Err(error) = Box::pin(self.hold_cursors()).await
        {
            self.rollback();
            return Err(error);
        }
        let has_pending = |active: &Active| !active.pending.is_empty() && !active.failed;
        if self.active.as_ref().is_some_and(has_pending)
            && let Err(error) = self.check_constraints(Due::Transaction).await
        {
            self.rollback();
            return Err(error);
        }
        let Some(mut active) = self.active.take() else { return Ok(true) };
        let failed = active.failed;
        self.end_portals();
        self.end_cursors(!failed);
        let Some(transaction) = active.transaction.take().filter(|_| !failed) else {
            self.backend.end_transaction(false);
            self.undo_settings(&active, true);
            return Ok(false);
        };
        let settled = match self.sequences.owes() {
            true => self.sequences.settle(self.engine.store()).await,
            false => Ok(()),
        };
        let committed = match settled {
            Ok(()) => transaction.commit().await.map(|_| ()).map_err(SqlError::from),
            Err(error) => Err(error),
        };
        match committed {
            Ok(()) => {
                self.backend.end_transaction(true);
                self.undo_settings(&active, false);
                Ok(true)
            }
            Err(error) => {
                self.backend.end_transaction(false);
                self.undo_settings(&active, true);
                Err(error)
            }
        }
    }

    /// Looks at the foreign keys that wait.
    ///
    /// # Errors
    /// 23503.
    pub(super) async fn check_constraints(&mut self, due: Due) -> Result<()> {
        self.look_at_now(true);
        if let Some(active) = self.active.as_mut().filter(|active| !active.savepoints.is_empty()) {
            active.tested.extend_from_slice(&active.pending);
        }
        let environment = self.begin_statement().await?;
        let mut execution = self.lend(environment, Arc::new([]))?;
        let checked = check_pending(&mut execution, due).await;
        self.take_back(execution)?;
        self.look_at_now(false);
        checked
    }

    pub(super) fn rollback(&mut self) {
        self.own = None;
        if let Some(active) = self.active.take() {
            self.end_portals();
            self.end_cursors(false);
            self.undo_settings(&active, true);
            drop(active);
            self.backend.end_transaction(false);
        }
    }

    /// After the end of a transaction: SET LOCAL ends with it, SET with its rollback.
    fn undo_settings(&mut self, active: &Active, all: bool) {
        if all {
            self.go_back_to(active.settings.clone());
        } else if !active.local.is_empty() {
            let mut settings = (*self.settings).clone();
            for local in &active.local {
                settings.restore(&local.name, &local.before);
            }
            self.replace_settings(Arc::new(settings));
        }
    }

    /// Takes earlier settings, but for what is known of custom ones.
    fn go_back_to(&mut self, earlier: Arc<SettingValues>) {
        if !Arc::ptr_eq(&earlier, &self.settings) {
            let settings = earlier.with_known_custom(&self.settings);
            self.replace_settings(Arc::new(settings));
        }
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<()> {
        let settings = self.settings.clone();
        let Some(active) = self.active.as_mut().filter(|active| active.explicit) else {
            return Err(no_transaction("SAVEPOINT"));
        };
        let Some(transaction) = &mut active.transaction else { return Err(lost()) };
        let (place, locks) = (transaction.savepoint(), transaction.lock_mark());
        let notifications = self.backend.notification_mark();
        let (name, local) = (name.to_string(), active.local.clone());
        active.savepoints.push(Savepoint {
            name,
            place,
            locks,
            settings,
            local,
            notifications,
            deferral: active.deferral.clone(),
            read_only: active.read_only,
        });
        self.listing.large_objects.set_savepoints(active.savepoints.len(), false);
        Ok(())
    }

    pub(super) fn release(&mut self, name: &str) -> Result<()> {
        let Some(active) = self.active.as_mut().filter(|active| active.explicit) else {
            return Err(no_transaction("RELEASE SAVEPOINT"));
        };
        let at = find_savepoint(&active.savepoints, name)?;
        // What a part of the transaction may do is its own.
        let read_only = active.savepoints[at].read_only;
        active.savepoints.truncate(at);
        self.listing.large_objects.set_savepoints(at, false);
        if active.read_only != read_only {
            active.read_only = read_only;
            self.show_modes();
        }
        Ok(())
    }

    /// How many savepoints the transaction has.
    pub(super) fn savepoint_count(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.savepoints.len())
    }

    pub(super) fn rollback_to(&mut self, name: &str) -> Result<()> {
        let Some(active) = self.active.as_mut().filter(|active| active.explicit) else {
            return Err(no_transaction("ROLLBACK TO SAVEPOINT"));
        };
        let at = find_savepoint(&active.savepoints, name)?;
        active.savepoints.truncate(at + 1);
        self.listing.large_objects.set_savepoints(at, true);
        self.listing.large_objects.set_savepoints(at + 1, false);
        let kept = active.savepoints.len();
        let Some(transaction) = &mut active.transaction else { return Err(lost()) };
        let savepoint = &active.savepoints[at];
        transaction.rollback_to(savepoint.place);
        transaction.release_locks_since(&savepoint.locks);
        self.backend.notifications_back_to(savepoint.notifications);
        active.failed = false;
        active.own_catalog = None;
        active.deferral.clone_from(&savepoint.deferral);
        active.read_only = savepoint.read_only;
        active.pending.append(&mut active.tested);
        active.local.clone_from(&savepoint.local);
        let settings = savepoint.settings.clone();
        self.go_back_to(settings);
        self.cursors_back_to(kept);
        Ok(())
    }

    /// After an error: an explicit transaction waits for its end, another is over.
    pub(super) fn fail(&mut self) {
        match &mut self.active {
            Some(active) if active.explicit => {
                active.failed = true;
                match &mut active.transaction {
                    // All since the last savepoint will be undone: nobody has to wait for that.
                    Some(transaction) => {
                        let last = active.savepoints.last().map(|savepoint| savepoint.locks.clone());
                        transaction.release_locks_since(&last.unwrap_or_default());
                    }
                    // A statement was dropped while it ran: what it did is undone with everything else.
                    None => active.savepoints.clear(),
                }
            }
            Some(_) => self.rollback(),
            None => {}
        }
    }
}

fn find_savepoint(savepoints: &[Savepoint], name: &str) -> Result<usize> {
    savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(|| {
        SqlError::new(
            SqlState::INVALID_SAVEPOINT_SPECIFICATION,
            format!("savepoint \"{name}\" does not exist"),
        )
    })
}

fn no_transaction(statement: &str) -> SqlError {
    SqlError::new(
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        format!("{statement} can only be used in transaction blocks"),
    )
}

/// A statement was dropped while it ran, and took the transaction with it.
pub(super) fn lost() -> SqlError {
    SqlError::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "the transaction was abandoned by a canceled statement",
    )
}

/// The modes of BEGIN and SET TRANSACTION.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransactionModes {
    pub isolation: Option<String>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

/// The isolation that serves a level: SERIALIZABLE gets snapshot isolation, READ UNCOMMITTED read committed.
pub(super) fn isolation_of(name: &str) -> Isolation {
    match name {
        "read committed" | "read uncommitted" => Isolation::ReadCommitted,
        _ => Isolation::Snapshot,
    }
}

impl Session {
    /// Ends the running transaction, explicit or not.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn finish(&mut self, commit: bool) -> Result<()> {
        if !commit {
            self.rollback();
            return Ok(());
        }
        if self.active.as_ref().is_some_and(|active| active.failed) {
            self.rollback();
            return Err(in_failed_transaction());
        }
        self.commit().await.map(|_| ())
    }

    /// Rolls back whatever runs.
    pub fn abandon(&mut self) {
        self.rollback();
    }
}
