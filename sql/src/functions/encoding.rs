//! `convert`, `convert_from` and `convert_to`: texts in other encodings than the database's, which is UTF8; and what
//! encodings are called.

use super::registry::{Entry, Registry};
use super::string::text;
use super::vector::wrong_arguments;
use crate::encoding::Encoding;
use crate::error::{Result, SqlError};
use crate::types::oids::{BYTEA, INT4, NAME, TEXT};
use crate::value::Datum;

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
            let decoded = encoding(arguments, 1, "source")?.convert(bytes(arguments)?, Encoding::UTF8)?;
            Ok(Datum::text(Encoding::UTF8.decode(&decoded)?))
        })
        .stable(),
    );
    registry.add(
        Entry::new("convert_to", &[TEXT, NAME], BYTEA, |arguments, _| {
            let target = encoding(arguments, 1, "destination")?;
            let encoded = Encoding::UTF8.convert(text(arguments, 0)?.as_bytes(), target)?;
            Ok(Datum::Bytes(encoded.into()))
        })
        .stable(),
    );
    registry.add(
        Entry::new("convert", &[BYTEA, NAME, NAME], BYTEA, |arguments, _| {
            let (source, target) =
                (encoding(arguments, 1, "source")?, encoding(arguments, 2, "destination")?);
            Ok(Datum::Bytes(source.convert(bytes(arguments)?, target)?.into()))
        })
        .stable(),
    );
    registry.add(
        Entry::new("length", &[BYTEA, NAME], INT4, |arguments, _| {
            let count = encoding(arguments, 1, "source")?.count(bytes(arguments)?)?;
            Ok(Datum::Int32(i32::try_from(count).unwrap_or(i32::MAX)))
        })
        .stable(),
    );
    registry.add(
        Entry::new("pg_char_to_encoding", &[NAME], INT4, |arguments, _| {
            Ok(Datum::Int32(Encoding::named(text(arguments, 0)?).map_or(-1, Encoding::number)))
        })
        .stable(),
    );
    registry.add(
        Entry::new("pg_encoding_to_char", &[INT4], NAME, |arguments, _| {
            let found = arguments[0].as_i64().and_then(Encoding::numbered);
            Ok(Datum::text(found.map_or("", Encoding::name)))
        })
        .stable(),
    );
    registry.add(Entry::new("pg_encoding_max_length", &[INT4], INT4, |arguments, _| {
        let found = arguments[0].as_i64().and_then(Encoding::numbered);
        Ok(found.map_or(Datum::Null, |encoding| Datum::Int32(encoding.bytes_max())))
    }));
    registry.add(
        Entry::new("pg_client_encoding", &[], NAME, |_, context| {
            Ok(Datum::text(context.settings.client_encoding.name()))
        })
        .stable(),
    );
}
