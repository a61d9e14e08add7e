//! Functions in FROM.

use super::values::kind_of;
use super::{BoxFuture, Execution, Operator};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{EvalContext, registry};
use crate::plan::logical::TableFunction;
use crate::types::{BuiltinTypes, DataType};
use crate::value::{BATCH_ROWS, Batch, ColumnBuilder, Datum};

enum Rows {
    /// Integers from, to and by.
    Integers {
        next: i64,
        stop: i64,
        step: i64,
        narrow: bool,
        done: bool,
    },
    /// Anything that `+` and `<=` serve.
    Series {
        next: Option<Datum>,
        stop: Datum,
        step: Datum,
        upwards: bool,
    },
    Listed(std::vec::IntoIter<Vec<Datum>>),
}

/// Gives a function's rows.
pub struct FunctionScan {
    call: TableFunction,
    ordinality: bool,
    types: Vec<DataType>,
    rows: Option<Rows>,
    given: i64,
}

impl FunctionScan {
    pub fn new(call: TableFunction, ordinality: bool, types: Vec<DataType>) -> FunctionScan {
        FunctionScan { call, ordinality, types, rows: None, given: 0 }
    }

    fn start(&self, execution: &Execution) -> Result<Rows> {
        let context = execution.context();
        let no_row: [Datum; 0] = [];
        let eval = |expr: &Expr| expr.eval_row(&no_row.as_slice(), &context);
        Ok(match &self.call {
            TableFunction::GenerateSeries { arguments, data_type } => {
                series(arguments, *data_type, &context)?
            }
            TableFunction::GenerateSubscripts { arguments } => {
                let (array, dimension) = (eval(&arguments[0])?, eval(&arguments[1])?);
                let dimension = dimension.as_i64().and_then(|at| usize::try_from(at - 1).ok());
                let bounds = match (&array, dimension) {
                    (Datum::Array(array), Some(at)) => array.dimensions.get(at).copied(),
                    _ => None,
                };
                let rows = bounds.map(|each| each.lower_bound..each.lower_bound + each.length);
                Rows::Listed(
                    rows.into_iter()
                        .flatten()
                        .map(|at| vec![Datum::Int32(at)])
                        .collect::<Vec<_>>()
                        .into_iter(),
                )
            }
            TableFunction::Unnest { arguments } => {
                let mut arrays = Vec::new();
                for argument in arguments {
                    arrays.push(match eval(argument)? {
                        Datum::Array(array) => array.elements.clone(),
                        _ => Vec::new(),
                    });
                }
                let longest = arrays.iter().map(Vec::len).max().unwrap_or(0);
                let rows = (0..longest).map(|row| {
                    arrays.iter().map(|array| array.get(row).cloned().unwrap_or(Datum::Null)).collect()
                });
                Rows::Listed(rows.collect::<Vec<Vec<Datum>>>().into_iter())
            }
            TableFunction::Scalar(call) => Rows::Listed(vec![vec![eval(call)?]].into_iter()),
            TableFunction::Relation { relation } => {
                Rows::Listed(relation.rows(&execution.environment)?.into_iter())
            }
        })
    }

    fn batch(&mut self, execution: &Execution) -> Result<Option<Batch>> {
        if self.rows.is_none() {
            self.rows = Some(self.start(execution)?);
        }
        let mut builders: Vec<ColumnBuilder> =
            self.types.iter().map(|data_type| ColumnBuilder::new(kind_of(*data_type), BATCH_ROWS)).collect();
        let context = execution.context();
        let width = self.types.len() - usize::from(self.ordinality);
        let mut count = 0;
        while count < BATCH_ROWS {
            let Some(row) = self.rows.as_mut().map(|rows| rows.next(&context)).transpose()?.flatten() else {
                break;
            };
            for (builder, value) in builders.iter_mut().zip(row) {
                builder.push(value)?;
            }
            self.given += 1;
            if self.ordinality {
                builders[width].push(Datum::Int64(self.given))?;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Batch::new(builders.into_iter().map(ColumnBuilder::finish).collect(), count)))
    }
}

