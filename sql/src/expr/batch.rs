//! Evaluation of a batch: whole columns through the vectorized kernels, and only the rows that need it.

use super::row::{BatchRow, truth};
use super::{Call, Cast, Expr};
use crate::error::{Result, SqlError};
use crate::functions::{CastMethod, EvalContext, Volatility};
use crate::types::{DataType, oids};
use crate::value::{Batch, Bitmap, Column, ColumnBuilder, ColumnData, Datum, PhysicalKind};

impl Expr {
    /// The values for all rows of a batch.
    ///
    /// # Errors
    /// Whatever the functions called raise.
    pub fn eval_batch(&self, batch: &Batch, context: &EvalContext<'_>) -> Result<Column> {
        match self {
            Expr::Column { index, .. } => batch
                .columns
                .get(*index)
                .cloned()
                .ok_or_else(|| SqlError::internal("column beyond the batch")),
            Expr::Const { value, data_type } => constant(*data_type, value, batch.row_count, context),
            Expr::Parameter { index, data_type } => {
                constant(*data_type, &context.parameter(*index)?, batch.row_count, context)
            }
            Expr::Outer { data_type, .. } => {
                let value = self.eval_row(&BatchRow { batch, row: 0 }, context)?;
                constant(*data_type, &value, batch.row_count, context)
            }
            Expr::Call(call) => call.eval_batch(batch, context),
            Expr::Cast(cast) if matches!(cast.method, CastMethod::Binary) && cast.data_type.typmod < 0 => {
                cast.argument.eval_batch(batch, context)
            }
            Expr::Cast(cast) => {
                let argument = cast.argument.eval_batch(batch, context)?;
                if cast.data_type.typmod < 0
                    && let CastMethod::Function(function) = &cast.method
                    && let Some(kernel) = function.vector_kernel
                {
                    return kernel(&[argument], context);
                }
                if cast.is_from_text_as_written() {
                    return from_text(cast, &argument, context);
                }
                let convert = |row: usize| cast.convert(argument.get(row), context);
                fill(cast.data_type, batch.row_count, argument.is_constant(), context, convert)
            }
            Expr::And(operands) => connect(operands, false, batch, context),
            Expr::Or(operands) => connect(operands, true, batch, context),
            Expr::Not(argument) => {
                let column = argument.eval_batch(batch, context)?;
                let ColumnData::Bool(values) = column.data() else { return Err(not_boolean()) };
                let values = values.iter().map(|value| !value).collect();
                let result = Column::new(ColumnData::Bool(values), column.validity().cloned());
                Ok(if column.is_constant() { result.into_constant(column.len()) } else { result })
            }
            Expr::IsNull { argument, negated } => {
                let column = argument.eval_batch(batch, context)?;
                if column.kind() == PhysicalKind::Record {
                    return self.row_by_row(batch, context);
                }
                let values = (0..batch.row_count).map(|row| column.is_null(row) != *negated).collect();
                Ok(Column::new(ColumnData::Bool(values), None))
            }
            Expr::IsTruth { argument, truth, negated } => {
                let column = argument.eval_batch(batch, context)?;
                let ColumnData::Bool(values) = column.data() else { return Err(not_boolean()) };
                let holds = |row: usize| {
                    (values[column.stored_index(row)] == *truth && !column.is_null(row)) != *negated
                };
                Ok(Column::new(ColumnData::Bool((0..batch.row_count).map(holds).collect()), None))
            }
            Expr::IsDistinct { left, right, negated } => {
                let (data_type, left) = (left.data_type(), left.eval_batch(batch, context)?);
                let right = right.eval_batch(batch, context)?;
                let distinct = |row: usize| match (left.is_null(row), right.is_null(row)) {
                    (true, true) => *negated,
                    (false, false) => {
                        context.compare(data_type.oid, &left.get(row), &right.get(row)).is_ne() != *negated
                    }
                    _ => !*negated,
                };
                Ok(Column::new(ColumnData::Bool((0..batch.row_count).map(distinct).collect()), None))
            }
            Expr::InList { argument, set: Some(set), negated, .. } => {
                let column = argument.eval_batch(batch, context)?;
                if let Some(found) = set.contains_each(&column, *negated) {
                    return Ok(found);
                }
                fill(DataType::BOOL, batch.row_count, column.is_constant(), context, |row| {
                    Ok(truth(set.contains(&column.get(row), context).map(|found| found != *negated)))
                })
            }
            Expr::Case { branches, otherwise, data_type } => {
                let conditions = branches.iter().map(|(condition, result)| (Some(condition), result));
                let last = otherwise.iter().map(|otherwise| (None, &**otherwise));
                choose(conditions.chain(last), *data_type, batch, context)
            }
            Expr::Coalesce { arguments, data_type } => coalesce(arguments, *data_type, batch, context),
            Expr::NullIf { .. }
            | Expr::Extreme { .. }
            | Expr::InList { .. }
            | Expr::Quantified { .. }
            | Expr::Array { .. }
            | Expr::Row { .. }
            | Expr::Subscript { .. }
            | Expr::Field { .. } => self.row_by_row(batch, context),
        }
    }

