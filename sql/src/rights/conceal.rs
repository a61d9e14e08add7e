//! Errors say nothing of rows that one may not read.
//!
//! The details of broken constraints show values: of keys only to who may read all their columns, of whole rows only to
//! who may read the table.

use super::{Actor, relation};
use crate::catalog::{ConstraintKind, Rights, TableEntry};
use crate::error::{SqlError, SqlState};

/// The same error without what the actor may not see.
#[must_use]
pub fn conceal(actor: &Actor<'_>, error: SqlError) -> SqlError {
    let fields = error.fields();
    let shows_rows = matches!(
        error.state(),
        SqlState::NOT_NULL_VIOLATION
            | SqlState::CHECK_VIOLATION
            | SqlState::UNIQUE_VIOLATION
            | SqlState::FOREIGN_KEY_VIOLATION
    );
    let (true, Some(table), Some(detail)) = (shows_rows, &fields.table, &fields.detail) else { return error };
    let schema = fields.schema.as_ref().and_then(|schema| actor.catalog.schema_named(schema));
    let oid = schema.and_then(|schema| actor.catalog.relation_named(schema.oid, table));
    let Some(entry) = oid.and_then(|oid| actor.catalog.table(oid)) else { return error };
    if may_read(actor, entry, detail, fields.constraint.as_deref()) {
        return error;
    }
    if error.state() != SqlState::FOREIGN_KEY_VIOLATION {
        return error.without_detail();
    }
    // Which tables it is about may be told.
    let end = [" is not present in ", REFERENCED].iter().find_map(|words| detail.rfind(words));
    match end.map(|end| format!("Key{}", &detail[end..])) {
        Some(told) => error.with_detail(told),
        None => error.without_detail(),
    }
}

const REFERENCED: &str = " is still referenced from ";

/// Whether the table that a detail has values of may be read, or where they are a key's, its columns.
fn may_read(actor: &Actor<'_>, entry: &TableEntry, detail: &str, constraint: Option<&str>) -> bool {
    let constraint = entry.constraints.iter().find(|each| Some(each.name.as_str()) == constraint);
    let (mut entry, mut columns) = (entry, constraint.map(|constraint| constraint.columns.as_slice()));
    // The values are those of the table that is referred to.
    if detail.contains(REFERENCED)
        && let Some(ConstraintKind::ForeignKey { table, columns: referred, .. }) =
            constraint.map(|constraint| &constraint.kind)
        && let Some(parent) = actor.catalog.table(*table)
    {
        (entry, columns) = (parent, Some(referred.as_slice()));
    }
    let secured = relation(actor.catalog, entry.table.oid);
    let whole = secured.is_some_and(|secured| !actor.rights(&secured, Rights::SELECT).is_empty());
    let may = |number: &i16| !actor.column_rights(entry.table.oid, *number, Rights::SELECT).is_empty();
    whole || (detail.starts_with("Key ") && columns.is_some_and(|columns| columns.iter().all(may)))
}
