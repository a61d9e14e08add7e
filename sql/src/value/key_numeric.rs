//! Numerics in ordered keys.
//!
//! One class byte: 0x00 -infinity, 0x20 negative, 0x40 zero, 0x60 positive, 0x80 infinity, 0xa0 NaN. For negative
//! and positive numbers, written as `0.d1d2d3… × 10^e` with `d1` not zero: `e` as i32 big-endian with the sign
//! bit flipped, then the digits two to a byte as `10 × first + second + 1` without trailing zeros, then 0x00.
//! For negative numbers all after the class byte is inverted.

use super::Numeric;
use super::key::malformed;
use crate::error::Result;
use dashu_int::IBig;

const NEGATIVE_INFINITY: u8 = 0x00;
const NEGATIVE: u8 = 0x20;
const ZERO: u8 = 0x40;
const POSITIVE: u8 = 0x60;
const INFINITY: u8 = 0x80;
const NAN: u8 = 0xa0;

pub(super) fn encode(value: &Numeric, out: &mut Vec<u8>) {
    match value {
        Numeric::NegativeInfinity => out.push(NEGATIVE_INFINITY),
        Numeric::Infinity => out.push(INFINITY),
        Numeric::NaN => out.push(NAN),
        Numeric::Small { mantissa: 0, .. } => out.push(ZERO),
        Numeric::Small { mantissa, scale } => {
            let mut digits = [0u8; 40];
            let mut start = digits.len();
            let mut rest = mantissa.unsigned_abs();
            while rest > 0 {
                start -= 1;
                digits[start] = (rest % 10) as u8;
                rest /= 10;
            }
            encode_digits(*mantissa < 0, &digits[start..], *scale, out);
        }
        Numeric::Big(big) => {
            let negative = big.mantissa < IBig::ZERO;
            let text = big.mantissa.to_string();
            let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
            encode_digits(negative, &digits, big.scale, out);
        }
    }
}

fn encode_digits(negative: bool, digits: &[u8], scale: u16, out: &mut Vec<u8>) {
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let start = out.len();
    let exponent = digits.len() as i32 - i32::from(scale);
    out.extend_from_slice(&(exponent as u32 ^ 1 << 31).to_be_bytes());
    let significant = digits.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
    for pair in digits[..significant].chunks(2) {
        out.push(pair[0] * 10 + pair.get(1).copied().unwrap_or(0) + 1);
    }
    out.push(0);
    if negative {
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
}

pub(super) fn decode(bytes: &mut &[u8], mut invert: u8) -> Result<Numeric> {
    let mut next = |invert: u8| -> Result<u8> {
        let (&byte, rest) = bytes.split_first().ok_or_else(malformed)?;
        *bytes = rest;
        Ok(byte ^ invert)
    };
    let negative = match next(invert)? {
        NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
        INFINITY => return Ok(Numeric::Infinity),
        NAN => return Ok(Numeric::NaN),
        ZERO => return Ok(Numeric::ZERO),
        NEGATIVE => true,
        POSITIVE => false,
        _ => return Err(malformed()),
    };
    if negative {
        invert = !invert;
    }
    let mut exponent = [0; 4];
    for byte in &mut exponent {
        *byte = next(invert)?;
    }
    let exponent = (u32::from_be_bytes(exponent) ^ 1 << 31) as i32;
    let mut text = String::new();
    loop {
        match next(invert)? {
            0 => break,
            pair @ 1..=100 => {
                text.push(char::from(b'0' + (pair - 1) / 10));
                text.push(char::from(b'0' + (pair - 1) % 10));
            }
            _ => return Err(malformed()),
        }
    }
    let mut digits = text.trim_end_matches('0').to_owned();
    // Integers ending in zeros, and numbers below 0.1, get their zeros back.
    let mut scale = digits.len() as i64 - i64::from(exponent);
    if scale < 0 {
        digits.extend(std::iter::repeat_n('0', usize::try_from(-scale).map_err(|_| malformed())?));
        scale = 0;
    }
    let magnitude: IBig = digits.parse().map_err(|_| malformed())?;
    let scale = u16::try_from(scale).map_err(|_| malformed())?;
    Ok(Numeric::from_big(if negative { -magnitude } else { magnitude }, scale))
}
