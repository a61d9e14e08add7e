//! The embedded database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_lite::future::block_on;
use helios_sql::error::{SqlError, SqlState};
use helios_sql::session::{BranchHold, Engine, Portal, Prepared, Session, Step, TransactionStatus};
use helios_sql::value::Datum;

use crate::connection::Connection;
use crate::opening::{self, Opened};
use crate::row::rows_of;
use crate::{Config, Error, PreparedStatement, Result, Row, RowStream, ToValue, Transaction};

/// Who the sessions of an embedded database are, and on which database.
const USER: &str = "postgres";
const DATABASE: &str = "heliosdb";

/// A database in this process. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct EmbeddedDatabase {
    /// The branch that its sessions begin on; none: `main`. It cannot be dropped meanwhile.
    branch: Option<Arc<OnBranch>>,
    shared: Arc<Opened>,
}

/// What a handle on a branch has, as long as it or a clone of it lives.
struct OnBranch {
    hold: BranchHold,
    shared: Arc<Opened>,
}

impl Drop for OnBranch {
    fn drop(&mut self) {
        let id = self.hold.id();
        self.shared.idle.lock().retain(|(branch, _)| *branch != Some(id));
    }
}

/// A session on loan; it goes back when dropped, rolled back.
///
/// What belongs to sessions — settings, temporary tables, prepared statements — stays with it: the database's own calls
/// find it again as long as they come one after the other.
pub(crate) struct Lease {
    session: Option<Session>,
    database: EmbeddedDatabase,
}

impl Lease {
    pub(crate) fn session(&mut self) -> &mut Session {
        let database = &self.database;
        self.session.get_or_insert_with(|| {
            let engine = &database.shared.engine;
            match &database.branch {
                Some(branch) => engine.session_of(USER, DATABASE, &branch.hold),
                None => engine.session(USER, DATABASE),
            }
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.abandon();
            let branch = self.database.branch.as_ref().map(|branch| branch.hold.id());
            self.database.shared.idle.lock().push((branch, session));
        }
    }
}

/// The value that a finished statement counts: the last word of its tag.
fn count_of(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

impl EmbeddedDatabase {
    /// Opens the database in a folder, and makes it if it does not exist.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn new(path: impl AsRef<Path>) -> Result<EmbeddedDatabase> {
        EmbeddedDatabase::with_config(path, Config::default())
    }

    /// A database in memory, gone when the last clone is dropped.
    ///
    /// # Errors
    /// Those of making it.
    pub fn new_in_memory() -> Result<EmbeddedDatabase> {
        EmbeddedDatabase::with_config_in_memory(Config::in_memory())
    }

    /// Opens the database in a folder as configured.
    ///
    /// # Errors
    /// Those of the configuration and of opening it.
    pub fn with_config(path: impl AsRef<Path>, config: Config) -> Result<EmbeddedDatabase> {
        let path = if config.storage.memory_only { None } else { Some(path.as_ref()) };
        EmbeddedDatabase::open(path, &config)
    }

    /// Opens a branch of the database in a folder, which has to be there: all that is done through it is done on that
    /// branch. A folder that is open already is shared.
    ///
    /// # Errors
    /// Those of opening it; 3D000 where there is no such branch.
    pub fn new_branch(path: impl AsRef<Path>, branch: &str) -> Result<EmbeddedDatabase> {
        EmbeddedDatabase::new(path)?.on_branch(branch)
    }

    /// The same database on another of its branches.
    ///
    /// # Errors
    /// 3D000 where there is no such branch.
    pub fn on_branch(&self, branch: &str) -> Result<EmbeddedDatabase> {
        let hold = self.shared.engine.hold_branch(DATABASE, branch)?;
        let branch = OnBranch { hold, shared: self.shared.clone() };
        Ok(EmbeddedDatabase { shared: self.shared.clone(), branch: Some(Arc::new(branch)) })
    }

    /// A database in memory as configured.
    ///
    /// # Errors
    /// Those of the configuration.
    pub fn with_config_in_memory(config: Config) -> Result<EmbeddedDatabase> {
        EmbeddedDatabase::open(None, &config)
    }

    /// [`EmbeddedDatabase::with_config`], without blocking the thread while the log is replayed.
    ///
    /// # Errors
    /// As [`EmbeddedDatabase::with_config`].
    pub async fn with_config_async(path: impl AsRef<Path>, config: Config) -> Result<EmbeddedDatabase> {
        let path = if config.storage.memory_only { None } else { Some(path.as_ref()) };
        Ok(EmbeddedDatabase { shared: opening::open(path, &config).await?, branch: None })
    }

    fn open(path: Option<&Path>, config: &Config) -> Result<EmbeddedDatabase> {
        Ok(EmbeddedDatabase { shared: block_on(opening::open(path, config))?, branch: None })
    }

    /// The engine, for servers: it makes sessions.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn lease(&self) -> Lease {
        let mut idle = self.shared.idle.lock();
        let wanted = self.branch.as_ref().map(|branch| branch.hold.id());
        let at = idle.iter().rposition(|(branch, _)| *branch == wanted);
        Lease { session: at.map(|at| idle.swap_remove(at).1), database: self.clone() }
    }

