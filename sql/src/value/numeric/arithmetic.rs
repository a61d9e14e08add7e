//! `+ - * / %`, rounding, and conversions of numerics, with PostgreSQL's display scales.
//!
//! - `a + b`, `a - b`: the larger scale. `a * b`: the sum of the scales, at most 16,383.
//! - `a / b`: enough for 16 significant digits of the quotient's estimate, at least both scales
//!   (`select_div_scale` of numeric.c, which counts in base-10,000 digits; so does this).
//! - `a % b`: the larger scale; the sign of `a`.

use super::compare::{POWERS_OF_TEN, big_power_of_ten};
use super::small::{self, scale_up};
use super::{INTEGER_DIGITS_MAX, Numeric, SCALE_MAX};
use crate::error::{Result, SqlError, SqlState};
use dashu_base::{AbsOrd, BitTest};
use dashu_int::IBig;

/// Significant digits a division or function should give at least.
const SIGNIFICANT_DIGITS_MIN: i32 = 16;
/// The scale divisions and functions stop at.
const RESULT_SCALE_MAX: i32 = 1000;

/// 22003.
#[cold]
pub(crate) fn overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

/// Decimal digits of a magnitude; 0 has none.
pub(crate) fn digit_count(mantissa: &IBig) -> u32 {
    if *mantissa == IBig::ZERO {
        return 0;
    }
    match i128::try_from(mantissa) {
        Ok(small) => digit_count_small(small),
        Err(_) => {
            // At least so many, and one more at most.
            let least = ((mantissa.bit_len() - 1) as f64 * std::f64::consts::LOG10_2) as u32;
            let next = big_power_of_ten(least + 1);
            least + 1 + u32::from(mantissa.abs_cmp(&next).is_ge())
        }
    }
}

fn digit_count_small(mantissa: i128) -> u32 {
    mantissa.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1)
}

