//! The engine: one for each open store; it makes sessions and keeps what they share.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use helios_mvcc::{Branch, BranchId, Isolation, Scn, Snapshot, Store, Transaction};
use helios_runtime::executor::Helpers;
use helios_runtime::{Clock, Entropy, SystemClock, SystemEntropy};
use parking_lot::Mutex;

use super::statistics::{Analyses, StatisticsNews};
use super::{EPOCH_MICROS, ServerFiles, Session, SettingValues};
use crate::backends::Backends;
use crate::catalog::{
    CatalogSnapshot, Changes, Directory, FIRST_DATABASE, MAIN_BRANCH, OidAllocator, Role,
    store as catalog_store,
};
use crate::ddl::TEMPORARY_PREFIX;
use crate::error::Result;
use crate::sequence::Sequences;

/// How many catalogs of earlier moments are kept.
const PAST_CATALOGS_MAX: usize = 16;

/// What is in force, for `system_config`: names, values, and where they come from.
pub type ConfigEntries = Vec<(String, String)>;

/// An open database engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// A branch that cannot be dropped as long as this lives.
pub struct BranchHold {
    engine: Engine,
    id: BranchId,
}

impl BranchHold {
    /// The branch.
    #[must_use]
    pub fn id(&self) -> BranchId {
        self.id
    }
}

impl Drop for BranchHold {
    fn drop(&mut self) {
        self.engine.count_session(self.id, false);
    }
}

