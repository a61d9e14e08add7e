//! What a statement does that had to wait for a row: under READ COMMITTED it goes on with the row as it is then, under
//! snapshot isolation it fails, and a statement that is its own transaction is run again.

use crate::driver::{Sessions, told};

const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)";
const READ_COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const SUM: &str = "SELECT sum(v) FROM t";

/// The second session's statement waits until the first has run `change` and committed; gives how many rows it changed,
/// and the sum of all values after it has committed as well.
fn after_waiting(begin: &'static str, change: &'static str, statement: &'static str, expected: (u64, i64)) {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute(&format!("BEGIN; {change}")).await.expect("changed");
        if !begin.is_empty() {
            second.batch_execute(begin).await.expect("begun");
            // Its transaction has a snapshot from before the other's commit, if it keeps one.
            second.query("SELECT * FROM t", &[]).await.expect("rows");
        }
        let waited = sessions.waits(second.execute(statement, &[]), first.batch_execute("COMMIT")).await;
        let changed = waited.expect("it goes on");
        if !begin.is_empty() {
            second.batch_execute("COMMIT").await.expect("committed");
        }
        assert_eq!((changed, sessions.committed(SUM).await), expected, "{change}; {statement}");
    });
}

#[test]
fn the_new_row_is_changed() {
    let change = "UPDATE t SET v = v + 10 WHERE id = 1";
    for begin in [READ_COMMITTED, ""] {
        after_waiting(begin, change, "UPDATE t SET v = v + 100 WHERE id = 1", (1, 116));
        after_waiting(begin, change, "UPDATE t SET v = v + 100", (3, 316));
        after_waiting(begin, change, "UPDATE t SET v = v + 100 WHERE v < 100 AND id < 3", (2, 216));
        after_waiting(begin, change, "DELETE FROM t WHERE id = 1", (1, 5));
        after_waiting(
            begin,
            change,
            "INSERT INTO t VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET v = t.v + 100",
            (1, 116),
        );
    }
}

#[test]
fn a_row_that_is_gone_is_left_out() {
    let change = "DELETE FROM t WHERE id = 1";
    for begin in [READ_COMMITTED, ""] {
        after_waiting(begin, change, "UPDATE t SET v = v + 100 WHERE id = 1", (0, 5));
        after_waiting(begin, change, "UPDATE t SET v = v + 100", (2, 205));
        after_waiting(begin, change, "DELETE FROM t WHERE id < 3", (1, 3));
        // The key is free.
        after_waiting(begin, change, "INSERT INTO t VALUES (1, 5)", (1, 10));
    }
}

#[test]
fn a_row_that_no_longer_matches_is_left_out() {
    let change = "UPDATE t SET v = 1000 WHERE id = 1";
    for begin in [READ_COMMITTED, ""] {
        after_waiting(begin, change, "UPDATE t SET v = v + 100 WHERE v < 100", (2, 1205));
        after_waiting(begin, change, "UPDATE t SET v = v + 100 WHERE id = 1 AND v = 1", (0, 1005));
        after_waiting(begin, change, "DELETE FROM t WHERE v = 1", (0, 1005));
    }
}

#[test]
fn a_query_that_locks_gives_the_new_row() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first
            .batch_execute("BEGIN; UPDATE t SET v = 11 WHERE id = 1; DELETE FROM t WHERE id = 2")
            .await
            .expect("run");
        second.batch_execute(READ_COMMITTED).await.expect("begun");
        let query = second.query("SELECT id, v FROM t ORDER BY id FOR UPDATE", &[]);
        let rows = sessions.waits(query, first.batch_execute("COMMIT")).await.expect("rows");
        let rows: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(rows, [(1, 11), (3, 3)]);
    });
}

#[test]
fn after_a_rollback_the_old_row_is_changed() {
    for begin in [READ_COMMITTED, "BEGIN ISOLATION LEVEL REPEATABLE READ"] {
        Sessions::run(SETUP, |sessions| async move {
            let (first, second) = (&sessions.first, &sessions.second);
            first.batch_execute("BEGIN; UPDATE t SET v = 11 WHERE id = 1").await.expect("changed");
            second.batch_execute(begin).await.expect("begun");
            let update = second.execute("UPDATE t SET v = v + 100 WHERE id = 1", &[]);
            let changed = sessions.waits(update, first.batch_execute("ROLLBACK")).await.expect("it goes on");
            second.batch_execute("COMMIT").await.expect("committed");
            assert_eq!((changed, sessions.committed(SUM).await), (1, 106));
        });
    }
}

#[test]
fn a_snapshot_that_is_overtaken_fails() {
    for change in ["UPDATE t SET v = 11 WHERE id = 1", "DELETE FROM t WHERE id = 1"] {
        Sessions::run(SETUP, |sessions| async move {
            let (first, second) = (&sessions.first, &sessions.second);
            second.batch_execute("BEGIN; SELECT * FROM t").await.expect("a snapshot");
            first.batch_execute(&format!("BEGIN; {change}")).await.expect("changed");
            let update = second.execute("UPDATE t SET v = v + 100 WHERE id = 1", &[]);
            let waited = sessions.waits(update, first.batch_execute("COMMIT")).await;
            assert_eq!(told(waited).0, "40001");
            second.batch_execute("ROLLBACK").await.expect("rolled back");
        });
    }
}

#[test]
fn a_key_that_is_being_inserted_is_waited_for() {
    let insert = "INSERT INTO t VALUES (4, 4)";
    for (end, expected) in [("COMMIT", Err("23505")), ("ROLLBACK", Ok(1))] {
        Sessions::run(SETUP, |sessions| async move {
            let (first, second) = (&sessions.first, &sessions.second);
            first.batch_execute(&format!("BEGIN; {insert}")).await.expect("inserted");
            let waited = sessions.waits(second.execute(insert, &[]), first.batch_execute(end)).await;
            match expected {
                Ok(rows) => assert_eq!(waited.expect("the key is free"), rows),
                Err(state) => assert_eq!(told(waited).0, state),
            }
            assert_eq!(sessions.committed(SUM).await, 10);
        });
    }
    after_waiting("", insert, "INSERT INTO t VALUES (4, 5) ON CONFLICT DO NOTHING", (0, 10));
    after_waiting(READ_COMMITTED, insert, "INSERT INTO t VALUES (4, 5) ON CONFLICT DO NOTHING", (0, 10));
}

#[test]
fn increments_from_many_sessions_are_all_there() {
    use crate::driver::{connect, run};
    const SESSIONS: i64 = 8;
    const ROUNDS: i64 = 50;
    run(|client, address| async move {
        client
            .batch_execute("CREATE TABLE t (id int, v bigint); INSERT INTO t VALUES (1, 0), (2, 0)")
            .await
            .expect("made");
        // Without a key, so that each statement scans; and each is its own transaction, which never shows a 40001.
        let work = (0..SESSIONS).map(|_| async {
            let session = connect(&address).await;
            for _ in 0..ROUNDS {
                let changed =
                    session.execute("UPDATE t SET v = v + 1 WHERE v >= 0", &[]).await.expect("updated");
                assert_eq!(changed, 2);
            }
        });
        futures_util::future::join_all(work).await;
        let row = client.query_one("SELECT min(v), max(v) FROM t", &[]).await.expect("a row");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (SESSIONS * ROUNDS, SESSIONS * ROUNDS));
    });
}
