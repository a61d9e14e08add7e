//! Rights as relations: pg_default_acl, and information_schema's privileges and roles.

use super::collations::COLLATIONS;
use super::information_schema::yes_or_no;
use super::relation::{MakeRows, RelationRows, VirtualRelation, computed_relations, letter, oid, text};
use super::schema_objects::schema_name;
use crate::catalog::{
    EVERYBODY, Grant, PG_CATALOG, Rights, SUPERUSER, SecuredKind, Sequence, default_grants,
};
use crate::error::Result;
use crate::execute::Environment;
use crate::rights::{grants_datum, object_type, relation as secured_relation};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_default_acl", default_rights),
    ("information_schema.table_privileges", table_privileges),
    ("information_schema.role_table_grants", table_privileges),
    ("information_schema.column_privileges", column_privileges),
    ("information_schema.role_column_grants", column_privileges),
    ("information_schema.usage_privileges", usage_privileges),
    ("information_schema.role_usage_grants", usage_privileges),
    ("information_schema.udt_privileges", type_privileges),
    ("information_schema.role_udt_grants", type_privileges),
    ("information_schema.enabled_roles", enabled_roles),
    ("information_schema.applicable_roles", applicable_roles),
    ("information_schema.administrable_role_authorizations", administrable_roles),
];

/// The list of an object, where it has one that is no default.
pub fn list_of(environment: &Environment, object: u32) -> Datum {
    let stored = environment.catalog.rights_on(object).and_then(|rights| rights.grants.as_deref());
    stored.map_or(Datum::Null, |grants| grants_datum(&environment.catalog, grants))
}

/// The list of a column, where it has one.
pub fn list_of_column(environment: &Environment, relation: u32, column: i16) -> Datum {
    let stored = environment.catalog.rights_on(relation).and_then(|rights| rights.column(column));
    stored.map_or(Datum::Null, |grants| grants_datum(&environment.catalog, grants))
}

/// The name of a role that owns something.
pub fn owner_name(environment: &Environment, owner: u32) -> Datum {
    let role = environment.catalog.role(owner);
    text(role.map_or_else(|| format!("unknown (OID={owner})"), |role| role.name.clone()))
}

fn default_rights(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let rows = environment.catalog.default_rights().map(|rights| {
        relation.row(&[
            ("oid", oid(rights.oid)),
            ("defaclrole", oid(rights.role)),
            ("defaclnamespace", oid(rights.schema)),
            ("defaclobjtype", letter(rights.kind)),
            ("defaclacl", grants_datum(&environment.catalog, &rights.grants)),
        ])
    });
    Ok(rows.collect())
}

/// What a relation shows of who gave what to whom: the views about roles only what an enabled role gave or has.
pub struct Viewer<'e> {
    environment: &'e Environment,
    is_about_roles: bool,
}

impl<'e> Viewer<'e> {
    pub fn new(environment: &'e Environment, relation: &VirtualRelation) -> Viewer<'e> {
        Viewer { environment, is_about_roles: relation.name.starts_with("role_") }
    }

    /// The rights of a list that are shown: grantor, grantee, right, grantable.
    pub fn shown(&self, owner: u32, grants: &[Grant]) -> Vec<([Datum; 2], Rights, bool)> {
        let actor = self.environment.actor();
        let mut shown = Vec::new();
        for grant in grants {
            let is_enabled = actor.has_role(grant.grantor)
                || (grant.grantee != EVERYBODY && actor.has_role(grant.grantee))
                || (grant.grantee == EVERYBODY && !self.is_about_roles);
            if !is_enabled {
                continue;
            }
            let grantee = match grant.grantee {
                EVERYBODY => text("PUBLIC"),
                role => owner_name(self.environment, role),
            };
            for right in grant.rights.each() {
                let names = [owner_name(self.environment, grant.grantor), grantee.clone()];
                let is_owners =
                    self.environment.who.instead(grant.grantee).among(actor.catalog).has_role(owner);
                let grantable = grant.options.has(right) || (grant.grantee != EVERYBODY && is_owners);
                shown.push((names, right, grantable));
            }
        }
        shown
    }
}

/// The relations that have rights for all rows: OID, schema and name.
fn relations(environment: &Environment) -> Vec<(u32, String, String)> {
    let catalog = &environment.catalog;
    let tables = catalog.plain_tables().map(|entry| (entry.table.oid, entry.table.schema, &entry.table.name));
    let views = catalog.views().map(|view| (view.oid, view.schema, &view.name));
    let stored =
        tables.chain(views).map(|(oid, schema, name)| (oid, schema_name(environment, schema), name.clone()));
    let computed = computed_relations(environment);
    let computed = computed.map(|each| (each.oid, each.schema_name().to_string(), each.name.to_string()));
    stored.chain(computed).collect()
}

fn table_privileges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let viewer = Viewer::new(environment, relation);
    let mut rows = RelationRows::new();
    for (number, schema, name) in relations(environment) {
        let Some(secured) = secured_relation(&environment.catalog, number) else { continue };
        for ([grantor, grantee], right, grantable) in viewer.shown(secured.owner, &secured.grants) {
            rows.push(relation.row(&[
                ("grantor", grantor),
                ("grantee", grantee),
                ("table_catalog", text(&environment.database)),
                ("table_schema", text(&schema)),
                ("table_name", text(&name)),
                ("privilege_type", text(right.name())),
                ("is_grantable", yes_or_no(grantable)),
                ("with_hierarchy", yes_or_no(right == Rights::SELECT)),
            ]));
        }
    }
    Ok(rows)
}

