//! What sessions begin with in a database, all of them or those of a role: ALTER DATABASE … SET, and ALTER ROLE … IN DATABASE.
//!
//! As roles, these are in the catalog of the folder's first branch. What a role's sessions begin with in all databases is the role's.

use super::codec::{Reader, Writer};
use crate::error::Result;

/// The settings of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The database's OID; 0: all of them.
    pub oid: u32,
    /// Roles, 0 for all of them, with what they begin with: names and values as they were given.
    pub roles: Vec<(u32, Vec<(String, String)>)>,
}

impl Configuration {
    /// That nothing is set yet.
    #[must_use]
    pub fn new(oid: u32) -> Configuration {
        Configuration { oid, roles: Vec::new() }
    }

    /// What a role begins with, 0 for all of them.
    #[must_use]
    pub fn of(&self, role: u32) -> &[(String, String)] {
        self.roles.iter().find(|each| each.0 == role).map_or(&[], |each| &each.1)
    }

    /// Has a role begin with something else.
    pub fn set(&mut self, role: u32, settings: Vec<(String, String)>) {
        self.roles.retain(|each| each.0 != role);
        if !settings.is_empty() {
            self.roles.push((role, settings));
            self.roles.sort();
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.oid);
        writer.list(&self.roles, |writer, (role, settings)| {
            writer.u32(*role);
            writer.pairs(settings);
        });
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Configuration> {
        Ok(Configuration {
            oid: reader.u32()?,
            roles: reader.list(|reader| Ok((reader.u32()?, reader.pairs()?)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::{Object, codec};

    /// It is read as it was written, and what is cut off anywhere is damage.
    #[test]
    fn configurations_are_read_as_they_are_written() {
        let mut configuration = Configuration::new(5);
        configuration.set(7, vec![("work_mem".into(), "8MB".into())]);
        configuration.set(0, vec![("search_path".into(), "a, b".into())]);
        configuration.set(9, Vec::new());
        assert_eq!((configuration.roles.len(), configuration.of(9).len()), (2, 0));
        let object = Object::Configuration(Arc::new(configuration));
        let stored = codec::encode(&object);
        assert_eq!(codec::decode(13, &stored).expect("whole"), Some(object));
        for end in 0..stored.len() {
            assert!(codec::decode(13, &stored[..end]).is_err(), "{end}");
        }
    }
}
