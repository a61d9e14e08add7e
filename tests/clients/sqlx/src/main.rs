//! What programs do with sqlx: a small library, its migrations and its books.
//!
//! The connection's parameters come from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE).

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use futures_util::TryStreamExt;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use sqlx::postgres::types::PgInterval;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolCopyExt, PgPoolOptions};
use sqlx::types::Json;
use sqlx::{Column, Connection, Executor, FromRow, Row, Statement, TypeInfo};
use uuid::Uuid;

type Outcome = Result<(), sqlx::Error>;

#[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "state", rename_all = "lowercase")]
enum State {
    Free,
    Lent,
    Lost,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Details {
    pages: Option<u32>,
    #[serde(default)]
    authors: Vec<String>,
}

#[derive(Debug, FromRow)]
struct Book {
    id: i64,
    title: String,
    state: State,
    price: Option<BigDecimal>,
    tags: Vec<String>,
    details: Json<Details>,
}

/// A pool whose tables are in an empty schema of their own.
async fn library() -> Result<PgPool, sqlx::Error> {
    // As PostgreSQL's own programs, it takes the rest from the environment.
    let options = PgConnectOptions::new().options([("search_path", "sqlx_checks")]);
    let pool = PgPoolOptions::new().max_connections(6).connect_with(options).await?;
    pool.execute("DROP SCHEMA IF EXISTS sqlx_checks CASCADE; CREATE SCHEMA sqlx_checks").await?;
    sqlx::migrate!().run(&pool).await?;
    Ok(pool)
}

async fn migrations(pool: &PgPool) -> Outcome {
    // A second run finds all of them done.
    sqlx::migrate!().run(pool).await?;
    let done: Vec<(i64, bool)> =
        sqlx::query_as("SELECT version, success FROM _sqlx_migrations ORDER BY version")
            .fetch_all(pool)
            .await?;
    assert_eq!(done, [(1, true), (2, true)]);
    Ok(())
}

async fn types(pool: &PgPool) -> Outcome {
    let moment = Utc.timestamp_opt(1_709_210_096, 789_012_000).unwrap();
    let day = NaiveDate::from_ymd_opt(1999, 12, 31).unwrap();
    let time = NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).unwrap();
    let number = BigDecimal::from_str("12345678901234567890.0123456789").unwrap();
    let id = Uuid::new_v4();
    let network: IpNetwork = "10.1.2.0/24".parse().unwrap();
    let interval = PgInterval { months: 1, days: -2, microseconds: 3 };
    let row = sqlx::query(
        "SELECT $1::bool, $2::int2, $3::int8, $4::float4, $5::float8, $6::numeric, $7::text, $8::bytea, $9::timestamptz,
            $10::timestamp, $11::date, $12::time, $13::uuid, $14::cidr, $15::interval, $16::int4[], $17::text[], $18::jsonb, $19::text",
    )
    .bind(true)
    .bind(-32768_i16)
    .bind(i64::MAX)
    .bind(1.5_f32)
    .bind(-2.25e300_f64)
    .bind(&number)
    .bind("Grüße, 世界")
    .bind(vec![0_u8, 255])
    .bind(moment)
    .bind(moment.naive_utc())
    .bind(day)
    .bind(time)
    .bind(id)
    .bind(network)
    .bind(&interval)
    .bind(vec![Some(1), None, Some(3)])
    .bind(["a,b", "\""].as_slice())
    .bind(Json(HashMap::from([("a", [1, 2])])))
    .bind(None::<String>)
    .fetch_one(pool)
    .await?;
    assert!(row.get::<bool, _>(0));
    assert_eq!(row.get::<i16, _>(1), -32768);
    assert_eq!(row.get::<i64, _>(2), i64::MAX);
    assert_eq!((row.get::<f32, _>(3), row.get::<f64, _>(4)), (1.5, -2.25e300));
    assert_eq!(row.get::<BigDecimal, _>(5), number);
    assert_eq!(row.get::<&str, _>(6), "Grüße, 世界");
    assert_eq!(row.get::<&[u8], _>(7), [0, 255]);
    assert_eq!(row.get::<DateTime<Utc>, _>(8), moment);
    assert_eq!(row.get::<NaiveDateTime, _>(9), moment.naive_utc());
    assert_eq!((row.get::<NaiveDate, _>(10), row.get::<NaiveTime, _>(11)), (day, time));
    assert_eq!(row.get::<Uuid, _>(12), id);
    assert_eq!(row.get::<IpNetwork, _>(13), network);
    assert_eq!(row.get::<PgInterval, _>(14), interval);
    assert_eq!(row.get::<Vec<Option<i32>>, _>(15), [Some(1), None, Some(3)]);
    assert_eq!(row.get::<Vec<String>, _>(16), ["a,b", "\""]);
    assert_eq!(row.get::<Json<HashMap<String, Vec<i32>>>, _>(17)["a"], [1, 2]);
    assert_eq!(row.get::<Option<String>, _>(18), None);
    Ok(())
}

