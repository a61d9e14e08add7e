//! What an execution carries: the transaction, parameters, the values of outer queries, and the session's part.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future::yield_now;
use helios_mvcc::{BranchId, Scn, Store, Transaction, TreeId};
use helios_runtime::{Clock, Entropy};
use parking_lot::Mutex;

use super::memory::QueryMemory;
use super::row_store::RowStore;
use super::team::Team;
use super::turn::Turn;
use crate::backends::Backend;
use crate::catalog::{CatalogSnapshot, Constraint, Directory, Role, TypeScope};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{EvalContext, Settings, unknown_type};
use crate::rights::{Actor, Permitted, Who};
use crate::sequence::SessionSequences;
use crate::session::{Engine, Listing, SettingValues};
use crate::types::{DataType, Oid, TypeCatalog, TypeInfo};
use crate::value::{Datum, PhysicalKind};
use crate::write::{Buffers, Pending, Writing};

/// The rows of common tables by number: those that recursive queries at work read, and those computed once.
pub type WorkingTables = HashMap<usize, Arc<RowStore>>;

/// The session's part of an execution, the same from statement to statement until the catalog or a setting changes.
pub struct Environment {
    pub engine: Engine,
    pub store: Store,
    pub catalog: Arc<CatalogSnapshot>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub settings: Arc<SettingValues>,
    pub formats: Arc<Settings>,
    pub search_path: Vec<u32>,
    /// The role that statements run as, and the one that the session began with.
    pub user: String,
    pub session_user: String,
    pub who: Who,
    /// What that role was found to be permitted.
    pub permitted: Permitted,
    pub database: String,
    /// The session, as others see it.
    pub backend: Arc<Backend>,
    pub config: crate::session::ConfigEntries,
    /// The state of the session's random generator.
    pub random: Arc<Mutex<u64>>,
    /// The session's prepared statements and cursors.
    pub listing: Arc<Listing>,
    /// The databases and branches there are, and the one that the session is on.
    pub directory: Arc<Mutex<Arc<Directory>>>,
    pub branch: BranchId,
    /// What the session knows of sequences.
    pub sequences: Arc<SessionSequences>,
    /// Settings that `set_config` changed, for the session to take over: name, value, whether local.
    pub changed_settings: Mutex<Vec<(String, String, bool)>>,
}

impl Environment {
    /// The same with another catalog: within a statement that changes it.
    #[must_use]
    pub fn with_catalog(&self, catalog: Arc<CatalogSnapshot>) -> Environment {
        Environment {
            engine: self.engine.clone(),
            store: self.store.clone(),
            catalog,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            settings: self.settings.clone(),
            formats: self.formats.clone(),
            search_path: self.search_path.clone(),
            user: self.user.clone(),
            session_user: self.session_user.clone(),
            who: self.who,
            permitted: Permitted::default(),
            database: self.database.clone(),
            backend: self.backend.clone(),
            config: self.config.clone(),
            random: self.random.clone(),
            listing: self.listing.clone(),
            directory: self.directory.clone(),
            branch: self.branch,
            sequences: self.sequences.clone(),
            changed_settings: Mutex::default(),
        }
    }

    /// The same as another role: within what runs with its owner's rights.
    #[must_use]
    pub fn as_role(&self, role: &Role) -> Environment {
        let mut environment = self.with_catalog(self.catalog.clone());
        environment.user = role.name.clone();
        environment.who = self.who.instead(role.oid);
        environment
    }

    /// The role that statements run as, and what it may do.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        self.who.among(&self.catalog)
    }

    /// What values are printed with, without a running statement.
    #[must_use]
    pub fn context<'a>(&'a self, timestamps: Timestamps, cancel: &'a AtomicBool) -> EvalContext<'a> {
        EvalContext {
            transaction_timestamp: timestamps.transaction,
            statement_timestamp: timestamps.statement,
            settings: &self.formats,
            types: self,
            session: self,
            cancel,
            parameters: &[],
            outer: &[],
        }
    }
}

impl Environment {
    /// How values of a type are held.
    ///
    /// # Errors
    /// XX000 for a type that does not exist.
    pub fn kind_of(&self, data_type: DataType) -> Result<PhysicalKind> {
        self.catalog.type_info(data_type.oid).map(|info| info.kind).ok_or_else(|| unknown_type(data_type.oid))
    }

    /// The types, under the names that the session knows them by.
    #[must_use]
    pub fn types(&self) -> TypeScope<'_> {
        TypeScope { catalog: &self.catalog, search_path: &self.search_path }
    }
}

