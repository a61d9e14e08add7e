//! The shapes of vectorized kernels: one loop over typed slices, constant sides read once, NULLs carried by the
//! validity bitmap alone.
//!
//! An operation returns its value and whether it failed; the loop only gathers the failures, which keeps it
//! free of branches, and a second pass (after a failure, so hardly ever) finds the row and its error, passing
//! over rows that are NULL.

use crate::error::{Result, SqlError};
use crate::value::{Bitmap, Column, ColumnData};

/// Arguments of other kinds than the signature says.
#[cold]
pub(super) fn wrong_arguments() -> SqlError {
    SqlError::internal("function called with arguments of other types than declared")
}

/// Which rows of the result are valid when both sides must be; the flag says that no row is.
fn combine(left: &Column, right: &Column) -> (Option<Bitmap>, bool) {
    let mut result: Option<Bitmap> = None;
    for column in [left, right] {
        let Some(validity) = column.validity() else { continue };
        if column.is_constant() {
            return (None, true);
        }
        result = Some(match result {
            None => validity.clone(),
            Some(other) => other.and(validity),
        });
    }
    (result, false)
}

/// What a kernel computed, before it is put into a column of its kind.
pub(super) struct Computed<T> {
    pub values: Vec<T>,
    pub validity: Option<Bitmap>,
    /// The length if the one value stands for all rows.
    pub constant: Option<usize>,
}

impl<T> Computed<T> {
    /// The column, `wrap` being a variant of [`ColumnData`].
    pub(super) fn into_column(self, wrap: impl FnOnce(Vec<T>) -> ColumnData) -> Column {
        let column = Column::new(wrap(self.values), self.validity);
        match self.constant {
            Some(len) => column.into_constant(len),
            None => column,
        }
    }
}

/// A binary strict operation over two columns' stored values.
#[inline]
pub(super) fn binary<L, R, T: Clone + Default>(
    left: (&Column, &[L]),
    right: (&Column, &[R]),
    operation: impl Fn(&L, &R) -> (T, bool),
    error: impl Fn(&L, &R) -> SqlError,
) -> Result<Computed<T>> {
    let len = left.0.len();
    let (validity, all_null) = combine(left.0, right.0);
    if all_null {
        let validity = Some(Bitmap::filled(1, false));
        return Ok(Computed { values: vec![T::default()], validity, constant: Some(len) });
    }
    let mut failed = false;
    let is_constant = left.0.is_constant() && right.0.is_constant();
    let mut values = vec![T::default(); if is_constant { 1 } else { len }];
    match (left.0.is_constant(), right.0.is_constant()) {
        (false, false) => {
            let (lefts, rights, out) = (&left.1[..len], &right.1[..len], &mut values[..len]);
            for row in 0..len {
                let failure;
                (out[row], failure) = operation(&lefts[row], &rights[row]);
                failed |= failure;
            }
        }
        (false, true) => {
            let (lefts, right, out) = (&left.1[..len], &right.1[0], &mut values[..len]);
            for row in 0..len {
                let failure;
                (out[row], failure) = operation(&lefts[row], right);
                failed |= failure;
            }
        }
        (true, false) => {
            let (left, rights, out) = (&left.1[0], &right.1[..len], &mut values[..len]);
            for row in 0..len {
                let failure;
                (out[row], failure) = operation(left, &rights[row]);
                failed |= failure;
            }
        }
        (true, true) if len > 0 => (values[0], failed) = operation(&left.1[0], &right.1[0]),
        (true, true) => {}
    }
    let constant = is_constant.then_some(len);
    if failed {
        for row in 0..len {
            if validity.as_ref().is_none_or(|validity| validity.get(row)) {
                let (l, r) = (&left.1[left.0.stored_index(row)], &right.1[right.0.stored_index(row)]);
                if operation(l, r).1 {
                    return Err(error(l, r));
                }
            }
        }
    }
    Ok(Computed { values, validity, constant })
}

