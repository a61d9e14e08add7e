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
pub mod protocol;
mod test_server;

pub use embedded::Embedded;
pub use files::{failures, is_own, sql_files};
pub use postgresql::PostgreSql;
pub use test_server::TestServer;

/// An error as the files expect it: its SQLSTATE, its message, and where in the statement it stands, in characters from
/// 1, if it says so.
#[derive(Clone, Debug)]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
    pub position: Option<u32>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (message, more) = match self.message.split_once('\n') {
            Some((message, more)) => (message, Some(more)),
            None => (self.message.as_str(), None),
        };
        write!(f, "{} {message}", self.sqlstate)?;
        self.position.map_or(Ok(()), |position| write!(f, " at {position}"))?;
        more.map_or(Ok(()), |more| write!(f, "\n{more}"))
    }
}

impl std::error::Error for Failure {}

/// The text of a value in an expected row.
fn shown(text: Option<&str>) -> String {
    match text {
        None => "NULL".to_string(),
        Some("") => "(empty)".to_string(),
        Some(text) => text.to_string(),
    }
}
