//! Statements without a plan: transactions, settings, prepared statements, DDL.

use std::sync::Arc;

use helios_mvcc::{BranchId, Isolation, Scn, TableLockMode, WaitPolicy};
use sqlparser::ast;

use super::execution::{text_batches, text_column};
use super::past;
use super::portal::Given;
use super::prepare::Action;
use super::transaction::{LocalSetting, TransactionModes, lost};
use super::{Notice, Session};
use crate::binder::{Moments, ResultColumn, data_type, name};
use crate::catalog::{Rights, Table};
use crate::ddl;
use crate::error::{Result, SqlError, SqlState};
use crate::parser::Utility;
use crate::value::{Batch, Datum};

/// A result without rows.
fn done(tag: impl Into<String>) -> Result<Given> {
    Ok(Given { batches: Vec::new(), tag: tag.into() })
}

/// How VACUUM and ANALYZE lock the tables that they name.
#[derive(Clone, Copy)]
pub(crate) struct Locking {
    pub mode: TableLockMode,
    pub skip_locked: bool,
}

impl Session {
    /// The result columns of a statement without a plan.
    pub(super) fn utility_columns(&self, action: &Action) -> Option<Vec<ResultColumn>> {
        if let Action::Utility(Utility::Fetch(fetch)) = action {
            return self.cursor_columns(fetch);
        }
        let Action::Statement(statement) = action else { return None };
        match statement.as_ref() {
            ast::Statement::ShowVariable { variable } => {
                let setting = setting_name(variable);
                if setting == "all" {
                    return Some(vec![
                        text_column("name"),
                        text_column("setting"),
                        text_column("description"),
                    ]);
                }
                let shown = super::find_setting(&setting).map_or(setting.as_str(), |setting| setting.name);
                Some(vec![text_column(shown)])
            }
            ast::Statement::ShowTables { .. } => Some(vec![text_column("tables")]),
            _ => None,
        }
    }

    pub(super) async fn run_statement(&mut self, statement: &ast::Statement, text: &str) -> Result<Given> {
        use ast::Statement as S;
        match statement {
            S::StartTransaction { modes, begin, .. } => {
                self.begin(&transaction_modes(modes)?)?;
                done(begin_tag(*begin))
            }
            S::Commit { chain, .. } => self.run_commit(*chain).await,
            S::Rollback { savepoint: Some(savepoint), .. } => {
                self.rollback_to(&name::fold(savepoint))?;
                done("ROLLBACK")
            }
            S::Rollback { chain, savepoint: None } => {
                let (modes, past) = (self.current_modes(), self.begun_as_of());
                if !self.is_explicit() {
                    refuse_chain(*chain, "ROLLBACK")?;
                    self.warn_no_transaction();
                }
                self.rollback();
                if *chain {
                    self.begin_again(&modes, past).await?;
                }
                done("ROLLBACK")
            }
            S::Savepoint { name: savepoint } => {
                self.savepoint(&name::fold(savepoint))?;
                done("SAVEPOINT")
            }
            S::ReleaseSavepoint { name: savepoint } => {
                self.release(&name::fold(savepoint))?;
                done("RELEASE")
            }
            S::Set(set) => self.run_set(set).await,
            S::ShowVariable { variable } => self.show(&setting_name(variable)).await,
            S::Discard { object_type } => self.discard(object_type).await,
            S::LISTEN { channel } => {
                self.begin_in_transaction();
                self.backend.listen(&name::fold(channel));
                done("LISTEN")
            }
            S::UNLISTEN { channel } => {
                self.begin_in_transaction();
                let is_all = channel.quote_style.is_none() && channel.value == "*";
                let channel = name::fold(channel);
                self.backend.unlisten(Some(channel.as_str()).filter(|_| !is_all));
                done("UNLISTEN")
            }
            S::NOTIFY { channel, payload } => {
                self.begin_in_transaction();
                self.backend.say(&name::fold(channel), payload.as_deref().unwrap_or_default())?;
                done("NOTIFY")
            }
            _ => match ddl::run(self, statement, text).await? {
                Some(tag) => done(tag),
                None => Err(SqlError::unsupported(format!(
                    "this statement is not supported yet: {}",
                    first_words(text)
                ))),
            },
        }
    }

