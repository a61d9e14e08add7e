//! Locks: by example, and by random sequences against a model of who waits for whom.

use super::*;
use futures_lite::future::{block_on, poll_once};

const A: LockOwner = LockOwner(1);
const B: LockOwner = LockOwner(2);
const C: LockOwner = LockOwner(3);
const TREE: LockSpace = LockSpace(7);
const X: LockName = LockName { space: TREE, key: 10 };
const Y: LockName = LockName { space: TREE, key: u64::MAX - 10 };

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
        assert_eq!(table.acquire(A, X, update, WaitPolicy::Block).await.unwrap(), Taken::New);
        let mut b = Box::pin(table.acquire(B, X, update, WaitPolicy::Block));
        assert!(poll_once(&mut b).await.is_none());
        let mut c = Box::pin(table.acquire(C, X, update, WaitPolicy::Block));
        assert!(poll_once(&mut c).await.is_none());
        let busy = table.acquire(C, X, update, WaitPolicy::NoWait).await;
        assert!(matches!(busy, Err(Error::LockNotAvailable)));
        table.release(A, X);
        assert!(poll_once(&mut c).await.is_none());
        assert_eq!(poll_once(&mut b).await.unwrap().unwrap(), Taken::New);
        table.release(B, X);
        assert_eq!(poll_once(&mut c).await.unwrap().unwrap(), Taken::New);
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
        assert_eq!(poll_once(&mut c).await.unwrap().unwrap(), Taken::New);
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
        let strengthened = table.acquire(A, X, row(LockMode::Share), WaitPolicy::Block).await.unwrap();
        assert_eq!(strengthened, Taken::Stronger);
        table.release(B, X);
        assert!(poll_once(&mut d).await.is_none(), "D waits for A now");
        let cycle = table.acquire(A, Y, row(LockMode::Update), WaitPolicy::Block).await;
        assert!(matches!(cycle, Err(Error::Deadlock)));
        table.release(A, X);
        assert!(poll_once(&mut d).await.is_some());
    });
}

/// A row is shared with those who come after one who wants it for himself, and he waits for them too.
#[test]
fn a_row_is_shared_past_one_who_waits() {
    block_on(async {
        let table = LockTable::new();
        let (share, update) = (row(LockMode::Share), row(LockMode::Update));
        table.acquire(A, X, share, WaitPolicy::Block).await.unwrap();
        let mut b = Box::pin(table.acquire(B, X, update, WaitPolicy::Block));
        assert!(poll_once(&mut b).await.is_none());
        table.acquire(C, X, share, WaitPolicy::NoWait).await.unwrap();
        table.release(A, X);
        assert!(poll_once(&mut b).await.is_none(), "C has it");
        table.release(C, X);
        assert!(poll_once(&mut b).await.is_some());
    });
}

