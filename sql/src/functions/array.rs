//! Functions and operators of arrays.

use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, Function, TypedKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{
    ANYARRAY, ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYELEMENT, BOOL, INT4, INT4_ARRAY, TEXT,
};
use crate::types::{DataType, Oid};
use crate::value::array::Dimension;
use crate::value::{ArrayValue, Datum};
use std::sync::{Arc, LazyLock};

/// PostgreSQL's limit.
pub(super) const ELEMENTS_MAX: usize = 134_217_727;

fn array(arguments: &[Datum], index: usize) -> Result<&ArrayValue> {
    match arguments.get(index) {
        Some(Datum::Array(array)) => Ok(array),
        _ => Err(wrong_arguments()),
    }
}

pub(super) fn element_type(array_type: DataType, context: &EvalContext<'_>) -> Result<Oid> {
    context.type_info(array_type.oid)?.element().ok_or_else(wrong_arguments)
}

/// One element put before or after the others of a one-dimensional (or empty, or NULL) array.
fn extend(base: &Datum, element: &Datum, at_end: bool, oid: Oid) -> Result<Datum> {
    let Datum::Array(base) = base else {
        return Ok(ArrayValue::from_elements(oid, vec![element.clone()]).into());
    };
    if base.dimensions.len() > 1 {
        return Err(SqlError::new(
            SqlState::DATA_EXCEPTION,
            "argument must be empty or one-dimensional array",
        ));
    }
    let mut elements = base.elements.clone();
    let lower_bound = base.dimensions.first().map_or(1, |dimension| dimension.lower_bound);
    if at_end {
        elements.push(element.clone());
    } else {
        elements.insert(0, element.clone());
    }
    let length = elements.len() as i32;
    Ok(ArrayValue { element_type: oid, dimensions: vec![Dimension { length, lower_bound }], elements }.into())
}

fn append(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    extend(&arguments[0], &arguments[1], true, element_type(types.result, context)?)
}

fn prepend(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    extend(&arguments[1], &arguments[0], false, element_type(types.result, context)?)
}

/// `array || array`: of equal dimensions end to end, or an inner one as one more element of an outer.
fn concatenate(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Datum> {
    let (left, right) = match arguments {
        [Datum::Null, other] | [other, Datum::Null] => return Ok(other.clone()),
        _ => (array(arguments, 0)?, array(arguments, 1)?),
    };
    if left.dimensions.is_empty() {
        return Ok(arguments[1].clone());
    }
    if right.dimensions.is_empty() {
        return Ok(arguments[0].clone());
    }
    let incompatible = |why: &str| {
        SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot concatenate incompatible arrays")
            .with_detail(format!("Arrays {why} are not compatible for concatenation."))
    };
    let lengths =
        |dimensions: &[Dimension]| dimensions.iter().map(|dimension| dimension.length).collect::<Vec<_>>();
    let mut dimensions;
    if left.dimensions.len() == right.dimensions.len() {
        if lengths(&left.dimensions[1..]) != lengths(&right.dimensions[1..]) {
            return Err(incompatible("with differing element dimensions"));
        }
        dimensions = left.dimensions.clone();
        dimensions[0].length += right.dimensions[0].length;
    } else {
        let (outer, inner) =
            if left.dimensions.len() > right.dimensions.len() { (left, right) } else { (right, left) };
        if outer.dimensions.len() != inner.dimensions.len() + 1 {
            let (left, right) = (left.dimensions.len(), right.dimensions.len());
            return Err(incompatible(&format!("of {left} and {right} dimensions")));
        }
        if lengths(&outer.dimensions[1..]) != lengths(&inner.dimensions) {
            return Err(incompatible("with differing dimensions"));
        }
        dimensions = outer.dimensions.clone();
        dimensions[0].length += 1;
    }
    let elements = left.elements.iter().chain(&right.elements).cloned().collect();
    Ok(ArrayValue { element_type: left.element_type, dimensions, elements }.into())
}

/// Whether every element of `inner` equals one of `outer`; NULLs equal nothing.
fn contains(outer: &ArrayValue, inner: &ArrayValue, context: &EvalContext<'_>) -> bool {
    inner.elements.iter().all(|wanted| has(outer, wanted, context))
}

fn has(array: &ArrayValue, wanted: &Datum, context: &EvalContext<'_>) -> bool {
    let equals =
        |element: &Datum| !element.is_null() && context.compare(array.element_type, element, wanted).is_eq();
    !wanted.is_null() && array.elements.iter().any(equals)
}

/// `IS NOT DISTINCT FROM` between elements.
fn same(oid: Oid, left: &Datum, right: &Datum, context: &EvalContext<'_>) -> bool {
    match (left.is_null(), right.is_null()) {
        (false, false) => context.compare(oid, left, right).is_eq(),
        (left, right) => left == right,
    }
}

fn one_dimensional(array: &ArrayValue, what: &str) -> Result<()> {
    if array.dimensions.len() <= 1 {
        return Ok(());
    }
    Err(SqlError::unsupported(format!("{what} from multidimensional arrays is not supported")))
}

fn position(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let Datum::Array(array) = &arguments[0] else { return Ok(Datum::Null) };
    if array.dimensions.len() > 1 {
        return Err(SqlError::unsupported(
            "searching for elements in multidimensional arrays is not supported",
        ));
    }
    let lower_bound = array.dimensions.first().map_or(1, |dimension| dimension.lower_bound);
    let start = match arguments.get(2) {
        None => 0,
        Some(value) => match value.as_i64() {
            Some(start) => (start - i64::from(lower_bound)).max(0) as usize,
            None => {
                return Err(SqlError::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "initial position must not be null",
                ));
            }
        },
    };
    let found = (start..array.elements.len())
        .find(|&index| same(array.element_type, &array.elements[index], &arguments[1], context));
    Ok(found.map_or(Datum::Null, |index| Datum::Int32(index as i32 + lower_bound)))
}

