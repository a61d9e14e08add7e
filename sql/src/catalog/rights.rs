//! Rights on objects: who may do what, and who said so.
//!
//! An access control list is a list of [`Grant`]s, as PostgreSQL's `aclitem[]`. What nobody ever granted or revoked
//! has no list: then the [`default_grants`] of its kind hold, which are made from its owner. Lists are objects of
//! their own, beside what they are about, so that built-in relations can have them too.

use super::codec::{Reader, Writer};
use super::object::ColumnNumber;
use super::user_type::TypeDefinition;
use super::{DATABASE_OWNER, INFORMATION_SCHEMA, PG_CATALOG, PUBLIC, SUPERUSER};
use crate::error::Result;

/// The grantee that means everybody.
pub const EVERYBODY: u32 = 0;

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rights(pub u16);

impl Rights {
    pub const NONE: Rights = Rights(0);
    pub const INSERT: Rights = Rights(1);
    pub const SELECT: Rights = Rights(1 << 1);
    pub const UPDATE: Rights = Rights(1 << 2);
    pub const DELETE: Rights = Rights(1 << 3);
    pub const TRUNCATE: Rights = Rights(1 << 4);
    pub const REFERENCES: Rights = Rights(1 << 5);
    pub const TRIGGER: Rights = Rights(1 << 6);
    pub const EXECUTE: Rights = Rights(1 << 7);
    pub const USAGE: Rights = Rights(1 << 8);
    pub const CREATE: Rights = Rights(1 << 9);
    pub const TEMPORARY: Rights = Rights(1 << 10);
    pub const CONNECT: Rights = Rights(1 << 11);
    pub const SET: Rights = Rights(1 << 12);
    pub const ALTER_SYSTEM: Rights = Rights(1 << 13);
    /// All of a table's.
    pub const TABLE: Rights = Rights(0x7f);
    /// Those that columns have of their own.
    pub const COLUMN: Rights = Rights(0b10_0111);

    #[must_use]
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    #[must_use]
    pub const fn common(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Rights) -> bool {
        other.0 & !self.0 == 0
    }

    /// Each of them by itself, in PostgreSQL's order.
    pub fn each(self) -> impl Iterator<Item = Rights> {
        (0..NAMES.len()).map(|bit| Rights(1 << bit)).filter(move |right| self.has(*right))
    }

    /// The words of GRANT, where it is one right.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self.0.trailing_zeros() as usize).map_or("", |(_, name)| name)
    }

    /// The letter of an `aclitem`.
    #[must_use]
    pub fn letter(self) -> char {
        NAMES.get(self.0.trailing_zeros() as usize).map_or(' ', |(letter, _)| *letter)
    }

    /// The right of a letter.
    #[must_use]
    pub fn of_letter(letter: char) -> Option<Rights> {
        let bit = NAMES.iter().position(|(each, _)| *each == letter)?;
        Some(Rights(1 << bit))
    }

    /// The right that GRANT calls so, in lower case.
    #[must_use]
    pub fn named(word: &str) -> Option<Rights> {
        if word == "temp" {
            return Some(Rights::TEMPORARY);
        }
        let bit = NAMES.iter().position(|(_, name)| name.eq_ignore_ascii_case(word))?;
        Some(Rights(1 << bit))
    }
}

/// By bit.
const NAMES: [(char, &str); 14] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
];

/// A kind of object that has rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecuredKind {
    Column,
    Relation,
    Sequence,
    Database,
    Function,
    Language,
    LargeObject,
    Schema,
    Parameter,
    Tablespace,
    ForeignDataWrapper,
    ForeignServer,
    Type,
}

impl SecuredKind {
    /// The kind that `acldefault` knows by a letter.
    #[must_use]
    pub fn of_letter(letter: u8) -> Option<SecuredKind> {
        Some(match letter {
            b'c' => SecuredKind::Column,
            b'r' => SecuredKind::Relation,
            b's' => SecuredKind::Sequence,
            b'd' => SecuredKind::Database,
            b'f' => SecuredKind::Function,
            b'l' => SecuredKind::Language,
            b'L' => SecuredKind::LargeObject,
            b'n' => SecuredKind::Schema,
            b'p' => SecuredKind::Parameter,
            b't' => SecuredKind::Tablespace,
            b'F' => SecuredKind::ForeignDataWrapper,
            b'S' => SecuredKind::ForeignServer,
            b'T' => SecuredKind::Type,
            _ => return None,
        })
    }

