//! Functions in FROM: the rows of one, or of several side by side.

use std::collections::VecDeque;

use super::values::builders;
use super::{BoxFuture, Execution, Operator};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{Rows, listed};
use crate::plan::logical::TableFunction;
use crate::types::{DataType, oids};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum};

/// One function's rows, `None` behind their end.
struct Source {
    rows: Option<Rows>,
    width: usize,
    /// Each row is one record, whose fields are the columns.
    spread: bool,
}

/// Gives the rows of functions.
pub struct FunctionScan {
    calls: Vec<TableFunction>,
    ordinality: bool,
    types: Vec<DataType>,
    sources: Option<Vec<Source>>,
    /// The rows of reports, in the order of the calls.
    reports: VecDeque<Vec<Vec<Datum>>>,
    given: i64,
}

/// The fields of a row's one record as columns; NULL is a row of NULLs.
fn spread(row: &[Datum], width: usize) -> Result<Vec<Datum>> {
    match row {
        [Datum::Record(record)] if record.fields.len() != width => {
            let given = record.fields.len();
            let plural = if given == 1 { "" } else { "s" };
            Err(other_row(format!(
                "Returned row contains {given} attribute{plural}, but query expects {width}."
            )))
        }
        [Datum::Record(record)] => Ok(record.fields.clone()),
        _ => Ok(vec![Datum::Null; width]),
    }
}

/// 42804: a record is not what the column definition list says.
fn other_row(detail: String) -> SqlError {
    let message = "function return row and query-specified return row do not match";
    SqlError::new(SqlState::DATATYPE_MISMATCH, message).with_detail(detail)
}

impl FunctionScan {
    pub fn new(calls: Vec<TableFunction>, ordinality: bool, types: Vec<DataType>) -> FunctionScan {
        FunctionScan { calls, ordinality, types, sources: None, reports: VecDeque::new(), given: 0 }
    }

    fn start(&mut self, execution: &Execution) -> Result<Vec<Source>> {
        let context = execution.context();
        let no_row: [Datum; 0] = [];
        let mut sources = Vec::new();
        for function in &self.calls {
            let (rows, width, spread) = match function {
                TableFunction::Call { call: Expr::Call(call), width, is_record }
                    if call.function.returns_rows() =>
                {
                    // A function of records gives their fields, one of any values the records.
                    let spread = *is_record && call.function.return_type != oids::RECORD;
                    (call.rows(&no_row.as_slice(), &context)?, *width, spread)
                }
                TableFunction::Call { call, width, is_record } => {
                    let value = call.eval_row(&no_row.as_slice(), &context)?;
                    (listed(vec![vec![value]]), *width, *is_record)
                }
                TableFunction::Relation { relation } => {
                    (listed(relation.rows(&execution.environment)?), relation.columns.len(), false)
                }
                TableFunction::Report { function, .. } => {
                    (listed(self.reports.pop_front().unwrap_or_default()), function.columns.len(), false)
                }
            };
            sources.push(Source { rows: Some(rows), width, spread });
        }
        Ok(sources)
    }

    /// Makes the rows of what has to wait for them.
    async fn make_reports(&mut self, execution: &mut Execution) -> Result<()> {
        let no_row: [Datum; 0] = [];
        for call in &self.calls {
            let TableFunction::Report { function, arguments, needed } = call else { continue };
            let values = {
                let context = execution.context();
                let value = |argument: &Expr| argument.eval_row(&no_row.as_slice(), &context);
                arguments.iter().map(value).collect::<Result<Vec<Datum>>>()?
            };
            self.reports.push_back(Box::pin(function.rows(&values, *needed, execution)).await?);
        }
        Ok(())
    }

    fn batch(&mut self, execution: &Execution) -> Result<Option<Batch>> {
        let mut sources = match self.sources.take() {
            Some(sources) => sources,
            None => self.start(execution)?,
        };
        let mut builders = builders(&self.types, BATCH_ROWS, execution)?;
        let context = execution.context();
        let mut count = 0;
        while count < BATCH_ROWS {
            let mut rows = Vec::with_capacity(sources.len());
            for source in &mut sources {
                let row = source.rows.as_mut().map(|rows| rows.next(&context)).transpose()?.flatten();
                if row.is_none() {
                    source.rows = None;
                }
                rows.push(match row {
                    Some(row) if source.spread => Some(spread(&row, source.width)?),
                    row => row,
                });
            }
            if rows.iter().all(Option::is_none) {
                break;
            }
            self.given += 1;
            let ordinality = self.ordinality.then_some(Datum::Int64(self.given));
            let widths = sources.iter().map(|source| source.width);
            let values = rows.into_iter().zip(widths);
            let values = values.flat_map(|(row, width)| row.unwrap_or_else(|| vec![Datum::Null; width]));
            let has_records = sources.iter().any(|source| source.spread);
            for (at, (builder, value)) in builders.iter_mut().zip(values.chain(ordinality)).enumerate() {
                builder.push(value).map_err(|error| match has_records {
                    true => other_row(format!(
                        "Returned type at ordinal position {} is not what query expects.",
                        at + 1
                    )),
                    false => error,
                })?;
            }
            count += 1;
        }
        self.sources = Some(sources);
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Batch::new(builders.into_iter().map(ColumnBuilder::finish).collect(), count)))
    }
}

impl Operator for FunctionScan {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            if self.sources.is_none() {
                self.make_reports(execution).await?;
            }
            self.batch(execution)
        })
    }
}