/// All the places of an element.
fn positions(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let Datum::Array(array) = &arguments[0] else { return Ok(Datum::Null) };
    if array.dimensions.len() > 1 {
        return Err(SqlError::unsupported(
            "searching for elements in multidimensional arrays is not supported",
        ));
    }
    let lower_bound = array.dimensions.first().map_or(1, |dimension| dimension.lower_bound);
    let found = array.elements.iter().enumerate();
    let found = found.filter(|(_, element)| same(array.element_type, element, &arguments[1], context));
    let places = found.map(|(index, _)| Datum::Int32(index as i32 + lower_bound)).collect();
    Ok(ArrayValue::from_elements(INT4, places).into())
}

/// The array without so many of its last elements.
fn trim_array(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let (array, count) = (array(arguments, 0)?, arguments[1].as_i64().ok_or_else(wrong_arguments)?);
    let length = array.dimensions.first().map_or(0, |dimension| i64::from(dimension.length));
    if !(0..=length).contains(&count) {
        return Err(SqlError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("number of elements to trim must be between 0 and {length}"),
        ));
    }
    if count == length {
        return Ok(ArrayValue::from_elements(array.element_type, Vec::new()).into());
    }
    let mut trimmed = array.clone();
    let width = array.elements.len() / length.max(1) as usize;
    trimmed.dimensions[0] = Dimension { length: (length - count) as i32, lower_bound: 1 };
    trimmed.elements.truncate((length - count) as usize * width);
    Ok(trimmed.into())
}

/// An array of given lengths (and lower bounds) whose elements are all alike.
fn fill(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let numbers = |index: usize| -> Result<Option<Vec<i32>>> {
        let Some(argument) = arguments.get(index) else { return Ok(None) };
        let Datum::Array(array) = argument else {
            return Err(SqlError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "dimension array or low bound array cannot be null",
            ));
        };
        if array.dimensions.len() > 1 {
            return Err(SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts")
                .with_detail("Dimension array must be one dimensional."));
        }
        let number = |element: &Datum| {
            element.as_i64().map(|number| number as i32).ok_or_else(|| {
                SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension values cannot be null")
            })
        };
        array.elements.iter().map(number).collect::<Result<_>>().map(Some)
    };
    let lengths = numbers(1)?.unwrap_or_default();
    let bounds = numbers(2)?.unwrap_or_else(|| vec![1; lengths.len()]);
    if bounds.len() != lengths.len() {
        return Err(SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts")
            .with_detail("Low bound array has different size than dimensions array."));
    }
    let oid = element_type(types.result, context)?;
    let count = lengths.iter().try_fold(1usize, |count, length| {
        usize::try_from(*length).ok().and_then(|length| count.checked_mul(length))
    });
    let Some(count) = count.filter(|count| *count <= ELEMENTS_MAX) else {
        let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
        return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    };
    if lengths.is_empty() || count == 0 {
        return Ok(ArrayValue::from_elements(oid, Vec::new()).into());
    }
    let dimensions = lengths.into_iter().zip(bounds);
    let dimensions = dimensions.map(|(length, lower_bound)| Dimension { length, lower_bound }).collect();
    Ok(ArrayValue { element_type: oid, dimensions, elements: vec![arguments[0].clone(); count] }.into())
}

