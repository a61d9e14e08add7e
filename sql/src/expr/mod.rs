//! Bound expressions.
//!
//! The binder makes these with every name resolved, every function chosen and every conversion explicit (see
//! [`build`]); here they are evaluated, one row at a time for short statements ([`Expr::eval_row`]), one batch
//! at a time otherwise ([`Expr::eval_batch`]). Both evaluate from left to right and only what is needed: the
//! untaken branches of CASE and COALESCE, and operands of AND and OR after the outcome is known, raise no error.

mod batch;
pub mod build;
mod fold;
mod list;
mod row;

pub use list::ValueSet;
pub use row::RowAccess;
pub(crate) use row::make_array;

use crate::functions::{CallTypes, CastMethod, Function, Volatility};
use crate::types::{DataType, Oid, oids};
use crate::value::{Datum, RecordShape};
use std::sync::Arc;

/// A bound expression.
#[derive(Clone)]
pub enum Expr {
    Const {
        value: Datum,
        data_type: DataType,
    },
    /// A column of the input row, from 0.
    Column {
        index: usize,
        data_type: DataType,
    },
    /// A statement parameter, from 0.
    Parameter {
        index: usize,
        data_type: DataType,
    },
    /// A value of the evaluation context's `outer` list: an outer query's column or a subquery's result.
    Outer {
        index: usize,
        data_type: DataType,
    },
    Call(Box<Call>),
    Cast(Box<Cast>),
    /// Three-valued; evaluated from the left until one is false.
    And(Vec<Expr>),
    /// Three-valued; evaluated from the left until one is true.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        argument: Box<Expr>,
        negated: bool,
    },
    /// IS \[NOT\] TRUE | FALSE: never NULL.
    IsTruth {
        argument: Box<Expr>,
        truth: bool,
        negated: bool,
    },
    /// IS \[NOT\] DISTINCT FROM; both sides are of one type.
    IsDistinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    /// Conditions are boolean: `CASE x WHEN y` is bound as `x = y`.
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        data_type: DataType,
    },
    Coalesce {
        arguments: Vec<Expr>,
        data_type: DataType,
    },
    /// `NULLIF(left, right)`: `equal` is `left = right` bound; `value` is `left`.
    NullIf {
        equal: Box<Expr>,
        value: Box<Expr>,
    },
    /// GREATEST, or LEAST.
    Extreme {
        arguments: Vec<Expr>,
        greatest: bool,
        data_type: DataType,
    },
    /// `x [NOT] IN (…)`; all of one type. `set` holds the list where it is constant.
    InList {
        argument: Box<Expr>,
        list: Vec<Expr>,
        set: Option<Arc<ValueSet>>,
        negated: bool,
    },
    /// `x operator ANY (array)` or ALL; `function` takes the left side and an element.
    Quantified {
        left: Box<Expr>,
        array: Box<Expr>,
        function: Arc<Function>,
        all: bool,
    },
    Array {
        elements: Vec<Expr>,
        data_type: DataType,
    },
    Row {
        fields: Vec<Expr>,
        shape: Arc<RecordShape>,
    },
    /// `array[i, …]`: NULL out of bounds.
    Subscript {
        array: Box<Expr>,
        indices: Vec<Expr>,
        data_type: DataType,
    },
    /// One field of a record, from 0.
    Field {
        record: Box<Expr>,
        index: usize,
        data_type: DataType,
    },
}

/// A call of a function; arguments are already of the types it takes.
#[derive(Clone)]
pub struct Call {
    pub function: Arc<Function>,
    pub arguments: Vec<Expr>,
    pub argument_types: Vec<DataType>,
    pub data_type: DataType,
    /// The last argument is an array whose elements are the arguments meant: VARIADIC.
    pub spread: bool,
}

/// A conversion.
#[derive(Clone)]
pub struct Cast {
    pub argument: Expr,
    pub method: CastMethod,
    /// The type converted from.
    pub source: DataType,
    /// The type converted to; its modifier is applied after.
    pub data_type: DataType,
    /// Written by the user, so that text is truncated to a modifier rather than refused.
    pub explicit: bool,
}

impl Expr {
    /// A constant.
    #[must_use]
    pub fn constant(value: impl Into<Datum>, data_type: DataType) -> Expr {
        Expr::Const { value: value.into(), data_type }
    }

    /// A column of the input.
    #[must_use]
    pub fn column(index: usize, data_type: DataType) -> Expr {
        Expr::Column { index, data_type }
    }

    /// A call with arguments already of the right types.
    #[must_use]
    pub fn call(function: Arc<Function>, arguments: Vec<Expr>, data_type: DataType) -> Expr {
        let argument_types = arguments.iter().map(Expr::data_type).collect();
        Expr::Call(Box::new(Call { function, arguments, argument_types, data_type, spread: false }))
    }

