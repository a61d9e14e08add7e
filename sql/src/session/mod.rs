//! Sessions: statements from text to result, for the wire protocol and the embedded API alike.
//!
//! A statement is *prepared* (parsed, bound, planned), *bound* to parameters into a [`Portal`], and *executed*
//! step by step. [`Session::sync`] ends the implicit transaction of what ran since the last one, as the
//! protocol's Sync does; between BEGIN and COMMIT it does nothing.

mod branch;
#[cfg(test)]
mod branch_model;
#[cfg(test)]
mod branch_model_base;
#[cfg(test)]
mod branch_model_merge;
#[cfg(test)]
mod branch_model_tests;
mod cursor;
mod cursor_key;
mod custom_settings;
mod database_rights;
mod engine;
mod execution;
mod explain;
mod forms;
#[cfg(test)]
mod forms_tests;
mod function_call;
mod functions;
mod known_settings;
mod listing;
mod merge;
mod moment;
#[cfg(test)]
mod moment_tests;
mod named_portal;
mod past;
mod plans;
mod point;
#[cfg(test)]
mod point_tests;
mod portal;
mod prepare;
mod retention;
mod role;
mod server_files;
mod setting_value;
mod settings;
#[cfg(test)]
mod spill_tests;
mod statistics;
mod transaction;
mod utility;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use helios_mvcc::{BranchId, CatalogScn, Isolation, Scn, Transaction};
use parking_lot::Mutex;

pub use cursor_key::{CursorPlace, current_row};
pub use custom_settings::check_name as check_custom_setting;
pub use engine::{BranchHold, ConfigEntries, Engine};
pub use function_call::CalledFunction;
pub use known_settings::{Setting, SettingContext, SettingKind, find as find_setting};
pub use listing::{ListedCursor, ListedStatement, Listing};
pub(crate) use merge::{BranchMerge, check_different, sibling};
pub(crate) use past::read_only;
pub use portal::{Portal, Step};
pub(crate) use prepare::Action;
pub use prepare::{CopyDirection, Prepared};
pub use role::may_examine;
pub use server_files::{HostRule, ServerFiles};
pub use settings::{SettingValues, split_list};
pub use transaction::{TransactionModes, TransactionStatus};

use crate::backends::Backend;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::functions::Settings;
use crate::parser::StringRules;
use crate::plan::{Costs, ParallelCosts};
use crate::sequence::SessionSequences;
use crate::value::Text;
use crate::watch::Preparing;
use crate::write::Buffers;
use forms::Forms;
use plans::Plans;
use statistics::StatisticsNews;
use transaction::Active;
pub(crate) use utility::Locking;

/// Days from 1970-01-01 to 2000-01-01, in microseconds.
pub const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

/// A message to the client that is no error.
#[derive(Clone, Debug)]
pub struct Notice {
    pub severity: &'static str,
    pub error: SqlError,
}

impl Notice {
    pub(crate) fn warning(state: SqlState, message: impl Into<String>) -> Notice {
        Notice { severity: "WARNING", error: SqlError::new(state, message) }
    }
}

/// Cancels what a session runs, from anywhere.
#[derive(Clone, Debug)]
pub struct CancelHandle {
    flag: Arc<AtomicBool>,
    preparing: Arc<Preparing>,
}

impl CancelHandle {
    /// The running statement ends with 57014 at its next step.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// What has ended was not cancelled in time: what follows is not meant.
    pub fn forget(&self) {
        self.flag.store(false, Ordering::Relaxed);
    }

    /// The number of what is parsed, bound or planned at the moment: work that has done nothing yet, and never waits.
    #[must_use]
    pub fn preparing(&self) -> Option<u64> {
        self.preparing.current()
    }
}

/// The settings that every statement asks for, read once when they change.
struct FrequentSettings {
    /// The role that statements run as, by name and OID: neither alone tells roles apart that were renamed.
    user: (Text, u32),
    search_path: Text,
    isolation: Isolation,
    isolation_name: Text,
    read_only: bool,
    /// As of when the session reads.
    as_of: Option<Scn>,
    deferrable: bool,
    costs: Costs,
    /// How literals are read; whether a backslash may quote, other settings say too.
    strings: StringRules,
}

