//! What the scalar types share: table entries and the pieces of their operations.

use super::{Category, Oid, TypeInfo, TypeOperations, TypeShape};
use crate::error::{SqlError, SqlState};
use crate::value::{PhysicalKind, compare_values, hash_value};
use std::borrow::Cow;

/// A base type's entry.
#[allow(clippy::too_many_arguments)] // one line for each column of pg_type
pub(super) fn entry(
    oid: Oid,
    array_oid: Oid,
    name: &'static str,
    sql_name: &'static str,
    category: Category,
    preferred: bool,
    length: i16,
    kind: PhysicalKind,
    operations: TypeOperations,
) -> TypeInfo {
    TypeInfo {
        oid,
        name: Cow::Borrowed(name),
        sql_name: Cow::Borrowed(sql_name),
        array_oid,
        category,
        preferred,
        length,
        kind,
        shape: TypeShape::Base,
        operations,
    }
}

/// Operations that order and hash by the stored form.
pub(super) const fn operations(
    parse_text: super::ParseText,
    print_text: super::PrintText,
    read_binary: super::ReadBinary,
    write_binary: super::WriteBinary,
) -> TypeOperations {
    TypeOperations {
        parse_text,
        print_text,
        read_binary,
        write_binary,
        compare: |_, left, right| compare_values(left, right),
        hash: |_, value| hash_value(value),
        apply_modifier: None,
    }
}

/// The bytes C's isspace accepts.
pub(crate) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// A binary value that is too short or too long.
#[cold]
pub(crate) fn wrong_length() -> SqlError {
    SqlError::invalid_binary("incorrect binary data format")
}

/// A binary value that ends before it should.
#[cold]
pub(crate) fn cut_off() -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

/// A value of another kind than its type says: an invariant of ours is broken.
#[cold]
pub(crate) fn wrong_kind(info: &TypeInfo) -> SqlError {
    SqlError::internal(format!("value is not of type {}", info.name))
}
