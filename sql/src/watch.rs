//! Whether work that never waits is still wanted: parsing, binding and planning.
//!
//! 1. A session that begins such work says so by [`watch`]; from then on the thread knows the session's cancel flag.
//! 2. Loops that may be long ask [`is_over`] now and then, or [`check`] where they can fail. Passes that can not fail
//!    leave the plan as it is instead: whoever asked for it calls [`check`] behind them.
//! 3. Other threads set the flag: those that hear cancel requests, and the server's own, which looks after time limits,
//!    lost clients and the stop signal.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Result, SqlError};

/// A session's flag, and what others know of its work.
#[derive(Debug, Default)]
pub struct Preparing {
    /// Counts beginnings and ends: odd while something is prepared.
    turns: AtomicU64,
}

impl Preparing {
    /// The number of what is being prepared: no two have the same.
    #[must_use]
    pub fn current(&self) -> Option<u64> {
        let turns = self.turns.load(Ordering::SeqCst);
        (turns % 2 == 1).then_some(turns)
    }
}

thread_local! {
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Work of this thread that a flag ends; it ends with this value.
#[must_use]
pub struct Watched {
    before: Option<Arc<AtomicBool>>,
    preparing: Arc<Preparing>,
}

/// From now on the thread works for a session.
pub fn watch(flag: &Arc<AtomicBool>, preparing: &Arc<Preparing>) -> Watched {
    preparing.turns.fetch_add(1, Ordering::SeqCst);
    let before = FLAG.with(|known| known.replace(Some(flag.clone())));
    Watched { before, preparing: preparing.clone() }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let before = self.before.take();
        FLAG.with(|known| *known.borrow_mut() = before);
        self.preparing.turns.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether the work at hand is not wanted any more.
#[must_use]
pub fn is_over() -> bool {
    FLAG.with(|known| known.borrow().as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// 57014 if the work at hand is not wanted any more.
///
/// # Errors
/// That.
pub fn check() -> Result<()> {
    if is_over() { Err(SqlError::canceled()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread asks the innermost flag, and none once its work has ended.
    #[test]
    fn flags_nest_and_end() {
        let (outer, inner) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let preparing = Arc::new(Preparing::default());
        assert!(!is_over() && preparing.current().is_none());
        let first = watch(&outer, &preparing);
        assert!(is_over() && preparing.current().is_some());
        let second = watch(&inner, &Arc::default());
        assert!(check().is_ok());
        drop(second);
        assert!(check().is_err());
        drop(first);
        assert!(!is_over() && preparing.current().is_none());
    }
}