    /// The rows for which a condition is true.
    pub fn filter_batch(&self, batch: &Batch, context: &EvalContext<'_>) -> Result<Vec<u32>> {
        Ok(self.eval_batch(batch, context)?.true_indices())
    }

    fn row_by_row(&self, batch: &Batch, context: &EvalContext<'_>) -> Result<Column> {
        fill(self.data_type(), batch.row_count, false, context, |row| {
            self.eval_row(&BatchRow { batch, row }, context)
        })
    }
}

impl Call {
    fn eval_batch(&self, batch: &Batch, context: &EvalContext<'_>) -> Result<Column> {
        let arguments = self.arguments.iter().map(|argument| argument.eval_batch(batch, context));
        let arguments = arguments.collect::<Result<Vec<Column>>>()?;
        if let Some(kernel) = self.function.vector_kernel
            && batch.row_count > 0
            && !self.spread
        {
            return kernel(&arguments, context);
        }
        let constant =
            self.function.volatility != Volatility::Volatile && arguments.iter().all(Column::is_constant);
        let mut values = Vec::with_capacity(arguments.len());
        fill(self.data_type, batch.row_count, constant, context, |row| {
            if self.function.strict && arguments.iter().any(|argument| argument.is_null(row)) {
                return Ok(Datum::Null);
            }
            values.clear();
            values.extend(arguments.iter().map(|argument| argument.get(row)));
            if self.spread {
                return self.invoke_spread(&values, context);
            }
            self.function.invoke(&values, &self.types(), context)
        })
    }
}

#[cold]
fn not_boolean() -> SqlError {
    SqlError::internal("condition is not boolean")
}

fn kind_of(data_type: DataType, context: &EvalContext<'_>) -> Result<PhysicalKind> {
    Ok(context.type_info(data_type.oid)?.kind)
}

fn constant(data_type: DataType, value: &Datum, len: usize, context: &EvalContext<'_>) -> Result<Column> {
    Column::constant(kind_of(data_type, context)?, value, len)
}

/// A column computed value by value; once if it is the same for all rows.
fn fill(
    data_type: DataType,
    len: usize,
    is_constant: bool,
    context: &EvalContext<'_>,
    mut compute: impl FnMut(usize) -> Result<Datum>,
) -> Result<Column> {
    if is_constant && len > 0 {
        return constant(data_type, &compute(0)?, len, context);
    }
    let mut builder = ColumnBuilder::new(kind_of(data_type, context)?, len);
    for row in 0..len {
        if row % 1024 == 1023 {
            context.check_cancel()?;
        }
        builder.push(compute(row)?)?;
    }
    Ok(builder.finish())
}

impl Cast {
    /// Whether it reads a text as a literal of the type would be read, and does nothing more.
    fn is_from_text_as_written(&self) -> bool {
        matches!(self.method, CastMethod::InOut)
            && self.data_type.typmod < 0
            && matches!(self.source.oid, oids::TEXT | oids::VARCHAR)
    }
}

/// Such a cast of a column.
fn from_text(cast: &Cast, texts: &Column, context: &EvalContext<'_>) -> Result<Column> {
    let ColumnData::Text(stored) = texts.data() else {
        return Err(SqlError::internal("a cast from text of no text"));
    };
    let info = context.type_info(cast.data_type.oid)?;
    fill(cast.data_type, texts.len(), texts.is_constant(), context, |row| match texts.is_null(row) {
        true => Ok(Datum::Null),
        false => info.parse_text(stored.get(texts.stored_index(row)), -1, context),
    })
}

