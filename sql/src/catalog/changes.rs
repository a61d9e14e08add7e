//! How many rows of each table changed since it was analyzed: when enough did, its statistics are due.
//!
//! Writers count, whoever ends a statement next looks whether something is due, and a helping thread does it. New statistics make all plans anew, so a
//! table that changes all the time gets them less and less often: each time within a minute of the one before takes twice
//! as many changes. The counts are only in memory: after a restart they begin anew. Each branch has its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use helios_mvcc::BranchId;
use parking_lot::Mutex;

/// So many changes make statistics due, and a tenth of the rows more.
const CHANGES_MIN: f64 = 500.0;
const CHANGED_PART: f64 = 0.1;
/// What is not done when it is due is due again after so many more changes.
const AGAIN_AFTER: u64 = 4_096;
/// Statistics that are older than this count as none.
const MINUTE_NANOS: u64 = 60_000_000_000;

/// A table on a branch.
type Place = (BranchId, u32);

/// The changes of one table.
#[derive(Debug, Default)]
pub struct ChangeCounter {
    /// `None`: nobody asks.
    place: Option<Place>,
    changed: AtomicU64,
    limit: AtomicU64,
    /// When they were due last, and how often in a row within a minute.
    last_nanos: AtomicU64,
    in_a_row: AtomicU64,
    due: Arc<DueTables>,
}

#[derive(Debug, Default)]
struct DueTables {
    any: AtomicBool,
    tables: Mutex<BTreeSet<Place>>,
}

impl ChangeCounter {
    /// Whether there were enough changes; then it counts from nothing again.
    fn take(&self, now_nanos: u64) -> bool {
        let in_a_row = match now_nanos - self.last_nanos.load(Ordering::Relaxed).min(now_nanos) {
            0..MINUTE_NANOS => self.in_a_row.load(Ordering::Relaxed),
            _ => 0,
        };
        let wanted = self.limit.load(Ordering::Relaxed) << in_a_row.min(32);
        if self.changed.load(Ordering::Relaxed) < wanted {
            return false;
        }
        self.changed.store(0, Ordering::Relaxed);
        self.last_nanos.store(now_nanos, Ordering::Relaxed);
        self.in_a_row.store(in_a_row + 1, Ordering::Relaxed);
        true
    }

    /// The changes since it was last analyzed.
    pub fn count(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }

    /// It is analyzed now.
    pub fn restart(&self) {
        self.changed.store(0, Ordering::Relaxed);
    }

    /// A row was written or removed.
    #[inline]
    pub fn note(&self) {
        let beyond =
            self.changed.fetch_add(1, Ordering::Relaxed).wrapping_sub(self.limit.load(Ordering::Relaxed));
        if beyond < u64::MAX / 2
            && beyond.is_multiple_of(AGAIN_AFTER)
            && let Some(place) = self.place
        {
            self.due.tables.lock().insert(place);
            self.due.any.store(true, Ordering::Release);
        }
    }
}

/// The counters of all tables of the branches that somebody was on.
#[derive(Debug, Default)]
pub struct Changes {
    counters: Mutex<BTreeMap<Place, Arc<ChangeCounter>>>,
    due: Arc<DueTables>,
}

impl Changes {
    /// The counter of a table that had so many rows when it was analyzed.
    #[must_use]
    pub fn counter(&self, branch: BranchId, table: u32, rows: f64) -> Arc<ChangeCounter> {
        let place = (branch, table);
        let mut counters = self.counters.lock();
        let counter = counters.entry(place).or_insert_with(|| {
            Arc::new(ChangeCounter { place: Some(place), due: self.due.clone(), ..ChangeCounter::default() })
        });
        counter.limit.store((CHANGES_MIN + CHANGED_PART * rows.max(0.0)) as u64, Ordering::Relaxed);
        counter.clone()
    }

    /// Forgets the counters of tables, and of all tables of branches, that are not wanted any more.
    pub fn retain(&self, is_wanted: impl Fn(BranchId, u32) -> bool) {
        self.counters.lock().retain(|(branch, table), _| is_wanted(*branch, *table));
    }

    /// A table whose statistics are due, and its branch, at a moment of the monotonic clock; it counts from nothing again.
    #[must_use]
    pub fn take_due(&self, now_nanos: impl FnOnce() -> u64) -> Option<(BranchId, u32)> {
        if !self.due.any.load(Ordering::Acquire) {
            return None;
        }
        let mut tables = self.due.tables.lock();
        let place = tables.pop_first();
        self.due.any.store(!tables.is_empty(), Ordering::Release);
        drop(tables);
        let counter = place.and_then(|place| self.counters.lock().get(&place).cloned())?;
        place.filter(|_| counter.take(now_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes a table until its statistics are due; gives after how many changes that was.
    fn until_due(changes: &Changes, counter: &ChangeCounter, now_nanos: u64) -> u64 {
        for number in 1..100_000 {
            counter.note();
            match changes.take_due(|| now_nanos) {
                None => {}
                Some(place) => {
                    assert_eq!((place, changes.take_due(|| now_nanos)), ((BranchId::MAIN, 7), None));
                    return number;
                }
            }
        }
        panic!("never due");
    }

    /// Statistics are due after enough changes, and again only after more of them: after many more, where that is soon.
    #[test]
    fn enough_changes_are_due_once() {
        let changes = Changes::default();
        let counter = changes.counter(BranchId::MAIN, 7, 1_000.0);
        let minute = MINUTE_NANOS;
        assert_eq!(until_due(&changes, &counter, 5), 601);
        assert_eq!(until_due(&changes, &counter, 5 + minute), 601);
        assert_eq!(until_due(&changes, &counter, 5 + 2 * minute), 601);
        // Looked at anew after so many more.
        assert_eq!(until_due(&changes, &counter, 6 + 2 * minute), 601 + AGAIN_AFTER);
        assert_eq!(until_due(&changes, &counter, 7 + 2 * minute), 601 + AGAIN_AFTER);
        assert_eq!(until_due(&changes, &counter, 8 + 2 * minute), 601 + 2 * AGAIN_AFTER);
        assert_eq!(until_due(&changes, &counter, 8 + 3 * minute), 601);
    }
}
