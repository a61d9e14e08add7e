//! The constant list of an IN, prepared for lookup.

use crate::functions::EvalContext;
use crate::types::{Oid, oids};
use crate::value::{Bitmap, Column, ColumnData, Datum};
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

    /// `value IN (list)`, or NOT IN, for all values of a column of integers or texts; `None` for other columns.
    #[must_use]
    pub fn contains_each(&self, column: &Column, negated: bool) -> Option<Column> {
        let found = match (&self.members, column.data()) {
            (Members::Integers(members), ColumnData::Int16(values)) => among(values, members),
            (Members::Integers(members), ColumnData::Int32(values)) => among(values, members),
            (Members::Integers(members), ColumnData::Int64(values)) => among(values, members),
            (Members::Sorted { values: members, element_type }, ColumnData::Text(texts)) => {
                let is_padded = *element_type == oids::BPCHAR;
                if !is_padded && !matches!(*element_type, oids::TEXT | oids::VARCHAR) {
                    return None;
                }
                let significant = |text| if is_padded { without_blanks(text) } else { text };
                let members = members.iter().filter_map(Datum::as_text).map(significant);
                let mut members: Vec<&str> = members.collect();
                // They are in order already, or nearly.
                members.sort();
                let texts = (0..texts.len()).map(|at| significant(texts.get(at)));
                texts.map(|text| members.binary_search(&text).is_ok()).collect::<Vec<bool>>()
            }
            _ => return None,
        };
        // Where the list has a NULL, what is not found in it may be that.
        let validity = if self.has_null {
            let mut valid = Bitmap::filled(found.len(), true);
            let is_valid = |at: usize| found[at] && column.validity().is_none_or(|valid| valid.get(at));
            (0..found.len()).for_each(|at| valid.set(at, is_valid(at)));
            Some(valid)
        } else {
            column.validity().cloned()
        };
        let values = found.into_iter().map(|found| found != negated).collect();
        let result = Column::new(ColumnData::Bool(values), validity);
        Some(if column.is_constant() { result.into_constant(column.len()) } else { result })
    }
}

fn among<T: Copy + Into<i64>>(values: &[T], members: &[i64]) -> Vec<bool> {
    values.iter().map(|value| members.binary_search(&(*value).into()).is_ok()).collect()
}

fn without_blanks(text: &str) -> &str {
    text.trim_end_matches(' ')
}
