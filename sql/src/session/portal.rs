//! Portals: statements bound to parameters, executed step by step.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use helios_mvcc::{Isolation, ReadPoint};

use super::execution::tag_of;
use super::point::{Point, Within};
use super::prepare::Action;
use super::role::is_role_setting;
use super::transaction::{in_failed_transaction, lost};
use super::{LastEnvironment, Prepared, Session};
use crate::binder::{ResultColumn, lock_words};
use crate::catalog::CatalogSnapshot;
use crate::copy::CopyPlan;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{
    self, Environment, Execution, Operator, QueryMemory, RowStore, Timestamps, Turn, WorkingTables,
};
use crate::functions::{EvalContext, Settings, unknown_type};
use crate::plan::physical::PlanNode;
use crate::rights::{Permitted, conceal};
use crate::types::{DataType, builtin_type};
use crate::value::{Batch, ColumnBuilder, Datum};

/// How often a statement is run again after conflicts.
const TRIES_MAX: usize = 1_000;

/// What a portal's execution gave.
pub enum Step {
    /// Some rows; there may be more.
    Rows(Batch),
    /// The row limit is reached: the portal waits to be executed again.
    Suspended,
    /// The statement is done: its command tag.
    Complete(String),
    /// An empty statement is done.
    Empty,
    /// COPY … FROM STDIN wants data: see [`Session::copy_in`].
    CopyIn,
}

pub(super) enum State {
    Ready,
    /// A query's operators, and rows that the last row limit left over.
    Running {
        operator: Box<dyn Operator>,
        left: Option<Batch>,
        environment: Arc<Environment>,
        /// Other statements of the transaction may run between two batches.
        reads: ReadPoint,
        timestamps: Timestamps,
        outer: Vec<Datum>,
        /// Common tables that are computed already.
        working_tables: WorkingTables,
        memory: Option<Arc<QueryMemory>>,
    },
    /// The row of a query for one row, if there is one.
    Single {
        batch: Option<Batch>,
        environment: Arc<Environment>,
        timestamps: Timestamps,
    },
    /// Rows that are all there, with those that the last row limit left over.
    Gathered {
        rows: Box<RowStore>,
        next_block: usize,
        left: Option<Batch>,
        environment: Arc<Environment>,
        timestamps: Timestamps,
    },
    /// The same, few of them.
    Given {
        batches: VecDeque<Batch>,
        tag: String,
        /// What they are printed with, where their types are not built in.
        environment: Option<Arc<Environment>>,
    },
    Done,
}

/// A statement with its parameters.
pub struct Portal {
    pub prepared: Arc<Prepared>,
    parameters: Arc<[Datum]>,
    state: State,
    rows: u64,
    /// How many more rows are asked for, where that is known.
    wanted: Option<usize>,
    epoch: u64,
    /// The client's whole text, where it is not the statement's.
    text: Option<String>,
    /// What COPY gives before its rows.
    header: Option<Batch>,
    /// The implicit transaction ends with it, if it begins one.
    is_last: bool,
}

impl Portal {
    /// The statement with the plan that it ran with, where that of the one it was bound to held no more.
    #[must_use]
    pub fn renewed(&self, bound: &Arc<Prepared>) -> Option<Arc<Prepared>> {
        let is_new = !Arc::ptr_eq(&self.prepared, bound) && self.prepared.can_replace(bound);
        is_new.then(|| self.prepared.clone())
    }

    /// Says whether the client ends the implicit transaction right behind this statement, so that a statement which finds
    /// none running, and reads one row, needs none.
    pub fn set_last(&mut self, is_last: bool) {
        self.is_last = is_last;
    }

    /// Says how many rows the next steps are asked for.
    pub(super) fn want(&mut self, rows: usize) {
        self.wanted = Some(rows);
    }

    /// The parameters' values.
    #[must_use]
    pub fn parameters(&self) -> &Arc<[Datum]> {
        &self.parameters
    }

    /// What a query that gives rows is evaluated in, for printing them.
    #[must_use]
    pub fn environment(&self) -> Option<(&Arc<Environment>, Timestamps)> {
        match &self.state {
            State::Running { environment, timestamps, .. }
            | State::Gathered { environment, timestamps, .. }
            | State::Single { environment, timestamps, .. } => Some((environment, *timestamps)),
            State::Given { environment: Some(environment), .. } => Some((environment, Timestamps::default())),
            _ => None,
        }
    }

