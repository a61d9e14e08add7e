//! The numbers of sequences.
//!
//! What a sequence is (its bounds, its step) is an object of the catalog, versioned and transactional. How far it
//! has counted is not: it survives rollback, and all sessions share it. That state is a [`Counter`] in memory, one
//! for each sequence and branch, and behind it a row of the system branch that says where to go on after a crash.
//!
//! 1. `nextval` is synchronous: it moves the counter, under a lock held for a few nanoseconds.
//! 2. The row on disk is ahead of the counter, [`RESERVED_MIN`] numbers and more. A number behind it is *owed*: the
//!    session that drew it writes the row further ahead ([`SessionSequences::settle`]) before the number leaves the
//!    statement, that is before rows are given to the client and before the transaction commits.
//! 3. Whoever draws the number halfway through what is reserved settles too, so that others seldom have to wait.
//! 4. Closing writes the exact state, so that only a crash leaves a gap.
//!
//! **Invariant:** a number that was seen outside of its statement is not given again, also not after a crash.

mod counter;
mod session;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use helios_mvcc::{BranchId, Isolation, KeyRange, ScanStep, Snapshot, Store, Transaction, TreeId};
use parking_lot::RwLock;

pub use counter::{Counter, Limits, Position};
pub use session::SessionSequences;

use crate::catalog::Sequence;
use crate::error::{Result, SqlError};

/// The first byte of the keys of counters' rows, in the catalog tree of the system branch.
const COUNTER_CLASS: u8 = 32;

/// All counters of an engine.
#[derive(Debug, Default)]
pub struct Sequences {
    counters: RwLock<HashMap<(BranchId, u32), Arc<Counter>>>,
}

impl Sequences {
    /// Reads the counters that were ever used.
    ///
    /// # Errors
    /// Those of reading pages; XX001.
    pub async fn load(store: &Store) -> Result<Sequences> {
        let mut reader = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
        reader.begin_statement();
        let rows = read_rows(&reader, &[COUNTER_CLASS]).await?;
        let counter = |((branch, id), position)| ((branch, id), Arc::new(Counter::new(branch, id, position)));
        Ok(Sequences { counters: RwLock::new(rows.into_iter().map(counter).collect()) })
    }

    /// A sequence's counter; one that was never used begins as the catalog says.
    #[must_use]
    pub fn counter(&self, branch: BranchId, sequence: &Sequence) -> Arc<Counter> {
        let place = (branch, sequence.counter);
        if let Some(known) = self.counters.read().get(&place) {
            return known.clone();
        }
        let mut counters = self.counters.write();
        let made = || Arc::new(Counter::new(branch, sequence.counter, sequence.initial));
        counters.entry(place).or_insert_with(made).clone()
    }

    /// How far the sequences of a branch have counted: as of a moment, or now.
    ///
    /// # Errors
    /// Those of reading pages; XX001.
    pub async fn positions(
        &self,
        store: &Store,
        origin: Snapshot,
        now: bool,
    ) -> Result<Vec<(u32, Position)>> {
        if now {
            let counters = self.counters.read();
            let own = counters.iter().filter(|((branch, _), _)| *branch == origin.branch);
            return Ok(own.map(|((_, id), counter)| (*id, counter.position())).collect());
        }
        let reader = store.begin_as_of(BranchId::SYSTEM, origin.scn)?;
        let own = counter::prefix(origin.branch);
        let read = read_rows(&reader, &own).await?;
        Ok(read.into_iter().map(|((_, id), position)| (id, position)).collect())
    }

    /// Has the sequences of a new branch go on from there.
    pub fn begin_at(&self, branch: BranchId, positions: &[(u32, Position)]) {
        let counter = |(id, position): &(u32, Position)| {
            ((branch, *id), Arc::new(Counter::new(branch, *id, *position)))
        };
        self.counters.write().extend(positions.iter().map(counter));
    }

    /// Forgets the counters of branches that are gone, and their rows, which moments before still have.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn forget_branches(&self, store: &Store, is_there: impl Fn(BranchId) -> bool) -> Result<()> {
        let gone: Vec<(BranchId, u32)> =
            self.counters.read().keys().filter(|(branch, _)| !is_there(*branch)).copied().collect();
        if gone.is_empty() {
            return Ok(());
        }
        if store.accepts_commits() {
            let mut transaction = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
            transaction.begin_statement();
            transaction.mark_giving_room();
            for (branch, id) in &gone {
                transaction.delete(TreeId::CATALOG, &counter::key(*branch, *id))?;
            }
            transaction.commit().await?;
        }
        let mut counters = self.counters.write();
        gone.iter().for_each(|place| drop(counters.remove(place)));
        Ok(())
    }

    /// Writes down exactly how far each sequence counted.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn close(&self, store: &Store) -> Result<()> {
        let counters: Vec<Arc<Counter>> = self.counters.read().values().cloned().collect();
        for counter in counters {
            counter.write_exactly(store).await?;
        }
        Ok(())
    }
}

