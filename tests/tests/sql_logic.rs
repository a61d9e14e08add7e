//! Runs every `.slt` file under `tests/sql`, each on a database of its own: on this database, and where
//! `HELIOS_ORACLE` holds the parameters of a PostgreSQL 15 server (`host=… port=… user=…`) on that as well. What the two
//! answer differently is marked in the files (`onlyif heliosdb`, `skipif heliosdb`) with the reason; what PostgreSQL does
//! not have is in `tests/sql/own`.

use std::path::{Path, PathBuf};

use helios_tests::{Embedded, Failure, PostgreSql, failures, is_own, sql_files};
use heliosdb_nano::EmbeddedDatabase;
use sqllogictest::Runner;

/// As much as the server's workers have. Not optimized, a merge of branches needs more than the 2 MiB of a test's thread; optimized,
/// it makes do with less than 256 KiB.
const STACK_BYTES: usize = 8 << 20;

/// Fails with the complaints of all files at once.
fn check_files(failures_of: impl Fn(usize, &Path) -> Vec<String> + Send) {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let checking = builder.spawn_scoped(scope, || check_here(failures_of)).expect("a thread");
        if let Err(panic) = checking.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn check_here(failures_of: impl Fn(usize, &Path) -> Vec<String>) {
    let files: Vec<PathBuf> = sql_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql"));
    assert!(!files.is_empty(), "no test files were found");
    let complaints: Vec<String> =
        files.iter().enumerate().flat_map(|(number, file)| failures_of(number, file)).collect();
    assert!(complaints.is_empty(), "{} records failed\n\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn this_database() {
    check_files(|_, file| {
        let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
        failures(&mut Runner::new(|| async { Ok::<_, Failure>(Embedded::new(&database)) }), file)
    });
}

/// The same answers come where all tables that may be read by several are read by helpers; plans differ.
#[test]
fn this_database_with_helpers() {
    let is_plan = |complaint: &String| complaint.contains("[SQL] EXPLAIN");
    check_files(|_, file| {
        let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
        let mut runner = Runner::new(|| async { Ok::<_, Failure>(Embedded::with_helpers(&database)) });
        failures(&mut runner, file).into_iter().filter(|complaint| !is_plan(complaint)).collect()
    });
}

#[test]
fn postgresql() {
    let Ok(parameters) = std::env::var("HELIOS_ORACLE") else { return };
    check_files(|number, file| {
        if is_own(file) {
            return Vec::new();
        }
        let database = format!("sql_logic_{number}");
        PostgreSql::create_database(&parameters, &database).expect("a new database");
        failures(&mut Runner::new(|| async { PostgreSql::connect(&parameters, &database) }), file)
    });
}
