//! The asynchronous form of the embedded interface, under tokio's threads: its futures may move between threads, and
//! may be dropped.

use std::time::Duration;

use heliosdb_nano::{Config, EmbeddedDatabase, Result, params};
use tokio::runtime::Builder;

fn run<T>(future: impl Future<Output = Result<T>>) -> T {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("threads");
    runtime.block_on(future).expect("no error")
}

async fn sum(database: &EmbeddedDatabase) -> Result<i64> {
    database.query_async("SELECT sum(v)::bigint AS sum FROM t", params![]).await?[0].get("sum")
}

#[test]
fn all_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let database = EmbeddedDatabase::with_config_async(folder.path(), Config::default()).await?;
        database.execute_async("CREATE TABLE t (id INT PRIMARY KEY, v BIGINT)").await?;
        let mut insert = database.prepare_async("INSERT INTO t VALUES ($1, $2)").await?;
        for id in 0..100 {
            assert_eq!(insert.execute_async(params![id, i64::from(id)]).await?, 1);
        }
        assert_eq!(database.execute_with_async("DELETE FROM t WHERE id < $1", params![10]).await?, 10);
        let transaction = database.begin_transaction_async().await?;
        transaction.execute_async("UPDATE t SET v = 0 WHERE id < 20").await?;
        transaction.execute_with_async("UPDATE t SET v = $1 WHERE id = 99", params![0_i64]).await?;
        let inside = transaction.query_async("SELECT sum(v)::bigint AS sum FROM t", params![]).await?;
        assert_eq!(inside[0].get::<i64>("sum")?, (20..99).sum::<i64>());
        assert_eq!(sum(&database).await?, (10..100).sum::<i64>());
        transaction.rollback_async().await?;
        let transaction = database.begin_transaction_async().await?;
        transaction.execute_async("DELETE FROM t WHERE id >= 50").await?;
        transaction.commit_async().await?;
        let mut rows = database.query_stream_async("SELECT id FROM t ORDER BY id", params![]).await?;
        for id in 10..50 {
            assert_eq!(rows.next_async().await?.expect("a row").get::<i32>("id")?, id);
        }
        assert!(rows.next_async().await?.is_none());
        let mut blocking = database.query_stream("SELECT id FROM t WHERE id >= $1", params![48])?;
        assert_eq!(blocking.by_ref().count(), 2);
        Ok(())
    });
}

/// Tasks on several threads, each with transactions that conflict; every addition counts once.
#[test]
fn tasks_share_a_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = EmbeddedDatabase::new(folder.path()).expect("opened");
    database
        .execute("CREATE TABLE t (id INT PRIMARY KEY, v BIGINT); INSERT INTO t VALUES (1, 0)")
        .expect("made");
    run(async {
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        database.execute_async("UPDATE t SET v = v + 1 WHERE id = 1").await?;
                    }
                    Ok::<(), heliosdb_nano::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic")?;
        }
        assert_eq!(sum(&database).await?, 100);
        Ok(())
    });
}

/// A call that is given up leaves nothing behind: no locks, and all or nothing of its change.
#[test]
fn calls_that_are_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = EmbeddedDatabase::new(folder.path()).expect("opened");
    database
        .execute("CREATE TABLE t (id INT PRIMARY KEY, v BIGINT); INSERT INTO t VALUES (1, 0), (2, 0)")
        .expect("made");
    run(async {
        let holder = database.begin_transaction_async().await?;
        holder.execute_async("UPDATE t SET v = v + 100 WHERE id = 2").await?;
        for _ in 0..5 {
            let update = database.execute_async("UPDATE t SET v = v + 1");
            assert!(tokio::time::timeout(Duration::from_millis(5), update).await.is_err(), "a row is locked");
        }
        holder.commit_async().await?;
        let read = database.query_async("SELECT count(*) FROM generate_series(1, 1000000000)", params![]);
        assert!(tokio::time::timeout(Duration::from_millis(5), read).await.is_err(), "it takes long");
        assert_eq!(database.execute_async("UPDATE t SET v = v + 10").await?, 2);
        assert_eq!(sum(&database).await?, 120);
        Ok(())
    });
}
