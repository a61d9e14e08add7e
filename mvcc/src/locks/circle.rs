//! Transactions that wait for each other in a circle, and how it may be cut without ending one of them.
//!
//! Some wait only behind others in a queue: nobody who holds the lock is in their way. In a circle these would wait for
//! ever for the sake of the order of arrival alone, so one of them gets its lock before those who came first.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::task::Waker;

use super::{LockName, LockOwner, LockTable};

impl LockTable {
    /// Cuts the circles that lead from a transaction that has just begun to wait back to it; false where one cannot be
    /// cut, which is a deadlock. Others pass their queues before the transaction itself does, older ones first.
    ///
    /// It ends: each time round, one transaction less waits, and no other begins to while `waits` is locked.
    pub(super) fn cut_circles(&self, waits: &HashMap<LockOwner, LockName>, target: LockOwner) -> bool {
        loop {
            let reached = self.reached(waits, target);
            if !reached.contains(&target) {
                return true;
            }
            let is_among = |owner: &LockOwner| self.reached(waits, *owner).contains(&target);
            let mut circle: Vec<LockOwner> = reached.into_iter().filter(is_among).collect();
            circle.sort_by_key(|owner| (*owner == target, owner.0));
            if !circle.into_iter().any(|owner| self.pass_queue(waits, owner)) {
                return false;
            }
        }
    }

    /// Those to whom following the waits of a transaction leads.
    fn reached(&self, waits: &HashMap<LockOwner, LockName>, from: LockOwner) -> HashSet<LockOwner> {
        let mut open = self.waited_for(waits, from);
        let mut reached = HashSet::new();
        while let Some(owner) = open.pop() {
            if reached.insert(owner) {
                open.extend(self.waited_for(waits, owner));
            }
        }
        reached
    }

    /// Gives a transaction that waits its lock, if none of the holders is in its way.
    fn pass_queue(&self, waits: &HashMap<LockOwner, LockName>, owner: LockOwner) -> bool {
        let Some(name) = waits.get(&owner) else { return false };
        let mut shard = self.shard(*name).lock();
        let Some(entry) = shard.entries().get_mut(name) else { return false };
        let Some(at) = entry.waiters.iter().position(|waiter| waiter.owner == owner) else { return false };
        let mode = entry.waiters[at].mode;
        if !entry.blockers(owner, mode, 0).is_empty() {
            return false;
        }
        let Some(waiter) = entry.waiters.remove(at) else { return false };
        entry.holders.push((owner, mode));
        waiter.granted.store(true, Ordering::Release);
        waiter.waker.into_iter().for_each(Waker::wake);
        true
    }
}
