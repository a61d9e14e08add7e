//! What the session holds under names: pg_prepared_statements and pg_cursors.

use super::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::oids;
use crate::value::{ArrayValue, Datum};

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_prepared_statements", statements), ("pg_cursors", cursors)];

fn statements(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let listed = environment.listing.statements.lock();
    let row = |statement: &crate::session::ListedStatement| {
        let parameters = statement.parameters.iter().map(|each| Datum::Oid(each.oid)).collect();
        relation.row(&[
            ("name", text(&statement.name)),
            ("statement", text(&statement.text)),
            ("prepare_time", Datum::TimestampTz(statement.since)),
            ("parameter_types", ArrayValue::from_elements(oids::REGTYPE, parameters).into()),
            ("from_sql", Datum::Bool(statement.from_sql)),
            ("generic_plans", Datum::Int64(0)),
            ("custom_plans", Datum::Int64(0)),
        ])
    };
    Ok(listed.iter().map(row).collect())
}

fn cursors(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let listed = environment.listing.cursors.lock();
    let row = |cursor: &crate::session::ListedCursor| {
        relation.row(&[
            ("name", text(&cursor.name)),
            ("statement", text(&cursor.text)),
            ("is_holdable", Datum::Bool(cursor.is_holdable)),
            ("is_binary", Datum::Bool(cursor.is_binary)),
            ("is_scrollable", Datum::Bool(cursor.is_scrollable)),
            ("creation_time", Datum::TimestampTz(cursor.since)),
        ])
    };
    Ok(listed.iter().map(row).collect())
}
