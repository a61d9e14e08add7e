//! Values: one at a time ([`Datum`]), many at a time ([`Column`], [`Batch`]), and their stored forms
//! (rows in [`row`], ordered keys in [`key`]).

pub mod array;
mod batch;
mod column;
mod datum;
mod interval;
pub mod numeric;

pub use array::ArrayValue;
pub use batch::{BATCH_ROWS, Batch};
pub use column::{Bitmap, Column, ColumnBuilder, ColumnData, TextData};
pub use datum::{Datum, PhysicalKind, Text};
pub use interval::Interval;
pub use numeric::Numeric;
