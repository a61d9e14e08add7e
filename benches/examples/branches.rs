//! What branches cost, through SQL: creating one of a small and of a large database, reading through many levels of them, and
//! merging one whose rows lie together. Pages are counted; times are medians and only compare what one run measured.
//!
//! `branches creation|levels|merge [FOLDER]`.
//!
//! - *creation*: databases of 1 MB and of 10 GB. The large one is real in that it has all its pages and all entries of their
//!   map, and small on the disk, because its values are of one letter each and compressed.
//! - *levels*: branches of branches, each with rows of its own, 32 deep; the first and the last are read, all pages in memory.
//! - *merge*: of a million rows a branch changed a thousand neighbours. Nothing is in memory when the merge begins, so each page
//!   that it looks at is read once; a scan of all rows is counted the same way.
#![allow(clippy::disallowed_methods)] // it clears its folder

use std::path::{Path, PathBuf};

use helios_runtime::{Clock, SystemClock};
use heliosdb_nano::{CompressionType, Config, EmbeddedDatabase, Result, params};

const LEVELS: usize = 32;
const LEVEL_ROWS: i32 = 32_000;
const MERGE_ROWS: i32 = 1_000_000;
const MERGED: i32 = 1_000;

fn config(log: bool) -> Config {
    let mut config = Config::default();
    config.storage.compression = CompressionType::Zstd;
    config.storage.wal_enabled = log;
    config
}

fn open(folder: &Path, log: bool) -> Result<EmbeddedDatabase> {
    EmbeddedDatabase::with_config(folder, config(log))
}

/// Pages looked at, those of them that were read from the device, and page images written so far.
fn pages(database: &EmbeddedDatabase) -> [u64; 3] {
    let store = database.engine().store();
    let stats = store.stats().expect("the device tells its size");
    let (hits, faults) = store.page_accesses();
    [hits + faults, faults, stats.pages_written]
}

fn since(database: &EmbeddedDatabase, before: [u64; 3]) -> [u64; 3] {
    let now = pages(database);
    std::array::from_fn(|at| now[at] - before[at])
}

fn median(mut micros: Vec<u64>) -> u64 {
    micros.sort_unstable();
    micros[micros.len() / 2]
}

fn creation(folder: &Path, clock: &SystemClock) -> Result<()> {
    for megabytes in [1, 10_000] {
        let _ = std::fs::remove_dir_all(folder);
        let database = open(folder, false)?;
        database.execute("CREATE TABLE values (id int PRIMARY KEY, value text)")?;
        for number in 0..megabytes {
            database.execute_with("INSERT INTO values VALUES ($1, repeat('x', 1000000))", params![number])?;
        }
        drop(database);
        let database = open(folder, true)?;
        let used = database.engine().store().stats().expect("the device tells its size").data_used_bytes;
        let mut times = Vec::new();
        let mut first = [0; 3];
        let before = pages(&database);
        for number in 0..50 {
            let started = clock.now_micros();
            database.execute(&format!("CREATE DATABASE BRANCH b{number} FROM main AS OF NOW"))?;
            times.push(clock.now_micros() - started);
            if number == 0 {
                first = since(&database, before);
            }
        }
        let before_last = pages(&database);
        database.execute("CREATE DATABASE BRANCH last FROM main AS OF NOW")?;
        let last = since(&database, before_last);
        database.execute("CHECKPOINT")?;
        println!(
            "{megabytes} MB of values ({} MB on disk): a branch takes {} µs (median of 50); pages looked at / read: {} / {} for the first \
             after opening, {} / {} for a later one; written for all 51 by a checkpoint: {}",
            used / 1_000_000,
            median(times),
            first[0],
            first[1],
            last[0],
            last[1],
            since(&database, before)[2],
        );
    }
    Ok(())
}

fn fill_accounts(database: &EmbeddedDatabase, rows: i32) -> Result<()> {
    database
        .execute("CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))")?;
    database.execute_with(
        "INSERT INTO accounts SELECT i, 1, 0, '' FROM generate_series(1, $1) i",
        params![rows],
    )?;
    Ok(())
}

/// Nanoseconds and pages of a point read, microseconds and pages of a scan of all rows.
fn reads(database: &EmbeddedDatabase, clock: &SystemClock) -> Result<([u64; 2], [u64; 2])> {
    const POINTS: u64 = 5_000;
    let mut point = database.prepare("SELECT abalance FROM accounts WHERE aid = $1")?;
    let (started, before) = (clock.now_micros(), pages(database));
    for number in 0..POINTS {
        let aid = (number * 7919 % LEVEL_ROWS as u64) as i32 + 1;
        assert_eq!(point.query(params![aid])?.len(), 1);
    }
    let points = [(clock.now_micros() - started) * 1000 / POINTS, since(database, before)[0] * 100 / POINTS];
    let (started, before) = (clock.now_micros(), pages(database));
    database.query("SELECT count(*), sum(abalance) FROM accounts", params![])?;
    Ok((points, [clock.now_micros() - started, since(database, before)[0]]))
}

