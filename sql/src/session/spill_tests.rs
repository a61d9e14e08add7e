//! Every operator that gathers rows, with so little memory that nearly all of them go to temporary files: it gives the same
//! rows as with much memory, holds no more than it may, and leaves nothing behind when it fails or is canceled.

use std::sync::Arc;

use futures_lite::future::{block_on, poll_once};
use helios_mvcc::{MasterKey, Store, StoreOptions, Surroundings};
use helios_runtime::device::{InjectedFault, SimulatedDevice};
use helios_runtime::{Device, IoBuf, OpenMode, SystemClock, SystemEntropy};

use super::{Engine, Session, Step};
use crate::error::{Result, SqlState};

/// Rows of each table; with their padding they take fifty times the `work_mem` of these tests.
const ROWS: u32 = 12_000;

/// Each operator alone, then some together. No order is asked for but where it is the point.
const QUERIES: &[&str] = &[
    "SELECT * FROM a ORDER BY k DESC, id",
    "SELECT id, pad FROM a ORDER BY pad, k LIMIT 5000 OFFSET 3000",
    "SELECT DISTINCT k, pad FROM a",
    "SELECT DISTINCT ON (g) * FROM a ORDER BY g, id",
    "SELECT g, count(*), sum(id), max(pad) FROM a GROUP BY g",
    "SELECT pad, count(DISTINCT k), string_agg(id::text, ',' ORDER BY id DESC) FROM a GROUP BY pad",
    "SELECT count(DISTINCT pad), sum(DISTINCT k) FROM a",
    "SELECT g, pad, grouping(g, pad), count(*) FROM a GROUP BY GROUPING SETS ((g, pad), (g), (pad), ())",
    "SELECT a.id, a.pad, b.id FROM a JOIN b ON a.k = b.k",
    "SELECT a.id, b.pad, b.id FROM a LEFT JOIN b ON a.k = b.k AND a.id < b.id",
    "SELECT a.id, b.pad, b.id FROM a RIGHT JOIN b ON a.k = b.k AND a.id < b.id",
    "SELECT a.id, a.pad, b.id FROM a FULL JOIN b ON a.k = b.k AND a.id < b.id",
    "SELECT * FROM a WHERE k IN (SELECT k FROM b)",
    // Nearly all keys of one side are equal.
    "SELECT x.id, y.pad FROM (SELECT * FROM a WHERE id < 1500) x FULL JOIN (SELECT * FROM a WHERE id < 1490) y
     ON x.skew = y.skew AND x.id - y.id = 0",
    "SELECT x.pad, y.pad FROM (SELECT * FROM a WHERE id < 1500) x LEFT JOIN (SELECT * FROM a WHERE id < 1490) y
     ON x.skew = y.skew AND x.id - y.id = 1",
    "SELECT x.id, y.id FROM (SELECT * FROM b WHERE id < 4) x FULL JOIN a y ON x.id > y.id - 3 AND x.k < y.k",
    "SELECT pad FROM a UNION SELECT pad FROM b",
    "SELECT k, pad FROM a INTERSECT ALL SELECT k, pad FROM a WHERE id % 3 = 0",
    "SELECT k, pad FROM a EXCEPT SELECT k, pad FROM a WHERE id % 3 = 0",
    "SELECT k FROM a EXCEPT ALL SELECT k FROM b",
    "SELECT id, pad, sum(k) OVER (PARTITION BY g ORDER BY id), lag(pad) OVER (PARTITION BY g ORDER BY k, id) FROM a",
    "WITH c AS MATERIALIZED (SELECT * FROM a) SELECT x.id, y.k FROM c x JOIN c y ON x.id = y.k",
    "WITH RECURSIVE r AS (SELECT id, pad FROM a UNION ALL SELECT id + 12000, pad FROM r WHERE id < 15000) SELECT * FROM r",
    "SELECT id FROM b WHERE id < 3 AND pad || id <> ALL (SELECT pad FROM a)",
];

fn open(device: Arc<dyn Device>, key: Option<MasterKey>) -> Engine {
    let surroundings =
        Surroundings { device, clock: Arc::new(SystemClock::new()), entropy: Arc::new(SystemEntropy) };
    let options = StoreOptions { cache_size_bytes: 64 << 20, key, ..StoreOptions::default() };
    let store = block_on(Store::open(options, surroundings)).unwrap();
    block_on(Engine::open(store, Vec::new())).unwrap()
}

