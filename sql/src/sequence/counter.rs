//! One sequence's counter.

use helios_mvcc::{BranchId, Isolation, LockMode, Store, Transaction, TreeId, WaitPolicy};
use parking_lot::Mutex;

use super::COUNTER_CLASS;
use crate::error::{Result, SqlError, SqlState};

/// How many numbers the first reservation is ahead.
const RESERVED_MIN: i64 = 32;
/// Reservations double up to here: what a crash may skip.
const RESERVED_MAX: i64 = 512;

/// Within what a sequence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub cycle: bool,
}

/// Where a sequence is: the last number, and whether it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub last: i64,
    pub is_called: bool,
}

impl Position {
    /// Its stored form.
    #[must_use]
    pub fn encode(self) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&self.last.to_be_bytes());
        bytes[8] = u8::from(self.is_called);
        bytes
    }

    /// Reads the stored form.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Position> {
        let (last, rest) = bytes.split_first_chunk::<8>()?;
        let [is_called] = rest else { return None };
        Some(Position { last: i64::from_be_bytes(*last), is_called: *is_called != 0 })
    }
}

/// What the row on disk allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    /// It says something else than the counter.
    Behind,
    /// It says exactly what the counter says.
    Exact,
    /// It is ahead: numbers up to `until` may be given in steps of `increment`.
    Ahead { until: i64, increment: i64 },
}

#[derive(Debug)]
struct State {
    position: Position,
    durable: Durable,
    /// What the last number was drawn within; none after `setval`, which is written exactly.
    limits: Option<Limits>,
    /// Moves with each `setval`.
    generation: u64,
    /// How many numbers the next reservation is ahead.
    reserve: i64,
}

/// A sequence's counter on a branch.
#[derive(Debug)]
pub struct Counter {
    branch: BranchId,
    id: u32,
    state: Mutex<State>,
}

/// What the keys of a branch's counters begin with.
pub(super) fn prefix(branch: BranchId) -> Vec<u8> {
    let mut key = vec![COUNTER_CLASS];
    key.extend(branch.0.to_be_bytes());
    key
}

/// The key of a counter's row.
pub(super) fn key(branch: BranchId, id: u32) -> Vec<u8> {
    let mut key = prefix(branch);
    key.extend(id.to_be_bytes());
    key
}

/// The branch and the counter of a key.
pub(super) fn parse_key(key: &[u8]) -> Option<(BranchId, u32)> {
    let (branch, id) = key.get(1..)?.split_first_chunk::<8>()?;
    Some((BranchId(u64::from_be_bytes(*branch)), u32::from_be_bytes(id.try_into().ok()?)))
}

impl Counter {
    /// A counter that is where its row, or the catalog, says.
    #[must_use]
    pub fn new(branch: BranchId, id: u32, position: Position) -> Counter {
        let state =
            State { position, durable: Durable::Exact, limits: None, generation: 0, reserve: RESERVED_MIN };
        Counter { branch, id, state: Mutex::new(state) }
    }

    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.state.lock().position
    }

    /// How many numbers are reserved beyond the last one: what PostgreSQL shows as `log_cnt`.
    #[must_use]
    pub fn reserved(&self) -> i64 {
        let state = self.state.lock();
        match state.durable {
            Durable::Ahead { until, increment } => (until - state.position.last) / increment,
            _ => 0,
        }
    }

    /// The next number, and whether it is owed: to be settled before it leaves the statement.
    ///
    /// # Errors
    /// 2200H at the end of a sequence that does not cycle.
    pub fn draw(&self, limits: &Limits, name: &str) -> Result<(i64, bool)> {
        let mut state = self.state.lock();
        let Position { last, is_called } = state.position;
        let next = if is_called { after(last, limits, name)? } else { last };
        let owed = match state.durable {
            Durable::Ahead { until, increment } if increment == limits.increment => {
                let wrapped = (next > last) != (increment > 0) && is_called;
                let left = (until as i128 - next as i128) * i128::from(increment.signum());
                if wrapped || left < 0 {
                    state.durable = Durable::Behind;
                    true
                } else {
                    let half = i128::from(state.reserve / 4) * i128::from(increment.unsigned_abs());
                    left == half
                }
            }
            _ => {
                state.durable = Durable::Behind;
                true
            }
        };
        state.position = Position { last: next, is_called: true };
        state.limits = Some(*limits);
        Ok((next, owed))
    }

    /// Sets it, as `setval` does; the new position is owed.
    pub fn set(&self, position: Position) {
        let mut state = self.state.lock();
        state.position = position;
        state.durable = Durable::Behind;
        state.limits = None;
        state.generation += 1;
    }

    /// Has it go on from where another is, if that is further; tells whether it is. The new position is owed.
    pub fn advance(&self, position: Position, increment: i64) -> bool {
        let mut state = self.state.lock();
        let place = |position: Position| {
            (i128::from(position.last) * i128::from(increment.signum()), position.is_called)
        };
        let is_further = place(position) > place(state.position);
        if is_further {
            state.position = position;
            state.durable = Durable::Behind;
            state.limits = None;
            state.generation += 1;
        }
        is_further
    }

    /// Writes the row ahead, until everything that was drawn so far is behind it.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn settle(&self, store: &Store) -> Result<()> {
        loop {
            let mut transaction = self.locked_row(store).await?;
            let (target, limits, generation) = {
                let state = self.state.lock();
                if state.is_comfortable() {
                    return Ok(());
                }
                (state.ahead(), state.limits, state.generation)
            };
            transaction.put(TreeId::CATALOG, &key(self.branch, self.id), &target.encode())?;
            transaction.commit().await?;
            let mut state = self.state.lock();
            if state.generation != generation || state.limits != limits {
                continue;
            }
            let Some(Limits { increment, .. }) = limits else {
                state.durable = Durable::Exact;
                return Ok(());
            };
            state.reserve = (state.reserve * 2).min(RESERVED_MAX);
            let left = i128::from(target.last) - i128::from(state.position.last);
            if left * i128::from(increment.signum()) >= 0 {
                state.durable = Durable::Ahead { until: target.last, increment };
                return Ok(());
            }
        }
    }

    /// Writes down exactly where it is.
    pub(super) async fn write_exactly(&self, store: &Store) -> Result<()> {
        let position = {
            let state = self.state.lock();
            if state.durable == Durable::Exact {
                return Ok(());
            }
            state.position
        };
        let mut transaction = self.locked_row(store).await?;
        transaction.put(TreeId::CATALOG, &key(self.branch, self.id), &position.encode())?;
        transaction.commit().await?;
        Ok(())
    }

    /// A transaction of the program's own that has the row's lock: writers of the row go one after the other.
    async fn locked_row(&self, store: &Store) -> Result<Transaction> {
        let mut transaction = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
        transaction.begin_statement();
        let key = key(self.branch, self.id);
        transaction.lock_row(TreeId::CATALOG, &key, LockMode::Update, WaitPolicy::Block).await?;
        Ok(transaction)
    }
}

