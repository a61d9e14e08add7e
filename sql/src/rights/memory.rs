//! What a session's role was found to be permitted, as long as its environment holds.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::catalog::Rights;

/// Rights on objects that were asked for and are there: functions of every row ask again and again.
#[derive(Debug, Default)]
pub struct Permitted(Mutex<BTreeSet<(u32, Rights)>>);

impl Permitted {
    /// Whether any of some rights on an object are there; `find` is asked once.
    pub fn has(&self, object: u32, rights: Rights, find: impl FnOnce() -> bool) -> bool {
        if self.0.lock().contains(&(object, rights)) {
            return true;
        }
        let found = find();
        if found {
            self.0.lock().insert((object, rights));
        }
        found
    }
}
