//! The engine: one for each open store; it makes sessions and keeps what they share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use helios_mvcc::{BranchId, Isolation, Store, Transaction};
use helios_runtime::{Clock, Entropy, SystemClock, SystemEntropy};
use parking_lot::Mutex;

use super::{EPOCH_MICROS, Session, SettingValues};
use crate::backends::Backends;
use crate::catalog::{CatalogSnapshot, Changes, OidAllocator, Role, store as catalog_store};
use crate::ddl::TEMPORARY_PREFIX;
use crate::error::Result;
use crate::sequence::Sequences;

/// What is in force, for `system_config`: names, values, and where they come from.
pub type ConfigEntries = Vec<(String, String)>;

/// An open database engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    oids: OidAllocator,
    sequences: Arc<Sequences>,
    /// The newest catalog of each branch.
    catalogs: Mutex<HashMap<BranchId, (u64, Arc<CatalogSnapshot>)>>,
    /// What is changed in tables.
    changes: Changes,
    next_backend: AtomicI32,
    backends: Arc<Backends>,
    config: ConfigEntries,
    mock_secret: Vec<u8>,
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
        let shared = Shared {
            sequences,
            store,
            clock,
            entropy,
            oids: OidAllocator::default(),
            catalogs: Mutex::default(),
            changes: Changes::default(),
            next_backend: AtomicI32::new(1),
            backends: Arc::default(),
            config,
            mock_secret,
        };
        let engine = Engine { shared: Arc::new(shared) };
        engine.drop_leftovers().await?;
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

    /// A new session of a user on a database.
    #[must_use]
    pub fn session(&self, user: &str, database: &str) -> Session {
        let mut settings = SettingValues::default();
        settings.set_initial("session_authorization", user);
        let backend = self.shared.next_backend.fetch_add(1, Ordering::Relaxed);
        Session::new(self.clone(), user, database, BranchId::MAIN, settings, backend)
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

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &ConfigEntries {
        &self.shared.config
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

    /// The catalog as a transaction's snapshot has it, without its own changes.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub async fn catalog(&self, transaction: &Transaction) -> Result<Arc<CatalogSnapshot>> {
        let branch = transaction.branch();
        let newest = self.shared.store.catalog_scn(branch);
        let snapshot = transaction.snapshot().scn;
        if newest <= snapshot
            && let Some((scn, catalog)) = self.shared.catalogs.lock().get(&branch)
            && *scn == newest.0
        {
            return Ok(catalog.clone());
        }
        let mut catalog = CatalogSnapshot::load(transaction).await?;
        catalog.count_changes(&self.shared.changes);
        let catalog = Arc::new(catalog);
        // Only what is known to be the newest is kept: no DDL was committed since the snapshot.
        if newest <= snapshot && self.shared.store.catalog_scn(branch) == newest {
            self.shared.catalogs.lock().insert(branch, (newest.0, catalog.clone()));
        }
        Ok(catalog)
    }
}
