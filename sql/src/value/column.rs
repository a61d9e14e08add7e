//! Columns: typed vectors with a validity bitmap, and the builder that fills them.
//!
//! A column is *constant* when it holds one stored value standing for every row; kernels then read index 0.
//! `validity` is `None` when no row is NULL, which kernels test once to take a path without null checks.

use super::{ArrayValue, Datum, Interval, Jsonb, Numeric, PhysicalKind, RecordValue, Span, Text};
use crate::error::{Result, SqlError};
use std::sync::Arc;

/// Bits, one per row; set means "has a value".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    pub(super) words: Vec<u64>,
    pub(super) len: usize,
}

impl Bitmap {
    /// `len` equal bits.
    #[must_use]
    pub fn filled(len: usize, bit: bool) -> Bitmap {
        let mut words = vec![if bit { u64::MAX } else { 0 }; len.div_ceil(64)];
        if bit
            && !len.is_multiple_of(64)
            && let Some(last) = words.last_mut()
        {
            *last = (1 << (len % 64)) - 1;
        }
        Bitmap { words, len }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 != 0
    }

    #[inline]
    pub fn set(&mut self, index: usize, bit: bool) {
        let mask = 1 << (index % 64);
        if bit {
            self.words[index / 64] |= mask;
        } else {
            self.words[index / 64] &= !mask;
        }
    }

    #[inline]
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.len += 1;
        self.set(self.len - 1, bit);
    }

    /// How many bits are set.
    #[must_use]
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Bit by bit and.
    #[must_use]
    pub fn and(&self, other: &Bitmap) -> Bitmap {
        debug_assert_eq!(self.len, other.len);
        let words = self.words.iter().zip(&other.words).map(|(left, right)| left & right).collect();
        Bitmap { words, len: self.len }
    }
}

/// Strings end to end; string `i` is `text[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextData {
    pub(super) offsets: Vec<u32>,
    pub(super) text: String,
}

impl Default for TextData {
    fn default() -> TextData {
        TextData { offsets: vec![0], text: String::new() }
    }
}

impl TextData {
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> &str {
        &self.text[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// Appends texts, which are checked together; `None` where one is missing or not UTF-8, and it is of no use then.
    pub(super) fn extend_from_bytes<'t>(
        &mut self,
        texts: impl Iterator<Item = Option<&'t [u8]>>,
    ) -> Option<()> {
        let (before, first) = (self.text.len(), self.offsets.len());
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend_from_slice(text?);
            self.offsets.push((before + bytes.len()) as u32);
        }
        let added = std::str::from_utf8(&bytes).ok()?;
        // Characters could be cut into two texts.
        let whole = |end: &u32| added.is_char_boundary(*end as usize - before);
        if !self.offsets[first..].iter().all(whole) {
            return None;
        }
        self.text.push_str(added);
        Some(())
    }

    #[inline]
    pub fn push(&mut self, value: &str) {
        self.text.push_str(value);
        self.offsets.push(self.text.len() as u32);
    }
}

/// A column's values, one variant for each [`PhysicalKind`]. NULL rows hold a default value.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnData {
    Bool(Vec<bool>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Numeric(Vec<Numeric>),
    Text(TextData),
    Bytes(Vec<Arc<[u8]>>),
    Date(Vec<i32>),
    Time(Vec<i64>),
    TimeTz(Vec<(i64, i32)>),
    Timestamp(Vec<i64>),
    TimestampTz(Vec<i64>),
    Interval(Vec<Interval>),
    Uuid(Vec<[u8; 16]>),
    Oid(Vec<u32>),
    Char(Vec<u8>),
    Array(Vec<Arc<ArrayValue>>),
    Record(Vec<Arc<RecordValue>>),
    Jsonb(Vec<Jsonb>),
    Spans(Vec<Arc<[Span]>>),
}

/// Applies one expression to whichever vector a [`ColumnData`] holds; text has its own arm.
macro_rules! each_vector {
    ($data:expr, $vector:ident => $body:expr, $text:ident => $text_body:expr) => {
        match $data {
            ColumnData::Bool($vector) => $body,
            ColumnData::Int16($vector) => $body,
            ColumnData::Int32($vector) => $body,
            ColumnData::Int64($vector) => $body,
            ColumnData::Float32($vector) => $body,
            ColumnData::Float64($vector) => $body,
            ColumnData::Numeric($vector) => $body,
            ColumnData::Text($text) => $text_body,
            ColumnData::Bytes($vector) => $body,
            ColumnData::Date($vector) => $body,
            ColumnData::Time($vector) => $body,
            ColumnData::TimeTz($vector) => $body,
            ColumnData::Timestamp($vector) => $body,
            ColumnData::TimestampTz($vector) => $body,
            ColumnData::Interval($vector) => $body,
            ColumnData::Uuid($vector) => $body,
            ColumnData::Oid($vector) => $body,
            ColumnData::Char($vector) => $body,
            ColumnData::Array($vector) => $body,
            ColumnData::Record($vector) => $body,
            ColumnData::Jsonb($vector) => $body,
            ColumnData::Spans($vector) => $body,
        }
    };
}

