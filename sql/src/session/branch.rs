//! Statements about branches and databases, and which branch a session is on.
//!
//! All of them are commits of the program's own, outside of the session's transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use helios_mvcc::{Branch, BranchId, NewBranch, Snapshot};
use helios_runtime::executor::sleep;

use super::{CatalogWatch, FrequentSettings, Notice, Session, retention};
use crate::backends::{Backend, Signal};
use crate::binder::moment_of;
use crate::catalog::{Database, MAIN_BRANCH, put_database};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{BranchFrom, BranchStatement, Definition, RoleStatement, SettingChange};
use crate::relations::roles::may_signal;
use crate::rights::refused;
use crate::sequence::SessionSequences;

/// The setting that names the session's branch.
const BRANCH: &str = "heliosdb.branch";
/// What a new database begins with, by its names in PostgreSQL.
const PRISTINE: [&str; 2] = ["template0", "template1"];

/// Whether a setting says on which branch the session is.
pub(super) fn is_branch_setting(name: &str) -> bool {
    name.eq_ignore_ascii_case(BRANCH)
}

pub(super) fn no_branch(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CATALOG_NAME, format!("branch \"{name}\" does not exist"))
        .with_hint("SELECT branch_name FROM pg_database_branches() lists the branches there are.")
}

fn no_database(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
}

fn duplicate_database(name: &str) -> SqlError {
    SqlError::new(SqlState::DUPLICATE_DATABASE, format!("database \"{name}\" already exists"))
}

fn in_use(message: String) -> SqlError {
    SqlError::new(SqlState::OBJECT_IN_USE, message)
}

/// 55006, if other sessions are there.
fn refuse_used(what: &str, name: &str, sessions: usize) -> Result<()> {
    if sessions == 0 {
        return Ok(());
    }
    let detail = match sessions {
        1 => format!("There is 1 other session using the {what}."),
        several => format!("There are {several} other sessions using the {what}."),
    };
    let error = in_use(format!("{what} \"{name}\" is being accessed by other users")).with_detail(detail);
    // Of databases, PostgreSQL gives no advice either.
    Err(match what {
        "branch" => error.with_hint(
            "They leave it with USE BRANCH, or when they end: pg_stat_activity shows who they are.",
        ),
        _ => error,
    })
}

impl Session {
    /// Runs one, and gives what the client is told: of a merge, how many rows and objects it changed, since libpq
    /// reads a number behind MERGE.
    ///
    /// # Errors
    /// 25001 in a transaction block, 3D000, 42P04, 55006, and those of committing.
    pub(super) async fn run_branch_statement(
        &mut self,
        statement: &BranchStatement,
        text: &str,
    ) -> Result<String> {
        let tag = statement.tag().to_owned();
        if let BranchStatement::SetOfDatabase { name, change } = statement {
            return self.set_of_database(name, change, text).await.map(|()| tag);
        }
        self.refuse_in_block(statement.tag())?;
        if !matches!(statement, BranchStatement::Use { .. }) {
            self.refuse_past(statement.tag())?;
        }
        if self.active.is_some() {
            // What came before it in the same text.
            self.commit().await?;
        }
        self.check_may_branch(statement).await?;
        let ran = match statement {
            BranchStatement::Create { name, from, as_of, options } => {
                let branch = self.branch_from(from)?;
                let now = as_of.is_none();
                let scn = match as_of {
                    None => self.engine.store().visible_scn(),
                    Some(version) => {
                        let (kind, expr) = moment_of(version)?;
                        let catalog = self.current_catalog().await?;
                        let environment = self.bind_environment(&catalog);
                        let none = Arc::default();
                        let value =
                            self.evaluate(&catalog, &environment, kind, expr, text, &[], &none).await?;
                        self.commit().await?;
                        self.scn_of_moment(kind, &value).await?
                    }
                };
                let origin = Snapshot { branch: branch.id, scn };
                let (name, root, options) = (name.clone(), Some(branch.root), options.clone());
                self.branch_off(NewBranch { name, origin, root, options }, now, None).await
            }
            BranchStatement::Merge { source, target, options } => {
                let changes = Box::pin(self.merge_branch(source, target, options)).await?;
                return Ok(format!("MERGE {changes}"));
            }
            BranchStatement::Drop { name, if_exists } => self.drop_branch(name, *if_exists).await,
            BranchStatement::Rename { name, new_name } => {
                let branch = self.branch_named(name)?;
                self.engine.store().rename_branch(branch.id, new_name).await?;
                self.engine.refresh_directory().await?;
                if branch.id == self.branch {
                    self.show_branch(new_name);
                }
                Ok(())
            }
            BranchStatement::Use { name } => self.use_branch(name).await,
            BranchStatement::CreateDatabase { name, options } => self.create_database(name, options).await,
            BranchStatement::DropDatabase { name, if_exists, force } => {
                self.drop_database(name, *if_exists, *force).await
            }
            BranchStatement::RenameDatabase { name, new_name } => {
                let mut database = self.database_named(name)?;
                self.check_owns_database(&database, "rename database").await?;
                if database.root == self.root()? {
                    return Err(SqlError::unsupported("current database cannot be renamed"));
                }
                self.check_unused(&database).await?;
                if self.engine.directory().database(new_name).is_some() {
                    return Err(duplicate_database(new_name));
                }
                database.name.clone_from(new_name);
                self.put(&database).await
            }
            BranchStatement::OwnDatabase { name, owner } => {
                let database = self.database_named(name)?;
                let new = self.role_oid(owner).await?;
                if database.owner == new {
                    return Ok(tag);
                }
                self.check_owns_database(&database, "").await?;
                self.check_is_member(new, owner).await?;
                self.check_owns_database(&database, "change owner of database").await?;
                self.in_first_branch(async |ddl| ddl.give_database(&database, new).await).await
            }
            BranchStatement::SetOfDatabase { .. } => Ok(()),
        };
        ran.map(|()| tag)
    }