/// Who waits behind others only goes before them where all would wait for each other otherwise.
#[test]
fn a_circle_of_the_order_of_arrival_is_cut() {
    block_on(async {
        let table = LockTable::new();
        const D: LockOwner = LockOwner(4);
        let (read, write) = (TableLockMode::AccessShare.into(), TableLockMode::AccessExclusive.into());
        table.acquire(A, X, read, WaitPolicy::Block).await.unwrap();
        table.acquire(B, Y, read, WaitPolicy::Block).await.unwrap();
        let mut c = Box::pin(table.acquire(C, X, write, WaitPolicy::Block));
        let mut d = Box::pin(table.acquire(D, Y, write, WaitPolicy::Block));
        assert!(poll_once(&mut c).await.is_none() && poll_once(&mut d).await.is_none());
        let mut a = Box::pin(table.acquire(A, Y, read, WaitPolicy::Block));
        assert!(poll_once(&mut a).await.is_none(), "A waits behind D");
        let mut b = Box::pin(table.acquire(B, X, read, WaitPolicy::Block));
        assert!(poll_once(&mut b).await.is_none(), "B waits behind C");
        assert!(poll_once(&mut a).await.unwrap().is_ok(), "A need not wait for D");
        table.release(A, X);
        table.release(A, Y);
        assert!(poll_once(&mut c).await.is_some());
        table.release(C, X);
        assert!(poll_once(&mut b).await.is_some());
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
        assert_eq!(poll_once(&mut a).await.unwrap().unwrap(), Taken::Stronger, "the lock was A's before");
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

    fn reached(&self, owner: LockOwner) -> Vec<LockOwner> {
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
        reached
    }

    /// Lets those in circles with an owner pass their queues whom no holder keeps from that; false where a circle is left.
    fn cut_circles(&mut self, owner: LockOwner) -> bool {
        loop {
            let mut circle = self.reached(owner);
            if !circle.contains(&owner) {
                return true;
            }
            circle.retain(|other| self.reached(*other).contains(&owner));
            circle.sort_by_key(|other| (*other == owner, other.0));
            let position = circle.iter().find_map(|other| {
                let at = self.waiters.iter().position(|waiter| waiter.1 == *other)?;
                let (name, _, mode) = self.waiters[at];
                let is_free = |held: &(LockName, LockOwner, Mode)| {
                    held.0 != name || held.1 == *other || !mode.conflicts(held.2)
                };
                self.holders.iter().all(is_free).then_some(at)
            });
            let Some(at) = position else { return false };
            let waiter = self.waiters.remove(at);
            self.holders.push(waiter);
        }
    }

    fn request(&mut self, owner: LockOwner, name: LockName, mode: Mode) -> Expected {
        let covered =
            |held: &(LockName, LockOwner, Mode)| held.0 == name && held.1 == owner && held.2.covers(mode);
        if self.holders.iter().any(covered) {
            return Expected::Granted;
        }
        let is_free =
            |held: &(LockName, LockOwner, Mode)| held.0 != name || held.1 == owner || !mode.conflicts(held.2);
        if mode.is_of_row() && self.holders.iter().all(is_free) {
            self.holders.push((name, owner, mode));
            return Expected::Granted;
        }
        let position = if self.holds(owner, name) { 0 } else { self.waiters.len() };
        self.waiters.insert(position, (name, owner, mode));
        if self.blockers(position).is_empty() {
            let waiter = self.waiters.remove(position);
            self.holders.push(waiter);
            return Expected::Granted;
        }
        let is_cut = self.cut_circles(owner);
        match self.waiters.iter().position(|waiter| waiter.1 == owner) {
            None => Expected::Granted,
            Some(_) if is_cut => Expected::Waits,
            Some(position) => {
                self.waiters.remove(position);
                // Others may have waited behind it.
                self.grant();
                Expected::Deadlock
            }
        }
    }

    /// How many modes an owner holds.
    fn mark(&self, owner: LockOwner) -> usize {
        self.holders.iter().filter(|held| held.1 == owner).count()
    }

    fn end_since(&mut self, owner: LockOwner, mark: usize) {
        let mut seen = 0;
        self.holders.retain(|held| {
            seen += usize::from(held.1 == owner);
            held.1 != owner || seen <= mark
        });
        self.grant();
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

type Pending<'t> = (LockOwner, std::pin::Pin<Box<dyn Future<Output = Result<Taken>> + 't>>);

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
    /// Requests, ends of transactions, savepoints and withdrawals in any order: who gets the lock, who waits and who is told of a
    /// deadlock is what the model says, and nobody is forgotten; also where transactions are alone for a while.
    #[test]
    fn locks_match_a_model(
        tables in proptest::prelude::any::<bool>(),
        steps in proptest::collection::vec((0u8..13, 0u64..6, 0u64..4, 0u8..8), 1..150),
    ) {
        block_on(async {
            let table = LockTable::new();
            let mut model = Model::default();
            let mut pending: Vec<Pending<'_>> = Vec::new();
            let mut held: Vec<HeldLocks> = (0..6).map(|_| HeldLocks::default()).collect();
            // The last savepoint of each; none any more once a wait was cancelled, which leaves a name behind.
            let mut marks: Vec<Option<(LockMark, usize)>> = vec![None; 6];
            let mut cancelled = [false; 6];
            let name_of = |name: u64| LockName { space: LockSpace(name % 2), key: name << 60 };
            for (kind, owner, name, mode) in steps {
                let (held, mark) = (&mut held[owner as usize], &mut marks[owner as usize]);
                let cancelled = &mut cancelled[owner as usize];
                let (owner, name) = (LockOwner(owner), name_of(name));
                let mode = Mode(if tables { 8 + mode } else { mode % 4 });
                let waits = pending.iter().any(|waiter| waiter.0 == owner);
                match kind {
                    0..7 if !waits => {
                        if held.try_acquire(&table, owner, name, mode) {
                            assert_eq!(Expected::Granted, model.request(owner, name, mode), "{owner:?} got {name:?}");
                            continue;
                        }
                        let mut future = Box::pin(table.acquire(owner, name, mode, WaitPolicy::Block));
                        let found = match poll_once(&mut future).await {
                            Some(Ok(_)) => Expected::Granted,
                            Some(Err(_)) => Expected::Deadlock,
                            None => Expected::Waits,
                        };
                        assert_eq!(found, model.request(owner, name, mode), "{owner:?} asks for {name:?}");
                        if found != Expected::Deadlock {
                            held.note(name, mode);
                        }
                        if found == Expected::Waits {
                            pending.push((owner, future));
                        }
                    }
                    7 if waits => {
                        // Cancelled: what it held it holds.
                        pending.retain(|waiter| waiter.0 != owner);
                        model.waiters.retain(|waiter| waiter.1 != owner);
                        model.grant();
                        (*mark, *cancelled) = (None, true);
                    }
                    8 if !waits && !*cancelled => *mark = Some((held.mark(), model.mark(owner))),
                    9 | 10 if !waits => {
                        if let Some((mark, model_mark)) = mark {
                            held.release_since(&table, owner, mark);
                            model.end_since(owner, *model_mark);
                        }
                    }
                    11.. => {
                        (*mark, *cancelled) = (None, false);
                        pending.retain(|waiter| waiter.0 != owner);
                        held.release(&table, owner);
                        (0..4).for_each(|name| table.release(owner, name_of(name)));
                        model.end(owner);
                    }
                    _ => {}
                }
                compare(&model, &mut pending).await;
            }
        });
    }
}

/// A load's locks are kept aside until somebody else comes, who then waits for just those keys that it has.
#[test]
fn a_transaction_alone_in_a_tree_locks_what_it_says() {
    block_on(async {
        let table = LockTable::new();
        let update = row(LockMode::Update);
        let name = |key: u64| LockName { space: TREE, key: key << 50 };
        let (mut a, mut b) = (HeldLocks::default(), HeldLocks::default());
        assert!((0..100).all(|key| a.try_acquire(&table, A, name(key), update)));
        let in_table = || table.shards.iter().map(|shard| shard.lock().entries().len()).sum::<usize>();
        assert!(in_table() < 5, "{} locks", in_table());
        assert!(b.try_acquire(&table, B, name(100), update));
        assert_eq!(in_table(), 101);
        assert!(!b.try_acquire(&table, B, name(50), update));
        let mut waits = Box::pin(table.acquire(B, name(50), update, WaitPolicy::Block));
        assert!(poll_once(&mut waits).await.is_none());
        assert!(!a.try_acquire(&table, A, name(100), update));
        a.release(&table, A);
        assert!(poll_once(&mut waits).await.is_some());
        table.release(B, name(50));
        b.release(&table, B);
        assert_eq!(in_table(), 0);
    });
}

/// Loads of several threads into one tree, which are alone in turns: no two ever hold one key.
#[test]
fn nobody_is_alone_where_others_are() {
    let table = LockTable::new();
    let taken: Vec<AtomicBool> = (0..64).map(|_| AtomicBool::new(false)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (table, taken) = (&table, &taken);
            scope.spawn(move || {
                let mut random = thread + 1;
                for round in 0..3_000 {
                    let owner = LockOwner(thread * 10_000 + round);
                    let mut held = HeldLocks::default();
                    let mut mine = Vec::new();
                    for _ in 0..8 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let key = random >> 58;
                        let name = LockName { space: TREE, key: key << 58 };
                        if !mine.contains(&key) && held.try_acquire(table, owner, name, row(LockMode::Update))
                        {
                            assert!(!taken[key as usize].swap(true, Ordering::AcqRel), "two hold {key}");
                            mine.push(key);
                        }
                    }
                    mine.iter().for_each(|key| taken[*key as usize].store(false, Ordering::Release));
                    held.release(table, owner);
                }
            });
        }
    });
}

