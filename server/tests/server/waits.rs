//! What a statement has to wait for while it looks for rows: it waits before it locks or changes them, and what is done to
//! them meanwhile it finds done.

use crate::driver::Sessions;

const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)";
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";

/// The second session's statement waits for an advisory lock; meanwhile the first changes the row with an id, and lets go.
/// Gives how many rows the statement found, and the sum of all values when both have committed.
fn meanwhile(statement: &'static str, expected: (u64, i64)) {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("SELECT pg_advisory_lock(1)").await.expect("locked");
        second.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await.expect("begun");
        let running = std::pin::pin!(second.execute(statement, &[]));
        let meanwhile = std::pin::pin!(async {
            while sessions.committed(WAITING).await == 0 {}
            // Nobody has the row yet.
            first.batch_execute("BEGIN; SELECT FROM t WHERE id = 1 FOR UPDATE NOWAIT").await.expect("free");
            first.batch_execute("UPDATE t SET v = 10 WHERE id = 1; COMMIT").await.expect("changed");
            first.batch_execute("SELECT pg_advisory_unlock(1)").await.expect("let go");
        });
        let (rows, ()) = futures_util::future::join(running, meanwhile).await;
        second.batch_execute("COMMIT; SELECT pg_advisory_unlock_all()").await.expect("committed");
        let sum = sessions.committed("SELECT sum(v) FROM t").await;
        assert_eq!((rows.expect("it goes on"), sum), expected, "{statement}");
    });
}

#[test]
fn advisory_locks_come_before_those_of_rows() {
    meanwhile("SELECT id FROM t WHERE pg_advisory_lock(1) IS NOT NULL FOR UPDATE", (2, 12));
    meanwhile("SELECT id FROM t WHERE pg_advisory_lock(1) IS NOT NULL AND id = 1 FOR SHARE", (1, 12));
}

#[test]
fn advisory_locks_come_before_changes() {
    meanwhile("UPDATE t SET v = v + 100 WHERE pg_advisory_lock(1) IS NOT NULL", (2, 212));
    meanwhile("UPDATE t SET v = v + 100 WHERE id = 1 AND pg_advisory_lock(1) IS NOT NULL", (1, 112));
    meanwhile("DELETE FROM t WHERE id = 1 AND pg_advisory_xact_lock(1) IS NOT NULL", (1, 2));
    meanwhile("DELETE FROM t WHERE v < 5 AND pg_advisory_lock(1) IS NOT NULL", (1, 10));
    meanwhile(
        "MERGE INTO t USING (VALUES (1)) s (id) ON t.id = s.id AND pg_advisory_lock(1) IS NOT NULL \
         WHEN MATCHED THEN UPDATE SET v = t.v + 100",
        (1, 112),
    );
}

#[test]
fn a_sleep_comes_before_changes() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        let running = std::pin::pin!(second.execute("DELETE FROM t WHERE pg_sleep(600) IS NOT NULL", &[]));
        let meanwhile = std::pin::pin!(async {
            let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            while sessions.committed(sleeping).await == 0 {}
            first.batch_execute("BEGIN; SELECT FROM t FOR UPDATE NOWAIT; COMMIT").await.expect("free");
            let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            first.batch_execute(cancel).await.expect("asked");
        });
        let (rows, ()) = futures_util::future::join(running, meanwhile).await;
        assert_eq!(crate::driver::told(rows).0, "57014");
    });
}

/// The first session has a row and wants a number, the second has the number and wants the row: whichever wait is the last, one of the two
/// statements fails.
#[test]
fn circles_of_different_locks_are_cut() {
    for advisory_last in [false, true] {
        Sessions::run(SETUP, |sessions| async move {
            let (first, second) = (&sessions.first, &sessions.second);
            first
                .batch_execute("SET deadlock_timeout = '20ms'; BEGIN; UPDATE t SET v = 10 WHERE id = 1")
                .await
                .expect("has the row");
            second.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1)").await.expect("has the number");
            let (number, row) = ("SELECT pg_advisory_xact_lock(1)", "UPDATE t SET v = 20 WHERE id = 1");
            let wait = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            let earlier = async {
                match advisory_last {
                    false => first.batch_execute(number).await,
                    true => second.batch_execute(row).await,
                }
            };
            let later = async {
                while sessions.committed(wait).await == 0 {}
                match advisory_last {
                    false => second.batch_execute(row).await,
                    true => first.batch_execute(number).await,
                }
            };
            // Who fails lets go, so that the other goes on.
            let first_ends = async |outcome: Result<(), tokio_postgres::Error>| match outcome {
                Ok(()) => None,
                Err(error) => {
                    first.batch_execute("ROLLBACK").await.expect("it lets go");
                    Some(error.code().expect("of the server").code().to_owned())
                }
            };
            let (advisory, row) = match advisory_last {
                false => futures_util::future::join(async { first_ends(earlier.await).await }, later).await,
                true => {
                    let (row, advisory) =
                        futures_util::future::join(earlier, async { first_ends(later.await).await }).await;
                    (advisory, row)
                }
            };
            assert_eq!(advisory.as_deref(), Some("40P01"));
            row.expect("it goes on");
            second.batch_execute("COMMIT").await.expect("committed");
            assert_eq!(sessions.committed("SELECT v::bigint FROM t WHERE id = 1").await, 20);
        });
    }
}
