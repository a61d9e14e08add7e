//! `ctid`: the place of a row, made of its key.

use std::sync::{Arc, LazyLock};

use super::registry::Entry;
use super::vector::wrong_arguments;
use super::{EvalContext, Function};
use crate::error::Result;
use crate::types::oids::{BYTEA, TID};
use crate::types::tid;
use crate::value::Datum;

/// The function from a row's key to its place; `numbered` for tables without a primary key.
#[must_use]
pub fn row_place(numbered: bool) -> Arc<Function> {
    static NUMBERED: LazyLock<Arc<Function>> = LazyLock::new(|| made("ctid_of_number", of_number));
    static KEYED: LazyLock<Arc<Function>> = LazyLock::new(|| made("ctid_of_key", of_key));
    if numbered { NUMBERED.clone() } else { KEYED.clone() }
}

/// Whether a function is one of them.
#[must_use]
pub fn is_row_place(function: &Arc<Function>) -> bool {
    Arc::ptr_eq(function, &row_place(true)) || Arc::ptr_eq(function, &row_place(false))
}

fn made(name: &'static str, kernel: super::ScalarKernel) -> Arc<Function> {
    Entry::new(name, &[BYTEA], TID, kernel).into_function()
}

fn of_number(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    place(arguments, true)
}

fn of_key(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    place(arguments, false)
}

fn place(arguments: &[Datum], numbered: bool) -> Result<Datum> {
    match arguments {
        [Datum::Bytes(key)] => Ok(Datum::from(tid::of_row_key(key, numbered))),
        _ => Err(wrong_arguments()),
    }
}
