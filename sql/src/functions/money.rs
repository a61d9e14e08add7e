//! Operators, functions and casts of `money`.

use super::cast::{CastContext, CastMethod};
use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError};
use crate::types::Oid;
use crate::types::oids::{FLOAT4, FLOAT8, INT2, INT4, INT8, MONEY, NUMERIC, TEXT};
use crate::value::{Datum, Numeric};

/// Cents in one.
const CENTS: i64 = 100;

fn cents(argument: &Datum) -> Result<i64> {
    argument.as_i64().ok_or_else(wrong_arguments)
}

fn factor(argument: &Datum) -> Result<f64> {
    match argument {
        Datum::Float32(value) => Ok(f64::from(*value)),
        Datum::Float64(value) => Ok(*value),
        _ => Err(wrong_arguments()),
    }
}

fn amount(cents: Option<i64>) -> Result<Datum> {
    cents.map(Datum::Int64).ok_or_else(|| SqlError::out_of_range("money"))
}

/// Whole cents of a computed amount.
#[allow(clippy::cast_possible_truncation)] // the range is tested
fn rounded(value: f64) -> Result<Datum> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let value = value.round_ties_even();
    amount((-LIMIT..LIMIT).contains(&value).then_some(value as i64))
}

fn times(base: &Datum, by: &Datum) -> Result<Datum> {
    match by {
        Datum::Float32(_) | Datum::Float64(_) => rounded(cents(base)? as f64 * factor(by)?),
        by => amount(cents(base)?.checked_mul(cents(by)?)),
    }
}

fn divided(base: &Datum, by: &Datum) -> Result<Datum> {
    match by {
        Datum::Float32(_) | Datum::Float64(_) => match factor(by)? {
            0.0 => Err(SqlError::division_by_zero()),
            by => rounded(cents(base)? as f64 / by),
        },
        by => match cents(by)? {
            0 => Err(SqlError::division_by_zero()),
            by => amount(cents(base)?.checked_div(by)),
        },
    }
}

fn operators(registry: &mut Registry) {
    registry.add_operator(
        "+",
        Entry::new("cash_pl", &[MONEY, MONEY], MONEY, |arguments, _| {
            amount(cents(&arguments[0])?.checked_add(cents(&arguments[1])?))
        }),
    );
    registry.add_operator(
        "-",
        Entry::new("cash_mi", &[MONEY, MONEY], MONEY, |arguments, _| {
            amount(cents(&arguments[0])?.checked_sub(cents(&arguments[1])?))
        }),
    );
    registry.add_operator(
        "/",
        Entry::new("cash_div_cash", &[MONEY, MONEY], FLOAT8, |arguments, _| match cents(&arguments[1])? {
            0 => Err(SqlError::division_by_zero()),
            divisor => Ok(Datum::Float64(cents(&arguments[0])? as f64 / divisor as f64)),
        }),
    );
    let numbers: [(Oid, &str); 5] =
        [(INT2, "int2"), (INT4, "int4"), (INT8, "int8"), (FLOAT4, "flt4"), (FLOAT8, "flt8")];
    for (number, word) in numbers {
        registry.add_operator(
            "*",
            Entry::new(format!("cash_mul_{word}"), &[MONEY, number], MONEY, |arguments, _| {
                times(&arguments[0], &arguments[1])
            }),
        );
        registry.add_operator(
            "*",
            Entry::new(format!("{word}_mul_cash"), &[number, MONEY], MONEY, |arguments, _| {
                times(&arguments[1], &arguments[0])
            }),
        );
        registry.add_operator(
            "/",
            Entry::new(format!("cash_div_{word}"), &[MONEY, number], MONEY, |arguments, _| {
                divided(&arguments[0], &arguments[1])
            }),
        );
    }
}

/// An amount of whole units.
fn of_integer(arguments: &[Datum]) -> Result<Datum> {
    let whole = cents(&arguments[0])?;
    whole.checked_mul(CENTS).map(Datum::Int64).ok_or_else(|| SqlError::out_of_range("bigint"))
}

