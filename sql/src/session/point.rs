//! Statements for one row: tried at once, without operators, portals, and where it can be without a session's
//! transaction.
//!
//! [`Session::try_point`] is the seam: portals go through it (so the wire protocol does), and callers that want the
//! whole outcome at once ([`Session::run_point`]). It writes through the same writer as everything else. Whatever is
//! not at hand (a plan that is out of date, a page that is not in memory, a lock that somebody has, a row that was
//! changed since the snapshot) makes it step back: nothing was done then, and the statement takes the general way, which
//! waits, plans anew and tries again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_mvcc::{Scn, TableLockMode, Transaction};

use super::prepare::Action;
use super::transaction::lost;
use super::{Prepared, Session};
use crate::error::{Result, SqlError};
use crate::execute::{Committed, Environment, Timestamps};
use crate::expr::Expr;
use crate::functions::{EvalContext, Volatility};
use crate::plan::point::{PointLookup, PointQuery, PointSource};
use crate::plan::walk;
use crate::value::Datum;
use crate::write::{Attempt, Buffers, ReturningPlan, Stop, TableWriter, Writing};

/// What makes a prepared statement one for a single row.
pub(super) struct Point {
    /// The query, where it is one; what else is needed is in the action's plan.
    query: Option<PointQuery>,
    /// Nothing in it depends on the time or on the session: it may be run without asking for the one and without
    /// looking whether the other was changed.
    is_timeless: bool,
}

impl Point {
    /// What an action is, if it is for a single row.
    pub(super) fn of(action: &Action) -> Option<Point> {
        if returning_of(action).is_some_and(|returning| returning.above.is_some()) || waits(action) {
            return None;
        }
        let mut query = None;
        let is_timeless = match action {
            Action::Query(plan) => {
                let found = PointQuery::of(plan)?;
                let is_timeless = is_timeless(&found.outputs) && is_timeless_lookup(&found.lookup);
                query = Some(found);
                is_timeless
            }
            Action::Insert(plan) => {
                let row =
                    plan.single.as_ref().filter(|_| plan.conflict.is_none() && plan.writer.is_alone())?;
                is_timeless(row) && is_timeless_returning(action) && is_plain(&plan.writer)
            }
            Action::Update(plan) => {
                let source = plan.point.as_ref().filter(|_| plan.writer.is_alone())?;
                is_timeless_source(source) && is_timeless_returning(action) && is_plain(&plan.writer)
            }
            Action::Delete(plan) => {
                let source = plan.point.as_ref().filter(|_| plan.writer.is_alone())?;
                is_timeless_source(source) && is_timeless_returning(action)
            }
            _ => return None,
        };
        Some(Point { query, is_timeless })
    }

    /// Whether it reads, and nothing in it depends on a transaction.
    pub(super) fn is_timeless_query(&self) -> bool {
        self.query.is_some() && self.is_timeless
    }
}

fn is_plain(writer: &TableWriter) -> bool {
    is_timeless(writer.checks())
}

fn is_timeless_lookup(lookup: &PointLookup) -> bool {
    is_timeless(lookup.key.iter().map(|(_, expr)| expr)) && is_timeless(&lookup.filters)
}

fn is_timeless_source(source: &PointSource) -> bool {
    is_timeless_lookup(&source.lookup) && is_timeless(&source.columns)
}

/// Whether a change evaluates functions that its session has to wait for before it writes the row.
fn waits(action: &Action) -> bool {
    let waits =
        |expr: &Expr| matches!(expr, Expr::Call(call) if crate::functions::waits(&call.function.name));
    let any = |exprs: &[Expr]| exprs.iter().any(|expr| walk::any(expr, &mut |node| waits(node)));
    let point = match action {
        Action::Insert(plan) => return plan.single.as_ref().is_some_and(|row| any(row)),
        Action::Update(plan) => plan.point.as_ref(),
        Action::Delete(plan) => plan.point.as_ref(),
        _ => None,
    };
    point.is_some_and(|source| any(&source.lookup.filters) || any(&source.columns))
}

fn returning_of(action: &Action) -> Option<&ReturningPlan> {
    match action {
        Action::Insert(plan) => plan.returning.as_ref(),
        Action::Update(plan) => plan.returning.as_ref(),
        Action::Delete(plan) => plan.returning.as_ref(),
        _ => None,
    }
}

fn is_timeless_returning(action: &Action) -> bool {
    returning_of(action).is_none_or(|returning| is_timeless(&returning.exprs))
}

/// Whether expressions depend on nothing but rows and parameters; what is not known to is taken to depend on more.
fn is_timeless<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> bool {
    let depends = |expr: &Expr| match expr {
        Expr::Call(call) => call.function.volatility != Volatility::Immutable,
        Expr::Const { .. } | Expr::Column { .. } | Expr::Parameter { .. } => false,
        Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::IsNull { .. } | Expr::IsTruth { .. } => false,
        Expr::IsDistinct { .. } | Expr::Case { .. } | Expr::Coalesce { .. } | Expr::NullIf { .. } => false,
        _ => true,
    };
    !exprs.into_iter().any(|expr| walk::any(expr, &mut |node| depends(node)))
}

