//! Functions, operators, casts and aggregates: their signatures, how a call finds its function, and the kernels.

mod aggregate;
mod arithmetic;
mod array;
mod array_assign;
mod bit_string;
mod buckets;
mod bytes;
mod cast;
mod comparison;
mod context;
mod conversion;
mod digest;
mod encoding;
mod enumeration;
mod extract;
mod function;
mod interval_arithmetic;
mod json;
mod mac_address;
mod math;
mod moment;
mod money;
mod network;
mod number_template;
mod order_support;
mod ordered_set;
mod overlaps;
pub(crate) mod pattern;
mod pg_lsn;
mod polymorphic;
mod range;
mod regexp;
mod registry;
mod regression;
mod regular_expression;
mod resolve;
mod row_place;
mod rows;
mod sample;
mod send;
mod series;
mod server_control;
mod session;
mod sizes;
mod snapshot;
mod string;
mod surroundings;
mod system;
mod template;
mod template_input;
mod text_output;
mod vector;
mod waiting;
mod words;
mod zoned;

pub use array::slice_function;
pub use array_assign::{assign_element, assign_slice};
pub use cast::{Cast, CastContext, CastMethod};
pub(crate) use context::unknown_type;
pub use context::{
    DateFormat, DateStyle, EvalContext, FIRST_USER_OID, IntervalStyle, NoSession, SessionFunctions, Settings,
};
pub use function::{
    Aggregate, AggregateState, CallTypes, DynamicKernel, Function, Kernel, RowsKernel, ScalarKernel,
    TypedKernel, VectorKernel, Volatility,
};
pub(crate) use json::value_tree;
pub use json::{assign_member, jsonb_contains, jsonb_exists};
pub use ordered_set::sort_key_function;
pub use range::{multirange_constructors, range_constructors};
pub use registry::{Operator, Registry, registry};
pub use resolve::{ResolvedAggregate, ResolvedFunction, common_type};
pub use row_place::{is_row_place, row_place};
pub use rows::{RowSource, Rows, listed};
pub use sample::{is_sampled, share as sample_share};
pub use server_control::{INIT as CONTROL_INIT, RECOVERY as CONTROL_RECOVERY, SYSTEM as CONTROL_SYSTEM};
pub use session::waits;
pub use surroundings::LAST_COMMITTED;
pub use system::{SEQUENCE_PARAMETERS, current_of};
pub use text_output::{quote_identifier, quote_literal};
