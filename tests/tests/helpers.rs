//! Shows that helpers, which work on a session's query on other threads, end with it: after an error, a cancellation,
//! a timeout and an early end, and when the query is left unfinished. All tables are read by helpers alone here.

use futures_lite::future::{block_on, poll_once};
use heliosdb_nano::connection::{Connection, Step};
use heliosdb_nano::{EmbeddedDatabase, Result};

/// A table that takes many ranges, and is read by helpers whoever reads it.
const ROWS: &str = "CREATE TABLE t (id INT PRIMARY KEY, word TEXT);
    INSERT INTO t SELECT n, repeat('x', 40) FROM generate_series(1, 20000) n; ANALYZE t;";
const FORCED: &str = "SET force_parallel_mode = on; SET parallel_leader_participation = off";

fn run(connection: &mut Connection, text: &str) -> Result<Vec<String>> {
    block_on(connection.session().run_script(text)).map_err(Into::into)
}

fn forced(database: &EmbeddedDatabase) -> Connection {
    let mut connection = database.connect("postgres", "postgres");
    run(&mut connection, FORCED).unwrap();
    connection
}

fn with_rows() -> (EmbeddedDatabase, Connection) {
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    let mut connection = forced(&database);
    run(&mut connection, ROWS).unwrap();
    (database, connection)
}

fn sqlstate(connection: &mut Connection, text: &str) -> String {
    let error = run(connection, text).expect_err(text);
    error.sqlstate().to_string()
}

/// The first error of a helper is the statement's, and the session goes on with helpers.
#[test]
fn errors_of_helpers_are_the_statements() {
    let (_database, mut connection) = with_rows();
    for _ in 0..20 {
        assert_eq!(sqlstate(&mut connection, "SELECT count(*) FROM t WHERE 1 / (id - 15000) > 5"), "22012");
        assert_eq!(sqlstate(&mut connection, "SELECT word::int, sum(id) FROM t GROUP BY 1"), "22P02");
        assert_eq!(run(&mut connection, "SELECT count(*) FROM t").unwrap(), ["SELECT 1"]);
    }
}

/// A request to cancel ends helpers in the middle of a join that would take very long.
#[test]
fn cancellation_ends_helpers() {
    let (_database, mut connection) = with_rows();
    let endless = "SELECT count(*) FROM t a JOIN t b ON a.word = b.word JOIN t c ON b.word = c.word";
    let cancel = connection.session().cancel_handle();
    {
        let session = connection.session();
        let mut running = Box::pin(session.run_script(endless));
        assert!(block_on(poll_once(&mut running)).is_none());
        cancel.cancel();
        assert_eq!(block_on(running).expect_err(endless).state().as_str(), "57014");
    }
    block_on(connection.sync()).unwrap();
    assert_eq!(run(&mut connection, "SELECT count(*) FROM t").unwrap(), ["SELECT 1"]);
}

/// Few rows of many end the query; so does a portal that is dropped after its first rows.
#[test]
fn unfinished_queries_leave_nothing_behind() {
    let (database, mut connection) = with_rows();
    for _ in 0..20 {
        assert_eq!(run(&mut connection, "SELECT id FROM t LIMIT 3").unwrap(), ["SELECT 3"]);
        let prepared = block_on(connection.prepare("SELECT id, word FROM t", &[])).unwrap();
        let mut portal = connection.bind(prepared, &[], &[]).unwrap();
        let step = block_on(connection.step(&mut portal, &mut Some(2))).unwrap();
        assert!(matches!(step, Step::Rows(batch) if batch.row_count == 2));
        drop(portal);
        block_on(connection.sync()).unwrap();
    }
    // Cursors rest, and go on.
    let script = "BEGIN; DECLARE c CURSOR FOR SELECT id FROM t; MOVE 10 FROM c; SELECT count(*) FROM t; MOVE ALL FROM c; COMMIT";
    assert_eq!(run(&mut connection, script).unwrap()[4], "MOVE 19990");
    drop(connection);
    drop(database);
}

/// A folder may be opened again as soon as it is closed, whatever helpers were doing.
#[test]
fn folders_close_under_unfinished_queries() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let database = EmbeddedDatabase::new(folder.path()).unwrap();
        let mut connection = forced(&database);
        if round == 0 {
            run(&mut connection, ROWS).unwrap();
        }
        let prepared = block_on(connection.prepare("SELECT id, word FROM t", &[])).unwrap();
        let mut portal = connection.bind(prepared, &[], &[]).unwrap();
        block_on(connection.step(&mut portal, &mut Some(1))).unwrap();
        drop(database);
        drop((portal, connection));
    }
}

/// What several members gather is bounded together, by `temp_file_limit` here.
#[test]
fn helpers_count_on_the_querys_account() {
    let (_database, mut connection) = with_rows();
    run(&mut connection, "SET work_mem = '64kB'; SET temp_file_limit = '64kB'").unwrap();
    let grouped = "SELECT count(*) FROM (SELECT id, max(word) FROM t GROUP BY id) g";
    assert_eq!(sqlstate(&mut connection, grouped), "53400");
    run(&mut connection, "SET temp_file_limit = -1").unwrap();
    assert_eq!(run(&mut connection, grouped).unwrap(), ["SELECT 1"]);
}
