//! What ANALYZE found out: pg_statistic, pg_stats.

use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use crate::catalog::{ColumnStatistics, Rights, TableColumn, TableEntry};
use crate::error::Result;
use crate::execute::Environment;
use crate::rights::relation as secured_relation;
use crate::types::oids;
use crate::value::{ArrayValue, Datum};

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_statistic", stored), ("pg_stats", readable)];

/// PostgreSQL's codes for what a slot of `pg_statistic` holds.
const MOST_COMMON: i64 = 1;
const HISTOGRAM: i64 = 2;
const CORRELATION: i64 = 3;

/// Slots of a row of `pg_statistic`.
const SLOTS: usize = 5;

fn numbers(values: &[f32]) -> Datum {
    if values.is_empty() {
        return Datum::Null;
    }
    let elements = values.iter().map(|value| Datum::Float32(*value)).collect();
    Datum::from(ArrayValue::from_elements(oids::FLOAT4, elements))
}

fn values(type_oid: u32, values: &[Datum]) -> Datum {
    if values.is_empty() {
        return Datum::Null;
    }
    Datum::from(ArrayValue::from_elements(type_oid, values.to_vec()))
}

/// All columns that something is known about.
fn known(environment: &Environment) -> impl Iterator<Item = (&TableEntry, &TableColumn, &ColumnStatistics)> {
    environment.catalog.tables().flat_map(|entry| {
        entry.table.live_columns().filter_map(|column| {
            let statistics = entry.column_statistics(column.number)?;
            Some((entry.as_ref(), column, statistics))
        })
    })
}

fn readable(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let may_read = |entry: &TableEntry, column: &TableColumn| {
        let on_column = actor.column_rights(entry.table.oid, column.number, Rights::SELECT);
        let whole = secured_relation(&environment.catalog, entry.table.oid);
        !on_column.is_empty() || whole.is_some_and(|it| !actor.rights(&it, Rights::SELECT).is_empty())
    };
    let mut rows = Vec::new();
    for (entry, column, statistics) in known(environment) {
        if !may_read(entry, column) {
            continue;
        }
        let schema = environment.catalog.schema(entry.table.schema);
        rows.push(relation.row(&[
            ("schemaname", schema.map_or(Datum::Null, |schema| text(&schema.name))),
            ("tablename", text(&entry.table.name)),
            ("attname", text(&column.name)),
            ("inherited", Datum::Bool(false)),
            ("null_frac", Datum::Float32(statistics.null_fraction)),
            ("avg_width", Datum::Int32(statistics.width)),
            ("n_distinct", Datum::Float32(statistics.distinct)),
            ("most_common_vals", values(statistics.type_oid, &statistics.most_common)),
            ("most_common_freqs", numbers(&statistics.frequencies)),
            ("histogram_bounds", values(statistics.type_oid, &statistics.histogram)),
            ("correlation", statistics.correlation.map_or(Datum::Null, Datum::Float32)),
        ]));
    }
    Ok(rows)
}

fn stored(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for (entry, column, statistics) in known(environment) {
        let mut slots = Vec::new();
        if !statistics.most_common.is_empty() {
            let common = values(statistics.type_oid, &statistics.most_common);
            slots.push((MOST_COMMON, numbers(&statistics.frequencies), common));
        }
        if !statistics.histogram.is_empty() {
            slots.push((HISTOGRAM, Datum::Null, values(statistics.type_oid, &statistics.histogram)));
        }
        if let Some(correlation) = statistics.correlation {
            slots.push((CORRELATION, numbers(&[correlation]), Datum::Null));
        }
        slots.resize(SLOTS, (0, Datum::Null, Datum::Null));
        let mut fields = vec![
            ("starelid".to_string(), oid(entry.table.oid)),
            ("staattnum".to_string(), Datum::Int16(column.number)),
            ("stainherit".to_string(), Datum::Bool(false)),
            ("stanullfrac".to_string(), Datum::Float32(statistics.null_fraction)),
            ("stawidth".to_string(), Datum::Int32(statistics.width)),
            ("stadistinct".to_string(), Datum::Float32(statistics.distinct)),
        ];
        for (number, (kind, stanumbers, stavalues)) in (1..).zip(slots) {
            fields.push((format!("stakind{number}"), Datum::Int64(kind)));
            fields.push((format!("staop{number}"), oid(0)));
            fields.push((format!("stacoll{number}"), oid(0)));
            fields.push((format!("stanumbers{number}"), stanumbers));
            fields.push((format!("stavalues{number}"), stavalues));
        }
        let named: Vec<(&str, Datum)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        rows.push(relation.row(&named));
    }
    Ok(rows)
}
