//! Preparing: from a statement's text to a plan that may be run many times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use helios_mvcc::{BranchId, Scn};
use sqlparser::ast;

use super::explain::ExplainPlan;
use super::point::Point;
use super::{ListedStatement, Session};
use crate::binder::{
    BindEnvironment, Binder, BoundChange, BoundConflict, BoundDelete, BoundInsert, BoundMerge,
    BoundReturning, BoundUpdate, InsertValue, KnownMoment, MergeAction, MergeWhen, Moments, OverRows,
    ResultColumn, RowsQuery,
};
use crate::catalog::{CatalogSnapshot, PG_CATALOG, Rights, Table, TypeScope};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{self, CreateExecute, Statement, StatementKind, Utility};
use crate::plan::logical::ColumnId;
use crate::plan::physical::PlanNode;
use crate::plan::point::{self, PointSource};
use crate::plan::{self, walk};
use crate::rights::{RelationUse, Who, check_populated, check_uses};
use crate::types::{BuiltinTypes, DataType, TypeCatalog, format_type, is_registered_type, is_user_type};
use crate::value::{Datum, PhysicalKind, Text};
use crate::watch;
use crate::write::{
    ConflictPlan, ConflictUpdate, DeletePlan, InsertPlan, MergeClause, MergePlan, MergeStep, NewValue,
    ReturningPlan, RowsPlan, TableWriter, UpdatePlan,
};

/// Which way a COPY goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    In,
    Out,
}

/// What a statement became.
pub enum Action {
    /// Nothing but blanks.
    Empty,
    Query(PlanNode),
    Insert(InsertPlan),
    Update(UpdatePlan),
    Delete(DeletePlan),
    Merge(MergePlan),
    /// Changes in WITH, with the numbers of the tables for what they return, and the statement itself.
    With {
        changes: Vec<(usize, Action)>,
        action: Box<Action>,
    },
    Explain(Box<ExplainPlan>),
    Copy(Box<crate::copy::CopyPlan>),
    /// EXECUTE: the prepared statement's name and its arguments.
    Execute {
        name: String,
        arguments: Vec<Expr>,
    },
    Statement(Box<ast::Statement>),
    Utility(Utility),
}

/// A prepared statement.
pub struct Prepared {
    pub text: String,
    pub parameter_types: Vec<DataType>,
    /// 42P02 for its first parameter: what is wrong with it where there may be none.
    pub undefined_parameter: Option<SqlError>,
    /// The columns of the result; `None` for a statement without one.
    pub columns: Option<Vec<ResultColumn>>,
    /// The same columns, for rows to share.
    pub row_columns: Arc<[ResultColumn]>,
    pub action: Action,
    /// Where it is for a single row: how.
    pub(super) point: Option<Point>,
    /// The types that the client declared, to prepare it again.
    pub(super) declared: Vec<DataType>,
    branch: BranchId,
    /// The moment that it reads; `None` for now.
    as_of: Option<Scn>,
    /// What it depends on: it is prepared again when this changes.
    catalog_scn: u64,
    statistics_version: u64,
    search_path: Text,
    /// Who it was planned for.
    user: (Text, u32),
    /// What it needs of relations, and whether that was found to be there.
    uses: Vec<RelationUse>,
    permitted: AtomicBool,
    /// Made within a transaction that changed the catalog or sees an old one: good for that one alone.
    pub(super) transient: bool,
    /// What AS OF meant when it was planned; it may mean another moment when it runs.
    moments: Vec<KnownMoment>,
    has_catalog_types: bool,
    parameter_kinds: Box<[Option<PhysicalKind>]>,
}

pub(super) fn is_catalog_type(data_type: DataType) -> bool {
    is_user_type(data_type.oid) || is_registered_type(data_type.oid)
}

fn have_catalog_types(parameters: &[DataType], columns: Option<&[ResultColumn]>) -> bool {
    let columns = columns.iter().flat_map(|columns| columns.iter()).map(|column| column.data_type);
    parameters.iter().copied().chain(columns).any(is_catalog_type)
}

/// Whether results have columns of the same names and types; whose columns they are may change, as where a table is
/// dropped and made again.
pub(super) fn have_same_shape(one: Option<&[ResultColumn]>, other: Option<&[ResultColumn]>) -> bool {
    let is_same = |(one, other): (&ResultColumn, &ResultColumn)| {
        one.name == other.name && one.data_type == other.data_type
    };
    match (one, other) {
        (Some(one), Some(other)) => one.len() == other.len() && one.iter().zip(other).all(is_same),
        _ => one.is_none() && other.is_none(),
    }
}

impl Prepared {
    /// Whether it is the same statement with a new plan, for all that clients were told of it.
    pub(super) fn can_replace(&self, old: &Prepared) -> bool {
        !self.transient && self.parameter_types == old.parameter_types
    }

