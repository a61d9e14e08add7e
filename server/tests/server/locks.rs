//! Locks between two sessions: deadlocks, NOWAIT, SKIP LOCKED, tables, savepoints.

use crate::driver::{Sessions, told};

const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)";

#[test]
fn a_deadlock_ends_one_of_both() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("BEGIN; UPDATE t SET v = 10 WHERE id = 1").await.expect("locked");
        second.batch_execute("BEGIN; UPDATE t SET v = 20 WHERE id = 2").await.expect("locked");
        // The one who closes the circle fails, and its rollback lets the other go on.
        let closing = async {
            let outcome = second.batch_execute("UPDATE t SET v = 20 WHERE id = 1").await;
            assert_eq!(told(outcome), ("40P01".into(), "deadlock detected".into()));
            second.batch_execute("ROLLBACK").await
        };
        let waited = sessions.waits(first.execute("UPDATE t SET v = 10 WHERE id = 2", &[]), closing).await;
        assert_eq!(waited.expect("it goes on"), 1);
        first.batch_execute("COMMIT").await.expect("committed");
        assert_eq!(sessions.committed("SELECT sum(v) FROM t").await, 23);
    });
}

#[test]
fn tables_and_rows_in_one_circle() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("CREATE TABLE u (id int)").await.expect("made");
        first.batch_execute("BEGIN; LOCK TABLE u").await.expect("locked");
        second.batch_execute("BEGIN; DELETE FROM t WHERE id = 2").await.expect("locked");
        let closing = async {
            let outcome = second.batch_execute("INSERT INTO u VALUES (1)").await;
            assert_eq!(told(outcome).0, "40P01");
            second.batch_execute("ROLLBACK").await
        };
        let waited =
            sessions.waits(first.execute("SELECT FROM t WHERE id = 2 FOR SHARE", &[]), closing).await;
        assert_eq!(waited.expect("it goes on"), 1);
    });
}

#[test]
fn nowait_and_skip_locked() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("BEGIN; SELECT * FROM t WHERE id = 1 FOR UPDATE").await.expect("locked");
        let row = ("55P03".into(), "could not obtain lock on row in relation \"t\"".into());
        for locks in ["FOR UPDATE", "FOR SHARE"] {
            let by_key = second.batch_execute(&format!("SELECT * FROM t WHERE id = 1 {locks} NOWAIT")).await;
            assert_eq!(told(by_key), row);
            let all = second.batch_execute(&format!("SELECT * FROM t {locks} NOWAIT")).await;
            assert_eq!(told(all), row);
            let rows = second.query(&format!("SELECT id FROM t ORDER BY id {locks} SKIP LOCKED"), &[]).await;
            let rows: Vec<i32> = rows.expect("rows").iter().map(|row| row.get(0)).collect();
            assert_eq!(rows, [2, 3]);
            let rows = second.query(&format!("SELECT id FROM t WHERE id = 1 {locks} SKIP LOCKED"), &[]).await;
            assert!(rows.expect("no rows").is_empty());
        }
        first.batch_execute("UPDATE t SET v = 0 WHERE id = 1").await.expect("changed");
        let table = second.batch_execute("BEGIN; LOCK TABLE t NOWAIT").await;
        assert_eq!(told(table), ("55P03".into(), "could not obtain lock on relation \"t\"".into()));
        second.batch_execute("ROLLBACK").await.expect("rolled back");
        first.batch_execute("COMMIT").await.expect("released");
        let rows = second.query("SELECT id FROM t FOR UPDATE NOWAIT", &[]).await.expect("all are free");
        assert_eq!(rows.len(), 3);
    });
}

#[test]
fn a_queue_is_worked_on_by_both() {
    Sessions::run(SETUP, |sessions| async move {
        let take = "SELECT id FROM t ORDER BY v DESC LIMIT 1 FOR UPDATE SKIP LOCKED";
        let mut taken = Vec::new();
        for session in [&sessions.first, &sessions.second] {
            session.batch_execute("BEGIN").await.expect("begun");
            taken.push(session.query_one(take, &[]).await.expect("a row").get::<_, i32>(0));
        }
        taken.push(sessions.first.query_one(take, &[]).await.expect("its own again").get(0));
        assert_eq!(taken, [3, 2, 3]);
        sessions.second.batch_execute("DELETE FROM t WHERE id = 2; COMMIT").await.expect("done");
        sessions.first.batch_execute("COMMIT").await.expect("done");
        assert_eq!(sessions.committed("SELECT count(*) FROM t").await, 2);
    });
}

