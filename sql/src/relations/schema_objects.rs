//! Schemas, tables and indexes: pg_namespace, pg_class, pg_index, pg_tables, pg_indexes.

use super::operator_classes::of_index;
use super::relation::{
    MakeRows, RelationRows, VirtualRelation, computed_relations, letter, oid, oid_vector, text, vector,
};
use super::standard_rights::{list_of, owner_name};
use super::stored_text;
use crate::catalog::{Index, PG_CATALOG, SUPERUSER, Table, initial_schema_grants};
use crate::error::Result;
use crate::execute::Environment;
use crate::rights::{grants_datum, relation as secured_relation};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_namespace", namespaces),
    ("pg_class", classes),
    ("pg_index", indexes),
    ("pg_tables", tables),
    ("pg_indexes", index_views),
];

/// The access methods' OIDs.
pub const HEAP: u32 = 2;
pub const BTREE: u32 = 403;
/// The access method of indexes that were made with `USING hash`.
pub const HASH: u32 = 405;

/// The list of a schema; those that are there from the start begin with one.
fn list_of_schema(environment: &Environment, schema: u32) -> Datum {
    match (list_of(environment, schema), initial_schema_grants(schema)) {
        (Datum::Null, Some(initial)) => grants_datum(&environment.catalog, &initial),
        (stored, _) => stored,
    }
}

fn namespaces(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let schemas = environment.catalog.schemas();
    Ok(schemas
        .map(|schema| {
            relation.row(&[
                ("oid", oid(schema.oid)),
                ("nspname", text(&schema.name)),
                ("nspowner", oid(schema.owner)),
                ("nspacl", list_of_schema(environment, schema.oid)),
            ])
        })
        .collect())
}

struct Class<'c> {
    oid: u32,
    owner: u32,
    list: Datum,
    name: &'c str,
    schema: u32,
    kind: u8,
    method: u32,
    columns: usize,
    tuples: f64,
    pages: f64,
    checks: usize,
    has_index: bool,
    /// PostgreSQL has triggers where there are foreign keys: tools look for those only then.
    has_triggers: bool,
    options: &'c [(String, String)],
    persistence: u8,
    has_rules: bool,
    is_populated: bool,
    /// The type of a typed table.
    of_type: u32,
}

fn class_row(environment: &Environment, relation: &VirtualRelation, class: &Class<'_>) -> Vec<Datum> {
    let options = class.options.iter().map(|(key, value)| text(format!("{key}={value}"))).collect::<Vec<_>>();
    let options = if options.is_empty() {
        Datum::Null
    } else {
        Datum::from(crate::value::ArrayValue::from_elements(crate::types::oids::TEXT, options))
    };
    let has_no_file = matches!(class.kind, b'v' | b'c');
    relation.row(&[
        ("oid", oid(class.oid)),
        ("relname", text(class.name)),
        ("relnamespace", oid(class.schema)),
        ("reltype", oid(environment.catalog.type_of_rows(class.oid).map_or(0, |info| info.oid))),
        ("reloftype", oid(class.of_type)),
        ("relowner", oid(class.owner)),
        ("relam", oid(class.method)),
        ("relfilenode", oid(if has_no_file { 0 } else { class.oid })),
        ("reltablespace", oid(0)),
        ("relpages", Datum::Int64(class.pages as i64)),
        ("reltuples", Datum::Float32(class.tuples as f32)),
        ("relallvisible", Datum::Int64(0)),
        ("reltoastrelid", oid(0)),
        ("relhasindex", Datum::Bool(class.has_index)),
        ("relisshared", Datum::Bool(false)),
        ("relpersistence", letter(class.persistence)),
        ("relkind", letter(class.kind)),
        ("relnatts", Datum::Int64(class.columns as i64)),
        ("relchecks", Datum::Int64(class.checks as i64)),
        ("relhasrules", Datum::Bool(class.has_rules)),
        ("relhastriggers", Datum::Bool(class.has_triggers)),
        ("relhassubclass", Datum::Bool(false)),
        ("relrowsecurity", Datum::Bool(false)),
        ("relforcerowsecurity", Datum::Bool(false)),
        ("relispopulated", Datum::Bool(class.is_populated)),
        ("relreplident", letter(if matches!(class.kind, b'r' | b'm') { b'd' } else { b'n' })),
        ("relispartition", Datum::Bool(false)),
        ("relrewrite", oid(0)),
        ("relfrozenxid", oid(0)),
        ("relminmxid", oid(0)),
        ("relacl", class.list.clone()),
        ("reloptions", options),
    ])
}

