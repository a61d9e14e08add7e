//! Locks: by example, and by random sequences against a model of who waits for whom.

use super::*;
use futures_lite::future::{block_on, poll_once};

const A: LockOwner = LockOwner(1);
const B: LockOwner = LockOwner(2);
const C: LockOwner = LockOwner(3);
const X: LockName = LockName(10);
const Y: LockName = LockName(u64::MAX - 10);

fn row(mode: LockMode) -> Mode {
    mode.into()
}

/// The modes conflict as PostgreSQL's documentation says, symmetrically.
#[test]
fn conflicts_are_symmetric() {
    for (base, count) in [(0, 4), (8, 8)] {
        for a in base..base + count {
            for b in base..base + count {
                assert_eq!(Mode(a).conflicts(Mode(b)), Mode(b).conflicts(Mode(a)), "{a} {b}");
            }
        }
    }
    assert!(!row(LockMode::KeyShare).conflicts(row(LockMode::NoKeyUpdate)));
    assert!(row(LockMode::KeyShare).conflicts(row(LockMode::Update)));
    assert!(!Mode::from(TableLockMode::RowExclusive).conflicts(TableLockMode::RowExclusive.into()));
    assert!(Mode::from(TableLockMode::Share).conflicts(TableLockMode::RowExclusive.into()));
}

/// A waiter gets the lock when the holder lets go, in order of arrival.
#[test]
fn waiters_are_granted_in_order() {
    block_on(async {
        let table = LockTable::new();
        let update = row(LockMode::Update);
        assert!(table.acquire(A, X, update, WaitPolicy::Block).await.unwrap());
        let mut b = Box::pin(table.acquire(B, X, update, WaitPolicy::Block));
        assert!(poll_once(&mut b).await.is_none());
        let mut c = Box::pin(table.acquire(C, X, update, WaitPolicy::Block));
        assert!(poll_once(&mut c).await.is_none());
        let busy = table.acquire(C, X, update, WaitPolicy::NoWait).await;
        assert!(matches!(busy, Err(Error::LockNotAvailable)));
        table.release(A, X);
        assert!(poll_once(&mut c).await.is_none());
        assert!(poll_once(&mut b).await.unwrap().unwrap());
        table.release(B, X);
        assert!(poll_once(&mut c).await.unwrap().unwrap());
    });
}

/// A cycle of waits is refused for the one who would close it; withdrawing lets the next one through.
#[test]
fn cycles_are_refused_and_withdrawals_pass_the_lock_on() {
    block_on(async {
        let table = LockTable::new();
        let update = row(LockMode::Update);
        table.acquire(A, X, update, WaitPolicy::Block).await.unwrap();
        table.acquire(B, Y, update, WaitPolicy::Block).await.unwrap();
        let mut a = Box::pin(table.acquire(A, Y, update, WaitPolicy::Block));
        assert!(poll_once(&mut a).await.is_none());
        let cycle = table.acquire(B, X, update, WaitPolicy::Block).await;
        assert!(matches!(cycle, Err(Error::Deadlock)));
        let mut c = Box::pin(table.acquire(C, Y, update, WaitPolicy::Block));
        assert!(poll_once(&mut c).await.is_none());
        drop(a);
        table.release(B, Y);
        assert!(poll_once(&mut c).await.unwrap().unwrap());
    });
}

/// A mode strengthened at once, without a wait, makes those behind it wait for its owner too.
#[test]
fn a_cycle_through_a_strengthened_mode_is_found() {
    block_on(async {
        let table = LockTable::new();
        const D: LockOwner = LockOwner(4);
        table.acquire(D, Y, row(LockMode::Update), WaitPolicy::Block).await.unwrap();
        table.acquire(A, X, row(LockMode::KeyShare), WaitPolicy::Block).await.unwrap();
        table.acquire(B, X, row(LockMode::Share), WaitPolicy::Block).await.unwrap();
        let mut d = Box::pin(table.acquire(D, X, row(LockMode::NoKeyUpdate), WaitPolicy::Block));
        assert!(poll_once(&mut d).await.is_none(), "D waits for B");
        assert!(!table.acquire(A, X, row(LockMode::Share), WaitPolicy::Block).await.unwrap());
        table.release(B, X);
        assert!(poll_once(&mut d).await.is_none(), "D waits for A now");
        let cycle = table.acquire(A, Y, row(LockMode::Update), WaitPolicy::Block).await;
        assert!(matches!(cycle, Err(Error::Deadlock)));
        table.release(A, X);
        assert!(poll_once(&mut d).await.is_some());
    });
}

/// Two sharers that both want to write deadlock; the second to ask is told.
#[test]
fn upgrades_by_two_sharers_deadlock() {
    block_on(async {
        let table = LockTable::new();
        table.acquire(A, X, row(LockMode::Share), WaitPolicy::Block).await.unwrap();
        table.acquire(B, X, row(LockMode::Share), WaitPolicy::Block).await.unwrap();
        let mut a = Box::pin(table.acquire(A, X, row(LockMode::Update), WaitPolicy::Block));
        assert!(poll_once(&mut a).await.is_none());
        let second = table.acquire(B, X, row(LockMode::Update), WaitPolicy::Block).await;
        assert!(matches!(second, Err(Error::Deadlock)));
        table.release(B, X);
        assert!(!poll_once(&mut a).await.unwrap().unwrap(), "the lock was A's before");
    });
}

