//! What SQLite does in each experiment: cached prepared statements; on disk its write-ahead log with
//! `synchronous = FULL`, which is what makes each commit durable.

use std::path::Path;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, params};

use crate::measure::{Contender, ROWS, spread};

const NAME: &str = "SQLite";

/// A statement on a connection of its own, for as long as the process runs.
fn statement(connection: Connection, sql: &str) -> CachedStatement<'static> {
    Box::leak(Box::new(connection)).prepare_cached(sql).expect("a statement")
}

fn memory() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    connection
        .execute_batch("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL)")
        .expect("a table");
    connection
}

fn accounts() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    connection
        .execute_batch(&format!(
            "CREATE TABLE accounts (aid INTEGER PRIMARY KEY, bid INTEGER, balance INTEGER, filler TEXT);
             WITH RECURSIVE series(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n < {})
             INSERT INTO accounts SELECT n, 1, n * 3, 'a filler of forty bytes, more or less, so' FROM series",
            ROWS - 1
        ))
        .expect("accounts");
    connection
}

pub fn point_read() -> Contender {
    let mut statement = statement(accounts(), "SELECT balance FROM accounts WHERE aid = ?1");
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        let mut total = 0i64;
        for _ in 0..operations {
            number += 1;
            total += statement.query_row([spread(number) as i64], |row| row.get::<_, i64>(0)).expect("a row");
        }
        assert!(total > 0);
    })
}

pub fn row_read() -> Contender {
    let mut statement =
        statement(accounts(), "SELECT aid, bid, balance, filler FROM accounts WHERE aid = ?1");
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        let mut total = 0;
        for _ in 0..operations {
            number += 1;
            let read = |row: &rusqlite::Row<'_>| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, String>(3)?,
                ))
            };
            let row = statement.query_row([spread(number) as i64], read).expect("a row");
            total += row.2 as usize + row.3.len();
        }
        assert!(total > 0);
    })
}

pub fn insert_memory() -> Contender {
    let mut statement = statement(memory(), "INSERT INTO items VALUES (?1, ?2, ?3)");
    let mut number = 0i64;
    Contender::new(NAME, move |operations| {
        for _ in 0..operations {
            number += 1;
            statement.execute(params![number, "widget", 9.5]).expect("an insert");
        }
    })
}

pub fn update_memory() -> Contender {
    let mut statement = statement(accounts(), "UPDATE accounts SET balance = balance + ?1 WHERE aid = ?2");
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        for _ in 0..operations {
            number += 1;
            statement.execute([5, spread(number) as i64]).expect("an update");
        }
    })
}

pub fn bulk_insert() -> Contender {
    let connection = memory();
    Contender::new(NAME, move |operations| {
        connection.execute_batch("DELETE FROM items; BEGIN").expect("an empty table");
        let mut statement =
            connection.prepare_cached("INSERT INTO items VALUES (?1, ?2, ?3)").expect("a statement");
        for number in 0..operations as i64 {
            statement.execute(params![number, "widget", 9.5]).expect("an insert");
        }
        connection.execute_batch("COMMIT").expect("a commit");
    })
}

pub fn insert_select() -> Contender {
    let connection = memory();
    Contender::new(NAME, move |operations| {
        connection.execute_batch("DELETE FROM items").expect("an empty table");
        let mut statement = connection
            .prepare_cached(
                "INSERT INTO items WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < ?1)
                 SELECT n, 'widget', 9.5 FROM series",
            )
            .expect("a statement");
        statement.execute([operations as i64]).expect("an insert");
    })
}

pub fn index_build() -> Contender {
    let connection = accounts();
    Contender::new(NAME, move |_| {
        connection.execute_batch("CREATE INDEX by_balance ON accounts (balance)").expect("an index");
        connection.execute_batch("DROP INDEX by_balance").expect("no index");
    })
}

pub fn aggregate() -> Contender {
    let mut statement = statement(accounts(), "SELECT count(*), sum(balance), max(bid) FROM accounts");
    Contender::new(NAME, move |_| {
        let count: i64 = statement.query_row([], |row| row.get(0)).expect("a row");
        assert_eq!(count, ROWS as i64);
    })
}

fn on_disk(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a database in a file");
    connection.busy_timeout(Duration::from_secs(60)).expect("patience");
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").expect("the settings");
    connection
}

pub fn durable(folder: &Path, writers: u64) -> Contender {
    let path = folder.join("sqlite.db");
    on_disk(&path)
        .execute_batch("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL)")
        .expect("a table");
    // Connections are made before the clock starts, and so is each statement.
    Contender::threads("SQLite (WAL, FULL)", writers, move |_| {
        let connection = on_disk(&path);
        move |number| {
            let mut statement =
                connection.prepare_cached("INSERT INTO items VALUES (?1, ?2, ?3)").expect("a statement");
            statement.execute(params![number as i64, "widget", 9.5]).expect("an insert");
        }
    })
}