struct Shared {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    oids: OidAllocator,
    sequences: Arc<Sequences>,
    /// The newest catalog of each branch.
    catalogs: Mutex<HashMap<BranchId, (u64, Arc<CatalogSnapshot>)>>,
    /// Those of earlier moments that were asked for last.
    past_catalogs: Mutex<VecDeque<(Snapshot, Arc<CatalogSnapshot>)>>,
    /// What is changed in tables.
    changes: Changes,
    next_backend: AtomicI32,
    directory: Arc<Mutex<Arc<Directory>>>,
    /// How many sessions are on each branch.
    sessions: Mutex<HashMap<BranchId, usize>>,
    backends: Arc<Backends>,
    config: ConfigEntries,
    mock_secret: Vec<u8>,
    /// Threads that take part in queries.
    helpers: Helpers,
    /// Tables that are being analyzed because they are due.
    analyses: Analyses,
    /// What these told of each branch.
    statistics_news: Mutex<HashMap<BranchId, Arc<StatisticsNews>>>,
    /// Those of the server that runs around it, if one does.
    server_files: Mutex<Option<Arc<dyn ServerFiles>>>,
    /// What that server was started with, as settings that sessions show.
    server_settings: Mutex<Arc<[(&'static str, String)]>>,
}

impl Engine {
    /// An engine over a store, with the system's clock and randomness.
    ///
    /// # Errors
    /// Those of reading and writing the catalog.
    pub async fn open(store: Store, config: ConfigEntries) -> Result<Engine> {
        let engine =
            Engine::with_surroundings(store, Arc::new(SystemClock::new()), Arc::new(SystemEntropy), config);
        let engine = engine.await?;
        // Whoever made the folder is a superuser of it.
        if let Some(user) = helios_runtime::user_name() {
            catalog_store::bootstrap_user(&engine.shared.store, &engine.shared.oids, &user).await?;
        }
        Ok(engine)
    }

    /// An engine over a store, with a given clock and randomness.
    ///
    /// # Errors
    /// Those of reading and writing the catalog.
    pub async fn with_surroundings(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        config: ConfigEntries,
    ) -> Result<Engine> {
        catalog_store::bootstrap(&store, BranchId::MAIN).await?;
        let mock_secret = catalog_store::mock_secret(&store, &*entropy).await?;
        let sequences = Arc::new(Sequences::load(&store).await?);
        let accepts_commits = store.accepts_commits();
        if accepts_commits {
            store.remove_dropped().await?;
        }
        let directory = Directory::load(&store).await?;
        let shared = Shared {
            sequences,
            backends: Arc::new(Backends::new(store.clone())),
            store,
            clock,
            entropy,
            oids: OidAllocator::default(),
            catalogs: Mutex::default(),
            past_catalogs: Mutex::default(),
            changes: Changes::default(),
            next_backend: AtomicI32::new(1),
            directory: Arc::new(Mutex::new(Arc::new(directory))),
            sessions: Mutex::default(),
            config,
            mock_secret,
            helpers: Helpers::default(),
            analyses: Analyses::default(),
            statistics_news: Mutex::default(),
            server_files: Mutex::default(),
            server_settings: Mutex::new(Arc::new([])),
        };
        let engine = Engine { shared: Arc::new(shared) };
        engine.forget_branches().await?;
        if accepts_commits {
            engine.drop_leftovers().await?;
        }
        Ok(engine)
    }

    /// Drops temporary objects whose sessions did not live to do it.
    async fn drop_leftovers(&self) -> Result<()> {
        let mut session = self.session("postgres", "postgres");
        let (catalog, _) = session.binding().await?;
        for schema in catalog.schemas().filter(|schema| schema.name.starts_with(TEMPORARY_PREFIX)) {
            crate::ddl::drop_schema(&mut session, schema.oid).await?;
        }
        Ok(())
    }

    /// A new session of a user on a database, on its branch `main`; on the first database where there is none of that
    /// name, which is for who asked [`Engine::has_database`] to know.
    #[must_use]
    pub fn session(&self, user: &str, database: &str) -> Session {
        let directory = self.directory();
        let found = directory.database(database).or(directory.first());
        let branch = found.and_then(|database| directory.default_branch(database.root));
        self.begin_session(user, database, branch)
    }

    /// A new session on a branch of a database.
    ///
    /// # Errors
    /// 3D000.
    pub fn session_on(&self, user: &str, database: &str, branch: &str) -> Result<Session> {
        let directory = self.directory();
        let found = directory.database(database).or(directory.first());
        let found = found.and_then(|database| directory.branch(database.root, branch));
        let found = found.ok_or_else(|| super::branch::no_branch(branch))?;
        Ok(self.begin_session(user, database, Some(found)))
    }

    /// Keeps a branch from being dropped.
    ///
    /// # Errors
    /// 3D000.
    pub fn hold_branch(&self, database: &str, branch: &str) -> Result<BranchHold> {
        let directory = self.directory();
        let found = directory.database(database).or(directory.first());
        let found = found.and_then(|database| directory.branch(database.root, branch));
        let id = found.ok_or_else(|| super::branch::no_branch(branch))?.id;
        self.count_session(id, true);
        Ok(BranchHold { engine: self.clone(), id })
    }

    /// A new session on a branch that is held.
    #[must_use]
    pub fn session_of(&self, user: &str, database: &str, branch: &BranchHold) -> Session {
        let directory = self.directory();
        self.begin_session(user, database, directory.branches.iter().find(|each| each.id == branch.id))
    }

    fn begin_session(&self, user: &str, database: &str, branch: Option<&Branch>) -> Session {
        let directory = self.directory();
        let mut settings = SettingValues::default();
        let of_server = self.shared.server_settings.lock().clone();
        of_server.iter().for_each(|(name, value)| settings.set_configured(name, value));
        settings.set_initial("session_authorization", user);
        settings.set_initial("heliosdb.branch", branch.map_or(MAIN_BRANCH, |branch| &branch.name));
        let own = branch.and_then(|branch| directory.database_of(branch.id));
        if let Some(days) = own.and_then(|database| self.retention_days(database)) {
            settings.set_initial("heliosdb.retention_days", &days.to_string());
        }
        let backend = self.shared.next_backend.fetch_add(1, Ordering::Relaxed);
        let branch = branch.map_or(BranchId::MAIN, |branch| branch.id);
        Session::new(self.clone(), user, database, branch, settings, backend)
    }

    /// Whether there is a database of that name.
    #[must_use]
    pub fn has_database(&self, name: &str) -> bool {
        self.directory().database(name).is_some()
    }

    /// The databases and branches there are.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory.lock().clone()
    }

    /// Where they are found as long as the engine lives.
    pub(crate) fn directory_cell(&self) -> &Arc<Mutex<Arc<Directory>>> {
        &self.shared.directory
    }

    /// Reads them anew, after a change.
    pub(crate) async fn refresh_directory(&self) -> Result<()> {
        let directory = Arc::new(Directory::load(&self.shared.store).await?);
        let mut known = self.shared.directory.lock();
        if directory.as_of > known.as_of {
            *known = directory;
        }
        Ok(())
    }

    /// Forgets what is kept for branches that are not there any more: nobody is on them.
    pub(super) async fn forget_branches(&self) -> Result<()> {
        let directory = self.directory();
        let is_there = |branch: BranchId| {
            branch == BranchId::SYSTEM
                || directory.branches.iter().any(|each| each.id == branch && !each.is_dropped)
        };
        self.shared.catalogs.lock().retain(|branch, _| is_there(*branch));
        self.shared.statistics_news.lock().retain(|branch, _| is_there(*branch));
        self.shared.changes.retain(|branch, _| is_there(branch));
        self.shared.sequences.forget_branches(&self.shared.store, is_there).await
    }

    /// The branch that sessions of a database begin on.
    pub(crate) fn default_branch(&self, database: &str) -> String {
        let directory = self.directory();
        let found = directory.database(database).or(directory.first());
        let branch = found.and_then(|database| directory.default_branch(database.root));
        branch.map_or(MAIN_BRANCH, |branch| &branch.name).to_string()
    }

    /// A session begins or ends on a branch.
    pub(crate) fn count_session(&self, branch: BranchId, begins: bool) {
        let mut sessions = self.shared.sessions.lock();
        let count = sessions.entry(branch).or_insert(0);
        *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            sessions.remove(&branch);
        }
    }

