//! Large objects: values that are read and written in pieces, by numbers instead of columns.
//!
//! They are rows of two tables of `pg_catalog`, as in PostgreSQL: `pg_largeobject_metadata` has whose they are,
//! `pg_largeobject` their bytes, in pages of 2 KiB, of which those that were never written are not there. Both are tables
//! like others, but for where they are: so transactions, branches, merges and the past are theirs too. A database begins with
//! them; one of an older program has them once the first large object is made, and before that relations of their names
//! that are computed and empty.
//!
//! Functions of large objects read and write rows, for which evaluation cannot wait. So the binder makes each call
//! a subquery over a function in FROM ([`FUNCTIONS`]), which runs where waiting is possible.

mod calls;
mod descriptors;
mod pages;
mod tables;

pub use calls::{FUNCTIONS, LargeObjectCall, run};
pub use descriptors::Descriptors;
pub use pages::{View, change_owner, owner_of};
pub use tables::{PG_LARGEOBJECT, create as create_tables};

use crate::error::{SqlError, SqlState};
use crate::rights::refused;

/// The bytes of a page.
const PAGE_BYTES: i64 = 2_048;
/// How long a large object may be: its pages are numbered with 31 bits.
const BYTES_MAX: i64 = i32::MAX as i64 * PAGE_BYTES;

/// 42704.
fn missing(oid: u32) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("large object {oid} does not exist"))
}

/// 42501.
fn denied(oid: u32) -> SqlError {
    refused(format!("permission denied for large object {oid}"))
}
