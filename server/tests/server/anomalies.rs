//! The anomalies that isolation levels are told apart by, with the names of Adya and of Berenson and others: what two
//! sessions see and may do, at READ COMMITTED and at REPEATABLE READ, as PostgreSQL documents it.
//!
//! | | READ COMMITTED | REPEATABLE READ |
//! |---|---|---|
//! | G0 dirty write, G1a aborted read, G1b intermediate read, G1c circular information flow | never | never |
//! | OTV observed transaction vanishes | never | never |
//! | PMP predicate-many-preceders | happens | never |
//! | P4 lost update | happens | never: 40001 |
//! | G-single read skew | happens | never |
//! | G2-item, G2 write skew | happens | happens |

use tokio_postgres::Client;

use crate::driver::{Sessions, connect, run, told};

const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20)";
const LEVELS: [&str; 2] = ["READ COMMITTED", "REPEATABLE READ"];
const CONFLICT: &str = "could not serialize access due to concurrent update";

/// The values of all rows that a condition holds for, in the order of their keys.
async fn values(session: &Client, condition: &str) -> Vec<i32> {
    let query = format!("SELECT v FROM t WHERE {condition} ORDER BY id");
    let rows = session.query(&query, &[]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn does(session: &Client, statement: &str) {
    session.batch_execute(statement).await.expect(statement);
}

async fn begin(sessions: &Sessions, level: &str) {
    for session in [&sessions.first, &sessions.second] {
        does(session, &format!("BEGIN ISOLATION LEVEL {level}")).await;
        // Each has a snapshot from before the other's changes, if it keeps one.
        does(session, "SELECT FROM t").await;
    }
}

/// Runs a test at a level, with two sessions in transactions of it.
fn at(level: &'static str, test: impl AsyncFnOnce(&Sessions)) {
    Sessions::run(SETUP, |sessions| async move {
        begin(&sessions, level).await;
        test(&sessions).await;
    });
}

/// G0: two transactions that write the same rows leave all of one of them.
#[test]
fn no_dirty_writes() {
    for level in LEVELS {
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            does(first, "UPDATE t SET v = 11 WHERE id = 1").await;
            let release = async { first.batch_execute("UPDATE t SET v = 21 WHERE id = 2; COMMIT").await };
            let blocked =
                sessions.waits(second.execute("UPDATE t SET v = 12 WHERE id = 1", &[]), release).await;
            if level == "READ COMMITTED" {
                blocked.expect("it goes on");
                does(second, "UPDATE t SET v = 22 WHERE id = 2; COMMIT").await;
                assert_eq!(values(first, "true").await, [12, 22]);
            } else {
                assert_eq!(told(blocked), ("40001".into(), CONFLICT.into()));
                does(second, "ROLLBACK").await;
                assert_eq!(values(first, "true").await, [11, 21]);
            }
        });
    }
}

/// G1a, G1b: what was rolled back, or written over before the commit, nobody else ever sees.
#[test]
fn no_aborted_or_intermediate_reads() {
    for level in LEVELS {
        for end in ["ROLLBACK", "UPDATE t SET v = 11 WHERE id = 1; COMMIT"] {
            at(level, async |sessions| {
                let (first, second) = (&sessions.first, &sessions.second);
                does(first, "UPDATE t SET v = 101 WHERE id = 1").await;
                assert_eq!(values(second, "true").await, [10, 20]);
                does(first, end).await;
                let sees_commit = level == "READ COMMITTED" && end != "ROLLBACK";
                assert_eq!(values(second, "true").await, if sees_commit { [11, 20] } else { [10, 20] });
            });
        }
    }
}

/// G1c: of two transactions neither sees what the other one writes.
#[test]
fn no_circular_information_flow() {
    for level in LEVELS {
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            does(first, "UPDATE t SET v = 11 WHERE id = 1").await;
            does(second, "UPDATE t SET v = 22 WHERE id = 2").await;
            assert_eq!(values(first, "id = 2").await, [20]);
            assert_eq!(values(second, "id = 1").await, [10]);
            does(first, "COMMIT").await;
            does(second, "COMMIT").await;
            assert_eq!(values(first, "true").await, [11, 22]);
        });
    }
}

/// OTV: whoever has seen a transaction's change sees all of that transaction's changes, and goes on to.
#[test]
fn no_observed_transaction_vanishes() {
    run(|first, address| async move {
        let (second, third) = (connect(&address).await, connect(&address).await);
        does(&first, SETUP).await;
        for session in [&first, &second, &third] {
            does(session, "BEGIN ISOLATION LEVEL READ COMMITTED").await;
        }
        does(&first, "UPDATE t SET v = 11 WHERE id = 1; UPDATE t SET v = 19 WHERE id = 2").await;
        let overwrite = async {
            does(&second, "UPDATE t SET v = 12 WHERE id = 1").await;
        };
        let commit = async {
            does(&first, "COMMIT").await;
        };
        futures_util::future::join(overwrite, commit).await;
        assert_eq!(values(&third, "true").await, [11, 19]);
        does(&second, "UPDATE t SET v = 18 WHERE id = 2").await;
        assert_eq!(values(&third, "true").await, [11, 19]);
        does(&second, "COMMIT").await;
        assert_eq!(values(&third, "true").await, [12, 18]);
    });
}

/// PMP: a condition may hold for other rows the second time at READ COMMITTED alone.
#[test]
fn predicates_read_again() {
    for level in LEVELS {
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            assert!(values(first, "v = 30").await.is_empty());
            does(second, "INSERT INTO t VALUES (3, 30); COMMIT").await;
            let again = values(first, "v % 3 = 0").await;
            assert_eq!(again.len(), usize::from(level == "READ COMMITTED"), "{level}");
        });
    }
}