    pub(super) async fn run_utility(&mut self, utility: &Utility, text: &str) -> Result<Given> {
        match utility {
            Utility::Vacuum { analyze, full, skip_locked, targets } => {
                self.refuse_in_block("VACUUM")?;
                self.refuse_past("VACUUM")?;
                let mode =
                    if *full { TableLockMode::AccessExclusive } else { TableLockMode::ShareUpdateExclusive };
                ddl::vacuum(self, targets, *analyze, Locking { mode, skip_locked: *skip_locked }).await?;
                if self.active.is_some() {
                    // Its own snapshot is not to hold the history back.
                    self.commit().await?;
                }
                self.engine.clone().cut_history().await?;
                done("VACUUM")
            }
            Utility::Analyze { skip_locked, targets } => {
                self.refuse_past("ANALYZE")?;
                let mode = TableLockMode::ShareUpdateExclusive;
                ddl::analyze(self, targets, Locking { mode, skip_locked: *skip_locked }).await?;
                done("ANALYZE")
            }
            Utility::Checkpoint => {
                self.check_may_checkpoint().await?;
                self.engine.store().clone().checkpoint().await?;
                done("CHECKPOINT")
            }
            Utility::Upkeep(upkeep) => done(ddl::check_upkeep(self, upkeep).await?),
            Utility::Lock { tables, mode, nowait } => self.lock_tables(tables, mode, *nowait).await,
            Utility::Assign { name, value, local } => {
                self.change_setting(name, value.as_deref(), *local).await?;
                done("SET")
            }
            Utility::Reset { name } => {
                if name == "all" {
                    let mut settings = (**self.settings()).clone();
                    settings.reset_all();
                    self.replace_settings(Arc::new(settings));
                } else {
                    self.change_setting(name, None, false).await?;
                }
                done("RESET")
            }
            Utility::Prepare { name: prepared, types, text: own, .. } => {
                let environment = self.begin_statement().await?;
                let resolved = types.iter().map(|each| data_type::resolve(each, &environment.types()));
                let declared = resolved.collect::<Result<_>>()?;
                let statement = Box::pin(self.prepare(own, declared)).await?;
                self.keep_prepared(&name::fold(prepared), statement, Some(text))?;
                done("PREPARE")
            }
            Utility::Deallocate { name: None } => {
                self.prepared.clear();
                self.listing.statements.lock().clear();
                done("DEALLOCATE ALL")
            }
            Utility::Deallocate { name: Some(prepared) } => {
                let prepared = name::fold(prepared);
                self.prepared_named(&prepared)?;
                self.close_prepared(&prepared);
                done("DEALLOCATE")
            }
            Utility::Declare(declare) => Box::pin(self.declare_cursor(declare, text)).await,
            Utility::Fetch(fetch) => self.fetch_cursor(fetch).await,
            Utility::Close { name } => self.close_cursor(name.as_ref()),
            Utility::BeginAsOf { start, moment } => {
                let ast::Statement::StartTransaction { modes, begin, .. } = start.as_ref() else {
                    return Err(SqlError::internal("a transaction begins otherwise"));
                };
                self.begin_as_of(&transaction_modes(modes)?, moment, text).await?;
                done(begin_tag(*begin))
            }
            Utility::SetConstraints { names, deferred } => self.set_constraints(names, *deferred).await,
            Utility::Branch(statement) => {
                let tag = Box::pin(self.run_branch_statement(statement, text)).await?;
                done(tag)
            }
            Utility::CreateExecute(_) => Err(SqlError::internal("EXECUTE is prepared before it runs")),
            Utility::Define(definition) => done(ddl::define(self, definition, text).await?),
            Utility::Deferrable { statement, deferrable } => {
                let given = Box::pin(self.run_statement(statement, text)).await?;
                self.set_deferrable(statement, *deferrable)?;
                Ok(given)
            }
            Utility::PrepareTransaction => self.prepare_transaction(),
            Utility::FinishPrepared { commits, transaction } => {
                self.refuse_in_block(if *commits { "COMMIT PREPARED" } else { "ROLLBACK PREPARED" })?;
                Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("prepared transaction with identifier \"{transaction}\" does not exist"),
                ))
            }
            Utility::Query(_)
            | Utility::InsertOverriding { .. }
            | Utility::CopyWhere { .. }
            | Utility::Explain(_) => Err(SqlError::internal("a query has a plan")),
        }
    }

    // Transactions ----------------------------------------------------------------------------------------------

    pub(super) fn is_explicit(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.explicit)
    }

    fn warn_no_transaction(&mut self) {
        self.notify(Notice::warning(
            SqlState::NO_ACTIVE_SQL_TRANSACTION,
            "there is no transaction in progress",
        ));
    }

    fn current_modes(&self) -> TransactionModes {
        self.active.as_ref().map_or_else(TransactionModes::default, |active| TransactionModes {
            isolation: Some(active.isolation_name.to_string()),
            read_only: Some(active.read_only),
            deferrable: Some(active.deferrable),
        })
    }

    async fn run_commit(&mut self, chain: bool) -> Result<Given> {
        let (modes, past) = (self.current_modes(), self.begun_as_of());
        if !self.is_explicit() {
            refuse_chain(chain, "COMMIT")?;
            self.warn_no_transaction();
        }
        let committed = self.commit().await?;
        if chain {
            self.begin_again(&modes, past).await?;
        }
        done(if committed { "COMMIT" } else { "ROLLBACK" })
    }

    /// AND CHAIN: a transaction like the one before.
    async fn begin_again(&mut self, modes: &TransactionModes, past: Option<Scn>) -> Result<()> {
        match past {
            Some(scn) => self.begin_past(modes, scn).await,
            None => self.begin(modes),
        }
    }

    /// `[NOT] DEFERRABLE` behind BEGIN or SET TRANSACTION.
    fn set_deferrable(&mut self, statement: &ast::Statement, deferrable: bool) -> Result<()> {
        match statement {
            ast::Statement::Set(ast::Set::SetTransaction { session: true, .. }) => {
                let value = if deferrable { "on" } else { "off" };
                self.assign_setting("default_transaction_deferrable", Some(value), false)
            }
            _ => {
                self.set_transaction(&TransactionModes { deferrable: Some(deferrable), ..Default::default() })
            }
        }
    }

    /// Two-phase commit is switched off, as it is in PostgreSQL until an administrator allows it: the transaction is
    /// rolled back.
    fn prepare_transaction(&mut self) -> Result<Given> {
        if !self.is_explicit() {
            self.warn_no_transaction();
            return done("ROLLBACK");
        }
        let has_failed = self.active.as_ref().is_some_and(|active| active.failed);
        self.rollback();
        if has_failed {
            return done("ROLLBACK");
        }
        Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "prepared transactions are disabled")
            .with_hint("Set max_prepared_transactions to a nonzero value."))
    }

    /// 25001 for what cannot run in a transaction block.
    pub(crate) fn refuse_in_block(&self, command: &str) -> Result<()> {
        if self.is_explicit() {
            return Err(SqlError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{command} cannot run inside a transaction block"),
            ));
        }
        Ok(())
    }

    async fn lock_tables(&mut self, tables: &[ast::ObjectName], mode: &str, nowait: bool) -> Result<Given> {
        if !self.is_explicit() {
            return Err(SqlError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "LOCK TABLE can only be used in transaction blocks",
            ));
        }
        self.refuse_past("LOCK TABLE")?;
        let mode = match mode {
            "access share" => TableLockMode::AccessShare,
            "row share" => TableLockMode::RowShare,
            "row exclusive" => TableLockMode::RowExclusive,
            "share update exclusive" => TableLockMode::ShareUpdateExclusive,
            "share" => TableLockMode::Share,
            "share row exclusive" => TableLockMode::ShareRowExclusive,
            "exclusive" => TableLockMode::Exclusive,
            "access exclusive" => TableLockMode::AccessExclusive,
            other => return Err(SqlError::syntax(format!("syntax error at or near \"{other}\""))),
        };
        let wait = if nowait { WaitPolicy::NoWait } else { WaitPolicy::Block };
        let writes = Rights::UPDATE.with(Rights::DELETE).with(Rights::TRUNCATE);
        let needed = match mode {
            TableLockMode::AccessShare => Rights::SELECT,
            TableLockMode::RowExclusive => writes.with(Rights::INSERT),
            _ => writes,
        };
        let mut entries = ddl::tables_to_lock(self, tables, needed).await?;
        loop {
            for entry in &entries {
                self.lock_table(&entry.table, mode, wait).await?;
            }
            // Who had to wait may have waited for the table's end, or for another one of that name.
            let now = ddl::tables_to_lock(self, tables, needed).await?;
            if now.iter().map(|entry| entry.table.oid).eq(entries.iter().map(|entry| entry.table.oid)) {
                return done("LOCK TABLE");
            }
            entries = now;
        }
    }

    /// Locks a table that is to be looked after; false, with a warning, where it is to be passed over because somebody
    /// else has it.
    ///
    /// # Errors
    /// Those of locking.
    pub(crate) async fn lock_maintained(
        &mut self,
        table: &Table,
        locking: Locking,
        verb: &str,
    ) -> Result<bool> {
        self.begin_statement().await?;
        let wait = if locking.skip_locked { WaitPolicy::NoWait } else { WaitPolicy::Block };
        match self.lock_table(table, locking.mode, wait).await {
            Err(error) if locking.skip_locked && error.state() == SqlState::LOCK_NOT_AVAILABLE => {
                let message = format!("skipping {verb} of \"{}\" --- lock not available", table.name);
                self.notify(Notice::warning(SqlState::LOCK_NOT_AVAILABLE, message));
                Ok(false)
            }
            locked => locked.map(|()| true),
        }
    }

    /// Begins a transaction that keeps others from writing to the tables of the branch until it ends; they may read. It has no snapshot
    /// yet, so that it will see what they wrote before.
    ///
    /// # Errors
    /// Those of locking, and of reading the catalog.
    pub(super) async fn hold_off_writers(&mut self) -> Result<()> {
        let catalog = self.newest_catalog().await?;
        self.begin_in_transaction();
        let mut tables: Vec<_> = catalog.tables().cloned().collect();
        tables.sort_by_key(|entry| entry.table.oid);
        for entry in tables {
            self.lock_table(&entry.table, TableLockMode::ShareRowExclusive, WaitPolicy::Block).await?;
        }
        Ok(())
    }

    async fn lock_table(&mut self, table: &Table, mode: TableLockMode, wait: WaitPolicy) -> Result<()> {
        let active = self.active.as_mut().ok_or_else(lost)?;
        let transaction = active.transaction.as_mut().ok_or_else(lost)?;
        match transaction.lock_table(u64::from(table.oid), mode, wait).await {
            Err(helios_mvcc::Error::LockNotAvailable) => {
                let message = format!("could not obtain lock on relation \"{}\"", table.name);
                return Err(SqlError::new(SqlState::LOCK_NOT_AVAILABLE, message));
            }
            locked => locked?,
        }
        if active.used && transaction.isolation() == Isolation::ReadCommitted {
            transaction.begin_statement();
        }
        Ok(())
    }

    async fn set_constraints(&mut self, names: &[ast::ObjectName], deferred: bool) -> Result<Given> {
        let (catalog, binding) = self.binding().await?;
        if !self.is_explicit() {
            self.notify(Notice::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            ));
        }
        let mut found = Vec::new();
        for object in names {
            let (_, base) = name::split(object)?;
            let named: Vec<_> = catalog
                .constraints()
                .filter(|each| each.name == base && binding.search_path.contains(&each.schema))
                .collect();
            if named.is_empty() {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{base}\" does not exist"),
                ));
            }
            for constraint in named {
                if !constraint.timing.deferrable {
                    return Err(SqlError::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("constraint \"{base}\" is not deferrable"),
                    ));
                }
                found.push(constraint.oid);
            }
        }
        let active = self.begin_in_transaction();
        if names.is_empty() {
            active.deferral.named.clear();
            active.deferral.all = Some(deferred);
        }
        active.deferral.named.extend(found.into_iter().map(|oid| (oid, deferred)));
        if !deferred {
            self.check_constraints(crate::write::Due::Statement).await?;
        }
        done("SET CONSTRAINTS")
    }

    // Settings --------------------------------------------------------------------------------------------------

    /// SET and its forms; `None` goes back to the default.
    pub(super) fn assign_setting(&mut self, setting: &str, value: Option<&str>, local: bool) -> Result<()> {
        self.warn_of_local(local);
        self.configure(setting, value, local)
    }

    /// Warns where SET LOCAL ends with its statement.
    pub(super) fn warn_of_local(&mut self, local: bool) {
        if local && !self.is_explicit() {
            self.notify(Notice::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            ));
        }
    }

    /// [`Session::assign_setting`] by `set_config`, which says nothing of transactions.
    pub(super) fn configure(&mut self, setting: &str, value: Option<&str>, local: bool) -> Result<()> {
        let setting = setting.to_lowercase();
        match (setting.as_str(), value) {
            ("transaction_isolation", Some(level)) => {
                (**self.settings()).clone().set(&setting, level)?;
                let isolation = Some(level.to_lowercase());
                return self.set_transaction(&TransactionModes { isolation, ..Default::default() });
            }
            ("transaction_read_only", Some(value)) => {
                let read_only = Some(matches!(value, "on" | "true" | "1" | "yes"));
                return self.set_transaction(&TransactionModes { read_only, ..Default::default() });
            }
            ("transaction_deferrable", Some(value)) => {
                let deferrable = Some(matches!(value, "on" | "true" | "1" | "yes"));
                return self.set_transaction(&TransactionModes { deferrable, ..Default::default() });
            }
            _ => {}
        }
        let mut settings = (**self.settings()).clone();
        match value {
            Some(value) => settings.set(&setting, value)?,
            None => settings.reset(&setting)?,
        }
        settings.formats()?;
        if let Some(scn) = past::moment_set(&settings)
            && setting == past::AS_OF
        {
            self.existing_scn(scn.0)?;
        }
        self.note_locality(&[&setting], local);
        self.replace_settings(Arc::new(settings));
        Ok(())
    }

    /// Notes whether settings end with the transaction, before they are changed.
    pub(super) fn note_locality(&mut self, settings: &[&str], local: bool) {
        let before = &self.settings;
        let Some(active) = &mut self.active else { return };
        if !local {
            active.local.retain(|each| !settings.contains(&each.name.as_str()));
            return;
        }
        for setting in settings {
            if !active.local.iter().any(|each| each.name == *setting) {
                active.local.push(LocalSetting { name: (*setting).to_string(), before: before.clone() });
            }
        }
    }

    async fn run_set(&mut self, set: &ast::Set) -> Result<Given> {
        self.begin_in_transaction();
        match set {
            ast::Set::SingleAssignment { scope, variable, values, .. } => {
                let local = *scope == Some(ast::ContextModifier::Local);
                let setting = name::parts(variable)?.join(".");
                let value = setting_value(values);
                self.change_setting(&setting, Some(&value), local).await?;
            }
            ast::Set::SetTimeZone { local, value } => {
                let text = match value {
                    ast::Expr::Interval(interval) => zone_hours(interval)?,
                    value => setting_value(std::slice::from_ref(value)),
                };
                let lower = text.to_lowercase();
                if lower == "default" || lower == "local" {
                    self.assign_setting("timezone", None, *local)?;
                } else {
                    self.assign_setting("timezone", Some(&text), *local)?;
                }
            }
            ast::Set::SetNames { charset_name, .. } => {
                self.assign_setting("client_encoding", Some(&charset_name.value), false)?;
            }
            ast::Set::SetNamesDefault {} => self.assign_setting("client_encoding", None, false)?,
            ast::Set::SetTransaction { modes, session, .. } => {
                let modes = transaction_modes(modes)?;
                if *session {
                    if let Some(isolation) = &modes.isolation {
                        self.assign_setting("default_transaction_isolation", Some(isolation), false)?;
                    }
                    if let Some(read_only) = modes.read_only {
                        let value = if read_only { "on" } else { "off" };
                        self.assign_setting("default_transaction_read_only", Some(value), false)?;
                    }
                } else if self.is_explicit() {
                    self.set_transaction(&modes)?;
                } else {
                    self.notify(Notice::warning(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION can only be used in transaction blocks",
                    ));
                }
            }
            ast::Set::SetRole { context_modifier, role_name } => {
                let role = role_name.as_ref().map_or_else(|| "none".to_string(), name::fold);
                let local = *context_modifier == Some(ast::ContextModifier::Local);
                self.change_setting("role", Some(&role), local).await?;
            }
            ast::Set::SetSessionAuthorization(ast::SetSessionAuthorizationParam { scope, kind }) => {
                let user = match kind {
                    ast::SetSessionAuthorizationParamKind::Default => None,
                    ast::SetSessionAuthorizationParamKind::User(user) => Some(name::fold(user)),
                };
                let local = *scope == ast::ContextModifier::Local;
                self.change_setting("session_authorization", user.as_deref(), local).await?;
            }
            other => {
                return Err(SqlError::unsupported(format!("this form of SET is not supported: {other}")));
            }
        }
        done("SET")
    }

    async fn show(&mut self, setting: &str) -> Result<Given> {
        self.follow_branch_name();
        if setting == "all" {
            let mut columns = [Vec::new(), Vec::new(), Vec::new()];
            let sees_all = self.check_may_examine("data_directory").await.is_ok();
            for (each, value) in
                self.settings.all().into_iter().filter(|(each, _)| sees_all || !each.is_private)
            {
                columns[0].push(each.name.to_string());
                columns[1].push(value);
                columns[2].push(each.description.to_string());
            }
            let rows = columns[0].len();
            let mut merged = Vec::new();
            for column in columns {
                merged.extend(text_batches(&column)?.into_iter().flat_map(|batch| batch.columns));
            }
            return Ok(Given { batches: vec![Batch::new(merged, rows)], tag: "SHOW".into() });
        }
        self.check_may_examine(setting).await?;
        let value = match setting {
            "transaction_read_only" if self.as_of().is_some() => "on".into(),
            _ => self.settings.get(setting)?,
        };
        Ok(Given { batches: text_batches(&[value])?, tag: "SHOW".into() })
    }

    async fn discard(&mut self, what: &ast::DiscardObject) -> Result<Given> {
        match what {
            ast::DiscardObject::ALL => {
                self.refuse_in_block("DISCARD ALL")?;
                self.prepared.clear();
                self.listing.statements.lock().clear();
                self.forget_plans();
                self.sequences.forget();
                self.backend.unlisten(None);
                self.backend.commit_notifications();
                self.backend.unlock_all();
                self.drop_temporary().await?;
                self.end_portals();
                self.cursors.clear();
                self.list_cursors();
                self.change_setting("session_authorization", None, false).await?;
                let mut settings = (**self.settings()).clone();
                settings.reset_all();
                self.replace_settings(Arc::new(settings));
                done("DISCARD ALL")
            }
            ast::DiscardObject::PLANS => {
                self.forget_plans();
                done("DISCARD PLANS")
            }
            ast::DiscardObject::SEQUENCES => {
                self.sequences.forget();
                done("DISCARD SEQUENCES")
            }
            ast::DiscardObject::TEMP => {
                self.refuse_past("DISCARD TEMP")?;
                self.drop_temporary().await?;
                done("DISCARD TEMP")
            }
        }
    }
}

