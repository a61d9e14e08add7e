//! Arithmetic of floats and numerics, and the mathematical functions.

use super::registry::{Entry, Registry};
use super::vector::{binary_entry, unary_entry, wrong_arguments};
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{FLOAT4, FLOAT8, INT4, INT8, NUMERIC, VOID};
use crate::value::numeric::small::{self, Decimal};
use crate::value::{Column, ColumnData, Datum, Numeric};

/// `value out of range: overflow` or `underflow`.
#[cold]
fn float_flow(underflow: bool) -> SqlError {
    let what = if underflow { "underflow" } else { "overflow" };
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {what}"))
}

macro_rules! float_arithmetic {
    ($registry:expr, $prefix:literal, $left:ident: $left_type:expr, $right:ident: $right_type:expr,
     $out:ident: $out_type:expr, $native:ty) => {{
        $registry.add_operator("+", binary_entry!(concat!($prefix, "pl"), [$left_type, $right_type] -> $out_type, $left, $right => $out,
            |l: &_, r: &_| {
                let (l, r) = (<$native>::from(*l), <$native>::from(*r));
                let sum = l + r;
                (sum, sum.is_infinite() && !l.is_infinite() && !r.is_infinite())
            }, |_: &_, _: &_| float_flow(false)));
        $registry.add_operator("-", binary_entry!(concat!($prefix, "mi"), [$left_type, $right_type] -> $out_type, $left, $right => $out,
            |l: &_, r: &_| {
                let (l, r) = (<$native>::from(*l), <$native>::from(*r));
                let difference = l - r;
                (difference, difference.is_infinite() && !l.is_infinite() && !r.is_infinite())
            }, |_: &_, _: &_| float_flow(false)));
        $registry.add_operator("*", binary_entry!(concat!($prefix, "mul"), [$left_type, $right_type] -> $out_type, $left, $right => $out,
            |l: &_, r: &_| {
                let (l, r) = (<$native>::from(*l), <$native>::from(*r));
                let product = l * r;
                let overflow = product.is_infinite() && !l.is_infinite() && !r.is_infinite();
                (product, overflow || (product == 0.0 && l != 0.0 && r != 0.0))
            }, |l: &_, r: &_| float_flow((<$native>::from(*l) * <$native>::from(*r)) == 0.0)));
        $registry.add_operator("/", binary_entry!(concat!($prefix, "div"), [$left_type, $right_type] -> $out_type, $left, $right => $out,
            |l: &_, r: &_| {
                let (l, r) = (<$native>::from(*l), <$native>::from(*r));
                let quotient = l / r;
                let by_zero = r == 0.0 && !l.is_nan();
                let overflow = quotient.is_infinite() && !l.is_infinite();
                (quotient, by_zero || overflow || (quotient == 0.0 && l != 0.0 && !r.is_infinite()))
            }, |l: &_, r: &_| {
                let (l, r) = (<$native>::from(*l), <$native>::from(*r));
                if r == 0.0 { SqlError::division_by_zero() } else { float_flow(l / r == 0.0) }
            }));
    }};
}

macro_rules! float_unary {
    ($registry:expr, $prefix:literal, $variant:ident: $oid:expr, $native:ty) => {{
        $registry.add_operator("-", unary_entry!(concat!($prefix, "um"), [$oid] -> $oid, $variant => $variant,
            |v: &$native| (-*v, false), |_: &_| wrong_arguments()).infallible());
        $registry.add_operator("+", unary_entry!(concat!($prefix, "up"), [$oid] -> $oid, $variant => $variant,
            |v: &$native| (*v, false), |_: &_| wrong_arguments()).infallible());
        $registry.add_operator("@", unary_entry!(concat!($prefix, "abs"), [$oid] -> $oid, $variant => $variant,
            |v: &$native| (v.abs(), false), |_: &_| wrong_arguments()).infallible());
        $registry.add(unary_entry!("abs", [$oid] -> $oid, $variant => $variant,
            |v: &$native| (v.abs(), false), |_: &_| wrong_arguments()).infallible());
    }};
}