    /// The type of the result.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        match self {
            Expr::Const { data_type, .. }
            | Expr::Column { data_type, .. }
            | Expr::Parameter { data_type, .. }
            | Expr::Outer { data_type, .. }
            | Expr::Case { data_type, .. }
            | Expr::Coalesce { data_type, .. }
            | Expr::Extreme { data_type, .. }
            | Expr::Array { data_type, .. }
            | Expr::Subscript { data_type, .. }
            | Expr::Field { data_type, .. } => *data_type,
            Expr::Row { shape, .. } => DataType::of(shape.type_oid),
            Expr::Call(call) => call.data_type,
            Expr::Cast(cast) => cast.data_type,
            Expr::NullIf { value, .. } => value.data_type(),
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::IsTruth { .. }
            | Expr::IsDistinct { .. }
            | Expr::InList { .. }
            | Expr::Quantified { .. } => DataType::BOOL,
        }
    }

    /// The type's OID.
    #[must_use]
    pub fn type_oid(&self) -> Oid {
        self.data_type().oid
    }

    /// Whether this is a literal whose type is not yet known.
    #[must_use]
    pub fn is_unknown_literal(&self) -> bool {
        matches!(self, Expr::Const { data_type, .. } if data_type.oid == oids::UNKNOWN)
    }

    /// Calls `visit` on each direct operand.
    pub fn for_each_child<'a>(&'a self, mut visit: impl FnMut(&'a Expr)) {
        match self {
            Expr::Const { .. } | Expr::Column { .. } | Expr::Parameter { .. } | Expr::Outer { .. } => {}
            Expr::Call(call) => call.arguments.iter().for_each(visit),
            Expr::Cast(cast) => visit(&cast.argument),
            Expr::And(operands) | Expr::Or(operands) => operands.iter().for_each(visit),
            Expr::Not(argument)
            | Expr::IsNull { argument, .. }
            | Expr::IsTruth { argument, .. }
            | Expr::Field { record: argument, .. } => visit(argument),
            Expr::IsDistinct { left, right, .. }
            | Expr::NullIf { equal: left, value: right }
            | Expr::Quantified { left, array: right, .. } => {
                visit(left);
                visit(right);
            }
            Expr::Case { branches, otherwise, .. } => {
                for (condition, result) in branches {
                    visit(condition);
                    visit(result);
                }
                otherwise.iter().for_each(|otherwise| visit(otherwise));
            }
            Expr::Coalesce { arguments, .. }
            | Expr::Extreme { arguments, .. }
            | Expr::Array { elements: arguments, .. }
            | Expr::Row { fields: arguments, .. } => arguments.iter().for_each(visit),
            Expr::InList { argument: first, list: rest, .. }
            | Expr::Subscript { array: first, indices: rest, .. } => {
                visit(first);
                rest.iter().for_each(visit);
            }
        }
    }

    /// The same with mutable operands.
    pub fn for_each_child_mut(&mut self, mut visit: impl FnMut(&mut Expr)) {
        match self {
            Expr::Const { .. } | Expr::Column { .. } | Expr::Parameter { .. } | Expr::Outer { .. } => {}
            Expr::Call(call) => call.arguments.iter_mut().for_each(visit),
            Expr::Cast(cast) => visit(&mut cast.argument),
            Expr::And(operands) | Expr::Or(operands) => operands.iter_mut().for_each(visit),
            Expr::Not(argument)
            | Expr::IsNull { argument, .. }
            | Expr::IsTruth { argument, .. }
            | Expr::Field { record: argument, .. } => visit(argument),
            Expr::IsDistinct { left, right, .. }
            | Expr::NullIf { equal: left, value: right }
            | Expr::Quantified { left, array: right, .. } => {
                visit(left);
                visit(right);
            }
            Expr::Case { branches, otherwise, .. } => {
                for (condition, result) in branches {
                    visit(condition);
                    visit(result);
                }
                otherwise.iter_mut().for_each(|otherwise| visit(otherwise));
            }
            Expr::Coalesce { arguments, .. }
            | Expr::Extreme { arguments, .. }
            | Expr::Array { elements: arguments, .. }
            | Expr::Row { fields: arguments, .. } => arguments.iter_mut().for_each(visit),
            Expr::InList { argument: first, list: rest, .. }
            | Expr::Subscript { array: first, indices: rest, .. } => {
                visit(first);
                rest.iter_mut().for_each(visit);
            }
        }
    }

    /// Whether `test` holds for this expression or one inside it.
    #[must_use]
    pub fn any(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        let mut found = test(self);
        self.for_each_child(|child| found = found || child.any(test));
        found
    }

    /// The least predictable volatility inside.
    #[must_use]
    pub fn volatility(&self) -> Volatility {
        let mut worst = match self {
            Expr::Call(call) => call.function.volatility,
            Expr::Quantified { function, .. } => function.volatility,
            Expr::Cast(cast) => match &cast.method {
                CastMethod::Binary => Volatility::Immutable,
                CastMethod::Function(function) | CastMethod::Sized(function) => function.volatility,
                // Text forms may depend on DateStyle and TimeZone.
                CastMethod::InOut | CastMethod::Array(_) | CastMethod::Domain(_) => Volatility::Stable,
            },
            _ => Volatility::Immutable,
        };
        self.for_each_child(|child| worst = worst.max(child.volatility()));
        worst
    }

    /// Whether evaluation can never fail, so that it may run on rows whose result is not needed.
    #[must_use]
    pub fn is_infallible(&self) -> bool {
        let mut infallible = match self {
            Expr::Call(call) => call.function.infallible,
            Expr::Quantified { function, .. } => function.infallible,
            Expr::Cast(cast) => matches!(cast.method, CastMethod::Binary) && cast.data_type.typmod < 0,
            Expr::Array { .. } | Expr::Subscript { .. } => false,
            _ => true,
        };
        self.for_each_child(|child| infallible = infallible && child.is_infallible());
        infallible
    }
}

impl Call {
    /// The types as kernels see them.
    #[must_use]
    pub fn types(&self) -> CallTypes<'_> {
        CallTypes { arguments: &self.argument_types, result: self.data_type }
    }
}
