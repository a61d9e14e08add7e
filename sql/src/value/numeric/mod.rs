//! NUMERIC: exact decimals of up to 131,072 digits before the point and 16,383 after, NaN and the infinities.
//!
//! A value is an integer and a decimal scale, `mantissa / 10^scale`; the scale is PostgreSQL's *display scale*,
//! so `1.50` keeps its zero. Mantissas that fit an `i128` (38 digits) are held inline and all arithmetic on them
//! stays there; longer ones are shared big integers. The form is canonical: `Big` is never used for what fits.

pub(crate) mod arithmetic;
pub(crate) mod compare;
mod functions;
pub(crate) mod small;
mod text;

use dashu_int::IBig;
use dashu_int::ops::BitTest as _;
use std::sync::Arc;

/// The largest display scale.
pub const SCALE_MAX: u16 = 16_383;
/// The most digits before the decimal point.
pub const INTEGER_DIGITS_MAX: u32 = 131_072;

/// One numeric value.
#[derive(Clone, Debug)]
pub enum Numeric {
    Small { mantissa: i128, scale: u16 },
    Big(Arc<BigNumeric>),
    NaN,
    Infinity,
    NegativeInfinity,
}

/// A numeric whose mantissa exceeds an `i128`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigNumeric {
    pub mantissa: IBig,
    pub scale: u16,
}

impl Numeric {
    /// Bytes that the value takes beyond itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Numeric::Big(big) => 64 + big.mantissa.bit_len() / 8,
            _ => 0,
        }
    }

    /// Zero with no digits after the point.
    pub const ZERO: Numeric = Numeric::Small { mantissa: 0, scale: 0 };
    /// One with no digits after the point.
    pub const ONE: Numeric = Numeric::Small { mantissa: 1, scale: 0 };

    /// `mantissa / 10^scale`.
    #[must_use]
    pub const fn new(mantissa: i128, scale: u16) -> Numeric {
        Numeric::Small { mantissa, scale }
    }

    /// The same from a big integer, in the canonical form.
    #[must_use]
    pub fn from_big(mantissa: IBig, scale: u16) -> Numeric {
        match i128::try_from(&mantissa) {
            Ok(mantissa) => Numeric::Small { mantissa, scale },
            Err(_) => Numeric::Big(Arc::new(BigNumeric { mantissa, scale })),
        }
    }

    /// Digits after the point; 0 for NaN and the infinities.
    #[must_use]
    pub fn scale(&self) -> u16 {
        match self {
            Numeric::Small { scale, .. } => *scale,
            Numeric::Big(big) => big.scale,
            _ => 0,
        }
    }

    /// Mantissa and scale as a big integer, or `None` for NaN and the infinities.
    pub(crate) fn to_big(&self) -> Option<(IBig, u16)> {
        match self {
            Numeric::Small { mantissa, scale } => Some((IBig::from(*mantissa), *scale)),
            Numeric::Big(big) => Some((big.mantissa.clone(), big.scale)),
            _ => None,
        }
    }
}

impl Default for Numeric {
    fn default() -> Numeric {
        Numeric::ZERO
    }
}

macro_rules! numeric_from_integer {
    ($($source:ty),*) => {
        $(impl From<$source> for Numeric {
            fn from(value: $source) -> Numeric {
                Numeric::Small { mantissa: i128::from(value), scale: 0 }
            }
        })*
    };
}

numeric_from_integer!(i16, i32, i64, i128, u32);
