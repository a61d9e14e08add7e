//! Shows that a merge gives what a three-way merge over plain maps gives, for any changes on both sides and under all
//! resolutions, with indexes that agree; that nobody who writes to the target meanwhile loses anything; and that a crash
//! at any call leaves all of a merge or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_lite::future::{block_on, yield_now, zip};
use helios_mvcc::{Store, StoreOptions, Surroundings};
use helios_runtime::{InjectedFault, ManualClock, SeededEntropy, SimulatedDevice};
use proptest::prelude::*;

use crate::error::Result;
use crate::session::{Engine, Session, Step};

async fn open(store: &Store) -> (Engine, Session) {
    let engine = Engine::open(store.clone(), Vec::new()).await.unwrap();
    let session = engine.session("postgres", "heliosdb");
    (engine, session)
}

/// The one text that a query gives.
async fn text(session: &mut Session, query: &str) -> Result<String> {
    let prepared = session.prepare(query, Vec::new()).await?;
    let mut portal = session.bind(prepared, Vec::new())?;
    let mut found = String::new();
    while let Step::Rows(batch) = session.step(&mut portal, &mut None).await? {
        found = batch.datum(0, 0).as_text().unwrap_or_default().to_string();
    }
    session.sync().await?;
    Ok(found)
}

type Cells = [i32; 3];
type Rows = BTreeMap<i32, Cells>;

#[derive(Clone, Debug)]
enum Change {
    Put(i32, Cells),
    Set(i32, usize, i32),
    Delete(i32),
}

fn change() -> impl Strategy<Value = Change> {
    let (id, cell) = (0..14i32, 0..3i32);
    prop_oneof![
        2 => (id.clone(), [cell.clone(), cell.clone(), cell.clone()]).prop_map(|(id, cells)| Change::Put(id, cells)),
        5 => (id.clone(), 0..3usize, cell).prop_map(|(id, at, value)| Change::Set(id, at, value)),
        2 => id.prop_map(Change::Delete),
    ]
}

/// Does it to a map, and says it in SQL.
fn apply(rows: &mut Rows, change: &Change, sql: &mut String) {
    match change {
        Change::Put(id, cells) => {
            rows.insert(*id, *cells);
            let [a, b, c] = cells;
            *sql += &format!(
                "INSERT INTO t VALUES ({id}, {a}, {b}, {c}) ON CONFLICT (id) DO UPDATE SET a = {a}, b = {b}, c = {c};"
            );
        }
        Change::Set(id, at, value) => {
            if let Some(cells) = rows.get_mut(id) {
                cells[*at] = *value;
            }
            *sql += &format!("UPDATE t SET {} = {value} WHERE id = {id};", ["a", "b", "c"][*at]);
        }
        Change::Delete(id) => {
            rows.remove(id);
            *sql += &format!("DELETE FROM t WHERE id = {id};");
        }
    }
}

/// The merged rows, and how many conflicts there are; `wins` is the side that decides them.
fn reference(base: &Rows, ours: &Rows, theirs: &Rows, branch_wins: bool) -> (Rows, usize) {
    let (mut merged, mut conflicts) = (Rows::new(), 0);
    let ids: BTreeSet<i32> = base.keys().chain(ours.keys()).chain(theirs.keys()).copied().collect();
    for id in ids {
        let (old, own, new) = (base.get(&id), ours.get(&id), theirs.get(&id));
        let row = if new == old || new == own {
            own.copied()
        } else if own == old {
            new.copied()
        } else if let (Some(own), Some(new)) = (own, new) {
            let mut is_conflict = false;
            let mut cells = *own;
            for at in 0..3 {
                let old = old.map(|old| old[at]);
                if Some(new[at]) == old || new[at] == own[at] {
                    continue;
                }
                let changed_here = Some(own[at]) != old;
                is_conflict |= changed_here;
                if !changed_here || branch_wins {
                    cells[at] = new[at];
                }
            }
            conflicts += usize::from(is_conflict);
            Some(cells)
        } else {
            conflicts += 1;
            if branch_wins { new.copied() } else { own.copied() }
        };
        merged.extend(row.map(|row| (id, row)));
    }
    (merged, conflicts)
}

fn shown(rows: &Rows) -> String {
    let rows = rows.iter().map(|(id, [a, b, c])| format!("{id}:{a},{b},{c}"));
    rows.collect::<Vec<_>>().join(" ")
}

const ALL: &str = "SELECT string_agg(format('%s:%s,%s,%s', id, a, b, c), ' ' ORDER BY id) FROM t";