/// The results of an operation, if all values are small and stay so.
#[inline]
fn small_values<'v>(
    count: usize,
    left: impl Fn(usize) -> &'v Numeric,
    right: impl Fn(usize) -> &'v Numeric,
    operation: impl Fn(Decimal, Decimal) -> Option<Decimal>,
) -> Option<Vec<Numeric>> {
    let mut values = Vec::with_capacity(count);
    for row in 0..count {
        let (
            Numeric::Small { mantissa: left, scale: left_scale },
            Numeric::Small { mantissa: right, scale: right_scale },
        ) = (left(row), right(row))
        else {
            return None;
        };
        let (mantissa, scale) = operation((*left, *left_scale), (*right, *right_scale))?;
        values.push(Numeric::Small { mantissa, scale });
    }
    Some(values)
}

/// A numeric operation of two columns, stopping at the first error; `small` is what it is for small values.
#[inline]
fn numeric_columns(
    arguments: &[Column],
    small: impl Fn(Decimal, Decimal) -> Option<Decimal>,
    operation: fn(&Numeric, &Numeric) -> Result<Numeric>,
) -> Result<Column> {
    let [left, right] = arguments else { return Err(wrong_arguments()) };
    let (ColumnData::Numeric(left_values), ColumnData::Numeric(right_values)) = (left.data(), right.data())
    else {
        return Err(wrong_arguments());
    };
    let left_at = |row| &left_values[left.stored_index(row)];
    let right_at = |row| &right_values[right.stored_index(row)];
    let has_nulls = left.validity().is_some() || right.validity().is_some();
    let is_constant = left.is_constant() && right.is_constant();
    if !has_nulls
        && !is_constant
        && let Some(values) = small_values(left.len(), left_at, right_at, small)
    {
        return Ok(Column::new(ColumnData::Numeric(values), None));
    }
    let computed = super::vector::binary(
        (left, left_values),
        (right, right_values),
        |l, r| operation(l, r).map_or((Numeric::ZERO, true), |value| (value, false)),
        |l, r| operation(l, r).err().unwrap_or_else(wrong_arguments),
    )?;
    Ok(computed.into_column(ColumnData::Numeric))
}

macro_rules! numeric_binary {
    ($registry:expr, $operator:literal, $name:literal, $method:path, $small:expr) => {
        $registry.add_operator(
            $operator,
            Entry::new($name, &[NUMERIC, NUMERIC], NUMERIC, |arguments, _| {
                let [Datum::Numeric(left), Datum::Numeric(right)] = arguments else {
                    return Err(wrong_arguments());
                };
                $method(left, right).map(Datum::Numeric)
            })
            .vectorized(|arguments, _| numeric_columns(arguments, $small, $method)),
        )
    };
}

/// A function of one numeric.
macro_rules! numeric_function {
    ($registry:expr, $name:literal, |$value:ident| $body:expr) => {
        $registry.add(Entry::new($name, &[NUMERIC], NUMERIC, |arguments, _| {
            let [Datum::Numeric($value)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::Numeric($body))
        }))
    };
}

/// A function of one double that may fail.
macro_rules! float_function {
    ($registry:expr, $name:literal, |$value:ident| $body:expr) => {
        $registry.add(Entry::new($name, &[FLOAT8], FLOAT8, |arguments, _| {
            let [Datum::Float64($value)] = arguments else { return Err(wrong_arguments()) };
            let $value = *$value;
            let result: Result<f64> = $body;
            result.map(Datum::Float64)
        }))
    };
}

/// `input is out of range`.
#[cold]
fn input_out_of_range() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// The result unless it overflowed from a finite input.
fn flowed(result: f64, input: f64) -> Result<f64> {
    if result.is_infinite() && input.is_finite() { Err(float_flow(false)) } else { Ok(result) }
}

fn finite_input(value: f64, function: fn(f64) -> f64) -> Result<f64> {
    if value.is_infinite() { Err(input_out_of_range()) } else { Ok(function(value)) }
}

fn within_one(value: f64, function: fn(f64) -> f64) -> Result<f64> {
    if (-1.0..=1.0).contains(&value) || value.is_nan() {
        Ok(function(value))
    } else {
        Err(input_out_of_range())
    }
}

