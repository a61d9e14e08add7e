//! Roles, databases, settings: pg_authid, pg_roles, pg_user, pg_database, pg_tablespace, pg_settings.

use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use crate::catalog::SUPERUSER;
use crate::error::Result;
use crate::execute::Environment;
use crate::session::SettingKind;
use crate::types::oids;
use crate::value::{ArrayValue, Datum};

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_authid", roles),
    ("pg_roles", roles),
    ("pg_user", users),
    ("pg_shadow", users),
    ("pg_database", databases),
    ("pg_tablespace", tablespaces),
    ("pg_settings", settings),
];

/// The OID of the first database.
const DATABASE: u32 = 5;

/// The roles that exist: the owner of everything, and the session's user.
pub fn role_names(environment: &Environment) -> Vec<(u32, String)> {
    let mut names = vec![(SUPERUSER, "postgres".to_string())];
    if environment.user != "postgres" {
        names.push((SUPERUSER + 1, environment.user.clone()));
    }
    names
}

fn roles(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(role_names(environment)
        .into_iter()
        .map(|(number, name)| {
            relation.row(&[
                ("oid", oid(number)),
                ("rolname", text(name)),
                ("rolsuper", Datum::Bool(true)),
                ("rolinherit", Datum::Bool(true)),
                ("rolcreaterole", Datum::Bool(true)),
                ("rolcreatedb", Datum::Bool(true)),
                ("rolcanlogin", Datum::Bool(true)),
                ("rolreplication", Datum::Bool(true)),
                ("rolbypassrls", Datum::Bool(true)),
                ("rolconnlimit", Datum::Int32(-1)),
            ])
        })
        .collect())
}

fn users(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(role_names(environment)
        .into_iter()
        .map(|(number, name)| {
            relation.row(&[
                ("usename", text(name)),
                ("usesysid", oid(number)),
                ("usecreatedb", Datum::Bool(true)),
                ("usesuper", Datum::Bool(true)),
                ("userepl", Datum::Bool(true)),
                ("usebypassrls", Datum::Bool(true)),
            ])
        })
        .collect())
}

fn databases(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(vec![relation.row(&[
        ("oid", oid(DATABASE)),
        ("datname", text(&environment.database)),
        ("datdba", oid(SUPERUSER)),
        ("encoding", Datum::Int32(6)),
        ("datlocprovider", letter(b'c')),
        ("datistemplate", Datum::Bool(false)),
        ("datallowconn", Datum::Bool(true)),
        ("datconnlimit", Datum::Int32(-1)),
        ("datfrozenxid", oid(0)),
        ("datminmxid", oid(0)),
        ("dattablespace", oid(1663)),
        ("datcollate", text("C")),
        ("datctype", text("C")),
    ])])
}

fn tablespaces(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok([(1663, "pg_default"), (1664, "pg_global")]
        .into_iter()
        .map(|(number, name)| {
            relation.row(&[("oid", oid(number)), ("spcname", text(name)), ("spcowner", oid(SUPERUSER))])
        })
        .collect())
}

fn settings(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let all = environment.settings.all();
    Ok(all
        .into_iter()
        .map(|(setting, value)| {
            let (kind, unit, allowed) = match setting.kind {
                SettingKind::Bool => ("bool", "", None),
                SettingKind::Integer { unit, .. } => ("integer", unit, None),
                SettingKind::Real { .. } => ("real", "", None),
                SettingKind::Text => ("string", "", None),
                SettingKind::Enum(allowed) => ("enum", "", Some(allowed)),
            };
            let allowed = allowed.map_or(Datum::Null, |words| {
                Datum::from(ArrayValue::from_elements(oids::TEXT, words.iter().map(text).collect()))
            });
            relation.row(&[
                ("name", text(setting.name)),
                ("setting", text(&value)),
                ("unit", if unit.is_empty() { Datum::Null } else { text(unit) }),
                ("category", text("Client Connection Defaults")),
                ("short_desc", text(setting.description)),
                ("context", text(if setting.fixed { "internal" } else { "user" })),
                ("vartype", text(kind)),
                ("source", text("default")),
                ("enumvals", allowed),
                ("boot_val", text(setting.default)),
                ("reset_val", text(setting.default)),
                ("pending_restart", Datum::Bool(false)),
            ])
        })
        .collect())
}
