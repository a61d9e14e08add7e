//! The stored form of a row.
//!
//! A table's columns are numbered for ever: column `i` of the layout is the column with stable number `i`, also
//! after others were dropped (a dropped column is stored as NULL), and a column added later has a number above
//! those of the rows written before. Such rows are simply shorter, and the layout says what the missing columns
//! hold; so adding or dropping a column touches no row.
//!
//! ```text
//! flags           1 byte   bit 0: some column is NULL; bits 1-2: width w of an offset, 1 << bits, 1, 2 or 4
//! schema version  varint   the version of the table's schema that wrote the row
//! column count    varint   n: columns 0..n are stored
//! null bitmap     (n+7)/8  only if bit 0: bit i % 8 of byte i / 8 set means column i is NULL
//! fixed values             of the columns of fixed width that are not NULL, in order
//! end offsets     m × w    little-endian, one for each column of variable width that is not NULL, in order:
//!                          where its bytes end, counted from the first variable byte
//! variable bytes           end to end, in order
//! ```
//!
//! The bytes of single values are described in `encoding.rs`; varints in `varint.rs`. Where no column is NULL
//! (the usual case) a column's place is computed from the layout alone; otherwise by one walk over the bitmap.

use super::{ColumnBuilder, ColumnData, Datum, Numeric, PhysicalKind, encoding, varint};
use crate::error::{Result, SqlError};

pub(super) const FLAG_HAS_NULLS: u8 = 1;
/// Flags and two varints.
const HEADER_BYTES_MAX: usize = 11;

/// A column of a table as its rows hold it.
#[derive(Clone, Debug)]
pub struct RowColumn {
    pub kind: PhysicalKind,
    /// What rows hold that were written before the column was added.
    pub missing: Datum,
}

/// The columns of a table by stable number, with places precomputed for rows without NULLs.
#[derive(Clone, Debug)]
pub struct RowLayout {
    columns: Vec<RowColumn>,
    pub(super) places: Vec<Place>,
    /// `fixed_bytes[i]`: bytes of the fixed-width columns among `0..i`; one more than there are columns.
    pub(super) fixed_bytes: Vec<usize>,
    /// `variable_count[i]`: columns of variable width among `0..i`.
    pub(super) variable_count: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// At `start` of the fixed values, where none before it is NULL.
    Fixed { start: usize, width: usize },
    /// The `nth` value of variable width, where none before it is NULL.
    Variable { nth: usize },
}

impl RowLayout {
    /// A layout of columns in the order of their stable numbers, dropped ones included.
    #[must_use]
    pub fn new(columns: Vec<RowColumn>) -> RowLayout {
        let mut places = Vec::with_capacity(columns.len());
        let (mut fixed_bytes, mut variable_count) = (vec![0], vec![0]);
        let (mut bytes, mut count) = (0, 0);
        for column in &columns {
            match column.kind.fixed_width() {
                Some(width) => {
                    places.push(Place::Fixed { start: bytes, width });
                    bytes += width;
                }
                None => {
                    places.push(Place::Variable { nth: count });
                    count += 1;
                }
            }
            fixed_bytes.push(bytes);
            variable_count.push(count);
        }
        RowLayout { columns, places, fixed_bytes, variable_count }
    }

    #[must_use]
    pub fn columns(&self) -> &[RowColumn] {
        &self.columns
    }

