//! Batches as bytes, for temporary files: whole columns end to end, so that most are copied at once.
//!
//! ```text
//! row count 4, column count 4; then for each column
//! kind      1   its number in `encoding.rs`
//! flags     1   bit 0: one value stands for all rows; bit 1: some value is NULL
//! validity      only if bit 1: 8 bytes for 64 values, set bits are values
//! values        fixed width: little-endian, end to end; text: where each string ends (4), then all of them;
//!               others: for each its length (4) and its bytes (`encoding.rs`)
//! ```
//!
//! Nothing of this is read by another process.

use super::column::TextData;
use super::{Batch, Bitmap, Column, ColumnData, PhysicalKind, encoding};
use crate::error::{Result, SqlError};

const CONSTANT: u8 = 1;
const HAS_NULLS: u8 = 2;

/// Appends a batch.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) {
    out.extend_from_slice(&(batch.row_count as u32).to_le_bytes());
    out.extend_from_slice(&(batch.columns.len() as u32).to_le_bytes());
    for column in &batch.columns {
        encode_column(column, out);
    }
}

fn encode_column(column: &Column, out: &mut Vec<u8>) {
    out.push(column.kind().number());
    let constant = if column.is_constant() { CONSTANT } else { 0 };
    out.push(constant | if column.validity().is_some() { HAS_NULLS } else { 0 });
    if let Some(validity) = column.validity() {
        validity.words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }
    macro_rules! fixed {
        ($values:expr) => {
            $values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()))
        };
    }
    match column.data() {
        ColumnData::Int16(values) => fixed!(values),
        ColumnData::Int32(values) | ColumnData::Date(values) => fixed!(values),
        ColumnData::Int64(values)
        | ColumnData::Time(values)
        | ColumnData::Timestamp(values)
        | ColumnData::TimestampTz(values) => fixed!(values),
        ColumnData::Float32(values) => fixed!(values),
        ColumnData::Float64(values) => fixed!(values),
        ColumnData::Oid(values) => fixed!(values),
        ColumnData::Text(text) => {
            text.offsets[1..].iter().for_each(|end| out.extend_from_slice(&end.to_le_bytes()));
            out.extend_from_slice(text.text.as_bytes());
        }
        data => {
            for at in 0..data.stored_len() {
                let length = out.len();
                out.extend_from_slice(&[0; 4]);
                encoding::encode(&data.get(at), out);
                let bytes = (out.len() - length - 4) as u32;
                out[length..length + 4].copy_from_slice(&bytes.to_le_bytes());
            }
        }
    }
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// XX001 if the bytes are no batch.
pub fn decode(bytes: &[u8]) -> Result<Batch> {
    let mut rest = bytes;
    let row_count = take_u32(&mut rest)? as usize;
    let column_count = take_u32(&mut rest)? as usize;
    // Each column takes two bytes at least.
    if column_count > bytes.len() {
        return Err(malformed());
    }
    let mut columns = Vec::with_capacity(column_count);
    for _ in 0..column_count {
        columns.push(decode_column(&mut rest, row_count)?);
    }
    if rest.is_empty() { Ok(Batch::new(columns, row_count)) } else { Err(malformed()) }
}

fn decode_column(rest: &mut &[u8], row_count: usize) -> Result<Column> {
    let [number, flags] = *take(rest, 2)? else { return Err(malformed()) };
    let kind = PhysicalKind::numbered(number).ok_or_else(malformed)?;
    let count = if flags & CONSTANT != 0 { 1 } else { row_count };
    let validity = match flags & HAS_NULLS {
        0 => None,
        _ => {
            let bytes = take(rest, count.div_ceil(64).checked_mul(8).ok_or_else(malformed)?)?;
            Some(Bitmap {
                words: bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect(),
                len: count,
            })
        }
    };
    let column = Column::new(decode_values(rest, kind, count)?, validity);
    Ok(if flags & CONSTANT != 0 { column.into_constant(row_count) } else { column })
}

fn decode_values(rest: &mut &[u8], kind: PhysicalKind, count: usize) -> Result<ColumnData> {
    macro_rules! fixed {
        ($variant:ident, $native:ty) => {{
            let bytes = take(rest, count.checked_mul(size_of::<$native>()).ok_or_else(malformed)?)?;
            let values = bytes.as_chunks().0.iter().map(|value| <$native>::from_le_bytes(*value));
            ColumnData::$variant(values.collect())
        }};
    }
    Ok(match kind {
        PhysicalKind::Int16 => fixed!(Int16, i16),
        PhysicalKind::Int32 => fixed!(Int32, i32),
        PhysicalKind::Date => fixed!(Date, i32),
        PhysicalKind::Int64 => fixed!(Int64, i64),
        PhysicalKind::Time => fixed!(Time, i64),
        PhysicalKind::Timestamp => fixed!(Timestamp, i64),
        PhysicalKind::TimestampTz => fixed!(TimestampTz, i64),
        PhysicalKind::Float32 => fixed!(Float32, f32),
        PhysicalKind::Float64 => fixed!(Float64, f64),
        PhysicalKind::Oid => fixed!(Oid, u32),
        PhysicalKind::Text => ColumnData::Text(decode_text(rest, count)?),
        _ => {
            let mut builder = super::ColumnBuilder::new(kind, count.min(rest.len()));
            for _ in 0..count {
                let length = take_u32(rest)? as usize;
                builder.push(encoding::decode(kind, take(rest, length)?)?)?;
            }
            builder.data
        }
    })
}

