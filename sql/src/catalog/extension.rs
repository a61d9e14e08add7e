//! Extensions: what CREATE EXTENSION knows. The functions that they stand for are part of the program; the name is there
//! so that programs and dumps which ask for it go on.

use super::codec::{Reader, Writer};
use crate::error::Result;

/// An extension of a database.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    pub oid: u32,
    pub name: String,
    /// The schema that it was made in.
    pub schema: u32,
    pub owner: u32,
    pub version: String,
}

impl Extension {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.oid);
        writer.text(&self.name);
        writer.u32(self.schema);
        writer.u32(self.owner);
        writer.text(&self.version);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Extension> {
        Ok(Extension {
            oid: reader.u32()?,
            name: reader.text()?,
            schema: reader.u32()?,
            owner: reader.u32()?,
            version: reader.text()?,
        })
    }
}

/// An extension that can be made.
#[derive(Debug)]
pub struct AvailableExtension {
    pub name: &'static str,
    pub version: &'static str,
    /// Whether it may be moved to another schema.
    pub is_relocatable: bool,
    /// Whether who may create objects in the database may make it.
    pub is_trusted: bool,
    pub comment: &'static str,
}

/// The extensions that can be made.
pub const AVAILABLE_EXTENSIONS: &[AvailableExtension] = &[
    AvailableExtension {
        name: "pgcrypto",
        version: "1.3",
        is_relocatable: true,
        is_trusted: true,
        comment: "cryptographic functions",
    },
    AvailableExtension {
        name: "uuid-ossp",
        version: "1.1",
        is_relocatable: true,
        is_trusted: true,
        comment: "generate universally unique identifiers (UUIDs)",
    },
    AvailableExtension {
        name: "vector",
        version: "0.8.0",
        is_relocatable: true,
        is_trusted: true,
        comment: "vector data type and ivfflat and hnsw access methods",
    },
];

/// The extension of a name that can be made.
#[must_use]
pub fn available_extension(name: &str) -> Option<&'static AvailableExtension> {
    AVAILABLE_EXTENSIONS.iter().find(|available| available.name == name)
}
