//! Functions, operators, casts and aggregates: their signatures, how a call finds its function, and the kernels.

mod context;
mod function;

pub use context::{DateStyle, EvalContext, IntervalStyle, NoSession, SessionFunctions, Settings};
pub use function::{
    Aggregate, AggregateState, CastContext, Function, ScalarKernel, VectorKernel, Volatility,
};
