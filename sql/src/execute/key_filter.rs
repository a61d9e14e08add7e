//! What the keys of a hash table are, roughly and small: whoever reads the rows that will be looked up in it may leave out
//! those that are not there.

/// A set of integers that contains at least those that were entered.
pub enum KeyFilter {
    /// A bit for each integer from `first` on.
    Range { first: i64, bits: Vec<u64> },
    /// A bit for each value of a hash function.
    Hashed { shift: u32, bits: Vec<u64> },
}

/// The widest range that has a bit for each value.
const RANGE_BITS_MAX: u64 = 1 << 26;
/// Bits for each value of a hashed set: one in eight others is taken to be there.
const HASHED_BITS_PER_VALUE: usize = 8;

impl KeyFilter {
    /// The set of some integers.
    #[must_use]
    pub fn new(values: &[i64]) -> KeyFilter {
        let first = values.iter().copied().min().unwrap_or(0);
        let last = values.iter().copied().max().unwrap_or(0);
        let hashed_bits = (values.len() * HASHED_BITS_PER_VALUE).next_power_of_two().max(64) as u64;
        let range = last.abs_diff(first);
        let mut filter = if range < RANGE_BITS_MAX && range / 8 <= hashed_bits {
            KeyFilter::Range { first, bits: vec![0; (range / 64) as usize + 1] }
        } else {
            let shift = 64 - hashed_bits.trailing_zeros();
            KeyFilter::Hashed { shift, bits: vec![0; (hashed_bits / 64) as usize] }
        };
        for value in values {
            filter.enter(*value);
        }
        filter
    }

    fn enter(&mut self, value: i64) {
        let (bits, at) = match self {
            KeyFilter::Range { first, bits } => (bits, value.abs_diff(*first)),
            KeyFilter::Hashed { shift, bits } => (bits, spread(value) >> *shift),
        };
        bits[(at / 64) as usize] |= 1 << (at % 64);
    }

    /// Whether a value may be among those entered.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, value: i64) -> bool {
        let (bits, at) = match self {
            KeyFilter::Range { first, bits } => (bits, (value as u64).wrapping_sub(*first as u64)),
            KeyFilter::Hashed { shift, bits } => (bits, spread(value) >> *shift),
        };
        bits.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 != 0)
    }
}

/// Multiplication by the golden ratio: the upper bits depend on all bits.
#[inline]
fn spread(value: i64) -> u64 {
    (value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::KeyFilter;

    /// Dense, sparse and extreme values are found again; most others are not.
    #[test]
    fn what_was_entered_is_found() {
        let dense: Vec<i64> = (-500..500).map(|value| value * 3).collect();
        let sparse: Vec<i64> = (0..1000).map(|value| value * 1_000_000_007).collect();
        for values in [dense, sparse, vec![i64::MIN, i64::MAX, 0], Vec::new()] {
            let filter = KeyFilter::new(&values);
            assert!(values.iter().all(|value| filter.may_contain(*value)));
            let others = (0..10_000).map(|value| value * 7 + 1).filter(|value| !values.contains(value));
            let (mut all, mut taken) = (0, 0);
            for other in others {
                all += 1;
                taken += usize::from(filter.may_contain(other));
            }
            assert!(taken * 4 < all, "{taken} of {all}");
        }
    }
}