fn session(engine: &Engine, work_mem: &str) -> Session {
    let mut session = engine.session("postgres", "heliosdb");
    block_on(session.run_script(&format!("SET work_mem = '{work_mem}'"))).unwrap();
    session
}

/// Tables whose values follow from a seed.
fn fill(session: &mut Session, seed: u32) {
    for (table, factor) in [("a", 7919 + seed), ("b", 104_729 + seed)] {
        let sql = format!(
            "CREATE TABLE {table} (id int, k int, g int, skew int, pad text);
             INSERT INTO {table} SELECT i, CASE WHEN i % 53 = 0 THEN NULL ELSE (i * {factor}) % 10007 END,
                 nullif(i % 2503, 7), CASE WHEN i % 5 > 0 THEN 3 ELSE i END,
                 'padding ' || (i * {factor}) % 9001 || repeat('.', 250)
             FROM generate_series(1::bigint, {ROWS}) i"
        );
        block_on(session.run_script(&sql)).unwrap();
    }
}

/// A query's rows as text, and the most memory that was held.
async fn run(session: &mut Session, sql: &str) -> Result<(Vec<String>, usize)> {
    let prepared = session.prepare(sql, Vec::new()).await?;
    let mut portal = session.bind(prepared, Vec::new())?;
    let (mut rows, mut peak) = (Vec::new(), 0);
    loop {
        let step = session.step(&mut portal, &mut None).await;
        peak = portal.memory().map_or(peak, |memory| memory.peak_bytes());
        match step? {
            Step::Rows(batch) => rows.extend((0..batch.row_count).map(|row| format!("{:?}", batch.row(row)))),
            _ => break,
        }
    }
    session.sync().await?;
    Ok((rows, peak))
}

fn files(device: &dyn Device) -> usize {
    device.list().unwrap().iter().filter(|name| name.starts_with("temporary-")).count()
}

#[test]
fn little_memory_gives_the_same_rows() {
    for seed in [12] {
        let device = SimulatedDevice::new(u64::from(seed));
        let engine = open(Arc::new(device.clone()), None);
        let (mut much, mut little) = (session(&engine, "1GB"), session(&engine, "64kB"));
        fill(&mut much, seed);
        for sql in QUERIES {
            let before = device.calls();
            let (mut expected, _) = block_on(run(&mut much, sql)).expect(sql);
            assert_eq!(device.calls(), before, "{sql} in memory");
            let (mut rows, peak) = block_on(run(&mut little, sql)).expect(sql);
            assert!(device.calls() > before, "{sql} spills");
            if !sql.contains("ORDER BY k") && !sql.contains("ORDER BY pad") {
                expected.sort_unstable();
                rows.sort_unstable();
            }
            assert!(expected == rows, "{sql}: {} rows, not {}", rows.len(), expected.len());
            // The rows take 3.4 MB; a batch of them takes 300 kB.
            assert!(peak < 1_300_000, "{sql} held {peak} bytes");
            assert_eq!(files(&device), 0, "{sql}");
        }
    }
}

/// Wherever the disk is full, or fails, the query fails with that and nothing else does.
#[test]
fn a_full_disk_fails_only_the_query() {
    let device = SimulatedDevice::new(5);
    let engine = open(Arc::new(device.clone()), None);
    let mut session = session(&engine, "64kB");
    fill(&mut session, 3);
    for sql in QUERIES.iter().step_by(3) {
        let before = device.calls();
        let expected = block_on(run(&mut session, sql)).expect(sql).0;
        let calls = device.calls() - before;
        for part in 1..8 {
            device.fail_call(device.calls() + calls * part / 8, InjectedFault::NoSpace);
            match block_on(run(&mut session, sql)) {
                // The fault met the removal of a file.
                Ok((rows, _)) => assert!(rows == expected, "{sql}"),
                Err(error) => {
                    assert_eq!(error.state(), SqlState::DISK_FULL, "{sql}: {error:?}");
                    session.note_error();
                    block_on(session.run_script("ROLLBACK")).unwrap();
                }
            }
        }
        block_on(session.run_script("CREATE TABLE after_it (x int); DROP TABLE after_it")).unwrap();
        assert!(block_on(run(&mut session, sql)).unwrap().0 == expected, "{sql}");
        assert_eq!(engine.store().stats().unwrap().temporary_bytes, 0, "{sql}");
    }
}

