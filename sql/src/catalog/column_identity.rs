//! What tells a column of a table from its others, whatever it is called and whatever number it has.
//!
//! Columns that were made with their table have their numbers for it, which are below all OIDs; each column that was added later
//! has an OID of its own. So no two columns of a table ever have the same, on whatever branch and at whatever moment, and a
//! column keeps it where it is renamed, or merged to a branch on which its number is another one. Columns that were added
//! on two branches and merged as one have those of both. Columns from programs before this one have none.

use super::object::ColumnNumber;

/// The identities of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnIdentity(Vec<u32>);

impl ColumnIdentity {
    /// Of a column that is made with its table.
    #[must_use]
    pub fn first(number: ColumnNumber) -> ColumnIdentity {
        ColumnIdentity(u32::try_from(number).into_iter().collect())
    }

    /// Of a column that is added to a table.
    #[must_use]
    pub fn added(oid: u32) -> ColumnIdentity {
        ColumnIdentity(vec![oid])
    }

    /// As it was stored.
    #[must_use]
    pub fn stored(identities: Vec<u32>) -> ColumnIdentity {
        ColumnIdentity(identities)
    }

    /// What is stored of it.
    #[must_use]
    pub fn identities(&self) -> &[u32] {
        &self.0
    }

    /// Whether it says anything.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether both are the same column.
    #[must_use]
    pub fn is_same(&self, other: &ColumnIdentity) -> bool {
        self.0.iter().any(|each| other.0.contains(each))
    }

    /// Makes two columns one.
    pub fn join(&mut self, other: &ColumnIdentity) {
        for each in &other.0 {
            if !self.0.contains(each) {
                self.0.push(*each);
            }
        }
        self.0.sort_unstable();
    }
}
