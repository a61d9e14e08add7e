//! CREATE, ALTER, DROP ROLE, and who is a member of whom.
//!
//! Roles are in the catalog as all objects are, so that these statements are transactional. Who may do what is asked of
//! the current user, as PostgreSQL 15 does: a superuser everything, a role with CREATEROLE what makes no superuser.

use std::sync::Arc;

use md5::{Digest, Md5};

use super::{Ddl, comment, configuration};
use crate::catalog::{DATABASE_OWNER, Membership, Role, RoleAttributes, is_builtin_role, store};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{RoleName, RoleOption, RoleStatement};
use crate::scram::{ITERATIONS, SALT_BYTES, Verifier};
use crate::types::datetime::parse_timestamptz;

pub async fn define(ddl: &mut Ddl, statement: &RoleStatement) -> Result<()> {
    match statement {
        RoleStatement::Create { name, options } => create(ddl, name, options).await,
        RoleStatement::Alter { role, options } => alter(ddl, role, options).await,
        RoleStatement::Rename { name, new_name } => rename(ddl, name, new_name).await,
        RoleStatement::Set { role, database, change } => {
            let target = configuration::Target { role: role.as_ref(), database: database.as_deref() };
            configuration::set(ddl, target, change).await
        }
        RoleStatement::Drop { names, if_exists } => drop(ddl, names, *if_exists).await,
        RoleStatement::Grant { roles, members, admin, grantor } => {
            let grantor = grantor.as_ref().map(|name| find(ddl, name)).transpose()?;
            for role in roles {
                grant(ddl, role, members, *admin, grantor.as_deref()).await?;
            }
            Ok(())
        }
        RoleStatement::Revoke { roles, members, admin_only } => {
            for role in roles {
                revoke(ddl, role, members, *admin_only).await?;
            }
            Ok(())
        }
    }
}

