//! Which page leaves memory next: S3-FIFO.
//!
//! New pages enter a small queue; those used again before they reach its end move to the main queue, the others
//! leave and are remembered for a while as ghosts. A ghost that comes back enters the main queue at once. So a
//! page that a scan reads once passes through the small queue and pushes nothing hot out.
//! (J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.)

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::frames::Stamp;
use crate::ids::{PageKey, Scn};

/// Entries that each admission looks at where the queues hold more than they have to.
const LOOKED_AT: usize = 4;

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

/// A version in a queue.
#[derive(Clone, Copy)]
struct Entry {
    key: CacheKey,
    /// Of an old version, the publication that was admitted: the same version may go and be published again. The newest version of a page
    /// is admitted once, whichever publication it is by now.
    stamp: Option<Stamp>,
}

#[derive(Default)]
struct Queues {
    small: VecDeque<Entry>,
    main: VecDeque<Entry>,
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

    /// Says that a version has come into memory; an old one with its publication.
    ///
    /// Versions that went otherwise than by eviction stay in the queues until eviction meets them. Where nothing has to be evicted they
    /// would become ever more, so beyond twice the capacity each admission asks `is_there` about a few at a queue's end.
    pub fn admit(
        &self,
        key: CacheKey,
        stamp: Option<Stamp>,
        is_there: impl Fn(CacheKey, Option<Stamp>) -> bool,
    ) {
        let entry = Entry { key, stamp };
        let mut queues = self.queues.lock();
        if queues.ghosts.remove(&key).is_some() {
            queues.main.push_back(entry);
        } else {
            queues.small.push_back(entry);
        }
        for _ in 0..LOOKED_AT {
            if queues.small.len() + queues.main.len() <= 2 * self.capacity {
                break;
            }
            let from_small = queues.small.len() > queues.main.len();
            let queue = if from_small { &mut queues.small } else { &mut queues.main };
            if let Some(oldest) = queue.pop_front()
                && is_there(oldest.key, oldest.stamp)
            {
                queue.push_back(oldest);
            }
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
        // Those that cannot leave go around their queue: what is behind them, and the other queue, comes to its turn all the same.
        let (mut busy_in_small, mut busy_in_main) = (0, 0);
        for _ in 0..tries_max {
            if evicted >= wanted {
                break;
            }
            let mut queues = self.queues.lock();
            let left_in_small = queues.small.len().saturating_sub(busy_in_small);
            let left_in_main = queues.main.len().saturating_sub(busy_in_main);
            if left_in_small + left_in_main == 0 {
                break;
            }
            let from_small = left_in_small > self.capacity / 10 || left_in_main == 0;
            let candidate = if from_small { queues.small.pop_front() } else { queues.main.pop_front() };
            drop(queues);
            let Some(entry) = candidate else { break };
            let verdict = judge(entry.key, from_small);
            let mut queues = self.queues.lock();
            match verdict {
                Verdict::Gone => {}
                Verdict::Used => queues.main.push_back(entry),
                Verdict::Busy if from_small => {
                    busy_in_small += 1;
                    queues.small.push_back(entry);
                }
                Verdict::Busy => {
                    busy_in_main += 1;
                    queues.main.push_back(entry);
                }
                Verdict::Evicted => {
                    evicted += 1;
                    if from_small {
                        queues.remember(entry.key, self.capacity);
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
            replacement.admit(wanted, None, |_, _| true);
        }
        assert!(hot_misses < 500, "{hot_misses} misses of 10,000 in the hot set");
    }

    /// Pages that cannot leave keep neither those behind them nor those of the other queue from leaving.
    #[test]
    fn the_busy_keep_nobody_else() {
        let key = |page| CacheKey { page: PageKey::new(BranchId(2), PageId(page)), until: Scn::MAX };
        let replacement = Replacement::new(100);
        let admit = |page| replacement.admit(key(page), None, |_, _| true);
        // The first fifty are used, and so in the main queue; those behind them cannot leave, but for one.
        (0..50).for_each(admit);
        replacement.evict(1, 50, |_, _| Verdict::Used);
        (50..100).for_each(admit);
        let evict = |wanted| {
            replacement.evict(wanted, 400, |each, _| match each.page.page.0 {
                0..50 | 70 => Verdict::Evicted,
                _ => Verdict::Busy,
            })
        };
        assert_eq!(evict(51), 51);
        assert_eq!(evict(1), 0);
    }

    /// Versions that went by themselves do not pile up, however many come and go while there is room for all.
    #[test]
    fn what_is_gone_is_forgotten() {
        let (capacity, lasting) = (1_000u64, 900);
        let replacement = Replacement::new(capacity as usize);
        let key = |page| CacheKey { page: PageKey::new(BranchId(2), PageId(page)), until: Scn::MAX };
        let mut longest = 0;
        for page in 0..100 * capacity {
            replacement.admit(key(page), None, |each, _| each.page.page.0 < lasting);
            let queues = replacement.queues.lock();
            longest = longest.max(queues.small.len() + queues.main.len());
        }
        // While those that last pass by, nothing is forgotten.
        assert!(longest <= (2 * capacity + lasting / LOOKED_AT as u64) as usize + 1, "{longest} entries");
        let mut there = 0;
        replacement.evict(usize::MAX, 4 * capacity as usize, |each, _| {
            there += u64::from(each.page.page.0 < lasting);
            Verdict::Evicted
        });
        assert_eq!(there, lasting, "what is there can be evicted, once each");
    }
}
