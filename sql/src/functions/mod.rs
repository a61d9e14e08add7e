//! Functions, operators, casts and aggregates: their signatures, how a call finds its function, and the kernels.

mod aggregate;
mod arithmetic;
mod array;
mod cast;
mod comparison;
mod context;
mod conversion;
mod extract;
mod function;
mod interval_arithmetic;
mod math;
mod moment;
mod pattern;
mod regexp;
mod registry;
mod regression;
mod resolve;
mod session;
mod string;
mod template;
mod text_output;
mod vector;

pub use cast::{Cast, CastContext, CastMethod};
pub use context::{DateStyle, EvalContext, IntervalStyle, NoSession, SessionFunctions, Settings};
pub use function::{
    Aggregate, AggregateState, CallTypes, DynamicKernel, Function, Kernel, ScalarKernel, TypedKernel,
    VectorKernel, Volatility,
};
pub use registry::{Operator, Registry, registry};
pub use resolve::{ResolvedAggregate, ResolvedFunction, common_type};
pub use text_output::{quote_identifier, quote_literal};
