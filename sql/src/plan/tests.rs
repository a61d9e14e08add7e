//! What the planner expects and chooses, on tables whose rows are known.

use std::sync::Arc;

use futures_lite::future::block_on;
use helios_runtime::{Clock, SystemClock};

use crate::session::{Engine, Session, Step};
use crate::value::Datum;

fn session() -> Session {
    let store = crate::test_support::memory_store();
    block_on(Engine::open(store, Vec::new())).unwrap().session("postgres", "heliosdb")
}

fn script(session: &mut Session, text: &str) {
    block_on(async {
        session.run_script(text).await.unwrap();
        session.sync().await.unwrap();
    });
}

fn query(session: &mut Session, text: &str) -> Vec<Vec<Datum>> {
    block_on(async {
        let prepared = session.prepare(text, Vec::new()).await.unwrap();
        let mut portal = session.bind(Arc::clone(&prepared), Vec::new()).unwrap();
        let mut rows = Vec::new();
        while let Step::Rows(batch) = session.step(&mut portal, &mut None).await.unwrap() {
            rows.extend((0..batch.row_count).map(|row| batch.row(row)));
        }
        session.sync().await.unwrap();
        rows
    })
}

fn explained(session: &mut Session, options: &str, text: &str) -> Vec<String> {
    let rows = query(session, &format!("EXPLAIN ({options}) {text}"));
    rows.iter().map(|row| row[0].as_text().unwrap().to_string()).collect()
}

