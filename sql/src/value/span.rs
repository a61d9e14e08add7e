//! Spans: what ranges and multiranges are made of.
//!
//! A value of a range type is a list of at most one span, the empty range being the empty list; one of a multirange
//! type is a list of any number of them, in order, which neither overlap nor touch. So both have one order, one hash and one
//! stored form, and a range is a multirange as it stands.
//!
//! An end of a span is a place on a line: where it has no value it is before or behind all values; else it is at its value, or,
//! where the value is not included, right behind it (a lower end) or right before it (an upper one).

use super::{Datum, compare_values, hash_value};
use std::cmp::Ordering;
use std::sync::Arc;

/// One end of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// NULL where the span goes on for ever.
    pub value: Datum,
    /// Whether the value belongs to the span; never where there is none.
    pub inclusive: bool,
}

/// An interval that is not empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub lower: Bound,
    pub upper: Bound,
}

/// Where an end of a span is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'b> {
    /// -1 before all values, 1 behind them, else 0.
    pub(crate) beyond: i8,
    pub(crate) value: &'b Datum,
    /// 1 right behind the value, -1 right before it, else 0.
    pub(crate) beside: i8,
}

impl Place<'_> {
    /// Compares the values alone.
    pub(crate) fn compare_values(&self, other: &Place<'_>) -> Ordering {
        self.beyond.cmp(&other.beyond).then_with(|| compare_values(self.value, other.value))
    }

    pub(crate) fn compare(&self, other: &Place<'_>) -> Ordering {
        self.compare_values(other).then(self.beside.cmp(&other.beside))
    }
}

impl Bound {
    /// The end of a span that goes on for ever.
    pub const NONE: Bound = Bound { value: Datum::Null, inclusive: false };

    /// An end with or, if the value is NULL, without a value.
    #[must_use]
    pub fn new(value: Datum, inclusive: bool) -> Bound {
        let inclusive = inclusive && !value.is_null();
        Bound { value, inclusive }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_infinite(&self) -> bool {
        self.value.is_null()
    }

    fn place(&self, side: i8) -> Place<'_> {
        let is_infinite = self.is_infinite();
        Place {
            beyond: if is_infinite { -side } else { 0 },
            value: &self.value,
            beside: if is_infinite || self.inclusive { 0 } else { side },
        }
    }

    /// Its place as a lower end.
    pub(crate) fn as_lower(&self) -> Place<'_> {
        self.place(1)
    }

    /// Its place as an upper end.
    pub(crate) fn as_upper(&self) -> Place<'_> {
        self.place(-1)
    }

    /// The end of what is on the other side of it.
    #[must_use]
    pub fn flipped(&self) -> Bound {
        Bound { value: self.value.clone(), inclusive: !self.inclusive && !self.is_infinite() }
    }
}

impl Span {
    /// The span between two ends, `None` if nothing is between them.
    #[must_use]
    pub fn between(lower: Bound, upper: Bound) -> Option<Span> {
        let is_empty = match lower.as_lower().compare_values(&upper.as_upper()) {
            Ordering::Less => false,
            Ordering::Equal => !(lower.inclusive && upper.inclusive),
            Ordering::Greater => true,
        };
        (!is_empty).then_some(Span { lower, upper })
    }

    fn compare(&self, other: &Span) -> Ordering {
        let lower = self.lower.as_lower().compare(&other.lower.as_lower());
        lower.then_with(|| self.upper.as_upper().compare(&other.upper.as_upper()))
    }

    /// Bytes beyond the span itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.lower.value.heap_bytes() + self.upper.value.heap_bytes()
    }
}

/// A range's or multirange's value.
#[must_use]
pub fn spans(spans: impl IntoIterator<Item = Span>) -> Datum {
    Datum::Spans(Arc::from_iter(spans))
}

/// The order of ranges and of multiranges: span by span, and what is only the beginning of the other first.
#[must_use]
pub(super) fn compare(left: &[Span], right: &[Span]) -> Ordering {
    let mut pairs = left.iter().zip(right).map(|(left, right)| left.compare(right));
    pairs.find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
}

