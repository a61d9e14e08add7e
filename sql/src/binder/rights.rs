//! What a statement needs of the relations that it names, noted while they are bound.

use super::{Binder, Relation};
use crate::catalog::{ColumnNumber, Rights};
use crate::rights::RelationUse;

impl Binder<'_> {
    /// Notes that a statement needs some rights on a relation.
    pub(crate) fn note_use(&mut self, relation: &Relation, rights: Rights) -> &mut RelationUse {
        let (oid, as_role) = (relation.oid(), self.as_role);
        let known = self.uses.iter().position(|each| each.relation == oid && each.as_role == as_role);
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
            let as_role = self.as_role;
            let found =
                self.uses.iter_mut().find(|each| each.relation == relation && each.as_role == as_role);
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