    /// Whether all that it needs was found to be permitted.
    #[inline]
    pub(super) fn is_permitted(&self) -> bool {
        self.permitted.load(Ordering::Relaxed)
    }

    /// Asks for what it needs, and whether that may be read already, unless it is only explained.
    ///
    /// # Errors
    /// 42501, 55000.
    pub(super) fn permit(&self, catalog: &CatalogSnapshot, who: Who) -> Result<()> {
        self.permit_shown(catalog, who)?;
        if !self.is_explained_only() {
            check_populated(&self.uses)?;
        }
        self.permitted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Asks for what it needs to be explained.
    ///
    /// # Errors
    /// 42501.
    pub(super) fn permit_shown(&self, catalog: &CatalogSnapshot, who: Who) -> Result<()> {
        check_uses(catalog, who, &self.uses)
    }

    /// Whether it shows a plan without running it.
    fn is_explained_only(&self) -> bool {
        matches!(&self.action, Action::Explain(explain) if !explain.options.analyze)
    }

    /// Whether a parameter or a column is of a type whose values are names in the catalog: users' types, and `regclass`
    /// and its kin.
    #[must_use]
    #[inline]
    pub fn has_catalog_types(&self) -> bool {
        self.has_catalog_types
    }

    /// How values of each parameter are held; `None` for types whose values take more than that to be told apart.
    #[must_use]
    #[inline]
    pub fn parameter_kinds(&self) -> &[Option<PhysicalKind>] {
        &self.parameter_kinds
    }

    /// Whether it only reads.
    #[must_use]
    pub fn is_query(&self) -> bool {
        matches!(self.action, Action::Query(_))
    }

    /// Whether it runs in a failed transaction too: COMMIT and ROLLBACK.
    #[must_use]
    pub fn ends_transaction(&self) -> bool {
        match &self.action {
            Action::Statement(statement) => {
                matches!(statement.as_ref(), ast::Statement::Commit { .. } | ast::Statement::Rollback { .. })
            }
            Action::Utility(Utility::PrepareTransaction) => true,
            _ => false,
        }
    }
}

impl Session {
    /// Parses a text into its statements.
    ///
    /// # Errors
    /// 42601 and its like.
    pub fn parse(&mut self, text: &str) -> Result<Vec<Statement>> {
        if text.contains('\0') {
            return Err(SqlError::new(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\": 0x00",
            ));
        }
        let rules = self.frequent.strings;
        let (statements, warnings) = {
            let _watched = watch::watch(&self.cancel, &self.preparing);
            with_deep_stack(text, || parser::parse_under(text, rules))?
        };
        for error in warnings {
            let severity = if error.state() == SqlState::NAME_TOO_LONG { "NOTICE" } else { "WARNING" };
            self.notify(super::Notice { severity, error });
        }
        Ok(statements)
    }

    /// The plan of a text that was prepared before with the same declared types, if it still holds.
    #[inline]
    pub fn known_plan(&mut self, text: &str, declared: &[DataType]) -> Option<Arc<Prepared>> {
        // Within a failed transaction preparing says so.
        if self.active.as_ref().is_some_and(|active| active.failed) {
            return None;
        }
        let known = self.plans.get(text, declared)?.clone();
        self.is_current(&known).then_some(known)
    }

    /// Keeps the plan of a text of one statement for when the text comes again.
    pub fn keep_plan(&mut self, text: &str, prepared: &Arc<Prepared>) {
        // EXECUTE means what has the name then.
        let is_lasting = !matches!(prepared.action, Action::Execute { .. } | Action::Explain(_))
            && !self.frequent.strings.escapes;
        if is_lasting && !prepared.transient && prepared.moments.is_empty() {
            self.plans.insert(text, prepared.clone());
        }
    }

    /// Prepares a text of one statement, with the parameter types that are declared (OID 0: to be inferred).
    ///
    /// # Errors
    /// All the errors of parsing and binding; 42601 for several statements.
    pub async fn prepare(&mut self, text: &str, declared: Vec<DataType>) -> Result<Arc<Prepared>> {
        self.prepare_with(text, declared, &Arc::default()).await
    }

    async fn prepare_with(
        &mut self,
        text: &str,
        declared: Vec<DataType>,
        parameters: &Arc<[Datum]>,
    ) -> Result<Arc<Prepared>> {
        if let Some(known) = self.known_plan(text, &declared) {
            return Ok(known);
        }
        let mut statements = self.parse(text)?;
        if statements.len() > 1 {
            return Err(SqlError::syntax("cannot insert multiple commands into a prepared statement"));
        }
        let Some(statement) = statements.pop() else { return Ok(Arc::new(self.empty(text))) };
        let prepared = Arc::new(self.prepare_parsed(text, statement, declared, parameters).await?);
        self.keep_plan(text, &prepared);
        Ok(prepared)
    }

