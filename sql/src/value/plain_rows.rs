//! Stored rows of one leaf, read column by column.
//!
//! Rows are mostly alike: none of their columns is NULL or missing, and their offsets have the same width. Then a column is at
//! the same place in each, and what has to be asked of a row is asked once for all of them.

use helios_mvcc::ValuePlace;

use super::row::{FLAG_HAS_NULLS, Place, RowLayout, malformed_row, push_bytes};
use super::{ColumnBuilder, ColumnData, Numeric, encoding};
use crate::error::Result;

/// Flags, a schema version and a column count of a byte each.
const HEADER_BYTES: usize = 3;

/// From how many texts on they are checked together.
const TEXTS_TOGETHER: usize = 8;

/// Rows in a page that are alike.
pub struct PlainRows<'a> {
    layout: &'a RowLayout,
    page: &'a [u8],
    places: &'a [ValuePlace],
    offset_width: usize,
    /// Where, counted from a row's first byte, its end offsets and its variable bytes begin.
    offsets: usize,
    variable: usize,
}

impl<'a> PlainRows<'a> {
    /// The rows at some places of a page; `None` where they are not alike, or malformed.
    #[must_use]
    pub fn of(layout: &'a RowLayout, page: &'a [u8], places: &'a [ValuePlace]) -> Option<PlainRows<'a>> {
        let head = |place: &ValuePlace| page.get(place.start as usize..)?.first_chunk::<HEADER_BYTES>();
        let [flags, _, count] = *head(places.first()?)?;
        if flags > 5 || flags & FLAG_HAS_NULLS != 0 || count >= 0x80 {
            return None;
        }
        let columns = layout.columns().len();
        let offset_width = 1 << (flags >> 1);
        let offsets = HEADER_BYTES + layout.fixed_bytes[columns];
        let variable = offsets + layout.variable_count[columns] * offset_width;
        let alike = usize::from(count) == columns
            && places.iter().all(|place| {
                let is_alike = |head: &[u8; HEADER_BYTES]| {
                    head[0] == flags && head[1] < 0x80 && head[2] == count && place.start <= place.end
                };
                head(place).is_some_and(is_alike) && (place.end - place.start) as usize >= variable
            });
        alike.then_some(PlainRows { layout, page, places, offset_width, offsets, variable })
    }

    /// Keeps those of the selected rows for which a column of fixed width, `WIDTH` bytes, is as demanded.
    ///
    /// # Errors
    /// XX001 if the bytes are malformed there.
    #[inline(always)]
    pub fn retain_fixed<const WIDTH: usize>(
        &self,
        column: usize,
        selected: &mut Vec<u16>,
        demand: impl Fn([u8; WIDTH]) -> bool,
    ) -> Result<()> {
        let read = self.fixed::<WIDTH>(column).ok_or_else(malformed_row)?;
        retain(selected, |row| Ok(demand(read(row).ok_or_else(malformed_row)?)))
    }

    /// Keeps those of the selected rows for which two columns of fixed width, `WIDTH` bytes, are as demanded.
    ///
    /// # Errors
    /// XX001 if the bytes are malformed there.
    #[inline(always)]
    pub fn retain_pairs<const WIDTH: usize>(
        &self,
        (one, other): (usize, usize),
        selected: &mut Vec<u16>,
        demand: impl Fn([u8; WIDTH], [u8; WIDTH]) -> bool,
    ) -> Result<()> {
        let one = self.fixed::<WIDTH>(one).ok_or_else(malformed_row)?;
        let other = self.fixed::<WIDTH>(other).ok_or_else(malformed_row)?;
        retain(selected, |row| match (one(row), other(row)) {
            (Some(one), Some(other)) => Ok(demand(one, other)),
            _ => Err(malformed_row()),
        })
    }

    /// Keeps those of the selected rows for which a column's bytes are as demanded.
    ///
    /// # Errors
    /// XX001 if the bytes are malformed there; those of the demand.
    #[inline(always)]
    pub fn retain_bytes(
        &self,
        column: usize,
        selected: &mut Vec<u16>,
        demand: impl Fn(&[u8]) -> Result<bool>,
    ) -> Result<()> {
        match self.layout.places[column] {
            Place::Fixed { start, width } => {
                retain(selected, |row| demand(self.fixed_bytes(row, start, width).ok_or_else(malformed_row)?))
            }
            Place::Variable { nth } => {
                retain(selected, |row| demand(self.variable_bytes(row, nth).ok_or_else(malformed_row)?))
            }
        }
    }

    /// Keeps those of the selected rows for which a numeric column is as demanded: it is given as mantissa and scale where it
    /// is short, and in any case as its bytes.
    ///
    /// # Errors
    /// XX001 if the bytes are malformed there; those of the demand.
    #[inline(always)]
    pub fn retain_numerics(
        &self,
        column: usize,
        selected: &mut Vec<u16>,
        demand: impl Fn(Option<(i64, u16)>, &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let Place::Variable { nth } = self.layout.places[column] else { return Err(malformed_row()) };
        retain(selected, |row| {
            let (start, end) = self.variable_range(row, nth).ok_or_else(malformed_row)?;
            demand(encoding::decode_short_numeric_at(self.page, start, end), &self.page[start..end])
        })
    }

    /// Appends the wanted columns of some rows to builders (one for each of `projection`, of the columns' kinds).
    ///
    /// # Errors
    /// XX001 if the bytes are malformed there.
    pub fn decode_into(
        &self,
        projection: &[usize],
        rows: &[u16],
        builders: &mut [ColumnBuilder],
    ) -> Result<()> {
        for (&column, builder) in projection.iter().zip(builders) {
            self.decode_column(column, rows, builder)?;
        }
        Ok(())
    }

    fn decode_column(&self, column: usize, rows: &[u16], builder: &mut ColumnBuilder) -> Result<()> {
        let nth = match self.layout.places[column] {
            Place::Fixed { start, width } => {
                match builder.data_mut() {
                    ColumnData::Int32(values) | ColumnData::Date(values) => {
                        self.append(column, rows, values, i32::from_le_bytes)?;
                    }
                    ColumnData::Int64(values)
                    | ColumnData::Time(values)
                    | ColumnData::Timestamp(values)
                    | ColumnData::TimestampTz(values) => {
                        self.append(column, rows, values, i64::from_le_bytes)?;
                    }
                    ColumnData::Float64(values) => self.append(column, rows, values, f64::from_le_bytes)?,
                    ColumnData::Int16(values) => self.append(column, rows, values, i16::from_le_bytes)?,
                    _ => {
                        let kind = self.layout.columns()[column].kind;
                        for &row in rows {
                            let bytes = self.fixed_bytes(row, start, width).ok_or_else(malformed_row)?;
                            push_bytes(kind, bytes, builder)?;
                        }
                        return Ok(());
                    }
                }
                builder.mark_all_valid();
                return Ok(());
            }
            Place::Variable { nth } => nth,
        };
        match builder.data_mut() {
            ColumnData::Numeric(values) => self.append_numerics(nth, rows, values)?,
            ColumnData::Text(values) if rows.len() >= TEXTS_TOGETHER => {
                let texts = rows.iter().map(|row| self.variable_bytes(*row, nth));
                values.extend_from_bytes(texts).ok_or_else(malformed_row)?;
            }
            _ => {
                let kind = self.layout.columns()[column].kind;
                for &row in rows {
                    let bytes = self.variable_bytes(row, nth).ok_or_else(malformed_row)?;
                    push_bytes(kind, bytes, builder)?;
                }
                return Ok(());
            }
        }
        builder.mark_all_valid();
        Ok(())
    }

    /// Appends a column of fixed width to a vector.
    #[inline(always)]
    fn append<const WIDTH: usize, T>(
        &self,
        column: usize,
        rows: &[u16],
        values: &mut Vec<T>,
        decode: impl Fn([u8; WIDTH]) -> T,
    ) -> Result<()> {
        let read = self.fixed::<WIDTH>(column).ok_or_else(malformed_row)?;
        values.reserve(rows.len());
        for &row in rows {
            values.push(decode(read(row).ok_or_else(malformed_row)?));
        }
        Ok(())
    }

    /// Appends the numerics that are the `nth` values of variable width.
    fn append_numerics(&self, nth: usize, rows: &[u16], values: &mut Vec<Numeric>) -> Result<()> {
        const STAGED: usize = 64;
        values.reserve(rows.len());
        let mut rows = rows;
        while !rows.is_empty() {
            // Made in two steps, so that no value goes through memory in other widths than it is loaded in.
            let mut staged = [(0, 0); STAGED];
            let mut count = 0;
            for (slot, row) in staged.iter_mut().zip(rows) {
                let (start, end) = self.variable_range(*row, nth).ok_or_else(malformed_row)?;
                let Some(short) = encoding::decode_short_numeric_at(self.page, start, end) else { break };
                *slot = short;
                count += 1;
            }
            let numeric = |(mantissa, scale): &(i64, u16)| Numeric::new(i128::from(*mantissa), *scale);
            values.extend(staged[..count].iter().map(numeric));
            rows = &rows[count..];
            if count < STAGED
                && let Some((long, rest)) = rows.split_first()
            {
                let bytes = self.variable_bytes(*long, nth).ok_or_else(malformed_row)?;
                values.push(encoding::decode_numeric(bytes)?);
                rows = rest;
            }
        }
        Ok(())
    }

    /// What reads a column of fixed width; `None` where its width is another.
    #[inline(always)]
    fn fixed<const WIDTH: usize>(&self, column: usize) -> Option<impl Fn(u16) -> Option<[u8; WIDTH]>> {
        match self.layout.places[column] {
            Place::Fixed { start, width } if width == WIDTH => {
                let from = HEADER_BYTES + start;
                Some(move |row: u16| {
                    let start = self.places.get(usize::from(row))?.start as usize + from;
                    self.page.get(start..start + WIDTH)?.first_chunk::<WIDTH>().copied()
                })
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn fixed_bytes(&self, row: u16, start: usize, width: usize) -> Option<&'a [u8]> {
        let start = self.places.get(usize::from(row))?.start as usize + HEADER_BYTES + start;
        self.page.get(start..start + width)
    }

    /// Where in the page the `nth` value of variable width is: within the row.
    #[inline(always)]
    fn variable_range(&self, row: u16, nth: usize) -> Option<(usize, usize)> {
        let place = self.places.get(usize::from(row))?;
        let first = place.start as usize;
        let end = |nth: usize| {
            let at = first + self.offsets + nth * self.offset_width;
            match self.offset_width {
                1 => self.page.get(at).map(|byte| usize::from(*byte)),
                2 => self.page.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes))),
                _ => self.page.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize),
            }
        };
        let variable = first + self.variable;
        let start = if nth == 0 { 0 } else { end(nth - 1)? };
        let end = variable + end(nth)?;
        (variable + start <= end && end <= place.end as usize).then_some((variable + start, end))
    }

