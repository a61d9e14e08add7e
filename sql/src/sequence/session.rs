//! What a session knows of sequences: the numbers that it drew last, and what it owes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use helios_mvcc::{BranchId, Scn, Store};
use parking_lot::Mutex;

use super::{Counter, Position, Sequences};
use crate::catalog::{Sequence, SequenceEntry};
use crate::error::{Result, SqlError, SqlState};

#[derive(Debug, Default)]
struct Known {
    /// The number that each sequence gave last.
    values: HashMap<u32, i64>,
    /// The sequence of the last `nextval`.
    last: Option<u32>,
    owed: Vec<Arc<Counter>>,
}

/// A session's part in sequences; its evaluations share it.
#[derive(Debug)]
pub struct SessionSequences {
    all: Arc<Sequences>,
    branch: BranchId,
    known: Mutex<Known>,
    owes: AtomicBool,
    /// The running transaction may not write.
    read_only: AtomicBool,
    /// The SCN as of which the session reads; 0: now.
    as_of: AtomicU64,
}

impl SessionSequences {
    /// A session that drew nothing yet.
    #[must_use]
    pub fn new(all: Arc<Sequences>, branch: BranchId) -> SessionSequences {
        let (owes, read_only) = (AtomicBool::new(false), AtomicBool::new(false));
        SessionSequences { all, branch, known: Mutex::default(), owes, read_only, as_of: AtomicU64::new(0) }
    }

    /// Says whether the running transaction may write, and what it reads, where that is not what there is now.
    pub fn set_read_only(&self, read_only: bool, as_of: Option<Scn>) {
        self.read_only.store(read_only || as_of.is_some(), Ordering::Relaxed);
        self.as_of.store(as_of.map_or(0, |scn| scn.0), Ordering::Relaxed);
    }

    /// 25006; of a temporary sequence only where the session reads the past.
    fn refuse_read_only(&self, function: &str, entry: &SequenceEntry) -> Result<()> {
        let as_of = Some(Scn(self.as_of.load(Ordering::Relaxed))).filter(|scn| scn.0 != 0);
        let is_private = entry.sequence.is_temporary && as_of.is_none();
        if self.read_only.load(Ordering::Relaxed) && !is_private {
            return Err(crate::session::read_only(function, as_of));
        }
        Ok(())
    }

    /// The counter of a sequence.
    pub fn counter<'e>(&self, entry: &'e SequenceEntry) -> &'e Arc<Counter> {
        entry.counter.get_or_init(|| self.all.counter(self.branch, &entry.sequence))
    }

    /// How far a sequence has counted.
    #[must_use]
    pub fn position(&self, sequence: &Sequence) -> Position {
        self.all.counter(self.branch, sequence).position()
    }

    /// `nextval`.
    ///
    /// # Errors
    /// 2200H, 25006.
    pub fn next(&self, entry: &SequenceEntry) -> Result<i64> {
        self.refuse_read_only("nextval()", entry)?;
        let counter = self.counter(entry);
        let (number, owed) = counter.draw(&entry.sequence.limits, &entry.sequence.name)?;
        let mut known = self.known.lock();
        known.values.insert(entry.sequence.oid, number);
        known.last = Some(entry.sequence.oid);
        if owed {
            self.owe(&mut known, counter);
        }
        Ok(number)
    }

    fn owe(&self, known: &mut Known, counter: &Arc<Counter>) {
        if !known.owed.iter().any(|each| Arc::ptr_eq(each, counter)) {
            known.owed.push(counter.clone());
        }
        self.owes.store(true, Ordering::Relaxed);
    }

    /// `currval`.
    ///
    /// # Errors
    /// 55000 before the session's first `nextval`.
    pub fn current(&self, entry: &SequenceEntry) -> Result<i64> {
        self.known.lock().values.get(&entry.sequence.oid).copied().ok_or_else(|| {
            SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("currval of sequence \"{}\" is not yet defined in this session", entry.sequence.name),
            )
        })
    }

    /// The sequence of `lastval`.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.known.lock().last
    }

    /// `setval`.
    ///
    /// # Errors
    /// 22003 outside of the sequence's bounds, 25006.
    pub fn set(&self, entry: &SequenceEntry, value: i64, is_called: bool) -> Result<i64> {
        self.refuse_read_only("setval()", entry)?;
        let limits = &entry.sequence.limits;
        if value < limits.minimum || value > limits.maximum {
            return Err(SqlError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    entry.sequence.name, limits.minimum, limits.maximum
                ),
            ));
        }
        let counter = self.counter(entry);
        counter.set(Position { last: value, is_called });
        let mut known = self.known.lock();
        if is_called {
            known.values.insert(entry.sequence.oid, value);
        }
        self.owe(&mut known, counter);
        Ok(value)
    }

    /// Whether numbers that were drawn must be settled yet.
    #[must_use]
    #[inline]
    pub fn owes(&self) -> bool {
        self.owes.load(Ordering::Relaxed)
    }

    /// Makes sure that what was drawn is never given again.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn settle(&self, store: &Store) -> Result<()> {
        self.owes.store(false, Ordering::Relaxed);
        let owed = std::mem::take(&mut self.known.lock().owed);
        for counter in owed {
            if let Err(error) = counter.settle(store).await {
                // The number may leave the statement all the less.
                self.owe(&mut self.known.lock(), &counter);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Forgets what was drawn, as DISCARD SEQUENCES does.
    pub fn forget(&self) {
        let mut known = self.known.lock();
        known.values.clear();
        known.last = None;
    }
}