impl Numeric {
    /// NaN, not a number.
    #[must_use]
    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }

    /// Whether this is an ordinary number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        matches!(self, Numeric::Small { .. } | Numeric::Big(_))
    }

    /// -1, 0 or 1; 0 for NaN.
    #[must_use]
    pub fn signum(&self) -> i32 {
        match self {
            Numeric::Small { mantissa, .. } => mantissa.signum() as i32,
            Numeric::Big(big) => {
                if big.mantissa < IBig::ZERO {
                    -1
                } else {
                    1
                }
            }
            Numeric::NaN => 0,
            Numeric::Infinity => 1,
            Numeric::NegativeInfinity => -1,
        }
    }

    /// The result, if it keeps within the format's digits.
    pub(crate) fn checked(self) -> Result<Numeric> {
        if let Numeric::Big(big) = &self
            && digit_count(&big.mantissa) > INTEGER_DIGITS_MAX + u32::from(big.scale)
        {
            return Err(overflow());
        }
        Ok(self)
    }

    /// Adds to a running sum in place, as [`Numeric::add`].
    ///
    /// # Errors
    /// 22003 beyond the format.
    #[inline]
    pub fn increase(&mut self, other: &Numeric) -> Result<()> {
        if let (Numeric::Small { mantissa, scale }, Numeric::Small { mantissa: more, scale: other_scale }) =
            (&mut *self, other)
            && scale == other_scale
            && let Some(sum) = mantissa.checked_add(*more)
        {
            *mantissa = sum;
            return Ok(());
        }
        *self = self.add(other)?;
        Ok(())
    }

    /// The same for what is summed on the way: also beyond the format.
    #[inline]
    pub(crate) fn increase_beyond(&mut self, other: &Numeric) {
        if let (Numeric::Small { mantissa, scale }, Numeric::Small { mantissa: more, scale: other_scale }) =
            (&mut *self, other)
            && scale == other_scale
            && let Some(sum) = mantissa.checked_add(*more)
        {
            *mantissa = sum;
            return;
        }
        *self = self.add_beyond(other);
    }

    /// Sum.
    ///
    /// # Errors
    /// 22003 beyond the format, for all operations here.
    #[inline]
    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        self.add_beyond(other).checked()
    }

    /// Sum, also beyond the format.
    #[inline]
    pub(crate) fn add_beyond(&self, other: &Numeric) -> Numeric {
        if let (
            Numeric::Small { mantissa: left, scale: left_scale },
            Numeric::Small { mantissa: right, scale: right_scale },
        ) = (self, other)
            && let Some((mantissa, scale)) = small::sum((*left, *left_scale), (*right, *right_scale))
        {
            return Numeric::Small { mantissa, scale };
        }
        match (self.to_big(), other.to_big()) {
            (Some((left, left_scale)), Some((right, right_scale))) => {
                let scale = left_scale.max(right_scale);
                let left = left * big_power_of_ten(u32::from(scale - left_scale));
                let right = right * big_power_of_ten(u32::from(scale - right_scale));
                Numeric::from_big(left + right, scale)
            }
            _ => match (self, other) {
                (Numeric::NaN, _)
                | (_, Numeric::NaN)
                | (Numeric::Infinity, Numeric::NegativeInfinity)
                | (Numeric::NegativeInfinity, Numeric::Infinity) => Numeric::NaN,
                (Numeric::Infinity | Numeric::NegativeInfinity, _) => self.clone(),
                _ => other.clone(),
            },
        }
    }

    /// Difference.
    #[inline]
    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        self.add(&other.neg())
    }

    /// The opposite.
    #[must_use]
    pub fn neg(&self) -> Numeric {
        match self {
            Numeric::Small { mantissa, scale } => match mantissa.checked_neg() {
                Some(mantissa) => Numeric::Small { mantissa, scale: *scale },
                None => Numeric::from_big(-IBig::from(*mantissa), *scale),
            },
            Numeric::Big(big) => Numeric::from_big(-big.mantissa.clone(), big.scale),
            Numeric::NaN => Numeric::NaN,
            Numeric::Infinity => Numeric::NegativeInfinity,
            Numeric::NegativeInfinity => Numeric::Infinity,
        }
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(&self) -> Numeric {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// Product with all its digits, of numbers within the format; also beyond it.
    pub(crate) fn mul_exact(&self, other: &Numeric) -> Numeric {
        if let (
            Numeric::Small { mantissa: left, scale: left_scale },
            Numeric::Small { mantissa: right, scale: right_scale },
        ) = (self, other)
            && let Some((mantissa, scale)) = small::product((*left, *left_scale), (*right, *right_scale))
        {
            return Numeric::Small { mantissa, scale };
        }
        match (self.to_big(), other.to_big()) {
            // Twice the largest scale is one that a number may be told with.
            (Some((left, left_scale)), Some((right, right_scale))) => {
                Numeric::from_big(left * right, left_scale.saturating_add(right_scale))
            }
            _ if self.is_nan() || other.is_nan() => Numeric::NaN,
            _ => infinity_of(self.signum() * other.signum()),
        }
    }

    /// Product.
    #[inline]
    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        if let (
            Numeric::Small { mantissa: left, scale: left_scale },
            Numeric::Small { mantissa: right, scale: right_scale },
        ) = (self, other)
            && let Some((mantissa, scale)) = small::product((*left, *left_scale), (*right, *right_scale))
        {
            return Ok(Numeric::Small { mantissa, scale });
        }
        match (self.to_big(), other.to_big()) {
            (Some((left, left_scale)), Some((right, right_scale))) => {
                let product = left * right;
                let scale = u32::from(left_scale) + u32::from(right_scale);
                if scale > u32::from(SCALE_MAX) {
                    let excess = scale - u32::from(SCALE_MAX);
                    return Numeric::from_big(round_shift(product, excess), SCALE_MAX).checked();
                }
                Numeric::from_big(product, scale as u16).checked()
            }
            _ if self.is_nan() || other.is_nan() => Ok(Numeric::NaN),
            _ => Ok(infinity_of(self.signum() * other.signum())),
        }
    }

    /// Quotient.
    ///
    /// # Errors
    /// 22012 by zero.
    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.divide_special(other)? {
            return Ok(special);
        }
        let scale = division_scale(self, other);
        self.div_scaled(other, scale)
    }

    /// The quotient of finite numbers rounded to a scale.
    pub(crate) fn div_scaled(&self, other: &Numeric, scale: u16) -> Result<Numeric> {
        if let (
            Numeric::Small { mantissa: left, scale: left_scale },
            Numeric::Small { mantissa: right, scale: right_scale },
        ) = (self, other)
            && let shift = i32::from(scale) + i32::from(*right_scale) - i32::from(*left_scale)
            && shift >= 0
            && let Some(dividend) = scale_up(*left, shift as u16)
            && *right != 0
            && *right != i128::MIN
            && dividend != i128::MIN
        {
            let (quotient, rest) = (dividend / right, dividend % right);
            // Half away from zero.
            let up = rest.unsigned_abs() >= right.unsigned_abs() - rest.unsigned_abs() && rest != 0;
            let step = if (dividend < 0) == (*right < 0) { 1 } else { -1 };
            return Ok(Numeric::Small { mantissa: quotient + if up { step } else { 0 }, scale });
        }
        let (Some((left, left_scale)), Some((right, right_scale))) = (self.to_big(), other.to_big()) else {
            return Ok(Numeric::NaN);
        };
        if right == IBig::ZERO {
            return Err(SqlError::division_by_zero());
        }
        let shift = i32::from(scale) + i32::from(right_scale) - i32::from(left_scale);
        let (dividend, divisor) = if shift >= 0 {
            (left * big_power_of_ten(shift as u32), right)
        } else {
            (left, right * big_power_of_ten(shift.unsigned_abs()))
        };
        Numeric::from_big(round_divide(dividend, divisor), scale).checked()
    }

    /// Quotient cut off to an integer (`div()`).
    pub fn div_truncate(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.divide_special(other)? {
            return Ok(special);
        }
        let (Some((left, left_scale)), Some((right, right_scale))) = (self.to_big(), other.to_big()) else {
            return Ok(Numeric::NaN);
        };
        let common = left_scale.max(right_scale);
        let left = left * big_power_of_ten(u32::from(common - left_scale));
        let right = right * big_power_of_ten(u32::from(common - right_scale));
        Ok(Numeric::from_big(left / right, 0))
    }

    /// Remainder with the dividend's sign.
    pub fn rem(&self, other: &Numeric) -> Result<Numeric> {
        match (self.to_big(), other.to_big()) {
            _ if self.is_nan() || other.is_nan() => Ok(Numeric::NaN),
            (_, Some((right, _))) if right == IBig::ZERO => Err(SqlError::division_by_zero()),
            (None, _) => Ok(Numeric::NaN),
            (Some(_), None) => Ok(self.clone()),
            (Some((left, left_scale)), Some((right, right_scale))) => {
                let scale = left_scale.max(right_scale);
                let left = left * big_power_of_ten(u32::from(scale - left_scale));
                let right = right * big_power_of_ten(u32::from(scale - right_scale));
                Ok(Numeric::from_big(left % right, scale))
            }
        }
    }

    /// The quotient where a side is no ordinary number, and the error where the divisor is zero.
    fn divide_special(&self, other: &Numeric) -> Result<Option<Numeric>> {
        if self.is_nan() || other.is_nan() {
            return Ok(Some(Numeric::NaN));
        }
        if other.is_finite() && other.signum() == 0 {
            return Err(SqlError::division_by_zero());
        }
        Ok(match (self.is_finite(), other.is_finite()) {
            (true, true) => None,
            (false, false) => Some(Numeric::NaN),
            (false, true) => Some(infinity_of(self.signum() * other.signum())),
            (true, false) => Some(Numeric::ZERO),
        })
    }

    /// The same value rounded (half away from zero) to `digits` after the point, which may be negative; the
    /// scale becomes `max(digits, 0)`.
    #[must_use]
    pub fn round(&self, digits: i32) -> Numeric {
        self.reduce(
            digits,
            |mantissa, by| {
                let power = POWERS_OF_TEN.get(by as usize).copied();
                match power {
                    Some(power) => {
                        let (quotient, rest) = (mantissa / power, mantissa % power);
                        let up = rest.unsigned_abs() >= power.unsigned_abs() / 2 && by > 0;
                        quotient + if up { mantissa.signum() } else { 0 }
                    }
                    None => 0,
                }
            },
            round_shift,
        )
    }

    /// The same value cut off (towards zero) at `digits` after the point.
    #[must_use]
    pub fn trunc(&self, digits: i32) -> Numeric {
        self.reduce(
            digits,
            |mantissa, by| POWERS_OF_TEN.get(by as usize).map_or(0, |power| mantissa / power),
            |mantissa, by| mantissa / big_power_of_ten(by),
        )
    }

    fn reduce(
        &self,
        digits: i32,
        small: impl Fn(i128, u32) -> i128,
        big: impl Fn(IBig, u32) -> IBig,
    ) -> Numeric {
        let digits = digits.clamp(-i32::from(SCALE_MAX) * 10, i32::from(SCALE_MAX));
        if digits >= i32::from(self.scale()) {
            return self.with_scale_up(digits as u16);
        }
        let by = (i32::from(self.scale()) - digits) as u32;
        match self {
            Numeric::Small { mantissa, .. } => {
                let reduced = small(*mantissa, by);
                if digits >= 0 {
                    return Numeric::Small { mantissa: reduced, scale: digits as u16 };
                }
                Numeric::from_big(IBig::from(reduced) * big_power_of_ten(digits.unsigned_abs()), 0)
            }
            Numeric::Big(value) => {
                let reduced = big(value.mantissa.clone(), by);
                if digits >= 0 {
                    return Numeric::from_big(reduced, digits as u16);
                }
                Numeric::from_big(reduced * big_power_of_ten(digits.unsigned_abs()), 0)
            }
            special => special.clone(),
        }
    }

    /// The same value with more digits shown.
    fn with_scale_up(&self, scale: u16) -> Numeric {
        match self {
            Numeric::Small { mantissa, scale: old } => match scale_up(*mantissa, scale - old) {
                Some(mantissa) => Numeric::Small { mantissa, scale },
                None => {
                    Numeric::from_big(IBig::from(*mantissa) * big_power_of_ten(u32::from(scale - old)), scale)
                }
            },
            Numeric::Big(big) => Numeric::from_big(
                big.mantissa.clone() * big_power_of_ten(u32::from(scale - big.scale)),
                scale,
            ),
            special => special.clone(),
        }
    }

    /// The value at exactly this scale, rounded where digits are lost.
    #[must_use]
    pub fn with_scale(&self, scale: u16) -> Numeric {
        self.round(i32::from(scale))
    }

    /// The least integer not below.
    #[must_use]
    pub fn ceil(&self) -> Numeric {
        let cut = self.trunc(0);
        if cut < *self { cut.add(&Numeric::ONE).unwrap_or(cut) } else { cut }
    }

    /// The greatest integer not above.
    #[must_use]
    pub fn floor(&self) -> Numeric {
        let cut = self.trunc(0);
        if cut > *self { cut.sub(&Numeric::ONE).unwrap_or(cut) } else { cut }
    }

    /// The value with as few digits after the point as hold it.
    #[must_use]
    pub fn trim_scale(&self) -> Numeric {
        self.with_scale(self.min_scale())
    }

    /// The fewest digits after the point that hold the value.
    #[must_use]
    pub fn min_scale(&self) -> u16 {
        match self {
            Numeric::Small { mantissa, scale } => {
                let (mut mantissa, mut scale) = (*mantissa, *scale);
                while scale > 0 && mantissa % 10 == 0 {
                    mantissa /= 10;
                    scale -= 1;
                }
                scale
            }
            Numeric::Big(big) => {
                let text = big.mantissa.to_string();
                let zeros = text.len() - text.trim_end_matches('0').len();
                big.scale.saturating_sub(u16::try_from(zeros).unwrap_or(u16::MAX))
            }
            _ => 0,
        }
    }

    /// The value rounded to an integer, `None` if it is not finite or does not fit an `i128`.
    #[must_use]
    pub fn to_i128(&self) -> Option<i128> {
        match self.round(0) {
            Numeric::Small { mantissa, .. } => Some(mantissa),
            _ => None,
        }
    }

    /// Fits the value to `numeric(precision, scale)`.
    ///
    /// # Errors
    /// 22003 `numeric field overflow` with PostgreSQL's detail.
    pub fn fit(&self, precision: i32, scale: i32) -> Result<Numeric> {
        if !self.is_finite() {
            if self.is_nan() {
                return Ok(Numeric::NaN);
            }
            return Err(field_overflow(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            )));
        }
        let rounded = self.round(scale);
        let digits = match &rounded {
            Numeric::Small { mantissa, .. } => digit_count_small(*mantissa),
            other => other.to_big().map_or(0, |(mantissa, _)| digit_count(&mantissa)),
        };
        let integer_digits = digits as i32 - i32::from(rounded.scale());
        if digits > 0 && integer_digits > precision - scale {
            let limit = precision - scale;
            let limit = if limit == 0 { "1".to_owned() } else { format!("10^{limit}") };
            return Err(field_overflow(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}."
            )));
        }
        Ok(rounded)
    }

    /// The exponent of the first base-10,000 digit and that digit: what PostgreSQL's scale rules look at.
    pub(crate) fn leading_digit(&self) -> (i32, i32) {
        let Some((mantissa, scale)) = self.to_big() else { return (0, 0) };
        if mantissa == IBig::ZERO {
            return (0, 0);
        }
        let count = digit_count(&mantissa) as i32;
        // The power of ten of the first decimal digit, then of the group of four it is in.
        let exponent = count - i32::from(scale) - 1;
        let weight = exponent.div_euclid(4);
        let keep = exponent - weight * 4 + 1;
        let text = mantissa.to_string();
        let digits = text.trim_start_matches('-');
        let mut first: i32 =
            digits.bytes().take(keep as usize).fold(0, |sum, byte| sum * 10 + i32::from(byte - b'0'));
        for _ in digits.len()..keep as usize {
            first *= 10;
        }
        (weight, first)
    }
}

