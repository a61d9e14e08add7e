//! Square root, powers, exponentials and logarithms of numerics, to the digits PostgreSQL gives.
//!
//! All work on big integers at a working scale some digits beyond the result's, then round once.

use super::Numeric;
use super::arithmetic::{overflow, round_divide};
use super::compare::big_power_of_ten;
use crate::error::{Result, SqlError, SqlState};
use dashu_base::SquareRoot;
use dashu_int::IBig;

/// Digits beyond the result's in which it is computed.
const GUARD_DIGITS: u32 = 24;
/// The arguments of `exp` beyond which PostgreSQL's overflows, or is zero.
const EXPONENT_MAX: f64 = 6000.0;
/// PostgreSQL's limits of a result's scale, before and after it is chosen, and of a number's weight.
const RESULT_SCALE_MAX: i32 = 2000;
const DISPLAY_SCALE_MAX: u16 = 1000;
const WEIGHT_MAX: i32 = 131_072;

/// The least scale of a result with this weight (decimal) that shows 16 significant digits.
fn result_scale(decimal_weight: i32, inputs: i32) -> u16 {
    (16 - decimal_weight).max(inputs).clamp(0, 1000) as u16
}

/// A number as an integer at a working scale.
fn fixed(value: &Numeric, scale: u32) -> IBig {
    let Some((mantissa, own)) = value.to_big() else { return IBig::ZERO };
    let own = u32::from(own);
    if scale >= own {
        mantissa * big_power_of_ten(scale - own)
    } else {
        round_divide(mantissa, big_power_of_ten(own - scale))
    }
}

fn from_fixed(value: IBig, working: u32, scale: u16) -> Result<Numeric> {
    let by = working - u32::from(scale);
    Numeric::from_big(round_divide(value, big_power_of_ten(by)), scale).checked()
}

/// `ln(value)` of a positive number at a working scale: of what is left without its powers of ten, so that no more
/// digits are needed than the result has.
fn ln_scaled(value: &Numeric, working: u32) -> IBig {
    let Some((mantissa, own)) = value.to_big() else { return IBig::ZERO };
    if is_near_one(value) {
        return ln_fixed(&fixed(value, working), working);
    }
    let weight = decimal_weight(value);
    let shift = i64::from(working) - i64::from(own) - i64::from(weight);
    let power = big_power_of_ten(shift.unsigned_abs() as u32);
    let rest = if shift >= 0 { mantissa * power } else { round_divide(mantissa, power) };
    let logarithm = ln_fixed(&rest, working);
    if weight == 0 {
        return logarithm;
    }
    logarithm + ln_fixed(&big_power_of_ten(working + 1), working) * IBig::from(weight)
}

/// `ln(value)` at a working scale, for a fixed-point value between 0.9 and ten thousand: take square roots until near one,
/// then the series of `atanh`.
fn ln_fixed(value: &IBig, working: u32) -> IBig {
    let one = big_power_of_ten(working);
    let two = IBig::from(2);
    let mut value = value.clone();
    let mut doublings = 0u32;
    let upper = &one + &one / IBig::from(10);
    while value > upper {
        value = (value * &one).sqrt().into();
        doublings += 1;
    }
    let ratio = (&value - &one) * &one / (&value + &one);
    let square = &ratio * &ratio / &one;
    let mut term = ratio.clone();
    let mut sum = ratio;
    let mut odd = 3u32;
    while term != IBig::ZERO {
        term = term * &square / &one;
        sum += &term / IBig::from(odd);
        odd += 2;
    }
    sum * two.pow(doublings as usize + 1)
}

/// `exp(value)` at a working scale: halve the argument, sum the series, square back.
fn exp_fixed(value: &IBig, working: u32) -> IBig {
    let one = big_power_of_ten(working);
    let mut argument = value.clone();
    let mut doublings = 0u32;
    let limit = &one / IBig::from(100);
    let negative = argument < IBig::ZERO;
    if negative {
        argument = -argument;
    }
    while argument > limit {
        argument /= IBig::from(2);
        doublings += 1;
    }
    let mut term = one.clone();
    let mut sum = one.clone();
    let mut index = 1u32;
    while term != IBig::ZERO {
        term = term * &argument / &one / IBig::from(index);
        sum += &term;
        index += 1;
    }
    for _ in 0..doublings {
        sum = &sum * &sum / &one;
    }
    if negative { &one * &one / sum } else { sum }
}

