//! Collations: pg_collation, and which one a column has. All of them order by bytes.

use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};

use crate::catalog::{IndexColumn, PG_CATALOG, SUPERUSER, Table, TableColumn};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::domain::base_type;
use crate::types::{Category, Oid, TypeCatalog, builtin_type};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_collation", collations)];

/// The collations that are kept: OID, name and provider. PostgreSQL fixes no OID of the last one: this is the usual one.
pub const COLLATIONS: [(Oid, &str, u8); 4] =
    [(100, "default", b'd'), (950, "C", b'c'), (951, "POSIX", b'c'), (12340, "ucs_basic", b'c')];

/// The collation that a type's values have: `default`, or none.
pub fn collation(type_oid: Oid) -> Oid {
    match builtin_type(type_oid) {
        Some(info) if info.name == "name" => 950,
        Some(info) if info.category == Category::String => 100,
        Some(info) => info.element().map_or(0, collation),
        None => 0,
    }
}

/// The OID of a collation, 0 where it has no row here.
pub fn known(name: &str) -> Oid {
    COLLATIONS.iter().find(|(_, known, _)| *known == name).map_or(0, |(oid, ..)| *oid)
}

/// What is kept of a collation that is named for values of a type: 0 where that has it anyway, or where it is one
/// that has no row here.
pub fn kept(name: &str, type_oid: Oid) -> Oid {
    let found = known(name);
    if found == collation(type_oid) { 0 } else { found }
}

/// The name of a collation.
pub fn collation_name(collation: Oid) -> Option<&'static str> {
    COLLATIONS.iter().find(|(oid, ..)| *oid == collation).map(|(_, name, _)| *name)
}

/// The collation of a table's column.
pub fn of_column(types: &dyn TypeCatalog, column: &TableColumn) -> Oid {
    match column.collation {
        0 => collation(base_type(column.type_oid, types)),
        named => named,
    }
}

/// The collation that a column of an index has where none is named.
pub fn of_source(types: &dyn TypeCatalog, table: &Table, key: &IndexColumn) -> Oid {
    match &key.expression {
        Some(expression) => collation(base_type(expression.type_oid, types)),
        None => of_column(types, table.column_numbered(key.number)),
    }
}

/// The collation of a column of an index.
pub fn of_key(types: &dyn TypeCatalog, table: &Table, key: &IndexColumn) -> Oid {
    if key.collation == 0 { of_source(types, table, key) } else { key.collation }
}

fn collations(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let rows = COLLATIONS.into_iter().map(|(number, name, provider)| {
        let locale = match name {
            "default" => Datum::Null,
            "ucs_basic" => text("C"),
            name => text(name),
        };
        relation.row(&[
            ("oid", oid(number)),
            ("collname", text(name)),
            ("collnamespace", oid(PG_CATALOG)),
            ("collowner", oid(SUPERUSER)),
            ("collprovider", letter(provider)),
            ("collisdeterministic", Datum::Bool(true)),
            ("collencoding", Datum::Int32(if name == "ucs_basic" { 6 } else { -1 })),
            ("collcollate", locale.clone()),
            ("collctype", locale),
        ])
    });
    Ok(rows.collect())
}
