//! Who may make, change and connect to databases, and make branches of them.

use super::{Session, SettingValues};
use crate::catalog::{Database, Rights};
use crate::ddl::Ddl;
use crate::error::{Result, SqlError, SqlState};
use crate::parser::BranchStatement;
use crate::rights::{database, must_own, refused};

impl Session {
    /// The role that statements run as.
    pub(super) async fn own_role(&mut self) -> Result<u32> {
        let catalog = self.current_catalog().await?;
        Ok(self.who(&catalog).role)
    }

    /// 42501 for who may not make databases.
    pub(super) async fn check_may_create_databases(&mut self, what: &str) -> Result<()> {
        let catalog = self.current_catalog().await?;
        let role = catalog.role(self.who(&catalog).role);
        if role.is_some_and(|role| role.attributes.superuser || role.attributes.create_database) {
            return Ok(());
        }
        Err(refused(format!("permission denied to {what}")))
    }

    /// Whether the current role owns a database.
    pub(super) async fn owns_database(&mut self, database: &Database) -> Result<bool> {
        let catalog = self.current_catalog().await?;
        Ok(self.who(&catalog).among(&catalog).has_role(database.owner))
    }

    /// 42501 for who does not own a database; and, where `what` says something, for who may not make any.
    pub(super) async fn check_owns_database(&mut self, database: &Database, what: &str) -> Result<()> {
        if !self.owns_database(database).await? {
            return Err(must_own("database", &database.name));
        }
        if what.is_empty() { Ok(()) } else { self.check_may_create_databases(what).await }
    }

    /// 42501 for a role that the current one is no member of.
    pub(super) async fn check_is_member(&mut self, role: u32, name: &str) -> Result<()> {
        let catalog = self.current_catalog().await?;
        if self.who(&catalog).among(&catalog).is_member(role) {
            return Ok(());
        }
        Err(refused(format!("must be member of role \"{name}\"")))
    }

    /// 42501 for branches that are neither of an own database nor of somebody who may make databases.
    pub(super) async fn check_may_branch(&mut self, statement: &BranchStatement) -> Result<()> {
        let what = match statement {
            BranchStatement::Create { .. } => "create branch",
            BranchStatement::Drop { .. } => "drop branch",
            BranchStatement::Rename { .. } => "rename branch",
            // It changes rows of whatever table.
            BranchStatement::Merge { .. } => {
                let directory = self.engine.directory();
                let Some(database) = directory.database_of(self.branch) else { return Ok(()) };
                return self.check_owns_database(database, "").await;
            }
            _ => return Ok(()),
        };
        let directory = self.engine.directory();
        if let Some(database) = directory.database_of(self.branch)
            && self.owns_database(database).await?
        {
            return Ok(());
        }
        self.check_may_create_databases(what).await
    }

    /// 42501 and 55000 for a database that the session's role may not connect to.
    ///
    /// # Errors
    /// Those, and those of reading the catalog.
    pub async fn check_may_connect(&mut self) -> Result<()> {
        let catalog = self.current_catalog().await?;
        let actor = self.who(&catalog).among(&catalog);
        if actor.is_superuser() {
            return Ok(());
        }
        let directory = self.engine.directory();
        let Some(found) = directory.database_of(self.branch) else { return Ok(()) };
        if !found.allows_connections {
            let message = format!("database \"{}\" is not currently accepting connections", self.database);
            return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let secured = database(&catalog, found.oid, found.owner);
        if actor.rights(&secured, Rights::CONNECT).is_empty() {
            return Err(refused(format!("permission denied for database \"{}\"", self.database))
                .with_detail("User does not have CONNECT privilege."));
        }
        Ok(())
    }

    /// Changes the catalog of the folder's first branch, in a transaction of its own.
    pub(super) async fn in_first_branch(
        &self,
        change: impl AsyncFnOnce(&mut Ddl) -> Result<()>,
    ) -> Result<()> {
        let settings: SettingValues = (*self.settings).clone();
        let mut home = self.engine.session_for_roles(&self.user, settings);
        let mut ddl = home.begin_ddl("ALTER DATABASE").await?;
        let done = change(&mut ddl).await;
        home.end_ddl(ddl, done.is_ok())?;
        done?;
        home.commit().await.map(|_| ())
    }
}
