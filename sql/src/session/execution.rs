//! Running what is no plain query: changes, EXPLAIN, EXECUTE, COPY TO, and statements without a plan.

use std::sync::Arc;

use super::past::read_only;
use super::portal::Given;
use super::prepare::Action;
use super::transaction::lost;
use super::{Portal, Prepared, Session, Step};
use crate::error::{Result, SqlError};
use crate::execute::{self, Execution, Instrument, RowStore};
use crate::types::DataType;
use crate::value::{Batch, ColumnBuilder, Datum, PhysicalKind};
use crate::write::{self, Changed};

impl Session {
    /// Runs a statement to its end.
    pub(super) async fn run(&mut self, prepared: &Arc<Prepared>, parameters: Arc<[Datum]>) -> Result<Given> {
        match &prepared.action {
            Action::Empty | Action::Query(_) | Action::Copy(_) => {
                Err(SqlError::internal("a query runs through its operators"))
            }
            Action::Insert(_)
            | Action::Update(_)
            | Action::Delete(_)
            | Action::Merge(_)
            | Action::With { .. } => {
                let changed = self.change_prepared(prepared, parameters).await?;
                Ok(Given { tag: tag_of(&prepared.action, changed.rows), batches: changed.returned })
            }
            Action::Explain(plan) => Box::pin(self.explain(plan, parameters, &prepared.text)).await,
            Action::Execute { name, arguments } => self.execute_named(name, arguments, parameters).await,
            action @ (Action::Statement(_) | Action::Utility(_)) => {
                self.run_without_plan(action, &prepared.text).await
            }
        }
    }

    /// Runs a statement that has no plan.
    pub(super) async fn run_without_plan(&mut self, action: &Action, text: &str) -> Result<Given> {
        match action {
            Action::Statement(statement) => self.run_statement(statement, text).await,
            Action::Utility(utility) => self.run_utility(utility, text).await,
            _ => Err(SqlError::internal("this statement has a plan")),
        }
    }

    /// Runs INSERT, UPDATE or DELETE; again after a conflict, and planned anew if the table was changed meanwhile.
    pub(super) async fn change_prepared(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: Arc<[Datum]>,
    ) -> Result<Changed> {
        let mut prepared = prepared.clone();
        loop {
            self.permit(&prepared).await?;
            match self.change(prepared.change(), parameters.clone(), false).await? {
                Some((changed, _)) => return Ok(changed),
                None => prepared = self.refreshed(&prepared, &parameters).await?,
            }
        }
    }

