//! How relations are used: pg_stat_all_tables, pg_stat_all_indexes, their pg_statio_ and pg_stat_xact_ siblings, each also
//! for the system's relations and for those of users alone. Rows and changes are known; scans are not counted.

use super::relation::{MakeRows, RelationRows, VirtualRelation, computed_relations, oid, text};
use super::schema_objects::schema_name;
use crate::error::Result;
use crate::execute::Environment;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_stat_all_tables", tables),
    ("pg_stat_sys_tables", tables),
    ("pg_stat_user_tables", tables),
    ("pg_stat_xact_all_tables", tables),
    ("pg_stat_xact_sys_tables", tables),
    ("pg_stat_xact_user_tables", tables),
    ("pg_statio_all_tables", tables),
    ("pg_statio_sys_tables", tables),
    ("pg_statio_user_tables", tables),
    ("pg_stat_all_indexes", indexes),
    ("pg_stat_sys_indexes", indexes),
    ("pg_stat_user_indexes", indexes),
    ("pg_statio_all_indexes", indexes),
    ("pg_statio_sys_indexes", indexes),
    ("pg_statio_user_indexes", indexes),
    ("pg_statio_all_sequences", sequences),
    ("pg_statio_sys_sequences", sequences),
    ("pg_statio_user_sequences", sequences),
];

/// Counters of tables that nobody keeps; a relation takes those that it has a column for.
const UNCOUNTED: &[&str] = &[
    "seq_scan",
    "seq_tup_read",
    "n_tup_ins",
    "n_tup_upd",
    "n_tup_del",
    "n_tup_hot_upd",
    "n_dead_tup",
    "n_ins_since_vacuum",
    "vacuum_count",
    "autovacuum_count",
    "analyze_count",
    "autoanalyze_count",
    "heap_blks_read",
    "heap_blks_hit",
];
/// Those of a table's indexes, which are NULL where it has none.
const UNCOUNTED_OF_INDEXES: &[&str] = &["idx_scan", "idx_tup_fetch", "idx_blks_read", "idx_blks_hit"];

/// Whether a view shows relations of a schema: its name says whose it shows.
fn shows(relation: &VirtualRelation, schema: &str) -> bool {
    let is_system = matches!(schema, "pg_catalog" | "information_schema");
    match relation.name {
        name if name.contains("_sys_") => is_system,
        name if name.contains("_user_") => !is_system,
        _ => true,
    }
}

/// What is known of a table.
struct Known<'n> {
    oid: u32,
    schema: &'n str,
    name: &'n str,
    has_index: bool,
    rows: f64,
    changes: u64,
}

fn table_row(relation: &VirtualRelation, known: &Known<'_>) -> Vec<Datum> {
    let mut values = vec![
        ("relid", oid(known.oid)),
        ("schemaname", text(known.schema)),
        ("relname", text(known.name)),
        ("n_live_tup", Datum::Int64(known.rows as i64)),
        ("n_mod_since_analyze", Datum::Int64(i64::try_from(known.changes).unwrap_or(i64::MAX))),
    ];
    values.extend(UNCOUNTED.iter().map(|name| (*name, Datum::Int64(0))));
    if known.has_index {
        values.extend(UNCOUNTED_OF_INDEXES.iter().map(|name| (*name, Datum::Int64(0))));
    }
    relation.row(&values)
}

fn tables(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        let schema = schema_name(environment, entry.table.schema);
        if shows(relation, &schema) {
            let changes = entry.changes.count();
            rows.push(table_row(
                relation,
                &Known {
                    oid: entry.table.oid,
                    schema: &schema,
                    name: &entry.table.name,
                    has_index: !entry.indexes.is_empty(),
                    // What was never analyzed has mostly been filled.
                    rows: entry.rows_analyzed().unwrap_or(changes as f64),
                    changes,
                },
            ));
        }
    }
    for computed in computed_relations(environment)
        .filter(|each| each.kind == b'r' && shows(relation, each.schema_name()))
    {
        let (schema, name) = (computed.schema_name(), computed.name);
        let known = Known { oid: computed.oid, schema, name, has_index: false, rows: 0.0, changes: 0 };
        rows.push(table_row(relation, &known));
    }
    Ok(rows)
}

fn indexes(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    const COUNTERS: [&str; 5] =
        ["idx_scan", "idx_tup_read", "idx_tup_fetch", "idx_blks_read", "idx_blks_hit"];
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        let schema = schema_name(environment, entry.table.schema);
        for index in entry.indexes.iter().filter(|_| shows(relation, &schema)) {
            let mut values = vec![
                ("relid", oid(entry.table.oid)),
                ("indexrelid", oid(index.oid)),
                ("schemaname", text(&schema)),
                ("relname", text(&entry.table.name)),
                ("indexrelname", text(&index.name)),
            ];
            values.extend(COUNTERS.map(|name| (name, Datum::Int64(0))));
            rows.push(relation.row(&values));
        }
    }
    Ok(rows)
}

fn sequences(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for sequence in environment.catalog.sequences() {
        let schema = schema_name(environment, sequence.schema);
        if shows(relation, &schema) {
            rows.push(relation.row(&[
                ("relid", oid(sequence.oid)),
                ("schemaname", text(&schema)),
                ("relname", text(&sequence.name)),
                ("blks_read", Datum::Int64(0)),
                ("blks_hit", Datum::Int64(0)),
            ]));
        }
    }
    Ok(rows)
}
