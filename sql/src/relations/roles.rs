//! Roles, databases, settings: pg_authid, pg_roles, pg_user, pg_database, pg_tablespace, pg_settings.

use std::collections::BTreeMap;

use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use crate::backends::Signal;
use crate::catalog::{CatalogSnapshot, READ_ALL_SETTINGS, Role, SUPERUSER};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::rights::Actor;
use crate::session::{SettingKind, SettingValues};
use crate::types::oids;
use crate::value::{ArrayValue, Datum};

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_authid", stored_roles),
    ("pg_roles", roles),
    ("pg_user", users),
    ("pg_shadow", stored_users),
    ("pg_group", groups),
    ("pg_auth_members", memberships),
    ("pg_db_role_setting", role_settings),
    ("pg_database", databases),
    ("pg_tablespace", tablespaces),
    ("pg_settings", settings),
];

/// What everybody sees of a password.
const HIDDEN: &str = "********";

fn verifier(role: &Role) -> Datum {
    role.verifier.as_ref().map_or(Datum::Null, text)
}

fn valid_until(role: &Role) -> Datum {
    role.valid_until.map_or(Datum::Null, Datum::TimestampTz)
}

/// Settings, as `name=value`.
pub(super) fn configuration(settings: &[(String, String)]) -> Datum {
    if settings.is_empty() {
        return Datum::Null;
    }
    let settings = settings.iter().map(|(name, value)| text(format!("{name}={value}")));
    Datum::from(ArrayValue::from_elements(oids::TEXT, settings.collect()))
}

fn stored_roles(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(environment.catalog.roles().map(|role| role_row(relation, role, verifier(role))).collect())
}

fn roles(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(environment.catalog.roles().map(|role| role_row(relation, role, text(HIDDEN))).collect())
}

fn role_row(relation: &VirtualRelation, role: &Role, password: Datum) -> Vec<Datum> {
    let attributes = &role.attributes;
    let mut columns = vec![
        ("oid", oid(role.oid)),
        ("rolname", text(&role.name)),
        ("rolsuper", Datum::Bool(attributes.superuser)),
        ("rolinherit", Datum::Bool(attributes.inherit)),
        ("rolcreaterole", Datum::Bool(attributes.create_role)),
        ("rolcreatedb", Datum::Bool(attributes.create_database)),
        ("rolcanlogin", Datum::Bool(attributes.login)),
        ("rolreplication", Datum::Bool(attributes.replication)),
        ("rolbypassrls", Datum::Bool(attributes.bypass_row_security)),
        ("rolconnlimit", Datum::Int32(role.connection_limit)),
        ("rolpassword", password),
        ("rolvaliduntil", valid_until(role)),
    ];
    if relation.name == "pg_roles" {
        columns.push(("rolconfig", configuration(&role.settings)));
    }
    relation.row(&columns)
}

fn stored_users(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(user_rows(environment, relation, verifier))
}

fn users(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(user_rows(environment, relation, |_| text(HIDDEN)))
}

fn user_rows(
    environment: &Environment,
    relation: &VirtualRelation,
    password: impl Fn(&Role) -> Datum,
) -> RelationRows {
    let users = environment.catalog.roles().filter(|role| role.attributes.login);
    users
        .map(|role| {
            let attributes = &role.attributes;
            relation.row(&[
                ("usename", text(&role.name)),
                ("usesysid", oid(role.oid)),
                ("usecreatedb", Datum::Bool(attributes.create_database)),
                ("usesuper", Datum::Bool(attributes.superuser)),
                ("userepl", Datum::Bool(attributes.replication)),
                ("usebypassrls", Datum::Bool(attributes.bypass_row_security)),
                ("passwd", password(role)),
                ("valuntil", valid_until(role)),
                ("useconfig", configuration(&role.settings)),
            ])
        })
        .collect()
}