    /// Gives the first superuser a password, unless it has one; tells whether it did.
    ///
    /// # Errors
    /// Those of reading the catalog and of committing.
    pub fn set_first_password(&self, password: &str) -> Result<bool> {
        block_on(async {
            let roles = self.shared.engine.roles().await?;
            // The first superuser is there always, by whatever name, and comes first.
            let Some(superuser) = roles.first().filter(|role| role.verifier.is_none()) else {
                return Ok(false);
            };
            let name = superuser.name.replace('"', "\"\"");
            let password = password.replace('\'', "''");
            let mut lease = self.lease();
            execute_in(lease.session(), &format!("ALTER ROLE \"{name}\" PASSWORD '{password}'")).await?;
            Ok(true)
        })
    }

    /// A connection of a user: the interface that servers and tools use.
    #[must_use]
    pub fn connect(&self, user: &str, database: &str) -> Connection {
        Connection::new(self.shared.engine.session(user, database))
    }

    /// Runs one statement or several; gives the number of rows that the last one changed or found.
    ///
    /// # Errors
    /// The first error; nothing of what was run remains then. 25001 where a transaction is begun and not ended:
    /// [`EmbeddedDatabase::begin_transaction`] is for those.
    pub fn execute(&self, sql: &str) -> Result<u64> {
        block_on(self.execute_async(sql))
    }

    /// [`EmbeddedDatabase::execute`], without blocking the thread.
    ///
    /// # Errors
    /// As [`EmbeddedDatabase::execute`].
    pub async fn execute_async(&self, sql: &str) -> Result<u64> {
        let mut lease = self.lease();
        let session = lease.session();
        let count = execute_in(session, sql).await?;
        refuse_open(session)?;
        Ok(count)
    }

    /// Runs one statement with parameters; gives the number of rows that it changed or found.
    ///
    /// # Errors
    /// All the errors of SQL.
    pub fn execute_with(&self, sql: &str, params: &[&dyn ToValue]) -> Result<u64> {
        block_on(self.execute_with_async(sql, params))
    }

    /// [`EmbeddedDatabase::execute_with`], without blocking the thread.
    ///
    /// # Errors
    /// As [`EmbeddedDatabase::execute_with`].
    pub async fn execute_with_async(&self, sql: &str, params: &[&dyn ToValue]) -> Result<u64> {
        let mut lease = self.lease();
        let session = lease.session();
        let mut prepared = session.prepare(sql, Vec::new()).await?;
        let count = run(session, &mut prepared, params, &mut Scratch::default()).await?.1;
        refuse_open(session)?;
        Ok(count)
    }

    /// Runs a query and gives its rows.
    ///
    /// # Errors
    /// All the errors of SQL.
    pub fn query(&self, sql: &str, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        block_on(self.query_async(sql, params))
    }

    /// [`EmbeddedDatabase::query`], without blocking the thread.
    ///
    /// # Errors
    /// As [`EmbeddedDatabase::query`].
    pub async fn query_async(&self, sql: &str, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        let mut lease = self.lease();
        query_in(lease.session(), sql, params).await
    }

    /// Runs a query and gives its rows as they are made.
    ///
    /// # Errors
    /// Those of preparing it.
    pub fn query_stream(&self, sql: &str, params: &[&dyn ToValue]) -> Result<RowStream> {
        block_on(self.query_stream_async(sql, params))
    }

