//! One function's entry: signature, properties and kernels; and aggregates likewise.

use super::EvalContext;
use super::rows::Rows;
use crate::error::Result;
use crate::types::{DataType, Oid};
use crate::value::{Column, Datum};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Computes one value. For strict functions no argument is NULL.
pub type ScalarKernel = fn(&[Datum], &EvalContext<'_>) -> Result<Datum>;
/// The same for functions that must know what their arguments are (`format`, `array_append`, …).
pub type TypedKernel = fn(&[Datum], &CallTypes<'_>, &EvalContext<'_>) -> Result<Datum>;
/// A function made at run time (SQL and PL/pgSQL functions).
pub type DynamicKernel =
    Arc<dyn Fn(&[Datum], &CallTypes<'_>, &EvalContext<'_>) -> Result<Datum> + Send + Sync>;
/// Begins to compute rows.
pub type RowsKernel = fn(&[Datum], &CallTypes<'_>, &EvalContext<'_>) -> Result<Rows>;
/// Computes a column; the columns are of equal length. Strict kernels handle NULL rows themselves.
pub type VectorKernel = fn(&[Column], &EvalContext<'_>) -> Result<Column>;

/// The types at one call.
#[derive(Clone, Copy, Debug)]
pub struct CallTypes<'a> {
    pub arguments: &'a [DataType],
    pub result: DataType,
}

/// How a function computes.
#[derive(Clone)]
pub enum Kernel {
    Scalar(ScalarKernel),
    Typed(TypedKernel),
    /// [`super::SessionFunctions::call`] answers.
    Session,
    Dynamic(DynamicKernel),
    /// A set of rows; in the select list each row of several columns is a record.
    Rows(RowsKernel),
}

/// Whether a function may be folded or kept from being called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// A scalar function or an operator's implementation.
#[derive(Clone)]
pub struct Function {
    pub name: Cow<'static, str>,
    pub argument_types: Vec<Oid>,
    /// The element type of a trailing VARIADIC parameter (then the last of `argument_types` is its array, or
    /// `"any"` itself).
    pub variadic: Option<Oid>,
    /// How many trailing arguments may be left out (the kernel then gets fewer).
    pub optional: usize,
    pub return_type: Oid,
    /// What the arguments are called, and what those are that may be left out; empty for functions that are not called
    /// so.
    pub parameters: &'static [(&'static str, Option<&'static str>)],
    /// NULL in, NULL out, without a call.
    pub strict: bool,
    pub volatility: Volatility,
    /// Never fails on any input of its types: may be evaluated on rows whose result is thrown away.
    pub infallible: bool,
    pub kernel: Kernel,
    /// The columns of a function that gives rows of several, or whose one column has a name of its own.
    pub columns: &'static [(&'static str, Oid)],
    pub vector_kernel: Option<VectorKernel>,
}

impl Function {
    /// Whether it gives a set of rows.
    #[must_use]
    pub fn returns_rows(&self) -> bool {
        matches!(self.kernel, Kernel::Rows(_))
    }
}

/// An aggregate function's entry.
#[derive(Clone)]
pub struct Aggregate {
    pub name: &'static str,
    pub argument_types: Vec<Oid>,
    pub return_type: Oid,
    /// Makes the state for a call with these argument types and this result.
    pub init: fn(&CallTypes<'_>) -> Box<dyn AggregateState>,
    /// The result depends on the order of the rows (`string_agg`, `array_agg`).
    pub order_sensitive: bool,
    /// It takes its last arguments sorted, WITHIN GROUP.
    pub within_group: bool,
    /// The result over no rows is 0 rather than NULL (`count`).
    pub zero_when_empty: bool,
}

/// The states of one aggregate call, one for each group.
///
/// The caller applies FILTER and DISTINCT: it passes only rows that count.
pub trait AggregateState: Send {
    /// Makes room for groups `0..count`.
    fn resize(&mut self, count: usize);
    /// Adds row `i` of the argument columns to group `groups[i]`.
    fn accumulate(&mut self, groups: &[u32], arguments: &[Column], context: &EvalContext<'_>) -> Result<()>;
    /// Adds rows of the argument columns to one group, one after the other.
    fn add_rows(
        &mut self,
        group: usize,
        arguments: &[Column],
        rows: Range<usize>,
        context: &EvalContext<'_>,
    ) -> Result<()>;
    /// Takes rows that were added first out of a group again, so that it is as if they had never been in it; false where
    /// that cannot be, and the group is of no use then.
    fn remove_rows(&mut self, group: usize, arguments: &[Column], rows: Range<usize>) -> bool;
    /// Empties all groups.
    fn clear(&mut self);
    /// Adds another partial state's group `i` to group `groups[i]` of this one.
    fn merge(&mut self, other: &dyn AggregateState, groups: &[u32]) -> Result<()>;
    /// The result of one group.
    fn finish(&self, group: usize, context: &EvalContext<'_>) -> Result<Datum>;
    /// Bytes held, roughly: the executor bounds it.
    fn memory_bytes(&self) -> usize;
    /// For `merge`.
    fn as_any(&self) -> &dyn std::any::Any;
}
