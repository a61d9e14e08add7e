//! `convert`, `convert_from` and `convert_to`: texts in other encodings than the database's, which is UTF8.
//!
//! UTF8, LATIN1 and SQL_ASCII are known.

use super::registry::{Entry, Registry};
use super::string::text;
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{BYTEA, INT4, NAME, TEXT};
use crate::value::Datum;

/// An encoding, with PostgreSQL's number for it.
#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    SqlAscii = 0,
    Utf8 = 6,
    Latin1 = 8,
}

impl Encoding {
    /// The encoding of a name: case, and what is no letter or digit, do not count.
    fn named(name: &str) -> Option<Encoding> {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        match letters.collect::<String>().to_ascii_lowercase().as_str() {
            "utf8" | "unicode" => Some(Encoding::Utf8),
            "latin1" | "iso88591" => Some(Encoding::Latin1),
            "sqlascii" => Some(Encoding::SqlAscii),
            _ => None,
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<String> {
        match self {
            Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Encoding::Utf8 | Encoding::SqlAscii => {
                let decoded = std::str::from_utf8(bytes).map_err(|error| {
                    let bad = &bytes[error.valid_up_to()..];
                    invalid_bytes(&bad[..error.error_len().unwrap_or(bad.len()).max(1)])
                })?;
                if decoded.contains('\0') { Err(invalid_bytes(&[0])) } else { Ok(decoded.to_owned()) }
            }
        }
    }

    fn encode(self, text: &str) -> Result<Vec<u8>> {
        match self {
            Encoding::Utf8 | Encoding::SqlAscii => Ok(text.as_bytes().to_vec()),
            Encoding::Latin1 => {
                let byte =
                    |character: char| u8::try_from(u32::from(character)).map_err(|_| unmapped(character));
                text.chars().map(byte).collect()
            }
        }
    }
}

fn listed(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn invalid_bytes(bytes: &[u8]) -> SqlError {
    SqlError::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", listed(bytes)),
    )
}

fn unmapped(character: char) -> SqlError {
    let mut buffer = [0; 4];
    let bytes = listed(character.encode_utf8(&mut buffer).as_bytes());
    SqlError::new(
        SqlState::UNTRANSLATABLE_CHARACTER,
        format!(
            "character with byte sequence {bytes} in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\""
        ),
    )
}

/// Argument `index`: an encoding, which is the `role` one.
fn encoding(arguments: &[Datum], index: usize, role: &str) -> Result<Encoding> {
    let name = text(arguments, index)?;
    Encoding::named(name)
        .ok_or_else(|| SqlError::invalid_parameter(format!("invalid {role} encoding name \"{name}\"")))
}

fn bytes(arguments: &[Datum]) -> Result<&[u8]> {
    match arguments.first() {
        Some(Datum::Bytes(bytes)) => Ok(bytes),
        _ => Err(wrong_arguments()),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(
        Entry::new("convert_from", &[BYTEA, NAME], TEXT, |arguments, _| {
            encoding(arguments, 1, "source")?.decode(bytes(arguments)?).map(Datum::from)
        })
        .stable(),
    );
    registry.add(
        Entry::new("convert_to", &[TEXT, NAME], BYTEA, |arguments, _| {
            let encoded = encoding(arguments, 1, "destination")?.encode(text(arguments, 0)?)?;
            Ok(Datum::Bytes(encoded.into()))
        })
        .stable(),
    );
    registry.add(
        Entry::new("convert", &[BYTEA, NAME, NAME], BYTEA, |arguments, _| {
            let (source, target) =
                (encoding(arguments, 1, "source")?, encoding(arguments, 2, "destination")?);
            Ok(Datum::Bytes(target.encode(&source.decode(bytes(arguments)?)?)?.into()))
        })
        .stable(),
    );
    registry.add(
        Entry::new("length", &[BYTEA, NAME], INT4, |arguments, _| {
            let count = encoding(arguments, 1, "source")?.decode(bytes(arguments)?)?.chars().count();
            Ok(Datum::Int32(i32::try_from(count).unwrap_or(i32::MAX)))
        })
        .stable(),
    );
    registry.add(
        Entry::new("pg_char_to_encoding", &[NAME], INT4, |arguments, _| {
            Ok(Datum::Int32(Encoding::named(text(arguments, 0)?).map_or(-1, |encoding| encoding as i32)))
        })
        .stable(),
    );
}
