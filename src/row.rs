//! Rows of a result.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use helios_sql::binder::ResultColumn;
use helios_sql::error::{SqlError, SqlState};
use helios_sql::functions::EvalContext;
use helios_sql::session::{Portal, Step};
use helios_sql::value::{Batch, Datum};

use crate::database::Lease;
use crate::{FromValue, Result, Value};

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Arc<[ResultColumn]>,
    values: Vec<Value>,
}

/// How a column is named: a position gives a [`Value`], a name any type that the value can be read as.
pub trait ColumnIndex<T> {
    /// Reads the column.
    ///
    /// # Errors
    /// 42703 where there is no such column, 42846 where its value is of another type.
    fn read(self, row: &Row) -> Result<T>;
}

impl ColumnIndex<Value> for usize {
    fn read(self, row: &Row) -> Result<Value> {
        row.at(self)
    }
}

impl<T: FromValue> ColumnIndex<T> for &str {
    fn read(self, row: &Row) -> Result<T> {
        let position = row.columns.iter().position(|column| column.name == self);
        match position {
            Some(position) => T::from_value(&row.values[position]),
            None => Err(no_column(self)),
        }
    }
}

fn no_column(name: impl std::fmt::Display) -> crate::Error {
    SqlError::new(SqlState::UNDEFINED_COLUMN, format!("the result has no column {name}")).into()
}

impl Row {
    /// `row.get(0)` gives a [`Value`]; `row.get::<i64>("name")` a value of a type.
    ///
    /// # Errors
    /// 42703 where there is no such column, 42846 where its value is of another type.
    pub fn get<T>(&self, index: impl ColumnIndex<T>) -> Result<T> {
        index.read(self)
    }

    /// The column at a position, as a type.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn get_at<T: FromValue>(&self, position: usize) -> Result<T> {
        T::from_value(self.values.get(position).ok_or_else(|| no_column(position))?)
    }

    /// A row of a result that has these columns, to be filled.
    pub(crate) fn of(columns: &Arc<[ResultColumn]>) -> Row {
        Row { columns: columns.clone(), values: Vec::with_capacity(columns.len()) }
    }

    /// Takes values over.
    pub(crate) fn fill(&mut self, row: &[Datum], context: &EvalContext<'_>) -> Result<()> {
        self.values.clear();
        for (value, column) in row.iter().zip(self.columns.iter()) {
            self.values.push(Value::from_datum(value, column.data_type, context)?);
        }
        Ok(())
    }

    fn at(&self, position: usize) -> Result<Value> {
        self.values.get(position).cloned().ok_or_else(|| no_column(position))
    }

    /// All values.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The columns' names.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

/// A batch's rows.
pub(crate) fn rows_of(
    batch: &Batch,
    columns: &Arc<[ResultColumn]>,
    context: &EvalContext<'_>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(batch.row_count);
    for row in 0..batch.row_count {
        let mut values = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            values.push(Value::from_datum(&batch.datum(row, at), column.data_type, context)?);
        }
        rows.push(Row { columns: columns.clone(), values });
    }
    Ok(rows)
}

/// Rows as they are made, a batch at a time. Dropping it ends the query.
pub struct RowStream {
    lease: Lease,
    portal: Portal,
    columns: Arc<[ResultColumn]>,
    ready: VecDeque<Row>,
    done: bool,
}

impl RowStream {
    pub(crate) fn new(lease: Lease, portal: Portal) -> RowStream {
        let columns = portal.prepared.row_columns.clone();
        RowStream { lease, portal, columns, ready: VecDeque::new(), done: false }
    }

    /// The next row.
    ///
    /// # Errors
    /// Those of executing the query.
    pub async fn next_async(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            if self.done {
                return Ok(None);
            }
            let session = self.lease.session();
            match session.step(&mut self.portal, &mut None).await? {
                Step::Rows(batch) => {
                    let formats = session.formats().clone();
                    let never = AtomicBool::new(false);
                    let context = self.portal.printing(&formats, &never);
                    self.ready = rows_of(&batch, &self.columns, &context)?.into();
                }
                _ => {
                    self.done = true;
                    session.sync().await?;
                }
            }
        }
    }
}

impl Iterator for RowStream {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        futures_lite::future::block_on(self.next_async()).transpose()
    }
}