/// 2201E for logarithms of what has none.
fn check_logarithm(value: f64) -> Result<()> {
    let invalid = |message: &str| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_LOG, message.to_owned()));
    if value == 0.0 {
        invalid("cannot take logarithm of zero")
    } else if value < 0.0 {
        invalid("cannot take logarithm of a negative number")
    } else {
        Ok(())
    }
}

fn power(base: f64, exponent: f64) -> Result<f64> {
    let invalid =
        |message: &str| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message.to_owned()));
    if base == 0.0 && exponent < 0.0 {
        return invalid("zero raised to a negative power is undefined");
    }
    if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
        return invalid("a negative number raised to a non-integer power yields a complex result");
    }
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        return Err(float_flow(false));
    }
    if result == 0.0 && base != 0.0 && base.is_finite() && exponent.is_finite() {
        return Err(float_flow(true));
    }
    Ok(result)
}

/// Trigonometry in degrees is exact at the multiples people ask for.
fn degrees_of(value: f64, function: fn(f64) -> f64, exact: &[(f64, f64)]) -> Result<f64> {
    if value.is_infinite() {
        return Err(input_out_of_range());
    }
    let reduced = value.rem_euclid(360.0);
    if let Some((_, result)) = exact.iter().find(|(angle, _)| *angle == reduced) {
        return Ok(*result);
    }
    Ok(function(value.to_radians()))
}

fn cotangent_degrees(value: f64) -> Result<f64> {
    let ratio = |angle: f64| -> Result<f64> {
        Ok(degrees_of(angle, f64::cos, &COS_DEGREES)? / degrees_of(angle, f64::sin, &SIN_DEGREES)?)
    };
    // Infinite with the sign of the side that the angle is reached from.
    if value % 360.0 == 180.0 {
        return Ok(f64::NEG_INFINITY);
    }
    let reduced = value.rem_euclid(180.0);
    let (angle, sign) = if reduced > 90.0 { (180.0 - reduced, -1.0) } else { (reduced, 1.0) };
    if value.is_infinite() {
        return Err(input_out_of_range());
    }
    ratio(angle).and_then(|found| ratio(45.0).map(|unit| sign * (found / unit)))
}

/// An arc in degrees, as a part of one whose degrees are known, so that what people ask for is exact.
fn arc_sine_degrees(value: f64) -> f64 {
    if value < 0.0 {
        -arc_sine_degrees(-value)
    } else if value <= 0.5 {
        value.asin() / 0.5f64.asin() * 30.0
    } else {
        90.0 - value.acos() / 0.5f64.acos() * 60.0
    }
}

fn arc_cosine_degrees(value: f64) -> f64 {
    if value < 0.0 {
        90.0 + arc_sine_degrees(-value)
    } else if value <= 0.5 {
        90.0 - value.asin() / 0.5f64.asin() * 30.0
    } else {
        value.acos() / 0.5f64.acos() * 60.0
    }
}

fn arc_tangent_degrees(radians: f64) -> f64 {
    radians / 1f64.atan() * 45.0
}

const SIN_DEGREES: [(f64, f64); 8] = [
    (0.0, 0.0),
    (30.0, 0.5),
    (90.0, 1.0),
    (150.0, 0.5),
    (180.0, 0.0),
    (210.0, -0.5),
    (270.0, -1.0),
    (330.0, -0.5),
];
const COS_DEGREES: [(f64, f64); 8] = [
    (0.0, 1.0),
    (60.0, 0.5),
    (90.0, 0.0),
    (120.0, -0.5),
    (180.0, -1.0),
    (240.0, -0.5),
    (270.0, 0.0),
    (300.0, 0.5),
];
const TAN_DEGREES: [(f64, f64); 8] = [
    (0.0, 0.0),
    (45.0, 1.0),
    (90.0, f64::INFINITY),
    (135.0, -1.0),
    (180.0, 0.0),
    (225.0, 1.0),
    (270.0, f64::NEG_INFINITY),
    (315.0, -1.0),
];

