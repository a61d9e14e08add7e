//! Writing rows: straight from a batch's columns into the output buffer.
//!
//! The types that most values have are written without going through a datum; all others through the type's own
//! printing, into a scratch text that lives as long as the connection.

use heliosdb_nano::session::SqlError;
use heliosdb_nano::session::functions::EvalContext;
use heliosdb_nano::session::types::{DataType, TypeInfo, builtin_type, oids};
use heliosdb_nano::session::value::{Batch, Column, ColumnData};

use crate::results::{Formats, ResultShape};
use crate::wire::Output;

/// How the values of a column are written.
#[derive(Clone, Copy)]
pub(crate) struct ColumnCoder {
    data_type: DataType,
    info: Option<&'static TypeInfo>,
    /// The text form is the stored form, or a plain number.
    is_plain: bool,
}

impl ColumnCoder {
    pub(crate) fn new(data_type: DataType) -> ColumnCoder {
        let is_plain = matches!(
            data_type.oid,
            oids::BOOL
                | oids::INT2
                | oids::INT4
                | oids::INT8
                | oids::OID
                | oids::TEXT
                | oids::VARCHAR
                | oids::BPCHAR
                | oids::NAME
                | oids::JSON
                | oids::UNKNOWN
        );
        ColumnCoder { data_type, info: builtin_type(data_type.oid), is_plain }
    }

    /// Appends a value with its length.
    pub(crate) fn write(
        &self,
        column: &Column,
        row: usize,
        is_binary: bool,
        scratch: &mut String,
        context: &EvalContext<'_>,
        output: &mut Output,
    ) -> Result<(), SqlError> {
        if column.is_null(row) {
            output.i32(-1);
            return Ok(());
        }
        if self.is_plain {
            let index = column.stored_index(row);
            if write_plain(column.data(), index, is_binary, output)? {
                return Ok(());
            }
        }
        let value = column.get(row);
        let info = match self.info {
            Some(info) => info,
            None => context.type_info(self.data_type.oid)?,
        };
        let length = output.begin_value();
        if is_binary {
            info.write_binary(&value, output.buffer(), context)?;
        } else {
            scratch.clear();
            info.print_text(&value, scratch, context)?;
            output.text(scratch)?;
        }
        output.end_value(length);
        Ok(())
    }
}

impl ResultShape {
    /// DataRow. When a value cannot be written, nothing of the row is.
    pub(crate) fn write_row(
        &self,
        batch: &Batch,
        row: usize,
        formats: &Formats,
        scratch: &mut String,
        context: &EvalContext<'_>,
        output: &mut Output,
    ) -> Result<(), SqlError> {
        let message = output.begin(b'D');
        output.i16(i16::try_from(self.columns.len()).unwrap_or(i16::MAX));
        for (at, (coder, column)) in self.columns.iter().zip(&batch.columns).enumerate() {
            if let Err(error) = coder.write(column, row, formats.is_binary(at), scratch, context, output) {
                output.abandon(message);
                return Err(error);
            }
        }
        output.end(message);
        Ok(())
    }
}

/// Writes one of the plain kinds; false for any other.
fn write_plain(
    data: &ColumnData,
    index: usize,
    is_binary: bool,
    output: &mut Output,
) -> Result<bool, SqlError> {
    match data {
        ColumnData::Text(texts) => {
            let length = output.begin_value();
            output.text(texts.get(index))?;
            output.end_value(length);
        }
        ColumnData::Int32(values) if is_binary => value(&values[index].to_be_bytes(), output),
        ColumnData::Int64(values) if is_binary => value(&values[index].to_be_bytes(), output),
        ColumnData::Int16(values) if is_binary => value(&values[index].to_be_bytes(), output),
        ColumnData::Oid(values) if is_binary => value(&values[index].to_be_bytes(), output),
        ColumnData::Bool(values) if is_binary => value(&[u8::from(values[index])], output),
        ColumnData::Int32(values) => decimal(i64::from(values[index]), output),
        ColumnData::Int64(values) => decimal(values[index], output),
        ColumnData::Int16(values) => decimal(i64::from(values[index]), output),
        ColumnData::Oid(values) => decimal(i64::from(values[index]), output),
        ColumnData::Bool(values) => value(if values[index] { b"t" } else { b"f" }, output),
        _ => return Ok(false),
    }
    Ok(true)
}

fn value(bytes: &[u8], output: &mut Output) {
    output.i32(bytes.len() as i32);
    output.bytes(bytes);
}

/// A number's digits.
fn decimal(number: i64, output: &mut Output) {
    // 19 digits and a sign.
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        first -= 1;
        digits[first] = b'-';
    }
    value(&digits[first..], output);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_all_their_digits() {
        for number in [0, 7, -7, 10, 1_234_567_890, i64::MAX, i64::MIN] {
            let mut output = Output::default();
            decimal(number, &mut output);
            let text = number.to_string();
            assert_eq!(output.buffer()[..4], (text.len() as u32).to_be_bytes());
            assert_eq!(&output.buffer()[4..], text.as_bytes());
        }
    }
}