/// What the lock table should do, said as plainly as can be: lists, and a search of all waits at each request.
#[derive(Default)]
struct Model {
    holders: Vec<(LockName, LockOwner, Mode)>,
    /// In the order in which they are to be granted.
    waiters: Vec<(LockName, LockOwner, Mode)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Granted,
    Waits,
    Deadlock,
}

impl Model {
    fn holds(&self, owner: LockOwner, name: LockName) -> bool {
        self.holders.iter().any(|(held, holder, _)| *held == name && *holder == owner)
    }

    /// Whom the waiter at `position` waits for.
    fn blockers(&self, position: usize) -> Vec<LockOwner> {
        let (name, owner, mode) = self.waiters[position];
        self.holders
            .iter()
            .chain(&self.waiters[..position])
            .filter(|(other_name, other, other_mode)| {
                *other_name == name && *other != owner && mode.conflicts(*other_mode)
            })
            .map(|(_, other, _)| *other)
            .collect()
    }

    fn waits_for_itself(&self, owner: LockOwner) -> bool {
        let mut reached = Vec::new();
        let mut open = vec![owner];
        while let Some(next) = open.pop() {
            let position = self.waiters.iter().position(|waiter| waiter.1 == next);
            for blocker in position.map_or_else(Vec::new, |position| self.blockers(position)) {
                if !reached.contains(&blocker) {
                    reached.push(blocker);
                    open.push(blocker);
                }
            }
        }
        reached.contains(&owner)
    }

    fn request(&mut self, owner: LockOwner, name: LockName, mode: Mode) -> Expected {
        let covered =
            |held: &(LockName, LockOwner, Mode)| held.0 == name && held.1 == owner && held.2.covers(mode);
        if self.holders.iter().any(covered) {
            return Expected::Granted;
        }
        let position = if self.holds(owner, name) { 0 } else { self.waiters.len() };
        self.waiters.insert(position, (name, owner, mode));
        if self.blockers(position).is_empty() {
            let waiter = self.waiters.remove(position);
            self.holders.push(waiter);
            return Expected::Granted;
        }
        if self.waits_for_itself(owner) {
            self.waiters.remove(position);
            return Expected::Deadlock;
        }
        Expected::Waits
    }

    fn end(&mut self, owner: LockOwner) {
        self.holders.retain(|held| held.1 != owner);
        self.waiters.retain(|waiter| waiter.1 != owner);
        self.grant();
    }

    fn grant(&mut self) {
        while let Some(position) =
            (0..self.waiters.len()).find(|position| self.blockers(*position).is_empty())
        {
            let waiter = self.waiters.remove(position);
            self.holders.push(waiter);
        }
    }
}

type Pending<'t> = (LockOwner, std::pin::Pin<Box<dyn Future<Output = Result<bool>> + 't>>);

/// Each who waits is blocked in the model, each who is blocked waits.
async fn compare(model: &Model, pending: &mut Vec<Pending<'_>>) {
    let mut still = Vec::new();
    for (owner, mut future) in pending.drain(..) {
        let waits = model.waiters.iter().any(|waiter| waiter.1 == owner);
        match poll_once(&mut future).await {
            Some(result) => {
                assert!(result.is_ok() && !waits, "{owner:?} got {result:?}, the model waits: {waits}");
            }
            None => {
                assert!(waits, "{owner:?} waits, and nobody is in its way");
                still.push((owner, future));
            }
        }
    }
    *pending = still;
    for (name, owner, mode) in &model.holders {
        let clash = |other: &&(LockName, LockOwner, Mode)| {
            other.0 == *name && other.1 != *owner && other.2.conflicts(*mode)
        };
        assert!(model.holders.iter().find(clash).is_none(), "two hold what excludes each other");
    }
}

proptest::proptest! {
    /// Requests, ends of transactions and withdrawals in any order: who gets the lock, who waits and who is told of a
    /// deadlock is what the model says, and nobody is forgotten.
    #[test]
    fn locks_match_a_model(
        tables in proptest::prelude::any::<bool>(),
        steps in proptest::collection::vec((0u8..10, 0u64..6, 0u64..3, 0u8..8), 1..150),
    ) {
        block_on(async {
            let table = LockTable::new();
            let mut model = Model::default();
            let mut pending: Vec<Pending<'_>> = Vec::new();
            for (kind, owner, name, mode) in steps {
                let (owner, name) = (LockOwner(owner), LockName(name << 60));
                let mode = Mode(if tables { 8 + mode } else { mode % 4 });
                let waits = pending.iter().any(|waiter| waiter.0 == owner);
                match kind {
                    0..7 if !waits => {
                        let mut future = Box::pin(table.acquire(owner, name, mode, WaitPolicy::Block));
                        let found = match poll_once(&mut future).await {
                            Some(Ok(_)) => Expected::Granted,
                            Some(Err(_)) => Expected::Deadlock,
                            None => Expected::Waits,
                        };
                        assert_eq!(found, model.request(owner, name, mode), "{owner:?} asks for {name:?}");
                        if found == Expected::Waits {
                            pending.push((owner, future));
                        }
                    }
                    7 if waits => {
                        // Cancelled: what it held it holds.
                        pending.retain(|waiter| waiter.0 != owner);
                        model.waiters.retain(|waiter| waiter.1 != owner);
                        model.grant();
                    }
                    8.. => {
                        pending.retain(|waiter| waiter.0 != owner);
                        (0..3).for_each(|name| table.release(owner, LockName(name << 60)));
                        model.end(owner);
                    }
                    _ => {}
                }
                compare(&model, &mut pending).await;
            }
        });
    }
}
