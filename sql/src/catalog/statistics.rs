//! What ANALYZE found out about a table: how many rows it has, and how the values of its columns are distributed.
//!
//! The numbers mean what they mean in PostgreSQL's `pg_statistic`. They are one row of the catalog for each table.
//! The columns are decoded by the first who asks for them: the catalog is read as a whole after each change, and most
//! tables are not asked about.

use std::sync::OnceLock;

use super::codec::{Reader, Writer, damaged};
use super::object::ColumnNumber;
use crate::error::Result;
use crate::types::builtin_type;
use crate::value::{Datum, PhysicalKind, RowColumn, RowLayout};

/// How a column's values are distributed.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStatistics {
    pub number: ColumnNumber,
    /// The column's type then: after a change of type the values mean nothing.
    pub type_oid: u32,
    pub null_fraction: f32,
    /// The average width of the values that are not NULL, in bytes.
    pub width: i32,
    /// How many different values there are; negative: a part of the rows, as it grows with them; 0: unknown.
    pub distinct: f32,
    /// The most common values, with the part of all rows that each has.
    pub most_common: Vec<Datum>,
    pub frequencies: Vec<f32>,
    /// Bounds between which there are equally many of the other values.
    pub histogram: Vec<Datum>,
    /// Between the order of the values and that of the rows: -1 to 1.
    pub correlation: Option<f32>,
}

/// What is known about a table.
#[derive(Clone, Debug)]
pub struct Statistics {
    pub table: u32,
    pub rows: f64,
    pub pages: f64,
    /// The columns, encoded.
    stored: Vec<u8>,
    columns: OnceLock<Vec<ColumnStatistics>>,
}

impl PartialEq for Statistics {
    fn eq(&self, other: &Statistics) -> bool {
        (self.table, self.rows, self.pages) == (other.table, other.rows, other.pages)
            && self.stored == other.stored
    }
}

impl Statistics {
    /// The statistics of a table.
    #[must_use]
    pub fn new(table: u32, rows: f64, pages: f64, columns: &[ColumnStatistics]) -> Statistics {
        let mut writer = Writer::default();
        writer.list(columns, encode_column);
        Statistics { table, rows, pages, stored: writer.0, columns: OnceLock::new() }
    }

    /// All columns that are known.
    pub fn columns(&self) -> &[ColumnStatistics] {
        // Statistics only advise: what cannot be read is not known.
        self.columns.get_or_init(|| Reader(&self.stored).list(decode_column).unwrap_or_default())
    }

    /// A column, if it is known and still of its type.
    #[must_use]
    pub fn column(&self, number: ColumnNumber, type_oid: u32) -> Option<&ColumnStatistics> {
        self.columns().iter().find(|column| column.number == number && column.type_oid == type_oid)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.table);
        writer.u64(self.rows.to_bits());
        writer.u64(self.pages.to_bits());
        writer.bytes(&self.stored);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Statistics> {
        Ok(Statistics {
            table: reader.u32()?,
            rows: f64::from_bits(reader.u64()?),
            pages: f64::from_bits(reader.u64()?),
            stored: reader.bytes()?.to_vec(),
            columns: OnceLock::new(),
        })
    }
}

/// Values of one type are stored as a row of so many columns.
fn layout(type_oid: u32, count: usize) -> RowLayout {
    let kind = builtin_type(type_oid).map_or(PhysicalKind::Text, |info| info.kind);
    RowLayout::new(vec![RowColumn { kind, missing: Datum::Null }; count])
}

fn encode_values(writer: &mut Writer, type_oid: u32, values: &[Datum]) {
    let mut bytes = Vec::new();
    let encoded = layout(type_oid, values.len()).encode(1, values, &mut bytes);
    // Values that do not fit their type are left out.
    let count = if encoded.is_ok() { values.len() } else { 0 };
    writer.u32(u32::try_from(count).unwrap_or(0));
    writer.bytes(&bytes);
}

fn decode_values(reader: &mut Reader<'_>, type_oid: u32) -> Result<Vec<Datum>> {
    let count = reader.u32()? as usize;
    let bytes = reader.bytes()?;
    if count > bytes.len() * 8 {
        return Err(damaged());
    }
    let layout = layout(type_oid, count);
    let row = layout.view(bytes)?;
    (0..count).map(|at| row.get(at)).collect()
}

fn encode_column(writer: &mut Writer, column: &ColumnStatistics) {
    let float = |writer: &mut Writer, value: f32| writer.u32(value.to_bits());
    writer.number(column.number);
    writer.u32(column.type_oid);
    float(writer, column.null_fraction);
    writer.u32(column.width.cast_unsigned());
    float(writer, column.distinct);
    encode_values(writer, column.type_oid, &column.most_common);
    writer.list(&column.frequencies, |writer, value| float(writer, *value));
    encode_values(writer, column.type_oid, &column.histogram);
    writer.bool(column.correlation.is_some());
    writer.u32(column.correlation.unwrap_or_default().to_bits());
}

fn decode_column(reader: &mut Reader<'_>) -> Result<ColumnStatistics> {
    let float = |reader: &mut Reader<'_>| reader.u32().map(f32::from_bits);
    let (number, type_oid) = (reader.number()?, reader.u32()?);
    let (null_fraction, width, distinct) = (float(reader)?, reader.u32()?.cast_signed(), float(reader)?);
    let most_common = decode_values(reader, type_oid)?;
    let frequencies = reader.list(float)?;
    if frequencies.len() != most_common.len() {
        return Err(damaged());
    }
    let histogram = decode_values(reader, type_oid)?;
    let has_correlation = reader.bool()?;
    let correlation = Some(float(reader)?).filter(|_| has_correlation);
    Ok(ColumnStatistics {
        number,
        type_oid,
        null_fraction,
        width,
        distinct,
        most_common,
        frequencies,
        histogram,
        correlation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::oids;

    /// What is written is read again, and bytes that make no sense are no statistics.
    #[test]
    fn statistics_survive_their_stored_form() {
        let column = ColumnStatistics {
            number: 2,
            type_oid: oids::TEXT,
            null_fraction: 0.25,
            width: 7,
            distinct: -0.5,
            most_common: vec![Datum::text("a"), Datum::text("b")],
            frequencies: vec![0.5, 0.25],
            histogram: vec![Datum::text("c"), Datum::text("d"), Datum::text("e")],
            correlation: Some(-1.0),
        };
        let statistics = Statistics::new(16_384, 1e6, 5_000.0, std::slice::from_ref(&column));
        let mut writer = Writer::default();
        statistics.encode(&mut writer);
        let again = Statistics::decode(&mut Reader(&writer.0)).expect("statistics");
        assert_eq!(again, statistics);
        assert_eq!(again.column(2, oids::TEXT), Some(&column));
        assert_eq!(again.column(2, oids::INT4), None);
        for end in 0..writer.0.len() {
            assert!(Statistics::decode(&mut Reader(&writer.0[..end])).is_err());
        }
        let garbage = Statistics { stored: vec![0, 0, 0, 9, 1], ..statistics };
        let garbage = Statistics { columns: OnceLock::new(), ..garbage };
        assert!(garbage.columns().is_empty());
    }
}
