//! Evaluation of one row. Nothing is allocated but what values themselves need.

use super::{Call, Cast, Expr};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{CallTypes, CastMethod, EvalContext, Function, Kernel, Rows, listed};
use crate::types::{DataType, TypeShape, domain, oids};
use crate::value::array::Dimension;
use crate::value::{ArrayValue, Datum, RecordValue, RowView};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::sync::Arc;

/// Where a row's values come from: a slice, a stored row, a batch.
pub trait RowAccess {
    /// The value of column `index`.
    ///
    /// # Errors
    /// XX001 where a stored row is damaged.
    fn column(&self, index: usize) -> Result<Datum>;
}

impl RowAccess for [Datum] {
    #[inline]
    fn column(&self, index: usize) -> Result<Datum> {
        Ok(self[index].clone())
    }
}

impl RowAccess for &[Datum] {
    #[inline]
    fn column(&self, index: usize) -> Result<Datum> {
        Ok(self[index].clone())
    }
}

impl RowAccess for Vec<Datum> {
    #[inline]
    fn column(&self, index: usize) -> Result<Datum> {
        Ok(self[index].clone())
    }
}

impl RowAccess for RowView<'_> {
    #[inline]
    fn column(&self, index: usize) -> Result<Datum> {
        self.get(index)
    }
}

/// One row of a batch.
pub(super) struct BatchRow<'a> {
    pub batch: &'a crate::value::Batch,
    pub row: usize,
}

impl RowAccess for BatchRow<'_> {
    fn column(&self, index: usize) -> Result<Datum> {
        Ok(self.batch.datum(self.row, index))
    }
}

/// Three-valued truth as a datum.
#[inline]
pub(super) fn truth(value: Option<bool>) -> Datum {
    value.map_or(Datum::Null, Datum::Bool)
}

impl Expr {
    /// The value for one row.
    ///
    /// # Errors
    /// Whatever the functions called raise.
    pub fn eval_row(&self, row: &dyn RowAccess, context: &EvalContext<'_>) -> Result<Datum> {
        match self {
            Expr::Const { value, .. } => Ok(value.clone()),
            Expr::Column { index, .. } => row.column(*index),
            Expr::Parameter { index, .. } => context.parameter(*index),
            Expr::Outer { index, .. } => {
                context.outer.get(*index).cloned().ok_or_else(|| SqlError::internal("no such outer value"))
            }
            Expr::Call(call) => call.eval_row(row, context),
            Expr::Cast(cast) => cast.convert(cast.argument.eval_row(row, context)?, context),
            Expr::And(operands) => {
                let mut result = Some(true);
                for operand in operands {
                    match operand.eval_row(row, context)?.as_bool() {
                        Some(false) => return Ok(Datum::Bool(false)),
                        Some(true) => {}
                        None => result = None,
                    }
                }
                Ok(truth(result))
            }
            Expr::Or(operands) => {
                let mut result = Some(false);
                for operand in operands {
                    match operand.eval_row(row, context)?.as_bool() {
                        Some(true) => return Ok(Datum::Bool(true)),
                        Some(false) => {}
                        None => result = None,
                    }
                }
                Ok(truth(result))
            }
            Expr::Not(argument) => Ok(truth(argument.eval_row(row, context)?.as_bool().map(|value| !value))),
            Expr::IsNull { argument, negated } => {
                let value = argument.eval_row(row, context)?;
                // A row IS NULL if all its fields are, IS NOT NULL if none is.
                let holds = match &value {
                    Datum::Record(fields) if *negated => fields.iter().all(|field| !field.is_null()),
                    Datum::Record(fields) => fields.iter().all(Datum::is_null),
                    value => value.is_null() != *negated,
                };
                Ok(Datum::Bool(holds))
            }
            Expr::IsTruth { argument, truth, negated } => {
                let holds = argument.eval_row(row, context)?.as_bool() == Some(*truth);
                Ok(Datum::Bool(holds != *negated))
            }
            _ => self.eval_row_rare(row, context),
        }
    }

    /// Whether a condition is true for one row (NULL is not).
    pub fn is_true(&self, row: &dyn RowAccess, context: &EvalContext<'_>) -> Result<bool> {
        Ok(self.eval_row(row, context)?.as_bool() == Some(true))
    }