    /// [`EmbeddedDatabase::query_stream`], without blocking the thread.
    ///
    /// # Errors
    /// As [`EmbeddedDatabase::query_stream`].
    pub async fn query_stream_async(&self, sql: &str, params: &[&dyn ToValue]) -> Result<RowStream> {
        let mut lease = self.lease();
        let session = lease.session();
        let prepared = session.prepare(sql, Vec::new()).await?;
        let mut values = Vec::new();
        parameters(session, &prepared, params, &mut values)?;
        let portal = session.bind(prepared, values)?;
        Ok(RowStream::new(lease, portal))
    }

    /// Prepares a statement to be run many times.
    ///
    /// # Errors
    /// Those of parsing and binding.
    pub fn prepare(&self, sql: &str) -> Result<PreparedStatement> {
        block_on(self.prepare_async(sql))
    }

    /// [`EmbeddedDatabase::prepare`], without blocking the thread.
    ///
    /// # Errors
    /// As [`EmbeddedDatabase::prepare`].
    pub async fn prepare_async(&self, sql: &str) -> Result<PreparedStatement> {
        let mut lease = self.lease();
        let prepared = lease.session().prepare(sql, Vec::new()).await?;
        Ok(PreparedStatement::new(lease, prepared))
    }

    /// Begins a transaction; dropping it rolls it back.
    ///
    /// # Errors
    /// Those of beginning it.
    pub fn begin_transaction(&self) -> Result<Transaction> {
        block_on(self.begin_transaction_async())
    }

    /// [`EmbeddedDatabase::begin_transaction`], without blocking the thread.
    ///
    /// # Errors
    /// As [`EmbeddedDatabase::begin_transaction`].
    pub async fn begin_transaction_async(&self) -> Result<Transaction> {
        let mut lease = self.lease();
        execute_in(lease.session(), "BEGIN").await?;
        Ok(Transaction::new(lease))
    }
}

/// A transaction that is left open would be rolled back unseen.
fn refuse_open(session: &Session) -> Result<()> {
    if session.transaction_status() == TransactionStatus::Idle {
        return Ok(());
    }
    let error = SqlError::new(
        SqlState::ACTIVE_SQL_TRANSACTION,
        "a transaction cannot stay open between calls: it was rolled back",
    );
    Err(error
        .with_hint("Use begin_transaction(), or run BEGIN, the statements and COMMIT in one call.")
        .into())
}

pub(crate) async fn execute_in(session: &mut Session, sql: &str) -> Result<u64> {
    let run = session.run_script(sql).await;
    if run.is_err() {
        session.note_error();
    }
    Ok(run?.last().map_or(0, |tag| count_of(tag)))
}

/// Prepares a statement; an error fails the transaction.
async fn prepare_in(session: &mut Session, sql: &str) -> Result<Arc<Prepared>> {
    let prepared = session.prepare(sql, Vec::new()).await;
    if prepared.is_err() {
        session.note_error();
    }
    Ok(prepared?)
}

pub(crate) async fn query_in(session: &mut Session, sql: &str, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
    if params.is_empty()
        && let Some((mut prepared, constants)) = session.known_form(sql)
    {
        return run_portal(session, &mut prepared, constants).await.map(|(rows, _)| rows);
    }
    let mut prepared = prepare_in(session, sql).await?;
    if params.is_empty() {
        session.keep_plan_of_form(sql, &prepared).await;
    }
    run(session, &mut prepared, params, &mut Scratch::default()).await.map(|(rows, _)| rows)
}

pub(crate) async fn execute_with_in(
    session: &mut Session,
    sql: &str,
    params: &[&dyn ToValue],
    scratch: &mut Scratch,
) -> Result<u64> {
    let mut prepared = prepare_in(session, sql).await?;
    run(session, &mut prepared, params, scratch).await.map(|(_, count)| count)
}

