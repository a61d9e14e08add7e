//! Aggregates WITHIN GROUP: percentiles, `mode`, and the places that a row would have among others.
//!
//! Their values come sorted. For the last kind the binder makes one ordered key of each row ([`sort_key_function`]),
//! and one of the row that is asked about.

use super::aggregate::{Accumulator, states};
use super::interval_arithmetic as spans;
use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, Function};
use crate::error::{Result, SqlError, SqlState};
use crate::types::DataType;
use crate::types::oids::{
    ANY, ANYARRAY, ANYELEMENT, BYTEA, FLOAT8, FLOAT8_ARRAY, INT8, INTERVAL, INTERVAL_ARRAY,
};
use crate::value::key::{self, KeyColumn};
use crate::value::{ArrayValue, Datum};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// `percentile_cont` and `percentile_disc`: the values, and the wanted part of them.
#[derive(Clone, Default)]
struct Percentile<const CONTINUOUS: bool> {
    fraction: Datum,
    values: Vec<Datum>,
}

impl<const CONTINUOUS: bool> Accumulator for Percentile<CONTINUOUS> {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        let [fraction, value] = arguments else { return Err(wrong_arguments()) };
        if !value.is_null() {
            self.fraction = fraction.clone();
            self.values.push(value.clone());
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        if self.values.is_empty() {
            self.fraction = other.fraction.clone();
        }
        self.values.extend(other.values.iter().cloned());
        Ok(())
    }

    fn finish(&self, types: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        if self.values.is_empty() {
            return Ok(Datum::Null);
        }
        match &self.fraction {
            Datum::Array(fractions) => {
                let elements = fractions.elements.iter().map(|fraction| self.at(fraction));
                Ok(ArrayValue {
                    element_type: types[1].oid,
                    dimensions: fractions.dimensions.clone(),
                    elements: elements.collect::<Result<_>>()?,
                }
                .into())
            }
            fraction => self.at(fraction),
        }
    }

    fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Datum>()
    }
}

impl<const CONTINUOUS: bool> Percentile<CONTINUOUS> {
    /// The value below which a part of the values lies.
    fn at(&self, fraction: &Datum) -> Result<Datum> {
        let Datum::Float64(fraction) = fraction else { return Ok(Datum::Null) };
        if !(0.0..=1.0).contains(fraction) {
            return Err(SqlError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("percentile value {fraction} is not between 0 and 1"),
            ));
        }
        let count = self.values.len();
        if !CONTINUOUS {
            let row = (fraction * count as f64).ceil().max(1.0) as usize;
            return Ok(self.values[row.min(count) - 1].clone());
        }
        let place = fraction * (count - 1) as f64;
        let (below, above) = (&self.values[place.floor() as usize], &self.values[place.ceil() as usize]);
        let part = place - place.floor();
        match (below, above) {
            _ if part == 0.0 => Ok(below.clone()),
            (Datum::Float64(below), Datum::Float64(above)) => {
                Ok(Datum::Float64(below + (above - below) * part))
            }
            (Datum::Interval(below), Datum::Interval(above)) => {
                let difference = spans::add(above, &spans::negate(below)?)?;
                spans::add(below, &spans::multiply(&difference, part)?).map(Datum::Interval)
            }
            _ => Err(wrong_arguments()),
        }
    }
}

/// `mode`: the value that comes most often, the first of several.
#[derive(Clone, Default)]
struct Mode(Vec<Datum>);

impl Accumulator for Mode {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        if !arguments[0].is_null() {
            self.0.push(arguments[0].clone());
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.0.extend(other.0.iter().cloned());
        Ok(())
    }

    fn finish(&self, types: &[DataType], _: DataType, context: &EvalContext<'_>) -> Result<Datum> {
        let alike = |left: &Datum, right: &Datum| context.compare(types[0].oid, left, right).is_eq();
        let mut best: &[Datum] = &[];
        for run in self.0.chunk_by(alike) {
            if run.len() > best.len() {
                best = run;
            }
        }
        Ok(best.first().cloned().unwrap_or_default())
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Datum>()
    }
}

