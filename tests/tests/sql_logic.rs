//! Runs every `.slt` file under `tests/sql`, each on a database of its own: on this database, and where
//! `HELIOS_ORACLE` holds the parameters of a PostgreSQL 15 server (`host=… port=… user=…`) on that as well. What the two
//! answer differently is marked in the files (`onlyif heliosdb`, `skipif heliosdb`) with the reason; what PostgreSQL does
//! not have is in `tests/sql/own`.
//!
//! The files of `tests/sql/own`, and with `HELIOS_TESTS_ALL=true` all others, run on a folder and by a server too. What such a way
//! answers differently because of what it is, is marked in the files by its label (`disk`, `wire`), with the reason.

use std::path::{Path, PathBuf};

use helios_tests::{Embedded, Failure, PostgreSql, TestServer, failures, is_own, sql_files};
use heliosdb_nano::EmbeddedDatabase;
use sqllogictest::{DB, DBOutput, Runner};

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

/// Whether a file runs by the other ways too.
fn runs_everywhere(file: &Path) -> bool {
    is_own(file) || std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true")
}

/// The same answers come from a folder, and all that a file leaves there, on all branches, is there again when it is opened anew.
#[test]
fn this_database_on_disk() {
    check_files(|_, file| {
        if !runs_everywhere(file) {
            return Vec::new();
        }
        let folder = tempfile::tempdir().expect("a folder");
        let open = || EmbeddedDatabase::new(folder.path()).expect("a database on disk");
        let database = open();
        let mut runner = Runner::new(|| async { Ok::<_, Failure>(Embedded::new(&database)) });
        runner.add_label("disk");
        let mut complaints = failures(&mut runner, file);
        drop(runner);
        let left = contents(&database);
        drop(database);
        let found = contents(&open());
        if left != found {
            complaints
                .push(format!("{}: closed with\n{left:#?}\nand opened with\n{found:#?}", file.display()));
        }
        complaints
    });
}

/// The rows of a query, as text.
fn rows_of(connection: &mut Embedded, sql: &str) -> Vec<Vec<String>> {
    match connection.run(sql) {
        Ok(DBOutput::Rows { rows, .. }) => rows,
        Ok(_) => Vec::new(),
        Err(error) => vec![vec![format!("{sql}: {error}")]],
    }
}

/// What is in all databases, on all their branches: settings, relations, and the rows of tables.
fn contents(database: &EmbeddedDatabase) -> Vec<Vec<String>> {
    const RELATIONS: &str =
        "SELECT c.oid::regclass::text, c.relkind, c.relowner::regrole::text, c.relacl::text,
            CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_temp%'
        ORDER BY c.oid";
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut found = Vec::new();
    let mut first = Embedded::new(database);
    for name in rows_of(&mut first, "SELECT datname FROM pg_database ORDER BY oid").concat() {
        let mut session = Embedded::at(database, &name);
        found.push(vec![name]);
        for branch in rows_of(
            &mut session,
            "SELECT branch_name FROM pg_database_branches() WHERE status <> 'dropped' ORDER BY 1",
        )
        .concat()
        {
            found.extend(rows_of(&mut session, &format!("USE BRANCH {}", quoted(&branch))));
            let relations = rows_of(&mut session, RELATIONS);
            found.push(vec![branch]);
            for relation in relations {
                let (name, kind) = (relation[0].clone(), relation[1].clone());
                found.push(relation);
                if matches!(kind.as_str(), "r" | "m") {
                    found.extend(rows_of(&mut session, &format!("SELECT * FROM {name}")));
                }
            }
        }
    }
    found
}

/// The same answers come over the wire.
#[test]
fn this_database_over_the_wire() {
    check_files(|_, file| {
        if !runs_everywhere(file) {
            return Vec::new();
        }
        let server = TestServer::start(|_| ()).expect("a server");
        let mut runner = Runner::new(|| async { PostgreSql::to_server(&server) });
        runner.add_label("wire");
        failures(&mut runner, file)
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
