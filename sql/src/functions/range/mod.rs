//! Functions of ranges and multiranges: what makes them, and what is asked of one. Operators are in `operators.rs`.

mod aggregates;
mod operators;

use super::cast::{CastContext, CastMethod};
use super::registry::{Entry, Registry};
use super::rows::{Rows, column};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, Function, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::multirange::range_shape;
use crate::types::oids::{ANYELEMENT, ANYMULTIRANGE, ANYRANGE, BOOL, FLOAT8, INT4, TEXT};
use crate::types::{Oid, RangeShape, TypeInfo, builtin_type, builtin_types};
use crate::value::span::spans;
use crate::value::span_set::{hull, normalized};
use crate::value::{Bound, Datum, Numeric, Span, compare_values};
use std::sync::Arc;

/// The spans of an argument.
fn spans_of(arguments: &[Datum], index: usize) -> Result<&[Span]> {
    arguments.get(index).and_then(Datum::as_spans).ok_or_else(wrong_arguments)
}

/// Which ends are included, as the third argument of a constructor says it.
fn inclusions(flags: &Datum) -> Result<(bool, bool)> {
    let Datum::Text(flags) = flags else {
        let message = "range constructor flags argument must not be null";
        return Err(SqlError::new(SqlState::DATA_EXCEPTION, message));
    };
    Ok(match flags.as_str() {
        "[]" => (true, true),
        "[)" => (true, false),
        "(]" => (false, true),
        "()" => (false, false),
        _ => {
            return Err(SqlError::syntax("invalid range bound flags")
                .with_hint("Valid values are \"[]\", \"[)\", \"(]\", and \"()\"."));
        }
    })
}

/// A range between two values; NULL is no end.
fn range_of(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let [lower, upper, flags @ ..] = arguments else { return Err(wrong_arguments()) };
    let (lower_inclusive, upper_inclusive) = match flags {
        [flags] => inclusions(flags)?,
        _ => (true, false),
    };
    let shape: RangeShape = range_shape(types.result.oid, context.types).ok_or_else(wrong_arguments)?;
    shape.range(Bound::new(lower.clone(), lower_inclusive), Bound::new(upper.clone(), upper_inclusive))
}