pub(super) fn denied(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

pub(super) fn refuse(is_refused: bool, message: &str) -> Result<()> {
    if is_refused { Err(denied(message)) } else { Ok(()) }
}

fn missing(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

/// 42939 for the names that are kept for PostgreSQL's own roles.
pub(super) fn refuse_reserved(name: &str, detail: &str) -> Result<()> {
    if name.starts_with("pg_") {
        let message = format!("role name \"{name}\" is reserved");
        return Err(SqlError::new(SqlState::RESERVED_NAME, message).with_detail(detail));
    }
    Ok(())
}

const RESERVED_PREFIX: &str = "Role names starting with \"pg_\" are reserved.";
pub(super) const RESERVED_ROLE: &str = "Cannot alter reserved roles.";

fn current_user(ddl: &Ddl) -> Option<&Arc<Role>> {
    ddl.catalog.role(ddl.execution.environment.who.role)
}

fn session_user(ddl: &Ddl) -> Option<&Arc<Role>> {
    ddl.catalog.role_named(&ddl.execution.environment.session_user)
}

pub(super) fn is_superuser(ddl: &Ddl) -> bool {
    current_user(ddl).is_some_and(|role| role.attributes.superuser)
}

pub(super) fn may_create_roles(ddl: &Ddl) -> bool {
    current_user(ddl).is_some_and(|role| role.attributes.superuser || role.attributes.create_role)
}

pub(super) fn is_current_user(ddl: &Ddl, role: &Role) -> bool {
    current_user(ddl).is_some_and(|current| current.oid == role.oid)
}

/// 42501 for a role that the current user is no member of.
///
/// # Errors
/// That.
pub fn check_is_member(ddl: &Ddl, role: &Role) -> Result<()> {
    if ddl.actor().is_member(role.oid) {
        return Ok(());
    }
    Err(denied(format!("must be member of role \"{}\"", role.name)))
}

/// The role that a statement names.
///
/// # Errors
/// 42704.
pub fn find(ddl: &Ddl, name: &RoleName) -> Result<Arc<Role>> {
    let environment = &ddl.execution.environment;
    let name = match name {
        RoleName::Named(name) => name,
        RoleName::CurrentUser => &environment.user,
        RoleName::SessionUser => &environment.session_user,
    };
    ddl.catalog.role_named(name).cloned().ok_or_else(|| missing(name))
}

async fn create(ddl: &mut Ddl, name: &str, options: &[RoleOption]) -> Result<()> {
    let mut attributes = RoleAttributes::default();
    set_attributes(&mut attributes, options);
    let is_superuser = is_superuser(ddl);
    check_connection_limit(options)?;
    if attributes.superuser {
        refuse(!is_superuser, "must be superuser to create superusers")?;
    } else if attributes.replication {
        refuse(!is_superuser, "must be superuser to create replication users")?;
    } else if attributes.bypass_row_security {
        refuse(!is_superuser, "must be superuser to create bypassrls users")?;
    } else {
        refuse(!may_create_roles(ddl), "permission denied to create role")?;
    }
    refuse_reserved(name, RESERVED_PREFIX)?;
    if ddl.catalog.role_named(name).is_some() {
        return Err(store::duplicate_role(name));
    }
    if options.contains(&RoleOption::SystemId) {
        ddl.notice("SYSID can no longer be specified");
    }
    let mut role = Role::new(ddl.oid().await?, name, attributes);
    set_rest(ddl, &mut role, options)?;
    ddl.put(role).await?;
    ddl.refresh().await?;
    let itself = [RoleName::Named(name.to_string())];
    for option in options {
        match option {
            RoleOption::InRoles(groups) => {
                for group in groups {
                    let group = find(ddl, group)?;
                    grant(ddl, &group.name, &itself, false, None).await?;
                }
            }
            RoleOption::Members(members) => grant(ddl, name, members, false, None).await?,
            RoleOption::Admins(members) => grant(ddl, name, members, true, None).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn alter(ddl: &mut Ddl, name: &RoleName, options: &[RoleOption]) -> Result<()> {
    if let RoleName::Named(name) = name {
        refuse_reserved(name, RESERVED_ROLE)?;
    }
    check_connection_limit(options)?;
    let old = find(ddl, name)?;
    let mut role = (*old).clone();
    let is_superuser = is_superuser(ddl);
    let has = |test: fn(&RoleOption) -> bool| options.iter().any(test);
    if old.attributes.superuser || has(|option| matches!(option, RoleOption::Superuser(_))) {
        let message = "must be superuser to alter superuser roles or change superuser attribute";
        refuse(!is_superuser, message)?;
    } else if old.attributes.replication || has(|option| matches!(option, RoleOption::Replication(_))) {
        let message = "must be superuser to alter replication roles or change replication attribute";
        refuse(!is_superuser, message)?;
    } else if has(|option| matches!(option, RoleOption::BypassRowSecurity(_))) {
        refuse(!is_superuser, "must be superuser to change bypassrls attribute")?;
    } else if !may_create_roles(ddl) {
        // Everybody may change the own password.
        let is_password = matches!(options, [RoleOption::Password(_)]);
        refuse(!(is_password && is_current_user(ddl, &old)), "permission denied")?;
    }
    set_attributes(&mut role.attributes, options);
    set_rest(ddl, &mut role, options)?;
    ddl.replace((*old).clone(), role).await?;
    for option in options {
        if let RoleOption::Members(members) = option {
            ddl.refresh().await?;
            grant(ddl, &old.name, members, false, None).await?;
        }
    }
    Ok(())
}

fn set_attributes(attributes: &mut RoleAttributes, options: &[RoleOption]) {
    for option in options {
        match option {
            RoleOption::Superuser(is_set) => attributes.superuser = *is_set,
            RoleOption::Inherit(is_set) => attributes.inherit = *is_set,
            RoleOption::CreateRole(is_set) => attributes.create_role = *is_set,
            RoleOption::CreateDatabase(is_set) => attributes.create_database = *is_set,
            RoleOption::Login(is_set) => attributes.login = *is_set,
            RoleOption::Replication(is_set) => attributes.replication = *is_set,
            RoleOption::BypassRowSecurity(is_set) => attributes.bypass_row_security = *is_set,
            _ => {}
        }
    }
}

fn check_connection_limit(options: &[RoleOption]) -> Result<()> {
    for option in options {
        if let RoleOption::ConnectionLimit(limit) = option
            && *limit < -1
        {
            return Err(SqlError::invalid_parameter(format!("invalid connection limit: {limit}")));
        }
    }
    Ok(())
}

fn set_rest(ddl: &mut Ddl, role: &mut Role, options: &[RoleOption]) -> Result<()> {
    for option in options {
        match option {
            RoleOption::ConnectionLimit(limit) => role.connection_limit = *limit,
            RoleOption::ValidUntil(text) => {
                role.valid_until = Some(parse_timestamptz(text, &ddl.execution.context())?);
            }
            RoleOption::Password(None) => role.verifier = None,
            RoleOption::Password(Some(password)) => {
                role.verifier = verifier_of(ddl, &role.name, password)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is stored of a password; a verifier is taken as it is.
fn verifier_of(ddl: &mut Ddl, role: &str, password: &str) -> Result<Option<String>> {
    if password.is_empty() {
        ddl.notice("empty string is not a valid password, clearing password");
        return Ok(None);
    }
    if Verifier::parse(password).is_some() || is_md5(password) {
        return Ok(Some(password.to_string()));
    }
    let environment = &ddl.execution.environment;
    if environment.settings.get("password_encryption")? == "md5" {
        return Ok(Some(md5_of(password, role)));
    }
    let mut salt = [0; SALT_BYTES];
    environment
        .entropy
        .fill(&mut salt)
        .map_err(|error| SqlError::internal(format!("could not generate random salt: {error}")))?;
    Ok(Some(Verifier::of_password(password, &salt, ITERATIONS).to_string()))
}

/// The older form, which is kept but not accepted for connecting.
fn is_md5(verifier: &str) -> bool {
    let digits = verifier.strip_prefix("md5");
    digits.is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn md5_of(password: &str, role: &str) -> String {
    let digest = Md5::digest(format!("{password}{role}"));
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("md5{digits}")
}

async fn rename(ddl: &mut Ddl, name: &str, new_name: &str) -> Result<()> {
    let old = find(ddl, &RoleName::Named(name.to_string()))?;
    let is = |user: Option<&Arc<Role>>| user.is_some_and(|user| user.oid == old.oid);
    if is(session_user(ddl)) {
        return Err(SqlError::unsupported("session user cannot be renamed"));
    }
    if is(current_user(ddl)) {
        return Err(SqlError::unsupported("current user cannot be renamed"));
    }
    refuse_reserved(name, RESERVED_PREFIX)?;
    refuse_reserved(new_name, RESERVED_PREFIX)?;
    if ddl.catalog.role_named(new_name).is_some() {
        return Err(store::duplicate_role(new_name));
    }
    if old.attributes.superuser {
        refuse(!is_superuser(ddl), "must be superuser to rename superusers")?;
    } else {
        refuse(!may_create_roles(ddl), "permission denied to rename role")?;
    }
    let mut role = Role { name: new_name.to_string(), ..(*old).clone() };
    // The name is a part of what was hashed.
    if role.verifier.as_deref().is_some_and(is_md5) {
        role.verifier = None;
        ddl.notice("MD5 password cleared because of role rename");
    }
    ddl.replace((*old).clone(), role).await
}

async fn drop(ddl: &mut Ddl, names: &[RoleName], if_exists: bool) -> Result<()> {
    refuse(!may_create_roles(ddl), "permission denied to drop role")?;
    for name in names {
        let RoleName::Named(name) = name else {
            return Err(SqlError::invalid_parameter("cannot use special role specifier in DROP ROLE"));
        };
        let Some(role) = ddl.catalog.role_named(name).cloned() else {
            if !if_exists {
                return Err(missing(name));
            }
            ddl.notice(format!("role \"{name}\" does not exist, skipping"));
            continue;
        };
        let in_use = |message: &str| Err(SqlError::new(SqlState::OBJECT_IN_USE, message));
        if is_current_user(ddl, &role) {
            return in_use("current user cannot be dropped");
        }
        if session_user(ddl).is_some_and(|user| user.oid == role.oid) {
            return in_use("session user cannot be dropped");
        }
        refuse(role.attributes.superuser && !is_superuser(ddl), "must be superuser to drop superusers")?;
        if is_builtin_role(role.oid) {
            return Err(SqlError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop role {name} because it is required by the database system"),
            ));
        }
        super::owned::refuse_needed(ddl, &role).await?;
        let is_of = |membership: &Membership| membership.role == role.oid;
        let members: Vec<_> =
            ddl.catalog.roles().filter(|each| each.memberships.iter().any(is_of)).cloned().collect();
        for member in members {
            let mut changed = (*member).clone();
            changed.memberships.retain(|membership| !is_of(membership));
            ddl.put(changed).await?;
        }
        configuration::forget_role(ddl, role.oid).await?;
        comment::forget(ddl, role.oid).await?;
        ddl.remove((*role).clone()).await?;
        ddl.refresh().await?;
    }
    Ok(())
}

/// Who may say who is a member of a role.
fn check_admin(ddl: &Ddl, role: &Role) -> Result<()> {
    if role.attributes.superuser {
        return refuse(!is_superuser(ddl), "must be superuser to alter superusers");
    }
    let is_admin = current_user(ddl).is_some_and(|user| {
        user.memberships.iter().any(|membership| membership.admin && membership.role == role.oid)
    });
    if may_create_roles(ddl) || is_admin {
        return Ok(());
    }
    Err(denied(format!("must have admin option on role \"{}\"", role.name)))
}

async fn grant(
    ddl: &mut Ddl,
    role: &str,
    members: &[RoleName],
    admin: bool,
    grantor: Option<&Role>,
) -> Result<()> {
    let role = find(ddl, &RoleName::Named(role.to_string()))?;
    check_admin(ddl, &role)?;
    if role.oid == DATABASE_OWNER {
        let message = format!("role \"{}\" cannot have explicit members", role.name);
        return Err(SqlError::new(SqlState::INTERNAL_ERROR, message));
    }
    let current = current_user(ddl).map_or(crate::catalog::SUPERUSER, |user| user.oid);
    let grantor = grantor.map_or(current, |grantor| grantor.oid);
    refuse(grantor != current && !is_superuser(ddl), "must be superuser to set grantor")?;
    for name in members {
        let member = find(ddl, name)?;
        if ddl.catalog.is_member(role.oid, member.oid) {
            let message = format!("role \"{}\" is a member of role \"{}\"", role.name, member.name);
            return Err(SqlError::new(SqlState::INVALID_GRANT_OPERATION, message));
        }
        let mut changed = (*member).clone();
        match changed.memberships.iter_mut().find(|each| each.role == role.oid) {
            Some(known) if known.admin || !admin => {
                let message =
                    format!("role \"{}\" is already a member of role \"{}\"", member.name, role.name);
                ddl.notices.push(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
                continue;
            }
            Some(known) => known.admin = true,
            None => changed.memberships.push(Membership { role: role.oid, grantor, admin }),
        }
        ddl.put(changed).await?;
        ddl.refresh().await?;
    }
    Ok(())
}

async fn revoke(ddl: &mut Ddl, role: &str, members: &[RoleName], admin_only: bool) -> Result<()> {
    let role = find(ddl, &RoleName::Named(role.to_string()))?;
    check_admin(ddl, &role)?;
    for name in members {
        let member = find(ddl, name)?;
        let mut changed = (*member).clone();
        match changed.memberships.iter().position(|each| each.role == role.oid) {
            None => {
                let message = format!("role \"{}\" is not a member of role \"{}\"", member.name, role.name);
                ddl.warn(message);
                continue;
            }
            Some(place) if admin_only => changed.memberships[place].admin = false,
            Some(place) => {
                changed.memberships.remove(place);
            }
        }
        ddl.put(changed).await?;
        ddl.refresh().await?;
    }
    Ok(())
}
