//! The types of columns, domains and routines, each by its object and a number: `data_type_privileges` lists all that are
//! shown, `element_types` tells of arrays what they are of.

use super::columns::each_column;
use super::is_column_shown;
use super::routines::specific_name;
use super::usage::named_type;
use crate::catalog::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::error::Result;
use crate::execute::Environment;
use crate::relations::procedures;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::relations::schema_objects::schema_name;
use crate::relations::types::shown_domains;
use crate::types::{Oid, is_user_type, oids};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("information_schema.data_type_privileges", data_type_privileges),
    ("information_schema.element_types", element_types),
];

/// The views that describe types: name, what its objects are, and how it calls their schema and name.
const DESCRIBING: [(&str, &str, &str, &str); 4] = [
    ("columns", "TABLE", "table_schema", "table_name"),
    ("domains", "DOMAIN", "domain_schema", "domain_name"),
    ("parameters", "ROUTINE", "specific_schema", "specific_name"),
    ("routines", "ROUTINE", "specific_schema", "specific_name"),
];

fn data_type_privileges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for (name, kind, schema_column, name_column) in DESCRIBING {
        let Some(described) = crate::relations::find(INFORMATION_SCHEMA, name) else { continue };
        let place = |name: &str| described.columns.iter().position(|(each, _)| *each == name);
        let value =
            |row: &[Datum], at: Option<usize>| at.and_then(|at| row.get(at).cloned()).unwrap_or_default();
        let (schema, name, number) = (place(schema_column), place(name_column), place("dtd_identifier"));
        rows.extend(described.rows(environment)?.iter().map(|row| {
            relation.row(&[
                ("object_catalog", text(&environment.database)),
                ("object_schema", value(row, schema)),
                ("object_name", value(row, name)),
                ("object_type", text(kind)),
                ("dtd_identifier", value(row, number)),
            ])
        }));
    }
    Ok(rows)
}

/// What the type of an object is the type of.
struct Described<'d> {
    schema: &'d str,
    name: &'d str,
    kind: &'d str,
    number: usize,
    type_oid: Oid,
}

/// The row of an array type; `None` for other types.
fn element_row(
    environment: &Environment,
    relation: &VirtualRelation,
    described: &Described<'_>,
) -> Option<Vec<Datum>> {
    let array = environment.catalog.type_info(described.type_oid)?;
    let element = environment.catalog.type_info(array.element().filter(|_| array.length == -1)?)?;
    let place = named_type(environment, element.oid)?;
    // `name` alone has a collation that is not the default one; arguments have none.
    let has_collation = element.oid == oids::NAME && described.kind != "ROUTINE";
    let of_collation = |value: &str| if has_collation { text(value) } else { Datum::Null };
    let type_name = if is_user_type(element.oid) { "USER-DEFINED" } else { &element.sql_name };
    Some(relation.row(&[
        ("object_catalog", text(&environment.database)),
        ("object_schema", text(described.schema)),
        ("object_name", text(described.name)),
        ("object_type", text(described.kind)),
        ("collection_type_identifier", text(described.number.to_string())),
        ("data_type", text(type_name)),
        ("collation_catalog", of_collation(&environment.database)),
        ("collation_schema", of_collation("pg_catalog")),
        ("collation_name", of_collation("C")),
        ("udt_catalog", text(&environment.database)),
        ("udt_schema", text(place.schema)),
        ("udt_name", text(place.name)),
        ("dtd_identifier", text(format!("a{}", described.number))),
    ]))
}

fn element_types(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = Vec::new();
    let mut add = |described: Described<'_>| rows.extend(element_row(environment, relation, &described));
    each_column(environment, |column| {
        let number = i16::try_from(column.number).unwrap_or(0);
        if is_column_shown(environment, &actor, column.relation_oid, number) {
            let (schema, name, type_oid) = (column.schema, column.relation, column.data_type.oid);
            add(Described { schema, name, kind: "TABLE", number: column.number, type_oid });
        }
    });
    for (own, domain) in shown_domains(environment) {
        let (schema, type_oid) = (&schema_name(environment, own.schema), domain.base.oid);
        add(Described { schema, name: &own.name, kind: "DOMAIN", number: 1, type_oid });
    }
    let schema = &schema_name(environment, PG_CATALOG);
    for procedure in procedures::all() {
        let name = &specific_name(procedure);
        for (number, type_oid) in [procedure.result].iter().chain(&procedure.arguments).enumerate() {
            add(Described { schema, name, kind: "ROUTINE", number, type_oid: *type_oid });
        }
    }
    Ok(rows)
}