    fn empty(&self, text: &str) -> Prepared {
        Prepared {
            text: text.to_string(),
            parameter_types: Vec::new(),
            undefined_parameter: None,
            columns: None,
            row_columns: Arc::new([]),
            action: Action::Empty,
            point: None,
            declared: Vec::new(),
            branch: self.branch,
            as_of: None,
            catalog_scn: 0,
            statistics_version: 0,
            search_path: Text::default(),
            user: (Text::default(), 0),
            has_catalog_types: false,
            parameter_kinds: Box::default(),
            uses: Vec::new(),
            permitted: AtomicBool::new(true),
            transient: false,
            moments: Vec::new(),
        }
    }

    /// Whether a prepared statement's plan still holds, whatever may have happened since.
    pub(super) fn is_current(&self, prepared: &Prepared) -> bool {
        prepared.moments.is_empty() && self.is_current_then(prepared)
    }

    /// Whether its plan still holds, if its moments are the same.
    fn is_current_then(&self, prepared: &Prepared) -> bool {
        let needs_plan =
            !matches!(prepared.action, Action::Empty | Action::Statement(_) | Action::Utility(_));
        !needs_plan
            || (!prepared.transient
                && self.active.as_ref().is_none_or(|active| !active.changed_catalog)
                && prepared.branch == self.branch
                && prepared.as_of == self.as_of()
                && prepared.catalog_scn == self.catalog_scn.get().0
                && prepared.statistics_version == self.catalog_scn.statistics.version()
                && self.frequent.search_path == prepared.search_path
                && self.frequent.user == prepared.user)
    }

    /// The same statement with a plan that holds.
    ///
    /// # Errors
    /// As [`Session::prepare`].
    pub(super) async fn refreshed(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: &Arc<[Datum]>,
    ) -> Result<Arc<Prepared>> {
        if self.is_current_then(prepared) {
            let (moments, declared) = (&prepared.moments, &prepared.declared);
            let is_same = moments.is_empty()
                || Box::pin(self.are_same_moments(moments, &prepared.text, declared, parameters)).await?;
            if is_same {
                return Ok(prepared.clone());
            }
        }
        let again = self.prepare_with(&prepared.text, prepared.declared.clone(), parameters).await?;
        if !have_same_shape(again.columns.as_deref(), prepared.columns.as_deref()) {
            return Err(SqlError::changed_result_type());
        }
        // Who runs it by its name finds the new plan from then on.
        if let Some(named) = self.prepared.values_mut().find(|named| Arc::ptr_eq(named, prepared))
            && again.can_replace(prepared)
        {
            *named = again.clone();
        }
        Ok(again)
    }

    /// Prepares one parsed statement of a text.
    ///
    /// # Errors
    /// All the errors of binding.
    pub async fn prepare_statement(
        &mut self,
        text: &str,
        statement: Statement,
        declared: Vec<DataType>,
    ) -> Result<Prepared> {
        self.prepare_parsed(text, statement, declared, &Arc::default()).await
    }