    /// The account of what the operators of a running query hold, once one of them has gathered rows.
    #[must_use]
    pub fn memory(&self) -> Option<&Arc<QueryMemory>> {
        match &self.state {
            State::Running { memory, .. } => memory.as_ref(),
            _ => None,
        }
    }

    /// What the rows it gives are printed in; `settings` and `never` are for rows that are all there already.
    #[must_use]
    pub fn printing<'a>(&'a self, settings: &'a Settings, never: &'a AtomicBool) -> EvalContext<'a> {
        match self.environment() {
            Some((environment, timestamps)) => environment.context(timestamps, never),
            None => EvalContext::detached(settings),
        }
    }

    /// What COPY gives behind its rows.
    fn trailer(&self) -> Result<Option<Batch>> {
        self.prepared.copy_plan().map_or(Ok(None), CopyPlan::trailer)
    }

    /// The tag of a statement that gives rows, at their end.
    fn tag(&self) -> String {
        let command = if self.prepared.copy_plan().is_some() { "COPY" } else { "SELECT" };
        format!("{command} {}", self.rows)
    }
}

/// The rows of a result that is made at once.
pub(super) struct Given {
    pub batches: Vec<Batch>,
    pub tag: String,
}

impl Session {
    /// Binds a prepared statement to parameters, which are of its parameter types.
    ///
    /// # Errors
    /// 08P01 for another number of parameters.
    pub fn bind(&self, prepared: Arc<Prepared>, parameters: Vec<Datum>) -> Result<Portal> {
        self.bind_shared(prepared, parameters.into())
    }