    #[inline(always)]
    fn variable_bytes(&self, row: u16, nth: usize) -> Option<&'a [u8]> {
        let (start, end) = self.variable_range(row, nth)?;
        self.page.get(start..end)
    }
}

/// Keeps the rows that pass. No branch depends on which do, since that is hard to foretell.
#[inline(always)]
fn retain(selected: &mut Vec<u16>, passes: impl Fn(u16) -> Result<bool>) -> Result<()> {
    let mut kept = 0;
    for at in 0..selected.len() {
        let row = selected[at];
        let passes = passes(row)?;
        selected[kept] = row;
        kept += usize::from(passes);
    }
    selected.truncate(kept);
    Ok(())
}

#[cfg(test)]
mod tests {
    use helios_mvcc::ValuePlace;

    use super::PlainRows;
    use crate::value::row::{RowColumn, RowLayout};
    use crate::value::{ColumnBuilder, Datum, Numeric, PhysicalKind};

    const KINDS: [PhysicalKind; 7] = [
        PhysicalKind::Int16,
        PhysicalKind::Numeric,
        PhysicalKind::Int32,
        PhysicalKind::Text,
        PhysicalKind::Bool,
        PhysicalKind::Float64,
        PhysicalKind::Numeric,
    ];

    fn layout() -> RowLayout {
        RowLayout::new(KINDS.map(|kind| RowColumn { kind, missing: Datum::Null }).to_vec())
    }