/// PMP for writes: at READ COMMITTED a write that had to wait begins anew, so that its condition is asked of all rows as
/// they are then (PostgreSQL asks again of the rows that it waited for); at REPEATABLE READ it fails.
#[test]
fn predicates_of_writes() {
    for level in LEVELS {
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            does(first, "UPDATE t SET v = v + 10").await;
            let delete = second.execute("DELETE FROM t WHERE v = 20", &[]);
            let outcome = sessions.waits(delete, first.batch_execute("COMMIT")).await;
            if level == "READ COMMITTED" {
                outcome.expect("it goes on");
                does(second, "COMMIT").await;
                assert_eq!(values(first, "true").await, [30]);
            } else {
                assert_eq!(told(outcome), ("40001".into(), CONFLICT.into()));
                does(second, "ROLLBACK").await;
            }
        });
    }
}

/// P4: an update of what was read before is lost at READ COMMITTED, and refused at REPEATABLE READ.
#[test]
fn lost_updates() {
    for level in LEVELS {
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            assert_eq!(values(first, "id = 1").await, values(second, "id = 1").await);
            does(first, "UPDATE t SET v = 11 WHERE id = 1").await;
            let update = second.execute("UPDATE t SET v = 12 WHERE id = 1", &[]);
            let outcome = sessions.waits(update, first.batch_execute("COMMIT")).await;
            if level == "READ COMMITTED" {
                outcome.expect("it goes on");
                does(second, "COMMIT").await;
                assert_eq!(values(first, "id = 1").await, [12]);
            } else {
                assert_eq!(told(outcome), ("40001".into(), CONFLICT.into()));
            }
        });
    }
}

/// P4 with a row that is gone: changes are told so, as by PostgreSQL.
#[test]
fn lost_rows() {
    let deleted = "could not serialize access due to concurrent delete";
    for (statement, message) in [
        ("UPDATE t SET v = 12 WHERE id = 1", deleted),
        ("DELETE FROM t WHERE id = 1", deleted),
        ("SELECT FROM t FOR UPDATE", CONFLICT),
    ] {
        at("REPEATABLE READ", async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            does(first, "DELETE FROM t WHERE id = 1").await;
            let outcome = sessions.waits(second.execute(statement, &[]), first.batch_execute("COMMIT")).await;
            assert_eq!(told(outcome), ("40001".into(), message.into()), "{statement}");
        });
    }
}

/// G-single: two reads of one transaction may belong to different states at READ COMMITTED alone; a write after them is
/// refused at REPEATABLE READ where it would build on the older one.
#[test]
fn read_skew() {
    for level in LEVELS {
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            assert_eq!(values(first, "id = 1").await, [10]);
            does(second, "UPDATE t SET v = 12 WHERE id = 1; UPDATE t SET v = 18 WHERE id = 2; COMMIT").await;
            let skewed = level == "READ COMMITTED";
            assert_eq!(values(first, "id = 2").await, [if skewed { 18 } else { 20 }]);
            let deleted = first.execute("DELETE FROM t WHERE v = 20", &[]).await;
            if skewed {
                assert_eq!(deleted.expect("none"), 0);
            } else {
                assert_eq!(told(deleted), ("40001".into(), CONFLICT.into()));
            }
        });
    }
}

/// G2-item and G2: writes that build on reads of other rows, and of rows that are not there, are let through at both
/// levels, as PostgreSQL does below SERIALIZABLE.
#[test]
fn write_skew() {
    for level in LEVELS {
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            assert_eq!(values(first, "id IN (1, 2)").await, values(second, "id IN (1, 2)").await);
            does(first, "UPDATE t SET v = 11 WHERE id = 1; COMMIT").await;
            does(second, "UPDATE t SET v = 21 WHERE id = 2; COMMIT").await;
            assert_eq!(values(first, "true").await, [11, 21]);
        });
        at(level, async |sessions| {
            let (first, second) = (&sessions.first, &sessions.second);
            assert!(values(first, "v % 3 = 0").await.is_empty());
            assert!(values(second, "v % 3 = 0").await.is_empty());
            does(first, "INSERT INTO t VALUES (3, 30); COMMIT").await;
            does(second, "INSERT INTO t VALUES (4, 42); COMMIT").await;
            assert_eq!(values(first, "v % 3 = 0").await, [30, 42]);
        });
    }
}

/// A transaction that waits in a ring fails, and the other one goes on.
#[test]
fn one_of_a_deadlock_is_the_victim() {
    Sessions::run(SETUP, |sessions| async move {
        begin(&sessions, "READ COMMITTED").await;
        let (first, second) = (&sessions.first, &sessions.second);
        does(first, "UPDATE t SET v = 11 WHERE id = 1").await;
        does(second, "UPDATE t SET v = 22 WHERE id = 2").await;
        let waiting = first.execute("UPDATE t SET v = 12 WHERE id = 2", &[]);
        let closing = async {
            let outcome = second.execute("UPDATE t SET v = 21 WHERE id = 1", &[]).await;
            let victim = told(outcome);
            assert_eq!(victim, ("40P01".into(), "deadlock detected".into()));
            second.batch_execute("ROLLBACK").await
        };
        assert_eq!(sessions.waits(waiting, closing).await.expect("it goes on"), 1);
        does(first, "COMMIT").await;
        assert_eq!(values(second, "true").await, [11, 12]);
    });
}