/// Pairs two [`ColumnData`] of the same variant; text and everything else have arms of their own.
macro_rules! same_kind {
    ($pair:expr, ($from:ident, $to:ident) => $body:expr, $text:expr, $other:expr) => {
        match $pair {
            (ColumnData::Bool($from), ColumnData::Bool($to)) => $body,
            (ColumnData::Int16($from), ColumnData::Int16($to)) => $body,
            (ColumnData::Int32($from), ColumnData::Int32($to)) => $body,
            (ColumnData::Int64($from), ColumnData::Int64($to)) => $body,
            (ColumnData::Float32($from), ColumnData::Float32($to)) => $body,
            (ColumnData::Float64($from), ColumnData::Float64($to)) => $body,
            (ColumnData::Numeric($from), ColumnData::Numeric($to)) => $body,
            (ColumnData::Bytes($from), ColumnData::Bytes($to)) => $body,
            (ColumnData::Date($from), ColumnData::Date($to)) => $body,
            (ColumnData::Time($from), ColumnData::Time($to)) => $body,
            (ColumnData::TimeTz($from), ColumnData::TimeTz($to)) => $body,
            (ColumnData::Timestamp($from), ColumnData::Timestamp($to)) => $body,
            (ColumnData::TimestampTz($from), ColumnData::TimestampTz($to)) => $body,
            (ColumnData::Interval($from), ColumnData::Interval($to)) => $body,
            (ColumnData::Uuid($from), ColumnData::Uuid($to)) => $body,
            (ColumnData::Oid($from), ColumnData::Oid($to)) => $body,
            (ColumnData::Char($from), ColumnData::Char($to)) => $body,
            (ColumnData::Array($from), ColumnData::Array($to)) => $body,
            (ColumnData::Record($from), ColumnData::Record($to)) => $body,
            (ColumnData::Jsonb($from), ColumnData::Jsonb($to)) => $body,
            (ColumnData::Spans($from), ColumnData::Spans($to)) => $body,
            (ColumnData::Text($from), ColumnData::Text($to)) => $text($from, $to),
            _ => $other,
        }
    };
}
pub(super) use same_kind;

impl ColumnData {
    /// An empty vector of a kind.
    #[must_use]
    pub fn new(kind: PhysicalKind, capacity: usize) -> ColumnData {
        match kind {
            PhysicalKind::Bool => ColumnData::Bool(Vec::with_capacity(capacity)),
            PhysicalKind::Int16 => ColumnData::Int16(Vec::with_capacity(capacity)),
            PhysicalKind::Int32 => ColumnData::Int32(Vec::with_capacity(capacity)),
            PhysicalKind::Int64 => ColumnData::Int64(Vec::with_capacity(capacity)),
            PhysicalKind::Float32 => ColumnData::Float32(Vec::with_capacity(capacity)),
            PhysicalKind::Float64 => ColumnData::Float64(Vec::with_capacity(capacity)),
            PhysicalKind::Numeric => ColumnData::Numeric(Vec::with_capacity(capacity)),
            PhysicalKind::Text => ColumnData::Text(TextData::default()),
            PhysicalKind::Bytes => ColumnData::Bytes(Vec::with_capacity(capacity)),
            PhysicalKind::Date => ColumnData::Date(Vec::with_capacity(capacity)),
            PhysicalKind::Time => ColumnData::Time(Vec::with_capacity(capacity)),
            PhysicalKind::TimeTz => ColumnData::TimeTz(Vec::with_capacity(capacity)),
            PhysicalKind::Timestamp => ColumnData::Timestamp(Vec::with_capacity(capacity)),
            PhysicalKind::TimestampTz => ColumnData::TimestampTz(Vec::with_capacity(capacity)),
            PhysicalKind::Interval => ColumnData::Interval(Vec::with_capacity(capacity)),
            PhysicalKind::Uuid => ColumnData::Uuid(Vec::with_capacity(capacity)),
            PhysicalKind::Oid => ColumnData::Oid(Vec::with_capacity(capacity)),
            PhysicalKind::Char => ColumnData::Char(Vec::with_capacity(capacity)),
            PhysicalKind::Array => ColumnData::Array(Vec::with_capacity(capacity)),
            PhysicalKind::Record => ColumnData::Record(Vec::with_capacity(capacity)),
            PhysicalKind::Jsonb => ColumnData::Jsonb(Vec::with_capacity(capacity)),
            PhysicalKind::Spans => ColumnData::Spans(Vec::with_capacity(capacity)),
        }
    }

