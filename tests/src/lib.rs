//! What runs the SQL files under `tests/sql`: this database through its connection interface, and a real PostgreSQL
//! to hold the files' expectations against.
//!
//! Both are [`sqllogictest::DB`]s that print values as the simple query protocol does, `NULL` for null and `(empty)`
//! for an empty string, and errors as `SQLSTATE message`.
#![deny(unsafe_code)]

mod embedded;
mod files;
pub mod kept_folder;
mod postgresql;

pub use embedded::Embedded;
pub use files::{failures, is_own, sql_files};
pub use postgresql::PostgreSql;

/// An error as the files expect it: its SQLSTATE, a space, its message.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{sqlstate} {message}")]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
}

/// The text of a value in an expected row.
fn shown(text: Option<&str>) -> String {
    match text {
        None => "NULL".to_string(),
        Some("") => "(empty)".to_string(),
        Some(text) => text.to_string(),
    }
}
