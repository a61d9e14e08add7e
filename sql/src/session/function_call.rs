//! Function calls by a message of their own, which PostgreSQL calls its fast path: each is the query that calls the
//! function, so that rights, waits and cancelling are those of queries.

use super::Session;
use super::transaction::in_failed_transaction;
use crate::binder::name::quote;
use crate::error::{Result, SqlError, SqlState};
use crate::relations::procedures::{ProcedureKind, procedure};
use crate::types::{DataType, oids};

/// A function that a client calls by its OID.
pub struct CalledFunction {
    /// The query that calls it.
    pub text: String,
    pub argument_types: Vec<DataType>,
}

impl Session {
    /// The function of an OID.
    ///
    /// # Errors
    /// 42883 for none, 0A000 for one that gives rows or gathers them, 25P02 where the transaction has failed.
    pub fn called_function(&self, oid: u32) -> Result<CalledFunction> {
        if self.active.as_ref().is_some_and(|active| active.failed) {
            return Err(in_failed_transaction());
        }
        let found = procedure(oid).ok_or_else(|| {
            let message = format!("function with OID {oid} does not exist");
            SqlError::new(SqlState::UNDEFINED_FUNCTION, message)
        })?;
        if found.kind != ProcedureKind::Function || found.returns_rows {
            let message = format!("cannot call function \"{}\" via fastpath interface", found.name);
            return Err(SqlError::unsupported(message));
        }
        let count = found.arguments.len();
        let places: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
        // Nothing can be read as `"any"`: its arguments are refused one by one.
        let is_array = found.variadic != 0 && found.variadic != oids::ANY;
        let (before, after) = places.split_at(if is_array { count.saturating_sub(1) } else { count });
        let mut arguments = before.join(", ");
        if let [variadic] = after {
            arguments.push_str(if before.is_empty() { "VARIADIC " } else { ", VARIADIC " });
            arguments.push_str(variadic);
        }
        Ok(CalledFunction {
            text: format!("SELECT pg_catalog.{}({arguments})", quote(&found.name)),
            argument_types: found.arguments.iter().copied().map(DataType::of).collect(),
        })
    }
}