/// The name that SHOW and SET mean: some have a syntax of their own.
fn setting_name(words: &[ast::Ident]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.value.to_lowercase()).collect();
    match words.join(" ").as_str() {
        "time zone" | "timezone" => "timezone".into(),
        "transaction isolation level" => "transaction_isolation".into(),
        "session authorization" => "session_authorization".into(),
        _ => words.join("."),
    }
}

/// A setting's value as text: words and literals, with commas between.
/// 25P01 for AND CHAIN where no transaction was begun.
fn refuse_chain(chain: bool, command: &str) -> Result<()> {
    if !chain {
        return Ok(());
    }
    let message = format!("{command} AND CHAIN can only be used in transaction blocks");
    Err(SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message))
}

/// An interval as hours east of UTC.
///
/// # Errors
/// 22007 for what is no interval, 22023 for one of days or months.
fn zone_hours(interval: &ast::Interval) -> Result<String> {
    const HOUR_MICROS: f64 = 3_600_000_000.0;
    let mut text = match interval.value.as_ref() {
        ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(text), .. }) => {
            text.clone()
        }
        other => other.to_string(),
    };
    if let (Some(field), None, true) =
        (&interval.leading_field, &interval.last_field, text.trim().parse::<f64>().is_ok())
    {
        text = format!("{text} {field}");
    }
    let settings = crate::functions::Settings::default();
    let context = crate::functions::EvalContext::detached(&settings);
    match context.type_info(crate::types::oids::INTERVAL)?.parse_text(&text, -1, &context)? {
        Datum::Interval(found) if found.months == 0 && found.days == 0 => {
            Ok((found.micros as f64 / HOUR_MICROS).to_string())
        }
        _ => {
            let shown = format!("invalid value for parameter \"TimeZone\": \"{text}\"");
            Err(SqlError::invalid_parameter(shown))
        }
    }
}

