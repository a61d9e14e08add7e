//! Aggregates over ranges and multiranges: all of them together, and what all have in common.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::aggregate::{Accumulator, states};
use crate::functions::registry::Registry;
use crate::functions::vector::wrong_arguments;
use crate::types::DataType;
use crate::types::oids::{ANYMULTIRANGE, ANYRANGE};
use crate::value::span::spans;
use crate::value::span_set::{intersection, normalized};
use crate::value::{Datum, Span};

/// The spans of an argument, `None` for NULL.
fn given(arguments: &[Datum]) -> Result<Option<&[Span]>> {
    match arguments {
        [Datum::Null] => Ok(None),
        [Datum::Spans(given)] => Ok(Some(given)),
        _ => Err(wrong_arguments()),
    }
}

/// `range_agg`
#[derive(Clone, Default)]
struct Union {
    spans: Vec<Span>,
    /// Bytes beyond those of the list.
    bytes: usize,
    seen: bool,
}

impl Union {
    fn extend(&mut self, more: &[Span]) {
        self.bytes += more.iter().map(Span::heap_bytes).sum::<usize>();
        self.spans.extend_from_slice(more);
        self.seen = true;
    }
}

impl Accumulator for Union {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        if let Some(more) = given(arguments)? {
            self.extend(more);
        }
        Ok(())
    }

    fn merge(&mut self, other: &Union) -> Result<()> {
        if other.seen {
            self.extend(&other.spans);
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(if self.seen { spans(normalized(self.spans.clone())) } else { Datum::Null })
    }

    fn heap_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.bytes
    }
}

/// `range_intersect_agg`
#[derive(Clone, Default)]
struct Intersection(Option<Vec<Span>>);

impl Intersection {
    fn reduce(&mut self, more: &[Span]) {
        self.0 = Some(match &self.0 {
            Some(spans) => intersection(spans, more),
            None => more.to_vec(),
        });
    }
}

impl Accumulator for Intersection {
    fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
        if let Some(more) = given(arguments)? {
            self.reduce(more);
        }
        Ok(())
    }

    fn merge(&mut self, other: &Intersection) -> Result<()> {
        if let Some(more) = &other.0 {
            self.reduce(more);
        }
        Ok(())
    }

    fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.0.as_ref().map_or(Datum::Null, |found| spans(found.iter().cloned())))
    }

    fn heap_bytes(&self) -> usize {
        let of = |spans: &Vec<Span>| {
            spans.capacity() * size_of::<Span>() + spans.iter().map(Span::heap_bytes).sum::<usize>()
        };
        self.0.as_ref().map_or(0, of)
    }
}

pub(super) fn register(registry: &mut Registry) {
    for of in [ANYRANGE, ANYMULTIRANGE] {
        registry.add_aggregate("range_agg", &[of], ANYMULTIRANGE, states::<Union>);
        registry.add_aggregate("range_intersect_agg", &[of], of, states::<Intersection>);
    }
}