    /// The same, with the parameters where they are known: AS OF may depend on them.
    async fn prepare_parsed(
        &mut self,
        text: &str,
        statement: Statement,
        declared: Vec<DataType>,
        parameters: &Arc<[Datum]>,
    ) -> Result<Prepared> {
        let span = statement.span.clone();
        let mut own_text = text.get(statement.span.clone()).unwrap_or(text).to_string();
        if self.frequent.strings.escapes {
            // It may be read again, under other settings.
            own_text = parser::standard(&own_text);
        }
        if let StatementKind::Utility(Utility::CreateExecute(create)) = &statement.kind {
            let text = self.create_of_prepared(create).await?;
            let statement = parser::parse(&text)?.pop();
            let Some(statement) = statement else { return Ok(self.empty(&text)) };
            return Box::pin(self.prepare_parsed(&text, statement, declared, parameters)).await;
        }
        if !needs_catalog(&statement.kind) {
            if self.active.as_ref().is_some_and(|active| active.failed) && !ends_transaction(&statement.kind)
            {
                return Err(super::transaction::in_failed_transaction());
            }
            let action = match statement.kind {
                StatementKind::Sql(statement) => Action::Statement(statement),
                StatementKind::Utility(utility) => Action::Utility(utility),
            };
            let columns = self.utility_columns(&action);
            let row_columns = columns.clone().unwrap_or_default().into();
            // What FETCH gives depends on the cursor that is there now.
            let transient = matches!(action, Action::Utility(Utility::Fetch(_)));
            return Ok(Prepared {
                text: own_text,
                has_catalog_types: have_catalog_types(&[], columns.as_deref()),
                columns,
                row_columns,
                action,
                transient,
                ..self.empty("")
            });
        }
        // Before the catalog is read: a change in between makes the plan look older than it is, never newer.
        let scn = self.catalog_scn.get();
        let statistics_version = self.catalog_scn.statistics.version();
        let catalog = self.current_catalog().await?;
        let mut environment = self.bind_environment(&catalog);
        let as_of = self.as_of();
        let transient = self.active.as_ref().is_some_and(|active| active.changed_catalog)
            || as_of.is_none() && catalog.as_of < scn;
        let mut kind = Some(statement.kind);
        let (action, columns, parameter_types, undefined_parameter, uses) = loop {
            let watched = watch::watch(&self.cancel, &self.preparing);
            let bound = with_deep_stack(text, || {
                let kind = match kind.take() {
                    Some(kind) => kind,
                    None => parser::parse_at(text, &span)?,
                };
                let mut binder = Binder::new(&catalog, &environment, text, declared.clone());
                let (action, mut columns) = self.plan_statement(&mut binder, kind)?;
                // Clients see the types under domains.
                for column in columns.iter_mut().flatten() {
                    column.data_type = binder.underlying(column.data_type);
                }
                let undefined_parameter = binder.take_first_parameter();
                Ok::<_, SqlError>((
                    action,
                    columns,
                    binder.parameter_types()?,
                    undefined_parameter,
                    binder.take_uses(),
                ))
            });
            drop(watched);
            match (bound, environment.moments.take_wanted()) {
                (Err(_), Some(version)) => {
                    self.learn_moment(&catalog, &mut environment, &version, text, &declared, parameters)
                        .await?;
                }
                (bound, _) => break bound?,
            }
        };
        let moments = environment.moments.into_known();
        let has_catalog_types = have_catalog_types(&parameter_types, columns.as_deref());
        let kind_of = |data_type: &DataType| match is_catalog_type(*data_type) {
            true => None,
            false => BuiltinTypes.type_by_oid(data_type.oid).map(|info| info.kind),
        };
        Ok(Prepared {
            parameter_kinds: parameter_types.iter().map(kind_of).collect(),
            has_catalog_types,
            text: own_text,
            parameter_types,
            undefined_parameter,
            row_columns: columns.clone().unwrap_or_default().into(),
            columns,
            point: Point::of(&action).filter(|_| as_of.is_none() && moments.is_empty()),
            action,
            declared,
            branch: self.branch,
            as_of,
            catalog_scn: scn.0,
            statistics_version,
            search_path: self.frequent.search_path.clone(),
            user: self.frequent.user.clone(),
            permitted: AtomicBool::new(uses.is_empty()),
            uses,
            transient,
            moments,
        })
    }

    pub(super) fn plan_statement(
        &self,
        binder: &mut Binder<'_>,
        statement: StatementKind,
    ) -> Result<(Action, Option<Vec<ResultColumn>>)> {
        let (action, columns) = self.plan_main(binder, statement)?;
        let mut changes = Vec::new();
        for (table, change) in binder.take_changes() {
            changes.push((table, plan_change(binder, change)?.0));
        }
        if changes.is_empty() {
            return Ok((action, columns));
        }
        if let Action::Copy(copy) = action {
            return Ok((Action::Copy(Box::new(copy.above(changes))), columns));
        }
        Ok((Action::With { changes, action: Box::new(action) }, columns))
    }