    /// ALTER DATABASE … SET and RESET. How long history is kept is the folder's, and changed at once, the rest is in the catalog.
    async fn set_of_database(&mut self, name: &str, change: &SettingChange, text: &str) -> Result<()> {
        let mut database = self.database_named(name)?;
        let is_retention = retention::is_changed_by(&database, change);
        if is_retention {
            self.refuse_in_block("ALTER DATABASE")?;
            self.refuse_past("ALTER DATABASE")?;
            if self.active.is_some() {
                // What came before it in the same text.
                self.commit().await?;
            }
            self.check_owns_database(&database, "").await?;
            retention::change_setting(&mut database, change)?;
            self.put(&database).await?;
        }
        if is_retention && !matches!(change, SettingChange::ResetAll) {
            return Ok(());
        }
        let change = change.clone();
        let statement = RoleStatement::Set { role: None, database: Some(database.name), change };
        Box::pin(crate::ddl::define(self, &Definition::Role(statement), text)).await.map(drop)
    }

    /// Goes on on another branch of the database.
    ///
    /// # Errors
    /// 3D000; 25001 in a transaction block.
    pub async fn use_branch(&mut self, name: &str) -> Result<()> {
        self.refuse_in_block("USE BRANCH")?;
        if self.active.is_some() {
            self.commit().await?;
        }
        let branch = self.branch_named(name)?;
        if branch.id != self.branch {
            if self.has_temporary {
                self.drop_temporary().await?;
                self.commit().await?;
                self.has_temporary = false;
            }
            self.engine.count_session(self.branch, false);
            self.engine.count_session(branch.id, true);
            self.branch = branch.id;
            self.catalog_scn = CatalogWatch::new(&self.engine, branch.id);
            self.sequences = Arc::new(SessionSequences::new(self.engine.sequences().clone(), branch.id));
            self.environment = None;
            self.values = None;
            self.forget_plans();
        }
        self.show_branch(&branch.name);
        Ok(())
    }

    /// Has the setting say where the session is.
    pub(super) fn show_branch(&mut self, name: &str) {
        let mut settings = (*self.settings).clone();
        settings.set_fixed(BRANCH, name);
        self.frequent = FrequentSettings::of(&settings);
        self.replace_settings(Arc::new(settings));
    }

    /// Another session may have renamed the branch since.
    pub(super) fn follow_branch_name(&mut self) {
        let name = self.branch_name();
        if !name.is_empty() && self.settings.get(BRANCH).is_ok_and(|shown| shown != name) {
            self.show_branch(&name);
        }
    }

    /// The name of the branch that the session is on.
    #[must_use]
    pub fn branch_name(&self) -> String {
        let directory = self.engine.directory();
        directory
            .branches
            .iter()
            .find(|each| each.id == self.branch)
            .map(|each| each.name.clone())
            .unwrap_or_default()
    }

    fn root(&self) -> Result<BranchId> {
        let directory = self.engine.directory();
        let own = directory.branches.iter().find(|each| each.id == self.branch);
        Ok(own.ok_or_else(|| no_branch(""))?.root)
    }

