//! JSON and JSONB: json keeps the text as it was given, once it is known to be JSON; jsonb keeps the values.

mod parse;

pub(crate) use parse::{Kind, Node, parse};

use super::scalar::{entry, operations, wrong_kind};
use super::{Category, TypeInfo, oids};
use crate::error::{Result, SqlError};
use crate::value::json::Jsonb;
use crate::value::{Datum, PhysicalKind};

/// The version that begins jsonb's binary form.
const BINARY_VERSION: u8 = 1;

/// Reads the text of a jsonb value.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_jsonb(text: &str) -> Result<Jsonb> {
    parse(text, true)?.to_tree()?.encode()
}

fn checked(text: &str) -> Result<Datum> {
    parse(text, false)?;
    Ok(Datum::text(text))
}

pub(super) fn types() -> Vec<TypeInfo> {
    let json = operations(
        |_, text, _, _| checked(text),
        |info, datum, out, _| {
            out.push_str(datum.as_text().ok_or_else(|| wrong_kind(info))?);
            Ok(())
        },
        |_, bytes, _, context| checked(&context.settings.client_encoding.decode(bytes)?),
        |info, datum, out, context| {
            let text = datum.as_text().ok_or_else(|| wrong_kind(info))?;
            context.settings.client_encoding.encode_to(text, out)
        },
    );
    let jsonb = operations(
        |_, text, _, _| parse_jsonb(text).map(Datum::Jsonb),
        |info, datum, out, _| {
            let Datum::Jsonb(value) = datum else { return Err(wrong_kind(info)) };
            value.root().print(out);
            Ok(())
        },
        |_, bytes, _, context| match bytes {
            [BINARY_VERSION, text @ ..] => {
                parse_jsonb(&context.settings.client_encoding.decode(text)?).map(Datum::Jsonb)
            }
            _ => {
                let version = bytes.first().copied().unwrap_or(0);
                Err(SqlError::internal(format!("unsupported jsonb version number {version}")))
            }
        },
        |info, datum, out, context| {
            let Datum::Jsonb(value) = datum else { return Err(wrong_kind(info)) };
            let mut text = String::new();
            value.root().print(&mut text);
            out.push(BINARY_VERSION);
            context.settings.client_encoding.encode_to(&text, out)
        },
    );
    let base = |oid, array_oid, name, kind, operations| {
        entry(oid, array_oid, name, name, Category::UserDefined, false, -1, kind, operations)
    };
    vec![
        base(oids::JSON, oids::JSON_ARRAY, "json", PhysicalKind::Text, json),
        base(oids::JSONB, oids::JSONB_ARRAY, "jsonb", PhysicalKind::Jsonb, jsonb),
    ]
}
