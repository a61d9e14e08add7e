//! Reading the parameters of Bind.

use heliosdb_nano::session::functions::EvalContext;
use heliosdb_nano::session::types::{DataType, oids};
use heliosdb_nano::session::value::Datum;
use heliosdb_nano::session::{SqlError, SqlState};

use crate::results::is_binary_code;
use crate::wire::{Body, checked_text, protocol_violation};

/// Format codes in a message's body: a count, then as many codes.
#[derive(Clone, Copy)]
pub(crate) struct FormatCodes<'a> {
    codes: &'a [[u8; 2]],
}

impl<'a> FormatCodes<'a> {
    pub(crate) fn read(body: &mut Body<'a>) -> Result<FormatCodes<'a>, SqlError> {
        let count = body.count()?;
        let (codes, _) = body.bytes(count * 2)?.as_chunks();
        Ok(FormatCodes { codes })
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = i16> {
        self.codes.iter().map(|code| i16::from_be_bytes(*code))
    }

    fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether a value is binary: without codes it is text, one code is for all.
    fn is_binary(&self, at: usize) -> Result<bool, SqlError> {
        match self.codes {
            [] => Ok(false),
            [code] => is_binary_code(i16::from_be_bytes(*code)),
            codes => is_binary_code(i16::from_be_bytes(codes[at])),
        }
    }
}

/// Reads the values for parameters of the given types.
pub(crate) fn read_parameters(
    body: &mut Body<'_>,
    formats: FormatCodes<'_>,
    types: &[DataType],
    statement: &str,
    context: &EvalContext<'_>,
) -> Result<Vec<Datum>, SqlError> {
    let count = body.count()?;
    if formats.len() > 1 && formats.len() != count {
        return Err(protocol_violation(format!(
            "bind message has {} parameter formats but {count} parameters",
            formats.len()
        )));
    }
    if count != types.len() {
        return Err(protocol_violation(format!(
            "bind message supplies {count} parameters, but prepared statement \"{statement}\" requires {}",
            types.len()
        )));
    }
    let mut values = Vec::with_capacity(count);
    for (at, data_type) in types.iter().enumerate() {
        let Ok(length) = usize::try_from(body.i32()?) else {
            values.push(Datum::Null);
            continue;
        };
        let bytes = body.bytes(length)?;
        let value = read_value(bytes, *data_type, formats.is_binary(at)?, context);
        values.push(value.map_err(|error| named(error, at))?);
    }
    Ok(values)
}

fn read_value(
    bytes: &[u8],
    data_type: DataType,
    is_binary: bool,
    context: &EvalContext<'_>,
) -> Result<Datum, SqlError> {
    match (data_type.oid, is_binary) {
        (oids::INT4, true) if let Ok(bytes) = bytes.try_into() => Ok(Datum::Int32(i32::from_be_bytes(bytes))),
        (oids::INT8, true) if let Ok(bytes) = bytes.try_into() => Ok(Datum::Int64(i64::from_be_bytes(bytes))),
        (oids::TEXT | oids::VARCHAR | oids::UNKNOWN, _) => Ok(Datum::text(checked_text(bytes)?)),
        (oid, true) => context.type_info(oid)?.read_binary(bytes, data_type.typmod, context),
        (oid, false) => context.type_info(oid)?.parse_text(checked_text(bytes)?, data_type.typmod, context),
    }
}

/// Says which parameter it was, where the message does not show it.
fn named(error: SqlError, at: usize) -> SqlError {
    if error.state() == SqlState::INVALID_BINARY_REPRESENTATION {
        return SqlError::new(
            error.state(),
            format!("incorrect binary data format in bind parameter {}", at + 1),
        );
    }
    error.with_context(format!("unnamed portal parameter ${}", at + 1))
}
