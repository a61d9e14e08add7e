//! One value of any type.
//!
//! A `Datum` knows how it is stored, not its SQL type: `varchar`, `text` and `json` are all `Text`. The type
//! (for printing, comparing blank-padded strings and so on) comes from the expression or column it belongs to.
//! Equality here is equality of stored values; SQL comparison goes through [`crate::types::TypeInfo`].

use super::{ArrayValue, Interval, Jsonb, Numeric, RecordValue, Span};
use std::sync::Arc;

/// Text: up to 23 bytes inline, longer shared.
pub type Text = smol_str::SmolStr;

/// One value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Datum {
    #[default]
    Null,
    Bool(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Numeric(Numeric),
    /// text, varchar, char(n), name, json, xml, unknown, enum labels
    Text(Text),
    /// bytea, vector and other opaque bytes
    Bytes(Arc<[u8]>),
    /// Days since 2000-01-01; `i32::MIN` and `i32::MAX` are -infinity and infinity.
    Date(i32),
    /// Microseconds since midnight, up to and including 24:00.
    Time(i64),
    /// Local microseconds since midnight, and the zone's offset in seconds west of UTC.
    TimeTz(i64, i32),
    /// Microseconds since 2000-01-01 00:00:00; the extremes are the infinities.
    Timestamp(i64),
    /// Microseconds since 2000-01-01 00:00:00 UTC; the extremes are the infinities.
    TimestampTz(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    /// oid and the reg* types
    Oid(u32),
    /// PostgreSQL's one-byte `"char"`
    Char(u8),
    Array(Arc<ArrayValue>),
    Record(Arc<RecordValue>),
    Jsonb(Jsonb),
    /// Ranges and multiranges (see `span.rs`).
    Spans(Arc<[Span]>),
}

/// How values of a type are held: one kind for each variant of [`Datum`] but `Null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhysicalKind {
    Bool,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Numeric,
    Text,
    Bytes,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Oid,
    Char,
    Array,
    Record,
    Jsonb,
    Spans,
}

impl PhysicalKind {
    /// The number of bytes of the row format, or `None` where values vary in length.
    #[must_use]
    pub const fn fixed_width(self) -> Option<usize> {
        match self {
            PhysicalKind::Bool | PhysicalKind::Char => Some(1),
            PhysicalKind::Int16 => Some(2),
            PhysicalKind::Int32 | PhysicalKind::Float32 | PhysicalKind::Date | PhysicalKind::Oid => Some(4),
            PhysicalKind::Int64
            | PhysicalKind::Float64
            | PhysicalKind::Time
            | PhysicalKind::Timestamp
            | PhysicalKind::TimestampTz => Some(8),
            PhysicalKind::TimeTz => Some(12),
            PhysicalKind::Interval | PhysicalKind::Uuid => Some(16),
            PhysicalKind::Numeric
            | PhysicalKind::Text
            | PhysicalKind::Bytes
            | PhysicalKind::Array
            | PhysicalKind::Record
            | PhysicalKind::Jsonb
            | PhysicalKind::Spans => None,
        }
    }
}

// A datum travels by value through the row evaluator.
const _: () = assert!(size_of::<Datum>() <= 32);

impl Datum {
    /// Text from a string slice.
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Datum {
        Datum::Text(Text::new(text))
    }

    /// Whether this is NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// The kind, or `None` for NULL.
    #[must_use]
    pub fn kind(&self) -> Option<PhysicalKind> {
        Some(match self {
            Datum::Null => return None,
            Datum::Bool(_) => PhysicalKind::Bool,
            Datum::Int16(_) => PhysicalKind::Int16,
            Datum::Int32(_) => PhysicalKind::Int32,
            Datum::Int64(_) => PhysicalKind::Int64,
            Datum::Float32(_) => PhysicalKind::Float32,
            Datum::Float64(_) => PhysicalKind::Float64,
            Datum::Numeric(_) => PhysicalKind::Numeric,
            Datum::Text(_) => PhysicalKind::Text,
            Datum::Bytes(_) => PhysicalKind::Bytes,
            Datum::Date(_) => PhysicalKind::Date,
            Datum::Time(_) => PhysicalKind::Time,
            Datum::TimeTz(..) => PhysicalKind::TimeTz,
            Datum::Timestamp(_) => PhysicalKind::Timestamp,
            Datum::TimestampTz(_) => PhysicalKind::TimestampTz,
            Datum::Interval(_) => PhysicalKind::Interval,
            Datum::Uuid(_) => PhysicalKind::Uuid,
            Datum::Oid(_) => PhysicalKind::Oid,
            Datum::Char(_) => PhysicalKind::Char,
            Datum::Array(_) => PhysicalKind::Array,
            Datum::Record(_) => PhysicalKind::Record,
            Datum::Jsonb(_) => PhysicalKind::Jsonb,
            Datum::Spans(_) => PhysicalKind::Spans,
        })
    }

    /// The truth value, `None` for NULL (and for anything that is no boolean).
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Datum::Bool(value) = self { Some(*value) } else { None }
    }

    /// The spans, where this is a range or multirange.
    #[must_use]
    pub fn as_spans(&self) -> Option<&[Span]> {
        if let Datum::Spans(spans) = self { Some(spans) } else { None }
    }

    /// The text, where this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Datum::Text(value) = self { Some(value) } else { None }
    }

    /// Any of the integer kinds, widened.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Datum::Int16(value) => Some(i64::from(*value)),
            Datum::Int32(value) => Some(i64::from(*value)),
            Datum::Int64(value) => Some(*value),
            Datum::Oid(value) => Some(i64::from(*value)),
            _ => None,
        }
    }
}

macro_rules! datum_from {
    ($($source:ty => $variant:ident),* $(,)?) => {
        $(impl From<$source> for Datum {
            fn from(value: $source) -> Datum {
                Datum::$variant(value.into())
            }
        })*
    };
}

datum_from! {
    bool => Bool, i16 => Int16, i32 => Int32, i64 => Int64, f32 => Float32, f64 => Float64,
    Numeric => Numeric, &str => Text, String => Text, Text => Text, Vec<u8> => Bytes, Interval => Interval,
    ArrayValue => Array, Jsonb => Jsonb, RecordValue => Record,
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Datum {
        value.map_or(Datum::Null, Into::into)
    }
}