/// How a statement for one row ended.
pub(super) struct Done {
    pub rows: u64,
    /// What it was evaluated in.
    pub environment: Arc<Environment>,
    pub timestamps: Timestamps,
}

/// Whose transaction a statement runs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// The session's; one is begun where there is none.
    Session,
    /// Its own, unless one is running.
    Own,
}

impl Session {
    /// Runs a statement that finds or writes one row at most, and ends the implicit transaction; gives the number of
    /// rows, and in `row` what a query or RETURNING found. `None` for any other statement, or where it cannot be done
    /// at once: nothing was done then.
    ///
    /// # Errors
    /// All the errors of execution; the transaction has failed then.
    pub async fn run_point(
        &mut self,
        prepared: &Prepared,
        parameters: &[Datum],
        row: &mut Vec<Datum>,
    ) -> Result<Option<u64>> {
        let done = self.begin_point(prepared, parameters, row)?;
        if done.is_some() {
            self.finish_point().await?;
        }
        Ok(done)
    }

    /// The first part of [`Session::run_point`], which never waits. [`Session::finish_point`] is the second, where
    /// [`Session::has_to_finish`] says that there is one.
    ///
    /// # Errors
    /// As [`Session::run_point`].
    pub fn begin_point(
        &mut self,
        prepared: &Prepared,
        parameters: &[Datum],
        row: &mut Vec<Datum>,
    ) -> Result<Option<u64>> {
        Ok(self.try_point(prepared, parameters, row, Within::Own)?.map(|done| done.rows))
    }

    /// Whether a statement that [`Session::begin_point`] ran has to be committed yet, or a cancel that came too late for
    /// it to be forgotten.
    #[must_use]
    pub fn has_to_finish(&self) -> bool {
        self.own.is_some()
            || self.active.as_ref().is_some_and(|active| !active.explicit)
            || self.cancel.load(Ordering::Relaxed)
    }

