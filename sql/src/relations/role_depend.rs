//! What depends on roles: pg_shdepend, their objects and what was granted to them; and the rights that objects had from
//! the start: pg_init_privs.

use super::procedures;
use super::relation::{MakeRows, RelationRows, VirtualRelation, computed_relations, letter, oid};
use crate::catalog::{
    Grant, INFORMATION_SCHEMA, PG_AUTHID, PG_CATALOG, PG_CLASS, PG_DATABASE, PG_NAMESPACE, PG_PROC, PG_TYPE,
    PUBLIC, initial_schema_grants,
};
use crate::error::Result;
use crate::execute::Environment;
use crate::functions::FIRST_USER_OID;
use crate::rights::{computed_grants, grants_datum, initial_function_grants};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] =
    &[("pg_shdepend", dependencies), ("pg_init_privs", initial_privileges)];

/// Those of what is in this database, and of the databases. Roles that are there from the start are named by nobody, as
/// in PostgreSQL.
fn dependencies(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let catalog = &environment.catalog;
    let directory = environment.directory.lock().clone();
    let database = directory.database_of(environment.branch).map_or(0, |database| database.oid);
    let row = |class: u32, object: u32, role: u32, kind: u8| {
        let is_named = role >= FIRST_USER_OID;
        is_named.then(|| {
            relation.row(&[
                ("dbid", oid(if class == PG_DATABASE { 0 } else { database })),
                ("classid", oid(class)),
                ("objid", oid(object)),
                ("objsubid", Datum::Int32(0)),
                ("refclassid", oid(PG_AUTHID)),
                ("refobjid", oid(role)),
                ("deptype", letter(kind)),
            ])
        })
    };
    let tables = catalog.tables().map(|entry| (PG_CLASS, entry.table.oid, entry.table.owner));
    let views = catalog.views().map(|view| (PG_CLASS, view.oid, view.owner));
    let sequences = catalog.sequences().map(|sequence| (PG_CLASS, sequence.oid, sequence.owner));
    let schemas = catalog.schemas().map(|schema| (PG_NAMESPACE, schema.oid, schema.owner));
    let types = catalog.user_types().map(|entry| (PG_TYPE, entry.definition.oid, entry.definition.owner));
    let databases = directory.databases.iter().map(|each| (PG_DATABASE, each.oid, each.owner));
    let owned: Vec<(u32, u32, u32)> =
        tables.chain(views).chain(sequences).chain(schemas).chain(types).chain(databases).collect();
    let mut rows: RelationRows =
        owned.iter().filter_map(|(class, object, owner)| row(*class, *object, *owner, b'o')).collect();
    for (class, object, owner) in owned {
        let Some(rights) = catalog.rights_on(object) else { continue };
        let on_columns = rights.columns.iter().flat_map(|(_, grants)| grants);
        let mut roles: Vec<u32> = rights
            .grants
            .iter()
            .flatten()
            .chain(on_columns)
            .flat_map(|grant: &Grant| [grant.grantee, grant.grantor])
            .filter(|role| *role != owner)
            .collect();
        roles.sort_unstable();
        roles.dedup();
        rows.extend(roles.into_iter().filter_map(|role| row(class, object, role, b'a')));
    }
    Ok(rows)
}

fn initial_privileges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |class: u32, object: u32, grants: &[Grant]| {
        relation.row(&[
            ("objoid", oid(object)),
            ("classoid", oid(class)),
            ("objsubid", Datum::Int32(0)),
            ("privtype", letter(b'i')),
            ("initprivs", grants_datum(&environment.catalog, grants)),
        ])
    };
    let relations = computed_relations(environment);
    let relations = relations.map(|computed| row(PG_CLASS, computed.oid, &computed_grants(computed)));
    let schemas = [PG_CATALOG, INFORMATION_SCHEMA, PUBLIC]
        .into_iter()
        .filter_map(|schema| initial_schema_grants(schema).map(|grants| row(PG_NAMESPACE, schema, &grants)));
    let functions = procedures::all().iter();
    let functions = functions
        .filter_map(|each| initial_function_grants(each.oid).map(|grants| row(PG_PROC, each.oid, &grants)));
    Ok(relations.chain(schemas).chain(functions).collect())
}