/// Appends a statement's parameters to `values`.
pub(crate) fn parameters(
    session: &Session,
    prepared: &Prepared,
    params: &[&dyn ToValue],
    values: &mut Vec<Datum>,
) -> Result<()> {
    let types = &prepared.parameter_types;
    if params.len() != types.len() {
        return Err(Error::config(format!(
            "the statement has {} parameters, but {} were given",
            types.len(),
            params.len()
        )));
    }
    for ((value, data_type), kind) in params.iter().zip(types).zip(prepared.parameter_kinds()) {
        match value.to_exact() {
            Some(exact) if kind.is_some() && (exact.is_null() || exact.kind() == *kind) => values.push(exact),
            _ => {
                let never = AtomicBool::new(false);
                let context = session.value_context(prepared, &never);
                values.push(value.to_value().to_datum(*data_type, &context)?);
            }
        }
    }
    Ok(())
}

/// What one execution after the other uses again.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) parameters: Vec<Datum>,
    /// The row that a statement for one row found.
    pub(crate) found: Vec<Datum>,
}

/// Runs a prepared statement if it is for one row, and that row is at hand; gives how many it found or changed. It is
/// committed by [`Session::finish_point`].
pub(crate) fn begin_at_once(
    session: &mut Session,
    prepared: &Prepared,
    params: &[&dyn ToValue],
    scratch: &mut Scratch,
) -> Result<Option<u64>> {
    scratch.parameters.clear();
    parameters(session, prepared, params, &mut scratch.parameters)?;
    Ok(session.begin_point(prepared, &scratch.parameters, &mut scratch.found)?)
}

/// Runs a prepared statement to its end; gives its rows, and how many it found or changed.
pub(crate) async fn run(
    session: &mut Session,
    prepared: &mut Arc<Prepared>,
    params: &[&dyn ToValue],
    scratch: &mut Scratch,
) -> Result<(Vec<Row>, u64)> {
    session.know_types(prepared).await?;
    if let Some(count) = begin_at_once(session, prepared, params, scratch)? {
        session.finish_point().await?;
        let mut rows = Vec::new();
        if count > 0 && prepared.columns.is_some() {
            let mut row = Row::of(&prepared.row_columns);
            let never = AtomicBool::new(false);
            row.fill(&scratch.found, &session.value_context(prepared, &never))?;
            rows.push(row);
        }
        return Ok((rows, count));
    }
    run_portal(session, prepared, std::mem::take(&mut scratch.parameters)).await
}

/// As [`Session::know_types`], without a future where there is nothing to know.
pub(crate) fn know_types(session: &mut Session, prepared: &Prepared) -> Result<()> {
    if prepared.has_catalog_types() {
        block_on(session.know_types(prepared))?;
    }
    Ok(())
}

/// Runs a prepared statement to its end, without a future where it is for one row; gives how many rows it found or
/// changed.
pub(crate) fn execute(
    session: &mut Session,
    prepared: &mut Arc<Prepared>,
    params: &[&dyn ToValue],
    scratch: &mut Scratch,
) -> Result<u64> {
    know_types(session, prepared)?;
    if let Some(count) = begin_at_once(session, prepared, params, scratch)? {
        if session.has_to_finish() {
            block_on(session.finish_point())?;
        }
        return Ok(count);
    }
    let parameters = std::mem::take(&mut scratch.parameters);
    block_on(run_portal(session, prepared, parameters)).map(|(_, count)| count)
}

/// Runs a prepared statement through a portal; where its plan held no more, `prepared` is the one with a new plan then.
pub(crate) async fn run_portal(
    session: &mut Session,
    prepared: &mut Arc<Prepared>,
    parameters: Vec<Datum>,
) -> Result<(Vec<Row>, u64)> {
    let columns = prepared.row_columns.clone();
    let mut portal: Portal = session.bind(prepared.clone(), parameters)?;
    let mut rows = Vec::new();
    loop {
        match session.step(&mut portal, &mut None).await? {
            Step::Rows(batch) => {
                let formats = session.formats().clone();
                let never = AtomicBool::new(false);
                rows.extend(rows_of(&batch, &columns, &portal.printing(&formats, &never))?);
            }
            Step::Complete(tag) => {
                // Next time its plan holds from the start.
                if let Some(renewed) = portal.renewed(prepared) {
                    *prepared = renewed;
                }
                session.sync().await?;
                return Ok((rows, count_of(&tag)));
            }
            Step::Empty | Step::Suspended => return Ok((rows, 0)),
            Step::CopyIn => return Err(Error::unsupported("COPY FROM STDIN needs a connection")),
        }
    }
}
