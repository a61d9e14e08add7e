//! The server as a real asynchronous driver sees it: binary values, pipelines, COPY, cancelling, portals.

use std::pin::pin;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::driver::{connect, run};
use crate::support::TestServer;

#[test]
fn values_travel_in_binary_both_ways() {
    run(|client, _| async move {
        client
            .batch_execute(
                "CREATE TABLE t (i int PRIMARY KEY, b bigint, s smallint, f float8, r real, x text, o bool, y bytea)",
            )
            .await
            .expect("created");
        let insert =
            client.prepare("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8)").await.expect("prepared");
        for number in 0..10_i32 {
            let text = (number % 2 == 0).then(|| format!("grün {number}"));
            let inserted = client
                .execute(
                    &insert,
                    &[
                        &number,
                        &(i64::from(number) << 40),
                        &(-number as i16),
                        &(f64::from(number) / 3.0),
                        &(number as f32 / 7.0),
                        &text,
                        &(number > 4),
                        &vec![number as u8; 3],
                    ],
                )
                .await
                .expect("inserted");
            assert_eq!(inserted, 1);
        }
        let row = client.query_one("SELECT * FROM t WHERE i = $1", &[&6_i32]).await.expect("one row");
        assert_eq!(row.get::<_, i64>("b"), 6 << 40);
        assert_eq!(row.get::<_, i16>("s"), -6);
        assert_eq!(row.get::<_, f64>("f"), 2.0);
        assert_eq!(row.get::<_, f32>("r"), 6.0 / 7.0);
        assert_eq!(row.get::<_, Option<String>>("x").as_deref(), Some("grün 6"));
        assert!(row.get::<_, bool>("o"));
        assert_eq!(row.get::<_, Vec<u8>>("y"), [6; 3]);
        let row = client.query_one("SELECT x FROM t WHERE i = 7", &[]).await.expect("one row");
        assert_eq!(row.get::<_, Option<String>>(0), None);
        let mut statuses = Vec::new();
        for message in client.simple_query("SELECT 1; UPDATE t SET o = true").await.expect("run") {
            match message {
                SimpleQueryMessage::Row(row) => statuses.push(row.get(0).unwrap_or_default().to_owned()),
                SimpleQueryMessage::CommandComplete(rows) => statuses.push(rows.to_string()),
                _ => {}
            }
        }
        assert_eq!(statuses, ["1", "1", "10"]);
    });
}

#[test]
fn pipelined_statements_are_answered_in_order() {
    run(|client, _| async move {
        let double = client.prepare("SELECT $1::int4 * 2").await.expect("prepared");
        let queries = (0..200_i32).map(|number| {
            let (client, double) = (&client, &double);
            async move { client.query_one(double, &[&number]).await.map(|row| row.get::<_, i32>(0)) }
        });
        let answers = futures_util::future::join_all(queries).await;
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.expect("an answer"), number as i32 * 2);
        }
        // One of them fails; each has its own Sync, so that the others do not.
        let divide = client.prepare("SELECT 12 / $1::int4").await.expect("prepared");
        let queries = [3_i32, 0, 4].map(|number| {
            let (client, divide) = (&client, &divide);
            async move { client.query_one(divide, &[&number]).await.map(|row| row.get::<_, i32>(0)) }
        });
        let mut answers = futures_util::future::join_all(queries).await.into_iter();
        assert_eq!(answers.next().expect("three").expect("an answer"), 4);
        let error = answers.next().expect("three").expect_err("divides by zero");
        assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
        assert_eq!(answers.next().expect("three").expect("an answer"), 3);
    });
}

#[test]
fn large_results_come_in_portions() {
    run(|mut client, _| async move {
        let rows = client.query("SELECT n, repeat('x', 100) FROM generate_series(1, 20000) AS n", &[]).await;
        let rows = rows.expect("rows");
        assert_eq!(rows.len(), 20_000);
        assert_eq!(rows[19_999].get::<_, i32>(0), 20_000);
        let transaction = client.transaction().await.expect("begun");
        let portal =
            transaction.bind("SELECT n FROM generate_series(1, 2500) AS n", &[]).await.expect("bound");
        let mut seen = Vec::new();
        loop {
            let rows = transaction.query_portal(&portal, 1_000).await.expect("rows");
            seen.push(rows.len());
            if rows.len() < 1_000 {
                break;
            }
        }
        assert_eq!(seen, [1_000, 1_000, 500]);
        transaction.commit().await.expect("committed");
    });
}