/// A multirange of any number of ranges.
fn multirange_of(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let mut found = Vec::new();
    for argument in arguments {
        let Datum::Spans(given) = argument else {
            let message = "multirange values cannot contain null members";
            return Err(SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        };
        found.extend_from_slice(given);
    }
    Ok(spans(normalized(found)))
}

/// A range is a multirange as it stands.
fn as_it_is(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    arguments.first().cloned().ok_or_else(wrong_arguments)
}

/// The functions that make ranges of a type.
#[must_use]
pub fn range_constructors(name: &str, range: &TypeInfo, subtype: Oid) -> [Arc<Function>; 2] {
    let values = [subtype, subtype, TEXT];
    [2, 3].map(|count| {
        let entry = Entry::typed(name.to_owned(), &values[..count], range.oid, range_of);
        entry.not_strict().into_function()
    })
}

/// The functions that make multiranges of a type; the second one is the cast of a range, too.
#[must_use]
pub fn multirange_constructors(name: &str, range: &TypeInfo, multirange: &TypeInfo) -> [Arc<Function>; 3] {
    let of = |arguments: &[Oid], kernel: ScalarKernel| {
        Entry::new(name.to_owned(), arguments, multirange.oid, kernel)
    };
    [
        of(&[], multirange_of).into_function(),
        of(&[range.oid], as_it_is).into_function(),
        of(&[range.array_oid], multirange_of).variadic(range.oid).not_strict().into_function(),
    ]
}

/// The end of all, `None` where there is none.
fn end(arguments: &[Datum], side: fn(Span) -> Bound) -> Result<Option<Bound>> {
    Ok(hull(spans_of(arguments, 0)?).map(side))
}

/// The value at an end, NULL where there is none.
fn end_value(arguments: &[Datum], side: fn(Span) -> Bound) -> Result<Datum> {
    Ok(end(arguments, side)?.map_or(Datum::Null, |bound| bound.value))
}

fn end_holds(arguments: &[Datum], side: fn(Span) -> Bound, test: fn(&Bound) -> bool) -> Result<Datum> {
    Ok(Datum::Bool(end(arguments, side)?.is_some_and(|bound| test(&bound))))
}

fn lower(span: Span) -> Bound {
    span.lower
}

fn upper(span: Span) -> Bound {
    span.upper
}

/// What is asked of one range or multirange.
fn questions(registry: &mut Registry) {
    let tests: [(&'static str, ScalarKernel); 5] = [
        ("isempty", |arguments, _| Ok(Datum::Bool(spans_of(arguments, 0)?.is_empty()))),
        ("lower_inc", |arguments, _| end_holds(arguments, lower, |bound| bound.inclusive)),
        ("upper_inc", |arguments, _| end_holds(arguments, upper, |bound| bound.inclusive)),
        ("lower_inf", |arguments, _| end_holds(arguments, lower, Bound::is_infinite)),
        ("upper_inf", |arguments, _| end_holds(arguments, upper, Bound::is_infinite)),
    ];
    for of in [ANYRANGE, ANYMULTIRANGE] {
        registry.add(Entry::new("lower", &[of], ANYELEMENT, |arguments, _| end_value(arguments, lower)));
        registry.add(Entry::new("upper", &[of], ANYELEMENT, |arguments, _| end_value(arguments, upper)));
        for (name, kernel) in tests {
            registry.add(Entry::new(name, &[of], BOOL, kernel).infallible());
        }
    }
    let compare: ScalarKernel = |arguments, _| match arguments {
        [left, right] => Ok(Datum::Int32(compare_values(left, right) as i32)),
        _ => Err(wrong_arguments()),
    };
    registry.add(Entry::new("range_cmp", &[ANYRANGE; 2], INT4, compare));
    registry.add(Entry::new("multirange_cmp", &[ANYMULTIRANGE; 2], INT4, compare));
}

/// The least range that covers all of the arguments.
fn merged(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let mut all = Vec::new();
    for index in 0..arguments.len() {
        all.extend_from_slice(spans_of(arguments, index)?);
    }
    // Of these, the first one begins first and the last one ends last.
    Ok(spans(hull(&normalized(all))))
}

fn unnest(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Rows> {
    Ok(column(spans_of(arguments, 0)?.iter().map(|span| spans([span.clone()]))))
}

/// How far one value is from another, as a float.
fn distance(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    const SECOND: f64 = 1e6;
    Ok(Datum::Float64(match arguments {
        [Datum::Int32(left), Datum::Int32(right)] => f64::from(*left) - f64::from(*right),
        [Datum::Int64(left), Datum::Int64(right)] => *left as f64 - *right as f64,
        [Datum::Numeric(left), Datum::Numeric(right)] => Numeric::sub(left, right)?.to_f64(),
        [Datum::Date(left), Datum::Date(right)] => f64::from(*left) - f64::from(*right),
        [Datum::Timestamp(left), Datum::Timestamp(right)]
        | [Datum::TimestampTz(left), Datum::TimestampTz(right)] => (*left as f64 - *right as f64) / SECOND,
        _ => return Err(wrong_arguments()),
    }))
}

/// The functions that PostgreSQL has for each range type.
fn of_types(registry: &mut Registry) {
    for range in builtin_types() {
        let Some(shape) = range.range_shape() else { continue };
        let Some(multirange) = builtin_type(shape.multirange) else { continue };
        let multiranges = multirange_constructors(&multirange.name, range, multirange);
        let cast = CastMethod::Function(multiranges[1].clone());
        registry.add_cast(range.oid, multirange.oid, CastContext::Explicit, cast);
        for function in range_constructors(&range.name, range, shape.subtype).into_iter().chain(multiranges) {
            registry.add_made(function);
        }
        let name = &range.name;
        registry.add(Entry::new(format!("{name}_subdiff"), &[shape.subtype; 2], FLOAT8, distance));
        if shape.discrete {
            registry.add(Entry::new(format!("{name}_canonical"), &[range.oid], range.oid, as_it_is));
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    of_types(registry);
    questions(registry);
    registry.add(Entry::new("range_merge", &[ANYRANGE; 2], ANYRANGE, merged));
    registry.add(Entry::new("range_merge", &[ANYMULTIRANGE], ANYRANGE, merged));
    registry.add(Entry::new("multirange", &[ANYRANGE], ANYMULTIRANGE, as_it_is));
    registry.add(Entry::rows("unnest", &[ANYMULTIRANGE], ANYRANGE, unnest));
    operators::register(registry);
    aggregates::register(registry);
}