/// Refuses to let the current role end what another's session does, unless it may.
///
/// # Errors
/// 42501.
pub fn may_signal(catalog: &CatalogSnapshot, actor: &Actor<'_>, other: &str, signal: Signal) -> Result<()> {
    const SIGNAL_BACKEND: u32 = 4200;
    let is_superuser = |role: &Role| role.attributes.superuser;
    let Some(other) = catalog.role_named(other) else { return Ok(()) };
    let may = actor.has_role(other.oid) || actor.has_role(SIGNAL_BACKEND);
    if actor.is_superuser() || may && !is_superuser(other) {
        return Ok(());
    }
    let (superuser, member) = match signal {
        Signal::Cancel => ("cancel superuser query", "query is being canceled"),
        _ => ("terminate superuser process", "process is being terminated"),
    };
    let message = if is_superuser(other) {
        format!("must be a superuser to {superuser}")
    } else {
        format!("must be a member of the role whose {member} or member of pg_signal_backend")
    };
    Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}

/// `pg_has_role([user,] role, privilege)`
///
/// # Errors
/// 42704 for a role that does not exist, 22023 for an unknown privilege.
pub fn has_role(environment: &Environment, arguments: &[Datum]) -> Result<bool> {
    let catalog = &environment.catalog;
    let current = Datum::text(&environment.user);
    let (user, role, kind) = match arguments {
        [user, role, kind] => (user, role, kind),
        [role, kind] => (&current, role, kind),
        _ => return Err(SqlError::internal("pg_has_role takes two or three arguments")),
    };
    let find = |argument: &Datum| match argument.as_text() {
        Some(name) => catalog.role_named(name).map(|role| role.oid).ok_or_else(|| {
            SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
        }),
        None => Ok(argument.as_i64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)),
    };
    let (user, role) = (find(user)?, find(role)?);
    let actor = environment.who.instead(user).among(catalog);
    let is_superuser = actor.is_superuser();
    let is_admin = |group: &u32| {
        let memberships = catalog.role(*group).map_or(&[][..], |group| &group.memberships);
        memberships.iter().any(|membership| membership.role == role && membership.admin)
    };
    // A list of privileges asks for any of them.
    let mut has = false;
    for kind in kind.as_text().unwrap_or_default().split(',') {
        let kind = kind.trim();
        has |= match kind.to_ascii_lowercase().as_str() {
            "usage" => actor.has_role(role),
            "member" => actor.is_member(role),
            "usage with admin option"
            | "usage with grant option"
            | "member with admin option"
            | "member with grant option" => {
                is_superuser || catalog.groups_of(user, false).iter().any(is_admin)
            }
            _ => {
                return Err(SqlError::invalid_parameter(format!("unrecognized privilege type: \"{kind}\"")));
            }
        };
    }
    Ok(has)
}

fn groups(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let catalog = &environment.catalog;
    let members = |group: u32| {
        let members = catalog.roles().filter(|role| is_direct_member(role, group));
        Datum::from(ArrayValue::from_elements(oids::OID, members.map(|role| oid(role.oid)).collect()))
    };
    let groups = catalog.roles().filter(|role| !role.attributes.login);
    Ok(groups
        .map(|role| {
            relation.row(&[
                ("groname", text(&role.name)),
                ("grosysid", oid(role.oid)),
                ("grolist", members(role.oid)),
            ])
        })
        .collect())
}

fn is_direct_member(role: &Role, group: u32) -> bool {
    role.memberships.iter().any(|membership| membership.role == group)
}

fn memberships(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let pairs =
        environment.catalog.roles().flat_map(|role| role.memberships.iter().map(move |each| (role, each)));
    Ok(pairs
        .map(|(member, membership)| {
            relation.row(&[
                ("roleid", oid(membership.role)),
                ("member", oid(member.oid)),
                ("grantor", oid(membership.grantor)),
                ("admin_option", Datum::Bool(membership.admin)),
            ])
        })
        .collect())
}

