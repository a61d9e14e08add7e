//! The functions of enums. Comparison, `min` and `max` are those of all types that have an order.

use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext};
use crate::error::{Result, SqlError, SqlState};
use crate::types::domain::base_type;
use crate::types::{EnumLabels, Oid, oids};
use crate::value::{ArrayValue, Datum, compare_values};

/// The type that a call is about, and its labels.
fn labels_of<'c>(types: &CallTypes<'_>, context: &EvalContext<'c>) -> Result<(Oid, &'c EnumLabels)> {
    let given = types.arguments.first().ok_or_else(wrong_arguments)?;
    let oid = base_type(given.oid, context.types);
    let info = context.types.type_by_oid(oid);
    let labels = info.and_then(|info| info.enum_labels()).ok_or_else(wrong_arguments)?;
    Ok((oid, labels))
}

fn no_values(types: &CallTypes<'_>, context: &EvalContext<'_>) -> SqlError {
    let shown = types.arguments.first().and_then(|given| context.types.type_by_oid(given.oid));
    let shown = shown.map_or_else(String::new, |info| context.types.sql_name(info));
    SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, format!("enum {shown} contains no values"))
}

fn first(_: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let place = labels_of(types, context)?.1.places().next();
    place.map(Datum::Float64).ok_or_else(|| no_values(types, context))
}

fn last(_: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let place = labels_of(types, context)?.1.places().next_back();
    place.map(Datum::Float64).ok_or_else(|| no_values(types, context))
}

/// All values, or those between two; NULL is no bound.
fn range(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let (oid, labels) = labels_of(types, context)?;
    let (from, to) = match arguments {
        [from, to] => (from, to),
        _ => (&Datum::Null, &Datum::Null),
    };
    let within = |value: &Datum| {
        (from.is_null() || compare_values(value, from).is_ge())
            && (to.is_null() || compare_values(value, to).is_le())
    };
    let values = labels.places().map(Datum::Float64).filter(within).collect();
    Ok(ArrayValue::from_elements(oid, values).into())
}

pub(super) fn register(registry: &mut Registry) {
    let of = [oids::ANYENUM];
    registry.add(Entry::typed("enum_first", &of, oids::ANYENUM, first).not_strict().stable());
    registry.add(Entry::typed("enum_last", &of, oids::ANYENUM, last).not_strict().stable());
    registry.add(Entry::typed("enum_range", &of, oids::ANYARRAY, range).not_strict().stable());
    let two = [oids::ANYENUM, oids::ANYENUM];
    registry.add(Entry::typed("enum_range", &two, oids::ANYARRAY, range).not_strict().stable());
    registry.add(Entry::new("enum_cmp", &two, oids::INT4, |arguments, _| match arguments {
        [left, right] => Ok(Datum::Int32(compare_values(left, right) as i32)),
        _ => Err(wrong_arguments()),
    }));
    registry.add(Entry::new("enum_smaller", &two, oids::ANYENUM, |arguments, _| match arguments {
        [left, right] if compare_values(left, right).is_gt() => Ok(right.clone()),
        [left, _] => Ok(left.clone()),
        _ => Err(wrong_arguments()),
    }));
    registry.add(Entry::new("enum_larger", &two, oids::ANYENUM, |arguments, _| match arguments {
        [left, right] if compare_values(left, right).is_lt() => Ok(right.clone()),
        [left, _] => Ok(left.clone()),
        _ => Err(wrong_arguments()),
    }));
}
