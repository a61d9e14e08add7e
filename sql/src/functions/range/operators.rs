//! Operators of ranges and multiranges.
//!
//! Both are sets of spans, so one kernel serves all pairs of them; where a single value stands on a side, it is the span of that
//! value alone. Comparisons are with those of all types.

use super::spans_of;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::ScalarKernel;
use crate::functions::registry::{Entry, Registry};
use crate::functions::vector::wrong_arguments;
use crate::types::oids::{ANYELEMENT, ANYMULTIRANGE, ANYRANGE, BOOL};
use crate::value::span::spans;
use crate::value::span_set::{
    are_adjacent, begins_within, contains, difference, ends_within, hull, intersection, is_before, overlap,
    union,
};
use crate::value::{Bound, Datum, Span};

/// A single value as a span.
fn point(arguments: &[Datum], index: usize) -> Result<[Span; 1]> {
    let value = arguments.get(index).ok_or_else(wrong_arguments)?;
    let bound = Bound::new(value.clone(), true);
    Ok([Span { lower: bound.clone(), upper: bound }])
}

/// A test of two sets.
fn test(arguments: &[Datum], holds: fn(&[Span], &[Span]) -> bool) -> Result<Datum> {
    Ok(Datum::Bool(holds(spans_of(arguments, 0)?, spans_of(arguments, 1)?)))
}

/// A test of what covers two sets; it never holds of an empty one.
fn test_hulls(arguments: &[Datum], holds: fn(&Span, &Span) -> bool) -> Result<Datum> {
    let hulls = (hull(spans_of(arguments, 0)?), hull(spans_of(arguments, 1)?));
    Ok(Datum::Bool(if let (Some(left), Some(right)) = hulls { holds(&left, &right) } else { false }))
}

/// The operators that are there for ranges with multiranges, too: operator, the part of its functions' names, kernel.
const TESTS: [(&str, &str, ScalarKernel); 8] = [
    ("&&", "overlaps", |arguments, _| test(arguments, overlap)),
    ("@>", "contains", |arguments, _| test(arguments, contains)),
    ("<@", "contained_by", |arguments, _| test(arguments, |left, right| contains(right, left))),
    ("<<", "before", |arguments, _| test_hulls(arguments, is_before)),
    (">>", "after", |arguments, _| test_hulls(arguments, |left, right| is_before(right, left))),
    ("&<", "overleft", |arguments, _| test_hulls(arguments, ends_within)),
    ("&>", "overright", |arguments, _| test_hulls(arguments, begins_within)),
    ("-|-", "adjacent", |arguments, _| test_hulls(arguments, are_adjacent)),
];

fn combined(arguments: &[Datum], combine: fn(&[Span], &[Span]) -> Vec<Span>) -> Result<Datum> {
    Ok(spans(combine(spans_of(arguments, 0)?, spans_of(arguments, 1)?)))
}

/// The same where a range must come out.
fn combined_range(
    arguments: &[Datum],
    word: &str,
    combine: fn(&[Span], &[Span]) -> Vec<Span>,
) -> Result<Datum> {
    let combined = combine(spans_of(arguments, 0)?, spans_of(arguments, 1)?);
    if combined.len() > 1 {
        let message = format!("result of range {word} would not be contiguous");
        return Err(SqlError::new(SqlState::DATA_EXCEPTION, message));
    }
    Ok(spans(combined))
}

pub(super) fn register(registry: &mut Registry) {
    const SIDES: [(u32, &str); 2] = [(ANYRANGE, "range"), (ANYMULTIRANGE, "multirange")];
    for (operator, word, kernel) in TESTS {
        for (left, left_name) in SIDES {
            for (right, right_name) in SIDES {
                // PostgreSQL's names tell of the right side only where a multirange is among them.
                let name = match (left, right) {
                    (ANYRANGE, ANYRANGE) => format!("range_{word}"),
                    _ => format!("{left_name}_{word}_{right_name}"),
                };
                registry.add_operator(operator, Entry::new(name, &[left, right], BOOL, kernel).infallible());
            }
        }
    }
    for (of, name) in SIDES {
        let holds: ScalarKernel =
            |arguments, _| Ok(Datum::Bool(contains(spans_of(arguments, 0)?, &point(arguments, 1)?)));
        let entry = Entry::new(format!("{name}_contains_elem"), &[of, ANYELEMENT], BOOL, holds);
        registry.add_operator("@>", entry.infallible());
        let is_held: ScalarKernel =
            |arguments, _| Ok(Datum::Bool(contains(spans_of(arguments, 1)?, &point(arguments, 0)?)));
        let entry = Entry::new(format!("elem_contained_by_{name}"), &[ANYELEMENT, of], BOOL, is_held);
        registry.add_operator("<@", entry.infallible());
    }
    let of_ranges: [(&'static str, &'static str, ScalarKernel); 3] = [
        ("+", "range_union", |arguments, _| combined_range(arguments, "union", union)),
        ("*", "range_intersect", |arguments, _| combined(arguments, intersection)),
        ("-", "range_minus", |arguments, _| combined_range(arguments, "difference", difference)),
    ];
    for (operator, name, kernel) in of_ranges {
        registry.add_operator(operator, Entry::new(name, &[ANYRANGE; 2], ANYRANGE, kernel));
    }
    let of_multiranges: [(&'static str, &'static str, ScalarKernel); 3] = [
        ("+", "multirange_union", |arguments, _| combined(arguments, union)),
        ("*", "multirange_intersect", |arguments, _| combined(arguments, intersection)),
        ("-", "multirange_minus", |arguments, _| combined(arguments, difference)),
    ];
    for (operator, name, kernel) in of_multiranges {
        registry.add_operator(operator, Entry::new(name, &[ANYMULTIRANGE; 2], ANYMULTIRANGE, kernel));
    }
}
