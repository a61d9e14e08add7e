//! Views: pg_views, pg_matviews, pg_rewrite, information_schema.views.

use super::information_schema::is_shown;
use super::object_functions::RULE_OF_VIEW;
use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use super::schema_objects::schema_name;
use super::standard_rights::owner_name;
use super::view_text;
use crate::error::Result;
use crate::execute::Environment;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_views", views),
    ("pg_matviews", materialized),
    ("pg_rewrite", rules),
    ("information_schema.views", standard_views),
];

fn views(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let views = environment.catalog.views().map(|view| {
        relation.row(&[
            ("schemaname", text(schema_name(environment, view.schema))),
            ("viewname", text(&view.name)),
            ("viewowner", owner_name(environment, view.owner)),
            ("definition", text(view_text::definition(environment, view, false))),
        ])
    });
    Ok(views.collect())
}

fn materialized(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let views = environment.catalog.tables().filter_map(|entry| {
        let view = entry.table.as_view()?;
        Some(relation.row(&[
            ("schemaname", text(schema_name(environment, view.schema))),
            ("matviewname", text(&view.name)),
            ("matviewowner", owner_name(environment, view.owner)),
            ("hasindexes", Datum::Bool(!entry.indexes.is_empty())),
            ("ispopulated", Datum::Bool(!entry.table.is_unpopulated())),
            ("definition", text(view_text::definition(environment, &view, false))),
        ]))
    });
    Ok(views.collect())
}

/// Each view has a rule `_RETURN` in PostgreSQL; its OID is made from the view's.
fn rules(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let rules = environment.catalog.stored_queries().map(|view| {
        relation.row(&[
            ("oid", oid(RULE_OF_VIEW | view.oid)),
            ("rulename", text("_RETURN")),
            ("ev_class", oid(view.oid)),
            ("ev_type", letter(b'1')),
            ("ev_enabled", letter(b'O')),
            ("is_instead", Datum::Bool(true)),
        ])
    });
    Ok(rules.collect())
}

fn standard_views(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let shown = environment.catalog.views().filter(|view| is_shown(environment, &actor, view.oid));
    let views = shown.map(|view| {
        // Its text is its owner's.
        let definition = match actor.has_role(view.owner) {
            true => text(view_text::definition(environment, view, false)),
            false => Datum::Null,
        };
        relation.row(&[
            ("table_catalog", text(&environment.database)),
            ("table_schema", text(schema_name(environment, view.schema))),
            ("table_name", text(&view.name)),
            ("view_definition", definition),
            ("check_option", text("NONE")),
            ("is_updatable", text("NO")),
            ("is_insertable_into", text("NO")),
            ("is_trigger_updatable", text("NO")),
            ("is_trigger_deletable", text("NO")),
            ("is_trigger_insertable_into", text("NO")),
        ])
    });
    Ok(views.collect())
}
