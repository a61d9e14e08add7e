//! `money`: cents, written as `lc_monetary = C` has it: `$1,234.56`.

use super::scalar::{entry, is_space, operations, wrong_kind, wrong_length};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Datum, PhysicalKind};

/// Digits behind the point.
const DECIMALS: u32 = 2;

/// Reads an amount: a sign or parentheses, `$` and separators anywhere they make sense; what is beyond cents is rounded.
fn parse(info: &TypeInfo, text: &str) -> Result<i64> {
    let beyond = || {
        let message = format!("value \"{text}\" is out of range for type {}", info.name);
        SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    let without = |rest: &'_ str| rest.trim_start_matches(is_space).len();
    let mut rest = &text[text.len() - without(text)..];
    rest = rest.strip_prefix('$').unwrap_or(rest);
    let mut negative = rest.starts_with(['-', '(']);
    rest = rest.strip_prefix(['-', '(', '+']).unwrap_or(rest);
    rest = &rest[rest.len() - without(rest)..];
    rest = rest.strip_prefix('$').unwrap_or(rest);
    rest = &rest[rest.len() - without(rest)..];
    // The lowest number has no counterpart, so they are gathered below zero.
    let (mut value, mut decimals) = (0i64, None::<u32>);
    let mut rounds = false;
    let shift = |value: i64, digit: i64| value.checked_mul(10).and_then(|value| value.checked_sub(digit));
    for character in rest.chars() {
        match character {
            digit @ '0'..='9' if decimals.is_none_or(|count| count < DECIMALS) => {
                let digit = i64::from(digit.to_digit(10).unwrap_or(0));
                value = shift(value, digit).ok_or_else(beyond)?;
                decimals = decimals.map(|count| count + 1);
            }
            '.' if decimals.is_none() => decimals = Some(0),
            ',' => {}
            digit => {
                rounds = ('5'..='9').contains(&digit);
                break;
            }
        }
        rest = &rest[character.len_utf8()..];
    }
    if rounds {
        value = value.checked_sub(1).ok_or_else(beyond)?;
    }
    for _ in decimals.unwrap_or(0)..DECIMALS {
        value = shift(value, 0).ok_or_else(beyond)?;
    }
    rest = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    for character in rest.chars() {
        match character {
            '-' => negative = true,
            ')' | '+' | '$' => {}
            blank if is_space(blank) => {}
            _ => return Err(SqlError::invalid_input(&info.name, text)),
        }
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or_else(beyond) }
}

/// Writes an amount.
fn print(value: i64, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    out.push('$');
    let cents = value.unsigned_abs();
    let whole = (cents / 100).to_string();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out.push_str(&format!(".{:02}", cents % 100));
}

fn cents(info: &TypeInfo, datum: &Datum) -> Result<i64> {
    match datum {
        Datum::Int64(value) => Ok(*value),
        _ => Err(wrong_kind(info)),
    }
}

const MONEY: TypeOperations = operations(
    |info, text, _, _| parse(info, text).map(Datum::Int64),
    |info, datum, out, _| {
        print(cents(info, datum)?, out);
        Ok(())
    },
    |_, bytes, _, _| Ok(Datum::Int64(i64::from_be_bytes(bytes.try_into().map_err(|_| wrong_length())?))),
    |info, datum, out, _| {
        out.extend_from_slice(&cents(info, datum)?.to_be_bytes());
        Ok(())
    },
);

pub(super) fn types() -> Vec<TypeInfo> {
    const KIND: PhysicalKind = PhysicalKind::Int64;
    vec![entry(oids::MONEY, oids::MONEY_ARRAY, "money", "money", Category::Numeric, false, 8, KIND, MONEY)]
}
