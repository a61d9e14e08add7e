//! The string types: TEXT, VARCHAR(n), CHAR(n), NAME, and the untyped literal's `unknown` and `cstring`.
//!
//! `char(n)` values are stored padded with blanks; their order and hash ignore trailing blanks.

use super::scalar::{entry, operations, wrong_kind};
use super::{Category, TypeInfo, TypeOperations, TypeShape, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind, Text, hash_value};
use std::borrow::Cow;

/// The bytes an identifier may have.
pub(crate) const NAME_BYTES_MAX: usize = 63;

fn content<'a>(info: &TypeInfo, datum: &'a Datum) -> Result<&'a str> {
    datum.as_text().ok_or_else(|| wrong_kind(info))
}

/// UTF-8 without NUL from the wire.
pub(crate) fn read_utf8(bytes: &[u8]) -> Result<&str> {
    let invalid = |bytes: &[u8]| {
        let shown: Vec<String> = bytes.iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
        SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let rest = &bytes[error.valid_up_to()..];
        let announced = match rest[0] {
            0xf0.. => 4,
            0xe0.. => 3,
            0xc0.. => 2,
            _ => 1,
        };
        invalid(&rest[..announced.min(rest.len())])
    })?;
    if bytes.contains(&0) { Err(invalid(&[0])) } else { Ok(text) }
}

const OPERATIONS: TypeOperations = operations(
    |_, text, _, _| Ok(Datum::text(text)),
    |info, datum, out, _| {
        out.push_str(content(info, datum)?);
        Ok(())
    },
    |_, bytes, _, context| context.settings.client_encoding.decode(bytes).map(Datum::text),
    |info, datum, out, context| context.settings.client_encoding.encode_to(content(info, datum)?, out),
);

#[cold]
fn too_long(type_name: &str, length: usize) -> SqlError {
    SqlError::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type {type_name}({length})"),
    )
}

/// The longest prefix of `length` characters; the rest must be blanks unless the cast is explicit.
fn cut<'a>(text: &'a str, length: usize, explicit: bool, type_name: &str) -> Result<&'a str> {
    if text.len() <= length {
        return Ok(text);
    }
    let Some((end, _)) = text.char_indices().nth(length) else { return Ok(text) };
    if !explicit && text[end..].contains(|character| character != ' ') {
        return Err(too_long(type_name, length));
    }
    Ok(&text[..end])
}

/// `varchar(length)`.
pub(crate) fn fit_varchar(text: Text, length: usize, explicit: bool) -> Result<Text> {
    let fitted = cut(&text, length, explicit, "character varying")?;
    Ok(if fitted.len() == text.len() { text } else { Text::new(fitted) })
}

/// `char(length)`: cut or padded.
pub(crate) fn fit_bpchar(text: Text, length: usize, explicit: bool) -> Result<Text> {
    let fitted = cut(&text, length, explicit, "character")?;
    let count = fitted.chars().count();
    if count == length && fitted.len() == text.len() {
        return Ok(text);
    }
    Ok(Text::from(format!("{fitted}{}", " ".repeat(length - count))))
}

/// An identifier: cut to its bytes at a character's boundary.
pub(crate) fn fit_name(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_BYTES_MAX)]
}

/// A `char(n)` without the blanks that do not count.
fn significant(datum: &Datum) -> &str {
    datum.as_text().unwrap_or("").trim_end_matches(' ')
}

pub(super) fn types() -> Vec<TypeInfo> {
    use Category::String;
    const KIND: PhysicalKind = PhysicalKind::Text;
    let varchar = TypeOperations {
        apply_modifier: Some(|info, value, typmod, explicit| match value {
            Datum::Text(text) => fit_varchar(text, (typmod - 4) as usize, explicit).map(Datum::Text),
            _ => Err(wrong_kind(info)),
        }),
        ..OPERATIONS
    };
    let bpchar = TypeOperations {
        apply_modifier: Some(|info, value, typmod, explicit| match value {
            Datum::Text(text) => fit_bpchar(text, (typmod - 4) as usize, explicit).map(Datum::Text),
            _ => Err(wrong_kind(info)),
        }),
        compare: |_, left, right| significant(left).cmp(significant(right)),
        hash: |_, value| hash_value(&Datum::text(significant(value))),
        ..OPERATIONS
    };
    let name = TypeOperations { parse_text: |_, text, _, _| Ok(Datum::text(fit_name(text))), ..OPERATIONS };
    let pseudo = |oid, array_oid, name, category| TypeInfo {
        oid,
        name: Cow::Borrowed(name),
        sql_name: Cow::Borrowed(name),
        array_oid,
        category,
        preferred: false,
        length: -2,
        kind: KIND,
        shape: TypeShape::Pseudo,
        operations: OPERATIONS,
    };
    vec![
        entry(oids::TEXT, oids::TEXT_ARRAY, "text", "text", String, true, -1, KIND, OPERATIONS),
        entry(
            oids::VARCHAR,
            oids::VARCHAR_ARRAY,
            "varchar",
            "character varying",
            String,
            false,
            -1,
            KIND,
            varchar,
        ),
        entry(oids::BPCHAR, oids::BPCHAR_ARRAY, "bpchar", "character", String, false, -1, KIND, bpchar),
        entry(oids::NAME, oids::NAME_ARRAY, "name", "name", String, false, 64, KIND, name),
        entry(
            oids::PG_NODE_TREE,
            0,
            "pg_node_tree",
            "pg_node_tree",
            Category::Internal,
            false,
            -1,
            KIND,
            OPERATIONS,
        ),
        entry(
            oids::ACLITEM,
            oids::ACLITEM_ARRAY,
            "aclitem",
            "aclitem",
            Category::UserDefined,
            false,
            12,
            KIND,
            OPERATIONS,
        ),
        pseudo(oids::UNKNOWN, 0, "unknown", Category::Unknown),
        pseudo(oids::CSTRING, oids::CSTRING_ARRAY, "cstring", Category::Pseudo),
    ]
}