async fn books(pool: &PgPool) -> Outcome {
    let details = Details { pages: Some(464), authors: vec!["Codd".into()] };
    let (id,): (i64,) = sqlx::query_as(
        "INSERT INTO books (title, number, price, tags, details) VALUES ($1, $2, $3, $4, $5) RETURNING id",
    )
    .bind("Relations")
    .bind("0123456789")
    .bind(BigDecimal::from_str("12.50").unwrap())
    .bind(vec!["data", "theory"])
    .bind(Json(&details))
    .fetch_one(pool)
    .await?;
    let titles: Vec<String> = (0..50).map(|number| format!("Volume {number}")).collect();
    let inserted =
        sqlx::query("INSERT INTO books (title, state) SELECT title, $2 FROM unnest($1::text[]) title")
            .bind(&titles)
            .bind(State::Lost)
            .execute(pool)
            .await?;
    assert_eq!(inserted.rows_affected(), 50);
    let book: Book =
        sqlx::query_as("SELECT * FROM books WHERE details -> 'authors' ? $1 AND $2 = ANY (tags)")
            .bind("Codd")
            .bind("data")
            .fetch_one(pool)
            .await?;
    assert_eq!((book.id, book.title.as_str(), book.state), (id, "Relations", State::Free));
    assert_eq!(book.price, Some(BigDecimal::from_str("12.50").unwrap()));
    assert_eq!(
        (book.tags.as_slice(), &*book.details),
        (["data".to_string(), "theory".to_string()].as_slice(), &details)
    );
    let mut read = 0;
    let mut rows =
        sqlx::query_as::<_, Book>("SELECT * FROM books WHERE state = $1").bind(State::Lost).fetch(pool);
    while rows.try_next().await?.is_some() {
        read += 1;
    }
    assert_eq!(read, 50);
    drop(rows);
    let missing = sqlx::query_as::<_, Book>("SELECT * FROM books WHERE id = -1").fetch_optional(pool).await?;
    assert!(missing.is_none());
    let by_state: Vec<(State, i64)> =
        sqlx::query_as("SELECT state, count(*) FROM books GROUP BY state ORDER BY state")
            .fetch_all(pool)
            .await?;
    assert_eq!(by_state, [(State::Free, 1), (State::Lost, 50)]);
    let deleted = sqlx::query("DELETE FROM books WHERE state = 'lost'").execute(pool).await?;
    assert_eq!(deleted.rows_affected(), 50);
    Ok(())
}

