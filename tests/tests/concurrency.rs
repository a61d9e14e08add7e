//! Shows what statements of several sessions do to each other when one of them changes the schema.

use futures_lite::future::{block_on, poll_once};
use heliosdb_nano::{EmbeddedDatabase, params};

fn count(database: &EmbeddedDatabase, sql: &str) -> i64 {
    let rows = database.query(&format!("SELECT ({sql})::bigint AS n"), params![]).expect(sql);
    rows[0].get::<i64>("n").expect("a count")
}

/// A writer that was planned before an index was made, and waited for the table while it was, fills the index too; one
/// that waited for a rebuild of the table writes to the table as it is now.
#[test]
fn writers_that_waited_for_ddl_are_planned_anew() {
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database.execute("CREATE TABLE t (id INT, v INT); INSERT INTO t VALUES (1, 5)").unwrap();
    for (ddl, insert) in [
        ("CREATE INDEX t_v ON t (v)", "INSERT INTO t VALUES (2, 5)"),
        ("ALTER TABLE t ADD PRIMARY KEY (id)", "INSERT INTO t VALUES (3, 5)"),
        ("ALTER TABLE t ADD COLUMN w INT DEFAULT 7", "INSERT INTO t VALUES (4, 5)"),
        ("CREATE UNIQUE INDEX t_id ON t (id, v)", "UPDATE t SET v = 5 WHERE id = 4"),
    ] {
        // Its plan is in the session's cache.
        let mut writer = database.prepare(insert).unwrap();
        let transaction = database.begin_transaction().unwrap();
        transaction.execute(ddl).unwrap();
        {
            let mut waiting = Box::pin(writer.query_async(&[]));
            assert!(block_on(poll_once(&mut waiting)).is_none(), "{insert} waits for {ddl}");
            transaction.commit().unwrap();
            block_on(waiting).unwrap();
        }
    }
    assert_eq!(count(&database, "SELECT count(*) FROM t WHERE v = 5"), 4);
    assert_eq!(count(&database, "SELECT count(*) FROM t WHERE v + 0 = 5"), 4);
    assert_eq!(count(&database, "SELECT sum(w) FROM t"), 28);
    assert_eq!(count(&database, "SELECT count(*) FROM t WHERE id BETWEEN 1 AND 4"), 4);
}

/// A session whose statements can be left waiting.
fn two_rows() -> EmbeddedDatabase {
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database
        .execute(
            "CREATE TABLE parent (id INT PRIMARY KEY, code INT UNIQUE);
             CREATE TABLE child (code INT REFERENCES parent (code));
             INSERT INTO parent VALUES (1, 5), (2, 6)",
        )
        .unwrap();
    database
}

/// A row that refers to a unique key waits for whoever is about to take that key away, and the other way round.
#[test]
fn references_to_unique_keys_wait_for_those_who_remove_them() {
    for remove in ["DELETE FROM parent WHERE code = 5", "UPDATE parent SET code = 7 WHERE id = 1"] {
        let database = two_rows();
        let mut insert = database.prepare("INSERT INTO child VALUES (5)").unwrap();
        let transaction = database.begin_transaction().unwrap();
        transaction.execute(remove).unwrap();
        {
            let mut waiting = Box::pin(insert.query_async(&[]));
            assert!(block_on(poll_once(&mut waiting)).is_none(), "the reference waits for {remove}");
            transaction.commit().unwrap();
            assert_eq!(block_on(waiting).unwrap_err().sqlstate(), "23503", "{remove}");
        }
        let database = two_rows();
        let transaction = database.begin_transaction().unwrap();
        transaction.execute("INSERT INTO child VALUES (5)").unwrap();
        let mut remove = database.prepare(remove).unwrap();
        {
            let mut waiting = Box::pin(remove.query_async(&[]));
            assert!(block_on(poll_once(&mut waiting)).is_none(), "who removes the key waits");
            transaction.commit().unwrap();
            assert_eq!(block_on(waiting).unwrap_err().sqlstate(), "23503");
        }
        assert_eq!(count(&database, "SELECT count(*) FROM child NATURAL JOIN parent"), 1);
    }
}

