//! Shows what a session that reads the past sees and keeps: a moment by its number, its transaction and its time; a
//! transaction's moment is not cut while it runs, a session's may be, and says so; and a restart forgets nothing.

use helios_tests::{Embedded, Failure};
use heliosdb_nano::EmbeddedDatabase;
use sqllogictest::{DB, DBOutput};

fn texts(session: &mut Embedded, sql: &str) -> Vec<String> {
    match session.run(sql) {
        Ok(DBOutput::Rows { rows, .. }) => rows.into_iter().map(|row| row.join(" ")).collect(),
        Ok(_) => panic!("{sql} gives no rows"),
        Err(error) => panic!("{sql}: {error}"),
    }
}

fn text(session: &mut Embedded, sql: &str) -> String {
    texts(session, sql).remove(0)
}

fn run(session: &mut Embedded, statements: &[&str]) {
    for sql in statements {
        session.run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

fn refused(session: &mut Embedded, sql: &str) -> Failure {
    session.run(sql).err().expect(sql)
}

/// A table with one row in two versions; gives the moments in between, as SET has them.
fn two_versions(database: &mut Embedded) -> [String; 3] {
    run(
        database,
        &["CREATE TABLE t (id int PRIMARY KEY, v text)", "BEGIN", "INSERT INTO t VALUES (1, 'first')"],
    );
    let transaction = text(database, "SELECT pg_current_xact_id()::text");
    run(database, &["COMMIT"]);
    let scn = text(database, "SELECT heliosdb_current_scn()::text");
    let time = text(database, "SELECT clock_timestamp()::text");
    run(database, &["UPDATE t SET v = 'second'", "ALTER TABLE t RENAME COLUMN v TO w"]);
    [format!("SCN {scn}"), format!("transaction {transaction}"), time]
}

#[test]
fn a_moment_is_named_in_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let moments = {
        let folder = EmbeddedDatabase::new(folder.path()).unwrap();
        let mut database = Embedded::new(&folder);
        let moments = two_versions(&mut database);
        for moment in &moments {
            run(&mut database, &[&format!("SET heliosdb.as_of = '{moment}'")]);
            // Whatever was said, what is kept is the commit.
            assert_eq!(text(&mut database, "SHOW heliosdb.as_of"), moments[0]);
            assert_eq!(texts(&mut database, "SELECT v FROM t"), ["first"]);
        }
        let mut other = Embedded::new(&folder);
        assert_eq!(texts(&mut other, "SELECT w FROM t"), ["second"], "another session reads what there is");
        moments
    };
    let folder = EmbeddedDatabase::new(folder.path()).unwrap();
    let mut database = Embedded::new(&folder);
    assert_eq!(
        texts(&mut database, "SELECT w FROM t"),
        ["second"],
        "a new session begins with what there is"
    );
    for moment in &moments {
        run(&mut database, &["BEGIN", &format!("SET LOCAL heliosdb.as_of = '{moment}'")]);
        assert_eq!(texts(&mut database, "SELECT v FROM t"), ["first"]);
        run(&mut database, &["COMMIT"]);
        assert_eq!(texts(&mut database, "SELECT w FROM t"), ["second"]);
    }
    run(&mut database, &["SET TimeZone = 'Asia/Kolkata'"]);
    let time = text(&mut database, &format!("SELECT '{}'::timestamptz::timestamp::text", moments[2]));
    run(&mut database, &[&format!("SET heliosdb.as_of = '{time}'")]);
    assert_eq!(texts(&mut database, "SELECT v FROM t"), ["first"], "times are in the session's zone");
}

#[test]
fn a_transaction_keeps_its_moment_and_a_session_does_not() {
    let memory = EmbeddedDatabase::new_in_memory().unwrap();
    let mut database = Embedded::new(&memory);
    let [scn, ..] = two_versions(&mut database);
    run(&mut database, &["ALTER DATABASE postgres SET heliosdb.retention_days = 0"]);
    let mut reader = Embedded::new(&memory);
    let mut session = Embedded::new(&memory);
    run(&mut session, &[&format!("SET heliosdb.as_of = '{scn}'")]);
    run(&mut reader, &[&format!("BEGIN READ ONLY AS OF {scn}")]);
    run(&mut database, &["VACUUM"]);
    assert_eq!(texts(&mut reader, "SELECT v FROM t"), ["first"], "it is kept before anything was read");
    let pinned =
        "SELECT count(*)::text FROM heliosdb_retention() WHERE kind = 'snapshot' AND 'SCN ' || scn = '";
    assert_eq!(text(&mut database, &format!("{pinned}{scn}'")), "1");
    run(&mut reader, &["COMMIT"]);
    assert_eq!(texts(&mut reader, "SELECT w FROM t"), ["second"]);
    run(&mut database, &["UPDATE t SET w = 'third'", "VACUUM"]);
    let error = refused(&mut session, "SELECT v FROM t");
    assert_eq!(error.sqlstate, "72000");
    assert!(error.message.contains("snapshot too old"), "{error}");
    assert_eq!(refused(&mut reader, &format!("SET heliosdb.as_of = '{scn}'")).sqlstate, "72000");
    assert_eq!(refused(&mut reader, &format!("BEGIN READ ONLY AS OF {scn}")).sqlstate, "72000");
    assert_eq!(texts(&mut reader, "SELECT w FROM t"), ["third"], "what is refused changes nothing");
    run(&mut session, &["RESET heliosdb.as_of"]);
    assert_eq!(texts(&mut session, "SELECT w FROM t"), ["third"]);
}

#[test]
fn rights_are_those_of_now() {
    let memory = EmbeddedDatabase::new_in_memory().unwrap();
    let mut database = Embedded::new(&memory);
    run(&mut database, &["CREATE ROLE early", "CREATE TABLE t (a text)", "INSERT INTO t VALUES ('x')"]);
    run(&mut database, &["GRANT SELECT ON t TO early"]);
    let scn = text(&mut database, "SELECT heliosdb_current_scn()::text");
    run(&mut database, &["REVOKE SELECT ON t FROM early", "CREATE ROLE late", "GRANT SELECT ON t TO late"]);
    run(&mut database, &[&format!("SET heliosdb.as_of = 'SCN {scn}'"), "SET ROLE late"]);
    assert_eq!(texts(&mut database, "SELECT a FROM t"), ["x"]);
    run(&mut database, &["RESET ROLE", "SET ROLE early"]);
    assert_eq!(refused(&mut database, "SELECT a FROM t").sqlstate, "42501");
}
