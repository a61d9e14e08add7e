//! Extensions: pg_extension, pg_available_extensions, pg_available_extension_versions.

use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use crate::catalog::{AVAILABLE_EXTENSIONS, AvailableExtension, PG_CATALOG, SUPERUSER, available_extension};
use crate::error::Result;
use crate::execute::Environment;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_extension", extensions),
    ("pg_available_extensions", available),
    ("pg_available_extension_versions", versions),
];

/// PL/pgSQL is an extension to PostgreSQL, and there in each database.
const PLPGSQL: AvailableExtension = AvailableExtension {
    name: "plpgsql",
    version: "1.0",
    is_relocatable: false,
    is_trusted: true,
    comment: "PL/pgSQL procedural language",
};
const PLPGSQL_OID: u32 = 13_823;

fn extensions(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |number: u32, name: &str, owner: u32, schema: u32, version: &str| {
        let is_relocatable = available_extension(name).is_some_and(|known| known.is_relocatable);
        relation.row(&[
            ("oid", oid(number)),
            ("extname", text(name)),
            ("extowner", oid(owner)),
            ("extnamespace", oid(schema)),
            ("extrelocatable", Datum::Bool(is_relocatable)),
            ("extversion", text(version)),
        ])
    };
    let own = environment.catalog.extensions();
    let own = own.map(|each| row(each.oid, &each.name, each.owner, each.schema, &each.version));
    Ok([row(PLPGSQL_OID, PLPGSQL.name, SUPERUSER, PG_CATALOG, PLPGSQL.version)]
        .into_iter()
        .chain(own)
        .collect())
}

fn installed<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    if name == PLPGSQL.name {
        return Some(PLPGSQL.version);
    }
    environment.catalog.extension_named(name).map(|extension| extension.version.as_str())
}

fn available(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |each: &AvailableExtension| {
        relation.row(&[
            ("name", text(each.name)),
            ("default_version", text(each.version)),
            ("installed_version", installed(environment, each.name).map_or(Datum::Null, text)),
            ("comment", text(each.comment)),
        ])
    };
    Ok([&PLPGSQL].into_iter().chain(AVAILABLE_EXTENSIONS).map(row).collect())
}

fn versions(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |each: &AvailableExtension| {
        relation.row(&[
            ("name", text(each.name)),
            ("version", text(each.version)),
            ("installed", Datum::Bool(installed(environment, each.name).is_some())),
            ("superuser", Datum::Bool(true)),
            ("trusted", Datum::Bool(each.is_trusted)),
            ("relocatable", Datum::Bool(each.is_relocatable)),
            ("comment", text(each.comment)),
        ])
    };
    Ok([&PLPGSQL].into_iter().chain(AVAILABLE_EXTENSIONS).map(row).collect())
}
