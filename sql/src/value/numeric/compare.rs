//! Order, equality and hash of numerics by value: `1.0 = 1.00`, NaN equals itself and is above everything.

use super::Numeric;
use super::small::scale_up;
use dashu_int::IBig;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Powers of ten that fit an `i128`.
pub(crate) const POWERS_OF_TEN: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// `10^exponent`.
pub(crate) fn big_power_of_ten(exponent: u32) -> IBig {
    match POWERS_OF_TEN.get(exponent as usize) {
        Some(power) => IBig::from(*power),
        None => IBig::from(10).pow(exponent as usize),
    }
}

/// Where a special value stands: -1, 0 (any finite number), 1, 2.
fn rank(value: &Numeric) -> i8 {
    match value {
        Numeric::NegativeInfinity => -1,
        Numeric::Small { .. } | Numeric::Big(_) => 0,
        Numeric::Infinity => 1,
        Numeric::NaN => 2,
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Numeric) -> Ordering {
        if let (
            Numeric::Small { mantissa: left, scale: left_scale },
            Numeric::Small { mantissa: right, scale: right_scale },
        ) = (self, other)
        {
            if left_scale == right_scale {
                return left.cmp(right);
            }
            let widened = if left_scale < right_scale {
                scale_up(*left, right_scale - left_scale).map(|left| left.cmp(right))
            } else {
                scale_up(*right, left_scale - right_scale).map(|right| left.cmp(&right))
            };
            if let Some(ordering) = widened {
                return ordering;
            }
        }
        match (self.to_big(), other.to_big()) {
            (Some((left, left_scale)), Some((right, right_scale))) => {
                let common = left_scale.max(right_scale);
                let left = left * big_power_of_ten(u32::from(common - left_scale));
                let right = right * big_power_of_ten(u32::from(common - right_scale));
                left.cmp(&right)
            }
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Numeric::Small { mantissa, scale } => {
                let (mut mantissa, mut scale) = (*mantissa, *scale);
                while scale > 0 && mantissa % 10 == 0 {
                    mantissa /= 10;
                    scale -= 1;
                }
                (mantissa, scale).hash(state);
            }
            Numeric::Big(big) => {
                let (mut mantissa, mut scale) = (big.mantissa.clone(), big.scale);
                let ten = IBig::from(10);
                while scale > 0 && (&mantissa % &ten) == IBig::ZERO {
                    mantissa /= &ten;
                    scale -= 1;
                }
                // A shortened mantissa may now fit, and must hash as the equal small value does.
                match i128::try_from(&mantissa) {
                    Ok(mantissa) => (mantissa, scale).hash(state),
                    Err(_) => (mantissa, scale).hash(state),
                }
            }
            special => rank(special).hash(state),
        }
    }
}
