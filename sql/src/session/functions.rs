//! The functions that only a session can answer.

use crate::catalog::{Rights, SequenceEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::functions::{EvalContext, SessionFunctions};
use crate::relations;
use crate::rights::{denied, relation};
use crate::value::Datum;

use super::EPOCH_MICROS;

impl SessionFunctions for Environment {
    fn call(&self, name: &str, arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
        relations::call(self, name, arguments, context)
    }

    fn next_value(&self, sequence: u32) -> Result<i64> {
        let entry = self.sequence(sequence)?;
        self.check_sequence(entry, Rights::USAGE.with(Rights::UPDATE))?;
        self.sequences.next(entry)
    }

    fn relation_rows(&self, name: &str) -> Result<Vec<Vec<Datum>>> {
        let found = relations::function(name);
        found.ok_or_else(|| SqlError::internal("no such relation"))?.rows(self)
    }

    fn clock_timestamp(&self) -> i64 {
        i64::try_from(self.clock.now_micros()).unwrap_or(i64::MAX) - EPOCH_MICROS
    }

    fn random(&self) -> f64 {
        // xorshift64*: 53 of its bits make a number in [0, 1).
        let mut state = self.random.lock();
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn set_seed(&self, seed: f64) {
        *self.random.lock() = seed.to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    }

    fn random_bytes(&self, bytes: &mut [u8]) -> Result<()> {
        self.entropy.fill(bytes).map_err(|error| SqlError::new(SqlState::IO_ERROR, error.to_string()))
    }
}

impl Environment {
    /// The sequence that a function was called with.
    ///
    /// # Errors
    /// 42809, 42P01.
    pub fn sequence(&self, oid: u32) -> Result<&SequenceEntry> {
        if let Some(entry) = self.catalog.sequence(oid) {
            return Ok(entry);
        }
        Err(match relations::relation_place(self, oid) {
            Some((_, name)) => {
                SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a sequence"))
            }
            None => {
                SqlError::new(SqlState::UNDEFINED_TABLE, format!("could not open relation with OID {oid}"))
            }
        })
    }

    /// 42501 for a sequence that the role has none of some rights on. Whoever inserts into a table gets the numbers of
    /// its identity columns.
    ///
    /// # Errors
    /// That.
    pub fn check_sequence(&self, entry: &SequenceEntry, rights: Rights) -> Result<()> {
        let sequence = &entry.sequence;
        let may = self.permitted.has(sequence.oid, rights, || {
            let actor = self.actor();
            let on = |oid: u32, rights: Rights| {
                relation(&self.catalog, oid).is_some_and(|found| !actor.rights(&found, rights).is_empty())
            };
            let identity = sequence
                .owned_by
                .filter(|owner| owner.is_identity && rights == Rights::USAGE.with(Rights::UPDATE));
            on(sequence.oid, rights)
                || identity.is_some_and(|owner| {
                    let writes = Rights::INSERT.with(Rights::UPDATE);
                    let has = |number: i16| !actor.column_rights(owner.table, number, writes).is_empty();
                    let listed = self.catalog.rights_on(owner.table);
                    on(owner.table, writes)
                        || listed.is_some_and(|all| all.columns.iter().any(|(number, _)| has(*number)))
                })
        });
        if may { Ok(()) } else { Err(denied("sequence", &sequence.name)) }
    }

    /// What names mean, for binding within a running statement.
    #[must_use]
    pub fn bind_environment(&self) -> crate::binder::BindEnvironment {
        crate::binder::BindEnvironment {
            search_path: self.search_path.clone(),
            database: self.database.clone(),
            who: self.who,
            costs: crate::session::costs_of(&self.settings),
            settings: std::sync::Arc::default(),
            moments: crate::binder::Moments::default(),
            reads_past: false,
        }
    }

    /// A text argument.
    ///
    /// # Errors
    /// XX000 for another kind.
    pub fn text_argument<'d>(&self, arguments: &'d [Datum], at: usize) -> Result<&'d str> {
        arguments
            .get(at)
            .and_then(Datum::as_text)
            .ok_or_else(|| SqlError::internal("a text argument was expected"))
    }
}