impl TypeCatalog for Environment {
    fn type_by_oid(&self, oid: Oid) -> Option<&TypeInfo> {
        self.catalog.type_info(oid)
    }

    fn type_by_name(&self, name: &str) -> Option<&TypeInfo> {
        self.types().named(name)
    }

    fn sql_name(&self, info: &TypeInfo) -> String {
        self.types().sql_name(info)
    }

    fn check_domain(&self, domain: Oid, value: &Datum, context: &EvalContext<'_>) -> Result<()> {
        self.types().check_domain(domain, value, context)
    }
}

/// When the transaction and the statement began, in microseconds since 2000-01-01 UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timestamps {
    pub transaction: i64,
    pub statement: i64,
}

/// What one node of a plan did, for EXPLAIN ANALYZE.
#[derive(Clone, Copy, Debug, Default)]
pub struct Instrument {
    pub rows: u64,
    pub loops: u64,
    pub time: Duration,
    /// The part of the time before the first row of each loop.
    pub startup: Duration,
    /// A loop has given a row, and goes on.
    pub begun: bool,
    /// Rows that its filters left out.
    pub removed: u64,
    /// Pages that were found in memory meanwhile, and that came from the device, for whomever.
    pub hits: u64,
    pub reads: u64,
    pub space: Option<SpaceUsed>,
    /// How many helpers were called.
    pub launched: u64,
}

impl Instrument {
    /// Adds what a helper measured of the same node.
    pub fn add(&mut self, other: &Instrument) {
        self.rows += other.rows;
        self.loops += other.loops;
        self.time += other.time;
        self.startup += other.startup;
        self.removed += other.removed;
        self.hits += other.hits;
        self.reads += other.reads;
        self.space = self.space.or(other.space);
    }
}

/// What an operator that gathers rows took, as EXPLAIN ANALYZE tells it; bytes.
#[derive(Clone, Copy, Debug)]
pub enum SpaceUsed {
    Sort {
        bytes: u64,
        on_disk: bool,
    },
    /// A sort that keeps only the first rows.
    FirstRows {
        bytes: u64,
    },
    HashTable {
        buckets: u64,
        batches: u64,
        bytes: u64,
    },
    Groups {
        batches: u64,
        bytes: u64,
        disk_bytes: u64,
    },
}

/// A running statement.
pub struct Execution {
    pub transaction: Box<Transaction>,
    pub environment: Arc<Environment>,
    pub timestamps: Timestamps,
    pub parameters: Arc<[Datum]>,
    /// Values of outer queries, by slot.
    pub outer: Vec<Datum>,
    /// The rows that the steps of recursive queries at work read.
    pub working_tables: WorkingTables,
    /// The transactions of commits that were asked for.
    pub writers: HashMap<Scn, u32>,
    pub cancel: Arc<AtomicBool>,
    /// Set when a row that the statement wanted to write had been changed since its snapshot: the statement
    /// may be run again on a newer one.
    pub conflict: bool,
    /// Several parts of the statement change rows: one that another part has changed already stays as that left it.
    pub has_several_changes: bool,
    /// Set when the table was changed after the statement was planned: it must be planned anew first.
    pub stale: bool,
    pub instruments: Option<Vec<Instrument>>,
    pub buffers: Box<Buffers>,
    /// What was done since the thread's other tasks ran.
    pub turn: Turn,
    /// Foreign keys to be looked at again.
    pub pending: Vec<Pending>,
    /// Which constraints wait for the end of the transaction.
    pub deferral: Deferral,
    /// What the query's operators hold, once one asks.
    pub memory: Option<Arc<QueryMemory>>,
    /// Those who work on the part of the plan at hand at the same time.
    pub team: Option<Arc<Team>>,
    /// This is not the session's own execution, but a helper's.
    pub is_helper: bool,
    /// How many more rows of the query are asked for at present, where a client or a cursor takes them piece by piece.
    pub wanted: Option<usize>,
}

/// What SET CONSTRAINTS said in this transaction.
#[derive(Clone, Debug, Default)]
pub struct Deferral {
    /// Of all constraints.
    pub all: Option<bool>,
    /// Of single ones, by OID: it counts more.
    pub named: HashMap<u32, bool>,
}

impl Deferral {
    /// Whether a constraint waits for the end of the transaction.
    #[must_use]
    pub fn is_deferred(&self, constraint: &Constraint) -> bool {
        let timing = constraint.timing;
        let said = self.named.get(&constraint.oid).copied().or(self.all);
        timing.deferrable && said.unwrap_or(timing.initially_deferred)
    }
}

