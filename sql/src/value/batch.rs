//! A batch: columns of equal length, the unit that flows between operators.

use super::{Column, Datum};

/// How many rows operators aim to put into a batch.
pub const BATCH_ROWS: usize = 1024;

/// Rows, column by column. A batch without columns still has a row count.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub columns: Vec<Column>,
    pub row_count: usize,
}

impl Batch {
    /// A batch of columns that all have `row_count` rows.
    #[must_use]
    pub fn new(columns: Vec<Column>, row_count: usize) -> Batch {
        debug_assert!(columns.iter().all(|column| column.len() == row_count));
        Batch { columns, row_count }
    }

    /// One value.
    #[must_use]
    pub fn datum(&self, row: usize, column: usize) -> Datum {
        self.columns[column].get(row)
    }

    /// One row's values.
    #[must_use]
    pub fn row(&self, row: usize) -> Vec<Datum> {
        self.columns.iter().map(|column| column.get(row)).collect()
    }

    /// The rows at `indices`, in that order.
    #[must_use]
    pub fn gather(&self, indices: &[u32]) -> Batch {
        let columns = self.columns.iter().map(|column| column.gather(indices)).collect();
        Batch { columns, row_count: indices.len() }
    }

    /// The rows of `range`.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Batch {
        let indices: Vec<u32> = range.map(|row| row as u32).collect();
        self.gather(&indices)
    }
}