/// `pg_class.relpersistence`
fn persistence(is_temporary: bool, unlogged: bool) -> u8 {
    match (is_temporary, unlogged) {
        (true, _) => b't',
        (false, true) => b'u',
        (false, false) => b'p',
    }
}

fn relation_list(environment: &Environment, oid: u32) -> Datum {
    let secured = secured_relation(&environment.catalog, oid);
    secured.map_or(Datum::Null, |secured| grants_datum(&environment.catalog, &secured.grants))
}

fn classes(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        let table = &entry.table;
        let checks = entry.constraints.iter().filter(|constraint| super::constraints::is_check(constraint));
        let class = Class {
            oid: table.oid,
            owner: table.owner,
            list: list_of(environment, table.oid),
            name: &table.name,
            schema: table.schema,
            kind: if table.materialized.is_some() { b'm' } else { b'r' },
            method: HEAP,
            columns: table.columns.len(),
            tuples: entry.rows_analyzed().unwrap_or(-1.0),
            pages: entry.statistics.as_ref().map_or(0.0, |statistics| statistics.pages),
            checks: checks.count(),
            has_index: !entry.indexes.is_empty(),
            has_triggers: !entry.referenced_by.is_empty()
                || entry.constraints.iter().any(|each| super::constraints::is_foreign_key(each)),
            options: &table.options,
            persistence: persistence(table.is_temporary, table.unlogged),
            has_rules: table.materialized.is_some(),
            is_populated: !table.is_unpopulated(),
            of_type: table.of_type,
        };
        rows.push(class_row(environment, relation, &class));
        for index in &entry.indexes {
            let class = Class {
                oid: index.oid,
                owner: table.owner,
                list: Datum::Null,
                name: &index.name,
                schema: index.schema,
                kind: b'i',
                method: if index.is_hash { HASH } else { BTREE },
                columns: index.columns.len(),
                tuples: entry.rows_analyzed().unwrap_or(0.0),
                pages: 1.0,
                checks: 0,
                has_index: false,
                has_triggers: false,
                options: &index.options,
                persistence: persistence(table.is_temporary, table.unlogged),
                has_rules: false,
                is_populated: true,
                of_type: 0,
            };
            rows.push(class_row(environment, relation, &class));
        }
    }
    for view in environment.catalog.views() {
        let class = Class {
            oid: view.oid,
            owner: view.owner,
            list: list_of(environment, view.oid),
            name: &view.name,
            schema: view.schema,
            kind: b'v',
            method: 0,
            columns: view.columns.len(),
            tuples: -1.0,
            pages: 0.0,
            checks: 0,
            has_index: false,
            has_triggers: false,
            options: &view.options,
            persistence: persistence(view.is_temporary, false),
            has_rules: true,
            is_populated: true,
            of_type: 0,
        };
        rows.push(class_row(environment, relation, &class));
    }
    for (entry, composite) in environment.catalog.composites() {
        let own = &entry.definition;
        let class = Class {
            oid: composite.relation,
            owner: own.owner,
            list: Datum::Null,
            name: &own.name,
            schema: own.schema,
            kind: b'c',
            method: 0,
            columns: composite.attributes.len(),
            tuples: -1.0,
            pages: 0.0,
            checks: 0,
            has_index: false,
            has_triggers: false,
            options: &[],
            persistence: b'p',
            has_rules: false,
            is_populated: true,
            of_type: 0,
        };
        rows.push(class_row(environment, relation, &class));
    }
    for sequence in environment.catalog.sequences() {
        let class = Class {
            oid: sequence.oid,
            owner: sequence.owner,
            list: list_of(environment, sequence.oid),
            name: &sequence.name,
            schema: sequence.schema,
            kind: b'S',
            method: 0,
            columns: 3,
            tuples: 1.0,
            pages: 1.0,
            checks: 0,
            has_index: false,
            has_triggers: false,
            options: &[],
            persistence: persistence(sequence.is_temporary, sequence.unlogged),
            has_rules: false,
            is_populated: true,
            of_type: 0,
        };
        rows.push(class_row(environment, relation, &class));
    }
    for computed in computed_relations(environment) {
        let class = Class {
            oid: computed.oid,
            owner: SUPERUSER,
            list: relation_list(environment, computed.oid),
            name: computed.name,
            schema: computed.schema,
            kind: computed.kind,
            method: if computed.kind == b'r' { HEAP } else { 0 },
            columns: computed.columns.len(),
            tuples: -1.0,
            pages: 0.0,
            checks: 0,
            has_index: false,
            has_triggers: false,
            options: &[],
            persistence: b'p',
            has_rules: computed.kind == b'v',
            is_populated: true,
            of_type: 0,
        };
        rows.push(class_row(environment, relation, &class));
    }
    Ok(rows)
}

