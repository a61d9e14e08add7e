//! SMALLINT, INTEGER and BIGINT.

use super::{ApplyModifier, Category, TypeInfo, TypeOperations, TypeShape, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::{Datum, PhysicalKind, compare_values, hash_value};
use std::borrow::Cow;
use std::fmt::Write;
use std::num::IntErrorKind;

/// The bytes C's isspace accepts.
pub(crate) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

macro_rules! integer_type {
    ($module:ident, $native:ty, $variant:ident, $sql_name:literal) => {
        pub(crate) mod $module {
            use super::*;

            /// Parses with surrounding white space allowed.
            pub(crate) fn parse(text: &str) -> Result<$native> {
                text.trim_matches(is_space).parse().map_err(|error: std::num::ParseIntError| {
                    match error.kind() {
                        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => SqlError::new(
                            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                            format!(concat!("value \"{}\" is out of range for type ", $sql_name), text),
                        ),
                        _ => SqlError::invalid_input($sql_name, text),
                    }
                })
            }

            fn value(datum: &Datum) -> $native {
                if let Datum::$variant(value) = datum { *value } else { 0 }
            }

            pub(super) const OPERATIONS: TypeOperations = TypeOperations {
                parse_text: |_, text, _, _| parse(text).map(Datum::$variant),
                print_text: |_, datum, out, _: &EvalContext<'_>| {
                    let _ = write!(out, "{}", value(datum));
                    Ok(())
                },
                read_binary: |_, bytes, _, _| {
                    let bytes = bytes.try_into().map_err(|_| super::wrong_length())?;
                    Ok(Datum::$variant(<$native>::from_be_bytes(bytes)))
                },
                write_binary: |_, datum, out, _| {
                    out.extend_from_slice(&value(datum).to_be_bytes());
                    Ok(())
                },
                compare: |_, left, right| compare_values(left, right),
                hash: |_, datum| hash_value(datum),
                apply_modifier: None::<ApplyModifier>,
            };
        }
    };
}

integer_type!(int2, i16, Int16, "smallint");
integer_type!(int4, i32, Int32, "integer");
integer_type!(int8, i64, Int64, "bigint");

/// A binary value that is too short or too long.
pub(crate) fn wrong_length() -> SqlError {
    SqlError::invalid_binary("incorrect binary data format")
}

pub(super) fn types() -> [TypeInfo; 3] {
    let entry = |oid, array_oid, name, sql_name, length, kind, operations| TypeInfo {
        oid,
        name: Cow::Borrowed(name),
        sql_name: Cow::Borrowed(sql_name),
        array_oid,
        category: Category::Numeric,
        preferred: false,
        length,
        kind,
        shape: TypeShape::Base,
        operations,
    };
    [
        entry(oids::INT2, oids::INT2_ARRAY, "int2", "smallint", 2, PhysicalKind::Int16, int2::OPERATIONS),
        entry(oids::INT4, oids::INT4_ARRAY, "int4", "integer", 4, PhysicalKind::Int32, int4::OPERATIONS),
        entry(oids::INT8, oids::INT8_ARRAY, "int8", "bigint", 8, PhysicalKind::Int64, int8::OPERATIONS),
    ]
}
