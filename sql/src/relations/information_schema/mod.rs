//! `information_schema`: the standard's views of the catalog.
//!
//! Each shows what the current role may see: what it owns, or has some right on, as the view demands.

pub mod columns;
pub mod composites;
pub mod constraints;
pub mod routines;
pub mod surroundings;
pub mod tables;
pub mod types_described;
pub mod usage;

use super::relation::text;
use crate::catalog::Rights;
use crate::execute::Environment;
use crate::rights::{Actor, relation as secured_relation};
use crate::value::Datum;

/// A truth as the standard writes it.
pub fn yes_or_no(truth: bool) -> Datum {
    text(if truth { "YES" } else { "NO" })
}

/// Whether the standard's views show a relation to the current role: it owns it, or has a right on it or on a column.
pub fn is_shown(environment: &Environment, actor: &Actor<'_>, oid: u32) -> bool {
    let Some(secured) = secured_relation(&environment.catalog, oid) else { return false };
    let columns = environment.catalog.rights_on(oid).map_or(&[][..], |rights| &rights.columns);
    actor.has_role(secured.owner)
        || !actor.rights(&secured, secured.kind.all()).is_empty()
        || columns.iter().any(|(_, grants)| !actor.given(grants, Rights::COLUMN).is_empty())
}

/// The same for a column: of an own relation, or one with a right on it.
pub fn is_column_shown(environment: &Environment, actor: &Actor<'_>, oid: u32, column: i16) -> bool {
    secured_relation(&environment.catalog, oid).is_some_and(|secured| {
        let rights = actor.rights(&secured, Rights::COLUMN);
        actor.has_role(secured.owner)
            || !rights.with(actor.column_rights(oid, column, Rights::COLUMN)).is_empty()
    })
}