fn expected_rows(session: &mut Session, text: &str) -> f64 {
    let lines = explained(session, "COSTS", text);
    let (_, rest) = lines[0].split_once("rows=").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

const FACTS: &str = "
    CREATE TABLE facts (id int PRIMARY KEY, part int, skewed int, label text, maybe int);
    INSERT INTO facts SELECT i, i % 40, CASE WHEN i % 10 < 7 THEN 1 ELSE i END, 'label' || i % 25,
        CASE WHEN i % 5 = 0 THEN NULL ELSE i % 100 END FROM generate_series(1, 4000) AS g(i);
    CREATE TABLE parts (id int PRIMARY KEY, name text);
    INSERT INTO parts SELECT i, 'part' || i FROM generate_series(0, 39) AS g(i);
    CREATE INDEX facts_part ON facts (part);
    ANALYZE";

/// The rows expected are at most a factor away from those that there are.
#[test]
fn estimates_are_near_the_truth() {
    let mut session = session();
    script(&mut session, FACTS);
    for (from, factor) in [
        ("facts WHERE part = 7", 1.2),
        ("facts WHERE skewed = 1", 1.2),
        ("facts WHERE skewed = 777", 3.0),
        ("facts WHERE id < 1000", 1.1),
        ("facts WHERE id >= 3900", 1.2),
        ("facts WHERE id BETWEEN 1000 AND 1200", 1.3),
        ("facts WHERE maybe IS NULL", 1.1),
        ("facts WHERE maybe IS NOT NULL", 1.1),
        ("facts WHERE label LIKE 'label1%'", 1.2),
        ("facts WHERE label IN ('label1', 'label2', 'label3')", 1.2),
        ("facts WHERE part = 7 OR part = 8", 1.2),
        ("facts WHERE NOT part = 7", 1.2),
        ("facts WHERE part <> 7", 1.2),
        ("facts WHERE part % 2 = 0", 1.2),
        ("facts JOIN parts ON parts.id = facts.part", 1.1),
        ("facts JOIN parts ON parts.id = facts.part WHERE parts.name = 'part3'", 1.2),
        ("facts LEFT JOIN parts ON parts.id = facts.part", 1.1),
        ("facts a JOIN facts b ON a.part = b.part", 1.2),
        ("parts WHERE EXISTS (SELECT 1 FROM facts WHERE facts.part = parts.id)", 1.2),
        ("(SELECT part FROM facts GROUP BY part) AS g", 1.1),
    ] {
        let counted =
            query(&mut session, &format!("SELECT count(*) FROM {from}"))[0][0].as_i64().unwrap() as f64;
        let expected = expected_rows(&mut session, &format!("SELECT * FROM {from}"));
        let ratio = (expected / counted).max(counted / expected);
        assert!(ratio <= factor, "{from}: {expected} rows expected, {counted} found");
    }
}

/// A search by index where few rows are wanted, the whole table where many are.
#[test]
fn access_follows_cost() {
    let mut session = session();
    script(&mut session, FACTS);
    let mut first = |text| explained(&mut session, "COSTS OFF", text).remove(0);
    assert_eq!(first("SELECT * FROM facts WHERE part = 3"), "Index Scan using facts_part on facts");
    assert_eq!(first("SELECT * FROM facts WHERE part < 39"), "Seq Scan on facts");
    assert_eq!(first("SELECT * FROM facts WHERE id < 39"), "Index Scan using facts_pkey on facts");
    assert_eq!(
        first("SELECT * FROM facts WHERE part = 3 AND id = 3"),
        "Index Scan using facts_pkey on facts"
    );
    script(&mut session, "SET enable_indexscan = off");
    let lines = explained(&mut session, "COSTS OFF", "SELECT * FROM facts WHERE part = 3");
    assert_eq!(lines[0], "Bitmap Heap Scan on facts");
    script(&mut session, "SET enable_bitmapscan = off");
    let lines = explained(&mut session, "COSTS OFF", "SELECT * FROM facts WHERE part = 3");
    assert_eq!(lines[0], "Seq Scan on facts");
}

/// Indexes on expressions, and on part of the rows, are searched where the conditions are theirs.
#[test]
fn special_indexes_are_searched() {
    let mut session = session();
    script(&mut session, FACTS);
    script(
        &mut session,
        "CREATE INDEX by_upper ON facts (upper(label), id);
         CREATE INDEX rare ON facts (id) WHERE skewed > 3990;
         CREATE UNIQUE INDEX one ON facts ((id * 2)) WHERE part IS NOT NULL",
    );
    let mut lines = |text| explained(&mut session, "COSTS OFF", text);
    let by_upper = lines("SELECT * FROM facts WHERE upper(label) = 'LABEL7' AND id > 5");
    assert_eq!(by_upper[0], "Index Scan using by_upper on facts");
    assert_eq!(by_upper[1], "  Index Cond: ((upper(label) = 'LABEL7'::text) AND (id > 5))");
    assert_eq!(by_upper.len(), 2);
    let rare = "Index Scan using rare on facts";
    assert_eq!(lines("SELECT * FROM facts WHERE skewed > 3990")[0], rare);
    assert_eq!(lines("SELECT * FROM facts WHERE skewed >= 3995")[0], rare);
    assert_eq!(lines("SELECT * FROM facts WHERE skewed IN (3991, 3992)")[0], rare);
    assert_ne!(lines("SELECT * FROM facts WHERE skewed >= 3990")[0], rare);
    assert_ne!(lines("SELECT * FROM facts WHERE skewed < 3991")[0], rare);
    let one = "Index Scan using one on facts";
    assert_eq!(lines("SELECT * FROM facts WHERE id * 2 = 10 AND part = 5")[0], one);
    assert_ne!(lines("SELECT * FROM facts WHERE id * 2 = 10")[0], one);
}

/// Enough changes bring new statistics without ANALYZE, unless that is switched off.
#[test]
fn statistics_refresh_themselves() {
    let mut session = session();
    script(&mut session, "CREATE TABLE grown (id int PRIMARY KEY)");
    script(&mut session, "INSERT INTO grown SELECT i FROM generate_series(1, 400) AS g(i)");
    let known = "SELECT reltuples FROM pg_class WHERE relname = 'grown'";
    assert_eq!(query(&mut session, known)[0][0], Datum::Float32(-1.0));
    script(&mut session, "INSERT INTO grown SELECT i FROM generate_series(401, 2000) AS g(i)");
    block_on(session.engine().settle_statistics());
    assert_eq!(query(&mut session, known)[0][0], Datum::Float32(2_000.0));
    script(&mut session, "ALTER TABLE grown SET (autovacuum_enabled = false)");
    script(&mut session, "DELETE FROM grown WHERE id > 10");
    block_on(session.engine().settle_statistics());
    assert_eq!(query(&mut session, known)[0][0], Datum::Float32(2_000.0));
}

/// Each branch has statistics of its own, which refresh themselves there, and the plans of sessions that are on it follow;
/// so has each database.
#[test]
fn statistics_of_branches_refresh_themselves() {
    let mut main = session();
    let known = "SELECT reltuples FROM pg_class WHERE relname = 'grown'";
    let stage = "SELECT count(*) FROM grown WHERE stage = 'new'";
    script(
        &mut main,
        "CREATE TABLE grown (id int PRIMARY KEY, stage text); CREATE INDEX grown_stage ON grown (stage);
         INSERT INTO grown SELECT i, 'old' FROM generate_series(1, 1000) AS g(i); ANALYZE grown;
         CREATE DATABASE BRANCH side FROM CURRENT AS OF NOW",
    );
    let mut side = main.engine().session("postgres", "heliosdb");
    script(&mut side, "USE BRANCH side");
    assert_eq!(query(&mut side, known)[0][0], Datum::Float32(1_000.0));
    let reads_all = |session: &mut Session| explained(session, "COSTS OFF", stage)[1].contains("Seq Scan");
    assert!(!reads_all(&mut side) && !reads_all(&mut main));
    script(
        &mut side,
        "UPDATE grown SET stage = 'new'; INSERT INTO grown SELECT i, 'new' FROM generate_series(1001, 5000) AS g(i)",
    );
    block_on(main.engine().settle_statistics());
    assert_eq!(query(&mut side, known)[0][0], Datum::Float32(5_000.0));
    assert!(reads_all(&mut side), "all of its rows are new");
    assert_eq!(query(&mut main, known)[0][0], Datum::Float32(1_000.0));
    assert!(!reads_all(&mut main), "here none is");

    // What was merged is counted where it came to.
    script(&mut side, "USE BRANCH main; MERGE DATABASE BRANCH side INTO main; DROP DATABASE BRANCH side");
    block_on(main.engine().settle_statistics());
    assert_eq!(query(&mut main, known)[0][0], Datum::Float32(5_000.0));
    assert!(reads_all(&mut main));

    script(&mut main, "CREATE DATABASE other");
    let mut other = main.engine().session("postgres", "other");
    script(
        &mut other,
        "CREATE TABLE grown (id int PRIMARY KEY); INSERT INTO grown SELECT i FROM generate_series(1, 3000) AS g(i)",
    );
    block_on(main.engine().settle_statistics());
    assert_eq!(query(&mut other, known)[0][0], Datum::Float32(3_000.0));
}

/// Of a table of many pages some are looked at: what they say is near the truth.
#[test]
fn large_tables_are_sampled() {
    let mut session = session();
    script(&mut session, "CREATE TABLE large (id int PRIMARY KEY, part int, pad text)");
    let rows = "SELECT i, i % 100, repeat('x', 1900) FROM generate_series(1, 14000) AS g(i)";
    script(&mut session, &format!("INSERT INTO large {rows}"));
    script(&mut session, "ANALYZE large");
    let counted = query(&mut session, "SELECT reltuples::int FROM pg_class WHERE relname = 'large'");
    let counted = counted[0][0].as_i64().unwrap();
    // Which pages are looked at is chance: a tenth off is rare, a quarter is not to be had by chance.
    assert!((10_500..=17_500).contains(&counted), "{counted}");
    let distinct = "SELECT n_distinct::int FROM pg_stats WHERE tablename = 'large' AND attname = 'part'";
    assert_eq!(query(&mut session, distinct)[0][0].as_i64(), Some(100));
    let expected = expected_rows(&mut session, "SELECT * FROM large WHERE id BETWEEN 3000 AND 5000");
    assert!((1_200.0..=2_800.0).contains(&expected), "{expected}");
}

/// A chain of twelve tables, and a star of ten, are planned at once.
#[test]
fn many_joins_are_planned_soon() {
    let mut session = session();
    for number in 0..12 {
        let rows = 10 * (number % 4 + 1);
        script(
            &mut session,
            &format!(
                "CREATE TABLE t{number} (id int PRIMARY KEY, next int, value int);
                 INSERT INTO t{number} SELECT i, i % 7, i FROM generate_series(1, {rows}) AS g(i)"
            ),
        );
    }
    script(&mut session, "ANALYZE");
    let chain: String = (1..12).map(|at| format!(" JOIN t{at} ON t{at}.id = t{}.next", at - 1)).collect();
    let star: String = (1..10).map(|at| format!(" JOIN t{at} ON t{at}.id = t0.next")).collect();
    for joins in [chain, star] {
        let text = format!("EXPLAIN SELECT count(*) FROM t0{joins} WHERE t3.value = 5");
        let clock = SystemClock::new();
        let start = clock.monotonic_nanos();
        block_on(session.prepare(&text, Vec::new())).unwrap();
        let milliseconds = (clock.monotonic_nanos() - start) / 1_000_000;
        let most = if cfg!(debug_assertions) { 1_000 } else { 50 };
        assert!(milliseconds < most, "{milliseconds} ms");
    }
}

/// Orders of joins: the rows that a condition leaves come first, and what is large is searched.
#[test]
fn joins_begin_where_rows_are_few() {
    let mut session = session();
    script(&mut session, FACTS);
    script(
        &mut session,
        "CREATE TABLE lines (fact int, line int, amount int, PRIMARY KEY (fact, line));
         INSERT INTO lines SELECT i / 4 + 1, i % 4, i FROM generate_series(0, 15999) AS g(i);
         ANALYZE",
    );
    let text = "SELECT sum(amount) FROM lines JOIN facts ON facts.id = lines.fact JOIN parts ON parts.id = facts.part
        WHERE facts.skewed = 777";
    let lines = explained(&mut session, "COSTS OFF", text);
    assert_eq!(
        lines,
        [
            "Aggregate",
            "  ->  Nested Loop",
            "        ->  Nested Loop",
            "              ->  Seq Scan on facts",
            "                    Filter: (skewed = 777)",
            "              ->  Index Only Scan using parts_pkey on parts",
            "                    Index Cond: (id = facts.part)",
            "        ->  Index Scan using lines_pkey on lines",
            "              Index Cond: (fact = facts.id)",
        ]
    );
}