/// What is told of the place that a row would have.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
}

const TOLD: [Told; 4] = [Told::Rank, Told::DenseRank, Told::PercentRank, Told::CumeDist];

/// How the rows lie to the one that is asked about.
#[derive(Clone, Default)]
struct Place<const TELLS: usize> {
    count: i64,
    before: i64,
    equal: i64,
    distinct_before: BTreeSet<Vec<u8>>,
}

impl<const TELLS: usize> Accumulator for Place<TELLS> {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        let [Datum::Bytes(asked), Datum::Bytes(row)] = arguments else { return Err(wrong_arguments()) };
        self.count += 1;
        match row.cmp(asked) {
            std::cmp::Ordering::Less => {
                self.before += 1;
                if TOLD[TELLS] == Told::DenseRank {
                    self.distinct_before.insert(row.to_vec());
                }
            }
            std::cmp::Ordering::Equal => self.equal += 1,
            std::cmp::Ordering::Greater => {}
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.count += other.count;
        self.before += other.before;
        self.equal += other.equal;
        self.distinct_before.extend(other.distinct_before.iter().cloned());
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        let (count, before, equal) = (self.count as f64, self.before as f64, self.equal as f64);
        Ok(match TOLD[TELLS] {
            Told::Rank => Datum::Int64(self.before + 1),
            Told::DenseRank => Datum::Int64(self.distinct_before.len() as i64 + 1),
            Told::PercentRank if self.count == 0 => Datum::Float64(0.0),
            Told::PercentRank => Datum::Float64(before / count),
            Told::CumeDist => Datum::Float64((before + equal + 1.0) / (count + 1.0)),
        })
    }
}

/// The function behind hypothetical-set aggregates: for each sort key a value, whether it is DESC, and whether NULLs
/// come first, to one ordered key of bytes.
#[must_use]
pub fn sort_key_function() -> Arc<Function> {
    static SORT_KEY: LazyLock<Arc<Function>> =
        LazyLock::new(|| Entry::typed("sort_key", &[ANY], BYTEA, sort_key).not_strict().into_function());
    SORT_KEY.clone()
}

fn sort_key(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let mut out = Vec::new();
    for (values, types) in arguments.chunks(3).zip(types.arguments.chunks(3)) {
        let [value, Datum::Bool(descending), Datum::Bool(nulls_first)] = values else {
            return Err(wrong_arguments());
        };
        let kind = context.type_info(types[0].oid)?.kind;
        let column =
            KeyColumn { data_type: types[0], kind, descending: *descending, nulls_first: *nulls_first };
        key::encode(&column, value, &mut out);
    }
    Ok(Datum::from(out))
}

pub(super) fn register(registry: &mut Registry) {
    let mut add = |name: &'static str, arguments: &[u32], result, init| {
        registry.add_aggregate(name, arguments, result, init).within_group = true;
    };
    add("percentile_cont", &[FLOAT8, FLOAT8], FLOAT8, states::<Percentile<true>>);
    add("percentile_cont", &[FLOAT8, INTERVAL], INTERVAL, states::<Percentile<true>>);
    add("percentile_cont", &[FLOAT8_ARRAY, FLOAT8], FLOAT8_ARRAY, states::<Percentile<true>>);
    add("percentile_cont", &[FLOAT8_ARRAY, INTERVAL], INTERVAL_ARRAY, states::<Percentile<true>>);
    add("percentile_disc", &[FLOAT8, ANYELEMENT], ANYELEMENT, states::<Percentile<false>>);
    add("percentile_disc", &[FLOAT8_ARRAY, ANYELEMENT], ANYARRAY, states::<Percentile<false>>);
    add("mode", &[ANYELEMENT], ANYELEMENT, states::<Mode>);
    add("rank", &[BYTEA, BYTEA], INT8, states::<Place<0>>);
    add("dense_rank", &[BYTEA, BYTEA], INT8, states::<Place<1>>);
    add("percent_rank", &[BYTEA, BYTEA], FLOAT8, states::<Place<2>>);
    add("cume_dist", &[BYTEA, BYTEA], FLOAT8, states::<Place<3>>);
}
