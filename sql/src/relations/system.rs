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
            make: config,
        },
        VirtualRelation {
            oid: FIRST_OID + 1,
            schema: PG_CATALOG,
            name: "system_stats",
            kind: b'v',
            columns: vec![("visible_scn", oids::INT8), ("tables", oids::INT8), ("indexes", oids::INT8)],
            make: statistics,
        },
    ]
}

fn config(environment: &Environment, _: &VirtualRelation) -> Result<RelationRows> {
    Ok(environment.config.iter().map(|(name, value)| vec![text(name), text(value)]).collect())
}

fn statistics(environment: &Environment, _: &VirtualRelation) -> Result<RelationRows> {
    let scn = i64::try_from(environment.store.visible_scn().0).unwrap_or(i64::MAX);
    let count = |number: usize| Datum::Int64(i64::try_from(number).unwrap_or(i64::MAX));
    let catalog = &environment.catalog;
    Ok(vec![vec![Datum::Int64(scn), count(catalog.tables().count()), count(catalog.indexes().count())]])
}
