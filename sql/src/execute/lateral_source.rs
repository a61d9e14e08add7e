//! Functions and VALUES that read left rows: their rows for a left batch, each with the number of its left row.
//!
//! Arguments are evaluated for the whole batch. Where that fails they are evaluated row by row, so that rows before the one
//! that fails are given: it may never be asked for.

use super::Execution;
use super::function_scan::{Source, fill};
use super::scan::Rows;
use super::table_search::TableSearch;
use super::values::builders;
use crate::error::{Result, SqlError};
use crate::expr::{Call, Expr};
use crate::functions::{EvalContext, listed};
use crate::plan::logical::TableFunction;
use crate::types::{DataType, oids};
use crate::value::{BATCH_ROWS, Batch, Column, ColumnBuilder, Datum, gather_picked};

/// Rows of a left batch.
pub struct LeftRows {
    pub columns: Vec<Column>,
    /// Of each, the number of its left row; they come in order.
    pub of_left: Vec<u32>,
}

/// What gives rows for left ones.
pub enum LateralSource {
    Functions(Functions),
    Values(Vec<Vec<Expr>>),
    /// A table; the filters of its scan are left to others, but for those that `prepare` says.
    Search(Box<TableSearch>),
}

/// Which rows are asked for.
pub struct Asked<'a> {
    /// Those of left rows before this one.
    pub end: usize,
    /// No more than so many, where rows are made one by one.
    pub room: usize,
    /// Of these types.
    pub types: &'a [DataType],
}

/// Functions side by side.
pub struct Functions {
    calls: Vec<LateralCall>,
    ordinality: bool,
    /// Their arguments for the left batch at hand, by call.
    arguments: Vec<Vec<Column>>,
    /// The rows for the left row at hand, and how many were given.
    sources: Option<Vec<Source>>,
    given: i64,
    failure: Option<SqlError>,
}

/// A function, with what is evaluated for it over left rows.
struct LateralCall {
    /// `None`: its value is the argument.
    function: Option<Box<Call>>,
    arguments: Vec<Expr>,
    width: usize,
    spread: bool,
}

impl LateralCall {
    /// A call whose arguments read left rows as columns; `None` where it has to be asked row by row.
    fn of(function: &TableFunction, read: &dyn Fn(Expr) -> Expr) -> Option<LateralCall> {
        let TableFunction::Call { call, width, is_record } = function else { return None };
        let mut call = read(call.clone());
        if crate::plan::walk::is_volatile(&call) {
            return None;
        }
        match &mut call {
            Expr::Call(rows) if rows.function.returns_rows() => Some(LateralCall {
                arguments: std::mem::take(&mut rows.arguments),
                width: *width,
                spread: *is_record && rows.function.return_type != oids::RECORD,
                function: Some(rows.clone()),
            }),
            _ => {
                let (width, spread) = (*width, *is_record);
                Some(LateralCall { function: None, arguments: vec![call], width, spread })
            }
        }
    }

    fn source(&self, values: &[Datum], context: &EvalContext<'_>) -> Result<Source> {
        let rows = match &self.function {
            Some(call) => call.rows_for(values, context)?,
            None => listed(vec![values.to_vec()]),
        };
        Ok(Source::new(rows, self.width, self.spread))
    }
}

/// Evaluates expressions over a batch.
fn evaluated(exprs: &[Expr], batch: &Batch, context: &EvalContext<'_>) -> Result<Vec<Column>> {
    exprs.iter().map(|expr| expr.eval_batch(batch, context)).collect()
}

impl Functions {
    /// Functions whose arguments read left rows as columns; `None` where one has to be asked row by row.
    pub fn of(calls: &[TableFunction], ordinality: bool, read: &dyn Fn(Expr) -> Expr) -> Option<Functions> {
        Some(Functions {
            calls: calls.iter().map(|call| LateralCall::of(call, read)).collect::<Option<_>>()?,
            ordinality,
            arguments: Vec::new(),
            sources: None,
            given: 0,
            failure: None,
        })
    }

    fn begin(&mut self, left: &Batch, context: &EvalContext<'_>) {
        (self.sources, self.given, self.failure) = (None, 0, None);
        let all = self.calls.iter().map(|call| evaluated(&call.arguments, left, context));
        // What fails may be of a row that is never asked for.
        self.arguments = all.collect::<Result<_>>().unwrap_or_default();
    }

    /// The functions' rows for one left row.
    fn start(&self, left: &Batch, row: usize, context: &EvalContext<'_>) -> Result<Vec<Source>> {
        let mut sources = Vec::with_capacity(self.calls.len());
        let alone = self.arguments.is_empty().then(|| left.slice(row..row + 1));
        let mut values: Vec<Datum> = Vec::new();
        for (at, call) in self.calls.iter().enumerate() {
            values.clear();
            match &alone {
                Some(alone) => {
                    values.extend(evaluated(&call.arguments, alone, context)?.iter().map(|each| each.get(0)));
                }
                None => values.extend(self.arguments[at].iter().map(|each| each.get(row))),
            }
            sources.push(call.source(&values, context)?);
        }
        Ok(sources)
    }

