//! Array values: PostgreSQL's dimensions with lower bounds over one flat list of elements.

use super::Datum;
use crate::types::Oid;

/// An array; no dimensions means empty.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayValue {
    pub element_type: Oid,
    pub dimensions: Vec<Dimension>,
    /// In row-major order; as many as the product of the dimensions' lengths.
    pub elements: Vec<Datum>,
}

/// One dimension of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dimension {
    pub length: i32,
    pub lower_bound: i32,
}

impl ArrayValue {
    /// A one-dimensional array from 1, or the empty array.
    #[must_use]
    pub fn from_elements(element_type: Oid, elements: Vec<Datum>) -> ArrayValue {
        let dimensions = if elements.is_empty() {
            Vec::new()
        } else {
            vec![Dimension { length: i32::try_from(elements.len()).unwrap_or(i32::MAX), lower_bound: 1 }]
        };
        ArrayValue { element_type, dimensions, elements }
    }
}
