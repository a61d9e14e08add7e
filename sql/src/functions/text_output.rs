//! Functions that turn any value into text: `concat`, `concat_ws`, `format`, `quote_*`, `||` with other types;
//! and digests and encodings of bytes.

use super::registry::{Entry, Registry};
use super::string::text;
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::bytea::{parse_hex, print_hex};
use crate::types::oids::{ANY, ANYELEMENT, ANYNONARRAY, BPCHAR, BYTEA, TEXT};
use crate::value::{Datum, Text};
use md5::Md5;

/// A value's text; booleans inside `concat` and `format` are `t` and `f` as in their output.
fn shown(value: &Datum, types: &CallTypes<'_>, index: usize, context: &EvalContext<'_>) -> Result<Text> {
    if let Datum::Text(text) = value {
        return Ok(text.clone());
    }
    context.to_text(value, types.arguments[index].oid)
}

fn concat(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let mut out = String::new();
    for (index, value) in arguments.iter().enumerate() {
        if !value.is_null() {
            out.push_str(&shown(value, types, index, context)?);
        }
    }
    Ok(Datum::from(out))
}

/// `text || value`: the value cast to text, which differs from its output for booleans and `char(n)`.
fn cat(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let mut out = String::new();
    for (index, value) in arguments.iter().enumerate() {
        match value {
            Datum::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Datum::Text(text) if types.arguments[index].oid == BPCHAR => {
                out.push_str(text.trim_end_matches(' '))
            }
            value => out.push_str(&shown(value, types, index, context)?),
        }
    }
    Ok(Datum::from(out))
}

fn concat_ws(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let Some(separator) = arguments[0].as_text() else { return Ok(Datum::Null) };
    let mut out = String::new();
    let mut first = true;
    for (index, value) in arguments.iter().enumerate().skip(1) {
        if value.is_null() {
            continue;
        }
        if !first {
            out.push_str(separator);
        }
        first = false;
        out.push_str(&shown(value, types, index, context)?);
    }
    Ok(Datum::from(out))
}

/// Words that must be quoted as identifiers: PostgreSQL's reserved, type-name and column-name keywords.
const QUOTED_KEYWORDS: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
boolean both case cast char character check coalesce collate collation column concurrently constraint create cross \
current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal default \
deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest \
group grouping having ilike in initially inner inout int integer intersect interval into is isnull join lateral leading \
least left like limit localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric \
offset on only or order out outer overlaps overlay placing position precision primary real references returning right \
row select session_user setof similar smallint some substring symmetric system_user table tablesample then time timestamp \
to trailing treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes \
xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable ";

/// An identifier as SQL writes it: quoted where it must be.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_');
    let plain = starts_well
        && characters.all(|character| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_'
        });
    if plain && !QUOTED_KEYWORDS.contains(&format!(" {name} ")) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal as SQL writes it.