async fn lending(pool: &PgPool) -> Outcome {
    let mut transaction = pool.begin().await?;
    let book: i64 = sqlx::query_scalar("INSERT INTO books (title) VALUES ('Lent') RETURNING id")
        .fetch_one(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO loans (book, reader, due) VALUES ($1, $2, current_date + 14)")
        .bind(book)
        .bind("Ann")
        .execute(&mut *transaction)
        .await?;
    // A transaction within one is a savepoint.
    let mut nested = transaction.begin().await?;
    let error = sqlx::query("INSERT INTO loans (book, reader) VALUES (-1, 'Bob')")
        .execute(&mut *nested)
        .await
        .unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "23503");
    nested.rollback().await?;
    sqlx::query("UPDATE books SET state = $1 WHERE id = $2")
        .bind(State::Lent)
        .bind(book)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let lent: Vec<(String, String, NaiveDate)> = sqlx::query_as("SELECT * FROM lent").fetch_all(pool).await?;
    assert_eq!((lent.len(), lent[0].1.as_str()), (1, "Ann"));
    let dropped = pool.begin().await?;
    drop(dropped);
    sqlx::query("DELETE FROM books WHERE id = $1").bind(book).execute(pool).await?;
    assert_eq!(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM loans").fetch_one(pool).await?, 0);
    Ok(())
}

async fn errors(pool: &PgPool) -> Outcome {
    let error =
        sqlx::query("INSERT INTO books (title, price) VALUES ('x', -1)").execute(pool).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert!(error.is_check_violation());
    assert_eq!((error.constraint(), error.table()), (Some("costs_something"), Some("books")));
    sqlx::query("INSERT INTO books (title, number) VALUES ('x', '1111111111')").execute(pool).await?;
    let error = sqlx::query("INSERT INTO books (title, number) VALUES ('y', '1111111111')")
        .execute(pool)
        .await
        .unwrap_err();
    let error = error.as_database_error().unwrap();
    assert!(error.is_unique_violation());
    let detail = error.downcast_ref::<sqlx::postgres::PgDatabaseError>().detail();
    assert_eq!(detail, Some("Key (number)=(1111111111) already exists."));
    for (text, code) in [
        ("SELECT nothing", "42703"),
        ("SELEC 1", "42601"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT 1 / 0", "22012"),
    ] {
        let error = sqlx::query(text).execute(pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), code, "{text}");
    }
    Ok(())
}

/// What the compile-time macros ask for.
async fn describing(pool: &PgPool) -> Outcome {
    let described = pool
        .describe("SELECT id, title, state, price, 1 + 1 AS two FROM books WHERE state = $1 AND title = $2")
        .await?;
    let names: Vec<_> = described
        .columns()
        .iter()
        .map(|column| format!("{} {}", column.name(), column.type_info().name()))
        .collect();
    assert_eq!(names, ["id INT8", "title TEXT", "state state", "price NUMERIC", "two INT4"]);
    let nullable: Vec<_> = (0..5).map(|at| described.nullable(at)).collect();
    assert_eq!(nullable, [Some(false), Some(false), Some(false), Some(true), None]);
    let statement = pool.prepare("SELECT $1::int8, $2::text[]").await?;
    assert_eq!(statement.columns().len(), 2);
    Ok(())
}

async fn copying(pool: &PgPool) -> Outcome {
    pool.execute("CREATE TABLE copied (id int, name text)").await?;
    let mut sink = pool.copy_in_raw("COPY copied FROM STDIN WITH (FORMAT csv)").await?;
    let lines: String = (0..5_000).map(|id| format!("{id},name {id}\n")).collect();
    sink.send(lines.as_bytes()).await?;
    assert_eq!(sink.finish().await?, 5_000);
    let mut aborted = pool.copy_in_raw("COPY copied FROM STDIN").await?;
    aborted.send("1\tx\n".as_bytes()).await?;
    aborted.abort("enough").await?;
    let source = pool.copy_out_raw("COPY (SELECT * FROM copied WHERE id < 2 ORDER BY id) TO STDOUT").await?;
    let chunks: Vec<_> = source.try_collect().await?;
    assert_eq!(chunks.concat(), b"0\tname 0\n1\tname 1\n");
    assert_eq!(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM copied").fetch_one(pool).await?, 5_000);
    Ok(())
}

async fn listening(pool: &PgPool) -> Outcome {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all(["returned", "Lent Out"]).await?;
    sqlx::query("SELECT pg_notify($1, $2), pg_notify($3, '')")
        .bind("Lent Out")
        .bind("book 7")
        .bind("returned")
        .execute(pool)
        .await?;
    let first =
        tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.expect("a notification")?;
    assert_eq!((first.channel(), first.payload()), ("Lent Out", "book 7"));
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.expect("another")?.channel(),
        "returned"
    );
    listener.unlisten("returned").await?;
    Ok(())
}

async fn many_at_once(pool: &PgPool) -> Outcome {
    pool.execute("CREATE TABLE counter (id int PRIMARY KEY, value int); INSERT INTO counter VALUES (1, 0)")
        .await?;
    let tasks = (0..12).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                loop {
                    match sqlx::query("UPDATE counter SET value = value + 1 WHERE id = 1")
                        .execute(&pool)
                        .await
                    {
                        // Snapshot isolation may ask for another try.
                        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40001") => {}
                        other => break other.map(|_| ()),
                    }
                }?;
            }
            Ok::<(), sqlx::Error>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic")?;
    }
    assert_eq!(sqlx::query_scalar::<_, i32>("SELECT value FROM counter").fetch_one(pool).await?, 120);
    let mut connection = pool.acquire().await?;
    connection.ping().await?;
    let cancelled =
        tokio::time::timeout(Duration::from_millis(50), sqlx::query("SELECT pg_sleep(60)").execute(pool))
            .await;
    assert!(cancelled.is_err());
    Ok(())
}

async fn all() -> Outcome {
    let pool = library().await?;
    migrations(&pool).await?;
    types(&pool).await?;
    books(&pool).await?;
    lending(&pool).await?;
    errors(&pool).await?;
    describing(&pool).await?;
    copying(&pool).await?;
    listening(&pool).await?;
    many_at_once(&pool).await?;
    pool.execute("DROP SCHEMA sqlx_checks CASCADE").await?;
    pool.close().await;
    Ok(())
}

#[tokio::main]
async fn main() {
    if let Err(error) = all().await {
        eprintln!("sqlx: {error:?}");
        std::process::exit(1);
    }
    println!("sqlx: passed");
}