/// The decimal weight that PostgreSQL's base-10,000 weight and leading digit stand for.
fn decimal_weight(value: &Numeric) -> i32 {
    value.leading_digit().0 * 4
}

impl Numeric {
    /// Square root.
    ///
    /// # Errors
    /// 2201F of a negative number.
    pub fn sqrt(&self) -> Result<Numeric> {
        match self {
            Numeric::NaN => return Ok(Numeric::NaN),
            Numeric::Infinity => return Ok(Numeric::Infinity),
            _ if self.signum() < 0 => {
                return Err(SqlError::new(
                    SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
                    "cannot take square root of a negative number",
                ));
            }
            _ => {}
        }
        // sqrt halves the weight; PostgreSQL counts it in base-10,000 digits.
        let weight = self.leading_digit().0;
        let root_weight = (weight + 1) * 2 - 1;
        self.sqrt_to(result_scale(root_weight, i32::from(self.scale())))
    }

    /// Square root of a finite number that is not negative, with so many digits behind the point.
    ///
    /// # Errors
    /// 22003.
    pub fn sqrt_to(&self, scale: u16) -> Result<Numeric> {
        let working = u32::from(scale) + 8;
        from_fixed(fixed(self, working * 2).sqrt().into(), working, scale)
    }

    /// e to this power.
    pub fn exp(&self) -> Result<Numeric> {
        match self {
            Numeric::NaN => return Ok(Numeric::NaN),
            Numeric::Infinity => return Ok(Numeric::Infinity),
            Numeric::NegativeInfinity => return Ok(Numeric::ZERO),
            _ => {}
        }
        let (argument, clamp) = (self.to_f64(), f64::from(RESULT_SCALE_MAX));
        let weight = (argument * std::f64::consts::LOG10_E).clamp(-clamp, clamp);
        let scale = result_scale(weight as i32, i32::from(self.scale()));
        if argument.abs() >= EXPONENT_MAX {
            return if argument > 0.0 { Err(overflow()) } else { Ok(Numeric::new(0, scale)) };
        }
        let working = u32::from(scale) + 12 + weight.abs() as u32 * 2;
        from_fixed(exp_fixed(&fixed(self, working), working), working, scale)
    }

    /// Natural logarithm.
    ///
    /// # Errors
    /// 2201E of zero or less.
    pub fn ln(&self) -> Result<Numeric> {
        if let Some(special) = self.logarithm_special()? {
            return Ok(special);
        }
        let scale = result_scale(estimate_ln_weight(self), i32::from(self.scale()));
        let working = u32::from(scale) + GUARD_DIGITS;
        from_fixed(ln_scaled(self, working), working, scale)
    }

    /// The logarithm to a base.
    ///
    /// # Errors
    /// 2201E as [`Numeric::ln`]; 22012 to base one.
    pub fn log(base: &Numeric, value: &Numeric) -> Result<Numeric> {
        if base.is_nan() || value.is_nan() {
            return Ok(Numeric::NaN);
        }
        match (base.logarithm_special()?, value.logarithm_special()?) {
            (None, None) => {}
            (None, Some(infinity)) => return Ok(infinity),
            (Some(_), None) => return Ok(Numeric::ZERO),
            (Some(_), Some(_)) => return Ok(Numeric::NaN),
        }
        let (base_weight, value_weight) = (estimate_ln_weight(base), estimate_ln_weight(value));
        let inputs = i32::from(base.scale().max(value.scale()));
        let scale = result_scale(value_weight - base_weight, inputs);
        // Logarithms near zero have fewer digits that count.
        let near_one = (-base_weight.min(value_weight)).max(0) as u32;
        let working = u32::from(scale) + GUARD_DIGITS + near_one;
        let dividend = ln_scaled(value, working);
        let divisor = ln_scaled(base, working);
        if divisor == IBig::ZERO {
            return Err(SqlError::division_by_zero());
        }
        let quotient = dividend * big_power_of_ten(u32::from(scale));
        Numeric::from_big(round_divide(quotient, divisor), scale).checked()
    }

