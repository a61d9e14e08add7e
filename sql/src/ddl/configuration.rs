//! What sessions begin with: ALTER DATABASE … SET, and ALTER ROLE … [IN DATABASE …] SET.
//!
//! A value is tested as SET tests it, and kept as it was given. What is kept of a role in all databases is the role's, the rest a
//! [`Configuration`].

use std::sync::Arc;

use super::Ddl;
use super::role::{self, denied, refuse};
use crate::catalog::{Configuration, Role};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{RoleName, SettingChange};
use crate::rights::must_own;
use crate::session::{check_custom_setting, find_setting};

/// Whose sessions: of a role, or of all; in a database, or in all.
pub struct Target<'a> {
    pub role: Option<&'a RoleName>,
    pub database: Option<&'a str>,
}

pub async fn set(ddl: &mut Ddl, target: Target<'_>, change: &SettingChange) -> Result<()> {
    let role = target.role.map(|name| alterable(ddl, name)).transpose()?;
    let database = target.database.map(|name| ddl.database_named(name)).transpose()?;
    match (&role, &database) {
        (None, Some(database)) if !ddl.actor().has_role(database.owner) => {
            return Err(must_own("database", &database.name));
        }
        (None, None) => refuse(!role::is_superuser(ddl), "must be superuser to alter settings globally")?,
        _ => {}
    }
    let (Some(role), None) = (&role, &database) else {
        let oid = database.map_or(0, |database| database.oid);
        let role = role.map_or(0, |role| role.oid);
        let old = ddl.catalog.configuration(oid).cloned();
        let mut new = old.as_ref().map_or_else(|| Configuration::new(oid), |old| (**old).clone());
        new.set(role, changed(ddl, new.of(role), change)?);
        return put(ddl, old, new).await;
    };
    let settings = changed(ddl, &role.settings, change)?;
    ddl.replace((**role).clone(), Role { settings, ..(**role).clone() }).await
}

/// Forgets what was said of a role's sessions in any database.
pub async fn forget_role(ddl: &mut Ddl, role: u32) -> Result<()> {
    let of: Vec<_> = ddl.catalog.configurations().filter(|each| !each.of(role).is_empty()).cloned().collect();
    for old in of {
        let mut new = (*old).clone();
        new.set(role, Vec::new());
        put(ddl, Some(old), new).await?;
    }
    Ok(())
}

/// Forgets what was said of the sessions of a database.
pub async fn forget_database(ddl: &mut Ddl, database: u32) -> Result<()> {
    match ddl.catalog.configuration(database).cloned() {
        Some(old) => ddl.remove((*old).clone()).await,
        None => Ok(()),
    }
}

async fn put(ddl: &mut Ddl, old: Option<Arc<Configuration>>, new: Configuration) -> Result<()> {
    match old {
        Some(old) if new.roles.is_empty() => ddl.remove((*old).clone()).await,
        None if new.roles.is_empty() => Ok(()),
        _ => ddl.put(new).await,
    }
}

/// The role of that name, if its settings may be changed.
fn alterable(ddl: &Ddl, name: &RoleName) -> Result<Arc<Role>> {
    if let RoleName::Named(name) = name {
        role::refuse_reserved(name, role::RESERVED_ROLE)?;
    }
    let found = role::find(ddl, name)?;
    if found.attributes.superuser {
        refuse(!role::is_superuser(ddl), "must be superuser to alter superusers")?;
    } else {
        refuse(!role::may_create_roles(ddl) && !role::is_current_user(ddl, &found), "permission denied")?;
    }
    Ok(found)
}

/// Settings after a change of them.
fn changed(
    ddl: &Ddl,
    settings: &[(String, String)],
    change: &SettingChange,
) -> Result<Vec<(String, String)>> {
    let mut settings = settings.to_vec();
    let mut checked = (*ddl.execution.environment.settings).clone();
    let (setting, value) = match change {
        SettingChange::ResetAll => return Ok(Vec::new()),
        SettingChange::Reset(setting) => (setting, None),
        SettingChange::FromCurrent(setting) => (setting, Some(checked.get(setting)?)),
        SettingChange::Set { name, value } => (name, Some(value.clone())),
    };
    let known = find_setting(setting);
    if known.is_none() {
        if !setting.contains('.') {
            let message = format!("unrecognized configuration parameter \"{setting}\"");
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
        }
        check_custom_setting(setting)?;
        if !role::is_superuser(ddl) {
            return Err(denied(format!("permission denied to set parameter \"{setting}\"")));
        }
    }
    match &value {
        Some(value) => checked.set(setting, value)?,
        None if known.is_some() => checked.check_changeable(setting)?,
        None => {}
    }
    let setting = known.map_or(setting.as_str(), |known| known.name);
    let place = settings.iter().position(|(name, _)| name == setting);
    match (place, value) {
        (Some(place), Some(value)) => settings[place].1 = value,
        (Some(place), None) => {
            settings.remove(place);
        }
        (None, Some(value)) => settings.push((setting.to_string(), value)),
        (None, None) => {}
    }
    Ok(settings)
}
