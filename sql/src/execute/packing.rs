//! Keys of columns of fixed width as numbers, made column by column: nothing is encoded row by row.
//!
//! Each column has its bits in the number, and one that says that it is NULL. Texts of few characters are their bytes and
//! zeros behind them, which no text contains.

use crate::error::{Result, SqlError};
use crate::types::oids;
use crate::value::{Column, ColumnData, KeyColumn, PhysicalKind};

/// Where the columns of a key are in its number.
#[derive(Clone, Debug)]
pub struct Packing {
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    shift: u32,
    bits: u32,
    /// Whether a bit behind them says that it is NULL.
    has_null: bool,
    /// A text whose blanks at the end do not count.
    is_padded: bool,
}

/// The bits of the values of a column, if they are always so many.
fn width_bits(key: &KeyColumn) -> Option<u32> {
    Some(match key.kind {
        PhysicalKind::Bool | PhysicalKind::Char => 8,
        PhysicalKind::Int16 => 16,
        PhysicalKind::Int32 | PhysicalKind::Date | PhysicalKind::Oid => 32,
        PhysicalKind::Int64 | PhysicalKind::Time | PhysicalKind::Timestamp | PhysicalKind::TimestampTz => 64,
        // A character takes up to four bytes.
        PhysicalKind::Text => {
            32 * u32::try_from(key.data_type.character_length()?).ok().filter(|n| *n < 4)?
        }
        _ => return None,
    })
}

impl Packing {
    /// The packing of keys of these columns, if they have room.
    #[must_use]
    pub fn of(keys: &[KeyColumn]) -> Option<Packing> {
        let mut places = Vec::with_capacity(keys.len());
        let mut shift = 0;
        for key in keys {
            let mut bits = width_bits(key)?;
            // A single number is given its sign: negative ones lie beside zero.
            if keys.len() == 1 && key.kind != PhysicalKind::Text {
                bits = 64;
            }
            places.push(Place { shift, bits, has_null: true, is_padded: key.data_type.oid == oids::BPCHAR });
            shift += bits + 1;
        }
        (!places.is_empty() && shift <= u128::BITS).then_some(Packing { places })
    }

    /// The packing of two integers of any width, as joins compare them. What is NULL has to be looked up beside.
    #[must_use]
    pub fn of_two_integers(keys: &[KeyColumn]) -> Option<Packing> {
        let is_integer = |key: &KeyColumn| matches!(key.data_type.oid, oids::INT2 | oids::INT4 | oids::INT8);
        let place = |shift| Place { shift, bits: 64, has_null: false, is_padded: false };
        (keys.len() == 2 && keys.iter().all(is_integer))
            .then(|| Packing { places: vec![place(0), place(64)] })
    }

    /// Whether all keys but NULL are 64-bit integers.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        matches!(self.places.as_slice(), [only] if only.bits == 64)
    }

    /// The keys of all rows of these columns.
    ///
    /// # Errors
    /// XX000 if values are not of the types that the packing was made for.
    pub fn pack<'c>(
        &self,
        columns: impl Iterator<Item = &'c Column>,
        row_count: usize,
        keys: &mut Vec<u128>,
    ) -> Result<()> {
        keys.clear();
        keys.resize(row_count, 0);
        for (place, column) in self.places.iter().zip(columns) {
            place.add(column, keys)?;
        }
        Ok(())
    }
}

impl Place {
    /// Adds a column to the keys.
    fn add(self, column: &Column, keys: &mut [u128]) -> Result<()> {
        macro_rules! integers {
            ($values:expr) => {
                self.add_each(column, keys, $values.iter().map(|value| i64::from(*value) as u64))
            };
        }
        match column.data() {
            ColumnData::Bool(values) => integers!(values),
            ColumnData::Char(values) => integers!(values),
            ColumnData::Int16(values) => integers!(values),
            ColumnData::Int32(values) | ColumnData::Date(values) => integers!(values),
            ColumnData::Oid(values) => integers!(values),
            ColumnData::Int64(values)
            | ColumnData::Time(values)
            | ColumnData::Timestamp(values)
            | ColumnData::TimestampTz(values) => integers!(values),
            ColumnData::Text(texts) => return self.add_texts(column, keys, |at| texts.get(at)),
            _ => return Err(of_another_type()),
        }
        Ok(())
    }

