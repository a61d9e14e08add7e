//! How many rows of each table changed since it was analyzed: when enough did, its statistics are due.
//!
//! Writers count, whoever ends a statement next looks whether something is due. The counts are only in memory: after a
//! restart they begin anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// So many changes make statistics due, and a tenth of the rows more.
const CHANGES_MIN: f64 = 500.0;
const CHANGED_PART: f64 = 0.1;
/// What is not done when it is due is due again after so many more changes.
const AGAIN_AFTER: u64 = 4_096;

/// The changes of one table.
#[derive(Debug, Default)]
pub struct ChangeCounter {
    table: u32,
    changed: AtomicU64,
    limit: AtomicU64,
    due: Arc<DueTables>,
}

#[derive(Debug, Default)]
struct DueTables {
    any: AtomicBool,
    tables: Mutex<BTreeSet<u32>>,
}

impl ChangeCounter {
    /// A row was written or removed.
    #[inline]
    pub fn note(&self) {
        let beyond =
            self.changed.fetch_add(1, Ordering::Relaxed).wrapping_sub(self.limit.load(Ordering::Relaxed));
        if beyond < u64::MAX / 2 && beyond.is_multiple_of(AGAIN_AFTER) {
            self.due.tables.lock().insert(self.table);
            self.due.any.store(true, Ordering::Release);
        }
    }
}

/// The counters of all tables.
#[derive(Debug, Default)]
pub struct Changes {
    counters: Mutex<HashMap<u32, Arc<ChangeCounter>>>,
    due: Arc<DueTables>,
}

impl Changes {
    /// The counter of a table that had so many rows when it was analyzed.
    #[must_use]
    pub fn counter(&self, table: u32, rows: f64) -> Arc<ChangeCounter> {
        let mut counters = self.counters.lock();
        let counter = counters.entry(table).or_insert_with(|| {
            Arc::new(ChangeCounter { table, due: self.due.clone(), ..ChangeCounter::default() })
        });
        counter.limit.store((CHANGES_MIN + CHANGED_PART * rows.max(0.0)) as u64, Ordering::Relaxed);
        counter.clone()
    }

    /// A table whose statistics are due; it counts from nothing again.
    #[must_use]
    pub fn take_due(&self) -> Option<u32> {
        if !self.due.any.load(Ordering::Acquire) {
            return None;
        }
        let mut tables = self.due.tables.lock();
        let table = tables.pop_first();
        self.due.any.store(!tables.is_empty(), Ordering::Release);
        if let Some(counter) = table.and_then(|table| self.counters.lock().get(&table).cloned()) {
            counter.changed.store(0, Ordering::Relaxed);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statistics are due once after enough changes, and again only after more of them.
    #[test]
    fn enough_changes_are_due_once() {
        let changes = Changes::default();
        let counter = changes.counter(7, 1_000.0);
        for _ in 0..600 {
            counter.note();
            assert_eq!(changes.take_due(), None);
        }
        counter.note();
        assert_eq!(changes.take_due(), Some(7));
        assert_eq!(changes.take_due(), None);
        for _ in 0..600 {
            counter.note();
        }
        assert_eq!(changes.take_due(), None);
        counter.note();
        counter.note();
        assert_eq!(changes.take_due(), Some(7));
    }
}
