//! Operators and functions of bit strings.

use super::cast::{CastContext, CastMethod};
use super::registry::{Entry, Registry};
use super::string::int4;
use super::vector::wrong_arguments;
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{BIT, INT4, INT8, VARBIT};
use crate::value::{Datum, Text};

fn bits(arguments: &[Datum], index: usize) -> Result<&str> {
    arguments.get(index).and_then(Datum::as_text).ok_or_else(wrong_arguments)
}

/// Bit by bit; `word` names the operation in errors.
pub(super) fn combine_bits(arguments: &[Datum], word: &str, combine: fn(u8, u8) -> u8) -> Result<Datum> {
    let (left, right) = (bits(arguments, 0)?, bits(arguments, 1)?);
    if left.len() != right.len() {
        return Err(SqlError::new(
            SqlState::STRING_DATA_LENGTH_MISMATCH,
            format!("cannot {word} bit strings of different sizes"),
        ));
    }
    let pairs = left.bytes().zip(right.bytes());
    let digits = pairs.map(|(left, right)| char::from(b'0' + combine(left & 1, right & 1)));
    Ok(Datum::Text(digits.collect()))
}

/// Shifted to the left by so many places; to the right where they are negative.
fn shifted(bits: &str, places: i64) -> Datum {
    let count = bits.len();
    let moved = usize::try_from(places.unsigned_abs()).unwrap_or(usize::MAX).min(count);
    let zeros = "0".repeat(moved);
    Datum::text(match places < 0 {
        true => format!("{zeros}{}", &bits[..count - moved]),
        false => format!("{}{zeros}", &bits[moved..]),
    })
}

/// A bit's number, which must be among those that there are.
fn place(arguments: &[Datum], count: usize) -> Result<usize> {
    let wanted = int4(arguments, 1)?;
    usize::try_from(wanted).ok().filter(|place| *place < count).ok_or_else(|| {
        let message = format!("bit index {wanted} out of valid range (0..{})", count as i64 - 1);
        SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
    })
}

