//! Sets of a region's relations, by number: of any size, and without an allocation up to 64.

/// A set of relations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    low: u64,
    /// Those from 64 on, 64 in each.
    high: Vec<u64>,
}

impl Set {
    /// The set of one relation.
    #[must_use]
    pub fn of(at: usize) -> Set {
        let mut set = Set::default();
        set.insert(at);
        set
    }

    /// The set of those below 64 whose bits are set.
    #[must_use]
    pub fn of_bits(low: u64) -> Set {
        Set { low, high: Vec::new() }
    }

    /// Adds one.
    pub fn insert(&mut self, at: usize) {
        match (at / 64).checked_sub(1) {
            None => self.low |= 1 << at,
            Some(word) => {
                if self.high.len() <= word {
                    self.high.resize(word + 1, 0);
                }
                self.high[word] |= 1 << (at % 64);
            }
        }
    }

    /// Adds all of another one.
    pub fn extend(&mut self, other: &Set) {
        self.low |= other.low;
        if self.high.len() < other.high.len() {
            self.high.resize(other.high.len(), 0);
        }
        for (own, word) in self.high.iter_mut().zip(&other.high) {
            *own |= word;
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.low == 0 && self.high.iter().all(|word| *word == 0)
    }

    /// Whether all of it are in another one.
    #[must_use]
    pub fn is_within(&self, other: &Set) -> bool {
        let others = other.high.iter().copied().chain(std::iter::repeat(0));
        self.low & !other.low == 0 && self.high.iter().zip(others).all(|(own, word)| own & !word == 0)
    }

    /// The relations below 64, as bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.low
    }

    /// The relations, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let words = std::iter::once(self.low).chain(self.high.iter().copied()).enumerate();
        words.flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits & (1 << bit) != 0).map(move |bit| word * 64 + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets tell what is in them on both sides of a word's end.
    #[test]
    fn sets_of_any_size() {
        let mut set = Set::of(3);
        set.extend(&Set::of(64));
        set.insert(700);
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 700]);
        assert!(Set::of(64).is_within(&set) && !set.is_within(&Set::of(64)) && !Set::of(65).is_within(&set));
        assert!(Set::default().is_empty() && Set::default().is_within(&set) && !set.is_empty());
        assert_eq!(set.bits(), 8);
    }
}
