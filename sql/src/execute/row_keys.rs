//! Sets of rows by their keys: single keys, and spans of them.
//!
//! A set is put together in any order, then brought in order ([`RowKeys::settle`]). Single keys lie end to end in one piece of
//! memory. A set that grows too large makes spans of keys that are neighbours in it ([`RowKeys::shrink`]): it has more rows then
//! than it was given, never fewer, so whoever reads it tests the rows.

use std::ops::Bound;

use helios_mvcc::KeyRange;

/// A single key, by where its bytes are.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
}

/// All keys from a start on, up to an end that is not among them; `None`: all that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl Span {
    fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }

    fn range(self) -> KeyRange {
        let upper = self.end.map_or(Bound::Unbounded, Bound::Excluded);
        KeyRange { lower: Bound::Included(self.start), upper }
    }
}

/// The key right behind another.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// So many neighbours become one span where there is no room for each.
const NEIGHBOURS: usize = 16;

/// What a span takes beside its bytes, about.
const SPAN_BYTES: usize = size_of::<Span>() + 32;

/// A set of rows.
#[derive(Default)]
pub struct RowKeys {
    bytes: Vec<u8>,
    places: Vec<Place>,
    spans: Vec<Span>,
    span_bytes: usize,
}

impl RowKeys {
    /// Adds a key.
    pub fn add(&mut self, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        // Whoever gathers keys makes it smaller long before it has 4 GiB.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.places.push(Place { start: place(start), end: place(self.bytes.len()) });
    }

    /// Adds all keys of a range.
    pub fn add_range(&mut self, range: KeyRange) {
        let start = match range.lower {
            Bound::Included(key) => key,
            Bound::Excluded(key) => behind(key),
            Bound::Unbounded => Vec::new(),
        };
        let end = match range.upper {
            Bound::Included(key) => Some(behind(key)),
            Bound::Excluded(key) => Some(key),
            Bound::Unbounded => None,
        };
        self.add_span(Span { start, end });
    }

