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