    /// How many values are stored.
    #[must_use]
    pub fn stored_len(&self) -> usize {
        each_vector!(self, values => values.len(), text => text.len())
    }

    /// The stored value at `index`, as if valid.
    #[must_use]
    pub fn get(&self, index: usize) -> Datum {
        match self {
            ColumnData::Bool(values) => Datum::Bool(values[index]),
            ColumnData::Int16(values) => Datum::Int16(values[index]),
            ColumnData::Int32(values) => Datum::Int32(values[index]),
            ColumnData::Int64(values) => Datum::Int64(values[index]),
            ColumnData::Float32(values) => Datum::Float32(values[index]),
            ColumnData::Float64(values) => Datum::Float64(values[index]),
            ColumnData::Numeric(values) => Datum::Numeric(values[index].clone()),
            ColumnData::Text(values) => Datum::Text(Text::new(values.get(index))),
            ColumnData::Bytes(values) => Datum::Bytes(values[index].clone()),
            ColumnData::Date(values) => Datum::Date(values[index]),
            ColumnData::Time(values) => Datum::Time(values[index]),
            ColumnData::TimeTz(values) => Datum::TimeTz(values[index].0, values[index].1),
            ColumnData::Timestamp(values) => Datum::Timestamp(values[index]),
            ColumnData::TimestampTz(values) => Datum::TimestampTz(values[index]),
            ColumnData::Interval(values) => Datum::Interval(values[index]),
            ColumnData::Uuid(values) => Datum::Uuid(values[index]),
            ColumnData::Oid(values) => Datum::Oid(values[index]),
            ColumnData::Char(values) => Datum::Char(values[index]),
            ColumnData::Array(values) => Datum::Array(values[index].clone()),
            ColumnData::Record(values) => Datum::Record(values[index].clone()),
            ColumnData::Jsonb(values) => Datum::Jsonb(values[index].clone()),
            ColumnData::Spans(values) => Datum::Spans(values[index].clone()),
        }
    }

    fn push(&mut self, datum: Datum) -> Result<()> {
        match (self, datum) {
            (ColumnData::Bool(values), Datum::Bool(value)) => values.push(value),
            (ColumnData::Int16(values), Datum::Int16(value)) => values.push(value),
            (ColumnData::Int32(values), Datum::Int32(value)) => values.push(value),
            (ColumnData::Int64(values), Datum::Int64(value)) => values.push(value),
            (ColumnData::Float32(values), Datum::Float32(value)) => values.push(value),
            (ColumnData::Float64(values), Datum::Float64(value)) => values.push(value),
            (ColumnData::Numeric(values), Datum::Numeric(value)) => values.push(value),
            (ColumnData::Text(values), Datum::Text(value)) => values.push(&value),
            (ColumnData::Bytes(values), Datum::Bytes(value)) => values.push(value),
            (ColumnData::Date(values), Datum::Date(value)) => values.push(value),
            (ColumnData::Time(values), Datum::Time(value)) => values.push(value),
            (ColumnData::TimeTz(values), Datum::TimeTz(time, zone)) => values.push((time, zone)),
            (ColumnData::Timestamp(values), Datum::Timestamp(value)) => values.push(value),
            (ColumnData::TimestampTz(values), Datum::TimestampTz(value)) => values.push(value),
            (ColumnData::Interval(values), Datum::Interval(value)) => values.push(value),
            (ColumnData::Uuid(values), Datum::Uuid(value)) => values.push(value),
            (ColumnData::Oid(values), Datum::Oid(value)) => values.push(value),
            (ColumnData::Char(values), Datum::Char(value)) => values.push(value),
            (ColumnData::Array(values), Datum::Array(value)) => values.push(value),
            (ColumnData::Record(values), Datum::Record(value)) => values.push(value),
            (ColumnData::Jsonb(values), Datum::Jsonb(value)) => values.push(value),
            (ColumnData::Spans(values), Datum::Spans(value)) => values.push(value),
            (data, datum) => {
                let wanted = data.kind();
                return Err(SqlError::internal(format!("{:?} value in a {wanted:?} column", datum.kind())));
            }
        }
        Ok(())
    }