    /// All rights that there are on such an object.
    #[must_use]
    pub fn all(self) -> Rights {
        match self {
            SecuredKind::Column => Rights::COLUMN,
            SecuredKind::Relation => Rights::TABLE,
            SecuredKind::Sequence => Rights::SELECT.with(Rights::UPDATE).with(Rights::USAGE),
            SecuredKind::Database => Rights::CREATE.with(Rights::TEMPORARY).with(Rights::CONNECT),
            SecuredKind::Function => Rights::EXECUTE,
            SecuredKind::LargeObject => Rights::SELECT.with(Rights::UPDATE),
            SecuredKind::Schema => Rights::USAGE.with(Rights::CREATE),
            SecuredKind::Parameter => Rights::SET.with(Rights::ALTER_SYSTEM),
            SecuredKind::Tablespace => Rights::CREATE,
            SecuredKind::Language
            | SecuredKind::ForeignDataWrapper
            | SecuredKind::ForeignServer
            | SecuredKind::Type => Rights::USAGE,
        }
    }

    /// Those that everybody has unless they are taken away.
    fn everybodys(self) -> Rights {
        match self {
            SecuredKind::Database => Rights::TEMPORARY.with(Rights::CONNECT),
            SecuredKind::Function => Rights::EXECUTE,
            SecuredKind::Language | SecuredKind::Type => Rights::USAGE,
            _ => Rights::NONE,
        }
    }
}

/// What one role has given another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// [`EVERYBODY`] for all roles.
    pub grantee: u32,
    pub grantor: u32,
    pub rights: Rights,
    /// Those of them that the grantee may give others.
    pub options: Rights,
}

/// What holds for an object of a kind that nobody granted anything on.
#[must_use]
pub fn default_grants(kind: SecuredKind, owner: u32) -> Vec<Grant> {
    let grant = |grantee, rights| Grant { grantee, grantor: owner, rights, options: Rights::NONE };
    let mut grants = Vec::new();
    if !kind.everybodys().is_empty() {
        grants.push(grant(EVERYBODY, kind.everybodys()));
    }
    let own = if kind == SecuredKind::Column { Rights::NONE } else { kind.all() };
    if !own.is_empty() {
        grants.push(grant(owner, own));
    }
    grants
}

/// The list that a schema begins with which is there from the start.
#[must_use]
pub fn initial_schema_grants(schema: u32) -> Option<Vec<Grant>> {
    let owner = match schema {
        PUBLIC => DATABASE_OWNER,
        PG_CATALOG | INFORMATION_SCHEMA => SUPERUSER,
        _ => return None,
    };
    let grant = |grantee, rights| Grant { grantee, grantor: owner, rights, options: Rights::NONE };
    Some(vec![grant(owner, SecuredKind::Schema.all()), grant(EVERYBODY, Rights::USAGE)])
}

/// The lists of an object that somebody granted or revoked something on.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectRights {
    /// The object.
    pub oid: u32,
    /// The OID of the system catalog that the object is in.
    pub class: u32,
    /// `None`: the default.
    pub grants: Option<Vec<Grant>>,
    /// Those on single columns.
    pub columns: Vec<(ColumnNumber, Vec<Grant>)>,
}

impl ObjectRights {
    /// Nothing but defaults.
    #[must_use]
    pub fn new(class: u32, oid: u32) -> ObjectRights {
        ObjectRights { oid, class, grants: None, columns: Vec::new() }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_none() && self.columns.is_empty()
    }

    /// The grants on a column.
    #[must_use]
    pub fn column(&self, number: ColumnNumber) -> Option<&[Grant]> {
        self.columns.iter().find(|(each, _)| *each == number).map(|(_, grants)| grants.as_slice())
    }

    /// Replaces the grants on a column; none at all are no list.
    pub fn set_column(&mut self, number: ColumnNumber, grants: Vec<Grant>) {
        self.columns.retain(|(each, _)| *each != number);
        if !grants.is_empty() {
            self.columns.push((number, grants));
            self.columns.sort_by_key(|(number, _)| *number);
        }
    }

