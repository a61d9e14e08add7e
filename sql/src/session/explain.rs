//! Running EXPLAIN.

use std::sync::Arc;

use sqlparser::ast;

use super::portal::Given;
use super::prepare::Action;
use super::{Prepared, Session};
use crate::binder::{Binder, ResultColumn};
use crate::error::{Result, SqlError};
use crate::execute::{self, Instrument};
use crate::parser::{Definition, Explain, StatementKind, Utility};
use crate::plan::explain::{self, Change, Explained, Format, Options};
use crate::plan::physical::PlanNode;
use crate::types::DataType;
use crate::value::Datum;
use crate::write::{InsertPlan, TableWriter};

/// A statement to be explained.
pub struct ExplainPlan {
    pub action: Action,
    pub options: Options,
    planning_nanos: u64,
    /// What ANALYZE does beside running the plan: making the table that the rows are for.
    creation: Option<StatementKind>,
}

/// The settings that EXPLAIN (SETTINGS) shows where they are not what they are by default.
const PLANNER_SETTINGS: [&str; 26] = [
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "effective_cache_size",
    "enable_bitmapscan",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_seqscan",
    "enable_sort",
    "from_collapse_limit",
    "geqo",
    "hash_mem_multiplier",
    "jit",
    "join_collapse_limit",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "random_page_cost",
    "search_path",
    "seq_page_cost",
    "temp_buffers",
    "work_mem",
];

impl Session {
    /// Plans EXPLAIN.
    ///
    /// # Errors
    /// Those of the options and of planning the statement.
    pub(super) fn plan_explain(
        &self,
        binder: &mut Binder<'_>,
        explain: Explain,
    ) -> Result<(Action, Option<Vec<ResultColumn>>)> {
        let options = Options::of(&explain.options)?;
        let start = self.engine.clock().monotonic_nanos();
        let (statement, creation) = planned_part(explain.statement)?;
        let (action, _) = self.plan_statement(binder, statement)?;
        let planning_nanos = self.engine.clock().monotonic_nanos() - start;
        let data_type = if options.format == Format::Json { DataType::JSON } else { DataType::TEXT };
        let column = ResultColumn { name: "QUERY PLAN".into(), data_type, source: None };
        let plan = ExplainPlan { action, options, planning_nanos, creation };
        Ok((Action::Explain(Box::new(plan)), Some(vec![column])))
    }

    pub(super) async fn explain(
        &mut self,
        plan: &ExplainPlan,
        parameters: Arc<[Datum]>,
        text: &str,
    ) -> Result<Given> {
        let Action::Execute { name, arguments } = &plan.action else {
            let given = self.explain_action(&plan.action, plan, parameters).await?;
            if let Some(creation) = plan.creation.as_ref().filter(|_| plan.options.analyze) {
                let action = match creation.clone() {
                    StatementKind::Sql(statement) => Action::Statement(statement),
                    StatementKind::Utility(utility) => Action::Utility(utility),
                };
                Box::pin(self.run_without_plan(&action, text)).await?;
            }
            return Ok(given);
        };
        let prepared: Arc<Prepared> = self.prepared_named(name)?;
        let values: Arc<[Datum]> = self.evaluate_arguments(arguments, parameters).await?.into();
        let prepared = Box::pin(self.refreshed(&prepared, &values)).await?;
        match plan.options.analyze {
            true => self.permit(&prepared).await?,
            false => self.permit_shown(&prepared).await?,
        }
        self.explain_action(&prepared.action, plan, values).await
    }

