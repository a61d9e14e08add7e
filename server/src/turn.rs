//! Which statement of a connection runs, as the watcher sees it, which holds statements to the server's own time limit
//! (`performance.query_timeout_secs`).
//!
//! The limit is there for every statement, so it must cost them nothing: a connection counts beginnings and ends, and the watcher
//! remembers since when it has seen a number. A number is odd while its statement runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Set in the number of a statement that was told that its time is up.
const LATE: u64 = 1 << 63;

/// The number of what a connection runs.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicU64);

impl Turn {
    /// A statement begins; the one before has ended.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// The statement ends, if one runs; tells whether its time was up.
    pub(crate) fn end(&self) -> bool {
        let number = self.0.load(Ordering::SeqCst);
        if number.is_multiple_of(2) {
            return false;
        }
        // The watcher may have marked it since.
        let number = self.0.swap((number & !LATE) + 1, Ordering::SeqCst);
        number & LATE != 0
    }

    /// What runs; no two statements have the same number.
    pub(crate) fn running(&self) -> Option<u64> {
        let number = self.0.load(Ordering::SeqCst);
        (!number.is_multiple_of(2) && number & LATE == 0).then_some(number)
    }

    /// The time of a statement is up; false if it has ended.
    pub(crate) fn mark_late(&self, number: u64) -> bool {
        self.0.compare_exchange(number, number | LATE, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Whether the time of what runs is up.
    pub(crate) fn is_late(&self) -> bool {
        self.0.load(Ordering::SeqCst) & LATE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the statement that was seen is marked, and its end takes the mark away.
    #[test]
    fn marks_meet_the_statement_that_they_are_meant_for() {
        let turn = Turn::default();
        assert!(!turn.end() && turn.running().is_none());
        turn.begin();
        let first = turn.running().expect("it runs");
        assert!(!turn.end());
        turn.begin();
        assert!(!turn.mark_late(first) && !turn.is_late());
        let second = turn.running().expect("it runs");
        assert!(second != first && turn.mark_late(second) && turn.is_late());
        assert!(turn.running().is_none(), "it is not marked twice");
        assert!(turn.end() && !turn.is_late());
        turn.begin();
        assert!(turn.running().is_some());
    }
}
