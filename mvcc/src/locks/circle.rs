//! Transactions that wait for each other in a circle, and how it may be cut without ending one of them.
//!
//! Some wait only behind others in a queue: nobody who holds the lock is in their way. In a circle these would wait for
//! ever for the sake of the order of arrival alone, so one of them gets its lock before those who came first.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::task::Waker;

use super::{LockName, LockOwner, LockTable};

impl LockTable {
    /// Cuts the circles that lead from a transaction that has just begun to wait back to it; false where one cannot be
    /// cut, which is a deadlock. Others pass their queues before the transaction itself does.
    ///
    /// It ends: each time round, one transaction less waits, and no other begins to while `waits` is locked.
    pub(super) fn cut_circles(&self, waits: &HashMap<LockOwner, LockName>, target: LockOwner) -> bool {
        loop {
            let circle = self.circle(waits, target);
            if circle.is_empty() {
                return true;
            }
            let others = circle.iter().copied().filter(|owner| *owner != target);
            if !others.chain([target]).any(|owner| self.pass_queue(waits, owner)) {
                return false;
            }
        }
    }

    /// Those who wait for each other from `target` back to it; empty where following the waits does not lead there.
    fn circle(&self, waits: &HashMap<LockOwner, LockName>, target: LockOwner) -> Vec<LockOwner> {
        let mut open = vec![target];
        let mut waited_for_by = HashMap::new();
        while let Some(owner) = open.pop() {
            for next in self.waited_for(waits, owner) {
                if next == target {
                    let back = |owner: &LockOwner| waited_for_by.get(owner).copied();
                    return std::iter::successors(Some(owner), back).collect();
                }
                waited_for_by.entry(next).or_insert_with(|| {
                    open.push(next);
                    owner
                });
            }
        }
        Vec::new()
    }

    /// Gives a transaction that waits its lock, if none of the holders is in its way.
    fn pass_queue(&self, waits: &HashMap<LockOwner, LockName>, owner: LockOwner) -> bool {
        let Some(name) = waits.get(&owner) else { return false };
        let mut shard = self.shard(*name).lock();
        let Some(entry) = shard.get_mut(name) else { return false };
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
