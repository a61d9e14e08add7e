//! Reading the parameters of Bind.

use heliosdb_nano::session::functions::EvalContext;
use heliosdb_nano::session::types::{DataType, oids};
use heliosdb_nano::session::value::{Datum, PhysicalKind};
use heliosdb_nano::session::{SqlError, SqlState};

use crate::results::is_binary_code;
use crate::wire::{Body, protocol_violation};

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

/// Reads the values for parameters of the given types; errors name the portal and the statement.
pub(crate) fn read_parameters(
    body: &mut Body<'_>,
    formats: FormatCodes<'_>,
    types: &[DataType],
    (portal, statement): (&str, &str),
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
        let is_binary = formats.is_binary(at).map_err(Refusal::from);
        let value = is_binary.and_then(|is_binary| read_parameter(body, *data_type, is_binary, context));
        values.push(value.map_err(|refusal| refusal.explain(portal, at))?);
    }
    Ok(values)
}

/// Reads the arguments of a function call, which are of the given types.
pub(crate) fn read_arguments(
    body: &mut Body<'_>,
    formats: FormatCodes<'_>,
    types: &[DataType],
    context: &EvalContext<'_>,
) -> Result<Vec<Datum>, SqlError> {
    let count = body.count()?;
    if count != types.len() {
        return Err(protocol_violation(format!(
            "function call message contains {count} arguments but function requires {}",
            types.len()
        )));
    }
    if formats.len() > 1 && formats.len() != count {
        return Err(protocol_violation(format!(
            "function call message contains {} argument formats but {count} arguments",
            formats.len()
        )));
    }
    let mut values = Vec::with_capacity(count);
    for (at, data_type) in types.iter().enumerate() {
        let is_binary = formats.is_binary(at);
        let value = is_binary
            .map_err(Refusal::from)
            .and_then(|binary| read_parameter(body, *data_type, binary, context));
        values.push(value.map_err(|refusal| refusal.explain_as(&format!("function argument {}", at + 1)))?);
    }
    Ok(values)
}

/// Why a parameter cannot be read.
struct Refusal {
    error: SqlError,
    /// The error shows the value, but for the context, since it may be secret.
    is_of_text: bool,
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Refusal {
        Refusal { error, is_of_text: false }
    }
}

impl Refusal {
    /// Says which parameter it was.
    fn explain(self, portal: &str, at: usize) -> SqlError {
        let number = at + 1;
        let portal =
            if portal.is_empty() { "unnamed portal".to_owned() } else { format!("portal \"{portal}\"") };
        let value = if self.is_of_text { " = '...'" } else { "" };
        let error = self.explain_as(&format!("bind parameter {number}"));
        error.with_context(format!("{portal} parameter ${number}{value}"))
    }

    /// Names the value whose binary form is wrong.
    fn explain_as(self, what: &str) -> SqlError {
        if self.error.state() == SqlState::INVALID_BINARY_REPRESENTATION {
            return SqlError::new(self.error.state(), format!("incorrect binary data format in {what}"));
        }
        self.error
    }
}

fn read_parameter(
    body: &mut Body<'_>,
    data_type: DataType,
    is_binary: bool,
    context: &EvalContext<'_>,
) -> Result<Datum, Refusal> {
    let Some(bytes) = body.value()? else { return Ok(Datum::Null) };
    if is_binary {
        return Ok(read_binary(bytes, data_type, context)?);
    }
    let text = context.settings.client_encoding.decode(bytes)?;
    match data_type.oid {
        oids::TEXT | oids::VARCHAR | oids::UNKNOWN => Ok(Datum::text(text)),
        oid => {
            let value = context.type_info(oid)?.parse_text(&text, data_type.typmod, context);
            value.map_err(|error| Refusal { error, is_of_text: true })
        }
    }
}

fn read_binary(bytes: &[u8], data_type: DataType, context: &EvalContext<'_>) -> Result<Datum, SqlError> {
    match data_type.oid {
        oids::INT4 if let Ok(bytes) = bytes.try_into() => Ok(Datum::Int32(i32::from_be_bytes(bytes))),
        oids::INT8 if let Ok(bytes) = bytes.try_into() => Ok(Datum::Int64(i64::from_be_bytes(bytes))),
        oids::TEXT | oids::VARCHAR | oids::UNKNOWN => {
            Ok(Datum::text(context.settings.client_encoding.decode(bytes)?))
        }
        oid => {
            let info = context.type_info(oid)?;
            // Enums and names come as text, whatever their length says.
            if info.enum_labels().is_none()
                && info.kind != PhysicalKind::Text
                && usize::try_from(info.length).is_ok_and(|length| bytes.len() < length)
            {
                let message = if bytes.is_empty() && info.length == 1 {
                    "no data left in message"
                } else {
                    "insufficient data left in message"
                };
                return Err(protocol_violation(message));
            }
            info.read_binary(bytes, data_type.typmod, context)
        }
    }
}