    /// The next rows from a left row on, which moves on.
    fn next(
        &mut self,
        left: &Batch,
        row: &mut usize,
        asked: &Asked<'_>,
        mut columns: Vec<ColumnBuilder>,
        context: &EvalContext<'_>,
    ) -> Result<LeftRows> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut of_left = Vec::new();
        while of_left.len() < asked.room && *row < asked.end {
            let left_room = asked.room - of_left.len();
            match self.fill_row(left, *row, left_room, &mut columns, context) {
                Ok(count) => {
                    of_left.resize(of_left.len() + count, *row as u32);
                    if count < left_room {
                        self.skip();
                        *row += 1;
                    }
                }
                Err(error) if of_left.is_empty() => return Err(error),
                Err(error) => {
                    // Rows before the one that fails are given first.
                    self.failure = Some(error);
                    let whole: Vec<u32> = (0..of_left.len() as u32).collect();
                    let columns = columns.into_iter().map(|column| column.finish().gather(&whole)).collect();
                    return Ok(LeftRows { columns, of_left });
                }
            }
        }
        let columns = columns.into_iter().map(ColumnBuilder::finish).collect();
        Ok(LeftRows { columns, of_left })
    }

    /// Appends the next rows of one left row; fewer than there is room for are its last ones.
    fn fill_row(
        &mut self,
        left: &Batch,
        row: usize,
        room: usize,
        columns: &mut [ColumnBuilder],
        context: &EvalContext<'_>,
    ) -> Result<usize> {
        let mut sources = match self.sources.take() {
            Some(sources) => sources,
            None => self.start(left, row, context)?,
        };
        let count = fill(&mut sources, columns, room, context)?;
        self.sources = Some(sources);
        if self.ordinality
            && let Some(numbers) = columns.last_mut()
        {
            let given = self.given;
            (1..=count as i64).try_for_each(|number| numbers.push(Datum::Int64(given + number)))?;
        }
        self.given += count as i64;
        Ok(count)
    }

    /// The left row at hand is through.
    fn skip(&mut self) {
        (self.sources, self.given) = (None, 0);
    }
}

/// The rows of VALUES for as many left rows as make a batch.
fn values(
    rows: &[Vec<Expr>],
    left: &Batch,
    row: &mut usize,
    end: usize,
    context: &EvalContext<'_>,
) -> Result<LeftRows> {
    let first = *row;
    let most = BATCH_ROWS / rows.len().max(1);
    let count = if rows.is_empty() { end - first } else { most.clamp(1, end - first) };
    *row = first + count;
    let slice;
    let left = if first == 0 && count == left.row_count {
        left
    } else {
        slice = left.slice(first..first + count);
        &slice
    };
    let numbers = first as u32..(first + count) as u32;
    if let [only] = rows {
        return Ok(LeftRows { columns: evaluated(only, left, context)?, of_left: numbers.collect() });
    }
    let parts = rows.iter().map(|row| Ok(Batch::new(evaluated(row, left, context)?, count)));
    let parts: Vec<Batch> = parts.collect::<Result<_>>()?;
    let picks: Vec<(u32, u32)> =
        (0..count as u32).flat_map(|row| (0..rows.len() as u32).map(move |part| (part, row))).collect();
    let of_left = numbers.flat_map(|number| std::iter::repeat_n(number, rows.len())).collect();
    Ok(LeftRows { columns: gather_picked(&parts, &picks)?.columns, of_left })
}

impl LateralSource {
    /// Makes ready for the first batch: of a table's filters, which are tested here. `None` when that was done, and where
    /// there is no table.
    ///
    /// # Errors
    /// Those of evaluating constants.
    pub fn prepare(&mut self, execution: &Execution) -> Result<Option<Vec<bool>>> {
        match self {
            LateralSource::Search(search) if !search.is_prepared() => search.prepare(execution).map(Some),
            _ => Ok(None),
        }
    }

    /// Makes ready for the rows of a left batch.
    pub fn begin(&mut self, left: &Batch, execution: &Execution) {
        if let LateralSource::Functions(functions) = self {
            functions.begin(left, &execution.context());
        }
    }

    /// The next rows, from a left row on, which moves on: those before it are through. There are none only when the batch
    /// is through.
    ///
    /// # Errors
    /// Those of evaluating.
    pub async fn next(
        &mut self,
        left: &Batch,
        row: &mut usize,
        asked: &Asked<'_>,
        execution: &mut Execution,
    ) -> Result<LeftRows> {
        match self {
            LateralSource::Search(search) => {
                let mut rows = Rows::new(&search.scan().kinds, asked.room, left.row_count);
                let of_left = search.search(left, row, asked.end, &mut rows, execution).await?;
                Ok(LeftRows { columns: rows.finish(search.scan())?.columns, of_left })
            }
            LateralSource::Functions(functions) => {
                let columns = builders(asked.types, asked.room.min(4 * left.row_count), execution)?;
                functions.next(left, row, asked, columns, &execution.context())
            }
            LateralSource::Values(rows) => values(rows, left, row, asked.end, &execution.context()),
        }
    }

    /// Whether some rows of the left row at hand were given, and others may follow.
    pub fn is_amid(&self) -> bool {
        match self {
            LateralSource::Functions(functions) => functions.sources.is_some(),
            LateralSource::Values(_) => false,
            LateralSource::Search(search) => search.is_amid(),
        }
    }

    /// No further rows of the left row at hand are wanted.
    pub fn skip(&mut self) {
        match self {
            LateralSource::Functions(functions) => functions.skip(),
            LateralSource::Values(_) => {}
            LateralSource::Search(search) => search.skip(),
        }
    }
}