    /// Runs INSERT, UPDATE or DELETE; again after a conflict. `None`: the plan is stale, and nothing was done.
    pub(super) async fn change(
        &mut self,
        action: &Action,
        parameters: Arc<[Datum]>,
        measured: bool,
    ) -> Result<Option<(Changed, Option<Vec<Instrument>>)>> {
        let mut tries = 0;
        loop {
            let environment = self.begin_statement().await?;
            match is_private(action) {
                true => self.refuse_past(verb_of(action))?,
                false => self.refuse_read_only(verb_of(action))?,
            }
            let active = self.active.as_mut().ok_or_else(lost)?;
            let place = active.transaction.as_mut().ok_or_else(lost)?.savepoint();
            let mut execution = self.lend(environment, parameters.clone())?;
            execution.instruments = measured.then(Vec::new);
            let mut changed = run_change(action, &mut execution).await;
            if changed.is_ok()
                && let Err(error) = write::check_pending(&mut execution, write::Due::Statement).await
            {
                changed = Err(error);
            }
            let instruments = execution.instruments.take();
            let stale = execution.stale;
            let conflict = self.take_back(execution)?;
            match changed {
                Ok(changed) => return Ok(Some((changed, instruments))),
                Err(error) => {
                    if !conflict || !self.retry(place, &mut tries).await? {
                        return Err(error);
                    }
                    if stale {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// 25006.
    pub(crate) fn refuse_read_only(&self, command: &str) -> Result<()> {
        let as_of = self.as_of();
        if as_of.is_some() || self.active.as_ref().is_some_and(|active| active.read_only) {
            return Err(read_only(command, as_of));
        }
        Ok(())
    }

    /// 25006 for what a read-only transaction may do, but not a session that reads the past.
    pub(super) fn refuse_past(&self, command: &str) -> Result<()> {
        match self.as_of() {
            Some(scn) => Err(read_only(command, Some(scn))),
            None => Ok(()),
        }
    }

    async fn execute_named(
        &mut self,
        name: &str,
        arguments: &[crate::expr::Expr],
        parameters: Arc<[Datum]>,
    ) -> Result<Given> {
        let prepared = self.prepared_named(name)?;
        let values = self.evaluate_arguments(arguments, parameters).await?;
        let mut portal = self.bind(prepared, values)?;
        let mut batches = Vec::new();
        let mut rows_max = None;
        loop {
            match Box::pin(self.step(&mut portal, &mut rows_max)).await? {
                Step::Rows(batch) => batches.push(batch),
                Step::Complete(tag) => return Ok(Given { batches, tag }),
                Step::Empty => return Ok(Given { batches, tag: String::new() }),
                Step::Suspended | Step::CopyIn => {
                    return Err(SqlError::unsupported("this statement cannot be run by EXECUTE"));
                }
            }
        }
    }

    /// The values of EXECUTE's arguments.
    pub(super) async fn evaluate_arguments(
        &mut self,
        arguments: &[crate::expr::Expr],
        parameters: Arc<[Datum]>,
    ) -> Result<Vec<Datum>> {
        if arguments.is_empty() {
            return Ok(Vec::new());
        }
        let environment = self.begin_statement().await?;
        let execution = self.lend(environment, parameters)?;
        let no_row: [Datum; 0] = [];
        let evaluated: Result<Vec<Datum>> =
            arguments.iter().map(|each| each.eval_row(&no_row.as_slice(), &execution.context())).collect();
        self.take_back(execution)?;
        evaluated
    }

    /// Runs a text of one or several statements to its end, all in one implicit transaction; gives the tag of
    /// each.
    ///
    /// # Errors
    /// The first error; what was done is undone, but for what explicit COMMITs ended.
    pub async fn run_script(&mut self, text: &str) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        if let Some(portal) = self.known_portal(text)? {
            tags.extend(self.run_to_tag(portal).await?);
        } else {
            let statements = self.parse(text)?;
            let is_alone = statements.len() == 1;
            for statement in statements {
                let prepared = Arc::new(self.prepare_statement(text, statement, Vec::new()).await?);
                if is_alone {
                    self.keep_plan_of_form(text, &prepared).await;
                }
                let portal = self.bind_text(prepared, Vec::new(), text)?;
                tags.extend(self.run_to_tag(portal).await?);
            }
        }
        self.sync().await?;
        Ok(tags)
    }

    /// Runs a statement to its end, and gives its tag, if it has one.
    async fn run_to_tag(&mut self, mut portal: Portal) -> Result<Option<String>> {
        let mut rows_max = None;
        loop {
            match self.step(&mut portal, &mut rows_max).await? {
                Step::Rows(_) => {}
                Step::Complete(tag) => return Ok(Some(tag)),
                Step::Empty | Step::Suspended => return Ok(None),
                Step::CopyIn => {
                    return Err(SqlError::unsupported("COPY FROM STDIN needs a client that sends data"));
                }
            }
        }
    }
}

async fn run_change(action: &Action, execution: &mut Execution) -> Result<Changed> {
    match action {
        Action::Insert(plan) => write::run_insert(plan, execution).await,
        Action::Update(plan) => write::run_update(plan, execution).await,
        Action::Delete(plan) => write::run_delete(plan, execution).await,
        Action::Merge(plan) => write::run_merge(plan, execution).await,
        Action::With { changes, action } => {
            execution.has_several_changes = true;
            for (table, change) in changes {
                let changed = Box::pin(run_change(change, execution)).await?;
                let rows = Arc::new(RowStore::of(changed.returned, execution));
                execution.working_tables.insert(*table, rows);
            }
            Box::pin(run_change(action, execution)).await
        }
        Action::Query(plan) => {
            let mut operator = execute::build(plan);
            let returned = execute::drain(&mut *operator, execution).await?;
            let rows = returned.iter().map(|batch| batch.row_count as u64).sum();
            Ok(Changed { rows, returned })
        }
        _ => Err(SqlError::internal("this action changes no rows")),
    }
}

/// Whether a statement changes nothing but the session's own temporary tables, which a read-only transaction may do. What
/// is emptied at its end is changed by that end, which it may not.
fn is_private(action: &Action) -> bool {
    match action {
        Action::Insert(plan) => plan.writer.is_private(),
        Action::Update(plan) => plan.writer.is_private(),
        Action::Delete(plan) => plan.writer.is_private(),
        Action::Merge(plan) => plan.writer.is_private(),
        Action::With { changes, action } => {
            changes.iter().all(|(_, change)| is_private(change)) && is_private(action)
        }
        Action::Query(_) => true,
        _ => false,
    }
}

/// What a statement that changes rows begins with.
fn verb_of(action: &Action) -> &'static str {
    match action {
        Action::Insert(_) => "INSERT",
        Action::Update(_) => "UPDATE",
        Action::Merge(_) => "MERGE",
        Action::With { changes, .. } => changes.first().map_or("SELECT", |(_, change)| verb_of(change)),
        _ => "DELETE",
    }
}

pub(super) fn tag_of(action: &Action, rows: u64) -> String {
    match action {
        Action::With { action, .. } => tag_of(action, rows),
        Action::Merge(_) => format!("MERGE {rows}"),
        Action::Query(_) => format!("SELECT {rows}"),
        Action::Insert(_) => format!("INSERT 0 {rows}"),
        Action::Update(_) => format!("UPDATE {rows}"),
        _ => format!("DELETE {rows}"),
    }
}

/// Lines as a result of one text column.
pub(super) fn text_batches(lines: &[String]) -> Result<Vec<Batch>> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let mut builder = ColumnBuilder::new(PhysicalKind::Text, lines.len());
    for line in lines {
        builder.push(Datum::text(line))?;
    }
    Ok(vec![Batch::new(vec![builder.finish()], lines.len())])
}

/// A column of text in a result.
pub(super) fn text_column(name: &str) -> crate::binder::ResultColumn {
    crate::binder::ResultColumn { name: name.to_string(), data_type: DataType::TEXT, source: None }
}