    fn eval_row_rare(&self, row: &dyn RowAccess, context: &EvalContext<'_>) -> Result<Datum> {
        match self {
            Expr::IsDistinct { left, right, negated } => {
                let (left_value, right_value) = (left.eval_row(row, context)?, right.eval_row(row, context)?);
                let distinct = match (left_value.is_null(), right_value.is_null()) {
                    (true, true) => false,
                    (false, false) => context.compare(left.type_oid(), &left_value, &right_value).is_ne(),
                    _ => true,
                };
                Ok(Datum::Bool(distinct != *negated))
            }
            Expr::Case { branches, otherwise, .. } => {
                for (condition, result) in branches {
                    if condition.is_true(row, context)? {
                        return result.eval_row(row, context);
                    }
                }
                otherwise.as_ref().map_or(Ok(Datum::Null), |otherwise| otherwise.eval_row(row, context))
            }
            Expr::Coalesce { arguments, .. } => {
                for argument in arguments {
                    let value = argument.eval_row(row, context)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Datum::Null)
            }
            Expr::NullIf { equal, value } => {
                if equal.is_true(row, context)? {
                    Ok(Datum::Null)
                } else {
                    value.eval_row(row, context)
                }
            }
            Expr::Extreme { arguments, greatest, data_type } => {
                let wanted = if *greatest { Ordering::Greater } else { Ordering::Less };
                let mut best = Datum::Null;
                for argument in arguments {
                    let value = argument.eval_row(row, context)?;
                    if !value.is_null()
                        && (best.is_null() || context.compare(data_type.oid, &value, &best) == wanted)
                    {
                        best = value;
                    }
                }
                Ok(best)
            }
            Expr::InList { argument, list, set, negated } => {
                let value = argument.eval_row(row, context)?;
                let found = match set {
                    Some(set) => set.contains(&value, context),
                    None => in_list(&value, argument.data_type(), list, row, context)?,
                };
                Ok(truth(found.map(|found| found != *negated)))
            }
            Expr::Quantified { left, array, function, all } => {
                let value = left.eval_row(row, context)?;
                let array = array.eval_row(row, context)?;
                quantified(value, &array, function, *all, left.data_type(), context)
            }
            Expr::Array { elements, data_type } => {
                let values = elements.iter().map(|element| element.eval_row(row, context));
                make_array(values.collect::<Result<_>>()?, *data_type, context)
            }
            Expr::Row { fields, shape } => {
                let values = fields.iter().map(|field| field.eval_row(row, context));
                Ok(RecordValue { fields: values.collect::<Result<_>>()?, shape: shape.clone() }.into())
            }
            Expr::Subscript { array, indices, .. } => {
                let array = array.eval_row(row, context)?;
                let mut positions = SmallVec::<[Datum; 4]>::new();
                for index in indices {
                    positions.push(index.eval_row(row, context)?);
                }
                Ok(subscript(&array, &positions))
            }
            Expr::Field { record, index, .. } => match record.eval_row(row, context)? {
                Datum::Record(fields) => Ok(fields.get(*index).cloned().unwrap_or(Datum::Null)),
                _ => Ok(Datum::Null),
            },
            _ => self.eval_row(row, context),
        }
    }
}

impl Call {
    #[inline]
    fn eval_row(&self, row: &dyn RowAccess, context: &EvalContext<'_>) -> Result<Datum> {
        let mut values = SmallVec::<[Datum; 4]>::new();
        for argument in &self.arguments {
            let value = argument.eval_row(row, context)?;
            if value.is_null() && self.function.strict {
                // The arguments after it are still evaluated: their errors are due.
                for rest in &self.arguments[values.len() + 1..] {
                    rest.eval_row(row, context)?;
                }
                return Ok(Datum::Null);
            }
            values.push(value);
        }
        if self.spread {
            return self.invoke_spread(&values, context);
        }
        self.function.invoke(&values, &self.types(), context)
    }
}

impl Call {
    /// Calls with the elements of the last argument; nothing where it is NULL, but for `format`, which has no more then.
    pub(super) fn invoke_spread(&self, values: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
        let (array, first) = match values.split_last() {
            Some((Datum::Array(array), first)) => (array, first),
            Some((_, first)) if self.function.name == "format" => {
                let types = &self.argument_types[..first.len()];
                let types = CallTypes { arguments: types, result: self.data_type };
                return self.function.invoke(first, &types, context);
            }
            _ => return Ok(Datum::Null),
        };
        let all: Vec<Datum> = first.iter().chain(&array.elements).cloned().collect();
        let mut types = self.argument_types[..first.len()].to_vec();
        types.resize(all.len(), DataType::of(array.element_type));
        let types = CallTypes { arguments: &types, result: self.data_type };
        self.function.invoke(&all, &types, context)
    }