fn floats(registry: &mut Registry) {
    float_arithmetic!(registry, "float4", Float32: FLOAT4, Float32: FLOAT4, Float32: FLOAT4, f32);
    float_arithmetic!(registry, "float8", Float64: FLOAT8, Float64: FLOAT8, Float64: FLOAT8, f64);
    float_arithmetic!(registry, "float48", Float32: FLOAT4, Float64: FLOAT8, Float64: FLOAT8, f64);
    float_arithmetic!(registry, "float84", Float64: FLOAT8, Float32: FLOAT4, Float64: FLOAT8, f64);
    float_unary!(registry, "float4", Float32: FLOAT4, f32);
    float_unary!(registry, "float8", Float64: FLOAT8, f64);
    for name in ["ceil", "ceiling"] {
        registry.add(unary_entry!(name, [FLOAT8] -> FLOAT8, Float64 => Float64, |v: &f64| (v.ceil(), false), |_: &_| wrong_arguments()));
    }
    registry.add(unary_entry!("floor", [FLOAT8] -> FLOAT8, Float64 => Float64, |v: &f64| (v.floor(), false), |_: &_| wrong_arguments()));
    registry.add(unary_entry!("round", [FLOAT8] -> FLOAT8, Float64 => Float64,
        |v: &f64| (v.round_ties_even(), false), |_: &_| wrong_arguments()));
    registry.add(unary_entry!("trunc", [FLOAT8] -> FLOAT8, Float64 => Float64, |v: &f64| (v.trunc(), false), |_: &_| wrong_arguments()));
    float_function!(registry, "sign", |v| Ok(if v > 0.0 {
        1.0
    } else if v < 0.0 {
        -1.0
    } else {
        v * 0.0
    }));
    for name in ["sqrt", "dsqrt"] {
        registry.add(unary_entry!(name, [FLOAT8] -> FLOAT8, Float64 => Float64, |v: &f64| (v.sqrt(), *v < 0.0),
            |_: &_| SqlError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, "cannot take square root of a negative number")));
    }
    registry.add_operator("|/", unary_entry!("dsqrt_op", [FLOAT8] -> FLOAT8, Float64 => Float64, |v: &f64| (v.sqrt(), *v < 0.0),
        |_: &_| SqlError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, "cannot take square root of a negative number")));
    registry.add_operator(
        "||/",
        unary_entry!("dcbrt", [FLOAT8] -> FLOAT8, Float64 => Float64, |v: &f64| (v.cbrt(), false),
        |_: &_| wrong_arguments()),
    );
    float_function!(registry, "cbrt", |v| Ok(v.cbrt()));
    float_function!(registry, "exp", |v| {
        let result = v.exp();
        if result == 0.0 && v.is_finite() { Err(float_flow(true)) } else { flowed(result, v) }
    });
    float_function!(registry, "ln", |v| check_logarithm(v).map(|()| v.ln()));
    float_function!(registry, "log", |v| check_logarithm(v).map(|()| v.log10()));
    float_function!(registry, "log10", |v| check_logarithm(v).map(|()| v.log10()));
    float_function!(registry, "degrees", |v| flowed(v.to_degrees(), v));
    float_function!(registry, "radians", |v| Ok(v.to_radians()));
    float_function!(registry, "sin", |v| finite_input(v, f64::sin));
    float_function!(registry, "cos", |v| finite_input(v, f64::cos));
    float_function!(registry, "tan", |v| finite_input(v, f64::tan));
    float_function!(registry, "cot", |v| finite_input(v, |v| 1.0 / v.tan()));
    float_function!(registry, "asin", |v| within_one(v, f64::asin));
    float_function!(registry, "acos", |v| within_one(v, f64::acos));
    float_function!(registry, "atan", |v| Ok(v.atan()));
    float_function!(registry, "sinh", |v| Ok(v.sinh()));
    float_function!(registry, "cosh", |v| Ok(v.cosh()));
    float_function!(registry, "tanh", |v| Ok(v.tanh()));
    float_function!(registry, "asinh", |v| Ok(v.asinh()));
    float_function!(registry, "acosh", |v| if v < 1.0 { Err(input_out_of_range()) } else { Ok(v.acosh()) });
    float_function!(registry, "atanh", |v| within_one(v, f64::atanh));
    float_function!(registry, "sind", |v| degrees_of(v, f64::sin, &SIN_DEGREES));
    float_function!(registry, "cosd", |v| degrees_of(v, f64::cos, &COS_DEGREES));
    float_function!(registry, "tand", |v| degrees_of(v, f64::tan, &TAN_DEGREES));
    float_function!(registry, "cotd", |v| cotangent_degrees(v));
    float_function!(registry, "asind", |v| within_one(v, arc_sine_degrees));
    float_function!(registry, "acosd", |v| within_one(v, arc_cosine_degrees));
    float_function!(registry, "atand", |v| Ok(arc_tangent_degrees(v.atan())));
    registry.add(binary_entry!("atan2d", [FLOAT8, FLOAT8] -> FLOAT8, Float64, Float64 => Float64,
        |y: &f64, x: &f64| (arc_tangent_degrees(y.atan2(*x)), false), |_: &_, _: &_| wrong_arguments()));
    registry.add(binary_entry!("atan2", [FLOAT8, FLOAT8] -> FLOAT8, Float64, Float64 => Float64,
        |y: &f64, x: &f64| (y.atan2(*x), false), |_: &_, _: &_| wrong_arguments()));
    for name in ["power", "pow"] {
        registry.add(Entry::new(name, &[FLOAT8, FLOAT8], FLOAT8, power_kernel));
    }
    registry.add_operator("^", Entry::new("dpow", &[FLOAT8, FLOAT8], FLOAT8, power_kernel));
    registry.add(Entry::new("pi", &[], FLOAT8, |_, _| Ok(Datum::Float64(std::f64::consts::PI))));
    registry.add(
        Entry::new("random", &[], FLOAT8, |_, context| Ok(Datum::Float64(context.session.random())))
            .volatile(),
    );
    registry.add(
        Entry::new("setseed", &[FLOAT8], VOID, |arguments, context| {
            let [Datum::Float64(seed)] = arguments else { return Err(wrong_arguments()) };
            if !(-1.0..=1.0).contains(seed) {
                return Err(SqlError::invalid_parameter(format!(
                    "setseed parameter {seed} is out of allowed range [-1,1]"
                )));
            }
            context.session.set_seed(*seed);
            Ok(Datum::text(""))
        })
        .volatile(),
    );
}