    pub(super) fn branch_named(&self, name: &str) -> Result<Branch> {
        let root = self.root()?;
        self.engine.directory().branch(root, name).cloned().ok_or_else(|| no_branch(name))
    }

    fn branch_from(&self, from: &BranchFrom) -> Result<Branch> {
        match from {
            BranchFrom::Named(name) => self.branch_named(name),
            BranchFrom::Current => {
                let directory = self.engine.directory();
                let own = directory.branches.iter().find(|each| each.id == self.branch).cloned();
                own.ok_or_else(|| no_branch(""))
            }
        }
    }

    fn database_named(&self, name: &str) -> Result<Database> {
        // The first one goes by the name that the session came with, too.
        let directory = self.engine.directory();
        let own = (name == self.database).then(|| directory.database_of(self.branch)).flatten();
        directory.database(name).or(own).cloned().ok_or_else(|| no_database(name))
    }

    pub(super) async fn put(&self, database: &Database) -> Result<()> {
        put_database(self.engine.store(), database, true).await?;
        self.engine.refresh_directory().await
    }

    async fn role_oid(&self, name: &str) -> Result<u32> {
        let role = self.engine.role(name).await?;
        let missing = || SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"));
        Ok(role.ok_or_else(missing)?.oid)
    }

    async fn branch_off(&mut self, new: NewBranch, now: bool, database: Option<Database>) -> Result<()> {
        let store = self.engine.store();
        let origin = store.origin_of(new.origin).await?;
        let sequences = self.engine.sequences();
        let positions = sequences.positions(store, origin, now).await?;
        let rows = |branch: BranchId| {
            let mut rows = crate::sequence::rows_of(branch, &positions);
            rows.extend(database.map(|database| {
                let database = Database { root: branch, ..database };
                (database.key(), database.encode())
            }));
            rows
        };
        let branch = store.create_branch(new, rows).await?;
        sequences.begin_at(branch.id, &positions);
        self.engine.refresh_directory().await
    }