/// An index's per-column options: 1 for DESC, 2 for NULLS FIRST.
fn column_options(index: &Index) -> Vec<i16> {
    let bits = |descending: bool, nulls_first: bool| i16::from(descending) | (i16::from(nulls_first) << 1);
    index.columns.iter().map(|column| bits(column.descending, column.nulls_first)).collect()
}

fn indexes(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for index in environment.catalog.indexes() {
        let mut numbers: Vec<i16> = index.columns.iter().map(|column| column.number).collect();
        let key_columns = numbers.len() as i64;
        numbers.extend(&index.included);
        let entry = environment.catalog.table(index.table);
        let is_immediate = entry.is_none_or(|entry| !entry.is_deferrable_key(index.oid));
        let table = entry.map(|entry| &*entry.table);
        let predicate = table
            .zip(index.predicate.as_deref())
            .map(|(table, text)| stored_text::condition(environment, table, text));
        let expressions: Vec<String> = index
            .columns
            .iter()
            .filter_map(|column| column.expression.as_ref())
            .zip(table.into_iter().cycle())
            .map(|(expression, table)| stored_text::index_expression(environment, table, &expression.text))
            .collect();
        let (classes, collations): (Vec<u32>, Vec<u32>) =
            table.map(|table| of_index(environment, table, index)).unwrap_or_default().into_iter().unzip();
        let expressions = (!expressions.is_empty()).then(|| expressions.join(", "));
        rows.push(relation.row(&[
            ("indexrelid", oid(index.oid)),
            ("indrelid", oid(index.table)),
            ("indnatts", Datum::Int64(numbers.len() as i64)),
            ("indnkeyatts", Datum::Int64(key_columns)),
            ("indisunique", Datum::Bool(index.unique)),
            ("indnullsnotdistinct", Datum::Bool(index.nulls_not_distinct)),
            ("indisprimary", Datum::Bool(index.primary)),
            ("indisexclusion", Datum::Bool(false)),
            ("indimmediate", Datum::Bool(is_immediate)),
            ("indisclustered", Datum::Bool(false)),
            ("indisvalid", Datum::Bool(true)),
            ("indcheckxmin", Datum::Bool(false)),
            ("indisready", Datum::Bool(true)),
            ("indislive", Datum::Bool(true)),
            ("indisreplident", Datum::Bool(false)),
            ("indkey", vector(&numbers)),
            ("indcollation", oid_vector(&collations)),
            ("indclass", oid_vector(&classes)),
            ("indoption", vector(&column_options(index))),
            ("indexprs", Datum::from(expressions)),
            ("indpred", Datum::from(predicate)),
        ]));
    }
    Ok(rows)
}

/// A schema's name.
pub fn schema_name(environment: &Environment, schema: u32) -> String {
    environment.catalog.schema(schema).map_or_else(String::new, |schema| schema.name.clone())
}

fn tables(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |schema: String, name: &str, owner: u32, has_index: bool| {
        relation.row(&[
            ("schemaname", text(schema)),
            ("tablename", text(name)),
            ("tableowner", owner_name(environment, owner)),
            ("hasindexes", Datum::Bool(has_index)),
            ("hasrules", Datum::Bool(false)),
            ("hastriggers", Datum::Bool(false)),
            ("rowsecurity", Datum::Bool(false)),
        ])
    };
    let mut rows = Vec::new();
    for entry in environment.catalog.plain_tables() {
        let table: &Table = &entry.table;
        rows.push(row(
            schema_name(environment, table.schema),
            &table.name,
            table.owner,
            !entry.indexes.is_empty(),
        ));
    }
    for computed in
        computed_relations(environment).filter(|each| each.kind == b'r' && each.schema == PG_CATALOG)
    {
        rows.push(row("pg_catalog".into(), computed.name, SUPERUSER, false));
    }
    Ok(rows)
}

fn index_views(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        for index in &entry.indexes {
            rows.push(relation.row(&[
                ("schemaname", text(schema_name(environment, index.schema))),
                ("tablename", text(&entry.table.name)),
                ("indexname", text(&index.name)),
                ("indexdef", text(super::deparse::index_definition(environment, &entry.table, index, false))),
            ]));
        }
    }
    Ok(rows)
}