/// The same, found through the index.
const BY_INDEX: &str =
    "SELECT string_agg(format('%s:%s,%s,%s', id, a, b, c), ' ' ORDER BY id) FROM t WHERE a IN (0, 1, 2)";

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn merges_as_plain_maps_do(
        first in proptest::collection::vec(change(), 1..20),
        rounds in proptest::collection::vec(
            (proptest::collection::vec(change(), 0..8), proptest::collection::vec(change(), 0..8), 0..3usize),
            1..4,
        ),
    ) {
        block_on(async {
            let store = crate::test_support::memory_store();
            let (_, mut session) = open(&store).await;
            let mut base = Rows::new();
            let mut sql = "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int); CREATE INDEX t_a ON t (a);".to_string();
            first.iter().for_each(|change| apply(&mut base, change, &mut sql));
            session.run_script(&sql).await.unwrap();
            session.run_script("CREATE DATABASE BRANCH dev FROM main; SET enable_seqscan = off").await.unwrap();
            let (mut ours, mut theirs) = (base.clone(), base.clone());
            for (on_main, on_dev, resolution) in rounds {
                let (mut main_sql, mut dev_sql) = (String::new(), String::new());
                on_main.iter().for_each(|change| apply(&mut ours, change, &mut main_sql));
                on_dev.iter().for_each(|change| apply(&mut theirs, change, &mut dev_sql));
                session.run_script(&main_sql).await.unwrap();
                session.use_branch("dev").await.unwrap();
                session.run_script(&dev_sql).await.unwrap();
                session.use_branch("main").await.unwrap();
                let name = ["fail", "branch_wins", "target_wins"][resolution];
                let merge = format!("MERGE DATABASE BRANCH dev INTO main WITH (conflict_resolution = '{name}')");
                let merged = session.run_script(&merge).await;
                session.abandon();
                let (wanted, conflicts) = reference(&base, &ours, &theirs, resolution == 1);
                if resolution == 0 && conflicts > 0 {
                    let error = merged.expect_err("there are conflicts");
                    assert_eq!(error.state().as_str(), "40002", "{error:?}");
                    let plural = if conflicts == 1 { "conflict" } else { "conflicts" };
                    assert!(error.message().ends_with(&format!(": {conflicts} {plural}")), "{error:?}");
                } else {
                    merged.unwrap();
                    ours = wanted;
                    // From here on only what is new comes along.
                    base = theirs.clone();
                }
                assert_eq!(text(&mut session, ALL).await.unwrap(), shown(&ours));
                assert_eq!(text(&mut session, BY_INDEX).await.unwrap(), shown(&ours));
            }
        });
    }
}

#[test]
fn a_merge_begins_anew_when_the_target_moved() {
    // As much as threads of the program have: a merge that is not optimized needs more than those of tests.
    const STACK_BYTES: usize = 8 << 20;
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        builder.spawn_scoped(scope, merge_while_the_target_moves).unwrap().join().unwrap();
    });
}

/// A row of the target is locked, and changed after the merge began to wait for it.
fn merge_while_the_target_moves() {
    block_on(async {
        let store = crate::test_support::memory_store();
        let (engine, mut session) = open(&store).await;
        session
            .run_script(
                "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int); INSERT INTO t VALUES (1, 1, 1, 1)",
            )
            .await
            .unwrap();
        session.run_script("CREATE DATABASE BRANCH dev FROM main").await.unwrap();
        session.use_branch("dev").await.unwrap();
        session.run_script("UPDATE t SET a = 2").await.unwrap();
        let mut other = engine.session("postgres", "heliosdb");
        other.run_script("BEGIN; UPDATE t SET b = 3").await.unwrap();
        let merge = session.run_script("MERGE DATABASE BRANCH dev INTO main");
        let commit = async {
            while store.stats().unwrap().waiting_transactions == 0 {
                yield_now().await;
            }
            other.run_script("COMMIT").await
        };
        let (merged, committed) = zip(merge, commit).await;
        merged.unwrap();
        committed.unwrap();
        assert_eq!(text(&mut other, ALL).await.unwrap(), "1:2,3,1");
    });
}

async fn open_on(device: &SimulatedDevice) -> Result<(Store, Session)> {
    let options =
        StoreOptions { cache_size_bytes: 3_000_000, log_segment_bytes: 64 << 10, ..StoreOptions::default() };
    let surroundings = Surroundings {
        device: Arc::new(device.clone()),
        clock: Arc::new(ManualClock::new(1_000_000)),
        entropy: Arc::new(SeededEntropy::new(7)),
    };
    let store = Store::open(options, surroundings).await?;
    let engine = Engine::open(store.clone(), Vec::new()).await?;
    let session = engine.session("postgres", "heliosdb");
    Ok((store, session))
}

const BEFORE: &str = "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int);
    INSERT INTO t SELECT g, g, g, g FROM generate_series(1, 300) g";

/// Prepares two branches; gives the number of device calls until the merge begins.
async fn merge_on(device: &SimulatedDevice) -> Result<u64> {
    let (_, mut session) = open_on(device).await?;
    session.run_script(BEFORE).await?;
    session.run_script("CREATE DATABASE BRANCH dev FROM main; USE BRANCH dev").await?;
    session.run_script("UPDATE t SET a = 0; CREATE INDEX t_a ON t (a); CREATE TABLE made (x int)").await?;
    session.run_script("USE BRANCH main; UPDATE t SET b = 0").await?;
    let calls = device.calls();
    session.run_script("MERGE DATABASE BRANCH dev INTO main").await?;
    Ok(calls)
}

#[test]
fn a_crash_at_any_call_leaves_all_of_a_merge_or_nothing() {
    let device = SimulatedDevice::new(1);
    let start = block_on(merge_on(&device)).unwrap();
    let end = device.calls();
    assert!(end > start, "a merge writes");
    let mut outcomes = BTreeSet::new();
    for call in start + 1..=end {
        let device = SimulatedDevice::new(1);
        device.fail_call(call, InjectedFault::Crash);
        let finished = block_on(merge_on(&device)).is_ok();
        let device = device.restart();
        block_on(async {
            let (_, mut session) = open_on(&device).await.unwrap();
            let found = text(
                &mut session,
                "SELECT format('%s %s %s %s', sum(a), sum(b), (SELECT count(*) FROM pg_class WHERE relname IN ('t_a', 'made')),
                    (SELECT count(*) FROM t WHERE a = 0)) FROM t",
            );
            let found = found.await.unwrap();
            let is_merged = found == "0 0 2 300";
            assert!(is_merged || (found == "45150 0 0 0" && !finished), "call {call} of {end}: {found}");
            outcomes.insert(is_merged);
            // What was interrupted can be done again.
            session.run_script("MERGE DATABASE BRANCH dev INTO main").await.unwrap();
            assert_eq!(text(&mut session, "SELECT sum(a + b)::text FROM t").await.unwrap(), "0");
        });
    }
    assert_eq!(outcomes.len(), 2, "crashes before and after the commit");
}