/// A unique key that somebody is about to give up is waited for.
#[test]
fn a_unique_key_that_is_being_given_up_is_waited_for() {
    let database = two_rows();
    let mut insert = database.prepare("INSERT INTO parent VALUES (3, 5)").unwrap();
    for (end, expected) in [("ROLLBACK", Some("23505")), ("COMMIT", None)] {
        let transaction = database.begin_transaction().unwrap();
        transaction.execute("DELETE FROM parent WHERE id = 1").unwrap();
        let mut waiting = Box::pin(insert.query_async(&[]));
        assert!(block_on(poll_once(&mut waiting)).is_none(), "the key is being given up");
        match end {
            "COMMIT" => transaction.commit().unwrap(),
            _ => transaction.rollback().unwrap(),
        }
        let ended = block_on(waiting);
        assert_eq!(ended.as_ref().err().map(|error| error.sqlstate()), expected, "after {end}");
    }
    assert_eq!(count(&database, "SELECT id FROM parent WHERE code = 5"), 3);
}

/// Workers that take jobs from a queue each get the first that is free: only the row that is given is locked.
#[test]
fn only_rows_that_are_given_are_locked() {
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database
        .execute(
            "CREATE TABLE jobs (id INT PRIMARY KEY, created INT);
             INSERT INTO jobs SELECT i, 100 - i FROM generate_series(1, 50) AS i;
             CREATE TABLE owners (job INT, name TEXT); INSERT INTO owners VALUES (48, 'a')",
        )
        .unwrap();
    let take = "SELECT id FROM jobs ORDER BY created LIMIT 1 FOR UPDATE SKIP LOCKED";
    let workers: Vec<_> = (0..3).map(|_| database.begin_transaction().unwrap()).collect();
    let taken: Vec<i32> =
        workers.iter().map(|worker| worker.query(take, &[]).unwrap()[0].get::<i32>("id").unwrap()).collect();
    assert_eq!(taken, [50, 49, 48]);
    // Rows behind the first ones, and those without a partner, are free.
    let other = database.begin_transaction().unwrap();
    let joined = "SELECT id FROM jobs JOIN owners ON job = id FOR UPDATE OF jobs NOWAIT";
    assert_eq!(other.query(joined, &[]).unwrap_err().sqlstate(), "55P03");
    let other = database.begin_transaction().unwrap();
    other.execute("UPDATE jobs SET created = 0 WHERE id BETWEEN 1 AND 47").unwrap();
    let skipping = "SELECT id FROM jobs ORDER BY created DESC OFFSET 1 LIMIT 2 FOR UPDATE SKIP LOCKED";
    assert_eq!(database.query(skipping, &[]).unwrap().len(), 0);
    for worker in workers {
        worker.rollback().unwrap();
    }
    assert_eq!(database.query(skipping, &[]).unwrap().len(), 2);
}

/// Who drops the future of a commit does not keep others from the rows that it wrote.
#[test]
fn a_dropped_commit_leaves_no_locks() {
    let folder = tempfile::tempdir().expect("a folder");
    for database in
        [EmbeddedDatabase::new_in_memory().unwrap(), EmbeddedDatabase::new(folder.path()).unwrap()]
    {
        database.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 0)").unwrap();
        for polls in 1..4 {
            let mut dropped = Box::pin(database.execute_async("UPDATE t SET v = v + 1 WHERE id = 1"));
            for _ in 0..polls {
                if block_on(poll_once(&mut dropped)).is_some() {
                    break;
                }
            }
            drop(dropped);
            assert_eq!(database.execute("UPDATE t SET v = v + 10 WHERE id = 1").unwrap(), 1);
        }
        let sum = count(&database, "SELECT v FROM t");
        assert!((30..=33).contains(&sum), "{sum}");
    }
}

/// A transaction cannot be left open by a call that forgets its session.
#[test]
fn transactions_do_not_stay_open_between_calls() {
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database.execute("CREATE TABLE t (id INT)").unwrap();
    let error = database.execute("BEGIN; INSERT INTO t VALUES (1)").unwrap_err();
    assert_eq!(error.sqlstate(), "25001");
    assert!(error.hint().is_some_and(|hint| hint.contains("begin_transaction()")));
    assert_eq!(database.execute_with("BEGIN", params![]).unwrap_err().sqlstate(), "25001");
    assert_eq!(count(&database, "SELECT count(*) FROM t"), 0);
    database.execute("BEGIN; INSERT INTO t VALUES (1); COMMIT").unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM t"), 1);
}
