//! The quick start as a program runs it: the tutorial's tables, errors, a transaction, COPY, a cursor.
//!
//! Over the server that `HELIOS_SERVER` tells how to connect to, such as `host=127.0.0.1 port=5432 user=postgres`;
//! else over one of its own.

use std::pin::pin;

use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use crate::driver::{connect, run};

#[test]
fn quick_start() {
    match std::env::var("HELIOS_SERVER") {
        Ok(address) => {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { steps(connect(&address).await, address).await });
        }
        Err(_) => run(steps),
    }
}

async fn steps(mut client: Client, address: String) {
    client.batch_execute("DROP TABLE IF EXISTS users, quick_start").await.expect("nothing is left");
    tutorial(&client).await;
    client
        .batch_execute(
            "CREATE TABLE quick_start (id INT PRIMARY KEY, name TEXT NOT NULL, price FLOAT);
             INSERT INTO quick_start VALUES (1, 'Widget', 10), (2, 'Gadget', 24.5)",
        )
        .await
        .expect("made");
    errors_in_a_transaction(&mut client).await;
    copy_and_cursor(&mut client).await;
    // What was committed is there for the next who connects.
    let other = connect(&address).await;
    let query = "SELECT count(*), sum(price), min(u.age) FROM quick_start, users u WHERE u.id = 1";
    let row = other.query_one(query, &[]).await.expect("a row");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, f64>(1), row.get::<_, i32>(2)), (4, 35.75, 31));
    client.batch_execute("DROP TABLE users, quick_start").await.expect("dropped");
}

async fn tutorial(client: &Client) {
    client
        .batch_execute(
            "CREATE TABLE users (id INT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, age INT)",
        )
        .await
        .expect("a table");
    let insert = client.prepare("INSERT INTO users VALUES ($1, $2, $3, $4)").await.expect("prepared");
    for (id, name, email, age) in [
        (1, "Alice Johnson", "alice@example.com", 30),
        (2, "Bob Smith", "bob@example.com", 25),
        (3, "Charlie Brown", "charlie@example.com", 35),
    ] {
        assert_eq!(client.execute(&insert, &[&id, &name, &email, &age]).await.expect("inserted"), 1);
    }
    let rows = client.query("SELECT * FROM users", &[]).await.expect("rows");
    assert_eq!(rows.len(), 3);
    let older = client.query("SELECT name, age FROM users WHERE age > $1", &[&28]).await.expect("rows");
    let older: Vec<(&str, i32)> = older.iter().map(|row| (row.get(0), row.get("age"))).collect();
    assert_eq!(older, [("Alice Johnson", 30), ("Charlie Brown", 35)]);
    let row = client.query_one("SELECT COUNT(*) as total_users, AVG(age)::float8 FROM users", &[]).await;
    let row = row.expect("one row");
    assert_eq!((row.get::<_, i64>("total_users"), row.get::<_, f64>(1)), (3, 30.0));
    let update = "UPDATE users SET age = 31 WHERE name = 'Alice Johnson'";
    assert_eq!(client.execute(update, &[]).await.expect("updated"), 1);
    let gone = client.query("DELETE FROM users WHERE age < 28 RETURNING id", &[]).await.expect("deleted");
    assert_eq!(gone.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [2]);
}

async fn errors_in_a_transaction(client: &mut Client) {
    let mut transaction = client.transaction().await.expect("begun");
    transaction.execute("UPDATE quick_start SET price = price * 2 WHERE id = 1", &[]).await.expect("updated");
    for (statement, state) in [
        ("SELECT 1 / (id - 1) FROM quick_start WHERE id = 1", SqlState::DIVISION_BY_ZERO),
        ("INSERT INTO quick_start VALUES (1, 'Duplicate', 1)", SqlState::UNIQUE_VIOLATION),
        ("INSERT INTO quick_start (id) VALUES (3)", SqlState::NOT_NULL_VIOLATION),
        ("SELECT nothing FROM quick_start", SqlState::UNDEFINED_COLUMN),
        ("SELECT * FROM missing_table", SqlState::UNDEFINED_TABLE),
    ] {
        let savepoint = transaction.savepoint("before_error").await.expect("a savepoint");
        let error = savepoint.query(statement, &[]).await.expect_err(statement);
        assert_eq!(error.code(), Some(&state), "{statement}");
        savepoint.rollback().await.expect("back to the savepoint");
    }
    let price = "SELECT price FROM quick_start WHERE id = 1";
    let found = |row: Row| row.get::<_, f64>(0);
    assert_eq!(transaction.query_one(price, &[]).await.map(found).expect("a row"), 20.0);
    transaction.rollback().await.expect("rolled back");
    assert_eq!(client.query_one(price, &[]).await.map(found).expect("a row"), 10.0);
}

async fn copy_and_cursor(client: &mut Client) {
    let mut sink = pin!(client.copy_in("COPY quick_start FROM STDIN").await.expect("begun"));
    let data = bytes::Bytes::from_static(b"10\tCopied\t1.25\n11\tCopied too\t\\N\n");
    sink.send(data).await.expect("taken");
    assert_eq!(sink.finish().await.expect("loaded"), 2);
    let stream =
        client.copy_out("COPY quick_start TO STDOUT WITH (FORMAT csv, HEADER)").await.expect("begun");
    let parts: Vec<bytes::Bytes> = stream.try_collect().await.expect("all data");
    assert_eq!(
        parts.concat(),
        b"id,name,price\n1,Widget,10\n2,Gadget,24.5\n10,Copied,1.25\n11,Copied too,\n"
    );

    let transaction = client.transaction().await.expect("begun");
    let declare = "DECLARE found CURSOR FOR SELECT id FROM quick_start ORDER BY id";
    transaction.batch_execute(declare).await.expect("declared");
    for (fetch, expected) in
        [("FETCH found", vec![1]), ("FETCH 2 FROM found", vec![2, 10]), ("FETCH ALL found", vec![11])]
    {
        let rows = transaction.query(fetch, &[]).await.expect("rows");
        assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), expected);
    }
    transaction.commit().await.expect("committed");
}