    fn push_default(&mut self) {
        match self {
            ColumnData::Numeric(values) => values.push(Numeric::ZERO),
            ColumnData::Text(values) => values.push(""),
            ColumnData::Bytes(values) => values.push(Arc::new([])),
            ColumnData::Array(values) => values.push(Arc::new(ArrayValue::from_elements(0, Vec::new()))),
            ColumnData::Record(values) => values.push(Arc::new(RecordValue::default())),
            ColumnData::Jsonb(values) => values.push(Jsonb::from_bytes(&[])),
            ColumnData::Spans(values) => values.push(Arc::new([])),
            ColumnData::Bool(values) => values.push(false),
            ColumnData::Int16(values) => values.push(0),
            ColumnData::Int32(values) | ColumnData::Date(values) => values.push(0),
            ColumnData::Int64(values)
            | ColumnData::Time(values)
            | ColumnData::Timestamp(values)
            | ColumnData::TimestampTz(values) => values.push(0),
            ColumnData::Float32(values) => values.push(0.0),
            ColumnData::Float64(values) => values.push(0.0),
            ColumnData::TimeTz(values) => values.push((0, 0)),
            ColumnData::Interval(values) => values.push(Interval::default()),
            ColumnData::Uuid(values) => values.push([0; 16]),
            ColumnData::Oid(values) => values.push(0),
            ColumnData::Char(values) => values.push(0),
        }
    }

    /// The kind of value held.
    #[must_use]
    pub fn kind(&self) -> PhysicalKind {
        match self {
            ColumnData::Bool(_) => PhysicalKind::Bool,
            ColumnData::Int16(_) => PhysicalKind::Int16,
            ColumnData::Int32(_) => PhysicalKind::Int32,
            ColumnData::Int64(_) => PhysicalKind::Int64,
            ColumnData::Float32(_) => PhysicalKind::Float32,
            ColumnData::Float64(_) => PhysicalKind::Float64,
            ColumnData::Numeric(_) => PhysicalKind::Numeric,
            ColumnData::Text(_) => PhysicalKind::Text,
            ColumnData::Bytes(_) => PhysicalKind::Bytes,
            ColumnData::Date(_) => PhysicalKind::Date,
            ColumnData::Time(_) => PhysicalKind::Time,
            ColumnData::TimeTz(_) => PhysicalKind::TimeTz,
            ColumnData::Timestamp(_) => PhysicalKind::Timestamp,
            ColumnData::TimestampTz(_) => PhysicalKind::TimestampTz,
            ColumnData::Interval(_) => PhysicalKind::Interval,
            ColumnData::Uuid(_) => PhysicalKind::Uuid,
            ColumnData::Oid(_) => PhysicalKind::Oid,
            ColumnData::Char(_) => PhysicalKind::Char,
            ColumnData::Array(_) => PhysicalKind::Array,
            ColumnData::Record(_) => PhysicalKind::Record,
            ColumnData::Jsonb(_) => PhysicalKind::Jsonb,
            ColumnData::Spans(_) => PhysicalKind::Spans,
        }
    }

    fn gather(&self, indices: &[u32]) -> ColumnData {
        let mut result = ColumnData::new(self.kind(), indices.len());
        let stored = indices.iter().map(|index| *index as usize);
        same_kind!(
            (self, &mut result),
            (from, to) => to.extend(stored.map(|at| &from[at]).cloned()),
            |from: &TextData, to: &mut TextData| stored.for_each(|at| to.push(from.get(at))),
            {}
        );
        result
    }
}

/// A column of one kind; a clone shares the values.
#[derive(Clone, Debug)]
pub struct Column {
    data: Arc<ColumnData>,
    validity: Option<Arc<Bitmap>>,
    len: usize,
    constant: bool,
}

impl Column {
    /// A column of as many rows as values; `validity` where some are NULL.
    #[must_use]
    pub fn new(data: ColumnData, validity: Option<Bitmap>) -> Column {
        let len = data.stored_len();
        debug_assert!(validity.as_ref().is_none_or(|validity| validity.len() == len));
        Column { data: Arc::new(data), validity: validity.map(Arc::new), len, constant: false }
    }