#[test]
fn shared_locks_go_together() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("BEGIN; SELECT * FROM t WHERE id = 1 FOR SHARE").await.expect("locked");
        second
            .batch_execute("BEGIN; SELECT * FROM t WHERE id = 1 FOR SHARE NOWAIT")
            .await
            .expect("locked as well");
        second.batch_execute("ROLLBACK").await.expect("released");
        let update = second.execute("UPDATE t SET v = 0 WHERE id = 1", &[]);
        let waited = sessions.waits(update, first.batch_execute("COMMIT")).await;
        assert_eq!(waited.expect("it goes on"), 1);
    });
}

#[test]
fn a_definition_waits_for_writers() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        for change in
            ["ALTER TABLE t ADD COLUMN w int", "CREATE INDEX ON t (v)", "TRUNCATE t", "DROP TABLE t"]
        {
            first.batch_execute("BEGIN; INSERT INTO t VALUES (9, 9)").await.expect("inserted");
            let waited = sessions.waits(second.batch_execute(change), first.batch_execute("ROLLBACK")).await;
            waited.expect("it goes on");
        }
    });
}

#[test]
fn what_a_savepoint_locked() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        let change = "BEGIN; DELETE FROM t WHERE id = 1; SAVEPOINT a; DELETE FROM t WHERE id = 2; RELEASE a; SAVEPOINT b";
        first.batch_execute(change).await.expect("changed");
        first.batch_execute("DELETE FROM t WHERE id = 3; ROLLBACK TO b").await.expect("a part is taken back");
        let free = "SELECT id FROM t WHERE id < 3 FOR UPDATE SKIP LOCKED";
        let rows = second.query(free, &[]).await.expect("none");
        assert!(rows.is_empty(), "what was released is locked until the end");
        first.batch_execute("COMMIT").await.expect("committed");
        assert_eq!(sessions.committed("SELECT count(*) FROM t").await, 1);
    });
}

#[test]
fn a_foreign_key_waits_for_writers_and_not_for_readers() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("CREATE TABLE u (t_id int); INSERT INTO u VALUES (1)").await.expect("made");
        let add = "BEGIN; ALTER TABLE u ADD CONSTRAINT k FOREIGN KEY (t_id) REFERENCES t NOT VALID";
        first.batch_execute(add).await.expect("added");
        let reads = "BEGIN; SELECT FROM t FOR UPDATE; SELECT FROM u FOR UPDATE; COMMIT";
        second.batch_execute(reads).await.expect("it does not wait");
        for write in ["INSERT INTO u VALUES (2)", "DELETE FROM t WHERE id = 3"] {
            let waited = sessions.waits(second.batch_execute(write), first.batch_execute("COMMIT")).await;
            waited.expect("it goes on");
            first.batch_execute("BEGIN; LOCK TABLE t, u IN SHARE ROW EXCLUSIVE MODE").await.expect("locked");
        }
        first.batch_execute("COMMIT; BEGIN; ALTER TABLE u VALIDATE CONSTRAINT k").await.expect("validated");
        second.batch_execute("INSERT INTO u VALUES (1)").await.expect("it does not wait");
        first.batch_execute("COMMIT").await.expect("committed");
    });
}

#[test]
fn what_looks_after_a_table_waits_for_what_changes_it() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        let lock = "BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE";
        for command in ["VACUUM t", "ANALYZE t", "VACUUM (FULL) t", "VACUUM (ANALYZE) t"] {
            first.batch_execute(lock).await.expect("locked");
            let waited = sessions.waits(second.batch_execute(command), first.batch_execute("COMMIT")).await;
            waited.expect("it goes on");
        }
        first.batch_execute(lock).await.expect("locked");
        for command in ["VACUUM (SKIP_LOCKED) t", "ANALYZE (SKIP_LOCKED) t", "VACUUM", "ANALYZE"] {
            second.batch_execute(command).await.expect("it does not wait");
        }
    });
}

#[test]
fn a_timeout_that_is_set_within_a_transaction_holds_there() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("BEGIN; UPDATE t SET v = 0").await.expect("changed");
        second.batch_execute("BEGIN; SELECT 1; SET LOCAL lock_timeout = '10ms'").await.expect("set");
        let outcome = second.batch_execute("DELETE FROM t WHERE id = 1").await;
        assert_eq!(told(outcome).1, "canceling statement due to lock timeout");
    });
}
