//! COPY TO: rows as text or CSV.

use std::borrow::Cow;

use super::{CopyFormat, CopyOptions, CopyPlan, binary};
use crate::encoding::Encoding;
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::DataType;
use crate::value::{Batch, ColumnBuilder, Datum, PhysicalKind};

/// The header line.
pub(super) fn header(
    options: &CopyOptions,
    columns: &[(String, DataType)],
    encoding: Encoding,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (at, (name, _)) in columns.iter().enumerate() {
        if at > 0 {
            out.push(options.delimiter);
        }
        field(options, name, false, columns.len() == 1, &mut out);
    }
    out.push(b'\n');
    encoded(out, encoding)
}

/// A line in the encoding of the data.
fn encoded(line: Vec<u8>, encoding: Encoding) -> Result<Vec<u8>> {
    if encoding.is_plain() || line.is_ascii() {
        return Ok(line);
    }
    encoding.encode(&Encoding::UTF8.decode(&line)?).map(Cow::into_owned)
}

/// Lines as rows of one bytea column.
pub(super) fn lines(lines: impl ExactSizeIterator<Item = Result<Vec<u8>>>) -> Result<Batch> {
    let count = lines.len();
    let mut builder = ColumnBuilder::new(PhysicalKind::Bytes, count);
    for line in lines {
        builder.push(Datum::Bytes(line?.into()))?;
    }
    Ok(Batch::new(vec![builder.finish()], count))
}

/// A batch's rows as lines (a CSV value may hold more of them): rows of one bytea column.
///
/// # Errors
/// Those of printing values.
pub fn encode_batch(plan: &CopyPlan, batch: &Batch, context: &EvalContext<'_>) -> Result<Batch> {
    if plan.options.format == CopyFormat::Binary {
        return lines((0..batch.row_count).map(|row| binary::encode_row(plan, batch, row, context)));
    }
    let mut text = String::new();
    let encoding = plan.encoding(context.settings.client_encoding);
    lines(
        (0..batch.row_count).map(|row| {
            encode_row(plan, batch, row, &mut text, context).and_then(|line| encoded(line, encoding))
        }),
    )
}

fn encode_row(
    plan: &CopyPlan,
    batch: &Batch,
    row: usize,
    text: &mut String,
    context: &EvalContext<'_>,
) -> Result<Vec<u8>> {
    let (options, columns) = (&plan.options, &plan.columns);
    let mut out = Vec::new();
    for (at, (name, data_type)) in columns.iter().enumerate() {
        if at > 0 {
            out.push(options.delimiter);
        }
        let value = batch.datum(row, at);
        if value.is_null() {
            out.extend(options.null.as_bytes());
            continue;
        }
        text.clear();
        context.type_info(data_type.oid)?.print_text(&value, text, context)?;
        let forced = options.force_quote_all || options.force_quote.contains(name);
        field(options, text, forced, columns.len() == 1, &mut out);
    }
    out.push(b'\n');
    Ok(out)
}

fn field(options: &CopyOptions, text: &str, forced: bool, single: bool, out: &mut Vec<u8>) {
    match options.format {
        CopyFormat::Text | CopyFormat::Binary => escaped(options, text, out),
        CopyFormat::Csv => quoted(options, text, forced, single, out),
    }
}

fn escaped(options: &CopyOptions, text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        let letter = match byte {
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            other if other == options.delimiter => other,
            other => {
                out.push(other);
                continue;
            }
        };
        out.extend([b'\\', letter]);
    }
}

fn quoted(options: &CopyOptions, text: &str, forced: bool, single: bool, out: &mut Vec<u8>) {
    let special =
        |byte: u8| byte == options.delimiter || byte == options.quote || byte == b'\n' || byte == b'\r';
    let needed = forced || text == options.null || text.bytes().any(special) || (single && text == "\\.");
    if !needed {
        out.extend(text.as_bytes());
        return;
    }
    out.push(options.quote);
    for byte in text.bytes() {
        if byte == options.quote || byte == options.escape {
            out.push(options.escape);
        }
        out.push(byte);
    }
    out.push(options.quote);
}