    /// How many sessions are on a branch.
    pub(crate) fn sessions_on(&self, branch: BranchId) -> usize {
        self.shared.sessions.lock().get(&branch).copied().unwrap_or(0)
    }

    /// What a new database begins with: the first one as it was before anything was made in it.
    pub(crate) async fn pristine(&self) -> Result<Snapshot> {
        let mut reader = self.shared.store.begin(BranchId::MAIN, Isolation::ReadCommitted);
        reader.begin_statement();
        let scn = catalog_store::bootstrapped(&mut reader).await?;
        Ok(Snapshot { branch: BranchId::MAIN, scn })
    }

    /// The role of a name, as it is now.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub async fn role(&self, name: &str) -> Result<Option<Arc<Role>>> {
        let mut transaction = self.shared.store.begin(BranchId::MAIN, Isolation::ReadCommitted);
        transaction.begin_statement();
        Ok(self.catalog(&transaction).await?.role_named(name).cloned())
    }

    /// All roles, as they are now.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub async fn roles(&self) -> Result<Vec<Arc<Role>>> {
        let mut transaction = self.shared.store.begin(BranchId::MAIN, Isolation::ReadCommitted);
        transaction.begin_statement();
        Ok(self.catalog(&transaction).await?.roles().cloned().collect())
    }

    /// Microseconds since 2000-01-01 UTC.
    #[must_use]
    pub fn now(&self) -> i64 {
        i64::try_from(self.shared.clock.now_micros()).unwrap_or(i64::MAX) - EPOCH_MICROS
    }

    /// What challenges for roles that have no password are made from: always the same for a folder.
    #[must_use]
    pub fn mock_secret(&self) -> &[u8] {
        &self.shared.mock_secret
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.shared.entropy
    }

    /// Makes a server's files known; `None`: it is gone.
    pub fn set_server_files(&self, files: Option<Arc<dyn ServerFiles>>) {
        *self.shared.server_files.lock() = files;
    }

    /// Makes known what a server was started with: settings, by PostgreSQL's names for them.
    pub fn set_server_settings(&self, settings: Vec<(&'static str, String)>) {
        *self.shared.server_settings.lock() = settings.into();
    }

    /// The files of the server that runs around it.
    #[must_use]
    pub fn server_files(&self) -> Option<Arc<dyn ServerFiles>> {
        self.shared.server_files.lock().clone()
    }

    /// The names of the roles that a role is a member of, directly or through others, its own among them.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub async fn roles_of(&self, name: &str) -> Result<Vec<String>> {
        let mut transaction = self.shared.store.begin(BranchId::MAIN, Isolation::ReadCommitted);
        transaction.begin_statement();
        let catalog = self.catalog(&transaction).await?;
        let Some(role) = catalog.role_named(name) else { return Ok(Vec::new()) };
        let of = catalog.roles().filter(|other| catalog.is_member(role.oid, other.oid));
        Ok(of.map(|other| other.name.clone()).collect())
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &ConfigEntries {
        &self.shared.config
    }

    /// Threads that take part in queries.
    #[must_use]
    pub(crate) fn helpers(&self) -> &Helpers {
        &self.shared.helpers
    }

    pub(super) fn analyses(&self) -> &Analyses {
        &self.shared.analyses
    }

    /// Ends those threads, for the engine is to be closed: queries that still run fail.
    pub fn stop_helpers(&self) {
        self.shared.helpers.stop();
    }

    /// All sessions.
    #[must_use]
    pub fn backends(&self) -> &Arc<Backends> {
        &self.shared.backends
    }

    /// The counters of all sequences.
    #[must_use]
    pub(crate) fn sequences(&self) -> &Arc<Sequences> {
        &self.shared.sequences
    }

    /// What is changed in tables.
    pub(crate) fn changes(&self) -> &Changes {
        &self.shared.changes
    }

    /// Writes down what is only in memory: before the store is closed.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn close(&self) -> Result<()> {
        self.shared.sequences.close(&self.shared.store).await
    }

    /// A new OID.
    ///
    /// # Errors
    /// Those of reserving more.
    pub async fn allocate_oid(&self) -> Result<u32> {
        self.shared.oids.allocate(&self.shared.store).await
    }

    /// The catalog of a branch that somebody read last, if anybody did.
    #[must_use]
    pub fn known_catalog(&self, branch: BranchId) -> Option<Arc<CatalogSnapshot>> {
        self.shared.catalogs.lock().get(&branch).map(|(_, catalog)| catalog.clone())
    }

    /// The SCN of the newest change of what a branch's catalog consists of: roles are those of the first branch.
    fn catalog_scn(&self, branch: BranchId) -> Scn {
        let store = &self.shared.store;
        let own = store.catalog_scn(branch);
        if branch == BranchId::MAIN { own } else { own.max(store.catalog_scn(BranchId::MAIN)) }
    }

    /// Reads the catalog as a transaction sees it, its own changes among the others: what it has of its branch, roles of the
    /// folder's first one, and counters of what is changed in the branch's tables.
    pub(crate) async fn read_catalog(&self, transaction: &Transaction) -> Result<CatalogSnapshot> {
        let mut catalog = CatalogSnapshot::load(transaction).await?;
        catalog.count_changes(transaction.branch(), &self.shared.changes);
        if transaction.branch() != BranchId::MAIN {
            catalog.take_roles(&*Box::pin(self.catalog_of_roles()).await?);
        }
        Ok(catalog)
    }

    async fn catalog_of_roles(&self) -> Result<Arc<CatalogSnapshot>> {
        let mut reader = self.shared.store.begin(BranchId::MAIN, Isolation::ReadCommitted);
        reader.begin_statement();
        self.catalog(&reader).await
    }

    /// How many objects on a branch depend on a role.
    pub(crate) async fn objects_of_role(&self, branch: BranchId, role: u32) -> Result<usize> {
        let mut reader = self.shared.store.begin(branch, Isolation::ReadCommitted);
        reader.begin_statement();
        Ok(crate::ddl::count_dependents(&*self.catalog(&reader).await?, role))
    }

    /// A session where roles are changed.
    pub(crate) fn session_for_roles(&self, user: &str, settings: SettingValues) -> Session {
        let backend = self.shared.next_backend.fetch_add(1, Ordering::Relaxed);
        Session::new(self.clone(), user, FIRST_DATABASE, BranchId::MAIN, settings, backend)
    }

    /// A session of the program's own on a branch.
    pub(super) fn session_at(
        &self,
        user: &str,
        database: &str,
        branch: BranchId,
        settings: SettingValues,
    ) -> Session {
        let backend = self.shared.next_backend.fetch_add(1, Ordering::Relaxed);
        Session::new(self.clone(), user, database, branch, settings, backend)
    }

    /// What statistics of a branch that refreshed themselves told.
    pub(super) fn statistics_news(&self, branch: BranchId) -> Arc<StatisticsNews> {
        self.shared.statistics_news.lock().entry(branch).or_default().clone()
    }

    /// Reads a branch's catalog anew, in which nothing but statistics is new: no change of the catalog was announced, for
    /// that would keep transactions with older snapshots from using what they know of it.
    pub(super) async fn take_new_statistics(&self, branch: BranchId) -> Result<()> {
        let mut reader = self.shared.store.begin(branch, Isolation::ReadCommitted);
        reader.begin_statement();
        let newest = self.catalog_scn(branch);
        let news = self.statistics_news(branch);
        news.come(reader.snapshot().scn);
        self.load_catalog(&reader, newest).await?;
        news.raise();
        Ok(())
    }

    /// The catalog of an earlier moment, whose tables are read as of it.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub async fn past_catalog(&self, snapshot: Snapshot) -> Result<Arc<CatalogSnapshot>> {
        let known = |past: &VecDeque<(Snapshot, Arc<CatalogSnapshot>)>| {
            past.iter().find(|(each, _)| *each == snapshot).map(|(_, catalog)| catalog.clone())
        };
        if let Some(catalog) = known(&self.shared.past_catalogs.lock()) {
            return Ok(catalog);
        }
        let origin = self.shared.store.origin_of(snapshot).await?;
        let mut reader = self.shared.store.begin_as_of(origin.branch, origin.scn)?;
        reader.begin_statement();
        let mut catalog = CatalogSnapshot::load(&reader).await?;
        catalog.set_as_of(origin);
        let catalog = Arc::new(catalog);
        let mut past = self.shared.past_catalogs.lock();
        if past.len() >= PAST_CATALOGS_MAX {
            past.pop_front();
        }
        past.push_back((snapshot, catalog.clone()));
        Ok(catalog)
    }

    /// The catalog as a transaction's snapshot has it, without its own changes.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub async fn catalog(&self, transaction: &Transaction) -> Result<Arc<CatalogSnapshot>> {
        let branch = transaction.branch();
        let newest = self.catalog_scn(branch);
        let snapshot = transaction.snapshot().scn;
        if newest <= snapshot
            && let Some((scn, catalog)) = self.shared.catalogs.lock().get(&branch)
            && *scn == newest.0
        {
            return Ok(catalog.clone());
        }
        self.load_catalog(transaction, newest).await
    }

    /// Reads the catalog, whose newest change is `newest`.
    async fn load_catalog(&self, transaction: &Transaction, newest: Scn) -> Result<Arc<CatalogSnapshot>> {
        let branch = transaction.branch();
        let snapshot = transaction.snapshot().scn;
        let catalog = Arc::new(self.read_catalog(transaction).await?);
        let mut known = self.shared.catalogs.lock();
        // Only what is known to be the newest is kept: no DDL was committed since the snapshot, and no statistics.
        if newest <= snapshot
            && self.catalog_scn(branch) == newest
            && snapshot >= self.statistics_news(branch).scn()
        {
            known.insert(branch, (newest.0, catalog.clone()));
            self.shared.changes.retain(|of, table| of != branch || catalog.table(table).is_some());
        }
        drop(known);
        Ok(catalog)
    }
}
