//! What a statement needs of the relations that it names, noted while they are bound.

use super::{Binder, Relation};
use crate::catalog::{ColumnNumber, PRIMARY_KEY, Rights, SUPERUSER};
use crate::rights::{RelationUse, is_function_restricted};

impl Binder<'_> {
    /// Notes that a statement needs some rights on a relation.
    pub(crate) fn note_use(&mut self, relation: &Relation, rights: Rights) -> &mut RelationUse {
        let (oid, as_role) = (relation.oid(), self.as_role);
        let is_same =
            |each: &RelationUse| each.relation == oid && each.as_role == as_role && !each.is_function();
        let known = self.uses.iter().position(is_same);
        let at = known.unwrap_or_else(|| {
            self.uses.push(RelationUse {
                relation: oid,
                word: relation.kind().word(),
                name: relation.name().to_string(),
                owner: relation.owner(),
                as_role,
                needed: Rights::NONE,
                selected: Default::default(),
                inserted: Default::default(),
                updated: Default::default(),
                is_unpopulated: match relation {
                    Relation::Stored(entry) => entry.table.is_unpopulated(),
                    _ => false,
                },
            });
            self.uses.len() - 1
        });
        let found = &mut self.uses[at];
        found.needed = found.needed.with(rights);
        found
    }

    /// Notes that a statement calls a function, or an aggregate as errors say. It is always who runs the statement that has to have the right.
    pub(crate) fn note_function(&mut self, word: &'static str, name: &str, arguments: &[u32]) {
        let Some(oid) = crate::relations::procedures::oid_with(name, arguments) else { return };
        let is_noted = |each: &RelationUse| each.relation == oid && each.is_function();
        if !is_function_restricted(self.catalog(), oid) || self.uses.iter().any(is_noted) {
            return;
        }
        self.uses.push(RelationUse {
            relation: oid,
            word,
            name: name.to_owned(),
            owner: SUPERUSER,
            as_role: None,
            needed: Rights::EXECUTE,
            selected: Default::default(),
            inserted: Default::default(),
            updated: Default::default(),
            is_unpopulated: false,
        });
    }

    /// Notes the columns that a statement writes.
    pub(crate) fn note_insert(
        &mut self,
        relation: &Relation,
        columns: impl IntoIterator<Item = ColumnNumber>,
    ) {
        self.note_use(relation, Rights::INSERT).inserted.extend(columns);
    }

    /// Notes the columns that a statement changes.
    pub(crate) fn note_update(
        &mut self,
        relation: &Relation,
        columns: impl IntoIterator<Item = ColumnNumber>,
    ) {
        self.note_use(relation, Rights::UPDATE).updated.extend(columns);
    }

    /// Takes the columns that were named so far for columns that are read.
    pub(crate) fn settle_uses(&mut self) {
        for (relation, column) in std::mem::take(&mut self.used_columns) {
            if column == PRIMARY_KEY {
                continue;
            }
            let as_role = self.as_role;
            let is_same = |each: &&mut RelationUse| {
                each.relation == relation && each.as_role == as_role && !each.is_function()
            };
            let found = self.uses.iter_mut().find(is_same);
            if let Some(found) = found {
                found.needed = found.needed.with(Rights::SELECT);
                found.selected.insert(column);
            }
        }
    }

    /// What the statement needs.
    pub(crate) fn take_uses(&mut self) -> Vec<RelationUse> {
        std::mem::take(&mut self.uses)
    }
}