fn remove(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let Datum::Array(array) = &arguments[0] else { return Ok(Datum::Null) };
    one_dimensional(array, "removing elements")?;
    let kept =
        array.elements.iter().filter(|element| !same(array.element_type, element, &arguments[1], context));
    Ok(ArrayValue::from_elements(array.element_type, kept.cloned().collect()).into())
}

fn replace(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let Datum::Array(array) = &arguments[0] else { return Ok(Datum::Null) };
    let change = |element: &Datum| {
        if same(array.element_type, element, &arguments[1], context) {
            arguments[2].clone()
        } else {
            element.clone()
        }
    };
    let elements = array.elements.iter().map(change).collect();
    Ok(ArrayValue { elements, ..(**array).clone() }.into())
}

fn to_string(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let (Datum::Array(array), Some(separator)) = (&arguments[0], arguments[1].as_text()) else {
        return Ok(Datum::Null);
    };
    let null_text = arguments.get(2).and_then(Datum::as_text);
    let mut parts = Vec::with_capacity(array.elements.len());
    for element in &array.elements {
        if !element.is_null() {
            parts.push(context.to_text(element, array.element_type)?.to_string());
        } else if let Some(text) = null_text {
            parts.push(text.to_owned());
        }
    }
    Ok(Datum::from(parts.join(separator)))
}

/// Bounds and lengths of one dimension, counted from 1.
fn dimension(arguments: &[Datum]) -> Result<Option<Dimension>> {
    let Some(index) = arguments[1].as_i64() else { return Ok(None) };
    let index = usize::try_from(index - 1).ok();
    Ok(index.and_then(|index| array(arguments, 0).ok()?.dimensions.get(index).copied()))
}

/// The function behind `array[a:b, …]`: the array, then for each bound whether it is given, and it.
#[must_use]
pub fn slice_function() -> Arc<Function> {
    static SLICE: LazyLock<Arc<Function>> = LazyLock::new(|| {
        Entry::new("array_slice", &[ANYARRAY], ANYARRAY, slice).not_strict().into_function()
    });
    SLICE.clone()
}

/// The part of an array within bounds, counted from 1 again; nothing where they lie outside.
fn slice(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let Datum::Array(array) = &arguments[0] else { return Ok(Datum::Null) };
    let empty = || Ok(ArrayValue::from_elements(array.element_type, Vec::new()).into());
    let mut ranges = Vec::new();
    for (index, bounds) in arguments[1..].chunks(4).enumerate() {
        let Some(dimension) = array.dimensions.get(index) else { return empty() };
        let (first, last) =
            (i64::from(dimension.lower_bound), i64::from(dimension.lower_bound + dimension.length - 1));
        let bound = |given: &Datum, value: &Datum, default: i64| match given.as_bool() {
            Some(true) => value.as_i64(),
            _ => Some(default),
        };
        let (Some(lower), Some(upper)) =
            (bound(&bounds[0], &bounds[1], first), bound(&bounds[2], &bounds[3], last))
        else {
            return Ok(Datum::Null);
        };
        let (lower, upper) = (lower.max(first), upper.min(last));
        if lower > upper {
            return empty();
        }
        ranges.push(((lower - first) as usize, (upper - lower + 1) as usize));
    }
    for dimension in &array.dimensions[ranges.len()..] {
        ranges.push((0, dimension.length as usize));
    }
    let mut positions = vec![0usize];
    for (dimension, (start, count)) in array.dimensions.iter().zip(&ranges) {
        let width = dimension.length as usize;
        let inner = |at: usize| (*start..start + count).map(move |offset| at * width + offset);
        positions = positions.into_iter().flat_map(inner).collect();
    }
    let elements = positions.iter().filter_map(|at| array.elements.get(*at).cloned()).collect();
    let dimension = |(_, count): &(usize, usize)| Dimension { length: *count as i32, lower_bound: 1 };
    let dimensions = ranges.iter().map(dimension).collect();
    Ok(ArrayValue { element_type: array.element_type, dimensions, elements }.into())
}

