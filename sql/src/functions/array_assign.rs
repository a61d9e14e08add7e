//! Changing a part of an array: `SET a[2] = …` and `SET a[2:3] = …`.
//!
//! One-dimensional arrays grow to where an element is put, NULLs between; others keep their shape. NULL is taken for an
//! empty array.

use std::sync::{Arc, LazyLock};

use super::array::{ELEMENTS_MAX, element_type};
use super::registry::Entry;
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, Function};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{ANY, ANYARRAY};
use crate::value::array::Dimension;
use crate::value::{ArrayValue, Datum};

/// `(array, value, index, …)`: the array with one element changed.
#[must_use]
pub fn assign_element() -> Arc<Function> {
    static ELEMENT: LazyLock<Arc<Function>> = LazyLock::new(|| {
        Entry::typed("array_set_element", &[ANYARRAY, ANY], ANYARRAY, element).not_strict().into_function()
    });
    ELEMENT.clone()
}

/// `(array, values, is lower given, lower, is upper given, upper, …)`: the array with a slice changed.
#[must_use]
pub fn assign_slice() -> Arc<Function> {
    static SLICE: LazyLock<Arc<Function>> = LazyLock::new(|| {
        Entry::typed("array_set_slice", &[ANYARRAY, ANYARRAY], ANYARRAY, slice).not_strict().into_function()
    });
    SLICE.clone()
}

fn subscript_error(message: &str) -> SqlError {
    SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// A subscript, which may not be NULL here.
fn subscript(value: &Datum) -> Result<i64> {
    value.as_i64().ok_or_else(|| {
        SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "array subscript in assignment must not be null")
    })
}

/// The array, or an empty one for NULL.
fn array_of(value: &Datum, types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<ArrayValue> {
    match value {
        Datum::Array(array) => Ok((**array).clone()),
        Datum::Null => Ok(ArrayValue::from_elements(element_type(types.result, context)?, Vec::new())),
        _ => Err(wrong_arguments()),
    }
}

/// The dimensions that subscripts from `lower` to `upper` span; `None` where nothing is between.
fn spanned(ranges: &[(i64, i64)]) -> Result<Vec<Dimension>> {
    let mut count = 1i64;
    let mut dimensions = Vec::new();
    for (lower, upper) in ranges {
        let length = (upper - lower + 1).max(0);
        count = count.saturating_mul(length);
        let (Ok(length), Ok(lower_bound)) = (i32::try_from(length), i32::try_from(*lower)) else {
            return Err(too_large());
        };
        dimensions.push(Dimension { length, lower_bound });
    }
    if usize::try_from(count).is_ok_and(|count| count <= ELEMENTS_MAX) {
        Ok(dimensions)
    } else {
        Err(too_large())
    }
}

fn too_large() -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
    )
}

/// First and last subscript.
fn bounds(dimension: &Dimension) -> (i64, i64) {
    let first = i64::from(dimension.lower_bound);
    (first, first + i64::from(dimension.length) - 1)
}

/// Makes room in a one-dimensional array for the subscripts from `lower` to `upper`.
fn grow(array: &mut ArrayValue, lower: i64, upper: i64) -> Result<()> {
    let (first, last) = bounds(&array.dimensions[0]);
    array.dimensions = spanned(&[(lower.min(first), upper.max(last))])?;
    let before = usize::try_from(first - lower).unwrap_or(0);
    array.elements.splice(0..0, std::iter::repeat_n(Datum::Null, before));
    let after = usize::try_from(upper - last).unwrap_or(0);
    array.elements.extend(std::iter::repeat_n(Datum::Null, after));
    Ok(())
}

/// The places among the elements that ranges of subscripts cover, in order.
fn places(dimensions: &[Dimension], ranges: &[(i64, i64)]) -> Vec<usize> {
    let mut places = vec![0usize];
    for (dimension, (lower, upper)) in dimensions.iter().zip(ranges) {
        let first = i64::from(dimension.lower_bound);
        let along = |place: usize| {
            (lower - first..=upper - first).map(move |at| place * dimension.length as usize + at as usize)
        };
        places = places.into_iter().flat_map(along).collect();
    }
    places
}

fn element(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let [array, value, indices @ ..] = arguments else { return Err(wrong_arguments()) };
    let indices = indices.iter().map(subscript).collect::<Result<Vec<i64>>>()?;
    let mut array = array_of(array, types, context)?;
    let ranges: Vec<(i64, i64)> = indices.iter().map(|index| (*index, *index)).collect();
    if array.dimensions.is_empty() {
        array.dimensions = spanned(&ranges)?;
        array.elements = vec![value.clone()];
        return Ok(array.into());
    }
    if array.dimensions.len() != indices.len() {
        return Err(subscript_error("wrong number of array subscripts"));
    }
    if let [index] = indices[..] {
        grow(&mut array, index, index)?;
    }
    let inside = |(dimension, index): (&Dimension, &i64)| {
        let (first, last) = bounds(dimension);
        (first..=last).contains(index)
    };
    if !array.dimensions.iter().zip(&indices).all(inside) {
        return Err(subscript_error("array subscript out of range"));
    }
    for place in places(&array.dimensions, &ranges) {
        array.elements[place] = value.clone();
    }
    Ok(array.into())
}

fn slice(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let [array, values, given @ ..] = arguments else { return Err(wrong_arguments()) };
    let mut wanted = Vec::new();
    for each in given.chunks_exact(2) {
        wanted.push(if each[0].as_bool() == Some(true) { Some(subscript(&each[1])?) } else { None });
    }
    let Datum::Array(values) = values else { return Ok(array.clone()) };
    let mut array = array_of(array, types, context)?;
    let mut ranges = Vec::new();
    if array.dimensions.is_empty() {
        for pair in wanted.chunks_exact(2) {
            let (Some(lower), Some(upper)) = (pair[0], pair[1]) else {
                return Err(subscript_error("array slice subscript must provide both boundaries").with_detail(
                    "When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
                ));
            };
            ranges.push((lower, upper));
        }
        array.dimensions = spanned(&ranges)?;
        let count = array.dimensions.iter().map(|dimension| dimension.length as usize).product::<usize>();
        if values.elements.len() < count {
            return Err(subscript_error("source array too small"));
        }
        if count == 0 {
            array.dimensions.clear();
        }
        array.elements = values.elements[..count].to_vec();
        return Ok(array.into());
    }
    if array.dimensions.len() < wanted.len() / 2 {
        return Err(subscript_error("wrong number of array subscripts"));
    }
    for (at, dimension) in array.dimensions.iter().enumerate() {
        let (first, last) = bounds(dimension);
        let lower = wanted.get(at * 2).copied().flatten().unwrap_or(first);
        let upper = wanted.get(at * 2 + 1).copied().flatten().unwrap_or(last);
        if lower > upper {
            return Err(subscript_error("upper bound cannot be less than lower bound"));
        }
        if array.dimensions.len() > 1 && (lower < first || upper > last) {
            return Err(subscript_error("array subscript out of range"));
        }
        ranges.push((lower, upper));
    }
    if let [(lower, upper)] = ranges[..] {
        // Before memory is taken for what is not there.
        if (values.elements.len() as i64) < upper - lower + 1 {
            return Err(subscript_error("source array too small"));
        }
        grow(&mut array, lower, upper)?;
    }
    let places = places(&array.dimensions, &ranges);
    if values.elements.len() < places.len() {
        return Err(subscript_error("source array too small"));
    }
    for (place, value) in places.into_iter().zip(&values.elements) {
        array.elements[place] = value.clone();
    }
    Ok(array.into())
}
