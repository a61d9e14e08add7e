//! Identifiers: UUID, OID with the reg* types, `"char"`, and transaction ids.
//!
//! A reg* value is an OID; its names come from the engine, through session functions named after the type's own
//! input and output functions (`regclassin`, `regclassout`).

use super::bytea::print_hex;
use super::scalar::{entry, is_space, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind};
use std::fmt::Write;

/// Parses 32 hexadecimal digits, in braces or not, with hyphens after any group of four.
pub(crate) fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let invalid = || SqlError::invalid_input("uuid", text);
    let mut rest = text.as_bytes();
    let braced = rest.first() == Some(&b'{');
    if braced {
        rest = &rest[1..];
    }
    let mut uuid = [0; 16];
    for (index, byte) in uuid.iter_mut().enumerate() {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(invalid);
        let [high, low, after @ ..] = rest else { return Err(invalid()) };
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        rest = after;
        if index % 2 == 1
            && index < 15
            && let [b'-', after @ ..] = rest
        {
            rest = after;
        }
    }
    match rest {
        [] if !braced => Ok(uuid),
        [b'}'] if braced => Ok(uuid),
        _ => Err(invalid()),
    }
}

/// Appends the standard form.
pub(crate) fn print_uuid(uuid: &[u8; 16], out: &mut String) {
    for (index, range) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if index > 0 {
            out.push('-');
        }
        print_hex(&uuid[range], out);
    }
}

const UUID: TypeOperations = operations(
    |_, text, _, _| parse_uuid(text).map(Datum::Uuid),
    |info, datum, out, _| {
        let Datum::Uuid(uuid) = datum else { return Err(wrong_kind(info)) };
        print_uuid(uuid, out);
        Ok(())
    },
    |_, bytes, _, _| bytes.try_into().map(Datum::Uuid).map_err(|_| wrong_length()),
    |info, datum, out, _| {
        let Datum::Uuid(uuid) = datum else { return Err(wrong_kind(info)) };
        out.extend_from_slice(uuid);
        Ok(())
    },
);

/// Parses an OID; negative numbers wrap around as in PostgreSQL.
pub(crate) fn parse_oid(text: &str, type_name: &str) -> Result<u32> {
    let trimmed = text.trim_matches(is_space);
    match trimmed.parse::<i64>() {
        Ok(value) if (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&value) => Ok(value as u32),
        Err(error)
            if !matches!(
                error.kind(),
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
            ) =>
        {
            Err(SqlError::invalid_input(type_name, text))
        }
        _ => Err(SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type {type_name}"),
        )),
    }
}

const OID: TypeOperations = operations(
    |info, text, _, _| parse_oid(text, &info.name).map(Datum::Oid),
    |info, datum, out, _| {
        let Datum::Oid(oid) = datum else { return Err(wrong_kind(info)) };
        let _ = write!(out, "{oid}");
        Ok(())
    },
    |_, bytes, _, _| Ok(Datum::Oid(u32::from_be_bytes(bytes.try_into().map_err(|_| wrong_length())?))),
    |info, datum, out, _| {
        let Datum::Oid(oid) = datum else { return Err(wrong_kind(info)) };
        out.extend_from_slice(&oid.to_be_bytes());
        Ok(())
    },
);

const REGISTERED: TypeOperations = TypeOperations {
    parse_text: |info, text, _, context| {
        let is_operator = matches!(info.oid, oids::REGOPER | oids::REGOPERATOR);
        if text == "-" && !is_operator {
            return Ok(Datum::Oid(0));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return parse_oid(text, "oid").map(Datum::Oid);
        }
        context.session.call(&format!("{}in", info.name), &[Datum::text(text)], context)
    },
    print_text: |info, datum, out, context| {
        let Datum::Oid(oid) = datum else { return Err(wrong_kind(info)) };
        if *oid == 0 {
            let is_operator = matches!(info.oid, oids::REGOPER | oids::REGOPERATOR);
            out.push(if is_operator { '0' } else { '-' });
            return Ok(());
        }
        match context.session.call(&format!("{}out", info.name), std::slice::from_ref(datum), context)? {
            Datum::Text(name) => out.push_str(&name),
            _ => {
                let _ = write!(out, "{oid}");
            }
        }
        Ok(())
    },
    ..OID
};

