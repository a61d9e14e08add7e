//! What uses what: the relations and columns that views read, the types of columns and of domains, the columns that
//! generated ones are made from.

use std::collections::BTreeSet;

use super::columns::each_column;
use crate::catalog::{PG_CATALOG, SUPERUSER};
use crate::ddl::named_columns;
use crate::error::Result;
use crate::execute::Environment;
use crate::relations::catalog_functions::relation_place;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::relations::schema_objects::schema_name;
use crate::relations::standard_rights::columns_of;
use crate::relations::types::all_domains;
use crate::rights::relation as secured_relation;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("information_schema.view_table_usage", view_table_usage),
    ("information_schema.view_column_usage", view_column_usage),
    ("information_schema.column_domain_usage", column_domain_usage),
    ("information_schema.column_udt_usage", column_udt_usage),
    ("information_schema.domain_udt_usage", domain_udt_usage),
    ("information_schema.column_column_usage", column_column_usage),
];

/// The views with the relations of one's own that they read, and which of their columns.
fn sources(environment: &Environment) -> Vec<(u32, u32, &[i16])> {
    let actor = environment.actor();
    let is_own = |oid: u32| {
        secured_relation(&environment.catalog, oid).is_some_and(|secured| actor.has_role(secured.owner))
    };
    let all = environment.catalog.views().flat_map(|view| {
        view.sources.iter().map(|source| (view.oid, source.relation, source.used.as_slice()))
    });
    // The standard knows no materialized views.
    let is_plain =
        |oid: u32| environment.catalog.table(oid).is_none_or(|entry| entry.table.materialized.is_none());
    all.filter(|(_, source, _)| is_plain(*source) && is_own(*source)).collect()
}

/// The row of a view and a relation, perhaps with a column.
fn view_row(
    environment: &Environment,
    relation: &VirtualRelation,
    (view, source): (u32, u32),
    column: Option<&str>,
) -> Option<Vec<Datum>> {
    let (view_schema, view_name) = relation_place(environment, view)?;
    let (table_schema, table_name) = relation_place(environment, source)?;
    Some(relation.row(&[
        ("view_catalog", text(&environment.database)),
        ("view_schema", text(schema_name(environment, view_schema))),
        ("view_name", text(view_name)),
        ("table_catalog", text(&environment.database)),
        ("table_schema", text(schema_name(environment, table_schema))),
        ("table_name", text(table_name)),
        ("column_name", column.map_or(Datum::Null, text)),
    ]))
}

fn view_table_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let pairs: BTreeSet<(u32, u32)> =
        sources(environment).into_iter().map(|(view, source, _)| (view, source)).collect();
    Ok(pairs.into_iter().filter_map(|pair| view_row(environment, relation, pair, None)).collect())
}

fn view_column_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let used: BTreeSet<(u32, u32, i16)> = sources(environment)
        .into_iter()
        .flat_map(|(view, source, used)| used.iter().map(move |number| (view, source, *number)))
        .collect();
    let row = |(view, source, number): (u32, u32, i16)| {
        let columns = columns_of(environment, source);
        let (_, name) = columns.iter().find(|(each, _)| *each == number)?;
        view_row(environment, relation, (view, source), Some(name))
    };
    Ok(used.into_iter().filter_map(row).collect())
}

fn column_domain_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = Vec::new();
    each_column(environment, |column| {
        let own = environment.catalog.user_type(column.data_type.oid).map(|it| &it.definition);
        let domain = own.filter(|own| own.oid == column.data_type.oid && own.domain().is_some());
        let Some(own) = domain.filter(|own| actor.has_role(own.owner)) else { return };
        rows.push(relation.row(&[
            ("domain_catalog", text(&environment.database)),
            ("domain_schema", text(schema_name(environment, own.schema))),
            ("domain_name", text(&own.name)),
            ("table_catalog", text(&environment.database)),
            ("table_schema", text(column.schema)),
            ("table_name", text(column.relation)),
            ("column_name", text(column.name)),
        ]));
    });
    Ok(rows)
}

/// A type's schema, name and owner.
pub struct TypePlace {
    pub schema: String,
    pub name: String,
    pub owner: u32,
}

/// Where a type is; of a domain, where the type is that it is made of.
fn type_place(environment: &Environment, oid: u32) -> Option<TypePlace> {
    let own = environment.catalog.user_type(oid).map(|it| &it.definition);
    if let Some(domain) = own.filter(|own| own.oid == oid).and_then(|own| own.domain()) {
        return named_type(environment, domain.base.oid);
    }
    named_type(environment, oid)
}

/// Where a type is, domain or not.
pub fn named_type(environment: &Environment, oid: u32) -> Option<TypePlace> {
    let own = environment.catalog.user_type(oid).map(|it| &it.definition);
    let name = environment.catalog.type_info(oid)?.name.to_string();
    let schema = schema_name(environment, own.map_or(PG_CATALOG, |own| own.schema));
    Some(TypePlace { schema, name, owner: own.map_or(SUPERUSER, |own| own.owner) })
}

fn column_udt_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = Vec::new();
    each_column(environment, |column| {
        let place = type_place(environment, column.data_type.oid);
        let Some(place) = place.filter(|place| actor.has_role(place.owner)) else { return };
        rows.push(relation.row(&[
            ("udt_catalog", text(&environment.database)),
            ("udt_schema", text(place.schema)),
            ("udt_name", text(place.name)),
            ("table_catalog", text(&environment.database)),
            ("table_schema", text(column.schema)),
            ("table_name", text(column.relation)),
            ("column_name", text(column.name)),
        ]));
    });
    Ok(rows)
}

fn domain_udt_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let row = |(schema, name, base): (u32, &str, u32)| {
        let place = named_type(environment, base).filter(|place| actor.has_role(place.owner))?;
        Some(relation.row(&[
            ("udt_catalog", text(&environment.database)),
            ("udt_schema", text(place.schema)),
            ("udt_name", text(place.name)),
            ("domain_catalog", text(&environment.database)),
            ("domain_schema", text(schema_name(environment, schema))),
            ("domain_name", text(name)),
        ]))
    };
    let domains =
        all_domains(environment).map(|(own, domain)| (own.schema, own.name.as_str(), domain.base.oid));
    Ok(domains.filter_map(row).collect())
}

fn column_column_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = Vec::new();
    for entry in environment.catalog.tables().filter(|entry| actor.has_role(entry.table.owner)) {
        let table = &entry.table;
        for column in table.live_columns().filter(|column| column.generated) {
            let expression = column.default.as_deref().unwrap_or_default();
            let read: BTreeSet<i16> = named_columns(table, expression).into_iter().collect();
            rows.extend(read.into_iter().map(|number| {
                relation.row(&[
                    ("table_catalog", text(&environment.database)),
                    ("table_schema", text(schema_name(environment, table.schema))),
                    ("table_name", text(&table.name)),
                    ("column_name", text(&table.column_numbered(number).name)),
                    ("dependent_column", text(&column.name)),
                ])
            }));
        }
    }
    Ok(rows)
}
