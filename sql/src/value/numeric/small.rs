//! Sums and products of numerics whose mantissas fit an `i128`, as long as the result's does: what most are, and what
//! columns are computed by.

use super::SCALE_MAX;
use super::compare::POWERS_OF_TEN;

/// A mantissa and its scale.
pub(crate) type Decimal = (i128, u16);

/// The product where it fits; most factors are short, and 64 bits times 64 never overflow.
#[inline(always)]
pub(super) fn multiplied(left: i128, right: i128) -> Option<i128> {
    match (i64::try_from(left), i64::try_from(right)) {
        (Ok(left), Ok(right)) => Some(i128::from(left) * i128::from(right)),
        _ => left.checked_mul(right),
    }
}

/// `mantissa * 10^by` where it fits.
#[inline(always)]
pub(super) fn scale_up(mantissa: i128, by: u16) -> Option<i128> {
    if by == 0 { Some(mantissa) } else { multiplied(mantissa, *POWERS_OF_TEN.get(usize::from(by))?) }
}

/// The sum; the larger scale.
#[inline(always)]
pub(crate) fn sum((left, left_scale): Decimal, (right, right_scale): Decimal) -> Option<Decimal> {
    let scale = left_scale.max(right_scale);
    let (left, right) = (scale_up(left, scale - left_scale)?, scale_up(right, scale - right_scale)?);
    Some((left.checked_add(right)?, scale))
}

/// The difference; the larger scale.
#[inline(always)]
pub(crate) fn difference(left: Decimal, (right, right_scale): Decimal) -> Option<Decimal> {
    sum(left, (right.checked_neg()?, right_scale))
}

/// The product; the sum of the scales.
#[inline(always)]
pub(crate) fn product((left, left_scale): Decimal, (right, right_scale): Decimal) -> Option<Decimal> {
    let scale = left_scale.checked_add(right_scale).filter(|scale| *scale <= SCALE_MAX)?;
    Some((multiplied(left, right)?, scale))
}
