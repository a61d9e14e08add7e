//! Sets of values as lists of spans: in order, and neither overlapping nor touching.
//!
//! A range is such a list of none or one, so what compares ranges or puts them together does for multiranges too. Where one
//! is before another, or beside it, all that counts of a list is its [`hull`].

use super::{Bound, Span};
use std::cmp::Ordering;

/// The least span that covers all.
#[must_use]
pub fn hull(spans: &[Span]) -> Option<Span> {
    let (first, last) = (spans.first()?, spans.last()?);
    Some(Span { lower: first.lower.clone(), upper: last.upper.clone() })
}

/// Whether a span that ends here and one that begins there have nothing between them and nothing in common.
fn touch(upper: &Bound, lower: &Bound) -> bool {
    upper.as_upper().compare_values(&lower.as_lower()).is_eq() && upper.inclusive != lower.inclusive
}

fn lower_order(left: &Bound, right: &Bound) -> Ordering {
    left.as_lower().compare(&right.as_lower())
}

fn upper_order(left: &Bound, right: &Bound) -> Ordering {
    left.as_upper().compare(&right.as_upper())
}

/// Whether a span that ends here reaches one that begins there.
fn reaches(upper: &Bound, lower: &Bound) -> bool {
    upper.as_upper().compare(&lower.as_lower()).is_ge()
}

/// Spans in any order as a set.
#[must_use]
pub fn normalized(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|left, right| lower_order(&left.lower, &right.lower));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if reaches(&last.upper, &span.lower) || touch(&last.upper, &span.lower) => {
                if upper_order(&last.upper, &span.upper).is_lt() {
                    last.upper = span.upper;
                }
            }
            _ => merged.push(span),
        }
    }
    merged
}

/// What is in one or the other.
#[must_use]
pub fn union(left: &[Span], right: &[Span]) -> Vec<Span> {
    normalized([left, right].concat())
}

/// What is in both.
#[must_use]
pub fn intersection(mut left: &[Span], mut right: &[Span]) -> Vec<Span> {
    let mut common = Vec::new();
    while let ([first, left_rest @ ..], [other, right_rest @ ..]) = (left, right) {
        let lower = if lower_order(&first.lower, &other.lower).is_ge() { &first.lower } else { &other.lower };
        let first_ends = upper_order(&first.upper, &other.upper).is_le();
        let upper = if first_ends { &first.upper } else { &other.upper };
        common.extend(Span::between(lower.clone(), upper.clone()));
        if first_ends {
            left = left_rest;
        } else {
            right = right_rest;
        }
    }
    common
}

/// What is in the left set and not in the right one.
#[must_use]
pub fn difference(left: &[Span], right: &[Span]) -> Vec<Span> {
    let mut kept = Vec::new();
    let mut from = 0;
    for span in left {
        // What ends before this span begins does so for all that follow.
        from += right[from..].iter().take_while(|taken| !reaches(&taken.upper, &span.lower)).count();
        let mut lower = Some(span.lower.clone());
        for taken in right[from..].iter().take_while(|taken| reaches(&span.upper, &taken.lower)) {
            let Some(begin) = lower.take() else { break };
            if lower_order(&begin, &taken.lower).is_lt() {
                kept.extend(Span::between(begin, taken.lower.flipped()));
            }
            if upper_order(&taken.upper, &span.upper).is_lt() {
                lower = Some(taken.upper.flipped());
            }
        }
        if let Some(lower) = lower {
            kept.extend(Span::between(lower, span.upper.clone()));
        }
    }
    kept
}

/// Whether all of the right set is in the left one.
#[must_use]
pub fn contains(left: &[Span], right: &[Span]) -> bool {
    let mut left = left.iter().peekable();
    right.iter().all(|inner| {
        while left.next_if(|outer| !reaches(&outer.upper, &inner.lower)).is_some() {}
        left.peek().is_some_and(|outer| {
            lower_order(&outer.lower, &inner.lower).is_le() && upper_order(&outer.upper, &inner.upper).is_ge()
        })
    })
}

/// Whether the sets have something in common.
#[must_use]
pub fn overlap(mut left: &[Span], mut right: &[Span]) -> bool {
    while let ([first, left_rest @ ..], [other, right_rest @ ..]) = (left, right) {
        if reaches(&first.upper, &other.lower) && reaches(&other.upper, &first.lower) {
            return true;
        }
        if upper_order(&first.upper, &other.upper).is_le() {
            left = left_rest;
        } else {
            right = right_rest;
        }
    }
    false
}

/// Whether all of the left span is before the right one.
#[must_use]
pub fn is_before(left: &Span, right: &Span) -> bool {
    !reaches(&left.upper, &right.lower)
}

/// Whether the left span ends no later than the right one.
#[must_use]
pub fn ends_within(left: &Span, right: &Span) -> bool {
    upper_order(&left.upper, &right.upper).is_le()
}

/// Whether the left span begins no earlier than the right one.
#[must_use]
pub fn begins_within(left: &Span, right: &Span) -> bool {
    lower_order(&left.lower, &right.lower).is_ge()
}

/// Whether the spans touch without overlapping.
#[must_use]
pub fn are_adjacent(left: &Span, right: &Span) -> bool {
    touch(&left.upper, &right.lower) || touch(&right.upper, &left.lower)
}