/// A query that is canceled, or given up, anywhere in its middle ends at once and leaves no file.
#[test]
fn a_canceled_query_leaves_nothing() {
    let device = SimulatedDevice::new(6);
    let engine = open(Arc::new(device.clone()), None);
    fill(&mut session(&engine, "1GB"), 4);
    // Each access to the disk makes the query wait some turns: so many places to be canceled at.
    device.delay_up_to(2);
    for sql in QUERIES {
        let before = device.calls();
        block_on(run(&mut session(&engine, "64kB"), sql)).expect(sql);
        let calls = device.calls() - before;
        for (part, gives_up) in [(2, false), (5, true), (7, false)] {
            let mut session = session(&engine, "64kB");
            let cancel = session.cancel_handle();
            let mut running = Box::pin(run(&mut session, sql));
            let middle = device.calls() + calls * part / 8;
            while device.calls() < middle {
                assert!(block_on(poll_once(&mut running)).is_none(), "{sql}");
            }
            if !gives_up {
                cancel.cancel();
                let mut left = 0;
                let ended = loop {
                    if let Some(ended) = block_on(poll_once(&mut running)) {
                        break ended;
                    }
                    left += 1;
                };
                assert_eq!(ended.expect_err(sql).state(), SqlState::QUERY_CANCELED, "{sql}");
                // What is begun goes on to its end: a batch merged from blocks that are read meanwhile.
                assert!(left < 500, "{sql} went on for {left} turns");
            }
            drop(running);
            drop(session);
            assert_eq!(files(&device), 0, "{sql}");
        }
    }
}

/// What no file can take — states of aggregates, and partitions of windows — is counted, and ends with an error where it is
/// more than 256 times `work_mem`, here 16 MiB; the memory is free again then.
#[test]
fn states_are_counted_and_bounded() {
    const MANY: &str = "generate_series(1, 120000) i";
    let engine = open(Arc::new(SimulatedDevice::new(1)), None);
    let (mut much, mut little) = (session(&engine, "64MB"), session(&engine, "64kB"));
    for call in [
        "array_agg(repeat('x', 200) || i)",
        "array_agg(repeat('x', 200) || i ORDER BY i DESC)",
        "string_agg(repeat('x', 200) || i, ',')",
        "jsonb_agg(repeat('x', 200) || i)",
        "json_agg(repeat('x', 200) || i)",
        "jsonb_object_agg(repeat('x', 200) || i, i)",
        "ntile(3) OVER (ORDER BY repeat('x', 200) || i)",
        "array_agg(i) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
    ] {
        let sql = format!("SELECT count(v) FROM (SELECT {call} FROM {MANY}) t(v)");
        let error = block_on(run(&mut little, &sql)).expect_err(call);
        assert_eq!(error.state(), SqlState::OUT_OF_MEMORY, "{call}");
        block_on(little.sync()).unwrap();
        let few = sql.replace("120000", "2000");
        block_on(run(&mut little, &few)).expect(call);
        if !call.contains("PRECEDING") {
            let (_, peak) = block_on(run(&mut much, &sql)).expect(call);
            assert!(peak > 20 << 20, "{call} is counted: {peak}");
        }
    }
}

/// What a query of an encrypted database puts into a temporary file is not readable there.
#[test]
fn temporary_files_are_encrypted() {
    for (key, is_plain) in [(None, true), (Some(MasterKey::new([3; 32])), false)] {
        let folder = tempfile::tempdir().unwrap();
        let device = helios_runtime::device::open_disk(folder.path()).unwrap();
        let engine = open(device.clone(), key);
        let mut session = session(&engine, "64kB");
        fill(&mut session, 1);
        let sql = "SELECT *, 'Geheimnis' || id FROM a ORDER BY k";
        let prepared = block_on(session.prepare(sql, Vec::new())).unwrap();
        let mut portal = session.bind(prepared, Vec::new()).unwrap();
        block_on(session.step(&mut portal, &mut None)).unwrap();
        let names = device.list().unwrap();
        let temporary: Vec<_> = names.iter().filter(|name| name.starts_with("temporary-")).collect();
        assert_eq!(temporary.len(), 1);
        let written = device.open(temporary[0], OpenMode::Read).unwrap();
        let buffer = IoBuf::zeroed(written.size().unwrap() as usize);
        let bytes = block_on(written.read_at(buffer, 0)).unwrap();
        assert!(bytes.len() > 200_000);
        let found = ["Geheimnis", "padding "]
            .iter()
            .any(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        assert_eq!(found, is_plain);
    }
}