    fn plan_main(&self, binder: &mut Binder<'_>, statement: StatementKind) -> Result<Planned> {
        let (mut overriding, mut row_condition) = (None, None);
        let statement = match statement {
            StatementKind::Sql(statement) => statement,
            StatementKind::Utility(Utility::Query(query)) => Box::new(ast::Statement::Query(query)),
            StatementKind::Utility(Utility::InsertOverriding { insert, overriding: given }) => {
                overriding = Some(given);
                insert
            }
            StatementKind::Utility(Utility::CopyWhere { copy, condition }) => {
                row_condition = Some(condition);
                copy
            }
            StatementKind::Utility(Utility::Explain(explain)) => return self.plan_explain(binder, *explain),
            StatementKind::Utility(utility) => return Ok((Action::Utility(utility), None)),
        };
        match *statement {
            ast::Statement::Query(query) if let Some(statement) = changing(&query) => {
                if matches!(statement, ast::Statement::Merge(..))
                    && query.with.as_ref().is_some_and(|with| with.recursive)
                {
                    return Err(SqlError::syntax("WITH RECURSIVE is not supported for MERGE statement"));
                }
                binder.bind_statement_with(&query)?;
                self.plan_main(binder, StatementKind::Sql(Box::new(statement)))
            }
            ast::Statement::Query(query) => {
                let bound = binder.bind_query(&query)?;
                binder.settle_uses();
                let needed: Vec<ColumnId> = bound.columns.iter().map(|(id, _)| *id).collect();
                let columns = bound.columns.into_iter().map(|(_, column)| column).collect();
                Ok((Action::Query(plan::plan_query(bound.plan, &needed, &binder.means())?), Some(columns)))
            }
            ast::Statement::Insert(insert) => {
                let bound = binder.bind_insert(&insert, overriding)?;
                binder.settle_uses();
                plan_insert(binder, bound)
            }
            ast::Statement::Update(update) => {
                let bound = binder.bind_update(&update)?;
                binder.settle_uses();
                plan_update(binder, bound)
            }
            ast::Statement::Delete(delete) => {
                let bound = binder.bind_delete(&delete)?;
                binder.settle_uses();
                plan_delete(binder, bound)
            }
            ast::Statement::Merge(merge) => {
                let bound = binder.bind_merge(&merge)?;
                binder.settle_uses();
                plan_merge(binder, bound)
            }
            ast::Statement::Copy { source, to, target, options, legacy_options, .. } => {
                let options = crate::copy::CopyOptions::parse(&options, &legacy_options)?;
                let plan =
                    crate::copy::plan_copy(binder, &source, to, &target, options, row_condition.as_deref())?;
                Ok((Action::Copy(Box::new(plan)), None))
            }
            ast::Statement::Execute { name, parameters, .. } => {
                self.plan_execute(binder, name.as_ref(), &parameters)
            }
            other => Ok((Action::Statement(Box::new(other)), None)),
        }
    }

    /// CREATE TABLE AS EXECUTE as CREATE TABLE AS the query that was prepared.
    async fn create_of_prepared(&mut self, create: &CreateExecute) -> Result<String> {
        let prepared = self.prepared_named(&create.name)?;
        if !prepared.is_query() {
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, "prepared statement is not a SELECT"));
        }
        check_count(&create.name, prepared.parameter_types.len(), create.arguments.len())?;
        let catalog = self.current_catalog().await?;
        let environment = self.bind_environment(&catalog);
        let given = create.arguments.iter().zip(&prepared.parameter_types);
        for (number, ((argument, begin), data_type)) in (1..).zip(given) {
            let mut binder = Binder::new(&catalog, &environment, argument, Vec::new());
            let bound = parser::parse_expression(argument)
                .and_then(|argument| binder.bind_argument(number, &argument, *data_type));
            bound.map_err(|error| match error.fields().position {
                Some(position) => error.at(begin + position - 1),
                None => error,
            })?;
        }
        let types = TypeScope { catalog: &catalog, search_path: &environment.search_path };
        let names = prepared.parameter_types.iter().map(|data_type| format_type(*data_type, &types));
        create.with_query(&prepared.text, &names.collect::<Vec<_>>())
    }

    fn plan_execute(
        &self,
        binder: &mut Binder<'_>,
        name: Option<&ast::ObjectName>,
        parameters: &[ast::Expr],
    ) -> Result<(Action, Option<Vec<ResultColumn>>)> {
        let name =
            name.map(crate::binder::name::split).transpose()?.map_or_else(String::new, |(_, name)| name);
        let prepared = self.prepared_named(&name)?;
        check_count(&name, prepared.parameter_types.len(), parameters.len())?;
        let mut arguments = Vec::new();
        for (number, (parameter, data_type)) in (1..).zip(parameters.iter().zip(&prepared.parameter_types)) {
            arguments.push(binder.bind_argument(number, parameter, *data_type)?);
        }
        Ok((Action::Execute { name, arguments }, prepared.columns.clone()))
    }

    /// A statement made by PREPARE or by the protocol's Parse.
    ///
    /// # Errors
    /// 26000.
    pub fn prepared_named(&self, name: &str) -> Result<Arc<Prepared>> {
        self.prepared.get(name).cloned().ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_SQL_STATEMENT_NAME,
                format!("prepared statement \"{name}\" does not exist"),
            )
        })
    }

    /// Keeps a prepared statement under a name; `sql` is the text of the PREPARE that made it.
    ///
    /// # Errors
    /// 42P05.
    pub fn keep_prepared(&mut self, name: &str, prepared: Arc<Prepared>, sql: Option<&str>) -> Result<()> {
        if self.prepared.contains_key(name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        self.listing.add_statement(ListedStatement {
            name: name.to_string(),
            text: sql.unwrap_or(&prepared.text).to_string(),
            since: self.now(),
            parameters: prepared.parameter_types.clone(),
            from_sql: sql.is_some(),
        });
        self.prepared.insert(name.to_string(), prepared);
        Ok(())
    }

    /// Forgets a prepared statement; tells whether there was one.
    pub fn close_prepared(&mut self, name: &str) -> bool {
        let found = self.prepared.remove(name).is_some();
        if found {
            self.listing.statements.lock().retain(|listed| listed.name != name);
        }
        found
    }

    /// What names mean in this session.
    pub(super) fn bind_environment(&self, catalog: &CatalogSnapshot) -> BindEnvironment {
        BindEnvironment {
            search_path: self.search_path(catalog),
            database: self.database.clone(),
            who: self.who(catalog),
            costs: self.frequent.costs,
            moments: Moments::default(),
            reads_past: self.as_of().is_some(),
            settings: self.formats.clone(),
        }
    }

    /// The schemas of `search_path` that exist; first that of temporary objects, then `pg_catalog`, unless they are
    /// named: whoever names `pg_temp` last keeps temporary objects from standing before others.
    pub(super) fn search_path(&self, catalog: &CatalogSnapshot) -> Vec<u32> {
        let mut path = Vec::new();
        let own = crate::ddl::temporary_schema(self.backend.number);
        let temporary = catalog.schema_named(&own).filter(|_| self.has_temporary).map(|schema| schema.oid);
        let actor = self.who(catalog).among(catalog);
        for name in self.settings.search_path() {
            let name = if name == "$user" { self.current_user() } else { &name };
            if name == "pg_temp" || name == own {
                path.extend(temporary.filter(|oid| !path.contains(oid)));
                continue;
            }
            // Schemas that may not be used are as if they were not there.
            if let Some(schema) = catalog.schema_named(name)
                && actor.may_in_schema(schema.oid, Rights::USAGE)
                && !path.contains(&schema.oid)
            {
                path.push(schema.oid);
            }
        }
        if !path.contains(&PG_CATALOG) {
            path.insert(0, PG_CATALOG);
        }
        if let Some(temporary) = temporary
            && !path.contains(&temporary)
        {
            path.insert(0, temporary);
        }
        path
    }
}