fn power_kernel(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let [Datum::Float64(base), Datum::Float64(exponent)] = arguments else { return Err(wrong_arguments()) };
    power(*base, *exponent).map(Datum::Float64)
}

fn numerics(registry: &mut Registry) {
    numeric_binary!(registry, "+", "numeric_add", Numeric::add, small::sum);
    numeric_binary!(registry, "-", "numeric_sub", Numeric::sub, small::difference);
    numeric_binary!(registry, "*", "numeric_mul", Numeric::mul, small::product);
    numeric_binary!(registry, "/", "numeric_div", Numeric::div, |_, _| None);
    numeric_binary!(registry, "%", "numeric_mod", Numeric::rem, |_, _| None);
    numeric_binary!(registry, "^", "numeric_power", Numeric::power, |_, _| None);
    let binary = |registry: &mut Registry, name: &'static str, kernel: ScalarKernel| {
        registry.add(Entry::new(name, &[NUMERIC, NUMERIC], NUMERIC, kernel));
    };
    binary(registry, "mod", |arguments, _| numeric_pair(arguments, Numeric::rem));
    binary(registry, "div", |arguments, _| numeric_pair(arguments, Numeric::div_truncate));
    binary(registry, "power", |arguments, _| numeric_pair(arguments, Numeric::power));
    binary(registry, "pow", |arguments, _| numeric_pair(arguments, Numeric::power));
    binary(registry, "log", |arguments, _| numeric_pair(arguments, Numeric::log));
    binary(registry, "gcd", |arguments, _| numeric_pair(arguments, numeric_gcd));
    binary(registry, "lcm", |arguments, _| numeric_pair(arguments, numeric_lcm));
    registry.add_operator(
        "-",
        Entry::new("numeric_uminus", &[NUMERIC], NUMERIC, |arguments, _| {
            let [Datum::Numeric(value)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::Numeric(value.neg()))
        })
        .infallible(),
    );
    registry.add_operator(
        "+",
        Entry::new("numeric_uplus", &[NUMERIC], NUMERIC, |arguments, _| Ok(arguments[0].clone()))
            .infallible(),
    );
    registry.add_operator(
        "@",
        Entry::new("numeric_abs", &[NUMERIC], NUMERIC, |arguments, _| {
            let [Datum::Numeric(value)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::Numeric(value.abs()))
        })
        .infallible(),
    );
    numeric_function!(registry, "abs", |v| v.abs());
    numeric_function!(registry, "ceil", |v| v.ceil());
    numeric_function!(registry, "ceiling", |v| v.ceil());
    numeric_function!(registry, "floor", |v| v.floor());
    numeric_function!(registry, "round", |v| v.round(0));
    numeric_function!(registry, "trunc", |v| v.trunc(0));
    numeric_function!(registry, "sign", |v| if v.is_nan() {
        Numeric::NaN
    } else {
        Numeric::from(v.signum())
    });
    numeric_function!(registry, "sqrt", |v| v.sqrt()?);
    numeric_function!(registry, "exp", |v| v.exp()?);
    numeric_function!(registry, "ln", |v| v.ln()?);
    numeric_function!(registry, "log", |v| Numeric::log(&Numeric::from(10i32), v)?);
    numeric_function!(registry, "log10", |v| Numeric::log(&Numeric::from(10i32), v)?);
    numeric_function!(registry, "trim_scale", |v| v.trim_scale());
    for (name, kernel) in [
        ("scale", (|arguments, _| numeric_scale(arguments, Numeric::scale)) as ScalarKernel),
        ("min_scale", |arguments, _| numeric_scale(arguments, Numeric::min_scale)),
    ] {
        registry.add(Entry::new(name, &[NUMERIC], INT4, kernel));
    }
    registry.add(Entry::new("round", &[NUMERIC, INT4], NUMERIC, |arguments, _| {
        let [Datum::Numeric(value), Datum::Int32(digits)] = arguments else { return Err(wrong_arguments()) };
        value.round(*digits).checked().map(Datum::Numeric)
    }));
    registry.add(Entry::new("trunc", &[NUMERIC, INT4], NUMERIC, |arguments, _| {
        let [Datum::Numeric(value), Datum::Int32(digits)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Numeric(value.trunc(*digits)))
    }));
    registry.add(Entry::new("factorial", &[INT8], NUMERIC, |arguments, context| {
        let [Datum::Int64(value)] = arguments else { return Err(wrong_arguments()) };
        if *value < 0 {
            return Err(SqlError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "factorial of a negative number is undefined",
            ));
        }
        if *value > 32_177 {
            return Err(crate::value::numeric::arithmetic::overflow());
        }
        (2..=*value)
            .try_fold(Numeric::ONE, |product, factor| {
                context.check_cancel()?;
                product.mul(&Numeric::from(factor))
            })
            .map(Datum::Numeric)
    }));
}