    /// One value standing for `len` rows; `kind` says what a NULL would be.
    pub fn constant(kind: PhysicalKind, value: &Datum, len: usize) -> Result<Column> {
        let mut data = ColumnData::new(kind, 1);
        let validity = if value.is_null() {
            data.push_default();
            Some(Bitmap::filled(1, false))
        } else {
            data.push(value.clone())?;
            None
        };
        Ok(Column { data: Arc::new(data), validity: validity.map(Arc::new), len, constant: true })
    }

    /// The one stored value standing for `len` rows.
    #[must_use]
    pub(crate) fn into_constant(self, len: usize) -> Column {
        debug_assert_eq!(self.data.stored_len(), 1);
        Column { len, constant: true, ..self }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    pub fn kind(&self) -> PhysicalKind {
        self.data.kind()
    }

    /// The stored values: one if [`Column::is_constant`], else one for each row.
    #[must_use]
    pub fn data(&self) -> &ColumnData {
        &self.data
    }

    /// Which stored values are not NULL; `None` if all.
    #[must_use]
    pub fn validity(&self) -> Option<&Bitmap> {
        self.validity.as_deref()
    }

    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// Where row `row` is stored.
    #[must_use]
    #[inline]
    pub fn stored_index(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    #[must_use]
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.validity.as_ref().is_some_and(|validity| !validity.get(self.stored_index(row)))
    }

    /// The value of row `row`.
    #[must_use]
    pub fn get(&self, row: usize) -> Datum {
        if self.is_null(row) { Datum::Null } else { self.data.get(self.stored_index(row)) }
    }

    /// The rows at `indices`, in that order.
    #[must_use]
    pub fn gather(&self, indices: &[u32]) -> Column {
        if self.constant {
            return Column { len: indices.len(), ..self.clone() };
        }
        let validity = self.validity.as_ref().map(|validity| {
            let mut bits = Bitmap::default();
            for &index in indices {
                bits.push(validity.get(index as usize));
            }
            bits
        });
        Column::new(self.data.gather(indices), validity)
    }

    /// The same rows with one stored value for each.
    #[must_use]
    pub fn flatten(self) -> Column {
        if !self.constant {
            return self;
        }
        let data = self.data.gather(&vec![0; self.len]);
        let validity = self.validity.as_ref().map(|validity| Bitmap::filled(self.len, validity.get(0)));
        Column::new(data, validity)
    }

    /// Of a boolean column, the rows that are true: a filter's selection.
    #[must_use]
    pub fn true_indices(&self) -> Vec<u32> {
        let ColumnData::Bool(values) = &*self.data else { return Vec::new() };
        if self.constant {
            let keep = values[0] && self.validity.is_none();
            return if keep { (0..self.len as u32).collect() } else { Vec::new() };
        }
        (0..self.len).filter(|&row| values[row] && !self.is_null(row)).map(|row| row as u32).collect()
    }
}

/// Fills a column value by value.
#[derive(Clone, Debug)]
pub struct ColumnBuilder {
    pub(super) data: ColumnData,
    pub(super) validity: Option<Bitmap>,
}

impl ColumnBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new(kind: PhysicalKind, capacity: usize) -> ColumnBuilder {
        ColumnBuilder { data: ColumnData::new(kind, capacity), validity: None }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.data.stored_len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        let len = self.len();
        self.validity.get_or_insert_with(|| Bitmap::filled(len, true)).push(false);
        self.data.push_default();
    }

    /// Appends one value.
    ///
    /// # Errors
    /// XX000 if the value is of another kind: the caller's types are wrong.
    pub fn push(&mut self, datum: Datum) -> Result<()> {
        if datum.is_null() {
            self.push_null();
            return Ok(());
        }
        self.data.push(datum)?;
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        Ok(())
    }

    /// The vector itself, for decoders that know its kind: push one value, then call
    /// [`ColumnBuilder::mark_valid`].
    pub fn data_mut(&mut self) -> &mut ColumnData {
        &mut self.data
    }

    /// Notes that the value just pushed through [`ColumnBuilder::data_mut`] is not NULL.
    pub fn mark_valid(&mut self) {
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
    }

    /// The same for all values that were pushed since.
    pub fn mark_all_valid(&mut self) {
        let len = self.data.stored_len();
        if let Some(validity) = &mut self.validity {
            while validity.len() < len {
                validity.push(true);
            }
        }
    }

    /// The column.
    #[must_use]
    pub fn finish(self) -> Column {
        Column::new(self.data, self.validity)
    }
}
