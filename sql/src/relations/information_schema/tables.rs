//! Tables, views and schemas: `tables`, `schemata`.

use super::is_shown;
use crate::catalog::Rights;
use crate::error::Result;
use crate::execute::Environment;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, computed_relations, text};
use crate::relations::schema_objects::schema_name;
use crate::relations::standard_rights::owner_name;

pub const MAKERS: &[(&str, MakeRows)] =
    &[("information_schema.tables", tables), ("information_schema.schemata", schemata)];

fn tables(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let shown = |oid: u32| is_shown(environment, &actor, oid);
    let row = |schema: &str, name: &str, kind: &str| {
        relation.row(&[
            ("table_catalog", text(&environment.database)),
            ("table_schema", text(schema)),
            ("table_name", text(name)),
            ("table_type", text(kind)),
            ("is_insertable_into", text(if kind == "VIEW" { "NO" } else { "YES" })),
            ("is_typed", text("NO")),
        ])
    };
    let mut rows = RelationRows::new();
    for entry in environment.catalog.plain_tables().filter(|entry| shown(entry.table.oid)) {
        let kind = if entry.table.is_temporary { "LOCAL TEMPORARY" } else { "BASE TABLE" };
        rows.push(row(&schema_name(environment, entry.table.schema), &entry.table.name, kind));
    }
    for view in environment.catalog.views().filter(|view| shown(view.oid)) {
        rows.push(row(&schema_name(environment, view.schema), &view.name, "VIEW"));
    }
    for computed in computed_relations(environment).filter(|computed| shown(computed.oid)) {
        rows.push(row(
            computed.schema_name(),
            computed.name,
            if computed.kind == b'v' { "VIEW" } else { "BASE TABLE" },
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