fn numeric_pair(arguments: &[Datum], operation: fn(&Numeric, &Numeric) -> Result<Numeric>) -> Result<Datum> {
    let [Datum::Numeric(left), Datum::Numeric(right)] = arguments else { return Err(wrong_arguments()) };
    operation(left, right).map(Datum::Numeric)
}

fn numeric_scale(arguments: &[Datum], scale: fn(&Numeric) -> u16) -> Result<Datum> {
    let [Datum::Numeric(value)] = arguments else { return Err(wrong_arguments()) };
    Ok(if value.is_finite() { Datum::Int32(i32::from(scale(value))) } else { Datum::Null })
}

fn numeric_gcd(left: &Numeric, right: &Numeric) -> Result<Numeric> {
    let scale = left.scale().max(right.scale());
    let (mut left, mut right) = (left.abs(), right.abs());
    if !left.is_finite() || !right.is_finite() {
        return Ok(Numeric::NaN);
    }
    while right.signum() != 0 {
        let rest = left.rem(&right)?;
        left = right;
        right = rest;
    }
    Ok(left.with_scale(scale))
}

fn numeric_lcm(left: &Numeric, right: &Numeric) -> Result<Numeric> {
    if !left.is_finite() || !right.is_finite() {
        return Ok(Numeric::NaN);
    }
    let scale = left.scale().max(right.scale());
    if left.signum() == 0 || right.signum() == 0 {
        return Ok(Numeric::new(0, scale));
    }
    let divisor = numeric_gcd(left, right)?;
    Ok(left.abs().div_truncate(&divisor)?.mul(&right.abs())?.with_scale(scale))
}