/// From a place on, counted from 1, so many bits or all.
fn part(bits: &str, start: i32, length: Option<i32>) -> Result<&str> {
    let end = match length {
        Some(length) if length < 0 => {
            return Err(SqlError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
        }
        Some(length) => i64::from(start) + i64::from(length),
        None => i64::MAX,
    };
    let within = |place: i64| usize::try_from(place - 1).unwrap_or(0).min(bits.len());
    Ok(bits.get(within(i64::from(start))..within(end)).unwrap_or_default())
}

fn overlay(arguments: &[Datum]) -> Result<Datum> {
    let (value, new, start) = (bits(arguments, 0)?, bits(arguments, 1)?, int4(arguments, 2)?);
    if start <= 0 {
        return Err(SqlError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let length = if arguments.len() > 3 { int4(arguments, 3)? } else { new.len() as i32 };
    let after = start.checked_add(length).ok_or_else(|| SqlError::out_of_range("integer"))?;
    Ok(Datum::text([part(value, 1, Some(start - 1))?, new, part(value, after, None)?].concat()))
}

/// The longest bit string there may be.
const BITS_MAX: usize = 2_147_483_640;

/// The low bits of a number, so many; all of them where that is not said.
fn of_number(number: i64, own_bits: usize, length: i32, context: &EvalContext<'_>) -> Result<Datum> {
    // As PostgreSQL does with lengths that are none.
    let length = usize::try_from(length).ok().filter(|length| (1..=BITS_MAX).contains(length)).unwrap_or(1);
    let digits = format!("{number:064b}");
    let digits = &digits[64 - own_bits..];
    let sign = if number < 0 { "1" } else { "0" };
    Ok(Datum::Text(match length.checked_sub(own_bits) {
        Some(more) => Text::from(context.repeated(sign, more)? + digits),
        None => Text::new(&digits[own_bits - length..]),
    }))
}

/// The number that bits are, which must fit.
fn number(arguments: &[Datum], own_bits: usize, type_name: &str) -> Result<i64> {
    let digits = bits(arguments, 0)?;
    if digits.len() > own_bits {
        return Err(SqlError::out_of_range(type_name));
    }
    Ok(digits.bytes().fold(0, |number, digit| number << 1 | i64::from(digit & 1)))
}

fn casts(registry: &mut Registry) {
    for (source, own_bits) in [(INT4, 32), (INT8, 64)] {
        let kernel: ScalarKernel = match own_bits {
            32 => |arguments, context| {
                of_number(
                    arguments[0].as_i64().ok_or_else(wrong_arguments)?,
                    32,
                    int4(arguments, 1)?,
                    context,
                )
            },
            _ => |arguments, context| {
                of_number(
                    arguments[0].as_i64().ok_or_else(wrong_arguments)?,
                    64,
                    int4(arguments, 1)?,
                    context,
                )
            },
        };
        let function = registry.add(Entry::new("bit", &[source, INT4], BIT, kernel));
        registry.add_cast(source, BIT, CastContext::Explicit, CastMethod::Sized(function));
    }
    let to_int4 = Entry::new("int4", &[BIT], INT4, |arguments, _| {
        Ok(Datum::Int32(number(arguments, 32, "integer")? as i32))
    });
    let to_int8 =
        Entry::new("int8", &[BIT], INT8, |arguments, _| Ok(Datum::Int64(number(arguments, 64, "bigint")?)));
    for (target, entry) in [(INT4, to_int4), (INT8, to_int8)] {
        let function = registry.add(entry);
        registry.add_cast(BIT, target, CastContext::Explicit, CastMethod::Function(function));
    }
    registry.add_cast(BIT, VARBIT, CastContext::Implicit, CastMethod::Binary);
    registry.add_cast(VARBIT, BIT, CastContext::Implicit, CastMethod::Binary);
}

pub(super) fn register(registry: &mut Registry) {
    casts(registry);
    let operators: [(&str, &'static str, ScalarKernel); 3] = [
        ("&", "bitand", |arguments, _| combine_bits(arguments, "AND", |left, right| left & right)),
        ("|", "bitor", |arguments, _| combine_bits(arguments, "OR", |left, right| left | right)),
        ("#", "bitxor", |arguments, _| combine_bits(arguments, "XOR", |left, right| left ^ right)),
    ];
    for (operator, name, kernel) in operators {
        registry.add_operator(operator, Entry::new(name, &[BIT, BIT], BIT, kernel));
    }
    let invert = |arguments: &[Datum], _: &EvalContext<'_>| {
        let digits = bits(arguments, 0)?.bytes().map(|digit| if digit == b'0' { '1' } else { '0' });
        Ok(Datum::Text(digits.collect()))
    };
    registry.add_operator("~", Entry::new("bitnot", &[BIT], BIT, invert));
    registry.add_operator(
        "<<",
        Entry::new("bitshiftleft", &[BIT, INT4], BIT, |arguments, _| {
            Ok(shifted(bits(arguments, 0)?, i64::from(int4(arguments, 1)?)))
        }),
    );
    registry.add_operator(
        ">>",
        Entry::new("bitshiftright", &[BIT, INT4], BIT, |arguments, _| {
            Ok(shifted(bits(arguments, 0)?, -i64::from(int4(arguments, 1)?)))
        }),
    );
    registry.add_operator(
        "||",
        Entry::new("bitcat", &[VARBIT, VARBIT], VARBIT, |arguments, _| {
            Ok(Datum::text([bits(arguments, 0)?, bits(arguments, 1)?].concat()))
        }),
    );
    let mut add = |name: &'static str, arguments: &[u32], result, kernel: ScalarKernel| {
        registry.add(Entry::new(name, arguments, result, kernel));
    };
    for name in ["length", "bit_length"] {
        add(name, &[BIT], INT4, |arguments, _| Ok(Datum::Int32(bits(arguments, 0)?.len() as i32)));
    }
    add("octet_length", &[BIT], INT4, |arguments, _| {
        Ok(Datum::Int32(bits(arguments, 0)?.len().div_ceil(8) as i32))
    });
    add("bit_count", &[BIT], INT8, |arguments, _| {
        Ok(Datum::Int64(bits(arguments, 0)?.bytes().filter(|digit| *digit == b'1').count() as i64))
    });
    add("get_bit", &[BIT, INT4], INT4, |arguments, _| {
        let value = bits(arguments, 0)?;
        let digit = value.as_bytes()[place(arguments, value.len())?];
        Ok(Datum::Int32(i32::from(digit & 1)))
    });
    add("set_bit", &[BIT, INT4, INT4], BIT, |arguments, _| {
        let value = bits(arguments, 0)?;
        let at = place(arguments, value.len())?;
        let digit = match int4(arguments, 2)? {
            0 => "0",
            1 => "1",
            _ => return Err(SqlError::invalid_parameter("new bit must be 0 or 1")),
        };
        Ok(Datum::text([&value[..at], digit, &value[at + 1..]].concat()))
    });
    add("substring", &[BIT, INT4], BIT, |arguments, _| {
        Ok(Datum::text(part(bits(arguments, 0)?, int4(arguments, 1)?, None)?))
    });
    add("substring", &[BIT, INT4, INT4], BIT, |arguments, _| {
        Ok(Datum::text(part(bits(arguments, 0)?, int4(arguments, 1)?, Some(int4(arguments, 2)?))?))
    });
    add("overlay", &[BIT, BIT, INT4], BIT, |arguments, _| overlay(arguments));
    add("overlay", &[BIT, BIT, INT4, INT4], BIT, |arguments, _| overlay(arguments));
    add("position", &[BIT, BIT], INT4, |arguments, _| {
        let found = bits(arguments, 0)?.find(bits(arguments, 1)?);
        Ok(Datum::Int32(found.map_or(0, |at| at as i32 + 1)))
    });
}