/// The live columns of a stored relation.
pub fn columns_of(environment: &Environment, relation: u32) -> Vec<(i16, String)> {
    let catalog = &environment.catalog;
    if let Some(entry) = catalog.table(relation) {
        return entry.table.live_columns().map(|column| (column.number, column.name.clone())).collect();
    }
    if let Some(view) = catalog.view(relation) {
        return (1..).zip(view.columns.iter().map(|column| column.name.clone())).collect();
    }
    let computed = super::with_oid(relation).map_or(&[][..], |computed| &computed.columns);
    (1..).zip(computed.iter().map(|(name, _)| (*name).to_string())).collect()
}

fn column_privileges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let viewer = Viewer::new(environment, relation);
    let mut rows = RelationRows::new();
    for (number, schema, name) in relations(environment) {
        let Some(secured) = secured_relation(&environment.catalog, number) else { continue };
        let whole = viewer.shown(secured.owner, &secured.grants);
        for (column, column_name) in columns_of(environment, number) {
            let own = environment.catalog.rights_on(number).and_then(|rights| rights.column(column));
            let own = viewer.shown(secured.owner, own.unwrap_or_default());
            let mut shown: Vec<([Datum; 2], Rights, bool)> = Vec::new();
            for each in whole.iter().filter(|(_, right, _)| Rights::COLUMN.has(*right)).chain(&own) {
                if !shown.contains(each) {
                    shown.push(each.clone());
                }
            }
            for ([grantor, grantee], right, grantable) in shown {
                rows.push(relation.row(&[
                    ("grantor", grantor),
                    ("grantee", grantee),
                    ("table_catalog", text(&environment.database)),
                    ("table_schema", text(&schema)),
                    ("table_name", text(&name)),
                    ("column_name", text(&column_name)),
                    ("privilege_type", text(right.name())),
                    ("is_grantable", yes_or_no(grantable)),
                ]));
            }
        }
    }
    Ok(rows)
}

/// The right to use collations, which is everybody's, domains and sequences.
fn usage_privileges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let viewer = Viewer::new(environment, relation);
    let catalog = &environment.catalog;
    let domains = catalog.user_types().map(|entry| &entry.definition);
    let domains = domains
        .filter(|own| own.domain().is_some())
        .map(|own| ("DOMAIN", own.schema, &own.name, object_type(catalog, own.oid)));
    let is_internal = |each: &Sequence| each.owned_by.is_some_and(|owner| owner.is_identity);
    let sequences = catalog.sequences().filter(|each| !is_internal(each));
    let sequences =
        sequences.map(|each| ("SEQUENCE", each.schema, &each.name, secured_relation(catalog, each.oid)));
    let row = |[grantor, grantee]: [Datum; 2], schema: u32, name: &str, kind: &str, grantable: bool| {
        relation.row(&[
            ("grantor", grantor),
            ("grantee", grantee),
            ("object_catalog", text(&environment.database)),
            ("object_schema", text(schema_name(environment, schema))),
            ("object_name", text(name)),
            ("object_type", text(kind)),
            ("privilege_type", text("USAGE")),
            ("is_grantable", yes_or_no(grantable)),
        ])
    };
    let mut rows = RelationRows::new();
    if !viewer.is_about_roles || environment.actor().has_role(SUPERUSER) {
        let names = [owner_name(environment, SUPERUSER), text("PUBLIC")];
        let collations = COLLATIONS.iter();
        rows.extend(collations.map(|(_, name, _)| row(names.clone(), PG_CATALOG, name, "COLLATION", false)));
    }
    for (kind, schema, name, secured) in domains.chain(sequences) {
        let Some(secured) = secured else { continue };
        let shown = viewer.shown(secured.owner, &secured.grants).into_iter();
        for (names, _, grantable) in shown.filter(|(_, right, _)| *right == Rights::USAGE) {
            rows.push(row(names, schema, name, kind, grantable));
        }
    }
    Ok(rows)
}

/// Composite types alone are user-defined types to the standard, and those of tables' and views' rows are all that
/// there are. Their lists are the default.
fn type_privileges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let viewer = Viewer::new(environment, relation);
    let mut rows = RelationRows::new();
    for (number, schema, name) in relations(environment) {
        let Some(secured) = secured_relation(&environment.catalog, number) else { continue };
        let grants = default_grants(SecuredKind::Type, secured.owner);
        for ([grantor, grantee], _, grantable) in viewer.shown(secured.owner, &grants) {
            rows.push(relation.row(&[
                ("grantor", grantor),
                ("grantee", grantee),
                ("udt_catalog", text(&environment.database)),
                ("udt_schema", text(&schema)),
                ("udt_name", text(&name)),
                ("privilege_type", text("TYPE USAGE")),
                ("is_grantable", yes_or_no(grantable)),
            ]));
        }
    }
    Ok(rows)
}

fn enabled_roles(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let enabled = environment.catalog.roles().filter(|role| actor.has_role(role.oid));
    Ok(enabled.map(|role| relation.row(&[("role_name", text(&role.name))])).collect())
}

/// The memberships of the enabled roles.
fn applicable_roles(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = RelationRows::new();
    for member in environment.catalog.roles().filter(|role| actor.has_role(role.oid)) {
        for membership in &member.memberships {
            rows.push(relation.row(&[
                ("grantee", text(&member.name)),
                ("role_name", owner_name(environment, membership.role)),
                ("is_grantable", yes_or_no(membership.admin)),
            ]));
        }
    }
    Ok(rows)
}

fn administrable_roles(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = applicable_roles(environment, relation)?;
    rows.retain(|row| row.last().and_then(Datum::as_text) == Some("YES"));
    Ok(rows)
}
