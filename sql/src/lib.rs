//! SQL: types, values, functions, expressions, and all that turns a statement into rows.
#![deny(unsafe_code)]

pub mod backends;
pub mod binder;
mod branch_merge;
pub mod catalog;
pub mod copy;
mod ddl;
pub mod encoding;
pub mod error;
pub mod execute;
pub mod expr;
pub mod functions;
mod large_object;
pub mod parser;
pub mod plan;
mod relations;
mod rights;
pub mod scram;
mod sequence;
pub mod session;
pub mod types;
pub mod value;
pub mod watch;
mod write;

#[cfg(test)]
mod test_support;