/// A lock that is its shard's only one conflicts, is made stronger and is given back as those of the table are, also
/// once another one or somebody who waits has come.
#[test]
fn an_only_lock_is_like_any_other() {
    let near = LockName { space: TREE, key: X.key + 1 };
    let table = LockTable::new();
    let (share, update) = (row(LockMode::KeyShare), row(LockMode::Update));
    assert_eq!(table.try_acquire(A, X, share), Some(Taken::New));
    assert_eq!(table.try_acquire(A, X, share), Some(Taken::Nothing));
    assert_eq!(table.try_acquire(B, X, update), None);
    assert_eq!(table.try_acquire(A, X, update), Some(Taken::Stronger));
    table.release_mode(A, X, update);
    assert_eq!(table.try_acquire(B, X, update), None);
    table.release(A, X);
    // Alone in its shard again, then with a neighbour.
    assert_eq!(table.try_acquire(B, X, update), Some(Taken::New));
    table.release(A, X);
    table.release_mode(B, X, share);
    table.release(B, near);
    assert_eq!(table.try_acquire(A, X, update), None);
    assert_eq!(table.try_acquire(A, near, update), Some(Taken::New));
    assert_eq!(table.try_acquire(B, near, update), None);
    table.release(B, X);
    table.release(A, near);
    assert!(table.shards.iter().all(|shard| shard.lock().entries().is_empty()));
    block_on(async {
        assert_eq!(table.try_acquire(A, X, update), Some(Taken::New));
        let mut waiting = Box::pin(table.acquire(B, X, update, WaitPolicy::Block));
        assert!(poll_once(&mut waiting).await.is_none());
        assert_eq!(table.blockers_of(B), [A]);
        table.release(A, X);
        assert_eq!(poll_once(&mut waiting).await.unwrap().unwrap(), Taken::New);
    });
}