    fn row(at: i64, filler: usize) -> Vec<Datum> {
        // Mantissas of all lengths and both signs.
        let mantissa = i128::from(at - 20) << (at % 20 * 6);
        vec![
            Datum::Int16(at as i16),
            Datum::Numeric(Numeric::new(mantissa, (at % 9) as u16)),
            Datum::Int32(-7 * at as i32),
            Datum::text("ä€x".repeat(at as usize % 4 + filler)),
            Datum::Bool(at % 2 == 0),
            Datum::Float64(at as f64 / 3.0),
            Datum::Numeric(if at == 5 { Numeric::NaN } else { Numeric::new(i128::from(at), 2) }),
        ]
    }

    /// Rows one behind the other, with nothing behind the last one.
    fn page(layout: &RowLayout, rows: &[Vec<Datum>]) -> (Vec<u8>, Vec<ValuePlace>) {
        let (mut page, mut places) = (vec![0xee; 32], Vec::new());
        for row in rows {
            let start = page.len() as u32;
            layout.encode(1, row, &mut page).expect("a row");
            places.push(ValuePlace { start, end: page.len() as u32 });
        }
        (page, places)
    }

    fn decoded(rows: &PlainRows<'_>, wanted: &[u16]) -> crate::error::Result<Vec<Vec<Datum>>> {
        let mut builders: Vec<ColumnBuilder> = KINDS.map(|kind| ColumnBuilder::new(kind, 0)).into();
        rows.decode_into(&[0, 1, 2, 3, 4, 5, 6], wanted, &mut builders)?;
        let columns: Vec<_> = builders.into_iter().map(ColumnBuilder::finish).collect();
        Ok((0..wanted.len()).map(|row| columns.iter().map(|column| column.get(row)).collect()).collect())
    }