fn setting_value(values: &[ast::Expr]) -> String {
    let texts: Vec<String> = values
        .iter()
        .map(|value| match value {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::SingleQuotedString(text) => text.clone(),
                ast::Value::Boolean(truth) => truth.to_string(),
                other => other.to_string(),
            },
            ast::Expr::Identifier(identifier) if identifier.quote_style.is_none() => {
                identifier.value.to_lowercase()
            }
            ast::Expr::Identifier(identifier) => name::quote(&identifier.value),
            ast::Expr::Interval(interval) => match interval.value.as_ref() {
                ast::Expr::Value(value) => format!("INTERVAL {}", value.value),
                other => other.to_string(),
            },
            other => other.to_string(),
        })
        .collect();
    texts.join(", ")
}

fn begin_tag(begin: bool) -> &'static str {
    if begin { "BEGIN" } else { "START TRANSACTION" }
}

fn transaction_modes(modes: &[ast::TransactionMode]) -> Result<TransactionModes> {
    let mut result = TransactionModes::default();
    for mode in modes {
        match mode {
            ast::TransactionMode::AccessMode(access) => {
                result.read_only = Some(*access == ast::TransactionAccessMode::ReadOnly);
            }
            ast::TransactionMode::IsolationLevel(level) => {
                let level = match level {
                    ast::TransactionIsolationLevel::ReadUncommitted => "read uncommitted",
                    ast::TransactionIsolationLevel::ReadCommitted => "read committed",
                    ast::TransactionIsolationLevel::RepeatableRead => "repeatable read",
                    ast::TransactionIsolationLevel::Serializable => "serializable",
                    ast::TransactionIsolationLevel::Snapshot => {
                        return Err(SqlError::syntax("syntax error at or near \"SNAPSHOT\""));
                    }
                };
                result.isolation = Some(level.to_string());
            }
        }
    }
    Ok(result)
}