/// A number as C's strtoul reads it: octal, decimal or hexadecimal, up to what is no digit; negative ones wrap around.
fn parse_unsigned(text: &str) -> u64 {
    let text = text.trim_start_matches(is_space);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (radix, digits) = match hexadecimal.filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit())) {
        Some(rest) => (16, rest),
        None if text.starts_with('0') => (8, text),
        None => (10, text),
    };
    let mut value = 0u64;
    for digit in digits.chars().map_while(|character| character.to_digit(radix)) {
        let next = value.checked_mul(radix.into()).and_then(|value| value.checked_add(digit.into()));
        let Some(next) = next else { return u64::MAX };
        value = next;
    }
    if negative { value.wrapping_neg() } else { value }
}

/// Numbers of transactions and of commands.
const XID: TypeOperations = TypeOperations {
    #[allow(clippy::cast_possible_truncation)] // as PostgreSQL's input functions do
    parse_text: |_, text, _, _| Ok(Datum::Oid(parse_unsigned(text) as u32)),
    ..OID
};

const XID8: TypeOperations = operations(
    |_, text, _, _| Ok(Datum::Int64(parse_unsigned(text).cast_signed())),
    |info, datum, out, _| {
        let Datum::Int64(value) = datum else { return Err(wrong_kind(info)) };
        let _ = write!(out, "{}", *value as u64);
        Ok(())
    },
    |_, bytes, _, _| Ok(Datum::Int64(i64::from_be_bytes(bytes.try_into().map_err(|_| wrong_length())?))),
    |info, datum, out, _| {
        let Datum::Int64(value) = datum else { return Err(wrong_kind(info)) };
        out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    },
);

/// `"char"`: one byte; those above 127 are written as `\ooo`.
const CHAR: TypeOperations = operations(
    |_, text, _, _| {
        let byte = match text.as_bytes() {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
                (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
            }
            bytes => bytes.first().copied().unwrap_or(0),
        };
        Ok(Datum::Char(byte))
    },
    |info, datum, out, _| {
        let Datum::Char(byte) = datum else { return Err(wrong_kind(info)) };
        match byte {
            0 => {}
            1..=0x7f => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
        Ok(())
    },
    |_, bytes, _, _| match bytes {
        [byte] => Ok(Datum::Char(*byte)),
        _ => Err(wrong_length()),
    },
    |info, datum, out, _| {
        let Datum::Char(byte) = datum else { return Err(wrong_kind(info)) };
        out.push(*byte);
        Ok(())
    },
);

pub(super) fn types() -> Vec<TypeInfo> {
    use Category::{Internal, Numeric, UserDefined};
    use PhysicalKind as Kind;
    let registered =
        |oid, array_oid, name| entry(oid, array_oid, name, name, Numeric, false, 4, Kind::Oid, REGISTERED);
    let plain =
        |oid, array_oid, name| entry(oid, array_oid, name, name, UserDefined, false, 4, Kind::Oid, XID);
    vec![
        entry(oids::UUID, oids::UUID_ARRAY, "uuid", "uuid", UserDefined, false, 16, Kind::Uuid, UUID),
        entry(oids::OID, oids::OID_ARRAY, "oid", "oid", Numeric, true, 4, Kind::Oid, OID),
        entry(oids::CHAR, oids::CHAR_ARRAY, "char", "\"char\"", Internal, false, 1, Kind::Char, CHAR),
        plain(oids::XID, oids::XID_ARRAY, "xid"),
        plain(oids::CID, oids::CID_ARRAY, "cid"),
        entry(oids::XID8, oids::XID8_ARRAY, "xid8", "xid8", UserDefined, false, 8, Kind::Int64, XID8),
        registered(oids::REGPROC, oids::REGPROC_ARRAY, "regproc"),
        registered(oids::REGPROCEDURE, oids::REGPROCEDURE_ARRAY, "regprocedure"),
        registered(oids::REGOPER, oids::REGOPER_ARRAY, "regoper"),
        registered(oids::REGOPERATOR, oids::REGOPERATOR_ARRAY, "regoperator"),
        registered(oids::REGCLASS, oids::REGCLASS_ARRAY, "regclass"),
        registered(oids::REGTYPE, oids::REGTYPE_ARRAY, "regtype"),
        registered(oids::REGCONFIG, oids::REGCONFIG_ARRAY, "regconfig"),
        registered(oids::REGNAMESPACE, oids::REGNAMESPACE_ARRAY, "regnamespace"),
        registered(oids::REGROLE, oids::REGROLE_ARRAY, "regrole"),
        registered(oids::REGCOLLATION, oids::REGCOLLATION_ARRAY, "regcollation"),
    ]
}