impl State {
    /// What the row is to say: as many numbers further as are reserved, within the bounds.
    fn ahead(&self) -> Position {
        let Position { last, is_called } = self.position;
        let Some(limits) = self.limits else { return self.position };
        let ahead = last.saturating_add(limits.increment.saturating_mul(self.reserve));
        Position { last: ahead.clamp(limits.minimum.min(last), limits.maximum.max(last)), is_called }
    }

    /// Whether the row is ahead by more than a quarter of a reservation, or as exact as it has to be.
    fn is_comfortable(&self) -> bool {
        match self.durable {
            Durable::Behind => false,
            Durable::Exact => true,
            Durable::Ahead { until, increment } => {
                let left = (i128::from(until) - i128::from(self.position.last)).abs();
                left > i128::from(self.reserve / 4) * i128::from(increment.unsigned_abs())
            }
        }
    }
}

/// The number after another.
fn after(last: i64, limits: &Limits, name: &str) -> Result<i64> {
    let ended = |bound: &str, value: i64| {
        SqlError::new(
            SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
            format!("nextval: reached {bound} value of sequence \"{name}\" ({value})"),
        )
    };
    let next = last.checked_add(limits.increment);
    if limits.increment > 0 {
        match next {
            Some(next) if next <= limits.maximum => Ok(next),
            _ if limits.cycle => Ok(limits.minimum),
            _ => Err(ended("maximum", limits.maximum)),
        }
    } else {
        match next {
            Some(next) if next >= limits.minimum => Ok(next),
            _ if limits.cycle => Ok(limits.maximum),
            _ => Err(ended("minimum", limits.minimum)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use helios_mvcc::BranchId;

    const UP: Limits = Limits { increment: 1, minimum: 1, maximum: 10_000, cycle: false };

    fn store() -> Store {
        crate::test_support::memory_store()
    }

    /// The row on disk never is behind a number that was settled.
    #[test]
    fn settled_numbers_are_behind_the_row() {
        block_on(async {
            let store = store();
            let counter = Counter::new(BranchId::MAIN, 7, Position { last: 1, is_called: false });
            for wanted in 1..=3_000 {
                let (number, owed) = counter.draw(&UP, "s").unwrap();
                assert_eq!(number, wanted);
                if owed {
                    counter.settle(&store).await.unwrap();
                }
                let read = super::super::Sequences::load(&store).await.unwrap();
                let read = read.counters.read().get(&(BranchId::MAIN, 7)).unwrap().position();
                assert!(read.is_called && read.last >= number, "{read:?} {number}");
            }
        });
    }

    /// After `setval` the row is exact, and a step in another direction is owed.
    #[test]
    fn a_set_position_is_kept_exactly() {
        block_on(async {
            let store = store();
            let counter = Counter::new(BranchId::MAIN, 7, Position { last: 1, is_called: false });
            counter.draw(&UP, "s").unwrap();
            counter.set(Position { last: 500, is_called: true });
            counter.settle(&store).await.unwrap();
            let read = super::super::Sequences::load(&store).await.unwrap();
            let read = read.counters.read().get(&(BranchId::MAIN, 7)).unwrap().position();
            assert_eq!(read, Position { last: 500, is_called: true });
            let down = Limits { increment: -1, ..UP };
            assert_eq!(counter.draw(&down, "s").unwrap(), (499, true));
        });
    }
}