/// A hash that equal lists share.
pub(super) fn hash(spans: &[Span]) -> u64 {
    let bounds = spans.iter().flat_map(|span| [&span.lower, &span.upper]);
    bounds.fold(spans.len() as u64, |hash, bound| {
        let mixed = hash.rotate_left(5) ^ hash_value(&bound.value) ^ u64::from(bound.inclusive);
        super::hash_integer(mixed as i64)
    })
}

/// Bytes beyond the list itself.
#[must_use]
pub(super) fn heap_bytes(spans: &[Span]) -> usize {
    16 + size_of_val(spans) + spans.iter().map(Span::heap_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DataType;
    use crate::value::span_set::{contains, difference, intersection, normalized, overlap, union};
    use crate::value::{KeyColumn, Numeric, PhysicalKind, encoding, hash_value, key};
    use proptest::prelude::*;

    /// A numeric of a few, some of which are equal though written otherwise.
    fn value(number: u8) -> Datum {
        Datum::Numeric(Numeric::from(i64::from(number % 6)).with_scale(u16::from(number % 2)))
    }

    fn bound() -> impl Strategy<Value = Bound> {
        prop_oneof![
            1 => Just(Bound::NONE),
            4 => (any::<u8>(), any::<bool>()).prop_map(|(number, inclusive)| Bound::new(value(number), inclusive)),
        ]
    }

    fn set() -> impl Strategy<Value = Vec<Span>> {
        let span = (bound(), bound()).prop_filter_map("empty", |(lower, upper)| Span::between(lower, upper));
        proptest::collection::vec(span, 0..5).prop_map(normalized)
    }

    /// The places that a set of such values is about: at each value, and between each two.
    fn places(set: &[Span]) -> Vec<bool> {
        let half = |number: i64| {
            let value = Numeric::from(number).div(&Numeric::from(2)).unwrap();
            let bound = Bound::new(Datum::Numeric(value), true);
            Span { lower: bound.clone(), upper: bound }
        };
        (-1..14).map(|number| contains(set, &[half(number)])).collect()
    }

    proptest! {
        /// Keys are ordered as values are, also where something follows; equal values have equal keys and hashes; what is
        /// stored comes back.
        #[test]
        fn keys_have_the_order_of_values(left in set(), right in set(), descending in any::<bool>()) {
            let column = KeyColumn {
                descending,
                ..KeyColumn::ascending(DataType::of(crate::types::oids::NUMMULTIRANGE), PhysicalKind::Spans)
            };
            let encode = |set: &[Span]| {
                let mut bytes = Vec::new();
                key::encode(&column, &spans(set.iter().cloned()), &mut bytes);
                bytes.push(if descending { 0 } else { 0xff });
                bytes
            };
            let (left_datum, right_datum) = (spans(left.iter().cloned()), spans(right.iter().cloned()));
            let order = compare_values(&left_datum, &right_datum);
            let keys = encode(&left).cmp(&encode(&right));
            prop_assert_eq!(if descending { order.reverse() } else { order }, keys);
            if order.is_eq() {
                prop_assert_eq!(hash_value(&left_datum), hash_value(&right_datum));
            }
            let mut bytes = Vec::new();
            encoding::encode(&left_datum, &mut bytes);
            prop_assert_eq!(encoding::decode(PhysicalKind::Spans, &bytes).unwrap(), left_datum);
            for length in 0..bytes.len() {
                prop_assert!(encoding::decode(PhysicalKind::Spans, &bytes[..length]).is_err());
            }
        }

        /// Sets are put together place by place.
        #[test]
        fn sets_are_those_of_their_places(left in set(), right in set()) {
            let (in_left, in_right) = (places(&left), places(&right));
            let pairs = || in_left.iter().zip(&in_right);
            let expect = |test: fn(bool, bool) -> bool| pairs().map(|(l, r)| test(*l, *r)).collect::<Vec<_>>();
            for (found, test) in [
                (union(&left, &right), (|l, r| l || r) as fn(bool, bool) -> bool),
                (intersection(&left, &right), |l, r| l && r),
                (difference(&left, &right), |l, r| l && !r),
            ] {
                prop_assert_eq!(&normalized(found.clone()), &found);
                prop_assert_eq!(places(&found), expect(test));
            }
            prop_assert_eq!(overlap(&left, &right), pairs().any(|(l, r)| *l && *r));
            prop_assert_eq!(contains(&left, &right), difference(&right, &left).is_empty());
        }
    }
}
