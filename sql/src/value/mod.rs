//! Values: one at a time ([`Datum`]), many at a time ([`Column`], [`Batch`]), and their stored forms
//! (rows in [`row`], ordered keys in [`key`]).

pub mod array;
mod batch;
pub mod block;
mod column;
mod compare;
mod datum;
pub(crate) mod encoding;
mod gather;
mod interval;
pub mod json;
pub mod key;
mod key_numeric;
pub mod numeric;
mod plain_rows;
mod record;
pub mod row;
pub mod span;
pub mod span_set;
mod varint;

pub use array::ArrayValue;
pub use batch::{BATCH_ROWS, Batch};
pub use column::{Bitmap, Column, ColumnBuilder, ColumnData, TextData};
pub(crate) use compare::{compare_floats, hash_integer};
pub use compare::{compare_values, hash_value};
pub use datum::{Datum, PhysicalKind, Text};
pub use gather::gather_picked;
pub use interval::Interval;
pub use json::Jsonb;
pub use key::KeyColumn;
pub use numeric::Numeric;
pub(crate) use plain_rows::PlainRows;
pub use record::{RecordShape, RecordValue};
pub use row::{RowColumn, RowLayout, RowView};
pub use span::{Bound, Span};
