//! `attributes` and `user_defined_types`: composite types as the standard calls them, structured types.

use super::columns::{Sizes, standard_type};
use crate::catalog::{Composite, PG_CATALOG, Rights, UserType};
use crate::error::Result;
use crate::execute::Environment;
use crate::relations::collations;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::relations::schema_objects::schema_name;
use crate::rights::object_type;
use crate::types::{DataType, domain};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("information_schema.attributes", attributes),
    ("information_schema.user_defined_types", user_defined_types),
];

/// The composite types that the current role owns or may use.
fn shown(environment: &Environment) -> impl Iterator<Item = (&UserType, &Composite)> {
    let actor = environment.actor();
    let composites = environment.catalog.composites();
    composites.map(|(entry, composite)| (&*entry.definition, composite)).filter(move |(own, _)| {
        let may_use = |secured| !actor.rights(&secured, Rights::USAGE).is_empty();
        actor.has_role(own.owner) || object_type(&environment.catalog, own.oid).is_some_and(may_use)
    })
}

fn user_defined_types(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |(own, _): (&UserType, &Composite)| {
        relation.row(&[
            ("user_defined_type_catalog", text(&environment.database)),
            ("user_defined_type_schema", text(schema_name(environment, own.schema))),
            ("user_defined_type_name", text(&own.name)),
            ("user_defined_type_category", text("STRUCTURED")),
            ("is_instantiable", text("YES")),
        ])
    };
    Ok(shown(environment).map(row).collect())
}

fn attributes(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for (own, composite) in shown(environment) {
        let schema = schema_name(environment, own.schema);
        for (number, attribute) in composite.live() {
            let given = environment.catalog.user_type(attribute.data_type.oid).map(|it| &it.definition);
            let refuses_null = given.and_then(|own| own.domain()).is_some_and(|domain| domain.not_null);
            let sizes = Sizes::of(domain::underlying(attribute.data_type, environment));
            let own_collation = match attribute.collation {
                0 => collations::collation(domain::base_type(attribute.data_type.oid, environment)),
                named => named,
            };
            // The default one is not told.
            let collation = collations::collation_name(own_collation).filter(|name| *name != "default");
            let info = environment.catalog.type_info(attribute.data_type.oid);
            let type_schema = environment.types().place(attribute.data_type.oid).map(|(schema, _)| schema);
            rows.push(relation.row(&[
                ("udt_catalog", text(&environment.database)),
                ("udt_schema", text(&schema)),
                ("udt_name", text(&own.name)),
                ("attribute_name", text(&attribute.name)),
                ("ordinal_position", Datum::Int64(i64::from(number))),
                ("is_nullable", text(if refuses_null { "NO" } else { "YES" })),
                ("data_type", text(shown_type(environment, attribute.data_type))),
                ("character_maximum_length", Datum::from(sizes.length)),
                ("character_octet_length", Datum::from(sizes.octets)),
                ("collation_catalog", collation.map_or(Datum::Null, |_| text(&environment.database))),
                ("collation_schema", collation.map_or(Datum::Null, |_| text("pg_catalog"))),
                ("collation_name", collation.map_or(Datum::Null, text)),
                ("numeric_precision", Datum::from(sizes.precision)),
                ("numeric_precision_radix", Datum::from(sizes.radix)),
                ("numeric_scale", Datum::from(sizes.scale)),
                ("datetime_precision", Datum::from(sizes.when)),
                ("attribute_udt_catalog", text(&environment.database)),
                ("attribute_udt_schema", text(schema_name(environment, type_schema.unwrap_or(PG_CATALOG)))),
                ("attribute_udt_name", info.map_or(Datum::Null, |info| text(&info.name))),
                ("dtd_identifier", text(number.to_string())),
                ("is_derived_reference_attribute", text("NO")),
            ]));
        }
    }
    Ok(rows)
}

/// The standard's name of an attribute's type: what is under a domain is not told here.
fn shown_type(environment: &Environment, data_type: DataType) -> String {
    let is_domain = domain::base_type(data_type.oid, environment) != data_type.oid;
    if is_domain { "USER-DEFINED".to_owned() } else { standard_type(environment, data_type) }
}
