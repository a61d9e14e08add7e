//! Functions in FROM: the rows of one, or of several side by side.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::values::builders;
use super::{BoxFuture, Execution, Operator, reads_no_outer};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{EvalContext, Rows, listed};
use crate::plan::logical::TableFunction;
use crate::types::{DataType, oids};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum};

/// One function's rows.
pub(super) struct Source {
    /// `None` behind their end.
    rows: Option<Rows>,
    width: usize,
    /// Each row is one record, whose fields are the columns.
    spread: bool,
}

impl Source {
    pub(super) fn new(rows: Rows, width: usize, spread: bool) -> Source {
        Source { rows: Some(rows), width, spread }
    }

    /// Appends the next rows, no more than `room`, and tells how many; fewer are the last ones. `first` is the place of
    /// the first of its columns among all.
    fn fill(
        &mut self,
        columns: &mut [ColumnBuilder],
        first: usize,
        room: usize,
        context: &EvalContext<'_>,
    ) -> Result<usize> {
        let Some(rows) = &mut self.rows else { return Ok(0) };
        let mut count = 0;
        if self.spread {
            while count < room
                && let Some(row) = rows.next(context)?
            {
                let fields = spread(&row, self.width)?;
                for (at, (column, value)) in columns.iter_mut().zip(fields).enumerate() {
                    let position = first + at + 1;
                    column.push(value).map_err(|_| {
                        other_row(format!(
                            "Returned type at ordinal position {position} is not what query expects."
                        ))
                    })?;
                }
                count += 1;
            }
        } else {
            count = rows.fill(columns, room, context)?;
        }
        if count < room {
            self.rows = None;
        }
        Ok(count)
    }
}

/// Appends the next rows of functions side by side, no more than `room`, and tells how many; fewer are the last ones.
/// Whichever ends before the others gives NULLs.
pub(super) fn fill(
    sources: &mut [Source],
    columns: &mut [ColumnBuilder],
    room: usize,
    context: &EvalContext<'_>,
) -> Result<usize> {
    let (mut first, mut most) = (0, 0);
    let mut counts = SmallVec::<[usize; 4]>::new();
    for source in sources.iter_mut() {
        let own = &mut columns[first..first + source.width];
        let count = source.fill(own, first, room, context)?;
        first += source.width;
        most = most.max(count);
        counts.push(count);
    }
    let mut first = 0;
    for (source, count) in sources.iter().zip(counts) {
        for column in &mut columns[first..first + source.width] {
            (count..most).for_each(|_| column.push_null());
        }
        first += source.width;
    }
    Ok(most)
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
            sources.push(Source::new(rows, width, spread));
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
        let count = fill(&mut sources, &mut builders, BATCH_ROWS, &context)?;
        if self.ordinality
            && let Some(numbers) = builders.last_mut()
        {
            let given = self.given;
            (1..=count as i64).try_for_each(|number| numbers.push(Datum::Int64(given + number)))?;
        }
        self.given += count as i64;
        self.sources = Some(sources);
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Batch::new(builders.into_iter().map(ColumnBuilder::finish).collect(), count)))
    }
}

impl Operator for FunctionScan {
    fn reset(&mut self) -> bool {
        self.sources = None;
        self.reports.clear();
        self.given = 0;
        true
    }

    fn is_fixed(&self) -> bool {
        reads_no_outer(self.calls.iter().flat_map(TableFunction::expressions))
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            if self.sources.is_none() {
                self.make_reports(execution).await?;
            }
            self.batch(execution)
        })
    }
}