    fn null_bit(self) -> u128 {
        if self.has_null { 1 << (self.shift + self.bits) } else { 0 }
    }

    /// Adds numbers; `stored` are the column's stored values in order.
    #[inline]
    fn add_each(self, column: &Column, keys: &mut [u128], mut stored: impl Iterator<Item = u64>) {
        let mask = u64::MAX >> (64 - self.bits);
        let bits_of = |value: u64| u128::from(value & mask) << self.shift;
        let null = self.null_bit();
        match (column.is_constant(), column.validity()) {
            (true, _) => {
                let value = stored.next().map_or(0, bits_of);
                let bits = if column.is_null(0) { null } else { value };
                keys.iter_mut().for_each(|key| *key |= bits);
            }
            (false, None) => keys.iter_mut().zip(stored).for_each(|(key, value)| *key |= bits_of(value)),
            (false, Some(validity)) => {
                for (row, (key, value)) in keys.iter_mut().zip(stored).enumerate() {
                    *key |= if validity.get(row) { bits_of(value) } else { null };
                }
            }
        }
    }

    fn add_texts<'t>(
        self,
        column: &Column,
        keys: &mut [u128],
        text_at: impl Fn(usize) -> &'t str,
    ) -> Result<()> {
        for (row, key) in keys.iter_mut().enumerate() {
            if column.is_null(row) {
                *key |= self.null_bit();
                continue;
            }
            let mut text = text_at(column.stored_index(row)).as_bytes();
            while self.is_padded
                && let [before @ .., b' '] = text
            {
                text = before;
            }
            if 8 * text.len() > self.bits as usize {
                return Err(of_another_type());
            }
            let bits = match *text {
                [only] => u128::from(only),
                _ => text.iter().rev().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte)),
            };
            *key |= bits << self.shift;
        }
        Ok(())
    }
}

#[cold]
fn of_another_type() -> SqlError {
    SqlError::internal("the values of a key are not of its type")
}

#[cfg(test)]
mod tests {
    use super::Packing;
    use crate::types::{DataType, oids};
    use crate::value::{Column, ColumnBuilder, Datum, KeyColumn, PhysicalKind};

    fn column(kind: PhysicalKind, values: &[Datum]) -> Column {
        let mut builder = ColumnBuilder::new(kind, values.len());
        values.iter().for_each(|value| builder.push(value.clone()).expect("of this kind"));
        builder.finish()
    }

    /// Rows have equal keys where they have equal values, NULL being one.
    #[test]
    fn keys_tell_rows_apart() {
        let days =
            [Datum::Date(-1), Datum::Date(0), Datum::Null, Datum::Date(i32::MAX), Datum::Date(i32::MIN)];
        let numbers = [Datum::Int64(-1), Datum::Int64(0), Datum::Null, Datum::Int64(i64::MIN)];
        let texts = [Datum::text("ö"), Datum::text("o "), Datum::text("o"), Datum::text(""), Datum::Null];
        let mut rows = Vec::new();
        for day in &days {
            for number in &numbers {
                rows.push([day.clone(), number.clone()]);
            }
        }
        let packing = Packing::of(&[
            KeyColumn::ascending(DataType::of(oids::DATE), PhysicalKind::Date),
            KeyColumn::ascending(DataType::INT8, PhysicalKind::Int64),
        ]);
        let packing = packing.expect("there is room for both");
        let of = |at: usize| rows.iter().map(|row| row[at].clone()).collect::<Vec<_>>();
        let columns = [column(PhysicalKind::Date, &of(0)), column(PhysicalKind::Int64, &of(1))];
        let mut keys = Vec::new();
        packing.pack(columns.iter(), rows.len(), &mut keys).expect("these types");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), rows.len());

        let padded = DataType::bpchar(2);
        let packing =
            Packing::of(&[KeyColumn::ascending(padded, PhysicalKind::Text)]).expect("there is room");
        packing.pack([column(PhysicalKind::Text, &texts)].iter(), 5, &mut keys).expect("these types");
        assert_eq!(keys[1], keys[2]);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 4);
        let long = column(PhysicalKind::Text, &[Datum::text("too long a text")]);
        assert!(packing.pack([long].iter(), 1, &mut keys).is_err());
        let float = KeyColumn::ascending(DataType::of(oids::FLOAT8), PhysicalKind::Float64);
        assert!(Packing::of(&[float]).is_none());
    }
}
