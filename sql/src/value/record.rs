//! Rows as values.

use super::{Datum, Text};
use crate::types::{DataType, Oid, oids};
use std::ops::Deref;
use std::sync::Arc;

/// What a record is: its type, `record` or one that names its fields, and the fields' names and types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordShape {
    pub type_oid: Oid,
    pub fields: Vec<(Text, DataType)>,
}

impl Default for RecordShape {
    fn default() -> RecordShape {
        RecordShape::anonymous([])
    }
}

impl RecordShape {
    /// The shape of a record whose type has no name.
    #[must_use]
    pub fn anonymous(fields: impl IntoIterator<Item = (Text, DataType)>) -> RecordShape {
        RecordShape { type_oid: oids::RECORD, fields: fields.into_iter().collect() }
    }

    /// The shape of fields without names of their own: `f1`, `f2` and so on.
    #[must_use]
    pub fn unnamed(types: impl IntoIterator<Item = DataType>) -> Arc<RecordShape> {
        let named =
            |(index, data_type): (usize, DataType)| (Text::from(format!("f{}", index + 1)), data_type);
        Arc::new(RecordShape::anonymous(types.into_iter().enumerate().map(named)))
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