/// What the settings say of plans.
#[must_use]
pub fn costs_of(settings: &SettingValues) -> Costs {
    let number = |name: &str, otherwise: f64| {
        settings.get(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    };
    let default = Costs::default();
    Costs {
        seq_page: number("seq_page_cost", default.seq_page),
        random_page: number("random_page_cost", default.random_page),
        cpu_tuple: number("cpu_tuple_cost", default.cpu_tuple),
        cpu_index_tuple: number("cpu_index_tuple_cost", default.cpu_index_tuple),
        cpu_operator: number("cpu_operator_cost", default.cpu_operator),
        enable_bitmapscan: settings.is_on("enable_bitmapscan"),
        enable_hashjoin: settings.is_on("enable_hashjoin"),
        enable_indexscan: settings.is_on("enable_indexscan"),
        enable_nestloop: settings.is_on("enable_nestloop"),
        enable_seqscan: settings.is_on("enable_seqscan"),
        reorder_joins: number("join_collapse_limit", 8.0) > 1.0,
        parallel: ParallelCosts {
            workers_max: number("max_parallel_workers_per_gather", 0.0) as u32,
            setup: number("parallel_setup_cost", default.parallel.setup),
            tuple: number("parallel_tuple_cost", default.parallel.tuple),
            table_pages_min: settings.kilobytes("min_parallel_table_scan_size").unwrap_or(0) as f64 / 8.0,
            leader_takes_part: settings.is_on("parallel_leader_participation"),
            forced: settings.get("force_parallel_mode").is_ok_and(|mode| mode != "off"),
        },
    }
}

impl FrequentSettings {
    fn of(settings: &SettingValues) -> FrequentSettings {
        let text = |name| settings.get(name).map(Text::from).unwrap_or_default();
        let isolation_name = text("default_transaction_isolation");
        FrequentSettings {
            user: (Text::from(role::current_user_of(settings)), settings.roles.current_user()),
            search_path: text("search_path"),
            isolation: transaction::isolation_of(&isolation_name),
            isolation_name,
            read_only: settings.is_on("default_transaction_read_only"),
            as_of: past::moment_set(settings),
            deferrable: settings.is_on("default_transaction_deferrable"),
            costs: costs_of(settings),
            strings: string_rules(settings),
        }
    }
}

/// What the settings say of strings in texts.
fn string_rules(settings: &SettingValues) -> StringRules {
    /// The encodings in which a backslash may be part of a character.
    const UNSAFE: [&str; 7] = ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"];
    let escapes = !settings.is_on("standard_conforming_strings");
    let quotes = match settings.get("backslash_quote").as_deref() {
        Ok("off") => false,
        Ok("safe_encoding") => {
            !settings.get("client_encoding").is_ok_and(|name| UNSAFE.contains(&name.as_str()))
        }
        _ => true,
    };
    StringRules { escapes, warns: escapes && settings.is_on("escape_string_warning"), quotes }
}

/// What a statement was evaluated in, which may serve the next one.
struct LastEnvironment {
    catalog_scn: u64,
    statistics_version: u64,
    known: Arc<Environment>,
}

/// Where the SCN of the newest change is of what a branch's catalog consists of.
struct CatalogWatch {
    own: CatalogScn,
    /// Roles are those of the folder's first branch, wherever the session is.
    roles: Option<CatalogScn>,
    statistics: Arc<StatisticsNews>,
}

impl CatalogWatch {
    fn new(engine: &Engine, branch: BranchId) -> CatalogWatch {
        let store = engine.store();
        let roles = (branch != BranchId::MAIN).then(|| store.watch_catalog(BranchId::MAIN));
        CatalogWatch { own: store.watch_catalog(branch), roles, statistics: engine.statistics_news(branch) }
    }

    #[inline]
    fn get(&self) -> Scn {
        let own = self.own.get();
        self.roles.as_ref().map_or(own, |roles| own.max(roles.get()))
    }
}

/// One client's session.
pub struct Session {
    engine: Engine,
    branch: BranchId,
    user: String,
    database: String,
    backend: Arc<Backend>,
    settings: Arc<SettingValues>,
    formats: Arc<Settings>,
    frequent: FrequentSettings,
    /// What the last statement was evaluated in.
    environment: Option<LastEnvironment>,
    /// The catalog that was read as of an earlier moment last.
    past: Option<past::PastCatalog>,
    /// What values of users' types were read and printed with last.
    values: Option<Arc<Environment>>,
    catalog_scn: CatalogWatch,
    /// What statements for one row use again and again.
    /// Absent while a statement has them: they are too large to be moved for each.
    buffers: Option<Box<Buffers>>,
    active: Option<Active>,
    /// The transaction of a statement for one row that ran by itself, about to be committed.
    own: Option<Box<Transaction>>,
    prepared: HashMap<String, Arc<Prepared>>,
    plans: Plans,
    forms: Forms,
    cursors: HashMap<String, cursor::Cursor>,
    /// Portals of the protocol, by name. Never locked for long: it makes sessions safe to share.
    portals: Mutex<HashMap<String, Portal>>,
    listing: Arc<Listing>,
    notices: Vec<Notice>,
    /// Those that the protocol reports and that were changed since it last did, with what it said then.
    changed_settings: BTreeMap<&'static str, String>,
    cancel: Arc<AtomicBool>,
    preparing: Arc<Preparing>,
    sequences: Arc<SessionSequences>,
    /// The program's own, which nobody is to see.
    is_hidden: bool,
    /// It made temporary objects.
    has_temporary: bool,
    random: Arc<Mutex<u64>>,
    /// Raised at each end of a transaction: portals of earlier ones are closed.
    portal_epoch: u64,
    /// Tests compare both ways.
    #[cfg(test)]
    never_at_once: bool,
    #[cfg(test)]
    done_at_once: u64,
}

impl Session {
    fn new(
        engine: Engine,
        user: &str,
        database: &str,
        branch: BranchId,
        settings: SettingValues,
        backend: i32,
    ) -> Session {
        let mut seed = [0; 8];
        // Without randomness the generator starts from the backend's number.
        if engine.entropy().fill(&mut seed).is_err() {
            seed = u64::from(backend.unsigned_abs()).to_le_bytes();
        }
        engine.count_session(branch, true);
        let sequences = Arc::new(SessionSequences::new(engine.sequences().clone(), branch));
        let catalog_scn = CatalogWatch::new(&engine, branch);
        let (settings, cancel) = (Arc::new(settings), Arc::new(AtomicBool::new(false)));
        let database_oid = engine.directory().database_of(branch).map_or(0, |database| database.oid);
        let backend = Backend::new(
            engine.backends().clone(),
            (backend, user, database, database_oid),
            engine.now(),
            cancel.clone(),
            settings.clone(),
        );
        let backend = engine.backends().enter(backend);
        Session {
            engine,
            branch,
            user: user.to_string(),
            database: database.to_string(),
            backend,
            formats: Arc::new(settings.formats().unwrap_or_default()),
            frequent: FrequentSettings::of(&settings),
            environment: None,
            past: None,
            values: None,
            catalog_scn,
            buffers: None,
            settings,
            active: None,
            own: None,
            prepared: HashMap::new(),
            plans: Plans::default(),
            forms: Forms::default(),
            cursors: HashMap::new(),
            portals: Mutex::default(),
            listing: Arc::default(),
            notices: Vec::new(),
            changed_settings: BTreeMap::new(),
            cancel,
            preparing: Arc::default(),
            sequences,
            is_hidden: false,
            has_temporary: false,
            random: Arc::new(Mutex::new(u64::from_le_bytes(seed) | 1)),
            portal_epoch: 0,
            #[cfg(test)]
            never_at_once: false,
            #[cfg(test)]
            done_at_once: 0,
        }
    }

    /// Makes it one that nobody sees, and that keeps no branch from being dropped.
    fn hide(&mut self) {
        self.is_hidden = true;
        self.engine.count_session(self.branch, false);
        self.engine.backends().leave(&self.backend);
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The number that `pg_backend_pid()` gives.
    #[must_use]
    pub fn backend(&self) -> i32 {
        self.backend.number
    }

    /// The session, as others see it.
    #[must_use]
    pub fn seen_by_others(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The name of the role that the client was authenticated as.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// A handle to cancel what runs.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle { flag: self.cancel.clone(), preparing: self.preparing.clone() }
    }

    /// Tells the client something, unless `client_min_messages` says that it does not want to know.
    pub(crate) fn notify(&mut self, notice: Notice) {
        let wanted = match self.settings.get("client_min_messages").as_deref() {
            Ok("error") => false,
            Ok("warning") => notice.severity == "WARNING",
            // All of them are of the first of its five levels.
            Ok(least) => notice.severity != "DEBUG" || least.starts_with("debug"),
            Err(_) => true,
        };
        if wanted {
            self.notices.push(notice);
        }
    }

    /// The messages since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The settings that the protocol reports and that are others than at the last call: names and values.
    pub fn take_changed_settings(&mut self) -> Vec<(&'static str, String)> {
        let changed = std::mem::take(&mut self.changed_settings).into_iter();
        let mut changed: Vec<_> = changed
            .filter_map(|(name, reported)| {
                Some((name, self.settings.get(name).ok().filter(|now| *now != reported)?))
            })
            .collect();
        changed.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        changed
    }

    /// What the client set at the start, and what was set for its role, is what RESET goes back to.
    pub fn end_start(&mut self) {
        let mut settings = (*self.settings).clone();
        settings.keep_as_initial();
        self.replace_settings(Arc::new(settings));
        self.changed_settings.clear();
    }

    /// A setting's value.
    ///
    /// # Errors
    /// 42704.
    pub fn setting(&self, name: &str) -> Result<String> {
        self.settings.get(name)
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Arc<SettingValues> {
        &self.settings
    }

    /// How values are printed.
    #[must_use]
    pub fn formats(&self) -> &Arc<Settings> {
        &self.formats
    }

    /// Changes a setting, as SET does outside of a transaction.
    ///
    /// # Errors
    /// 42704, 22023, 55P02; 42501 for a role that the session may not become.
    pub async fn set_setting(&mut self, name: &str, value: &str) -> Result<()> {
        if role::is_role_setting(name) || branch::is_branch_setting(name) || past::is_past_setting(name) {
            return self.change_setting(name, Some(value), false).await;
        }
        let mut settings = (*self.settings).clone();
        settings.set(name, value)?;
        settings.formats()?;
        self.replace_settings(Arc::new(settings));
        Ok(())
    }

    /// Takes other settings over, and notes what the client must hear of.
    fn replace_settings(&mut self, settings: Arc<SettingValues>) {
        const REPORTED: [&str; 10] = [
            "application_name",
            "client_encoding",
            "DateStyle",
            "default_transaction_read_only",
            "in_hot_standby",
            "IntervalStyle",
            "is_superuser",
            "session_authorization",
            "standard_conforming_strings",
            "TimeZone",
        ];
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        for name in REPORTED {
            let (Ok(old), Ok(new)) = (self.settings.get(name), settings.get(name)) else { continue };
            if old != new {
                self.changed_settings.entry(name).or_insert(old);
            }
        }
        if let Ok(formats) = settings.formats() {
            self.formats = Arc::new(formats);
        }
        let frequent = FrequentSettings::of(&settings);
        let earlier = std::mem::replace(&mut self.frequent, frequent);
        // Literals that were values need not be any more: only binding says where in the text they stand.
        let reads_otherwise =
            ["datestyle", "intervalstyle"].iter().any(|name| self.settings.get(name) != settings.get(name));
        // `"$user"` in the search path is another schema for another role.
        if reads_otherwise
            || self.frequent.costs != earlier.costs
            || self.frequent.user != earlier.user
            || self.frequent.strings != earlier.strings
        {
            self.forget_plans();
        }
        self.backend.set_settings(settings.clone());
        if let Some(transaction) = self.active.as_mut().and_then(|active| active.transaction.as_mut()) {
            transaction.set_lock_timeout(settings.duration("lock_timeout"));
        }
        self.settings = settings;
    }

    /// Microseconds since 2000-01-01 UTC.
    fn now(&self) -> i64 {
        self.engine.now()
    }

    fn end_portals(&mut self) {
        self.portal_epoch += 1;
        self.forget_portals();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_hidden {
            return;
        }
        self.engine.count_session(self.branch, false);
        self.engine.backends().leave(&self.backend);
    }
}

/// 55P03 for a row.
#[must_use]
pub fn lock_not_available(table: &str) -> SqlError {
    SqlError::new(
        SqlState::LOCK_NOT_AVAILABLE,
        format!("could not obtain lock on row in relation \"{table}\""),
    )
}

impl From<helios_mvcc::Error> for SqlError {
    fn from(error: helios_mvcc::Error) -> SqlError {
        use helios_mvcc::Error;
        let state = match &error {
            Error::WriteConflict => SqlState::SERIALIZATION_FAILURE,
            Error::Deadlock => SqlState::DEADLOCK_DETECTED,
            Error::LockNotAvailable | Error::LockTimeout => SqlState::LOCK_NOT_AVAILABLE,
            Error::Corruption(_) => SqlState::DATA_CORRUPTED,
            error if error.is_want_of_space() => SqlState::DISK_FULL,
            Error::Io(_) | Error::Poisoned(_) => SqlState::IO_ERROR,
            Error::TooLarge(_) => SqlState::PROGRAM_LIMIT_EXCEEDED,
            Error::OutOfMemory(_) => SqlState::OUT_OF_MEMORY,
            Error::Open(_) => SqlState::CANNOT_CONNECT_NOW,
            Error::NoSuchBranch(_) => SqlState::INVALID_CATALOG_NAME,
            Error::DuplicateBranch(_) => SqlState::DUPLICATE_DATABASE,
            Error::NoSuchScn { .. } | Error::NoSuchTransaction(_) => SqlState::INVALID_PARAMETER_VALUE,
            Error::Unrelated => SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::TooOld { oldest, oldest_micros, .. } => {
                return retention::too_old(*oldest, *oldest_micros);
            }
        };
        let told = SqlError::new(state, error.to_string());
        match error {
            Error::DuplicateBranch(_) => told.with_hint(
                "DROP DATABASE BRANCH drops a branch, ALTER DATABASE BRANCH … RENAME TO gives it another name.",
            ),
            _ => told,
        }
    }
}
