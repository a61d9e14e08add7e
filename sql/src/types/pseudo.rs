//! Pseudo-types (only in signatures), `record`.

use super::scalar::{is_space, operations, wrong_kind};
use super::{Category, Oid, TypeInfo, TypeOperations, TypeShape, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;

use crate::value::{Datum, PhysicalKind};
use std::borrow::Cow;

const REFUSE: TypeOperations = operations(
    |info, _, _, _| Err(SqlError::unsupported(format!("cannot accept a value of type {}", info.name))),
    |info, datum, out, context| match datum {
        // `void` is the empty text.
        Datum::Text(text) if text.is_empty() => Ok(()),
        Datum::Text(text) => {
            out.push_str(text);
            Ok(())
        }
        // `anyarray` in the catalog: each value is an array of some type.
        Datum::Array(array) => {
            let array_oid = context.type_info(array.element_type)?.array_oid;
            context.type_info(array_oid)?.print_text(datum, out, context)
        }
        _ => Err(SqlError::unsupported(format!("cannot display a value of type {}", info.name))),
    },
    |info, _, _, _| {
        Err(match info.oid {
            oids::ANYARRAY | oids::ANYCOMPATIBLEARRAY => {
                SqlError::unsupported(format!("cannot accept a value of type {}", info.name))
            }
            _ => SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("no binary input function available for type {}", info.sql_name),
            ),
        })
    },
    |_, _, _, _| Ok(()),
);

fn print_record(info: &TypeInfo, datum: &Datum, out: &mut String, context: &EvalContext<'_>) -> Result<()> {
    let Datum::Record(record) = datum else { return Err(wrong_kind(info)) };
    out.push('(');
    for (index, (_, data_type, field)) in record.named().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if !field.is_null() {
            push_field(&context.to_text(field, data_type.oid)?, out);
        }
    }
    out.push(')');
    Ok(())
}

/// A field's text: quotes and backslashes are doubled inside quotes.
fn push_field(text: &str, out: &mut String) {
    let special = |character: char| matches!(character, '"' | '\\' | '(' | ')' | ',') || is_space(character);
    if !text.is_empty() && !text.contains(special) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push(character);
        }
        out.push(character);
    }
    out.push('"');
}

fn write_record(info: &TypeInfo, datum: &Datum, out: &mut Vec<u8>, context: &EvalContext<'_>) -> Result<()> {
    let Datum::Record(record) = datum else { return Err(wrong_kind(info)) };
    out.extend_from_slice(&(record.len() as i32).to_be_bytes());
    for (_, data_type, field) in record.named() {
        let oid = data_type.oid;
        out.extend_from_slice(&oid.to_be_bytes());
        if field.is_null() {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        context.type_info(oid)?.write_binary(field, out, context)?;
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// `void`, which is the empty text whatever it is read from.
const VOID: TypeOperations = operations(
    |_, _, _, _| Ok(Datum::text("")),
    |_, _, _, _| Ok(()),
    |_, _, _, _| Ok(Datum::text("")),
    |_, _, _, _| Ok(()),
);

/// How composite values of any type behave; the engine makes its composite types' entries with it.
pub const RECORD_OPERATIONS: TypeOperations = operations(
    |info, _, _, _| {
        Err(SqlError::unsupported(if info.oid == oids::RECORD {
            "input of anonymous composite types is not implemented".to_owned()
        } else {
            format!("input of composite type {} is not implemented", info.sql_name)
        }))
    },
    print_record,
    |_, _, _, _| Err(SqlError::unsupported("input of anonymous composite types is not implemented")),
    write_record,
);

pub(super) fn types() -> Vec<TypeInfo> {
    let pseudo = |oid: Oid, name: &'static str, kind: PhysicalKind| TypeInfo {
        oid,
        name: Cow::Borrowed(name),
        sql_name: Cow::Borrowed(if oid == oids::ANY { "\"any\"" } else { name }),
        array_oid: 0,
        category: Category::Pseudo,
        preferred: false,
        length: 4,
        kind,
        shape: TypeShape::Pseudo,
        operations: REFUSE,
    };
    let text = |oid, name| pseudo(oid, name, PhysicalKind::Text);
    let array = |oid, name| pseudo(oid, name, PhysicalKind::Array);
    let record = TypeInfo {
        array_oid: oids::RECORD_ARRAY,
        length: -1,
        operations: RECORD_OPERATIONS,
        ..pseudo(oids::RECORD, "record", PhysicalKind::Record)
    };
    vec![
        text(oids::ANY, "any"),
        TypeInfo { operations: VOID, ..text(oids::VOID, "void") },
        text(oids::TRIGGER, "trigger"),
        text(oids::LANGUAGE_HANDLER, "language_handler"),
        text(oids::INTERNAL, "internal"),
        text(oids::ANYELEMENT, "anyelement"),
        text(oids::ANYNONARRAY, "anynonarray"),
        text(oids::ANYENUM, "anyenum"),
        text(oids::ANYCOMPATIBLE, "anycompatible"),
        text(oids::ANYCOMPATIBLENONARRAY, "anycompatiblenonarray"),
        array(oids::ANYARRAY, "anyarray"),
        array(oids::ANYCOMPATIBLEARRAY, "anycompatiblearray"),
        record,
    ]
}
