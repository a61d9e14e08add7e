//! Our own views of the system: `system_config` and `system_stats`.

use super::relation::{RelationRows, VirtualRelation, text};
use crate::catalog::PG_CATALOG;
use crate::error::Result;
use crate::execute::Environment;
use crate::types::oids;
use crate::value::Datum;

/// The OIDs of our own relations.
const FIRST_OID: u32 = 15_000;

pub fn relations() -> Vec<VirtualRelation> {
    vec![
        VirtualRelation {
            oid: FIRST_OID,
            schema: PG_CATALOG,
            name: "system_config",
            kind: b'v',
            columns: vec![("name", oids::TEXT), ("value", oids::TEXT)],
            required: Vec::new(),
            make: config,
        },
        VirtualRelation {
            oid: FIRST_OID + 1,
            schema: PG_CATALOG,
            name: "system_stats",
            kind: b'v',
            columns: vec![
                ("visible_scn", oids::INT8),
                ("tables", oids::INT8),
                ("indexes", oids::INT8),
                ("cache_hits", oids::INT8),
                ("compressed_hits", oids::INT8),
                ("cache_misses", oids::INT8),
                ("cache_hit_rate", oids::FLOAT8),
                ("data_used_bytes", oids::INT8),
                ("data_file_bytes", oids::INT8),
                ("waiting_transactions", oids::INT8),
            ],
            required: Vec::new(),
            make: statistics,
        },
        super::reports::conflicts(FIRST_OID + 3),
    ]
}

fn config(environment: &Environment, _: &VirtualRelation) -> Result<RelationRows> {
    Ok(environment.config.iter().map(|(name, value)| vec![text(name), text(value)]).collect())
}

fn statistics(environment: &Environment, _: &VirtualRelation) -> Result<RelationRows> {
    let number = |number: u64| Datum::Int64(i64::try_from(number).unwrap_or(i64::MAX));
    let count = |count: usize| number(count as u64);
    let catalog = &environment.catalog;
    let stats = environment.store.stats()?;
    // Pages served from memory, compressed or not, among all that were asked for.
    let served = stats.hits + stats.compressed_hits;
    let asked_for = served + stats.faults;
    let hit_rate = if asked_for == 0 { 1.0 } else { served as f64 / asked_for as f64 };
    Ok(vec![vec![
        number(environment.store.visible_scn().0),
        count(catalog.tables().count()),
        count(catalog.indexes().count()),
        number(stats.hits),
        number(stats.compressed_hits),
        number(stats.faults),
        Datum::Float64(hit_rate),
        number(stats.data_used_bytes),
        number(stats.data_file_bytes),
        number(stats.waiting_transactions),
    ]])
}