    /// What IF EXISTS says instead of the error.
    fn skip_missing(&mut self, kind: &str, name: &str) -> Result<()> {
        let message = format!("{kind} \"{name}\" does not exist, skipping");
        let error = SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message);
        self.notify(Notice { severity: "NOTICE", error });
        Ok(())
    }

    pub(super) async fn drop_branch(&mut self, name: &str, if_exists: bool) -> Result<()> {
        let branch = match self.branch_named(name) {
            Ok(branch) => branch,
            Err(_) if if_exists => return self.skip_missing("branch", name),
            Err(error) => return Err(error),
        };
        self.check_droppable(&branch)?;
        self.engine.store().drop_branch(branch.id).await?;
        self.engine.refresh_directory().await?;
        self.engine.forget_branches().await?;
        self.engine.store().remove_dropped().await?;
        self.engine.refresh_directory().await
    }

    /// # Errors
    /// 55000 for the last branch of a database, 55006 for one that is used.
    pub(super) fn check_droppable(&self, branch: &Branch) -> Result<()> {
        let name = branch.name.as_str();
        if self.engine.directory().branches_of(branch.root).count() < 2 {
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot drop branch \"{name}\": it is the last one of its database"),
            )
            .with_hint("DROP DATABASE drops a database with all its branches."));
        }
        if branch.id == self.branch {
            return Err(in_use("cannot drop the currently open branch".into())
                .with_hint("Go to another one with USE BRANCH first."));
        }
        refuse_used("branch", name, self.engine.sessions_on(branch.id))
    }

    async fn create_database(&mut self, name: &str, options: &[(String, String)]) -> Result<()> {
        self.check_may_create_databases("create database").await?;
        let directory = self.engine.directory();
        if directory.database(name).is_some() || name == self.database || PRISTINE.contains(&name) {
            return Err(duplicate_database(name));
        }
        let mut template = PRISTINE[1].to_string();
        let mut database = Database {
            oid: self.engine.allocate_oid().await?,
            name: name.to_string(),
            root: BranchId::MAIN,
            owner: self.own_role().await?,
            is_template: false,
            allows_connections: true,
            connection_limit: -1,
            settings: Vec::new(),
        };
        let flag = |value: &str| matches!(value, "true" | "on" | "1" | "yes");
        for (option, value) in options {
            match option.as_str() {
                "template" => template.clone_from(value),
                "owner" => {
                    database.owner = self.role_oid(value).await?;
                    self.check_is_member(database.owner, value).await?;
                }
                "is_template" => database.is_template = flag(value),
                "allow_connections" => database.allows_connections = flag(value),
                "connection limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit >= -1);
                    database.connection_limit = limit.ok_or_else(|| {
                        SqlError::invalid_parameter(format!("invalid connection limit: {value}"))
                    })?;
                }
                "encoding" => {
                    if !matches!(
                        value.to_ascii_lowercase().replace('-', "").as_str(),
                        "utf8" | "unicode" | "6"
                    ) {
                        return Err(SqlError::unsupported(format!("encoding \"{value}\" is not supported"))
                            .with_hint("All databases are encoded in UTF8."));
                    }
                }
                "locale" | "lc_collate" | "lc_ctype" | "strategy" | "tablespace" | "icu_locale"
                | "locale_provider" | "collation_version" | "oid" => {}
                other => {
                    return Err(SqlError::syntax(format!("option \"{other}\" not recognized")));
                }
            }
        }
        let (origin, now) =
            if PRISTINE.contains(&template.as_str()) && directory.database(&template).is_none() {
                (self.engine.pristine().await?, false)
            } else {
                let source = directory.database(&template);
                let own = (template == self.database).then(|| directory.database_of(self.branch)).flatten();
                let source = source.or(own).ok_or_else(|| {
                    SqlError::new(
                        SqlState::INVALID_CATALOG_NAME,
                        format!("template database \"{template}\" does not exist"),
                    )
                })?;
                if !source.is_template && !self.owns_database(source).await? {
                    let message = format!("permission denied to copy database \"{template}\"");
                    return Err(refused(message));
                }
                let branch = directory.default_branch(source.root).ok_or_else(|| no_database(&template))?;
                (Snapshot { branch: branch.id, scn: self.engine.store().visible_scn() }, true)
            };
        let new = NewBranch { name: MAIN_BRANCH.into(), origin, root: None, options: Vec::new() };
        self.branch_off(new, now, Some(database)).await
    }

    /// 55006, if other sessions stay in a database: some are about to end, and get as long for it as in PostgreSQL.
    async fn check_unused(&self, database: &Database) -> Result<()> {
        const TRIES_MAX: usize = 500;
        for _ in 0..TRIES_MAX {
            if self.sessions_in(database) == 0 || self.cancel.load(Ordering::Relaxed) {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        refuse_used("database", &database.name, self.sessions_in(database))
    }

    fn sessions_in(&self, database: &Database) -> usize {
        let directory = self.engine.directory();
        directory.branches_of(database.root).map(|branch| self.engine.sessions_on(branch.id)).sum()
    }

    /// Ends the sessions of a database, and waits for their end, though not for ever.
    async fn end_sessions(&mut self, database: &Database) -> Result<()> {
        const TRIES_MAX: usize = 500;
        let catalog = self.current_catalog().await?;
        let actor = self.who(&catalog).among(&catalog);
        let is_there = |backend: &Arc<Backend>| backend.database_oid == database.oid;
        for _ in 0..TRIES_MAX {
            let backends = self.engine.backends().list();
            let there: Vec<_> = backends.into_iter().filter(is_there).collect();
            if there.is_empty() {
                break;
            }
            for backend in &there {
                may_signal(&catalog, &actor, &backend.user, Signal::Terminate)?;
            }
            for backend in there {
                backend.signal(Signal::Terminate);
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn drop_database(&mut self, name: &str, if_exists: bool, force: bool) -> Result<()> {
        let database = match self.database_named(name) {
            Ok(database) => database,
            Err(_) if if_exists => return self.skip_missing("database", name),
            Err(error) => return Err(error),
        };
        self.check_owns_database(&database, "").await?;
        if database.root == self.root()? {
            return Err(in_use("cannot drop the currently open database".into()));
        }
        if database.is_template {
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, "cannot drop a template database"));
        }
        if database.root == BranchId::MAIN {
            return Err(SqlError::unsupported("the first database of a folder cannot be dropped"));
        }
        if force {
            self.end_sessions(&database).await?;
        }
        self.check_unused(&database).await?;
        let branches: Vec<BranchId> =
            self.engine.directory().branches_of(database.root).map(|branch| branch.id).collect();
        put_database(self.engine.store(), &database, false).await?;
        self.in_first_branch(async |ddl| {
            ddl.forget_rights(database.oid).await?;
            ddl.forget_settings(database.oid).await
        })
        .await?;
        for branch in branches {
            self.engine.store().drop_branch(branch).await?;
        }
        self.engine.refresh_directory().await?;
        self.engine.forget_branches().await?;
        self.engine.store().remove_dropped().await?;
        self.engine.refresh_directory().await
    }
}