    /// Begins to give the rows of a function of rows.
    ///
    /// # Errors
    /// Whatever the arguments and the function raise.
    pub fn rows(&self, row: &dyn RowAccess, context: &EvalContext<'_>) -> Result<Rows> {
        let values = self.arguments.iter().map(|argument| argument.eval_row(row, context));
        let values = values.collect::<Result<SmallVec<[Datum; 4]>>>()?;
        self.rows_for(&values, context)
    }

    /// The same for arguments that are known.
    ///
    /// # Errors
    /// Whatever the function raises.
    pub fn rows_for(&self, values: &[Datum], context: &EvalContext<'_>) -> Result<Rows> {
        let Kernel::Rows(kernel) = &self.function.kernel else {
            return Err(SqlError::internal("a function of one value where rows are wanted"));
        };
        if self.function.strict && values.iter().any(Datum::is_null) {
            return Ok(listed(Vec::new()));
        }
        kernel(values, &self.types(), context)
    }
}

impl Function {
    /// Calls the kernel; for strict functions the caller has seen that no argument is NULL.
    #[inline]
    pub fn invoke(
        &self,
        arguments: &[Datum],
        types: &CallTypes<'_>,
        context: &EvalContext<'_>,
    ) -> Result<Datum> {
        match &self.kernel {
            Kernel::Scalar(kernel) => kernel(arguments, context),
            Kernel::Typed(kernel) => kernel(arguments, types, context),
            Kernel::Session => context.session.call(&self.name, arguments, context),
            Kernel::Dynamic(kernel) => kernel(arguments, types, context),
            Kernel::Rows(_) => Err(SqlError::internal("a function of rows where one value is wanted")),
        }
    }
}

impl Cast {
    /// Converts one value.
    ///
    /// # Errors
    /// Whatever the conversion raises.
    #[inline]
    pub fn convert(&self, value: Datum, context: &EvalContext<'_>) -> Result<Datum> {
        if let CastMethod::Domain(inner) = &self.method {
            return self.enter_domain(value, inner, context);
        }
        if value.is_null() {
            return Ok(value);
        }
        let converted = convert(value, &self.method, self.source, self.data_type, self.explicit, context)?;
        if self.data_type.typmod < 0 || converted.is_null() || matches!(self.method, CastMethod::Array(_)) {
            return Ok(converted);
        }
        let info = context.type_info(self.data_type.oid)?;
        info.apply_modifier(converted, self.data_type.typmod, self.explicit)
    }

    /// Converts to the type under a domain, and tests the domain's constraints, of NULL too.
    #[cold]
    fn enter_domain(&self, value: Datum, inner: &CastMethod, context: &EvalContext<'_>) -> Result<Datum> {
        let base = domain::underlying(self.data_type, context.types);
        let value = match value {
            Datum::Null => value,
            value => convert(value, inner, self.source, base, self.explicit, context)?,
        };
        domain::enter(self.data_type.oid, value, self.explicit, context)
    }
}

/// Converts a value that is not NULL, without the modifier.
fn convert(
    value: Datum,
    method: &CastMethod,
    source: DataType,
    target: DataType,
    explicit: bool,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    match method {
        CastMethod::Binary => Ok(value),
        // The domain itself is entered by who converts to it.
        CastMethod::Domain(inner) => convert(value, inner, source, target, explicit, context),
        CastMethod::Function(function) => {
            let types = CallTypes { arguments: &[source], result: target };
            function.invoke(&[value], &types, context)
        }
        CastMethod::Sized(function) => {
            let types = CallTypes { arguments: &[source, DataType::INT4], result: target };
            function.invoke(&[value, Datum::Int32(target.typmod)], &types, context)
        }
        CastMethod::InOut => {
            let text = context.to_text(&value, source.oid)?;
            context.type_info(target.oid)?.parse_text(&text, -1, context)
        }
        CastMethod::Array(inner) => {
            let Datum::Array(array) = value else { return Err(SqlError::internal("array cast of no array")) };
            let element_of = |oid| context.type_info(oid).map(|info| info.element().unwrap_or(oids::TEXT));
            let cast = Cast {
                argument: Expr::Const { value: Datum::Null, data_type: source },
                method: (**inner).clone(),
                source: DataType::of(element_of(source.oid)?),
                data_type: DataType { oid: element_of(target.oid)?, typmod: target.typmod },
                explicit,
            };
            let elements = array.elements.iter().map(|element| cast.convert(element.clone(), context));
            Ok(Datum::Array(Arc::new(ArrayValue {
                element_type: cast.data_type.oid,
                dimensions: array.dimensions.clone(),
                elements: elements.collect::<Result<_>>()?,
            })))
        }
    }
}

