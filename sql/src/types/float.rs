//! REAL and DOUBLE PRECISION: shortest digits that read back exactly, in PostgreSQL's notation.

use super::scalar::{entry, is_space, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind};
use std::fmt::{LowerExp, Write};

/// Appends a finite or special float. `digits` is `extra_float_digits`: above 0 the shortest exact form, else
/// that many digits more than the type's certain ones (`%.*g`).
pub(crate) fn print_f64(value: f64, digits: i32, out: &mut String) {
    print(value, value.is_nan(), value.is_infinite(), value.is_sign_negative(), 15, digits, out);
}

/// The same for a REAL.
pub(crate) fn print_f32(value: f32, digits: i32, out: &mut String) {
    print(value, value.is_nan(), value.is_infinite(), value.is_sign_negative(), 6, digits, out);
}

fn print<T: LowerExp>(
    value: T,
    nan: bool,
    infinite: bool,
    negative: bool,
    certain: i32,
    extra: i32,
    out: &mut String,
) {
    if nan {
        out.push_str("NaN");
    } else if infinite {
        out.push_str(if negative { "-Infinity" } else { "Infinity" });
    } else if extra > 0 {
        let text = format!("{value:e}");
        // The shortest form goes over to an exponent where the certain digits end.
        place_point(&text, certain, out);
    } else {
        let precision = (certain + extra).max(1);
        let text = format!("{value:.*e}", precision as usize - 1);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        place_point(&format!("{mantissa}e{exponent}"), precision, out);
    }
}

/// Turns `d.ddde±x` into positional notation where `-4 <= x < limit`, else `d.ddde±xx`.
fn place_point(scientific: &str, limit: i32, out: &mut String) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let unsigned = mantissa.trim_start_matches('-');
    if unsigned.len() < mantissa.len() {
        out.push('-');
    }
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{unsigned}e{sign}{:02}", exponent.abs());
        return;
    }
    let digits: String = unsigned.chars().filter(char::is_ascii_digit).collect();
    if exponent < 0 {
        let _ = write!(out, "0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1));
        return;
    }
    let integer_digits = exponent as usize + 1;
    if digits.len() <= integer_digits {
        let _ = write!(out, "{digits:0<integer_digits$}");
    } else {
        let _ = write!(out, "{}.{}", &digits[..integer_digits], &digits[integer_digits..]);
    }
}

/// The literal part of a float's syntax, checked, so that only digits reach the standard parser (which also
/// takes forms PostgreSQL does not).
fn number_part<'a>(text: &'a str, type_name: &str) -> Result<&'a str> {
    let trimmed = text.trim_matches(is_space);
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let is_number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let is_special = ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    if is_number || is_special { Ok(trimmed) } else { Err(SqlError::invalid_input(type_name, text)) }
}

/// C's hexadecimal integers, which PostgreSQL takes for floats too.
fn parse_hexadecimal(number: &str) -> Option<f64> {
    let unsigned = number.strip_prefix(['+', '-']).unwrap_or(number);
    let digits = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"))?;
    let magnitude = u64::from_str_radix(digits, 16).ok()? as f64;
    Some(if number.starts_with('-') { -magnitude } else { magnitude })
}

macro_rules! float_type {
    ($module:ident, $native:ty, $variant:ident, $sql_name:literal, $print:ident) => {
        pub(crate) mod $module {
            use super::*;

            /// Parses with surrounding white space allowed.
            pub(crate) fn parse(text: &str) -> Result<$native> {
                let number = number_part(text, $sql_name)?;
                if let Some(value) = parse_hexadecimal(number) {
                    return Ok(value as $native);
                }
                let value: $native = number.parse().map_err(|_| SqlError::invalid_input($sql_name, text))?;
                let written_zero = || {
                    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
                    !mantissa.contains(|digit: char| ('1'..='9').contains(&digit))
                };
                let overflow = value.is_infinite() && number.contains(|digit: char| digit.is_ascii_digit());
                if overflow || (value == 0.0 && !written_zero()) {
                    return Err(SqlError::new(
                        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                        format!(concat!("\"{}\" is out of range for type ", $sql_name), number),
                    ));
                }
                Ok(value)
            }

            pub(super) const OPERATIONS: TypeOperations = operations(
                |_, text, _, _| parse(text).map(Datum::$variant),
                |info, datum, out, context| {
                    let Datum::$variant(value) = datum else { return Err(wrong_kind(info)) };
                    $print(*value, context.settings.extra_float_digits, out);
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

float_type!(float4, f32, Float32, "real", print_f32);
float_type!(float8, f64, Float64, "double precision", print_f64);

pub(super) fn types() -> Vec<TypeInfo> {
    use Category::Numeric;
    use PhysicalKind as Kind;
    vec![
        entry(
            oids::FLOAT4,
            oids::FLOAT4_ARRAY,
            "float4",
            "real",
            Numeric,
            false,
            4,
            Kind::Float32,
            float4::OPERATIONS,
        ),
        entry(
            oids::FLOAT8,
            oids::FLOAT8_ARRAY,
            "float8",
            "double precision",
            Numeric,
            true,
            8,
            Kind::Float64,
            float8::OPERATIONS,
        ),
    ]
}
