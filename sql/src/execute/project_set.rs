//! Functions of rows in the select list.
//!
//! For each input row the functions' rows go in lockstep: there are as many as the longest has, and a function that is
//! at its end gives NULL. A function of several columns gives records.

use super::values::builders;
use super::{BoxFuture, Execution, Operator};
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::functions::{EvalContext, Rows};
use crate::types::{DataType, oids};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum, RecordShape, RecordValue, Text};
use std::sync::Arc;

/// One function's rows for the input row at hand.
struct Source {
    rows: Option<Rows>,
    /// What its rows are as records.
    shape: Option<Arc<RecordShape>>,
}

/// Adds the functions' columns to its input's rows.
pub struct ProjectSet {
    input: Box<dyn Operator>,
    calls: Vec<Expr>,
    types: Vec<DataType>,
    batch: Option<Batch>,
    /// The row of the batch that the sources belong to.
    row: usize,
    sources: Option<Vec<Source>>,
}

impl ProjectSet {
    pub fn new(input: Box<dyn Operator>, calls: Vec<Expr>, types: Vec<DataType>) -> ProjectSet {
        ProjectSet { input, calls, types, batch: None, row: 0, sources: None }
    }

    fn start(&self, row: &[Datum], context: &EvalContext<'_>) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for call in &self.calls {
            let Expr::Call(call) = call else {
                return Err(SqlError::internal("a set-returning function was expected"));
            };
            let rows = Some(call.rows(&row, context)?);
            let is_record = call.function.return_type == oids::RECORD;
            sources.push(Source { rows, shape: is_record.then(|| record_shape(call)).flatten() });
        }
        Ok(sources)
    }

    /// Takes rows from the batch at hand until it or the result is full.
    fn fill(&mut self, builders: &mut [ColumnBuilder], context: &EvalContext<'_>) -> Result<usize> {
        let Some(batch) = &self.batch else { return Ok(0) };
        let mut count = 0;
        while count < BATCH_ROWS && self.row < batch.row_count {
            let row: Vec<Datum> =
                (0..batch.columns.len()).map(|column| batch.datum(self.row, column)).collect();
            let mut sources = match self.sources.take() {
                Some(sources) => sources,
                None => self.start(&row, context)?,
            };
            loop {
                let mut values = Vec::with_capacity(sources.len());
                let mut ended = true;
                for source in &mut sources {
                    let value = source.next(context)?;
                    ended &= value.is_none();
                    values.push(value.unwrap_or(Datum::Null));
                }
                if ended {
                    self.row += 1;
                    break;
                }
                for (builder, value) in builders.iter_mut().zip(row.iter().cloned().chain(values)) {
                    builder.push(value)?;
                }
                count += 1;
                if count == BATCH_ROWS {
                    self.sources = Some(sources);
                    break;
                }
            }
        }
        Ok(count)
    }
}

/// The fields of the records that a function of several columns gives.
fn record_shape(call: &crate::expr::Call) -> Option<Arc<RecordShape>> {
    if !call.function.columns.is_empty() {
        let fields = call.function.columns.iter();
        let fields = fields.map(|(name, oid)| (Text::new_static(name), DataType::of(*oid)));
        return Some(Arc::new(RecordShape::anonymous(fields)));
    }
    // One that fills in records gives them in the shape of the record it is given.
    match call.arguments.first() {
        Some(Expr::Row { shape, .. }) => Some(shape.clone()),
        Some(Expr::Const { value: Datum::Record(record), .. }) => Some(record.shape.clone()),
        _ => None,
    }
}

impl Source {
    fn next(&mut self, context: &EvalContext<'_>) -> Result<Option<Datum>> {
        let row = self.rows.as_mut().map(|rows| rows.next(context)).transpose()?.flatten();
        let Some(mut fields) = row else {
            self.rows = None;
            return Ok(None);
        };
        Ok(Some(match &self.shape {
            Some(shape) => RecordValue { fields, shape: shape.clone() }.into(),
            None => fields.pop().unwrap_or_default(),
        }))
    }
}

impl Operator for ProjectSet {
    fn reset(&mut self) -> bool {
        (self.batch, self.sources, self.row) = (None, None, 0);
        self.input.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            loop {
                if self.batch.as_ref().is_none_or(|batch| self.row >= batch.row_count) {
                    self.batch = self.input.next(execution).await?;
                    self.row = 0;
                    if self.batch.is_none() {
                        return Ok(None);
                    }
                }
                let mut builders = builders(&self.types, BATCH_ROWS, execution)?;
                let count = self.fill(&mut builders, &execution.context())?;
                if count > 0 {
                    let columns = builders.into_iter().map(ColumnBuilder::finish).collect();
                    return Ok(Some(Batch::new(columns, count)));
                }
            }
        })
    }
}
