//! SQL: types, values, functions, expressions, and all that turns a statement into rows.
#![deny(unsafe_code)]

pub mod error;
pub mod expr;
pub mod functions;
pub mod types;
pub mod value;