    /// This number to a power.
    ///
    /// # Errors
    /// 2201F where the result would be complex or zero is divided by; 22003 beyond the format.
    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        let complex =
            |message: &str| SqlError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message.to_owned());
        let is_number = !self.is_nan() && !exponent.is_nan();
        let is_integer = exponent.trunc(0) == *exponent;
        match self.signum() {
            _ if !is_number => {}
            0 if exponent.signum() < 0 => {
                return Err(complex("zero raised to a negative power is undefined"));
            }
            -1 if !is_integer => {
                return Err(complex(
                    "a negative number raised to a non-integer power yields a complex result",
                ));
            }
            _ => {}
        }
        if let Some(special) = power_special(self, exponent) {
            return Ok(special);
        }
        if self.signum() == 0 {
            return Ok(Numeric::new(0, 16));
        }
        let inputs = i32::from(self.scale()).max(i32::from(exponent.scale()));
        if let (true, Some(power)) =
            (is_integer, exponent.to_i128().and_then(|power| i32::try_from(power).ok()))
        {
            return power_integer(self, power);
        }
        let magnitude = self.abs();
        // As rough as PostgreSQL's estimate, which decides how many digits are shown.
        let digits = (8 - estimate_ln_weight(&magnitude)).max(0);
        let argument = match tiny_difference(&magnitude) {
            // Neither the logarithm nor the exponent need be within a double.
            Some(difference) => {
                let sign = f64::from(difference.signum() * exponent.signum());
                sign * 10f64.powf(log10(&difference) + log10(exponent))
            }
            None => rounded(exponent.to_f64() * rounded(ln_f64(&magnitude), digits), digits),
        };
        if argument.abs() >= EXPONENT_MAX {
            return if argument > 0.0 { Err(overflow()) } else { Ok(Numeric::new(0, DISPLAY_SCALE_MAX)) };
        }
        let weight = argument * std::f64::consts::LOG10_E;
        let scale = result_scale(weight as i32, inputs);
        // What the logarithm is wrong by counts as often as the exponent says.
        let exponent_digits = decimal_weight(exponent).max(0) as u32;
        let working = u32::from(scale) + GUARD_DIGITS + weight.abs() as u32 * 2 + exponent_digits;
        let one = big_power_of_ten(working);
        let product = ln_scaled(&magnitude, working) * fixed(exponent, working) / one;
        // Its own digits are right now: what is to come needs no more of them than the result.
        let product = round_divide(product, big_power_of_ten(exponent_digits));
        let working = working - exponent_digits;
        let result = from_fixed(exp_fixed(&product, working), working, scale)?;
        let odd = exponent.rem(&Numeric::from(2i32))?.signum() != 0;
        Ok(if self.signum() < 0 && odd { result.neg() } else { result })
    }

    fn logarithm_special(&self) -> Result<Option<Numeric>> {
        let invalid =
            |message: &str| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_LOG, message.to_owned()));
        match self {
            Numeric::NaN => Ok(Some(Numeric::NaN)),
            Numeric::Infinity => Ok(Some(Numeric::Infinity)),
            _ => match self.signum() {
                0 => invalid("cannot take logarithm of zero"),
                -1 => invalid("cannot take logarithm of a negative number"),
                _ => Ok(None),
            },
        }
    }
}

/// `ln` as a double, also where the number itself is none.
fn ln_f64(value: &Numeric) -> f64 {
    let (weight, digit) = value.leading_digit();
    let direct = value.to_f64();
    if direct.is_finite() && direct > 0.0 && (direct - 1.0).abs() > 1e-10 {
        return direct.ln();
    }
    f64::from(digit.max(1)).ln() + f64::from(weight) * 10_000f64.ln()
}

/// Whether a number is between 0.9 and 1.1.
fn is_near_one(value: &Numeric) -> bool {
    *value >= Numeric::new(9, 1) && *value <= Numeric::new(11, 1)
}

/// What a number differs from one by, where its logarithm is about that.
fn tiny_difference(value: &Numeric) -> Option<Numeric> {
    let difference = value.sub(&Numeric::ONE).ok()?;
    (difference.signum() != 0 && difference.abs() < Numeric::new(1, 10)).then_some(difference)
}

/// `estimate_ln_dweight` of numeric.c: the decimal weight of `ln(value)`.
fn estimate_ln_weight(value: &Numeric) -> i32 {
    if is_near_one(value) {
        let difference = value.sub(&Numeric::ONE).unwrap_or(Numeric::ZERO);
        if difference.signum() == 0 {
            return 0;
        }
        let Some((mantissa, scale)) = difference.to_big() else { return 0 };
        return super::arithmetic::digit_count(&mantissa) as i32 - i32::from(scale) - 1;
    }
    let logarithm = ln_f64(value).abs();
    if logarithm > 0.0 { logarithm.log10() as i32 } else { 0 }
}