fn first_words(text: &str) -> String {
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

impl Session {
    /// Begins a DDL statement: it gets the transaction until [`Session::end_ddl`].
    pub(crate) async fn begin_ddl(&mut self, command: &str) -> Result<ddl::Ddl> {
        let environment = self.begin_statement().await?;
        self.refuse_read_only(command)?;
        let catalog = environment.catalog.clone();
        let binding = self.bind_environment(&catalog);
        let engine = self.engine.clone();
        let execution = self.lend(environment, Arc::new([]))?;
        Ok(ddl::Ddl {
            engine,
            execution,
            catalog,
            binding,
            notices: Vec::new(),
            warnings: Vec::new(),
            details: Vec::new(),
            makes_temporary: false,
        })
    }

    /// Takes the transaction back; later statements see the changed catalog.
    pub(crate) fn end_ddl(&mut self, ddl: ddl::Ddl, changed: bool) -> Result<()> {
        let details = ddl.details.into_iter().map(|error| Notice { severity: "DEBUG", error });
        details.for_each(|detail| self.notify(detail));
        let notices = ddl.notices.into_iter().map(|error| Notice {
            severity: if error.state().as_str().starts_with("01") { "WARNING" } else { "NOTICE" },
            error,
        });
        notices.for_each(|notice| self.notify(notice));
        let warnings = ddl.warnings.into_iter().map(|error| Notice { severity: "WARNING", error });
        warnings.for_each(|warning| self.notify(warning));
        self.has_temporary |= ddl.makes_temporary;
        self.take_back(ddl.execution)?;
        if let Some(active) = &mut self.active {
            active.changed_catalog |= changed;
            active.own_catalog = None;
        }
        Ok(())
    }

    /// Runs a DDL statement; gives its tag, where it has one of its own.
    ///
    /// # Errors
    /// All the errors of DDL.
    pub(crate) async fn change_catalog(
        &mut self,
        command: &str,
        work: &ddl::Work<'_>,
        text: &str,
    ) -> Result<Option<String>> {
        let mut moments = Moments::default();
        let mut tries = 0;
        loop {
            let mut ddl = self.begin_ddl(command).await?;
            ddl.binding.moments = moments;
            let start = ddl.execution.transaction.savepoint();
            // On the heap: it is the largest of all futures.
            let changed = Box::pin(work.run(&mut ddl, text)).await;
            let conflict =
                changed.as_ref().is_err_and(|error| error.state() == SqlState::SERIALIZATION_FAILURE);
            if conflict {
                ddl.notices.clear();
                ddl.warnings.clear();
                ddl.details.clear();
            }
            let (catalog, mut binding) = (ddl.catalog.clone(), ddl.binding.clone());
            self.end_ddl(ddl, changed.is_ok())?;
            match (changed, binding.moments.take_wanted()) {
                // Queries are bound before anything is changed.
                (Err(_), Some(version)) => {
                    self.learn_moment(&catalog, &mut binding, &version, text, &[], &Arc::default()).await?;
                    moments = binding.moments;
                }
                // An object was changed before it was locked: what the statement is about is looked up anew.
                (Err(error), None) if conflict => {
                    if !self.retry(start, &mut tries).await? {
                        return Err(error);
                    }
                    moments = Moments::default();
                }
                (changed, _) => return changed,
            }
        }
    }

    /// The same for roles, which belong to the folder: on another branch than its first, in a transaction of its own.
    ///
    /// # Errors
    /// As [`Session::change_catalog`].
    pub(crate) async fn change_roles(
        &mut self,
        command: &str,
        work: &ddl::Work<'_>,
        text: &str,
    ) -> Result<Option<String>> {
        if self.branch == BranchId::MAIN {
            return self.change_catalog(command, work, text).await;
        }
        self.refuse_past(command)?;
        let mut home = self.engine.session_for_roles(&self.user, (*self.settings).clone());
        let tag = home.change_catalog(command, work, text).await?;
        home.commit().await?;
        home.take_notices().into_iter().for_each(|notice| self.notify(notice));
        Ok(tag)
    }

    /// Drops the session's temporary objects.
    ///
    /// # Errors
    /// Those of dropping and of committing.
    pub(super) async fn drop_temporary(&mut self) -> Result<()> {
        self.begin_in_transaction();
        self.look_at_now(true);
        let (catalog, _) = self.binding().await?;
        match catalog.schema_named(&ddl::temporary_schema(self.backend.number)) {
            Some(schema) => ddl::drop_schema(self, schema.oid).await,
            None => Ok(()),
        }
    }

    /// Ends the session: what runs is rolled back, and temporary objects go.
    ///
    /// # Errors
    /// Those of dropping and of committing.
    pub async fn close(&mut self) -> Result<()> {
        self.abandon();
        if self.has_temporary { self.drop_temporary().await } else { Ok(()) }
    }

    /// The catalog and what names mean in it.
    pub(crate) async fn binding(
        &mut self,
    ) -> Result<(Arc<crate::catalog::CatalogSnapshot>, crate::binder::BindEnvironment)> {
        let catalog = self.current_catalog().await?;
        let binding = self.bind_environment(&catalog);
        Ok((catalog, binding))
    }
}