    /// All lists.
    pub fn lists(&self) -> impl Iterator<Item = &Vec<Grant>> {
        self.grants.iter().chain(self.columns.iter().map(|(_, grants)| grants))
    }

    /// All lists, to change them.
    pub fn lists_mut(&mut self) -> impl Iterator<Item = &mut Vec<Grant>> {
        self.grants.iter_mut().chain(self.columns.iter_mut().map(|(_, grants)| grants))
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.oid);
        writer.u32(self.class);
        writer.bool(self.grants.is_some());
        if let Some(grants) = &self.grants {
            encode_grants(writer, grants);
        }
        writer.list(&self.columns, |writer, (number, grants)| {
            writer.number(*number);
            encode_grants(writer, grants);
        });
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ObjectRights> {
        Ok(ObjectRights {
            oid: reader.u32()?,
            class: reader.u32()?,
            grants: if reader.bool()? { Some(decode_grants(reader)?) } else { None },
            columns: reader.list(|reader| Ok((reader.number()?, decode_grants(reader)?)))?,
        })
    }
}

/// What ALTER DEFAULT PRIVILEGES said of a role's new objects of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultRights {
    pub oid: u32,
    pub role: u32,
    /// 0: in all schemas.
    pub schema: u32,
    /// `r`, `S`, `f`, `T` or `n`.
    pub kind: u8,
    pub grants: Vec<Grant>,
}

impl DefaultRights {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.oid);
        writer.u32(self.role);
        writer.u32(self.schema);
        writer.u8(self.kind);
        encode_grants(writer, &self.grants);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<DefaultRights> {
        Ok(DefaultRights {
            oid: reader.u32()?,
            role: reader.u32()?,
            schema: reader.u32()?,
            kind: reader.u8()?,
            grants: decode_grants(reader)?,
        })
    }
}

fn encode_grants(writer: &mut Writer, grants: &[Grant]) {
    writer.list(grants, |writer, grant| {
        writer.u32(grant.grantee);
        writer.u32(grant.grantor);
        writer.number(grant.rights.0.cast_signed());
        writer.number(grant.options.0.cast_signed());
    });
}

fn decode_grants(reader: &mut Reader<'_>) -> Result<Vec<Grant>> {
    reader.list(|reader| {
        Ok(Grant {
            grantee: reader.u32()?,
            grantor: reader.u32()?,
            rights: Rights(reader.number()?.cast_unsigned()),
            options: Rights(reader.number()?.cast_unsigned()),
        })
    })
}

impl TypeDefinition {
    /// What GRANT calls it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if matches!(self, TypeDefinition::Domain(_)) { "domain" } else { "type" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::codec;

    /// Lists are read as they were written, and what is cut off anywhere is damage.
    #[test]
    fn rights_are_read_as_they_are_written() {
        let mut rights = ObjectRights::new(1259, 20_000);
        rights.grants = Some(default_grants(SecuredKind::Relation, SUPERUSER));
        rights.set_column(3, default_grants(SecuredKind::Database, 7));
        let role = DefaultRights { oid: 5, role: 6, schema: 0, kind: b'r', grants: Vec::new() };
        for (class, object) in [(10, rights.into()), (11, role.into())] {
            let stored = codec::encode(&object);
            assert_eq!(codec::decode(class, &stored).expect("whole"), Some(object));
            for end in 0..stored.len() {
                assert!(codec::decode(class, &stored[..end]).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn rights_have_names_and_letters() {
        let all: String = Rights(0x3fff).each().map(Rights::letter).collect();
        assert_eq!(all, "arwdDxtXUCTcsA");
        for right in Rights(0x3fff).each() {
            assert_eq!(Rights::of_letter(right.letter()), Some(right));
            assert_eq!(Rights::named(&right.name().to_lowercase()), Some(right));
        }
        assert_eq!(
            Rights::COLUMN.each().map(Rights::name).collect::<Vec<_>>(),
            ["INSERT", "SELECT", "UPDATE", "REFERENCES"]
        );
    }
}
