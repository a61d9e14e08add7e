//! Rows of several columns put together into one, value by value of the typed vectors; and what columns take.

use super::column::{TextData, same_kind};
use super::{Batch, Bitmap, Column, ColumnBuilder, ColumnData, Datum, Numeric, span};
use crate::error::Result;

impl ColumnBuilder {
    /// Appends rows of a column.
    ///
    /// # Errors
    /// XX000 if the column is of another kind.
    pub fn extend_from(&mut self, column: &Column, rows: &[u32]) -> Result<()> {
        if column.data().kind() != self.data.kind() {
            return rows.iter().try_for_each(|row| self.push(column.get(*row as usize)));
        }
        self.extend_validity(rows.len(), column.validity().is_some(), |at| {
            !column.is_null(rows[at] as usize)
        });
        let stored = rows.iter().map(|row| column.stored_index(*row as usize));
        same_kind!(
            (column.data(), &mut self.data),
            (from, to) => to.extend(stored.map(|at| &from[at]).cloned()),
            |from: &TextData, to: &mut TextData| stored.for_each(|at| to.push(from.get(at))),
            {}
        );
        Ok(())
    }

    /// Appends rows of several columns: for each pick, which column and which row of it.
    ///
    /// # Errors
    /// XX000 if one of the columns is of another kind.
    pub fn extend_picked(&mut self, columns: &[&Column], picks: &[(u32, u32)]) -> Result<()> {
        let kind = self.data.kind();
        let place = |pick: &(u32, u32)| (columns[pick.0 as usize], pick.1 as usize);
        if columns.iter().any(|column| column.kind() != kind) {
            return picks.iter().map(place).try_for_each(|(column, row)| self.push(column.get(row)));
        }
        let has_nulls = columns.iter().any(|column| column.validity().is_some());
        self.extend_validity(picks.len(), has_nulls, |at| {
            let (column, row) = place(&picks[at]);
            !column.is_null(row)
        });
        let is_constant: Vec<bool> = columns.iter().map(|column| column.is_constant()).collect();
        let stored = |&(part, row): &(u32, u32)| {
            let part = part as usize;
            (part, if is_constant[part] { 0 } else { row as usize })
        };
        let parts: Vec<&ColumnData> = columns.iter().map(|column| column.data()).collect();
        extend_stored(&mut self.data, &parts, picks.iter().map(stored));
        Ok(())
    }

    fn extend_validity(&mut self, count: usize, has_nulls: bool, is_valid: impl Fn(usize) -> bool) {
        if self.validity.is_none() && !has_nulls {
            return;
        }
        let len = self.len();
        let validity = self.validity.get_or_insert_with(|| Bitmap::filled(len, true));
        (0..count).for_each(|at| validity.push(is_valid(at)));
    }
}

/// Appends stored values: for each place, of which vector and where in it. The kind is looked at once.
fn extend_stored(data: &mut ColumnData, parts: &[&ColumnData], places: impl Iterator<Item = (usize, usize)>) {
    macro_rules! extend {
        ($($variant:ident),*) => {
            match data {
                $(ColumnData::$variant(to) => {
                    let vectors: Vec<_> = parts
                        .iter()
                        .map(|part| match part {
                            ColumnData::$variant(values) => values.as_slice(),
                            _ => &[],
                        })
                        .collect();
                    to.extend(places.map(|(part, at)| vectors[part][at].clone()));
                })*
                ColumnData::Text(to) => {
                    for (part, at) in places {
                        if let ColumnData::Text(from) = parts[part] {
                            to.push(from.get(at));
                        }
                    }
                }
            }
        };
    }
    extend!(
        Bool,
        Int16,
        Int32,
        Int64,
        Float32,
        Float64,
        Numeric,
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
        Spans
    );
}

/// Rows of several batches as one batch: for each pick, which batch and which row of it.
///
/// # Errors
/// XX000 if the batches' columns are not of the same kinds.
pub fn gather_picked(batches: &[Batch], picks: &[(u32, u32)]) -> Result<Batch> {
    let Some(first) = batches.first() else { return Ok(Batch::new(Vec::new(), picks.len())) };
    let mut columns = Vec::with_capacity(first.columns.len());
    let mut parts: Vec<&Column> = Vec::with_capacity(batches.len());
    for at in 0..first.columns.len() {
        parts.clear();
        parts.extend(batches.iter().map(|batch| &batch.columns[at]));
        let mut builder = ColumnBuilder::new(parts[0].kind(), picks.len());
        builder.extend_picked(&parts, picks)?;
        columns.push(builder.finish());
    }
    Ok(Batch::new(columns, picks.len()))
}

impl Datum {
    /// Bytes that the value takes beyond itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Datum::Text(text) if text.is_heap_allocated() => text.len() + 16,
            Datum::Bytes(bytes) => bytes.len() + 16,
            Datum::Jsonb(value) => value.as_bytes().len() + 16,
            Datum::Array(array) => 64 + elements_bytes(&array.elements),
            Datum::Record(record) => 64 + elements_bytes(&record.fields),
            Datum::Spans(spans) => span::heap_bytes(spans),
            Datum::Numeric(number) => number.heap_bytes(),
            _ => 0,
        }
    }
}

fn elements_bytes(elements: &[Datum]) -> usize {
    elements.iter().map(|element| size_of::<Datum>() + element.heap_bytes()).sum()
}

/// Bytes of memory that a vector takes with the bits beside it.
fn vector_bytes(data: &ColumnData, validity: Option<&Bitmap>) -> usize {
    let bits = validity.map_or(0, |validity| validity.len().div_ceil(8));
    bits + match data {
        ColumnData::Text(text) => text.offsets.capacity() * 4 + text.text.capacity(),
        ColumnData::Bytes(values) => values.iter().map(|value| 32 + value.len()).sum(),
        ColumnData::Jsonb(values) => values.iter().map(|value| 32 + value.as_bytes().len()).sum(),
        ColumnData::Array(values) => values.iter().map(|value| 72 + elements_bytes(&value.elements)).sum(),
        ColumnData::Record(values) => values.iter().map(|value| 72 + elements_bytes(&value.fields)).sum(),
        ColumnData::Spans(values) => values.iter().map(|value| 16 + span::heap_bytes(value)).sum(),
        ColumnData::Numeric(values) => {
            values.iter().map(|value| size_of::<Numeric>() + value.heap_bytes()).sum()
        }
        fixed => fixed.stored_len() * fixed.kind().fixed_width().unwrap_or(16).next_power_of_two(),
    }
}

impl Column {
    /// Bytes of memory that the values take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        vector_bytes(self.data(), self.validity())
    }
}

impl ColumnBuilder {
    /// Bytes of memory that the values take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        vector_bytes(&self.data, self.validity.as_ref())
    }
}

impl Batch {
    /// Bytes of memory that the columns take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        64 * self.columns.len() + self.columns.iter().map(Column::memory_bytes).sum::<usize>()
    }
}
