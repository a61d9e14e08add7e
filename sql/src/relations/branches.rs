//! `pg_database_branches()`: the branches of the database.

use super::relation::{RelationRows, VirtualRelation, text};
use crate::catalog::PG_CATALOG;
use crate::error::Result;
use crate::execute::Environment;
use crate::session::EPOCH_MICROS;
use crate::types::oids;
use crate::value::json::Json;
use crate::value::{Datum, Text};

/// Its name.
pub const BRANCHES: &str = "pg_database_branches";
const BYTES_PER_MB: f64 = 1_048_576.0;

/// The relation of that OID.
pub fn relation(oid: u32) -> VirtualRelation {
    VirtualRelation {
        oid,
        schema: PG_CATALOG,
        name: BRANCHES,
        kind: b'f',
        columns: vec![
            ("branch_name", oids::TEXT),
            ("parent_branch", oids::TEXT),
            ("created_at", oids::TIMESTAMPTZ),
            ("size_bytes", oids::INT8),
            ("size_mb", oids::FLOAT8),
            ("status", oids::TEXT),
            ("own_bytes", oids::INT8),
            ("shared_bytes", oids::INT8),
            ("branch_scn", oids::INT8),
            ("is_current", oids::BOOL),
            ("options", oids::JSONB),
        ],
        make: rows,
    }
}

fn rows(environment: &Environment, _: &VirtualRelation) -> Result<RelationRows> {
    let directory = environment.directory.lock().clone();
    let sizes = environment.branch_sizes.lock().clone();
    let find = |id| directory.branches.iter().find(|branch| branch.id == id);
    let Some(root) = find(environment.branch).map(|branch| branch.root) else { return Ok(Vec::new()) };
    let number = |number: u64| Datum::Int64(i64::try_from(number).unwrap_or(i64::MAX));
    let mut rows = Vec::new();
    for branch in directory.branches_of(root) {
        let own = sizes.get(&branch.id).copied().unwrap_or(0);
        let mut shared = 0;
        let mut origin = branch.origin;
        while let Some(above) = origin {
            shared += sizes.get(&above.branch).copied().unwrap_or(0);
            origin = find(above.branch).and_then(|parent| parent.origin);
        }
        // What a database began with is no branch of it.
        let parent = branch.origin.filter(|_| branch.id != root).and_then(|origin| find(origin.branch));
        let created = i64::try_from(branch.created_micros).unwrap_or(i64::MAX) - EPOCH_MICROS;
        let members = branch
            .options
            .iter()
            .map(|(name, value)| (Text::from(name.as_str()), Json::String(Text::from(value.as_str()))));
        rows.push(vec![
            text(&branch.name),
            parent.map_or(Datum::Null, |parent| text(&parent.name)),
            Datum::TimestampTz(created),
            number(own + shared),
            Datum::Float64((own + shared) as f64 / BYTES_PER_MB),
            text("active"),
            number(own),
            number(shared),
            branch.origin.map_or(Datum::Null, |origin| number(origin.scn.0)),
            Datum::Bool(branch.id == environment.branch),
            Datum::Jsonb(Json::object(members.collect()).encode()?),
        ]);
    }
    Ok(rows)
}
