//! Who a session is: the role that it began as, and the one that its statements run as.
//!
//! Both are settings, `session_authorization` and `role`, so that SET LOCAL and ROLLBACK take them back as others;
//! which role may become which is asked of the catalog when they are set.

use std::sync::Arc;

use super::branch::is_branch_setting;
use super::past::is_past_setting;
use super::{Session, SettingValues};
use crate::catalog::{CatalogSnapshot, READ_ALL_SETTINGS, Role};
use crate::error::{Result, SqlError, SqlState};
use crate::rights::{Actor, Who};

const ROLE: &str = "role";
const SESSION_AUTHORIZATION: &str = "session_authorization";
const IS_SUPERUSER: &str = "is_superuser";

/// Whether a setting says who the session is.
pub(super) fn is_role_setting(name: &str) -> bool {
    name.eq_ignore_ascii_case(ROLE) || name.eq_ignore_ascii_case(SESSION_AUTHORIZATION)
}

/// The role that statements run as.
pub(super) fn current_user_of(settings: &SettingValues) -> String {
    let role = settings.get(ROLE).ok().filter(|role| role != "none");
    role.unwrap_or_else(|| session_user_of(settings))
}

fn session_user_of(settings: &SettingValues) -> String {
    settings.get(SESSION_AUTHORIZATION).unwrap_or_default()
}

/// 42501 for a setting that a role may not see.
///
/// # Errors
/// That.
pub fn may_examine(actor: &Actor<'_>, setting: &str) -> Result<()> {
    let found = super::find_setting(setting).filter(|found| found.is_private);
    let Some(found) = found.filter(|_| !actor.has_role(READ_ALL_SETTINGS)) else { return Ok(()) };
    let message =
        format!("must be superuser or have privileges of pg_read_all_settings to examine \"{}\"", found.name);
    Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}

/// The role of an OID, or, where nobody looked for that yet, of a name.
fn role_of<'c>(catalog: &'c CatalogSnapshot, oid: u32, name: &str) -> Option<&'c Arc<Role>> {
    if oid == 0 { catalog.role_named(name) } else { catalog.role(oid) }
}

impl Session {
    /// Who runs statements, and where.
    pub(crate) fn who(&self, catalog: &CatalogSnapshot) -> Who {
        let directory = self.engine.directory();
        let database = directory.database_of(self.branch);
        let role = role_of(catalog, self.settings.roles.current_user(), self.current_user());
        Who {
            role: role.map_or(0, |role| role.oid),
            database: database.map_or(0, |database| database.oid),
            database_owner: database.map_or(0, |database| database.owner),
        }
    }

