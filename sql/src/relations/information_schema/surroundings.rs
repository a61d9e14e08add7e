//! The database itself, its character set and its collations: `information_schema_catalog_name`, `character_sets`,
//! `collations`, `collation_character_set_applicability`; and fixed tables of what the database is: `sql_features`,
//! `sql_implementation_info`, `sql_parts`, `sql_sizing`.

use crate::error::Result;
use crate::execute::Environment;
use crate::relations::COLLATIONS;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::types::oids;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("information_schema.information_schema_catalog_name", catalog_name),
    ("information_schema.character_sets", character_sets),
    ("information_schema.collations", collations),
    ("information_schema.collation_character_set_applicability", collations),
    ("information_schema.sql_features", features),
    ("information_schema.sql_implementation_info", facts),
    ("information_schema.sql_parts", facts),
    ("information_schema.sql_sizing", facts),
];

/// The features of the standard, one to a line: number, name, number and name of the part, whether it is there, and what there is to
/// say of that.
const FEATURES: &str = include_str!("features.txt");

fn features(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |line: &'static str| {
        let mut fields = line.split('|');
        let mut next = || fields.next().map(text);
        let (feature, name) = (next()?, next()?);
        let (part, part_name) = (next()?, next()?);
        let (supported, comments) = (next()?, fields.next().unwrap_or_default());
        Some(relation.row(&[
            ("feature_id", feature),
            ("feature_name", name),
            ("sub_feature_id", part),
            ("sub_feature_name", part_name),
            ("is_supported", supported),
            ("comments", if comments.is_empty() { Datum::Null } else { text(comments) }),
        ]))
    };
    Ok(FEATURES.lines().filter_map(row).collect())
}

/// A row to a line: the relation's name, then its columns, `\N` for NULL.
const FACTS: &str = include_str!("facts.txt");

fn facts(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let value = |field: &str, oid: u32| match field {
        "\\N" => Datum::Null,
        number if oid == oids::INT4 => Datum::from(number.parse::<i32>().ok()),
        other => text(other),
    };
    let lines = FACTS.lines().filter_map(|line| line.split_once('|'));
    let own = lines.filter(|(name, _)| *name == relation.name);
    Ok(own
        .map(|(_, fields)| {
            fields.split('|').zip(&relation.columns).map(|(field, (_, oid))| value(field, *oid)).collect()
        })
        .collect())
}

fn catalog_name(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(vec![relation.row(&[("catalog_name", text(&environment.database))])])
}

/// The one that there is, with the collation of databases.
fn character_sets(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(vec![relation.row(&[
        ("character_set_name", text("UTF8")),
        ("character_repertoire", text("UCS")),
        ("form_of_use", text("UTF8")),
        ("default_collate_catalog", text(&environment.database)),
        ("default_collate_schema", text("pg_catalog")),
        ("default_collate_name", text("C")),
    ])])
}

fn collations(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |name: &str| {
        relation.row(&[
            ("collation_catalog", text(&environment.database)),
            ("collation_schema", text("pg_catalog")),
            ("collation_name", text(name)),
            ("pad_attribute", text("NO PAD")),
            ("character_set_name", text("UTF8")),
        ])
    };
    Ok(COLLATIONS.iter().map(|(_, name, _)| row(name)).collect())
}