#[test]
fn copy_goes_both_ways_and_can_fail() {
    run(|client, _| async move {
        client.batch_execute("CREATE TABLE t (i int PRIMARY KEY, x text)").await.expect("created");
        let mut sink = pin!(client.copy_in("COPY t FROM STDIN").await.expect("begun"));
        for part in [b"1\tone\n2\t".as_slice(), b"two\n3\t\\N\n"] {
            sink.send(bytes::Bytes::copy_from_slice(part)).await.expect("taken");
        }
        assert_eq!(sink.finish().await.expect("loaded"), 3);
        let stream = client.copy_out("COPY (SELECT * FROM t ORDER BY i) TO STDOUT").await.expect("begun");
        let parts: Vec<bytes::Bytes> = stream.try_collect().await.expect("all data");
        assert_eq!(parts, [b"1\tone\n".as_slice(), b"2\ttwo\n", b"3\t\\N\n"], "a row in each message");
        let mut sink = pin!(client.copy_in("COPY t FROM STDIN").await.expect("begun"));
        sink.send(bytes::Bytes::from_static(b"4\tfour\nfive\tx\n")).await.expect("sent");
        let error = sink.finish().await.expect_err("no number");
        assert_eq!(error.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
        // Dropping the sink sends CopyFail.
        drop(client.copy_in::<_, bytes::Bytes>("COPY t FROM STDIN").await.expect("begun"));
        let row = client.query_one("SELECT count(*) FROM t", &[]).await.expect("one row");
        assert_eq!(row.get::<_, i64>(0), 3, "failed loads leave nothing");
    });
}

#[test]
fn a_cancel_request_ends_a_wait_for_a_lock() {
    run(|client, address| async move {
        client
            .batch_execute("CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1)")
            .await
            .expect("made");
        client.batch_execute("BEGIN; DELETE FROM t").await.expect("locked");
        let other = connect(&address).await;
        let token = other.cancel_token();
        let waits = other.execute("UPDATE t SET i = 2", &[]);
        let cancels = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            token.cancel_query(NoTls).await.expect("a cancel request");
        };
        let (waited, ()) = futures_util::future::join(waits, cancels).await;
        assert_eq!(waited.expect_err("canceled").code(), Some(&SqlState::QUERY_CANCELED));
        other.batch_execute("SET statement_timeout = '100ms'").await.expect("set");
        let error = other.execute("UPDATE t SET i = 2", &[]).await.expect_err("too slow");
        let shown = error.as_db_error().map(|error| error.message().to_owned());
        assert_eq!(shown.as_deref(), Some("canceling statement due to statement timeout"));
        client.batch_execute("ROLLBACK").await.expect("released");
        assert_eq!(other.execute("UPDATE t SET i = 2", &[]).await.expect("updated"), 1);
    });
}

#[test]
fn notices_and_changed_settings_reach_the_client() {
    let server = TestServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let address = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.address.port());
        let (client, mut connection) = tokio_postgres::connect(&address, NoTls).await.expect("a connection");
        let messages = tokio::spawn(async move {
            let mut texts = Vec::new();
            let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let tokio_postgres::AsyncMessage::Notice(notice) = message {
                    texts.push(notice.message().to_owned());
                }
            }
            texts
        });
        client.batch_execute("SET client_min_messages = warning").await.expect("set");
        client.batch_execute("DROP TABLE IF EXISTS unheard").await.expect("run");
        client.batch_execute("RESET client_min_messages").await.expect("reset");
        client.batch_execute("DROP TABLE IF EXISTS nothing; SET TimeZone = 'Asia/Tokyo'").await.expect("run");
        let row =
            client.query_one("SELECT '2024-01-01 00:00Z'::timestamptz::text", &[]).await.expect("a row");
        assert_eq!(row.get::<_, String>(0), "2024-01-01 09:00:00+09");
        drop(client);
        let texts = messages.await.expect("the task ends");
        assert_eq!(texts, ["table \"nothing\" does not exist, skipping"]);
    });
    drop(runtime);
    server.stop();
}

/// Where a client is: in the functions about itself, and in the list of sessions.
#[test]
fn addresses_of_clients_are_known() {
    run(|client, _| async move {
        let text = "SELECT host(a.client_addr), a.client_addr = inet_client_addr(), a.client_port = inet_client_port()
            FROM pg_stat_activity a WHERE pid = pg_backend_pid()";
        let row = client.query_one(text, &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "127.0.0.1");
        assert!(row.get::<_, bool>(1) && row.get::<_, bool>(2));
        let binary: std::net::IpAddr =
            client.query_one("SELECT inet_client_addr()", &[]).await.unwrap().get(0);
        assert_eq!(binary.to_string(), "127.0.0.1");
        let given: std::net::IpAddr = "2001:db8::7".parse().unwrap();
        let row = client.query_one("SELECT host($1::inet), $1::inet", &[&given]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, std::net::IpAddr>(1)), ("2001:db8::7", given));
    });
}