/// A unary strict operation.
#[inline]
pub(super) fn unary<A, T: Clone + Default>(
    argument: (&Column, &[A]),
    operation: impl Fn(&A) -> (T, bool),
    error: impl Fn(&A) -> SqlError,
) -> Result<Computed<T>> {
    let mut failed = false;
    let stored = argument.1;
    let mut values = vec![T::default(); stored.len()];
    for row in 0..stored.len() {
        let failure;
        (values[row], failure) = operation(&stored[row]);
        failed |= failure;
    }
    let validity = argument.0.validity().cloned();
    if failed {
        for (row, value) in argument.1.iter().enumerate() {
            if validity.as_ref().is_none_or(|validity| validity.get(row)) && operation(value).1 {
                return Err(error(value));
            }
        }
    }
    Ok(Computed { values, validity, constant: argument.0.is_constant().then_some(argument.0.len()) })
}

/// A strict operation on two text columns.
pub(super) fn binary_text<T: Clone + Default>(
    arguments: &[Column],
    operation: impl Fn(&str, &str) -> T,
) -> Result<Computed<T>> {
    let [left, right] = arguments else { return Err(wrong_arguments()) };
    let (ColumnData::Text(left_text), ColumnData::Text(right_text)) = (left.data(), right.data()) else {
        return Err(wrong_arguments());
    };
    let len = left.len();
    let (validity, all_null) = combine(left, right);
    if all_null {
        let validity = Some(Bitmap::filled(1, false));
        return Ok(Computed { values: vec![T::default()], validity, constant: Some(len) });
    }
    if left.is_constant() && right.is_constant() {
        return Ok(Computed {
            values: vec![operation(left_text.get(0), right_text.get(0))],
            validity,
            constant: Some(len),
        });
    }
    let values = if right.is_constant() {
        let right = right_text.get(0);
        (0..len).map(|row| operation(left_text.get(row), right)).collect()
    } else if left.is_constant() {
        let left = left_text.get(0);
        (0..len).map(|row| operation(left, right_text.get(row))).collect()
    } else {
        (0..len).map(|row| operation(left_text.get(row), right_text.get(row))).collect()
    };
    Ok(Computed { values, validity, constant: None })
}

/// An [`super::registry::Entry`] for a binary operation on two kinds, with both kernels from one closure.
///
/// `operation` maps two values to the result and whether it failed; `error` makes the error then.
macro_rules! binary_entry {
    ($name:expr, [$left_type:expr, $right_type:expr] -> $result_type:expr,
     $left:ident, $right:ident => $out:ident, $operation:expr, $error:expr) => {
        $crate::functions::registry::Entry::new(
            $name,
            &[$left_type, $right_type],
            $result_type,
            |arguments, _| {
                let [Datum::$left(left), Datum::$right(right)] = arguments else {
                    return Err($crate::functions::vector::wrong_arguments());
                };
                match $operation(left, right) {
                    (value, false) => Ok(Datum::$out(value)),
                    _ => Err($error(left, right)),
                }
            },
        )
        .vectorized(|arguments, _| {
            let [left, right] = arguments else { return Err($crate::functions::vector::wrong_arguments()) };
            let (
                $crate::value::ColumnData::$left(left_values),
                $crate::value::ColumnData::$right(right_values),
            ) = (left.data(), right.data())
            else {
                return Err($crate::functions::vector::wrong_arguments());
            };
            let computed = $crate::functions::vector::binary(
                (left, left_values),
                (right, right_values),
                $operation,
                $error,
            )?;
            Ok(computed.into_column($crate::value::ColumnData::$out))
        })
    };
}

/// The same for one argument.
macro_rules! unary_entry {
    ($name:expr, [$argument_type:expr] -> $result_type:expr,
     $argument:ident => $out:ident, $operation:expr, $error:expr) => {
        $crate::functions::registry::Entry::new($name, &[$argument_type], $result_type, |arguments, _| {
            let [Datum::$argument(value)] = arguments else {
                return Err($crate::functions::vector::wrong_arguments());
            };
            match $operation(value) {
                (result, false) => Ok(Datum::$out(result)),
                _ => Err($error(value)),
            }
        })
        .vectorized(|arguments, _| {
            let [column] = arguments else { return Err($crate::functions::vector::wrong_arguments()) };
            let $crate::value::ColumnData::$argument(values) = column.data() else {
                return Err($crate::functions::vector::wrong_arguments());
            };
            let computed = $crate::functions::vector::unary((column, values), $operation, $error)?;
            Ok(computed.into_column($crate::value::ColumnData::$out))
        })
    };
}

pub(super) use {binary_entry, unary_entry};