impl Execution {
    /// What expressions are evaluated with.
    #[must_use]
    pub fn context(&self) -> EvalContext<'_> {
        EvalContext {
            parameters: &self.parameters,
            outer: &self.outer,
            ..self.environment.context(self.timestamps, &self.cancel)
        }
    }

    /// How values of a type are held.
    ///
    /// # Errors
    /// XX000 for a type that does not exist.
    pub fn kind_of(&self, data_type: DataType) -> Result<PhysicalKind> {
        self.environment.kind_of(data_type)
    }

    /// What rows are written through.
    pub fn writing(&mut self) -> Writing<'_> {
        let context = EvalContext {
            parameters: &self.parameters,
            outer: &self.outer,
            ..self.environment.context(self.timestamps, &self.cancel)
        };
        Writing { transaction: &mut self.transaction, context, buffers: &mut self.buffers }
    }

    /// Between batches: ends a canceled statement, and now and then lets the other tasks of the thread run.
    ///
    /// # Errors
    /// 57014 when the statement was canceled.
    pub async fn breathe(&mut self) -> Result<()> {
        self.check_cancel()?;
        if self.turn_is_over() {
            yield_now().await;
            self.check_cancel()?;
        }
        Ok(())
    }

    /// Waits for what the evaluation of rows made the session owe, before anything is done with these rows.
    ///
    /// # Errors
    /// Those of waiting.
    pub async fn settle(&mut self) -> Result<()> {
        let backend = &self.environment.backend;
        if backend.owes() { backend.settle_waits().await } else { Ok(()) }
    }

    /// Counts a batch; true where the thread's other tasks should run now.
    pub(super) fn turn_is_over(&mut self) -> bool {
        self.turn.is_over(&*self.environment.clock)
    }

    /// 57014 when the statement was canceled, or those are to end who work on a part of it.
    ///
    /// # Errors
    /// That.
    pub fn check_cancel(&self) -> Result<()> {
        let is_over = self.team.as_ref().is_some_and(|team| team.is_over());
        if is_over || self.cancel.load(Ordering::Relaxed) { Err(SqlError::canceled()) } else { Ok(()) }
    }

    /// The execution of a helper of a team: it reads the same snapshot and counts on the same account.
    ///
    /// # Errors
    /// Those of beginning to read.
    pub fn for_helper(&mut self, team: Arc<Team>) -> Result<Execution> {
        let snapshot = self.transaction.snapshot();
        let reader = self.environment.store.begin_as_of(snapshot.branch, snapshot.scn)?;
        Ok(Execution {
            transaction: Box::new(reader),
            environment: self.environment.clone(),
            timestamps: self.timestamps,
            parameters: self.parameters.clone(),
            outer: Vec::new(),
            working_tables: HashMap::new(),
            writers: HashMap::new(),
            cancel: self.cancel.clone(),
            conflict: false,
            has_several_changes: false,
            stale: false,
            instruments: self.instruments.is_some().then(Vec::new),
            buffers: Box::default(),
            turn: Turn::default(),
            pending: Vec::new(),
            deferral: Deferral::default(),
            memory: Some(self.memory().clone()),
            team: Some(team),
            is_helper: true,
            wanted: None,
        })
    }

    /// The account of what the query's operators hold.
    pub fn memory(&mut self) -> &Arc<QueryMemory> {
        let settings = &self.environment.settings;
        self.memory.get_or_insert_with(|| Arc::new(QueryMemory::new(settings)))
    }

    /// Notes that a row was changed since the snapshot.
    pub fn conflict(&mut self) -> SqlError {
        self.conflict = true;
        SqlError::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")
    }

    /// The same for a row of which the key is known: who deleted it is told from who changed it.
    pub async fn conflict_on(&mut self, tree: TreeId, key: &[u8]) -> SqlError {
        let conflict = self.conflict();
        match self.transaction.get_latest(tree, key).await {
            Ok(Some(_)) => conflict,
            Ok(None) => SqlError::new(
                SqlState::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent delete",
            ),
            Err(error) => error.into(),
        }
    }

    /// Changes what is measured of a node.
    pub fn instrument(&mut self, number: usize, change: impl FnOnce(&mut Instrument)) {
        if let Some(instruments) = &mut self.instruments {
            if instruments.len() <= number {
                instruments.resize(number + 1, Instrument::default());
            }
            change(&mut instruments[number]);
        }
    }
}