macro_rules! integer_functions {
    ($registry:expr, $variant:ident: $oid:expr, $native:ty, $type_name:literal) => {{
        $registry.add(binary_entry!("gcd", [$oid, $oid] -> $oid, $variant, $variant => $variant,
            |l: &$native, r: &$native| {
                let (mut left, mut right) = (l.unsigned_abs(), r.unsigned_abs());
                while right != 0 {
                    (left, right) = (right, left % right);
                }
                <$native>::try_from(left).map_or((0, true), |v| (v, false))
            }, |_: &_, _: &_| SqlError::out_of_range($type_name)));
        $registry.add(binary_entry!("lcm", [$oid, $oid] -> $oid, $variant, $variant => $variant,
            |l: &$native, r: &$native| {
                let (mut left, mut right) = (l.unsigned_abs(), r.unsigned_abs());
                if left == 0 || right == 0 {
                    return (0, false);
                }
                let (first, second) = (left, right);
                while right != 0 {
                    (left, right) = (right, left % right);
                }
                let product = (first / left).checked_mul(second).and_then(|v| <$native>::try_from(v).ok());
                (product.unwrap_or(0), product.is_none())
            }, |_: &_, _: &_| SqlError::out_of_range($type_name)));
    }};
}

/// `width_bucket(operand, low, high, count)`.
fn width_bucket(operand: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> Result<Datum> {
    let invalid = |message: &str| {
        Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, message.to_owned()))
    };
    if count <= 0 {
        return invalid("count must be greater than zero");
    }
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return invalid("operand, lower bound, and upper bound cannot be NaN");
    }
    if !low.is_finite() || !high.is_finite() {
        return invalid("lower and upper bounds must be finite");
    }
    let ascending = match low.cmp(high) {
        std::cmp::Ordering::Equal => return invalid("lower bound cannot equal upper bound"),
        order => order.is_lt(),
    };
    let before = if ascending { operand < low } else { operand > low };
    let after = if ascending { operand >= high } else { operand <= high };
    if before {
        return Ok(Datum::Int32(0));
    }
    if after {
        return count.checked_add(1).map(Datum::Int32).ok_or_else(|| SqlError::out_of_range("integer"));
    }
    let part = operand.sub(low)?.abs().mul(&Numeric::from(count))?;
    let bucket = part.div_truncate(&high.sub(low)?.abs())?.to_i128().unwrap_or(0) as i32;
    Ok(Datum::Int32(bucket + 1))
}

pub(super) fn register(registry: &mut Registry) {
    floats(registry);
    numerics(registry);
    integer_functions!(registry, Int32: INT4, i32, "integer");
    integer_functions!(registry, Int64: INT8, i64, "bigint");
    registry.add(Entry::new("width_bucket", &[NUMERIC, NUMERIC, NUMERIC, INT4], INT4, |arguments, _| {
        let [Datum::Numeric(operand), Datum::Numeric(low), Datum::Numeric(high), Datum::Int32(count)] =
            arguments
        else {
            return Err(wrong_arguments());
        };
        width_bucket(operand, low, high, *count)
    }));
    registry.add(Entry::new("width_bucket", &[FLOAT8, FLOAT8, FLOAT8, INT4], INT4, |arguments, _| {
        let [Datum::Float64(operand), Datum::Float64(low), Datum::Float64(high), Datum::Int32(count)] =
            arguments
        else {
            return Err(wrong_arguments());
        };
        let exact = |value: f64| Numeric::parse(&format!("{value:e}"));
        width_bucket(&exact(*operand)?, &exact(*low)?, &exact(*high)?, *count)
    }));
}