pub(super) fn register(registry: &mut Registry) {
    const COMPATIBLE: [Oid; 2] = [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE];
    let not_strict = |name: &'static str, arguments: &[Oid], result: Oid, kernel: TypedKernel| {
        Entry::typed(name, arguments, result, kernel).not_strict()
    };
    let operators = [
        not_strict("array_append", &COMPATIBLE, ANYCOMPATIBLEARRAY, append),
        not_strict("array_prepend", &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY], ANYCOMPATIBLEARRAY, prepend),
        not_strict("array_cat", &[ANYCOMPATIBLEARRAY; 2], ANYCOMPATIBLEARRAY, concatenate),
    ];
    for entry in operators {
        registry.add_operator("||", entry);
    }
    registry.add(not_strict("array_position", &COMPATIBLE, INT4, position));
    registry.add(not_strict("array_position", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, INT4], INT4, position));
    registry.add(not_strict("array_remove", &COMPATIBLE, ANYCOMPATIBLEARRAY, remove));
    let three = [ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, ANYCOMPATIBLE];
    registry.add(not_strict("array_replace", &three, ANYCOMPATIBLEARRAY, replace));
    registry.add(not_strict("array_to_string", &[ANYARRAY, TEXT], TEXT, to_string).stable());
    registry.add(not_strict("array_to_string", &[ANYARRAY, TEXT, TEXT], TEXT, to_string).stable());
    registry.add_operator(
        "@>",
        Entry::new("arraycontains", &[ANYARRAY, ANYARRAY], BOOL, |arguments, context| {
            Ok(Datum::Bool(contains(array(arguments, 0)?, array(arguments, 1)?, context)))
        }),
    );
    registry.add_operator(
        "<@",
        Entry::new("arraycontained", &[ANYARRAY, ANYARRAY], BOOL, |arguments, context| {
            Ok(Datum::Bool(contains(array(arguments, 1)?, array(arguments, 0)?, context)))
        }),
    );
    registry.add_operator(
        "&&",
        Entry::new("arrayoverlap", &[ANYARRAY, ANYARRAY], BOOL, |arguments, context| {
            let (left, right) = (array(arguments, 0)?, array(arguments, 1)?);
            Ok(Datum::Bool(right.elements.iter().any(|element| has(left, element, context))))
        }),
    );
    registry.add(Entry::new("array_length", &[ANYARRAY, INT4], INT4, |arguments, _| {
        Ok(dimension(arguments)?.map_or(Datum::Null, |dimension| Datum::Int32(dimension.length)))
    }));
    registry.add(Entry::new("array_lower", &[ANYARRAY, INT4], INT4, |arguments, _| {
        Ok(dimension(arguments)?.map_or(Datum::Null, |dimension| Datum::Int32(dimension.lower_bound)))
    }));
    registry.add(Entry::new("array_upper", &[ANYARRAY, INT4], INT4, |arguments, _| {
        let upper = |dimension: Dimension| dimension.lower_bound + dimension.length - 1;
        Ok(dimension(arguments)?.map_or(Datum::Null, |dimension| Datum::Int32(upper(dimension))))
    }));
    registry.add(Entry::new("array_ndims", &[ANYARRAY], INT4, |arguments, _| {
        let count = array(arguments, 0)?.dimensions.len();
        Ok(if count == 0 { Datum::Null } else { Datum::Int32(count as i32) })
    }));
    registry.add(Entry::new("array_dims", &[ANYARRAY], TEXT, |arguments, _| {
        let shown =
            |each: &Dimension| format!("[{}:{}]", each.lower_bound, each.lower_bound + each.length - 1);
        let dims: String = array(arguments, 0)?.dimensions.iter().map(shown).collect();
        Ok(if dims.is_empty() { Datum::Null } else { Datum::from(dims) })
    }));
    registry.add(not_strict("array_positions", &COMPATIBLE, INT4_ARRAY, positions));
    registry.add(Entry::new("trim_array", &[ANYARRAY, INT4], ANYARRAY, trim_array));
    registry.add(Entry::new("cardinality", &[ANYARRAY], INT4, |arguments, _| {
        Ok(Datum::Int32(array(arguments, 0)?.elements.len() as i32))
    }));
    for count in [2, 3] {
        let arguments = &[ANYELEMENT, INT4_ARRAY, INT4_ARRAY][..count];
        registry.add(Entry::typed("array_fill", arguments, ANYARRAY, fill).not_strict());
    }
}