fn role_settings(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let directory = environment.directory.lock().clone();
    let catalog = &environment.catalog;
    let mut configured: BTreeMap<(u32, u32), Vec<(String, String)>> = BTreeMap::new();
    for database in &directory.databases {
        configured.insert((database.oid, 0), database.settings.clone());
    }
    for role in catalog.roles() {
        configured.insert((0, role.oid), role.settings.clone());
    }
    for of in catalog.configurations() {
        for (role, settings) in &of.roles {
            configured.entry((of.oid, *role)).or_default().extend(settings.iter().cloned());
        }
    }
    configured.retain(|_, settings| !settings.is_empty());
    Ok(configured
        .iter()
        .map(|((database, role), settings)| {
            let (database, role, configuration) = (*database, *role, configuration(settings));
            relation.row(&[
                ("setdatabase", oid(database)),
                ("setrole", oid(role)),
                ("setconfig", configuration),
            ])
        })
        .collect())
}

/// The OID of a database by a name that a session came with; the first one has several.
pub fn database_oid(environment: &Environment, name: &str) -> u32 {
    let directory = environment.directory.lock();
    directory.database(name).or(directory.first()).map_or(0, |database| database.oid)
}

fn databases(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let directory = environment.directory.lock().clone();
    let own = directory.database_of(environment.branch).map(|database| database.oid);
    let rows = directory.databases.iter().map(|database| {
        // The first one has several names: it shows the one that the session knows it by.
        let name = if own == Some(database.oid) { &environment.database } else { &database.name };
        relation.row(&[
            ("oid", oid(database.oid)),
            ("datname", text(name)),
            ("datdba", oid(database.owner)),
            ("datacl", super::standard_rights::list_of(environment, database.oid)),
            ("encoding", Datum::Int32(6)),
            ("datlocprovider", letter(b'c')),
            ("datistemplate", Datum::Bool(database.is_template)),
            ("datallowconn", Datum::Bool(database.allows_connections)),
            ("datconnlimit", Datum::Int32(database.connection_limit)),
            ("datfrozenxid", oid(0)),
            ("datminmxid", oid(0)),
            ("dattablespace", oid(1663)),
            ("datcollate", text("C")),
            ("datctype", text("C")),
        ])
    });
    Ok(rows.collect())
}

/// The tablespaces: OID and name.
pub const TABLESPACES: [(u32, &str); 2] = [(1663, "pg_default"), (1664, "pg_global")];

fn tablespaces(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(TABLESPACES
        .into_iter()
        .map(|(number, name)| {
            relation.row(&[("oid", oid(number)), ("spcname", text(name)), ("spcowner", oid(SUPERUSER))])
        })
        .collect())
}

fn settings(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let optional = |value: &str| if value.is_empty() { Datum::Null } else { text(value) };
    let values = &environment.settings;
    let sees_all = environment.actor().has_role(READ_ALL_SETTINGS);
    Ok(values
        .all()
        .into_iter()
        .filter(|(setting, _)| sees_all || !setting.is_private)
        .map(|(setting, value)| {
            let words = match &setting.kind {
                SettingKind::Enum(words) => {
                    Datum::from(ArrayValue::from_elements(oids::TEXT, words.iter().map(text).collect()))
                }
                _ => Datum::Null,
            };
            relation.row(&[
                ("name", text(setting.name)),
                ("setting", text(SettingValues::in_unit(setting, &value))),
                ("unit", setting.unit().map_or(Datum::Null, |unit| text(unit.name()))),
                ("category", text(setting.category)),
                ("short_desc", text(setting.description)),
                ("extra_desc", optional(setting.more)),
                ("context", text(setting.context.name())),
                ("vartype", text(setting.type_name())),
                ("source", text(values.source(setting.name))),
                ("min_val", optional(setting.bounds[0])),
                ("max_val", optional(setting.bounds[1])),
                ("enumvals", words),
                ("boot_val", setting.boot_value.map_or(Datum::Null, text)),
                ("reset_val", text(SettingValues::in_unit(setting, values.reset_value(setting)))),
                ("pending_restart", Datum::Bool(false)),
            ])
        })
        .collect())
}