fn field_overflow(detail: String) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").with_detail(detail)
}

fn infinity_of(sign: i32) -> Numeric {
    match sign {
        1 => Numeric::Infinity,
        -1 => Numeric::NegativeInfinity,
        _ => Numeric::NaN,
    }
}

/// `select_div_scale` of numeric.c.
fn division_scale(left: &Numeric, right: &Numeric) -> u16 {
    let (left_weight, left_digit) = left.leading_digit();
    let (right_weight, right_digit) = right.leading_digit();
    let mut weight = left_weight - right_weight;
    if left_digit <= right_digit {
        weight -= 1;
    }
    let scale = SIGNIFICANT_DIGITS_MIN - weight * 4;
    let scale = scale.max(i32::from(left.scale())).max(i32::from(right.scale()));
    scale.clamp(0, RESULT_SCALE_MAX) as u16
}

/// `mantissa / 10^by`, rounded half away from zero.
pub(crate) fn round_shift(mantissa: IBig, by: u32) -> IBig {
    round_divide(mantissa, big_power_of_ten(by))
}

/// A quotient rounded half away from zero.
pub(crate) fn round_divide(dividend: IBig, divisor: IBig) -> IBig {
    let negative = (dividend < IBig::ZERO) != (divisor < IBig::ZERO);
    let magnitude = |value: IBig| if value < IBig::ZERO { -value } else { value };
    let (dividend, divisor) = (magnitude(dividend), magnitude(divisor));
    let quotient = (&dividend * IBig::from(2) + &divisor) / (divisor * IBig::from(2));
    if negative { -quotient } else { quotient }
}