fn decode_text(rest: &mut &[u8], count: usize) -> Result<TextData> {
    let ends = take(rest, count.checked_mul(4).ok_or_else(malformed)?)?.as_chunks().0;
    let mut offsets = Vec::with_capacity(count + 1);
    offsets.push(0);
    offsets.extend(ends.iter().map(|end| u32::from_le_bytes(*end)));
    let length = offsets.last().copied().unwrap_or(0) as usize;
    let text = std::str::from_utf8(take(rest, length)?).map_err(|_| malformed())?;
    let is_sound = offsets.is_sorted() && offsets.iter().all(|end| text.is_char_boundary(*end as usize));
    if is_sound { Ok(TextData { offsets, text: text.to_string() }) } else { Err(malformed()) }
}

/// Takes bytes off the front.
pub fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(count).ok_or_else(malformed)?;
    *rest = behind;
    Ok(taken)
}

/// Takes a number off the front.
pub fn take_u32(rest: &mut &[u8]) -> Result<u32> {
    let (taken, behind) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
    *rest = behind;
    Ok(u32::from_le_bytes(*taken))
}

#[cold]
fn malformed() -> SqlError {
    SqlError::corrupted("a block of a temporary file is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DataType;
    use crate::value::span::spans;
    use crate::value::{
        ArrayValue, Bound, ColumnBuilder, Datum, Interval, Jsonb, Numeric, RecordShape, RecordValue, Span,
    };

    fn samples() -> Vec<Datum> {
        let record = RecordValue {
            fields: vec![Datum::Int32(4), Datum::Null],
            shape: RecordShape::unnamed([DataType::INT4, DataType::of(25)]),
        };
        vec![
            Datum::Bool(true),
            Datum::Int16(-3),
            Datum::Int32(70_000),
            Datum::Int64(i64::MIN),
            Datum::Float32(-0.5),
            Datum::Float64(1e300),
            Datum::Numeric(Numeric::from(12_345_i64)),
            Datum::text("zwölf Boxkämpfer"),
            Datum::from(vec![0_u8, 255, 7]),
            Datum::Date(9),
            Datum::Time(10),
            Datum::TimeTz(11, 3600),
            Datum::Timestamp(12),
            Datum::TimestampTz(13),
            Datum::Interval(Interval { months: 1, days: 2, micros: 3 }),
            Datum::Uuid([5; 16]),
            Datum::Oid(99),
            Datum::Char(b'x'),
            ArrayValue::from_elements(23, vec![Datum::Int32(1), Datum::Null]).into(),
            record.into(),
            Jsonb::from_bytes(&[1, 2, 3]).into(),
            spans([Span { lower: Bound::new(Datum::Int32(1), true), upper: Bound::NONE }]),
        ]
    }

    /// Every kind, with and without NULLs, as rows and as a constant, comes back as it was; cut short it is an error.
    #[test]
    fn batches_come_back() {
        for sample in samples() {
            let kind = sample.kind().unwrap();
            for nulls in [false, true] {
                let mut builder = ColumnBuilder::new(kind, 100);
                for row in 0..100 {
                    builder.push(if nulls && row % 3 == 0 { Datum::Null } else { sample.clone() }).unwrap();
                }
                let constant = if nulls { Datum::Null } else { sample.clone() };
                let constant = Column::constant(kind, &constant, 100).unwrap();
                let batch = Batch::new(vec![builder.finish(), constant], 100);
                let mut bytes = Vec::new();
                encode(&batch, &mut bytes);
                let back = decode(&bytes).unwrap();
                for row in 0..100 {
                    assert_eq!(back.row(row), batch.row(row));
                }
                for length in 0..bytes.len() {
                    assert!(decode(&bytes[..length]).is_err());
                }
            }
        }
    }

    #[test]
    fn picked_rows_come_in_their_order() {
        let column = |values: [i64; 2], nulls: bool| {
            let mut builder = ColumnBuilder::new(PhysicalKind::Int64, 2);
            values.iter().for_each(|value| builder.push(Datum::Int64(*value)).unwrap());
            if nulls {
                builder.push_null();
            }
            builder.finish()
        };
        let batches = [Batch::new(vec![column([1, 2], true)], 3), Batch::new(vec![column([3, 4], false)], 2)];
        let picked = super::super::gather_picked(&batches, &[(1, 0), (0, 2), (0, 1), (1, 1)]).unwrap();
        let values: Vec<Option<i64>> = (0..4).map(|row| picked.datum(row, 0).as_i64()).collect();
        assert_eq!(values, [Some(3), None, Some(2), Some(4)]);
    }
}