/// The rows that say so of a new branch.
#[must_use]
pub fn rows_of(branch: BranchId, positions: &[(u32, Position)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let row = |(id, position): &(u32, Position)| (counter::key(branch, *id), position.encode().to_vec());
    positions.iter().map(row).collect()
}

/// A counter's row: its branch and number, and where it is.
type Row = ((BranchId, u32), Position);

async fn read_rows(reader: &Transaction, prefix: &[u8]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut damaged = false;
    let mut scan = reader.scan(TreeId::CATALOG, KeyRange::prefix(prefix), false);
    while scan
        .next(reader, &mut |key, value| {
            match (counter::parse_key(key), Position::decode(value)) {
                (Some(place), Some(position)) => rows.push((place, position)),
                _ => damaged = true,
            }
            ControlFlow::Continue(())
        })
        .await?
        != ScanStep::Done
    {}
    if damaged { Err(SqlError::corrupted("the state of a sequence cannot be read")) } else { Ok(rows) }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use helios_mvcc::{BranchId, Isolation, Store};

    use super::{COUNTER_CLASS, read_rows};
    use crate::session::{Engine, Session, Step};

    async fn open(store: &Store) -> (Engine, Session) {
        let engine = Engine::open(store.clone(), Vec::new()).await.unwrap();
        let session = engine.session("postgres", "heliosdb");
        (engine, session)
    }

    /// The first value of a query.
    async fn number(session: &mut Session, text: &str) -> i64 {
        let prepared = session.prepare(text, Vec::new()).await.unwrap();
        let mut portal = session.bind(prepared, Vec::new()).unwrap();
        let Step::Rows(batch) = session.step(&mut portal, &mut None).await.unwrap() else {
            panic!("{text} gives no rows")
        };
        let value = batch.datum(0, 0).as_i64().unwrap();
        while !matches!(session.step(&mut portal, &mut None).await.unwrap(), Step::Complete(_)) {}
        session.sync().await.unwrap();
        value
    }

    /// An engine that was closed goes on with the next number; one that was not, beyond all that it gave.
    #[test]
    fn numbers_go_on_after_closing_and_after_a_crash() {
        block_on(async {
            let store = crate::test_support::memory_store();
            let (engine, mut session) = open(&store).await;
            session.run_script("CREATE SEQUENCE s; CREATE TABLE t (id serial, v text)").await.unwrap();
            for wanted in 1..=100 {
                assert_eq!(number(&mut session, "SELECT nextval('s')").await, wanted);
                assert_eq!(number(&mut session, "INSERT INTO t (v) VALUES ('x') RETURNING id").await, wanted);
            }
            engine.close().await.unwrap();
            let (_, mut session) = open(&store).await;
            assert_eq!(number(&mut session, "SELECT nextval('s')").await, 101);
            assert_eq!(number(&mut session, "INSERT INTO t (v) VALUES ('x') RETURNING id").await, 101);
            // Nothing is written down this time.
            let (_, mut session) = open(&store).await;
            assert!(number(&mut session, "SELECT nextval('s')").await > 101);
            assert!(number(&mut session, "INSERT INTO t (v) VALUES ('x') RETURNING id").await > 101);
        });
    }

    /// What a branch's sequences counted goes with it, also where the program ended in between.
    #[test]
    fn counters_go_with_their_branch() {
        block_on(async {
            let store = crate::test_support::memory_store();
            let (engine, mut session) = open(&store).await;
            session.run_script("CREATE SEQUENCE s").await.unwrap();
            session
                .run_script("CREATE DATABASE BRANCH dev FROM main; CREATE DATABASE BRANCH other FROM main")
                .await
                .unwrap();
            session.run_script("USE BRANCH dev").await.unwrap();
            assert_eq!(number(&mut session, "SELECT nextval('s')").await, 1);
            session.run_script("USE BRANCH other").await.unwrap();
            assert_eq!(number(&mut session, "SELECT setval('s', 20)").await, 20);
            session.run_script("USE BRANCH main").await.unwrap();
            assert_eq!(number(&mut session, "SELECT nextval('s')").await, 1);
            let rows = async || {
                let mut reader = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
                reader.begin_statement();
                read_rows(&reader, &[COUNTER_CLASS]).await.unwrap().len()
            };
            assert_eq!(rows().await, 3);
            session.run_script("DROP DATABASE BRANCH dev").await.unwrap();
            assert_eq!(rows().await, 2);
            // Dropped, and nothing after that.
            let other = engine.directory().branches.iter().find(|each| each.name == "other").unwrap().id;
            store.drop_branch(other).await.unwrap();
            engine.close().await.unwrap();
            let (_, mut session) = open(&store).await;
            assert_eq!(rows().await, 1);
            assert_eq!(number(&mut session, "SELECT nextval('s')").await, 2);
        });
    }

    /// Temporary tables of a session that did not end are gone at the next start.
    #[test]
    fn temporary_tables_do_not_outlive_their_engine() {
        block_on(async {
            let store = crate::test_support::memory_store();
            let (_, mut session) = open(&store).await;
            session.run_script("CREATE TEMP TABLE t (id serial); CREATE TABLE kept (a int)").await.unwrap();
            let (_, mut other) = open(&store).await;
            let found = "SELECT count(*) FROM pg_class WHERE relname IN ('t', 't_id_seq', 'kept')";
            assert_eq!(number(&mut other, found).await, 1);
        });
    }
}
