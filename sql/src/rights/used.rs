//! What a statement needs of the relations that it names.
//!
//! The binder notes it, the session asks for it before each execution, unless the same plan was permitted before. What
//! a view reads, its owner must be permitted, unless the view is `security_invoker`.

use std::collections::BTreeSet;

use super::{Actor, Secured, Who, denied, function, relation};
use crate::catalog::{CatalogSnapshot, ColumnNumber, Rights};
use crate::error::{Result, SqlError, SqlState};

/// What a statement needs of one relation, as one role; or of a function that not everybody may call: EXECUTE.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationUse {
    pub relation: u32,
    /// What errors call it.
    pub word: &'static str,
    pub name: String,
    /// Who owned it when it was bound, should it be there no more: AS OF reads such.
    pub owner: u32,
    /// Whose rights count; `None`: those of who runs the statement.
    pub as_role: Option<u32>,
    pub needed: Rights,
    pub selected: BTreeSet<ColumnNumber>,
    pub inserted: BTreeSet<ColumnNumber>,
    pub updated: BTreeSet<ColumnNumber>,
    /// It is a materialized view that has nothing to read yet.
    pub is_unpopulated: bool,
}

/// Asks for all that a statement needs.
///
/// # Errors
/// 42501.
pub fn check_uses(catalog: &CatalogSnapshot, who: Who, uses: &[RelationUse]) -> Result<()> {
    for each in uses {
        let actor = each.as_role.map_or(who, |role| who.instead(role)).among(catalog);
        if !each.is_permitted(&actor) {
            return Err(denied(each.word, &each.name));
        }
    }
    Ok(())
}

/// Refuses to read materialized views before they were refreshed.
///
/// # Errors
/// 55000.
pub fn check_populated(uses: &[RelationUse]) -> Result<()> {
    match uses.iter().find(|each| each.is_unpopulated) {
        None => Ok(()),
        Some(each) => {
            let message = format!("materialized view \"{}\" has not been populated", each.name);
            Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_hint("Use the REFRESH MATERIALIZED VIEW command."))
        }
    }
}

impl RelationUse {
    /// Whether it is of a function.
    #[must_use]
    pub fn is_function(&self) -> bool {
        self.needed == Rights::EXECUTE
    }

    fn is_permitted(&self, actor: &Actor<'_>) -> bool {
        if actor.is_superuser() {
            return true;
        }
        if self.is_function() {
            let secured = function(actor.catalog, self.relation);
            return actor.rights(&secured, Rights::EXECUTE).has(Rights::EXECUTE);
        }
        let Some(secured) = relation(actor.catalog, self.relation) else {
            return actor.has_role(self.owner);
        };
        let missing = self.needed.without(actor.rights(&secured, self.needed));
        const OF_COLUMNS: Rights = Rights::SELECT.with(Rights::INSERT).with(Rights::UPDATE);
        if !OF_COLUMNS.has(missing) {
            return false;
        }
        let by_columns = |right: Rights, columns: &BTreeSet<ColumnNumber>| {
            !missing.has(right) || self.may_by_columns(actor, &secured, right, columns)
        };
        by_columns(Rights::SELECT, &self.selected)
            && by_columns(Rights::INSERT, &self.inserted)
            && by_columns(Rights::UPDATE, &self.updated)
    }

    /// Whether the rights on single columns are enough; on some column, where none is named.
    fn may_by_columns(
        &self,
        actor: &Actor<'_>,
        secured: &Secured<'_>,
        right: Rights,
        columns: &BTreeSet<ColumnNumber>,
    ) -> bool {
        if secured.is_system && right != Rights::SELECT {
            return false;
        }
        let has = |column: &ColumnNumber| actor.column_rights(self.relation, *column, right).has(right);
        if columns.is_empty() {
            let listed = actor.catalog.rights_on(self.relation).map_or(&[][..], |rights| &rights.columns);
            return listed.iter().any(|(column, _)| has(column));
        }
        columns.iter().all(has)
    }
}