fn in_list(
    value: &Datum,
    data_type: DataType,
    list: &[Expr],
    row: &dyn RowAccess,
    context: &EvalContext<'_>,
) -> Result<Option<bool>> {
    let mut result = Some(false);
    for member in list {
        let member = member.eval_row(row, context)?;
        if value.is_null() || member.is_null() {
            result = None;
        } else if context.compare(data_type.oid, value, &member).is_eq() {
            return Ok(Some(true));
        }
    }
    Ok(result)
}

fn quantified(
    value: Datum,
    array: &Datum,
    function: &Function,
    all: bool,
    left_type: DataType,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let Datum::Array(array) = array else { return Ok(Datum::Null) };
    let types = [left_type, DataType::of(array.element_type)];
    let types = CallTypes { arguments: &types, result: DataType::BOOL };
    let mut result = Some(all);
    let mut arguments = [value, Datum::Null];
    for element in &array.elements {
        arguments[1] = element.clone();
        let outcome = if function.strict && arguments.iter().any(Datum::is_null) {
            None
        } else {
            function.invoke(&arguments, &types, context)?.as_bool()
        };
        match outcome {
            Some(holds) if holds != all => return Ok(Datum::Bool(holds)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(truth(result))
}

/// `ARRAY[…]`: elements that are themselves arrays become one more dimension.
pub(crate) fn make_array(
    values: Vec<Datum>,
    data_type: DataType,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let element_type = context.type_info(data_type.oid)?.element().unwrap_or(oids::TEXT);
    // Domains over arrays and the catalogs' vectors are elements, whatever their values look like.
    let mut element = context.type_info(element_type)?;
    while let TypeShape::Domain { base } = element.shape {
        element = context.type_info(base.oid)?;
    }
    let is_element = element.element().is_some();
    if is_element || !values.iter().any(|value| matches!(value, Datum::Array(_))) {
        return Ok(ArrayValue::from_elements(element_type, values).into());
    }
    let mismatch = || {
        SqlError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "multidimensional arrays must have array expressions with matching dimensions",
        )
    };
    let mut inner: Option<Vec<Dimension>> = None;
    let mut elements = Vec::new();
    let count = values.len();
    for value in values {
        let Datum::Array(array) = value else { return Err(mismatch()) };
        match &inner {
            None => inner = Some(array.dimensions.clone()),
            Some(dimensions) if *dimensions == array.dimensions => {}
            Some(_) => return Err(mismatch()),
        }
        elements.extend(array.elements.iter().cloned());
    }
    let inner = inner.unwrap_or_default();
    if inner.is_empty() {
        return Ok(ArrayValue::from_elements(element_type, Vec::new()).into());
    }
    let length = i32::try_from(count).map_err(|_| mismatch())?;
    let mut dimensions = vec![Dimension { length, lower_bound: 1 }];
    dimensions.extend(inner);
    Ok(ArrayValue { element_type, dimensions, elements }.into())
}

fn subscript(array: &Datum, indices: &[Datum]) -> Datum {
    let Datum::Array(array) = array else { return Datum::Null };
    if array.dimensions.len() != indices.len() {
        return Datum::Null;
    }
    let mut position = 0usize;
    for (dimension, index) in array.dimensions.iter().zip(indices) {
        let Some(index) = index.as_i64() else { return Datum::Null };
        let offset = index - i64::from(dimension.lower_bound);
        if offset < 0 || offset >= i64::from(dimension.length) {
            return Datum::Null;
        }
        position = position * dimension.length as usize + offset as usize;
    }
    array.elements.get(position).cloned().unwrap_or(Datum::Null)
}