    /// The role that the session is.
    pub(super) fn session_role<'c>(&self, catalog: &'c CatalogSnapshot) -> Option<&'c Arc<Role>> {
        role_of(catalog, self.settings.roles.session_user(), &self.session_user())
    }

    /// The role that statements run as.
    #[must_use]
    pub fn current_user(&self) -> &str {
        &self.frequent.user.0
    }

    pub(super) fn session_user(&self) -> String {
        session_user_of(&self.settings)
    }

    /// 42501 for a setting that the current role may not see.
    pub(super) async fn check_may_examine(&mut self, setting: &str) -> Result<()> {
        if !super::find_setting(setting).is_some_and(|found| found.is_private) {
            return Ok(());
        }
        let catalog = self.current_catalog().await?;
        may_examine(&self.who(&catalog).among(&catalog), setting)
    }

    /// 42501 for who may not have a checkpoint made.
    pub(super) async fn check_may_checkpoint(&mut self) -> Result<()> {
        const CHECKPOINT: u32 = 4544;
        let catalog = self.current_catalog().await?;
        if self.who(&catalog).among(&catalog).has_role(CHECKPOINT) {
            return Ok(());
        }
        let message = "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT";
        Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
    }

    /// Takes over what sessions of a role begin with.
    pub async fn begin_as(&mut self, role: &Role) {
        let mut settings = (*self.settings).clone();
        settings.roles.initial = role.oid;
        settings.set_initial(IS_SUPERUSER, if role.attributes.superuser { "on" } else { "off" });
        self.replace_settings(Arc::new(settings));
        for (origin, name, value) in self.configured(role).await {
            self.begin_settings_of(origin);
            // As PostgreSQL, a value that is no good any more keeps nobody out.
            if let Err(error) = self.set_setting(&name, &value).await {
                self.notify(super::Notice { severity: "WARNING", error });
            }
        }
        self.begin_settings_of(super::settings::CLIENT);
    }

    fn begin_settings_of(&mut self, origin: &'static str) {
        let mut settings = (*self.settings).clone();
        settings.set_origin(origin);
        self.replace_settings(Arc::new(settings));
    }

    /// What a role's sessions begin with here, in the order in which it is set, with what it comes from.
    async fn configured(&mut self, role: &Role) -> Vec<(&'static str, String, String)> {
        let Ok(catalog) = self.current_catalog().await else { return Vec::new() };
        let database = self.engine.directory().database_of(self.branch).map_or(0, |database| database.oid);
        let of = |database, role| catalog.configuration(database).map_or(&[][..], |found| found.of(role));
        let all = [
            ("global", of(0, 0)),
            ("database", of(database, 0)),
            ("user", &role.settings[..]),
            ("database user", of(database, role.oid)),
        ];
        let each = all.into_iter().flat_map(|(origin, settings)| {
            settings.iter().map(move |(name, value)| (origin, name.clone(), value.clone()))
        });
        each.collect()
    }

    /// SET, RESET and their forms; `None` goes back to the default.
    pub(super) async fn change_setting(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> Result<()> {
        if is_branch_setting(name) {
            let branch = value.map_or_else(|| self.engine.default_branch(&self.database), str::to_string);
            return self.use_branch(&branch).await;
        }
        if is_past_setting(name)
            && let Some(value) = value
        {
            let moment = self.resolve_as_of(value).await?;
            return self.assign_setting(name, Some(&moment), local);
        }
        if !is_role_setting(name) {
            return self.assign_setting(name, value, local);
        }
        let catalog = self.current_catalog().await?;
        self.assign_role(&catalog, name, value, local)
    }

    /// SET ROLE and SET SESSION AUTHORIZATION; `None` goes back to who the session began as.
    ///
    /// # Errors
    /// 22023 for a role that does not exist, 42501 for one that the session may not become.
    pub(super) fn assign_role(
        &mut self,
        catalog: &CatalogSnapshot,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> Result<()> {
        let name = name.to_ascii_lowercase();
        let mut settings = (**self.settings()).clone();
        settings.reset(ROLE)?;
        settings.roles.current = 0;
        match value {
            Some("none") if name == ROLE => {}
            Some(value) => {
                let role = catalog
                    .role_named(value)
                    .ok_or_else(|| SqlError::invalid_parameter(format!("role \"{value}\" does not exist")))?;
                self.check_may_become(catalog, &name, role)?;
                settings.set(&name, value)?;
                match name == ROLE {
                    true => settings.roles.current = role.oid,
                    false => settings.roles.session = role.oid,
                }
            }
            None => {
                settings.reset(&name)?;
                if name != ROLE {
                    settings.roles.session = 0;
                }
            }
        }
        let current = role_of(catalog, settings.roles.current_user(), &current_user_of(&settings));
        let is_superuser = current.is_some_and(|role| role.attributes.superuser);
        settings.set_fixed(IS_SUPERUSER, if is_superuser { "on" } else { "off" });
        self.warn_of_local(local);
        self.note_locality(&[ROLE, SESSION_AUTHORIZATION, IS_SUPERUSER], local);
        self.replace_settings(Arc::new(settings));
        Ok(())
    }

    fn check_may_become(&self, catalog: &CatalogSnapshot, setting: &str, role: &Role) -> Result<()> {
        let denied = |message: String| Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        if setting == SESSION_AUTHORIZATION {
            let own = role_of(catalog, self.settings.roles.initial, &self.user);
            let may = own.is_some_and(|own| own.attributes.superuser || own.oid == role.oid);
            if !may {
                return denied("permission denied to set session authorization".into());
            }
            return Ok(());
        }
        let who = self.who(catalog).instead(self.session_role(catalog).map_or(0, |user| user.oid));
        let may = who.among(catalog).is_member(role.oid);
        if may { Ok(()) } else { denied(format!("permission denied to set role \"{}\"", role.name)) }
    }
}
