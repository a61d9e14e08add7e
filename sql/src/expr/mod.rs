//! Bound expressions.
//!
//! The binder makes these with every name resolved, every function chosen and every conversion explicit; here
//! they are evaluated, one row at a time for short statements, one batch at a time otherwise.

use crate::functions::Function;
use crate::types::DataType;
use crate::value::Datum;
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
    Call {
        function: Arc<Function>,
        arguments: Vec<Expr>,
        data_type: DataType,
    },
    /// Three-valued; evaluated from the left until one is false.
    And(Vec<Expr>),
    /// Three-valued; evaluated from the left until one is true.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        argument: Box<Expr>,
        negated: bool,
    },
    /// IS [NOT] TRUE | FALSE: never NULL.
    IsTruth {
        argument: Box<Expr>,
        truth: bool,
        negated: bool,
    },
    /// IS [NOT] DISTINCT FROM; both sides are of one type.
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
    Greatest {
        arguments: Vec<Expr>,
        data_type: DataType,
    },
    Least {
        arguments: Vec<Expr>,
        data_type: DataType,
    },
    /// `x IN (…)`; all of one type.
    InList {
        argument: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    Array {
        elements: Vec<Expr>,
        data_type: DataType,
    },
    Row {
        fields: Vec<Expr>,
        data_type: DataType,
    },
}