    /// [`Session::bind`] with parameters that are shared already.
    ///
    /// # Errors
    /// As [`Session::bind`].
    pub fn bind_shared(&self, prepared: Arc<Prepared>, parameters: Arc<[Datum]>) -> Result<Portal> {
        if parameters.len() != prepared.parameter_types.len() {
            return Err(SqlError::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"\" requires {}",
                    parameters.len(),
                    prepared.parameter_types.len()
                ),
            ));
        }
        Ok(Portal {
            prepared,
            parameters,
            state: State::Ready,
            rows: 0,
            wanted: None,
            epoch: self.portal_epoch,
            text: None,
            header: None,
            is_last: false,
        })
    }

    /// [`Session::bind`] for a statement of a text; `constants` are those of its form: see [`Session::known_form`].
    ///
    /// # Errors
    /// As [`Session::bind`].
    pub fn bind_text(&self, prepared: Arc<Prepared>, constants: Vec<Datum>, text: &str) -> Result<Portal> {
        let mut portal = self.bind(prepared, constants)?;
        portal.text = (portal.prepared.text != text).then(|| text.to_string());
        Ok(portal)
    }

    /// Executes a portal until it has given `rows_max` rows (0: all), one step at a time.
    ///
    /// # Errors
    /// All the errors of execution; the transaction has failed then.
    pub async fn step(&mut self, portal: &mut Portal, rows_max: &mut Option<usize>) -> Result<Step> {
        if let State::Ready = portal.state {
            let now = self.now();
            self.backend.begin(&portal.prepared, portal.text.as_deref(), now);
        }
        let mut stepped = self.step_here(portal, rows_max).await;
        if let Some(buffers) = &mut self.buffers {
            buffers.forget_evaluated();
        }
        if self.sequences.owes()
            && let Err(error) = self.sequences.settle(self.engine.store()).await
        {
            stepped = Err(error);
        }
        if self.backend.owes() && stepped.is_ok() {
            match self.backend.settle().await {
                Ok(notices) => notices.into_iter().for_each(|notice| self.notify(notice)),
                Err(error) => stepped = Err(error),
            }
        }
        if let Err(error) = stepped {
            stepped = Err(self.conceal(error));
            self.backend.forgive();
            portal.state = State::Done;
            self.fail();
        }
        stepped
    }

    /// An error without what the role may not see.
    pub(super) fn conceal(&self, error: SqlError) -> SqlError {
        match &self.environment {
            Some(last) if !last.known.actor().is_superuser() => conceal(&last.known.actor(), error),
            _ => error,
        }
    }

    /// Nothing runs any more, for those who look at what the session does.
    pub fn rest(&self) {
        self.backend.rest(self.transaction_status(), || self.now());
    }

    /// Ends the implicit transaction, if one runs: with a commit.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn sync(&mut self) -> Result<()> {
        if self.active.as_ref().is_some_and(|active| !active.explicit) {
            let committed = self.commit().await;
            committed.map_err(|error| self.conceal(error))?;
        }
        self.cancel.store(false, Ordering::Relaxed);
        if self.active.is_none() {
            self.engine.refresh_statistics();
        }
        Ok(())
    }

    /// Notes an error outside of a step: parsing and binding fail the transaction as executing does.
    pub fn note_error(&mut self) {
        self.fail();
    }

    pub(crate) async fn step_here(
        &mut self,
        portal: &mut Portal,
        rows_max: &mut Option<usize>,
    ) -> Result<Step> {
        if let Some(rows) = *rows_max {
            portal.want(rows);
        }
        if let State::Ready = portal.state {
            if let Some(step) = self.start(portal).await? {
                return Ok(step);
            }
        } else if portal.epoch != self.portal_epoch {
            return Err(SqlError::new(SqlState::INVALID_CURSOR_NAME, "portal \"\" does not exist"));
        }
        if *rows_max == Some(0) {
            // The tag counts what the last execution gave.
            portal.rows = 0;
            return Ok(Step::Suspended);
        }
        if let Some(header) = portal.header.take() {
            return Ok(Step::Rows(header));
        }
        let batch = match &mut portal.state {
            State::Done | State::Ready => return Ok(Step::Complete(self.tag_after(portal))),
            State::Given { batches, tag, .. } => match batches.pop_front() {
                Some(batch) => batch,
                // Executed again, it says the same of no rows.
                None => return Ok(Step::Complete(tag_of_rows(tag, std::mem::take(&mut portal.rows)))),
            },
            State::Single { batch, .. } => match batch.take() {
                Some(batch) => batch,
                None => {
                    let tag = portal.tag();
                    portal.state = State::Done;
                    return Ok(Step::Complete(tag));
                }
            },
            State::Running { .. } | State::Gathered { .. } => match self.next_batch(portal).await? {
                Some(batch) => batch,
                None => {
                    let tag = portal.tag();
                    if let Some(trailer) = portal.trailer()? {
                        portal.state = State::Given { batches: VecDeque::new(), tag, environment: None };
                        return Ok(Step::Rows(trailer));
                    }
                    portal.state = State::Done;
                    return Ok(Step::Complete(tag));
                }
            },
        };
        let batch = limited(portal, batch, rows_max);
        match (portal.prepared.copy_plan(), portal.environment()) {
            (Some(plan), Some((environment, timestamps))) => {
                let context = environment.context(timestamps, &self.cancel);
                crate::copy::encode_batch(plan, &batch, &context).map(Step::Rows)
            }
            _ => Ok(Step::Rows(batch)),
        }
    }

    fn tag_after(&self, portal: &Portal) -> String {
        match &portal.prepared.action {
            Action::Query(_) => "SELECT 0".into(),
            _ => String::new(),
        }
    }

    /// Begins a portal's statement; gives the step it ends with, if it has no rows.
    async fn start(&mut self, portal: &mut Portal) -> Result<Option<Step>> {
        if self.active.as_ref().is_some_and(|active| active.failed) && !portal.prepared.ends_transaction() {
            return Err(in_failed_transaction());
        }
        if !self.is_current(&portal.prepared) {
            portal.prepared = self.refreshed(&portal.prepared, &portal.parameters).await?;
        }
        let prepared = portal.prepared.clone();
        self.permit(&prepared).await?;
        let parameters = portal.parameters.clone();
        if prepared.point.is_some()
            && let Some(step) = self.start_point(portal)?
        {
            return Ok(step);
        }
        match &prepared.action {
            Action::Empty => {
                portal.state = State::Done;
                Ok(Some(Step::Empty))
            }
            Action::Copy(copy) => {
                if copy.direction() == super::CopyDirection::In {
                    self.begin_statement().await?;
                    match copy.fills_private() {
                        true => self.refuse_past("COPY FROM")?,
                        false => self.refuse_read_only("COPY FROM")?,
                    }
                    portal.state = State::Done;
                }
                match (&copy.file, copy.direction()) {
                    (Some(path), _) => self.copy_file(portal, copy, path).await.map(Step::Complete).map(Some),
                    (None, super::CopyDirection::In) => Ok(Some(Step::CopyIn)),
                    (None, super::CopyDirection::Out) => self.start_copy(portal, copy).await.map(|()| None),
                }
            }
            Action::Query(plan) => self.start_rows(portal, plan).await.map(|()| None),
            _ => {
                let given = self.run(&prepared, parameters).await?;
                portal.epoch = self.portal_epoch;
                if given.batches.is_empty() {
                    portal.state = State::Done;
                    return Ok(Some(Step::Complete(given.tag)));
                }
                self.know_types(&prepared).await?;
                let environment = self.values.clone().filter(|_| prepared.has_catalog_types());
                portal.state = State::Given { batches: given.batches.into(), tag: given.tag, environment };
                Ok(None)
            }
        }
    }

    /// Begins to make the rows that a COPY gives; those that a change returns are all there at once.
    pub(crate) async fn start_copy(&mut self, portal: &mut Portal, copy: &CopyPlan) -> Result<()> {
        if let Some(plan) = copy.source() {
            return self.start_rows(portal, plan).await;
        }
        let (prepared, parameters) = (portal.prepared.clone(), portal.parameters.clone());
        let changed = self.change_prepared(&prepared, parameters).await?;
        let environment = self.begin_statement().await?;
        let timestamps = self.active.as_ref().ok_or_else(lost)?.timestamps;
        let memory = Arc::new(QueryMemory::new(&self.settings));
        let mut rows = Box::new(RowStore::in_account(self.engine.store(), &memory));
        for batch in changed.returned {
            rows.push(batch).await?;
        }
        rows.finish().await?;
        portal.header = copy.header(self.formats.client_encoding).transpose()?;
        portal.state = State::Gathered { rows, next_block: 0, left: None, environment, timestamps };
        portal.epoch = self.portal_epoch;
        Ok(())
    }

    /// Begins to make the rows of a plan.
    pub(crate) async fn start_rows(&mut self, portal: &mut Portal, plan: &PlanNode) -> Result<()> {
        portal.header = portal
            .prepared
            .copy_plan()
            .and_then(|plan| plan.header(self.formats.client_encoding))
            .transpose()?;
        portal.state = self.running(plan).await?;
        portal.epoch = self.portal_epoch;
        // The first batch is made at once: until it is given, a conflict may be undone.
        self.first_batch(portal).await
    }

    /// Runs a portal's statement for one row, if it can be done at once; gives what [`Session::start`] gives.
    fn start_point(&mut self, portal: &mut Portal) -> Result<Option<Option<Step>>> {
        let mut row = Vec::new();
        let prepared = &portal.prepared;
        let needs_none = portal.is_last && prepared.point.as_ref().is_some_and(Point::is_timeless_query);
        let within = if needs_none { Within::Own } else { Within::Session };
        let Some(done) = self.try_point(prepared, &portal.parameters, &mut row, within)? else {
            return Ok(None);
        };
        portal.epoch = self.portal_epoch;
        let batch = match &prepared.columns {
            Some(columns) if done.rows > 0 => Some(single_row(columns, row, &done.environment)?),
            _ => None,
        };
        if prepared.is_query() {
            portal.state =
                State::Single { batch, environment: done.environment, timestamps: done.timestamps };
            return Ok(Some(None));
        }
        let tag = tag_of(&prepared.action, done.rows);
        match batch {
            Some(batch) => {
                portal.state = State::Given {
                    batches: VecDeque::from([batch]),
                    tag,
                    environment: Some(done.environment),
                };
                Ok(Some(None))
            }
            None => {
                portal.state = State::Done;
                Ok(Some(Some(Step::Complete(tag))))
            }
        }
    }

    /// Begins a statement in the running transaction, or in one of its own.
    pub(crate) async fn begin_statement(&mut self) -> Result<Arc<Environment>> {
        let active = self.begin_in_transaction();
        active.used = true;
        let own_catalog = active.changed_catalog || active.own_catalog.is_some();
        let transaction = active.transaction.as_mut().ok_or_else(lost)?;
        transaction.begin_statement();
        let snapshot = transaction.snapshot().scn;
        let newest = self.catalog_scn.get();
        let statistics_version = self.catalog_scn.statistics.version();
        if let Some(last) = &self.environment
            && !own_catalog
            && last.catalog_scn == newest.0
            && last.statistics_version == statistics_version
            && newest <= snapshot
            && Arc::ptr_eq(&last.known.settings, &self.settings)
        {
            return Ok(last.known.clone());
        }
        let catalog = self.catalog_here().await?;
        let environment = Arc::new(self.environment(catalog));
        // Kept if it is the newest: no DDL was committed since the snapshot.
        if !own_catalog && newest <= snapshot && self.catalog_scn.get() == newest {
            let known = environment.clone();
            self.environment = Some(LastEnvironment { catalog_scn: newest.0, statistics_version, known });
        }
        Ok(environment)
    }

    /// Asks for the rights that a statement needs, unless its plan was permitted before.
    ///
    /// # Errors
    /// 42501, and those of reading the catalog.
    pub(super) async fn permit(&mut self, prepared: &Prepared) -> Result<()> {
        if prepared.is_permitted() {
            return Ok(());
        }
        let catalog = self.catalog_of_rights().await?;
        prepared.permit(&catalog, self.who(&catalog))
    }

    /// Asks for the rights that explaining a statement needs.
    ///
    /// # Errors
    /// As [`Session::permit`].
    pub(super) async fn permit_shown(&mut self, prepared: &Prepared) -> Result<()> {
        let catalog = self.catalog_of_rights().await?;
        prepared.permit_shown(&catalog, self.who(&catalog))
    }

    /// Rights are those of now, whatever the transaction's snapshot is.
    async fn catalog_of_rights(&mut self) -> Result<Arc<CatalogSnapshot>> {
        match &self.active {
            Some(active) if active.changed_catalog && self.as_of().is_none() => self.current_catalog().await,
            _ => self.newest_catalog().await,
        }
    }

    /// The catalog as the running transaction sees it.
    async fn catalog_here(&mut self) -> Result<Arc<CatalogSnapshot>> {
        if let Some(scn) = self.as_of() {
            return self.past_catalog(scn).await;
        }
        let active = self.active.as_mut().ok_or_else(lost)?;
        if let Some(own) = &active.own_catalog {
            return Ok(own.clone());
        }
        let transaction = active.transaction.as_ref().ok_or_else(lost)?;
        if !active.changed_catalog {
            let snapshot = transaction.snapshot().scn;
            if let Some((_, past)) = active.past_catalog.as_ref().filter(|(scn, _)| *scn == snapshot) {
                return Ok(past.clone());
            }
            let catalog = self.engine.catalog(transaction).await?;
            if self.catalog_scn.get() > snapshot {
                active.past_catalog = Some((snapshot, catalog.clone()));
            }
            return Ok(catalog);
        }
        let own = Arc::new(self.engine.read_catalog(transaction).await?);
        active.own_catalog = Some(own.clone());
        Ok(own)
    }

    /// The catalog for binding: the running transaction's, or the newest.
    pub(super) async fn current_catalog(&mut self) -> Result<Arc<CatalogSnapshot>> {
        if self.active.as_ref().is_some_and(|active| active.failed) {
            return Err(in_failed_transaction());
        }
        if let Some(scn) = self.as_of() {
            return self.past_catalog(scn).await;
        }
        if let Some(active) = &mut self.active
            && let Some(transaction) = &mut active.transaction
        {
            // A later statement of the transaction sees what earlier ones did.
            if active.changed_catalog {
                transaction.begin_statement();
            }
            if active.used || active.changed_catalog {
                return self.catalog_here().await;
            }
        }
        self.newest_catalog().await
    }

    pub(crate) async fn newest_catalog(&self) -> Result<Arc<CatalogSnapshot>> {
        let mut transaction = self.engine.store().begin(self.branch, helios_mvcc::Isolation::ReadCommitted);
        transaction.begin_statement();
        self.engine.catalog(&transaction).await
    }

    /// Gets to know the types that a statement's parameters and results are of, as they are now.
    ///
    /// # Errors
    /// 25P02, and those of reading pages.
    pub async fn know_types(&mut self, prepared: &Prepared) -> Result<()> {
        if prepared.has_catalog_types() {
            let catalog = self.current_catalog().await?;
            self.values = Some(Arc::new(self.environment(catalog)));
        }
        Ok(())
    }

    /// XX000 for a type that nobody knows; 0 leaves it to be found out.
    ///
    /// # Errors
    /// 25P02, and those of reading pages.
    pub async fn check_types(&mut self, types: &[DataType]) -> Result<()> {
        if types.iter().all(|each| each.oid == 0 || builtin_type(each.oid).is_some()) {
            return Ok(());
        }
        let catalog = self.current_catalog().await?;
        match types.iter().find(|each| each.oid != 0 && catalog.type_info(each.oid).is_none()) {
            Some(unknown) => Err(unknown_type(unknown.oid)),
            None => Ok(()),
        }
    }

    /// What a statement's parameters are read with, and the results that have no portal printed; for types that are
    /// not built in after [`Session::know_types`].
    #[must_use]
    pub fn value_context<'a>(&'a self, prepared: &Prepared, never: &'a AtomicBool) -> EvalContext<'a> {
        match &self.values {
            Some(environment) if prepared.has_catalog_types() => {
                environment.context(Timestamps::default(), never)
            }
            _ => EvalContext::detached(&self.formats),
        }
    }

    /// What a statement is evaluated in.
    fn environment(&self, catalog: Arc<CatalogSnapshot>) -> Environment {
        let (who, session_role) = (self.who(&catalog), self.session_role(&catalog));
        // A role may have another name by now.
        let user = catalog.role(who.role).map_or(self.current_user(), |role| role.name.as_str()).to_string();
        let session_user = session_role.map_or_else(|| self.session_user(), |role| role.name.clone());
        Environment {
            engine: self.engine.clone(),
            store: self.engine.store().clone(),
            search_path: self.search_path(&catalog),
            who,
            catalog,
            clock: self.engine.clock().clone(),
            entropy: self.engine.entropy().clone(),
            settings: self.settings.clone(),
            formats: self.formats.clone(),
            user,
            session_user,
            permitted: Permitted::default(),
            database: self.database.clone(),
            backend: self.backend.clone(),
            config: self.engine.config().clone(),
            random: self.random.clone(),
            listing: self.listing.clone(),
            directory: self.engine.directory_cell().clone(),
            branch: self.branch,
            sequences: self.sequences.clone(),
            changed_settings: parking_lot::Mutex::default(),
        }
    }

    /// Lends the transaction to an execution.
    pub(crate) fn lend(
        &mut self,
        environment: Arc<Environment>,
        parameters: Arc<[Datum]>,
    ) -> Result<Execution> {
        let active = self.active.as_mut().ok_or_else(lost)?;
        let transaction = active.transaction.take().ok_or_else(lost)?;
        Ok(Execution {
            transaction,
            environment,
            timestamps: active.timestamps,
            parameters,
            outer: Vec::new(),
            working_tables: HashMap::new(),
            writers: HashMap::new(),
            cancel: self.cancel.clone(),
            conflict: false,
            has_several_changes: false,
            stale: false,
            instruments: None,
            buffers: self.buffers.take().unwrap_or_default(),
            turn: Turn::default(),
            pending: std::mem::take(&mut active.pending),
            deferral: active.deferral.clone(),
            memory: None,
            team: None,
            is_helper: false,
            wanted: None,
        })
    }

    /// Takes the transaction back; tells whether a conflict was found.
    pub(crate) fn take_back(&mut self, execution: Execution) -> Result<bool> {
        if let Some(active) = &mut self.active {
            // The first large object makes the tables of all.
            if execution.transaction.changes_catalog() && !active.changed_catalog {
                active.changed_catalog = true;
                active.own_catalog = None;
            }
            active.transaction = Some(execution.transaction);
            active.pending = execution.pending;
        }
        self.buffers = Some(execution.buffers);
        self.take_changed_by_functions(&execution.environment)?;
        Ok(execution.conflict)
    }

    /// Takes over the settings that functions changed.
    pub(super) fn take_changed_by_functions(&mut self, environment: &Environment) -> Result<()> {
        let changed = std::mem::take(&mut *environment.changed_settings.lock());
        for (name, value, local) in changed {
            match is_role_setting(&name) {
                true => self.assign_role(&environment.catalog, &name, Some(&value), local)?,
                false => self.configure(&name, Some(&value), local)?,
            }
        }
        Ok(())
    }

    /// Whether a statement may be run again after a conflict: prepares for it.
    pub(super) async fn retry(&mut self, place: helios_mvcc::SavepointId, tries: &mut usize) -> Result<bool> {
        *tries += 1;
        if *tries > TRIES_MAX {
            return Ok(false);
        }
        let Some(active) = &mut self.active else { return Ok(false) };
        let (explicit, only) = (active.explicit, !active.changed_catalog);
        let Some(transaction) = &mut active.transaction else { return Ok(false) };
        transaction.rollback_to(place);
        match transaction.move_snapshot_forward().await {
            Ok(()) => Ok(true),
            Err(helios_mvcc::Error::WriteConflict) if !explicit && only && !transaction.has_writes() => {
                self.restart_transaction();
                Ok(true)
            }
            Err(helios_mvcc::Error::WriteConflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a query whose rows are asked for later; gives false for what is no plain query, or locks rows.
    pub(super) async fn open(&mut self, portal: &mut Portal) -> Result<bool> {
        if self.active.as_ref().is_some_and(|active| active.failed) {
            return Err(in_failed_transaction());
        }
        if !self.is_current(&portal.prepared) {
            portal.prepared = self.refreshed(&portal.prepared, &portal.parameters).await?;
        }
        let prepared = portal.prepared.clone();
        let Action::Query(plan) = &prepared.action else { return Ok(false) };
        if plan.row_lock().is_some() {
            return Ok(false);
        }
        self.permit(&prepared).await?;
        portal.state = self.running(plan).await?;
        portal.epoch = self.portal_epoch;
        Ok(true)
    }

    /// A query's operators, about to run.
    async fn running(&mut self, plan: &PlanNode) -> Result<State> {
        let environment = self.begin_statement().await?;
        if let Some(mode) = plan.row_lock() {
            self.refuse_read_only(&format!("SELECT {}", lock_words(mode)))?;
        }
        let active = self.active.as_ref().ok_or_else(lost)?;
        let timestamps = active.timestamps;
        let reads = active.transaction.as_ref().ok_or_else(lost)?.read_point();
        let operator = execute::build(plan);
        Ok(State::Running {
            operator,
            left: None,
            environment,
            reads,
            timestamps,
            outer: Vec::new(),
            working_tables: HashMap::new(),
            memory: None,
        })
    }

    async fn first_batch(&mut self, portal: &mut Portal) -> Result<()> {
        let mut tries = 0;
        loop {
            let active = self.active.as_mut().ok_or_else(lost)?;
            let place = active.transaction.as_mut().ok_or_else(lost)?.savepoint();
            let (error, conflict) = match self.pull(portal).await {
                Ok(None) => {
                    let batches = portal.trailer()?.into_iter().collect();
                    portal.state = State::Given { batches, tag: portal.tag(), environment: None };
                    return Ok(());
                }
                Ok(Some(batch)) if self.waits_for_rows(portal) => match self.gather_rows(portal, batch).await
                {
                    Ok(()) => return Ok(()),
                    Err(failed) => failed,
                },
                Ok(batch) => {
                    if let State::Running { left, .. } = &mut portal.state {
                        *left = batch;
                    }
                    return Ok(());
                }
                Err(failed) => failed,
            };
            if !conflict || !self.retry(place, &mut tries).await? {
                return Err(error);
            }
            if !self.is_current(&portal.prepared) {
                portal.prepared = self.refreshed(&portal.prepared, &portal.parameters).await?;
            }
            let prepared = portal.prepared.clone();
            let Some(plan) = prepared.rows_plan() else { return Err(error) };
            portal.state = self.running(plan).await?;
        }
    }

    /// Whether a query may find any row changed, and begin anew for that.
    fn waits_for_rows(&self, portal: &Portal) -> bool {
        let level = self.active.as_ref().map(|active| active.isolation);
        level == Some(Isolation::ReadCommitted)
            && portal.prepared.rows_plan().is_some_and(|plan| plan.row_lock().is_some())
    }

    /// Computes all rows behind the first batch: until one is given, the query can begin anew. With an error, whether it
    /// was a conflict.
    async fn gather_rows(
        &mut self,
        portal: &mut Portal,
        first: Batch,
    ) -> std::result::Result<(), (SqlError, bool)> {
        let plain = |error: SqlError| (error, false);
        let memory = Arc::new(QueryMemory::new(&self.settings));
        let mut rows = Box::new(RowStore::in_account(self.engine.store(), &memory));
        let mut next = Some(first);
        while let Some(batch) = next {
            rows.push(batch).await.map_err(plain)?;
            next = self.pull(portal).await?;
        }
        rows.finish().await.map_err(plain)?;
        if let State::Running { environment, timestamps, .. } = &portal.state {
            let (environment, timestamps) = (environment.clone(), *timestamps);
            portal.state = State::Gathered { rows, next_block: 0, left: None, environment, timestamps };
        }
        Ok(())
    }

    async fn next_batch(&mut self, portal: &mut Portal) -> Result<Option<Batch>> {
        if let State::Running { left, .. } | State::Gathered { left, .. } = &mut portal.state
            && let Some(batch) = left.take()
        {
            return Ok(Some(batch));
        }
        if let State::Gathered { rows, next_block, .. } = &mut portal.state {
            *next_block += 1;
            return rows.read(*next_block - 1).await;
        }
        self.pull(portal).await.map_err(|(error, _)| error)
    }

    /// The next batch from a query's operators; with an error, whether it was a conflict.
    async fn pull(&mut self, portal: &mut Portal) -> std::result::Result<Option<Batch>, (SqlError, bool)> {
        let plain = |error: SqlError| (error, false);
        let State::Running {
            operator, environment, reads, timestamps, outer, working_tables, memory, ..
        } = &mut portal.state
        else {
            return Ok(None);
        };
        let mut execution = self.lend(environment.clone(), portal.parameters.clone()).map_err(plain)?;
        execution.timestamps = *timestamps;
        execution.wanted = portal.wanted;
        execution.outer = std::mem::take(outer);
        execution.working_tables = std::mem::take(working_tables);
        execution.memory = memory.take();
        let later = execution.transaction.swap_read_point(*reads);
        let pulled = operator.next(&mut execution).await;
        execution.transaction.swap_read_point(later);
        *outer = std::mem::take(&mut execution.outer);
        *working_tables = std::mem::take(&mut execution.working_tables);
        *memory = execution.memory.take();
        let conflict = self.take_back(execution).map_err(plain)?;
        pulled.map_err(|error| (error, conflict))
    }
}

/// A row of a result as a batch.
fn single_row(columns: &[ResultColumn], row: Vec<Datum>, environment: &Environment) -> Result<Batch> {
    let mut made = Vec::with_capacity(row.len());
    for (value, column) in row.into_iter().zip(columns) {
        let mut builder = ColumnBuilder::new(environment.kind_of(column.data_type)?, 1);
        builder.push(value)?;
        made.push(builder.finish());
    }
    Ok(Batch::new(made, 1))
}

/// A tag whose count is that of the rows that the last execution gave, where it has one.
fn tag_of_rows(tag: &str, rows: u64) -> String {
    match tag.rsplit_once(' ') {
        Some((command, count)) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{command} {rows}")
        }
        _ => tag.to_string(),
    }
}

/// As many rows of a batch as are wanted; the rest waits.
fn limited(portal: &mut Portal, batch: Batch, rows_max: &mut Option<usize>) -> Batch {
    let batch = match rows_max {
        Some(most) if batch.row_count > *most => {
            let rest = batch.slice(*most..batch.row_count);
            match &mut portal.state {
                State::Running { left, .. } | State::Gathered { left, .. } => *left = Some(rest),
                State::Given { batches, .. } => batches.push_front(rest),
                _ => {}
            }
            batch.slice(0..*most)
        }
        _ => batch,
    };
    if let Some(most) = rows_max {
        *most -= batch.row_count;
    }
    portal.rows += batch.row_count as u64;
    batch
}
