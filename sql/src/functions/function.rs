//! One function's entry: signature, properties and kernels; and aggregates likewise.

use super::EvalContext;
use crate::error::Result;
use crate::types::{DataType, Oid};
use crate::value::{Column, Datum};

/// Computes one value. For strict functions no argument is NULL.
pub type ScalarKernel = fn(&[Datum], &EvalContext<'_>) -> Result<Datum>;
/// Computes a column; the columns are of equal length. Strict kernels handle NULL rows themselves.
pub type VectorKernel = fn(&[Column], &EvalContext<'_>) -> Result<Column>;

/// Whether a function may be folded or kept from being called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// From where a cast may be applied: each context also allows what the ones after it allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    Implicit,
    Assignment,
    Explicit,
}

/// A scalar function or an operator's implementation.
#[derive(Clone)]
pub struct Function {
    pub name: &'static str,
    pub argument_types: Vec<Oid>,
    /// The element type of a trailing VARIADIC parameter (then the last of `argument_types` is its array).
    pub variadic: Option<Oid>,
    pub return_type: Oid,
    /// NULL in, NULL out, without a call.
    pub strict: bool,
    pub volatility: Volatility,
    /// Never fails on any input of its types: may be evaluated on rows whose result is thrown away.
    pub infallible: bool,
    pub kernel: ScalarKernel,
    pub vector_kernel: Option<VectorKernel>,
}

/// An aggregate function's entry.
#[derive(Clone)]
pub struct Aggregate {
    pub name: &'static str,
    pub argument_types: Vec<Oid>,
    pub return_type: Oid,
    /// Makes the state for a call with these argument types.
    pub init: fn(&[DataType], DataType) -> Box<dyn AggregateState>,
    /// Whether the result is NULL-free and order matters not: the planner may drop ORDER BY inside the call.
    pub order_sensitive: bool,
}

/// The states of one aggregate call, one for each group.
///
/// The caller applies FILTER and DISTINCT: it passes only rows that count.
pub trait AggregateState: Send {
    /// Makes room for groups `0..count`.
    fn resize(&mut self, count: usize);
    /// Adds row `i` of the argument columns to group `groups[i]`.
    fn accumulate(&mut self, groups: &[u32], arguments: &[Column], context: &EvalContext<'_>) -> Result<()>;
    /// Adds another partial state's group `i` to group `groups[i]` of this one.
    fn merge(&mut self, other: &dyn AggregateState, groups: &[u32]) -> Result<()>;
    /// The result of one group.
    fn finish(&self, group: usize, context: &EvalContext<'_>) -> Result<Datum>;
    /// Bytes held, roughly: the executor bounds it.
    fn memory_bytes(&self) -> usize;
    /// For `merge`.
    fn as_any(&self) -> &dyn std::any::Any;
}
