//! Tables, views and schemas: `tables`, `schemata`.

use super::is_shown;
use crate::catalog::{Rights, UserType};
use crate::error::Result;
use crate::execute::Environment;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, computed_relations, text};
use crate::relations::schema_objects::schema_name;
use crate::relations::standard_rights::owner_name;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] =
    &[("information_schema.tables", tables), ("information_schema.schemata", schemata)];

fn tables(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let shown = |oid: u32| is_shown(environment, &actor, oid);
    let row = |schema: &str, name: &str, kind: &str, of_type: Option<&UserType>| {
        let told = |value: &dyn Fn(&UserType) -> String| of_type.map_or(Datum::Null, |own| text(value(own)));
        relation.row(&[
            ("table_catalog", text(&environment.database)),
            ("table_schema", text(schema)),
            ("table_name", text(name)),
            ("table_type", text(kind)),
            ("is_insertable_into", text(if kind == "VIEW" { "NO" } else { "YES" })),
            ("user_defined_type_catalog", told(&|_| environment.database.to_string())),
            ("user_defined_type_schema", told(&|own| schema_name(environment, own.schema))),
            ("user_defined_type_name", told(&|own| own.name.clone())),
            ("is_typed", text(if of_type.is_some() { "YES" } else { "NO" })),
        ])
    };
    let mut rows = RelationRows::new();
    for entry in environment.catalog.plain_tables().filter(|entry| shown(entry.table.oid)) {
        let kind = if entry.table.is_temporary { "LOCAL TEMPORARY" } else { "BASE TABLE" };
        let of_type = environment.catalog.user_type(entry.table.of_type).map(|it| &*it.definition);
        rows.push(row(&schema_name(environment, entry.table.schema), &entry.table.name, kind, of_type));
    }
    for view in environment.catalog.views().filter(|view| shown(view.oid)) {
        rows.push(row(&schema_name(environment, view.schema), &view.name, "VIEW", None));
    }
    for computed in computed_relations(environment).filter(|computed| shown(computed.oid)) {
        rows.push(row(
            computed.schema_name(),
            computed.name,
            if computed.kind == b'v' { "VIEW" } else { "BASE TABLE" },
            None,
        ));
    }
    Ok(rows)
}

fn schemata(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    Ok(environment
        .catalog
        .schemas()
        .filter(|schema| {
            actor.has_role(schema.owner)
                || actor.may_in_schema(schema.oid, Rights::USAGE)
                || actor.may_in_schema(schema.oid, Rights::CREATE)
        })
        .map(|schema| {
            relation.row(&[
                ("catalog_name", text(&environment.database)),
                ("schema_name", text(&schema.name)),
                ("schema_owner", owner_name(environment, schema.owner)),
            ])
        })
        .collect())
}