fn of_numeric(arguments: &[Datum]) -> Result<Datum> {
    let [Datum::Numeric(value)] = arguments else { return Err(wrong_arguments()) };
    if value.is_nan() {
        return Err(SqlError::unsupported("cannot convert NaN to bigint"));
    }
    if !value.is_finite() {
        return Err(SqlError::unsupported("cannot convert infinity to bigint"));
    }
    let whole = value.mul(&Numeric::from(CENTS))?.round(0).to_i128();
    let whole = whole.and_then(|whole| i64::try_from(whole).ok());
    whole.map(Datum::Int64).ok_or_else(|| SqlError::out_of_range("bigint"))
}

fn casts(registry: &mut Registry) {
    let mut add = |name: &'static str, source: Oid, target: Oid, kernel: super::ScalarKernel| {
        let function = registry.add(Entry::new(name, &[source], target, kernel).stable());
        registry.add_cast(source, target, CastContext::Assignment, CastMethod::Function(function));
    };
    add("money", INT4, MONEY, |arguments, _| of_integer(arguments));
    add("money", INT8, MONEY, |arguments, _| of_integer(arguments));
    add("money", NUMERIC, MONEY, |arguments, _| of_numeric(arguments));
    add("numeric", MONEY, NUMERIC, |arguments, _| {
        Ok(Datum::Numeric(Numeric::new(i128::from(cents(&arguments[0])?), 2)))
    });
}

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A number below a thousand in words.
fn in_words(number: u64) -> String {
    let (hundreds, rest) = ((number / 100) as usize, (number % 100) as usize);
    let rest_words = match rest {
        0..20 => SMALL[rest].to_owned(),
        _ if rest % 10 == 0 => TENS[rest / 10 - 2].to_owned(),
        _ => format!("{} {}", TENS[rest / 10 - 2], SMALL[rest % 10]),
    };
    match (hundreds, rest) {
        (0, _) => rest_words,
        (hundreds, 0) => format!("{} hundred", SMALL[hundreds]),
        (hundreds, 1..20) => format!("{} hundred and {rest_words}", SMALL[hundreds]),
        (hundreds, _) => format!("{} hundred {rest_words}", SMALL[hundreds]),
    }
}

/// `cash_words`
fn amount_in_words(amount: i64) -> String {
    const SCALES: [(u64, &str); 5] = [
        (1_000_000_000_000_000, "quadrillion"),
        (1_000_000_000_000, "trillion"),
        (1_000_000_000, "billion"),
        (1_000_000, "million"),
        (1_000, "thousand"),
    ];
    let (whole, cents) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
    let mut words = String::new();
    for (scale, word) in SCALES {
        let count = whole / scale % 1000;
        if count > 0 {
            words.push_str(&format!("{} {word} ", in_words(count)));
        }
    }
    if !whole.is_multiple_of(1000) {
        words.push_str(&in_words(whole % 1000));
    }
    if words.is_empty() {
        words.push_str("zero");
    }
    let sign = if amount < 0 { "minus " } else { "" };
    let dollars = if whole == 1 { "dollar" } else { "dollars" };
    let unit = if cents == 1 { "cent" } else { "cents" };
    let sentence = format!("{sign}{words} {dollars} and {} {unit}", in_words(cents));
    sentence[..1].to_ascii_uppercase() + &sentence[1..]
}

pub(super) fn register(registry: &mut Registry) {
    operators(registry);
    casts(registry);
    registry.add(Entry::new("cash_words", &[MONEY], TEXT, |arguments, _| {
        Ok(Datum::text(amount_in_words(cents(&arguments[0])?)))
    }));
    for (name, largest) in [("cashlarger", true), ("cashsmaller", false)] {
        let kernel: super::ScalarKernel = match largest {
            true => |arguments, _| Ok(Datum::Int64(cents(&arguments[0])?.max(cents(&arguments[1])?))),
            false => |arguments, _| Ok(Datum::Int64(cents(&arguments[0])?.min(cents(&arguments[1])?))),
        };
        registry.add(Entry::new(name, &[MONEY, MONEY], MONEY, kernel));
    }
}