    /// Appends a row's bytes; `values` are all columns of the layout, dropped ones as NULL.
    ///
    /// # Errors
    /// XX000 if the values are not as many or not of the kinds of the layout; 54000 above 4 GiB.
    pub fn encode(&self, schema_version: u32, values: &[Datum], out: &mut Vec<u8>) -> Result<()> {
        if values.len() != self.columns.len() {
            return Err(SqlError::internal("row has another number of values than its table has columns"));
        }
        let start = out.len();
        let has_nulls = values.iter().any(Datum::is_null);
        let fixed_bytes = self.fixed_bytes.last().copied().unwrap_or_default();
        out.reserve(HEADER_BYTES_MAX + values.len() + fixed_bytes);
        out.push(u8::from(has_nulls));
        varint::write(schema_version, out);
        varint::write(values.len() as u32, out);
        if has_nulls {
            let bitmap = out.len();
            out.resize(bitmap + values.len().div_ceil(8), 0);
            for (index, value) in values.iter().enumerate() {
                if value.is_null() {
                    out[bitmap + index / 8] |= 1 << (index % 8);
                }
            }
        }
        for ((value, column), place) in values.iter().zip(&self.columns).zip(&self.places) {
            match (value, place) {
                // The usual ones, at once.
                (Datum::Int64(number), Place::Fixed { .. }) if column.kind == PhysicalKind::Int64 => {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                (Datum::Int32(number), Place::Fixed { .. }) if column.kind == PhysicalKind::Int32 => {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                _ => {
                    let Some(kind) = value.kind() else { continue };
                    if kind != column.kind {
                        return Err(wrong_kind(kind, column.kind));
                    }
                    if matches!(place, Place::Fixed { .. }) {
                        encoding::encode(value, out);
                    }
                }
            }
        }
        let places = self.places.iter().zip(values);
        let variable = places.filter_map(|(place, value)| match place {
            Place::Variable { .. } if !value.is_null() => Some(value),
            _ => None,
        });
        let count = match has_nulls {
            true => variable.clone().count(),
            false => self.variable_count.last().copied().unwrap_or_default(),
        };
        if count == 0 { Ok(()) } else { encode_variable(variable, count, start, out) }
    }

    /// Opens a row's bytes for reading single columns.
    ///
    /// # Errors
    /// XX001 if the bytes are no row of this layout.
    #[inline(always)]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> Result<RowView<'a>> {
        RowView::new(self, bytes)
    }

    /// Appends the wanted columns of a row to builders (one for each of `projection`, of the columns' kinds).
    pub fn decode_into(
        &self,
        row: &RowView<'_>,
        projection: &[usize],
        builders: &mut [ColumnBuilder],
    ) -> Result<()> {
        if row.has_nulls || row.column_count != self.columns.len() {
            return self.decode_any(row, projection, builders);
        }
        let variable = row.variable_part();
        for (&index, builder) in projection.iter().zip(builders) {
            let bytes = match self.places[index] {
                Place::Fixed { start, width } => row.fixed_bytes(start, width),
                Place::Variable { nth } => row.variable_bytes(variable, nth),
            };
            match bytes {
                Some(bytes) => push_bytes(self.columns[index].kind, bytes, builder)?,
                None => return Err(malformed_row()),
            }
        }
        Ok(())
    }

    /// The same of a row that has NULLs or is older than some column.
    #[inline(never)]
    fn decode_any(
        &self,
        row: &RowView<'_>,
        projection: &[usize],
        builders: &mut [ColumnBuilder],
    ) -> Result<()> {
        for (&index, builder) in projection.iter().zip(builders) {
            match row.plain(index) {
                Some(bytes) => push_bytes(self.columns[index].kind, bytes, builder)?,
                None => self.decode_located(row, index, builder)?,
            }
        }
        Ok(())
    }

    /// Appends a column of a row that has NULLs or is older than the column.
    #[inline(never)]
    fn decode_located(&self, row: &RowView<'_>, index: usize, builder: &mut ColumnBuilder) -> Result<()> {
        match row.locate(index)? {
            Located::Null => builder.push_null(),
            Located::Missing => builder.push(self.columns[index].missing.clone())?,
            Located::Bytes(bytes) => push_bytes(self.columns[index].kind, bytes, builder)?,
        }
        Ok(())
    }
}

#[cold]
fn wrong_kind(kind: PhysicalKind, wanted: PhysicalKind) -> SqlError {
    SqlError::internal(format!("{kind:?} value for a {wanted:?} column"))
}

/// Appends the `count` values of variable width, and before them where each ends, to the row that begins at `start`.
///
/// They are written where the offsets assume a width of one, and moved if that is too little: short rows, the usual ones,
/// are written once.
fn encode_variable<'v>(
    values: impl Iterator<Item = &'v Datum>,
    count: usize,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let offsets = out.len();
    out.resize(offsets + count, 0);
    let first = out.len();
    let mut ends = smallvec::SmallVec::<[u32; 16]>::new();
    for value in values {
        match value {
            Datum::Text(text) => out.extend_from_slice(text.as_bytes()),
            _ => encoding::encode(value, out),
        }
        let end = u32::try_from(out.len() - first)
            .map_err(|_| SqlError::new(crate::error::SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too big"))?;
        ends.push(end);
    }
    let width_bits: u8 = match out.len() - first {
        0..=0xff => {
            for (byte, end) in out[offsets..first].iter_mut().zip(&ends) {
                *byte = *end as u8;
            }
            return Ok(());
        }
        0x100..=0xffff => 1,
        _ => 2,
    };
    let width = 1usize << width_bits;
    let total = out.len();
    out.resize(total + count * (width - 1), 0);
    out.copy_within(first..total, offsets + count * width);
    out[start] |= width_bits << 1;
    for (index, end) in ends.iter().enumerate() {
        let at = offsets + index * width;
        out[at..at + width].copy_from_slice(&end.to_le_bytes()[..width]);
    }
    Ok(())
}

/// Appends one stored value to a builder without making a datum of it; the kinds that most tables are made of at once.
#[inline(always)]
pub(super) fn push_bytes(kind: PhysicalKind, bytes: &[u8], builder: &mut ColumnBuilder) -> Result<()> {
    match (builder.data_mut(), bytes) {
        (ColumnData::Int32(values) | ColumnData::Date(values), &[a, b, c, d]) => {
            values.push(i32::from_le_bytes([a, b, c, d]));
        }
        (
            ColumnData::Int64(values)
            | ColumnData::Time(values)
            | ColumnData::Timestamp(values)
            | ColumnData::TimestampTz(values),
            &[a, b, c, d, e, f, g, h],
        ) => values.push(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
        (ColumnData::Float64(values), &[a, b, c, d, e, f, g, h]) => {
            values.push(f64::from_le_bytes([a, b, c, d, e, f, g, h]));
        }
        (ColumnData::Numeric(values), _) => match encoding::decode_short_numeric(bytes) {
            Some((mantissa, scale)) => values.push(Numeric::new(i128::from(mantissa), scale)),
            None => return push_rare(kind, bytes, builder),
        },
        (ColumnData::Text(values), _) => values.push(encoding::decode_text(bytes)?),
        _ => return push_rare(kind, bytes, builder),
    }
    builder.mark_valid();
    Ok(())
}

/// The same for all others.
#[inline(never)]
fn push_rare(kind: PhysicalKind, bytes: &[u8], builder: &mut ColumnBuilder) -> Result<()> {
    macro_rules! fixed {
        ($values:ident, $native:ty) => {
            $values.push(<$native>::from_le_bytes(bytes.try_into().map_err(|_| encoding::malformed(kind))?))
        };
    }
    match builder.data_mut() {
        ColumnData::Int16(values) => fixed!(values, i16),
        ColumnData::Float32(values) => fixed!(values, f32),
        ColumnData::Oid(values) => fixed!(values, u32),
        ColumnData::Char(values) => fixed!(values, u8),
        ColumnData::Interval(values) => values.push(encoding::decode_interval(bytes)?),
        _ => return builder.push(encoding::decode(kind, bytes)?),
    }
    builder.mark_valid();
    Ok(())
}

/// Where a column is in a row.
enum Located<'a> {
    Null,
    /// The row is older than the column.
    Missing,
    Bytes(&'a [u8]),
}

/// One stored row, opened.
#[derive(Clone, Copy)]
pub struct RowView<'a> {
    layout: &'a RowLayout,
    bytes: &'a [u8],
    schema_version: u32,
    /// Columns stored.
    column_count: usize,
    has_nulls: bool,
    /// Where the bitmap would begin.
    bitmap: usize,
    /// Where the fixed values begin.
    fixed: usize,
    offset_width: usize,
}

impl<'a> RowView<'a> {
    /// The row as it is stored.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    // Inlined, so that no view goes through memory: scans make one for each row, and loading what was stored
    // a moment ago in other widths waits for the stores.
    #[inline(always)]
    fn new(layout: &'a RowLayout, bytes: &'a [u8]) -> Result<RowView<'a>> {
        // Nearly all heads are three bytes.
        let (flags, schema_version, column_count, mut position) = match *bytes {
            [flags, version @ 0..0x80, count @ 0..0x80, ..] => {
                (flags, u32::from(version), usize::from(count), 3)
            }
            _ => RowView::long_head(bytes)?,
        };
        if flags > 5 || column_count > layout.columns.len() {
            return Err(malformed_row());
        }
        let has_nulls = flags & FLAG_HAS_NULLS != 0;
        let bitmap = position;
        if has_nulls {
            position += column_count.div_ceil(8);
        }
        if position > bytes.len() {
            return Err(malformed_row());
        }
        Ok(RowView {
            layout,
            bytes,
            schema_version,
            column_count,
            has_nulls,
            bitmap,
            fixed: position,
            offset_width: 1 << (flags >> 1),
        })
    }

    /// Flags, schema version, column count, and where they end.
    #[inline(never)]
    fn long_head(bytes: &[u8]) -> Result<(u8, u32, usize, usize)> {
        let flags = *bytes.first().ok_or_else(malformed_row)?;
        let mut position = 1;
        let schema_version = varint::read(bytes, &mut position)?;
        let column_count = varint::read(bytes, &mut position)? as usize;
        Ok((flags, schema_version, column_count, position))
    }

    /// The version of the table's schema that wrote the row.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// Whether column `index` is NULL.
    #[must_use]
    #[inline]
    pub fn is_null(&self, index: usize) -> bool {
        if index >= self.column_count {
            return self.layout.columns[index].missing.is_null();
        }
        self.stored_null(index)
    }

    #[inline]
    fn stored_null(&self, index: usize) -> bool {
        self.has_nulls && self.bytes[self.bitmap + index / 8] >> (index % 8) & 1 != 0
    }

    /// The value of column `index`.
    ///
    /// # Errors
    /// XX001 if the bytes are malformed there.
    #[inline]
    pub fn get(&self, index: usize) -> Result<Datum> {
        match self.locate(index)? {
            Located::Null => Ok(Datum::Null),
            Located::Missing => Ok(self.layout.columns[index].missing.clone()),
            Located::Bytes(bytes) => encoding::decode(self.layout.columns[index].kind, bytes),
        }
    }

    /// Whether the row was written before column `index` was added.
    #[must_use]
    #[inline]
    pub fn is_older_than(&self, index: usize) -> bool {
        index >= self.column_count
    }

    /// The stored bytes of column `index`, which the row is not older than; `None` for NULL.
    ///
    /// # Errors
    /// XX001 if the bytes are malformed there.
    #[inline]
    pub fn bytes_of(&self, index: usize) -> Result<Option<&'a [u8]>> {
        match self.plain(index) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.located_bytes_of(index),
        }
    }

    #[inline(never)]
    fn located_bytes_of(&self, index: usize) -> Result<Option<&'a [u8]>> {
        match self.locate(index)? {
            Located::Bytes(bytes) => Ok(Some(bytes)),
            Located::Null | Located::Missing => Ok(None),
        }
    }

    /// The bytes of a column that is in the row, where none of the row is NULL, which is the usual case: its place is
    /// that of the layout. `None`: see [`RowView::locate`].
    #[inline(always)]
    pub(crate) fn plain(&self, index: usize) -> Option<&'a [u8]> {
        if self.has_nulls || index >= self.column_count {
            return None;
        }
        match self.layout.places[index] {
            Place::Fixed { start, width } => self.fixed_bytes(start, width),
            Place::Variable { nth } => self.variable_bytes(self.variable_part(), nth),
        }
    }

    #[inline(always)]
    fn fixed_bytes(&self, start: usize, width: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.fixed + start..)?.get(..width)
    }

    /// Where the end offsets and the variable bytes of a row without NULLs begin.
    #[inline(always)]
    fn variable_part(&self) -> (usize, usize) {
        let offsets = self.fixed + self.layout.fixed_bytes[self.column_count];
        (offsets, offsets + self.layout.variable_count[self.column_count] * self.offset_width)
    }

    #[inline(always)]
    fn variable_bytes(&self, (offsets, first): (usize, usize), nth: usize) -> Option<&'a [u8]> {
        let width = self.offset_width;
        let start = if nth == 0 { 0 } else { self.offset(offsets + (nth - 1) * width)? };
        let end = self.offset(offsets + nth * width)?;
        self.bytes.get(first + start..first + end)
    }

    /// The offset that is stored at a place.
    #[inline(always)]
    fn offset(&self, at: usize) -> Option<usize> {
        match self.offset_width {
            1 => self.bytes.get(at).map(|byte| usize::from(*byte)),
            2 => match *self.bytes.get(at..at + 2)? {
                [a, b] => Some(usize::from(u16::from_le_bytes([a, b]))),
                _ => None,
            },
            _ => match *self.bytes.get(at..at + 4)? {
                [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d]) as usize),
                _ => None,
            },
        }
    }

    fn locate(&self, index: usize) -> Result<Located<'a>> {
        if index >= self.column_count {
            return Ok(Located::Missing);
        }
        if self.stored_null(index) {
            return Ok(Located::Null);
        }
        match self.layout.places[index] {
            Place::Fixed { width, .. } => {
                let start = self.fixed + self.fixed_before(index);
                self.bytes.get(start..start + width).map(Located::Bytes).ok_or_else(malformed_row)
            }
            Place::Variable { .. } => self.locate_variable(index),
        }
    }

    fn locate_variable(&self, index: usize) -> Result<Located<'a>> {
        let width = self.offset_width;
        let offsets = self.fixed + self.fixed_before(self.column_count);
        let first = offsets + self.variable_before(self.column_count) * width;
        let nth = self.variable_before(index);
        let offset = |nth: usize| self.offset(offsets + nth * width).ok_or_else(malformed_row);
        let start = if nth == 0 { 0 } else { offset(nth - 1)? };
        let end = offset(nth)?;
        self.bytes.get(first + start..first + end).map(Located::Bytes).ok_or_else(malformed_row)
    }

    /// Bytes of stored fixed-width values before column `index`.
    #[inline]
    fn fixed_before(&self, index: usize) -> usize {
        let all = self.layout.fixed_bytes[index];
        if !self.has_nulls {
            return all;
        }
        let absent = (0..index).filter(|&column| self.stored_null(column));
        let absent_bytes: usize = absent
            .map(|column| match self.layout.places[column] {
                Place::Fixed { width, .. } => width,
                Place::Variable { .. } => 0,
            })
            .sum();
        all - absent_bytes
    }

    /// Stored values of variable width before column `index`.
    #[inline]
    fn variable_before(&self, index: usize) -> usize {
        let all = self.layout.variable_count[index];
        if !self.has_nulls {
            return all;
        }
        let is_absent = |column: &usize| {
            matches!(self.layout.places[*column], Place::Variable { .. }) && self.stored_null(*column)
        };
        all - (0..index).filter(is_absent).count()
    }
}

#[cold]
pub(super) fn malformed_row() -> SqlError {
    SqlError::corrupted("stored row is malformed")
}