#[must_use]
pub fn quote_literal(value: &str) -> String {
    let doubled = value.replace('\'', "''");
    if value.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// The widest field of `format`.
const WIDTH_MAX: i32 = 0x0fff_ffff;

/// One `%[position$][-][width]type` of `format`.
struct Specifier {
    position: Option<usize>,
    left: bool,
    width: Width,
    kind: char,
}

enum Width {
    None,
    Fixed(i32),
    /// The width is an argument: the next, or the one at a position.
    Argument(Option<usize>),
}

fn unterminated() -> SqlError {
    SqlError::invalid_parameter("unterminated format() type specifier")
        .with_hint("For a single \"%\" use \"%%\".")
}

fn parse_specifier(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Specifier> {
    let number = |characters: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<Option<usize>> {
        let mut digits = String::new();
        while let Some(digit) = characters.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if digits.is_empty() {
            return Ok(None);
        }
        digits
            .parse()
            .map(Some)
            .map_err(|_| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"))
    };
    let zero_position =
        || SqlError::invalid_parameter("format specifies argument 0, but arguments are numbered from 1");
    let mut specifier = Specifier { position: None, left: false, width: Width::None, kind: 's' };
    let mut leading = number(characters)?;
    if let Some(position) = leading
        && characters.next_if_eq(&'$').is_some()
    {
        if position == 0 {
            return Err(zero_position());
        }
        specifier.position = Some(position);
        leading = None;
    }
    if let Some(width) = leading {
        specifier.width = Width::Fixed(width as i32);
    } else {
        while characters.next_if_eq(&'-').is_some() {
            specifier.left = true;
        }
        if characters.next_if_eq(&'*').is_some() {
            let position = number(characters)?;
            if position.is_some() && characters.next_if_eq(&'$').is_none() {
                return Err(SqlError::invalid_parameter("width argument position must be ended by \"$\""));
            }
            if position == Some(0) {
                return Err(zero_position());
            }
            specifier.width = Width::Argument(position);
        } else if let Some(width) = number(characters)? {
            specifier.width = Width::Fixed(width as i32);
        }
    }
    specifier.kind = characters.next().ok_or_else(unterminated)?;
    Ok(specifier)
}

fn format(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let Some(pattern) = arguments[0].as_text() else { return Ok(Datum::Null) };
    let mut out = String::new();
    let mut next = 1;
    let mut characters = pattern.chars().peekable();
    let too_few = || SqlError::invalid_parameter("too few arguments for format()");
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        if characters.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let specifier = parse_specifier(&mut characters)?;
        let (mut width, mut left) = (0, specifier.left);
        match specifier.width {
            Width::None => {}
            Width::Fixed(fixed) => width = fixed,
            Width::Argument(position) => {
                let index = position.unwrap_or(next);
                next = index + 1;
                let value = arguments.get(index).ok_or_else(too_few)?;
                width = value.as_i64().unwrap_or(0) as i32;
                if width < 0 {
                    left = true;
                    width = width.saturating_neg();
                }
            }
        }
        if width > WIDTH_MAX {
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large"));
        }
        if !matches!(specifier.kind, 's' | 'I' | 'L') {
            return Err(SqlError::invalid_parameter(format!(
                "unrecognized format() type specifier \"{}\"",
                specifier.kind
            ))
            .with_hint("For a single \"%\" use \"%%\"."));
        }
        let index = specifier.position.unwrap_or(next);
        next = index + 1;
        let value = arguments.get(index).ok_or_else(too_few)?;
        let piece = match (specifier.kind, value.is_null()) {
            ('s', true) => String::new(),
            ('L', true) => "NULL".to_owned(),
            ('I', true) => {
                return Err(SqlError::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('I', false) => quote_identifier(&shown(value, types, index, context)?),
            ('L', false) => quote_literal(&shown(value, types, index, context)?),
            _ => shown(value, types, index, context)?.to_string(),
        };
        let missing = " ".repeat((width as usize).saturating_sub(piece.chars().count()));
        if left {
            out.push_str(&piece);
            out.push_str(&missing);
        } else {
            out.push_str(&missing);
            out.push_str(&piece);
        }
    }
    Ok(Datum::from(out))
}

fn bytes(arguments: &[Datum]) -> Result<&[u8]> {
    match arguments.first() {
        Some(Datum::Bytes(bytes)) => Ok(bytes),
        Some(Datum::Text(text)) => Ok(text.as_bytes()),
        _ => Err(wrong_arguments()),
    }
}

fn hex(digest: &[u8]) -> Datum {
    let mut out = String::new();
    print_hex(digest, &mut out);
    Datum::from(out)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base 64 with PostgreSQL's line breaks after 76 characters.
fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for (index, chunk) in bytes.chunks(3).enumerate() {
        if index > 0 && index % 19 == 0 {
            out.push('\n');
        }
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            if position > chunk.len() {
                out.push('=');
            } else {
                out.push(char::from(BASE64[(word >> (18 - 6 * position) & 63) as usize]));
            }
        }
    }
    out
}

fn base64_decode(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        if byte == b'=' {
            break;
        }
        let Some(value) = BASE64.iter().position(|known| *known == byte) else {
            return Err(SqlError::invalid_parameter(format!(
                "invalid symbol \"{}\" found while decoding base64 sequence",
                char::from(byte)
            )));
        };
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    if bits >= 6 {
        return Err(SqlError::invalid_parameter("invalid base64 end sequence")
            .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn unrecognized_encoding(name: &str) -> SqlError {
    SqlError::invalid_parameter(format!("unrecognized encoding: \"{name}\""))
}

fn binary(registry: &mut Registry) {
    for oid in [TEXT, BYTEA] {
        registry.add(Entry::new("md5", &[oid], TEXT, |arguments, context| {
            Ok(hex(&super::digest::hashed::<Md5>(bytes(arguments)?, context)?))
        }));
    }
    registry.add(Entry::new("encode", &[BYTEA, TEXT], TEXT, |arguments, context| {
        let mut out = String::new();
        match text(arguments, 1)?.to_ascii_lowercase().as_str() {
            "hex" => {
                out.reserve_exact(2 * bytes(arguments)?.len());
                for piece in context.pieces(bytes(arguments)?) {
                    print_hex(piece?, &mut out);
                }
            }
            "escape" => {
                for piece in context.pieces(bytes(arguments)?) {
                    encode_escape(piece?, &mut out);
                }
            }
            "base64" => out = base64_encode(bytes(arguments)?),
            _ => return Err(unrecognized_encoding(text(arguments, 1)?)),
        }
        Ok(Datum::from(out))
    }));
    registry.add(Entry::new("decode", &[TEXT, TEXT], BYTEA, |arguments, _| {
        let data = text(arguments, 0)?;
        let decoded = match text(arguments, 1)?.to_ascii_lowercase().as_str() {
            "hex" => parse_hex(data)?,
            "base64" => base64_decode(data)?,
            "escape" => crate::types::bytea::parse(data)?,
            _ => return Err(unrecognized_encoding(text(arguments, 1)?)),
        };
        Ok(Datum::from(decoded))
    }));
    registry.add_operator(
        "||",
        Entry::new("byteacat", &[BYTEA, BYTEA], BYTEA, |arguments, _| {
            let [Datum::Bytes(left), Datum::Bytes(right)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::from([&left[..], &right[..]].concat()))
        }),
    );
}

/// What `encode` calls escape: bytes that are no ASCII, NUL and backslashes are escaped, unlike in the type's own form,
/// where all that cannot be seen is.
fn encode_escape(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0 | 0x80.. => {
                out.push_str(&format!("\\{byte:03o}"));
            }
            _ => out.push(char::from(byte)),
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add(Entry::typed("concat", &[ANY], TEXT, concat).variadic(ANY).not_strict().stable());
    registry
        .add(Entry::typed("concat_ws", &[TEXT, ANY], TEXT, concat_ws).variadic(ANY).not_strict().stable());
    registry.add(Entry::typed("format", &[TEXT], TEXT, format).not_strict().stable());
    registry.add(Entry::typed("format", &[TEXT, ANY], TEXT, format).variadic(ANY).not_strict().stable());
    registry.add_operator("||", Entry::typed("textanycat", &[TEXT, ANYNONARRAY], TEXT, cat).stable());
    registry.add_operator("||", Entry::typed("anytextcat", &[ANYNONARRAY, TEXT], TEXT, cat).stable());
    let identifier: ScalarKernel = |arguments, _| Ok(Datum::from(quote_identifier(text(arguments, 0)?)));
    registry.add(Entry::new("quote_ident", &[TEXT], TEXT, identifier));
    registry.add(Entry::new("quote_literal", &[TEXT], TEXT, |arguments, _| {
        Ok(Datum::from(quote_literal(text(arguments, 0)?)))
    }));
    registry.add(
        Entry::typed("quote_literal", &[ANYELEMENT], TEXT, |arguments, types, context| {
            Ok(Datum::from(quote_literal(&shown(&arguments[0], types, 0, context)?)))
        })
        .stable(),
    );
    registry.add(
        Entry::new("quote_nullable", &[TEXT], TEXT, |arguments, _| {
            Ok(arguments[0].as_text().map_or(Datum::text("NULL"), |text| Datum::from(quote_literal(text))))
        })
        .not_strict(),
    );
    registry.add(
        Entry::typed("quote_nullable", &[ANYELEMENT], TEXT, |arguments, types, context| {
            if arguments[0].is_null() {
                return Ok(Datum::text("NULL"));
            }
            Ok(Datum::from(quote_literal(&shown(&arguments[0], types, 0, context)?)))
        })
        .not_strict()
        .stable(),
    );
    binary(registry);
}