    /// Whatever the width of the offsets, values come back as they were stored, of few rows and of many.
    #[test]
    fn values_come_back() {
        let layout = layout();
        for filler in [0, 100, 20_000] {
            let rows: Vec<Vec<Datum>> = (0..150).map(|at| row(at, filler)).collect();
            let (page, places) = page(&layout, &rows);
            let plain = PlainRows::of(&layout, &page, &places).expect("they are alike");
            for wanted in [vec![], vec![3], vec![0, 5, 149], (0..150).collect::<Vec<u16>>()] {
                let found = decoded(&plain, &wanted).expect("well formed");
                let expected: Vec<_> = wanted.iter().map(|at| rows[usize::from(*at)].clone()).collect();
                assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            }
        }
    }

    /// Rows with NULLs, of other widths or of fewer columns are not taken for like the others.
    #[test]
    fn others_are_told() {
        let layout = layout();
        let mut rows: Vec<Vec<Datum>> = (0..20).map(|at| row(at, 0)).collect();
        rows[13][2] = Datum::Null;
        let (bytes, places) = page(&layout, &rows);
        assert!(PlainRows::of(&layout, &bytes, &places).is_none());
        assert!(PlainRows::of(&layout, &bytes, &places[..13]).is_some());
        rows[13] = row(13, 200);
        let (bytes, places) = page(&layout, &rows);
        assert!(PlainRows::of(&layout, &bytes, &places).is_none());
        let mut columns = layout.columns().to_vec();
        columns.push(RowColumn { kind: PhysicalKind::Int32, missing: Datum::Int32(1) });
        assert!(PlainRows::of(&RowLayout::new(columns), &bytes, &places[..13]).is_none());
    }

    /// Bytes that are no rows are an error or other values, and no panic.
    #[test]
    fn malformed_rows_are_errors() {
        let layout = layout();
        let rows: Vec<Vec<Datum>> = (0..12).map(|at| row(at, 0)).collect();
        let (page, places) = page(&layout, &rows);
        let all: Vec<u16> = (0..12).collect();
        let mut failed = 0;
        for at in 32..page.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut page = page.clone();
                page[at] = byte;
                let Some(plain) = PlainRows::of(&layout, &page, &places) else { continue };
                failed += usize::from(decoded(&plain, &all).is_err());
                let mut selected = all.clone();
                let _ = plain.retain_numerics(1, &mut selected, |short, _| Ok(short.is_some()));
                let _ = plain.retain_bytes(3, &mut selected, |bytes| Ok(bytes.len() > 3));
                let _ = plain.retain_fixed::<4>(2, &mut selected, |bytes| bytes[0] > 3);
                assert!(plain.retain_fixed::<8>(2, &mut selected, |_| true).is_err());
            }
        }
        assert!(failed > 100, "{failed}");
    }
}
