//! SMALLINT, INTEGER and BIGINT.

use super::scalar::{entry, is_space, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind};
use std::fmt::Write;
use std::num::IntErrorKind;

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

            pub(super) const OPERATIONS: TypeOperations = operations(
                |_, text, _, _| parse(text).map(Datum::$variant),
                |info, datum, out, _| {
                    let Datum::$variant(value) = datum else { return Err(wrong_kind(info)) };
                    let _ = write!(out, "{value}");
                    Ok(())
                },
                |_, bytes, _, _| {
                    let bytes = bytes.try_into().map_err(|_| wrong_length())?;
                    Ok(Datum::$variant(<$native>::from_be_bytes(bytes)))
                },
                |info, datum, out, _| {
                    let Datum::$variant(value) = datum else { return Err(wrong_kind(info)) };
                    out.extend_from_slice(&value.to_be_bytes());
                    Ok(())
                },
            );
        }
    };
}

integer_type!(int2, i16, Int16, "smallint");
integer_type!(int4, i32, Int32, "integer");
integer_type!(int8, i64, Int64, "bigint");

pub(super) fn types() -> Vec<TypeInfo> {
    use Category::Numeric;
    use PhysicalKind as Kind;
    vec![
        entry(
            oids::INT2,
            oids::INT2_ARRAY,
            "int2",
            "smallint",
            Numeric,
            false,
            2,
            Kind::Int16,
            int2::OPERATIONS,
        ),
        entry(
            oids::INT4,
            oids::INT4_ARRAY,
            "int4",
            "integer",
            Numeric,
            false,
            4,
            Kind::Int32,
            int4::OPERATIONS,
        ),
        entry(
            oids::INT8,
            oids::INT8_ARRAY,
            "int8",
            "bigint",
            Numeric,
            false,
            8,
            Kind::Int64,
            int8::OPERATIONS,
        ),
    ]
}