fn power_special(base: &Numeric, exponent: &Numeric) -> Option<Numeric> {
    let is_one = |value: &Numeric| *value == Numeric::ONE;
    if base.is_nan() || exponent.is_nan() {
        if exponent.signum() == 0 && exponent.is_finite() || is_one(base) {
            return Some(Numeric::ONE);
        }
        return Some(Numeric::NaN);
    }
    if exponent.signum() == 0 {
        // PostgreSQL shows sixteen digits also of this one.
        return Some(if base.is_finite() {
            Numeric::ONE.with_scale(base.scale().max(16))
        } else {
            Numeric::ONE
        });
    }
    if base.is_finite() && exponent.is_finite() {
        return None;
    }
    if is_one(base) {
        return Some(Numeric::ONE);
    }
    if exponent.is_finite() {
        if exponent.signum() < 0 {
            return Some(Numeric::ZERO);
        }
        let odd = exponent.rem(&Numeric::from(2i32)).is_ok_and(|rest| rest.abs() == Numeric::ONE);
        return Some(if base.signum() < 0 && odd { Numeric::NegativeInfinity } else { Numeric::Infinity });
    }
    let grows = base.abs() > Numeric::ONE;
    Some(if base.abs() == Numeric::ONE {
        Numeric::ONE
    } else if grows == (exponent.signum() > 0) {
        Numeric::Infinity
    } else {
        Numeric::ZERO
    })
}

/// An integer power, by squaring, to the digits that the result has; always 16 digits after the point or the base's
/// own.
fn power_integer(base: &Numeric, power: i32) -> Result<Numeric> {
    let scale = base.scale().clamp(16, DISPLAY_SCALE_MAX);
    let Some((mantissa, own_scale)) = base.to_big() else { return Ok(Numeric::NaN) };
    let weight = f64::from(power) * log10(base);
    if weight > 3.0 * f64::from(WEIGHT_MAX) {
        return Err(overflow());
    }
    if weight + 1.0 < -f64::from(scale) {
        return Ok(Numeric::new(0, scale));
    }
    let times = power.unsigned_abs();
    let digits = weight.max(0.0) as u32 + u32::from(scale) + times.ilog10() + GUARD_DIGITS;
    let factor = Decimal { mantissa, exponent: -i64::from(own_scale) };
    let mut raised = Decimal { mantissa: IBig::ONE, exponent: 0 };
    for bit in (0..32 - times.leading_zeros()).rev() {
        raised = raised.times(&raised, digits);
        if times >> bit & 1 == 1 {
            raised = raised.times(&factor, digits);
        }
    }
    let (dividend, divisor) = match power {
        0.. => (raised.mantissa, IBig::ONE),
        _ => (IBig::ONE, raised.mantissa),
    };
    let exponent = if power < 0 { -raised.exponent } else { raised.exponent } + i64::from(scale);
    let by = big_power_of_ten(exponent.unsigned_abs() as u32);
    let result = if exponent >= 0 {
        round_divide(dividend * by, divisor)
    } else {
        round_divide(dividend, divisor * by)
    };
    Numeric::from_big(result, scale).checked()
}

/// Rounded to so many digits behind the point, where a double has them.
fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    let scaled = value * unit;
    if scaled.abs() < 1e15 { scaled.round() / unit } else { value }
}

/// The decimal logarithm of a number's magnitude, about.
fn log10(value: &Numeric) -> f64 {
    let Some((mantissa, scale)) = value.to_big() else { return 0.0 };
    let cut = super::arithmetic::digit_count(&mantissa).saturating_sub(18);
    let leading = (mantissa / big_power_of_ten(cut)).to_f64().value().abs();
    leading.log10() + f64::from(cut) - f64::from(scale)
}

/// `mantissa` · 10^`exponent`.
struct Decimal {
    mantissa: IBig,
    exponent: i64,
}

impl Decimal {
    /// The product, cut to so many digits.
    fn times(&self, other: &Decimal, digits: u32) -> Decimal {
        let mantissa = &self.mantissa * &other.mantissa;
        let cut = super::arithmetic::digit_count(&mantissa).saturating_sub(digits);
        Decimal {
            mantissa: mantissa / big_power_of_ten(cut),
            exponent: self.exponent + other.exponent + i64::from(cut),
        }
    }
}