/// Long texts, and those with many parentheses, may make deep trees: they are made, bound, planned and dropped on a
/// stack of their own. What is not touched of it costs nothing.
fn with_deep_stack<T>(text: &str, work: impl FnOnce() -> T) -> T {
    const LONG_TEXT_BYTES: usize = 4_096;
    const PARENTHESES: usize = 40;
    let may_be_deep = text.len() >= LONG_TEXT_BYTES
        || text.len() > 10 * PARENTHESES && text.bytes().filter(|byte| *byte == b'(').count() > PARENTHESES;
    if may_be_deep { stacker::grow(256 << 20, work) } else { work() }
}

/// Whether so many arguments are given as a prepared statement has parameters.
fn check_count(name: &str, expected: usize, given: usize) -> Result<()> {
    if expected == given {
        return Ok(());
    }
    Err(SqlError::syntax(format!("wrong number of parameters for prepared statement \"{name}\""))
        .with_detail(format!("Expected {expected} parameters but got {given}.")))
}

/// Whether preparing a statement looks anything up.
fn needs_catalog(statement: &StatementKind) -> bool {
    match statement {
        StatementKind::Utility(utility) => {
            matches!(
                utility,
                Utility::Query(_)
                    | Utility::InsertOverriding { .. }
                    | Utility::CopyWhere { .. }
                    | Utility::Explain(_)
            )
        }
        StatementKind::Sql(statement) => matches!(
            statement.as_ref(),
            ast::Statement::Query(_)
                | ast::Statement::Insert(_)
                | ast::Statement::Update(_)
                | ast::Statement::Delete(_)
                | ast::Statement::Merge(_)
                | ast::Statement::Copy { .. }
                | ast::Statement::Execute { .. }
        ),
    }
}

fn ends_transaction(statement: &StatementKind) -> bool {
    match statement {
        StatementKind::Utility(utility) => matches!(utility, Utility::PrepareTransaction),
        StatementKind::Sql(statement) => {
            matches!(statement.as_ref(), ast::Statement::Commit { .. } | ast::Statement::Rollback { .. })
        }
    }
}

type Planned = (Action, Option<Vec<ResultColumn>>);

/// The statement that changes rows, where a query is nothing but WITH before it.
fn changing(query: &ast::Query) -> Option<ast::Statement> {
    match query.body.as_ref() {
        ast::SetExpr::Insert(statement)
        | ast::SetExpr::Update(statement)
        | ast::SetExpr::Delete(statement)
        | ast::SetExpr::Merge(statement) => Some(statement.clone()),
        _ => None,
    }
}