    async fn explain_action(
        &mut self,
        action: &Action,
        plan: &ExplainPlan,
        parameters: Arc<[Datum]>,
    ) -> Result<Given> {
        let clock = self.engine.clock().clone();
        let start = clock.monotonic_nanos();
        let (mut instruments, mut returned) = (None, 0);
        if plan.options.analyze {
            instruments = match action {
                Action::Query(plan) => Some(self.measure(plan, parameters).await?),
                _ => match self.change(action, parameters, true).await? {
                    Some((changed, instruments)) => {
                        returned = changed.returned.iter().map(|batch| batch.row_count as u64).sum();
                        instruments
                    }
                    None => return Err(SqlError::unsupported("the table was changed: run EXPLAIN again")),
                },
            };
        }
        let execution_nanos = clock.monotonic_nanos() - start;
        let environment = self.begin_statement().await?;
        let (source, mut change) = shown_plan(action)?;
        if let Some(change) = &mut change {
            change.returned = returned;
        }
        let settings = environment.settings.clone();
        let differs = |name: &&str| settings.get(name).is_ok_and(|value| value != default_of(name));
        let shown = PLANNER_SETTINGS.iter().filter(|_| plan.options.settings).filter(|name| differs(name));
        let explained = Explained {
            plan: source,
            change,
            costs: self.frequent.costs,
            catalog: &environment.catalog,
            instruments: instruments.as_deref(),
            settings: shown
                .map(|name| ((*name).to_string(), settings.get(name).unwrap_or_default()))
                .collect(),
            planning_nanos: plan.planning_nanos,
            execution_nanos,
        };
        let rows = explain::rows(&explained, &plan.options, &*environment);
        Ok(Given { batches: super::execution::text_batches(&rows)?, tag: "EXPLAIN".into() })
    }

    /// Runs a query for its measurements alone.
    async fn measure(&mut self, plan: &PlanNode, parameters: Arc<[Datum]>) -> Result<Vec<Instrument>> {
        let environment = self.begin_statement().await?;
        let mut execution = self.lend(environment, parameters)?;
        execution.instruments = Some(Vec::new());
        let mut operator = execute::build(plan);
        let mut drained = Ok(());
        while drained.is_ok() {
            match operator.next(&mut execution).await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => drained = Err(error),
            }
        }
        let instruments = execution.instruments.take().unwrap_or_default();
        self.take_back(execution)?;
        drained?;
        Ok(instruments)
    }
}

/// The part of a statement that has a plan, and the statement itself where it does more.
fn planned_part(statement: StatementKind) -> Result<(StatementKind, Option<StatementKind>)> {
    let query = |query: Box<ast::Query>| StatementKind::Sql(Box::new(ast::Statement::Query(query)));
    let source = match &statement {
        StatementKind::Sql(inner) => match inner.as_ref() {
            ast::Statement::CreateTable(create) => create.query.clone(),
            _ => None,
        },
        StatementKind::Utility(Utility::Declare(declare)) => {
            let parsed = crate::parser::parse(&declare.text)?.pop();
            let parsed = parsed.ok_or_else(|| SqlError::internal("a cursor has a query"))?;
            return Ok((parsed.kind, None));
        }
        StatementKind::Utility(Utility::Define(definition)) => match definition.as_ref() {
            Definition::CreateAs { create, .. } => create.query.clone(),
            Definition::CreateMaterialized(create) => Some(create.query.clone()),
            _ => None,
        },
        StatementKind::Utility(_) => None,
    };
    Ok(match source {
        Some(source) => (query(source), Some(statement)),
        None => (statement, None),
    })
}

fn default_of(name: &str) -> &'static str {
    super::find_setting(name).map_or("", |setting| setting.default.as_str())
}

/// The plan of an action, and the change that its rows are for.
fn shown_plan(action: &Action) -> Result<(&PlanNode, Option<Change>)> {
    let of = |operation, writer: &TableWriter| Change {
        operation,
        schema: writer.schema_name.clone(),
        table: writer.entry.table.name.clone(),
        conflict: None,
        returned: 0,
    };
    Ok(match action {
        Action::Query(plan) => (plan, None),
        Action::Insert(plan) => {
            (&plan.source, Some(Change { conflict: conflict_of(plan), ..of("Insert", &plan.writer) }))
        }
        Action::Update(plan) => (&plan.source, Some(of("Update", &plan.writer))),
        Action::Delete(plan) => (&plan.source, Some(of("Delete", &plan.writer))),
        Action::Merge(plan) => (&plan.source, Some(of("Merge", &plan.writer))),
        Action::With { action, .. } => return shown_plan(action),
        _ => return Err(SqlError::internal("this action has no plan")),
    })
}

fn conflict_of(plan: &InsertPlan) -> Option<(&'static str, Vec<String>)> {
    let conflict = plan.conflict.as_ref()?;
    let resolution = if conflict.update.is_some() { "UPDATE" } else { "NOTHING" };
    let indexes = plan.writer.entry.indexes.iter().filter(|index| conflict.arbiters.contains(&index.oid));
    Some((resolution, indexes.map(|index| index.name.clone()).collect()))
}