    fn add_span(&mut self, span: Span) {
        if span.end.as_ref().is_none_or(|end| span.start < *end) {
            self.span_bytes += SPAN_BYTES + span.start.len() + span.end.as_ref().map_or(0, Vec::len);
            self.spans.push(span);
        }
    }

    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.spans.is_empty()
    }

    /// Whether it has single keys.
    pub fn has_single(&self) -> bool {
        !self.places.is_empty()
    }

    /// The memory that it takes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.capacity() + self.places.capacity() * size_of::<Place>() + self.span_bytes
    }

    fn key(&self, place: Place) -> &[u8] {
        &self.bytes[place.start as usize..place.end as usize]
    }

    /// Brings it in order: each key once, spans apart from each other, and no key in a span.
    pub fn settle(&mut self) {
        self.spans.sort_unstable_by(|first, second| first.start.cmp(&second.start));
        let mut spans: Vec<Span> = Vec::with_capacity(self.spans.len());
        for span in self.spans.drain(..) {
            match spans.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| span.start <= *end) => {
                    let is_within = match (&last.end, &span.end) {
                        (None, _) => true,
                        (_, None) => false,
                        (Some(end), Some(further)) => further <= end,
                    };
                    if !is_within {
                        last.end = span.end;
                    }
                }
                _ => spans.push(span),
            }
        }
        self.span_bytes = 0;
        for span in spans {
            self.add_span(span);
        }
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable_by(|first, second| self.key(*first).cmp(self.key(*second)));
        places.dedup_by(|next, kept| self.key(*next) == self.key(*kept));
        places.retain(|place| !self.is_spanned(self.key(*place)));
        self.places = places;
    }

    /// Whether a key is in a span; they are in order.
    fn is_spanned(&self, key: &[u8]) -> bool {
        let behind = self.spans.partition_point(|span| span.start.as_slice() <= key);
        behind > 0 && self.spans[behind - 1].contains(key)
    }

    /// Whether it has a key; it is in order.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.places.binary_search_by(|place| self.key(*place).cmp(key)).is_ok() || self.is_spanned(key)
    }

    /// Brings it in order and makes it take no more than about so much memory.
    pub fn shrink(&mut self, bytes_max: usize) {
        self.settle();
        // What is left of a set of many equal keys is moved together.
        self.compact();
        while self.size_bytes() > bytes_max && self.places.len() + self.spans.len() > 1 {
            let mut merged = RowKeys::default();
            let mut current: Option<(Span, usize)> = None;
            for next in std::mem::take(self).into_spans() {
                current = match current.take() {
                    Some((mut span, count)) if count < NEIGHBOURS => {
                        span.end = next.end;
                        Some((span, count + 1))
                    }
                    before => {
                        if let Some((span, _)) = before {
                            merged.add_span(span);
                        }
                        Some((next, 1))
                    }
                };
            }
            if let Some((span, _)) = current {
                merged.add_span(span);
            }
            *self = merged;
        }
    }

    /// Leaves out the bytes of keys that it has no more.
    fn compact(&mut self) {
        let mut kept = RowKeys::default();
        let bytes = self.places.iter().map(|place| (place.end - place.start) as usize).sum();
        kept.bytes.reserve_exact(bytes);
        kept.places.reserve_exact(self.places.len());
        for place in &self.places {
            kept.add(self.key(*place));
        }
        self.bytes = kept.bytes;
        self.places = kept.places;
    }

    /// What it has in common with another; both are in order, and so is that.
    pub fn intersection(&self, other: &RowKeys) -> RowKeys {
        let mut common = RowKeys::default();
        for (one, two) in [(self, other), (other, self)] {
            let is_first = std::ptr::eq(one, self);
            for place in &one.places {
                let key = one.key(*place);
                // What both have as a single key counts once.
                if if is_first { two.contains(key) } else { two.is_spanned(key) } {
                    common.add(key);
                }
            }
        }
        let (mut first, mut second) = (self.spans.iter().peekable(), other.spans.iter().peekable());
        while let (Some(one), Some(two)) = (first.peek(), second.peek()) {
            let start = one.start.clone().max(two.start.clone());
            let one_ends = match (&one.end, &two.end) {
                (Some(end), Some(other)) => end <= other,
                (end, _) => end.is_some(),
            };
            let end = if one_ends { one.end.clone() } else { two.end.clone() };
            common.add_span(Span { start, end });
            if one_ends {
                first.next()
            } else {
                second.next()
            };
        }
        common.settle();
        common
    }

    /// Its parts in order, each as a span.
    fn into_spans(self) -> impl Iterator<Item = Span> {
        let mut at = InOrder::default();
        let keys = self;
        std::iter::from_fn(move || {
            Some(match at.next(&keys)? {
                Part::Single(key) => Span { start: key.to_vec(), end: Some(behind(key.to_vec())) },
                Part::Span(span) => span.clone(),
            })
        })
    }
}

/// A part of a set.
enum Part<'k> {
    Single(&'k [u8]),
    Span(&'k Span),
}

/// How far the parts of a set, which is in order, have been gone through.
#[derive(Default)]
pub struct InOrder {
    places: usize,
    spans: usize,
}

impl InOrder {
    fn next<'k>(&mut self, keys: &'k RowKeys) -> Option<Part<'k>> {
        let single = keys.places.get(self.places).map(|place| keys.key(*place));
        match (single, keys.spans.get(self.spans)) {
            (Some(key), span) if span.is_none_or(|span| key < span.start.as_slice()) => {
                self.places += 1;
                Some(Part::Single(key))
            }
            (_, Some(span)) => {
                self.spans += 1;
                Some(Part::Span(span))
            }
            (_, None) => None,
        }
    }

    /// The next range of keys of a set.
    pub fn next_range(&mut self, keys: &RowKeys) -> Option<KeyRange> {
        Some(match self.next(keys)? {
            Part::Single(key) => {
                KeyRange { lower: Bound::Included(key.to_vec()), upper: Bound::Included(key.to_vec()) }
            }
            Part::Span(span) => span.clone().range(),
        })
    }
}

