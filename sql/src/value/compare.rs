//! The order and hash of values by their stored form.
//!
//! That is SQL's order for all types but the few whose [`crate::types::TypeInfo`] says otherwise (`char(n)`
//! ignores trailing blanks, enums go by their labels' order).

use super::{ArrayValue, Datum, json, span};
use std::cmp::Ordering;

/// Compares two values of one type; NULL is above everything, as in a default sort.
#[must_use]
#[inline]
pub fn compare_values(left: &Datum, right: &Datum) -> Ordering {
    match (left, right) {
        (Datum::Int32(left), Datum::Int32(right)) | (Datum::Date(left), Datum::Date(right)) => {
            left.cmp(right)
        }
        (Datum::Int64(left), Datum::Int64(right))
        | (Datum::Time(left), Datum::Time(right))
        | (Datum::Timestamp(left), Datum::Timestamp(right))
        | (Datum::TimestampTz(left), Datum::TimestampTz(right)) => left.cmp(right),
        (Datum::Text(left), Datum::Text(right)) => left.as_str().cmp(right.as_str()),
        _ => compare_rare(left, right),
    }
}

fn compare_rare(left: &Datum, right: &Datum) -> Ordering {
    match (left, right) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        (Datum::Bool(left), Datum::Bool(right)) => left.cmp(right),
        (Datum::Float32(left), Datum::Float32(right)) => compare_floats(f64::from(*left), f64::from(*right)),
        (Datum::Float64(left), Datum::Float64(right)) => compare_floats(*left, *right),
        (Datum::Numeric(left), Datum::Numeric(right)) => left.cmp(right),
        (Datum::Bytes(left), Datum::Bytes(right)) => left.cmp(right),
        (Datum::TimeTz(left, left_zone), Datum::TimeTz(right, right_zone)) => {
            let utc = |time: i64, zone: i32| time + i64::from(zone) * 1_000_000;
            utc(*left, *left_zone).cmp(&utc(*right, *right_zone)).then(left_zone.cmp(right_zone))
        }
        (Datum::Interval(left), Datum::Interval(right)) => left.cmp(right),
        (Datum::Uuid(left), Datum::Uuid(right)) => left.cmp(right),
        (Datum::Oid(left), Datum::Oid(right)) => left.cmp(right),
        (Datum::Char(left), Datum::Char(right)) => left.cmp(right),
        (Datum::Array(left), Datum::Array(right)) => compare_arrays(left, right),
        (Datum::Jsonb(left), Datum::Jsonb(right)) => json::compare(left.root(), right.root()),
        (Datum::Record(left), Datum::Record(right)) => compare_lists(left, right),
        (Datum::Spans(left), Datum::Spans(right)) => span::compare(left, right),
        // Different integer widths meet in cross-type comparisons of indexes and hash keys.
        _ => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => kind_number(left).cmp(&kind_number(right)),
        },
    }
}

/// An arbitrary but fixed order between kinds, which SQL never compares.
fn kind_number(value: &Datum) -> usize {
    value.kind().map_or(usize::MAX, |kind| kind as usize)
}

/// PostgreSQL's order of floats: NaN equals itself and is above all; -0 equals 0.
#[must_use]
#[inline]
pub(crate) fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

fn compare_lists(left: &[Datum], right: &[Datum]) -> Ordering {
    let pairs = left.iter().zip(right);
    let mut different = pairs.map(|(left, right)| compare_values(left, right)).filter(|order| order.is_ne());
    different.next().unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn compare_arrays(left: &ArrayValue, right: &ArrayValue) -> Ordering {
    compare_lists(&left.elements, &right.elements)
        .then_with(|| left.dimensions.len().cmp(&right.dimensions.len()))
        .then_with(|| {
            let pairs = left.dimensions.iter().zip(&right.dimensions);
            let by_dimension = |(left, right): (&super::array::Dimension, &super::array::Dimension)| {
                left.length.cmp(&right.length).then(left.lower_bound.cmp(&right.lower_bound))
            };
            pairs.map(by_dimension).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        })
}

/// Hashes a value so that equal ones (by [`compare_values`]) hash alike, integers across their widths.
#[must_use]
#[inline]
pub fn hash_value(value: &Datum) -> u64 {
    match value {
        Datum::Int16(value) => hash_integer(i64::from(*value)),
        Datum::Int32(value) | Datum::Date(value) => hash_integer(i64::from(*value)),
        Datum::Int64(value) | Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => {
            hash_integer(*value)
        }
        Datum::Text(value) => hash_bytes(value.as_bytes()),
        _ => hash_rare(value),
    }
}

fn hash_rare(value: &Datum) -> u64 {
    match value {
        Datum::Bool(value) => hash_integer(i64::from(*value)),
        Datum::Float32(value) => hash_float(f64::from(*value)),
        Datum::Float64(value) => hash_float(*value),
        Datum::Bytes(value) => hash_bytes(value),
        Datum::Uuid(value) => hash_bytes(value),
        Datum::Oid(value) => hash_integer(i64::from(*value)),
        Datum::Char(value) => hash_integer(i64::from(*value)),
        Datum::TimeTz(time, zone) => {
            hash_integer(time + i64::from(*zone) * 1_000_000) ^ hash_integer(i64::from(*zone))
        }
        Datum::Numeric(value) => hash_with_std(value),
        Datum::Interval(value) => hash_with_std(value),
        Datum::Array(array) => hash_list(&array.elements),
        Datum::Jsonb(value) => {
            let mut key = Vec::new();
            json::encode_key(value.root(), &mut key);
            hash_bytes(&key)
        }
        Datum::Record(fields) => hash_list(fields),
        Datum::Spans(spans) => span::hash(spans),
        _ => 0,
    }
}

fn hash_list(values: &[Datum]) -> u64 {
    values.iter().fold(values.len() as u64, |hash, value| {
        hash_integer((hash.rotate_left(5) ^ hash_value(value)) as i64)
    })
}

fn hash_float(value: f64) -> u64 {
    let canonical = if value.is_nan() { f64::NAN } else { value + 0.0 };
    hash_integer(canonical.to_bits() as i64)
}

/// The values' own `Hash`, gathered by the byte hash; no seed, so that hashes agree between threads.
fn hash_with_std(value: &impl std::hash::Hash) -> u64 {
    struct Gather(u64);
    impl std::hash::Hasher for Gather {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0 = hash_integer((self.0.rotate_left(5) ^ hash_bytes(bytes)) as i64);
        }
    }
    let mut gather = Gather(0);
    value.hash(&mut gather);
    gather.0
}

/// One multiplication and a fold: spreads an integer over all 64 bits.
#[inline]
pub(crate) fn hash_integer(value: i64) -> u64 {
    let product = u128::from(value as u64 ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
    (product >> 64) as u64 ^ product as u64
}

#[inline]
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
