//! Rows as values: `record`, and the types that name their fields.
//!
//! Text: `(field,field)`, an empty field being NULL; what has delimiters, quotes or spaces in it is quoted, with
//! quotes and backslashes doubled. Binary: the number of fields as i32, and for each its type's OID, its length (-1 for
//! NULL) and its value.

use super::scalar::{cut_off, is_space, operations, wrong_kind};
use super::{Category, DataType, Oid, TypeInfo, TypeOperations, TypeShape, format_type, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::{Datum, PhysicalKind, RecordShape, RecordValue};
use std::borrow::Cow;
use std::sync::Arc;

/// The type of rows whose fields have names.
#[must_use]
pub fn composite_type(
    oid: Oid,
    array_oid: Oid,
    name: &str,
    sql_name: String,
    shape: Arc<RecordShape>,
) -> TypeInfo {
    TypeInfo {
        oid,
        name: Cow::Owned(name.to_owned()),
        sql_name: Cow::Owned(sql_name),
        array_oid,
        category: Category::Composite,
        preferred: false,
        length: -1,
        kind: PhysicalKind::Record,
        shape: TypeShape::Composite { shape },
        operations: RECORD_OPERATIONS,
    }
}

impl TypeInfo {
    /// The fields, where this is a type of rows with names.
    #[must_use]
    pub fn row_shape(&self) -> Option<&Arc<RecordShape>> {
        if let TypeShape::Composite { shape } = &self.shape { Some(shape) } else { None }
    }
}

/// How rows of any type behave.
pub const RECORD_OPERATIONS: TypeOperations =
    operations(parse_record, print_record, read_record, write_record);

/// The fields that input has to be read as.
fn shape_of(info: &TypeInfo) -> Result<&Arc<RecordShape>> {
    info.row_shape()
        .ok_or_else(|| SqlError::unsupported("input of anonymous composite types is not implemented"))
}

fn parse_record(info: &TypeInfo, text: &str, _: i32, context: &EvalContext<'_>) -> Result<Datum> {
    let shape = shape_of(info)?;
    let malformed = |detail: &'static str| {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed record literal: \"{text}\""))
            .with_detail(detail)
    };
    let rest = text.trim_start_matches(is_space);
    let mut rest = rest.strip_prefix('(').ok_or_else(|| malformed("Missing left parenthesis."))?;
    let mut fields = Vec::with_capacity(shape.fields.len());
    for (at, (_, data_type)) in shape.fields.iter().enumerate() {
        if at > 0 {
            rest = rest.strip_prefix(',').ok_or_else(|| malformed("Too few columns."))?;
        }
        fields.push(match take_field(&mut rest).map_err(malformed)? {
            None => Datum::Null,
            Some(field) => parse_field(&field, *data_type, context)?,
        });
    }
    let rest = rest.strip_prefix(')').ok_or_else(|| malformed("Too many columns."))?;
    if !rest.trim_start_matches(is_space).is_empty() {
        return Err(malformed("Junk after right parenthesis."));
    }
    Ok(RecordValue { fields, shape: shape.clone() }.into())
}

/// Takes a field's text from the front, `None` for NULL.
fn take_field(rest: &mut &str) -> std::result::Result<Option<String>, &'static str> {
    const UNEXPECTED_END: &str = "Unexpected end of input.";
    if rest.starts_with([',', ')']) {
        return Ok(None);
    }
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = rest.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | ')' if !quoted => {
                *rest = &rest[at..];
                return Ok(Some(field));
            }
            '\\' => field.push(characters.next().ok_or(UNEXPECTED_END)?.1),
            '"' if quoted && characters.next_if(|(_, next)| *next == '"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            other => field.push(other),
        }
    }
    Err(UNEXPECTED_END)
}

fn parse_field(field: &str, data_type: DataType, context: &EvalContext<'_>) -> Result<Datum> {
    let info = context.type_info(data_type.oid)?;
    let value = info.parse_text(field, data_type.typmod, context)?;
    info.apply_modifier(value, data_type.typmod, false)
}

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

/// Takes a big-endian word from the front.
fn take_word(rest: &mut &[u8]) -> Result<i32> {
    let (word, behind) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
    *rest = behind;
    Ok(i32::from_be_bytes(*word))
}

fn read_record(info: &TypeInfo, bytes: &[u8], _: i32, context: &EvalContext<'_>) -> Result<Datum> {
    let shape = shape_of(info)?;
    let mismatch = |message: String| SqlError::new(SqlState::DATATYPE_MISMATCH, message);
    let mut rest = bytes;
    let count = take_word(&mut rest)?;
    if usize::try_from(count) != Ok(shape.fields.len()) {
        return Err(mismatch(format!("wrong number of columns: {count}, expected {}", shape.fields.len())));
    }
    let mut fields = Vec::with_capacity(shape.fields.len());
    for (at, (_, data_type)) in (1..).zip(&shape.fields) {
        let given = take_word(&mut rest)?.cast_unsigned();
        if given != data_type.oid {
            let named = |oid: Oid| format!("{oid} ({})", format_type(DataType::of(oid), context.types));
            return Err(mismatch(format!(
                "binary data has type {} instead of expected {} in record column {at}",
                named(given),
                named(data_type.oid)
            )));
        }
        let length = take_word(&mut rest)?;
        if length == -1 {
            fields.push(Datum::Null);
            continue;
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let (value, behind) = rest.split_at(length.ok_or_else(cut_off)?);
        rest = behind;
        let info = context.type_info(data_type.oid)?;
        let value = info.read_binary(value, data_type.typmod, context)?;
        fields.push(info.apply_modifier(value, data_type.typmod, false)?);
    }
    if !rest.is_empty() {
        return Err(super::scalar::wrong_length());
    }
    Ok(RecordValue { fields, shape: shape.clone() }.into())
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

/// `record`: rows of any fields.
pub(super) fn record_type() -> TypeInfo {
    TypeInfo {
        oid: oids::RECORD,
        name: Cow::Borrowed("record"),
        sql_name: Cow::Borrowed("record"),
        array_oid: oids::RECORD_ARRAY,
        category: Category::Pseudo,
        preferred: false,
        length: -1,
        kind: PhysicalKind::Record,
        shape: TypeShape::Pseudo,
        operations: RECORD_OPERATIONS,
    }
}
