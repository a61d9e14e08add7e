//! NUMERIC's text and its conversions from and to floating point.

use super::arithmetic::overflow;
use super::compare::{POWERS_OF_TEN, big_power_of_ten};
use super::{INTEGER_DIGITS_MAX, Numeric, SCALE_MAX};
use crate::error::{Result, SqlError};
use dashu_int::IBig;
use std::fmt;

impl Numeric {
    /// Parses PostgreSQL's syntax: sign, digits with a point, exponent; `NaN`, `Infinity`, `inf`.
    ///
    /// # Errors
    /// 22P02 for other text, 22003 beyond the format.
    pub fn parse(text: &str) -> Result<Numeric> {
        let invalid = || SqlError::invalid_input("numeric", text);
        let trimmed = text.trim_matches(crate::types::scalar::is_space);
        let (negative, unsigned) = match trimmed.as_bytes() {
            [b'-', ..] => (true, &trimmed[1..]),
            [b'+', ..] => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        match unsigned.as_bytes().first() {
            Some(b'0'..=b'9' | b'.') => {}
            _ if trimmed.eq_ignore_ascii_case("nan") => return Ok(Numeric::NaN),
            _ if unsigned.eq_ignore_ascii_case("infinity") || unsigned.eq_ignore_ascii_case("inf") => {
                return Ok(if negative { Numeric::NegativeInfinity } else { Numeric::Infinity });
            }
            _ => return Err(invalid()),
        }
        let (number, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => {
                let exponent = &unsigned[at + 1..];
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(invalid());
                }
                let exponent: i32 = exponent.parse().map_err(|_| overflow())?;
                if exponent.unsigned_abs() >= i32::MAX as u32 / 2 {
                    return Err(overflow());
                }
                (&unsigned[..at], exponent)
            }
            None => (unsigned, 0),
        };
        let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if integer.len() + fraction.len() == 0 || !all_digits(integer) || !all_digits(fraction) {
            return Err(invalid());
        }
        from_parts(negative, integer, fraction, exponent)
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        match self {
            Numeric::Small { mantissa, scale: 0 } => *mantissa as f64,
            // Exact operands up to 2^53 and 10^22 make the quotient correctly rounded.
            Numeric::Small { mantissa, scale } if mantissa.unsigned_abs() < 1 << 53 && *scale <= 22 => {
                *mantissa as f64 / 10f64.powi(i32::from(*scale))
            }
            Numeric::Small { .. } | Numeric::Big(_) => self.to_string().parse().unwrap_or(f64::NAN),
            Numeric::NaN => f64::NAN,
            Numeric::Infinity => f64::INFINITY,
            Numeric::NegativeInfinity => f64::NEG_INFINITY,
        }
    }

    /// A double as PostgreSQL converts it: to 15 significant digits.
    pub fn from_f64(value: f64) -> Result<Numeric> {
        Numeric::from_float(value, 15)
    }

    /// A float, to 6 significant digits.
    pub fn from_f32(value: f32) -> Result<Numeric> {
        Numeric::from_float(f64::from(value), 6)
    }

    fn from_float(value: f64, digits: usize) -> Result<Numeric> {
        if value.is_nan() {
            return Ok(Numeric::NaN);
        }
        if value.is_infinite() {
            return Ok(if value > 0.0 { Numeric::Infinity } else { Numeric::NegativeInfinity });
        }
        // As C's %.*g: trailing zeros are not part of the number.
        let text = format!("{:.*e}", digits - 1, value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        Numeric::parse(&format!("{mantissa}e{exponent}"))
    }
}

fn from_parts(negative: bool, integer: &str, fraction: &str, exponent: i32) -> Result<Numeric> {
    let integer = integer.trim_start_matches('0');
    let scale = fraction.len() as i64 - i64::from(exponent);
    // The weight check first, so that no text makes a number of unbounded size.
    let significant = if integer.is_empty() { 0 } else { integer.len() as i64 };
    if significant + i64::from(exponent.max(0)) > i64::from(INTEGER_DIGITS_MAX) + fraction.len() as i64 {
        let zero = integer.is_empty() && fraction.bytes().all(|byte| byte == b'0');
        return if zero { Ok(Numeric::ZERO) } else { Err(overflow()) };
    }
    if scale > i64::from(SCALE_MAX) {
        // Digits beyond the format's scale are rounded away.
        let digits = format!("{integer}{fraction}");
        let excess = scale - i64::from(SCALE_MAX);
        if excess > digits.len() as i64 + 1 {
            return Ok(Numeric::new(0, SCALE_MAX));
        }
        let value: IBig = digits.parse().unwrap_or(IBig::ZERO);
        let value = super::arithmetic::round_shift(value, excess as u32);
        return Ok(Numeric::from_big(if negative { -value } else { value }, SCALE_MAX));
    }
    let count = integer.len() + fraction.len();
    if count <= 38 && scale >= 0 {
        let digits = integer.bytes().chain(fraction.bytes());
        let magnitude = digits.fold(0i128, |sum, byte| sum * 10 + i128::from(byte - b'0'));
        return Ok(Numeric::new(if negative { -magnitude } else { magnitude }, scale as u16));
    }
    let magnitude: IBig = if count == 0 {
        IBig::ZERO
    } else {
        format!("{integer}{fraction}").parse().map_err(|_| overflow())?
    };
    let magnitude =
        if scale < 0 { magnitude * big_power_of_ten(scale.unsigned_abs() as u32) } else { magnitude };
    Numeric::from_big(if negative { -magnitude } else { magnitude }, scale.max(0) as u16).checked()
}

impl fmt::Display for Numeric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Numeric::NaN => formatter.write_str("NaN"),
            Numeric::Infinity => formatter.write_str("Infinity"),
            Numeric::NegativeInfinity => formatter.write_str("-Infinity"),
            Numeric::Small { mantissa, scale: 0 } => write!(formatter, "{mantissa}"),
            Numeric::Small { mantissa, scale } => {
                let sign = if *mantissa < 0 { "-" } else { "" };
                let magnitude = mantissa.unsigned_abs();
                match POWERS_OF_TEN.get(usize::from(*scale)) {
                    Some(power) => {
                        let power = power.unsigned_abs();
                        let width = usize::from(*scale);
                        write!(formatter, "{sign}{}.{:0width$}", magnitude / power, magnitude % power)
                    }
                    None => write!(formatter, "{sign}0.{magnitude:0>width$}", width = usize::from(*scale)),
                }
            }
            Numeric::Big(big) => {
                let text = big.mantissa.to_string();
                let (sign, digits) =
                    text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
                let scale = usize::from(big.scale);
                if scale == 0 {
                    return formatter.write_str(&text);
                }
                if digits.len() > scale {
                    let (integer, fraction) = digits.split_at(digits.len() - scale);
                    write!(formatter, "{sign}{integer}.{fraction}")
                } else {
                    write!(formatter, "{sign}0.{digits:0>scale$}")
                }
            }
        }
    }
}
