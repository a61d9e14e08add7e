//! Rows as values.

use super::{Datum, Text};
use crate::types::DataType;
use std::ops::Deref;
use std::sync::Arc;

/// The fields of a record: their names and types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordShape {
    pub fields: Vec<(Text, DataType)>,
}

impl RecordShape {
    /// The shape of fields without names of their own: `f1`, `f2` and so on.
    #[must_use]
    pub fn unnamed(types: impl IntoIterator<Item = DataType>) -> Arc<RecordShape> {
        let named =
            |(index, data_type): (usize, DataType)| (Text::from(format!("f{}", index + 1)), data_type);
        Arc::new(RecordShape { fields: types.into_iter().enumerate().map(named).collect() })
    }
}

/// A record: its fields' values and what they are. It reads as a slice of the values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordValue {
    pub fields: Vec<Datum>,
    pub shape: Arc<RecordShape>,
}

impl RecordValue {
    /// Name, type and value of each field.
    pub fn named(&self) -> impl Iterator<Item = (&Text, DataType, &Datum)> {
        self.shape.fields.iter().zip(&self.fields).map(|((name, data_type), value)| (name, *data_type, value))
    }
}

impl Deref for RecordValue {
    type Target = [Datum];

    fn deref(&self) -> &[Datum] {
        &self.fields
    }
}
