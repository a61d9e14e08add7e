//! The constant list of an IN, prepared for lookup.

use crate::functions::EvalContext;
use crate::types::Oid;
use crate::value::Datum;
use std::cmp::Ordering;

/// The values of a constant list, without duplicates.
#[derive(Clone, Debug)]
pub struct ValueSet {
    members: Members,
    has_null: bool,
}

#[derive(Clone, Debug)]
enum Members {
    /// Sorted; any integer kind.
    Integers(Vec<i64>),
    /// Sorted by the type's order.
    Sorted { values: Vec<Datum>, element_type: Oid },
}

impl ValueSet {
    /// A set of values of one type.
    #[must_use]
    pub fn new(values: Vec<Datum>, element_type: Oid, context: &EvalContext<'_>) -> ValueSet {
        let count = values.len();
        let mut values: Vec<Datum> = values.into_iter().filter(|value| !value.is_null()).collect();
        let has_null = values.len() < count;
        let integers: Option<Vec<i64>> = values.iter().map(Datum::as_i64).collect();
        let members = match integers {
            Some(mut integers) => {
                integers.sort_unstable();
                integers.dedup();
                Members::Integers(integers)
            }
            None => {
                values.sort_by(|left, right| context.compare(element_type, left, right));
                values.dedup_by(|left, right| context.compare(element_type, left, right) == Ordering::Equal);
                Members::Sorted { values, element_type }
            }
        };
        ValueSet { members, has_null }
    }

    /// `value IN (list)`, three-valued; `None` is unknown.
    #[must_use]
    pub fn contains(&self, value: &Datum, context: &EvalContext<'_>) -> Option<bool> {
        if value.is_null() {
            return None;
        }
        let found = match &self.members {
            Members::Integers(values) => {
                value.as_i64().is_some_and(|value| values.binary_search(&value).is_ok())
            }
            Members::Sorted { values, element_type } => {
                values.binary_search_by(|member| context.compare(*element_type, member, value)).is_ok()
            }
        };
        if found { Some(true) } else { (!self.has_null).then_some(false) }
    }
}
