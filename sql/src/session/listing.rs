//! What a session holds under names, for `pg_prepared_statements` and `pg_cursors`, and what it was told last: the relations are computed from
//! the environment, which shares this list with the session.

use parking_lot::Mutex;

use super::CursorPlace;
use crate::branch_merge::Finding;
use crate::large_object::Descriptors;
use crate::types::DataType;

/// The names of a session.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name.
    pub statements: Mutex<Vec<ListedStatement>>,
    /// By name.
    pub cursors: Mutex<Vec<ListedCursor>>,
    /// The large objects that the transaction has open.
    pub large_objects: Descriptors,
    /// What was in the way of the last merge that was refused.
    pub refused_merge: Mutex<Vec<Finding>>,
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub struct ListedStatement {
    pub name: String,
    /// As the client sent it.
    pub text: String,
    /// Microseconds since 2000-01-01 UTC.
    pub since: i64,
    pub parameters: Vec<DataType>,
    /// Made by PREPARE, and not by the protocol.
    pub from_sql: bool,
}

/// A cursor.
#[derive(Clone, Debug)]
pub struct ListedCursor {
    pub name: String,
    /// As the client sent it.
    pub text: String,
    /// Microseconds since 2000-01-01 UTC.
    pub since: i64,
    pub is_holdable: bool,
    pub is_binary: bool,
    pub is_scrollable: bool,
    /// Made by a transaction that has committed.
    pub is_held: bool,
    /// The only table that it reads, where the keys of its rows are known.
    pub table: Option<u32>,
    pub place: CursorPlace,
}

impl Listing {
    /// Adds a statement.
    pub fn add_statement(&self, statement: ListedStatement) {
        let mut statements = self.statements.lock();
        let at = statements.partition_point(|each| each.name < statement.name);
        statements.insert(at, statement);
    }

    /// Adds a cursor.
    pub fn add_cursor(&self, cursor: ListedCursor) {
        let mut cursors = self.cursors.lock();
        let at = cursors.partition_point(|each| each.name < cursor.name);
        cursors.insert(at, cursor);
    }
}