fn plan_change(binder: &mut Binder<'_>, change: BoundChange) -> Result<Planned> {
    match change {
        BoundChange::Insert(bound) => plan_insert(binder, bound),
        BoundChange::Update(bound) => plan_update(binder, bound),
        BoundChange::Delete(bound) => plan_delete(binder, bound),
    }
}

fn plan_insert(binder: &mut Binder<'_>, bound: BoundInsert) -> Result<Planned> {
    let writer = Arc::new(TableWriter::new(&bound.table, binder)?);
    let mut needed = Vec::new();
    let mut values = Vec::new();
    for value in bound.values {
        values.push(match value {
            InsertValue::Default(expr) => NewValue::Default(plan::folded(expr)),
            InsertValue::Source(id) => {
                let at = needed.iter().position(|each| *each == id).unwrap_or_else(|| {
                    needed.push(id);
                    needed.len() - 1
                });
                NewValue::Source(at)
            }
        });
    }
    let source = plan::plan(bound.source, &needed, &binder.means())?;
    let (returning, columns) = split_returning(bound.returning);
    let returning = returning.map(|rows| plan_returning(binder, rows)).transpose()?;
    let conflict =
        bound.conflict.map(|conflict| plan_conflict(binder, *conflict).map(Box::new)).transpose()?;
    let single = point::single_row(&source).map(|row| new_row(&values, &row));
    Ok((Action::Insert(InsertPlan { writer, source, values, single, conflict, returning }), columns))
}

fn plan_conflict(binder: &mut Binder<'_>, bound: BoundConflict) -> Result<ConflictPlan> {
    let update = bound.update.map(|update| {
        Ok::<_, SqlError>(ConflictUpdate {
            positions: update.columns.into_iter().map(Table::position).collect(),
            exprs: update.values.exprs,
            above: plan_above(binder, update.values.above)?,
            has_condition: update.has_condition,
        })
    });
    Ok(ConflictPlan { arbiters: bound.arbiters, update: update.transpose()? })
}

fn plan_above(binder: &Binder<'_>, query: Option<RowsQuery>) -> Result<Option<RowsPlan>> {
    let plan = |query: RowsQuery| {
        let plan = plan::plan(query.plan, &query.outputs, &binder.means())?;
        Ok(RowsPlan { table: query.table, plan })
    };
    query.map(plan).transpose()
}

fn plan_returning(binder: &Binder<'_>, rows: OverRows) -> Result<ReturningPlan> {
    Ok(ReturningPlan { exprs: rows.exprs, above: plan_above(binder, rows.above)? })
}

fn split_returning(returning: Option<BoundReturning>) -> (Option<OverRows>, Option<Vec<ResultColumn>>) {
    match returning {
        None => (None, None),
        Some(returning) => (Some(returning.rows), Some(returning.columns)),
    }
}

/// The expressions of an INSERT's only row, by position in the table's row.
fn new_row(values: &[NewValue], source: &[Expr]) -> Vec<Expr> {
    let expr_of = |value: &NewValue| match value {
        NewValue::Source(column) => source[*column].clone(),
        NewValue::Default(expr) => expr.clone(),
    };
    values.iter().map(expr_of).collect()
}

/// The columns of the source that a change needs: key, old row, new values, and what RETURNING reads.
fn change_columns(
    key: ColumnId,
    row: &[(ColumnId, i16)],
    others: impl IntoIterator<Item = ColumnId>,
    returning: Option<&OverRows>,
) -> Vec<ColumnId> {
    let mut needed = vec![key];
    needed.extend(row.iter().map(|(id, _)| *id));
    let mut add = |id: ColumnId| {
        if !needed.contains(&id) {
            needed.push(id);
        }
    };
    others.into_iter().for_each(&mut add);
    for expr in returning.into_iter().flat_map(|rows| &rows.exprs) {
        walk::columns(expr, &mut add);
    }
    needed
}

fn place(needed: &[ColumnId], id: ColumnId) -> usize {
    needed.iter().position(|each| *each == id).unwrap_or(0)
}

fn returning_over(
    binder: &Binder<'_>,
    returning: Option<OverRows>,
    needed: &[ColumnId],
) -> Result<Option<ReturningPlan>> {
    let resolve = |expr: Expr| {
        walk::replace_columns(expr.clone(), &|id| {
            let data_type = column_type(&expr, id)?;
            Some(Expr::Column { index: place(needed, id), data_type })
        })
    };
    let here = |rows: OverRows| {
        let exprs = rows.exprs.into_iter().map(resolve).collect();
        plan_returning(binder, OverRows { exprs, above: rows.above })
    };
    returning.map(here).transpose()
}

/// The type that an expression gives a column it reads.
fn column_type(expr: &Expr, id: ColumnId) -> Option<DataType> {
    if let Expr::Column { index, data_type } = expr
        && *index == id
    {
        return Some(*data_type);
    }
    let mut found = None;
    expr.for_each_child(|child| found = found.or_else(|| column_type(child, id)));
    found
}