/// AND (`decisive` false) or OR (true): an operand that may fail sees only the rows still undecided.
fn connect(operands: &[Expr], decisive: bool, batch: &Batch, context: &EvalContext<'_>) -> Result<Column> {
    let mut values = vec![!decisive; batch.row_count];
    let mut valid: Option<Bitmap> = None;
    // `None` stands for all rows.
    let mut undecided: Option<Vec<u32>> = None;
    for (position, operand) in operands.iter().enumerate() {
        let everywhere = undecided.is_none() || operand.is_infallible();
        let column = match &undecided {
            Some(rows) if !everywhere => operand.eval_batch(&batch.gather(rows), context)?,
            _ => operand.eval_batch(batch, context)?,
        };
        let ColumnData::Bool(results) = column.data() else { return Err(not_boolean()) };
        let mut merge = |row: usize, at: usize| {
            if values[row] == decisive && valid.as_ref().is_none_or(|valid| valid.get(row)) {
                return;
            }
            if column.is_null(at) {
                valid.get_or_insert_with(|| Bitmap::filled(batch.row_count, true)).set(row, false);
            } else if results[column.stored_index(at)] == decisive {
                values[row] = decisive;
                if let Some(valid) = &mut valid {
                    valid.set(row, true);
                }
            }
        };
        match &undecided {
            Some(rows) if !everywhere => {
                rows.iter().enumerate().for_each(|(at, &row)| merge(row as usize, at));
            }
            _ => (0..batch.row_count).for_each(|row| merge(row, row)),
        }
        if position + 1 < operands.len() {
            let open = |row: &u32| {
                values[*row as usize] != decisive
                    || valid.as_ref().is_some_and(|valid| !valid.get(*row as usize))
            };
            let rows: Vec<u32> = (0..batch.row_count as u32).filter(open).collect();
            if rows.is_empty() {
                break;
            }
            undecided = (rows.len() < batch.row_count).then_some(rows);
        }
    }
    Ok(Column::new(ColumnData::Bool(values), valid))
}

/// CASE: each branch is evaluated for the rows whose condition is its first that holds.
fn choose<'a>(
    branches: impl Iterator<Item = (Option<&'a Expr>, &'a Expr)>,
    data_type: DataType,
    batch: &Batch,
    context: &EvalContext<'_>,
) -> Result<Column> {
    let mut rows: Vec<u32> = (0..batch.row_count as u32).collect();
    let mut pieces = Pieces::new(batch.row_count);
    for (condition, result) in branches {
        if rows.is_empty() {
            break;
        }
        let whole = rows.len() == batch.row_count;
        let taken = match condition {
            None => std::mem::take(&mut rows),
            Some(condition) => {
                let holds = if whole {
                    condition.eval_batch(batch, context)?
                } else {
                    condition.eval_batch(&batch.gather(&rows), context)?
                };
                let taken = holds.true_indices();
                let mut next = taken.iter().peekable();
                let mut left = Vec::with_capacity(rows.len() - taken.len());
                for (position, &row) in rows.iter().enumerate() {
                    if next.next_if(|&&taken| taken as usize == position).is_none() {
                        left.push(row);
                    }
                }
                let taken = taken.iter().map(|&position| rows[position as usize]).collect();
                rows = left;
                taken
            }
        };
        pieces.add(result, taken, batch, context)?;
    }
    pieces.assemble(data_type, context)
}

/// COALESCE: each argument is evaluated for the rows where all before were NULL.
fn coalesce(
    arguments: &[Expr],
    data_type: DataType,
    batch: &Batch,
    context: &EvalContext<'_>,
) -> Result<Column> {
    let mut rows: Vec<u32> = (0..batch.row_count as u32).collect();
    let mut pieces = Pieces::new(batch.row_count);
    for argument in arguments {
        if rows.is_empty() {
            break;
        }
        let column = pieces.add(argument, rows.clone(), batch, context)?;
        let nulls = rows.iter().enumerate().filter(|(position, _)| column.is_null(*position));
        rows = nulls.map(|(_, &row)| row).collect();
    }
    pieces.assemble(data_type, context)
}

/// Results for parts of a batch, put together at the end.
struct Pieces {
    columns: Vec<Column>,
    /// For each row, the last piece that has it (from 1; 0 is none, so NULL) and the position there.
    places: Vec<(u32, u32)>,
}

impl Pieces {
    fn new(row_count: usize) -> Pieces {
        Pieces { columns: Vec::new(), places: vec![(0, 0); row_count] }
    }

    fn add(
        &mut self,
        expr: &Expr,
        rows: Vec<u32>,
        batch: &Batch,
        context: &EvalContext<'_>,
    ) -> Result<Column> {
        let column = if rows.len() == batch.row_count {
            expr.eval_batch(batch, context)?
        } else {
            expr.eval_batch(&batch.gather(&rows), context)?
        };
        self.columns.push(column.clone());
        let piece = self.columns.len() as u32;
        for (position, row) in rows.into_iter().enumerate() {
            self.places[row as usize] = (piece, position as u32);
        }
        Ok(column)
    }

    fn assemble(mut self, data_type: DataType, context: &EvalContext<'_>) -> Result<Column> {
        let kind = kind_of(data_type, context)?;
        if self.places.iter().any(|(piece, _)| *piece == 0) {
            self.columns.insert(0, Column::constant(kind, &Datum::Null, 1)?);
        } else {
            self.places.iter_mut().for_each(|(piece, _)| *piece -= 1);
        }
        let mut builder = ColumnBuilder::new(kind, self.places.len());
        builder.extend_picked(&self.columns.iter().collect::<Vec<_>>(), &self.places)?;
        Ok(builder.finish())
    }
}