    /// Commits what [`Session::begin_point`] ran.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn finish_point(&mut self) -> Result<()> {
        if let Some(transaction) = self.own.take() {
            if self.sequences.owes() {
                self.sequences.settle(self.engine.store()).await?;
            }
            transaction.commit().await?;
            self.backend.end_transaction(true);
        }
        if self.active.is_some() {
            self.sync().await?;
        }
        Ok(())
    }

    /// Commits what ran by itself, where that waits for nothing; else it is left to [`Session::finish_point`].
    fn commit_at_once(&mut self) {
        match self.own.take().map(Transaction::commit_at_once) {
            Some(Ok(_)) => self.backend.end_transaction(true),
            Some(Err(transaction)) => self.own = Some(transaction),
            None => {}
        }
    }

    /// Runs a statement for one row, if it is one and everything is at hand.
    ///
    /// # Errors
    /// All the errors of execution; the transaction has failed then.
    pub(super) fn try_point(
        &mut self,
        prepared: &Prepared,
        parameters: &[Datum],
        row: &mut Vec<Datum>,
        within: Within,
    ) -> Result<Option<Done>> {
        let Some(point) = &prepared.point else { return Ok(None) };
        #[cfg(test)]
        if self.never_at_once {
            return Ok(None);
        }
        let unusual = self.active.as_ref().is_some_and(|active| active.failed || active.changed_catalog)
            || prepared.parameter_types.len() != parameters.len()
            || self.cancel.load(Ordering::Relaxed)
            || !self.is_current(prepared)
            || !prepared.is_permitted();
        if unusual {
            return Ok(None);
        }
        row.clear();
        let mut buffers = self.buffers.take().unwrap_or_default();
        let tried = if within == Within::Own && self.active.is_none() {
            self.own = None;
            self.try_alone(prepared, point, parameters, row, &mut buffers)
        } else {
            self.try_within(prepared, point, parameters, row, &mut buffers)
        };
        self.buffers = Some(buffers);
        let tried = tried.and_then(|done| {
            if !point.is_timeless {
                self.take_changed_by_functions(&done.environment)?;
            }
            Ok(done)
        });
        match tried {
            Ok(done) => {
                #[cfg(test)]
                {
                    self.done_at_once += 1;
                }
                Ok(Some(done))
            }
            Err(Stop::Failed(error)) => {
                self.fail();
                Err(self.conceal(error))
            }
            Err(_) => Ok(None),
        }
    }

    /// The environment of the last statement, if it serves a snapshot too.
    fn known_environment(&self, snapshot: Scn) -> Attempt<&Arc<Environment>> {
        let newest = self.catalog_scn.get();
        match &self.environment {
            Some(last)
                if last.catalog_scn == newest.0
                    && newest <= snapshot
                    && Arc::ptr_eq(&last.known.settings, &self.settings) =>
            {
                Ok(&last.known)
            }
            _ => Err(Stop::Conflict),
        }
    }

    /// Runs a statement in a transaction of its own, or, where it only reads, without one.
    fn try_alone(
        &mut self,
        prepared: &Prepared,
        point: &Point,
        parameters: &[Datum],
        row: &mut Vec<Datum>,
        buffers: &mut Buffers,
    ) -> Attempt<Done> {
        let store = self.engine.store();
        let now = if point.is_timeless { 0 } else { self.now() };
        let timestamps = Timestamps { transaction: now, statement: now };
        if let Some(query) = &point.query {
            let scn = store.visible_scn();
            let environment = self.known_environment(scn)?;
            let context = EvalContext { parameters, ..environment.context(timestamps, &self.cancel) };
            let mut rows = Committed { store, branch: self.branch, scn };
            let found = query.try_run(&mut rows, &context, &mut buffers.key, row)?;
            let environment = environment.clone();
            return Ok(Done { rows: u64::from(found), environment, timestamps });
        }
        if self.frequent.read_only {
            return Err(Stop::Conflict);
        }
        self.sequences.set_read_only(false, None);
        let mut transaction = self.backend.begin_transaction(store, self.branch, self.frequent.isolation);
        transaction.begin_statement();
        let environment = self.known_environment(transaction.snapshot().scn)?.clone();
        let context = EvalContext { parameters, ..environment.context(timestamps, &self.cancel) };
        let mut writing = Writing { transaction: &mut transaction, context, buffers };
        let rows = self.try_change(&prepared.action, &mut writing, row)?;
        self.own = Some(transaction);
        if point.is_timeless && !self.sequences.owes() {
            self.commit_at_once();
        }
        Ok(Done { rows, environment, timestamps })
    }

    /// Runs a statement in the session's transaction.
    fn try_within(
        &mut self,
        prepared: &Prepared,
        point: &Point,
        parameters: &[Datum],
        row: &mut Vec<Datum>,
        buffers: &mut Buffers,
    ) -> Attempt<Done> {
        // Nothing in a timeless statement asks for the time.
        let active = match &mut self.active {
            Some(active) if point.is_timeless => active,
            _ => self.begin_in_transaction(),
        };
        active.used = true;
        let is_shut = active.read_only && point.query.is_none();
        let timestamps = active.timestamps;
        let mut transaction = active.transaction.take().ok_or_else(lost)?;
        transaction.begin_statement();
        let start = transaction.savepoint();
        let tried = self.known_environment(transaction.snapshot().scn).and_then(|environment| {
            // Refusing and making room for more writes are for the general way.
            if is_shut || transaction.needs_room() {
                return Err(Stop::Conflict);
            }
            let context = EvalContext { parameters, ..environment.context(timestamps, &self.cancel) };
            let rows = match &point.query {
                Some(query) => {
                    u64::from(query.try_run(&mut *transaction, &context, &mut buffers.key, row)?)
                }
                None => {
                    let mut writing = Writing { transaction: &mut transaction, context, buffers };
                    self.try_change(&prepared.action, &mut writing, row)?
                }
            };
            Ok(Done { rows, environment: environment.clone(), timestamps })
        });
        if tried.is_err() {
            transaction.begin_again(start);
        }
        if let Some(active) = &mut self.active {
            active.transaction = Some(transaction);
        }
        tried
    }

    /// Writes the row of an INSERT, UPDATE or DELETE.
    fn try_change(
        &self,
        action: &Action,
        writing: &mut Writing<'_>,
        returned: &mut Vec<Datum>,
    ) -> Attempt<u64> {
        let (writer, point) = match action {
            Action::Insert(plan) => (&plan.writer, None),
            Action::Update(plan) => (&plan.writer, plan.point.as_ref()),
            Action::Delete(plan) => (&plan.writer, plan.point.as_ref()),
            _ => return Err(SqlError::internal("this action changes no row").into()),
        };
        let planned = self.catalog_scn.get();
        let object = u64::from(writer.entry.table.oid);
        // Under the lock no DDL changes the table; one that was committed meanwhile leaves the plan out of date.
        if !writing.transaction.try_lock_table(object, TableLockMode::RowExclusive)
            || self.catalog_scn.get() != planned
        {
            return Err(Stop::Conflict);
        }
        match (action, point) {
            (Action::Insert(plan), _) => {
                plan.try_run(plan.single.as_deref().unwrap_or_default(), writing, returned)
            }
            (Action::Update(plan), Some(point)) => plan.try_run(point, writing, returned),
            (Action::Delete(plan), Some(point)) => plan.try_run(point, writing, returned),
            _ => Err(SqlError::internal("this change finds more than one row").into()),
        }
    }
}
