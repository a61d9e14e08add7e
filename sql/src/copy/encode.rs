//! COPY TO: rows as text or CSV.

use super::{CopyFormat, CopyOptions};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::DataType;
use crate::value::Batch;

/// The header line, where one is wanted.
#[must_use]
pub fn header(options: &CopyOptions, columns: &[(String, DataType)]) -> Option<Vec<u8>> {
    if !options.header {
        return None;
    }
    let mut out = Vec::new();
    for (at, (name, _)) in columns.iter().enumerate() {
        if at > 0 {
            out.push(options.delimiter);
        }
        field(options, name, false, columns.len() == 1, &mut out);
    }
    out.push(b'\n');
    Some(out)
}

/// Appends a batch's rows, a line each (a CSV value may hold more).
///
/// # Errors
/// Those of printing values.
pub fn encode_batch(
    options: &CopyOptions,
    columns: &[(String, DataType)],
    batch: &Batch,
    context: &EvalContext<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut text = String::new();
    for row in 0..batch.row_count {
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
            context.type_info(data_type.oid)?.print_text(&value, &mut text, context)?;
            let forced = options.force_quote_all || options.force_quote.contains(name);
            field(options, &text, forced, columns.len() == 1, out);
        }
        out.push(b'\n');
    }
    Ok(())
}

fn field(options: &CopyOptions, text: &str, forced: bool, single: bool, out: &mut Vec<u8>) {
    match options.format {
        CopyFormat::Text => escaped(options, text, out),
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
