//! What is said of objects: pg_description, and pg_depend as far as tools read it: which column a sequence belongs
//! to, which default uses it, which relations a view reads, which schema tables and views are in (dumps find the materialized
//! views that read others by that).

use std::sync::Arc;

use super::columns::default_oid;
use super::extended_statistics::PG_STATISTIC_EXT;
use super::object_functions::{PG_REWRITE, RULE_OF_VIEW};
use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use crate::catalog::PG_TYPE;
use crate::catalog::{
    Constraint, ConstraintKind, PG_AUTHID, PG_CATALOG, PG_CLASS, PG_CONSTRAINT, PG_DATABASE, PG_NAMESPACE,
    PRIMARY_KEY,
};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::is_user_type;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_depend", dependencies),
    ("pg_description", descriptions),
    ("pg_shdescription", shared_descriptions),
];

/// The OIDs of the catalogs that objects are in.
const PG_ATTRDEF: u32 = 2604;

fn dependencies(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |object: (u32, u32), on: (u32, u32, i16), kind: u8| {
        relation.row(&[
            ("classid", oid(object.0)),
            ("objid", oid(object.1)),
            ("objsubid", Datum::Int32(0)),
            ("refclassid", oid(on.0)),
            ("refobjid", oid(on.1)),
            ("refobjsubid", Datum::Int32(i32::from(on.2))),
            ("deptype", letter(kind)),
        ])
    };
    let mut rows = Vec::new();
    let catalog = &environment.catalog;
    let tables = catalog.tables().map(|entry| (entry.table.oid, entry.table.schema));
    let views = catalog.views().map(|view| (view.oid, view.schema));
    for (entry, composite) in catalog.composites() {
        let own = &entry.definition;
        rows.push(row((PG_TYPE, own.oid), (PG_NAMESPACE, own.schema, 0), b'n'));
        rows.push(row((PG_CLASS, composite.relation), (PG_TYPE, own.oid, 0), b'i'));
        // What dumps are ordered by.
        for (number, attribute) in composite.live().filter(|(_, each)| is_user_type(each.data_type.oid)) {
            let mut column = row((PG_CLASS, composite.relation), (PG_TYPE, attribute.data_type.oid, 0), b'n');
            column[2] = Datum::Int32(i32::from(number));
            rows.push(column);
        }
    }
    for entry in catalog.tables() {
        if entry.table.of_type != 0 {
            rows.push(row((PG_CLASS, entry.table.oid), (PG_TYPE, entry.table.of_type, 0), b'n'));
        }
        for column in entry.table.live_columns().filter(|column| is_user_type(column.type_oid)) {
            let mut of_column = row((PG_CLASS, entry.table.oid), (PG_TYPE, column.type_oid, 0), b'n');
            of_column[2] = Datum::Int32(i32::from(column.number));
            rows.push(of_column);
        }
    }
    // Types of rows go with their relations.
    for types in catalog.row_types() {
        rows.push(row((PG_TYPE, types.info.oid), (PG_CLASS, types.relation, 0), b'i'));
        rows.push(row((PG_TYPE, types.array.oid), (PG_TYPE, types.info.oid, 0), b'i'));
    }
    for entry in catalog.user_types() {
        let own = &entry.definition;
        rows.push(row((PG_TYPE, own.array_oid), (PG_TYPE, own.oid, 0), b'i'));
        let under = own.domain().map(|domain| domain.base.oid);
        let under = under.or_else(|| own.range().map(|range| range.subtype));
        rows.extend(under.map(|oid| row((PG_TYPE, own.oid), (PG_TYPE, oid, 0), b'n')));
    }
    for own in catalog.extended_statistics() {
        let object = (PG_STATISTIC_EXT, own.oid);
        let mut columns: Vec<i16> = own.columns.iter().chain(&own.read).copied().collect();
        if own.columns.is_empty() {
            columns.push(0);
        }
        columns.sort_unstable();
        columns.dedup();
        rows.extend(columns.into_iter().map(|number| row(object, (PG_CLASS, own.table, number), b'a')));
        rows.push(row(object, (PG_NAMESPACE, own.schema, 0), b'n'));
    }
    for (relation, schema) in tables.chain(views) {
        rows.push(row((PG_CLASS, relation), (PG_NAMESPACE, schema, 0), b'n'));
    }
    for sequence in environment.catalog.sequences() {
        if let Some(owner) = sequence.owned_by {
            let kind = if owner.is_identity { b'i' } else { b'a' };
            rows.push(row((PG_CLASS, sequence.oid), (PG_CLASS, owner.table, owner.column), kind));
        }
    }
    for entry in environment.catalog.tables() {
        for column in entry.table.live_columns() {
            let Some(default) = &column.default else { continue };
            let own = (PG_ATTRDEF, default_oid(entry.table.oid, column.number));
            rows.push(row(own, (PG_CLASS, entry.table.oid, column.number), b'a'));
            let default = default.to_lowercase();
            for sequence in environment.catalog.sequences() {
                if default.contains(&format!("'{}'::regclass", sequence.oid)) {
                    rows.push(row(own, (PG_CLASS, sequence.oid, 0), b'n'));
                }
            }
        }
    }
    for view in environment.catalog.stored_queries() {
        for source in &view.sources {
            for number in &source.used {
                let rule = (PG_REWRITE, RULE_OF_VIEW | view.oid);
                let place = match *number {
                    PRIMARY_KEY => {
                        let entry = environment.catalog.table(source.relation);
                        let is_key =
                            |each: &&Arc<Constraint>| matches!(each.kind, ConstraintKind::PrimaryKey { .. });
                        entry
                            .and_then(|entry| entry.constraints.iter().find(is_key))
                            .map(|key| (PG_CONSTRAINT, key.oid, 0))
                    }
                    number => Some((PG_CLASS, source.relation, number)),
                };
                rows.extend(place.map(|place| row(rule, place, b'n')));
            }
        }
    }
    Ok(rows)
}

fn descriptions(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for comments in environment.catalog.comments().filter(|comments| !is_shared(comments.class)) {
        for (number, comment) in &comments.texts {
            rows.push(relation.row(&[
                ("objoid", oid(comments.oid)),
                ("classoid", oid(comments.class)),
                ("objsubid", Datum::Int32(i32::from(*number))),
                ("description", text(comment)),
            ]));
        }
    }
    Ok(rows)
}

/// Whether objects of a catalog are those of the folder.
fn is_shared(class: u32) -> bool {
    matches!(class, PG_AUTHID | PG_DATABASE)
}

fn shared_descriptions(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let shared = environment.catalog.comments().filter(|comments| is_shared(comments.class));
    let rows = shared.flat_map(|comments| comments.texts.iter().map(move |(_, comment)| (comments, comment)));
    Ok(rows
        .map(|(comments, comment)| {
            relation.row(&[
                ("objoid", oid(comments.oid)),
                ("classoid", oid(comments.class)),
                ("description", text(comment)),
            ])
        })
        .collect())
}

/// The comment on an object, of the catalog of that name if one is given.
pub fn description(environment: &Environment, object: u32, class: Option<&str>, shared: bool) -> Datum {
    let catalog = &environment.catalog;
    let found = catalog.comments_on(object).filter(|comments| {
        is_shared(comments.class) == shared
            && class.is_none_or(|class| catalog_named(class) == Some(comments.class))
    });
    let found = found.and_then(|_| catalog.comment(object, 0));
    found.map_or(Datum::Null, Datum::text)
}

fn catalog_named(name: &str) -> Option<u32> {
    super::find(PG_CATALOG, name).map(|relation| relation.oid)
}
