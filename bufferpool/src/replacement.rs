//! Which page leaves memory next: S3-FIFO.
//!
//! New pages enter a small queue; those used again before they reach its end move to the main queue, the others
//! leave and are remembered for a while as ghosts. A ghost that comes back enters the main queue at once. So a
//! page that a scan reads once passes through the small queue and pushes nothing hot out.
//! (J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.)

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::ids::{PageKey, Scn};

/// A published version, as the queues know it: the newest of a page, or an old one by where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The page.
    pub page: PageKey,
    /// [`Scn::MAX`] for the newest version, else the SCN at which the version ends.
    pub until: Scn,
}

/// What became of a candidate for eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is no longer in memory anyway.
    Gone,
    /// It was used since it was last looked at.
    Used,
    /// It has left.
    Evicted,
    /// It cannot leave right now.
    Busy,
}

#[derive(Default)]
struct Queues {
    small: VecDeque<CacheKey>,
    main: VecDeque<CacheKey>,
    /// Ghosts by the number of their entry, which a later entry of the same page replaces.
    ghosts: HashMap<CacheKey, u64>,
    ghost_order: VecDeque<(CacheKey, u64)>,
    ghost_number: u64,
}

/// The queues.
pub struct Replacement {
    queues: Mutex<Queues>,
    capacity: usize,
}

impl Replacement {
    /// Queues for a pool of `capacity` frames.
    pub fn new(capacity: usize) -> Replacement {
        Replacement { queues: Mutex::default(), capacity }
    }

    /// Says that a version has come into memory.
    pub fn admit(&self, key: CacheKey) {
        let mut queues = self.queues.lock();
        if queues.ghosts.remove(&key).is_some() {
            queues.main.push_back(key);
        } else {
            queues.small.push_back(key);
        }
    }

    /// Looks at up to `tries_max` candidates and asks `judge` about each, until `wanted` have left. Returns how
    /// many have.
    pub fn evict(
        &self,
        wanted: usize,
        tries_max: usize,
        mut judge: impl FnMut(CacheKey, bool) -> Verdict,
    ) -> usize {
        let mut evicted = 0;
        for _ in 0..tries_max {
            if evicted >= wanted {
                break;
            }
            let mut queues = self.queues.lock();
            let from_small = queues.small.len() > self.capacity / 10 || queues.main.is_empty();
            let candidate = if from_small { queues.small.pop_front() } else { queues.main.pop_front() };
            drop(queues);
            let Some(key) = candidate else { break };
            let verdict = judge(key, from_small);
            let mut queues = self.queues.lock();
            match verdict {
                Verdict::Gone => {}
                Verdict::Used => queues.main.push_back(key),
                Verdict::Busy if from_small => queues.small.push_back(key),
                Verdict::Busy => queues.main.push_back(key),
                Verdict::Evicted => {
                    evicted += 1;
                    if from_small {
                        queues.remember(key, self.capacity);
                    }
                }
            }
        }
        evicted
    }
}

impl Queues {
    fn remember(&mut self, key: CacheKey, ghosts_max: usize) {
        self.ghost_number += 1;
        self.ghosts.insert(key, self.ghost_number);
        self.ghost_order.push_back((key, self.ghost_number));
        while self.ghost_order.len() > ghosts_max {
            if let Some((old, number)) = self.ghost_order.pop_front()
                && self.ghosts.get(&old) == Some(&number)
            {
                self.ghosts.remove(&old);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BranchId, PageId};
    use std::collections::HashMap;

    /// A hot set that is used between the steps of a long scan stays in memory.
    #[test]
    fn a_scan_does_not_flush_the_hot_set() {
        let key = |page| CacheKey { page: PageKey::new(BranchId(2), PageId(page)), until: Scn::MAX };
        let capacity = 100;
        let replacement = Replacement::new(capacity);
        let mut resident: HashMap<CacheKey, u8> = HashMap::new();
        let mut hot_misses = 0;
        for step in 0u64..20_000 {
            let wanted = if step % 2 == 0 { key(step / 2 % 50) } else { key(1000 + step) };
            if let Some(uses) = resident.get_mut(&wanted) {
                *uses = (*uses + 1).min(3);
                continue;
            }
            hot_misses += u64::from(step % 2 == 0);
            if resident.len() == capacity {
                replacement.evict(1, 1000, |candidate, from_small| match resident.get_mut(&candidate) {
                    None => Verdict::Gone,
                    Some(uses) if *uses > 0 => {
                        *uses = if from_small { 0 } else { *uses - 1 };
                        Verdict::Used
                    }
                    Some(_) => {
                        resident.remove(&candidate);
                        Verdict::Evicted
                    }
                });
            }
            resident.insert(wanted, 0);
            replacement.admit(wanted);
        }
        assert!(hot_misses < 500, "{hot_misses} misses of 10,000 in the hot set");
    }
}