fn series(arguments: &[Expr], data_type: DataType, context: &EvalContext<'_>) -> Result<Rows> {
    let no_row: [Datum; 0] = [];
    let mut values = Vec::new();
    for argument in arguments {
        values.push(argument.eval_row(&no_row.as_slice(), context)?);
    }
    if values.iter().any(Datum::is_null) {
        return Ok(Rows::Listed(Vec::new().into_iter()));
    }
    let zero_step = || SqlError::invalid_parameter("step size cannot equal zero");
    let integers: Option<Vec<i64>> = values.iter().map(Datum::as_i64).collect();
    if let Some(integers) = integers {
        let step = integers.get(2).copied().unwrap_or(1);
        if step == 0 {
            return Err(zero_step());
        }
        let narrow = data_type == DataType::INT4;
        return Ok(Rows::Integers { next: integers[0], stop: integers[1], step, narrow, done: false });
    }
    let step = values.get(2).cloned().unwrap_or(Datum::Numeric(crate::value::Numeric::ONE));
    let upwards = match &step {
        Datum::Interval(step) if step.span() == 0 => return Err(zero_step()),
        Datum::Interval(step) => step.span() > 0,
        Datum::Numeric(step) => match step.cmp(&crate::value::Numeric::ZERO) {
            std::cmp::Ordering::Equal => return Err(zero_step()),
            order => order.is_gt(),
        },
        _ => return Err(SqlError::internal("a series over values of this type")),
    };
    Ok(Rows::Series { next: Some(values[0].clone()), stop: values[1].clone(), step, upwards })
}

impl Rows {
    fn next(&mut self, context: &EvalContext<'_>) -> Result<Option<Vec<Datum>>> {
        match self {
            Rows::Listed(rows) => Ok(rows.next()),
            Rows::Integers { next, stop, step, narrow, done } => {
                if *done || (*step > 0 && *next > *stop) || (*step < 0 && *next < *stop) {
                    return Ok(None);
                }
                let value = *next;
                match next.checked_add(*step) {
                    Some(following) => *next = following,
                    None => *done = true,
                }
                let narrowed = if *narrow { i32::try_from(value).ok() } else { None };
                Ok(Some(vec![narrowed.map_or(Datum::Int64(value), Datum::Int32)]))
            }
            Rows::Series { next, stop, step, upwards } => {
                let Some(value) = next.take() else { return Ok(None) };
                let order = crate::value::compare_values(&value, stop);
                if (*upwards && order.is_gt()) || (!*upwards && order.is_lt()) {
                    return Ok(None);
                }
                *next = Some(add(&value, step, context)?);
                Ok(Some(vec![value]))
            }
        }
    }
}

/// `value + step`, by the operator of their types.
fn add(value: &Datum, step: &Datum, context: &EvalContext<'_>) -> Result<Datum> {
    let type_of = |datum: &Datum| match datum {
        Datum::Timestamp(_) => DataType::TIMESTAMP,
        Datum::TimestampTz(_) => DataType::TIMESTAMPTZ,
        Datum::Date(_) => DataType::DATE,
        Datum::Interval(_) => DataType::INTERVAL,
        _ => DataType::NUMERIC,
    };
    let (left, right) = (type_of(value), type_of(step));
    let resolved = registry().resolve_operator("+", Some(left.oid), right.oid, &BuiltinTypes)?;
    let operands = vec![Expr::constant(value.clone(), left), Expr::constant(step.clone(), right)];
    let sum = crate::expr::build::call_resolved(&resolved, operands, context)?;
    let no_row: [Datum; 0] = [];
    match sum.eval_row(&no_row.as_slice(), context)? {
        Datum::Null => Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")),
        sum => Ok(sum),
    }
}

impl Operator for FunctionScan {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(std::future::ready(self.batch(execution)))
    }
}
