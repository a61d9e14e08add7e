//! Square root, powers, exponentials and logarithms of numerics, to the digits PostgreSQL gives.
//!
//! All work on big integers at a working scale some digits beyond the result's, then round once.

use super::arithmetic::{overflow, round_divide};
use super::compare::big_power_of_ten;
use super::{Numeric, SCALE_MAX};
use crate::error::{Result, SqlError, SqlState};
use dashu_int::IBig;

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

/// The integer square root, rounded down, by Newton's method.
fn integer_sqrt(value: &IBig) -> IBig {
    if *value <= IBig::ZERO {
        return IBig::ZERO;
    }
    let bits = value.to_string().len() as u32;
    let mut guess = big_power_of_ten(bits / 2 + 1);
    let two = IBig::from(2);
    loop {
        let next = (&guess + value / &guess) / &two;
        if next >= guess {
            return guess;
        }
        guess = next;
    }
}

/// `ln(value)` at a working scale, for a positive fixed-point value: halve by square roots until near one,
/// then the series of `atanh`.
fn ln_fixed(value: &IBig, working: u32) -> IBig {
    let one = big_power_of_ten(working);
    let two = IBig::from(2);
    let mut value = value.clone();
    let mut doublings = 0u32;
    let upper = &one + &one / IBig::from(10);
    let lower = &one - &one / IBig::from(10);
    while value > upper || value < lower {
        value = integer_sqrt(&(value * &one));
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
        from_fixed(integer_sqrt(&fixed(self, working * 2)), working, scale)
    }

    /// e to this power.
    pub fn exp(&self) -> Result<Numeric> {
        match self {
            Numeric::NaN => return Ok(Numeric::NaN),
            Numeric::Infinity => return Ok(Numeric::Infinity),
            Numeric::NegativeInfinity => return Ok(Numeric::ZERO),
            _ => {}
        }
        // The decimal weight of the result, bounded so that nothing absurd is computed.
        let weight = self.to_f64() * std::f64::consts::LOG10_E;
        if weight > 131_072.0 {
            return Err(overflow());
        }
        let scale = result_scale((weight as i32).max(-1000), i32::from(self.scale()));
        if weight < -1100.0 {
            return Ok(Numeric::new(0, scale));
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
        let working = u32::from(scale) + 16 + self.scale_of_weight();
        from_fixed(ln_fixed(&fixed(self, working), working), working, scale)
    }

    /// The logarithm to a base.
    ///
    /// # Errors
    /// 2201E as [`Numeric::ln`]; 22012 to base one.
    pub fn log(base: &Numeric, value: &Numeric) -> Result<Numeric> {
        base.logarithm_special()?;
        if let Some(special) = value.logarithm_special()? {
            return Ok(special);
        }
        let (base_weight, value_weight) = (estimate_ln_weight(base), estimate_ln_weight(value));
        let inputs = i32::from(base.scale().max(value.scale()));
        let scale = result_scale(value_weight - base_weight, inputs);
        let working = u32::from(scale) + 24 + base.scale_of_weight().max(value.scale_of_weight());
        let dividend = ln_fixed(&fixed(value, working), working);
        let divisor = ln_fixed(&fixed(base, working), working);
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
        if let Some(special) = power_special(self, exponent) {
            return Ok(special);
        }
        let is_integer = exponent.trunc(0) == *exponent;
        match self.signum() {
            0 if exponent.signum() < 0 => {
                return Err(complex("zero raised to a negative power is undefined"));
            }
            0 => return Ok(Numeric::new(0, 16)),
            -1 if !is_integer => {
                return Err(complex(
                    "a negative number raised to a non-integer power yields a complex result",
                ));
            }
            _ => {}
        }
        let magnitude = self.abs();
        let ln_estimate = ln_f64(&magnitude);
        let weight = exponent.to_f64() * ln_estimate * std::f64::consts::LOG10_E;
        if weight > 131_072.0 {
            return Err(overflow());
        }
        let inputs = i32::from(self.scale()).max(i32::from(exponent.scale()));
        if let (true, Some(power)) =
            (is_integer, exponent.to_i128().and_then(|power| i32::try_from(power).ok()))
            && power.unsigned_abs() < 100_000
        {
            return power_integer(self, power, weight, i32::from(self.scale()));
        }
        let scale = result_scale((weight as i32).max(-1000), inputs);
        if weight < -1100.0 {
            return Ok(Numeric::new(0, scale));
        }
        let working = u32::from(scale) + 24 + weight.abs() as u32 * 2 + magnitude.scale_of_weight();
        let one = big_power_of_ten(working);
        let product = ln_fixed(&fixed(&magnitude, working), working) * fixed(exponent, working) / one;
        let result = from_fixed(exp_fixed(&product, working), working, scale)?;
        let odd = exponent.rem(&Numeric::from(2i32))?.signum() != 0;
        Ok(if self.signum() < 0 && odd { result.neg() } else { result })
    }

    /// Working digits needed for the magnitude itself.
    fn scale_of_weight(&self) -> u32 {
        decimal_weight(self).unsigned_abs() + 4
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

/// `estimate_ln_dweight` of numeric.c: the decimal weight of `ln(value)`.
fn estimate_ln_weight(value: &Numeric) -> i32 {
    let near_one = *value >= Numeric::new(9, 1) && *value <= Numeric::new(11, 1);
    if near_one {
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

/// An integer power, exactly where the digits stay few, else through `ln` and `exp`; always 16 digits after the
/// point or the base's own.
fn power_integer(base: &Numeric, power: i32, weight: f64, input_scale: i32) -> Result<Numeric> {
    let scale = input_scale.max(16) as u16;
    let Some((mantissa, own_scale)) = base.to_big() else { return Ok(Numeric::NaN) };
    let digits = f64::from(super::arithmetic::digit_count(&mantissa)) * f64::from(power.unsigned_abs());
    if weight < -1100.0 {
        return Ok(Numeric::new(0, scale));
    }
    if digits < 200_000.0 {
        let raised = mantissa.pow(power.unsigned_abs() as usize);
        let raised_scale = u32::from(own_scale) * power.unsigned_abs();
        if power >= 0 {
            let wanted = u32::from(scale);
            return if raised_scale > wanted {
                Numeric::from_big(round_divide(raised, big_power_of_ten(raised_scale - wanted)), scale)
                    .checked()
            } else {
                Numeric::from_big(raised * big_power_of_ten(wanted - raised_scale), scale).checked()
            };
        }
        let dividend = big_power_of_ten(u32::from(scale) + raised_scale);
        return Numeric::from_big(round_divide(dividend, raised), scale).checked();
    }
    let working = u32::from(scale) + 24 + weight.abs() as u32 * 2 + u32::from(SCALE_MAX.min(64));
    let logarithm = ln_fixed(&fixed(&base.abs(), working), working) * IBig::from(power);
    let result = from_fixed(exp_fixed(&logarithm, working), working, scale)?;
    Ok(if base.signum() < 0 && power % 2 != 0 { result.neg() } else { result })
}