#[cfg(test)]
mod tests {
    //! Sets of keys and spans against sets of all keys of up to two bytes of three values.
    use super::*;
    use std::collections::BTreeSet;

    fn all_keys() -> Vec<Vec<u8>> {
        let one = (0..6u8).map(|first| vec![first]);
        let two = (0..6u8).flat_map(|first| (0..6u8).map(move |second| vec![first, second]));
        one.chain(two).collect()
    }

    fn members(keys: &RowKeys) -> BTreeSet<Vec<u8>> {
        all_keys().into_iter().filter(|key| keys.contains(key)).collect()
    }

    /// The keys that its ranges have, each of which is before the next.
    fn read(keys: &RowKeys) -> BTreeSet<Vec<u8>> {
        let mut order = InOrder::default();
        let mut found = Vec::new();
        while let Some(range) = order.next_range(keys) {
            let is_after = |key: &Vec<u8>| match &range.lower {
                Bound::Included(start) => key >= start,
                _ => false,
            };
            let is_before = |key: &Vec<u8>| match &range.upper {
                Bound::Included(end) => key <= end,
                Bound::Excluded(end) => key < end,
                Bound::Unbounded => true,
            };
            let mut all = all_keys();
            all.sort();
            found.extend(all.into_iter().filter(|key| is_after(key) && is_before(key)));
        }
        assert!(found.is_sorted_by(|first, second| first < second), "in order, each once");
        found.into_iter().collect()
    }

    /// A set with some members, made of a number's bits.
    fn made(mut seed: u64) -> (RowKeys, BTreeSet<Vec<u8>>) {
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let all = all_keys();
        let (mut keys, mut model) = (RowKeys::default(), BTreeSet::new());
        for _ in 0..next(12) {
            let key = &all[next(all.len())];
            keys.add(key);
            model.insert(key.clone());
        }
        for _ in 0..next(4) {
            let (start, end) = (all[next(all.len())].clone(), all[next(all.len())].clone());
            let is_open = next(5) == 0;
            let is_in = |key: &&Vec<u8>| **key >= start && (is_open || **key < end);
            model.extend(all.iter().filter(is_in).cloned());
            let upper = if is_open { Bound::Unbounded } else { Bound::Excluded(end.clone()) };
            keys.add_range(KeyRange { lower: Bound::Included(start.clone()), upper });
        }
        keys.settle();
        (keys, model)
    }

    #[test]
    fn sets_have_what_they_were_given() {
        for seed in 0..2_000 {
            let (keys, model) = made(seed);
            assert_eq!(members(&keys), model, "seed {seed}");
            assert_eq!(read(&keys), model, "seed {seed}");
            assert_eq!(keys.is_empty(), model.is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn intersections_have_what_both_have() {
        for seed in 0..2_000 {
            let ((first, one), (second, two)) = (made(seed), made(seed + 1_000_000));
            let common = first.intersection(&second);
            let expected: BTreeSet<_> = one.intersection(&two).cloned().collect();
            assert_eq!(members(&common), expected, "seed {seed}");
            assert_eq!(read(&common), expected, "seed {seed}");
        }
    }

    #[test]
    fn small_sets_lose_nothing() {
        for seed in 0..500 {
            let (mut keys, model) = made(seed);
            keys.shrink(0);
            assert!(members(&keys).is_superset(&model), "seed {seed}");
            assert!(!keys.has_single() || model.len() == 1, "seed {seed}");
        }
        let mut many = RowKeys::default();
        for number in 0..100_000_u32 {
            many.add(&(number.wrapping_mul(2_654_435_761)).to_be_bytes());
        }
        many.shrink(100_000);
        assert!(many.size_bytes() <= 100_000);
        assert!(
            (0..100_000_u32).all(|number| many.contains(&(number.wrapping_mul(2_654_435_761)).to_be_bytes()))
        );
    }
}