fn row_places(row: &[(ColumnId, i16)], needed: &[ColumnId]) -> Vec<(usize, usize)> {
    row.iter().map(|(id, number)| (place(needed, *id), Table::position(*number))).collect()
}

fn plan_update(binder: &mut Binder<'_>, bound: BoundUpdate) -> Result<Planned> {
    let writer = Arc::new(TableWriter::new(&bound.table, binder)?);
    let (returning, columns) = split_returning(bound.returning);
    let assigned = bound.assignments.iter().map(|(_, id)| *id);
    let needed = change_columns(bound.key, &bound.row, assigned, returning.as_ref());
    let source = plan::plan(bound.source, &needed, &binder.means())?;
    let assignments = bound
        .assignments
        .iter()
        .map(|(number, id)| (Table::position(*number), place(&needed, *id)))
        .collect();
    let plan = UpdatePlan {
        writer,
        point: PointSource::of(&source),
        source,
        row: row_places(&bound.row, &needed),
        assignments,
        joined: bound.joined,
        returning: returning_over(binder, returning, &needed)?,
    };
    Ok((Action::Update(plan), columns))
}

fn plan_delete(binder: &mut Binder<'_>, mut bound: BoundDelete) -> Result<Planned> {
    let writer = Arc::new(TableWriter::new(&bound.table, binder)?);
    let (returning, columns) = split_returning(bound.returning);
    if returning.is_none() {
        let read = writer.read_to_delete();
        bound.row.retain(|(_, number)| read.contains(&Table::position(*number)));
    }
    let needed = change_columns(bound.key, &bound.row, [], returning.as_ref());
    let source = plan::plan(bound.source, &needed, &binder.means())?;
    let plan = DeletePlan {
        writer,
        point: PointSource::of(&source),
        source,
        row: row_places(&bound.row, &needed),
        joined: bound.joined,
        returning: returning_over(binder, returning, &needed)?,
    };
    Ok((Action::Delete(plan), columns))
}

fn plan_merge(binder: &mut Binder<'_>, bound: BoundMerge) -> Result<Planned> {
    let writer = Arc::new(TableWriter::new(&bound.table, binder)?);
    let mut read = Vec::new();
    for clause in &bound.clauses {
        let values: Vec<&Expr> = match &clause.action {
            MergeAction::Update(values) => values.iter().map(|(_, expr)| expr).collect(),
            MergeAction::Insert(row) => row.iter().collect(),
            MergeAction::Nothing | MergeAction::Delete => Vec::new(),
        };
        for expr in clause.condition.iter().chain(values) {
            walk::columns(expr, &mut |id| read.push(id));
        }
    }
    let needed = change_columns(bound.key, &bound.row, read, None);
    let source = plan::plan(bound.source, &needed, &binder.means())?;
    let here = |expr: Expr| {
        let typed = expr.clone();
        plan::folded(walk::replace_columns(expr, &|id| {
            let data_type = column_type(&typed, id)?;
            Some(Expr::Column { index: place(&needed, id), data_type })
        }))
    };
    let clause = |clause: MergeWhen| MergeClause {
        matched: clause.matched,
        condition: clause.condition.map(here),
        step: match clause.action {
            MergeAction::Nothing => MergeStep::Nothing,
            MergeAction::Delete => MergeStep::Delete,
            MergeAction::Update(values) => {
                MergeStep::Update(values.into_iter().map(|(number, expr)| (number, here(expr))).collect())
            }
            MergeAction::Insert(row) => MergeStep::Insert(row.into_iter().map(here).collect()),
        },
    };
    let clauses = bound.clauses.into_iter().map(clause).collect();
    let plan = MergePlan { writer, source, row: row_places(&bound.row, &needed), clauses };
    Ok((Action::Merge(plan), None))
}

impl Prepared {
    /// The plan whose rows the statement gives as they are made: a query's, or a COPY's to the client.
    pub(super) fn rows_plan(&self) -> Option<&PlanNode> {
        match &self.action {
            Action::Query(plan) => Some(plan),
            Action::Copy(copy) => copy.source(),
            _ => None,
        }
    }

    /// What changes rows: the statement, or what a COPY gives the rows of.
    pub(super) fn change(&self) -> &Action {
        match &self.action {
            Action::Copy(copy) => copy.change().unwrap_or(&self.action),
            action => action,
        }
    }

    /// The plan of a COPY.
    #[must_use]
    pub fn copy_plan(&self) -> Option<&crate::copy::CopyPlan> {
        match &self.action {
            Action::Copy(plan) => Some(plan),
            _ => None,
        }
    }
}