fn levels(clock: &SystemClock) -> Result<()> {
    let main = EmbeddedDatabase::new_in_memory()?;
    fill_accounts(&main, LEVEL_ROWS)?;
    let mut at = "main".to_owned();
    for level in 1..=LEVELS {
        main.execute(&format!("CREATE DATABASE BRANCH level{level} FROM {at} AS OF NOW"))?;
        at = format!("level{level}");
        let branch = main.on_branch(&at)?;
        // A part of the rows, so that each level has pages that those below it read.
        let part = LEVEL_ROWS / LEVELS as i32;
        let from = (level as i32 - 1) * part;
        branch.execute_with(
            "UPDATE accounts SET abalance = abalance + 1 WHERE aid > $1 AND aid <= $2",
            params![from, from + part],
        )?;
        branch.execute("CHECKPOINT")?;
    }
    let branches = [main.on_branch("level1")?, main.on_branch(&at)?];
    let mut found = [(vec![], vec![]), (vec![], vec![])];
    let mut counted = [([0; 2], [0; 2]); 2];
    for round in 0..12 {
        for (depth, branch) in branches.iter().enumerate() {
            let (point, scan) = reads(branch, clock)?;
            // The first round brings the pages in.
            if round > 0 {
                found[depth].0.push(point[0]);
                found[depth].1.push(scan[0]);
                counted[depth] = (point, scan);
            }
        }
    }
    for (depth, times) in [1, LEVELS].into_iter().zip(found) {
        let counted = counted[usize::from(depth > 1)];
        println!(
            "depth {depth}: point {} ns and {:.2} pages, scan of {LEVEL_ROWS} rows {} µs and {} pages",
            median(times.0),
            counted.0[1] as f64 / 100.0,
            median(times.1),
            counted.1[1]
        );
    }
    Ok(())
}

fn merge(folder: &Path, clock: &SystemClock) -> Result<()> {
    let _ = std::fs::remove_dir_all(folder);
    let main = open(folder, false)?;
    fill_accounts(&main, MERGE_ROWS)?;
    main.execute("CREATE DATABASE BRANCH dev FROM main AS OF NOW")?;
    let dev = main.on_branch("dev")?;
    let change = "UPDATE accounts SET abalance = 1 WHERE aid > $1 AND aid <= $2";
    dev.execute_with(change, params![500_000, 500_000 + MERGED])?;
    // The target went on as well, elsewhere.
    main.execute_with(change, params![200_000, 200_010])?;
    main.execute("CHECKPOINT")?;
    drop((dev, main));

    let main = open(folder, false)?;
    let before = pages(&main);
    main.query("SELECT count(*), sum(abalance) FROM accounts", params![])?;
    let scan = since(&main, before);
    drop(main);

    let main = open(folder, false)?;
    let store = main.engine().store().clone();
    // What every statement reads once: the catalogs.
    main.query("SELECT 1 FROM accounts WHERE aid = 1", params![])?;
    main.on_branch("dev")?.query("SELECT 1 FROM accounts WHERE aid = 1", params![])?;
    let (before, before_leaves) = (pages(&main), store.stats().expect("figures").pages_written);
    let started = clock.now_micros();
    main.execute("MERGE DATABASE BRANCH dev INTO main")?;
    let micros = clock.now_micros() - started;
    let cost = since(&main, before);
    main.execute("CHECKPOINT")?;
    let written = store.stats().expect("figures").pages_written - before_leaves;
    println!(
        "merge of {MERGED} neighbours of {MERGE_ROWS} rows: {micros} µs, {} pages looked at, {} read from the device; then {written} pages are \
         written. A scan looks at {} and reads {}: {:.2} %",
        cost[0],
        cost[1],
        scan[0],
        scan[1],
        cost[1] as f64 * 100.0 / scan[1] as f64
    );
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next().unwrap_or_default();
    let folder = arguments.next().map_or_else(|| std::env::temp_dir().join("helios-branches"), PathBuf::from);
    let clock = SystemClock::new();
    match &part[..] {
        "creation" => creation(&folder, &clock)?,
        "levels" => levels(&clock)?,
        "merge" => merge(&folder, &clock)?,
        _ => println!("branches creation|levels|merge [FOLDER]"),
    }
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}
